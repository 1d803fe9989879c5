//! Reductions that threads or blocks run together ([`Combined`]): a register of each thread for its partial result, which
//! threads combine where all of them get to, and blocks add to the element atomically.
//!
//! ```text
//! r0 = 0                           each thread
//! for k in tx..K step 256 {
//!   r0 = r0 + A[bx, k]             its own iterations
//! }
//! combine r0 by + over tx          all threads of the block
//! if tx == 0 {
//!   S[bx] = S[bx] + r0             the first one
//! }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::legality::Illegal;
use polyhedral::{BinOp, Combination, Combined, Monoid, Scop, StmtId, Tensor};

use super::kernels::InKernel;
use super::lower::Lowering;
use super::{Error, malformed};
use crate::verify::has_meeting;
use crate::{Combining, Cond, Op, Program, Reg, RegId, Value, VarId, neutral};

/// The program with the partial results of threads.
pub(super) fn of_threads(scop: &Scop) -> Result<Combined, Error> {
    Combined::of(scop).map_err(|illegal| match illegal {
        Illegal::Isl(error) => Error::Isl(error),
        other => malformed("kernel", other.to_string()),
    })
}

/// The partial results of threads.
pub(super) struct Partial {
    reductions: Vec<Combination>,
    /// By reduction, for each component.
    registers: Vec<Vec<RegId>>,
    /// By reduction: where what combines two is no operator, what another thread has.
    others: Vec<Vec<RegId>>,
    /// By reduction: what changes nothing.
    neutral: Vec<Vec<Value>>,
    steps: BTreeMap<StmtId, Step>,
}

/// What a statement does to partial results of a reduction, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Start(usize),
    Update(usize),
    Finish(usize),
}

impl Partial {
    pub(super) fn of(combined: &Combined, program: &mut Program) -> Partial {
        let mut partial = Partial {
            reductions: combined.reductions.clone(),
            registers: Vec::new(),
            others: Vec::new(),
            neutral: Vec::new(),
            steps: BTreeMap::new(),
        };
        for (at, Combination { start, update, finish, monoid, tensors, .. }) in combined.reductions.iter().enumerate() {
            let mut registers = || {
                let tensors = tensors.iter().map(|tensor| &combined.scop.tensors[*tensor]);
                let new = |tensor: &Tensor| Reg { name: tensor.name.clone(), dtype: tensor.dtype, lanes: 1 };
                tensors.map(|tensor| program.regs.push(new(tensor))).collect::<Vec<RegId>>()
            };
            partial.registers.push(registers());
            partial.others.push(if monoid.operator().is_some() { Vec::new() } else { registers() });
            partial.neutral.push(identity(monoid));
            partial.steps.extend([(*start, Step::Start(at)), (*update, Step::Update(at)), (*finish, Step::Finish(at))]);
        }
        partial
    }

    pub(super) fn step(&self, stmt: StmtId) -> Option<Step> {
        self.steps.get(&stmt).copied()
    }

    /// The partial result of each component.
    pub(super) fn registers(&self, at: usize) -> &[RegId] {
        &self.registers[at]
    }

    /// What combines two partial results, where it is one operator.
    pub(super) fn operator(&self, at: usize) -> Option<BinOp> {
        self.reductions[at].monoid.operator()
    }

    /// Whether other blocks update the element too.
    pub(super) fn is_atomic(&self, at: usize) -> bool {
        self.reductions[at].is_atomic
    }

    /// The beginning of a partial result.
    pub(super) fn started(&self, at: usize) -> Vec<Op> {
        let registers = self.registers[at].iter().zip(&self.neutral[at]);
        registers.map(|(reg, value)| Op::Set { reg: *reg, value: value.clone() }).collect()
    }

    /// What the threads of the kernel have, combined; nothing where there is one.
    pub(super) fn combined(
        &self,
        at: usize,
        kernel: &InKernel,
        lowering: &mut Lowering<'_>,
    ) -> Result<Option<Op>, Error> {
        let Combination { axes, update, monoid, .. } = &self.reductions[at];
        let threads: Vec<VarId> = axes.iter().filter_map(|axis| kernel.thread_on(*axis)).collect();
        if threads.is_empty() {
            return Ok(None);
        }
        let (regs, others) = (self.registers[at].clone(), self.others[at].clone());
        let by = match monoid.operator() {
            Some(op) => Combining::Operator(op),
            None => {
                let stmt = &lowering.scop.stmts[*update];
                let values = lowering.states_combined(stmt, monoid, &regs, &others)?;
                Combining::Values { others, values }
            }
        };
        Ok(Some(Op::Combine { regs, by, threads }))
    }
}

/// What changes nothing, of each component: for what an operator combines by itself, signs of zeros and what is no number too.
fn identity(monoid: &Monoid) -> Vec<Value> {
    let of = |at: usize| {
        let (value, dtype) = (monoid.identity[at], monoid.dtypes[at]);
        let exact = monoid.operator_of(at).and_then(|op| neutral(op, dtype));
        exact.unwrap_or(Value::Const(value, dtype))
    };
    (0..monoid.dtypes.len()).map(of).collect()
}

/// The ops of a kernel with all threads getting to where they meet: what is around is tested in between.
///
/// ```text
/// if ty < M {                        r0 = 0
///   r0 = 0                           if ty < M { for … }
///   for … { r0 = … }           ->    combine r0 by + over tx
///   combine r0 by + over tx          if ty < M { if tx == 0 { … } }
///   if tx == 0 { … }
/// }
/// ```
pub(super) fn met_by_all(ops: Vec<Op>, block: &[(VarId, i64)], partial: &Partial) -> Result<Vec<Op>, Error> {
    let varying = block.iter().map(|(var, _)| *var).collect();
    Meeting { varying, partial }.ops(ops, &Cond::always())
}

struct Meeting<'a> {
    /// The variables that differ between the threads of a block.
    varying: BTreeSet<VarId>,
    partial: &'a Partial,
}

impl Meeting<'_> {
    /// What runs in the threads for which a condition holds.
    fn ops(&mut self, ops: Vec<Op>, own: &Cond) -> Result<Vec<Op>, Error> {
        let (mut all, mut run) = (Vec::new(), Vec::new());
        for op in ops {
            if !self.starts(&op) && !has_meeting(std::slice::from_ref(&op)) {
                run.push(op);
                continue;
            }
            all.extend(guarded(own, std::mem::take(&mut run)));
            all.extend(self.op(op, own)?);
        }
        all.extend(guarded(own, run));
        Ok(all)
    }

    fn op(&mut self, op: Op, own: &Cond) -> Result<Vec<Op>, Error> {
        match op {
            Op::If { cond, then, otherwise } if self.varies(&cond) => {
                let not = Cond::all([own.clone(), cond.clone().negate()]);
                let mut all = self.ops(then, &Cond::all([own.clone(), cond]))?;
                all.extend(self.ops(otherwise, &not)?);
                Ok(all)
            }
            Op::If { cond, then, otherwise } => {
                let (mut then, otherwise) = (self.ops(then, own)?, self.ops(otherwise, own)?);
                // Where they are combined the condition may be tested again, for sizes with which there is nothing to
                // reduce: a partial result that begins in any case is right in both.
                let is_elsewhere = |op: &Op| self.started(op).is_some_and(|reg| !combines(&then, reg));
                let begun: Vec<Op> = then.iter().filter(|op| is_elsewhere(op)).cloned().collect();
                then.retain(|op| !begun.contains(op));
                let rest = (!then.is_empty() || !otherwise.is_empty()).then_some(Op::If { cond, then, otherwise });
                Ok(begun.into_iter().chain(rest).collect())
            }
            Op::For { var, lower, upper, step, parallel, body } => {
                if self.varies(&Cond::compare(polyhedral::CmpOp::Lt, lower.clone(), upper.clone())) {
                    let why = "threads meet in a loop that is not the same for all of them";
                    return Err(malformed("kernel", why));
                }
                let body = self.ops(body, own)?;
                Ok(vec![Op::For { var, lower, upper, step, parallel, body }])
            }
            other => Ok(vec![other]),
        }
    }

    /// Whether an op begins a partial result, under conditions at most.
    fn starts(&self, op: &Op) -> bool {
        match op {
            Op::If { then, otherwise, .. } => then.iter().chain(otherwise).any(|op| self.starts(op)),
            op => self.started(op).is_some(),
        }
    }

    /// The partial result that an op begins.
    fn started(&self, op: &Op) -> Option<RegId> {
        match op {
            Op::Set { reg, value: Value::Const(..) }
                if self.partial.registers.iter().flatten().any(|own| own == reg) =>
            {
                Some(*reg)
            }
            _ => None,
        }
    }

    fn varies(&self, cond: &Cond) -> bool {
        let mut varies = false;
        cond.each_var(&mut |var| varies |= self.varying.contains(&var));
        varies
    }
}

/// Whether threads combine a register in some of the ops.
fn combines(ops: &[Op], own: RegId) -> bool {
    ops.iter().any(|op| match op {
        Op::Combine { regs, .. } => regs.contains(&own),
        Op::For { body, .. } | Op::Local { body, .. } => combines(body, own),
        Op::If { then, otherwise, .. } => combines(then, own) || combines(otherwise, own),
        _ => false,
    })
}

fn guarded(cond: &Cond, ops: Vec<Op>) -> Vec<Op> {
    match cond.as_const() {
        _ if ops.is_empty() => ops,
        Some(true) => ops,
        _ => vec![Op::If { cond: cond.clone(), then: ops, otherwise: Vec::new() }],
    }
}

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{BinOp, DType};
use support::Table;

use super::registers::has_parallel;
use crate::{At, Launch, Op, Program, Reg, RegId, Value, neutral};

/// Combines lanes after a loop and not in it: what a register sums up lane by lane gets an accumulator with all lanes,
/// and each update in the loop one of its own, so that none waits for another.
///
/// ```text
/// for k in 0..K step 32 {                           r1 x16 = -0.0
///   r0 = r0 + reduce(+, A[k .. +16])                r2 x16 = -0.0
///   r0 = r0 + reduce(+, A[k + 16 .. +16])    ->     for k in 0..K step 32 {
/// }                                                   r1 = r1 + A[k .. +16]
///                                                     r2 = r2 + A[k + 16 .. +16]
///                                                   }
///                                                   r0 = r0 + reduce(+, r1 + r2)
/// ```
///
/// Done for a register that the loop reads and sets in no other way, around the outermost such loop. With `fma`, products
/// are rounded once, with the sum. Reduction accumulators after Allen and Kennedy, Optimizing Compilers for Modern
/// Architectures (2001), 5.6; several of them as in Muchnick, Advanced Compiler Design (1997), 17.4.4.
pub fn accumulators(mut program: Program, fma: bool) -> Program {
    let body = std::mem::take(&mut program.body);
    let mut pass = Pass { regs: &mut program.regs, fma };
    program.body = pass.ops(body);
    program
}

struct Pass<'a> {
    regs: &'a mut Table<RegId, Reg>,
    fma: bool,
}

impl Pass<'_> {
    fn ops(&mut self, ops: Vec<Op>) -> Vec<Op> {
        let mut done = Vec::new();
        for op in ops {
            let after = self.op(op, &done);
            done.extend(after);
        }
        done
    }

    /// An op, after those that are `done` in the same place.
    fn op(&mut self, op: Op, done: &[Op]) -> Vec<Op> {
        match op {
            Op::If { cond, then, otherwise } => {
                vec![Op::If { cond, then: self.ops(then), otherwise: self.ops(otherwise) }]
            }
            Op::For { var, lower, upper, step, parallel, mut body } => {
                let (mut before, mut after) = (Vec::new(), Vec::new());
                // Registers are not shared between threads.
                if !parallel && !has_parallel(&body) {
                    for (reg, op) in Uses::of(&body).reduced() {
                        let accumulators = self.take_apart(&mut body, reg, op);
                        before.extend(self.emptied(op, first_number(op, reg, done), &accumulators));
                        after.extend(self.combined(reg, op, &accumulators));
                    }
                }
                let body = self.ops(body);
                before.push(Op::For { var, lower, upper, step, parallel, body });
                before.extend(after);
                before
            }
            Op::Local { buffer, body } => vec![Op::Local { buffer, body: self.ops(body) }],
            other => vec![other],
        }
    }

    /// Gives each update of `reg` in the loop an accumulator.
    fn take_apart(&mut self, ops: &mut [Op], reg: RegId, op: BinOp) -> Vec<RegId> {
        let mut accumulators = Vec::new();
        for one in ops {
            match one {
                Op::Set { reg: set, value } if *set == reg => {
                    let Some(Update { term, lanes, .. }) = Update::of(reg, value) else { continue };
                    let Reg { name, dtype, .. } = self.regs[reg].clone();
                    let own = self.regs.push(Reg { name, dtype, lanes });
                    accumulators.push(own);
                    *one = Op::Set { reg: own, value: self.added(op, own, term.clone()) };
                }
                Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => {
                    accumulators.extend(self.take_apart(body, reg, op));
                }
                Op::If { then, otherwise, .. } => {
                    accumulators.extend(self.take_apart(then, reg, op));
                    accumulators.extend(self.take_apart(otherwise, reg, op));
                }
                Op::Set { .. }
                | Op::Store { .. }
                | Op::Check { .. }
                | Op::Prefetch { .. }
                | Op::LoadBlock { .. }
                | Op::StoreBlock { .. }
                | Op::Barrier
                | Op::Copy { .. }
                | Op::Wait
                | Op::Combine { .. }
                | Op::Atomic { .. } => {}
            }
        }
        accumulators
    }

    /// An accumulator and a term. What a mask leaves out stays as it is.
    fn added(&self, op: BinOp, accumulator: RegId, term: Value) -> Value {
        let dtype = self.regs[accumulator].dtype;
        let old = Value::Reg(accumulator);
        match term {
            Value::Select(mask, kept, other) if is_neutral(op, dtype, &other) => {
                Value::Select(mask, Box::new(self.added(op, accumulator, *kept)), Box::new(old))
            }
            Value::Binary(BinOp::Mul, a, b) if op == BinOp::Add && self.fma && has_fma(dtype) => {
                Value::MulAdd(a, b, Box::new(old))
            }
            term => Value::Binary(op, Box::new(old), Box::new(term)),
        }
    }

    /// Accumulators with the `first` value in each lane, or with nothing.
    fn emptied(&self, op: BinOp, first: Option<&Value>, accumulators: &[RegId]) -> Vec<Op> {
        let value = |reg: RegId| first.cloned().or_else(|| neutral(op, self.regs[reg].dtype));
        let empty = |&reg: &RegId| Some(Op::Set { reg, value: value(reg)? });
        accumulators.iter().filter_map(empty).collect()
    }

    /// What all accumulators hold, those of as many lanes first, added to the register.
    fn combined(&self, reg: RegId, op: BinOp, accumulators: &[RegId]) -> Vec<Op> {
        let mut by_lanes: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
        for &accumulator in accumulators {
            by_lanes.entry(self.regs[accumulator].lanes).or_default().push(Value::Reg(accumulator));
        }
        let added = by_lanes.into_iter().map(|(from, all)| {
            let value = Box::new(balanced(op, &all));
            let reduced = Value::Reduce { op, value, from, to: 1 };
            Op::Set { reg, value: Value::Binary(op, Box::new(Value::Reg(reg)), Box::new(reduced)) }
        });
        added.collect()
    }
}

/// The number that a register begins with, when it is the least or the largest of something: it may as well be taken once for
/// each lane. Lanes are then numbers from the beginning, and need not be asked whether they are.
fn first_number(op: BinOp, reg: RegId, done: &[Op]) -> Option<&Value> {
    let value = match done.last()? {
        Op::Set { reg: set, value } if *set == reg => value,
        Op::Set { .. } => return first_number(op, reg, &done[..done.len() - 1]),
        _ => return None,
    };
    let is_number = matches!(value, Value::Const(polyhedral::Value::Float(value), _) if !value.is_nan());
    (is_number && matches!(op, BinOp::Min | BinOp::Max)).then_some(value)
}

/// The values combined as a tree, none of whose branches is much longer than another.
fn balanced(op: BinOp, values: &[Value]) -> Value {
    match values {
        [one] => one.clone(),
        _ => {
            let (left, right) = values.split_at(values.len() / 2);
            Value::Binary(op, Box::new(balanced(op, left)), Box::new(balanced(op, right)))
        }
    }
}

fn is_neutral(op: BinOp, dtype: DType, value: &Value) -> bool {
    use polyhedral::Value::Float;
    match (neutral(op, dtype), value) {
        (Some(Value::Const(Float(a), _)), Value::Const(Float(b), _)) => a.to_bits() == b.to_bits(),
        (Some(neutral), value) => neutral == *value,
        (None, _) => false,
    }
}

/// Whether sums of the type round a product once.
fn has_fma(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// `reg = reg op reduce(op, term)`.
struct Update<'a> {
    op: BinOp,
    term: &'a Value,
    lanes: u32,
}

impl Update<'_> {
    fn of(reg: RegId, value: &Value) -> Option<Update<'_>> {
        let Value::Binary(op, a, b) = value else { return None };
        let own = |value: &Value| matches!(value, Value::Reg(own) if *own == reg);
        let reduced = if own(a) { b } else { a };
        match &**reduced {
            Value::Reduce { op: same, value: term, from, to: 1 } if same == op && (own(a) || own(b)) => {
                Some(Update { op: *op, term, lanes: *from })
            }
            _ => None,
        }
    }
}

/// What a loop does to registers.
#[derive(Default)]
struct Uses {
    /// Those that are updated, and by which operator.
    updated: BTreeMap<RegId, BinOp>,
    /// Those that are read or set in another way.
    other: BTreeSet<RegId>,
}

impl Uses {
    fn of(ops: &[Op]) -> Uses {
        let mut uses = Uses::default();
        uses.ops(ops);
        uses
    }

    /// Those that are updated by one operator and used in no other way.
    fn reduced(self) -> Vec<(RegId, BinOp)> {
        let Uses { updated, other } = self;
        updated.into_iter().filter(|(reg, _)| !other.contains(reg)).collect()
    }

    fn ops(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => self.ops(body),
                Op::If { then, otherwise, .. } => {
                    self.ops(then);
                    self.ops(otherwise);
                }
                Op::Set { reg, value } => self.set(*reg, value),
                Op::Store { at, value, mask, .. } => {
                    self.subscripts(at);
                    self.value(value);
                    mask.iter().for_each(|mask| self.value(mask));
                }
                Op::Check { value, mask, report, .. } => {
                    self.value(value);
                    mask.iter().chain(report.values()).for_each(|value| self.value(value));
                }
                Op::Prefetch { at, .. } => self.subscripts(at),
                Op::LoadBlock { regs, at, .. } | Op::StoreBlock { regs, at, .. } => {
                    self.subscripts(at);
                    self.other.extend(regs);
                }
                Op::Barrier | Op::Copy { .. } | Op::Wait => {}
                Op::Atomic { reg, at, .. } => {
                    self.subscripts(at);
                    self.other.insert(*reg);
                }
                Op::Combine { regs, .. } => self.other.extend(regs),
            }
        }
    }

    fn set(&mut self, reg: RegId, value: &Value) {
        let Some(Update { op, term, .. }) = Update::of(reg, value) else {
            self.other.insert(reg);
            return self.value(value);
        };
        self.value(term);
        if *self.updated.entry(reg).or_insert(op) != op {
            self.other.insert(reg);
        }
    }

    fn subscripts(&mut self, at: &[At]) {
        for at in at {
            if let At::Indirect(value) = at {
                self.value(value);
            }
        }
    }

    fn value(&mut self, value: &Value) {
        if let Value::Reg(reg) = value {
            self.other.insert(*reg);
        }
        value.children().into_iter().for_each(|child| self.value(child));
    }
}

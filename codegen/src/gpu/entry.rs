//! What a kernel is called with: the same for every language and every run time.

use std::collections::BTreeSet;

use polyhedral::TensorId;

use super::width::{Narrow, is_narrow};
use crate::{At, Cond, Int, Launch, Op, Place, Program, Report, Stride, Value, VarId};

/// What the host hands to a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Argument {
    /// The address of a buffer's first element: of an argument of the call, or in the workspace.
    Buffer(TensorId),
    /// A size parameter of the program.
    Param(usize),
    /// The value of a variable of the host's loops.
    Var(VarId),
    /// A stride that only the call knows, in elements: of the buffer, in the dimension.
    Stride(TensorId, usize),
    /// The address of what a failed [`Op::Check`] reports, 64-bit words that the host sets to 0: the check's number plus
    /// one, which takes the place of a 0 in the low 32 bits by one atomic step (compare and exchange), so that one thread
    /// reports; then the value, the [`Report::lower`], the extent, and the subscripts of [`Report::found_by`].
    Fault,
}

/// The parameters of a kernel.
///
/// Integers are as wide as [`Entry::index_bits`] says. Where a check fails nothing else of its list of ops runs, up to the
/// next one with a barrier in it, so that all threads get to barriers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In order.
    pub arguments: Vec<Argument>,
    /// Variables that the kernel's body has in expressions.
    pub(crate) vars: BTreeSet<VarId>,
}

impl Entry {
    /// Words of [`Argument::Fault`] before the subscripts.
    pub const FAULT_WORDS: usize = 4;

    /// The parameters of the kernel of a launch: buffers, sizes, variables of the host, strides, and where to report.
    pub fn of(program: &Program, launch: &Launch) -> Entry {
        let mut seen = Seen::default();
        seen.ops(&launch.body);
        let own = launch.grid.iter().map(|(var, _)| *var).chain(launch.block.iter().map(|(var, _)| *var));
        seen.bound.extend(own);
        let is_global = |id: &TensorId| matches!(program.buffers[*id].place, Place::Argument(_) | Place::Workspace(_));
        let buffers: Vec<TensorId> = seen.buffers.iter().copied().filter(is_global).collect();
        // Positions of elements are over the strides.
        let mut strides = Vec::new();
        for id in &buffers {
            for (dim, stride) in program.buffers[*id].strides.iter().enumerate() {
                match stride {
                    Stride::Known(stride) => seen.int(stride),
                    Stride::Runtime => strides.push(Argument::Stride(*id, dim)),
                }
            }
        }
        let mut arguments: Vec<Argument> = buffers.into_iter().map(Argument::Buffer).collect();
        arguments.extend(seen.params.iter().copied().map(Argument::Param));
        arguments.extend(seen.vars.difference(&seen.bound).copied().map(Argument::Var));
        arguments.extend(strides);
        arguments.extend(seen.checks.then_some(Argument::Fault));
        Entry { arguments, vars: seen.vars }
    }

    /// How wide the integers of a program's kernels are, 32 or 64 bits: 32 where none is larger, and no byte of any buffer is
    /// further away.
    pub fn index_bits(program: &Program) -> u32 {
        if is_narrow(program) { 32 } else { 64 }
    }
}

#[derive(Default)]
pub(super) struct Seen {
    buffers: BTreeSet<TensorId>,
    params: BTreeSet<usize>,
    vars: BTreeSet<VarId>,
    bound: BTreeSet<VarId>,
    checks: bool,
    /// Filled where it is asked for; then from the program's first op on.
    narrow: Option<Narrow>,
}

impl Seen {
    /// Of a whole program, with what its integers lie between.
    pub fn narrow(program: &Program) -> Narrow {
        let mut seen = Seen { narrow: Some(Narrow::default()), ..Seen::default() };
        seen.ops(&program.body);
        seen.narrow.unwrap_or_default()
    }
}

impl Seen {
    fn ops(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::For { var, lower, upper, step, body, .. } => {
                    self.bound.insert(*var);
                    [lower, upper, step].into_iter().for_each(|int| self.int(int));
                    if let Some(narrow) = &mut self.narrow {
                        narrow.bind(*var, lower, upper, step);
                    }
                    self.ops(body);
                }
                Op::If { cond, then, otherwise } => {
                    self.cond(cond);
                    self.ops(then);
                    self.ops(otherwise);
                }
                Op::Launch(launch) => {
                    if let Some(narrow) = &mut self.narrow {
                        narrow.bind_launch(launch);
                    }
                    self.ops(&launch.body);
                }
                Op::Local { body, .. } => self.ops(body),
                Op::Store { buffer, at, value, mask, .. } => {
                    self.access(*buffer, at);
                    [value].into_iter().chain(mask).for_each(|value| self.value(value));
                }
                Op::Set { value, .. } => self.value(value),
                Op::Check { extent, value, mask, report, .. } => {
                    self.checks = true;
                    self.int(extent);
                    [value].into_iter().chain(mask).for_each(|value| self.value(value));
                    self.report(report);
                }
                Op::LoadBlock { buffer, at, .. }
                | Op::StoreBlock { buffer, at, .. }
                | Op::Atomic { buffer, at, .. } => self.access(*buffer, at),
                Op::Prefetch { .. } | Op::Barrier | Op::Wait | Op::Combine { .. } => {}
                Op::Copy { to, to_at, from, from_at, .. } => {
                    self.access(*to, to_at);
                    self.access(*from, from_at);
                }
            }
        }
    }

    fn access(&mut self, buffer: TensorId, at: &[At]) {
        self.buffers.insert(buffer);
        at.iter().for_each(|at| self.at(at));
    }

    fn report(&mut self, report: &Report) {
        self.int(&report.lower);
        report.found_by.iter().flat_map(|(_, at)| at).for_each(|at| self.at(at));
    }

    fn at(&mut self, at: &At) {
        match at {
            At::Affine { base, .. } => self.int(base),
            At::Indirect(value) => self.value(value),
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Int { base, .. } => self.int(base),
            Value::Load { buffer, at, .. } => self.access(*buffer, at),
            _ => {}
        }
        value.children().into_iter().for_each(|child| self.value(child));
    }

    fn int(&mut self, int: &Int) {
        if let Some(narrow) = &mut self.narrow {
            narrow.see(int);
        }
        int.each_var(&mut |var| _ = self.vars.insert(var));
        self.params.extend(params_of(int));
    }

    fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::Compare(_, a, b) => [a, b].into_iter().for_each(|int| self.int(int)),
            Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| self.cond(part)),
            Cond::Not(inner) => self.cond(inner),
        }
    }
}

fn params_of(int: &Int) -> BTreeSet<usize> {
    match int {
        Int::Param(at) => BTreeSet::from([*at]),
        Int::Const(_) | Int::Var(_) => BTreeSet::new(),
        Int::Add(a, b) | Int::Mul(a, b) | Int::Min(a, b) | Int::Max(a, b) => &params_of(a) | &params_of(b),
        Int::FloorDiv(e, _) | Int::Mod(e, _) => params_of(e),
        Int::Select(cond, a, b) => {
            let mut seen = Seen::default();
            seen.cond(cond);
            &(&params_of(a) | &params_of(b)) | &seen.params
        }
    }
}

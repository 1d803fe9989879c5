//! What a well-formed [`Program`] is.
//!
//! - Every buffer has a stride for each dimension, and no two are the same argument.
//! - Every variable is bound by one loop and used inside of it only; parameters exist; divisors and steps are at least 1.
//! - Every register is set before it is read, on every path; a parallel body reads none that is set outside, and none
//!   that is set inside is read after it.
//! - A buffer on the stack has constant extents, and is touched inside of a `Local` of it only.
//! - A buffer of the workspace may be in a `Local` too, with all accesses, outside of parallel loops and launches, and not in two. Two of them that
//!   are alive at once have no byte in common, whatever the parameters are; nor does one begin before the workspace.
//! - Every access has a subscript for each dimension; nothing is stored to an input.
//! - A buffer that threads share has constant extents, and is touched inside of a launch that names it only. Launches are
//!   not inside of each other, and nothing of a processor's is inside of one: no parallel loops.
//! - A barrier is inside of a launch, and of nothing that differs between the threads of a block: no loop whose bounds
//!   depend on the thread, no such test. No register is live across.
//! - What threads combine is combined where a barrier may be too: a register with one lane that is set, along axes of the block.
//! - What goes on by itself is a copy from memory of the device to memory that threads share, of one type. Each thread waits for
//!   those that it has begun before the next barrier, and before the kernel ends, and keeps away from their elements till then.
//! - Values have one type, that of where they go; masks are `bool`, checked and indirect subscripts `int64`.
//! - Every value has one lane or as many as its op; the registers of a block have one type and one number of lanes; the lanes
//!   that a reduction combines are a multiple of those it has, and its operator has a neutral element of the type.

use std::collections::BTreeSet;

use polyhedral::{BinOp, DType, Role, TensorId, UnOp, is_updated_atomically};
use support::{Malformed, Stage};

use crate::arena::{self, Lifetimes};
use crate::gpu::unawaited;
use crate::{At, Buffer, Combining, Cond, Int, Launch, Op, Place, Program, RegId, Value, VarId, neutral};

impl Stage for Program {
    const NAME: &'static str = "loops";

    fn verify(&self) -> Result<(), Malformed> {
        let mut check = Verifier {
            program: self,
            bound: BTreeSet::new(),
            visible: BTreeSet::new(),
            local: BTreeSet::new(),
            apart: 0,
            kernel: None,
            faults: Vec::new(),
        };
        check.buffers();
        check.ops(&self.body, &mut BTreeSet::new());
        check.workspace();
        Malformed::check(Self::NAME, check.faults)
    }
}

impl Value {
    /// The type; `None` when the operands do not fit.
    pub fn dtype(&self, program: &Program) -> Option<DType> {
        let of = |value: &Value| value.dtype(program);
        match self {
            Value::Const(_, dtype) => Some(*dtype),
            Value::Int { .. } => Some(DType::I64),
            Value::Load { buffer, .. } => program.buffers.get(*buffer).map(|buffer| buffer.dtype),
            Value::Reg(reg) => program.regs.get(*reg).map(|reg| reg.dtype),
            Value::Unary(UnOp::Not, e) => of(e).filter(|dtype| *dtype == DType::Bool),
            Value::Unary(UnOp::Neg, e) => of(e).filter(|dtype| *dtype != DType::Bool),
            Value::Binary(op, a, b) => {
                let logical = matches!(op, BinOp::And | BinOp::Or);
                let dtype = of(a)?;
                let whole = dtype.is_int() || !op.is_bitwise();
                (of(b)? == dtype && whole && logical == (dtype == DType::Bool)).then_some(dtype)
            }
            Value::Compare(_, a, b) => (of(a)? == of(b)?).then_some(DType::Bool),
            Value::Select(c, a, b) => {
                let dtype = of(a)?;
                (of(c)? == DType::Bool && of(b)? == dtype).then_some(dtype)
            }
            Value::Cast(dtype, e) => of(e).map(|_| *dtype),
            Value::Call(builtin, arguments) => {
                // Each argument once: twice at every level would be exponential in the depth.
                let (first, others) = arguments.split_first()?;
                let first = of(first)?;
                let fits = arguments.len() == builtin.arity() && others.iter().all(|e| of(e) == Some(first));
                (fits && first.is_float()).then_some(first)
            }
            Value::MulAdd(a, b, c) => {
                let dtype = of(a)?;
                (dtype.is_float() && of(b)? == dtype && of(c)? == dtype).then_some(dtype)
            }
            Value::Dot { sum, left, right } => {
                let same = |values: &[Value]| {
                    let (first, others) = values.split_first()?;
                    let first = of(first)?;
                    others.iter().all(|value| of(value) == Some(first)).then_some(first)
                };
                let numbers = [same(left)?, same(right)?].into_iter().all(|dtype| dtype != DType::Bool);
                (numbers && left.len() == right.len()).then_some(of(sum)?)
            }
            Value::Reduce { op, value, .. } => of(value).filter(|&dtype| neutral(*op, dtype).is_some()),
        }
    }

    /// How many lanes the values directly below may have, in an op or a value of `lanes`.
    pub(crate) fn lanes_below(&self, lanes: u32) -> u32 {
        match self {
            Value::Reduce { from, .. } => *from,
            _ => lanes,
        }
    }

    /// The values directly below.
    pub(crate) fn children(&self) -> Vec<&Value> {
        match self {
            Value::Const(..) | Value::Int { .. } | Value::Reg(_) => Vec::new(),
            Value::Load { at, mask, .. } => {
                let indirect = at.iter().filter_map(|at| match at {
                    At::Indirect(value) => Some(&**value),
                    At::Affine { .. } => None,
                });
                indirect.chain(mask.as_deref()).collect()
            }
            Value::Unary(_, e) | Value::Cast(_, e) => vec![e],
            Value::Reduce { value, .. } => vec![value],
            Value::Binary(_, a, b) | Value::Compare(_, a, b) => vec![a, b],
            Value::Select(a, b, c) | Value::MulAdd(a, b, c) => vec![a, b, c],
            Value::Call(_, arguments) => arguments.iter().collect(),
            Value::Dot { sum, left, right } => [&**sum].into_iter().chain(left).chain(right).collect(),
        }
    }
}

/// Whether some op in these is a barrier.
pub(crate) fn has_barrier(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::Barrier => true,
        Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => has_barrier(body),
        Op::If { then, otherwise, .. } => has_barrier(then) || has_barrier(otherwise),
        _ => false,
    })
}

/// Whether all threads of a block meet in some op of these: at a barrier, or to combine what they have.
pub(crate) fn has_meeting(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::Barrier | Op::Combine { .. } => true,
        Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => has_meeting(body),
        Op::If { then, otherwise, .. } => has_meeting(then) || has_meeting(otherwise),
        _ => false,
    })
}

fn loads(value: &Value) -> bool {
    matches!(value, Value::Load { .. }) || value.children().into_iter().any(loads)
}

struct Verifier<'a> {
    program: &'a Program,
    /// By any loop so far.
    bound: BTreeSet<VarId>,
    /// By the loops around.
    visible: BTreeSet<VarId>,
    /// Buffers that have memory of an [`Op::Local`] here.
    local: BTreeSet<TensorId>,
    /// How many parallel loops are around.
    apart: usize,
    /// Inside of a launch.
    kernel: Option<Kernel>,
    faults: Vec<(String, String)>,
}

/// What is known inside of a launch.
#[derive(Default)]
struct Kernel {
    /// The buffers that it names.
    shared: BTreeSet<TensorId>,
    /// The numbers of a thread.
    axes: Vec<VarId>,
    /// The variables that differ between the threads of a block.
    varying: BTreeSet<VarId>,
    /// How many ops around are not for all threads of a block.
    divergent: usize,
}

impl Kernel {
    fn varies(&self, int: &Int) -> bool {
        let mut varies = false;
        int.each_var(&mut |var| varies |= self.varying.contains(&var));
        varies
    }

    fn varies_in(&self, cond: &Cond) -> bool {
        let mut varies = false;
        cond.each_var(&mut |var| varies |= self.varying.contains(&var));
        varies
    }
}

impl Verifier<'_> {
    fn report(&mut self, entity: impl ToString, message: impl Into<String>) {
        self.faults.push((entity.to_string(), message.into()));
    }

    fn buffers(&mut self) {
        let mut arguments = BTreeSet::new();
        for buffer in self.program.buffers.values() {
            if buffer.strides.len() != buffer.extent.len() {
                self.report(&buffer.name, "not one stride for each dimension");
            }
            if let Place::Argument(at) = buffer.place
                && !arguments.insert(at)
            {
                self.report(&buffer.name, format!("argument {at} is another buffer's too"));
            }
            if matches!(buffer.place, Place::Stack | Place::Shared) && buffer.constant_bytes().is_none() {
                self.report(&buffer.name, "is on the stack or shared, and how large it is is known at the call only");
            }
            buffer.extent.iter().for_each(|extent| self.int(extent));
        }
    }

    /// Nothing is overwritten while it is alive.
    fn workspace(&mut self) {
        let lifetimes = Lifetimes::of(self.program);
        for (_, buffer, offset) in arena::in_workspace(self.program) {
            self.int(offset);
            if !arena::at_least(offset, &Int::Const(0)) {
                self.report(&buffer.name, "begins before the workspace");
            }
        }
        for &buffer in lifetimes.torn() {
            self.report(buffer, "is new where not all of its accesses are");
        }
        for (one, other) in arena::overlapping(self.program, &lifetimes) {
            self.report(&one.name, format!("has bytes of `{}` while both are alive", other.name));
        }
    }

    /// An [`Op::Local`] here.
    fn memory_of(&mut self, buffer: TensorId) {
        match self.program.buffers.get(buffer).map(|row| &row.place) {
            Some(Place::Stack) => {}
            Some(Place::Workspace(_)) if self.apart > 0 || self.kernel.is_some() => {
                self.report(buffer, "is new for each of several threads, but there is one of it");
            }
            Some(Place::Workspace(_)) if self.local.contains(&buffer) => {
                self.report(buffer, "is new while it is new already");
            }
            Some(Place::Workspace(_)) => {}
            _ => self.report(buffer, "has a place of its own, but is to be on the stack"),
        }
    }

    /// `set` are the registers that every path to here has set.
    fn ops(&mut self, ops: &[Op], set: &mut BTreeSet<RegId>) {
        for op in ops {
            self.op(op, set);
        }
    }

    fn op(&mut self, op: &Op, set: &mut BTreeSet<RegId>) {
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                self.repeated((*var, *parallel), [lower, upper, step], body, set);
            }
            Op::If { cond, then, otherwise } => {
                self.cond(cond);
                let varies = self.kernel.as_ref().is_some_and(|kernel| kernel.varies_in(cond));
                let (mut after_then, mut after_otherwise) = (set.clone(), set.clone());
                self.diverging(varies, |check| {
                    check.ops(then, &mut after_then);
                    check.ops(otherwise, &mut after_otherwise);
                });
                *set = after_then.intersection(&after_otherwise).copied().collect();
            }
            Op::Store { buffer, at, lanes, value, mask } => {
                let dtype = self.program.buffers.get(*buffer).map(|buffer| buffer.dtype);
                self.not_an_input(*buffer);
                self.access(*buffer, at, *lanes, set);
                self.typed(value, dtype, *lanes, set);
                self.mask(mask.as_ref(), *lanes, set);
            }
            Op::Set { reg, value } => {
                match self.program.regs.get(*reg) {
                    Some(row) => self.typed(value, Some(row.dtype), row.lanes, set),
                    None => self.report(reg, "not in the table"),
                }
                set.insert(*reg);
            }
            Op::Check { buffer, dim: _, extent, value, lanes, mask, report } => {
                if self.program.buffers.get(*buffer).is_none() {
                    self.report(buffer, "not in the table");
                }
                self.int(extent);
                self.typed(value, Some(DType::I64), *lanes, set);
                self.mask(mask.as_ref(), *lanes, set);
                self.int(&report.lower);
                report.found_by.iter().for_each(|(buffer, at)| self.access(*buffer, at, *lanes, set));
                if report.values().any(loads) {
                    self.report(buffer, "a report that loads what it says");
                }
            }
            Op::Local { buffer, body } => {
                self.memory_of(*buffer);
                let outermost = self.local.insert(*buffer);
                self.ops(body, set);
                if outermost {
                    self.local.remove(buffer);
                }
            }
            Op::Prefetch { buffer, at, lanes } => self.access(*buffer, at, *lanes, set),
            Op::LoadBlock { regs, buffer, at, along } => {
                self.block(regs, *buffer, at, *along, set);
                set.extend(regs);
            }
            Op::StoreBlock { regs, buffer, at, along } => {
                self.not_an_input(*buffer);
                self.block(regs, *buffer, at, *along, set);
                regs.iter().filter(|reg| !set.contains(reg)).for_each(|reg| {
                    self.faults.push((reg.to_string(), "stored where it may not be set".into()));
                });
            }
            Op::Copy { to, to_at, from, from_at, lanes } => self.copy((*to, to_at), (*from, from_at), *lanes),
            Op::Wait if self.kernel.is_none() => self.report("wait", "outside of a kernel there are no copies"),
            Op::Wait => {}
            Op::Launch(launch) => self.launch(launch),
            Op::Barrier => match &self.kernel {
                Some(Kernel { divergent: 0, .. }) => set.clear(),
                _ => self.report("barrier", "where not all threads of a block get to"),
            },
            Op::Combine { regs, by, threads } => self.combine(regs, by, threads, set),
            Op::Atomic { buffer, at, op, reg } => self.atomic((*buffer, at), *op, *reg, set),
        }
    }

    fn repeated(
        &mut self,
        (var, parallel): (VarId, bool),
        [lower, upper, step]: [&Int; 3],
        body: &[Op],
        set: &mut BTreeSet<RegId>,
    ) {
        self.int(lower);
        self.int(upper);
        self.int(step);
        if step.as_const().is_some_and(|step| step < 1) {
            self.report(var, "a step below 1");
        }
        if self.program.vars.get(var).is_none() {
            self.report(var, "not in the table");
        }
        if !self.bound.insert(var) {
            self.report(var, "bound by two loops");
        }
        self.visible.insert(var);
        if parallel && self.kernel.is_some() {
            self.report(var, "a parallel loop inside of a kernel");
        }
        self.forget_across(body, set);
        // The body may not run at all, so that what it sets is not set after it.
        let mut inside = if parallel { BTreeSet::new() } else { set.clone() };
        let varies = self.kernel.as_ref().is_some_and(|kernel| kernel.varies(lower) || kernel.varies(upper));
        if let Some(kernel) = self.kernel.as_mut().filter(|_| varies) {
            kernel.varying.insert(var);
        }
        self.apart += usize::from(parallel);
        self.diverging(varies, |check| check.ops(body, &mut inside));
        self.apart -= usize::from(parallel);
        self.visible.remove(&var);
    }

    fn not_an_input(&mut self, buffer: TensorId) {
        if self.program.buffers.get(buffer).is_some_and(|buffer| buffer.role == Role::Input) {
            self.report(buffer, "an input is stored to");
        }
    }

    fn copy(&mut self, to: (TensorId, &[At]), from: (TensorId, &[At]), lanes: u32) {
        let row = |buffer: TensorId| self.program.buffers.get(buffer).map(|row| (&row.place, row.dtype));
        let fits = match (row(to.0), row(from.0)) {
            (Some((Place::Shared, a)), Some((Place::Argument(_) | Place::Workspace(_), b))) => a == b,
            _ => false,
        };
        if !fits || self.kernel.is_none() {
            self.report(to.0, "copied to from what is no memory of the device, or of another type");
        }
        if to.1.iter().chain(from.1).any(|at| matches!(at, At::Indirect(_))) {
            self.report(to.0, "copied to where data says, or from there");
        }
        for (buffer, at) in [to, from] {
            self.access(buffer, at, lanes, &BTreeSet::new());
        }
    }

    fn combine(&mut self, regs: &[RegId], by: &Combining, threads: &[VarId], set: &BTreeSet<RegId>) {
        let Some(&reg) = regs.first() else { return self.report("combine", "no register") };
        match &self.kernel {
            Some(Kernel { divergent: 0, axes, .. }) => {
                let places = threads.iter().map(|var| axes.iter().position(|axis| axis == var));
                if threads.is_empty()
                    || !places.is_sorted_by(|a, b| a.is_some() && a < b)
                    || !axes.contains(&threads[0])
                {
                    self.report(reg, "combined along what are no axes of the block, in their order");
                }
            }
            _ => self.report(reg, "combined where not all threads of a block get to"),
        }
        match by {
            Combining::Operator(op) => match self.program.regs.get(reg) {
                Some(row) if regs.len() == 1 && row.lanes == 1 && neutral(*op, row.dtype).is_some() => {}
                _ => self.report(reg, "combined by an operator that its type has not, or with several lanes"),
            },
            Combining::Values { others, values } => self.combining(regs, others, values),
        }
        for reg in regs.iter().filter(|reg| !set.contains(reg)) {
            self.report(reg, "combined where it may not be set");
        }
    }

    /// What two threads have in some registers, combined by values.
    fn combining(&mut self, regs: &[RegId], others: &[RegId], values: &[Value]) {
        let all: BTreeSet<RegId> = regs.iter().chain(others).copied().collect();
        if others.len() != regs.len() || values.len() != regs.len() || all.len() != 2 * regs.len() {
            return self.report(regs[0], "combined by values that are not one for each register");
        }
        for ((&reg, &other), value) in regs.iter().zip(others).zip(values) {
            match (self.program.regs.get(reg), self.program.regs.get(other)) {
                (Some(row), Some(theirs)) if row.lanes == 1 && theirs.lanes == 1 && row.dtype == theirs.dtype => {
                    self.typed(value, Some(row.dtype), 1, &all);
                }
                _ => self.report(reg, "combined with what has another type, or several lanes"),
            }
            if loads(value) {
                self.report(reg, "combined by a value that loads");
            }
        }
    }

    fn atomic(&mut self, (buffer, at): (TensorId, &[At]), op: BinOp, reg: RegId, set: &BTreeSet<RegId>) {
        self.access(buffer, at, 1, set);
        if self.kernel.is_none() {
            self.report(reg, "an atomic update outside of kernels");
        }
        if at.iter().any(|at| !matches!(at, At::Affine { step: 0, .. })) {
            self.report(reg, "an atomic update of an element that is found while running");
        }
        let row = self.program.buffers.get(buffer);
        let is_global = |row: &Buffer| matches!(row.place, Place::Argument(_) | Place::Workspace(_));
        if !row.is_some_and(|row| is_global(row) && row.role != Role::Input && is_updated_atomically(row.dtype)) {
            self.report(buffer, "updated atomically, but no word of global memory that may be written");
        }
        match self.program.regs.get(reg).zip(row) {
            Some((reg, row)) if reg.lanes == 1 && reg.dtype == row.dtype && neutral(op, reg.dtype).is_some() => {}
            _ => self.report(reg, "what an element is updated by has another type, or several lanes"),
        }
        if !set.contains(&reg) {
            self.report(reg, "an update by what may not be set");
        }
    }

    /// Registers are not live across barriers in these ops.
    fn forget_across(&self, ops: &[Op], set: &mut BTreeSet<RegId>) {
        if has_barrier(ops) {
            set.clear();
        }
    }

    /// Checks what is not for all threads of a block if `varies`.
    fn diverging(&mut self, varies: bool, inside: impl FnOnce(&mut Self)) {
        let by = usize::from(varies);
        self.kernel.iter_mut().for_each(|kernel| kernel.divergent += by);
        inside(self);
        self.kernel.iter_mut().for_each(|kernel| kernel.divergent -= by);
    }

    fn is_shared_here(&self, buffer: TensorId) -> bool {
        self.kernel.as_ref().is_some_and(|kernel| kernel.shared.contains(&buffer))
    }

    fn launch(&mut self, launch: &Launch) {
        if self.kernel.is_some() {
            self.report(&launch.name, "a launch inside of a launch");
            return;
        }
        launch.grid.iter().for_each(|(_, blocks)| self.int(blocks));
        if launch.block.iter().any(|(_, threads)| *threads < 1) {
            self.report(&launch.name, "a block without threads");
        }
        for buffer in &launch.shared {
            if self.program.buffers.get(*buffer).is_none_or(|row| row.place != Place::Shared) {
                self.report(buffer, "has a place of its own, but is to be shared");
            }
        }
        let threads: BTreeSet<VarId> = launch.block.iter().map(|(var, _)| *var).collect();
        let vars: Vec<VarId> = launch.grid.iter().map(|(var, _)| *var).chain(threads.iter().copied()).collect();
        for var in &vars {
            if self.program.vars.get(*var).is_none() || !self.bound.insert(*var) {
                self.report(var, "not in the table, or bound twice");
            }
            self.visible.insert(*var);
        }
        let shared = launch.shared.iter().copied().collect();
        let axes = launch.block.iter().map(|(var, _)| *var).collect();
        self.kernel = Some(Kernel { shared, axes, varying: threads, divergent: 0 });
        self.ops(&launch.body, &mut BTreeSet::new());
        self.kernel = None;
        unawaited(&launch.body, self.program).into_iter().for_each(|(buffer, why)| self.report(buffer, why));
        vars.iter().for_each(|var| _ = self.visible.remove(var));
    }

    fn block(&mut self, regs: &[RegId], buffer: TensorId, at: &[At], along: usize, set: &BTreeSet<RegId>) {
        if !matches!(at.get(along), Some(At::Affine { .. })) {
            self.report(buffer, "a block along a dimension that there is not, or whose subscript is computed");
        }
        let dtype = self.program.buffers.get(buffer).map(|buffer| buffer.dtype);
        let mut shape = None;
        for reg in regs {
            match self.program.regs.get(*reg) {
                None => self.report(reg, "not in the table"),
                Some(row) if dtype != Some(row.dtype) || *shape.get_or_insert(row.lanes) != row.lanes => {
                    self.report(reg, "of another type or with other lanes than its block");
                }
                Some(_) => {}
            }
        }
        match shape {
            Some(lanes) => self.access(buffer, at, lanes, set),
            None => self.report(buffer, "a block without registers"),
        }
    }

    fn mask(&mut self, mask: Option<&Value>, lanes: u32, set: &BTreeSet<RegId>) {
        if let Some(mask) = mask {
            self.typed(mask, Some(DType::Bool), lanes, set);
        }
    }

    fn typed(&mut self, value: &Value, dtype: Option<DType>, lanes: u32, set: &BTreeSet<RegId>) {
        let actual = value.dtype(self.program);
        if actual.is_none() {
            self.report("value", format!("operands of different types: {value:?}"));
        } else if actual != dtype {
            self.report("value", format!("{actual:?} where {dtype:?} is wanted: {value:?}"));
        }
        self.value(value, lanes, set);
    }

    fn value(&mut self, value: &Value, lanes: u32, set: &BTreeSet<RegId>) {
        match value {
            Value::Int { base, .. } => self.int(base),
            Value::Load { buffer, at, mask } => {
                self.access(*buffer, at, lanes, set);
                self.mask(mask.as_deref(), lanes, set);
                return;
            }
            Value::Reg(reg) => match self.program.regs.get(*reg) {
                None => self.report(reg, "not in the table"),
                Some(_) if !set.contains(reg) => self.report(reg, "read where it may not be set"),
                Some(row) if row.lanes != 1 && row.lanes != lanes => {
                    self.report(reg, format!("{} lanes in an op of {lanes}", row.lanes));
                }
                Some(_) => {}
            },
            Value::Reduce { from, to, .. } if *to < 1 || from % to != 0 || (*to != 1 && *to != lanes) => {
                self.report("reduce", format!("{from} lanes to {to} in an op of {lanes}"));
            }
            _ => {}
        }
        let lanes = value.lanes_below(lanes);
        for child in value.children() {
            self.value(child, lanes, set);
        }
    }

    fn access(&mut self, buffer: TensorId, at: &[At], lanes: u32, set: &BTreeSet<RegId>) {
        match self.program.buffers.get(buffer) {
            None => self.report(buffer, "not in the table"),
            Some(row) if row.extent.len() != at.len() => {
                self.report(&row.name, format!("{} subscripts for {} dimensions", at.len(), row.extent.len()));
            }
            Some(row) if row.place == Place::Stack && !self.local.contains(&buffer) => {
                self.report(&row.name, "is touched where it has no memory");
            }
            Some(row) if row.place == Place::Shared && !self.is_shared_here(buffer) => {
                self.report(&row.name, "is touched outside of a launch that shares it");
            }
            Some(_) => {}
        }
        if lanes < 1 {
            self.report(buffer, "an access without lanes");
        }
        for at in at {
            match at {
                At::Affine { base, .. } => self.int(base),
                At::Indirect(value) => self.typed(value, Some(DType::I64), lanes, set),
            }
        }
    }

    fn int(&mut self, int: &Int) {
        match int {
            Int::Const(_) => {}
            Int::Var(var) if self.visible.contains(var) => {}
            Int::Var(var) => self.report(var, "used outside of its loop"),
            Int::Param(at) if *at < self.program.params.len() => {}
            Int::Param(at) => self.report(format!("p{at}"), "no such parameter"),
            Int::Add(a, b) | Int::Mul(a, b) | Int::Min(a, b) | Int::Max(a, b) => {
                self.int(a);
                self.int(b);
            }
            Int::FloorDiv(e, by) | Int::Mod(e, by) => {
                if *by < 1 {
                    self.report("integer", format!("a divisor of {by}"));
                }
                self.int(e);
            }
            Int::Select(cond, a, b) => {
                self.cond(cond);
                self.int(a);
                self.int(b);
            }
        }
    }

    fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::Compare(_, a, b) => {
                self.int(a);
                self.int(b);
            }
            Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| self.cond(part)),
            Cond::Not(inner) => self.cond(inner),
        }
    }
}

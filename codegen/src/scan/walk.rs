//! From isl's loops over origins to ops.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::isl::{AstBuild, AstExpr, AstNode, AstOp};
use polyhedral::{Axis, BinOp, CmpOp, Combined, Kind, isl};
use support::Remark;

use super::boxes::{Factor, Tests, Whole};
use super::combine::{self, Partial, Step};
use super::kernels::InKernel;
use super::leaves::{Blocks, Leaves, Part, Scanned};
use super::lower::{Lane, Lowering, Place as Updated, Point};
use super::stack::{Private, touches};
use super::subtrees::{Subtree, context, iterator};
use super::{Error, Options, malformed};
use crate::passes::substituted;
use crate::verify::has_meeting;
use crate::{Cond, Int, Launch, Op, Place, Program, VarId};

/// Fills the body of `program`.
pub(super) fn fill(
    combined: &Combined,
    options: &Options,
    leaves: &Leaves,
    program: &mut Program,
    remarks: &mut Vec<Remark>,
) -> Result<(), Error> {
    let Some(schedule) = &leaves.schedule else { return Ok(()) };
    let scop = &combined.scop;
    let partial = Partial::of(combined, program);
    let mut walk = Walk {
        lowering: Lowering { scop, options, program },
        leaves,
        partial,
        private: Private::of(scop, leaves)?,
        values: BTreeMap::new(),
        names: BTreeSet::new(),
        kernel: None,
        kernels: BTreeSet::new(),
        remarks,
    };
    if leaves.subtrees.values().any(|subtree| subtree.kernel.is_some()) {
        walk.private.place_on_device(walk.lowering.program);
    }
    for (at, name) in scop.params.iter().enumerate() {
        walk.values.insert(name.clone(), Int::Param(at));
    }
    let body = walk.loops(schedule, &scop.context, 0)?;
    let body = walk.private.outermost(walk.private.whole_iterations(body));
    walk.private.check_threads(&body, walk.lowering.program)?;
    program.body = body;
    Ok(())
}

/// What is known at a user node.
#[derive(Clone)]
enum Known {
    /// Of a part: whether the box there is whole.
    Whole(AstExpr),
    /// Of a loop whose iterations run apart: those there.
    Iterations(isl::Set),
    /// Of a kernel: the same of the loops of the host, and the first and last values of its loops on blocks.
    Launch(isl::Set, [Option<(AstExpr, AstExpr)>; 3]),
}

/// Whether the box at a user node is whole: a condition there.
fn whole_here(whole: &Whole, build: &AstBuild<'_>) -> isl::Result<AstExpr> {
    match whole {
        Whole::Always => Ok(AstExpr::Int(1)),
        Whole::Never => Ok(AstExpr::Int(0)),
        Whole::Where(set) => {
            let values = set.to_union_set()?.apply(&build.schedule()?)?;
            if values.is_empty()? { Ok(AstExpr::Int(0)) } else { build.expr_from_set(&values.as_set()?) }
        }
    }
}

/// The blocks of a kernel at a user node.
fn blocks_here(blocks: &Blocks, build: &AstBuild<'_>) -> isl::Result<[Option<(AstExpr, AstExpr)>; 3]> {
    // From the values of the loops that there are to those of the tree.
    let iterations = build.schedule()?.reverse()?.as_map()?.reset_tuple_id(isl::Dim::Out)?;
    let value = |function: &isl::PwAff| {
        let function = iterations.apply_range(&function.to_map()?)?.to_pw_multi_aff()?.at(0)?;
        build.expr_from_pw_aff(&function)
    };
    let mut here = [None, None, None];
    for (blocks, here) in blocks.iter().zip(&mut here) {
        if let Some((first, last)) = blocks {
            *here = Some((value(first)?, value(last)?));
        }
    }
    Ok(here)
}

struct Walk<'a, 'b> {
    lowering: Lowering<'a>,
    leaves: &'b Leaves,
    /// The reductions that threads run together.
    partial: Partial,
    private: Private,
    /// Of parameters and of the iterators around.
    values: BTreeMap<String, Int>,
    /// Names of variables, for them to be different.
    names: BTreeSet<String>,
    /// The kernel around.
    kernel: Option<InKernel>,
    /// The names of kernels so far.
    kernels: BTreeSet<String>,
    remarks: &'b mut Vec<Remark>,
}

impl Walk<'_, '_> {
    /// isl's loops, inside of so many others.
    fn loops(&mut self, schedule: &isl::AstSchedule, context: &isl::Set, outer: usize) -> Result<Vec<Op>, Error> {
        let leaves = self.leaves;
        let iterators: Vec<String> = (outer..leaves.depth).map(iterator).collect();
        let ast = schedule.loops(context, &iterators, &mut |name, build| {
            if let Some(part) = leaves.parts.get(name) {
                return Ok(Known::Whole(whole_here(&part.whole, build)?));
            }
            if let Some(subtree) = leaves.subtrees.get(name) {
                let here = build.schedule()?.domain()?.as_set()?;
                return Ok(match &subtree.kernel {
                    Some((_, blocks)) => Known::Launch(here, blocks_here(blocks, build)?),
                    None => Known::Iterations(here),
                });
            }
            Err(isl::Error::Refused(format!("{name} is no part")))
        })?;
        self.node(&ast)
    }

    fn node(&mut self, node: &AstNode<Known>) -> Result<Vec<Op>, Error> {
        match node {
            AstNode::Block(children) => {
                let mut ops = Vec::new();
                for child in children {
                    ops.extend(self.node(child)?);
                }
                Ok(ops)
            }
            AstNode::Mark { child, .. } => self.node(child),
            AstNode::If { cond, then, otherwise } => {
                let cond = self.cond(cond)?;
                let then = self.node(then)?;
                let otherwise = otherwise.as_ref().map_or(Ok(Vec::new()), |node| self.node(node))?;
                Ok(vec![Op::If { cond, then, otherwise }])
            }
            AstNode::For { iterator, init, body, degenerate: true, .. } => {
                let value = self.int(init)?;
                let Scanned { name, .. } = self.member_of(iterator, body)?;
                let ops = self.with_value(iterator, value, body)?;
                let ops = self.private.inside(&name, ops);
                self.where_exact(&[init], ops)
            }
            AstNode::For { iterator, init, cond, inc, body, .. } => self.loop_over(iterator, [init, cond, inc], body),
            AstNode::User { name, at, data: Known::Whole(whole) } => self.instance(name, at, whole),
            AstNode::User { name, at, data: Known::Iterations(here) } => self.inside(name, at, here),
            AstNode::User { name, at, data: Known::Launch(here, blocks) } => self.launch(name, at, here, blocks),
        }
    }

    fn with_value(&mut self, name: &str, value: Int, body: &AstNode<Known>) -> Result<Vec<Op>, Error> {
        let outer = self.values.insert(name.to_string(), value);
        let ops = self.node(body);
        match outer {
            Some(outer) => self.values.insert(name.to_string(), outer),
            None => self.values.remove(name),
        };
        ops
    }

    /// One iteration of a loop whose iterations run apart.
    fn inside(&mut self, name: &str, at: &[AstExpr], here: &isl::Set) -> Result<Vec<Op>, Error> {
        let Some(Subtree { schedule, members, .. }) = self.leaves.subtrees.get(name) else {
            return Err(malformed(name, "no such loop"));
        };
        // isl leaves out loops that run once: their iterators have a value all the same.
        let values = at.iter().enumerate().map(|(depth, value)| Ok((iterator(depth), self.int(value)?)));
        let values = values.collect::<Result<Vec<_>, Error>>()?;
        let outer = self.values.clone();
        self.values.extend(values);
        let (own, added) = self.left_out(members);
        let ops = self.loops(schedule, &context(self.lowering.scop, here)?, members.len());
        self.values = outer;
        self.kernel.iter_mut().for_each(|kernel| kernel.dealt.retain(|depth| !added.contains(depth)));
        let name = members.last().map_or("", |own| &own.name);
        let ops = self.private.inside(name, ops?);
        Ok(if own.as_const() == Some(true) {
            ops
        } else {
            vec![Op::If { cond: own, then: ops, otherwise: Vec::new() }]
        })
    }

    /// Of the loops on axes that isl left out because they run once: whether their iteration is this thread's. They count
    /// as dealt out from here on, and are named by depth.
    fn left_out(&mut self, members: &[Scanned]) -> (Cond, Vec<usize>) {
        let Some(kernel) = &mut self.kernel else { return (Cond::always(), Vec::new()) };
        let (mut conds, mut added, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (depth, member) in members.iter().enumerate() {
            if let Some(axis) = member.kind.axis()
                && !kernel.dealt.contains(&depth)
                && let Some(value) = self.values.get(&iterator(depth))
            {
                conds.push(kernel.is_own(axis, value));
                kernel.dealt.insert(depth);
                added.push(depth);
                numbers.extend(kernel.number_on(axis).map(|number| (number, &member.name)));
            }
        }
        numbers.into_iter().for_each(|(number, name)| self.counts(number, name));
        (Cond::all(conds), added)
    }

    /// A kernel, launched for one iteration of the loops of the host.
    fn launch(
        &mut self,
        name: &str,
        at: &[AstExpr],
        here: &isl::Set,
        blocks: &[Option<(AstExpr, AstExpr)>; 3],
    ) -> Result<Vec<Op>, Error> {
        let kernel = self.leaves.subtrees.get(name).and_then(|subtree| subtree.kernel.as_ref());
        let Some(&(kernel, _)) = kernel else { return Err(malformed(name, "no such kernel")) };
        if self.kernel.is_some() {
            return Err(malformed(name, "a kernel inside of a kernel"));
        }
        // Kernels may use each other's names.
        let names = self.names.clone();
        let (mut grid, mut block, mut threads) = (Vec::new(), [None, None, None], [None, None, None]);
        for (axis, extent) in blocks.iter().enumerate() {
            let Some((first, last)) = extent else { continue };
            let (first, last) = (self.int(first)?, self.int(last)?);
            // Dimensions before this one have to be there.
            while grid.len() < axis {
                grid.push((self.variable(BLOCKS[grid.len()]), Int::Const(1)));
            }
            let var = self.variable(BLOCKS[axis]);
            grid.push((var, last - first.clone() + 1));
            block[axis] = Some((var, first));
        }
        let mut of_block = Vec::new();
        let dimensions = kernel.threads.iter().rposition(|&threads| threads > 1).map_or(0, |last| last + 1);
        for axis in 0..dimensions {
            let var = self.variable(THREADS[axis]);
            of_block.push((var, kernel.threads[axis]));
            threads[axis] = (kernel.threads[axis] > 1).then_some(var);
        }
        self.kernel = Some(InKernel { kernel, block, thread: threads, dealt: BTreeSet::new() });
        let body = self.inside(name, at, here);
        self.kernel = None;
        self.names = names;
        let body = self.private.in_kernel(combine::met_by_all(body?, &of_block, &self.partial)?);
        let program = &self.lowering.program;
        let buffers = program.buffers.iter().filter(|(_, buffer)| buffer.place == Place::Shared);
        let shared = buffers.map(|(id, _)| id).filter(|&id| touches(&body, id)).collect();
        let name = self.kernel_name();
        Ok(vec![Op::Launch(Launch { name, grid, block: of_block, shared, body })])
    }

    /// The program's name, then with a number.
    fn kernel_name(&mut self) -> String {
        let name = &self.lowering.program.name;
        let numbered = (2u64..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let name = names.find(|name| !self.kernels.contains(name)).expect("a program has finitely many kernels");
        self.kernels.insert(name.clone());
        name
    }

    /// A loop on an axis of the kernel around.
    fn dealt_out(
        &mut self,
        axis: Axis,
        (iterator, name): (&str, &str),
        (lower, upper, stride): (Int, Int, i64),
        body: &AstNode<Known>,
    ) -> Result<Vec<Op>, Error> {
        let Some(kernel) = &mut self.kernel else { return Err(malformed(name, "an axis outside of kernels")) };
        let depth = iterator.strip_prefix('#').and_then(|depth| depth.parse::<usize>().ok());
        let added = depth.filter(|depth| kernel.dealt.insert(*depth));
        let number = kernel.number_on(axis);
        let first = lower.clone();
        let is_there = |value: &Int| {
            let distance = (value.clone() - first.clone()).modulo(stride);
            Cond::compare(CmpOp::Eq, distance, Int::Const(0))
        };
        let ops = if let Some(own) = kernel.own_block(axis) {
            let cond = Cond::all([
                Cond::compare(CmpOp::Le, lower, own.clone()),
                Cond::compare(CmpOp::Lt, own.clone(), upper),
                is_there(&own),
            ]);
            let then = self.with_value(iterator, own, body)?;
            vec![Op::If { cond, then: self.private.inside(name, then), otherwise: Vec::new() }]
        } else {
            let own = kernel.own_iterations(axis, &lower);
            let var = self.variable_of(iterator, name);
            let body = self.with_value(iterator, Int::Var(var), body)?;
            let mut body = self.private.inside(name, body);
            let (lower, upper, step) = match own {
                None => (lower, upper, stride),
                Some((first, threads)) if has_meeting(&body) => {
                    // Where threads meet, all of them run as many strides.
                    let strides = (upper.clone() - lower + (threads - 1)).floor_div(threads);
                    let value = first + threads * Int::Var(var);
                    let at_value = |other| if other == var { value.clone() } else { Int::Var(other) };
                    let then = body.iter().map(|op| substituted(op, &at_value)).collect();
                    let is_below = Cond::compare(CmpOp::Lt, value.clone(), upper);
                    body = vec![Op::If { cond: Cond::all([is_below, is_there(&value)]), then, otherwise: Vec::new() }];
                    (Int::Const(0), strides, 1)
                }
                Some((first, threads)) => {
                    let cond = is_there(&Int::Var(var));
                    if cond.as_const() != Some(true) {
                        body = vec![Op::If { cond, then: body, otherwise: Vec::new() }];
                    }
                    (first, upper, threads)
                }
            };
            vec![Op::For { var, lower, upper, step: Int::Const(step), parallel: false, body }]
        };
        number.into_iter().for_each(|number| self.counts(number, name));
        if let (Some(depth), Some(kernel)) = (added, &mut self.kernel) {
            kernel.dealt.remove(&depth);
        }
        Ok(ops)
    }

    fn loop_over(
        &mut self,
        iterator: &str,
        [init, cond, inc]: [&AstExpr; 3],
        body: &AstNode<Known>,
    ) -> Result<Vec<Op>, Error> {
        let Scanned { name, kind, tile } = self.member_of(iterator, body)?;
        let AstExpr::Int(step) = inc else { return Err(malformed(name, "a loop with a variable step")) };
        let step = tile.map_or(Int::Const(*step), Int::Param);
        let lower = self.int(init)?;
        let upper = self.upper(iterator, cond)?;
        if let (Some(axis), Some(_)) = (kind.axis(), &self.kernel) {
            let Some(step) = step.as_const() else {
                return Err(malformed(name, "a loop on an axis with a variable step"));
            };
            let ops = self.dealt_out(axis, (iterator, &name), (lower, upper, step), body)?;
            return self.where_exact(&[init, cond], ops);
        }
        let var = self.variable_of(iterator, &name);
        let body = self.with_value(iterator, Int::Var(var), body)?;
        let body = self.private.inside(&name, body);
        let parallel = kind == Kind::Parallel && self.kernel.is_none();
        if let Some(axis) = kind.axis() {
            let why = format!("this target has no axis `{axis}`: its iterations run one after another");
            self.note(Remark::new("codegen", &name, "not bound", why));
        }
        self.where_exact(&[init, cond], vec![Op::For { var, lower, upper, step, parallel, body }])
    }

    /// The loop where the divisions in its bounds leave no remainder. isl promises that of all of them, and takes the
    /// bounds to say what it then knows of the loops around; but where these have values for which there is a
    /// remainder, it is the promise that is wrong: there is no instance for them.
    fn where_exact(&self, bounds: &[&AstExpr], ops: Vec<Op>) -> Result<Vec<Op>, Error> {
        let mut divisions = Vec::new();
        bounds.iter().for_each(|bound| exact_divisions(bound, &mut divisions));
        let exact = divisions.into_iter().map(|[dividend, divisor]| {
            let remainder = self.int(&AstExpr::Op(AstOp::ZeroRem, vec![dividend.clone(), divisor.clone()]))?;
            Ok(Cond::compare(CmpOp::Eq, remainder, Int::Const(0)))
        });
        let cond = Cond::all(exact.collect::<Result<Vec<_>, Error>>()?);
        if cond.as_const() == Some(true) {
            return Ok(ops);
        }
        Ok(vec![Op::If { cond, then: ops, otherwise: Vec::new() }])
    }

    /// The member that a loop runs over: of the first part in it. A loop over instances that no member tells apart has
    /// a name of isl's; they are in any order.
    fn member_of(&self, iterator: &str, body: &AstNode<Known>) -> Result<Scanned, Error> {
        let Some(depth) = iterator.strip_prefix('#').and_then(|depth| depth.parse::<usize>().ok()) else {
            return Ok(Scanned { name: iterator.to_string(), kind: Kind::Sequential, tile: None });
        };
        let member = first_part(body).and_then(|name| self.leaves.members(name)?.get(depth));
        member.cloned().ok_or_else(|| malformed(iterator, "a loop of no member"))
    }

    /// One past the last value that the condition allows.
    fn upper(&mut self, iterator: &str, cond: &AstExpr) -> Result<Int, Error> {
        match cond {
            AstExpr::Op(op @ (AstOp::Le | AstOp::Lt), sides) => match sides.as_slice() {
                [AstExpr::Id(name), bound] if name == iterator => {
                    let bound = self.int(bound)?;
                    Ok(if *op == AstOp::Le { one_more(bound) } else { bound })
                }
                _ => Err(malformed(iterator, "a loop's bound is not on its iterator")),
            },
            AstExpr::Op(AstOp::And | AstOp::AndThen, parts) => {
                let bounds = parts.iter().map(|part| self.upper(iterator, part)).collect::<Result<Vec<_>, _>>()?;
                bounds.into_iter().reduce(Int::min).ok_or_else(|| malformed(iterator, "a loop without a bound"))
            }
            _ => Err(malformed(iterator, "a loop's condition is no upper bound")),
        }
    }

    /// A fresh variable, named after the last part of `name`.
    fn variable(&mut self, name: &str) -> VarId {
        let short = name.rsplit('.').next().unwrap_or(name);
        let mut unique = short.to_string();
        let mut count = 1;
        while !self.names.insert(unique.clone()) {
            count += 1;
            unique = format!("{short}{count}");
        }
        self.lowering.program.vars.push(unique.into())
    }

    /// A fresh variable of a loop of the schedule, unless isl made it.
    fn variable_of(&mut self, iterator: &str, member: &str) -> VarId {
        let var = self.variable(member);
        if iterator != member {
            self.counts(var, member);
        }
        var
    }

    /// Says that a variable counts iterations of a loop of the schedule.
    fn counts(&mut self, var: VarId, member: &str) {
        let loops = &mut self.lowering.program.vars[var].loops;
        if !loops.iter().any(|known| known == member) {
            loops.push(member.to_string());
        }
    }

    fn instance(&mut self, name: &str, at: &[AstExpr], whole: &AstExpr) -> Result<Vec<Op>, Error> {
        let leaves = self.leaves;
        let part = leaves.parts.get(name).ok_or_else(|| malformed(name, "no such part"))?;
        if self.lowering.scop.stmts[part.stmt].is_barrier() {
            return Ok(vec![Op::Barrier]);
        }
        if let Some(Step::Start(at)) = self.partial.step(part.stmt) {
            return Ok(self.partial.started(at));
        }
        let only = self.kernel.as_ref().map_or(Cond::always(), |kernel| kernel.is_first_beside(&part.members));
        let ops = self.everywhere(part, at, whole)?;
        let ops = if only.as_const() == Some(true) {
            ops
        } else {
            vec![Op::If { cond: only, then: ops, otherwise: Vec::new() }]
        };
        Ok(match (self.partial.step(part.stmt), &self.kernel) {
            (Some(Step::Finish(at)), Some(kernel)) => {
                self.partial.combined(at, kernel, &mut self.lowering)?.into_iter().chain(ops).collect()
            }
            _ => ops,
        })
    }

    /// The instances of a part in a box, in every thread that gets here.
    fn everywhere(&mut self, part: &Part, at: &[AstExpr], whole: &AstExpr) -> Result<Vec<Op>, Error> {
        let at = at.iter().map(|e| self.int(e)).collect::<Result<Vec<_>, _>>()?;
        let first: Vec<Int> = part.first.iter().map(|index| Int::from_index(index, &|dim| at[dim].clone())).collect();
        let whole = self.cond(whole)?;
        let unguarded = Tests::new();
        match whole.as_const() {
            Some(true) => self.expanded(part, first, &unguarded, Copies::Unrolled),
            Some(false) => self.expanded(part, first, &part.tests, Copies::Unrolled),
            None => {
                let then = self.expanded(part, first.clone(), &unguarded, Copies::Unrolled)?;
                let copies = part.boxing.unrolled.iter().map(|factor| factor.width).product::<i64>();
                let how = if copies <= MOST_CUT_COPIES { Copies::Unrolled } else { Copies::Looped };
                let otherwise = self.expanded(part, first, &part.tests, how)?;
                Ok(vec![Op::If { cond: whole, then, otherwise }])
            }
        }
    }

    /// The points of a box from `first` on.
    fn expanded(&mut self, part: &Part, first: Vec<Int>, tests: &Tests, copies: Copies) -> Result<Vec<Op>, Error> {
        let stmt = &self.lowering.scop.stmts[part.stmt];
        let mut unrolled = part.boxing.unrolled.clone();
        let mut vector = part.boxing.vector.filter(|factor| factor.width > 1);
        let mut combined = None;
        if let Some(factor) = vector {
            let coordinates = in_lanes(&first, part.extras, Some(factor));
            let (coordinates, lanes) = (&coordinates[part.extras..], factor.width as u32);
            let step = self.partial.step(part.stmt);
            combined = match step {
                Some(Step::Update(at)) => self.partial.operator(at),
                _ => self.lowering.combines_lanes(stmt, coordinates, lanes),
            };
            // Lanes have one partial result.
            let has_lanes = !matches!(step, Some(Step::Update(_))) && self.lowering.has_lanes(stmt, coordinates, lanes);
            if combined.is_none() && !has_lanes {
                let why = "its lanes would store to the same element, or to elements that are found while running";
                self.note(Remark::new("codegen", &stmt.name, "not vectorised", why));
                vector = None;
                unrolled.push(factor);
            }
        }
        let expansion = Expansion { part, vector, combined, tests, copies };
        self.copies(&expansion, &unrolled, first)
    }

    fn copies(&mut self, expansion: &Expansion<'_>, unrolled: &[Factor], at: Vec<Int>) -> Result<Vec<Op>, Error> {
        let Some((factor, inner)) = unrolled.split_first() else { return self.point(expansion, &at) };
        let dim = expansion.part.extras + factor.dim;
        let moved = |by: Int| {
            let mut at = at.clone();
            at[dim] = at[dim].clone() + factor.stride * by;
            at
        };
        match expansion.copies {
            Copies::Unrolled => {
                let mut ops = Vec::new();
                for copy in 0..factor.width {
                    ops.extend(self.copies(expansion, inner, moved(Int::Const(copy)))?);
                }
                Ok(ops)
            }
            Copies::Looped => {
                let name = self.lowering.scop.stmts[expansion.part.stmt].dims[factor.dim].clone();
                let var = self.variable(&name);
                let body = self.copies(expansion, inner, moved(Int::Var(var)))?;
                let (lower, upper) = (Int::Const(0), Int::Const(factor.width));
                Ok(vec![Op::For { var, lower, upper, step: Int::Const(1), parallel: false, body }])
            }
        }
    }

    fn point(&mut self, expansion: &Expansion<'_>, at: &[Int]) -> Result<Vec<Op>, Error> {
        let part = expansion.part;
        let coordinates = in_lanes(at, part.extras, expansion.vector);
        let lanes = expansion.vector.map_or(1, |factor| factor.width as u32);
        let (extras, combined) = (part.extras, expansion.combined);
        let place = match self.partial.step(part.stmt) {
            Some(Step::Update(at)) => Updated::Partial(self.partial.registers(at)),
            Some(Step::Finish(at)) if self.partial.is_atomic(at) => Updated::Atomically(self.partial.registers(at)),
            Some(Step::Finish(at)) => Updated::From(self.partial.registers(at)),
            _ => Updated::Element,
        };
        let point = Point { coordinates: &coordinates, extras, lanes, combined, place };
        let stmt = &self.lowering.scop.stmts[part.stmt];
        self.lowering.guarded(stmt, &point, expansion.tests)
    }

    fn note(&mut self, remark: Remark) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    fn int(&self, expr: &AstExpr) -> Result<Int, Error> {
        match expr {
            AstExpr::Int(value) => Ok(Int::Const(*value)),
            AstExpr::Id(name) => {
                self.values.get(name).cloned().ok_or_else(|| malformed(name, "neither a parameter nor an iterator"))
            }
            AstExpr::Op(op, arguments) => self.int_op(*op, arguments),
        }
    }

    fn int_op(&self, op: AstOp, arguments: &[AstExpr]) -> Result<Int, Error> {
        use AstOp::*;
        let many = |fold: fn(Int, Int) -> Int| -> Result<Int, Error> {
            let values = arguments.iter().map(|e| self.int(e)).collect::<Result<Vec<_>, _>>()?;
            values.into_iter().reduce(fold).ok_or_else(|| malformed("expression", "an operator without operands"))
        };
        match (op, arguments) {
            (Max, _) => many(Int::max),
            (Min, _) => many(Int::min),
            (Add, _) => many(|a, b| a + b),
            (Sub, _) => many(|a, b| a - b),
            (Mul, _) => many(|a, b| a * b),
            (Minus, [e]) => Ok(-self.int(e)?),
            (Div | FloorDiv | PosDiv, [e, AstExpr::Int(by)]) if *by >= 1 => Ok(self.int(e)?.floor_div(*by)),
            (PosRem | ZeroRem, [e, AstExpr::Int(by)]) if *by >= 1 => Ok(self.int(e)?.modulo(*by)),
            (Cond | Select, [cond, then, otherwise]) => {
                Ok(Int::select(self.cond(cond)?, self.int(then)?, self.int(otherwise)?))
            }
            (And | AndThen | Or | OrElse | Eq | Le | Lt | Ge | Gt, _) => {
                let cond = self.cond(&AstExpr::Op(op, arguments.to_vec()))?;
                Ok(Int::select(cond, Int::Const(1), Int::Const(0)))
            }
            _ => Err(malformed("expression", format!("an operator {op:?} that is not known here"))),
        }
    }

    fn cond(&self, expr: &AstExpr) -> Result<Cond, Error> {
        use AstOp::{And, AndThen, Eq, Ge, Gt, Le, Lt, Or, OrElse, Select};
        let AstExpr::Op(op, arguments) = expr else {
            return Ok(Cond::compare(CmpOp::Ne, self.int(expr)?, Int::Const(0)));
        };
        let parts = || arguments.iter().map(|e| self.cond(e)).collect::<Result<Vec<_>, _>>();
        match (op, arguments.as_slice()) {
            (And | AndThen, _) => Ok(Cond::all(parts()?)),
            (Or | OrElse, _) => Ok(Cond::any(parts()?)),
            (Eq, [a, b]) => Ok(Cond::compare(CmpOp::Eq, self.int(a)?, self.int(b)?)),
            (Le, [a, b]) => Ok(Cond::compare(CmpOp::Le, self.int(a)?, self.int(b)?)),
            (Lt, [a, b]) => Ok(Cond::compare(CmpOp::Lt, self.int(a)?, self.int(b)?)),
            (Ge, [a, b]) => Ok(Cond::compare(CmpOp::Ge, self.int(a)?, self.int(b)?)),
            (Gt, [a, b]) => Ok(Cond::compare(CmpOp::Gt, self.int(a)?, self.int(b)?)),
            (AstOp::Cond | Select, [cond, then, otherwise]) => {
                let cond = self.cond(cond)?;
                let (then, otherwise) = (self.cond(then)?, self.cond(otherwise)?);
                let not = cond.clone().negate();
                Ok(Cond::any([Cond::all([cond, then]), Cond::all([not, otherwise])]))
            }
            _ => Ok(Cond::compare(CmpOp::Ne, self.int(expr)?, Int::Const(0))),
        }
    }
}

/// Names of the numbers of blocks and threads.
const BLOCKS: [&str; 3] = ["bx", "by", "bz"];
const THREADS: [&str; 3] = ["tx", "ty", "tz"];

/// Cut boxes of more copies than this are written as loops.
const MOST_CUT_COPIES: i64 = 96;

/// How the unrolled members of a box are written.
#[derive(Clone, Copy)]
enum Copies {
    /// Point after point.
    Unrolled,
    /// As loops: of cut boxes beside whole ones, which are few and not worth the code.
    Looped,
}

struct Expansion<'a> {
    part: &'a Part,
    vector: Option<Factor>,
    /// By which operator the lanes are combined.
    combined: Option<BinOp>,
    tests: &'a Tests,
    copies: Copies,
}

/// The extras and dimensions of a point, or of the lanes from there on.
fn in_lanes(at: &[Int], extras: usize, vector: Option<Factor>) -> Vec<Lane> {
    let mut coordinates: Vec<Lane> = at.iter().cloned().map(Lane::uniform).collect();
    if let Some(factor) = vector {
        coordinates[extras + factor.dim].step = factor.stride;
    }
    coordinates
}

/// `bound + 1`, inside of minima.
fn one_more(bound: Int) -> Int {
    match bound {
        Int::Min(a, b) => one_more(*a).min(one_more(*b)),
        other => other + 1,
    }
}

/// The dividends and divisors of the divisions that isl takes to leave no remainder.
fn exact_divisions<'e>(expr: &'e AstExpr, found: &mut Vec<[&'e AstExpr; 2]>) {
    let AstExpr::Op(op, arguments) = expr else { return };
    if let (AstOp::Div, [dividend, divisor]) = (op, arguments.as_slice())
        && !found.contains(&[dividend, divisor])
    {
        found.push([dividend, divisor]);
    }
    arguments.iter().for_each(|argument| exact_divisions(argument, found));
}

fn first_part(node: &AstNode<Known>) -> Option<&str> {
    match node {
        AstNode::User { name, .. } => Some(name),
        AstNode::For { body, .. } | AstNode::Mark { child: body, .. } => first_part(body),
        AstNode::If { then, otherwise, .. } => first_part(then).or_else(|| otherwise.as_deref().and_then(first_part)),
        AstNode::Block(children) => children.iter().find_map(first_part),
    }
}

use std::collections::BTreeSet;

use polyhedral::{BinOp, CmpOp, UnOp};
use support::{Remark, Table};

use super::fresh_copy;
use super::ranges::Ranges;
use super::simplify::simplified;
use super::values::{condition, decided, integer, lane_var};
use crate::{At, Cond, Int, Launch, Op, Program, Reg, RegId, Value, Var, VarId};

/// Cuts loops where the condition of a selection changes, or a subscript begins to bend at a border: the inside of a stencil
/// runs without the tests of its border.
///
/// ```text
/// for j in 0..9 {                                     B[0] = A[0]
///   B[j] = j > 0 ? A[j - 1] + A[j] : A[j]      ->     for j in 1..9 { B[j] = A[j - 1] + A[j] }
/// }
/// ```
///
/// In two dimensions that makes nine regions: corners, edges, the interior. A condition that depends on loops inside is
/// cut where it holds in all their iterations, and lanes count as a loop inside. A parallel loop stays one, and asks in each
/// iteration which piece it is in. Always valid, as the iterations and their order stay, wherever the cuts are: piece `k`
/// is `max(lower, c1, …, ck) .. min(c(k+1), upper)`. Index set splitting (Griebl, Feautrier, Lengauer, IJPP 2000), on loops
/// that are there already, so that boxes of lanes stay where they are.
///
/// The interior is cut first, and the other regions as long as the program does not become too large; that one does is
/// remarked.
pub fn split(program: Program, remarks: &mut Vec<Remark>) -> Program {
    let Program { vars, regs, body, .. } = &program;
    let mut pass = Pass { vars: vars.clone(), regs, growth: MOST_GROWTH, is_inside: true, left: BTreeSet::new() };
    let body = pass.ops(body, &Ranges::default());
    let remark = |name: &String| Remark::new("codegen", name, "border not cut off", "the loops would become too large");
    remarks.extend(pass.left.iter().map(remark));
    let vars = pass.vars;
    Program { vars, body, ..program }
}

/// Cuts of one loop: an inside and a border of two layers at each side. Of more cuts those at the widest piece are taken.
const MOST_CUTS: usize = 4;
/// Values that pieces may add to a program.
const MOST_GROWTH: usize = 8192;
/// Values that a loop may become when every layer of its border is a piece.
const MOST_IN_LAYERS: usize = 512;
/// Size parameters of which a loop may be cut.
const MOST_PARAMS: usize = 64;
/// What the size parameters are taken to be, to find an order of cuts; any order is valid.
const SOME_SIZE: i64 = 1 << 20;

struct Pass<'a> {
    vars: Table<VarId, Var>,
    regs: &'a Table<RegId, Reg>,
    /// Values that may still be added.
    growth: usize,
    /// Whether this is the inside of all loops around.
    is_inside: bool,
    /// The loops that keep their borders.
    left: BTreeSet<String>,
}

/// A loop without its body.
struct Head<'a> {
    var: VarId,
    lower: &'a Int,
    upper: &'a Int,
}

/// Where a loop is cut.
struct Pieces {
    /// The first value of each piece, and one past its last.
    bounds: Vec<(Int, Int)>,
    /// One fewer: where the next piece begins.
    cuts: Vec<Int>,
    /// Which piece is the widest.
    inside: usize,
}

impl Pass<'_> {
    fn ops(&mut self, ops: &[Op], ranges: &Ranges) -> Vec<Op> {
        ops.iter().flat_map(|op| self.op(op, ranges)).collect()
    }

    fn op(&mut self, op: &Op, ranges: &Ranges) -> Vec<Op> {
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                let head = Head { var: *var, lower, upper };
                let around = |lower, upper, body| {
                    let (var, step, parallel) = (*var, step.clone(), *parallel);
                    Op::For { var, lower, upper, step, parallel, body }
                };
                let pieces = (*step == Int::Const(1)).then(|| self.pieces(&head, body, ranges)).flatten();
                let Some(pieces) = pieces else {
                    let body = self.ops(body, &ranges.inside(*var, lower, upper));
                    return vec![around(lower.clone(), upper.clone(), body)];
                };
                let bodies = self.bodies(*var, &pieces, body, ranges);
                if *parallel {
                    let body = chosen(*var, &pieces.cuts, bodies);
                    return vec![around(lower.clone(), upper.clone(), body)];
                }
                let apart = pieces.bounds.into_iter().zip(bodies);
                apart
                    .flat_map(|((lower, upper), body)| fresh_copy(&[around(lower, upper, body)], &mut self.vars))
                    .collect()
            }
            Op::If { cond, then, otherwise } => vec![Op::If {
                cond: cond.clone(),
                then: self.ops(then, &ranges.where_holds(cond)),
                otherwise: self.ops(otherwise, &ranges.where_holds(&cond.clone().negate())),
            }],
            Op::Local { buffer, body } => vec![Op::Local { buffer: *buffer, body: self.ops(body, ranges) }],
            other => vec![other.clone()],
        }
    }

    /// The body in each piece, without what is decided there, cut further where its own loops still have tests: that of the
    /// inside first.
    fn bodies(&mut self, var: VarId, pieces: &Pieces, body: &[Op], ranges: &Ranges) -> Vec<Vec<Op>> {
        let mut order: Vec<usize> = (0..pieces.bounds.len()).collect();
        order.sort_by_key(|&at| at != pieces.inside);
        let mut bodies = vec![Vec::new(); order.len()];
        for at in order {
            let (lower, upper) = &pieces.bounds[at];
            let there = ranges.inside(var, lower, upper);
            let around = self.is_inside;
            self.is_inside = around && at == pieces.inside;
            let body = simplified(&decided(body, &there, self.regs), &there);
            let body = self.ops(&body, &there);
            bodies[at] = fresh_copy(&body, &mut self.vars);
            self.is_inside = around;
        }
        bodies
    }

    /// Where to cut a loop, when it has a border.
    fn pieces(&mut self, head: &Head<'_>, body: &[Op], ranges: &Ranges) -> Option<Pieces> {
        let Head { var, lower, upper } = *head;
        let sample = |int: &Int| sampled(int, ranges);
        let (first, end) = (sample(lower)?, sample(upper)?);
        let mut found =
            Cuts { var, regs: self.regs, extent: end.checked_sub(first)?, inner: BTreeSet::new(), at: BTreeSet::new() };
        found.ops(body, &ranges.inside(var, lower, upper));
        let is_between = |at: &Int| {
            ranges.decide(CmpOp::Le, at, lower) != Some(true) && ranges.decide(CmpOp::Ge, at, upper) != Some(true)
        };
        let cuts = found.at.into_iter().filter(is_between).filter_map(|at| Some((sample(&at)?, at)));
        let mut cuts: Vec<(i64, Int)> = cuts.filter(|(at, _)| first < *at && *at < end).collect();
        cuts.sort();
        if cuts.is_empty() {
            return None;
        }
        let weight = weight(body);
        let fits = |cuts: &[(i64, Int)], most: usize| cuts.len() <= MOST_CUTS && weight * cuts.len() <= most;
        if !(self.is_inside && fits(&cuts, MOST_IN_LAYERS)) {
            let (_, from, to) = widest(&cuts, first, end);
            cuts = cuts.drain(from..to).collect();
        }
        if !fits(&cuts, self.growth) {
            self.left.insert(self.vars[var].name.clone());
            return None;
        }
        self.growth -= weight * cuts.len();
        let (inside, ..) = widest(&cuts, first, end);
        let cuts: Vec<Int> = cuts.into_iter().map(|(_, at)| at).collect();
        Some(Pieces { bounds: bounds(head, &cuts, ranges), cuts, inside })
    }
}

/// The widest of the pieces between cuts, and the range of the cuts that bound it.
fn widest(cuts: &[(i64, Int)], first: i64, end: i64) -> (usize, usize, usize) {
    let at = |cut: usize| cuts.get(cut).map_or(end, |(at, _)| *at);
    let start = |piece: usize| piece.checked_sub(1).map_or(first, at);
    let width = |&piece: &usize| at(piece).saturating_sub(start(piece));
    let piece = (0..=cuts.len()).rev().max_by_key(width).unwrap_or(0);
    (piece, piece.saturating_sub(1), (piece + 1).min(cuts.len()))
}

/// The pieces of a loop, for any values of the cuts.
fn bounds(head: &Head<'_>, cuts: &[Int], ranges: &Ranges) -> Vec<(Int, Int)> {
    let mut lower = head.lower.clone();
    let mut bounds = Vec::with_capacity(cuts.len() + 1);
    for cut in cuts {
        let upper = cut.clone().min(head.upper.clone());
        bounds.push((lower.clone(), ranges.int(&upper)));
        lower = ranges.int(&lower.max(cut.clone()));
    }
    bounds.push((lower, head.upper.clone()));
    bounds
}

/// The first body where the variable is before the first cut, else one of the others.
fn chosen(var: VarId, cuts: &[Int], mut bodies: Vec<Vec<Op>>) -> Vec<Op> {
    let last = bodies.pop().unwrap_or_default();
    cuts.iter().zip(bodies).rev().fold(last, |otherwise, (cut, then)| {
        vec![Op::If { cond: Cond::compare(CmpOp::Lt, Int::Var(var), cut.clone()), then, otherwise }]
    })
}

/// The value for some sizes, and the first values of the loops around.
fn sampled(int: &Int, ranges: &Ranges) -> Option<i64> {
    let var = |var: VarId| Some(ranges.interval(&Int::Var(var)).0.unwrap_or(0));
    int.eval(&var, &[SOME_SIZE; MOST_PARAMS])
}

/// Nodes of the values that are computed.
fn weight(ops: &[Op]) -> usize {
    let of_ops = |op: &Op| match op {
        Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => weight(body),
        Op::If { then, otherwise, .. } => weight(then) + weight(otherwise),
        Op::Store { value, .. } | Op::Set { value, .. } | Op::Check { value, .. } => nodes(value),
        Op::Prefetch { .. }
        | Op::LoadBlock { .. }
        | Op::StoreBlock { .. }
        | Op::Barrier
        | Op::Copy { .. }
        | Op::Wait
        | Op::Combine { .. }
        | Op::Atomic { .. } => 1,
    };
    ops.iter().map(of_ops).sum()
}

fn nodes(value: &Value) -> usize {
    1 + value.children().into_iter().map(nodes).sum::<usize>()
}

/// Where the conditions of selections change, and bounds begin to hold.
struct Cuts<'a> {
    var: VarId,
    regs: &'a Table<RegId, Reg>,
    /// How many iterations the loop has, for some sizes.
    extent: i64,
    /// The variables of loops inside.
    inner: BTreeSet<VarId>,
    at: BTreeSet<Int>,
}

impl Cuts<'_> {
    fn ops(&mut self, ops: &[Op], ranges: &Ranges) {
        for op in ops {
            match op {
                Op::For { var, lower, upper, body, .. } => {
                    self.inner.insert(*var);
                    self.ops(body, &ranges.inside(*var, lower, upper));
                }
                Op::If { cond, then, otherwise } => {
                    self.ops(then, &ranges.where_holds(cond));
                    self.ops(otherwise, &ranges.where_holds(&cond.clone().negate()));
                }
                Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => self.ops(body, ranges),
                Op::Store { value, lanes, at, .. } => {
                    let lanes = in_lanes(ranges, *lanes);
                    self.value(value, &lanes);
                    at.iter().for_each(|at| self.subscript(at, &lanes));
                }
                Op::Set { reg, value } => self.value(value, &in_lanes(ranges, self.regs[*reg].lanes)),
                Op::Check { .. }
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
    }

    fn subscript(&mut self, at: &At, ranges: &Ranges) {
        match at {
            At::Affine { base, .. } => self.int(base, ranges),
            At::Indirect(value) => self.value(value, ranges),
        }
    }

    /// A subscript that a border bends: where it begins to.
    fn int(&mut self, int: &Int, ranges: &Ranges) {
        match int {
            Int::Const(_) | Int::Var(_) | Int::Param(_) => {}
            Int::Add(a, b) | Int::Mul(a, b) => {
                self.int(a, ranges);
                self.int(b, ranges);
            }
            Int::Min(a, b) | Int::Max(a, b) => {
                self.at_least_zero((**a).clone() - (**b).clone(), ranges);
                self.int(a, ranges);
                self.int(b, ranges);
            }
            Int::Mod(e, by) => {
                self.turns(e, *by, ranges);
                self.int(e, ranges);
            }
            Int::FloorDiv(e, _) => self.int(e, ranges),
            Int::Select(test, a, b) => {
                self.test(test, ranges);
                self.int(a, ranges);
                self.int(b, ranges);
            }
        }
    }

    /// Where a choice of integers changes.
    fn test(&mut self, test: &Cond, ranges: &Ranges) {
        match test {
            Cond::Compare(op, a, b) => self.comparison(*op, &(a.clone() - b.clone()), ranges),
            Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| self.test(part, ranges)),
            Cond::Not(inner) => self.test(inner, ranges),
        }
    }

    /// Where `e mod by` begins again, when that is in few places only: a border, and not a pattern.
    fn turns(&mut self, e: &Int, by: i64, ranges: &Ranges) {
        let (Some(low), Some(high)) = ranges.interval(e) else { return };
        let (first, last) = (low.div_euclid(by), high.div_euclid(by));
        if last.saturating_sub(first) <= FEW {
            (first + 1..=last)
                .for_each(|turn| self.at_least_zero(e.clone() - Int::Const(turn.saturating_mul(by)), ranges));
        }
    }

    fn value(&mut self, value: &Value, ranges: &Ranges) {
        match value {
            Value::Select(condition, ..) => self.condition(condition, ranges),
            // A bound of a subscript: where it begins to hold lanes that were neighbours are none.
            Value::Binary(BinOp::Min | BinOp::Max, a, b) => {
                if let (Some((a, _)), Some((b, _))) = (integer(a, ranges), integer(b, ranges)) {
                    self.at_least_zero(a - b, ranges);
                }
            }
            Value::Binary(BinOp::Mod, a, b) => match (integer(a, ranges), integer(b, ranges)) {
                (Some((a, _)), Some((Int::Const(by @ 1..), _))) => self.turns(&a, by, ranges),
                (Some((a, _)), Some((by, _))) => {
                    self.at_least_zero(a.clone(), ranges);
                    self.at_least_zero(a - by, ranges);
                }
                _ => {}
            },
            Value::Load { at, .. } => {
                at.iter().filter(|at| matches!(at, At::Affine { .. })).for_each(|at| self.subscript(at, ranges));
            }
            _ => {}
        }
        value.children().into_iter().for_each(|child| self.value(child, ranges));
    }

    fn condition(&mut self, value: &Value, ranges: &Ranges) {
        match value {
            Value::Binary(BinOp::And | BinOp::Or, a, b) => {
                self.condition(a, ranges);
                self.condition(b, ranges);
            }
            Value::Unary(UnOp::Not, e) => self.condition(e, ranges),
            comparison => {
                let open = condition(comparison, ranges).filter(|cond| ranges.cond(cond).as_const().is_none());
                if let Some(Cond::Compare(op, a, b)) = open {
                    self.comparison(op, &(a - b), ranges);
                }
            }
        }
    }

    /// `difference op 0`.
    fn comparison(&mut self, op: CmpOp, difference: &Int, ranges: &Ranges) {
        let one = || Int::Const(1);
        match op {
            CmpOp::Ge => self.at_least_zero(difference.clone(), ranges),
            CmpOp::Gt => self.at_least_zero(difference.clone() - one(), ranges),
            CmpOp::Le => self.at_least_zero(-difference.clone(), ranges),
            CmpOp::Lt => self.at_least_zero(-difference.clone() - one(), ranges),
            CmpOp::Eq | CmpOp::Ne => {
                self.at_least_zero(difference.clone(), ranges);
                self.at_least_zero(-difference.clone(), ranges);
            }
        }
    }

    /// Where `int >= 0` begins to hold, or ends, whichever of the operands of a minimum or maximum in it counts.
    fn at_least_zero(&mut self, int: Int, ranges: &Ranges) {
        for int in alternatives(&int) {
            if let Some([some, all]) = self.turn(&int, ranges) {
                let undecided = sampled(&(all.clone() - some.clone()), ranges).map_or(i64::MAX, i64::abs);
                if undecided <= FEW.max(self.extent / 2) {
                    self.at.extend([some, all]);
                }
            }
        }
    }

    /// Where `c·var + rest >= 0` changes in some iteration of the loops inside or in some lane, and in all of them.
    fn turn(&self, int: &Int, ranges: &Ranges) -> Option<[Int; 2]> {
        let c = int.weight(self.var)?;
        let [low, high] = self.ends(&(int.clone() - c * Int::Var(self.var)), ranges)?;
        Some([high, low].map(|rest| match c > 0 {
            // c·var >= -rest
            true => -rest.floor_div(c),
            // The last var with -c·var <= rest is the one before.
            false => rest.floor_div(c.saturating_neg()) + 1,
        }))
    }

    /// The least and the greatest value over the iterations of the loops inside and the lanes; `None` where the loops around
    /// change it, which are then for themselves to be cut.
    fn ends(&self, rest: &Int, ranges: &Ranges) -> Option<[Int; 2]> {
        let linear = rest.linear();
        let mut ends = [Int::Const(linear.constant), Int::Const(linear.constant)];
        for (atom, c) in &linear.terms {
            let (mut is_inner, mut is_outer) = (false, false);
            atom.each_var(&mut |var| match var == lane_var() || self.inner.contains(&var) {
                true => is_inner = true,
                false => is_outer = true,
            });
            let [low, high] = match (is_inner, is_outer) {
                (false, false) => [atom.clone(), atom.clone()],
                (true, false) => {
                    let (low, high) = ranges.interval(atom);
                    [Int::Const(low?), Int::Const(high?)]
                }
                (_, true) => return None,
            };
            let [low, high] = if *c > 0 { [low, high] } else { [high, low] };
            let [least, most] = ends;
            ends = [least + *c * low, most + *c * high];
        }
        Some(ends)
    }
}

/// Iterations in which a test may stay open, whatever the loop's extent.
const FEW: i64 = 2;
/// Expressions that one with minima and maxima stands for, at most.
const MOST_ALTERNATIVES: usize = 16;

/// The expression with one operand in place of each minimum and maximum, in every way.
fn alternatives(int: &Int) -> Vec<Int> {
    let mut open = vec![int.clone()];
    let mut plain = Vec::new();
    while let Some(int) = open.pop() {
        let bend = int.linear().terms.into_iter().find(|(atom, _)| matches!(atom, Int::Min(..) | Int::Max(..)));
        match bend {
            Some((atom, c)) if open.len() + plain.len() < MOST_ALTERNATIVES => {
                let rest = int - c * atom.clone();
                if let Int::Min(a, b) | Int::Max(a, b) = atom {
                    open.extend([a, b].map(|one| rest.clone() + c * *one));
                }
            }
            _ => plain.push(int),
        }
    }
    plain
}

fn in_lanes(ranges: &Ranges, lanes: u32) -> Ranges {
    ranges.inside(lane_var(), &Int::Const(0), &Int::Const(lanes.into()))
}

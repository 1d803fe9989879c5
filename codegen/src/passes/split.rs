use std::collections::BTreeSet;

use polyhedral::{BinOp, CmpOp, UnOp};
use support::Table;

use super::fresh_copy;
use super::ranges::Ranges;
use super::simplify::simplified;
use super::values::{condition, decided, integer, lane_var};
use crate::{At, Cond, Int, Op, Program, Reg, RegId, Value, VarId};

/// Cuts loops where the condition of a selection changes, or a bound of subscripts in lanes: the inside of a stencil runs
/// without the tests of its border.
///
/// ```text
/// for j in 0..9 {                                     B[0] = A[0]
///   B[j] = j > 0 ? A[j - 1] + A[j] : A[j]      ->     for j in 1..9 { B[j] = A[j - 1] + A[j] }
/// }
/// ```
///
/// A parallel loop stays one, and asks in each iteration which piece it is in. Always valid, as the iterations and their
/// order stay. Index set splitting (Griebl, Feautrier, Lengauer, IJPP 2000), on loops that are there already, so that
/// boxes of lanes stay where they are.
pub fn split(program: Program) -> Program {
    let Program { vars, regs, body, .. } = &program;
    let mut pass = Pass { vars: vars.clone(), regs };
    let body = pass.ops(body, &Ranges::default());
    let vars = pass.vars;
    Program { vars, body, ..program }
}

/// Cuts of one loop: an inside and a border of two layers at each side.
const MAX_CUTS: usize = 4;
/// Ops that one loop may become.
const MAX_OPS: usize = 512;

struct Pass<'a> {
    vars: Table<VarId, String>,
    regs: &'a Table<RegId, Reg>,
}

impl Pass<'_> {
    fn ops(&mut self, ops: &[Op], ranges: &Ranges) -> Vec<Op> {
        ops.iter().flat_map(|op| self.op(op, ranges)).collect()
    }

    fn op(&mut self, op: &Op, ranges: &Ranges) -> Vec<Op> {
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                let cuts = match (lower.as_const(), upper.as_const(), step.as_const()) {
                    (Some(lower), Some(upper), Some(1)) => self.cuts(*var, (lower, upper), body, ranges),
                    _ => Vec::new(),
                };
                let head = |var, lower: Int, upper: Int, body| Op::For {
                    var,
                    lower,
                    upper,
                    step: step.clone(),
                    parallel: *parallel,
                    body,
                };
                if cuts.is_empty() {
                    let body = self.ops(body, &ranges.inside(*var, lower, upper));
                    return vec![head(*var, lower.clone(), upper.clone(), body)];
                }
                if *parallel {
                    let ranges = ranges.inside(*var, lower, upper);
                    let body = self.chosen(*var, &cuts, body, &ranges);
                    return vec![head(*var, lower.clone(), upper.clone(), body)];
                }
                let starts = std::iter::once(lower.clone()).chain(cuts.iter().map(|&cut| Int::Const(cut)));
                let ends = cuts.iter().map(|&cut| Int::Const(cut)).chain([upper.clone()]);
                let mut pieces = Vec::new();
                for (lower, upper) in starts.zip(ends) {
                    let inside = ranges.inside(*var, &lower, &upper);
                    let body = self.piece(body, &inside);
                    pieces.extend(fresh_copy(&[head(*var, lower, upper, body)], &mut self.vars));
                }
                pieces
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

    /// The body for the first piece if the variable is in it, else for one of the others.
    fn chosen(&mut self, var: VarId, cuts: &[i64], body: &[Op], ranges: &Ranges) -> Vec<Op> {
        let Some((&cut, others)) = cuts.split_first() else {
            let body = self.piece(body, ranges);
            return fresh_copy(&body, &mut self.vars);
        };
        let cond = Cond::Compare(CmpOp::Lt, Int::Var(var), Int::Const(cut));
        let piece = self.piece(body, &ranges.where_holds(&cond));
        let then = fresh_copy(&piece, &mut self.vars);
        let otherwise = self.chosen(var, others, body, &ranges.where_holds(&cond.clone().negate()));
        vec![Op::If { cond, then, otherwise }]
    }

    /// A body without what is decided in its piece, cut further where its own loops still have tests.
    fn piece(&mut self, body: &[Op], ranges: &Ranges) -> Vec<Op> {
        let body = simplified(&decided(body, ranges, self.regs), ranges);
        self.ops(&body, ranges)
    }

    /// The values of a loop's variable from which on a selection in its body is decided, or no longer.
    fn cuts(&self, var: VarId, (lower, upper): (i64, i64), body: &[Op], ranges: &Ranges) -> Vec<i64> {
        let mut found = Cuts { var, regs: self.regs, at: BTreeSet::new(), ops: 0 };
        found.ops(body, &ranges.inside(var, &Int::Const(lower), &Int::Const(upper)));
        let at: Vec<i64> = found.at.into_iter().filter(|&at| lower < at && at < upper).collect();
        let is_small = found.ops * (at.len() + 1) <= MAX_OPS;
        if at.len() <= MAX_CUTS && is_small { at } else { Vec::new() }
    }
}

/// Where the conditions of selections change, and bounds begin to hold.
struct Cuts<'a> {
    var: VarId,
    regs: &'a Table<RegId, Reg>,
    at: BTreeSet<i64>,
    ops: usize,
}

impl Cuts<'_> {
    fn ops(&mut self, ops: &[Op], ranges: &Ranges) {
        for op in ops {
            self.ops += 1;
            match op {
                Op::For { var, lower, upper, body, .. } => self.ops(body, &ranges.inside(*var, lower, upper)),
                Op::If { cond, then, otherwise } => {
                    self.ops(then, &ranges.where_holds(cond));
                    self.ops(otherwise, &ranges.where_holds(&cond.clone().negate()));
                }
                Op::Local { body, .. } => self.ops(body, ranges),
                Op::Store { value, lanes, at, .. } => {
                    let lanes = in_lanes(ranges, *lanes);
                    self.value(value, &lanes);
                    at.iter().for_each(|at| self.subscript(at, &lanes));
                }
                Op::Set { reg, value } => self.value(value, &in_lanes(ranges, self.regs[*reg].lanes)),
                Op::Check { .. } | Op::Prefetch { .. } | Op::LoadBlock { .. } | Op::StoreBlock { .. } => {}
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
            Int::Select(_, a, b) => {
                self.int(a, ranges);
                self.int(b, ranges);
            }
        }
    }

    /// Where `e mod by` begins again, when that is in few places only: a border, and not a pattern.
    fn turns(&mut self, e: &Int, by: i64, ranges: &Ranges) {
        const FEW: i64 = 2;
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
            Value::Binary(BinOp::Mod, a, b) => {
                if let (Some((a, _)), Some((Int::Const(by @ 1..), _))) = (integer(a, ranges), integer(b, ranges)) {
                    self.turns(&a, by, ranges);
                }
            }
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

    /// Where `c·var + rest >= 0` begins to hold in some lane, and in all.
    fn at_least_zero(&mut self, int: Int, ranges: &Ranges) {
        let linear = int.linear();
        let Some(c) = linear.terms.iter().find(|(atom, _)| *atom == Int::Var(self.var)).map(|(_, c)| *c) else {
            return;
        };
        let rest = int - c * Int::Var(self.var);
        // What other loops change is for them to decide.
        let mut in_lanes_only = true;
        rest.each_var(&mut |var| in_lanes_only &= var == lane_var());
        let (Some(low), Some(high)) = ranges.interval(&rest) else { return };
        if !in_lanes_only {
            return;
        }
        let cuts = [low, high].map(|rest| match c > 0 {
            // c·var >= -rest
            true => rest.div_euclid(c).checked_neg(),
            // The last var with -c·var <= rest is the one before.
            false => c.checked_neg().and_then(|by| rest.div_euclid(by).checked_add(1)),
        });
        self.at.extend(cuts.into_iter().flatten());
    }
}

fn in_lanes(ranges: &Ranges, lanes: u32) -> Ranges {
    ranges.inside(lane_var(), &Int::Const(0), &Int::Const(lanes.into()))
}

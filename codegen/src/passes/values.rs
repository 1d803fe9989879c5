use std::collections::BTreeMap;

use polyhedral::{BinOp, CmpOp, DType, UnOp, Value as Scalar};
use support::{Entity, Table};

use super::ranges::{Interval, Ranges};
use crate::{At, Cond, Int, Launch, Op, Program, Reg, RegId, Value, VarId};

/// Removes from values what the ranges of loops decide: comparisons of integers, selections by them, bounds of
/// subscripts, checks that cannot fail. What a selection alone makes harmless is loaded under its condition.
///
/// ```text
/// for j in 1..9 {                                          for j in 1..9 {
///   B[j] = j > 0 ? A[@max(j, 1) - 1] : A[j]         ->       B[j] = A[j - 1]
/// }                                                        }
///
/// B[0 .. +8] = lane > 0 ? A[@max(lane, 1) - 1] : 0  ->     B[0 .. +8] = lane > 0 ? (A[-1 .. +8] where lane > 0) : 0
/// ```
pub fn values(mut program: Program) -> Program {
    let mut pass = Pass { regs: &program.regs, sets: BTreeMap::new(), known: BTreeMap::new(), masks: true };
    pass.count_sets(&program.body);
    let body = pass.ops(&program.body, &Ranges::default());
    program.body = body;
    program
}

/// The same for ops where `ranges` are known, but for masks: what is cut further needs none.
pub(super) fn decided(ops: &[Op], ranges: &Ranges, regs: &Table<RegId, Reg>) -> Vec<Op> {
    let mut pass = Pass { regs, sets: BTreeMap::new(), known: BTreeMap::new(), masks: false };
    pass.count_sets(ops);
    pass.ops(ops, ranges)
}

/// The number of the lane, as a variable of integer expressions: no loop's.
pub(super) fn lane_var() -> VarId {
    VarId::new(u32::MAX as usize)
}

/// A comparison of integers in a value, with [`lane_var`] for the lane; `None` for what is no such thing.
pub(super) fn condition(value: &Value, ranges: &Ranges) -> Option<Cond> {
    condition_if(value, ranges, true)
}

/// The condition that `value` is as `wanted`.
fn condition_if(value: &Value, ranges: &Ranges, wanted: bool) -> Option<Cond> {
    let go = |value: &Value, wanted: bool| condition_if(value, ranges, wanted);
    match value {
        Value::Const(Scalar::Int(value), DType::Bool) if (*value != 0) == wanted => Some(Cond::always()),
        Value::Const(Scalar::Int(_), DType::Bool) => Some(Cond::never()),
        Value::Unary(UnOp::Not, e) => go(e, !wanted),
        Value::Binary(BinOp::And, a, b) if wanted => Some(Cond::all([go(a, true)?, go(b, true)?])),
        Value::Binary(BinOp::Or, a, b) if wanted => Some(Cond::any([go(a, true)?, go(b, true)?])),
        Value::Binary(BinOp::And, a, b) => Some(Cond::any([go(a, false)?, go(b, false)?])),
        Value::Binary(BinOp::Or, a, b) => Some(Cond::all([go(a, false)?, go(b, false)?])),
        Value::Compare(op, a, b) => {
            let compared = Cond::compare(*op, integer(a, ranges)?.0, integer(b, ranges)?.0);
            Some(if wanted { compared } else { compared.negate() })
        }
        _ => None,
    }
}

/// A value of an integer type as an exact expression, with its type; `None` where it may wrap around, or is computed
/// from more than integer variables.
pub(super) fn integer(value: &Value, ranges: &Ranges) -> Option<(Int, DType)> {
    let inside = |int: Int, dtype: DType| fits(ranges.interval(&int), dtype).then_some((int, dtype));
    match value {
        Value::Int { base, step } => Some((base.clone() + *step * Int::Var(lane_var()), DType::I64)),
        Value::Const(Scalar::Int(value), dtype) if dtype.is_int() => {
            Some((Int::Const(i64::try_from(*value).ok()?), *dtype))
        }
        Value::Cast(dtype, e) if dtype.is_int() => inside(integer(e, ranges)?.0, *dtype),
        Value::Unary(UnOp::Neg, e) => {
            let (e, dtype) = integer(e, ranges)?;
            inside(-e, dtype)
        }
        Value::Select(test, a, b) => {
            let ((a, dtype), (b, _)) = (integer(a, ranges)?, integer(b, ranges)?);
            Some((Int::select(condition(test, ranges)?, a, b), dtype))
        }
        Value::Binary(op, a, b) => {
            let ((a, dtype), (b, _)) = (integer(a, ranges)?, integer(b, ranges)?);
            let result = match op {
                BinOp::Add => a + b,
                BinOp::Sub => a - b,
                BinOp::Mul if a.as_const().is_some() || b.as_const().is_some() => a * b,
                BinOp::Min => a.min(b),
                BinOp::Max => a.max(b),
                BinOp::Div | BinOp::Mod => match (op, b.as_const()) {
                    (BinOp::Div, Some(by @ 1..)) => a.floor_div(by),
                    (_, Some(by @ 1..)) => a.modulo(by),
                    (BinOp::Mod, _) if is_below(&a, &b, ranges) => a,
                    _ => return None,
                },
                _ => return None,
            };
            inside(result, dtype)
        }
        _ => None,
    }
}

/// Whether `0 <= a < b`: then the remainder is `a` itself.
fn is_below(a: &Int, b: &Int, ranges: &Ranges) -> bool {
    ranges.at_least_zero(a) && ranges.decide(CmpOp::Lt, a, b) == Some(true)
}

fn fits((low, high): Interval, dtype: DType) -> bool {
    let (least, most) = bounds(dtype);
    low.is_some_and(|low| i128::from(low) >= least) && high.is_some_and(|high| i128::from(high) <= most)
}

/// The smallest and the largest value of an integer type.
fn bounds(dtype: DType) -> (i128, i128) {
    let bits = dtype.bits();
    match dtype.is_signed() {
        true => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        false => (0, (1 << bits) - 1),
    }
}

struct Pass<'a> {
    regs: &'a Table<RegId, Reg>,
    /// How many ops set a register.
    sets: BTreeMap<RegId, u32>,
    /// Of registers that one op sets, when that is an integer.
    known: BTreeMap<RegId, Interval>,
    /// Whether what a selection makes harmless is loaded under its condition.
    masks: bool,
}

impl Pass<'_> {
    fn count_sets(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Set { reg, .. } => *self.sets.entry(*reg).or_default() += 1,
                Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => {
                    self.count_sets(body)
                }
                Op::If { then, otherwise, .. } => {
                    self.count_sets(then);
                    self.count_sets(otherwise);
                }
                Op::LoadBlock { regs, .. } | Op::Combine { regs, .. } => {
                    regs.iter().for_each(|reg| *self.sets.entry(*reg).or_default() += 1);
                }
                Op::Store { .. }
                | Op::Check { .. }
                | Op::Prefetch { .. }
                | Op::StoreBlock { .. }
                | Op::Barrier
                | Op::Copy { .. }
                | Op::Wait
                | Op::Atomic { .. } => {}
            }
        }
    }

    fn ops(&mut self, ops: &[Op], ranges: &Ranges) -> Vec<Op> {
        ops.iter().filter_map(|op| self.op(op, ranges)).collect()
    }

    fn op(&mut self, op: &Op, ranges: &Ranges) -> Option<Op> {
        Some(match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                let body = self.ops(body, &ranges.inside(*var, lower, upper));
                let (lower, upper, step) = (lower.clone(), upper.clone(), step.clone());
                Op::For { var: *var, lower, upper, step, parallel: *parallel, body }
            }
            Op::If { cond, then, otherwise } => Op::If {
                cond: cond.clone(),
                then: self.ops(then, &ranges.where_holds(cond)),
                otherwise: self.ops(otherwise, &ranges.where_holds(&cond.clone().negate())),
            },
            Op::Local { buffer, body } => Op::Local { buffer: *buffer, body: self.ops(body, ranges) },
            Op::Launch(launch) => {
                let body = self.ops(&launch.body, &ranges.inside_of(launch));
                Op::Launch(Launch { body, ..launch.clone() })
            }
            Op::Barrier | Op::Combine { .. } | Op::Atomic { .. } => op.clone(),
            Op::Store { buffer, at, lanes, value, mask } => {
                let values = self.values(ranges, *lanes);
                let at = at.iter().map(|at| values.at(at, &values.always)).collect();
                let mask = mask.as_ref().map(|mask| values.value(mask));
                Op::Store { buffer: *buffer, at, lanes: *lanes, value: values.value(value), mask }
            }
            Op::Set { reg, value } => {
                let lanes = self.regs[*reg].lanes;
                let value = self.values(ranges, lanes).value(value);
                if self.sets.get(reg) == Some(&1) && self.regs[*reg].dtype.is_int() {
                    let interval = self.interval(&value, &with_lanes(ranges, lanes));
                    self.known.insert(*reg, interval);
                }
                Op::Set { reg: *reg, value }
            }
            Op::Check { buffer, dim, extent, value, lanes, mask, report } => {
                let values = self.values(ranges, *lanes);
                let value = values.value(value);
                let (low, high) = self.interval(&value, &values.always);
                let end = ranges.interval(extent).0;
                if low.is_some_and(|low| low >= 0) && end.zip(high).is_some_and(|(end, high)| high < end) {
                    return None;
                }
                let mask = mask.as_ref().map(|mask| values.value(mask));
                let (extent, report) = (extent.clone(), report.clone());
                Op::Check { buffer: *buffer, dim: *dim, extent, value, lanes: *lanes, mask, report }
            }
            Op::Prefetch { buffer, at, lanes } => {
                let values = self.values(ranges, *lanes);
                let at = at.iter().map(|at| values.at(at, &values.always)).collect();
                Op::Prefetch { buffer: *buffer, at, lanes: *lanes }
            }
            Op::LoadBlock { .. } | Op::StoreBlock { .. } | Op::Copy { .. } | Op::Wait => op.clone(),
        })
    }

    fn values(&self, ranges: &Ranges, lanes: u32) -> Values {
        Values { masks: self.masks && lanes > 1, ..Values::new(ranges, lanes) }
    }

    /// What an integer value is between, whatever its operands are.
    fn interval(&self, value: &Value, ranges: &Ranges) -> Interval {
        if let Some((int, _)) = integer(value, ranges) {
            return ranges.interval(&int);
        }
        let go = |value: &Value| self.interval(value, ranges);
        match value {
            Value::Reg(reg) => self.known.get(reg).copied().unwrap_or((None, None)),
            Value::Cast(dtype, e) if dtype.is_int() => match go(e) {
                inside if fits(inside, *dtype) => inside,
                _ => whole(*dtype),
            },
            Value::Binary(BinOp::Min, a, b) => {
                let (a, b) = (go(a), go(b));
                (a.0.zip(b.0).map(|(a, b)| a.min(b)), a.1.into_iter().chain(b.1).min())
            }
            Value::Binary(BinOp::Max, a, b) => {
                let (a, b) = (go(a), go(b));
                (a.0.into_iter().chain(b.0).max(), a.1.zip(b.1).map(|(a, b)| a.max(b)))
            }
            _ => (None, None),
        }
    }
}

/// All that a type holds, as far as 64 bits say it.
fn whole(dtype: DType) -> Interval {
    let (least, most) = bounds(dtype);
    (i64::try_from(least).ok(), i64::try_from(most).ok())
}

fn with_lanes(ranges: &Ranges, lanes: u32) -> Ranges {
    ranges.inside(lane_var(), &Int::Const(0), &Int::Const(lanes.into()))
}

/// What is known where a value is computed.
#[derive(Clone)]
struct Values {
    lanes: u32,
    /// Without the number of the lane.
    outside: Ranges,
    /// In all lanes.
    always: Ranges,
    /// In the lanes that count.
    here: Ranges,
    /// Which lanes those are, when not all.
    guard: Option<Value>,
    masks: bool,
}

impl Values {
    fn new(ranges: &Ranges, lanes: u32) -> Values {
        let always = with_lanes(ranges, lanes);
        Values { lanes, outside: ranges.clone(), here: always.clone(), always, guard: None, masks: false }
    }

    /// Where only lanes count in which `condition` is as `wanted`.
    fn inside(&self, condition: &Value, wanted: bool) -> Values {
        let Some(known) = condition_if(condition, &self.always, wanted) else { return self.clone() };
        let condition = match wanted {
            true => condition.clone(),
            false => Value::Unary(UnOp::Not, Box::new(condition.clone())),
        };
        let guard = Some(and(self.guard.clone(), condition));
        Values { here: self.here.where_holds(&known), guard, ..self.clone() }
    }

    fn value(&self, value: &Value) -> Value {
        let go = |value: &Value| Box::new(self.value(value));
        match value {
            Value::Const(..) | Value::Int { .. } | Value::Reg(_) => value.clone(),
            Value::Load { buffer, at, mask } => self.load(*buffer, at, mask.as_deref()),
            Value::Unary(UnOp::Not, e) => match self.value(e) {
                Value::Const(Scalar::Int(value), DType::Bool) => boolean(value == 0),
                e => Value::Unary(UnOp::Not, Box::new(e)),
            },
            Value::Unary(op, e) => Value::Unary(*op, go(e)),
            Value::Binary(op @ (BinOp::And | BinOp::Or), a, b) => logical(*op, self.value(a), self.value(b)),
            Value::Binary(op, a, b) => Value::Binary(*op, go(a), go(b)),
            Value::Compare(op, a, b) => match self.decided(*op, a, b) {
                Some(holds) => boolean(holds),
                None => Value::Compare(*op, go(a), go(b)),
            },
            Value::Select(condition, a, b) => match self.value(condition) {
                Value::Const(Scalar::Int(0), DType::Bool) => self.value(b),
                Value::Const(_, DType::Bool) => self.value(a),
                condition => {
                    let (a, b) = (self.inside(&condition, true).value(a), self.inside(&condition, false).value(b));
                    Value::Select(Box::new(condition), Box::new(a), Box::new(b))
                }
            },
            Value::Cast(dtype, e) => Value::Cast(*dtype, Box::new(self.shortened(*dtype, self.value(e)))),
            Value::Call(builtin, arguments) => {
                Value::Call(*builtin, arguments.iter().map(|argument| self.value(argument)).collect())
            }
            Value::MulAdd(a, b, c) => Value::MulAdd(go(a), go(b), go(c)),
            Value::Dot { sum, left, right } => {
                let all = |values: &[Value]| values.iter().map(|value| self.value(value)).collect();
                Value::Dot { sum: go(sum), left: all(left), right: all(right) }
            }
            Value::Reduce { op, value, from, to } => {
                let value = Box::new(Values::new(&self.outside, *from).value(value));
                Value::Reduce { op: *op, value, from: *from, to: *to }
            }
        }
    }

    /// A 64-bit integer on its way to a float, in the 32 bits that convert in half the registers, where they hold it.
    fn shortened(&self, to: DType, value: Value) -> Value {
        let is_long = matches!(value, Value::Int { .. }) && to.is_float() && self.lanes > 1;
        let is_short = |int: &Int| fits(self.always.interval(int), DType::I32);
        match is_long && integer(&value, &self.always).is_some_and(|(int, _)| is_short(&int)) {
            true => Value::Cast(DType::I32, Box::new(value)),
            false => value,
        }
    }

    fn decided(&self, op: CmpOp, a: &Value, b: &Value) -> Option<bool> {
        self.here.decide(op, &integer(a, &self.always)?.0, &integer(b, &self.always)?.0)
    }

    /// A load whose bounds all lanes respect anyway loses them; where only the lanes that count do so, the others are
    /// masked, if that makes of a gather a load of neighbours.
    fn load(&self, buffer: polyhedral::TensorId, at: &[At], mask: Option<&Value>) -> Value {
        // A mask keeps what it kept: lanes that do not count must not touch more memory.
        let everywhere = Values::new(&self.outside, self.lanes);
        let mask = mask.map(|mask| everywhere.value(mask));
        let kept: Vec<At> = at.iter().map(|at| self.at(at, &self.always)).collect();
        let is_affine = |at: &[At]| at.iter().all(|at| matches!(at, At::Affine { .. }));
        if let Some(guard) = self.guard.as_ref().filter(|_| self.masks && !is_affine(&kept)) {
            let guarded: Vec<At> = at.iter().map(|at| self.at(at, &self.here)).collect();
            if is_affine(&guarded) {
                let mask = Some(Box::new(and(mask, guard.clone())));
                return Value::Load { buffer, at: guarded, mask };
            }
        }
        Value::Load { buffer, at: kept, mask: mask.map(Box::new) }
    }

    fn at(&self, at: &At, ranges: &Ranges) -> At {
        let At::Indirect(value) = at else { return at.clone() };
        match integer(value, &self.always).and_then(|(int, _)| self.affine(&ranges.int(&int))) {
            Some(affine) => affine,
            None => At::Indirect(Box::new(Values::new(&self.outside, self.lanes).value(value))),
        }
    }

    /// An expression that moves by the same step from lane to lane.
    fn affine(&self, int: &Int) -> Option<At> {
        let lane = lane_var();
        let linear = int.linear();
        let step = linear.terms.iter().find(|(atom, _)| *atom == Int::Var(lane)).map_or(0, |(_, c)| *c);
        let base = int.clone() - step * Int::Var(lane);
        let mut is_uniform = true;
        base.each_var(&mut |var| is_uniform &= var != lane);
        is_uniform.then_some(At::Affine { base, step })
    }
}

fn boolean(holds: bool) -> Value {
    Value::Const(Scalar::Int(holds.into()), DType::Bool)
}

/// `a && b` or `a || b`, without constants.
fn logical(op: BinOp, a: Value, b: Value) -> Value {
    let neutral = boolean(op == BinOp::And);
    match (a, b) {
        (a, b) if a == neutral => b,
        (a, b) if b == neutral => a,
        (a @ Value::Const(..), _) | (_, a @ Value::Const(..)) => a,
        (a, b) => Value::Binary(op, Box::new(a), Box::new(b)),
    }
}

fn and(a: Option<Value>, b: Value) -> Value {
    match a {
        Some(a) => Value::Binary(BinOp::And, Box::new(a), Box::new(b)),
        None => b,
    }
}

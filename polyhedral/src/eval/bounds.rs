//! Running error analysis (Higham, Accuracy and Stability of Numerical Algorithms, section 3.3): next to every result
//! of the wide evaluation stands a bound on its difference to what a correct kernel computes, whatever the order of
//! its reductions and whether or not it fuses multiplications into additions. An infinite bound says that the kernel
//! may have anything there, because a comparison, a rounding to an integer or a subscript hangs on an error.

use super::builtin;
use super::machine::Lanes;
use super::memory::Buffer;
use super::numbers::{self, Unit};
use super::program::{Code, Instr, Op, Reg};
use super::wide::Carried;
use crate::{BinOp, Builtin, DType};

const ANY: f64 = f64::INFINITY;

/// The bounds of one operation's results, which `into` holds already.
pub(super) fn propagate(code: &Code, instr: &Instr, before: &[Lanes], into: &mut Lanes, n: usize) {
    let dtype = code.columns[instr.into].dtype;
    let unit = Unit::of(dtype);
    match &instr.op {
        // The machine has done it: it has the tensor at hand.
        Op::Gather { .. } => {}
        Op::Subscript { base, value, .. } => {
            let (base, value) = (&before[*base].e, &before[*value].e);
            each(into, n, |lane| if base[lane] + value[lane] > 0.0 { ANY } else { 0.0 });
        }
        Op::Neg(a) | Op::Not(a) => {
            let a = &before[*a].e;
            each(into, n, |lane| a[lane]);
        }
        Op::Binary(op, a, b) if dtype.is_float() => {
            let exact = code.columns[*a].exact && code.columns[*b].exact;
            float_binary(*op, &unit, &before[*a], &before[*b], exact, into, n);
        }
        Op::Binary(op, a, b) => {
            let (a, b) = (&before[*a], &before[*b]);
            for lane in 0..n {
                into.e[lane] = int_binary(*op, dtype, (a.i[lane], a.e[lane]), (b.i[lane], b.e[lane]), into.i[lane]);
            }
        }
        Op::Compare(_, a, b) => compare(&before[*a], &before[*b], into, n),
        Op::Select(c, a, b) => select(&before[*c], &before[*a], &before[*b], into, n),
        Op::Cast(a) => cast(code.columns[*a].dtype, dtype, &before[*a], into, n),
        Op::Call(function, arguments) => call(*function, dtype, arguments, before, into, n),
    }
}

fn each(into: &mut Lanes, n: usize, f: impl Fn(usize) -> f64) {
    for (lane, e) in into.e.iter_mut().enumerate().take(n) {
        *e = f(lane);
    }
}

/// `propagated + u·|r|`, or what the rare cases need: a result that is certain though not finite has no error, one
/// that may overflow may be anything.
fn settle(unit: &Unit, into: &mut Lanes, n: usize, propagated: impl Fn(usize) -> f64, certain: impl Fn(usize) -> bool) {
    let mut common = true;
    for (lane, (e, r)) in into.e.iter_mut().zip(&into.f).enumerate().take(n) {
        let magnitude = r.abs();
        *e = propagated(lane) + (unit.round * magnitude + unit.tiny);
        common &= *e + magnitude <= unit.max;
    }
    if common {
        return;
    }
    for (lane, (e, r)) in into.e.iter_mut().zip(&into.f).enumerate().take(n) {
        let fits = *e + r.abs() <= unit.max;
        if !fits {
            *e = if !r.is_finite() && certain(lane) { 0.0 } else { ANY };
        }
    }
}

fn float_binary(op: BinOp, unit: &Unit, a: &Lanes, b: &Lanes, exact: bool, into: &mut Lanes, n: usize) {
    let (x, ex, y, ey) = (&a.f[..n], &a.e[..n], &b.f[..n], &b.e[..n]);
    let finite = |lane: usize| ex[lane].is_finite() && ey[lane].is_finite();
    let not_zero = |x: f64, e: f64| e == 0.0 || x.abs() > e;
    let signed = |lane: usize| finite(lane) && not_zero(x[lane], ex[lane]) && not_zero(y[lane], ey[lane]);
    match op {
        BinOp::Add | BinOp::Sub => settle(unit, into, n, |lane| ex[lane] + ey[lane], finite),
        BinOp::Mul if exact => settle(unit, into, n, |_| 0.0, signed),
        BinOp::Mul => {
            settle(unit, into, n, |l| x[l].abs() * ey[l] + y[l].abs() * ex[l] + ex[l] * ey[l], signed);
        }
        BinOp::Div => {
            let quotients: Vec<f64> = into.f[..n].to_vec();
            settle(unit, into, n, |l| division(quotients[l], ex[l], y[l], ey[l]), signed);
        }
        BinOp::Mod => each(into, n, |l| remainder(x[l], ex[l], y[l], ey[l], 0.0)),
        BinOp::Min | BinOp::And => each(into, n, |l| pick(x[l], ex[l], y[l], ey[l])),
        BinOp::Max | BinOp::Or => each(into, n, |l| pick(-x[l], ex[l], -y[l], ey[l])),
        // Not of floats.
        BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr => each(into, n, |_| ANY),
    }
}

fn division(quotient: f64, ex: f64, y: f64, ey: f64) -> f64 {
    match () {
        () if ex == 0.0 && ey == 0.0 => 0.0,
        () if y.abs() > ey => (ex + quotient.abs() * ey) / (y.abs() - ey),
        () => ANY,
    }
}

/// Of `x - y·n`, `n` an integer next to `x / y`, which jumps where the quotient is an integer plus `jump`.
fn remainder(x: f64, ex: f64, y: f64, ey: f64, jump: f64) -> f64 {
    if ex == 0.0 && ey == 0.0 {
        return 0.0;
    }
    let quotient = x / y;
    let spread = division(quotient, ex, y, ey) + 4.0 * f64::EPSILON * quotient.abs();
    let distance = (quotient - jump - (quotient - jump).round()).abs();
    if distance > spread { ex + (quotient.abs() + 1.0) * ey } else { ANY }
}

/// Of the smaller of two: the winner's, when it is certain which wins.
fn pick(x: f64, ex: f64, y: f64, ey: f64) -> f64 {
    match () {
        () if ex == 0.0 && ey == 0.0 => 0.0,
        () if x + ex < y - ey || (y.is_nan() && ey.is_finite()) => ex,
        () if y + ey < x - ex || (x.is_nan() && ex.is_finite()) => ey,
        () => ex.max(ey),
    }
}

/// Of an operator on integers or booleans; operands and result with their bounds.
pub(super) fn int_binary(op: BinOp, dtype: DType, (a, ea): (i64, f64), (b, eb): (i64, f64), result: i64) -> f64 {
    if ea == 0.0 && eb == 0.0 {
        return 0.0;
    }
    if dtype == DType::Bool {
        let decided = |value: i64| (a == value && ea == 0.0) || (b == value && eb == 0.0);
        let absorbing = matches!(op, BinOp::Or | BinOp::Max) as i64;
        return if decided(absorbing) { 0.0 } else { 1.0 };
    }
    let (x, y) = (numbers::int_to_f64(dtype, a).abs(), numbers::int_to_f64(dtype, b).abs());
    let bound = match op {
        BinOp::Add | BinOp::Sub => ea + eb,
        BinOp::Mul => x * eb + y * ea + ea * eb,
        BinOp::Div if eb == 0.0 && b != 0 => (ea / y).floor() + 1.0,
        BinOp::Mod if eb == 0.0 && b != 0 => y,
        BinOp::Div | BinOp::Mod => ANY,
        BinOp::Min | BinOp::Max | BinOp::And | BinOp::Or => ea.max(eb),
        BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr => ANY,
    };
    within(dtype, result, bound)
}

/// `bound`, unless values that near to `value` wrap around.
fn within(dtype: DType, value: i64, bound: f64) -> f64 {
    let value = numbers::int_to_f64(dtype, value);
    match dtype.int_range() {
        Some((low, high)) if value - bound >= low as f64 && value + bound <= high as f64 => bound,
        None if bound.is_finite() => bound,
        _ => ANY,
    }
}

fn compare(a: &Lanes, b: &Lanes, into: &mut Lanes, n: usize) {
    let float = !a.f.is_empty();
    each(into, n, |lane| {
        let spread = a.e[lane] + b.e[lane];
        if spread == 0.0 {
            return 0.0;
        }
        let (x, y) = if float { (a.f[lane], b.f[lane]) } else { (a.i[lane] as f64, b.i[lane] as f64) };
        let apart = (x - y).abs() > spread;
        let not_a_number = (x.is_nan() || y.is_nan()) && spread.is_finite();
        if apart || not_a_number { 0.0 } else { 1.0 }
    });
}

fn select(c: &Lanes, a: &Lanes, b: &Lanes, into: &mut Lanes, n: usize) {
    let value = |lanes: &Lanes, lane: usize| lanes.f.get(lane).copied().unwrap_or_else(|| lanes.i[lane] as f64);
    each(into, n, |lane| {
        let (taken, other) = if c.i[lane] != 0 { (a, b) } else { (b, a) };
        if c.e[lane] == 0.0 {
            return taken.e[lane];
        }
        let (x, y) = (value(taken, lane), value(other, lane));
        let between = if x == y { 0.0 } else { (x - y).abs() };
        let bound = taken.e[lane].max(between + other.e[lane]);
        if bound.is_nan() { ANY } else { bound }
    });
}

fn cast(from: DType, to: DType, a: &Lanes, into: &mut Lanes, n: usize) {
    if to.is_float() {
        let unit = Unit::of(to);
        let kept: Vec<bool> = (0..n).map(|lane| a.e[lane] == 0.0 && keeps(to, into.f[lane])).collect();
        settle(&unit, into, n, |lane| a.e[lane], |lane| a.e[lane].is_finite());
        (0..n).filter(|&lane| kept[lane]).for_each(|lane| into.e[lane] = 0.0);
        return;
    }
    for lane in 0..n {
        let (e, result) = (a.e[lane], into.i[lane]);
        into.e[lane] = match (e == 0.0, from.is_float()) {
            (true, _) => 0.0,
            (false, true) => truncation(to, a.f[lane], e, result),
            (false, false) if to == DType::Bool => ((a.i[lane] as f64).abs() <= e) as i64 as f64,
            (false, false) => within(to, result, e),
        };
    }
}

/// Whether the type holds exactly this value.
fn keeps(dtype: DType, value: f64) -> bool {
    let rounded = numbers::round(dtype, value);
    rounded == value || value.is_nan()
}

/// Of a float made an integer: as far as its neighbours within `e` become other integers.
fn truncation(to: DType, x: f64, e: f64, result: i64) -> f64 {
    match () {
        () if !e.is_finite() => ANY,
        () if x.is_nan() => 0.0,
        () if to == DType::Bool => (x.abs() <= e) as i64 as f64,
        () => {
            let at = |x: f64| numbers::int_to_f64(to, numbers::float_to_int(to, x));
            let result = numbers::int_to_f64(to, result);
            (at(x + e) - result).max(result - at(x - e))
        }
    }
}

fn call(function: Builtin, dtype: DType, arguments: &[Reg], before: &[Lanes], into: &mut Lanes, n: usize) {
    let unit = Unit::of(dtype);
    let (mut x, mut e) = ([0.0; 4], [0.0; 4]);
    let arity = arguments.len();
    for lane in 0..n {
        for (at, &reg) in arguments.iter().enumerate() {
            (x[at], e[at]) = (before[reg].f[lane], before[reg].e[lane]);
        }
        into.e[lane] = call_bound(function, dtype, &unit, &x[..arity], &e[..arity], into.f[lane]);
    }
}

fn call_bound(function: Builtin, dtype: DType, unit: &Unit, x: &[f64], e: &[f64], result: f64) -> f64 {
    let spread = spread(function, dtype, x, e, result);
    let ulps = match (function, dtype) {
        _ if builtin::is_exact(function) => 0.0,
        (Builtin::Sqrt | Builtin::Fma | Builtin::Fdim | Builtin::Fdivide, _) => 2.0,
        (_, DType::F64) => 32.0,
        _ => 8.0,
    };
    let bound = spread + ulps * (unit.round * result.abs() + unit.tiny);
    match () {
        () if bound + result.abs() <= unit.max => bound,
        () if !result.is_finite() && spread == 0.0 => 0.0,
        () => ANY,
    }
}

/// How far the result moves when the arguments move within their bounds.
fn spread(function: Builtin, dtype: DType, x: &[f64], e: &[f64], result: f64) -> f64 {
    if e.iter().all(|&e| e == 0.0) || (x.iter().any(|x| x.is_nan()) && e.iter().all(|e| e.is_finite())) {
        return 0.0;
    }
    if e.iter().any(|e| !e.is_finite()) || crosses_pole(function, x, e) {
        return ANY;
    }
    match (function, x) {
        (Builtin::Fmod, &[a, b]) => return remainder(a, e[0], b, e[1], 0.0),
        (Builtin::Remainder, &[a, b]) => return remainder(a, e[0], b, e[1], 0.5),
        (Builtin::Fdivide, &[_, b]) => return division(result, e[0], b, e[1]),
        (Builtin::Sin | Builtin::Cos | Builtin::Sinpi | Builtin::Cospi, _) if e[0] > 0.25 => return 2.0,
        _ => {}
    }
    let mut moved = x.to_vec();
    let mut sum = 0.0;
    for at in 0..x.len() {
        let mut far = 0.0f64;
        for part in if e[at] > 0.0 { &[-1.0, -0.5, 0.5, 1.0][..] } else { &[] } {
            moved[at] = x[at] + part * e[at];
            let value = builtin::call(function, dtype, &moved);
            let distance = if value == result { 0.0 } else { (value - result).abs() };
            far = if distance.is_nan() { ANY } else { far.max(distance) };
        }
        moved[at] = x[at];
        sum += far;
    }
    sum
}

/// Whether a pole of the function lies within the bounds.
fn crosses_pole(function: Builtin, x: &[f64], e: &[f64]) -> bool {
    let (low, high) = (x[0] - e[0], x[0] + e[0]);
    match function {
        Builtin::Tgamma | Builtin::Lgamma => low <= 0.0 && (high >= 0.0 || low.ceil() <= high.floor()),
        Builtin::Rcbrt | Builtin::Y0 | Builtin::Y1 => low <= 0.0 && high >= 0.0,
        Builtin::Tan => e[0] > 0.25 || libm::cos(low) * libm::cos(high) <= 0.0,
        _ => false,
    }
}

/// The bounds of elements that were read.
pub(super) fn gather(buffer: &Buffer, address: &Lanes, into: &mut Lanes, n: usize) {
    let unit = buffer.unit();
    for lane in 0..n {
        let carried = buffer.carried.get(address.i[lane] as usize);
        let own = carried.map_or(0.0, |carried| carried.error(&unit));
        into.e[lane] = if address.e[lane] > 0.0 || buffer.tainted { ANY } else { own };
    }
}

/// A reduction of floats by one operator.
pub(super) fn fold(op: BinOp, buffer: &mut Buffer, address: &[i64], terms: &[f64], errors: &[f64]) {
    let unit = buffer.unit();
    match op {
        BinOp::Add => fold_with(buffer, address, terms, errors, |v, c, t, e| (v + t, c.plus(t, e))),
        BinOp::Sub => fold_with(buffer, address, terms, errors, |v, c, t, e| (v - t, c.plus(t, e))),
        BinOp::Mul => {
            fold_with(buffer, address, terms, errors, |v, c, t, e| (v * t, c.times(&unit, v, t, e)));
        }
        BinOp::Min | BinOp::And => fold_with(buffer, address, terms, errors, |v, c, t, e| {
            (v.min(t), Carried::picked(pick(v, c.error(&unit), t, e)))
        }),
        BinOp::Max | BinOp::Or => fold_with(buffer, address, terms, errors, |v, c, t, e| {
            (v.max(t), Carried::picked(pick(-v, c.error(&unit), -t, e)))
        }),
        // Neither is a monoid's; without a bound on them nothing is claimed.
        BinOp::Div | BinOp::Mod | BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr => {
            fold_with(buffer, address, terms, errors, |v, _, t, _| {
                (numbers::float_binary(op, v, t), Carried::UNWRITTEN)
            })
        }
    }
}

/// Consecutive instances that update one element keep it in registers.
fn fold_with(
    buffer: &mut Buffer,
    address: &[i64],
    terms: &[f64],
    errors: &[f64],
    f: impl Fn(f64, Carried, f64, f64) -> (f64, Carried),
) {
    let Some(&first) = address.first() else { return };
    let (floats, carries) = (&mut buffer.floats, &mut buffer.carried);
    let (mut at, mut value, mut carried) = (first, floats[first as usize], carries[first as usize]);
    for ((&next, &term), &error) in address.iter().zip(terms).zip(errors) {
        if next != at {
            (floats[at as usize], carries[at as usize]) = (value, carried);
            (at, value, carried) = (next, floats[next as usize], carries[next as usize]);
        }
        (value, carried) = f(value, carried, term, error);
    }
    (floats[at as usize], carries[at as usize]) = (value, carried);
}

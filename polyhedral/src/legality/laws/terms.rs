//! What the law of rescaled sums asks of expressions: which terms are relative to a maximum, and by how much.

use crate::{BinOp, Builtin, DType, Expr, Index, UnOp, Value};

/// What a read of a statement stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The maximum.
    Max,
    /// A term relative to the maximum, which another statement has computed.
    Relative,
    /// Anything else.
    Other,
}

/// `f(c·y)`, with `f(a + b) = f(a)·f(b)`: how much a term is worth less when the maximum grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) function: Builtin,
    pub(super) factor: f64,
}

/// `function(factor·y - factor·max)` as it stands in a statement.
#[derive(Clone, Debug)]
pub(super) struct Relative {
    pub(super) scale: Scale,
    /// `factor·y`.
    pub(super) rest: Linear,
}

/// `constant + Σ coefficient·atom`, up to rounding.
#[derive(Clone, Debug, Default)]
pub(super) struct Linear {
    pub(super) constant: f64,
    pub(super) atoms: Vec<(f64, Expr)>,
}

impl Linear {
    pub(super) fn of(expr: &Expr) -> Linear {
        let mut all = Linear::default();
        all.add(expr, 1.0);
        all
    }

    fn add(&mut self, expr: &Expr, by: f64) {
        match expr {
            Expr::Const(value, _) => self.constant += by * number(value),
            Expr::Unary(UnOp::Neg, e) => self.add(e, -by),
            Expr::Binary(BinOp::Add, a, b) => {
                self.add(a, by);
                self.add(b, by);
            }
            Expr::Binary(BinOp::Sub, a, b) => {
                self.add(a, by);
                self.add(b, -by);
            }
            Expr::Binary(BinOp::Mul, a, b) => match (&**a, &**b) {
                (Expr::Const(value, _), e) | (e, Expr::Const(value, _)) => self.add(e, by * number(value)),
                _ => self.add_atom(expr, by),
            },
            Expr::Binary(BinOp::Div, a, b) => match &**b {
                Expr::Const(value, _) if number(value) != 0.0 => self.add(a, by / number(value)),
                _ => self.add_atom(expr, by),
            },
            _ => self.add_atom(expr, by),
        }
    }

    fn add_atom(&mut self, atom: &Expr, by: f64) {
        match self.atoms.iter_mut().find(|(_, known)| known == atom) {
            Some((coefficient, _)) => *coefficient += by,
            None => self.atoms.push((by, atom.clone())),
        }
    }

    /// Takes an atom out; its coefficient.
    pub(super) fn take(&mut self, is_meant: impl Fn(&Expr) -> bool) -> Option<f64> {
        let at = self.atoms.iter().position(|(_, atom)| is_meant(atom))?;
        Some(self.atoms.remove(at).0)
    }

    /// Whether it is `by` times `other`, with the loads and indices at equal places as pairs that must be equal.
    pub(super) fn is_multiple(&self, by: f64, other: &Linear) -> Option<Pairs> {
        let mut pairs = Pairs::default();
        let mut left: Vec<&(f64, Expr)> = other.atoms.iter().collect();
        if self.constant != by * other.constant || self.atoms.len() != left.len() {
            return None;
        }
        for (coefficient, atom) in &self.atoms {
            let matched = left
                .iter()
                .position(|(theirs, other)| *coefficient == by * theirs && pairs.clone().add(atom, other))?;
            let (_, other) = left.remove(matched);
            pairs.add(atom, other);
        }
        Some(pairs)
    }
}

/// What must be equal for two expressions of two statements to be: reads, by position, and indices.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    pub(super) loads: Vec<(usize, usize)>,
    pub(super) indices: Vec<(Index, Index)>,
}

impl Pairs {
    /// Adds what two expressions ask for; whether they can be equal.
    fn add(&mut self, one: &Expr, other: &Expr) -> bool {
        match (one, other) {
            (Expr::Load(a), Expr::Load(b)) => self.loads.push((*a, *b)),
            (Expr::Index(a), Expr::Index(b)) => self.indices.push((a.clone(), b.clone())),
            _ => {
                let (mine, theirs) = (one.children(), other.children());
                let is_alike = mine.len() == theirs.len() && same_node(one, other);
                return is_alike && mine.iter().zip(theirs).all(|(a, b)| self.add(a, b));
            }
        }
        true
    }
}

/// Whether two expressions are equal but for their operands.
fn same_node(one: &Expr, other: &Expr) -> bool {
    match (one, other) {
        (Expr::Const(a, s), Expr::Const(b, t)) => a == b && s == t,
        (Expr::Unary(a, _), Expr::Unary(b, _)) => a == b,
        (Expr::Binary(a, ..), Expr::Binary(b, ..)) => a == b,
        (Expr::Compare(a, ..), Expr::Compare(b, ..)) => a == b,
        (Expr::Select(..), Expr::Select(..)) => true,
        (Expr::Cast(a, _), Expr::Cast(b, _)) => a == b,
        (Expr::Call(a, _), Expr::Call(b, _)) => a == b,
        _ => false,
    }
}

/// Of which degree an expression is in the terms relative to the maximum: 1 when it is one of them times what does not
/// depend on the maximum, or a sum of such products; 0 when it does not depend on the maximum. The terms that it computes
/// itself go to `found`.
///
/// A choice between a term and something else is none of these: what is chosen away must not become a NaN.
pub(super) fn degree(expr: &Expr, kind: &dyn Fn(usize) -> Kind, found: &mut Vec<Relative>) -> Option<u8> {
    let mut of = |e: &Expr| degree(e, kind, found);
    match expr {
        Expr::Const(..) | Expr::Index(_) => Some(0),
        Expr::Load(read) => match kind(*read) {
            Kind::Max => None,
            Kind::Relative => Some(1),
            Kind::Other => Some(0),
        },
        Expr::Unary(UnOp::Neg, e) => of(e),
        Expr::Binary(BinOp::Add | BinOp::Sub, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            (a == b).then_some(a)
        }
        Expr::Binary(BinOp::Mul, a, b) => Some(of(a)? + of(b)?).filter(|degree| *degree < 2),
        Expr::Binary(BinOp::Div, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            (b == 0).then_some(a)
        }
        Expr::Cast(dtype, e) => of(e).filter(|degree| *degree == 0 || dtype.is_float()),
        Expr::Call(function, arguments) => {
            let mut uses_max = false;
            expr.visit(&mut |e| uses_max |= matches!(e, Expr::Load(read) if kind(*read) == Kind::Max));
            if uses_max {
                found.push(relative(*function, arguments, kind)?);
                return Some(1);
            }
            arguments.iter().all(|e| of(e) == Some(0)).then_some(0)
        }
        Expr::State(_) | Expr::Term(_) => None,
        _ => expr.children().into_iter().all(|e| of(e) == Some(0)).then_some(0),
    }
}

/// `f(c·y - c·max)` with `0 < c <= 1`: larger factors could make infinities of the smallest maximum.
fn relative(function: Builtin, arguments: &[Expr], kind: &dyn Fn(usize) -> Kind) -> Option<Relative> {
    let [argument] = arguments else { return None };
    let mut rest = Linear::of(argument);
    let is_max = |e: &Expr| matches!(e, Expr::Load(read) if kind(*read) == Kind::Max);
    let mut factor = 0.0;
    while let Some(coefficient) = rest.take(is_max) {
        factor -= coefficient;
    }
    let mut is_free = true;
    let mut see = |e: &Expr| is_free &= !matches!(e, Expr::Load(read) if kind(*read) != Kind::Other);
    rest.atoms.iter().for_each(|(_, atom)| atom.visit(&mut see));
    let is_homomorphism = matches!(function, Builtin::Exp | Builtin::Exp2 | Builtin::Exp10);
    let scale = Scale { function, factor };
    (is_homomorphism && is_free && factor > 0.0 && factor <= 1.0).then_some(Relative { scale, rest })
}

/// The new maximum, in a statement that has it as read `read`: as it is, or no less than the smallest number (`true`).
pub(super) fn is_clamped(expr: &Expr, read: usize) -> Option<bool> {
    let is_load = |e: &Expr| *e == Expr::Load(read);
    match expr {
        e if is_load(e) => Some(false),
        Expr::Binary(BinOp::Max, a, b) => match (&**a, &**b) {
            (e, Expr::Const(value, dtype)) | (Expr::Const(value, dtype), e) if is_load(e) => {
                (lowest(*dtype) == Some(number(value))).then_some(true)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression is by how much sums are scaled when the maximum, read 0, becomes the new one, made of read 1:
/// `new == old ? 1 : f(c·(old - new))`. Whether the new one is no less than the smallest number.
///
/// Equal ones are apart because of infinities.
pub(super) fn is_scale(expr: &Expr, scale: Scale) -> Option<bool> {
    let Expr::Select(condition, one, other) = expr else { return None };
    let Expr::Compare(crate::CmpOp::Eq, new, old) = &**condition else { return None };
    let clamped = is_clamped(new, 1)?;
    let is_one = matches!(&**one, Expr::Const(value, _) if number(value) == 1.0);
    let Expr::Call(function, arguments) = &**other else { return None };
    let [argument] = arguments.as_slice() else { return None };
    let mut linear = Linear::of(argument);
    let grows = linear.take(|e| *e == Expr::Load(0)) == Some(scale.factor);
    let shrinks = linear.take(|e| e == &**new) == Some(-scale.factor);
    let is_all = linear.atoms.is_empty() && linear.constant == 0.0;
    (**old == Expr::Load(0) && is_one && *function == scale.function && grows && shrinks && is_all).then_some(clamped)
}

/// The value of a constant.
pub(super) fn number(value: &Value) -> f64 {
    match value {
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
    }
}

/// The smallest number of a floating-point type.
pub fn lowest(dtype: DType) -> Option<f64> {
    match dtype {
        DType::F16 => Some(-65504.0),
        DType::BF16 => Some(-f64::from(f32::from_bits(0x7f7f_0000))),
        DType::F32 => Some(-f64::from(f32::MAX)),
        DType::F64 => Some(f64::MIN),
        _ => None,
    }
}

/// The function and the factor of the first term in an expression that is relative to a read: what a rewrite begins with.
pub fn exponent(expr: &Expr, max: &dyn Fn(usize) -> bool) -> Option<(Builtin, f64)> {
    let kind = |read: usize| if max(read) { Kind::Max } else { Kind::Other };
    let mut first = None;
    expr.visit(&mut |e| {
        if let (None, Expr::Call(function, arguments)) = (first, e) {
            let uses = |e: &Expr| {
                let mut uses = false;
                e.visit(&mut |e| uses |= matches!(e, Expr::Load(read) if max(*read)));
                uses
            };
            first = if uses(e) { relative(*function, arguments, &kind) } else { None }
                .map(|term| (term.scale.function, term.scale.factor));
        }
    });
    first
}

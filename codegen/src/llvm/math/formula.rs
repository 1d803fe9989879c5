//! Formulas over lanes: straight-line arithmetic, written down before it becomes instructions.
//!
//! A function of this folder is written once for scalars and for vectors of any length, with Rust's operators:
//!
//! ```text
//! let n = (x * LOG2_E).round();
//! let r = n.minus_product(LN2.high, x);           // x - n·ln 2
//! ```
//!
//! Each operation is a [`Step`] of the [`Formula`]; [`super::emit`] makes LLVM's instructions of them, one for one. No
//! operation may be regrouped: each is rounded once, to nearest even, in the type of its lanes. A number among the
//! operands is that constant, rounded to the type, in every lane.

use std::cell::RefCell;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

use polyhedral::Builtin;

/// What a lane holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::llvm) enum Type {
    /// A `float32`.
    F32,
    /// A `float64`.
    F64,
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
    /// The answer to a comparison.
    Mask,
}

impl Type {
    /// The integer with as many bits as the float.
    fn bits(self) -> Type {
        if self == Type::F32 { Type::I32 } else { Type::I64 }
    }

    /// The float with as many bits as the integer.
    fn float(self) -> Type {
        if self == Type::I32 { Type::F32 } else { Type::F64 }
    }
}

/// What a step does with its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    /// An argument of the function.
    Argument(u32),
    Constant(f64),
    Integer(i64),
    Add,
    Sub,
    Mul,
    Div,
    /// `a·b + c`, rounded once.
    Fma,
    Neg,
    Abs,
    Sqrt,
    /// To the nearest whole number, of two the even.
    Round,
    /// The first with the sign of the second.
    CopySign,
    /// The first times 2 to the power of the second, a whole number, rounded once. Only where lanes have an instruction
    /// for it.
    Scale,
    /// `float32` to `float64`.
    Widen,
    /// `float64` to `float32`.
    Narrow,
    /// The same bits as another type: of the step.
    Reinterpret,
    IntAdd,
    IntSub,
    And,
    Or,
    Xor,
    /// By a constant; zeros come in.
    ShiftLeft(u32),
    /// By a constant; zeros come in.
    ShiftRight(u32),
    /// False for a NaN, as are the next two.
    Less,
    LessEqual,
    Equal,
    /// Whether it is a NaN.
    IsNan,
    IntLess,
    IntEqual,
    MaskAnd,
    MaskOr,
    MaskNot,
    /// Mask, then, otherwise.
    Select,
    /// The element of a table of doubles at each lane's subscript, which lies inside.
    Lookup(&'static Table),
    /// What the context's table of functions gives, lane by lane.
    Library(Builtin),
    /// The steps up to [`Op::Join`] run only if a lane of the mask is set, which is rare.
    Rarely,
    Join,
    /// Directly after [`Op::Join`]: the first where the steps ran, else the second.
    Merge,
}

/// What a formula is computed in.
#[derive(Clone, Copy, Debug)]
pub(in crate::llvm) struct Lanes {
    /// The type of the arguments.
    pub ty: Type,
    /// Whether one instruction multiplies lanes by powers of two of any size.
    pub scale: bool,
    /// Whether the context's table of functions is there: it is for processors.
    pub library: bool,
}

/// Constants in memory.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    /// What its symbol is called.
    pub name: &'static str,
    pub values: &'static [f64],
}

/// An operation and the numbers of the steps that it takes its operands from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub op: Op,
    pub ty: Type,
    pub operands: [u32; 3],
}

/// A function of lanes: its steps in order, the last of which is its value.
#[derive(Debug)]
pub(in crate::llvm) struct Formula {
    steps: RefCell<Vec<Step>>,
    lanes: Lanes,
}

impl Formula {
    /// The formula of a function of `arity` arguments of one type.
    pub fn new(lanes: Lanes, arity: u32, body: impl for<'f> Fn(&[Float<'f>]) -> Float<'f>) -> Formula {
        let formula = Formula { steps: RefCell::default(), lanes };
        let ty = lanes.ty;
        let arguments: Vec<Float<'_>> = (0..arity).map(|n| Float(formula.step(Op::Argument(n), ty, &[]))).collect();
        let result = body(&arguments).0;
        // The value is the last step, also when it is an argument or was made before something else.
        if result.at + 1 != formula.steps.borrow().len() as u32 {
            formula.step(Op::Reinterpret, ty, &[result]);
        }
        formula
    }

    /// The steps in order.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.steps.borrow().clone()
    }

    /// Whether its value is a `float64`.
    pub fn is_double(&self) -> bool {
        self.steps.borrow().last().is_some_and(|step| step.ty == Type::F64)
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        self.steps.borrow().len()
    }

    fn step(&self, op: Op, ty: Type, operands: &[Lane<'_>]) -> Lane<'_> {
        let mut steps = self.steps.borrow_mut();
        let mut numbers = [0; 3];
        for (number, operand) in numbers.iter_mut().zip(operands) {
            *number = operand.at;
        }
        steps.push(Step { op, ty, operands: numbers });
        Lane { formula: self, at: steps.len() as u32 - 1, ty }
    }
}

/// The result of a step.
#[derive(Clone, Copy)]
pub(super) struct Lane<'f> {
    formula: &'f Formula,
    at: u32,
    ty: Type,
}

impl<'f> Lane<'f> {
    fn then(self, op: Op, ty: Type, others: &[Lane<'f>]) -> Lane<'f> {
        match *others {
            [] => self.formula.step(op, ty, &[self]),
            [b] => self.formula.step(op, ty, &[self, b]),
            [b, c, ..] => self.formula.step(op, ty, &[self, b, c]),
        }
    }
}

/// A floating-point value.
#[derive(Clone, Copy)]
pub(super) struct Float<'f>(Lane<'f>);

/// An integer as wide as the floats that it came from.
#[derive(Clone, Copy)]
pub(super) struct Int<'f>(Lane<'f>);

/// The answer to a question.
#[derive(Clone, Copy)]
pub(super) struct Mask<'f>(Lane<'f>);

/// Something that a [`Float`] can be combined with: another, or a number.
pub(super) trait Operand<'f>: Copy {
    /// As a value of the type that `like` has.
    fn like(self, like: Float<'f>) -> Float<'f>;
}

impl<'f> Operand<'f> for Float<'f> {
    fn like(self, _: Float<'f>) -> Float<'f> {
        self
    }
}

impl<'f> Operand<'f> for f64 {
    fn like(self, like: Float<'f>) -> Float<'f> {
        Float(like.0.formula.step(Op::Constant(self), like.0.ty, &[]))
    }
}

/// A constant with its own digits for each type.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerType<T> {
    pub single: T,
    pub double: T,
}

impl<'f> Operand<'f> for PerType<f64> {
    fn like(self, like: Float<'f>) -> Float<'f> {
        like.pick(self).like(like)
    }
}

/// A polynomial's coefficients, from the constant one upwards.
pub(super) type Polynomial = PerType<&'static [f64]>;

impl<'f> Float<'f> {
    /// Whether the lanes are `float32`.
    pub fn is_single(self) -> bool {
        self.0.ty == Type::F32
    }

    /// The alternative for the type of the lanes.
    pub fn pick<T>(self, of: PerType<T>) -> T {
        if self.is_single() { of.single } else { of.double }
    }

    /// A constant of the same type.
    pub fn constant(self, value: impl Operand<'f>) -> Float<'f> {
        value.like(self)
    }

    fn unary(self, op: Op) -> Float<'f> {
        Float(self.0.then(op, self.0.ty, &[]))
    }

    fn binary(self, op: Op, other: impl Operand<'f>) -> Float<'f> {
        Float(self.0.then(op, self.0.ty, &[other.like(self).0]))
    }

    fn compare(self, op: Op, other: impl Operand<'f>) -> Mask<'f> {
        Mask(self.0.then(op, Type::Mask, &[other.like(self).0]))
    }

    /// `self·b + c`, rounded once.
    pub fn mul_add(self, b: impl Operand<'f>, c: impl Operand<'f>) -> Float<'f> {
        Float(self.0.then(Op::Fma, self.0.ty, &[b.like(self).0, c.like(self).0]))
    }

    /// `c - self·b`, rounded once.
    pub fn minus_product(self, b: impl Operand<'f>, c: impl Operand<'f>) -> Float<'f> {
        (-self).mul_add(b, c)
    }

    pub fn abs(self) -> Float<'f> {
        self.unary(Op::Abs)
    }

    pub fn sqrt(self) -> Float<'f> {
        self.unary(Op::Sqrt)
    }

    /// To the nearest whole number, of two the even.
    pub fn round(self) -> Float<'f> {
        self.unary(Op::Round)
    }

    /// Whether [`Float::scaled`] is an instruction.
    pub fn has_scale(self) -> bool {
        let Lanes { ty, scale, .. } = self.0.formula.lanes;
        scale && self.0.ty == ty
    }

    /// Whether [`Float::library`] is there.
    pub fn has_library(self) -> bool {
        self.0.formula.lanes.library
    }

    /// `self · 2^n`, rounded once, for a whole number `n` of any size; where [`Float::has_scale`].
    pub fn scaled(self, n: Float<'f>) -> Float<'f> {
        self.binary(Op::Scale, n)
    }

    /// With the sign of another.
    pub fn with_sign_of(self, sign: Float<'f>) -> Float<'f> {
        self.binary(Op::CopySign, sign)
    }

    pub fn widen(self) -> Float<'f> {
        Float(self.0.then(Op::Widen, Type::F64, &[]))
    }

    pub fn narrow(self) -> Float<'f> {
        Float(self.0.then(Op::Narrow, Type::F32, &[]))
    }

    /// Its bits.
    pub fn bits(self) -> Int<'f> {
        Int(self.0.then(Op::Reinterpret, self.0.ty.bits(), &[]))
    }

    pub fn less(self, than: impl Operand<'f>) -> Mask<'f> {
        self.compare(Op::Less, than)
    }

    pub fn greater(self, than: impl Operand<'f>) -> Mask<'f> {
        than.like(self).less(self)
    }

    pub fn less_equal(self, than: impl Operand<'f>) -> Mask<'f> {
        self.compare(Op::LessEqual, than)
    }

    pub fn equals(self, other: impl Operand<'f>) -> Mask<'f> {
        self.compare(Op::Equal, other)
    }

    pub fn is_nan(self) -> Mask<'f> {
        Mask(self.0.then(Op::IsNan, Type::Mask, &[]))
    }

    /// The smaller of the two; a NaN of `self` stays.
    pub fn at_most(self, limit: impl Operand<'f>) -> Float<'f> {
        self.greater(limit).select(limit.like(self), self)
    }

    /// The larger of the two; a NaN of `self` stays.
    pub fn at_least(self, limit: impl Operand<'f>) -> Float<'f> {
        self.less(limit).select(limit.like(self), self)
    }

    /// The value of a polynomial, by Horner's rule.
    pub fn polynomial(self, of: Polynomial) -> Float<'f> {
        let coefficients = self.pick(of);
        let (last, rest) = coefficients.split_last().expect("no polynomial of this folder is empty");
        rest.iter().rev().fold(self.constant(*last), |sum, coefficient| sum.mul_add(self, *coefficient))
    }

    /// A function of `float64` at a `float32`.
    pub fn in_double(self, function: impl Fn(Float<'f>) -> Float<'f>) -> Float<'f> {
        function(self.widen()).narrow()
    }

    /// What the context's table of functions gives, lane by lane.
    pub fn library(self, builtin: Builtin) -> Float<'f> {
        self.unary(Op::Library(builtin))
    }
}

impl<'f> Int<'f> {
    fn binary(self, op: Op, other: Int<'f>) -> Int<'f> {
        Int(self.0.then(op, self.0.ty, &[other.0]))
    }

    /// A constant of the same type.
    pub fn constant(self, value: i64) -> Int<'f> {
        Int(self.0.formula.step(Op::Integer(value), self.0.ty, &[]))
    }

    /// As the bits of a float.
    pub fn float(self) -> Float<'f> {
        Float(self.0.then(Op::Reinterpret, self.0.ty.float(), &[]))
    }

    pub fn shift_left(self, by: u32) -> Int<'f> {
        Int(self.0.then(Op::ShiftLeft(by), self.0.ty, &[]))
    }

    /// Zeros come in.
    pub fn shift_right(self, by: u32) -> Int<'f> {
        Int(self.0.then(Op::ShiftRight(by), self.0.ty, &[]))
    }

    pub fn less(self, than: Int<'f>) -> Mask<'f> {
        Mask(self.0.then(Op::IntLess, Type::Mask, &[than.0]))
    }

    pub fn equals(self, other: Int<'f>) -> Mask<'f> {
        Mask(self.0.then(Op::IntEqual, Type::Mask, &[other.0]))
    }

    /// The elements of a table at these subscripts, which lie inside.
    pub fn lookup(self, table: &'static Table) -> Float<'f> {
        Float(self.0.then(Op::Lookup(table), Type::F64, &[]))
    }
}

impl<'f> Mask<'f> {
    /// `a` where it holds, else `b`.
    pub fn select<V: Value<'f>>(self, a: V, b: V) -> V {
        V::wrap(self.0.then(Op::Select, a.lane().ty, &[a.lane(), b.lane()]))
    }

    /// `a` where it holds, else the constant or value `b`.
    pub fn choose(self, a: impl Operand<'f>, b: Float<'f>) -> Float<'f> {
        self.select(a.like(b), b)
    }

    /// `otherwise`, but what `then` gives if the mask holds in any lane, which is rare. Values made in `then` may be
    /// used outside of it only as its result.
    pub fn rarely<V: Value<'f>, const N: usize>(self, otherwise: [V; N], then: impl FnOnce() -> [V; N]) -> [V; N] {
        let formula = self.0.formula;
        formula.step(Op::Rarely, Type::Mask, &[self.0]);
        let there = then();
        formula.step(Op::Join, Type::Mask, &[]);
        let mut merged = otherwise;
        for (value, there) in merged.iter_mut().zip(there) {
            *value = V::wrap(formula.step(Op::Merge, value.lane().ty, &[there.lane(), value.lane()]));
        }
        merged
    }
}

/// What a [`Mask`] can choose between.
pub(super) trait Value<'f>: Copy {
    fn lane(self) -> Lane<'f>;
    fn wrap(lane: Lane<'f>) -> Self;
}

impl<'f> Value<'f> for Float<'f> {
    fn lane(self) -> Lane<'f> {
        self.0
    }
    fn wrap(lane: Lane<'f>) -> Float<'f> {
        Float(lane)
    }
}

impl<'f> Value<'f> for Int<'f> {
    fn lane(self) -> Lane<'f> {
        self.0
    }
    fn wrap(lane: Lane<'f>) -> Int<'f> {
        Int(lane)
    }
}

macro_rules! float_operators {
    ($($Trait:ident $method:ident $op:ident;)*) => { $(
        impl<'f, B: Operand<'f>> $Trait<B> for Float<'f> {
            type Output = Float<'f>;
            fn $method(self, other: B) -> Float<'f> {
                self.binary(Op::$op, other)
            }
        }
        impl<'f> $Trait<Float<'f>> for f64 {
            type Output = Float<'f>;
            fn $method(self, other: Float<'f>) -> Float<'f> {
                self.like(other).binary(Op::$op, other)
            }
        }
    )* };
}

float_operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

macro_rules! int_operators {
    ($($Trait:ident $method:ident $op:ident;)*) => { $(
        impl<'f> $Trait for Int<'f> {
            type Output = Int<'f>;
            fn $method(self, other: Int<'f>) -> Int<'f> {
                self.binary(Op::$op, other)
            }
        }
        impl<'f> $Trait<i64> for Int<'f> {
            type Output = Int<'f>;
            fn $method(self, other: i64) -> Int<'f> {
                self.binary(Op::$op, self.constant(other))
            }
        }
    )* };
}

int_operators! {
    Add add IntAdd;
    Sub sub IntSub;
    BitAnd bitand And;
    BitOr bitor Or;
    BitXor bitxor Xor;
}

impl<'f> Neg for Float<'f> {
    type Output = Float<'f>;
    fn neg(self) -> Float<'f> {
        self.unary(Op::Neg)
    }
}

impl<'f> BitAnd for Mask<'f> {
    type Output = Mask<'f>;
    fn bitand(self, other: Mask<'f>) -> Mask<'f> {
        Mask(self.0.then(Op::MaskAnd, Type::Mask, &[other.0]))
    }
}

impl<'f> BitOr for Mask<'f> {
    type Output = Mask<'f>;
    fn bitor(self, other: Mask<'f>) -> Mask<'f> {
        Mask(self.0.then(Op::MaskOr, Type::Mask, &[other.0]))
    }
}

impl<'f> Not for Mask<'f> {
    type Output = Mask<'f>;
    fn not(self) -> Mask<'f> {
        Mask(self.0.then(Op::MaskNot, Type::Mask, &[]))
    }
}

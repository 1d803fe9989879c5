//! Tensors, their elements, and what is computed from them, as the closures handle them.

use std::fmt;
use std::ops::{Add, BitAnd, BitOr, Deref, Div, Mul, Neg, Not, Rem, Sub};

use super::record::{Node, Recorded, Subscript, ValueId};
use super::{Builder, Condition, Index, IntoIndex};
use crate::{BinOp, Builtin, CmpOp, DType, TensorId, UnOp};

/// A tensor of the program.
#[derive(Clone, Copy)]
pub struct Tensor<'p> {
    pub(super) program: &'p Builder,
    pub(super) id: TensorId,
}

/// An element of a tensor: what a statement writes, and where a value is wanted what it reads.
#[derive(Clone, Copy)]
pub struct Element<'p>(Value<'p>);

/// A scalar that a statement computes. Literals take the type of what they meet: in `0.5 * x` the number has the type
/// of `x`. Values of different types do not meet without a [`cast`](Value::cast).
#[derive(Clone, Copy)]
pub struct Value<'p> {
    pub(super) program: &'p Builder,
    pub(super) id: ValueId,
}

/// What can be a value: a [`Value`], an [`Element`], an [`Index`] (as a 64-bit integer), a [`Condition`] (as a bool),
/// or a literal.
pub trait IntoValue<'p> {
    /// The value, of `program`.
    fn into_value(self, program: &'p Builder) -> Value<'p>;
}

/// What can be a subscript: an [`Index`] or a number, or an integer value that is computed.
pub trait IntoSubscript<'p> {
    /// The subscript, of `program`.
    fn into_subscript(self, program: &'p Builder) -> AnySubscript<'p>;
}

/// A subscript of either kind.
#[derive(Clone, Copy)]
pub enum AnySubscript<'p> {
    /// Quasi-affine: proved to be inside its tensor.
    Affine(Index<'p>),
    /// Computed: checked while running.
    Indirect(Value<'p>),
}

/// Subscripts in order: an array of one type, a tuple of several, `()` for an element of a scalar.
pub trait IntoSubscripts<'p> {
    /// All of them, of `program`.
    fn into_subscripts(self, program: &'p Builder) -> Vec<AnySubscript<'p>>;
}

/// Indices in order: an array of one type, a tuple of several, `()` for none.
pub trait IntoIndices<'p> {
    /// All of them, of `program`.
    fn into_indices(self, program: &'p Builder) -> Vec<Index<'p>>;
}

impl<'p> Tensor<'p> {
    /// The element with these subscripts: `a.at([i, j])`, `a.at((i + 1, 0))`, `s.at(())`.
    pub fn at(self, subscripts: impl IntoSubscripts<'p>) -> Element<'p> {
        let subscripts = subscripts.into_subscripts(self.program).into_iter().map(|subscript| match subscript {
            AnySubscript::Affine(index) => Subscript::Affine(index.id),
            AnySubscript::Indirect(value) => Subscript::Indirect(value.id),
        });
        Element(self.program.new_value(Ok(Node::Load(self.id, subscripts.collect()))))
    }

    /// The same tensor with subscripts that start at `lower` in place of 0.
    pub fn starting_at(self, lower: impl IntoIndices<'p>) -> Tensor<'p> {
        let lower = lower.into_indices(self.program).into_iter().map(|index| index.id).collect();
        self.program.record.borrow_mut().tensors[self.id].lower = lower;
        self
    }
}

impl<'p> Deref for Element<'p> {
    type Target = Value<'p>;
    fn deref(&self) -> &Value<'p> {
        &self.0
    }
}

impl<'p> Value<'p> {
    /// Converted to `dtype`.
    pub fn cast(self, dtype: DType) -> Value<'p> {
        self.program.new_value(Ok(Node::Cast(dtype, self.id)))
    }

    /// `then` where this bool holds, `otherwise` where not.
    pub fn select(self, then: impl IntoValue<'p>, otherwise: impl IntoValue<'p>) -> Value<'p> {
        let (then, otherwise) = (then.into_value(self.program), otherwise.into_value(self.program));
        self.program.new_value(Ok(Node::Select(self.id, then.id, otherwise.id)))
    }

    /// The smaller of the two.
    pub fn min(self, other: impl IntoValue<'p>) -> Value<'p> {
        self.binary(BinOp::Min, other)
    }

    /// The larger of the two.
    pub fn max(self, other: impl IntoValue<'p>) -> Value<'p> {
        self.binary(BinOp::Max, other)
    }

    /// A function of the language of this value alone: `x.call(Builtin::Tanh)`.
    pub fn call(self, function: Builtin) -> Value<'p> {
        self.program.new_value(Ok(Node::Call(function, vec![self.id])))
    }

    /// The square root.
    pub fn sqrt(self) -> Value<'p> {
        self.call(Builtin::Sqrt)
    }

    /// The exponential function.
    pub fn exp(self) -> Value<'p> {
        self.call(Builtin::Exp)
    }

    /// The magnitude of a float.
    pub fn abs(self) -> Value<'p> {
        self.call(Builtin::Fabs)
    }

    fn unary(self, op: UnOp) -> Value<'p> {
        self.program.new_value(Ok(Node::Unary(op, self.id)))
    }

    fn binary(self, op: BinOp, other: impl IntoValue<'p>) -> Value<'p> {
        let other = other.into_value(self.program);
        self.program.new_value(Ok(Node::Binary(op, self.id, other.id)))
    }

    fn compare(self, op: CmpOp, other: impl IntoValue<'p>) -> Value<'p> {
        let other = other.into_value(self.program);
        self.program.new_value(Ok(Node::Compare(op, self.id, other.id)))
    }
}

impl<'p> Condition<'p> {
    /// `then` where the condition holds, `otherwise` where not.
    pub fn select(self, then: impl IntoValue<'p>, otherwise: impl IntoValue<'p>) -> Value<'p> {
        self.into_value(self.program).select(then, otherwise)
    }
}

impl<'p> Index<'p> {
    /// The number as a value of `dtype`.
    pub fn cast(self, dtype: DType) -> Value<'p> {
        self.into_value(self.program).cast(dtype)
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident $op:ident;)*) => {
        impl<'p> Value<'p> {$(
            $(#[$doc])*
            pub fn $name(self, other: impl IntoValue<'p>) -> Value<'p> {
                self.compare(CmpOp::$op, other)
            }
        )*}
    };
}

comparisons! {
    /// `self < other`, a bool.
    lt Lt;
    /// `self <= other`, a bool.
    le Le;
    /// `self > other`, a bool.
    gt Gt;
    /// `self >= other`, a bool.
    ge Ge;
    /// `self = other`, a bool.
    eq Eq;
    /// `self != other`, a bool.
    ne Ne;
}

macro_rules! operators {
    ($($Trait:ident $method:ident $op:ident;)*) => {$(
        impl<'p, R: IntoValue<'p>> $Trait<R> for Value<'p> {
            type Output = Value<'p>;
            fn $method(self, other: R) -> Value<'p> { self.binary(BinOp::$op, other) }
        }
        impl<'p, R: IntoValue<'p>> $Trait<R> for Element<'p> {
            type Output = Value<'p>;
            fn $method(self, other: R) -> Value<'p> { self.0.binary(BinOp::$op, other) }
        }
    )*};
}

operators! { Add add Add; Sub sub Sub; Mul mul Mul; Div div Div; Rem rem Mod; BitAnd bitand And; BitOr bitor Or; }

macro_rules! literal_operators {
    ($($L:ty: $($Trait:ident $method:ident $op:ident),*;)*) => {$($(
        impl<'p> $Trait<Value<'p>> for $L {
            type Output = Value<'p>;
            fn $method(self, other: Value<'p>) -> Value<'p> {
                self.into_value(other.program).binary(BinOp::$op, other)
            }
        }
        impl<'p> $Trait<Element<'p>> for $L {
            type Output = Value<'p>;
            fn $method(self, other: Element<'p>) -> Value<'p> {
                self.into_value(other.program).binary(BinOp::$op, other)
            }
        }
    )*)*};
}

literal_operators! {
    f64: Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Mod;
    i64: Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Mod;
}

macro_rules! unary_operators {
    ($($T:ident: $($Trait:ident $method:ident $op:ident),*;)*) => {$($(
        impl<'p> $Trait for $T<'p> {
            type Output = Value<'p>;
            fn $method(self) -> Value<'p> { self.unary(UnOp::$op) }
        }
    )*)*};
}

unary_operators! { Value: Neg neg Neg, Not not Not; Element: Neg neg Neg, Not not Not; }

impl<'p> IntoValue<'p> for Value<'p> {
    fn into_value(self, program: &'p Builder) -> Value<'p> {
        if std::ptr::eq(self.program, program) {
            return self;
        }
        program.new_value(Err("an element or value of another program".into()))
    }
}

impl<'p> IntoValue<'p> for Element<'p> {
    fn into_value(self, program: &'p Builder) -> Value<'p> {
        self.0.into_value(program)
    }
}

impl<'p> IntoValue<'p> for Index<'p> {
    fn into_value(self, program: &'p Builder) -> Value<'p> {
        let index = self.into_index(program);
        program.new_value(Ok(Node::Index(index.id)))
    }
}

impl<'p> IntoValue<'p> for Condition<'p> {
    fn into_value(self, program: &'p Builder) -> Value<'p> {
        let condition = self.of(program);
        program.new_value(Ok(Node::Truth(condition.id)))
    }
}

impl<'p> IntoValue<'p> for f64 {
    fn into_value(self, program: &'p Builder) -> Value<'p> {
        program.new_value(Ok(Node::Literal(crate::Value::Float(self))))
    }
}

impl<'p> IntoValue<'p> for i64 {
    fn into_value(self, program: &'p Builder) -> Value<'p> {
        program.new_value(Ok(Node::Literal(crate::Value::Int(self.into()))))
    }
}

impl<'p> IntoValue<'p> for bool {
    fn into_value(self, program: &'p Builder) -> Value<'p> {
        program.new_value(Ok(Node::Constant(crate::Value::Int(self.into()), DType::Bool)))
    }
}

macro_rules! affine_subscripts {
    ($($T:ty),*) => {$(
        impl<'p> IntoSubscript<'p> for $T {
            fn into_subscript(self, program: &'p Builder) -> AnySubscript<'p> {
                AnySubscript::Affine(self.into_index(program))
            }
        }
    )*};
}
affine_subscripts!(Index<'p>, i64);

macro_rules! indirect_subscripts {
    ($($T:ty),*) => {$(
        impl<'p> IntoSubscript<'p> for $T {
            fn into_subscript(self, program: &'p Builder) -> AnySubscript<'p> {
                AnySubscript::Indirect(self.into_value(program))
            }
        }
    )*};
}
indirect_subscripts!(Value<'p>, Element<'p>);

impl<'p, T: IntoSubscript<'p>, const N: usize> IntoSubscripts<'p> for [T; N] {
    fn into_subscripts(self, program: &'p Builder) -> Vec<AnySubscript<'p>> {
        self.into_iter().map(|subscript| subscript.into_subscript(program)).collect()
    }
}

impl<'p, T: IntoIndex<'p>, const N: usize> IntoIndices<'p> for [T; N] {
    fn into_indices(self, program: &'p Builder) -> Vec<Index<'p>> {
        self.into_iter().map(|index| index.into_index(program)).collect()
    }
}

macro_rules! tuples {
    ($(($($T:ident $at:tt),*))*) => {$(
        impl<'p, $($T: IntoSubscript<'p>),*> IntoSubscripts<'p> for ($($T,)*) {
            fn into_subscripts(self, _program: &'p Builder) -> Vec<AnySubscript<'p>> {
                vec![$(self.$at.into_subscript(_program)),*]
            }
        }
        impl<'p, $($T: IntoIndex<'p>),*> IntoIndices<'p> for ($($T,)*) {
            fn into_indices(self, _program: &'p Builder) -> Vec<Index<'p>> {
                vec![$(self.$at.into_index(_program)),*]
            }
        }
    )*};
}
tuples! { () (A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4) (A 0, B 1, C 2, D 3, E 4, F 5) }

impl Builder {
    pub(super) fn new_value(&self, node: Recorded<Node>) -> Value<'_> {
        Value { program: self, id: self.record.borrow_mut().push_value(node) }
    }
}

macro_rules! shown {
    ($($T:ident $id:tt;)*) => {$(
        impl fmt::Debug for $T<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}", self.$id) }
        }
    )*};
}
shown! { Tensor id; Value id; }

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

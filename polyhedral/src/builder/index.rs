//! Indices and conditions on them, as the closures handle them.

use std::fmt;
use std::ops::{Add, BitAnd, BitOr, Mul, Neg, Not, Sub};

use super::Builder;
use super::record::{ConditionId, DEEPEST, Formula, IndexId, LARGEST, Recorded};
use crate::CmpOp;

/// An integer expression over loop indices and parameters: sums, multiples, [`floor_div`](Index::floor_div) and
/// [`modulo`](Index::modulo) by numbers, minima and maxima.
#[derive(Clone, Copy)]
pub struct Index<'p> {
    pub(super) program: &'p Builder,
    pub(super) id: IndexId,
}

/// A condition on loop indices and parameters: comparisons with `&`, `|` and `!`. It decides before the program runs
/// which instances there are, whereas a bool [`Value`](super::Value) is computed while it runs.
#[derive(Clone, Copy)]
pub struct Condition<'p> {
    pub(super) program: &'p Builder,
    pub(super) id: ConditionId,
}

/// What can be an index: an [`Index`] or a number.
pub trait IntoIndex<'p> {
    /// The index, of `program`.
    fn into_index(self, program: &'p Builder) -> Index<'p>;
}

impl<'p> IntoIndex<'p> for Index<'p> {
    fn into_index(self, program: &'p Builder) -> Index<'p> {
        if std::ptr::eq(self.program, program) {
            return self;
        }
        program.new_index(Err("an index of another program".into()))
    }
}

impl<'p> IntoIndex<'p> for i64 {
    fn into_index(self, program: &'p Builder) -> Index<'p> {
        program.new_index(Ok(crate::Index::Const(self)))
    }
}

impl<'p> Index<'p> {
    /// `floor(self / divisor)`, towards minus infinity; `divisor` is at least 1.
    pub fn floor_div(self, divisor: i64) -> Index<'p> {
        self.divided(divisor, crate::Index::floor_div)
    }

    /// `self - divisor * floor(self / divisor)`, from 0 to `divisor - 1`; `divisor` is at least 1.
    pub fn modulo(self, divisor: i64) -> Index<'p> {
        self.divided(divisor, crate::Index::modulo)
    }

    /// The smaller of the two.
    pub fn min(self, other: impl IntoIndex<'p>) -> Index<'p> {
        self.with(other, crate::Index::min)
    }

    /// The larger of the two.
    pub fn max(self, other: impl IntoIndex<'p>) -> Index<'p> {
        self.with(other, crate::Index::max)
    }

    fn expr(self) -> Recorded<crate::Index> {
        self.program.record.borrow().indices[self.id].clone()
    }

    fn divided(self, divisor: i64, make: fn(crate::Index, i64) -> crate::Index) -> Index<'p> {
        let divided = match divisor {
            1.. => self.expr().map(|expr| make(expr, divisor)),
            _ => Err(format!("a divisor of {divisor}: it must be at least 1")),
        };
        self.program.new_index(divided)
    }

    fn with(
        self,
        other: impl IntoIndex<'p>,
        make: impl FnOnce(crate::Index, crate::Index) -> crate::Index,
    ) -> Index<'p> {
        let other = other.into_index(self.program).expr();
        self.program.new_index(self.expr().and_then(|a| Ok(make(a, other?))))
    }

    fn compare(self, op: CmpOp, other: impl IntoIndex<'p>) -> Condition<'p> {
        let other = other.into_index(self.program).expr();
        let formula = self.expr().and_then(|a| Ok(Formula::Compare(op, a, other?)));
        self.program.new_condition(formula)
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident $op:ident;)*) => {
        impl<'p> Index<'p> {$(
            $(#[$doc])*
            pub fn $name(self, other: impl IntoIndex<'p>) -> Condition<'p> {
                self.compare(CmpOp::$op, other)
            }
        )*}
    };
}

comparisons! {
    /// `self < other`
    lt Lt;
    /// `self <= other`
    le Le;
    /// `self > other`
    gt Gt;
    /// `self >= other`
    ge Ge;
    /// `self = other`
    eq Eq;
    /// `self != other`
    ne Ne;
}

impl<'p, R: IntoIndex<'p>> Add<R> for Index<'p> {
    type Output = Index<'p>;
    fn add(self, other: R) -> Index<'p> {
        self.with(other, |a, b| a + b)
    }
}

impl<'p, R: IntoIndex<'p>> Sub<R> for Index<'p> {
    type Output = Index<'p>;
    fn sub(self, other: R) -> Index<'p> {
        self.with(other, |a, b| a - b)
    }
}

impl<'p> Add<Index<'p>> for i64 {
    type Output = Index<'p>;
    fn add(self, other: Index<'p>) -> Index<'p> {
        self.into_index(other.program) + other
    }
}

impl<'p> Sub<Index<'p>> for i64 {
    type Output = Index<'p>;
    fn sub(self, other: Index<'p>) -> Index<'p> {
        self.into_index(other.program) - other
    }
}

impl<'p> Mul<Index<'p>> for i64 {
    type Output = Index<'p>;
    fn mul(self, other: Index<'p>) -> Index<'p> {
        other.program.new_index(other.expr().map(|expr| self * expr))
    }
}

impl<'p> Mul<i64> for Index<'p> {
    type Output = Index<'p>;
    fn mul(self, factor: i64) -> Index<'p> {
        factor * self
    }
}

impl<'p> Neg for Index<'p> {
    type Output = Index<'p>;
    fn neg(self) -> Index<'p> {
        -1 * self
    }
}

impl<'p> Condition<'p> {
    /// The condition of `program` itself.
    pub(super) fn of(self, program: &'p Builder) -> Condition<'p> {
        if std::ptr::eq(self.program, program) {
            return self;
        }
        program.new_condition(Err("a condition of another program".into()))
    }

    fn formula(self) -> Recorded<Formula> {
        self.program.record.borrow().conditions[self.id].clone()
    }

    fn with(self, other: Condition<'p>, make: fn(Box<Formula>, Box<Formula>) -> Formula) -> Condition<'p> {
        let other = other.of(self.program).formula();
        let both = self.formula().and_then(|a| Ok(make(a.into(), other?.into())));
        self.program.new_condition(both)
    }
}

impl<'p> BitAnd for Condition<'p> {
    type Output = Condition<'p>;
    fn bitand(self, other: Condition<'p>) -> Condition<'p> {
        self.with(other, Formula::And)
    }
}

impl<'p> BitOr for Condition<'p> {
    type Output = Condition<'p>;
    fn bitor(self, other: Condition<'p>) -> Condition<'p> {
        self.with(other, Formula::Or)
    }
}

impl<'p> Not for Condition<'p> {
    type Output = Condition<'p>;
    fn not(self) -> Condition<'p> {
        self.program.new_condition(self.formula().map(|formula| Formula::Not(formula.into())))
    }
}

impl Builder {
    pub(super) fn new_index(&self, expr: Recorded<crate::Index>) -> Index<'_> {
        let expr = expr.and_then(|expr| if too_large(&expr) { Err(TOO_LARGE.into()) } else { Ok(expr) });
        Index { program: self, id: self.record.borrow_mut().indices.push(expr) }
    }

    pub(super) fn new_condition(&self, formula: Recorded<Formula>) -> Condition<'_> {
        let fits = |formula: &Formula| formula.size() <= LARGEST && formula.depth() <= DEEPEST;
        let formula = formula.and_then(|formula| if fits(&formula) { Ok(formula) } else { Err(TOO_LARGE.into()) });
        Condition { program: self, id: self.record.borrow_mut().conditions.push(formula) }
    }
}

const TOO_LARGE: &str = "an index or condition of more than 200 operators";

/// Each operator nests its operands one deeper: a bound on the number bounds the depth.
fn too_large(expr: &crate::Index) -> bool {
    let mut operators = 0;
    expr.visit(&mut |_| operators += 1);
    operators > DEEPEST
}

impl fmt::Debug for Index<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

impl fmt::Debug for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

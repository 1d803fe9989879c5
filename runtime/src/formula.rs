//! Numbers that follow from the sizes of a call: extents, strides, bytes of workspace. Plain data, with a text:
//! `64*floor((4*M*K + 63)/64)`.
//!
//! ```
//! use runtime::Formula;
//!
//! let bytes: Formula = "64*floor((4*M*K + 63)/64)".parse()?;
//! let sizes = |name: &str| match name { "M" => Some(3), "K" => Some(7), _ => None };
//! assert_eq!(bytes.value(&sizes), Some(128));
//! # Ok::<(), runtime::formula::FormulaError>(())
//! ```

mod text;

use serde::{Serialize, Serializer};

/// A quasi-affine expression over the sizes of a call, with products of sizes, minima, maxima and choices. All numbers have 64
/// bits; division and remainder round to minus infinity.
///
/// Its text is `a + b`, `a - b`, `2*a*b`, `floor(a/4)`, `mod(a, 4)`, `min(a, b)`, `max(a, b)`, `if(a >= 0, b, c)` and brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Formula {
    /// A constant.
    Const(i64),
    /// A size, by its name.
    Size(String),
    /// The sum.
    Add(Box<Formula>, Box<Formula>),
    /// The product.
    Mul(Box<Formula>, Box<Formula>),
    /// `floor(a / c)`, `c` at least 1.
    FloorDiv(Box<Formula>, i64),
    /// `a mod c`, from 0 to `c - 1`, `c` at least 1.
    Mod(Box<Formula>, i64),
    /// The smaller.
    Min(Box<Formula>, Box<Formula>),
    /// The larger.
    Max(Box<Formula>, Box<Formula>),
    /// The second where the first is at least 0, else the third.
    Select(Box<Formula>, Box<Formula>, Box<Formula>),
}

/// A text that is no [`Formula`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a formula: {reason}")]
pub struct FormulaError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Formula {
    /// No text of a formula is longer, in bytes: what is nested in it fits the stack of any thread.
    pub const MOST_BYTES: usize = 16 << 10;

    /// The value where the sizes are known; `None` on overflow, where a size is not known, and after a division by less than 1.
    pub fn value(&self, size: &dyn Fn(&str) -> Option<i64>) -> Option<i64> {
        let of = |part: &Formula| part.value(size);
        match self {
            Formula::Const(value) => Some(*value),
            Formula::Size(name) => size(name),
            Formula::Add(a, b) => of(a)?.checked_add(of(b)?),
            Formula::Mul(a, b) => of(a)?.checked_mul(of(b)?),
            Formula::FloorDiv(a, c) if *c >= 1 => of(a)?.checked_div_euclid(*c),
            Formula::Mod(a, c) if *c >= 1 => of(a)?.checked_rem_euclid(*c),
            Formula::FloorDiv(..) | Formula::Mod(..) => None,
            Formula::Min(a, b) => Some(of(a)?.min(of(b)?)),
            Formula::Max(a, b) => Some(of(a)?.max(of(b)?)),
            Formula::Select(test, then, otherwise) => of(if of(test)? >= 0 { then } else { otherwise }),
        }
    }

    /// The value of a constant.
    pub fn as_const(&self) -> Option<i64> {
        match self {
            Formula::Const(value) => Some(*value),
            _ => None,
        }
    }

    /// Calls `see` with the name of every size that occurs.
    pub fn each_size<'a>(&'a self, see: &mut dyn FnMut(&'a str)) {
        match self {
            Formula::Const(_) => (),
            Formula::Size(name) => see(name),
            Formula::FloorDiv(a, _) | Formula::Mod(a, _) => a.each_size(see),
            Formula::Add(a, b) | Formula::Mul(a, b) | Formula::Min(a, b) | Formula::Max(a, b) => {
                a.each_size(see);
                b.each_size(see);
            }
            Formula::Select(a, b, c) => [a, b, c].into_iter().for_each(|part| part.each_size(see)),
        }
    }
}

impl Default for Formula {
    fn default() -> Formula {
        Formula::Const(0)
    }
}

impl From<i64> for Formula {
    fn from(value: i64) -> Formula {
        Formula::Const(value)
    }
}

/// A constant is a number, anything else its text.
impl Serialize for Formula {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Formula::Const(value) => serializer.serialize_i64(*value),
            other => serializer.collect_str(other),
        }
    }
}

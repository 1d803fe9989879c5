use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

use crate::isl;

/// An integer expression over the dimensions of a statement and the size parameters: quasi-affine, with minima, maxima and
/// choices. Division and remainder round towards minus infinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Index {
    /// A constant.
    Const(i64),
    /// A dimension of the statement, by position.
    Dim(usize),
    /// A size parameter, by position.
    Param(usize),
    /// The sum.
    Add(Box<Index>, Box<Index>),
    /// A constant times an expression.
    Mul(i64, Box<Index>),
    /// `floor(e / c)`, `c` at least 1.
    FloorDiv(Box<Index>, i64),
    /// `e - c·floor(e / c)`, `c` at least 1.
    Mod(Box<Index>, i64),
    /// The smaller.
    Min(Box<Index>, Box<Index>),
    /// The larger.
    Max(Box<Index>, Box<Index>),
    /// The second where the first is not negative, else the third.
    Select(Box<Index>, Box<Index>, Box<Index>),
}

impl Index {
    /// `floor(self / divisor)`; `divisor` is at least 1.
    pub fn floor_div(self, divisor: i64) -> Index {
        debug_assert!(divisor >= 1);
        match self {
            _ if divisor == 1 => self,
            Index::Const(value) => Index::Const(value.div_euclid(divisor)),
            other => Index::FloorDiv(Box::new(other), divisor),
        }
    }

    /// `self mod divisor`, from 0 to `divisor - 1`; `divisor` is at least 1.
    pub fn modulo(self, divisor: i64) -> Index {
        debug_assert!(divisor >= 1);
        match self {
            _ if divisor == 1 => Index::Const(0),
            Index::Const(value) => Index::Const(value.rem_euclid(divisor)),
            other => Index::Mod(Box::new(other), divisor),
        }
    }

    /// The smaller of the two.
    pub fn min(self, other: Index) -> Index {
        match (self, other) {
            (Index::Const(a), Index::Const(b)) => Index::Const(a.min(b)),
            (a, b) if a == b => a,
            (a, b) => Index::Min(Box::new(a), Box::new(b)),
        }
    }

    /// The larger of the two.
    pub fn max(self, other: Index) -> Index {
        match (self, other) {
            (Index::Const(a), Index::Const(b)) => Index::Const(a.max(b)),
            (a, b) if a == b => a,
            (a, b) => Index::Max(Box::new(a), Box::new(b)),
        }
    }

    /// `then` where `test` is not negative, else `otherwise`.
    pub fn select(test: Index, then: Index, otherwise: Index) -> Index {
        match test {
            Index::Const(0..) => then,
            Index::Const(_) => otherwise,
            _ if then == otherwise => then,
            test => Index::Select(Box::new(test), Box::new(then), Box::new(otherwise)),
        }
    }

    /// The value, when it holds no dimension and no parameter.
    pub fn as_const(&self) -> Option<i64> {
        match self {
            Index::Const(value) => Some(*value),
            _ => None,
        }
    }

    /// The value at a point; `None` on overflow.
    pub fn eval(&self, dims: &[i64], params: &[i64]) -> Option<i64> {
        let go = |e: &Index| e.eval(dims, params);
        match self {
            Index::Const(value) => Some(*value),
            Index::Dim(at) => dims.get(*at).copied(),
            Index::Param(at) => params.get(*at).copied(),
            Index::Add(a, b) => go(a)?.checked_add(go(b)?),
            Index::Mul(c, e) => c.checked_mul(go(e)?),
            Index::FloorDiv(e, c) => go(e)?.checked_div_euclid(*c),
            Index::Mod(e, c) => go(e)?.checked_rem_euclid(*c),
            Index::Min(a, b) => Some(go(a)?.min(go(b)?)),
            Index::Max(a, b) => Some(go(a)?.max(go(b)?)),
            Index::Select(test, then, otherwise) => go(if go(test)? >= 0 { then } else { otherwise }),
        }
    }

    /// Replaces every dimension and parameter, and folds constants.
    pub fn substitute(&self, dim: &dyn Fn(usize) -> Index, param: &dyn Fn(usize) -> Index) -> Index {
        let go = |e: &Index| e.substitute(dim, param);
        match self {
            Index::Const(value) => Index::Const(*value),
            Index::Dim(at) => dim(*at),
            Index::Param(at) => param(*at),
            Index::Add(a, b) => go(a) + go(b),
            Index::Mul(c, e) => *c * go(e),
            Index::FloorDiv(e, c) => go(e).floor_div(*c),
            Index::Mod(e, c) => go(e).modulo(*c),
            Index::Min(a, b) => go(a).min(go(b)),
            Index::Max(a, b) => go(a).max(go(b)),
            Index::Select(test, then, otherwise) => Index::select(go(test), go(then), go(otherwise)),
        }
    }

    /// With the parameters fixed to `sizes`.
    pub fn with_params(&self, sizes: &[i64]) -> Index {
        self.substitute(&Index::Dim, &|at| sizes.get(at).map_or(Index::Param(at), |&size| Index::Const(size)))
    }

    /// The coefficients when the expression is affine: constant, then by dimension and by parameter.
    pub fn affine(&self) -> Option<Affine> {
        match self {
            Index::Const(value) => Some(Affine { constant: *value, ..Affine::default() }),
            Index::Dim(at) => Some(Affine { dims: BTreeMap::from([(*at, 1)]), ..Affine::default() }),
            Index::Param(at) => Some(Affine { params: BTreeMap::from([(*at, 1)]), ..Affine::default() }),
            Index::Add(a, b) => a.affine()?.plus(&b.affine()?),
            Index::Mul(c, e) => e.affine()?.times(*c),
            Index::FloorDiv(..) | Index::Mod(..) | Index::Min(..) | Index::Max(..) | Index::Select(..) => None,
        }
    }

    /// The dimensions that occur, ascending.
    pub fn dims_used(&self) -> Vec<usize> {
        let mut used = Vec::new();
        self.visit(&mut |e| {
            if let Index::Dim(at) = e {
                used.push(*at);
            }
        });
        used.sort_unstable();
        used.dedup();
        used
    }

    /// Calls `see` on every sub-expression.
    pub fn visit(&self, see: &mut dyn FnMut(&Index)) {
        see(self);
        match self {
            Index::Const(_) | Index::Dim(_) | Index::Param(_) => {}
            Index::Mul(_, e) | Index::FloorDiv(e, _) | Index::Mod(e, _) => e.visit(see),
            Index::Add(a, b) | Index::Min(a, b) | Index::Max(a, b) => {
                a.visit(see);
                b.visit(see);
            }
            Index::Select(test, then, otherwise) => [test, then, otherwise].into_iter().for_each(|e| e.visit(see)),
        }
    }

    /// As isl's function on `space`, a set space whose parameters and tuple are the ones that the positions count.
    pub fn to_pw_aff(&self, space: &isl::Space) -> isl::Result<isl::PwAff> {
        let ctx = space.ctx();
        let value = |v: i64| isl::Val::int(ctx, v);
        let variable = |kind, at: usize| space.zero_aff()?.add_coefficient_si(kind, at as i32, 1)?.to_pw_aff();
        let go = |e: &Index| e.to_pw_aff(space);
        match self {
            Index::Const(v) => space.zero_aff()?.add_constant(&value(*v)?)?.to_pw_aff(),
            Index::Dim(at) => variable(isl::Dim::In, *at),
            Index::Param(at) => variable(isl::Dim::Param, *at),
            Index::Add(a, b) => go(a)?.add(&go(b)?),
            Index::Mul(c, e) => go(e)?.scale(&value(*c)?),
            Index::FloorDiv(e, c) => go(e)?.scale_down(&value(*c)?)?.floor(),
            Index::Mod(e, c) => go(e)?.modulo(&value(*c)?),
            Index::Min(a, b) => go(a)?.min(&go(b)?),
            Index::Max(a, b) => go(a)?.max(&go(b)?),
            Index::Select(test, then, otherwise) => go(test)?.select_nonneg(&go(then)?, &go(otherwise)?),
        }
    }

    /// The text with the given names.
    pub fn display<'a>(&'a self, dims: &'a [String], params: &'a [String]) -> impl fmt::Display + 'a {
        Shown { index: self, dims, params }
    }
}

/// An affine expression by its coefficients; zero coefficients are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affine {
    /// The constant.
    pub constant: i64,
    /// Coefficients by dimension.
    pub dims: BTreeMap<usize, i64>,
    /// Coefficients by parameter.
    pub params: BTreeMap<usize, i64>,
}

impl Affine {
    fn plus(mut self, other: &Affine) -> Option<Affine> {
        self.constant = self.constant.checked_add(other.constant)?;
        for (mine, theirs) in [(&mut self.dims, &other.dims), (&mut self.params, &other.params)] {
            for (&at, &c) in theirs {
                let sum = mine.entry(at).or_insert(0);
                *sum = sum.checked_add(c)?;
            }
            mine.retain(|_, c| *c != 0);
        }
        Some(self)
    }

    fn times(mut self, factor: i64) -> Option<Affine> {
        self.constant = self.constant.checked_mul(factor)?;
        for side in [&mut self.dims, &mut self.params] {
            for c in side.values_mut() {
                *c = c.checked_mul(factor)?;
            }
            side.retain(|_, c| *c != 0);
        }
        Some(self)
    }
}

impl From<i64> for Index {
    fn from(value: i64) -> Index {
        Index::Const(value)
    }
}

impl Add for Index {
    type Output = Index;
    fn add(self, other: Index) -> Index {
        match (self, other) {
            (Index::Const(a), Index::Const(b)) => match a.checked_add(b) {
                Some(sum) => Index::Const(sum),
                None => Index::Add(Box::new(Index::Const(a)), Box::new(Index::Const(b))),
            },
            (e, Index::Const(0)) | (Index::Const(0), e) => e,
            (a, b) => Index::Add(Box::new(a), Box::new(b)),
        }
    }
}

impl Add<i64> for Index {
    type Output = Index;
    fn add(self, other: i64) -> Index {
        self + Index::Const(other)
    }
}

impl Sub for Index {
    type Output = Index;
    fn sub(self, other: Index) -> Index {
        self + -other
    }
}

impl Sub<i64> for Index {
    type Output = Index;
    fn sub(self, other: i64) -> Index {
        self + Index::Const(-other)
    }
}

impl Neg for Index {
    type Output = Index;
    fn neg(self) -> Index {
        -1 * self
    }
}

impl Mul<Index> for i64 {
    type Output = Index;
    fn mul(self, e: Index) -> Index {
        match (self, e) {
            (0, _) => Index::Const(0),
            (1, e) => e,
            (c, Index::Const(v)) if c.checked_mul(v).is_some() => Index::Const(c * v),
            (c, Index::Mul(d, e)) if c.checked_mul(d).is_some() => (c * d) * *e,
            (c, e) => Index::Mul(c, Box::new(e)),
        }
    }
}

struct Shown<'a> {
    index: &'a Index,
    dims: &'a [String],
    params: &'a [String],
}

impl Shown<'_> {
    fn sub<'b>(&'b self, index: &'b Index) -> Shown<'b> {
        Shown { index, dims: self.dims, params: self.params }
    }

    fn factor(&self, index: &Index, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match index {
            Index::Add(..) | Index::Mul(..) | Index::Mod(..) => write!(f, "({})", self.sub(index)),
            _ => write!(f, "{}", self.sub(index)),
        }
    }
}

fn name(names: &[String], at: usize, prefix: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match names.get(at) {
        Some(name) => f.write_str(name),
        None => write!(f, "{prefix}{at}"),
    }
}

/// In isl's notation: `2m + k - 1`, `floor((N + 3)/4)`, `i mod 8`, `min(M, N)`; and `if(i >= 0, i, i + N)`.
impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Index::Const(value) => write!(f, "{value}"),
            Index::Dim(at) => name(self.dims, *at, 'd', f),
            Index::Param(at) => name(self.params, *at, 'p', f),
            Index::Add(a, b) => match &**b {
                Index::Const(c) if *c < 0 => write!(f, "{} - {}", self.sub(a), c.unsigned_abs()),
                Index::Mul(c, e) if *c < 0 && *c != i64::MIN => {
                    write!(f, "{} - ", self.sub(a))?;
                    if *c != -1 {
                        write!(f, "{}*", -c)?;
                    }
                    self.factor(e, f)
                }
                b => write!(f, "{} + {}", self.sub(a), self.sub(b)),
            },
            Index::Mul(-1, e) => {
                f.write_str("-")?;
                self.factor(e, f)
            }
            Index::Mul(c, e) => {
                write!(f, "{c}*")?;
                self.factor(e, f)
            }
            Index::FloorDiv(e, c) => write!(f, "floor(({})/{c})", self.sub(e)),
            Index::Mod(e, c) => {
                self.factor(e, f)?;
                write!(f, " mod {c}")
            }
            Index::Min(a, b) => write!(f, "min({}, {})", self.sub(a), self.sub(b)),
            Index::Max(a, b) => write!(f, "max({}, {})", self.sub(a), self.sub(b)),
            Index::Select(test, then, otherwise) => {
                write!(f, "if({} >= 0, {}, {})", self.sub(test), self.sub(then), self.sub(otherwise))
            }
        }
    }
}

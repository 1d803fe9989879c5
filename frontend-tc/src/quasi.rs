//! Quasi-affine expressions over sizes and indices in a normal form, so that equal ranges look equal and small proofs
//! are a matter of comparing coefficients.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::Index;

use crate::ast::{BinaryOp, Expr, ExprKind, Number, UnaryOp};
use support::Span;

/// Nodes of the largest expression; past it an operation gives `None`, as on overflow.
const MAX_WEIGHT: usize = 300;
/// Options of the largest minimum.
const MAX_OPTIONS: usize = 32;
/// The largest constant or coefficient; twice as much still fits, so that `a + 1` and `-a` never overflow.
const MAX_NUMBER: i64 = 1 << 62;
/// Steps of a proof.
const MAX_STEPS: u32 = 1_000;

/// `constant + Σ coefficient · atom`, without zero coefficients.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quasi {
    terms: BTreeMap<Atom, i64>,
    constant: i64,
}

/// What a [`Quasi`] is linear in. A maximum is `-min(-a, -b)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom {
    /// A size parameter, by position; never negative.
    Size(usize),
    /// An index of a statement, by position.
    Index(usize),
    /// `floor(e / d)` with the constant of `e` in `0..d`, `d` at least 2.
    Floor(Box<Quasi>, i64),
    /// `e mod d`, from 0 to `d - 1`, `d` at least 2.
    Mod(Box<Quasi>, i64),
    /// The smallest of two or more, none of which is known to be the largest.
    Min(Vec<Quasi>),
}

/// What sizes and indices are called.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// By position.
    pub sizes: &'a [String],
    /// By position.
    pub indices: &'a [String],
}

impl Names<'_> {
    /// For expressions without indices.
    pub fn of_sizes(sizes: &[String]) -> Names<'_> {
        Names { sizes, indices: &[] }
    }
}

impl Quasi {
    /// The constant `value`.
    pub fn constant(value: i64) -> Quasi {
        Quasi { terms: BTreeMap::new(), constant: value }
    }

    /// Size number `at`.
    pub fn size(at: usize) -> Quasi {
        Quasi::atom(Atom::Size(at))
    }

    /// Index number `at`.
    pub fn index(at: usize) -> Quasi {
        Quasi::atom(Atom::Index(at))
    }

    fn atom(atom: Atom) -> Quasi {
        Quasi { terms: BTreeMap::from([(atom, 1)]), constant: 0 }
    }

    /// The value, when there is no atom.
    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The atoms with their coefficients.
    pub fn terms(&self) -> impl Iterator<Item = (&Atom, i64)> {
        self.terms.iter().map(|(atom, coefficient)| (atom, *coefficient))
    }

    /// The sum; like every operation here, `None` when a number overflows or the expression gets too large.
    pub fn plus(&self, other: &Quasi) -> Option<Quasi> {
        self.plus_times(other, 1)
    }

    /// The difference.
    pub fn minus(&self, other: &Quasi) -> Option<Quasi> {
        self.plus_times(other, -1)
    }

    /// `self + factor · other`
    pub fn plus_times(&self, other: &Quasi, factor: i64) -> Option<Quasi> {
        let mut sum = self.clone();
        sum.constant = sum.constant.checked_add(other.constant.checked_mul(factor)?)?;
        for (atom, coefficient) in &other.terms {
            let more = coefficient.checked_mul(factor)?;
            match sum.terms.get_mut(atom) {
                Some(mine) => *mine = mine.checked_add(more)?,
                None => {
                    sum.terms.insert(atom.clone(), more);
                }
            }
        }
        sum.terms.retain(|_, coefficient| *coefficient != 0);
        (sum.weight() <= MAX_WEIGHT && sum.is_small()).then_some(sum)
    }

    /// `self + value`
    pub fn plus_constant(&self, value: i64) -> Option<Quasi> {
        let sum = Quasi { terms: self.terms.clone(), constant: self.constant.checked_add(value)? };
        sum.is_small().then_some(sum)
    }

    fn is_small(&self) -> bool {
        self.terms.values().chain([&self.constant]).all(|number| (-MAX_NUMBER..=MAX_NUMBER).contains(number))
    }

    /// `factor · self`
    pub fn times(&self, factor: i64) -> Option<Quasi> {
        Quasi::default().plus_times(self, factor)
    }

    /// `floor(self / divisor)`; `divisor` is at least 1.
    pub fn floor_div(&self, divisor: i64) -> Option<Quasi> {
        let (mut whole, mut rest) = (Quasi::default(), Quasi::default());
        for (atom, &coefficient) in &self.terms {
            match coefficient % divisor {
                0 => whole.terms.insert(atom.clone(), coefficient / divisor),
                _ => rest.terms.insert(atom.clone(), coefficient),
            };
        }
        whole.constant = self.constant.div_euclid(divisor);
        rest.constant = self.constant.rem_euclid(divisor);
        if rest.terms.is_empty() {
            return Some(whole);
        }
        let common = rest.terms.values().fold(divisor, |a, b| gcd(a, b.unsigned_abs() as i64));
        let reduced = Quasi {
            terms: rest.terms.iter().map(|(atom, coefficient)| (atom.clone(), coefficient / common)).collect(),
            constant: rest.constant.div_euclid(common),
        };
        whole.plus(&reduced.floor_of_reduced(divisor / common)?)
    }

    /// Division when no term is a multiple of `divisor` and nothing cancels.
    fn floor_of_reduced(&self, divisor: i64) -> Option<Quasi> {
        if divisor == 1 {
            return Some(self.clone());
        }
        // floor((floor(e/a) + c) / b) = floor((e + a·c) / (a·b))
        if self.terms.len() == 1
            && let Some((Atom::Floor(inner, by), 1)) = self.terms().next()
        {
            let numerator = inner.plus_constant(by.checked_mul(self.constant)?)?;
            return numerator.floor_div(by.checked_mul(divisor)?);
        }
        Some(Quasi::atom(Atom::Floor(Box::new(self.clone()), divisor)))
    }

    /// `self mod divisor`, never negative; `divisor` is at least 1.
    pub fn modulo(&self, divisor: i64) -> Option<Quasi> {
        let mut rest = Quasi::constant(self.constant.rem_euclid(divisor));
        rest.terms = self.terms.iter().filter(|(_, c)| *c % divisor != 0).map(|(atom, c)| (atom.clone(), *c)).collect();
        match rest.as_constant() {
            Some(value) => Some(Quasi::constant(value)),
            None => Some(Quasi::atom(Atom::Mod(Box::new(rest), divisor))),
        }
    }

    /// The smallest of `options`, of which there is at least one.
    pub fn min(options: &[Quasi]) -> Option<Quasi> {
        let mut flat: Vec<Quasi> = Vec::new();
        for option in options {
            flat.extend(option.spread()?);
        }
        flat.sort();
        flat.dedup();
        if flat.len() > MAX_OPTIONS {
            return None;
        }
        let mut kept: Vec<Quasi> = Vec::new();
        for (position, option) in flat.iter().enumerate() {
            let larger = |other: &Quasi| option.minus(other).is_some_and(|gap| gap.is_never_negative());
            // Of two that are equal everywhere but look different, the later one goes.
            let beaten = kept.iter().any(larger)
                || flat[position + 1..]
                    .iter()
                    .any(|other| larger(other) && !other.minus(option).is_some_and(|gap| gap.is_never_negative()));
            if !beaten {
                kept.push(option.clone());
            }
        }
        if kept.len() == 1 {
            return kept.pop();
        }
        let shift =
            kept.iter().filter(|option| !option.terms.is_empty()).map(|option| option.constant).max().unwrap_or(0);
        // Numbers last: `min(N, 20)`.
        let key = |option: &Quasi| (option.terms.is_empty(), option.clone());
        let mut shifted =
            kept.iter().map(|option| option.plus_constant(shift.checked_neg()?)).collect::<Option<Vec<_>>>()?;
        shifted.sort_by_cached_key(key);
        let min = Quasi::atom(Atom::Min(shifted)).plus_constant(shift)?;
        (min.weight() <= MAX_WEIGHT).then_some(min)
    }

    /// The largest of `options`.
    pub fn max(options: &[Quasi]) -> Option<Quasi> {
        let negated = options.iter().map(|option| option.times(-1)).collect::<Option<Vec<_>>>()?;
        Quasi::min(&negated)?.times(-1)
    }

    /// The expressions whose minimum this is: `min(a, b) + c` is `a + c` and `b + c`.
    fn spread(&self) -> Option<Vec<Quasi>> {
        for (atom, coefficient) in &self.terms {
            if let (Atom::Min(options), 1) = (atom, *coefficient) {
                let mut rest = self.clone();
                rest.terms.remove(atom);
                return options.iter().map(|option| option.plus(&rest)).collect();
            }
        }
        Some(vec![self.clone()])
    }

    /// Proves that the value is at least 0 for all sizes that are. `false` says nothing.
    pub fn is_never_negative(&self) -> bool {
        let mut steps = MAX_STEPS;
        self.prove(&mut steps).unwrap_or(false)
    }

    fn prove(&self, steps: &mut u32) -> Option<bool> {
        *steps = steps.checked_sub(1)?;
        let Some((atom, coefficient)) = self.terms.iter().rev().find(|(atom, _)| !matches!(atom, Atom::Size(_))) else {
            return Some(self.constant >= 0 && self.terms.values().all(|coefficient| *coefficient >= 0));
        };
        let coefficient = *coefficient;
        let mut rest = self.clone();
        rest.terms.remove(atom);
        match atom {
            Atom::Size(_) | Atom::Index(_) => Some(false),
            Atom::Min(options) => {
                for option in options {
                    let proved = rest.plus_times(option, coefficient)?.prove(steps)?;
                    if proved != (coefficient > 0) {
                        return Some(proved);
                    }
                }
                Some(coefficient > 0)
            }
            Atom::Floor(inner, divisor) => {
                let scaled = rest.times(*divisor)?;
                let implied = match coefficient {
                    // floor(e/d) >= -r  is  e >= -d·r
                    1 => scaled.plus(inner)?,
                    // floor(e/d) <= r  is  e <= d·r + d - 1
                    -1 => scaled.plus_constant(divisor - 1)?.minus(inner)?,
                    // e - (d - 1) <= d·floor(e/d) <= e
                    2.. => scaled.plus_times(&inner.plus_constant(1 - divisor)?, coefficient)?,
                    _ => scaled.plus_times(inner, coefficient)?,
                };
                let at_least_zero = coefficient > 0 && inner.prove(steps)? && rest.prove(steps)?;
                Some(at_least_zero || implied.prove(steps)?)
            }
            Atom::Mod(_, divisor) => rest
                .plus_constant(if coefficient > 0 { 0 } else { coefficient.checked_mul(divisor - 1)? })?
                .prove(steps),
        }
    }

    /// The same where none of `facts` is negative: of a minimum what is never the smallest then goes.
    pub fn assuming(&self, facts: &[Quasi]) -> Option<Quasi> {
        let mut sum = Quasi::constant(self.constant);
        for (atom, coefficient) in self.terms() {
            let Atom::Min(options) = atom else {
                sum = sum.plus_times(&Quasi::atom(atom.clone()), coefficient)?;
                continue;
            };
            let mut kept = options.clone();
            for option in options {
                let others = || kept.iter().filter(|other| *other != option);
                if others().any(|other| option.minus(other).is_some_and(|gap| gap.follows_from(facts))) {
                    kept.retain(|other| other != option);
                }
            }
            sum = sum.plus_times(&Quasi::min(&kept)?, coefficient)?;
        }
        Some(sum)
    }

    /// Proves that the value is at least 0 where all of `facts` are, from one of them at a time. `false` says nothing.
    fn follows_from(&self, facts: &[Quasi]) -> bool {
        let from = |fact: &Quasi| self.minus(fact).is_some_and(|rest| rest.is_never_negative());
        self.is_never_negative() || facts.iter().any(from)
    }

    /// Whether a size of `other` occurs, at any depth.
    pub fn shares_sizes(&self, other: &Quasi) -> bool {
        let (mut own, mut theirs) = (BTreeSet::new(), BTreeSet::new());
        self.sizes(&mut own);
        other.sizes(&mut theirs);
        !own.is_disjoint(&theirs)
    }

    fn sizes(&self, into: &mut BTreeSet<usize>) {
        for atom in self.terms.keys() {
            match atom {
                Atom::Size(at) => drop(into.insert(*at)),
                Atom::Index(_) => (),
                Atom::Floor(inner, _) | Atom::Mod(inner, _) => inner.sizes(into),
                Atom::Min(options) => options.iter().for_each(|option| option.sizes(into)),
            }
        }
    }

    /// Calls `see` with every index that occurs, at any depth.
    pub fn indices(&self, see: &mut dyn FnMut(usize)) {
        self.terms.keys().for_each(|atom| atom.indices(see));
    }

    /// Whether an index occurs.
    pub fn has_index(&self) -> bool {
        self.terms.keys().any(Atom::has_index)
    }

    /// Whether an index occurs in what a remainder is taken of, at any depth.
    pub fn has_remainder_of_index(&self) -> bool {
        self.terms.keys().any(|atom| match atom {
            Atom::Size(_) | Atom::Index(_) => false,
            Atom::Floor(inner, _) => inner.has_remainder_of_index(),
            Atom::Mod(inner, _) => inner.has_index(),
            Atom::Min(options) => options.iter().any(Quasi::has_remainder_of_index),
        })
    }

    fn weight(&self) -> usize {
        1 + self.terms.keys().map(Atom::weight).sum::<usize>()
    }

    /// Without the term of `atom`.
    pub fn without(&self, atom: &Atom) -> Quasi {
        let mut rest = self.clone();
        rest.terms.remove(atom);
        rest
    }

    /// The smallest value while the indices that `range` knows run through theirs (bounds included); indices that it
    /// does not know stay. Exact when every index occurs once, and never too large otherwise.
    pub fn least(&self, range: &dyn Fn(usize) -> Option<(Quasi, Quasi)>) -> Option<Quasi> {
        let mut sum = Quasi::constant(self.constant);
        for (atom, coefficient) in self.terms() {
            let extreme = match atom.bounds(range)? {
                Some((least, most)) => {
                    if coefficient > 0 {
                        least
                    } else {
                        most
                    }
                }
                None => Quasi::atom(atom.clone()),
            };
            sum = sum.plus_times(&extreme, coefficient)?;
        }
        Some(sum)
    }

    /// The smallest and the largest value, likewise, in one walk: nested atoms are visited once, not once for each end.
    fn ends(&self, range: &dyn Fn(usize) -> Option<(Quasi, Quasi)>) -> Option<(Quasi, Quasi)> {
        let (mut low, mut high) = (Quasi::constant(self.constant), Quasi::constant(self.constant));
        for (atom, coefficient) in self.terms() {
            let (least, most) = match atom.bounds(range)? {
                Some((least, most)) if coefficient > 0 => (least, most),
                Some((least, most)) => (most, least),
                None => (Quasi::atom(atom.clone()), Quasi::atom(atom.clone())),
            };
            low = low.plus_times(&least, coefficient)?;
            high = high.plus_times(&most, coefficient)?;
        }
        Some((low, high))
    }

    /// With the sizes that `value` knows replaced; `None` when that overflows.
    pub fn with_sizes(&self, value: &dyn Fn(usize) -> Option<Quasi>) -> Option<Quasi> {
        let mut sum = Quasi::constant(self.constant);
        for (atom, coefficient) in self.terms() {
            let atom = match atom {
                Atom::Size(at) => value(*at).unwrap_or_else(|| Quasi::size(*at)),
                Atom::Index(at) => Quasi::index(*at),
                Atom::Floor(inner, divisor) => inner.with_sizes(value)?.floor_div(*divisor)?,
                Atom::Mod(inner, divisor) => inner.with_sizes(value)?.modulo(*divisor)?,
                Atom::Min(options) => {
                    let options: Option<Vec<Quasi>> = options.iter().map(|option| option.with_sizes(value)).collect();
                    Quasi::min(&options?)?
                }
            };
            sum = sum.plus_times(&atom, coefficient)?;
        }
        Some(sum)
    }

    /// As the middle form has it: index `i` is dimension `i`, size `n` is parameter `n`.
    pub fn to_index(&self) -> Index {
        let constant = Index::Const(self.constant);
        let (leads, parts) = self.parts();
        let mut parts: Vec<Index> = parts.iter().map(|part| part.factor * part.to_index()).collect();
        parts.insert(if leads { 0 } else { parts.len() }, constant);
        parts.into_iter().reduce(|sum, part| sum + part).unwrap_or(Index::Const(0))
    }

    /// As an expression of the language.
    pub fn to_expr(&self, names: Names<'_>) -> Expr {
        let (leads, parts) = self.parts();
        let mut terms: Vec<(Expr, bool)> = parts.iter().map(|part| (part.to_expr(names), part.factor < 0)).collect();
        if self.constant != 0 || terms.is_empty() {
            let constant = (number(self.constant.unsigned_abs()), self.constant < 0);
            terms.insert(if leads { 0 } else { terms.len() }, constant);
        }
        let sum = terms.into_iter().fold(None, |sum, (term, negative)| Some(join(sum, term, negative)));
        sum.unwrap_or_else(|| number(0))
    }

    /// The terms in the order in which they print, positive ones first so that `N - M` is not written `-M + N`, and
    /// whether the constant comes before them.
    fn parts(&self) -> (bool, Vec<Part<'_>>) {
        let mut parts: Vec<Part<'_>> = self.terms().map(|(atom, coefficient)| Part::new(atom, coefficient)).collect();
        parts.sort_by_key(|part| part.factor < 0);
        let leads = self.constant > 0 && parts.first().is_some_and(|part| part.factor < 0);
        (leads, parts)
    }

    /// What must not be negative for `self` not to be, as far as that is not proved: `min(a, b) >= 0` is `a >= 0` and `b >= 0`.
    pub fn conjunctions(&self) -> Vec<Quasi> {
        match self.conjunction() {
            Some(parts) => {
                parts.iter().filter(|part| !part.is_never_negative()).flat_map(Quasi::conjunctions).collect()
            }
            None => vec![self.clone()],
        }
    }

    fn conjunction(&self) -> Option<Vec<Quasi>> {
        let (atom, options, coefficient) = self.terms().find_map(|(atom, coefficient)| match atom {
            Atom::Min(options) if coefficient > 0 => Some((atom, options, coefficient)),
            _ => None,
        })?;
        let rest = self.without(atom);
        options.iter().map(|option| rest.plus_times(option, coefficient)).collect()
    }

    /// `self >= 0` as people write it, with negative terms on the other side: `KH <= H + 1`.
    pub fn condition(&self, sizes: &[String]) -> Option<String> {
        for (atom, coefficient) in self.terms() {
            if let (Atom::Floor(inner, divisor), 1) = (atom, coefficient) {
                return self.without(atom).times(*divisor)?.plus(inner)?.condition(sizes);
            }
        }
        let side = |sign: i64| -> Option<Quasi> {
            let mut side = Quasi::default();
            for (atom, coefficient) in self.terms().filter(|(_, coefficient)| coefficient.signum() == sign) {
                side.terms.insert(atom.clone(), coefficient.checked_mul(sign)?);
            }
            if self.constant.signum() == sign {
                side.constant = self.constant.checked_mul(sign)?;
            }
            Some(side)
        };
        let names = Names::of_sizes(sizes);
        Some(format!("{} <= {}", side(-1)?.to_expr(names), side(1)?.to_expr(names)))
    }
}

/// A term as it prints: `factor` times an atom, or times the maximum of some expressions, which is how a negative
/// multiple of a minimum of negative expressions reads best.
struct Part<'a> {
    factor: i64,
    atom: &'a Atom,
    largest_of: Vec<Quasi>,
}

impl Part<'_> {
    fn new(atom: &Atom, coefficient: i64) -> Part<'_> {
        let negative = |option: &Quasi| option.constant <= 0 && option.terms.values().all(|c| *c < 0);
        if let (Atom::Min(options), ..0, Some(factor)) = (atom, coefficient, coefficient.checked_neg())
            && options.iter().all(negative)
            && let Some(largest_of) = options.iter().map(|option| option.times(-1)).collect::<Option<Vec<_>>>()
        {
            return Part { factor, atom, largest_of };
        }
        Part { factor: coefficient, atom, largest_of: Vec::new() }
    }

    fn to_index(&self) -> Index {
        let largest = self.largest_of.iter().map(Quasi::to_index).reduce(Index::max);
        largest.unwrap_or_else(|| self.atom.to_index())
    }

    fn to_expr(&self, names: Names<'_>) -> Expr {
        let largest =
            self.largest_of.iter().map(|option| option.to_expr(names)).reduce(|a, b| binary(BinaryOp::Max, a, b));
        let value = largest.unwrap_or_else(|| self.atom.to_expr(names));
        match self.factor.unsigned_abs() {
            1 => value,
            magnitude => binary(BinaryOp::Mul, number(magnitude), value),
        }
    }
}

impl Atom {
    /// Whether an index occurs.
    pub fn has_index(&self) -> bool {
        let mut found = false;
        self.indices(&mut |_| found = true);
        found
    }

    fn indices(&self, see: &mut dyn FnMut(usize)) {
        match self {
            Atom::Size(_) => (),
            Atom::Index(at) => see(*at),
            Atom::Floor(inner, _) | Atom::Mod(inner, _) => inner.indices(see),
            Atom::Min(options) => options.iter().for_each(|option| option.indices(see)),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Atom::Size(_) | Atom::Index(_) => 1,
            Atom::Floor(inner, _) | Atom::Mod(inner, _) => 1 + inner.weight(),
            Atom::Min(options) => 1 + options.iter().map(Quasi::weight).sum::<usize>(),
        }
    }

    /// Smallest and largest value over the known ranges; `None` inside when an index without range stays.
    #[allow(clippy::type_complexity, reason = "the outer option is failure, the inner one is the answer")]
    fn bounds(&self, range: &dyn Fn(usize) -> Option<(Quasi, Quasi)>) -> Option<Option<(Quasi, Quasi)>> {
        match self {
            Atom::Size(_) => Some(None),
            Atom::Index(at) => Some(range(*at)),
            Atom::Floor(inner, divisor) if inner.has_index() => {
                let (least, most) = inner.ends(range)?;
                Some(Some((least.floor_div(*divisor)?, most.floor_div(*divisor)?)))
            }
            Atom::Mod(inner, divisor) => {
                let mut known = false;
                inner.indices(&mut |at| known |= range(at).is_some());
                Some(if known { Some(mod_bounds(inner, *divisor, range)?) } else { None })
            }
            Atom::Min(options) if options.iter().any(Quasi::has_index) => {
                let ends = options.iter().map(|option| option.ends(range)).collect::<Option<Vec<_>>>()?;
                let (least, most): (Vec<Quasi>, Vec<Quasi>) = ends.into_iter().unzip();
                Some(Some((Quasi::min(&least)?, Quasi::min(&most)?)))
            }
            Atom::Floor(..) | Atom::Min(_) => Some(None),
        }
    }

    fn to_index(&self) -> Index {
        match self {
            Atom::Size(at) => Index::Param(*at),
            Atom::Index(at) => Index::Dim(*at),
            Atom::Floor(inner, divisor) => inner.to_index().floor_div(*divisor),
            Atom::Mod(inner, divisor) => inner.to_index().modulo(*divisor),
            Atom::Min(options) => {
                let mut options = options.iter().map(Quasi::to_index);
                let first = options.next().unwrap_or(Index::Const(0));
                options.fold(first, Index::min)
            }
        }
    }

    fn to_expr(&self, names: Names<'_>) -> Expr {
        let named = |text: String| Expr::new(ExprKind::Name(text), Span::default());
        match self {
            Atom::Size(at) => named(names.sizes.get(*at).cloned().unwrap_or_default()),
            Atom::Index(at) => named(names.indices.get(*at).cloned().unwrap_or_default()),
            Atom::Floor(inner, divisor) => binary(BinaryOp::Div, inner.to_expr(names), number(divisor.unsigned_abs())),
            Atom::Mod(inner, divisor) => binary(BinaryOp::Rem, inner.to_expr(names), number(divisor.unsigned_abs())),
            Atom::Min(options) => {
                let mut options = options.iter().map(|option| option.to_expr(names));
                let first = options.next().unwrap_or_else(|| number(0));
                options.fold(first, |a, b| binary(BinaryOp::Min, a, b))
            }
        }
    }
}

/// The bounds of `e mod d` when an index of `e` is known: it is `e` where `e` is known to be in `0..d`.
fn mod_bounds(inner: &Quasi, divisor: i64, range: &dyn Fn(usize) -> Option<(Quasi, Quasi)>) -> Option<(Quasi, Quasi)> {
    let (least, most) = inner.ends(range)?;
    let last = Quasi::constant(divisor - 1);
    if !least.is_never_negative() || most.has_index() {
        return Some((Quasi::constant(0), last));
    }
    let within = last.minus(&most)?.is_never_negative();
    let lower = if within { least } else { Quasi::constant(0) };
    Some((lower, Quasi::min(&[most, last])?))
}

fn number(value: u64) -> Expr {
    Expr::new(ExprKind::Number(Number { text: value.to_string(), whole: Some(value) }), Span::default())
}

fn binary(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    Expr::new(ExprKind::Binary(op, Box::new((a, b))), Span::default())
}

fn join(sum: Option<Expr>, term: Expr, negative: bool) -> Expr {
    match (sum, negative) {
        (Some(sum), true) => binary(BinaryOp::Sub, sum, term),
        (Some(sum), false) => binary(BinaryOp::Add, sum, term),
        (None, true) => Expr::new(ExprKind::Unary(UnaryOp::Neg, Box::new(term)), Span::default()),
        (None, false) => term,
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(e: &Quasi) -> String {
        e.to_expr(Names::of_sizes(&["N".into(), "M".into()])).to_string()
    }

    fn n() -> Quasi {
        Quasi::size(0)
    }

    fn m() -> Quasi {
        Quasi::size(1)
    }

    #[test]
    fn equal_extents_look_equal() {
        let last = n().plus_constant(-1).unwrap().floor_div(123).unwrap();
        assert_eq!(show(&last.plus_constant(1).unwrap()), "(N + 122) / 123");
        let both = Quasi::min(&[n().plus_constant(-1).unwrap(), m().plus_constant(-1).unwrap()]).unwrap();
        assert_eq!(show(&both.plus_constant(1).unwrap()), "min(N, M)");
        let lower = Quasi::max(&[Quasi::constant(0), Quasi::constant(20).minus(&n()).unwrap()]).unwrap();
        assert_eq!(show(&lower), "20 - min(N, 20)");
        assert_eq!(show(&n().floor_div(2).unwrap().floor_div(3).unwrap()), "N / 6");
        assert_eq!(show(&n().times(4).unwrap().plus_constant(2).unwrap().floor_div(6).unwrap()), "(2 * N + 1) / 3");
    }

    #[test]
    fn proofs_by_cases() {
        let capped = Quasi::min(&[n(), Quasi::constant(20)]).unwrap();
        assert!(n().minus(&capped).unwrap().is_never_negative());
        assert!(capped.is_never_negative());
        assert!(!capped.plus_constant(-1).unwrap().is_never_negative());
        let half = n().floor_div(2).unwrap();
        assert!(n().minus(&half.times(2).unwrap()).unwrap().is_never_negative());
        assert!(!half.times(2).unwrap().minus(&n()).unwrap().is_never_negative());
    }

    #[test]
    fn nested_remainders_take_no_exponential_time() {
        let range = |_: usize| Some((Quasi::constant(0), n().plus_constant(-1).unwrap()));
        let mut nested = Quasi::index(0);
        for depth in 0..60 {
            nested = nested.plus_constant(depth).unwrap().modulo(depth + 7).unwrap();
        }
        let (least, most) = nested.ends(&range).unwrap();
        assert_eq!(nested.least(&range), Some(least));
        assert_eq!(most.as_constant(), Some(65));
    }

    #[test]
    fn overflow_is_no_answer() {
        assert_eq!(n().times(MAX_NUMBER).unwrap().times(2), None);
        assert_eq!(Quasi::constant(i64::MAX).plus_constant(1), None);
    }
}

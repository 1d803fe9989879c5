//! The conditions on sizes are exact: a call is refused if and only if some instance reads outside of a tensor, or a
//! range or a tensor would have fewer than no elements. Programs are drawn at random, and each is taken apart by loops
//! here, which share nothing with range inference.

use frontend_tc::{check, lower};
use polyhedral::isl;
use proptest::prelude::*;
use support::Stage;

/// The values of `N`, `M`, `K`.
type Sizes = [i64; 3];

/// `constant + Σ factor · size`
#[derive(Clone, Debug)]
struct OverSizes {
    constant: i64,
    factors: Sizes,
}

impl OverSizes {
    fn value(&self, sizes: &Sizes) -> i64 {
        self.constant + self.factors.iter().zip(sizes).map(|(factor, size)| factor * size).sum::<i64>()
    }

    fn text(&self) -> String {
        let sizes = self.factors.iter().zip(["N", "M", "K"]).filter(|(factor, _)| **factor != 0);
        let terms = sizes.map(|(factor, name)| format!("({factor}) * {name}"));
        terms.chain([format!("({})", self.constant)]).collect::<Vec<_>>().join(" + ")
    }
}

/// An end of the range of `j`: over the sizes, and perhaps a multiple of `i`.
#[derive(Clone, Debug)]
struct End {
    of_i: i64,
    rest: OverSizes,
}

impl End {
    fn value(&self, i: i64, sizes: &Sizes) -> i64 {
        self.of_i * i + self.rest.value(sizes)
    }

    fn text(&self) -> String {
        format!("({}) * i + {}", self.of_i, self.rest.text())
    }
}

/// What is done to an affine subscript.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Half,
    Remainder,
    /// The index stands in it twice.
    Rounded,
    Least,
}

#[derive(Clone, Debug)]
struct Subscript {
    i: i64,
    j: i64,
    rest: OverSizes,
    form: Form,
}

impl Subscript {
    fn value(&self, i: i64, j: i64, sizes: &Sizes) -> i64 {
        let affine = self.i * i + self.j * j + self.rest.value(sizes);
        match self.form {
            Form::Plain => affine,
            Form::Half => affine.div_euclid(2),
            Form::Remainder => affine.rem_euclid(3),
            Form::Rounded => affine - 3 * i.div_euclid(3),
            Form::Least => affine.min(i + 1),
        }
    }

    fn text(&self) -> String {
        let affine = format!("(({}) * i + ({}) * j + {})", self.i, self.j, self.rest.text());
        match self.form {
            Form::Plain => affine,
            Form::Half => format!("{affine} / 2"),
            Form::Remainder => format!("{affine} % 3"),
            Form::Rounded => format!("{affine} - 3 * (i / 3)"),
            Form::Least => format!("min({affine}, i + 1)"),
        }
    }
}

/// `O(i) +=! A(subscript) where i in i.0:i.1, j in j.0:j.1`, or `O(i, j) = …`.
#[derive(Clone, Debug)]
struct Program {
    sums: bool,
    shape: OverSizes,
    subscript: Subscript,
    i: (OverSizes, OverSizes),
    j: (End, End),
}

impl Program {
    fn text(&self) -> String {
        let Program { sums, shape, subscript, i, j } = self;
        let written = if *sums { "O(i) +=!" } else { "O(i, j) =" };
        format!(
            "def f(float(N) n, float(M) m, float(K) k, float({}) A) -> (O) {{\n  {written} A({}) where i in {}:{}, j in {}:{}\n}}",
            shape.text(),
            subscript.text(),
            i.0.text(),
            i.1.text(),
            j.0.text(),
            j.1.text()
        )
    }

    /// Whether a call may have these sizes.
    fn admits(&self, sizes: &Sizes) -> bool {
        let extent = self.shape.value(sizes);
        let (first, end) = (self.i.0.value(sizes), self.i.1.value(sizes));
        if extent < 0 || end < first {
            return false;
        }
        let ends = |i: i64| (self.j.0.value(i, sizes), self.j.1.value(i, sizes));
        let is_alone = self.j.0.of_i == 0 && self.j.1.of_i == 0;
        if is_alone && ends(0).1 < ends(0).0 {
            return false;
        }
        // The second size of `O`, from the first and the last value of `i`, whether there are any in between or not.
        let (least, most) = (self.j.0.of_i, self.j.1.of_i);
        let lowest = ends(if least < 0 { end - 1 } else { first }).0;
        let highest = ends(if most < 0 { first } else { end - 1 }).1;
        if !self.sums && highest < lowest {
            return false;
        }
        let inside = |i: i64, j: i64| (0..extent).contains(&self.subscript.value(i, j, sizes));
        (first..end).all(|i| (ends(i).0..ends(i).1).all(|j| inside(i, j)))
    }
}

fn over_sizes(constants: std::ops::RangeInclusive<i64>) -> impl Strategy<Value = OverSizes> {
    let factors = prop::sample::select(
        &[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [2, 0, 0], [1, -1, 0], [0, 1, -1], [0, -1, 0]][..],
    );
    (constants, factors).prop_map(|(constant, factors)| OverSizes { constant, factors })
}

fn end(of_i: &'static [i64], constants: std::ops::RangeInclusive<i64>) -> impl Strategy<Value = End> {
    (prop::sample::select(of_i), over_sizes(constants)).prop_map(|(of_i, rest)| End { of_i, rest })
}

fn subscript() -> impl Strategy<Value = Subscript> {
    use Form::*;
    let forms = prop::sample::select(&[Plain, Plain, Plain, Half, Remainder, Rounded, Least][..]);
    (-1i64..=2, -1i64..=2, over_sizes(-3..=3), forms).prop_map(|(i, j, rest, form)| Subscript { i, j, rest, form })
}

fn program() -> impl Strategy<Value = Program> {
    let i = (over_sizes(0..=2), over_sizes(0..=4));
    let j = (end(&[0, 0, 0, 1, -1, 2], 0..=2), end(&[0, 0, 0, 1, -1], 0..=4));
    let parts = (any::<bool>(), over_sizes(-2..=3), subscript(), i, j);
    parts.prop_map(|(sums, shape, subscript, i, j)| Program { sums, shape, subscript, i, j })
}

/// A few seconds; `TILEWRIGHT_TEST_FULL=1` takes ten times as long.
fn cases() -> u32 {
    if std::env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1") { 4000 } else { 400 }
}

#[test]
fn the_largest_sizes_do_not_wrap_around() {
    let checked = check("def f(float(N) A, float(M) B) -> (O) { O(i) = A(2 * i) * B(i) where i in 0:M }");
    let admits = |n: i64, m: i64| checked.defs[0].check_sizes(&[n, m]).is_empty();
    // 2 · M <= N + 1
    const HALF: i64 = 1 << 62;
    assert!(admits(i64::MAX, HALF) && admits(HALF - 1, HALF / 2));
    assert!(!admits(i64::MAX - 1, HALF) && !admits(HALF, HALF) && !admits(HALF, i64::MAX) && !admits(0, i64::MAX));
    let checked =
        check("def f(float(N) A, float(M) B, float(K) C) -> (O) { O(i) = A(4 * i + K) * B(i) where i in 0:M }");
    let admits = |n: i64, m: i64, k: i64| checked.defs[0].check_sizes(&[n, m, k]).is_empty();
    assert!(admits(i64::MAX, 1 << 60, HALF) && admits(i64::MAX, 0, i64::MAX));
    assert!(!admits(i64::MAX, HALF, 3) && !admits(i64::MAX, HALF, HALF) && !admits(1 << 60, 1, i64::MAX));
}

/// What is counted round may lie one period outside, where it does not depend on the tensor how far it does; else any number.
#[test]
fn what_is_counted_round_is_at_most_one_period_outside() {
    type Admitted = fn(i64, i64) -> bool;
    let cases: [(&str, Admitted); 7] = [
        ("B(i) = A(wrap(i - 1)) where i in 0:N", |_, _| true),
        ("B(i) = A(wrap(i + 5)) where i in 0:N", |n, _| n == 0 || n >= 5),
        ("B(i) = A(wrap(i - 4)) + A(wrap(i + 2)) where i in 0:N", |n, _| n == 0 || n >= 4),
        ("B(i) +=! A(wrap(i - k)) where i in 0:N, k in 0:K", |n, k| n == 0 || k - 1 <= n),
        ("B(i) +=! A(wrap(i + k)) where i in 0:N, k in 0:K", |n, k| n == 0 || k - 1 <= n),
        ("B(i) = A(wrap(i - 3)) where i in 0:K", |n, k| k == 0 || n >= 1),
        ("B(i) = A(wrap(3 * i + 2)) where i in 0:N", |_, _| true),
    ];
    for (statement, admits) in cases {
        let checked = check(&format!("def f(float(N) A, float(K) W) -> (B) {{ {statement} }}"));
        assert!(!checked.has_errors(), "{statement}: {:?}", checked.diagnostics);
        for (n, k) in (0..9).flat_map(|n| (0..9).map(move |k| (n, k))) {
            let broken = checked.defs[0].check_sizes(&[n, k]);
            assert_eq!(broken.is_empty(), admits(n, k), "{statement} for N = {n}, K = {k}: {broken:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_call_is_refused_if_and_only_if_something_is_outside(
        program in program(),
        all in prop::collection::vec(prop::array::uniform3(0i64..9), 40).no_shrink(),
    ) {
        let text = program.text();
        let checked = check(&text);
        if checked.has_errors() {
            // Refused for all sizes: a subscript is outside then, or a range is empty.
            let code = checked.diagnostics[0].code;
            for sizes in &all {
                let runs = program.admits(sizes) && code == "TC0407" && {
                    let (first, end) = (program.i.0.value(sizes), program.i.1.value(sizes));
                    (first..end).any(|i| program.j.0.value(i, sizes) < program.j.1.value(i, sizes))
                };
                let runs = runs || code == "TC0415" && program.admits(sizes);
                prop_assert!(!runs, "{text}\nruns for {sizes:?}, but: {:?}", checked.diagnostics);
            }
            return Ok(());
        }
        let def = &checked.defs[0];
        prop_assert_eq!(&def.sizes, &["N", "M", "K"]);
        // What the middle form assumes of the sizes is what the call has checked, and with that every access is inside.
        let scop = lower(def, &isl::Ctx::new()).unwrap();
        scop.verify().unwrap_or_else(|fault| panic!("{text}: {fault}"));
        for sizes in &all[..2] {
            let fixed = sizes.iter().enumerate().try_fold(scop.context.clone(), |set, (at, &size)| {
                set.fix(isl::Dim::Param, at as u32, size)
            });
            prop_assert_eq!(!fixed.unwrap().is_empty().unwrap(), def.check_sizes(sizes).is_empty());
        }
        for sizes in &all {
            let broken = def.check_sizes(sizes);
            prop_assert_eq!(broken.is_empty(), program.admits(sizes), "{}\nfor {:?}: {:?}", text, sizes, broken);
        }
    }
}

use super::*;
use crate::isl::{Ctx, Set};
use crate::testing::Rng;

#[track_caller]
fn check(text: &str, expected: Count) {
    let set = Set::read(&Ctx::new(), text).expect("a set");
    assert_eq!(count(&set), Ok(expected), "{text}");
}

#[test]
fn boxes_and_their_unions() {
    check("{ A[] }", Count::Exact(1));
    check("{ A[i] : 1 = 0 }", Count::Exact(0));
    check("{ A[i, j, k] : 0 <= i < 1000 and 0 <= j < 2000 and 5 <= k <= 7 }", Count::Exact(6_000_000));
    check("{ A[i, j] : (0 <= i, j < 100) or (50 <= i < 200 and 50 <= j < 60) }", Count::Exact(11_000));
    check("{ A[i] : 0 <= i < 1000000000000 }", Count::Exact(1_000_000_000_000));
}

#[test]
fn triangles_and_simplices() {
    check("{ A[i, j] : 0 <= i <= j < 1000 }", Count::Exact(500_500));
    check("{ A[i, j, k] : 0 <= i < j < k < 1000 }", Count::Exact(166_167_000));
    check("{ A[i, j, k, l] : 0 <= i, j, k, l and i + j + k + l <= 100 }", Count::Exact(4_598_126));
    check("{ A[i, j] : 0 <= i < 1000 and max(0, i - 3) <= j < min(1000, i + 4) }", Count::Exact(6988));
}

#[test]
fn strides_divisions_and_diagonals() {
    check("{ A[i] : 0 <= i < 1000 and i mod 3 = 1 }", Count::Exact(333));
    check("{ A[a, b] : exists i : a = 3i and b = 2i + 1 and 0 <= i < 1000 }", Count::Exact(1000));
    check("{ A[i, j] : 0 <= i < 1000 and 4j <= i < 4j + 4 }", Count::Exact(1000));
    check("{ L[l] : exists i : 16l <= i < 16l + 16 and 5 <= i < 1000 }", Count::Exact(63));
    check("{ A[i, j] : 0 <= i, j < 1000 and (i + j) mod 2 = 0 }", Count::Exact(500_000));
    check("{ A[i, j] : 0 <= i and 0 <= j and 2i + 3j <= 100 }", Count::Exact(884));
}

#[test]
fn what_is_past_the_work_is_a_bound_and_says_so() {
    // Neither variable has a unit coefficient everywhere, and there are too many values to try.
    let text = "{ A[i, j] : 0 <= i and 0 <= j and 7i + 11j <= 10000000 and 13i + 5j <= 20000000 }";
    let set = Set::read(&Ctx::new(), text).expect("a set");
    let bound = count(&set).expect("isl");
    assert!(!bound.is_exact());
    assert!(bound.to_string().starts_with("bound "), "{bound}");
    check("{ A[i] : i >= 0 }", Count::Bound(u64::MAX));
    check("{ A[i, j] : i <= j <= i + 5 }", Count::Bound(u64::MAX));
    let parametric = Set::read(&Ctx::new(), "[N] -> { A[i] : 0 <= i < N }").expect("a set");
    assert!(count(&parametric).is_err());
}

/// A condition of a random set, as isl reads it and as Rust decides it.
enum Condition {
    /// `Σ c·x + constant >= 0`
    Half(Vec<i64>, i64),
    /// `(Σ c·x) mod by = rest`
    Stride(Vec<i64>, i64, i64),
    /// `Σ c·x <= by·floor(x0 / by) + constant`
    Floor(Vec<i64>, i64, i64),
}

const NAMES: [&str; 3] = ["x", "y", "z"];

fn dot(coefficients: &[i64], point: &[i64]) -> i64 {
    coefficients.iter().zip(point).map(|(c, x)| c * x).sum()
}

fn sum_text(coefficients: &[i64]) -> String {
    let terms: Vec<String> = coefficients.iter().zip(NAMES).map(|(c, name)| format!("{c}*{name}")).collect();
    terms.join(" + ")
}

impl Condition {
    fn random(random: &mut Rng, dims: usize) -> Condition {
        let coefficients: Vec<i64> = (0..dims).map(|_| random.between(-3, 3)).collect();
        match random.below(6) {
            0 => {
                let by = random.between(2, 4);
                Condition::Stride(coefficients, by, random.between(0, by - 1))
            }
            1 => Condition::Floor(coefficients, random.between(2, 4), random.between(-3, 6)),
            _ => Condition::Half(coefficients, random.between(-4, 9)),
        }
    }

    fn holds(&self, point: &[i64]) -> bool {
        match self {
            Condition::Half(c, constant) => dot(c, point) + constant >= 0,
            Condition::Stride(c, by, rest) => dot(c, point).rem_euclid(*by) == *rest,
            Condition::Floor(c, by, constant) => dot(c, point) <= by * point[0].div_euclid(*by) + constant,
        }
    }

    fn text(&self) -> String {
        match self {
            Condition::Half(c, constant) => format!("{} + {constant} >= 0", sum_text(c)),
            Condition::Stride(c, by, rest) => format!("({}) mod {by} = {rest}", sum_text(c)),
            Condition::Floor(c, by, constant) => format!("{} <= {by}*floor(x/{by}) + {constant}", sum_text(c)),
        }
    }
}

/// A disjunct: a box and conditions.
struct Piece {
    ranges: Vec<(i64, i64)>,
    conditions: Vec<Condition>,
}

impl Piece {
    fn random(random: &mut Rng, dims: usize) -> Piece {
        let range = |random: &mut Rng| {
            let low = random.between(-5, 5);
            (low, low + random.between(0, 9))
        };
        let ranges = (0..dims).map(|_| range(random)).collect();
        let n = random.below(4);
        Piece { ranges, conditions: (0..n).map(|_| Condition::random(random, dims)).collect() }
    }

    fn holds(&self, point: &[i64]) -> bool {
        self.ranges.iter().zip(point).all(|((low, high), x)| low <= x && x <= high)
            && self.conditions.iter().all(|condition| condition.holds(point))
    }

    fn text(&self) -> String {
        let ranges = self.ranges.iter().zip(NAMES).map(|((low, high), name)| format!("{low} <= {name} <= {high}"));
        let all: Vec<String> = ranges.chain(self.conditions.iter().map(Condition::text)).collect();
        format!("({})", all.join(" and "))
    }
}

fn enumerated(pieces: &[Piece], dims: usize) -> u64 {
    let mut points = vec![Vec::new()];
    for _ in 0..dims {
        points =
            points.iter().flat_map(|point: &Vec<i64>| (-5..=14).map(|x| [point.as_slice(), &[x]].concat())).collect();
    }
    points.iter().filter(|point| pieces.iter().any(|piece| piece.holds(point))).count() as u64
}

#[test]
fn random_sets_are_counted_as_enumeration_does() {
    let mut exact = 0;
    for seed in 0..400 {
        let mut random = Rng::new(seed);
        let dims = 1 + random.below(3);
        let n = 1 + random.below(3);
        let pieces: Vec<Piece> = (0..n).map(|_| Piece::random(&mut random, dims)).collect();
        let text: Vec<String> = pieces.iter().map(Piece::text).collect();
        let text = format!("{{ A[{}] : {} }}", NAMES[..dims].join(", "), text.join(" or "));
        let set = Set::read(&Ctx::new(), &text).expect("a set");
        let expected = enumerated(&pieces, dims);
        match count(&set).expect("isl") {
            Count::Exact(points) => {
                assert_eq!(points, expected, "seed {seed}: {text}");
                exact += 1;
            }
            Count::Bound(points) => assert!(points >= expected, "seed {seed}: {points} < {expected}: {text}"),
        }
    }
    assert!(exact >= 380, "{exact} of 400 are exact");
}

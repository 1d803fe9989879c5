//! The middle form of checked programs, judged by isl, which knows nothing of how ranges were found.

use frontend_tc::{Kernel, check, lower};
use polyhedral::{Body, Index, Role, Scop, Stmt, Subscript, isl};
use proptest::prelude::*;
use support::Stage;

fn scop_of(program: &str) -> (Kernel, Scop) {
    let checked = check(program);
    assert!(!checked.has_errors(), "{program}: {:?}", checked.diagnostics);
    let kernel = checked.defs.into_iter().next().unwrap();
    let scop = lower(&kernel, &isl::Ctx::new()).unwrap();
    (kernel, scop)
}

/// Every affine access of every instance is inside of its tensor: `relation` leaves out the others.
fn stays_inside(scop: &Scop) -> isl::Result<bool> {
    for stmt in scop.stmts.values() {
        for access in stmt.accesses().filter(|access| access.affine().is_some()) {
            let touched = scop.relation(stmt, access)?.domain()?;
            if !stmt.domain.is_subset(&touched)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The values of all expressions fit together.
fn is_typed(scop: &Scop, stmt: &Stmt) -> bool {
    let loads = scop.load_types(stmt);
    let written = scop.tensors[stmt.writes[0].tensor].dtype;
    let indirect = stmt.accesses().flat_map(|access| &access.index).all(|subscript| match subscript {
        Subscript::Affine(_) => true,
        Subscript::Indirect(expr) => expr.dtype(&loads, &[]) == Some(polyhedral::DType::I64),
    });
    indirect && stmt.body.exprs().iter().all(|expr| expr.dtype(&loads, &[]) == Some(written))
}

fn is_sound(program: &str) {
    let (_, scop) = scop_of(program);
    assert!(stays_inside(&scop).unwrap(), "{program}");
    assert!(scop.stmts.values().all(|stmt| is_typed(&scop, stmt)), "{program}");
}

const PROGRAMS: [&str; 20] = [
    "def mm(float(M, K) A, float(K, N) B) -> (C) { C(m, n) +=! A(m, k) * B(k, n) }",
    "def conv(float(N, C, H, W) I, float(M, C, P, Q) K) -> (O) { O(n, m, h, w) +=! I(n, c, 2 * h + p, w + q) * K(m, c, p, q) }",
    "def grad(float(N, M, H, W) G, float(M, P, Q) K) -> (D) { D(n, h, w) +=! G(n, m, h - p, w - q) * K(m, p, q) }",
    "def shift(float(N) A) -> (B) { B(i) = A(i - 1) + 1 }",
    "def rotate(float(N, M) I) -> (O) { O(i, j) = I(10 + i - j, i + j) where i in 0:10 }",
    "def pool(float(H) I) -> (O) { O(h) max=! I(2 * h + k) where k in 0:2 }",
    "def lookup(float(E, D) T, int32(B, L) I) -> (O) { O(b, d) +=! T(I(b, l), d) }",
    "def mask(float(N) A) -> (B) { B(i) = i >= 1 && i + 1 < N ? A(i - 1) + A(i + 1) : 0 where i in 0:N }",
    "def masked(uint8(N) M, float(N) A) -> (B) { B(i) = M(i) == 1 ? A(i + 1) : 0.0 where i in 0:N }",
    "def softmax(float(N, D) I) -> (O) { m(n) max=! I(n, d) e(n, d) = exp(I(n, d) - m(n)) s(n) +=! e(n, d) O(n, d) = e(n, d) / s(n) }",
    "def twice(float(N, M) A) -> (s) { s(n) +=! A(n, m) s(n) = s(n) / M s(n) += s(n) * 2 }",
    "def pieces(float(N) A) -> (B) { B(i) = 0 where i in 0:3 B(i) = 1 where i in 3:N }",
    "def scalar(float(N) A) -> (B) { B +=! A(i) * A(i) }",
    "def modular(float(N) A) -> (B) { B(i) = A(i % 3) + A(i / 2) where i in 0:2 * N }",
    "def clamped(float(N) A) -> (B) { B(i) = A(min(max(i - 1, 0), N - 1)) where i in 0:N }",
    "def prefix(float(N) A) -> (B) { B(i) +=! A(j) where i in 0:N, j in 0:i+1 }",
    "def band(float(N, N) L, float(N) x) -> (y) { y(i) +=! L(i, j) * x(j) where j in max(0, i - 3):min(i + 4, N) }",
    "def after(float(N) A) -> (B) { B(i) max=! A(i + 1 + j) where i in 0:N-1, j in 0:N-1-i }",
    "def more(float(N) A) -> (B) { B(i) += A(i) * int32(A(i)) }",
    "def words(float(Or, Mod) A) -> (B) { B(and, not) = A(and, not) + and + Mod }",
];

#[test]
fn accesses_stay_inside_and_types_fit() {
    PROGRAMS.iter().for_each(|program| is_sound(program));
}

#[test]
fn statements_are_named_after_what_they_write() {
    let (_, scop) = scop_of(PROGRAMS[10]);
    let shown: Vec<String> =
        scop.stmts.values().map(|stmt| format!("{}[{}]", stmt.name, stmt.dims.join(", "))).collect();
    assert_eq!(shown, ["s.init[n]", "s.update[n, m]", "s.2[n]", "s.update.3[n]"]);
    let bodies: Vec<bool> = scop.stmts.values().map(|stmt| stmt.body.is_reduce()).collect();
    assert_eq!(bodies, [false, true, false, false], "a term that reads what it is added to makes no reduction");
}

#[test]
fn tensors_come_in_the_order_of_the_call() {
    let (_, scop) = scop_of("def f(float(N) A, float(N) B) -> (D, C) { T(i) = A(i) C(i) = T(i) D(i) = B(i) + T(i) }");
    let shown: Vec<(&str, Role)> = scop.tensors.values().map(|tensor| (tensor.name.as_str(), tensor.role)).collect();
    let expected =
        [("A", Role::Input), ("B", Role::Input), ("D", Role::Output), ("C", Role::Output), ("T", Role::Temporary)];
    assert_eq!(shown, expected);
}

#[test]
fn equal_reads_are_one() {
    let (_, scop) = scop_of(PROGRAMS[12]);
    let update = scop.stmt_named("B.update").unwrap();
    assert_eq!(scop.stmts[update].reads.len(), 1);
    assert!(matches!(&scop.stmts[update].body, Body::Reduce { terms, .. } if terms.len() == 1));
}

#[test]
fn a_proved_mask_stays_affine_and_another_is_checked_while_running() {
    let affine = |program| {
        let (_, scop) = scop_of(program);
        scop.stmts.values().flat_map(|stmt| stmt.reads.clone()).all(|read| read.affine().is_some())
    };
    assert!(affine(PROGRAMS[7]));
    assert!(!affine(PROGRAMS[8]));
}

#[test]
fn preconditions_are_the_context() {
    let (kernel, scop) = scop_of(PROGRAMS[1]);
    assert_eq!(kernel.sizes, ["N", "C", "H", "W", "M", "P", "Q"]);
    for (sizes, fits) in
        [([1, 1, 8, 8, 1, 3, 3], true), ([1, 1, 8, 8, 1, 10, 9], true), ([1, 1, 8, 8, 1, 11, 9], false)]
    {
        assert_eq!(kernel.check_sizes(&sizes).is_empty(), fits);
        let context = sizes
            .iter()
            .enumerate()
            .try_fold(scop.context.clone(), |set, (at, size)| set.fix(isl::Dim::Param, at as u32, *size));
        assert_eq!(!context.unwrap().is_empty().unwrap(), fits);
    }
}

/// A subscript with small coefficients over two indices.
fn subscript() -> impl Strategy<Value = String> {
    let coefficient = -2i64..=3;
    let affine =
        (coefficient.clone(), coefficient, -4i64..=4).prop_map(|(a, b, c)| format!("({a} * i + {b} * j + {c})"));
    (affine, prop::sample::select(&["", " / 2", " % 3", " / 3 + 1"][..])).prop_map(|(affine, then)| affine + then)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What is accepted has no access outside for any sizes; and for given sizes the range of an index is the largest:
    /// one more element at either end would leave a tensor.
    #[test]
    fn random_subscripts(a in subscript(), b in subscript(), c in subscript(), given in prop::option::of(0i64..3)) {
        let range = given.map_or(String::new(), |last| format!(" where j in {}:{}", last - 2, last + 2));
        let program = format!("def f(float(N) A, float(M, N) B) -> (O) {{ O(i) +=! A({a}) * B({b}, {c}){range} }}");
        let checked = check(&program);
        if checked.has_errors() {
            return Ok(());
        }
        let scop = lower(&checked.defs[0], &isl::Ctx::new()).unwrap();
        prop_assert!(stays_inside(&scop).unwrap(), "{program}\n{}", checked.defs[0]);
        let text = checked.defs[0].to_string();
        let again = check(&text);
        prop_assert!(!again.has_errors(), "{text}: {:?}", again.diagnostics);
        prop_assert_eq!(again.defs[0].to_string(), text);
    }

    /// With one index, every point for which all reads are inside is in the range, and no other.
    #[test]
    fn one_index_runs_exactly_as_far_as_it_can(a in -3i64..=3, b in -5i64..=5, c in -3i64..=3, d in -5i64..=5, n in 0i64..12, m in 0i64..12) {
        let program = format!("def f(float(N) A, float(M) B) -> (O) {{ O(i) = A({a} * i + {b}) + B({c} * i + {d}) }}");
        let checked = check(&program);
        if a == 0 || c == 0 || checked.has_errors() {
            return Ok(());
        }
        let kernel = &checked.defs[0];
        let inside = |i: i64| (0..n).contains(&(a * i + b)) && (0..m).contains(&(c * i + d));
        let points: Vec<i64> = (-100..100).filter(|i| inside(*i)).collect();
        let value = |index: &Index| index.eval(&[], &[n, m]).unwrap();
        let (first, extent) = (value(&kernel.tensors[2].lower[0]), value(&kernel.tensors[2].extent[0]));
        prop_assert_eq!(kernel.check_sizes(&[n, m]).is_empty(), extent >= 0);
        prop_assert_eq!((first..first + extent.max(0)).collect::<Vec<_>>(), points, "{}", kernel);
    }
}

/// What the middle form demands of itself, for all sizes and for some, zero among them.
#[test]
fn the_middle_form_verifies() {
    for program in PROGRAMS {
        let (kernel, scop) = scop_of(program);
        scop.verify().unwrap_or_else(|fault| panic!("{program}: {fault}"));
        for size in [0, 1, 7] {
            let sizes = vec![size; kernel.sizes.len()];
            if kernel.check_sizes(&sizes).is_empty() {
                scop.specialise(&sizes)
                    .unwrap()
                    .verify()
                    .unwrap_or_else(|fault| panic!("{program} at {size}: {fault}"));
            }
        }
    }
}

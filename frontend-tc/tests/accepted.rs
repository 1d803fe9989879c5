//! Programs that check, with their types and ranges, and their text that checks again to itself.

use frontend_tc::{Kernel, check};
use polyhedral::{Index, Role};
use support::Stage;

fn kernel(program: &str) -> Kernel {
    let checked = check(program);
    assert!(!checked.has_errors(), "{program}: {:?}", checked.diagnostics);
    assert_eq!(checked.defs.len(), 1);
    let kernel = checked.defs.into_iter().next().unwrap();
    kernel.verify().unwrap();
    kernel
}

fn shown(kernel: &Kernel, index: &[Index]) -> String {
    let texts: Vec<String> = index.iter().map(|e| e.display(&[], &kernel.sizes).to_string()).collect();
    format!("[{}]", texts.join("; "))
}

/// `name: type minima extents`, for every output and temporary, then the preconditions.
fn ranges(program: &str) -> String {
    let kernel = kernel(program);
    let written = kernel.outputs().chain(kernel.temporaries());
    let mut lines: Vec<String> = written
        .map(|tensor| {
            let (lower, extent) = (shown(&kernel, &tensor.lower), shown(&kernel, &tensor.extent));
            format!("{}: {} {lower} {extent}", tensor.name, tensor.dtype)
        })
        .collect();
    lines.extend(kernel.preconditions.iter().map(|condition| format!("needs {}", condition.text)));
    lines.join("\n")
}

/// The patterns of Tensor Comprehensions' own tests of range inference, in our words.
#[test]
fn ranges_are_upstreams() {
    let table = [
        ("def f(float(A, B) I) -> (O) { O(i, j) = I(i, j) }", "O: float32 [0; 0] [A; B]"),
        ("def f(float(A, B) I) -> (O) { O(i, j) = I(j, i) }", "O: float32 [0; 0] [B; A]"),
        ("def f(float(N) I) -> (O) { O(i) = I(123 * i) }", "O: float32 [0] [floor((N + 122)/123)]"),
        ("def f(float(N) I) -> (O) { O(i) = I(i - 1) }", "O: float32 [1] [N]"),
        ("def f(float(N) I) -> (O) { O(i) = I(i + 5) }", "O: float32 [-5] [N]"),
        ("def f(float(A, B, C) I) -> (O) { O(i) +=! I(j, i + j, k) }", "O: float32 [0] [B - A + 1]\nneeds A <= B + 1"),
        (
            "def f(float(N, C, H, W) I, float(M, C, P, Q) K) -> (O) { O(n, m, h, w) +=! I(n, c, h + p, w + q) * K(m, c, p, q) }",
            "O: float32 [0; 0; 0; 0] [N; M; H - P + 1; W - Q + 1]\nneeds P <= H + 1\nneeds Q <= W + 1",
        ),
        (
            "def f(float(H) I, float(P) K) -> (O) { O(h) +=! I(2 * h + p) * K(p) }",
            "O: float32 [0] [floor((H - P)/2) + 1]\nneeds P <= H + 2",
        ),
        (
            "def f(float(H, W) I, float(P, Q) K) -> (O) { O(h, w) +=! I(2 * h + 3 * w + p, 2 * w + q) * K(p, q) }",
            "O: float32 [0; 0] [floor((H - P - 3*floor((W - Q)/2))/2) + 1; floor((W - Q)/2) + 1]\n\
             needs P + 3 * ((W - Q) / 2) <= H + 2\nneeds Q <= W + 2",
        ),
        (
            "def f(float(P) K, float(A) G) -> (D) { D(h) +=! G(h - p) * K(p) }",
            "D: float32 [P - 1] [A - P + 1]\nneeds P <= A + 1",
        ),
        (
            "def f(float(H) I, float(A) G) -> (D) { D(p) +=! G(h - p) * I(h) }",
            "D: float32 [H - A] [A - H + 1]\nneeds H <= A + 1",
        ),
        (
            "def f(float(N, M) I) -> (O) { O(i, j) = I(10 + i - j, i + j) where i in 0:10 }",
            "O: float32 [0; 20 - min(N, 20)] [10; min(N, 20) + min(M, 20) - 29]\nneeds 29 <= N + M\nneeds 9 <= N\nneeds 9 <= M",
        ),
        ("def f(float(10, 19, 10) I) -> (O) { O(i, j) = I(i, i + j, j) }", "O: float32 [0; 0] [10; 10]"),
        (
            "def f(float(A, B, C) I) -> (O) { O(i, j) = I(i, i + j, j) }",
            "O: float32 [0; 0] [A; C]\nneeds A + C <= B + 1",
        ),
        ("def f(float(N) A, float(M) B) -> (O) { O(i) = A(i) + B(i) }", "O: float32 [0] [min(N, M)]"),
        (
            "def f(float(A, B, C) X, float(D, E, F) Y) -> (O) { O(j, k, l) +=! Y(j, k, l) + X(i, j, k) }",
            "O: float32 [0; 0; 0] [min(B, D); min(C, E); F]",
        ),
        (
            "def f(float(N, M) I) -> (O) { O(i, j) = I(i, j) where i in 3:N-1 }",
            "O: float32 [3; 0] [N - 4; M]\nneeds 4 <= N",
        ),
        ("def f() -> (O) { O(i, j) = 3 where i in 4:8, j in 3:20 }", "O: int32 [4; 3] [4; 17]"),
    ];
    for (program, expected) in table {
        assert_eq!(ranges(program), expected, "{program}");
    }
}

#[test]
fn ranges_of_the_rest() {
    let table = [
        ("def f(float(N) A) -> (O) { O(i) = A(i % 3) where i in 0:N }", "O: float32 [0] [N]"),
        ("def f(float(N) A) -> (O) { O(i) = A(i % 3) where i in 0:6 }", "O: float32 [0] [6]\nneeds 3 <= N"),
        ("def f(float(N) A) -> (O) { O(i) = A(i % 3) * A(i) }", "O: float32 [0] [N]"),
        ("def f(float(N) A) -> (O) { O(i) = A(i / 2) }", "O: float32 [0] [2*N]"),
        ("def f(float(N) A) -> (O) { O(i) = A(-i) }", "O: float32 [1 - N] [N]"),
        ("def f(float(N) A) -> (O) { O(i) = A(N - 1 - i) }", "O: float32 [0] [N]"),
        ("def f(float(N) A) -> (O) { O(i) = A(i) where i in 0:10 }", "O: float32 [0] [10]\nneeds 10 <= N"),
        ("def f(float(N) A) -> (O) { O(i) = A(min(i, N - 1)) where i in 0:2*N }", "O: float32 [0] [2*N]\nneeds 1 <= N"),
        ("def f(float(N) A) -> (O) { O = A(0) }", "O: float32 [] []\nneeds 1 <= N"),
        ("def f(float(N) A) -> (b) { b(i) = 4.0 where exists A(i) }", "b: float32 [0] [N]"),
        (
            "def f(float(N) A) -> (O) { O(i) = 0.0 where i in 0:2 O(i) = A(i) where i in 2:N }",
            "O: float32 [0] [N]\nneeds 2 <= N",
        ),
        ("def f(float(N) A, float(M) B) -> (O) { O(i) = A(i) O(i) = B(i) }", "O: float32 [0] [max(N, M)]"),
        (
            "def f(float(N) A) -> (O) { O(0) = A(0) for t in 1:N { O(t) = O(t - 1) + A(t) } }",
            "O: float32 [0] [N]\nneeds 1 <= N",
        ),
        (
            "def f(float(N) A) -> (O) { O(0) = 0.0 O(N - 1) = 0.0 O(i) = A(i) where i in 1:N-1 }",
            "O: float32 [0] [N]\nneeds 2 <= N",
        ),
        (
            "def f(float(N) A) -> (O) { O(0) = 0.0 O(6) = 0.0 O(i) = A(i) where i in 1:6 }",
            "O: float32 [0] [7]\nneeds 6 <= N",
        ),
        ("def f(float(N) A, float(M) B) -> (O) { O(i) = A(i) O(i) += B(i) }", "O: float32 [0] [N]"),
        ("def f(float(M, D) T, int32(N) I) -> (O) { O(i, d) = T(I(i), d) }", "O: float32 [0; 0] [N; D]"),
        ("def f(float(N) A) -> (C) { T(i) = A(i) * A(i) C(i) = T(i) }", "C: float32 [0] [N]\nT: float32 [0] [N]"),
        ("def f(float(N) A) -> (O) { O(i) +=! A(j) where i in 0:N, j in 0:i+1 }", "O: float32 [0] [N]"),
        ("def f(float(N) A) -> (O) { O(i) +=! A(j) where i in 0:2*N, j in 0:i }", "O: float32 [0] [2*N]\nneeds N <= 1"),
        ("def f(float(N) A) -> (float(M) O) { O(i) = A(i) }", "O: float32 [0] [N]"),
        (
            "def f(float(N) A, float(M) B) -> (float(M) O) { O(i) = A(i) + 0 * B(0) }",
            "O: float32 [0] [N]\nneeds 1 <= M\nneeds M <= N\nneeds N <= M",
        ),
    ];
    for (program, expected) in table {
        assert_eq!(ranges(program), expected, "{program}");
    }
}

fn dtype(program: &str) -> &'static str {
    kernel(program).outputs().next().unwrap().dtype.name()
}

#[test]
fn types() {
    for (value, expected) in [
        ("a", "float32"),
        ("1", "int32"),
        ("4294967296", "int64"),
        ("0x10", "int32"),
        ("3E-5", "float32"),
        ("1e300", "float64"),
        ("a + d", "float64"),
        ("l + a", "float32"),
        ("u + 1", "uint8"),
        ("u + 300", "int32"),
        ("u - s", "int8"),
        ("-1 * u", "int32"),
        ("0.5 * d", "float64"),
        ("0.5 * l", "float32"),
        ("exp(l)", "float32"),
        ("pow(d, 2)", "float64"),
        ("N", "int32"),
        ("i * 2", "int32"),
        ("a < d", "bool"),
        ("true && a > 0", "bool"),
        ("b ? u : 0", "uint8"),
        ("b ? u : 0.5", "float32"),
        ("min(u, 3)", "uint8"),
        ("int64(a)", "int64"),
        ("b + 1", "int32"),
    ] {
        let program = format!(
            "def f(float a, double d, int64 l, uint8 u, int8 s, bool b, float(N) x) -> (O) {{ O(i) = {value} where i in 0:4 }}"
        );
        assert_eq!(dtype(&program), expected, "{value}");
    }
    assert_eq!(dtype("def f(float(N) A) -> (double(N) B) { B(i) = A(i) }"), "float64");
    assert_eq!(dtype("def f(float(N) A) -> (float64(N) B) { B(i) = 0 * A(i) }"), "float64");
}

#[test]
fn roles() {
    let kernel = kernel("def f(float(N) A) -> (B, C) { T(i) = A(i) B(i) = T(i) C += T(i) }");
    let roles: Vec<(&str, Role)> = kernel.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.role)).collect();
    assert_eq!(roles, [("A", Role::Input), ("B", Role::Output), ("C", Role::InOut), ("T", Role::Temporary)]);
}

#[test]
fn several_definitions_and_comments() {
    let checked =
        check("# one\ndef f(float(N) A) -> (B) { B(i) = A(i) } // two\ndef g(float(N) A) -> (B) { B(i) = 2 * A(i) }");
    assert!(checked.diagnostics.is_empty());
    assert_eq!(checked.defs.iter().map(|def| def.name.as_str()).collect::<Vec<_>>(), ["f", "g"]);
}

#[test]
fn text_with_every_range() {
    let program = "def f(float(M,K) A, float(K,N) B) -> (C) {\nC(m,n) +=! A(m,k)*x <=> mm(A, B) where x = B(k,n), exists A(m, k)\nC(m,n)=-(1-(2-C(m,n)))/(3*(4*5))}";
    let text = kernel(program).to_string();
    expect_test::expect![[r#"
        def f(float(M, K) A, float(K, N) B) -> (C) {
          C(m, n) +=! A(m, k) * x <=> mm(A, B) where m in 0:M, n in 0:N, k in 0:K, x = B(k, n), exists A(m, k)
          C(m, n) = -(1 - (2 - C(m, n))) / (3 * (4 * 5)) where m in 0:M, n in 0:N
        }
    "#]]
    .assert_eq(&text);
}

#[test]
fn preconditions_are_exact() {
    let kernel = kernel("def f(float(H) I, float(P) K) -> (O) { O(h) +=! I(2 * h + p) * K(p) }");
    assert!(kernel.check_sizes(&[8, 3]).is_empty());
    assert!(kernel.check_sizes(&[3, 5]).is_empty());
    let broken = kernel.check_sizes(&[3, 6]);
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].message, "these sizes break the condition P <= H + 2: H = 3, P = 6");
    let kernel = self::kernel("def f(float(N) A, float(M) B) -> (O) { O(i) = A(i) * B(2) }");
    assert!(kernel.check_sizes(&[0, 0]).is_empty(), "a statement that never runs reads nothing");
    assert_eq!(kernel.check_sizes(&[1, 2]).len(), 1);
}

/// What `+=!` writes first is inside of the tensor even where there is nothing to sum.
#[test]
fn the_elements_of_an_empty_sum_are_written() {
    let text = "def f(float(N, C) A, float(F, C) W, float(M, F) X) -> (O) {
        O(n, c) = A(n, c)
        O(m, f) +=! W(f, c) * X(m, f)
    }";
    let def = check(text).defs.remove(0);
    assert_eq!(def.sizes, ["N", "C", "F", "M"]);
    let fits = |sizes: [i64; 4]| def.check_sizes(&sizes).is_empty();
    assert!(fits([4, 3, 3, 2]) && fits([4, 0, 0, 2]));
    assert!(!fits([4, 3, 4, 2]) && !fits([4, 0, 3, 2]));
}

//! Calls of one kernel with sizes and strides of every kind, and what is said of wrong ones.

use expect_test::expect;
use tilewright::{Compiler, Tensor, TensorView};

const PRODUCT: &str = "def mm(float(M, K) A, float(K, N) B) -> (C) { C(m, n) +=! A(m, k) * B(k, n) }";

fn compiler() -> Compiler {
    Compiler::host().threads(1).symbolic(true)
}

fn counted(count: i64) -> Vec<f32> {
    (0..count).map(|at| (at % 7) as f32 - 3.0).collect()
}

#[test]
fn strides_are_the_callers() {
    let mm = compiler().compile(PRODUCT).expect("a definition");
    for [m, n, k] in [[3, 5, 4], [17, 33, 9], [1, 1, 1], [20, 3, 0]] {
        let (a, b) = (counted(m * k), counted(k * n));
        let columns = TensorView::with_strides(&a, 0, &[m, k], &[1, m]).expect("a view");
        let b = Tensor::from_slice(&b, &[k, n]).expect("a tensor");
        let c = mm.call(&[&columns, &b]).expect("it runs");
        let of =
            |i: i64, j: i64| (0..k).map(|at| a[(i + at * m) as usize] * counted(k * n)[(at * n + j) as usize]).sum();
        let expected: Vec<f32> = (0..m * n).map(|at| of(at / n, at % n)).collect();
        assert_eq!(c.as_slice::<f32>().expect("float32"), expected, "{m} {n} {k}");
    }
}

#[test]
fn every_size_has_the_same_code() {
    let mm = compiler().compile(PRODUCT).expect("a definition");
    let [small, large] = [[2, 3, 4], [500, 600, 700]].map(|sizes| mm.prepare_sizes(&sizes).expect("it compiles"));
    assert_eq!(small.script.to_string(), large.script.to_string());
    assert_eq!(small.compile_time, large.compile_time, "it was compiled once");
    assert_eq!(large.signature().arguments[0].shape, [500, 600]);
    let said: Vec<&str> = large.remarks.iter().map(|remark| remark.why.as_str()).collect();
    assert!(said.iter().any(|text| text.contains("size that is not known")), "{said:?}");
}

#[test]
fn tiles_by_an_open_size_are_at_least_1() {
    let by = |script: &str| compiler().script(script.parse().expect("a script")).tile_size("T", 3).compile(PRODUCT);
    let mm = by("tile C.update.m C.update.n by T T").expect("a definition");
    mm.prepare_sizes(&[0, 4, 5]).expect("no tiles of that size");
    let error = by("tile C.update.m C.update.n by M N").expect("a definition").prepare_sizes(&[3, 4, 5]).err();
    let error = error.expect("tiles of nothing").to_string();
    assert!(error.contains("TC0913") && error.contains("the size `M` may be less than 1"), "{error}");
}

#[test]
fn scalars_in_bounds_may_be_as_large_as_addresses() {
    let text = "def f(int64(N) A, int64 lo, int64 hi) -> (B) { B(i) = i + A(0) where i in lo:hi }";
    let kernels = [true, false].map(|all| compiler().symbolic(all).compile(text).expect("a definition"));
    let a = Tensor::from_slice(&[1i64, 2, 3], &[3]).expect("three elements");
    for kernel in kernels {
        let call = |lo: i64, hi: i64| {
            let [lo, hi] = [lo, hi].map(|value| Tensor::from_slice(&[value], &[]).expect("a scalar"));
            kernel.call(&[&a, &lo, &hi])
        };
        let far = (1 << 56) - 3;
        // As a value an index is an `int32`, which wraps around.
        assert_eq!(call(far, far + 3).expect("it runs").as_slice::<i64>().expect("int64"), [-2, -1, 0]);
        assert_eq!(call(far, far).expect("it runs").shape(), [0]);
        let largest = i64::MAX;
        for (lo, hi, code) in [
            (5, 4, "TC0501"),
            (0, largest, "TC0909"),
            (largest, largest, "TC0909"),
            (largest - 1, largest, "TC0909"),
            (far, far + 4, "TC0909"),
            (largest, 0, "TC0501"),
            (-1, 1, "TC0908"),
        ] {
            let error = call(lo, hi).expect_err("a wrong call");
            assert_eq!(error.diagnostics()[0].code, code, "{lo} {hi}: {error}");
        }
    }
}

#[test]
fn a_condition_has_alternatives() {
    let text = "def f(float(N) A, float(M) B) -> (O) {\n  O(i) +=! A(i) * B(j) where i in 0:N, j in 3:i\n}\n";
    let kernel = compiler().compile(text).expect("a definition");
    assert!(kernel.prepare_sizes(&[4, 0]).is_ok() && kernel.prepare_sizes(&[9, 8]).is_ok());
    let error = kernel.prepare_sizes(&[9, 6]).err().expect("B is too short");
    expect![[r#"
        error[TC0501]: these sizes break the condition N <= 4 or N <= M + 1: N = 9, M = 6
         --> <tc>:2:19
          |
        2 |   O(i) +=! A(i) * B(j) where i in 0:N, j in 3:i
          |                   ^^^^ else subscript 1 of `B` runs past the last element
          |
          = help: call with sizes that satisfy the condition, or restrict the range in `where`"#]]
    .assert_eq(&error.to_string());
}

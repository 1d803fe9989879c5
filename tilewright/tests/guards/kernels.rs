//! Kernels of all kinds at odd sizes: masked tails, packed edges, windows, borders, stores past the caches.

use std::fs;
use std::path::Path;

use tilewright::random::Random;
use tilewright::{Compiler, Tensor};

use crate::memory::run_guarded;
use crate::{apart, next};

/// Runs the definitions of a text between guard pages for sizes that are drawn from `sizes`, one after the other.
fn guarded(text: &str, given: &[(&str, i64)]) {
    for threads in [1, 2] {
        let compiler = Compiler::host().threads(threads);
        let kernel = compiler.compile(text).unwrap_or_else(|error| panic!("{error}"));
        let size = |name: &String| given.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("{name}")).1;
        let sizes: Vec<i64> = kernel.sizes().iter().map(size).collect();
        next(format!("{} {given:?} on {threads} threads", kernel.name()));
        let variant = kernel.prepare_sizes(&sizes).unwrap_or_else(|error| panic!("{error}"));
        let def = kernel.definition().expect("from a text");
        let random = Random::new(7, def, &sizes).expect("random data");
        let inputs: Vec<Tensor> = def.inputs().map(|input| random.argument(input).expect("memory")).collect();
        let outputs: Vec<Tensor> = def.outputs().map(|output| random.argument(output).expect("memory")).collect();
        assert_eq!(run_guarded(&variant, &inputs, &outputs, compiler.pool()), None);
    }
}

fn of_benches(name: &str, given: &[(&str, i64)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../benches/kernels/{name}.tc"));
    guarded(&fs::read_to_string(path).expect("a kernel of the benchmarks"), given);
}

#[test]
fn products() {
    apart("kernels::products", || {
        of_benches("gemm", &[("M", 37), ("N", 53), ("K", 29)]);
        of_benches("gemm", &[("M", 150), ("N", 161), ("K", 139)]);
        of_benches("dgemm", &[("M", 9), ("N", 131), ("K", 65)]);
        of_benches("i8gemm", &[("M", 19), ("N", 67), ("K", 41)]);
        of_benches("tbmm", &[("B", 3), ("M", 11), ("N", 13), ("K", 17)]);
        of_benches("attention", &[("B", 2), ("S", 19), ("D", 21)]);
    });
}

#[test]
fn windows() {
    apart("kernels::windows", || {
        let window = [("N", 1), ("F", 5), ("C", 3), ("H", 11), ("W", 39), ("R", 3), ("S", 3)];
        of_benches("conv2d", &window);
        of_benches("conv2d_s2", &window);
        of_benches("depthwise", &window);
        of_benches("gaussian", &[("C", 1), ("H", 13), ("W", 77)]);
        of_benches("edge", &[("C", 1), ("H", 9), ("W", 131)]);
    });
}

#[test]
fn borders() {
    apart("kernels::borders", || {
        of_benches("jacobi2d", &[("N", 43)]);
        for border in ["clamp", "wrap", "mirror"] {
            let around = |x: &str| format!("A({border}(i - 1), {x}) + A({border}(i + 2), {x})");
            let (left, right) = (around(&format!("{border}(j - 2)")), around(&format!("{border}(j + 3)")));
            guarded(
                &format!("def f(float(N,M) A) -> (B) {{ B(i, j) = A(i, j) + {left} + {right} }}"),
                &[("N", 7), ("M", 53)],
            );
        }
        guarded("def f(float(N) A) -> (B) { B(i) = A(i) + pad(A(i - 3), 1) + pad(A(i + 5), 2) }", &[("N", 41)]);
    });
}

#[test]
fn rows_and_columns() {
    apart("kernels::rows_and_columns", || {
        of_benches("softmax", &[("N", 5), ("D", 77)]);
        of_benches("layernorm", &[("N", 3), ("D", 93)]);
        of_benches("rowsum", &[("N", 13), ("M", 71)]);
        of_benches("colsum", &[("N", 71), ("M", 45)]);
        of_benches("transpose", &[("N", 33), ("M", 47)]);
        of_benches("cvtcolor", &[("C", 3), ("H", 5), ("W", 83)]);
        // Large enough to be stored past the caches.
        of_benches("axpy", &[("N", 3_000_001)]);
    });
}

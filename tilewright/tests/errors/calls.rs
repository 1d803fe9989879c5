//! What is said of wrong calls of right programs.

use expect_test::{Expect, expect};
use tilewright::{AsTensor, Compiler, Tensor};

const MM: &str = "def mm(float(M, K) A, float(K, 3) B) -> (C) {\n  C(m, n) +=! A(m, k) * B(k, n)\n}\n";
const BLUR: &str = "def blur(float(N) A) -> (B) {\n  B(i) = A(i) + A(i + 2)\n}\n";
const GATHER: &str = "def gather(float(N) A, int32(M) I) -> (B) {\n  B(i) = A(I(i))\n}\n";
const TWO: &str = "def two(float(N) A) -> (B, C) {\n  B(i) = A(i)\n  C(i) = -A(i)\n}\n";

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(tilewright::runtime_dtype(tilewright::DType::F32), shape).expect("a small tensor")
}

fn refused(text: &str, inputs: &[&Tensor], expected: Expect) {
    let kernel = Compiler::host().threads(1).compile(text).expect("a right program");
    let inputs: Vec<&dyn AsTensor> = inputs.iter().map(|input| *input as &dyn AsTensor).collect();
    expected.assert_eq(&kernel.call(&inputs).expect_err("a wrong call").to_string());
}

#[test]
fn arguments() {
    let (a, b) = (zeros(&[4, 5]), zeros(&[5, 3]));
    refused(MM, &[&a], expect![""]);
    refused(MM, &[&a, &b, &b], expect![""]);
    refused(MM, &[&a, &zeros(&[5])], expect![""]);
    refused(MM, &[&a, &zeros(&[6, 3])], expect![""]);
    refused(MM, &[&a, &zeros(&[5, 4])], expect![""]);
    let whole = Tensor::from_slice(&[1i32; 15], &[5, 3]).expect("fifteen elements");
    refused(MM, &[&a, &whole], expect![""]);
    refused(TWO, &[&zeros(&[4])], expect![""]);
}

#[test]
fn sizes_and_values() {
    refused(BLUR, &[&zeros(&[1])], expect![""]);
    let index = Tensor::from_slice(&[0i32, 3, 4, -1], &[4]).expect("four elements");
    refused(GATHER, &[&zeros(&[4]), &index], expect![""]);
}

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
    refused(
        MM,
        &[&a],
        expect![[r#"
        error[TC0905]: `mm` expected 2 inputs, found 1
         |
         = help: the inputs are `A`, `B`"#]],
    );
    refused(
        MM,
        &[&a, &b, &b],
        expect![[r#"
        error[TC0905]: `mm` expected 2 inputs, found 3
         |
         = help: the inputs are `A`, `B`"#]],
    );
    refused(
        MM,
        &[&a, &zeros(&[5])],
        expect![[r#"
        error[TC0907]: `B`: expected 2 dimensions but found tensor with 1 dimensions
         |
         = help: it is declared `float32 B(K, 3)`"#]],
    );
    refused(
        MM,
        &[&a, &zeros(&[6, 3])],
        expect![[r#"
        error[TC0908]: `B`: dimension 0 is `K` = 5, but has extent 6
         |
         = help: it is declared `float32 B(K, 3)`"#]],
    );
    refused(
        MM,
        &[&a, &zeros(&[5, 4])],
        expect![[r#"
        error[TC0908]: `B`: dimension 1 must have extent 3, but has 4
         |
         = help: it is declared `float32 B(K, 3)`"#]],
    );
    let whole = Tensor::from_slice(&[1i32; 15], &[5, 3]).expect("fifteen elements");
    refused(
        MM,
        &[&a, &whole],
        expect![[r#"
        error[TC0906]: `B`: expected elements of type float32, found int32
         |
         = help: convert the data before the call"#]],
    );
    refused(
        TWO,
        &[&zeros(&[4])],
        expect![[r#"
        error[TC0904]: `two` has 2 outputs
         |
         = help: use `call_all`"#]],
    );
}

#[test]
fn sizes_and_values() {
    refused(
        BLUR,
        &[&zeros(&[1])],
        expect![[r#"
        error[TC0501]: these sizes break the condition 2 <= N: N = 1
         --> <tc>:2:5
          |
        2 |   B(i) = A(i) + A(i + 2)
          |     ^ the range of `i` has N - 2 elements
          |
          = help: call with sizes that satisfy the condition, or restrict the range in `where`"#]],
    );
    let index = Tensor::from_slice(&[0i32, 3, 4, -1], &[4]).expect("four elements");
    refused(
        GATHER,
        &[&zeros(&[4]), &index],
        expect!["error[TC0911]: subscript 0 of `A` is 4, outside of 0..4; it comes from `I(2)`"],
    );
    let index = Tensor::from_slice(&[0u64, 3, u64::MAX - 1, 4], &[4]).expect("four elements");
    refused(
        &GATHER.replace("int32", "uint64"),
        &[&zeros(&[4]), &index],
        expect!["error[TC0911]: subscript 0 of `A` is 18446744073709551614, outside of 0..4; it comes from `I(2)`"],
    );
    refused(
        "def ring(float(N) A) -> (B) {\n  B(i) = A(wrap(i - 4)) where i in 0:N\n}\n",
        &[&zeros(&[3])],
        expect![[r#"
        error[TC0501]: these sizes break the condition 4 <= N: N = 3
         --> <tc>:2:10
          |
        2 |   B(i) = A(wrap(i - 4)) where i in 0:N
          |          ^^^^^^^^^^^^^^ `wrap` reaches no further before the tensor than the tensor is long
          |
          = help: call with sizes that satisfy the condition, or restrict the range in `where`"#]],
    );
}

/// What takes more work than there is for one kernel is said so: it is no bug.
#[test]
fn programs_that_are_too_large() {
    let error = tilewright::Error::from(polyhedral::isl::Error::Quota);
    expect![[r#"
        error[TC0916]: the program is too large for one kernel
         |
         = help: divide it into definitions of some hundred statements, and call one after the other"#]]
    .assert_eq(&error.to_string());
}

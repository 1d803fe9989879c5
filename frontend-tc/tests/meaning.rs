//! What programs compute, by the reference evaluator.

use frontend_tc::{check, lower};
use polyhedral::eval::{Data, EvalError, Limits, Tensors, run};
use polyhedral::{DType, Index, Role, isl};

/// The first output of `program`, whose inputs (and outputs that go on from something) are vectors of these values; an
/// empty list is a scalar 0.
fn evaluated(program: &str, inputs: &[&[f64]]) -> Result<Vec<f64>, EvalError> {
    let checked = check(program);
    assert!(!checked.has_errors(), "{program}: {:?}", checked.diagnostics);
    let kernel = &checked.defs[0];
    let mut sizes = vec![0; kernel.sizes.len()];
    let mut tensors = Tensors::new();
    let read = kernel.tensors.iter().filter(|tensor| matches!(tensor.role, Role::Input | Role::InOut));
    for (tensor, values) in read.zip(inputs) {
        let length = values.len() as i64;
        if let [Index::Param(at)] = tensor.extent[..] {
            sizes[at] = length;
        }
        let shape: Vec<i64> = tensor.extent.iter().map(|_| length).collect();
        tensors.insert(tensor.name.clone(), Data::from_f64s(tensor.dtype, &shape, values));
    }
    assert!(kernel.check_sizes(&sizes).is_empty(), "{:?}", kernel.check_sizes(&sizes));
    let scop = lower(kernel, &isl::Ctx::new()).unwrap();
    let results = run(&scop, &sizes, &tensors, Limits::default())?;
    let output = kernel.outputs().next().unwrap();
    Ok(results[&output.name].to_f64s())
}

fn gives(program: &str, inputs: &[&[f64]], expected: &[f64]) {
    assert_eq!(evaluated(program, inputs).unwrap(), expected, "{program}");
}

#[test]
fn whole_numbers_divide_downwards() {
    let a: &[f64] = &[-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];
    gives("def f(int32(N) A) -> (B) { B(i) = A(i) / 2 }", &[a], &[-2.0, -1.0, -1.0, 0.0, 0.0, 1.0, 1.0]);
    gives("def f(int32(N) A) -> (B) { B(i) = A(i) % 3 }", &[a], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0]);
    gives(
        "def f(int32(N) A) -> (B) { B(i) = (i - 3) / 2 where i in 0:N }",
        &[a],
        &[-2.0, -1.0, -1.0, 0.0, 0.0, 1.0, 1.0],
    );
    gives(
        "def f(int32(N) A) -> (B) { B(i) = A((i - 3) / 2 + 2) where i in 0:N }",
        &[a],
        &[-3.0, -2.0, -2.0, -1.0, -1.0, 0.0, 0.0],
    );
}

#[test]
fn a_shifted_tensor_is_stored_from_its_minimum() {
    gives("def f(float(N) A) -> (B) { B(i) = A(i - 1) + i }", &[&[10.0, 20.0]], &[11.0, 22.0]);
    gives("def f(float(N) A) -> (C) { B(i) = A(i + 3) C(i) = B(i - 3) }", &[&[10.0, 20.0]], &[10.0, 20.0]);
}

#[test]
fn reductions() {
    let a: &[f64] = &[3.0, -1.0, 2.0];
    gives("def f(float(N) A) -> (S) { S +=! A(i) }", &[a], &[4.0]);
    gives("def f(float(N) A) -> (S) { S *=! A(i) }", &[a], &[-6.0]);
    gives("def f(float(N) A) -> (S) { S min=! A(i) }", &[a], &[-1.0]);
    gives("def f(int32(N) A) -> (S) { S max=! A(i) - 10 }", &[a], &[-7.0]);
    gives("def f(float(N) A) -> (S) { S += A(i) }", &[a, &[100.0]], &[104.0]);
    gives("def f(float(N) A) -> (S) { S +=! A(i) S +=! 1.0 * i where i in 0:N }", &[a], &[3.0]);
    gives("def f(float(N) A) -> (S) { S = 1.0 S += A(i) * S }", &[a], &[0.0]);
    gives("def f(float(N) A) -> (S) { S +=! A(j) where j in N-1:N }", &[a], &[2.0]);
}

#[test]
fn statements_run_in_textual_order() {
    let a: &[f64] = &[1.0, 2.0, 3.0];
    gives(
        "def f(float(N) A) -> (C) { B(i) = A(i) C(i) = B(i) B(i) = 7 * A(i) C(i) += B(i) }",
        &[a],
        &[8.0, 16.0, 24.0],
    );
    gives("def f(float(N) A) -> (B) { B(i) = A(i) B(i) = B(i - 1) + A(i) where i in 1:N }", &[a], &[1.0, 3.0, 6.0]);
    gives("def f(float(N) A) -> (B) { B(i) +=! A(j) where i in 0:N, j in 0:i+1 }", &[a], &[1.0, 3.0, 6.0]);
}

#[test]
fn a_choice_reads_only_what_counts() {
    let a: &[f64] = &[1.0, 2.0, 4.0];
    let stencil =
        "def f(float(N) A) -> (B) { B(i) = (i > 0 ? A(i - 1) : 0) + (i < N - 1 ? A(i + 1) : 0) where i in 0:N }";
    gives(stencil, &[a], &[2.0, 5.0, 2.0]);
    let masked = "def f(uint8(N) M, float(N) A) -> (B) { B(i) = M(i) == 1 ? A(i + 1) : -1.0 where i in 0:N }";
    gives(masked, &[&[1.0, 1.0, 0.0], a], &[2.0, 4.0, -1.0]);
    assert!(evaluated(masked, &[&[1.0, 1.0, 1.0], a]).is_err(), "the last element reads past the end");
    let lookup = "def f(int32(N) I, float(N) A) -> (B) { B(i) = I(i) >= 0 ? A(I(i)) : 9.0 }";
    gives(lookup, &[&[2.0, -5.0, 0.0], a], &[4.0, 9.0, 1.0]);
}

#[test]
fn precedence_and_types() {
    let half: &[f64] = &[0.25, 0.5, 0.75];
    gives("def f(float(N) A) -> (B) { B(i) = !(A(i) < .5) || A(i) < .3 ? 1 : 2 }", &[half], &[1.0, 1.0, 1.0]);
    gives("def f(float(N) A) -> (B) { B(i) = 1 + 2 * 3 - 8 / 4 / 2 - A(i) * 0 }", &[&[0.0]], &[6.0]);
    gives("def f(double(N) A) -> (B) { B(i) = A(i) + 0.1 }", &[&[0.0]], &[0.1]);
    gives("def f(float(N) A) -> (B) { B(i) = A(i) + 1e-12 }", &[&[0.0]], &[f64::from(1e-12f32)]);
    gives("def f(uint8(N) A) -> (B) { B(i) = A(i) + 1 }", &[&[255.0]], &[0.0]);
    gives("def f(uint8(N) A) -> (B) { B(i) = A(i) + 300 }", &[&[255.0]], &[555.0]);
    gives("def f(float(N) A) -> (int32(N) B) { B(i) = int32(A(i)) }", &[&[-1.5, 2.5]], &[-1.0, 2.0]);
    gives("def f(float(N) A) -> (B) { B(i) = x * x where x = A(i) + 1 }", &[&[2.0]], &[9.0]);
    assert_eq!(check("def f(float(N) A) -> (B) { B(i) = true ? A(i) : 0 }").defs[0].tensors[1].dtype, DType::F32);
}

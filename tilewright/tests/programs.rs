//! Programs beyond TC: built in Rust, compiled and called; and refusals, which show the program that they are about.

use expect_test::{Expect, expect};
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::testing::{conditioned_tensors, polybench};
use polyhedral::{Role, Scop, isl};
use tilewright::builder::Program;
use tilewright::{Compiler, DType, Error, Fault, Kernel, Tensor};

fn compiler(threads: usize, script: &str) -> Compiler {
    let compiler = Compiler::host().threads(threads);
    if script.is_empty() { compiler } else { compiler.script(script.parse().expect("a script")) }
}

/// A kernel of PolyBench, by the automatic schedule when the script is empty, computes what the evaluator does.
fn computes(name: &str, script: &str, all_sizes: [&[i64]; 2]) {
    let built = polybench(name).program(&isl::Ctx::new());
    let program = Program::from(&built);
    for (threads, symbolic) in [(1, false), (2, false), (2, true)] {
        let kernel = compiler(threads, script).symbolic(symbolic).compile_program(&program);
        for sizes in all_sizes {
            agrees(&built.scop, &kernel, sizes).unwrap_or_else(|wrong| panic!("{name} {sizes:?}: {wrong}"));
        }
    }
}

fn agrees(scop: &Scop, kernel: &Kernel, sizes: &[i64]) -> Result<(), Box<dyn std::error::Error>> {
    let given = conditioned_tensors(scop, sizes, 7);
    let reference = eval::run_wide(scop, sizes, &given, Limits::default())?;
    let outputs = call(scop, kernel, sizes, &given)?;
    for name in reference.names() {
        reference.compare(name, &outputs[name])?;
    }
    Ok(())
}

/// What the kernel makes of the tensors; outputs hold something else than zeros before.
fn call(scop: &Scop, kernel: &Kernel, sizes: &[i64], given: &Tensors) -> Result<Tensors, Box<dyn std::error::Error>> {
    let named: Vec<(&str, i64)> = kernel.sizes().iter().map(String::as_str).zip(sizes.iter().copied()).collect();
    let kernel = kernel.with_sizes(&named)?;
    let variant = kernel.prepare_sizes(sizes)?;
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for argument in &variant.signature().arguments {
        let bytes = argument.shape.iter().product::<i64>() as usize * argument.dtype.bytes();
        let bytes = given.get(&argument.name).map_or_else(|| vec![0xa5; bytes], |data| data.bytes.clone());
        let tensor = Tensor::from_bytes(argument.dtype, &argument.shape, &bytes)?;
        if argument.role == runtime::Role::Input { inputs.push(tensor) } else { outputs.push(tensor) }
    }
    let read: Vec<_> = inputs.iter().map(|tensor| tensor as _).collect();
    let mut written: Vec<_> = outputs.iter_mut().map(|tensor| tensor as _).collect();
    kernel.run(&read, &mut written)?;
    let results = scop.tensors.values().filter(|tensor| matches!(tensor.role, Role::Output | Role::InOut));
    let data = results.zip(&outputs).map(|(tensor, output)| {
        let data = Data { dtype: tensor.dtype, shape: output.shape().to_vec(), bytes: output.as_bytes().to_vec() };
        (tensor.name.clone(), data)
    });
    Ok(data.collect())
}

#[test]
fn the_automatic_schedule_copes() {
    computes("lu", "", [&[17], &[1]]);
    computes("cholesky", "", [&[14], &[1]]);
    computes("trisolv", "", [&[19], &[2]]);
    computes("floyd_warshall", "", [&[13], &[1]]);
    computes("nussinov", "", [&[15], &[2]]);
    computes("seidel_2d", "", [&[3, 9], &[2, 3]]);
    computes("gramschmidt", "", [&[9, 7], &[1, 1]]);
    computes("covariance", "", [&[9, 7], &[2, 1]]);
}

#[test]
fn lu_in_rows_on_threads() {
    computes("lu_right_looking", "parallel A.i\nvectorise A.2.j by 4 as jo jv", [&[17], &[8]]);
}

/// For one row there is nothing to do, and the loops around nothing still have names.
#[test]
fn lu_in_vectors_of_rows() {
    computes("lu_right_looking", "vectorise A.i by 8", [&[17], &[1]]);
}

#[test]
fn floyd_warshall_in_wavefronts() {
    let script = "skew path.j by 1 of path.i as w\nreorder path.w path.i\nparallel path.i";
    computes("floyd_warshall", script, [&[13], &[8]]);
}

#[test]
fn jacobi_2d_with_its_sweeps_fused() {
    let script = "fuse B A depth 2\nparallel B.i\n";
    computes("jacobi_2d", "parallel B.i\nparallel A.i\nvectorise A.j by 4 as jo jv", [&[3, 11], &[2, 6]]);
    let fused = Compiler::host().threads(1).script(script.parse().expect("a script"));
    let program = Program::from(&polybench("jacobi_2d").program(&isl::Ctx::new()));
    let error = fused.compile_program(&program).prepare_sizes(&[3, 11]).err().expect("planes depend on each other");
    assert!(error.to_string().contains("line 2: `parallel B.i` refused"), "{error}");
    computes("jacobi_2d", "fuse B A depth 2\nskew B.i by 2 of B.t as u\ntile B.t B.u by 2 4", [&[3, 11], &[2, 6]]);
}

#[test]
fn seidel_2d_in_skewed_boxes() {
    let script = "skew A.i by 1 of A.t as u\nskew A.j by 1 of A.u as v\nskew A.v by 1 of A.t as w\n\
                  tile A.t A.u A.w by 2 4 4\n";
    computes("seidel_2d", script, [&[4, 11], &[3, 7]]);
}

fn jacobi_1d() -> Program {
    Program::build("jacobi_1d", |p| {
        let [t, n] = ["T", "N"].map(|name| p.size(name));
        p.assume(n.ge(2));
        let (a, b) = (p.inout("A", DType::F32, [n]), p.temporary("B", DType::F32, [n]));
        p.each("t", 0, t, |_| {
            p.each("i", 1, n - 1, |i| p.set(b.at([i]), a.at([i - 1]) + a.at([i + 1])));
            p.each("i", 1, n - 1, |i| p.set(a.at([i]), 0.5 * b.at([i])));
        });
    })
    .expect("a program")
}

#[test]
fn a_size_in_no_shape_is_given_by_name() {
    let kernel = compiler(1, "").compile_program(&jacobi_1d());
    let mut a = Tensor::from_slice(&[8.0f32, 0.0, 0.0, 0.0, 16.0], &[5]).expect("five elements");
    let error = kernel.run(&[], &mut [&mut a]).expect_err("T is not known");
    expect![[r#"
        error[TC0933]: `jacobi_1d`: `T` is not known from the shapes of the arguments
         |
         = help: give it with `Kernel::with_sizes`"#]]
    .assert_eq(&error.to_string());
    kernel.with_sizes(&[("T", 2)]).expect("a size").run(&[], &mut [&mut a]).expect("it runs");
    assert_eq!(a.as_slice::<f32>().expect("floats"), [8.0, 4.0, 6.0, 8.0, 16.0]);
    let error = kernel.with_sizes(&[("TSTEPS", 2)]).err().expect("no such size");
    assert_eq!(error.diagnostics()[0].code, "TC0930");
    let error = kernel.prepare_sizes(&[3]).err().expect("two sizes");
    assert_eq!(error.diagnostics()[0].code, "TC0908");
}

#[test]
fn sizes_that_break_an_assumption_are_refused() {
    let error = compiler(1, "").compile_program(&jacobi_1d()).prepare_sizes(&[2, 1]).err().expect("N is too small");
    expect![[r#"
        error[TC0915]: these sizes break what `jacobi_1d` assumes: T = 2, N = 1
         --> <jacobi_1d>:2:1
          |
        2 | assume T >= 0
          | ^^^^^^^^^^^^^
        3 | assume N >= 0
          | -------------
        4 | assume N >= 2
          | -------------
          |
          = help: call it with sizes for which all of these hold"#]]
    .assert_eq(&error.to_string());
    assert_eq!(error.fault(), Fault::User);
}

#[test]
fn sizes_that_break_a_condition_are_refused() {
    let text = "def conv(float(N) A, float(K) W) -> (C) {\n  C(i) +=! A(i + k) * W(k)\n}\n";
    let error =
        compiler(1, "").compile(text).expect("a definition").prepare(&[&[2], &[5]]).err().expect("W is too long");
    expect![[r#"
        error[TC0501]: these sizes break the condition K <= N + 1: N = 2, K = 5
         --> <tc>:2:5
          |
        2 |   C(i) +=! A(i + k) * W(k)
          |     ^ the range of `i` has N - K + 1 elements
          |
          = help: call with sizes that satisfy the condition, or restrict the range in `where`"#]]
    .assert_eq(&error.to_string());
}

#[test]
fn computed_extents_are_checked() {
    let program = Program::build("pairs", |p| {
        let n = p.size("N");
        let (a, b) = (p.input("A", DType::F32, [n + 1]), p.output("B", DType::F32, [n]));
        p.each("i", 0, n, |i| p.set(b.at([i]), a.at([i]) + a.at([i + 1])));
    });
    let kernel = compiler(1, "").compile_program(&program.expect("a program"));
    let a = Tensor::from_slice(&[1.0f32, 2.0, 4.0], &[3]).expect("three elements");
    let fitting = kernel.with_sizes(&[("N", 2)]).expect("a size");
    assert_eq!(fitting.call(&[&a]).expect("it runs").as_slice::<f32>().expect("floats"), [3.0, 6.0]);
    let error = kernel.with_sizes(&[("N", 3)]).expect("a size").call(&[&a]).expect_err("A is too short");
    expect![[r#"
        error[TC0908]: `A`: dimension 0 must have extent N + 1, but has 3
         |
         = help: it is declared `float32 A(N + 1)`"#]]
    .assert_eq(&error.to_string());
}

#[test]
fn a_wrong_program_is_underlined() {
    let error = Program::build("wrong", |p| {
        let n = p.size("N");
        let (a, b) = (p.input("A", DType::F32, [n]), p.output("B", DType::F32, [n]));
        p.each("i", 0, n, |i| p.set(b.at([i]), *a.at([i + 1])));
    });
    expect![[r#"
        error[TC0914]: `B`: subscript 0 of `A` is 1, outside of 0..1, at i = 0 for N = 1
         --> <wrong>:6:10
          |
        6 |   B[i] = A[i + 1]
          |          ^^^^^^^^"#]]
    .assert_eq(&error.expect_err("A is read past its end").to_string());
}

fn refusal(kernel: &Kernel, sizes: &[i64]) -> Error {
    let error = kernel.prepare_sizes(sizes).err().expect("the script is refused");
    assert_eq!(error.diagnostics()[0].code, "TC0913");
    error
}

fn refused_tc(text: &str, script: &str, sizes: &[i64], expected: &Expect) {
    let kernel = compiler(2, script).compile(text).expect("a definition");
    expected.assert_eq(&refusal(&kernel, sizes).to_string());
}

#[test]
fn a_refused_reduction_shows_its_statement() {
    refused_tc(
        "def mm(float(M,K) A, float(K,N) B) -> (C) {\n  C(m,n) +=! A(m,k) * B(k,n)\n}\n",
        "parallel C.update.k",
        &[8, 8, 8],
        &expect![[r#"
            error[TC0913]: line 1: `parallel C.update.k` refused: `C.update[0, 0, 0]` and `C.update[0, 0, 1]` update one element (reduction through `C[0, 0]`), but the parallel loop `C.update.k` would run them at once
             --> <tc>:2:3
              |
            2 |   C(m,n) +=! A(m,k) * B(k,n)
              |   ^^^^^^^^^^^^^^^^^^^^^^^^^^ `C.update[0, 0, 0]` updates `C[0, 0]`, `C.update[0, 0, 1]` updates it too
              |
              = help: legal in its place: `privatise C at C.update.k as C_partial in global`, then `parallel C.update.k`"#]],
    );
}

#[test]
fn a_refused_order_shows_both_statements() {
    refused_tc(
        "def blur(float(N) A) -> (S, D) {\n  S(i) = A(i) + A(i + 1)\n  D(i) = S(i) + S(i + 1)\n}\n",
        "fuse S D shift 0",
        &[16],
        &expect![[r#"
            error[TC0913]: line 1: `fuse S D shift 0` refused: `D[0]` must run after `S[1]` (flow through `S[1]`), but the loop `S.i` would run it before
             --> <tc>:3:17
              |
            2 |   S(i) = A(i) + A(i + 1)
              |   ---------------------- `S[1]` writes `S[1]`
            3 |   D(i) = S(i) + S(i + 1)
              |                 ^^^^^^^^ `D[0]` reads it after that
              |
              = help: legal in its place: `fuse S D depth 1 shift 1`"#]],
    );
}

#[test]
fn a_fold_too_small_shows_what_is_lost() {
    refused_tc(
        "def edge(float(N) A) -> (B) {\n  T(i) = 0.5 * A(i)\n  B(i) = T(i) - T(i + 2)\n}\n",
        "fuse T B\nfold T dim 0 by 2",
        &[16],
        &expect![[r#"
            error[TC0913]: line 2: `fold T dim 0 by 2` refused: `B[0]` finds in `T[0]` what `T[2]` computes, but must find what `T[0]` computes
             --> <tc>:3:10
              |
            2 |   T(i) = 0.5 * A(i)
              |   ----------------- `T[0]` computes what it must find
            3 |   B(i) = T(i) - T(i + 2)
              |          ^^^^ `B[0]` finds something else in `T[0]`
              |
              = help: legal in its place: `fold T dim 0 by 3`"#]],
    );
}

#[test]
fn a_refusal_of_a_built_program_shows_its_text() {
    let wave = Program::build("wave", |p| {
        let n = p.size("N");
        let a = p.inout("A", DType::F32, [n, n]);
        p.each("i", 1, n, |i| p.each("j", 0, n - 1, |j| p.set(a.at([i, j]), a.at([i, j]) + a.at([i - 1, j + 1]))));
    });
    let kernel = compiler(2, "reorder A.j A.i").compile_program(&wave.expect("a program"));
    expect![[r#"
        error[TC0913]: line 1: `reorder A.j A.i` refused: `A[2, 0]` must run after `A[1, 1]` (flow through `A[1, 1]`), but the loop `A.j` would run it before
         --> <wave>:6:25
          |
        6 |     A[i, j] = A[i, j] + A[i - 1, j + 1]
          |     -------             ^^^^^^^^^^^^^^^ `A[2, 0]` reads it after that
          |     |
          |     `A[1, 1]` writes `A[1, 1]`
          |
          = help: legal in its place: `skew A.j by 1 of A.i as j`, then `reorder A.j A.i`"#]].assert_eq(&refusal(&kernel, &[16]).to_string());
    let kernel = compiler(2, "parallel A.i")
        .compile_program(&Program::from(&polybench("lu_right_looking").program(&isl::Ctx::new())));
    kernel.prepare_sizes(&[8]).expect("rows are independent");
    let kernel = compiler(2, "parallel A.k")
        .compile_program(&Program::from(&polybench("lu_right_looking").program(&isl::Ctx::new())));
    expect![[r#"
        error[TC0913]: line 1: `parallel A.k` refused: `A.2[1, 2, 2]` must run after `A.2[0, 1, 2]` (flow through `A[1, 2]`), but the parallel loop `A.k` would run them at once
         --> <lu_right_looking>:8:37
          |
        8 |       A[i, j] = A[i, j] - A[i, k] * A[k, j]
          |       -------                       ^^^^^^^ `A.2[1, 2, 2]` reads it after that
          |       |
          |       `A.2[0, 1, 2]` writes `A[1, 2]`
          |
          = help: legal in its place: `parallel A.i`"#]].assert_eq(&refusal(&kernel, &[8]).to_string());
}

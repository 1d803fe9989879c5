//! Reductions that the threads of a block run together: what is combined, by whom, and who may read it when.

mod common;

use codegen::gpu::Language;
use codegen::interp::{Fault, interpret};
use codegen::{Options, Program, gpu};
use common::{agrees, inputs, scheduled};
use expect_test::{Expect, expect};
use polyhedral::{Scop, eval};
use support::{Gpu, Stage};
use transform::{Policy, Session};

/// The program that a text is, and one with kernels for a script.
fn mapped(text: &str, sizes: Option<&[i64]>, script: &str, device: &Gpu) -> (Scop, Scop) {
    let source = scheduled(text, sizes, "");
    let scop = scheduled(text, sizes, script);
    let scop = gpu_mapper::kernels(&scop, device, &mut Vec::new()).unwrap_or_else(|illegal| panic!("{illegal}"));
    scop.verify().unwrap_or_else(|error| panic!("{error}\n{scop}"));
    (source, scop)
}

fn lowered(scop: &Scop) -> Program {
    let program = gpu::lower(scop, &Options::default(), &mut Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    program
}

/// Runs the kernels of a script in the interpreter, for open and for fixed sizes; each barrier is missed.
#[track_caller]
fn check(text: &str, sizes: &[i64], script: &str, threads: i64) -> Program {
    let device = Gpu { usual_threads: threads, threads, ..Gpu::cuda() };
    let mut all = Vec::new();
    for fixed in [None, Some(sizes)] {
        let (source, scop) = mapped(text, fixed, script, &device);
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        agrees(&source, &program, sizes);
        for at in 0..program.barriers() {
            let without = program.without_barrier(at);
            let given = inputs(&source, sizes);
            let faults: Vec<Fault> = (0..2).filter_map(|seed| interpret(&without, sizes, &given, seed).err()).collect();
            assert!(matches!(faults.as_slice(), [Fault::Race { .. }, ..]), "barrier {at}: {faults:?}\n{without}");
        }
        all.push(program);
    }
    all.remove(0)
}

fn rows(dtype: &str, op: &str) -> String {
    format!(
        "
         scop r(M, N)
         context {{ : M > 0 and N > 0 }}
         input A: {dtype}[M, N]
         inout y: {dtype}[M]
         stmt y[i, j]
           domain {{ y[i, j] : 0 <= i < M and 0 <= j < N }}
           y[i] {op}= A[i, j]"
    )
}

#[track_caller]
fn check_text(text: &str, sizes: &[i64], script: &str, threads: i64, expected: Expect) {
    expected.assert_eq(&check(text, sizes, script, threads).to_string());
}

#[test]
fn a_row_for_each_block() {
    check_text(
        &rows("float32", "sum"),
        &[3, 100],
        "bind y.i to block.x\nbind y.j to thread.x",
        32,
        expect![[r#"
        program r(M, N)
          input A: float32[M, N] argument 0
          inout y: float32[M] argument 1
        launch r block bx < M thread tx < 32 {
          r0: float32 = float32(-0.0)
          for j in tx..N step 32 {
            r0: float32 = r0 + A[bx, j]
          }
          combine r0 by + over tx
          if tx == 0 {
            y[bx] = y[bx] + r0
          }
        }
    "#]],
    );
}

#[test]
fn several_rows_for_each_block() {
    let script = "split y.i by 4 as io ii\nbind y.io to block.x\nbind y.ii to thread.y\nbind y.j to thread.x";
    check_text(
        &rows("float32", "sum"),
        &[6, 20],
        script,
        32,
        expect![[r#"
        program r(M, N)
          input A: float32[M, N] argument 0
          inout y: float32[M] argument 1
        launch r block bx < floor((M + 3)/4) thread tx < 32 {
          for ii in 4*bx..min(M, 4*bx + 4) {
            r0: float32 = float32(-0.0)
            for j in tx..N step 32 {
              r0: float32 = r0 + A[ii, j]
            }
            combine r0 by + over tx
            if tx == 0 {
              y[ii] = y[ii] + r0
            }
          }
        }
    "#]],
    );
}

#[test]
fn a_sum_in_cuda() {
    let (_, scop) = mapped(
        &rows("float32", "sum"),
        Some(&[64, 4096]),
        "bind y.i to block.x\nbind y.j to thread.x",
        &Gpu { threads: 256, ..Gpu::cuda() },
    );
    expect![[r#"
        // r: kernels in CUDA C++, to be compiled with --fmad=false

        static __device__ float sum_of_256_float32(float value, float *parts, const int thread)
        {
            for (int distance = 16; distance > 0; distance /= 2) {
                const float other = __shfl_xor_sync(0xffffffffu, value, distance);
                value = value + other;
            }
            if (thread % 32 == 0) {
                parts[thread / 32] = value;
            }
            __syncthreads();
            value = thread % 32 < 8 ? parts[thread % 32] : -0.0f;
            for (int distance = 4; distance > 0; distance /= 2) {
                const float other = __shfl_xor_sync(0xffffffffu, value, distance);
                value = value + other;
            }
            return value;
        }

        extern "C" __global__ __launch_bounds__(256)
        void r(const float *__restrict__ A, float *__restrict__ y)
        {
            __shared__ float parts_1[8];
            const int bx = blockIdx.x;
            const int tx = threadIdx.x;

            float y_0 = -0.0f;
            for (int j = tx; j < 4096; j += 256) {
                y_0 = y_0 + A[bx*4096 + j];
            }
            y_0 = sum_of_256_float32(y_0, parts_1, threadIdx.x);
            if (tx == 0) {
                y[bx] = y[bx] + y_0;
            }
        }

        void r_launch(const float *A, float *y, cudaStream_t stream)
        {
            r<<<dim3(64), dim3(256), 0, stream>>>(A, y);
        }
    "#]]
    .assert_eq(&gpu::source(&lowered(&scop), Language::Cuda).unwrap());
}

/// The policy's script for a program.
fn automatic(text: &str, sizes: Option<&[i64]>, device: &Gpu) -> (String, Vec<String>) {
    let mut session = Session::new(scheduled(text, sizes, ""), &common::target()).unwrap();
    gpu_mapper::Mapper { device: device.clone() }.schedule(&mut session).unwrap();
    (session.script().to_string(), session.remarks().iter().map(ToString::to_string).collect())
}

/// Compares what kernels compute with the evaluator: sums of floats come in another order.
#[track_caller]
fn close(scop: &Scop, program: &Program, sizes: &[i64]) {
    let given = inputs(scop, sizes);
    let expected = eval::run(scop, sizes, &given, eval::Limits::default()).unwrap();
    for seed in 0..3 {
        let actual = interpret(program, sizes, &given, seed).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
        for (name, expected) in &expected {
            for (a, b) in actual[name].to_f64s().into_iter().zip(expected.to_f64s()) {
                let same = a == b || a.is_nan() && b.is_nan();
                assert!(same || (a - b).abs() <= 1e-4 * b.abs().max(1e-3), "{name}: {a} is not {b}\n{program}");
            }
        }
    }
}

/// Runs a program as the policy lays it out.
#[track_caller]
fn check_policy(text: &str, sizes: &[i64]) -> Program {
    let device = Gpu::cuda();
    let mut all = Vec::new();
    for fixed in [None, Some(sizes)] {
        let (script, remarks) = automatic(text, fixed, &device);
        let (source, scop) = mapped(text, fixed, &script, &device);
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        close(&source, &program, sizes);
        println!("{script}\n{}\n{program}", remarks.join("\n"));
        all.push(program);
    }
    all.remove(1)
}

const SOFTMAX: &str = "
scop softmax(N, D)
context { : N > 0 and D > 0 }
input I: float32[N, D]
output O: float32[N, D]
temporary Largest: float32[N]
temporary E: float32[N, D]
temporary Sum: float32[N]
stmt Largest.init[n]
  domain { Largest.init[n] : 0 <= n < N }
  Largest[n] = -inf_f32
stmt Largest.update[n, d]
  domain { Largest.update[n, d] : 0 <= n < N and 0 <= d < D }
  Largest[n] max= I[n, d]
stmt E[n, d]
  domain { E[n, d] : 0 <= n < N and 0 <= d < D }
  E[n, d] = exp(I[n, d] - Largest[n])
stmt Sum.init[n]
  domain { Sum.init[n] : 0 <= n < N }
  Sum[n] = 0.0f32
stmt Sum.update[n, d]
  domain { Sum.update[n, d] : 0 <= n < N and 0 <= d < D }
  Sum[n] sum= E[n, d]
stmt O[n, d]
  domain { O[n, d] : 0 <= n < N and 0 <= d < D }
  O[n, d] = E[n, d] / Sum[n]
";

#[test]
fn softmax_is_one_kernel() {
    for sizes in [[3, 1], [2, 31], [5, 32], [3, 33], [2, 100], [1, 1000], [2, 1025]] {
        check_policy(SOFTMAX, &sizes);
    }
}

//! Reductions that the threads of a block run together: what is combined, by whom, and who may read it when.

mod common;

use codegen::gpu::Language;
use codegen::interp::{Fault, interpret};
use codegen::{Options, Program, gpu};
use common::{agrees, inputs, scheduled};
use expect_test::{Expect, expect};
use polyhedral::Scop;
use support::{Gpu, Stage};

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

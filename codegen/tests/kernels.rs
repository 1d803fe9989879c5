//! Kernels: scheduled programs launched on blocks of threads, which the interpreter runs in any order between barriers.

mod common;
#[path = "ptx/machine.rs"]
mod machine;
#[path = "ptx/run.rs"]
mod ptx;

use codegen::gpu::{Entry, Language};
use codegen::interp::{Fault, interpret};
use codegen::{Options, Program, gpu};
use common::{agrees, inputs, scheduled};
use expect_test::{Expect, expect};
use polyhedral::legality::{Illegal, race_free};
use polyhedral::testing::{self, Rng};
use polyhedral::{Node, Scop};
use support::{Gpu, Stage};
use transform::{Policy, Session};

/// The program that a text is, and one with kernels for a script.
fn mapped(text: &str, sizes: Option<&[i64]>, script: &str) -> (Scop, Scop) {
    common::mapped(text, sizes, script, &Gpu::cuda())
}

fn lowered(scop: &Scop) -> Program {
    common::lowered(scop, &Options::default())
}

/// Runs the kernels of a script in the interpreter, for open and for fixed sizes, and takes out each barrier in turn:
/// threads must then be found to race, by the proof and by the interpreter.
#[track_caller]
fn check(text: &str, sizes: &[i64], script: &str) {
    for fixed in [None, Some(sizes)] {
        let (source, scop) = mapped(text, fixed, script);
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        agrees(&source, &program, sizes);
        ptx::agrees(&source, &program, sizes, &inputs(&source, sizes));
        for at in 0..program.barriers() {
            let without = program.without_barrier(at);
            let given = inputs(&source, sizes);
            let faults: Vec<Fault> = (0..2).filter_map(|seed| interpret(&without, sizes, &given, seed).err()).collect();
            assert!(matches!(faults.as_slice(), [Fault::Race { .. }, ..]), "barrier {at}: {faults:?}\n{without}");
        }
    }
}

#[track_caller]
fn check_text(text: &str, sizes: &[i64], script: &str, expected: Expect) {
    let program = lowered(&mapped(text, None, script).1);
    expected.assert_eq(&program.to_string());
    check(text, sizes, script);
}

const ADD: &str = "
scop add(N)
context { : N > 0 }
input A: float32[N]
input B: float32[N]
output C: float32[N]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = A[i] + B[i]
";

#[test]
fn one_element_per_thread() {
    check_text(
        ADD,
        &[19],
        "split C.i by 8 as io ii\nbind C.io to block.x\nbind C.ii to thread.x",
        expect![[r#"
            program add(N)
              input A: float32[N] argument 0
              input B: float32[N] argument 1
              output C: float32[N] argument 2
            launch add block bx < floor((N + 7)/8) thread tx < 8 {
              if 8*bx + tx < N {
                C[8*bx + tx] = A[8*bx + tx] + B[8*bx + tx]
              }
            }
        "#]],
    );
}

#[test]
fn tiles_in_shared_memory() {
    let script = "
tile C.init.m C.init.n by 4 4 as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
bind C.init.mi to thread.y
bind C.init.ni to thread.x
tile C.update.m C.update.n C.update.k by 4 4 4 as mo no ko / mi ni ki
promote A at C.update.ko as As in stack
promote B at C.update.ko as Bs in stack
bind C.update.mo to block.y
bind C.update.no to block.x
bind C.update.mi to thread.y
bind C.update.ni to thread.x
bind As.load.x0 to thread.y
bind As.load.x1 to thread.x
bind Bs.load.x0 to thread.y
bind Bs.load.x1 to thread.x
";
    check_text(
        "matmul",
        &[7, 6, 9],
        script,
        expect![[r#"
        program matmul(M, N, K)
          input A: float32[M, K] argument 0
          input B: float32[K, N] argument 1
          output C: float32[M, N] argument 2
          temporary As: float32[4, 4] shared
          temporary Bs: float32[4, 4] shared
        launch matmul block bx < floor((N + 3)/4) block by < floor((M + 3)/4) thread tx < 4 thread ty < 4 {
          if 4*by + ty < M && 4*bx + tx < N {
            C[4*by + ty, 4*bx + tx] = float32(0.0)
          }
        }
        launch matmul_2 block bx < floor((N + 3)/4) block by < floor((M + 3)/4) thread tx < 4 thread ty < 4 shared As, Bs {
          for ko in 0..floor((K + 3)/4) {
            if ty < -4*ko + K && tx < -4*bx + N {
              Bs[ty, tx] = B[ty + 4*ko, 4*bx + tx]
            }
            if ty < -4*by + M && tx < -4*ko + K {
              As[ty, tx] = A[4*by + ty, tx + 4*ko]
            }
            barrier
            if 4*by + ty < M && 4*bx + tx < N {
              r0: float32 = C[4*by + ty, 4*bx + tx]
              for ki in 4*ko..min(K, 4*ko + 4) {
                r0: float32 = r0 + As[ty, -4*ko + ki] * Bs[-4*ko + ki, tx]
              }
              C[4*by + ty, 4*bx + tx] = r0
            }
            barrier
          }
        }
    "#]],
    );
}

/// A product whose threads keep what they sum up while its factors pass through shared memory, but for where in its
/// registers a thread has what.
const SUMS_IN_REGISTERS: &str = "
fuse C.init C.update depth 2
tile C.init.m C.init.n by 8 8 as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
launch C.init.mo with 2 2 threads
distribute C.init.mi
split C.init.mi by 2 as mt mr
split C.init.ni by 2 as nt nr
reorder C.init.mt C.init.nt C.init.mr C.init.nr
bind C.init.mt to thread.y
bind C.init.nt to thread.x
split C.update.k by 4 as ko ki
split C.update.mi by 2 as mt mr
split C.update.ni by 2 as nt nr
reorder C.update.ko C.update.ki C.update.mt C.update.nt C.update.mr C.update.nr
bind C.update.mt to thread.y
bind C.update.nt to thread.x
promote C at C.init.no as acc in registers
split acc.store.x0 by 2 as mt mr
split acc.store.x1 by 2 as nt nr
reorder acc.store.mt acc.store.nt acc.store.mr acc.store.nr
bind acc.store.mt to thread.y
bind acc.store.nt to thread.x
promote A at C.update.ko as As transposed 1 0 padded 1 in shared
promote B at C.update.ko as Bs in shared
reorder As.load.x1 As.load.x0
collapse As.load.x1 As.load.x0 as x
split As.load.x by 2 as ty tx
bind As.load.ty to thread.y
bind As.load.tx to thread.x
collapse Bs.load.x0 Bs.load.x1 as x
split Bs.load.x by 2 as ty tx
bind Bs.load.ty to thread.y
bind Bs.load.tx to thread.x
";

#[test]
fn sums_in_registers() {
    let layout = "layout acc [i, j] = [2*floor(i/4) + i mod 2, 2*floor(j/4) + j mod 2] of [4, 4]\n";
    let script = format!("{SUMS_IN_REGISTERS}{layout}");
    check("matmul", &[13, 11, 9], &script);
    // Of one step no barrier has to keep the next one apart.
    for sizes in [[16, 8, 4], [3, 1, 2]] {
        let (source, scop) = mapped("matmul", Some(&sizes), &script);
        agrees(&source, &lowered(&scop), &[]);
    }
}

/// A thread has the elements 0, 1, 4 and 5 of a row, or the others.
#[test]
fn what_one_thread_keeps_has_cells_of_its_own() {
    let refused = |layout: &str| {
        let mut session = Session::new(scheduled("matmul", None, ""), &common::target()).unwrap();
        let script: transform::Script = format!("{SUMS_IN_REGISTERS}{layout}").parse().unwrap();
        session.replay(&script).err().map(|refused| refused.to_string())
    };
    let reason = refused("layout acc [i, j] = [i mod 2, j] of [2, 8]").unwrap();
    assert!(reason.contains("acc"), "{reason}");
    assert_eq!(refused("layout acc [i, j] = [i mod 2 + 2*floor(i/4), j] of [4, 8]"), None);
}

#[test]
fn memories_of_a_device_need_their_blocks_and_threads() {
    let refused = |script: &str| {
        let mut session = Session::new(scheduled("matmul", None, ""), &common::target()).unwrap();
        session.replay(&script.parse::<transform::Script>().unwrap()).unwrap_err().to_string()
    };
    let tiled = "tile C.update.m C.update.n by 8 8 as mo no / mi ni\n";
    let shared = refused(&format!("{tiled}promote C at C.update.no as Cs in shared"));
    assert!(shared.contains("no loop around is on blocks"), "{shared}");
    let registers =
        refused(&format!("{tiled}bind C.update.mo to block.x\npromote C at C.update.no as acc in registers"));
    assert!(registers.contains("there is no kernel around"), "{registers}");
    let nested = refused(&format!("{tiled}launch C.update.mo with 4 threads\nlaunch C.update.no with 4 threads"));
    assert!(nested.contains("in a kernel already"), "{nested}");
}

#[track_caller]
fn check_source(text: &str, sizes: Option<&[i64]>, script: &str, language: Language, expected: Expect) {
    let program = lowered(&mapped(text, sizes, script).1);
    expected.assert_eq(&gpu::source(&program, language).unwrap_or_else(|why| panic!("{why}\n{program}")));
}

/// Two loops as one, whose iterations are more than an `int` counts although every tensor is small.
#[test]
fn integers_are_as_wide_as_the_longest_loop() {
    for (extent, bits) in [(1 << 15, 32), (1 << 16, 64)] {
        let text = format!(
            "
scop outer()
input A: float32[{extent}]
output S: float32[{extent}]
stmt S[i, j]
  domain {{ S[i, j] : 0 <= i < {extent} and 0 <= j < {extent} }}
  S[i] max= A[i] + A[j]
"
        );
        let program =
            lowered(&mapped(&text, None, "collapse S.i S.j as ij\nsplit S.ij by 32 as o t\nbind S.t to thread.x\n").1);
        assert_eq!(Entry::index_bits(&program), bits, "{program}");
    }
}

/// A product of tiles of 16, whose factors are loaded by all threads.
const PRODUCT: &str = "
tile C.init.m C.init.n by 16 16 as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
bind C.init.mi to thread.y
bind C.init.ni to thread.x
tile C.update.m C.update.n C.update.k by 16 16 16 as mo no ko / mi ni ki
promote A at C.update.ko as As padded 1 in stack
promote B at C.update.ko as Bs in stack
bind C.update.mo to block.y
bind C.update.no to block.x
bind C.update.mi to thread.y
bind C.update.ni to thread.x
bind As.load.x0 to thread.y
bind As.load.x1 to thread.x
bind Bs.load.x0 to thread.y
bind Bs.load.x1 to thread.x
";

#[test]
fn a_product_in_cuda() {
    check_source(
        "matmul",
        None,
        PRODUCT,
        Language::Cuda,
        expect![[r#"
        // matmul: kernels in CUDA C++, to be compiled with --fmad=false

        static inline __host__ __device__ long long floor_div_int64(long long a, long long b)
        {
            return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
        }

        extern "C" __global__ __launch_bounds__(256)
        void matmul(float *__restrict__ C, const long long M, const long long N)
        {
            const long long bx = blockIdx.x;
            const long long by = blockIdx.y;
            const long long tx = threadIdx.x;
            const long long ty = threadIdx.y;

            if (16*by + ty < M && 16*bx + tx < N) {
                C[(16*by + ty)*N + 16*bx + tx] = 0.0f;
            }
        }

        extern "C" __global__ __launch_bounds__(256)
        void matmul_2(const float *__restrict__ A, const float *__restrict__ B, float *__restrict__ C, const long long M, const long long N, const long long K)
        {
            __shared__ float As[16][17];
            __shared__ float Bs[16][16];
            const long long bx = blockIdx.x;
            const long long by = blockIdx.y;
            const long long tx = threadIdx.x;
            const long long ty = threadIdx.y;

            for (long long ko = 0; ko < floor_div_int64(K + 15, 16); ++ko) {
                if (ty + 16*ko < K && 16*bx + tx < N) {
                    Bs[ty][tx] = B[(ty + 16*ko)*N + 16*bx + tx];
                }
                if (16*by + ty < M && tx + 16*ko < K) {
                    As[ty][tx] = A[(16*by + ty)*K + tx + 16*ko];
                }
                __syncthreads();
                if (16*by + ty < M && 16*bx + tx < N) {
                    float C_0 = C[(16*by + ty)*N + 16*bx + tx];
                    for (long long ki = 16*ko; ki < min(K, 16*ko + 16); ++ki) {
                        C_0 = C_0 + As[ty][ki - 16*ko]*Bs[ki - 16*ko][tx];
                    }
                    C[(16*by + ty)*N + 16*bx + tx] = C_0;
                }
                __syncthreads();
            }
        }

        void matmul_launch(const float *A, const float *B, float *C, long long M, long long N, long long K, cudaStream_t stream)
        {
            matmul<<<dim3(floor_div_int64(N + 15, 16), floor_div_int64(M + 15, 16)), dim3(16, 16), 0, stream>>>(C, M, N);
            matmul_2<<<dim3(floor_div_int64(N + 15, 16), floor_div_int64(M + 15, 16)), dim3(16, 16), 0, stream>>>(A, B, C, M, N, K);
        }
    "#]],
    );
}

/// A product as it should be: threads have 4 x 4 elements in registers, twice along each axis, and every access to global
/// and shared memory is of four numbers.
#[test]
fn a_product_in_registers_in_cuda() {
    check_source(
        "matmul",
        Some(&[256, 128, 64]),
        PRODUCT_IN_REGISTERS,
        Language::Cuda,
        expect![[r#"
            // matmul: kernels in CUDA C++, to be compiled with --fmad=false

            extern "C" __global__ __launch_bounds__(256)
            void matmul(const float *__restrict__ A, const float *__restrict__ B, float *__restrict__ C)
            {
                __shared__ float As[8][132];
                __shared__ __align__(16) float Bs[8][128];
                const int by = blockIdx.y;
                const int tx = threadIdx.x;
                const int ty = threadIdx.y;

                {
                    __align__(16) float acc[8][8];
                    *(float4 *)&acc[0][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[1][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[2][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[3][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[0][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[1][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[2][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[3][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[4][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[5][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[6][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[7][0] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[4][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[5][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[6][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    *(float4 *)&acc[7][4] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    for (int ko = 0; ko < 8; ++ko) {
                        *(float4 *)&Bs[ty / 2][4*tx + 64*ty - 128*(ty / 2)] = *(const float4 *)&B[(8*ko + ty / 2)*128 + 4*tx + 64*ty - 128*(ty / 2)];
                        float4 As_0 = *(const float4 *)&A[(128*by + 8*ty + tx / 2)*64 + 4*tx + 8*ko - 8*(tx / 2)];
                        As[4*tx - 8*(tx / 2)][8*ty + tx / 2] = As_0.x;
                        As[4*tx + 1 - 8*(tx / 2)][8*ty + tx / 2] = As_0.y;
                        As[4*tx + 2 - 8*(tx / 2)][8*ty + tx / 2] = As_0.z;
                        As[4*tx + 3 - 8*(tx / 2)][8*ty + tx / 2] = As_0.w;
                        __syncthreads();
                        for (int ki = 8*ko; ki < 8*ko + 8; ++ki) {
                            const float As_v = As[ki - 8*ko][4*ty];
                            const float4 Bs_v = *(float4 *)&Bs[ki - 8*ko][4*tx];
                            *(float4 *)&acc[0][0] = make_float4(acc[0][0] + As_v*Bs_v.x, acc[0][1] + As_v*Bs_v.y, acc[0][2] + As_v*Bs_v.z, acc[0][3] + As_v*Bs_v.w);
                            const float As_v_1 = As[ki - 8*ko][4*ty + 1];
                            *(float4 *)&acc[1][0] = make_float4(acc[1][0] + As_v_1*Bs_v.x, acc[1][1] + As_v_1*Bs_v.y, acc[1][2] + As_v_1*Bs_v.z, acc[1][3] + As_v_1*Bs_v.w);
                            const float As_v_2 = As[ki - 8*ko][4*ty + 2];
                            *(float4 *)&acc[2][0] = make_float4(acc[2][0] + As_v_2*Bs_v.x, acc[2][1] + As_v_2*Bs_v.y, acc[2][2] + As_v_2*Bs_v.z, acc[2][3] + As_v_2*Bs_v.w);
                            const float As_v_3 = As[ki - 8*ko][4*ty + 3];
                            *(float4 *)&acc[3][0] = make_float4(acc[3][0] + As_v_3*Bs_v.x, acc[3][1] + As_v_3*Bs_v.y, acc[3][2] + As_v_3*Bs_v.z, acc[3][3] + As_v_3*Bs_v.w);
                            const float4 Bs_v_1 = *(float4 *)&Bs[ki - 8*ko][4*tx + 64];
                            *(float4 *)&acc[0][4] = make_float4(acc[0][4] + As_v*Bs_v_1.x, acc[0][5] + As_v*Bs_v_1.y, acc[0][6] + As_v*Bs_v_1.z, acc[0][7] + As_v*Bs_v_1.w);
                            *(float4 *)&acc[1][4] = make_float4(acc[1][4] + As_v_1*Bs_v_1.x, acc[1][5] + As_v_1*Bs_v_1.y, acc[1][6] + As_v_1*Bs_v_1.z, acc[1][7] + As_v_1*Bs_v_1.w);
                            *(float4 *)&acc[2][4] = make_float4(acc[2][4] + As_v_2*Bs_v_1.x, acc[2][5] + As_v_2*Bs_v_1.y, acc[2][6] + As_v_2*Bs_v_1.z, acc[2][7] + As_v_2*Bs_v_1.w);
                            *(float4 *)&acc[3][4] = make_float4(acc[3][4] + As_v_3*Bs_v_1.x, acc[3][5] + As_v_3*Bs_v_1.y, acc[3][6] + As_v_3*Bs_v_1.z, acc[3][7] + As_v_3*Bs_v_1.w);
                            const float As_v_4 = As[ki - 8*ko][4*ty + 64];
                            *(float4 *)&acc[4][0] = make_float4(acc[4][0] + As_v_4*Bs_v.x, acc[4][1] + As_v_4*Bs_v.y, acc[4][2] + As_v_4*Bs_v.z, acc[4][3] + As_v_4*Bs_v.w);
                            const float As_v_5 = As[ki - 8*ko][4*ty + 65];
                            *(float4 *)&acc[5][0] = make_float4(acc[5][0] + As_v_5*Bs_v.x, acc[5][1] + As_v_5*Bs_v.y, acc[5][2] + As_v_5*Bs_v.z, acc[5][3] + As_v_5*Bs_v.w);
                            const float As_v_6 = As[ki - 8*ko][4*ty + 66];
                            *(float4 *)&acc[6][0] = make_float4(acc[6][0] + As_v_6*Bs_v.x, acc[6][1] + As_v_6*Bs_v.y, acc[6][2] + As_v_6*Bs_v.z, acc[6][3] + As_v_6*Bs_v.w);
                            const float As_v_7 = As[ki - 8*ko][4*ty + 67];
                            *(float4 *)&acc[7][0] = make_float4(acc[7][0] + As_v_7*Bs_v.x, acc[7][1] + As_v_7*Bs_v.y, acc[7][2] + As_v_7*Bs_v.z, acc[7][3] + As_v_7*Bs_v.w);
                            *(float4 *)&acc[4][4] = make_float4(acc[4][4] + As_v_4*Bs_v_1.x, acc[4][5] + As_v_4*Bs_v_1.y, acc[4][6] + As_v_4*Bs_v_1.z, acc[4][7] + As_v_4*Bs_v_1.w);
                            *(float4 *)&acc[5][4] = make_float4(acc[5][4] + As_v_5*Bs_v_1.x, acc[5][5] + As_v_5*Bs_v_1.y, acc[5][6] + As_v_5*Bs_v_1.z, acc[5][7] + As_v_5*Bs_v_1.w);
                            *(float4 *)&acc[6][4] = make_float4(acc[6][4] + As_v_6*Bs_v_1.x, acc[6][5] + As_v_6*Bs_v_1.y, acc[6][6] + As_v_6*Bs_v_1.z, acc[6][7] + As_v_6*Bs_v_1.w);
                            *(float4 *)&acc[7][4] = make_float4(acc[7][4] + As_v_7*Bs_v_1.x, acc[7][5] + As_v_7*Bs_v_1.y, acc[7][6] + As_v_7*Bs_v_1.z, acc[7][7] + As_v_7*Bs_v_1.w);
                        }
                        __syncthreads();
                    }
                    *(float4 *)&C[(128*by + 4*ty)*128 + 4*tx] = *(float4 *)&acc[0][0];
                    *(float4 *)&C[(128*by + 4*ty + 1)*128 + 4*tx] = *(float4 *)&acc[1][0];
                    *(float4 *)&C[(128*by + 4*ty + 2)*128 + 4*tx] = *(float4 *)&acc[2][0];
                    *(float4 *)&C[(128*by + 4*ty + 3)*128 + 4*tx] = *(float4 *)&acc[3][0];
                    *(float4 *)&C[(128*by + 4*ty)*128 + 4*tx + 64] = *(float4 *)&acc[0][4];
                    *(float4 *)&C[(128*by + 4*ty + 1)*128 + 4*tx + 64] = *(float4 *)&acc[1][4];
                    *(float4 *)&C[(128*by + 4*ty + 2)*128 + 4*tx + 64] = *(float4 *)&acc[2][4];
                    *(float4 *)&C[(128*by + 4*ty + 3)*128 + 4*tx + 64] = *(float4 *)&acc[3][4];
                    *(float4 *)&C[(128*by + 4*ty + 64)*128 + 4*tx] = *(float4 *)&acc[4][0];
                    *(float4 *)&C[(128*by + 4*ty + 65)*128 + 4*tx] = *(float4 *)&acc[5][0];
                    *(float4 *)&C[(128*by + 4*ty + 66)*128 + 4*tx] = *(float4 *)&acc[6][0];
                    *(float4 *)&C[(128*by + 4*ty + 67)*128 + 4*tx] = *(float4 *)&acc[7][0];
                    *(float4 *)&C[(128*by + 4*ty + 64)*128 + 4*tx + 64] = *(float4 *)&acc[4][4];
                    *(float4 *)&C[(128*by + 4*ty + 65)*128 + 4*tx + 64] = *(float4 *)&acc[5][4];
                    *(float4 *)&C[(128*by + 4*ty + 66)*128 + 4*tx + 64] = *(float4 *)&acc[6][4];
                    *(float4 *)&C[(128*by + 4*ty + 67)*128 + 4*tx + 64] = *(float4 *)&acc[7][4];
                }
            }

            void matmul_launch(const float *A, const float *B, float *C, cudaStream_t stream)
            {
                matmul<<<dim3(1, 2), dim3(16, 16), 0, stream>>>(A, B, C);
            }
        "#]],
    );
}

const PRODUCT_IN_REGISTERS: &str = "
fuse C.init C.update depth 2
tile C.init.m C.init.n by 128 128 as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
launch C.init.mo with 16 16 threads
distribute C.init.mi
split C.init.mi by 4 as mt mr
split C.init.ni by 4 as nt nr
reorder C.init.mt C.init.nt C.init.mr C.init.nr
bind C.init.mt to thread.y
bind C.init.nt to thread.x
vectorise C.init.nr by 4
split C.update.k by 8 as ko ki
split C.update.mi by 4 as mt mr
split C.update.ni by 4 as nt nr
reorder C.update.ko C.update.ki C.update.mt C.update.nt C.update.mr C.update.nr
bind C.update.mt to thread.y
bind C.update.nt to thread.x
vectorise C.update.nr by 4
promote C at C.init.no as acc in registers
split acc.store.x0 by 4 as mt mr
split acc.store.x1 by 4 as nt nr
reorder acc.store.mt acc.store.nt acc.store.mr acc.store.nr
bind acc.store.mt to thread.y
bind acc.store.nt to thread.x
vectorise acc.store.nr by 4
promote A at C.update.ko as As transposed 1 0 padded 4 in shared
promote B at C.update.ko as Bs in shared
reorder As.load.x1 As.load.x0
collapse As.load.x1 As.load.x0 as x
vectorise As.load.x by 4 as xv xl
split As.load.xv by 16 as ty tx
bind As.load.ty to thread.y
bind As.load.tx to thread.x
collapse Bs.load.x0 Bs.load.x1 as x
vectorise Bs.load.x by 4 as xv xl
split Bs.load.xv by 16 as ty tx
bind Bs.load.ty to thread.y
bind Bs.load.tx to thread.x
layout acc [i, j] = [4*floor(i/64) + i mod 4, 4*floor(j/64) + j mod 4] of [8, 8]
";

#[test]
fn a_product_in_opencl() {
    check_source(
        "matmul",
        Some(&[64, 40, 100]),
        PRODUCT,
        Language::OpenCl,
        expect![[r#"
        // matmul: kernels in OpenCL C
        #pragma OPENCL FP_CONTRACT OFF

        __kernel __attribute__((reqd_work_group_size(16, 16, 1)))
        void matmul(__global float *restrict C)
        {
            const int bx = get_group_id(0);
            const int by = get_group_id(1);
            const int tx = get_local_id(0);
            const int ty = get_local_id(1);

            if (16*bx + tx < 40) {
                C[(16*by + ty)*40 + 16*bx + tx] = 0.0f;
            }
        }

        __kernel __attribute__((reqd_work_group_size(16, 16, 1)))
        void matmul_2(__global const float *restrict A, __global const float *restrict B, __global float *restrict C)
        {
            __local float As[16][17];
            __local float Bs[16][16];
            const int bx = get_group_id(0);
            const int by = get_group_id(1);
            const int tx = get_local_id(0);
            const int ty = get_local_id(1);

            for (int ko = 0; ko < 7; ++ko) {
                if (ty + 16*ko < 100 && 16*bx + tx < 40) {
                    Bs[ty][tx] = B[(ty + 16*ko)*40 + 16*bx + tx];
                }
                if (tx + 16*ko < 100) {
                    As[ty][tx] = A[(16*by + ty)*100 + tx + 16*ko];
                }
                barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
                if (16*bx + tx < 40) {
                    float C_0 = C[(16*by + ty)*40 + 16*bx + tx];
                    for (int ki = 16*ko; ki < min(100, 16*ko + 16); ++ki) {
                        C_0 = C_0 + As[ty][ki - 16*ko]*Bs[ki - 16*ko][tx];
                    }
                    C[(16*by + ty)*40 + 16*bx + tx] = C_0;
                }
                barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
            }
        }

        // Launched by a host, given const float *A, const float *B, float *C:
        //    matmul(C) in 3 x 4 groups of 16 x 16 items
        //    matmul_2(A, B, C) in 3 x 4 groups of 16 x 16 items
    "#]],
    );
}

#[test]
fn a_sum_in_cuda() {
    let script = "split C.i by 256 as io ii\nbind C.io to block.x\nbind C.ii to thread.x";
    check_source(
        ADD,
        None,
        script,
        Language::Cuda,
        expect![[r#"
        // add: kernels in CUDA C++, to be compiled with --fmad=false

        static inline __host__ __device__ long long floor_div_int64(long long a, long long b)
        {
            return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
        }

        extern "C" __global__ __launch_bounds__(256)
        void add(const float *__restrict__ A, const float *__restrict__ B, float *__restrict__ C, const long long N)
        {
            const long long bx = blockIdx.x;
            const long long tx = threadIdx.x;

            if (256*bx + tx < N) {
                C[256*bx + tx] = A[256*bx + tx] + B[256*bx + tx];
            }
        }

        void add_launch(const float *A, const float *B, float *C, long long N, cudaStream_t stream)
        {
            add<<<dim3(floor_div_int64(N + 255, 256)), dim3(256), 0, stream>>>(A, B, C, N);
        }
    "#]],
    );
}

#[test]
fn a_lookup_in_opencl() {
    let script = "bind O.update.b to thread.y\nbind O.update.d to thread.x";
    check_source(
        "gather",
        Some(&[3, 4, 5, 40]),
        script,
        Language::OpenCl,
        expect![[r#"
            // gather: kernels in OpenCL C
            #pragma OPENCL FP_CONTRACT OFF

            static inline bool first_fault(__global long *fault, int check)
            {
                return atomic_cmpxchg((volatile __global int *)fault, 0, check) == 0;
            }

            __kernel __attribute__((reqd_work_group_size(1, 1, 1)))
            void gather(__global float *restrict O)
            {
                for (int b = 0; b < 3; ++b) {
                    for (int d = 0; d < 40; ++d) {
                        O[b*40 + d] = 0.0f;
                    }
                }
            }

            __kernel __attribute__((reqd_work_group_size(40, 3, 1)))
            void gather_2(__global const float *restrict T, __global const int *restrict I, __global float *restrict O, __global long *fault)
            {
                const int tx = get_local_id(0);
                const int ty = get_local_id(1);

                float O_1 = O[ty*40 + tx];
                long O_0 = (long)I[ty*4];
                long O_2 = (long)I[ty*4 + 1];
                long O_3 = (long)I[ty*4 + 2];
                long O_4 = (long)I[ty*4 + 3];
                if ((unsigned long)O_0 >= 5) {
                    if (first_fault(fault, 1)) {
                        fault[1] = O_0;
                        fault[2] = 0;
                        fault[3] = 5;
                        fault[4] = (long)ty;
                        fault[5] = (long)0;
                    }
                } else if ((unsigned long)O_2 >= 5) {
                    if (first_fault(fault, 1)) {
                        fault[1] = O_2;
                        fault[2] = 0;
                        fault[3] = 5;
                        fault[4] = (long)ty;
                        fault[5] = (long)1;
                    }
                } else if ((unsigned long)O_3 >= 5) {
                    if (first_fault(fault, 1)) {
                        fault[1] = O_3;
                        fault[2] = 0;
                        fault[3] = 5;
                        fault[4] = (long)ty;
                        fault[5] = (long)2;
                    }
                } else if ((unsigned long)O_4 >= 5) {
                    if (first_fault(fault, 1)) {
                        fault[1] = O_4;
                        fault[2] = 0;
                        fault[3] = 5;
                        fault[4] = (long)ty;
                        fault[5] = (long)3;
                    }
                } else {
                    O_1 = O_1 + T[O_0*40 + tx];
                    O_1 = O_1 + T[O_2*40 + tx];
                    O_1 = O_1 + T[O_3*40 + tx];
                    O_1 = O_1 + T[O_4*40 + tx];
                    O[ty*40 + tx] = O_1;
                }
            }

            // Launched by a host, given const float *T, const int *I, float *O, long *fault:
            //    gather(O) in 1 groups of 1 items
            //    gather_2(T, I, O, fault) in 1 groups of 40 x 3 items
        "#]],
    );
}

/// The policy's script for a program.
fn automatic(text: &str, sizes: Option<&[i64]>) -> String {
    let scop = scheduled(text, sizes, "");
    let mut session = Session::new(scop, &common::target()).unwrap();
    gpu_mapper::Mapper { device: Gpu::cuda() }.schedule(&mut session).unwrap();
    session.script().to_string()
}

#[test]
fn the_policy_fuses_and_tiles() {
    let scripts = ["matmul", "transpose_nest", "prefix_sum", "gather"].map(|name| automatic(name, None));
    expect![[r#"
        fuse C.init C.update depth 2
        reorder C.init.m C.init.n
        tile C.init.m C.init.n by 128 128 as mo no / mi ni
        reorder C.init.mo C.init.no
        bind C.init.mo to block.y
        bind C.init.no to block.x
        launch C.init.mo with 16 16 threads
        distribute C.init.mi
        split C.init.mi by 4 as mt mr
        split C.init.ni by 4 as nt nr
        reorder C.init.mt C.init.nt C.init.mr C.init.nr
        split C.update.k by 8 as ko ki
        split C.update.mi by 4 as mt mr
        split C.update.ni by 4 as nt nr
        reorder C.update.ko C.update.ki C.update.mt C.update.nt C.update.mr C.update.nr
        promote C at C.init.no as C_kept in registers
        split C_kept.store.x0 by 4 as x0t x0r
        split C_kept.store.x1 by 4 as x1t x1r
        reorder C_kept.store.x0t C_kept.store.x1t C_kept.store.x0r C_kept.store.x1r
        bind C.init.mt C.update.mt C_kept.store.x0t to thread.y
        bind C.init.nt C.update.nt C_kept.store.x1t to thread.x
        layout C_kept [i0, i1] = [4*floor((i0)/64) + i0 mod 4, 4*floor((i1)/64) + i1 mod 4] of [8, 8]
        promote A at C.update.ko as A_tile transposed 1 0 padded 4 double in shared
        reorder A_tile.load.x1 A_tile.load.x0
        collapse A_tile.load.x1 A_tile.load.x0 as x
        split A_tile.load.x by 16 as ty tx
        bind A_tile.load.ty to thread.y
        bind A_tile.load.tx to thread.x
        promote B at C.update.ko as B_tile double in shared
        reorder B_tile.load.x0 B_tile.load.x1
        collapse B_tile.load.x0 B_tile.load.x1 as x
        split B_tile.load.x by 16 as ty tx
        bind B_tile.load.ty to thread.y
        bind B_tile.load.tx to thread.x
        ---
        split B.j by 256 as jo ji
        bind B.jo to block.x
        bind B.ji to thread.x
        ---
        ---
        fuse O.init O.update depth 2
        tile O.init.b O.init.d by 8 32 as bo do / bi di
        reorder O.init.bo O.init.do O.init.bi O.init.di
        bind O.init.bo to block.y
        bind O.init.do to block.x
        bind O.init.bi to thread.y
        bind O.init.di to thread.x
    "#]]
    .assert_eq(&scripts.join("---\n"));
}

#[test]
fn every_program_runs_as_kernels() {
    let sizes: [&[i64]; 9] = [&[5, 35, 4], &[9, 34, 3], &[10, 36], &[9], &[7], &[11], &[9], &[300], &[3, 4, 5, 40]];
    for ((name, text), sizes) in testing::PROGRAMS.iter().zip(sizes) {
        let script = automatic(text, Some(sizes));
        let (source, scop) = mapped(text, Some(sizes), &script);
        let program = lowered(&scop);
        agrees(&source, &program, &[]);
        for language in [Language::Cuda, Language::OpenCl] {
            gpu::source(&program, language).unwrap_or_else(|why| panic!("{name}: {why}\n{program}"));
        }
    }
}

/// Steps over three rows of eight elements, each of which computes a tensor from others in the same row, partly from the
/// other end; some are repeated. Each row is a block, and most steps are on its threads.
fn steps(random: &mut Rng) -> (String, String) {
    let tensors = ["P", "Q", "R"];
    let mut text = String::from("\nscop steps()\n");
    tensors.iter().for_each(|name| text.push_str(&format!("inout {name}: int32[3, 8]\n")));
    let (mut source, mut script) = (String::from("source\n  for b\n"), String::from("bind S0.b to block.x\n"));
    let count = 3 + random.below(3);
    let repeated = random.percent(60).then(|| random.below(count));
    for step in 0..count {
        let written = random.below(3);
        let in_loop = repeated.is_some_and(|from| step >= from);
        let (dims, indent) = if in_loop { ("b, t, i", "    ") } else { ("b, i", "") };
        let times = if in_loop { " and 0 <= t < 3" } else { "" };
        if repeated == Some(step) {
            source.push_str("    for t\n");
        }
        let mut terms = Vec::new();
        for _ in 0..1 + random.below(2) {
            let read = random.below(3);
            // A row that is written is read where it is written.
            let at = if read == written { "i" } else { random.pick(&["i", "7 - i", "floor(i / 2)", "(i + 1) mod 8"]) };
            terms.push(format!("{}[b, {at}]", tensors[read]));
        }
        let (value, written) = (terms.join(" + "), tensors[written]);
        text.push_str(&format!(
            "stmt S{step}[{dims}]\n  domain {{ S{step}[{dims}] : 0 <= b < 3 and 0 <= i < 8{times} }}\n  {written}[b, i] = {value} + 1i32\n"
        ));
        source.push_str(&format!("{indent}    for i\n{indent}      S{step}\n"));
        if random.percent(85) {
            script.push_str(&format!("bind S{step}.i to thread.x\n"));
        }
    }
    (text + &source, script)
}

/// The tree without one statement's child of a sequence.
fn without(node: &mut Node, stmt: &str) {
    if let Node::Sequence(children) = node {
        children.retain(|child| {
            let names = child.filter.sets().unwrap().iter().map(|set| set.tuple_name().unwrap()).collect::<Vec<_>>();
            names != [stmt]
        });
    }
    node.children_mut().into_iter().for_each(|child| without(child, stmt));
}

#[test]
fn every_barrier_is_needed_and_they_suffice() {
    let (mut barriers, mut missed) = (0, 0);
    for seed in 0..50 {
        let mut random = Rng::new(seed);
        let (text, script) = steps(&mut random);
        let device = Gpu { threads: random.pick(&[3, 4, 8]), ..Gpu::cuda() };
        let (source, scheduled) = (scheduled(&text, None, ""), scheduled(&text, None, &script));
        let scop = gpu_mapper::kernels(&scheduled, &device, &mut Vec::new())
            .unwrap_or_else(|illegal| panic!("seed {seed}: {illegal}\n{scheduled}"));
        scop.verify().unwrap_or_else(|error| panic!("seed {seed}: {error}\n{scop}"));
        let program = lowered(&scop);
        agrees(&source, &program, &[]);
        let given = inputs(&source, &[]);
        for (at, stmt) in scop.stmts.values().filter(|stmt| stmt.is_barrier()).enumerate() {
            let mut tree = scop.tree.clone();
            without(&mut tree.root, &stmt.name);
            let refused = race_free(&Scop { tree, ..scop.clone() });
            assert!(
                matches!(refused, Err(Illegal::Violation(_))),
                "seed {seed}: {} is not needed: {refused:?}\n{scop}",
                stmt.name
            );
            let without = program.without_barrier(at);
            let races = (0..2).any(|seed| matches!(interpret(&without, &[], &given, seed), Err(Fault::Race { .. })));
            (barriers, missed) = (barriers + 1, missed + usize::from(races));
        }
    }
    assert!(barriers > 60, "{barriers} barriers are too few to say anything");
    assert_eq!(missed, barriers, "runs without a barrier that is needed do not race");
}

/// A product whose tiles, groups of elements and steps have any extents, whether they divide anything or not.
fn tiles(random: &mut Rng) -> String {
    let [rows, columns] = [(); 2].map(|()| random.pick(&[1, 2, 3, 4]));
    let [row_group, column_group] = [(); 2].map(|()| random.pick(&[1, 2]));
    let [row_groups, column_groups] = [(); 2].map(|()| random.pick(&[1, 2]));
    let (tile_rows, tile_columns) = (rows * row_group * row_groups, columns * column_group * column_groups);
    let depth = random.pick(&[1, 2, 3]);
    let padded = random.pick(&["", " padded 1"]);
    let transposed = random.pick(&["", " transposed 1 0"]);
    let (row_cells, column_cells) = (row_group * row_groups, column_group * column_groups);
    let mut script = format!(
        "fuse C.init C.update depth 2
tile C.init.m C.init.n by {tile_rows} {tile_columns} as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
launch C.init.mo with {columns} {rows} threads
distribute C.init.mi
split C.update.k by {depth} as ko ki
reorder C.update.ko C.update.ki C.update.mi C.update.ni
promote C at C.init.no as acc in registers
"
    );
    for nest in ["C.init.mi C.init.ni", "C.update.mi C.update.ni", "acc.store.x0 acc.store.x1"] {
        let (row, column) = nest.split_once(' ').unwrap();
        let stmt = row.rsplit_once('.').unwrap().0;
        script += &format!("split {row} by {row_group} as mt mr\nsplit {column} by {column_group} as nt nr\n");
        script += &format!("reorder {stmt}.mt {stmt}.nt {stmt}.mr {stmt}.nr\n");
    }
    script
        + &format!(
            "bind C.init.mt C.update.mt acc.store.mt to thread.y
bind C.init.nt C.update.nt acc.store.nt to thread.x
layout acc [i, j] = [{row_group}*floor(i/{}) + i mod {row_group}, {column_group}*floor(j/{}) + j mod {column_group}] of [{row_cells}, {column_cells}]
promote A at C.update.ko as As{transposed}{padded} in shared
promote B at C.update.ko as Bs in shared
collapse As.load.x0 As.load.x1 as x
split As.load.x by {columns} as ty tx
bind As.load.ty to thread.y
bind As.load.tx to thread.x
bind Bs.load.x0 to thread.y
bind Bs.load.x1 to thread.x
",
            row_group * rows,
            column_group * columns
        )
}

#[test]
fn products_in_any_tiles() {
    for seed in 0..10 {
        let mut random = Rng::new(seed);
        let script = tiles(&mut random);
        let sizes = [(); 3].map(|()| 1 + random.below(9) as i64);
        let (source, scop) = mapped("matmul", Some(&sizes), &script);
        let program = lowered(&scop);
        agrees(&source, &program, &[]);
        for stmt in scop.stmts.values().filter(|stmt| stmt.is_barrier()) {
            let mut tree = scop.tree.clone();
            without(&mut tree.root, &stmt.name);
            let refused = race_free(&Scop { tree, ..scop.clone() });
            assert!(matches!(refused, Err(Illegal::Violation(_))), "seed {seed}: {} is not needed\n{scop}", stmt.name);
        }
    }
}

/// What the policy makes of products whose sizes no tile divides, and of sizes that nobody knows.
#[test]
fn products_of_odd_sizes() {
    for sizes in [[45, 37, 19], [33, 64, 8], [1, 40, 3], [130, 5, 7]] {
        let (source, scop) = mapped("matmul", Some(&sizes), &automatic("matmul", Some(&sizes)));
        agrees(&source, &lowered(&scop), &[]);
    }
    let (source, scop) = mapped("matmul", None, &automatic("matmul", None));
    agrees(&source, &lowered(&scop), &[19, 21, 10]);
}

const TRANSPOSE: &str = "
scop transpose(M, N)
context { : M > 0 and N > 0 }
input A: float32[N, M]
output B: float32[M, N]
stmt B[i, j]
  domain { B[i, j] : 0 <= i < M and 0 <= j < N }
  B[i, j] = A[j, i]
";

#[test]
fn a_transpose_passes_through_shared_memory() {
    let sizes = [70, 45];
    check(TRANSPOSE, &sizes, &automatic(TRANSPOSE, Some(&sizes)));
    let program = lowered(&mapped(TRANSPOSE, Some(&sizes), &automatic(TRANSPOSE, Some(&sizes))).1);
    assert!(program.to_string().contains("A_tile: float32[32, 33] shared"), "{program}");
}

/// A kernel of CUDA declares 48 KB at most; the host asks for more.
#[test]
fn large_shared_arrays_are_asked_for_by_the_host() {
    let script = "
tile B.j B.i by 128 128 as jo io / ji ii
bind B.jo to block.y
bind B.io to block.x
launch B.jo with 1 64 threads
promote A at B.io as As in shared
bind B.ji to thread.x
bind As.load.x1 to thread.x
";
    let program = lowered(&mapped(TRANSPOSE, Some(&[512, 512]), script).1);
    let text = gpu::source(&program, Language::Cuda).expect("a text");
    for part in [
        "extern __shared__ __align__(16) unsigned char shared_memory[];",
        "float (&As)[128][128] = *(float (*)[128][128])(shared_memory + 0);",
        "cudaFuncSetAttribute(transpose, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536);",
        ", 65536, stream>>>(",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

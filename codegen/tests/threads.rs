//! Reductions that the threads of a block run together: what is combined, by whom, and who may read it when.

mod common;

use codegen::gpu::Language;
use codegen::interp::{Data, Fault, Tensors, interpret};
use codegen::{Op, Options, Place, Program, gpu};
use common::{agrees, inputs, mapped, scheduled};
use expect_test::{Expect, expect};
use polyhedral::legality::race_free;
use polyhedral::{DType, Scop, eval, testing};
use support::Gpu;
use transform::{Policy, Session};

fn lowered(scop: &Scop) -> Program {
    common::lowered(scop, &Options::default())
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
        each_barrier_is_missed(&source, &program, sizes);
        all.push(program);
    }
    all.remove(0)
}

/// Takes out each barrier in turn: threads must then be found to race.
#[track_caller]
fn each_barrier_is_missed(source: &Scop, program: &Program, sizes: &[i64]) {
    for at in 0..program.barriers() {
        let without = program.without_barrier(at);
        let given = inputs(source, sizes);
        let faults: Vec<Fault> = (0..2).filter_map(|seed| interpret(&without, sizes, &given, seed).err()).collect();
        // A block of one thread waits for nobody.
        let alone = program.to_string().contains("thread tx < 1 ");
        assert!(alone || matches!(faults.as_slice(), [Fault::Race { .. }, ..]), "barrier {at}: {faults:?}\n{without}");
    }
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
            for (int j = 0; j < 16; ++j) {
                y_0 = y_0 + A[bx*4096 + tx + 256*j];
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

/// Runs a program as the policy lays it out, for open and for fixed sizes: without any one of its barriers threads race.
#[track_caller]
fn check_policy(text: &str, sizes: &[i64], device: &Gpu) -> Program {
    let (mut all, longer) = (Vec::new(), sizes.last().is_some_and(|size| *size > 1));
    for fixed in [None, Some(sizes)] {
        let (script, _) = automatic(text, fixed, device);
        let (source, scop) = mapped(text, fixed, &script, device);
        assert_eq!(race_free(&scop), Ok(()), "{script}");
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        close(&source, &program, sizes);
        // A row of one element is one thread's.
        if longer {
            each_barrier_is_missed(&source, &program, sizes);
        }
        all.push(program);
    }
    all.remove(1)
}

fn launches(program: &Program) -> usize {
    program.body.iter().filter(|op| matches!(op, Op::Launch(_))).count()
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

const RMS_NORM_GATE: &str = "
scop rms(N, H)
context { : N > 0 and H > 0 }
input X: float32[N, 2, H]
input W: float32[2, H]
output O: float32[N, H]
temporary Square: float32[N]
temporary Scale: float32[N]
stmt Square.init[n]
  domain { Square.init[n] : 0 <= n < N }
  Square[n] = 0.0f32
stmt Square.update[n, c, h]
  domain { Square.update[n, c, h] : 0 <= n < N and 0 <= c < 2 and 0 <= h < H }
  Square[n] sum= X[n, c, h] * X[n, c, h]
stmt Scale[n]
  domain { Scale[n] : 0 <= n < N }
  Scale[n] = rsqrt(Square[n] + 1.0f32)
stmt O[n, h]
  domain { O[n, h] : 0 <= n < N and 0 <= h < H }
  O[n, h] = X[n, 0, h] * Scale[n] * W[0, h] / (1.0f32 + exp(-(X[n, 0, h] * Scale[n] * W[0, h]))) * (X[n, 1, h] * Scale[n] * W[1, h])
";

/// Sums of everything, of rows, of columns, and of the inner of four dimensions.
fn sums(shape: &str) -> String {
    let (written, dims) = match shape {
        "all" => ("", "i, j"),
        "rows" => ("i", "i, j"),
        "columns" => ("j", "j, i"),
        _ => unreachable!("shapes of these tests"),
    };
    let extent = written.replace('i', "M").replace('j', "N");
    let init = format!("0 <= {written} < {extent}");
    let init = if written.is_empty() { "" } else { &init };
    format!(
        "
scop sums(M, N)
context {{ : M > 0 and N > 0 }}
input A: float32[M, N]
output S: float32[{extent}]
stmt S.init[{written}]
  domain {{ S.init[{written}] : {init} }}
  S[{written}] = 0.0f32
stmt S.update[{dims}]
  domain {{ S.update[{dims}] : 0 <= i < M and 0 <= j < N }}
  S[{written}] sum= A[i, j]
"
    )
}

/// A device on which little is much.
fn small() -> Gpu {
    Gpu { threads: 64, usual_threads: 64, multiprocessors: 2, ..Gpu::cuda() }
}

#[test]
fn softmax_is_one_kernel() {
    check_policy(SOFTMAX, &[3, 1], &Gpu::cuda());
    for sizes in [[2, 31], [5, 32], [3, 33], [2, 100], [1, 1000], [1, 4099]] {
        let program = check_policy(SOFTMAX, &sizes, &Gpu::cuda());
        assert_eq!(launches(&program), 1, "{program}");
    }
}

#[test]
fn rms_norm_with_a_gate_is_one_kernel_that_reads_its_rows_once() {
    check_policy(RMS_NORM_GATE, &[3, 1], &Gpu::cuda());
    for sizes in [[2, 33], [2, 128], [1, 1000]] {
        let program = check_policy(RMS_NORM_GATE, &sizes, &Gpu::cuda());
        assert_eq!(launches(&program), 1, "{program}");
    }
    let (script, remarks) = automatic(RMS_NORM_GATE, Some(&[2048, 4096]), &Gpu::hopper());
    let program = lowered(&mapped(RMS_NORM_GATE, Some(&[2048, 4096]), &script, &Gpu::hopper()).1);
    assert_eq!((launches(&program), remarks), (1, Vec::new()), "{program}");
    let loads = program.to_string().lines().filter(|line| line.contains("X[bx")).count();
    assert_eq!(
        loads,
        program.to_string().lines().filter(|line| line.trim().starts_with("X_local[")).count(),
        "{program}"
    );
}

#[test]
fn a_temporary_that_only_a_row_needs_is_not_in_global_memory() {
    let program = check_policy(SOFTMAX, &[2, 1024], &Gpu::cuda());
    let is_near = |buffer: &&codegen::Buffer| !matches!(buffer.place, Place::Workspace(_));
    assert!(program.buffers.values().all(|buffer| is_near(&buffer)), "{program}");
}

#[test]
fn sums_of_every_shape() {
    for shape in ["all", "rows", "columns"] {
        for sizes in [[1, 1], [1, 100], [33, 31], [3, 1000], [1000, 3], [3000, 2], [70, 65], [4099, 1]] {
            check_policy(&sums(shape), &sizes, &small());
        }
    }
}

#[test]
fn few_results_are_combined_by_a_second_kernel() {
    let program = check_policy(&sums("all"), &[1, 10000], &small());
    assert!(launches(&program) > 1 && program.to_string().contains("S_partial"), "{program}");
    let blocks = program.body.iter().filter(|op| matches!(op, Op::Launch(launch) if !launch.grid.is_empty())).count();
    assert_eq!(blocks, 1, "{program}");
}

#[test]
fn an_initialisation_is_no_kernel_of_its_own() {
    for (shape, sizes) in [("all", [1, 10000]), ("columns", [3000, 2]), ("columns", [1000, 33]), ("rows", [3, 3000])] {
        let program = check_policy(&sums(shape), &sizes, &small());
        assert_eq!(launches(&program), 2, "{program}");
    }
}

/// A product of few tiles and many terms.
const PRODUCT: &str = "
scop product(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
output C: float32[M, N]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  C[m, n] sum= A[m, k] * B[k, n]
";

#[test]
fn a_product_of_few_tiles_is_cut_along_its_sum() {
    let strips = |sizes: [i64; 3]| {
        let (script, remarks) = automatic(PRODUCT, Some(&sizes), &Gpu::hopper());
        assert!(remarks.iter().all(|remark| !remark.contains("mapped simply")), "{remarks:?}");
        let (_, scop) = mapped(PRODUCT, Some(&sizes), &script, &Gpu::hopper());
        assert_eq!(race_free(&scop), Ok(()), "{script}");
        (launches(&lowered(&scop)), script.contains("C_partial_kept in registers"))
    };
    assert_eq!(strips([64, 64, 65536]), (2, true));
    assert_eq!(strips([130, 60, 20001]), (2, true));
    // Enough tiles, or too little to sum.
    assert_eq!(strips([2048, 2048, 512]), (1, false));
    assert_eq!(strips([64, 64, 256]), (1, false));
}

/// The same by hand, small enough for the interpreter, and with atomic updates in the place of partial results.
#[test]
fn strips_of_a_product_are_summed() {
    let strips = "split C.update.k by 8 as ko ki\nreorder C.update.ko C.update.m C.update.n C.update.ki\n";
    let partial = "privatise C at C.update.ko as P in global\nreorder C.combine.x0 C.combine.x1 C.combine.ko\n\
                   fuse C.init C.combine depth 2\nfuse P.init C.update depth 3\nbind P.init.ko to block.x\n\
                   bind P.init.x0 to thread.y\nbind P.init.x1 to thread.x\nbind C.init.m to block.x\n\
                   bind C.init.n to thread.x";
    let atomic = "bind C.update.ko to block.x atomically\nbind C.update.m to thread.y\nbind C.update.n to thread.x";
    for script in [partial, atomic] {
        let program = check(PRODUCT, &[5, 6, 45], &format!("{strips}{script}"), 16);
        assert_eq!(launches(&program), 2, "{program}");
    }
}

#[test]
fn random_reductions_on_threads_are_the_evaluator_s() {
    let mut random = testing::Rng::new(5);
    for _ in 0..60 {
        let mut of = |all: &[&'static str]| random.pick(all);
        let dtype = of(&["float32", "float64", "int32", "int64"]);
        let op = of(&["sum", "min", "max"]);
        let script = of(&[
            "bind y.i to block.x\nbind y.j to thread.x",
            "bind y.j to thread.x",
            "bind y.i to thread.y\nbind y.j to thread.x",
            "bind y.i to thread.x\nbind y.j to thread.y",
            "split y.i by 4 as io ii\nbind y.io to block.x\nbind y.ii to thread.y\nbind y.j to thread.x",
            "split y.j by 8 as jo ji\nbind y.i to block.x\nbind y.jo to thread.y\nbind y.ji to thread.x",
            "split y.j by 8 as jo ji\nreorder y.ji y.jo\nbind y.i to block.x\nbind y.ji to thread.x",
            "split y.j by 8 as jo ji\nbind y.i to block.x\nbind y.ji to thread.x",
            "vectorise y.j by 4 as jo jv\nbind y.i to block.x\nbind y.jo to thread.x",
            "skew y.j by 1 of y.i as t\nbind y.i to block.x\nbind y.t to thread.x",
        ]);
        let threads = *random.pick(&[&1i64, &2, &7, &32, &64, &96]);
        let mut size = || *random.pick(&[&1i64, &5, &31, &32, &33, &100]);
        check(&rows(dtype, op), &[size().min(33), size()], script, threads);
    }
}

#[test]
fn numbers_that_are_none_and_signs_of_zeros_are_those_of_the_evaluator() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for op in ["sum", "min", "max", "prod"] {
        let script = "bind y.i to block.x\nbind y.j to thread.x";
        let device = Gpu { threads: 4, ..Gpu::cuda() };
        let (source, scop) = mapped(&rows("float32", op), Some(&[4, 6]), script, &device);
        let program = lowered(&scop);
        let all = [[nan; 6], [nan, 1.0, nan, 2.0, nan, nan], [-0.0; 6], [inf, 1.0, nan, 1.0, 1.0, 1.0]];
        for start in [nan, -0.0, 3.0] {
            let given = Tensors::from([
                ("A".to_string(), Data::from_f64s(DType::F32, &[4, 6], &all.concat())),
                ("y".to_string(), Data::from_f64s(DType::F32, &[4], &[start; 4])),
            ]);
            let bits = |tensors: &Tensors| -> Vec<u64> {
                let all = tensors["y"].to_f64s();
                all.into_iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
            };
            let expected = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
            let actual = interpret(&program, &[], &given, 1).unwrap();
            assert_eq!(bits(&actual), bits(&expected), "{op} from {start}\n{program}");
        }
    }
}

#[test]
fn what_threads_cannot_combine_is_refused() {
    let refused = |text: &str, script: &str| {
        let mut session = Session::new(scheduled(text, None, ""), &common::target()).unwrap();
        session.replay(&script.parse::<transform::Script>().unwrap()).unwrap_err().to_string()
    };
    let blocks = refused(&rows("float32", "sum"), "bind y.j to block.x");
    assert!(blocks.contains("update one") && blocks.contains("block.x"), "{blocks}");
    let moving = "
        scop diagonals(N)
        input A: float32[N, N]
        inout y: float32[2*N]
        stmt y[i, j]
          domain { y[i, j] : 0 <= i < N and 0 <= j < N }
          y[i + j] sum= A[i, j]";
    let several = refused(moving, "bind y.i to thread.x");
    assert!(several.contains("thread.x"), "{several}");
}

#[test]
fn a_softmax_in_cuda() {
    let (script, _) = automatic(SOFTMAX, Some(&[64, 1024]), &Gpu::cuda());
    let program = lowered(&mapped(SOFTMAX, Some(&[64, 1024]), &script, &Gpu::cuda()).1);
    expect![[r#"
        // softmax: kernels in CUDA C++, to be compiled with --fmad=false

        static __device__ float maximum_of_64_float32(float value, float *parts, const int thread)
        {
            for (int distance = 16; distance > 0; distance /= 2) {
                const float other = __shfl_xor_sync(0xffffffffu, value, distance);
                value = fmaxf(value, other);
            }
            if (thread % 32 == 0) {
                parts[thread / 32] = value;
            }
            __syncthreads();
            value = thread % 32 < 2 ? parts[thread % 32] : NAN;
            for (int distance = 1; distance > 0; distance /= 2) {
                const float other = __shfl_xor_sync(0xffffffffu, value, distance);
                value = fmaxf(value, other);
            }
            return value;
        }

        static __device__ float sum_of_64_float32(float value, float *parts, const int thread)
        {
            for (int distance = 16; distance > 0; distance /= 2) {
                const float other = __shfl_xor_sync(0xffffffffu, value, distance);
                value = value + other;
            }
            if (thread % 32 == 0) {
                parts[thread / 32] = value;
            }
            __syncthreads();
            value = thread % 32 < 2 ? parts[thread % 32] : -0.0f;
            for (int distance = 1; distance > 0; distance /= 2) {
                const float other = __shfl_xor_sync(0xffffffffu, value, distance);
                value = value + other;
            }
            return value;
        }

        extern "C" __global__ __launch_bounds__(64)
        void softmax(const float *__restrict__ I, float *__restrict__ O)
        {
            __shared__ float Largest[1];
            __shared__ float Sum[1];
            __shared__ float parts_1[2];
            __shared__ float parts_2[2];
            const int bx = blockIdx.x;
            const int tx = threadIdx.x;

            {
                __align__(16) float I_local[1][16];
                {
                    __align__(16) float E[1][16];
                    *(float4 *)&I_local[0][0] = *(const float4 *)&I[bx*1024 + 4*tx];
                    *(float4 *)&I_local[0][4] = *(const float4 *)&I[bx*1024 + 4*tx + 256];
                    *(float4 *)&I_local[0][8] = *(const float4 *)&I[bx*1024 + 4*tx + 512];
                    *(float4 *)&I_local[0][12] = *(const float4 *)&I[bx*1024 + 4*tx + 768];
                    if (tx == 0) {
                        Largest[0] = -INFINITY;
                    }
                    float Largest_0 = NAN;
                    Largest_0 = fmaxf(Largest_0, fmaxf(fmaxf(I_local[0][0], I_local[0][2]), fmaxf(I_local[0][1], I_local[0][3])));
                    Largest_0 = fmaxf(Largest_0, fmaxf(fmaxf(I_local[0][4], I_local[0][6]), fmaxf(I_local[0][5], I_local[0][7])));
                    Largest_0 = fmaxf(Largest_0, fmaxf(fmaxf(I_local[0][8], I_local[0][10]), fmaxf(I_local[0][9], I_local[0][11])));
                    Largest_0 = fmaxf(Largest_0, fmaxf(fmaxf(I_local[0][12], I_local[0][14]), fmaxf(I_local[0][13], I_local[0][15])));
                    Largest_0 = maximum_of_64_float32(Largest_0, parts_1, threadIdx.x);
                    if (tx == 0) {
                        Largest[0] = fmaxf(Largest[0], Largest_0);
                    }
                    __syncthreads();
                    const float Largest_v = Largest[0];
                    *(float4 *)&E[0][0] = make_float4(expf(I_local[0][0] - Largest_v), expf(I_local[0][1] - Largest_v), expf(I_local[0][2] - Largest_v), expf(I_local[0][3] - Largest_v));
                    *(float4 *)&E[0][4] = make_float4(expf(I_local[0][4] - Largest_v), expf(I_local[0][5] - Largest_v), expf(I_local[0][6] - Largest_v), expf(I_local[0][7] - Largest_v));
                    *(float4 *)&E[0][8] = make_float4(expf(I_local[0][8] - Largest_v), expf(I_local[0][9] - Largest_v), expf(I_local[0][10] - Largest_v), expf(I_local[0][11] - Largest_v));
                    *(float4 *)&E[0][12] = make_float4(expf(I_local[0][12] - Largest_v), expf(I_local[0][13] - Largest_v), expf(I_local[0][14] - Largest_v), expf(I_local[0][15] - Largest_v));
                    if (tx == 0) {
                        Sum[0] = 0.0f;
                    }
                    float Sum_0 = -0.0f;
                    Sum_0 = Sum_0 + (E[0][0] + E[0][2] + (E[0][1] + E[0][3]));
                    Sum_0 = Sum_0 + (E[0][4] + E[0][6] + (E[0][5] + E[0][7]));
                    Sum_0 = Sum_0 + (E[0][8] + E[0][10] + (E[0][9] + E[0][11]));
                    Sum_0 = Sum_0 + (E[0][12] + E[0][14] + (E[0][13] + E[0][15]));
                    Sum_0 = sum_of_64_float32(Sum_0, parts_2, threadIdx.x);
                    if (tx == 0) {
                        Sum[0] = Sum[0] + Sum_0;
                    }
                    __syncthreads();
                    const float Sum_v = Sum[0];
                    *(float4 *)&O[bx*1024 + 4*tx] = make_float4(E[0][0] / Sum_v, E[0][1] / Sum_v, E[0][2] / Sum_v, E[0][3] / Sum_v);
                    *(float4 *)&O[bx*1024 + 4*tx + 256] = make_float4(E[0][4] / Sum_v, E[0][5] / Sum_v, E[0][6] / Sum_v, E[0][7] / Sum_v);
                    *(float4 *)&O[bx*1024 + 4*tx + 512] = make_float4(E[0][8] / Sum_v, E[0][9] / Sum_v, E[0][10] / Sum_v, E[0][11] / Sum_v);
                    *(float4 *)&O[bx*1024 + 4*tx + 768] = make_float4(E[0][12] / Sum_v, E[0][13] / Sum_v, E[0][14] / Sum_v, E[0][15] / Sum_v);
                }
            }
        }

        void softmax_launch(const float *I, float *O, cudaStream_t stream)
        {
            softmax<<<dim3(64), dim3(64), 0, stream>>>(I, O);
        }
    "#]].assert_eq(&gpu::source(&program, Language::Cuda).unwrap());
}

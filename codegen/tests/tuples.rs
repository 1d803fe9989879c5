//! Reductions to several elements at once, which the threads of a block run together: the largest value and where it is,
//! products of complex numbers, means and variances.

mod common;
#[path = "ptx/machine.rs"]
mod machine;
#[path = "ptx/run.rs"]
mod ptx;

use codegen::gpu::Language;
use codegen::interp::{Data, Fault, Tensors, interpret};
use codegen::{Op, Options, Program, gpu};
use common::{agrees, inputs, mapped, scheduled};
use expect_test::expect;
use polyhedral::{DType, Scop, eval, testing};
use support::Gpu;
use transform::{Policy, Session};

fn lowered(scop: &Scop) -> Program {
    common::lowered(scop, &Options::default())
}

/// A reduction along rows: types of the components, neutral values, what combines, terms.
struct Tuple {
    types: &'static [&'static str],
    identity: &'static str,
    combine: &'static str,
    terms: &'static str,
}

/// The largest value and the first place where it is.
const LARGEST: Tuple = Tuple {
    types: &["float32", "int64"],
    identity: "-inf_f32, 9223372036854775807i64",
    combine: "max(state(0), term(0)), select(term(0) > state(0), term(1), select(term(0) == state(0), min(state(1), term(1)), state(1)))",
    terms: "float32(A[i, j]), index(j)",
};

/// `argmax=`: the place, then the value; nowhere where all is no number.
const PLACE: Tuple = Tuple {
    types: &["int32", "float32"],
    identity: "-1i32, -inf_f32",
    combine: "select(term(1) > state(1) || term(1) == state(1) && term(0) >= 0i32 && (state(0) < 0i32 || term(0) < state(0)), term(0), state(0)), select(term(1) > state(1) || term(1) == state(1) && term(0) >= 0i32 && (state(0) < 0i32 || term(0) < state(0)), term(1), state(1))",
    terms: "int32(index(j)), A[i, j]",
};

/// The place and the smallest value, of smaller types.
const SMALLEST: Tuple = Tuple {
    types: &["int16", "int32"],
    identity: "32767i16, 2147483647i32",
    combine: "select(term(1) < state(1) || term(1) == state(1) && term(0) < state(0), term(0), state(0)), min(state(1), term(1))",
    terms: "int16(index(j)), int32(A[i, j])",
};

/// A product of complex numbers, modulo two to the 32.
const COMPLEX: Tuple = Tuple {
    types: &["int32", "int32"],
    identity: "1i32, 0i32",
    combine: "state(0) * term(0) - state(1) * term(1), state(0) * term(1) + state(1) * term(0)",
    terms: "int32(A[i, j]), int32(index(j))",
};

/// Three results that have nothing to do with each other.
const THREE: Tuple = Tuple {
    types: &["float64", "uint8", "bool"],
    identity: "0.0f64, 0u8, false",
    combine: "term(0) + state(0), max(state(1), term(1)), state(2) || term(2)",
    terms: "float64(A[i, j]), uint8(A[i, j]), A[i, j] > 3.0f32",
};

/// One result, of what is no operator.
const ONE: Tuple = Tuple {
    types: &["int64"],
    identity: "0i64",
    combine: "state(0) + term(0) + state(0) * term(0)",
    terms: "int64(A[i, j]) + index(j)",
};

/// How many, their mean, and the sum of squares of what they differ from it by (Chan, Golub and LeVeque, Updating Formulae
/// and a Pairwise Algorithm for Computing Sample Variances, 1979).
const MOMENTS: Tuple = Tuple {
    types: &["float64", "float64", "float64"],
    identity: "0.0f64, 0.0f64, 0.0f64",
    combine: "state(0) + term(0), select(term(0) == 0.0f64, state(1), state(1) + (term(1) - state(1)) * term(0) / (state(0) + term(0))), select(term(0) == 0.0f64, state(2), state(2) + term(2) + (term(1) - state(1)) * (term(1) - state(1)) * state(0) * term(0) / (state(0) + term(0)))",
    terms: "1.0f64, float64(A[i, j]), 0.0f64",
};

impl Tuple {
    fn rows(&self) -> String {
        let names = ["y", "z", "w"];
        let results = names.iter().zip(self.types);
        let tensors: String =
            results.clone().map(|(name, dtype)| format!("\n             inout {name}: {dtype}[M]")).collect();
        let writes: Vec<String> = results.map(|(name, _)| format!("{name}[i]")).collect();
        format!(
            "
             scop r(M, N)
             context {{ : M > 0 and N > 0 }}
             input A: float32[M, N]{tensors}
             stmt y[i, j]
               domain {{ y[i, j] : 0 <= i < M and 0 <= j < N }}
               monoid together({}) identity ({}) combine ({})
               {} together= {}",
            self.types.join(", "),
            self.identity,
            self.combine,
            writes.join(", "),
            self.terms
        )
    }
}

/// Runs the kernels of a script in the interpreter and as PTX, for open and for fixed sizes; without one of the barriers
/// threads race.
#[track_caller]
fn check(text: &str, sizes: &[i64], script: &str, threads: i64) -> Program {
    let device = Gpu { usual_threads: threads, threads, ..Gpu::cuda() };
    let mut all = Vec::new();
    for fixed in [None, Some(sizes)] {
        let (source, scop) = mapped(text, fixed, script, &device);
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        agrees(&source, &program, sizes);
        ptx::agrees(&source, &program, sizes, &inputs(&source, sizes));
        for at in 0..program.barriers() {
            let without = program.without_barrier(at);
            let given = inputs(&source, sizes);
            let faults: Vec<Fault> = (0..2).filter_map(|seed| interpret(&without, sizes, &given, seed).err()).collect();
            let alone = program.to_string().contains("thread tx < 1 ");
            assert!(
                alone || matches!(faults.as_slice(), [Fault::Race { .. }, ..]),
                "barrier {at}: {faults:?}\n{without}"
            );
        }
        all.push(program);
    }
    all.remove(0)
}

#[test]
fn a_row_for_each_block() {
    let program = check(&LARGEST.rows(), &[3, 100], "bind y.i to block.x\nbind y.j to thread.x", 32);
    expect![[r#"
        program r(M, N)
          input A: float32[M, N] argument 0
          inout y: float32[M] argument 1
          inout z: int64[M] argument 2
        launch r block bx < M thread tx < 32 {
          r0: float32 = float32(-inf)
          r1: int64 = int64(9223372036854775807)
          for j in tx..N step 32 {
            r4: float32 = r0
            r5: int64 = r1
            r6: float32 = float32(A[bx, j])
            r7: int64 = j
            r0: float32 = max(r4, r6)
            r1: int64 = r6 > r4 ? r7 : (r6 == r4 ? min(r5, r7) : r5)
          }
          combine r0, r1 with r2, r3 by max(r0, r2), r2 > r0 ? r3 : (r2 == r0 ? min(r1, r3) : r1) over tx
          if tx == 0 {
            r8: float32 = y[bx]
            r9: int64 = z[bx]
            r10: float32 = r0
            r11: int64 = r1
            r12: float32 = max(r8, r10)
            r13: int64 = r10 > r8 ? r11 : (r10 == r8 ? min(r9, r11) : r9)
            y[bx] = r12
            z[bx] = r13
          }
        }
    "#]]
    .assert_eq(&program.to_string());
}

#[test]
fn the_text_of_both_languages() {
    let script = "split y.i by 2 as io ii\nbind y.io to block.x\nbind y.ii to thread.y\nbind y.j to thread.x";
    for (threads, script, language, expected) in [
        (
            96,
            "bind y.i to block.x\nbind y.j to thread.x",
            Language::Cuda,
            expect![[r#"
            // r: kernels in CUDA C++, to be compiled with --fmad=false

            extern "C" __global__ __launch_bounds__(96)
            void r(const float *__restrict__ A, float *__restrict__ y, long long *__restrict__ z)
            {
                __shared__ float parts_1[3];
                __shared__ long long parts_2[3];
                const int bx = blockIdx.x;
                const int tx = threadIdx.x;

                float y_0 = -INFINITY;
                long long z_0 = 9223372036854775807;
                for (int j = 0; j < 10; ++j) {
                    float v_0 = y_0;
                    long long v_1 = z_0;
                    float v_2 = A[bx*960 + tx + 96*j];
                    long long v_3 = (long long)(tx + 96*j);
                    y_0 = fmaxf(v_0, v_2);
                    z_0 = v_2 > v_0 ? v_3 : v_2 == v_0 ? (v_1 < v_3 ? v_1 : v_3) : v_1;
                }
                {
                    const int thread = threadIdx.x;
                    for (int distance = 16; distance > 0; distance /= 2) {
                        const float y_1 = __shfl_xor_sync(0xffffffffu, y_0, distance);
                        const long long z_1 = __shfl_xor_sync(0xffffffffu, z_0, distance);
                        const float y_0_next = fmaxf(y_0, y_1);
                        const long long z_0_next = y_1 > y_0 ? z_1 : y_1 == y_0 ? (z_0 < z_1 ? z_0 : z_1) : z_0;
                        y_0 = y_0_next;
                        z_0 = z_0_next;
                    }
                    if (thread % 32 == 0) {
                        parts_1[thread / 32] = y_0;
                        parts_2[thread / 32] = z_0;
                    }
                    __syncthreads();
                    if (thread % 32 < 3) {
                        y_0 = parts_1[thread % 32];
                        z_0 = parts_2[thread % 32];
                    }
                    for (int distance = 2; distance > 0; distance /= 2) {
                        const float y_1 = __shfl_xor_sync(0xffffffffu, y_0, distance);
                        const long long z_1 = __shfl_xor_sync(0xffffffffu, z_0, distance);
                        if (((thread % 32) ^ distance) < 3) {
                            const float y_0_next = fmaxf(y_0, y_1);
                            const long long z_0_next = y_1 > y_0 ? z_1 : y_1 == y_0 ? (z_0 < z_1 ? z_0 : z_1) : z_0;
                            y_0 = y_0_next;
                            z_0 = z_0_next;
                        }
                    }
                }
                if (tx == 0) {
                    float y_2 = y[bx];
                    long long y_3 = z[bx];
                    float y_4 = y_0;
                    long long y_5 = z_0;
                    float y_6 = fmaxf(y_2, y_4);
                    long long y_7 = y_4 > y_2 ? y_5 : y_4 == y_2 ? (y_3 < y_5 ? y_3 : y_5) : y_3;
                    y[bx] = y_6;
                    z[bx] = y_7;
                }
            }

            void r_launch(const float *A, float *y, long long *z, cudaStream_t stream)
            {
                r<<<dim3(8), dim3(96), 0, stream>>>(A, y, z);
            }
        "#]],
        ),
        (
            24,
            script,
            Language::OpenCl,
            expect![[r#"
            // r: kernels in OpenCL C
            #pragma OPENCL FP_CONTRACT OFF

            __kernel __attribute__((reqd_work_group_size(24, 1, 1)))
            void r(__global const float *restrict A, __global float *restrict y, __global long *restrict z)
            {
                __local float parts_1[24];
                __local long parts_2[24];
                const int bx = get_group_id(0);
                const int tx = get_local_id(0);

                for (int ii = 2*bx; ii < 2*bx + 2; ++ii) {
                    float y_0 = -INFINITY;
                    long z_0 = 9223372036854775807;
                    for (int j = 0; j < 40; ++j) {
                        float v_0 = y_0;
                        long v_1 = z_0;
                        float v_2 = A[ii*960 + tx + 24*j];
                        long v_3 = (long)(tx + 24*j);
                        y_0 = fmax(v_0, v_2);
                        z_0 = v_2 > v_0 ? v_3 : v_2 == v_0 ? (v_1 < v_3 ? v_1 : v_3) : v_1;
                    }
                    {
                        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
                        const int thread = get_local_id(0);
                        parts_1[thread] = y_0;
                        parts_2[thread] = z_0;
                        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
                        for (int distance = 16; distance > 0; distance /= 2) {
                            if ((thread & distance) == 0 && thread + distance < 24) {
                                const float y_1 = parts_1[thread + distance];
                                const long z_1 = parts_2[thread + distance];
                                const float y_0_next = fmax(y_0, y_1);
                                const long z_0_next = y_1 > y_0 ? z_1 : y_1 == y_0 ? (z_0 < z_1 ? z_0 : z_1) : z_0;
                                y_0 = y_0_next;
                                z_0 = z_0_next;
                                parts_1[thread] = y_0;
                                parts_2[thread] = z_0;
                            }
                            barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
                        }
                        y_0 = parts_1[0];
                        z_0 = parts_2[0];
                    }
                    if (tx == 0) {
                        float y_2 = y[ii];
                        long y_3 = z[ii];
                        float y_4 = y_0;
                        long y_5 = z_0;
                        float y_6 = fmax(y_2, y_4);
                        long y_7 = y_4 > y_2 ? y_5 : y_4 == y_2 ? (y_3 < y_5 ? y_3 : y_5) : y_3;
                        y[ii] = y_6;
                        z[ii] = y_7;
                    }
                }
            }

            // Launched by a host, given const float *A, float *y, long *z:
            //    r(A, y, z) in 4 groups of 24 items
        "#]],
        ),
    ] {
        let device = Gpu { usual_threads: threads, threads, ..Gpu::cuda() };
        let program = lowered(&mapped(&LARGEST.rows(), Some(&[8, 960]), script, &device).1);
        expected.assert_eq(&gpu::source(&program, language).unwrap());
    }
}

#[test]
fn random_tuples_on_threads_are_the_evaluator_s() {
    let mut random = testing::Rng::new(9);
    for _ in 0..60 {
        let tuple = random.pick(&[&LARGEST, &PLACE, &SMALLEST, &COMPLEX, &THREE, &ONE]);
        let script = *random.pick(&[
            &"bind y.i to block.x\nbind y.j to thread.x",
            &"bind y.j to thread.x",
            &"bind y.i to thread.y\nbind y.j to thread.x",
            &"bind y.i to thread.x\nbind y.j to thread.y",
            &"split y.i by 4 as io ii\nbind y.io to block.x\nbind y.ii to thread.y\nbind y.j to thread.x",
            &"split y.j by 8 as jo ji\nbind y.i to block.x\nbind y.jo to thread.y\nbind y.ji to thread.x",
            &"split y.j by 8 as jo ji\nreorder y.ji y.jo\nbind y.i to block.x\nbind y.ji to thread.x",
            &"split y.j by 8 as jo ji\nbind y.i to block.x\nbind y.ji to thread.x",
            &"unroll y.j by 4 as jo jv\nbind y.i to block.x\nbind y.jo to thread.x",
            &"skew y.j by 1 of y.i as t\nbind y.i to block.x\nbind y.t to thread.x",
        ]);
        let threads = *random.pick(&[&1i64, &2, &7, &32, &64, &96, &160]);
        let mut size = || *random.pick(&[&1i64, &5, &31, &32, &33, &100, &170]);
        check(&tuple.rows(), &[size().min(33), size()], script, threads);
    }
}

/// The first thread's result has the order that is said, to the bit, where what combines does not commute to the bit.
#[test]
fn means_and_variances() {
    for (threads, script) in [
        (32, "bind y.i to block.x\nbind y.j to thread.x"),
        (96, "bind y.i to block.x\nbind y.j to thread.x"),
        (24, "split y.i by 2 as io ii\nbind y.io to block.x\nbind y.ii to thread.y\nbind y.j to thread.x"),
    ] {
        let device = Gpu { usual_threads: threads, threads, ..Gpu::cuda() };
        let (source, scop) = mapped(&MOMENTS.rows(), Some(&[3, 150]), script, &device);
        let (program, given) = (lowered(&scop), inputs(&source, &[]));
        let expected = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
        let interpreted = interpret(&program, &[], &given, 1).unwrap();
        let (actual, _) = ptx::run(&program, &Gpu::cuda(), &[], &given, 2);
        for (name, expected) in &expected {
            assert_eq!(interpreted[name], actual[name], "{name}\n{program}");
            for (a, b) in actual[name].to_f64s().into_iter().zip(expected.to_f64s()) {
                assert!((a - b).abs() <= 1e-9 * b.abs(), "{name}: {a} is not {b}\n{program}");
            }
        }
    }
}

/// Places of numbers that are none, of infinities, and of equals.
#[test]
fn what_is_no_number_is_nowhere() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let rows = [
        [nan; 6],
        [nan, 1.0, nan, 2.0, 2.0, nan],
        [-0.0, 0.0, -0.0, 0.0, -1.0, nan],
        [-inf; 6],
        [1.0, inf, nan, inf, 1.0, inf],
    ];
    let device = Gpu { threads: 4, ..Gpu::cuda() };
    let (source, scop) = mapped(&PLACE.rows(), Some(&[5, 6]), "bind y.i to block.x\nbind y.j to thread.x", &device);
    let program = lowered(&scop);
    for (start, place) in [(-inf, -1), (nan, 17), (2.0, 1), (-0.0, 3), (2.0, 4)] {
        let given = Tensors::from([
            ("A".to_string(), Data::from_f64s(DType::F32, &[5, 6], &rows.concat())),
            ("y".to_string(), Data::from_i64s(DType::I32, &[5], &[place; 5])),
            ("z".to_string(), Data::from_f64s(DType::F32, &[5], &[start; 5])),
        ]);
        let expected = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
        let (as_ptx, _) = ptx::run(&program, &Gpu::cuda(), &[], &given, 2);
        for actual in [interpret(&program, &[], &given, 1).unwrap(), as_ptx] {
            assert_eq!(actual["y"].to_i64s(), expected["y"].to_i64s(), "from {start}\n{program}");
            let numbers = |all: &Tensors| -> Vec<f64> {
                all["z"].to_f64s().into_iter().map(|v| if v.is_nan() { 7.5 } else { v }).collect()
            };
            assert_eq!(numbers(&actual), numbers(&expected), "from {start}\n{program}");
        }
    }
}

/// The policy's script for a program, and what it could not do.
fn automatic(text: &str, sizes: &[i64], device: &Gpu) -> (String, Vec<String>) {
    let mut session = Session::new(scheduled(text, Some(sizes), ""), &common::target()).unwrap();
    gpu_mapper::Mapper { device: device.clone() }.schedule(&mut session).unwrap();
    (session.script().to_string(), session.remarks().iter().map(ToString::to_string).collect())
}

/// Kernels of the policy's script, in the interpreter and as PTX.
#[track_caller]
fn check_policy(text: &str, sizes: &[i64], device: &Gpu) -> Program {
    let (script, mut remarks) = automatic(text, sizes, device);
    // Partial results of strips are another kernel's to read.
    remarks.retain(|remark| !remark.contains("_partial: in the device's memory"));
    let (source, scop) = mapped(text, Some(sizes), &script, device);
    let program = lowered(&scop);
    assert!(remarks.is_empty(), "{remarks:?}\n{script}\n{program}");
    agrees(&source, &program, &[]);
    ptx::agrees(&source, &program, &[], &inputs(&source, &[]));
    program
}

fn launches(program: &Program) -> usize {
    program.body.iter().filter(|op| matches!(op, Op::Launch(_))).count()
}

#[test]
fn the_policy_has_rows_of_all_threads() {
    for tuple in [&PLACE, &THREE, &COMPLEX] {
        for sizes in [[9, 33], [4, 1000], [2, 1024]] {
            let program = check_policy(&tuple.rows(), &sizes, &Gpu { multiprocessors: 1, ..Gpu::cuda() });
            let combined = program.to_string().contains("combine r0, r1");
            assert!(combined && launches(&program) == 1, "{program}");
        }
    }
}

#[test]
fn few_results_are_combined_by_a_second_kernel() {
    let device = Gpu { threads: 64, usual_threads: 64, multiprocessors: 2, ..Gpu::cuda() };
    for tuple in [&PLACE, &LARGEST, &THREE] {
        for sizes in [[1, 9000], [2, 5000]] {
            let program = check_policy(&tuple.rows(), &sizes, &device);
            assert_eq!(launches(&program), 2, "{program}");
        }
    }
}

/// Blocks update one word in one step, lanes have one partial result.
#[test]
fn what_has_several_results_is_of_threads_only() {
    let refused = |tuple: &Tuple, script: &str| {
        let mut session = Session::new(scheduled(&tuple.rows(), None, ""), &common::target()).unwrap();
        session.replay(&script.parse::<transform::Script>().unwrap()).unwrap_err().to_string()
    };
    for script in ["bind y.j to block.x atomically", "vectorise y.j by 4", "bind y.j to block.x"] {
        let why = refused(&PLACE, script);
        assert!(why.contains("update one element"), "{script}: {why}");
    }
    // The first of equals, in the order in which one asks.
    let first = Tuple {
        combine: "select(term(1) > state(1), term(0), state(0)), select(term(1) > state(1), term(1), state(1))",
        ..PLACE
    };
    assert!(refused(&first, "bind y.j to thread.x").contains("update one element"));
    let why = refused(&first, "split y.j by 8 as jo ji\nprivatise y at y.jo");
    assert!(why.contains("depends on which is the first one"), "{why}");
}

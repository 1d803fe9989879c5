//! Reductions that the blocks of a kernel run together: elements that several blocks update, each in one step.

mod common;

use codegen::gpu::Language;
use codegen::interp::{Data, Fault, Tensors, interpret};
use codegen::{Op, Options, Program, Value, gpu};
use common::{agrees, inputs, scheduled};
use expect_test::{Expect, expect};
use polyhedral::legality::race_free;
use polyhedral::{BinOp, DType, Role, Scop, eval, testing};
use support::{Gpu, Stage};
use transform::{Script, Session};

fn device(threads: i64) -> Gpu {
    Gpu { usual_threads: threads, threads, ..Gpu::cuda() }
}

/// What a text is, and its kernels for a script; why there are none.
fn mapped(text: &str, sizes: Option<&[i64]>, script: &str, device: &Gpu) -> Result<(Scop, Scop), String> {
    let source = scheduled(text, sizes, "");
    let mut session = Session::new(source.clone(), &common::target()).unwrap();
    session.replay(&script.parse::<Script>().unwrap()).map_err(|refused| refused.to_string())?;
    let scop = session.finish().map_err(|refused| refused.to_string())?.scop;
    let scop = gpu_mapper::kernels(&scop, device, &mut Vec::new()).map_err(|illegal| illegal.to_string())?;
    scop.verify().unwrap_or_else(|error| panic!("{error}\n{scop}"));
    Ok((source, scop))
}

fn lowered(scop: &Scop) -> Program {
    common::lowered(scop, &Options::default())
}

/// Runs the kernels of a script in the interpreter, for open and for fixed sizes, and once more without the words: blocks
/// that load and store are then found to race.
#[track_caller]
fn check(text: &str, sizes: &[i64], script: &str, threads: i64) -> Program {
    let mut all = Vec::new();
    for fixed in [None, Some(sizes)] {
        let (source, scop) = mapped(text, fixed, script, &device(threads)).unwrap();
        assert_eq!(race_free(&scop), Ok(()));
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        agrees(&source, &program, sizes);
        let plain = with_plain_updates(&program);
        // What is said of races is said in any order of blocks.
        let faults: Vec<bool> = (0..3)
            .map(|seed| matches!(interpret(&plain, sizes, &inputs(&source, sizes), seed), Err(Fault::Race { .. })))
            .collect();
        assert!(faults.iter().all(|fault| *fault == faults[0]), "{plain}");
        all.push(program);
    }
    all.remove(0)
}

/// The program with a load and a store in the place of each atomic update.
fn with_plain_updates(program: &Program) -> Program {
    fn plain(op: &Op) -> Op {
        let all = |ops: &[Op]| ops.iter().map(plain).collect();
        match op.clone() {
            Op::Atomic { buffer, at, op, reg } => {
                let old = Value::Load { buffer, at: at.clone(), mask: None };
                let value = Value::Binary(op, Box::new(old), Box::new(Value::Reg(reg)));
                Op::Store { buffer, at, lanes: 1, value, mask: None }
            }
            Op::For { var, lower, upper, step, parallel, body } => {
                Op::For { var, lower, upper, step, parallel, body: all(&body) }
            }
            Op::If { cond, then, otherwise } => Op::If { cond, then: all(&then), otherwise: all(&otherwise) },
            Op::Local { buffer, body } => Op::Local { buffer, body: all(&body) },
            Op::Launch(mut launch) => {
                launch.body = all(&launch.body);
                Op::Launch(launch)
            }
            other => other,
        }
    }
    Program { body: program.body.iter().map(plain).collect(), ..program.clone() }
}

fn races(program: &Program, sizes: &[i64], given: &Tensors) -> bool {
    (0..3).any(|seed| matches!(interpret(program, sizes, given, seed), Err(Fault::Race { .. })))
}

fn columns(dtype: &str, op: &str) -> String {
    format!(
        "
         scop c(M, N)
         context {{ : M > 0 and N > 0 }}
         input A: {dtype}[M, N]
         inout y: {dtype}[N]
         stmt y[j, i]
           domain {{ y[j, i] : 0 <= j < N and 0 <= i < M }}
           y[j] {op}= A[i, j]"
    )
}

const SUM: &str = "
    scop s(M)
    context { : M > 0 }
    input A: float32[M]
    output y: float32[]
    stmt y.init[]
      domain { y.init[] : }
      y[] = 0.0f32
    stmt y.update[i]
      domain { y.update[i] : 0 <= i < M }
      y[] sum= A[i]";

#[track_caller]
fn check_text(text: &str, sizes: &[i64], script: &str, threads: i64, expected: Expect) {
    expected.assert_eq(&check(text, sizes, script, threads).to_string());
}

#[test]
fn each_thread_has_a_column_of_several_blocks() {
    check_text(
        &columns("float32", "sum"),
        &[100, 40],
        "split y.i by 16 as io ii\nreorder y.io y.j y.ii\nsplit y.j by 32 as jo ji\nreorder y.jo y.io y.ji y.ii\n\
         bind y.jo to block.x\nbind y.io to block.y atomically\nbind y.ji to thread.x",
        32,
        expect![[r#"
            program c(M, N)
              input A: float32[M, N] argument 0
              inout y: float32[N] argument 1
            launch c block bx < floor((N + 31)/32) block by < floor((M + 15)/16) thread tx < 32 {
              if 32*bx + tx < N {
                r0: float32 = float32(-0.0)
                for ii in 16*by..min(M, 16*by + 16) {
                  r0: float32 = r0 + A[ii, 32*bx + tx]
                }
                atomic y[32*bx + tx] by + r0
              }
            }
        "#]],
    );
}

#[test]
fn threads_combine_what_a_block_adds() {
    check_text(
        SUM,
        &[1000],
        "split y.update.i by 64 as io ii\nbind y.update.io to block.x atomically\nbind y.update.ii to thread.x",
        32,
        expect![[r#"
            program s(M)
              input A: float32[M] argument 0
              output y: float32[] argument 1
            launch s {
              y[] = float32(0.0)
            }
            launch s_2 block bx < floor((M + 63)/64) thread tx < 32 {
              r0: float32 = float32(-0.0)
              for ii in 64*bx + tx..min(M, 64*bx + 64) step 32 {
                r0: float32 = r0 + A[ii]
              }
              combine r0 by + over tx
              if tx == 0 {
                atomic y[] by + r0
              }
            }
        "#]],
    );
}

#[test]
fn a_block_adds_once_what_its_thread_summed() {
    let program = check(SUM, &[1000], "split y.update.i by 64 as io ii\nbind y.update.io to block.x atomically", 32);
    assert_eq!(program.to_string().matches("atomic").count(), 1, "{program}");
    // The sum is a register while the loop runs.
    let text = program.to_string();
    let (looped, atomic) = (text.find("for ii").unwrap(), text.find("atomic").unwrap());
    assert!(looped < atomic && text[looped..atomic].contains('}'), "{program}");
}

#[test]
fn every_operator_on_every_type() {
    for dtype in ["float32", "float64", "int32", "uint32", "int64", "uint64"] {
        for op in ["sum", "prod", "min", "max", "bitand", "bitor", "bitxor"] {
            if dtype.starts_with("float") && op.starts_with("bit") {
                continue;
            }
            let script = "split y.i by 3 as io ii\nreorder y.io y.j y.ii\nbind y.io to block.x atomically\n\
                          bind y.j to thread.x";
            check(&columns(dtype, op), &[7, 5], script, 4);
        }
    }
}

#[test]
fn random_reductions_of_blocks_are_the_evaluator_s() {
    let mut random = testing::Rng::new(11);
    for _ in 0..60 {
        let mut of = |all: &[&'static str]| random.pick(all);
        let (dtype, op) = (of(&["float32", "float64", "int32", "uint64"]), of(&["sum", "min", "max"]));
        let script = of(&[
            "reorder y.i y.j\nbind y.i to block.x atomically",
            "reorder y.i y.j\nbind y.i to block.x atomically\nbind y.j to thread.x",
            "bind y.j to block.y\nbind y.i to block.x atomically",
            "split y.i by 4 as io ii\nbind y.j to block.x\nbind y.io to block.y atomically\nbind y.ii to thread.x",
            "split y.i by 4 as io ii\nreorder y.io y.j y.ii\nbind y.io to block.y atomically\nbind y.j to thread.x",
            "split y.i by 4 as io ii\nreorder y.io y.j y.ii\nbind y.io to block.y atomically\nbind y.j to thread.y\n\
             bind y.ii to thread.x",
            "split y.i by 4 as io ii\nreorder y.io y.ii y.j\nbind y.io to block.y atomically\nbind y.j to thread.x",
            "split y.i by 8 as io ii\nsplit y.ii by 2 as ia ib\nreorder y.io y.ia y.j y.ib\n\
             bind y.io to block.x atomically\nbind y.ia to block.y atomically\nbind y.j to thread.x",
            "vectorise y.i by 4 as io iv\nreorder y.io y.j\nbind y.io to block.x atomically\nbind y.j to thread.x",
            "unroll y.i by 4 as io iu\nreorder y.io y.j\nbind y.io to block.x atomically\nbind y.j to thread.x",
            "skew y.i by 1 of y.j as t\nbind y.j to block.x\nbind y.t to block.y atomically",
        ]);
        let threads = *random.pick(&[&1i64, &2, &7, &32]);
        let mut size = || *random.pick(&[&1i64, &3, &5, &17, &33]);
        let sizes = [size(), size()];
        check(&columns(dtype, op), &sizes, script, threads);
    }
}

#[test]
fn blocks_that_load_and_store_race() {
    let script = "reorder y.i y.j\nbind y.i to block.x atomically\nbind y.j to thread.x";
    let (source, scop) = mapped(&columns("int32", "sum"), Some(&[5, 6]), script, &device(4)).unwrap();
    let (program, given) = (lowered(&scop), inputs(&source, &[]));
    assert!(!races(&program, &[], &given));
    assert!(races(&with_plain_updates(&program), &[], &given), "{program}");
}

#[test]
fn updates_by_another_operator_race_and_so_do_reads() {
    let script = "reorder y.i y.j\nbind y.i to block.x atomically\nbind y.j to thread.x";
    let (source, scop) = mapped(&columns("int32", "sum"), Some(&[5, 6]), script, &device(4)).unwrap();
    let (program, given) = (lowered(&scop), inputs(&source, &[]));
    let behind = |add: fn(Op) -> Op| {
        let mut changed = program.clone();
        let Some(Op::Launch(launch)) = changed.body.last_mut() else { panic!("{program}") };
        append(&mut launch.body, add);
        changed.verify().unwrap_or_else(|error| panic!("{error}\n{changed}"));
        changed
    };
    let other = behind(|op| match op {
        Op::Atomic { buffer, at, reg, .. } => Op::Atomic { buffer, at, op: BinOp::Max, reg },
        other => other,
    });
    assert!(races(&other, &[], &given), "{other}");
    let read = behind(|op| match op {
        Op::Atomic { buffer, at, reg, .. } => Op::Set { reg, value: Value::Load { buffer, at, mask: None } },
        other => other,
    });
    assert!(races(&read, &[], &given), "{read}");
}

/// Puts behind each atomic update what is made of it.
fn append(ops: &mut Vec<Op>, add: fn(Op) -> Op) {
    for at in (0..ops.len()).rev() {
        match &mut ops[at] {
            Op::For { body, .. } | Op::Local { body, .. } => append(body, add),
            Op::If { then, otherwise, .. } => {
                append(then, add);
                append(otherwise, add);
            }
            Op::Atomic { .. } => {
                let more = add(ops[at].clone());
                ops.insert(at + 1, more);
            }
            _ => {}
        }
    }
}

#[test]
fn numbers_that_are_none_and_signs_of_zeros_are_those_of_the_evaluator() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for op in ["sum", "min", "max", "prod"] {
        let script = "reorder y.i y.j\nbind y.i to block.x atomically\nbind y.j to thread.x";
        let (source, scop) = mapped(&columns("float32", op), Some(&[6, 4]), script, &device(4)).unwrap();
        let program = lowered(&scop);
        let rows = [[nan; 6], [nan, 1.0, nan, 2.0, nan, nan], [-0.0; 6], [inf, 1.0, nan, 1.0, 1.0, 1.0]];
        let columns: Vec<f64> = (0..6).flat_map(|at| rows.map(|row| row[at])).collect();
        for start in [nan, -0.0, 3.0] {
            let given = Tensors::from([
                ("A".to_string(), Data::from_f64s(DType::F32, &[6, 4], &columns)),
                ("y".to_string(), Data::from_f64s(DType::F32, &[4], &[start; 4])),
            ]);
            let bits = |tensors: &Tensors| -> Vec<u64> {
                let all = tensors["y"].to_f64s();
                all.into_iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
            };
            let expected = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
            for seed in 0..3 {
                let actual = interpret(&program, &[], &given, seed).unwrap();
                assert_eq!(bits(&actual), bits(&expected), "{op} from {start}\n{program}");
            }
        }
    }
}

#[track_caller]
fn refused(text: &str, script: &str, words: &[&str]) {
    let why = mapped(text, None, script, &device(32)).expect_err("refused");
    assert!(words.iter().all(|word| why.contains(word)), "{why}");
}

#[test]
fn what_blocks_cannot_do_is_refused() {
    let sum = columns("float32", "sum");
    refused(&sum, "bind y.j to block.x\nbind y.i to block.y", &["update one element", "block.y"]);
    refused(&sum, "bind y.i to thread.x atomically", &["atomic updates are between blocks"]);
    refused(
        &columns("float16", "sum"),
        "reorder y.i y.j\nbind y.i to block.x atomically",
        &["4 and 8 bytes", "float16"],
    );
    // What a block does first is not first for the other ones.
    let fused = "fuse y.init y.update depth 1\nbind y.update.i to block.x atomically";
    let why = mapped(SUM, Some(&[8]), fused, &device(32)).expect_err("refused");
    assert!(why.contains("must run after `y.init"), "{why}");
    let pairs = "
        scop p(M)
        context { : M > 0 }
        input A: float32[M]
        inout best: float32[]
        inout at: int32[]
        stmt p[i]
          domain { p[i] : 0 <= i < M }
          monoid argmax(float32, int32) identity (-inf_f32, 0i32) combine (select(term(0) > state(0), term(0), state(0)), select(term(0) > state(0), term(1), state(1)))
          best[], at[] argmax= A[i], int32(index(i))";
    refused(pairs, "bind p.i to block.x atomically", &["update one element"]);
}

#[test]
fn an_order_that_is_kept_has_no_atomics() {
    let strict = transform::Options { strict: true, ..transform::Options::default() };
    let source = scheduled(SUM, None, "");
    let mut session = Session::with_options(source, &common::target(), strict).unwrap();
    let script: Script = "bind y.update.i to block.x atomically".parse().unwrap();
    assert!(session.replay(&script).is_err());
}

#[test]
fn the_text_of_both_languages() {
    let script = "reorder y.i y.j\nbind y.i to block.x atomically\nbind y.j to thread.x";
    let mut text = String::new();
    for (dtype, op) in [("float32", "sum"), ("float64", "max"), ("int32", "sum"), ("int64", "min"), ("uint32", "prod")]
    {
        let (_, scop) = mapped(&columns(dtype, op), Some(&[5, 6]), script, &device(8)).unwrap();
        for language in [Language::Cuda, Language::OpenCl] {
            let source = gpu::source(&lowered(&scop), language).unwrap();
            let own = |line: &&str| !line.starts_with("//") && !line.is_empty();
            let helper: Vec<&str> =
                source.split("\n\n").find(|part| part.contains("void atomic_")).unwrap().lines().collect();
            helper.into_iter().filter(own).for_each(|line| text.push_str(&format!("{line}\n")));
        }
    }
    expect![[r#"
        static inline __device__ void atomic_sum_float32(float *element, float value)
        {
            atomicAdd(element, value);
        }
        static inline void atomic_sum_float32(volatile __global float *element, float value)
        {
            volatile __global unsigned int *word = (volatile __global unsigned int *)element;
            unsigned int found = *word, old;
            do {
                old = found;
                found = atomic_cmpxchg(word, old, as_uint(as_float(old) + value));
            } while (found != old);
        }
        static inline __device__ void atomic_maximum_float64(double *element, double value)
        {
            volatile unsigned long long *word = (volatile unsigned long long *)element;
            unsigned long long found = *word, old;
            do {
                old = found;
                found = atomicCAS((unsigned long long *)word, old, __double_as_longlong(fmax(__longlong_as_double(old), value)));
            } while (found != old);
        }
        static inline void atomic_maximum_float64(volatile __global double *element, double value)
        {
            volatile __global unsigned long *word = (volatile __global unsigned long *)element;
            unsigned long found = *word, old;
            do {
                old = found;
                found = atom_cmpxchg(word, old, as_ulong(fmax(as_double(old), value)));
            } while (found != old);
        }
        static inline __device__ void atomic_sum_int32(int *element, int value)
        {
            atomicAdd((unsigned int *)element, (unsigned int)value);
        }
        static inline void atomic_sum_int32(volatile __global int *element, int value)
        {
            atomic_add((volatile __global unsigned int *)element, (unsigned int)value);
        }
        static inline __device__ void atomic_minimum_int64(long long *element, long long value)
        {
            atomicMin(element, value);
        }
        static inline void atomic_minimum_int64(volatile __global long *element, long value)
        {
            volatile __global unsigned long *word = (volatile __global unsigned long *)element;
            unsigned long found = *word, old;
            do {
                old = found;
                found = atom_cmpxchg(word, old, (unsigned long)((long)(old) < value ? (long)(old) : value));
            } while (found != old);
        }
        static inline __device__ void atomic_product_uint32(unsigned int *element, unsigned int value)
        {
            volatile unsigned int *word = (volatile unsigned int *)element;
            unsigned int found = *word, old;
            do {
                old = found;
                found = atomicCAS((unsigned int *)word, old, (unsigned int)((old)*value));
            } while (found != old);
        }
        static inline void atomic_product_uint32(volatile __global unsigned int *element, unsigned int value)
        {
            volatile __global unsigned int *word = (volatile __global unsigned int *)element;
            unsigned int found = *word, old;
            do {
                old = found;
                found = atomic_cmpxchg(word, old, (unsigned int)((old)*value));
            } while (found != old);
        }
    "#]].assert_eq(&text);
}

#[test]
fn a_malformed_update_is_found() {
    let script = "reorder y.i y.j\nbind y.i to block.x atomically\nbind y.j to thread.x";
    let (_, scop) = mapped(&columns("int32", "sum"), Some(&[5, 6]), script, &device(4)).unwrap();
    let program = lowered(&scop);
    let mut changed = program.clone();
    for buffer in changed.buffers.iter().map(|(id, _)| id).collect::<Vec<_>>() {
        changed.buffers[buffer].role = Role::Input;
    }
    assert!(changed.verify().unwrap_err().to_string().contains("updated atomically"), "{program}");
}

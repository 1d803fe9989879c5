//! Targets, refusals, determinism, threads, and what LLVM itself knows of the names that we list.

use crate::build::*;
use codegen::llvm::{Error, Options, assembly, compile, host, ir};
use codegen::{At, Int, Op, RegId, Report, Value, VarId};
use object::{Object as _, ObjectSymbol as _};
use polyhedral::{BinOp, Builtin, DType, TensorId};
use support::Entity;

const LINUX: &str = "x86_64-unknown-linux-gnu";

/// `y(i) = f(x(i))` on four lanes.
fn unary(dtype: DType, f: impl Fn(Value) -> Value) -> Builder {
    let mut b = Builder::new("unary");
    let x = b.input("x", dtype, &[4]);
    let y = b.output("y", dtype, &[4]);
    b.program.body = vec![store(y, vec![lanes_at(c(0), 1)], 4, f(load(x, vec![lanes_at(c(0), 1)])))];
    b
}

fn add_one() -> Builder {
    unary(DType::F32, |x| binary(BinOp::Add, x, float(1.0, DType::F32)))
}

#[track_caller]
fn refuses(program: &Builder, target: &support::Target, expected: &str) {
    let error = compile(&program.program, target, &Options::default()).expect_err("is refused").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn the_host_is_a_target() {
    let host = host();
    compile(&add_one().program, &target(&host.triple, &host.cpu, &host.features, 64), &Options::default()).unwrap();
}

#[test]
fn names_that_llvm_does_not_know_are_refused() {
    let program = add_one();
    refuses(&program, &target(LINUX, "pentium-9000", "", 64), "pentium-9000");
    refuses(&program, &target(LINUX, "", "", 64), "processor ``");
    refuses(&program, &target(LINUX, "znver5", "+avx9", 64), "avx9");
    refuses(&program, &target(LINUX, "znver5", "avx2", 64), "neither with + nor with -");
    refuses(&program, &target(LINUX, "znver5", "-sse2", 64), "sse2");
    refuses(&program, &target(LINUX, "znver5", "+soft-float", 64), "soft-float");
    refuses(&program, &target("riscv64-unknown-linux-gnu", "generic", "", 64), "riscv64");
    refuses(&program, &target("x86_64-pc-windows-msvc", "x86-64", "", 64), "windows");
    refuses(&program, &target("", "x86-64", "", 64), "triple ``");
    refuses(&program, &target("x86_64-\0linux", "x86-64", "", 64), "triple");
    refuses(&program, &target("aarch64-unknown-linux-gnu", "znver5", "", 64), "znver5");
}

/// Every kind of instruction that some target lacks becomes an object without undefined symbols, or is refused by name.
#[test]
fn every_level_of_x86_and_arm_gives_closed_objects() {
    let everything = |dtype| {
        let mut b = Builder::new("everything");
        let x = b.input("x", dtype, &[32]);
        let y = b.output("y", dtype, &[32]);
        let here = || vec![lanes_at(c(0), 1)];
        let calls = Builtin::ALL
            .iter()
            .map(|builtin| Value::Call(*builtin, (0..builtin.arity()).map(|_| load(x, here())).collect()));
        let operators = [BinOp::Add, BinOp::Mul, BinOp::Div, BinOp::Mod, BinOp::Min]
            .map(|op| binary(op, load(x, here()), load(x, here())));
        let casts = DType::ALL
            .into_iter()
            .filter(|dtype| *dtype != DType::F16)
            .map(|through| Value::Cast(dtype, Value::Cast(through, load(x, here()).into()).into()));
        b.program.body = calls.chain(operators).chain(casts).map(|value| store(y, here(), 16, value)).collect();
        b
    };
    let targets = [
        (LINUX, "x86-64", ""),
        (LINUX, "x86-64-v2", ""),
        (LINUX, "x86-64-v3", ""),
        (LINUX, "x86-64-v4", ""),
        (LINUX, "znver5", ""),
        (LINUX, "sapphirerapids", ""),
        (LINUX, "bdver1", ""),
        (LINUX, "haswell", "-fma,-f16c"),
        (LINUX, "x86-64-v4", "-avx512f"),
        (LINUX, "x86-64", "+avx512f"),
        (LINUX, "skylake", "-avx"),
        ("aarch64-unknown-linux-gnu", "generic", ""),
        ("aarch64-unknown-linux-gnu", "neoverse-v1", "+sve"),
    ];
    for (triple, cpu, features) in targets {
        let target = target(triple, cpu, features, 32);
        for dtype in [DType::F32, DType::F64, DType::BF16] {
            let result = compile(&everything(dtype).program, &target, &Options::default());
            assert!(result.is_ok(), "{cpu} {features} {dtype}: {:?}", result.err());
        }
        match compile(&everything(DType::F16).program, &target, &Options::default()) {
            Ok(_) => (),
            Err(Error::Unsupported(what)) => assert!(what.contains("float16"), "{what}"),
            Err(other) => panic!("{cpu} {features}: {other}"),
        }
    }
    assert!(compile(&everything(DType::F16).program, &target(LINUX, "x86-64-v3", "", 32), &Options::default()).is_ok());
}

/// What the table of processors promises is there: an object that calls nothing.
#[test]
fn every_processor_has_what_we_think_it_has() {
    let b = unary(DType::F32, |x| {
        let product = Value::MulAdd(x.clone().into(), x.clone().into(), x.into());
        Value::Call(Builtin::Floor, vec![product])
    });
    let short = unary(DType::F16, |x| binary(BinOp::Add, x.clone(), x));
    let cpus = "x86-64 nehalem sandybridge ivybridge bdver1 bdver2 btver2 haswell skylake skx knl icelake-server \
                alderlake sapphirerapids graniterapids sierraforest znver1 znver2 znver3 znver4 znver5";
    for cpu in cpus.split_whitespace() {
        let target = target(LINUX, cpu, "", 32);
        compile(&b.program, &target, &Options::default()).unwrap();
        match compile(&short.program, &target, &Options::default()) {
            Ok(_) | Err(Error::Unsupported(_)) => (),
            Err(other) => panic!("{cpu}: {other}"),
        }
    }
}

/// Without the instructions, the functions of the context do the same.
#[test]
fn a_target_without_fused_multiply_add_computes_the_same() {
    let host = host();
    let x = [0.5f32, -2.5, 1e10, -0.1];
    for builtin in [Builtin::Floor, Builtin::Round, Builtin::Trunc, Builtin::Ceil, Builtin::Fma] {
        let b = unary(DType::F32, |x| Value::Call(builtin, vec![x; builtin.arity()]));
        let input = runtime::tensor::Tensor::from_slice(&x, &[4]).unwrap();
        let results = [target(&host.triple, "x86-64", "", 16), this_machine()].map(|target| {
            let mut result = zeros(DType::F32, &[4]);
            run(&b.kernel_for(&target), &[&input], &mut [&mut result], &runtime::pool::Pool::single()).unwrap();
            result.as_slice::<f32>().unwrap().to_vec()
        });
        assert_eq!(results[0], results[1], "{builtin:?}");
    }
}

#[test]
fn same_program_same_bytes() {
    let first = compile(&add_one().program, &this_machine(), &Options { keep_ir: true, ..Options::default() }).unwrap();
    let second =
        compile(&add_one().program, &this_machine(), &Options { keep_ir: true, ..Options::default() }).unwrap();
    assert_eq!(first, second);
    assert_eq!(first.ir, Some(ir(&add_one().program, &this_machine()).unwrap()));
    assert!(first.ir.is_some_and(|ir| ir.contains("define i32 @tw_unary")));
    assert!(assembly(&add_one().program, &this_machine()).unwrap().contains("tw_unary:"));
}

/// Objects link into one library when their entries have names of their own: no other symbol is seen from outside.
#[test]
fn the_entry_is_the_only_symbol_that_others_see() {
    let exp = unary(DType::F32, |x| Value::Call(Builtin::Exp, vec![x]));
    for entry in [None, Some("tw_unary__x86_64_v3__N_4".to_string())] {
        let object = compile(&exp.program, &this_machine(), &Options { entry: entry.clone(), ..Options::default() });
        let object = object.unwrap();
        let file = object::File::parse(&*object.bytes).unwrap();
        let global = file.symbols().filter(|symbol| symbol.is_global());
        let names: Vec<_> = global.map(|symbol| symbol.name().unwrap()).collect();
        assert_eq!(names, [entry.as_deref().unwrap_or("tw_unary")]);
        assert_eq!(object.entry, names[0]);
    }
}

/// The widest vectors that we accept, in every kind of instruction, on a machine without any such registers.
#[test]
fn very_wide_vectors_compile() {
    let mut b = Builder::new("wide");
    let x = b.input("x", DType::F64, &[2048]);
    let index = b.input("index", DType::I64, &[2048]);
    let y = b.output("y", DType::F64, &[2048]);
    let here = || vec![lanes_at(c(0), 1)];
    let computed = || vec![At::Indirect(load(index, here()).into())];
    let odd = || Value::Cast(DType::Bool, Box::new(load(index, here())));
    let quotient = binary(BinOp::Div, load(index, here()), load(index, vec![lanes_at(c(0), 2)]));
    b.program.body = vec![
        Op::Check {
            buffer: x,
            dim: 0,
            extent: c(128),
            value: load(index, here()),
            lanes: 128,
            mask: Some(odd()),
            report: Report { lower: c(0), unsigned: false, found_by: vec![(index, here())] },
        },
        store_if(y, computed(), 128, load_if(x, computed(), odd()), odd()),
        store(y, here(), 128, Value::Cast(DType::F64, Box::new(quotient))),
    ];
    for cpu in ["x86-64", "x86-64-v4"] {
        compile(&b.program, &target(LINUX, cpu, "", 16), &Options::default()).unwrap();
    }
}

/// Resident memory in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// What a compilation allocates is gone after it. Other tests run meanwhile, so only a leak of the size of a context shows.
#[cfg(target_os = "linux")]
#[test]
fn compilations_leave_nothing_behind() {
    let compile_many = |count: usize| {
        for _ in 0..count {
            compile(&add_one().program, &this_machine(), &Options { keep_ir: true, ..Options::default() }).unwrap();
        }
    };
    compile_many(50);
    let before = resident();
    compile_many(100);
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes more after 100 compilations");
    assert!(grown < 100 * 200_000, "{grown} bytes");
}

#[test]
fn eight_threads_compile_at_once() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..5 {
                    let number = f64::from(thread * 10 + round);
                    let b = unary(DType::F64, |x| binary(BinOp::Add, x, float(number, DType::F64)));
                    let input = runtime::tensor::Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0], &[4]).unwrap();
                    let mut result = zeros(DType::F64, &[4]);
                    b.run(&[&input], &mut [&mut result]).unwrap();
                    assert_eq!(result.as_slice::<f64>().unwrap(), [1.0, 2.0, 3.0, 4.0].map(|x| x + number));
                }
            });
        }
    });
}

/// What no checked program holds is an error that says so, not a crash in LLVM.
#[test]
fn malformed_programs_are_refused() {
    let one = |op: &dyn Fn(TensorId, TensorId) -> Op| {
        let mut b = Builder::new("malformed");
        let x = b.input("x", DType::F32, &[4]);
        let y = b.output("y", DType::F32, &[4]);
        b.program.body = vec![op(x, y)];
        b
    };
    let here = || vec![lanes_at(c(0), 1)];
    let refuses = |expected: &str, op: &dyn Fn(TensorId, TensorId) -> Op| refuses(&one(op), &this_machine(), expected);
    refuses("i0", &|_, y| store(y, vec![at(v(VarId::new(0)))], 1, float(0.0, DType::F32)));
    refuses("r7", &|_, y| store(y, here(), 1, Value::Reg(RegId::new(7))));
    refuses("r7", &|_, _| Op::Set { reg: RegId::new(7), value: float(0.0, DType::F32) });
    refuses("T9", &|_, y| store(y, here(), 1, load(TensorId::new(9), here())));
    refuses("parameter 0", &|_, y| store(y, vec![at(Int::Param(0))], 1, float(0.0, DType::F32)));
    refuses("int64", &|_, y| store(y, here(), 1, int(1, DType::I64)));
    refuses("int64", &|x, y| store(y, vec![At::Indirect(load(x, here()).into())], 1, float(0.0, DType::F32)));
    refuses("no lanes", &|_, y| store(y, here(), 0, float(0.0, DType::F32)));
    refuses("129 lanes", &|_, y| store(y, here(), 129, float(0.0, DType::F32)));
    refuses("dimensions", &|_, y| store(y, vec![], 1, float(0.0, DType::F32)));
    refuses("float32", &|x, y| store(y, here(), 4, binary(BinOp::Add, load(x, here()), float(0.0, DType::F64))));
    refuses("bool", &|x, y| store_if(y, here(), 4, load(x, here()), load(x, here())));
    refuses("And", &|x, y| store(y, here(), 4, binary(BinOp::And, load(x, here()), load(x, here()))));
    refuses("`pow`", &|x, y| store(y, here(), 4, Value::Call(Builtin::Pow, vec![load(x, here())])));
    refuses("constant 0", &|_, y| store(y, vec![at(Int::Mod(c(3).into(), 0))], 1, float(0.0, DType::F32)));
    refuses("step 0", &|_, _| Op::For {
        var: VarId::new(0),
        lower: c(0),
        upper: c(1),
        step: c(0),
        parallel: false,
        body: vec![],
    });
}

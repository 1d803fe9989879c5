//! What the tests of loops share: scripts applied, loops run by the interpreter and compared with the evaluator.

#![allow(dead_code)]

use codegen::interp::{self, Data, Tensors};
use codegen::{Options, Program, gpu, llvm};
use polyhedral::{DType, Index, Role, Scop, eval, isl, testing};
use runtime::kernel::Kernel;
use runtime::pool::Pool;
use runtime::tensor::Tensor;
use support::{Gpu, Remark, Stage, Target};
use transform::{Script, Session};

/// A machine; no test depends on it.
pub fn target() -> Target {
    Target {
        name: "test".into(),
        triple: "x86_64-unknown-linux-gnu".into(),
        cpu: "x86-64".into(),
        threads: 2,
        launch_cycles: 3000,
        vector_bytes: 32,
        vector_registers: 16,
        fma_per_cycle: 2,
        fma_latency: 4,
        caches: Vec::new(),
        features: String::new(),
    }
}

/// A program's text with a schedule of commands, for sizes; without sizes it keeps its parameters.
pub fn scheduled(text: &str, sizes: Option<&[i64]>, script: &str) -> Scop {
    let ctx = isl::Ctx::new();
    let text = testing::PROGRAMS.iter().find(|(name, _)| *name == text).map_or(text, |(_, text)| text);
    let scop = testing::scop(&ctx, text);
    let scop = sizes.map_or_else(|| scop.clone(), |sizes| scop.specialise(sizes).unwrap());
    let mut session = Session::new(scop, &target()).unwrap();
    let script: Script = script.parse().unwrap();
    session.replay(&script).unwrap_or_else(|refused| panic!("{refused}"));
    session.finish().unwrap_or_else(|refused| panic!("{refused}")).scop
}

/// A program's text without a schedule, and with the kernels of a script for a device.
pub fn mapped(text: &str, sizes: Option<&[i64]>, script: &str, device: &Gpu) -> (Scop, Scop) {
    let scop = scheduled(text, sizes, script);
    let scop = gpu_mapper::kernels(&scop, device, &mut Vec::new()).unwrap_or_else(|illegal| panic!("{illegal}"));
    scop.verify().unwrap_or_else(|error| panic!("{error}\n{scop}"));
    (scheduled(text, sizes, ""), scop)
}

/// The launches of a program with kernels.
pub fn lowered(scop: &Scop, options: &Options) -> Program {
    let program = gpu::lower(scop, options, &mut Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    program
}

/// The loops as they are scanned.
pub fn scan(scop: &Scop, options: &Options) -> (Program, Vec<Remark>) {
    let mut remarks = Vec::new();
    let program = codegen::scan(scop, options, &mut remarks).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    (program, remarks)
}

/// The loops after every pass.
pub fn lower(scop: &Scop, options: &Options) -> Program {
    let program = codegen::lower(scop, options, &mut Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    program
}

/// Small whole numbers, of floats powers of two, so that sums and quotients of these are exact in any order.
pub fn inputs(scop: &Scop, sizes: &[i64]) -> Tensors {
    let mut state = 7u64;
    let mut draw = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as i64
    };
    let given = scop.tensors.values().filter(|tensor| matches!(tensor.role, Role::Input | Role::InOut));
    given
        .map(|tensor| {
            let shape: Vec<i64> = tensor.extent.iter().map(|n| size(n, sizes)).collect();
            let count = shape.iter().product::<i64>();
            let values: Vec<i64> = (0..count).map(|_| draw() % 3 + 1).collect();
            let data = if tensor.dtype.is_float() {
                Data::from_f64s(
                    tensor.dtype,
                    &shape,
                    &values.iter().map(|&v| f64::from(1 << (v - 1))).collect::<Vec<_>>(),
                )
            } else {
                Data::from_i64s(tensor.dtype, &shape, &values)
            };
            (tensor.name.clone(), data)
        })
        .collect()
}

fn size(index: &Index, sizes: &[i64]) -> i64 {
    index.eval(&[], sizes).unwrap()
}

/// Runs a program's loops and the evaluator on the same inputs and compares every element.
#[track_caller]
pub fn agrees(scop: &Scop, program: &Program, sizes: &[i64]) {
    let inputs = inputs(scop, sizes);
    let expected = eval::run(scop, sizes, &inputs, eval::Limits::default()).unwrap();
    for seed in 0..2 {
        let actual =
            interp::interpret(program, sizes, &inputs, seed).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
        for (name, expected) in &expected {
            assert_eq!(expected.dtype, actual[name].dtype);
            if expected != &actual[name] {
                let show = |data: &Data| if data.dtype == DType::Bool { Vec::new() } else { data.to_f64s() };
                panic!("{name}: {:?}\nis not {:?}\n{program}", show(&actual[name]), show(expected));
            }
        }
    }
}

/// Runs a Scop's loops on drawn inputs. Integers must be the evaluator's; floats may differ as far as the evaluator allows.
#[track_caller]
pub fn agrees_closely(scop: &Scop, program: &Program, seed: u64) {
    let drawn = testing::random_inputs(scop, &[], seed);
    let inputs: Tensors = drawn
        .into_iter()
        .map(|input| (input.name, Data::from_f64s(input.dtype, &input.shape, &input.values)))
        .collect();
    let expected = eval::run_wide(scop, &[], &inputs, eval::Limits::default()).unwrap();
    let actual = interp::interpret(program, &[], &inputs, seed).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
    for (name, data) in &actual {
        expected.compare(name, data).unwrap_or_else(|mismatch| panic!("seed {seed}: {mismatch:?}\n{scop}\n{program}"));
    }
}

/// Compiles a program without sizes for this machine and runs it on two threads. Its tensors are `float32`, `float64` or `int32`.
pub fn run_on_machine(program: &Program, inputs: &Tensors) -> Tensors {
    run_on_machine_with(program, &[], inputs)
}

/// The same for values of the parameters, on which no argument's shape depends.
pub fn run_on_machine_with(program: &Program, sizes: &[i64], inputs: &Tensors) -> Tensors {
    let host = llvm::host();
    let target = Target { cpu: host.cpu, features: host.features, vector_bytes: 64, ..target() };
    let object =
        llvm::compile(program, &target, &llvm::Options::default()).unwrap_or_else(|e| panic!("{e}\n{program}"));
    let kernel = Kernel::load(&object.code(program, sizes).unwrap()).unwrap();
    let in_role = |roles: &'static [Role]| program.buffers.values().filter(move |buffer| roles.contains(&buffer.role));
    let given: Vec<Tensor> = in_role(&[Role::Input]).map(|buffer| to_tensor(&inputs[&buffer.name])).collect();
    let mut results: Vec<Tensor> = in_role(&[Role::Output, Role::InOut])
        .map(|buffer| match inputs.get(&buffer.name) {
            Some(data) => to_tensor(data),
            None => {
                let shape: Vec<i64> = buffer.extent.iter().map(|n| n.as_const().unwrap()).collect();
                to_tensor(&Data::zeros(buffer.dtype, &shape))
            }
        })
        .collect();
    let given: Vec<_> = given.iter().map(Tensor::view).collect();
    let mut views: Vec<_> = results.iter_mut().map(Tensor::view_mut).collect();
    kernel.run(&given, &mut views, &Pool::with_threads(2).unwrap()).unwrap();
    drop(views);
    in_role(&[Role::Output, Role::InOut])
        .zip(&results)
        .map(|(buffer, tensor)| (buffer.name.clone(), to_data(buffer.dtype, tensor)))
        .collect()
}

fn to_tensor(data: &Data) -> Tensor {
    let mut tensor = Tensor::zeros(data.dtype.name().parse().unwrap(), &data.shape).unwrap();
    match data.dtype {
        DType::F32 => {
            let values = data.to_f64s().into_iter().map(|value| value as f32);
            tensor.as_mut_slice::<f32>().unwrap().iter_mut().zip(values).for_each(|(to, value)| *to = value);
        }
        DType::F64 => {
            let values = data.to_f64s();
            tensor.as_mut_slice::<f64>().unwrap().copy_from_slice(&values);
        }
        _ => {
            let values = data.to_i64s().into_iter().map(|value| value as i32);
            tensor.as_mut_slice::<i32>().unwrap().iter_mut().zip(values).for_each(|(to, value)| *to = value);
        }
    }
    tensor
}

fn to_data(dtype: DType, tensor: &Tensor) -> Data {
    match dtype {
        DType::F32 => {
            let values: Vec<f64> = tensor.as_slice::<f32>().unwrap().iter().map(|&value| value.into()).collect();
            Data::from_f64s(dtype, tensor.shape(), &values)
        }
        DType::F64 => Data::from_f64s(dtype, tensor.shape(), tensor.as_slice::<f64>().unwrap()),
        _ => {
            let values: Vec<i64> = tensor.as_slice::<i32>().unwrap().iter().map(|&value| value.into()).collect();
            Data::from_i64s(dtype, tensor.shape(), &values)
        }
    }
}

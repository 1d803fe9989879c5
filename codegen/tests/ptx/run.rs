//! Programs with kernels run as PTX, on a machine of ours, and compared with the evaluator.

#![allow(dead_code)]

use std::collections::BTreeMap;

use codegen::interp::{Data, Tensors};
use codegen::{Program, gpu};
use polyhedral::{Role, Scop, eval, testing};
use runtime::device::Operand;
use support::Gpu;

use super::machine::{Module, Parameter};

/// Runs a program for these sizes. Its outputs, and the words of what a failed check reports.
pub fn run(program: &Program, device: &Gpu, sizes: &[i64], inputs: &Tensors, seed: u64) -> (Tensors, Vec<u64>) {
    let ptx = gpu::ptx(program, device).unwrap_or_else(|error| panic!("{error}\n{program}"));
    let plan = gpu::plan(program, sizes).unwrap_or_else(|error| panic!("{error}\n{program}"));
    let module = Module::parse(&ptx.text);
    let mut buffers = Vec::new();
    let mut shapes = Vec::new();
    for argument in &plan.signature.arguments {
        let dtype = program.buffers.values().find(|buffer| buffer.name == argument.name).unwrap().dtype;
        let data = inputs.get(&argument.name).cloned().unwrap_or_else(|| Data::zeros(dtype, &argument.shape));
        assert_eq!(data.shape, argument.shape);
        shapes.push((argument.name.clone(), dtype, argument.shape.clone()));
        buffers.push(data.bytes);
    }
    let workspace = buffers.len();
    buffers.push(vec![0xff; plan.workspace_bytes()]);
    let faults = buffers.len();
    buffers.push(vec![0; 8 * plan.fault_words]);
    for launch in &plan.launches {
        let kernel = &ptx.kernels[launch.kernel];
        let parameters: Vec<Parameter> = launch
            .operands
            .iter()
            .map(|operand| match *operand {
                Operand::Argument(at) => Parameter::Buffer(at, 0),
                Operand::Workspace(at) => Parameter::Buffer(workspace, plan.workspace[at].offset),
                Operand::Int(value) => Parameter::Int(value),
                Operand::Stride(at, dim) => Parameter::Int(shapes[at].2[dim + 1..].iter().product()),
                Operand::Faults => Parameter::Buffer(faults, 0),
            })
            .collect();
        let shared = kernel.dynamic_shared_bytes as usize;
        module.launch(&kernel.symbol, launch.grid, &parameters, shared, &mut buffers, seed);
    }
    let words = buffers[faults].chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    let results = shapes.into_iter().zip(buffers);
    (results.map(|((name, dtype, shape), bytes)| (name, Data { dtype, shape, bytes })).collect(), words)
}

/// Runs a program in two orders of its threads; every element is what the evaluator says.
#[track_caller]
pub fn agrees(scop: &Scop, program: &Program, sizes: &[i64], inputs: &Tensors) {
    let expected: BTreeMap<_, _> = eval::run(scop, sizes, inputs, eval::Limits::default()).unwrap();
    for (seed, device) in [(0, Gpu::volta()), (3, Gpu::hopper())] {
        let (actual, faults) = run(program, &device, sizes, inputs, seed);
        assert!(faults.iter().all(|word| *word == 0), "{faults:?}\n{program}");
        for (name, expected) in &expected {
            if *expected != actual[name] {
                let text = gpu::ptx(program, &device).unwrap().text;
                panic!("{name}: {:?}\nis not {:?}\n{program}\n{text}", actual[name].to_f64s(), expected.to_f64s());
            }
        }
    }
}

/// The same for a program without parameters and drawn inputs, as closely as the evaluator allows; otherwise what function
/// there is no PTX for.
#[track_caller]
pub fn agrees_closely(scop: &Scop, program: &Program, seed: u64) -> Result<(), String> {
    if let Err(codegen::llvm::Error::Unsupported(why)) = gpu::ptx(program, &Gpu::cuda()) {
        return Err(why);
    }
    let drawn = testing::random_inputs(scop, &[], seed).into_iter();
    let inputs = drawn.map(|input| (input.name, Data::from_f64s(input.dtype, &input.shape, &input.values))).collect();
    let expected = eval::run_wide(scop, &[], &inputs, eval::Limits::default()).unwrap();
    let (actual, _) = run(program, &Gpu::cuda(), &[], &inputs, seed);
    for buffer in program.buffers.values().filter(|buffer| matches!(buffer.role, Role::Output | Role::InOut)) {
        let compared = expected.compare(&buffer.name, &actual[&buffer.name]);
        compared.unwrap_or_else(|mismatch| panic!("seed {seed}: {mismatch:?}\n{scop}\n{program}"));
    }
    Ok(())
}

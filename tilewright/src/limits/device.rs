//! What a device can do at most: kernels of ours that do nothing else.

use std::time::Duration;

use codegen::gpu::Kernels;
use codegen::{Int, Launch, Op, Program, RegId, Value, VarId};
use polyhedral::{BinOp, DType, Role};
use support::{Gpu, Stage};

use super::{Limits, Maker, filled, load, plus, serial, store, sum, times};
use crate::device::{error, no_code};
use crate::{Compiler, DeviceTensor, Error, Result};

/// Bytes of both tensors of a copy, at least and at most.
const FOOTPRINTS: std::ops::RangeInclusive<f64> = 8e6..=1e9;
/// Threads of a block.
const THREADS: i64 = 256;
/// Independent chains of multiply-adds of a thread: what hides their latency beside the threads.
const CHAINS: i64 = 8;
/// Multiply-adds of a chain.
const STEPS: i64 = 512;
/// Blocks for each multiprocessor, of the operations: enough that the last ones do not count.
const WAVES: i64 = 16;
/// Runs of which the shortest counts.
const RUNS: usize = 5;

pub(super) fn measure(compiler: &Compiler, dtype: DType, footprint: f64) -> Result<Limits> {
    let Some((device, gpu)) = compiler.device().zip(compiler.gpu()) else {
        return Err(Error::bug("limits of a device without a device"));
    };
    let threads = THREADS.min(gpu.threads);
    let lanes = (gpu.access_bytes / 4).max(1);
    let elements = (footprint.clamp(*FOOTPRINTS.start(), *FOOTPRINTS.end()) / 8.0) as i64;
    let blocks = (elements / (threads * lanes)).max(1);
    let elements = blocks * threads * lanes;
    let copy = copy_program(blocks, threads, lanes);
    let seconds = shortest(compiler, gpu, &copy, (DType::F32, elements), (DType::F32, elements))?;
    let copied_bytes = (8 * elements) as f64 / seconds;
    let float = if dtype == DType::F64 && device.about().float64 { DType::F64 } else { DType::F32 };
    let blocks = WAVES * gpu.multiprocessors.max(1);
    let fma = fma_program(float, blocks, threads);
    let seconds = shortest(compiler, gpu, &fma, (float, 2), (float, blocks * threads))?;
    let flops = (2 * blocks * threads * CHAINS * STEPS) as f64 / seconds;
    Ok(Limits { f32_flops: flops, f64_flops: flops, read_bytes: copied_bytes, copied_bytes })
}

/// The shortest time in seconds of a program with one input and one output.
fn shortest(
    compiler: &Compiler,
    gpu: &Gpu,
    program: &Program,
    (input, read): (DType, i64),
    (output, written): (DType, i64),
) -> Result<f64> {
    let Some(device) = compiler.device() else { return Err(Error::bug("limits of a device without a device")) };
    program.verify()?;
    let code = Kernels::of(program, gpu).and_then(|kernels| kernels.code(&[])).map_err(no_code)?;
    let kernel = device.load(&code).map_err(error)?;
    let stream = device.stream().map_err(error)?;
    let source = device.upload(&stream, &filled(input, read)?.view()).map_err(error)?;
    let mut result: DeviceTensor = device.allocate(crate::convert::dtype(output), &[written]).map_err(error)?;
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let begin = stream.mark().map_err(error)?;
        kernel.launch(&stream, &[&source], &mut [&mut result]).map_err(error)?;
        let end = stream.mark().map_err(error)?;
        stream.synchronise().map_err(error)?;
        best = best.min(end.since(&begin).map_err(error)?);
    }
    Ok(best.max(Duration::from_nanos(1)).as_secs_f64())
}

/// `B[(block·threads + thread)·lanes ..] = A[…]`
fn copy_program(blocks: i64, threads: i64, lanes: i64) -> Program {
    let mut make = Maker::new("copy_bandwidth");
    let elements = blocks * threads * lanes;
    let source = make.buffer("A", DType::F32, elements, 0, Role::Input);
    let copy = make.buffer("B", DType::F32, elements, 1, Role::Output);
    let [block, thread] = ["b", "t"].map(|name| make.program.vars.push(name.into()));
    let at = plus(times(block, threads * lanes), times(thread, lanes));
    let body = vec![store(copy, at.clone(), lanes as u32, load(source, at, 1))];
    launched(make, (block, blocks), (thread, threads), body)
}

/// `x = A[0]; y = A[1]; a_i = x + i; for s { a_i = a_i·x + y }; S[block·threads + thread] = Σ a_i`
fn fma_program(dtype: DType, blocks: i64, threads: i64) -> Program {
    let mut make = Maker::new("fma_peak");
    let source = make.buffer("A", dtype, 2, 0, Role::Input);
    let sums = make.buffer("S", dtype, blocks * threads, 1, Role::Output);
    let [block, thread, step] = ["b", "t", "s"].map(|name| make.program.vars.push(name.into()));
    let operands: Vec<RegId> = (0..2).map(|_| make.reg(dtype, 1)).collect();
    let chains: Vec<RegId> = (0..CHAINS).map(|_| make.reg(dtype, 1)).collect();
    let set = |reg, value| Op::Set { reg, value };
    let mut body: Vec<Op> =
        operands.iter().enumerate().map(|(at, &reg)| set(reg, load(source, Int::Const(at as i64), 0))).collect();
    // Each begins elsewhere: equal chains are one chain to a compiler.
    let start = |at: usize| {
        let distance = Value::Const(polyhedral::Value::Float(at as f64), dtype);
        Value::Binary(BinOp::Add, Box::new(Value::Reg(operands[0])), Box::new(distance))
    };
    body.extend(chains.iter().enumerate().map(|(at, &reg)| set(reg, start(at))));
    let [x, y] = [Value::Reg(operands[0]), Value::Reg(operands[1])].map(Box::new);
    let fma = |&reg: &RegId| set(reg, Value::MulAdd(Box::new(Value::Reg(reg)), x.clone(), y.clone()));
    body.push(serial(step, STEPS, 1, chains.iter().map(fma).collect()));
    let at = plus(times(block, threads), Int::Var(thread));
    body.push(store(sums, at, 1, sum(&chains)));
    launched(make, (block, blocks), (thread, threads), body)
}

fn launched(mut make: Maker, grid: (VarId, i64), block: (VarId, i64), body: Vec<Op>) -> Program {
    let (name, grid) = (make.program.name.clone(), vec![(grid.0, Int::Const(grid.1))]);
    make.program.body = vec![Op::Launch(Launch { name, grid, block: vec![block], shared: Vec::new(), body })];
    make.program
}

//! What this machine can do at most, measured in the same process as the kernels that are compared with it: a loop of
//! independent fused multiply-adds at full vector width, a large read and a large copy. The loops are made by our own code
//! generator, so the ceilings hold for the code that it can make.

use std::time::{Duration, Instant};

use codegen::{At, Buffer, Int, Op, Place, Program, Reg, Stride, Value};
use polyhedral::{BinOp, DType, Role, TensorId};
use runtime::{Pool, Tensor, TensorView, TensorViewMut};
use support::{Table, Target};

use crate::Result;
use crate::compile::load_program;

/// The measured ceilings of this machine with a number of threads.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Floating-point operations a second in fused multiply-adds (two each), `float32`.
    pub f32_flops: f64,
    /// The same, `float64`.
    pub f64_flops: f64,
    /// Bytes a second, the better of reading and copying from memory.
    pub bytes: f64,
}

/// Iterations of the multiply-add loop: about a millisecond, against which starting threads is little.
const FMA_STEPS: i64 = 1 << 19;
/// Elements of the streamed buffers: 64 MiB each, past most caches.
const STREAM_ELEMENTS: i64 = 16 << 20;

impl Limits {
    /// Measures for about a third of a second.
    pub fn measure(target: &Target, pool: &Pool) -> Result<Limits> {
        let threads = pool.threads() as i64;
        Ok(Limits {
            f32_flops: measure_fma(target, pool, threads, DType::F32)?,
            f64_flops: measure_fma(target, pool, threads, DType::F64)?,
            bytes: measure_read(target, pool, threads)?.max(measure_copy(target, pool, threads)?),
        })
    }

    /// The shortest time in seconds in which `flops` operations on `dtype` and `bytes` of traffic can be done.
    pub fn floor_seconds(&self, dtype: DType, flops: f64, bytes: f64) -> f64 {
        let peak = if dtype == DType::F64 { self.f64_flops } else { self.f32_flops };
        (flops / peak).max(bytes / self.bytes)
    }
}

/// The best of repeated runs, for `budget` and at least three times.
fn best(budget: Duration, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let (start, mut best, mut rounds) = (Instant::now(), f64::INFINITY, 0);
    while rounds < 3 || start.elapsed() < budget {
        let once = Instant::now();
        run()?;
        best = best.min(once.elapsed().as_secs_f64());
        rounds += 1;
    }
    Ok(best)
}

fn measure_fma(target: &Target, pool: &Pool, threads: i64, dtype: DType) -> Result<f64> {
    let lanes = target.lanes(dtype.bytes());
    // Enough independent chains for latency times throughput, and no more than fit the registers beside two operands.
    let chains = (target.fma_per_cycle * target.fma_latency * 3 / 2).min(target.vector_registers - 3);
    let kernel = load_program(&fma_program(dtype, lanes, chains, threads), &[], target)?;
    let operands = filled(dtype, 2)?;
    let mut sums = tensor_of(dtype, threads * i64::from(lanes))?;
    let seconds = best(Duration::from_millis(60), || {
        kernel.run(&[operands.view()], &mut [sums.view_mut()], pool).map_err(crate::Error::bug)
    })?;
    let flops = 2 * threads * i64::from(lanes) * i64::from(chains) * FMA_STEPS;
    Ok(flops as f64 / seconds)
}

fn tensor_of(dtype: DType, elements: i64) -> Result<Tensor> {
    Tensor::zeros(crate::convert::dtype(dtype), &[elements]).map_err(crate::Error::bug)
}

/// Halves, so that sums of products stay bounded. Zeros would do no work: untouched memory is one shared page.
fn filled(dtype: DType, elements: i64) -> Result<Tensor> {
    let tensor = match dtype {
        DType::F64 => Tensor::from_slice(&vec![0.5f64; elements as usize], &[elements]),
        _ => Tensor::from_slice(&vec![0.5f32; elements as usize], &[elements]),
    };
    tensor.map_err(crate::Error::bug)
}

fn measure_read(target: &Target, pool: &Pool, threads: i64) -> Result<f64> {
    let lanes = target.lanes(4);
    let kernel = load_program(&read_program(lanes, threads), &[], target)?;
    let source = filled(DType::F32, STREAM_ELEMENTS)?;
    let mut sums = tensor_of(DType::F32, threads * i64::from(lanes))?;
    let seconds = best(Duration::from_millis(80), || {
        kernel.run(&[source.view()], &mut [sums.view_mut()], pool).map_err(crate::Error::bug)
    })?;
    Ok((STREAM_ELEMENTS * 4) as f64 / seconds)
}

fn measure_copy(target: &Target, pool: &Pool, threads: i64) -> Result<f64> {
    let kernel = load_program(&copy_program(target.lanes(4), threads), &[], target)?;
    let source = filled(DType::F32, STREAM_ELEMENTS)?;
    let mut copy = tensor_of(DType::F32, STREAM_ELEMENTS)?;
    let seconds = best(Duration::from_millis(80), || {
        let inputs: [TensorView<'_>; 1] = [source.view()];
        let outputs: &mut [TensorViewMut<'_>] = &mut [copy.view_mut()];
        kernel.run(&inputs, outputs, pool).map_err(crate::Error::bug)
    })?;
    Ok((2 * STREAM_ELEMENTS * 4) as f64 / seconds)
}

/// `for t in 0..threads parallel { x = A[0]; y = A[1]; a0.. = x; for s { a_i = a_i·x + y }; S[t·lanes..] = Σ a_i }`
fn fma_program(dtype: DType, lanes: u32, chains: u32, threads: i64) -> Program {
    let mut make = Maker::new("fma_peak");
    let source = make.buffer("A", dtype, 2, 0, Role::Input);
    let sums = make.buffer("S", dtype, threads * i64::from(lanes), 1, Role::Output);
    let thread = make.program.vars.push("t".into());
    let step = make.program.vars.push("s".into());
    let operands: Vec<_> = (0..2).map(|_| make.reg(dtype, lanes)).collect();
    let chains: Vec<_> = (0..chains).map(|_| make.reg(dtype, lanes)).collect();
    let mut body = Vec::new();
    for (at, &reg) in operands.iter().enumerate() {
        body.push(Op::Set { reg, value: load(source, Int::Const(at as i64), 0) });
    }
    body.extend(chains.iter().map(|&reg| Op::Set { reg, value: Value::Reg(operands[0]) }));
    let [x, y] = [Value::Reg(operands[0]), Value::Reg(operands[1])];
    let fma = |&reg| Op::Set {
        reg,
        value: Value::MulAdd(Box::new(Value::Reg(reg)), Box::new(x.clone()), Box::new(y.clone())),
    };
    body.push(serial(step, FMA_STEPS, 1, chains.iter().map(fma).collect()));
    body.push(store(sums, times(thread, lanes.into()), lanes, sum(&chains)));
    make.parallel(thread, threads, body)
}

/// `for t in 0..threads parallel { for s { a_i += A[t·share + s + i·lanes ..] }; S[t·lanes..] = Σ a_i }`
fn read_program(lanes: u32, threads: i64) -> Program {
    const CHAINS: i64 = 8;
    let mut make = Maker::new("read_bandwidth");
    let source = make.buffer("A", DType::F32, STREAM_ELEMENTS, 0, Role::Input);
    let sums = make.buffer("S", DType::F32, threads * i64::from(lanes), 1, Role::Output);
    let thread = make.program.vars.push("t".into());
    let step = make.program.vars.push("s".into());
    let chains: Vec<_> = (0..CHAINS).map(|_| make.reg(DType::F32, lanes)).collect();
    let zero = Value::Const(polyhedral::Value::Float(0.0), DType::F32);
    let mut body: Vec<Op> = chains.iter().map(|&reg| Op::Set { reg, value: zero.clone() }).collect();
    let stride = CHAINS * i64::from(lanes);
    let share = STREAM_ELEMENTS / threads / stride * stride;
    let add = |(at, &reg): (usize, _)| {
        let from = plus(plus(times(thread, share), Int::Var(step)), Int::Const(at as i64 * i64::from(lanes)));
        Op::Set { reg, value: Value::Binary(BinOp::Add, Box::new(Value::Reg(reg)), Box::new(load(source, from, 1))) }
    };
    body.push(serial(step, share, stride, chains.iter().enumerate().map(add).collect()));
    body.push(store(sums, times(thread, lanes.into()), lanes, sum(&chains)));
    make.parallel(thread, threads, body)
}

/// `for t in 0..threads parallel { for s { B[t·share + s ..] = A[t·share + s ..] } }`
fn copy_program(lanes: u32, threads: i64) -> Program {
    let mut make = Maker::new("copy_bandwidth");
    let source = make.buffer("A", DType::F32, STREAM_ELEMENTS, 0, Role::Input);
    let copy = make.buffer("B", DType::F32, STREAM_ELEMENTS, 1, Role::Output);
    let thread = make.program.vars.push("t".into());
    let step = make.program.vars.push("s".into());
    let share = STREAM_ELEMENTS / threads / i64::from(lanes) * i64::from(lanes);
    let at = || plus(times(thread, share), Int::Var(step));
    let body = vec![store(copy, at(), lanes, load(source, at(), 1))];
    make.parallel(thread, threads, vec![serial(step, share, lanes.into(), body)])
}

struct Maker {
    program: Program,
}

impl Maker {
    fn new(name: &str) -> Maker {
        let program = Program {
            name: name.into(),
            params: Vec::new(),
            buffers: Table::new(),
            vars: Table::new(),
            regs: Table::new(),
            body: Vec::new(),
        };
        Maker { program }
    }

    fn buffer(&mut self, name: &str, dtype: DType, extent: i64, argument: usize, role: Role) -> TensorId {
        self.program.buffers.push(Buffer {
            name: name.into(),
            dtype,
            extent: vec![Int::Const(extent)],
            strides: vec![Stride::Known(Int::Const(1))],
            place: Place::Argument(argument),
            role,
            streamed: false,
        })
    }

    fn reg(&mut self, dtype: DType, lanes: u32) -> codegen::RegId {
        self.program.regs.push(Reg { name: "a".into(), dtype, lanes })
    }

    fn parallel(mut self, var: codegen::VarId, threads: i64, body: Vec<Op>) -> Program {
        let (lower, upper) = (Int::Const(0), Int::Const(threads));
        self.program.body = vec![Op::For { var, lower, upper, step: Int::Const(1), parallel: true, body }];
        self.program
    }
}

fn serial(var: codegen::VarId, upper: i64, step: i64, body: Vec<Op>) -> Op {
    Op::For { var, lower: Int::Const(0), upper: Int::Const(upper), step: Int::Const(step), parallel: false, body }
}

fn load(buffer: TensorId, base: Int, step: i64) -> Value {
    Value::Load { buffer, at: vec![At::Affine { base, step }], mask: None }
}

fn store(buffer: TensorId, base: Int, lanes: u32, value: Value) -> Op {
    Op::Store { buffer, at: vec![At::Affine { base, step: 1 }], lanes, value, mask: None }
}

fn sum(regs: &[codegen::RegId]) -> Value {
    let mut values = regs.iter().map(|&reg| Value::Reg(reg));
    let first = values.next().expect("at least one chain");
    values.fold(first, |sum, value| Value::Binary(BinOp::Add, Box::new(sum), Box::new(value)))
}

fn times(var: codegen::VarId, factor: i64) -> Int {
    Int::Mul(Box::new(Int::Var(var)), Box::new(Int::Const(factor)))
}

fn plus(a: Int, b: Int) -> Int {
    Int::Add(Box::new(a), Box::new(b))
}

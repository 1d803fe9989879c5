//! What this machine can do at most, measured in the same process as the kernels that are compared with it: a loop of
//! independent fused multiply-adds at full vector width, and a read and a copy of as many bytes as the kernel moves, over and
//! over, so that they stay in the cache that the kernel's data would stay in. The loops are made by our own code generator,
//! so the ceilings hold for the code that it can make.

mod device;

use std::time::{Duration, Instant};

use codegen::{At, Buffer, Int, Op, Place, Program, Reg, Stride, Value};
use polyhedral::{BinOp, DType, Role, TensorId};
use runtime::{Pool, Tensor, TensorView, TensorViewMut};
use support::{Table, Target};

use crate::compile::load_program;
use crate::{Compiler, Result};

/// The measured ceilings of this machine with a number of threads.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Floating-point operations a second in fused multiply-adds (two each), `float32`.
    pub f32_flops: f64,
    /// The same, `float64`.
    pub f64_flops: f64,
    /// Bytes a second that can be read, at the footprint that was asked for.
    pub read_bytes: f64,
    /// Bytes a second that can be copied there, those read and those written counted.
    pub copied_bytes: f64,
}

/// Iterations of the multiply-add loop: about a millisecond, against which starting threads is little.
const FMA_STEPS: i64 = 1 << 19;
/// Bytes of the streamed buffers: no smaller than what a loop over several vectors is good for, and past most caches.
const FOOTPRINTS: std::ops::RangeInclusive<f64> = 4096.0..=134_217_728.0;
/// Elements that one run of a stream moves at least, in several passes: about a millisecond.
const STREAM_ELEMENTS: i64 = 8 << 20;
/// Vectors that a step moves.
const STREAM_UNROLL: i64 = 8;
/// Places that are walked over at once, as kernels with several tensors do: more than one keeps more of memory busy.
const STREAM_PLACES: i64 = 4;
/// How long each of the four measurements takes.
const BUDGET: Duration = Duration::from_millis(40);

impl Limits {
    /// Measures for about a fifth of a second; bandwidths where `footprint` bytes, all tensors together, are
    /// in use (`f64::INFINITY`: those of memory).
    pub fn measure(target: &Target, pool: &Pool, footprint: f64) -> Result<Limits> {
        let threads = pool.threads() as i64;
        let elements = (footprint.clamp(*FOOTPRINTS.start(), *FOOTPRINTS.end()) / 4.0) as i64;
        Ok(Limits {
            f32_flops: measure_fma(target, pool, threads, DType::F32)?,
            f64_flops: measure_fma(target, pool, threads, DType::F64)?,
            read_bytes: measure_stream(Stream::Read, target, pool, elements)?,
            copied_bytes: measure_stream(Stream::Copy, target, pool, elements)?,
        })
    }

    /// Operations a second on `dtype`, measured for a twentieth of a second.
    pub(crate) fn measure_flops(target: &Target, pool: &Pool, dtype: DType) -> Result<f64> {
        let dtype = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        measure_fma(target, pool, pool.threads() as i64, dtype)
    }

    /// Bytes a second that can be read or copied, whichever is more, where `footprint` bytes are in use: measured for a
    /// tenth of a second. The second number is how many bytes that was.
    pub(crate) fn measure_bytes(target: &Target, pool: &Pool, footprint: f64) -> Result<(f64, f64)> {
        let bytes = footprint.clamp(*FOOTPRINTS.start(), *FOOTPRINTS.end());
        let stream = |kind| measure_stream(kind, target, pool, (bytes / 4.0) as i64);
        Ok((stream(Stream::Read)?.max(stream(Stream::Copy)?), bytes))
    }

    /// Measures the device of a compiler for about a tenth of a second: operations on `dtype`, and a copy with which
    /// `footprint` bytes are in use. Reads count as much as the copy moves.
    ///
    /// # Errors
    /// When the compiler is for no device, and when that fails.
    pub fn measure_on(compiler: &Compiler, dtype: DType, footprint: f64) -> Result<Limits> {
        device::measure(compiler, dtype, footprint)
    }

    /// Bytes a second, the better of reading and copying.
    pub fn bytes(&self) -> f64 {
        self.read_bytes.max(self.copied_bytes)
    }

    /// Operations a second on `dtype`.
    pub fn flops(&self, dtype: DType) -> f64 {
        if dtype == DType::F64 { self.f64_flops } else { self.f32_flops }
    }

    /// The higher of each of the ceilings.
    pub fn max(self, other: Limits) -> Limits {
        Limits {
            f32_flops: self.f32_flops.max(other.f32_flops),
            f64_flops: self.f64_flops.max(other.f64_flops),
            read_bytes: self.read_bytes.max(other.read_bytes),
            copied_bytes: self.copied_bytes.max(other.copied_bytes),
        }
    }

    /// The shortest time in seconds in which `flops` operations on `dtype` and `bytes` of traffic can be done.
    pub fn floor_seconds(&self, dtype: DType, flops: f64, bytes: f64) -> f64 {
        (flops / self.flops(dtype)).max(bytes / self.bytes())
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
    let seconds =
        best(BUDGET, || kernel.run(&[operands.view()], &mut [sums.view_mut()], pool).map_err(crate::Error::bug))?;
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

/// What a stream does with the elements that it walks over.
#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Read,
    Copy,
}

fn measure_stream(kind: Stream, target: &Target, pool: &Pool, elements: i64) -> Result<f64> {
    let (threads, lanes) = (pool.threads() as i64, target.lanes(4));
    let tensors = if kind == Stream::Copy { 2 } else { 1 };
    // Of each tensor, the elements that one thread walks over in a pass: whole steps.
    let step = STREAM_UNROLL * i64::from(lanes);
    let share = (elements / tensors / threads / step).max(1) * step;
    let passes = (STREAM_ELEMENTS / (share * threads)).max(1);
    let (program, written) = match kind {
        Stream::Read => (read_program(lanes, threads, share, passes), threads * i64::from(lanes)),
        Stream::Copy => (copy_program(lanes, threads, share, passes), threads * share),
    };
    let kernel = load_program(&program, &[], target)?;
    let source = filled(DType::F32, threads * share)?;
    let mut result = tensor_of(DType::F32, written)?;
    let seconds = best(BUDGET, || {
        let inputs: [TensorView<'_>; 1] = [source.view()];
        let outputs: &mut [TensorViewMut<'_>] = &mut [result.view_mut()];
        kernel.run(&inputs, outputs, pool).map_err(crate::Error::bug)
    })?;
    Ok((tensors * threads * share * passes * 4) as f64 / seconds)
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

/// `for t in 0..threads parallel { for p in 0..passes { for s { a_i += A[t·share + s + place i ..] } }; S[..] = Σ a_i }`
fn read_program(lanes: u32, threads: i64, share: i64, passes: i64) -> Program {
    let mut make = Maker::new("read_bandwidth");
    let source = make.buffer("A", DType::F32, threads * share, 0, Role::Input);
    let sums = make.buffer("S", DType::F32, threads * i64::from(lanes), 1, Role::Output);
    let [thread, pass, step] = ["t", "p", "s"].map(|name| make.program.vars.push(name.into()));
    let chains: Vec<_> = (0..STREAM_UNROLL).map(|_| make.reg(DType::F32, lanes)).collect();
    let zero = Value::Const(polyhedral::Value::Float(0.0), DType::F32);
    let mut body: Vec<Op> = chains.iter().map(|&reg| Op::Set { reg, value: zero.clone() }).collect();
    let add = |(at, &reg): (usize, _)| {
        let from = plus(plus(times(thread, share), Int::Var(step)), place(at as i64, share, lanes));
        Op::Set { reg, value: Value::Binary(BinOp::Add, Box::new(Value::Reg(reg)), Box::new(load(source, from, 1))) }
    };
    let walk = walk(step, share, lanes, chains.iter().enumerate().map(add).collect());
    body.push(serial(pass, passes, 1, vec![walk]));
    body.push(store(sums, times(thread, lanes.into()), lanes, sum(&chains)));
    make.parallel(thread, threads, body)
}

/// `for t in 0..threads parallel { for p in 0..passes { for s { B[t·share + s + place i ..] = A[…] } } }`
fn copy_program(lanes: u32, threads: i64, share: i64, passes: i64) -> Program {
    let mut make = Maker::new("copy_bandwidth");
    let source = make.buffer("A", DType::F32, threads * share, 0, Role::Input);
    let copy = make.buffer("B", DType::F32, threads * share, 1, Role::Output);
    let [thread, pass, step] = ["t", "p", "s"].map(|name| make.program.vars.push(name.into()));
    let at = |i: i64| plus(plus(times(thread, share), Int::Var(step)), place(i, share, lanes));
    let stores = (0..STREAM_UNROLL).map(|i| store(copy, at(i), lanes, load(source, at(i), 1))).collect();
    make.parallel(thread, threads, vec![serial(pass, passes, 1, vec![walk(step, share, lanes, stores)])])
}

/// Where the `i`-th vector of a step lies behind the first.
fn place(i: i64, share: i64, lanes: u32) -> Int {
    Int::Const(i % STREAM_PLACES * (share / STREAM_PLACES) + i / STREAM_PLACES * i64::from(lanes))
}

/// The loop over a share, in all places at once.
fn walk(step: codegen::VarId, share: i64, lanes: u32, body: Vec<Op>) -> Op {
    serial(step, share / STREAM_PLACES, STREAM_UNROLL / STREAM_PLACES * i64::from(lanes), body)
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
            parts: Vec::new(),
        };
        Maker { program }
    }

    fn buffer(&mut self, name: &str, dtype: DType, extent: i64, argument: usize, role: Role) -> TensorId {
        self.program.buffers.push(Buffer {
            name: name.into(),
            dtype,
            extent: vec![Int::Const(extent)],
            strides: vec![Stride::Known(Int::Const(1))],
            rows: None,
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

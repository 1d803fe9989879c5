//! Runs a [`Program`] without LLVM: exactly what its loops say, with every access checked.
//!
//! Vectors run lane by lane after all lanes are loaded; the iterations of a parallel loop run in an order drawn from a
//! seed, so that a loop which may not be parallel is likely to give something else. Blocks and threads of kernels run in
//! such an order too, and two threads that race are a [`Fault::Race`].

mod copy;
mod kernel;
pub mod ranks;
mod scalar;
mod shared;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use polyhedral::{BinOp, DType, Role, TensorId, Value as Scalar};
use support::{Entity, with_deep_stack};

use crate::program::along_by;
use crate::{At, Buffer, Cond, Int, Op, Place, Program, RegId, Report, Value, VarId, combined_in};

pub use polyhedral::eval::{Data, Tensors};

/// Why a run stopped.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// An access outside of a buffer: a bug of whoever made the program.
    Outside {
        /// The buffer's name.
        buffer: String,
        /// The subscripts.
        at: Vec<i128>,
    },
    /// An [`Op::Check`] that does not hold.
    Index {
        /// The buffer's name.
        buffer: String,
        /// The dimension.
        dim: usize,
        /// The value that is outside, in the coordinates of the source.
        value: i128,
        /// The smallest one that is inside.
        lower: i128,
        /// One past the largest.
        upper: i128,
        /// The elements that it was computed from: their buffers' names and their subscripts.
        found_by: Vec<(String, Vec<i128>)>,
    },
    /// An argument is missing, or its type or shape is another.
    Argument(String),
    /// The program is not well formed: what is wrong.
    Malformed(String),
    /// Two threads of a kernel access one element, at least one of them writing, and nothing orders them.
    Race {
        /// The buffer's name.
        buffer: String,
        /// The position of the element, row-major.
        position: usize,
    },
    /// An element is touched while a copy of it is under way, or what is copied is written.
    UnderWay {
        /// The buffer's name.
        buffer: String,
        /// The position of the element, row-major.
        position: usize,
    },
    /// A rank waits for an element of a message, and all others wait or have ended.
    Deadlock {
        /// The number of the rank.
        rank: i64,
        /// The message's name.
        buffer: String,
        /// The position of the element, row-major.
        position: usize,
    },
    /// An element of a message is sent twice, or never received.
    LeftOver {
        /// The message's name.
        buffer: String,
        /// The position of the element, row-major.
        position: usize,
    },
    /// A rank touches what another one has.
    OtherRank {
        /// The number of the rank.
        rank: i64,
        /// The buffer's name.
        buffer: String,
        /// The position of the element, row-major.
        position: usize,
    },
    /// Another rank has failed.
    Stopped,
    /// An integer expression does not fit 64 bits.
    Overflow,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Outside { buffer, at } => write!(f, "{buffer}{at:?} is outside of {buffer}"),
            Fault::Index { buffer, dim, value, lower, upper, found_by } => {
                write!(f, "subscript {dim} of `{buffer}` is {value}, outside of {lower}..{upper}")?;
                for (position, element) in found_by.iter().enumerate() {
                    let before = if position == 0 { "; it comes from" } else { " and" };
                    write!(f, "{before} `{}`", element_text(element))?;
                }
                Ok(())
            }
            Fault::Argument(words) | Fault::Malformed(words) => f.write_str(words),
            Fault::Race { buffer, position } => write!(f, "two threads race for element {position} of {buffer}"),
            Fault::UnderWay { buffer, position } => {
                write!(f, "element {position} of {buffer} is touched while a copy is under way")
            }
            Fault::Deadlock { rank, buffer, position } => {
                write!(f, "rank {rank} waits for element {position} of {buffer}, and nobody will send it")
            }
            Fault::LeftOver { buffer, position } => {
                write!(f, "element {position} of {buffer} is sent, and not received")
            }
            Fault::OtherRank { rank, buffer, position } => {
                write!(f, "rank {rank} touches element {position} of {buffer}, which another rank has")
            }
            Fault::Stopped => f.write_str("another rank has failed"),
            Fault::Overflow => f.write_str("an integer does not fit 64 bits"),
        }
    }
}

impl std::error::Error for Fault {}

/// `I(3, 7)`.
fn element_text((buffer, at): &(String, Vec<i128>)) -> String {
    let at: Vec<String> = at.iter().map(i128::to_string).collect();
    if at.is_empty() { buffer.clone() } else { format!("{buffer}({})", at.join(", ")) }
}

/// Runs `program` for `sizes`, one for each parameter. Inputs and in-outs must be given; an output may be, which sets
/// what is in it before. Returns outputs and in-outs.
///
/// # Errors
/// See [`Fault`].
pub fn interpret(program: &Program, sizes: &[i64], inputs: &Tensors, seed: u64) -> Result<Tensors, Fault> {
    with_deep_stack(|| interpreted(program, sizes, inputs, seed))
}

fn interpreted(program: &Program, sizes: &[i64], inputs: &Tensors, seed: u64) -> Result<Tensors, Fault> {
    let mut run = Run::new(program, sizes, inputs, seed)?;
    run.ops(&program.body)?;
    let outputs = program.buffers.values().zip(run.memory);
    let outputs = outputs.filter(|(buffer, _)| matches!(buffer.role, Role::Output | Role::InOut));
    Ok(outputs.map(|(buffer, memory)| (buffer.name.clone(), memory.into_data(buffer.dtype))).collect())
}

/// A value per lane, or one for all.
type Lanes = Vec<Scalar>;

struct Run<'a> {
    program: &'a Program,
    sizes: &'a [i64],
    vars: Vec<Option<i64>>,
    regs: Vec<Option<Lanes>>,
    memory: Vec<Memory>,
    /// Of buffers that threads of a block keep across barriers, what each thread has.
    kept: BTreeMap<TensorId, Vec<Vec<Scalar>>>,
    /// Of each buffer, those with bytes of it.
    shared: Vec<Vec<TensorId>>,
    random: u64,
    /// Of the kernel that runs.
    watch: RefCell<Option<kernel::Watch>>,
    /// To the other ranks, where there are several.
    link: Option<&'a ranks::Link<'a>>,
    /// Of results, what a rank has written.
    written: BTreeSet<(TensorId, usize)>,
}

struct Memory {
    extent: Vec<i64>,
    /// The extents of the tensor.
    shape: Vec<i64>,
    elements: Vec<Scalar>,
    /// Whether something was stored since it had nothing: of a buffer that shares bytes.
    is_written: bool,
}

impl Memory {
    fn into_data(self, dtype: DType) -> Data {
        scalar::to_data(dtype, &self.shape, &self.elements)
    }

    /// The position of an element; `None` outside.
    fn position(&self, at: &[i128]) -> Option<usize> {
        if at.len() != self.extent.len() {
            return None;
        }
        at.iter().zip(&self.extent).try_fold(0usize, |position, (&at, &extent)| {
            let inside = (0..i128::from(extent)).contains(&at);
            inside.then(|| position * extent as usize + at as usize)
        })
    }
}

/// More elements than any test has; beyond, a run would only exhaust memory.
const MOST_ELEMENTS: i64 = 1 << 26;

impl<'a> Run<'a> {
    fn new(program: &'a Program, sizes: &'a [i64], inputs: &Tensors, seed: u64) -> Result<Run<'a>, Fault> {
        if sizes.len() != program.params.len() {
            return Err(Fault::Argument(format!("{} sizes for {} parameters", sizes.len(), program.params.len())));
        }
        let mut run = Run {
            program,
            sizes,
            vars: vec![None; program.vars.len()],
            regs: vec![None; program.regs.len()],
            memory: Vec::new(),
            random: seed,
            kept: BTreeMap::new(),
            shared: Vec::new(),
            watch: RefCell::new(None),
            link: None,
            written: BTreeSet::new(),
        };
        for buffer in program.buffers.values() {
            let memory = run.memory_of(buffer, inputs.get(&buffer.name))?;
            run.memory.push(memory);
        }
        run.find_shared()?;
        Ok(run)
    }
}

impl Run<'_> {
    fn memory_of(&self, buffer: &Buffer, given: Option<&Data>) -> Result<Memory, Fault> {
        let extent = buffer.extent.iter().map(|n| self.int(n)).collect::<Result<Vec<i64>, _>>()?;
        let shape = buffer.shape().iter().map(|n| self.int(n)).collect::<Result<Vec<i64>, _>>()?;
        let count = extent.iter().try_fold(1i64, |all, &n| all.checked_mul(n.max(0)));
        let count = count.filter(|&n| n <= MOST_ELEMENTS).ok_or(Fault::Overflow)? as usize;
        let elements = match given {
            Some(data) if buffer.role != Role::Temporary => {
                if data.dtype != buffer.dtype || data.shape != shape {
                    return Err(Fault::Argument(format!("{} has another type or shape", buffer.name)));
                }
                scalar::of_data(data)
            }
            _ if matches!(buffer.role, Role::Input | Role::InOut) => {
                return Err(Fault::Argument(format!("{} is not given", buffer.name)));
            }
            // What nobody has written is not to be read.
            _ if matches!(buffer.place, Place::Stack | Place::Shared) => Vec::new(),
            _ if buffer.role == Role::Temporary => vec![scalar::poison(buffer.dtype); count],
            _ => vec![scalar::zero(buffer.dtype); count],
        };
        Ok(Memory { extent, shape, elements, is_written: false })
    }

    fn ops(&mut self, ops: &[Op]) -> Result<(), Fault> {
        ops.iter().try_for_each(|op| self.op(op))
    }

    fn op(&mut self, op: &Op) -> Result<(), Fault> {
        if let Some(link) = self.link {
            link.step()?;
        }
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                let mut values = self.values_of(*var, lower, upper, step)?;
                if *parallel {
                    self.parallel(*var, values.collect(), body)
                } else {
                    values.try_for_each(|value| self.iteration(*var, value, body))
                }
            }
            Op::If { cond, then, otherwise } => {
                let taken = if self.cond(cond)? { then } else { otherwise };
                self.ops(taken)
            }
            Op::Store { buffer, at, lanes, value, mask } => {
                let value = self.value(value, *lanes)?;
                let mask = self.mask(mask.as_ref(), *lanes)?;
                let at = self.subscripts(at, *lanes)?;
                for lane in 0..*lanes as usize {
                    if kept(mask.as_deref(), lane) {
                        let position = self.position(*buffer, &of_lane(&at, lane))?;
                        self.watched(*buffer, position, true)?;
                        self.put(*buffer, position, pick(&value, lane))?;
                    }
                }
                Ok(())
            }
            Op::Set { reg, value } => {
                let lanes = self.program.regs[*reg].lanes;
                self.regs[reg.index()] = Some(self.value(value, lanes)?);
                Ok(())
            }
            Op::Check { .. } => self.check(op),
            Op::Local { buffer, body } => {
                let fresh = self.poisoned(*buffer)?;
                if let Place::Workspace(_) = self.program.buffers[*buffer].place {
                    self.memory[buffer.index()].elements.clone_from(&fresh);
                    let result = self.ops(body);
                    self.memory[buffer.index()].elements = fresh;
                    return result;
                }
                let outside = std::mem::replace(&mut self.memory[buffer.index()].elements, fresh);
                let result = self.ops(body);
                self.memory[buffer.index()].elements = outside;
                result
            }
            // What it names need not be there.
            Op::Prefetch { .. } => Ok(()),
            Op::LoadBlock { regs, buffer, at, along } => {
                let loaded = (0i64..).zip(regs).map(|(distance, reg)| {
                    let lanes = self.program.regs[*reg].lanes;
                    Ok((*reg, self.load(*buffer, &along_by(at, *along, distance), None, lanes)?))
                });
                let loaded = loaded.collect::<Result<Vec<_>, Fault>>()?;
                loaded.into_iter().for_each(|(reg, lanes)| self.regs[reg.index()] = Some(lanes));
                Ok(())
            }
            Op::StoreBlock { regs, buffer, at, along } => (0i64..).zip(regs).try_for_each(|(distance, reg)| {
                let lanes = self.program.regs[*reg].lanes;
                let value = self.register(*reg)?;
                let at = self.subscripts(&along_by(at, *along, distance), lanes)?;
                (0..lanes as usize).try_for_each(|lane| {
                    let position = self.position(*buffer, &of_lane(&at, lane))?;
                    self.watched(*buffer, position, true)?;
                    self.put(*buffer, position, pick(&value, lane))
                })
            }),
            Op::Atomic { buffer, at, op, reg } => self.atomic(*buffer, at, *op, *reg),
            Op::Launch(launch) => self.launch(launch),
            Op::Copy { to, to_at, from, from_at, lanes } => self.copy((*to, to_at), (*from, from_at), *lanes),
            Op::Wait => self.wait(),
            Op::Barrier if self.link.is_some() => self.link.map_or(Ok(()), ranks::Link::barrier),
            Op::Barrier | Op::Combine { .. } => {
                Err(Fault::Malformed("a barrier outside of what all threads of a block get to".into()))
            }
        }
    }

    /// The first lane, of those that are kept, whose value is outside is a fault.
    fn check(&self, op: &Op) -> Result<(), Fault> {
        let Op::Check { buffer, dim, extent, value, lanes, mask, report } = op else { return Ok(()) };
        let value = self.value(value, *lanes)?;
        let mask = self.mask(mask.as_ref(), *lanes)?;
        let extent = i128::from(self.int(extent)?);
        for lane in (0..*lanes as usize).filter(|&lane| kept(mask.as_deref(), lane)) {
            let value = whole(pick(&value, lane))?;
            if !(0..extent).contains(&value) {
                let found_by = self.found_by(report, *lanes, lane)?;
                let (buffer, dim) = (self.program.buffers[*buffer].name.clone(), *dim);
                let lower = i128::from(self.int(&report.lower)?);
                let (mut value, upper) = (lower + value, lower + extent);
                if report.unsigned && value < 0 {
                    value += 1 << 64;
                }
                return Err(Fault::Index { buffer, dim, value, lower, upper, found_by });
            }
        }
        Ok(())
    }

    /// The elements that a checked value was computed from in one lane.
    fn found_by(&self, report: &Report, lanes: u32, lane: usize) -> Result<Vec<(String, Vec<i128>)>, Fault> {
        let one = |(buffer, at): &(TensorId, Vec<At>)| {
            let at = self.subscripts(at, lanes)?;
            let at = at.iter().map(|all| if all.len() == 1 { all[0] } else { all[lane] }).collect();
            Ok((self.program.buffers[*buffer].name.clone(), at))
        };
        report.found_by.iter().map(one).collect()
    }

    /// What is on the stack where nobody has written.
    fn poisoned(&self, buffer: TensorId) -> Result<Vec<Scalar>, Fault> {
        let row = &self.program.buffers[buffer];
        let count = row.extent.iter().try_fold(1i64, |all, n| {
            let extent = self.int(n)?.max(0);
            all.checked_mul(extent).filter(|&all| all <= MOST_ELEMENTS).ok_or(Fault::Overflow)
        })?;
        Ok(vec![scalar::poison(row.dtype); count as usize])
    }

    fn values_of(
        &self,
        var: VarId,
        lower: &Int,
        upper: &Int,
        step: &Int,
    ) -> Result<std::iter::StepBy<std::ops::Range<i64>>, Fault> {
        let (lower, upper) = (self.int(lower)?, self.int(upper)?);
        let step = usize::try_from(self.int(step)?).ok().filter(|&step| step > 0);
        let step = step.ok_or_else(|| Fault::Malformed(format!("{var}: a step below 1")))?;
        Ok((lower..upper).step_by(step))
    }

    fn iteration(&mut self, var: VarId, value: i64, body: &[Op]) -> Result<(), Fault> {
        self.vars[var.index()] = Some(value);
        let result = self.ops(body);
        self.vars[var.index()] = None;
        result
    }

    /// Runs the iterations shuffled, each with no register set.
    fn parallel(&mut self, var: VarId, mut values: Vec<i64>, body: &[Op]) -> Result<(), Fault> {
        self.shuffle(&mut values);
        let outside = std::mem::replace(&mut self.regs, vec![None; self.program.regs.len()]);
        for value in values {
            self.iteration(var, value, body)?;
            self.regs.fill(None);
        }
        self.regs = outside;
        Ok(())
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn int(&self, int: &Int) -> Result<i64, Fault> {
        int.eval(&|var| self.vars.get(var.index()).copied().flatten(), self.sizes).ok_or(Fault::Overflow)
    }

    fn cond(&self, cond: &Cond) -> Result<bool, Fault> {
        cond.eval(&|var| self.vars.get(var.index()).copied().flatten(), self.sizes).ok_or(Fault::Overflow)
    }

    fn mask(&self, mask: Option<&Value>, lanes: u32) -> Result<Option<Lanes>, Fault> {
        mask.map(|mask| self.value(mask, lanes)).transpose()
    }

    /// By dimension, then by lane.
    fn subscripts(&self, at: &[At], lanes: u32) -> Result<Vec<Vec<i128>>, Fault> {
        let one = |at: &At| match at {
            At::Affine { base, step } => {
                let base = self.int(base)?;
                Ok((0..i128::from(lanes)).map(|lane| i128::from(base) + lane * i128::from(*step)).collect())
            }
            At::Indirect(value) => {
                let value = self.value(value, lanes)?;
                (0..lanes as usize).map(|lane| whole(pick(&value, lane))).collect()
            }
        };
        at.iter().map(one).collect()
    }

    fn position(&self, buffer: TensorId, at: &[i128]) -> Result<usize, Fault> {
        let name = || self.program.buffers[buffer].name.clone();
        let memory = &self.memory[buffer.index()];
        let position = memory.position(at).ok_or_else(|| Fault::Outside { buffer: name(), at: at.to_vec() })?;
        match position < memory.elements.len() {
            true => Ok(position),
            false => Err(Fault::Malformed(format!("{} has no memory here", name()))),
        }
    }

    fn register(&self, reg: RegId) -> Result<Lanes, Fault> {
        let set = self.regs.get(reg.index()).cloned().flatten();
        set.ok_or_else(|| Fault::Malformed(format!("{reg} is read before it is set")))
    }

    fn load(&self, buffer: TensorId, at: &[At], mask: Option<&Value>, lanes: u32) -> Result<Lanes, Fault> {
        let moves = |at: &At| !matches!(at, At::Affine { step: 0, .. });
        let lanes = if mask.is_none() && !at.iter().any(moves) { 1 } else { lanes };
        let mask = self.mask(mask, lanes)?;
        let at = self.subscripts(at, lanes)?;
        let one = |lane: usize| {
            if kept(mask.as_deref(), lane) {
                let position = self.position(buffer, &of_lane(&at, lane))?;
                self.watched(buffer, position, false)?;
                if let Some(received) = self.received(buffer, position)? {
                    return Ok(received);
                }
                Ok(self.memory[buffer.index()].elements[position])
            } else {
                Ok(scalar::zero(self.program.buffers[buffer].dtype))
            }
        };
        (0..lanes as usize).map(one).collect()
    }

    fn value(&self, value: &Value, lanes: u32) -> Result<Lanes, Fault> {
        let go = |value: &Value| self.value(value, lanes);
        match value {
            Value::Const(value, dtype) => Ok(vec![scalar::constant(*value, *dtype)]),
            Value::Int { base, step } => {
                let base = self.int(base)?;
                let count = if *step == 0 { 1 } else { lanes };
                let lane = |lane: u32| step.checked_mul(i64::from(lane)).and_then(|by| base.checked_add(by));
                (0..count).map(|at| lane(at).map(|v| Scalar::Int(i128::from(v))).ok_or(Fault::Overflow)).collect()
            }
            Value::Load { buffer, at, mask } => self.load(*buffer, at, mask.as_deref(), lanes),
            Value::Reg(reg) => self.register(*reg),
            Value::Unary(op, e) => {
                let dtype = self.dtype(e)?;
                Ok(go(e)?.into_iter().map(|e| scalar::unary(*op, dtype, e)).collect())
            }
            Value::Binary(op, a, b) => {
                let dtype = self.dtype(a)?;
                Ok(lane_by_lane(&[go(a)?, go(b)?], |x| scalar::binary(*op, dtype, x[0], x[1])))
            }
            Value::Compare(op, a, b) => Ok(lane_by_lane(&[go(a)?, go(b)?], |x| scalar::compare(*op, x[0], x[1]))),
            Value::Select(c, a, b) => {
                Ok(lane_by_lane(&[go(c)?, go(a)?, go(b)?], |x| if scalar::is_true(x[0]) { x[1] } else { x[2] }))
            }
            Value::Cast(to, e) => Ok(go(e)?.into_iter().map(|e| scalar::cast(*to, e)).collect()),
            Value::Call(builtin, arguments) => {
                let dtype = arguments.first().map_or(Ok(DType::F64), |first| self.dtype(first))?;
                let arguments = arguments.iter().map(go).collect::<Result<Vec<_>, _>>()?;
                Ok(lane_by_lane(&arguments, |x| scalar::call(*builtin, dtype, x)))
            }
            Value::MulAdd(a, b, c) => {
                let dtype = self.dtype(a)?;
                Ok(lane_by_lane(&[go(a)?, go(b)?, go(c)?], |x| scalar::mul_add(dtype, x[0], x[1], x[2])))
            }
            Value::Dot { sum, left, right } => {
                let dtype = self.dtype(sum)?;
                left.iter().zip(right).try_fold(go(sum)?, |sum, (left, right)| {
                    let added = |x: &[Scalar]| {
                        let (left, right) = (scalar::cast(dtype, x[1]), scalar::cast(dtype, x[2]));
                        match dtype.is_float() {
                            true => scalar::mul_add(dtype, left, right, x[0]),
                            false => {
                                let product = scalar::binary(BinOp::Mul, dtype, left, right);
                                scalar::binary(BinOp::Add, dtype, x[0], product)
                            }
                        }
                    };
                    Ok(lane_by_lane(&[sum, go(left)?, go(right)?], added))
                })
            }
            Value::Reduce { op, value, from, to } => {
                let dtype = self.dtype(value)?;
                let all = self.value(value, *from)?;
                let all: Lanes = (0..*from as usize).map(|lane| pick(&all, lane)).collect();
                Ok(combined_in(*from, *to).iter().fold(all, |all, parts| {
                    let parts: Vec<Lanes> =
                        parts.iter().map(|part| part.iter().map(|&lane| all[lane as usize]).collect()).collect();
                    let both = |a: Lanes, b: Lanes| lane_by_lane(&[a, b], |x| scalar::binary(*op, dtype, x[0], x[1]));
                    parts.into_iter().reduce(both).unwrap_or_default()
                }))
            }
        }
    }

    fn dtype(&self, value: &Value) -> Result<DType, Fault> {
        value.dtype(self.program).ok_or_else(|| Fault::Malformed("operands of different types".into()))
    }
}

fn lane_by_lane(operands: &[Lanes], f: impl Fn(&[Scalar]) -> Scalar) -> Lanes {
    let lanes = operands.iter().map(Vec::len).max().unwrap_or(1);
    let mut arguments = Vec::with_capacity(operands.len());
    let one = |lane: usize| {
        arguments.clear();
        arguments.extend(operands.iter().map(|operand| pick(operand, lane)));
        f(&arguments)
    };
    (0..lanes).map(one).collect()
}

fn pick(value: &[Scalar], lane: usize) -> Scalar {
    if value.len() == 1 { value[0] } else { value[lane] }
}

fn kept(mask: Option<&[Scalar]>, lane: usize) -> bool {
    mask.is_none_or(|mask| scalar::is_true(pick(mask, lane)))
}

fn of_lane(at: &[Vec<i128>], lane: usize) -> Vec<i128> {
    at.iter().map(|dim| dim[lane]).collect()
}

fn whole(value: Scalar) -> Result<i128, Fault> {
    match value {
        Scalar::Int(value) => Ok(value),
        Scalar::Float(_) => Err(Fault::Malformed("a subscript that is no integer".into())),
    }
}

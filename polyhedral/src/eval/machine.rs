//! Runs a kernel's code on a batch of instances. In typed evaluation (`WIDE` is false) every result is rounded to its
//! type; in wide evaluation it is not, and every result carries a bound on its error.

use super::bounds;
use super::memory::{Buffer, Memory};
use super::numbers;
use super::program::{Batching, Code, Combine, Coordinate, Element, Instr, Kernel, Op, Place, Reg, Update, Write};
use super::wide::Carried;
use super::{EvalError, builtin};
use crate::{BinOp, Builtin, CmpOp, DType};

/// How many instances a batch holds: enough to hide the cost of an operation, few enough to stay in the first cache.
pub(super) const LANES: usize = 128;

/// The values of one register for a batch.
#[derive(Default)]
pub(super) struct Lanes {
    /// Of floating-point types.
    pub f: Vec<f64>,
    /// Of the others.
    pub i: Vec<i64>,
    /// In wide evaluation: a bound on the difference to what a correct kernel has. For `bool`, 1 where it may be either.
    pub e: Vec<f64>,
}

/// A kernel with its registers and the instances that wait in them.
pub(super) struct Batch<'a> {
    kernel: &'a Kernel,
    lanes: Vec<Lanes>,
    /// The registers of a monoid's own code.
    combine: Vec<Lanes>,
    len: usize,
    capacity: usize,
    /// Of each fill, on the row that is pushed: its value at the row's first instance, and from one to the next.
    rows: Vec<(i64, i64)>,
}

/// A computed subscript outside its tensor.
struct Fault {
    lane: usize,
    place: Place,
    value: i64,
}

impl<'a> Batch<'a> {
    pub fn new(kernel: &'a Kernel, wide: bool) -> Batch<'a> {
        let combine = match &kernel.update {
            Update::General(combine) => lanes_of(&combine.code, 1, wide),
            Update::Assign | Update::Fold(_) => Vec::new(),
        };
        let capacity = if kernel.batching == Batching::Single { 1 } else { LANES };
        let lanes = lanes_of(&kernel.code, capacity, wide);
        Batch { kernel, lanes, combine, len: 0, capacity, rows: Vec::new() }
    }

    /// Adds `count` instances, from `point` on along dimension `dim`; runs the batch whenever it is full.
    pub fn push<const WIDE: bool>(
        &mut self,
        memory: &mut Memory,
        point: &mut [i64],
        dim: usize,
        mut count: i64,
    ) -> Result<(), EvalError> {
        self.rows.clear();
        self.rows.extend(self.kernel.code.fills.iter().map(|(_, linear)| (linear.at(point), linear.stride(dim))));
        let mut done = 0i64;
        while count > 0 {
            let take = match self.kernel.batching {
                Batching::Ascending(address) => self.ascending::<WIDE>(memory, address, point, dim)?,
                Batching::Free | Batching::Single => count,
            };
            let take = take.min(count).min((self.capacity - self.len) as i64);
            for ((reg, _), &(first, stride)) in self.kernel.code.fills.iter().zip(&self.rows) {
                let base = first.wrapping_add(stride.wrapping_mul(done));
                let into = &mut self.lanes[*reg].i[self.len..self.len + take as usize];
                into.iter_mut().zip(0i64..).for_each(|(x, at)| *x = base.wrapping_add(stride.wrapping_mul(at)));
            }
            self.len += take as usize;
            (count, done) = (count - take, done + take);
            if let Some(x) = point.get_mut(dim) {
                *x += take;
            }
            if self.len == self.capacity {
                self.flush::<WIDE>(memory)?;
            }
        }
        Ok(())
    }

    /// How many of the next instances may join those that wait, the batch being run first when none may.
    fn ascending<const WIDE: bool>(
        &mut self,
        memory: &mut Memory,
        address: Reg,
        point: &[i64],
        dim: usize,
    ) -> Result<i64, EvalError> {
        let fill = self.kernel.code.fills.iter().find(|(reg, _)| *reg == address);
        let Some((_, linear)) = fill else { return Ok(1) };
        if self.len > 0 && linear.at(point) <= self.lanes[address].i[self.len - 1] {
            self.flush::<WIDE>(memory)?;
        }
        Ok(if linear.stride(dim) > 0 { i64::MAX } else { 1 })
    }

    /// Runs the instances that wait.
    pub fn flush<const WIDE: bool>(&mut self, memory: &mut Memory) -> Result<(), EvalError> {
        let len = std::mem::take(&mut self.len);
        if len == 0 {
            return Ok(());
        }
        let code = &self.kernel.code;
        for instr in &code.instrs {
            step::<WIDE>(code, instr, &mut self.lanes, len, memory)
                .map_err(|fault| self.out_of_range(memory, &fault))?;
        }
        match &self.kernel.update {
            Update::Assign => {
                for write in &self.kernel.writes {
                    assign::<WIDE>(write, &self.lanes, len, memory);
                }
            }
            Update::Fold(op) => {
                for write in &self.kernel.writes {
                    fold::<WIDE>(*op, write, &self.lanes, len, memory);
                }
            }
            Update::General(combine) => {
                for lane in 0..len {
                    general::<WIDE>(combine, &self.kernel.writes, lane, &self.lanes, &mut self.combine, memory)
                        .map_err(|fault| self.out_of_range(memory, &fault))?;
                }
            }
        }
        if WIDE {
            taint(&self.kernel.writes, &self.lanes, len, memory);
        }
        Ok(())
    }

    fn out_of_range(&self, memory: &Memory, fault: &Fault) -> EvalError {
        let Fault { lane, place, value } = *fault;
        let instance: Vec<i64> = self.kernel.dims.iter().map(|&reg| self.lanes[reg].i[lane]).collect();
        let coordinate = |coordinate: &Coordinate| match coordinate {
            Coordinate::Affine(index) => index.eval(&instance, &[]).unwrap_or(i64::MAX),
            Coordinate::Computed(reg) => self.lanes[*reg].i[lane],
        };
        let element = |element: &Element| {
            (memory.buffers[element.tensor].name.clone(), element.at.iter().map(coordinate).collect())
        };
        let found_by = self.kernel.found_by[place.found_by].iter().map(element).collect();
        EvalError::IndexOutOfRange {
            tensor: memory.buffers[place.tensor].name.clone(),
            dim: place.dim,
            value: if place.unsigned { (value as u64).into() } else { value.into() },
            lower: place.lower,
            upper: place.lower.saturating_add(place.extent),
            stmt: self.kernel.name.as_str().into(),
            instance: instance.into(),
            found_by,
        }
    }
}

fn lanes_of(code: &Code, capacity: usize, wide: bool) -> Vec<Lanes> {
    let empty = |column: &super::program::Column| {
        let (f, i) = if column.dtype.is_float() { (capacity, 0) } else { (0, capacity) };
        Lanes { f: vec![0.0; f], i: vec![0; i], e: vec![0.0; if wide { capacity } else { 0 }] }
    };
    let mut lanes: Vec<Lanes> = code.columns.iter().map(empty).collect();
    for &(reg, value) in &code.constants {
        let dtype = code.columns[reg].dtype;
        lanes[reg].f.iter_mut().for_each(|x| *x = numbers::constant_float(value, dtype));
        lanes[reg].i.iter_mut().for_each(|x| *x = numbers::constant_int(value, dtype));
    }
    lanes
}

/// One operation on the first `n` lanes.
fn step<const WIDE: bool>(
    code: &Code,
    instr: &Instr,
    lanes: &mut [Lanes],
    n: usize,
    memory: &Memory,
) -> Result<(), Fault> {
    let (before, rest) = lanes.split_at_mut(instr.into);
    let into = &mut rest[0];
    let column = code.columns[instr.into];
    match &instr.op {
        Op::Gather { tensor, address } => {
            let buffer = &memory.buffers[*tensor];
            gather::<WIDE>(buffer, &before[*address].i, into, n);
            if WIDE && !column.exact {
                bounds::gather(buffer, &before[*address], into, n);
            }
        }
        Op::Subscript { base, value, place } => {
            subscript::<WIDE>(*place, &before[*base], &before[*value], into, n)?;
        }
        Op::Neg(a) => {
            map1(&before[*a].f, &mut into.f, n, |x| -x);
            map1(&before[*a].i, &mut into.i, n, |x| numbers::wrap(column.dtype, x.wrapping_neg()));
        }
        Op::Not(a) => map1(&before[*a].i, &mut into.i, n, |x| x ^ 1),
        Op::Binary(op, a, b) => binary(*op, column.dtype, &before[*a], &before[*b], into, n),
        Op::Compare(op, a, b) => compare(*op, code.columns[*a].dtype, &before[*a], &before[*b], into, n),
        Op::Select(c, a, b) => select(&before[*c].i, &before[*a], &before[*b], into, n),
        Op::Cast(a) => cast::<WIDE>(code.columns[*a].dtype, column.dtype, &before[*a], into, n),
        Op::Call(function, arguments) => call::<WIDE>(*function, column.dtype, arguments, before, into, n),
    }
    if WIDE && !column.exact {
        bounds::propagate(code, instr, before, into, n);
    } else if !WIDE && rounds(&instr.op) {
        round(column.dtype, &mut into.f, n);
    }
    Ok(())
}

/// Whether the result of an operation on floats is rounded by the arithmetic of its type.
fn rounds(op: &Op) -> bool {
    matches!(op, Op::Binary(..) | Op::Call(..))
}

/// The arithmetic of 16-bit types is that of `float32`.
fn round(dtype: DType, x: &mut [f64], n: usize) {
    if dtype != DType::F64 {
        x.iter_mut().take(n).for_each(|x| *x = f64::from(*x as f32));
    }
}

fn map1<T: Copy, R>(a: &[T], into: &mut [R], n: usize, f: impl Fn(T) -> R) {
    for (into, &a) in into.iter_mut().zip(a).take(n) {
        *into = f(a);
    }
}

fn map2<T: Copy, R>(a: &[T], b: &[T], into: &mut [R], n: usize, f: impl Fn(T, T) -> R) {
    for ((into, &a), &b) in into.iter_mut().zip(a).zip(b).take(n) {
        *into = f(a, b);
    }
}

fn gather<const WIDE: bool>(buffer: &Buffer, address: &[i64], into: &mut Lanes, n: usize) {
    map1(address, &mut into.i, n, |at| buffer.ints[at as usize]);
    map1(address, &mut into.f, n, |at| buffer.floats[at as usize]);
    if !WIDE && matches!(buffer.dtype, DType::F16 | DType::BF16) {
        into.f.iter_mut().take(n).for_each(|x| *x = numbers::round(buffer.dtype, *x));
    }
}

fn subscript<const WIDE: bool>(
    place: Place,
    base: &Lanes,
    value: &Lanes,
    into: &mut Lanes,
    n: usize,
) -> Result<(), Fault> {
    for lane in 0..n {
        let mut subscript = value.i[lane];
        let inside =
            |subscript: i64| subscript.checked_sub(place.lower).is_some_and(|at| (0..place.extent).contains(&at));
        if !inside(subscript) {
            // Where an error decides the value, a correct kernel may well be inside.
            let ambiguous = WIDE && value.e[lane] > 0.0 && place.extent > 0;
            if !ambiguous {
                return Err(Fault { lane, place, value: subscript });
            }
            subscript = place.lower;
        }
        into.i[lane] = base.i[lane] + (subscript - place.lower) * place.stride;
    }
    Ok(())
}

fn binary(op: BinOp, dtype: DType, a: &Lanes, b: &Lanes, into: &mut Lanes, n: usize) {
    if !dtype.is_float() {
        return int_binary(op, dtype, a, b, into, n);
    }
    // Each operator gets a loop of its own.
    match op {
        BinOp::Add => map2(&a.f, &b.f, &mut into.f, n, |a, b| a + b),
        BinOp::Sub => map2(&a.f, &b.f, &mut into.f, n, |a, b| a - b),
        BinOp::Mul => map2(&a.f, &b.f, &mut into.f, n, |a, b| a * b),
        BinOp::Div => map2(&a.f, &b.f, &mut into.f, n, |a, b| a / b),
        _ => map2(&a.f, &b.f, &mut into.f, n, |a, b| numbers::float_binary(op, a, b)),
    }
}

fn int_binary(op: BinOp, dtype: DType, a: &Lanes, b: &Lanes, into: &mut Lanes, n: usize) {
    match (op, dtype) {
        (BinOp::Add, DType::I64) => map2(&a.i, &b.i, &mut into.i, n, |a, b| a.wrapping_add(b)),
        (BinOp::Mul, DType::I64) => map2(&a.i, &b.i, &mut into.i, n, |a, b| a.wrapping_mul(b)),
        (BinOp::Add, DType::I32) => map2(&a.i, &b.i, &mut into.i, n, |a, b| i64::from((a + b) as i32)),
        (BinOp::Mul, DType::I32) => map2(&a.i, &b.i, &mut into.i, n, |a, b| i64::from((a * b) as i32)),
        _ => map2(&a.i, &b.i, &mut into.i, n, |a, b| numbers::int_binary(op, dtype, a, b)),
    }
}

fn compare(op: CmpOp, dtype: DType, a: &Lanes, b: &Lanes, into: &mut Lanes, n: usize) {
    match dtype {
        DType::U64 => map2(&a.i, &b.i, &mut into.i, n, |a, b| numbers::compare(op, a as u64, b as u64) as i64),
        _ if dtype.is_float() => map2(&a.f, &b.f, &mut into.i, n, |a, b| numbers::compare(op, a, b) as i64),
        _ => map2(&a.i, &b.i, &mut into.i, n, |a, b| numbers::compare(op, a, b) as i64),
    }
}

fn select(c: &[i64], a: &Lanes, b: &Lanes, into: &mut Lanes, n: usize) {
    for (lane, x) in into.f.iter_mut().enumerate().take(n) {
        *x = if c[lane] != 0 { a.f[lane] } else { b.f[lane] };
    }
    for (lane, x) in into.i.iter_mut().enumerate().take(n) {
        *x = if c[lane] != 0 { a.i[lane] } else { b.i[lane] };
    }
}

fn cast<const WIDE: bool>(from: DType, to: DType, a: &Lanes, into: &mut Lanes, n: usize) {
    match (from.is_float(), to.is_float()) {
        (true, true) if WIDE => map1(&a.f, &mut into.f, n, |x| x),
        (true, true) => map1(&a.f, &mut into.f, n, |x| numbers::round(to, x)),
        (true, false) => map1(&a.f, &mut into.i, n, |x| numbers::float_to_int(to, x)),
        (false, true) if WIDE => map1(&a.i, &mut into.f, n, |x| numbers::int_to_f64(from, x)),
        (false, true) => map1(&a.i, &mut into.f, n, |x| numbers::int_to_float(from, to, x)),
        (false, false) => map1(&a.i, &mut into.i, n, |x| numbers::wrap(to, x)),
    }
}

fn call<const WIDE: bool>(
    function: Builtin,
    dtype: DType,
    arguments: &[Reg],
    before: &[Lanes],
    into: &mut Lanes,
    n: usize,
) {
    // Only this function's result in double precision cannot be rounded once more without harm.
    let narrow_fma = !WIDE && function == Builtin::Fma && dtype != DType::F64;
    let mut x = [0.0; 4];
    for lane in 0..n {
        for (x, &reg) in x.iter_mut().zip(arguments) {
            *x = before[reg].f[lane];
        }
        into.f[lane] = match narrow_fma {
            true => f64::from((x[0] as f32).mul_add(x[1] as f32, x[2] as f32)),
            false => builtin::call(function, dtype, &x[..arguments.len()]),
        };
    }
}

fn assign<const WIDE: bool>(write: &Write, lanes: &[Lanes], n: usize, memory: &mut Memory) {
    let buffer = &mut memory.buffers[write.tensor];
    let (address, value) = (&lanes[write.address].i[..n], &lanes[write.value]);
    for (&at, &x) in address.iter().zip(&value.f) {
        buffer.floats[at as usize] = x;
    }
    for (&at, &x) in address.iter().zip(&value.i) {
        buffer.ints[at as usize] = x;
    }
    if WIDE {
        let float = buffer.dtype.is_float();
        for (lane, &at) in address.iter().enumerate() {
            let x = if float { value.f[lane] } else { 0.0 };
            buffer.carried[at as usize] = Carried::stored(x, value.e[lane]);
        }
    }
}

fn fold<const WIDE: bool>(op: BinOp, write: &Write, lanes: &[Lanes], n: usize, memory: &mut Memory) {
    let buffer = &mut memory.buffers[write.tensor];
    let (address, term) = (&lanes[write.address].i[..n], &lanes[write.value]);
    match (buffer.dtype.is_float(), WIDE) {
        (false, _) => fold_ints::<WIDE>(op, buffer, address, term),
        (true, true) => bounds::fold(op, buffer, address, &term.f[..n], &term.e[..n]),
        (true, false) => {
            let narrow = buffer.dtype != DType::F64;
            let round = |x: f64| if narrow { f64::from(x as f32) } else { x };
            match op {
                BinOp::Add => fold_floats(buffer, address, &term.f, |v, t| round(v + t)),
                _ => fold_floats(buffer, address, &term.f, |v, t| round(numbers::float_binary(op, v, t))),
            }
        }
    }
}

/// Consecutive instances that update one element keep it in a register.
fn fold_floats(buffer: &mut Buffer, address: &[i64], terms: &[f64], f: impl Fn(f64, f64) -> f64) {
    let Some(&first) = address.first() else { return };
    let (mut at, mut value) = (first, buffer.floats[first as usize]);
    for (&next, &term) in address.iter().zip(terms) {
        if next != at {
            buffer.floats[at as usize] = value;
            (at, value) = (next, buffer.floats[next as usize]);
        }
        value = f(value, term);
    }
    buffer.floats[at as usize] = value;
}

fn fold_ints<const WIDE: bool>(op: BinOp, buffer: &mut Buffer, address: &[i64], term: &Lanes) {
    let dtype = buffer.dtype;
    for (lane, &at) in address.iter().enumerate() {
        let (state, term_value) = (buffer.ints[at as usize], term.i[lane]);
        let result = numbers::int_binary(op, dtype, state, term_value);
        if WIDE && !buffer.exact {
            let carried = &mut buffer.carried[at as usize];
            carried.e = bounds::int_binary(op, dtype, (state, carried.e), (term_value, term.e[lane]), result);
        }
        buffer.ints[at as usize] = result;
    }
}

/// One instance of a reduction with a monoid of any form.
fn general<const WIDE: bool>(
    combine: &Combine,
    writes: &[Write],
    lane: usize,
    lanes: &[Lanes],
    own: &mut [Lanes],
    memory: &mut Memory,
) -> Result<(), Fault> {
    for (component, write) in writes.iter().enumerate() {
        let buffer = &memory.buffers[write.tensor];
        let at = lanes[write.address].i[lane] as usize;
        let (state, term) = (combine.states[component], combine.terms[component]);
        let term_value = &lanes[write.value];
        if buffer.dtype.is_float() {
            own[state].f[0] = buffer.floats[at];
            own[term].f[0] = term_value.f[lane];
        } else {
            own[state].i[0] = buffer.ints[at];
            own[term].i[0] = term_value.i[lane];
        }
        if WIDE {
            own[state].e[0] = buffer.carried[at].error(&buffer.unit());
            own[term].e[0] = term_value.e[lane];
        }
    }
    for instr in &combine.code.instrs {
        step::<WIDE>(&combine.code, instr, own, 1, memory)?;
    }
    for (write, &result) in writes.iter().zip(&combine.results) {
        let buffer = &mut memory.buffers[write.tensor];
        let at = lanes[write.address].i[lane] as usize;
        let result = &own[result];
        let float = buffer.dtype.is_float();
        if float {
            buffer.floats[at] = result.f[0];
        } else {
            buffer.ints[at] = result.i[0];
        }
        if WIDE {
            // The bound already holds the rounding of the operations.
            buffer.carried[at] = Carried::picked(result.e[0]);
        }
    }
    Ok(())
}

/// A write whose place errors decide may have gone anywhere.
fn taint(writes: &[Write], lanes: &[Lanes], n: usize, memory: &mut Memory) {
    for write in writes {
        let ambiguous = lanes[write.address].e[..n].iter().any(|&e| e > 0.0);
        memory.buffers[write.tensor].tainted |= ambiguous;
    }
}

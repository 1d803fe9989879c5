use polyhedral::{BinOp, DType, TensorId, Value as Scalar};
use support::Table;

use crate::{At, Launch, Op, Place, Program, Reg, RegId, Value};

/// Does at a temporary's stores what is done at its loads, where that is a shift of integers into the range of the type
/// with the other sign: an element is stored once and loaded for every box of rows that uses it.
///
/// ```text
/// T[x] = A[x]                                        T[x] = uint8(A[x]) + uint8(128)
/// r0 = dot(r0, (uint8(T[x]) + uint8(128)) * …)  ->   r0 = dot(r0, T[x] * …)
/// ```
///
/// A shift can be taken back, so other loads get what was stored. Done for memory of the program's own that is loaded
/// without masks: what a mask leaves out is 0, which is no element's shift.
pub fn shifts(mut program: Program) -> Program {
    let own = |(id, _): &(TensorId, _)| !matches!(program.buffers[*id].place, Place::Argument(_));
    let temporaries: Vec<TensorId> = program.buffers.iter().filter(own).map(|(id, _)| id).collect();
    for buffer in temporaries {
        let mut uses = Uses { buffer, shift: None, other: false };
        uses.ops(&program.body);
        let before = program.buffers[buffer].dtype;
        let is_byte = |to: DType| matches!((before, to), (DType::I8, DType::U8) | (DType::U8, DType::I8));
        if let Some((to, by)) = uses.shift.filter(|(to, _)| is_byte(*to) && !uses.other) {
            let from = std::mem::replace(&mut program.buffers[buffer].dtype, to);
            let mut pass = Pass { buffer, from, to, by, regs: &mut program.regs };
            program.body = pass.ops(std::mem::take(&mut program.body));
        }
    }
    program
}

/// What is done with a buffer.
struct Uses {
    buffer: TensorId,
    /// The type, of as many bits, and the constant that some loads are shifted by: all that are, alike.
    shift: Option<(DType, Value)>,
    /// Something that a shift could not be taken back for.
    other: bool,
}

impl Uses {
    fn ops(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => self.ops(body),
                Op::If { then, otherwise, .. } => {
                    self.ops(then);
                    self.ops(otherwise);
                }
                Op::LoadBlock { buffer, .. } => self.other |= *buffer == self.buffer,
                Op::Prefetch { .. } | Op::StoreBlock { .. } | Op::Barrier | Op::Combine { .. } | Op::Atomic { .. } => {}
                Op::Copy { .. } | Op::Wait => {}
                Op::Set { value, .. } => self.value(value),
                Op::Store { at, value, mask, .. } => {
                    computed(at).chain([value]).chain(mask).for_each(|value| self.value(value));
                }
                Op::Check { value, mask, .. } => [value].into_iter().chain(mask).for_each(|value| self.value(value)),
            }
        }
    }

    fn value(&mut self, value: &Value) {
        if let Some((to, by)) = shift_of(value, self.buffer) {
            self.other |= self.shift.as_ref().is_some_and(|shift| *shift != (to, by.clone()));
            self.shift = Some((to, by.clone()));
            return;
        }
        if let Value::Load { buffer, mask, .. } = value {
            self.other |= *buffer == self.buffer && mask.is_some();
        }
        value.children().into_iter().for_each(|child| self.value(child));
    }
}

/// The type and the constant, when the value is an element of the buffer, taken as that type and moved by it.
fn shift_of(value: &Value, buffer: TensorId) -> Option<(DType, &Value)> {
    let Value::Binary(BinOp::Add, element, by) = value else { return None };
    // Half the range of a byte: its own opposite.
    let (Value::Cast(to, load), Value::Const(Scalar::Int(128 | -128), dtype)) = (&**element, &**by) else {
        return None;
    };
    let is_element = matches!(&**load, Value::Load { buffer: own, mask: None, .. } if *own == buffer);
    let is_byte = matches!(dtype, DType::I8 | DType::U8) && dtype == to;
    (is_element && is_byte).then_some((*to, by))
}

fn computed(at: &[At]) -> impl Iterator<Item = &Value> {
    at.iter().filter_map(|at| match at {
        At::Indirect(value) => Some(&**value),
        At::Affine { .. } => None,
    })
}

struct Pass<'a> {
    buffer: TensorId,
    from: DType,
    to: DType,
    /// Half the range of a byte.
    by: Value,
    regs: &'a mut Table<RegId, Reg>,
}

impl Pass<'_> {
    fn ops(&mut self, ops: Vec<Op>) -> Vec<Op> {
        ops.into_iter().flat_map(|op| self.op(op)).collect()
    }

    fn op(&mut self, op: Op) -> Vec<Op> {
        vec![match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                Op::For { var, lower, upper, step, parallel, body: self.ops(body) }
            }
            Op::If { cond, then, otherwise } => Op::If { cond, then: self.ops(then), otherwise: self.ops(otherwise) },
            Op::Local { buffer, body } => Op::Local { buffer, body: self.ops(body) },
            Op::Set { reg, value } => Op::Set { reg, value: self.loaded(&value) },
            Op::Store { buffer, at, lanes, value, mask } => {
                let value = self.loaded(&value);
                let value = if buffer == self.buffer { self.moved(value, self.to) } else { value };
                let at = at.into_iter().map(|at| self.subscript(at)).collect();
                Op::Store { buffer, at, lanes, value, mask: mask.map(|mask| self.loaded(&mask)) }
            }
            Op::Check { buffer, dim, extent, value, lanes, mask, report } => {
                let mask = mask.map(|mask| self.loaded(&mask));
                Op::Check { buffer, dim, extent, value: self.loaded(&value), lanes, mask, report }
            }
            Op::StoreBlock { regs, buffer, at, along } if buffer == self.buffer => {
                let mut ops = Vec::with_capacity(regs.len() + 1);
                let mut stored = Vec::with_capacity(regs.len());
                for reg in regs {
                    let row = self.regs[reg].clone();
                    let moved = self.regs.push(Reg { dtype: self.to, ..row });
                    ops.push(Op::Set { reg: moved, value: self.moved(Value::Reg(reg), self.to) });
                    stored.push(moved);
                }
                ops.push(Op::StoreBlock { regs: stored, buffer, at, along });
                return ops;
            }
            other => other,
        }]
    }

    /// The value moved by half the range, in this type.
    fn moved(&self, value: Value, to: DType) -> Value {
        let there = |value: Value| if to == self.to { Value::Cast(to, Box::new(value)) } else { value };
        let sum = Value::Binary(BinOp::Add, Box::new(there(value)), Box::new(self.by.clone()));
        if to == self.to { sum } else { Value::Cast(to, Box::new(sum)) }
    }

    /// The value with what is loaded as it was before, and without a shift of that.
    fn loaded(&self, value: &Value) -> Value {
        value.rebuild(&mut |value| match value {
            Value::Load { buffer, at, mask } if buffer == self.buffer => {
                self.moved(Value::Load { buffer, at, mask }, self.from)
            }
            Value::Binary(BinOp::Add, element, by) if *by == self.by => match self.unmoved(&element) {
                Some(load) => load,
                None => Value::Binary(BinOp::Add, element, by),
            },
            other => other,
        })
    }

    /// The load in `to(from(load + by))`.
    fn unmoved(&self, value: &Value) -> Option<Value> {
        let Value::Cast(to, value) = value else { return None };
        let Value::Cast(from, value) = &**value else { return None };
        let Value::Binary(BinOp::Add, load, by) = &**value else { return None };
        let is_load = matches!(&**load, Value::Load { buffer, .. } if *buffer == self.buffer);
        (*to == self.to && *from == self.from && **by == self.by && is_load).then(|| Value::clone(load))
    }

    fn subscript(&self, at: At) -> At {
        match at {
            At::Indirect(value) => At::Indirect(Box::new(self.loaded(&value))),
            affine => affine,
        }
    }
}

//! Which values are surely numbers, and never NaN.

use std::collections::BTreeSet;

use polyhedral::{BinOp, Value as Scalar};

use crate::{Combining, Launch, Op, Program, Reg, RegId, Value};

/// The registers of a program that never hold a NaN: where `min` and `max` need not ask.
///
/// They are the most for which each value that is set is a number as long as they are: a greatest fixpoint, as of
/// Kam and Ullman, "Monotone data flow analysis frameworks" (1977).
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    registers: BTreeSet<RegId>,
}

impl Numbers {
    /// The analysis of a program.
    pub(crate) fn of(program: &Program) -> Numbers {
        let is_float = |(_, reg): &(RegId, &Reg)| reg.dtype.is_float();
        let registers = program.regs.iter().filter(is_float).map(|(id, _)| id).collect();
        let mut numbers = Numbers { registers };
        loop {
            let before = numbers.registers.len();
            numbers.without_others(&program.body);
            if numbers.registers.len() == before {
                return numbers;
            }
        }
    }

    /// Leaves out what is set to something that may be none.
    fn without_others(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Set { reg, value } if !self.contains(value) => _ = self.registers.remove(reg),
                // Neither the other thread's values nor what becomes of them is looked at.
                Op::Combine { regs, by: Combining::Values { others, .. }, .. } => {
                    regs.iter().chain(others).for_each(|reg| _ = self.registers.remove(reg));
                }
                Op::LoadBlock { regs, .. } => regs.iter().for_each(|reg| _ = self.registers.remove(reg)),
                Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => {
                    self.without_others(body)
                }
                Op::If { then, otherwise, .. } => {
                    self.without_others(then);
                    self.without_others(otherwise);
                }
                Op::Set { .. }
                | Op::Store { .. }
                | Op::Check { .. }
                | Op::Prefetch { .. }
                | Op::StoreBlock { .. }
                | Op::Barrier
                | Op::Copy { .. }
                | Op::Wait
                | Op::Combine { .. }
                | Op::Atomic { .. } => {}
            }
        }
    }

    /// Whether every lane of a value is a number.
    pub(crate) fn contains(&self, value: &Value) -> bool {
        match value {
            Value::Const(Scalar::Float(value), _) => !value.is_nan(),
            Value::Const(Scalar::Int(_), _) => true,
            Value::Reg(reg) => self.registers.contains(reg),
            // Of two, that which is a number wins.
            Value::Binary(BinOp::Min | BinOp::Max, a, b) => self.contains(a) || self.contains(b),
            Value::Select(_, a, b) => self.contains(a) && self.contains(b),
            Value::Reduce { op: BinOp::Min | BinOp::Max, value, .. } => self.contains(value),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use polyhedral::{Builtin, DType};
    use support::Table;

    use super::*;
    use crate::Int;

    fn constant(value: f64) -> Value {
        Value::Const(Scalar::Float(value), DType::F32)
    }

    fn max(a: Value, b: Value) -> Value {
        Value::Binary(BinOp::Max, Box::new(a), Box::new(b))
    }

    /// Sets the first register before a loop in which both are set.
    fn program(first: f64, again: fn(RegId) -> Value, other: fn(RegId) -> Value) -> (Program, [RegId; 2]) {
        let mut regs = Table::new();
        let [a, b] = ["a", "b"].map(|name| regs.push(Reg { name: name.into(), dtype: DType::F32, lanes: 16 }));
        let mut vars = Table::new();
        let var = vars.push("i".into());
        let body = vec![Op::Set { reg: a, value: again(a) }, Op::Set { reg: b, value: other(a) }];
        let (lower, upper, step) = (Int::Const(0), Int::Const(9), Int::Const(1));
        let body = vec![
            Op::Set { reg: a, value: constant(first) },
            Op::For { var, lower, upper, step, parallel: false, body },
        ];
        let (name, params, buffers, parts) = ("p".into(), Vec::new(), Table::new(), Vec::new());
        (Program { name, params, buffers, vars, regs, body, parts }, [a, b])
    }

    fn any() -> Value {
        Value::Call(Builtin::Exp, vec![constant(1.0)])
    }

    #[test]
    fn what_a_number_is_joined_with_does_not_matter() {
        let (program, [a, b]) = program(f64::NEG_INFINITY, |a| max(Value::Reg(a), any()), |_| any());
        let numbers = Numbers::of(&program);
        assert!(numbers.contains(&Value::Reg(a)));
        assert!(!numbers.contains(&Value::Reg(b)));
    }

    #[test]
    fn one_nan_is_enough() {
        let (program, [a, b]) = program(f64::NAN, |a| max(Value::Reg(a), any()), Value::Reg);
        let numbers = Numbers::of(&program);
        assert!(!numbers.contains(&Value::Reg(a)) && !numbers.contains(&Value::Reg(b)));
    }
}

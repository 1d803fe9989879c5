//! Which functions a program computes lane by lane, and why.

use std::collections::BTreeSet;

use polyhedral::Builtin;
use support::Remark;

use super::formula::{Lanes, Type};
use super::formula_of;
use crate::{Op, Program, Value};

/// A remark for each function that vectors are taken apart for.
pub(crate) fn library_calls(program: &Program, fma: bool) -> Vec<Remark> {
    let mut called = BTreeSet::new();
    let mut walk = |value: &Value, lanes: u32| calls_in(value, lanes, &mut called);
    each_value(program, &program.body, &mut walk);
    let why = |builtin: &Builtin| match formula_of(*builtin, Lanes { ty: Type::F64, scale: false, library: true }) {
        Some(_) if fma => None,
        Some(_) => Some("the target has no fused multiply-add, without which the formulas are not accurate enough"),
        None if in_instructions(*builtin) => None,
        None => Some("it has no formula, only a function of the C library"),
    };
    let remark = |builtin: &Builtin| {
        why(builtin).map(|why| Remark::new("codegen", builtin.name(), "computed in the lanes of a vector at once", why))
    };
    called.iter().filter_map(remark).collect()
}

fn calls_in(value: &Value, lanes: u32, called: &mut BTreeSet<Builtin>) {
    if let Value::Call(builtin, _) = value
        && lanes > 1
    {
        called.insert(*builtin);
    }
    for child in value.children() {
        calls_in(child, value.lanes_below(lanes), called);
    }
}

/// Every value of an op, with the lanes of the op.
fn each_value(program: &Program, ops: &[Op], see: &mut impl FnMut(&Value, u32)) {
    for op in ops {
        match op {
            Op::For { body, .. } | Op::Local { body, .. } => each_value(program, body, see),
            Op::If { then, otherwise, .. } => {
                each_value(program, then, see);
                each_value(program, otherwise, see);
            }
            Op::Store { value, lanes, .. } | Op::Check { value, lanes, .. } => see(value, *lanes),
            Op::Set { reg, value } => see(value, program.regs.get(*reg).map_or(1, |reg| reg.lanes)),
            _ => {}
        }
    }
}

/// Whether a function is a few instructions of any target with vectors.
fn in_instructions(builtin: Builtin) -> bool {
    use Builtin::*;
    matches!(
        builtin,
        Sqrt | Fabs | Floor | Ceil | Trunc | Round | Rsqrt | Fdivide | Fmin | Fmax | Copysign | Fdim | Fma
    )
}

#[cfg(test)]
mod tests {
    use polyhedral::{DType, TensorId};
    use support::{Entity, Table};

    use super::*;

    /// What is said of a function at so many lanes.
    fn said(builtin: Builtin, lanes: u32, fma: bool) -> Option<String> {
        let argument = Value::Const(polyhedral::Value::Float(0.5), DType::F32);
        let value = Value::Call(builtin, vec![argument; builtin.arity()]);
        let store = Op::Store { buffer: TensorId::new(0), at: Vec::new(), lanes, value, mask: None };
        let program = Program {
            name: "one".into(),
            params: Vec::new(),
            buffers: Table::new(),
            vars: Table::new(),
            regs: Table::new(),
            body: vec![Op::If { cond: crate::Cond::All(Vec::new()), then: vec![store], otherwise: Vec::new() }],
            parts: Vec::new(),
        };
        library_calls(&program, fma).pop().map(|remark| remark.why)
    }

    #[test]
    fn only_calls_in_vectors_are_remarked() {
        assert_eq!(said(Builtin::Exp, 16, true), None);
        assert_eq!(said(Builtin::Fmax, 16, false), None);
        assert_eq!(said(Builtin::J0, 1, true), None);
        assert!(said(Builtin::J0, 16, true).is_some_and(|why| why.contains("C library")));
        assert!(said(Builtin::Exp, 16, false).is_some_and(|why| why.contains("fused multiply-add")));
    }
}

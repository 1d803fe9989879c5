//! A second evaluator, as plain as can be: every point of a box, isl asked whether it is an instance, expressions walked
//! as they are. Only for types that the random Scops have.

use std::collections::BTreeMap;

use crate::eval::{Data, Tensors};
use crate::isl::{self, Dim};
use crate::{
    Access, BinOp, Body, Builtin, CmpOp, DType, Expr, Index, Nest, Role, Scop, Stmt, StmtId, Subscript, TensorId, UnOp,
    Value,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scalar {
    Bool(bool),
    Int(DType, i128),
    F32(f32),
    F64(f64),
}

use Scalar::*;

/// The outputs and in-outs of a Scop without parameters.
pub fn run(scop: &Scop, inputs: &Tensors) -> Tensors {
    let mut naive = Naive { scop, contents: BTreeMap::new() };
    for (id, tensor) in scop.tensors.iter() {
        let shape: Vec<i64> = tensor.extent.iter().map(|index| index.eval(&[], &[]).unwrap()).collect();
        let data = inputs.get(&tensor.name).cloned().unwrap_or_else(|| Data::zeros(tensor.dtype, &shape));
        let values = data.to_f64s().into_iter().map(|value| of_f64(tensor.dtype, value)).collect();
        naive.contents.insert(id, (shape, values));
    }
    for nest in &scop.source {
        naive.nest(nest, &mut Vec::new());
    }
    let results = scop.tensors.iter().filter(|(_, tensor)| matches!(tensor.role, Role::Output | Role::InOut));
    results
        .map(|(id, tensor)| {
            let (shape, values) = &naive.contents[&id];
            let values: Vec<f64> = values.iter().map(|&value| to_f64(value)).collect();
            (tensor.name.clone(), Data::from_f64s(tensor.dtype, shape, &values))
        })
        .collect()
}

struct Naive<'a> {
    scop: &'a Scop,
    contents: BTreeMap<TensorId, (Vec<i64>, Vec<Scalar>)>,
}

impl Naive<'_> {
    fn nest(&mut self, nest: &Nest, point: &mut Vec<i64>) {
        match nest {
            Nest::Stmt(stmt) => self.instance(*stmt, point),
            Nest::Loop { body, .. } => {
                let dim = point.len() as i32;
                let bounds = |stmt: StmtId| {
                    let domain = &self.scop.stmts[stmt].domain;
                    if domain.is_empty().unwrap() {
                        return None;
                    }
                    let value = |val: isl::Val| val.to_i64().unwrap();
                    Some((value(domain.dim_min_val(dim).unwrap()), value(domain.dim_max_val(dim).unwrap())))
                };
                let all: Vec<(i64, i64)> = nest.stmts().into_iter().filter_map(bounds).collect();
                let Some(low) = all.iter().map(|(low, _)| *low).min() else { return };
                let high = all.iter().map(|(_, high)| *high).max().unwrap();
                for x in low..=high {
                    point.push(x);
                    body.iter().for_each(|nest| self.nest(nest, point));
                    point.pop();
                }
            }
        }
    }

    fn instance(&mut self, id: StmtId, point: &[i64]) {
        let stmt = &self.scop.stmts[id];
        let here = point
            .iter()
            .enumerate()
            .fold(stmt.domain.clone(), |set, (dim, &x)| set.fix(Dim::Set, dim as u32, x).unwrap());
        if here.is_empty().unwrap() {
            return;
        }
        let mut loads = Vec::new();
        for read in &stmt.reads {
            let at = self.address(stmt, read, point, &loads);
            loads.push(self.contents[&read.tensor].1[at]);
        }
        let context = Context { point, loads: &loads, states: &[], terms: &[] };
        let values: Vec<Scalar> = stmt.body.exprs().iter().map(|e| context.eval(e)).collect();
        let places: Vec<usize> = stmt.writes.iter().map(|write| self.address(stmt, write, point, &loads)).collect();
        let results = match &stmt.body {
            Body::Assign(_) => values,
            Body::Reduce { monoid, .. } => {
                let states: Vec<Scalar> =
                    stmt.writes.iter().zip(&places).map(|(write, &at)| self.contents[&write.tensor].1[at]).collect();
                let context = Context { point, loads: &[], states: &states, terms: &values };
                monoid.combine.iter().map(|e| context.eval(e)).collect()
            }
        };
        for ((write, at), result) in stmt.writes.iter().zip(places).zip(results) {
            self.contents.get_mut(&write.tensor).unwrap().1[at] = result;
        }
    }

    fn address(&self, _: &Stmt, access: &Access, point: &[i64], loads: &[Scalar]) -> usize {
        let tensor = &self.scop.tensors[access.tensor];
        let (shape, _) = &self.contents[&access.tensor];
        let context = Context { point, loads, states: &[], terms: &[] };
        let mut at = 0;
        for (dim, subscript) in access.index.iter().enumerate() {
            let value = match subscript {
                Subscript::Affine(index) => value_of(index, point),
                Subscript::Indirect(expr) => match context.eval(expr) {
                    Int(_, value) => value as i64,
                    other => panic!("{other:?} as a subscript"),
                },
            };
            let value = value - value_of(&tensor.lower[dim], &[]);
            assert!((0..shape[dim]).contains(&value), "out of range");
            at = at * shape[dim] + value;
        }
        at as usize
    }
}

fn value_of(index: &Index, point: &[i64]) -> i64 {
    index.eval(point, &[]).unwrap()
}

struct Context<'a> {
    point: &'a [i64],
    loads: &'a [Scalar],
    states: &'a [Scalar],
    terms: &'a [Scalar],
}

impl Context<'_> {
    fn eval(&self, expr: &Expr) -> Scalar {
        match expr {
            Expr::Const(Value::Int(value), dtype) => of_int(*dtype, *value),
            Expr::Const(Value::Float(value), dtype) => of_f64(*dtype, *value),
            Expr::Index(index) => Int(DType::I64, value_of(index, self.point).into()),
            Expr::Load(k) => self.loads[*k],
            Expr::State(k) => self.states[*k],
            Expr::Term(k) => self.terms[*k],
            Expr::Unary(UnOp::Not, e) => match self.eval(e) {
                Bool(value) => Bool(!value),
                other => panic!("!{other:?}"),
            },
            Expr::Unary(UnOp::Neg, e) => match self.eval(e) {
                Int(dtype, value) => of_int(dtype, -value),
                F32(value) => F32(-value),
                F64(value) => F64(-value),
                other => panic!("-{other:?}"),
            },
            Expr::Binary(op, a, b) => binary(*op, self.eval(a), self.eval(b)),
            Expr::Compare(op, a, b) => compare(*op, self.eval(a), self.eval(b)),
            Expr::Select(c, a, b) => match self.eval(c) {
                Bool(true) => self.eval(a),
                Bool(false) => self.eval(b),
                other => panic!("{other:?} ?"),
            },
            Expr::Cast(dtype, e) => cast(*dtype, self.eval(e)),
            Expr::Call(builtin, arguments) => call(*builtin, arguments.iter().map(|e| self.eval(e)).collect()),
        }
    }
}

fn binary(op: BinOp, a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Bool(a), Bool(b)) => Bool(if matches!(op, BinOp::And | BinOp::Min) { a && b } else { a || b }),
        (F32(a), F32(b)) => F32(match op {
            BinOp::Add => a + b,
            BinOp::Sub => a - b,
            BinOp::Mul => a * b,
            BinOp::Div => a / b,
            BinOp::Mod => a % b,
            BinOp::Min => a.min(b),
            _ => a.max(b),
        }),
        (F64(a), F64(b)) => F64(match op {
            BinOp::Add => a + b,
            BinOp::Sub => a - b,
            BinOp::Mul => a * b,
            BinOp::Div => a / b,
            BinOp::Mod => a % b,
            BinOp::Min => a.min(b),
            _ => a.max(b),
        }),
        (Int(dtype, a), Int(_, b)) => {
            let floor = if b == 0 { 0 } else { (a - (a % b + b) % b) / b };
            of_int(
                dtype,
                match op {
                    BinOp::Add => a + b,
                    BinOp::Sub => a - b,
                    BinOp::Mul => a.wrapping_mul(b),
                    BinOp::Div => floor,
                    BinOp::Mod if b == 0 => 0,
                    BinOp::Mod => a - b * floor,
                    BinOp::Min => a.min(b),
                    _ => a.max(b),
                },
            )
        }
        pair => panic!("{op:?} of {pair:?}"),
    }
}

fn compare(op: CmpOp, a: Scalar, b: Scalar) -> Scalar {
    let order = match (a, b) {
        (Bool(a), Bool(b)) => a.partial_cmp(&b),
        (Int(_, a), Int(_, b)) => a.partial_cmp(&b),
        (F32(a), F32(b)) => a.partial_cmp(&b),
        (F64(a), F64(b)) => a.partial_cmp(&b),
        pair => panic!("{op:?} of {pair:?}"),
    };
    Bool(match op {
        CmpOp::Lt => order.is_some_and(|order| order.is_lt()),
        CmpOp::Le => order.is_some_and(|order| order.is_le()),
        CmpOp::Gt => order.is_some_and(|order| order.is_gt()),
        CmpOp::Ge => order.is_some_and(|order| order.is_ge()),
        CmpOp::Eq => order.is_some_and(|order| order.is_eq()),
        CmpOp::Ne => order.is_none_or(|order| order.is_ne()),
    })
}

fn cast(dtype: DType, value: Scalar) -> Scalar {
    match (value, dtype.is_float()) {
        (Int(_, value), false) => of_int(dtype, value),
        (Int(_, value), true) if dtype == DType::F32 => F32(value as f32),
        (Bool(value), false) => of_int(dtype, value.into()),
        (F32(value), true) => of_f64(dtype, value.into()),
        (other, true) => of_f64(dtype, to_f64(other)),
        (other, false) => of_f64(dtype, to_f64(other)),
    }
}

fn call(builtin: Builtin, arguments: Vec<Scalar>) -> Scalar {
    let x: Vec<f64> = arguments.iter().map(|&value| to_f64(value)).collect();
    let dtype = if matches!(arguments[0], F32(_)) { DType::F32 } else { DType::F64 };
    of_f64(dtype, crate::eval::builtin::call(builtin, dtype, &x))
}

fn of_int(dtype: DType, value: i128) -> Scalar {
    let Some((low, high)) = dtype.int_range() else {
        return if dtype == DType::Bool { Bool(value != 0) } else { of_f64(dtype, value as f64) };
    };
    Int(dtype, (value - low).rem_euclid(high - low + 1) + low)
}

fn of_f64(dtype: DType, value: f64) -> Scalar {
    match dtype {
        DType::F32 => F32(value as f32),
        DType::F64 => F64(value),
        DType::Bool => Bool(value != 0.0),
        DType::F16 | DType::BF16 => panic!("{dtype} is not among the random types"),
        _ => {
            let (low, high) = dtype.int_range().unwrap();
            Int(dtype, (value as i128).clamp(low, high))
        }
    }
}

fn to_f64(value: Scalar) -> f64 {
    match value {
        Bool(value) => value as i64 as f64,
        Int(_, value) => value as f64,
        F32(value) => value.into(),
        F64(value) => value,
    }
}

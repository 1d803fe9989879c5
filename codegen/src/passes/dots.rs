use std::collections::BTreeMap;

use polyhedral::{BinOp, DType, TensorId, Value as Scalar};
use support::{DotProduct, Table};

use super::coalesce::registers_of;
use crate::{At, Buffer, Int, Op, Program, Reg, RegId, Stride, Value, Var, VarId};

/// Adds products in groups, where the target adds the products of neighbouring elements in one instruction.
///
/// ```text
/// r0 = r0 + int32(A[m, 2*k]) * int32(B[k, n .. +8, 0])
/// r0 = r0 + int32(A[m, 2*k + 1]) * int32(B[k, n .. +8, 1])
///   ->
/// r0 = dot(r0, A[m, 2*k] * B[k, n .. +8, 0], A[m, 2*k + 1] * B[k, n .. +8, 1])
/// ```
///
/// Done for updates of one register in one straight run of ops whose factors lie next to each other in memory: those of a
/// lane, and the lanes. Sums of integers wrap around, so that their order does not count; floats are taken where they are
/// multiplied and added with one rounding, which the program allows to be in any order.
///
/// Where the instruction wants one factor with a sign and one without, and both have one or both have none, the elements
/// that the lanes hold are moved by half their range: `Σ a·b = Σ a·(b + c) - c·Σ a`. The last sum is the same in all
/// lanes, and is taken away before the loop, when few registers are in use. (Quantised products are taken apart so by Jacob and others, CVPR 2018, 2.3.)
pub fn dots(mut program: Program, products: &[DotProduct]) -> Program {
    if products.is_empty() {
        return program;
    }
    let body = std::mem::take(&mut program.body);
    let mut pass = Pass { products, buffers: &program.buffers, regs: &mut program.regs, vars: &mut program.vars };
    program.body = pass.ops(body);
    program
}

struct Pass<'a> {
    products: &'a [DotProduct],
    buffers: &'a Table<TensorId, Buffer>,
    regs: &'a mut Table<RegId, Reg>,
    vars: &'a mut Table<VarId, Var>,
}

/// The loop that a run of ops is the whole body of.
struct Head<'a> {
    var: VarId,
    lower: &'a Int,
    upper: &'a Int,
    step: i64,
}

impl Pass<'_> {
    fn ops(&mut self, ops: Vec<Op>) -> Vec<Op> {
        let (mut done, mut run) = (Vec::new(), Vec::new());
        for op in ops {
            if is_straight(&op) {
                run.push(op);
                continue;
            }
            done.extend(self.run(std::mem::take(&mut run), None).0);
            done.extend(self.nested(op));
        }
        done.extend(self.run(run, None).0);
        done
    }

    fn nested(&mut self, op: Op) -> Vec<Op> {
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                let whole = body.iter().all(is_straight) && !parallel;
                let (body, mut ops) = match step.as_const().filter(|_| whole) {
                    Some(by) => {
                        let head = Head { var, lower: &lower, upper: &upper, step: by };
                        let (body, moved) = self.run(body, Some(&head));
                        (body, self.corrections(&head, &moved))
                    }
                    None => (self.ops(body), Vec::new()),
                };
                ops.push(Op::For { var, lower, upper, step, parallel, body });
                ops
            }
            Op::If { cond, then, otherwise } => {
                vec![Op::If { cond, then: self.ops(then), otherwise: self.ops(otherwise) }]
            }
            Op::Local { buffer, body } => vec![Op::Local { buffer, body: self.ops(body) }],
            other => vec![other],
        }
    }

    /// Ops that run one after the other, all that a loop holds if it is given; also the sums whose factors were moved.
    fn run(&mut self, mut ops: Vec<Op>, head: Option<&Head<'_>>) -> (Vec<Op>, Vec<Moved>) {
        let mut moved = Vec::new();
        let mut left_out = vec![false; ops.len()];
        for chain in chains(&ops) {
            let head = head.filter(|_| chain.is_alone);
            let mut terms = chain.terms.as_slice();
            while let Some((found, after)) = self.first_group(chain.reg, terms, head) {
                let (group, rest) = terms.split_at(after);
                let Some((last, others)) = group.split_last() else { break };
                others.iter().rev().take(found.left.len() - 1).for_each(|term| left_out[term.position] = true);
                let sum = Box::new(Value::Reg(chain.reg));
                ops[last.position] =
                    Op::Set { reg: chain.reg, value: Value::Dot { sum, left: found.left, right: found.right } };
                moved.extend(found.moved);
                terms = rest;
            }
        }
        let mut left_out = left_out.into_iter();
        ops.retain(|_| !left_out.next().unwrap_or(false));
        (ops, moved)
    }

    /// The first terms that one instruction adds, and how many terms end with them.
    fn first_group(&self, reg: RegId, terms: &[Term], head: Option<&Head<'_>>) -> Option<(Group, usize)> {
        (0..terms.len()).find_map(|first| {
            let fits = |product: &DotProduct| {
                let group = terms.get(first..first + product.group as usize)?;
                Some((self.group(reg, group, product, head)?, first + group.len()))
            };
            self.products.iter().find_map(fits)
        })
    }

    fn group(&self, reg: RegId, terms: &[Term], product: &DotProduct, head: Option<&Head<'_>>) -> Option<Group> {
        let Reg { dtype, lanes, .. } = self.regs[reg];
        let is_sum = dtype.name() == product.sum || (product.sum == "int32" && dtype == DType::U32);
        let factors = |of: fn(&Term) -> &Value| terms.iter().map(|term| of(term).clone()).collect::<Vec<_>>();
        let (a, b) = (factors(|term| &term.a), factors(|term| &term.b));
        let (of_a, of_b) = (self.lanes_of(&a)?, self.lanes_of(&b)?);
        if !is_sum || lanes < 2 || (of_a == LanesOf::One && of_b == LanesOf::One) {
            return None;
        }
        let (a_type, b_type) = (self.dtype(&a)?, self.dtype(&b)?);
        if (a_type.name(), b_type.name()) == (product.left, product.right) {
            return Some(Group { left: a, right: b, moved: None });
        }
        if (b_type.name(), a_type.name()) == (product.left, product.right) {
            return Some(Group { left: b, right: a, moved: None });
        }
        let (one, each) = match (of_a, of_b) {
            (LanesOf::One, LanesOf::Next) => (a, b),
            (LanesOf::Next, LanesOf::One) => (b, a),
            _ => return None,
        };
        self.moved_group(reg, (one, each), a_type, product, head.filter(|_| a_type == b_type)?)
    }

    /// The group with the factors that the lanes hold moved into the range of the other sign.
    fn moved_group(
        &self,
        reg: RegId,
        (one, each): (Vec<Value>, Vec<Value>),
        dtype: DType,
        product: &DotProduct,
        head: &Head<'_>,
    ) -> Option<Group> {
        let other = match dtype {
            DType::I8 => DType::U8,
            DType::U8 => DType::I8,
            _ => return None,
        };
        let is_left = (other.name(), dtype.name()) == (product.left, product.right);
        if !is_left && (dtype.name(), other.name()) != (product.left, product.right) {
            return None;
        }
        if !one.iter().all(|factor| moves_evenly(factor, head.var)) || !pays(head, product) {
            return None;
        }
        // Modulo 256 both are 128.
        let by = Value::Const(Scalar::Int(if other == DType::U8 { 128 } else { -128 }), other);
        let shifted = |factor: Value| {
            Value::Binary(BinOp::Add, Box::new(Value::Cast(other, Box::new(factor))), Box::new(by.clone()))
        };
        let each: Vec<Value> = each.into_iter().map(shifted).collect();
        let moved = Moved { reg, factors: one.clone(), by, is_left, lanes: product.bytes / 4 };
        let (left, right) = if is_left { (each, one) } else { (one, each) };
        Some(Group { left, right, moved: Some(moved) })
    }

    /// What the moved factors will add to sums is taken away, before the loop: whole registers of iterations in one
    /// loop, the rest in another.
    fn corrections(&mut self, head: &Head<'_>, moved: &[Moved]) -> Vec<Op> {
        let Some(lanes) = moved.first().map(|moved| moved.lanes) else { return Vec::new() };
        let wide = head.step * i64::from(lanes);
        let is_next = |moved: &Moved| self.element_step(&moved.factors, head) == Some(moved.factors.len() as i64);
        let length = (head.upper.clone() - head.lower.clone()).max(Int::Const(0));
        let blocks = if moved.iter().all(is_next) { length.floor_div(wide) } else { Int::Const(0) };
        let middle = head.lower.clone() + wide * blocks;
        let mut ops = self.correction(head, moved, lanes, (head.lower.clone(), middle.clone()));
        ops.extend(self.correction(head, moved, 1, (middle, head.upper.clone())));
        ops
    }

    /// The corrections for these iterations, so many of them at once.
    fn correction(&mut self, head: &Head<'_>, moved: &[Moved], lanes: u32, (from, to): (Int, Int)) -> Vec<Op> {
        let (mut before, mut body, mut after) = (Vec::new(), Vec::new(), Vec::new());
        if from == to {
            return before;
        }
        let here = self.vars.push(self.vars[head.var].clone());
        for moved in moved {
            let Reg { name, dtype, .. } = self.regs[moved.reg].clone();
            let sum = self.regs.push(Reg { name, dtype, lanes });
            before.push(Op::Set { reg: sum, value: Value::Const(Scalar::Int(0), dtype) });
            let factors: Vec<Value> =
                moved.factors.iter().map(|factor| along_lanes(factor, head.var, here, head.step)).collect();
            let by = vec![moved.by.clone(); factors.len()];
            let (left, right) = if moved.is_left { (by, factors) } else { (factors, by) };
            body.push(Op::Set { reg: sum, value: Value::Dot { sum: Box::new(Value::Reg(sum)), left, right } });
            let all = match lanes {
                1 => Value::Reg(sum),
                _ => Value::Reduce { op: BinOp::Add, value: Box::new(Value::Reg(sum)), from: lanes, to: 1 },
            };
            let value = Value::Binary(BinOp::Sub, Box::new(Value::Reg(moved.reg)), Box::new(all));
            after.push(Op::Set { reg: moved.reg, value });
        }
        let step = Int::Const(head.step * i64::from(lanes));
        before.push(Op::For { var: here, lower: from, upper: to, step, parallel: false, body });
        before.extend(after);
        before
    }

    /// Elements from the factors of one iteration to those of the next.
    fn element_step(&self, factors: &[Value], head: &Head<'_>) -> Option<i64> {
        let Value::Load { buffer, at, .. } = factors.first()? else { return None };
        at.iter().zip(&self.buffers[*buffer].strides).try_fold(0i64, |sum, (at, stride)| {
            let At::Affine { base, .. } = at else { return None };
            match base.weight(head.var) {
                None => Some(sum),
                Some(by) => sum.checked_add(by.checked_mul(head.step)?.checked_mul(constant(stride)?)?),
            }
        })
    }

    fn dtype(&self, factors: &[Value]) -> Option<DType> {
        let Value::Load { buffer, .. } = factors.first()? else { return None };
        Some(self.buffers[*buffer].dtype)
    }

    /// How the lanes of factors lie that are next to each other in memory; none where they are not.
    fn lanes_of(&self, factors: &[Value]) -> Option<LanesOf> {
        let [Value::Load { buffer, at, mask }, ..] = factors else { return None };
        let strides = &self.buffers[*buffer].strides;
        let step = element_step(at, strides)?;
        for (distance, factor) in (0i64..).zip(factors) {
            let Value::Load { buffer: own, at: there, mask: own_mask } = factor else { return None };
            let is_next = own == buffer && own_mask == mask && distance_of(at, there, strides) == Some(distance);
            if !is_next {
                return None;
            }
        }
        match step {
            0 if mask.is_none() => Some(LanesOf::One),
            step if step == factors.len() as i64 => Some(LanesOf::Next),
            _ => None,
        }
    }
}

/// How many whole registers of the factors that all lanes share a loop has at least, if that is known, for the sum of them
/// to be worth a loop of its own.
fn pays(head: &Head<'_>, product: &DotProduct) -> bool {
    let length = (head.upper.clone() - head.lower.clone()).as_const();
    length.is_none_or(|length| length / head.step.max(1) >= i64::from(product.bytes / 4))
}

/// Factors of one instruction.
struct Group {
    left: Vec<Value>,
    right: Vec<Value>,
    moved: Option<Moved>,
}

/// Factors whose counterparts in a sum were moved.
struct Moved {
    reg: RegId,
    /// The same in all lanes.
    factors: Vec<Value>,
    /// By how much their counterparts were moved.
    by: Value,
    /// Whether those are the left factors.
    is_left: bool,
    /// Of a register of sums.
    lanes: u32,
}

/// Where the lanes of a factor are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LanesOf {
    /// All in one place.
    One,
    /// Next to each other, each with all factors of the group.
    Next,
}

/// `reg = reg + a·b`
struct Term {
    position: usize,
    a: Value,
    b: Value,
}

/// Updates of a register with nothing between them that they could not be moved across.
struct Chain {
    reg: RegId,
    terms: Vec<Term>,
    /// Whether nothing else in the run touches the register.
    is_alone: bool,
}

fn chains(ops: &[Op]) -> Vec<Chain> {
    let mut open: BTreeMap<RegId, Vec<Term>> = BTreeMap::new();
    let mut others: Vec<RegId> = Vec::new();
    let mut closed: Vec<(RegId, Vec<Term>)> = Vec::new();
    for (position, op) in ops.iter().enumerate() {
        if let Some((reg, a, b)) = update(op) {
            open.entry(reg).or_default().push(Term { position, a, b });
            continue;
        }
        let touched = registers_of(op);
        others.extend(&touched);
        let stored = match op {
            Op::Store { buffer, .. } | Op::StoreBlock { buffer, .. } => Some(*buffer),
            _ => None,
        };
        let ends = |reg: &RegId, terms: &Vec<Term>| {
            touched.contains(reg) || terms.iter().any(|term| loads(&term.a, stored) || loads(&term.b, stored))
        };
        let ended: Vec<RegId> = open.iter().filter(|(reg, terms)| ends(reg, terms)).map(|(reg, _)| *reg).collect();
        closed.extend(ended.into_iter().filter_map(|reg| open.remove_entry(&reg)));
    }
    closed.extend(open);
    let chain = |(reg, terms)| Chain { reg, terms, is_alone: !others.contains(&reg) };
    closed.into_iter().map(chain).collect()
}

fn loads(factor: &Value, stored: Option<TensorId>) -> bool {
    matches!(factor, Value::Load { buffer, .. } if stored == Some(*buffer))
}

/// A register to which the product of two elements is added, and these.
fn update(op: &Op) -> Option<(RegId, Value, Value)> {
    let Op::Set { reg, value } = op else { return None };
    let own = |value: &Value| matches!(value, Value::Reg(own) if own == reg);
    let (a, b) = match value {
        Value::MulAdd(a, b, sum) if own(sum) => (a, b),
        Value::Binary(BinOp::Add, sum, product) | Value::Binary(BinOp::Add, product, sum) if own(sum) => {
            match &**product {
                Value::Binary(BinOp::Mul, a, b) if is_int_cast(a) => (a, b),
                _ => return None,
            }
        }
        _ => return None,
    };
    let element = |value: &Value| match value {
        Value::Cast(_, load) => Some(Value::clone(load)).filter(is_plain_load),
        _ => None,
    };
    Some((*reg, element(a)?, element(b)?))
}

fn is_int_cast(value: &Value) -> bool {
    matches!(value, Value::Cast(dtype, _) if dtype.is_int())
}

/// A load whose subscripts and mask are made of integers that no op changes.
fn is_plain_load(value: &Value) -> bool {
    let Value::Load { at, mask, .. } = value else { return false };
    at.iter().all(|at| matches!(at, At::Affine { .. })) && mask.as_deref().is_none_or(is_fixed)
}

fn is_fixed(value: &Value) -> bool {
    match value {
        Value::Load { .. } | Value::Reg(_) => false,
        other => other.children().into_iter().all(is_fixed),
    }
}

fn is_straight(op: &Op) -> bool {
    !matches!(op, Op::For { .. } | Op::If { .. } | Op::Local { .. })
}

fn constant(stride: &Stride) -> Option<i64> {
    match stride {
        Stride::Known(stride) => stride.as_const(),
        Stride::Runtime => None,
    }
}

/// Elements from one lane to the next.
fn element_step(at: &[At], strides: &[Stride]) -> Option<i64> {
    at.iter().zip(strides).try_fold(0i64, |sum, (at, stride)| match at {
        At::Affine { step: 0, .. } => Some(sum),
        At::Affine { step, .. } => sum.checked_add(step.checked_mul(constant(stride)?)?),
        At::Indirect(_) => None,
    })
}

/// Elements from one access to another whose lanes lie alike.
pub(crate) fn distance_of(from: &[At], to: &[At], strides: &[Stride]) -> Option<i64> {
    from.iter().zip(to).zip(strides).try_fold(0i64, |sum, ((from, to), stride)| {
        let (At::Affine { base: a, step }, At::Affine { base: b, step: other }) = (from, to) else { return None };
        if step != other {
            return None;
        }
        match (b.clone() - a.clone()).as_const()? {
            0 => Some(sum),
            by => sum.checked_add(by.checked_mul(constant(stride)?)?),
        }
    })
}

/// Whether each subscript of a load is a multiple of the variable and something without it.
fn moves_evenly(load: &Value, var: VarId) -> bool {
    let Value::Load { at, mask: None, .. } = load else { return false };
    at.iter().all(|at| {
        let At::Affine { base, .. } = at else { return false };
        let rest = base.clone() - base.weight(var).unwrap_or(0) * Int::Var(var);
        let mut inside = false;
        rest.each_var(&mut |own| inside |= own == var);
        !inside
    })
}

/// The element of as many iterations as there are lanes, from the one with `here` on.
fn along_lanes(load: &Value, var: VarId, here: VarId, step: i64) -> Value {
    let Value::Load { buffer, at, mask } = load else { return load.clone() };
    let moved = |at: &At| match at {
        At::Affine { base, .. } => At::Affine {
            step: base.weight(var).unwrap_or(0) * step,
            base: base.replace(&|own| Int::Var(if own == var { here } else { own })),
        },
        other => other.clone(),
    };
    Value::Load { buffer: *buffer, at: at.iter().map(moved).collect(), mask: mask.clone() }
}

//! What improves a [`Program`] without changing what it computes. Each pass is a function from program to program.

mod accumulators;
mod coalesce;
mod dots;
mod forwarding;
mod lines;
mod peel;
mod prefetches;
mod ranges;
mod registers;
mod shifts;
mod simplify;
mod split;
mod spread;
mod transposes;
mod unswitch;
mod values;

use std::collections::BTreeMap;

use polyhedral::{Kernel, Node, Scop, TensorId};
use support::{Remark, Table, with_deep_stack};

use crate::scan::{Error, Options, scan};
use crate::{At, Int, Op, Program, Report, Value, Var, VarId};
use crate::{arena, llvm};

pub use accumulators::accumulators;
pub use coalesce::coalesce;
pub(crate) use coalesce::{each_value, registers_of, renamed};
pub(crate) use dots::distance_of;
pub use dots::dots;
pub use forwarding::forwarding;
pub use lines::lines;
pub use peel::peel;
pub(crate) use prefetches::CACHE_LINE;
pub use prefetches::prefetches;
pub(crate) use ranges::Ranges;
pub use registers::registers;
pub(crate) use registers::{disjoint, registers_of_others};
pub use shifts::shifts;
pub use simplify::simplify;
pub(crate) use simplify::{simplified, substituted};
pub use split::split;
pub use spread::spread;
pub use transposes::transposes;
pub use unswitch::unswitch;
pub use values::values;

/// A scheduled Scop to loops: [`scan`], then the passes.
///
/// # Errors
/// As [`scan`].
pub fn lower(scop: &Scop, options: &Options, remarks: &mut Vec<Remark>) -> Result<Program, Error> {
    lower_part(scop, options, remarks).map(arena::planned)
}

/// The same without a plan of the workspace, for a part of a program: [`joined`](crate::joined) makes one for all parts.
///
/// # Errors
/// As [`scan`].
pub fn lower_part(scop: &Scop, options: &Options, remarks: &mut Vec<Remark>) -> Result<Program, Error> {
    with_deep_stack(|| lowered(scop, options, remarks))
}

fn lowered(scop: &Scop, options: &Options, remarks: &mut Vec<Remark>) -> Result<Program, Error> {
    let program = scan(&without_kernels(scop), options, remarks)?;
    let program = split(simplify(lines::lines_but(simplify(program), &options.kept)), remarks);
    let program = simplify(values(program));
    let program = simplify(peel(unswitch(program)));
    let program = coalesce(registers(program));
    let program = accumulators(program, options.fma);
    let program = forwarding(program);
    let program = spread(prefetches(transposes(shifts(dots(simplify(program), &options.dots)))));
    remarks.extend(llvm::library_calls(&program, options.fma));
    Ok(program)
}

/// The program without marks of kernels: a processor has none, and runs their loops one iteration after the other.
fn without_kernels(scop: &Scop) -> Scop {
    let mut scop = scop.clone();
    unmark(&mut scop.tree.root);
    scop
}

fn unmark(node: &mut Node) {
    if let Node::Mark { name, child } = node
        && Kernel::is_mark(name)
    {
        *node = std::mem::replace(&mut **child, Node::Leaf);
        return unmark(node);
    }
    node.children_mut().into_iter().for_each(unmark);
}

/// A copy of `ops` with loop variables of its own, so that both may stand in one program.
pub(crate) fn fresh_copy(ops: &[Op], vars: &mut Table<VarId, Var>) -> Vec<Op> {
    let mut renamed = BTreeMap::new();
    rename(ops, vars, &mut renamed)
}

fn rename(ops: &[Op], vars: &mut Table<VarId, Var>, renamed: &mut BTreeMap<VarId, VarId>) -> Vec<Op> {
    let mut copy = Vec::with_capacity(ops.len());
    for op in ops {
        copy.push(match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                let (lower, upper) = (replaced(lower, renamed), replaced(upper, renamed));
                let name = vars[*var].clone();
                let fresh = vars.push(name);
                renamed.insert(*var, fresh);
                let body = rename(body, vars, renamed);
                Op::For { var: fresh, lower, upper, step: step.clone(), parallel: *parallel, body }
            }
            Op::If { cond, then, otherwise } => Op::If {
                cond: cond.replace(&|var| Int::Var(renamed.get(&var).copied().unwrap_or(var))),
                then: rename(then, vars, renamed),
                otherwise: rename(otherwise, vars, renamed),
            },
            Op::Local { buffer, body } => Op::Local { buffer: *buffer, body: rename(body, vars, renamed) },
            other => map_ints(other.clone(), &|int| replaced(int, renamed)),
        });
    }
    copy
}

fn replaced(int: &Int, renamed: &BTreeMap<VarId, VarId>) -> Int {
    int.replace(&|var| Int::Var(renamed.get(&var).copied().unwrap_or(var)))
}

/// Changes every integer expression of an op that holds no other ops.
fn map_ints(op: Op, change: &dyn Fn(&Int) -> Int) -> Op {
    let value = |value: &Value| map_value(value, change);
    match op {
        Op::Store { buffer, at, lanes, value: stored, mask } => Op::Store {
            buffer,
            at: at.iter().map(|at| map_at(at, change)).collect(),
            lanes,
            value: value(&stored),
            mask: mask.as_ref().map(value),
        },
        Op::Set { reg, value: set } => Op::Set { reg, value: value(&set) },
        Op::Check { buffer, dim, extent, value: checked, lanes, mask, report } => Op::Check {
            buffer,
            dim,
            extent: change(&extent),
            value: value(&checked),
            lanes,
            mask: mask.as_ref().map(value),
            report: Report { lower: change(&report.lower), ..report.map(&|at| map_at(at, change)) },
        },
        Op::Prefetch { buffer, at, lanes } => {
            Op::Prefetch { buffer, at: at.iter().map(|at| map_at(at, change)).collect(), lanes }
        }
        Op::Copy { to, to_at, from, from_at, lanes } => {
            let all = |at: &[At]| at.iter().map(|at| map_at(at, change)).collect();
            Op::Copy { to, to_at: all(&to_at), from, from_at: all(&from_at), lanes }
        }
        Op::LoadBlock { regs, buffer, at, along } => {
            Op::LoadBlock { regs, buffer, at: at.iter().map(|at| map_at(at, change)).collect(), along }
        }
        Op::StoreBlock { regs, buffer, at, along } => {
            Op::StoreBlock { regs, buffer, at: at.iter().map(|at| map_at(at, change)).collect(), along }
        }
        Op::Atomic { buffer, at, op, reg } => {
            Op::Atomic { buffer, at: at.iter().map(|at| map_at(at, change)).collect(), op, reg }
        }
        Op::For { .. } | Op::If { .. } | Op::Local { .. } | Op::Launch(_) | Op::Barrier | Op::Combine { .. } => op,
        Op::Wait => op,
    }
}

fn map_at(at: &At, change: &dyn Fn(&Int) -> Int) -> At {
    match at {
        At::Affine { base, step } => At::Affine { base: change(base), step: *step },
        At::Indirect(value) => At::Indirect(Box::new(map_value(value, change))),
    }
}

fn map_value(value: &Value, change: &dyn Fn(&Int) -> Int) -> Value {
    value.rebuild(&mut |value| match value {
        Value::Int { base, step } => Value::Int { base: change(&base), step },
        Value::Load { buffer, at, mask } => Value::Load {
            buffer,
            at: at
                .into_iter()
                .map(|at| match at {
                    At::Affine { base, step } => At::Affine { base: change(&base), step },
                    // Its values have been rebuilt before.
                    indirect => indirect,
                })
                .collect(),
            mask,
        },
        other => other,
    })
}

impl Report {
    /// The report with other subscripts.
    fn map(&self, change: &dyn Fn(&At) -> At) -> Report {
        let one = |(buffer, at): &(TensorId, Vec<At>)| (*buffer, at.iter().map(change).collect());
        Report { lower: self.lower.clone(), unsigned: self.unsigned, found_by: self.found_by.iter().map(one).collect() }
    }

    /// The values of its computed subscripts.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.found_by.iter().flat_map(|(_, at)| at).filter_map(|at| match at {
            At::Indirect(value) => Some(&**value),
            At::Affine { .. } => None,
        })
    }
}

impl Value {
    /// Rebuilds the value bottom-up.
    pub(crate) fn rebuild(&self, change: &mut dyn FnMut(Value) -> Value) -> Value {
        self.rebuild_in(1, &mut |value, _| change(value))
    }

    /// Rebuilds the value, of an op with so many lanes, bottom-up; `change` gets each value with the lanes that it may have.
    pub(crate) fn rebuild_in(&self, lanes: u32, change: &mut dyn FnMut(Value, u32) -> Value) -> Value {
        let below = self.lanes_below(lanes);
        let mut go = |value: &Value| Box::new(value.rebuild_in(below, change));
        let rebuilt = match self {
            Value::Const(..) | Value::Int { .. } | Value::Reg(_) => self.clone(),
            Value::Load { buffer, at, mask } => Value::Load {
                buffer: *buffer,
                at: at
                    .iter()
                    .map(|at| match at {
                        At::Affine { .. } => at.clone(),
                        At::Indirect(value) => At::Indirect(go(value)),
                    })
                    .collect(),
                mask: mask.as_deref().map(&mut go),
            },
            Value::Unary(op, e) => Value::Unary(*op, go(e)),
            Value::Binary(op, a, b) => Value::Binary(*op, go(a), go(b)),
            Value::Compare(op, a, b) => Value::Compare(*op, go(a), go(b)),
            Value::Select(c, a, b) => Value::Select(go(c), go(a), go(b)),
            Value::Cast(dtype, e) => Value::Cast(*dtype, go(e)),
            Value::Call(builtin, arguments) => Value::Call(*builtin, arguments.iter().map(|e| *go(e)).collect()),
            Value::MulAdd(a, b, c) => Value::MulAdd(go(a), go(b), go(c)),
            Value::Dot { sum, left, right } => {
                let sum = go(sum);
                let left = left.iter().map(|e| *go(e)).collect();
                Value::Dot { sum, left, right: right.iter().map(|e| *go(e)).collect() }
            }
            Value::Reduce { op, value, from, to } => Value::Reduce { op: *op, value: go(value), from: *from, to: *to },
        };
        change(rebuilt, lanes)
    }
}

use polyhedral::BinOp;
use support::Table;

use super::map_ints;
use crate::{At, Int, Op, Program, Reg, RegId, Value, VarId};

/// Spreads prefetches over the loop beside them that computes most, so that lines arrive while it runs.
///
/// ```text
/// if n <= 62 {                                  for j in 0..64 {
///   for l in 0..64 {                              prefetch A[n + 1, 16*j]
///     prefetch A[n + 1, 16*l]            ->       E[16*j .. +16] = exp(A[n, 16*j .. +16])
///   }                                           }
/// }
/// for j in 0..64 {
///   E[16*j .. +16] = exp(A[n, 16*j .. +16])
/// }
/// ```
///
/// A core waits for a dozen lines at once: what asks for more of them in one place stops until they have come, and memory
/// rests while something is computed. A prefetch may ask for anything, so that conditions around it are dropped. As in
/// software pipelining of prefetches (Mowry, Lam, Gupta, ASPLOS 1992), across the iterations of the loop around.
pub fn spread(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = spread_in(body, &program.regs);
    program
}

/// The most lines that one iteration asks for.
const MOST: i64 = 4;

fn spread_in(ops: Vec<Op>, regs: &Table<RegId, Reg>) -> Vec<Op> {
    let mut ops: Vec<Op> = ops.into_iter().map(|op| spread_inside(op, regs)).collect();
    let mut at = 0;
    while at < ops.len() {
        match Burst::of(&ops[at]).and_then(|burst| host_of(&ops, at, &burst, regs)) {
            Some((host, prefetches)) => {
                if let Op::For { body, .. } = &mut ops[host] {
                    body.splice(0..0, prefetches);
                }
                ops.remove(at);
            }
            None => at += 1,
        }
    }
    ops
}

fn spread_inside(op: Op, regs: &Table<RegId, Reg>) -> Op {
    let inside = |ops| spread_in(ops, regs);
    match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            Op::For { var, lower, upper, step, parallel, body: inside(body) }
        }
        Op::If { cond, then, otherwise } => Op::If { cond, then: inside(then), otherwise: inside(otherwise) },
        Op::Local { buffer, body } => Op::Local { buffer, body: inside(body) },
        other => other,
    }
}

/// A loop that does nothing but prefetch.
struct Burst<'a> {
    var: VarId,
    lower: i64,
    step: i64,
    count: i64,
    prefetches: &'a [Op],
}

impl Burst<'_> {
    fn of(op: &Op) -> Option<Burst<'_>> {
        match op {
            Op::If { then, otherwise, .. } if otherwise.is_empty() => match then.as_slice() {
                [only] => Burst::of(only),
                _ => None,
            },
            Op::For { var, lower, upper, step, parallel: false, body } => {
                let (lower, upper, step) = (lower.as_const()?, upper.as_const()?, step.as_const()?);
                let count = iterations(lower, upper, step)?;
                // A subscript from memory might be read from where there is nothing.
                let is_affine = |op: &Op| match op {
                    Op::Prefetch { at, .. } => at.iter().all(|at| matches!(at, At::Affine { .. })),
                    _ => false,
                };
                let all = count > 0 && body.iter().all(is_affine);
                all.then_some(Burst { var: *var, lower, step, count, prefetches: body })
            }
            _ => None,
        }
    }

    /// What iteration `round` asks for, of a loop in each of which so many of these run.
    fn part(&self, round: &Int, lines: i64) -> Vec<Op> {
        let one = |line: i64| {
            let value = Int::Const(self.lower) + self.step * (lines * round.clone() + Int::Const(line));
            let moved =
                move |int: &Int| int.replace(&|var| if var == self.var { value.clone() } else { Int::Var(var) });
            self.prefetches.iter().map(move |op| map_ints(op.clone(), &moved))
        };
        (0..lines).flat_map(one).collect()
    }
}

/// The loop after `at` that computes most, and what goes into its body; none when its iterations are too few.
fn host_of(ops: &[Op], at: usize, burst: &Burst<'_>, regs: &Table<RegId, Reg>) -> Option<(usize, Vec<Op>)> {
    let hosts = ops.iter().enumerate().skip(at + 1).filter_map(|(at, op)| Some((at, Host::of(op, regs)?)));
    let (host, Host { var, lower, step, count, .. }) = hosts.max_by(|(a_at, a), (b_at, b)| {
        let earlier = b_at.cmp(a_at);
        a.work.cmp(&b.work).then(earlier)
    })?;
    let lines = (burst.count + count - 1) / count;
    let round = (Int::Var(var) - Int::Const(lower)).floor_div(step);
    (lines * burst.prefetches.len() as i64 <= MOST).then(|| (host, burst.part(&round, lines)))
}

/// A loop without others inside.
struct Host {
    var: VarId,
    lower: i64,
    step: i64,
    count: i64,
    /// Operations on elements.
    work: u64,
}

impl Host {
    fn of(op: &Op, regs: &Table<RegId, Reg>) -> Option<Host> {
        let Op::For { var, lower, upper, step, parallel: false, body } = op else { return None };
        let (lower, upper, step) = (lower.as_const()?, upper.as_const()?, step.as_const()?);
        let count = iterations(lower, upper, step).filter(|count| *count > 0)?;
        let work = body.iter().map(|op| work(op, regs)).sum::<Option<u64>>()?;
        Some(Host { var: *var, lower, step, count, work: work.saturating_mul(count.unsigned_abs()) })
    }
}

fn iterations(lower: i64, upper: i64, step: i64) -> Option<i64> {
    let length = upper.checked_sub(lower)?;
    (step > 0).then(|| length.max(0) / step + i64::from(length.max(0) % step != 0))
}

/// Operations of a straight op; none for others.
fn work(op: &Op, regs: &Table<RegId, Reg>) -> Option<u64> {
    match op {
        Op::Store { value, lanes, .. } => Some(operations(value) * u64::from(*lanes)),
        Op::Set { reg, value } => Some(operations(value) * u64::from(regs[*reg].lanes)),
        Op::Check { .. } | Op::Prefetch { .. } | Op::LoadBlock { .. } | Op::StoreBlock { .. } => Some(1),
        Op::For { .. }
        | Op::If { .. }
        | Op::Local { .. }
        | Op::Launch(_)
        | Op::Barrier
        | Op::Copy { .. }
        | Op::Wait
        | Op::Combine { .. }
        | Op::Atomic { .. } => None,
    }
}

/// A function counts as its polynomial.
fn operations(value: &Value) -> u64 {
    let own = match value {
        Value::Call(..) | Value::Binary(BinOp::Div | BinOp::Mod, ..) => 16,
        Value::Const(..) | Value::Reg(_) => 0,
        _ => 1,
    };
    own + value.children().into_iter().map(operations).sum::<u64>()
}

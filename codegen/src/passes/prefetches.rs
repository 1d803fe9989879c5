use polyhedral::TensorId;
use support::Table;

use crate::{At, Buffer, Int, Launch, Op, Program, Stride, VarId};

/// Bytes that a processor brings near at once.
pub(crate) const CACHE_LINE: u32 = 64;

/// Asks once for each cache line where a loop prefetches one element after the other.
///
/// ```text
/// for j in 0..N {                   for j in 0..N step 16 {
///   prefetch A[i, j]          ->      prefetch A[i, j]
/// }                                 }
/// ```
///
/// What lies behind the last whole line is left out when the row does not begin at one: a prefetch promises nothing.
pub fn prefetches(mut program: Program) -> Program {
    thin_out(&mut program.body, &program.buffers);
    program
}

fn thin_out(ops: &mut [Op], buffers: &Table<TensorId, Buffer>) {
    for op in ops {
        match op {
            Op::For { var, step, body, .. } => {
                let lines: Option<Vec<i64>> = body.iter().map(|op| elements_of_a_line(op, *var, buffers)).collect();
                match lines.and_then(|lines| lines.into_iter().min()) {
                    Some(line) if *step == Int::Const(1) => *step = Int::Const(line),
                    _ => thin_out(body, buffers),
                }
            }
            Op::If { then, otherwise, .. } => {
                thin_out(then, buffers);
                thin_out(otherwise, buffers);
            }
            Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => thin_out(body, buffers),
            Op::Store { .. }
            | Op::Set { .. }
            | Op::Check { .. }
            | Op::Prefetch { .. }
            | Op::LoadBlock { .. }
            | Op::StoreBlock { .. }
            | Op::Barrier
            | Op::Copy { .. }
            | Op::Wait
            | Op::Combine { .. }
            | Op::Atomic { .. } => {}
        }
    }
}

/// How many elements share a line, of a prefetch that walks along its innermost dimension with the variable.
fn elements_of_a_line(op: &Op, var: VarId, buffers: &Table<TensorId, Buffer>) -> Option<i64> {
    let Op::Prefetch { buffer, at, lanes: 1 } = op else { return None };
    let row = &buffers[*buffer];
    let (At::Affine { base, .. }, outer) = at.split_last()? else { return None };
    let dense = row.strides.last() == Some(&Stride::Known(Int::Const(1)));
    let fixed = |at: &At| matches!(at, At::Affine { base, .. } if !uses(base, var));
    let in_a_row = !uses(&(base.clone() - Int::Var(var)), var);
    (dense && in_a_row && outer.iter().all(fixed)).then(|| i64::from((CACHE_LINE / row.dtype.bytes()).max(1)))
}

fn uses(int: &Int, var: VarId) -> bool {
    let mut used = false;
    int.each_var(&mut |other| used |= other == var);
    used
}

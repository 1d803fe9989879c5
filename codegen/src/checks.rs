//! Checks of subscripts that are data: what they report is told by their number.

use polyhedral::TensorId;
use runtime::Check;

use crate::{Launch, Op, Program, Report};

/// What the checks of a program report, each once.
pub(crate) fn checks_of(program: &Program) -> Vec<Check> {
    let mut checks = Vec::new();
    collect(program, &program.body, &mut checks);
    checks
}

fn collect(program: &Program, ops: &[Op], checks: &mut Vec<Check>) {
    for op in ops {
        match op {
            Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => {
                collect(program, body, checks)
            }
            Op::If { then, otherwise, .. } => {
                collect(program, then, checks);
                collect(program, otherwise, checks);
            }
            Op::Check { buffer, dim, report, .. } => {
                let check = described(program, *buffer, *dim, report);
                if !checks.contains(&check) {
                    checks.push(check);
                }
            }
            Op::Store { .. }
            | Op::Set { .. }
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

pub(crate) fn described(program: &Program, buffer: TensorId, dim: usize, report: &Report) -> Check {
    let name = |buffer: TensorId| program.buffers.get(buffer).map_or(String::new(), |buffer| buffer.name.clone());
    let found_by = report.found_by.iter().map(|(buffer, at)| (name(*buffer), at.len())).collect();
    Check { tensor: name(buffer), dim, unsigned: report.unsigned, found_by }
}

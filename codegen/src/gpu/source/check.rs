//! Subscripts that are checked while kernels run.

use polyhedral::TensorId;

use super::expression::Tightness;
use super::words::Helper;
use super::{Printer, Result};
use crate::checks::described;
use crate::passes::Ranges;
use crate::verify::has_meeting;
use crate::{At, Int, Op, Report, Value};

/// An [`Op::Check`], with what is behind it in its list.
pub(super) struct Checked<'a> {
    pub(super) buffer: TensorId,
    pub(super) dim: usize,
    pub(super) extent: &'a Int,
    pub(super) value: &'a Value,
    pub(super) lanes: u32,
    pub(super) report: &'a Report,
    pub(super) mask: Option<&'a Value>,
}

impl<'a> Checked<'a> {
    pub(super) fn of(op: &'a Op) -> Option<Checked<'a>> {
        let Op::Check { buffer, dim, extent, value, lanes, report, mask } = op else { return None };
        Some(Checked { buffer: *buffer, dim: *dim, extent, value, lanes: *lanes, report, mask: mask.as_ref() })
    }
}

impl Printer<'_> {
    /// A check, and the ops behind it down to the next barrier, which run only where it holds: all threads have to get to
    /// barriers. How many ops these are.
    pub(super) fn check(&mut self, check: &Checked<'_>, behind: &[Op], ranges: &Ranges, depth: usize) -> Result<usize> {
        let guarded = behind.iter().position(|op| has_meeting(std::slice::from_ref(op))).unwrap_or(behind.len());
        let (guarded, others) = behind.split_at(guarded);
        guarded.iter().for_each(|op| self.declare_shared(op, others, depth));
        self.helpers.insert(Helper::FirstFault);
        self.failures(check, "", ranges, depth)?;
        // A check directly behind is the next alternative.
        let next = guarded.iter().map_while(Checked::of).collect::<Vec<_>>();
        next.iter().try_for_each(|check| self.failures(check, "} else ", ranges, depth))?;
        let guarded_ops = &guarded[next.len()..];
        if !guarded_ops.is_empty() {
            self.line(depth, "} else {");
            self.ops(guarded_ops, ranges, depth + 1)?;
        }
        self.line(depth, "}");
        Ok(guarded.len())
    }

    /// What a check reports of each lane, the first after `before`.
    fn failures(&mut self, check: &Checked<'_>, before: &str, ranges: &Ranges, depth: usize) -> Result<()> {
        let extent = self.int(check.extent, ranges);
        let unsigned = self.language.value_type(polyhedral::DType::U64);
        for lane in 0..check.lanes {
            let value = self.in_lane(lane, check.value, ranges)?;
            // Without a sign the negative ones are the largest.
            let mut outside = format!("({unsigned}){} >= {extent}", value.clone().at(Tightness::Unary));
            if let Some(mask) = check.mask {
                outside = format!("{} && {outside}", self.in_lane(lane, mask, ranges)?.at(Tightness::Bits));
            }
            let otherwise = if lane == 0 { before } else { "} else " };
            self.line(depth, &format!("{otherwise}if ({outside}) {{"));
            self.reported(check, &value.text, &extent, lane, ranges, depth + 1)?;
        }
        Ok(())
    }

    /// What [`Argument::Fault`](crate::gpu::Argument::Fault) says is written there.
    fn reported(
        &mut self,
        check: &Checked<'_>,
        value: &str,
        extent: &str,
        lane: u32,
        ranges: &Ranges,
        depth: usize,
    ) -> Result<()> {
        let described = described(self.program, check.buffer, check.dim, check.report);
        let number = self.checks.iter().position(|one| *one == described).unwrap_or_default();
        let lower = self.int(&check.report.lower, ranges);
        let mut words = vec![value.to_string(), lower, extent.to_string()];
        for at in check.report.found_by.iter().flat_map(|(_, at)| at) {
            let value = match at {
                At::Affine { base, step } => &Value::Int { base: base.clone(), step: *step },
                At::Indirect(value) => &**value,
            };
            words.push(self.in_lane(lane, value, ranges)?.text);
        }
        self.line(depth, &format!("if (first_fault(fault, {})) {{", number + 1));
        for (at, word) in words.iter().enumerate() {
            self.line(depth + 1, &format!("fault[{}] = {word};", at + 1));
        }
        self.line(depth, "}");
        Ok(())
    }
}

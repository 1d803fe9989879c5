//! The host's part of a program with kernels, run for the sizes of a call: which launches there are.

use std::collections::BTreeMap;
use std::fmt;

use polyhedral::TensorId;
use runtime::Plan;
use runtime::device::{KernelEntry, Operand, Part};
use support::with_deep_stack;

use super::entry::{Argument, Entry};
use super::source;
use crate::arena::{self, Item, Lifetimes, offsets};
use crate::checks::checks_of;
use crate::llvm;
use crate::{Buffer, Cond, Int, Launch, Op, Place, Program, Stride, VarId};

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlan {
    /// So many launches are not listed one by one.
    TooMany,
    /// A kernel would have more blocks along one axis than a device counts.
    TooLarge {
        /// The kernel's name.
        kernel: String,
        /// How many blocks.
        blocks: i64,
    },
    /// The program is not of kernels alone, or something of it cannot be computed.
    Malformed(String),
}

impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPlan::TooMany => write!(f, "there are more than {MOST_LAUNCHES} launches in one call"),
            NoPlan::TooLarge { kernel, blocks } => {
                write!(f, "the kernel `{kernel}` has {blocks} blocks along one axis")
            }
            NoPlan::Malformed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for NoPlan {}

type Result<T> = std::result::Result<T, NoPlan>;

/// As many launches are written down; more take longer to start than anybody waits.
const MOST_LAUNCHES: usize = 1 << 20;

/// What a host launches for these sizes, one for each parameter of the program: its loops are run, and launches with an empty
/// grid are left out.
///
/// Temporaries lie in a workspace at multiples of [`Plan::ALIGNMENT`], wherever they are for a processor; those that no launch
/// needs at once may lie in the same bytes.
///
/// # Errors
/// When there are too many launches, or when there is work of the host's own.
pub fn plan(program: &Program, sizes: &[i64]) -> Result<Plan> {
    with_deep_stack(|| planned(program, sizes))
}

fn planned(program: &Program, sizes: &[i64]) -> Result<Plan> {
    let mut signature = llvm::signature(program, sizes).map_err(|error| NoPlan::Malformed(error.to_string()))?;
    signature.checks = checks_of(program);
    let subscripts = |check: &runtime::Check| check.found_by.iter().map(|(_, rank)| rank).sum::<usize>();
    let fault_words = signature.checks.iter().map(|check| Entry::FAULT_WORDS + subscripts(check)).max().unwrap_or(0);
    let mut host = Host {
        program,
        sizes,
        vars: vec![None; program.vars.len()],
        parts: BTreeMap::new(),
        entries: BTreeMap::new(),
        plan: Plan {
            signature,
            index_bits: Entry::index_bits(program),
            kernels: Vec::new(),
            workspace: Vec::new(),
            fault_words,
            launches: Vec::new(),
        },
    };
    host.lay_out()?;
    host.list(&program.body)?;
    host.ops(&program.body)?;
    host.plan.signature.workspace_bytes = host.plan.workspace_bytes();
    host.plan.check().map_err(|error| NoPlan::Malformed(error.to_string()))?;
    Ok(host.plan)
}

struct Host<'a> {
    program: &'a Program,
    sizes: &'a [i64],
    /// The values of the loops around.
    vars: Vec<Option<i64>>,
    /// Where temporaries are in the plan's workspace.
    parts: BTreeMap<TensorId, usize>,
    /// By the name of a launch: which kernel it is, and what that is called with.
    entries: BTreeMap<&'a str, (usize, Entry)>,
    plan: Plan,
}

impl<'a> Host<'a> {
    /// Gives every temporary a part of the workspace, that others have when it is not alive: launches run one after the other.
    fn lay_out(&mut self) -> Result<()> {
        let lifetimes = Lifetimes::of(self.program);
        let (mut items, mut sizes, mut end) = (Vec::new(), Vec::new(), 0i64);
        for (id, buffer, _) in arena::in_workspace(self.program) {
            let too_large = || NoPlan::Malformed(format!("the size of `{}` cannot be computed", buffer.name));
            let bytes = self.bytes(buffer).ok_or_else(too_large)?.max(1);
            let room = bytes.checked_next_multiple_of(Plan::ALIGNMENT).and_then(|room| i64::try_from(room).ok());
            let room = room.ok_or_else(too_large)?;
            end = end.checked_add(room).ok_or_else(too_large)?;
            self.parts.insert(id, sizes.len());
            sizes.push(bytes);
            items.push(Item { bytes: room, spans: lifetimes.spans(id) });
        }
        // No offset is past the sum of all.
        let parts = offsets(&items).0.into_iter().zip(sizes);
        self.plan.workspace = parts.map(|(offset, bytes)| Part { offset: offset as usize, bytes }).collect();
        Ok(())
    }

    /// From the first to the last element of a buffer, and what lies between rows.
    fn bytes(&self, buffer: &Buffer) -> Option<usize> {
        let mut last = 0i64;
        for (extent, stride) in buffer.extent.iter().zip(&buffer.strides) {
            let Stride::Known(stride) = stride else { return None };
            let (extent, stride) = (self.value(extent)?, self.value(stride)?);
            if extent < 1 {
                return Some(0);
            }
            last = last.checked_add((extent - 1).checked_mul(stride)?)?;
        }
        usize::try_from(last.checked_add(1)?.checked_mul(buffer.dtype.bytes().into())?).ok()
    }

    /// The kernels, whether they are launched or not: all of them are built.
    fn list(&mut self, ops: &'a [Op]) -> Result<()> {
        for op in ops {
            match op {
                Op::Launch(launch) => {
                    let entry = self.entry(launch)?;
                    self.entries.insert(&launch.name, (self.plan.kernels.len(), Entry::of(self.program, launch)));
                    self.plan.kernels.push(entry);
                }
                Op::For { body, .. } | Op::Local { body, .. } => self.list(body)?,
                Op::If { then, otherwise, .. } => {
                    self.list(then)?;
                    self.list(otherwise)?;
                }
                _ => return Err(NoPlan::Malformed("there is work of the host's own".into())),
            }
        }
        Ok(())
    }

    fn entry(&self, launch: &Launch) -> Result<KernelEntry> {
        let too_large = || NoPlan::Malformed(format!("the block of `{}` cannot be computed", launch.name));
        let mut block = [1; 3];
        for (axis, (_, threads)) in block.iter_mut().zip(&launch.block) {
            *axis = u32::try_from(*threads).map_err(|_| too_large())?;
        }
        let bytes = launch.shared.iter().try_fold(0i64, |sum, buffer| {
            let bytes = self.program.buffers[*buffer].constant_bytes()?;
            // Each begins where every vector is aligned.
            (sum.checked_add(15)? / 16 * 16).checked_add(bytes)
        });
        let shared_bytes = bytes.and_then(|bytes| u32::try_from(bytes).ok()).ok_or_else(too_large)?;
        Ok(KernelEntry { name: source::symbol(self.program, launch), block, shared_bytes, dynamic_shared_bytes: 0 })
    }

    fn ops(&mut self, ops: &'a [Op]) -> Result<()> {
        for op in ops {
            match op {
                Op::Launch(launch) => self.launch(launch)?,
                Op::For { var, lower, upper, step, body, .. } => {
                    let (mut at, end, step) = (self.int(lower)?, self.int(upper)?, self.int(step)?.max(1));
                    while at < end {
                        self.vars[support::Entity::index(*var)] = Some(at);
                        self.ops(body)?;
                        at = at.saturating_add(step);
                    }
                }
                Op::If { cond, then, otherwise } => {
                    let taken = if self.cond(cond)? { then } else { otherwise };
                    self.ops(taken)?;
                }
                // Of the workspace: there is no other memory of the host's.
                Op::Local { body, .. } => self.ops(body)?,
                _ => return Err(NoPlan::Malformed("there is work of the host's own".into())),
            }
        }
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        let mut grid = [1; 3];
        for (axis, (_, blocks)) in grid.iter_mut().zip(&launch.grid) {
            let blocks = self.int(blocks)?;
            if blocks < 1 {
                return Ok(());
            }
            let too_large = || NoPlan::TooLarge { kernel: launch.name.clone(), blocks };
            *axis = i32::try_from(blocks).map_err(|_| too_large())? as u32;
        }
        if self.plan.launches.len() >= MOST_LAUNCHES {
            return Err(NoPlan::TooMany);
        }
        let (kernel, entry) = &self.entries[launch.name.as_str()];
        let operands = entry.arguments.iter().map(|argument| self.operand(*argument)).collect::<Result<_>>()?;
        self.plan.launches.push(runtime::device::Launch { kernel: *kernel, grid, operands });
        Ok(())
    }

    fn operand(&self, argument: Argument) -> Result<Operand> {
        let number = |id: TensorId| match self.program.buffers[id].place {
            Place::Argument(at) => Ok(at),
            _ => Err(NoPlan::Malformed(format!("`{}` is no argument", self.program.buffers[id].name))),
        };
        Ok(match argument {
            Argument::Buffer(id) => match self.parts.get(&id) {
                Some(part) => Operand::Workspace(*part),
                None => Operand::Argument(number(id)?),
            },
            Argument::Param(at) => Operand::Int(self.int(&Int::Param(at))?),
            Argument::Var(var) => Operand::Int(self.int(&Int::Var(var))?),
            Argument::Stride(id, dim) => Operand::Stride(number(id)?, dim),
            Argument::Fault => Operand::Faults,
        })
    }

    fn value(&self, int: &Int) -> Option<i64> {
        int.eval(&|var: VarId| self.vars.get(support::Entity::index(var)).copied().flatten(), self.sizes)
    }

    fn int(&self, int: &Int) -> Result<i64> {
        self.value(int).ok_or_else(|| NoPlan::Malformed("a number of the host's cannot be computed".into()))
    }

    fn cond(&self, cond: &Cond) -> Result<bool> {
        let var = |var: VarId| self.vars.get(support::Entity::index(var)).copied().flatten();
        cond.eval(&var, self.sizes)
            .ok_or_else(|| NoPlan::Malformed("a condition of the host's cannot be computed".into()))
    }
}

//! The host's part of a program with kernels, for all sizes of a call: loops, conditions and launches over formulas.

use std::collections::BTreeMap;

use polyhedral::TensorId;
use runtime::plan::{Branch, KernelEntry, Loop, OpenLaunch, OpenPart, Operand, Step};
use runtime::{Formula, OpenPlan, OpenSignature, Plan, PlanError};
use support::with_deep_stack;

use super::entry::{Argument, Entry};
use super::source;
use crate::arena::{self, Layout, Lifetimes, Placed, layout};
use crate::checks::checks_of;
use crate::formula::{formula, test};
use crate::{Cond, Int, Launch, Op, Place, Program, VarId, llvm};

type Result<T> = std::result::Result<T, PlanError>;

/// What a host launches for these sizes, one for each parameter of the program: the [`open_plan`] with constants.
///
/// # Errors
/// As [`open_plan`], and when there are too many launches or blocks.
pub fn plan(program: &Program, sizes: &[i64]) -> Result<Plan> {
    let parameters: Vec<Formula> = sizes.iter().copied().map(Formula::Const).collect();
    open_plan(program, &parameters)?.at(&|_| None)
}

/// What a host launches for all sizes of a call: `parameters` says what the values of the program's parameters are, over these.
///
/// Temporaries lie in a workspace at multiples of [`Plan::ALIGNMENT`], wherever they are for a processor; those that no launch
/// needs at once may lie in the same bytes.
///
/// # Errors
/// [`PlanError::Malformed`] when there is work of the host's own, or a number that is no formula.
pub fn open_plan(program: &Program, parameters: &[Formula]) -> Result<OpenPlan> {
    with_deep_stack(|| planned(program, parameters))
}

fn planned(program: &Program, parameters: &[Formula]) -> Result<OpenPlan> {
    let signature = llvm::open_signature(program, parameters).map_err(|error| malformed(error.to_string()))?;
    let signature = OpenSignature { checks: checks_of(program), workspace_bytes: Formula::Const(0), ..signature };
    let fault_words = Plan::words(&signature.checks);
    let mut host = Host {
        program,
        parameters,
        vars: BTreeMap::new(),
        parts: BTreeMap::new(),
        entries: BTreeMap::new(),
        plan: OpenPlan {
            signature,
            index_bits: Entry::index_bits(program),
            kernels: Vec::new(),
            slots: Vec::new(),
            workspace: Vec::new(),
            fault_words,
            steps: Vec::new(),
        },
    };
    host.lay_out()?;
    host.list(&program.body)?;
    host.plan.steps = host.steps(&program.body)?;
    host.plan.check()?;
    Ok(host.plan)
}

fn malformed(why: impl Into<String>) -> PlanError {
    PlanError::Malformed(why.into())
}

struct Host<'a> {
    program: &'a Program,
    parameters: &'a [Formula],
    /// What the variables of loops are called: of those around, and of those before.
    vars: BTreeMap<VarId, String>,
    /// Where temporaries are in the plan's workspace.
    parts: BTreeMap<TensorId, usize>,
    /// By the name of a launch: which kernel it is, and what that is called with.
    entries: BTreeMap<&'a str, (usize, Entry)>,
    plan: OpenPlan,
}

impl<'a> Host<'a> {
    /// Gives every temporary a part of the workspace, that others have when it is not alive: launches run one after the other.
    fn lay_out(&mut self) -> Result<()> {
        if arena::in_workspace(self.program).next().is_none() {
            return Ok(());
        }
        let lifetimes = Lifetimes::of(self.program);
        let Layout { slots, places } = layout(self.program, &lifetimes, Plan::ALIGNMENT as i64, 1);
        self.plan.slots = slots.iter().map(|slot| self.formula(slot)).collect::<Result<_>>()?;
        for Placed { buffer, slot, offset } in places {
            let offset = usize::try_from(offset).map_err(|_| malformed("an offset of the workspace is negative"))?;
            let bytes = self.formula(&arena::bytes(&self.program.buffers[buffer]))?;
            self.parts.insert(buffer, self.plan.workspace.len());
            self.plan.workspace.push(OpenPart { slot, offset, bytes });
        }
        Ok(())
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
                _ => return Err(malformed("there is work of the host's own")),
            }
        }
        Ok(())
    }

    fn entry(&self, launch: &Launch) -> Result<KernelEntry> {
        let too_large = || malformed(format!("the block of `{}` cannot be computed", launch.name));
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

    fn steps(&mut self, ops: &'a [Op]) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for op in ops {
            match op {
                Op::Launch(launch) => steps.push(Step::Launch(self.launch(launch)?)),
                Op::For { var, lower, upper, step, body, .. } => {
                    let (from, to, step) = (self.formula(lower)?, self.formula(upper)?, self.formula(step)?);
                    let name = self.name(*var);
                    let body = self.steps(body)?;
                    steps.push(Step::For(Loop { var: name, from, to, step, body }));
                }
                Op::If { cond, then, otherwise } => {
                    let test = self.test(cond)?;
                    let (then, otherwise) = (self.steps(then)?, self.steps(otherwise)?);
                    match test {
                        Formula::Const(0..) => steps.extend(then),
                        Formula::Const(_) => steps.extend(otherwise),
                        test => steps.push(Step::If(Branch { test, then, otherwise })),
                    }
                }
                // Of the workspace: there is no other memory of the host's.
                Op::Local { body, .. } => steps.extend(self.steps(body)?),
                _ => return Err(malformed("there is work of the host's own")),
            }
        }
        Ok(steps)
    }

    /// A name for a variable, which no size has.
    fn name(&mut self, var: VarId) -> String {
        let is_taken = |name: &str| {
            let mut taken = false;
            self.parameters.iter().for_each(|it| it.each_size(&mut |size| taken |= size == name));
            taken || self.vars.values().any(|other| other == name)
        };
        let mut name = format!("v{}", self.vars.len());
        while is_taken(&name) {
            name.push('_');
        }
        self.vars.insert(var, name.clone());
        name
    }

    fn launch(&self, launch: &Launch) -> Result<OpenLaunch> {
        let mut grid = [1; 3].map(Formula::Const);
        for (axis, (_, blocks)) in grid.iter_mut().zip(&launch.grid) {
            *axis = self.formula(blocks)?;
        }
        let (kernel, entry) = &self.entries[launch.name.as_str()];
        let operands = entry.arguments.iter().map(|argument| self.operand(*argument)).collect::<Result<_>>()?;
        Ok(OpenLaunch { kernel: *kernel, grid, operands })
    }

    fn operand(&self, argument: Argument) -> Result<Operand<Formula>> {
        let number = |id: TensorId| match self.program.buffers[id].place {
            Place::Argument(at) => Ok(at),
            _ => Err(malformed(format!("`{}` is no argument", self.program.buffers[id].name))),
        };
        Ok(match argument {
            Argument::Buffer(id) => match self.parts.get(&id) {
                Some(part) => Operand::Workspace(*part),
                None => Operand::Argument(number(id)?),
            },
            Argument::Param(at) => Operand::Int(self.formula(&Int::Param(at))?),
            Argument::Var(var) => Operand::Int(self.formula(&Int::Var(var))?),
            Argument::Stride(id, dim) => Operand::Stride(number(id)?, dim),
            Argument::Fault => Operand::Faults,
        })
    }

    fn var(&self, var: VarId) -> Option<Formula> {
        self.vars.get(&var).cloned().map(Formula::Size)
    }

    fn formula(&self, int: &Int) -> Result<Formula> {
        formula(int, self.parameters, &|var| self.var(var))
            .ok_or_else(|| malformed("a number of the host's is no formula"))
    }

    fn test(&self, cond: &Cond) -> Result<Formula> {
        test(cond, self.parameters, &|var| self.var(var))
            .ok_or_else(|| malformed("a condition of the host's is no formula"))
    }
}

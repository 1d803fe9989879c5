//! Plans whose sizes are still open: loops, conditions and launches over formulas.

use super::{KernelEntry, Launch, MOST_LAUNCHES, Operand, Part, Plan, PlanError};
use crate::formula::Formula;
use crate::kernel::{LoadError, OpenSignature, SizeOf};
use serde::Serialize;

/// A [`Plan`] for all sizes of a call. With constants in the place of formulas it is the plan of one choice of sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenPlan {
    /// What a call takes. How much scratch memory that is follows from [`OpenPlan::slots`]: of this one it is 0.
    pub signature: OpenSignature,
    /// How wide the integers are that kernels take: 32 or 64 bits.
    pub index_bits: u32,
    /// The kernels of the text.
    pub kernels: Vec<KernelEntry>,
    /// Bytes of the stretches that the workspace is divided into, one after the other; each begins at a multiple of
    /// [`Plan::ALIGNMENT`].
    pub slots: Vec<Formula>,
    /// Where each temporary lies. Those that overlap hold something at different times.
    pub workspace: Vec<OpenPart>,
    /// 64-bit words for what a failed check reports; 0 when nothing is checked.
    pub fault_words: usize,
    /// What the host does, in order.
    pub steps: Vec<Step>,
}

/// A [`Part`] for all sizes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenPart {
    /// Which of [`OpenPlan::slots`] it lies in.
    pub slot: usize,
    /// Bytes of the slot before it; a multiple of [`Plan::ALIGNMENT`].
    pub offset: usize,
    /// How many bytes it has. One without any gets one.
    pub bytes: Formula,
}

/// A step of the host. Formulas are over the sizes of the call and the variables of the loops around.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Starts a kernel.
    Launch(OpenLaunch),
    /// Does its body for each value of a variable.
    For(Loop),
    /// Does what a condition says.
    If(Branch),
}

/// A [`Launch`] for all sizes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenLaunch {
    /// Which of [`OpenPlan::kernels`].
    pub kernel: usize,
    /// Blocks in x, y and z. Where one is less than 1 nothing is launched.
    pub grid: [Formula; 3],
    /// What the kernel is called with.
    pub operands: Vec<Operand<Formula>>,
}

/// A loop of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loop {
    /// The name of its variable, which no loop around has. In its body a size of that name is not seen.
    pub var: String,
    /// The first value.
    pub from: Formula,
    /// One past the last value.
    pub to: Formula,
    /// From one value to the next; at least 1.
    pub step: Formula,
    /// What is done for each.
    pub body: Vec<Step>,
}

/// A condition of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// It holds where this is at least 0.
    pub test: Formula,
    /// What is done where it holds.
    pub then: Vec<Step>,
    /// What is done where it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Step>,
}

/// Loops and conditions inside of each other, at most: what is read fits the stack of any thread.
const MOST_NESTED: usize = 16;

/// Rounds of loops, most of which launch something: a loop that launches nothing ends too.
const MOST_ROUNDS: usize = 4 * MOST_LAUNCHES;

type Result<T> = std::result::Result<T, PlanError>;

fn malformed<T>(why: impl Into<String>) -> Result<T> {
    Err(PlanError::Malformed(why.into()))
}

impl OpenPlan {
    /// The plan of a call with these sizes: loops are run, and launches with an empty grid left out.
    ///
    /// # Errors
    /// When there are too many launches or too many blocks, and where something cannot be computed or contradicts itself.
    pub fn at(&self, size: SizeOf<'_>) -> Result<Plan> {
        let mut host = Host { open: self, size, vars: Vec::new(), rounds: 0, launches: Vec::new() };
        let workspace = host.workspace()?;
        host.steps(&self.steps)?;
        let OpenPlan { index_bits, fault_words, .. } = *self;
        let (kernels, launches) = (self.kernels.clone(), host.launches);
        let signature = self.signature.at(size)?;
        let mut plan = Plan { signature, index_bits, kernels, workspace, fault_words, launches };
        plan.signature.workspace_bytes = plan.workspace_bytes();
        plan.check()?;
        Ok(plan)
    }

    /// Checks that the plan names only what there is, whatever the sizes are; the names of these apart.
    ///
    /// # Errors
    /// [`PlanError::Malformed`] with what is wrong.
    pub fn check(&self) -> Result<()> {
        if self.signature.arguments.iter().any(|argument| argument.shape.len() != argument.strides.len()) {
            return malformed("an argument has another number of strides than of extents");
        }
        if !matches!(self.index_bits, 32 | 64) {
            return malformed(format!("integers of {} bits", self.index_bits));
        }
        if let Some(kernel) = self.kernels.iter().find(|kernel| kernel.name.is_empty() || kernel.block.contains(&0)) {
            return malformed(format!("the kernel `{}` has no name or no threads", kernel.name));
        }
        let most = Plan::words(&self.signature.checks);
        if self.fault_words < most {
            return malformed(format!("{} words for reports of {most}", self.fault_words));
        }
        let is_placed = |part: &OpenPart| part.slot < self.slots.len() && part.offset.is_multiple_of(Plan::ALIGNMENT);
        if !self.workspace.iter().all(is_placed) {
            return malformed("a part of the workspace is in no slot or not aligned");
        }
        self.check_steps(&self.steps, &mut Vec::new(), MOST_NESTED)
    }

    fn check_steps<'a>(&self, steps: &'a [Step], vars: &mut Vec<&'a str>, depth: usize) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else { return malformed("loops are nested too deeply") };
        for step in steps {
            match step {
                Step::Launch(launch) => {
                    if launch.kernel >= self.kernels.len() || !launch.operands.iter().all(|it| self.has(it)) {
                        return malformed("a launch names what there is not");
                    }
                }
                Step::For(each) => {
                    if vars.contains(&each.var.as_str()) {
                        return malformed(format!("two loops inside of each other have the variable `{}`", each.var));
                    }
                    vars.push(&each.var);
                    self.check_steps(&each.body, vars, depth)?;
                    vars.pop();
                }
                Step::If(branch) => {
                    self.check_steps(&branch.then, vars, depth)?;
                    self.check_steps(&branch.otherwise, vars, depth)?;
                }
            }
        }
        Ok(())
    }

    fn has(&self, operand: &Operand<Formula>) -> bool {
        match operand {
            Operand::Argument(at) => *at < self.signature.arguments.len(),
            Operand::Stride(at, dim) => {
                self.signature.arguments.get(*at).is_some_and(|argument| *dim < argument.shape.len())
            }
            Operand::Workspace(at) => *at < self.workspace.len(),
            Operand::Int(_) => true,
            Operand::Faults => self.fault_words > 0,
        }
    }

    /// Checks that formulas are over these sizes and the variables of the loops around.
    ///
    /// # Errors
    /// A name that there is not.
    pub fn check_names(&self, sizes: &[String]) -> std::result::Result<(), String> {
        let mut names = Names { sizes, vars: Vec::new(), wrong: None };
        self.signature.each_formula(&mut |formula| names.see(formula));
        self.slots.iter().chain(self.workspace.iter().map(|part| &part.bytes)).for_each(|it| names.see(it));
        names.steps(&self.steps);
        names.wrong.map_or(Ok(()), Err)
    }
}

/// The names that a formula may have where it is.
struct Names<'a> {
    sizes: &'a [String],
    vars: Vec<&'a str>,
    wrong: Option<String>,
}

impl<'a> Names<'a> {
    fn see(&mut self, formula: &Formula) {
        formula.each_size(&mut |name| {
            if !self.sizes.iter().any(|own| own == name) && !self.vars.contains(&name) {
                self.wrong = Some(format!("a formula names the size `{name}`, which there is not"));
            }
        });
    }

    fn steps(&mut self, steps: &'a [Step]) {
        for step in steps {
            match step {
                Step::Launch(launch) => {
                    launch.grid.iter().for_each(|blocks| self.see(blocks));
                    let ints = launch.operands.iter().filter_map(|it| match it {
                        Operand::Int(formula) => Some(formula),
                        _ => None,
                    });
                    ints.for_each(|formula| self.see(formula));
                }
                Step::For(each) => {
                    [&each.from, &each.to, &each.step].into_iter().for_each(|it| self.see(it));
                    self.vars.push(&each.var);
                    self.steps(&each.body);
                    self.vars.pop();
                }
                Step::If(branch) => {
                    self.see(&branch.test);
                    self.steps(&branch.then);
                    self.steps(&branch.otherwise);
                }
            }
        }
    }
}

/// The steps of a plan, while they are run for the sizes of a call.
struct Host<'a> {
    open: &'a OpenPlan,
    size: SizeOf<'a>,
    /// The values of the loops around, by the names of their variables.
    vars: Vec<(&'a str, i64)>,
    /// How often the body of a loop was begun.
    rounds: usize,
    launches: Vec<Launch>,
}

impl<'a> Host<'a> {
    fn value(&self, formula: &Formula) -> Result<i64> {
        let of = |name: &str| {
            let var = self.vars.iter().rev().find(|(own, _)| *own == name);
            var.map(|(_, value)| *value).or_else(|| (self.size)(name))
        };
        match formula.value(&of) {
            Some(value) => Ok(value),
            None => malformed(format!("it cannot be computed from the sizes: {formula}")),
        }
    }

    /// Where the parts lie: the slots one after the other.
    fn workspace(&self) -> Result<Vec<Part>> {
        let (mut slots, mut end) = (Vec::new(), 0usize);
        for slot in &self.open.slots {
            let bytes = usize::try_from(self.value(slot)?.max(1)).ok();
            let room = bytes.and_then(|bytes| bytes.checked_next_multiple_of(Plan::ALIGNMENT));
            let next = room.and_then(|room| end.checked_add(room)).filter(|end| isize::try_from(*end).is_ok());
            let Some(next) = next else { return malformed("the workspace has more bytes than an address counts") };
            slots.push((end, next));
            end = next;
        }
        let part = |part: &OpenPart| {
            let bytes = usize::try_from(self.value(&part.bytes)?.max(1)).unwrap_or(usize::MAX);
            let slot = slots.get(part.slot).copied().unwrap_or_default();
            let offset = slot.0.saturating_add(part.offset);
            if offset.checked_add(bytes).is_none_or(|end| end > slot.1) {
                return malformed("a part of the workspace is larger than its slot");
            }
            Ok(Part { offset, bytes })
        };
        self.open.workspace.iter().map(part).collect()
    }

    fn steps(&mut self, steps: &'a [Step]) -> Result<()> {
        for step in steps {
            match step {
                Step::Launch(launch) => self.launch(launch)?,
                Step::For(each) => self.each(each)?,
                Step::If(branch) if self.value(&branch.test)? >= 0 => self.steps(&branch.then)?,
                Step::If(branch) => self.steps(&branch.otherwise)?,
            }
        }
        Ok(())
    }

    fn each(&mut self, each: &'a Loop) -> Result<()> {
        let (mut at, to, step) = (self.value(&each.from)?, self.value(&each.to)?, self.value(&each.step)?);
        if step < 1 {
            return malformed(format!("a loop goes on by {step}"));
        }
        while at < to {
            self.rounds += 1;
            if self.rounds > MOST_ROUNDS {
                return Err(PlanError::TooMany);
            }
            self.vars.push((&each.var, at));
            self.steps(&each.body)?;
            self.vars.pop();
            at = at.saturating_add(step);
        }
        Ok(())
    }

    fn launch(&mut self, launch: &OpenLaunch) -> Result<()> {
        let mut grid = [1; 3];
        for (axis, blocks) in grid.iter_mut().zip(&launch.grid) {
            let blocks = self.value(blocks)?;
            if blocks < 1 {
                return Ok(());
            }
            let Ok(blocks) = i32::try_from(blocks) else {
                let kernel = self.open.kernels.get(launch.kernel).map(|kernel| kernel.name.clone());
                return Err(PlanError::TooLarge { kernel: kernel.unwrap_or_default(), blocks });
            };
            *axis = blocks as u32;
        }
        if self.launches.len() >= MOST_LAUNCHES {
            return Err(PlanError::TooMany);
        }
        let operand = |operand: &Operand<Formula>| {
            Ok(match operand {
                Operand::Argument(at) => Operand::Argument(*at),
                Operand::Workspace(at) => Operand::Workspace(*at),
                Operand::Int(formula) => Operand::Int(self.value(formula)?),
                Operand::Stride(at, dim) => Operand::Stride(*at, *dim),
                Operand::Faults => Operand::Faults,
            })
        };
        let operands = launch.operands.iter().map(operand).collect::<Result<_>>()?;
        self.launches.push(Launch { kernel: launch.kernel, grid, operands });
        Ok(())
    }
}

/// The plan of one choice of sizes, with constants.
impl From<Plan> for OpenPlan {
    fn from(plan: Plan) -> OpenPlan {
        let bytes = plan.workspace_bytes();
        let Plan { signature, index_bits, kernels, workspace, fault_words, launches } = plan;
        let count = |bytes: usize| Formula::Const(i64::try_from(bytes).unwrap_or(i64::MAX));
        let part = |part: Part| OpenPart { slot: 0, offset: part.offset, bytes: count(part.bytes) };
        let launch = |launch: Launch| {
            let operand = |operand| match operand {
                Operand::Argument(at) => Operand::Argument(at),
                Operand::Workspace(at) => Operand::Workspace(at),
                Operand::Int(value) => Operand::Int(Formula::Const(value)),
                Operand::Stride(at, dim) => Operand::Stride(at, dim),
                Operand::Faults => Operand::Faults,
            };
            let grid = launch.grid.map(|blocks| Formula::Const(blocks.into()));
            let operands = launch.operands.into_iter().map(operand).collect();
            Step::Launch(OpenLaunch { kernel: launch.kernel, grid, operands })
        };
        OpenPlan {
            signature: OpenSignature { workspace_bytes: Formula::Const(0), ..signature.into() },
            index_bits,
            kernels,
            slots: if workspace.is_empty() { Vec::new() } else { vec![count(bytes)] },
            workspace: workspace.into_iter().map(part).collect(),
            fault_words,
            steps: launches.into_iter().map(launch).collect(),
        }
    }
}

impl From<LoadError> for PlanError {
    fn from(error: LoadError) -> PlanError {
        match error {
            LoadError::Signature { reason } => PlanError::Malformed(reason),
            other => PlanError::Malformed(other.to_string()),
        }
    }
}

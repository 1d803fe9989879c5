//! What was done to a definition, and why, as plain data: what `tilewright explain` prints and pages of pictures are made of.
//!
//! ```text
//! program      source, tensors, statements                     what is computed
//! plan         groups of nests, cost, the next best            which nests run together
//! script       command, reason, change of the order, proof     how the schedule came about
//! loops        kind, iterations, what one touches, conflict    the schedule itself
//! dependences  distance, an example                            what any order must respect
//! traffic      bytes and reuse by tensor and cache             what that costs
//! machine      caches, measured ceilings; time                 and beside what
//! remarks                                                      what was not done
//! code         the texts of the later stages
//! ```
//!
//! Everything refers to statements, tensors and loops by name; all names are unique. Nothing here is computed unless it is
//! asked for: compiling costs the same whether reports exist or not.

mod amount;
mod code;
mod dependences;
mod kernels;
mod loops;
mod machine;
mod marks;
mod outline;
mod plan;
mod program;
mod refusals;
mod script;
mod text;
mod traffic;
mod tree;

pub use amount::Amount;
pub use code::{Link, Listing};
pub use dependences::{Conflict, Dependence, Distance, Instance, Pair};
pub use kernels::{Barrier, Dimension, Kernel, Ordered, Shared, Touch, WarpAccess};
pub use loops::{Footprint, Loop, Trips};
pub use machine::{Limit, Machine, Measured, Rates, Time, Work};
pub use plan::{Group, Plan};
pub use program::{Access, Place, Statement, Tensor};
pub use refusals::{Outcome, Tried, WhyNot, why_not};
pub use script::{Change, Step};
pub use traffic::{Level, Moved, PartTraffic, Traffic};
pub use tree::Node;

pub(crate) use outline::word;
pub(crate) use tree::nests;

use std::time::{Duration, Instant};

use codegen::gpu;
use polyhedral::{Scop, dependences as dependences_of, isl};
use serde::Serialize;
use support::{Target, with_deep_stack};
use transform::Scheduled;

use crate::compile::{self, Options};
use crate::cost::cost;
use crate::parts::{self, Divided};
use crate::refusal::refused;
use crate::{Definition, Error, Result, Source};

/// What was done to a definition for some sizes and a target. Prints as `tilewright explain` does; serialises as a tree
/// of plain values.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What it is about, in a line.
    pub title: String,
    /// The definition.
    pub definition: String,
    /// What it was compiled for.
    pub target: String,
    /// The sizes; none when it was compiled for all.
    pub sizes: Vec<Size>,
    /// The text that [places](Place) are in; absent when it is not at hand.
    pub source: Option<Text>,
    /// Every tensor of the scheduled program: arguments, temporaries, copies.
    pub tensors: Vec<Tensor>,
    /// Every statement of the scheduled program, copies and prefetches too.
    pub statements: Vec<Statement>,
    /// The statements as the source has them, before commands changed where they read and write.
    pub source_statements: Vec<Statement>,
    /// The choices of what runs together, one for each time that a policy made one.
    pub plans: Vec<Plan>,
    /// What runs together in the final order, nest after nest at the top: the names of statements.
    pub nests: Vec<Vec<String>>,
    /// The order of the source: a line for each loop and statement.
    pub source_order: Vec<String>,
    /// The commands, each with its reason and what it changed; of a program in parts, of the outline of that part.
    pub script: Vec<Step>,
    /// The schedule tree.
    pub tree: Node,
    /// The loops of the tree, from the outside in, in order of execution.
    pub loops: Vec<Loop>,
    /// The dependences of the source, by pair of statements and kind.
    pub dependences: Vec<Dependence>,
    /// The bytes that each cache exchanges with what is beyond it; absent for all sizes and for devices.
    pub traffic: Option<Traffic>,
    /// Operations and compulsory bytes; absent for all sizes.
    pub work: Option<Work>,
    /// The machine as its description has it.
    pub machine: Machine,
    /// Time, predicted and measured; absent until something was measured ([`Report::measured`]).
    pub time: Option<Time>,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
    /// The kernels of a device, in the order of their launches; where the texts of the later stages were asked for.
    pub kernels: Vec<Kernel>,
    /// The texts of the later stages, where they were asked for.
    pub code: Vec<Listing>,
    /// How long each stage of compiling took, in order. Left out of what must be the same each time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

/// A size parameter and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: i64,
}

/// A text with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    /// The file's name.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Something that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The stage that speaks.
    pub stage: String,
    /// A statement, a loop, a tensor, by name.
    pub entity: String,
    /// What was not done.
    pub what: String,
    /// Why, and what would change it.
    pub why: String,
}

impl From<support::Remark> for Remark {
    fn from(remark: support::Remark) -> Remark {
        Remark { stage: remark.stage.into(), entity: remark.entity, what: remark.what, why: remark.why }
    }
}

/// How long a stage took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The stage.
    pub name: String,
    /// In nanoseconds.
    pub nanoseconds: u64,
}

/// What a report should hold beside what it always does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The text of the program.
    pub source: Option<&'a Source>,
    /// The texts of the later stages, and what is known of kernels from them.
    pub code: bool,
    /// Commands tried on each loop: [`Loop::tried`].
    pub tried: bool,
    /// How long the stages took.
    pub stages: bool,
}

/// Reports on a definition for some sizes, or for all when none are given and [`Options::symbolic`] is set.
///
/// # Errors
/// What compiling reports.
pub fn report(def: &Definition, sizes: Option<&[i64]>, options: &Options, asked: Asked<'_>) -> Result<Report> {
    with_deep_stack(|| Builder { def, sizes: sizes.filter(|_| !options.symbolic), options, asked }.report())
}

/// What a report is made of.
struct Builder<'a> {
    def: &'a Definition,
    sizes: Option<&'a [i64]>,
    options: &'a Options,
    asked: Asked<'a>,
}

/// What code generation says.
struct Generated {
    code: Vec<Listing>,
    kernels: Vec<Kernel>,
    remarks: Vec<Remark>,
}

/// Says how long the stages took, one after the other.
struct Clock {
    last: Instant,
    stages: Vec<Stage>,
}

impl Clock {
    fn passed(&mut self, name: &str) {
        let took: Duration = self.last.elapsed();
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.stages.push(Stage { name: name.into(), nanoseconds });
        self.last = Instant::now();
    }
}

impl Builder<'_> {
    fn report(&self) -> Result<Report> {
        let mut clock = Clock { last: Instant::now(), stages: Vec::new() };
        let ctx = isl::Ctx::new();
        let scop = match self.sizes {
            Some(sizes) => frontend_tc::lower_at(self.def, &ctx, sizes)?,
            None if self.options.symbolic => frontend_tc::lower(self.def, &ctx)?,
            None => return Err(Error::bug("a report needs sizes")),
        };
        clock.passed("scop");
        if self.options.device.is_none()
            && let Some(divided) = parts::divided(&scop, &[], self.options)?
        {
            return self.of_parts(&scop, &divided, clock);
        }
        let session = compile::session(scop.clone(), self.options)?;
        let scheduled = session.clone().finish().map_err(refused)?;
        clock.passed("schedule");
        let Generated { code, kernels, remarks } = self.generated(&scheduled, &mut clock)?;
        let mut loops = loops::loops(&scheduled, self.device_or_target())?;
        if self.asked.tried {
            refusals::try_each(&session, &mut loops, &self.options.target);
        }
        Ok(Report {
            tensors: program::tensors(&scheduled.scop),
            statements: program::statements(&scheduled.scop)?,
            plans: scheduled.fusion.iter().map(Plan::of).collect(),
            nests: tree::nests(&scheduled.scop)?,
            script: script::steps(&scop, &scheduled)?,
            tree: tree::tree(&scheduled.scop)?,
            loops,
            traffic: self.traffic(&scheduled.scop)?,
            remarks,
            kernels,
            code,
            stages: if self.asked.stages { clock.stages } else { Vec::new() },
            ..self.of_source(&scop)?
        })
    }

    /// The report of a large program whose parts are scheduled by themselves: what is in one part after what is in the one
    /// before. Of parts that are equal but for the names the first one is there.
    fn of_parts(&self, scop: &Scop, divided: &Divided, mut clock: Clock) -> Result<Report> {
        let joined = divided.joined(&[], self.options)?;
        clock.passed("parts");
        let mut report = self.of_source(scop)?;
        let (mut steps, mut trees, mut scops) = (Vec::new(), Vec::new(), Vec::new());
        for (part, options) in divided.distinct(self.options)? {
            let scheduled = compile::recorded(part.clone(), &options)?;
            for tensor in program::tensors(&scheduled.scop) {
                if report.tensors.iter().all(|known| known.name != tensor.name) {
                    report.tensors.push(tensor);
                }
            }
            report.statements.extend(program::statements(&scheduled.scop)?);
            report.loops.extend(loops::loops(&scheduled, self.device_or_target())?);
            trees.push(tree::tree(&scheduled.scop)?);
            steps.push(script::steps(&part, &scheduled)?);
            scops.push(scheduled.scop);
        }
        if self.sizes.is_some() {
            report.traffic = Some(self.traffic_of_parts(&report, divided, &scops)?);
        }
        if self.asked.code {
            report.code = code::listings(&joined.program, self.options)?;
            clock.passed("code");
        }
        Ok(Report {
            plans: joined.fusion.iter().map(Plan::of).collect(),
            nests: joined.nests,
            script: script::of_parts(&joined.script, &joined.reasons, steps),
            tree: Node::Sequence { children: trees },
            remarks: joined.remarks.into_iter().map(Remark::from).collect(),
            stages: if self.asked.stages { clock.stages } else { Vec::new() },
            ..report
        })
    }

    fn traffic_of_parts(&self, report: &Report, divided: &Divided, scops: &[Scop]) -> Result<Traffic> {
        let names: Vec<String> = report.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        let parts = divided.times().into_iter().zip(scops);
        let parts: Vec<traffic::Scheduled<'_>> =
            parts.map(|((part, times), scop)| traffic::Scheduled { part, scop, times }).collect();
        Ok(traffic::of_parts(&names, &parts, &self.options.target)?)
    }

    /// What is known before anything is scheduled.
    fn of_source(&self, scop: &Scop) -> Result<Report> {
        Ok(Report {
            title: self.title(),
            definition: self.def.name.clone(),
            target: self.target_name().into(),
            sizes: self.named_sizes(),
            source: self.asked.source.map(|source| Text { name: source.name.clone(), text: source.text.to_string() }),
            tensors: program::tensors(scop),
            statements: Vec::new(),
            source_statements: program::statements(scop)?,
            plans: Vec::new(),
            nests: Vec::new(),
            source_order: outline::outline(scop)?,
            script: Vec::new(),
            tree: Node::Sequence { children: Vec::new() },
            loops: Vec::new(),
            dependences: dependences::dependences(scop, &dependences_of(scop)?)?,
            traffic: None,
            work: self.sizes.map(|sizes| Work::of(&cost(self.def, sizes))),
            machine: Machine::of(&self.options.target),
            time: None,
            remarks: Vec::new(),
            kernels: Vec::new(),
            code: Vec::new(),
            stages: Vec::new(),
        })
    }

    /// What code generation says: the texts of the later stages where they are asked for, and what was not done.
    fn generated(&self, scheduled: &Scheduled, clock: &mut Clock) -> Result<Generated> {
        let mut scheduled = scheduled.clone();
        let (program, scop, remarks) = match &self.options.device {
            None => {
                let program = compile::program(&mut scheduled, &[], self.options)?;
                (Some(program), None, scheduled.remarks)
            }
            // What a device's loops do not do is found only where they are asked for.
            Some(_) if !self.asked.code => (None, None, scheduled.remarks),
            Some(device) => {
                let (program, scop, _, remarks) = compile::launched(scheduled, device, &[], self.options)?;
                // What is shown is what the text of the kernels is made from.
                let program = gpu::in_language(&program, code::language(device)).into_owned();
                (Some(program), Some(scop), remarks)
            }
        };
        clock.passed("loops");
        let (code, kernels) = match program {
            Some(program) if self.asked.code => {
                let kernels = match &self.options.device {
                    Some(_) => kernels::kernels(&program, scop.as_ref()),
                    None => Vec::new(),
                };
                (code::listings(&program, self.options)?, kernels)
            }
            _ => (Vec::new(), Vec::new()),
        };
        if self.asked.code {
            clock.passed("code");
        }
        Ok(Generated { code, kernels, remarks: remarks.into_iter().map(Remark::from).collect() })
    }

    fn traffic(&self, scop: &Scop) -> Result<Option<Traffic>> {
        match (self.sizes, &self.options.device) {
            (Some(_), None) => Ok(Some(traffic::traffic(scop, &self.options.target)?)),
            _ => Ok(None),
        }
    }

    /// The machine whose caches are looked at; a device's are not known.
    fn device_or_target(&self) -> Option<&Target> {
        self.options.device.is_none().then_some(&self.options.target)
    }

    fn target_name(&self) -> &str {
        self.options.device.as_ref().map_or(&self.options.target.name, |device| &device.name)
    }

    fn named_sizes(&self) -> Vec<Size> {
        let values = self.sizes.unwrap_or_default();
        self.def.sizes.iter().zip(values).map(|(name, &value)| Size { name: name.clone(), value }).collect()
    }

    fn title(&self) -> String {
        let sizes: Vec<String> = match self.sizes {
            Some(_) => self.named_sizes().iter().map(|Size { name, value }| format!("{name}={value}")).collect(),
            None => vec!["all sizes".into()],
        };
        let sizes = if sizes.is_empty() { String::new() } else { format!(" ({})", sizes.join(", ")) };
        format!("{}{sizes} for {}", self.def.name, self.target_name())
    }
}

impl Report {
    /// The loop with that name.
    pub fn loop_named(&self, name: &str) -> Option<&Loop> {
        self.loops.iter().find(|one| one.name == name)
    }

    /// Whether anything in it runs on several threads.
    pub fn is_parallel(&self) -> bool {
        self.loops.iter().any(|one| one.kind == "parallel")
    }

    /// As JSON, on one line: the same for the same program, sizes, target and script, but for what was measured.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("only numbers, text and lists of them")
    }
}

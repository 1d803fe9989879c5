use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use polyhedral::legality::{self, Illegal, Meaning};
use polyhedral::{Dependences, ScheduleTree, Scop, dependences, isl};
use support::{Malformed, Remark, Stage, Target};

use crate::history::{Proved, Recorded};
use crate::proof::{Edit, Proof, within_budget};
use crate::refused::{Reason, Refused};
use crate::script::Step;
use crate::storage::{compute_at, exchange, inline, layout, prefetch, privatise, promote, rescale, store_at, stream};
use crate::{
    Command, FusionReport, Policy, Script, affine, fusion, index_set, loops, mapping, order, parallel, place, shape,
    tiling,
};

/// isl operations that one command, its proof included, may use: about two seconds. A two-level tiled matrix product
/// needs a hundredth of it for its heaviest command.
pub const OPERATIONS: u64 = 4_000_000;

/// How many times the budget of a command the proof of the whole may take.
const WHOLE: u64 = 4;

/// What a session may take for granted. Built by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Keep the written order of reductions: two updates of one element are not swapped.
    pub strict: bool,
    /// isl operations that one command may use; past them it is refused.
    pub operations: u64,
    /// Keep the program as it is after each command: [`Scheduled::history`].
    pub history: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { strict: false, operations: OPERATIONS, history: false }
    }
}

/// A program, its schedule so far, and the script that made it: the only way to change a schedule.
///
/// [`apply`](Session::apply) edits the tree, has the edit proved by [`polyhedral::legality`], and records the command;
/// a refused command leaves everything as it was.
///
/// The attributes of the tree's bands ([`permutable`](polyhedral::Band::permutable) and
/// [`coincident`](polyhedral::Member::coincident)) are exact at first and after an `order`. Other commands keep what is
/// surely still so: an attribute that is set holds, one that is not set may hold; [`Session::permutable`] and
/// [`Session::coincident`] find out.
///
/// A clone is cheap, and shares nothing but isl's context: a policy can try steps on it.
#[derive(Clone, Debug)]
pub struct Session {
    scop: Scop,
    target: Target,
    options: Options,
    /// Of the program as it is: found when asked for.
    dependences: OnceCell<Dependences>,
    /// The program before the first command, in the order of its tree wherever the dependences are not known; after a law of
    /// algebra, the program that it gave.
    source: Rc<Scop>,
    /// How many commands were applied before the source was what it is.
    before_source: usize,
    /// What the source program computes; found when a command first changes storage or instances.
    meaning: OnceCell<Rc<Meaning>>,
    script: Script,
    remarks: Vec<Remark>,
    fusion: Vec<FusionReport>,
    /// Of each command of the script, why it was chosen, where that was said.
    reasons: Vec<Option<Rc<str>>>,
    /// What each command of the script made, where that is asked for.
    history: Vec<Recorded>,
    /// Why the commands that come now are chosen.
    reason: Option<Rc<str>>,
    /// Commands are taken over as they are: [`Session::together`] proves what they made.
    is_open: bool,
    /// The program as it is was proved as a whole.
    is_whole: bool,
}

/// A program with a proved schedule, and where that comes from.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The program; its tree is the schedule.
    pub scop: Scop,
    /// The commands that made the tree.
    pub script: Script,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
    /// What a policy expected of running nests together.
    pub fusion: Vec<FusionReport>,
    /// For each command of the script, why it was chosen, where a policy [said so](Session::because).
    pub reasons: Vec<Option<Rc<str>>>,
    /// For each command of the script, what it made of the program and how that was proved; empty unless
    /// [`Options::history`] asks for it.
    pub history: Vec<Recorded>,
}

impl Session {
    /// Begins with the order that `scop` has, and finds out what may be changed of it.
    ///
    /// # Errors
    /// When that takes more operations than [`Options::operations`].
    pub fn new(scop: Scop, target: &Target) -> Result<Session, Refused> {
        Session::with_options(scop, target, Options::default())
    }

    /// The same with other options than the default ones.
    ///
    /// # Errors
    /// As for [`Session::new`].
    pub fn with_options(mut scop: Scop, target: &Target, options: Options) -> Result<Session, Refused> {
        let analysed = within_budget(&scop.ctx, options.operations, || {
            if let Some(tree) = attributes_of_source(&scop, options.strict)? {
                return Ok((OnceCell::new(), tree));
            }
            let all = dependences(&scop)?;
            let dependences = if options.strict { all.strict()? } else { all };
            let tree = legality::with_attributes(&scop.tree, &dependences)?;
            Ok((OnceCell::from(dependences), tree))
        });
        let (dependences, tree) = analysed.map_err(|reason| Refused::new(&"the source's order", reason))?;
        scop.tree = tree;
        let (target, script, remarks) = (target.clone(), Script::new(), Vec::new());
        let (source, meaning) = (Rc::new(scop.clone()), OnceCell::new());
        let (before_source, is_open, is_whole) = (0, false, false);
        let (fusion, reasons, reason, history) = (Vec::new(), Vec::new(), None, Vec::new());
        Ok(Session {
            scop,
            target,
            options,
            dependences,
            source,
            before_source,
            meaning,
            script,
            remarks,
            fusion,
            reasons,
            history,
            reason,
            is_open,
            is_whole,
        })
    }

    /// Applies one command, proves it, and records it.
    ///
    /// # Errors
    /// When the command does not fit the tree, when it would run two dependent instances in the wrong order, or when the
    /// proof takes too long. The session is then as it was.
    pub fn apply(&mut self, command: Command) -> Result<(), Refused> {
        match self.attempt(&command) {
            Ok(Taken { edit, dependences, is_whole }) => {
                if self.options.history {
                    self.history.push(self.recorded(&edit));
                }
                self.scop = edit.scop;
                self.script.push(edit.command);
                self.reasons.push(self.reason.clone());
                self.is_whole = is_whole;
                if let Proof::Law(_) = edit.proof {
                    self.source = Rc::new(self.scop.clone());
                    self.before_source = self.script.len();
                    self.meaning = OnceCell::new();
                }
                if let Some(dependences) = dependences {
                    self.dependences = dependences;
                }
                Ok(())
            }
            Err(reason) => {
                let instead = self.instead(&command, &reason).map(Box::new);
                Err(Refused { instead, ..Refused::new(&command, reason) })
            }
        }
    }

    /// Applies the commands of a script, up to the first that is refused. What is out of order only until a later command
    /// mends it is not: all commands are then proved as one, as when a policy takes its steps [together](Session::together).
    ///
    /// # Errors
    /// As for [`Session::apply`], with the line of the script. The commands before it stay applied.
    pub fn replay(&mut self, script: &Script) -> Result<(), Refused> {
        self.replay_steps(script, None)
    }

    /// The same, where `auto` stands for the steps of `policy`.
    ///
    /// # Errors
    /// As for [`Session::replay`].
    pub fn replay_with(&mut self, script: &Script, policy: &dyn Policy) -> Result<(), Refused> {
        self.replay_steps(script, Some(policy))
    }

    /// Takes several steps as one: all of them, or none when one is refused. The record holds the steps, under a comment
    /// with the name.
    ///
    /// ```
    /// use transform::{Command, Refused, Session};
    ///
    /// /// Boxes of a matrix product, their rows on threads.
    /// fn matmul_tile(session: &mut Session, m: u32, n: u32, k: u32) -> Result<(), Refused> {
    ///     session.composite(&format!("matmul_tile({m}, {n}, {k})"), |session| {
    ///         session.apply(Command::tile(["C.update.m", "C.update.n", "C.update.k"], [m, n, k]))?;
    ///         session.apply(Command::parallel("C.update.mo"))
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// That of the steps; the session is then as it was.
    pub fn composite<E>(&mut self, name: &str, steps: impl FnOnce(&mut Session) -> Result<(), E>) -> Result<(), E> {
        let before = self.clone();
        if let Err(error) = steps(self) {
            *self = before;
            return Err(error);
        }
        let first = before.script.len();
        let count = self.script.len() - first;
        let commands = if count == 1 { "command" } else { "commands" };
        let name = name.lines().next().unwrap_or_default().trim();
        self.script.note(first, (count > 0).then(|| format!("{name}: {count} {commands}")));
        Ok(())
    }

    /// Takes steps that are proved together: one proof of the program that they make, in place of one for each command. When
    /// it fails, the steps are taken again from the beginning, each command with a proof of its own, so that what is refused
    /// is a command, as anywhere.
    ///
    /// A command of the steps is refused at once where it does not fit the tree. For a policy that expects its commands to be
    /// legal: it must do the same each time, and look no further at what [`Session::apply`] says of order or values than
    /// to leave a command out.
    pub fn together(&mut self, steps: impl Fn(&mut Session)) {
        if self.is_open {
            return steps(self);
        }
        let mut all = Session { is_open: true, ..self.clone() };
        steps(&mut all);
        match all.close() {
            Ok(()) => *self = all,
            Err(_) => steps(self),
        }
    }

    /// Proves what was taken over.
    fn close(&mut self) -> Result<(), Reason> {
        self.is_open = false;
        if !self.is_whole {
            if let Some(tree) = self.proved_whole()? {
                self.scop.tree = tree;
            }
            self.is_whole = true;
        }
        Ok(())
    }

    /// The program with its schedule so far.
    pub fn scop(&self) -> &Scop {
        &self.scop
    }

    /// The machine that the schedule is for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the session takes for granted.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The program before the first command, or the one that a law of algebra gave: what every schedule must compute.
    pub fn source(&self) -> &Scop {
        &self.source
    }

    /// What every order of the program as it is must respect.
    ///
    /// # Errors
    /// When isl cannot find them: they are found when they are first asked for.
    pub fn dependences(&self) -> isl::Result<&Dependences> {
        if let Some(dependences) = self.dependences.get() {
            return Ok(dependences);
        }
        let dependences = self.analysed(&self.scop)?;
        Ok(self.dependences.get_or_init(|| dependences))
    }

    /// The commands that were applied, with exact names and nothing left out.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Notes something that was not done.
    pub fn remark(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }

    /// Notes which nests a policy runs together, and what it expects of that. Changes nothing.
    pub fn note_fusion(&mut self, report: FusionReport) {
        self.fusion.push(report);
    }

    /// Says why the commands of `steps` are chosen, in a few words that go on after "because"; what steps inside say of
    /// theirs goes first. Changes nothing.
    pub fn because<T>(&mut self, reason: impl Into<Rc<str>>, steps: impl FnOnce(&mut Session) -> T) -> T {
        let before = self.reason.replace(reason.into());
        let result = steps(self);
        self.reason = before;
        result
    }

    /// What was not done so far.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// May the loops from the first to the last of `members`, all of one band, be permuted, and so tiled?
    ///
    /// # Errors
    /// The counter-example, or why it could not be decided.
    pub fn permutable(&self, members: &[&str]) -> Result<(), Reason> {
        let Some(first) = members.first() else { return Ok(()) };
        self.within_budget(|| {
            let inside = self.dependences_inside(first)?;
            Ok(legality::permutable(&self.scop.tree, &inside, &self.scop, members)?)
        })
    }

    /// May the iterations of the loop run at once?
    ///
    /// # Errors
    /// The counter-example, or why it could not be decided.
    pub fn coincident(&self, member: &str) -> Result<(), Reason> {
        self.within_budget(|| {
            let inside = self.dependences_inside(member)?;
            Ok(legality::coincident(&self.scop.tree, &inside, &self.scop, member)?)
        })
    }

    /// Whether some loops of one band, outermost first, are [permutable](Session::permutable), and then which of them are
    /// [coincident](Session::coincident).
    ///
    /// # Errors
    /// When there are no such loops, or it could not be decided.
    pub fn attributes(&self, members: &[&str]) -> Result<Option<Vec<bool>>, Reason> {
        let Some(first) = members.first() else { return Ok(Some(Vec::new())) };
        self.within_budget(|| {
            Ok(legality::attributes(&self.scop.tree, self.dependences_inside(first)?.as_ref(), members)?)
        })
    }

    /// All that an order must respect among the instances of a loop.
    fn dependences_inside(&self, member: &str) -> isl::Result<Cow<'_, Dependences>> {
        match self.scop.tree.root.band_of(member) {
            Some((band, at)) => self.known_inside(&band.members[at].schedule.domain()?),
            None => self.dependences().map(Cow::Borrowed),
        }
    }

    /// All that an order must respect among some instances, and perhaps more. Where the dependences are not known, it is their
    /// conflicts, which ask for the same and take no search.
    fn known_inside(&self, instances: &isl::UnionSet) -> isl::Result<Cow<'_, Dependences>> {
        if let Some(dependences) = self.dependences.get() {
            return Ok(Cow::Borrowed(dependences));
        }
        // The order of the source says which of two runs first, until only the tree does.
        let scop = if self.scop.is_source() { self.source.as_ref() } else { &self.scop };
        legality::conflicts_within(scop, instances, self.options.strict).map(Cow::Owned)
    }

    /// A copy in which a command may use so many of isl's operations at most: for trying commands.
    #[must_use]
    pub fn limited(&self, operations: u64) -> Session {
        let options = Options { operations: operations.min(self.options.operations), ..self.options };
        Session { options, ..self.clone() }
    }

    /// The program as it is.
    pub fn program(&self) -> &Scop {
        &self.scop
    }

    /// Ends the session: one whole proof of the tree, whatever each command proved of it, unless that was the last thing
    /// proved.
    ///
    /// # Errors
    /// When the proof fails; the commands are then replayed, each with a whole proof, and the first that breaks it is
    /// the one that is refused.
    pub fn finish(self) -> Result<Scheduled, Refused> {
        if !self.is_whole {
            self.proved_whole().map_err(|reason| self.culprit(reason))?;
        }
        let Session { scop, script, remarks, fusion, reasons, history, .. } = self;
        Ok(Scheduled { scop, script, remarks, fusion, reasons, history })
    }

    /// What an edit makes of the program, which is still as it was before.
    fn recorded(&self, edit: &Edit) -> Recorded {
        let proved = match self.is_open && !matches!(edit.proof, Proof::Law(_)) {
            true => Proved::Together,
            false => Proved::of(&edit.proof, changes_values(&self.scop, edit)),
        };
        Recorded { scop: edit.scop.clone(), proved }
    }

    /// The program that the command would give, with nothing proved: what a refusal speaks of. For tests.
    ///
    /// # Errors
    /// When the command does not fit the tree.
    #[cfg(feature = "testing")]
    pub fn preview(&self, command: &Command) -> Result<Scop, Reason> {
        Ok(edit(&self.scop, &self.target, &|inside| self.known_inside(inside), command)?.scop)
    }

    fn replay_steps(&mut self, script: &Script, policy: Option<&dyn Policy>) -> Result<(), Refused> {
        let before = self.clone();
        let Err(refused) = self.replay_each(script, policy) else { return Ok(()) };
        if self.is_open || !matches!(refused.reason, Reason::Violation(_)) {
            return Err(refused);
        }
        let mut all = Session { is_open: true, ..before };
        let together = all.replay_each(script, policy).is_ok() && all.close().is_ok();
        if together {
            *self = all;
        }
        if together { Ok(()) } else { Err(refused) }
    }

    fn replay_each(&mut self, script: &Script, policy: Option<&dyn Policy>) -> Result<(), Refused> {
        for Step { command, line, within, notes } in script.steps() {
            let first = self.script.len();
            let applied = match (command, policy) {
                (Command::Auto { stmts }, Some(policy)) => self.complete(command, stmts, policy),
                _ => self.apply(command.clone()),
            };
            applied.map_err(|refused| Refused { line: Some(*line), within: within.clone(), ..refused })?;
            self.script.note(first, notes.iter().cloned());
        }
        Ok(())
    }

    /// Has a policy schedule the nests of some statements, or all that are still as in the source.
    fn complete(&mut self, auto: &Command, stmts: &[String], policy: &dyn Policy) -> Result<(), Refused> {
        let known: Vec<String> = self.scop.stmts.values().map(|stmt| stmt.name.clone()).collect();
        if let Some(unknown) = stmts.iter().find(|stmt| !known.contains(stmt)) {
            return Err(Refused::new(auto, Reason::Precondition(place::no_such("statement", unknown, &known))));
        }
        let name = auto.to_string();
        self.composite(&name, |session| policy.complete(session, stmts))
    }

    /// What could be said instead of a command that would compute other values: a fold with some more slices.
    fn instead(&self, command: &Command, reason: &Reason) -> Option<Command> {
        const TRIES: u32 = 4;
        let (Command::Fold { tensor, dim, by }, Reason::Violation(_)) = (command, reason) else { return None };
        let more = (1..=TRIES).filter_map(|more| by.checked_add(more));
        more.map(|by| Command::fold(tensor, *dim, by)).find(|fold| self.attempt(fold).is_ok())
    }

    fn attempt(&self, command: &Command) -> Result<Taken, Reason> {
        self.within_budget(|| {
            let mut edit = edit(&self.scop, &self.target, &|inside| self.known_inside(inside), command)?;
            shape::check(&edit.scop.tree, &self.scop.tree)?;
            shape::stack_fits(&edit.scop)?;
            if let Proof::Law(claim) = &edit.proof {
                let claim = claim.clone();
                return self.by_law(edit, &claim);
            }
            if self.is_open {
                return self.taken_over(edit);
            }
            if changes_values(&self.scop, &edit) {
                let Ordered { tree, dependences } = self.values_proof(&edit.scop)?;
                if let Proof::Anew | Proof::Values = edit.proof {
                    edit.scop.tree = tree;
                }
                return Ok(Taken { edit, dependences: Some(dependences), is_whole: true });
            }
            if !self.respects_conflicts(&edit)? {
                edit.proof.of(&edit.scop.tree, &|| self.dependences(), &self.scop)?;
            }
            if let Proof::Anew = edit.proof {
                edit.scop.tree = self.with_attributes(&edit.scop.tree)?;
            }
            Ok(Taken { edit, dependences: None, is_whole: false })
        })
    }

    /// A program that computes what the source does by a law. That is proved at once: what follows is compared with it.
    fn by_law(&self, mut edit: Edit, claim: &legality::Rescaling) -> Result<Taken, Reason> {
        if self.options.strict {
            return Reason::precondition("reductions keep their order here, and terms would be rounded in another one");
        }
        legality::rescaled(&self.source, &edit.scop, claim)?;
        let Ordered { tree, dependences } = match legality::own_order(&edit.scop, self.options.strict)? {
            Some(tree) => Ordered { tree, dependences: OnceCell::new() },
            None => self.ordered(&edit.scop)?,
        };
        edit.scop.tree = tree;
        Ok(Taken { edit, dependences: Some(dependences), is_whole: true })
    }

    /// An edit with nothing proved of it. What the dependences say of a new order is still found, since policies go by it.
    fn taken_over(&self, mut edit: Edit) -> Result<Taken, Reason> {
        // Those of a program that only its tree orders are other ones in another tree.
        let dependences = (!edit.scop.is_source()).then(OnceCell::new);
        if let (Proof::Anew, None) = (&edit.proof, &dependences) {
            edit.scop.tree = self.with_attributes(&edit.scop.tree)?;
        }
        Ok(Taken { edit, dependences, is_whole: false })
    }

    /// The tree with its attributes.
    fn with_attributes(&self, tree: &ScheduleTree) -> isl::Result<ScheduleTree> {
        legality::with_attributes(tree, self.known_inside(&tree.domain)?.as_ref())
    }

    /// Whether the order of an edited tree follows from what conflicts, where the dependences are not known. A refusal
    /// speaks of these.
    fn respects_conflicts(&self, edit: &Edit) -> Result<bool, Reason> {
        match &edit.proof {
            Proof::Order(touched) => self.orders_conflicts(&edit.scop.tree, touched),
            Proof::Anew => self.orders_conflicts(&edit.scop.tree, &self.scop.tree.domain),
            _ => Ok(false),
        }
    }

    /// Whether a tree runs everything once and orders what conflicts among some instances; never where the dependences are
    /// known, which say it too.
    fn orders_conflicts(&self, tree: &ScheduleTree, touched: &isl::UnionSet) -> Result<bool, Reason> {
        if self.dependences.get().is_some() {
            return Ok(false);
        }
        match legality::order_respected(tree, self.known_inside(touched)?.as_ref(), &self.scop) {
            Ok(()) => Ok(true),
            Err(Illegal::Isl(error)) => Err(Reason::Isl(error)),
            Err(_) => Ok(false),
        }
    }

    /// That the program computes what the source does, whatever changed in between.
    fn values_proof(&self, scop: &Scop) -> Result<Ordered, Reason> {
        let meaning = self.meaning()?;
        match legality::order_and_values_kept(&meaning, scop) {
            Ok(Some(tree)) => return Ok(Ordered { tree, dependences: OnceCell::new() }),
            // On some sets isl fails for reasons of its own; the other way to the same proof asks it for other ones.
            Ok(None) | Err(Illegal::Isl(isl::Error::Refused(_))) => {}
            Err(illegal) => return Err(illegal.into()),
        }
        let ordered = self.ordered(scop)?;
        legality::values_kept(&meaning, scop)?;
        Ok(ordered)
    }

    /// That the tree orders the program's own dependences, which are found for a refusal to speak of.
    fn ordered(&self, scop: &Scop) -> Result<Ordered, Reason> {
        let dependences = self.analysed(scop)?;
        legality::order_respected(&scop.tree, &dependences, scop)?;
        Ok(Ordered {
            tree: legality::with_attributes(&scop.tree, &dependences)?,
            dependences: OnceCell::from(dependences),
        })
    }

    fn analysed(&self, scop: &Scop) -> isl::Result<Dependences> {
        let all = dependences(scop)?;
        if self.options.strict { all.strict() } else { Ok(all) }
    }

    fn meaning(&self) -> isl::Result<Rc<Meaning>> {
        if let Some(meaning) = self.meaning.get() {
            return Ok(meaning.clone());
        }
        let meaning = Rc::new(Meaning::of(&self.source, self.options.strict)?);
        Ok(self.meaning.get_or_init(|| meaning).clone())
    }

    /// One proof of what all commands did: a command that was proved is not to be refused for want of budget.
    fn proved_whole(&self) -> Result<Option<ScheduleTree>, Reason> {
        let budget = self.options.operations.saturating_mul(WHOLE);
        within_budget(&self.scop.ctx, budget, || self.whole_proof(&self.scop))
    }

    /// The tree with its attributes, where the proof finds them.
    fn whole_proof(&self, scop: &Scop) -> Result<Option<ScheduleTree>, Reason> {
        if scop.is_source() {
            if self.scop.is_source() && self.orders_conflicts(&scop.tree, &scop.tree.domain)? {
                return Ok(None);
            }
            let dependences = self.dependences_of_source()?;
            Proof::Anew.of(&scop.tree, &|| Ok(&dependences), scop)?;
            return Ok(None);
        }
        Ok(Some(self.values_proof(scop)?.tree))
    }

    fn dependences_of_source(&self) -> isl::Result<Dependences> {
        if self.scop.is_source() { self.dependences().cloned() } else { self.analysed(&self.source) }
    }

    /// The first command after which the whole proof fails for a reason of its own; the end when there is none.
    fn culprit(&self, reason: Reason) -> Refused {
        let mut scop = self.source.as_ref().clone();
        for (line, command) in self.script.lines().skip(self.before_source) {
            let step = self.within_budget(|| {
                // What is recorded leaves nothing to be found from the dependences.
                let edit = edit(&scop, &self.target, &|inside| self.known_inside(inside), command)?;
                self.whole_proof(&edit.scop)?;
                Ok(edit.scop)
            });
            match step {
                Ok(next) => scop = next,
                Err(reason) => return Refused { line: Some(line), ..Refused::new(command, reason) },
            }
        }
        Refused::new(&"the schedule as a whole", reason)
    }

    fn within_budget<T>(&self, work: impl FnOnce() -> Result<T, Reason>) -> Result<T, Reason> {
        within_budget(&self.scop.ctx, self.options.operations, work)
    }
}

/// An edit to take over, and the dependences of the program after it, as far as they are known, when they are other ones
/// than before.
struct Taken {
    edit: Edit,
    dependences: Option<OnceCell<Dependences>>,
    /// Whether the whole program was proved, not only what the edit changed.
    is_whole: bool,
}

/// A program's tree that orders it, with its attributes, and the dependences if they were found for that.
struct Ordered {
    tree: ScheduleTree,
    dependences: OnceCell<Dependences>,
}

/// How an edit gets to what an order of the program must respect, among some instances at least.
pub(crate) type Asked<'a> = dyn Fn(&isl::UnionSet) -> isl::Result<Cow<'a, Dependences>> + 'a;

/// The tree of a program with its attributes, when it is the order of the source: without a search for dependences. `None`
/// where these have to say it.
fn attributes_of_source(scop: &Scop, strict: bool) -> isl::Result<Option<ScheduleTree>> {
    if !scop.is_source() || !ScheduleTree::from_source(scop)?.to_map()?.is_equal(&scop.tree.to_map()?)? {
        return Ok(None);
    }
    legality::own_order(scop, strict)
}

/// Whether values are to be proved: also when threads get memories of their own or may share others than before, and when
/// a whole tree is given for a program that has only its tree.
fn changes_values(before: &Scop, edit: &Edit) -> bool {
    let privatises = || matches!(edit.command, Command::Parallel { .. } | Command::Bind { .. } | Command::Order { .. });
    let stacks = || edit.scop.tensors.values().any(|tensor| tensor.memory.is_own());
    let apart = |scop: &Scop| scop.tree.root.members().iter().any(|member| member.kind.apart());
    matches!(edit.proof, Proof::Values)
        || (!edit.scop.is_source() && (privatises() || (stacks() && (apart(before) || apart(&edit.scop)))))
}

/// The command's function: one line for each.
fn edit<'a>(scop: &Scop, target: &Target, deps: &Asked<'a>, command: &Command) -> Result<Edit, Reason> {
    match command {
        Command::Order { tree } => order::order(scop, tree),
        Command::Split { member, by, names } => loops::split(scop, member, *by, names.as_ref()),
        Command::Tile { members, by, names } => loops::tile(scop, members, by, names.as_ref()),
        Command::TileBy { members, by, names } => tiling::tile_by(scop, members, by, names.as_deref()),
        Command::Reorder { members } => loops::reorder(scop, members),
        Command::Fuse { first, second, depth, shift } => {
            fusion::fuse(scop, deps, (first, second), *depth, shift.as_deref())
        }
        Command::Distribute { member } => fusion::distribute(scop, member),
        Command::Skew { member, by, of, name } => affine::skew(scop, member, *by, of, name.as_deref()),
        Command::Shift { member, by, stmts } => affine::shift(scop, member, *by, stmts),
        Command::Reverse { member } => affine::reverse(scop, member),
        Command::Cut { member, at, names } => index_set::cut(scop, member, at, names.as_ref()),
        Command::Peel { member, end, count, names } => index_set::peel(scop, member, *end, *count, names.as_ref()),
        Command::Separate { members } => index_set::separate(scop, members),
        Command::Collapse { members: [outer, inner], name } => loops::collapse(scop, [outer, inner], name.as_deref()),
        Command::Bind { members, axis, atomically } => mapping::bind(scop, members, *axis, *atomically),
        Command::Launch { member, threads } => mapping::launch(scop, member, threads),
        Command::Parallel { member } => parallel::parallel(scop, member),
        Command::Vectorise { member, by, names, tail } => {
            parallel::vectorise(scop, target, (member, *by), names.as_ref(), *tail)
        }
        Command::Unroll { member, by, names } => parallel::unroll(scop, member, *by, names.as_ref()),
        Command::Promote(promotion) => promote::promote(scop, promotion),
        Command::Prefetch { tensor, member, ahead } => {
            prefetch::prefetch(scop, target, tensor, member, ahead.unwrap_or(1))
        }
        Command::Layout(map) => layout::layout(scop, map),
        Command::Fold { tensor, dim, by } => layout::fold(scop, tensor, *dim, *by),
        Command::Stream { tensor } => stream::stream(scop, tensor),
        Command::Inline { tensor } => inline::inline(scop, tensor),
        Command::ComputeAt { tensor, member } => compute_at::compute_at(scop, tensor, member),
        Command::StoreAt { tensor, member, memory } => store_at::store_at(scop, tensor, member, *memory),
        Command::Privatise(privatisation) => privatise::privatise(scop, privatisation),
        Command::Exchange { tensor, name } => exchange::exchange(scop, tensor, name.as_deref()),
        Command::Rescale { sums, max, member } => rescale::rescale(scop, sums, max, member),
        Command::Part { .. } => Reason::precondition(
            "`part` divides a whole program, and this is one part of one, or is compiled as a whole: for a device",
        ),
        Command::Auto { .. } => Reason::precondition(
            "`auto` is for a policy, and here is none: the compiler has one, as has `Session::replay_with`",
        ),
    }
}

impl fmt::Display for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scop)
    }
}

impl Stage for Scheduled {
    const NAME: &'static str = "schedule";

    /// The program is well formed, its new tree included, and the script's text reads back.
    fn verify(&self) -> Result<(), Malformed> {
        let scop = self.scop.verify().map_err(|malformed| Malformed { stage: Self::NAME, ..malformed });
        scop.and_then(|()| self.script.verify())
    }
}

#[cfg(test)]
mod tests {
    use polyhedral::{isl, testing};

    use super::*;

    fn target() -> Target {
        Target::from_toml(
            "name = 'test'\ntriple = ''\ncpu = ''\nthreads = 1\nvector_bytes = 64\nvector_registers = 32\n\
             fma_per_cycle = 2\nfma_latency = 4\ncaches = []\n",
        )
        .expect("a target")
    }

    /// A session in which `command` was recorded and its edit taken over without a proof.
    fn unproved(commands: &[Command]) -> Session {
        let scop = testing::matmul(&isl::Ctx::new());
        let mut session = Session::new(scop, &target()).expect("its dependences are found");
        for command in commands {
            let edit = edit(&session.scop, &session.target, &|inside| session.known_inside(inside), command);
            let edit = edit.expect("it fits");
            session.scop = edit.scop;
            session.script.push(edit.command);
        }
        session
    }

    #[test]
    fn the_whole_proof_names_the_culprit() {
        let commands =
            [Command::split("C.update.k", 4), Command::parallel("C.update.ko"), Command::split("C.update.m", 2)];
        let refused = unproved(&commands).finish().expect_err("a parallel reduction");
        assert_eq!((refused.line, refused.command.as_str()), (Some(2), "parallel C.update.ko"));
        assert!(refused.violation().is_some(), "{refused}");
        unproved(&commands[..1]).finish().expect("a split is legal");
    }

    #[test]
    fn a_tree_that_no_command_made_is_refused_as_a_whole() {
        let mut session = unproved(&[]);
        session.scop.tree.root = polyhedral::Node::Leaf;
        let refused = session.finish().expect_err("nothing orders the updates");
        assert_eq!((refused.line, refused.command.as_str()), (None, "the schedule as a whole"));
    }
}

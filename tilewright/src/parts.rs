//! Large programs: divided into parts that are scheduled, proved and lowered by themselves, equal ones once, on all cores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use codegen::{Piece, Program, joined, lower_part};
use polyhedral::{Outline, Part, Scop, isl};
use support::{Diagnostic, Entity, Remark, Stage, with_deep_stack};
use transform::{Command, FusionReport, Scheduled, Script};

use crate::compile::{self, Options};
use crate::report;
use crate::{Error, Result};

/// A program in several parts, in the order of execution.
pub(crate) struct Divided {
    whole: Scop,
    parts: Vec<Planned>,
}

/// A part, and what is to be done to it.
struct Planned {
    part: Part,
    /// The statement that a script calls it by.
    stmt: String,
    /// The number of an earlier part that is equal but for the names; there is its script.
    like: Option<usize>,
    /// What is given for it.
    script: Option<Script>,
    /// Whether only the call knows the strides of its tensors.
    strided: Vec<bool>,
}

/// What became of the parts together.
pub(crate) struct Joined {
    /// The loops of the whole.
    pub program: Program,
    /// The schedules, each below its [`Command::Part`].
    pub script: Script,
    /// For each command of the script, why it was chosen, where that was said.
    pub reasons: Vec<Option<String>>,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
    /// What was expected of running nests together, for each part.
    pub fusion: Vec<FusionReport>,
    /// What runs together, nest after nest at the top: the names of statements.
    pub nests: Vec<Vec<String>>,
    /// The programs of the parts with their trees.
    pub schedule: String,
}

/// A part that is scheduled and lowered. Holds nothing of isl, so that it can come from another thread.
struct Done {
    program: Program,
    script: Script,
    reasons: Vec<Option<String>>,
    remarks: Vec<Remark>,
    fusion: Vec<FusionReport>,
    nests: Vec<Vec<String>>,
    schedule: String,
}

/// The parts that the script asks for; without one those that the scheduler does. `None` for a program that is compiled as a
/// whole.
///
/// # Errors
/// When a `part` of the script does not fit the program.
pub(crate) fn divided(scop: &Scop, strided: &[bool], options: &Options) -> Result<Option<Divided>> {
    let parts = match &options.script {
        Some(script) if script.has_parts() => of_script(scop, script, strided)?,
        Some(_) => return Ok(None),
        None => match scheduler::parts(scop)?.as_slice() {
            [] | [_] => return Ok(None),
            starts => of_policy(scop, starts, strided)?,
        },
    };
    Ok(Some(Divided { whole: scop.clone(), parts }))
}

fn of_policy(scop: &Scop, starts: &[usize], strided: &[bool]) -> Result<Vec<Planned>> {
    let outline = Outline::of(scop)?;
    let mut forms: BTreeMap<String, usize> = BTreeMap::new();
    let mut parts = Vec::new();
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(outline.len());
        let mut planned = planned(&outline, start, end, strided)?;
        let first = *forms.entry(planned.form()?).or_insert(at);
        planned.like = (first < at).then_some(first);
        parts.push(planned);
    }
    Ok(parts)
}

fn of_script(scop: &Scop, script: &Script, strided: &[bool]) -> Result<Vec<Planned>> {
    let outline = Outline::of(scop)?;
    let given = script.parts().map_err(crate::refusal::refused)?;
    let mut starts = Vec::new();
    for part in &given {
        let start = outline.nest_of(&part.stmt).ok_or_else(|| {
            wrong(part.line, &part.stmt, "no statement has this name", "`tilewright emit scop` shows the statements")
        })?;
        let is_first = starts.is_empty() && start > 0;
        if is_first || starts.last().is_some_and(|last| *last >= start) {
            let why = if is_first { "nests before it are in no part" } else { "it is in a part above" };
            return Err(wrong(
                part.line,
                &part.stmt,
                why,
                "parts cover all nests at the top, in the order of the source",
            ));
        }
        starts.push(start);
    }
    let mut parts: Vec<Planned> = Vec::new();
    for (at, given) in given.into_iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(outline.len());
        let mut planned = planned(&outline, starts[at], end, strided)?;
        if let Some(like) = &given.like {
            let earlier = parts.iter().position(|part| part.like.is_none() && part.stmt == *like);
            let is_equal = |at: usize| Ok::<bool, Error>(parts[at].form()? == planned.form()?);
            planned.like = match earlier.map(|at| Ok::<_, Error>((at, is_equal(at)?))).transpose()? {
                Some((at, true)) => Some(at),
                Some(_) => {
                    let why = format!("it is not equal to the part of `{like}`");
                    let help = "leave `like` out, and write its own commands below";
                    return Err(wrong(given.line, &given.stmt, &why, help));
                }
                None => {
                    let why = format!("no part with commands above begins with `{like}`");
                    return Err(wrong(given.line, &given.stmt, &why, "name an earlier part as its own `part` does"));
                }
            };
        }
        (planned.stmt, planned.script) = (given.stmt, Some(given.script));
        parts.push(planned);
    }
    Ok(parts)
}

fn wrong(line: usize, stmt: &str, why: &str, help: &str) -> Error {
    let message = format!("line {line}: `part {stmt}` refused: {why}");
    Error::user(Diagnostic::call("TC0913", message).help(help))
}

fn planned(outline: &Outline<'_>, start: usize, end: usize, strided: &[bool]) -> Result<Planned> {
    let part = outline.part(start..end)?;
    let stmt = outline.first_stmt(start).unwrap_or_default().to_string();
    let strided = part.tensors.iter().map(|id| strided.get(id.index()).copied().unwrap_or(false)).collect();
    Ok(Planned { part, stmt, like: None, script: None, strided })
}

impl Planned {
    /// What is the same in all parts that one schedule and one code do for.
    fn form(&self) -> isl::Result<String> {
        Ok(format!("{:?}\n{}", self.strided, self.part.form()?))
    }
}

impl Divided {
    /// Schedules, proves and lowers the parts, each of those that are equal once, and joins their loops.
    ///
    /// Nothing depends on how many cores there are: the parts know nothing of each other, and are joined in their order.
    ///
    /// # Errors
    /// That of the first part that has one.
    pub fn joined(&self, strided: &[bool], options: &Options) -> Result<Joined> {
        let work: Vec<Work<'_>> = self.work(options);
        let mut done = in_parallel(&work, Work::done)?.into_iter();
        let done: Vec<Option<Done>> =
            self.parts.iter().map(|part| if part.like.is_none() { done.next() } else { None }).collect();
        let of =
            |at: usize| done[self.parts[at].like.unwrap_or(at)].as_ref().ok_or_else(|| Error::bug("a part is lost"));
        let piece = |at: usize| -> Result<Piece<'_>> {
            Ok(Piece { program: &of(at)?.program, tensors: self.parts[at].part.tensors.clone(), names: self.names(at) })
        };
        let pieces: Vec<Piece<'_>> = (0..self.parts.len()).map(piece).collect::<Result<_>>()?;
        let program = joined(&self.whole, &compile::codegen_options(strided, &[], options)?, &pieces);
        let (script, schedule) = (Script::new(), String::new());
        let (reasons, remarks, fusion, nests) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut all = Joined { program, script, reasons, remarks, fusion, nests, schedule };
        for (at, piece) in pieces.iter().enumerate() {
            self.add(&mut all, at, &piece.names, of(at)?);
        }
        Ok(all)
    }

    /// The parts with commands of their own, each with what compiles it alone.
    ///
    /// # Errors
    /// When a program cannot be read from its text, which is a bug.
    pub fn distinct(&self, options: &Options) -> Result<Vec<(Scop, Options)>> {
        let read = |work: Work<'_>| {
            let scop = Scop::parse(&isl::Ctx::new(), &work.text).map_err(Error::bug)?;
            Ok((scop, Options { script: work.script, ..options.clone() }))
        };
        self.work(options).into_iter().map(read).collect()
    }

    /// For each of the [distinct](Divided::distinct) parts, what a script calls it by, and for each time that it stands in the
    /// program what its tensors are called there, in its own order.
    pub fn times(&self) -> Vec<(String, Vec<Vec<String>>)> {
        let names = |part: &Planned| -> Vec<String> {
            part.part.tensors.iter().map(|id| self.whole.tensors[*id].name.clone()).collect()
        };
        let first = |at: usize| self.parts[at].like.unwrap_or(at);
        let one = |(at, part): (usize, &Planned)| {
            let alike = self.parts.iter().enumerate().filter(|(other, _)| first(*other) == at);
            (part.stmt.clone(), alike.map(|(_, part)| names(part)).collect())
        };
        self.parts.iter().enumerate().filter(|(_, part)| part.like.is_none()).map(one).collect()
    }

    /// Adds what is said of a part.
    fn add(&self, all: &mut Joined, at: usize, names: &BTreeMap<String, String>, done: &Done) {
        let part = &self.parts[at];
        let like = part.like.map(|like| self.parts[like].stmt.clone());
        let reason = match &like {
            Some(_) => "the same nests as there, for other tensors: one schedule and one code".to_string(),
            None => format!("{} of {} statements", part.part.stmts.len(), self.whole.stmts.len()),
        };
        all.script.push(Command::Part { stmt: part.stmt.clone(), like: like.clone() });
        all.reasons.push(Some(reason));
        let called = |stmt: &String| names.get(stmt).unwrap_or(stmt).clone();
        all.nests.extend(done.nests.iter().map(|nest| nest.iter().map(called).collect()));
        if like.is_some() {
            return;
        }
        all.script.append(&done.script);
        all.reasons.extend(done.reasons.iter().cloned());
        all.remarks.extend(done.remarks.iter().cloned());
        all.fusion.extend(done.fusion.iter().cloned());
        let space = if all.schedule.is_empty() { "" } else { "\n" };
        all.schedule += &format!("{space}{}", done.schedule);
    }

    /// What the statements of the part that is like this one are called in it.
    fn names(&self, at: usize) -> BTreeMap<String, String> {
        let Some(like) = self.parts[at].like else { return BTreeMap::new() };
        let stmts = |at: usize| self.parts[at].part.scop.stmts.values().map(|stmt| stmt.name.clone());
        stmts(like).zip(stmts(at)).collect()
    }

    fn work<'a>(&self, options: &'a Options) -> Vec<Work<'a>> {
        let mut users: BTreeMap<usize, usize> = BTreeMap::new();
        for id in self.parts.iter().flat_map(|part| &part.part.tensors) {
            *users.entry(id.index()).or_default() += 1;
        }
        let one = |part: &Planned| Work {
            text: part.part.scop.to_string(),
            strided: part.strided.clone(),
            kept: part.part.tensors.iter().map(|id| users[&id.index()] > 1).collect(),
            script: part.script.clone(),
            options,
        };
        self.parts.iter().filter(|part| part.like.is_none()).map(one).collect()
    }
}

/// What a thread needs to compile a part: isl's objects are of one thread, their text is not.
struct Work<'a> {
    text: String,
    strided: Vec<bool>,
    kept: Vec<bool>,
    script: Option<Script>,
    options: &'a Options,
}

impl Work<'_> {
    fn done(&self) -> Result<Done> {
        let scop = Scop::parse(&isl::Ctx::new(), &self.text).map_err(Error::bug)?;
        let options = Options { script: self.script.clone(), ..self.options.clone() };
        let mut scheduled = compile::schedule(scop, &options)?;
        scheduled.verify()?;
        let nests = report::nests(&scheduled.scop)?;
        let schedule = scheduled.to_string();
        let lowering = compile::codegen_options(&self.strided, &self.kept, &options)?;
        let program = lower_part(&scheduled.scop, &lowering, &mut scheduled.remarks).map_err(compile::not_lowered)?;
        let Scheduled { script, remarks, fusion, reasons, .. } = scheduled;
        let reasons = reasons.into_iter().map(|reason| reason.as_deref().map(str::to_string)).collect();
        Ok(Done { program, script, reasons, remarks, fusion, nests, schedule })
    }
}

/// What `done` makes of each item, in their order, on as many threads as the machine has.
fn in_parallel<T: Sync, R: Send>(items: &[T], done: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    if threads <= 1 {
        return items.iter().map(done).collect();
    }
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(at)
        {
            let result = with_deep_stack(|| done(item));
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(at, result);
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

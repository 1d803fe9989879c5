//! The policy for CPUs.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use polyhedral::{ScheduleTree, Scop, isl};
use support::Remark;
use transform::{Command, Names, Policy, Refused, Session};

use crate::blocks::Blocks;
use crate::nest::{self, Loop, Nest};
use crate::plan::{Box, Piece, Plan};
use crate::time::Time;
use crate::{
    Fusion, Isl, STAGE, blocks, contract, cost, fuse, fusing, lines, packing, prologue, reasons, rest, sharing, time,
    windows,
};

/// The default for CPUs, for the session's target.
///
/// A loop over time around stencils that no cache holds is **tiled over time** (the module `time`). Orders the rest by isl's
/// scheduler without fusion, then takes each nest at the top by itself:
///
/// - A **contraction**, a reduction whose reads are the same along some loop of its result, gets a box of accumulators
///   (`unroll` rows of `vectorise`d columns) that stays in registers over the reduction. What all rows share is packed
///   in panels where its lanes lie apart, or its rows do and it does not fit the second cache; what the rows read
///   alone where its lines would share a set: the blocking of Goto and van de Geijn (TOMS 2008), by the model of Low,
///   Igual, Smith and Quintana-Ortí (TOMS 2016). Initial values, and what follows element by element, run in its tiles;
///   what comes before, in the copies that it makes.
/// - A reduction over **a few neighbours** that one statement reads, element by element, is written out there.
/// - **Any other reduction** has lanes along its result where the reads are contiguous there, some rows streaming by a row
///   of sums in the first cache; else along the reduction, in several vectors of partial sums. A result that is too short
///   for all threads gets a chunk of the reduction, with partial results, for each of them.
/// - **Anything else** is vectorised along the loop in which it writes contiguously; where it reads contiguously along
///   another one, boxes are copied out along that one too and transposed in registers. What no cache would hold for its
///   reader is streamed past them.
/// - Rows of scores that no cache holds are gone through in **blocks** of rows, and of columns (`rescale`).
/// - Nests that use a row again **share** its loop; stages of a picture run in strips; what is read element by element is
///   computed where it is read. Which of these, of all that could be, is chosen by predicted cost (the module `fuse`).
/// - Rows of a table that data chooses are **prefetched** some iterations ahead.
/// - The outermost loop without dependences that is long enough runs in **parallel** when the work is worth it.
///
/// Whatever does not apply is left out with a remark. [`complete`](Policy::complete) does the same with the nests at the top
/// that a script left as in the source, and touches no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu;

impl Policy for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
        schedule_with(session, None, Time::default());
        Ok(())
    }

    /// The same for the nests at the top that are still as in the source, each by itself.
    fn complete(&self, session: &mut Session, stmts: &[String]) -> Result<(), Refused> {
        let open = session.scop().ctx.with_budget(session.options().operations, || rest::open(session, stmts));
        let open = match open {
            Ok(open) => open,
            Err(error) => {
                not_examined(session, &error);
                return Ok(());
            }
        };
        if stmts.is_empty() && session.script().is_empty() {
            return self.schedule(session);
        }
        for stmt in stmts.iter().filter(|stmt| !open.iter().any(|nest| nest.contains(*stmt))) {
            remark(session, stmt, "nothing done for `auto`", "commands have changed its nest: schedule it by hand");
        }
        // A fusion may make one nest of several open ones.
        let all: BTreeSet<String> = open.iter().flatten().cloned().collect();
        session.together(|session| {
            write_out_windows(session, |stmt| all.contains(stmt));
            let is_wanted = |scop: &Scop, nest: &Nest| rest::holds_all(scop, &all, &nest.stmts);
            let taken = time::tile(session, Time::default(), is_wanted);
            open.iter().filter(|nest| nest.is_disjoint(&taken)).for_each(|nest| order(session, Some(nest)));
            let is_open =
                |scop: &Scop, nest: &Nest| is_wanted(scop, nest) && !time::holds_any(scop, &taken, &nest.stmts);
            fuse_and_schedule(session, is_open, None, &Blocks::default());
        });
        Ok(())
    }
}

/// Computes reductions over a few neighbours where they are read, by statements that are `chosen`.
fn write_out_windows(session: &mut Session, chosen: impl Fn(&str) -> bool) {
    for tensor in windows::written_out(session.scop(), chosen) {
        attempt(session, &tensor, "kept in memory", Command::inline(&tensor));
    }
}

/// What [`Cpu`] does with one plan of what runs together: for comparing plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Candidates of [`fuse::candidates`], each nest in one of them, in an order in which they may run.
    pub chosen: Vec<usize>,
}

impl Policy for Given {
    fn name(&self) -> &str {
        "cpu"
    }

    fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
        schedule_with(session, Some(&self.chosen), Time::default());
        Ok(())
    }
}

/// What [`Cpu`] does with loops over time left as they are, or tiled wherever that is legal: for comparing, and for tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InTime {
    /// When time is tiled.
    pub when: Time,
}

impl Policy for InTime {
    fn name(&self) -> &str {
        "cpu"
    }

    fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
        schedule_with(session, None, self.when);
        Ok(())
    }
}

/// The order of [`Isl`] with this fusion, then what [`Cpu`] does with each nest: tiles, vectors, threads. What shares loops is what
/// the strategy says, whatever it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fused {
    /// How far isl's scheduler fuses.
    pub fusion: Fusion,
}

impl Policy for Fused {
    fn name(&self) -> &str {
        "fused"
    }

    fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
        Isl::new(self.fusion).schedule(session)?;
        session.together(|session| match examine(session, session.scop()) {
            Ok(nests) => nests.iter().for_each(|nest| {
                if nest.is_plain() {
                    return session.together(|session| schedule_nest(session, nest, &[]));
                }
                let entity = nest.name(session.scop());
                remark(session, &entity, "not optimised", "isl's schedule skews or shifts its loops");
            }),
            Err(error) => not_examined(session, &error),
        });
        Ok(())
    }
}

/// The steps for a whole program; with `given`, those of the plan with these candidates.
fn schedule_with(session: &mut Session, given: Option<&[usize]>, when: Time) {
    session.together(|session| {
        write_out_windows(session, |_| true);
        let taken = time::tile(session, when, |_, _| true);
        order_all_but(session, &taken);
        let blocks = blocks::cut(session);
        let is_open = |scop: &Scop, nest: &Nest| !time::holds_any(scop, &taken, &nest.stmts);
        fuse_and_schedule(session, is_open, given, &blocks);
        blocks.keep(session);
    });
}

/// [`order`] for the whole program, or, where some nests at the top have their order already, for each of the others.
fn order_all_but(session: &mut Session, taken: &BTreeSet<String>) {
    if taken.is_empty() {
        return order(session, None);
    }
    match rest::others(session.scop(), taken) {
        Ok(others) => others.iter().for_each(|nest| order(session, Some(nest))),
        Err(error) => not_examined(session, &error),
    }
}

/// Runs nests at the top that are `chosen` together where that is estimated to be faster, and schedules what that makes.
fn fuse_and_schedule(
    session: &mut Session,
    chosen: impl Fn(&Scop, &Nest) -> bool,
    given: Option<&[usize]>,
    blocks: &Blocks,
) {
    let is_open = |scop: &Scop, nest: &Nest| chosen(scop, nest) && !blocks.are_in(nest);
    match fuse::Plan::of(session, is_open, given) {
        Ok(plan) => {
            session.note_fusion(plan.report.clone());
            fuse::join(session, &plan);
            schedule_nests(session, &plan, blocks, chosen);
        }
        Err(error) => not_examined(session, &error),
    }
}

/// The plan that the policy has for a program, as it is before the first step.
///
/// # Errors
/// When the loops cannot be examined.
pub(crate) fn plan(session: &Session) -> isl::Result<fuse::Plan> {
    let mut session = session.clone();
    write_out_windows(&mut session, |_| true);
    let taken = time::tile(&mut session, Time::default(), |_, _| true);
    order_all_but(&mut session, &taken);
    let blocks = blocks::cut(&mut session);
    let is_open = |scop: &Scop, nest: &Nest| !blocks.are_in(nest) && !time::holds_any(scop, &taken, &nest.stmts);
    fuse::Plan::of(&session, is_open, None)
}

/// Schedules each nest at the top that is `chosen` by itself, or in turn with neighbours in loops that they share.
fn schedule_nests(session: &mut Session, plan: &fuse::Plan, blocks: &Blocks, chosen: impl Fn(&Scop, &Nest) -> bool) {
    let scheduled = (|| {
        let later = sharing::fuse_neighbours(session, fuse::shared_loops(session.scop(), plan))?;
        let mut nests = examine(session, session.scop())?;
        nests.retain(|nest| chosen(session.scop(), nest));
        later.mark(&mut nests);
        blocks.mark(&mut nests);
        let (waiting, others): (Vec<Nest>, Vec<Nest>) =
            nests.into_iter().partition(|nest| prologue::is_producer(session.scop(), nest));
        let waiting: Vec<String> = waiting.iter().map(|nest| nest.name(session.scop())).collect();
        // Where all steps together were refused, those of the other nests are still proved nest by nest.
        others.iter().for_each(|nest| session.together(|session| schedule_nest(session, nest, &[])));
        for producer in waiting {
            let find = |session: &Session| {
                Ok(examine(session, session.scop())?.into_iter().find(|nest| nest.name(session.scop()) == producer))
            };
            if let Some(nest) = find(session)? {
                prologue::compute_in_copies(session, &nest);
            }
            if let Some(nest) = find(session)? {
                schedule_nest(session, &nest, &[]);
            }
        }
        sharing::keep(session, later);
        contract::contract(session);
        Ok(())
    })();
    scheduled.unwrap_or_else(|error| not_examined(session, &error));
}

pub(crate) fn not_examined(session: &mut Session, error: &isl::Error) {
    let entity = session.scop().name.clone();
    remark(session, &entity, "not optimised", &format!("the loops could not be examined: {error}"));
}

/// The nests of a program, within the session's budget.
fn examine(session: &Session, scop: &Scop) -> isl::Result<Vec<Nest>> {
    scop.ctx.with_budget(session.options().operations, || nest::nests(scop))
}

pub(crate) fn remark(session: &mut Session, entity: &str, what: &str, why: &str) {
    session.remark(Remark::new(STAGE, entity, what, why));
}

/// isl's order without fusion, where the source's own has nests that cannot be permuted or hold several statements, and
/// where every loop stays a plain dimension; else the order of the source. Of the whole program, or of the nest at the
/// top with these statements.
fn order(session: &mut Session, part: Option<&BTreeSet<String>>) {
    let entity = session.scop().name.clone();
    let what = "kept the order of the source";
    match order_of_isl(session, part) {
        Ok(None) => {}
        Ok(Some(command)) => {
            attempt(session, &entity, what, command);
        }
        Err(why) => remark(session, &entity, what, &why),
    }
}

/// The command for isl's order; none when the one that is there serves as well. The error is a reason for a remark.
fn order_of_isl(session: &Session, part: Option<&BTreeSet<String>>) -> Result<Option<Command>, String> {
    let say = |error: isl::Error| format!("isl's scheduler: {error}");
    let scop = session.scop();
    let is_meant = |scop: &Scop, nest: &Nest| part.is_none_or(|part| rest::holds_all(scop, part, &nest.stmts));
    let serves = |nest: &Nest| !is_meant(scop, nest) || (nest.is_permutable && nest.stmts.len() == 1);
    if examine(session, scop).map_err(say)?.iter().all(serves) {
        return Ok(None);
    }
    let tree = tree_of_isl(session, part).map_err(say)?;
    let before = examine(session, scop).map_err(say)?;
    let (now, found) = (Command::order(scop, &scop.tree).map_err(say)?, Command::order(scop, &tree).map_err(say)?);
    let scheduled = Scop { tree, ..scop.clone() };
    let is_plain = |nest: &Nest| !is_meant(&scheduled, nest) || nest.is_plain();
    let after = examine(session, &scheduled).map_err(say)?;
    if !after.iter().all(is_plain) {
        return Err("isl's schedule skews loops, which costs more than it gives on a CPU".into());
    }
    if part.is_none() && nest::jumps(scop, &before) < nest::jumps(scop, &after) {
        return Err("isl's schedule walks along columns where the source walks along rows".into());
    }
    Ok((found != now).then_some(found))
}

fn tree_of_isl(session: &Session, part: Option<&BTreeSet<String>>) -> isl::Result<ScheduleTree> {
    let (isl, scop) = (Isl::new(Fusion::Min), session.scop());
    match part {
        None => isl.tree(session),
        Some(stmts) => rest::with_part(&scop.tree, isl.tree_of(session, &rest::instances(scop, stmts)?)?),
    }
}

/// Applies a command; a refusal is a remark that `what` was the consequence.
pub(crate) fn attempt(session: &mut Session, entity: &str, what: &str, command: Command) -> bool {
    let text = command.to_string();
    match reasons::apply(session, command) {
        Ok(()) => true,
        Err(refused) => {
            let step = text.lines().next().unwrap_or_default().trim_end_matches(" {");
            remark(session, entity, what, &format!("`{step}`: {}", refused.reason));
            false
        }
    }
}

/// Applies a command that makes two loops of one: their names, outer and inner.
pub(crate) fn divide(session: &mut Session, entity: &str, what: &str, command: Command) -> Option<(String, String)> {
    if !attempt(session, entity, what, command) {
        return None;
    }
    let (member, names) = match session.script().commands().last()? {
        Command::Split { member, names, .. }
        | Command::Vectorise { member, names, .. }
        | Command::Unroll { member, names, .. } => (member, names.as_ref()?),
        _ => return None,
    };
    let full = |name: &String| match member.rfind('.') {
        Some(dot) if !name.contains('.') => format!("{}{name}", &member[..=dot]),
        _ => name.clone(),
    };
    let Names { outer, inner } = names;
    Some((full(outer.first()?), full(inner.first()?)))
}

/// A nest at the top, or inside of the loops `around`.
fn schedule_nest(session: &mut Session, nest: &Nest, around: &[Loop]) {
    let entity = nest.name(session.scop());
    if let Some(stmt) = nest.only_stmt() {
        if !nest.loops.is_empty() {
            let strict = session.options().strict;
            let nest = with_coincidence(session, nest.clone());
            let plan = Plan::of(session.scop(), session.target(), &nest, stmt, (around, strict));
            plan.remarks.iter().for_each(|(what, why)| remark(session, &entity, what, why));
            apply(session, &entity, (around, &nest), &plan);
        }
        return;
    }
    if let Some((reduction, shared)) = nest.around_reduction(session.scop())
        && let Some(reduction) = as_band(session, nest, reduction, shared)
    {
        let stmt = reduction.stmts[0];
        let how = (around, session.options().strict, shared);
        let mut plan = Plan::of_shared(session.scop(), session.target(), &reduction, stmt, how);
        if shared == reduction.loops.len() {
            plan.apart = plan.innermost_reduction(session.scop(), &reduction);
        }
        plan.keep = fusing::kept_in_tile(session.scop(), nest, &reduction, &plan);
        if let Some((reduction, plan)) = across_rows(session, nest, (&reduction, shared), &plan, around) {
            plan.remarks.iter().for_each(|(what, why)| remark(session, &entity, what, why));
            return apply(session, &entity, (around, &reduction), &plan);
        }
        // What stays in registers is not asked for.
        plan.prefetches.retain(|(tensor, ..)| plan.keep.is_none_or(|(kept, _)| kept != *tensor));
        plan.remarks.iter().for_each(|(what, why)| remark(session, &entity, what, why));
        return apply(session, &entity, (around, &reduction), &plan);
    }
    // Threads first: what the parts then keep on the stack is each thread's own.
    if around.is_empty() && !nest.loops.is_empty() {
        parallel_as_it_is(session, &entity, nest);
    }
    let around: Vec<Loop> = around.iter().chain(&nest.loops).cloned().collect();
    nest.parts.iter().for_each(|part| schedule_nest(session, part, &around));
    if nest.parts.iter().all(|part| part.loops.is_empty()) {
        remark(session, &entity, "not vectorised", "several statements share its loops");
    }
}

/// What two joined loops make of a reduction, where that is estimated to be the faster way, and what its nest then is.
fn across_rows(
    session: &Session,
    nest: &Nest,
    (reduction, shared): (&Nest, usize),
    plan: &Plan,
    around: &[Loop],
) -> Option<(Nest, Plan)> {
    // Parts of what is kept for a tile lie in rows of their own.
    let limit = plan.cycles.filter(|_| plan.apart.is_none() && plan.keep.is_none())? * (1.0 - lines::GAIN);
    let joined = lines::joined(session.scop(), reduction, &nest.stmts, shared)?;
    let how = (around, session.options().strict, shared - 1);
    let other = Plan::of_shared(session.scop(), session.target(), &joined, joined.stmts[0], how);
    let is_faster = other.cycles.is_some_and(|cycles| cycles < limit);
    (is_faster && other.packs.is_empty()).then_some((joined, other))
}

/// The nest with loops found to be without dependences that an edit has left unmarked, when none is marked.
fn with_coincidence(session: &Session, mut nest: Nest) -> Nest {
    if nest.loops.iter().all(|one| !one.coincident) {
        nest.loops.iter_mut().for_each(|one| one.coincident = session.coincident(&one.name).is_ok());
    }
    nest
}

/// The loops around the reduction of `nest` with what the program allows of the `shared` outer ones, which a fusion has made
/// and perhaps left unmarked; none when they may not be permuted.
fn as_band(session: &Session, nest: &Nest, mut reduction: Nest, shared: usize) -> Option<Nest> {
    if nest.is_permutable && nest.loops.iter().all(|one| one.coincident) {
        return Some(reduction);
    }
    let names: Vec<&str> = reduction.loops[..shared].iter().map(|one| one.name.as_str()).collect();
    let coincident = session.attributes(&names).ok()??;
    reduction.loops.iter_mut().zip(coincident).for_each(|(one, coincident)| one.coincident = coincident);
    Some(reduction)
}

/// Runs the outermost loop that can in parallel, without moving loops.
fn parallel_as_it_is(session: &mut Session, entity: &str, nest: &Nest) {
    let what = "not parallel";
    let (cycles, grain) = (cost::cycles(session.scop(), session.target(), nest, &[]), cost::grain(session.target()));
    let is_apart =
        |name: &str| session.scop().tree.root.members().iter().any(|member| member.name == name && member.kind.apart());
    if session.target().threads <= 1 || nest.loops.iter().any(|one| is_apart(&one.name)) {
        return;
    }
    if cycles < grain {
        return remark(session, entity, what, &cost::too_small(cycles));
    }
    let mut entries: u64 = 1;
    let mut candidates: Vec<(&str, u64)> = Vec::new();
    for one in &nest.loops {
        let count = one.estimate().max(1).unsigned_abs();
        // A fusion forgets what runs at once; the session finds out.
        let worth_starting = cycles / entries >= grain;
        if worth_starting && (one.coincident || session.coincident(&one.name).is_ok()) {
            candidates.push((&one.name, count));
        }
        entries = entries.saturating_mul(count);
    }
    let enough = u64::from(session.target().threads) * 2;
    let most = candidates.iter().rev().max_by_key(|(_, count)| *count);
    match candidates.iter().find(|(_, count)| *count >= enough).or(most) {
        Some((name, _)) => {
            attempt(session, entity, what, Command::parallel(*name));
        }
        None => remark(session, entity, what, "every loop that is long enough carries a dependence"),
    }
}

/// Takes the plan's steps; each that is refused leaves a remark, and the others are taken all the same.
fn apply(session: &mut Session, entity: &str, (around, nest): (&[Loop], &Nest), plan: &Plan) {
    if !skewed(session, entity, nest, plan) {
        return;
    }
    let pieces = divided(session, entity, nest, plan);
    let name_of = |piece: &Piece| pieces[piece.of].get(piece.level).cloned().flatten();
    // A loop over rows tells the row of each lane: inside of those that all statements share.
    let rows = nest.loops.iter().filter_map(|one| Some(one.rows.as_ref()?.name.clone()));
    let order: Vec<String> = plan.order.iter().filter_map(name_of).chain(rows).collect();
    if !is_in_order(session.scop(), &order) {
        attempt(session, entity, "loops not reordered", Command::reorder(order));
    }
    if let Some(name) = plan.apart.as_ref().and_then(name_of) {
        attempt(session, entity, "not apart", Command::distribute(&name));
    }
    if let Some(partial) = &plan.partial {
        let made = name_of(&partial.at).is_some_and(|at| {
            let tensor = session.scop().tensors[partial.tensor].name.clone();
            attempt(session, entity, "not parallel", Command::privatise(tensor, at))
        });
        if !made {
            return;
        }
    }
    if let Some(name) = plan.parallel.as_ref().and_then(name_of) {
        attempt(session, entity, "not parallel", Command::parallel(name));
    }
    store(session, entity, around, plan, &name_of);
}

/// Loops that are skewed before anything else: rows side by side, rows that follow each other. Whether all of them were.
fn skewed(session: &mut Session, entity: &str, nest: &Nest, plan: &Plan) -> bool {
    let beside = plan.skew.iter().map(|skew| {
        let (member, of) = (&nest.loops[skew.of].name, &nest.loops[skew.along].name);
        ("rows not side by side", Command::skew(member, skew.by, of))
    });
    let joined = nest.loops.iter().filter_map(|one| {
        let rows = one.rows.as_ref()?;
        Some(("rows not joined", Command::skew(&one.name, rows.width, &rows.name)))
    });
    beside.chain(joined).all(|(what, command)| attempt(session, entity, what, command))
}

/// Cuts the loops and makes boxes of them. The names of every loop's pieces, outermost first; `None` for one that was not
/// made.
fn divided(session: &mut Session, entity: &str, nest: &Nest, plan: &Plan) -> Vec<Vec<Option<String>>> {
    let mut pieces: Vec<Vec<Option<String>>> = Vec::new();
    let mut boxed: Vec<(usize, String)> = Vec::new();
    for (at, one) in nest.loops.iter().enumerate() {
        let (mut name, mut made) = (one.name.clone(), Vec::new());
        for &by in &plan.cuts[at] {
            match divide(session, entity, "not tiled", Command::split(&name, by)) {
                Some((outer, inner)) => {
                    made.push(Some(outer));
                    name = inner;
                }
                None => made.push(None),
            }
        }
        boxed.push((at, name));
        pieces.push(made);
    }
    // Lanes before copies, so that copies are put outside of lanes; of copies those of inner loops first, so that steps of
    // a reduction are outside of the rows and not one after the other.
    let place = |at: usize| plan.order.iter().position(|piece| *piece == plan.rest(at));
    boxed.sort_by_key(|(at, _)| (!matches!(plan.boxes[*at], Some(Box::Vector(_))), Reverse(place(*at))));
    for (at, name) in boxed {
        let (what, command) = match plan.boxes[at] {
            Some(Box::Vector(by)) => ("not vectorised", Command::vectorise(&name, by)),
            Some(Box::Unroll(by)) => ("not unrolled", Command::unroll(&name, by)),
            None => {
                pieces[at].push(Some(name));
                continue;
            }
        };
        let outer = divide(session, entity, what, command).map_or(name, |(outer, _)| outer);
        pieces[at].push(Some(outer));
    }
    pieces
}

/// What the plan says of memory: copies, prefetches, registers, edges apart, streams.
fn store(
    session: &mut Session,
    entity: &str,
    around: &[Loop],
    plan: &Plan,
    name_of: &dyn Fn(&Piece) -> Option<String>,
) {
    for pack in &plan.packs {
        match pack.at.as_ref().map(name_of) {
            Some(None) => {}
            at => {
                let around = || Some(around.get(pack.around?)?.name.clone());
                packing::pack(session, entity, pack, at.flatten().or_else(around));
            }
        }
    }
    for (tensor, piece, ahead) in &plan.prefetches {
        let tensor = session.scop().tensors[*tensor].name.clone();
        if let Some(at) = name_of(piece) {
            attempt(session, entity, "not prefetched", Command::prefetch(tensor, at, *ahead));
        }
    }
    if let Some((tensor, at)) = plan.keep.and_then(|(tensor, piece)| Some((tensor, name_of(&piece)?))) {
        let tensor = session.scop().tensors[tensor].name.clone();
        attempt(session, entity, "not kept in registers", Command::store_at(tensor, at));
    }
    for name in plan.separate.iter().filter_map(name_of) {
        attempt(session, entity, "edges not separated", Command::separate([name]));
    }
    for &tensor in &plan.streams {
        let tensor = session.scop().tensors[tensor].name.clone();
        attempt(session, entity, "not streamed", Command::stream(tensor));
    }
}

/// Whether the loops come in this order already.
fn is_in_order(scop: &Scop, names: &[String]) -> bool {
    let members = scop.tree.root.members();
    let positions: Vec<_> = names.iter().map(|name| members.iter().position(|member| member.name == *name)).collect();
    positions.is_sorted()
}

//! What the groups of a plan become: commands, each of which may be refused; what is left then runs apart.

use std::collections::BTreeSet;

use polyhedral::{Node, Scop, StmtId};
use transform::{Command, Session};

use super::groups::{Form, Group, Surrounded};
use super::plan::Plan;
use crate::cpu::{attempt, divide, not_examined, remark};
use crate::nest::Nest;
use crate::{fusing, rows};

/// What the groups of a plan become, but for common outer loops.
pub(crate) fn join(session: &mut Session, plan: &Plan) {
    plan.remarks.iter().for_each(|remark| session.remark(remark.clone()));
    if !plan.report.exact {
        let entity = session.scop().name.clone();
        remark(session, &entity, "perhaps not the cheapest fusion", "there are too many groups to compare all plans");
    }
    put_next_to_each_other(session, plan);
    let surrounded: Vec<&Surrounded> = plan
        .groups
        .iter()
        .flat_map(|group| match &group.form {
            Form::Around(one) => std::slice::from_ref(one),
            Form::Shared { members, .. } => members,
            _ => &[],
        })
        .collect();
    for group in &plan.groups {
        let inlined = match &group.form {
            Form::Inlined(tensors) => tensors.as_slice(),
            _ => &[],
        };
        inlined.iter().for_each(|tensor| inline(session, &plan.scop.tensors[*tensor].name));
    }
    for (_, tensor) in surrounded.iter().flat_map(|one| &one.links) {
        inline(session, &plan.scop.tensors[*tensor].name);
    }
    for one in &surrounded {
        let name = |nest: usize| {
            plan.nests[nest].iter().map(|&id| plan.scop.stmts[id].name.as_str()).next().unwrap_or_default()
        };
        let is_link = |nest: &usize| one.links.iter().any(|(link, _)| link == nest);
        let after: Vec<String> =
            one.after.iter().filter(|nest| !is_link(nest)).map(|&nest| name(nest).to_string()).collect();
        fusing::fuse_around(session, name(one.reduction), one.before.map(name), &after, one.common);
    }
    for group in &plan.groups {
        if let Form::Rows(steps) = &group.form {
            join_rows(session, &plan.scop, steps);
        }
    }
}

fn inline(session: &mut Session, tensor: &str) {
    attempt(session, tensor, "kept in memory", Command::inline(tensor));
}

/// Changes the order of nests where others are between those of a group.
fn put_next_to_each_other(session: &mut Session, plan: &Plan) {
    let is_apart = |group: &Group| {
        let (Some(first), Some(last)) = (group.nests.first(), group.nests.last()) else { return false };
        last - first + 1 != group.nests.len()
    };
    if !plan.groups.iter().any(is_apart) {
        return;
    }
    let order: Vec<usize> = plan.groups.iter().flat_map(|group| group.nests.iter().copied()).collect();
    let mut tree = session.scop().tree.clone();
    let (Node::Sequence(children) | Node::Set(children)) = &tree.root else { return };
    let children = order.iter().map(|&nest| children[nest].clone()).collect();
    tree.root = Node::Sequence(children);
    let entity = session.scop().name.clone();
    match Command::order(session.scop(), &tree) {
        Ok(command) => _ = attempt(session, &entity, "nests not next to each other", command),
        Err(error) => not_examined(session, &error),
    }
}

/// Whether two nests are of one group that shares so many loops, of a program whose statements have these ids now.
pub(crate) fn shared_loops(scop: &Scop, plan: &Plan) -> impl Fn(&Nest, &Nest, usize) -> bool + use<> {
    let mut groups: Vec<(BTreeSet<StmtId>, usize)> = Vec::new();
    for group in &plan.groups {
        if let Form::Shared { most, .. } = group.form {
            let names = group.nests.iter().flat_map(|&nest| &plan.nests[nest]).map(|&id| &plan.scop.stmts[id].name);
            groups.push((names.filter_map(|name| scop.stmt_named(name)).collect(), most));
        }
    }
    move |first, second, depth| {
        let holds = |(stmts, most): &(BTreeSet<StmtId>, usize)| {
            depth <= *most && first.stmts.iter().chain(&second.stmts).all(|id| stmts.contains(id))
        };
        groups.iter().any(holds)
    }
}

/// Joins nests that share rows. The steps speak of `scop`.
fn join_rows(session: &mut Session, scop: &Scop, steps: &[rows::Step]) {
    let name = |stmt: StmtId| scop.stmts[stmt].name.as_str();
    let tensor = |fold: &rows::Fold| scop.tensors[fold.tensor].name.as_str();
    for step in steps {
        match step {
            rows::Step::Join { first, second, depth } => {
                attempt(session, name(*second), rows::WHAT, Command::fuse(name(*first), name(*second), *depth));
            }
            rows::Step::Fold(fold) => {
                attempt(session, tensor(fold), "rows not folded", Command::fold(tensor(fold), fold.dim, fold.by));
            }
            rows::Step::Strips { .. } => join_in_strips(session, scop, step),
        }
    }
}

/// Runs the last nest in strips of its loop over rows, in parallel, the stages before it joined to each: what strips need
/// both is computed twice, and each thread keeps the rows that live on its stack. As in Halide, `compute_at` rows of a strip
/// and `store_at` the strip (Ragan-Kelley and others, PLDI 2013).
fn join_in_strips(session: &mut Session, scop: &Scop, step: &rows::Step) {
    let rows::Step::Strips { stages, last, rows, by, blocks, folds, parallel } = step else { return };
    let name = |stmt: &StmtId| scop.stmts[*stmt].name.as_str();
    let tensor = |fold: &rows::Fold| scop.tensors[fold.tensor].name.as_str();
    let last = name(last);
    let Some((strips, inside)) = divide(session, last, rows::WHAT, Command::split(rows, *by)) else { return };
    let memory = Some(polyhedral::Memory::Stack);
    let parallel = match parallel {
        rows::Threads::One => None,
        rows::Threads::Around(name) => Some(name.clone()),
        rows::Threads::Strips => Some(strips.clone()),
    };
    let in_blocks =
        |rows::Blocks { first, rows }: &rows::Blocks| [Command::split(first, *rows), Command::split(&inside, *rows)];
    let mut steps: Vec<Command> = Vec::new();
    // Each computes what the stages after it read.
    steps.extend(folds.iter().rev().map(|fold| Command::compute_at(tensor(fold), &strips)));
    steps.extend(blocks.iter().flat_map(in_blocks));
    if let Some((first, others)) = stages.split_first() {
        let others = others.iter().map(name).chain([last]);
        steps.extend(others.map(|other| Command::fuse(name(first), other, 1)));
    }
    steps.extend(folds.iter().map(|fold| Command::fold(tensor(fold), fold.dim, fold.by)));
    let store = |fold| Command::StoreAt { tensor: tensor(fold).into(), member: strips.clone(), memory };
    steps.extend(folds.iter().map(store));
    steps.extend(parallel.map(Command::parallel));
    // Each needs those before it.
    let _ = steps.into_iter().all(|step| attempt(session, last, rows::WHAT, step));
}

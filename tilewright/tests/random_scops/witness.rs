//! Whether a counter-example is one. Works on the two instances alone, point by point, and shares no relation with the
//! analysis and the proof that it judges.

use std::cmp::Ordering;

use polyhedral::legality::{Conflict, Instance, Violation};
use polyhedral::{Access, Body, DependenceKind, Member, Nest, Node, ScheduleTree, Scop, Stmt, StmtId, Subscript, isl};

/// Checks that both instances exist, that the first one runs before the second one in the source, that they touch one
/// element in a way that makes them dependent, and that `tree` does to them what the violation says.
pub fn check(scop: &Scop, tree: &ScheduleTree, violation: &Violation) -> Result<(), String> {
    let Violation { source, sink, .. } = violation;
    for instance in [source, sink] {
        if !exists(scop, instance).map_err(|error| error.to_string())? {
            return Err(format!("{instance} is not an instance"));
        }
    }
    if date(scop, source)? >= date(scop, sink)? {
        return Err(format!("{source} does not run before {sink} in the source"));
    }
    depend(scop, violation)?;
    let points = [point(scop, source), point(scop, sink)].map(|point| point.map_err(|error| error.to_string()));
    let [first, second] = points;
    let done = fate(&tree.root, &first?, &second?).map_err(|error| error.to_string())?;
    match done {
        Some(conflict) if conflict == violation.conflict => Ok(()),
        Some(conflict) => Err(format!("the tree does something else to them: {conflict}")),
        None => Err("the tree runs them in the order of the source".into()),
    }
}

fn stmt<'a>(scop: &'a Scop, instance: &Instance) -> Result<(StmtId, &'a Stmt), String> {
    let id = scop.stmt_named(&instance.stmt).ok_or_else(|| format!("no statement is called {}", instance.stmt))?;
    Ok((id, &scop.stmts[id]))
}

fn exists(scop: &Scop, instance: &Instance) -> isl::Result<bool> {
    point(scop, instance)?.is_subset(&scop.domain()?)
}

/// The instance as a set.
fn point(scop: &Scop, instance: &Instance) -> isl::Result<isl::UnionSet> {
    isl::UnionSet::read(&scop.ctx, &format!("{{ {}{:?} }}", instance.stmt, instance.point))
}

/// When the instance runs in the source: positions and values of loops, from outside in.
fn date(scop: &Scop, instance: &Instance) -> Result<Vec<i64>, String> {
    let (id, _) = stmt(scop, instance)?;
    let (mut date, mut nests, mut loops) = (Vec::new(), scop.source.as_slice(), instance.point.iter());
    loop {
        let at = nests.iter().position(|nest| nest.stmts().contains(&id)).ok_or("a statement outside of the source")?;
        date.push(at as i64);
        match &nests[at] {
            Nest::Stmt(_) => return Ok(date),
            Nest::Loop { body, .. } => {
                date.push(*loops.next().ok_or("more loops than dimensions")?);
                nests = body;
            }
        }
    }
}

/// The accesses of the two instances make them dependent in the way that is said, through the element that is said.
fn depend(scop: &Scop, violation: &Violation) -> Result<(), String> {
    let Violation { dependence, source, sink, through, .. } = violation;
    let (first, second) = (stmt(scop, source)?.1, stmt(scop, sink)?.1);
    let updates = |stmt: &Stmt| match &stmt.body {
        Body::Reduce { monoid, .. } => Some(monoid.clone()),
        Body::Assign(_) => None,
    };
    let (from, to) = match dependence {
        DependenceKind::Flow => (writes(first), reads(second)),
        DependenceKind::Anti => (reads(first), writes(second)),
        DependenceKind::Output => (writes(first), writes(second)),
        DependenceKind::Reduction if updates(first).is_none() || updates(first) != updates(second) => {
            return Err("they are not updates by one operator".into());
        }
        DependenceKind::Reduction => (writes(first), writes(second)),
    };
    let Some((tensor, element)) = through else { return Err("no tensor is named".into()) };
    let meet = |a: &Access, b: &Access| {
        let (at, bt) = (subscripts(a, &source.point), subscripts(b, &sink.point));
        let same = at.iter().zip(&bt).all(|(x, y)| x.is_none() || y.is_none() || x == y);
        let named = match element {
            Some(element) => [&at, &bt].iter().all(|s| s.iter().zip(element).all(|(x, e)| *x == Some(*e))),
            None => at.iter().chain(&bt).any(Option::is_none),
        };
        a.tensor == b.tensor && scop.tensors[a.tensor].name == *tensor && same && named
    };
    if from.iter().any(|a| to.iter().any(|b| meet(a, b))) {
        return Ok(());
    }
    Err(format!("there is no {dependence} dependence through `{tensor}`"))
}

fn writes(stmt: &Stmt) -> Vec<&Access> {
    stmt.writes.iter().collect()
}

/// An update reads the state that it writes.
fn reads(stmt: &Stmt) -> Vec<&Access> {
    let state: &[Access] = if stmt.body.is_reduce() { &stmt.writes } else { &[] };
    stmt.reads.iter().chain(state).collect()
}

/// The element; `None` for a subscript that is known only while running.
fn subscripts(access: &Access, point: &[i64]) -> Vec<Option<i64>> {
    let value = |subscript: &Subscript| match subscript {
        Subscript::Affine(index) => index.eval(point, &[]),
        Subscript::Indirect(_) => None,
    };
    access.index.iter().map(value).collect()
}

/// What a tree does to two instances that must not be swapped or run at once; `None` when it runs the first one first.
fn fate(node: &Node, first: &isl::UnionSet, second: &isl::UnionSet) -> isl::Result<Option<Conflict>> {
    match node {
        Node::Leaf => Ok(Some(Conflict::Unordered)),
        Node::Mark { child, .. } => fate(child, first, second),
        Node::Band(band) => {
            for member in &band.members {
                let order = value(member, first)?.cmp(&value(member, second)?);
                let name = || member.name.clone();
                match (order, member.kind) {
                    (Ordering::Equal, _) => {}
                    (_, kind) if kind.at_once() => return Ok(Some(Conflict::AtOnce { member: name(), kind })),
                    (Ordering::Less, _) => return Ok(None),
                    (Ordering::Greater, _) => return Ok(Some(Conflict::Backward { member: name() })),
                }
            }
            fate(&band.child, first, second)
        }
        Node::Sequence(children) | Node::Set(children) => {
            let child_of = |point: &isl::UnionSet| -> isl::Result<usize> {
                for (at, child) in children.iter().enumerate() {
                    if point.is_subset(&child.filter)? {
                        return Ok(at);
                    }
                }
                Err(isl::Error::Refused("no child runs the instance".into()))
            };
            let (a, b) = (child_of(first)?, child_of(second)?);
            match a.cmp(&b) {
                Ordering::Equal => fate(&children[a].node, first, second),
                _ if matches!(node, Node::Set(_)) => Ok(Some(Conflict::AnyOrder)),
                Ordering::Less => Ok(None),
                Ordering::Greater => Ok(Some(Conflict::BackwardSequence)),
            }
        }
    }
}

/// The member's value at one instance.
fn value(member: &Member, point: &isl::UnionSet) -> isl::Result<i64> {
    let values = member.schedule.intersect_domain(point)?.to_union_map()?.range()?.as_set()?.sample_point()?;
    let value = values.and_then(|values| values.first().copied());
    value.ok_or_else(|| isl::Error::Refused(format!("the loop `{}` has no value for an instance", member.name)))
}

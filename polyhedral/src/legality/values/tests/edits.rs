//! Random single edits of right programs: what is accepted must leave the same results.

use crate::testing::Rng;
use crate::{
    Access, Body, Expr, Filtered, Index, Kind, Layout, Memory, Monoid, Node, Role, Scop, Stmt, StmtId, Subscript,
    TensorId, Value, isl,
};

/// The program with one thing changed, and what; `None` when the draw does not fit the program.
pub fn edited(scop: &Scop, rng: &mut Rng) -> Option<(Scop, String)> {
    let mut scop = scop.clone();
    let stmts: Vec<StmtId> = scop.stmts.keys().collect();
    let id = rng.pick(&stmts);
    let what = match rng.below(9) {
        0 | 1 => subscript(&mut scop.stmts[id], rng)?,
        2 => domain(&mut scop, id, rng)?,
        3 => origin(&mut scop, id, rng)?,
        4 => schedule(&mut scop, rng)?,
        5 => sequence(&mut scop.tree.root, rng)?,
        6 => tensor(&mut scop, rng)?,
        7 => body(&mut scop.stmts[id], rng)?,
        _ => kind(&mut scop.tree.root, rng)?,
    };
    let name = &scop.stmts[id].name;
    Some((scop.clone(), format!("{name}: {what}")))
}

fn subscript(stmt: &mut Stmt, rng: &mut Rng) -> Option<String> {
    let dims = stmt.dims.len();
    let mut accesses: Vec<&mut Access> = stmt.reads.iter_mut().chain(&mut stmt.writes).collect();
    let at = rng.below(accesses.len().max(1));
    let access = accesses.get_mut(at)?;
    let dim = rng.below(access.index.len().max(1));
    let Some(Subscript::Affine(index)) = access.index.get_mut(dim) else { return None };
    let old = index.clone();
    *index = match rng.below(5) {
        0 => old.clone() + 1,
        1 => old.clone() - 1,
        2 => Index::Const(0),
        3 => old.clone().modulo(2),
        _ if dims > 0 => Index::Dim(rng.below(dims)),
        _ => return None,
    };
    (*index != old).then(|| format!("access {at}, subscript {dim}: {old:?} -> {index:?}"))
}

fn domain(scop: &mut Scop, id: StmtId, rng: &mut Rng) -> Option<String> {
    let stmt = &mut scop.stmts[id];
    let dim = rng.below(stmt.dims.len().max(1)) as u32;
    let (low, value) = (rng.percent(50), 1 + rng.below(2) as i32);
    let bound = |set: &isl::Set| match low {
        true => set.lower_bound_si(isl::Dim::Set, dim, value),
        false => set.upper_bound_si(isl::Dim::Set, dim, value),
    };
    stmt.domain = bound(&stmt.domain).ok()?;
    scop.tree.domain = scop.domain().ok()?;
    scop.origin = scop.origin.intersect_domain(&scop.tree.domain).ok()?;
    Some(format!("dimension {dim} {} {value}", if low { ">=" } else { "<=" }))
}

fn origin(scop: &mut Scop, id: StmtId, rng: &mut Rng) -> Option<String> {
    let own = scop.stmts[id].domain.to_union_set().ok()?;
    if rng.percent(20) {
        scop.origin = scop.origin.subtract_domain(&own).ok()?;
        return Some("no origin".into());
    }
    let mine = scop.origin.intersect_domain(&own).ok()?;
    let map = mine.maps().ok()?.first()?.clone();
    let target = map.range().ok()?.space().ok()?;
    let (dims, name) = (target.dim(isl::Dim::Set).ok()? as usize, target.tuple_name(isl::Dim::Set));
    let at = rng.below(dims.max(1));
    let by = if rng.percent(50) { 1 } else { -1 };
    let names: Vec<String> = (0..dims).map(|at| format!("d{at}")).collect();
    let moved: Vec<String> =
        names.iter().enumerate().map(|(dim, d)| if dim == at { format!("{d} + {by}") } else { d.clone() }).collect();
    let text = format!("{{ {name}[{}] -> {name}[{}] }}", names.join(", "), moved.join(", "));
    let shift = isl::UnionMap::read(&scop.ctx, &text).ok()?;
    let moved = mine.apply_range(&shift).ok()?;
    scop.origin = scop.origin.subtract_domain(&own).ok()?.union(&moved).ok()?;
    Some(format!("origin moved by {by} in {at}"))
}

/// One statement's part of one member, moved or turned.
fn schedule(scop: &mut Scop, rng: &mut Rng) -> Option<String> {
    let n = scop.tree.root.members().len();
    let at = rng.below(n.max(1));
    let stmts: Vec<StmtId> = scop.stmts.keys().collect();
    let stmt = scop.stmts[rng.pick(&stmts)].clone();
    let own = stmt.domain.to_union_set().ok()?.universe().ok()?;
    let mut edit = rng.below(4);
    let mut left = at;
    let mut changed = None;
    each_member(&mut scop.tree.root, &mut |member| {
        if left == 0 && changed.is_none() {
            let one = |value: i64| own.constant(&isl::Val::int(own.ctx(), value).ok()?).ok();
            let rest = member.schedule.domain().ok().and_then(|all| all.subtract(&own).ok());
            let mine = member.schedule.intersect_domain(&own).ok();
            let new = match (edit, mine) {
                (0, Some(mine)) => one(1).and_then(|one| mine.add(&one).ok()),
                (1, Some(mine)) => one(-1).and_then(|one| mine.add(&one).ok()),
                (2, Some(mine)) => mine.neg().ok(),
                (_, Some(mine)) => one(2).and_then(|one| mine.add(&one).ok()),
                _ => None,
            };
            let others = rest.and_then(|rest| member.schedule.intersect_domain(&rest).ok());
            if let (Some(new), Some(others)) = (new, others)
                && let Ok(both) = others.union_add(&new)
            {
                member.schedule = both;
                changed = Some(format!("`{}` of `{}`: edit {edit}", member.name, stmt.name));
            }
            edit = 9;
        }
        left = left.wrapping_sub(1);
    });
    changed
}

fn each_member(node: &mut Node, see: &mut dyn FnMut(&mut crate::Member)) {
    if let Node::Band(band) = node {
        band.members.iter_mut().for_each(&mut *see);
    }
    node.children_mut().into_iter().for_each(|child| each_member(child, see));
}

fn sequence(node: &mut Node, rng: &mut Rng) -> Option<String> {
    let mut all = 0;
    each_sequence(node, &mut |_| all += 1);
    let mut left = rng.below(all.max(1));
    let mut changed = None;
    each_sequence(node, &mut |children| {
        if left == 0 {
            let (a, b) = (rng.below(children.len()), rng.below(children.len()));
            children.swap(a, b);
            changed = (a != b).then(|| format!("children {a} and {b} swapped"));
        }
        left = left.wrapping_sub(1);
    });
    changed
}

fn each_sequence(node: &mut Node, see: &mut dyn FnMut(&mut Vec<Filtered>)) {
    if let Node::Sequence(children) = node {
        see(children);
    }
    node.children_mut().into_iter().for_each(|child| each_sequence(child, see));
}

fn tensor(scop: &mut Scop, rng: &mut Rng) -> Option<String> {
    let temporaries: Vec<TensorId> =
        scop.tensors.iter().filter(|(_, tensor)| tensor.role == Role::Temporary).map(|(id, _)| id).collect();
    let id = *temporaries.get(rng.below(temporaries.len().max(1)))?;
    let tensor = &mut scop.tensors[id];
    match rng.below(4) {
        0 => {
            tensor.memory = if tensor.memory == Memory::Stack { Memory::Global } else { Memory::Stack };
            Some(format!("`{}` in {:?}", tensor.name, tensor.memory))
        }
        1 if tensor.layout.is_some() => {
            tensor.layout = None;
            Some(format!("`{}` without layout", tensor.name))
        }
        choice => {
            let at = rng.below(tensor.extent.len().max(1));
            let by = 1 + rng.below(3) as i64 + i64::from(choice == 3);
            let mut layout =
                Layout { cell: (0..tensor.extent.len()).map(Index::Dim).collect(), extent: tensor.extent.clone() };
            *layout.cell.get_mut(at)? = Index::Dim(at).modulo(by);
            layout.extent[at] = Index::Const(by);
            tensor.layout = Some(layout);
            Some(format!("`{}` modulo {by} in {at}", tensor.name))
        }
    }
}

fn body(stmt: &mut Stmt, rng: &mut Rng) -> Option<String> {
    let reads = stmt.reads.len();
    let choice = rng.below(4);
    match (&mut stmt.body, choice) {
        (Body::Reduce { terms, .. }, 0) => {
            stmt.body = Body::Assign(terms.clone());
            Some("assigns".into())
        }
        (Body::Reduce { monoid, .. }, 1) => {
            let dtype = monoid.dtypes[0];
            *monoid = if monoid.name == "max" { Monoid::sum(dtype) } else { Monoid::max(dtype) };
            Some("another operator".into())
        }
        (Body::Assign(values), 0 | 1) => {
            let dtype = match values.first()? {
                Expr::Const(_, dtype) => *dtype,
                Expr::Load(_) => {
                    stmt.body = Body::Reduce { monoid: Monoid::sum(crate::DType::F32), terms: values.clone() };
                    return Some("adds".into());
                }
                _ => return None,
            };
            values[0] = Expr::Const(Value::Float(2.0), dtype);
            Some("another constant".into())
        }
        (body, _) if reads > 1 => {
            let (from, to) = (rng.below(reads), rng.below(reads));
            for expr in body.exprs_mut() {
                *expr = expr.map(&mut |e| if e == Expr::Load(from) { Expr::Load(to) } else { e });
            }
            (from != to).then(|| format!("read {from} -> {to}"))
        }
        _ => None,
    }
}

fn kind(node: &mut Node, rng: &mut Rng) -> Option<String> {
    let n = node.members().len();
    let at = rng.below(n.max(1));
    let mut left = at;
    let mut changed = None;
    each_member(node, &mut |member| {
        if left == 0 {
            member.kind = if member.kind == Kind::Parallel { Kind::Sequential } else { Kind::Parallel };
            changed = Some(format!("`{}` is {:?}", member.name, member.kind));
        }
        left = left.wrapping_sub(1);
    });
    changed
}

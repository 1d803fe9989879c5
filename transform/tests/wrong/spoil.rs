//! Ways to spoil a program: each gives one variant for every place that it fits.

use polyhedral::isl::{self, Map, Set, UnionSet, Val};
use polyhedral::{
    Access, Body, Expr, Index, Kind, Layout, Memory, Monoid, Node, Role, Scop, Stmt, StmtId, Subscript, Tensor, Value,
};

/// A program that is probably wrong, and where.
pub struct Variant {
    /// What was done to what.
    pub what: String,
    /// The program.
    pub scop: Scop,
}

type Family = fn(&Scop) -> isl::Result<Vec<(String, Scop)>>;

/// All families: mistakes that commands on storage and on instances could make.
const FAMILIES: &[(&str, Family)] = &[
    ("a footprint one short", short_footprints),
    ("a copy in another iteration", moved_in_a_loop),
    ("a copy of another iteration's elements", stale_reads),
    ("another order in a sequence", reordered),
    ("a copy, a beginning or a combination dropped", dropped),
    ("another beginning", other_beginnings),
    ("done twice", doubled),
    ("a memory shared, or private", other_memories),
    ("fewer cells", fewer_cells),
    ("elements that share cells", shared_cells),
    ("an element further", other_elements),
    ("a loop at once", at_once),
    ("a loop backwards", backwards),
    ("values under other names", other_origins),
    ("another operator", other_operators),
];

/// Every variant of the program, by the kind of mistake.
pub fn variants(scop: &Scop) -> isl::Result<Vec<(&'static str, Vec<Variant>)>> {
    let of = |(family, spoil): &(&'static str, Family)| {
        let all = spoil(scop)?.into_iter().map(|(what, scop)| Variant { what, scop });
        Ok((*family, all.collect()))
    };
    FAMILIES.iter().map(of).collect()
}

/// The first or the last slice of a domain is left out, in each dimension.
fn short_footprints(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        for (at, dim) in stmt.dims.iter().enumerate() {
            let next = step(scop, stmt, at)?;
            for (end, step) in [("last", next.clone()), ("first", next.reverse()?)] {
                let rest = stmt.domain.intersect(&stmt.domain.apply(&step.reverse()?)?)?;
                all.push((format!("`{}` without the {end} {dim}", stmt.name), restricted(scop, id, &rest)?));
            }
        }
    }
    Ok(all)
}

/// In a loop around several statements, one of them runs an iteration earlier or later, or all in the first one.
fn moved_in_a_loop(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for member in scop.tree.root.members() {
        let parts = member.schedule.domain()?.sets()?;
        for part in parts.iter().filter(|_| parts.len() > 1) {
            let (stmt, here) = (part.tuple_name()?, part.to_union_set()?);
            let (mine, others) = split(&member.schedule, &here)?;
            let number = |n: i64| Val::int(&scop.ctx, n);
            let shifted = |by: i64| mine.add(&mine.domain()?.constant(&number(by)?)?);
            for (how, new) in [
                ("earlier", shifted(-1)?),
                ("later", shifted(1)?),
                ("in the first iteration", mine.scale(&number(0)?)?),
            ] {
                let new = others.union_add(&new)?;
                let spoiled = with_member(scop, &member.name, |member| member.schedule = new.clone());
                all.push((format!("`{stmt}` {how} of `{}`", member.name), spoiled));
            }
        }
    }
    Ok(all)
}

/// A copy or a combination reads what belongs to the iteration before, or to the first.
fn stale_reads(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, stmt) in without_origin(scop)? {
        for (at, dim) in stmt.dims.iter().enumerate() {
            for (which, stale) in [("before", Index::Dim(at) - 1), ("first", Index::Const(0))] {
                let replaced = |index: &Index| {
                    index.substitute(&|d| if d == at { stale.clone() } else { Index::Dim(d) }, &Index::Param)
                };
                let mut spoiled = scop.clone();
                spoiled.stmts[id].reads.iter_mut().for_each(|read| change_subscripts(read, &replaced));
                if spoiled.stmts[id].reads != stmt.reads {
                    all.push((format!("`{}` reads what is of the {which} {dim}", stmt.name), spoiled));
                }
            }
        }
    }
    Ok(all)
}

/// Two neighbours in a sequence change places, or the first one comes last.
fn reordered(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (number, count) in sequences(&scop.tree.root).into_iter().enumerate() {
        for at in 1..count {
            let mut spoiled = scop.clone();
            change_sequence(&mut spoiled.tree.root, number, &mut |children| children.swap(at - 1, at));
            all.push((format!("in sequence {number}, {at} before {}", at - 1), spoiled));
        }
        if count > 2 {
            let mut spoiled = scop.clone();
            change_sequence(&mut spoiled.tree.root, number, &mut |children| children.rotate_left(1));
            all.push((format!("in sequence {number}, the first one last"), spoiled));
        }
    }
    Ok(all)
}

/// A statement of the commands is left out.
fn dropped(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let without = |(id, stmt): (StmtId, &Stmt)| {
        let none = stmt.domain.subtract(&stmt.domain)?;
        Ok((format!("without `{}`", stmt.name), restricted(scop, id, &none)?))
    };
    without_origin(scop)?.into_iter().map(without).collect()
}

/// A partial result begins with another number than the neutral one.
fn other_beginnings(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, stmt) in without_origin(scop)? {
        for number in [1.0, -1.0] {
            let mut spoiled = scop.clone();
            for expr in spoiled.stmts[id].body.exprs_mut() {
                if let Expr::Const(value @ Value::Float(_), _) = expr {
                    *value = Value::Float(number);
                }
            }
            if spoiled.stmts[id].body != stmt.body {
                all.push((format!("`{}` begins with {number}", stmt.name), spoiled));
            }
        }
    }
    Ok(all)
}

/// An update or a combination is done twice, by instances of their own.
fn doubled(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let updates = scop.stmts.iter().filter(|(_, stmt)| stmt.body.is_reduce());
    updates.map(|(id, stmt)| Ok((format!("`{}` twice", stmt.name), twice(scop, id)?))).collect()
}

/// A private memory is shared, or a shared one private.
fn other_memories(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, tensor) in temporaries(scop) {
        let mut spoiled = scop.clone();
        let (memory, what) = match tensor.memory {
            Memory::Stack => (Memory::Global, "shared"),
            // The scripts are for processors: what blocks share, and registers, are in none.
            Memory::Global | Memory::Shared | Memory::Registers | Memory::Rank | Memory::Message => {
                (Memory::Stack, "private")
            }
        };
        spoiled.tensors[id].memory = memory;
        all.push((format!("`{}` {what}", tensor.name), spoiled));
    }
    Ok(all)
}

/// A temporary has one cell less in a dimension, or half of them, and elements go round.
fn fewer_cells(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, tensor) in temporaries(scop) {
        let layout = layout_of(tensor);
        for (at, extent) in layout.extent.iter().enumerate() {
            let fewer = match extent.as_const() {
                Some(1) => Vec::new(),
                Some(2) => vec![1],
                Some(cells) => vec![cells - 1, 1],
                None => vec![1, 2, 3],
            };
            for cells in fewer {
                let mut layout = layout.clone();
                layout.cell[at] = layout.cell[at].clone().modulo(cells);
                layout.extent[at] = Index::Const(cells);
                let mut spoiled = scop.clone();
                spoiled.tensors[id].layout = Some(layout);
                all.push((format!("`{}` with {cells} cells in dimension {at}", tensor.name), spoiled));
            }
        }
    }
    Ok(all)
}

/// Two coordinates of a cell are added up, so that different elements share it.
fn shared_cells(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, tensor) in temporaries(scop) {
        let layout = layout_of(tensor);
        for at in 1..layout.cell.len() {
            let mut layout = layout.clone();
            layout.cell[at] = layout.cell[at].clone() + layout.cell[at - 1].clone();
            layout.extent[at] = layout.extent[at].clone() + layout.extent[at - 1].clone();
            layout.cell[at - 1] = Index::Const(0);
            let mut spoiled = scop.clone();
            spoiled.tensors[id].layout = Some(layout);
            all.push((format!("`{}` with coordinates {} and {at} added up", tensor.name, at - 1), spoiled));
        }
    }
    Ok(all)
}

/// An access to a temporary, or what a copy reads or writes, is one element further, and goes round at the end.
fn other_elements(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        let accesses = stmt.accesses().count();
        for access in 0..accesses {
            let before = nth(stmt, access);
            let tensor = &scop.tensors[before.tensor];
            for at in 0..tensor.extent.len() {
                let mut after = before.clone();
                let Subscript::Affine(index) = &mut after.index[at] else { continue };
                *index = further(index, &tensor.lower[at], &tensor.extent[at]);
                let mut spoiled = scop.clone();
                *nth_mut(&mut spoiled.stmts[id], access) = after;
                all.push((format!("access {access} of `{}`, subscript {at} one further", stmt.name), spoiled));
            }
        }
    }
    Ok(all)
}

/// A sequential loop runs on threads.
fn at_once(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let members = scop.tree.root.members().into_iter().filter(|member| member.kind == Kind::Sequential);
    let variant =
        |name: &String| (format!("`{name}` parallel"), with_member(scop, name, |member| member.kind = Kind::Parallel));
    Ok(members.map(|member| variant(&member.name)).collect())
}

/// A loop runs from its last value to its first.
fn backwards(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for member in scop.tree.root.members() {
        let turned = member.schedule.neg()?;
        let spoiled = with_member(scop, &member.name, |member| member.schedule = turned.clone());
        all.push((format!("`{}` backwards", member.name), spoiled));
    }
    Ok(all)
}

/// An instance computes what its neighbour should, and says so.
fn other_origins(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        let origin = scop.origin.intersect_domain(&stmt.domain.to_union_set()?)?;
        if origin.is_empty()? {
            continue;
        }
        for (at, dim) in stmt.dims.iter().enumerate() {
            let here = step(scop, stmt, at)?;
            let there = scop.origin.subtract_domain(&stmt.domain.to_union_set()?)?;
            let lied = here.to_union_map()?.apply_range(&origin)?;
            let rest = stmt.domain.intersect(&stmt.domain.apply(&here.reverse()?)?)?;
            let mut spoiled = scop.clone();
            let moved = |index: &Index| index.substitute(&|d| Index::Dim(d) + i64::from(d == at), &Index::Param);
            let changed = &mut spoiled.stmts[id];
            changed.reads.iter_mut().for_each(|read| change_subscripts(read, &moved));
            for expr in changed.body.exprs_mut() {
                *expr = expr.map(&mut |e| match e {
                    Expr::Index(index) => Expr::Index(moved(&index)),
                    other => other,
                });
            }
            spoiled.origin = there.union(&lied)?;
            all.push((format!("`{}` computes what is of the next {dim}", stmt.name), restricted(&spoiled, id, &rest)?));
            // The last one goes on as it was, when nothing else is wrong: so no slice is missing.
            let last = stmt.domain.subtract(&rest)?.to_union_set()?;
            spoiled.origin = there.union(&lied)?.union(&origin.intersect_domain(&last)?)?;
            all.push((format!("`{}` computes what is of the next {dim}, but for the last", stmt.name), spoiled));
        }
    }
    Ok(all)
}

/// What the commands made computes something else: a copy adds, a combination takes the larger.
fn other_operators(scop: &Scop) -> isl::Result<Vec<(String, Scop)>> {
    let mut all = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        let [write] = stmt.writes.as_slice() else { continue };
        let dtype = scop.tensors[write.tensor].dtype;
        let others = match &stmt.body {
            Body::Assign(values) => vec![Body::Reduce { monoid: Monoid::sum(dtype), terms: values.clone() }],
            Body::Reduce { terms, .. } => vec![
                Body::Assign(terms.clone()),
                Body::Reduce { monoid: Monoid::max(dtype), terms: terms.clone() },
                Body::Reduce { monoid: Monoid::prod(dtype), terms: terms.clone() },
            ],
        };
        for (at, body) in others.into_iter().enumerate() {
            let mut spoiled = scop.clone();
            spoiled.stmts[id].body = body;
            all.push((format!("`{}` by another operator, number {at}", stmt.name), spoiled));
        }
    }
    Ok(all)
}

/// From an instance to the next one in a dimension, in the domain or not.
fn step(scop: &Scop, stmt: &Stmt, at: usize) -> isl::Result<Map> {
    let name = |d: usize| format!("x{d}");
    let next = |d: usize| if d == at { format!("x{d} + 1") } else { name(d) };
    let tuple = |part: &dyn Fn(usize) -> String| (0..stmt.dims.len()).map(part).collect::<Vec<_>>().join(", ");
    Map::read(&scop.ctx, &format!("{{ {0}[{1}] -> {0}[{2}] }}", stmt.name, tuple(&name), tuple(&next)))
}

/// The function on some instances, and on the others.
fn split(schedule: &isl::UnionPwAff, here: &UnionSet) -> isl::Result<(isl::UnionPwAff, isl::UnionPwAff)> {
    let others = schedule.domain()?.subtract(here)?;
    Ok((schedule.intersect_domain(here)?, schedule.intersect_domain(&others)?))
}

/// The program with a smaller domain of a statement.
fn restricted(scop: &Scop, id: StmtId, domain: &Set) -> isl::Result<Scop> {
    let mut spoiled = scop.clone();
    spoiled.stmts[id].domain = domain.clone();
    let domain = spoiled.domain()?;
    restrict_filters(&mut spoiled.tree.root, &domain)?;
    spoiled.tree.domain = domain.clone();
    spoiled.origin = spoiled.origin.intersect_domain(&domain)?;
    Ok(spoiled)
}

fn restrict_filters(node: &mut Node, domain: &UnionSet) -> isl::Result<()> {
    if let Node::Sequence(children) | Node::Set(children) = node {
        for child in children {
            child.filter = child.filter.intersect(domain)?;
        }
    }
    node.children_mut().into_iter().try_for_each(|child| restrict_filters(child, domain))
}

/// Two instances of a statement for each one, told apart by a last dimension.
fn twice(scop: &Scop, id: StmtId) -> isl::Result<Scop> {
    let mut spoiled = scop.clone();
    let Stmt { name, dims, domain, .. } = &scop.stmts[id];
    let dims: Vec<String> = (0..dims.len()).map(|d| format!("x{d}")).collect();
    let more: Vec<String> = dims.iter().cloned().chain(["again".into()]).collect();
    let text = format!("{{ {name}[{}] -> {name}[{}] : 0 <= again <= 1 }}", dims.join(", "), more.join(", "));
    let copies = Map::read(&scop.ctx, &text)?;
    let stmt = &mut spoiled.stmts[id];
    stmt.domain = domain.apply(&copies)?;
    stmt.dims.push("again".into());
    let (copies, own) = (copies.to_union_map()?, domain.to_union_set()?);
    let others = scop.domain()?.subtract(&own)?;
    let all = copies.union(&others.identity()?)?;
    spoiled.tree.domain = spoiled.domain()?;
    spoiled.origin = scop.origin.apply_domain(&all)?;
    pull_back(&mut spoiled.tree.root, &all)?;
    order_last(&mut spoiled, id)?;
    Ok(spoiled)
}

/// The tree on other instances.
fn pull_back(node: &mut Node, to: &isl::UnionMap) -> isl::Result<()> {
    match node {
        Node::Band(band) => {
            for member in &mut band.members {
                let maps = to.reverse()?.apply_range(&member.schedule.to_union_map()?)?.maps()?;
                member.schedule = maps.iter().try_fold(isl::UnionPwAff::empty(to.ctx())?, |all, map| {
                    let function = map.to_pw_multi_aff()?.at(0)?;
                    all.union_add(&function.to_union_pw_aff()?)
                })?;
            }
        }
        Node::Sequence(children) | Node::Set(children) => {
            for child in children {
                child.filter = child.filter.apply(to)?;
            }
        }
        Node::Mark { .. } | Node::Leaf => {}
    }
    node.children_mut().into_iter().try_for_each(|child| pull_back(child, to))
}

/// A loop over the last dimension of a statement, where only leaves are below.
fn order_last(scop: &mut Scop, id: StmtId) -> isl::Result<()> {
    let stmt = &scop.stmts[id];
    let last = Index::Dim(stmt.dims.len() - 1).to_pw_aff(&stmt.domain.space()?)?.intersect_domain(&stmt.domain)?;
    let member = polyhedral::Member {
        name: "again".into(),
        schedule: last.to_union_pw_aff()?,
        coincident: false,
        kind: Kind::Sequential,
    };
    let domain = stmt.domain.to_union_set()?;
    put_at_leaf(&mut scop.tree.root, &scop.tree.domain.clone(), &domain, &member)
}

fn put_at_leaf(node: &mut Node, here: &UnionSet, stmt: &UnionSet, member: &polyhedral::Member) -> isl::Result<()> {
    match node {
        Node::Leaf if here.is_subset(stmt)? => {
            let (members, child) = (vec![member.clone()], Box::new(Node::Leaf));
            *node = Node::Band(polyhedral::Band { members, permutable: false, child });
            Ok(())
        }
        Node::Leaf => Ok(()),
        Node::Band(band) => put_at_leaf(&mut band.child, here, stmt, member),
        Node::Mark { child, .. } => put_at_leaf(child, here, stmt, member),
        Node::Sequence(children) | Node::Set(children) => {
            let reached = |child: &polyhedral::Filtered| child.filter.intersect(here);
            children.iter_mut().try_for_each(|child| {
                let below = reached(child)?;
                if below.is_disjoint(stmt)? { Ok(()) } else { put_at_leaf(&mut child.node, &below, stmt, member) }
            })
        }
    }
}

/// The statements that commands made and that compute nothing of the source.
fn without_origin(scop: &Scop) -> isl::Result<Vec<(StmtId, &Stmt)>> {
    let computed = scop.origin.domain()?;
    let mut all = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        if stmt.domain.to_union_set()?.is_disjoint(&computed)? {
            all.push((id, stmt));
        }
    }
    Ok(all)
}

fn temporaries(scop: &Scop) -> impl Iterator<Item = (polyhedral::TensorId, &Tensor)> {
    scop.tensors.iter().filter(|(_, tensor)| tensor.role == Role::Temporary)
}

/// The layout that a tensor has, said or not.
fn layout_of(tensor: &Tensor) -> Layout {
    tensor.layout.clone().unwrap_or_else(|| Layout {
        cell: tensor.lower.iter().enumerate().map(|(at, lower)| Index::Dim(at) - lower.clone()).collect(),
        extent: tensor.extent.clone(),
    })
}

/// One element further, inside the tensor.
fn further(index: &Index, lower: &Index, extent: &Index) -> Index {
    match extent.as_const() {
        Some(cells) => (index.clone() + 1 - lower.clone()).modulo(cells) + lower.clone(),
        None => (index.clone() + 1).min(lower.clone() + extent.clone() - 1),
    }
}

fn change_subscripts(access: &mut Access, change: &dyn Fn(&Index) -> Index) {
    for subscript in &mut access.index {
        if let Subscript::Affine(index) = subscript {
            *index = change(index);
        }
    }
}

fn nth(stmt: &Stmt, access: usize) -> &Access {
    stmt.reads.iter().chain(&stmt.writes).nth(access).expect("one of its accesses")
}

fn nth_mut(stmt: &mut Stmt, access: usize) -> &mut Access {
    stmt.reads.iter_mut().chain(&mut stmt.writes).nth(access).expect("one of its accesses")
}

/// The program with a member changed.
fn with_member(scop: &Scop, name: &str, change: impl Fn(&mut polyhedral::Member)) -> Scop {
    let mut spoiled = scop.clone();
    change_member(&mut spoiled.tree.root, name, &change);
    spoiled
}

fn change_member(node: &mut Node, name: &str, change: &dyn Fn(&mut polyhedral::Member)) {
    if let Node::Band(band) = node {
        band.members.iter_mut().filter(|member| member.name == name).for_each(change);
    }
    node.children_mut().into_iter().for_each(|child| change_member(child, name, change));
}

/// How many children each sequence has, in pre-order.
fn sequences(node: &Node) -> Vec<usize> {
    let own = match node {
        Node::Sequence(children) => vec![children.len()],
        _ => Vec::new(),
    };
    own.into_iter().chain(node.children().into_iter().flat_map(sequences)).collect()
}

/// Changes the sequence with that number in pre-order; how many there were.
fn change_sequence(node: &mut Node, number: usize, change: &mut dyn FnMut(&mut Vec<polyhedral::Filtered>)) -> usize {
    let mut passed = 0;
    if let Node::Sequence(children) = node {
        if number == 0 {
            change(children);
            return 1;
        }
        passed = 1;
    }
    for child in node.children_mut() {
        if passed > number {
            break;
        }
        passed += change_sequence(child, number - passed, change);
    }
    passed
}

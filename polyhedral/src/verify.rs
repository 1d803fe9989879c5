//! Whether a [`Scop`] is well formed.

use std::collections::BTreeSet;

use support::{Malformed, Stage};

use crate::text::is_carried;
use crate::{
    Access, Band, Body, DType, Expr, Filtered, Index, Kind, Member, Memory, Monoid, Nest, Node, Role, Scop, Stmt,
    Subscript, Tensor, Tiled, Tiling, Value, isl,
};

/// Checks, and reports every fault of:
///
/// *Shape.*
/// - Names are unique (sizes, tensors, statements, the dimensions of a statement, the members of the tree) and such
///   that the text carries them.
/// - Every position, number and id means something; divisors are at least 1; as many subscripts as dimensions.
/// - Tensors come in the order of the call; an input is never written, an output is.
/// - A domain is a set of its statement's instances.
/// - The source nest holds every statement once, under as many loops as it has dimensions; or it is empty, and the tree
///   alone orders the statements.
/// - Only temporaries have a layout or live on the stack; a layout has one extent for each storage coordinate.
/// - Bands have members; below a vector or unrolled member are only such members and the leaf; widths are at least 1.
///
/// *Meaning*, when the shape is right.
/// - Types fit: what is written, terms and monoids, operands, constants; subscripts computed from data are integers and
///   use earlier reads only.
/// - Domains are bounded for fixed sizes; the context admits some sizes.
/// - Affine accesses are inside their tensors on the whole domain, for all sizes that the context admits.
/// - The tree's domain is the union of the statements' domains; filters split what reaches them into disjoint parts;
///   every member has a value on every instance that reaches its band.
/// - Layouts put every element into a cell that there is.
/// - Every instance has exactly one origin; when commands changed the statements, at most one.
///
/// Whether the tree's order respects the dependences is [`crate::legality`]'s question.
impl Stage for Scop {
    const NAME: &'static str = "scop";

    fn verify(&self) -> Result<(), Malformed> {
        shape(self)?;
        let mut faults = Faults(Vec::new());
        for check in MEANING {
            if let Err(error) = check(self, &mut faults) {
                faults.add(&self.name, error.to_string());
            }
        }
        Malformed::check(Self::NAME, faults.0)
    }
}

/// The faults of shape alone.
pub(crate) fn shape(scop: &Scop) -> Result<(), Malformed> {
    let mut faults = Faults(Vec::new());
    for check in SHAPE {
        check(scop, &mut faults);
    }
    Malformed::check(Scop::NAME, faults.0)
}

const SHAPE: [fn(&Scop, &mut Faults); 7] =
    [names, tensors, statements, positions, source_nest, member_names, boxes_innermost];

const MEANING: [fn(&Scop, &mut Faults) -> isl::Result<()>; 7] =
    [types, indirect_subscripts, bounded, inside_tensors, inside_memory, tree_covers, origins];

/// What is wrong, by entity.
struct Faults(Vec<(String, String)>);

impl Faults {
    fn add(&mut self, entity: &str, message: impl Into<String>) {
        self.0.push((entity.to_owned(), message.into()));
    }

    /// Reports what occurs twice in `names`, and what no text can carry.
    fn check_names<'n>(&mut self, entity: &str, what: &str, names: impl Iterator<Item = &'n str>, isl_reads: bool) {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                self.add(entity, format!("two {what} are called `{name}`"));
            }
            if !is_carried(name, isl_reads) {
                self.add(entity, format!("`{name}` cannot be the name of one of the {what}"));
            }
        }
    }
}

fn names(scop: &Scop, faults: &mut Faults) {
    faults.check_names(&scop.name, "sizes", scop.params.iter().map(String::as_str), true);
    faults.check_names(&scop.name, "tensors", scop.tensors.values().map(|tensor| tensor.name.as_str()), false);
    faults.check_names(&scop.name, "statements", scop.stmts.values().map(|stmt| stmt.name.as_str()), true);
    for stmt in scop.stmts.values() {
        faults.check_names(&stmt.name, "dimensions", stmt.dims.iter().map(String::as_str), true);
    }
}

fn tensors(scop: &Scop, faults: &mut Faults) {
    let rank = |tensor: &Tensor| match tensor.role {
        Role::Input => 0,
        Role::Output | Role::InOut => 1,
        Role::Temporary => 2,
    };
    let mut highest = 0;
    for (id, tensor) in scop.tensors.iter() {
        if rank(tensor) < highest {
            faults.add(&tensor.name, "inputs come first, then outputs, then temporaries");
        }
        highest = highest.max(rank(tensor));
        if tensor.lower.len() != tensor.extent.len() {
            faults.add(&tensor.name, "as many lower bounds as extents");
        }
        for index in tensor.lower.iter().chain(&tensor.extent) {
            check_index(&tensor.name, index, 0, scop.params.len(), faults);
        }
        check_place(scop, tensor, faults);
        let written = scop.stmts.values().any(|stmt| stmt.writes.iter().any(|write| write.tensor == id));
        match tensor.role {
            Role::Input if written => faults.add(&tensor.name, "an input is written"),
            Role::Output if !written => faults.add(&tensor.name, "no statement writes this output"),
            _ => {}
        }
    }
}

fn check_place(scop: &Scop, tensor: &Tensor, faults: &mut Faults) {
    if tensor.role != Role::Temporary && (tensor.memory != Memory::Global || tensor.layout.is_some()) {
        faults.add(&tensor.name, "the memory of an argument is the caller's");
    }
    if tensor.streamed && (tensor.role == Role::Input || tensor.memory.is_own()) {
        faults.add(&tensor.name, "nothing is stored to it that could go past the caches");
    }
    let Some(layout) = &tensor.layout else { return };
    if layout.cell.len() != layout.extent.len() {
        faults.add(&tensor.name, "as many storage coordinates as extents in a layout");
    }
    layout.cell.iter().for_each(|i| check_index(&tensor.name, i, tensor.extent.len(), scop.params.len(), faults));
    layout.extent.iter().for_each(|i| check_index(&tensor.name, i, 0, scop.params.len(), faults));
}

fn statements(scop: &Scop, faults: &mut Faults) {
    for stmt in scop.stmts.values() {
        let shape =
            || -> isl::Result<(String, u32)> { Ok((stmt.domain.tuple_name()?, stmt.domain.dim(isl::Dim::Set)?)) };
        match shape() {
            Ok((name, n)) if name == stmt.name && n as usize == stmt.dims.len() => {}
            Ok((name, n)) => {
                faults.add(&stmt.name, format!("the domain holds instances of `{name}` with {n} dimensions"))
            }
            Err(error) => faults.add(&stmt.name, error.to_string()),
        }
        for access in stmt.accesses() {
            check_access(scop, stmt, access, faults);
        }
        for expr in stmt.body.exprs() {
            check_expr(scop, stmt, expr, faults);
        }
    }
}

fn check_access(scop: &Scop, stmt: &Stmt, access: &Access, faults: &mut Faults) {
    let Some(tensor) = scop.tensors.get(access.tensor) else {
        return faults.add(&stmt.name, format!("no tensor {}", access.tensor));
    };
    if access.index.len() != tensor.extent.len() {
        let (given, rank) = (access.index.len(), tensor.extent.len());
        faults.add(&stmt.name, format!("{given} subscripts for `{}`, which has {rank} dimensions", tensor.name));
    }
    for subscript in &access.index {
        match subscript {
            Subscript::Affine(index) => check_index(&stmt.name, index, stmt.dims.len(), scop.params.len(), faults),
            Subscript::Indirect(expr) => check_expr(scop, stmt, expr, faults),
        }
    }
}

/// The positions in an expression; [`Expr::dtype`] judges the rest.
fn check_expr(scop: &Scop, stmt: &Stmt, expr: &Expr, faults: &mut Faults) {
    expr.visit(&mut |e| match e {
        Expr::Index(index) => check_index(&stmt.name, index, stmt.dims.len(), scop.params.len(), faults),
        Expr::Load(k) if *k >= stmt.reads.len() => {
            faults.add(&stmt.name, format!("read {k} of {} is loaded", stmt.reads.len()));
        }
        Expr::Const(value, dtype) if !fits(*value, *dtype) => {
            faults.add(&stmt.name, format!("{value:?} is no value of {dtype}"));
        }
        _ => {}
    });
}

fn check_index(entity: &str, index: &Index, dims: usize, params: usize, faults: &mut Faults) {
    index.visit(&mut |e| match e {
        Index::Dim(at) if *at >= dims => faults.add(entity, format!("dimension {at} of {dims}")),
        Index::Param(at) if *at >= params => faults.add(entity, format!("size {at} of {params}")),
        Index::FloorDiv(_, by) | Index::Mod(_, by) if *by < 1 => faults.add(entity, format!("a divisor of {by}")),
        _ => {}
    });
}

fn fits(value: Value, dtype: DType) -> bool {
    match value {
        Value::Float(_) => dtype.is_float(),
        Value::Int(value) => match dtype.int_range() {
            Some((low, high)) => (low..=high).contains(&value),
            None => dtype == DType::Bool && (0..=1).contains(&value),
        },
    }
}

/// The parts of bodies that come in equal numbers.
fn positions(scop: &Scop, faults: &mut Faults) {
    for stmt in scop.stmts.values() {
        // A prefetch or a barrier.
        let may_only_read = !scop.is_source() && !stmt.body.is_reduce();
        if stmt.writes.is_empty() && !may_only_read {
            faults.add(&stmt.name, "writes nothing");
        }
        let n = stmt.writes.len();
        match &stmt.body {
            Body::Assign(values) if values.len() != n => {
                faults.add(&stmt.name, format!("{} values for {n} elements", values.len()));
            }
            Body::Reduce { monoid, terms } => {
                let counts = [terms.len(), monoid.dtypes.len(), monoid.identity.len(), monoid.combine.len()];
                if counts.iter().any(|count| *count != n) {
                    let [terms, types, identities, combines] = counts;
                    faults.add(
                        &stmt.name,
                        format!("{terms} terms, {types} types, {identities} neutral values, {combines} combinations for {n} elements"),
                    );
                }
            }
            Body::Assign(_) => {}
        }
    }
}

fn source_nest(scop: &Scop, faults: &mut Faults) {
    if !scop.is_source() {
        return;
    }
    let mut found = Vec::new();
    for nest in &scop.source {
        walk_nest(scop, nest, 0, &mut found, faults);
    }
    for (id, stmt) in scop.stmts.iter() {
        match found.iter().filter(|other| **other == id).count() {
            0 => faults.add(&stmt.name, "is not in the source order"),
            1 => {}
            n => faults.add(&stmt.name, format!("is {n} times in the source order")),
        }
    }
}

fn walk_nest(scop: &Scop, nest: &Nest, depth: usize, found: &mut Vec<crate::StmtId>, faults: &mut Faults) {
    match nest {
        Nest::Loop { name, body } => {
            if body.is_empty() {
                faults.add(name, "a loop around nothing in the source order");
            }
            body.iter().for_each(|nest| walk_nest(scop, nest, depth + 1, found, faults));
        }
        Nest::Stmt(id) => match scop.stmts.get(*id) {
            None => faults.add(&scop.name, format!("no statement {id}, which is in the source order")),
            Some(stmt) => {
                found.push(*id);
                if stmt.dims.len() != depth {
                    let dims = stmt.dims.len();
                    faults.add(&stmt.name, format!("{dims} dimensions under {depth} loops of the source order"));
                }
            }
        },
    }
}

fn member_names(scop: &Scop, faults: &mut Faults) {
    let members = scop.tree.root.members();
    faults.check_names(&scop.name, "members of the tree", members.iter().map(|member| member.name.as_str()), false);
}

fn boxes_innermost(scop: &Scop, faults: &mut Faults) {
    walk_boxes(&scop.tree.root, None, faults);
}

/// `around` is the last vector or unrolled member on the way down.
fn walk_boxes<'t>(node: &'t Node, mut around: Option<&'t Member>, faults: &mut Faults) {
    match node {
        Node::Band(Band { members, .. }) => {
            if members.is_empty() {
                faults.add("tree", "a band without members");
            }
            for member in members {
                match (member.kind, around) {
                    (Kind::Vector(0) | Kind::Unroll(0), _) => faults.add(&member.name, "a width of 0"),
                    (Kind::Vector(_) | Kind::Unroll(_), _) => around = Some(member),
                    (_, Some(outer)) => {
                        faults.add(&member.name, format!("a loop inside of the box of `{}`", outer.name))
                    }
                    (_, None) => {}
                }
            }
        }
        Node::Sequence(_) | Node::Set(_) => {
            if let Some(outer) = around {
                faults.add(&outer.name, "a vector or unrolled member around a sequence or a set");
            }
        }
        Node::Mark { name, child } if Tiling::is_mark(name) => {
            let tiling = Tiling::of_mark(name);
            if tiling.is_none_or(|tiling| tiling.band(child).is_none()) {
                faults.add(name, "is not of loops of the band below it");
            }
        }
        Node::Mark { .. } | Node::Leaf => {}
    }
    for child in node.children() {
        walk_boxes(child, around, faults);
    }
}

fn types(scop: &Scop, faults: &mut Faults) -> isl::Result<()> {
    for stmt in scop.stmts.values() {
        let loads = scop.load_types(stmt);
        let written: Vec<DType> = stmt.writes.iter().map(|write| scop.tensors[write.tensor].dtype).collect();
        if let Body::Reduce { monoid, .. } = &stmt.body {
            check_monoid(&stmt.name, monoid, &written, faults);
        }
        for (expr, wanted) in stmt.body.exprs().iter().zip(&written) {
            match expr.dtype(&loads, &[]) {
                Some(dtype) if dtype == *wanted => {}
                Some(dtype) => faults.add(&stmt.name, format!("a value of {dtype} for an element of {wanted}")),
                None => faults.add(&stmt.name, "operands whose types do not fit"),
            }
        }
    }
    Ok(())
}

fn check_monoid(entity: &str, monoid: &Monoid, written: &[DType], faults: &mut Faults) {
    if monoid.dtypes != written {
        faults.add(
            entity,
            format!("the monoid `{}` is on {:?}, the elements are {written:?}", monoid.name, monoid.dtypes),
        );
    }
    for (value, dtype) in monoid.identity.iter().zip(&monoid.dtypes) {
        if !fits(*value, *dtype) {
            faults.add(entity, format!("the neutral {value:?} of `{}` is no value of {dtype}", monoid.name));
        }
    }
    for (combine, dtype) in monoid.combine.iter().zip(&monoid.dtypes) {
        if combine.dtype(&[], &monoid.dtypes) != Some(*dtype) {
            faults.add(entity, format!("the monoid `{}` does not combine to {dtype}", monoid.name));
        }
    }
}

fn indirect_subscripts(scop: &Scop, faults: &mut Faults) -> isl::Result<()> {
    for stmt in scop.stmts.values() {
        let loads = scop.load_types(stmt);
        let reads = stmt.reads.iter().enumerate();
        for (earlier, access) in reads.chain(stmt.writes.iter().map(|write| (stmt.reads.len(), write))) {
            for subscript in &access.index {
                if let Subscript::Indirect(expr) = subscript {
                    check_indirect(&stmt.name, expr, &loads, earlier, faults);
                }
            }
        }
    }
    Ok(())
}

fn check_indirect(entity: &str, expr: &Expr, loads: &[DType], earlier: usize, faults: &mut Faults) {
    if !expr.dtype(loads, &[]).is_some_and(DType::is_int) {
        faults.add(entity, "a subscript that is no integer");
    }
    expr.visit(&mut |e| {
        if let Expr::Load(k) = e
            && *k >= earlier
        {
            faults.add(entity, format!("a subscript of read {earlier} uses read {k}, which is not earlier"));
        }
    });
}

fn bounded(scop: &Scop, faults: &mut Faults) -> isl::Result<()> {
    if scop.context.is_empty()? {
        faults.add(&scop.name, "the context admits no sizes");
    }
    for stmt in scop.stmts.values() {
        if !stmt.domain.is_bounded()? {
            faults.add(&stmt.name, "the domain is unbounded");
        }
    }
    Ok(())
}

fn inside_tensors(scop: &Scop, faults: &mut Faults) -> isl::Result<()> {
    for stmt in scop.stmts.values() {
        let domain = stmt.domain.align_params(&scop.param_space()?)?.intersect_params(&scop.context)?;
        for access in stmt.accesses() {
            let tensor = &scop.tensors[access.tensor];
            for (at, subscript) in access.index.iter().enumerate() {
                let Subscript::Affine(index) = subscript else { continue };
                let outside = outside(&domain, index, &tensor.lower[at], &tensor.extent[at])?;
                if !outside.is_empty()? {
                    let shown = index.display(&stmt.dims, &scop.params);
                    let message = format!("subscript {at} of `{}`, {shown}, is outside for {outside}", tensor.name);
                    faults.add(&stmt.name, message);
                }
            }
        }
    }
    Ok(())
}

/// Layouts stay inside the memory that they ask for.
fn inside_memory(scop: &Scop, faults: &mut Faults) -> isl::Result<()> {
    for (id, tensor) in scop.tensors.iter() {
        let Some(layout) = &tensor.layout else { continue };
        let elements = scop.elements(id)?;
        for (at, (cell, extent)) in layout.cell.iter().zip(&layout.extent).enumerate() {
            let outside = outside(&elements, cell, &Index::Const(0), extent)?;
            if !outside.is_empty()? {
                faults.add(&tensor.name, format!("storage coordinate {at} is outside for {outside}"));
            }
        }
    }
    Ok(())
}

/// The instances for which `index` is not one of `lower .. lower + extent`.
pub(crate) fn outside(domain: &isl::Set, index: &Index, lower: &Index, extent: &Index) -> isl::Result<isl::Set> {
    let space = domain.space()?;
    let from = (index.clone() - lower.clone()).to_pw_aff(&space)?.nonneg_set()?;
    let to = (lower.clone() + extent.clone() - index.clone() - 1).to_pw_aff(&space)?.nonneg_set()?;
    domain.subtract(&from.intersect(&to)?)
}

fn tree_covers(scop: &Scop, faults: &mut Faults) -> isl::Result<()> {
    if !scop.tree.domain.is_equal(&scop.domain()?)? {
        faults.add("tree", "its domain is not the union of the statements' domains");
    }
    walk_tree(scop, &scop.tree.root, &scop.tree.domain, faults)
}

fn walk_tree(scop: &Scop, node: &Node, reach: &isl::UnionSet, faults: &mut Faults) -> isl::Result<()> {
    match node {
        Node::Band(band) => {
            for member in &band.members {
                let missing = reach.subtract(&member.schedule.domain()?)?;
                if !missing.is_empty()? {
                    faults.add(&member.name, format!("has no value for {missing}"));
                }
            }
            walk_tree(scop, &band.child, reach, faults)
        }
        Node::Sequence(children) | Node::Set(children) => walk_filters(scop, children, reach, faults),
        Node::Mark { name, child } => {
            for Tiled { size, .. } in Tiling::of_mark(name).into_iter().flat_map(|tiling| tiling.loops) {
                check_size(scop, &size, faults)?;
            }
            walk_tree(scop, child, reach, faults)
        }
        Node::Leaf => Ok(()),
    }
}

/// The size of tiles is a parameter of at least 1.
fn check_size(scop: &Scop, size: &str, faults: &mut Faults) -> isl::Result<()> {
    let Some(at) = scop.params.iter().position(|name| name == size) else {
        faults.add(size, "is the size of tiles, but no parameter");
        return Ok(());
    };
    let positive = (Index::Param(at) - 1).to_pw_aff(&scop.param_space()?.set_from_params()?)?.nonneg_set()?.params()?;
    if !scop.context.is_subset(&positive)? {
        faults.add(size, "is the size of tiles, and may be less than 1");
    }
    Ok(())
}

fn walk_filters(scop: &Scop, children: &[Filtered], reach: &isl::UnionSet, faults: &mut Faults) -> isl::Result<()> {
    let mut left = reach.clone();
    for child in children {
        let here = child.filter.intersect(reach)?;
        let twice = here.subtract(&left)?;
        if !twice.is_empty()? {
            faults.add("tree", format!("two filters of one node keep {twice}"));
        }
        left = left.subtract(&here)?;
        walk_tree(scop, &child.node, &here, faults)?;
    }
    if !left.is_empty()? {
        faults.add("tree", format!("no filter keeps {left}"));
    }
    Ok(())
}

fn origins(scop: &Scop, faults: &mut Faults) -> isl::Result<()> {
    let computed = scop.origin.domain()?;
    if scop.is_source() && !computed.is_equal(&scop.domain()?)? {
        faults.add("origin", "is not of exactly the instances");
    }
    if !computed.is_subset(&scop.domain()?)? {
        faults.add("origin", "is of instances that there are not");
    }
    if !scop.origin.is_single_valued()? {
        faults.add("origin", "gives an instance two origins");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gather, matmul, programs, random, scop, triangular_solve};
    use crate::{StmtId, TensorId};
    use support::Entity;

    fn faults(scop: &Scop) -> String {
        scop.verify().expect_err("should be found").to_string()
    }

    /// Spoils a matrix product; the fault must say `expected`.
    #[track_caller]
    fn check(expected: &str, spoil: impl FnOnce(&mut Scop)) {
        let ctx = isl::Ctx::new();
        check_on(matmul(&ctx), expected, spoil);
    }

    #[track_caller]
    fn check_on(mut good: Scop, expected: &str, spoil: impl FnOnce(&mut Scop)) {
        good.verify().expect("is good before");
        spoil(&mut good);
        let found = faults(&good);
        assert!(found.contains(expected), "expected `{expected}` in: {found}");
    }

    const INIT: usize = 0;
    const UPDATE: usize = 1;

    fn stmt(scop: &mut Scop, at: usize) -> &mut Stmt {
        &mut scop.stmts[StmtId::new(at)]
    }

    fn tensor(scop: &mut Scop, at: usize) -> &mut Tensor {
        &mut scop.tensors[TensorId::new(at)]
    }

    fn terms(scop: &mut Scop) -> &mut [Expr] {
        stmt(scop, UPDATE).body.exprs_mut()
    }

    fn set(scop: &Scop, text: &str) -> isl::UnionSet {
        isl::UnionSet::read(&scop.ctx, &format!("[M, N, K] -> {{ {text} }}")).expect("a set")
    }

    /// The band of the update.
    fn band(scop: &mut Scop) -> &mut Band {
        let Node::Sequence(children) = &mut scop.tree.root else { panic!("a sequence") };
        let Node::Band(band) = &mut children[1].node else { panic!("a band") };
        band
    }

    #[test]
    fn ready_made_and_random_ones_are_well_formed() {
        let ctx = isl::Ctx::new();
        for scop in programs(&ctx) {
            scop.verify().unwrap_or_else(|fault| panic!("{fault}\n{scop}"));
        }
        for seed in 0..150 {
            let scop = random(&isl::Ctx::new(), seed);
            scop.verify().unwrap_or_else(|fault| panic!("{fault}\n{scop}"));
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let ctx = isl::Ctx::new();
        let mut scop = matmul(&ctx);
        tensor(&mut scop, 0).name = "C".into();
        stmt(&mut scop, UPDATE).writes.clear();
        scop.source.pop();
        let found = faults(&scop);
        for expected in ["two tensors are called `C`", "writes nothing", "is not in the source order"] {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn names_are_unique_and_carried() {
        check("two sizes are called `M`", |scop| scop.params[1] = "M".into());
        check("two dimensions are called `m`", |scop| stmt(scop, UPDATE).dims[1] = "m".into());
        check("`and` cannot be the name of one of the dimensions", |scop| stmt(scop, UPDATE).dims[1] = "and".into());
        check("`a b` cannot be the name of one of the tensors", |scop| tensor(scop, 0).name = "a b".into());
        check("two statements are called `C.init`", |scop| stmt(scop, UPDATE).name = "C.init".into());
        check("two members of the tree are called `C.init.m`", |scop| band(scop).members[0].name = "C.init.m".into());
    }

    #[test]
    fn tensors_are_in_order_and_keep_to_their_roles() {
        check("inputs come first", |scop| tensor(scop, 0).role = Role::Temporary);
        check("as many lower bounds as extents", |scop| tensor(scop, 0).lower.clear());
        check("an input is written", |scop| tensor(scop, 2).role = Role::Input);
        check("no statement writes this output", |scop| tensor(scop, 1).role = Role::Output);
        check("dimension 0 of 0", |scop| tensor(scop, 0).extent[0] = Index::Dim(0));
    }

    #[test]
    fn positions_mean_something() {
        check("no tensor T7", |scop| stmt(scop, UPDATE).reads[0].tensor = TensorId::new(7));
        check("1 subscripts for `A`, which has 2", |scop| drop(stmt(scop, UPDATE).reads[0].index.pop()));
        check("dimension 3 of 3", |scop| stmt(scop, UPDATE).reads[0].index[0] = Subscript::Affine(Index::Dim(3)));
        check("size 3 of 3", |scop| terms(scop)[0] = Expr::Index(Index::Param(3)));
        check("a divisor of 0", |scop| {
            stmt(scop, UPDATE).reads[0].index[0] = Subscript::Affine(Index::Mod(Box::new(Index::Dim(0)), 0));
        });
        check("read 2 of 2 is loaded", |scop| terms(scop)[0] = Expr::Load(2));
        check("2 values for 1 elements", |scop| {
            stmt(scop, INIT).body = Body::Assign(vec![Expr::Load(0), Expr::Load(0)]);
        });
        check("2 terms, 1 types", |scop| {
            let Body::Reduce { terms, .. } = &mut stmt(scop, UPDATE).body else { panic!("a reduction") };
            terms.push(Expr::Load(0));
        });
        check("holds instances of `D` with 3 dimensions", |scop| {
            let update = stmt(scop, UPDATE);
            update.domain = update.domain.with_tuple_name("D").expect("a name");
        });
    }

    #[test]
    fn the_source_order_holds_every_statement_once_at_its_depth() {
        check("is not in the source order", |scop| drop(scop.source.pop()));
        check("is 2 times in the source order", |scop| scop.source.push(scop.source[0].clone()));
        check("2 dimensions under 0 loops", |scop| scop.source[0] = Nest::Stmt(StmtId::new(INIT)));
        check("no statement S9", |scop| scop.source.push(Nest::Stmt(StmtId::new(9))));
        check("a loop around nothing", |scop| scop.source.push(Nest::Loop { name: "z".into(), body: Vec::new() }));
    }

    #[test]
    fn boxes_are_innermost() {
        check("a loop inside of the box of `C.update.n`", |scop| band(scop).members[1].kind = Kind::Vector(8));
        check("a width of 0", |scop| band(scop).members[2].kind = Kind::Unroll(0));
        check("a band without members", |scop| band(scop).members.clear());
        let ctx = isl::Ctx::new();
        check_on(triangular_solve(&ctx), "around a sequence", |scop| {
            let Node::Band(band) = &mut scop.tree.root else { panic!("a band") };
            band.members[0].kind = Kind::Vector(4);
        });
        let mut good = matmul(&ctx);
        band(&mut good).members[1].kind = Kind::Unroll(4);
        band(&mut good).members[2].kind = Kind::Vector(8);
        good.verify().expect("a box at the bottom");
    }

    #[test]
    fn types_fit() {
        check("a value of int64 for an element of float32", |scop| terms(scop)[0] = Expr::Index(Index::Dim(0)));
        check("operands whose types do not fit", |scop| terms(scop)[0] = Expr::State(0));
        check("operands whose types do not fit", |scop| tensor(scop, 0).dtype = DType::F64);
        check("is no value of float32", |scop| terms(scop)[0] = Expr::Const(Value::Int(1), DType::F32));
        check("is no value of int8", |scop| terms(scop)[0] = Expr::Const(Value::Int(128), DType::I8));
        check("the monoid `sum` is on [F64]", |scop| {
            let Body::Reduce { monoid, .. } = &mut stmt(scop, UPDATE).body else { panic!("a reduction") };
            *monoid = Monoid::sum(DType::F64);
        });
        check("the neutral Int(0) of `sum` is no value", |scop| {
            let Body::Reduce { monoid, .. } = &mut stmt(scop, UPDATE).body else { panic!("a reduction") };
            monoid.identity = vec![Value::Int(0)];
        });
        check("does not combine to float32", |scop| {
            let Body::Reduce { monoid, .. } = &mut stmt(scop, UPDATE).body else { panic!("a reduction") };
            monoid.combine = vec![Expr::Load(0)];
        });
    }

    #[test]
    fn subscripts_from_data_are_integers_read_before() {
        let ctx = isl::Ctx::new();
        check_on(gather(&ctx), "a subscript that is no integer", |scop| tensor(scop, 1).dtype = DType::F32);
        check_on(gather(&ctx), "uses read 1, which is not earlier", |scop| {
            stmt(scop, UPDATE).reads[1].index[0] = Subscript::Indirect(Expr::Cast(DType::I64, Box::new(Expr::Load(1))));
        });
    }

    #[test]
    fn domains_are_bounded_and_some_sizes_are_admitted() {
        check("the domain is unbounded", |scop| {
            let text = "[M, N, K] -> { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k }";
            stmt(scop, UPDATE).domain = isl::Set::read(&scop.ctx.clone(), text).expect("a set");
        });
        check("the domain is unbounded", |scop| {
            let text = "[M, N, K] -> { C.update[m, n, k] : 0 <= m < M and k <= n <= k + 1 }";
            stmt(scop, UPDATE).domain = isl::Set::read(&scop.ctx.clone(), text).expect("a set");
        });
        check("the context admits no sizes", |scop| {
            scop.context = isl::Set::read(&scop.ctx, "[M, N, K] -> { : M > 0 and M < 0 }").expect("a set");
        });
    }

    #[test]
    fn accesses_are_inside() {
        check("subscript 1 of `A`, k + 1, is outside", |scop| {
            stmt(scop, UPDATE).reads[0].index[1] = Subscript::Affine(Index::Dim(2) + 1);
        });
        check("subscript 0 of `C`, m, is outside", |scop| tensor(scop, 2).lower[0] = Index::Const(1));
        check("subscript 0 of `B`, k, is outside", |scop| tensor(scop, 1).extent[0] = Index::Param(0));
    }

    #[test]
    fn an_access_is_inside_only_where_the_context_admits_it() {
        let ctx = isl::Ctx::new();
        let text = |context: &str| {
            format!(
                "scop corner(N)\ncontext {{ : {context} }}\ninput A: int32[N]\noutput B: int32[]\n\
                 stmt B[]\n  domain {{ B[] }}\n  B[] = A[3]\n"
            )
        };
        scop(&ctx, &text("N > 3")).verify().expect("long enough");
        assert!(faults(&scop(&ctx, &text("N > 2"))).contains("is outside"));
    }

    #[test]
    fn the_tree_covers_the_instances_once() {
        check("its domain is not the union", |scop| scop.tree.domain = set(scop, "C.init[m, n]"));
        check("two filters of one node keep", |scop| {
            let everything = scop.tree.domain.clone();
            let Node::Sequence(children) = &mut scop.tree.root else { panic!("a sequence") };
            children[1].filter = everything;
        });
        check("no filter keeps", |scop| {
            let Node::Sequence(children) = &mut scop.tree.root else { panic!("a sequence") };
            children.pop();
        });
        check("has no value for", |scop| {
            let half = set(scop, "C.update[m, n, k] : k > 3");
            let member = &mut band(scop).members[0];
            member.schedule = member.schedule.intersect_domain(&half).expect("isl");
        });
    }

    #[test]
    fn every_instance_has_one_origin() {
        check("is not of exactly the instances", |scop| {
            let some = set(scop, "C.init[m, n]");
            scop.origin = scop.origin.intersect_domain(&some).expect("isl");
        });
        check("gives an instance two origins", |scop| {
            let other = "[M, N, K] -> { C.init[m, n] -> C.init[m, n + 1] : 0 <= m < M and 0 <= n < N }";
            scop.origin = scop.origin.union(&isl::UnionMap::read(&scop.ctx, other).expect("isl")).expect("isl");
        });
    }
}

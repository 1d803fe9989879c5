//! What a policy asks of the loops of a tree: how long they are, and how accesses move along them.

use polyhedral::{Access, Expr, Index, Member, Node, Scop, Stmt, StmtId, Subscript, TensorId, isl};

/// Loops around one or several things: a band with the bands perfectly nested in it.
///
/// ```text
/// nest = loop* (stmt | nest+)
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Nest {
    /// Outermost first.
    pub(crate) loops: Vec<Loop>,
    /// Everything inside, in source order.
    pub(crate) stmts: Vec<StmtId>,
    /// What the body runs one after the other; empty when it is one leaf.
    pub(crate) parts: Vec<Nest>,
    /// Whether the loops are those of one band that may be permuted; without loops they may.
    pub(crate) is_permutable: bool,
}

/// One loop of a [`Nest`].
#[derive(Clone, Debug)]
pub(crate) struct Loop {
    /// The member's name.
    pub(crate) name: String,
    /// Whether its iterations may run at once.
    pub(crate) coincident: bool,
    /// How many iterations there are at most; unknown when sizes are.
    pub(crate) extent: Option<i64>,
    /// That it is to take the place of itself and of another loop, whose rows follow each other in memory.
    pub(crate) rows: Option<Rows>,
    /// The dimension of each statement that its value is, up to a constant; none when it is another function.
    dims: Vec<(StmtId, Option<usize>)>,
}

/// A loop over rows that is joined with the one along them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The member's name.
    pub(crate) name: String,
    /// Iterations of the loop along a row.
    pub(crate) width: i32,
}

/// How an access moves from one iteration of a loop to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stride {
    /// Not at all.
    Constant,
    /// To the next element in memory.
    Unit,
    /// By a constant number of elements.
    Strided,
    /// In a way that is known only while running, or in jumps.
    Irregular,
}

/// The nests at the top of the tree, in order of execution.
pub(crate) fn nests(scop: &Scop) -> isl::Result<Vec<Nest>> {
    let all: Vec<StmtId> = scop.stmts.keys().collect();
    match &scop.tree.root {
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().map(|child| nest(scop, &child.node, &stmts_in(scop, &child.filter)?)).collect()
        }
        root => Ok(vec![nest(scop, root, &all)?]),
    }
}

fn nest(scop: &Scop, node: &Node, stmts: &[StmtId]) -> isl::Result<Nest> {
    let (mut loops, mut is_permutable) = (Vec::new(), true);
    let mut node = node;
    loop {
        match node {
            Node::Band(band) => {
                is_permutable &= band.permutable && loops.is_empty();
                for member in &band.members {
                    loops.push(loop_of(scop, member, stmts)?);
                }
                node = &band.child;
            }
            Node::Mark { child, .. } => node = child,
            Node::Leaf => return Ok(Nest { loops, stmts: stmts.to_vec(), parts: Vec::new(), is_permutable }),
            Node::Sequence(children) | Node::Set(children) => {
                let mut parts = Vec::new();
                for child in children {
                    let inside: Vec<StmtId> = stmts_in(scop, &child.filter)?;
                    parts.push(nest(scop, &child.node, &inside)?);
                }
                return Ok(Nest { loops, stmts: stmts.to_vec(), parts, is_permutable });
            }
        }
    }
}

fn stmts_in(scop: &Scop, filter: &isl::UnionSet) -> isl::Result<Vec<StmtId>> {
    let names: Vec<String> = filter.sets()?.iter().map(isl::Set::tuple_name).collect::<isl::Result<_>>()?;
    Ok(scop.stmts.iter().filter(|(_, stmt)| names.contains(&stmt.name)).map(|(id, _)| id).collect())
}

fn loop_of(scop: &Scop, member: &Member, stmts: &[StmtId]) -> isl::Result<Loop> {
    let functions = member.schedule.pw_affs()?;
    let (mut dims, mut range): (Vec<_>, Option<(i64, i64)>) = (Vec::new(), None);
    let mut bounded = true;
    for &id in stmts {
        let stmt = &scop.stmts[id];
        let of_stmt = |pw: &&isl::PwAff| pw.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == stmt.name);
        let Some(function) = functions.iter().find(of_stmt) else { continue };
        let function = function.intersect_domain(&stmt.domain)?;
        dims.push((id, dimension_of(&function)?));
        match (function.min_val()?.to_i64(), function.max_val()?.to_i64()) {
            (Ok(low), Ok(high)) => {
                range = Some(range.map_or((low, high), |(from, to)| (from.min(low), to.max(high))));
            }
            _ => bounded = false,
        }
    }
    let extent = range.filter(|_| bounded).and_then(|(low, high)| high.checked_sub(low)?.checked_add(1));
    Ok(Loop { name: member.name.clone(), coincident: member.coincident, extent, rows: None, dims })
}

/// The dimension that a function is, up to a constant; `None` for other functions.
fn dimension_of(function: &isl::PwAff) -> isl::Result<Option<usize>> {
    let mut found = None;
    for (_, aff) in function.pieces()? {
        let terms = aff.terms()?;
        let used: Vec<usize> = (0..terms.dims.len()).filter(|&dim| terms.dims[dim] != 0).collect();
        let [dim] = used.as_slice() else { return Ok(None) };
        let plain = terms.denominator == 1 && terms.dims[*dim] == 1 && terms.floors.is_empty();
        if !plain || found.is_some_and(|other| other != *dim) {
            return Ok(None);
        }
        found = Some(*dim);
    }
    Ok(found)
}

impl Loop {
    /// The dimension of `stmt` that its value is.
    pub(crate) fn dim(&self, stmt: StmtId) -> Option<usize> {
        self.dims.iter().find(|(id, _)| *id == stmt)?.1
    }

    /// Whether it is a plain dimension of everything inside.
    pub(crate) fn is_plain(&self) -> bool {
        self.dims.iter().all(|(_, dim)| dim.is_some())
    }

    /// The extent for estimates: a symbolic loop counts as long.
    pub(crate) fn estimate(&self) -> i64 {
        self.extent.unwrap_or(1024)
    }
}

impl Nest {
    /// The only statement, when the body is one leaf.
    pub(crate) fn only_stmt(&self) -> Option<StmtId> {
        match self.stmts.as_slice() {
            [stmt] if self.parts.is_empty() => Some(*stmt),
            _ => None,
        }
    }

    /// Where other statements run right before and after one reduction, in the same loops: the loops around and inside
    /// of that one as a nest, and how many of them all share: all, where the others run in one iteration of the reduction.
    pub(crate) fn around_reduction(&self, scop: &Scop) -> Option<(Nest, usize)> {
        if let Some(stmt) = self.reduction_among_leaves(scop) {
            let nest = Nest { loops: self.loops.clone(), stmts: vec![stmt], parts: Vec::new(), is_permutable: true };
            return Some((nest, self.loops.len()));
        }
        let (alone, nested): (Vec<&Nest>, Vec<&Nest>) = self.parts.iter().partition(|part| part.loops.is_empty());
        let [inner] = nested.as_slice() else { return None };
        let stmt = inner.only_stmt()?;
        let is_leaf = |part: &&Nest| part.only_stmt().is_some();
        if alone.is_empty() || !alone.iter().all(is_leaf) || !scop.stmts[stmt].body.is_reduce() {
            return None;
        }
        let loops = self.loops.iter().chain(&inner.loops).cloned().collect();
        Some((Nest { loops, stmts: vec![stmt], parts: Vec::new(), is_permutable: true }, self.loops.len()))
    }

    /// The only reduction, where the other parts have no loops of their own and run in one iteration of what is summed over.
    fn reduction_among_leaves(&self, scop: &Scop) -> Option<StmtId> {
        let stmts: Option<Vec<StmtId>> = self.parts.iter().map(Nest::only_stmt).collect();
        let (reductions, others): (Vec<StmtId>, Vec<StmtId>) =
            stmts?.into_iter().partition(|&id| scop.stmts[id].body.is_reduce());
        let [reduction] = reductions.as_slice() else { return None };
        let stmt = &scop.stmts[*reduction];
        let reduced = self.loops.iter().filter(|one| one.dim(*reduction).is_some_and(|dim| is_reduced(stmt, dim)));
        let is_once = |one: &Loop| others.iter().all(|&id| one.dim(id).is_none());
        let has_leaves = self.parts.iter().all(|part| part.loops.is_empty());
        (has_leaves && !others.is_empty() && reduced.clone().count() > 0 && reduced.clone().all(is_once))
            .then_some(*reduction)
    }

    /// Whether every loop, here and inside, is a plain dimension of its statements.
    pub(crate) fn is_plain(&self) -> bool {
        self.loops.iter().all(Loop::is_plain) && self.parts.iter().all(Nest::is_plain)
    }

    /// What one would be once `fuse` has made the first `common` loops of some nests common. Of one that has fewer, all
    /// loops are common, and it runs in one iteration of the others.
    pub(crate) fn fused(nests: &[&Nest], common: usize) -> Nest {
        let deepest = nests.iter().max_by_key(|nest| nest.loops.len().min(common)).map_or(&[][..], |nest| &nest.loops);
        let mut loops: Vec<Loop> = deepest.iter().take(common).cloned().collect();
        for (at, one) in loops.iter_mut().enumerate() {
            let alone = |nest: &&Nest| nest.stmts.iter().map(|&id| (id, None)).collect::<Vec<_>>();
            one.dims = nests
                .iter()
                .flat_map(|nest| nest.loops.get(at).map_or_else(|| alone(nest), |own| own.dims.clone()))
                .collect();
            one.coincident = nests.iter().all(|nest| nest.loops.get(at).is_none_or(|own| own.coincident));
            if let Some(name) = nests.iter().find_map(|nest| nest.loops.get(at)).map(|own| own.name.clone()) {
                one.name = name;
            }
        }
        let inside =
            |nest: &&Nest| Nest { loops: nest.loops.iter().skip(common).cloned().collect(), ..(**nest).clone() };
        let stmts = nests.iter().flat_map(|nest| nest.stmts.iter().copied()).collect();
        Nest { loops, stmts, parts: nests.iter().map(inside).collect(), is_permutable: true }
    }

    /// What it is called in remarks.
    pub(crate) fn name(&self, scop: &Scop) -> String {
        self.stmts.iter().map(|&id| scop.stmts[id].name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// How `access` of `stmt` moves along dimension `dim`.
pub(crate) fn stride(stmt: &Stmt, access: &Access, dim: usize) -> Stride {
    let mut stride = Stride::Constant;
    let last = access.index.len().saturating_sub(1);
    for (at, subscript) in access.index.iter().enumerate() {
        let here = match subscript {
            Subscript::Indirect(value) if moves(stmt, value, dim) => Stride::Irregular,
            Subscript::Affine(index) if index.dims_used().contains(&dim) => {
                match unclamped(index).affine().and_then(|affine| affine.dims.get(&dim).copied()) {
                    Some(1) if at == last && stride == Stride::Constant => Stride::Unit,
                    Some(_) => Stride::Strided,
                    None => Stride::Irregular,
                }
            }
            _ => Stride::Constant,
        };
        stride = stride.max(here);
    }
    stride
}

/// Accesses that jump from one iteration of the innermost loop to the next, of the statements in the most loops: where a
/// statement has permutable loops of its own, along the best of them.
pub(crate) fn jumps(scop: &Scop, nests: &[Nest]) -> usize {
    let deepest = scop.stmts.values().map(|stmt| stmt.dims.len()).max().unwrap_or(0);
    let is_deepest = |id: StmtId| scop.stmts[id].dims.len() == deepest;
    nests.iter().flat_map(|nest| jumps_in(scop, nest, &[])).filter(|(id, _)| is_deepest(*id)).map(|(_, all)| all).sum()
}

/// The same of each statement of a nest inside of the loops `around`.
fn jumps_in(scop: &Scop, nest: &Nest, around: &[Loop]) -> Vec<(StmtId, usize)> {
    let own = if nest.is_permutable && nest.only_stmt().is_some() { nest.loops.len() } else { 0 };
    let loops: Vec<Loop> = around.iter().chain(&nest.loops).cloned().collect();
    if !nest.parts.is_empty() {
        return nest.parts.iter().flat_map(|part| jumps_in(scop, part, &loops)).collect();
    }
    let of = |id: StmtId| {
        let stmt = &scop.stmts[id];
        let along = |dim: usize| stmt.accesses().filter(|access| stride(stmt, access, dim) > Stride::Unit).count();
        let dims = loops.iter().rev().filter_map(|one| one.dim(id));
        (id, dims.take(own.max(1)).map(along).min().unwrap_or(0))
    };
    nest.stmts.iter().map(|&id| of(id)).collect()
}

/// Elements in memory from what an access of a densely stored tensor touches to what it touches one further along
/// dimension `dim`; none when that is not one known number.
pub(crate) fn distance(scop: &Scop, access: &Access, dim: usize) -> Option<i64> {
    let (mut distance, mut row) = (0i64, 1i64);
    for (subscript, extent) in access.index.iter().zip(&scop.tensors[access.tensor].extent).rev() {
        let Subscript::Affine(index) = subscript else { return None };
        if index.dims_used().contains(&dim) {
            let by = index.affine()?.dims.get(&dim).copied().unwrap_or(0);
            distance = distance.checked_add(by.checked_mul(row)?)?;
        }
        row = row.checked_mul(extent.as_const()?)?;
    }
    Some(distance)
}

/// A subscript without bounds that hold at a border only: `max(i - 1, 0)` is `i - 1`. Code is cut where they begin to hold.
pub(crate) fn unclamped(index: &Index) -> Index {
    let boxed = |index: &Index| Box::new(unclamped(index));
    match index {
        Index::Min(a, b) | Index::Max(a, b) if b.dims_used().is_empty() => unclamped(a),
        Index::Min(a, b) | Index::Max(a, b) if a.dims_used().is_empty() => unclamped(b),
        Index::Add(a, b) => Index::Add(boxed(a), boxed(b)),
        Index::Mul(c, e) => Index::Mul(*c, boxed(e)),
        // What is counted round begins with the choice that is inside of the tensor.
        Index::Select(_, inside, _) => unclamped(inside),
        other => other.clone(),
    }
}

/// Whether the value changes along dimension `dim`.
pub(crate) fn moves(stmt: &Stmt, value: &Expr, dim: usize) -> bool {
    let mut found = false;
    value.visit(&mut |e| {
        found |= match e {
            Expr::Index(index) => index.dims_used().contains(&dim),
            // Reads of a subscript come earlier in the list, so this ends.
            Expr::Load(read) => {
                stmt.reads.get(*read).is_some_and(|access| stride(stmt, access, dim) != Stride::Constant)
            }
            _ => false,
        };
    });
    found
}

/// Bytes of a tensor's memory; an extent that is no number counts as `unknown`.
pub(crate) fn bytes(scop: &Scop, id: TensorId, unknown: u64) -> u64 {
    let tensor = &scop.tensors[id];
    let extents = tensor.layout.as_ref().map_or(&tensor.extent, |layout| &layout.extent);
    let extents = extents.iter().map(|extent| extent.as_const().map_or(unknown, |n| n.max(0).unsigned_abs()));
    extents.fold(tensor.dtype.bytes().into(), u64::saturating_mul)
}

/// Whether the loop over `dim` leaves every written element where it is: what is summed over.
pub(crate) fn is_reduced(stmt: &Stmt, dim: usize) -> bool {
    stmt.body.is_reduce() && stmt.writes.iter().all(|write| stride(stmt, write, dim) == Stride::Constant)
}

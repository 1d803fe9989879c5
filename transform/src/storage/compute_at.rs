//! The command that computes a tensor where it is used: compute at.

use polyhedral::{Band, Expr, Filtered, Index, Kind, Member, Node, Scop, Stmt, StmtId, Subscript, TensorId, isl};

use super::evolve;
use super::insertion::{Insertion, Side, component, insert};
use super::instances::Instances;
use super::site::Site;
use crate::Command;
use crate::place::{self, Taken};
use crate::proof::Edit;
use crate::refused::Reason;

/// Computes a temporary inside of each iteration of a loop: what is read there, again for each iteration that reads it.
///
/// ```text
/// compute T at B.io
///
/// sequence                       ->   band [io = floor(i / 32)]
///   band [i]         T                  sequence
///   band [io, ii]    B                    band [i]    T[io, i], for 32*io - 1 <= i <= 32*io + 32
///                                         band [ii]   B
/// ```
///
/// All statements that write the tensor move; they keep their names, their loops and the order among themselves. A
/// value that several iterations read is computed in each of them, and the loop becomes a dimension of the statement;
/// when every value is read in one iteration only, nothing is computed twice and the statement stays as it is. What no
/// iteration reads is not computed any more. The storage stays the whole tensor: `store` makes it smaller.
///
/// Needs a temporary that is read in this loop and nowhere else, written by affine subscripts, by statements that write
/// nothing else and read it only where they write it. Proof: values. After Halide's `compute_at` (Ragan-Kelley and others,
/// PLDI 2013); the overlap is the halo of overlapped tiling (Krishnamoorthy and others, PLDI 2007).
pub(crate) fn compute_at(scop: &Scop, tensor: &str, member: &str) -> Result<Edit, Reason> {
    let id = evolve::temporary(scop, tensor)?;
    let producers = producers(scop, id)?;
    let member = place::resolve(scop, member)?;
    let site = Site::of(scop, Some(&member))?;
    let needed = needed(scop, &site, id, &producers)?;
    let moved = producers.iter().map(|&from| Moved::of(scop, &site, &needed, from));
    let moved = moved.collect::<Result<Vec<_>, _>>()?;

    let mut after = evolve::without_stmts(scop, &producers)?;
    let insertion = insertion(scop, &after, &producers, &moved)?;
    let instances = after.tree.domain.union(&insertion.instances)?;
    after.tree.root = insert(&after.tree, &member, Side::Inside, insertion)?;
    after.tree.domain = instances;
    after.stmts = scop.stmts.clone();
    for (&id, moved) in producers.iter().zip(&moved) {
        after.stmts[id] = moved.stmt.clone();
        after.origin = after.origin.union(&moved.old.apply_range(&scop.origin)?)?;
    }
    let command = Command::ComputeAt { tensor: tensor.to_string(), member };
    Ok(Edit::of_values(after, command))
}

/// The statements that write the tensor.
fn producers(scop: &Scop, tensor: TensorId) -> Result<Vec<StmtId>, Reason> {
    let name = &scop.tensors[tensor].name;
    let writes = |stmt: &Stmt| stmt.writes.iter().any(|write| write.tensor == tensor);
    let found: Vec<StmtId> = scop.stmts.iter().filter(|(_, stmt)| writes(stmt)).map(|(id, _)| id).collect();
    if found.is_empty() {
        return Reason::precondition(format!("no statement writes `{name}`"));
    }
    for stmt in found.iter().map(|&id| &scop.stmts[id]) {
        let own = &stmt.name;
        if stmt.writes.len() > 1 {
            return Reason::precondition(format!(
                "the statement `{own}` writes other elements than that of `{name}` too"
            ));
        }
        if stmt.writes[0].affine().is_none() {
            return Reason::precondition(format!(
                "the statement `{own}` writes elements of `{name}` that depend on data"
            ));
        }
        let written = scop.relation(stmt, &stmt.writes[0])?;
        for read in stmt.reads.iter().filter(|read| read.tensor == tensor) {
            if !scop.relation(stmt, read)?.is_subset(&written)? {
                return Reason::precondition(format!(
                    "the statement `{own}` computes elements of `{name}` from other ones"
                ));
            }
        }
    }
    Ok(found)
}

/// The elements that each iteration reads: `[t0, …] -> T[…]`.
fn needed(scop: &Scop, site: &Site, tensor: TensorId, producers: &[StmtId]) -> Result<isl::UnionMap, Reason> {
    let (name, place) = (&scop.tensors[tensor].name, site.described());
    let mut needed = isl::UnionMap::empty(&scop.ctx)?;
    for (_, stmt) in scop.stmts.iter().filter(|(id, _)| !producers.contains(id)) {
        for read in stmt.reads.iter().filter(|read| read.tensor == tensor) {
            if !site.inside(stmt)?.is_equal(&stmt.domain)? {
                let reader = &stmt.name;
                return Reason::precondition(format!("the statement `{reader}` reads `{name}` outside of {place}"));
            }
            let reads = site.values(stmt)?.reverse()?.apply_range(&scop.relation(stmt, read)?)?;
            needed = needed.union(&reads.to_union_map()?)?;
        }
    }
    if needed.is_empty()? {
        return Reason::precondition(format!("nothing reads `{name}` in {place}"));
    }
    Ok(needed)
}

/// A statement that runs inside of the loop from now on.
struct Moved {
    stmt: Stmt,
    /// From its instances to those that it had.
    old: isl::UnionMap,
    /// `S[…] -> [t0, …]`
    values: isl::UnionMap,
}

impl Moved {
    fn of(scop: &Scop, site: &Site, needed: &isl::UnionMap, from: StmtId) -> Result<Moved, Reason> {
        let stmt = &scop.stmts[from];
        let writers = scop.relation(stmt, &stmt.writes[0])?.reverse()?.to_union_map()?;
        let each = needed.apply_range(&writers)?;
        if each.is_empty()? {
            return Reason::precondition(format!("{} needs no instance of `{}`", site.described(), stmt.name));
        }
        let loops: Vec<String> = site.members.iter().map(|member| member.name.clone()).collect();
        let instances = Instances::of(scop, &stmt.name, &each.as_map()?, &loops, &stmt.dims)?;
        let old = instances.own.with_tuple_name(isl::Dim::Out, &stmt.name)?;
        let old = old.apply_range(&stmt.domain.identity()?)?.coalesce()?.to_union_map()?;
        let values = instances.values.to_union_map()?;
        Ok(Moved { stmt: with_leading_dims(stmt, &instances), old, values })
    }
}

/// The statement with the instances' loops as its first dimensions.
fn with_leading_dims(stmt: &Stmt, instances: &Instances) -> Stmt {
    let by = instances.loops;
    let index = |index: &Index| index.substitute(&|at| Index::Dim(at + by), &Index::Param);
    let expr = |expr: &Expr| {
        expr.map(&mut |e| match e {
            Expr::Index(own) => Expr::Index(index(&own)),
            other => other,
        })
    };
    let mut after = Stmt { dims: instances.dims.clone(), domain: instances.domain.clone(), ..stmt.clone() };
    for subscript in after.reads.iter_mut().chain(&mut after.writes).flat_map(|access| &mut access.index) {
        *subscript = match subscript {
            Subscript::Affine(own) => Subscript::Affine(index(own)),
            Subscript::Indirect(own) => Subscript::Indirect(expr(own)),
        };
    }
    after.body.exprs_mut().iter_mut().for_each(|own| *own = expr(own));
    after
}

/// The producers' own order, on the instances that they have inside of the loop. `rest` is the program without them.
fn insertion(scop: &Scop, rest: &Scop, producers: &[StmtId], moved: &[Moved]) -> isl::Result<Insertion> {
    let none = || isl::UnionMap::empty(&scop.ctx);
    let old = moved.iter().try_fold(none()?, |all, one| all.union(&one.old))?;
    let values = moved.iter().try_fold(none()?, |all, one| all.union(&one.values))?;
    let mut before = isl::UnionSet::empty(&scop.ctx)?;
    for &id in producers {
        before = before.union(&scop.stmts[id].domain.to_union_set()?)?;
    }
    let order = evolve::ordering(&scop.tree.root, &before)?.unwrap_or(Node::Leaf);
    let mut pulling = Pulling { scop, rest, old: &old, values: &values, taken: Taken::by(&rest.tree, &[]) };
    let node = pulling.node(&order)?;
    Ok(Insertion { instances: old.domain()?, node, values })
}

/// Carries a part of a tree over to other instances.
struct Pulling<'a> {
    scop: &'a Scop,
    /// The program that the part will be put into.
    rest: &'a Scop,
    /// From the new instances to the old ones.
    old: &'a isl::UnionMap,
    /// The values of the loops around, on the new ones.
    values: &'a isl::UnionMap,
    taken: Taken,
}

impl Pulling<'_> {
    fn node(&mut self, node: &Node) -> isl::Result<Node> {
        Ok(match node {
            Node::Leaf => Node::Leaf,
            Node::Mark { name, child } => Node::Mark { name: name.clone(), child: Box::new(self.node(child)?) },
            Node::Sequence(children) => Node::Sequence(self.children(children)?),
            Node::Set(children) => Node::Set(self.children(children)?),
            Node::Band(band) => self.band(band)?,
        })
    }

    fn children(&mut self, children: &[Filtered]) -> isl::Result<Vec<Filtered>> {
        let mut pulled = Vec::with_capacity(children.len());
        for Filtered { filter, node } in children {
            pulled.push(Filtered { filter: filter.apply(&self.old.reverse()?)?, node: self.node(node)? });
        }
        Ok(pulled)
    }

    /// Loops that have one iteration now are left out.
    fn band(&mut self, band: &Band) -> isl::Result<Node> {
        let mut members = Vec::with_capacity(band.members.len());
        for member in &band.members {
            let pulled = self.old.apply_range(&member.schedule.to_union_map()?)?;
            let is_box = matches!(member.kind, Kind::Vector(_) | Kind::Unroll(_));
            if is_box || !self.values.reverse()?.apply_range(&pulled)?.is_single_valued()? {
                members.push(self.member(member, component(&pulled, 0)?)?);
            }
        }
        let child = Box::new(self.node(&band.child)?);
        if members.is_empty() {
            return Ok(*child);
        }
        Ok(Node::Band(Band { members, permutable: false, child }))
    }

    /// Threads are not nested: what ran on several threads runs on that of the iteration.
    fn member(&mut self, member: &Member, schedule: isl::UnionPwAff) -> isl::Result<Member> {
        let kind = if member.kind.apart() { Kind::Sequential } else { member.kind };
        let name = match self.rest.tree.member(&member.name) {
            None => self.taken.next_free(&member.name),
            Some(_) => {
                let stmt = place::first_stmt(self.scop, &schedule.domain()?)?;
                self.taken.copy(self.scop, &member.name, stmt)
            }
        };
        Ok(Member { name, schedule, coincident: false, kind })
    }
}

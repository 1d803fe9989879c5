//! The command that gives ranks memory of their own and sends what others read: exchange.

use polyhedral::{
    Access, Axis, Body, Expr, Index, Kind, Memory, Node, Role, Scop, Stmt, Subscript, Tensor, TensorId, isl,
};

use super::evolve;
use super::formula::{index_of, simplified};
use super::hull::Hull;
use super::insertion::{Insertion, Side, insert};
use super::privatise::new_tensor_name;
use super::site::{Placed, Site, loops_over, tuple};
use super::uses::tensor_named;
use crate::proof::Edit;
use crate::refused::Reason;
use crate::{Command, place};

/// Gives each rank a tensor of its own in place of one that all of them use, and sends to others what they read.
///
/// ```text
/// bind B.io A.io to rank
/// exchange A as Ar
///
///                                        band [r bound rank, x]            Ar.load: Ar[r, x] = A[x]
/// band [t]                               band [t]
///   sequence                               sequence
///     band [io bound rank, i]  B   ->        band [io bound rank, i]       B reads Ar[floor(i / 32), i - 1]
///     band [io bound rank, i]  A             band [io bound rank, i]       A writes Ar[floor(i / 32), i]
///                                            band [p bound rank, q, x]     Ar.send: Ar_message[t, p, q, x] = Ar[p, x]
///                                            band [q bound rank, p, x]     Ar.receive: Ar[q, x] = Ar_message[t, p, q, x]
///                                        band [p bound rank, x]            Ar.store: A[x] = Ar[p, x]
/// ```
///
/// After each nest on ranks that writes what others read later, ranks send it: what the last write before a read writes,
/// where these are on two ranks, and each element once to each rank. `load` brings what ranks find in the caller's
/// tensor, and `store` the last write of each element back. The first subscript of the new tensor is the rank.
///
/// Needs affine accesses inside of loops on ranks. Proof: values. Exchange sets from the dependences of values: Amarasinghe and
/// Lam, Communication Optimization and Code Generation for Distributed Memory Machines (PLDI 1993). That ranks without a common
/// clock compute the same: [`polyhedral::legality::isolated`].
pub(crate) fn exchange(scop: &Scop, tensor: &str, name: Option<&str>) -> Result<Edit, Reason> {
    let id = tensor_named(scop, tensor)?;
    let name = new_name(scop, tensor, name)?;
    let edited = Exchange::of(scop, id, &name)?.edited()?;
    Ok(Edit::of_values(edited, Command::Exchange { tensor: tensor.to_string(), name: Some(name) }))
}

/// The name that was given, or the next free one of `A_rank`, `A_rank2`, ….
fn new_name(scop: &Scop, tensor: &str, given: Option<&str>) -> Result<String, Reason> {
    let taken = |name: &str| {
        let statement = |stmt: &Stmt| stmt.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let message = |row: &Tensor| row.name.strip_prefix(name).is_some_and(|rest| rest.starts_with("_message"));
        scop.tensor_named(name).is_some() || scop.stmts.values().any(statement) || scop.tensors.values().any(message)
    };
    if let Some(name) = given {
        let name = new_tensor_name(scop, name)?;
        if taken(&name) {
            return Reason::precondition(format!("statements or messages of `{name}` are there already"));
        }
        return Ok(name);
    }
    let base = format!("{tensor}_rank");
    let numbered = (2u64..).map(|number| format!("{base}{number}"));
    let mut candidates = std::iter::once(base.clone()).chain(numbered);
    Ok(candidates.find(|name| !taken(name)).expect("a program has finitely many tensors"))
}

/// What ranks do to a tensor.
struct Exchange<'a> {
    scop: &'a Scop,
    id: TensorId,
    name: &'a str,
    /// Of what touches it, the rank: for each statement an expression over its dimensions.
    whose: Vec<(usize, Index)>,
    /// The same as a relation.
    ranks: isl::UnionMap,
    writes: isl::UnionMap,
    /// From the last write of an element to `[the read that finds it -> element]`. An update reads, too.
    found: isl::UnionMap,
    /// From the reads to elements that nothing writes before.
    initial: isl::UnionMap,
}

impl<'a> Exchange<'a> {
    fn of(scop: &'a Scop, id: TensorId, name: &'a str) -> Result<Exchange<'a>, Reason> {
        let row = &scop.tensors[id];
        if row.memory != Memory::Global || row.layout.is_some() {
            return Reason::precondition(format!("`{}` has a memory or a layout of its own already", row.name));
        }
        let bound = scop.tree.ranks()?;
        let ranks = bound.to_union_map()?;
        let on_ranks = ranks.domain()?;
        let none = isl::UnionMap::empty(&scop.ctx)?;
        let (mut reads, mut writes, mut whose) = (none.clone(), none.clone(), Vec::new());
        for (at, stmt) in scop.stmts.values().enumerate() {
            let touches = |access: &&Access| access.tensor == id;
            if !stmt.accesses().any(|access| touches(&access)) {
                continue;
            }
            if !stmt.domain.to_union_set()?.is_subset(&on_ranks)? {
                return Reason::precondition(format!(
                    "`{}` uses `{}` outside of loops on ranks: `bind` one of its loops `to rank` first",
                    stmt.name, row.name
                ));
            }
            whose.push((at, rank_of(scop, stmt, &bound)?));
            for access in stmt.accesses().filter(touches) {
                if access.affine().is_none() {
                    return Reason::precondition(format!(
                        "`{}` finds its element of `{}` by data",
                        stmt.name, row.name
                    ));
                }
            }
            let all = |accesses: &[Access]| {
                accesses
                    .iter()
                    .filter(touches)
                    .try_fold(none.clone(), |all, access| all.union(&scop.relation(stmt, access)?.to_union_map()?))
            };
            let (read, written) = (all(&stmt.reads)?, all(&stmt.writes)?);
            reads = reads.union(&read)?.union(if stmt.body.is_reduce() { &written } else { &none })?;
            writes = writes.union(&written)?;
        }
        if whose.is_empty() {
            return Reason::precondition(format!("no statement uses `{}`", row.name));
        }
        let (found, initial) = last_writes(scop, &reads, &writes)?;
        Ok(Exchange { scop, id, name, whose, ranks, writes, found, initial })
    }

    fn edited(&self) -> Result<Scop, Reason> {
        let mut edited = Scop { source: Vec::new(), ..self.scop.clone() };
        let own = self.own_tensor()?;
        let is_temporary = self.scop.tensors[self.id].role == Role::Temporary;
        let new = if is_temporary {
            edited.tensors[self.id] = own;
            self.id
        } else {
            edited.tensors.push(own)
        };
        self.replace(&mut edited, new)?;
        self.send_and_receive(&mut edited, new)?;
        if !is_temporary {
            self.load_and_store(&mut edited, new)?;
        }
        Ok(edited)
    }

    /// The tensor with the rank as its first dimension.
    fn own_tensor(&self) -> Result<Tensor, Reason> {
        let old = &self.scop.tensors[self.id];
        let touching =
            self.initial.domain()?.union(&self.writes.domain()?)?.union(&self.found.range()?.unwrap()?.domain()?)?;
        let (lower, extent) = self.box_of(&points(&self.ranks.intersect_domain(&touching)?)?, "ranks")?;
        Ok(Tensor {
            name: self.name.to_string(),
            lower: lower.into_iter().chain(old.lower.iter().cloned()).collect(),
            extent: extent.into_iter().chain(old.extent.iter().cloned()).collect(),
            role: Role::Temporary,
            memory: Memory::Rank,
            streamed: false,
            ..old.clone()
        })
    }

    /// The smallest box around a set.
    fn box_of(&self, set: &isl::Set, what: &str) -> Result<(Vec<Index>, Vec<Index>), Reason> {
        let from_nothing = set.identity()?.project_out(isl::Dim::In, 0, set.dim(isl::Dim::Set)?)?;
        match Hull::of(&from_nothing, &self.scop.context)? {
            Some(Hull { lower, extent }) => Ok((lower, extent.into_iter().map(evolve::in_order).collect())),
            None => Reason::precondition(format!("how many {what} there are is not one formula")),
        }
    }

    /// All accesses are to what the rank has.
    fn replace(&self, edited: &mut Scop, new: TensorId) -> isl::Result<()> {
        for (_, stmt) in edited.stmts.iter_mut() {
            let Some(position) = self.scop.stmt_named(&stmt.name) else { continue };
            let at = support::Entity::index(position);
            let Some((_, rank)) = self.whose.iter().find(|(own, _)| *own == at) else { continue };
            for access in stmt.reads.iter_mut().chain(&mut stmt.writes).filter(|access| access.tensor == self.id) {
                access.tensor = new;
                access.index.insert(0, Subscript::Affine(rank.clone()));
            }
        }
        Ok(())
    }

    /// After each nest on ranks, what others read of what it writes.
    fn send_and_receive(&self, edited: &mut Scop, new: TensorId) -> Result<(), Reason> {
        let mut count = 0;
        let members = self.scop.tree.root.members();
        for member in members.into_iter().filter(|member| member.kind.axis() == Some(Axis::Rank)) {
            let site = place::Site::of(&self.scop.tree, &member.name)?;
            let found = self.found.intersect_domain(&site.instances)?;
            if found.is_empty()? {
                continue;
            }
            let outer = site.outer.len();
            let sent = self.exchanged(&site, &found)?;
            if sent.is_empty()? {
                continue;
            }
            count += 1;
            let number = if count == 1 { String::new() } else { count.to_string() };
            self.message(edited, new, (&site, outer), &sent, &number)?;
        }
        Ok(())
    }

    /// `[loops around…, sender, receiver, element…]`: what is found by others.
    fn exchanged(&self, site: &place::Site, found: &isl::UnionMap) -> isl::Result<isl::Set> {
        let outer = site.outer.len() as u32;
        let sender = site.outer_values()?.flat_range_product(&self.ranks)?;
        let receiver = found.range_factor_domain()?.apply_range(&self.ranks)?;
        let all = points(&sender.flat_range_product(&receiver)?.flat_range_product(&self.writes)?)?;
        // The values of loops begin with a constant.
        let all = all.project_out(isl::Dim::Set, 0, 1)?;
        let space = all.space()?;
        let above = Index::Dim(outer as usize) - Index::Dim(outer as usize + 1);
        let higher = (above.clone() - 1).to_pw_aff(&space)?.nonneg_set()?;
        let lower = (Index::Const(-1) - above).to_pw_aff(&space)?.nonneg_set()?;
        all.intersect(&higher.union(&lower)?)?.intersect_params(&self.scop.context)?.coalesce()
    }

    /// The two copies, and where the elements are in between.
    fn message(
        &self,
        edited: &mut Scop,
        new: TensorId,
        (site, outer): (&place::Site, usize),
        sent: &isl::Set,
        number: &str,
    ) -> Result<(), Reason> {
        let (lower, extent) = self.box_of(sent, "messages")?;
        let old = &self.scop.tensors[self.id];
        let message = edited.tensors.push(Tensor {
            name: format!("{}_message{number}", self.name),
            lower,
            extent,
            role: Role::Temporary,
            memory: Memory::Message,
            streamed: false,
            ..old.clone()
        });
        let loops: Vec<&str> = site.outer.iter().map(|member| member.name.as_str()).collect();
        let elements = old.extent.len();
        let on_the_way: Vec<Index> = (0..outer + 2 + elements).map(Index::Dim).collect();
        let at_rank = |rank: usize| {
            std::iter::once(Index::Dim(rank))
                .chain((outer + 2..outer + 2 + elements).map(Index::Dim))
                .collect::<Vec<_>>()
        };
        let (p, q) = (outer, outer + 1);
        let send = Transfer {
            name: format!("{}.send{number}", self.name),
            read: (new, at_rank(p)),
            write: (message, on_the_way.clone()),
            rank: p,
        };
        let receive = Transfer {
            name: format!("{}.receive{number}", self.name),
            read: (message, on_the_way),
            write: (new, at_rank(q)),
            rank: q,
        };
        let mut dims = dims(edited, &loops, &["p", "q"]);
        dims.extend((0..elements).map(|at| format!("x{at}")));
        let mut children = Vec::new();
        let (mut instances, mut values) = (isl::UnionSet::empty(&edited.ctx)?, isl::UnionMap::empty(&edited.ctx)?);
        for transfer in [send, receive] {
            let (placed, around) = transfer.add(edited, &dims, outer, sent, old.span)?;
            let domain = placed.domain.to_union_set()?;
            (instances, values) = (instances.union(&domain)?, values.union(&around.to_union_map()?)?);
            children.push(polyhedral::Filtered { filter: domain, node: placed.node });
        }
        let domain = edited.tree.domain.union(&instances)?;
        let insertion = Insertion { instances, node: Node::Sequence(children), values };
        edited.tree.root = insert(&edited.tree, &site.member().name, Side::After, insertion)?;
        edited.tree.domain = domain;
        Ok(())
    }

    /// Before everything what ranks find in the caller's tensor, after everything what they leave there.
    fn load_and_store(&self, edited: &mut Scop, new: TensorId) -> Result<(), Reason> {
        let old = &self.scop.tensors[self.id];
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let own: Vec<Index> = (0..=old.extent.len()).map(Index::Dim).collect();
        let mut names = dims(edited, &[], &["r"]);
        names.extend((0..old.extent.len()).map(|at| format!("x{at}")));
        let mut copy = |ending: &str, touched: &isl::UnionMap, is_load: bool| -> Result<Option<Placed>, Reason> {
            let elements = points(&self.ranks.flat_range_product(touched)?)?;
            let elements = elements.intersect_params(&self.scop.context)?.coalesce()?;
            if elements.is_empty()? {
                return Ok(None);
            }
            let (at_rank, caller) = ((new, own.clone()), (self.id, own[1..].to_vec()));
            let (read, write) = if is_load { (caller, at_rank) } else { (at_rank, caller) };
            let transfer = Transfer { name: format!("{}.{ending}", self.name), read, write, rank: 0 };
            Ok(Some(transfer.add(edited, &names, 0, &elements, old.span)?.0))
        };
        if old.role != Role::Output && !self.initial.is_empty()? {
            before.extend(copy("load", &self.initial, true)?);
        }
        if old.role != Role::Input && !self.writes.is_empty()? {
            let (overwritten, _) = last_writes(self.scop, &self.writes, &self.writes)?;
            after.extend(copy("store", &self.writes.subtract_domain(&overwritten.domain()?)?, false)?);
        }
        Ok(Site::of(edited, None)?.insert(&mut edited.tree, before, after)?)
    }
}

/// From the last of `writes` before each of `reads` of one element to `[read -> element]`, and the reads before which there
/// is none, to the element.
fn last_writes(
    scop: &Scop,
    reads: &isl::UnionMap,
    writes: &isl::UnionMap,
) -> isl::Result<(isl::UnionMap, isl::UnionMap)> {
    let none = isl::UnionMap::empty(&scop.ctx)?;
    if reads.is_empty()? || writes.is_empty()? {
        return Ok((none, reads.clone()));
    }
    let schedule = isl::Times::Map(scop.tree.to_map()?);
    let (sink, must_source) = (reads.clone(), writes.clone());
    isl::AccessInfo { sink, must_source, may_source: none.clone(), kill: none, schedule }.flow_and_initial()
}

/// The rank of an instance.
fn rank_of(scop: &Scop, stmt: &Stmt, bound: &isl::UnionPwAff) -> Result<Index, Reason> {
    let params = scop.param_space()?;
    for rank in bound.pw_affs()? {
        if rank.space()?.tuple_name(isl::Dim::In) != stmt.name {
            continue;
        }
        let domain = stmt.domain.align_params(&params)?;
        if let Some(index) = index_of(&rank.intersect_domain(&domain)?.gist(&domain)?)? {
            return Ok(simplified(index, &domain)?);
        }
    }
    Reason::precondition(format!("the rank is not one formula on the instances of `{}`", stmt.name))
}

/// All that a relation gives, as one set without a name.
fn points(map: &isl::UnionMap) -> isl::Result<isl::Set> {
    let sets = map.range()?.sets()?;
    let mut sets = sets.iter().map(isl::Set::reset_tuple_id);
    match sets.next() {
        None => map.range()?.as_set(),
        Some(first) => sets.try_fold(first?, |all, set| all.union(&set?))?.coalesce(),
    }
}

/// Names for the loops around and for some dimensions of a statement.
fn dims(scop: &Scop, loops: &[&str], own: &[&str]) -> Vec<String> {
    let mut dims: Vec<String> = Vec::new();
    for name in loops.iter().chain(own) {
        let dim =
            super::instances::dimension(name, |taken| dims.iter().chain(&scop.params).any(|other| other == taken));
        dims.push(dim);
    }
    dims
}

/// A statement that copies elements, on ranks.
struct Transfer {
    name: String,
    /// Over its dimensions.
    read: (TensorId, Vec<Index>),
    write: (TensorId, Vec<Index>),
    /// The dimension that is the rank.
    rank: usize,
}

impl Transfer {
    /// Adds the statement for all of `points`: where it stands inside of as many loops as `outer` says, the first of its
    /// dimensions, and the values of these.
    fn add(
        self,
        edited: &mut Scop,
        dims: &[String],
        outer: usize,
        points: &isl::Set,
        span: support::Span,
    ) -> Result<(Placed, isl::Map), Reason> {
        let space = edited.param_space()?.named_set(&self.name, dims)?;
        let all: Vec<Index> = (0..dims.len()).map(Index::Dim).collect();
        let domain = tuple(&space, &all)?.intersect_range(points)?.domain()?.coalesce()?;
        let mut node = loops_over(&domain, &self.name, dims, outer)?;
        if let Node::Band(band) = &mut node {
            band.members[self.rank - outer].kind = Kind::Bound(Axis::Rank);
            band.members.swap(0, self.rank - outer);
        }
        let access = |(tensor, index): (TensorId, Vec<Index>)| Access {
            tensor,
            index: index.into_iter().map(Subscript::Affine).collect(),
            span,
        };
        let (reads, writes) = (vec![access(self.read)], vec![access(self.write)]);
        let around = tuple(&space, &all[..outer])?.intersect_domain(&domain)?;
        let body = Body::Assign(vec![Expr::Load(0)]);
        let stmt = Stmt { name: self.name, dims: dims.to_vec(), domain: domain.clone(), reads, writes, body, span };
        edited.stmts.push(stmt);
        Ok((Placed { domain, values: all[..outer].to_vec(), node }, around))
    }
}

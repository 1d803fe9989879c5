//! The command that gives each iteration of a loop a tensor of its own: privatise.

use polyhedral::{
    Access, Band, Body, Expr, Index, Kind, Member, Memory, Monoid, Node, Role, Scop, Stmt, StmtId, Subscript, Tensor,
    TensorId, isl,
};

use super::evolve;
use super::formula::{index_of, simplified};
use super::hull::{Hull, range_of};
use super::insertion::{Insertion, Side, insert};
use super::instances::Instances;
use super::site::Site;
use super::store_at::{Copies, Kept, all_uses, memory_for};
use super::uses::{Uses, tensor_named};
use crate::place::{self, Taken};
use crate::proof::Edit;
use crate::refused::Reason;
use crate::{Command, Privatisation, grammar};

/// Gives each iteration of a loop a tensor of its own, so that the iterations may run at once.
///
/// A *reduction* that the loop carries gets partial results: they start as the neutral element, the updates in the loop
/// go to them, and after the loop they are combined into the tensor.
///
/// ```text
/// privatise S at S.update.io as P
///
/// stmt S.update[i]   S[] sum= A[i]      ->   stmt P.init[io]     P[io] = 0
/// band [io, ii]                              stmt S.update[i]    P[floor(i / 1024)] sum= A[i]
///   S.update                                 stmt S.combine[io]  S[] sum= P[io]
///                                            sequence
///                                              band [io]           P.init
///                                              band [io, ii]       S.update
///                                              band [io]           S.combine
/// ```
///
/// With `by N` iterations share a partial result that are equal modulo `N`: before `vectorise` by `N` these are the sums
/// of the lanes.
///
/// A *temporary* that is used in this loop and nowhere else gets a copy for each iteration: on the stack of its thread
/// when what an iteration touches has a small constant size, else with the iteration as a new first dimension.
///
/// Needs, for a reduction, that all that the loop does to the tensor is to update it by one operator and affine
/// subscripts; for a temporary, what `store` needs. Proof: values; each contribution reaches the result once, and no
/// iteration of a temporary's loop reads what another one wrote. After Tu and Padua, Automatic Array Privatization (LCPC
/// 1993); partial results: `rfactor` of Suriano, Wu and Ragan-Kelley, Parallel Associative Reductions in Halide (CGO 2017).
pub(crate) fn privatise(scop: &Scop, given: &Privatisation) -> Result<Edit, Reason> {
    let id = tensor_named(scop, &given.tensor)?;
    let member = place::resolve(scop, &given.member)?;
    let site = Site::of(scop, Some(&member))?;
    let own_alone = scop.tensors[id].role == Role::Temporary && given.by.is_none() && all_uses(scop, &site, id).is_ok();
    let privatisation = Privatisation { member, ..given.clone() };
    if own_alone { copies(scop, &site, id, privatisation) } else { partials(scop, &site, id, privatisation) }
}

/// A temporary of each iteration's own.
fn copies(scop: &Scop, site: &Site, id: TensorId, given: Privatisation) -> Result<Edit, Reason> {
    let uses = all_uses(scop, site, id)?;
    let kept = Kept::of(scop, site, &uses)?;
    let memory = memory_for(scop, site, &uses, &kept.extent, given.memory)?;
    let mut copies = Copies::default();
    if memory == Memory::Global {
        let iterations = uses.touched(scop)?.domain()?;
        let last = site.members.len() - 1;
        for (at, member) in site.members.iter().enumerate().filter(|(at, one)| *at == last || one.kind.apart()) {
            copies.add(
                scop,
                member,
                &Index::Dim(at).to_pw_aff(&iterations.space()?)?.to_map()?.intersect_domain(&iterations)?,
                at,
            )?;
        }
    }
    let name = match &given.name {
        Some(name) if *name != given.tensor => new_tensor_name(scop, name)?,
        _ => given.tensor.clone(),
    };
    let mut edited = kept.instead_of(scop, &uses, copies, memory)?;
    edited.tensors[id].name.clone_from(&name);
    Ok(Edit::of_values(edited, Command::Privatise(Privatisation { name: Some(name), memory: Some(memory), ..given })))
}

impl Copies {
    /// A dimension for the iterations of a member, whose values these are.
    fn add(&mut self, scop: &Scop, member: &Member, values: &isl::Map, at: usize) -> Result<(), Reason> {
        let Some((first, extent)) = range_of(values, &scop.context)? else {
            return Reason::precondition(format!("how many iterations `{}` has is not one formula", member.name));
        };
        self.index.push(Index::Dim(at) - first);
        self.extent.push(evolve::in_order(extent));
        Ok(())
    }
}

/// Partial results of a reduction.
fn partials(scop: &Scop, site: &Site, id: TensorId, given: Privatisation) -> Result<Edit, Reason> {
    let updates = updates(scop, site, id)?;
    let name = match &given.name {
        Some(name) => new_tensor_name(scop, name)?,
        None => evolve::free_tensor_name(scop, &format!("{}_partial", given.tensor)),
    };
    let partial = Partial::of(scop, site, id, &updates, &given)?;
    let mut edited = Scop { source: Vec::new(), ..scop.clone() };
    let tensor = &scop.tensors[id];
    let private = edited.tensors.push(Tensor {
        name: name.clone(),
        dtype: tensor.dtype,
        lower: vec![Index::Const(0); partial.extent.len()],
        extent: partial.extent.clone(),
        role: Role::Temporary,
        memory: partial.memory,
        layout: None,
        span: tensor.span,
    });
    for &stmt in &updates {
        let index = partial.of_update(site, &scop.stmts[stmt])?;
        let write = &mut edited.stmts[stmt].writes[0];
        *write = Access { tensor: private, index, span: write.span };
    }
    let mut taken = Taken::by(&scop.tree, &[]);
    let first = &scop.stmts[updates[0]];
    for side in [Side::Before, Side::After] {
        let stmt_name = match side {
            Side::After => evolve::free_stmt_name(&edited, &format!("{}.combine", given.tensor)),
            _ => evolve::free_stmt_name(&edited, &format!("{name}.init")),
        };
        let around = Around::of(scop, site, &partial, &stmt_name)?;
        let stmt = around.stmt(&partial, first, side, private, id)?;
        let insertion = around.insertion(&mut taken)?;
        edited.tree.root = insert(&edited.tree, &given.member, side, insertion)?;
        edited.tree.domain = edited.tree.domain.union(&stmt.domain.to_union_set()?)?;
        edited.stmts.push(stmt);
    }
    let memory = Some(partial.memory);
    Ok(Edit::of_values(edited, Command::Privatise(Privatisation { name: Some(name), memory, ..given })))
}

fn new_tensor_name(scop: &Scop, name: &str) -> Result<String, Reason> {
    if !grammar::is_name(name) || name.contains('.') {
        return Reason::precondition(format!("`{name}` cannot be the name of a tensor"));
    }
    if scop.tensor_named(name).is_some() {
        return Reason::precondition(format!("there is already a tensor `{name}`"));
    }
    Ok(name.to_string())
}

/// The statements inside that touch the tensor, when all that they do is to update it by one operator.
fn updates(scop: &Scop, site: &Site, id: TensorId) -> Result<Vec<StmtId>, Reason> {
    let (name, place) = (&scop.tensors[id].name, site.described());
    let mut found: Vec<StmtId> = Vec::new();
    for (stmt_id, stmt) in scop.stmts.iter().filter(|(_, stmt)| stmt.accesses().any(|access| access.tensor == id)) {
        let (inside, own) = (site.inside(stmt)?, &stmt.name);
        if inside.is_empty()? {
            continue;
        }
        let Body::Reduce { monoid, .. } = &stmt.body else {
            let does = if stmt.writes.iter().any(|write| write.tensor == id) { "writes" } else { "reads" };
            return Reason::precondition(format!(
                "the statement `{own}` {does} `{name}` in {place}: it is neither only updated there nor only used there"
            ));
        };
        if stmt.reads.iter().any(|read| read.tensor == id) {
            return Reason::precondition(format!(
                "the statement `{own}` reads `{name}` in {place}, and updates are not all it sees"
            ));
        }
        if stmt.writes.len() > 1 {
            return Reason::precondition(format!("the statement `{own}` updates several tensors together"));
        }
        if stmt.writes[0].affine().is_none() {
            return Reason::precondition(format!("the statement `{own}` finds its element of `{name}` by data"));
        }
        if !inside.is_equal(&stmt.domain)? {
            return Reason::precondition(format!("some instances of the statement `{own}` are not inside {place}"));
        }
        if let Some(other) = found.first().map(|&first| &scop.stmts[first])
            && monoid_of(other) != Some(monoid)
        {
            let other = &other.name;
            return Reason::precondition(format!(
                "the statements `{other}` and `{own}` update `{name}` by different operators"
            ));
        }
        found.push(stmt_id);
    }
    if found.is_empty() {
        return Reason::precondition(format!("no statement inside {place} uses `{name}`"));
    }
    Ok(found)
}

fn monoid_of(stmt: &Stmt) -> Option<&Monoid> {
    match &stmt.body {
        Body::Reduce { monoid, .. } => Some(monoid),
        Body::Assign(_) => None,
    }
}

/// The tensor of partial results, for one iteration of the loops around.
///
/// ```text
/// [copies of threads around…, iteration of the loop, box of the elements…]
/// ```
struct Partial {
    /// From the values of the loops around to `[iteration, element…]`: what there is to start and to combine.
    each: isl::Map,
    copies: Copies,
    /// The iteration that comes first.
    first: Index,
    by: Option<i64>,
    /// The first element in each dimension, over the values of the loops around.
    lower: Vec<Index>,
    extent: Vec<Index>,
    memory: Memory,
}

impl Partial {
    fn of(
        scop: &Scop,
        site: &Site,
        id: TensorId,
        updates: &[StmtId],
        given: &Privatisation,
    ) -> Result<Partial, Reason> {
        let (loops, by) = (site.members.len(), given.by.map(i64::from));
        let mut each: Option<isl::Map> = None;
        for stmt in updates.iter().map(|&id| &scop.stmts[id]) {
            let values = site.values(stmt)?;
            let around = values.project_out(isl::Dim::Out, loops as u32 - 1, 1)?;
            let key = values.project_out(isl::Dim::Out, 0, loops as u32 - 1)?;
            let key = by.map_or(Ok(key.clone()), |by| {
                let space = key.range()?.space()?;
                key.apply_range(&Index::Dim(0).modulo(by).to_pw_aff(&space)?.to_map()?)
            })?;
            let element = scop.relation(stmt, &stmt.writes[0])?.reset_tuple_id(isl::Dim::Out)?;
            let own = around.reverse()?.apply_range(&key.flat_range_product(&element)?)?;
            each = Some(each.map_or(Ok(own.clone()), |all| all.union(&own))?);
        }
        let each = each.expect("there is at least one update").coalesce()?;
        let elements = each.project_out(isl::Dim::Out, 0, 1)?;
        let Some(Hull { lower, extent: elements }) = Hull::of(&elements, &scop.context)? else {
            let (place, tensor) = (site.described(), &scop.tensors[id].name);
            return Reason::precondition(format!("what {place} updates of `{tensor}` is in no box of one size"));
        };
        let rank = each.dim(isl::Dim::Out)? - 1;
        let (first, keys) = match by {
            Some(by) => (Index::Const(0), Index::Const(by)),
            None => match range_of(&each.project_out(isl::Dim::Out, 1, rank)?, &scop.context)? {
                Some(range) => range,
                None => {
                    let name = &site.members[loops - 1].name;
                    return Reason::precondition(format!("how many iterations `{name}` has is not one formula"));
                }
            },
        };
        let own: Vec<Index> = std::iter::once(keys).chain(elements).map(evolve::in_order).collect();
        let memory = match (given.memory, by) {
            // Iterations of the loop may run in threads of their own, which share the partial results.
            (None, None) => Memory::Global,
            (asked, _) => {
                let uses = Uses::of(scop, site, id, &[])?;
                memory_for(scop, site, &uses, &own, asked)?
            }
        };
        let mut copies = Copies::default();
        if memory == Memory::Global {
            let around = each.domain()?;
            for (at, member) in site.members[..loops - 1].iter().enumerate().filter(|(_, one)| one.kind.apart()) {
                let value = Index::Dim(at).to_pw_aff(&around.space()?)?.to_map()?.intersect_domain(&around)?;
                copies.add(scop, member, &value, at)?;
            }
        }
        let extent = copies.extent.iter().cloned().chain(own).collect();
        Ok(Partial { each, copies, first, by, lower, extent, memory })
    }

    /// The partial result of an iteration and an element, in the loops with these values.
    fn index(
        &self,
        around: &dyn Fn(usize) -> Result<Index, Reason>,
        key: Index,
        element: &[Index],
        domain: &isl::Set,
    ) -> Result<Vec<Subscript>, Reason> {
        let at_values = |index: &Index| -> Result<Index, Reason> {
            let mut values = std::collections::BTreeMap::new();
            for at in index.dims_used() {
                values.insert(at, around(at)?);
            }
            Ok(index.substitute(&|at| values[&at].clone(), &Index::Param))
        };
        let mut all = self.copies.index.iter().map(&at_values).collect::<Result<Vec<_>, _>>()?;
        all.push(key - self.first.clone());
        for (element, lower) in element.iter().zip(&self.lower) {
            all.push(element.clone() - at_values(lower)?);
        }
        Ok(all
            .iter()
            .map(|index| Ok(Subscript::Affine(simplified(index.clone(), domain)?)))
            .collect::<isl::Result<_>>()?)
    }

    /// What an update in the loop writes.
    fn of_update(&self, site: &Site, stmt: &Stmt) -> Result<Vec<Subscript>, Reason> {
        let values = site.indices(stmt)?;
        let key = values[values.len() - 1].clone();
        let key = self.by.map_or(key.clone(), |by| key.modulo(by));
        let element: Vec<Index> = stmt.writes[0].affine().expect("updates are affine").into_iter().cloned().collect();
        self.index(&|at| Ok(values[at].clone()), key, &element, &stmt.domain)
    }
}

/// The instances of the statement that starts or combines the partial results.
struct Around<'a> {
    name: &'a str,
    instances: Instances,
}

impl<'a> Around<'a> {
    fn of(scop: &Scop, site: &Site, partial: &Partial, name: &'a str) -> isl::Result<Around<'a>> {
        let loops: Vec<String> = site.members.iter().map(|member| member.name.clone()).collect();
        let (key, around) = loops.split_last().expect("a site of a loop has that loop");
        let mut own = vec![super::instances::dimension(key, |name| scop.params.iter().any(|param| param == name))];
        for at in 0..partial.lower.len() {
            let element = format!("x{at}");
            own.push(super::instances::dimension(&element, |name| {
                own.iter().chain(&scop.params).any(|taken| taken == name)
            }));
        }
        Ok(Around { name, instances: Instances::of(scop, name, &partial.each, around, &own)? })
    }

    /// The value of a loop around, over the dimensions.
    fn value(&self, at: usize) -> Result<Index, Reason> {
        let value = self.instances.values.to_pw_multi_aff()?.at(at as i32)?.gist(&self.instances.domain)?;
        let sentence = || format!("a loop around is not one formula on the instances of `{}`", self.name);
        index_of(&value)?.map_or_else(|| Reason::precondition(sentence()), Ok)
    }

    fn stmt(
        &self,
        partial: &Partial,
        update: &Stmt,
        side: Side,
        private: TensorId,
        tensor: TensorId,
    ) -> Result<Stmt, Reason> {
        let Instances { domain, dims, loops, .. } = &self.instances;
        let own: Vec<Index> = (*loops..dims.len()).map(Index::Dim).collect();
        let span = update.writes[0].span;
        let index = partial.index(&|at| self.value(at), own[0].clone(), &own[1..], domain)?;
        let private = Access { tensor: private, index, span };
        let index = own[1..].iter().cloned().map(Subscript::Affine).collect();
        let result = Access { tensor, index, span };
        let monoid = monoid_of(update).expect("an update has an operator");
        let (reads, writes, body) = match side {
            Side::After => {
                (vec![private], vec![result], Body::Reduce { monoid: monoid.clone(), terms: vec![Expr::Load(0)] })
            }
            _ => (Vec::new(), vec![private], Body::Assign(vec![Expr::Const(monoid.identity[0], monoid.dtypes[0])])),
        };
        let (name, dims, domain) = (self.name.to_string(), dims.clone(), domain.clone());
        Ok(Stmt { name, dims, domain, reads, writes, body, span: update.span })
    }

    /// In loops over the iterations and the elements, those left out that the loops around fix.
    fn insertion(&self, taken: &mut Taken) -> isl::Result<Insertion> {
        let Instances { domain, dims, loops, values, .. } = &self.instances;
        let mut members = Vec::new();
        for (at, dim) in dims.iter().enumerate().skip(*loops) {
            let value = Index::Dim(at).to_pw_aff(&domain.space()?)?.intersect_domain(domain)?;
            if values.reverse()?.apply_range(&value.to_map()?)?.is_single_valued()? {
                continue;
            }
            let name = taken.next_free(&format!("{}.{dim}", self.name));
            let schedule = value.to_union_pw_aff()?;
            members.push(Member { name, schedule, coincident: false, kind: Kind::Sequential });
        }
        let node = match members.is_empty() {
            true => Node::Leaf,
            false => Node::Band(Band { members, permutable: false, child: Box::new(Node::Leaf) }),
        };
        Ok(Insertion { instances: domain.to_union_set()?, node, values: values.to_union_map()? })
    }
}

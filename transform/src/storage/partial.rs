//! Partial results of a reduction: one for each iteration of a loop.

use std::collections::BTreeMap;

use polyhedral::{
    Access, Band, Body, Expr, Index, Kind, Member, Memory, Monoid, Node, Role, Scop, Stmt, StmtId, Subscript, Tensor,
    TensorId, isl,
};

use super::evolve;
use super::formula::{index_of, simplified};
use super::hull::{Hull, range_of};
use super::insertion::{Insertion, Side, insert};
use super::instances::{Instances, dimension};
use super::privatise::new_tensor_name;
use super::promote::memory_for;
use super::site::Site;
use super::store_at::{Copies, bytes_of};
use super::uses::Uses;
use crate::place::Taken;
use crate::proof::Edit;
use crate::refused::Reason;
use crate::{Command, Privatisation};

/// Partial results of a reduction.
pub(super) fn partials(scop: &Scop, site: &Site, id: TensorId, given: Privatisation) -> Result<Edit, Reason> {
    let updates = updates(scop, site, id)?;
    let name = match &given.name {
        Some(name) => new_tensor_name(scop, name)?,
        None => evolve::free_tensor_name(scop, &format!("{}_partial", given.tensor)),
    };
    let partial = Partial::of(scop, site, id, &updates, &given)?;
    let mut edited = Scop { source: Vec::new(), ..scop.clone() };
    let mut private = Vec::new();
    for write in &scop.stmts[updates[0]].writes {
        let tensor = &scop.tensors[write.tensor];
        let name = if write.tensor == id {
            name.clone()
        } else {
            evolve::free_tensor_name(&edited, &format!("{}_partial", tensor.name))
        };
        private.push(edited.tensors.push(Tensor {
            name,
            dtype: tensor.dtype,
            lower: vec![Index::Const(0); partial.extent.len()],
            extent: partial.extent.clone(),
            role: Role::Temporary,
            memory: partial.memory,
            layout: None,
            streamed: false,
            span: tensor.span,
        }));
    }
    for &stmt in &updates {
        let index = partial.of_update(site, &scop.stmts[stmt])?;
        for (write, &tensor) in edited.stmts[stmt].writes.iter_mut().zip(&private) {
            *write = Access { tensor, index: index.clone(), span: write.span };
        }
    }
    let mut taken = Taken::by(&scop.tree, &[]);
    let first = &scop.stmts[updates[0]];
    for side in [Side::Before, Side::After] {
        let stmt_name = match side {
            Side::After => evolve::free_stmt_name(&edited, &format!("{}.combine", given.tensor)),
            _ => evolve::free_stmt_name(&edited, &format!("{name}.init")),
        };
        let around = Around::of(scop, site, &partial, &stmt_name)?;
        let stmt = around.stmt(&partial, first, side, &private)?;
        let insertion = around.insertion(&mut taken)?;
        edited.tree.root = insert(&edited.tree, &given.member, side, insertion)?;
        edited.tree.domain = edited.tree.domain.union(&stmt.domain.to_union_set()?)?;
        edited.stmts.push(stmt);
    }
    let memory = Some(partial.memory);
    Ok(Edit::of_values(edited, Command::Privatise(Privatisation { name: Some(name), memory, ..given })))
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
        let is_read = |tensor: TensorId| stmt.reads.iter().any(|read| read.tensor == tensor);
        if is_read(id) || tensors_of(stmt).any(is_read) {
            return Reason::precondition(format!(
                "the statement `{own}` reads `{name}` in {place}, and updates are not all it sees"
            ));
        }
        if !stmt.has_results_apart() || stmt.writes.iter().any(|write| write.index != stmt.writes[0].index) {
            return Reason::precondition(format!("the statement `{own}` updates several different elements together"));
        }
        if stmt.writes[0].affine().is_none() {
            return Reason::precondition(format!("the statement `{own}` finds its element of `{name}` by data"));
        }
        if let Some(why) = polyhedral::eval::broken_order(stmt, &|tensor| scop.tensors[tensor].dtype) {
            return Reason::precondition(format!("of what the statement `{own}` updates, {why}"));
        }
        if !inside.is_equal(&stmt.domain)? {
            return Reason::precondition(format!("some instances of the statement `{own}` are not inside {place}"));
        }
        if let Some(other) = found.first().map(|&first| &scop.stmts[first])
            && (monoid_of(other) != Some(monoid) || tensors_of(other).ne(tensors_of(stmt)))
        {
            let other = &other.name;
            return Reason::precondition(format!(
                "the statements `{other}` and `{own}` update `{name}` by different operators"
            ));
        }
        found.push(stmt_id);
    }
    let Some(&first) = found.first() else {
        return Reason::precondition(format!("no statement inside {place} uses `{name}`"));
    };
    for (_, stmt) in scop.stmts.iter().filter(|(id, _)| !found.contains(id)) {
        let touches = |tensor: TensorId| stmt.accesses().any(|access| access.tensor == tensor);
        if tensors_of(&scop.stmts[first]).any(touches) && !site.inside(stmt)?.is_empty()? {
            let own = &stmt.name;
            return Reason::precondition(format!(
                "the statement `{own}` touches what is updated with `{name}` in {place}"
            ));
        }
    }
    Ok(found)
}

/// The tensors that a statement writes, one for each component.
fn tensors_of(stmt: &Stmt) -> impl Iterator<Item = TensorId> {
    stmt.writes.iter().map(|write| write.tensor)
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
        let (place, tensor, by) = (site.described(), &scop.tensors[id].name, given.by.map(i64::from));
        let each = updated(scop, site, updates, by)?;
        let Some(Hull { lower, extent }) = Hull::of(&each.project_out(isl::Dim::Out, 0, 1)?, &scop.context)? else {
            return Reason::precondition(format!("what {place} updates of `{tensor}` is in no box of one size"));
        };
        let iterations = each.project_out(isl::Dim::Out, 1, lower.len() as u32)?;
        let range = by.map_or_else(|| range_of(&iterations, &scop.context), |by| Ok(Some((0.into(), by.into()))))?;
        let Some((first, keys)) = range else {
            return Reason::precondition(format!("how many iterations {place} has is not one formula"));
        };
        let own: Vec<Index> = std::iter::once(keys).chain(extent).map(evolve::in_order).collect();
        let memory = match (given.memory, by) {
            // Iterations of the loop may run in threads of their own, which share the partial results.
            (None, None) => Memory::Global,
            (asked, _) => {
                let uses = Uses::of(scop, site, id, &[])?;
                memory_for(scop, (site, &uses), bytes_of(scop, id, &own), asked)?
            }
        };
        let copies = match memory {
            Memory::Stack | Memory::Shared | Memory::Registers => Copies::default(),
            Memory::Global | Memory::Rank | Memory::Message => Copies::of(scop, site, &each.domain()?, |_| false)?,
        };
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
            let mut values = BTreeMap::new();
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

/// What the loop updates, for one iteration of the loops around: from their values to `[iteration, element…]`, with the
/// iteration modulo `by`.
fn updated(scop: &Scop, site: &Site, updates: &[StmtId], by: Option<i64>) -> isl::Result<isl::Map> {
    let last = site.members.len() as u32 - 1;
    let mut all: Option<isl::Map> = None;
    for stmt in updates.iter().map(|&id| &scop.stmts[id]) {
        let values = site.values(stmt)?;
        let (around, iteration) =
            (values.project_out(isl::Dim::Out, last, 1)?, values.project_out(isl::Dim::Out, 0, last)?);
        let key = Index::Dim(0);
        let key = by.map_or(key.clone(), |by| key.modulo(by)).to_pw_aff(&iteration.range()?.space()?)?;
        let element = scop.relation(stmt, &stmt.writes[0])?.reset_tuple_id(isl::Dim::Out)?;
        let what = iteration.apply_range(&key.to_map()?)?.flat_range_product(&element)?;
        let own = around.reverse()?.apply_range(&what)?;
        all = Some(all.map_or(Ok(own.clone()), |all| all.union(&own))?);
    }
    all.expect("there is at least one update").coalesce()
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
        let mut own = vec![dimension(key, |name| scop.params.iter().any(|param| param == name))];
        for at in 0..partial.lower.len() {
            let element = format!("x{at}");
            own.push(dimension(&element, |name| own.iter().chain(&scop.params).any(|taken| taken == name)));
        }
        Ok(Around { name, instances: Instances::of(scop, name, &partial.each, around, &own)? })
    }

    /// The value of a loop around, over the dimensions.
    fn value(&self, at: usize) -> Result<Index, Reason> {
        let value = self.instances.values.to_pw_multi_aff()?.at(at as i32)?.gist(&self.instances.domain)?;
        let sentence = || format!("a loop around is not one formula on the instances of `{}`", self.name);
        index_of(&value)?.map_or_else(|| Reason::precondition(sentence()), Ok)
    }

    fn stmt(&self, partial: &Partial, update: &Stmt, side: Side, private: &[TensorId]) -> Result<Stmt, Reason> {
        let Instances { domain, dims, loops, .. } = &self.instances;
        let own: Vec<Index> = (*loops..dims.len()).map(Index::Dim).collect();
        let span = update.writes[0].span;
        let index = partial.index(&|at| self.value(at), own[0].clone(), &own[1..], domain)?;
        let private = private.iter().map(|&tensor| Access { tensor, index: index.clone(), span }).collect();
        let index: Vec<Subscript> = own[1..].iter().cloned().map(Subscript::Affine).collect();
        let results = tensors_of(update).map(|tensor| Access { tensor, index: index.clone(), span }).collect();
        let monoid = monoid_of(update).expect("an update has an operator");
        let (reads, writes, body) = match side {
            Side::After => {
                let terms = (0..update.writes.len()).map(Expr::Load).collect();
                (private, results, Body::Reduce { monoid: monoid.clone(), terms })
            }
            _ => {
                let neutral = monoid.identity.iter().zip(&monoid.dtypes);
                (Vec::new(), private, Body::Assign(neutral.map(|(value, dtype)| Expr::Const(*value, *dtype)).collect()))
            }
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

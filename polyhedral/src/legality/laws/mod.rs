//! Proofs of *laws*: that a program computes what another one does by a rule of algebra, so up to rounding.
//!
//! There is one law. With `f(a + b) = f(a)·f(b)` (exp, exp2, exp10) and `0 < c <= 1`,
//!
//! ```text
//! M = max_j x_j        S = Σ_j f(c·(x_j - M))·v_j
//! ```
//!
//! is also found while the maximum grows: block by block, `m` becomes the maximum so far, sums are multiplied by
//! `f(c·(m_old - m))`, and the terms of the block are added relative to `m`. By induction a sum is that of its terms relative
//! to the last `m`, which in the end is `M`. No term is ever larger than `f(0) = 1`, and no factor. Milakov and Gimelshein,
//! Online normalizer calculation for softmax (2018); Rabe and Staats, Self-attention does not need O(n²) memory (2021);
//! Dao and others, FlashAttention (NeurIPS 2022).
//!
//! [`rescaled`] is told which tensors are meant and which loop runs over blocks, and believes nothing else: `docs/decisions/0036-rescaling.md`
//! has the argument.

mod terms;
#[cfg(test)]
mod tests;

pub use terms::{exponent, lowest};

use std::collections::{BTreeMap, BTreeSet};

use super::conflicts::conflicts_within;
use super::{Illegal, order_respected};
use crate::{Access, BinOp, Body, Expr, Memory, Role, Scop, Stmt, StmtId, Tensor, TensorId, isl};
use terms::{Kind, Linear, Relative, Scale};

/// What is claimed of a program that sums while the maximum still grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescaling {
    /// The maximum.
    pub max: TensorId,
    /// The sums.
    pub sums: Vec<TensorId>,
    /// The loop over blocks.
    pub member: String,
    /// In the changed program, what the terms of a block are relative to: a temporary like the maximum.
    pub reference: TensorId,
    /// In the changed program, what sums are multiplied by before a block: likewise.
    pub factor: TensorId,
}

/// Does `changed`, in the order of its tree, compute what `source` does, by the law of rescaled sums?
///
/// The tree must also order what conflicts in `changed` itself ([`own_order`](super::own_order)).
///
/// # Errors
/// What the law asks for and is not so, or that isl could not decide.
pub fn rescaled(source: &Scop, changed: &Scop, claim: &Rescaling) -> Result<(), Illegal> {
    let order = conflicts_within(source, &source.domain()?, false)?;
    let order = Order { pairs: order.ordering(false)? };
    let roles = Roles::of(source, claim)?;
    let Terms { scale, compared } = roles.scaled(source, &order)?;
    roles.begin_at_zero(source, &order)?;
    let added = Added::of(source, changed, claim, &roles, scale)?;
    let keys = Keys::of(source, changed, claim, &roles, &added)?;
    keys.cover()?;
    keys.grow(changed, claim, &compared)?;
    let mut asked = conflicts_within(&without_max(source, &roles, claim), &source.domain()?, false)?;
    asked.domain = changed.domain()?;
    asked.flow = asked.flow.union(&keys.ordered(source, claim, &roles, &order)?)?;
    order_respected(&changed.tree, &asked, changed)
}

fn refused<T>(sentence: impl Into<String>) -> Result<T, Illegal> {
    Err(Illegal::Malformed(sentence.into()))
}

/// What runs before what in the source.
struct Order {
    pairs: isl::UnionMap,
}

impl Order {
    /// Whether every instance of one access runs before every one of another on the same element.
    fn is_before(&self, scop: &Scop, one: (&Stmt, &Access), other: (&Stmt, &Access)) -> isl::Result<bool> {
        let same = scop.relation(one.0, one.1)?.apply_range(&scop.relation(other.0, other.1)?.reverse()?)?;
        same.intersect_params(&scop.context)?.to_union_map()?.is_subset(&self.pairs)
    }
}

/// The statements that the law is about.
struct Roles {
    /// The update of the maximum.
    max: StmtId,
    /// The updates of the sums.
    sums: Vec<StmtId>,
    /// The statements that compute terms for them, in an order in which each uses earlier ones only.
    terms: Vec<StmtId>,
    /// What these write.
    relative: BTreeSet<TensorId>,
}

impl Roles {
    fn of(source: &Scop, claim: &Rescaling) -> Result<Roles, Illegal> {
        let max = only_update(source, claim.max, BinOp::Max)?;
        let mut sums = Vec::new();
        for &sum in &claim.sums {
            let update = only_update(source, sum, BinOp::Add)?;
            if sums.contains(&update) || sum == claim.max {
                return refused(format!("`{}` is named twice", source.tensors[sum].name));
            }
            sums.push(update);
        }
        let mut roles = Roles { max, sums: sums.clone(), terms: Vec::new(), relative: BTreeSet::new() };
        for sum in sums {
            if !roles.add_terms(source, claim, sum)? {
                return refused(format!("`{}` does not use the maximum", source.stmts[sum].name));
            }
        }
        roles.alone(source, claim)?;
        Ok(roles)
    }

    /// Adds the statements that compute terms for `user`; whether it uses the maximum, by itself or through them.
    fn add_terms(&mut self, source: &Scop, claim: &Rescaling, user: StmtId) -> Result<bool, Illegal> {
        let mut uses = false;
        for read in &source.stmts[user].reads {
            uses |= read.tensor == claim.max || self.relative.contains(&read.tensor);
            let writers: Vec<StmtId> = writers(source, read.tensor).collect();
            let [writer] = writers.as_slice() else { continue };
            let is_own = [&self.sums[..], &self.terms, &[self.max, user]].concat().contains(writer);
            if is_own || !matches!(source.stmts[*writer].body, Body::Assign(_)) || !runs_upwards(*writer, user) {
                continue;
            }
            if self.add_terms(source, claim, *writer)? {
                self.terms.push(*writer);
                self.relative.insert(read.tensor);
                uses = true;
            }
        }
        Ok(uses)
    }

    /// Terms are for the sums alone.
    fn alone(&self, source: &Scop, claim: &Rescaling) -> Result<(), Illegal> {
        let known = |id: &StmtId| self.members().any(|member| member == *id);
        for &tensor in &self.relative {
            let name = &source.tensors[tensor].name;
            if source.tensors[tensor].role != Role::Temporary {
                return refused(format!(
                    "`{name}` is the caller's, and would be relative to maxima that are not the last"
                ));
            }
            let mut users = source.stmts.iter().filter(|(_, stmt)| stmt.reads.iter().any(|read| read.tensor == tensor));
            if let Some((_, stmt)) = users.find(|(id, _)| !known(id)) {
                return refused(format!(
                    "`{}` uses `{name}` too, which is relative to maxima that are not the last",
                    stmt.name
                ));
            }
        }
        for id in self.members() {
            let stmt = &source.stmts[id];
            let relative = stmt.reads.iter().filter(|read| self.kind(claim, read.tensor) != Kind::Other);
            let mut all = relative.chain(&stmt.writes);
            if stmt.writes.len() != 1 || all.any(|access| access.affine().is_none()) {
                return refused(format!("`{}` finds its elements by data, or writes several", stmt.name));
            }
        }
        Ok(())
    }

    /// The statements of terms and the updates of sums.
    fn members(&self) -> impl Iterator<Item = StmtId> {
        self.terms.iter().chain(&self.sums).copied()
    }

    fn kind(&self, claim: &Rescaling, tensor: TensorId) -> Kind {
        match tensor {
            _ if tensor == claim.max => Kind::Max,
            _ if self.relative.contains(&tensor) => Kind::Relative,
            _ => Kind::Other,
        }
    }

    /// By how much a term is worth less when the maximum grows, the same for all, and where what it is of is compared.
    fn scaled(&self, source: &Scop, order: &Order) -> Result<Terms, Illegal> {
        let max = source.stmts[self.max].writes[0].tensor;
        let of = |tensor: TensorId| {
            if tensor == max {
                Kind::Max
            } else if self.relative.contains(&tensor) {
                Kind::Relative
            } else {
                Kind::Other
            }
        };
        let (mut scale, mut compared): (Option<Scale>, _) = (None, Vec::new());
        for id in self.members() {
            let stmt = &source.stmts[id];
            let kind = |read: usize| stmt.reads.get(read).map_or(Kind::Other, |access| of(access.tensor));
            let mut found = Vec::new();
            let [expr] = stmt.body.exprs() else { return refused(format!("`{}` has several results", stmt.name)) };
            if terms::degree(expr, &kind, &mut found) != Some(1) {
                return refused(format!(
                    "`{}` is no sum of terms `exp(c*(x - {}))`, with 0 < c <= 1, each multiplied by what does not depend on the maximum",
                    stmt.name, source.tensors[max].name
                ));
            }
            for term in found {
                if scale.is_some_and(|scale| scale != term.scale) {
                    return refused(format!("the terms of `{}` are scaled in another way than others", stmt.name));
                }
                scale = Some(term.scale);
                compared.push((id, self.compared(source, order, id, &term)?));
            }
        }
        match scale {
            Some(scale) => Ok(Terms { scale, compared }),
            None => refused("no term is relative to the maximum"),
        }
    }

    /// Where what a term is of is compared with the maximum, so that its exponent is never positive: from the terms to the
    /// updates of the maximum.
    fn compared(&self, source: &Scop, order: &Order, id: StmtId, term: &Relative) -> Result<isl::Map, Illegal> {
        let (stmt, max) = (&source.stmts[id], &source.stmts[self.max]);
        let sentence = format!("the maximum is not over what the terms of `{}` are of", stmt.name);
        let [compared] = max.body.exprs() else { return refused(sentence) };
        let Some(pairs) = term.rest.is_multiple(term.scale.factor, &Linear::of(compared)) else {
            return refused(sentence);
        };
        let mut same = self.to_max(source, stmt)?;
        for (mine, theirs) in pairs.loads {
            let (Some(read), Some(other)) = (stmt.reads.get(mine), max.reads.get(theirs)) else {
                return refused(sentence);
            };
            if read.tensor != other.tensor || read.affine().is_none() || other.affine().is_none() {
                return refused(sentence);
            }
            let elements = source.relation(stmt, read)?.apply_range(&source.relation(max, other)?.reverse()?)?;
            same = same.intersect(&elements)?;
            for (_, writer) in source.stmts.iter() {
                for write in writer.writes.iter().filter(|write| write.tensor == read.tensor) {
                    if !order.is_before(source, (writer, write), (stmt, read))?
                        || !order.is_before(source, (writer, write), (max, other))?
                    {
                        return refused(sentence);
                    }
                }
            }
        }
        for (mine, theirs) in pairs.indices {
            let (mine, theirs) = (mine.to_pw_aff(&stmt.domain.space()?)?, theirs.to_pw_aff(&max.domain.space()?)?);
            same = same.intersect(&mine.to_map()?.apply_range(&theirs.to_map()?.reverse()?)?)?;
        }
        let lacking = stmt.domain.intersect_params(&source.context)?.subtract(&same.domain()?)?;
        if lacking.is_empty()? { Ok(same) } else { refused(sentence) }
    }

    /// From the instances that read the maximum to the updates of its elements.
    fn to_max(&self, source: &Scop, stmt: &Stmt) -> isl::Result<isl::Map> {
        let max = &source.stmts[self.max];
        let write = &max.writes[0];
        let mut all: Option<isl::Map> = None;
        for read in stmt.reads.iter().filter(|read| read.tensor == write.tensor) {
            let one = source.relation(stmt, read)?.apply_range(&source.relation(max, write)?.reverse()?)?;
            all = Some(all.map_or(Ok(one.clone()), |all| all.intersect(&one))?);
        }
        all.map_or_else(|| stmt.domain.product_map(&max.domain), Ok)
    }

    /// Every sum begins with zero, and what else touches it or the maximum does so before all updates or after them.
    fn begin_at_zero(&self, source: &Scop, order: &Order) -> Result<(), Illegal> {
        for &id in &self.sums {
            let update = &source.stmts[id];
            let write = &update.writes[0];
            let name = &source.tensors[write.tensor].name;
            let mut begun = source.elements(write.tensor)?;
            begun = begun.subtract(&begun)?;
            for (_, stmt, access, writes) in others(source, id) {
                match side(source, order, (update, write), (stmt, access))? {
                    Some(Side::Before) if writes => {
                        let is_zero = matches!(&stmt.body, Body::Assign(values)
                            if matches!(values.as_slice(), [Expr::Const(value, _)] if terms::number(value) == 0.0));
                        if !is_zero || access.affine().is_none() {
                            return refused(format!("the sum `{name}` does not begin with zero"));
                        }
                        begun = begun.union(&source.relation(stmt, access)?.range()?)?;
                    }
                    Some(_) => {}
                    None => return refused(format!("`{}` uses `{name}` between its updates", stmt.name)),
                }
            }
            if !source.relation(update, write)?.range()?.intersect_params(&source.context)?.is_subset(&begun)? {
                return refused(format!("the sum `{name}` does not begin with zero"));
            }
        }
        Ok(())
    }
}

/// The terms of all sums.
struct Terms {
    scale: Scale,
    /// The statements that compute terms from the maximum, each with a relation to the updates that compare the same value.
    compared: Vec<(StmtId, isl::Map)>,
}

/// Whether something runs before all updates of its element, or after them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

fn side(source: &Scop, order: &Order, update: (&Stmt, &Access), other: (&Stmt, &Access)) -> isl::Result<Option<Side>> {
    if order.is_before(source, other, update)? {
        return Ok(Some(Side::Before));
    }
    Ok(order.is_before(source, update, other)?.then_some(Side::After))
}

/// Terms are computed by statements of lower numbers, so that following them ends.
fn runs_upwards(writer: StmtId, user: StmtId) -> bool {
    writer < user
}

fn writers(scop: &Scop, tensor: TensorId) -> impl Iterator<Item = StmtId> {
    let writes = move |stmt: &Stmt| stmt.writes.iter().any(|write| write.tensor == tensor);
    scop.stmts.iter().filter(move |(_, stmt)| writes(stmt)).map(|(id, _)| id)
}

/// What other statements do to the tensor that an update is of; whether they write it.
fn others(scop: &Scop, update: StmtId) -> impl Iterator<Item = (StmtId, &Stmt, &Access, bool)> {
    let tensor = scop.stmts[update].writes[0].tensor;
    let all = scop.stmts.iter().filter(move |(id, _)| *id != update);
    let accesses = |(id, stmt): (StmtId, &'_ Stmt)| {
        // Of one statement, reads come first.
        let reads = stmt.reads.len();
        (id, reads)
    };
    all.flat_map(move |(id, stmt)| {
        let (id, reads) = accesses((id, stmt));
        stmt.accesses().enumerate().map(move |(at, access)| (id, stmt, access, at >= reads))
    })
    .filter(move |(_, _, access, _)| access.tensor == tensor)
}

/// The only statement that updates a tensor of a floating-point type by the operator.
fn only_update(scop: &Scop, tensor: TensorId, op: BinOp) -> Result<StmtId, Illegal> {
    let is_update = |id: &StmtId| scop.stmts[*id].body.is_reduce();
    let name = &scop.tensors[tensor].name;
    let updates: Vec<StmtId> = writers(scop, tensor).filter(is_update).collect();
    let word = if op == BinOp::Max { "maximum" } else { "sum" };
    let [id] = updates.as_slice() else {
        return refused(format!("`{name}` is not updated by one statement, as a {word} is"));
    };
    let stmt = &scop.stmts[*id];
    let is_op = matches!(&stmt.body, Body::Reduce { monoid, .. } if monoid.operator() == Some(op));
    let is_plain = stmt.writes.len() == 1 && stmt.writes[0].affine().is_some();
    if !is_op || !is_plain || !scop.tensors[tensor].dtype.is_float() {
        return refused(format!("`{name}` is no {word} of floating-point numbers"));
    }
    Ok(*id)
}

/// The source with terms that do not wait for the maximum.
fn without_max(source: &Scop, roles: &Roles, claim: &Rescaling) -> Scop {
    let mut scop = source.clone();
    let like = source.tensors[claim.max].clone();
    let anything = scop.tensors.push(Tensor { name: format!("{} anything", like.name), role: Role::Input, ..like });
    for id in roles.members() {
        let reads = scop.stmts[id].reads.iter_mut().filter(|read| read.tensor == claim.max);
        reads.for_each(|read| read.tensor = anything);
    }
    scop
}

/// The statements that the changed program has more than the source.
struct Added {
    /// Those that set the reference, and whether it is no less than the smallest number.
    references: Vec<(StmtId, bool)>,
    /// Those that set the factor, likewise.
    factors: Vec<(StmtId, bool)>,
    /// For each sum the statement that multiplies it.
    rescales: Vec<StmtId>,
}

impl Added {
    fn of(source: &Scop, changed: &Scop, claim: &Rescaling, roles: &Roles, scale: Scale) -> Result<Added, Illegal> {
        same_but_for_terms(source, changed, claim, roles)?;
        let mut added = Added { references: Vec::new(), factors: Vec::new(), rescales: Vec::new() };
        let mut rescales = BTreeMap::new();
        for (id, stmt) in changed.stmts.iter().skip(source.stmts.len()) {
            let wrong = || refused(format!("`{}` is nothing that the law asks for", stmt.name));
            let ([write], Body::Assign(values)) = (stmt.writes.as_slice(), &stmt.body) else { return wrong() };
            let ([value], Some(_)) = (values.as_slice(), write.affine()) else { return wrong() };
            let reads: Vec<TensorId> = stmt.reads.iter().map(|read| read.tensor).collect();
            let same_place = |read: usize| stmt.reads[read].index == write.index;
            if write.tensor == claim.reference && reads == [claim.max] && same_place(0) {
                let Some(clamped) = terms::is_clamped(value, 0) else { return wrong() };
                added.references.push((id, clamped));
            } else if write.tensor == claim.factor
                && reads == [claim.reference, claim.max]
                && same_place(0)
                && same_place(1)
            {
                let Some(clamped) = terms::is_scale(value, scale) else { return wrong() };
                added.factors.push((id, clamped));
            } else if reads == [write.tensor, claim.factor] && same_place(0) && is_product(value) {
                let Some(sum) = claim.sums.iter().position(|sum| *sum == write.tensor) else { return wrong() };
                if stmt.reads[1].affine().is_none() || rescales.insert(sum, id).is_some() {
                    return wrong();
                }
            } else {
                return wrong();
            }
        }
        for (at, &sum) in claim.sums.iter().enumerate() {
            let Some(&id) = rescales.get(&at) else {
                return refused(format!("nothing multiplies the sum `{}`", source.tensors[sum].name));
            };
            added.rescales.push(id);
        }
        Ok(added)
    }
}

/// Read 0 times read 1, perhaps converted.
fn is_product(value: &Expr) -> bool {
    let Expr::Binary(BinOp::Mul, sum, factor) = value else { return false };
    let is_factor = match &**factor {
        Expr::Cast(dtype, factor) => dtype.is_float() && **factor == Expr::Load(1),
        factor => *factor == Expr::Load(1),
    };
    **sum == Expr::Load(0) && is_factor
}

/// The changed program has the statements and tensors of the source, in which terms read the reference for the maximum, and
/// the two temporaries of the claim.
fn same_but_for_terms(source: &Scop, changed: &Scop, claim: &Rescaling, roles: &Roles) -> Result<(), Illegal> {
    let (n, like) = (source.tensors.len(), &source.tensors[claim.max]);
    let same_tensors = source.tensors.values().eq(changed.tensors.values().take(n)) && changed.tensors.len() == n + 2;
    let is_new = |id: TensorId| {
        let Some((_, tensor)) = changed.tensors.iter().skip(n).find(|(new, _)| *new == id) else { return false };
        let is_plain = tensor.role == Role::Temporary && tensor.memory == Memory::Global && tensor.layout.is_none();
        is_plain && (&tensor.lower, &tensor.extent, tensor.dtype) == (&like.lower, &like.extent, like.dtype)
    };
    let same_frame = source.params == changed.params && source.context.is_equal(&changed.context)?;
    if !same_tensors
        || !same_frame
        || !is_new(claim.reference)
        || !is_new(claim.factor)
        || claim.reference == claim.factor
    {
        return refused("the tensors are not those of the source with two more like the maximum");
    }
    for (id, stmt) in source.stmts.iter() {
        let mut expected = stmt.clone();
        if roles.members().any(|member| member == id) {
            let reads = expected.reads.iter_mut().filter(|read| read.tensor == claim.max);
            reads.for_each(|read| read.tensor = claim.reference);
        }
        let same = changed.stmts.iter().find(|(other, _)| *other == id).is_some_and(|(_, other)| {
            (&other.name, &other.dims, &other.reads, &other.writes, &other.body)
                == (&expected.name, &expected.dims, &expected.reads, &expected.writes, &expected.body)
        });
        if !same || !changed.stmts[id].domain.is_equal(&stmt.domain)? {
            return refused(format!(
                "`{}` is not as in the source: commands that change storage come later",
                stmt.name
            ));
        }
    }
    Ok(())
}

/// Where each of the statements is: the element of the maximum and the block, or the element of a sum and the block.
/// Relations to tuples without a name, the block last.
struct Keys {
    max: (StmtId, isl::Map),
    terms: Vec<(StmtId, isl::Map)>,
    sums: Vec<Sum>,
    references: Vec<(StmtId, bool, isl::Map)>,
    factors: Vec<(StmtId, bool, isl::Map)>,
    ctx: isl::Ctx,
    context: isl::Set,
}

/// A sum: what updates and what multiplies it, by the element of the maximum and by its own.
struct Sum {
    name: String,
    update: isl::Map,
    rescale: isl::Map,
    own_update: isl::Map,
    own_rescale: isl::Map,
}

impl Keys {
    fn of(source: &Scop, changed: &Scop, claim: &Rescaling, roles: &Roles, added: &Added) -> Result<Keys, Illegal> {
        let blocks = Blocks::of(changed, claim)?;
        let key = |id: StmtId, access: &Access| blocks.key(changed, &changed.stmts[id], access);
        let mut by_tensor: BTreeMap<TensorId, (StmtId, isl::Map)> = BTreeMap::new();
        let mut member = |id: StmtId| -> Result<isl::Map, Illegal> {
            let stmt = &changed.stmts[id];
            let mut all: Option<isl::Map> = None;
            for read in &stmt.reads {
                let one = if read.tensor == claim.reference {
                    key(id, read)?
                } else if let Some((writer, key)) = by_tensor.get(&read.tensor) {
                    let write = changed.relation(&changed.stmts[*writer], &changed.stmts[*writer].writes[0])?;
                    changed.relation(stmt, read)?.apply_range(&write.reverse()?)?.apply_range(key)?
                } else {
                    continue;
                };
                all = Some(all.map_or(Ok(one.clone()), |all| all.union(&one))?);
            }
            let Some(all) = all else { return refused(format!("`{}` is relative to nothing", stmt.name)) };
            let blocks = blocks.of_stmt(stmt)?;
            let rank = all.dim(isl::Dim::Out)? - 1;
            let of_terms = all.project_out(isl::Dim::Out, 0, rank)?;
            let (of_terms, runs) =
                (of_terms.intersect_params(&changed.context)?, stmt.domain.intersect_params(&changed.context)?);
            if !all.is_single_valued()? || !of_terms.is_subset(&blocks)? || !runs.is_subset(&all.domain()?)? {
                return refused(format!("`{}` uses terms of several maxima, or of another block", stmt.name));
            }
            let write = changed.relation(stmt, &stmt.writes[0])?;
            if roles.terms.contains(&id) && !write.is_injective()? {
                return refused(format!("`{}` computes a term twice", stmt.name));
            }
            by_tensor.insert(stmt.writes[0].tensor, (id, all.clone()));
            Ok(all)
        };
        let mut terms = Vec::new();
        for &id in &roles.terms {
            terms.push((id, member(id)?));
        }
        let mut sums = Vec::new();
        for (&id, &rescale) in roles.sums.iter().zip(&added.rescales) {
            let update = member(id)?;
            let (own, other) = (&changed.stmts[id], &changed.stmts[rescale]);
            terms.push((id, update.clone()));
            sums.push(Sum {
                name: own.name.clone(),
                update,
                rescale: key(rescale, &other.reads[1])?,
                own_update: key(id, &own.writes[0])?,
                own_rescale: key(rescale, &other.writes[0])?,
            });
        }
        let of_added = |all: &[(StmtId, bool)]| -> Result<Vec<(StmtId, bool, isl::Map)>, Illegal> {
            all.iter().map(|&(id, clamped)| Ok((id, clamped, key(id, &changed.stmts[id].writes[0])?))).collect()
        };
        let max = (roles.max, key(roles.max, &source.stmts[roles.max].writes[0])?);
        let (references, factors) = (of_added(&added.references)?, of_added(&added.factors)?);
        let (ctx, context) = (changed.ctx.clone(), changed.context.clone());
        Ok(Keys { max, terms, sums, references, factors, ctx, context })
    }

    /// Every block has its reference and its factor, every sum is multiplied for each block after one that it has terms of.
    fn cover(&self) -> Result<(), Illegal> {
        let blocks = self.once(&self.references, "reference")?;
        let scaled = self.once(&self.factors, "factor")?;
        let pairs = self.apart(&blocks, &blocks)?;
        let (not_last, not_first) = (pairs.domain()?, pairs.range()?);
        for (_, clamped, key) in self.references.iter().chain(&self.factors) {
            let here = self.known(&key.range()?)?;
            let fits = if *clamped { here.is_subset(&not_last)? } else { here.is_disjoint(&not_last)? };
            if !fits {
                return refused(
                    "the reference is the maximum itself in the last block, and no less than the smallest number before",
                );
            }
        }
        if !scaled.is_subset(&not_first)? {
            return refused("a factor is found where no reference was before");
        }
        for (_, key) in self.terms.iter().chain([&self.max]) {
            if !self.known(&key.range()?)?.is_subset(&blocks)? {
                return refused("a block has no reference");
            }
        }
        self.sums.iter().try_for_each(|sum| self.covers(sum, &blocks, &scaled))
    }

    /// What the terms of a block are of is compared in that block or before it.
    fn grow(&self, changed: &Scop, claim: &Rescaling, compared: &[(StmtId, isl::Map)]) -> Result<(), Illegal> {
        let blocks = Blocks::of(changed, claim)?;
        let of_max = blocks.of_stmt(&changed.stmts[self.max.0])?.reverse()?;
        for (id, updates) in compared {
            let stmt = &changed.stmts[*id];
            let not_later = isl::Map::read(&self.ctx, "{ [t] -> [u] : u <= t }")?;
            let seen = blocks.of_stmt(stmt)?.apply_range(&not_later)?.apply_range(&of_max)?.intersect(updates)?;
            if !self.known(&stmt.domain)?.is_subset(&seen.domain()?)? {
                return refused(format!(
                    "`{}` has terms of what is compared with the maximum in later blocks",
                    stmt.name
                ));
            }
        }
        Ok(())
    }

    fn covers(&self, sum: &Sum, blocks: &isl::Set, scaled: &isl::Set) -> Result<(), Illegal> {
        let wrong = || refused(format!("`{}`: its sum is not multiplied once for each later block", sum.name));
        if !sum.own_rescale.is_injective()? || !self.known(&sum.rescale.range()?)?.is_subset(scaled)? {
            return wrong();
        }
        // From the elements of the sum to those of the maximum.
        let element = |own: &isl::Map, key: &isl::Map| -> isl::Result<isl::Map> {
            let [own, key] = [own, key]
                .map(|map| -> isl::Result<isl::Map> { map.project_out(isl::Dim::Out, map.dim(isl::Dim::Out)? - 1, 1) });
            own?.reverse()?.apply_range(&key?)
        };
        let (of_update, of_rescale) =
            (element(&sum.own_update, &sum.update)?, element(&sum.own_rescale, &sum.rescale)?);
        let is_one = of_update.union(&of_rescale)?.is_single_valued()?;
        if !is_one || !self.known(&of_rescale.domain()?)?.is_subset(&of_update.domain()?)? {
            return wrong();
        }
        // A sum with terms in a block, and each later block of its maximum.
        let own = sum.own_update.reverse()?.apply_range(&sum.update)?;
        let later = own.apply_range(&self.apart(&own.range()?, blocks)?)?;
        let rank = later.dim(isl::Dim::In)?;
        let last = later.dim(isl::Dim::Out)? - 1;
        let block = later.project_out(isl::Dim::Out, 0, last)?;
        let elements = later.domain()?.identity()?.project_out(isl::Dim::Out, rank - 1, 1)?;
        let expected = elements.flat_range_product(&block)?.range()?;
        if self.known(&expected)?.is_subset(&sum.own_rescale.range()?)? { Ok(()) } else { wrong() }
    }

    /// The blocks of statements of which one sets each block's value.
    fn once(&self, all: &[(StmtId, bool, isl::Map)], what: &str) -> Result<isl::Set, Illegal> {
        let mut blocks: Option<isl::Set> = None;
        for (.., key) in all {
            let here = self.known(&key.range()?)?;
            let is_new = blocks.as_ref().map_or(Ok(true), |blocks| blocks.is_disjoint(&here))?;
            if !is_new || !key.is_injective()? {
                return refused(format!("a block has several values of the {what}"));
            }
            blocks = Some(blocks.map_or(Ok(here.clone()), |blocks| blocks.union(&here))?);
        }
        blocks.map_or_else(|| refused(format!("nothing sets the {what}")), Ok)
    }

    fn known(&self, set: &isl::Set) -> isl::Result<isl::Set> {
        set.intersect_params(&self.context)
    }

    /// Pairs with one element, of an earlier block and a later one.
    fn apart(&self, earlier: &isl::Set, later: &isl::Set) -> isl::Result<isl::Map> {
        let rank = earlier.dim(isl::Dim::Set)?;
        self.compared(rank, "<")?.intersect_domain(earlier)?.intersect_range(later)
    }

    fn compared(&self, rank: u32, op: &str) -> isl::Result<isl::Map> {
        let same: Vec<String> = (1..rank).map(|at| format!("x{at}")).collect();
        let with = |block: &str| same.iter().cloned().chain([block.to_string()]).collect::<Vec<_>>().join(", ");
        isl::Map::read(&self.ctx, &format!("{{ [{}] -> [{}] : t {op} u }}", with("t"), with("u")))
    }

    /// The instances of one that run before those of another with the same element, in the same block or a later one; with
    /// `<` in a later one only.
    fn before(&self, one: &isl::Map, op: &str, other: &isl::Map) -> isl::Result<isl::UnionMap> {
        let rank = one.dim(isl::Dim::Out)?;
        let pairs = one.apply_range(&self.compared(rank, op)?)?.apply_range(&other.reverse()?)?;
        pairs.intersect_params(&self.context)?.to_union_map()
    }

    /// What must run before what, for the law.
    fn ordered(
        &self,
        source: &Scop,
        claim: &Rescaling,
        roles: &Roles,
        order: &Order,
    ) -> Result<isl::UnionMap, Illegal> {
        let mut all = isl::UnionMap::empty(&self.ctx)?;
        let mut ask = |one: &isl::Map, op: &str, other: &isl::Map| -> isl::Result<()> {
            all = all.union(&self.before(one, op, other)?)?;
            Ok(())
        };
        let max = &self.max.1;
        for (.., value) in self.references.iter().chain(&self.factors) {
            ask(max, "<=", value)?;
            ask(value, "<", max)?;
        }
        for (.., reference) in &self.references {
            for (.., other) in &self.references {
                ask(reference, "<", other)?;
            }
            for (.., factor) in &self.factors {
                ask(factor, "<=", reference)?;
                ask(reference, "<", factor)?;
            }
            for (_, term) in &self.terms {
                ask(reference, "<=", term)?;
                ask(term, "<", reference)?;
            }
        }
        for sum in &self.sums {
            for (.., factor) in &self.factors {
                ask(factor, "<=", &sum.rescale)?;
                ask(&sum.rescale, "<", factor)?;
            }
            ask(&sum.own_rescale, "<=", &sum.own_update)?;
            ask(&sum.own_update, "<", &sum.own_rescale)?;
            ask(&sum.own_rescale, "<", &sum.own_rescale)?;
        }
        let around = self.around(source, claim, roles, order)?;
        Ok(all.union(&around)?)
    }

    /// What else touches the sums runs before all that multiplies them, or after; likewise what else writes the maximum, and
    /// what sees it.
    fn around(&self, source: &Scop, claim: &Rescaling, roles: &Roles, order: &Order) -> Result<isl::UnionMap, Illegal> {
        let mut all = isl::UnionMap::empty(&self.ctx)?;
        for (&id, sum) in roles.sums.iter().zip(&self.sums) {
            let update = &source.stmts[id];
            for (_, stmt, access, _) in others(source, id) {
                let side = side(source, order, (update, &update.writes[0]), (stmt, access))?;
                all = all.union(&beside(source, (stmt, access), &sum.own_rescale, side)?)?;
            }
        }
        let max = &source.stmts[roles.max];
        let write = &max.writes[0];
        for (id, stmt, access, writes) in others(source, roles.max) {
            let side = side(source, order, (max, write), (stmt, access))?;
            if writes {
                let readers = roles.members().map(|id| &source.stmts[id]);
                for reader in readers {
                    for read in reader.reads.iter().filter(|read| read.tensor == claim.max) {
                        let is_apart = match side {
                            Some(Side::Before) => order.is_before(source, (stmt, access), (reader, read))?,
                            Some(Side::After) => order.is_before(source, (reader, read), (stmt, access))?,
                            None => false,
                        };
                        if !is_apart {
                            return refused(format!("`{}` changes the maximum in between", stmt.name));
                        }
                    }
                }
                for (.., value) in self.references.iter().chain(&self.factors) {
                    all = all.union(&beside(source, (stmt, access), value, side)?)?;
                }
            } else if roles.members().any(|member| member == id) && side != Some(Side::After) {
                return refused(format!("`{}` does not see the whole maximum", stmt.name));
            }
        }
        Ok(all)
    }
}

/// An access and the instances with that element, in any block: those on that side come first.
fn beside(
    source: &Scop,
    (stmt, access): (&Stmt, &Access),
    key: &isl::Map,
    side: Option<Side>,
) -> Result<isl::UnionMap, Illegal> {
    let elements = key.project_out(isl::Dim::Out, key.dim(isl::Dim::Out)? - 1, 1)?;
    let own = source.relation(stmt, access)?.reset_tuple_id(isl::Dim::Out)?;
    let pairs = own.apply_range(&elements.reverse()?)?.intersect_params(&source.context)?;
    Ok(match side {
        Some(Side::Before) => pairs.to_union_map()?,
        Some(Side::After) => pairs.reverse()?.to_union_map()?,
        None => return refused(format!("`{}` is neither before the updates nor after them", stmt.name)),
    })
}

/// The loop over blocks.
struct Blocks {
    values: Vec<isl::PwAff>,
}

impl Blocks {
    fn of(changed: &Scop, claim: &Rescaling) -> Result<Blocks, Illegal> {
        let Some(member) = changed.tree.member(&claim.member) else {
            return refused(format!("there is no loop `{}`", claim.member));
        };
        Ok(Blocks { values: member.schedule.pw_affs()? })
    }

    /// `stmt -> [block]`
    fn of_stmt(&self, stmt: &Stmt) -> Result<isl::Map, Illegal> {
        for value in &self.values {
            if value.space()?.tuple_name(isl::Dim::In) == stmt.name {
                return Ok(value.to_map()?.intersect_domain(&stmt.domain)?);
            }
        }
        refused(format!("`{}` does not run in the loop over blocks", stmt.name))
    }

    /// `stmt -> [element…, block]`
    fn key(&self, changed: &Scop, stmt: &Stmt, access: &Access) -> Result<isl::Map, Illegal> {
        let element = changed.relation(stmt, access)?.reset_tuple_id(isl::Dim::Out)?;
        Ok(element.flat_range_product(&self.of_stmt(stmt)?)?)
    }
}

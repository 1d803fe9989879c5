//! The command that sums relative to a maximum while it is still found: rescale.

use polyhedral::legality::{Rescaling, exponent, lowest};
use polyhedral::{
    Access, Band, BinOp, Body, Builtin, CmpOp, DType, Expr, Filtered, Index, Kind, Member, Memory, Node, Role, Scop,
    Stmt, StmtId, Subscript, Tensor, TensorId, Value, isl,
};

use super::evolve;
use super::formula::index_of;
use super::insertion::component;
use super::instances::Instances;
use super::site::Site;
use super::uses::tensor_named;
use crate::Command;
use crate::place::{self, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;

/// Sums terms that are relative to a maximum in the blocks of a loop in which the maximum still grows: for each block the
/// sums are first multiplied by what the terms are worth less, relative to the new maximum.
///
/// ```text
/// rescale S O by M at M.update.jo
///
/// band [i, jo, j]     M.update             band [i, jo]
/// band [i, jo, j]     P                      sequence
/// band [i, jo, j]     S.update     ->          band [j]   M.update   M max= x
/// band [i, jo, k, j]  O.update                 leaf       M_factor   exp(M_seen - M)         from the second block on
///                                              leaf       M_seen     M
///                                              band [j]   P          exp(x - M_seen)
///                                              leaf       S.rescale  S * M_factor            from the second block on
///                                              band [j]   S.update   S += P
///                                              band [k]   O.rescale  O * M_factor
///                                              band [k, j] O.update  O += P * v
/// ```
///
/// Nothing is less than the smallest number in `M_seen` before the last block, so that a block of `-∞` alone makes no NaN
/// where the whole row is none. What stands between the nests comes before them.
///
/// Needs nests of one sequence with as many loops outside as the named one has, of which the last are the blocks.
/// Proof: the law of rescaled sums ([`polyhedral::legality::rescaled`]); results differ by rounding, so not where
/// reductions keep their order. After Milakov and Gimelshein, Online normalizer calculation for softmax (2018), in the
/// blocks of Dao and others, FlashAttention (NeurIPS 2022).
pub(crate) fn rescale(scop: &Scop, sums: &[String], max: &str, member: &str) -> Result<Edit, Reason> {
    let max = tensor_named(scop, max)?;
    let tensors = sums.iter().map(|sum| tensor_named(scop, sum)).collect::<Result<Vec<_>, _>>()?;
    let member = place::resolve(scop, member)?;
    let law = Law::of(scop, max, &tensors)?;
    let nests = Nests::of(scop, &law, &member)?;
    let mut edited = Scop { source: Vec::new(), ..scop.clone() };
    let name = |ending: &str| evolve::free_tensor_name(scop, &format!("{}_{ending}", scop.tensors[max].name));
    let like = |name: String| Tensor {
        name,
        role: Role::Temporary,
        memory: Memory::Global,
        layout: None,
        streamed: false,
        ..scop.tensors[max].clone()
    };
    let reference = edited.tensors.push(like(name("seen")));
    let factor = edited.tensors.push(like(name("factor")));
    for &id in law.terms.iter().chain(&law.sums) {
        let reads = edited.stmts[id].reads.iter_mut().filter(|read| read.tensor == max);
        reads.for_each(|read| read.tensor = reference);
    }
    let mut making = Making { scop, law: &law, nests: &nests, edited, tensors: [reference, factor] };
    let blocks = making.blocks()?;
    if blocks.not_first.intersect_params(&scop.context)?.is_empty()? {
        return Reason::precondition(format!("`{member}` has one iteration for each maximum, which does not grow"));
    }
    let mut parts = Vec::new();
    for nest in &nests.all {
        for (at, &sum) in law.sums.iter().enumerate() {
            if nest.stmts.contains(&scop.stmts[sum].name) {
                parts.push(making.multiplied(sum, law.keys[&sum].clone(), &blocks, tensors[at])?);
            }
        }
        let is_max = nest.stmts.contains(&scop.stmts[law.max].name);
        parts.push(Part { instances: nest.filter.clone(), node: nest.inside.clone(), values: None });
        if is_max {
            parts.extend(making.of_blocks(&blocks)?);
        }
    }
    let mut edited = making.edited;
    edited.tree.root = nests.joined(scop, parts)?;
    edited.tree.domain = edited.domain()?;
    edited.origin = edited.tree.domain.identity()?;
    let command = Command::Rescale { sums: sums.to_vec(), max: scop.tensors[max].name.clone(), member: member.clone() };
    let claim = Rescaling { max, sums: tensors, member, reference, factor };
    Ok(Edit { scop: edited, command, proof: Proof::Law(claim) })
}

/// The statements that the law is of.
struct Law {
    max: StmtId,
    terms: Vec<StmtId>,
    sums: Vec<StmtId>,
    /// From their instances to the element of the maximum.
    keys: std::collections::BTreeMap<StmtId, isl::Map>,
    function: Builtin,
    scale: f64,
}

impl Law {
    fn of(scop: &Scop, max: TensorId, sums: &[TensorId]) -> Result<Law, Reason> {
        let update = |tensor: TensorId| {
            let is_update =
                |stmt: &Stmt| stmt.body.is_reduce() && stmt.writes.iter().any(|write| write.tensor == tensor);
            match scop.stmts.find(is_update) {
                Some(id) => Ok(id),
                None => Reason::precondition(format!("`{}` is no reduction", scop.tensors[tensor].name)),
            }
        };
        let mut law = Law {
            max: update(max)?,
            terms: Vec::new(),
            sums: sums.iter().map(|&sum| update(sum)).collect::<Result<_, _>>()?,
            keys: std::collections::BTreeMap::new(),
            function: Builtin::Exp,
            scale: 0.0,
        };
        let members = law.used(scop, max);
        for &id in &members {
            let stmt = &scop.stmts[id];
            if let Some(key) = law.key(scop, max, stmt)? {
                law.keys.insert(id, key);
            }
            let is_max = |read: usize| stmt.reads.get(read).is_some_and(|read| read.tensor == max);
            if let Some((function, scale)) = stmt.body.exprs().first().and_then(|expr| exponent(expr, &is_max)) {
                (law.function, law.scale) = (function, scale);
            }
        }
        law.terms = members.into_iter().filter(|id| !law.sums.contains(id)).collect();
        if let Some(&sum) = law.sums.iter().find(|id| !law.keys.contains_key(id)) {
            return Reason::precondition(format!(
                "`{}` has no terms that are relative to `{}`",
                scop.stmts[sum].name, scop.tensors[max].name
            ));
        }
        if law.scale == 0.0 {
            let max = &scop.tensors[max].name;
            return Reason::precondition(format!("no term is `exp(c*(x - {max}))` with 0 < c <= 1"));
        }
        Ok(law)
    }

    /// The updates of the sums and the statements that compute what they add from the maximum, in source order.
    fn used(&self, scop: &Scop, max: TensorId) -> Vec<StmtId> {
        let (mut dependent, mut found) = (vec![max], Vec::new());
        for (id, stmt) in scop.stmts.iter() {
            let uses = stmt.reads.iter().any(|read| dependent.contains(&read.tensor));
            if uses && self.sums.contains(&id) {
                found.push(id);
            } else if uses && !stmt.body.is_reduce() {
                found.push(id);
                dependent.extend(stmt.writes.iter().map(|write| write.tensor));
            }
        }
        // What the sums do not use is not meant.
        let mut needed: Vec<TensorId> = Vec::new();
        let mut used = Vec::new();
        for id in found.into_iter().rev() {
            let stmt = &scop.stmts[id];
            if self.sums.contains(&id) || stmt.writes.iter().any(|write| needed.contains(&write.tensor)) {
                needed.extend(stmt.reads.iter().map(|read| read.tensor).filter(|tensor| *tensor != max));
                used.insert(0, id);
            }
        }
        used
    }

    /// From the instances of a statement to the element of the maximum that it uses, by itself or through terms.
    fn key(&self, scop: &Scop, max: TensorId, stmt: &Stmt) -> isl::Result<Option<isl::Map>> {
        for read in &stmt.reads {
            if read.tensor == max {
                return scop.relation(stmt, read)?.reset_tuple_id(isl::Dim::Out).map(Some);
            }
            let writer = self.keys.iter().find(|(id, _)| scop.stmts[**id].writes[0].tensor == read.tensor);
            if let Some((&id, key)) = writer {
                let write = scop.relation(&scop.stmts[id], &scop.stmts[id].writes[0])?;
                return scop.relation(stmt, read)?.apply_range(&write.reverse()?)?.apply_range(key).map(Some);
            }
        }
        Ok(None)
    }
}

/// One nest of the sequence.
struct Own {
    filter: isl::UnionSet,
    stmts: Vec<String>,
    /// The loops that become common.
    members: Vec<Member>,
    /// What is in them.
    inside: Node,
}

/// The nests of a sequence at the top that run in the loops over blocks from now on.
struct Nests {
    all: Vec<Own>,
    before: Vec<Filtered>,
    after: Vec<Filtered>,
}

impl Nests {
    fn of(scop: &Scop, law: &Law, member: &str) -> Result<Nests, Reason> {
        let Node::Sequence(children) = &scop.tree.root else {
            return Reason::precondition("the maximum and the sums are not in nests of their own");
        };
        let name = |id: StmtId| scop.stmts[id].name.clone();
        let group: Vec<String> = [law.max].iter().chain(&law.terms).chain(&law.sums).map(|&id| name(id)).collect();
        let Some(depth) = children.iter().find_map(|child| match &child.node {
            Node::Band(band) => place::position(band, member),
            _ => None,
        }) else {
            return Reason::precondition(format!("`{member}` is no loop of a nest at the top"));
        };
        let mut nests = Nests { all: Vec::new(), before: Vec::new(), after: Vec::new() };
        let mut left = group.len();
        for child in children {
            let stmts = place::stmts_of(&child.filter)?;
            let here = stmts.iter().filter(|stmt| group.contains(stmt)).count();
            if here == 0 {
                let side = if left > 0 { &mut nests.before } else { &mut nests.after };
                side.push(child.clone());
                continue;
            }
            left = left.saturating_sub(here);
            match &child.node {
                Node::Band(band) if here == stmts.len() && band.members.len() > depth => {
                    let (outer, inner) = band.members.split_at(depth + 1);
                    let inside = match inner {
                        [] => (*band.child).clone(),
                        inner => Node::Band(Band { members: inner.to_vec(), ..band.clone() }),
                    };
                    let (filter, members) = (child.filter.clone(), outer.to_vec());
                    nests.all.push(Own { filter, stmts, members, inside });
                }
                _ => {
                    return Reason::precondition(format!(
                        "`{}` is not in a nest of such statements alone with {} loops like `{member}` and those around it",
                        stmts.join("`, `"),
                        depth + 1
                    ));
                }
            }
        }
        Ok(nests)
    }

    /// The nest that a statement is in.
    fn nest_of(&self, stmt: &Stmt) -> &Own {
        self.all.iter().find(|nest| nest.stmts.contains(&stmt.name)).expect("every statement of the law is in a nest")
    }

    /// `stmt -> [loops around and blocks]`
    fn values(&self, scop: &Scop, stmt: &Stmt) -> Result<isl::Map, Reason> {
        let last = self.nest_of(stmt).members.last().expect("there is the loop over blocks");
        Ok(Site::of(scop, Some(&last.name))?.values(stmt)?)
    }

    /// The nests with what is new in them in common loops.
    fn joined(&self, scop: &Scop, parts: Vec<Part>) -> isl::Result<Node> {
        let first = self.all.first().expect("there are nests");
        let mut members = first.members.clone();
        for (at, member) in members.iter_mut().enumerate() {
            for nest in &self.all[1..] {
                member.schedule = member.schedule.union_add(&nest.members[at].schedule)?;
            }
            for part in &parts {
                if let Some(values) = &part.values {
                    member.schedule = member.schedule.union_add(&component(values, at)?)?;
                }
            }
            member.coincident = false;
        }
        let filters = parts.iter().map(|part| &part.instances);
        let filter = filters.into_iter().try_fold(isl::UnionSet::empty(&scop.ctx)?, |all, part| all.union(part))?;
        let inside = parts.into_iter().map(|part| Filtered { filter: part.instances, node: part.node }).collect();
        let node = Node::Band(Band { members, permutable: false, child: Box::new(Node::Sequence(inside)) });
        let mut all = self.before.clone();
        all.push(Filtered { filter, node });
        all.extend(self.after.iter().cloned());
        Ok(place::one_or(Node::Sequence, all))
    }
}

/// What runs in an iteration of the blocks; new instances with the values of the loops.
struct Part {
    instances: isl::UnionSet,
    node: Node,
    values: Option<isl::UnionMap>,
}

/// What there is in each iteration of the loops, `[t0, …] -> [element…]`, of the maximum.
struct Blocks {
    all: isl::Map,
    /// Where a later one has the element too.
    not_last: isl::Map,
    /// Where an earlier one has.
    not_first: isl::Map,
}

struct Making<'a> {
    scop: &'a Scop,
    law: &'a Law,
    nests: &'a Nests,
    edited: Scop,
    /// What terms are relative to, and what sums are multiplied by.
    tensors: [TensorId; 2],
}

impl Making<'_> {
    fn blocks(&self) -> Result<Blocks, Reason> {
        let max = &self.scop.stmts[self.law.max];
        let values = self.nests.values(self.scop, max)?;
        let element = self.scop.relation(max, &max.writes[0])?.reset_tuple_id(isl::Dim::Out)?;
        let all = values.reverse()?.apply_range(&element)?;
        let rank = all.dim(isl::Dim::In)?;
        let names = |first: &str, last: &str| {
            let around = (1..rank).map(|at| format!("{first}{at}"));
            around.chain([last.to_string()]).collect::<Vec<_>>().join(", ")
        };
        let text = format!("{{ [{}] -> [{}] : t < u }}", names("p", "t"), names("q", "u"));
        let later = isl::Map::read(&self.scop.ctx, &text)?.intersect_range(&all.domain()?)?;
        let earlier = later.reverse()?;
        Ok(Blocks {
            not_last: all.intersect(&later.apply_range(&all)?)?.coalesce()?,
            not_first: all.intersect(&earlier.intersect_range(&all.domain()?)?.apply_range(&all)?)?.coalesce()?,
            all: all.coalesce()?,
        })
    }

    /// The statements that set the factor and the reference, in this order.
    fn of_blocks(&mut self, blocks: &Blocks) -> Result<Vec<Part>, Reason> {
        let max = &self.scop.stmts[self.law.max];
        let [reference, factor] = self.tensors;
        let dtype = self.scop.tensors[max.writes[0].tensor].dtype;
        let Some(least) = lowest(dtype) else {
            return Reason::precondition("the maximum is no floating-point number");
        };
        let last = |each: &isl::Map| each.subtract(&blocks.not_last)?.coalesce();
        let early = |each: &isl::Map| each.intersect(&blocks.not_last)?.coalesce();
        let mut parts = Vec::new();
        for (tensor, each) in [(factor, &blocks.not_first), (reference, &blocks.all)] {
            for (each, clamped, ending) in [(early(each)?, true, ""), (last(each)?, false, ".last")] {
                if each.intersect_params(&self.scop.context)?.is_empty()? {
                    continue;
                }
                let name = format!("{}{ending}", self.edited.tensors[tensor].name);
                let clamp = clamped.then_some(least);
                let (tensors, value) = match tensor == factor {
                    true => (vec![reference, max.writes[0].tensor], self.factor(dtype, clamp)),
                    false => (vec![max.writes[0].tensor], new_maximum(0, dtype, clamp)),
                };
                let made = Made { scop: self.scop, name, each, span: max.span };
                parts.push(made.add(&mut self.edited, self.nests, (tensor, tensors, Vec::new()), value)?);
            }
        }
        Ok(parts)
    }

    /// `new == old ? 1 : f(c*(old - new))`
    fn factor(&self, dtype: DType, clamp: Option<f64>) -> Expr {
        let new = || Box::new(new_maximum(1, dtype, clamp));
        let old = || Box::new(Expr::Load(0));
        let constant = |value: f64| Box::new(Expr::Const(Value::Float(value), dtype));
        let difference = Expr::Binary(BinOp::Sub, old(), new());
        let argument = match self.law.scale {
            1.0 => difference,
            scale => Expr::Binary(BinOp::Mul, Box::new(difference), constant(scale)),
        };
        let same = Expr::Compare(CmpOp::Eq, new(), old());
        Expr::Select(Box::new(same), constant(1.0), Box::new(Expr::Call(self.law.function, vec![argument])))
    }

    /// The statement that multiplies a sum.
    fn multiplied(&mut self, update: StmtId, key: isl::Map, blocks: &Blocks, sum: TensorId) -> Result<Part, Reason> {
        let stmt = &self.scop.stmts[update];
        let element = self.scop.relation(stmt, &stmt.writes[0])?.reset_tuple_id(isl::Dim::Out)?;
        let to_max = element.reverse()?.apply_range(&key)?.intersect_params(&self.scop.context)?.coalesce()?;
        let formulas = formulas(&to_max, &stmt.name)?;
        let each = blocks.not_first.apply_range(&to_max.reverse()?)?.coalesce()?;
        let name = format!("{}.rescale", self.scop.tensors[sum].name);
        let [_, factor] = self.tensors;
        let dtypes = [sum, factor].map(|id| self.edited.tensors[id].dtype);
        let by = match dtypes[0] == dtypes[1] {
            true => Expr::Load(1),
            false => Expr::Cast(dtypes[0], Box::new(Expr::Load(1))),
        };
        let value = Expr::Binary(BinOp::Mul, Box::new(Expr::Load(0)), Box::new(by));
        let made = Made { scop: self.scop, name, each, span: stmt.span };
        made.add(&mut self.edited, self.nests, (sum, vec![sum, factor], formulas), value)
    }
}

/// The maximum so far, in a statement that has it as read `read`; no less than the smallest number where that is given.
fn new_maximum(read: usize, dtype: DType, clamp: Option<f64>) -> Expr {
    let load = Expr::Load(read);
    match clamp {
        None => load,
        Some(least) => Expr::Binary(BinOp::Max, Box::new(load), Box::new(Expr::Const(Value::Float(least), dtype))),
    }
}

/// The coordinates of a function of the elements of a sum.
fn formulas(to_max: &isl::Map, stmt: &str) -> Result<Vec<Index>, Reason> {
    let sentence = || format!("which maximum an element of what `{stmt}` updates belongs to is not one formula");
    if !to_max.is_single_valued()? {
        return Reason::precondition(sentence());
    }
    let (function, domain) = (to_max.to_pw_multi_aff()?, to_max.domain()?);
    let mut all = Vec::new();
    for at in 0..to_max.dim(isl::Dim::Out)? {
        match index_of(&function.at(at as i32)?.gist(&domain)?)? {
            Some(index) => all.push(index),
            None => return Reason::precondition(sentence()),
        }
    }
    Ok(all)
}

/// A statement that runs in blocks.
struct Made<'a> {
    scop: &'a Scop,
    name: String,
    /// `[t0, …] -> [element…]`
    each: isl::Map,
    span: support::Span,
}

impl Made<'_> {
    /// Adds the statement `tensor[element] = value` to the program, which reads the tensors at the element; the last one at
    /// these formulas of it, if there are any.
    fn add(
        self,
        edited: &mut Scop,
        nests: &Nests,
        (tensor, reads, formulas): (TensorId, Vec<TensorId>, Vec<Index>),
        value: Expr,
    ) -> Result<Part, Reason> {
        let name = evolve::free_stmt_name(edited, &self.name);
        let first = nests.all.first().expect("there are nests");
        let loops: Vec<String> = first.members.iter().map(|member| member.name.clone()).collect();
        let own: Vec<String> = (0..self.each.dim(isl::Dim::Out)?).map(|at| format!("x{at}")).collect();
        let Instances { domain, dims, loops, values, .. } = Instances::of(self.scop, &name, &self.each, &loops, &own)?;
        let element: Vec<Subscript> = (loops..dims.len()).map(|at| Subscript::Affine(Index::Dim(at))).collect();
        let access = |tensor: TensorId| Access { tensor, index: element.clone(), span: self.span };
        let mut reads: Vec<Access> = reads.into_iter().map(access).collect();
        if let (false, Some(last)) = (formulas.is_empty(), reads.last_mut()) {
            let moved = |index: &Index| index.substitute(&|at| Index::Dim(at + loops), &Index::Param);
            last.index = formulas.iter().map(|index| Subscript::Affine(moved(index))).collect();
        }
        let mut taken = Taken::by(&edited.tree, &[]);
        let mut members = Vec::new();
        for (at, dim) in dims.iter().enumerate().skip(loops) {
            let value = Index::Dim(at).to_pw_aff(&domain.space()?)?.intersect_domain(&domain)?;
            if values.reverse()?.apply_range(&value.to_map()?)?.is_single_valued()? {
                continue;
            }
            let (name, schedule) = (taken.next_free(&format!("{name}.{dim}")), value.to_union_pw_aff()?);
            members.push(Member { name, schedule, coincident: false, kind: Kind::Sequential });
        }
        let node = match members.is_empty() {
            true => Node::Leaf,
            false => Node::Band(Band { members, permutable: false, child: Box::new(Node::Leaf) }),
        };
        let instances = domain.to_union_set()?;
        let body = Body::Assign(vec![value]);
        let writes = vec![access(tensor)];
        edited.stmts.push(Stmt { name, dims, domain, reads, writes, body, span: self.span });
        Ok(Part { instances, node, values: Some(values.to_union_map()?) })
    }
}

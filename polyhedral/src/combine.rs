//! Reductions that several threads of a kernel run together.
//!
//! A loop on threads may be one along a reduction: all its iterations update one element. Each thread then has a partial
//! result of its own, and what the threads have is combined behind the loop. As trees say it:
//!
//! ```text
//! band [b bound block.x]                    band [b bound block.x]
//!   band [k bound thread.x]                   sequence
//!     S.update[b, k]: S[b] += A[b, k]    ->     filter { S.update.start[b] }         own = 0, in each thread
//!                                               filter { S.update[b, k] }            own += A[b, k]
//!                                                 band [k bound thread.x]
//!                                               filter { S.update.finish[b] }        S[b] += own of all threads
//! ```
//!
//! The two new statements have no loop on the axes of the reduction around them, so that the first thread there is the one
//! that touches the element, and [`race_free`](crate::legality::race_free) sees it do so.
//!
//! As lanes of a vector that update one element are combined (Allen and Kennedy, Optimizing Compilers for Modern
//! Architectures, 2001, 5.6), with threads in the place of lanes.

use support::Span;

use crate::legality::Illegal;
use crate::{Access, Axis, Band, BinOp, Body, Expr, Filtered, Index, Kernel, Kind, Member, Memory, Node, Scop, Stmt};
use crate::{StmtId, Subscript, TensorId, Value, isl};

/// A program with the partial results of threads.
#[derive(Clone, Debug)]
pub struct Combined {
    /// The program, with the statements that begin and end partial results. Updates of these write nothing.
    pub scop: Scop,
    /// The reductions that threads run together.
    pub reductions: Vec<Combination>,
}

/// A reduction that threads run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    /// Before: each thread's partial result changes nothing yet.
    pub start: StmtId,
    /// The update, into the thread's partial result.
    pub update: StmtId,
    /// Behind: what the threads have, together, into the element.
    pub finish: StmtId,
    /// The axes of threads that are combined.
    pub axes: Vec<Axis>,
    /// What combines two values.
    pub op: BinOp,
    /// Of which the element is one.
    pub tensor: TensorId,
}

impl Combined {
    /// The kernels of a program with what their threads combine.
    ///
    /// # Errors
    /// [`Illegal::Malformed`] for a reduction across threads that cannot be combined so, or when isl fails.
    pub fn of(scop: &Scop) -> Result<Combined, Illegal> {
        let mut search = Search { scop, outer: Vec::new(), found: Vec::new() };
        let root = search.node(&scop.tree.root, &scop.tree.domain, false)?;
        let mut combined = Combined { scop: scop.clone(), reductions: Vec::new() };
        let scop = &mut combined.scop;
        if !search.found.is_empty() {
            scop.source = Vec::new();
            scop.tree.root = root.node;
            scop.tree.domain = with(&scop.tree.domain, &root.added)?;
        }
        for Found { update, start, finish, axes, op, tensor } in search.found {
            scop.stmts[update].writes = Vec::new();
            let (start, finish) = (scop.stmts.push(start), scop.stmts.push(finish));
            combined.reductions.push(Combination { start, update, finish, axes, op, tensor });
        }
        Ok(combined)
    }
}

/// A reduction, and its new statements.
struct Found {
    update: StmtId,
    start: Stmt,
    finish: Stmt,
    axes: Vec<Axis>,
    op: BinOp,
    tensor: TensorId,
}

struct Search<'a> {
    scop: &'a Scop,
    /// The loops around.
    outer: Vec<Member>,
    found: Vec<Found>,
}

/// A node with new statements somewhere in it.
struct Changed {
    node: Node,
    added: Vec<isl::Set>,
}

impl Search<'_> {
    fn node(&mut self, node: &Node, reach: &isl::UnionSet, in_kernel: bool) -> Result<Changed, Illegal> {
        match node {
            Node::Leaf => Ok(Changed { node: Node::Leaf, added: Vec::new() }),
            Node::Mark { name, child } => {
                let inside = self.node(child, reach, in_kernel || Kernel::is_mark(name))?;
                Ok(Changed { node: Node::Mark { name: name.clone(), child: Box::new(inside.node) }, ..inside })
            }
            Node::Band(band) => self.band(band, reach, in_kernel),
            Node::Sequence(children) | Node::Set(children) => {
                let (mut all, mut added) = (Vec::new(), Vec::new());
                for child in children {
                    let inside = self.node(&child.node, &reach.intersect(&child.filter)?, in_kernel)?;
                    all.push(Filtered { filter: with(&child.filter, &inside.added)?, node: inside.node });
                    added.extend(inside.added);
                }
                let node = if let Node::Set(_) = node { Node::Set(all) } else { Node::Sequence(all) };
                Ok(Changed { node, added })
            }
        }
    }

    /// A band, cut above its first loop along a reduction that threads run together.
    fn band(&mut self, band: &Band, reach: &isl::UnionSet, in_kernel: bool) -> Result<Changed, Illegal> {
        let depth = self.outer.len();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut cut = band.members.len();
        for (at, member) in band.members.iter().enumerate() {
            if in_kernel && matches!(member.kind, Kind::Bound(Axis::Thread(_))) {
                for update in self.together(member, reach)? {
                    let (start, finish) = self.around(update, &band.members[at..], &band.child, reach)?;
                    before.push(start);
                    after.push(finish);
                }
                if !before.is_empty() {
                    cut = at;
                    break;
                }
            }
            self.outer.push(member.clone());
        }
        let (members, rest) = band.members.split_at(cut);
        let inside = match rest {
            [] => self.node(&band.child, reach, in_kernel)?,
            rest => self.node(&Node::Band(Band { members: rest.to_vec(), ..band.clone() }), reach, in_kernel)?,
        };
        self.outer.truncate(depth);
        let inside = surrounded(inside, before, after, reach)?;
        if members.is_empty() {
            return Ok(inside);
        }
        let mut members = members.to_vec();
        for (at, member) in members.iter_mut().enumerate() {
            for stmt in &inside.added {
                let value = Index::Dim(depth + at).to_pw_aff(&stmt.space()?)?.intersect_domain(stmt)?;
                member.schedule = member.schedule.union_add(&value.to_union_pw_aff()?)?;
            }
        }
        let node = Node::Band(Band { members, permutable: band.permutable, child: Box::new(inside.node) });
        Ok(Changed { node, added: inside.added })
    }

    /// The updates of which several iterations of a loop here, with the loops around being equal, have one element.
    fn together(&self, member: &Member, reach: &isl::UnionSet) -> Result<Vec<StmtId>, Illegal> {
        let mut all = Vec::new();
        for (id, stmt) in self.scop.stmts.iter().filter(|(_, stmt)| stmt.body.is_reduce()) {
            // What a thread keeps in its registers is no other thread's element.
            let is_own = |write: &Access| self.scop.tensors[write.tensor].memory == Memory::Registers;
            if self.found.iter().any(|found| found.update == id) || stmt.writes.iter().any(is_own) {
                continue;
            }
            let instances = reach.intersect(&stmt.domain.to_union_set()?)?;
            if !instances.is_empty()? && !self.tells_iterations_apart(stmt, member, &instances, &self.outer)? {
                all.push(id);
            }
        }
        Ok(all)
    }

    /// Whether one element is updated in one iteration of a loop only, for equal values of the loops around.
    fn tells_iterations_apart(
        &self,
        stmt: &Stmt,
        member: &Member,
        instances: &isl::UnionSet,
        outer: &[Member],
    ) -> isl::Result<bool> {
        let mut place = values(outer, instances)?;
        for write in &stmt.writes {
            // The element, not its cell: threads keep elements of their own in cells with one number.
            place = place.flat_range_product(&self.scop.relation(stmt, write)?.to_union_map()?)?;
        }
        let iteration = member.schedule.intersect_domain(instances)?.to_union_map()?;
        place.reverse()?.apply_range(&iteration)?.is_single_valued()
    }

    /// The statements that begin and end the partial results of an update, of which a loop, the first of `inner`, is run by
    /// threads together.
    fn around(
        &mut self,
        update: StmtId,
        inner: &[Member],
        child: &Node,
        reach: &isl::UnionSet,
    ) -> Result<(isl::Set, isl::Set), Illegal> {
        let stmt = &self.scop.stmts[update];
        let refused = |why: &str| {
            let member = &inner[0].name;
            Illegal::Malformed(format!(
                "`{}` cannot be combined across the threads of the loop `{member}`: {why}",
                stmt.name
            ))
        };
        let (Body::Reduce { monoid, .. }, [write]) = (&stmt.body, stmt.writes.as_slice()) else {
            return Err(refused("it has several results"));
        };
        let Some(op) = monoid.operator() else { return Err(refused("what combines two results is no operator")) };
        let Some(index) = write.affine() else {
            return Err(refused("which element it updates is found while running"));
        };
        let instances = reach.intersect(&stmt.domain.to_union_set()?)?;
        let place = self.place(stmt, &index, &instances)?;
        let around = values(&self.outer, &instances)?;
        if !around.reverse()?.apply_range(&place)?.is_single_valued()? {
            return Err(refused("the loops around do not tell which element it updates"));
        }
        self.expect_alone(update, write.tensor, reach, &refused)?;
        let mut axes = Vec::new();
        let mut outer = self.outer.clone();
        for member in inner.iter().chain(members_over(child, &stmt.name)) {
            if let Kind::Bound(axis @ Axis::Thread(_)) = member.kind
                && !self.tells_iterations_apart(stmt, member, &instances, &outer)?
            {
                axes.push(axis);
            }
            outer.push(member.clone());
        }
        axes.sort_unstable();
        let first = self.outer.len();
        let of_place = (0..index.len()).map(|at| Subscript::Affine(Index::Dim(first + at)));
        let write = Access { index: of_place.collect(), ..write.clone() };
        let tensor = write.tensor;
        let neutral = vec![Expr::Const(Value::Int(0), self.scop.tensors[tensor].dtype)];
        let body = Body::Reduce { monoid: monoid.clone(), terms: neutral.clone() };
        let start = self.stmt(stmt, "start", (&place, index.len()), (Vec::new(), Body::Assign(neutral)))?;
        let finish = self.stmt(stmt, "finish", (&place, index.len()), (vec![write], body))?;
        let domains = (start.domain.clone(), finish.domain.clone());
        self.found.push(Found { update, start, finish, axes, op, tensor });
        Ok(domains)
    }

    /// Nothing else in the loop touches what the reduction updates: it would find neither the old value nor the new one.
    fn expect_alone(
        &self,
        update: StmtId,
        tensor: TensorId,
        reach: &isl::UnionSet,
        refused: &dyn Fn(&str) -> Illegal,
    ) -> Result<(), Illegal> {
        for (id, other) in self.scop.stmts.iter() {
            let mut accesses =
                if id == update { other.reads.iter().chain(&[]) } else { other.reads.iter().chain(&other.writes) };
            if accesses.any(|access| access.tensor == tensor) && !reach.is_disjoint(&other.domain.to_union_set()?)? {
                return Err(refused(&format!("`{}` touches the same tensor in that loop", other.name)));
            }
        }
        Ok(())
    }

    /// From instances to the values of the loops around, and to the element: its subscripts.
    fn place(&self, stmt: &Stmt, index: &[&Index], instances: &isl::UnionSet) -> isl::Result<isl::UnionMap> {
        let space = stmt.domain.space()?;
        index.iter().try_fold(values(&self.outer, instances)?, |all, index| {
            all.flat_range_product(&index.to_pw_aff(&space)?.to_map()?.to_union_map()?)
        })
    }

    /// A statement that runs once for each place, named after the update; the element has so many subscripts.
    fn stmt(
        &self,
        update: &Stmt,
        ending: &str,
        (place, subscripts): (&isl::UnionMap, usize),
        (writes, body): (Vec<Access>, Body),
    ) -> isl::Result<Stmt> {
        let taken = |name: &String| {
            let of_found = self.found.iter().any(|found| [&found.start.name, &found.finish.name].contains(&name));
            of_found || self.scop.stmt_named(name).is_some()
        };
        let name = free(&format!("{}.{ending}", update.name), taken);
        let mut dims: Vec<String> = Vec::new();
        let short = |member: &Member| member.name.rsplit('.').next().unwrap_or(&member.name).to_string();
        for dim in self.outer.iter().map(short).chain((0..subscripts).map(|at| format!("x{at}"))) {
            dims.push(free(&dim, |name| dims.contains(name) || self.scop.params.contains(name)));
        }
        let space = self.scop.param_space()?.named_set(&name, &dims)?;
        let mut domain = if dims.is_empty() {
            space.universe_set()?.intersect_params(&place.domain()?.params()?)?
        } else {
            place.range()?.as_set()?
        };
        domain = domain.align_params(&self.scop.param_space()?)?.coalesce()?.with_tuple_name(&name)?;
        for (at, dim) in dims.iter().enumerate() {
            domain = domain.with_dim_name(isl::Dim::Set, at as u32, dim)?;
        }
        let span: Span = update.span;
        Ok(Stmt { name, dims, domain, reads: Vec::new(), writes, body, span })
    }
}

/// The name, or the first with a number that is not taken.
fn free(name: &str, taken: impl Fn(&String) -> bool) -> String {
    let numbered = (2u64..).map(|number| format!("{name}{number}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    names.find(|name| !taken(name)).expect("finitely many names are taken")
}

/// From instances to the values of loops, outermost first, after a constant.
fn values(members: &[Member], instances: &isl::UnionSet) -> isl::Result<isl::UnionMap> {
    let nothing = isl::UnionMap::empty(instances.ctx())?;
    let mut rows = members.iter().map(|member| member.schedule.intersect_domain(instances)?.to_union_map());
    match rows.next() {
        None => instances.sets()?.iter().try_fold(nothing, |all, set| {
            let dims = set.dim(isl::Dim::Set)?;
            let none = set.identity()?.project_out(isl::Dim::Out, 0, dims)?.reset_tuple_id(isl::Dim::Out)?;
            all.union(&none.to_union_map()?)
        }),
        Some(first) => rows.try_fold(first?, |all, row| all.flat_range_product(&row?)),
    }
}

/// The loops of a node around a statement, outermost first.
fn members_over<'t>(node: &'t Node, stmt: &str) -> Vec<&'t Member> {
    let own = match node {
        Node::Band(band) => band.members.as_slice(),
        _ => &[],
    };
    let has = |filter: &isl::UnionSet| {
        filter.sets().unwrap_or_default().iter().any(|set| set.tuple_name().is_ok_and(|name| name == stmt))
    };
    let below = match node {
        Node::Band(band) => Some(&*band.child),
        Node::Mark { child, .. } => Some(&**child),
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().find(|child| has(&child.filter)).map(|child| &child.node)
        }
        Node::Leaf => None,
    };
    own.iter().chain(below.into_iter().flat_map(|below| members_over(below, stmt))).collect()
}

/// A node between the statements that begin partial results and those that end them.
fn surrounded(
    inside: Changed,
    before: Vec<isl::Set>,
    after: Vec<isl::Set>,
    reach: &isl::UnionSet,
) -> isl::Result<Changed> {
    if before.is_empty() {
        return Ok(inside);
    }
    let alone = |set: &isl::Set| Ok(Filtered { filter: set.to_union_set()?, node: Node::Leaf });
    let mut children = before.iter().map(alone).collect::<isl::Result<Vec<_>>>()?;
    children.push(Filtered { filter: with(reach, &inside.added)?, node: inside.node });
    for set in &after {
        children.push(alone(set)?);
    }
    Ok(Changed { node: Node::Sequence(children), added: [before, inside.added, after].concat() })
}

fn with(instances: &isl::UnionSet, added: &[isl::Set]) -> isl::Result<isl::UnionSet> {
    added.iter().try_fold(instances.clone(), |all, set| all.union(&set.to_union_set()?))
}

//! Reductions that several threads or blocks of a kernel run together.
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
//! Blocks do not meet. Where the iterations of a loop on blocks update one element, and the loop says that they do so
//! atomically ([`Kind::Atomic`]), each thread that has a partial result adds it to the element in one step that nothing
//! comes in between:
//!
//! ```text
//! band [ko atomic on block.x]               band [ko atomic on block.x]
//!   band [k]                                  sequence
//!     S.update[ko, k]: S[] += A[k]     ->       filter { S.update.start[ko] }        own = 0
//!                                               filter { S.update[ko, k] }           own += A[k]
//!                                                 band [k]
//!                                               filter { S.update.finish[ko] }       S[] += own, atomically
//! ```
//!
//! A partial result begins where the loops around, none of which is on blocks any more, tell which element it is of.
//!
//! A reduction to several elements at once (the largest value and where it is) has as many partial results in each thread, and
//! what combines them is the monoid's own expressions, which promise to commute. In one step blocks update one element only.
//!
//! As lanes of a vector that update one element are combined (Allen and Kennedy, Optimizing Compilers for Modern
//! Architectures, 2001, 5.6), with threads in the place of lanes.

use support::Span;

use crate::legality::Illegal;
use crate::places::Places;
use crate::{Access, Axis, Band, Body, DType, Expr, Filtered, Index, Kernel, Kind, Member, Memory, Monoid, Node, Scop};
use crate::{Stmt, StmtId, Subscript, TensorId, Value, isl};

/// A program with the partial results of threads.
#[derive(Clone, Debug)]
pub struct Combined {
    /// The program, with the statements that begin and end partial results. Updates of these write nothing.
    pub scop: Scop,
    /// The reductions that threads or blocks run together.
    pub reductions: Vec<Combination>,
}

/// A reduction that threads or blocks run together.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    /// Before: each thread's partial result changes nothing yet.
    pub start: StmtId,
    /// The update, into the thread's partial result.
    pub update: StmtId,
    /// Behind: what the threads have, together, into the element.
    pub finish: StmtId,
    /// The axes of threads that are combined: none where each thread has an element of its own.
    pub axes: Vec<Axis>,
    /// Whether `finish` is atomic: other blocks update the element too.
    pub is_atomic: bool,
    /// What combines two results.
    pub monoid: Monoid,
    /// Of which the elements are, one for each component.
    pub tensors: Vec<TensorId>,
}

impl Combined {
    /// The kernels of a program with what their threads and blocks combine.
    ///
    /// # Errors
    /// [`Illegal::Malformed`] for a reduction across threads or blocks that cannot be combined so, or when isl fails.
    pub fn of(scop: &Scop) -> Result<Combined, Illegal> {
        let is_atomic = |member: &&Member| matches!(member.kind, Kind::Atomic(_));
        let has_atomic = scop.tree.root.members().iter().any(is_atomic);
        let places = has_atomic.then(|| Places::new(scop, &scop.tree)).transpose()?;
        let mut search = Search { scop, places, outer: Vec::new(), found: Vec::new() };
        let root = search.node(&scop.tree.root, &scop.tree.domain, false)?;
        let mut combined = Combined { scop: scop.clone(), reductions: Vec::new() };
        let scop = &mut combined.scop;
        if !search.found.is_empty() {
            scop.source = Vec::new();
            scop.tree.root = root.node;
            scop.tree.domain = with(&scop.tree.domain, &root.added)?;
        }
        for Found { update, start, finish, axes, is_atomic, monoid, tensors } in search.found {
            scop.stmts[update].writes = Vec::new();
            let (start, finish) = (scop.stmts.push(start), scop.stmts.push(finish));
            combined.reductions.push(Combination { start, update, finish, axes, is_atomic, monoid, tensors });
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
    is_atomic: bool,
    monoid: Monoid,
    tensors: Vec<TensorId>,
}

struct Search<'a> {
    scop: &'a Scop,
    /// The memories of the program, when some loop is atomic.
    places: Option<Places<'a>>,
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
            Node::Leaf => self.leaf(reach, in_kernel),
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

    /// The updates that are whole here, each between its new statements.
    fn leaf(&mut self, reach: &isl::UnionSet, in_kernel: bool) -> Result<Changed, Illegal> {
        let inside = Changed { node: Node::Leaf, added: Vec::new() };
        if !in_kernel {
            return Ok(inside);
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for update in self.atomic(None, reach)? {
            let (start, finish) = self.around(update, &[], &Node::Leaf, reach)?;
            before.push(start);
            after.push(finish);
        }
        Ok(surrounded(inside, before, after, reach)?)
    }

    /// A band, cut above its first loop along a reduction that threads run together, or of whose elements each is updated
    /// by several blocks.
    fn band(&mut self, band: &Band, reach: &isl::UnionSet, in_kernel: bool) -> Result<Changed, Illegal> {
        let depth = self.outer.len();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut cut = band.members.len();
        for (at, member) in band.members.iter().enumerate() {
            if in_kernel && !member.kind.is_on_blocks() {
                let mut updates = match member.kind {
                    Kind::Bound(Axis::Thread(_)) => self.together(member, reach)?,
                    _ => Vec::new(),
                };
                let atomic = self.atomic(Some(member.kind), reach)?;
                updates.extend(atomic.into_iter().filter(|update| !updates.contains(update)).collect::<Vec<_>>());
                for update in updates {
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

    /// The updates of elements that several blocks update, of which the loops around tell one from the other; with lanes
    /// and copies next, or nothing, all of them.
    fn atomic(&self, next: Option<Kind>, reach: &isl::UnionSet) -> Result<Vec<StmtId>, Illegal> {
        let is_last = matches!(next, None | Some(Kind::Vector(_) | Kind::Unroll(_)));
        let mut all = Vec::new();
        if self.places.is_none() {
            return Ok(all);
        }
        for (id, stmt) in self.scop.stmts.iter().filter(|(_, stmt)| stmt.body.is_reduce()) {
            let instances = reach.intersect(&stmt.domain.to_union_set()?)?;
            if self.found.iter().any(|found| found.update == id)
                || instances.is_empty()?
                || !self.is_of_several_blocks(stmt, &instances)?
            {
                continue;
            }
            if is_last || self.tells_elements_apart(stmt, &instances)? {
                all.push(id);
            }
        }
        Ok(all)
    }

    /// Whether an update of an element is atomic: other iterations of an atomic loop around update it as well.
    fn is_of_several_blocks(&self, stmt: &Stmt, instances: &isl::UnionSet) -> isl::Result<bool> {
        let Some(places) = &self.places else { return Ok(false) };
        for (at, member) in self.outer.iter().enumerate() {
            if !matches!(member.kind, Kind::Atomic(_)) {
                continue;
            }
            let iteration = member.schedule.intersect_domain(instances)?.to_union_map()?;
            for write in &stmt.writes {
                // The cell: what a block has for itself is updated by no other.
                let cells = places.cells(stmt, write)?.intersect_domain(instances)?;
                let place = values(&self.outer[..at], instances)?.flat_range_product(&cells)?;
                if !place.reverse()?.apply_range(&iteration)?.is_single_valued()? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether an update is of one element for equal values of the loops around.
    fn tells_elements_apart(&self, stmt: &Stmt, instances: &isl::UnionSet) -> isl::Result<bool> {
        let around = values(&self.outer, instances)?.reverse()?;
        for write in &stmt.writes {
            if !around.apply_range(&self.scop.relation(stmt, write)?.to_union_map()?)?.is_single_valued()? {
                return Ok(false);
            }
        }
        Ok(true)
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

    /// The statements that begin and end the partial results of an update, which are of what the loops `inner` and those
    /// below them run.
    fn around(
        &mut self,
        update: StmtId,
        inner: &[Member],
        child: &Node,
        reach: &isl::UnionSet,
    ) -> Result<(isl::Set, isl::Set), Illegal> {
        let stmt = &self.scop.stmts[update];
        let refused = |why: &str| {
            let together = match inner.first() {
                Some(Member { name, kind: Kind::Bound(_), .. }) => {
                    format!("combined across the threads of the loop `{name}`")
                }
                _ => "updated atomically by the blocks of a kernel".into(),
            };
            Illegal::Malformed(format!("`{}` cannot be {together}: {why}", stmt.name))
        };
        let Body::Reduce { monoid, .. } = &stmt.body else { return Err(refused("it is no reduction")) };
        if !stmt.has_results_apart() {
            return Err(refused("it has several results in one tensor"));
        }
        if let Some(why) = crate::eval::broken_order(stmt, &|tensor| self.scop.tensors[tensor].dtype) {
            return Err(refused(why));
        }
        let indices: Option<Vec<Vec<&Index>>> = stmt.writes.iter().map(Access::affine).collect();
        let Some(index) = indices.map(|indices| indices.concat()) else {
            return Err(refused("which element it updates is found while running"));
        };
        let instances = reach.intersect(&stmt.domain.to_union_set()?)?;
        let place = self.place(stmt, &index, &instances)?;
        let around = values(&self.outer, &instances)?;
        if !around.reverse()?.apply_range(&place)?.is_single_valued()? {
            return Err(refused("the loops around do not tell which element it updates"));
        }
        if self.outer.iter().any(|member| matches!(member.kind, Kind::Vector(_) | Kind::Unroll(_))) {
            return Err(refused("lanes or copies of it update different elements"));
        }
        let everywhere = self.scop.tree.domain.intersect(&stmt.domain.to_union_set()?)?;
        if !everywhere.is_subset(reach)? {
            return Err(refused("some of it runs elsewhere"));
        }
        let tensors: Vec<TensorId> = stmt.writes.iter().map(|write| write.tensor).collect();
        for tensor in &tensors {
            self.expect_alone(update, *tensor, reach, &refused)?;
        }
        let is_atomic = self.is_of_several_blocks(stmt, &instances)?;
        if is_atomic {
            self.expect_word(monoid, &tensors).map_err(|why| refused(&why))?;
        }
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
        let mut places = (first..first + index.len()).map(|at| Subscript::Affine(Index::Dim(at)));
        let of_place =
            |write: &Access| Access { index: places.by_ref().take(write.index.len()).collect(), ..write.clone() };
        let writes: Vec<Access> = stmt.writes.iter().map(of_place).collect();
        let nothing = |tensor: &TensorId| Expr::Const(Value::Int(0), self.scop.tensors[*tensor].dtype);
        let terms: Vec<Expr> = tensors.iter().map(nothing).collect();
        let body = Body::Reduce { monoid: monoid.clone(), terms: terms.clone() };
        let start = self.stmt(stmt, "start", (&place, index.len()), (Vec::new(), Body::Assign(terms)))?;
        let finish = self.stmt(stmt, "finish", (&place, index.len()), (writes, body))?;
        let (domains, monoid) = ((start.domain.clone(), finish.domain.clone()), monoid.clone());
        self.found.push(Found { update, start, finish, axes, is_atomic, monoid, tensors });
        Ok(domains)
    }

    /// What is updated in one step is a word, by an operator.
    fn expect_word(&self, monoid: &Monoid, tensors: &[TensorId]) -> Result<(), String> {
        let [tensor] = tensors else { return Err("it has several results".into()) };
        if monoid.operator().is_none() {
            return Err("what combines two results is no operator".into());
        }
        let dtype = self.scop.tensors[*tensor].dtype;
        if is_updated_atomically(dtype) {
            Ok(())
        } else {
            Err(format!("devices update words of 4 and 8 bytes, not `{dtype}`"))
        }
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

/// Whether devices have updates of one element of a type that nothing comes in between: of words of memory.
pub fn is_updated_atomically(dtype: DType) -> bool {
    matches!(dtype, DType::I32 | DType::U32 | DType::I64 | DType::U64 | DType::F32 | DType::F64)
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

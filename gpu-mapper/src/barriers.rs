//! Where the threads of a block wait for each other.

use std::collections::BTreeSet;

use polyhedral::legality::{Illegal, hazards};
use polyhedral::{Band, Body, Filtered, Index, Kernel, Kind, Member, Node, Scop, Stmt, StmtId, Tiling, isl};
use support::Span;

/// The program with the fewest barriers that order what the threads of each kernel do to the same cells.
///
/// A barrier can be between two children of a sequence, or at the begin or the end of a loop's body, where all threads
/// get to. Of each pair of accesses that has to be ordered it is known which of these places would; of all sets of places
/// with one for each pair the cheapest is taken. A place costs more the more loops are around it. What the dynamic
/// programme of Tensor Comprehensions (Vasilache and others, 2018) finds for one sequence and the loop around it is found
/// here for all of them at once.
///
/// Pairs that no place orders stay: [`polyhedral::legality::race_free`] names them.
///
/// # Errors
/// As for [`hazards`].
pub fn synchronise(scop: &Scop) -> Result<Scop, Illegal> {
    let everywhere = Barriers::new(scop, None).added()?;
    if !everywhere.scop.has_barriers() {
        return Ok(scop.clone());
    }
    let number = |barrier: &StmtId| {
        let name = &everywhere.scop.stmts[*barrier].name;
        everywhere.places.iter().position(|place| place.name == *name)
    };
    let hazards = hazards(&everywhere.scop)?;
    let classes = hazards.iter().map(|hazard| hazard.barriers.iter().filter_map(number).collect::<BTreeSet<usize>>());
    let classes = classes.filter(|places| !places.is_empty()).collect();
    let chosen = cheapest(&classes, &everywhere.places);
    Ok(Barriers::new(scop, Some(&chosen)).added()?.scop)
}

/// The cheapest set of places with one of each class: branch and bound on the class with the fewest.
fn cheapest(classes: &BTreeSet<BTreeSet<usize>>, places: &[Place]) -> BTreeSet<usize> {
    let mut search = Search { places, best: None };
    // A class that holds another is hit when that one is.
    let needed = classes.iter().filter(|class| !classes.iter().any(|other| other != *class && other.is_subset(class)));
    search.hit(&needed.collect::<Vec<_>>(), BTreeSet::new(), 0);
    search.best.map_or_else(BTreeSet::new, |(_, chosen)| chosen)
}

struct Search<'a> {
    places: &'a [Place],
    best: Option<(u64, BTreeSet<usize>)>,
}

impl Search<'_> {
    fn hit(&mut self, classes: &[&BTreeSet<usize>], chosen: BTreeSet<usize>, cost: u64) {
        if self.best.as_ref().is_some_and(|(best, _)| *best <= cost) {
            return;
        }
        let open = classes.iter().filter(|class| class.is_disjoint(&chosen)).min_by_key(|class| class.len());
        let Some(open) = open else {
            self.best = Some((cost, chosen));
            return;
        };
        // Behind what runs rather than before it: the last place first.
        for &place in open.iter().rev() {
            let mut chosen = chosen.clone();
            chosen.insert(place);
            self.hit(classes, chosen, cost.saturating_add(self.places[place].cost()));
        }
    }
}

/// Where a barrier can be.
struct Place {
    /// The statement that is one there.
    name: String,
    /// Loops of the kernel around it that are not on blocks.
    loops: u32,
}

/// How much dearer a barrier is for each loop around it.
const ITERATIONS: u64 = 16;

impl Place {
    fn cost(&self) -> u64 {
        ITERATIONS.saturating_pow(self.loops)
    }
}

/// A program with barriers.
struct Added {
    scop: Scop,
    places: Vec<Place>,
}

/// Puts barriers into a tree.
struct Barriers<'a> {
    scop: &'a Scop,
    /// The places that get one, by number; all of them without.
    chosen: Option<&'a BTreeSet<usize>>,
    places: Vec<Place>,
    /// The barriers so far.
    stmts: Vec<Stmt>,
    /// The loops around.
    outer: Vec<Member>,
    /// How many of them are the kernel's, and not on blocks.
    loops: u32,
}

/// A node with barriers somewhere in it.
struct Changed {
    node: Node,
    /// The barriers: their dimensions are the values of the loops around them.
    barriers: Vec<isl::Set>,
}

impl Changed {
    fn unchanged(node: &Node) -> Changed {
        Changed { node: node.clone(), barriers: Vec::new() }
    }
}

impl<'a> Barriers<'a> {
    fn new(scop: &'a Scop, chosen: Option<&'a BTreeSet<usize>>) -> Barriers<'a> {
        Barriers { scop, chosen, places: Vec::new(), stmts: Vec::new(), outer: Vec::new(), loops: 0 }
    }

    fn added(mut self) -> isl::Result<Added> {
        let mut scop = self.scop.clone();
        let changed = self.host(&scop.tree.root, &scop.tree.domain)?;
        if !self.stmts.is_empty() {
            scop.source = Vec::new();
        }
        scop.tree.root = changed.node;
        scop.tree.domain = with(&scop.tree.domain, &changed.barriers)?;
        self.stmts.into_iter().for_each(|stmt| {
            scop.stmts.push(stmt);
        });
        Ok(Added { scop, places: self.places })
    }

    /// What the host runs, down to kernels.
    fn host(&mut self, node: &Node, reach: &isl::UnionSet) -> isl::Result<Changed> {
        match node {
            Node::Leaf => Ok(Changed::unchanged(node)),
            Node::Mark { name, child } => {
                let inside = match Kernel::is_mark(name) {
                    true => self.body(child, reach, false)?,
                    false => self.host(child, reach)?,
                };
                Ok(Changed { node: Node::Mark { name: name.clone(), child: Box::new(inside.node) }, ..inside })
            }
            Node::Band(band) => {
                let depth = self.outer.len();
                self.outer.extend_from_slice(&band.members);
                let inside = self.host(&band.child, reach)?;
                self.outer.truncate(depth);
                around(&band.members, band, inside, depth)
            }
            Node::Sequence(children) | Node::Set(children) => {
                let mut parts = Vec::new();
                for child in children {
                    let changed = self.host(&child.node, &reach.intersect(&child.filter)?)?;
                    parts.push((child.filter.clone(), changed));
                }
                joined(parts, matches!(node, Node::Set(_)))
            }
        }
    }

    /// What all threads of a block get to; `repeated` when it is the body of a loop of theirs.
    fn body(&mut self, node: &Node, reach: &isl::UnionSet, repeated: bool) -> isl::Result<Changed> {
        let (children, is_set) = match node {
            Node::Sequence(children) => (children.clone(), false),
            Node::Set(children) => (children.clone(), true),
            _ => (vec![Filtered { filter: reach.clone(), node: node.clone() }], false),
        };
        let last = children.len().saturating_sub(1);
        let is_one = children.len() == 1 && !matches!(node, Node::Sequence(_) | Node::Set(_));
        let (mut parts, mut placed) = (Vec::new(), false);
        for (at, Filtered { filter, node }) in children.into_iter().enumerate() {
            let mut place = |barriers: &mut Self, parts: &mut Vec<_>| -> isl::Result<()> {
                if let Some(barrier) = barriers.place(reach)? {
                    let set = barrier.to_union_set()?;
                    parts.push((set, Changed { node: Node::Leaf, barriers: vec![barrier] }));
                    placed = true;
                }
                Ok(())
            };
            if at > 0 || repeated {
                place(self, &mut parts)?;
            }
            let inside = reach.intersect(&filter)?;
            let changed = if is_one { self.node(&node, &inside)? } else { self.body(&node, &inside, false)? };
            parts.push((filter, changed));
            if at == last && repeated {
                place(self, &mut parts)?;
            }
        }
        match parts.len() {
            1 if is_one => Ok(parts.remove(0).1),
            _ => joined(parts, is_set && !placed),
        }
    }

    /// A node that is no sequence, where all threads are.
    fn node(&mut self, node: &Node, reach: &isl::UnionSet) -> isl::Result<Changed> {
        match node {
            Node::Mark { name, child } if !Tiling::is_mark(name) => {
                let inside = self.body(child, reach, false)?;
                Ok(Changed { node: Node::Mark { name: name.clone(), child: Box::new(inside.node) }, ..inside })
            }
            Node::Band(band) => self.band(band, reach),
            _ => Ok(Changed::unchanged(node)),
        }
    }

    /// A band, loop by loop: down to the first that is on threads or copied out, each may begin and end with a barrier.
    fn band(&mut self, band: &Band, reach: &isl::UnionSet) -> isl::Result<Changed> {
        let Some((first, others)) = band.members.split_first() else { return Ok(Changed::unchanged(&band.child)) };
        let repeated = match first.kind {
            Kind::Sequential | Kind::Parallel => true,
            kind if kind.is_on_blocks() => false,
            _ => return Ok(Changed::unchanged(&Node::Band(band.clone()))),
        };
        let below = match others {
            [] => (*band.child).clone(),
            others => Node::Band(Band { members: others.to_vec(), ..band.clone() }),
        };
        let depth = self.outer.len();
        self.outer.push(first.clone());
        self.loops += u32::from(repeated);
        let inside = self.body(&below, reach, repeated)?;
        self.loops -= u32::from(repeated);
        self.outer.truncate(depth);
        // What stayed one band is one band again.
        if inside.barriers.is_empty() {
            return Ok(Changed::unchanged(&Node::Band(band.clone())));
        }
        let Changed { mut node, barriers } = around(std::slice::from_ref(first), band, inside, depth)?;
        merge(&mut node, others);
        Ok(Changed { node, barriers })
    }

    /// The next place, where the instances `reach` are; its barrier if it gets one.
    fn place(&mut self, reach: &isl::UnionSet) -> isl::Result<Option<isl::Set>> {
        // For sizes with which nothing runs here there is nothing to wait for.
        if reach.is_empty()? {
            return Ok(None);
        }
        let number = self.places.len();
        let name = self.fresh_name();
        self.places.push(Place { name: name.clone(), loops: self.loops });
        // Where nothing runs, nothing waits.
        if self.chosen.is_some_and(|chosen| !chosen.contains(&number)) || reach.is_empty()? {
            return Ok(None);
        }
        let dims = self.dims();
        let space = self.scop.param_space()?.named_set(&name, &dims)?;
        let mut domain = if dims.is_empty() {
            space.universe_set()?.intersect_params(&reach.params()?)?
        } else {
            reach.apply(&self.values(reach)?)?.as_set()?
        };
        domain = domain.align_params(&self.scop.param_space()?)?.coalesce()?.with_tuple_name(&name)?;
        for (at, dim) in dims.iter().enumerate() {
            domain = domain.with_dim_name(isl::Dim::Set, at as u32, dim)?;
        }
        let (reads, writes, body) = (Vec::new(), Vec::new(), Body::Assign(Vec::new()));
        self.stmts.push(Stmt { name, dims, domain: domain.clone(), reads, writes, body, span: Span::default() });
        Ok(Some(domain))
    }

    /// From instances to the values of the loops around.
    fn values(&self, reach: &isl::UnionSet) -> isl::Result<isl::UnionMap> {
        let mut rows = self.outer.iter().map(|member| member.schedule.intersect_domain(reach)?.to_union_map());
        let first = rows.next().unwrap_or_else(|| isl::UnionMap::empty(reach.ctx()))?;
        rows.try_fold(first, |all, row| all.flat_range_product(&row?))
    }

    /// `sync`, `sync2`, …, as many as there are barriers.
    fn fresh_name(&self) -> String {
        let taken =
            |name: &str| self.scop.stmt_named(name).is_some() || self.stmts.iter().any(|stmt| stmt.name == name);
        let numbered = (2u64..).map(|number| format!("sync{number}"));
        let mut names = std::iter::once("sync".to_string()).chain(numbered);
        names.find(|name| !taken(name)).expect("a program has finitely many statements")
    }

    /// Names of the loops around, all different and none a parameter's.
    fn dims(&self) -> Vec<String> {
        let mut dims: Vec<String> = Vec::new();
        for member in &self.outer {
            let short = member.name.rsplit('.').next().unwrap_or(&member.name).to_string();
            let numbered = (2u64..).map(|number| format!("{short}{number}"));
            let taken = |name: &String| dims.contains(name) || self.scop.params.contains(name);
            let mut names = std::iter::once(short.clone()).chain(numbered);
            dims.push(names.find(|name| !taken(name)).expect("finitely many are taken"));
        }
        dims
    }
}

/// Loops around a changed body, `depth` others being around them.
fn around(members: &[Member], band: &Band, inside: Changed, depth: usize) -> isl::Result<Changed> {
    let mut members = members.to_vec();
    for (at, member) in members.iter_mut().enumerate() {
        for barrier in &inside.barriers {
            let value = Index::Dim(depth + at).to_pw_aff(&barrier.space()?)?.intersect_domain(barrier)?;
            member.schedule = member.schedule.union_add(&value.to_union_pw_aff()?)?;
        }
    }
    let node = Node::Band(Band { members, permutable: band.permutable, child: Box::new(inside.node) });
    Ok(Changed { node, barriers: inside.barriers })
}

/// Makes one band of a loop and the one below that it was divided from, if nothing is in between.
fn merge(node: &mut Node, others: &[Member]) {
    let Node::Band(outer) = node else { return };
    if let Node::Band(inner) = &mut *outer.child
        && inner.members.first().map(|member| &member.name) == others.first().map(|member| &member.name)
    {
        outer.members.append(&mut inner.members);
        outer.child = std::mem::replace(&mut inner.child, Box::new(Node::Leaf));
    }
}

/// A sequence, or a set, of parts with their barriers.
fn joined(parts: Vec<(isl::UnionSet, Changed)>, is_set: bool) -> isl::Result<Changed> {
    let (mut children, mut barriers) = (Vec::new(), Vec::new());
    for (filter, changed) in parts {
        children.push(Filtered { filter: with(&filter, &changed.barriers)?, node: changed.node });
        barriers.extend(changed.barriers);
    }
    let node = if is_set { Node::Set(children) } else { Node::Sequence(children) };
    Ok(Changed { node, barriers })
}

fn with(instances: &isl::UnionSet, barriers: &[isl::Set]) -> isl::Result<isl::UnionSet> {
    barriers.iter().try_fold(instances.clone(), |all, barrier| all.union(&barrier.to_union_set()?))
}

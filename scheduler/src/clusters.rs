//! Which statements share loops, decided before isl finds their loops: cluster by cluster.
//!
//! The strongly connected components of the dependences are taken in an order that keeps to that of the source. Each joins the
//! last cluster that it may join without passing over one that it depends on; which it may join is what the strategies differ
//! in. isl's scheduler then works on each cluster as if there were no others, so that what it solves stays small.

use std::collections::BTreeSet;

use polyhedral::{Filtered, Node, ScheduleTree, Scop, StmtId, isl};
use transform::Session;

use crate::{Fusion, Isl};

/// A component or a cluster, with the tree that isl has for it alone.
struct Cluster {
    stmts: BTreeSet<StmtId>,
    instances: isl::UnionSet,
    root: Node,
}

impl Isl {
    /// The tree of clusters, one after the other.
    pub(crate) fn clustered(&self, session: &Session) -> isl::Result<ScheduleTree> {
        let scop = session.scop();
        let edges = edges(session)?;
        let mut clusters: Vec<Cluster> = Vec::new();
        for stmts in components(scop, &edges) {
            let one = self.cluster(session, stmts)?;
            match self.place(session, &clusters, &one, &edges)? {
                Some((at, both)) => clusters[at] = both,
                None => clusters.push(one),
            }
        }
        let children = clusters.into_iter().map(|one| Filtered { filter: one.instances, node: one.root });
        let mut children: Vec<Filtered> = children.collect();
        let root = if children.len() == 1 { children.remove(0).node } else { Node::Sequence(children) };
        Ok(ScheduleTree { domain: scop.domain()?, root })
    }

    fn cluster(&self, session: &Session, stmts: BTreeSet<StmtId>) -> isl::Result<Cluster> {
        let scop = session.scop();
        let domains = stmts.iter().map(|&id| scop.stmts[id].domain.to_union_set());
        let instances =
            domains.reduce(|all, one| all?.union(&one?)).unwrap_or_else(|| isl::UnionSet::empty(&scop.ctx))?;
        let root = self.tree_of(session, &instances)?.root;
        Ok(Cluster { stmts, instances, root })
    }

    /// The cluster that a component joins, and what the two are together.
    fn place(
        &self,
        session: &Session,
        clusters: &[Cluster],
        one: &Cluster,
        edges: &BTreeSet<(StmtId, StmtId)>,
    ) -> isl::Result<Option<(usize, Cluster)>> {
        for (at, cluster) in clusters.iter().enumerate().rev() {
            if self.may_join(session.scop(), cluster, one) {
                match self.cluster(session, cluster.stmts.union(&one.stmts).copied().collect()) {
                    Ok(both) if self.is_kept(cluster, one, &both) => return Ok(Some((at, both))),
                    // What cannot be scheduled together may be apart.
                    Ok(_) | Err(isl::Error::Quota) => {}
                    Err(error) => return Err(error),
                }
            }
            let waits = |from: &StmtId| one.stmts.iter().any(|to| edges.contains(&(*from, *to)));
            if cluster.stmts.iter().any(waits) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Whether the two are worth a try.
    fn may_join(&self, scop: &Scop, cluster: &Cluster, one: &Cluster) -> bool {
        let depth = |cluster: &Cluster| cluster.stmts.iter().map(|&id| scop.stmts[id].dims.len()).max();
        match self.fusion {
            Fusion::Smart => depth(cluster) == depth(one),
            _ => true,
        }
    }

    /// Whether what isl found for both shares a loop, and is as parallel as is asked for.
    fn is_kept(&self, cluster: &Cluster, one: &Cluster, both: &Cluster) -> bool {
        let [before, own] = [cluster, one].map(|one| parallel_loops(&one.root));
        let together = parallel_loops(&both.root);
        let are_joined = matches!(both.root, Node::Band(_));
        are_joined
            && match self.fusion {
                Fusion::Typed => [before, own].iter().all(|count| (*count > 0) == (together > 0)),
                Fusion::Coincident { loops } => together >= before.max(own).min(loops),
                Fusion::Min | Fusion::Smart | Fusion::Max => true,
            }
    }
}

/// How many of the outermost loops carry no dependence.
fn parallel_loops(root: &Node) -> usize {
    match root {
        Node::Band(band) => band.members.iter().take_while(|member| member.coincident).count(),
        _ => 0,
    }
}

/// Which statements wait for which others.
fn edges(session: &Session) -> isl::Result<BTreeSet<(StmtId, StmtId)>> {
    let (scop, deps) = (session.scop(), session.dependences()?);
    let mut edges = BTreeSet::new();
    for map in deps.ordering(false)?.maps()? {
        let [from, to] = [isl::Dim::In, isl::Dim::Out].map(|end| map.tuple_name(end));
        edges.extend(scop.stmt_named(&from?).zip(scop.stmt_named(&to?)));
    }
    Ok(edges)
}

/// The strongly connected components, each behind those that it waits for; of those that may come next, the one that the source
/// begins first. There are few statements: what reaches what is found by closing the relation.
fn components(scop: &Scop, edges: &BTreeSet<(StmtId, StmtId)>) -> Vec<BTreeSet<StmtId>> {
    let ids: Vec<StmtId> = scop.stmts.keys().collect();
    let mut reach = edges.clone();
    for &via in &ids {
        let into: Vec<StmtId> = ids.iter().copied().filter(|&from| reach.contains(&(from, via))).collect();
        let out: Vec<StmtId> = ids.iter().copied().filter(|&to| reach.contains(&(via, to))).collect();
        reach.extend(into.iter().flat_map(|&from| out.iter().map(move |&to| (from, to))));
    }
    let mut open = ids;
    let mut found: Vec<BTreeSet<StmtId>> = Vec::new();
    while !open.is_empty() {
        let is_mutual = |a: StmtId, b: StmtId| reach.contains(&(a, b)) && reach.contains(&(b, a));
        let is_free =
            |to: StmtId| open.iter().all(|&from| !reach.contains(&(from, to)) || from == to || is_mutual(from, to));
        let first = open.iter().copied().find(|&id| is_free(id)).expect("components have no cycles");
        let component: BTreeSet<StmtId> =
            open.iter().copied().filter(|&other| other == first || is_mutual(first, other)).collect();
        open.retain(|id| !component.contains(id));
        found.push(component);
    }
    found
}

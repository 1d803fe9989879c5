//! Places in a tree where statements can be put: inside one iteration of a loop, or around the whole program.

use polyhedral::{Band, Filtered, Index, Kind, Member, Node, ScheduleTree, Scop, Stmt, isl};

use crate::loops::adjective;
use crate::place::{self, Path};
use crate::refused::Reason;
use crate::storage::formula::index_of;
use crate::storage::instances::dimension;

/// The inside of one iteration of a loop, or the whole program: there statements can be put before and after what is
/// there.
///
/// Such a statement has the values of [`members`](Site::members) as its leading dimensions, so that its domain, its
/// accesses and its place in the tree are functions of its own dimensions.
pub(crate) struct Site {
    /// The loops around, outermost first; the last is the one whose iteration this is.
    pub(crate) members: Vec<Member>,
    /// The instances that run inside.
    pub(crate) instances: isl::UnionSet,
    /// To the band of the last member, and where in it; none for the whole program.
    band: Option<(Path, usize)>,
}

/// A statement's instances and their order inside one iteration of a site.
pub(crate) struct Placed {
    /// The instances.
    pub(crate) domain: isl::Set,
    /// What each member of the site is on them: over the statement's dimensions.
    pub(crate) values: Vec<Index>,
    /// Their order.
    pub(crate) node: Node,
}

impl Site {
    /// Inside one iteration of the loop with this exact name; the whole program without one.
    pub(crate) fn of(scop: &Scop, member: Option<&str>) -> Result<Site, Reason> {
        let Some(member) = member else {
            return Ok(Site { members: Vec::new(), instances: scop.tree.domain.clone(), band: None });
        };
        let path = place::path_to(&scop.tree.root, member).expect("the name was resolved in this tree");
        let mut site = Site { members: Vec::new(), instances: scop.tree.domain.clone(), band: None };
        let mut node = &scop.tree.root;
        for &at in &path {
            site.pass(node, at)?;
            node = node.children().into_iter().nth(at).expect("the path is of this tree");
        }
        let Node::Band(band) = node else { unreachable!("the path leads to the member's band") };
        let at = place::position(band, member).expect("the path leads to the member's band");
        site.members.extend_from_slice(&band.members[..=at]);
        site.band = Some((path, at));
        site.refuse_boxes()?;
        Ok(site)
    }

    /// From a node to its child number `at`.
    fn pass(&mut self, node: &Node, at: usize) -> isl::Result<()> {
        match node {
            Node::Band(band) => self.members.extend_from_slice(&band.members),
            Node::Sequence(children) | Node::Set(children) => {
                self.instances = self.instances.intersect(&children[at].filter)?;
            }
            Node::Mark { .. } | Node::Leaf => {}
        }
        Ok(())
    }

    /// Lanes and copies are innermost: nothing can be put inside one of them.
    fn refuse_boxes(&self) -> Result<(), Reason> {
        match self.members.iter().find(|member| matches!(member.kind, Kind::Vector(_) | Kind::Unroll(_))) {
            None => Ok(()),
            Some(Member { name, kind, .. }) => Reason::precondition(format!(
                "the loop `{name}` is {}: its iterations hold nothing else",
                adjective(*kind)
            )),
        }
    }

    /// The relation from the instances of a statement to the values of the members.
    pub(crate) fn values(&self, stmt: &Stmt) -> isl::Result<isl::Map> {
        let inside = self.inside(stmt)?;
        let mut map = inside.identity()?.project_out(isl::Dim::Out, 0, stmt.dims.len() as u32)?;
        for member in &self.members {
            let value = value_of(member, stmt)?.unwrap_or(Index::Const(0).to_pw_aff(&inside.space()?)?);
            map = map.flat_range_product(&value.to_map()?)?;
        }
        Ok(map)
    }

    /// The same as expressions over the statement's dimensions.
    pub(crate) fn indices(&self, stmt: &Stmt) -> Result<Vec<Index>, Reason> {
        let inside = self.inside(stmt)?;
        self.members
            .iter()
            .map(|member| {
                let value = value_of(member, stmt)?.map(|value| value.gist(&inside)).transpose()?;
                match value.map(|value| index_of(&value)).transpose()?.flatten() {
                    Some(index) => Ok(index),
                    None => {
                        let (name, stmt) = (&member.name, &stmt.name);
                        Reason::precondition(format!(
                            "the loop `{name}` is not one formula on the instances of `{stmt}`"
                        ))
                    }
                }
            })
            .collect()
    }

    /// The instances of a statement that run inside.
    pub(crate) fn inside(&self, stmt: &Stmt) -> isl::Result<isl::Set> {
        let name = &stmt.name;
        match self.instances.sets()?.into_iter().find(|set| set.tuple_name().is_ok_and(|found| found == *name)) {
            Some(set) => Ok(set),
            None => stmt.domain.subtract(&stmt.domain),
        }
    }

    /// For a sentence: `the loop L`, or `the program`.
    pub(crate) fn described(&self) -> String {
        self.members.last().map_or("the program".into(), |member| format!("the loop `{}`", member.name))
    }

    /// Names for the dimensions of a statement here: the last words of the members' names, then `x0`, `x1`, … for `own`
    /// dimensions.
    pub(crate) fn dims(&self, scop: &Scop, own: usize) -> Vec<String> {
        let own: Vec<String> = (0..own).map(|at| format!("x{at}")).collect();
        let mut dims: Vec<String> = Vec::new();
        for name in self.members.iter().map(|member| &member.name).chain(&own) {
            let dim = dimension(name, |taken| dims.iter().chain(&scop.params).any(|other| other == taken));
            dims.push(dim);
        }
        dims
    }

    /// Puts statements before and after what is in one iteration.
    ///
    /// ```text
    /// band [m, ko, n]       band [m, ko]
    ///   child           ->    sequence
    ///                           before…
    ///                           band [n]  child
    ///                           after…
    /// ```
    pub(crate) fn insert(&self, tree: &mut ScheduleTree, before: Vec<Placed>, after: Vec<Placed>) -> isl::Result<()> {
        let here = self.instances.clone();
        for placed in before.iter().chain(&after) {
            self.admit(tree, placed)?;
        }
        let place = match &self.band {
            None => &mut tree.root,
            Some((path, at)) => inside_of(place::node_at_mut(&mut tree.root, path), *at),
        };
        let inner = std::mem::replace(place, Node::Leaf);
        let mut children = filtered(before)?;
        children.extend(place::as_sequence(here, inner)?);
        children.extend(filtered(after)?);
        *place = Node::Sequence(children);
        Ok(())
    }

    /// Lets the instances reach the site: through the filters, and with a value for each member.
    fn admit(&self, tree: &mut ScheduleTree, placed: &Placed) -> isl::Result<()> {
        let (domain, space) = (placed.domain.to_union_set()?, placed.domain.space()?);
        tree.domain = tree.domain.union(&domain)?;
        let Some((path, at)) = &self.band else { return Ok(()) };
        let mut values = placed.values.iter();
        let mut node = &mut tree.root;
        for step in path.iter().map(Some).chain([None]) {
            match node {
                Node::Band(band) => {
                    let members = if step.is_some() { band.members.len() } else { at + 1 };
                    for (member, value) in band.members[..members].iter_mut().zip(&mut values) {
                        let value = value.to_pw_aff(&space)?.intersect_domain(&placed.domain)?;
                        member.schedule = member.schedule.union_add(&value.to_union_pw_aff()?)?;
                    }
                }
                Node::Sequence(children) | Node::Set(children) => {
                    if let Some(&at) = step {
                        children[at].filter = children[at].filter.union(&domain)?;
                    }
                }
                Node::Mark { .. } | Node::Leaf => {}
            }
            let Some(&at) = step else { break };
            node = node.children_mut().into_iter().nth(at).expect("the path is of this tree");
        }
        Ok(())
    }
}

/// What runs inside an iteration of member `at` of a band: the members behind it become a band of their own.
fn inside_of(node: &mut Node, at: usize) -> &mut Node {
    let Node::Band(band) = node else { unreachable!("the path leads to the member's band") };
    let members = band.members.split_off(at + 1);
    if !members.is_empty() {
        let child = std::mem::replace(&mut *band.child, Node::Leaf);
        // What the outer members carry is settled outside; what was known of all together holds of some.
        *band.child = Node::Band(Band { members, permutable: band.permutable, child: Box::new(child) });
    }
    &mut band.child
}

fn filtered(placed: Vec<Placed>) -> isl::Result<Vec<Filtered>> {
    placed.into_iter().map(|one| Ok(Filtered { filter: one.domain.to_union_set()?, node: one.node })).collect()
}

/// The loops over all dimensions of a statement from `from` on, in order.
pub(crate) fn loops_over(domain: &isl::Set, stmt: &str, dims: &[String], from: usize) -> isl::Result<Node> {
    let space = domain.space()?;
    let member = |at: usize| -> isl::Result<Member> {
        let schedule = Index::Dim(at).to_pw_aff(&space)?.intersect_domain(domain)?.to_union_pw_aff()?;
        let name = format!("{stmt}.{}", dims[at]);
        Ok(Member { name, schedule, coincident: false, kind: Kind::Sequential })
    };
    let members = (from..dims.len()).map(member).collect::<isl::Result<Vec<_>>>()?;
    Ok(match members.is_empty() {
        true => Node::Leaf,
        false => Node::Band(Band { members, permutable: false, child: Box::new(Node::Leaf) }),
    })
}

/// The points of `space` at which `values` and `element` are a pair of `elements`: a relation from the values of a site's
/// members to the elements of a tensor.
pub(crate) fn instances(
    space: &isl::Space,
    values: &[Index],
    element: &[Index],
    elements: &isl::Map,
) -> isl::Result<isl::Set> {
    let tensor = elements.tuple_name(isl::Dim::Out)?;
    let mut touched = tuple(space, element)?;
    if !tensor.is_empty() {
        touched = touched.with_tuple_name(isl::Dim::Out, &tensor)?;
    }
    tuple(space, values)?.range_product(&touched)?.intersect_range(&elements.wrap()?)?.domain()?.coalesce()
}

/// The relation from the points of a space to the values of some expressions there.
pub(crate) fn tuple(space: &isl::Space, values: &[Index]) -> isl::Result<isl::Map> {
    let all = space.universe_set()?;
    let nothing = all.identity()?.project_out(isl::Dim::Out, 0, all.dim(isl::Dim::Set)?)?;
    values.iter().try_fold(nothing, |tuple, value| tuple.flat_range_product(&value.to_pw_aff(space)?.to_map()?))
}

/// What a member is on the instances of a statement; `None` when it has none of them.
fn value_of(member: &Member, stmt: &Stmt) -> isl::Result<Option<isl::PwAff>> {
    for function in member.schedule.pw_affs()? {
        if function.space()?.tuple_name(isl::Dim::In) == stmt.name {
            return Ok(Some(function));
        }
    }
    Ok(None)
}

//! What runs where the iterations of a loop do not fill a vector.

use polyhedral::{Filtered, Member, Node, ScheduleTree, Scop, Stmt, isl};

use crate::index_set::{constant, cut_boxes, extreme_values, in_place};
use crate::parallel::Strips;
use crate::place::{self, Site, Taken};
use crate::proof::Edit;
use crate::refused::Reason;
use crate::{Command, End, Tail};

/// The full vectors, and after them the loop as it was for all other iterations.
pub(crate) fn separate(scop: &Scop, strips: Strips) -> Result<Strips, Reason> {
    // Also for sizes that there are not: the tree has a place for each instance.
    let (whole, cut) = whole_and_cut(scop, &strips)?;
    if cut.intersect_params(&scop.context)?.is_empty()? {
        return Ok(strips);
    }
    let vectors = place::divided_at(&strips.tree, &strips.outer, place::member_at(&strips.tree, &strips.outer)).1;
    let at = place::member_at(&scop.tree, &strips.member);
    let mut rest = place::restricted_below(&place::divided_at(&scop.tree, &strips.member, at).1, &cut)?;
    Taken::by(&strips.tree, &[]).rename(&mut rest, "");
    let pieces = vec![
        Filtered { node: place::restricted_below(&vectors, &whole)?, filter: whole },
        Filtered { node: rest, filter: cut },
    ];
    let at = place::member_at(&strips.tree, &strips.outer);
    Ok(Strips { tree: in_place(strips.tree, &strips.outer, at, pieces)?, ..strips })
}

/// The full vectors, and after them one that ends with the loop: a statement of its own, which computes some instances
/// once more.
pub(crate) fn shifted(scop: &Scop, strips: Strips, by: u32) -> Result<Edit, Reason> {
    let (whole, cut) = whole_and_cut(scop, &strips)?;
    let cut = cut.intersect_params(&scop.context)?;
    if cut.is_empty()? {
        return strips.edit(scop, by, Tail::Shifted);
    }
    let last = Last::of(scop, &strips, &cut, by)?;
    let mut edited = Scop { tree: strips.tree.clone(), source: Vec::new(), ..scop.clone() };
    let copy = last.copy(&mut edited, &whole)?;
    edited.tree = copy.beside_vectors(&strips, whole, &last)?;
    let command = Command::Vectorise { member: strips.member, by, names: Some(strips.names), tail: Tail::Shifted };
    Ok(Edit::of_values(edited, command))
}

/// The last `by` iterations of a loop around one statement.
struct Last {
    stmt: String,
    /// All instances of the loop.
    all: isl::Set,
    /// Those in its last `by` iterations.
    instances: isl::Set,
    /// From the instances to the lanes, which count from 0.
    lane: isl::PwAff,
}

impl Last {
    fn of(scop: &Scop, strips: &Strips, cut: &isl::UnionSet, by: u32) -> Result<Last, Reason> {
        let site = Site::of(&scop.tree, &strips.member)?;
        let sets = site.sets(scop)?;
        let [set] = sets.as_slice() else {
            return Reason::precondition(format!(
                "several statements are in the loop `{}`: `tail shifted` runs one again",
                strips.member
            ));
        };
        let limit = place::value_on(&extreme_values(&site, End::Last)?, set)?;
        let before = limit.sub(&place::function_on(site.member(), set)?)?;
        let lane = constant(set, i64::from(by) - 1)?.sub(&before)?;
        // Only where the loop ends inside of a vector.
        let outer = site.outer_values()?;
        let ends_cut = outer.intersect_range(&cut.apply(&outer)?)?.domain()?;
        let instances = lane.nonneg_set()?.intersect(set)?.to_union_set()?.intersect(&ends_cut)?;
        if !cut.is_subset(&instances)? {
            return Reason::precondition(format!(
                "the vectors of `{}` that are not full are not all at its end; `tail masked` runs such vectors",
                strips.member
            ));
        }
        Ok(Last { stmt: set.tuple_name()?, all: set.clone(), instances: instances.as_set()?.coalesce()?, lane })
    }

    /// Adds the statement that runs them, and leaves the old one `whole` vectors of the loop.
    fn copy(&self, edited: &mut Scop, whole: &isl::UnionSet) -> Result<Copy, Reason> {
        // Not only for the sizes that there may be: the tree has a place for each instance that is left.
        let cut = &self.all.to_union_set()?.subtract(whole)?;
        let id = edited.stmt_named(&self.stmt).expect("the set has the name of a statement");
        let name = fresh_name(edited, &format!("{}.tail", self.stmt));
        let alias = self.instances.identity()?.with_tuple_name(isl::Dim::Out, &name)?;
        let old = &mut edited.stmts[id];
        let all = old.domain.to_union_set()?.subtract(cut)?.coalesce()?;
        old.domain = all.as_set()?.align_params(&self.instances.space()?.params()?)?;
        let domain = self.instances.with_tuple_name(&name)?;
        let copy = Stmt { name, domain, ..old.clone() };
        edited.stmts.push(copy);
        let alias = alias.to_union_map()?;
        let computed = alias.reverse()?.apply_range(&edited.origin)?;
        edited.origin = edited.origin.subtract_domain(cut)?.union(&computed)?;
        edited.tree.domain = edited.domain()?;
        Ok(Copy { alias, tree: edited.tree.clone() })
    }
}

fn fresh_name(scop: &Scop, name: &str) -> String {
    let numbered = (2u64..).map(|number| format!("{name}{number}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    names.find(|name| scop.stmt_named(name).is_none()).expect("a program has finitely many statements")
}

/// A statement that runs instances of another one.
struct Copy {
    /// From those instances to its own.
    alias: isl::UnionMap,
    tree: ScheduleTree,
}

impl Copy {
    /// The tree with the statement behind the full vectors.
    fn beside_vectors(&self, strips: &Strips, whole: isl::UnionSet, last: &Last) -> Result<ScheduleTree, Reason> {
        let mut tree = self.tree.clone();
        let path = place::path_to(&tree.root, &strips.outer).expect("the member is of this tree");
        self.admit(&mut tree, &path)?;
        let at = place::member_at(&self.tree, &strips.outer);
        let vectors = place::divided_at(&self.tree, &strips.outer, at).1;
        let mut once_more = place::divided_at(&self.tree, &strips.outer, at + 1).1;
        self.replace(&mut once_more, &|member| match member.name == strips.inner {
            true => last.lane.to_union_pw_aff(),
            false => Ok(member.schedule.clone()),
        })?;
        Taken::by(&self.tree, &[]).rename(&mut once_more, "t");
        let own = last.instances.to_union_set()?.apply(&self.alias)?;
        let pieces = vec![
            Filtered { node: place::restricted_below(&vectors, &whole)?, filter: whole },
            Filtered { node: once_more, filter: own },
        ];
        in_place(tree, &strips.outer, at, pieces)
    }

    /// Lets the statement's instances through to the band at `path`, as those that they stand for.
    fn admit(&self, tree: &mut ScheduleTree, path: &[usize]) -> isl::Result<()> {
        let mut node = &mut tree.root;
        for step in path.iter().map(Some).chain([None]) {
            match node {
                Node::Band(band) => {
                    for member in &mut band.members {
                        member.schedule = member.schedule.union_add(&self.function(&member.schedule)?)?;
                    }
                }
                Node::Sequence(children) | Node::Set(children) => {
                    if let Some(&at) = step {
                        children[at].filter = children[at].filter.union(&children[at].filter.apply(&self.alias)?)?;
                    }
                }
                Node::Mark { .. } | Node::Leaf => {}
            }
            let Some(&at) = step else { break };
            node = node.children_mut().into_iter().nth(at).expect("the path is of this tree");
        }
        Ok(())
    }

    /// A subtree of the instances that the statement stands for becomes its own, with these functions.
    fn replace(&self, node: &mut Node, schedule: &dyn Fn(&Member) -> isl::Result<isl::UnionPwAff>) -> isl::Result<()> {
        match node {
            Node::Band(band) => {
                for member in &mut band.members {
                    member.schedule = self.function(&schedule(member)?)?;
                }
            }
            Node::Sequence(children) | Node::Set(children) => {
                for child in children {
                    child.filter = child.filter.apply(&self.alias)?;
                }
            }
            Node::Mark { .. } | Node::Leaf => {}
        }
        node.children_mut().into_iter().try_for_each(|child| self.replace(child, schedule))
    }

    /// A function of those instances as one of the statement's own.
    fn function(&self, of: &isl::UnionPwAff) -> isl::Result<isl::UnionPwAff> {
        let values = of.to_union_map()?.apply_domain(&self.alias)?;
        values.maps()?.iter().try_fold(isl::UnionPwAff::empty(of.ctx())?, |all, map| {
            let function = map.to_pw_multi_aff()?.at(0)?;
            all.union_add(&function.gist(&map.domain()?)?.intersect_domain(&map.domain()?)?.to_union_pw_aff()?)
        })
    }
}

/// The instances in full vectors, of which there are some, and the others.
fn whole_and_cut(scop: &Scop, strips: &Strips) -> Result<(isl::UnionSet, isl::UnionSet), Reason> {
    let site = Site::of(&strips.tree, &strips.outer)?;
    let cut = cut_boxes(scop, &strips.tree, &site, std::slice::from_ref(&strips.outer))?.coalesce()?;
    let whole = site.instances.subtract(&cut)?.coalesce()?;
    if whole.intersect_params(&scop.context)?.is_empty()? {
        return Reason::precondition(format!(
            "no vector of `{}` is full; `tail masked` runs such vectors",
            strips.member
        ));
    }
    Ok((whole, cut))
}

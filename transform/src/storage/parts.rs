//! Statements of which a command means some instances only: they become statements of their own.

use polyhedral::{Member, Node, Scop, Stmt, StmtId, TensorId, isl};

use crate::refused::Reason;
use crate::storage::evolve::free_stmt_name;
use crate::storage::formula::index_of;
use crate::storage::site::Site;
use crate::storage::uses::{statements, touches};

/// The program with every chosen statement that uses the tensor wholly inside the site or wholly outside, and the names of
/// the chosen ones there. What was partly inside is in two statements, `S` outside and `S.suffix` inside, in the same
/// order as before.
pub(crate) fn wholly_inside(
    scop: &Scop,
    site: &Site,
    tensor: TensorId,
    of: &[String],
    suffix: &str,
) -> Result<(Scop, Vec<String>), Reason> {
    let (mut after, mut names) = (scop.clone(), of.to_vec());
    for id in statements(scop, of)? {
        let stmt = &scop.stmts[id];
        let inside = site.inside(stmt)?;
        if !touches(stmt, tensor) || inside.is_empty()? || inside.is_equal(&stmt.domain)? {
            continue;
        }
        let name = free_stmt_name(&after, &format!("{}.{suffix}", stmt.name));
        for chosen in names.iter_mut().filter(|chosen| **chosen == stmt.name) {
            chosen.clone_from(&name);
        }
        after = Splitting::of(&after, id, &inside, &name)?.program(&after)?;
    }
    Ok((after, names))
}

/// One statement becoming two.
struct Splitting {
    stmt: StmtId,
    old: Stmt,
    rest: isl::Set,
    part: Stmt,
    /// From the part's instances under the old name to those under the new one.
    renamed: isl::Map,
    /// The same, and all other instances to themselves.
    renaming: isl::UnionMap,
}

impl Splitting {
    fn of(scop: &Scop, stmt: StmtId, inside: &isl::Set, name: &str) -> isl::Result<Splitting> {
        let old = scop.stmts[stmt].clone();
        let renamed = inside.identity()?.with_tuple_name(isl::Dim::Out, name)?;
        let others = scop.domain()?.subtract(&inside.to_union_set()?)?.identity()?;
        Ok(Splitting {
            stmt,
            rest: old.domain.subtract(inside)?.coalesce()?,
            part: Stmt { name: name.to_string(), domain: inside.with_tuple_name(name)?, ..old.clone() },
            renaming: others.union(&renamed.to_union_map()?)?,
            renamed,
            old,
        })
    }

    fn program(&self, scop: &Scop) -> isl::Result<Scop> {
        let mut after = Scop { source: Vec::new(), ..scop.clone() };
        after.stmts[self.stmt].domain = self.rest.clone();
        after.stmts.push(self.part.clone());
        after.origin = scop.origin.apply_domain(&self.renaming)?;
        after.tree.domain = scop.tree.domain.apply(&self.renaming)?;
        self.rename(&mut after.tree.root)?;
        Ok(after)
    }

    fn rename(&self, node: &mut Node) -> isl::Result<()> {
        match node {
            Node::Band(band) => band.members.iter_mut().try_for_each(|member| self.rename_in(member))?,
            Node::Sequence(children) | Node::Set(children) => {
                for child in children {
                    child.filter = child.filter.apply(&self.renaming)?;
                }
            }
            Node::Mark { .. } | Node::Leaf => {}
        }
        node.children_mut().into_iter().try_for_each(|child| self.rename(child))
    }

    fn rename_in(&self, member: &mut Member) -> isl::Result<()> {
        let mut schedule = isl::UnionPwAff::empty(member.schedule.ctx())?;
        for function in member.schedule.pw_affs()? {
            if function.space()?.tuple_name(isl::Dim::In) != self.old.name {
                schedule = schedule.union_add(&function.to_union_pw_aff()?)?;
                continue;
            }
            let rest = function.intersect_domain(&self.rest)?;
            schedule = schedule.union_add(&rest.to_union_pw_aff()?)?;
            schedule = schedule.union_add(&self.of_part(&function)?.to_union_pw_aff()?)?;
        }
        member.schedule = schedule;
        Ok(())
    }

    /// The function of the part's instances under their new name.
    fn of_part(&self, function: &isl::PwAff) -> isl::Result<isl::PwAff> {
        match index_of(function)? {
            // An expression keeps its form.
            Some(index) => {
                let domain = function.domain()?.apply(&self.renamed)?;
                index.to_pw_aff(&self.part.domain.space()?)?.intersect_domain(&domain)
            }
            None => function.to_map()?.apply_domain(&self.renamed)?.to_pw_multi_aff()?.at(0),
        }
    }
}

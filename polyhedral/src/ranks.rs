//! Programs on several ranks: which rank runs what, and what one of them runs.

use std::ops::Range;

use crate::{Axis, Index, Kind, Node, ScheduleTree, Scop, isl};

impl ScheduleTree {
    /// From the instances inside of loops on ranks to the rank that runs them. All others are run by every rank.
    ///
    /// # Errors
    /// isl's.
    pub fn ranks(&self) -> isl::Result<isl::UnionPwAff> {
        let mut all = isl::UnionPwAff::empty(self.domain.ctx())?;
        collect(&self.root, &self.domain, &mut all)?;
        Ok(all)
    }
}

fn collect(node: &Node, reach: &isl::UnionSet, all: &mut isl::UnionPwAff) -> isl::Result<()> {
    match node {
        Node::Leaf => Ok(()),
        Node::Mark { child, .. } => collect(child, reach, all),
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().try_for_each(|child| collect(&child.node, &reach.intersect(&child.filter)?, all))
        }
        Node::Band(band) => {
            for member in band.members.iter().filter(|member| member.kind.axis() == Some(Axis::Rank)) {
                *all = all.union_add(&member.schedule.intersect_domain(reach)?)?;
            }
            collect(&band.child, reach, all)
        }
    }
}

/// The members that are on ranks become loops like any other.
fn unbind(node: &mut Node) {
    if let Node::Band(band) = node {
        let on_ranks = band.members.iter_mut().filter(|member| member.kind.axis() == Some(Axis::Rank));
        on_ranks.for_each(|member| member.kind = Kind::Sequential);
    }
    node.children_mut().into_iter().for_each(unbind);
}

impl Scop {
    /// The numbers of the ranks that run something for these sizes, from the smallest to the largest; none when no loop is on
    /// ranks.
    ///
    /// # Errors
    /// isl's, also when there is no bound.
    pub fn rank_numbers(&self, sizes: &[i64]) -> isl::Result<Range<i64>> {
        let mut numbers = 0..0;
        for set in self.tree.ranks()?.to_union_map()?.range()?.sets()? {
            let mut set = set.intersect_params(&self.context)?.align_params(&self.param_space()?)?;
            for (at, &size) in sizes.iter().enumerate() {
                set = set.fix(isl::Dim::Param, at as u32, size)?;
            }
            if !set.is_empty()? {
                let (first, last) = (set.dim_min_val(0)?.to_i64()?, set.dim_max_val(0)?.to_i64()?);
                numbers = if numbers.is_empty() {
                    first..last + 1
                } else {
                    numbers.start.min(first)..numbers.end.max(last + 1)
                };
            }
        }
        Ok(numbers)
    }

    /// What one rank runs, whose number is one more parameter, the last one: of what is inside of loops on ranks its own
    /// iterations, and all of the rest.
    ///
    /// ```text
    /// band [t, io bound rank, i]   ->   band [t, io, i]    of the instances with io = rank
    /// ```
    ///
    /// That ranks which run this, and pass on what is written to messages, compute what the program does is for
    /// [`legality::isolated`](crate::legality::isolated) to say. After the filters for each processor of Amarasinghe and Lam,
    /// Communication Optimization and Code Generation for Distributed Memory Machines (PLDI 1993).
    ///
    /// # Errors
    /// isl's.
    pub fn of_one_rank(&self) -> isl::Result<Scop> {
        let mut name = String::from("rank");
        while self.params.contains(&name) {
            name.push('_');
        }
        let number = self.params.len();
        let mut one = Scop { source: Vec::new(), ..self.clone() };
        one.params.push(name);
        let params = one.param_space()?;
        one.context = one.context.align_params(&params)?;
        let ranks = self.tree.ranks()?.pw_affs()?;
        for (_, stmt) in one.stmts.iter_mut() {
            stmt.domain = stmt.domain.align_params(&params)?;
            for rank in
                ranks.iter().filter(|rank| rank.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == stmt.name))
            {
                let own = Index::Param(number).to_pw_aff(&stmt.domain.space()?)?.eq_set(rank)?;
                let elsewhere = stmt.domain.subtract(&rank.domain()?)?;
                stmt.domain = stmt.domain.intersect(&own)?.union(&elsewhere)?.align_params(&params)?.coalesce()?;
            }
        }
        one.tree.domain = one.domain()?;
        unbind(&mut one.tree.root);
        one.origin = one.origin.intersect_domain(&one.tree.domain)?;
        Ok(one)
    }
}

//! Loops that a nest lacks: it runs in one iteration of them.

use polyhedral::{Member, Scop, isl};

use crate::End;
use crate::place;
use crate::refused::Reason;

/// Loops on the way down to the body of a nest, and the instances that reach it.
pub(crate) struct Nest<'a> {
    /// The instances.
    pub(crate) instances: &'a isl::UnionSet,
    /// The loops, outermost first.
    pub(crate) loops: &'a [Member],
}

impl Nest<'_> {
    /// The loops of `deep` that this nest has none for, on the instances of this one: each value is that of the first or the
    /// last iteration of `deep` in the same iteration of the loops `outside` of both and of those that both have.
    ///
    /// ```text
    /// self  [m, n]      C.init        end first
    /// deep  [m, n, k]   C.update      ->           [k = 0]  C.init
    /// ```
    ///
    /// An embedding of imperfectly nested statements into one space of iterations: Ahmed, Mateev, Pingali, Synthesizing
    /// Transformations for Locality Enhancement of Imperfectly-Nested Loop Nests (IJPP 2001).
    ///
    /// # Errors
    /// When an instance has no such iteration.
    pub(crate) fn embedded(
        &self,
        scop: &Scop,
        deep: &Nest<'_>,
        outside: &[Member],
        end: End,
    ) -> Result<Vec<Member>, Reason> {
        let (both, missing) = deep.loops.split_at(self.loops.len());
        let around = |nested: &Nest<'_>, own: &[Member]| -> isl::Result<isl::UnionMap> {
            let outer = place::values_of(nested.instances, outside)?;
            outer.flat_range_product(&place::values_of(nested.instances, own)?)
        };
        let iterations = around(deep, both)?.reverse()?.apply_range(&place::values_of(deep.instances, missing)?)?;
        let iterations = match end {
            End::First => iterations.lexmin()?,
            End::Last => iterations.lexmax()?,
        };
        let values = around(self, self.loops)?.apply_range(&iterations)?;
        let lacking = self.instances.subtract(&values.domain()?)?.intersect_params(&scop.context)?;
        if !lacking.is_empty()? {
            let stmt = place::stmts_of(&lacking)?.into_iter().next().unwrap_or_default();
            let name = missing.first().map_or("", |member| member.name.as_str());
            return Reason::precondition(format!(
                "`{stmt}` cannot run in the loop `{name}`: for some sizes it has no iteration there"
            ));
        }
        // The first coordinate of the values is a constant.
        let own = |at: i32, member: &Member| {
            let schedule = coordinate(&values, at)?.intersect_domain(self.instances)?;
            Ok(Member { schedule, ..member.clone() })
        };
        (1i32..).zip(missing).map(|(at, member)| own(at, member)).collect()
    }
}

/// One coordinate of single-valued functions, also where sizes that cannot be would leave it open.
fn coordinate(values: &isl::UnionMap, at: i32) -> isl::Result<isl::UnionPwAff> {
    values.maps()?.iter().try_fold(isl::UnionPwAff::empty(values.ctx())?, |all, map| {
        let function = map.to_pw_multi_aff()?.at(at)?;
        all.union_add(&function.gist(&map.domain()?)?.to_union_pw_aff()?)
    })
}

//! What [`Stage::verify`] does not judge, or in words that a program without a text needs.

use std::collections::BTreeSet;

use support::{Entity, Span, Stage};

use super::Fault;
use crate::initialised::{EarlyRead, Witness, assigned, early_reads, listed, witness};
use crate::verify::{outside, shape};
use crate::{Access, Index, Role, Scop, Stmt, Subscript, TensorId, isl};

/// Everything that is wrong with the program. `down` says which dimensions hold the negative of their index.
pub(super) fn faults(scop: &Scop, down: &[Vec<bool>]) -> isl::Result<Vec<Fault>> {
    if let Err(malformed) = shape(scop) {
        return Ok(located(scop, malformed.faults));
    }
    let mut checker = Checker { scop, down, faults: Vec::new() };
    // An unbounded domain has no smallest point: verify says so, and nothing else is asked of it.
    if bounded(scop)? {
        checker.extents()?;
        checker.inside()?;
    }
    if !checker.faults.is_empty() {
        return Ok(checker.faults);
    }
    if let Err(malformed) = scop.verify() {
        return Ok(located(scop, malformed.faults));
    }
    checker.initialised()?;
    checker.complete()?;
    Ok(checker.faults)
}

fn bounded(scop: &Scop) -> isl::Result<bool> {
    for stmt in scop.stmts.values() {
        if !stmt.domain.is_bounded()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The places of what is named.
fn located(scop: &Scop, faults: Vec<(String, String)>) -> Vec<Fault> {
    let place = |entity: &str| {
        let stmt = scop.stmts.values().find(|stmt| stmt.name == entity).map(|stmt| stmt.span);
        stmt.or_else(|| scop.tensors.values().find(|tensor| tensor.name == entity).map(|tensor| tensor.span))
    };
    let located = faults.into_iter().map(|(entity, message)| {
        let span = place(&entity).unwrap_or_default();
        Fault { entity, message, span }
    });
    located.collect()
}

struct Checker<'s> {
    scop: &'s Scop,
    down: &'s [Vec<bool>],
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, entity: &str, message: String, span: Span) {
        self.faults.push(Fault { entity: entity.into(), message, span });
    }

    /// No extent is negative.
    fn extents(&mut self) -> isl::Result<()> {
        let space = self.scop.param_space()?.set_from_params()?;
        for tensor in self.scop.tensors.values() {
            for extent in &tensor.extent {
                let negative = (-extent.clone() - 1).to_pw_aff(&space)?.nonneg_set()?;
                if let Some(witness) = self.witness(&negative.intersect_params(&self.scop.context)?)? {
                    let shown = extent.display(&[], &self.scop.params);
                    let message = format!("the extent {shown} is negative{}", self.sizes(&witness));
                    self.fault(&tensor.name, message, tensor.span);
                }
            }
        }
        Ok(())
    }

    /// Affine accesses are inside their tensors.
    fn inside(&mut self) -> isl::Result<()> {
        for (at, stmt) in self.scop.stmts.values().enumerate() {
            for access in stmt.accesses() {
                let tensor = &self.scop.tensors[access.tensor];
                for (dim, subscript) in access.index.iter().enumerate() {
                    let Subscript::Affine(index) = subscript else { continue };
                    let (lower, extent) = (&tensor.lower[dim], &tensor.extent[dim]);
                    let outside = outside(&self.domain(stmt)?, index, lower, extent)?;
                    let Some(witness) = self.witness(&outside)? else { continue };
                    let message = self.leaves(at, stmt, access, dim, &witness);
                    self.fault(&stmt.name, message, access.span);
                }
            }
        }
        Ok(())
    }

    fn domain(&self, stmt: &Stmt) -> isl::Result<isl::Set> {
        stmt.domain.align_params(&self.scop.param_space()?)?.intersect_params(&self.scop.context)
    }

    fn leaves(&self, at: usize, stmt: &Stmt, access: &Access, dim: usize, witness: &Witness) -> String {
        let tensor = &self.scop.tensors[access.tensor];
        let value = |index: &Index, point: &[i64]| {
            index.eval(point, &witness.sizes).map_or("past 64 bits".to_string(), |value| value.to_string())
        };
        let subscript = match &access.index[dim] {
            Subscript::Affine(index) => value(index, &witness.point),
            Subscript::Indirect(_) => "computed".into(),
        };
        let lower = value(&tensor.lower[dim], &[]);
        let upper = value(&(tensor.lower[dim].clone() + tensor.extent[dim].clone()), &[]);
        format!(
            "subscript {dim} of `{}` is {subscript}, outside of {lower}..{upper},{}{}",
            tensor.name,
            self.instance(at, stmt, witness),
            self.sizes(witness)
        )
    }

    /// What an output or temporary element holds before it is written is not read.
    fn initialised(&mut self) -> isl::Result<()> {
        let own = |access: &Access| matches!(self.role(access.tensor), Role::Output | Role::Temporary);
        let mut told = BTreeSet::new();
        for read in early_reads(self.scop, &own)?.iter().filter(|read| read.access.affine().is_some()) {
            if told.insert((read.stmt, read.access.tensor)) {
                let message = self.not_written(read);
                let stmt = &self.scop.stmts[read.stmt];
                self.fault(&stmt.name, message, read.access.span);
            }
        }
        Ok(())
    }

    fn not_written(&self, read: &EarlyRead<'_>) -> String {
        let (tensor, stmt) = (&self.scop.tensors[read.access.tensor], &self.scop.stmts[read.stmt]);
        format!(
            "reads `{}{:?}` before it is written,{}{}",
            tensor.name,
            read.element().unwrap_or_default(),
            self.instance(read.stmt.index(), stmt, &read.witness),
            self.sizes(&read.witness)
        )
    }

    /// Every element of an output is written.
    fn complete(&mut self) -> isl::Result<()> {
        for (id, tensor) in self.scop.tensors.iter().filter(|(_, tensor)| tensor.role == Role::Output) {
            let mut left = self.scop.elements(id)?;
            for stmt in self.scop.stmts.values() {
                for access in assigned(stmt).filter(|access| access.tensor == id) {
                    left = left.subtract(&self.scop.relation(stmt, access)?.range()?)?;
                }
            }
            let Some(witness) = self.witness(&left)? else { continue };
            let message = format!("no statement writes `{}{:?}`{}", tensor.name, witness.point, self.sizes(&witness));
            self.fault(&tensor.name, message, tensor.span);
        }
        Ok(())
    }

    fn role(&self, tensor: TensorId) -> Role {
        self.scop.tensors[tensor].role
    }

    fn witness(&self, set: &isl::Set) -> isl::Result<Option<Witness>> {
        witness(self.scop, set)
    }

    /// ` at i = 0, j = 3`, as the indices of the program.
    fn instance(&self, at: usize, stmt: &Stmt, witness: &Witness) -> String {
        let down = self.down.get(at).map_or(&[] as &[bool], Vec::as_slice);
        let values = witness
            .point
            .iter()
            .enumerate()
            .map(|(dim, &value)| if down.get(dim) == Some(&true) { value.saturating_neg() } else { value });
        listed(" at ", &stmt.dims, values)
    }

    /// ` for N = 1`
    fn sizes(&self, witness: &Witness) -> String {
        listed(" for ", &self.scop.params, witness.sizes.iter().copied())
    }
}

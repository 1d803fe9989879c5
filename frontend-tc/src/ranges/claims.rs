//! Sizes of a definition that is called: what its tensors have at the call.

use polyhedral::{Expr, Index};
use support::Diagnostic;

use super::Inference;
use super::borders::with_index;
use crate::quasi::{Names, Quasi};
use crate::sema::{Claim, Claimed, Step, Subscript};

impl Inference<'_> {
    /// What a call says of an extent: it gives a size its value, or must be what another one is.
    pub(super) fn claim(&mut self, claim: &Claim) {
        let Some(range) = self.boxes[claim.tensor].as_ref().and_then(|elements| elements.get(claim.dim)).cloned()
        else {
            // The tensor was reported.
            self.sound = false;
            return;
        };
        let name = &self.program.tensors[claim.tensor].name;
        if range.first.as_constant() != Some(0) {
            let first = range.first.to_expr(Names::of_sizes(&self.program.sizes));
            let message = format!("`{name}` begins at {first}, and the definition that is called counts from 0");
            let error = Diagnostic::error("TC0413", message, claim.span);
            self.diagnostics.push(error.help("write a tensor that begins at 0, and give that one"));
            self.sound = false;
            return;
        }
        match &claim.extent {
            Claimed::Defines(size) => match range.extent() {
                Some(extent) => drop(self.sizes.insert(*size, extent)),
                None => self.sound = self.too_large(claim.span).unwrap_or(false),
            },
            Claimed::Equals(extent) => match self.with_values(extent) {
                Some(extent) => self.same_size(claim.tensor, claim.dim, &extent, &range, claim.span),
                None => self.sound = self.too_large(claim.span).unwrap_or(false),
            },
        }
    }

    /// `value` with the sizes that calls bound.
    pub(super) fn with_values(&self, value: &Quasi) -> Option<Quasi> {
        value.with_sizes(&|at| self.sizes.get(&at).cloned())
    }

    /// `step` with the sizes that calls bound.
    pub(super) fn with_claimed_sizes(&mut self, step: &Step) -> Option<Step> {
        let mut step = step.clone();
        if self.sizes.is_empty() {
            return Some(step);
        }
        match self.claimed_in(&mut step) {
            Some(()) => Some(step),
            None => self.too_large(step.span),
        }
    }

    pub(super) fn claimed_in(&self, step: &mut Step) -> Option<()> {
        let expr = |e: &Expr| with_index(e, &|index| self.index_with_values(index));
        step.value = expr(&step.value);
        for (first, last, _) in step.given.iter_mut().flatten() {
            (*first, *last) = (self.with_values(first)?, self.with_values(last)?);
        }
        let reads = step.reads.iter_mut().chain(&mut step.exists);
        for read in reads {
            for guard in &mut read.guards {
                guard.condition = std::sync::Arc::new(expr(&guard.condition));
                guard.known = guard.known.iter().map(|known| self.with_values(known)).collect::<Option<_>>()?;
            }
            for subscript in &mut read.index {
                *subscript = self.subscript_with_values(subscript)?;
            }
        }
        for subscript in &mut step.element {
            *subscript = self.subscript_with_values(subscript)?;
        }
        Some(())
    }

    pub(super) fn subscript_with_values(&self, subscript: &Subscript) -> Option<Subscript> {
        Some(match subscript {
            Subscript::Affine(value) => Subscript::Affine(self.with_values(value)?),
            Subscript::Indirect(e) => Subscript::Indirect(with_index(e, &|index| self.index_with_values(index))),
            Subscript::Border(border, inner) => {
                Subscript::Border(*border, Box::new(self.subscript_with_values(inner)?))
            }
            Subscript::Wrapped(_) => subscript.clone(),
        })
    }

    pub(super) fn index_with_values(&self, index: &Index) -> Index {
        let size = |at: usize| self.sizes.get(&at).map_or(Index::Param(at), Quasi::to_index);
        index.substitute(&Index::Dim, &size)
    }
}

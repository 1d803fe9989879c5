//! What a package says of a definition.

use polyhedral::Index;
use runtime::Formula;
use runtime::package::{Condition, Parameter};

use crate::convert::dtype;
use crate::{Definition, Error, Result};

/// The tensors of a call.
pub(super) fn arguments(def: &Definition) -> Result<Vec<Parameter>> {
    let arguments = def.inputs().chain(def.outputs()).map(|tensor| {
        Ok(Parameter {
            name: tensor.name.clone(),
            dtype: dtype(tensor.dtype),
            role: match tensor.role {
                polyhedral::Role::Input => runtime::Role::Input,
                polyhedral::Role::InOut => runtime::Role::InOut,
                polyhedral::Role::Output => runtime::Role::Output,
                polyhedral::Role::Temporary => return Err(Error::bug("a temporary is an argument")),
            },
            shape: formulas(def, &tensor.extent)?,
            size: tensor.size.map(|at| def.sizes[at].clone()),
        })
    });
    arguments.collect()
}

/// What must hold of the sizes.
pub(super) fn conditions(def: &Definition) -> Result<Vec<Condition>> {
    let conditions = def.preconditions.iter().map(|condition| {
        let (any, extents) = (formulas(def, &condition.any)?, formulas(def, &condition.extents)?);
        Ok(Condition { any, extents, text: condition.text.clone(), reason: condition.reason.clone() })
    });
    conditions.collect()
}

fn formulas(def: &Definition, all: &[Index]) -> Result<Vec<Formula>> {
    let of = |index| formula(index, &def.sizes).ok_or_else(|| Error::bug("an extent depends on a loop"));
    all.iter().map(of).collect()
}

/// An expression over sizes; `None` of one over dimensions too.
fn formula(index: &Index, sizes: &[String]) -> Option<Formula> {
    let of = |index: &Index| formula(index, sizes).map(Box::new);
    Some(match index {
        Index::Const(value) => Formula::Const(*value),
        Index::Dim(_) => return None,
        Index::Param(at) => Formula::Size(sizes.get(*at)?.clone()),
        Index::Add(a, b) => Formula::Add(of(a)?, of(b)?),
        Index::Mul(c, a) => Formula::Mul(Box::new(Formula::Const(*c)), of(a)?),
        Index::FloorDiv(a, c) => Formula::FloorDiv(of(a)?, *c),
        Index::Mod(a, c) => Formula::Mod(of(a)?, *c),
        Index::Min(a, b) => Formula::Min(of(a)?, of(b)?),
        Index::Max(a, b) => Formula::Max(of(a)?, of(b)?),
        Index::Select(test, then, otherwise) => Formula::Select(of(test)?, of(then)?, of(otherwise)?),
    })
}

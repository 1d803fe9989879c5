//! An object and the signature of its program for all sizes of a call, which follow from formulas.

use runtime::{Formula, Named, OpenArgument, OpenCode, OpenSignature};

use super::code::{argument_role, dtype};
use super::{Error, Object, Result};
use crate::formula::{at_least_0, formula, larger, plus, times};
use crate::{Buffer, Int, Place, Program, Stride};

impl Object {
    /// As [`Object::code`] for all sizes of a call: `parameters` says what the values of the program's parameters are, over the
    /// sizes of the call.
    ///
    /// # Errors
    /// [`Error::Malformed`] when an extent or an offset is no formula.
    pub fn open_code(&self, program: &Program, parameters: &[Formula]) -> Result<OpenCode> {
        let functions = self.math.iter().filter_map(|slot| Some((runtime::math::symbol(*slot)?, *slot))).collect();
        let checks = self.checks.clone();
        let signature = OpenSignature { checks, functions, ..open_signature(program, parameters)? };
        // SAFETY: as in `code`: the program is verified for all values of its parameters that it takes.
        Ok(unsafe { OpenCode::new(self.bytes.clone(), self.entry.clone(), signature) })
    }
}

/// The arguments in the order of the call, the sizes, and how much workspace there must be.
pub(crate) fn open_signature(program: &Program, parameters: &[Formula]) -> Result<OpenSignature> {
    let formula = |buffer: &Buffer, int: &Int| {
        formula(int, parameters, &|_| None)
            .ok_or_else(|| Error::Malformed(format!("the size of `{}` is no formula", buffer.name)))
    };
    let mut arguments: Vec<(usize, OpenArgument)> = Vec::new();
    let mut workspace_bytes = Formula::Const(0);
    for buffer in program.buffers.values() {
        let shape = buffer.shape().iter().map(|extent| formula(buffer, extent)).collect::<Result<Vec<_>>>()?;
        match &buffer.place {
            Place::Argument(at) => {
                let stride = |stride: &Stride| match stride {
                    Stride::Known(stride) => formula(buffer, stride).map(Some),
                    Stride::Runtime => Ok(None),
                };
                let strides = buffer.strides_of_shape().iter().map(stride).collect::<Result<_>>()?;
                let (name, dtype, role) = (buffer.name.clone(), dtype(buffer.dtype), argument_role(buffer)?);
                arguments.push((*at, OpenArgument { name, dtype, role, shape, strides }));
            }
            Place::Workspace(offset) => {
                let elements = shape.into_iter().fold(Formula::Const(1), |all, extent| times(all, at_least_0(extent)));
                let bytes = times(Formula::Const(buffer.dtype.bytes().into()), elements);
                workspace_bytes = larger(workspace_bytes, plus(formula(buffer, offset)?, bytes));
            }
            Place::Stack | Place::Shared => {}
        }
    }
    arguments.sort_by_key(|(at, _)| *at);
    Ok(OpenSignature {
        name: program.name.clone(),
        arguments: arguments.into_iter().map(|(_, argument)| argument).collect(),
        parameters: parameters.to_vec(),
        workspace_bytes,
        checks: Vec::new(),
        functions: Named::default(),
    })
}

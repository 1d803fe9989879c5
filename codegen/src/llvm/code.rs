//! An object and the signature of its program, as something that `runtime` maps.

use polyhedral::{DType, Role};
use runtime::{Argument, Code, Signature};

use super::{Error, Object, Result};
use crate::{Buffer, Int, Place, Program, Stride};

impl Object {
    /// What `runtime` needs to call the object: `program` is what it was made from, `sizes` the values of its parameters.
    /// The codes of one object for several sizes share its bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] when an extent or an offset cannot be computed.
    pub fn code(&self, program: &Program, sizes: &[i64]) -> Result<Code> {
        let signature = Signature { checks: self.checks.clone(), ..signature(program, sizes)? };
        // SAFETY: `compile` made the entry from this program. Its loads and stores lie inside the buffers that the
        // signature describes: the subscripts of a verified program do, and indirect ones are checked before use.
        Ok(unsafe { Code::new(self.bytes.clone(), self.entry.clone(), signature) })
    }
}

/// The arguments in the order of the call, the sizes, and how much workspace there must be.
pub(crate) fn signature(program: &Program, sizes: &[i64]) -> Result<Signature> {
    let mut arguments: Vec<(usize, Argument)> = Vec::new();
    let mut workspace_bytes = 0;
    for buffer in program.buffers.values() {
        let shape = buffer.shape().iter().map(|extent| value(buffer, extent, sizes)).collect::<Result<Vec<i64>>>()?;
        match &buffer.place {
            Place::Argument(at) => arguments.push((*at, argument(buffer, shape, sizes)?)),
            Place::Workspace(offset) => {
                workspace_bytes = end(buffer, &shape, value(buffer, offset, sizes)?)?.max(workspace_bytes);
            }
            Place::Stack | Place::Shared => {}
        }
    }
    arguments.sort_by_key(|(at, _)| *at);
    Ok(Signature {
        name: program.name.clone(),
        arguments: arguments.into_iter().map(|(_, argument)| argument).collect(),
        sizes: sizes.to_vec(),
        workspace_bytes: workspace_bytes as usize,
        checks: Vec::new(),
    })
}

/// One past the last byte of a buffer in the workspace.
fn end(buffer: &Buffer, shape: &[i64], offset: i64) -> Result<i64> {
    let elements = shape.iter().try_fold(1i64, |all, &extent| all.checked_mul(extent.max(0)));
    let bytes = elements.and_then(|elements| elements.checked_mul(buffer.dtype.bytes().into()));
    bytes.and_then(|bytes| offset.checked_add(bytes)).ok_or_else(|| overflow(buffer))
}

pub(super) fn argument_role(buffer: &Buffer) -> Result<runtime::Role> {
    match buffer.role {
        Role::Input => Ok(runtime::Role::Input),
        Role::Output => Ok(runtime::Role::Output),
        Role::InOut => Ok(runtime::Role::InOut),
        Role::Temporary => Err(Error::Malformed(format!("the temporary `{}` is an argument", buffer.name))),
    }
}

fn argument(buffer: &Buffer, shape: Vec<i64>, sizes: &[i64]) -> Result<Argument> {
    let role = argument_role(buffer)?;
    let stride = |stride: &Stride| match stride {
        Stride::Known(stride) => value(buffer, stride, sizes).map(Some),
        Stride::Runtime => Ok(None),
    };
    let strides = buffer.strides_of_shape().iter().map(stride).collect::<Result<_>>()?;
    Ok(Argument { name: buffer.name.clone(), dtype: dtype(buffer.dtype), role, shape, strides })
}

fn value(buffer: &Buffer, expression: &Int, sizes: &[i64]) -> Result<i64> {
    expression.eval(&|_| None, sizes).ok_or_else(|| overflow(buffer))
}

fn overflow(buffer: &Buffer) -> Error {
    Error::Malformed(format!("the size of `{}` cannot be computed", buffer.name))
}

/// The run time's name of an element type.
pub(super) fn dtype(dtype: DType) -> runtime::DType {
    dtype.name().parse().expect("both crates name all types alike; a test compares them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_the_same_name_and_width_on_both_sides() {
        for ours in DType::ALL {
            assert_eq!(dtype(ours).name(), ours.name());
            assert_eq!(dtype(ours).bytes(), ours.bytes() as usize);
        }
    }
}

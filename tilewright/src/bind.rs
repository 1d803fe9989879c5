//! From the shapes of a call to the values of the size parameters, and the call's errors as diagnostics.

use polyhedral::Index;
use runtime::{CallError, TensorError};
use smallvec::SmallVec;
use support::Diagnostic;

use crate::{Error, Result, convert};

/// The values of the size parameters, in their order.
pub type Sizes = SmallVec<[i64; 12]>;

/// What is known of an input before the call.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// The extent of each dimension.
    pub extent: &'a [i64],
    /// The type of an element, when it is known.
    pub dtype: Option<runtime::DType>,
}

/// The sizes that the inputs' shapes give.
///
/// # Errors
/// When a count, type, rank or extent does not fit, when two dimensions of one size disagree, and when a precondition
/// on the sizes does not hold: each names the argument.
pub fn sizes<'a>(def: &frontend_tc::Kernel, shapes: impl ExactSizeIterator<Item = Shape<'a>>) -> Result<Sizes> {
    let expected = def.inputs().count();
    if shapes.len() != expected {
        let names: Vec<String> = def.inputs().map(|input| format!("`{}`", input.name)).collect();
        let message = format!("`{}` expected {expected} inputs, found {}", def.name, shapes.len());
        return Err(Error::user(
            Diagnostic::call("TC0905", message).help(format!("the inputs are {}", names.join(", "))),
        ));
    }
    let mut known: SmallVec<[Option<i64>; 12]> = SmallVec::from_elem(None, def.sizes.len());
    for (input, shape) in def.inputs().zip(shapes) {
        check_type_and_rank(input, shape)?;
        for (dim, (extent, &found)) in input.extent.iter().zip(shape.extent).enumerate() {
            bind(def, input, dim, extent, found, &mut known)?;
        }
    }
    let sizes: Option<Sizes> = known.iter().copied().collect();
    let sizes = sizes.ok_or_else(|| Error::bug(format!("`{}`: a size is in no input's type", def.name)))?;
    preconditions(def, &sizes)?;
    Ok(sizes)
}

fn check_type_and_rank(input: &frontend_tc::Tensor, shape: Shape<'_>) -> Result<()> {
    let (name, expected) = (&input.name, convert::dtype(input.dtype));
    if let Some(found) = shape.dtype.filter(|&found| found != expected) {
        let message = format!("`{name}`: expected elements of type {expected}, found {found}");
        return Err(Error::user(Diagnostic::call("TC0906", message).help("convert the data before the call")));
    }
    let (rank, found) = (input.extent.len(), shape.extent.len());
    if rank != found {
        let message = format!("`{name}`: expected {rank} dimensions but found tensor with {found} dimensions");
        return Err(Error::user(Diagnostic::call("TC0907", message)));
    }
    Ok(())
}

fn bind(
    def: &frontend_tc::Kernel,
    input: &frontend_tc::Tensor,
    dim: usize,
    extent: &Index,
    found: i64,
    known: &mut [Option<i64>],
) -> Result<()> {
    let name = &input.name;
    let wrong = |message: String| Err(Error::user(Diagnostic::call("TC0908", message)));
    match extent {
        Index::Param(at) => match known[*at] {
            Some(size) if size != found => {
                wrong(format!("`{name}`: dimension {dim} is `{}` = {size}, but has extent {found}", def.sizes[*at]))
            }
            _ => {
                known[*at] = Some(found);
                Ok(())
            }
        },
        Index::Const(size) if *size != found => {
            wrong(format!("`{name}`: dimension {dim} must have extent {size}, but has {found}"))
        }
        _ => Ok(()),
    }
}

/// Checks what must hold of the sizes, and that every tensor's bytes can be counted.
///
/// # Errors
/// One diagnostic for each condition that does not hold, with the sizes that break it.
pub fn preconditions(def: &frontend_tc::Kernel, sizes: &[i64]) -> Result<()> {
    if let Some((name, size)) = def.sizes.iter().zip(sizes).find(|(_, size)| **size < 0) {
        return Err(Error::user(Diagnostic::call("TC0908", format!("the size `{name}` = {size} is negative"))));
    }
    let broken = def.check_sizes(sizes);
    if !broken.is_empty() {
        return Err(Error::in_no_source(broken));
    }
    for tensor in &def.tensors {
        let mut extents = tensor.extent.iter().map(|extent| extent.eval(&[], sizes));
        let bytes = extents.try_fold(i64::from(tensor.dtype.bytes()), |all, extent| all.checked_mul(extent?.max(1)));
        if bytes.is_none_or(|bytes| bytes > isize::MAX as i64 / 4) {
            let message = format!("`{}` would have more bytes than an address can count", tensor.name);
            return Err(Error::user(Diagnostic::call("TC0909", message).help("choose smaller sizes")));
        }
    }
    Ok(())
}

/// The run time's refusal of a call.
pub fn call(error: CallError) -> Error {
    let code = match error {
        CallError::IndexOutOfRange { .. } => "TC0911",
        _ => "TC0910",
    };
    Error::user(Diagnostic::call(code, error.to_string()))
}

/// The run time's refusal of a tensor.
pub fn tensor(error: TensorError) -> Error {
    Error::user(Diagnostic::call("TC0909", error.to_string()))
}

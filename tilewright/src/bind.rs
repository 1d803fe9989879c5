//! From the shapes of a call to the values of the size parameters, and the call's errors as diagnostics.

use polyhedral::Index;
use runtime::{CallError, TensorError, TensorView};
use smallvec::SmallVec;
use support::Diagnostic;

use crate::routine::{Routine, Tensor};
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
    /// The value of a scalar of whole numbers, when it is known.
    pub value: Option<i64>,
}

impl<'a> Shape<'a> {
    /// Of a tensor of a call.
    pub fn of(view: &'a TensorView<'_>) -> Shape<'a> {
        let value = if view.shape().is_empty() { scalar(view) } else { None };
        Shape { extent: view.shape(), dtype: Some(view.dtype()), value }
    }
}

/// The value of a scalar of whole numbers; `None` of one that 64 bits do not hold.
pub fn scalar(view: &TensorView<'_>) -> Option<i64> {
    macro_rules! of {
        ($($T:ty),*) => {
            $(if let Ok([value]) = view.as_slice::<$T>() {
                return i64::try_from(*value).ok();
            })*
        };
    }
    of!(i8, i16, i32, i64, u8, u16, u32, u64);
    None
}

/// For each size its value, where it is known.
pub type Known = SmallVec<[Option<i64>; 12]>;

/// The sizes that `given`, the inputs' shapes, and for sizes that are in no input the outputs' shapes give.
///
/// # Errors
/// When a count, type, rank or extent does not fit, when two dimensions of one size disagree, when a size is not known,
/// and when a precondition on the sizes does not hold: each names the argument.
pub fn sizes<'a>(
    routine: &Routine,
    given: &Known,
    inputs: impl ExactSizeIterator<Item = Shape<'a>> + Clone,
    outputs: impl Iterator<Item = Shape<'a>>,
) -> Result<Sizes> {
    let expected = routine.inputs().count();
    if inputs.len() != expected {
        let names: Vec<String> = routine.inputs().map(|input| format!("`{}`", input.name)).collect();
        let message = format!("`{}` expected {expected} inputs, found {}", routine.name, inputs.len());
        let help = if names.is_empty() { "there are none".into() } else { names.join(", ") };
        return Err(Error::user(Diagnostic::call("TC0905", message).help(format!("the inputs are {help}"))));
    }
    let mut known = given.clone();
    for (input, shape) in routine.inputs().zip(inputs.clone()) {
        check_type_and_rank(routine, input, shape)?;
        if let (Some(at), Some(value)) = (input.size, shape.value) {
            match known[at] {
                Some(size) if size != value => {
                    let name = &input.name;
                    let message = format!("`{name}` is {value}, and the size `{name}` was given as {size}");
                    return wrong_size(message, "the value of the scalar is the size: leave one of the two out".into());
                }
                _ => known[at] = Some(value),
            }
        }
        for (dim, (extent, &found)) in input.extent.iter().zip(shape.extent).enumerate() {
            bind(routine, input, dim, extent, found, &mut known)?;
        }
    }
    if known.contains(&None) {
        for (input, shape) in routine.inputs().zip(inputs.clone()) {
            for (extent, &found) in input.extent.iter().zip(shape.extent) {
                solve(extent, found, &mut known);
            }
        }
    }
    for (output, shape) in routine.outputs().zip(outputs) {
        learn(output, shape, &mut known);
    }
    let sizes: Option<Sizes> = known.iter().copied().collect();
    let sizes = sizes.ok_or_else(|| missing(routine, &known))?;
    for (input, shape) in routine.inputs().zip(inputs) {
        check_computed(routine, input, shape, &sizes)?;
    }
    preconditions(routine, &sizes)?;
    Ok(sizes)
}

fn check_type_and_rank(routine: &Routine, input: &Tensor, shape: Shape<'_>) -> Result<()> {
    let (name, expected) = (&input.name, convert::dtype(input.dtype));
    if let Some(found) = shape.dtype.filter(|&found| found != expected) {
        let message = format!("`{name}`: expected elements of type {expected}, found {found}");
        return Err(Error::user(Diagnostic::call("TC0906", message).help("convert the data before the call")));
    }
    let (rank, found) = (input.extent.len(), shape.extent.len());
    if rank != found {
        let message = format!("`{name}`: expected {rank} dimensions but found tensor with {found} dimensions");
        return Err(Error::user(Diagnostic::call("TC0907", message).help(declared(routine, input))));
    }
    Ok(())
}

/// How a tensor is declared.
fn declared(routine: &Routine, tensor: &Tensor) -> String {
    let extents = tensor.extent.iter().map(|extent| extent.display(&[], &routine.sizes).to_string());
    let (name, dtype) = (&tensor.name, convert::dtype(tensor.dtype));
    format!("it is declared `{dtype} {name}({})`", extents.collect::<Vec<_>>().join(", "))
}

fn bind(
    routine: &Routine,
    input: &Tensor,
    dim: usize,
    extent: &Index,
    found: i64,
    known: &mut [Option<i64>],
) -> Result<()> {
    let name = &input.name;
    match extent {
        Index::Param(at) => match known[*at] {
            Some(size) if size != found => {
                let size_name = &routine.sizes[*at];
                let message = format!("`{name}`: dimension {dim} is `{size_name}` = {size}, but has extent {found}");
                wrong_size(message, declared(routine, input))
            }
            _ => {
                known[*at] = Some(found);
                Ok(())
            }
        },
        Index::Const(size) if *size != found => {
            let message = format!("`{name}`: dimension {dim} must have extent {size}, but has {found}");
            wrong_size(message, declared(routine, input))
        }
        _ => Ok(()),
    }
}

/// The one size of a computed extent that is not known yet: `K` where `2 * K + 1` is 7. Whether it fits is checked when
/// all sizes are known.
fn solve(extent: &Index, found: i64, known: &mut [Option<i64>]) {
    let Some(affine) = extent.affine() else { return };
    let mut unknown = affine.params.iter().filter(|(at, _)| known[**at].is_none());
    let (Some((&at, &factor)), None) = (unknown.next(), unknown.next()) else { return };
    let rest = affine.params.iter().try_fold(affine.constant, |sum, (&at, &factor)| match known[at] {
        Some(size) => sum.checked_add(size.checked_mul(factor)?),
        None => Some(sum),
    });
    known[at] = rest.and_then(|rest| found.checked_sub(rest)?.checked_div(factor));
}

fn wrong_size<T>(message: String, help: String) -> Result<T> {
    Err(Error::user(Diagnostic::call("TC0908", message).help(help)))
}

/// Sizes that are not known yet from the shape of an output; whether it fits is for the call to say.
fn learn(output: &Tensor, shape: Shape<'_>, known: &mut [Option<i64>]) {
    if output.extent.len() == shape.extent.len() {
        for (extent, &found) in output.extent.iter().zip(shape.extent) {
            if let Index::Param(at) = extent {
                known[*at].get_or_insert(found);
            }
        }
    }
}

fn missing(routine: &Routine, known: &Known) -> Error {
    let unknown = routine.sizes.iter().zip(known).filter(|(_, size)| size.is_none());
    let names: Vec<String> = unknown.map(|(name, _)| format!("`{name}`")).collect();
    let (list, verb) = (names.join(", "), if names.len() == 1 { "is" } else { "are" });
    let message = format!("`{}`: {list} {verb} not known from the shapes of the arguments", routine.name);
    Error::user(Diagnostic::call("TC0933", message).help("give it with `Kernel::with_sizes`"))
}

/// Extents that are computed from sizes, `N + 2`.
fn check_computed(routine: &Routine, input: &Tensor, shape: Shape<'_>, sizes: &[i64]) -> Result<()> {
    for (dim, (extent, &found)) in input.extent.iter().zip(shape.extent).enumerate() {
        if extent.eval(&[], sizes) != Some(found) {
            let (name, formula) = (&input.name, extent.display(&[], &routine.sizes));
            let message = format!("`{name}`: dimension {dim} must have extent {formula}, but has {found}");
            return wrong_size(message, declared(routine, input));
        }
    }
    Ok(())
}

/// Machine code computes with sizes in 64 bits: with ones up to this no subscript and no end of a tile overflows. No machine
/// has as many addresses.
const LARGEST_SIZE: u64 = 1 << 56;

/// Checks what must hold of the sizes, and that every tensor's bytes can be counted. What a program beyond TC assumes is
/// checked when it is compiled for the sizes.
///
/// # Errors
/// One diagnostic for each condition that does not hold, with the sizes that break it.
pub fn preconditions(routine: &Routine, sizes: &[i64]) -> Result<()> {
    if let Some(def) = routine.definition() {
        if let Some((name, size)) = def.sizes.iter().zip(sizes).find(|(_, size)| **size < 0) {
            return wrong_size(format!("the size `{name}` = {size} is negative"), "sizes are 0 or more".into());
        }
        let broken = def.check_sizes(sizes);
        if !broken.is_empty() {
            return Err(Error::in_no_source(broken));
        }
    }
    for tensor in &routine.tensors {
        let mut extents = tensor.extent.iter().map(|extent| extent.eval(&[], sizes));
        let bytes = extents.try_fold(i64::from(tensor.dtype.bytes()), |all, extent| all.checked_mul(extent?.max(1)));
        if bytes.is_none_or(|bytes| bytes > isize::MAX as i64 / 4) {
            let message = format!("`{}` would have more bytes than an address can count", tensor.name);
            return Err(Error::user(Diagnostic::call("TC0909", message).help("choose smaller sizes")));
        }
    }
    // What bounds a range need not be the size of a tensor.
    if let Some((name, size)) = routine.sizes.iter().zip(sizes).find(|(_, size)| size.unsigned_abs() > LARGEST_SIZE) {
        let message = format!("the size `{name}` = {size} is larger than any loop counts to");
        return Err(Error::user(Diagnostic::call("TC0909", message).help("choose smaller sizes")));
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

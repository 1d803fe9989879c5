//! Where tensors are and how their elements lie.

use polyhedral::{Memory, Role, Scop, Tensor};
use support::Table;

use super::Options;
use crate::arena::{self, ALIGNMENT};
use crate::{Buffer, Int, Place, Program, Stride};

/// Rows shorter than so many of those are not made longer.
const LINES: i64 = 8;

/// The program with its buffers and without a body.
pub(crate) fn empty_program(scop: &Scop, options: &Options) -> Program {
    let mut argument = 0;
    let whole_lines = fit_in_whole_lines(scop);
    let buffers = scop.tensors.values().map(|tensor| {
        let extent = storage_extent(tensor);
        let mut strides = row_major(&extent);
        let place = if tensor.memory.is_own() {
            if whole_lines && tensor.memory == Memory::Stack {
                strides = row_major(&in_whole_lines(tensor, &extent));
            }
            Place::Stack
        } else if tensor.role == Role::Temporary {
            // A part of its own, until the loops are finished.
            Place::Workspace(Int::Const(0))
        } else {
            if options.runtime_strides.get(argument).copied().unwrap_or(false) {
                strides = vec![Stride::Runtime; extent.len()];
            }
            argument += 1;
            Place::Argument(argument - 1)
        };
        let (name, dtype, role, streamed) = (tensor.name.clone(), tensor.dtype, tensor.role, tensor.streamed);
        Buffer { name, dtype, extent, strides, rows: None, place, role, streamed }
    });
    arena::apart(Program {
        name: scop.name.clone(),
        params: scop.params.clone(),
        buffers: buffers.collect(),
        vars: Table::new(),
        regs: Table::new(),
        body: Vec::new(),
        parts: Vec::new(),
    })
}

impl Program {
    /// Bytes of workspace that a call needs, over the parameters.
    pub fn workspace(&self) -> Int {
        let ends = arena::in_workspace(self).map(|(_, buffer, offset)| offset.clone() + arena::room(buffer));
        ends.fold(Int::Const(0), Int::max)
    }
}

impl Buffer {
    /// The extents of the tensor: with the dimension that is two of its own taken apart.
    pub(crate) fn shape(&self) -> Vec<Int> {
        let mut shape = self.extent.clone();
        if let Some((dim, width)) = self.rows {
            shape[dim] = shape[dim].clone().floor_div(width);
            shape.insert(dim + 1, Int::Const(width));
        }
        shape
    }

    /// The strides of the tensor's dimensions.
    pub(crate) fn strides_of_shape(&self) -> Vec<Stride> {
        let mut strides = self.strides.clone();
        if let Some((dim, width)) = self.rows
            && let Stride::Known(inner) = &self.strides[dim]
        {
            strides.insert(dim, Stride::Known(width * inner.clone()));
        }
        strides
    }

    /// Whether devices find it at a multiple of the longest access of a thread: not a single element, nor what has strides of
    /// the call and may be a part of something.
    pub(crate) fn is_aligned(&self) -> bool {
        !self.strides.is_empty() && !self.strides.contains(&Stride::Runtime)
    }

    /// Its bytes, when extents and strides are constants.
    pub(crate) fn constant_bytes(&self) -> Option<i64> {
        let bytes = i64::from(self.dtype.bytes());
        let length = |(extent, stride): (&Int, &Stride)| match stride {
            Stride::Known(stride) => extent.as_const()?.max(0).checked_mul(stride.as_const()?),
            Stride::Runtime => None,
        };
        // A dimension with no elements makes it empty, and so does not count what the others would take.
        let lengths = self.extent.iter().zip(&self.strides).map(length).collect::<Option<Vec<i64>>>()?;
        let is_empty = lengths.contains(&0);
        let length = if is_empty { 0 } else { lengths.into_iter().max().unwrap_or(1) };
        length.checked_mul(bytes)
    }
}

/// The cells in each dimension of a tensor's memory.
fn storage_extent(tensor: &Tensor) -> Vec<Int> {
    let extent = tensor.layout.as_ref().map_or(&tensor.extent, |layout| &layout.extent);
    extent.iter().map(over_params).collect()
}

/// An expression of a tensor's shape.
pub(super) fn over_params(index: &polyhedral::Index) -> Int {
    // Shapes hold no dimensions: there is no statement around them.
    Int::from_index(index, &|_| Int::Const(0))
}

fn row_major(extent: &[Int]) -> Vec<Stride> {
    let mut strides: Vec<Stride> = Vec::with_capacity(extent.len());
    let mut step = Int::Const(1);
    for n in extent.iter().rev() {
        strides.push(Stride::Known(step.clone()));
        step = step * n.clone();
    }
    strides.reverse();
    strides
}

/// The extents with rows that are whole lines, where they are some lines long: vectors at the same place of all rows then
/// begin at a line, and no load or store is torn between two.
fn in_whole_lines(tensor: &Tensor, extent: &[Int]) -> Vec<Int> {
    let line = ALIGNMENT / i64::from(tensor.dtype.bytes().max(1));
    let mut rows = extent.to_vec();
    if let Some(row) = rows.last_mut()
        && let Some(elements) = row.as_const().filter(|elements| *elements >= LINES * line)
    {
        *row = line * (Int::Const(elements) + (line - 1)).floor_div(line);
    }
    rows
}

/// Whether tensors on the stack fit with rows of whole lines.
fn fit_in_whole_lines(scop: &Scop) -> bool {
    let on_stack = scop.tensors.values().filter(|tensor| tensor.memory == Memory::Stack);
    let mut padded = on_stack.map(|tensor| bytes(tensor, &in_whole_lines(tensor, &storage_extent(tensor))).as_const());
    let all = padded.try_fold(0i64, |all, bytes| all.checked_add(bytes?));
    all.is_some_and(|all| all <= Memory::STACK_BYTES)
}

fn bytes(tensor: &Tensor, extent: &[Int]) -> Int {
    i64::from(tensor.dtype.bytes()) * extent.iter().cloned().fold(Int::Const(1), |all, n| all * n)
}

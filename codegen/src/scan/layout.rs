//! Where tensors are and how their elements lie.

use polyhedral::{Memory, Role, Scop, Tensor};
use support::Table;

use super::Options;
use crate::{Buffer, Int, Place, Program, Stride};

/// Temporaries begin at multiples of this many bytes.
const ALIGNMENT: i64 = 64;

/// The program with its buffers and without a body.
pub(super) fn empty_program(scop: &Scop, options: &Options) -> Program {
    let (mut argument, mut offset) = (0, Int::Const(0));
    let buffers = scop.tensors.values().map(|tensor| {
        let extent = storage_extent(tensor);
        let mut strides = row_major(&extent);
        let place = if tensor.memory == Memory::Stack {
            Place::Stack
        } else if tensor.role == Role::Temporary {
            let here = offset.clone();
            offset = offset.clone() + aligned(bytes(tensor, &extent));
            Place::Workspace(here)
        } else {
            if options.runtime_strides.get(argument).copied().unwrap_or(false) {
                strides = vec![Stride::Runtime; extent.len()];
            }
            argument += 1;
            Place::Argument(argument - 1)
        };
        let (name, dtype, role, streamed) = (tensor.name.clone(), tensor.dtype, tensor.role, tensor.streamed);
        Buffer { name, dtype, extent, strides, place, role, streamed }
    });
    Program {
        name: scop.name.clone(),
        params: scop.params.clone(),
        buffers: buffers.collect(),
        vars: Table::new(),
        regs: Table::new(),
        body: Vec::new(),
    }
}

impl Program {
    /// Bytes of workspace that a call needs, over the parameters.
    pub fn workspace(&self) -> Int {
        let end = |buffer: &Buffer| match &buffer.place {
            Place::Workspace(offset) => {
                let elements = buffer.extent.iter().cloned().fold(Int::Const(1), |all, n| all * n);
                Some(offset.clone() + aligned(i64::from(buffer.dtype.bytes()) * elements))
            }
            Place::Argument(_) | Place::Stack => None,
        };
        self.buffers.values().filter_map(end).fold(Int::Const(0), Int::max)
    }
}

impl Buffer {
    /// Its bytes, when the extents are constants.
    pub(crate) fn constant_bytes(&self) -> Option<i64> {
        let bytes = i64::from(self.dtype.bytes());
        self.extent.iter().try_fold(bytes, |all, n| all.checked_mul(n.as_const()?.max(0)))
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

fn bytes(tensor: &Tensor, extent: &[Int]) -> Int {
    i64::from(tensor.dtype.bytes()) * extent.iter().cloned().fold(Int::Const(1), |all, n| all * n)
}

fn aligned(bytes: Int) -> Int {
    ALIGNMENT * (bytes + (ALIGNMENT - 1)).floor_div(ALIGNMENT)
}

//! Shape and strides: what they reach, and whether that is sound.

use super::{DType, Dims, Element, TensorError};
use smallvec::SmallVec;
use std::ops::Range;

/// The strides of a tensor of this shape whose elements lie side by side, the last dimension fastest.
pub fn row_major_strides(shape: &[i64]) -> Result<Dims, TensorError> {
    let mut strides = Dims::from_elem(1, shape.len());
    for dim in (1..shape.len()).rev() {
        let too_large = || TensorError::TooLarge { shape: shape.to_vec() };
        strides[dim - 1] = strides[dim].checked_mul(shape[dim].max(1)).ok_or_else(too_large)?;
    }
    Ok(strides)
}

/// The element type, the shape and the strides of a tensor, wherever its memory is.
///
/// The number of elements, and the distance in bytes of any two of them, fit in an `isize`.
#[derive(Clone)]
pub(crate) struct Layout {
    pub(crate) dtype: DType,
    pub(crate) shape: Dims,
    pub(crate) strides: Dims,
}

impl Layout {
    pub(crate) fn new(dtype: DType, shape: &[i64], strides: &[i64]) -> Result<Layout, TensorError> {
        if shape.len() != strides.len() {
            return Err(TensorError::RankMismatch { extents: shape.len(), strides: strides.len() });
        }
        if let Some((dim, &extent)) = shape.iter().enumerate().find(|(_, extent)| **extent < 0) {
            return Err(TensorError::NegativeExtent { dim, extent });
        }
        let layout = Layout { dtype, shape: shape.into(), strides: strides.into() };
        let (first, last) = layout.span().ok_or_else(|| layout.too_large())?;
        let bytes = (last - first).checked_add(1).and_then(|count| count.checked_mul(dtype.bytes() as i128));
        let fits = bytes.is_some_and(|bytes| bytes <= isize::MAX as i128) && layout.element_count().is_some();
        if fits { Ok(layout) } else { Err(layout.too_large()) }
    }

    pub(crate) fn too_large(&self) -> TensorError {
        TensorError::TooLarge { shape: self.shape.to_vec() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// How many elements there are, if their bytes can be counted.
    pub(crate) fn element_count(&self) -> Option<usize> {
        if self.is_empty() {
            return Some(0);
        }
        let count = self.shape.iter().try_fold(1_i64, |count, &extent| count.checked_mul(extent))?;
        let bytes = count.checked_mul(self.dtype.bytes() as i64)?;
        (bytes <= isize::MAX as i64).then_some(count as usize)
    }

    /// How many bytes the elements have, side by side.
    #[cfg(feature = "device")]
    pub(crate) fn bytes(&self) -> Result<usize, TensorError> {
        self.element_count().map(|count| count * self.dtype.bytes()).ok_or_else(|| self.too_large())
    }

    /// Checks that the elements lie side by side in row-major order.
    pub(crate) fn is_dense(&self) -> Result<(), TensorError> {
        let mut dense = 1_i64;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if extent > 1 && stride != dense && !self.is_empty() {
                let (shape, strides) = (self.shape.to_vec(), self.strides.to_vec());
                return Err(TensorError::NotContiguous { shape, strides });
            }
            dense = dense.saturating_mul(extent);
        }
        Ok(())
    }

    /// Checks that another tensor has as many elements in each dimension, of the same type.
    pub(crate) fn is_like(&self, other: &Layout) -> Result<(), TensorError> {
        if self.dtype != other.dtype {
            return Err(TensorError::WrongType { expected: self.dtype, found: other.dtype });
        }
        if self.shape != other.shape {
            return Err(TensorError::WrongShape { expected: self.shape.to_vec(), found: other.shape.to_vec() });
        }
        Ok(())
    }

    /// The distances in elements of the first element of each row from the one with all subscripts zero, in row-major order:
    /// a row is what the last dimension runs over.
    pub(crate) fn rows(&self) -> impl Iterator<Item = isize> + use<> {
        let outer = self.shape.len().saturating_sub(1);
        let (shape, strides) = (self.shape[..outer].to_vec(), self.strides[..outer].to_vec());
        let mut next = if self.is_empty() { None } else { Some(vec![0_i64; outer]) };
        std::iter::from_fn(move || {
            let at = next.take()?;
            let distance: i64 = at.iter().zip(&strides).map(|(at, stride)| at * stride).sum();
            next = (0..outer).rev().find(|&dim| at[dim] + 1 < shape[dim]).map(|dim| {
                let mut following = at;
                following[dim] += 1;
                following[dim + 1..].fill(0);
                following
            });
            Some(distance as isize)
        })
    }

    /// The offsets of the lowest and the highest element from the one with all subscripts zero. `None` on overflow.
    fn span(&self) -> Option<(i128, i128)> {
        let (mut first, mut last) = (0_i128, 0_i128);
        for (&extent, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = i128::from(extent.max(1) - 1) * i128::from(stride);
            first = first.checked_add(reach.min(0))?;
            last = last.checked_add(reach.max(0))?;
        }
        Some((first, last))
    }

    /// Checks that a tensor that starts at `offset` of a slice of `length` elements stays inside it.
    pub(crate) fn stays_inside(&self, offset: usize, length: usize) -> Result<(), TensorError> {
        let (first, last) = self.span().ok_or_else(|| self.too_large())?;
        let (first, last) = (first + offset as i128, last + offset as i128);
        if self.is_empty() || (first >= 0 && last < length as i128) {
            Ok(())
        } else {
            Err(TensorError::OutOfBounds { first, last, length })
        }
    }

    /// Checks that no two subscripts name one element.
    ///
    /// The condition is sufficient: with the dimensions in order of stride, each steps over all that the ones before
    /// it reach. It holds for every permuted, sliced, reversed or padded tensor.
    pub(crate) fn has_distinct_elements(&self) -> Result<(), TensorError> {
        if self.is_empty() {
            return Ok(());
        }
        let mut dims: SmallVec<[(u64, i64); 6]> =
            self.strides.iter().zip(&self.shape).map(|(stride, &extent)| (stride.unsigned_abs(), extent)).collect();
        dims.retain(|&mut (_, extent)| extent > 1);
        dims.sort_unstable();
        let mut reach = 0_i128;
        for (stride, extent) in dims {
            if i128::from(stride) <= reach {
                let (shape, strides) = (self.shape.to_vec(), self.strides.to_vec());
                return Err(TensorError::Overlapping { shape, strides });
            }
            reach += i128::from(stride) * i128::from(extent - 1);
        }
        Ok(())
    }

    /// Where the elements are if the one with all subscripts zero is at `data`.
    pub(crate) fn byte_range(&self, data: usize) -> Range<usize> {
        let Some((first, last)) = self.span().filter(|_| !self.is_empty()) else { return data..data };
        let bytes = self.dtype.bytes() as i128;
        let at = |element: i128| data.wrapping_add((element * bytes) as usize);
        at(first)..at(last + 1)
    }

    /// How many elements a slice of `T` over all of them has.
    pub(crate) fn slice_length<T: Element>(&self) -> Result<usize, TensorError> {
        if T::DTYPE != self.dtype {
            return Err(TensorError::WrongType { expected: T::DTYPE, found: self.dtype });
        }
        if self.is_empty() {
            return Ok(0);
        }
        self.is_dense()?;
        self.element_count().ok_or_else(|| self.too_large())
    }
}

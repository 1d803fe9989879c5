//! A tensor with memory of its own.

use super::{DType, Element, Layout, TensorError, TensorView, TensorViewMut, row_major_strides};
use crate::abi::ALIGNMENT;
use std::alloc::{self, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A tensor that owns its memory: row-major, aligned for vectors.
pub struct Tensor {
    layout: Layout,
    buffer: Buffer,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: &[i64]) -> Result<Tensor, TensorError> {
        let layout = Layout::new(dtype, shape, &row_major_strides(shape)?)?;
        let count = layout.element_count().ok_or_else(|| layout.too_large())?;
        let buffer = Buffer::zeroed(count * dtype.bytes()).ok_or_else(|| layout.too_large())?;
        Ok(Tensor { layout, buffer })
    }

    /// A tensor with the elements of `data` in row-major order; there must be exactly as many as the shape has.
    pub fn from_slice<T: Element>(data: &[T], shape: &[i64]) -> Result<Tensor, TensorError> {
        let mut tensor = Tensor::zeros(T::DTYPE, shape)?;
        let elements = tensor.as_mut_slice::<T>()?;
        if elements.len() != data.len() {
            let last = elements.len() as i128 - 1;
            return Err(TensorError::OutOfBounds { first: 0, last, length: data.len() });
        }
        elements.copy_from_slice(data);
        Ok(tensor)
    }

    /// A tensor with the elements whose bytes these are, in row-major order and in this machine's byte order.
    ///
    /// Fails unless there are exactly as many as the shape has, and unless bytes of `bool` elements are 0 or 1.
    pub fn from_bytes(dtype: DType, shape: &[i64], bytes: &[u8]) -> Result<Tensor, TensorError> {
        let mut tensor = Tensor::zeros(dtype, shape)?;
        let length = tensor.buffer.bytes;
        if length != bytes.len() {
            let last = length as i128 / dtype.bytes() as i128 - 1;
            return Err(TensorError::OutOfBounds { first: 0, last, length: bytes.len() / dtype.bytes() });
        }
        if dtype == DType::BOOL && bytes.iter().any(|byte| *byte > 1) {
            return Err(TensorError::Unsupported("a byte of a bool element is neither 0 nor 1"));
        }
        // SAFETY: the buffer has this length, nobody else has it, and the bytes are values of the element type.
        unsafe { std::slice::from_raw_parts_mut(tensor.buffer.as_mut_ptr(), length) }.copy_from_slice(bytes);
        Ok(tensor)
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.layout.dtype
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> &[i64] {
        &self.layout.shape
    }

    /// The tensor, to read.
    pub fn view(&self) -> TensorView<'_> {
        TensorView { layout: self.layout.clone(), data: self.buffer.start.as_ptr(), memory: PhantomData }
    }

    /// The tensor, to write.
    pub fn view_mut(&mut self) -> TensorViewMut<'_> {
        TensorViewMut { layout: self.layout.clone(), data: self.buffer.start.as_ptr(), memory: PhantomData }
    }

    /// The elements in row-major order.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        self.view().as_slice()
    }

    /// The elements in row-major order, to write.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], TensorError> {
        let length = self.layout.slice_length::<T>()?;
        // SAFETY: the buffer has room for `length` elements of type `T`, is aligned for every element type, was zeroed,
        // and zero is a value of each of them; `&mut self` has it alone.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.buffer.start.as_ptr().cast(), length) })
    }

    /// The bytes of the elements in row-major order.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the buffer is initialised and has this length; every element type is plain bytes without padding.
        unsafe { std::slice::from_raw_parts(self.buffer.start.as_ptr(), self.buffer.bytes) }
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Tensor {
        let buffer = Buffer::zeroed(self.buffer.bytes).unwrap_or_else(|| handle_alloc_error(self.buffer.layout()));
        // SAFETY: both buffers have this length, and the new one is not part of the old one.
        unsafe { self.buffer.start.copy_to_nonoverlapping(buffer.start, self.buffer.bytes) };
        Tensor { layout: self.layout.clone(), buffer }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}{:?})", self.layout.dtype, self.layout.shape)
    }
}

/// Bytes aligned to [`ALIGNMENT`], zero at first.
pub(crate) struct Buffer {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a buffer owns plain bytes.
unsafe impl Send for Buffer {}
// SAFETY: as above; a shared buffer gives out no way to write.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// An aligned address without memory.
    const NOWHERE: NonNull<u8> =
        NonNull::new(std::ptr::without_provenance_mut(ALIGNMENT)).expect("an alignment is not zero");

    /// `None` if there is not so much memory.
    pub(crate) fn zeroed(bytes: usize) -> Option<Buffer> {
        let layout = alloc::Layout::from_size_align(bytes, ALIGNMENT).ok()?;
        if bytes == 0 {
            return Some(Buffer { start: Buffer::NOWHERE, bytes });
        }
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc::alloc_zeroed(layout) })?;
        Some(Buffer { start, bytes })
    }

    fn layout(&self) -> alloc::Layout {
        alloc::Layout::from_size_align(self.bytes, ALIGNMENT).expect("it was allocated so")
    }

    /// The first byte, aligned to [`ALIGNMENT`].
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: `start` came from the allocator with this layout.
            unsafe { alloc::dealloc(self.start.as_ptr(), self.layout()) };
        }
    }
}

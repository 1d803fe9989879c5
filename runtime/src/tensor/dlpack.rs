//! The structures of DLPack 1.0 (`dlpack.h`), to take tensors of other libraries without a copy.

use super::{DType, Dims, Layout, TensorError, TensorView, TensorViewMut, row_major_strides};
use std::ffi::c_void;
use std::marker::PhantomData;

/// A device: its kind, and which one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDevice {
    /// The kind; memory of the CPU is 1.
    pub device_type: i32,
    /// Which one.
    pub device_id: i32,
}

impl DLDevice {
    /// Memory of this process.
    pub const CPU: DLDevice = DLDevice { device_type: 1, device_id: 0 };
}

/// The type of an element.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDataType {
    /// What kind of number.
    pub code: u8,
    /// How many bits.
    pub bits: u8,
    /// How many numbers make one element.
    pub lanes: u16,
}

/// A tensor that somebody else owns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DLTensor {
    /// The memory; `byte_offset` is not yet added.
    pub data: *mut c_void,
    /// Where the memory is.
    pub device: DLDevice,
    /// How many dimensions.
    pub ndim: i32,
    /// The type of the elements.
    pub dtype: DLDataType,
    /// `ndim` extents.
    pub shape: *const i64,
    /// `ndim` strides in elements, or null for row-major order.
    pub strides: *const i64,
    /// The distance of the element with all subscripts zero from `data`, in bytes.
    pub byte_offset: u64,
}

impl<'a> TensorView<'a> {
    /// A tensor of another library, to read.
    ///
    /// # Safety
    ///
    /// `shape`, and `strides` unless null, point to `ndim` numbers; every element they reach is initialised and valid
    /// for its type, and nobody writes it for `'a`.
    pub unsafe fn from_dlpack(tensor: &DLTensor) -> Result<TensorView<'a>, TensorError> {
        // SAFETY: the caller says so.
        let (layout, data) = unsafe { describe(tensor) }?;
        Ok(TensorView { layout, data, memory: PhantomData })
    }
}

impl<'a> TensorViewMut<'a> {
    /// A tensor of another library, to write.
    ///
    /// # Safety
    ///
    /// As for [`TensorView::from_dlpack`], and nobody else reads or writes the elements for `'a`.
    pub unsafe fn from_dlpack(tensor: &DLTensor) -> Result<TensorViewMut<'a>, TensorError> {
        // SAFETY: the caller says so.
        let (layout, data) = unsafe { describe(tensor) }?;
        layout.has_distinct_elements()?;
        Ok(TensorViewMut { layout, data, memory: PhantomData })
    }
}

/// The layout of `tensor` and the address of its element with all subscripts zero.
///
/// # Safety
///
/// `shape`, and `strides` unless null, point to `ndim` numbers.
unsafe fn describe(tensor: &DLTensor) -> Result<(Layout, *mut u8), TensorError> {
    let unsupported = |what| Err(TensorError::Unsupported(what));
    let Some(dtype) = DType::from_dlpack(tensor.dtype.code, tensor.dtype.bits) else {
        return unsupported("the element type is not one that kernels know");
    };
    if tensor.dtype.lanes != 1 {
        return unsupported("elements of several lanes are not supported");
    }
    if tensor.device.device_type != DLDevice::CPU.device_type {
        return unsupported("the tensor is not in memory of the CPU");
    }
    let Ok(rank) = usize::try_from(tensor.ndim) else {
        return unsupported("the number of dimensions is negative");
    };
    // SAFETY: the caller says that `shape` has `rank` numbers.
    let shape = unsafe { numbers(tensor.shape, rank) };
    let strides = if tensor.strides.is_null() {
        row_major_strides(&shape)?
    } else {
        // SAFETY: the caller says that `strides` has `rank` numbers.
        unsafe { numbers(tensor.strides, rank) }
    };
    let layout = Layout::new(dtype, &shape, &strides)?;
    let Ok(offset) = usize::try_from(tensor.byte_offset) else {
        return unsupported("the byte offset does not fit in an address");
    };
    let data = tensor.data.cast::<u8>().wrapping_add(offset);
    if !layout.is_empty() && data.is_null() {
        return unsupported("the tensor has elements, but no memory");
    }
    if !layout.is_empty() && !(data as usize).is_multiple_of(dtype.bytes()) {
        return unsupported("the elements are not aligned to their size");
    }
    Ok((layout, data))
}

/// # Safety
///
/// `start` points to `rank` numbers, or `rank` is 0.
unsafe fn numbers(start: *const i64, rank: usize) -> Dims {
    if rank == 0 {
        return Dims::new();
    }
    // SAFETY: the caller says so.
    Dims::from_slice(unsafe { std::slice::from_raw_parts(start, rank) })
}

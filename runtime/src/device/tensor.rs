//! Tensors in the memory of a device.

use super::driver::{Handle, Kind, Object};
use super::{Api, Device, DeviceError, Plan};
use crate::tensor::{DType, Layout, row_major_strides};
use std::ffi::c_void;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A tensor in the memory of a device. Clones share their elements.
#[derive(Clone)]
pub struct DeviceTensor {
    device: Device,
    memory: Arc<Object>,
    /// Bytes from the start of the memory to the element with all subscripts zero.
    offset: usize,
    layout: Layout,
}

impl DeviceTensor {
    pub(super) fn allocate(device: &Device, dtype: DType, shape: &[i64]) -> Result<DeviceTensor, DeviceError> {
        let layout = Layout::new(dtype, shape, &row_major_strides(shape)?)?;
        let bytes = layout.bytes()?;
        let memory = Arc::new(memory(device, bytes)?);
        Ok(DeviceTensor { device: device.clone(), memory, offset: 0, layout })
    }

    /// A tensor in memory of the caller's: a `CUdeviceptr` or a `cl_mem`, and how many bytes in it the element with all
    /// subscripts zero is at. Strides count elements.
    ///
    /// Of OpenCL memory an offset is a multiple of the device's [alignment](super::About::alignment), and strides are not
    /// negative.
    ///
    /// # Safety
    /// The memory is the device's, and that of all elements is there as long as the result and its clones are in use and
    /// what was launched with them is not done. Nothing else touches it meanwhile, unless all only read.
    ///
    /// # Errors
    /// When shape and strides are none of a tensor.
    pub unsafe fn borrow(
        device: &Device,
        memory: *mut c_void,
        offset: usize,
        dtype: DType,
        (shape, strides): (&[i64], &[i64]),
    ) -> Result<DeviceTensor, DeviceError> {
        let layout = Layout::new(dtype, shape, strides)?;
        let memory = Object::borrow(&device.driver, Handle(memory.expose_provenance() as u64));
        Ok(DeviceTensor { device: device.clone(), memory: Arc::new(memory), offset, layout })
    }

    /// The tensor seen in another way: the elements of this tensor, which is in row-major order, from an element on with
    /// other extents and strides. It shares its elements.
    ///
    /// # Errors
    /// When an element lies outside.
    pub fn view(&self, offset: usize, shape: &[i64], strides: &[i64]) -> Result<DeviceTensor, DeviceError> {
        self.layout.is_dense()?;
        let layout = Layout::new(self.layout.dtype, shape, strides)?;
        let element = self.layout.dtype.bytes();
        layout.stays_inside(offset, self.layout.bytes()? / element)?;
        let offset = self.offset + offset * element;
        Ok(DeviceTensor { device: self.device.clone(), memory: self.memory.clone(), offset, layout })
    }

    /// Where it is.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.layout.dtype
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> &[i64] {
        &self.layout.shape
    }

    /// The distance of neighbours in each dimension, in elements.
    pub fn strides(&self) -> &[i64] {
        &self.layout.strides
    }

    /// Whether the element with all subscripts zero is where kernels for known strides take it: on CUDA at a multiple of
    /// [`Plan::VECTOR_BYTES`], on OpenCL anywhere.
    pub fn is_aligned(&self) -> bool {
        match self.device.about().api {
            Api::Cuda => self.bytes().1.is_empty() || self.address().is_multiple_of(Plan::VECTOR_BYTES),
            Api::OpenCl => true,
        }
    }

    /// On CUDA.
    fn address(&self) -> usize {
        self.memory.handle.0 as usize + self.offset
    }

    /// The memory, a `CUdeviceptr` or a `cl_mem`, and how many bytes in it the element with all subscripts zero is at.
    pub fn as_raw(&self) -> (*mut c_void, usize) {
        (std::ptr::with_exposed_provenance_mut(self.memory.handle.0 as usize), self.offset)
    }

    pub(super) fn memory(&self) -> Handle {
        self.memory.handle
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What a kernel is handed.
    pub(super) fn part(&self) -> Result<Object, DeviceError> {
        let driver = &self.device.driver;
        let bytes = self.layout.byte_range(0).end;
        // SAFETY: the memory is the driver's, and was checked or vouched for to hold all elements.
        let (handle, is_own) = unsafe { driver.part(self.memory.handle, self.offset, bytes) }?;
        Ok(if is_own { Object::own(driver, Kind::Part, handle) } else { Object::borrow(driver, handle) })
    }

    /// Which bytes it lies in. Addresses of one memory can be compared; those of OpenCL are offsets in it.
    pub(super) fn bytes(&self) -> (u64, Range<usize>) {
        match self.device.about().api {
            Api::Cuda => (0, self.layout.byte_range(self.address())),
            Api::OpenCl => (self.memory.handle.0, self.layout.byte_range(self.offset)),
        }
    }
}

/// As many bytes of a device.
pub(super) fn memory(device: &Device, bytes: usize) -> Result<Object, DeviceError> {
    let handle = device.driver.allocate(bytes.max(1))?;
    Ok(Object::own(&device.driver, Kind::Memory, handle))
}

impl fmt::Debug for DeviceTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layout { dtype, shape, strides } = &self.layout;
        write!(f, "DeviceTensor({}, {dtype}{shape:?}, strides {strides:?})", self.device.about().name)
    }
}

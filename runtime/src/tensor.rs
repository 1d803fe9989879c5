//! Caller-owned memory, described as DLPack describes it: element type, shape, strides, byte offset, pointer.
//!
//! [`TensorView`] and [`TensorViewMut`] borrow; [`Tensor`] owns. A view made from a slice is checked: every element
//! that its shape and strides reach lies in the slice. Strides count elements.
//!
//! ```
//! use runtime::tensor::{DType, Tensor, TensorView};
//!
//! let pixels = [1_u8, 2, 3, 4, 5, 6];
//! let image = TensorView::new(&pixels, &[2, 3])?;
//! let second_column = TensorView::with_strides(&pixels, 1, &[2], &[3])?;
//! assert_eq!((image.dtype(), second_column.strides()), (DType::UINT8, &[3][..]));
//!
//! let mut result = Tensor::zeros(DType::FLOAT32, &[2, 3])?;
//! result.as_mut_slice::<f32>()?[5] = 1.0;
//! # Ok::<(), runtime::tensor::TensorError>(())
//! ```

mod dlpack;
mod dtype;
mod layout;
mod owned;
mod typed;

pub use dlpack::{DLDataType, DLDevice, DLTensor};
pub use dtype::{Bf16, DType, Element, F16};
pub use layout::row_major_strides;
pub use owned::Tensor;
pub use typed::{View, ViewMut};

pub(crate) use layout::Layout;
pub(crate) use owned::Buffer;

use smallvec::SmallVec;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// Extents or strides. Up to six dimensions need no allocation.
pub type Dims = SmallVec<[i64; 6]>;

/// Why memory cannot be seen as a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// An extent is negative.
    #[error("dimension {dim} has the negative extent {extent}")]
    NegativeExtent {
        /// The dimension, from 0.
        dim: usize,
        /// Its extent.
        extent: i64,
    },
    /// Shape and strides have different lengths.
    #[error("{extents} extents, but {strides} strides")]
    RankMismatch {
        /// How many extents there are.
        extents: usize,
        /// How many strides there are.
        strides: usize,
    },
    /// The tensor has more bytes than memory can have.
    #[error("a tensor of shape {shape:?} does not fit in memory")]
    TooLarge {
        /// Its shape.
        shape: Vec<i64>,
    },
    /// An element lies outside the memory given.
    #[error("elements {first} to {last} are addressed, but there are {length}")]
    OutOfBounds {
        /// The lowest element addressed.
        first: i128,
        /// The highest element addressed.
        last: i128,
        /// How many elements the memory has.
        length: usize,
    },
    /// Two subscripts of a tensor that is written may name one element.
    #[error("with shape {shape:?} and strides {strides:?} two subscripts may name the same element")]
    Overlapping {
        /// Its shape.
        shape: Vec<i64>,
        /// Its strides.
        strides: Vec<i64>,
    },
    /// Two tensors that go together have different extents.
    #[error("shape {found:?} is not {expected:?}")]
    WrongShape {
        /// The shape of one.
        expected: Vec<i64>,
        /// The shape of the other.
        found: Vec<i64>,
    },
    /// The elements have another type.
    #[error("elements are {found}, not {expected}")]
    WrongType {
        /// The type asked for.
        expected: DType,
        /// The type of the elements.
        found: DType,
    },
    /// There is another number of dimensions.
    #[error("expected {expected} dimensions, found {found}")]
    WrongRank {
        /// The number asked for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A slice was asked for, and the elements do not lie side by side in row-major order.
    #[error("shape {shape:?} with strides {strides:?} is not contiguous")]
    NotContiguous {
        /// Its shape.
        shape: Vec<i64>,
        /// Its strides.
        strides: Vec<i64>,
    },
    /// A DLPack description that a kernel on this machine cannot use.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// A tensor that is read: borrowed memory and how to walk it.
#[derive(Clone)]
pub struct TensorView<'a> {
    layout: Layout,
    data: *const u8,
    memory: PhantomData<&'a [u8]>,
}

/// A tensor that is written: borrowed memory in which every subscript has an element of its own.
pub struct TensorViewMut<'a> {
    layout: Layout,
    data: *mut u8,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a view is a shared reference to elements of plain types, which may go to and be read from other threads.
unsafe impl Send for TensorView<'_> {}
// SAFETY: as above.
unsafe impl Sync for TensorView<'_> {}
// SAFETY: a mutable view is an exclusive reference to elements of plain types.
unsafe impl Send for TensorViewMut<'_> {}
// SAFETY: a shared mutable view allows reads only.
unsafe impl Sync for TensorViewMut<'_> {}

impl<'a> TensorView<'a> {
    /// The first elements of `data` as a tensor of this shape in row-major order.
    pub fn new<T: Element>(data: &'a [T], shape: &[i64]) -> Result<TensorView<'a>, TensorError> {
        TensorView::with_strides(data, 0, shape, &row_major_strides(shape)?)
    }

    /// A strided view of `data` whose element with all subscripts zero is `data[offset]`.
    pub fn with_strides<T: Element>(
        data: &'a [T],
        offset: usize,
        shape: &[i64],
        strides: &[i64],
    ) -> Result<TensorView<'a>, TensorError> {
        let layout = Layout::new(T::DTYPE, shape, strides)?;
        layout.stays_inside(offset, data.len())?;
        let data = data.as_ptr().wrapping_add(offset).cast();
        Ok(TensorView { layout, data, memory: PhantomData })
    }

    /// The address of the element with all subscripts zero.
    pub fn as_ptr(&self) -> *const u8 {
        self.data
    }

    /// The elements in row-major order, if they lie so.
    pub fn as_slice<T: Element>(&self) -> Result<&'a [T], TensorError> {
        let length = self.layout.slice_length::<T>()?;
        if length == 0 {
            return Ok(&[]);
        }
        // SAFETY: the elements are of type `T`, contiguous, borrowed for `'a`, and the pointer is aligned because it
        // came from a slice of `T` or was checked when it came from DLPack.
        Ok(unsafe { std::slice::from_raw_parts(self.data.cast(), length) })
    }
}

impl TensorView<'_> {
    #[cfg(feature = "device")]
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A copy in row-major order.
    pub fn to_dense(&self) -> Result<Tensor, TensorError> {
        let mut copy = Tensor::zeros(self.layout.dtype, &self.layout.shape)?;
        let dense = copy.view_mut();
        // SAFETY: both have the same elements, of the same type; the copy is new.
        unsafe { copy_elements((&self.layout, self.data), (&dense.layout, dense.data)) };
        Ok(copy)
    }
}

impl TensorViewMut<'_> {
    /// Sets the elements to those of a tensor of the same type and shape.
    pub fn copy_from(&mut self, from: &Tensor) -> Result<(), TensorError> {
        let from = from.view();
        self.layout.is_like(&from.layout)?;
        // SAFETY: both have the same elements, of the same type; this view has its memory to itself.
        unsafe { copy_elements((&from.layout, from.data), (&self.layout, self.data)) };
        Ok(())
    }
}

/// Copies every element.
///
/// # Safety
/// Both have the same type and shape, the pointers are to their elements with all subscripts zero, and they share none.
unsafe fn copy_elements((from, source): (&Layout, *const u8), (to, target): (&Layout, *mut u8)) {
    let bytes = from.dtype.bytes();
    let (length, step) = (from.shape.last().map_or(1, |&extent| extent as usize), |layout: &Layout| {
        layout.strides.last().map_or(1, |&stride| stride as isize)
    });
    let (from_step, to_step) = (step(from), step(to));
    for (from_row, to_row) in from.rows().zip(to.rows()) {
        let source = source.wrapping_offset(from_row * bytes as isize);
        let target = target.wrapping_offset(to_row * bytes as isize);
        if from_step == 1 && to_step == 1 {
            // SAFETY: a row of both lies side by side.
            unsafe { source.copy_to_nonoverlapping(target, length * bytes) };
            continue;
        }
        for at in 0..length as isize {
            let (source, target) = (
                source.wrapping_offset(at * from_step * bytes as isize),
                target.wrapping_offset(at * to_step * bytes as isize),
            );
            // SAFETY: both are elements.
            unsafe { source.copy_to_nonoverlapping(target, bytes) };
        }
    }
}

impl<'a> TensorViewMut<'a> {
    /// The first elements of `data` as a tensor of this shape in row-major order.
    pub fn new<T: Element>(data: &'a mut [T], shape: &[i64]) -> Result<TensorViewMut<'a>, TensorError> {
        TensorViewMut::with_strides(data, 0, shape, &row_major_strides(shape)?)
    }

    /// A strided view of `data` whose element with all subscripts zero is `data[offset]`.
    ///
    /// Fails if two subscripts may name one element: threads that write them would race.
    pub fn with_strides<T: Element>(
        data: &'a mut [T],
        offset: usize,
        shape: &[i64],
        strides: &[i64],
    ) -> Result<TensorViewMut<'a>, TensorError> {
        let layout = Layout::new(T::DTYPE, shape, strides)?;
        layout.stays_inside(offset, data.len())?;
        layout.has_distinct_elements()?;
        let data = data.as_mut_ptr().wrapping_add(offset).cast();
        Ok(TensorViewMut { layout, data, memory: PhantomData })
    }

    /// The address of the element with all subscripts zero.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.data
    }

    /// The same tensor for a shorter time, to write.
    pub fn reborrow(&mut self) -> TensorViewMut<'_> {
        TensorViewMut { layout: self.layout.clone(), data: self.data, memory: PhantomData }
    }

    /// The same tensor, to read.
    pub fn as_view(&self) -> TensorView<'_> {
        TensorView { layout: self.layout.clone(), data: self.data, memory: PhantomData }
    }

    /// The elements in row-major order, if they lie so.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], TensorError> {
        let length = self.layout.slice_length::<T>()?;
        if length == 0 {
            return Ok(&mut []);
        }
        // SAFETY: as in `TensorView::as_slice`, and the view has the memory to itself.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.data.cast(), length) })
    }
}

/// The accessors that both kinds of view have.
macro_rules! layout_accessors {
    ($($view:ident),*) => {
        $(impl $view<'_> {
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

            /// The addresses of the bytes between the first and the last element, both included. Empty if there
            /// are no elements.
            pub(crate) fn byte_range(&self) -> Range<usize> {
                self.layout.byte_range(self.data as usize)
            }
        }

        impl fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Layout { dtype, shape, strides } = &self.layout;
                write!(f, "{}({dtype}{shape:?}, strides {strides:?})", stringify!($view))
            }
        })*
    };
}

layout_accessors!(TensorView, TensorViewMut);

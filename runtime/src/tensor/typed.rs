//! Tensors whose element type and number of dimensions the Rust compiler knows: what functions of a package take, so that a
//! call with another type or rank does not compile.

use super::{Element, TensorError, TensorView, TensorViewMut};
use std::fmt;
use std::marker::PhantomData;

/// A tensor of `N` dimensions of `T` that is read. Made from slices and arrays:
///
/// ```
/// use runtime::tensor::View;
///
/// let vector = vec![1.0f32, 2.0, 3.0, 4.0];
/// let a = View::new(&vector, [2, 2])?;
/// let b = View::from(&[[1.0f32, 0.0], [0.0, 1.0]]);
/// let diagonal = View::with_strides(&vector, 0, [2], [3])?;
/// assert_eq!((a.shape(), b.shape(), diagonal.shape()), ([2, 2], [2, 2], [2]));
/// # Ok::<(), runtime::tensor::TensorError>(())
/// ```
#[derive(Clone)]
pub struct View<'a, T, const N: usize> {
    view: TensorView<'a>,
    element: PhantomData<T>,
}

/// A tensor of `N` dimensions of `T` that is written; otherwise as [`View`].
pub struct ViewMut<'a, T, const N: usize> {
    view: TensorViewMut<'a>,
    element: PhantomData<T>,
}

impl<'a, T: Element, const N: usize> View<'a, T, N> {
    /// The first elements of `data` in row-major order.
    ///
    /// # Errors
    /// As [`TensorView::new`].
    pub fn new(data: &'a [T], shape: [i64; N]) -> Result<Self, TensorError> {
        Ok(View { view: TensorView::new(data, &shape)?, element: PhantomData })
    }

    /// A strided view of `data` whose element with all subscripts zero is `data[offset]`; strides count elements.
    ///
    /// # Errors
    /// As [`TensorView::with_strides`].
    pub fn with_strides(data: &'a [T], offset: usize, shape: [i64; N], strides: [i64; N]) -> Result<Self, TensorError> {
        Ok(View { view: TensorView::with_strides(data, offset, &shape, &strides)?, element: PhantomData })
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> [i64; N] {
        std::array::from_fn(|dim| self.view.shape()[dim])
    }

    /// The same, without its type.
    pub fn untyped(self) -> TensorView<'a> {
        self.view
    }
}

impl<'a, T: Element, const N: usize> ViewMut<'a, T, N> {
    /// The first elements of `data` in row-major order.
    ///
    /// # Errors
    /// As [`TensorViewMut::new`].
    pub fn new(data: &'a mut [T], shape: [i64; N]) -> Result<Self, TensorError> {
        Ok(ViewMut { view: TensorViewMut::new(data, &shape)?, element: PhantomData })
    }

    /// A strided view of `data` whose element with all subscripts zero is `data[offset]`; strides count elements.
    ///
    /// # Errors
    /// As [`TensorViewMut::with_strides`].
    pub fn with_strides(
        data: &'a mut [T],
        offset: usize,
        shape: [i64; N],
        strides: [i64; N],
    ) -> Result<Self, TensorError> {
        Ok(ViewMut { view: TensorViewMut::with_strides(data, offset, &shape, &strides)?, element: PhantomData })
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> [i64; N] {
        std::array::from_fn(|dim| self.view.shape()[dim])
    }

    /// The same, without its type.
    pub fn untyped(self) -> TensorViewMut<'a> {
        self.view
    }

    /// The same for a shorter time: a loop may pass it on again and again.
    pub fn reborrow(&mut self) -> ViewMut<'_, T, N> {
        ViewMut { view: self.view.reborrow(), element: PhantomData }
    }
}

impl<'a, T: Element, const N: usize> TryFrom<TensorView<'a>> for View<'a, T, N> {
    type Error = TensorError;

    fn try_from(view: TensorView<'a>) -> Result<Self, TensorError> {
        check::<T, N>(&view)?;
        Ok(View { view, element: PhantomData })
    }
}

impl<'a, T: Element, const N: usize> TryFrom<TensorViewMut<'a>> for ViewMut<'a, T, N> {
    type Error = TensorError;

    fn try_from(view: TensorViewMut<'a>) -> Result<Self, TensorError> {
        check::<T, N>(&view.as_view())?;
        Ok(ViewMut { view, element: PhantomData })
    }
}

/// Whether a tensor has this type and so many dimensions.
fn check<T: Element, const N: usize>(view: &TensorView<'_>) -> Result<(), TensorError> {
    if view.dtype() != T::DTYPE {
        return Err(TensorError::WrongType { expected: T::DTYPE, found: view.dtype() });
    }
    if view.shape().len() != N {
        return Err(TensorError::WrongRank { expected: N, found: view.shape().len() });
    }
    Ok(())
}

/// Whether the strides of an array of these extents are numbers of 64 bits: only arrays without elements may not have such.
const fn countable(extents: &[usize]) -> bool {
    let (mut product, mut at) = (1_usize, 0);
    while at < extents.len() {
        let extent = if extents[at] == 0 { 1 } else { extents[at] };
        product = match product.checked_mul(extent) {
            Some(product) => product,
            None => return false,
        };
        at += 1;
    }
    product <= isize::MAX as usize / 16
}

impl<'a, T: Element> From<&'a T> for View<'a, T, 0> {
    fn from(value: &'a T) -> Self {
        View::new(std::slice::from_ref(value), []).expect("one element is one element")
    }
}

impl<'a, T: Element> From<&'a mut T> for ViewMut<'a, T, 0> {
    fn from(value: &'a mut T) -> Self {
        ViewMut::new(std::slice::from_mut(value), []).expect("one element is one element")
    }
}

impl<'a, T: Element> From<&'a [T]> for View<'a, T, 1> {
    fn from(data: &'a [T]) -> Self {
        View::new(data, [data.len() as i64]).expect("a slice is a vector")
    }
}

impl<'a, T: Element> From<&'a mut [T]> for ViewMut<'a, T, 1> {
    fn from(data: &'a mut [T]) -> Self {
        let extent = data.len() as i64;
        ViewMut::new(data, [extent]).expect("a slice is a vector")
    }
}

impl<'a, T: Element> From<&'a Vec<T>> for View<'a, T, 1> {
    fn from(data: &'a Vec<T>) -> Self {
        data.as_slice().into()
    }
}

impl<'a, T: Element> From<&'a mut Vec<T>> for ViewMut<'a, T, 1> {
    fn from(data: &'a mut Vec<T>) -> Self {
        data.as_mut_slice().into()
    }
}

macro_rules! arrays {
    ($($rank:literal: $array:ty, [$($extent:ident),*], $data:ident => $slice:expr, $slice_mut:expr;)*) => {
        $(impl<'a, T: Element, $(const $extent: usize),*> From<&'a $array> for View<'a, T, $rank> {
            fn from($data: &'a $array) -> Self {
                const { assert!(countable(&[$($extent),*])) };
                View::new($slice, [$($extent as i64),*]).expect("an array is a tensor")
            }
        }

        impl<'a, T: Element, $(const $extent: usize),*> From<&'a mut $array> for ViewMut<'a, T, $rank> {
            fn from($data: &'a mut $array) -> Self {
                const { assert!(countable(&[$($extent),*])) };
                ViewMut::new($slice_mut, [$($extent as i64),*]).expect("an array is a tensor")
            }
        })*
    };
}

arrays! {
    1: [T; A], [A], data => data, data;
    2: [[T; B]; A], [A, B], data => data.as_flattened(), data.as_flattened_mut();
    3: [[[T; C]; B]; A], [A, B, C], data => data.as_flattened().as_flattened(),
        data.as_flattened_mut().as_flattened_mut();
    4: [[[[T; D]; C]; B]; A], [A, B, C, D], data => data.as_flattened().as_flattened().as_flattened(),
        data.as_flattened_mut().as_flattened_mut().as_flattened_mut();
}

impl<T, const N: usize> fmt::Debug for View<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view, f)
    }
}

impl<T, const N: usize> fmt::Debug for ViewMut<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, Tensor};

    #[test]
    fn arrays_are_tensors_in_row_major_order() {
        let array = [[[1_u8, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]];
        let view = View::from(&array);
        assert_eq!(view.shape(), [2, 3, 2]);
        assert_eq!(view.untyped().as_slice::<u8>().unwrap(), (1..=12).collect::<Vec<u8>>());
        let mut square = [[0.0_f64; 2]; 2];
        ViewMut::from(&mut square).untyped().as_mut_slice::<f64>().unwrap()[1] = 3.0;
        assert_eq!(square, [[0.0, 3.0], [0.0, 0.0]]);
        assert_eq!(View::<i32, 0>::from(&7).untyped().as_slice::<i32>().unwrap(), [7]);
        assert_eq!(View::from(&[[0.0_f32; 0]; 5]).shape(), [5, 0]);
    }

    #[test]
    fn a_tensor_of_another_type_or_rank_is_refused() {
        let mut tensor = Tensor::zeros(DType::FLOAT32, &[2, 3]).unwrap();
        assert_eq!(View::<f32, 2>::try_from(tensor.view()).unwrap().shape(), [2, 3]);
        let wrong = View::<f64, 2>::try_from(tensor.view()).unwrap_err();
        assert_eq!(wrong, TensorError::WrongType { expected: DType::FLOAT64, found: DType::FLOAT32 });
        let wrong = ViewMut::<f32, 3>::try_from(tensor.view_mut()).unwrap_err();
        assert_eq!(wrong, TensorError::WrongRank { expected: 3, found: 2 });
    }

    #[test]
    fn what_lies_outside_of_the_slice_is_refused() {
        let data = [0.0_f32; 5];
        assert!(View::new(&data, [2, 3]).is_err());
        assert!(View::with_strides(&data, 0, [2, 2], [3, 2]).is_err());
        assert!(View::with_strides(&data, 0, [2, 2], [3, 1]).is_ok());
    }
}

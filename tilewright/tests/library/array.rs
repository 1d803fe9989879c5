//! Arrays of plain numbers, and the loops over them that the library is compared with.

use tilewright::{DType, Tensor};

/// A dense array in row-major order; every element type of the library is exact in `f64`.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    /// The array whose element at a place is `value` of the place.
    pub fn of<const R: usize>(shape: [usize; R], mut value: impl FnMut([usize; R]) -> f64) -> Array {
        let mut data = Vec::with_capacity(shape.iter().product());
        each(shape, |at| data.push(value(at)));
        Array { shape: shape.to_vec(), data }
    }

    /// Multiples of 1/64 between -1 and 1, exact in every floating type.
    pub fn random<const R: usize>(seed: u64, shape: [usize; R]) -> Array {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Array::of(shape, |_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            ((state >> 40) % 129) as f64 / 64.0 - 1.0
        })
    }

    /// Whole numbers from 0 to `end` - 1.
    pub fn below<const R: usize>(end: usize, seed: u64, shape: [usize; R]) -> Array {
        let random = Array::random(seed, shape);
        Array { data: random.data.iter().map(|x| ((x + 1.0) * 64.0 * 131.0) % end as f64).collect(), ..random }
    }

    /// Another number at each place.
    pub fn map(mut self, f: impl Fn(f64) -> f64) -> Array {
        self.data.iter_mut().for_each(|x| *x = f(*x));
        self
    }

    /// The element at a place.
    pub fn at<const R: usize>(&self, at: [usize; R]) -> f64 {
        assert_eq!(R, self.shape.len(), "an array of shape {:?}", self.shape);
        let place = at.iter().zip(&self.shape).fold(0, |place, (at, extent)| {
            assert!(at < extent, "{at} in a dimension of {extent}");
            place * extent + at
        });
        self.data[place]
    }

    /// The same as a tensor of `dtype`.
    pub fn tensor(&self, dtype: DType) -> Tensor {
        let shape: Vec<i64> = self.shape.iter().map(|&extent| extent as i64).collect();
        let bytes: Vec<u8> = match dtype {
            DType::F32 => self.data.iter().flat_map(|&x| (x as f32).to_ne_bytes()).collect(),
            DType::I32 => self.data.iter().flat_map(|&x| (x as i32).to_ne_bytes()).collect(),
            DType::I8 => self.data.iter().flat_map(|&x| (x as i8).to_ne_bytes()).collect(),
            DType::U8 | DType::Bool => self.data.iter().map(|&x| x as u8).collect(),
            other => panic!("no input of the library is {other:?}"),
        };
        Tensor::from_bytes(tilewright::runtime_dtype(dtype), &shape, &bytes).expect("as many bytes as elements")
    }

    /// What a tensor of `dtype` holds.
    pub fn from_tensor(dtype: DType, tensor: &Tensor) -> Array {
        let bytes = tensor.as_bytes();
        let words = || bytes.chunks(4).map(|four| [four[0], four[1], four[2], four[3]]);
        let data = match dtype {
            DType::F32 => words().map(|four| f32::from_ne_bytes(four).into()).collect(),
            DType::I32 => words().map(|four| i32::from_ne_bytes(four).into()).collect(),
            DType::U8 | DType::Bool => bytes.iter().map(|&byte| byte.into()).collect(),
            other => panic!("no result of the library is {other:?}"),
        };
        Array { shape: tensor.shape().iter().map(|&extent| extent as usize).collect(), data }
    }
}

/// Calls `visit` for each place of a box, the last dimension fastest.
fn each<const R: usize>(extent: [usize; R], mut visit: impl FnMut([usize; R])) {
    let count: usize = extent.iter().product();
    for mut number in 0..count {
        let mut at = [0; R];
        for dim in (0..R).rev() {
            at[dim] = number % extent[dim];
            number /= extent[dim];
        }
        visit(at);
    }
}

/// The sum of `value` over a box.
pub fn sum<const R: usize>(extent: [usize; R], value: impl Fn([usize; R]) -> f64) -> f64 {
    let mut total = 0.0;
    each(extent, |at| total += value(at));
    total
}

/// The largest `value` over a box.
pub fn max<const R: usize>(extent: [usize; R], value: impl Fn([usize; R]) -> f64) -> f64 {
    let mut largest = f64::NEG_INFINITY;
    each(extent, |at| largest = largest.max(value(at)));
    largest
}

/// The smallest `value` over a box.
pub fn min<const R: usize>(extent: [usize; R], value: impl Fn([usize; R]) -> f64) -> f64 {
    -max(extent, |at| -value(at))
}

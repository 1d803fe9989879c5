//! Views stay inside their memory, and written views have an element for every subscript.

use proptest::prelude::*;
use runtime::tensor::{
    Bf16, DLDataType, DLDevice, DLTensor, DType, F16, Tensor, TensorError, TensorView, TensorViewMut,
};
use std::collections::BTreeSet;

/// The offsets of all elements, in row-major order.
fn offsets(offset: i64, shape: &[i64], strides: &[i64]) -> Vec<i64> {
    let mut all = vec![offset];
    for (&extent, &stride) in shape.iter().zip(strides) {
        all = all.iter().flat_map(|at| (0..extent).map(move |i| at + i * stride)).collect();
    }
    all
}

fn layouts() -> impl Strategy<Value = (usize, usize, Vec<(i64, i64)>)> {
    (0..40_usize, 0..20_usize, prop::collection::vec((0..5_i64, -12..13_i64), 0..4))
}

proptest! {
    #[test]
    fn a_view_is_accepted_exactly_if_it_stays_inside((length, offset, dims) in layouts()) {
        let (shape, strides): (Vec<i64>, Vec<i64>) = dims.into_iter().unzip();
        let data = vec![0_i16; length];
        let inside = offsets(offset as i64, &shape, &strides).iter().all(|at| (0..length as i64).contains(at));
        let view = TensorView::with_strides(&data, offset, &shape, &strides);
        prop_assert_eq!(view.is_ok(), inside, "{:?}", view);
    }

    #[test]
    fn a_written_view_has_distinct_elements((length, offset, dims) in layouts()) {
        let (shape, strides): (Vec<i64>, Vec<i64>) = dims.into_iter().unzip();
        let mut data = vec![0_u8; length];
        let all = offsets(offset as i64, &shape, &strides);
        if TensorViewMut::with_strides(&mut data, offset, &shape, &strides).is_ok() {
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        }
    }

    #[test]
    fn permuted_padded_and_reversed_tensors_can_be_written(
        shape in prop::collection::vec(1..4_i64, 3),
        padding in prop::collection::vec(0..3_i64, 3),
        order in Just(vec![0_usize, 1, 2]).prop_shuffle(),
        reversed in prop::collection::vec(any::<bool>(), 3),
    ) {
        let mut strides = vec![0; 3];
        let (mut step, mut offset) = (1, 0);
        for dim in order {
            strides[dim] = if reversed[dim] { -step } else { step };
            offset += if reversed[dim] { step * (shape[dim] - 1) } else { 0 };
            step *= shape[dim] + padding[dim];
        }
        let mut data = vec![0_f64; step as usize];
        let view = TensorViewMut::with_strides(&mut data, offset as usize, &shape, &strides);
        prop_assert!(view.is_ok(), "{:?}", view);
    }

    #[test]
    fn any_numbers_are_an_answer_not_a_panic(
        shape in prop::collection::vec(any::<i64>(), 0..4),
        strides in prop::collection::vec(any::<i64>(), 0..4),
        offset in any::<usize>(),
    ) {
        let mut data = [0_f32; 4];
        let _ = TensorView::with_strides(&data, offset, &shape, &strides);
        let _ = TensorView::new(&data, &shape);
        let _ = TensorViewMut::with_strides(&mut data, offset, &shape, &strides);
        if shape.iter().any(|extent| *extent > 1 << 40) {
            let _ = Tensor::zeros(DType::FLOAT64, &shape);
        }
    }
}

#[test]
fn slices_come_back() {
    let data = [1, 2, 3, 4, 5, 6_i32];
    let view = TensorView::new(&data, &[2, 3]).expect("it fits");
    assert_eq!((view.dtype(), view.shape(), view.strides()), (DType::INT32, &[2, 3][..], &[3, 1][..]));
    assert_eq!(view.as_slice::<i32>(), Ok(&data[..]));
    assert_eq!(view.as_slice::<u32>(), Err(TensorError::WrongType { expected: DType::UINT32, found: DType::INT32 }));
    let transposed = TensorView::with_strides(&data, 0, &[3, 2], &[1, 3]).expect("inside");
    assert!(matches!(transposed.as_slice::<i32>(), Err(TensorError::NotContiguous { .. })));
    let column = TensorView::with_strides(&data, 1, &[1, 2, 1], &[77, 1, -5]).expect("inside");
    assert_eq!(column.as_slice::<i32>(), Ok(&data[1..3]), "a stride of one element does not count");
    let huge = TensorView::with_strides(&data, 0, &[0, i64::MAX, i64::MAX], &[0, 0, 0]).expect("empty");
    assert_eq!(huge.as_slice::<i32>(), Ok(&[][..]));
}

#[test]
fn owned_tensors_are_aligned_and_copy() {
    let mut tensor = Tensor::from_slice(&[1.0_f32, 2.0, 3.0], &[3]).expect("three");
    assert_eq!(tensor.view().as_ptr() as usize % 64, 0);
    let copy = tensor.clone();
    tensor.as_mut_slice::<f32>().expect("floats")[0] = 9.0;
    assert_eq!(tensor.as_slice::<f32>(), Ok(&[9.0, 2.0, 3.0][..]));
    assert_eq!(copy.as_slice::<f32>(), Ok(&[1.0, 2.0, 3.0][..]));
    assert_eq!(copy.as_bytes()[..4], 1.0_f32.to_ne_bytes());
    assert!(Tensor::from_slice(&[1_u8, 2], &[3]).is_err());
    assert!(Tensor::from_slice(&[1_u8, 2, 3, 4], &[3]).is_err());
    let scalar = Tensor::zeros(DType::BOOL, &[]).expect("one element");
    assert_eq!(scalar.as_slice::<bool>(), Ok(&[false][..]));
    let empty = Tensor::zeros(DType::INT64, &[3, 0]).expect("no memory");
    assert_eq!(empty.as_slice::<i64>(), Ok(&[][..]));
    assert!(matches!(Tensor::zeros(DType::UINT8, &[-1]), Err(TensorError::NegativeExtent { dim: 0, extent: -1 })));
    assert!(matches!(Tensor::zeros(DType::INT64, &[1 << 60]), Err(TensorError::TooLarge { .. })));
}

#[test]
fn bytes_become_tensors_if_they_are_values() {
    let bytes: Vec<u8> = [1.5_f64, -2.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
    let tensor = Tensor::from_bytes(DType::FLOAT64, &[2], &bytes).expect("two elements");
    assert_eq!(tensor.as_slice::<f64>(), Ok(&[1.5, -2.0][..]));
    let error = Tensor::from_bytes(DType::FLOAT64, &[2], &bytes[..15]).expect_err("a byte is missing");
    assert_eq!(error.to_string(), "elements 0 to 1 are addressed, but there are 1");
    assert!(Tensor::from_bytes(DType::BOOL, &[2], &[0, 1]).is_ok());
    assert!(Tensor::from_bytes(DType::BOOL, &[2], &[0, 2]).is_err());
}

#[test]
fn types_have_names_and_codes() {
    for name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64".split(' ') {
        let dtype: DType = name.parse().expect(name);
        assert_eq!(dtype.to_string(), name);
        assert_eq!(DType::from_dlpack(dtype.code(), dtype.bits()), Some(dtype));
    }
    assert_eq!("half".parse::<DType>().expect_err("no such name").to_string(), "no element type is called `half`");
    assert_eq!(TensorView::new(&[F16(0x3c00)], &[1]).expect("one").dtype(), DType::FLOAT16);
    assert_eq!(TensorView::new(&[Bf16(0x3f80)], &[1]).expect("one").dtype(), DType::BFLOAT16);
}

#[test]
fn dlpack_tensors_are_checked() {
    let mut data = [1.0_f32, 2.0, 3.0, 4.0, 5.0];
    let (shape, strides) = ([2_i64, 2], [1_i64, 2]);
    let good = DLTensor {
        data: data.as_mut_ptr().cast(),
        device: DLDevice::CPU,
        ndim: 2,
        dtype: DLDataType { code: 2, bits: 32, lanes: 1 },
        shape: shape.as_ptr(),
        strides: std::ptr::null(),
        byte_offset: 4,
    };
    // SAFETY: every description below reaches elements 1 to 4 of `data` at most, or is refused.
    let view = |tensor: DLTensor| unsafe { TensorView::from_dlpack(&tensor) };
    assert_eq!(view(good).expect("valid").as_slice::<f32>(), Ok(&[2.0, 3.0, 4.0, 5.0][..]));
    assert_eq!(view(DLTensor { strides: strides.as_ptr(), ..good }).expect("valid").strides(), [1, 2]);
    let message = |tensor| view(tensor).expect_err("not valid").to_string();
    let dtype = DLDataType { code: 2, bits: 32, lanes: 4 };
    assert_eq!(message(DLTensor { dtype, ..good }), "elements of several lanes are not supported");
    let dtype = DLDataType { code: 5, bits: 64, lanes: 1 };
    assert_eq!(message(DLTensor { dtype, ..good }), "the element type is not one that kernels know");
    let device = DLDevice { device_type: 2, device_id: 0 };
    assert_eq!(message(DLTensor { device, ..good }), "the tensor is not in memory of the CPU");
    assert_eq!(message(DLTensor { byte_offset: 2, ..good }), "the elements are not aligned to their size");
    assert_eq!(message(DLTensor { ndim: -1, ..good }), "the number of dimensions is negative");
    let nowhere = DLTensor { data: std::ptr::null_mut(), byte_offset: 0, ..good };
    assert_eq!(message(nowhere), "the tensor has elements, but no memory");
    let broadcast = [0_i64, 1];
    // SAFETY: as above.
    let written = unsafe { TensorViewMut::from_dlpack(&DLTensor { strides: broadcast.as_ptr(), ..good }) };
    assert!(matches!(written, Err(TensorError::Overlapping { .. })));
}

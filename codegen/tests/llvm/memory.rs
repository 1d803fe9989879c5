//! Loads and stores: how lanes lie, masks, computed subscripts, alignment, and nothing outside the buffers.

use crate::build::*;
use codegen::{At, Op, Stride, Value};
use polyhedral::{CmpOp, DType, Role, TensorId};
use runtime::pool::Pool;
use runtime::tensor::{Tensor, TensorView, TensorViewMut};

const LANES: [u32; 4] = [1, 3, 8, 16];

fn tensor(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, &[values.len() as i64]).unwrap()
}

fn counting(count: usize) -> Vec<f32> {
    (0..count).map(|n| n as f32).collect()
}

/// One op from `x` to `y`, both of so many elements; the result where `y` was -1 before.
fn copy(count: usize, op: impl FnOnce(TensorId, TensorId) -> Op) -> Vec<f32> {
    let mut b = Builder::new("copy");
    let x = b.input("x", DType::F32, &[count as i64]);
    let y = b.argument("y", DType::F32, Role::InOut, &[count as i64]);
    b.program.body = vec![op(x, y)];
    let mut result = tensor(&vec![-1.0; count]);
    b.run(&[&tensor(&counting(count))], &mut [&mut result]).unwrap();
    result.as_slice::<f32>().unwrap().to_vec()
}

#[test]
fn every_step_loads_and_stores_the_right_elements() {
    for lanes in LANES {
        for (from, to) in
            [-3i64, -2, -1, 0, 1, 2, 3, 4, 5].into_iter().flat_map(|from| [-3, -1, 0, 1, 2].map(|to| (from, to)))
        {
            let base = 3 * i64::from(lanes);
            let found =
                copy(128, |x, y| store(y, vec![lanes_at(c(base), to)], lanes, load(x, vec![lanes_at(c(base), from)])));
            let mut expected = vec![-1.0; 128];
            for lane in 0..i64::from(lanes) {
                expected[(base + lane * to) as usize] = (base + lane * from) as f32;
            }
            assert_eq!(found, expected, "{lanes} lanes, steps {from} and {to}");
        }
    }
}

/// Masks of all shapes: `lane mod 3 = 1`, only a prefix, none, all.
#[test]
fn masked_lanes_are_left_alone_and_load_zero() {
    type Keeps = fn(i64) -> bool;
    let masks: [(&str, Keeps); 4] =
        [("some", |lane| lane % 3 == 1), ("prefix", |lane| lane < 2), ("none", |_| false), ("all", |_| true)];
    for lanes in LANES {
        for (from, to) in [-2i64, -1, 0, 1, 2].into_iter().flat_map(|from| [-2, -1, 0, 1, 2].map(|to| (from, to))) {
            let base = 3 * i64::from(lanes);
            let mut b = Builder::new("masked");
            let x = b.input("x", DType::F32, &[128]);
            let m = b.input("m", DType::Bool, &[lanes.into()]);
            let loaded = b.output("loaded", DType::F32, &[lanes.into()]);
            let stored = b.argument("stored", DType::F32, Role::InOut, &[128]);
            let mask = || load(m, vec![lanes_at(c(0), 1)]);
            let value = || load(x, vec![lanes_at(c(base), from)]);
            b.program.body = vec![
                store(loaded, vec![lanes_at(c(0), 1)], lanes, load_if(x, vec![lanes_at(c(base), from)], mask())),
                store_if(stored, vec![lanes_at(c(base), to)], lanes, value(), mask()),
            ];
            let kernel = b.kernel();
            for (name, keeps) in masks {
                let keeps: Vec<bool> = (0..i64::from(lanes)).map(keeps).collect();
                let mut results = [zeros(DType::F32, &[lanes.into()]), tensor(&[-1.0; 128])];
                let [first, second] = &mut results;
                let mask = Tensor::from_slice(&keeps, &[lanes.into()]).unwrap();
                run(&kernel, &[&tensor(&counting(128)), &mask], &mut [first, second], &Pool::single()).unwrap();

                let element = |lane: usize| (base + lane as i64 * from) as f32;
                let mut expected_loaded = vec![0.0; lanes as usize];
                let mut expected_stored = vec![-1.0; 128];
                for lane in (0..lanes as usize).filter(|lane| keeps[*lane]) {
                    expected_loaded[lane] = element(lane);
                    expected_stored[(base + lane as i64 * to) as usize] = element(lane);
                }
                assert_eq!(
                    results[0].as_slice::<f32>().unwrap(),
                    expected_loaded,
                    "{name}, {lanes} lanes, step {from}"
                );
                assert_eq!(results[1].as_slice::<f32>().unwrap(), expected_stored, "{name}, {lanes} lanes, step {to}");
            }
        }
    }
}

/// A mask of one lane counts for all.
#[test]
fn a_mask_of_one_lane_counts_for_all() {
    for holds in [0, 1] {
        let found = copy(16, |x, y| {
            let mask = || int(holds, DType::Bool);
            store_if(y, vec![lanes_at(c(0), 1)], 8, load_if(x, vec![lanes_at(c(4), 1)], mask()), mask())
        });
        let expected = if holds == 1 { [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0] } else { [-1.0; 8] };
        assert_eq!(found[..8], expected);
    }
}

/// Values that are the same in all lanes are loaded once and stored everywhere.
#[test]
fn one_lane_counts_for_all() {
    let found = copy(16, |x, y| store(y, vec![lanes_at(c(2), 1)], 8, load(x, vec![at(c(5))])));
    assert_eq!(found[..11], [-1.0, -1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, -1.0]);
}

/// Where two lanes store to one element, the later lane wins, as in a loop over the lanes.
#[test]
fn of_lanes_that_store_to_one_element_the_last_wins() {
    let found = copy(16, |x, y| store(y, vec![lanes_at(c(3), 0)], 8, load(x, vec![lanes_at(c(1), 1)])));
    assert_eq!(found[3], 8.0);
    let found = copy(16, |x, y| {
        let mask = compare(CmpOp::Lt, lane(c(0)), int(5, DType::I64));
        store_if(y, vec![lanes_at(c(3), 0)], 8, load(x, vec![lanes_at(c(1), 1)]), mask)
    });
    assert_eq!(found[3], 5.0);
}

/// A check for each type of an element, with a function that makes one of a number.
#[macro_export]
macro_rules! every_type {
    ($check:ident) => {
        $check::<bool>(DType::Bool, |n| n % 2 == 0);
        $check::<i8>(DType::I8, |n| n as i8);
        $check::<i16>(DType::I16, |n| n as i16);
        $check::<i32>(DType::I32, |n| n as i32);
        $check::<i64>(DType::I64, |n| n);
        $check::<u8>(DType::U8, |n| n as u8);
        $check::<u16>(DType::U16, |n| n as u16);
        $check::<u32>(DType::U32, |n| n as u32);
        $check::<u64>(DType::U64, |n| n as u64);
        $check::<runtime::tensor::F16>(DType::F16, |n| runtime::tensor::F16(half::f16::from_f64(n as f64).to_bits()));
        $check::<runtime::tensor::Bf16>(DType::BF16, |n| {
            runtime::tensor::Bf16(half::bf16::from_f64(n as f64).to_bits())
        });
        $check::<f32>(DType::F32, |n| n as f32);
        $check::<f64>(DType::F64, |n| n as f64);
    };
}

/// Gathers and scatters through computed subscripts, in two dimensions, with and without a mask, of one type.
fn computed<T: runtime::tensor::Element + PartialEq + std::fmt::Debug>(dtype: DType, number: impl Fn(i64) -> T) {
    let (rows, columns) = (7, 9);
    for lanes in LANES {
        let count = i64::from(lanes);
        let mut b = Builder::new("computed");
        let x = b.input("x", dtype, &[rows, columns]);
        let index = b.input("index", DType::I64, &[count]);
        let gathered = b.output("gathered", dtype, &[count]);
        let kept = b.output("kept", dtype, &[count]);
        let scattered = b.argument("scattered", dtype, Role::InOut, &[rows, columns]);
        let indirect = || At::Indirect(load(index, vec![lanes_at(c(0), 1)]).into());
        let valid = || compare(CmpOp::Ge, load(index, vec![lanes_at(c(0), 1)]), int(0, DType::I64));
        let safe = || {
            At::Indirect(
                Value::Select(valid().into(), load(index, vec![lanes_at(c(0), 1)]).into(), int(0, DType::I64).into())
                    .into(),
            )
        };
        let here = || vec![lanes_at(c(0), 1)];
        b.program.body = vec![
            store(gathered, here(), lanes, load(x, vec![at(c(3)), safe()])),
            store(kept, here(), lanes, load_if(x, vec![indirect(), lanes_at(c(1), 0)], valid())),
            store_if(scattered, vec![indirect(), at(c(2))], lanes, load(x, vec![at(c(6)), safe()]), valid()),
        ];
        // Far outside where the mask drops the lane; twice the same row.
        let indices: Vec<i64> =
            (0..count).map(|lane| if lane % 4 == 2 { i64::MIN / 64 + lane } else { lane * 5 % 7 }).collect();
        let element = |row: i64, column: i64| number(row * columns + column);
        let matrix: Vec<T> = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(r, q)| element(r, q))
            .collect();
        let matrix = Tensor::from_slice(&matrix, &[rows, columns]).unwrap();
        let subscripts = Tensor::from_slice(&indices, &[count]).unwrap();
        let mut results = [zeros(dtype, &[count]), zeros(dtype, &[count]), zeros(dtype, &[rows, columns])];
        let [first, second, third] = &mut results;
        b.run(&[&matrix, &subscripts], &mut [first, second, third]).unwrap();

        let clean = zeros(dtype, &[rows, columns]);
        let zero = clean.as_slice::<T>().unwrap()[0];
        let mut expected = clean.as_slice::<T>().unwrap().to_vec();
        for (lane, row) in indices.iter().enumerate() {
            let (safe, valid) = ((*row).max(0), *row >= 0);
            assert_eq!(results[0].as_slice::<T>().unwrap()[lane], element(3, safe), "{dtype} gathered");
            let kept = if valid { element(*row, 1) } else { zero };
            assert_eq!(results[1].as_slice::<T>().unwrap()[lane], kept, "{dtype} kept");
            if valid {
                expected[(row * columns + 2) as usize] = element(6, *row);
            }
        }
        assert_eq!(results[2].as_slice::<T>().unwrap(), expected, "{dtype} scattered");
    }
}

#[test]
fn computed_subscripts_of_every_type() {
    every_type!(computed);
}

/// Contiguous, masked, reversed and strided copies of one type.
fn moved<T: runtime::tensor::Element + PartialEq + std::fmt::Debug>(dtype: DType, number: impl Fn(i64) -> T) {
    let steps = [1, -1, 2];
    let mut b = Builder::new("moved");
    let x = b.input("x", dtype, &[64]);
    let outputs = steps.map(|step| (step, b.output("y", dtype, &[64]), b.output("z", dtype, &[64])));
    let even =
        || compare(CmpOp::Eq, binary(polyhedral::BinOp::Mod, lane(c(0)), int(2, DType::I64)), int(0, DType::I64));
    b.program.body = outputs
        .into_iter()
        .flat_map(|(step, all, some)| {
            let here = || vec![lanes_at(c(20), step)];
            [store(all, here(), 16, load(x, here())), store_if(some, here(), 16, load_if(x, here(), even()), even())]
        })
        .collect();
    let values: Vec<T> = (0..64).map(number).collect();
    let mut results: Vec<Tensor> = (0..6).map(|_| zeros(dtype, &[64])).collect();
    b.run(&[&Tensor::from_slice(&values, &[64]).unwrap()], &mut results.iter_mut().collect::<Vec<_>>()).unwrap();
    for (at, step) in steps.into_iter().enumerate() {
        for (result, stride) in [(&results[2 * at], 1), (&results[2 * at + 1], 2)] {
            let mut expected = zeros(dtype, &[64]).as_slice::<T>().unwrap().to_vec();
            for lane in (0..16).step_by(stride) {
                let place = (20 + lane * step) as usize;
                expected[place] = values[place];
            }
            assert_eq!(result.as_slice::<T>().unwrap(), expected, "{dtype}, step {step}");
        }
    }
}

#[test]
fn moves_of_every_type() {
    every_type!(moved);
}

/// A byte that is neither 0 nor 1 counts as true, and a stored truth value is 0 or 1.
#[test]
fn a_stored_truth_value_is_zero_or_one() {
    let found = copy(1, |x, y| {
        let bit = Value::Cast(DType::Bool, Box::new(load(x, vec![at(c(0))])));
        store(
            y,
            vec![at(c(0))],
            1,
            Value::Cast(DType::F32, Box::new(binary(polyhedral::BinOp::Or, bit, int(1, DType::Bool)))),
        )
    });
    assert_eq!(found, [1.0]);
}

/// Strides that the caller chooses: a transposed input, a reversed output, also in the dimension of the lanes.
#[test]
fn runtime_strides() {
    for lanes in [1i64, 4, 16] {
        let (rows, columns) = (5, 32);
        let mut b = Builder::new("strides");
        let x = b.strided("x", DType::F32, Role::Input, &[rows, columns], vec![Stride::Runtime, Stride::Runtime]);
        let y = b.strided("y", DType::F32, Role::Output, &[rows, columns], vec![Stride::Runtime, Stride::Known(c(1))]);
        let body = b.repeat("i", c(rows), 1, |b, i| {
            vec![b.repeat("j", c(columns), lanes, |_, j| {
                let here = || vec![at(v(i)), lanes_at(v(j), 1)];
                vec![store(y, here(), lanes as u32, load(x, here()))]
            })]
        });
        b.program.body = vec![body];
        let transposed = counting((rows * columns) as usize);
        let mut result = vec![-1f32; (rows * 40) as usize];
        let inputs = [TensorView::with_strides(&transposed, 0, &[rows, columns], &[1, rows]).unwrap()];
        let mut outputs = [TensorViewMut::with_strides(&mut result, 0, &[rows, columns], &[40, 1]).unwrap()];
        b.kernel().run(&inputs, &mut outputs, &Pool::single()).unwrap();
        for (row, column) in (0..rows).flat_map(|row| (0..40).map(move |column| (row, column))) {
            let expected = if column < columns { (column * rows + row) as f32 } else { -1.0 };
            assert_eq!(result[(row * 40 + column) as usize], expected);
        }
    }
}

/// Two pages that nobody may touch with one between them.
pub struct Guarded {
    start: *mut libc::c_void,
    page: usize,
}

impl Guarded {
    pub fn new() -> Guarded {
        // SAFETY: a new private mapping, of which only the middle page is made accessible.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start = libc::mmap(std::ptr::null_mut(), 3 * page, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.byte_add(page), page, libc::PROT_READ | libc::PROT_WRITE), 0);
            Guarded { start, page }
        }
    }

    /// The last `count` elements of the accessible page, or the first.
    pub fn slice<T>(&mut self, count: usize, last: bool) -> &mut [T] {
        let skipped = if last { self.page - count * size_of::<T>() } else { 0 };
        // SAFETY: the range is inside the accessible page, which this borrow has to itself; zero bytes are values of the number types used.
        unsafe { std::slice::from_raw_parts_mut(self.start.byte_add(self.page + skipped).cast(), count) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and the slices of it borrowed from `self`.
        unsafe { libc::munmap(self.start, 3 * self.page) };
    }
}

/// Elements of 4 bytes and of 1 byte, in every way of access, next to pages that end the process when touched.
fn stays_inside<T: runtime::tensor::Element>(dtype: DType) {
    let (mut left, mut right) = (Guarded::new(), Guarded::new());
    for count in [1i64, 3, 7, 13, 16, 21] {
        for step in [1i64, -1, 2] {
            let lanes = 16;
            let mut b = Builder::new("guarded");
            let x = b.input("x", dtype, &[count]);
            let y = b.output("y", dtype, &[count]);
            let position = || {
                let offset = if step < 0 { count - 1 } else { 0 };
                Value::Int { base: c(offset), step }
            };
            let inside = || {
                let low = compare(CmpOp::Ge, position(), int(0, DType::I64));
                binary(polyhedral::BinOp::And, low, compare(CmpOp::Lt, position(), int(count, DType::I64)))
            };
            let affine = || vec![lanes_at(c(if step < 0 { count - 1 } else { 0 }), step)];
            let computed = || vec![At::Indirect(position().into())];
            let full = (count - 1) / step.abs() + 1;
            b.program.body = vec![
                store_if(y, affine(), lanes, load_if(x, affine(), inside()), inside()),
                store_if(y, computed(), lanes, load_if(x, computed(), inside()), inside()),
                store(y, affine(), full as u32, load(x, affine())),
            ];
            let kernel = b.kernel();
            for last in [false, true] {
                let inputs = [TensorView::new(left.slice::<T>(count as usize, last), &[count]).unwrap()];
                let mut outputs = [TensorViewMut::new(right.slice::<T>(count as usize, last), &[count]).unwrap()];
                kernel.run(&inputs, &mut outputs, &Pool::single()).unwrap();
            }
        }
    }
}

#[test]
fn nothing_outside_the_buffers_is_touched() {
    stays_inside::<f32>(DType::F32);
    stays_inside::<u8>(DType::U8);
    stays_inside::<f64>(DType::F64);
    stays_inside::<runtime::tensor::F16>(DType::F16);
}

/// Data that begins at any element: vectors are not assumed to be aligned.
#[test]
fn unaligned_data() {
    let mut b = Builder::new("unaligned");
    let x = b.input("x", DType::F32, &[64]);
    let y = b.output("y", DType::F32, &[64]);
    let all =
        b.repeat("i", c(64), 16, |_, i| vec![store(y, vec![lanes_at(v(i), 1)], 16, load(x, vec![lanes_at(v(i), 1)]))]);
    b.program.body = vec![all];
    let kernel = b.kernel();
    let values = counting(96);
    for (from, to) in [(0, 1), (1, 0), (3, 7), (5, 5)] {
        let mut result = vec![0f32; 96];
        let inputs = [TensorView::new(&values[from..from + 64], &[64]).unwrap()];
        kernel
            .run(&inputs, &mut [TensorViewMut::new(&mut result[to..to + 64], &[64]).unwrap()], &Pool::single())
            .unwrap();
        assert_eq!(result[to..to + 64], values[from..from + 64]);
    }
}

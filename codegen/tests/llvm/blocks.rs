//! Blocks of registers: every shape and type, and nothing loaded that is not in the block.

use crate::build::*;
use crate::every_type;
use crate::memory::Guarded;
use codegen::{Op, Value};
use polyhedral::{DType, Role};
use runtime::pool::Pool;
use runtime::tensor::{Element, Tensor, TensorView, TensorViewMut};

/// The block whose register `n` has `x[from + lane·step, n]`, stored as the rows of `y`: one row for each register.
fn block(dtype: DType, (rows, columns): (i64, i64), (from, step): (i64, i64), lanes: u32) -> Builder {
    let mut b = Builder::new("block");
    let x = b.input("x", dtype, &[rows, columns]);
    let y = b.argument("y", dtype, Role::Output, &[columns, lanes.into()]);
    let regs: Vec<_> = (0..columns).map(|_| b.reg("x", dtype, lanes)).collect();
    b.program.body =
        vec![Op::LoadBlock { regs: regs.clone(), buffer: x, at: vec![lanes_at(c(from), step), at(c(0))], along: 1 }];
    b.program
        .body
        .extend((0..).zip(regs).map(|(n, reg)| store(y, vec![at(c(n)), lanes_at(c(0), 1)], lanes, Value::Reg(reg))));
    b
}

fn transposed<T: Element + PartialEq + std::fmt::Debug>(dtype: DType, number: impl Fn(i64) -> T) {
    for (lanes, columns) in [(2, 2), (3, 5), (4, 4), (8, 16), (12, 16), (16, 1), (16, 12), (16, 16), (32, 7), (64, 17)]
    {
        for step in [1, 2, -1] {
            let rows = i64::from(lanes) * 2;
            let from = if step < 0 { rows - 1 } else { 1 };
            let b = block(dtype, (rows, columns), (from, step), lanes);
            let rows = rows + 1;
            let values: Vec<T> = (0..rows * columns).map(&number).collect();
            let (input, mut output) =
                (values[..((rows - 1) * columns) as usize].to_vec(), zeros(dtype, &[columns, lanes.into()]));
            if step == 2 && from + (i64::from(lanes) - 1) * 2 >= rows - 1 {
                continue;
            }
            let input = Tensor::from_slice(&input, &[rows - 1, columns]).unwrap();
            b.run(&[&input], &mut [&mut output]).unwrap();
            for (at, found) in output.as_slice::<T>().unwrap().iter().enumerate() {
                let (n, lane) = (at as i64 / i64::from(lanes), at as i64 % i64::from(lanes));
                let expected = &values[((from + lane * step) * columns + n) as usize];
                assert_eq!(found, expected, "{dtype}, {lanes} lanes, {columns} columns, step {step}: {n}, {lane}");
            }
        }
    }
}

#[test]
fn blocks_of_every_type() {
    every_type!(transposed);
}

/// The same backwards: row `n` of `x` in register `n`, stored as a block in front of a column that stays as it is.
fn stored<T: Element + PartialEq + std::fmt::Debug>(dtype: DType, number: impl Fn(i64) -> T) {
    for (lanes, columns) in [(2i64, 2i64), (3, 5), (8, 16), (12, 16), (16, 1), (16, 12), (32, 7), (64, 17)] {
        let mut b = Builder::new("block");
        let x = b.input("x", dtype, &[columns, lanes]);
        let y = b.argument("y", dtype, Role::InOut, &[lanes, columns + 1]);
        let regs: Vec<_> = (0..columns).map(|_| b.reg("x", dtype, lanes as u32)).collect();
        let row = |n: i64| load(x, vec![at(c(n)), lanes_at(c(0), 1)]);
        b.program.body = (0..).zip(&regs).map(|(n, &reg)| Op::Set { reg, value: row(n) }).collect();
        b.program.body.push(Op::StoreBlock { regs, buffer: y, at: vec![lanes_at(c(0), 1), at(c(0))], along: 1 });
        let input: Vec<T> = (0..columns * lanes).map(&number).collect();
        let mut expected: Vec<T> = (0..lanes * (columns + 1)).map(|n| number(n + 5)).collect();
        let mut output = Tensor::from_slice(&expected, &[lanes, columns + 1]).unwrap();
        b.run(&[&Tensor::from_slice(&input, &[columns, lanes]).unwrap()], &mut [&mut output]).unwrap();
        for (lane, n) in (0..lanes).flat_map(|lane| (0..columns).map(move |n| (lane, n))) {
            expected[(lane * (columns + 1) + n) as usize] = input[(n * lanes + lane) as usize];
        }
        assert_eq!(output.as_slice::<T>().unwrap(), expected, "{dtype}, {lanes} lanes, {columns} columns");
    }
}

#[test]
fn stored_blocks_of_every_type() {
    every_type!(stored);
}

/// Blocks that end where the memory ends, and that begin where it begins.
#[test]
fn nothing_outside_of_a_block_is_loaded() {
    let (mut left, mut right) = (Guarded::new(), Guarded::new());
    for (lanes, columns) in [(16i64, 16i64), (12, 7), (8, 5), (3, 3), (16, 2)] {
        for last in [true, false] {
            let kernel = block(DType::F32, (lanes, columns), (0, 1), lanes as u32).kernel();
            let input: &mut [f32] = left.slice((lanes * columns) as usize, last);
            input.iter_mut().zip(0..).for_each(|(to, n)| *to = n as f32);
            let output: &mut [f32] = right.slice((lanes * columns) as usize, last);
            let inputs = [TensorView::with_strides(input, 0, &[lanes, columns], &[columns, 1]).unwrap()];
            let mut outputs = [TensorViewMut::with_strides(output, 0, &[columns, lanes], &[lanes, 1]).unwrap()];
            kernel.run(&inputs, &mut outputs, &Pool::single()).unwrap();
            let expected = (0..columns).flat_map(|n| (0..lanes).map(move |lane| (lane * columns + n) as f32));
            assert_eq!(output.to_vec(), expected.collect::<Vec<f32>>(), "{lanes} lanes, {columns} columns");
        }
    }
}

/// A block along a dimension whose neighbours are apart, or with lanes that are not, is so many loads.
#[test]
fn blocks_that_are_no_transpose() {
    for (step, along) in [(1, 0), (0, 0), (0, 1)] {
        let mut b = Builder::new("loads");
        let x = b.input("x", DType::I32, &[8, 8]);
        let y = b.output("y", DType::I32, &[3, 4]);
        let regs: Vec<_> = (0..3).map(|_| b.reg("x", DType::I32, 4)).collect();
        let here = vec![at(c(2)), lanes_at(c(1), step)];
        b.program.body = vec![Op::LoadBlock { regs: regs.clone(), buffer: x, at: here, along }];
        let rows = (0..).zip(regs).map(|(n, reg)| store(y, vec![at(c(n)), lanes_at(c(0), 1)], 4, Value::Reg(reg)));
        b.program.body.extend(rows);
        let values: Vec<i32> = (0..64).collect();
        let mut output = zeros(DType::I32, &[3, 4]);
        b.run(&[&Tensor::from_slice(&values, &[8, 8]).unwrap()], &mut [&mut output]).unwrap();
        let element = |n: i64, lane: i64| {
            8 * (2 + if along == 0 { n } else { 0 }) + 1 + lane * step + if along == 1 { n } else { 0 }
        };
        let expected: Vec<i32> = (0..3).flat_map(|n| (0..4).map(move |lane| element(n, lane) as i32)).collect();
        assert_eq!(output.as_slice::<i32>().unwrap(), expected, "step {step}, along {along}");
    }
}

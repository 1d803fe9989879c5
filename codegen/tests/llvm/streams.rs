//! Stores past the caches: the same values as others, wherever rows begin, and complete when a thread's part is done.

use crate::build::*;
use crate::every_type;
use crate::memory::Guarded;
use codegen::llvm::assembly;
use polyhedral::{BinOp, DType, Role};
use runtime::pool::Pool;
use runtime::tensor::{Element, Tensor, TensorView, TensorViewMut};

/// `y[8·i + n, lanes] = x[8·i + n, lanes]` for `n < 8`, in a row of stores, where `y` is streamed.
fn copy(dtype: DType, (rows, columns): (i64, i64), lanes: u32, parallel: bool) -> Builder {
    let mut b = Builder::new("copy");
    let x = b.input("x", dtype, &[rows, columns]);
    let y = b.argument("y", dtype, Role::Output, &[rows, columns]);
    let rows_at_once = 8.min(rows);
    let body = |b: &mut Builder, i| {
        vec![b.repeat("j", c(columns), lanes.into(), |_, j| {
            let here = |n: i64| vec![at(add(mul(c(rows_at_once), v(i)), c(n))), lanes_at(v(j), 1)];
            (0..rows_at_once).map(|n| store(y, here(n), lanes, load(x, here(n)))).collect()
        })]
    };
    let count = c(rows / rows_at_once);
    let all = if parallel { b.spread("i", count, 1, body) } else { b.repeat("i", count, 1, body) };
    b.program.body = vec![all];
    b.program.buffers[y].streamed = true;
    b
}

fn streamed<T: Element + PartialEq + std::fmt::Debug>(dtype: DType, number: impl Fn(i64) -> T) {
    for (columns, lanes) in [(64, 16), (64, 64), (24, 8), (6, 2), (5, 1), (9, 3)] {
        for parallel in [false, true] {
            let values: Vec<T> = (0..16 * columns).map(&number).collect();
            let input = Tensor::from_slice(&values, &[16, columns]).unwrap();
            let mut output = zeros(dtype, &[16, columns]);
            let kernel = copy(dtype, (16, columns), lanes, parallel).kernel();
            run(&kernel, &[&input], &mut [&mut output], &Pool::with_threads(2).unwrap()).unwrap();
            assert_eq!(output.as_slice::<T>().unwrap(), values, "{dtype}, {lanes} lanes, parallel: {parallel}");
        }
    }
}

#[test]
fn streams_of_every_type() {
    every_type!(streamed);
}

/// Memory that begins anywhere: a streaming store to an address that is not aligned would end the process.
#[test]
fn wherever_the_memory_begins() {
    let (mut left, mut right) = (Guarded::new(), Guarded::new());
    let kernel = copy(DType::F32, (8, 32), 16, false).kernel();
    for offset in 0..40usize {
        let input: &mut [f32] = left.slice(8 * 32 + offset, true);
        input.iter_mut().zip(0..).for_each(|(to, n)| *to = n as f32);
        let output: &mut [f32] = right.slice(8 * 32 + offset, false);
        output.fill(-1.0);
        let expected = [vec![-1.0; offset], input[offset..].to_vec()].concat();
        let inputs = [TensorView::with_strides(input, offset, &[8, 32], &[32, 1]).unwrap()];
        let mut outputs = [TensorViewMut::with_strides(output, offset, &[8, 32], &[32, 1]).unwrap()];
        kernel.run(&inputs, &mut outputs, &Pool::single()).unwrap();
        assert_eq!(output.to_vec(), expected, "{offset} elements after an aligned address");
    }
}

/// A store that a later one of the row reads is not put off.
#[test]
fn what_is_streamed_can_be_read_at_once() {
    let mut b = Builder::new("chain");
    let y = b.argument("y", DType::F32, Role::InOut, &[64]);
    let here = |n: i64| vec![lanes_at(c(16 * n), 1)];
    let one = |n: i64| store(y, here(n + 1), 16, binary(BinOp::Add, load(y, here(n)), float(1.0, DType::F32)));
    b.program.body = (0..3).map(one).collect();
    b.program.buffers[y].streamed = true;
    let mut tensor = zeros(DType::F32, &[64]);
    b.run(&[], &mut [&mut tensor]).unwrap();
    let expected: Vec<f32> = (0..64).map(|n| (n / 16) as f32).collect();
    assert_eq!(tensor.as_slice::<f32>().unwrap(), expected);
}

/// What one thread streamed, another one reads in the next parallel loop.
#[test]
fn a_temporary_passes_from_thread_to_thread() {
    let mut b = Builder::new("two");
    let x = b.input("x", DType::I32, &[1024]);
    let t = b.temporary("t", DType::I32, &[1024]);
    let y = b.output("y", DType::I32, &[1024]);
    let first = b.spread("i", c(64), 1, |_, i| {
        let here = || vec![lanes_at(mul(c(16), v(i)), 1)];
        vec![store(t, here(), 16, load(x, here()))]
    });
    let second = b.spread("j", c(64), 1, |_, j| {
        let there = vec![lanes_at(add(c(16 * 63), mul(c(-16), v(j))), 1)];
        vec![store(y, vec![lanes_at(mul(c(16), v(j)), 1)], 16, load(t, there))]
    });
    b.program.body = vec![first, second];
    b.program.buffers[t].streamed = true;
    let values: Vec<i32> = (0..1024).collect();
    let mut output = zeros(DType::I32, &[1024]);
    let kernel = b.kernel();
    for _ in 0..20 {
        let input = Tensor::from_slice(&values, &[1024]).unwrap();
        run(&kernel, &[&input], &mut [&mut output], &Pool::with_threads(2).unwrap()).unwrap();
        let expected: Vec<i32> = (0..64).rev().flat_map(|block| block * 16..block * 16 + 16).collect();
        assert_eq!(output.as_slice::<i32>().unwrap(), expected);
    }
}

/// Streaming stores, and the fence behind them, are there, and only where they are asked for.
#[test]
fn the_instructions() {
    let mut b = copy(DType::F32, (8, 32), 16, true);
    let text = |b: &Builder, target| assembly(&b.program, &target).unwrap();
    let x86 = || target("x86_64-unknown-linux-gnu", "x86-64-v4", "", 64);
    let arm = || target("aarch64-unknown-linux-gnu", "generic", "", 16);
    let streamed = text(&b, x86());
    assert!(streamed.contains("vmovntps") && streamed.contains("%zmm"), "{streamed}");
    // Before the loop, at the end of a thread's part, and at the end of the kernel.
    assert_eq!(streamed.matches("sfence").count(), 3, "{streamed}");
    assert!(!text(&b, arm()).contains("fence"));
    let y = b.program.buffers.keys().last().unwrap();
    b.program.buffers[y].streamed = false;
    let cached = text(&b, x86());
    assert!(!cached.contains("movnt") && !cached.contains("sfence"), "{cached}");
}

//! A call in the steady state does not allocate; and what a call costs.

mod common;

use common::{add, squares};
use runtime::pool::Pool;
use runtime::tensor::{TensorView, TensorViewMut};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator, with a counter that needs no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_call_does_not_allocate() {
    let (add, squares) = (add(16), squares(16));
    let (a, mut c) = ([1.0_f32; 16], [0.0_f32; 16]);
    let mut call = || {
        let view = || TensorView::new(&a, &[16]).expect("the shape fits");
        let mut output = [TensorViewMut::new(&mut c, &[16]).expect("the shape fits")];
        add.run(&[view(), view()], &mut output, &Pool::single()).expect("the arguments fit");
        squares.run(&[view()], &mut output, &Pool::single()).expect("the arguments fit");
    };
    call();
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        call();
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn a_parallel_call_does_not_allocate() {
    let kernel = squares(64);
    let pool = Pool::with_threads(4).expect("four threads");
    let (a, mut b) = ([1.0_f32; 64], [0.0_f32; 64]);
    let mut call = || {
        let input = TensorView::new(&a, &[64]).expect("the shape fits");
        let mut output = [TensorViewMut::new(&mut b, &[64]).expect("the shape fits")];
        kernel.run(&[input], &mut output, &pool).expect("the arguments fit");
    };
    call();
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        call();
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// Prints, and asserts nothing: the machine may be busy.
#[test]
fn what_a_call_costs() {
    let rounds = 100_000;
    let pool = Pool::single();
    for (name, kernel) in [("without a workspace", add(1)), ("with one", squares(1))] {
        let (a, mut c) = ([1.0_f32], [0.0_f32]);
        let input = TensorView::new(&a, &[1]).expect("the shape fits");
        let inputs = &[input.clone(), input][..kernel.signature().inputs().count()];
        let mut outputs = [TensorViewMut::new(&mut c, &[1]).expect("the shape fits")];
        let start = Instant::now();
        for _ in 0..rounds {
            kernel.run(inputs, &mut outputs, &pool).expect("the arguments fit");
        }
        println!("{name}: {} ns a call", start.elapsed().as_nanos() / rounds);
    }
    let pool = Pool::with_threads(2).expect("two threads");
    let start = Instant::now();
    for _ in 0..rounds / 100 {
        pool.parallel(2, |_| 0);
    }
    println!("a parallel loop on two threads: {} ns", start.elapsed().as_nanos() / (rounds / 100));
}

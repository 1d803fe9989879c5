//! No call allocates, on any thread: one test alone in its process, which counts all that is allocated.

mod common;

use common::{add, squares};
use runtime::kernel::Kernel;
use runtime::package::{Machine, Package, Parts, VariantParts};
use runtime::pool::Pool;
use runtime::tensor::{TensorView, TensorViewMut};
use runtime::{DType, Formula, OpenArgument, OpenCode, OpenSignature, Role};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the allocations of all threads.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator, with a counter that needs no memory of its own. `alloc_zeroed` and `realloc` are the
// trait's own, which call `alloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

const N: usize = 4096;

/// What a call with the kernel's own workspace allocates, and one with the caller's.
fn allocated(kernel: &Kernel, pool: &Pool, result: &mut [f32]) -> (usize, usize) {
    let a = [1.0_f32; N];
    let inputs = [view(&a), view(&a)];
    let inputs = &inputs[..kernel.signature().inputs().count()];
    let mut outputs = [TensorViewMut::new(result, &[N as i64]).expect("the shape fits")];
    let mut workspace = kernel.workspace().expect("some bytes");
    let count = |call: &mut dyn FnMut()| {
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        call();
        ALLOCATIONS.load(Ordering::SeqCst) - before
    };
    let own = count(&mut || kernel.run(inputs, &mut outputs, pool).expect("the arguments fit"));
    let callers = count(&mut || {
        kernel.run_with_workspace(inputs, &mut outputs, &mut workspace, pool).expect("the arguments fit")
    });
    (own, callers)
}

fn view(data: &[f32]) -> TensorView<'_> {
    TensorView::new(data, &[N as i64]).expect("the shape fits")
}

#[test]
fn no_call_allocates_from_the_first_on() {
    let mut result = vec![0.0; N];
    // The first parallel loop of a process asks for what a thread is; that is the pool's, and not the call's.
    let pools = [Pool::single(), Pool::with_threads(2).expect("two threads"), Pool::with_threads(4).expect("four")];
    pools.iter().for_each(|pool| _ = pool.parallel(64, |_| 0));
    for pool in &pools {
        for kernel in [add(N as i64), squares(N as i64)] {
            for call in 0..100 {
                let found = allocated(&kernel, pool, &mut result);
                assert_eq!(found, (0, 0), "call {call} of a kernel with {} bytes", kernel.workspace_bytes());
            }
        }
    }
    // Two at once need two workspaces: the second one is allocated, once.
    let kernel = squares(N as i64);
    let spare = [kernel.clone(), kernel.clone()];
    std::thread::scope(|scope| {
        for kernel in &spare {
            scope.spawn(|| {
                let (mut own, pool) = (vec![0.0; N], Pool::single());
                (0..100).for_each(|_| _ = allocated(kernel, &pool, &mut own));
            });
        }
    });
    assert_eq!(allocated(&kernel, &pools[0], &mut result), (0, 0));
    for (kernel, name) in [(of_package(), "of a package"), (add(N as i64), "without a workspace")] {
        assert_eq!(of_many_threads(&kernel), 0, "the kernel {name}");
    }
}

/// `B(i) = A(i) * A(i)` with a workspace, from a package for any sizes.
fn of_package() -> Kernel {
    let formula = |text: &str| text.parse::<Formula>().expect("a formula");
    let argument = |(name, role): (&str, Role)| OpenArgument {
        name: name.into(),
        dtype: DType::FLOAT32,
        role,
        shape: vec![formula("N")],
        strides: vec![Some(Formula::Const(1))],
    };
    let arguments = [("A", Role::Input), ("B", Role::Output)].map(argument).to_vec();
    let (parameters, workspace_bytes) = (vec![formula("N")], formula("4*N"));
    let signature = OpenSignature {
        name: "squares".into(),
        arguments,
        parameters,
        workspace_bytes,
        checks: vec![],
        functions: Default::default(),
    };
    // SAFETY: the source keeps the ABI and stays inside its arguments.
    let code = unsafe { OpenCode::new(common::object(common::SQUARES), "entry", signature) };
    let [version, definition, program] = ["", "squares", ""].map(String::from);
    let (sizes, arguments, conditions) = (vec!["N".into()], vec![], vec![]);
    let mut package = Package::new(Parts { version, definition, sizes, arguments, conditions, program });
    let (triple, cpu) = (format!("{}-unknown-linux-gnu", std::env::consts::ARCH), "generic".into());
    let machine = Machine { triple, cpu, features: vec![], scalable_bits: None };
    let [name, target, script] = ["any", "host", ""].map(String::from);
    package.add_host(VariantParts { name, target, sizes: None, script }, machine, &code);
    package.kernel(&[("N", N as i64)]).expect("code")
}

/// What 16 threads allocate that call a kernel 10 000 times each, all at once.
fn of_many_threads(kernel: &Kernel) -> usize {
    const THREADS: usize = 16;
    let (ready, start, done) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let (a, mut own, pool) = ([1.0_f32; N], vec![0.0_f32; N], Pool::single());
                let inputs = [view(&a), view(&a)];
                let inputs = &inputs[..kernel.signature().inputs().count()];
                let mut outputs = [TensorViewMut::new(&mut own, &[N as i64]).expect("the shape fits")];
                let mut workspace = kernel.workspace().expect("some bytes");
                let mut call = || {
                    kernel.run_with_workspace(inputs, &mut outputs, &mut workspace, &pool).expect("the arguments fit")
                };
                call();
                ready.wait();
                start.wait();
                (0..10_000).for_each(|_| call());
                done.wait();
            });
        }
        ready.wait();
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        start.wait();
        done.wait();
        ALLOCATIONS.load(Ordering::SeqCst) - before
    })
}

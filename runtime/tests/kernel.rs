//! Calling kernels: results, threads, and every refusal.

mod common;

use common::{add, checked_kernel, floats, kernel, squares};
use runtime::abi::{self, STATUS_PANICKED};
use runtime::kernel::{CallError, Check, Code, Kernel, LoadError, Position, Role, Signature};
use runtime::math;
use runtime::pool::Pool;
use runtime::tensor::{DType, Tensor, TensorView, TensorViewMut};

fn view<'a>(data: &'a [f32], shape: &[i64]) -> TensorView<'a> {
    TensorView::new(data, shape).expect("the shape fits")
}

fn view_mut<'a>(data: &'a mut [f32], shape: &[i64]) -> TensorViewMut<'a> {
    TensorViewMut::new(data, shape).expect("the shape fits")
}

fn pools() -> [Pool; 3] {
    [Pool::single(), Pool::global(), Pool::with_threads(4).expect("four threads")]
}

#[test]
fn a_call_computes() {
    let kernel = add(4);
    let mut c = [0.0; 4];
    let inputs = [view(&[1.0, 2.0, 3.0, 4.0], &[4]), view(&[10.0, 20.0, 30.0, 40.0], &[4])];
    kernel.run(&inputs, &mut [view_mut(&mut c, &[4])], &Pool::single()).expect("the arguments fit");
    assert_eq!(c, [11.0, 22.0, 33.0, 44.0]);
}

#[test]
fn strides_are_those_of_the_views() {
    let kernel = add(3);
    let a = [1.0_f32, -1.0, 2.0, -1.0, 3.0];
    let mut c = [0.0_f32; 6];
    let inputs = [TensorView::with_strides(&a, 4, &[3], &[-2]).expect("inside"), view(&[10.0, 20.0, 30.0], &[3])];
    let mut outputs = [TensorViewMut::with_strides(&mut c, 1, &[3], &[2]).expect("inside")];
    kernel.run(&inputs, &mut outputs, &Pool::single()).expect("the arguments fit");
    assert_eq!(c, [0.0, 13.0, 0.0, 22.0, 0.0, 31.0]);
}

#[test]
fn parallel_loops_run_on_every_kind_of_pool() {
    let n = 10_007;
    let kernel = squares(n);
    let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
    for pool in pools() {
        let mut b = vec![0.0; n as usize];
        kernel.run(&[view(&a, &[n])], &mut [view_mut(&mut b, &[n])], &pool).expect("the arguments fit");
        assert!(b.iter().zip(&a).all(|(b, a)| *b == a * a));
    }
}

#[test]
fn sixteen_threads_call_one_kernel() {
    let n = 4096;
    let kernel = squares(n);
    let pool = Pool::with_threads(3).expect("three threads");
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (kernel, pool) = (kernel.clone(), pool.clone());
            scope.spawn(move || {
                let a = vec![thread as f32; n as usize];
                for round in 0..50 {
                    let pool = if round % 2 == 0 { Pool::single() } else { pool.clone() };
                    let mut b = vec![0.0; n as usize];
                    kernel.run(&[view(&a, &[n])], &mut [view_mut(&mut b, &[n])], &pool).expect("the arguments fit");
                    assert!(b.iter().all(|b| *b == (thread * thread) as f32), "thread {thread}, round {round}");
                }
            });
        }
    });
}

#[test]
fn the_caller_may_bring_the_workspace() {
    let (small, large) = (squares(8), squares(16));
    let mut workspace = large.workspace().expect("64 bytes");
    assert_eq!((large.workspace_bytes(), workspace.bytes()), (64, 64));
    let a = [3.0; 8];
    let mut b = [0.0; 8];
    let mut outputs = [view_mut(&mut b, &[8])];
    small
        .run_with_workspace(&[view(&a, &[8])], &mut outputs, &mut workspace, &Pool::single())
        .expect("the workspace is large enough");
    assert_eq!(b, [9.0; 8]);
    let mut b = [0.0; 16];
    let error = large.run_with_workspace(
        &[view(&[3.0; 16], &[16])],
        &mut [view_mut(&mut b, &[16])],
        &mut small.workspace().expect("32 bytes"),
        &Pool::single(),
    );
    assert_eq!(error, Err(CallError::WorkspaceTooSmall { expected: 64, found: 32 }));
}

#[test]
fn machine_code_calls_the_table_of_functions() {
    let slot = math::slot("normcdf", true).expect("a built-in");
    let source = format!(
        "i32 entry(const struct Context *context, const struct Arg *args, const i64 *sizes) {{
            double (*normcdf)(double) = context->math[{slot}];
            *(double *)args[0].data = normcdf(*(double *)args[0].data);
            return 0;
        }}"
    );
    let mut argument = floats("X", Role::InOut, &[]);
    argument.dtype = DType::FLOAT64;
    let kernel = kernel(&source, vec![argument], vec![], 0);
    let mut x = [0.0_f64];
    let mut outputs = [TensorViewMut::new(&mut x, &[]).expect("one element")];
    kernel.run(&[], &mut outputs, &Pool::single()).expect("the arguments fit");
    assert_eq!(x, [0.5]);
}

/// A gather that checks its subscripts, in parallel.
const GATHER: &str = r#"
struct Closure { const i64 *index; const float *table; float *out; i64 lower, extent; };
static i32 body(const struct Context *context, void *data, i64 begin, i64 end) {
    struct Closure *c = data;
    for (i64 i = begin; i < end; i++) {
        i64 at = c->index[i];
        if (at < c->lower || at >= c->lower + c->extent) {
            struct Fault fault = { 1, 0, at - c->lower, c->lower, c->extent, &i };
            context->report(context, &fault);
            return 1;
        }
        c->out[i] = c->table[at - c->lower];
    }
    return 0;
}
i32 entry(const struct Context *context, const struct Arg *args, const i64 *sizes) {
    struct Closure c = { args[0].data, args[1].data, args[2].data, sizes[2], sizes[1] };
    return context->parallel(context, body, &c, sizes[0]);
}
"#;

#[test]
fn a_subscript_out_of_range_is_an_error() {
    let mut index = floats("I", Role::Input, &[1000]);
    index.dtype = DType::INT64;
    let arguments = vec![index, floats("Table", Role::Input, &[10]), floats("Out", Role::Output, &[1000])];
    let check = Check { tensor: "Table".to_owned(), dim: 0, unsigned: false, found_by: vec![("I".to_owned(), 1)] };
    let kernel = checked_kernel(GATHER, arguments, vec![1000, 10, 3], 0, vec![check]);
    let table: Vec<f32> = (0..10).map(|i| i as f32).collect();
    for pool in pools() {
        let mut index: Vec<i64> = (0..1000).map(|i| 3 + i % 10).collect();
        let mut out = vec![0.0; 1000];
        let mut run = |index: &[i64]| {
            let inputs = [TensorView::new(index, &[1000]).expect("the shape fits"), view(&table, &[10])];
            kernel.run(&inputs, &mut [view_mut(&mut out, &[1000])], &pool)
        };
        assert_eq!(run(&index), Ok(()));
        index[777] = -5;
        let error = run(&index).expect_err("-5 is not a subscript");
        let found_by = vec![Position { tensor: "I".to_owned(), at: vec![777] }];
        let (tensor, lower, upper) = ("Table".to_owned(), 3, 13);
        assert_eq!(error, CallError::IndexOutOfRange { tensor, dim: 0, value: -5, lower, upper, found_by });
        assert_eq!(error.to_string(), "subscript 0 of `Table` is -5, outside of 3..13; it comes from `I(777)`");
        // Whichever thread is first, what is named is what one thread would have met first.
        (0..20).for_each(|_| {
            (300..1000).step_by(7).for_each(|at| index[at] = i64::MAX - at as i64);
            let error = run(&index).expect_err("wrong from 300 on");
            assert!(error.to_string().ends_with("`I(300)`"), "{error}");
        });
        index = (0..1000).map(|i| 3 + i % 10).collect();
        assert_eq!(run(&index), Ok(()), "a fault does not outlive its call");
    }
}

#[test]
fn other_statuses_are_errors_too() {
    let source = "i32 entry(const struct Context *context, const struct Arg *args, const i64 *sizes) { return -1; }";
    let kernel = kernel(source, vec![], vec![], 0);
    assert_eq!(kernel.run(&[], &mut [], &Pool::single()), Err(CallError::Failed { status: STATUS_PANICKED }));
}

#[test]
fn arguments_that_do_not_fit_are_refused_and_nothing_is_written() {
    let kernel = {
        let arguments = vec![floats("A", Role::Input, &[2, 3]), floats("C", Role::Output, &[2, 3])];
        let source = "i32 entry(const struct Context *context, const struct Arg *args, const i64 *sizes) {
            *(float *)args[1].data = 1; return 0;
        }";
        common::kernel(source, arguments, vec![], 0)
    };
    let data = [0.0_f32; 12];
    let doubles = [0.0_f64; 6];
    let refuse = |inputs: &[TensorView<'_>], expected: &str| {
        let mut c = [7.0; 6];
        let error = kernel.run(inputs, &mut [view_mut(&mut c, &[2, 3])], &Pool::single()).expect_err(expected);
        assert_eq!(error.to_string(), expected);
        assert_eq!(c, [7.0; 6]);
    };
    refuse(&[], "expected 1 inputs, found 0");
    refuse(&[view(&data, &[2, 3, 1])], "`A`: expected 2 dimensions, found 3");
    refuse(&[view(&data, &[3, 3])], "`A`: expected extent 2 in dimension 0, found 3");
    refuse(&[view(&data, &[2, 4])], "`A`: expected extent 3 in dimension 1, found 4");
    let double = TensorView::new(&doubles, &[2, 3]).expect("the shape fits");
    refuse(&[double], "`A`: expected elements of type float32, found float64");
    let transposed = TensorView::with_strides(&data, 0, &[2, 3], &[1, 2]).expect("inside");
    refuse(&[transposed], "`A`: expected stride 3 in dimension 0, found 1");
    let error = kernel.run(&[view(&data, &[2, 3])], &mut [], &Pool::single()).expect_err("no output");
    assert_eq!(error.to_string(), "expected 1 outputs, found 0");
}

#[test]
fn outputs_must_not_overlap() {
    let kernel = add(4);
    let mut memory = [0.0_f32; 12];
    let mut tensor = |offset: u64, shape: &'static [i64; 1]| runtime::tensor::DLTensor {
        data: memory.as_mut_ptr().cast(),
        device: runtime::tensor::DLDevice::CPU,
        ndim: 1,
        dtype: runtime::tensor::DLDataType { code: 2, bits: 32, lanes: 1 },
        shape: shape.as_ptr(),
        strides: std::ptr::null(),
        byte_offset: offset * 4,
    };
    let (a, b) = (tensor(0, &[4]), tensor(4, &[4]));
    for (offset, expected) in [(8, Ok(())), (3, Err("A")), (5, Err("B"))] {
        let c = tensor(offset, &[4]);
        // SAFETY: the memory is there; where the views overlap, the call is refused before it writes.
        let (a, b, c) =
            unsafe { (TensorView::from_dlpack(&a), TensorView::from_dlpack(&b), TensorViewMut::from_dlpack(&c)) };
        let inputs = [a.expect("valid"), b.expect("valid")];
        let result = kernel.run(&inputs, &mut [c.expect("valid")], &Pool::single());
        let expected =
            expected.map_err(|other: &str| CallError::Overlap { output: "C".to_owned(), other: other.to_owned() });
        assert_eq!(result, expected, "offset {offset}");
    }
}

#[test]
fn empty_tensors_are_no_special_case() {
    let kernel = add(0);
    let empty = Tensor::zeros(DType::FLOAT32, &[0]).expect("no memory");
    let mut c = Tensor::zeros(DType::FLOAT32, &[0]).expect("no memory");
    kernel.run(&[empty.view(), empty.view()], &mut [c.view_mut()], &Pool::global()).expect("nothing to do");
}

#[test]
fn code_that_does_not_fit_its_signature_is_not_loaded() {
    let load = |entry: &str, signature: Signature| {
        // SAFETY: it is never called.
        Kernel::load(&unsafe { Code::new(common::object(common::ADD), entry, signature) })
    };
    let signature =
        Signature { name: "f".to_owned(), arguments: vec![], sizes: vec![], workspace_bytes: 0, checks: vec![] };
    assert!(matches!(load("start", signature.clone()), Err(LoadError::NoEntry { name }) if name == "start"));
    let mut bad = floats("A", Role::Input, &[2]);
    bad.strides.clear();
    let error = load("entry", Signature { arguments: vec![bad], ..signature.clone() });
    assert!(matches!(error, Err(LoadError::Signature { .. })));
    let greedy = load("entry", Signature { workspace_bytes: usize::MAX / 4, ..signature }).expect("it can be loaded");
    let error = greedy.run(&[], &mut [], &Pool::single());
    assert_eq!(error, Err(CallError::OutOfMemory { bytes: usize::MAX / 4 }));
}

/// Tensors that end where a page ends that may not be read: reading or writing further would kill the test.
#[test]
fn nothing_is_read_past_the_end() {
    let n = 100;
    let kernel = add(n);
    let mut pages: Vec<Guarded> = (0..3).map(|_| Guarded::new(n as usize)).collect();
    let [a, b, c] = &mut pages[..] else { unreachable!("three pages") };
    a.floats().fill(1.0);
    b.floats().fill(2.0);
    let inputs = [view(a.floats(), &[n]), view(b.floats(), &[n])];
    kernel.run(&inputs, &mut [view_mut(c.floats(), &[n])], &Pool::single()).expect("the arguments fit");
    assert!(c.floats().iter().all(|c| *c == 3.0));
}

/// Some floats with a page behind them that may not be touched.
struct Guarded {
    start: *mut u8,
    length: usize,
}

const PAGE: usize = 1 << 16;

impl Guarded {
    fn new(length: usize) -> Guarded {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping; the second half of it loses all access.
        let start = unsafe {
            let start = libc::mmap(std::ptr::null_mut(), 2 * PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.wrapping_byte_add(PAGE), PAGE, libc::PROT_NONE), 0);
            start
        };
        Guarded { start: start.cast(), length }
    }

    fn floats(&mut self) -> &mut [f32] {
        let start = self.start.wrapping_add(PAGE - 4 * self.length).cast();
        // SAFETY: the last bytes of the first half, which is ours to read and write.
        unsafe { std::slice::from_raw_parts_mut(start, self.length) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.start.cast(), 2 * PAGE) };
    }
}

#[test]
fn the_layouts_are_those_of_c() {
    assert_eq!(std::mem::offset_of!(abi::Context, workspace), 16);
    assert_eq!(std::mem::offset_of!(abi::Context, math), 24);
    assert_eq!(std::mem::size_of::<abi::Context>(), 40);
    assert_eq!(std::mem::size_of::<abi::Arg>(), 16);
    assert_eq!(std::mem::offset_of!(abi::Fault, value), 8);
    assert_eq!(std::mem::offset_of!(abi::Fault, found_by), 32);
    assert_eq!(std::mem::size_of::<abi::Fault>(), 40);
}

/// Machine code that is part of the program: adds 1 to each of `sizes[0]` elements.
unsafe extern "C" fn increment(_: *const abi::Context, args: *const abi::Arg, sizes: *const i64) -> i32 {
    // SAFETY: it is called with two tensors of as many elements as the size says, the second one to be written.
    unsafe {
        let ([from, to], count) = (&*args.cast::<[abi::Arg; 2]>(), *sizes);
        for at in 0..count as isize {
            let (from, to) = (from.data.cast::<f32>(), to.data.cast::<f32>());
            *to.offset(at) = *from.offset(at) + 1.0;
        }
    }
    abi::STATUS_OK
}

#[test]
fn a_function_that_is_linked_in_is_called_as_one_that_is_mapped() {
    let signature = Signature {
        name: "increment".into(),
        arguments: vec![
            runtime::Argument::dense("A", DType::FLOAT32, Role::Input, &[3]),
            runtime::Argument::dense("B", DType::FLOAT32, Role::Output, &[3]),
        ],
        sizes: vec![3],
        workspace_bytes: 0,
        checks: Vec::new(),
    };
    // SAFETY: it reads and writes the tensors of the signature alone.
    let kernel = unsafe { Kernel::linked(increment, signature) }.expect("the signature is sound");
    let mut b = [0.0_f32; 3];
    kernel
        .run(&[view(&[1.0, 2.0, 3.0], &[3])], &mut [view_mut(&mut b, &[3])], &Pool::single())
        .expect("the arguments fit");
    assert_eq!(b, [2.0, 3.0, 4.0]);
    let short = kernel.run(&[view(&[1.0], &[1])], &mut [view_mut(&mut b, &[3])], &Pool::single());
    assert!(matches!(short, Err(CallError::WrongExtent { .. })), "{short:?}");
}

//! Devices through OpenCL. Where there is none the tests say so and pass: what they would check is not checked there.

use runtime::device::{KernelEntry, Launch, Operand, Part, Text};
use runtime::{
    Argument, CallError, Check, DType, Device, DeviceCode, DeviceError, DeviceKernel, DeviceTensor, Plan, Role,
    Signature, Stream, Tensor, TensorView, TensorViewMut,
};

/// The first device, with a stream.
fn opencl() -> Option<(Device, Stream)> {
    let device = match Device::open("opencl") {
        Ok(device) => device,
        Err(error @ (DeviceError::NoLibrary { .. } | DeviceError::NoDevice { .. })) => {
            eprintln!("NOT TESTED: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let stream = device.stream().expect("a stream");
    Some((device, stream))
}

/// `B(i) = factor·A(i) + shift`, by way of a temporary, each step a kernel; then a check that `B(0)` is an index into 5.
const TEXT: &str = "
__kernel void scale(__global const float *A, __global float *T, int n, int factor) {
    __local float rows[32];
    const int i = get_global_id(0);
    rows[get_local_id(0)] = i < n ? A[i] : 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (i < n) T[i] = rows[get_local_id(0)] * factor;
}
__kernel void shift(__global const float *T, __global float *B, int n, int shift, __global long *fault) {
    const int i = get_global_id(0);
    if (i < n) B[i] = T[i] + shift;
    if (i == 0 && (B[0] < 3 || B[0] >= 8) && atomic_cmpxchg((volatile __global int *)fault, 0, 1) == 0) {
        fault[1] = (long)B[0] - 3;
        fault[2] = 3;
        fault[3] = 5;
        fault[4] = 0;
    }
}";

const N: i64 = 100;

fn plan() -> Plan {
    let argument = |name, role| Argument::dense(name, DType::FLOAT32, role, &[N]);
    let check = Check { tensor: "T".into(), dim: 1, unsigned: false, found_by: vec![("B".into(), 1)] };
    let kernel =
        |name: &str| KernelEntry { name: name.into(), block: [32, 1, 1], shared_bytes: 128, dynamic_shared_bytes: 0 };
    let launch = |kernel, operands| Launch { kernel, grid: [4, 1, 1], operands };
    let n = Operand::Int(N);
    Plan {
        signature: Signature {
            name: "twice".into(),
            arguments: vec![argument("A", Role::Input), argument("B", Role::Output)],
            sizes: Vec::new(),
            workspace_bytes: 1024,
            checks: vec![check],
        },
        index_bits: 32,
        kernels: vec![kernel("scale"), kernel("shift")],
        workspace: vec![Part { offset: 0, bytes: 4 }, Part { offset: 512, bytes: 400 }],
        fault_words: 5,
        launches: vec![
            launch(0, vec![Operand::Argument(0), Operand::Workspace(1), n, Operand::Int(2)]),
            launch(1, vec![Operand::Workspace(1), Operand::Argument(1), n, Operand::Int(3), Operand::Faults]),
        ],
    }
}

fn code(text: &str, plan: Plan) -> DeviceCode {
    // SAFETY: the kernels stay inside of what the plan says.
    unsafe { DeviceCode::new(Text::OpenCl(text.into()), plan) }
}

fn loaded(device: &Device) -> DeviceKernel {
    device.load(&code(TEXT, plan())).expect("a good text")
}

fn ramp(first: f32) -> Tensor {
    let values: Vec<f32> = (0..N).map(|i| first + i as f32).collect();
    Tensor::from_slice(&values, &[N]).expect("it fits")
}

fn floats(tensor: &Tensor) -> &[f32] {
    tensor.as_slice().expect("floats")
}

#[test]
fn launches_run_in_order_and_apart_from_the_host() {
    let Some((device, stream)) = opencl() else { return };
    let kernel = loaded(&device);
    let mut a = device.upload(&stream, &ramp(0.0).view()).expect("room");
    let mut b = device.allocate(DType::FLOAT32, &[N]).expect("room");
    let begin = stream.mark().expect("a moment");
    for _ in 0..3 {
        kernel.launch(&stream, &[&a], &mut [&mut b]).expect("it fits");
        std::mem::swap(&mut a, &mut b);
    }
    let end = stream.mark().expect("a moment");
    // The first of the three finds 3, the second 9, the third 21.
    let error = stream.synchronise().expect_err("9 is no subscript");
    assert!(error.to_string().contains("subscript 1 of `T` is 9, outside of 3..8; it comes from `B(0)`"), "{error}");
    assert!(end.since(&begin).expect("they have passed").as_nanos() > 0);
    // What is said is said once, and the results are there.
    let result = device.download(&stream, &a).expect("nothing new is wrong");
    let expected: Vec<f32> = (0..N).map(|i| 8.0 * i as f32 + 21.0).collect();
    assert_eq!(floats(&result), expected);
}

#[test]
fn tensors_of_the_host_are_copied_there_and_back() {
    let Some((device, stream)) = opencl() else { return };
    let kernel = loaded(&device);
    // Every second element of a longer tensor, backwards.
    let values: Vec<f32> = (0..2 * N).map(|i| i as f32 / 2.0).collect();
    let input = TensorView::with_strides(&values, 2 * N as usize - 2, &[N], &[-2]).expect("it fits");
    let mut results = vec![-1.0f32; 3 * N as usize];
    let output = TensorViewMut::with_strides(&mut results, 1, &[N], &[3]).expect("it fits");
    let error = kernel.run(&stream, &[input], &mut [output]).expect_err("201 is no subscript");
    assert!(matches!(error, DeviceError::Call(CallError::IndexOutOfRange { value: 201, .. })), "{error}");
    assert!(results.iter().all(|&value| value == -1.0), "nothing is written after an error");
    let input = ramp(0.0);
    let output = TensorViewMut::with_strides(&mut results, 1, &[N], &[3]).expect("it fits");
    kernel.run(&stream, &[input.view()], &mut [output]).expect("it runs");
    for (at, value) in results.iter().enumerate() {
        let expected = if at % 3 == 1 { 2.0 * (at / 3) as f32 + 3.0 } else { -1.0 };
        assert_eq!(*value, expected, "element {at}");
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    let Some((device, stream)) = opencl() else { return };
    let kernel = loaded(&device);
    let tensor = |dtype, shape: &[i64]| device.allocate(dtype, shape).expect("room");
    let (a, mut b) = (tensor(DType::FLOAT32, &[N]), tensor(DType::FLOAT32, &[N]));
    let refused = |inputs: &[&DeviceTensor], outputs: &mut [&mut DeviceTensor]| {
        let error = kernel.launch(&stream, inputs, outputs).expect_err("it does not fit");
        error.to_string()
    };
    assert_eq!(refused(&[], &mut [&mut b]), "expected 1 inputs, found 0");
    assert!(refused(&[&tensor(DType::INT32, &[N])], &mut [&mut b]).contains("expected elements of type float32"));
    assert!(refused(&[&a], &mut [&mut tensor(DType::FLOAT32, &[N - 1])]).contains("expected extent 100"));
    assert_eq!(refused(&[&b.clone()], &mut [&mut b]), "`B` overlaps `A` in memory");
    let long = tensor(DType::FLOAT32, &[2 * N]);
    let other = long.view(0, &[N], &[2]).expect("inside");
    assert!(refused(&[&other], &mut [&mut b]).contains("expected stride 1"));
    let other = device.stream().expect("a stream");
    kernel.launch(&other, &[&a], &mut [&mut b]).expect("any stream of the device");
}

#[test]
fn parts_of_tensors_are_tensors() {
    let Some((device, stream)) = opencl() else { return };
    let kernel = loaded(&device);
    // Far enough into the memory for every device.
    let values: Vec<f32> = (0..2048 + N).map(|i| i as f32 - 2048.0).collect();
    let whole = Tensor::from_slice(&values, &[2048 + N]).expect("it fits");
    let whole = device.upload(&stream, &whole.view()).expect("room");
    let mut b = device.allocate(DType::FLOAT32, &[N]).expect("room");
    let part = whole.view(2048, &[N], &[1]).expect("inside");
    kernel.launch(&stream, &[&part], &mut [&mut b]).expect("it fits");
    assert_eq!(floats(&device.download(&stream, &b).expect("there"))[..3], [3.0, 5.0, 7.0]);
    assert!(whole.view(2049, &[N], &[1]).is_err(), "the last element is outside");
    if device.about().alignment > 4 {
        let part = whole.view(1, &[N], &[1]).expect("inside");
        let error = kernel.launch(&stream, &[&part], &mut [&mut b]).expect_err("not aligned");
        assert!(matches!(error, DeviceError::Misaligned { offset: 4, .. }), "{error}");
    }
}

#[test]
fn the_memory_and_the_queue_may_be_the_callers() {
    let Some((device, stream)) = opencl() else { return };
    let kernel = loaded(&device);
    let own = device.upload(&stream, &ramp(0.0).view()).expect("room");
    let (memory, offset) = own.as_raw();
    // SAFETY: the memory is that of a tensor, which outlives this one and is only read.
    let borrowed = unsafe { DeviceTensor::borrow(&device, memory, offset, DType::FLOAT32, (&[N], &[1])) };
    let borrowed = borrowed.expect("a tensor");
    let mut b = device.allocate(DType::FLOAT32, &[N]).expect("room");
    // SAFETY: the queue is that of another stream, which outlives this one.
    let same = unsafe { device.stream_of(stream.as_raw()) };
    kernel.launch(&same, &[&borrowed], &mut [&mut b]).expect("it fits");
    same.synchronise().expect("nothing is wrong");
    drop(same);
    assert_eq!(floats(&device.download(&stream, &b).expect("the queue is still there"))[..3], [3.0, 5.0, 7.0]);
}

#[test]
fn a_text_that_does_not_build_is_shown_with_what_is_wrong() {
    let Some((device, _stream)) = opencl() else { return };
    let error = device.load(&code("__kernel void scale(__global float *A) { A[0] = nothing; }", plan()));
    let error = error.expect_err("no such name").to_string();
    assert!(error.contains("does not build") && error.contains("nothing"), "{error}");
    let error = device.load(&code(&TEXT.replace("void shift", "void sift"), plan())).expect_err("no such kernel");
    assert!(matches!(&error, DeviceError::Build { reason, .. } if reason.contains("`shift`")), "{error}");
}

#[test]
fn kernels_for_other_devices_are_refused() {
    let Some((device, _stream)) = opencl() else { return };
    let text = Text::Ptx { text: ".version 7.0".into(), architecture: "sm_80".into() };
    // SAFETY: it is not going to run.
    let error = device.load(&unsafe { DeviceCode::new(text, plan()) }).expect_err("PTX");
    assert!(error.to_string().contains("this code is for sm_80, and `opencl:0` is an OpenCL device"), "{error}");
    let mut large = plan();
    large.kernels[0].shared_bytes = u32::MAX;
    let error = device.load(&code(TEXT, large)).expect_err("too much");
    assert!(matches!(&error, DeviceError::TooLarge { what: "bytes of shared memory", .. }), "{error}");
    let mut large = plan();
    large.kernels[1].block = [1 << 20, 1, 1];
    let error = device.load(&code(TEXT, large)).expect_err("too many");
    assert!(matches!(&error, DeviceError::TooLarge { what: "threads in a block", .. }), "{error}");
    let mut large = plan();
    large.launches[1].grid = [u32::MAX; 3];
    let error = device.load(&code(TEXT, large)).expect_err("too many");
    assert!(matches!(&error, DeviceError::TooLarge { what: "blocks along one axis", .. }), "{error}");
}

#[test]
fn too_much_memory_is_said_with_how_much() {
    let Some((device, _stream)) = opencl() else { return };
    let error = device.allocate(DType::FLOAT32, &[1 << 50]).expect_err("a petabyte");
    assert_eq!(error, DeviceError::OutOfMemory { device: "opencl:0".into(), bytes: 1 << 52 });
}

#[test]
fn tensors_without_elements_are_tensors() {
    let Some((device, stream)) = opencl() else { return };
    let empty = Tensor::zeros(DType::FLOAT64, &[3, 0, 2]).expect("it fits");
    let copy = device.upload(&stream, &empty.view()).expect("room");
    let back = device.download(&stream, &copy).expect("there");
    assert_eq!(back.shape(), [3, 0, 2]);
    let mut other = device.allocate(DType::FLOAT64, &[3, 0, 2]).expect("room");
    stream.copy(&copy, &mut other).expect("nothing to copy");
}

#[test]
fn copies_within_the_device_need_no_host() {
    let Some((device, stream)) = opencl() else { return };
    let a = device.upload(&stream, &ramp(1.0).view()).expect("room");
    let mut b = device.allocate(DType::FLOAT32, &[N]).expect("room");
    stream.copy(&a, &mut b).expect("they fit");
    assert_eq!(floats(&device.download(&stream, &b).expect("there")), floats(&ramp(1.0)));
    let mut short = device.allocate(DType::FLOAT32, &[N - 1]).expect("room");
    assert!(stream.copy(&a, &mut short).is_err());
}

#[test]
fn names_that_no_device_has_are_refused_with_those_that_there_are() {
    if opencl().is_none() {
        return;
    }
    let error = Device::open("opencl:99").expect_err("so many there are not").to_string();
    assert!(error.starts_with("no device is called `opencl:99`: there are opencl:0"), "{error}");
    let error = Device::open("opencl:sm_80").expect_err("not one of NVIDIA's").to_string();
    assert!(error.starts_with("no device is called `opencl:sm_80`"), "{error}");
}

/// What a plan may not say, whoever wrote it.
#[test]
fn plans_that_contradict_themselves_are_refused() {
    type Change = fn(&mut Plan);
    let wrong: [(&str, Change); 9] = [
        ("integers", |plan| plan.index_bits = 16),
        ("words for reports", |plan| plan.fault_words = 4),
        ("aligned", |plan| plan.workspace[1].offset = 8),
        ("aligned", |plan| plan.workspace[1].bytes = 0),
        ("names what", |plan| plan.launches[0].kernel = 2),
        ("names what", |plan| plan.launches[0].grid = [1, 0, 1]),
        ("names what", |plan| plan.launches[0].operands[0] = Operand::Argument(2)),
        ("names what", |plan| plan.launches[0].operands[2] = Operand::Int(1 << 31)),
        ("no threads", |plan| plan.kernels[0].block = [0; 3]),
    ];
    plan().check().expect("a good plan");
    for (what, change) in wrong {
        let mut plan = plan();
        change(&mut plan);
        let error = plan.check().expect_err(what).to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

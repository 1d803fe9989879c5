//! What is said to the driver of CUDA, by a library in its place that has no device (`driver.c`): a test without one finds it by
//! running itself again where that library is.

use std::path::Path;
use std::process::Command;

use runtime::device::{KernelEntry, Launch, Operand, Text};
use runtime::{Argument, CallError, Check, DType, Device, DeviceCode, DeviceError, Plan, Role, Signature, Tensor};

/// Set where the library is.
const INSIDE: &str = "TILEWRIGHT_TEST_DRIVER";

/// Runs the test of this name again, in a process that finds the library; true in that process.
fn inside(test: &str, environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !cfg!(target_os = "linux") {
        eprintln!("NOT TESTED: libraries are found in another way here");
        return false;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda/driver.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-w", "-o"]).arg(folder.path().join("libcuda.so.1")).arg(source);
    assert!(cc.status().expect("a C compiler").success(), "driver.c is not compiled");
    let again = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env("LD_LIBRARY_PATH", folder.path())
        .env(INSIDE, "1")
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&again.stderr));
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
    false
}

const N: i64 = 100;

/// `B(i) = -2·A(i) + 1` for `A` with any stride, where `B(0)` is checked to be an index into `N`.
fn plan(kernel: &str) -> Plan {
    let input = Argument { strides: vec![None], ..Argument::dense("A", DType::FLOAT32, Role::Input, &[N]) };
    let output = Argument::dense("B", DType::FLOAT32, Role::Output, &[N]);
    let check = Check { tensor: "T".into(), dim: 0, unsigned: false, found_by: vec![("B".into(), 1)] };
    let (name, arguments, checks) = ("affine".into(), vec![input, output], vec![check]);
    let (a, b) = (Operand::Argument(0), Operand::Argument(1));
    Plan {
        signature: Signature { name, arguments, sizes: vec![N], workspace_bytes: 0, checks },
        index_bits: 64,
        kernels: vec![KernelEntry {
            name: kernel.into(),
            block: [32, 2, 1],
            shared_bytes: 100 << 10,
            dynamic_shared_bytes: 100 << 10,
        }],
        workspace: Vec::new(),
        fault_words: 5,
        launches: vec![Launch {
            kernel: 0,
            grid: [2, 1, 1],
            operands: vec![a, b, Operand::Int(N), Operand::Int(-2), Operand::Stride(0, 0), Operand::Faults],
        }],
    }
}

fn code(text: &str, architecture: &str, plan: Plan) -> DeviceCode {
    let text = Text::Ptx { text: text.into(), architecture: architecture.into() };
    // SAFETY: the kernel of the library in the driver's place stays inside of what the plan says.
    unsafe { DeviceCode::new(text, plan) }
}

#[test]
fn devices_are_found_by_number_and_by_what_they_run() {
    if !inside("devices_are_found_by_number_and_by_what_they_run", &[]) {
        return;
    }
    let named = |name| Device::open(name).expect("it is there").about().description.clone();
    assert_eq!([named("cuda"), named("cuda:0"), named("cuda:1")], ["Eighty", "Eighty", "Ninety"]);
    assert_eq!([named("cuda:sm_70"), named("cuda:sm_80"), named("cuda:sm_90a")], ["Eighty", "Eighty", "Ninety"]);
    let error = Device::open("cuda:sm_100").expect_err("too new").to_string();
    assert_eq!(error, "no device is called `cuda:sm_100`: there are cuda:0, cuda:1");
    let about = Device::open("cuda:1").expect("it is there").about().clone();
    assert_eq!((about.capability, about.shared_bytes, about.grid[1]), (Some((9, 0)), 163 << 10, 65535));
}

#[test]
fn a_library_without_devices_says_so() {
    if !inside("a_library_without_devices_says_so", &[("NO_CUDA_DEVICE", "1")]) {
        return;
    }
    let error = Device::open("cuda").expect_err("no device");
    assert_eq!(error, DeviceError::NoDevice { api: "CUDA", reason: None });
    assert_eq!(error.to_string(), "CUDA finds no device here");
}

#[test]
fn kernels_get_what_the_plan_says() {
    if !inside("kernels_get_what_the_plan_says", &[]) {
        return;
    }
    let device = Device::open("cuda").expect("it is there");
    let stream = device.stream().expect("a stream");
    let kernel = device.load(&code("affine", "sm_80", plan("affine"))).expect("it loads");
    let values: Vec<f32> = (0..2 * N).map(|i| -(i as f32)).collect();
    let all = device.upload(&stream, &Tensor::from_slice(&values, &[2 * N]).expect("it fits").view()).expect("room");
    let mut b = device.allocate(DType::FLOAT32, &[N]).expect("room");
    // Every second element, backwards: the stride is the call's.
    let backwards = all.view(2 * N as usize - 2, &[N], &[-2]).expect("inside");
    let begin = stream.mark().expect("a moment");
    kernel.launch(&stream, &[&backwards], &mut [&mut b]).expect("it fits");
    let end = stream.mark().expect("a moment");
    stream.synchronise().expect("B(0) is an index");
    assert_eq!(end.since(&begin).expect("they have passed").as_millis(), 1);
    let found = device.download(&stream, &b).expect("there");
    let expected: Vec<f32> = (0..N).map(|i| 2.0 * (198.0 - 2.0 * i as f32) + 1.0).collect();
    assert_eq!(found.as_slice::<f32>().expect("floats"), expected);
    // A report is of the first launch, and is made once.
    let ones = device.upload(&stream, &Tensor::from_slice(&[1.0f32; N as usize], &[N]).expect("it fits").view());
    let ones = ones.expect("room");
    for _ in 0..2 {
        kernel.launch(&stream, &[&ones], &mut [&mut b]).expect("it fits");
        let error = stream.synchronise().expect_err("-1 is no index");
        assert!(matches!(&error, DeviceError::Call(CallError::IndexOutOfRange { value: -1, .. })), "{error}");
        stream.synchronise().expect("said before");
    }
    // Vectors begin at multiples of 16 bytes: of what has known strides, and so is `B`.
    let mut late = all.view(1, &[N], &[1]).expect("inside");
    let error = kernel.launch(&stream, &[&ones], &mut [&mut late]).expect_err("4 bytes too late");
    assert_eq!(error, DeviceError::Unaligned { argument: "B".into(), alignment: 16 });
    assert!(!late.is_aligned() && all.view(4, &[N], &[1]).expect("inside").is_aligned());
    // The part of another tensor that is written shares its elements.
    let mut part = all.view(0, &[N], &[1]).expect("inside");
    let error = kernel.launch(&stream, &[&all.view(50, &[N], &[1]).expect("inside")], &mut [&mut part]);
    assert!(error.expect_err("they overlap").to_string().contains("overlaps"));
}

#[test]
fn what_a_driver_refuses_is_said() {
    if !inside("what_a_driver_refuses_is_said", &[]) {
        return;
    }
    let device = Device::open("cuda").expect("it is there");
    let refused = |text: &str, architecture: &str, plan| {
        device.load(&code(text, architecture, plan)).expect_err("refused").to_string()
    };
    let wrong = refused("affine", "sm_90a", plan("affine"));
    assert_eq!(wrong, "this code is for sm_90a, and `cuda:0` is sm_80");
    let wrong = refused("nonsense affine", "sm_80", plan("affine"));
    assert!(wrong.contains("CUDA_ERROR_INVALID_PTX") && wrong.contains("nonsense is no instruction"), "{wrong}");
    let wrong = refused("affine", "sm_80", plan("missing"));
    assert!(wrong.contains("`missing`") && wrong.contains("CUDA_ERROR_NOT_FOUND"), "{wrong}");
    let mut large = plan("affine");
    large.kernels[0].dynamic_shared_bytes = 163 << 10;
    assert!(refused("affine", "sm_80", large).contains("bytes of shared memory"), "64 of them are the text's own");
    let mut large = plan("affine");
    large.kernels[0].block = [32, 32, 1];
    let wrong = refused("affine", "sm_80", large);
    assert!(wrong.contains("needs 1024 threads in a block, and `cuda:0` has 512"), "{wrong}");
    let mut large = plan("affine");
    large.launches[0].grid = [1, 1 << 16, 1];
    assert!(refused("affine", "sm_80", large).contains("65536 blocks along one axis"));
    let error = device.allocate(DType::FLOAT32, &[1 << 40]).expect_err("too much");
    assert_eq!(error, DeviceError::OutOfMemory { device: "cuda:0".into(), bytes: 1 << 42 });
    let other = Device::open("cuda:1").expect("it is there");
    let theirs = other.stream().expect("a stream");
    let kernel = device.load(&code("affine", "sm_80", plan("affine"))).expect("it loads");
    let tensor = || device.allocate(DType::FLOAT32, &[N]).expect("room");
    let error = kernel.launch(&theirs, &[&tensor()], &mut [&mut tensor()]).expect_err("another device").to_string();
    assert_eq!(error, "`stream` is on `cuda:1`, and the call is on `cuda:0`");
    let stream = device.stream().expect("a stream");
    let refused = device.load(&code("refused", "sm_80", plan("refused"))).expect("it loads");
    let error = refused.launch(&stream, &[&tensor()], &mut [&mut tensor()]).expect_err("refused");
    assert!(matches!(&error, DeviceError::Launch { kernel, .. } if kernel == "refused"), "{error}");
}

#[test]
fn memory_is_given_back() {
    if !inside("memory_is_given_back", &[]) {
        return;
    }
    let device = Device::open("cuda").expect("it is there");
    // Together they are more than there is.
    for _ in 0..8 {
        let tensor = device.allocate(DType::UINT8, &[100 << 20]).expect("room");
        let shared = tensor.clone();
        drop(tensor);
        drop(shared);
    }
}

#[test]
fn a_device_that_fails_takes_no_more_work() {
    if !inside("a_device_that_fails_takes_no_more_work", &[]) {
        return;
    }
    let device = Device::open("cuda").expect("it is there");
    let stream = device.stream().expect("a stream");
    let kernel = device.load(&code("wild", "sm_80", plan("wild"))).expect("it loads");
    let tensor = || device.allocate(DType::FLOAT32, &[N]).expect("room");
    let (a, mut b) = (tensor(), tensor());
    kernel.launch(&stream, &[&a], &mut [&mut b]).expect("it starts");
    let lost = |error: DeviceError| {
        let said = error.to_string();
        assert!(matches!(error, DeviceError::Lost { .. }) && said.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{said}");
    };
    lost(stream.synchronise().expect_err("it fails"));
    lost(kernel.launch(&stream, &[&a], &mut [&mut b]).expect_err("it is lost"));
    lost(device.allocate(DType::FLOAT32, &[N]).expect_err("it is lost"));
}

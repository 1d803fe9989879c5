//! Calls on a device: tensors that stay there, failures, threads, and what is kept from call to call.

use std::sync::Arc;
use std::thread;

use runtime::package::Package;
use tilewright::{
    AsTensor, AsTensorMut, Choice, Compiler, DType, Device, DeviceTensor, Gpu, Options, Source, Stream, Tensor, check,
    host_target, package, runtime_dtype,
};

use crate::opencl;

const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
const LOOKUP: &str = "def lookup(uint8(E,D) T, int32(L) I) -> (O) { O(l) = T(I(l), D - 1) }";

/// The device with a stream of its own, and a compiler for it.
fn device() -> Option<(Device, Stream, Compiler)> {
    let compiler = opencl()?;
    let device = compiler.device().expect("it is for one").clone();
    let stream = device.stream().expect("a stream");
    Some((device, stream, compiler))
}

fn ramp(shape: &[i64], factor: f32) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|at| ((at * 37 % 101) as f32 - 50.0) * factor).collect();
    Tensor::from_slice(&values, shape).expect("it fits")
}

fn product(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f32> {
    let at = |i: usize, j: usize| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>() as f32;
    (0..m * n).map(|cell| at(cell / n, cell % n)).collect()
}

fn close(found: &Tensor, expected: &[f32]) {
    let found = found.as_slice::<f32>().expect("floats");
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-3 * expected.abs().max(1.0), "element {at} is {found}, not {expected}");
    }
}

/// Strides are the call's: of every second column and of a transposed tensor, in kernels for these sizes and for all.
#[test]
fn tensors_of_the_device_may_have_strides() {
    let Some((device, stream, compiler)) = device() else { return };
    let (m, k, n) = (5, 7, 9);
    let (wide, turned) = (ramp(&[m, 2 * k], 0.1), ramp(&[n, k], 0.2));
    let (wide_there, turned_there) =
        [&wide, &turned].map(|tensor| device.upload(&stream, &tensor.view()).expect("room")).into();
    let a = wide_there.view(0, &[m, k], &[2 * k, 2]).expect("inside");
    let b = turned_there.view(0, &[k, n], &[1, k]).expect("inside");
    let pick = |tensor: &Tensor, at: &dyn Fn(usize) -> usize, count: i64| -> Vec<f32> {
        let all = tensor.as_slice::<f32>().expect("floats");
        (0..count as usize).map(|i| all[at(i)]).collect()
    };
    let (ku, nu) = (k as usize, n as usize);
    let dense_a = pick(&wide, &|i| i / ku * 2 * ku + i % ku * 2, m * k);
    let dense_b = pick(&turned, &|i| i % nu * ku + i / nu, k * n);
    let expected = product(&dense_a, &dense_b, [m as usize, ku, nu]);
    for compiler in [compiler.clone(), compiler.clone().symbolic(true)] {
        let mm = compiler.compile(MM).expect("a program");
        let mut c = device.allocate(runtime_dtype(DType::F32), &[m, n]).expect("room");
        mm.launch(&stream, &[&a, &b], &mut [&mut c]).expect("it fits");
        close(&device.download(&stream, &c).expect("there"), &expected);
    }
}

/// More elements than 31 bits count, of which few are ever touched.
#[test]
fn subscripts_are_as_wide_as_the_tensor_needs() {
    let Some((device, stream, compiler)) = device() else { return };
    let (rows, width) = (3i64, (1i64 << 30) + 5);
    if device.about().largest_bytes < (rows * width) as u64 {
        eprintln!("NOT TESTED: the device has no tensors of {} bytes", rows * width);
        return;
    }
    let table = device.allocate(runtime_dtype(DType::U8), &[rows, width]).expect("room");
    for row in 0..rows {
        let mut last = table.view(((row + 1) * width - 1) as usize, &[1], &[1]).expect("inside");
        let value = Tensor::from_slice(&[10 * (row as u8 + 1)], &[1]).expect("it fits");
        stream.write(&mut last, &value.view()).expect("it fits");
    }
    let index = Tensor::from_slice(&[2, 0, 1, 2], &[4]).expect("it fits");
    let index = device.upload(&stream, &index.view()).expect("room");
    for compiler in [compiler.clone(), compiler.clone().symbolic(true)] {
        let lookup = compiler.compile(LOOKUP).expect("a program");
        let mut found = device.allocate(runtime_dtype(DType::U8), &[4]).expect("room");
        lookup.launch(&stream, &[&table, &index], &mut [&mut found]).expect("it fits");
        let found = device.download(&stream, &found).expect("there");
        assert_eq!(found.as_slice::<u8>().expect("bytes"), [30, 10, 20, 30]);
    }
    // The same far apart in memory, by strides.
    let column = table.view(width as usize - 1, &[rows], &[width]).expect("inside");
    let twice = compiler.compile("def twice(uint8(N) A) -> (B) { B(i) = A(i) + A(i) }").expect("a program");
    let copy = device.allocate(runtime_dtype(DType::U8), &[rows]).expect("room");
    // OpenCL hands out parts of memory from some addresses only.
    if (width as usize - 1).is_multiple_of(device.about().alignment) {
        let mut copy = copy;
        twice.launch(&stream, &[&column], &mut [&mut copy]).expect("it fits");
        assert_eq!(device.download(&stream, &copy).expect("there").as_slice::<u8>().expect("bytes"), [20, 40, 60]);
    }
}

/// A bad index is the same error on a device as on the processor, and a good call after it is fine.
#[test]
fn a_failed_check_says_what_the_processor_says() {
    let Some((_, _, compiler)) = device() else { return };
    let table = Tensor::from_slice(&[1u8, 2, 3, 4, 5, 6], &[3, 2]).expect("it fits");
    let index = |values: [i32; 4]| Tensor::from_slice(&values, &[4]).expect("it fits");
    let call =
        |compiler: &Compiler, index: &Tensor| compiler.compile(LOOKUP).expect("a program").call(&[&table, index]);
    for bad in [[0, 1, 3, 2], [0, -1, 1, 2], [i32::MIN, 0, 0, 0]] {
        let there = call(&compiler, &index(bad)).expect_err("out of range");
        let here = call(&Compiler::host().threads(1), &index(bad)).expect_err("out of range");
        assert_eq!(there.to_string(), here.to_string());
        assert_eq!(there.diagnostics()[0].code, "TC0911");
    }
    let good = call(&compiler, &index([2, 0, 1, 2])).expect("in range");
    assert_eq!(good.as_slice::<u8>().expect("bytes"), [6, 2, 4, 6]);
}

/// Some thread reports, whichever; the others go on.
#[test]
fn of_many_failed_checks_one_is_reported() {
    let Some((_, _, compiler)) = device() else { return };
    let lookup = compiler.compile(LOOKUP).expect("a program");
    let table = Tensor::from_slice(&[7u8; 6], &[3, 2]).expect("it fits");
    let index: Vec<i32> = (0..1000).map(|at| if at % 3 == 0 { 1 } else { 100 + at }).collect();
    let index = Tensor::from_slice(&index, &[1000]).expect("it fits");
    let error = lookup.call(&[&table, &index]).expect_err("out of range").to_string();
    let value: i32 = error.split("is ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok()).expect("a value");
    assert!((101..1100).contains(&value) && error.contains(&format!("`I({})`", value - 100)), "{error}");
}

#[test]
fn threads_may_call_one_kernel_at_once() {
    let Some((_, _, compiler)) = device() else { return };
    let mm = compiler.compile(MM).expect("a program");
    thread::scope(|scope| {
        for seed in 1..5 {
            let mm = mm.clone();
            scope.spawn(move || {
                let (a, b) = (ramp(&[8, 9], seed as f32), ramp(&[9, 10], 0.5));
                let expected = product(a.as_slice().expect("floats"), b.as_slice().expect("floats"), [8, 9, 10]);
                for _ in 0..5 {
                    close(&mm.call(&[&a, &b]).expect("it runs"), &expected);
                }
            });
        }
    });
}

/// Kernels of different programs on one stream take turns with its scratch memory.
#[test]
fn threads_may_call_programs_with_temporaries_at_once() {
    let Some((_, _, compiler)) = device() else { return };
    thread::scope(|scope| {
        for factor in 1..5 {
            let text = format!(
                "def chain(float(N,K) A) -> (D) {{ B(i) +=! A(i,k)  C(i,j) = {factor} * B(i) + B(j)  D(i) +=! C(i,j) }}"
            );
            let chain = compiler.compile(&text).expect("a program");
            scope.spawn(move || {
                let a = Tensor::from_slice(&[factor as f32; 12], &[4, 3]).expect("it fits");
                let expected = [12.0 * (factor * factor + factor) as f32; 4];
                for _ in 0..100 {
                    assert_eq!(chain.call(&[&a]).expect("it runs").as_slice::<f32>().expect("floats"), expected);
                }
            });
        }
    });
}

/// Of calls on one stream at once each gets its own failed checks.
#[test]
fn a_failed_check_is_the_error_of_its_own_call() {
    let Some((_, _, compiler)) = device() else { return };
    let lookup = compiler.compile(LOOKUP).expect("a program");
    let table = Tensor::from_slice(&[1u8, 2, 3, 4, 5, 6], &[3, 2]).expect("it fits");
    thread::scope(|scope| {
        for thread in 0..4 {
            let (lookup, table) = (lookup.clone(), &table);
            scope.spawn(move || {
                let index =
                    Tensor::from_slice(&[if thread % 2 == 0 { 2 } else { 10 + thread }; 4], &[4]).expect("it fits");
                for _ in 0..2000 {
                    match lookup.call(&[table, &index]) {
                        Ok(_) => assert_eq!(thread % 2, 0),
                        Err(error) => assert!(error.to_string().contains(&format!("is {},", 10 + thread)), "{error}"),
                    }
                }
            });
        }
    });
}

#[test]
fn what_is_compiled_is_kept() {
    let Some((_, _, compiler)) = device() else { return };
    let mm = compiler.compile(MM).expect("a program");
    let [first, again, other] =
        [[8, 9, 10], [8, 9, 10], [8, 9, 11]].map(|sizes| mm.prepare_sizes(&sizes).expect("it fits"));
    assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
    assert!(first.kernel().is_none() && first.device_kernel().is_some());
    let kernel =
        Compiler::host().threads(1).compile(MM).expect("a program").prepare_sizes(&[8, 9, 10]).expect("it fits");
    assert!(kernel.kernel().is_some() && kernel.device_kernel().is_none());
}

#[test]
fn tensors_of_a_device_are_not_for_the_processor() {
    let Some((device, stream, _)) = device() else { return };
    let mm = Compiler::host().threads(1).compile(MM).expect("a program");
    let tensor = || device.allocate(runtime_dtype(DType::F32), &[4, 4]).expect("room");
    let error = mm.launch(&stream, &[&tensor(), &tensor()], &mut [&mut tensor()]).expect_err("of another device");
    assert!(error.to_string().contains("is compiled for the processor"), "{error}");
}

/// What is updated starts as what it was, and what is not written stays.
#[test]
fn updates_are_seen_by_the_host() {
    let Some((_, _, compiler)) = device() else { return };
    let count = compiler.compile("def count(float(N) A) -> (S) { S(i) += A(i) }").expect("a program");
    let a = Tensor::from_slice(&[1.0f32, 2.0], &[2]).expect("it fits");
    let mut s = Tensor::from_slice(&[10.0f32, 20.0], &[2]).expect("it fits");
    for _ in 0..2 {
        let inputs: [&dyn AsTensor; 1] = [&a];
        let outputs: &mut [&mut dyn AsTensorMut] = &mut [&mut s];
        count.run(&inputs, outputs).expect("it runs");
    }
    assert_eq!(s.as_slice::<f32>().expect("floats"), [12.0, 24.0]);
}

fn packed(text: &str, sizes: &[i64], device: Gpu) -> Package {
    let source = Source::new("a.tc".into(), text.into());
    let (defs, _) = check(&source).expect("a program");
    let options = Options { device: Some(device), ..Options::new(host_target()) };
    package(&defs[0], &source, &[options], &[Choice::of(sizes)]).expect("a package")
}

#[test]
fn a_package_runs_without_the_compiler() {
    let folder = tempfile::tempdir().expect("a folder");
    packed(MM, &[33, 7, 20], Gpu::opencl()).write(folder.path()).expect("it is written");
    // SAFETY: it was written a moment ago.
    let package = unsafe { Package::load(folder.path()) }.expect("it is read");
    let variant = &package.manifest().variants[0];
    assert_eq!((package.manifest().definition.as_str(), variant.target.as_str()), ("mm", "opencl"));
    let sizes = variant.sizes.as_ref().expect("some");
    assert_eq!(
        sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect::<Vec<_>>(),
        [("K", 7), ("M", 33), ("N", 20)]
    );
    assert_eq!(package.program(), MM);
    let Some((device, stream, compiler)) = device() else { return };
    let sizes = [("M", 33), ("K", 7), ("N", 20)];
    let kernel = package.device_kernel(&device, &sizes).expect("it builds");
    let other =
        package.device_kernel(&device, &[("M", 34), ("K", 7), ("N", 20)]).expect_err("not for these").to_string();
    assert!(other.contains("it is for other sizes"), "{other}");
    let (a, b) = (ramp(&[33, 7], 0.1), ramp(&[7, 20], 0.3));
    let mut c = Tensor::zeros(runtime_dtype(DType::F32), &[33, 20]).expect("it fits");
    kernel.run(&stream, &[a.view(), b.view()], &mut [c.view_mut()]).expect("it runs");
    let expected = product(a.as_slice().expect("floats"), b.as_slice().expect("floats"), [33, 7, 20]);
    close(&c, &expected);
    // The script replays: the text is the same.
    let script = package.script(variant).parse().expect("a script");
    let again = compiler.script(script).compile(MM).expect("a program").prepare_sizes(&[33, 7, 20]).expect("it fits");
    assert_eq!(again.script.to_string(), package.script(variant));
}

#[test]
fn a_package_that_was_changed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let load = || {
        // SAFETY: it does not get as far as to run.
        unsafe { Package::load(folder.path()) }.expect_err("refused").to_string()
    };
    assert!(load().contains("package.json"), "nothing is there");
    let package = packed(MM, &[33, 7, 20], Gpu::ampere());
    package.write(folder.path()).expect("it is written");
    let ptx = "mm__cuda_sm_80__M33_K7_N20.ptx";
    let text = std::fs::read_to_string(at(ptx)).expect("it is there");
    assert!(text.contains(".target sm_80"));
    std::fs::write(at(ptx), text.replace("sm_80", "sm_70")).expect("a file");
    assert!(load().contains(&format!("{ptx}: it is not the file that package.json is about")), "{}", load());
    std::fs::write(at(ptx), text).expect("a file");
    let script = &package.manifest().variants[0].script;
    std::fs::remove_file(at(script)).expect("it was there");
    assert!(load().contains(script));
}

/// Same program, same sizes, same device: the same bytes.
#[test]
fn packages_are_the_same_every_time() {
    for device in [Gpu::opencl(), Gpu::hopper()] {
        let texts = [(), ()].map(|()| {
            let folder = tempfile::tempdir().expect("a folder");
            packed(MM, &[65, 7, 20], device.clone()).write(folder.path()).expect("it is written");
            std::fs::read_to_string(folder.path().join("package.json")).expect("it is there")
        });
        assert_eq!(texts[0], texts[1]);
    }
}

/// The value of a scalar that is a size is not read from the device.
#[test]
fn sizes_that_are_in_no_shape_are_given_beforehand() {
    let Some((device, stream, compiler)) = device() else { return };
    let part =
        compiler.compile("def part(float(N) A, int32 n) -> (S) { S +=! A(i) where i in 0:n }").expect("a program");
    let a = device.upload(&stream, &ramp(&[40], 1.0).view()).expect("room");
    let n = Tensor::from_slice(&[7i32], &[]).expect("it fits");
    let n: DeviceTensor = device.upload(&stream, &n.view()).expect("room");
    let mut sum = device.allocate(runtime_dtype(DType::F32), &[]).expect("room");
    let error = part.launch(&stream, &[&a, &n], &mut [&mut sum]).expect_err("`n` is not known");
    assert_eq!(error.diagnostics()[0].code, "TC0933", "{error}");
    let part = part.with_sizes(&[("n", 7)]).expect("it has one");
    part.launch(&stream, &[&a, &n], &mut [&mut sum]).expect("it fits");
    let expected: f32 = ramp(&[40], 1.0).as_slice::<f32>().expect("floats")[..7].iter().sum();
    close(&device.download(&stream, &sum).expect("there"), &[expected]);
}

//! PTX of programs, run by a machine that knows its instructions.

#[path = "../common/mod.rs"]
mod common;
mod machine;
mod run;

use codegen::interp::Data;
use codegen::{FullTiles, Options, Program, gpu};
use common::{inputs, scheduled};
use polyhedral::{DType, Scop, isl, testing};
use support::{Gpu, Stage};
use transform::{Policy, Session};

/// The kernels of a program that the policy for devices makes; none where proofs take too long.
fn kernels(source: &Scop, device: &Gpu) -> Option<Program> {
    let small = transform::Options { operations: 150_000, ..transform::Options::default() };
    let mut session = Session::with_options(source.clone(), &common::target(), small).ok()?;
    gpu_mapper::Mapper { device: device.clone() }.schedule(&mut session).ok()?;
    let scop = gpu_mapper::kernels(&session.finish().ok()?.scop, device, &mut Vec::new()).ok()?;
    let (full_tiles, async_copies) = (FullTiles::Blocks, device.has_async_copies);
    let options = Options { fma: true, full_tiles, async_copies, ..Options::default() };
    let program = gpu::lower(&scop, &options, &mut Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    Some(program)
}

const SIZES: [&[i64]; 9] = [&[5, 35, 4], &[9, 34, 3], &[10, 36], &[9], &[7], &[11], &[9], &[300], &[3, 4, 5, 40]];

#[test]
fn every_program_computes_what_it_says() {
    for ((name, text), sizes) in testing::PROGRAMS.iter().zip(SIZES) {
        for fixed in [None, Some(sizes)] {
            let source = scheduled(text, fixed, "");
            let program = kernels(&source, &Gpu::cuda()).unwrap_or_else(|| panic!("{name}"));
            let open = if fixed.is_some() { &[] } else { sizes };
            run::agrees(&source, &program, open, &inputs(&source, open));
        }
    }
}

#[test]
fn random_programs_compute_what_they_say() {
    let (mut ran, mut without) = (0, Vec::new());
    for seed in 0..60 {
        let source = testing::random(&isl::Ctx::new(), seed);
        let Some(program) = kernels(&source, &Gpu::cuda()) else { continue };
        match run::agrees_closely(&source, &program, seed) {
            Ok(()) => ran += 1,
            Err(function) => without.push(function),
        }
    }
    assert!(ran > 25, "only {ran} ran; {without:#?}");
}

/// Arguments of any size, among them the one that comes closest to a multiple of `π/2`: no library is there to ask.
#[test]
fn circular_functions_take_large_doubles() {
    let mut rng = testing::Rng::new(7);
    let closest = 6_381_956_970_095_103.0 * 2f64.powi(797);
    let mut arguments = vec![1e22, f64::MAX, 67_108_864.0, 67_108_865.0, f64::INFINITY, f64::NAN];
    // The C library loses digits here; these are from a computation with 3000.
    let known = [("S", 1.0), ("C", -4.687_165_924_254_628e-19), ("T", -2.133_485_385_753_704e18)];
    while arguments.len() < 639 {
        let exponent = 1023 + rng.between(20, 1023) as u64;
        arguments.push(f64::from_bits(exponent << 52 | rng.next_u64() >> 12));
    }
    arguments.push(closest);
    let count = arguments.len();
    let text = format!(
        "
scop circular()
input A: float64[{count}]
output S: float64[{count}]
output C: float64[{count}]
output T: float64[{count}]
stmt S[i]
  domain {{ S[i] : 0 <= i < {count} }}
  S[i] = sin(A[i])
stmt C[i]
  domain {{ C[i] : 0 <= i < {count} }}
  C[i] = cos(A[i])
stmt T[i]
  domain {{ T[i] : 0 <= i < {count} }}
  T[i] = tan(A[i])
"
    );
    let program = kernels(&scheduled(&text, None, ""), &Gpu::cuda()).expect("kernels");
    let given = [("A".to_string(), Data::from_f64s(DType::F64, &[count as i64], &arguments))].into();
    let (found, _) = run::run(&program, &Gpu::cuda(), &[], &given, 0);
    for (name, function) in [("S", f64::sin as fn(f64) -> f64), ("C", f64::cos), ("T", f64::tan)] {
        for (x, found) in arguments.iter().zip(found[name].to_f64s()) {
            let known = known.iter().find(|(of, _)| *x == closest && *of == name);
            let expected = known.map_or_else(|| function(*x), |(_, value)| *value);
            // The C library rounds the sine and the cosine to within 0.55 units, and the tangent to within 1.
            let close = (found.to_bits() as i64).abs_diff(expected.to_bits() as i64) <= 2;
            assert!(close || found.is_nan() && expected.is_nan(), "{name}({x:e}) is {found:e}, not {expected:e}");
        }
    }
}

/// The remainder of floats is exact, however far apart they are.
#[test]
fn remainders_of_floats_are_exact() {
    let mut rng = testing::Rng::new(11);
    for dtype in [DType::F32, DType::F64] {
        let single = dtype == DType::F32;
        let mut drawn = |_: usize| {
            let sign = if rng.percent(50) { -1.0 } else { 1.0 };
            let special =
                [0.0, f64::INFINITY, f64::NAN, 1.0, 3.0, 5e-324, f64::from(f32::from_bits(1)), f64::MIN_POSITIVE];
            let bits = rng.next_u64();
            match rng.below(8) {
                0 => sign * rng.pick(&special),
                1..4 => sign * f64::from_bits(bits >> 12 | 1023 << 52) * 2f64.powi(rng.between(-20, 20) as i32),
                _ if single => f64::from(f32::from_bits(bits as u32)),
                _ => f64::from_bits(bits),
            }
        };
        let (a, b): (Vec<f64>, Vec<f64>) = (0..640).map(|at| (drawn(at), drawn(at))).unzip();
        let text = format!(
            "
scop remainder()
input A: {dtype}[640]
input B: {dtype}[640]
output R: {dtype}[640]
stmt R[i]
  domain {{ R[i] : 0 <= i < 640 }}
  R[i] = A[i] % B[i]
"
        );
        let program = kernels(&scheduled(&text, None, ""), &Gpu::cuda()).expect("kernels");
        let [a, b] = [a, b].map(|values| Data::from_f64s(dtype, &[640], &values));
        let given = [("A".to_string(), a.clone()), ("B".to_string(), b.clone())].into();
        let (found, _) = run::run(&program, &Gpu::cuda(), &[], &given, 0);
        for ((a, b), found) in a.to_f64s().into_iter().zip(b.to_f64s()).zip(found["R"].to_f64s()) {
            let expected = if single { f64::from(a as f32 % b as f32) } else { a % b };
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{a:e} % {b:e} is {found:e}, not {expected:e} ({dtype})");
        }
    }
}

/// Lookups are several at a time, however many there are, and each is checked.
#[test]
fn lookups_are_under_way_together() {
    for count in [1, 4, 10, 11, 19, 46, 50] {
        for is_fixed in [true, false] {
            let sizes = [3, count, 5, 40];
            let source = scheduled("gather", is_fixed.then_some(&sizes[..]), "");
            let program = kernels(&source, &Gpu::cuda()).expect("kernels");
            let open: &[i64] = if is_fixed { &[] } else { &sizes };
            let mut given = inputs(&source, open);
            common::agrees(&source, &program, open);
            run::agrees(&source, &program, open, &given);
            let mut rows = vec![1; 3 * count as usize];
            rows[2 * count as usize - 1] = 5;
            given.insert("I".into(), Data::from_i64s(DType::I32, &[3, count], &rows));
            let (_, words) = run::run(&program, &Gpu::cuda(), open, &given, 1);
            assert_eq!(words, [1, 5, 0, 5, 1, count as u64 - 1], "{program}");
        }
    }
    let source = scheduled("gather", Some(&[3, 50, 5, 40]), "");
    let text = kernels(&source, &Gpu::cuda()).expect("kernels").to_string();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in\n{text}"));
    assert!(text.contains("step 10") && at("l + 9]") < at("check") && text.rfind("check") < Some(at("T[@")), "{text}");
}

#[test]
fn a_subscript_outside_is_reported_by_one_thread() {
    for fixed in [None, Some(&[3, 4, 5, 40][..])] {
        let source = scheduled("gather", fixed, "");
        let program = kernels(&source, &Gpu::cuda()).expect("kernels");
        let open: &[i64] = if fixed.is_some() { &[] } else { &[3, 4, 5, 40] };
        let mut given = inputs(&source, open);
        let mut rows = vec![1; 12];
        rows[6] = -7;
        given.insert("I".into(), Data::from_i64s(DType::I32, &[3, 4], &rows));
        let (_, words) = run::run(&program, &Gpu::cuda(), open, &given, 1);
        // The number of the check plus one, the value, the smallest one, the extent, and where the value was found.
        assert_eq!(words, [1, -7i64 as u64, 0, 5, 1, 2], "{program}");
    }
}

/// Sums, products and extremes of columns, which blocks update together.
fn columns(dtype: &str, op: &str) -> String {
    format!(
        "
         scop c(M, N)
         context {{ : M > 0 and N > 0 }}
         input A: {dtype}[M, N]
         inout y: {dtype}[N]
         stmt y[j, i]
           domain {{ y[j, i] : 0 <= j < N and 0 <= i < M }}
           y[j] {op}= A[i, j]"
    )
}

#[test]
fn atomic_updates_are_those_of_the_evaluator() {
    let script =
        "split y.i by 3 as io ii\nreorder y.io y.j y.ii\nbind y.io to block.x atomically\nbind y.j to thread.x";
    for dtype in ["float32", "float64", "int32", "uint32", "int64", "uint64"] {
        for op in ["sum", "prod", "min", "max", "bitand", "bitor", "bitxor"] {
            if dtype.starts_with("float") && op.starts_with("bit") {
                continue;
            }
            for fixed in [None, Some(&[7, 5][..])] {
                let source = scheduled(&columns(dtype, op), fixed, "");
                let scop = scheduled(&columns(dtype, op), fixed, script);
                let scop = gpu_mapper::kernels(&scop, &Gpu::cuda(), &mut Vec::new()).expect("kernels");
                let program = gpu::lower(&scop, &Options::default(), &mut Vec::new()).expect("kernels");
                let open: &[i64] = if fixed.is_some() { &[] } else { &[7, 5] };
                run::agrees(&source, &program, open, &inputs(&source, open));
            }
        }
    }
}

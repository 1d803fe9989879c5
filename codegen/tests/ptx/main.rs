//! PTX of programs, run by a machine that knows its instructions.

#[path = "../common/mod.rs"]
mod common;
mod machine;
mod run;

use codegen::interp::Data;
use codegen::{Options, Program, gpu};
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
    let options = Options { fma: true, async_copies: device.has_async_copies, ..Options::default() };
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

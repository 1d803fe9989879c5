//! PTX of programs, run by a machine that knows its instructions.

#[path = "../common/mod.rs"]
mod common;
mod machine;
mod run;

use codegen::{Options, Program, gpu};
use common::{inputs, scheduled};
use polyhedral::{Scop, testing};
use support::{Gpu, Stage};
use transform::{Policy, Session};

/// The program of a text for sizes, scheduled by the policy for devices.
fn automatic(text: &str, sizes: Option<&[i64]>, device: &Gpu) -> (Scop, Program) {
    let source = scheduled(text, sizes, "");
    let mut session = Session::new(source.clone(), &common::target()).unwrap();
    gpu_mapper::Mapper { device: device.clone() }.schedule(&mut session).unwrap();
    let scop = session.finish().unwrap().scop;
    let scop = gpu_mapper::kernels(&scop, device, &mut Vec::new()).unwrap_or_else(|illegal| panic!("{illegal}"));
    let options = Options { fma: true, ..Options::default() };
    let program = gpu::lower(&scop, &options, &mut Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    (source, program)
}

const SIZES: [&[i64]; 9] = [&[5, 35, 4], &[9, 34, 3], &[10, 36], &[9], &[7], &[11], &[9], &[300], &[3, 4, 5, 40]];

#[test]
fn every_program_computes_what_it_says() {
    for ((_, text), sizes) in testing::PROGRAMS.iter().zip(SIZES) {
        for fixed in [None, Some(sizes)] {
            let (source, program) = automatic(text, fixed, &Gpu::cuda());
            let open = if fixed.is_some() { &[] } else { sizes };
            run::agrees(&source, &program, open, &inputs(&source, open));
        }
    }
}

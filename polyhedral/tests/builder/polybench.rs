//! The kernels compute what their plain versions compute, and every stage before scheduling takes them.

use polyhedral::eval::{Limits, run};
use polyhedral::testing::plain::{self, Arrays};
use polyhedral::testing::{Kernel, LU_RIGHT_LOOKING, POLYBENCH};
use polyhedral::{Scop, dependences, isl};
use support::Stage;

#[track_caller]
fn agrees(kernel: &Kernel, scop: &Scop, sizes: &[i64], seed: u64) {
    let inputs = kernel.tensors(scop, sizes, seed);
    let found = run(scop, sizes, &inputs, Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
    let mut expected = Arrays::of(&inputs);
    plain::run(kernel.name, sizes, &mut expected);
    for (name, data) in &found {
        let values = data.to_f64s();
        let expected = expected.get(name).values();
        assert_eq!(values.len(), expected.len(), "{}: {name}", kernel.name);
        assert!(values.iter().all(|value| value.is_finite()), "{} at {sizes:?}: {name} is {values:?}", kernel.name);
        // The evaluator computes in the order of the source with the same roundings.
        assert_eq!(values, expected, "{} at {sizes:?}: {name}", kernel.name);
    }
}

#[test]
fn every_kernel_computes_what_plain_loops_compute() {
    let ctx = isl::Ctx::new();
    for kernel in POLYBENCH.iter().chain([&LU_RIGHT_LOOKING]) {
        let scop = kernel.scop(&ctx);
        for (seed, sizes) in kernel.sizes.iter().enumerate() {
            agrees(kernel, &scop, sizes, 17 + seed as u64);
        }
    }
}

#[test]
fn every_kernel_is_well_formed_and_its_text_reads_back() {
    let ctx = isl::Ctx::new();
    for kernel in POLYBENCH.iter().chain([&LU_RIGHT_LOOKING]) {
        let scop = kernel.scop(&ctx);
        scop.verify().unwrap_or_else(|fault| panic!("{fault}"));
        let text = scop.to_string();
        let again = Scop::parse(&ctx, &text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", kernel.name));
        again.verify().unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(again.to_string(), text);
        for (one, other) in scop.stmts.values().zip(again.stmts.values()) {
            assert_eq!((&one.reads, &one.writes, &one.body), (&other.reads, &other.writes, &other.body));
            assert!(one.domain.is_equal(&other.domain).expect("comparable"), "{}: {}", kernel.name, one.name);
        }
    }
}

#[test]
fn the_dependences_of_every_kernel_are_found_within_a_budget() {
    let ctx = isl::Ctx::new();
    for kernel in POLYBENCH.iter().chain([&LU_RIGHT_LOOKING]) {
        let scop = kernel.scop(&ctx);
        let found = ctx.with_budget(5_000_000, || dependences(&scop));
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
        found.verify().unwrap_or_else(|fault| panic!("{}: {fault}", kernel.name));
    }
}

#[test]
fn a_program_is_the_same_every_time() {
    for kernel in POLYBENCH.iter().chain([&LU_RIGHT_LOOKING]) {
        let build = || kernel.program(&isl::Ctx::new());
        let (one, other) = (build(), build());
        assert_eq!(one.source, other.source);
        assert_eq!(one.scop.to_string(), other.scop.to_string());
    }
}

#[test]
fn every_span_points_at_what_it_says() {
    let ctx = isl::Ctx::new();
    for kernel in POLYBENCH.iter().chain([&LU_RIGHT_LOOKING]) {
        let program = kernel.program(&ctx);
        for tensor in program.scop.tensors.values() {
            let text = &program.source[tensor.span.range()];
            assert!(text.contains(&format!(" {}: ", tensor.name)), "{text}");
        }
        for stmt in program.scop.stmts.values() {
            let whole = &program.source[stmt.span.range()];
            assert!(whole.contains("= "), "{whole}");
            for access in stmt.accesses() {
                let text = &program.source[access.span.range()];
                let name = &program.scop.tensors[access.tensor].name;
                assert!(text.starts_with(&format!("{name}[")) && text.ends_with(']'), "{text} in {whole}");
                assert!(stmt.span.start <= access.span.start && access.span.end <= stmt.span.end);
            }
        }
    }
}

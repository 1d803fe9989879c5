//! Threads that pack what they use alone, with edges in loops of their own: the default schedule computes what the
//! source does.

use tilewright::random::Random;
use tilewright::verify::{Judge, Reference};
use tilewright::{AsTensor, Compiler, Pool, Tensor};

/// Compiles a definition for sizes in the order of its text, runs it on so many threads and checks every element.
#[track_caller]
fn verify(text: &str, sizes: &[i64], threads: usize) {
    let pool = Pool::with_threads(threads).expect("threads");
    let kernel = Compiler::host().with_pool(pool).compile(text).expect("a good definition");
    let def = kernel.definition().expect("it is from text");
    kernel.prepare_sizes(sizes).unwrap_or_else(|error| panic!("{} {sizes:?} on {threads}: {error}", def.name));
    let random = Random::new(7, def, sizes).expect("inputs");
    let inputs: Vec<(&str, Tensor)> =
        def.inputs().map(|input| (input.name.as_str(), random.argument(input).expect("memory"))).collect();
    let views: Vec<&dyn AsTensor> = inputs.iter().map(|(_, tensor)| tensor as &dyn AsTensor).collect();
    let outputs = kernel.call_all(&views).expect("it runs");
    let given = inputs.iter().map(|(name, tensor)| (*name, tensor));
    let reference = Reference::evaluate(def, sizes, given, Judge::of(def, false)).expect("small enough");
    let results = def.outputs().map(|output| output.name.as_str()).zip(&outputs);
    reference.check(results).unwrap_or_else(|error| panic!("{} {sizes:?} on {threads}: {error}", def.name));
}

/// With 128 columns in a second strip that one thread has, rows that are left over were run behind the loop over strips,
/// where there was no copy of the weights.
#[test]
fn a_perceptron_of_three_layers_is_right_on_two_threads() {
    let text = include_str!("../../examples/mlp3.tc");
    verify(text, &[128, 64, 256, 128, 10], 2);
    verify(text, &[97, 65, 131, 129, 33], 2);
}

#[test]
fn products_of_odd_sizes_are_right_on_any_number_of_threads() {
    let product = include_str!("../../benches/kernels/gemm.tc");
    let transposed = include_str!("../../benches/kernels/tmm.tc");
    for threads in 1..=3 {
        verify(product, &[131, 67, 197], threads);
        verify(transposed, &[129, 70, 161], threads);
        verify(transposed, &[60, 300, 47], threads);
    }
}

/// A thread's copy of 32 KiB on its stack, behind a return for threads without work: LLVM made the frame there with a
/// register that already held the first iteration.
#[test]
fn a_large_frame_takes_no_register_that_is_in_use() {
    let transposed = include_str!("../../benches/kernels/tmm.tc");
    verify(transposed, &[128, 256, 32], 2);
    verify(transposed, &[128, 512, 32], 2);
}

#[test]
fn outer_loops_on_threads_are_right() {
    let batched = include_str!("../../benches/kernels/tbmm.tc");
    let window = include_str!("../../benches/kernels/conv2d.tc");
    for threads in 1..=3 {
        verify(batched, &[7, 26, 30, 41], threads);
        verify(window, &[2, 5, 19, 23, 9, 3, 3], threads);
    }
}

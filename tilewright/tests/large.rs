//! A program of some two hundred statements: six blocks of a transformer, with `std`.

use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::{DType, isl};
use tilewright::random::Random;
use tilewright::{AsTensor, Compiler, Tensor};
use transform::Script;

const TRANSFORMER: &str = include_str!("../../benches/kernels/transformer.tc");

const SIZES: [(&str, i64); 5] = [("S", 6), ("D", 8), ("H", 2), ("E", 4), ("F", 12)];

/// Errors of single precision grow through six blocks, whose results are of the order of ten; a value from a wrong place
/// differs in the first digit.
const TOLERANCE: f64 = 1e-3;

fn data(tensor: &Tensor) -> Data {
    let values: Vec<f64> = tensor.as_slice::<f32>().expect("floats").iter().map(|&value| value.into()).collect();
    Data::from_f64s(DType::F32, tensor.shape(), &values)
}

#[test]
fn a_transformer_computes_what_the_evaluator_does() {
    let kernels = [1, 2].map(|threads| {
        let compiler = Compiler::host().threads(threads);
        compiler.compile_def(TRANSFORMER, "transformer").expect("a good definition")
    });
    let def = kernels[0].definition().expect("it is from text");
    let size = |name: &String| SIZES.iter().find(|(size, _)| size == name).expect("a known size").1;
    let sizes: Vec<i64> = def.sizes.iter().map(size).collect();
    let random = Random::new(5, def, &sizes).expect("inputs");
    let inputs: Vec<Tensor> = def.inputs().map(|input| random.argument(input).expect("memory")).collect();
    let given: Tensors = def.inputs().zip(&inputs).map(|(input, tensor)| (input.name.clone(), data(tensor))).collect();
    let scop = frontend_tc::lower(def, &isl::Ctx::new()).expect("a program");
    assert!(scop.stmts.len() >= 200, "{} statements", scop.stmts.len());
    let expected = eval::run(&scop, &sizes, &given, Limits::default()).expect("small enough")["O"].to_f64s();
    let largest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let views: Vec<&dyn AsTensor> = inputs.iter().map(|tensor| tensor as &dyn AsTensor).collect();
    for kernel in &kernels {
        let found = data(&kernel.call_all(&views).expect("it runs")[0]).to_f64s();
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let far = (found - expected).abs() / largest;
            assert!(far <= TOLERANCE, "element {at}: {found}, and the evaluator has {expected}");
        }
    }
}

/// The compiled transformer for these sizes.
fn script_of(sizes: [(&str, i64); 5], threads: usize) -> Script {
    let compiler = Compiler::host().threads(threads);
    let kernel = compiler.compile_def(TRANSFORMER, "transformer").expect("a good definition");
    let size = |name: &String| sizes.iter().find(|(size, _)| size == name).expect("a known size").1;
    let sizes: Vec<i64> = kernel.sizes().iter().map(size).collect();
    kernel.prepare_sizes(&sizes).expect("it compiles").script.clone()
}

#[test]
fn equal_blocks_are_scheduled_once() {
    for threads in [1, 2] {
        let script = script_of(SIZES, threads);
        let parts = script.parts().expect("it is in parts");
        let first = &parts[0].stmt;
        assert_eq!(parts.len(), 6, "{script}");
        assert!(parts[1..].iter().all(|part| part.like.as_ref() == Some(first)), "{script}");
    }
}

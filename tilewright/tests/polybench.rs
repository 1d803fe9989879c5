//! The kernels of PolyBench at its small sizes, in the order of the source and by the automatic schedule, beside plain loops.
//!
//! `TILEWRIGHT_TEST_FULL=1` takes the sizes of its MEDIUM data set too.

use std::env;

use polyhedral::eval::{Data, Tensors};
use polyhedral::isl;
use polyhedral::testing::plain::{self, Arrays};
use polyhedral::testing::{Kernel, POLYBENCH};
use runtime::Role;
use tilewright::builder::Program;
use tilewright::{Compiler, Fusion, Tensor};

/// Largest difference from the plain loops over their largest value: sums are taken in another order.
const TOLERANCE: f64 = 1e-11;

/// How many of [`Kernel::sets`] are run.
fn sets() -> usize {
    if env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1") { 3 } else { 2 }
}

/// What the kernel makes of the tensors, by name; outputs hold something else than zeros before.
fn results(
    compiler: &Compiler,
    kernel: &Kernel,
    sizes: &[i64],
    given: &Tensors,
) -> Result<Arrays, Box<dyn std::error::Error>> {
    let compiled = compiler.compile_program(&Program::from(&kernel.program(&isl::Ctx::new())));
    let named: Vec<(&str, i64)> = compiled.sizes().iter().map(String::as_str).zip(sizes.iter().copied()).collect();
    let compiled = compiled.with_sizes(&named)?;
    let variant = compiled.prepare_sizes(sizes)?;
    let (mut inputs, mut outputs, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for argument in &variant.signature().arguments {
        let bytes = argument.shape.iter().product::<i64>() as usize * argument.dtype.bytes();
        let bytes = given.get(&argument.name).map_or_else(|| vec![0xa5; bytes], |data| data.bytes.clone());
        let tensor = Tensor::from_bytes(argument.dtype, &argument.shape, &bytes)?;
        if argument.role == Role::Input {
            inputs.push(tensor);
        } else {
            names.push(argument.name.clone());
            outputs.push(tensor);
        }
    }
    let read: Vec<_> = inputs.iter().map(|tensor| tensor as _).collect();
    let mut written: Vec<_> = outputs.iter_mut().map(|tensor| tensor as _).collect();
    compiled.run(&read, &mut written)?;
    let scop = kernel.scop(&isl::Ctx::new());
    let dtype = |name: &str| scop.tensors.values().find(|tensor| tensor.name == name).expect("an argument").dtype;
    let data = names.iter().zip(&outputs).map(|(name, output)| {
        let data = Data { dtype: dtype(name), shape: output.shape().to_vec(), bytes: output.as_bytes().to_vec() };
        (name.clone(), data)
    });
    Ok(Arrays::of(&data.collect()))
}

fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let each = found.iter().zip(expected).map(|(a, b)| if a.is_finite() { (a - b).abs() } else { f64::INFINITY });
    each.fold(0.0, f64::max) / largest
}

fn agrees(kernel: &Kernel, sizes: &[i64]) {
    let given = kernel.tensors(&kernel.scop(&isl::Ctx::new()), sizes, 11);
    let mut expected = Arrays::of(&given);
    plain::run(kernel.name, sizes, &mut expected);
    for threads in [1, 2] {
        let automatic = Compiler::host().threads(threads);
        let source_order = automatic.clone().script("".parse().expect("a script"));
        for (order, compiler) in [("order of the source", source_order), ("automatic", automatic)] {
            let case = format!("{} {sizes:?}, {threads} threads, {order}", kernel.title());
            let found = results(&compiler, kernel, sizes, &given).unwrap_or_else(|error| panic!("{case}: {error}"));
            let mut compared = 0;
            for (name, found) in found.iter() {
                let off = difference(found.values(), expected.get(name).values());
                assert!(off <= TOLERANCE, "{case}: {name} is off by {off:.1e}");
                compared += 1;
            }
            assert!(compared > 0, "{case}: no results");
        }
    }
}

fn all_agree(names: &[&str]) {
    for kernel in POLYBENCH.iter().filter(|kernel| names.contains(&kernel.name)) {
        kernel.sets.iter().take(sets()).for_each(|sizes| agrees(kernel, sizes));
    }
}

const STATISTICS: &[&str] = &["correlation", "covariance"];
const PRODUCTS: &[&str] = &["two_mm", "three_mm", "gemm", "symm", "syr2k", "syrk", "trmm", "doitgen"];
const VECTORS: &[&str] = &["atax", "bicg", "mvt", "gemver", "gesummv"];
const SOLVERS: &[&str] = &["cholesky", "durbin", "gramschmidt", "lu", "ludcmp", "trisolv"];
const TABLES: &[&str] = &["deriche", "floyd_warshall", "nussinov"];
const STENCILS: &[&str] = &["adi", "fdtd_2d", "heat_3d", "jacobi_1d", "jacobi_2d", "seidel_2d"];

#[test]
fn there_are_thirty_and_each_is_run() {
    let mut run = [STATISTICS, PRODUCTS, VECTORS, SOLVERS, TABLES, STENCILS].concat();
    let mut all: Vec<&str> = POLYBENCH.iter().map(|kernel| kernel.name).collect();
    run.sort_unstable();
    all.sort_unstable();
    assert_eq!((run, all.len()), (all.clone(), 30));
}

#[test]
fn statistics() {
    all_agree(STATISTICS);
}

#[test]
fn products_of_matrices() {
    all_agree(PRODUCTS);
}

#[test]
fn products_with_vectors() {
    all_agree(VECTORS);
}

#[test]
fn factorisations_and_solvers() {
    all_agree(SOLVERS);
}

#[test]
fn filters_and_tables() {
    all_agree(TABLES);
}

#[test]
fn stencils() {
    all_agree(STENCILS);
}

/// Each kernel by a strategy of fusion, another one for each in turn; all five in the full form.
#[test]
fn strategies_of_fusion_compute_the_same() {
    let is_full = sets() > 2;
    for (at, kernel) in POLYBENCH.iter().enumerate() {
        let given = kernel.tensors(&kernel.scop(&isl::Ctx::new()), kernel.sets[0], 11);
        let mut expected = Arrays::of(&given);
        plain::run(kernel.name, kernel.sets[0], &mut expected);
        for (number, (name, fusion)) in Fusion::NAMES.into_iter().enumerate() {
            if !is_full && number != at % Fusion::NAMES.len() {
                continue;
            }
            let case = format!("{}, {name}", kernel.title());
            let compiler = Compiler::host().threads(2).fusion(fusion);
            let found =
                results(&compiler, kernel, kernel.sets[0], &given).unwrap_or_else(|error| panic!("{case}: {error}"));
            for (name, found) in found.iter() {
                let off = difference(found.values(), expected.get(name).values());
                assert!(off <= TOLERANCE, "{case}: {name} is off by {off:.1e}");
            }
        }
    }
}

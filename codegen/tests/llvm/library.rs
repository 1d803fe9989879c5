//! The functions that a C program calls.

use crate::build::*;
use codegen::llvm::library::{Argument, Choice, Library, library, library_ir};
use object::{Object as _, ObjectSymbol as _};
use runtime::{DType, Formula, Role};

fn sample(triple: &str, features: &[&str]) -> Library {
    let argument = |name: &str, role, extent: Vec<Formula>| Argument {
        name: name.into(),
        dtype: DType::FLOAT32,
        role,
        extent,
        is_strided: false,
        size: None,
    };
    let choice = |entry: &str, features: &[&str]| Choice {
        target: "any".into(),
        entry: entry.into(),
        features: features.iter().map(|name| name.to_string()).collect(),
        sizes: None,
        workspace: Formula::Const(0),
        parameters: Vec::new(),
        scalable_bits: None,
        checks: Vec::new(),
        math: [runtime::math::slot("exp", false).unwrap(), runtime::math::slot("sinpi", true).unwrap()].into(),
    };
    Library {
        name: "sample".into(),
        triple: triple.into(),
        sizes: vec!["N".into()],
        arguments: vec![
            argument("A", Role::Input, vec![Formula::Size("N".into())]),
            argument("B", Role::Output, vec![Formula::Size("N".into())]),
        ],
        conditions: Vec::new(),
        choices: vec![choice("tw_sample__fast", features), choice("tw_sample__any", &[])],
    }
}

/// Which symbols it defines for others, and which it leaves to them.
fn symbols(object: &[u8]) -> (Vec<String>, Vec<String>) {
    let file = object::File::parse(object).unwrap();
    let named = |wanted: &dyn Fn(&object::Symbol<'_, '_>) -> bool| {
        let mut names: Vec<String> =
            file.symbols().filter(|symbol| wanted(symbol)).map(|symbol| symbol.name().unwrap().to_owned()).collect();
        names.retain(|name| !name.is_empty());
        names.sort();
        names
    };
    (named(&|symbol| symbol.is_global() && !symbol.is_undefined()), named(&|symbol| symbol.is_undefined()))
}

#[test]
fn a_library_calls_its_objects_and_the_c_library() {
    let functions = ["sample", "sample_abi", "sample_dense", "sample_error_text", "sample_workspace_bytes"];
    let x86 = library(&sample("x86_64-unknown-linux-gnu", &["avx2", "fma"])).unwrap();
    let (defined, undefined) = symbols(&x86);
    assert_eq!(defined, functions);
    assert_eq!(undefined, ["cos", "expf", "fmod", "round", "sin", "tw_sample__any", "tw_sample__fast"]);
    let arm = library(&sample("aarch64-unknown-linux-gnu", &["sve", "bf16"])).unwrap();
    let (defined, undefined) = symbols(&arm);
    assert_eq!(defined, functions);
    assert!(undefined.contains(&"getauxval".into()), "{undefined:?}");
}

#[test]
fn same_library_same_bytes() {
    let given = sample("x86_64-unknown-linux-gnu", &["avx2"]);
    assert_eq!(library(&given).unwrap(), library(&given).unwrap());
    assert!(library_ir(&given).unwrap().contains("define i32 @sample("));
}

#[test]
fn what_nobody_can_ask_for_is_refused() {
    let error = library(&sample("x86_64-unknown-linux-gnu", &["telepathy"])).unwrap_err();
    assert!(error.to_string().contains("telepathy"), "{error}");
    assert!(library(&sample("riscv64-unknown-linux-gnu", &[])).is_err());
}

/// Every function of the table, in both precisions: LLVM accepts their text, and they call the C library alone.
#[test]
fn every_function_has_its_place() {
    let mut all = sample(&this_machine().triple, &[]);
    all.choices[0].math = (0..2 * runtime::math::FUNCTIONS.len()).collect();
    let (_, undefined) = symbols(&library(&all).unwrap());
    assert!(undefined.contains(&"erfc".into()) && undefined.contains(&"lgamma_r".into()), "{undefined:?}");
}

//! The program runs, computes what it should, and has no compiler in it.

use std::fs;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_build-script-example");

#[test]
fn the_kernels_compute() {
    let output = Command::new(PROGRAM).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    for line in [
        "mm: [[7.0, 0.0], [2.5, 0.0]]",
        "mm of 64 x 64 x 64: all elements are 32",
        "mean: [2.0, 6.0]",
        "scale: [2.0, 4.0, 6.0]",
        "refused: `Mean`: expected extent 2 in dimension 0, found 3",
    ] {
        assert!(out.lines().any(|found| found == line), "{line} in\n{out}");
    }
}

/// Neither the libraries that a compiler links nor functions of theirs are named in the file.
#[test]
fn there_is_no_compiler_in_the_program() {
    let bytes = fs::read(PROGRAM).unwrap();
    let has = |name: &str| bytes.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(has("tw_mm__"), "the search finds what there is");
    for name in ["libLLVM", "LLVMContextCreate", "isl_ctx_alloc", "isl_set_read_from_str", "frontend_tc", "polyhedral"]
    {
        assert!(!has(name), "{name}");
    }
}

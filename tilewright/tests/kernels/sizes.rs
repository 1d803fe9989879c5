//! Sizes at the borders of blocks, sizes below one block, and none.

use tilewright::{Compiler, Source, check};

use crate::{agreement, interpreter, opencl, work};

/// A text, and the sizes that it is called with, in the order of their first mention.
const PROGRAMS: [(&str, &[&[i64]]); 7] = [
    (
        "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }",
        &[&[1, 1, 1], &[0, 3, 4], &[3, 0, 4], &[3, 4, 0], &[31, 5, 33], &[65, 9, 129]],
    ),
    (
        "def softmax(float(N,D) I) -> (O) {
            Largest(n) max=! I(n,d)
            E(n,d) = exp(I(n,d) - Largest(n))
            Sum(n) +=! E(n,d)
            O(n,d) = E(n,d) / Sum(n)
        }",
        &[&[1, 1], &[3, 255], &[2, 257], &[0, 7], &[300, 2]],
    ),
    // Several kernels, with what lies between them in memory of the device.
    (
        "def chain(float(N) A) -> (D) {
            B(i) = A(i) * 2
            C(i) = B(N - 1 - i) + A(i)
            S +=! C(i)
            D(i) = C(N - 1 - i) - B(i) * S
        }",
        &[&[1], &[255], &[256], &[257], &[0], &[1000]],
    ),
    ("def turn(float(N,M) I) -> (O) { O(j,i) = I(i,j) }", &[&[1, 1], &[33, 31], &[7, 0], &[0, 7], &[65, 32]]),
    ("def smooth(double(N) A) -> (B) { B(i) = (A(i) + A(i+1) + A(i+2)) / 3 }", &[&[3], &[257], &[258], &[259], &[2]]),
    (
        "def lookup(float(E,D) T, int32(B,L) I) -> (O) { O(b,d) +=! T(I(b,l),d) }",
        &[&[5, 33, 3, 2], &[5, 0, 3, 2], &[5, 7, 0, 2], &[5, 7, 3, 0]],
    ),
    // Places, of equals the first, which all threads of a block look for.
    (
        "def places(int8(N,M) A) -> (K, J) { K(i) argmax=! A(i,j) J(i) argmin=! A(i,j) }",
        &[&[3, 1], &[2, 257], &[3, 1000], &[300, 2], &[0, 7], &[7, 0]],
    ),
];

struct Case {
    text: &'static str,
    sizes: &'static [i64],
}

fn cases() -> Vec<Case> {
    PROGRAMS.iter().flat_map(|&(text, all)| all.iter().map(move |&sizes| Case { text, sizes })).collect()
}

fn definition(text: &str) -> tilewright::Definition {
    let (mut defs, _) = check(&Source::new("a.tc".into(), text.into())).unwrap_or_else(|error| panic!("{error}"));
    defs.remove(0)
}

fn on_devices(compilers: &[Compiler]) -> Vec<String> {
    work::failures(&cases(), |case| {
        let def = definition(case.text);
        agreement::runs_on(compilers, &def, case.sizes)
            .map_err(|error| format!("`{}` {:?}: {error}", def.name, case.sizes))
    })
}

#[test]
fn sizes_at_borders_are_computed_on_a_device() {
    let Some(compiler) = opencl() else { return };
    let wrong = on_devices(&[compiler]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sums of many terms with few results are cut into strips, whose partial results another kernel sums.
#[test]
fn strips_are_computed_on_a_device() {
    let Some(compiler) = opencl() else { return };
    let product = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
    let columns = "def sums(float(M,N) A) -> (O) { O(n) +=! A(m,n) }";
    let layer = "def layer(float(M,K) A, float(N,K) W, float(N) b) -> (O) {
        O(m,n) +=! A(m,k) * W(n,k)
        O(m,n) = fmax(O(m,n) + b(n), 0.0)
    }";
    let place = "def place(float(M) A) -> (K) { K argmax=! A(m) }";
    let places = "def places(int8(N,M) A) -> (K) { K(n) argmin=! A(n,m) }";
    let cases: [(&str, &[i64]); 10] = [
        (product, &[64, 8192, 64]),
        (product, &[33, 5001, 70]),
        (product, &[1, 20000, 7]),
        (product, &[7, 20000, 1]),
        (product, &[1, 20000, 1]),
        (columns, &[20000, 5]),
        (columns, &[5001, 33]),
        (layer, &[64, 8192, 64]),
        (place, &[100_000]),
        (places, &[3, 70_001]),
    ];
    let wrong = work::failures(&cases, |(text, sizes)| {
        agreement::runs_on(&[opencl().ok_or("the device is gone")?], &definition(text), sizes)
            .map_err(|error| format!("{text} {sizes:?}: {error}"))
    });
    drop(compiler);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The kernels are the same for all sizes: each text is built once.
#[test]
fn kernels_for_all_sizes_are_launched_for_each() {
    let Some(compiler) = opencl() else { return };
    let wrong = on_devices(&[compiler.symbolic(true)]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sizes_at_borders_are_computed_in_the_interpreter() {
    let wrong = work::failures(&cases(), |case| interpreter::runs(&definition(case.text), case.sizes));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

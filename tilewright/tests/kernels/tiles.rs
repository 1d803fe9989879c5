//! Tiles of contractions: odd sizes, convolutions, and products of tensors with more loops than two.

use support::Gpu;
use tilewright::{Compiler, Source, check};

use crate::{agreement, interpreter, opencl, work};

const PRODUCT: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
const TRANSPOSED: &str = "def tmm(float(M,K) A, float(N,K) B) -> (C) { C(m,n) +=! A(m,k) * B(n,k) }";
const GROUPED: &str = "def gconv(float(N,G,C,H,W) I, float(G,F,C,R,S) V) -> (O) {
    O(n,g,f,h,w) +=! I(n,g,c,h+r,w+s) * V(g,f,c,r,s)
}";
const STRIDED: &str = "def conv(float(N,C,H,W) I, float(F,C,R,S) V) -> (O) {
    O(n,f,h,w) +=! I(n,c,2*h+r,2*w+s) * V(f,c,r,s)
}";
const PADDED: &str = "def conv(float(N,C,H,W) I, float(F,C,3,3) V, float(F) B) -> (O) {
    O(n,f,h,w) +=! (h+r >= 1 && h+r <= H && w+s >= 1 && w+s <= W ? I(n,c,h+r-1,w+s-1) : float(0)) * V(f,c,r,s)
        where h in 0:H, w in 0:W
    O(n,f,h,w) = max(O(n,f,h,w) + B(f), 0) where h in 0:H, w in 0:W
}";
const KRONECKER: &str = "def kronecker(float(E,L) V, float(M,L,F) P) -> (Q) { Q(m,e,f) +=! P(m,l,f) * V(e,l) }";
const HALF: &str = "def mm(float16(M,K) A, float16(K,N) B) -> (C) { C(m,n) +=! float(A(m,k)) * float(B(k,n)) }";
const DOUBLE: &str = "def mm(double(M,K) A, double(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";

struct Case {
    text: &'static str,
    sizes: &'static [i64],
}

/// Texts, and the sizes that they are called with, in the order of their first mention.
fn cases() -> Vec<Case> {
    let all: [(&'static str, &[&'static [i64]]); 8] = [
        (PRODUCT, &[&[130, 33, 70], &[67, 13, 131], &[100, 30, 98]]),
        (TRANSPOSED, &[&[97, 26, 101]]),
        (GROUPED, &[&[2, 1, 5, 14, 14, 6, 3, 3], &[1, 2, 3, 9, 21, 7, 2, 3]]),
        (STRIDED, &[&[1, 3, 21, 19, 9, 3, 3]]),
        (PADDED, &[&[1, 3, 14, 15, 9]]),
        (KRONECKER, &[&[18, 13, 7, 33]]),
        (HALF, &[&[66, 18, 70]]),
        (DOUBLE, &[&[65, 17, 70]]),
    ];
    all.iter().flat_map(|&(text, all)| all.iter().map(move |&sizes| Case { text, sizes })).collect()
}

fn definition(text: &str) -> tilewright::Definition {
    let (mut defs, _) = check(&Source::new("a.tc".into(), text.into())).unwrap_or_else(|error| panic!("{error}"));
    defs.remove(0)
}

fn failures(runs: impl Fn(&tilewright::Definition, &Case) -> Result<(), String> + Sync) -> Vec<String> {
    work::failures(&cases(), |case| {
        let def = definition(case.text);
        runs(&def, case).map_err(|error| format!("`{}` {:?}: {error}", def.name, case.sizes))
    })
}

#[test]
fn tiles_are_computed_in_the_interpreter() {
    let wrong = failures(|def, case| {
        interpreter::runs(def, case.sizes)?;
        interpreter::runs_for(def, case.sizes, &Gpu::hopper())
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tiles_are_computed_as_ptx() {
    let wrong = failures(|def, case| interpreter::runs_as_ptx(def, case.sizes));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tiles_are_computed_on_a_device() {
    let Some(compiler) = opencl() else { return };
    let compilers: [Compiler; 1] = [compiler];
    let wrong = failures(|def, case| agreement::runs_on(&compilers, def, case.sizes));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Reductions over a few neighbours, written out where they are read.

#[allow(dead_code, reason = "the programs run for sizes that are given")]
mod agreement;

use tilewright::Compiler;

/// Kernels that have no memory for what a window leaves, on one thread and two, with the order of reductions free and kept.
#[test]
fn windows_that_are_written_out_compute_the_same() {
    let texts = [
        "def f(float(H,W) A) -> (R) {
            X(y,x) +=! A(y+i,x+j) * A(y+i,x+j) where i in 0:3, j in 0:3
            Y(y,x) max=! A(y+i,x+j) where i in 0:3, j in 0:3
            R(y,x) = X(y,x) - Y(y,x) * X(y,x)
        }",
        "def f(int8(H,W) A, int8(3,3) K) -> (R) {
            X(y,x) +=! A(y+i,x+j) * K(i,j)
            R(y,x) = X(y,x) > 0 ? X(y,x) : 0
        }",
        "def f(float(C,2*H,2*W) A) -> (R) {
            M(c,y,x) min=! A(c,2*y+i,2*x+j) where i in 0:2, j in 0:2, y in 0:H, x in 0:W, c in 0:C
            R(y,x) = M(0,y,x) + M(C-1,y,x) where y in 0:H, x in 0:W
        }",
        "def f(float16(N) A) -> (R) {
            S(i) +=! A(i+k) where k in 0:5
            R(i) = S(i) / 5
        }",
    ];
    let compilers = [1, 2].map(|threads| Compiler::host().threads(threads));
    let strict = compilers.clone().map(|compiler| compiler.strict(true));
    for text in texts {
        let checked = frontend_tc::check(text);
        let [def] = checked.defs.as_slice() else { panic!("{:?}", checked.diagnostics) };
        for sizes in [[9, 34, 37], [4, 8, 16], [3, 5, 6]] {
            let sizes = match def.sizes.len() {
                1 => &sizes[1..2],
                2 => &sizes[1..],
                _ => &sizes[..],
            };
            for compilers in [&compilers, &strict] {
                agreement::runs_on(compilers, def, sizes).unwrap_or_else(|error| panic!("{error}\n{text}"));
            }
        }
    }
}

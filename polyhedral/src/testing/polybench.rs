//! Kernels in the manner of PolyBench/C 4.2 (Pouchet, Yuki), written with [`crate::builder`].

use crate::DType::{F64, I32};
use crate::builder::{Builder, IntoIndex, Program, Tensor};
use crate::eval::{Data, Tensors};
use crate::testing::random_tensors;
use crate::{Monoid, Scop, isl};

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its name, also that of its Scop.
    pub name: &'static str,
    define: fn(&Builder),
    /// Small sizes to run it at.
    pub sizes: &'static [&'static [i64]],
}

impl Kernel {
    /// The program with its text.
    ///
    /// # Panics
    /// When the builder refuses it; for tests only.
    pub fn program(&self, ctx: &isl::Ctx) -> Program {
        Program::build(ctx, self.name, self.define).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The program.
    ///
    /// # Panics
    /// When the builder refuses it; for tests only.
    pub fn scop(&self, ctx: &isl::Ctx) -> Scop {
        self.program(ctx).scop
    }
}

/// Contents for every input and in-out of a kernel: random, and square matrices of floats symmetric with a heavy
/// diagonal, so that factorisations and solvers have something to work on.
pub fn conditioned_tensors(scop: &Scop, sizes: &[i64], seed: u64) -> Tensors {
    let mut tensors = random_tensors(scop, sizes, seed);
    for data in tensors.values_mut() {
        if let &[n, m] = data.shape.as_slice()
            && n == m
            && data.dtype.is_float()
        {
            *data = with_heavy_diagonal(data, n as usize);
        }
    }
    tensors
}

fn with_heavy_diagonal(data: &Data, n: usize) -> Data {
    let mut values = data.to_f64s();
    for i in 0..n {
        for j in 0..i {
            values[i * n + j] = values[j * n + i];
        }
        values[i * n + i] += 2.0 * n as f64;
    }
    Data::from_f64s(data.dtype, &data.shape, &values)
}

/// All of them.
pub const POLYBENCH: &[Kernel] = &[
    Kernel { name: "gemm", define: gemm, sizes: &[&[3, 4, 5], &[1, 1, 1], &[4, 2, 0]] },
    Kernel { name: "syrk", define: syrk, sizes: &[&[5, 3], &[1, 4]] },
    Kernel { name: "syr2k", define: syr2k, sizes: &[&[4, 3], &[1, 1]] },
    Kernel { name: "trmm", define: trmm, sizes: &[&[4, 3], &[1, 5]] },
    Kernel { name: "symm", define: symm, sizes: &[&[4, 3], &[1, 2]] },
    Kernel { name: "atax", define: atax, sizes: &[&[4, 5], &[1, 1]] },
    Kernel { name: "bicg", define: bicg, sizes: &[&[4, 5], &[3, 1]] },
    Kernel { name: "mvt", define: mvt, sizes: &[&[5], &[1]] },
    Kernel { name: "gemver", define: gemver, sizes: &[&[5], &[1]] },
    Kernel { name: "gesummv", define: gesummv, sizes: &[&[5], &[1]] },
    Kernel { name: "doitgen", define: doitgen, sizes: &[&[3, 4, 5], &[1, 1, 1]] },
    Kernel { name: "cholesky", define: cholesky, sizes: &[&[6], &[1], &[2]] },
    Kernel { name: "lu", define: lu, sizes: &[&[6], &[1], &[2]] },
    Kernel { name: "ludcmp", define: ludcmp, sizes: &[&[5], &[1], &[2]] },
    Kernel { name: "trisolv", define: trisolv, sizes: &[&[6], &[1]] },
    Kernel { name: "durbin", define: durbin, sizes: &[&[6], &[1], &[2]] },
    Kernel { name: "gramschmidt", define: gramschmidt, sizes: &[&[5, 4], &[1, 1]] },
    Kernel { name: "covariance", define: covariance, sizes: &[&[5, 4], &[2, 1]] },
    Kernel { name: "correlation", define: correlation, sizes: &[&[5, 4], &[2, 3]] },
    Kernel { name: "floyd_warshall", define: floyd_warshall, sizes: &[&[6], &[1]] },
    Kernel { name: "nussinov", define: nussinov, sizes: &[&[8], &[1], &[2]] },
    Kernel { name: "jacobi_1d", define: jacobi_1d, sizes: &[&[3, 8], &[0, 4], &[2, 3]] },
    Kernel { name: "jacobi_2d", define: jacobi_2d, sizes: &[&[3, 6], &[1, 3]] },
    Kernel { name: "seidel_2d", define: seidel_2d, sizes: &[&[3, 6], &[2, 3]] },
    Kernel { name: "heat_3d", define: heat_3d, sizes: &[&[2, 5], &[1, 3]] },
    Kernel { name: "fdtd_2d", define: fdtd_2d, sizes: &[&[3, 4, 5], &[1, 1, 1]] },
    Kernel { name: "adi", define: adi, sizes: &[&[2, 5], &[1, 3]] },
    Kernel { name: "deriche", define: deriche, sizes: &[&[4, 5], &[1, 1]] },
];

/// The kernel with that name.
///
/// # Panics
/// When there is none.
pub fn polybench(name: &str) -> Kernel {
    let kernel = POLYBENCH.iter().find(|kernel| kernel.name == name);
    *kernel.unwrap_or_else(|| panic!("no kernel is called {name}"))
}

/// `C = 1.5 A B + 1.25 C`
fn gemm(p: &Builder) {
    let [m, n, k] = ["M", "N", "K"].map(|name| p.size(name));
    let (a, b) = (p.input("A", F64, [m, k]), p.input("B", F64, [k, n]));
    let c = p.inout("C", F64, [m, n]);
    p.each("i", 0, m, |i| {
        p.each("j", 0, n, |j| p.set(c.at([i, j]), 1.25 * c.at([i, j])));
        p.each("k", 0, k, |k| {
            p.each("j", 0, n, |j| p.add_to(c.at([i, j]), 1.5 * a.at([i, k]) * b.at([k, j])));
        });
    });
}

/// The lower triangle of `C = 1.5 A Aᵀ + 1.25 C`.
fn syrk(p: &Builder) {
    let [n, m] = ["N", "M"].map(|name| p.size(name));
    let (a, c) = (p.input("A", F64, [n, m]), p.inout("C", F64, [n, n]));
    p.each("i", 0, n, |i| {
        p.each("j", 0, i + 1, |j| p.set(c.at([i, j]), 1.25 * c.at([i, j])));
        p.each("k", 0, m, |k| {
            p.each("j", 0, i + 1, |j| p.add_to(c.at([i, j]), 1.5 * a.at([i, k]) * a.at([j, k])));
        });
    });
}

/// The lower triangle of `C = 1.5 (A Bᵀ + B Aᵀ) + 1.25 C`.
fn syr2k(p: &Builder) {
    let [n, m] = ["N", "M"].map(|name| p.size(name));
    let (a, b) = (p.input("A", F64, [n, m]), p.input("B", F64, [n, m]));
    let c = p.inout("C", F64, [n, n]);
    p.each("i", 0, n, |i| {
        p.each("j", 0, i + 1, |j| p.set(c.at([i, j]), 1.25 * c.at([i, j])));
        p.each("k", 0, m, |k| {
            p.each("j", 0, i + 1, |j| {
                let both = a.at([j, k]) * 1.5 * b.at([i, k]) + b.at([j, k]) * 1.5 * a.at([i, k]);
                p.add_to(c.at([i, j]), both)
            });
        });
    });
}

/// `B = 1.5 Aᵀ B`, `A` lower triangular with ones on its diagonal, in place.
fn trmm(p: &Builder) {
    let [m, n] = ["M", "N"].map(|name| p.size(name));
    let (a, b) = (p.input("A", F64, [m, m]), p.inout("B", F64, [m, n]));
    p.each("i", 0, m, |i| {
        p.each("j", 0, n, |j| {
            p.each("k", i + 1, m, |k| p.add_to(b.at([i, j]), a.at([k, i]) * b.at([k, j])));
            p.set(b.at([i, j]), 1.5 * b.at([i, j]));
        });
    });
}

/// `C = 1.5 A B + 1.25 C`, of the symmetric `A` the lower triangle.
fn symm(p: &Builder) {
    let [m, n] = ["M", "N"].map(|name| p.size(name));
    let (a, b) = (p.input("A", F64, [m, m]), p.input("B", F64, [m, n]));
    let c = p.inout("C", F64, [m, n]);
    let sum = p.temporary("sum", F64, ());
    p.each("i", 0, m, |i| {
        p.each("j", 0, n, |j| {
            p.set(sum.at(()), 0);
            p.each("k", 0, i, |k| {
                p.add_to(c.at([k, j]), 1.5 * b.at([i, j]) * a.at([i, k]));
                p.add_to(sum.at(()), b.at([k, j]) * a.at([i, k]));
            });
            let here = 1.25 * c.at([i, j]) + 1.5 * b.at([i, j]) * a.at([i, i]) + 1.5 * sum.at(());
            p.set(c.at([i, j]), here);
        });
    });
}

/// `y = Aᵀ A x`
fn atax(p: &Builder) {
    let [m, n] = ["M", "N"].map(|name| p.size(name));
    let (a, x) = (p.input("A", F64, [m, n]), p.input("x", F64, [n]));
    let (y, tmp) = (p.output("y", F64, [n]), p.temporary("tmp", F64, [m]));
    p.each("i", 0, n, |i| p.set(y.at([i]), 0));
    p.each("i", 0, m, |i| {
        p.set(tmp.at([i]), 0);
        p.each("j", 0, n, |j| p.add_to(tmp.at([i]), a.at([i, j]) * x.at([j])));
        p.each("j", 0, n, |j| p.add_to(y.at([j]), a.at([i, j]) * tmp.at([i])));
    });
}

/// `s = Aᵀ r` and `q = A p` in one nest.
fn bicg(p: &Builder) {
    let [n, m] = ["N", "M"].map(|name| p.size(name));
    let (a, x, r) = (p.input("A", F64, [n, m]), p.input("p", F64, [m]), p.input("r", F64, [n]));
    let (s, q) = (p.output("s", F64, [m]), p.output("q", F64, [n]));
    p.each("i", 0, m, |i| p.set(s.at([i]), 0));
    p.each("i", 0, n, |i| {
        p.set(q.at([i]), 0);
        p.each("j", 0, m, |j| {
            p.add_to(s.at([j]), r.at([i]) * a.at([i, j]));
            p.add_to(q.at([i]), a.at([i, j]) * x.at([j]));
        });
    });
}

/// `x1 += A y1`, `x2 += Aᵀ y2`
fn mvt(p: &Builder) {
    let n = p.size("N");
    let (a, y1, y2) = (p.input("A", F64, [n, n]), p.input("y1", F64, [n]), p.input("y2", F64, [n]));
    let (x1, x2) = (p.inout("x1", F64, [n]), p.inout("x2", F64, [n]));
    p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.add_to(x1.at([i]), a.at([i, j]) * y1.at([j]))));
    p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.add_to(x2.at([i]), a.at([j, i]) * y2.at([j]))));
}

/// A rank-two update and two matrix-vector products with it.
fn gemver(p: &Builder) {
    let n = p.size("N");
    let [u1, v1, u2, v2, y, z] = ["u1", "v1", "u2", "v2", "y", "z"].map(|name| p.input(name, F64, [n]));
    let a = p.inout("A", F64, [n, n]);
    let (x, w) = (p.inout("x", F64, [n]), p.output("w", F64, [n]));
    p.each("i", 0, n, |i| {
        p.each("j", 0, n, |j| {
            p.set(a.at([i, j]), a.at([i, j]) + u1.at([i]) * v1.at([j]) + u2.at([i]) * v2.at([j]));
        });
    });
    p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.add_to(x.at([i]), 1.25 * a.at([j, i]) * y.at([j]))));
    p.each("i", 0, n, |i| p.set(x.at([i]), x.at([i]) + z.at([i])));
    p.each("i", 0, n, |i| p.set(w.at([i]), 0));
    p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.add_to(w.at([i]), 1.5 * a.at([i, j]) * x.at([j]))));
}

/// `y = 1.5 A x + 1.25 B x`
fn gesummv(p: &Builder) {
    let n = p.size("N");
    let (a, b, x) = (p.input("A", F64, [n, n]), p.input("B", F64, [n, n]), p.input("x", F64, [n]));
    let (y, tmp) = (p.output("y", F64, [n]), p.temporary("tmp", F64, [n]));
    p.each("i", 0, n, |i| {
        p.set(tmp.at([i]), 0);
        p.set(y.at([i]), 0);
        p.each("j", 0, n, |j| {
            p.add_to(tmp.at([i]), a.at([i, j]) * x.at([j]));
            p.add_to(y.at([i]), b.at([i, j]) * x.at([j]));
        });
        p.set(y.at([i]), 1.5 * tmp.at([i]) + 1.25 * y.at([i]));
    });
}

/// A product with a matrix along the last dimension, in place by way of one row.
fn doitgen(p: &Builder) {
    let [nr, nq, np] = ["R", "Q", "P"].map(|name| p.size(name));
    let c4 = p.input("C4", F64, [np, np]);
    let a = p.inout("A", F64, [nr, nq, np]);
    let sum = p.temporary("sum", F64, [np]);
    p.each("r", 0, nr, |r| {
        p.each("q", 0, nq, |q| {
            p.each("o", 0, np, |o| {
                p.set(sum.at([o]), 0);
                p.each("s", 0, np, |s| p.add_to(sum.at([o]), a.at([r, q, s]) * c4.at([s, o])));
            });
            p.each("o", 0, np, |o| p.set(a.at([r, q, o]), *sum.at([o])));
        });
    });
}

/// `A = L Lᵀ`, `L` over the lower triangle.
fn cholesky(p: &Builder) {
    let n = p.size("N");
    let a = p.inout("A", F64, [n, n]);
    p.each("i", 0, n, |i| {
        p.each("j", 0, i, |j| {
            p.each("k", 0, j, |k| p.add_to(a.at([i, j]), -(a.at([i, k]) * a.at([j, k]))));
            p.set(a.at([i, j]), a.at([i, j]) / a.at([j, j]));
        });
        p.each("k", 0, i, |k| p.add_to(a.at([i, i]), -(a.at([i, k]) * a.at([i, k]))));
        p.set(a.at([i, i]), a.at([i, i]).sqrt());
    });
}

/// `A = L U`, both over `A`.
fn lu(p: &Builder) {
    let n = p.size("N");
    let a = p.inout("A", F64, [n, n]);
    p.each("k", 0, n, |k| {
        p.each("i", k + 1, n, |i| {
            p.set(a.at([i, k]), a.at([i, k]) / a.at([k, k]));
            p.each("j", k + 1, n, |j| p.set(a.at([i, j]), a.at([i, j]) - a.at([i, k]) * a.at([k, j])));
        });
    });
}

/// `A x = b` by way of `A = L U`.
fn ludcmp(p: &Builder) {
    let n = p.size("N");
    let b = p.input("b", F64, [n]);
    let (a, x) = (p.inout("A", F64, [n, n]), p.output("x", F64, [n]));
    let (y, w) = (p.temporary("y", F64, [n]), p.temporary("w", F64, ()));
    p.each("i", 0, n, |i| {
        p.each("j", 0, i, |j| {
            p.set(w.at(()), *a.at([i, j]));
            p.each("k", 0, j, |k| p.add_to(w.at(()), -(a.at([i, k]) * a.at([k, j]))));
            p.set(a.at([i, j]), w.at(()) / a.at([j, j]));
        });
        p.each("j", i, n, |j| {
            p.set(w.at(()), *a.at([i, j]));
            p.each("k", 0, i, |k| p.add_to(w.at(()), -(a.at([i, k]) * a.at([k, j]))));
            p.set(a.at([i, j]), *w.at(()));
        });
    });
    p.each("i", 0, n, |i| {
        p.set(w.at(()), *b.at([i]));
        p.each("j", 0, i, |j| p.add_to(w.at(()), -(a.at([i, j]) * y.at([j]))));
        p.set(y.at([i]), *w.at(()));
    });
    p.each_down("i", 0, n, |i| {
        p.set(w.at(()), *y.at([i]));
        p.each("j", i + 1, n, |j| p.add_to(w.at(()), -(a.at([i, j]) * x.at([j]))));
        p.set(x.at([i]), w.at(()) / a.at([i, i]));
    });
}

/// `L x = b`, forward.
fn trisolv(p: &Builder) {
    let n = p.size("N");
    let (l, b) = (p.input("L", F64, [n, n]), p.input("b", F64, [n]));
    let x = p.output("x", F64, [n]);
    p.each("i", 0, n, |i| {
        p.set(x.at([i]), *b.at([i]));
        p.each("j", 0, i, |j| p.add_to(x.at([i]), -(l.at([i, j]) * x.at([j]))));
        p.set(x.at([i]), x.at([i]) / l.at([i, i]));
    });
}

/// The Yule-Walker equations of a Toeplitz matrix.
fn durbin(p: &Builder) {
    let n = p.size("N");
    p.assume(n.ge(1));
    let (r, y) = (p.input("r", F64, [n]), p.output("y", F64, [n]));
    let z = p.temporary("z", F64, [n]);
    let [alpha, beta, sum] = ["alpha", "beta", "sum"].map(|name| p.temporary(name, F64, ()));
    p.set(y.at([0]), -r.at([0]));
    p.set(beta.at(()), 1);
    p.set(alpha.at(()), -r.at([0]));
    p.each("k", 1, n, |k| {
        p.set(beta.at(()), (1 - alpha.at(()) * alpha.at(())) * beta.at(()));
        p.set(sum.at(()), 0);
        p.each("i", 0, k, |i| p.add_to(sum.at(()), r.at([k - i - 1]) * y.at([i])));
        p.set(alpha.at(()), -(r.at([k]) + sum.at(())) / beta.at(()));
        p.each("i", 0, k, |i| p.set(z.at([i]), y.at([i]) + alpha.at(()) * y.at([k - i - 1])));
        p.each("i", 0, k, |i| p.set(y.at([i]), *z.at([i])));
        p.set(y.at([k]), *alpha.at(()));
    });
}

/// `A = Q R` by the modified method of Gram and Schmidt.
fn gramschmidt(p: &Builder) {
    let [m, n] = ["M", "N"].map(|name| p.size(name));
    let (r, q) = (p.output("R", F64, [n, n]), p.output("Q", F64, [m, n]));
    let (a, norm) = (p.inout("A", F64, [m, n]), p.temporary("norm", F64, ()));
    p.each("k", 0, n, |k| p.each("j", 0, k, |j| p.set(r.at([k, j]), 0).named("R.lower")));
    p.each("k", 0, n, |k| {
        p.set(norm.at(()), 0);
        p.each("i", 0, m, |i| p.add_to(norm.at(()), a.at([i, k]) * a.at([i, k])));
        p.set(r.at([k, k]), norm.at(()).sqrt()).named("R.diagonal");
        p.each("i", 0, m, |i| p.set(q.at([i, k]), a.at([i, k]) / r.at([k, k])));
        p.each("j", k + 1, n, |j| {
            p.set(r.at([k, j]), 0);
            p.each("i", 0, m, |i| p.add_to(r.at([k, j]), q.at([i, k]) * a.at([i, j])));
            p.each("i", 0, m, |i| p.set(a.at([i, j]), a.at([i, j]) - q.at([i, k]) * r.at([k, j])));
        });
    });
}

/// The covariance matrix of `M` variables from `N` observations.
fn covariance(p: &Builder) {
    let [n, m] = ["N", "M"].map(|name| p.size(name));
    p.assume(n.ge(2));
    let (data, cov) = (p.inout("data", F64, [n, m]), p.output("cov", F64, [m, m]));
    let mean = p.temporary("mean", F64, [m]);
    let count = n.cast(F64);
    p.each("j", 0, m, |j| {
        p.set(mean.at([j]), 0);
        p.each("i", 0, n, |i| p.add_to(mean.at([j]), *data.at([i, j])));
        p.set(mean.at([j]), mean.at([j]) / count);
    });
    p.each("i", 0, n, |i| p.each("j", 0, m, |j| p.set(data.at([i, j]), data.at([i, j]) - mean.at([j]))));
    p.each("i", 0, m, |i| {
        p.each("j", i, m, |j| {
            p.set(cov.at([i, j]), 0);
            p.each("k", 0, n, |k| p.add_to(cov.at([i, j]), data.at([k, i]) * data.at([k, j])));
            p.set(cov.at([i, j]), cov.at([i, j]) / (n - 1).cast(F64));
            p.when(i.ne(j), || p.set(cov.at([j, i]), *cov.at([i, j])).named("cov.mirror"));
        });
    });
}

/// The correlation matrix of `M` variables from `N` observations.
fn correlation(p: &Builder) {
    let [n, m] = ["N", "M"].map(|name| p.size(name));
    let (data, corr) = (p.inout("data", F64, [n, m]), p.output("corr", F64, [m, m]));
    let (mean, stddev) = (p.temporary("mean", F64, [m]), p.temporary("stddev", F64, [m]));
    let count = n.cast(F64);
    p.each("j", 0, m, |j| {
        p.set(mean.at([j]), 0);
        p.each("i", 0, n, |i| p.add_to(mean.at([j]), *data.at([i, j])));
        p.set(mean.at([j]), mean.at([j]) / count);
    });
    p.each("j", 0, m, |j| {
        p.set(stddev.at([j]), 0);
        p.each("i", 0, n, |i| {
            let off = data.at([i, j]) - mean.at([j]);
            p.add_to(stddev.at([j]), off * off)
        });
        p.set(stddev.at([j]), (stddev.at([j]) / count).sqrt());
        p.set(stddev.at([j]), stddev.at([j]).le(0.1).select(1, *stddev.at([j])));
    });
    p.each("i", 0, n, |i| {
        p.each("j", 0, m, |j| {
            p.set(data.at([i, j]), data.at([i, j]) - mean.at([j]));
            p.set(data.at([i, j]), data.at([i, j]) / (count.sqrt() * stddev.at([j])));
        });
    });
    p.each("i", 0, m, |i| {
        p.set(corr.at([i, i]), 1).named("corr.diagonal");
        p.each("j", i + 1, m, |j| {
            p.set(corr.at([i, j]), 0);
            p.each("k", 0, n, |k| p.add_to(corr.at([i, j]), data.at([k, i]) * data.at([k, j])));
            p.set(corr.at([j, i]), *corr.at([i, j])).named("corr.mirror");
        });
    });
}

/// All shortest paths.
fn floyd_warshall(p: &Builder) {
    let n = p.size("N");
    let path = p.inout("path", I32, [n, n]);
    p.each("k", 0, n, |k| {
        p.each("i", 0, n, |i| {
            p.each("j", 0, n, |j| {
                p.set(path.at([i, j]), path.at([i, j]).min(path.at([i, k]) + path.at([k, j])));
            });
        });
    });
}

/// The largest number of pairs in a folded sequence.
fn nussinov(p: &Builder) {
    let n = p.size("N");
    let (seq, table) = (p.input("seq", I32, [n]), p.output("table", I32, [n, n]));
    p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.set(table.at([i, j]), 0)));
    p.each_down("i", 0, n, |i| {
        p.each("j", i + 1, n, |j| {
            let best = table.at([i, j]);
            p.reduce(Monoid::max, best, *table.at([i, j - 1])).named("table.left");
            p.reduce(Monoid::max, best, *table.at([i + 1, j])).named("table.below");
            p.when(i.lt(j - 1), || {
                let pair = (seq.at([i]) + seq.at([j])).eq(3).select(1, 0);
                p.reduce(Monoid::max, best, table.at([i + 1, j - 1]) + pair).named("table.pair")
            });
            p.when(i.ge(j - 1), || p.reduce(Monoid::max, best, *table.at([i + 1, j - 1])).named("table.near"));
            p.each("k", i + 1, j, |k| {
                p.reduce(Monoid::max, best, table.at([i, k]) + table.at([k + 1, j])).named("table.split");
            });
        });
    });
}

/// Three points, between two rows.
fn jacobi_1d(p: &Builder) {
    let [t, n] = ["T", "N"].map(|name| p.size(name));
    let (a, b) = (p.inout("A", F64, [n]), p.inout("B", F64, [n]));
    p.each("t", 0, t, |_| {
        p.each("i", 1, n - 1, |i| p.set(b.at([i]), 0.33333 * (a.at([i - 1]) + a.at([i]) + a.at([i + 1]))));
        p.each("i", 1, n - 1, |i| p.set(a.at([i]), 0.33333 * (b.at([i - 1]) + b.at([i]) + b.at([i + 1]))));
    });
}

/// Five points, between two planes.
fn jacobi_2d<'p>(p: &'p Builder) {
    let [t, n] = ["T", "N"].map(|name| p.size(name));
    let (a, b) = (p.inout("A", F64, [n, n]), p.inout("B", F64, [n, n]));
    let sweep = |from: Tensor<'p>, i, j| {
        let across = from.at([i, j]) + from.at([i, j - 1]) + from.at([i, 1 + j]);
        0.2 * (across + from.at([1 + i, j]) + from.at([i - 1, j]))
    };
    p.each("t", 0, t, |_| {
        p.each("i", 1, n - 1, |i| p.each("j", 1, n - 1, |j| p.set(b.at([i, j]), sweep(a, i, j))));
        p.each("i", 1, n - 1, |i| p.each("j", 1, n - 1, |j| p.set(a.at([i, j]), sweep(b, i, j))));
    });
}

/// Nine points in place.
fn seidel_2d(p: &Builder) {
    let [t, n] = ["T", "N"].map(|name| p.size(name));
    let a = p.inout("A", F64, [n, n]);
    p.each("t", 0, t, |_| {
        p.each("i", 1, n - 1, |i| {
            p.each("j", 1, n - 1, |j| {
                let row = |i| a.at([i, j - 1]) + a.at([i, j]) + a.at([i, j + 1]);
                p.set(a.at([i, j]), (row(i - 1) + row(i) + row(i + 1)) / 9.0);
            });
        });
    });
}

/// Seven points in space, between two fields.
fn heat_3d<'p>(p: &'p Builder) {
    let [t, n] = ["T", "N"].map(|name| p.size(name));
    let (a, b) = (p.inout("A", F64, [n, n, n]), p.inout("B", F64, [n, n, n]));
    let sweep = |to: Tensor<'p>, from: Tensor<'p>| {
        p.each("i", 1, n - 1, |i| {
            p.each("j", 1, n - 1, |j| {
                p.each("k", 1, n - 1, |k| {
                    let here = from.at([i, j, k]);
                    let x = 0.125 * (from.at([i + 1, j, k]) - 2 * here + from.at([i - 1, j, k]));
                    let y = 0.125 * (from.at([i, j + 1, k]) - 2 * here + from.at([i, j - 1, k]));
                    let z = 0.125 * (from.at([i, j, k + 1]) - 2 * here + from.at([i, j, k - 1]));
                    p.set(to.at([i, j, k]), x + y + z + here);
                });
            });
        });
    };
    p.each("t", 0, t, |_| {
        sweep(b, a);
        sweep(a, b);
    });
}

/// Maxwell's equations in the plane by finite differences in time.
fn fdtd_2d(p: &Builder) {
    let [t, nx, ny] = ["T", "NX", "NY"].map(|name| p.size(name));
    p.assume(nx.ge(1));
    let fict = p.input("fict", F64, [t]);
    let [ex, ey, hz] = ["ex", "ey", "hz"].map(|name| p.inout(name, F64, [nx, ny]));
    p.each("t", 0, t, |t| {
        p.each("j", 0, ny, |j| p.set(ey.at((0, j)), *fict.at([t])).named("ey.source"));
        p.each("i", 1, nx, |i| {
            p.each("j", 0, ny, |j| p.set(ey.at([i, j]), ey.at([i, j]) - 0.5 * (hz.at([i, j]) - hz.at([i - 1, j]))));
        });
        p.each("i", 0, nx, |i| {
            p.each("j", 1, ny, |j| p.set(ex.at([i, j]), ex.at([i, j]) - 0.5 * (hz.at([i, j]) - hz.at([i, j - 1]))));
        });
        p.each("i", 0, nx - 1, |i| {
            p.each("j", 0, ny - 1, |j| {
                let curl = ex.at([i, j + 1]) - ex.at([i, j]) + ey.at([i + 1, j]) - ey.at([i, j]);
                p.set(hz.at([i, j]), hz.at([i, j]) - 0.7 * curl);
            });
        });
    });
}

/// Heat in the plane, implicit in one direction and then in the other.
fn adi<'p>(p: &'p Builder) {
    let [steps, n] = ["T", "N"].map(|name| p.size(name));
    p.assume(n.ge(3));
    let u = p.inout("u", F64, [n, n]);
    let [v, e, q] = ["v", "e", "q"].map(|name| p.temporary(name, F64, [n, n]));
    let (a, b, c, d, f) = (-0.5, 2.0, -0.5, -0.25, -0.25);
    p.each("t", 0, steps, |_| {
        let mut forward = true;
        for (from, to) in [(u, v), (v, u)] {
            // The second half is the first one with the roles of the fields and of their dimensions exchanged.
            let at = |field: Tensor<'p>, j, i| field.at(if forward { [j, i] } else { [i, j] });
            let opposite = |i, j| from.at(if forward { [j, i] } else { [i, j] });
            p.each("i", 1, n - 1, |i| {
                let (first, last) = (0.into_index(p), n - 1);
                p.set(at(to, first, i), 1);
                p.set(e.at((i, 0)), 0);
                p.set(q.at((i, 0)), *at(to, first, i));
                p.each("j", 1, n - 1, |j| {
                    let pivot = a * e.at([i, j - 1]) + b;
                    p.set(e.at([i, j]), -c / pivot);
                    let right = -d * opposite(i - 1, j) + (1.0 + 2.0 * d) * opposite(i, j) - f * opposite(i + 1, j);
                    p.set(q.at([i, j]), (right - a * q.at([i, j - 1])) / pivot);
                });
                p.set(at(to, last, i), 1);
                p.each_down("j", 1, n - 1, |j| p.set(at(to, j, i), e.at([i, j]) * at(to, j + 1, i) + q.at([i, j])));
            });
            forward = false;
        }
    });
}

/// A recursive edge detector: four sweeps over a picture, two of them backwards.
fn deriche<'p>(p: &'p Builder) {
    let [w, h] = ["W", "H"].map(|name| p.size(name));
    let (image, out) = (p.input("image", F64, [w, h]), p.output("out", F64, [w, h]));
    let (y1, y2) = (p.temporary("y1", F64, [w, h]), p.temporary("y2", F64, [w, h]));
    let scalars = ["xm1", "xp1", "xp2", "ym1", "ym2", "yp1", "yp2"];
    let [xm1, xp1, xp2, ym1, ym2, yp1, yp2] = scalars.map(|name| p.temporary(name, F64, ()));
    let (a1, a2, a3, a4, b1, b2) = (0.25, -0.1875, 0.125, -0.0625, 0.75, -0.5);
    // One pass in both directions along a line, from `source` into y1 and y2, whose sum is the result.
    let pass = |line: &str, lines, along: &str, length, source: Tensor<'p>, transposed: bool| {
        let place = |l, i| if transposed { [i, l] } else { [l, i] };
        p.each(line, 0, lines, |l| {
            for scalar in [ym1, ym2, xm1] {
                p.set(scalar.at(()), 0);
            }
            p.each(along, 0, length, |i| {
                let here = place(l, i);
                let y = a1 * source.at(here) + a2 * xm1.at(()) + b1 * ym1.at(()) + b2 * ym2.at(());
                p.set(y1.at(here), y);
                p.set(xm1.at(()), *source.at(here));
                p.set(ym2.at(()), *ym1.at(()));
                p.set(ym1.at(()), *y1.at(here));
            });
        });
        p.each(line, 0, lines, |l| {
            for scalar in [yp1, yp2, xp1, xp2] {
                p.set(scalar.at(()), 0);
            }
            p.each_down(along, 0, length, |i| {
                let here = place(l, i);
                let y = a3 * xp1.at(()) + a4 * xp2.at(()) + b1 * yp1.at(()) + b2 * yp2.at(());
                p.set(y2.at(here), y);
                p.set(xp2.at(()), *xp1.at(()));
                p.set(xp1.at(()), *source.at(here));
                p.set(yp2.at(()), *yp1.at(()));
                p.set(yp1.at(()), *y2.at(here));
            });
        });
        p.each("i", 0, w, |i| p.each("j", 0, h, |j| p.set(out.at([i, j]), y1.at([i, j]) + y2.at([i, j]))));
    };
    pass("i", w, "j", h, image, false);
    pass("j", h, "i", w, out, true);
}

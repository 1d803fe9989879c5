//! Products of matrices and vectors, and the statistics that are such.

use crate::DType::F64;
use crate::builder::{Builder, Index, Tensor};

/// `D = 1.5 A B C + 1.25 D`
pub(super) fn two_mm(p: &Builder) {
    let [m, n, k, l] = ["M", "N", "K", "L"].map(|name| p.size(name));
    let (a, b, c) = (p.input("A", F64, [m, k]), p.input("B", F64, [k, n]), p.input("C", F64, [n, l]));
    let (d, tmp) = (p.inout("D", F64, [m, l]), p.temporary("tmp", F64, [m, n]));
    p.each("i", 0, m, |i| {
        p.each("j", 0, n, |j| {
            p.set(tmp.at([i, j]), 0);
            p.each("k", 0, k, |k| p.add_to(tmp.at([i, j]), 1.5 * a.at([i, k]) * b.at([k, j])));
        });
    });
    p.each("i", 0, m, |i| {
        p.each("j", 0, l, |j| {
            p.set(d.at([i, j]), 1.25 * d.at([i, j]));
            p.each("k", 0, n, |k| p.add_to(d.at([i, j]), tmp.at([i, k]) * c.at([k, j])));
        });
    });
}

/// `G = A B (C D)`
pub(super) fn three_mm<'p>(p: &'p Builder) {
    let [m, n, k, l, q] = ["M", "N", "K", "L", "Q"].map(|name| p.size(name));
    let (a, b) = (p.input("A", F64, [m, k]), p.input("B", F64, [k, n]));
    let (c, d) = (p.input("C", F64, [n, q]), p.input("D", F64, [q, l]));
    let (e, f) = (p.temporary("E", F64, [m, n]), p.temporary("F", F64, [n, l]));
    let g = p.output("G", F64, [m, l]);
    let product = |to: Tensor<'p>, [rows, columns, terms]: [Index<'p>; 3], left: Tensor<'p>, right: Tensor<'p>| {
        p.each("i", 0, rows, |i| {
            p.each("j", 0, columns, |j| {
                p.set(to.at([i, j]), 0);
                p.each("k", 0, terms, |k| p.add_to(to.at([i, j]), left.at([i, k]) * right.at([k, j])));
            });
        });
    };
    product(e, [m, n, k], a, b);
    product(f, [n, l, q], c, d);
    product(g, [m, l, n], e, f);
}

/// `C = 1.5 A B + 1.25 C`
pub(super) fn gemm(p: &Builder) {
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
pub(super) fn syrk(p: &Builder) {
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
pub(super) fn syr2k(p: &Builder) {
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
pub(super) fn trmm(p: &Builder) {
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
pub(super) fn symm(p: &Builder) {
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
pub(super) fn atax(p: &Builder) {
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
pub(super) fn bicg(p: &Builder) {
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
pub(super) fn mvt(p: &Builder) {
    let n = p.size("N");
    let (a, y1, y2) = (p.input("A", F64, [n, n]), p.input("y1", F64, [n]), p.input("y2", F64, [n]));
    let (x1, x2) = (p.inout("x1", F64, [n]), p.inout("x2", F64, [n]));
    p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.add_to(x1.at([i]), a.at([i, j]) * y1.at([j]))));
    p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.add_to(x2.at([i]), a.at([j, i]) * y2.at([j]))));
}

/// A rank-two update and two matrix-vector products with it.
pub(super) fn gemver(p: &Builder) {
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
pub(super) fn gesummv(p: &Builder) {
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
pub(super) fn doitgen(p: &Builder) {
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

/// The covariance matrix of `M` variables from `N` observations.
pub(super) fn covariance(p: &Builder) {
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
pub(super) fn correlation(p: &Builder) {
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

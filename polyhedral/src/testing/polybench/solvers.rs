//! Factorisations, solvers, and dynamic programming.

use crate::DType::{F64, I32};
use crate::Monoid;
use crate::builder::Builder;

/// `A = L Lᵀ`, `L` over the lower triangle.
pub(super) fn cholesky(p: &Builder) {
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

/// `A = L U`, both over `A`, row by row.
pub(super) fn lu(p: &Builder) {
    let n = p.size("N");
    let a = p.inout("A", F64, [n, n]);
    p.each("i", 0, n, |i| {
        p.each("j", 0, i, |j| {
            p.each("k", 0, j, |k| p.add_to(a.at([i, j]), -(a.at([i, k]) * a.at([k, j]))));
            p.set(a.at([i, j]), a.at([i, j]) / a.at([j, j]));
        });
        p.each("j", i, n, |j| {
            p.each("k", 0, i, |k| p.add_to(a.at([i, j]), -(a.at([i, k]) * a.at([k, j]))));
        });
    });
}

/// The same, column by column, each of which updates all that is right of it.
pub(super) fn lu_right_looking(p: &Builder) {
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
pub(super) fn ludcmp(p: &Builder) {
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
pub(super) fn trisolv(p: &Builder) {
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
pub(super) fn durbin(p: &Builder) {
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
pub(super) fn gramschmidt(p: &Builder) {
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

/// All shortest paths.
pub(super) fn floyd_warshall(p: &Builder) {
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
pub(super) fn nussinov(p: &Builder) {
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

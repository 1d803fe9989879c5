//! Stencils in time, and sweeps along lines.

use crate::DType::F64;
use crate::builder::{Builder, IntoIndex, Tensor};

/// Three points, between two rows.
pub(super) fn jacobi_1d(p: &Builder) {
    let [t, n] = ["T", "N"].map(|name| p.size(name));
    let (a, b) = (p.inout("A", F64, [n]), p.inout("B", F64, [n]));
    p.each("t", 0, t, |_| {
        p.each("i", 1, n - 1, |i| p.set(b.at([i]), 0.33333 * (a.at([i - 1]) + a.at([i]) + a.at([i + 1]))));
        p.each("i", 1, n - 1, |i| p.set(a.at([i]), 0.33333 * (b.at([i - 1]) + b.at([i]) + b.at([i + 1]))));
    });
}

/// Five points, between two planes.
pub(super) fn jacobi_2d<'p>(p: &'p Builder) {
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
pub(super) fn seidel_2d(p: &Builder) {
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
pub(super) fn heat_3d<'p>(p: &'p Builder) {
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
pub(super) fn fdtd_2d(p: &Builder) {
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
pub(super) fn adi<'p>(p: &'p Builder) {
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
pub(super) fn deriche<'p>(p: &'p Builder) {
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

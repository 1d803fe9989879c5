//! Factorisations, solvers, and dynamic programming.

use super::{Array, Arrays};

pub(super) fn cholesky(n: usize, t: &mut Arrays) {
    let mut a = t.take("A");
    for i in 0..n {
        for j in 0..i {
            for k in 0..j {
                a[[i, j]] -= a[[i, k]] * a[[j, k]];
            }
            a[[i, j]] /= a[[j, j]];
        }
        for k in 0..i {
            a[[i, i]] -= a[[i, k]] * a[[i, k]];
        }
        a[[i, i]] = a[[i, i]].sqrt();
    }
    t.put("A", a);
}

pub(super) fn lu(n: usize, t: &mut Arrays) {
    let mut a = t.take("A");
    for i in 0..n {
        for j in 0..i {
            for k in 0..j {
                a[[i, j]] -= a[[i, k]] * a[[k, j]];
            }
            a[[i, j]] /= a[[j, j]];
        }
        for j in i..n {
            for k in 0..i {
                a[[i, j]] -= a[[i, k]] * a[[k, j]];
            }
        }
    }
    t.put("A", a);
}

pub(super) fn lu_right_looking(n: usize, t: &mut Arrays) {
    let mut a = t.take("A");
    for k in 0..n {
        for i in k + 1..n {
            a[[i, k]] /= a[[k, k]];
            for j in k + 1..n {
                a[[i, j]] -= a[[i, k]] * a[[k, j]];
            }
        }
    }
    t.put("A", a);
}

pub(super) fn ludcmp(n: usize, t: &mut Arrays) {
    let (mut a, b) = (t.take("A"), t.take("b"));
    let (mut x, mut y) = (Array::zeros([n]), Array::zeros([n]));
    for i in 0..n {
        for j in 0..i {
            let mut w = a[[i, j]];
            for k in 0..j {
                w -= a[[i, k]] * a[[k, j]];
            }
            a[[i, j]] = w / a[[j, j]];
        }
        for j in i..n {
            let mut w = a[[i, j]];
            for k in 0..i {
                w -= a[[i, k]] * a[[k, j]];
            }
            a[[i, j]] = w;
        }
    }
    for i in 0..n {
        let mut w = b[[i]];
        for j in 0..i {
            w -= a[[i, j]] * y[[j]];
        }
        y[[i]] = w;
    }
    for i in (0..n).rev() {
        let mut w = y[[i]];
        for j in i + 1..n {
            w -= a[[i, j]] * x[[j]];
        }
        x[[i]] = w / a[[i, i]];
    }
    t.put("A", a);
    t.put("x", x);
}

pub(super) fn trisolv(n: usize, t: &mut Arrays) {
    let (l, b) = (t.take("L"), t.take("b"));
    let mut x = Array::zeros([n]);
    for i in 0..n {
        x[[i]] = b[[i]];
        for j in 0..i {
            x[[i]] -= l[[i, j]] * x[[j]];
        }
        x[[i]] /= l[[i, i]];
    }
    t.put("x", x);
}

pub(super) fn durbin(n: usize, t: &mut Arrays) {
    let r = t.take("r");
    let (mut y, mut z) = (Array::zeros([n]), Array::zeros([n]));
    y[[0]] = -r[[0]];
    let (mut beta, mut alpha) = (1.0, -r[[0]]);
    for k in 1..n {
        beta *= 1.0 - alpha * alpha;
        let mut sum = 0.0;
        for i in 0..k {
            sum += r[[k - i - 1]] * y[[i]];
        }
        alpha = -(r[[k]] + sum) / beta;
        for i in 0..k {
            z[[i]] = y[[i]] + alpha * y[[k - i - 1]];
        }
        for i in 0..k {
            y[[i]] = z[[i]];
        }
        y[[k]] = alpha;
    }
    t.put("y", y);
}

pub(super) fn gramschmidt([m, n]: [usize; 2], t: &mut Arrays) {
    let (mut a, mut r, mut q) = (t.take("A"), Array::zeros([n, n]), Array::zeros([m, n]));
    for k in 0..n {
        let mut norm: f64 = 0.0;
        for i in 0..m {
            norm += a[[i, k]] * a[[i, k]];
        }
        r[[k, k]] = norm.sqrt();
        for i in 0..m {
            q[[i, k]] = a[[i, k]] / r[[k, k]];
        }
        for j in k + 1..n {
            for i in 0..m {
                r[[k, j]] += q[[i, k]] * a[[i, j]];
            }
            for i in 0..m {
                a[[i, j]] -= q[[i, k]] * r[[k, j]];
            }
        }
    }
    t.put("A", a);
    t.put("R", r);
    t.put("Q", q);
}

pub(super) fn floyd_warshall(n: usize, t: &mut Arrays) {
    let mut path = t.take("path");
    for k in 0..n {
        for i in 0..n {
            for j in 0..n {
                path[[i, j]] = path[[i, j]].min(path[[i, k]] + path[[k, j]]);
            }
        }
    }
    t.put("path", path);
}

pub(super) fn nussinov(n: usize, t: &mut Arrays) {
    let (seq, mut table) = (t.take("seq"), Array::zeros([n, n]));
    for i in (0..n).rev() {
        for j in i + 1..n {
            let pair = if seq[[i]] + seq[[j]] == 3.0 && i < j - 1 { 1.0 } else { 0.0 };
            let mut best = table[[i, j]].max(table[[i, j - 1]]).max(table[[i + 1, j]]);
            best = best.max(table[[i + 1, j - 1]] + pair);
            for k in i + 1..j {
                best = best.max(table[[i, k]] + table[[k + 1, j]]);
            }
            table[[i, j]] = best;
        }
    }
    t.put("table", table);
}

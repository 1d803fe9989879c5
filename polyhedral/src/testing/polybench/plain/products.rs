//! Products of matrices and vectors, and the statistics that are such.

use super::{Array, Arrays};

fn product(a: &Array, b: &Array, [m, n, terms]: [usize; 3]) -> Array {
    let mut c = Array::zeros([m, n]);
    for i in 0..m {
        for j in 0..n {
            for k in 0..terms {
                c[[i, j]] += a[[i, k]] * b[[k, j]];
            }
        }
    }
    c
}

pub(super) fn two_mm([m, n, kk, l]: [usize; 4], t: &mut Arrays) {
    let (a, b, c, mut d) = (t.take("A"), t.take("B"), t.take("C"), t.take("D"));
    let mut tmp = Array::zeros([m, n]);
    for i in 0..m {
        for j in 0..n {
            for k in 0..kk {
                tmp[[i, j]] += 1.5 * a[[i, k]] * b[[k, j]];
            }
        }
    }
    for i in 0..m {
        for j in 0..l {
            d[[i, j]] *= 1.25;
            for k in 0..n {
                d[[i, j]] += tmp[[i, k]] * c[[k, j]];
            }
        }
    }
    t.put("D", d);
}

pub(super) fn three_mm([m, n, k, l, q]: [usize; 5], t: &mut Arrays) {
    let [a, b, c, d] = ["A", "B", "C", "D"].map(|name| t.take(name));
    let (e, f) = (product(&a, &b, [m, n, k]), product(&c, &d, [n, l, q]));
    t.put("G", product(&e, &f, [m, l, n]));
}

pub(super) fn gemm([m, n, kk]: [usize; 3], t: &mut Arrays) {
    let (a, b, mut c) = (t.take("A"), t.take("B"), t.take("C"));
    for i in 0..m {
        for j in 0..n {
            c[[i, j]] *= 1.25;
        }
        for k in 0..kk {
            for j in 0..n {
                c[[i, j]] += 1.5 * a[[i, k]] * b[[k, j]];
            }
        }
    }
    t.put("C", c);
}

pub(super) fn syrk([n, m]: [usize; 2], t: &mut Arrays) {
    let (a, mut c) = (t.take("A"), t.take("C"));
    for i in 0..n {
        for j in 0..=i {
            c[[i, j]] *= 1.25;
        }
        for k in 0..m {
            for j in 0..=i {
                c[[i, j]] += 1.5 * a[[i, k]] * a[[j, k]];
            }
        }
    }
    t.put("C", c);
}

pub(super) fn syr2k([n, m]: [usize; 2], t: &mut Arrays) {
    let (a, b, mut c) = (t.take("A"), t.take("B"), t.take("C"));
    for i in 0..n {
        for j in 0..=i {
            c[[i, j]] *= 1.25;
        }
        for k in 0..m {
            for j in 0..=i {
                c[[i, j]] += a[[j, k]] * 1.5 * b[[i, k]] + b[[j, k]] * 1.5 * a[[i, k]];
            }
        }
    }
    t.put("C", c);
}

pub(super) fn trmm([m, n]: [usize; 2], t: &mut Arrays) {
    let (a, mut b) = (t.take("A"), t.take("B"));
    for i in 0..m {
        for j in 0..n {
            for k in i + 1..m {
                b[[i, j]] += a[[k, i]] * b[[k, j]];
            }
            b[[i, j]] *= 1.5;
        }
    }
    t.put("B", b);
}

pub(super) fn symm([m, n]: [usize; 2], t: &mut Arrays) {
    let (a, b, mut c) = (t.take("A"), t.take("B"), t.take("C"));
    for i in 0..m {
        for j in 0..n {
            let mut sum = 0.0;
            for k in 0..i {
                c[[k, j]] += 1.5 * b[[i, j]] * a[[i, k]];
                sum += b[[k, j]] * a[[i, k]];
            }
            c[[i, j]] = 1.25 * c[[i, j]] + 1.5 * b[[i, j]] * a[[i, i]] + 1.5 * sum;
        }
    }
    t.put("C", c);
}

pub(super) fn atax([m, n]: [usize; 2], t: &mut Arrays) {
    let (a, x) = (t.take("A"), t.take("x"));
    let mut y = Array::zeros([n]);
    for i in 0..m {
        let mut tmp = 0.0;
        for j in 0..n {
            tmp += a[[i, j]] * x[[j]];
        }
        for j in 0..n {
            y[[j]] += a[[i, j]] * tmp;
        }
    }
    t.put("y", y);
}

pub(super) fn bicg([n, m]: [usize; 2], t: &mut Arrays) {
    let (a, p, r) = (t.take("A"), t.take("p"), t.take("r"));
    let (mut s, mut q) = (Array::zeros([m]), Array::zeros([n]));
    for i in 0..n {
        for j in 0..m {
            s[[j]] += r[[i]] * a[[i, j]];
            q[[i]] += a[[i, j]] * p[[j]];
        }
    }
    t.put("s", s);
    t.put("q", q);
}

pub(super) fn mvt(n: usize, t: &mut Arrays) {
    let (a, y1, y2) = (t.take("A"), t.take("y1"), t.take("y2"));
    let (mut x1, mut x2) = (t.take("x1"), t.take("x2"));
    for i in 0..n {
        for j in 0..n {
            x1[[i]] += a[[i, j]] * y1[[j]];
            x2[[i]] += a[[j, i]] * y2[[j]];
        }
    }
    t.put("x1", x1);
    t.put("x2", x2);
}

pub(super) fn gemver(n: usize, t: &mut Arrays) {
    let [u1, v1, u2, v2, y, z] = ["u1", "v1", "u2", "v2", "y", "z"].map(|name| t.take(name));
    let (mut a, mut x, mut w) = (t.take("A"), t.take("x"), Array::zeros([n]));
    for i in 0..n {
        for j in 0..n {
            a[[i, j]] = a[[i, j]] + u1[[i]] * v1[[j]] + u2[[i]] * v2[[j]];
        }
    }
    for i in 0..n {
        for j in 0..n {
            x[[i]] += 1.25 * a[[j, i]] * y[[j]];
        }
    }
    for i in 0..n {
        x[[i]] += z[[i]];
    }
    for i in 0..n {
        for j in 0..n {
            w[[i]] += 1.5 * a[[i, j]] * x[[j]];
        }
    }
    t.put("A", a);
    t.put("x", x);
    t.put("w", w);
}

pub(super) fn gesummv(n: usize, t: &mut Arrays) {
    let (a, b, x) = (t.take("A"), t.take("B"), t.take("x"));
    let mut y = Array::zeros([n]);
    for i in 0..n {
        let mut tmp = 0.0;
        for j in 0..n {
            tmp += a[[i, j]] * x[[j]];
            y[[i]] += b[[i, j]] * x[[j]];
        }
        y[[i]] = 1.5 * tmp + 1.25 * y[[i]];
    }
    t.put("y", y);
}

pub(super) fn doitgen([nr, nq, np]: [usize; 3], t: &mut Arrays) {
    let (c4, mut a) = (t.take("C4"), t.take("A"));
    for r in 0..nr {
        for q in 0..nq {
            let mut sum = Array::zeros([np]);
            for p in 0..np {
                for s in 0..np {
                    sum[[p]] += a[[r, q, s]] * c4[[s, p]];
                }
            }
            for p in 0..np {
                a[[r, q, p]] = sum[[p]];
            }
        }
    }
    t.put("A", a);
}

fn means(data: &Array, [n, m]: [usize; 2]) -> Array {
    let mut mean = Array::zeros([m]);
    for j in 0..m {
        for i in 0..n {
            mean[[j]] += data[[i, j]];
        }
        mean[[j]] /= n as f64;
    }
    mean
}

pub(super) fn covariance([n, m]: [usize; 2], t: &mut Arrays) {
    let mut data = t.take("data");
    let (mean, mut cov) = (means(&data, [n, m]), Array::zeros([m, m]));
    for i in 0..n {
        for j in 0..m {
            data[[i, j]] -= mean[[j]];
        }
    }
    for i in 0..m {
        for j in i..m {
            for k in 0..n {
                cov[[i, j]] += data[[k, i]] * data[[k, j]];
            }
            cov[[i, j]] /= n as f64 - 1.0;
            cov[[j, i]] = cov[[i, j]];
        }
    }
    t.put("data", data);
    t.put("cov", cov);
}

pub(super) fn correlation([n, m]: [usize; 2], t: &mut Arrays) {
    let mut data = t.take("data");
    let (mean, mut stddev, mut corr) = (means(&data, [n, m]), Array::zeros([m]), Array::zeros([m, m]));
    for j in 0..m {
        for i in 0..n {
            stddev[[j]] += (data[[i, j]] - mean[[j]]) * (data[[i, j]] - mean[[j]]);
        }
        stddev[[j]] = (stddev[[j]] / n as f64).sqrt();
        if stddev[[j]] <= 0.1 {
            stddev[[j]] = 1.0;
        }
    }
    for i in 0..n {
        for j in 0..m {
            data[[i, j]] -= mean[[j]];
            data[[i, j]] /= (n as f64).sqrt() * stddev[[j]];
        }
    }
    for i in 0..m {
        corr[[i, i]] = 1.0;
        for j in i + 1..m {
            for k in 0..n {
                corr[[i, j]] += data[[k, i]] * data[[k, j]];
            }
            corr[[j, i]] = corr[[i, j]];
        }
    }
    t.put("data", data);
    t.put("corr", corr);
}

//! Stencils in time, and sweeps along lines.

use super::{Array, Arrays};

pub(super) fn jacobi_1d([steps, n]: [usize; 2], t: &mut Arrays) {
    let (mut a, mut b) = (t.take("A"), t.take("B"));
    for _ in 0..steps {
        for i in 1..n - 1 {
            b[[i]] = 0.33333 * (a[[i - 1]] + a[[i]] + a[[i + 1]]);
        }
        for i in 1..n - 1 {
            a[[i]] = 0.33333 * (b[[i - 1]] + b[[i]] + b[[i + 1]]);
        }
    }
    t.put("A", a);
    t.put("B", b);
}

pub(super) fn jacobi_2d([steps, n]: [usize; 2], t: &mut Arrays) {
    fn sweep(to: &mut Array, from: &Array, n: usize) {
        for i in 1..n - 1 {
            for j in 1..n - 1 {
                let across = from[[i, j]] + from[[i, j - 1]] + from[[i, j + 1]];
                to[[i, j]] = 0.2 * (across + from[[i + 1, j]] + from[[i - 1, j]]);
            }
        }
    }
    let (mut a, mut b) = (t.take("A"), t.take("B"));
    for _ in 0..steps {
        sweep(&mut b, &a, n);
        sweep(&mut a, &b, n);
    }
    t.put("A", a);
    t.put("B", b);
}

pub(super) fn seidel_2d([steps, n]: [usize; 2], t: &mut Arrays) {
    let mut a = t.take("A");
    for _ in 0..steps {
        for i in 1..n - 1 {
            for j in 1..n - 1 {
                let row = |i: usize| a[[i, j - 1]] + a[[i, j]] + a[[i, j + 1]];
                a[[i, j]] = (row(i - 1) + row(i) + row(i + 1)) / 9.0;
            }
        }
    }
    t.put("A", a);
}

pub(super) fn heat_3d([steps, n]: [usize; 2], t: &mut Arrays) {
    fn sweep(to: &mut Array, from: &Array, n: usize) {
        for i in 1..n - 1 {
            for j in 1..n - 1 {
                for k in 1..n - 1 {
                    let here = from[[i, j, k]];
                    let second = |after: f64, before: f64| 0.125 * (after - 2.0 * here + before);
                    let x = second(from[[i + 1, j, k]], from[[i - 1, j, k]]);
                    let y = second(from[[i, j + 1, k]], from[[i, j - 1, k]]);
                    let z = second(from[[i, j, k + 1]], from[[i, j, k - 1]]);
                    to[[i, j, k]] = x + y + z + here;
                }
            }
        }
    }
    let (mut a, mut b) = (t.take("A"), t.take("B"));
    for _ in 0..steps {
        sweep(&mut b, &a, n);
        sweep(&mut a, &b, n);
    }
    t.put("A", a);
    t.put("B", b);
}

pub(super) fn fdtd_2d([steps, nx, ny]: [usize; 3], t: &mut Arrays) {
    let fict = t.take("fict");
    let [mut ex, mut ey, mut hz] = ["ex", "ey", "hz"].map(|name| t.take(name));
    for step in 0..steps {
        for j in 0..ny {
            ey[[0, j]] = fict[[step]];
        }
        for i in 1..nx {
            for j in 0..ny {
                ey[[i, j]] -= 0.5 * (hz[[i, j]] - hz[[i - 1, j]]);
            }
        }
        for i in 0..nx {
            for j in 1..ny {
                ex[[i, j]] -= 0.5 * (hz[[i, j]] - hz[[i, j - 1]]);
            }
        }
        for i in 0..nx - 1 {
            for j in 0..ny - 1 {
                hz[[i, j]] -= 0.7 * (ex[[i, j + 1]] - ex[[i, j]] + ey[[i + 1, j]] - ey[[i, j]]);
            }
        }
    }
    t.put("ex", ex);
    t.put("ey", ey);
    t.put("hz", hz);
}

pub(super) fn adi([steps, n]: [usize; 2], t: &mut Arrays) {
    let (a, b, c, d, f) = (-0.5, 2.0, -0.5, -0.25, -0.25);
    let mut u = t.take("u");
    let [mut v, mut p, mut q] = [(); 3].map(|()| Array::zeros([n, n]));
    for _ in 0..steps {
        for i in 1..n - 1 {
            v[[0, i]] = 1.0;
            p[[i, 0]] = 0.0;
            q[[i, 0]] = v[[0, i]];
            for j in 1..n - 1 {
                p[[i, j]] = -c / (a * p[[i, j - 1]] + b);
                let right = -d * u[[j, i - 1]] + (1.0 + 2.0 * d) * u[[j, i]] - f * u[[j, i + 1]];
                q[[i, j]] = (right - a * q[[i, j - 1]]) / (a * p[[i, j - 1]] + b);
            }
            v[[n - 1, i]] = 1.0;
            for j in (1..n - 1).rev() {
                v[[j, i]] = p[[i, j]] * v[[j + 1, i]] + q[[i, j]];
            }
        }
        for i in 1..n - 1 {
            u[[i, 0]] = 1.0;
            p[[i, 0]] = 0.0;
            q[[i, 0]] = u[[i, 0]];
            for j in 1..n - 1 {
                p[[i, j]] = -c / (a * p[[i, j - 1]] + b);
                let right = -d * v[[i - 1, j]] + (1.0 + 2.0 * d) * v[[i, j]] - f * v[[i + 1, j]];
                q[[i, j]] = (right - a * q[[i, j - 1]]) / (a * p[[i, j - 1]] + b);
            }
            u[[i, n - 1]] = 1.0;
            for j in (1..n - 1).rev() {
                u[[i, j]] = p[[i, j]] * u[[i, j + 1]] + q[[i, j]];
            }
        }
    }
    t.put("u", u);
}

pub(super) fn deriche([w, h]: [usize; 2], t: &mut Arrays) {
    let (a1, a2, a3, a4, b1, b2) = (0.25, -0.1875, 0.125, -0.0625, 0.75, -0.5);
    let forward = |line: &[f64]| -> Vec<f64> {
        let (mut xm1, mut ym1, mut ym2) = (0.0, 0.0, 0.0);
        let mut out = Vec::new();
        for &x in line {
            let y = a1 * x + a2 * xm1 + b1 * ym1 + b2 * ym2;
            (xm1, ym2, ym1) = (x, ym1, y);
            out.push(y);
        }
        out
    };
    let backward = |line: &[f64]| -> Vec<f64> {
        let (mut xp1, mut xp2, mut yp1, mut yp2) = (0.0, 0.0, 0.0, 0.0);
        let mut out = vec![0.0; line.len()];
        for (&x, y) in line.iter().zip(&mut out).rev() {
            *y = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
            (xp2, xp1, yp2, yp1) = (xp1, x, yp1, *y);
        }
        out
    };
    let both =
        |line: Vec<f64>| -> Vec<f64> { forward(&line).iter().zip(backward(&line)).map(|(y1, y2)| y1 + y2).collect() };
    let (image, mut out) = (t.take("image"), Array::zeros([w, h]));
    for i in 0..w {
        let line = both((0..h).map(|j| image[[i, j]]).collect());
        line.iter().enumerate().for_each(|(j, &y)| out[[i, j]] = y);
    }
    for j in 0..h {
        let line = both((0..w).map(|i| out[[i, j]]).collect());
        line.iter().enumerate().for_each(|(i, &y)| out[[i, j]] = y);
    }
    t.put("out", out);
}

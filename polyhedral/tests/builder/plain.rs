//! The kernels once more, as loops in Rust: what [`polyhedral::testing::POLYBENCH`] must compute.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use polyhedral::eval::{Data, Tensors};

/// A dense tensor.
#[derive(Clone, Debug)]
pub struct Array {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Tensors by name; what is not there yet is 0 where it is made.
pub struct Arrays(BTreeMap<String, Array>);

impl Array {
    fn zeros<const R: usize>(shape: [usize; R]) -> Array {
        Array { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] }
    }

    fn of(data: &Data) -> Array {
        Array { shape: data.shape.iter().map(|&n| n as usize).collect(), values: data.to_f64s() }
    }

    fn at<const R: usize>(&self, index: [usize; R]) -> usize {
        assert_eq!(R, self.shape.len());
        index.iter().zip(&self.shape).fold(0, |at, (&i, &n)| {
            assert!(i < n, "{index:?} in {:?}", self.shape);
            at * n + i
        })
    }

    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

impl<const R: usize> Index<[usize; R]> for Array {
    type Output = f64;
    fn index(&self, index: [usize; R]) -> &f64 {
        &self.values[self.at(index)]
    }
}

impl<const R: usize> IndexMut<[usize; R]> for Array {
    fn index_mut(&mut self, index: [usize; R]) -> &mut f64 {
        let at = self.at(index);
        &mut self.values[at]
    }
}

impl Arrays {
    pub fn of(tensors: &Tensors) -> Arrays {
        Arrays(tensors.iter().map(|(name, data)| (name.clone(), Array::of(data))).collect())
    }

    pub fn get(&self, name: &str) -> &Array {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// What the kernel was given.
    fn take(&mut self, name: &str) -> Array {
        self.0.remove(name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn put(&mut self, name: &str, array: Array) {
        self.0.insert(name.into(), array);
    }
}

/// Runs the plain version of a kernel: results take the place of what was given.
pub fn run(name: &str, sizes: &[i64], t: &mut Arrays) {
    let s: Vec<usize> = sizes.iter().map(|&n| n as usize).collect();
    match name {
        "gemm" => gemm([s[0], s[1], s[2]], t),
        "syrk" => syrk([s[0], s[1]], t),
        "syr2k" => syr2k([s[0], s[1]], t),
        "trmm" => trmm([s[0], s[1]], t),
        "symm" => symm([s[0], s[1]], t),
        "atax" => atax([s[0], s[1]], t),
        "bicg" => bicg([s[0], s[1]], t),
        "mvt" => mvt(s[0], t),
        "gemver" => gemver(s[0], t),
        "gesummv" => gesummv(s[0], t),
        "doitgen" => doitgen([s[0], s[1], s[2]], t),
        "cholesky" => cholesky(s[0], t),
        "lu" => lu(s[0], t),
        "ludcmp" => ludcmp(s[0], t),
        "trisolv" => trisolv(s[0], t),
        "durbin" => durbin(s[0], t),
        "gramschmidt" => gramschmidt([s[0], s[1]], t),
        "covariance" => covariance([s[0], s[1]], t),
        "correlation" => correlation([s[0], s[1]], t),
        "floyd_warshall" => floyd_warshall(s[0], t),
        "nussinov" => nussinov(s[0], t),
        "jacobi_1d" => jacobi_1d([s[0], s[1]], t),
        "jacobi_2d" => jacobi_2d([s[0], s[1]], t),
        "seidel_2d" => seidel_2d([s[0], s[1]], t),
        "heat_3d" => heat_3d([s[0], s[1]], t),
        "fdtd_2d" => fdtd_2d([s[0], s[1], s[2]], t),
        "adi" => adi([s[0], s[1]], t),
        "deriche" => deriche([s[0], s[1]], t),
        other => panic!("no plain version of {other}"),
    }
}

fn gemm([m, n, kk]: [usize; 3], t: &mut Arrays) {
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

fn syrk([n, m]: [usize; 2], t: &mut Arrays) {
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

fn syr2k([n, m]: [usize; 2], t: &mut Arrays) {
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

fn trmm([m, n]: [usize; 2], t: &mut Arrays) {
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

fn symm([m, n]: [usize; 2], t: &mut Arrays) {
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

fn atax([m, n]: [usize; 2], t: &mut Arrays) {
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

fn bicg([n, m]: [usize; 2], t: &mut Arrays) {
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

fn mvt(n: usize, t: &mut Arrays) {
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

fn gemver(n: usize, t: &mut Arrays) {
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

fn gesummv(n: usize, t: &mut Arrays) {
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

fn doitgen([nr, nq, np]: [usize; 3], t: &mut Arrays) {
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

fn cholesky(n: usize, t: &mut Arrays) {
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

fn lu(n: usize, t: &mut Arrays) {
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

fn ludcmp(n: usize, t: &mut Arrays) {
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

fn trisolv(n: usize, t: &mut Arrays) {
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

fn durbin(n: usize, t: &mut Arrays) {
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

fn gramschmidt([m, n]: [usize; 2], t: &mut Arrays) {
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

fn covariance([n, m]: [usize; 2], t: &mut Arrays) {
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

fn correlation([n, m]: [usize; 2], t: &mut Arrays) {
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

fn floyd_warshall(n: usize, t: &mut Arrays) {
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

fn nussinov(n: usize, t: &mut Arrays) {
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

fn jacobi_1d([steps, n]: [usize; 2], t: &mut Arrays) {
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

fn jacobi_2d([steps, n]: [usize; 2], t: &mut Arrays) {
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

fn seidel_2d([steps, n]: [usize; 2], t: &mut Arrays) {
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

fn heat_3d([steps, n]: [usize; 2], t: &mut Arrays) {
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

fn fdtd_2d([steps, nx, ny]: [usize; 3], t: &mut Arrays) {
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

fn adi([steps, n]: [usize; 2], t: &mut Arrays) {
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

fn deriche([w, h]: [usize; 2], t: &mut Arrays) {
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

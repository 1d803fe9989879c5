use super::Suite;
use super::array::{Array, sum};

#[test]
fn linalg() {
    let mut suite = Suite::of("std/linalg");
    let [m, n, k, b] = [13, 37, 29, 3];
    let (a, bt) = (Array::random(1, [m, k]), Array::random(2, [n, k]));
    let kn = Array::of([k, n], |[l, j]| bt.at([j, l]));
    let km = Array::of([k, m], |[l, i]| a.at([i, l]));
    let (x, y) = (Array::random(3, [k]), Array::random(4, [k]));
    let scalar = |value: f64| Array::of([], |[]| value);
    suite.check("dot", [&x, &y], [scalar(sum([k], |[i]| x.at([i]) * y.at([i])))]);
    suite.check("axpy", [&scalar(0.75), &x, &y], [Array::of([k], |[i]| 0.75 * x.at([i]) + y.at([i]))]);
    suite.check("norm2", [&x], [scalar(sum([k], |[i]| x.at([i]) * x.at([i])).sqrt())]);
    let z = Array::random(5, [n]);
    suite.check("outer", [&x, &z], [Array::of([k, n], |[i, j]| x.at([i]) * z.at([j]))]);
    suite.check("matvec", [&a, &x], [Array::of([m], |[i]| sum([k], |[l]| a.at([i, l]) * x.at([l])))]);
    suite.check("matvec_t", [&kn, &x], [Array::of([n], |[j]| sum([k], |[l]| kn.at([l, j]) * x.at([l])))]);
    let product = Array::of([m, n], |[i, j]| sum([k], |[l]| a.at([i, l]) * kn.at([l, j])));
    suite.check("matmul", [&a, &kn], [product.clone()]);
    suite.check("matmul_nt", [&a, &bt], [product.clone()]);
    suite.check("matmul_tn", [&km, &kn], [product.clone()]);
    let c = Array::random(6, [m, n]);
    let scaled = Array::of([m, n], |at| 0.5 * product.at(at) - 1.25 * c.at(at));
    suite.check("gemm", [&scalar(0.5), &a, &kn, &scalar(-1.25), &c], [scaled]);
    suite.check("gram", [&a], [Array::of([m, m], |[i, j]| sum([k], |[l]| a.at([i, l]) * a.at([j, l])))]);
    let (p, q) = (Array::random(7, [m, k]).map(|x| 127.0 * x), Array::random(8, [k, n]).map(|x| (127.0 * x).trunc()));
    let p = p.map(f64::trunc);
    let whole = Array::of([m, n], |[i, j]| sum([k], |[l]| p.at([i, l]) * q.at([l, j])));
    suite.check("matmul_int8", [&p, &q], [whole]);
    let (u, v) = (Array::random(9, [b, m, k]), Array::random(10, [b, k, n]));
    let vt = Array::of([b, n, k], |[h, j, l]| v.at([h, l, j]));
    let batch = Array::of([b, m, n], |[h, i, j]| sum([k], |[l]| u.at([h, i, l]) * v.at([h, l, j])));
    suite.check("batch_matmul", [&u, &v], [batch.clone()]);
    suite.check("batch_matmul_nt", [&u, &vt], [batch]);
    let (left, right) = (Array::random(11, [b, m]), Array::random(12, [b, n]));
    let form = Array::of([b], |[h]| sum([m, n], |[i, j]| left.at([h, i]) * c.at([i, j]) * right.at([h, j])));
    suite.check("bilinear", [&left, &c, &right], [form]);
    let small = Array::random(13, [3, 5]);
    let kronecker = Array::of([m, 3, n, 5], |[i, r, j, s]| c.at([i, j]) * small.at([r, s]));
    suite.check("kronecker", [&c, &small], [kronecker]);
    let (s, t) = (Array::random(14, [m, 7, 5]), Array::random(15, [7, 5, n]));
    let both = Array::of([m, n], |[i, j]| sum([7, 5], |[r, q]| s.at([i, r, q]) * t.at([r, q, j])));
    suite.check("tensordot2", [&s, &t], [both]);
    suite.check("transpose", [&c], [Array::of([n, m], |[j, i]| c.at([i, j]))]);
    let square = Array::random(16, [k, k]);
    suite.check("trace", [&square], [scalar(sum([k], |[i]| square.at([i, i])))]);
    let below = Array::of([k], |[i]| sum([i + 1], |[j]| square.at([i, j]) * x.at([j])));
    suite.check("trmv", [&square, &x], [below]);
    let apart = Array::of([m, n], |[i, j]| sum([k], |[l]| (a.at([i, l]) - bt.at([j, l])).powi(2)));
    suite.check("pairwise_distance", [&a, &bt], [apart]);
    triangles(&mut suite);
    suite.finish();
}

/// The factors of products of known factors, and the solution of a system whose solution is known.
fn triangles(suite: &mut Suite) {
    let n = 23;
    let random = Array::random(17, [n, n]);
    let lower = Array::of([n, n], |[i, j]| match i.cmp(&j) {
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 2.0 + random.at([i, j]),
        std::cmp::Ordering::Greater => random.at([i, j]) / 8.0,
    });
    let symmetric = Array::of([n, n], |[i, j]| sum([n], |[k]| lower.at([i, k]) * lower.at([j, k])));
    suite.check("cholesky", [&symmetric], [lower.clone()]);
    // The lower factor with a diagonal of ones, the upper one on and above the diagonal.
    let factors = Array::of([n, n], |[i, j]| if i > j { lower.at([i, j]) } else { lower.at([j, i]) });
    let unit = |[i, k]: [usize; 2]| if i == k { 1.0 } else { lower.at([i, k]) };
    let product =
        Array::of([n, n], |[i, j]| sum([n], |[k]| if k <= j { unit([i, k]) * lower.at([j, k]) } else { 0.0 }));
    suite.check("lu", [&product], [factors]);
    let x = Array::random(18, [n]);
    let right = Array::of([n], |[i]| sum([n], |[k]| lower.at([i, k]) * x.at([k])));
    suite.check("solve_lower", [&lower, &right], [x]);
}

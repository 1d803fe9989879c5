use super::Suite;
use super::array::{Array, max, sum};

#[test]
fn loss() {
    let mut suite = Suite::of("std/loss");
    let [n, d] = [9, 35];
    let (x, y) = (Array::random(1, [n, d]), Array::random(2, [n, d]));
    let class = Array::below(d, 3, [n]).map(f64::floor);
    let scalar = |value: f64| Array::of([], |[]| value);
    let mean = |f: &dyn Fn([usize; 2]) -> f64| scalar(sum([n, d], f) / (n * d) as f64);
    let each = |f: &dyn Fn(usize) -> f64| Array::of([n], |[i]| f(i));
    let mean_of = |f: &dyn Fn(usize) -> f64| scalar(sum([n], |[i]| f(i)) / n as f64);
    suite.check("mse", [&x, &y], [mean(&|at| (x.at(at) - y.at(at)).powi(2))]);
    suite.check("mae", [&x, &y], [mean(&|at| (x.at(at) - y.at(at)).abs())]);
    let huber = |at: [usize; 2]| {
        let e = (x.at(at) - y.at(at)).abs();
        if e <= 0.5 { 0.5 * e * e } else { 0.5 * (e - 0.25) }
    };
    suite.check("huber", [&scalar(0.5), &x, &y], [mean(&huber)]);
    let logits = x.clone().map(|x| 30.0 * x);
    let target = |i: usize| class.at([i]) as usize;
    let cross = |i: usize| {
        let largest = max([d], |[j]| logits.at([i, j]));
        sum([d], |[j]| (logits.at([i, j]) - largest).exp()).ln() + largest - logits.at([i, target(i)])
    };
    suite.check("cross_entropy_each", [&logits, &class], [each(&cross)]);
    suite.check("cross_entropy", [&logits, &class], [mean_of(&cross)]);
    suite.check("nll", [&x, &class], [mean_of(&|i| -x.at([i, target(i)]))]);
    let probability = y.clone().map(|y| (y + 1.0) / 2.0);
    let binary = |at: [usize; 2]| {
        let sigmoid = 1.0 / (1.0 + (-x.at(at)).exp());
        -probability.at(at) * sigmoid.ln() - (1.0 - probability.at(at)) * (1.0 - sigmoid).ln()
    };
    suite.check("binary_cross_entropy", [&x, &probability], [mean(&binary)]);
    let (margin, side) = (Array::random(4, [n]), Array::random(5, [n]).map(|x| if x < 0.0 { -1.0 } else { 1.0 }));
    let hinge = |i: usize| (1.0 - margin.at([i]) * side.at([i])).max(0.0);
    suite.check("hinge", [&margin, &side], [mean_of(&hinge)]);
    let (p, q) = (x.clone().map(|x| (x + 1.5) / 4.0), y.clone().map(|y| (y + 1.25) / 4.0));
    let divergence = |i: usize| sum([d], |[j]| p.at([i, j]) * (p.at([i, j]) / q.at([i, j])).ln());
    suite.check("kl_divergence_each", [&p, &q], [each(&divergence)]);
    let inner = |a: &Array, b: &Array, i: usize| sum([d], |[j]| a.at([i, j]) * b.at([i, j]));
    let angle = |i: usize| 1.0 - inner(&x, &y, i) / (inner(&x, &x, i) * inner(&y, &y, i)).sqrt();
    suite.check("cosine_distance_each", [&x, &y], [each(&angle)]);
    let other = Array::random(6, [n, d]);
    let apart = |a: &Array, i: usize| sum([d], |[j]| (x.at([i, j]) - a.at([i, j])).powi(2));
    let triplet = |i: usize| (apart(&y, i) - apart(&other, i) + 0.5).max(0.0);
    suite.check("triplet", [&scalar(0.5), &x, &y, &other], [mean_of(&triplet)]);
    suite.finish();
}

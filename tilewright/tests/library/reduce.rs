use super::Suite;
use super::array::{Array, max, min, sum};

#[test]
fn reduce() {
    let mut suite = Suite::of("std/reduce");
    let [n, d] = [11, 43];
    let x = Array::random(1, [n, d]);
    let scalar = |value: f64| Array::of([], |[]| value);
    let rows = |f: &dyn Fn(usize) -> f64| Array::of([n], |[i]| f(i));
    let columns = |f: &dyn Fn(usize) -> f64| Array::of([d], |[j]| f(j));
    let row_sum = |i: usize| sum([d], |[j]| x.at([i, j]));
    let column_sum = |j: usize| sum([n], |[i]| x.at([i, j]));
    let mean = |i: usize| row_sum(i) / d as f64;
    suite.check("sum_rows", [&x], [rows(&row_sum)]);
    suite.check("sum_columns", [&x], [columns(&column_sum)]);
    suite.check("sum_all", [&x], [scalar(sum([n, d], |at| x.at(at)))]);
    suite.check("mean_rows", [&x], [rows(&mean)]);
    suite.check("mean_columns", [&x], [columns(&|j| column_sum(j) / n as f64)]);
    let variance = rows(&|i| sum([d], |[j]| (x.at([i, j]) - mean(i)).powi(2)) / d as f64);
    suite.check("moments", [&x], [rows(&mean), variance]);
    suite.check("max_rows", [&x], [rows(&|i| max([d], |[j]| x.at([i, j])))]);
    suite.check("min_rows", [&x], [rows(&|i| min([d], |[j]| x.at([i, j])))]);
    suite.check("max_columns", [&x], [columns(&|j| max([n], |[i]| x.at([i, j])))]);
    let near_one = x.clone().map(|x| 1.0 + x / 8.0);
    let product = rows(&|i| (0..d).map(|j| near_one.at([i, j])).product());
    suite.check("product_rows", [&near_one], [product]);
    let large = x.clone().map(|x| 200.0 * x);
    let logsumexp = rows(&|i| {
        let largest = max([d], |[j]| large.at([i, j]));
        sum([d], |[j]| (large.at([i, j]) - largest).exp()).ln() + largest
    });
    suite.check("logsumexp_rows", [&large], [logsumexp]);
    suite.check("norm_rows", [&x], [rows(&|i| sum([d], |[j]| x.at([i, j]).powi(2)).sqrt())]);
    let count = rows(&|i| sum([d], |[j]| f64::from(u8::from(x.at([i, j]) > 0.25))));
    suite.check("count_above", [&scalar(0.25), &x], [count]);
    let cumulative = Array::of([n, d], |[i, j]| sum([i + 1], |[m]| x.at([m, j])));
    suite.check("cumulative_sum", [&x], [cumulative]);
    suite.finish();
}

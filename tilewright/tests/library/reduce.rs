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
    let prefix = Array::of([n, d], |[i, j]| sum([j + 1], |[m]| x.at([i, m])));
    suite.check("prefix_sum_rows", [&x], [prefix]);
    // Few different values, so that the first of several extremes counts.
    let few = x.clone().map(|x| (3.0 * x).floor());
    let first = |i: usize, value: f64| (0..d).position(|j| few.at([i, j]) == value).map_or(f64::NAN, |at| at as f64);
    let largest = rows(&|i| first(i, max([d], |[j]| few.at([i, j]))));
    suite.check("argmax_rows", [&few], [largest]);
    let smallest = rows(&|i| first(i, min([d], |[j]| few.at([i, j]))));
    suite.check("argmin_rows", [&few], [smallest]);
    let truth = Array::of([n, d], |[i, j]| f64::from(u8::from(i == 2 || (i != 4 && x.at([i, j]) > 0.9))));
    suite.check("all_rows", [&truth], [rows(&|i| min([d], |[j]| truth.at([i, j])))]);
    suite.check("any_rows", [&truth], [rows(&|i| max([d], |[j]| truth.at([i, j])))]);
    suite.finish();
}

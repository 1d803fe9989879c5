use super::Suite;
use super::array::{Array, max, sum};

fn scalar(value: f64) -> Array {
    Array::of([], |[]| value)
}

/// Abramowitz and Stegun 7.1.6: a series that converges everywhere.
fn erf(x: f64) -> f64 {
    let (mut term, mut total) = (x, x);
    for n in 0..60 {
        term *= 2.0 * x * x / (2.0 * f64::from(n) + 3.0);
        total += term;
    }
    total * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn nn() {
    let mut suite = Suite::of("std/nn");
    linear(&mut suite);
    activations(&mut suite);
    rows(&mut suite);
    channels(&mut suite);
    attention(&mut suite);
    tables(&mut suite);
    recurrent(&mut suite);
    suite.finish();
}

fn linear(suite: &mut Suite) {
    let [n, d, f] = [6, 21, 35];
    let x = Array::random(1, [n, d]);
    let (u, u0) = (Array::random(2, [f, d]), Array::random(3, [f]));
    let hidden = Array::of([n, f], |[i, o]| sum([d], |[j]| x.at([i, j]) * u.at([o, j])) + u0.at([o]));
    suite.check("linear", [&x, &u, &u0], [hidden.clone()]);
    suite.check("linear_relu", [&x, &u, &u0], [hidden.clone().map(|x| x.max(0.0))]);
    let (v, v0) = (Array::random(4, [d, f]), Array::random(5, [d]));
    let result = Array::of([n, d], |[i, o]| sum([f], |[j]| gelu(hidden.at([i, j])) * v.at([o, j])) + v0.at([o]));
    suite.check("feed_forward", [&x, &u, &u0, &v, &v0], [result]);
}

fn activations(suite: &mut Suite) {
    let x = Array::random(1, [5, 37]).map(|x| 4.0 * x);
    let mut each = |name: &str, f: &dyn Fn(f64) -> f64| suite.check(name, [&x], [x.clone().map(f)]);
    each("relu", &|x| x.max(0.0));
    each("gelu", &gelu);
    each("gelu_tanh", &|x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()));
    each("sigmoid", &sigmoid);
    each("silu", &|x| x * sigmoid(x));
    each("softplus", &|x| (1.0 + x.exp()).ln());
    let bent = |x: f64| if x > 0.0 { x } else { 0.125 * x };
    suite.check("leaky_relu", [&scalar(0.125), &x], [x.clone().map(bent)]);
    let smooth = |x: f64| if x > 0.0 { x } else { 0.5 * (x.exp() - 1.0) };
    suite.check("elu", [&scalar(0.5), &x], [x.clone().map(smooth)]);
    let gate = Array::random(2, [5, 37]).map(|x| 3.0 * x);
    let gated = Array::of([5, 37], |at| x.at(at) * gate.at(at) * sigmoid(gate.at(at)));
    suite.check("swiglu", [&x, &gate], [gated]);
}

/// Mean and variance of `count` values.
fn moments(count: usize, value: impl Fn(usize) -> f64) -> (f64, f64) {
    let mean = sum([count], |[j]| value(j)) / count as f64;
    (mean, sum([count], |[j]| (value(j) - mean).powi(2)) / count as f64)
}

fn rows(suite: &mut Suite) {
    let [n, d] = [7, 45];
    let x = Array::random(1, [n, d]);
    let far = x.clone().map(|x| 90.0 * x);
    let log_sum = |i: usize| {
        let largest = max([d], |[j]| far.at([i, j]));
        sum([d], |[j]| (far.at([i, j]) - largest).exp()).ln() + largest
    };
    let logarithm = Array::of([n, d], |[i, j]| far.at([i, j]) - log_sum(i));
    suite.check("softmax", [&far], [logarithm.clone().map(f64::exp)]);
    suite.check("log_softmax", [&far], [logarithm]);
    let (gamma, beta) = (Array::random(2, [d]), Array::random(3, [d]));
    let layer_norm = |x: &Array| {
        Array::of([n, d], |[i, j]| {
            let (mean, variance) = moments(d, |j| x.at([i, j]));
            (x.at([i, j]) - mean) / (variance + 1e-5).sqrt() * gamma.at([j]) + beta.at([j])
        })
    };
    suite.check("layer_norm", [&x, &gamma, &beta], [layer_norm(&x)]);
    let y = Array::random(4, [n, d]);
    let both = Array::of([n, d], |at| x.at(at) + y.at(at));
    suite.check("add_layer_norm", [&x, &y, &gamma, &beta], [layer_norm(&both)]);
    let square = |i: usize| sum([d], |[j]| x.at([i, j]).powi(2));
    let rms = Array::of([n, d], |[i, j]| x.at([i, j]) / (square(i) / d as f64 + 1e-6).sqrt() * gamma.at([j]));
    suite.check("rms_norm", [&x, &gamma], [rms]);
    suite.check("normalize_rows", [&x], [Array::of([n, d], |[i, j]| x.at([i, j]) / square(i).sqrt())]);
    let drawn = Array::random(5, [n, d]).map(|x| f64::from(u8::from(x > 0.0)));
    let kept = Array::of([n, d], |at| x.at(at) * drawn.at(at) / 0.75);
    suite.check("dropout", [&scalar(0.75), &x, &drawn], [kept]);
}

fn channels(suite: &mut Suite) {
    let [n, g, c, h, w] = [3, 2, 4, 5, 9];
    let shape = [n, c, h, w];
    let x = Array::random(1, shape);
    let (gamma, beta) = (Array::random(2, [c]), Array::random(3, [c]));
    let (mean, var) = (Array::random(4, [c]), Array::random(5, [c]).map(|x| x + 1.25));
    let normal = |x: f64, (mean, variance): (f64, f64), i: usize| {
        gamma.at([i]) * (x - mean) / (variance + 1e-5).sqrt() + beta.at([i])
    };
    let given = Array::of(shape, |at| normal(x.at(at), (mean.at([at[1]]), var.at([at[1]])), at[1]));
    suite.check("batch_norm", [&x, &mean, &var, &gamma, &beta], [given]);
    let batch = |i: usize| moments(n * h * w, |at| x.at([at / (h * w), i, at / w % h, at % w]));
    let trained = Array::of(shape, |at| normal(x.at(at), batch(at[1]), at[1]));
    let all = [trained, Array::of([c], |[i]| batch(i).0), Array::of([c], |[i]| batch(i).1)];
    suite.check("batch_norm_train", [&x, &gamma, &beta], all);
    let instance = |b: usize, i: usize| moments(h * w, |at| x.at([b, i, at / w, at % w]));
    let own = Array::of(shape, |at| normal(x.at(at), instance(at[0], at[1]), at[1]));
    suite.check("instance_norm", [&x, &gamma, &beta], [own]);
    let grouped = Array::random(6, [n, g, c, h, w]);
    let (gamma, beta) = (Array::random(7, [g, c]), Array::random(8, [g, c]));
    let result = Array::of([n, g, c, h, w], |[b, k, i, y, z]| {
        let (mean, variance) = moments(c * h * w, |at| grouped.at([b, k, at / (h * w), at / w % h, at % w]));
        gamma.at([k, i]) * (grouped.at([b, k, i, y, z]) - mean) / (variance + 1e-5).sqrt() + beta.at([k, i])
    });
    suite.check("group_norm", [&grouped, &gamma, &beta], [result]);
}

fn attention(suite: &mut Suite) {
    let [b, s, t, d, e] = [2, 7, 19, 13, 21];
    let query = Array::random(1, [b, s, d]);
    let (key, value) = (Array::random(2, [b, t, d]), Array::random(3, [b, t, e]));
    // The mean of the values that `seen` lets through, weighted by the exponential of the scores.
    let mix = |query: &Array, key: &Array, value: &Array, seen: &dyn Fn(usize, usize, usize) -> bool| {
        let (queries, keys) = (query.shape[1], key.shape[1]);
        Array::of([b, queries, e], |[h, i, f]| {
            let weight = |j: usize| {
                let score = sum([d], |[l]| query.at([h, i, l]) * key.at([h, j, l]));
                if seen(h, i, j) { (0.5 * score).exp() } else { 0.0 }
            };
            sum([keys], |[j]| weight(j) * value.at([h, j, f])) / sum([keys], |[j]| weight(j))
        })
    };
    let scale = scalar(0.5);
    suite.check("attention", [&scale, &query, &key, &value], [mix(&query, &key, &value, &|_, _, _| true)]);
    let keep = Array::random(4, [b, t]).map(|x| f64::from(u8::from(x > -0.25)));
    let masked = mix(&query, &key, &value, &|h, _, j| keep.at([h, j]) == 1.0);
    suite.check("masked_attention", [&scale, &query, &key, &value, &keep], [masked]);
    let long = Array::random(5, [b, t, d]);
    let causal = mix(&long, &key, &value, &|_, i, j| j <= i);
    suite.check("causal_attention", [&scale, &long, &key, &value], [causal]);
}

fn tables(suite: &mut Suite) {
    let [rows, d, b, l] = [23, 35, 5, 6];
    let table = Array::random(1, [rows, d]);
    let index = Array::below(rows, 2, [b, l]).map(f64::floor);
    let row = |i: usize, j: usize, k: usize| table.at([index.at([i, j]) as usize, k]);
    suite.check("embedding", [&table, &index], [Array::of([b, l, d], |[i, j, k]| row(i, j, k))]);
    suite.check("embedding_sum", [&table, &index], [Array::of([b, d], |[i, k]| sum([l], |[j]| row(i, j, k)))]);
    let gradient = Array::random(3, [b, l, d]);
    let scattered = Array::of([rows, d], |[r, k]| {
        sum([b, l], |[i, j]| if index.at([i, j]) as usize == r { gradient.at([i, j, k]) } else { 0.0 })
    });
    suite.check("embedding_gradient", [&table, &index, &gradient], [scattered]);
}

fn recurrent(suite: &mut Suite) {
    let [t, n, d, h] = [5, 3, 7, 11];
    let x = Array::random(1, [t, n, d]);
    let (w, u, bias) = (Array::random(2, [h, d]), Array::random(3, [h, h]), Array::random(4, [h]));
    let mut state = Array::of([t, n, h], |_| 0.0);
    for s in 0..t {
        let next = Array::of([n, h], |[i, o]| {
            let old = if s == 0 { 0.0 } else { sum([h], |[k]| state.at([s - 1, i, k]) * u.at([o, k])) };
            (sum([d], |[j]| x.at([s, i, j]) * w.at([o, j])) + old + bias.at([o])).tanh()
        });
        state.data[s * n * h..(s + 1) * n * h].copy_from_slice(&next.data);
    }
    suite.check("rnn", [&x, &w, &u, &bias], [state]);

    let (w, u) = (Array::random(5, [4, h, d]), Array::random(6, [4, h, h]));
    let bias = Array::random(7, [4, h]);
    let [mut state, mut cell] = [(); 2].map(|()| Array::of([t, n, h], |_| 0.0));
    for s in 0..t {
        let gate = |g: usize, i: usize, o: usize| {
            let old = if s == 0 { 0.0 } else { sum([h], |[k]| state.at([s - 1, i, k]) * u.at([g, o, k])) };
            sum([d], |[j]| x.at([s, i, j]) * w.at([g, o, j])) + old + bias.at([g, o])
        };
        let kept = |i: usize, o: usize| if s == 0 { 0.0 } else { cell.at([s - 1, i, o]) };
        let next = Array::of([n, h], |[i, o]| {
            sigmoid(gate(1, i, o)) * kept(i, o) + sigmoid(gate(0, i, o)) * gate(2, i, o).tanh()
        });
        let out = Array::of([n, h], |[i, o]| sigmoid(gate(3, i, o)) * next.at([i, o]).tanh());
        cell.data[s * n * h..(s + 1) * n * h].copy_from_slice(&next.data);
        state.data[s * n * h..(s + 1) * n * h].copy_from_slice(&out.data);
    }
    suite.check("lstm", [&x, &w, &u, &bias], [state, cell]);
}

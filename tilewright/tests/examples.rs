//! The programs of `examples/` that other systems cannot say: as they are scheduled there, by the automatic schedule and as
//! written, they compute what plain loops do.

#[path = "../../examples/edge_in_place.rs"]
mod edge_in_place;
#[path = "../../examples/lstm.rs"]
mod lstm;

use tilewright::{Compiler, Script, Tensor};

/// As written, by the automatic schedule on one and two threads, and by a script.
fn compilers(script: &str) -> [Compiler; 4] {
    let host = |threads| Compiler::host().threads(threads);
    let script: Script = script.parse().expect("a script");
    [host(1).script(Script::new()), host(1), host(2), host(2).script(script)]
}

fn values(shape: &[i64], seed: i64) -> Vec<f32> {
    let count: i64 = shape.iter().product();
    (0..count).map(|at| ((at * 7919 + seed * 31) % 1999) as f32 / 1000.0 - 1.0).collect()
}

fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let most = 1e-4 * expected.abs().max(1.0);
        assert!((f64::from(*found) - expected).abs() <= most, "{what}: {found} in place of {expected} at {at}");
    }
}

/// Layer by layer, step by step, in double precision.
fn plain_lstm([steps, layers, units]: [usize; 3], given: [&[f32]; 4]) -> Vec<f64> {
    let [x, w, u, bias] = given.map(|values| values.iter().copied().map(f64::from).collect::<Vec<f64>>());
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let mut below: Vec<Vec<f64>> = x.chunks(units).map(<[f64]>::to_vec).collect();
    assert_eq!(below.len(), steps);
    for layer in 0..layers {
        let (mut state, mut cell) = (vec![0.0; units], vec![0.0; units]);
        for row in &mut below {
            let gate = |gate: usize, unit: usize| {
                let at = |k: usize| ((layer * 4 + gate) * units + k) * units + unit;
                let sum: f64 = (0..units).map(|k| w[at(k)] * row[k] + u[at(k)] * state[k]).sum();
                bias[(layer * 4 + gate) * units + unit] + sum
            };
            let gates: Vec<[f64; 4]> = (0..units).map(|unit| [0, 1, 2, 3].map(|at| gate(at, unit))).collect();
            for (unit, [input, forget, new, output]) in gates.into_iter().enumerate() {
                cell[unit] = sigmoid(forget) * cell[unit] + sigmoid(input) * new.tanh();
                state[unit] = sigmoid(output) * cell[unit].tanh();
            }
            row.clone_from(&state);
        }
    }
    below.concat()
}

#[test]
fn an_lstm_runs_as_a_wavefront() {
    let program = lstm::program().expect("a program");
    for sizes in [[5, 3, 20], [1, 4, 16], [7, 1, 3]] {
        let [steps, layers, units] = sizes.map(|size| size as i64);
        let shapes =
            [vec![steps, units], vec![layers, 4, units, units], vec![layers, 4, units, units], vec![layers, 4, units]];
        let given: Vec<Vec<f32>> = shapes.iter().zip(1..).map(|(shape, seed)| values(shape, seed)).collect();
        let expected = plain_lstm(sizes, [&given[0], &given[1], &given[2], &given[3]]);
        let tensors: Vec<Tensor> = given
            .iter()
            .zip(&shapes)
            .map(|(given, shape)| Tensor::from_slice(given, shape).expect("a shape"))
            .collect();
        for (at, compiler) in compilers(lstm::WAVEFRONT).iter().enumerate() {
            let kernel = compiler.compile_program(&program);
            let arguments: Vec<_> = tensors.iter().map(|tensor| tensor as _).collect();
            let found = kernel.call(&arguments).expect("it runs");
            assert_close(found.as_slice::<f32>().expect("floats"), &expected, &format!("{sizes:?}, compiler {at}"));
        }
    }
}

/// Without the skew no two layers may run at once: one reads what the other writes.
#[test]
fn layers_alone_depend_on_each_other() {
    let script: Script = "parallel gates.init.layer".parse().expect("a script");
    let kernel = Compiler::host().script(script).compile_program(&lstm::program().expect("a program"));
    let error = kernel.prepare_sizes(&[4, 3, 16]).err().expect("it is refused").to_string();
    assert!(error.contains("`parallel gates.init.layer` refused") && error.contains("flow through `state["), "{error}");
}

fn plain_edges(height: usize, width: usize, start: &[f32]) -> Vec<f64> {
    let mut picture: Vec<f64> = start.iter().copied().map(f64::from).collect();
    let mut ring = vec![0.0; picture.len()];
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = |dy: usize, dx: usize| picture[(y + dy - 1) * width + x + dx - 1];
            let around = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)];
            ring[y * width + x] = around.iter().map(|&(dy, dx)| at(dy, dx)).sum::<f64>() / 8.0;
        }
    }
    for y in 1..height - 2 {
        for x in 2..width - 1 {
            let at = |y: usize, x: usize| ring[y * width + x];
            picture[y * width + x] = (at(y, x) - at(y + 1, x - 1)).abs() + (at(y + 1, x) - at(y, x - 1)).abs();
        }
    }
    picture
}

#[test]
fn edges_take_the_place_of_the_picture() {
    let program = edge_in_place::program().expect("a program");
    for shape in [[9i64, 40], [4, 4], [33, 70]] {
        let start = values(&shape, 5);
        let expected = plain_edges(shape[0] as usize, shape[1] as usize, &start);
        for (at, compiler) in compilers(edge_in_place::ONE_PASS).iter().enumerate() {
            let mut picture = Tensor::from_slice(&start, &shape).expect("a shape");
            compiler.compile_program(&program).run(&[], &mut [&mut picture]).expect("it runs");
            let found = picture.as_slice::<f32>().expect("floats");
            assert_close(found, &expected, &format!("{shape:?}, compiler {at}"));
        }
    }
}

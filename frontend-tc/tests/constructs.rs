//! What the language has beyond statements over boxes, by the reference evaluator, against plain loops.

use std::collections::BTreeMap;

use frontend_tc::{Kernel, Sources, check, check_sources, lower, lower_at};
use polyhedral::eval::{Data, EvalError, Limits, Tensors, run};
use polyhedral::{DType, Index, Role, isl};

fn kernel(program: &str) -> Kernel {
    let mut checked = check(program);
    assert!(!checked.has_errors(), "{program}: {:?}", checked.diagnostics);
    let kernel = checked.defs.pop().expect("a definition");
    let again = check(&kernel.to_string());
    assert_eq!(again.defs.first().map(ToString::to_string), Some(kernel.to_string()), "{:?}", again.diagnostics);
    kernel
}

/// The outputs of the last definition of `program` by name, evaluated with open sizes and with fixed ones.
fn evaluated(program: &str, sizes: &[i64], inputs: &[&[f64]]) -> Result<BTreeMap<String, Vec<f64>>, EvalError> {
    let kernel = kernel(program);
    assert_eq!(kernel.check_sizes(sizes), [], "{program}");
    let mut tensors = Tensors::new();
    let read = kernel.tensors.iter().filter(|tensor| matches!(tensor.role, Role::Input | Role::InOut));
    for (tensor, values) in read.zip(inputs) {
        let shape: Vec<i64> = tensor.extent.iter().map(|extent| extent.eval(&[], sizes).unwrap()).collect();
        assert_eq!(shape.iter().product::<i64>(), values.len() as i64, "`{}` of {program}", tensor.name);
        tensors.insert(tensor.name.clone(), Data::from_f64s(tensor.dtype, &shape, values));
    }
    let open = run(&lower(&kernel, &isl::Ctx::new()).unwrap(), sizes, &tensors, Limits::default())?;
    let fixed = run(&lower_at(&kernel, &isl::Ctx::new(), sizes).unwrap(), &[], &tensors, Limits::default())?;
    let values = |results: &Tensors| -> BTreeMap<String, Vec<f64>> {
        kernel.outputs().map(|output| (output.name.clone(), results[&output.name].to_f64s())).collect()
    };
    assert_eq!(format!("{:?}", values(&open)), format!("{:?}", values(&fixed)), "{program}");
    Ok(values(&open))
}

/// The only output.
fn output(program: &str, sizes: &[i64], inputs: &[&[f64]]) -> Vec<f64> {
    let mut outputs = evaluated(program, sizes, inputs).unwrap();
    assert_eq!(outputs.len(), 1, "{program}");
    outputs.pop_first().unwrap().1
}

/// Numbers without a pattern, exact in `float`.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f64 - 8_388_608.0) / 8_388_608.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "element {at} is {a}, not {b}");
    }
}

#[test]
fn a_prefix_sum() {
    let a = [3.0, -1.0, 4.0, 1.0, -5.0];
    let program = "def f(double(N) A) -> (S) { S(0) = A(0) for t in 1:N { S(t) = S(t - 1) + A(t) } }";
    assert_eq!(output(program, &[5], &[&a]), [3.0, 2.0, 6.0, 7.0, 2.0]);
}

#[test]
fn a_heat_stencil_in_time() {
    let program = "def f(double(N) X, float(T) s) -> (A) {
        A(i) = X(i) B(i) = X(i)
        for t in 0:T {
            B(i) = A(i) + 0.1 * (A(i - 1) - 2 * A(i) + A(i + 1)) where i in 1:N-1
            A(i) = B(i) where i in 1:N-1
        } }";
    let x = numbers(12, 1);
    let mut a = x.clone();
    for _ in 0..6 {
        let old = a.clone();
        for i in 1..11 {
            a[i] = old[i] + 0.1 * (old[i - 1] - 2.0 * old[i] + old[i + 1]);
        }
    }
    near(&output(program, &[12, 6], &[&x, &[0.0; 6]]), &a, 1e-12);
}

#[test]
fn a_jacobi_stencil_with_all_times_kept() {
    let program = "def f(double(N, N) X) -> (A) {
        A(0, i, j) = X(i, j)
        for t in 0:5 {
            A(t + 1, i, j) = 0.25 * (A(t, wrap(i - 1), j) + A(t, wrap(i + 1), j) + A(t, i, clamp(j - 1)) + A(t, i, clamp(j + 1)))
                where i in 0:N, j in 0:N
        } }";
    let n = 6;
    let x = numbers(n * n, 2);
    let mut all = x.clone();
    let mut now = x.clone();
    for _ in 0..5 {
        let old = now.clone();
        for i in 0..n {
            for j in 0..n {
                let at = |i: usize, j: usize| old[i * n + j];
                now[i * n + j] = 0.25
                    * (at((i + n - 1) % n, j)
                        + at((i + 1) % n, j)
                        + at(i, j.saturating_sub(1))
                        + at(i, (j + 1).min(n - 1)));
            }
        }
        all.extend(&now);
    }
    near(&output(program, &[n as i64], &[&x]), &all, 1e-12);
}

#[test]
fn an_lstm_cell_over_time() {
    let program = "def f(double(T, D) X, double(4, H, D) W, double(4, H, H) U, double(4, H) b) -> (Y) {
        Y(0, i) = double(0) where i in 0:H
        C(0, i) = double(0) where i in 0:H
        for t in 0:T {
            Z(g, i) +=! W(g, i, d) * X(t, d)
            Z(g, i) += U(g, i, j) * Y(t, j)
            C(t + 1, i) = C(t, i) / (1 + exp(-Z(0, i) - b(0, i)))
                + tanh(Z(1, i) + b(1, i)) / (1 + exp(-Z(2, i) - b(2, i)))
            Y(t + 1, i) = tanh(C(t + 1, i)) / (1 + exp(-Z(3, i) - b(3, i)))
        } }";
    let (t, d, h) = (4, 3, 5);
    let (x, w, u, b) = (numbers(t * d, 3), numbers(4 * h * d, 4), numbers(4 * h * h, 5), numbers(4 * h, 6));
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut y, mut c) = (vec![0.0; h], vec![0.0; h]);
    let mut all = y.clone();
    for step in 0..t {
        let z = |g: usize, i: usize| {
            let input: f64 = (0..d).map(|k| w[(g * h + i) * d + k] * x[step * d + k]).sum();
            let state: f64 = (0..h).map(|j| u[(g * h + i) * h + j] * y[j]).sum();
            input + state + b[g * h + i]
        };
        let next: Vec<(f64, f64)> = (0..h)
            .map(|i| {
                let cell = sigmoid(z(0, i)) * c[i] + sigmoid(z(2, i)) * z(1, i).tanh();
                (cell, sigmoid(z(3, i)) * cell.tanh())
            })
            .collect();
        (c, y) = next.into_iter().unzip();
        all.extend(&y);
    }
    near(&output(program, &[t as i64, d as i64, h as i64], &[&x, &w, &u, &b]), &all, 1e-9);
}

/// A symmetric matrix with a heavy diagonal.
fn positive(n: usize) -> Vec<f64> {
    let random = numbers(n * n, 7);
    (0..n * n)
        .map(|at| {
            let (i, j) = (at / n, at % n);
            random[i * n + j] + random[j * n + i] + if i == j { 2.0 * n as f64 } else { 0.0 }
        })
        .collect()
}

#[test]
fn cholesky() {
    let program = "def f(double(N, N) A) -> (L) {
        L(i, j) = j <= i ? A(i, j) : 0 where i in 0:N, j in 0:N
        for k in 0:N {
            L(k, k) = sqrt(L(k, k))
            L(i, k) = L(i, k) / L(k, k) where i in k+1:N
            L(i, j) += -L(i, k) * L(j, k) where i in k+1:N, j in k+1:i+1
        } }";
    let n = 7;
    let a = positive(n);
    let l = output(program, &[n as i64], &[&a]);
    // An independent check: the factor times itself is the matrix.
    let product: Vec<f64> = (0..n * n).map(|at| (0..n).map(|k| l[at / n * n + k] * l[at % n * n + k]).sum()).collect();
    near(&product, &a, 1e-12);
    assert!((0..n).all(|i| (i + 1..n).all(|j| l[i * n + j] == 0.0)));
}

#[test]
fn lu() {
    let program = "def f(double(N, N) A) -> (B) {
        B(i, j) = A(i, j)
        for k in 0:N {
            B(i, k) = B(i, k) / B(k, k) where i in k+1:N
            B(i, j) += -B(i, k) * B(k, j) where i in k+1:N, j in k+1:N
        } }";
    let n = 6;
    let a = positive(n);
    let b = output(program, &[n as i64], &[&a]);
    let lower = |i: usize, k: usize| {
        if i == k {
            1.0
        } else if k < i {
            b[i * n + k]
        } else {
            0.0
        }
    };
    let upper = |k: usize, j: usize| if k <= j { b[k * n + j] } else { 0.0 };
    let product: Vec<f64> = (0..n * n).map(|at| (0..n).map(|k| lower(at / n, k) * upper(k, at % n)).sum()).collect();
    near(&product, &a, 1e-12);
}

#[test]
fn ranges_that_depend_on_ranges() {
    let program = "def f(double(N) A) -> (S) { S +=! A(i) * A(j) * A(k) where i in 0:N, j in 0:i+1, k in j:i+1 }";
    let a = numbers(6, 8);
    let mut sum = 0.0;
    for i in 0..6 {
        for j in 0..=i {
            sum += (j..=i).map(|k| a[i] * a[j] * a[k]).sum::<f64>();
        }
    }
    near(&output(program, &[6], &[&a]), &[sum], 1e-12);
    // The rest of the box keeps what the caller has there.
    let program = "def f(double(N) A) -> (B) { B(i, j) = A(j) where i in 0:N, j in 0:i+1 }";
    let b = output(program, &[3], &[&[1.0, 2.0, 3.0], &[9.0; 9]]);
    assert_eq!(b, [1.0, 9.0, 9.0, 1.0, 2.0, 9.0, 1.0, 2.0, 3.0]);
}

#[test]
fn borders() {
    let a = [1.0, 2.0, 4.0, 8.0];
    let of = |e: &str| output(&format!("def f(double(N) A) -> (B) {{ B(i) = {e} + 0 * A(i) }}"), &[4], &[&a]);
    assert_eq!(of("A(clamp(i - 2))"), [1.0, 1.0, 1.0, 2.0]);
    assert_eq!(of("A(clamp(i + 1))"), [2.0, 4.0, 8.0, 8.0]);
    assert_eq!(of("A(wrap(i - 1))"), [8.0, 1.0, 2.0, 4.0]);
    assert_eq!(of("A(wrap(3 * i + 2))"), [4.0, 2.0, 1.0, 8.0]);
    assert_eq!(of("A(mirror(i - 2))"), [4.0, 2.0, 1.0, 2.0]);
    assert_eq!(of("A(mirror(i + 2))"), [4.0, 8.0, 4.0, 2.0]);
    assert_eq!(of("pad(A(i - 1), 7)"), [7.0, 1.0, 2.0, 4.0]);
    assert_eq!(of("pad(A(2 * i + 1), -1)"), [2.0, 8.0, -1.0, -1.0]);
    // With a number for the size, of any distance.
    let of = |e: &str| output(&format!("def f(double(4) A) -> (B) {{ B(i) = {e} where i in 0:4 }}"), &[], &[&a]);
    assert_eq!(of("A(mirror(i + 5))"), [2.0, 1.0, 2.0, 4.0]);
    assert_eq!(of("A(wrap(i - 9))"), [8.0, 1.0, 2.0, 4.0]);
    // Of subscripts that are data, and in tensors that do not begin at 0.
    let program =
        "def f(double(N) A, int32(M) I) -> (B) { B(j) = A(clamp(I(j))) + 10 * A(wrap(I(j))) + 100 * A(mirror(I(j))) }";
    assert_eq!(output(program, &[4, 3], &[&a, &[-1.0, 5.0, 2.0]]), [281.0, 228.0, 444.0]);
    let program =
        "def f(double(N) A) -> (C) { B(i) = A(i - 2) C(i) = B(clamp(i - 2)) + 10 * B(wrap(i + 1)) where i in 2:N+2 }";
    assert_eq!(output(program, &[4], &[&a]), [21.0, 41.0, 81.0, 12.0]);
}

/// With open sizes in three cases, with fixed ones by a remainder.
#[test]
fn counted_round_at_every_size() {
    for n in 1..8i64 {
        let a = numbers(n as usize, 3);
        let at = |i: i64| a[i.rem_euclid(n) as usize];
        for by in -n..=n {
            let program = format!("def f(double(N) A) -> (B) {{ B(i) = A(wrap(i + ({by}))) where i in 0:N }}");
            assert_eq!(output(&program, &[n], &[&a]), (0..n).map(|i| at(i + by)).collect::<Vec<_>>(), "{by} of {n}");
        }
        let program = "def f(double(N) A, double(K) W) -> (B) { B(i) +=! A(wrap(i - k)) * W(k) where i in 0:N }";
        let w = numbers(n as usize + 1, 4);
        let expected: Vec<f64> = (0..n).map(|i| w.iter().zip(0..).map(|(w, k)| at(i - k) * w).sum()).collect();
        near(&output(program, &[n, n + 1], &[&a, &w]), &expected, 1e-12);
        // A border of a border, one that a condition chooses, one on the left.
        let program =
            "def f(double(N) A) -> (B) { B(i) = A(clamp(wrap(i + 1))) + (i > 0 ? A(wrap(i - 1)) : 0) where i in 0:N }";
        let expected: Vec<f64> = (0..n).map(|i| at(i + 1) + if i > 0 { at(i - 1) } else { 0.0 }).collect();
        assert_eq!(output(program, &[n], &[&a]), expected);
        let program = "def f(double(N) A, double(N) Z) -> (double(N) B) { B(i) = Z(i) B(wrap(i + 1)) = A(i) }";
        assert_eq!(output(program, &[n], &[&a, &a]), (0..n).map(|i| at(i - 1)).collect::<Vec<_>>());
    }
}

/// Of more cases than dependences are found for in little time a subscript is chosen while running.
#[test]
fn many_cases() {
    let corner = |by: [i64; 3]| format!("B(wrap(i + {}), wrap(j + {}), wrap(k + {}))", by[0], by[1], by[2]);
    let corners = [[-1, -1, -1], [-1, 1, 1], [1, -1, 2], [2, 1, -1]];
    let sum = corners.map(corner).join(" + ");
    let program = format!(
        "def f(double(N, M, K) A) -> (B) {{ B(i, j, k) = A(i, j, k) for t in 0:2 {{
            C(i, j, k) = {sum} where i in 0:N, j in 0:M, k in 0:K
            B(i, j, k) = C(i, j, k) }} }}"
    );
    for [n, m, l] in [[2i64, 3, 2], [4, 2, 5]] {
        let a = numbers((n * m * l) as usize, 6);
        let mut b = a.clone();
        for _ in 0..2 {
            let at =
                |i: i64, j: i64, k: i64| b[((i.rem_euclid(n) * m + j.rem_euclid(m)) * l + k.rem_euclid(l)) as usize];
            let element = |e: i64| -> f64 {
                let (i, j, k) = (e / l / m, e / l % m, e % l);
                corners.iter().map(|by| at(i + by[0], j + by[1], k + by[2])).sum()
            };
            b = (0..n * m * l).map(element).collect();
        }
        near(&output(&program, &[n, m, l], &[&a]), &b, 1e-12);
    }
    let few = |corners: usize| {
        let kernel = kernel(&program.replace(&sum, &corners_of(&sum, corners)));
        let scop = lower(&kernel, &isl::Ctx::new()).unwrap();
        let reads = scop.stmts.values().flat_map(|stmt| &stmt.reads);
        reads.filter(|read| read.affine().is_none()).count()
    };
    assert_eq!([few(2), few(3)], [0, 3]);
}

/// The first ones of a sum.
fn corners_of(sum: &str, count: usize) -> String {
    sum.split(" + B").take(count).collect::<Vec<_>>().join(" + B")
}

#[test]
fn computed_left_hand_sides() {
    let (a, b) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]);
    let program = "def f(double(N) A, double(N) B) -> (C) { C(2 * i) = A(i) C(2 * i + 1) = B(i) }";
    assert_eq!(output(program, &[3], &[&a, &b]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let program = "def f(double(N) A, double(N) B) -> (C) { C(0, i) = A(i) C(1, i) = B(i) }";
    assert_eq!(output(program, &[3], &[&a, &b]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let program = "def f(double(N) A) -> (C) { C(i / 2) +=! A(i) }";
    assert_eq!(output(program, &[3], &[&a]), [3.0, 3.0]);
    let program = "def f(double(N) A) -> (C) { C(N - 1 - i) = A(i) }";
    assert_eq!(output(program, &[3], &[&a]), [3.0, 2.0, 1.0]);
}

/// Statements that write apart from each other, in any order, where others fill what is between.
#[test]
fn frames() {
    let statements = [
        "B(0, j) = double(1)",
        "B(N - 1, j) = double(2)",
        "B(i, 0) = A(i, 0)",
        "B(i, M - 1) = A(i, M - 1)",
        "B(i, j) = A(i - 1, j) + A(i, j + 1)",
    ];
    let program = |order: [usize; 5]| {
        let text: Vec<String> = order
            .iter()
            .map(|&at| match at {
                0 | 1 => format!("{} where j in 0:M", statements[at]),
                2 | 3 => format!("{} where i in 1:N-1", statements[at]),
                _ => format!("{} where i in 1:N-1, j in 1:M-1", statements[at]),
            })
            .collect();
        format!("def f(double(N, M) A) -> (B) {{ {} }}", text.join(" "))
    };
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 2, 1, 3, 4], [2, 4, 0, 3, 1], [3, 0, 4, 1, 2]] {
        let kernel = kernel(&program(order));
        assert!([[1, 2], [2, 1]].iter().all(|sizes| !kernel.check_sizes(sizes).is_empty()), "{kernel}");
        assert_eq!(kernel.tensors[1].extent, [Index::Param(0), Index::Param(1)], "{kernel}");
        for (n, m) in [(2, 2), (2, 5), (3, 3), (6, 4)] {
            let a = numbers((n * m) as usize, 5);
            let at = |i: i64, j: i64| a[(i * m + j) as usize];
            let element = |i: i64, j: i64| match (i, j) {
                (0, _) => 1.0,
                (i, _) if i == n - 1 => 2.0,
                (i, 0) => at(i, 0),
                (i, j) if j == m - 1 => at(i, m - 1),
                (i, j) => at(i - 1, j) + at(i, j + 1),
            };
            let expected: Vec<f64> = (0..n * m).map(|k| element(k / m, k % m)).collect();
            assert_eq!(output(&program(order), &[n, m], &[&a]), expected, "{kernel}");
        }
    }
    // What nothing fills is asked of the sizes, as before.
    let kernel = kernel("def f(double(N) A) -> (B) { B(0) = A(0) B(N - 1) = A(N - 1) B(i) = A(i) where i in 2:N }");
    let admitted = (0..6).filter(|n| kernel.check_sizes(&[*n]).is_empty()).collect::<Vec<_>>();
    assert_eq!(admitted, [2], "{kernel}");
}

#[test]
fn scatter() {
    let program = "def f(int32(N) I) -> (int32(M) H) { H(I(i)) +=! 1 }";
    assert_eq!(output(program, &[5, 4], &[&[1.0, 3.0, 1.0, 0.0, 1.0]]), [1.0, 3.0, 0.0, 1.0]);
    // The last write in order stays.
    let program = "def f(double(N) A, int32(N) I, double(M) Z) -> (O) { O(j) = Z(j) O(I(i)) = A(i) }";
    let o = output(program, &[3, 3], &[&[1.0, 2.0, 3.0], &[2.0, 0.0, 2.0], &[7.0; 3]]);
    assert_eq!(o, [2.0, 7.0, 3.0]);
    let outside = evaluated(program, &[3, 3], &[&[1.0, 2.0, 3.0], &[2.0, 3.0, 2.0], &[7.0; 3]]);
    assert!(matches!(outside, Err(EvalError::IndexOutOfRange { .. })), "{outside:?}");
}

#[test]
fn the_index_of_an_extreme() {
    let a = [1.0, 5.0, 5.0, -2.0, f64::NAN, f64::NAN, f64::NAN, 0.0];
    let program = "def f(double(N, 4) A) -> (K, J) { K(n) argmax=! A(n, d) J(n) argmin=! A(n, d) }";
    let found = evaluated(program, &[2], &[&a]).unwrap();
    assert_eq!((&found["K"][..], &found["J"][..]), (&[1.0, 3.0][..], &[3.0, 3.0][..]));
    // Where there is nothing to find.
    let program = "def f(double(N, D) A) -> (K) { K(n) argmax=! A(n, d) }";
    assert_eq!(output(program, &[1, 0], &[&[]]), [-1.0]);
    assert_eq!(output(program, &[1, 2], &[&[f64::NEG_INFINITY, f64::NEG_INFINITY]]), [0.0]);
    let program = "def f(int8(N) A) -> (int64 K) { K argmin=! A(i + 2) where i in 0:N-2 }";
    assert_eq!(output(program, &[5], &[&[-9.0, -9.0, 3.0, -128.0, -128.0]]), [1.0]);
}

#[test]
fn bits_and_flags() {
    let a: Vec<f64> = (-8..8).map(f64::from).collect();
    let of = |e: &str| output(&format!("def f(int8(N) A) -> (B) {{ B(i) = {e} }}"), &[16], &[&a]);
    let each = |f: fn(i8) -> i8| -> Vec<f64> { (-8..8).map(|x| f64::from(f(x))).collect() };
    assert_eq!(of("A(i) & 6"), each(|x| x & 6));
    assert_eq!(of("A(i) | 9"), each(|x| x | 9));
    assert_eq!(of("A(i) ^ 5"), each(|x| x ^ 5));
    assert_eq!(of("~A(i)"), each(|x| !x));
    assert_eq!(of("A(i) << 5"), each(|x| x.wrapping_shl(5)));
    assert_eq!(of("A(i) >> 1"), each(|x| x >> 1));
    assert_eq!(of("A(i) >> 8"), each(|x| if x < 0 { -1 } else { 0 }));
    assert_eq!(of("A(i) << 8"), each(|_| 0));
    assert_eq!(of("A(i) << (A(i) - A(i) - 1)"), each(|_| 0));
    assert_eq!(of("A(i) & 3 == 0 ? 1 : 0"), of("(A(i) & 3) == 0 ? 1 : 0"));
    let program = "def f(uint8(N) A) -> (B, C, D) { B &=! A(i) C |=! A(i) D ^=! A(i) }";
    let found = evaluated(program, &[3], &[&[200.0, 72.0, 77.0]]).unwrap();
    assert_eq!((found["B"][0], found["C"][0], found["D"][0]), (72.0, 205.0, 205.0));
    let program = "def f(double(N) A) -> (P, Q) { P &&=! A(i) > 0 Q ||=! A(i) > 2 }";
    let found = evaluated(program, &[3], &[&[1.0, 2.0, 3.0]]).unwrap();
    assert_eq!((found["P"][0], found["Q"][0]), (1.0, 1.0));
    let found = evaluated(program, &[0], &[&[]]).unwrap();
    assert_eq!((found["P"][0], found["Q"][0]), (1.0, 0.0));
}

#[test]
fn conversions() {
    let a = [-300.7, -1.5, -0.5, 0.5, 1.5, 2.5, 127.9, 1e9, f64::NAN];
    let of = |e: &str| output(&format!("def f(float(N) A) -> (B) {{ B(i) = {e} }}"), &[9], &[&a]);
    assert_eq!(of("sat_int8(A(i))"), [-128.0, -1.0, 0.0, 0.0, 1.0, 2.0, 127.0, 127.0, 0.0]);
    assert_eq!(of("sat_uint8(round_even(A(i)))"), [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 128.0, 255.0, 0.0]);
    let i = [-70_000.0, -129.0, 5.0, 300.0];
    let of = |e: &str| output(&format!("def f(int32(N) A) -> (B) {{ B(i) = {e} }}"), &[4], &[&i]);
    assert_eq!(of("sat_int8(A(i))"), [-128.0, -128.0, 5.0, 127.0]);
    assert_eq!(of("sat_uint8(A(i))"), [0.0, 0.0, 5.0, 255.0]);
    assert_eq!(of("sat_uint32(A(i))"), [0.0, 0.0, 5.0, 300.0]);
    assert_eq!(of("int8(A(i))"), [-112.0, 127.0, 5.0, 44.0]);
    assert_eq!(of("sat_int64(A(i))"), i);
}

/// A double rounded to a half type: the nearest of all its values, the one with an even last digit of two.
fn to_half(value: f64, dtype: DType) -> f64 {
    let (digits, least, largest) =
        if dtype == DType::F16 { (10, -14, 65504.0) } else { (7, -126, f64::from(f32::from_bits(0x7f7f_0000))) };
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let exponent = (value.abs().log2().floor() as i32).max(least);
    let unit = 2f64.powi(exponent - digits);
    let rounded = (value / unit).round_ties_even() * unit;
    if rounded.abs() > largest { f64::INFINITY.copysign(value) } else { rounded }
}

#[test]
fn half_types_round_once() {
    for (name, dtype) in [("float16", DType::F16), ("bfloat16", DType::BF16)] {
        let half = |values: Vec<f64>| -> Vec<f64> { values.into_iter().map(|x| to_half(x, dtype)).collect() };
        let (a, b) = (half(numbers(40, 9)), half(numbers(40, 10)));
        // An expression is computed in `float` and rounded where it is stored.
        let program = format!("def f({name}(N) A, {name}(N) B) -> (C) {{ C(i) = A(i) * B(i) + A(i) / 3 }}");
        let model: Vec<f64> = a
            .iter()
            .zip(&b)
            .map(|(&a, &b)| to_half(f64::from(a as f32 * b as f32 + a as f32 / to_half(3.0, dtype) as f32), dtype))
            .collect();
        assert_eq!(output(&program, &[40], &[&a, &b]), model, "{name}");
        // A cast rounds on its way.
        let program =
            format!("def f({name}(N) A, {name}(N) B) -> (float(N) C) {{ C(i) = {name}(A(i) * B(i)) + A(i) }}");
        let model: Vec<f64> = a
            .iter()
            .zip(&b)
            .map(|(&a, &b)| f64::from(to_half(f64::from(a as f32 * b as f32), dtype) as f32 + a as f32))
            .collect();
        assert_eq!(output(&program, &[40], &[&a, &b]), model, "{name}");
        // Sums are accumulated in `float` and rounded at the end, and products too.
        let program = format!("def f({name}(N) A, {name}(N) B) -> (S) {{ S +=! A(i) * B(i) }}");
        let sum = a.iter().zip(&b).fold(0f32, |sum, (&a, &b)| sum + a as f32 * b as f32);
        assert_eq!(output(&program, &[40], &[&a, &b]), [to_half(f64::from(sum), dtype)], "{name}");
        let program = format!("def f({name}(N) A) -> ({name} S) {{ S += A(i) }}");
        let sum = a.iter().fold(b[0] as f32, |sum, &a| sum + a as f32);
        assert_eq!(output(&program, &[40], &[&a, &b[..1]]), [to_half(f64::from(sum), dtype)], "{name}");
        let program = format!("def f({name}(N) A) -> (L, M) {{ L min=! A(i) M max=! A(i) }}");
        let found = evaluated(&program, &[40], &[&a]).unwrap();
        assert_eq!(found["L"], [a.iter().copied().fold(f64::INFINITY, f64::min)]);
        assert_eq!(found["M"], [a.iter().copied().fold(f64::NEG_INFINITY, f64::max)]);
    }
    // Beyond the largest number of the type there is infinity.
    let program = "def f(float16(N) A) -> (C) { C(i) = A(i) * A(i) }";
    assert_eq!(
        output(program, &[2], &[&[300.0, -0.0001220703125]]),
        [f64::INFINITY, to_half(1.4901161193847656e-8, DType::F16)]
    );
}

#[test]
fn integers_wrap_in_every_width() {
    for (name, bits, signed) in [
        ("int8", 8, true),
        ("int16", 16, true),
        ("int32", 32, true),
        ("uint8", 8, false),
        ("uint16", 16, false),
        ("uint32", 32, false),
    ] {
        let (low, high) =
            if signed { (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1) } else { (0, (1i64 << bits) - 1) };
        let a = [low as f64, high as f64, 3.0, 100.0];
        let wrapped = |x: i128| -> f64 {
            let span = 1i128 << bits;
            ((x - i128::from(low)).rem_euclid(span) + i128::from(low)) as f64
        };
        let of = |e: &str| output(&format!("def f({name}(N) A) -> (B) {{ B(i) = {e} }}"), &[4], &[&a]);
        let each = |f: &dyn Fn(i128) -> i128| -> Vec<f64> { a.iter().map(|x| wrapped(f(*x as i128))).collect() };
        assert_eq!(of("A(i) + 1"), each(&|x| x + 1), "{name}");
        assert_eq!(of("A(i) - 101"), each(&|x| x - 101), "{name}");
        assert_eq!(of("A(i) * A(i)"), each(&|x| x * x), "{name}");
        assert_eq!(of("A(i) / 7"), each(&|x| x.div_euclid(7)), "{name}");
        assert_eq!(of("A(i) % 7"), each(&|x| x.rem_euclid(7)), "{name}");
    }
}

#[test]
fn constants_sizes_and_calls() {
    let program =
        "let K = 3 let HALF = 1.0 / 2 def f(double(N + K - 1) A) -> (B) { B(i) +=! HALF * A(i + k) where k in 0:K }";
    assert_eq!(output(program, &[2], &[&[1.0, 2.0, 3.0, 4.0]]), [3.0, 4.5]);
    let program = "
        def scaled(double(N) A, double s) -> (B) { T(i) = A(i) * s B(i) = T(i) + N }
        def twice(double(N) A, double s) -> (B) { T = scaled(A, s) B = scaled(T, s) }
        def f(double(M) i, double s) -> (B, T) { B = twice(i, s) (T) = scaled(i, s) }";
    let found = evaluated(program, &[2], &[&[1.0, 2.0], &[10.0]]).unwrap();
    assert_eq!((&found["B"][..], &found["T"][..]), (&[122.0, 222.0][..], &[12.0, 22.0][..]));
    // The sizes of a definition that is called may be computed from the caller's, and appear in its ranges and values.
    let program = "
        def rest(double(N) A) -> (B) { B(i) = A(N - 1 - i) + N where i in 0:N-1 }
        def f(double(M) A) -> (C) { T(i) = A(i + k) where k = 1, i in 0:M-1 C = rest(T) }";
    assert_eq!(output(program, &[4], &[&[1.0, 2.0, 3.0, 4.0]]), [7.0, 6.0]);
    // A condition between two sizes of a definition is one of the call's sizes.
    let program = "
        def both(double(N) A, double(N) B) -> (C) { C(i) = A(i) + B(i) }
        def f(double(P) A, double(Q) B) -> (C) { C = both(A, B) }";
    let kernel = kernel(program);
    assert!(kernel.check_sizes(&[3, 3]).is_empty());
    assert!(!kernel.check_sizes(&[3, 4]).is_empty());
    // A call in a loop.
    let program = "
        def step(double(N) A) -> (B) { B(i) = 2 * A(i) }
        def f(double(N) X) -> (A) { A(i) = X(i) for t in 0:3 { T = step(A) A(i) = T(i) + 1 } }";
    assert_eq!(output(program, &[2], &[&[0.0, 1.0]]), [7.0, 15.0]);
}

#[test]
fn imported_files() {
    let files = BTreeMap::from([
        ("shapes.tc", "import \"numbers.tc\" def grown(double(N) A) -> (B) { B(i) = A(i) * STEP }"),
        ("numbers.tc", "let STEP = 4"),
    ]);
    let mut read = |_: &str, path: &str| Some((path.to_owned(), (*files.get(path)?).to_owned()));
    let text = "import \"shapes.tc\" def f(double(N) A) -> (B) { B = grown(A) }";
    let checked = check_sources(&Sources::load("main.tc", text, &mut read));
    assert_eq!(checked.diagnostics, []);
    let names: Vec<&str> = checked.defs.iter().map(|def| def.name.as_str()).collect();
    assert_eq!(names, ["f"]);
    assert!(checked.defs[0].to_string().contains("B(i) = A(i) * 4"), "{}", checked.defs[0]);
    let checked = check_sources(&Sources::load(
        "main.tc",
        "import \"shapes\" def f(double(N) A) -> (B) { B(i) = A(i) }",
        &mut read,
    ));
    assert_eq!(checked.diagnostics.iter().map(|one| one.code).collect::<Vec<_>>(), ["TC0023"]);
}

#[test]
fn scalars_in_bounds() {
    let program = "def f(double(N) A, int32 n) -> (S) { S +=! A(i) * n where i in 0:n }";
    let kernel = kernel(program);
    assert_eq!(kernel.sizes, ["N", "n"]);
    assert_eq!(kernel.tensors.iter().map(|tensor| tensor.size).collect::<Vec<_>>(), [None, Some(1), None]);
    assert_eq!(output(program, &[4, 2], &[&[1.0, 2.0, 3.0, 4.0], &[2.0]]), [6.0]);
    assert!(!kernel.check_sizes(&[4, 5]).is_empty());
    let program = "def f(double(N) X, int32 steps) -> (A) { A(i) = X(i) for t in 0:steps { A(i) = A(i) * 2 } }";
    assert_eq!(output(program, &[1, 5], &[&[1.0], &[5.0]]), [32.0]);
}

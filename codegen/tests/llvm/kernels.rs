//! Whole kernels: what the compiler is for.

use crate::build::*;
use codegen::llvm::{Options, assembly, compile};
use codegen::{Op, Value};
use polyhedral::{DType, Role};
use runtime::pool::Pool;
use runtime::tensor::Tensor;
use std::time::Instant;

const ROWS: i64 = 12;
const LANES: i64 = 16;
const COLUMNS: i64 = 2 * LANES;

/// `C(m, n) += A(m, k) · B(k, n)` in tiles of 12×32 kept in registers. With `packed`, B lies in panels of 32 columns.
fn matrix_product(m: i64, n: i64, k: i64, packed: bool) -> Builder {
    let mut b = Builder::new("sgemm");
    let a_id = b.input("A", DType::F32, &[m, k]);
    let b_shape = if packed { vec![n / COLUMNS, k, COLUMNS] } else { vec![k, n] };
    let b_id = b.input("B", DType::F32, &b_shape);
    let c_id = b.argument("C", DType::F32, Role::InOut, &[m, n]);
    let outer = b.repeat("n", c(n), COLUMNS, |b, n_var| {
        vec![b.repeat("m", c(m), ROWS, |b, m_var| {
            let tile: Vec<_> = (0..ROWS)
                .flat_map(|row| [0, LANES].map(|column| (row, column)))
                .map(|(row, column)| (row, column, b.reg("acc", DType::F32, LANES as u32)))
                .collect();
            let element =
                |row: i64, column: i64| vec![at(add(v(m_var), c(row))), lanes_at(add(v(n_var), c(column)), 1)];
            let mut body: Vec<Op> = tile
                .iter()
                .map(|(row, column, acc)| Op::Set { reg: *acc, value: load(c_id, element(*row, *column)) })
                .collect();
            body.push(b.repeat("k", c(k), 1, |_, k_var| {
                let update = |(row, column, acc): &(i64, i64, codegen::RegId)| {
                    let a = load(a_id, vec![at(add(v(m_var), c(*row))), at(v(k_var))]);
                    let place = if packed {
                        let panel = codegen::Int::FloorDiv(Box::new(v(n_var)), COLUMNS);
                        vec![at(panel), at(v(k_var)), lanes_at(c(*column), 1)]
                    } else {
                        vec![at(v(k_var)), lanes_at(add(v(n_var), c(*column)), 1)]
                    };
                    let product = Value::MulAdd(a.into(), load(b_id, place).into(), Value::Reg(*acc).into());
                    Op::Set { reg: *acc, value: product }
                };
                tile.iter().map(update).collect()
            }));
            body.extend(
                tile.iter()
                    .map(|(row, column, acc)| store(c_id, element(*row, *column), LANES as u32, Value::Reg(*acc))),
            );
            body
        })]
    });
    b.program.body = vec![outer];
    b
}

/// Small whole numbers: every order of summation gives the same sum.
fn numbers(count: i64) -> Vec<f32> {
    (0..count).map(|n| ((n * 7 + n / 13) % 9 - 4) as f32).collect()
}

#[test]
fn the_matrix_product_is_right() {
    let (m, n, k) = (24, 64, 33);
    let b = matrix_product(m, n, k, false);
    let (left, right) = (numbers(m * k), numbers(k * n));
    let mut product = Tensor::from_slice(&vec![1f32; (m * n) as usize], &[m, n]).unwrap();
    let a = Tensor::from_slice(&left, &[m, k]).unwrap();
    b.run(&[&a, &Tensor::from_slice(&right, &[k, n]).unwrap()], &mut [&mut product]).unwrap();
    let product = product.as_slice::<f32>().unwrap();
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let sum: f32 = (0..k).map(|i| left[(row * k + i) as usize] * right[(i * n + column) as usize]).sum();
        assert_eq!(product[(row * n + column) as usize], sum + 1.0, "C({row}, {column})");
    }
}

/// The accumulators live in registers: the innermost loop neither loads nor stores them.
#[test]
fn the_innermost_loop_keeps_its_accumulators_in_registers() {
    let avx512 = target("x86_64-unknown-linux-gnu", "x86-64-v4", "", 64);
    for packed in [false, true] {
        let text = assembly(&matrix_product(48, 256, 256, packed).program, &avx512).unwrap();
        let fused = text.lines().filter(|line| line.contains("vfmadd231ps")).count();
        assert_eq!(fused, 24, "{text}");
        assert!(!text.contains("(%rsp), %zmm") && !text.contains(", -") || !text.contains("Spill"), "{text}");
        assert!(!text.contains("Spill") && !text.contains("Reload"), "{text}");
    }
}

/// Not a test of speed, only a number to read: `cargo test -p codegen --test llvm -- --nocapture speed`.
#[test]
fn speed_of_the_matrix_product() {
    let (m, n, k) = (480, 512, 512);
    let b = matrix_product(m, n, k, true);
    let start = Instant::now();
    let object = compile(&b.program, &this_machine(), &Options::default()).unwrap();
    let compile_time = start.elapsed();
    let start = Instant::now();
    compile(&b.program, &this_machine(), &Options::default()).unwrap();
    let second = start.elapsed();
    let kernel = b.kernel();
    let left = Tensor::from_slice(&numbers(m * k), &[m, k]).unwrap();
    let right = Tensor::from_slice(&numbers(k * n), &[n / COLUMNS, k, COLUMNS]).unwrap();
    let mut product = zeros(DType::F32, &[m, n]);
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        run(&kernel, &[&left, &right], &mut [&mut product], &Pool::single()).unwrap();
        best = best.min(start.elapsed().as_secs_f64());
    }
    let flops = (2 * m * n * k) as f64;
    println!(
        "{:.1} GFLOP/s, {} bytes, compiled in {compile_time:?}, again in {second:?}",
        flops / best / 1e9,
        object.bytes.len()
    );
}

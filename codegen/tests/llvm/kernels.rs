//! Whole kernels: what the compiler is for.

use crate::build::*;
use codegen::llvm::{Options, assembly, compile};
use codegen::{Op, Stride, Value};
use polyhedral::{DType, Role};
use runtime::pool::Pool;
use runtime::tensor::Tensor;
use std::time::Instant;

const LANES: i64 = 16;
const COLUMNS: i64 = 2 * LANES;

/// How B lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// Row by row.
    Rows,
    /// In panels of 32 columns.
    Panels,
    /// Row by row, with sizes that are known at the call only.
    Parametric,
}

/// `C(m, n) += A(m, k) · B(k, n)` in tiles of `rows`×32 kept in registers.
fn matrix_product([m, n, k]: [i64; 3], rows: i64, layout: Layout) -> Builder {
    let mut b = Builder::new("sgemm");
    let known = layout != Layout::Parametric;
    let [m_size, n_size, k_size] = [("M", m), ("N", n), ("K", k)].map(|(name, size)| {
        let param = b.param(name, size);
        if known { c(size) } else { param }
    });
    let row_major = |stride: &codegen::Int| vec![Stride::Known(stride.clone()), Stride::Known(c(1))];
    let a_id = b.strided("A", DType::F32, Role::Input, &[m, k], row_major(&k_size));
    let b_id = match layout {
        Layout::Panels => b.input("B", DType::F32, &[n / COLUMNS, k, COLUMNS]),
        _ => b.strided("B", DType::F32, Role::Input, &[k, n], row_major(&n_size)),
    };
    let c_id = b.strided("C", DType::F32, Role::InOut, &[m, n], row_major(&n_size));
    let outer = b.repeat("n", n_size, COLUMNS, |b, n_var| {
        vec![b.repeat("m", m_size, rows, |b, m_var| {
            let tile: Vec<_> = (0..rows)
                .flat_map(|row| [0, LANES].map(|column| (row, column)))
                .map(|(row, column)| (row, column, b.reg("acc", DType::F32, LANES as u32)))
                .collect();
            let element =
                |row: i64, column: i64| vec![at(add(v(m_var), c(row))), lanes_at(add(v(n_var), c(column)), 1)];
            let mut body: Vec<Op> = tile
                .iter()
                .map(|(row, column, acc)| Op::Set { reg: *acc, value: load(c_id, element(*row, *column)) })
                .collect();
            body.push(b.repeat("k", k_size, 1, |_, k_var| {
                let update = |(row, column, acc): &(i64, i64, codegen::RegId)| {
                    let a = load(a_id, vec![at(add(v(m_var), c(*row))), at(v(k_var))]);
                    let place = if layout == Layout::Panels {
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
    let [m, n, k] = [24, 64, 33];
    for layout in [Layout::Rows, Layout::Parametric] {
        let b = matrix_product([m, n, k], 12, layout);
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
}

/// The accumulators live in registers, all 28 of them: none is stored to the stack, and each is updated by one instruction.
#[test]
fn the_innermost_loop_keeps_its_accumulators_in_registers() {
    let avx512 = target("x86_64-unknown-linux-gnu", "x86-64-v4", "", 64);
    for layout in [Layout::Rows, Layout::Panels, Layout::Parametric] {
        for rows in [12, 14] {
            let b = matrix_product([20 * rows, 256, 256], rows, layout);
            let text = assembly(&b.program, &avx512).unwrap();
            let fused = text.lines().filter(|line| line.contains("vfmadd231ps")).count();
            assert_eq!(fused as i64, 2 * rows, "{text}");
            let spilled = text.lines().find(|line| line.contains("%zmm") && line.contains("(%rsp)"));
            assert_eq!(spilled, None, "{layout:?}, {rows} rows: {text}");
        }
    }
}

/// Not a test of speed, only numbers to read: `cargo test -p codegen --test llvm -- --nocapture speed`.
#[test]
fn speed_of_the_matrix_product() {
    for (rows, layout) in [(12, Layout::Rows), (12, Layout::Panels), (14, Layout::Panels), (12, Layout::Parametric)] {
        let [m, n, k] = [rows * 24, 256, 512];
        let b = matrix_product([m, n, k], rows, layout);
        let start = Instant::now();
        let object = compile(&b.program, &this_machine(), &Options::default()).unwrap();
        let compile_time = start.elapsed();
        let kernel = b.kernel();
        let left = Tensor::from_slice(&numbers(m * k), &[m, k]).unwrap();
        let shape = if layout == Layout::Panels { vec![n / COLUMNS, k, COLUMNS] } else { vec![k, n] };
        let right = Tensor::from_slice(&numbers(k * n), &shape).unwrap();
        let mut product = zeros(DType::F32, &[m, n]);
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let start = Instant::now();
            run(&kernel, &[&left, &right], &mut [&mut product], &Pool::single()).unwrap();
            best = best.min(start.elapsed().as_secs_f64());
        }
        let (speed, bytes) = ((2 * m * n * k) as f64 / best / 1e9, object.bytes.len());
        println!("{rows} rows, {layout:?}: {speed:.1} GFLOP/s, {bytes} bytes, compiled in {compile_time:?}");
    }
}

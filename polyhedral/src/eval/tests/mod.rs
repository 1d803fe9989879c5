mod programs;

use std::time::Instant;

use super::*;
use crate::{BinOp, Body, Builtin, CmpOp, DType, Monoid, Nest, Role, UnOp, Value};
use programs::*;

#[test]
fn a_matrix_product() {
    let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let b = [1.0, -1.0, 0.5, 2.0, 0.0, 1.0];
    let got = result(&matmul(DType::F32), &[2, 2, 3], &[("A", floats(&[2, 3], &a)), ("B", floats(&[3, 2], &b))]);
    assert_eq!(got, [2.0, 6.0, 6.5, 12.0]);
}

/// Prints the rate; `cargo test -p polyhedral --release eval -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn rate() {
    let scop = matmul(DType::F32);
    let n = 512;
    let mut random = Random(1);
    let inputs = tensors(&[("A", random.tensor(&[n, n], -1.0, 1.0)), ("B", random.tensor(&[n, n], -1.0, 1.0))]);
    let millions = (n * n * n) as f64 / 1e6;
    let start = Instant::now();
    run(&scop, &[n, n, n], &inputs, Limits::default()).unwrap();
    println!("typed: {:.0} million instances a second", millions / start.elapsed().as_secs_f64());
    let start = Instant::now();
    run_wide(&scop, &[n, n, n], &inputs, Limits::default()).unwrap();
    println!("wide:  {:.0} million instances a second", millions / start.elapsed().as_secs_f64());
}

//! Kernels that `build.rs` compiled, called as functions. The program has no compiler in it.

use runtime::Pool;
use runtime::tensor::{View, ViewMut};

/// The functions of `kernels/*.tc`.
mod kernels {
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::global();

    // Arrays are tensors: shapes and types that do not fit the definition do not compile, sizes are checked at the call.
    let a = [[1.0f32, -2.0, 3.0], [0.5, 0.0, 1.0]];
    let b = [[1.0f32, 0.0], [0.0, 1.0], [2.0, -1.0]];
    let mut c = [[0.0f32; 2]; 2];
    kernels::mm(&a, &b, &mut c, &pool)?;
    println!("mm: {c:?}");

    // So are slices with a shape; for this one there is code of its own.
    let (a, b, mut c) = (vec![1.0f32; 64 * 64], vec![0.5f32; 64 * 64], vec![0.0f32; 64 * 64]);
    let square = [64, 64];
    kernels::mm(View::new(&a, square)?, View::new(&b, square)?, ViewMut::new(&mut c, square)?, &pool)?;
    println!("mm of 64 x 64 x 64: all elements are {}", c[0]);
    assert!(c.iter().all(|&c| c == 32.0));

    let mut mean = [0.0f32; 2];
    kernels::mean(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 9.0]], &mut mean, &pool)?;
    println!("mean: {mean:?}");

    let mut scaled = vec![0.0f64; 3];
    kernels::scale(2.0, &vec![1.0f64, 2.0, 3.0], &mut scaled, &pool)?;
    println!("scale: {scaled:?}");

    let refused = kernels::mean(&[[1.0f32, 2.0], [3.0, 4.0]], &mut [0.0f32; 3], &pool);
    println!("refused: {}", refused.expect_err("there are two means"));
    Ok(())
}

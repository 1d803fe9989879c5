//! Compilers and kernels go to other threads, and many threads may use one.

use tilewright::builder::Program;
use tilewright::{Compiler, Definition, Error, Kernel, Tensor, Variant};

fn is_shared<T: Send + Sync>() {}

#[test]
fn what_users_hold_is_send_and_sync() {
    is_shared::<Compiler>();
    is_shared::<Definition>();
    is_shared::<Kernel>();
    is_shared::<Program>();
    is_shared::<Variant>();
    is_shared::<Tensor>();
    is_shared::<Error>();
}

#[test]
fn eight_threads_call_one_kernel_with_shapes_of_their_own() {
    let kernel = Compiler::host().compile("def twice(float(N) A) -> (B) { B(i) = A(i) + A(i) }").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_i64 {
            let kernel = &kernel;
            scope.spawn(move || {
                for size in [thread + 1, 3] {
                    let values: Vec<f32> = (0..size).map(|at| (at + thread) as f32).collect();
                    let result = kernel.call(&[&Tensor::from_slice(&values, &[size]).unwrap()]).unwrap();
                    let expected: Vec<f32> = values.iter().map(|value| 2.0 * value).collect();
                    assert_eq!(result.as_slice::<f32>().unwrap(), expected);
                }
            });
        }
    });
}

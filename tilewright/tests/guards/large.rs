//! Tensors of more than 2³¹ elements. What nobody touches of their zeros takes no memory.

use tilewright::{AsTensor, AsTensorMut, Compiler, DType, Tensor, runtime_dtype};

/// One past what 32 bits count.
const MANY: i64 = 1 << 31;

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(runtime_dtype(DType::I8), shape).expect("address space")
}

fn set(tensor: &mut Tensor, at: i64, value: i8) {
    tensor.as_mut_slice::<i8>().expect("bytes")[at as usize] = value;
}

/// Specialised and for all sizes, on one thread and on two.
fn compilers() -> impl Iterator<Item = Compiler> {
    let both = [false, true].into_iter();
    both.flat_map(|symbolic| [1, 2].map(|threads| Compiler::host().threads(threads).symbolic(symbolic)))
}

#[test]
fn elements_far_behind_are_found() {
    let (mut long, mut wide) = (zeros(&[MANY + 100]), zeros(&[MANY / 65_536 + 3, 65_536]));
    for (at, value) in [(0, 1), (5, 2), (MANY - 1, 3), (MANY, 4), (MANY + 5, 5), (MANY + 99, 6)] {
        set(&mut long, at, value);
    }
    set(&mut wide, MANY + 3 * 65_536 - 1, 7);
    set(&mut wide, 65_535, 8);
    let index = Tensor::from_slice(&[MANY + 5, MANY + 99, MANY, 5, MANY - 1, 0], &[6]).expect("six");
    let text = "def f(int8(N) A, int8(H, W) P, int64(M) I) -> (B, C, D) {
        B(i) = A(I(i))
        C(i) = A(i + 2147483645) where i in 0:9
        D(h) = P(h, W - 1) where h in 0:H
    }";
    for compiler in compilers() {
        let kernel = compiler.compile(text).expect("a right program");
        let found = kernel.call_all(&[&long, &wide, &index]).expect("it runs");
        let values = |at: usize| found[at].as_slice::<i8>().expect("bytes");
        assert_eq!(values(0), [5, 6, 4, 2, 3, 1]);
        assert_eq!(values(1), [0, 0, 3, 4, 0, 0, 0, 0, 5]);
        assert_eq!((values(2)[0], values(2)[(MANY / 65_536 + 2) as usize]), (8, 7));
        assert_eq!(values(2).iter().filter(|value| **value != 0).count(), 2);
    }
}

#[test]
fn elements_far_behind_are_written() {
    let places = [MANY + 5, 5, MANY + 99, MANY + 5, MANY - 1];
    let index = Tensor::from_slice(&places, &[5]).expect("five");
    let values = Tensor::from_slice(&[1i8, 2, 3, 4, 5], &[5]).expect("five");
    for compiler in compilers() {
        let kernel = compiler.compile("def f(int8(N) A, int64(N) I) -> (int8(M) O) { O(I(i)) += A(i) }");
        let kernel = kernel.expect("a right program");
        let mut written = zeros(&[MANY + 100]);
        let inputs: [&dyn AsTensor; 2] = [&values, &index];
        kernel.run(&inputs, &mut [&mut written as &mut dyn AsTensorMut]).expect("it runs");
        let written = written.as_slice::<i8>().expect("bytes");
        let found = [MANY + 5, 5, MANY + 99, MANY - 1, MANY + 4, 0].map(|at| written[at as usize]);
        assert_eq!(found, [5, 2, 3, 5, 0, 0]);
    }
}

//! Views of every kind as arguments: what strides say is honoured, and what is unsound is refused untouched.

use tilewright::{Compiler, Kernel, Tensor, TensorView, TensorViewMut};

const PRODUCT: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";

fn counted(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at % 17) as f32 - 8.0).collect()
}

/// `strides` and `offset` of each operand over a slice of its own.
struct Operand {
    data: Vec<f32>,
    offset: usize,
    strides: [i64; 2],
}

impl Operand {
    fn at(&self, row: usize, column: usize) -> f32 {
        let at = self.offset as i64 + row as i64 * self.strides[0] + column as i64 * self.strides[1];
        self.data[at as usize]
    }

    fn view(&self, shape: [usize; 2]) -> TensorView<'_> {
        TensorView::with_strides(&self.data, self.offset, &shape.map(|extent| extent as i64), &self.strides).unwrap()
    }
}

fn layouts([rows, columns]: [usize; 2]) -> Vec<Operand> {
    let (r, c) = (rows as i64, columns as i64);
    let last = rows * columns - 1;
    let of = |count, offset, strides| Operand { data: counted(count), offset, strides };
    vec![
        of(rows * columns, 0, [c, 1]),
        of(rows * columns, 0, [1, r]),
        of(rows * columns, last, [-c, -1]),
        of(rows * columns, columns - 1, [c, -1]),
        of(columns, 0, [0, 1]),
        of(rows, 0, [1, 0]),
        of(1, 0, [0, 0]),
        of(2 * rows * columns + 5, 5, [2 * c, 2]),
        of(rows + columns, 0, [1, 1]),
    ]
}

fn expected(a: &Operand, b: &Operand, [m, n, k]: [usize; 3]) -> Vec<f32> {
    let sum = |row, column| (0..k).map(|at| a.at(row, at) * b.at(at, column)).sum();
    (0..m * n).map(|at| sum(at / n, at % n)).collect()
}

/// Small whole numbers, so every order of the sums gives the same.
#[test]
fn inputs_of_any_strides() {
    let mm = Compiler::host().threads(2).compile(PRODUCT).unwrap();
    for [m, n, k] in [[3, 5, 4], [33, 35, 17], [1, 1, 1], [8, 64, 3]] {
        for a in layouts([m, k]) {
            for b in layouts([k, n]) {
                let c = mm.call(&[&a.view([m, k]), &b.view([k, n])]).unwrap();
                let strides = (a.strides, b.strides);
                assert_eq!(c.as_slice::<f32>().unwrap(), expected(&a, &b, [m, n, k]), "{m} {n} {k} {strides:?}");
            }
        }
    }
}

/// What lies between the elements of a strided output stays as it was.
#[test]
fn outputs_of_any_strides() {
    let mm = Compiler::host().threads(2).compile(PRODUCT).unwrap();
    let (m, n, k) = (19, 23, 7);
    let (a, b) = (layouts([m, k]).swap_remove(0), layouts([k, n]).swap_remove(0));
    let expected = expected(&a, &b, [m, n, k]);
    let (r, c) = (m as i64, n as i64);
    for (offset, strides) in
        [(0, [c, 1]), (0, [1, r]), (m * n - 1, [-c, -1]), (3, [2 * c + 1, 2]), (40, [3, 3 * r + 1])]
    {
        let mut data = vec![f32::NAN; 4 * m * n + 100];
        let mut view = TensorViewMut::with_strides(&mut data, offset, &[r, c], &strides).unwrap();
        mm.run(&[&a.view([m, k]), &b.view([k, n])], &mut [&mut view]).unwrap();
        let mut written = 0;
        for row in 0..m {
            for column in 0..n {
                let at = (offset as i64 + row as i64 * strides[0] + column as i64 * strides[1]) as usize;
                assert_eq!(data[at], expected[row * n + column], "{strides:?}: {row}, {column}");
                written += 1;
            }
        }
        assert_eq!(data.iter().filter(|value| !value.is_nan()).count(), written, "{strides:?}");
    }
}

#[track_caller]
fn refused(kernel: &Kernel, a: &Tensor, b: &Tensor, c: &mut Tensor, words: &str) {
    let before = c.clone();
    let error = kernel.run(&[a, b], &mut [&mut *c]).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(c.as_bytes(), before.as_bytes(), "nothing is touched");
}

#[test]
fn what_does_not_fit_names_the_argument() {
    let mm = Compiler::host().compile(PRODUCT).unwrap();
    let tensor = |shape: &[i64]| Tensor::from_slice(&counted(shape.iter().product::<i64>() as usize), shape).unwrap();
    let (a, b) = (tensor(&[3, 4]), tensor(&[4, 5]));
    refused(&mm, &a, &b, &mut tensor(&[3, 6]), "C");
    refused(&mm, &a, &b, &mut tensor(&[15]), "C");
    refused(&mm, &a, &tensor(&[5, 5]), &mut tensor(&[3, 5]), "B");
    refused(&mm, &tensor(&[4]), &b, &mut tensor(&[3, 5]), "A");
    refused(&mm, &a, &b, &mut Tensor::from_slice(&[0.0f64; 15], &[3, 5]).unwrap(), "C");
    let of_doubles = Tensor::from_slice(&[0.0f64; 12], &[3, 4]).unwrap();
    refused(&mm, &of_doubles, &b, &mut tensor(&[3, 5]), "A");
    let error = mm.call(&[&a]).unwrap_err();
    assert!(error.to_string().contains("expected 2 inputs, found 1"), "{error}");
    let error = mm.run(&[&a, &b], &mut []).unwrap_err();
    assert!(error.to_string().contains("output"), "{error}");
    assert!(TensorViewMut::with_strides(&mut [0.0f32; 4], 0, &[2, 4], &[0, 1]).is_err(), "elements that are one");
}

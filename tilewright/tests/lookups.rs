//! Rows of a table that are asked for ahead: results and errors are as without that.

mod agreement;

use tilewright::{Compiler, Error, Script, Tensor};

const LOOKUP: &str = "def lookup(float(E,D) T, int32(B,L) I) -> (O) { O(b,d) +=! T(I(b,l),d) }";
const SCRIPT: &str = "reorder O.update.l O.update.d\nprefetch T at O.update.l ahead 4";
const ROWS: i32 = 40;
const BATCH: usize = 3;
const LENGTH: usize = 16;
const WIDTH: usize = 20;

fn looked_up(indices: &[i32]) -> Result<Tensor, Error> {
    let script: Script = SCRIPT.parse().expect("a script");
    let kernel = Compiler::host().threads(1).script(script).compile(LOOKUP).expect("a program");
    let table: Vec<f32> = (0..ROWS * WIDTH as i32).map(|at| (at % 23) as f32).collect();
    let table = Tensor::from_slice(&table, &[ROWS.into(), WIDTH as i64]).expect("a table");
    let indices = Tensor::from_slice(indices, &[BATCH as i64, LENGTH as i64]).expect("indices");
    kernel.call(&[&table, &indices])
}

fn indices() -> Vec<i32> {
    (0..(BATCH * LENGTH) as i32).map(|at| at * 17 % ROWS).collect()
}

#[test]
fn rows_are_summed() {
    let indices = indices();
    let sums = looked_up(&indices).expect("indices inside");
    let sums = sums.as_slice::<f32>().expect("floats");
    for (at, &sum) in sums.iter().enumerate() {
        let (b, d) = (at / WIDTH, at % WIDTH);
        let rows = &indices[b * LENGTH..(b + 1) * LENGTH];
        let expected: f32 = rows.iter().map(|&row| ((row * WIDTH as i32 + d as i32) % 23) as f32).sum();
        assert_eq!(sum, expected, "element {b}, {d}");
    }
}

#[test]
fn a_row_that_is_not_there_is_an_error_and_not_touched() {
    for wrong in [i32::MAX, i32::MIN, ROWS, -1] {
        let mut indices = indices();
        *indices.last_mut().expect("some") = wrong;
        let error = looked_up(&indices).expect_err("an index outside").to_string();
        let expected = format!("subscript 0 of `T` is {wrong}, outside of 0..{ROWS}; it comes from `I(2, 15)`");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn data_found_by_data_is_not_read_ahead() {
    let text = "def twice(float(E,D) T, int32(F) J, int32(B) I) -> (O) { O(b,d) = T(J(I(b)),d) }";
    let script: Script = "prefetch T at O.b ahead 2".parse().expect("a script");
    let kernel = Compiler::host().threads(1).script(script).compile(text).expect("a program");
    let error = kernel.prepare(&[&[40, 20], &[30], &[10]]).map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("`J`, by which an element of `T` is found, is found by data too"), "{error}");
}

/// Random subscripts stay inside where indices are added to them too.
#[test]
fn rows_from_an_index_and_data() {
    let text = "def shifted(float(E,D) T, int32(B,L) I) -> (O) { O(b,d) +=! T(I(b,l) + d + 1,d) }";
    agreement::runs(&frontend_tc::check(text).defs[0]).expect("what the evaluator computes");
}

/// Where all sizes are numbers there is nothing to choose.
#[test]
fn sizes_that_are_numbers() {
    let text = "def means(float(3000,40) A) -> (M) { M(n) +=! A(n,d) M(n) = M(n) / 40 }";
    agreement::runs(&frontend_tc::check(text).defs[0]).expect("what the evaluator computes");
}

//! How much work a definition is, whatever the schedule: its operations, and the bytes that any schedule must move.

use frontend_tc::{Kernel, Statement, Tensor};
use polyhedral::{DType, Expr, Role};

/// The work of one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Operations: every `+ - * / %`, minimum, maximum, comparison and built-in function of a value counts one, in each
    /// instance; combining with a reduction's state counts one more.
    pub flops: f64,
    /// Compulsory traffic: every element of every argument once, and twice where it is read and written.
    pub bytes: f64,
    /// The type whose arithmetic limits it: `float64` when that is computed, else `float32`.
    pub dtype: DType,
}

/// The work of one call of `def` with these sizes.
pub fn cost(def: &Kernel, sizes: &[i64]) -> Cost {
    let doubles = def.tensors.iter().any(|tensor| tensor.role != Role::Input && tensor.dtype == DType::F64);
    Cost {
        flops: def.statements.iter().map(|statement| instances(statement, sizes) * operations(statement)).sum(),
        bytes: def.tensors.iter().map(|tensor| traffic(tensor, sizes)).sum(),
        dtype: if doubles { DType::F64 } else { DType::F32 },
    }
}

/// The extents of a tensor; `None` when they overflow.
pub fn tensor_shape(tensor: &Tensor, sizes: &[i64]) -> Option<Vec<i64>> {
    tensor.extent.iter().map(|extent| extent.eval(&[], sizes)).collect()
}

/// The bytes of a tensor; `None` when they cannot be counted in 63 bits.
pub fn tensor_bytes(tensor: &Tensor, sizes: &[i64]) -> Option<u64> {
    let mut extents = tensor.extent.iter().map(|extent| extent.eval(&[], sizes));
    let bytes = extents.try_fold(i64::from(tensor.dtype.bytes()), |all, extent| all.checked_mul(extent?.max(0)));
    bytes.map(i64::unsigned_abs)
}

fn instances(statement: &Statement, sizes: &[i64]) -> f64 {
    statement.ranges.iter().map(|(_, extent)| extent.eval(&[], sizes).unwrap_or(0).max(0) as f64).product()
}

fn operations(statement: &Statement) -> f64 {
    let mut count = usize::from(statement.assign.reduction.is_some());
    statement.value.visit(&mut |e| count += usize::from(is_operation(e)));
    count as f64
}

fn is_operation(e: &Expr) -> bool {
    match e {
        Expr::Binary(..) | Expr::Compare(..) | Expr::Call(..) => true,
        Expr::Const(..) | Expr::Index(_) | Expr::Load(_) | Expr::Unary(..) | Expr::Select(..) | Expr::Cast(..) => false,
        Expr::State(_) | Expr::Term(_) => false,
    }
}

fn traffic(tensor: &Tensor, sizes: &[i64]) -> f64 {
    let times = match tensor.role {
        Role::Input | Role::Output => 1.0,
        Role::InOut => 2.0,
        Role::Temporary => 0.0,
    };
    times * tensor_bytes(tensor, sizes).unwrap_or(u64::MAX) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, sizes: &[i64], flops: f64, bytes: f64) {
        let checked = frontend_tc::check(text);
        assert!(!checked.has_errors(), "{:?}", checked.diagnostics);
        let cost = cost(&checked.defs[0], sizes);
        assert_eq!((cost.flops, cost.bytes), (flops, bytes));
    }

    #[test]
    fn a_matrix_product_is_two_operations_a_point() {
        let text = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
        check(text, &[2, 3, 5], 2.0 * 30.0, 4.0 * (6.0 + 15.0 + 10.0));
    }

    #[test]
    fn what_is_updated_moves_twice_and_temporaries_do_not() {
        check("def f(double(N) A) -> (S) { S += A(i) }", &[4], 4.0, 8.0 * 4.0 + 16.0);
        check("def f(float(N) A) -> (C) { B(i) = fabs(A(i)) C(i) = B(i) > 0.0 ? -B(i) : 1.0 }", &[8], 16.0, 4.0 * 16.0);
    }

    #[test]
    fn doubles_are_told_apart() {
        let dtype = |text| cost(&frontend_tc::check(text).defs[0], &[4]).dtype;
        assert_eq!(dtype("def f(double(N) A) -> (B) { B(i) = A(i) }"), DType::F64);
        assert_eq!(dtype("def f(int32(N) A) -> (B) { B(i) = A(i) }"), DType::F32);
    }
}

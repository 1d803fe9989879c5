//! The kernels of PolyBench as workloads: programs that are built in Rust, whose arguments may be updated in place.

use polyhedral::count::count;
use polyhedral::eval::Data;
use polyhedral::testing::Kernel;
use polyhedral::{Body, Expr, Role, Scop, isl};
use tilewright::{Tensor, runtime_dtype};

use crate::Result;
use crate::workload::{Argument, Signature};

/// How far a result may be from the plain loops': sums are taken in another order.
pub const TOLERANCE: f64 = 1e-9;
/// The seed of every kernel's contents.
const SEED: u64 = 42;

/// Operations of a program of fixed sizes: every `+ - * /`, minimum, comparison and function of a value counts one in each
/// instance, and combining with a reduction's state one more.
///
/// # Errors
/// When isl fails.
pub fn operations(scop: &Scop) -> Result<f64> {
    let mut all = 0.0;
    for stmt in scop.stmts.values() {
        let mut each = usize::from(matches!(stmt.body, Body::Reduce { .. }));
        for expr in stmt.body.exprs() {
            let mut see = |e: &Expr| {
                each += usize::from(matches!(e, Expr::Binary(..) | Expr::Compare(..) | Expr::Call(..)));
            };
            expr.visit(&mut see);
        }
        all += each as f64 * count(&stmt.domain)?.value() as f64;
    }
    Ok(all)
}

/// What a kernel takes and returns.
///
/// # Errors
/// When an extent overflows.
pub fn signature(kernel: &Kernel, sizes: &[i64]) -> Result<Signature> {
    let scop = kernel.scop(&isl::Ctx::new());
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for tensor in scop.tensors.values().filter(|tensor| tensor.role != Role::Temporary) {
        let shape = tensor.extent.iter().map(|extent| extent.eval(&[], sizes)).collect::<Option<Vec<i64>>>();
        let shape = shape.ok_or("the extents overflow")?;
        let updated = tensor.role == Role::InOut;
        let argument = Argument { name: tensor.name.clone(), dtype: tensor.dtype, shape, updated };
        if tensor.role == Role::Input { inputs.push(argument) } else { outputs.push(argument) }
    }
    Ok(Signature { inputs, outputs })
}

/// The contents of the inputs, and of the outputs that are updated.
///
/// # Errors
/// When there is no room.
pub fn contents(kernel: &Kernel, sizes: &[i64], signature: &Signature) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
    let given = kernel.tensors(&kernel.scop(&isl::Ctx::new()), sizes, SEED);
    let tensor = |t: &Argument| -> Result<Tensor> {
        let data: &Data = given.get(&t.name).ok_or("an argument without contents")?;
        Ok(Tensor::from_bytes(runtime_dtype(t.dtype), &t.shape, &data.bytes)?)
    };
    let inputs = signature.inputs.iter().map(tensor).collect::<Result<_>>()?;
    let updated = signature.outputs.iter().map(|t| t.updated.then(|| tensor(t)).transpose());
    Ok((inputs, updated.collect::<Result<_>>()?))
}

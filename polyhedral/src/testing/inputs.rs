use super::Rng;
use crate::eval::{Data, Tensors};
use crate::{DType, Expr, Index, Role, Scop, Subscript, TensorId};

/// Contents for a tensor that a program reads from its caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The tensor.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its extents.
    pub shape: Vec<i64>,
    /// The elements, last dimension fastest; each is exact in `dtype`.
    pub values: Vec<f64>,
}

/// Contents for every input and in-out of `scop` at `sizes`. Integers are small, floats multiples of 1/64 in -1..=1;
/// where a tensor's elements are subscripts, they are in range for everything that they index.
///
/// # Panics
/// When a shape does not fit; for tests only.
pub fn random_inputs(scop: &Scop, sizes: &[i64], seed: u64) -> Vec<Input> {
    let mut rng = Rng::new(seed);
    let read = scop.tensors.iter().filter(|(_, tensor)| matches!(tensor.role, Role::Input | Role::InOut));
    read.map(|(id, tensor)| {
        let shape: Vec<i64> = tensor.extent.iter().map(|extent| value(extent, sizes)).collect();
        let n: i64 = shape.iter().map(|extent| (*extent).max(0)).product();
        let range = subscript_range(scop, id, sizes);
        let values = (0..n).map(|_| element(&mut rng, tensor.dtype, range)).collect();
        Input { name: tensor.name.clone(), dtype: tensor.dtype, shape, values }
    })
    .collect()
}

/// The same, as the evaluator takes them.
pub fn random_tensors(scop: &Scop, sizes: &[i64], seed: u64) -> Tensors {
    let data = |input: Input| (input.name, Data::from_f64s(input.dtype, &input.shape, &input.values));
    random_inputs(scop, sizes, seed).into_iter().map(data).collect()
}

fn value(index: &Index, sizes: &[i64]) -> i64 {
    index.eval(&[], sizes).expect("an extent over the sizes")
}

fn element(rng: &mut Rng, dtype: DType, range: Option<(i64, i64)>) -> f64 {
    match range {
        Some((low, high)) => rng.between(low, high.max(low)) as f64,
        None if dtype == DType::Bool => rng.between(0, 1) as f64,
        None if dtype.is_float() => rng.between(-64, 64) as f64 / 64.0,
        None if dtype.is_signed() => rng.between(-9, 9) as f64,
        None => rng.between(0, 9) as f64,
    }
}

/// The values that are subscripts in range wherever elements of `tensor` index something; `None` when they never do.
fn subscript_range(scop: &Scop, tensor: TensorId, sizes: &[i64]) -> Option<(i64, i64)> {
    let mut range: Option<(i64, i64)> = None;
    for stmt in scop.stmts.values() {
        for access in stmt.accesses() {
            for (at, subscript) in access.index.iter().enumerate() {
                let Subscript::Indirect(expr) = subscript else { continue };
                let mut uses = false;
                expr.visit(&mut |e| {
                    uses |= matches!(e, Expr::Load(k) if stmt.reads.get(*k).is_some_and(|read| read.tensor == tensor));
                });
                if uses {
                    let indexed = &scop.tensors[access.tensor];
                    let low = value(&indexed.lower[at], sizes);
                    let high = low + value(&indexed.extent[at], sizes) - 1;
                    range = Some(range.map_or((low, high), |(l, h)| (l.max(low), h.min(high))));
                }
            }
        }
    }
    range
}

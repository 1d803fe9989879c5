//! Random inputs: never zeros, which hide mistakes and flatter speed, and always inside what they subscript.

use std::collections::BTreeMap;

use fastrand::Rng;
use polyhedral::{Access, BinOp, DType, Expr, Scop, Stmt, Subscript, TensorId, UnOp, Value, isl};
use runtime::tensor::{Bf16, F16};
use runtime::{Element, Tensor, TensorError};
use support::Diagnostic;

use crate::cost::tensor_shape;
use crate::{Definition, Error, Result};

/// The largest random integer, and the smallest with its sign turned: small enough that sums of products stay exact.
const LARGEST: i64 = 8;

/// The random tensors of one program: floats in [-1, 1) without 0, small integers without 0, booleans, and subscripts
/// inside what they subscript. The values of a tensor depend on the seed and on its name, on nothing else.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    sizes: Vec<i64>,
    /// For tensors that subscript others: one past the largest value allowed.
    subscripts: BTreeMap<String, i64>,
}

impl Random {
    /// For the arguments of `def` with these sizes.
    ///
    /// # Errors
    /// Only bugs of ours.
    pub fn new(seed: u64, def: &Definition, sizes: &[i64]) -> Result<Random> {
        let scop = frontend_tc::lower_at(def, &isl::Ctx::new(), sizes)?;
        let mut subscripts = BTreeMap::new();
        for stmt in scop.stmts.values() {
            for access in stmt.accesses() {
                note_subscripts(&scop, stmt, access, &mut subscripts);
            }
        }
        Ok(Random { seed, sizes: sizes.to_vec(), subscripts })
    }

    /// Random elements for an argument of the definition.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn argument(&self, argument: &frontend_tc::Tensor) -> Result<Tensor> {
        let shape = tensor_shape(argument, &self.sizes);
        let shape = shape.ok_or_else(|| Error::bug(format!("the extents of `{}` overflow", argument.name)))?;
        let no_memory = |error: TensorError| Error::user(Diagnostic::call("TC0909", error.to_string()));
        if let Some(value) = argument.size.and_then(|at| self.sizes.get(at)) {
            return whole(argument.dtype, *value).map_err(no_memory);
        }
        self.tensor(&argument.name, argument.dtype, &shape).map_err(no_memory)
    }

    fn tensor(&self, name: &str, dtype: DType, shape: &[i64]) -> std::result::Result<Tensor, TensorError> {
        let rng = &mut Rng::with_seed(name.bytes().fold(self.seed, mix));
        let limit = self.subscripts.get(name).copied();
        let int = |rng: &mut Rng| match limit {
            Some(limit) => rng.i64(0..limit.max(1)),
            None => small(rng),
        };
        match dtype {
            DType::Bool => fill(shape, || rng.bool()),
            DType::I8 => fill(shape, || int(rng).min(i8::MAX.into()) as i8),
            DType::I16 => fill(shape, || int(rng).min(i16::MAX.into()) as i16),
            DType::I32 => fill(shape, || int(rng).min(i32::MAX.into()) as i32),
            DType::I64 => fill(shape, || int(rng)),
            DType::U8 => fill(shape, || int(rng).unsigned_abs().min(u8::MAX.into()) as u8),
            DType::U16 => fill(shape, || int(rng).unsigned_abs().min(u16::MAX.into()) as u16),
            DType::U32 => fill(shape, || int(rng).unsigned_abs().min(u32::MAX.into()) as u32),
            DType::U64 => fill(shape, || int(rng).unsigned_abs()),
            DType::F16 => fill(shape, || F16(half_bits(rng))),
            DType::BF16 => fill(shape, || Bf16((unit(rng) as f32).to_bits().wrapping_shr(16) as u16)),
            DType::F32 => fill(shape, || unit(rng) as f32),
            DType::F64 => fill(shape, || unit(rng)),
        }
    }
}

/// A scalar of whole numbers.
fn whole(dtype: DType, value: i64) -> std::result::Result<Tensor, TensorError> {
    match dtype {
        DType::I8 => fill(&[], || value as i8),
        DType::I16 => fill(&[], || value as i16),
        DType::I32 => fill(&[], || value as i32),
        DType::U8 => fill(&[], || value as u8),
        DType::U16 => fill(&[], || value as u16),
        DType::U32 => fill(&[], || value as u32),
        DType::U64 => fill(&[], || value as u64),
        _ => fill(&[], || value),
    }
}

fn fill<T: Element>(shape: &[i64], mut next: impl FnMut() -> T) -> std::result::Result<Tensor, TensorError> {
    let mut tensor = Tensor::zeros(T::DTYPE, shape)?;
    tensor.as_mut_slice::<T>()?.iter_mut().for_each(|element| *element = next());
    Ok(tensor)
}

/// An odd multiple of 2⁻²³ in (-1, 1): exact in `float32`, and never 0.
fn unit(rng: &mut Rng) -> f64 {
    let odd = 2 * rng.i32(-(1 << 22)..1 << 22) + 1;
    f64::from(odd) / f64::from(1 << 23)
}

/// The bits of a half with a random sign, an exponent from 2⁻⁴ to 2⁻¹, and random digits.
fn half_bits(rng: &mut Rng) -> u16 {
    rng.u16(0..2) << 15 | rng.u16(11..15) << 10 | rng.u16(0..1 << 10)
}

/// A small integer that is not 0.
fn small(rng: &mut Rng) -> i64 {
    let magnitude = rng.i64(1..=LARGEST);
    if rng.bool() { magnitude } else { -magnitude }
}

/// FNV-1a.
fn mix(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// For every tensor whose elements subscript `access`, how large they may be.
fn note_subscripts(scop: &Scop, stmt: &Stmt, access: &Access, limits: &mut BTreeMap<String, i64>) {
    let tensor = &scop.tensors[access.tensor];
    let dims = ranges(stmt);
    for (subscript, (lower, extent)) in access.index.iter().zip(tensor.lower.iter().zip(&tensor.extent)) {
        let Subscript::Indirect(expr) = subscript else { continue };
        let (Some(lower), Some(extent)) = (lower.as_const(), extent.as_const()) else { continue };
        let limit = largest(expr, &dims, lower, extent);
        for source in loads(stmt, expr) {
            let name = scop.tensors[source].name.clone();
            limits.entry(name).and_modify(|known| *known = (*known).min(limit)).or_insert(limit);
        }
    }
}

/// The smallest and the largest value of each dimension, as far as they are known.
fn ranges(stmt: &Stmt) -> Vec<Option<(i128, i128)>> {
    let range = |at: i32| {
        let (low, high) = (stmt.domain.dim_min_val(at).ok()?, stmt.domain.dim_max_val(at).ok()?);
        Some((low.to_i64().ok()?.into(), high.to_i64().ok()?.into()))
    };
    (0..stmt.dims.len() as i32).map(range).collect()
}

/// One past the largest value of the loads in `expr` with which it stays in `lower .. lower + extent`, while the dimensions
/// are in `dims`. Where the expression is more than what [`interval`] follows, the extent; the call then checks.
fn largest(expr: &Expr, dims: &[Option<(i128, i128)>], lower: i64, extent: i64) -> i64 {
    let fits = |limit: i64| {
        let (low, high) = interval(expr, dims, limit - 1)?;
        Some(low >= i128::from(lower) && high < i128::from(lower) + i128::from(extent))
    };
    if fits(1).is_none() {
        return extent;
    }
    let (mut inside, mut outside) = (0, extent.saturating_add(1));
    while outside - inside > 1 {
        let middle = inside + (outside - inside) / 2;
        if fits(middle) == Some(true) { inside = middle } else { outside = middle }
    }
    inside
}

/// The values that an expression may have when every load is in `0 ..= top`.
fn interval(expr: &Expr, dims: &[Option<(i128, i128)>], top: i64) -> Option<(i128, i128)> {
    let go = |e: &Expr| interval(e, dims, top);
    match expr {
        Expr::Index(index) => {
            let affine = index.affine().filter(|affine| affine.params.is_empty())?;
            affine.dims.iter().try_fold((affine.constant.into(), affine.constant.into()), |(low, high), (at, by)| {
                let (from, to) = (*dims.get(*at)?)?;
                let ends = [from.checked_mul((*by).into())?, to.checked_mul((*by).into())?];
                Some((low + ends.into_iter().min()?, high + ends.into_iter().max()?))
            })
        }
        Expr::Load(_) => Some((0, top.into())),
        Expr::Const(Value::Int(value), _) => Some((*value, *value)),
        Expr::Cast(dtype, e) if dtype.is_int() => go(e),
        Expr::Unary(UnOp::Neg, e) => go(e).map(|(low, high)| (-high, -low)),
        Expr::Binary(BinOp::Add, a, b) => {
            let ((a, b), (c, d)) = (go(a)?, go(b)?);
            Some((a.checked_add(c)?, b.checked_add(d)?))
        }
        Expr::Binary(BinOp::Sub, a, b) => {
            let ((a, b), (c, d)) = (go(a)?, go(b)?);
            Some((a.checked_sub(d)?, b.checked_sub(c)?))
        }
        Expr::Binary(BinOp::Mul, a, b) => {
            let ((a, b), (c, d)) = (go(a)?, go(b)?);
            let corners = [a.checked_mul(c)?, a.checked_mul(d)?, b.checked_mul(c)?, b.checked_mul(d)?];
            Some((corners.into_iter().min()?, corners.into_iter().max()?))
        }
        _ => None,
    }
}

fn loads(stmt: &Stmt, expr: &Expr) -> Vec<TensorId> {
    let mut found = Vec::new();
    expr.visit(&mut |e| {
        if let Expr::Load(at) = e {
            found.extend(stmt.reads.get(*at).map(|read| read.tensor));
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(text: &str, sizes: &[i64]) -> Random {
        let checked = frontend_tc::check(text);
        assert!(!checked.has_errors(), "{:?}", checked.diagnostics);
        Random::new(1, &checked.defs[0], sizes).unwrap()
    }

    const COPY: &str = "def f(float(N) A) -> (B) { B(i) = A(i) }";

    #[test]
    fn no_zeros_and_inside_one() {
        let random = random(COPY, &[4]);
        for dtype in DType::ALL {
            let tensor = random.tensor("A", dtype, &[100, 10]).unwrap();
            assert_eq!(tensor.shape(), [100, 10]);
            if dtype != DType::Bool {
                let zero = vec![0; dtype.bytes() as usize];
                assert!(tensor.as_bytes().chunks(zero.len()).all(|element| element != zero), "{dtype}");
            }
        }
        let floats = random.tensor("A", DType::F32, &[1000]).unwrap();
        let floats = floats.as_slice::<f32>().unwrap();
        assert!(floats.iter().all(|value| (-1.0..1.0).contains(value)));
        assert!(floats.iter().any(|value| *value < -0.5) && floats.iter().any(|value| *value > 0.5));
    }

    #[test]
    fn the_seed_and_the_name_decide() {
        let random = random(COPY, &[4]);
        let bytes = |random: &Random, name| random.tensor(name, DType::F32, &[64]).unwrap().as_bytes().to_vec();
        let other = Random { seed: 2, ..random.clone() };
        assert_eq!(bytes(&random, "A"), bytes(&random, "A"));
        assert_ne!(bytes(&random, "A"), bytes(&random, "B"));
        assert_ne!(bytes(&random, "A"), bytes(&other, "A"));
    }

    #[test]
    fn subscripts_stay_inside() {
        let text = "def f(float(E,D) LUT, int32(N) I) -> (O) { O(n,d) = LUT(I(n),d) }";
        let random = random(text, &[5, 3, 1000]);
        let tensor = random.tensor("I", DType::I32, &[1000]).unwrap();
        let values = tensor.as_slice::<i32>().unwrap();
        assert_eq!((values.iter().min(), values.iter().max()), (Some(&0), Some(&4)));
    }

    #[test]
    fn a_shifted_or_scaled_subscript_leaves_room() {
        let load = || Box::new(Expr::Load(0));
        let int = |value| Box::new(Expr::Const(Value::Int(value), DType::I32));
        let largest = |expr: &Expr| largest(expr, &[Some((0, 3))], 0, 10);
        assert_eq!(largest(&load()), 10);
        assert_eq!(largest(&Expr::Binary(BinOp::Add, load(), int(3))), 7);
        assert_eq!(largest(&Expr::Binary(BinOp::Mul, int(2), load())), 5);
        assert_eq!(largest(&Expr::Binary(BinOp::Sub, load(), int(1))), 0);
        assert_eq!(largest(&Expr::Binary(BinOp::Mod, load(), int(4))), 10);
        // `1 + j + I(i)` with `j` in 0..4.
        let index = Box::new(Expr::Index(polyhedral::Index::Dim(0) + 1));
        assert_eq!(largest(&Expr::Binary(BinOp::Add, index, load())), 6);
    }
}

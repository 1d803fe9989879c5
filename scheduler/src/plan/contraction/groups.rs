//! Products of short types that the target adds in groups: neighbouring steps of the reduction lie next to each other.

use polyhedral::{Access, BinOp, Body, DType, Expr, Monoid, Subscript};
use support::DotProduct;

use super::super::Planner;
use crate::nest::Stride;

/// The least rows that use what is put together for them.
const LEAST_ROWS: u64 = 4;
/// Vector registers that stay free of sums: for factors that all lanes share.
const SHARED_FACTORS: u32 = 2;
/// The same where factors are moved to the sign that the instruction wants.
const MOVED_FACTORS: u32 = 4;

/// Steps of a reduction that one instruction does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Group {
    /// The loop.
    pub(in crate::plan) step: usize,
    /// So many of its iterations.
    pub(in crate::plan) by: u32,
    /// The read whose lanes hold groups, by position.
    pub(super) read: usize,
    /// The dimension of its tensor that the loop moves along.
    pub(super) along: usize,
    /// Vector registers that are needed for more than sums.
    pub(super) registers: u32,
}

impl Planner<'_> {
    /// The groups in which products are added, when the target has an instruction for the types and the accesses allow it;
    /// leaves a remark when it has one and they do not.
    pub(super) fn group(&mut self, rows: usize, columns: usize, reduced: &[usize]) -> Option<Group> {
        let ([x, y], sum) = self.factors()?;
        let types = [x, y].map(|read| self.scop.tensors[self.stmt.reads[read].tensor].dtype);
        let (product, moved) = self.instruction(types, sum)?;
        match self.group_of([x, y], (rows, columns, reduced), &product) {
            Ok((read, step, along)) => {
                let registers = if moved { MOVED_FACTORS } else { SHARED_FACTORS };
                Some(Group { step, by: product.group, read, along, registers })
            }
            Err(why) => {
                self.plan.remarks.push(("products not added in groups", why));
                None
            }
        }
    }

    /// The reads whose product, in the type of the sum, the statement adds, and that type.
    fn factors(&self) -> Option<([usize; 2], DType)> {
        let Body::Reduce { monoid: Monoid { combine, .. }, terms } = &self.stmt.body else { return None };
        let [Expr::Binary(BinOp::Add, a, b)] = combine.as_slice() else { return None };
        if !matches!((&**a, &**b), (Expr::State(0), Expr::Term(0)) | (Expr::Term(0), Expr::State(0))) {
            return None;
        }
        let [Expr::Binary(BinOp::Mul, a, b)] = terms.as_slice() else { return None };
        let sum = self.scop.tensors[self.stmt.writes.first()?.tensor].dtype;
        let factor = |value: &Expr| match value {
            Expr::Cast(dtype, load) if *dtype == sum => match **load {
                Expr::Load(read) => Some(read),
                _ => None,
            },
            _ => None,
        };
        // Sums of floats in groups are rounded in another order.
        (!(self.strict && sum.is_float())).then_some(([factor(a)?, factor(b)?], sum))
    }

    /// The target's instruction for these types; or one whose factors differ in sign, which they can be moved to.
    fn instruction(&self, [a, b]: [DType; 2], sum: DType) -> Option<(DotProduct, bool)> {
        let products = self.target.dot_products();
        let is_sum = |product: &DotProduct| product.sum == sum.name() || (product.sum == "int32" && sum == DType::U32);
        let has = |types: (&str, &str)| {
            products.iter().find(|product| is_sum(product) && (product.left, product.right) == types).copied()
        };
        let direct = has((a.name(), b.name())).or_else(|| has((b.name(), a.name()))).map(|product| (product, false));
        let bytes = a == b && matches!(a, DType::I8 | DType::U8);
        direct.or_else(|| has(("uint8", "int8")).filter(|_| bytes).map(|product| (product, true)))
    }

    /// The read with the lanes, the loop of the steps, and the dimension of the read that it moves along; or why not.
    fn group_of(
        &self,
        [x, y]: [usize; 2],
        (rows, columns, reduced): (usize, usize, &[usize]),
        product: &DotProduct,
    ) -> Result<(usize, usize, usize), String> {
        let read = |at: usize| &self.stmt.reads[at];
        let name = |at: usize| &self.scop.tensors[read(at).tensor].name;
        let is_still = |at: usize| self.stride(read(at), columns) == Stride::Constant;
        let (lanes, shared) = match (is_still(x), is_still(y)) {
            (false, true) => (x, y),
            (true, false) => (y, x),
            _ => return Err("both factors or none of them move along the lanes".into()),
        };
        let steps = || reduced.iter().copied();
        let next = |of: &usize| self.stride(read(shared), *of) == Stride::Unit;
        let Some(step) = steps().find(next) else {
            return Err(format!("neighbouring elements of `{}` are not those of neighbouring steps", name(shared)));
        };
        let Some(along) = self.plain_dimension(read(lanes), step) else {
            return Err(format!("`{}` does not move by one along one dimension for each step", name(lanes)));
        };
        let long = |at: usize, least: u32| self.one(at).extent.is_some_and(|extent| extent >= i64::from(least));
        if !long(step, product.group) || [rows, columns].into_iter().chain(steps()).any(|at| !long(at, 1)) {
            return Err("the sizes are not known, or there are fewer steps than a group has".into());
        }
        if let Some(why) = self.reason_never(read(lanes), columns) {
            return Err(format!("`{}` {why}", name(lanes)));
        }
        if self.users(read(lanes), rows, reduced) < LEAST_ROWS {
            return Err(format!("too few rows use `{}` to pay for putting it together", name(lanes)));
        }
        Ok((lanes, step, along))
    }

    /// The dimension whose subscript is the loop's, when it is in no other.
    fn plain_dimension(&self, access: &Access, of: usize) -> Option<usize> {
        let dim = self.one(of).dim(self.id)?;
        let uses = |subscript: &Subscript| match subscript {
            Subscript::Affine(index) => index.dims_used().contains(&dim),
            Subscript::Indirect(_) => true,
        };
        let mut used = (0..access.index.len()).filter(|&at| uses(&access.index[at]));
        let along = used.next().filter(|_| used.next().is_none())?;
        let Subscript::Affine(index) = &access.index[along] else { return None };
        let affine = index.affine()?;
        (affine.dims.len() == 1
            && affine.dims.get(&dim) == Some(&1)
            && affine.constant == 0
            && affine.params.is_empty())
        .then_some(along)
    }
}

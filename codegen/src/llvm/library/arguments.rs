//! Whether the tensors of a call are what the kernels take: shapes, strides, alignment, overlap.

use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};

use super::super::Result;
use super::formula::Checked;
use super::glue::{Body, Glue};
use super::spec::{Argument, Origin, Status, is_unsigned, unknown};
use crate::Program;

/// Offsets in a `tilewright_tensor`.
const DATA: usize = 0;
const SHAPE: usize = 8;
const STRIDES: usize = 16;

/// Bytes of an element of a shape.
const NUMBER: usize = size_of::<i64>();

/// Most bytes that a tensor may have: differences of addresses stay far from the ends of 64 bits.
const MOST_BYTES: i64 = 1 << 61;

/// The members of a `tilewright_tensor`.
#[derive(Clone, Copy)]
pub(super) struct Given<'c> {
    pub data: PointerValue<'c>,
    shape: PointerValue<'c>,
    strides: PointerValue<'c>,
}

/// A tensor that was found to fit.
#[derive(Clone, Copy)]
pub(super) struct Tensor<'c> {
    /// The strides, of a tensor in row-major order too.
    pub strides: PointerValue<'c>,
    /// Its bytes, from the first to one past the last; both 0 when there are none.
    first: IntValue<'c>,
    end: IntValue<'c>,
}

impl<'c> Glue<'c, '_> {
    /// Reads the structures of a call; none may be null, and no shape of a tensor with dimensions.
    pub fn given(&self, body: &Body<'c>) -> Result<Vec<Given<'c>>> {
        let arguments = self.library.arguments.iter().enumerate();
        let read = |(at, argument): (usize, &Argument)| {
            let structure = body.parameter(at)?.into_pointer_value();
            self.refuse_if(body, self.is_null(structure)?, Status::Null.about(at))?;
            let [data, shape, strides] = [DATA, SHAPE, STRIDES].map(|offset| self.load_pointer(structure, offset));
            let given = Given { data: data?, shape: shape?, strides: strides? };
            if !argument.extent.is_empty() {
                self.refuse_if(body, self.is_null(given.shape)?, Status::Null.about(at))?;
            }
            Ok(given)
        };
        arguments.map(read).collect()
    }

    /// The sizes of a call, from where [`super::Library::origins`] says; `explicit` are those that are arguments.
    pub fn sizes(&self, body: &Body<'c>, given: &[Given<'c>], explicit: &[IntValue<'c>]) -> Result<Vec<IntValue<'c>>> {
        let (origins, names) = (self.library.origins(), self.library.given());
        let mut sizes = vec![self.ir.i64(0); origins.len()];
        let mut known = vec![false; origins.len()];
        for size in self.library.order() {
            sizes[size] = match origins[size] {
                Origin::Given => {
                    let at = names.iter().position(|name| *name == size).unwrap_or_default();
                    explicit.get(at).copied().unwrap_or(sizes[size])
                }
                Origin::Value(at) => self.value_at(body, at, given[at].data)?,
                Origin::Extent(at, dim) => self.load_int(given[at].shape, NUMBER * dim, 64)?,
                Origin::Computed(at, dim) => {
                    let extent = self.load_int(given[at].shape, NUMBER * dim, 64)?;
                    self.solved(&self.library.arguments[at], dim, extent, (&sizes, &known, size))?
                }
            };
            known[size] = true;
        }
        Ok(sizes)
    }

    /// The element of a scalar of whole numbers; one that 64 bits with a sign do not hold is negative, and so no size.
    pub fn value_at(&self, body: &Body<'c>, at: usize, data: PointerValue<'c>) -> Result<IntValue<'c>> {
        let dtype = self.library.arguments[at].dtype;
        self.refuse_if(body, self.is_null(data)?, Status::Null.about(at))?;
        self.refuse_if(body, self.is_unaligned(data, dtype.bytes() as i64)?, Status::Alignment.about(at))?;
        let value = self.load_int(data, 0, dtype.bits().into())?;
        let wide = self.ir.context.i64_type();
        Ok(match is_unsigned(dtype) {
            true => self.ir.builder.build_int_z_extend_or_bit_cast(value, wide, "")?,
            false => self.ir.builder.build_int_s_extend_or_bit_cast(value, wide, "")?,
        })
    }

    /// The size that makes an extent, `2*K + 1`, what was found. Whether one does is seen when all extents are compared.
    fn solved(
        &self,
        argument: &Argument,
        dim: usize,
        found: IntValue<'c>,
        (sizes, known, size): (&[IntValue<'c>], &[bool], usize),
    ) -> Result<IntValue<'c>> {
        let builder = &self.ir.builder;
        let factor = unknown(&argument.extent[dim], &self.library.sizes, known).map_or(1, |(_, factor)| factor);
        // The expression with 0 in the place of the size is what is to be taken off.
        let mut without = sizes.to_vec();
        without[size] = self.ir.i64(0);
        let rest = self.formula(&argument.extent[dim], &without)?.value;
        let difference = builder.build_int_sub(found, rest, "")?;
        Ok(match factor {
            1 => difference,
            -1 => builder.build_int_neg(difference, "")?,
            _ => builder.build_int_signed_div(difference, self.ir.i64(factor), "")?,
        })
    }

    /// Refuses sizes that are none, and those for which a condition does not hold.
    pub fn check_sizes(&self, body: &Body<'c>, sizes: &[IntValue<'c>]) -> Result<()> {
        let refused = Status::Sizes.about(0);
        for size in sizes {
            let most = self.ir.i64(Program::MOST_SIZE);
            self.refuse_if(body, self.compare(IntPredicate::UGT, *size, most)?, refused)?;
        }
        for (at, condition) in self.library.conditions.iter().enumerate() {
            let mut holds = self.bool(false);
            let none = self.ir.i64(0);
            for (expressions, how) in [(&condition.any, IntPredicate::SGE), (&condition.extents, IntPredicate::EQ)] {
                for expression in expressions {
                    let Checked { value, overflow } = self.formula(expression, sizes)?;
                    self.refuse_if(body, overflow, refused)?;
                    holds = self.or(holds, self.compare(how, value, none)?)?;
                }
            }
            self.refuse_if(body, self.ir.builder.build_not(holds, "")?, Status::Condition.about(at))?;
        }
        Ok(())
    }

    /// The extents of a tensor for these sizes.
    pub fn extents(&self, body: &Body<'c>, argument: &Argument, sizes: &[IntValue<'c>]) -> Result<Vec<IntValue<'c>>> {
        let extent = |expression| {
            let Checked { value, overflow } = self.formula(expression, sizes)?;
            let is_negative = self.compare(IntPredicate::SLT, value, self.ir.i64(0))?;
            self.refuse_if(body, self.or(overflow, is_negative)?, Status::Sizes.about(0))?;
            Ok(value)
        };
        argument.extent.iter().map(extent).collect()
    }

    /// Refuses a tensor that does not fit the sizes.
    pub fn tensor(&self, body: &Body<'c>, at: usize, given: &Given<'c>, sizes: &[IntValue<'c>]) -> Result<Tensor<'c>> {
        let argument = &self.library.arguments[at];
        let extents = self.extents(body, argument, sizes)?;
        for (dim, expected) in extents.iter().enumerate() {
            let found = self.load_int(given.shape, NUMBER * dim, 64)?;
            self.refuse_if(body, self.compare(IntPredicate::NE, found, *expected)?, Status::Shape.about(at))?;
        }
        let (dense, bytes) = self.dense(body, argument, &extents)?;
        let mut is_empty = self.bool(false);
        for extent in &extents {
            is_empty = self.or(is_empty, self.compare(IntPredicate::EQ, *extent, self.ir.i64(0))?)?;
        }
        let has_elements = self.ir.builder.build_not(is_empty, "")?;
        let is_lost = self.and(has_elements, self.is_null(given.data)?)?;
        self.refuse_if(body, is_lost, Status::Null.about(at))?;
        let is_unaligned = self.is_unaligned(given.data, argument.dtype.bytes() as i64)?;
        self.refuse_if(body, self.and(has_elements, is_unaligned)?, Status::Alignment.about(at))?;
        let default = self.is_null(given.strides)?;
        let strides = self.ir.builder.build_select(default, dense, given.strides, "")?.into_pointer_value();
        let data = self.ir.builder.build_ptr_to_int(given.data, self.ir.context.i64_type(), "")?;
        let (below, above) = match argument.is_strided {
            true => self.reach(body, at, strides, (&extents, has_elements))?,
            false => {
                self.check_dense(body, at, (strides, dense), (&extents, has_elements))?;
                (self.ir.i64(0), bytes)
            }
        };
        let first = self.ir.builder.build_int_add(data, below, "")?;
        let end = self.ir.builder.build_int_add(data, above, "")?;
        let none = self.ir.i64(0);
        let [first, end] = [first, end].map(|address| self.select(is_empty, none, address));
        Ok(Tensor { strides, first: first?, end: end? })
    }

    fn is_unaligned(&self, data: PointerValue<'c>, bytes: i64) -> Result<IntValue<'c>> {
        let address = self.ir.builder.build_ptr_to_int(data, self.ir.context.i64_type(), "")?;
        let low = self.and(address, self.ir.i64(bytes - 1))?;
        self.compare(IntPredicate::NE, low, self.ir.i64(0))
    }

    /// The strides of a tensor in row-major order, in memory, and its bytes, counting an extent of 0 as 1.
    pub fn dense(
        &self,
        body: &Body<'c>,
        argument: &Argument,
        extents: &[IntValue<'c>],
    ) -> Result<(PointerValue<'c>, IntValue<'c>)> {
        let strides = self.numbers(body, extents.len())?;
        let mut elements = self.sure(self.ir.i64(1));
        for (dim, extent) in extents.iter().enumerate().rev() {
            self.store(strides, NUMBER * dim, elements.value)?;
            let is_less = self.compare(IntPredicate::SLT, *extent, self.ir.i64(1))?;
            let extent = self.sure(self.select(is_less, self.ir.i64(1), *extent)?);
            elements = self.with_overflow("llvm.smul.with.overflow", elements, extent)?;
        }
        let width = self.sure(self.ir.i64(argument.dtype.bytes() as i64));
        let Checked { value, overflow } = self.with_overflow("llvm.smul.with.overflow", elements, width)?;
        let is_more = self.compare(IntPredicate::SGT, value, self.ir.i64(MOST_BYTES))?;
        self.refuse_if(body, self.or(overflow, is_more)?, Status::Sizes.about(0))?;
        Ok((strides, value))
    }

    /// Refuses strides that are not those of the row-major order, where they count.
    fn check_dense(
        &self,
        body: &Body<'c>,
        at: usize,
        (strides, dense): (PointerValue<'c>, PointerValue<'c>),
        (extents, has_elements): (&[IntValue<'c>], IntValue<'c>),
    ) -> Result<()> {
        for (dim, extent) in extents.iter().enumerate() {
            let (found, expected) =
                (self.load_int(strides, NUMBER * dim, 64)?, self.load_int(dense, NUMBER * dim, 64)?);
            let differs = self.compare(IntPredicate::NE, found, expected)?;
            let counts = self.and(has_elements, self.compare(IntPredicate::SGT, *extent, self.ir.i64(1))?)?;
            self.refuse_if(body, self.and(differs, counts)?, Status::Strides.about(at))?;
        }
        Ok(())
    }

    /// The bytes that a strided tensor has from its first element on: the first one, which may come before, and one past the
    /// last.
    fn reach(
        &self,
        body: &Body<'c>,
        at: usize,
        strides: PointerValue<'c>,
        (extents, has_elements): (&[IntValue<'c>], IntValue<'c>),
    ) -> Result<(IntValue<'c>, IntValue<'c>)> {
        let argument = &self.library.arguments[at];
        let width = self.sure(self.ir.i64(argument.dtype.bytes() as i64));
        let none = self.ir.i64(0);
        let (mut below, mut above) = (self.sure(none), width);
        for (dim, extent) in extents.iter().enumerate() {
            let stride = self.sure(self.load_int(strides, NUMBER * dim, 64)?);
            let steps = self.sure(self.ir.builder.build_int_sub(*extent, self.ir.i64(1), "")?);
            let span = self.with_overflow("llvm.smul.with.overflow", stride, steps)?;
            let span = self.with_overflow("llvm.smul.with.overflow", span, width)?;
            let is_back = self.compare(IntPredicate::SLT, span.value, none)?;
            let back = Checked { value: self.select(is_back, span.value, none)?, ..span };
            let on = Checked { value: self.select(is_back, none, span.value)?, ..span };
            below = self.with_overflow("llvm.sadd.with.overflow", below, back)?;
            above = self.with_overflow("llvm.sadd.with.overflow", above, on)?;
        }
        let mut is_wrong = self.or(below.overflow, above.overflow)?;
        is_wrong = self.or(is_wrong, self.compare(IntPredicate::SLT, below.value, self.ir.i64(-MOST_BYTES))?)?;
        is_wrong = self.or(is_wrong, self.compare(IntPredicate::SGT, above.value, self.ir.i64(MOST_BYTES))?)?;
        self.refuse_if(body, self.and(has_elements, is_wrong)?, Status::Strides.about(at))?;
        Ok((below.value, above.value))
    }

    /// Refuses a tensor that is written and shares bytes with another one. Interleaved tensors count as sharing.
    pub fn check_overlap(&self, body: &Body<'c>, tensors: &[Tensor<'c>]) -> Result<()> {
        let is_written = |at: usize| self.library.arguments[at].is_written();
        for (at, tensor) in tensors.iter().enumerate().filter(|(at, _)| is_written(*at)) {
            for (_, other) in
                tensors.iter().enumerate().filter(|(other, _)| *other != at && !(is_written(*other) && *other > at))
            {
                let begins = self.compare(IntPredicate::ULT, tensor.first, other.end)?;
                let ends = self.compare(IntPredicate::ULT, other.first, tensor.end)?;
                self.refuse_if(body, self.and(begins, ends)?, Status::Overlap.about(at))?;
            }
        }
        Ok(())
    }
}

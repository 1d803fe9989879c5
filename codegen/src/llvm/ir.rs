//! LLVM's builder with one name for the scalar and the vector form of each instruction.

use inkwell::builder::Builder;
use inkwell::context::AsContextRef;
use inkwell::context::Context;
use inkwell::intrinsics::Intrinsic;
use inkwell::llvm_sys::core::{
    LLVMBuildAtomicRMW, LLVMBuildGEP2, LLVMMDNodeInContext2, LLVMMDStringInContext2, LLVMMetadataAsValue,
    LLVMReplaceMDNodeOperandWith, LLVMSetMetadata, LLVMValueAsMetadata,
};
use inkwell::llvm_sys::{LLVMAtomicOrdering, LLVMAtomicRMWBinOp};
use inkwell::module::Module;
use inkwell::types::{BasicType, BasicTypeEnum, IntType, PointerType, VectorType};
use inkwell::values::{
    AsValueRef, BasicMetadataValueEnum, BasicValueEnum, CallSiteValue, InstructionOpcode, InstructionValue, IntValue,
    PointerValue, VectorValue,
};
use inkwell::{AddressSpace, FloatPredicate, IntPredicate};

use super::loops::Unrolling;
use super::{Error, Result};

/// A value of LLVM, scalar or vector.
pub(super) type Llvm<'c> = BasicValueEnum<'c>;

/// What a memory does to a word of it in one step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Update {
    FAdd,
    Add,
    Min,
    Max,
    UMin,
    UMax,
    And,
    Or,
    Xor,
}

/// A module under construction.
pub(super) struct Ir<'c> {
    pub context: &'c Context,
    pub module: Module<'c>,
    pub builder: Builder<'c>,
    /// How wide the integers are that addresses, bounds and conditions are computed in.
    index_bits: u32,
}

impl<'c> Ir<'c> {
    pub fn new(context: &'c Context, name: &str, index_bits: u32) -> Ir<'c> {
        Ir { context, module: context.create_module(name), builder: context.create_builder(), index_bits }
    }

    /// A module that has something already.
    pub fn of_module(context: &'c Context, module: Module<'c>) -> Ir<'c> {
        Ir { context, module, builder: context.create_builder(), index_bits: 64 }
    }

    /// What subscripts, bounds and conditions are computed in.
    pub fn index_type(&self) -> IntType<'c> {
        self.int_type(self.index_bits)
    }

    /// A constant for subscripts, bounds and conditions.
    pub fn index(&self, value: i64) -> IntValue<'c> {
        self.index_type().const_int(value as u64, true)
    }

    /// A subscript as a value of the program, which has 64 bits.
    pub fn value_of_index(&self, index: IntValue<'c>) -> Result<IntValue<'c>> {
        match self.index_bits {
            64 => Ok(index),
            _ => Ok(self.builder.build_int_s_extend(index, self.context.i64_type(), "")?),
        }
    }

    /// A value of the program as a subscript, of one lane or several.
    pub fn to_index(&self, value: Llvm<'c>) -> Result<Llvm<'c>> {
        self.cast(InstructionOpcode::Trunc, value, self.index_type())
    }

    pub fn i64(&self, value: i64) -> IntValue<'c> {
        self.context.i64_type().const_int(value as u64, true)
    }

    pub fn i32(&self, value: i32) -> IntValue<'c> {
        self.context.i32_type().const_int(value as u64, true)
    }

    pub fn pointer_type(&self) -> PointerType<'c> {
        self.context.ptr_type(AddressSpace::default())
    }

    /// The integer type of that many bits: 1, 8, 16, 32 or 64.
    pub fn int_type(&self, bits: u32) -> IntType<'c> {
        match bits {
            1 => self.context.bool_type(),
            8 => self.context.i8_type(),
            16 => self.context.i16_type(),
            32 => self.context.i32_type(),
            _ => self.context.i64_type(),
        }
    }

    /// How many bits an integer has, or each lane of a vector of integers.
    pub fn bits_of(&self, value: Llvm<'c>) -> u32 {
        element_type(value.get_type()).into_int_type().get_bit_width()
    }

    /// The constant with those low bits, in every lane of `ty`, an integer type or a vector of one.
    pub fn int_like(&self, ty: BasicTypeEnum<'c>, value: i128) -> Result<Llvm<'c>> {
        let scalar = element_type(ty).into_int_type();
        let mask = u64::MAX >> (64 - scalar.get_bit_width().clamp(1, 64));
        let constant = scalar.const_int(value as u64 & mask, false);
        self.splat(constant.into(), lanes_of_type(ty))
    }

    /// The constant in every lane of `ty`, a floating-point type or a vector of one; rounded to nearest even.
    pub fn float_like(&self, ty: BasicTypeEnum<'c>, value: f64) -> Result<Llvm<'c>> {
        let constant = element_type(ty).into_float_type().const_float(value);
        self.splat(constant.into(), lanes_of_type(ty))
    }

    /// A scalar in every lane; a value that has the lanes already is left alone.
    pub fn splat(&self, value: Llvm<'c>, lanes: u32) -> Result<Llvm<'c>> {
        match (value, lanes_of(value)) {
            (_, have) if have == lanes => Ok(value),
            (_, 1) if is_constant(value) => Ok(VectorType::const_vector(&vec![value; lanes as usize]).into()),
            (_, 1) => {
                let ty = vector_of(value.get_type(), lanes).into_vector_type();
                let first = self.builder.build_insert_element(ty.get_poison(), value, self.i32(0), "")?;
                let zeros = self.context.i32_type().vec_type(lanes).const_zero();
                Ok(self.builder.build_shuffle_vector(first, ty.get_poison(), zeros, "")?.into())
            }
            (_, have) => Err(Error::Malformed(format!("a value of {have} lanes where {lanes} are expected"))),
        }
    }

    /// Both with the same number of lanes.
    pub fn same_lanes(&self, a: Llvm<'c>, b: Llvm<'c>) -> Result<(Llvm<'c>, Llvm<'c>)> {
        let lanes = lanes_of(a).max(lanes_of(b));
        Ok((self.splat(a, lanes)?, self.splat(b, lanes)?))
    }

    /// An instruction with two operands; they get the same lanes.
    pub fn binary(&self, op: InstructionOpcode, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let (a, b) = self.same_lanes(a, b)?;
        Ok(self.builder.build_binop(op, a, b, "")?)
    }

    /// A conversion of each lane to the scalar type `to`.
    pub fn cast(&self, op: InstructionOpcode, value: Llvm<'c>, to: impl BasicType<'c>) -> Result<Llvm<'c>> {
        let ty = vector_of(to.as_basic_type_enum(), lanes_of(value));
        if ty == value.get_type() {
            return Ok(value);
        }
        Ok(self.builder.build_cast(op, value, ty, "")?)
    }

    pub fn compare_ints(&self, op: IntPredicate, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        Ok(match self.same_lanes(a, b)? {
            (Llvm::IntValue(a), Llvm::IntValue(b)) => self.builder.build_int_compare(op, a, b, "")?.into(),
            (Llvm::VectorValue(a), Llvm::VectorValue(b)) => self.builder.build_int_compare(op, a, b, "")?.into(),
            _ => return Err(Error::Malformed("integers compared that are none".into())),
        })
    }

    pub fn compare_floats(&self, op: FloatPredicate, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        Ok(match self.same_lanes(a, b)? {
            (Llvm::FloatValue(a), Llvm::FloatValue(b)) => self.builder.build_float_compare(op, a, b, "")?.into(),
            (Llvm::VectorValue(a), Llvm::VectorValue(b)) => self.builder.build_float_compare(op, a, b, "")?.into(),
            _ => return Err(Error::Malformed("floats compared that are none".into())),
        })
    }

    /// `condition ? a : b`, lane by lane.
    pub fn select(&self, condition: Llvm<'c>, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let (a, b) = self.same_lanes(a, b)?;
        let condition = match lanes_of(condition) {
            1 => condition,
            lanes => {
                let (a, b) = (self.splat(a, lanes)?, self.splat(b, lanes)?);
                return Ok(self.builder.build_select(condition.into_vector_value(), a, b, "")?);
            }
        };
        Ok(self.builder.build_select(condition.into_int_value(), a, b, "")?)
    }

    pub fn negate_float(&self, value: Llvm<'c>) -> Result<Llvm<'c>> {
        Ok(match value {
            Llvm::FloatValue(value) => self.builder.build_float_neg(value, "")?.into(),
            Llvm::VectorValue(value) => self.builder.build_float_neg(value, "")?.into(),
            _ => return Err(Error::Malformed("a float negated that is none".into())),
        })
    }

    pub fn extract(&self, value: Llvm<'c>, lane: u32) -> Result<Llvm<'c>> {
        match value {
            Llvm::VectorValue(vector) => Ok(self.builder.build_extract_element(vector, self.i32(lane as i32), "")?),
            scalar => Ok(scalar),
        }
    }

    /// A vector of the scalars; a single one stays a scalar.
    pub fn gather(&self, lanes: &[Llvm<'c>]) -> Result<Llvm<'c>> {
        let [first, rest @ ..] = lanes else { return Err(Error::Malformed("a vector without lanes".into())) };
        if rest.is_empty() {
            return Ok(*first);
        }
        let mut vector = vector_of(first.get_type(), lanes.len() as u32).into_vector_type().get_poison();
        for (lane, value) in lanes.iter().enumerate() {
            vector = self.builder.build_insert_element(vector, *value, self.i32(lane as i32), "")?;
        }
        Ok(vector.into())
    }

    /// The lanes with these numbers, those of the second vector counted after those of the first.
    pub fn shuffle(&self, a: Llvm<'c>, b: Llvm<'c>, lanes: impl IntoIterator<Item = u32>) -> Result<Llvm<'c>> {
        let (Llvm::VectorValue(a), Llvm::VectorValue(b)) = (a, b) else {
            return Err(Error::Malformed("a shuffle of scalars".into()));
        };
        let order: Vec<_> = lanes.into_iter().map(|lane| self.i32(lane as i32)).collect();
        Ok(self.builder.build_shuffle_vector(a, b, VectorType::const_vector(&order), "")?.into())
    }

    /// Some lanes that follow each other; a single one is a scalar.
    pub fn lanes(&self, value: Llvm<'c>, first: u32, count: u32) -> Result<Llvm<'c>> {
        let Llvm::VectorValue(vector) = value else { return Ok(value) };
        if count == 1 {
            return self.extract(value, first);
        }
        let order: Vec<_> = (first..first + count).map(|lane| self.i32(lane as i32)).collect();
        let poison = vector.get_type().get_poison();
        Ok(self.builder.build_shuffle_vector(vector, poison, VectorType::const_vector(&order), "")?.into())
    }

    /// One vector of all lanes of the parts, none of which has more lanes than the first.
    pub fn concatenate(&self, parts: &[Llvm<'c>]) -> Result<Llvm<'c>> {
        let [first, rest @ ..] = parts else { return Err(Error::Malformed("a vector without lanes".into())) };
        rest.iter().try_fold(*first, |all, part| {
            let (have, more) = (lanes_of(all), lanes_of(*part));
            // Both operands of a shuffle have one type, so the shorter one grows.
            let wide = self.lengthen(*part, have)?;
            let order: Vec<_> = (0..have + more).map(|lane| self.i32(lane as i32)).collect();
            let (Llvm::VectorValue(all), Llvm::VectorValue(wide)) = (all, wide) else {
                return Err(Error::Malformed("scalars where vectors are expected".into()));
            };
            Ok(self.builder.build_shuffle_vector(all, wide, VectorType::const_vector(&order), "")?.into())
        })
    }

    /// A vector of that many lanes that begins with those of a value.
    pub fn lengthen(&self, value: Llvm<'c>, lanes: u32) -> Result<Llvm<'c>> {
        let Llvm::VectorValue(vector) = value else {
            return self.splat(value, lanes);
        };
        if vector.get_type().get_size() == lanes {
            return Ok(value);
        }
        let have = vector.get_type().get_size();
        let order: Vec<_> = (0..lanes).map(|lane| self.i32(if lane < have { lane } else { 0 } as i32)).collect();
        let poison = vector.get_type().get_poison();
        Ok(self.builder.build_shuffle_vector(vector, poison, VectorType::const_vector(&order), "")?.into())
    }

    /// The lanes in the opposite order.
    pub fn reverse(&self, value: Llvm<'c>) -> Result<Llvm<'c>> {
        let Llvm::VectorValue(vector) = value else { return Ok(value) };
        self.shuffle(value, vector.get_type().get_poison().into(), (0..lanes_of(value)).rev())
    }

    /// These lanes of a vector, in this order; a single one is a scalar.
    pub fn pick(&self, value: Llvm<'c>, lanes: &[u32]) -> Result<Llvm<'c>> {
        let Llvm::VectorValue(vector) = value else { return Ok(value) };
        if let [lane] = lanes {
            return self.extract(value, *lane);
        }
        let order: Vec<_> = lanes.iter().map(|&lane| self.i32(lane as i32)).collect();
        let poison = vector.get_type().get_poison();
        Ok(self.builder.build_shuffle_vector(vector, poison, VectorType::const_vector(&order), "")?.into())
    }

    /// Whether one lane holds: an `i1`.
    pub fn any(&self, mask: Llvm<'c>) -> Result<IntValue<'c>> {
        match mask {
            Llvm::VectorValue(_) => {
                Ok(self.intrinsic("llvm.vector.reduce.or", &[mask.get_type()], &[mask])?.into_int_value())
            }
            scalar => Ok(scalar.into_int_value()),
        }
    }

    /// A call of an intrinsic that returns a value.
    pub fn intrinsic(&self, name: &str, types: &[BasicTypeEnum<'c>], arguments: &[Llvm<'c>]) -> Result<Llvm<'c>> {
        let call = self.call_intrinsic(name, types, arguments)?;
        call.try_as_basic_value().basic().ok_or_else(|| Error::Malformed(format!("`{name}` has no result")))
    }

    /// A call of an intrinsic.
    pub fn call_intrinsic(
        &self,
        name: &str,
        types: &[BasicTypeEnum<'c>],
        arguments: &[Llvm<'c>],
    ) -> Result<CallSiteValue<'c>> {
        let function = Intrinsic::find(name)
            .and_then(|intrinsic| intrinsic.get_declaration(&self.module, types))
            .ok_or_else(|| Error::Malformed(format!("LLVM has no `{name}`")))?;
        let arguments: Vec<BasicMetadataValueEnum<'c>> = arguments.iter().map(|argument| (*argument).into()).collect();
        Ok(self.builder.build_call(function, &arguments, "")?)
    }

    /// `base + offset` elements of type `element`, as an address that need not be inside any object.
    pub fn element(
        &self,
        base: PointerValue<'c>,
        element: impl BasicType<'c>,
        offset: IntValue<'c>,
    ) -> Result<PointerValue<'c>> {
        // SAFETY: one index into a scalar element type is a well-formed address computation, whatever its value.
        Ok(unsafe { self.builder.build_gep(element, base, &[offset], "")? })
    }

    /// Updates what a pointer points at, in one step that orders nothing else.
    pub fn update(&self, how: Update, pointer: PointerValue<'c>, value: Llvm<'c>) {
        let how = match how {
            Update::FAdd => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpFAdd,
            Update::Add => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpAdd,
            Update::Min => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpMin,
            Update::Max => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpMax,
            Update::UMin => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpUMin,
            Update::UMax => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpUMax,
            Update::And => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpAnd,
            Update::Or => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpOr,
            Update::Xor => LLVMAtomicRMWBinOp::LLVMAtomicRMWBinOpXor,
        };
        let relaxed = LLVMAtomicOrdering::LLVMAtomicOrderingMonotonic;
        let (pointer, value) = (pointer.as_value_ref(), value.as_value_ref());
        // SAFETY: builder, pointer and value are alive and of one context, and the builder stands in a block. inkwell's own
        // function takes no floats.
        unsafe { LLVMBuildAtomicRMW(self.builder.as_mut_ptr(), how, pointer, value, relaxed, 0) };
    }

    /// `base + offset` for every lane of the offsets: a vector of pointers.
    pub fn elements(
        &self,
        base: PointerValue<'c>,
        element: impl BasicType<'c>,
        offsets: VectorValue<'c>,
    ) -> Result<Llvm<'c>> {
        let mut index = [offsets.as_value_ref()];
        // SAFETY: builder, type, pointer and index are alive and of one context; a vector of 64-bit integers is a legal
        // index and makes the result a vector of pointers, which inkwell's own function cannot return.
        Ok(unsafe {
            VectorValue::new(LLVMBuildGEP2(
                self.builder.as_mut_ptr(),
                element.as_type_ref(),
                base.as_value_ref(),
                index.as_mut_ptr(),
                1,
                c"".as_ptr(),
            ))
        }
        .into())
    }
}

impl<'c> Ir<'c> {
    /// Says how a loop, of which this branch begins the next iteration, is unrolled (LLVM's `llvm.loop` metadata: a node
    /// whose first operand is itself).
    pub fn unroll(&self, branch: InstructionValue<'c>, unrolling: Unrolling) {
        let context = self.context.as_ctx_ref();
        let (name, count) = match unrolling {
            Unrolling::Whole => ("llvm.loop.unroll.full", None),
            Unrolling::By(count) => ("llvm.loop.unroll.count", Some(count)),
        };
        let count = count.map(|count| self.context.i32_type().const_int(count.into(), false));
        // SAFETY: context, branch and constant are alive and of one context, which the nodes are made in; the name is as
        // long as it says. The operand that is replaced is the first of two.
        unsafe {
            let mut hint = vec![LLVMMDStringInContext2(context, name.as_ptr().cast(), name.len())];
            hint.extend(count.map(|count| LLVMValueAsMetadata(count.as_value_ref())));
            let hint = LLVMMDNodeInContext2(context, hint.as_mut_ptr(), hint.len());
            let mut own = [LLVMMDNodeInContext2(context, std::ptr::null_mut(), 0), hint];
            let own = LLVMMDNodeInContext2(context, own.as_mut_ptr(), own.len());
            let value = LLVMMetadataAsValue(context, own);
            LLVMReplaceMDNodeOperandWith(value, 0, own);
            LLVMSetMetadata(branch.as_value_ref(), self.context.get_kind_id("llvm.loop"), value);
        }
    }
}

/// The type with that many lanes; one lane is the scalar itself.
pub(super) fn vector_of(scalar: BasicTypeEnum<'_>, lanes: u32) -> BasicTypeEnum<'_> {
    match scalar {
        _ if lanes == 1 => scalar,
        BasicTypeEnum::IntType(ty) => ty.vec_type(lanes).into(),
        BasicTypeEnum::FloatType(ty) => ty.vec_type(lanes).into(),
        BasicTypeEnum::PointerType(ty) => ty.vec_type(lanes).into(),
        other => other,
    }
}

/// The type of a lane.
pub(super) fn element_type(ty: BasicTypeEnum<'_>) -> BasicTypeEnum<'_> {
    match ty {
        BasicTypeEnum::VectorType(vector) => vector.get_element_type(),
        scalar => scalar,
    }
}

/// How many lanes a value has.
pub(super) fn lanes_of(value: Llvm<'_>) -> u32 {
    lanes_of_type(value.get_type())
}

fn lanes_of_type(ty: BasicTypeEnum<'_>) -> u32 {
    match ty {
        BasicTypeEnum::VectorType(vector) => vector.get_size(),
        _ => 1,
    }
}

fn is_constant(value: Llvm<'_>) -> bool {
    match value {
        Llvm::IntValue(value) => value.is_const(),
        Llvm::FloatValue(value) => value.is_const(),
        _ => false,
    }
}

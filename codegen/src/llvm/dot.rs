//! Sums of a few products in one instruction: what LLVM calls those of [`DotProduct`], and how their operands are put together.
//!
//! ```text
//! factors next to each other, lanes too     one load; each lane gets the bytes of its factors as an integer
//! the same in all lanes                     one load of those bytes, in every lane
//! moved by a constant                       the same, and one addition of bytes
//! anything else                             factor by factor, shifted to its place
//! no instruction                            multiplied and added one after the other
//! ```

use inkwell::types::BasicTypeEnum;
use inkwell::values::{BasicValue, InstructionOpcode as Opcode};
use polyhedral::{BinOp, DType};
use support::DotProduct;

use super::emitter::{Emitter, Frame};
use super::expr::Typed;
use super::ir::{Llvm, lanes_of, vector_of};
use super::isa::Architecture;
use super::memory::Lanes;
use super::{Error, Result};
use crate::Value;
use crate::passes::distance_of;

/// What the operands of an intrinsic are vectors of.
#[derive(Clone, Copy)]
enum Operand {
    /// 32-bit integers, each a group.
    Groups,
    /// The factors.
    Bytes,
    /// The factors.
    Bfloats,
}

/// One intrinsic.
struct Intrinsic {
    name: &'static str,
    operand: Operand,
    /// Whether LLVM wants to know the types.
    overloaded: bool,
}

/// LLVM 19's names (IntrinsicsX86.td, IntrinsicsAArch64.td), by architecture, bytes of a register, and types.
const NAMES: &[(Architecture, u32, &str, &str, &str, Operand)] = &[
    (Architecture::X86, 64, "uint8", "int8", "llvm.x86.avx512.vpdpbusd.512", Operand::Groups),
    (Architecture::X86, 64, "int16", "int16", "llvm.x86.avx512.vpdpwssd.512", Operand::Groups),
    (Architecture::X86, 64, "bfloat16", "bfloat16", "llvm.x86.avx512bf16.dpbf16ps.512", Operand::Bfloats),
    (Architecture::X86, 32, "int8", "int8", "llvm.x86.avx2.vpdpbssd.256", Operand::Groups),
    (Architecture::X86, 32, "uint8", "uint8", "llvm.x86.avx2.vpdpbuud.256", Operand::Groups),
    (Architecture::X86, 32, "uint8", "int8", "llvm.x86.avx512.vpdpbusd.256", Operand::Groups),
    (Architecture::X86, 32, "int16", "int16", "llvm.x86.avx512.vpdpwssd.256", Operand::Groups),
    (Architecture::AArch64, 16, "int8", "int8", "llvm.aarch64.neon.sdot", Operand::Bytes),
    (Architecture::AArch64, 16, "uint8", "uint8", "llvm.aarch64.neon.udot", Operand::Bytes),
    (Architecture::AArch64, 16, "uint8", "int8", "llvm.aarch64.neon.usdot", Operand::Bytes),
    (Architecture::AArch64, 16, "bfloat16", "bfloat16", "llvm.aarch64.neon.bfdot", Operand::Bfloats),
];

impl Intrinsic {
    fn of(architecture: Architecture, product: &DotProduct) -> Option<Intrinsic> {
        let is_meant = |row: &&(Architecture, u32, &str, &str, &str, Operand)| {
            (row.0, row.1, row.2, row.3) == (architecture, product.bytes, product.left, product.right)
        };
        let (.., name, operand) = NAMES.iter().find(is_meant)?;
        Some(Intrinsic { name, operand: *operand, overloaded: architecture == Architecture::AArch64 })
    }
}

impl<'c> Emitter<'c, '_> {
    /// A [`Value::Dot`].
    pub fn dot(
        &self,
        frame: &mut Frame<'c>,
        sum: &Value,
        left: &[Value],
        right: &[Value],
        lanes: u32,
    ) -> Result<Typed<'c>> {
        let sum = self.value(frame, sum, lanes)?;
        let (Some(left_type), Some(right_type)) = (self.type_of(left), self.type_of(right)) else {
            return Err(Error::Malformed("a sum of no products".into()));
        };
        let serves = |product: &&DotProduct| {
            let is_sum = sum.dtype.name() == product.sum || (product.sum == "int32" && sum.dtype == DType::U32);
            let types = (product.left, product.right, product.group as usize);
            is_sum && types == (left_type.name(), right_type.name(), left.len())
        };
        let found = self.machine.dots.iter().find(serves).copied();
        match found.and_then(|product| Some((product, Intrinsic::of(self.machine.architecture, &product)?))) {
            Some((product, intrinsic)) => {
                let left = self.packed(frame, left, left_type, lanes)?;
                let right = self.packed(frame, right, right_type, lanes)?;
                let llvm = self.in_registers(&product, &intrinsic, self.ir.splat(sum.llvm, lanes)?, left, right)?;
                Ok(Typed { llvm, dtype: sum.dtype })
            }
            None => self.one_by_one(frame, sum, left, right, lanes),
        }
    }

    fn one_by_one(
        &self,
        frame: &mut Frame<'c>,
        sum: Typed<'c>,
        left: &[Value],
        right: &[Value],
        lanes: u32,
    ) -> Result<Typed<'c>> {
        left.iter().zip(right).try_fold(sum, |sum, (left, right)| {
            let (left, right) = (self.value(frame, left, lanes)?, self.value(frame, right, lanes)?);
            let (left, right) = (self.cast(left, sum.dtype)?, self.cast(right, sum.dtype)?);
            if sum.dtype.is_float() {
                return self.fused_multiply_add(frame, left, right, sum);
            }
            let product = self.binary(frame, BinOp::Mul, left, right)?;
            self.binary(frame, BinOp::Add, sum, product)
        })
    }

    /// Register by register; what is shorter than one is lengthened.
    fn in_registers(
        &self,
        product: &DotProduct,
        intrinsic: &Intrinsic,
        sum: Llvm<'c>,
        left: Llvm<'c>,
        right: Llvm<'c>,
    ) -> Result<Llvm<'c>> {
        let (lanes, register) = (lanes_of(sum), product.bytes / GROUP_BYTES);
        let whole = lanes.next_multiple_of(register);
        let parts = (0..whole).step_by(register as usize).map(|first| {
            let part = |value: Llvm<'c>| match lanes_of(value) {
                1 => self.ir.splat(value, register),
                _ => self.ir.lanes(self.ir.lengthen(value, whole)?, first, register),
            };
            let sum = part(sum)?;
            let [left, right] = [part(left)?, part(right)?].map(|operand| self.operand(product, intrinsic, operand));
            let (left, right) = (left?, right?);
            let types: &[BasicTypeEnum<'c>] =
                if intrinsic.overloaded { &[sum.get_type(), left.get_type()] } else { &[] };
            self.ir.intrinsic(intrinsic.name, types, &[sum, left, right])
        });
        let all = self.ir.concatenate(&parts.collect::<Result<Vec<_>>>()?)?;
        if whole == lanes { Ok(all) } else { self.ir.lanes(all, 0, lanes) }
    }

    /// A register of groups as the intrinsic wants it.
    fn operand(&self, product: &DotProduct, intrinsic: &Intrinsic, groups: Llvm<'c>) -> Result<Llvm<'c>> {
        let factors = |factor: BasicTypeEnum<'c>| {
            let ty = vector_of(factor, product.bytes / GROUP_BYTES * product.group);
            Ok(self.ir.builder.build_bit_cast(groups, ty, "")?)
        };
        match intrinsic.operand {
            Operand::Groups => Ok(groups),
            Operand::Bytes => factors(self.ir.context.i8_type().into()),
            Operand::Bfloats => factors(self.ir.context.bf16_type().into()),
        }
    }

    /// The bytes of a group of factors as one integer: of each lane, or one for all.
    fn packed(&self, frame: &mut Frame<'c>, factors: &[Value], dtype: DType, lanes: u32) -> Result<Llvm<'c>> {
        if let Some(loaded) = self.loaded_together(frame, factors, lanes)? {
            return Ok(loaded);
        }
        if let Some((inner, by)) = shifted(factors) {
            let inner = self.packed(frame, &inner, dtype, lanes)?;
            let by = self.value(frame, by, 1)?.expect(dtype)?.llvm;
            let bytes = self.memory_type(dtype);
            let count = lanes_of(inner) * GROUP_BYTES / dtype.bytes();
            let taken_apart = self.ir.builder.build_bit_cast(inner, vector_of(bytes, count), "")?;
            let sum = self.ir.binary(Opcode::Add, taken_apart, by)?;
            return Ok(self.ir.builder.build_bit_cast(sum, inner.get_type(), "")?);
        }
        if let Some((inner, dtype)) = self.reinterpreted(factors) {
            return self.packed(frame, &inner, dtype, lanes);
        }
        let group = self.ir.context.i32_type();
        let mut all: Llvm<'c> = group.const_zero().into();
        for (at, factor) in (0..).zip(factors) {
            let value = self.value(frame, factor, lanes)?.expect(dtype)?;
            let bits = self.ir.cast(Opcode::ZExt, self.pack(value)?, group)?;
            let place = self.ir.int_like(bits.get_type(), (at * dtype.bits()).into())?;
            all = self.ir.binary(Opcode::Or, all, self.ir.binary(Opcode::Shl, bits, place)?)?;
        }
        Ok(all)
    }

    /// One load for factors that lie next to each other in memory, as their lanes do; none for others.
    fn loaded_together(&self, frame: &mut Frame<'c>, factors: &[Value], lanes: u32) -> Result<Option<Llvm<'c>>> {
        let [Value::Load { buffer, at, mask }, ..] = factors else { return Ok(None) };
        let strides = &self.buffer(*buffer)?.strides;
        let is_next = |(distance, factor): (i64, &Value)| match factor {
            Value::Load { buffer: own, at: there, mask: own_mask } => {
                own == buffer && own_mask == mask && distance_of(at, there, strides) == Some(distance)
            }
            _ => false,
        };
        if !(0i64..).zip(factors).all(is_next) {
            return Ok(None);
        }
        let element = self.element(frame, *buffer)?;
        let address = self.address(frame, *buffer, at, lanes)?;
        let count = match address.lanes {
            Lanes::Same => 1,
            Lanes::Step(step) if step.get_sign_extended_constant() == Some(factors.len() as i64) => lanes,
            _ => return Ok(None),
        };
        let ty = vector_of(self.ir.context.i32_type().into(), count);
        let pointer = self.ir.element(element.pointer, self.memory_type(element.dtype), address.base)?;
        if let Some(mask) = mask {
            if count == 1 {
                return Ok(None);
            }
            let mask = self.mask(frame, mask, lanes)?;
            let (pointer, nothing): (Llvm<'c>, Llvm<'c>) = (pointer.into(), ty.const_zero());
            let arguments = [pointer, self.alignment(&element), self.ir.splat(mask, lanes)?, nothing];
            let value = self.ir.intrinsic("llvm.masked.load", &[ty, pointer.get_type()], &arguments)?;
            self.describe_access(&element, value.as_instruction_value(), false)?;
            return Ok(Some(value));
        }
        let value = self.ir.builder.build_load(ty, pointer, "")?;
        self.describe_access(&element, value.as_instruction_value(), true)?;
        Ok(Some(value))
    }

    /// What is below conversions between integers of as many bits, which leave the bits as they are.
    fn reinterpreted(&self, factors: &[Value]) -> Option<(Vec<Value>, DType)> {
        let inner = factors.iter().map(|factor| match factor {
            Value::Cast(_, inner) => Some(Value::clone(inner)),
            _ => None,
        });
        let inner: Vec<Value> = inner.collect::<Option<_>>()?;
        let (outside, inside) = (self.type_of(factors)?, self.type_of(&inner)?);
        (outside.is_int() && inside.is_int() && outside.bits() == inside.bits()).then_some((inner, inside))
    }

    fn type_of(&self, factors: &[Value]) -> Option<DType> {
        factors.first()?.dtype(self.program)
    }
}

/// Bytes of a group, which are those of a sum.
const GROUP_BYTES: u32 = 4;

/// Factors that are integers of one type moved by one constant, taken as another type of as many bits.
fn shifted(factors: &[Value]) -> Option<(Vec<Value>, &Value)> {
    let one = |factor: &Value| match factor {
        Value::Binary(BinOp::Add, value, by) if matches!(**by, Value::Const(..)) => match &**value {
            Value::Cast(..) => Some(Value::clone(value)),
            _ => None,
        },
        _ => None,
    };
    let [Value::Binary(_, _, by), ..] = factors else { return None };
    let is_same = |factor: &Value| matches!(factor, Value::Binary(_, _, own) if own == by);
    let inner: Vec<Value> = factors.iter().filter(|factor| is_same(factor)).map(one).collect::<Option<_>>()?;
    (inner.len() == factors.len()).then_some((inner, by))
}

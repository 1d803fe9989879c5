//! A [`Formula`] as LLVM's instructions.

use inkwell::basic_block::BasicBlock;
use inkwell::module::Linkage;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{InstructionOpcode, PointerValue};
use inkwell::{FloatPredicate, IntPredicate};
use polyhedral::DType;

use super::formula::{Formula, Op, Step, Table, Type};
use crate::llvm::emitter::{Emitter, Frame};
use crate::llvm::ir::{Llvm, lanes_of, vector_of};
use crate::llvm::{Error, Result};

/// A formula on its way.
struct Emission<'e, 'c, 'p> {
    emitter: &'e Emitter<'c, 'p>,
    frame: &'e Frame<'c>,
    lanes: u32,
    arguments: &'e [Llvm<'c>],
    /// By step; one that gives no value has none.
    values: Vec<Option<Llvm<'c>>>,
    /// Where the rare steps are left out from, and where they end.
    ways: Option<(BasicBlock<'c>, BasicBlock<'c>)>,
}

/// The value of the formula at the arguments, which have equally many lanes.
pub(super) fn emit<'c>(
    emitter: &Emitter<'c, '_>,
    frame: &Frame<'c>,
    formula: &Formula,
    arguments: &[Llvm<'c>],
) -> Result<Llvm<'c>> {
    let lanes = arguments.iter().map(|argument| lanes_of(*argument)).max().unwrap_or(1);
    let mut emission = Emission { emitter, frame, lanes, arguments, values: Vec::new(), ways: None };
    for step in formula.steps() {
        let value = emission.step(&step)?;
        emission.values.push(value);
    }
    emission.values.pop().flatten().ok_or_else(|| Error::Malformed("a formula without a value".into()))
}

impl<'c> Emission<'_, 'c, '_> {
    fn step(&mut self, step: &Step) -> Result<Option<Llvm<'c>>> {
        match step.op {
            Op::Rarely => self.begin_rare(self.operand(step, 0)?).map(|()| None),
            Op::Join => self.end_rare().map(|()| None),
            _ => self.value(step).map(Some),
        }
    }

    fn value(&self, step: &Step) -> Result<Llvm<'c>> {
        let ir = &self.emitter.ir;
        let ty = self.llvm_type(step.ty);
        let operand = |n: usize| self.operand(step, n);
        let binary = |op| ir.binary(op, operand(0)?, operand(1)?);
        let floats = |predicate| ir.compare_floats(predicate, operand(0)?, operand(1)?);
        let shift = |op, by: u32| ir.binary(op, operand(0)?, ir.int_like(ty, by.into())?);
        match step.op {
            Op::Argument(n) => {
                self.arguments.get(n as usize).copied().ok_or_else(|| Error::Malformed("an argument is missing".into()))
            }
            Op::Constant(value) => ir.float_like(ty, value),
            Op::Integer(value) => ir.int_like(ty, value.into()),
            Op::Add => binary(InstructionOpcode::FAdd),
            Op::Sub => binary(InstructionOpcode::FSub),
            Op::Mul => binary(InstructionOpcode::FMul),
            Op::Div => binary(InstructionOpcode::FDiv),
            Op::Fma => ir.intrinsic("llvm.fma", &[ty], &[operand(0)?, operand(1)?, operand(2)?]),
            Op::Neg => ir.negate_float(operand(0)?),
            Op::Abs => ir.intrinsic("llvm.fabs", &[ty], &[operand(0)?]),
            Op::Sqrt => ir.intrinsic("llvm.sqrt", &[ty], &[operand(0)?]),
            Op::Round => ir.intrinsic("llvm.roundeven", &[ty], &[operand(0)?]),
            Op::CopySign => ir.intrinsic("llvm.copysign", &[ty], &[operand(0)?, operand(1)?]),
            Op::Scale => self.scale(operand(0)?, operand(1)?),
            Op::Widen => ir.cast(InstructionOpcode::FPExt, operand(0)?, self.scalar_type(step.ty)),
            Op::Narrow => ir.cast(InstructionOpcode::FPTrunc, operand(0)?, self.scalar_type(step.ty)),
            Op::Reinterpret => ir.cast(InstructionOpcode::BitCast, operand(0)?, self.scalar_type(step.ty)),
            Op::IntAdd => binary(InstructionOpcode::Add),
            Op::IntSub => binary(InstructionOpcode::Sub),
            Op::And | Op::MaskAnd => binary(InstructionOpcode::And),
            Op::Or | Op::MaskOr => binary(InstructionOpcode::Or),
            Op::Xor => binary(InstructionOpcode::Xor),
            Op::MaskNot => ir.binary(InstructionOpcode::Xor, operand(0)?, ir.int_like(ty, 1)?),
            Op::ShiftLeft(by) => shift(InstructionOpcode::Shl, by),
            Op::ShiftRight(by) => shift(InstructionOpcode::LShr, by),
            Op::Less => floats(FloatPredicate::OLT),
            Op::LessEqual => floats(FloatPredicate::OLE),
            Op::Equal => floats(FloatPredicate::OEQ),
            Op::IsNan => ir.compare_floats(FloatPredicate::UNO, operand(0)?, operand(0)?),
            Op::IntLess => ir.compare_ints(IntPredicate::SLT, operand(0)?, operand(1)?),
            Op::IntEqual => ir.compare_ints(IntPredicate::EQ, operand(0)?, operand(1)?),
            Op::Select => ir.select(operand(0)?, operand(1)?, operand(2)?),
            Op::Lookup(table) => self.lookup(table, operand(0)?),
            Op::Library(builtin) => self.emitter.library(self.frame, builtin.name(), dtype(step.ty)?, &[operand(0)?]),
            Op::Merge => self.merge(operand(0)?, operand(1)?),
            Op::Rarely | Op::Join => Err(Error::Malformed("a step without a value is asked for one".into())),
        }
    }

    /// `vscalefps` and `vscalefpd` of a register of 512 bits, in all lanes and rounded as everything else.
    fn scale(&self, value: Llvm<'c>, by: Llvm<'c>) -> Result<Llvm<'c>> {
        const ROUND_AS_SET: i32 = 4;
        let ir = &self.emitter.ir;
        let name = match self.lanes {
            16 => "llvm.x86.avx512.mask.scalef.ps.512",
            _ => "llvm.x86.avx512.mask.scalef.pd.512",
        };
        let all = ir.int_like(ir.int_type(self.lanes).into(), -1)?;
        ir.intrinsic(name, &[], &[value, by, value, all, ir.i32(ROUND_AS_SET).into()])
    }

    fn operand(&self, step: &Step, n: usize) -> Result<Llvm<'c>> {
        let value = self.values.get(step.operands[n] as usize).copied().flatten();
        value.ok_or_else(|| Error::Malformed("a formula uses a step that has no value".into()))
    }

    fn scalar_type(&self, ty: Type) -> BasicTypeEnum<'c> {
        let context = self.emitter.ir.context;
        match ty {
            Type::F32 => context.f32_type().into(),
            Type::F64 => context.f64_type().into(),
            Type::I32 => context.i32_type().into(),
            Type::I64 => context.i64_type().into(),
            Type::Mask => context.bool_type().into(),
        }
    }

    fn llvm_type(&self, ty: Type) -> BasicTypeEnum<'c> {
        vector_of(self.scalar_type(ty), self.lanes)
    }

    /// Goes into a block of its own, which is left out when no lane of the mask is set.
    fn begin_rare(&mut self, mask: Llvm<'c>) -> Result<()> {
        let ir = &self.emitter.ir;
        let any = ir.any(mask)?;
        let before = self.here()?;
        let rare = ir.context.insert_basic_block_after(before, "rare");
        let after = ir.context.insert_basic_block_after(rare, "");
        let branch = ir.builder.build_conditional_branch(any, rare, after)?;
        let described = self.emitter.alias.describe_rare(ir.context, branch);
        described.map_err(|error| Error::Malformed(error.to_string()))?;
        ir.builder.position_at_end(rare);
        self.ways = Some((before, after));
        Ok(())
    }

    fn end_rare(&mut self) -> Result<()> {
        let builder = &self.emitter.ir.builder;
        let (before, after) = self.ways.ok_or_else(|| Error::Malformed("rare steps end before they begin".into()))?;
        let there = self.here()?;
        builder.build_unconditional_branch(after)?;
        builder.position_at_end(after);
        self.ways = Some((before, there));
        Ok(())
    }

    fn merge(&self, there: Llvm<'c>, otherwise: Llvm<'c>) -> Result<Llvm<'c>> {
        let (before, rare) = self.ways.ok_or_else(|| Error::Malformed("nothing rare to merge".into()))?;
        let phi = self.emitter.ir.builder.build_phi(otherwise.get_type(), "")?;
        phi.add_incoming(&[(&otherwise, before), (&there, rare)]);
        Ok(phi.as_basic_value())
    }

    fn here(&self) -> Result<BasicBlock<'c>> {
        let block = self.emitter.ir.builder.get_insert_block();
        block.ok_or_else(|| Error::Malformed("the builder is nowhere".into()))
    }

    /// A gather of constants.
    fn lookup(&self, table: &Table, subscripts: Llvm<'c>) -> Result<Llvm<'c>> {
        let ir = &self.emitter.ir;
        let double = ir.context.f64_type();
        let base = self.constants(table);
        let wide = ir.cast(InstructionOpcode::ZExt, subscripts, ir.context.i64_type())?;
        let Llvm::VectorValue(vector) = wide else {
            return Ok(ir.builder.build_load(double, ir.element(base, double, wide.into_int_value())?, "")?);
        };
        let pointers = ir.elements(base, double, vector)?;
        let all = ir.int_like(self.llvm_type(Type::Mask), 1)?;
        let result = self.llvm_type(Type::F64);
        let alignment = ir.i32(size_of::<f64>() as i32).into();
        let nothing = ir.float_like(result, 0.0)?;
        ir.intrinsic("llvm.masked.gather", &[result, pointers.get_type()], &[pointers, alignment, all, nothing])
    }

    /// The table's address in the object, where it lies once.
    fn constants(&self, table: &Table) -> PointerValue<'c> {
        let module = &self.emitter.ir.module;
        let global = module.get_global(table.name).unwrap_or_else(|| {
            let double = self.emitter.ir.context.f64_type();
            let values: Vec<_> = table.values.iter().map(|value| double.const_float(*value)).collect();
            let contents = double.const_array(&values);
            let global = module.add_global(contents.get_type(), None, table.name);
            global.set_initializer(&contents);
            global.set_constant(true);
            global.set_linkage(Linkage::Internal);
            global
        });
        global.as_pointer_value()
    }
}

fn dtype(ty: Type) -> Result<DType> {
    match ty {
        Type::F32 => Ok(DType::F32),
        Type::F64 => Ok(DType::F64),
        _ => Err(Error::Malformed("a library function of integers".into())),
    }
}

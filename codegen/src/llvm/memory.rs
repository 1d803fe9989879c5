//! Loads and stores. How the lanes of an access lie decides the instructions:
//!
//! ```text
//! all at one address    scalar access, value in every lane
//! one after another     vector access; backwards: the same, reversed
//! 2 to 4 apart          loads of all between, of which the lanes are picked
//! anything else         scalar accesses lane by lane; with a mask or computed subscripts LLVM's gather and scatter
//! ```

use inkwell::values::{BasicValue, InstructionValue, IntMathValue, IntValue, PointerValue, VectorValue};
use polyhedral::{DType, TensorId};

use super::emitter::{Emitter, Frame};
use super::expr::Typed;
use super::ir::{Llvm, lanes_of, vector_of};
use super::{Error, Result};
use crate::passes::CACHE_LINE;
use crate::{At, Value};

/// The elements that an access touches: element numbers from the buffer's first.
pub(super) struct Address<'c> {
    /// Of lane 0, but for what `lanes` adds.
    pub base: IntValue<'c>,
    pub lanes: Lanes<'c>,
}

/// What the lanes add to the base.
pub(super) enum Lanes<'c> {
    /// Nothing.
    Same,
    /// `lane`.
    Next,
    /// `-lane`.
    Previous,
    /// `lane·step`.
    Step(IntValue<'c>),
    /// These.
    Each(VectorValue<'c>),
}

/// A buffer as one access sees it.
pub(super) struct Element<'c> {
    pub buffer: TensorId,
    pub dtype: DType,
    pub pointer: PointerValue<'c>,
    /// Bytes of which the address of an access is a multiple.
    pub alignment: u32,
}

/// The least lanes, and the most vectors, that are loaded for what lies between the lanes.
const LANES_TO_PICK: u32 = 4;
const MOST_WINDOWS: u32 = 4;

/// A constant step; 0 for any other.
fn short_step(step: IntValue<'_>) -> u32 {
    step.get_sign_extended_constant().and_then(|step| u32::try_from(step).ok()).unwrap_or(0)
}

impl<'c> Emitter<'c, '_> {
    /// What a [`Value::Load`] reads.
    pub fn load(
        &self,
        frame: &mut Frame<'c>,
        buffer: TensorId,
        at: &[At],
        mask: Option<Llvm<'c>>,
        lanes: u32,
    ) -> Result<Typed<'c>> {
        let mut element = self.element(frame, buffer)?;
        let address = self.address(frame, buffer, at, lanes)?;
        let base = address.base;
        if matches!(address.lanes, Lanes::Next | Lanes::Same) {
            element.alignment = self.alignment_at(frame, buffer, at)?;
        }
        let bits = match (address.lanes, mask) {
            (Lanes::Same, None) => self.load_lanes(&element, base, 1)?,
            (Lanes::Same, Some(mask)) => self.load_one_if(frame, &element, base, mask)?,
            (Lanes::Next, None) => self.load_lanes(&element, base, lanes)?,
            (Lanes::Next, Some(mask)) => self.masked_load(&element, base, mask, lanes)?,
            (Lanes::Previous, mask) => {
                let last = self.before(base, lanes)?;
                let reversed = match mask {
                    None => self.load_lanes(&element, last, lanes)?,
                    Some(mask) => self.masked_load(&element, last, self.ir.reverse(mask)?, lanes)?,
                };
                self.ir.reverse(reversed)?
            }
            (Lanes::Step(step), None) if self.is_short(step, lanes) => {
                self.load_picked(&element, base, short_step(step), lanes)?
            }
            (Lanes::Step(step), None) => {
                let values = self
                    .lane_offsets(base, step, lanes)?
                    .into_iter()
                    .map(|offset| self.load_lanes(&element, offset, 1))
                    .collect::<Result<Vec<_>>>()?;
                self.ir.gather(&values)?
            }
            (Lanes::Step(step), Some(mask)) => {
                let offsets = self.ramp(base.into(), step, lanes)?;
                self.gather(&element, offsets, Some(mask), lanes)?
            }
            (Lanes::Each(offsets), mask) => self.gather(&element, offsets, mask, lanes)?,
        };
        Ok(Typed { llvm: self.unpack(element.dtype, bits)?, dtype: element.dtype })
    }

    /// An [`Op::Store`](crate::Op::Store).
    pub fn store(
        &self,
        frame: &mut Frame<'c>,
        buffer: TensorId,
        at: &[At],
        lanes: u32,
        value: &Value,
        mask: Option<&Value>,
    ) -> Result<()> {
        let mut element = self.element(frame, buffer)?;
        let value = self.value(frame, value, lanes)?.expect(element.dtype)?;
        let mask = mask.map(|mask| self.mask(frame, mask, lanes)).transpose()?;
        let address = self.address(frame, buffer, at, lanes)?;
        if matches!(address.lanes, Lanes::Next | Lanes::Same) {
            element.alignment = self.alignment_at(frame, buffer, at)?;
        }
        let value = self.ir.splat(self.pack(value)?, lanes)?;
        let base = address.base;
        match (address.lanes, mask) {
            (Lanes::Same, None) => {
                let last = self.ir.extract(value, lanes - 1)?;
                self.store_lanes(frame, &element, base, last)
            }
            (Lanes::Same, Some(mask)) if lanes == 1 => self.store_one_if(frame, &element, base, value, mask),
            (Lanes::Same, mask) => {
                let offsets = self.ir.splat(base.into(), lanes)?.into_vector_value();
                self.scatter(&element, offsets, value, mask)
            }
            (Lanes::Next, None) => self.store_lanes(frame, &element, base, value),
            (Lanes::Next, Some(mask)) => self.masked_store(&element, base, value, mask),
            (Lanes::Previous, mask) => {
                let (last, reversed) = (self.before(base, lanes)?, self.ir.reverse(value)?);
                match mask {
                    None => self.store_lanes(frame, &element, last, reversed),
                    Some(mask) => self.masked_store(&element, last, reversed, self.ir.reverse(mask)?),
                }
            }
            (Lanes::Step(step), None) => {
                let offsets = self.lane_offsets(base, step, lanes)?;
                offsets.into_iter().zip(0..).try_for_each(|(offset, lane)| {
                    self.store_lanes(frame, &element, offset, self.ir.extract(value, lane)?)
                })
            }
            (Lanes::Step(step), mask) => {
                let offsets = self.ramp(base.into(), step, lanes)?;
                self.scatter(&element, offsets, value, mask)
            }
            (Lanes::Each(offsets), mask) => self.scatter(&element, offsets, value, mask),
        }
    }

    /// An [`Op::Prefetch`](crate::Op::Prefetch): one instruction for each cache line's worth of lanes in a row, else one
    /// for each lane.
    pub fn prefetch(&self, frame: &mut Frame<'c>, buffer: TensorId, at: &[At], lanes: u32) -> Result<()> {
        let element = self.element(frame, buffer)?;
        let address = self.address(frame, buffer, at, lanes)?;
        let base = address.base;
        let in_a_row = |first: IntValue<'c>| -> Result<Vec<IntValue<'c>>> {
            let line = (CACHE_LINE / element.dtype.bytes()).max(1) as usize;
            let lines = (0..i64::from(lanes)).step_by(line);
            lines.map(|offset| self.add(first, self.ir.index(offset))).collect()
        };
        let offsets = match address.lanes {
            Lanes::Same => vec![base],
            Lanes::Next => in_a_row(base)?,
            Lanes::Previous => in_a_row(self.before(base, lanes)?)?,
            Lanes::Step(step) => self.lane_offsets(base, step, lanes)?,
            Lanes::Each(offsets) => {
                let lane = |lane| Ok(self.ir.extract(offsets.into(), lane)?.into_int_value());
                (0..lanes).map(lane).collect::<Result<_>>()?
            }
        };
        for offset in offsets {
            let pointer: Llvm<'c> = self.ir.element(element.pointer, self.memory_type(element.dtype), offset)?.into();
            let [read, keep, data] = [0, 3, 1].map(|flag| self.ir.i32(flag).into());
            self.ir.call_intrinsic("llvm.prefetch", &[pointer.get_type()], &[pointer, read, keep, data])?;
        }
        Ok(())
    }

    pub fn element(&self, frame: &Frame<'c>, buffer: TensorId) -> Result<Element<'c>> {
        let dtype = self.buffer(buffer)?.dtype;
        Ok(Element { buffer, dtype, pointer: frame.memory(buffer)?.pointer, alignment: dtype.bytes() })
    }

    /// Sums up the subscripts times the strides, apart for lane 0, for constant steps and for computed subscripts.
    pub fn address(&self, frame: &mut Frame<'c>, buffer: TensorId, at: &[At], lanes: u32) -> Result<Address<'c>> {
        let strides = frame.memory(buffer)?.strides.clone();
        if strides.len() != at.len() {
            return Err(Error::Malformed(format!("{buffer} has {} dimensions, not {}", strides.len(), at.len())));
        }
        let (mut base, mut step, mut each) = (self.ir.index(0), self.ir.index(0), None);
        for (at, stride) in at.iter().zip(strides) {
            match at {
                At::Affine { base: first, step: by } => {
                    base = self.add(base, self.multiply(self.int(frame, first)?, stride)?)?;
                    step = self.add(step, self.multiply(self.ir.index(*by), stride)?)?;
                }
                At::Indirect(value) => {
                    match self.ir.to_index(self.value(frame, value, lanes)?.expect(DType::I64)?.llvm)? {
                        Llvm::IntValue(first) => {
                            base = self.ir.builder.build_int_add(base, self.wrapping(first, stride)?, "")?
                        }
                        computed => {
                            let stride = self.ir.splat(stride.into(), lanes)?.into_vector_value();
                            let offsets = self.wrapping(computed.into_vector_value(), stride)?;
                            each = Some(match each {
                                Some(others) => self.ir.builder.build_int_add(others, offsets, "")?,
                                None => offsets,
                            });
                        }
                    }
                }
            }
        }
        let lanes = match (each, step.get_sign_extended_constant()) {
            (Some(each), _) => {
                let affine = self.ramp(base.into(), step, lanes)?;
                Lanes::Each(self.ir.builder.build_int_add(affine, each, "")?)
            }
            _ if lanes == 1 => Lanes::Same,
            (None, Some(0)) => Lanes::Same,
            (None, Some(1)) => Lanes::Next,
            (None, Some(-1)) => Lanes::Previous,
            (None, _) => Lanes::Step(step),
        };
        Ok(Address { base, lanes })
    }

    /// `a + b`, and no instruction when one of them is 0.
    pub fn add(&self, a: IntValue<'c>, b: IntValue<'c>) -> Result<IntValue<'c>> {
        match (a.get_sign_extended_constant(), b.get_sign_extended_constant()) {
            (Some(0), _) => Ok(b),
            (_, Some(0)) => Ok(a),
            _ => Ok(self.ir.builder.build_int_nsw_add(a, b, "")?),
        }
    }

    /// `a·b`, and no instruction when one of them is 0 or `b` is 1.
    fn multiply(&self, a: IntValue<'c>, b: IntValue<'c>) -> Result<IntValue<'c>> {
        match (a.get_sign_extended_constant(), b.get_sign_extended_constant()) {
            (Some(0), _) | (_, Some(1)) => Ok(a),
            (_, Some(0)) => Ok(b),
            _ => Ok(self.ir.builder.build_int_nsw_mul(a, b, "")?),
        }
    }

    /// The product of a computed subscript, which may be anything in a lane that the mask drops, and a stride.
    fn wrapping<T: IntMathValue<'c>>(&self, subscript: T, stride: T) -> Result<T> {
        Ok(self.ir.builder.build_int_mul(subscript, stride, "")?)
    }

    /// `base + lane·step` as a vector of integers.
    pub fn ramp(&self, base: Llvm<'c>, step: IntValue<'c>, lanes: u32) -> Result<VectorValue<'c>> {
        let number = |lane: u32| step.get_type().const_int(lane.into(), false);
        let numbers: Vec<Llvm<'c>> = (0..lanes).map(|lane| number(lane).into()).collect();
        let numbers = self.ir.gather(&numbers)?.into_vector_value();
        let step = self.ir.splat(step.into(), lanes)?.into_vector_value();
        let base = self.ir.splat(base, lanes)?.into_vector_value();
        let steps = self.ir.builder.build_int_nsw_mul(numbers, step, "")?;
        Ok(self.ir.builder.build_int_nsw_add(base, steps, "")?)
    }

    /// The element that the last lane of a backward access touches.
    fn before(&self, base: IntValue<'c>, lanes: u32) -> Result<IntValue<'c>> {
        self.add(base, self.ir.index(1 - i64::from(lanes)))
    }

    /// `base + lane·step` as one integer for each lane.
    pub fn lane_offsets(&self, base: IntValue<'c>, step: IntValue<'c>, lanes: u32) -> Result<Vec<IntValue<'c>>> {
        (0..lanes).map(|lane| self.add(base, self.multiply(self.ir.index(lane.into()), step)?)).collect()
    }

    /// A scalar, or so many elements one after another.
    pub fn load_lanes(&self, element: &Element<'c>, offset: IntValue<'c>, lanes: u32) -> Result<Llvm<'c>> {
        let scalar = self.memory_type(element.dtype);
        let pointer = self.ir.element(element.pointer, scalar, offset)?;
        let value = self.ir.builder.build_load(vector_of(scalar, lanes), pointer, "")?;
        self.describe_access(element, value.as_instruction_value(), true)?;
        Ok(value)
    }

    /// One element where the mask holds in some lane: the element in those lanes, 0 in the others.
    fn load_one_if(
        &self,
        frame: &Frame<'c>,
        element: &Element<'c>,
        offset: IntValue<'c>,
        mask: Llvm<'c>,
    ) -> Result<Llvm<'c>> {
        let zero = self.zero(element.dtype, 1);
        let value = self.value_if(frame, self.ir.any(mask)?, zero, |this| this.load_lanes(element, offset, 1))?;
        match lanes_of(mask) {
            1 => Ok(value),
            _ => self.ir.select(mask, value, zero),
        }
    }

    fn store_one_if(
        &self,
        frame: &Frame<'c>,
        element: &Element<'c>,
        offset: IntValue<'c>,
        value: Llvm<'c>,
        mask: Llvm<'c>,
    ) -> Result<()> {
        self.run_if(frame, mask.into_int_value(), |this| this.store_lanes(frame, element, offset, value))
    }

    /// Whether loading all that lies between the lanes costs less than loading each lane.
    pub fn is_short(&self, step: IntValue<'c>, lanes: u32) -> bool {
        lanes >= LANES_TO_PICK && (2..=MOST_WINDOWS).contains(&short_step(step))
    }

    /// Every `step`-th element: vectors of what lies between the first and the last, from which the lanes are picked.
    ///
    /// ```text
    /// step 2, 4 lanes    a . b . | . c . d    the second vector begins earlier, so as to end with the last lane
    /// ```
    fn load_picked(&self, element: &Element<'c>, base: IntValue<'c>, step: u32, lanes: u32) -> Result<Llvm<'c>> {
        let last = (lanes - 1) * step + 1 - lanes;
        let begins = |window: u32| (window * lanes).min(last);
        let load = |window: u32| {
            let offset = self.add(base, self.ir.index(begins(window).into()))?;
            self.load_lanes(element, offset, lanes)
        };
        let mut picked = load(0)?;
        for window in 1..step {
            // What the first vector has is at the lane that it goes to, but in the first round.
            let lane = |lane: u32| match (lane * step) / lanes {
                here if here == window => lanes + lane * step - begins(window),
                0 if window == 1 => lane * step,
                _ => lane,
            };
            picked = self.ir.shuffle(picked, load(window)?, (0..lanes).map(lane))?;
        }
        Ok(picked)
    }

    fn masked_load(&self, element: &Element<'c>, offset: IntValue<'c>, mask: Llvm<'c>, lanes: u32) -> Result<Llvm<'c>> {
        let pointer: Llvm<'c> = self.ir.element(element.pointer, self.memory_type(element.dtype), offset)?.into();
        let zeros = self.zero(element.dtype, lanes);
        let arguments = [pointer, self.alignment(element), self.ir.splat(mask, lanes)?, zeros];
        let types = [zeros.get_type(), pointer.get_type()];
        let value = self.ir.intrinsic("llvm.masked.load", &types, &arguments)?;
        self.describe_access(element, value.as_instruction_value(), false)?;
        Ok(value)
    }

    fn masked_store(&self, element: &Element<'c>, offset: IntValue<'c>, value: Llvm<'c>, mask: Llvm<'c>) -> Result<()> {
        let pointer: Llvm<'c> = self.ir.element(element.pointer, self.memory_type(element.dtype), offset)?.into();
        let arguments = [value, pointer, self.alignment(element), self.ir.splat(mask, lanes_of(value))?];
        let types = [value.get_type(), pointer.get_type()];
        let call = self.ir.call_intrinsic("llvm.masked.store", &types, &arguments)?;
        self.describe_access(element, call.try_as_basic_value().instruction(), false)
    }

    /// Lanes that touch one element are stored in their order.
    fn scatter(
        &self,
        element: &Element<'c>,
        offsets: VectorValue<'c>,
        value: Llvm<'c>,
        mask: Option<Llvm<'c>>,
    ) -> Result<()> {
        let pointers = self.ir.elements(element.pointer, self.memory_type(element.dtype), offsets)?;
        let mask = self.lane_mask(mask, lanes_of(value))?;
        let arguments = [value, pointers, self.alignment(element), mask];
        let types = [value.get_type(), pointers.get_type()];
        let call = self.ir.call_intrinsic("llvm.masked.scatter", &types, &arguments)?;
        self.describe_access(element, call.try_as_basic_value().instruction(), false)
    }

    /// A mask with all lanes; without one every lane holds.
    pub fn lane_mask(&self, mask: Option<Llvm<'c>>, lanes: u32) -> Result<Llvm<'c>> {
        self.ir.splat(mask.unwrap_or_else(|| self.ir.context.bool_type().const_int(1, false).into()), lanes)
    }

    pub fn zero(&self, dtype: DType, lanes: u32) -> Llvm<'c> {
        vector_of(self.memory_type(dtype), lanes).const_zero()
    }

    /// The alignment that every caller guarantees.
    pub fn alignment(&self, element: &Element<'c>) -> Llvm<'c> {
        self.ir.i32(element.dtype.bytes() as i32).into()
    }

    /// Says what LLVM may assume: the alignment, where the instruction has one, and that buffers do not overlap.
    pub fn describe_access(
        &self,
        element: &Element<'c>,
        instruction: Option<InstructionValue<'c>>,
        aligned: bool,
    ) -> Result<()> {
        let instruction = instruction.ok_or_else(|| Error::Malformed("an access that is no instruction".into()))?;
        let refused = |error: &dyn std::fmt::Display| Error::Malformed(format!("LLVM's access: {error}"));
        if aligned {
            instruction.set_alignment(element.alignment).map_err(|error| refused(&error))?;
        }
        self.alias.describe(self.ir.context, instruction, element.buffer).map_err(|error| refused(&error))
    }
}

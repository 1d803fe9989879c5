//! Ops with several lanes: whole vectors where the language has a type for them, one lane after the other elsewhere.

use polyhedral::{BinOp, DType, Role, TensorId};

use super::words::Vector;
use super::{Printer, Result, Text};
use crate::passes::{Ranges, registers_of};
use crate::program::along_by;
use crate::{At, Int, Op, Place, RegId, Stride, Value, combined_in};

/// A store with several lanes.
pub(super) struct Stored<'a> {
    pub(super) buffer: TensorId,
    pub(super) at: &'a [At],
    pub(super) lanes: u32,
    pub(super) value: &'a Value,
    pub(super) mask: Option<&'a Value>,
}

/// What lanes have in common, or a whole vector, in a variable.
pub(super) struct Loaded {
    /// The load.
    load: Value,
    /// From here.
    pub(super) buffer: TensorId,
    name: String,
    is_vector: bool,
}

impl Printer<'_> {
    /// `float4 A_0`, `float A_0[8]`, `float A_0`
    pub(super) fn register(&self, reg: RegId) -> String {
        let (row, name) = (&self.program.regs[reg], &self.names.regs[&reg]);
        let one = self.language.value_type(row.dtype);
        match (row.lanes, self.language.vector(row.dtype, row.lanes)) {
            (1, _) => format!("{one} {name}"),
            (_, Some(vector)) => format!("{vector} {name}"),
            (lanes, None) => format!("{one} {name}[{lanes}]"),
        }
    }

    /// A lane of a register.
    pub(super) fn lane_of(&self, reg: RegId, lane: u32) -> String {
        let (row, name) = (&self.program.regs[reg], &self.names.regs[&reg]);
        match (row.lanes, self.language.vector(row.dtype, row.lanes)) {
            (1, _) => name.clone(),
            (_, Some(_)) => format!("{name}.{}", ["x", "y", "z", "w"][lane as usize % 4]),
            (_, None) => format!("{name}[{lane}]"),
        }
    }

    /// What a lane of a value is.
    pub(super) fn in_lane(&mut self, lane: u32, value: &Value, ranges: &Ranges) -> Result<Text> {
        let own = std::mem::replace(&mut self.lane, lane);
        let text = self.value(value, ranges);
        self.lane = own;
        text
    }

    fn in_lanes(&mut self, lanes: u32, value: &Value, ranges: &Ranges) -> Result<Vec<Text>> {
        (0..lanes).map(|lane| self.in_lane(lane, value, ranges)).collect()
    }

    /// The lane of what groups of lanes are combined to, in the order of [`combined_in`].
    pub(super) fn combined(&mut self, op: BinOp, value: &Value, [from, to]: [u32; 2], ranges: &Ranges) -> Result<Text> {
        let dtype = self.dtype(value)?;
        let mut lanes = self.in_lanes(from, value, ranges)?;
        for parts in combined_in(from, to) {
            let mut left = Vec::new();
            for lane in 0..parts.first().map_or(0, Vec::len) {
                let part = |part: &Vec<u32>| lanes[part[lane] as usize].clone();
                let (first, others) = parts.split_first().expect("a round has parts");
                left.push(others.iter().fold(part(first), |sum, other| self.operated(op, dtype, sum, part(other))));
            }
            lanes = left;
        }
        let own = if to == 1 { 0 } else { self.lane as usize };
        Ok(lanes.swap_remove(own.min(lanes.len() - 1)))
    }

    /// An [`Op::Store`] of several lanes.
    pub(super) fn store_lanes(&mut self, store: &Stored<'_>, ranges: &Ranges, depth: usize) -> Result<()> {
        let Stored { buffer, at, lanes, value, mask } = *store;
        let dtype = self.program.buffers[buffer].dtype;
        if mask.is_none()
            && let Some(target) = self.vector_at(buffer, at, lanes, ranges)?
        {
            let value = match self.loaded_bits(dtype, lanes, value, ranges)? {
                Some(loaded) => loaded,
                None => {
                    self.load_first(&[value], lanes, ranges, depth)?;
                    let lanes = self.in_lanes(lanes, value, ranges)?;
                    let lanes: Vec<String> = lanes.iter().map(|lane| self.stored(dtype, lane)).collect();
                    self.language.vector_of(&self.language.memory_vector(dtype, store.lanes), &lanes)
                }
            };
            self.line(depth, &format!("{};", self.language.store_vector(&target, &value)));
            return Ok(());
        }
        self.load_first(&[Some(value), mask].into_iter().flatten().collect::<Vec<_>>(), lanes, ranges, depth)?;
        let values = self.in_lanes(lanes, value, ranges)?;
        let values = values.iter().map(|lane| self.stored(dtype, lane)).collect();
        let masks = match mask {
            Some(mask) => Some(self.in_lanes(lanes, mask, ranges)?),
            None => None,
        };
        // What is stored first may be what another lane reads.
        let overlap = [Some(value), mask].into_iter().flatten().any(|value| reads(value, buffer));
        let memory = self.language.memory_type(dtype);
        let (values, depth_inside) = self.kept_first(overlap, memory, values, depth);
        for (lane, value) in (0..).zip(&values) {
            let element = self.element_in(lane, buffer, at, ranges)?;
            let test = masks.as_ref().map_or(String::new(), |masks| format!("if ({}) ", masks[lane as usize].text));
            self.line(depth_inside, &format!("{test}{element} = {value};"));
        }
        if overlap {
            self.line(depth, "}");
        }
        Ok(())
    }

    /// Computes values before any of them is used, if they have to be: opens a block for them then.
    fn kept_first(&mut self, wanted: bool, of: &str, values: Vec<String>, depth: usize) -> (Vec<String>, usize) {
        if !wanted {
            return (values, depth);
        }
        self.line(depth, "{");
        self.line(depth + 1, &format!("const {of} lane[{}] = {{{}}};", values.len(), values.join(", ")));
        ((0..values.len()).map(|lane| format!("lane[{lane}]")).collect(), depth + 1)
    }

    /// An [`Op::Set`] of several lanes.
    pub(super) fn set_lanes(&mut self, reg: RegId, value: &Value, ranges: &Ranges, depth: usize) -> Result<()> {
        let (lanes, dtype) = (self.program.regs[reg].lanes, self.program.regs[reg].dtype);
        let name = match self.declared.insert(reg) {
            true => self.register(reg),
            false => self.names.regs[&reg].clone(),
        };
        let whole = self.language.memory_type(dtype) == self.language.value_type(dtype);
        if whole && let Some(loaded) = self.loaded_bits(dtype, lanes, value, ranges)? {
            self.line(depth, &format!("{name} = {loaded};"));
            return Ok(());
        }
        self.load_first(&[value], lanes, ranges, depth)?;
        let texts: Vec<String> = self.in_lanes(lanes, value, ranges)?.into_iter().map(|lane| lane.text).collect();
        if let Some(vector) = self.language.vector(dtype, lanes) {
            self.line(depth, &format!("{name} = {};", self.language.vector_of(&vector, &texts)));
            return Ok(());
        }
        if name != self.names.regs[&reg] {
            self.line(depth, &format!("{name} = {{{}}};", texts.join(", ")));
            return Ok(());
        }
        let of = self.language.value_type(dtype);
        let mixes = mixes_lanes(value);
        let (texts, inside) = self.kept_first(mixes, of, texts, depth);
        for (lane, text) in (0..).zip(texts) {
            self.line(inside, &format!("{} = {text};", self.lane_of(reg, lane)));
        }
        if mixes {
            self.line(depth, "}");
        }
        Ok(())
    }

    /// An [`Op::LoadBlock`] as loads, one for each register.
    pub(super) fn load_block(
        &mut self,
        regs: &[RegId],
        (buffer, at, along): (TensorId, &[At], usize),
        ranges: &Ranges,
        depth: usize,
    ) -> Result<()> {
        for (distance, reg) in (0..).zip(regs) {
            let value = Value::Load { buffer, at: along_by(at, along, distance), mask: None };
            self.op(&Op::Set { reg: *reg, value }, ranges, depth)?;
        }
        Ok(())
    }

    /// An [`Op::StoreBlock`] as stores, one for each register.
    pub(super) fn store_block(
        &mut self,
        regs: &[RegId],
        (buffer, at, along): (TensorId, &[At], usize),
        ranges: &Ranges,
        depth: usize,
    ) -> Result<()> {
        for (distance, reg) in (0..).zip(regs) {
            let (at, lanes) = (along_by(at, along, distance), self.program.regs[*reg].lanes);
            self.op(&Op::Store { buffer, at, lanes, value: Value::Reg(*reg), mask: None }, ranges, depth)?;
        }
        Ok(())
    }

    /// Loads what lanes have in common, and whole vectors, once and before they are used; what is there already is not
    /// loaded again.
    fn load_first(&mut self, values: &[&Value], lanes: u32, ranges: &Ranges, depth: usize) -> Result<()> {
        for value in values {
            if let Value::Load { buffer, at, mask: None } = value {
                self.load_once(value, (*buffer, at), lanes, ranges, depth)?;
            }
            // Values below have other lanes.
            if !matches!(value, Value::Reduce { .. }) {
                self.load_first(&value.children(), lanes, ranges, depth)?;
            }
        }
        Ok(())
    }

    fn load_once(
        &mut self,
        load: &Value,
        (buffer, at): (TensorId, &[At]),
        lanes: u32,
        ranges: &Ranges,
        depth: usize,
    ) -> Result<()> {
        let row = &self.program.buffers[buffer];
        let (name, dtype) = (format!("{}_v", row.name), row.dtype);
        let whole = self.language.memory_type(dtype) == self.language.value_type(dtype);
        let indirect = at.iter().any(|at| matches!(at, At::Indirect(_)));
        if row.place == Place::Stack || !whole || indirect || self.loaded.iter().any(|one| one.load == *load) {
            return Ok(());
        }
        let is_one = at.iter().all(|at| matches!(at, At::Affine { step: 0, .. }));
        let (of, text) = match self.vector_at(buffer, at, lanes, ranges)? {
            _ if is_one => (self.language.value_type(dtype).to_string(), self.element(buffer, at, ranges)?),
            Some(vector) => (vector.of.clone(), self.language.load_vector(&vector)),
            None => return Ok(()),
        };
        let name = self.names.take(&name);
        self.line(depth, &format!("const {of} {name} = {text};"));
        self.loaded.push(Loaded { load: load.clone(), buffer, name, is_vector: !is_one });
        Ok(())
    }

    /// What has been loaded before, in the lane.
    pub(super) fn loaded(&self, load: &Value) -> Option<String> {
        let one = self.loaded.iter().find(|one| one.load == *load)?;
        let lane = ["x", "y", "z", "w"][self.lane as usize % 4];
        Some(if one.is_vector { format!("{}.{lane}", one.name) } else { one.name.clone() })
    }

    /// A load of whole vectors, as they are in memory of this type; none of another value, or where they do not lie so.
    fn loaded_bits(&mut self, dtype: DType, lanes: u32, value: &Value, ranges: &Ranges) -> Result<Option<String>> {
        match value {
            Value::Load { buffer, at, mask: None } if self.program.buffers[*buffer].dtype == dtype => {
                let source = self.vector_at(*buffer, at, lanes, ranges)?;
                Ok(source.map(|source| self.language.load_vector(&source)))
            }
            Value::Reg(reg) if self.program.regs[*reg].lanes == lanes => {
                let whole = self.language.memory_type(dtype) == self.language.value_type(dtype);
                let is_vector = whole && self.language.vector(dtype, lanes).is_some();
                Ok(is_vector.then(|| self.names.regs[reg].clone()))
            }
            _ => Ok(None),
        }
    }

    /// Where elements are a vector in memory: next to each other, and where the device can load so many at once.
    pub(super) fn vector_at(
        &mut self,
        buffer: TensorId,
        at: &[At],
        lanes: u32,
        ranges: &Ranges,
    ) -> Result<Option<Vector>> {
        let row = &self.program.buffers[buffer];
        let constant = row.role == Role::Input;
        let of = self.language.memory_vector(row.dtype, lanes);
        if of.is_empty() || !are_neighbours(at, &row.strides) {
            return Ok(None);
        }
        if self.language.wants_alignment() && !is_multiple(at, &row.strides, lanes) {
            return Ok(None);
        }
        self.moved.insert(buffer);
        let element = self.element_in(0, buffer, at, ranges)?;
        Ok(Some(Vector { of, lanes, element, constant }))
    }

    pub(super) fn element_in(&mut self, lane: u32, buffer: TensorId, at: &[At], ranges: &Ranges) -> Result<String> {
        let own = std::mem::replace(&mut self.lane, lane);
        let element = self.element(buffer, at, ranges);
        self.lane = own;
        element
    }

    /// Declares the registers of an op that others use too.
    pub(super) fn declare_shared(&mut self, op: &Op, others: &[Op], depth: usize) {
        for reg in registers_of(op) {
            let elsewhere = others.iter().any(|other| registers_of(other).contains(&reg));
            let is_set_here = matches!(op, Op::Set { reg: own, .. } if *own == reg);
            if elsewhere && !is_set_here && self.declared.insert(reg) {
                let declared = self.register(reg);
                self.line(depth, &format!("{declared};"));
            }
        }
    }
}

/// Whether the lanes are elements next to each other.
fn are_neighbours(at: &[At], strides: &[Stride]) -> bool {
    let mut along = 0;
    for (at, stride) in at.iter().zip(strides) {
        match (at, stride) {
            (At::Indirect(_), _) => return false,
            (At::Affine { step: 0, .. }, _) => {}
            (At::Affine { step: 1, .. }, Stride::Known(stride)) if stride.as_const() == Some(1) => along += 1,
            (At::Affine { .. }, _) => return false,
        }
    }
    along == 1
}

/// Whether the first lane's position is a multiple of the lanes, whatever the variables are.
fn is_multiple(at: &[At], strides: &[Stride], lanes: u32) -> bool {
    let mut position = Int::Const(0);
    for (at, stride) in at.iter().zip(strides) {
        match (at, stride) {
            (At::Affine { base, .. }, Stride::Known(stride)) => position = position + base.clone() * stride.clone(),
            _ => return false,
        }
    }
    position.remainder_and_modulus(i64::from(lanes)) == (0, i64::from(lanes))
}

fn reads(value: &Value, buffer: TensorId) -> bool {
    matches!(value, Value::Load { buffer: from, .. } if *from == buffer)
        || value.children().into_iter().any(|child| reads(child, buffer))
}

/// Whether a lane is computed from other lanes.
fn mixes_lanes(value: &Value) -> bool {
    matches!(value, Value::Reduce { .. }) || value.children().into_iter().any(mixes_lanes)
}

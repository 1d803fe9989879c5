//! What threads combine of several registers, by expressions, as text.
//!
//! ```text
//! {
//!     const int thread = (int)threadIdx.x;
//!     for (int distance = 16; distance > 0; distance /= 2) {
//!         const float v_2 = __shfl_xor_sync(0xffffffffu, v, distance);
//!         const int at_2 = __shfl_xor_sync(0xffffffffu, at, distance);
//!         const float v_next = v_2 > v ? v_2 : v;
//!         const int at_next = v_2 > v ? at_2 : at;
//!         v = v_next;
//!         at = at_next;
//!     }
//!     if (thread % 32 == 0) {
//!         parts_1[thread / 32] = v;
//!         parts_2[thread / 32] = at;
//!     }
//!     __syncthreads();
//!     …
//! }
//! ```

use polyhedral::DType;

use super::combine::{Group, How};
use super::{Printer, Result};
use crate::passes::Ranges;
use crate::{RegId, Value, WARP};

/// Registers that are combined.
pub(super) struct Tuple<'a> {
    pub(super) regs: &'a [RegId],
    /// What another thread has in each of them.
    pub(super) others: &'a [RegId],
    /// What each becomes.
    pub(super) values: &'a [Value],
    pub(super) ranges: &'a Ranges,
}

impl Printer<'_> {
    pub(super) fn combine_by_values(&mut self, tuple: &Tuple<'_>, group: &Group, depth: usize) -> Result<()> {
        self.line(depth, "{");
        let types: Vec<&str> = tuple.regs.iter().map(|reg| self.handed_type(*reg)).collect();
        let mut parts = Vec::new();
        let thread = self.names.fresh("thread");
        if group.parts > 0 {
            parts = self.shared_parts(group, &types, depth + 1);
            self.line(depth + 1, &format!("const int {thread} = {};", group.thread));
        }
        let parts: Vec<String> =
            parts.into_iter().map(|part| if part.contains(' ') { format!("({part})") } else { part }).collect();
        match group.how {
            How::Shuffles { mask } => self.by_shuffles(tuple, group, (&thread, &parts, mask), depth + 1)?,
            How::Memory => self.by_memory(tuple, group, (&thread, &parts), depth + 1)?,
        }
        self.line(depth, "}");
        Ok(())
    }

    /// The type of what threads hand to each other.
    fn handed_type(&self, reg: RegId) -> &'static str {
        match self.program.regs[reg].dtype {
            DType::Bool => "int",
            dtype => self.language.value_type(dtype),
        }
    }

    fn by_shuffles(
        &mut self,
        tuple: &Tuple<'_>,
        group: &Group,
        (thread, parts, mask): (&str, &[String], u32),
        depth: usize,
    ) -> Result<()> {
        self.shuffled_rounds(tuple, (group.threads.min(WARP), mask), None, depth)?;
        if group.threads <= WARP {
            return Ok(());
        }
        let warps = group.threads / WARP;
        self.line(depth, &format!("if ({thread} % {WARP} == 0) {{"));
        self.put(tuple, parts, &format!("{thread} / {WARP}"), depth + 1);
        self.line(depth, "}");
        self.line(depth, self.language.barrier());
        self.line(depth, &format!("if ({thread} % {WARP} < {warps}) {{"));
        self.take(tuple, parts, &format!("{thread} % {WARP}"), depth + 1);
        self.line(depth, "}");
        // A warp that there is not has nothing.
        let is_there = format!("(({thread} % {WARP}) ^ distance) < {warps}");
        let test = (!warps.is_power_of_two()).then_some(is_there.as_str());
        self.shuffled_rounds(tuple, (warps.next_power_of_two(), u32::MAX), test, depth)
    }

    /// Rounds of shuffles between so many threads, in each of which those take something for which a test holds.
    fn shuffled_rounds(
        &mut self,
        tuple: &Tuple<'_>,
        (threads, mask): (u32, u32),
        test: Option<&str>,
        depth: usize,
    ) -> Result<()> {
        if threads < 2 {
            return Ok(());
        }
        self.line(depth, &format!("for (int distance = {}; distance > 0; distance /= 2) {{", threads / 2));
        for (reg, other) in tuple.regs.iter().zip(tuple.others) {
            let (other, own) = (self.register(*other), self.names.regs[reg].clone());
            self.line(depth + 1, &format!("const {other} = __shfl_xor_sync({mask:#x}u, {own}, distance);"));
        }
        match test {
            None => self.both(tuple, depth + 1)?,
            Some(test) => {
                self.line(depth + 1, &format!("if ({test}) {{"));
                self.both(tuple, depth + 2)?;
                self.line(depth + 1, "}");
            }
        }
        self.line(depth, "}");
        Ok(())
    }

    /// A tree in memory: in each round the threads without a bit in their number take what those with it have.
    fn by_memory(
        &mut self,
        tuple: &Tuple<'_>,
        group: &Group,
        (thread, parts): (&str, &[String]),
        depth: usize,
    ) -> Result<()> {
        let (threads, all) = (group.threads, group.threads.next_power_of_two());
        self.put(tuple, parts, thread, depth);
        self.line(depth, self.language.barrier());
        for (first, last) in [(all.min(WARP) / 2, 0), (all / 2, WARP - 1)] {
            if first <= last {
                continue;
            }
            self.line(depth, &format!("for (int distance = {first}; distance > {last}; distance /= 2) {{"));
            let inside = if threads == all { String::new() } else { format!(" && {thread} + distance < {threads}") };
            self.line(depth + 1, &format!("if (({thread} & distance) == 0{inside}) {{"));
            for (other, parts) in tuple.others.iter().zip(parts) {
                let other = self.register(*other);
                self.line(depth + 2, &format!("const {other} = {parts}[{thread} + distance];"));
            }
            self.both(tuple, depth + 2)?;
            self.put(tuple, parts, thread, depth + 2);
            self.line(depth + 1, "}");
            self.line(depth + 1, self.language.barrier());
            self.line(depth, "}");
        }
        self.take(tuple, parts, "0", depth);
        Ok(())
    }

    /// The registers become what they and those of another thread are together.
    fn both(&mut self, tuple: &Tuple<'_>, depth: usize) -> Result<()> {
        let mut next = Vec::new();
        for (reg, value) in tuple.regs.iter().zip(tuple.values) {
            let name = self.names.fresh(&format!("{}_next", self.names.regs[reg]));
            let (of, value) =
                (self.language.value_type(self.program.regs[*reg].dtype), self.value(value, tuple.ranges)?);
            self.line(depth, &format!("const {of} {name} = {};", value.text));
            next.push(name);
        }
        for (reg, name) in tuple.regs.iter().zip(next) {
            let own = self.names.regs[reg].clone();
            self.line(depth, &format!("{own} = {name};"));
        }
        Ok(())
    }

    /// Leaves the registers in shared memory.
    fn put(&mut self, tuple: &Tuple<'_>, parts: &[String], at: &str, depth: usize) {
        for (reg, parts) in tuple.regs.iter().zip(parts) {
            let own = self.names.regs[reg].clone();
            self.line(depth, &format!("{parts}[{at}] = {own};"));
        }
    }

    /// Sets the registers to what is in shared memory.
    fn take(&mut self, tuple: &Tuple<'_>, parts: &[String], at: &str, depth: usize) {
        for (reg, parts) in tuple.regs.iter().zip(parts) {
            let own = self.names.regs[reg].clone();
            self.line(depth, &format!("{own} = {parts}[{at}];"));
        }
    }
}

//! What threads of a block combine, as text: shuffles within a warp where there are such, and memory that the block shares.
//!
//! ```text
//! static __device__ float sum_of_256_float(float value, float *parts, const int thread)
//! {
//!     for (int distance = 16; distance > 0; distance /= 2) {
//!         value = value + __shfl_xor_sync(0xffffffffu, value, distance);
//!     }
//!     if (thread % 32 == 0) {
//!         parts[thread / 32] = value;
//!     }
//!     __syncthreads();
//!     …
//! ```
//!
//! An operator has a function. What several registers become is written where it is needed (`tuple`).

use polyhedral::{BinOp, DType};

use super::tuple::Tuple;
use super::{Language, Printer, Result, unsupported};
use crate::passes::Ranges;
use crate::{Combining, RegId, VarId, WARP, neutral, threads_combined_in};

/// A function that combines the values of threads. Order is that of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Combination {
    op: &'static str,
    dtype: DType,
    /// How many threads there are together.
    threads: u32,
    how: How,
}

/// How threads hand values to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// By shuffles within a warp, all of whose threads are in a mask, and memory between warps.
    Shuffles { mask: u32 },
    /// By shared memory alone.
    Memory,
}

/// Threads that are combined.
pub(super) struct Group {
    pub(super) how: How,
    /// How many there are.
    pub(super) threads: u32,
    /// Elements of shared memory that they need for each value.
    pub(super) parts: u32,
    /// How many such groups there are in a block.
    groups: u32,
    /// The number of a thread in its group, and the number of the group.
    pub(super) thread: String,
    group: String,
}

impl Printer<'_> {
    /// What combines. Where it is repeated, the threads first wait for those that still read what the last one left.
    pub(super) fn combine(
        &mut self,
        (regs, by): (&[RegId], &Combining),
        threads: &[VarId],
        (ranges, depth): (&Ranges, usize),
    ) -> Result<()> {
        match (by, regs) {
            (Combining::Operator(op), [reg]) => self.combine_by_operator(*reg, *op, threads, depth),
            (Combining::Operator(_), _) => unsupported("threads combine several values by one operator"),
            (Combining::Values { others, values }, regs) => {
                let group = self.group(threads);
                let tuple = Tuple { regs, others, values, ranges };
                self.combine_by_values(&tuple, &group, depth)
            }
        }
    }

    /// A call of the function that combines.
    fn combine_by_operator(&mut self, reg: RegId, op: BinOp, threads: &[VarId], depth: usize) -> Result<()> {
        let dtype = self.program.regs[reg].dtype;
        let Some(op) = word(op) else { return unsupported("threads combine values by an unusual operator") };
        let group = self.group(threads);
        let combination = Combination { op, dtype, threads: group.threads, how: group.how };
        let (name, function) = (self.names.regs[&reg].clone(), combination.name());
        let mut arguments = vec![name.clone()];
        if group.parts > 0 {
            arguments.extend(self.shared_parts(&group, &[combination.value_type(self.language)], depth));
        }
        arguments.push(group.thread);
        self.line(depth, &format!("{name} = {function}({});", arguments.join(", ")));
        self.combinations.insert(combination);
        Ok(())
    }

    /// Memory that a group shares, for values of some types: where its own begins.
    pub(super) fn shared_parts(&mut self, group: &Group, types: &[&str], depth: usize) -> Vec<String> {
        let mut all = Vec::new();
        for of in types {
            let memory = self.names.fresh(&format!("parts_{}", self.parts.len() + 1));
            let shared = self.language.shared();
            self.parts.push(format!("{shared}{of} {memory}[{}];", group.parts * group.groups));
            let own = || format!("{memory} + {}*({})", group.parts, group.group);
            all.push(if group.groups > 1 { own() } else { memory });
        }
        if self.repeated > 0 {
            self.line(depth, self.language.barrier());
        }
        all
    }

    /// How the threads along some axes combine what they have.
    fn group(&self, threads: &[VarId]) -> Group {
        let (mut group, mut all) = (Numbers::default(), 1u32);
        let mut own = Numbers::default();
        for (axis, (var, length)) in self.block.iter().enumerate() {
            let length = u32::try_from(*length).unwrap_or(u32::MAX);
            if threads.contains(var) { &mut own } else { &mut group }.add(self.language.thread(axis), length);
            all = all.saturating_mul(length);
        }
        // Threads that are combined follow each other in a warp where their axes are the first.
        let several = self.block.iter().filter(|(_, length)| *length > 1);
        let leading = several.map(|(var, _)| threads.contains(var)).is_sorted_by(|a, b| a >= b);
        let how = match own.length {
            _ if self.language != Language::Cuda || !leading => How::Memory,
            n if all.is_multiple_of(WARP) && (n.is_multiple_of(WARP) || n < WARP && n.is_power_of_two()) => {
                How::Shuffles { mask: u32::MAX }
            }
            n if all < WARP && n.is_power_of_two() => How::Shuffles { mask: (1 << all) - 1 },
            _ => How::Memory,
        };
        let parts = match how {
            How::Memory => own.length,
            How::Shuffles { .. } if own.length > WARP => own.length / WARP,
            How::Shuffles { .. } => 0,
        };
        let (threads, groups) = (own.length, group.length);
        Group { how, threads, parts, groups, thread: own.text(), group: group.text() }
    }
}

/// The number of a thread along several axes.
struct Numbers {
    text: String,
    length: u32,
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers { text: String::new(), length: 1 }
    }
}

impl Numbers {
    fn add(&mut self, number: String, length: u32) {
        if length > 1 {
            let term = if self.length == 1 { number } else { format!("{}*{number}", self.length) };
            self.text = if self.text.is_empty() { term } else { format!("{} + {term}", self.text) };
        }
        self.length = self.length.saturating_mul(length);
    }

    fn text(self) -> String {
        if self.text.is_empty() { "0".into() } else { self.text }
    }
}

/// What combines two values, as a name.
pub(super) fn word(op: BinOp) -> Option<&'static str> {
    Some(match op {
        BinOp::Add => "sum",
        BinOp::Mul => "product",
        BinOp::Min => "minimum",
        BinOp::Max => "maximum",
        BinOp::And => "all",
        BinOp::Or => "any",
        BinOp::BitAnd => "bit_and",
        BinOp::BitOr => "bit_or",
        BinOp::BitXor => "bit_xor",
        _ => return None,
    })
}

fn operator(word: &str) -> BinOp {
    match word {
        "sum" => BinOp::Add,
        "product" => BinOp::Mul,
        "minimum" => BinOp::Min,
        "maximum" => BinOp::Max,
        "all" => BinOp::And,
        "bit_and" => BinOp::BitAnd,
        "bit_or" => BinOp::BitOr,
        "bit_xor" => BinOp::BitXor,
        _ => BinOp::Or,
    }
}

/// Two values of a type, combined.
pub(super) fn both(language: Language, op: BinOp, dtype: DType, a: &str, b: &str) -> String {
    let suffix = if language == Language::Cuda && dtype != DType::F64 { "f" } else { "" };
    match op {
        BinOp::Add => format!("{a} + {b}"),
        BinOp::Mul => format!("{a}*{b}"),
        BinOp::Min if dtype.is_float() => format!("fmin{suffix}({a}, {b})"),
        BinOp::Max if dtype.is_float() => format!("fmax{suffix}({a}, {b})"),
        BinOp::Min => format!("{a} < {b} ? {a} : {b}"),
        BinOp::Max => format!("{a} > {b} ? {a} : {b}"),
        BinOp::And => format!("{a} && {b}"),
        BinOp::BitAnd => format!("{a} & {b}"),
        BinOp::BitOr => format!("{a} | {b}"),
        BinOp::BitXor => format!("{a} ^ {b}"),
        _ => format!("{a} || {b}"),
    }
}

impl Combination {
    fn name(&self) -> String {
        let suffix = if self.how == How::Memory { "_in_memory" } else { "" };
        format!("{}_of_{}_{}{suffix}", self.op, self.threads, self.dtype)
    }

    /// The type of values: of sums and products of integers one that wraps around.
    fn value_type(&self, language: Language) -> &'static str {
        let wraps = self.dtype.is_int() && matches!(operator(self.op), BinOp::Add | BinOp::Mul);
        match self.dtype {
            DType::Bool => "int",
            dtype if wraps && dtype.bits() == 64 => language.value_type(DType::U64),
            _ if wraps => language.value_type(DType::U32),
            dtype => language.value_type(dtype),
        }
    }

    fn both(&self, language: Language, a: &str, b: &str) -> String {
        both(language, operator(self.op), self.dtype, a, b)
    }

    /// The function.
    pub(super) fn text(&self, language: Language) -> String {
        let (of, name) = (self.value_type(language), self.name());
        let (qualifier, parts) = match (language, self.how) {
            (Language::Cuda, How::Shuffles { .. }) if self.threads <= WARP => ("static __device__", String::new()),
            (Language::Cuda, _) => ("static __device__", format!("{of} *parts, ")),
            (Language::OpenCl, _) => ("static", format!("__local {of} *parts, ")),
        };
        let body = match self.how {
            How::Shuffles { mask } => self.by_shuffles(language, mask),
            How::Memory => self.by_memory(language),
        };
        format!("{qualifier} {of} {name}({of} value, {parts}const int thread)\n{{\n{body}    return value;\n}}\n")
    }

    fn by_shuffles(&self, language: Language, mask: u32) -> String {
        let rounds = |first: u32| {
            let (of, both) = (self.value_type(language), self.both(language, "value", "other"));
            format!(
                "    for (int distance = {first}; distance > 0; distance /= 2) {{\n        \
                 const {of} other = __shfl_xor_sync({mask:#x}u, value, distance);\n        value = {both};\n    }}\n"
            )
        };
        let mut text = rounds(self.threads.min(WARP) / 2);
        if self.threads > WARP {
            let (warps, neutral) = (self.threads / WARP, self.neutral(language));
            let barrier = language.barrier();
            text.push_str(&format!(
                "    if (thread % {WARP} == 0) {{\n        parts[thread / {WARP}] = value;\n    }}\n    {barrier}\n    \
                 value = thread % {WARP} < {warps} ? parts[thread % {WARP}] : {neutral};\n"
            ));
            text.push_str(&rounds(warps.next_power_of_two() / 2));
        }
        text
    }

    /// A tree in memory: in each round the threads without a bit in their number take what those with it have.
    fn by_memory(&self, language: Language) -> String {
        let barrier = language.barrier();
        let mut text = format!("    parts[thread] = value;\n    {barrier}\n");
        for distance in threads_combined_in(self.threads) {
            let inside = match self.threads.is_power_of_two() {
                true => String::new(),
                false => format!(" && thread + {distance} < {}", self.threads),
            };
            let both = self.both(language, "parts[thread]", &format!("parts[thread + {distance}]"));
            text.push_str(&format!(
                "    if ((thread & {distance}) == 0{inside}) {{\n        parts[thread] = {both};\n    }}\n    {barrier}\n"
            ));
        }
        text.push_str("    value = parts[0];\n");
        text
    }

    fn neutral(&self, language: Language) -> String {
        let Some(crate::Value::Const(value, _)) = neutral(operator(self.op), self.dtype) else { return "0".into() };
        let suffix = if self.dtype == DType::F64 { "" } else { "f" };
        match value {
            polyhedral::Value::Int(value) if value == i128::from(i64::MIN) => "(-9223372036854775807 - 1)".into(),
            polyhedral::Value::Int(value) if self.dtype == DType::U64 => format!("{value}u"),
            polyhedral::Value::Int(value) => value.to_string(),
            polyhedral::Value::Float(value) if value.is_nan() => {
                if language == Language::Cuda && suffix.is_empty() {
                    "(double)NAN".into()
                } else {
                    "NAN".into()
                }
            }
            polyhedral::Value::Float(value) => format!("{value:?}{suffix}"),
        }
    }
}

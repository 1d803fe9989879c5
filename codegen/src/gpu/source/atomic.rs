//! Updates of one element that nothing comes in between, as text: the language's function where it has one, and otherwise
//! compare and exchange, again until no other thread was in between.
//!
//! ```text
//! static inline void atomic_sum_float(volatile __global float *element, float value)
//! {
//!     volatile __global unsigned int *word = (volatile __global unsigned int *)element;
//!     unsigned int found = *word, old;
//!     do {
//!         old = found;
//!         found = atomic_cmpxchg(word, old, as_uint(as_float(old) + value));
//!     } while (found != old);
//! }
//! ```

use polyhedral::{BinOp, DType, TensorId};

use super::combine::{both, word};
use super::{Language, Printer, Result, unsupported};
use crate::passes::Ranges;
use crate::{At, RegId};

/// A function that updates an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AtomicUpdate {
    word: &'static str,
    op: BinOp,
    dtype: DType,
}

impl Printer<'_> {
    /// The call that updates.
    pub(super) fn atomic(
        &mut self,
        (buffer, at): (TensorId, &[At]),
        op: BinOp,
        reg: RegId,
        (ranges, depth): (&Ranges, usize),
    ) -> Result<()> {
        let Some(word) = word(op) else { return unsupported("blocks update an element by an unusual operator") };
        let update = AtomicUpdate { word, op, dtype: self.program.buffers[buffer].dtype };
        let (element, value) = (self.element(buffer, at, ranges)?, self.names.regs[&reg].clone());
        self.line(depth, &format!("{}(&{element}, {value});", update.name()));
        self.updates.insert(update);
        Ok(())
    }
}

impl AtomicUpdate {
    fn name(self) -> String {
        format!("atomic_{}_{}", self.word, self.dtype)
    }

    /// Whether it needs words of 64 bits, which not every device of OpenCL updates.
    pub(super) fn is_wide(self) -> bool {
        self.dtype.bits() == 64
    }

    /// The function.
    pub(super) fn text(self, language: Language) -> String {
        let (of, name) = (language.value_type(self.dtype), self.name());
        let (inline, pointer) = match language {
            Language::OpenCl => ("static inline", format!("volatile __global {of} *")),
            Language::Cuda => ("static inline __device__", format!("{of} *")),
        };
        let body = self.by_function(language).unwrap_or_else(|| self.by_exchange(language));
        format!("{inline} void {name}({pointer}element, {of} value)\n{{\n{body}}}\n")
    }

    /// By a function of the language.
    fn by_function(self, language: Language) -> Option<String> {
        let word = if matches!(self.op, BinOp::Min | BinOp::Max) { self.dtype } else { self.wrapping() };
        let name = match (language, self.op) {
            (Language::OpenCl, _) if self.dtype.is_float() || self.is_wide() && self.op != BinOp::Add => return None,
            (Language::OpenCl, BinOp::Add) if self.is_wide() => "atom_add",
            (Language::OpenCl, BinOp::Add) => "atomic_add",
            (Language::OpenCl, BinOp::Min) => "atomic_min",
            (Language::OpenCl, BinOp::Max) => "atomic_max",
            (Language::OpenCl, BinOp::BitAnd) => "atomic_and",
            (Language::OpenCl, BinOp::BitOr) => "atomic_or",
            (Language::OpenCl, BinOp::BitXor) => "atomic_xor",
            (Language::Cuda, BinOp::Add) => "atomicAdd",
            (Language::Cuda, BinOp::Min) if self.dtype.is_int() => "atomicMin",
            (Language::Cuda, BinOp::Max) if self.dtype.is_int() => "atomicMax",
            (Language::Cuda, BinOp::BitAnd) => "atomicAnd",
            (Language::Cuda, BinOp::BitOr) => "atomicOr",
            (Language::Cuda, BinOp::BitXor) => "atomicXor",
            _ => return None,
        };
        let of = language.value_type(word);
        Some(match language {
            _ if word == self.dtype => format!("    {name}(element, value);\n"),
            Language::Cuda => format!("    {name}(({of} *)element, ({of})value);\n"),
            Language::OpenCl => format!("    {name}((volatile __global {of} *)element, ({of})value);\n"),
        })
    }

    /// By compare and exchange of its bits.
    fn by_exchange(self, language: Language) -> String {
        let bits = language.value_type(if self.is_wide() { DType::U64 } else { DType::U32 });
        let (pointer, exchange) = match language {
            Language::OpenCl if self.is_wide() => (format!("volatile __global {bits} *"), "atom_cmpxchg"),
            Language::OpenCl => (format!("volatile __global {bits} *"), "atomic_cmpxchg"),
            Language::Cuda => (format!("volatile {bits} *"), "atomicCAS"),
        };
        let (as_value, as_bits) = self.casts(language);
        let (old, value) = (format!("{as_value}(old)"), "value".to_string());
        let both = both(language, self.op, self.dtype, &old, &value);
        let word = if language == Language::Cuda { format!("({bits} *)word") } else { "word".into() };
        format!(
            "    {pointer}word = ({pointer})element;\n    {bits} found = *word, old;\n    do {{\n        old = found;\n        \
             found = {exchange}({word}, old, {as_bits}({both}));\n    }} while (found != old);\n"
        )
    }

    /// From bits to a value, and back.
    fn casts(self, language: Language) -> (String, String) {
        let of = |dtype| language.value_type(dtype);
        let (value, bits) = match (language, self.dtype) {
            (Language::OpenCl, DType::F32) => ("as_float", "as_uint"),
            (Language::OpenCl, DType::F64) => ("as_double", "as_ulong"),
            (Language::Cuda, DType::F32) => ("__uint_as_float", "__float_as_uint"),
            (Language::Cuda, DType::F64) => ("__longlong_as_double", "__double_as_longlong"),
            // Sums and products wrap around, as those without a sign do.
            _ if self.op == BinOp::Mul => return (String::new(), format!("({})", of(self.wrapping()))),
            (_, dtype) => return (format!("({})", of(dtype)), format!("({})", of(self.wrapping()))),
        };
        (value.into(), bits.into())
    }

    /// The type of its bits as an integer that wraps around; floats stay what they are.
    fn wrapping(self) -> DType {
        match self.dtype {
            DType::I32 => DType::U32,
            DType::I64 => DType::U64,
            other => other,
        }
    }
}

//! Names for C: different ones for what is different, and none of the language's own.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::TensorId;

use super::RegNames;
use crate::{Program, Stride, Var, VarId};

pub(super) struct Names {
    pub(super) buffers: BTreeMap<TensorId, String>,
    pub(super) params: Vec<String>,
    pub(super) regs: RegNames,
    /// Strides that only the call knows, by buffer and dimension.
    pub(super) strides: BTreeMap<(TensorId, usize), String>,
    vars: BTreeMap<VarId, String>,
    taken: BTreeSet<String>,
}

/// Words of C and its dialects that a tensor may well be called.
const RESERVED: &[&str] = &[
    "auto",
    "bool",
    "break",
    "case",
    "char",
    "class",
    "const",
    "continue",
    "default",
    "delete",
    "do",
    "double",
    "else",
    "enum",
    "exp",
    "extern",
    "false",
    "fault",
    "float",
    "for",
    "global",
    "goto",
    "half",
    "if",
    "inline",
    "int",
    "kernel",
    "lane",
    "local",
    "log",
    "long",
    "max",
    "min",
    "namespace",
    "new",
    "pow",
    "private",
    "register",
    "restrict",
    "return",
    "shared",
    "shared_memory",
    "short",
    "signed",
    "sizeof",
    "sqrt",
    "static",
    "stream",
    "struct",
    "switch",
    "template",
    "this",
    "true",
    "typedef",
    "uchar",
    "uint",
    "ulong",
    "union",
    "unsigned",
    "ushort",
    "void",
    "volatile",
    "while",
    "workspace",
];

/// Functions that OpenCL C and CUDA C++ have without being asked: variables may have their names, kernels may not.
const BUILTIN: &str = "abs abs_diff acos acosh acospi add_sat all any asin asinh asinpi atan atan2 atan2pi atanh atanpi \
    barrier bitselect cbrt ceil clamp clz copysign cos cosh cospi cross ctz degrees distance dot erf erfc exp10 exp2 expm1 \
    fabs fdim floor fma fmax fmin fmod fract frexp hadd hypot ilogb isequal isfinite isgreater isgreaterequal isinf isless \
    islessequal islessgreater isnan isnormal isnotequal isordered isunordered ldexp length lgamma log10 log1p log2 logb mad \
    mad24 mad_hi mad_sat main malloc maxmag mem_fence memcpy memset minmag mix modf mul24 mul_hi nan nextafter normalize \
    popcount pown powr prefetch printf radians remainder remquo rhadd rint rootn rotate round rsqrt select shuffle sign \
    signbit sin sincos sinh sinpi smoothstep step sub_sat tan tanh tanpi tgamma trunc upsample";

impl Names {
    pub(super) fn of(program: &Program) -> Names {
        let mut names = Names {
            buffers: BTreeMap::new(),
            params: Vec::new(),
            regs: BTreeMap::new(),
            strides: BTreeMap::new(),
            vars: BTreeMap::new(),
            taken: RESERVED.iter().map(|word| word.to_string()).collect(),
        };
        for (id, buffer) in program.buffers.iter() {
            let name = names.take(&buffer.name);
            names.buffers.insert(id, name);
        }
        for (id, buffer) in program.buffers.iter() {
            let known = buffer.strides.iter().enumerate();
            for (dim, _) in known.filter(|(_, stride)| **stride == Stride::Runtime) {
                let name = names.take(&format!("{}_stride{dim}", buffer.name));
                names.strides.insert((id, dim), name);
            }
        }
        for param in &program.params {
            let name = names.take(param);
            names.params.push(name);
        }
        // Variables of one name are of loops that are not inside of each other.
        let mut by_text: BTreeMap<&str, String> = BTreeMap::new();
        for (id, Var { name: text, .. }) in program.vars.iter() {
            if !by_text.contains_key(text.as_str()) {
                let name = names.take(text);
                by_text.insert(text, name);
            }
            names.vars.insert(id, by_text[text.as_str()].clone());
        }
        for (id, reg) in program.regs.iter() {
            let name = names.take(&format!("{}_0", reg.name));
            names.regs.insert(id, name);
        }
        names
    }

    pub(super) fn var(&self, var: VarId) -> &str {
        self.vars.get(&var).map_or("", String::as_str)
    }

    /// A name for what is at the top: such a name is always made into the same one, which no tensor has.
    pub(super) fn fresh(&self, name: &str) -> String {
        let name = identifier(name);
        let is_taken = self.taken.contains(&name) || BUILTIN.split_whitespace().any(|builtin| builtin == name);
        if is_taken { format!("{name}_kernel") } else { name }
    }

    /// A name that nothing else has, as near to this one as can be.
    pub(super) fn take(&mut self, name: &str) -> String {
        let name = identifier(name);
        let stem = name.strip_suffix("_0").unwrap_or(&name).to_string();
        let numbered = (1u64..).map(|number| format!("{stem}_{number}"));
        let mut names = std::iter::once(name).chain(numbered);
        let name = names.find(|name| !self.taken.contains(name)).expect("finitely many names are taken");
        self.taken.insert(name.clone());
        name
    }
}

/// The name with nothing in it that C does not allow.
fn identifier(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let name: String = name.chars().map(allowed).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("v{name}") }
}

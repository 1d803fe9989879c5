//! The vocabularies.

use polyhedral::{BinOp, Builtin, DType};

use super::Text;
use super::expression::Tightness;

/// A language that devices are programmed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// OpenCL C 1.2.
    OpenCl,
    /// CUDA C++.
    Cuda,
}

impl Language {
    pub(super) fn name(self) -> &'static str {
        match self {
            Language::OpenCl => "kernels in OpenCL C",
            Language::Cuda => "kernels in CUDA C++, to be compiled with --fmad=false",
        }
    }

    /// What is before everything else.
    pub(super) fn preamble(self, double: bool) -> &'static str {
        match (self, double) {
            (Language::OpenCl, false) => "#pragma OPENCL FP_CONTRACT OFF\n",
            (Language::OpenCl, true) => {
                "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#pragma OPENCL FP_CONTRACT OFF\n"
            }
            (Language::Cuda, _) => "",
        }
    }

    /// 64 bits, signed.
    pub(super) fn long(self) -> &'static str {
        match self {
            Language::OpenCl => "long",
            Language::Cuda => "long long",
        }
    }

    /// The type of a value; half-precision floats have none here.
    pub(super) fn value_type(self, dtype: DType) -> &'static str {
        match dtype {
            DType::Bool => "bool",
            DType::F32 | DType::F16 | DType::BF16 => "float",
            DType::F64 => "double",
            DType::I8 if self == Language::Cuda => "signed char",
            DType::I8 => "char",
            DType::I16 => "short",
            DType::I32 => "int",
            DType::I64 => self.long(),
            DType::U8 => "unsigned char",
            DType::U16 => "unsigned short",
            DType::U32 => "unsigned int",
            DType::U64 if self == Language::Cuda => "unsigned long long",
            DType::U64 => "unsigned long",
        }
    }

    /// The type of an element in memory.
    pub(super) fn memory_type(self, dtype: DType) -> Option<&'static str> {
        match dtype {
            DType::F16 | DType::BF16 => None,
            DType::Bool => Some("unsigned char"),
            other => Some(self.value_type(other)),
        }
    }

    pub(super) fn kernel_head(self, threads: &[i64]) -> String {
        match self {
            Language::OpenCl => {
                let all: Vec<String> = threads.iter().map(i64::to_string).collect();
                format!("__kernel __attribute__((reqd_work_group_size({})))\nvoid", all.join(", "))
            }
            Language::Cuda => {
                format!("extern \"C\" __global__ __launch_bounds__({})\nvoid", threads.iter().product::<i64>())
            }
        }
    }

    pub(super) fn global(self) -> &'static str {
        match self {
            Language::OpenCl => "__global ",
            Language::Cuda => "",
        }
    }

    pub(super) fn shared(self) -> &'static str {
        match self {
            Language::OpenCl => "__local ",
            Language::Cuda => "__shared__ ",
        }
    }

    pub(super) fn restrict(self) -> &'static str {
        match self {
            Language::OpenCl => "restrict ",
            Language::Cuda => "__restrict__ ",
        }
    }

    pub(super) fn barrier(self) -> &'static str {
        match self {
            Language::OpenCl => "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);",
            Language::Cuda => "__syncthreads();",
        }
    }

    /// The number of the block along an axis.
    pub(super) fn block(self, axis: usize) -> String {
        match self {
            Language::OpenCl => format!("get_group_id({axis})"),
            Language::Cuda => format!("blockIdx.{}", AXES[axis]),
        }
    }

    /// The number of the thread in its block.
    pub(super) fn thread(self, axis: usize) -> String {
        match self {
            Language::OpenCl => format!("get_local_id({axis})"),
            Language::Cuda => format!("threadIdx.{}", AXES[axis]),
        }
    }

    /// How a host launches a kernel.
    pub(super) fn launch(self, kernel: &str, grid: &[String], block: &[String], arguments: &[String]) -> String {
        let or_one = |all: &[String]| if all.is_empty() { vec!["1".to_string()] } else { all.to_vec() };
        let (grid, block, arguments) = (or_one(grid), or_one(block), arguments.join(", "));
        match self {
            Language::Cuda => {
                let (grid, block) = (grid.join(", "), block.join(", "));
                format!("{kernel}<<<dim3({grid}), dim3({block}), 0, stream>>>({arguments});")
            }
            Language::OpenCl => {
                let (grid, block) = (grid.join(" x "), block.join(" x "));
                format!("{kernel}({arguments}) in {grid} groups of {block} items")
            }
        }
    }

    /// A value as it is kept in memory.
    pub(super) fn stored(self, dtype: DType, value: &Text) -> String {
        match dtype {
            DType::Bool => format!("({}) ? 1 : 0", value.text),
            _ => value.text.clone(),
        }
    }

    /// The name of a function of the language; none where it has no such function.
    pub(super) fn function(self, builtin: Builtin, dtype: DType) -> Option<String> {
        use Builtin::*;
        let name = match builtin {
            RoundEven => "rint",
            other => other.name(),
        };
        match self {
            Language::Cuda => Some(format!("{name}{}", if dtype == DType::F32 { "f" } else { "" })),
            Language::OpenCl => {
                let missing = matches!(
                    builtin,
                    CylBesselI0
                        | CylBesselI1
                        | Erfcinv
                        | Erfcx
                        | Erfinv
                        | J0
                        | J1
                        | Normcdf
                        | Normcdfinv
                        | Rcbrt
                        | Y0
                        | Y1
                        | Rhypot
                        | Norm3d
                        | Rnorm3d
                        | Norm4d
                        | Rnorm4d
                        | Fdivide
                );
                (!missing).then(|| name.to_string())
            }
        }
    }
}

const AXES: [&str; 3] = ["x", "y", "z"];

/// A function that a text needs beside those of its language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Helper {
    /// A quotient, or a remainder, rounded to minus infinity; 0 where the divisor is.
    Floored(BinOp, DType),
    /// A shift by any number of bits.
    Shifted(BinOp, DType),
}

impl Helper {
    /// As it is called.
    pub(super) fn name(self) -> String {
        match self {
            Helper::Floored(BinOp::Div, dtype) => format!("floor_div_{}", dtype.name()),
            Helper::Floored(_, dtype) => format!("floor_mod_{}", dtype.name()),
            Helper::Shifted(BinOp::Shl, dtype) => format!("shift_left_{}", dtype.name()),
            Helper::Shifted(_, dtype) => format!("shift_right_{}", dtype.name()),
        }
    }

    pub(super) fn text(self, language: Language) -> String {
        let (Helper::Floored(_, dtype) | Helper::Shifted(_, dtype)) = self;
        let (of, name, bits) = (language.value_type(dtype), self.name(), dtype.bits());
        let inline = match language {
            Language::OpenCl => "static inline",
            // The host computes the sizes of grids with it too.
            Language::Cuda => "static inline __host__ __device__",
        };
        let body = match self {
            Helper::Floored(BinOp::Div, dtype) if dtype.is_signed() => {
                "b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0))"
            }
            Helper::Floored(_, dtype) if dtype.is_signed() => {
                "b == 0 || b == -1 ? 0 : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0)"
            }
            Helper::Floored(BinOp::Div, _) => "b == 0 ? 0 : a / b",
            Helper::Floored(..) => "b == 0 ? 0 : a % b",
            Helper::Shifted(BinOp::Shl, dtype) => {
                let wide = language.value_type(DType::U64);
                return format!(
                    "{inline} {of} {name}({of} a, {of} b)\n{{\n    return {} ? ({of})(({wide})a << b) : 0;\n}}\n",
                    in_range(dtype, bits)
                );
            }
            Helper::Shifted(_, dtype) => {
                let filled = if dtype.is_signed() { "a < 0 ? -1 : 0" } else { "0" };
                return format!(
                    "{inline} {of} {name}({of} a, {of} b)\n{{\n    return {} ? ({of})(a >> b) : ({of})({filled});\n}}\n",
                    in_range(dtype, bits)
                );
            }
        };
        format!("{inline} {of} {name}({of} a, {of} b)\n{{\n    return {body};\n}}\n")
    }
}

fn in_range(dtype: DType, bits: u32) -> String {
    if dtype.is_signed() { format!("b >= 0 && b < {bits}") } else { format!("b < {bits}") }
}

/// An operator between its operands, where the language's is the program's.
pub(super) fn operator(op: BinOp) -> Option<(&'static str, Tightness)> {
    Some(match op {
        BinOp::Add => ("+", Tightness::Sum),
        BinOp::Sub => ("-", Tightness::Sum),
        BinOp::Mul => ("*", Tightness::Product),
        BinOp::Div => ("/", Tightness::Product),
        BinOp::And => ("&&", Tightness::And),
        BinOp::Or => ("||", Tightness::Or),
        BinOp::BitAnd => ("&", Tightness::Bits),
        BinOp::BitOr => ("|", Tightness::Bits),
        BinOp::BitXor => ("^", Tightness::Bits),
        BinOp::Mod | BinOp::Min | BinOp::Max | BinOp::Shl | BinOp::Shr => return None,
    })
}

//! The vocabularies.

use polyhedral::{BinOp, Builtin, DType};

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

    /// What has to be declared for a helper.
    pub(super) fn header(self, helpers: &std::collections::BTreeSet<Helper>) -> &'static str {
        let half = |helper: &Helper| matches!(helper, Helper::Widened(DType::F16) | Helper::Narrowed(DType::F16));
        if self == Language::Cuda && helpers.iter().any(half) { "#include <cuda_fp16.h>\n" } else { "" }
    }

    /// 64 bits, signed.
    pub(super) fn long(self) -> &'static str {
        match self {
            Language::OpenCl => "long",
            Language::Cuda => "long long",
        }
    }

    /// The type of a value; floats of 16 bits are computed with as `float`, and rounded.
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
    pub(super) fn memory_type(self, dtype: DType) -> &'static str {
        match dtype {
            DType::F16 | DType::BF16 => self.value_type(DType::U16),
            DType::Bool => self.value_type(DType::U8),
            other => self.value_type(other),
        }
    }

    /// The type of several values together, if there is one that the device moves at once.
    pub(super) fn vector(self, dtype: DType, lanes: u32) -> Option<String> {
        let bits = if dtype.is_float() { dtype.bits().max(32) } else { dtype.bits() };
        let scalar = match dtype {
            DType::Bool => return None,
            DType::F64 => "double",
            DType::F32 | DType::F16 | DType::BF16 => "float",
            DType::I64 if self == Language::Cuda => "longlong",
            DType::U64 if self == Language::Cuda => "ulonglong",
            other => super::expression::opencl_name(other),
        };
        (matches!(lanes, 2 | 4) && lanes * bits <= VECTOR_BITS).then(|| format!("{scalar}{lanes}"))
    }

    /// The same of elements in memory; empty if there is none.
    pub(super) fn memory_vector(self, dtype: DType, lanes: u32) -> String {
        let dtype = match dtype {
            DType::F16 | DType::BF16 => DType::U16,
            DType::Bool => DType::U8,
            other => other,
        };
        self.vector(dtype, lanes).unwrap_or_default()
    }

    /// Whether vectors lie at multiples of their size.
    pub(super) fn wants_alignment(self) -> bool {
        self == Language::Cuda
    }

    pub(super) fn load_vector(self, from: &Vector) -> String {
        let Vector { of, lanes, element, constant } = from;
        let constant = if *constant { "const " } else { "" };
        match self {
            Language::OpenCl => format!("vload{lanes}(0, &{element})"),
            Language::Cuda => format!("*({constant}{of} *)&{element}"),
        }
    }

    pub(super) fn store_vector(self, to: &Vector, value: &str) -> String {
        let Vector { of, lanes, element, .. } = to;
        match self {
            Language::OpenCl => format!("vstore{lanes}({value}, 0, &{element})"),
            Language::Cuda => format!("*({of} *)&{element} = {value}"),
        }
    }

    /// A vector of these lanes.
    pub(super) fn vector_of(self, vector: &str, lanes: &[String]) -> String {
        let lanes = lanes.join(", ");
        match self {
            Language::OpenCl => format!("({vector})({lanes})"),
            Language::Cuda => format!("make_{vector}({lanes})"),
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

    /// Of an array that vectors are moved to and from.
    pub(super) fn aligned(self) -> &'static str {
        match self {
            Language::OpenCl => "",
            Language::Cuda => "__align__(16) ",
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
    pub(super) fn launch(
        self,
        kernel: &str,
        (grid, block): (&[String], &[String]),
        dynamic_shared_bytes: i64,
        arguments: &[String],
    ) -> Vec<String> {
        let or_one = |all: &[String]| if all.is_empty() { vec!["1".to_string()] } else { all.to_vec() };
        let (grid, block, arguments) = (or_one(grid), or_one(block), arguments.join(", "));
        match self {
            Language::Cuda => {
                let (grid, block) = (grid.join(", "), block.join(", "));
                let most = "cudaFuncAttributeMaxDynamicSharedMemorySize";
                let raised = format!("cudaFuncSetAttribute({kernel}, {most}, {dynamic_shared_bytes});");
                let launch =
                    format!("{kernel}<<<dim3({grid}), dim3({block}), {dynamic_shared_bytes}, stream>>>({arguments});");
                if dynamic_shared_bytes > 0 { vec![raised, launch] } else { vec![launch] }
            }
            Language::OpenCl => {
                let (grid, block) = (grid.join(" x "), block.join(" x "));
                vec![format!("{kernel}({arguments}) in {grid} groups of {block} items")]
            }
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
            Language::Cuda => Some(format!("{name}{}", if dtype == DType::F64 { "" } else { "f" })),
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

/// What one instruction of a device moves at most.
const VECTOR_BITS: u32 = 128;

/// A vector in memory.
pub(super) struct Vector {
    /// Its type.
    pub(super) of: String,
    pub(super) lanes: u32,
    /// The first element.
    pub(super) element: String,
    /// Whether nothing writes the memory.
    pub(super) constant: bool,
}

const AXES: [&str; 3] = ["x", "y", "z"];

/// A function that a text needs beside those of its language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Helper {
    /// A quotient, or a remainder, rounded to minus infinity; 0 where the divisor is.
    Floored(BinOp, DType),
    /// A shift by any number of bits.
    Shifted(BinOp, DType),
    /// Whether this is the first check of the launch that fails.
    FirstFault,
    /// The float that 16 bits are.
    Widened(DType),
    /// The 16 bits of the nearest short float.
    Narrowed(DType),
    /// The nearest short float, as a float.
    Rounded(DType),
    /// A float that is rounded to a short one as the number itself would: the nearest towards zero, with the last bit set
    /// where something was lost (Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008).
    Odd(DType),
    /// A `double`, or a `float`, without its fraction, as the nearest integer of a type; 0 of what is no number.
    Truncated(bool, DType),
    /// A copy of so many bytes to shared memory that goes on by itself, on devices that have such; see [`Helper::copying`].
    Copied(u32),
    /// A wait for these.
    Awaited,
}

impl Helper {
    /// The copy of so many bytes, if a device has one.
    pub(super) fn copying(bytes: u32) -> Option<Helper> {
        matches!(bytes, 4 | 8 | 16).then_some(Helper::Copied(bytes))
    }

    /// As it is called.
    pub(super) fn name(self) -> String {
        match self {
            Helper::Floored(BinOp::Div, dtype) => format!("floor_div_{}", dtype.name()),
            Helper::Floored(_, dtype) => format!("floor_mod_{}", dtype.name()),
            Helper::Shifted(BinOp::Shl, dtype) => format!("shift_left_{}", dtype.name()),
            Helper::Shifted(_, dtype) => format!("shift_right_{}", dtype.name()),
            Helper::FirstFault => "first_fault".into(),
            Helper::Copied(bytes) => format!("copy_{bytes}_bytes"),
            Helper::Awaited => "wait_for_copies".into(),
            Helper::Widened(dtype) => format!("float_of_{}", dtype.name()),
            Helper::Narrowed(dtype) => format!("{}_of_float", dtype.name()),
            Helper::Rounded(dtype) => format!("rounded_to_{}", dtype.name()),
            Helper::Odd(dtype) => format!("odd_float_of_{}", dtype.name()),
            Helper::Truncated(double, dtype) => {
                format!("{}_of_{}", dtype.name(), if double { "double" } else { "float" })
            }
        }
    }

    pub(super) fn text(self, language: Language) -> String {
        let inline = match (language, self) {
            (Language::OpenCl, _) => "static inline",
            // The host computes the sizes of grids with these too.
            (Language::Cuda, Helper::Floored(..) | Helper::Shifted(..)) => "static inline __host__ __device__",
            (Language::Cuda, _) => "static inline __device__",
        };
        let name = self.name();
        let of = |dtype| language.value_type(dtype);
        let function = |result: &str, parameters: String, body: &str| {
            format!("{inline} {result} {name}({parameters})\n{{\n    {body}\n}}\n")
        };
        match self {
            Helper::Floored(_, dtype) | Helper::Shifted(_, dtype) => {
                let of = of(dtype);
                function(of, format!("{of} a, {of} b"), &format!("return {};", self.of_integers(language)))
            }
            Helper::FirstFault => {
                let (pointer, claim) = match language {
                    Language::OpenCl => ("__global long", "atomic_cmpxchg((volatile __global int *)fault, 0, check)"),
                    Language::Cuda => ("long long", "atomicCAS((int *)fault, 0, check)"),
                };
                function("bool", format!("{pointer} *fault, int check"), &format!("return {claim} == 0;"))
            }
            Helper::Copied(bytes) => {
                format!("{inline} void {name}(void *to, const void *from)\n{{\n{}\n}}\n", begun(bytes))
            }
            Helper::Awaited => format!("{inline} void {name}()\n{{\n{}\n}}\n", awaited()),
            Helper::Widened(dtype) => {
                let value = match (language, dtype) {
                    (Language::OpenCl, DType::F16) => "vload_half(0, (const half *)&bits)",
                    (Language::OpenCl, _) => "as_float((unsigned int)bits << 16)",
                    (Language::Cuda, DType::F16) => "__half2float(__ushort_as_half(bits))",
                    (Language::Cuda, _) => "__uint_as_float((unsigned int)bits << 16)",
                };
                function("float", format!("{} bits", of(DType::U16)), &format!("return {value};"))
            }
            Helper::Narrowed(dtype) => function(of(DType::U16), "float x".into(), narrowed(language, dtype)),
            Helper::Rounded(dtype) => {
                let (widened, narrowed) = (Helper::Widened(dtype).name(), Helper::Narrowed(dtype).name());
                function("float", "float x".into(), &format!("return {widened}({narrowed}(x));"))
            }
            Helper::Odd(dtype) => function("float", format!("{} x", of(dtype)), &odd(language, dtype)),
            Helper::Truncated(double, to) => {
                let from = if double { "double" } else { "float" };
                function(of(to), format!("{from} x"), &truncated(language, to))
            }
        }
    }

    /// A quotient, remainder or shift of `a` and `b`.
    fn of_integers(self, language: Language) -> String {
        match self {
            Helper::Floored(BinOp::Div, dtype) if dtype.is_signed() => {
                "b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0))".into()
            }
            Helper::Floored(_, dtype) if dtype.is_signed() => {
                "b == 0 || b == -1 ? 0 : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0)".into()
            }
            Helper::Floored(BinOp::Div, _) => "b == 0 ? 0 : a / b".into(),
            Helper::Floored(..) => "b == 0 ? 0 : a % b".into(),
            Helper::Shifted(op, dtype) => {
                let (of, wide) = (language.value_type(dtype), language.value_type(DType::U64));
                let range = in_range(dtype, dtype.bits());
                match op {
                    BinOp::Shl => format!("{range} ? ({of})(({wide})a << b) : 0"),
                    _ if dtype.is_signed() => format!("{range} ? ({of})(a >> b) : ({of})(a < 0 ? -1 : 0)"),
                    _ => format!("{range} ? ({of})(a >> b) : ({of})(0)"),
                }
            }
            _ => String::new(),
        }
    }
}

fn narrowed(language: Language, dtype: DType) -> &'static str {
    match (language, dtype) {
        (Language::OpenCl, DType::F16) => {
            "unsigned short bits;\n    vstore_half_rte(x, 0, (half *)&bits);\n    return bits;"
        }
        (Language::Cuda, DType::F16) => "return __half_as_ushort(__float2half_rn(x));",
        (Language::OpenCl, _) => {
            "unsigned int bits = as_uint(x);\n    return (isnan(x) ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16;"
        }
        (Language::Cuda, _) => {
            "unsigned int bits = __float_as_uint(x);\n    return (isnan(x) ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16;"
        }
    }
}

fn odd(language: Language, from: DType) -> String {
    let of = language.value_type(from);
    let nan = if from.is_float() { " || x != x" } else { "" };
    match language {
        Language::OpenCl => {
            format!("float f = convert_float_rtz(x);\n    return ({of})f == x{nan} ? f : as_float(as_uint(f) | 1);")
        }
        Language::Cuda => {
            let name = match from {
                DType::F64 => "double",
                DType::I32 => "int",
                DType::U32 => "uint",
                DType::I64 => "ll",
                _ => "ull",
            };
            format!(
                "float f = __{name}2float_rz(x);\n    return ({of})f == x{nan} ? f : __uint_as_float(__float_as_uint(f) | 1);"
            )
        }
    }
}

fn truncated(language: Language, to: DType) -> String {
    let of = language.value_type(to);
    let bits = to.bits();
    // Powers of two: floats hold them.
    let (low, high) = match to.is_signed() {
        true => (format!("-0x1p{}f", bits - 1), format!("0x1p{}f", bits - 1)),
        false => ("0.0f".into(), format!("0x1p{bits}f")),
    };
    let (least, most) = match to.is_signed() {
        true => (format!("({of})(1ull << {})", bits - 1), format!("({of})((1ull << {}) - 1)", bits - 1)),
        false => ("0".into(), format!("({of})~0ull")),
    };
    format!("return x != x ? 0 : x <= {low} ? {least} : x >= {high} ? {most} : ({of})x;")
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

/// A copy that goes on by itself: the instruction, with an address of shared memory; a loop for devices without it.
fn begun(bytes: u32) -> String {
    let (cache, words) = (if bytes == 16 { "cg" } else { "ca" }, bytes / 4);
    format!(
        r#"#if __CUDA_ARCH__ >= 800
    asm volatile("{{ .reg .u64 long_to; .reg .u32 to; cvta.to.shared.u64 long_to, %0; cvt.u32.u64 to, long_to;"
                 " cp.async.{cache}.shared.global [to], [%1], {bytes}; }}" :: "l"(to), "l"(from) : "memory");
#else
    for (int at = 0; at < {words}; ++at) ((unsigned int *)to)[at] = ((const unsigned int *)from)[at];
#endif"#
    )
}

fn awaited() -> &'static str {
    r#"#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif"#
}

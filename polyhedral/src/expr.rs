use std::fmt;

use crate::Index;

/// A type of elements and of scalar values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum DType {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
}

impl DType {
    /// All of them.
    pub const ALL: [DType; 13] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
    ];

    /// Bits of a value; `bool` is one bit of value in a byte of memory.
    pub fn bits(self) -> u32 {
        match self {
            DType::Bool => 1,
            DType::I8 | DType::U8 => 8,
            DType::I16 | DType::U16 | DType::F16 | DType::BF16 => 16,
            DType::I32 | DType::U32 | DType::F32 => 32,
            DType::I64 | DType::U64 | DType::F64 => 64,
        }
    }

    /// Bytes of an element in memory.
    pub fn bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }

    /// Whether it is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// Whether it is a signed integer type.
    pub fn is_signed(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    /// Whether it is an integer type, signed or not; `bool` is none.
    pub fn is_int(self) -> bool {
        !self.is_float() && self != DType::Bool
    }

    /// Whether every value of it is a value of another type, `wider`: a conversion there is exact, and two of them are one.
    pub fn widens_to(self, wider: DType) -> bool {
        use DType::{BF16, F16, F32, F64};
        let digits = |float: DType| match float {
            BF16 => 8,
            F16 => 11,
            F32 => 24,
            _ => 53,
        };
        match (self.int_range(), wider.int_range()) {
            (Some((least, most)), Some((lower, upper))) => self != wider && lower <= least && most <= upper,
            (Some((_, most)), None) => matches!(wider, F32 | F64) && most < 1 << digits(wider),
            (None, None) => matches!((self, wider), (F16 | BF16, F32 | F64) | (F32, F64)),
            (None, Some(_)) => false,
        }
    }

    /// The name in TC: `float32`, `int8`, `bool`.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }

    /// The type with that name; `float` and `double` are `float32` and `float64`.
    pub fn parse(name: &str) -> Option<DType> {
        match name {
            "float" => Some(DType::F32),
            "double" => Some(DType::F64),
            _ => DType::ALL.into_iter().find(|dtype| dtype.name() == name),
        }
    }

    /// Smallest value of an integer type, as far as `i128` reaches; `None` for others.
    pub fn int_range(self) -> Option<(i128, i128)> {
        let bits = self.bits();
        match self {
            _ if self.is_signed() => Some((-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => Some((0, (1i128 << bits) - 1)),
            _ => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A constant with its exact value: integers and booleans as integers, floats as the double they were written as
/// (rounded to the type once).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Of an integer type or `bool` (0 or 1).
    Int(i128),
    /// Of a floating-point type.
    Float(f64),
}

/// An operator on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnOp {
    /// `-x`; integers wrap.
    Neg,
    /// `!x` on `bool`.
    Not,
}

/// An operator on two values of one type, with a result of that type. Integers wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BinOp {
    /// `x + y`
    Add,
    /// `x - y`
    Sub,
    /// `x * y`
    Mul,
    /// `x / y`; integers round to minus infinity, and division by zero gives 0.
    Div,
    /// `x % y`: `x - y·floor(x / y)` for integers, with 0 for `y = 0`; for floats C's `fmod`.
    Mod,
    /// The smaller; a NaN loses against a number, as in IEEE 754's `minimumNumber`; -0 is smaller than +0 or not, freely.
    Min,
    /// The larger, likewise.
    Max,
    /// `x && y` on `bool`.
    And,
    /// `x || y` on `bool`.
    Or,
    /// `x & y`, bit by bit, on integers.
    BitAnd,
    /// `x | y`, bit by bit, on integers.
    BitOr,
    /// `x ^ y`, bit by bit, on integers.
    BitXor,
    /// `x << y` on integers: bits that leave are lost. A shift by less than 0 or by as many bits as there are gives 0.
    Shl,
    /// `x >> y` on integers: `floor(x / 2^y)`, with the sign kept. A shift by less than 0 or by as many bits as there are
    /// is one by all of them: 0, or -1 for a negative `x`.
    Shr,
}

impl BinOp {
    /// Those that print as functions, with the names of these.
    pub const FUNCTIONS: [(&'static str, BinOp); 7] = [
        ("min", BinOp::Min),
        ("max", BinOp::Max),
        ("bitand", BinOp::BitAnd),
        ("bitor", BinOp::BitOr),
        ("bitxor", BinOp::BitXor),
        ("shl", BinOp::Shl),
        ("shr", BinOp::Shr),
    ];

    /// The name of the function that it prints as, when it does not print between its operands.
    pub fn function(self) -> Option<&'static str> {
        BinOp::FUNCTIONS.iter().find(|(_, op)| *op == self).map(|(name, _)| *name)
    }

    /// `x op y` of integers that are in the range of a type of that many bits, for operators on bits; the value of a
    /// shift to the left is not brought back into the type.
    pub fn on_bits(self, bits: u32, x: i128, y: i128) -> Option<i128> {
        let inside = (0..i128::from(bits)).contains(&y);
        Some(match self {
            BinOp::BitAnd => x & y,
            BinOp::BitOr => x | y,
            BinOp::BitXor => x ^ y,
            BinOp::Shl if inside => x << y,
            BinOp::Shl => 0,
            BinOp::Shr if inside => x >> y,
            BinOp::Shr if x < 0 => -1,
            BinOp::Shr => 0,
            _ => return None,
        })
    }

    /// Whether it works on the bits of integers.
    pub fn is_bitwise(self) -> bool {
        matches!(self, BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr)
    }
}

/// A comparison of two values of one type; the result is `bool`. Comparisons with a NaN are false, but for `!=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum CmpOp {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

macro_rules! builtins {
    ($($variant:ident $name:literal $arity:literal;)*) => {
        /// A function of the language on floating-point values. The names are CUDA's, as Tensor Comprehensions had them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Builtin { $($variant),* }

        impl Builtin {
            /// All of them.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$variant),*];

            /// The name in TC.
            pub fn name(self) -> &'static str {
                match self { $(Builtin::$variant => $name),* }
            }

            /// How many arguments it takes.
            pub fn arity(self) -> usize {
                match self { $(Builtin::$variant => $arity),* }
            }
        }
    };
}

builtins! {
    Acos "acos" 1; Acosh "acosh" 1; Asin "asin" 1; Asinh "asinh" 1; Atan "atan" 1; Atanh "atanh" 1; Cbrt "cbrt" 1;
    Ceil "ceil" 1; Cos "cos" 1; Cosh "cosh" 1; Cospi "cospi" 1; CylBesselI0 "cyl_bessel_i0" 1;
    CylBesselI1 "cyl_bessel_i1" 1; Erf "erf" 1; Erfc "erfc" 1; Erfcinv "erfcinv" 1; Erfcx "erfcx" 1;
    Erfinv "erfinv" 1; Exp "exp" 1; Exp10 "exp10" 1; Exp2 "exp2" 1; Expm1 "expm1" 1; Fabs "fabs" 1; Floor "floor" 1;
    J0 "j0" 1; J1 "j1" 1; Lgamma "lgamma" 1; Log "log" 1; Log10 "log10" 1; Log1p "log1p" 1; Log2 "log2" 1;
    Logb "logb" 1; Normcdf "normcdf" 1; Normcdfinv "normcdfinv" 1; Rcbrt "rcbrt" 1; Round "round" 1; RoundEven "round_even" 1; Rsqrt "rsqrt" 1;
    Sin "sin" 1; Sinh "sinh" 1; Sinpi "sinpi" 1; Sqrt "sqrt" 1; Tan "tan" 1; Tanh "tanh" 1; Tgamma "tgamma" 1;
    Trunc "trunc" 1; Y0 "y0" 1; Y1 "y1" 1;
    Atan2 "atan2" 2; Copysign "copysign" 2; Fdim "fdim" 2; Fdivide "fdivide" 2; Fmax "fmax" 2; Fmin "fmin" 2;
    Fmod "fmod" 2; Hypot "hypot" 2; Nextafter "nextafter" 2; Pow "pow" 2; Remainder "remainder" 2; Rhypot "rhypot" 2;
    Fma "fma" 3; Norm3d "norm3d" 3; Rnorm3d "rnorm3d" 3;
    Norm4d "norm4d" 4; Rnorm4d "rnorm4d" 4;
}

impl Builtin {
    /// The function with that name.
    pub fn parse(name: &str) -> Option<Builtin> {
        Builtin::ALL.iter().copied().find(|builtin| builtin.name() == name)
    }
}

/// The scalar computation of a statement.
///
/// ```text
/// expr = const(v, T) | index(e)                  e as a 64-bit signed integer
///      | load(k)                                 what the k-th read of the statement sees
///      | unary op expr | binary op expr expr     operands of one type, result of that type
///      | compare op expr expr                    operands of one type, result bool
///      | select expr expr expr                   a bool and two of one type; only one arm's value counts,
///                                                but both may be computed
///      | cast T expr | call f expr*              arguments of one floating-point type, result of that type
///      | state(i) | term(i)                      inside a monoid only
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A constant of a type.
    Const(Value, DType),
    /// An integer expression over dimensions and parameters; of type `int64`.
    Index(Index),
    /// The value that read number `k` of the statement sees.
    Load(usize),
    /// One operand.
    Unary(UnOp, Box<Expr>),
    /// Two operands of one type.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// Two operands of one type; `bool`.
    Compare(CmpOp, Box<Expr>, Box<Expr>),
    /// `condition ? then : otherwise`.
    Select(Box<Expr>, Box<Expr>, Box<Expr>),
    /// Conversion: float to integer truncates and saturates (NaN gives 0); integer to integer wraps; to `bool` is
    /// `!= 0`; to float rounds to nearest even.
    Cast(DType, Box<Expr>),
    /// A function of the language.
    Call(Builtin, Vec<Expr>),
    /// In a [`Monoid`]: the accumulated value of component `i`.
    State(usize),
    /// In a [`Monoid`]: the contributed value of component `i`.
    Term(usize),
}

impl Expr {
    /// The sub-expressions, in order.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Const(..) | Expr::Index(_) | Expr::Load(_) | Expr::State(_) | Expr::Term(_) => Vec::new(),
            Expr::Unary(_, e) | Expr::Cast(_, e) => vec![e],
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => vec![a, b],
            Expr::Select(c, a, b) => vec![c, a, b],
            Expr::Call(_, arguments) => arguments.iter().collect(),
        }
    }

    /// Calls `see` on this expression and every one below it.
    pub fn visit(&self, see: &mut dyn FnMut(&Expr)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    /// Rebuilds the expression bottom-up.
    pub fn map(&self, change: &mut dyn FnMut(Expr) -> Expr) -> Expr {
        let mut go = |e: &Expr| Box::new(e.map(change));
        let rebuilt = match self {
            Expr::Const(..) | Expr::Index(_) | Expr::Load(_) | Expr::State(_) | Expr::Term(_) => self.clone(),
            Expr::Unary(op, e) => Expr::Unary(*op, go(e)),
            Expr::Binary(op, a, b) => Expr::Binary(*op, go(a), go(b)),
            Expr::Compare(op, a, b) => Expr::Compare(*op, go(a), go(b)),
            Expr::Select(c, a, b) => Expr::Select(go(c), go(a), go(b)),
            Expr::Cast(dtype, e) => Expr::Cast(*dtype, go(e)),
            Expr::Call(builtin, arguments) => Expr::Call(*builtin, arguments.iter().map(|e| *go(e)).collect()),
        };
        change(rebuilt)
    }

    /// Whether the 64 bits of this subscript are those of a `uint64`: one from 2⁶³ on is no negative number, where it is shown.
    /// `loads` are the types of the reads.
    pub fn is_unsigned_subscript(&self, loads: &[DType]) -> bool {
        let computed = match self {
            Expr::Cast(DType::I64, e) => e,
            other => other,
        };
        computed.dtype(loads, &[]) == Some(DType::U64)
    }

    /// The type, given those of the reads (and of the components, inside a monoid); `None` when the operands do not fit.
    pub fn dtype(&self, loads: &[DType], components: &[DType]) -> Option<DType> {
        let of = |e: &Expr| e.dtype(loads, components);
        match self {
            Expr::Const(_, dtype) => Some(*dtype),
            Expr::Index(_) => Some(DType::I64),
            Expr::Load(k) => loads.get(*k).copied(),
            Expr::State(i) | Expr::Term(i) => components.get(*i).copied(),
            Expr::Unary(UnOp::Not, e) => of(e).filter(|dtype| *dtype == DType::Bool),
            Expr::Unary(UnOp::Neg, e) => of(e).filter(|dtype| *dtype != DType::Bool),
            Expr::Binary(op, a, b) => {
                let logical = matches!(op, BinOp::And | BinOp::Or);
                let dtype = of(a)?;
                (of(b)? == dtype && (dtype.is_int() || !op.is_bitwise()) && logical == (dtype == DType::Bool))
                    .then_some(dtype)
            }
            Expr::Compare(_, a, b) => (of(a)? == of(b)?).then_some(DType::Bool),
            Expr::Select(c, a, b) => {
                let dtype = of(a)?;
                (of(c)? == DType::Bool && of(b)? == dtype).then_some(dtype)
            }
            Expr::Cast(dtype, e) => of(e).map(|_| *dtype),
            Expr::Call(builtin, arguments) => {
                // Each argument once: twice at every level would be exponential in the depth.
                let (first, others) = arguments.split_first()?;
                let first = of(first)?;
                let fits = arguments.len() == builtin.arity() && others.iter().all(|e| of(e) == Some(first));
                (fits && first.is_float()).then_some(first)
            }
        }
    }
}

/// How a reduction combines: a commutative monoid over a tuple of values. Component `i` of the state becomes
/// `combine[i]`, an expression over `State` and `Term`; `identity[i]` is neutral.
#[derive(Clone, Debug, PartialEq)]
pub struct Monoid {
    /// `sum`, `prod`, `min`, `max`, …: how it prints.
    pub name: String,
    /// Types of the components.
    pub dtypes: Vec<DType>,
    /// The neutral element.
    pub identity: Vec<Value>,
    /// The new state.
    pub combine: Vec<Expr>,
}

impl Monoid {
    /// `+` with 0.
    pub fn sum(dtype: DType) -> Monoid {
        Monoid::binary("sum", BinOp::Add, dtype, zero(dtype))
    }

    /// `*` with 1.
    pub fn prod(dtype: DType) -> Monoid {
        Monoid::binary("prod", BinOp::Mul, dtype, if dtype.is_float() { Value::Float(1.0) } else { Value::Int(1) })
    }

    /// `min` with the largest value of the type (+∞ for floats).
    pub fn min(dtype: DType) -> Monoid {
        Monoid::binary("min", BinOp::Min, dtype, bound(dtype, true))
    }

    /// `max` with the smallest value of the type (-∞ for floats).
    pub fn max(dtype: DType) -> Monoid {
        Monoid::binary("max", BinOp::Max, dtype, bound(dtype, false))
    }

    /// `&&` with `true`.
    pub fn all() -> Monoid {
        Monoid::binary("all", BinOp::And, DType::Bool, Value::Int(1))
    }

    /// `||` with `false`.
    pub fn any() -> Monoid {
        Monoid::binary("any", BinOp::Or, DType::Bool, Value::Int(0))
    }

    /// `&` with all bits.
    pub fn bit_and(dtype: DType) -> Monoid {
        let ones = match dtype.int_range() {
            Some((_, most)) if !dtype.is_signed() => most,
            _ => -1,
        };
        Monoid::binary("bitand", BinOp::BitAnd, dtype, Value::Int(ones))
    }

    /// `|` with no bit.
    pub fn bit_or(dtype: DType) -> Monoid {
        Monoid::binary("bitor", BinOp::BitOr, dtype, Value::Int(0))
    }

    /// `^` with no bit.
    pub fn bit_xor(dtype: DType) -> Monoid {
        Monoid::binary("bitxor", BinOp::BitXor, dtype, Value::Int(0))
    }

    /// Where the smallest value is: components are the index and the value. See [`Monoid::arg_max`].
    pub fn arg_min(index: DType, value: DType) -> Monoid {
        Monoid::extreme("argmin", CmpOp::Lt, index, value, bound(value, true))
    }

    /// Where the largest value is: components are the index and the value; of equal values the smallest index. Without a
    /// value, and where all are NaN, the index is -1.
    pub fn arg_max(index: DType, value: DType) -> Monoid {
        Monoid::extreme("argmax", CmpOp::Gt, index, value, bound(value, false))
    }

    /// The term wins where its value beats the state's, or equals it and its index is the smaller one of those that are
    /// some.
    fn extreme(name: &str, beats: CmpOp, index: DType, value: DType, worst: Value) -> Monoid {
        let compare = |op, a, b| Expr::Compare(op, Box::new(a), Box::new(b));
        let binary = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
        let none = Expr::Const(Value::Int(0), index);
        let earlier = binary(
            BinOp::Or,
            compare(CmpOp::Lt, Expr::State(0), none.clone()),
            compare(CmpOp::Lt, Expr::Term(0), Expr::State(0)),
        );
        let ties = binary(
            BinOp::And,
            compare(CmpOp::Eq, Expr::Term(1), Expr::State(1)),
            binary(BinOp::And, compare(CmpOp::Ge, Expr::Term(0), none), earlier),
        );
        let wins = binary(BinOp::Or, compare(beats, Expr::Term(1), Expr::State(1)), ties);
        let chosen = |at| Expr::Select(Box::new(wins.clone()), Box::new(Expr::Term(at)), Box::new(Expr::State(at)));
        Monoid {
            name: name.into(),
            dtypes: vec![index, value],
            identity: vec![Value::Int(-1), worst],
            combine: vec![chosen(0), chosen(1)],
        }
    }

    /// The operator that combines, where it is one whose operands are the state and then the term.
    pub fn operator_on_state(&self) -> Option<BinOp> {
        let operator = self.operator()?;
        matches!(self.combine.as_slice(), [Expr::Binary(_, a, _)] if **a == Expr::State(0)).then_some(operator)
    }

    /// The operator that combines, where it is one, applied to the state and the term: then states are combined by it
    /// just as terms are, in any grouping.
    pub fn operator(&self) -> Option<BinOp> {
        if self.combine.len() == 1 { self.operator_of(0) } else { None }
    }

    /// The operator that combines a component which no other one looks at.
    pub fn operator_of(&self, component: usize) -> Option<BinOp> {
        let Expr::Binary(op, a, b) = self.combine.get(component)? else { return None };
        let is_own = |e: &Expr| matches!(e, Expr::State(at) | Expr::Term(at) if *at == component);
        let others = self.combine.iter().enumerate().filter(|(at, _)| *at != component);
        for (_, other) in others {
            let mut used = false;
            other.visit(&mut |e| used |= is_own(e));
            if used {
                return None;
            }
        }
        let operands = match (&**a, &**b) {
            (Expr::State(x), Expr::Term(y)) | (Expr::Term(x), Expr::State(y)) => *x == component && *y == component,
            _ => false,
        };
        let associates = matches!(
            op,
            BinOp::Add
                | BinOp::Mul
                | BinOp::Min
                | BinOp::Max
                | BinOp::And
                | BinOp::Or
                | BinOp::BitAnd
                | BinOp::BitOr
                | BinOp::BitXor
        );
        (operands && associates).then_some(*op)
    }

    fn binary(name: &str, op: BinOp, dtype: DType, identity: Value) -> Monoid {
        let combine = Expr::Binary(op, Box::new(Expr::State(0)), Box::new(Expr::Term(0)));
        Monoid { name: name.into(), dtypes: vec![dtype], identity: vec![identity], combine: vec![combine] }
    }
}

fn zero(dtype: DType) -> Value {
    if dtype.is_float() { Value::Float(0.0) } else { Value::Int(0) }
}

fn bound(dtype: DType, upper: bool) -> Value {
    match dtype.int_range() {
        Some((low, high)) => Value::Int(if upper { high } else { low }),
        None if dtype.is_float() => Value::Float(if upper { f64::INFINITY } else { f64::NEG_INFINITY }),
        None => Value::Int(upper as i128),
    }
}

//! Integers, conditions and values as text.

use polyhedral::{BinOp, Builtin, CmpOp, DType, TensorId, UnOp, Value as Scalar};

use super::words::{Helper, Language, operator};
use super::{Printer, Result, Text, unsupported};
use crate::passes::Ranges;
use crate::{At, Cond, Int, Place, Stride, Value};

/// How tightly operands are bound, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tightness {
    Choice,
    Or,
    And,
    /// Bits of integers: always in parentheses beside other operators.
    Bits,
    Comparison,
    Sum,
    Product,
    Unary,
    Atom,
}

impl Tightness {
    /// Of an operand that must hold together more tightly than its neighbour.
    fn next(self) -> Tightness {
        match self {
            Tightness::Choice => Tightness::Or,
            Tightness::Or => Tightness::And,
            Tightness::And => Tightness::Bits,
            Tightness::Bits => Tightness::Comparison,
            Tightness::Comparison => Tightness::Sum,
            Tightness::Sum => Tightness::Product,
            Tightness::Product => Tightness::Unary,
            Tightness::Unary | Tightness::Atom => Tightness::Atom,
        }
    }
}

impl Text {
    fn new(text: impl Into<String>, tightness: Tightness) -> Text {
        Text { text: text.into(), tightness }
    }

    fn atom(text: impl Into<String>) -> Text {
        Text::new(text, Tightness::Atom)
    }

    /// The argument, where the whole text is a call of a helper.
    fn argument_of(&self, helper: Helper) -> Option<&str> {
        let argument = self.text.strip_prefix(&helper.name())?.strip_prefix('(')?.strip_suffix(')')?;
        (self.tightness == Tightness::Atom).then_some(argument)
    }

    /// In parentheses where the place asks for more.
    pub(super) fn at(self, place: Tightness) -> String {
        if self.tightness < place { format!("({})", self.text) } else { self.text }
    }
}

impl Printer<'_> {
    pub(super) fn int(&mut self, int: &Int, ranges: &Ranges) -> String {
        self.int_text(int, ranges).text
    }

    /// The end of a loop, to the right of a `<`.
    pub(super) fn end(&mut self, int: &Int, ranges: &Ranges) -> String {
        self.int_text(int, ranges).at(Tightness::Sum)
    }

    fn int_text(&mut self, int: &Int, ranges: &Ranges) -> Text {
        match int {
            Int::Const(value) if *value < 0 => Text::new(value.to_string(), Tightness::Unary),
            Int::Const(value) => Text::atom(value.to_string()),
            Int::Var(var) => Text::atom(self.names.var(*var)),
            Int::Param(at) => Text::atom(self.names.params.get(*at).map_or("", String::as_str)),
            Int::Add(..) => self.sum(int, ranges),
            Int::Mul(a, b) => {
                let a = self.int_text(a, ranges).at(Tightness::Product);
                Text::new(format!("{a}*{}", self.int_text(b, ranges).at(Tightness::Unary)), Tightness::Product)
            }
            Int::FloorDiv(e, by) => self.floored(BinOp::Div, e, *by, ranges),
            Int::Mod(e, by) => self.floored(BinOp::Mod, e, *by, ranges),
            Int::Min(a, b) => self.smaller("min", a, b, ranges),
            Int::Max(a, b) => self.smaller("max", a, b, ranges),
            Int::Select(cond, a, b) => {
                let cond = self.cond_text(cond, ranges).at(Tightness::Or);
                let (a, b) = (self.int(a, ranges), self.int_text(b, ranges).at(Tightness::Choice));
                Text::new(format!("{cond} ? {a} : {b}"), Tightness::Choice)
            }
        }
    }

    /// What is added first, then what is taken away.
    fn sum(&mut self, int: &Int, ranges: &Ranges) -> Text {
        let linear = int.linear();
        let mut text = String::new();
        let (added, taken): (Vec<_>, Vec<_>) = linear.terms.iter().partition(|(_, c)| *c > 0);
        for (atom, c) in added {
            let term = self.term(atom, *c, ranges);
            text = if text.is_empty() { term } else { format!("{text} + {term}") };
        }
        if text.is_empty() || linear.constant > 0 {
            let constant = linear.constant;
            text = if text.is_empty() { constant.to_string() } else { format!("{text} + {constant}") };
        }
        for (atom, c) in taken {
            text = match c.checked_neg() {
                Some(c) => format!("{text} - {}", self.term(atom, c, ranges)),
                None => format!("{text} + {}", self.term(atom, *c, ranges)),
            };
        }
        if linear.constant < 0 && !linear.terms.is_empty() && linear.terms.iter().any(|(_, c)| *c > 0) {
            text = format!("{text} - {}", linear.constant.unsigned_abs());
        }
        Text::new(text, Tightness::Sum)
    }

    fn term(&mut self, atom: &Int, c: i64, ranges: &Ranges) -> String {
        let atom = self.int_text(atom, ranges);
        if c == 1 { atom.at(Tightness::Product) } else { format!("{c}*{}", atom.at(Tightness::Unary)) }
    }

    fn floored(&mut self, op: BinOp, e: &Int, by: i64, ranges: &Ranges) -> Text {
        if ranges.decide(CmpOp::Ge, e, &Int::Const(0)) == Some(true) {
            let symbol = if op == BinOp::Div { "/" } else { "%" };
            let e = self.int_text(e, ranges).at(Tightness::Product);
            return Text::new(format!("{e} {symbol} {by}"), Tightness::Product);
        }
        let dtype = if self.index == "int" { DType::I32 } else { DType::I64 };
        let helper = Helper::Floored(op, dtype);
        self.helpers.insert(helper);
        Text::atom(format!("{}({}, {by})", helper.name(), self.int(e, ranges)))
    }

    fn smaller(&mut self, name: &str, a: &Int, b: &Int, ranges: &Ranges) -> Text {
        let (a, b) = (self.int_text(a, ranges), self.int_text(b, ranges));
        let constant = |text: &Text| text.text.parse::<i64>().is_ok();
        if self.index != "int" && (constant(&a) || constant(&b)) {
            // A constant is an `int`, which `min` takes for another type.
            let index = self.index;
            let typed = |text: Text| if constant(&text) { format!("({index}){}", text.text) } else { text.text };
            return Text::atom(format!("{name}({}, {})", typed(a), typed(b)));
        }
        Text::atom(format!("{name}({}, {})", a.text, b.text))
    }

    pub(super) fn cond(&mut self, cond: &Cond, ranges: &Ranges) -> String {
        self.cond_text(cond, ranges).text
    }

    fn cond_text(&mut self, cond: &Cond, ranges: &Ranges) -> Text {
        match cond {
            Cond::Compare(op, a, b) => {
                // What is taken away on one side is added on the other.
                let (left, right) = (a.clone() - b.clone()).linear().by_sign();
                let (a, b) = (self.int_text(&left, ranges), self.int_text(&right, ranges));
                let (a, b) = (a.at(Tightness::Sum), b.at(Tightness::Sum));
                Text::new(format!("{a} {} {b}", comparison(*op)), Tightness::Comparison)
            }
            Cond::All(parts) if parts.is_empty() => Text::atom("true"),
            Cond::Any(parts) if parts.is_empty() => Text::atom("false"),
            Cond::All(parts) => self.joined(parts, " && ", Tightness::And, ranges),
            Cond::Any(parts) => self.joined(parts, " || ", Tightness::Or, ranges),
            Cond::Not(inner) => {
                Text::new(format!("!{}", self.cond_text(inner, ranges).at(Tightness::Atom)), Tightness::Unary)
            }
        }
    }

    fn joined(&mut self, parts: &[Cond], symbol: &str, own: Tightness, ranges: &Ranges) -> Text {
        let parts: Vec<String> = parts.iter().map(|part| self.cond_text(part, ranges).at(Tightness::Bits)).collect();
        Text::new(parts.join(symbol), own)
    }

    /// `A[n + N*m]`, or `As[m][n]` of what is not in the device's memory.
    pub(super) fn element(&mut self, buffer: TensorId, at: &[At], ranges: &Ranges) -> Result<String> {
        let row = &self.program.buffers[buffer];
        let name = self.names.buffers[&buffer].clone();
        if matches!(row.place, Place::Shared | Place::Stack) {
            let mut text = name;
            for at in at {
                text.push_str(&format!("[{}]", self.subscript(at, ranges)?.text));
            }
            return Ok(if at.is_empty() { format!("{text}[0]") } else { text });
        }
        let mut position = String::new();
        for (dim, (at, stride)) in at.iter().zip(&row.strides).enumerate() {
            let subscript = self.subscript(at, ranges)?;
            if subscript.text == "0" {
                continue;
            }
            let stride = match stride {
                Stride::Known(stride) if stride.as_const() == Some(1) => None,
                Stride::Known(stride) => Some(self.int_text(stride, ranges).at(Tightness::Unary)),
                Stride::Runtime => self.names.strides.get(&(buffer, dim)).cloned(),
            };
            let term = match stride {
                None => subscript.at(Tightness::Sum),
                Some(stride) => format!("{}*{stride}", subscript.at(Tightness::Product)),
            };
            position = if position.is_empty() { term } else { format!("{position} + {term}") };
        }
        Ok(format!("{name}[{}]", if position.is_empty() { "0" } else { &position }))
    }

    /// The lane's own of integers that are so far apart.
    fn at_lane(&self, base: &Int, step: i64) -> Int {
        base.clone() + Int::Const(i64::from(self.lane).saturating_mul(step))
    }

    fn subscript(&mut self, at: &At, ranges: &Ranges) -> Result<Text> {
        match at {
            At::Affine { base, step } => Ok(self.int_text(&self.at_lane(base, *step), ranges)),
            At::Indirect(value) => self.value(value, ranges),
        }
    }

    pub(super) fn value(&mut self, value: &Value, ranges: &Ranges) -> Result<Text> {
        match value {
            Value::Const(value, dtype) => self.constant(*value, *dtype),
            Value::Int { base, step } if self.index == self.language.long() => {
                Ok(self.int_text(&self.at_lane(base, *step), ranges))
            }
            Value::Int { base, step } => {
                let int = self.int_text(&self.at_lane(base, *step), ranges).at(Tightness::Unary);
                Ok(Text::new(format!("({}){int}", self.language.long()), Tightness::Unary))
            }
            Value::Load { mask: None, .. } if let Some(text) = self.loaded(value) => Ok(Text::atom(text)),
            Value::Load { buffer, at, mask } => {
                let mut text = Text::atom(self.element(*buffer, at, ranges)?);
                match self.program.buffers[*buffer].dtype {
                    DType::Bool => text = Text::new(format!("{} != 0", text.text), Tightness::Comparison),
                    dtype @ (DType::F16 | DType::BF16) => text = self.helped(Helper::Widened(dtype), &text),
                    _ => {}
                }
                match mask {
                    None => Ok(text),
                    Some(mask) => {
                        let mask = self.value(mask, ranges)?.at(Tightness::Or);
                        Ok(Text::new(format!("{mask} ? {} : 0", text.at(Tightness::Or)), Tightness::Choice))
                    }
                }
            }
            Value::Reg(reg) => Ok(Text::atom(self.lane_of(*reg, self.lane))),
            Value::Unary(UnOp::Not, e) => {
                let e = self.value(e, ranges)?.at(Tightness::Atom);
                Ok(Text::new(format!("!{e}"), Tightness::Unary))
            }
            Value::Unary(UnOp::Neg, e) => {
                let dtype = self.dtype(e)?;
                let e = self.value(e, ranges)?.at(Tightness::Atom);
                match dtype.is_float() {
                    true => Ok(Text::new(format!("-{e}"), Tightness::Unary)),
                    false => Ok(self.wrapped(dtype, format!("0 - ({}){e}", self.unsigned(dtype)))),
                }
            }
            Value::Binary(op, a, b) => self.binary(*op, a, b, ranges),
            Value::Compare(op, a, b) => {
                let (a, b) = (self.value(a, ranges)?, self.value(b, ranges)?);
                let (a, b) = (a.at(Tightness::Sum), b.at(Tightness::Sum));
                Ok(Text::new(format!("{a} {} {b}", comparison(*op)), Tightness::Comparison))
            }
            Value::Select(c, a, b) => {
                let c = self.value(c, ranges)?.at(Tightness::Or);
                let (a, b) = (self.value(a, ranges)?.at(Tightness::Or), self.value(b, ranges)?.at(Tightness::Choice));
                Ok(Text::new(format!("{c} ? {a} : {b}"), Tightness::Choice))
            }
            Value::Cast(to, e) => self.cast(*to, e, ranges),
            Value::Call(builtin, arguments) => self.call(*builtin, arguments, ranges),
            Value::MulAdd(a, b, c) => self.call(Builtin::Fma, [&**a, &**b, &**c], ranges),
            Value::Dot { sum, left, right } => {
                let steps = self.dot(sum, left, right)?;
                self.value(&steps, ranges)
            }
            Value::Reduce { op, value, from, to } => self.combined(*op, value, [*from, *to], ranges),
        }
    }

    /// A sum of products as steps.
    fn dot(&self, sum: &Value, left: &[Value], right: &[Value]) -> Result<Value> {
        let dtype = self.dtype(sum)?;
        let taken = |value: &Value| Box::new(Value::Cast(dtype, Box::new(value.clone())));
        Ok(left.iter().zip(right).fold(sum.clone(), |sum, (a, b)| match dtype.is_float() {
            true => Value::MulAdd(taken(a), taken(b), Box::new(sum)),
            false => Value::Binary(BinOp::Add, Box::new(sum), Box::new(Value::Binary(BinOp::Mul, taken(a), taken(b)))),
        }))
    }

    /// What a helper makes of a value.
    fn helped(&mut self, helper: Helper, value: &Text) -> Text {
        if let Helper::Rounded(dtype) = helper {
            self.helpers.extend([Helper::Widened(dtype), Helper::Narrowed(dtype)]);
        }
        self.helpers.insert(helper);
        Text::atom(format!("{}({})", helper.name(), value.text))
    }

    /// The nearest value of a short float; others are rounded by the operation itself.
    fn rounded(&mut self, dtype: DType, value: Text) -> Text {
        match dtype {
            DType::F16 | DType::BF16 => self.helped(Helper::Rounded(dtype), &value),
            _ => value,
        }
    }

    /// A value as it is kept in memory.
    pub(super) fn stored(&mut self, dtype: DType, value: &Text) -> String {
        match dtype {
            DType::Bool => format!("({}) ? 1 : 0", value.text),
            DType::F16 | DType::BF16 => {
                // What has just been loaded, or rounded, is not converted back and forth.
                if let Some(bits) = value.argument_of(Helper::Widened(dtype)) {
                    return bits.into();
                }
                let value = value.argument_of(Helper::Rounded(dtype)).map_or(value.clone(), Text::atom);
                self.helped(Helper::Narrowed(dtype), &value).text
            }
            _ => value.text.clone(),
        }
    }

    pub(super) fn dtype(&self, value: &Value) -> Result<DType> {
        match value.dtype(self.program) {
            Some(dtype) => Ok(dtype),
            None => unsupported("operands of different types"),
        }
    }

    fn constant(&self, value: Scalar, dtype: DType) -> Result<Text> {
        let is_float = dtype.is_float() && dtype != DType::F64;
        let suffix = if is_float { "f" } else { "" };
        Ok(match value {
            Scalar::Int(value) if dtype == DType::Bool => Text::atom(if value != 0 { "true" } else { "false" }),
            Scalar::Int(value) if value == i128::from(i64::MIN) => Text::atom("(-9223372036854775807 - 1)"),
            Scalar::Int(value) if dtype == DType::U64 => Text::atom(format!("{value}u")),
            Scalar::Int(value) if value < 0 => Text::new(value.to_string(), Tightness::Unary),
            Scalar::Int(value) => Text::atom(value.to_string()),
            Scalar::Float(value) if value.is_nan() => Text::atom("NAN"),
            Scalar::Float(value) if value.is_infinite() => match value > 0.0 {
                true => Text::atom("INFINITY"),
                false => Text::new("-INFINITY", Tightness::Unary),
            },
            Scalar::Float(value) => {
                // The nearest of the type, which the text then gives exactly.
                let value = polyhedral::eval::round(dtype, value);
                let text = if is_float { format!("{:?}", value as f32) } else { format!("{value:?}") };
                let tightness = if value.is_sign_negative() { Tightness::Unary } else { Tightness::Atom };
                Text::new(format!("{text}{suffix}"), tightness)
            }
        })
    }

    fn binary(&mut self, op: BinOp, a: &Value, b: &Value, ranges: &Ranges) -> Result<Text> {
        let dtype = self.dtype(a)?;
        let (a, b) = (self.value(a, ranges)?, self.value(b, ranges)?);
        Ok(self.operated(op, dtype, a, b))
    }

    /// An operator between two values of a type.
    pub(super) fn operated(&mut self, op: BinOp, dtype: DType, a: Text, b: Text) -> Text {
        if dtype.is_int() {
            return self.binary_int(op, dtype, a, b);
        }
        if let Some((symbol, own)) = operator(op) {
            let (a, b) = (a.at(own), b.at(own.next()));
            let space = if own == Tightness::Product && op == BinOp::Mul { "" } else { " " };
            return self.rounded(dtype, Text::new(format!("{a}{space}{symbol}{space}{b}"), own));
        }
        let name = match op {
            BinOp::Min => "fmin",
            BinOp::Max => "fmax",
            _ => "fmod",
        };
        let suffix = if self.language == Language::Cuda && dtype != DType::F64 { "f" } else { "" };
        let text = Text::atom(format!("{name}{suffix}({}, {})", a.text, b.text));
        if op == BinOp::Mod { self.rounded(dtype, text) } else { text }
    }

    /// Integers wrap around: what is signed is computed without a sign, which C lets wrap.
    fn binary_int(&mut self, op: BinOp, dtype: DType, a: Text, b: Text) -> Text {
        let helper = match op {
            BinOp::Div | BinOp::Mod => Some(Helper::Floored(op, dtype)),
            BinOp::Shl | BinOp::Shr => Some(Helper::Shifted(op, dtype)),
            _ => None,
        };
        if let Some(helper) = helper {
            self.helpers.insert(helper);
            return Text::atom(format!("{}({}, {})", helper.name(), a.text, b.text));
        }
        match (op, operator(op)) {
            (BinOp::Min | BinOp::Max, _) => {
                let symbol = if op == BinOp::Min { "<" } else { ">" };
                let (a, b) = (a.at(Tightness::Sum), b.at(Tightness::Sum));
                Text::new(format!("{a} {symbol} {b} ? {a} : {b}"), Tightness::Choice)
            }
            (BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor, Some((symbol, own))) => {
                Text::new(format!("{} {symbol} {}", a.at(Tightness::Unary), b.at(Tightness::Unary)), own)
            }
            (_, Some((symbol, _))) => {
                let unsigned = self.unsigned(dtype);
                let cast = |text: Text| format!("({unsigned}){}", text.at(Tightness::Unary));
                self.wrapped(dtype, format!("{} {symbol} {}", cast(a), cast(b)))
            }
            (_, None) => Text::atom("0"),
        }
    }

    /// A type without a sign that is as wide as one, and not promoted to one with a sign.
    fn unsigned(&self, dtype: DType) -> &'static str {
        self.language.value_type(if dtype.bits() == 64 { DType::U64 } else { DType::U32 })
    }

    fn wrapped(&self, dtype: DType, text: String) -> Text {
        Text::new(format!("({})({text})", self.language.value_type(dtype)), Tightness::Unary)
    }

    fn cast(&mut self, to: DType, e: &Value, ranges: &Ranges) -> Result<Text> {
        let from = self.dtype(e)?;
        let text = self.value(e, ranges)?;
        let of = self.language.value_type(to);
        if from == to {
            return Ok(text);
        }
        if to == DType::Bool {
            return Ok(Text::new(format!("{} != 0", text.at(Tightness::Sum)), Tightness::Comparison));
        }
        let is_short = |dtype| matches!(dtype, DType::F16 | DType::BF16);
        if is_short(to) {
            // What a float does not hold is rounded once all the same.
            let text = match from {
                DType::F64 | DType::I32 | DType::U32 | DType::I64 | DType::U64 => self.helped(Helper::Odd(from), &text),
                _ if from.is_float() => text,
                _ => Text::new(format!("(float){}", text.at(Tightness::Unary)), Tightness::Unary),
            };
            return Ok(self.rounded(to, text));
        }
        if is_short(from) && to == DType::F32 {
            return Ok(text);
        }
        if !from.is_float() || to.is_float() {
            return Ok(Text::new(format!("({of}){}", text.at(Tightness::Unary)), Tightness::Unary));
        }
        // Truncated and saturated, 0 of a NaN: what the devices' own conversions do.
        match self.language {
            Language::OpenCl => Ok(Text::atom(format!("convert_{}_sat_rtz({})", opencl_name(to), text.text))),
            Language::Cuda if from != DType::F64 && matches!(to, DType::I32 | DType::U32) => {
                let target = if to == DType::I32 { "int" } else { "uint" };
                Ok(Text::atom(format!("__float2{target}_rz({})", text.text)))
            }
            Language::Cuda => Ok(self.helped(Helper::Truncated(from == DType::F64, to), &text)),
        }
    }

    fn call<'v>(
        &mut self,
        builtin: Builtin,
        arguments: impl IntoIterator<Item = &'v Value>,
        ranges: &Ranges,
    ) -> Result<Text> {
        let mut texts = Vec::new();
        let mut dtype = DType::F64;
        for argument in arguments {
            dtype = self.dtype(argument)?;
            texts.push(self.value(argument, ranges)?);
        }
        if builtin == Builtin::Fdivide && texts.len() == 2 {
            let (b, a) = (texts.pop(), texts.pop());
            let at = |text: Option<Text>, place| text.map_or_else(String::new, |text| text.at(place));
            let text = format!("{} / {}", at(a, Tightness::Product), at(b, Tightness::Unary));
            return Ok(self.rounded(dtype, Text::new(text, Tightness::Product)));
        }
        let Some(name) = self.language.function(builtin, dtype) else {
            return unsupported(format!("the language has no function `{}`", builtin.name()));
        };
        let texts: Vec<String> = texts.into_iter().map(|text| text.text).collect();
        Ok(self.rounded(dtype, Text::atom(format!("{name}({})", texts.join(", ")))))
    }
}

pub(super) fn opencl_name(dtype: DType) -> &'static str {
    match dtype {
        DType::I8 => "char",
        DType::I16 => "short",
        DType::I32 => "int",
        DType::U8 => "uchar",
        DType::U16 => "ushort",
        DType::U32 => "uint",
        DType::U64 => "ulong",
        _ => "long",
    }
}

fn comparison(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Lt => "<",
        CmpOp::Le => "<=",
        CmpOp::Gt => ">",
        CmpOp::Ge => ">=",
        CmpOp::Eq => "==",
        CmpOp::Ne => "!=",
    }
}

//! Expressions, subscripts and accesses: reading and printing.

use std::fmt::Write as _;

use support::{Span, Table};

use super::TextError;
use super::lex::{MAX_DEPTH, Token, Tokens};
use crate::{Access, BinOp, Builtin, CmpOp, DType, Expr, Index, Subscript, Tensor, TensorId, UnOp, Value};

/// What the names in an expression mean, and the reads met so far.
pub(super) struct Scope<'s> {
    pub dims: &'s [String],
    pub params: &'s [String],
    pub tensors: &'s Table<TensorId, Tensor>,
    pub reads: Vec<Access>,
}

/// A tree with its depth, which stays under [`MAX_DEPTH`] so that later walks may recurse.
struct Deep<T> {
    value: T,
    depth: usize,
}

impl<T> Deep<T> {
    fn leaf(value: T) -> Deep<T> {
        Deep { value, depth: 1 }
    }

    fn over(tokens: &Tokens<'_>, below: &[usize], value: T) -> Result<Deep<T>, TextError> {
        let depth = 1 + below.iter().copied().max().unwrap_or(0);
        if depth > MAX_DEPTH { Err(too_deep(tokens)) } else { Ok(Deep { value, depth }) }
    }
}

fn too_deep(tokens: &Tokens<'_>) -> TextError {
    tokens.error(format!("an expression nested deeper than {MAX_DEPTH}"))
}

/// How deep the reader itself may be inside parentheses.
const MAX_NESTING: usize = MAX_DEPTH;

impl Scope<'_> {
    /// `A[m, value(I[k])]`; reads inside the subscripts are noted.
    pub fn access(&mut self, tokens: &mut Tokens<'_>) -> Result<Access, TextError> {
        self.access_at(tokens, 0)
    }

    /// An expression.
    pub fn expr(&mut self, tokens: &mut Tokens<'_>) -> Result<Expr, TextError> {
        Ok(self.binary(tokens, 0, 0)?.value)
    }

    /// A subscript expression.
    pub fn index(&self, tokens: &mut Tokens<'_>) -> Result<Index, TextError> {
        Ok(self.index_sum(tokens, 0)?.value)
    }

    fn access_at(&mut self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Access, TextError> {
        let name = tokens.name("a tensor")?;
        let tensor = self.tensors.find(|tensor| tensor.name == name);
        let tensor = tensor.ok_or_else(|| tokens.error(format!("no tensor is called `{name}`")))?;
        tokens.expect("[")?;
        let index = tokens.list("]", |tokens| self.subscript(tokens, nesting + 1))?;
        Ok(Access { tensor, index, span: Span::default() })
    }

    fn subscript(&mut self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Subscript, TextError> {
        let indirect = tokens.peek() == Some(Token::Name("value")) && tokens.peek_second() == Some(Token::Symbol("("));
        if !indirect {
            return Ok(Subscript::Affine(self.index(tokens)?));
        }
        tokens.advance();
        Ok(Subscript::Indirect(self.parenthesised(tokens, nesting)?.value))
    }

    /// The number of a read of this element, noted when it is new.
    fn read(&mut self, access: Access) -> usize {
        let known = self.reads.iter().position(|read| read.tensor == access.tensor && read.index == access.index);
        known.unwrap_or_else(|| {
            self.reads.push(access);
            self.reads.len() - 1
        })
    }

    fn parenthesised(&mut self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Expr>, TextError> {
        tokens.expect("(")?;
        let inner = self.binary(tokens, 0, nesting + 1)?;
        tokens.expect(")")?;
        Ok(inner)
    }

    /// Operators of at least `level`, by precedence climbing; all but the comparisons associate to the left.
    fn binary(&mut self, tokens: &mut Tokens<'_>, level: u8, nesting: usize) -> Result<Deep<Expr>, TextError> {
        if nesting > MAX_NESTING {
            return Err(tokens.error(format!("parentheses nested deeper than {MAX_NESTING}")));
        }
        let mut left = self.unary(tokens, nesting)?;
        while let Some(op) = infix(tokens).filter(|op| op.level() >= level) {
            tokens.advance();
            let right = self.binary(tokens, op.level() + 1, nesting + 1)?;
            let depths = [left.depth, right.depth];
            left = Deep::over(tokens, &depths, op.apply(left.value, right.value))?;
            if matches!(op, Infix::Compare(_)) && infix(tokens).is_some_and(|next| next.level() == op.level()) {
                return Err(tokens.error("comparisons do not chain: use parentheses"));
            }
        }
        Ok(left)
    }

    fn unary(&mut self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Expr>, TextError> {
        if nesting > MAX_NESTING {
            return Err(tokens.error(format!("operators nested deeper than {MAX_NESTING}")));
        }
        let op = match tokens.peek() {
            Some(Token::Symbol("-")) => UnOp::Neg,
            Some(Token::Symbol("!")) => UnOp::Not,
            _ => return self.primary(tokens, nesting),
        };
        tokens.advance();
        if op == UnOp::Neg && is_literal(tokens) {
            return Ok(Deep::leaf(literal(tokens, true)?));
        }
        let operand = self.unary(tokens, nesting + 1)?;
        Deep::over(tokens, &[operand.depth], Expr::Unary(op, Box::new(operand.value)))
    }

    fn primary(&mut self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Expr>, TextError> {
        if is_literal(tokens) {
            return Ok(Deep::leaf(literal(tokens, false)?));
        }
        match (tokens.peek(), tokens.peek_second()) {
            (Some(Token::Symbol("(")), _) => self.parenthesised(tokens, nesting),
            (Some(Token::Name(_)), Some(Token::Symbol("["))) => {
                let access = self.access_at(tokens, nesting)?;
                Ok(Deep::leaf(Expr::Load(self.read(access))))
            }
            (Some(Token::Name(name)), Some(Token::Symbol("("))) => {
                tokens.advance();
                tokens.advance();
                self.application(name, tokens, nesting)
            }
            _ => Err(tokens.expected("an expression (a literal carries its type: `1.0f32`, `3i64`)")),
        }
    }

    /// `name(…)`, past the parenthesis.
    fn application(&mut self, name: &str, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Expr>, TextError> {
        let numbered = match name {
            "read" => Some(Expr::Load as fn(usize) -> Expr),
            "state" => Some(Expr::State as fn(usize) -> Expr),
            "term" => Some(Expr::Term as fn(usize) -> Expr),
            _ => None,
        };
        if let Some(make) = numbered {
            let expr = make(tokens.integer("a number")?);
            tokens.expect(")")?;
            return Ok(Deep::leaf(expr));
        }
        if name == "index" {
            let index = self.index(tokens)?;
            tokens.expect(")")?;
            return Ok(Deep::leaf(Expr::Index(index)));
        }
        let arguments = tokens.list(")", |tokens| self.binary(tokens, 0, nesting + 1))?;
        let depths: Vec<usize> = arguments.iter().map(|argument| argument.depth).collect();
        let arguments = arguments.into_iter().map(|argument| argument.value).collect();
        Deep::over(tokens, &depths, apply(name, arguments).map_err(|message| tokens.error(message))?)
    }

    fn index_sum(&self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Index>, TextError> {
        if nesting > MAX_NESTING {
            return Err(tokens.error(format!("a subscript nested deeper than {MAX_NESTING}")));
        }
        let mut sum = self.index_term(tokens, nesting)?;
        loop {
            let minus = tokens.eat("-");
            if !minus && !tokens.eat("+") {
                return Ok(sum);
            }
            let subtracted = if minus { subtracted_number(tokens)? } else { None };
            if let Some(subtracted) = subtracted {
                sum = Deep::over(tokens, &[sum.depth], Index::Add(Box::new(sum.value), Box::new(subtracted)))?;
                continue;
            }
            let term = self.index_term(tokens, nesting)?;
            let right = if minus { subtrahend(term.value) } else { term.value };
            sum = Deep::over(tokens, &[sum.depth, term.depth], Index::Add(Box::new(sum.value), Box::new(right)))?;
        }
    }

    /// `c*e`, `e mod c`, `e`; a minus directly before digits belongs to the number.
    fn index_term(&self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Index>, TextError> {
        if nesting > MAX_NESTING {
            return Err(tokens.error(format!("a subscript nested deeper than {MAX_NESTING}")));
        }
        let term = if matches!(tokens.peek(), Some(Token::Symbol("-")))
            && !matches!(tokens.peek_second(), Some(Token::Number(_)))
        {
            tokens.advance();
            let inner = self.index_term(tokens, nesting + 1)?;
            return Deep::over(tokens, &[inner.depth], Index::Mul(-1, Box::new(inner.value)));
        } else {
            self.index_factor(tokens, nesting)?
        };
        if let (&Index::Const(factor), true) = (&term.value, tokens.eat("*")) {
            let inner = self.index_factor(tokens, nesting)?;
            return Deep::over(tokens, &[inner.depth], Index::Mul(factor, Box::new(inner.value)));
        }
        if tokens.eat_word("mod") {
            let modulus = divisor(tokens)?;
            return Deep::over(tokens, &[term.depth], Index::Mod(Box::new(term.value), modulus));
        }
        Ok(term)
    }

    fn index_factor(&self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Index>, TextError> {
        match (tokens.peek(), tokens.peek_second()) {
            (Some(Token::Number(_)), _) | (Some(Token::Symbol("-")), Some(Token::Number(_))) => {
                Ok(Deep::leaf(Index::Const(signed(tokens)?)))
            }
            (Some(Token::Symbol("(")), _) => {
                tokens.advance();
                let inner = self.index_sum(tokens, nesting + 1)?;
                tokens.expect(")")?;
                Ok(inner)
            }
            (Some(Token::Name("floor")), Some(Token::Symbol("("))) => {
                tokens.advance();
                tokens.advance();
                let inner = self.index_sum(tokens, nesting + 1)?;
                tokens.expect("/")?;
                let by = divisor(tokens)?;
                tokens.expect(")")?;
                Deep::over(tokens, &[inner.depth], Index::FloorDiv(Box::new(inner.value), by))
            }
            (Some(Token::Name(name @ ("min" | "max"))), Some(Token::Symbol("("))) => {
                tokens.advance();
                tokens.advance();
                let a = self.index_sum(tokens, nesting + 1)?;
                tokens.expect(",")?;
                let b = self.index_sum(tokens, nesting + 1)?;
                tokens.expect(")")?;
                let make = if name == "min" { Index::Min } else { Index::Max };
                Deep::over(tokens, &[a.depth, b.depth], make(Box::new(a.value), Box::new(b.value)))
            }
            (Some(Token::Name("if")), Some(Token::Symbol("("))) => self.index_choice(tokens, nesting),
            _ => self.variable(tokens).map(Deep::leaf),
        }
    }

    /// `if(i >= 0, i, i + N)`.
    fn index_choice(&self, tokens: &mut Tokens<'_>, nesting: usize) -> Result<Deep<Index>, TextError> {
        tokens.advance();
        tokens.advance();
        let test = self.index_sum(tokens, nesting + 1)?;
        tokens.expect(">=")?;
        if signed(tokens)? != 0 {
            return Err(tokens.error("a choice compares with 0"));
        }
        tokens.expect(",")?;
        let then = self.index_sum(tokens, nesting + 1)?;
        tokens.expect(",")?;
        let otherwise = self.index_sum(tokens, nesting + 1)?;
        tokens.expect(")")?;
        let depths = [test.depth, then.depth, otherwise.depth];
        let choice = Index::Select(Box::new(test.value), Box::new(then.value), Box::new(otherwise.value));
        Deep::over(tokens, &depths, choice)
    }

    fn variable(&self, tokens: &mut Tokens<'_>) -> Result<Index, TextError> {
        let name = tokens.name("a dimension, a size or a number")?;
        let at = |names: &[String]| names.iter().position(|known| known == name);
        let dim = at(self.dims).map(Index::Dim).or_else(|| at(self.params).map(Index::Param));
        dim.ok_or_else(|| tokens.error(format!("no dimension and no size is called `{name}`")))
    }
}

/// The number after a minus, negated, when it is a whole term: it may be one more than the largest there is.
fn subtracted_number(tokens: &mut Tokens<'_>) -> Result<Option<Index>, TextError> {
    let factor = matches!(tokens.peek_second(), Some(Token::Symbol("*") | Token::Name("mod")));
    if factor || !matches!(tokens.peek(), Some(Token::Number(_))) {
        return Ok(None);
    }
    let magnitude: i128 = tokens.integer("an integer")?;
    let value = i64::try_from(-magnitude).map_err(|_| tokens.error(format!("-{magnitude} does not fit 64 bits")))?;
    Ok(Some(Index::Const(value)))
}

/// What is added when `term` stands after a minus: the form that prints so.
fn subtrahend(term: Index) -> Index {
    match term {
        Index::Mul(factor, e) if factor > 0 => Index::Mul(-factor, e),
        other => Index::Mul(-1, Box::new(other)),
    }
}

fn signed(tokens: &mut Tokens<'_>) -> Result<i64, TextError> {
    let minus = tokens.eat("-");
    let magnitude: i128 = tokens.integer("an integer")?;
    let value = if minus { -magnitude } else { magnitude };
    i64::try_from(value).map_err(|_| tokens.error(format!("{value} does not fit 64 bits")))
}

fn divisor(tokens: &mut Tokens<'_>) -> Result<i64, TextError> {
    match tokens.integer::<i64>("a divisor")? {
        0 => Err(tokens.error("a divisor of 0")),
        by => Ok(by),
    }
}

/// An operator between two operands.
#[derive(Clone, Copy)]
enum Infix {
    Binary(BinOp),
    Compare(CmpOp),
}

impl Infix {
    const COMPARE: u8 = 2;

    fn level(self) -> u8 {
        match self {
            Infix::Binary(BinOp::Or) => 0,
            Infix::Binary(BinOp::And) => 1,
            Infix::Compare(_) => Infix::COMPARE,
            Infix::Binary(BinOp::Add | BinOp::Sub) => 3,
            Infix::Binary(BinOp::Mul | BinOp::Div | BinOp::Mod) => 4,
            Infix::Binary(
                BinOp::Min | BinOp::Max | BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr,
            ) => FUNCTION,
        }
    }

    fn apply(self, a: Expr, b: Expr) -> Expr {
        match self {
            Infix::Binary(op) => Expr::Binary(op, Box::new(a), Box::new(b)),
            Infix::Compare(op) => Expr::Compare(op, Box::new(a), Box::new(b)),
        }
    }
}

/// Binds tighter than every operator.
const FUNCTION: u8 = 6;

const INFIX: [(&str, Infix); 13] = [
    ("||", Infix::Binary(BinOp::Or)),
    ("&&", Infix::Binary(BinOp::And)),
    ("<", Infix::Compare(CmpOp::Lt)),
    ("<=", Infix::Compare(CmpOp::Le)),
    (">", Infix::Compare(CmpOp::Gt)),
    (">=", Infix::Compare(CmpOp::Ge)),
    ("==", Infix::Compare(CmpOp::Eq)),
    ("!=", Infix::Compare(CmpOp::Ne)),
    ("+", Infix::Binary(BinOp::Add)),
    ("-", Infix::Binary(BinOp::Sub)),
    ("*", Infix::Binary(BinOp::Mul)),
    ("/", Infix::Binary(BinOp::Div)),
    ("%", Infix::Binary(BinOp::Mod)),
];

fn infix(tokens: &Tokens<'_>) -> Option<Infix> {
    let Some(Token::Symbol(symbol)) = tokens.peek() else { return None };
    INFIX.iter().find(|(text, _)| *text == symbol).map(|&(_, op)| op)
}

/// How an operator between operands prints; `None` for the ones that print as functions.
fn symbol_of(op: BinOp) -> Option<&'static str> {
    INFIX.iter().find(|(_, infix)| matches!(infix, Infix::Binary(known) if *known == op)).map(|(text, _)| *text)
}

fn compare_symbol(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Lt => "<",
        CmpOp::Le => "<=",
        CmpOp::Gt => ">",
        CmpOp::Ge => ">=",
        CmpOp::Eq => "==",
        CmpOp::Ne => "!=",
    }
}

/// `select`, an operator that prints as a function, a type as a cast, or a function of the language.
fn apply(name: &str, arguments: Vec<Expr>) -> Result<Expr, String> {
    let dtype = DType::ALL.into_iter().find(|dtype| dtype.name() == name);
    let builtin = Builtin::parse(name);
    let operator = BinOp::FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, op)| *op);
    let arity = match name {
        "select" => 3,
        _ if operator.is_some() => 2,
        _ if dtype.is_some() => 1,
        _ => builtin.ok_or_else(|| format!("no function is called `{name}`"))?.arity(),
    };
    if arguments.len() != arity {
        return Err(format!("`{name}` takes {arity} arguments, {} are given", arguments.len()));
    }
    if let Some(builtin) = builtin {
        return Ok(Expr::Call(builtin, arguments));
    }
    let mut boxed = arguments.into_iter().map(Box::new);
    let mut next = || boxed.next().expect("the arity was compared");
    Ok(match (operator, dtype) {
        (Some(op), _) => Expr::Binary(op, next(), next()),
        (None, Some(dtype)) => Expr::Cast(dtype, next()),
        (None, None) => Expr::Select(next(), next(), next()),
    })
}

/// The suffixes of literals: Rust's names of the types.
const SUFFIXES: [(&str, DType); 13] = [
    ("bool", DType::Bool),
    ("i8", DType::I8),
    ("i16", DType::I16),
    ("i32", DType::I32),
    ("i64", DType::I64),
    ("u8", DType::U8),
    ("u16", DType::U16),
    ("u32", DType::U32),
    ("u64", DType::U64),
    ("bf16", DType::BF16),
    ("f16", DType::F16),
    ("f32", DType::F32),
    ("f64", DType::F64),
];

fn suffix(dtype: DType) -> &'static str {
    SUFFIXES.iter().find(|(_, known)| *known == dtype).map_or("", |(text, _)| *text)
}

fn is_literal(tokens: &Tokens<'_>) -> bool {
    match tokens.peek() {
        Some(Token::Number(_)) => true,
        Some(Token::Name(name)) => word_literal(name).is_some() && tokens.peek_second() != Some(Token::Symbol("[")),
        _ => false,
    }
}

/// `true`, `false`, `inf_f32`, `nan_f64`.
fn word_literal(word: &str) -> Option<(Value, DType)> {
    let special = |text: &str, value: f64| {
        let dtype = SUFFIXES.iter().find(|(suffix, _)| *suffix == text)?.1;
        Some((Value::Float(value), dtype))
    };
    match word.split_once('_') {
        Some(("inf", dtype)) => special(dtype, f64::INFINITY),
        Some(("nan", dtype)) => special(dtype, f64::NAN),
        _ if word == "true" => Some((Value::Int(1), DType::Bool)),
        _ if word == "false" => Some((Value::Int(0), DType::Bool)),
        _ => None,
    }
}

/// A constant; `minus` when a minus stood before it.
pub(super) fn literal(tokens: &mut Tokens<'_>, minus: bool) -> Result<Expr, TextError> {
    let (value, dtype) = match tokens.peek() {
        Some(Token::Number(text)) => number(text).map_err(|message| tokens.error(message))?,
        Some(Token::Name(word)) => word_literal(word).ok_or_else(|| tokens.expected("a literal"))?,
        _ => return Err(tokens.expected("a literal")),
    };
    tokens.advance();
    let value = match value {
        Value::Int(value) if minus => Value::Int(-value),
        Value::Float(value) if minus => Value::Float(-value),
        value => value,
    };
    Ok(Expr::Const(value, dtype))
}

/// Digits with a suffix. Digits without a fraction are an integer unless the suffix says otherwise.
fn number(text: &str) -> Result<(Value, DType), String> {
    let suffixed = SUFFIXES.iter().find_map(|&(suffix, dtype)| Some((text.strip_suffix(suffix)?, dtype)));
    let (digits, dtype) = suffixed.ok_or_else(|| format!("`{text}` does not say its type: `1.0f32`, `3i64`"))?;
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit()) && !dtype.is_float();
    let value = if whole {
        Value::Int(digits.parse().map_err(|_| format!("`{text}` has too many digits"))?)
    } else {
        Value::Float(digits.parse().map_err(|_| format!("`{text}` is no number"))?)
    };
    Ok((value, dtype))
}

/// Prints constants.
pub(super) fn print_literal(value: Value, dtype: DType) -> String {
    let suffix = suffix(dtype);
    match value {
        Value::Int(1) if dtype == DType::Bool => "true".into(),
        Value::Int(0) if dtype == DType::Bool => "false".into(),
        Value::Int(value) if dtype.is_float() => format!("{:?}{suffix}", value as f64),
        Value::Int(value) => format!("{value}{suffix}"),
        Value::Float(value) if value.is_nan() => format!("nan_{suffix}"),
        Value::Float(value) if value.is_infinite() => {
            format!("{}inf_{suffix}", if value < 0.0 { "-" } else { "" })
        }
        Value::Float(value) => format!("{value:?}{suffix}"),
    }
}

/// What the numbers in an expression print as.
pub(super) struct Names<'s> {
    pub dims: &'s [String],
    pub params: &'s [String],
    pub tensors: &'s Table<TensorId, Tensor>,
    /// Loads print as these elements; as `read(k)` when there is none.
    pub reads: Option<&'s [Access]>,
}

impl Names<'_> {
    /// `A[m, value(I[k])]`
    pub fn access(&self, access: &Access) -> String {
        let subscripts: Vec<String> = access.index.iter().map(|subscript| self.subscript(subscript)).collect();
        let name = self.tensors.get(access.tensor).map_or("?", |tensor| tensor.name.as_str());
        format!("{name}[{}]", subscripts.join(", "))
    }

    /// The expression.
    pub fn expr(&self, expr: &Expr) -> String {
        let mut out = String::new();
        self.write(expr, 0, &mut out);
        out
    }

    /// The subscript, with sums in one row.
    pub fn index(&self, index: &Index) -> String {
        left_leaning(index).display(self.dims, self.params).to_string()
    }

    fn subscript(&self, subscript: &Subscript) -> String {
        match subscript {
            Subscript::Affine(index) => self.index(index),
            Subscript::Indirect(expr) => format!("value({})", self.expr(expr)),
        }
    }

    /// Appends `expr`, in parentheses when it binds less tightly than `level`.
    fn write(&self, expr: &Expr, level: u8, out: &mut String) {
        match expr {
            Expr::Const(value, dtype) => out.push_str(&print_literal(*value, *dtype)),
            Expr::Index(index) => write_string(out, format_args!("index({})", self.index(index))),
            Expr::Load(k) => match self.reads.and_then(|reads| reads.get(*k)) {
                Some(read) => out.push_str(&self.access(read)),
                None => write_string(out, format_args!("read({k})")),
            },
            Expr::State(i) => write_string(out, format_args!("state({i})")),
            Expr::Term(i) => write_string(out, format_args!("term({i})")),
            Expr::Unary(op, operand) => {
                out.push(match op {
                    UnOp::Neg => '-',
                    UnOp::Not => '!',
                });
                // A minus before a number would belong to the number.
                if matches!(**operand, Expr::Const(..)) {
                    write_string(out, format_args!("({})", self.expr(operand)));
                } else {
                    self.write(operand, UNARY, out);
                }
            }
            Expr::Binary(op, a, b) => match symbol_of(*op) {
                Some(symbol) => self.write_infix(Infix::Binary(*op), symbol, [a, b], level, out),
                None => self.write_call(op.function().unwrap_or_default(), &[a, b], out),
            },
            Expr::Compare(op, a, b) => {
                self.write_infix(Infix::Compare(*op), compare_symbol(*op), [a, b], level, out);
            }
            Expr::Select(c, a, b) => self.write_call("select", &[c, a, b], out),
            Expr::Cast(dtype, e) => self.write_call(dtype.name(), &[e], out),
            Expr::Call(builtin, arguments) => {
                self.write_call(builtin.name(), &arguments.iter().collect::<Vec<_>>(), out);
            }
        }
    }

    fn write_infix(&self, op: Infix, symbol: &str, [a, b]: [&Expr; 2], level: u8, out: &mut String) {
        let own = op.level();
        let parentheses = own < level;
        if parentheses {
            out.push('(');
        }
        // Comparisons do not associate; the others do to the left.
        self.write(a, own + u8::from(own == Infix::COMPARE), out);
        write_string(out, format_args!(" {symbol} "));
        self.write(b, own + 1, out);
        if parentheses {
            out.push(')');
        }
    }

    fn write_call(&self, name: &str, arguments: &[&Expr], out: &mut String) {
        write_string(out, format_args!("{name}("));
        for (at, argument) in arguments.iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            self.write(argument, 0, out);
        }
        out.push(')');
    }
}

/// Binds tighter than the operators between operands.
const UNARY: u8 = 5;

fn write_string(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}

/// The same sum nested to the left, as a row without parentheses reads back.
fn left_leaning(index: &Index) -> Index {
    let go = |e: &Index| Box::new(left_leaning(e));
    match index {
        Index::Const(_) | Index::Dim(_) | Index::Param(_) => index.clone(),
        Index::Mul(c, e) => Index::Mul(*c, go(e)),
        Index::FloorDiv(e, c) => Index::FloorDiv(go(e), *c),
        Index::Mod(e, c) => Index::Mod(go(e), *c),
        Index::Min(a, b) => Index::Min(go(a), go(b)),
        Index::Max(a, b) => Index::Max(go(a), go(b)),
        Index::Select(test, then, otherwise) => Index::Select(go(test), go(then), go(otherwise)),
        Index::Add(a, b) => {
            let mut terms = Vec::new();
            addends(b, &mut terms);
            terms.into_iter().fold(left_leaning(a), |sum, term| Index::Add(Box::new(sum), Box::new(term)))
        }
    }
}

fn addends(index: &Index, out: &mut Vec<Index>) {
    match index {
        Index::Add(a, b) => {
            addends(a, out);
            addends(b, out);
        }
        other => out.push(left_leaning(other)),
    }
}

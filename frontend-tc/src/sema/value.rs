//! Expressions: names resolved, types found, reads collected, subscripts brought into affine form.

use std::sync::Arc;

use polyhedral::{BinOp, Builtin, CmpOp, DType, Expr, Index, UnOp};
use support::{Diagnostic, Span};

use super::body::Body;
use super::scope::Entity;
use super::{Border, Guard, IndexName, Read, Subscript};
use crate::ast::{self, BinaryOp, ExprKind, Name, UnaryOp};
use crate::library;
use crate::quasi::Quasi;
use crate::ranges::too_large;
use crate::types::{Literal, dtype_of, is_half, promote, repr, spelling};

/// A typed expression; a literal's type is still open.
#[derive(Clone, Debug)]
pub struct Operand {
    pub expr: Expr,
    pub dtype: DType,
    pub literal: Option<Literal>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub struct Place {
    /// In a subscript, where indices, sizes and whole literals have 64 bits.
    pub subscript: bool,
    /// In a bound of a range, where a whole scalar is a constant of the call.
    pub bound: bool,
    /// How deep, through the names of `where` too.
    pub depth: u32,
    /// How many of the names of `where` are visible.
    pub lets: usize,
}

impl Place {
    /// In a subscript, with the first `lets` names of `where` visible.
    pub fn subscript(lets: usize) -> Place {
        Place { subscript: true, bound: false, depth: 0, lets }
    }

    /// One level further down.
    pub fn deeper(self) -> Place {
        Place { depth: self.depth + 1, ..self }
    }
}

impl Body<'_, '_> {
    /// The typed expression; `None` when something in it was reported.
    pub(super) fn value(&mut self, expr: &ast::Expr, place: Place) -> Option<Operand> {
        self.count(expr, place)?;
        match &expr.kind {
            ExprKind::Number(number) => Some(literal(Literal { number: number.clone(), negative: false }, place)),
            ExprKind::Bool(value) => {
                let value = polyhedral::Value::Int(i128::from(*value));
                Some(Operand { expr: Expr::Const(value, DType::Bool), dtype: DType::Bool, literal: None })
            }
            ExprKind::Name(name) => self.named(name, expr.span, place),
            ExprKind::Call(name, arguments) => self.call(name, arguments, expr.span, place),
            ExprKind::Cast(to, value) => self.cast(*to, value, place),
            ExprKind::Unary(op, value) => self.unary(*op, value, expr.span, place),
            ExprKind::Binary(op, operands) => self.binary(*op, operands, expr.span, place),
            ExprKind::Select(operands) => self.select(operands, expr.span, place),
        }
    }

    fn named(&mut self, name: &str, span: Span, place: Place) -> Option<Operand> {
        if let Some((_, value, lets)) = self.find_let(name, place.lets) {
            return self.value(value, Place { lets, ..place.deeper() });
        }
        if let Some(at) = self.find_index(name) {
            return Some(whole(Index::Dim(at), place));
        }
        match self.scope.entity(name) {
            Some(Entity::Size(at)) => return Some(whole(Index::Param(at), place)),
            Some(Entity::Tensor(at)) => return self.element(at, &[], name, span, place, None),
            None if self.scope.is_poisoned(name) => return None,
            None => (),
        }
        let name = Name { text: name.to_owned(), span };
        if !self.scope.is_free(&name, "an index") {
            return None;
        }
        self.indices.push(IndexName { name: name.text, span });
        Some(whole(Index::Dim(self.indices.len() - 1), place))
    }

    fn call(&mut self, name: &Name, arguments: &[ast::Expr], span: Span, place: Place) -> Option<Operand> {
        if let Some(builtin) = Builtin::parse(&name.text) {
            return self.builtin(builtin, arguments, span, place);
        }
        if self.scope.entity(&name.text).is_none()
            && let Some(value) = self.form(name, arguments, span, place)
        {
            return value;
        }
        let what = match self.scope.entity(&name.text) {
            Some(Entity::Tensor(at)) => return self.element(at, arguments, &name.text, span, place, None),
            Some(Entity::Size(_)) => "a size",
            None if self.find_index(&name.text).is_some() => "an index",
            None if self.find_let(&name.text, place.lets).is_some() => "a name of `where`",
            None => {
                self.undefined(name);
                return None;
            }
        };
        let message = format!("`{}` is {what} and takes no subscripts", name.text);
        self.scope.emit(Diagnostic::error("TC0110", message, span).help(format!("write `{}` alone", name.text)));
        None
    }

    fn undefined(&mut self, name: &Name) {
        let word = name.text.as_str();
        if self.scope.is_poisoned(word) {
            return;
        }
        let error = match word {
            _ if self.scope.is_def(word) => Diagnostic::error(
                "TC0125",
                format!("the definition `{word}` cannot be called in the middle of a statement"),
                name.span,
            )
            .help(format!("call it in a statement of its own: `T = {word}(…)`")),
            _ if Border::parse(word).is_some() => {
                Diagnostic::error("TC0029", format!("`{word}` stands for a subscript, and here is none"), name.span)
                    .help(format!("write it around a subscript: `A({word}(i - 1))`"))
            }
            _ => {
                let help = match (library::file_of(word), self.scope.close_name(word)) {
                    (Some(file), _) => format!(
                        "`import \"{file}\"` has a definition of that name; a call is a statement of its own: `T = {word}(…)`"
                    ),
                    (None, Some(close)) => format!("did you mean `{close}`?"),
                    (None, None) => "a tensor is an input, or written by an earlier statement".into(),
                };
                Diagnostic::error("TC0101", format!("no tensor or function is called `{word}`"), name.span).help(help)
            }
        };
        self.scope.emit(error);
    }

    /// What is written like a call and is no function of numbers: `pad`, and the conversions that saturate.
    fn form(&mut self, name: &Name, arguments: &[ast::Expr], span: Span, place: Place) -> Option<Option<Operand>> {
        let saturated = name.text.strip_prefix("sat_").and_then(ast::ScalarType::from_name).map(dtype_of);
        let wanted = match (name.text.as_str(), saturated) {
            ("pad", _) => 2,
            (_, Some(to)) if to.is_int() => 1,
            _ => return None,
        };
        if arguments.len() != wanted {
            let (takes, given) = (counted(wanted, "argument"), arguments.len());
            let message = format!("`{}` takes {takes}, and {given} are given", name.text);
            let help = "`pad(A(i - 1), 0)` and `sat_int8(e)` are the forms";
            self.scope.emit(Diagnostic::error("TC0112", message, span).help(help));
            return Some(None);
        }
        Some(match saturated {
            Some(to) => self.saturated(to, &arguments[0], span, place),
            None => self.padded(&arguments[0], &arguments[1], place),
        })
    }

    /// `sat_int8(e)`: the nearest value of the type; a floating value is truncated.
    fn saturated(&mut self, to: DType, value: &ast::Expr, span: Span, place: Place) -> Option<Operand> {
        let value = self.value(value, place.deeper())?;
        if value.dtype == DType::Bool {
            self.scope.emit(no_arithmetic_on_bool("saturation", span));
            return None;
        }
        let mut expr = value.expr;
        if let (Some((low, high)), Some((least, most))) = (to.int_range(), value.dtype.int_range()) {
            let bound = |op, at: i128, expr| {
                let limit = Expr::Const(polyhedral::Value::Int(at), value.dtype);
                Expr::Binary(op, Box::new(expr), Box::new(limit))
            };
            if high < most {
                expr = bound(BinOp::Min, high, expr);
            }
            if low > least {
                expr = bound(BinOp::Max, low, expr);
            }
        }
        Some(Operand { expr: cast(expr, value.dtype, to), dtype: to, literal: None })
    }

    /// `pad(A(…), v)`: the element, or `v` where there is none.
    fn padded(&mut self, read: &ast::Expr, value: &ast::Expr, place: Place) -> Option<Operand> {
        let outside = self.value(value, place.deeper());
        let tensor = match &read.kind {
            ExprKind::Call(name, subscripts) => self.scope.tensor(&name.text).map(|at| (at, name, subscripts)),
            _ => None,
        };
        let Some((at, name, subscripts)) = tensor else {
            let error = Diagnostic::error("TC0126", "`pad` wants an element of a tensor first", read.span);
            self.scope.emit(error.help("write `pad(A(i - 1), 0)`"));
            return None;
        };
        let number = self.pads;
        self.pads += 1;
        let inside = self.element(at, subscripts, &name.text, read.span, place, Some(number));
        let (a, b, dtype) = unified(inside?, outside?);
        let expr = Expr::Select(Box::new(Expr::Term(number)), Box::new(a), Box::new(b));
        Some(Operand { expr, dtype, literal: None })
    }

    fn builtin(&mut self, builtin: Builtin, arguments: &[ast::Expr], span: Span, place: Place) -> Option<Operand> {
        let values: Vec<Option<Operand>> = arguments.iter().map(|e| self.value(e, place.deeper())).collect();
        if arguments.len() != builtin.arity() {
            let message = format!(
                "`{}` takes {}, and {} are given",
                builtin.name(),
                counted(builtin.arity(), "argument"),
                arguments.len()
            );
            self.scope
                .emit(Diagnostic::error("TC0112", message, span).help("give as many arguments as the function takes"));
            return None;
        }
        let values: Vec<Operand> = values.into_iter().collect::<Option<_>>()?;
        let typed = values.iter().filter(|value| value.literal.is_none()).map(|value| value.dtype);
        let dtype = typed.fold(DType::F32, promote);
        let arguments = values.into_iter().map(|value| value.into_type(dtype)).collect();
        Some(Operand { expr: Expr::Call(builtin, arguments), dtype, literal: None })
    }

    /// An element of tensor `at`; in `pad` number `pad` it may be outside.
    fn element(
        &mut self,
        at: usize,
        subscripts: &[ast::Expr],
        name: &str,
        span: Span,
        place: Place,
        pad: Option<usize>,
    ) -> Option<Operand> {
        let place = Place { subscript: true, ..place.deeper() };
        let index: Vec<Option<Subscript>> =
            subscripts.iter().map(|subscript| self.subscript(subscript, name, place)).collect();
        let tensor = &self.scope.tensors[at];
        let (Some(rank), Some(dtype)) = (tensor.rank, tensor.dtype) else {
            if !self.scope.is_poisoned(name) {
                let message = format!("`{name}` is read before a statement writes it");
                let error = Diagnostic::error("TC0118", message, span).also(tensor.span, "declared here");
                self.scope.emit(error.help("write it first"));
            }
            return None;
        };
        let place_of_tensor = tensor.span;
        if rank != subscripts.len() {
            self.wrong_rank(name, rank, subscripts.len(), span, place_of_tensor);
            return None;
        }
        let index: Vec<Subscript> = index.into_iter().collect::<Option<_>>()?;
        let covers = |read: &Read| read.guards.is_empty() || read.guards == self.guards;
        let same = self
            .reads
            .iter()
            .position(|read| read.tensor == at && read.index == index && read.pad == pad && covers(read));
        let number = same.unwrap_or(self.reads.len());
        if same.is_none() {
            self.reads.push(Read { tensor: at, index, guards: self.guards.clone(), pad, span });
        }
        let expr =
            if is_half(dtype) { Expr::Cast(DType::F32, Box::new(Expr::Load(number))) } else { Expr::Load(number) };
        Some(Operand { expr, dtype, literal: None })
    }

    /// Says that a tensor has another number of subscripts.
    fn wrong_rank(&mut self, name: &str, rank: usize, given: usize, span: Span, place_of_tensor: Span) {
        let (code, message) = match given {
            0 => ("TC0109", format!("`{name}` has rank {rank} and cannot be used as a scalar")),
            given => {
                ("TC0107", format!("`{name}` has rank {rank}, and {} given", are(given, "subscript", "subscripts")))
            }
        };
        let pattern = ["i", "j", "k", "l"].iter().take(rank).copied().collect::<Vec<_>>().join(", ");
        let help = match rank {
            0 => format!("write `{name}` alone"),
            1..=4 => format!("write `{name}({pattern})`"),
            _ => format!("give {rank} subscripts"),
        };
        self.scope.emit(Diagnostic::error(code, message, span).also(place_of_tensor, "declared here").help(help));
    }

    /// A subscript in a border function.
    fn bordered(
        &mut self,
        border: Border,
        (name, arguments): (&str, &[ast::Expr]),
        expr: &ast::Expr,
        tensor: &str,
        place: Place,
    ) -> Option<Subscript> {
        self.count(expr, place)?;
        let [inner] = arguments else {
            let message = format!("`{name}` takes 1 argument, and {} are given", arguments.len());
            let help = format!("write `{name}(i - 1)`");
            self.scope.emit(Diagnostic::error("TC0112", message, expr.span).help(help));
            return None;
        };
        let inner = self.subscript(inner, tensor, place.deeper())?;
        Some(Subscript::Border(border, Box::new(inner)))
    }

    /// A subscript of `tensor`.
    pub(super) fn subscript(&mut self, expr: &ast::Expr, tensor: &str, place: Place) -> Option<Subscript> {
        if let ExprKind::Call(name, arguments) = &expr.kind
            && self.scope.entity(&name.text).is_none()
            && let Some(border) = Border::parse(&name.text)
        {
            return self.bordered(border, (&name.text, arguments), expr, tensor, place);
        }
        let value = self.value(expr, place)?;
        if !value.dtype.is_int() {
            let message = format!(
                "a subscript of `{tensor}` has type `{}`, and subscripts are whole numbers",
                spelling(value.dtype)
            );
            self.scope.emit(Diagnostic::error("TC0201", message, expr.span).help("write `int32(…)` around it"));
            return None;
        }
        match self.quasi(expr, place) {
            Some(Some(affine)) => Some(Subscript::Affine(affine)),
            Some(None) => Some(Subscript::Indirect(value.into_type(DType::I64))),
            None => {
                self.scope.emit(too_large(expr.span));
                None
            }
        }
    }

    fn cast(&mut self, to: ast::ScalarType, value: &ast::Expr, place: Place) -> Option<Operand> {
        let dtype = dtype_of(to);
        let value = self.value(value, place.deeper())?;
        let expr = match value.literal.as_ref().and_then(|literal| literal.value_as(dtype)) {
            Some(constant) => Expr::Const(constant, repr(dtype)),
            // Rounded here, once, whatever it is computed in.
            None if is_half(dtype) => Expr::Cast(DType::F32, Box::new(Expr::Cast(dtype, Box::new(value.expr)))),
            None => cast(value.expr, value.dtype, dtype),
        };
        Some(Operand { expr, dtype, literal: None })
    }

    fn unary(&mut self, op: UnaryOp, operand: &ast::Expr, span: Span, place: Place) -> Option<Operand> {
        let value = self.value(operand, place.deeper())?;
        match op {
            UnaryOp::Not if value.dtype != DType::Bool => {
                self.scope.emit(not_logical("!", value.dtype, span));
                None
            }
            UnaryOp::Not => Some(Operand { expr: Expr::Unary(UnOp::Not, Box::new(value.expr)), ..value }),
            UnaryOp::Complement if !value.dtype.is_int() => {
                self.scope.emit(not_bits("`~`", value.dtype, span));
                None
            }
            // All bits turned: the same as -x - 1, and as the exclusive or with all ones.
            UnaryOp::Complement => {
                let ones =
                    if value.dtype.is_signed() { -1 } else { value.dtype.int_range().map_or(0, |(_, most)| most) };
                let ones = Expr::Const(polyhedral::Value::Int(ones), value.dtype);
                let expr = Expr::Binary(BinOp::BitXor, Box::new(value.expr), Box::new(ones));
                Some(Operand { expr, dtype: value.dtype, literal: None })
            }
            UnaryOp::Neg if value.dtype == DType::Bool => {
                self.scope.emit(no_arithmetic_on_bool("`-`", span));
                None
            }
            UnaryOp::Neg => Some(match value.literal {
                Some(known) => literal(Literal { negative: !known.negative, ..known }, place),
                None => Operand { expr: Expr::Unary(UnOp::Neg, Box::new(value.expr)), ..value },
            }),
        }
    }

    fn binary(&mut self, op: BinaryOp, operands: &(ast::Expr, ast::Expr), span: Span, place: Place) -> Option<Operand> {
        let (a, b) = (self.value(&operands.0, place.deeper()), self.value(&operands.1, place.deeper()));
        let (a, b, dtype) = unified(a?, b?);
        let logical = matches!(op, BinaryOp::And | BinaryOp::Or);
        let is_bool = dtype == DType::Bool;
        if logical && !is_bool {
            self.scope.emit(not_logical(op.symbol(), dtype, span));
            return None;
        }
        if op.is_bitwise() && !dtype.is_int() {
            self.scope.emit(not_bits(&format!("`{}`", op.symbol()), dtype, span));
            return None;
        }
        if is_bool && !logical && !op.is_comparison() {
            self.scope.emit(no_arithmetic_on_bool(&format!("`{}`", op.symbol()), span));
            return None;
        }
        let (a, b) = (Box::new(a), Box::new(b));
        Some(match comparison(op) {
            Some(op) => Operand { expr: Expr::Compare(op, a, b), dtype: DType::Bool, literal: None },
            None => Operand { expr: Expr::Binary(arithmetic(op), a, b), dtype, literal: None },
        })
    }

    fn select(&mut self, operands: &(ast::Expr, ast::Expr, ast::Expr), span: Span, place: Place) -> Option<Operand> {
        let condition = self.value(&operands.0, place.deeper());
        let test = condition.as_ref().map(|condition| Arc::new(condition.expr.clone()));
        let a = self.arm(&operands.1, &operands.0, test.clone().map(|test| (test, true)), place);
        let b = self.arm(&operands.2, &operands.0, test.map(|test| (test, false)), place);
        let condition = condition?;
        if condition.dtype != DType::Bool {
            let message = format!("the condition of `?:` has type `{}` and must be `bool`", spelling(condition.dtype));
            let error = Diagnostic::error("TC0202", message, operands.0.span).also(span, "in this choice");
            self.scope.emit(error.help("compare it: `… != 0`"));
            return None;
        }
        let (a, b, dtype) = unified(a?, b?);
        let expr = Expr::Select(Box::new(condition.expr), Box::new(a), Box::new(b));
        Some(Operand { expr, dtype, literal: None })
    }

    /// An arm of `?:`, whose value counts only where the condition holds or does not.
    fn arm(
        &mut self,
        arm: &ast::Expr,
        test: &ast::Expr,
        guard: Option<(Arc<Expr>, bool)>,
        place: Place,
    ) -> Option<Operand> {
        let outer = self.guards.len();
        if let Some((condition, holds)) = guard {
            let mut known = Vec::new();
            self.implied(test, holds, place, &mut known);
            self.guards.push(Guard { condition, holds, known: known.into() });
        }
        let value = self.value(arm, place.deeper());
        self.guards.truncate(outer);
        value
    }

    /// What is not negative where `test` is `holds`: from comparisons of affine expressions and what joins them.
    fn implied(&self, test: &ast::Expr, holds: bool, place: Place, known: &mut Vec<Quasi>) {
        match &test.kind {
            ExprKind::Unary(UnaryOp::Not, inner) => self.implied(inner, !holds, place, known),
            ExprKind::Binary(op, operands) if matches!((op, holds), (BinaryOp::And, true) | (BinaryOp::Or, false)) => {
                self.implied(&operands.0, holds, place, known);
                self.implied(&operands.1, holds, place, known);
            }
            ExprKind::Binary(op, operands) => {
                let quasi = |e| self.quasi(e, place).flatten();
                let (Some(a), Some(b)) = (quasi(&operands.0), quasi(&operands.1)) else { return };
                let (at_most, below) =
                    (|x: &Quasi, y: &Quasi| y.minus(x), |x: &Quasi, y: &Quasi| y.minus(x)?.plus_constant(-1));
                known.extend(match (op, holds) {
                    (BinaryOp::Lt, true) | (BinaryOp::Ge, false) => below(&a, &b),
                    (BinaryOp::Le, true) | (BinaryOp::Gt, false) => at_most(&a, &b),
                    (BinaryOp::Gt, true) | (BinaryOp::Le, false) => below(&b, &a),
                    (BinaryOp::Ge, true) | (BinaryOp::Lt, false) => at_most(&b, &a),
                    _ => None,
                });
                if matches!((op, holds), (BinaryOp::Eq, true) | (BinaryOp::Ne, false)) {
                    known.extend([at_most(&a, &b), at_most(&b, &a)].into_iter().flatten());
                }
            }
            _ => (),
        }
    }

    /// The expression as an affine one: `Some(None)` when it is none, `None` when its numbers are too large. Called
    /// after [`Body::value`], which knows every name by then.
    pub(super) fn quasi(&self, expr: &ast::Expr, place: Place) -> Option<Option<Quasi>> {
        let affine = |e: &ast::Expr| self.quasi(e, place.deeper());
        Some(match &expr.kind {
            ExprKind::Number(number) => match number.whole.map(i64::try_from) {
                Some(Ok(value)) => Some(Quasi::constant(value)),
                Some(Err(_)) => return None,
                None => None,
            },
            ExprKind::Name(name) => match self.find_let(name, place.lets) {
                Some((_, value, lets)) => self.quasi(value, Place { lets, ..place.deeper() })?,
                None => self.named_quasi(name, place),
            },
            ExprKind::Cast(ast::ScalarType::Int64, value) => affine(value)?,
            ExprKind::Unary(UnaryOp::Neg, value) => match affine(value)? {
                Some(value) => Some(value.times(-1)?),
                None => None,
            },
            ExprKind::Binary(op, operands) => match (affine(&operands.0)?, affine(&operands.1)?) {
                (Some(a), Some(b)) => affine_binary(*op, &a, &b)?,
                _ => None,
            },
            ExprKind::Bool(_) | ExprKind::Call(..) | ExprKind::Cast(..) | ExprKind::Unary(..) | ExprKind::Select(_) => {
                None
            }
        })
    }

    fn named_quasi(&self, name: &str, place: Place) -> Option<Quasi> {
        match (self.find_index(name), self.scope.entity(name)) {
            (Some(at), _) => Some(Quasi::index(at)),
            (None, Some(Entity::Size(at))) => Some(Quasi::size(at)),
            (None, Some(Entity::Tensor(at))) if place.bound => self.scope.tensors[at].size.map(Quasi::size),
            _ => None,
        }
    }
}

impl Operand {
    /// In type `dtype`; a literal without rounding on the way.
    fn into_type(self, dtype: DType) -> Expr {
        match self.literal.as_ref().and_then(|literal| literal.value_as(dtype)) {
            Some(constant) => Expr::Const(constant, repr(dtype)),
            None => cast(self.expr, self.dtype, dtype),
        }
    }
}

fn literal(literal: Literal, place: Place) -> Operand {
    let own = literal.own_type();
    match literal.value_as(DType::I64).filter(|_| place.subscript && own.is_int()) {
        Some(value) => Operand { expr: Expr::Const(value, DType::I64), dtype: DType::I64, literal: Some(literal) },
        None => Operand { expr: literal.constant(), dtype: own, literal: Some(literal) },
    }
}

/// An index or a size: `int32` as a value, 64 bits in a subscript.
fn whole(index: Index, place: Place) -> Operand {
    let expr = Expr::Index(index);
    match place.subscript {
        true => Operand { expr, dtype: DType::I64, literal: None },
        false => Operand { expr: Expr::Cast(DType::I32, Box::new(expr)), dtype: DType::I32, literal: None },
    }
}

/// `expr`, whose type is `from`, in the type that values of type `to` are computed in.
pub fn cast(expr: Expr, from: DType, to: DType) -> Expr {
    if repr(from) == repr(to) { expr } else { Expr::Cast(repr(to), Box::new(expr)) }
}

/// Both operands in their common type. A literal takes the other's type where that represents it.
fn unified(a: Operand, b: Operand) -> (Expr, Expr, DType) {
    let adapted = |literal: &Operand, other: &Operand| match (&literal.literal, &other.literal) {
        (Some(literal), None) => literal.value_as(other.dtype).is_some(),
        _ => false,
    };
    let dtype = match () {
        () if adapted(&a, &b) => b.dtype,
        () if adapted(&b, &a) => a.dtype,
        () => promote(a.dtype, b.dtype),
    };
    (a.into_type(dtype), b.into_type(dtype), dtype)
}

fn comparison(op: BinaryOp) -> Option<CmpOp> {
    Some(match op {
        BinaryOp::Lt => CmpOp::Lt,
        BinaryOp::Le => CmpOp::Le,
        BinaryOp::Gt => CmpOp::Gt,
        BinaryOp::Ge => CmpOp::Ge,
        BinaryOp::Eq => CmpOp::Eq,
        BinaryOp::Ne => CmpOp::Ne,
        _ => return None,
    })
}

/// The operator of the middle form for what is no comparison.
fn arithmetic(op: BinaryOp) -> BinOp {
    match op {
        BinaryOp::Sub => BinOp::Sub,
        BinaryOp::Mul => BinOp::Mul,
        BinaryOp::Div => BinOp::Div,
        BinaryOp::Rem => BinOp::Mod,
        BinaryOp::Min => BinOp::Min,
        BinaryOp::Max => BinOp::Max,
        BinaryOp::And => BinOp::And,
        BinaryOp::Or => BinOp::Or,
        BinaryOp::BitAnd => BinOp::BitAnd,
        BinaryOp::BitOr => BinOp::BitOr,
        BinaryOp::BitXor => BinOp::BitXor,
        BinaryOp::Shl => BinOp::Shl,
        BinaryOp::Shr => BinOp::Shr,
        _ => BinOp::Add,
    }
}

/// `a op b` where it is affine; `None` on overflow.
pub(super) fn affine_binary(op: BinaryOp, a: &Quasi, b: &Quasi) -> Option<Option<Quasi>> {
    Some(match op {
        BinaryOp::Add => Some(a.plus(b)?),
        BinaryOp::Sub => Some(a.minus(b)?),
        BinaryOp::Min => Some(Quasi::min(&[a.clone(), b.clone()])?),
        BinaryOp::Max => Some(Quasi::max(&[a.clone(), b.clone()])?),
        BinaryOp::Mul => match (a.as_constant(), b.as_constant()) {
            (Some(factor), _) => Some(b.times(factor)?),
            (_, Some(factor)) => Some(a.times(factor)?),
            _ => None,
        },
        BinaryOp::Div => match b.as_constant() {
            Some(divisor @ 1..) => Some(a.floor_div(divisor)?),
            Some(divisor) if divisor < 0 => Some(a.times(-1)?.floor_div(divisor.checked_neg()?)?),
            _ => None,
        },
        BinaryOp::Rem => match b.as_constant() {
            Some(divisor @ 1..) => Some(a.modulo(divisor)?),
            _ => None,
        },
        _ => None,
    })
}

/// Bits are those of whole numbers.
pub fn not_bits(op: &str, dtype: DType, span: Span) -> Diagnostic {
    Diagnostic::error("TC0208", format!("{op} needs whole numbers and got `{}`", spelling(dtype)), span)
        .help("write `int32(…)` around it; `bool` has `&&`, `||` and `!`")
}

pub fn not_logical(op: &str, dtype: DType, span: Span) -> Diagnostic {
    Diagnostic::error("TC0203", format!("`{op}` needs `bool` operands and got `{}`", spelling(dtype)), span)
        .help("compare with `!= 0`; arithmetic uses `+`, `*`, `min` and `max`")
}

/// Numbers are added, and `bool` is not.
pub fn no_arithmetic_on_bool(op: &str, span: Span) -> Diagnostic {
    Diagnostic::error("TC0206", format!("{op} does not work on `bool`"), span)
        .help("write `int32(…)` around it, or use `&&`, `||`, `!`")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `1 index is`, `2 indices are`.
pub fn are(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one} is"),
        _ => format!("{count} {many} are"),
    }
}

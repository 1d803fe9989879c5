//! Expressions, by operator precedence: a constant number of stack frames for each level of nesting, and none for a
//! longer chain of operators.

use support::{Diagnostic, Span};

use super::MAX_DEPTH;
use super::stream::{Failure, Parsed, Tokens, closing, symbol, too_deep};
use crate::ast::{BinaryOp, Expr, ExprKind, Name, Number, ScalarType, UnaryOp};
use crate::lexer::TokenKind;

/// An expression.
pub fn expression(input: Tokens<'_>) -> Parsed<'_, Expr> {
    let outer = input;
    let mut input = input.deeper()?;
    let mut chosen = Vec::new();
    loop {
        let (rest, value) = binary(input)?;
        if rest.peek() != TokenKind::Symbol("?") {
            let mut expr = value;
            for (condition, then) in chosen.into_iter().rev() {
                expr = bounded(rest, select(condition, then, expr))?;
            }
            return Ok((rest.at_depth_of(outer), expr));
        }
        let (rest, then) = expression(rest.next())?;
        let (rest, _) = symbol(":")(rest)?;
        chosen.push((value, then));
        input = rest;
    }
}

fn select(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    let span = condition.span.to(otherwise.span);
    Expr::new(ExprKind::Select(Box::new((condition, then, otherwise))), span)
}

/// `(a, b, …)`
pub fn arguments(input: Tokens<'_>) -> Parsed<'_, Vec<Expr>> {
    let (mut rest, opened) = symbol("(")(input)?;
    let mut arguments = Vec::new();
    while rest.peek() != TokenKind::Symbol(")") || !arguments.is_empty() {
        let (after, argument) = expression(rest)?;
        arguments.push(argument);
        rest = after;
        match rest.peek() {
            TokenKind::Symbol(",") => rest = rest.next(),
            _ => break,
        }
    }
    super::not_too_long(input, arguments.len())?;
    closed(rest, arguments, opened)
}

/// `value`, if the bracket that was opened is closed here.
fn closed<T>(input: Tokens<'_>, value: T, opened: Span) -> Parsed<'_, T> {
    match closing(")")(input) {
        Ok((rest, _)) => Ok((rest, value)),
        Err(error) => Err(error.map(|failure| failure.inside(opened))),
    }
}

/// The number that the next token is.
pub fn number_at(input: Tokens<'_>) -> Number {
    let text = input.word();
    let whole = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    Number { text: text.to_owned(), whole }
}

/// Operands and binary operators: what waits for its right operand is on a stack, so that a chain of operators of
/// rising precedence takes no stack frames.
fn binary(mut input: Tokens<'_>) -> Parsed<'_, Expr> {
    let mut waiting: Vec<(Expr, BinaryOp, u8)> = Vec::new();
    loop {
        let (rest, mut operand) = prefixed(input)?;
        let next = operator(rest);
        let least = next.map_or(0, |(_, precedence)| precedence);
        while let Some((left, op, _)) = waiting.pop_if(|(_, _, precedence)| *precedence >= least) {
            operand = bounded(rest, apply(op, left, operand))?;
        }
        let Some((op, precedence)) = next else { return Ok((rest, operand)) };
        waiting.push((operand, op, precedence));
        input = rest.next();
    }
}

fn apply(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let span = left.span.to(right.span);
    Expr::new(ExprKind::Binary(op, Box::new((left, right))), span)
}

fn operator(input: Tokens<'_>) -> Option<(BinaryOp, u8)> {
    const OPERATORS: [BinaryOp; 18] = [
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Rem,
        BinaryOp::Lt,
        BinaryOp::Le,
        BinaryOp::Gt,
        BinaryOp::Ge,
        BinaryOp::Eq,
        BinaryOp::Ne,
        BinaryOp::And,
        BinaryOp::Or,
        BinaryOp::BitAnd,
        BinaryOp::BitOr,
        BinaryOp::BitXor,
        BinaryOp::Shl,
        BinaryOp::Shr,
    ];
    let TokenKind::Symbol(symbol) = input.peek() else { return None };
    let op = OPERATORS.into_iter().find(|op| op.symbol() == symbol)?;
    op.precedence().map(|precedence| (op, precedence))
}

fn prefixed(mut input: Tokens<'_>) -> Parsed<'_, Expr> {
    let mut prefixes: Vec<(UnaryOp, Span)> = Vec::new();
    loop {
        let op = match input.peek() {
            TokenKind::Symbol("-") => UnaryOp::Neg,
            TokenKind::Symbol("!") => UnaryOp::Not,
            TokenKind::Symbol("~") => UnaryOp::Complement,
            _ => break,
        };
        prefixes.push((op, input.span()));
        input = input.next();
    }
    let (rest, mut expr) = primary(input)?;
    for (op, start) in prefixes.into_iter().rev() {
        let span = start.to(expr.span);
        expr = bounded(input, Expr::new(ExprKind::Unary(op, Box::new(expr)), span))?;
    }
    Ok((rest, expr))
}

/// Refuses an expression that became too deep.
fn bounded(at: Tokens<'_>, expr: Expr) -> Result<Expr, nom::Err<Failure<'_>>> {
    if expr.depth <= MAX_DEPTH { Ok(expr) } else { Err(nom::Err::Failure(Failure::because(at, too_deep(expr.span)))) }
}

fn primary(input: Tokens<'_>) -> Parsed<'_, Expr> {
    let span = input.span();
    match input.peek() {
        TokenKind::Number => number(input),
        TokenKind::Keyword("true") => Ok((input.next(), Expr::new(ExprKind::Bool(true), span))),
        TokenKind::Keyword("false") => Ok((input.next(), Expr::new(ExprKind::Bool(false), span))),
        TokenKind::Keyword("min") => extreme(input, BinaryOp::Min),
        TokenKind::Keyword("max") => extreme(input, BinaryOp::Max),
        TokenKind::Type(to) => cast(input, to),
        TokenKind::Symbol("(") => grouped(input),
        TokenKind::Name if input.next().peek() == TokenKind::Symbol("(") && !begins_call(input.next()) => call(input),
        TokenKind::Name => Ok((input.next(), Expr::new(ExprKind::Name(input.word().to_owned()), span))),
        _ => Err(nom::Err::Error(Failure::expected(input, "an expression"))),
    }
}

/// Whether what stands in parentheses here is the left-hand side of a call, `(a, b) = f(x)`, and not an argument list:
/// line ends mean nothing, so a statement may end in a name right before it. One name alone is taken for an argument.
fn begins_call(input: Tokens<'_>) -> bool {
    let mut input = input.next();
    if input.next().peek() != TokenKind::Symbol(",") {
        return false;
    }
    while input.peek() == TokenKind::Name {
        match input.next().peek() {
            TokenKind::Symbol(",") => input = input.next().next(),
            TokenKind::Symbol(")") => return input.next().next().peek() == TokenKind::Symbol("="),
            _ => return false,
        }
    }
    false
}

fn cast(input: Tokens<'_>, to: ScalarType) -> Parsed<'_, Expr> {
    let (rest, value) = grouped(input.next())?;
    let expr = Expr::new(ExprKind::Cast(to, Box::new(value)), input.span().to(rest.before()));
    Ok((rest, bounded(input, expr)?))
}

fn grouped(input: Tokens<'_>) -> Parsed<'_, Expr> {
    let (rest, opened) = symbol("(")(input)?;
    let (rest, inner) = expression(rest)?;
    let (rest, inner) = closed(rest, inner, opened)?;
    Ok((rest, Expr { span: opened.to(rest.before()), ..inner }))
}

fn call(input: Tokens<'_>) -> Parsed<'_, Expr> {
    let name = Name { text: input.word().to_owned(), span: input.span() };
    let (rest, arguments) = arguments(input.next())?;
    let expr = Expr::new(ExprKind::Call(name, arguments), input.span().to(rest.before()));
    Ok((rest, bounded(input, expr)?))
}

/// The text of a number, without the middle of a very long one.
pub(super) fn abridged(digits: &str) -> String {
    const ENDS: usize = 16;
    match (digits.get(..ENDS), digits.len().checked_sub(ENDS).and_then(|at| digits.get(at..))) {
        (Some(head), Some(tail)) if digits.len() > 4 * ENDS => format!("{head}…{tail}"),
        _ => digits.to_string(),
    }
}

fn number(input: Tokens<'_>) -> Parsed<'_, Expr> {
    let number = number_at(input);
    let floating =
        number.text.contains(['.', 'e', 'E']) && !number.text.starts_with("0x") && !number.text.starts_with("0X");
    if number.whole.is_none() && !floating {
        let error = Diagnostic::error(
            "TC0006",
            format!("`{}` does not fit into 64 bits", abridged(&number.text)),
            input.span(),
        )
        .help("whole numbers go up to 18446744073709551615; a floating number has a `.` or an exponent");
        return Err(nom::Err::Failure(Failure::because(input, error)));
    }
    Ok((input.next(), Expr::new(ExprKind::Number(number), input.span())))
}

/// `min(a, b)` and `max(a, b)`.
fn extreme(input: Tokens<'_>, op: BinaryOp) -> Parsed<'_, Expr> {
    let (rest, mut operands) = arguments(input.next())?;
    let span = input.span().to(rest.before());
    if operands.len() != 2 {
        let message = format!("`{}` takes 2 arguments, and {} are given", op.symbol(), operands.len());
        let help = format!("nest them: `{0}(a, {0}(b, c))`", op.symbol());
        let error = Diagnostic::error("TC0112", message, span).help(help);
        return Err(nom::Err::Failure(Failure::because(rest, error)));
    }
    let right = operands.remove(1);
    let expr = Expr::new(ExprKind::Binary(op, Box::new((operands.remove(0), right))), span);
    Ok((rest, bounded(input, expr)?))
}

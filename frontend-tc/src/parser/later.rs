//! What the language has and this version does not, and slips that deserve a message of their own.

use nom::Err::Failure as Cut;
use support::{Diagnostic, Span};

use super::stream::{Failure, Tokens};
use crate::ast::ScalarType;
use crate::lexer::TokenKind;

type Stop<'a> = nom::Err<Failure<'a>>;

fn later<'a>(at: Tokens<'a>, code: &'static str, what: &str, span: Span, help: &str) -> Stop<'a> {
    Cut(Failure::because(at, Diagnostic::error(code, format!("{what} not supported yet"), span).help(help)))
}

/// `import "…"` and `let x = …` between definitions.
pub fn file_level(input: Tokens<'_>) -> Result<(), Stop<'_>> {
    if input.peek() != TokenKind::Name {
        return Ok(());
    }
    let next = input.next();
    match input.word() {
        "import" => Err(later(next, "TC0023", "`import` is", input.span(), "put the definitions into one file")),
        "let" if next.peek() == TokenKind::Name => Err(later(
            next,
            "TC0024",
            "`let` at the level of the file is",
            input.span(),
            "write the number itself, or name it in the `where` of the statement",
        )),
        _ => Ok(()),
    }
}

/// The name that a `let` between definitions gives.
pub fn constant(input: Tokens<'_>) -> Option<&str> {
    let named = input.peek() == TokenKind::Name && input.word() == "let" && input.next().peek() == TokenKind::Name;
    named.then(|| input.next().word())
}

/// `for t in …` and `(a, b) = f(…)`.
pub fn statement(input: Tokens<'_>) -> Result<(), Stop<'_>> {
    match (input.peek(), input.next().peek()) {
        (TokenKind::Name, TokenKind::Name) if input.word() == "for" => Err(later(
            input,
            "TC0022",
            "`for` loops are",
            input.span(),
            "write the steps as statements, or call the kernel once for each step",
        )),
        (TokenKind::Symbol("&" | "|" | "^" | "<<" | ">>"), _) => Err(bitwise(input)),
        (TokenKind::Symbol("("), _) => Err(later(
            input,
            "TC0021",
            "calls of other definitions are",
            input.span(),
            "write the statements of the called definition here",
        )),
        _ => Ok(()),
    }
}

/// `argmin=`, `argmax=`, `&&=`, `||=`.
pub fn assignment(input: Tokens<'_>) -> Result<(), Stop<'_>> {
    match (input.peek(), input.next().peek()) {
        (TokenKind::Name, TokenKind::Symbol("=")) if matches!(input.word(), "argmin" | "argmax") => {
            let what = format!("the reduction `{}` is", input.word());
            Err(later(
                input.next(),
                "TC0026",
                &what,
                input.span(),
                "use two statements: `V min=! A(i)`, then `K min=! (A(i) == V) ? i : N`",
            ))
        }
        (TokenKind::Symbol("&&=" | "||=" | "&&=!" | "||=!"), _) => {
            let what = format!("the reduction `{}` is", input.word());
            Err(later(
                input.next(),
                "TC0027",
                &what,
                input.span(),
                "reduce `int32(e)` with `min=!` (and) or `max=!` (or)",
            ))
        }
        _ => Ok(()),
    }
}

/// A subscript of the left-hand side that is not a name.
pub fn left_subscript(input: Tokens<'_>, span: Span) -> Stop<'_> {
    later(
        input.next(),
        "TC0025",
        "computed subscripts on the left-hand side are",
        span,
        "write plain indices on the left, and give them their ranges in `where`",
    )
}

/// An operand that is not there, or an operator that is not there yet.
pub fn operand(input: Tokens<'_>) -> Stop<'_> {
    match input.peek() {
        TokenKind::Symbol("~") => bitwise(input),
        _ => nom::Err::Error(Failure::expected(input, "an expression")),
    }
}

/// `&`, `|`, `^`, `~`, `<<`, `>>`.
pub fn bitwise(input: Tokens<'_>) -> Stop<'_> {
    let what = format!("the bitwise operator `{}` is", input.word());
    later(input, "TC0027", &what, input.span(), "use arithmetic: `* 2`, `/ 2`, `% 2`")
}

/// `0..2` for `0:2`.
pub fn dots<'a>(input: Tokens<'a>, lower: Span) -> Result<(), Stop<'a>> {
    if input.peek() != TokenKind::Symbol("..") {
        return Ok(());
    }
    let error = Diagnostic::error("TC0013", "a range is written with a colon", lower.to(input.span()))
        .help("write `0:2` for 0, 1");
    Err(Cut(Failure::because(input, error)))
}

/// `float(2*K+1) A`.
pub fn size_expression(input: Tokens<'_>) -> Stop<'_> {
    later(
        input,
        "TC0028",
        "computed sizes in types are",
        input.span(),
        "give the dimension a name of its own: a read outside it is found before the kernel runs",
    )
}

/// Reports a word where a type should be, and guesses the type.
pub fn unknown_type(input: Tokens<'_>) -> ScalarType {
    let (guess, help) = match input.word() {
        "int" | "long" => (ScalarType::Int32, "whole numbers are `int8` to `int64`, `uint8` to `uint64`"),
        "byte" | "char" => (ScalarType::Uint8, "a byte is `uint8` or `int8`"),
        "half" => {
            (ScalarType::Float, "half precision is `float16` or `bfloat16`; `float` is what works in this version")
        }
        _ => (ScalarType::Float, "the types are bool, int8 to int64, uint8 to uint64, float and double"),
    };
    let shown: String = input.word().chars().take(40).collect();
    input.emit(Diagnostic::error("TC0012", format!("`{shown}` is not a type"), input.span()).help(help));
    guess
}

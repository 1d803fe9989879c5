//! Slips that deserve a message of their own.

use nom::Err::Failure as Cut;
use support::{Diagnostic, Span};

use super::stream::{Failure, Tokens};
use crate::ast::ScalarType;
use crate::lexer::TokenKind;

type Stop<'a> = nom::Err<Failure<'a>>;

/// Whether a name that only some places give a meaning to stands here: `for`, `let`, `import`.
pub fn is_word(input: Tokens<'_>, word: &str) -> bool {
    input.peek() == TokenKind::Name && input.word() == word
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

/// Reports a word where a type should be, and guesses the type.
pub fn unknown_type(input: Tokens<'_>) -> ScalarType {
    let (guess, help) = match input.word() {
        "int" | "long" => (ScalarType::Int32, "whole numbers are `int8` to `int64`, `uint8` to `uint64`"),
        "byte" | "char" => (ScalarType::Uint8, "a byte is `uint8` or `int8`"),
        "half" => (ScalarType::Float16, "half precision is `float16` or `bfloat16`"),
        _ => (
            ScalarType::Float,
            "the types are bool, int8 to int64, uint8 to uint64, float16, bfloat16, float and double",
        ),
    };
    let shown: String = input.word().chars().take(40).collect();
    input.emit(Diagnostic::error("TC0012", format!("`{shown}` is not a type"), input.span()).help(help));
    guess
}

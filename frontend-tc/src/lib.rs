//! TC text to Scop: lexer, parser, types, range inference, lowering.

pub mod ast;
pub mod lexer;
mod parser;
mod print;

pub use parser::parse;

//! TC text to Scop: lexer, parser, types, range inference, lowering.

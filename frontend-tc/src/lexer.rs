//! Text to tokens. Everything about the input that could be too large is bounded here, except nesting, which the
//! parser counts.

use std::fmt;

use support::{Diagnostic, Span};

use crate::ast::ScalarType;

/// The largest file, in bytes.
pub const MAX_FILE: usize = 4 << 20;
/// The longest identifier, in bytes.
pub const MAX_IDENTIFIER: usize = 256;

/// A lexical element and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is.
    pub span: Span,
}

/// What a token is; its text is in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An identifier.
    Name,
    /// A number, whole or floating.
    Number,
    /// A scalar type.
    Type(ScalarType),
    /// A reserved word that is not a type.
    Keyword(&'static str),
    /// Text in quotes: what `import` reads.
    Text,
    /// An operator or a bracket.
    Symbol(&'static str),
    /// After the last token.
    End,
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenKind::Name => f.write_str("a name"),
            TokenKind::Number => f.write_str("a number"),
            TokenKind::Text => f.write_str("text in quotes"),
            TokenKind::Type(scalar) => write!(f, "`{scalar}`"),
            TokenKind::Keyword(word) | TokenKind::Symbol(word) => write!(f, "`{word}`"),
            TokenKind::End => f.write_str("the end of the file"),
        }
    }
}

/// The words that cannot be names, beside the scalar types.
pub const KEYWORDS: [&str; 8] = ["def", "where", "in", "exists", "min", "max", "true", "false"];

/// Longest first: the lexer takes the first that matches.
const SYMBOLS: [&str; 47] = [
    "&&=!", "||=!", "<=>", "+=!", "*=!", "&=!", "|=!", "^=!", "&&=", "||=", "->", "+=", "*=", "&=", "|=", "^=", "<=",
    ">=", "==", "!=", "&&", "||", "<<", ">>", "+", "-", "*", "/", "%", "!", "<", ">", "=", "?", ":", "(", ")", "[",
    "]", "{", "}", ",", "&", "|", "^", "~", ";",
];

/// Cuts `text` into tokens, the last of which is [`TokenKind::End`]. What is not a token is reported and left out.
pub fn tokens(text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    tokens_in(text, Span::new(0, text.len()))
}

/// Cuts the part of `text` at `place` into tokens.
pub fn tokens_in(text: &str, place: Span) -> (Vec<Token>, Vec<Diagnostic>) {
    let range = place.range();
    if range.len() > MAX_FILE {
        let message = format!("the file has {} bytes, more than the {MAX_FILE} that are accepted", range.len());
        let end = Token { kind: TokenKind::End, span: Span::default() };
        let error = Diagnostic::error("TC0001", message, Span::new(0, 0)).help("split the file");
        return (vec![end], vec![error]);
    }
    let text = &text[..range.end];
    let mut lexer = Lexer { text, at: range.start, tokens: Vec::new(), errors: Vec::new() };
    lexer.run();
    let end = Span::new(text.len(), text.len());
    lexer.tokens.push(Token { kind: TokenKind::End, span: end });
    (lexer.tokens, lexer.errors)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    errors: Vec<Diagnostic>,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) {
        loop {
            self.skip_blanks();
            let Some(&byte) = self.rest().as_bytes().first() else { return };
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
                b'0'..=b'9' => self.number(),
                b'.' if self.byte(1).is_ascii_digit() => self.number(),
                _ => self.symbol(),
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The byte `ahead` of here; 0 past the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// How many bytes from `ahead` on satisfy `test`.
    fn run_of(&self, ahead: usize, test: impl Fn(u8) -> bool) -> usize {
        self.text.as_bytes()[(self.at + ahead).min(self.text.len())..].iter().take_while(|byte| test(**byte)).count()
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start().len();
            self.at += blanks;
            if !(self.rest().starts_with('#') || self.rest().starts_with("//")) {
                return;
            }
            self.at += self.run_of(0, |byte| byte != b'\n');
        }
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        self.tokens.push(Token { kind, span: Span::new(self.at, self.at + length) });
        self.at += length;
    }

    fn word(&mut self) {
        let length = self.run_of(0, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let word = &self.text[self.at..self.at + length];
        if length > MAX_IDENTIFIER {
            let span = Span::new(self.at, self.at + length);
            let message = format!("a name of {length} bytes is longer than the {MAX_IDENTIFIER} that are accepted");
            self.errors.push(Diagnostic::error("TC0002", message, span).help("shorten the name"));
        }
        if let Some(symbol) = self.reduction_by_name(word) {
            return self.push(TokenKind::Symbol(symbol), symbol.len());
        }
        let kind = match KEYWORDS.iter().find(|keyword| **keyword == word) {
            Some(keyword) => TokenKind::Keyword(keyword),
            None => ScalarType::from_name(word).map_or(TokenKind::Name, TokenKind::Type),
        };
        self.push(kind, length);
    }

    /// `min=!` and its like are one token each.
    fn reduction_by_name(&self, word: &str) -> Option<&'static str> {
        if !matches!(word, "min" | "max" | "argmin" | "argmax") {
            return None;
        }
        const REDUCTIONS: [&str; 8] = ["min=!", "max=!", "argmin=!", "argmax=!", "min=", "max=", "argmin=", "argmax="];
        // `argmin == x` compares.
        let is_here =
            |symbol: &&str| self.rest().starts_with(*symbol) && !self.rest().starts_with(&format!("{word}=="));
        REDUCTIONS.into_iter().find(is_here)
    }

    fn number(&mut self) {
        let length = if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') {
            2 + self.run_of(2, |byte| byte.is_ascii_hexdigit())
        } else {
            self.decimal()
        };
        let glued = self.run_of(length, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // `0x` without digits is read as 0, `3x` as 3: the parser has nothing more to say about them.
        let readable = if length == 2 && matches!(self.byte(1), b'x' | b'X') { 1 } else { length };
        let whole = Span::new(self.at, self.at + length + glued);
        if whole.range().len() > readable {
            let message = format!("`{}` is not a number", &self.text[whole.range()]);
            let help = "numbers look like 3, 1.5, .3, 3e-5 and 0xff; a name begins with a letter";
            self.errors.push(Diagnostic::error("TC0005", message, whole).help(help));
        }
        self.push(TokenKind::Number, readable);
        self.at = whole.range().end;
    }

    /// The length of `digits [. digits] [e [sign] digits]`. `0..2` is `0`, `.` and `.2`, so that the range gets a message of its own.
    fn decimal(&self) -> usize {
        let digits = |ahead| self.run_of(ahead, |byte| byte.is_ascii_digit());
        let mut length = digits(0);
        if self.byte(length) == b'.' && self.byte(length + 1) != b'.' {
            length += 1;
            length += digits(length);
        }
        if matches!(self.byte(length), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(length + 1), b'+' | b'-'));
            let exponent = digits(length + 1 + sign);
            if exponent > 0 {
                length += 1 + sign + exponent;
            }
        }
        length
    }

    /// The length of text in quotes that ends on its line.
    fn quoted(&self) -> Option<usize> {
        let inside = self.rest().strip_prefix('"')?;
        let end = inside.find(['"', '\n'])?;
        inside[end..].starts_with('"').then_some(end + 2)
    }

    fn symbol(&mut self) {
        if self.rest().starts_with("..") {
            return self.push(TokenKind::Symbol(".."), 2);
        }
        if let Some(length) = self.quoted() {
            return self.push(TokenKind::Text, length);
        }
        let first = self.byte(0);
        let is_here = |symbol: &&&str| symbol.as_bytes()[0] == first && self.rest().starts_with(**symbol);
        if let Some(symbol) = SYMBOLS.iter().find(is_here) {
            return self.push(TokenKind::Symbol(symbol), symbol.len());
        }
        let unknown =
            |c: &char| !c.is_ascii_alphanumeric() && !c.is_whitespace() && !"_+-*/%!<>=?:()[]{},&|^~;#.".contains(*c);
        let run: usize = self.rest().chars().take_while(unknown).map(char::len_utf8).sum();
        let length = if run > 0 { run } else { self.rest().chars().next().map_or(1, char::len_utf8) };
        let span = Span::new(self.at, self.at + length);
        let shown: String = self.text[span.range()].chars().take(16).flat_map(char::escape_debug).collect();
        let message = format!("`{shown}` has no meaning in this language");
        self.errors.push(Diagnostic::error("TC0004", message, span).help("remove it; comments begin with `#` or `//`"));
        self.at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        let (tokens, errors) = tokens(text);
        assert!(errors.is_empty(), "{errors:?}");
        tokens.iter().map(|token| &text[token.span.range()]).filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn longest_match_wins() {
        assert_eq!(
            texts("C(m)+=!A max=b maxpool=max(x"),
            ["C", "(", "m", ")", "+=!", "A", "max=", "b", "maxpool", "=", "max", "(", "x"]
        );
        assert_eq!(texts("min=!x<=>y<=z"), ["min=!", "x", "<=>", "y", "<=", "z"]);
    }

    #[test]
    fn numbers_in_every_form() {
        assert_eq!(
            texts("1.4 .3 3 3. 3e-3 .5e-7 3E+5 0xFf"),
            ["1.4", ".3", "3", "3.", "3e-3", ".5e-7", "3E+5", "0xFf"]
        );
        assert_eq!(texts("0..2"), ["0", "..", "2"]);
    }

    #[test]
    fn words_that_begin_like_numbers_are_names() {
        let (tokens, _) = tokens("info nano infinity nan");
        assert!(tokens[..4].iter().all(|token| token.kind == TokenKind::Name));
    }

    #[test]
    fn comments_run_to_the_end_of_the_line() {
        assert_eq!(texts("a # b c\nd // e\nf / g"), ["a", "d", "f", "/", "g"]);
    }

    #[test]
    fn what_is_not_a_token_is_reported_once_per_run() {
        let (tokens, errors) = tokens("a @@@ é b");
        assert_eq!(tokens.len(), 3);
        assert_eq!(errors.len(), 2);
    }
}

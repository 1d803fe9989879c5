//! Lines and tokens. A line is cut into tokens only where it is ours; isl's notation is handed to isl whole.

use super::TextError;

/// No text is longer than this, no line nested deeper, no expression a deeper tree. An expression of TC nests 200 deep, and
/// a level of it may be four of a Scop's: what works in half precision is widened and rounded, what saturates bounded.
const MAX_TEXT: usize = 16 << 20;
const MAX_LEVELS: usize = 128;
pub(super) const MAX_DEPTH: usize = 1000;

/// A line that is not blank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub number: usize,
    pub indent: usize,
    /// Without indentation and comment.
    pub text: &'a str,
}

impl<'a> Line<'a> {
    /// The first word and what follows it.
    pub fn keyword(&self) -> (&'a str, &'a str) {
        let end = self.text.find(|c: char| c.is_whitespace()).unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(end);
        (word, rest.trim_start())
    }

    pub fn error(&self, message: impl Into<String>) -> TextError {
        TextError { line: self.number, message: message.into() }
    }

    /// The tokens of the whole line.
    pub fn tokens(&self) -> Result<Tokens<'a>, TextError> {
        Tokens::new(self.number, self.text)
    }

    /// The tokens of a part of the line.
    pub fn tokens_of(&self, part: &'a str) -> Result<Tokens<'a>, TextError> {
        Tokens::new(self.number, part)
    }
}

/// A line with the lines below it that are indented further.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a, 'l> {
    pub head: Line<'a>,
    pub body: &'l [Line<'a>],
}

/// The lines of a text.
pub(super) fn lines(text: &str) -> Result<Vec<Line<'_>>, TextError> {
    if text.len() > MAX_TEXT {
        return Err(TextError { line: 1, message: format!("the text is longer than {MAX_TEXT} bytes") });
    }
    let mut lines = Vec::new();
    for (at, whole) in text.lines().enumerate() {
        let number = at + 1;
        let code = without_comment(whole).trim_end();
        let trimmed = code.trim_start_matches(' ');
        if trimmed.starts_with('\t') {
            return Err(TextError { line: number, message: "indentation is spaces; a tab was found".into() });
        }
        if !trimmed.is_empty() {
            lines.push(Line { number, indent: code.len() - trimmed.len(), text: trimmed });
        }
    }
    check_levels(&lines)?;
    Ok(lines)
}

/// A `#` inside a quoted string is no comment.
fn without_comment(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            '#' if !quoted => return &line[..at],
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
    }
    line
}

/// The readers of blocks recurse: their depth is bounded here.
fn check_levels(lines: &[Line<'_>]) -> Result<(), TextError> {
    let mut open: Vec<usize> = Vec::new();
    for line in lines {
        while open.last().is_some_and(|&indent| indent >= line.indent) {
            open.pop();
        }
        open.push(line.indent);
        if open.len() > MAX_LEVELS {
            return Err(line.error(format!("nested deeper than {MAX_LEVELS} levels")));
        }
    }
    Ok(())
}

/// The blocks that `lines` consists of. Their heads share one indentation.
pub(super) fn blocks<'a, 'l>(lines: &'l [Line<'a>]) -> Result<Vec<Block<'a, 'l>>, TextError> {
    let mut blocks = Vec::new();
    let mut rest = lines;
    let indent = lines.first().map_or(0, |line| line.indent);
    while let Some((&head, below)) = rest.split_first() {
        if head.indent != indent {
            return Err(head.error(format!("indented by {}, expected {indent} like the lines above", head.indent)));
        }
        let n = below.iter().position(|line| line.indent <= indent).unwrap_or(below.len());
        blocks.push(Block { head, body: &below[..n] });
        rest = &below[n..];
    }
    Ok(blocks)
}

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// `C.update`, `sum`.
    Name(&'a str),
    /// `12`, `1.5e3f32`: digits, then perhaps a fraction, an exponent and a suffix.
    Number(&'a str),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: &[&str] = &[
    "..", "<=", ">=", "==", "!=", "&&", "||", "(", ")", "[", "]", ",", ":", "+", "-", "*", "/", "%", "<", ">", "=", "!",
];

/// Tokens of a line and how far they are read.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    line: usize,
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(line: usize, text: &'a str) -> Result<Tokens<'a>, TextError> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let (token, length) = if first.is_ascii_digit() {
                let length = number_length(rest);
                (Token::Number(&rest[..length]), length)
            } else if first.is_ascii_alphabetic() || first == '_' {
                let length = name_length(rest);
                (Token::Name(&rest[..length]), length)
            } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                (Token::Symbol(symbol), symbol.len())
            } else {
                return Err(TextError { line, message: format!("`{}` has no meaning here", first.escape_debug()) });
            };
            tokens.push(token);
            rest = rest[length..].trim_start();
        }
        Ok(Tokens { line, tokens, at: 0 })
    }

    pub fn error(&self, message: impl Into<String>) -> TextError {
        TextError { line: self.line, message: message.into() }
    }

    /// What is expected, and what stands here instead.
    pub fn expected(&self, what: &str) -> TextError {
        let found = match self.peek() {
            Some(Token::Name(text) | Token::Number(text)) => format!("`{}`", shortened(text)),
            Some(Token::Symbol(text)) => format!("`{text}`"),
            None => "the end of the line".into(),
        };
        self.error(format!("expected {what}, found {found}"))
    }

    pub fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    /// The token after the next one.
    pub fn peek_second(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at + 1).copied()
    }

    pub fn advance(&mut self) {
        self.at += 1;
    }

    /// Steps over `symbol` if it comes next.
    pub fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(next)) if next == symbol);
        self.at += usize::from(found);
        found
    }

    /// Steps over `word` if it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Token::Name(word));
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, symbol: &str) -> Result<(), TextError> {
        if self.eat(symbol) { Ok(()) } else { Err(self.expected(&format!("`{symbol}`"))) }
    }

    pub fn expect_word(&mut self, word: &str) -> Result<(), TextError> {
        if self.eat_word(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    pub fn name(&mut self, what: &str) -> Result<&'a str, TextError> {
        match self.peek() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// An integer without a sign and a suffix.
    pub fn integer<N: std::str::FromStr>(&mut self, what: &str) -> Result<N, TextError> {
        match self.peek() {
            Some(Token::Number(digits)) => {
                let value = digits.parse().map_err(|_| self.expected(what))?;
                self.at += 1;
                Ok(value)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// `item, item, …` up to `close`, which is stepped over.
    pub fn list<T>(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, TextError>,
    ) -> Result<Vec<T>, TextError> {
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close) {
                return Ok(items);
            }
            if !self.eat(",") {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
        }
    }

    pub fn end(&self) -> Result<(), TextError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.len() > LONGEST { format!("{}…", &text[..LONGEST]) } else { text.into() }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether the whole text is one name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name_length(text) == text.len()
}

/// A name may hold dots, each between two letters, digits or underscores.
fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let dot = byte == b'.' && bytes.get(at + 1).copied().is_some_and(is_name_byte);
        if !is_name_byte(byte) && !dot {
            break;
        }
        at += 1;
    }
    at
}

fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let past_digits = |mut at: usize| {
        while digit(at) {
            at += 1;
        }
        at
    };
    let mut at = past_digits(0);
    if bytes.get(at) == Some(&b'.') && digit(at + 1) {
        at = past_digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if digit(at + 1 + sign) {
            at = past_digits(at + 1 + sign);
        }
    }
    while bytes.get(at).copied().is_some_and(is_name_byte) {
        at += 1;
    }
    at
}

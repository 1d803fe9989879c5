//! The token stream as nom's input, and the parser's error.

use std::cell::RefCell;
use std::iter::{Copied, Enumerate};

use nom::{Input, Parser};
use nom::error::{ErrorKind, ParseError};
use support::{Diagnostic, Span};

use super::MAX_DEPTH;
use crate::ast::Name;
use crate::lexer::{Token, TokenKind};

/// What a parser gives.
pub type Parsed<'a, T> = nom::IResult<Tokens<'a>, T, Failure<'a>>;

/// What is left to read. Never empty: the last token is [`TokenKind::End`], and nothing goes past it.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    all: &'a [Token],
    at: usize,
    depth: u32,
    sink: &'a RefCell<Vec<Diagnostic>>,
}

impl<'a> Tokens<'a> {
    /// All of `all`, whose last token is the end; `sink` gets the diagnostics.
    pub fn new(text: &'a str, all: &'a [Token], sink: &'a RefCell<Vec<Diagnostic>>) -> Tokens<'a> {
        Tokens { text, all, at: 0, depth: 0, sink }
    }

    /// The kind of the next token.
    pub fn peek(self) -> TokenKind {
        self.all[self.at].kind
    }

    /// The place of the next token.
    pub fn span(self) -> Span {
        self.all[self.at].span
    }

    /// The text of the next token.
    pub fn word(self) -> &'a str {
        &self.text[self.span().range()]
    }

    /// The place of the token before.
    pub fn before(self) -> Span {
        self.all[self.at.saturating_sub(1)].span
    }

    /// Without the next token.
    pub fn next(self) -> Tokens<'a> {
        Tokens { at: (self.at + 1).min(self.all.len() - 1), ..self }
    }

    /// Whether the token before can only be followed by a part of a `where`.
    pub fn follows_clause_word(self) -> bool {
        self.at > 0 && matches!(self.all[self.at - 1].kind, TokenKind::Keyword("where") | TokenKind::Symbol(","))
    }

    /// One level of nesting further down, or the error that there are too many.
    pub fn deeper(self) -> Result<Tokens<'a>, nom::Err<Failure<'a>>> {
        if self.depth < MAX_DEPTH {
            return Ok(Tokens { depth: self.depth + 1, ..self });
        }
        Err(nom::Err::Failure(Failure::because(self, too_deep(self.span()))))
    }

    /// At the nesting of `outer`.
    pub fn at_depth_of(self, outer: Tokens<'a>) -> Tokens<'a> {
        Tokens { depth: outer.depth, ..self }
    }

    /// The later of the two, and past `start` in any case, so that skipping always gets on.
    pub fn max_progress(self, start: Tokens<'a>) -> Tokens<'a> {
        if self.at > start.at { self.at_depth_of(start) } else { start.next() }
    }

    /// The words between here and `end`.
    pub fn names_until(self, end: Tokens<'a>) -> impl Iterator<Item = String> + use<'a> {
        let names = self.all[self.at..end.at].iter().filter(|token| token.kind == TokenKind::Name);
        names.map(move |token| self.text[token.span.range()].to_owned())
    }

    /// Reports `diagnostic`.
    pub fn emit(self, diagnostic: Diagnostic) {
        self.sink.borrow_mut().push(diagnostic);
    }

    /// How much has been reported.
    pub fn errors(self) -> usize {
        self.sink.borrow().len()
    }

    /// Reports why a parser stopped, and says where.
    pub fn report(self, error: nom::Err<Failure<'a>>) -> Tokens<'a> {
        match error {
            nom::Err::Error(failure) | nom::Err::Failure(failure) => {
                self.emit(failure.diagnostic());
                failure.at
            }
            nom::Err::Incomplete(_) => self,
        }
    }
}

/// The error for nesting past the limit.
pub fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error("TC0003", format!("the expression nests deeper than {MAX_DEPTH} levels"), span)
        .help("write a part of it as a statement of its own, or name it in `where`")
}

impl<'a> Input for Tokens<'a> {
    type Item = Token;
    type Iter = Copied<std::slice::Iter<'a, Token>>;
    type IterIndices = Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.all.len() - self.at
    }

    fn take(&self, index: usize) -> Self {
        Tokens { all: &self.all[..self.at + index], ..*self }
    }

    fn take_from(&self, index: usize) -> Self {
        Tokens { at: self.at + index, ..*self }
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Self::Item) -> bool>(&self, predicate: P) -> Option<usize> {
        self.iter_elements().position(predicate)
    }

    fn iter_elements(&self) -> Self::Iter {
        self.all[self.at..].iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, nom::Needed> {
        if count <= self.input_len() { Ok(count) } else { Err(nom::Needed::Unknown) }
    }
}

/// Why a parser stopped: a token that it did not expect, or something with a message of its own.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    at: Tokens<'a>,
    expected: &'static str,
    opened: Option<Span>,
    because: Option<Box<Diagnostic>>,
}

impl<'a> Failure<'a> {
    /// At `at` there should have been `expected`.
    pub fn expected(at: Tokens<'a>, expected: &'static str) -> Failure<'a> {
        Failure { at, expected, opened: None, because: None }
    }

    /// Stopped at `at` with `diagnostic`.
    pub fn because(at: Tokens<'a>, diagnostic: Diagnostic) -> Failure<'a> {
        Failure { at, expected: "", opened: None, because: Some(Box::new(diagnostic)) }
    }

    /// Remembers which bracket is open here, unless an inner one is.
    pub fn inside(mut self, opened: Span) -> Failure<'a> {
        self.opened = self.opened.or(Some(opened));
        self
    }

    fn diagnostic(&self) -> Diagnostic {
        if let Some(diagnostic) = &self.because {
            return (**diagnostic).clone();
        }
        let found = match self.at.peek() {
            TokenKind::Name | TokenKind::Number => format!("`{}`", shorten(self.at.word())),
            other => other.to_string(),
        };
        let message = format!("expected {}, found {found}", self.expected);
        let error = Diagnostic::error("TC0010", message, self.at.span()).help(self.help());
        match self.opened {
            Some(opened) => error.also(opened, "opened here"),
            None => error,
        }
    }

    /// What the writer may have meant.
    fn help(&self) -> String {
        match self.at.peek() {
            TokenKind::Name => match self.at.word() {
                "and" => return "`and` is written `&&`".into(),
                "or" => return "`or` is written `||`".into(),
                "not" => return "`not` is written `!`".into(),
                _ => (),
            },
            TokenKind::Symbol("[" | "]") => return "subscripts are written in round parentheses: `A(i, j)`".into(),
            TokenKind::Symbol(";") => return "statements need no separator: remove the `;`".into(),
            TokenKind::Symbol("<") if self.at.before_is("=") => return "`=<` is written `<=`".into(),
            TokenKind::Keyword("def") => return "close the definition before with `}`".into(),
            _ => (),
        }
        format!("write {} here", self.expected)
    }
}

impl Tokens<'_> {
    fn before_is(self, symbol: &str) -> bool {
        self.at > 0 && matches!(self.all[self.at - 1].kind, TokenKind::Symbol(text) if text == symbol)
    }
}

fn shorten(word: &str) -> String {
    const SHOWN: usize = 40;
    if word.len() <= SHOWN { word.to_owned() } else { format!("{}…", &word[..SHOWN]) }
}

impl<'a> ParseError<Tokens<'a>> for Failure<'a> {
    fn from_error_kind(at: Tokens<'a>, _: ErrorKind) -> Self {
        Failure::expected(at, "something else")
    }

    fn append(_: Tokens<'a>, _: ErrorKind, other: Self) -> Self {
        other
    }

    /// The alternative that got furthest knows best.
    fn or(self, other: Self) -> Self {
        if self.at.at > other.at.at { self } else { other }
    }
}

/// The symbol `want`; gives its place.
pub fn symbol<'a>(want: &'static str) -> impl FnMut(Tokens<'a>) -> Parsed<'a, Span> {
    move |input| match input.peek() {
        TokenKind::Symbol(found) if found == want => Ok((input.next(), input.span())),
        _ => Err(nom::Err::Error(Failure::expected(input, quoted(want)))),
    }
}

/// The bracket `want`, and no way back if it is not there.
pub fn closing<'a>(want: &'static str) -> impl FnMut(Tokens<'a>) -> Parsed<'a, Span> {
    move |input| nom::combinator::cut(symbol(want)).parse(input)
}

/// The keyword `want`; gives its place.
pub fn keyword<'a>(want: &'static str) -> impl FnMut(Tokens<'a>) -> Parsed<'a, Span> {
    move |input| match input.peek() {
        TokenKind::Keyword(found) if found == want => Ok((input.next(), input.span())),
        _ => Err(nom::Err::Error(Failure::expected(input, quoted(want)))),
    }
}

/// A name, called `what` in messages.
pub fn name<'a>(what: &'static str) -> impl FnMut(Tokens<'a>) -> Parsed<'a, Name> {
    move |input| match input.peek() {
        TokenKind::Name => Ok((input.next(), Name { text: input.word().to_owned(), span: input.span() })),
        _ => Err(nom::Err::Error(Failure::expected(input, what))),
    }
}

/// `word` in backquotes.
fn quoted(word: &'static str) -> &'static str {
    match word {
        "def" => "`def`",
        "where" => "`where`",
        "in" => "`in`",
        "exists" => "`exists`",
        "->" => "`->`",
        "<=>" => "`<=>`",
        "(" => "`(`",
        ")" => "`)`",
        "{" => "`{`",
        "}" => "a statement or `}`",
        "," => "`,`",
        ":" => "`:`",
        "=" => "`=` or `in`",
        _ => word,
    }
}

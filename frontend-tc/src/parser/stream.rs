//! The token stream as nom's input, and the parser's error.

use std::cell::RefCell;
use std::iter::{Copied, Enumerate};

use nom::error::{ErrorKind, ParseError};
use nom::{Input, Parser};
use support::{Diagnostic, Span};

use super::MAX_DEPTH;
use crate::ast::Name;
use crate::lexer::{Token, TokenKind};

/// What a parser gives.
pub type Parsed<'a, T> = nom::IResult<Tokens<'a>, T, Failure<'a>>;

/// What is left to read. Never empty: the last token is [`TokenKind::End`], and nothing goes past it.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    source: &'a Source<'a>,
    at: u32,
    end: u32,
    depth: u32,
}

/// What all positions of one text share.
#[derive(Debug)]
pub struct Source<'a> {
    text: &'a str,
    tokens: &'a [Token],
    sink: RefCell<Vec<Diagnostic>>,
}

impl<'a> Source<'a> {
    /// `tokens` of `text`, the last of which is the end, and what has been reported so far.
    pub fn new(text: &'a str, tokens: &'a [Token], errors: Vec<Diagnostic>) -> Source<'a> {
        Source { text, tokens, sink: RefCell::new(errors) }
    }

    /// All that was reported.
    pub fn into_errors(self) -> Vec<Diagnostic> {
        self.sink.into_inner()
    }
}

impl<'a> Tokens<'a> {
    /// All tokens of `source`.
    pub fn new(source: &'a Source<'a>) -> Tokens<'a> {
        Tokens { source, at: 0, end: source.tokens.len() as u32, depth: 0 }
    }

    fn all(self) -> &'a [Token] {
        &self.source.tokens[..self.end as usize]
    }

    /// The kind of the next token.
    pub fn peek(self) -> TokenKind {
        self.all()[self.at as usize].kind
    }

    /// The place of the next token.
    pub fn span(self) -> Span {
        self.all()[self.at as usize].span
    }

    /// The text of the next token.
    pub fn word(self) -> &'a str {
        &self.source.text[self.span().range()]
    }

    /// The place of the token before.
    pub fn before(self) -> Span {
        self.all()[self.at.saturating_sub(1) as usize].span
    }

    /// Without the next token.
    pub fn next(self) -> Tokens<'a> {
        Tokens { at: (self.at + 1).min(self.end - 1), ..self }
    }

    /// Whether the token before can only be followed by a part of a `where`.
    pub fn follows_clause_word(self) -> bool {
        self.at > 0
            && matches!(self.all()[self.at as usize - 1].kind, TokenKind::Keyword("where") | TokenKind::Symbol(","))
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

    /// Whether both are at the same token.
    pub fn is_at(self, other: Tokens<'a>) -> bool {
        self.at == other.at
    }

    /// The later of the two, and past `start` in any case, so that skipping always gets on.
    pub fn max_progress(self, start: Tokens<'a>) -> Tokens<'a> {
        if self.at > start.at { self.at_depth_of(start) } else { start.next() }
    }

    /// The words between here and `end`.
    pub fn names_until(self, end: Tokens<'a>) -> impl Iterator<Item = String> + use<'a> {
        let names = self.all()[self.at as usize..end.at as usize].iter().filter(|token| token.kind == TokenKind::Name);
        names.map(move |token| self.source.text[token.span.range()].to_owned())
    }

    /// Reports `diagnostic`.
    pub fn emit(self, diagnostic: Diagnostic) {
        self.source.sink.borrow_mut().push(diagnostic);
    }

    /// How much has been reported.
    pub fn errors(self) -> usize {
        self.source.sink.borrow().len()
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
        (self.end - self.at) as usize
    }

    fn take(&self, index: usize) -> Self {
        Tokens { end: self.at + index as u32, ..*self }
    }

    fn take_from(&self, index: usize) -> Self {
        Tokens { at: self.at + index as u32, ..*self }
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Self::Item) -> bool>(&self, predicate: P) -> Option<usize> {
        self.iter_elements().position(predicate)
    }

    fn iter_elements(&self) -> Self::Iter {
        self.all()[self.at as usize..].iter().copied()
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
    /// Boxed, so that results stay small on the stack.
    why: Box<Why>,
}

#[derive(Clone, Debug)]
enum Why {
    Expected { what: &'static str, opened: Option<Span> },
    Because(Diagnostic),
}

impl<'a> Failure<'a> {
    /// At `at` there should have been `what`.
    pub fn expected(at: Tokens<'a>, what: &'static str) -> Failure<'a> {
        Failure { at, why: Box::new(Why::Expected { what, opened: None }) }
    }

    /// Stopped at `at` with `diagnostic`.
    pub fn because(at: Tokens<'a>, diagnostic: Diagnostic) -> Failure<'a> {
        Failure { at, why: Box::new(Why::Because(diagnostic)) }
    }

    /// Remembers which bracket is open here, unless an inner one is.
    pub fn inside(mut self, bracket: Span) -> Failure<'a> {
        if let Why::Expected { opened, .. } = &mut *self.why {
            opened.get_or_insert(bracket);
        }
        self
    }

    fn diagnostic(&self) -> Diagnostic {
        let (what, opened) = match &*self.why {
            Why::Because(diagnostic) => return diagnostic.clone(),
            Why::Expected { what, opened } => (what, opened),
        };
        let found = match self.at.peek() {
            TokenKind::Name | TokenKind::Number => format!("`{}`", shorten(self.at.word())),
            other => other.to_string(),
        };
        let error = Diagnostic::error("TC0010", format!("expected {what}, found {found}"), self.at.span())
            .help(self.at.meant().unwrap_or_else(|| format!("write {what} here")));
        match opened {
            Some(opened) => error.also(*opened, "opened here"),
            None => error,
        }
    }
}

impl Tokens<'_> {
    fn before_is(self, symbol: &str) -> bool {
        self.at > 0 && matches!(self.all()[self.at as usize - 1].kind, TokenKind::Symbol(text) if text == symbol)
    }

    /// What the writer may have meant by the next token, which is not in its place.
    fn meant(self) -> Option<String> {
        let meant = match self.peek() {
            TokenKind::Name => match self.word() {
                "and" => "`and` is written `&&`",
                "or" => "`or` is written `||`",
                "not" => "`not` is written `!`",
                _ => return None,
            },
            TokenKind::Symbol("[" | "]") => "subscripts are written in round parentheses: `A(i, j)`",
            TokenKind::Symbol(";") => "statements need no separator: remove the `;`",
            TokenKind::Symbol("<") if self.before_is("=") => "`=<` is written `<=`",
            TokenKind::Symbol("=") if self.next().peek() == TokenKind::Symbol("<") => "`=<` is written `<=`",
            TokenKind::Symbol(")") if self.before_is(",") => "remove the `,` before it",
            TokenKind::Keyword("def") => "close the definition before with `}`",
            _ => return None,
        };
        Some(meant.to_owned())
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
        "}" => "an operator, a statement or `}`",
        "," => "`,`",
        ":" => "`:`",
        "=" => "`=` or `in`",
        _ => word,
    }
}

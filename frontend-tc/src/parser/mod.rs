//! Tokens to syntax tree, with nom over the token stream.
//!
//! A statement or a definition that cannot be parsed is reported and skipped, so that one run reports them all. What
//! this version does not have yet but the language does is recognised and said so.

mod expression;
mod later;
mod stream;

use std::collections::BTreeSet;

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use support::Diagnostic;

use self::expression::{arguments, expression};
use self::stream::{Failure, Parsed, Source, Tokens, closing, keyword, name, symbol};
use crate::ast::{Assign, Clause, Def, Dim, ExprKind, File, Name, Param, Reduction, ScalarType, Statement, Type};
use crate::lexer::{self, TokenKind};

/// How deeply expressions may nest.
pub const MAX_DEPTH: u32 = 200;
/// How many elements a list may have.
const MAX_LIST: usize = 1000;
/// After this many errors the rest of a file is not read.
const MAX_ERRORS: usize = 100;

/// The syntax tree of `text`, without the parts that could not be parsed, and what was wrong with those.
pub fn parse(text: &str) -> (File, Vec<Diagnostic>) {
    let (tokens, errors) = lexer::tokens(text);
    let source = Source::new(text, &tokens, errors);
    let file = file(Tokens::new(&source));
    let mut errors = source.into_errors();
    errors.sort_by_key(Diagnostic::span);
    (file, errors)
}

fn file(mut input: Tokens<'_>) -> File {
    let mut file = File::default();
    let mut constants = BTreeSet::new();
    while input.peek() != TokenKind::End && !too_many(input) {
        constants.extend(later::constant(input).map(str::to_owned));
        match def(input) {
            Ok((rest, mut def)) => {
                def.broken.extend(constants.iter().cloned());
                file.defs.push(def);
                input = rest;
            }
            Err(error) => {
                let at = input.report(error);
                input = skip_to_def(at.max_progress(input));
            }
        }
    }
    file
}

/// Whether to stop; says so once.
fn too_many(input: Tokens<'_>) -> bool {
    let stop = input.errors() >= MAX_ERRORS;
    if stop {
        let message = format!("more than {MAX_ERRORS} errors: the rest of the file was not read");
        input.emit(Diagnostic::error("TC0007", message, input.span()).help("correct the first ones and check again"));
    }
    stop
}

fn skip_to_def(mut input: Tokens<'_>) -> Tokens<'_> {
    while !matches!(input.peek(), TokenKind::End | TokenKind::Keyword("def")) {
        input = input.next();
    }
    input
}

fn def(input: Tokens<'_>) -> Parsed<'_, Def> {
    let start = input.span();
    later::file_level(input)?;
    let (input, _) = keyword("def").parse(input)?;
    let (input, (name, inputs)) = cut((name("the name of the definition"), params)).parse(input)?;
    let (input, _) = cut(symbol("->")).parse(input)?;
    let (input, outputs) = cut(returns).parse(input)?;
    let (input, _) = cut(symbol("{")).parse(input)?;
    let (input, (statements, broken)) = statements(input);
    let end = input.span();
    let cut_short = input.peek() == TokenKind::End && !broken.is_empty();
    let input = if cut_short { input } else { cut(symbol("}")).parse(input)?.0 };
    Ok((input, Def { name, inputs, outputs, statements, broken, span: start.to(end) }))
}

/// `-> (C)`; `-> C {` is a common slip and gets a message of its own.
fn returns(input: Tokens<'_>) -> Parsed<'_, Vec<Param>> {
    if input.peek() != TokenKind::Name {
        return params(input);
    }
    let (rest, names) = separated_list1(symbol(","), cut(name("the name of a returned tensor"))).parse(input)?;
    let listed: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
    let error =
        Diagnostic::error("TC0011", "the list of returned tensors needs parentheses", input.span().to(rest.before()))
            .help(format!("write `-> ({})`", listed.join(", ")));
    input.emit(error);
    Ok((rest, names.into_iter().map(|name| Param { ty: None, name }).collect()))
}

fn params(input: Tokens<'_>) -> Parsed<'_, Vec<Param>> {
    delimited(symbol("("), list(param, ")"), closing(")")).parse(input)
}

/// Elements between commas, perhaps none, up to `close`.
fn list<'a, T>(
    element: fn(Tokens<'a>) -> Parsed<'a, T>,
    close: &'static str,
) -> impl FnMut(Tokens<'a>) -> Parsed<'a, Vec<T>> {
    move |input| {
        if input.peek() == TokenKind::Symbol(close) {
            return Ok((input, Vec::new()));
        }
        let (rest, elements) = separated_list1(symbol(","), cut(element)).parse(input)?;
        not_too_long(input, elements.len())?;
        Ok((rest, elements))
    }
}

/// Bounds the length of what stands between commas.
fn not_too_long(start: Tokens<'_>, length: usize) -> Result<(), nom::Err<Failure<'_>>> {
    if length <= MAX_LIST {
        return Ok(());
    }
    let message = format!("a list of {length} elements is longer than the {MAX_LIST} that are accepted");
    let error = Diagnostic::error("TC0015", message, start.span()).help("make it shorter");
    Err(nom::Err::Failure(Failure::because(start, error)))
}

fn param(input: Tokens<'_>) -> Parsed<'_, Param> {
    let (input, ty) = match (input.peek(), input.next().peek()) {
        (TokenKind::Type(scalar), _) => map(|rest| type_of(rest, scalar), Some).parse(input)?,
        (TokenKind::Name, TokenKind::Name | TokenKind::Symbol("(")) => {
            map(|rest| type_of(rest, later::unknown_type(rest)), Some).parse(input)?
        }
        _ => (input, None),
    };
    map(name("the name of a tensor"), |name| Param { ty: ty.clone(), name }).parse(input)
}

fn type_of(input: Tokens<'_>, scalar: ScalarType) -> Parsed<'_, Type> {
    let start = input.span();
    let (input, dims) = opt(delimited(symbol("("), list(dim, ")"), closing(")"))).parse(input.next())?;
    Ok((input, Type { scalar, dims: dims.unwrap_or_default(), span: start.to(input.before()) }))
}

fn dim(input: Tokens<'_>) -> Parsed<'_, Dim> {
    let (rest, dim) = match input.peek() {
        TokenKind::Number => constant_dim(input)?,
        _ => map(name("a size"), Dim::Size).parse(input)?,
    };
    match rest.peek() {
        TokenKind::Symbol("+" | "-" | "*" | "/" | "%") => Err(later::size_expression(input)),
        _ => Ok((rest, dim)),
    }
}

/// The largest size in a type.
const MAX_SIZE: i64 = 1 << 62;

fn constant_dim(input: Tokens<'_>) -> Parsed<'_, Dim> {
    let number = expression::number_at(input);
    match number.whole.and_then(|value| i64::try_from(value).ok()).filter(|value| *value <= MAX_SIZE) {
        Some(value) => Ok((input.next(), Dim::Constant(value, input.span()))),
        None => {
            let error = Diagnostic::error(
                "TC0008",
                format!("`{}` is not a size", expression::abridged(&number.text)),
                input.span(),
            )
            .help("a size is a name or a whole number up to 2^62");
            Err(nom::Err::Failure(Failure::because(input, error)))
        }
    }
}

/// The statements up to the closing brace, and the words of those that could not be parsed.
fn statements(mut input: Tokens<'_>) -> (Tokens<'_>, (Vec<Statement>, BTreeSet<String>)) {
    let (mut good, mut broken) = (Vec::new(), BTreeSet::new());
    while !ends_body(input) && !too_many(input) {
        match statement(input) {
            Ok((rest, statement)) => {
                good.push(statement);
                input = rest;
            }
            Err(error) => {
                let failed = input.report(error);
                // Where no statement begins, the one before ended too early.
                let begins = matches!(input.peek(), TokenKind::Name | TokenKind::Symbol("("));
                let last: Option<Statement> = if begins || !failed.is_at(input) { None } else { good.pop() };
                broken.extend(last.into_iter().flat_map(|last| words(&last)));
                let rest = skip_to_statement(failed.max_progress(input));
                broken.extend(input.names_until(rest));
                input = rest;
            }
        }
    }
    if input.errors() >= MAX_ERRORS {
        while input.peek() != TokenKind::End {
            input = input.next();
        }
    }
    (input, (good, broken))
}

/// The names that a statement writes and reads.
fn words(statement: &Statement) -> Vec<String> {
    let mut words = vec![statement.target.text.clone()];
    let mut open = vec![&statement.value];
    while let Some(expr) = open.pop() {
        if let ExprKind::Name(name) | ExprKind::Call(Name { text: name, .. }, _) = &expr.kind {
            words.push(name.clone());
        }
        open.extend(expr.children());
    }
    words
}

fn ends_body(input: Tokens<'_>) -> bool {
    matches!(input.peek(), TokenKind::End | TokenKind::Symbol("}") | TokenKind::Keyword("def"))
}

/// The next place where a statement can begin, or the end of the body. Blocks in braces are skipped whole.
fn skip_to_statement(mut input: Tokens<'_>) -> Tokens<'_> {
    let mut braces = 0usize;
    loop {
        match input.peek() {
            TokenKind::End | TokenKind::Keyword("def") => return input,
            TokenKind::Symbol("}") if braces == 0 => return input,
            TokenKind::Symbol("}") => braces -= 1,
            TokenKind::Symbol("{") => braces += 1,
            TokenKind::Name if braces == 0 && !input.follows_clause_word() && begins_statement(input) => return input,
            _ => (),
        }
        input = input.next();
    }
}

/// Looks a bounded way ahead for `name = `, `name(…) +=!` and the like.
fn begins_statement(input: Tokens<'_>) -> bool {
    const LOOK_AHEAD: usize = 64;
    let mut input = input.next();
    let mut depth = 0usize;
    for _ in 0..LOOK_AHEAD {
        match input.peek() {
            TokenKind::Symbol("(") => depth += 1,
            TokenKind::Symbol(")") if depth == 0 => return false,
            TokenKind::Symbol(")") => depth -= 1,
            TokenKind::Symbol(symbol) if depth == 0 => return assign_of(symbol).is_some(),
            TokenKind::End => return false,
            _ if depth == 0 => return false,
            _ => (),
        }
        input = input.next();
    }
    false
}

fn statement(input: Tokens<'_>) -> Parsed<'_, Statement> {
    let start = input.span();
    later::statement(input)?;
    let (input, target) = name("an operator, a statement or `}`").parse(input)?;
    let (input, indices) = left_indices(input)?;
    later::assignment(input)?;
    let (input, assign) = assign(input)?;
    let (input, value) = cut(expression).parse(input)?;
    let (input, equivalent) =
        opt(preceded(symbol("<=>"), cut((name("the name of a library call"), arguments)))).parse(input)?;
    let first_clause = input;
    let (input, clauses) = opt(preceded(keyword("where"), separated_list1(symbol(","), cut(clause)))).parse(input)?;
    not_too_long(first_clause, clauses.as_ref().map_or(0, Vec::len))?;
    let span = start.to(input.before());
    let clauses = clauses.unwrap_or_default();
    Ok((input, Statement { target, indices, assign, value, equivalent, clauses, span }))
}

/// The names between the parentheses of the left-hand side; anything else there is reported.
fn left_indices(input: Tokens<'_>) -> Parsed<'_, Vec<Name>> {
    if input.peek() != TokenKind::Symbol("(") {
        return Ok((input, Vec::new()));
    }
    let (rest, subscripts) = arguments(input)?;
    let mut indices = Vec::new();
    for subscript in subscripts {
        match subscript.kind {
            ExprKind::Name(text) => indices.push(Name { text, span: subscript.span }),
            _ => return Err(later::left_subscript(input, subscript.span)),
        }
    }
    Ok((rest, indices))
}

fn assign(input: Tokens<'_>) -> Parsed<'_, Assign> {
    match input.peek() {
        TokenKind::Symbol(text) => match assign_of(text) {
            Some(assign) => Ok((input.next(), assign)),
            None => Err(nom::Err::Error(Failure::expected(input, "an assignment such as `=` or `+=!`"))),
        },
        _ => Err(nom::Err::Error(Failure::expected(input, "an assignment such as `=` or `+=!`"))),
    }
}

fn assign_of(symbol: &str) -> Option<Assign> {
    let init = symbol.ends_with('!');
    let reduction = match symbol.trim_end_matches('!') {
        "=" => return (!init).then_some(Assign { reduction: None, init: false }),
        "+=" => Reduction::Sum,
        "*=" => Reduction::Product,
        "min=" => Reduction::Min,
        "max=" => Reduction::Max,
        _ => return None,
    };
    Some(Assign { reduction: Some(reduction), init })
}

fn clause(input: Tokens<'_>) -> Parsed<'_, Clause> {
    alt((exists, range, binding)).parse(input)
}

fn exists(input: Tokens<'_>) -> Parsed<'_, Clause> {
    preceded(keyword("exists"), map(cut(expression), Clause::Exists)).parse(input)
}

fn range(input: Tokens<'_>) -> Parsed<'_, Clause> {
    let (input, index) = name("an index with its range, a name with its value, or `exists`").parse(input)?;
    let (input, _) = keyword("in").parse(input)?;
    let (input, lower) = cut(expression).parse(input)?;
    later::dots(input, lower.span)?;
    let (input, _) = cut(symbol(":")).parse(input)?;
    map(cut(expression), |upper| Clause::Range { index: index.clone(), lower: lower.clone(), upper }).parse(input)
}

fn binding(input: Tokens<'_>) -> Parsed<'_, Clause> {
    let (input, name) = name("an index with its range, a name with its value, or `exists`").parse(input)?;
    let (input, _) = symbol("=").parse(input)?;
    map(cut(expression), |value| Clause::Let { name: name.clone(), value }).parse(input)
}

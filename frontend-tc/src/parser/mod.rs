//! Tokens to syntax tree, with nom over the token stream.
//!
//! A statement or a definition that cannot be parsed is reported and skipped, so that one run reports them all.

mod expression;
mod slips;
mod stream;

use std::collections::BTreeSet;

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use support::{Diagnostic, Span};

use self::expression::{arguments, expression};
use self::stream::{Failure, Parsed, Source, Tokens, closing, keyword, name, symbol};
use crate::ast::{
    Assign, Call, Clause, Constant, Def, Dim, Expr, ExprKind, File, For, Import, Item, Name, Param, Reduction,
    ScalarType, Statement, Type,
};
use crate::lexer::{self, TokenKind};

/// How deeply expressions may nest.
pub const MAX_DEPTH: u32 = 200;
/// How many elements a list may have.
const MAX_LIST: usize = 1000;
/// After this many errors the rest of a file is not read.
const MAX_ERRORS: usize = 100;

/// The syntax tree of `text`, without the parts that could not be parsed, and what was wrong with those.
pub fn parse(text: &str) -> (File, Vec<Diagnostic>) {
    support::with_deep_stack(|| parse_in(text, Span::new(0, text.len())))
}

/// What the part of `text` at `place` imports.
pub(crate) fn imports(text: &str, place: Span) -> Vec<String> {
    support::with_deep_stack(|| parse_in(text, place).0.imports.into_iter().map(|import| import.path).collect())
}

/// The syntax tree of the part of `text` at `place`, likewise.
pub(crate) fn parse_in(text: &str, place: Span) -> (File, Vec<Diagnostic>) {
    let (tokens, errors) = lexer::tokens_in(text, place);
    let source = Source::new(text, &tokens, errors);
    let file = file(Tokens::new(&source));
    let mut errors = source.into_errors();
    errors.sort_by_key(Diagnostic::span);
    (file, errors)
}

fn file(mut input: Tokens<'_>) -> File {
    let mut file = File::default();
    let mut broken = BTreeSet::new();
    while input.peek() != TokenKind::End && !too_many(input) {
        match top_level(input, &mut file) {
            Ok((rest, ())) => input = rest,
            Err(error) => {
                let at = input.report(error);
                let rest = skip_to_top_level(at.max_progress(input));
                if slips::is_word(input, "let") {
                    broken.extend(input.names_until(rest));
                }
                input = rest;
            }
        }
    }
    for def in &mut file.defs {
        def.broken.extend(broken.iter().cloned());
    }
    file
}

/// A definition, a constant or an import.
fn top_level<'a>(input: Tokens<'a>, file: &mut File) -> Parsed<'a, ()> {
    if slips::is_word(input, "import") {
        let (rest, import) = import(input)?;
        file.imports.push(import);
        return Ok((rest, ()));
    }
    if slips::is_word(input, "let") {
        let (rest, constant) = constant(input)?;
        file.constants.push(constant);
        return Ok((rest, ()));
    }
    let (rest, def) = def(input)?;
    file.defs.push(def);
    Ok((rest, ()))
}

/// `import "other.tc"`
fn import(input: Tokens<'_>) -> Parsed<'_, Import> {
    let path = input.next();
    if path.peek() != TokenKind::Text {
        return Err(nom::Err::Failure(Failure::expected(path, "the name of a file in quotes")));
    }
    let import = Import { path: path.word().trim_matches('"').to_owned(), span: path.span() };
    Ok((path.next(), import))
}

/// `let NAME = expression`
fn constant(input: Tokens<'_>) -> Parsed<'_, Constant> {
    let (input, name) = cut(name("the name of a constant")).parse(input.next())?;
    let (input, _) = cut(symbol("=")).parse(input)?;
    map(cut(expression), |value| Constant { name: name.clone(), value }).parse(input)
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

fn skip_to_top_level(mut input: Tokens<'_>) -> Tokens<'_> {
    let begins = |input: Tokens<'_>| {
        matches!(input.peek(), TokenKind::End | TokenKind::Keyword("def"))
            || slips::is_word(input, "import")
            || slips::is_word(input, "let")
    };
    while !begins(input) {
        input = input.next();
    }
    input
}

fn def(input: Tokens<'_>) -> Parsed<'_, Def> {
    let start = input.span();
    let (input, _) = keyword("def").parse(input)?;
    let (input, (name, inputs)) = cut((name("the name of the definition"), params)).parse(input)?;
    let (input, _) = cut(symbol("->")).parse(input)?;
    let (input, outputs) = cut(returns).parse(input)?;
    let (input, _) = cut(symbol("{")).parse(input)?;
    let mut broken = BTreeSet::new();
    let (input, body) = items(input, &mut broken);
    let end = input.span();
    let cut_short = input.peek() == TokenKind::End && !broken.is_empty();
    let input = if cut_short { input } else { cut(symbol("}")).parse(input)?.0 };
    Ok((input, Def { name, inputs, outputs, body, broken, span: start.to(end) }))
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
            map(|rest| type_of(rest, slips::unknown_type(rest)), Some).parse(input)?
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
    let ends = |rest: Tokens<'_>| matches!(rest.peek(), TokenKind::Symbol("," | ")"));
    match input.peek() {
        TokenKind::Number if ends(input.next()) => constant_dim(input),
        TokenKind::Name if ends(input.next()) => map(name("a size"), Dim::Size).parse(input),
        TokenKind::Name | TokenKind::Number | TokenKind::Symbol("(" | "-") | TokenKind::Keyword("min" | "max") => {
            map(expression, Dim::Computed).parse(input)
        }
        _ => map(name("a size"), Dim::Size).parse(input),
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

/// The items up to the closing brace; the words of those that could not be parsed go into `broken`.
fn items<'a>(mut input: Tokens<'a>, broken: &mut BTreeSet<String>) -> (Tokens<'a>, Vec<Item>) {
    let mut good = Vec::new();
    while !ends_body(input) && !too_many(input) {
        match item(input, broken) {
            Ok((rest, item)) => {
                good.push(item);
                input = rest;
            }
            Err(error) => {
                let failed = input.report(error);
                // Where no statement begins, the one before ended too early.
                let begins = matches!(input.peek(), TokenKind::Name | TokenKind::Symbol("("));
                let last: Option<Item> = if begins || !failed.is_at(input) { None } else { good.pop() };
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
    (input, good)
}

/// A statement, a loop or a call.
fn item<'a>(input: Tokens<'a>, broken: &mut BTreeSet<String>) -> Parsed<'a, Item> {
    if slips::is_word(input, "for") && input.next().peek() == TokenKind::Name {
        return map_item(for_loop(input, broken)?, |nest| Item::For(Box::new(nest)));
    }
    if input.peek() == TokenKind::Symbol("(") {
        return map_item(call(input)?, |call| Item::Call(Box::new(call)));
    }
    map_item(statement(input)?, |statement| Item::Statement(Box::new(statement)))
}

fn map_item<'a, T>((rest, value): (Tokens<'a>, T), item: impl FnOnce(T) -> Item) -> Parsed<'a, Item> {
    Ok((rest, item(value)))
}

/// `for t in lower:upper { … }`
fn for_loop<'a>(input: Tokens<'a>, broken: &mut BTreeSet<String>) -> Parsed<'a, For> {
    let start = input.span();
    let outer = input;
    let (input, index) = name("the index of the loop").parse(input.deeper()?.next())?;
    let (input, _) = cut(keyword("in")).parse(input)?;
    let (input, (lower, upper)) = bounds(input)?;
    let (input, _) = cut(symbol("{")).parse(input)?;
    let (input, body) = items(input, broken);
    let end = input.span();
    // Of loops inside each other that are not closed, the innermost one says so for all.
    let is_said = input.peek() != TokenKind::Symbol("}") && !broken.is_empty();
    let input = if is_said { input } else { cut(symbol("}")).parse(input)?.0 };
    Ok((input.at_depth_of(outer), For { index, lower, upper, body, span: start.to(end) }))
}

/// `(a, b) = f(x, y)`
fn call(input: Tokens<'_>) -> Parsed<'_, Call> {
    let start = input.span();
    let (input, targets) =
        delimited(symbol("("), separated_list1(symbol(","), cut(name("the name of a tensor"))), closing(")"))
            .parse(input)?;
    let (input, _) = cut(symbol("=")).parse(input)?;
    let (input, def) = cut(name("the name of a definition")).parse(input)?;
    let (input, arguments) = cut(arguments).parse(input)?;
    Ok((input, Call { targets, def, arguments, span: start.to(input.before()) }))
}

/// The names that an item writes and reads.
fn words(item: &Item) -> Vec<String> {
    let statement = match item {
        Item::Statement(statement) => statement,
        Item::For(nest) => return nest.body.iter().flat_map(words).collect(),
        Item::Call(call) => return call.targets.iter().map(|target| target.text.clone()).collect(),
        Item::Bound(_) => return Vec::new(),
    };
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
    let (input, target) = name("an operator, a statement or `}`").parse(input)?;
    let (input, subscripts) = match input.peek() {
        TokenKind::Symbol("(") => arguments(input)?,
        _ => (input, Vec::new()),
    };
    let (input, assign) = assign(input)?;
    let (input, value) = cut(expression).parse(input)?;
    let (input, equivalent) =
        opt(preceded(symbol("<=>"), cut((name("the name of a library call"), arguments)))).parse(input)?;
    let first_clause = input;
    let (input, clauses) = opt(preceded(keyword("where"), separated_list1(symbol(","), cut(clause)))).parse(input)?;
    not_too_long(first_clause, clauses.as_ref().map_or(0, Vec::len))?;
    let span = start.to(input.before());
    let clauses = clauses.unwrap_or_default();
    Ok((input, Statement { target, subscripts, assign, value, equivalent, clauses, span }))
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
        "argmin=" => Reduction::ArgMin,
        "argmax=" => Reduction::ArgMax,
        "&&=" => Reduction::All,
        "||=" => Reduction::Any,
        "&=" => Reduction::BitAnd,
        "|=" => Reduction::BitOr,
        "^=" => Reduction::BitXor,
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
    let (input, (lower, upper)) = bounds(input)?;
    Ok((input, Clause::Range { index, lower, upper }))
}

/// `lower:upper`
fn bounds(input: Tokens<'_>) -> Parsed<'_, (Expr, Expr)> {
    let (input, lower) = cut(expression).parse(input)?;
    slips::dots(input, lower.span)?;
    let (input, _) = cut(symbol(":")).parse(input)?;
    map(cut(expression), |upper| (lower.clone(), upper)).parse(input)
}

fn binding(input: Tokens<'_>) -> Parsed<'_, Clause> {
    let (input, name) = name("an index with its range, a name with its value, or `exists`").parse(input)?;
    let (input, _) = symbol("=").parse(input)?;
    map(cut(expression), |value| Clause::Let { name: name.clone(), value }).parse(input)
}

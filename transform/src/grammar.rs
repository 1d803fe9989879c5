//! The text of scripts: lines are told apart here, the words of a line by nom.

use nom::branch::alt;
use nom::bytes::complete::{take_while, take_while1};
use nom::character::complete::{char, digit1, space0};
use nom::combinator::{all_consuming, cut, eof, map, map_opt, not, opt, recognize, verify};
use nom::error::{ErrorKind, ParseError};
use nom::multi::{many0, many1, separated_list0};
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};

use polyhedral::{Axis, DType, Memory};

use crate::define::Call;
use crate::place::closest;
use crate::{COMMANDS, Command, End, LayoutMap, Names, Privatisation, Promotion, ScriptError, Tail};

/// Words that stand between names, and so are none.
pub(crate) const RESERVED: &[&str] =
    &["by", "as", "depth", "at", "of", "transposed", "padded", "widened", "double", "in", "ahead", "dim"];

/// A line of a script by what it is.
pub(crate) enum Line {
    Blank,
    Comment(String),
    Define { name: String, params: Vec<String> },
    Call(Call),
    Command(Command),
}

/// Reads the line `at`, and of `lines` those that belong to it.
pub(crate) fn line<'a>(
    at: usize,
    line: &'a str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Line, ScriptError> {
    let code = without_comment(line);
    match first_word(code) {
        _ if code.trim().is_empty() => Ok(match line.trim().strip_prefix('#') {
            Some(comment) => Line::Comment(comment.strip_prefix(' ').unwrap_or(comment).trim_end().to_string()),
            None => Line::Blank,
        }),
        Some("define") => whole(define, at, code),
        Some("order") if opens_order(code) => Ok(Line::Command(Command::Order { tree: tree_lines(at, lines)? })),
        Some(word) if is_call(code, word) => whole(map(call, Line::Call), at, code),
        _ => whole(map(command, Line::Command), at, code),
    }
}

/// Whether `name` can be the name of a loop or a statement: words of letters, digits and `_`, joined by dots.
pub(crate) fn is_name(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    name.split('.').all(is_word) && !name.starts_with(|first: char| first.is_ascii_digit()) && !RESERVED.contains(&name)
}

/// The word that a line begins with.
pub(crate) fn first_word(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let end = code.find(|c| !is_in_word(c)).unwrap_or(code.len());
    (end > 0).then(|| &code[..end])
}

/// Whether a word can hold the character.
pub(crate) fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// A bracket right after a word that is no command of ours.
fn is_call(code: &str, word: &str) -> bool {
    let rest = code.trim_start().get(word.len()..).unwrap_or_default();
    rest.trim_start().starts_with('(') && COMMANDS.iter().all(|command| command.name != word)
}

/// The line without what follows `#`.
pub(crate) fn without_comment(line: &str) -> &str {
    line.split_once('#').map_or(line, |(code, _)| code).trim_end()
}

fn opens_order(code: &str) -> bool {
    code.trim().strip_prefix("order").is_some_and(|rest| rest.trim() == "{")
}

/// The lines up to the closing brace, without the indentation that they share.
fn tree_lines<'a>(opened_at: usize, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<String, ScriptError> {
    let mut tree: Vec<&str> = Vec::new();
    let mut last = opened_at;
    for (at, line) in lines {
        last = at;
        if line.trim() == "}" {
            return Ok(dedent(&tree));
        }
        tree.push(line.trim_end());
    }
    let expected = format!("a line with `}}`, which closes the `order {{` of line {opened_at}");
    Err(ScriptError { line: last + 1, column: 1, within: Vec::new(), expected, found: "the end of the script".into() })
}

fn dedent(lines: &[&str]) -> String {
    let filled = || lines.iter().filter(|line| !line.is_empty());
    let common = filled().map(|line| line.len() - line.trim_start_matches(' ').len()).min().unwrap_or(0);
    // Blank lines stay, so that the tree's reader counts lines as the script does.
    lines.iter().map(|line| line.get(common..).unwrap_or("")).collect::<Vec<_>>().join("\n").trim_end().to_string()
}

/// What the parser makes of a whole line.
fn whole<'a, T>(
    parser: impl Parser<&'a str, Output = T, Error = Unexpected<'a>>,
    at: usize,
    code: &'a str,
) -> Result<T, ScriptError> {
    match all_consuming(parser).parse(code) {
        Ok((_, read)) => Ok(read),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error.at(at, code)),
        Err(nom::Err::Incomplete(_)) => Err(Unexpected { rest: "", expected: "a whole command" }.at(at, code)),
    }
}

/// What should have stood at the beginning of `rest`.
#[derive(Debug)]
struct Unexpected<'a> {
    rest: &'a str,
    expected: &'static str,
}

impl<'a> ParseError<&'a str> for Unexpected<'a> {
    fn from_error_kind(rest: &'a str, kind: ErrorKind) -> Self {
        let expected = if kind == ErrorKind::Eof { "the end of the line" } else { "" };
        Unexpected { rest, expected }
    }

    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl Unexpected<'_> {
    fn at(&self, line: usize, code: &str) -> ScriptError {
        let rest = self.rest.trim_start();
        let column = code[..code.len() - rest.len()].chars().count() + 1;
        let found = match rest.split_whitespace().next() {
            Some(word) => format!("`{}`", word.chars().take(40).collect::<String>()),
            None => "the end of the line".into(),
        };
        let expected = match self.expected {
            A_COMMAND => a_command(first_word(rest).unwrap_or_default()),
            expected => expected.to_string(),
        };
        ScriptError { line, column, within: Vec::new(), expected, found }
    }
}

const A_COMMAND: &str = "a command";

/// What should stand where `word` is no command: the one that it may be a slip of, or all of them.
fn a_command(word: &str) -> String {
    let names = || COMMANDS.iter().map(|command| command.name);
    match closest(word, names()) {
        Some(name) => format!("{A_COMMAND}, perhaps `{name}`"),
        None => format!("{A_COMMAND} ({})", names().collect::<Vec<_>>().join(", ")),
    }
}

type Read<'a, T> = IResult<&'a str, T, Unexpected<'a>>;

fn command(input: &str) -> Read<'_, Command> {
    let (rest, word) = expect(A_COMMAND, word).parse(input)?;
    match word {
        "order" => cut(expect("`{`, and the tree on the lines after it", nothing)).parse(rest),
        "split" => cut(map(strips, |(member, by, names)| Command::Split { member, by, names })).parse(rest),
        "vectorise" => cut(vectorise).parse(rest),
        "unroll" => cut(map(strips, |(member, by, names)| Command::Unroll { member, by, names })).parse(rest),
        "tile" => cut(tile).parse(rest),
        "reorder" => cut(map(many1(a_loop), |members| Command::Reorder { members })).parse(rest),
        "fuse" => cut(fuse).parse(rest),
        "distribute" => cut(map(a_loop, |member| Command::Distribute { member })).parse(rest),
        "skew" => cut(skew).parse(rest),
        "shift" => cut(shift).parse(rest),
        "reverse" => cut(map(a_loop, |member| Command::Reverse { member })).parse(rest),
        "cut" => cut(cut_at).parse(rest),
        "peel" => cut(peel).parse(rest),
        "separate" => cut(map(many1(a_loop), |members| Command::Separate { members })).parse(rest),
        "collapse" => cut(collapse).parse(rest),
        "bind" => cut(bind).parse(rest),
        "launch" => cut(launch).parse(rest),
        "parallel" => cut(map(a_loop, |member| Command::Parallel { member })).parse(rest),
        "promote" => cut(map(promotion, Command::Promote)).parse(rest),
        "prefetch" => cut(prefetch).parse(rest),
        "layout" => cut(map(layout, Command::Layout)).parse(rest),
        "fold" => cut(fold).parse(rest),
        "stream" => cut(map(tensor, |tensor| Command::Stream { tensor })).parse(rest),
        "inline" => cut(map(tensor, |tensor| Command::Inline { tensor })).parse(rest),
        "compute" => cut(map(tensor_at, |(tensor, member)| Command::ComputeAt { tensor, member })).parse(rest),
        "store" => cut(store).parse(rest),
        "privatise" => cut(map(privatisation, Command::Privatise)).parse(rest),
        "exchange" => cut(exchange).parse(rest),
        "rescale" => cut(rescale).parse(rest),
        "auto" => cut(map(many0(a_statement), |stmts| Command::Auto { stmts })).parse(rest),
        "part" => cut(part).parse(rest),
        _ => Err(nom::Err::Failure(Unexpected { rest: input, expected: A_COMMAND })),
    }
}

/// `LOOP by N [as OUTER INNER]`
fn strips(input: &str) -> Read<'_, (String, u32, Option<Names>)> {
    let names = map(pair(new_name, new_name), |(outer, inner)| Names::of_split(outer, inner));
    (a_loop, preceded(keyword("by", "`by`"), size), opt_after("as", names)).parse(input)
}

/// `LOOP by N [as OUTER INNER] [tail masked | separate | shifted]`
fn vectorise(input: &str) -> Read<'_, Command> {
    let tail = expect("`masked`, `separate` or `shifted`", map_opt(word, Tail::parse));
    let (rest, ((member, by, names), tail)) = (strips, opt_after("tail", tail)).parse(input)?;
    Ok((rest, Command::Vectorise { member, by, names, tail: tail.unwrap_or_default() }))
}

/// `LOOP+ by N+ [as OUTER+ / INNER+]`, or `LOOP+ by SIZE+ [as OUTER+]`
fn tile(input: &str) -> Read<'_, Command> {
    let (rest, (members, _)) = (many1(a_loop), keyword("by", "another loop, or `by`")).parse(input)?;
    if rest.trim_start().starts_with(|first: char| first.is_ascii_alphabetic()) {
        let (rest, (by, names)) = (many1(name), opt_after("as", many1(new_name))).parse(rest)?;
        return Ok((rest, Command::TileBy { members, by, names }));
    }
    let slash = expect("another name, or `/`", preceded(space0, char('/')));
    let names = map((many1(new_name), slash, many1(new_name)), |(outer, _, inner)| Names { outer, inner });
    let (rest, (by, names)) = (many1(size), opt_after("as", names)).parse(rest)?;
    Ok((rest, Command::Tile { members, by, names }))
}

/// `NEST NEST [depth N] [shift S+]`
fn fuse(input: &str) -> Read<'_, Command> {
    let (depth, shift) = (opt_after("depth", size), opt_after("shift", many1(number)));
    let (rest, (first, second, depth, shift)) = (statement, statement, depth, shift).parse(input)?;
    Ok((rest, Command::Fuse { first, second, depth, shift }))
}

/// `LOOP by S of LOOP [as NAME]`
fn skew(input: &str) -> Read<'_, Command> {
    let of = preceded(keyword("of", "`of`"), a_loop);
    let (rest, (member, by, of, name)) =
        (a_loop, preceded(keyword("by", "`by`"), number), of, opt_after("as", new_name)).parse(input)?;
    Ok((rest, Command::Skew { member, by, of, name }))
}

/// `LOOP by S [for STATEMENT+]`
fn shift(input: &str) -> Read<'_, Command> {
    let stmts = opt_after("for", many1(statement));
    let (rest, (member, by, stmts)) = (a_loop, preceded(keyword("by", "`by`"), number), stmts).parse(input)?;
    Ok((rest, Command::Shift { member, by, stmts: stmts.unwrap_or_default() }))
}

/// `LOOP at EXPR [as A B]`
fn cut_at(input: &str) -> Read<'_, Command> {
    let (rest, (member, at, names)) =
        (a_loop, preceded(keyword("at", "`at`"), expression), opt_after("as", two_names)).parse(input)?;
    Ok((rest, Command::Cut { member, at, names }))
}

/// `LOOP (first | last) N [as A B]`
fn peel(input: &str) -> Read<'_, Command> {
    let end = alt((map(keyword("first", ""), |_| End::First), map(keyword("last", ""), |_| End::Last)));
    let end = expect("`first` or `last`", end);
    let (rest, (member, end, count, names)) = (a_loop, end, size, opt_after("as", two_names)).parse(input)?;
    Ok((rest, Command::Peel { member, end, count, names }))
}

/// `LOOP+ to AXIS [atomically]`
fn bind(input: &str) -> Read<'_, Command> {
    let axis = expect("an axis of a target (rank, cluster, block.x, …)", map_opt(word, Axis::parse));
    // A loop may be called `to`, too: what is followed by an axis at the end is none.
    let axis_follows = (keyword("to", ""), opt(word), opt(keyword("atomically", "")), space0, eof);
    let to = preceded(keyword("to", "another loop, or `to`"), axis);
    let (rest, (first, others, axis, atomically)) =
        (a_loop, many0(preceded(not(axis_follows), a_loop)), to, opt(keyword("atomically", ""))).parse(input)?;
    let members = std::iter::once(first).chain(others).collect();
    Ok((rest, Command::Bind { members, axis, atomically: atomically.is_some() }))
}

/// `LOOP LOOP [as NAME]`
fn collapse(input: &str) -> Read<'_, Command> {
    let (rest, (outer, inner, name)) = (a_loop, a_loop, opt_after("as", new_name)).parse(input)?;
    Ok((rest, Command::Collapse { members: [outer, inner], name }))
}

/// `LOOP with N+ threads`
fn launch(input: &str) -> Read<'_, Command> {
    let threads = delimited(keyword("with", "`with`"), many1(size), keyword("threads", "`threads`"));
    let (rest, (member, threads)) = (a_loop, threads).parse(input)?;
    Ok((rest, Command::Launch { member, threads }))
}

/// The text of an expression, up to the word `as` or the end of the line; read when it is known what its names mean.
fn expression(input: &str) -> Read<'_, String> {
    let end = input.find(" as ").unwrap_or(input.len());
    let words: Vec<&str> = input[..end].split_whitespace().collect();
    let is_char = |c: char| c.is_ascii_alphanumeric() || "_.,+-*/() ".contains(c);
    let text = words.join(" ");
    if text.is_empty() || !text.chars().all(is_char) {
        return Err(nom::Err::Error(Unexpected { rest: input, expected: "an expression" }));
    }
    Ok((&input[end..], text))
}

fn two_names(input: &str) -> Read<'_, (String, String)> {
    pair(new_name, new_name).parse(input)
}

/// `TENSOR [at LOOP] [as NAME] [of STATEMENT+] [transposed N+] [padded N] [widened TYPE] [double] [in MEMORY]`
fn promotion(input: &str) -> Read<'_, Promotion> {
    let (rest, (tensor, member, new, of)) =
        (tensor, opt_after("at", a_loop), opt_after("as", new_name), opt_after("of", many1(statement))).parse(input)?;
    let memory = expect("`stack`, `global`, `shared` or `registers`", map_opt(word, Memory::parse));
    let wide = expect("a type", map_opt(word, DType::parse));
    let (rest, (transposed, padded, widened, double, memory)) = (
        opt_after("transposed", many1(position)),
        opt_after("padded", size),
        opt_after("widened", wide),
        opt(keyword("double", "")),
        opt_after("in", memory),
    )
        .parse(rest)?;
    let (of, transposed, padded) = (of.unwrap_or_default(), transposed.unwrap_or_default(), padded.unwrap_or(0));
    Ok((
        rest,
        Promotion { tensor, member, name: new, of, transposed, padded, widened, double: double.is_some(), memory },
    ))
}

/// `TENSOR at LOOP [ahead N]`
fn prefetch(input: &str) -> Read<'_, Command> {
    let (rest, (tensor, member, ahead)) =
        (tensor, preceded(keyword("at", "`at`"), a_loop), opt_after("ahead", size)).parse(input)?;
    Ok((rest, Command::Prefetch { tensor, member, ahead }))
}

/// `TENSOR [NAME, …] = [CELL, …] of [EXTENT, …]`
fn layout(input: &str) -> Read<'_, LayoutMap> {
    let equals = expect("`=`", preceded(space0, char('=')));
    let (rest, (tensor, dims, _, cell, _, extent)) =
        (tensor, bracketed, equals, bracketed, keyword("of", "`of`"), bracketed).parse(input)?;
    Ok((rest, LayoutMap { tensor, dims, cell, extent }))
}

/// Texts between brackets, separated by commas that are in no parentheses.
fn bracketed(input: &str) -> Read<'_, Vec<String>> {
    let inside = delimited(preceded(space0, char('[')), take_while(|c| c != '[' && c != ']'), char(']'));
    map(expect("`[`, texts with commas between them, and `]`", inside), texts).parse(input)
}

fn texts(inside: &str) -> Vec<String> {
    let mut depth = 0i32;
    let separates = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    };
    let texts: Vec<String> = inside.split(separates).map(|text| text.trim().to_string()).collect();
    if texts == [""] { Vec::new() } else { texts }
}

/// `TENSOR dim D by N`
fn fold(input: &str) -> Read<'_, Command> {
    let dim = preceded(keyword("dim", "`dim`"), position);
    let (rest, (tensor, dim, by)) = (tensor, dim, preceded(keyword("by", "`by`"), size)).parse(input)?;
    Ok((rest, Command::Fold { tensor, dim, by }))
}

/// `TENSOR at LOOP`
fn tensor_at(input: &str) -> Read<'_, (String, String)> {
    (tensor, preceded(keyword("at", "`at`"), a_loop)).parse(input)
}

/// `TENSOR at LOOP [in MEMORY]`
fn store(input: &str) -> Read<'_, Command> {
    let (rest, ((tensor, member), memory)) = (tensor_at, in_memory).parse(input)?;
    Ok((rest, Command::StoreAt { tensor, member, memory }))
}

/// `TENSOR+ by TENSOR at LOOP`
fn rescale(input: &str) -> Read<'_, Command> {
    let (rest, (sums, (max, member))) =
        (many1(tensor), preceded(keyword("by", "another tensor, or `by`"), tensor_at)).parse(input)?;
    Ok((rest, Command::Rescale { sums, max, member }))
}

/// `TENSOR at LOOP [by N] [as NAME] [in MEMORY]`
fn privatisation(input: &str) -> Read<'_, Privatisation> {
    let (rest, ((tensor, member), by, name, memory)) =
        (tensor_at, opt_after("by", size), opt_after("as", new_name), in_memory).parse(input)?;
    Ok((rest, Privatisation { tensor, member, by, name, memory }))
}

/// `TENSOR [as NAME]`
fn exchange(input: &str) -> Read<'_, Command> {
    let (rest, (tensor, name)) = (tensor, opt_after("as", new_name)).parse(input)?;
    Ok((rest, Command::Exchange { tensor, name }))
}

/// `STATEMENT [like STATEMENT]`
fn part(input: &str) -> Read<'_, Command> {
    let (rest, (stmt, like)) = (statement, opt_after("like", statement)).parse(input)?;
    Ok((rest, Command::Part { stmt, like }))
}

/// `[in MEMORY]`
fn in_memory(input: &str) -> Read<'_, Option<Memory>> {
    opt_after("in", expect("`stack`, `global`, `shared` or `registers`", map_opt(word, Memory::parse))).parse(input)
}

fn tensor(input: &str) -> Read<'_, String> {
    expect("a tensor", name).parse(input)
}

fn statement(input: &str) -> Read<'_, String> {
    expect("a statement", name).parse(input)
}

/// The number of a dimension, from 0.
fn position(input: &str) -> Read<'_, u32> {
    expect("the number of a dimension", map_opt(preceded(space0, digit1), |digits: &str| digits.parse().ok()))
        .parse(input)
}

/// `define NAME(PARAMETER, …) {`
fn define(input: &str) -> Read<'_, Line> {
    let is_free = |name: &String| !name.contains('.') && COMMANDS.iter().all(|command| command.name != name);
    let name = expect("a name without dots that is no command", verify(name, is_free));
    let open = expect("`{`, and the commands on the lines after it", preceded(space0, char('{')));
    let is_parameter = |word: &&str| is_name(word) && !word.contains('.');
    let param = expect("a parameter", map(verify(word, is_parameter), str::to_string));
    let (rest, (_, name, params, _)) = (word, name, cut(in_brackets(param)), open).parse(input)?;
    match (1..params.len()).find(|&at| params[..at].contains(&params[at])) {
        Some(_) => Err(nom::Err::Failure(Unexpected { rest: input, expected: "a name for each parameter" })),
        None => Ok((rest, Line::Define { name, params })),
    }
}

/// `NAME(ARGUMENT, …)`
fn call(input: &str) -> Read<'_, Call> {
    let name = expect("the name of a definition", name);
    let is_in_argument = |c: char| is_in_word(c) || "+-*/ ".contains(c);
    let argument = verify(map(take_while1(is_in_argument), str::trim), |argument: &str| !argument.is_empty());
    let argument = expect("a name, a size or an expression", map(argument, str::to_string));
    let (rest, (name, args)) = (name, cut(in_brackets(argument))).parse(input)?;
    Ok((rest, Call { name, args }))
}

/// `(ONE, …)`
fn in_brackets<'a>(
    one: impl Parser<&'a str, Output = String, Error = Unexpected<'a>>,
) -> impl Parser<&'a str, Output = Vec<String>, Error = Unexpected<'a>> {
    let all = separated_list0(preceded(space0, char(',')), one);
    let open = expect("`(`", preceded(space0, char('(')));
    delimited(open, all, expect("`,` or `)`", preceded(space0, char(')'))))
}

fn a_statement(input: &str) -> Read<'_, String> {
    expect("a statement", name).parse(input)
}

fn a_loop(input: &str) -> Read<'_, String> {
    expect("a loop", name).parse(input)
}

fn new_name(input: &str) -> Read<'_, String> {
    expect("a new name", name).parse(input)
}

fn name(input: &str) -> Read<'_, String> {
    map(verify(word, is_name), str::to_string).parse(input)
}

fn size(input: &str) -> Read<'_, u32> {
    let at_least_one = |digits: &str| digits.parse().ok().filter(|&size: &u32| size >= 1);
    expect("a size from 1 to 4294967295", map_opt(preceded(space0, digit1), at_least_one)).parse(input)
}

/// A number with a sign or without.
fn number(input: &str) -> Read<'_, i32> {
    let digits = recognize(pair(opt(char('-')), digit1));
    let parser = map_opt(preceded(space0, digits), |digits: &str| digits.parse().ok());
    expect("a number from -2147483648 to 2147483647", parser).parse(input)
}

fn word(input: &str) -> Read<'_, &str> {
    preceded(space0, take_while1(is_in_word)).parse(input)
}

fn nothing(input: &str) -> Read<'_, Command> {
    Err(nom::Err::Error(Unexpected { rest: input, expected: "" }))
}

fn keyword<'a>(
    text: &'static str,
    expected: &'static str,
) -> impl Parser<&'a str, Output = &'a str, Error = Unexpected<'a>> {
    expect(expected, verify(word, move |word: &str| word == text))
}

/// Nothing, or the keyword and then `parser` for sure.
fn opt_after<'a, T>(
    text: &'static str,
    parser: impl Parser<&'a str, Output = T, Error = Unexpected<'a>>,
) -> impl Parser<&'a str, Output = Option<T>, Error = Unexpected<'a>> {
    opt(preceded(keyword(text, ""), cut(parser)))
}

fn expect<'a, T>(
    expected: &'static str,
    mut parser: impl Parser<&'a str, Output = T, Error = Unexpected<'a>>,
) -> impl Parser<&'a str, Output = T, Error = Unexpected<'a>> {
    move |input: &'a str| {
        parser.parse(input).map_err(|error| match error {
            nom::Err::Failure(error) => nom::Err::Failure(error),
            _ => nom::Err::Error(Unexpected { rest: input, expected }),
        })
    }
}

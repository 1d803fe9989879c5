//! Commands that scripts define, and the reading of whole scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::grammar::{self, Line};
use crate::place::{closest, prefix};
use crate::script::Step;
use crate::{COMMANDS, Script, ScriptError, Use};

/// Words that stand between the parts of a command.
const KEYWORDS: &[&str] = &[
    "by",
    "as",
    "depth",
    "of",
    "for",
    "at",
    "to",
    "shift",
    "dim",
    "in",
    "transposed",
    "padded",
    "widened",
    "double",
    "tail",
    "ahead",
    "first",
    "last",
    "like",
];

/// The most commands that the definitions of one script may stand for.
const MAX_COMMANDS: usize = 10_000;

/// How deep definitions may use each other.
const MAX_DEPTH: usize = 32;

/// Commands whose new name is that of a tensor, and stands by itself; the others name loops.
const NAME_TENSORS: &[&str] = &["promote", "privatise", "exchange"];

/// A command made of commands.
///
/// ```text
/// define NAME(PARAMETER, …) {
///     COMMAND                      one a line; definitions above this one may be used too
/// }
/// NAME(ARGUMENT, …)                the use; arguments are names of loops, statements, tensors, sizes, expressions
/// ```
///
/// In the body, every word that is a parameter, or that is one up to its first dot, stands for the argument: with `C.update`
/// for `S`, `S.m` is `C.update.m`. A name after `as` belongs to the use: it is put beside the loop that it comes from
/// (`mo` beside `C.update.m` is `C.update.mo`), gets a number when a use before has taken it (`C.update.mo2`), and may be
/// used in the rest of the body. When it is a parameter, the argument is the name, and has no number.
///
/// A script that was read holds the commands themselves, under a comment that names the use.
///
/// ```
/// use transform::Script;
///
/// let script: Script = "
///     define strips(S, n) {
///         split S.k by n as ko ki
///         reorder ko S.m
///     }
///     strips(C.update, 256)
/// ".parse().unwrap();
/// assert_eq!(script.to_string(), "\
///     ## strips(C.update, 256): 2 commands\n\
///     split C.update.k by 256 as C.update.ko C.update.ki\n\
///     reorder C.update.ko C.update.m\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    name: String,
    params: Vec<String>,
    body: Vec<(usize, String)>,
}

/// The definitions of a script, to be used by name from a program.
///
/// ```
/// use polyhedral::{isl, testing};
/// use transform::{Definitions, Session};
///
/// # let target = support::Target::from_toml("name = 't'\ntriple = ''\ncpu = ''\nthreads = 1\nvector_bytes = 64\n\
/// #     vector_registers = 32\nfma_per_cycle = 2\nfma_latency = 4\ncaches = []").unwrap();
/// let library: Definitions = "
///     define matmul_tile(S, m, n, k) {
///         tile S.m S.n S.k by m n k as mo no ko / mi ni ki
///         parallel mo
///     }
/// ".parse().unwrap();
///
/// let mut session = Session::new(testing::matmul(&isl::Ctx::new()), &target)?;
/// session.replay(&library.expand("matmul_tile", ["C.update", "96", "512", "256"]).unwrap())?;
/// assert_eq!(session.script().to_string(), "\
///     ## matmul_tile(C.update, 96, 512, 256): 2 commands\n\
///     tile C.update.m C.update.n C.update.k by 96 512 256 as mo no ko / mi ni ki\n\
///     parallel C.update.mo\n");
/// # Ok::<(), transform::Refused>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions(BTreeMap<String, Definition>);

impl Definition {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its parameters.
    pub fn params(&self) -> &[String] {
        &self.params
    }
}

impl Definitions {
    /// The definition with that name.
    pub fn get(&self, name: &str) -> Option<&Definition> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.0.values()
    }

    /// The commands that `name(args)` stands for.
    ///
    /// # Errors
    /// When there is no such definition, it takes other arguments, or a line of it is no command with these.
    pub fn expand<S: ToString>(&self, name: &str, args: impl IntoIterator<Item = S>) -> Result<Script, ScriptError> {
        let args = args.into_iter().map(|arg| arg.to_string()).collect();
        let mut expansion = Expansion { definitions: self, taken: &mut BTreeSet::new(), steps: Vec::new() };
        expansion.call(&Call { name: name.to_string(), args }, None, &[])?;
        let mut script = Script::new();
        expansion.steps.into_iter().for_each(|step| script.push_step(step));
        Ok(script)
    }
}

/// The definitions of a script; commands in it are read and left alone.
impl FromStr for Definitions {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Definitions, ScriptError> {
        read(text).map(|(_, definitions)| definitions)
    }
}

/// `NAME(ARGUMENT, …)`
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.name, self.args.join(", "))
    }
}

/// Reads a whole script.
pub(crate) fn read(text: &str) -> Result<(Script, Definitions), ScriptError> {
    let (mut script, mut definitions, mut taken) = (Script::new(), Definitions::default(), BTreeSet::new());
    let mut notes: Vec<String> = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((at, line)) = lines.next() {
        let mut steps = match grammar::line(at, line, &mut lines)? {
            Line::Blank => continue,
            Line::Comment(note) => {
                notes.push(note);
                continue;
            }
            Line::Define { name, params } => {
                let body = body(at, &name, &definitions, &mut lines)?;
                definitions.add(at, Definition { name, params, body })?;
                notes.clear();
                continue;
            }
            Line::Call(call) => {
                let mut expansion = Expansion { definitions: &definitions, taken: &mut taken, steps: Vec::new() };
                expansion.call(&call, Some(at), &[])?;
                expansion.steps
            }
            Line::Command(command) => vec![Step { command, line: at, within: Vec::new(), notes: Vec::new() }],
        };
        if let Some(first) = steps.first_mut() {
            first.notes.splice(0..0, notes.drain(..));
        }
        steps.into_iter().for_each(|step| script.push_step(step));
    }
    Ok((script, definitions))
}

/// The lines of a definition up to its closing brace, each a command or a use of a definition above.
fn body<'a>(
    opened_at: usize,
    own: &str,
    known: &Definitions,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Vec<(usize, String)>, ScriptError> {
    let mut body = Vec::new();
    let mut last = opened_at;
    for (at, line) in lines {
        last = at;
        let code = grammar::without_comment(line).trim();
        match grammar::first_word(code) {
            _ if code == "}" => return Ok(body),
            _ if code.is_empty() => continue,
            Some("define") => return Err(error(at, "a command: definitions stand by themselves", "define")),
            Some("order") => return Err(error(at, "a command with parameters: a tree is of one program", "order")),
            Some(word) if COMMANDS.iter().any(|command| command.name == word) || known.get(word).is_some() => {
                body.push((at, code.to_string()));
            }
            Some(word) if word == own => {
                return Err(error(at, "a definition above this one: none can use itself", word));
            }
            word => return Err(error(at, &known.expected(word), word.unwrap_or(code))),
        }
    }
    let expected = format!("a line with `}}`, which closes the `define` of line {opened_at}");
    Err(ScriptError { line: last + 1, column: 1, within: Vec::new(), expected, found: "the end of the script".into() })
}

fn error(line: usize, expected: &str, found: &str) -> ScriptError {
    let found = format!("`{}`", found.chars().take(40).collect::<String>());
    ScriptError { line, column: 1, within: Vec::new(), expected: expected.to_string(), found }
}

impl Definitions {
    fn add(&mut self, at: usize, definition: Definition) -> Result<(), ScriptError> {
        let name = definition.name.clone();
        if self.0.insert(name.clone(), definition).is_some() {
            return Err(error(at, "a name that is not defined yet", &name));
        }
        Ok(())
    }

    /// What could stand where `word` is neither a command nor defined: what it may be a slip of, or all that is defined.
    fn expected(&self, word: Option<&str>) -> String {
        let names = || self.0.keys().map(String::as_str);
        let commands = COMMANDS.iter().map(|command| command.name);
        match closest(word.unwrap_or_default(), names().chain(commands)) {
            Some(name) => format!("a command or a definition above, perhaps `{name}`"),
            None if self.0.is_empty() => "a command (nothing is defined above)".into(),
            None => format!("a command, or what is defined above ({})", names().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Puts commands in the place of uses.
struct Expansion<'a> {
    definitions: &'a Definitions,
    /// The names that uses have given.
    taken: &'a mut BTreeSet<String>,
    steps: Vec<Step>,
}

/// What the words of a body stand for.
struct Words<'a> {
    definition: &'a Definition,
    /// By parameter, and by name after `as`.
    meaning: BTreeMap<String, String>,
}

impl Expansion<'_> {
    /// Adds the steps of a use; gives what the parameters that name new loops stand for.
    fn call(
        &mut self,
        call: &Call,
        line: Option<usize>,
        within: &[Use],
    ) -> Result<BTreeMap<String, String>, ScriptError> {
        let at = line.unwrap_or(1);
        let wrong = |expected: String, found: String| {
            Err(ScriptError { line: at, column: 1, within: within.to_vec(), expected, found })
        };
        let Some(definition) = self.definitions.get(&call.name) else {
            return wrong(self.definitions.expected(Some(&call.name)), format!("`{}`", call.name));
        };
        if definition.params.len() != call.args.len() {
            let (params, given) = (&definition.params, call.args.len());
            return wrong(format!("{} arguments ({})", params.len(), params.join(", ")), given.to_string());
        }
        if within.len() >= MAX_DEPTH {
            return wrong(format!("definitions that use each other at most {MAX_DEPTH} deep"), format!("`{call}`"));
        }
        let within: Vec<Use> = within.iter().cloned().chain([Use { text: call.to_string(), line }]).collect();
        let meaning = definition.params.iter().cloned().zip(call.args.iter().cloned()).collect();
        let mut words = Words { definition, meaning };
        let first = self.steps.len();
        for (at, code) in &definition.body {
            self.body_line(*at, code, &mut words, &within)?;
        }
        let count = self.steps.len() - first;
        if let Some(step) = self.steps.get_mut(first) {
            let commands = if count == 1 { "command" } else { "commands" };
            step.notes.insert(0, format!("{call}: {count} {commands}"));
        }
        Ok(words.meaning)
    }

    fn body_line(&mut self, at: usize, code: &str, words: &mut Words<'_>, within: &[Use]) -> Result<(), ScriptError> {
        let inside = |error: ScriptError| ScriptError { within: within.to_vec(), ..error };
        if self.steps.len() >= MAX_COMMANDS {
            let (expected, found) = (format!("at most {MAX_COMMANDS} commands in all"), "another one".into());
            return Err(inside(ScriptError { line: at, column: 1, within: Vec::new(), expected, found }));
        }
        let text = words.put_into(code, self.taken);
        match grammar::line(at, &text, &mut std::iter::empty()).map_err(inside)? {
            Line::Command(command) => {
                self.steps.push(Step { command, line: at, within: within.to_vec(), notes: Vec::new() });
            }
            Line::Call(call) => {
                let inner = self.call(&call, Some(at), within)?;
                words.learn(&call, self.definitions.get(&call.name), &inner);
            }
            Line::Blank | Line::Comment(_) | Line::Define { .. } => {}
        }
        Ok(())
    }
}

impl Words<'_> {
    /// The line with the arguments in it, and with names for what stands after `as`.
    fn put_into(&mut self, code: &str, taken: &mut BTreeSet<String>) -> String {
        let command = grammar::first_word(code).unwrap_or_default();
        let mut out = String::new();
        let (mut loops, mut new) = (Loops::default(), None);
        for (at, piece) in pieces(code).into_iter().enumerate() {
            let is_word = piece.starts_with(grammar::is_in_word);
            match new {
                _ if !is_word => {
                    out.push_str(piece);
                    new = new.map(|at| if piece.contains('/') { 0 } else { at });
                }
                _ if at == 0 => out.push_str(piece),
                _ if KEYWORDS.contains(&piece) => {
                    out.push_str(piece);
                    new = (piece == "as").then_some(0);
                    loops.done = true;
                }
                Some(place) => {
                    let beside = if NAME_TENSORS.contains(&command) { "" } else { prefix(loops.at(place)) };
                    out.push_str(&self.name(piece, beside, taken));
                    new = Some(place + 1);
                }
                None => {
                    let word = self.replaced(piece);
                    loops.see(&word);
                    out.push_str(&word);
                }
            }
        }
        out
    }

    fn replaced(&self, word: &str) -> String {
        let (first, rest) = word.split_at(word.find('.').unwrap_or(word.len()));
        self.meaning.get(first).map_or_else(|| word.to_string(), |meaning| format!("{meaning}{rest}"))
    }

    /// The full name for a word after `as`; the body may use it from now on.
    fn name(&mut self, word: &str, beside: &str, taken: &mut BTreeSet<String>) -> String {
        let given = self.replaced(word);
        if word.contains('.') || given.contains('.') || !grammar::is_name(&given) {
            return given;
        }
        let full = format!("{beside}{given}");
        let is_parameter = self.definition.params.iter().any(|param| param == word);
        let full = if is_parameter { full } else { fresh(full, taken) };
        taken.insert(full.clone());
        self.meaning.insert(word.to_string(), full.clone());
        full
    }

    /// Takes over the names that an inner use has made of words that were handed to it.
    fn learn(&mut self, call: &Call, inner: Option<&Definition>, meaning: &BTreeMap<String, String>) {
        let Some(inner) = inner else { return };
        for (param, arg) in inner.params.iter().zip(&call.args) {
            if let Some(full) = meaning.get(param).filter(|full| *full != arg) {
                self.meaning.insert(arg.clone(), full.clone());
            }
        }
    }
}

/// The loops that a command begins with: those before the first word like `by`.
#[derive(Default)]
struct Loops {
    names: Vec<String>,
    done: bool,
}

impl Loops {
    fn see(&mut self, name: &str) {
        if !self.done {
            self.names.push(name.to_string());
        }
    }

    /// The loop that the new name at this place comes from: the tile's own one, or the only one.
    fn at(&self, place: usize) -> &str {
        self.names.get(place).or(self.names.first()).map_or("", String::as_str)
    }
}

/// Words, and what stands between them.
fn pieces(code: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_word = grammar::is_in_word(first);
        let end = rest.find(|c| grammar::is_in_word(c) != is_word).unwrap_or(rest.len());
        all.push(&rest[..end]);
        rest = &rest[end..];
    }
    all
}

/// `name`, or with the first number that makes it new.
fn fresh(name: String, taken: &BTreeSet<String>) -> String {
    let numbered = (2u64..).map(|number| format!("{name}{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    candidates.find(|candidate| !taken.contains(candidate)).expect("finitely many names are taken")
}

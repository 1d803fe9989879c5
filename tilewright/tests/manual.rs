//! The examples of `docs/scheduling.md` run: what the manual shows is what comes out, every accepted script computes what
//! the evaluator does in the interpreter and in machine code, and every command has a section with an example.
//!
//! ```text
//! ```tc M=8 N=8        a program and its sizes; `scop` for a program in that notation
//! ```sched T=4         a script on it, from the beginning, and the sizes of tiles that it leaves open
//! ```loops             the loops after it        (`tree`: the schedule tree, `record`: the script as it is recorded,
//! ```refusal           why it was refused         `program`: the statements and tensors)
//! ```
//!
//! `UPDATE_EXPECT=1` writes what comes out into the manual.

#[path = "random_scops/engines.rs"]
mod engines;
#[path = "manual/vocabulary.rs"]
mod vocabulary;

use std::collections::BTreeMap;
use std::fmt::Write;

use engines::{Machine, Oracle};
use expect_test::expect_file;
use polyhedral::{Scop, isl};
use scheduler::Cpu;
use support::Target;
use transform::{COMMANDS, Refused, Script, Session};

fn manual() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scheduling.md");
    std::fs::read_to_string(path).expect("the manual is in the repository")
}

/// Elements that the evaluator is asked for at most.
const LARGEST: u64 = 2_000_000;

/// The last example so far.
#[derive(Default)]
struct Example {
    program: Option<Scop>,
    outcome: Option<Result<Session, Refused>>,
    /// The names of the commands that were accepted, and of those that were refused.
    accepted: Vec<String>,
    refused: Vec<String>,
}

#[test]
fn the_examples_run() {
    let (mut example, mut out, mut wrong) = (Example::default(), String::new(), Vec::new());
    let manual = manual();
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        writeln!(out, "{line}").expect("a string takes text");
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let body: String = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
        let (kind, sizes) = info.split_once(' ').unwrap_or((info, ""));
        let shown = example.block(kind, sizes, &body).unwrap_or_else(|error| {
            wrong.push(format!("{error}\nin the block\n{body}"));
            body
        });
        writeln!(out, "{shown}```").expect("a string takes text");
    }
    expect_file!["../../docs/scheduling.md"].assert_eq(&with_table(&out));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unshown = |shown: &[String]| -> Vec<&str> {
        COMMANDS.iter().map(|command| command.name).filter(|name| !shown.iter().any(|one| one == name)).collect()
    };
    // Sessions are of one part: `tests/parts.rs` has programs of several.
    assert_eq!(unshown(&example.accepted), ["part"], "commands without an example");
    assert_eq!(unshown(&example.refused), ["auto", "part"], "commands without a refusal");
}

#[test]
fn every_command_has_a_section() {
    let manual = manual();
    let headings: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    for command in COMMANDS {
        let named = |heading: &&str| heading.split('`').skip(1).step_by(2).any(|name| name == command.name);
        assert_eq!(headings.iter().filter(|heading| named(heading)).count(), 1, "a section for `{}`", command.name);
    }
}

/// The table of commands between its marks, as the library lists them.
fn with_table(manual: &str) -> String {
    let (from, to) = ("<!-- commands -->\n", "<!-- end of commands -->\n");
    let (before, rest) = manual.split_once(from).expect("the mark before the table");
    let (_, after) = rest.split_once(to).expect("the mark after the table");
    let escaped = |text: &str| text.replace('|', "\\|");
    let rows: String = COMMANDS
        .iter()
        .map(|command| format!("| [`{}`](#{}) | {} |\n", escaped(command.form), command.name, command.summary))
        .collect();
    format!("{before}{from}| command | what it does |\n|---|---|\n{rows}{to}{after}")
}

impl Example {
    /// What the block should hold.
    fn block(&mut self, kind: &str, sizes: &str, body: &str) -> Result<String, String> {
        match kind {
            "tc" | "scop" => {
                let scop = program(kind, sizes, body)?;
                let session = Session::new(scop.clone(), &target()).map_err(|refused| refused.to_string())?;
                (self.program, self.outcome) = (Some(scop), Some(Ok(session)));
            }
            "sched" => self.script(sizes, body)?,
            "loops" => return loops(self.session()?),
            "tree" => {
                let scop = self.session()?.scop();
                return polyhedral::text::print_tree(scop, &scop.tree).map_err(|error| error.to_string());
            }
            "record" => return Ok(self.session()?.script().to_string()),
            "program" => return Ok(statements(self.session()?.scop())),
            "refusal" => return self.refusal(),
            _ => {}
        }
        Ok(body.to_string())
    }

    fn script(&mut self, sizes: &str, text: &str) -> Result<(), String> {
        let script: Script = text.parse().map_err(|error: transform::ScriptError| error.to_string())?;
        let scop = self.program.clone().ok_or("there is no program above")?;
        let mut session = Session::new(scop.clone(), &target()).map_err(|refused| refused.to_string())?;
        let replayed = session.replay_with(&script, &Cpu);
        let names: Vec<String> = script.commands().map(|command| command.name().to_string()).collect();
        if let Err(refused) = &replayed {
            self.refused.extend(refused.command.split_whitespace().next().map(String::from));
        } else {
            self.accepted.extend(names);
            computes_the_same(&scop, &session, sizes)?;
        }
        self.outcome = Some(replayed.map(|()| session));
        Ok(())
    }

    fn session(&self) -> Result<&Session, String> {
        match &self.outcome {
            None => Err("there is no program above".into()),
            Some(Ok(session)) => Ok(session),
            Some(Err(refused)) => Err(format!("the script above is refused: {refused}")),
        }
    }

    fn refusal(&self) -> Result<String, String> {
        match &self.outcome {
            Some(Err(refused)) => Ok(wrapped(&refused.to_string())),
            _ => Err("the script above is accepted".into()),
        }
    }
}

fn target() -> Target {
    Target::from_toml(include_str!("../targets/x86-64-v4.toml")).expect("a target of ours")
}

fn program(kind: &str, sizes: &str, text: &str) -> Result<Scop, String> {
    let ctx = isl::Ctx::new();
    let scop = if kind == "tc" {
        let checked = frontend_tc::check(text);
        let def = checked.defs.first().ok_or_else(|| format!("{:?}", checked.diagnostics))?;
        frontend_tc::lower(def, &ctx).map_err(|error| error.to_string())?
    } else {
        Scop::parse(&ctx, text).map_err(|error| error.to_string())?
    };
    scop.specialise(&values(&scop.params, sizes)?).map_err(|error| error.to_string())
}

/// The values that a text like `M=8 N=8` gives to sizes.
fn values(names: &[String], text: &str) -> Result<Vec<i64>, String> {
    let given: BTreeMap<&str, i64> = text
        .split_whitespace()
        .filter_map(|one| one.split_once('='))
        .filter_map(|(n, v)| Some((n, v.parse().ok()?)))
        .collect();
    let size = |name: &String| given.get(name.as_str()).copied().ok_or_else(|| format!("no size `{name}`"));
    names.iter().map(size).collect()
}

/// Proves the whole schedule, and runs it in both engines, with these sizes of the tiles that it leaves open.
fn computes_the_same(source: &Scop, session: &Session, tiles: &str) -> Result<(), String> {
    let scheduled = session.clone().finish().map_err(|refused| refused.to_string())?;
    let elements = source.stmts.values().map(|stmt| stmt.domain.count_val().and_then(|n| n.to_i64()));
    let elements: u64 = elements.map(|n| n.unwrap_or(i64::MAX).unsigned_abs()).fold(0, u64::saturating_add);
    if elements > LARGEST {
        return Err(format!("{elements} instances are too many for an example"));
    }
    let oracle = Oracle::of(source, 1)?;
    let tiles = values(&scheduled.scop.params, tiles)?;
    engines::compare(&scheduled.scop, &oracle, &Machine::host(), &tiles).map(drop)
}

/// The loops, without the list of arguments.
fn loops(session: &Session) -> Result<String, String> {
    let options = codegen::Options { fma: true, ..codegen::Options::default() };
    let program = codegen::lower(session.scop(), &options, &mut Vec::new()).map_err(|error| error.to_string())?;
    let text = program.to_string();
    let is_argument = |line: &&str| {
        let words = ["program ", "  input ", "  output ", "  inout "];
        words.iter().any(|word| line.starts_with(word))
    };
    Ok(text.lines().filter(|line| !is_argument(line)).flat_map(|line| [line, "\n"]).collect())
}

/// The tensors and statements, without the tree.
fn statements(scop: &Scop) -> String {
    let text = scop.to_string();
    let spans = |line: &&str| !line.trim_start().starts_with("spans ");
    let lines = text.lines().take_while(|line| !["source", "tree", "origin"].iter().any(|word| line.starts_with(word)));
    lines
        .filter(spans)
        .map(|line| format!("{}\n", line.split_once(" at ").map_or(line, |(before, _)| before)))
        .collect()
}

/// A sentence in lines of at most a hundred characters.
fn wrapped(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > 100 {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

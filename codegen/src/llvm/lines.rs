//! Lines of LLVM's texts and of machine code that say which lines of the loops they were made from.
//!
//! While a module is emitted, each instruction gets a debug location whose line is that of its op in the text of the
//! program, in the units `NAME.loops`. LLVM keeps these as it does a programming language's: an instruction that it makes
//! of two with different locations, or that it moves out of a loop, has line 0, and is linked to nothing rather than to
//! what it does not belong to (How to Update Debug Info, llvm.org).
//!
//! The text that is shown is the one without locations, which the product's object is made from: both are emitted, and
//! lines of instructions are matched in their order ([`matched`]). Only a report asks for that.

use inkwell::context::Context;
use inkwell::debug_info::{
    AsDIScope, DICompileUnit, DIFlags, DIFlagsConstants, DILocation, DISubroutineType, DWARFEmissionKind,
    DWARFSourceLanguage, DebugInfoBuilder,
};
use inkwell::module::FlagBehavior;
use inkwell::values::FunctionValue;
use std::collections::BTreeMap;

use super::emitter::{Emitter, Frame};
use super::ir::Ir;
use super::shared::Shared;
use super::{Error, Result};
use crate::{Op, Places, Program};

/// A text, and for each of its lines the lines of the program's text that it was made from, from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The text.
    pub text: String,
    /// As many as the text has lines, in ascending order each. Empty for a line that has no instruction, and where it is not
    /// known.
    pub lines: Vec<Vec<usize>>,
    /// Whether every instruction was looked for: with locations, LLVM made the same ones as without.
    pub is_complete: bool,
}

/// What locations are made with.
pub(super) struct Lines<'c> {
    places: Places,
    debug: DebugInfoBuilder<'c>,
    unit: DICompileUnit<'c>,
    ty: DISubroutineType<'c>,
}

/// LLVM's number for the format of locations.
const FORMAT: u64 = 3;

impl<'c> Lines<'c> {
    /// Locations in a module, which has no functions yet.
    pub fn new(ir: &Ir<'c>, program: &Program) -> Lines<'c> {
        let format = ir.context.i32_type().const_int(FORMAT, false);
        ir.module.add_basic_value_flag("Debug Info Version", FlagBehavior::Warning, format);
        let name = format!("{}.loops", program.name);
        let (debug, unit) = ir.module.create_debug_info_builder(
            false,
            DWARFSourceLanguage::C,
            &name,
            "",
            "tilewright",
            true,
            "",
            0,
            "",
            DWARFEmissionKind::LineTablesOnly,
            0,
            false,
            false,
            "",
            "",
        );
        let ty = debug.create_subroutine_type(unit.get_file(), None, &[], DIFlags::PUBLIC);
        Lines { places: program.places(), debug, unit, ty }
    }

    /// Says that a function has lines.
    pub fn describe(&self, function: FunctionValue<'c>) {
        let name = function.get_name().to_string_lossy().into_owned();
        let (scope, file) = (self.unit.as_debug_info_scope(), self.unit.get_file());
        let is_local = true;
        let of =
            self.debug.create_function(scope, &name, None, file, 0, self.ty, is_local, true, 0, DIFlags::PUBLIC, true);
        function.set_subprogram(of);
    }

    /// Completes what is said of the module.
    pub fn finish(&self) {
        self.debug.finalize();
    }
}

impl<'c> Emitter<'c, '_> {
    /// What is emitted for an op, with its line.
    pub fn on_its_line(
        &self,
        frame: &mut Frame<'c>,
        op: &Op,
        emitted: impl FnOnce(&Self, &mut Frame<'c>) -> Result<()>,
    ) -> Result<()> {
        let Some(lines) = &self.lines else { return emitted(self, frame) };
        let builder = &self.ir.builder;
        let outside = builder.get_current_debug_location();
        if let (Some(line), Some(scope)) = (lines.places.line(op), frame.function.get_subprogram()) {
            let (line, scope) = (number(line)?, scope.as_debug_info_scope());
            let here: &Context = self.ir.context;
            builder.set_current_debug_location(lines.debug.create_debug_location(here, line, 0, scope, None));
        }
        let done = emitted(self, frame);
        self.on_line_of(outside);
        done
    }

    /// Begins a function with the line that another one is left at.
    pub fn continue_in(&self, function: FunctionValue<'c>, location: Option<DILocation<'c>>) {
        if let (Some(lines), Some(scope), Some(location)) = (&self.lines, function.get_subprogram(), location) {
            let (line, scope) = (location.get_line(), scope.as_debug_info_scope());
            let here: &Context = self.ir.context;
            let location = lines.debug.create_debug_location(here, line, 0, scope, None);
            self.ir.builder.set_current_debug_location(location);
        }
    }

    /// Goes on with the line that was left.
    pub fn on_line_of(&self, location: Option<DILocation<'c>>) {
        match location {
            Some(location) => self.ir.builder.set_current_debug_location(location),
            None => self.ir.builder.unset_current_debug_location(),
        }
    }
}

/// The line as locations have it, which begin with 1.
fn number(line: usize) -> Result<u32> {
    u32::try_from(line + 1).map_err(|_| Error::Malformed("a program of too many lines".into()))
}

/// The lines of debug locations by the number of their metadata, from the text of a module.
fn locations(text: &str) -> BTreeMap<&str, usize> {
    text.lines().filter(|line| line.starts_with('!')).filter_map(location).collect()
}

/// `!12 = !DILocation(line: 7, …)`
fn location(line: &str) -> Option<(&str, usize)> {
    let (number, rest) = line.split_once(" = ")?;
    let rest = rest.trim_start_matches("distinct ").strip_prefix("!DILocation(line: ")?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    Some((number, digits.parse().ok()?))
}

/// The lines of a text of a module with debug locations that are instructions, labels or heads of functions: without what
/// is said of locations, numbers of metadata and attributes, each with its line from 1, 0 where it has none.
fn of_module(text: &str) -> Vec<(String, usize)> {
    let locations = locations(text);
    let one = |line: &str| {
        let (code, location) = match line.split_once(", !dbg ") {
            Some((code, rest)) => {
                let number: &str = rest.split([',', ' ']).next().unwrap_or_default();
                let behind = rest.strip_prefix(number).unwrap_or_default();
                (format!("{code}{behind}"), locations.get(number).copied().unwrap_or(0))
            }
            None => (line.to_string(), 0),
        };
        (without_numbers(&code), location)
    };
    text.lines().filter(|line| is_code_of_module(line)).map(one).collect()
}

/// Whether a line of a module is in a function.
fn is_code_of_module(line: &str) -> bool {
    let is_label = line.split_once(':').is_some_and(|(name, _)| !name.contains([' ', '=']));
    line.starts_with("  ") || is_label && !line.starts_with(';')
}

/// Without the numbers of metadata and of groups of attributes, which depend on what else there is.
fn without_numbers(code: &str) -> String {
    let mut plain = String::with_capacity(code.len());
    let mut letters = code.chars().peekable();
    while let Some(letter) = letters.next() {
        plain.push(letter);
        if letter == '!' || letter == '#' {
            while letters.peek().is_some_and(char::is_ascii_digit) {
                letters.next();
            }
        }
    }
    plain.trim_end().to_string()
}

/// The instructions and labels of an assembly with debug locations, each with its line from 1, 0 where it has none.
fn of_assembly(text: &str) -> Vec<(String, usize)> {
    let (mut found, mut now, mut in_code) = (Vec::new(), 0, true);
    for line in text.lines() {
        let code = line.trim();
        if let Some(rest) = code.strip_prefix(".loc") {
            // `.loc FILE LINE COLUMN`
            now = rest.split_whitespace().nth(1).and_then(|line| line.parse().ok()).unwrap_or(0);
        } else if let Some(section) = code.strip_prefix(".section") {
            in_code = !section.trim_start().starts_with(".debug");
        } else if code == ".text" || code.starts_with(".data") {
            in_code = true;
        } else if in_code && is_code(code) {
            if is_label(code) && !code.starts_with(['.', '$']) {
                now = 0;
            }
            found.push((code.to_string(), now));
        }
    }
    found
}

/// Whether a line of assembly is an instruction, or a label that code jumps to.
fn is_code(code: &str) -> bool {
    let is_of_debug = [".Ltmp", ".Lfunc", "$L__tmp", "$L__func", "$L__debug", ".Lsec_end", ".Lline", "$L__sec"];
    let is_directive = code.starts_with('.') && !is_label(code);
    let is_comment = code.starts_with(['#', ';']) || code.starts_with("//");
    !(code.is_empty() || is_directive || is_comment || is_of_debug.iter().any(|name| code.starts_with(name)))
}

fn is_label(code: &str) -> bool {
    let ends = ["#", "//"].iter().filter_map(|begin| code.find(begin));
    code[..ends.min().unwrap_or(code.len())].trim_end().ends_with(':')
}

/// The form of a text that lines are looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// LLVM's intermediate representation.
    Module,
    /// Assembly, of a processor or PTX.
    Assembly,
}

/// The clean text with the lines of the other one, which was made with debug locations. Where its instructions are other
/// ones, those at the beginning and the end that are the same are linked: on AArch64 they may be in another order where a
/// function begins, since a function with lines says there how its frame is found.
pub(super) fn matched(clean: String, located: &str, form: Form, alike: &[Vec<usize>]) -> Listed {
    let located = if form == Form::Module { of_module(located) } else { of_assembly(located) };
    let is_own = |line: &str| match form {
        Form::Module => is_code_of_module(line).then(|| without_numbers(line)),
        Form::Assembly => is_code(line.trim()).then(|| line.trim().to_string()),
    };
    let own: Vec<(usize, String)> =
        clean.lines().enumerate().filter_map(|(at, line)| Some((at, is_own(line)?))).collect();
    let mut lines = vec![Vec::new(); clean.lines().count()];
    let same = |((_, own), (other, _)): &(&(usize, String), &(String, usize))| own == other;
    let mut link = |(at, _): &(usize, String), (_, line): &(String, usize)| {
        if let Some(line) = line.checked_sub(1) {
            lines[*at] = alike.get(line).filter(|alike| !alike.is_empty()).cloned().unwrap_or_else(|| vec![line]);
        }
    };
    let is_complete = own.len() == located.len() && own.iter().zip(&located).all(|pair| same(&pair));
    let first = own.iter().zip(&located).take_while(same).map(|(own, other)| link(own, other)).count();
    let rest = own[first..].iter().rev().zip(located[first..].iter().rev());
    rest.take_while(same).for_each(|(own, other)| link(own, other));
    Listed { text: clean, lines, is_complete }
}

/// For each line of a program's text, the lines that have the same code: of parts that are equal but for their buffers.
pub(super) fn alike(program: &Program) -> Vec<Vec<usize>> {
    let places = program.places();
    let begin = |op: usize| program.body.get(op).and_then(|op| places.line(op)).unwrap_or(places.end);
    let mut all = vec![Vec::new(); places.end];
    for run in Shared::of(program).runs {
        let starts: Vec<usize> = run.times.iter().map(|time| begin(time.ops.start)).collect();
        let first = run.first();
        for (distance, alike) in all[starts[0]..begin(first.ops.end)].iter_mut().enumerate() {
            *alike = starts.iter().map(|start| start + distance).collect();
        }
    }
    all
}

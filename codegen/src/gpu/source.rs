//! Kernels as source text, of CUDA C++ and of OpenCL C: one walk, two vocabularies.

mod arrays;
mod atomic;
mod check;
mod combine;
mod copy;
mod expression;
mod lanes;
mod names;
mod tuple;
mod words;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use polyhedral::{Role, TensorId};

use crate::checks::checks_of;
use crate::llvm::Listed;
use crate::passes::Ranges;
use crate::verify::has_meeting;
use crate::{Buffer, Launch, Op, Place, Places, Program, RegId, Stride, VarId};

use super::apart::meetings_apart;
use super::copies::at_once;
use super::entry::{Argument, Entry};
use check::Checked;
use lanes::{Loaded, Stored};
use names::Names;
use words::Helper;

pub use words::Language;

/// What the languages have no words for, yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(pub String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernels have no source text: {}", self.0)
    }
}

impl std::error::Error for Unsupported {}

type Result<T> = std::result::Result<T, Unsupported>;

fn unsupported<T>(what: impl Into<String>) -> Result<T> {
    Err(Unsupported(what.into()))
}

/// The source of a program's kernels, and how a host launches them: a function in CUDA C++, a comment in OpenCL C.
///
/// What it computes is what the program says, to the bit where functions are not called, if products and sums are not
/// contracted: `--fmad=false` for CUDA; the text says so itself for OpenCL.
///
/// # Errors
/// When the program has functions that the language does not have, or work of the host's own.
pub fn source(program: &Program, language: Language) -> Result<String> {
    printed(&in_language(program, language), language, None)
}

/// The program as a language has words for it: what [`source`] prints.
pub fn in_language(program: &Program, language: Language) -> Cow<'_, Program> {
    match language {
        Language::OpenCl => Cow::Owned(meetings_apart(at_once(program.clone()))),
        Language::Cuda => Cow::Borrowed(program),
    }
}

/// The text of [`source`], of a program that is [in the language](in_language), with the lines of the program's text that its
/// own were made from: the printer knows them.
///
/// # Errors
/// As [`source`].
pub fn source_with_lines(program: &Program, language: Language) -> Result<Listed> {
    let marked = printed(program, language, Some(program.places()))?;
    let (mut text, mut lines) = (String::with_capacity(marked.len()), Vec::new());
    for line in marked.lines() {
        let (line, mark) = line.split_once(MARK).unwrap_or((line, ""));
        text.push_str(line);
        text.push('\n');
        lines.push(mark.parse().ok().into_iter().collect());
    }
    Ok(Listed { text, lines, is_complete: true })
}

/// What stands between a line and the number of the program's, where lines are asked for; no language has it in its texts.
const MARK: char = '\0';

fn printed(program: &Program, language: Language, places: Option<Places>) -> Result<String> {
    let mut printer = Printer { places, ..Printer::new(program, language) };
    let host = printer.host(&program.body, 1)?;
    Ok(printer.finish(&host))
}

/// What a launch's kernel is called in the text of the program.
pub(super) fn symbol(program: &Program, launch: &Launch) -> String {
    Names::of(program).fresh(&launch.name)
}

struct Printer<'a> {
    program: &'a Program,
    language: Language,
    names: Names,
    /// The type of subscripts, loops and sizes.
    index: &'static str,
    kernels: Vec<String>,
    helpers: BTreeSet<Helper>,
    /// The kernel so far.
    out: String,
    /// Registers that are declared.
    declared: BTreeSet<RegId>,
    /// Buffers that vectors are moved to and from.
    moved: BTreeSet<TensorId>,
    /// What is in variables, between ops of one list that only store and set.
    loaded: Vec<Loaded>,
    /// The lane that expressions are printed for.
    lane: u32,
    /// What the checks of the program report, by number.
    checks: Vec<runtime::Check>,
    /// The functions that combine what threads have.
    combinations: BTreeSet<combine::Combination>,
    /// Those that update an element which other blocks update too.
    updates: BTreeSet<atomic::AtomicUpdate>,
    /// The axes of the kernel's blocks, the shared memory that is declared for what it combines, and how many loops in which
    /// threads meet are around.
    block: Vec<(VarId, i64)>,
    parts: Vec<String>,
    repeated: usize,
    /// Where the ops stand in the program's text, if it is asked for, and the line of what is printed.
    places: Option<Places>,
    line: Option<usize>,
}

impl<'a> Printer<'a> {
    fn new(program: &'a Program, language: Language) -> Printer<'a> {
        Printer {
            program,
            language,
            names: Names::of(program),
            index: if Entry::index_bits(program) == 32 { "int" } else { language.long() },
            kernels: Vec::new(),
            helpers: BTreeSet::new(),
            out: String::new(),
            declared: BTreeSet::new(),
            moved: BTreeSet::new(),
            loaded: Vec::new(),
            lane: 0,
            checks: checks_of(program),
            combinations: BTreeSet::new(),
            updates: BTreeSet::new(),
            block: Vec::new(),
            parts: Vec::new(),
            repeated: 0,
            places: None,
            line: None,
        }
    }

    fn finish(self, host: &[String]) -> String {
        let mut text = format!("// {}: {}\n", self.program.name, self.language.name());
        text.push_str(self.language.preamble(
            self.program.buffers.values().any(|buffer| buffer.dtype.bits() == 64 && buffer.dtype.is_float()),
        ));
        if self.language == Language::OpenCl && self.updates.iter().any(|update| update.is_wide()) {
            text.push_str("#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n");
        }
        text.push_str(self.language.header(&self.helpers));
        let kernels: String = self.kernels.iter().map(|kernel| format!("\n{kernel}")).collect();
        // Helpers call those before them.
        let combinations = self.combinations.iter().map(|combination| format!("\n{}", combination.text(self.language)));
        let updates = self.updates.iter().map(|update| format!("\n{}", update.text(self.language)));
        let own: String = combinations.chain(updates).collect();
        let (mut below, calls) = (own + &kernels, host.join("\n"));
        for helper in self.helpers.iter().rev() {
            let call = format!("{}(", helper.name());
            if below.contains(&call) || calls.contains(&call) {
                below = format!("\n{}{below}", helper.text(self.language));
            }
        }
        text.push_str(&below);
        text.push('\n');
        let parameters = self.host_parameters();
        match self.language {
            Language::Cuda => {
                let name = self.names.fresh(&format!("{}_launch", self.program.name));
                text.push_str(&format!("void {name}({parameters})\n{{\n"));
                host.iter().for_each(|line| text.push_str(&format!("{line}\n")));
                text.push_str("}\n");
            }
            Language::OpenCl => {
                text.push_str(&format!("// Launched by a host, given {parameters}:\n"));
                host.iter().for_each(|line| text.push_str(&format!("//{line}\n")));
            }
        }
        text
    }

    fn host_parameters(&self) -> String {
        let mut arguments: Vec<(usize, TensorId)> = Vec::new();
        for (id, buffer) in self.program.buffers.iter() {
            if let Place::Argument(at) = buffer.place {
                arguments.push((at, id));
            }
        }
        arguments.sort_unstable();
        let mut all: Vec<String> = arguments.iter().map(|(_, id)| self.pointer(*id, "")).collect();
        if self.program.buffers.values().any(|buffer| matches!(buffer.place, Place::Workspace(_))) {
            all.push("char *workspace".into());
        }
        let sizes = self.names.params.iter().chain(self.names.strides.values());
        all.extend(sizes.map(|name| format!("{} {name}", self.index)));
        if !self.checks.is_empty() {
            all.push(self.fault(""));
        }
        if self.language == Language::Cuda {
            all.push("cudaStream_t stream".into());
        }
        all.join(", ")
    }

    /// `const float *A`, with what the language says of a kernel's memory in front.
    fn pointer(&self, id: TensorId, qualifier: &str) -> String {
        let buffer = &self.program.buffers[id];
        let constant = if buffer.role == Role::Input { "const " } else { "" };
        let name = &self.names.buffers[&id];
        let restrict =
            if qualifier.is_empty() && self.language != Language::OpenCl { "" } else { self.language.restrict() };
        let dtype = self.language.memory_type(buffer.dtype);
        match qualifier {
            "kernel" => format!("{}{constant}{dtype} *{restrict}{name}", self.language.global()),
            _ => format!("{constant}{dtype} *{name}"),
        }
    }

    /// Where a failed check is reported.
    fn fault(&self, qualifier: &str) -> String {
        format!("{qualifier}{} *fault", self.language.long())
    }

    /// What the host runs.
    fn host(&mut self, ops: &[Op], depth: usize) -> Result<Vec<String>> {
        let indent = "    ".repeat(depth);
        let ranges = Ranges::default();
        let mut lines = Vec::new();
        for op in ops {
            self.on_its_line(op, |printer| printer.host_op(op, (&indent, depth), &ranges, &mut lines))?;
        }
        Ok(lines)
    }

    fn host_op(
        &mut self,
        op: &Op,
        (indent, depth): (&str, usize),
        ranges: &Ranges,
        lines: &mut Vec<String>,
    ) -> Result<()> {
        let mark = self.mark();
        match op {
            Op::Launch(launch) => lines.extend(self.launch(launch)?.iter().map(|line| format!("{indent}{line}{mark}"))),
            Op::For { var, lower, upper, step, body, .. } => {
                let (lower, upper, step) = (self.int(lower, ranges), self.end(upper, ranges), self.int(step, ranges));
                let (name, index) = (self.names.var(*var).to_string(), self.index);
                lines.push(format!(
                    "{indent}for ({index} {name} = {lower}; {name} < {upper}; {name} += {step}) {{{mark}"
                ));
                lines.extend(self.host(body, depth + 1)?);
                lines.push(format!("{indent}}}{mark}"));
            }
            Op::If { cond, then, otherwise } => {
                lines.push(format!("{indent}if ({}) {{{mark}", self.cond(cond, ranges)));
                lines.extend(self.host(then, depth + 1)?);
                if !otherwise.is_empty() {
                    lines.push(format!("{indent}}} else {{{mark}"));
                    lines.extend(self.host(otherwise, depth + 1)?);
                }
                lines.push(format!("{indent}}}{mark}"));
            }
            _ => return unsupported("there is work of the host's own"),
        }
        Ok(())
    }

    /// Prints the kernel; the lines that launch it.
    fn launch(&mut self, launch: &Launch) -> Result<Vec<String>> {
        let entry = Entry::of(self.program, launch);
        self.kernel(launch, &entry)?;
        let ranges = Ranges::default();
        let arguments: Vec<String> = entry.arguments.iter().map(|one| self.argument(*one, &ranges)).collect();
        let grid: Vec<String> = launch.grid.iter().map(|(_, blocks)| self.int(blocks, &ranges)).collect();
        let block: Vec<String> = launch.block.iter().map(|(_, threads)| threads.to_string()).collect();
        let shared = self.dynamic_shared_bytes(launch)?;
        Ok(self.language.launch(&self.names.fresh(&launch.name), (&grid, &block), shared, &arguments))
    }

    /// What the host hands to a kernel.
    fn argument(&mut self, argument: Argument, ranges: &Ranges) -> String {
        match argument {
            Argument::Buffer(id) => match &self.program.buffers[id].place {
                Place::Workspace(offset) => {
                    let dtype = self.language.memory_type(self.program.buffers[id].dtype);
                    let offset = self.int(offset, ranges);
                    format!("({dtype} *)(workspace + {offset})")
                }
                _ => self.names.buffers[&id].clone(),
            },
            Argument::Param(at) => self.names.params[at].clone(),
            Argument::Var(var) => self.names.var(var).to_string(),
            Argument::Stride(id, dim) => self.names.strides[&(id, dim)].clone(),
            Argument::Fault => "fault".into(),
        }
    }

    fn kernel(&mut self, launch: &Launch, entry: &Entry) -> Result<()> {
        let mut parameters = Vec::new();
        for argument in &entry.arguments {
            parameters.push(match argument {
                Argument::Buffer(id) => self.pointer(*id, "kernel"),
                Argument::Fault => self.fault(self.language.global()),
                other => {
                    let name = self.argument(*other, &Ranges::default());
                    format!("const {} {name}", self.index)
                }
            });
        }
        let threads: Vec<i64> = launch.block.iter().map(|(_, threads)| *threads).chain([1; 3]).take(3).collect();
        self.declared.clear();
        self.moved.clear();
        self.block.clone_from(&launch.block);
        let ranges = Ranges::default().inside_of(launch);
        let body = self.apart(|printer| printer.ops(&launch.body, &ranges, 1))?;
        let head = self.language.kernel_head(&threads);
        let name = self.names.fresh(&launch.name);
        self.out = format!("{head} {name}({})\n{{\n", parameters.join(", "));
        for declared in self.shared_arrays(launch)? {
            self.line(1, &declared);
        }
        std::mem::take(&mut self.parts).iter().for_each(|declared| self.line(1, declared));
        for (at, (var, _)) in launch.grid.iter().enumerate().filter(|(_, (var, _))| entry.vars.contains(var)) {
            let (index, name) = (self.index, self.names.var(*var).to_string());
            self.line(1, &format!("const {index} {name} = {};", self.language.block(at)));
        }
        for (at, (var, _)) in launch.block.iter().enumerate().filter(|(_, (var, _))| entry.vars.contains(var)) {
            let (index, name) = (self.index, self.names.var(*var).to_string());
            self.line(1, &format!("const {index} {name} = {};", self.language.thread(at)));
        }
        if self.out.lines().count() > 3 {
            self.line(0, "");
        }
        self.out.push_str(&body);
        self.line(0, "}");
        let kernel = std::mem::take(&mut self.out);
        self.kernels.push(kernel);
        Ok(())
    }

    /// What is printed meanwhile.
    fn apart(&mut self, print: impl FnOnce(&mut Self) -> Result<()>) -> Result<String> {
        let before = std::mem::take(&mut self.out);
        let result = print(self);
        let text = std::mem::replace(&mut self.out, before);
        result.map(|()| text)
    }

    fn line(&mut self, depth: usize, text: &str) {
        if !text.is_empty() {
            self.out.push_str(&"    ".repeat(depth));
            let mark = self.mark();
            self.out.push_str(&text.replace('\n', &format!("{mark}\n")));
            self.out.push_str(&mark);
        }
        self.out.push('\n');
    }

    /// What the end of a line says of the program's line that it is of; nothing where nobody asks.
    fn mark(&self) -> String {
        self.line.map_or_else(String::new, |line| format!("{MARK}{line}"))
    }

    /// What is printed for an op, on its line of the program.
    fn on_its_line<R>(&mut self, op: &Op, print: impl FnOnce(&mut Self) -> R) -> R {
        let outside = self.line;
        self.line = self.places.as_ref().and_then(|places| places.line(op)).or(outside);
        let result = print(self);
        self.line = outside;
        result
    }

    fn ops(&mut self, ops: &[Op], ranges: &Ranges, depth: usize) -> Result<()> {
        self.loaded.clear();
        let mut at = 0;
        while let Some(op) = ops.get(at) {
            at += 1;
            let behind = &ops[at..];
            // A register that several of the ops use is declared before the first; one that only this one uses, inside.
            at += self.on_its_line(op, |printer| {
                printer.declare_shared(op, behind, depth);
                match Checked::of(op) {
                    Some(check) => printer.check(&check, behind, ranges, depth),
                    None => printer.op(op, ranges, depth).map(|()| 0),
                }
            })?;
            match op {
                Op::Store { buffer, .. } => self.loaded.retain(|one| one.buffer != *buffer),
                Op::Set { .. } => {}
                _ => self.loaded.clear(),
            }
        }
        self.loaded.clear();
        Ok(())
    }

    fn op(&mut self, op: &Op, ranges: &Ranges, depth: usize) -> Result<()> {
        match op {
            Op::For { var, lower, upper, step, parallel: false, body } => {
                let (from, to, by) = (self.int(lower, ranges), self.end(upper, ranges), self.int(step, ranges));
                let (index, name) = (self.index, self.names.var(*var).to_string());
                let by = if by == "1" { format!("++{name}") } else { format!("{name} += {by}") };
                self.line(depth, &format!("for ({index} {name} = {from}; {name} < {to}; {by}) {{"));
                self.repeated += usize::from(has_meeting(body));
                self.ops(body, &ranges.inside(*var, lower, upper), depth + 1)?;
                self.repeated -= usize::from(has_meeting(body));
                self.line(depth, "}");
            }
            Op::If { cond, then, otherwise } => {
                let text = self.cond(cond, ranges);
                self.line(depth, &format!("if ({text}) {{"));
                self.ops(then, &ranges.where_holds(cond), depth + 1)?;
                if !otherwise.is_empty() {
                    self.line(depth, "} else {");
                    self.ops(otherwise, &ranges.where_holds(&cond.clone().negate()), depth + 1)?;
                }
                self.line(depth, "}");
            }
            Op::Store { buffer, at, lanes: 1, value, mask } => {
                let dtype = self.program.buffers[*buffer].dtype;
                let (element, value) = (self.element(*buffer, at, ranges)?, self.value(value, ranges)?);
                let value = self.stored(dtype, &value);
                match mask {
                    None => self.line(depth, &format!("{element} = {value};")),
                    Some(mask) => {
                        let mask = self.value(mask, ranges)?;
                        self.line(depth, &format!("if ({}) {element} = {value};", mask.text));
                    }
                }
            }
            Op::Set { reg, value } if self.program.regs[*reg].lanes == 1 => {
                let value = self.value(value, ranges)?.text;
                let name = match self.declared.insert(*reg) {
                    true => self.register(*reg),
                    false => self.names.regs[reg].clone(),
                };
                self.line(depth, &format!("{name} = {value};"));
            }
            Op::Local { buffer, body } => {
                let body = self.apart(|printer| printer.ops(body, ranges, depth + 1))?;
                let declared = self.array(*buffer)?;
                self.line(depth, "{");
                self.line(depth + 1, &format!("{declared};"));
                self.out.push_str(&body);
                self.line(depth, "}");
            }
            Op::Barrier => self.line(depth, self.language.barrier()),
            Op::Combine { regs, by, threads } => self.combine((regs, by), threads, (ranges, depth))?,
            Op::Copy { to, to_at, from, from_at, lanes } => {
                self.copy((*to, to_at), (*from, from_at), *lanes, ranges, depth)?;
            }
            Op::Wait => self.wait(depth),
            Op::Atomic { buffer, at, op, reg } => self.atomic((*buffer, at), *op, *reg, (ranges, depth))?,
            // A hint, for caches that these devices fill themselves.
            Op::Prefetch { .. } => {}
            Op::Store { buffer, at, lanes, value, mask } => {
                let (buffer, lanes, mask) = (*buffer, *lanes, mask.as_ref());
                self.store_lanes(&Stored { buffer, at, lanes, value, mask }, ranges, depth)?;
            }
            Op::Set { reg, value } => self.set_lanes(*reg, value, ranges, depth)?,
            Op::LoadBlock { regs, buffer, at, along } => self.load_block(regs, (*buffer, at, *along), ranges, depth)?,
            Op::StoreBlock { regs, buffer, at, along } => {
                self.store_block(regs, (*buffer, at, *along), ranges, depth)?;
            }
            Op::Check { .. } => self.ops(std::slice::from_ref(op), ranges, depth)?,
            Op::Launch(_) | Op::For { .. } => return unsupported("a kernel inside of a kernel"),
        }
        Ok(())
    }
}

/// Elements in each dimension, the inner ones with what lies between rows.
fn rows(buffer: &Buffer) -> Option<Vec<i64>> {
    let strides = buffer.strides.iter().map(|stride| match stride {
        Stride::Known(stride) => stride.as_const(),
        Stride::Runtime => None,
    });
    let strides = strides.collect::<Option<Vec<i64>>>()?;
    let mut rows = Vec::new();
    for (at, extent) in buffer.extent.iter().enumerate() {
        rows.push(match at {
            0 => extent.as_const()?.max(1),
            _ => strides[at - 1].checked_div(strides[at])?,
        });
    }
    Some(rows)
}

/// A value's text, and how tightly it holds together.
#[derive(Clone)]
struct Text {
    text: String,
    tightness: expression::Tightness,
}

type RegNames = BTreeMap<RegId, String>;

//! Kernels as source text, of CUDA C++ and of OpenCL C: one walk, two vocabularies.

mod combine;
mod expression;
mod names;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use polyhedral::{Role, TensorId};

use crate::passes::Ranges;
use crate::verify::has_meeting;
use crate::{Buffer, Launch, Op, Place, Program, RegId, Stride, VarId};

use super::entry::{Argument, Entry};
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
/// When the program has vectors, checks of computed subscripts, `float16` or `bfloat16`, strides that only the call knows,
/// functions that the language does not have, or work of the host's own.
pub fn source(program: &Program, language: Language) -> Result<String> {
    let mut printer = Printer::new(program, language)?;
    let host = printer.host(&program.body, 1)?;
    Ok(printer.finish(&host))
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
    /// The functions that combine what threads have.
    combinations: BTreeSet<combine::Combination>,
    /// The axes of the kernel's blocks, at how many places it has combined something, and how many loops that meet are around.
    block: Vec<(VarId, i64)>,
    combined: u32,
    repeated: usize,
}

impl<'a> Printer<'a> {
    fn new(program: &'a Program, language: Language) -> Result<Printer<'a>> {
        for Buffer { name, dtype, strides, .. } in program.buffers.values() {
            if language.memory_type(*dtype).is_none() {
                return unsupported(format!("`{name}` is `{dtype}`"));
            }
            if strides.contains(&Stride::Runtime) {
                return unsupported(format!("only the call knows the strides of `{name}`"));
            }
        }
        Ok(Printer {
            program,
            language,
            names: Names::of(program),
            index: if Entry::index_bits(program) == 32 { "int" } else { language.long() },
            kernels: Vec::new(),
            helpers: BTreeSet::new(),
            out: String::new(),
            declared: BTreeSet::new(),
            combinations: BTreeSet::new(),
            block: Vec::new(),
            combined: 0,
            repeated: 0,
        })
    }

    fn finish(self, host: &[String]) -> String {
        let mut text = format!("// {}: {}\n", self.program.name, self.language.name());
        text.push_str(self.language.preamble(
            self.program.buffers.values().any(|buffer| buffer.dtype.bits() == 64 && buffer.dtype.is_float()),
        ));
        for helper in &self.helpers {
            text.push('\n');
            text.push_str(&helper.text(self.language));
        }
        for combination in &self.combinations {
            text.push('\n');
            text.push_str(&combination.text(self.language));
        }
        for kernel in &self.kernels {
            text.push('\n');
            text.push_str(kernel);
        }
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
        all.extend(self.names.params.iter().map(|name| format!("{} {name}", self.index)));
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
        let dtype = self.language.memory_type(buffer.dtype).unwrap_or_default();
        match qualifier {
            "kernel" => format!("{}{constant}{dtype} *{restrict}{name}", self.language.global()),
            _ => format!("{constant}{dtype} *{name}"),
        }
    }

    /// What the host runs.
    fn host(&mut self, ops: &[Op], depth: usize) -> Result<Vec<String>> {
        let indent = "    ".repeat(depth);
        let ranges = Ranges::default();
        let mut lines = Vec::new();
        for op in ops {
            match op {
                Op::Launch(launch) => lines.push(format!("{indent}{}", self.launch(launch)?)),
                Op::For { var, lower, upper, step, body, .. } => {
                    let (lower, upper, step) =
                        (self.int(lower, &ranges), self.int(upper, &ranges), self.int(step, &ranges));
                    let (name, index) = (self.names.var(*var).to_string(), self.index);
                    lines
                        .push(format!("{indent}for ({index} {name} = {lower}; {name} < {upper}; {name} += {step}) {{"));
                    lines.extend(self.host(body, depth + 1)?);
                    lines.push(format!("{indent}}}"));
                }
                Op::If { cond, then, otherwise } => {
                    lines.push(format!("{indent}if ({}) {{", self.cond(cond, &ranges)));
                    lines.extend(self.host(then, depth + 1)?);
                    if !otherwise.is_empty() {
                        lines.push(format!("{indent}}} else {{"));
                        lines.extend(self.host(otherwise, depth + 1)?);
                    }
                    lines.push(format!("{indent}}}"));
                }
                _ => return unsupported("there is work of the host's own"),
            }
        }
        Ok(lines)
    }

    /// Prints the kernel; the line that launches it.
    fn launch(&mut self, launch: &Launch) -> Result<String> {
        let entry = Entry::of(self.program, launch);
        self.kernel(launch, &entry)?;
        let ranges = Ranges::default();
        let arguments: Vec<String> = entry.arguments.iter().map(|one| self.argument(*one, &ranges)).collect();
        let grid: Vec<String> = launch.grid.iter().map(|(_, blocks)| self.int(blocks, &ranges)).collect();
        let block: Vec<String> = launch.block.iter().map(|(_, threads)| threads.to_string()).collect();
        Ok(self.language.launch(&self.names.fresh(&launch.name), &grid, &block, &arguments))
    }

    /// What the host hands to a kernel.
    fn argument(&mut self, argument: Argument, ranges: &Ranges) -> String {
        match argument {
            Argument::Buffer(id) => match &self.program.buffers[id].place {
                Place::Workspace(offset) => {
                    let dtype = self.language.memory_type(self.program.buffers[id].dtype).unwrap_or_default();
                    let offset = self.int(offset, ranges);
                    format!("({dtype} *)(workspace + {offset})")
                }
                _ => self.names.buffers[&id].clone(),
            },
            Argument::Param(at) => self.names.params[at].clone(),
            Argument::Var(var) => self.names.var(var).to_string(),
            // A program with run-time strides, or with checks, is refused before.
            Argument::Stride(..) | Argument::Fault => String::new(),
        }
    }

    fn kernel(&mut self, launch: &Launch, entry: &Entry) -> Result<()> {
        let mut parameters = Vec::new();
        for argument in &entry.arguments {
            parameters.push(match argument {
                Argument::Buffer(id) => self.pointer(*id, "kernel"),
                other => {
                    let name = self.argument(*other, &Ranges::default());
                    format!("const {} {name}", self.index)
                }
            });
        }
        let threads: Vec<i64> = launch.block.iter().map(|(_, threads)| *threads).chain([1; 3]).take(3).collect();
        let head = self.language.kernel_head(&threads);
        let name = self.names.fresh(&launch.name);
        self.out = format!("{head} {name}({})\n{{\n", parameters.join(", "));
        self.declared.clear();
        for id in &launch.shared {
            let declared = self.array(*id)?;
            self.line(1, &format!("{}{declared};", self.language.shared()));
        }
        self.parts_of(launch)?;
        for (at, (var, _)) in launch.grid.iter().enumerate().filter(|(_, (var, _))| entry.vars.contains(var)) {
            let (index, name) = (self.index, self.names.var(*var).to_string());
            self.line(1, &format!("const {index} {name} = {};", self.language.block(at)));
        }
        for (at, (var, _)) in launch.block.iter().enumerate().filter(|(_, (var, _))| entry.vars.contains(var)) {
            let (index, name) = (self.index, self.names.var(*var).to_string());
            self.line(1, &format!("const {index} {name} = {};", self.language.thread(at)));
        }
        self.line(0, "");
        let ranges = Ranges::default().inside_of(launch);
        self.ops(&launch.body, &ranges, 1)?;
        self.line(0, "}");
        let kernel = std::mem::take(&mut self.out);
        self.kernels.push(kernel);
        Ok(())
    }

    /// `float T[4][5]`: rows are as far apart as the strides say.
    fn array(&self, id: TensorId) -> Result<String> {
        let buffer = &self.program.buffers[id];
        let mut text =
            format!("{} {}", self.language.memory_type(buffer.dtype).unwrap_or_default(), self.names.buffers[&id]);
        for length in rows(buffer).ok_or_else(|| Unsupported(format!("how large `{}` is", buffer.name)))? {
            text.push_str(&format!("[{length}]"));
        }
        if buffer.extent.is_empty() {
            text.push_str("[1]");
        }
        Ok(text)
    }

    fn line(&mut self, depth: usize, text: &str) {
        if !text.is_empty() {
            self.out.push_str(&"    ".repeat(depth));
            self.out.push_str(text);
        }
        self.out.push('\n');
    }

    fn ops(&mut self, ops: &[Op], ranges: &Ranges, depth: usize) -> Result<()> {
        for (at, op) in ops.iter().enumerate() {
            // A register that several of the ops use is declared before the first; one that only this one uses, inside.
            for reg in registers_in(op) {
                let elsewhere = ops[at + 1..].iter().any(|other| registers_in(other).contains(&reg));
                let is_set_here = matches!(op, Op::Set { reg: own, .. } if *own == reg);
                if elsewhere && !is_set_here && self.declared.insert(reg) {
                    let declared = self.register(reg);
                    self.line(depth, &format!("{declared};"));
                }
            }
            self.op(op, ranges, depth)?;
        }
        Ok(())
    }

    /// `float C_0`
    fn register(&self, reg: RegId) -> String {
        format!("{} {}", self.language.value_type(self.program.regs[reg].dtype), self.names.regs[&reg])
    }

    fn op(&mut self, op: &Op, ranges: &Ranges, depth: usize) -> Result<()> {
        match op {
            Op::For { var, lower, upper, step, parallel: false, body } => {
                let (from, to, by) = (self.int(lower, ranges), self.int(upper, ranges), self.int(step, ranges));
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
                let value = self.language.stored(dtype, &value);
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
                let declared = self.array(*buffer)?;
                self.line(depth, "{");
                self.line(depth + 1, &format!("{declared};"));
                self.ops(body, ranges, depth + 1)?;
                self.line(depth, "}");
            }
            Op::Barrier => self.line(depth, self.language.barrier()),
            Op::Combine { reg, op, threads } => self.combine(*reg, *op, threads, depth)?,
            // A hint, for caches that these devices fill themselves.
            Op::Prefetch { .. } => {}
            Op::Check { buffer, .. } => {
                let name = &self.program.buffers[*buffer].name;
                return unsupported(format!("subscripts of `{name}` are checked while running"));
            }
            Op::Launch(_) | Op::For { .. } => return unsupported("a kernel inside of a kernel"),
            Op::Store { .. } | Op::Set { .. } | Op::LoadBlock { .. } | Op::StoreBlock { .. } => {
                return unsupported("there are vectors");
            }
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

fn registers_in(op: &Op) -> BTreeSet<RegId> {
    crate::passes::registers_of(op).into_iter().collect()
}

/// A value's text, and how tightly it holds together.
struct Text {
    text: String,
    tightness: expression::Tightness,
}

type RegNames = BTreeMap<RegId, String>;

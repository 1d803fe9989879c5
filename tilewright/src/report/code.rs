//! The texts of the later stages, with the loops that their lines belong to.

use codegen::gpu::{self, Language};
use codegen::{Program, llvm};
use serde::Serialize;
use support::KernelCode;

use crate::compile::{self, Options};
use crate::{Result, device};

/// The text of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The stage, as `tilewright emit` calls it.
    pub stage: String,
    /// The text.
    pub text: String,
    /// The loops in it, outer ones first; of the text of the loops only.
    pub links: Vec<Link>,
    /// For each line of the text, the lines of [the loops](Listing::LOOPS) that it was made from, from 0: those of that
    /// text itself for the loops. Empty for a line that no loop, store or register stands behind, as a label or the begin of
    /// a function, and where that is not known.
    pub lines: Vec<Vec<usize>>,
}

impl Listing {
    /// The stage that the lines of the others refer to.
    pub const LOOPS: &'static str = "loops";
}

/// A line that is the head of a loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The line, from 0.
    pub line: usize,
    /// The last line inside of the loop.
    pub end: usize,
    /// The name that the loop's variable has in the text: the last part of the loop's name, with a number where several
    /// have the same.
    pub variable: String,
    /// The loops of the schedule that it is, by name: one, several where threads or blocks of a kernel share them out, none
    /// for a loop that a pass or isl made.
    pub loops: Vec<String>,
}

/// The loops and what is made of them.
pub(super) fn listings(program: &Program, options: &Options) -> Result<Vec<Listing>> {
    let loops = program.to_string();
    let links = links(&loops);
    let lines = (0..loops.lines().count()).map(|line| vec![line]).collect();
    let mut listings = vec![Listing { stage: Listing::LOOPS.into(), text: loops, links, lines }];
    let mut add = |stage: &str, text: String| {
        let lines = vec![Vec::new(); text.lines().count()];
        listings.push(Listing { stage: stage.into(), text, links: Vec::new(), lines });
    };
    match &options.device {
        None => {
            add("llvm", llvm::ir(program, &options.target).map_err(compile::target)?);
            add("asm", llvm::assembly(program, &options.target).map_err(compile::target)?);
        }
        Some(gpu) => {
            let language = match gpu.code {
                KernelCode::Ptx(_) => Language::Cuda,
                KernelCode::OpenCl => Language::OpenCl,
            };
            let stage = if language == Language::Cuda { "cuda" } else { "opencl" };
            add(stage, gpu::source(program, language).map_err(device::unsupported)?);
            if language == Language::Cuda {
                add("ptx", gpu::ptx(program, gpu).map_err(compile::target)?.text);
            }
        }
    }
    Ok(listings)
}

/// The loops of a text, which says where they end by indentation.
fn links(text: &str) -> Vec<Link> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let variable = |line: &str| -> Option<String> {
        let head = line.trim_start();
        let head = head.strip_prefix("parallel ").unwrap_or(head).strip_prefix("for ")?;
        Some(head.split(' ').next()?.to_string())
    };
    let link = |(at, line): (usize, &&str)| {
        let variable = variable(line)?;
        let is_end = |other: &&str| indent(other) <= indent(line);
        let length = lines[at + 1..].iter().position(is_end).unwrap_or(lines.len() - at - 1);
        Some(Link { line: at, end: at + length, variable, loops: Vec::new() })
    };
    lines.iter().enumerate().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_end_where_their_braces_do() {
        let text =
            "program f()\nparallel for i in 0..4 {\n  for j in 0..2 {\n    A[i, j] = 0\n  }\n}\nfor k in 0..1 {\n}\n";
        let found: Vec<_> = links(text).into_iter().map(|link| (link.line, link.end, link.variable)).collect();
        assert_eq!(found, [(1, 4, "i".to_string()), (2, 3, "j".into()), (6, 6, "k".into())]);
    }
}

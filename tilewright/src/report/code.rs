//! The texts of the later stages, with the loops that their lines belong to.

use std::ops::Range;

use codegen::gpu::{self, Language};
use codegen::llvm::{self, Listed};
use codegen::{Head, Program};
use serde::Serialize;
use support::{Gpu, KernelCode};

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
    /// Whether every line was looked for. Instructions get their lines from code that LLVM makes once more with debug
    /// locations, which is the same but for these; should it not be, only where both begin and end alike has lines.
    pub is_complete: bool,
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
    let Some(gpu) = &options.device else {
        return Ok(vec![
            loops(program),
            listing("llvm", llvm::ir_with_lines(program, &options.target).map_err(compile::target)?),
            listing("asm", llvm::assembly_with_lines(program, &options.target).map_err(compile::target)?),
        ]);
    };
    let language = language(gpu);
    let stage = if language == Language::Cuda { "cuda" } else { "opencl" };
    let mut listings =
        vec![loops(program), listing(stage, gpu::source_with_lines(program, language).map_err(device::unsupported)?)];
    if language == Language::Cuda {
        listings.push(listing("ptx", gpu::ptx_with_lines(program, gpu).map_err(compile::target)?));
    }
    Ok(listings)
}

/// The language of the kernels of a device.
pub(super) fn language(device: &Gpu) -> Language {
    match device.code {
        KernelCode::Ptx(_) => Language::Cuda,
        KernelCode::OpenCl => Language::OpenCl,
    }
}

fn listing(stage: &str, Listed { text, lines, is_complete }: Listed) -> Listing {
    Listing { stage: stage.into(), text, links: Vec::new(), lines, is_complete }
}

fn loops(program: &Program) -> Listing {
    let (text, places) = (program.to_string(), program.places());
    let link = |head: &Head| {
        let var = &program.vars[*head.vars.first()?];
        let Range { start, end } = head.lines;
        Some(Link { line: start, end: end - 2, variable: var.name.clone(), loops: var.loops.clone() })
    };
    let links = places.heads.iter().filter(|head| !head.is_launch).filter_map(link).collect();
    let head = 1 + program.buffers.len();
    let lines = (0..places.end).map(|line| if line < head { Vec::new() } else { vec![line] }).collect();
    Listing { stage: Listing::LOOPS.into(), text, links, lines, is_complete: true }
}

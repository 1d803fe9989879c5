//! Plans of devices in `package.json`, read.

use super::json::{At, Read, open_signature};
use super::value::Value;
use crate::formula::Formula;
use crate::plan::{Branch, KernelEntry, Loop, OpenLaunch, OpenPart, OpenPlan, Operand, Step};

/// The plan that is written so.
#[inline(never)]
pub(super) fn plan(at: &At<'_>) -> Read<OpenPlan> {
    Ok(OpenPlan {
        signature: open_signature(&at.field("signature")?)?,
        index_bits: at.field("index_bits")?.number()?,
        kernels: at.field("kernels")?.list(&kernel)?,
        slots: at.formulas_of("slots")?,
        workspace: at.field("workspace")?.list(&part)?,
        fault_words: at.field("fault_words")?.number()?,
        steps: at.field("steps")?.list(&step)?,
    })
}

fn kernel(at: &At<'_>) -> Read<KernelEntry> {
    let block = at.field("block")?;
    Ok(KernelEntry {
        name: at.text_of("name")?,
        block: three(&block, block.list(&|threads| threads.number())?)?,
        shared_bytes: at.field("shared_bytes")?.number()?,
        dynamic_shared_bytes: at.field("dynamic_shared_bytes")?.number()?,
    })
}

fn part(at: &At<'_>) -> Read<OpenPart> {
    Ok(OpenPart {
        slot: at.field("slot")?.number()?,
        offset: at.field("offset")?.number()?,
        bytes: at.field("bytes")?.formula()?,
    })
}

fn step(at: &At<'_>) -> Read<Step> {
    match (at.optional("launch"), at.optional("for"), at.optional("if")) {
        (Some(launch), None, None) => {
            let grid = launch.field("grid")?;
            Ok(Step::Launch(OpenLaunch {
                kernel: launch.field("kernel")?.number()?,
                grid: three(&grid, grid.list(&|blocks| blocks.formula())?)?,
                operands: launch.field("operands")?.list(&operand)?,
            }))
        }
        (None, Some(each), None) => Ok(Step::For(Loop {
            var: each.text_of("var")?,
            from: each.field("from")?.formula()?,
            to: each.field("to")?.formula()?,
            step: each.field("step")?.formula()?,
            body: each.field("body")?.list(&step)?,
        })),
        (None, None, Some(branch)) => Ok(Step::If(Branch {
            test: branch.field("test")?.formula()?,
            then: branch.field("then")?.list(&step)?,
            otherwise: branch.optional("otherwise").map_or(Ok(Vec::new()), |steps| steps.list(&step))?,
        })),
        _ => Err(at.wrong("`launch`, `for` or `if`")),
    }
}

fn operand(at: &At<'_>) -> Read<Operand<Formula>> {
    if matches!(at.value, Value::Text(name) if name == "faults") {
        return Ok(Operand::Faults);
    }
    let [argument, workspace, int, stride] = ["argument", "workspace", "int", "stride"].map(|name| at.optional(name));
    match (argument, workspace, int, stride) {
        (Some(position), None, None, None) => Ok(Operand::Argument(position.number()?)),
        (None, Some(position), None, None) => Ok(Operand::Workspace(position.number()?)),
        (None, None, Some(value), None) => Ok(Operand::Int(value.formula()?)),
        (None, None, None, Some(stride)) => match stride.list(&|number| number.number())?[..] {
            [position, dim] => Ok(Operand::Stride(position, dim)),
            _ => Err(stride.wrong("an argument and a dimension")),
        },
        _ => Err(at.wrong("an operand")),
    }
}

fn three<T>(at: &At<'_>, all: Vec<T>) -> Read<[T; 3]> {
    all.try_into().map_err(|_| at.wrong("of three axes"))
}

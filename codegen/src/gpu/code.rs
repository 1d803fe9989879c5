//! Kernels of a program as something that `runtime` launches.

use std::fmt;

use runtime::device::Text;
use runtime::{DeviceCode, Formula, OpenDeviceCode, OpenPlan, PlanError};
use support::{Gpu, KernelCode};

use super::{Language, Unsupported, open_plan, ptx, source};
use crate::{Program, llvm};

/// The text of a program's kernels for a device.
#[derive(Clone, Debug)]
pub struct Kernels {
    text: Text,
    /// What each kernel is called in the text, and how many bytes of what its blocks share a launch says, in the order of the
    /// program; nothing when that is what the plan says.
    symbols: Vec<(String, u32)>,
    /// The launches for all values of the program's parameters, whose names those of [`parameter`] are.
    plan: OpenPlan,
}

/// Why there is no code for a device.
#[derive(Clone, Debug)]
pub enum NoCode {
    /// The language has no words for the program.
    Unsupported(Unsupported),
    /// LLVM makes no PTX of it.
    Llvm(llvm::Error),
    /// It has no launches for these sizes.
    NoPlan(PlanError),
}

impl fmt::Display for NoCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCode::Unsupported(why) => why.fmt(f),
            NoCode::Llvm(why) => why.fmt(f),
            NoCode::NoPlan(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for NoCode {}

impl Kernels {
    /// In the language of the device.
    ///
    /// # Errors
    /// When that has no words for the program.
    pub fn of(program: &Program, device: &Gpu) -> Result<Kernels, NoCode> {
        let parameters: Vec<Formula> = (0..program.params.len()).map(|at| Formula::Size(parameter(at))).collect();
        let plan = open_plan(program, &parameters).map_err(NoCode::NoPlan)?;
        match device.code {
            KernelCode::OpenCl => {
                let text = source(program, Language::OpenCl).map_err(NoCode::Unsupported)?;
                Ok(Kernels { text: Text::OpenCl(text.into()), symbols: Vec::new(), plan })
            }
            KernelCode::Ptx(architecture) => {
                let ptx = ptx(program, device).map_err(NoCode::Llvm)?;
                let symbols = ptx.kernels.into_iter().map(|kernel| {
                    let bytes = u32::try_from(kernel.dynamic_shared_bytes).map_err(|_| {
                        NoCode::NoPlan(PlanError::Malformed(format!("`{}` shares too much", kernel.launch)))
                    })?;
                    Ok((kernel.symbol, bytes))
                });
                let symbols = symbols.collect::<Result<Vec<_>, _>>()?;
                let text = Text::Ptx { text: ptx.text.into(), architecture: architecture.into() };
                let plan = named(plan, &symbols);
                Ok(Kernels { text, symbols, plan })
            }
        }
    }

    /// With the launches for these values of the parameters. All codes of one program have the same text.
    ///
    /// # Errors
    /// When there are too many launches or blocks.
    pub fn code(&self, sizes: &[i64]) -> Result<DeviceCode, NoCode> {
        let value = |name: &str| sizes.get(name.strip_prefix('p')?.parse::<usize>().ok()?).copied();
        let mut plan = self.plan.at(&value).map_err(NoCode::NoPlan)?;
        // Of a program without parameters too, which is for these sizes alone.
        plan.signature.sizes = sizes.to_vec();
        // SAFETY: the text was made from the program of the plan, whose loads and stores lie inside the buffers that the plan's
        // signature describes: the subscripts of a verified program do, and indirect ones are checked before use.
        Ok(unsafe { DeviceCode::new(self.text.clone(), plan) })
    }

    /// With the launches for all sizes of a call: `parameters` says what the values of the parameters are, over these; `program` is
    /// what the kernels were made of.
    ///
    /// # Errors
    /// When something is no formula.
    pub fn open_code(&self, program: &Program, parameters: &[Formula]) -> Result<OpenDeviceCode, NoCode> {
        let plan = named(open_plan(program, parameters).map_err(NoCode::NoPlan)?, &self.symbols);
        // SAFETY: as above, for all values of the parameters that the program takes.
        Ok(unsafe { OpenDeviceCode::new(self.text.clone(), plan) })
    }
}

/// The name of a parameter in a plan of the compiler's own.
fn parameter(at: usize) -> String {
    format!("p{at}")
}

/// The plan with what the text calls its kernels.
fn named(mut plan: OpenPlan, symbols: &[(String, u32)]) -> OpenPlan {
    for (kernel, (symbol, bytes)) in plan.kernels.iter_mut().zip(symbols) {
        kernel.name.clone_from(symbol);
        kernel.dynamic_shared_bytes = *bytes;
    }
    plan
}

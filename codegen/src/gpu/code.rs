//! Kernels of a program as something that `runtime` launches.

use std::fmt;

use runtime::DeviceCode;
use runtime::device::Text;
use support::{Gpu, KernelCode};

use super::{Language, NoPlan, Unsupported, plan, ptx, source};
use crate::{Program, llvm};

/// The text of a program's kernels for a device.
#[derive(Clone, Debug)]
pub struct Kernels {
    text: Text,
    /// What each kernel is called in the text, and how many bytes of what its blocks share a launch says, in the order of the
    /// program; nothing when that is what the plan says.
    symbols: Vec<(String, u32)>,
}

/// Why there is no code for a device.
#[derive(Clone, Debug)]
pub enum NoCode {
    /// The language has no words for the program.
    Unsupported(Unsupported),
    /// LLVM makes no PTX of it.
    Llvm(llvm::Error),
    /// Its launches cannot be listed.
    NoPlan(NoPlan),
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
        match device.code {
            KernelCode::OpenCl => {
                let text = source(program, Language::OpenCl).map_err(NoCode::Unsupported)?;
                Ok(Kernels { text: Text::OpenCl(text.into()), symbols: Vec::new() })
            }
            KernelCode::Ptx(architecture) => {
                let ptx = ptx(program, device).map_err(NoCode::Llvm)?;
                let symbols = ptx.kernels.into_iter().map(|kernel| {
                    let bytes = u32::try_from(kernel.dynamic_shared_bytes).map_err(|_| {
                        NoCode::NoPlan(NoPlan::Malformed(format!("`{}` shares too much", kernel.launch)))
                    })?;
                    Ok((kernel.symbol, bytes))
                });
                let symbols = symbols.collect::<Result<_, _>>()?;
                let text = Text::Ptx { text: ptx.text.into(), architecture: architecture.into() };
                Ok(Kernels { text, symbols })
            }
        }
    }

    /// With the launches for these values of the parameters; `program` is what the kernels were made of. All codes of one
    /// program have the same text.
    ///
    /// # Errors
    /// When the launches cannot be listed.
    pub fn code(&self, program: &Program, sizes: &[i64]) -> Result<DeviceCode, NoCode> {
        let mut plan = plan(program, sizes).map_err(NoCode::NoPlan)?;
        for (kernel, (symbol, bytes)) in plan.kernels.iter_mut().zip(&self.symbols) {
            kernel.name.clone_from(symbol);
            kernel.dynamic_shared_bytes = *bytes;
        }
        // SAFETY: the text was made from this program, whose loads and stores lie inside the buffers that the plan's
        // signature describes: the subscripts of a verified program do, and indirect ones are checked before use.
        Ok(unsafe { DeviceCode::new(self.text.clone(), plan) })
    }
}

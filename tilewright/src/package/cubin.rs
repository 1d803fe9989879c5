//! PTX assembled, where NVIDIA's assembler is.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use runtime::OpenDeviceCode;
use runtime::device::Text;

/// What `ptxas` makes of the PTX of kernels for its architecture: a file that a device loads without a compiler. `None` for kernels
/// in another language, where there is no `ptxas`, and where it is too old for the text, which goes with the package anyway.
///
/// It is the one that `TILEWRIGHT_PTXAS` names, else the one of the path.
pub(super) fn assembled(code: &OpenDeviceCode) -> Option<Vec<u8>> {
    let Text::Ptx { text, architecture } = code.text() else { return None };
    let ptxas = env::var_os("TILEWRIGHT_PTXAS").filter(|name| !name.is_empty()).unwrap_or_else(|| "ptxas".into());
    let folder = tempfile::tempdir().ok()?;
    fs::write(folder.path().join("kernels.ptx"), text.as_bytes()).ok()?;
    let mut command = Command::new(ptxas);
    // Names without the folder: the same text gives the same bytes.
    command.current_dir(folder.path()).args(["-arch", architecture, "kernels.ptx", "-o", "kernels.cubin"]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    if status.success() { fs::read(folder.path().join("kernels.cubin")).ok() } else { None }
}

//! Kernels: from a Scop with kernels to a program that launches them, and to the text of languages that devices are
//! programmed in.

mod accesses;
mod apart;
mod awaited;
mod code;
mod copies;
mod counted;
mod entry;
mod full;
mod gathers;
mod guards;
mod limits;
mod plan;
mod private;
mod prologue;
mod ptx;
mod rewrite;
mod source;
mod warps;
mod width;

pub(crate) use awaited::unawaited;
pub use code::{Kernels, NoCode};
pub use entry::{Argument, Entry};
pub use limits::{TooLarge, launches, within_limits};
pub use plan::{open_plan, plan};
pub use ptx::{Ptx, PtxKernel, ptx, ptx_with_lines};
pub use source::{Language, Unsupported, in_language, source, source_with_lines};
pub use warps::{Cost, Meeting, WarpAccess, Warps, warps};

use polyhedral::Scop;
use support::{Remark, with_deep_stack};

use crate::scan::{Error, Options, scan};
use crate::{Program, arena, simplify};

/// A Scop with kernels to the launches of a host and what each thread runs: [`scan`], then the rewrites that are valid
/// whatever other threads do between barriers.
///
/// # Errors
/// As [`scan`].
pub fn lower(scop: &Scop, options: &Options, remarks: &mut Vec<Remark>) -> Result<Program, Error> {
    with_deep_stack(|| {
        let program = simplify(scan(scop, options, remarks)?);
        let program = simplify(rewrite::tested_once(program));
        let program = simplify(full::full_tiles_apart(program, options.full_tiles, remarks));
        let program = simplify(private::copied_out(program));
        let program = simplify(prologue::apart(program));
        let program = simplify(guards::unguarded(program));
        let program = simplify(counted::counted(program));
        let program = simplify(rewrite::tested_once(program));
        let program = simplify(rewrite::in_registers(program));
        let program = simplify(copies::overlapped(program, options.async_copies));
        Ok(arena::planned(simplify(gathers::together(rewrite::loaded_whole(program)))))
    })
}

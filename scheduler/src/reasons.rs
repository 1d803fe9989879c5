//! Why the policy takes a command, in a line.

use support::Target;
use transform::{Command, Refused, Session, Tail};

/// Applies a command of the policy, which has its reason from then on.
pub(crate) fn apply(session: &mut Session, command: Command) -> Result<(), Refused> {
    match of(&command, session.target()) {
        Some(reason) => session.because(reason, |session| session.apply(command)),
        None => session.apply(command),
    }
}

/// What the policy for CPUs takes a command for. Each kind has one purpose in it.
fn of(command: &Command, target: &Target) -> Option<String> {
    Some(match command {
        Command::Order { .. } => "isl's scheduler: nests whose loops can be permuted, statements apart".into(),
        Command::Split { by, .. } => format!("strips of {by}, for a cache or for a thread"),
        Command::Reorder { .. } => "what is used again stays near: strips outside, boxes inside".into(),
        Command::Fuse { .. } => "what one nest leaves in a cache or in registers, the other takes from there".into(),
        Command::Distribute { .. } => "each statement goes through its part by itself".into(),
        Command::Skew { .. } => "rows of which each needs the one before run side by side".into(),
        Command::Separate { .. } => "whole boxes run without masks".into(),
        Command::Parallel { .. } => format!("the outermost loop worth it, on {} threads", target.threads),
        Command::Vectorise { by, tail, .. } => {
            let lanes = format!("{by} lanes, in registers of {} bytes", target.vector_bytes);
            if *tail == Tail::Shifted { format!("{lanes}, the last ones again") } else { lanes }
        }
        Command::Unroll { by, .. } => format!("{by} copies, which share what they load and do not wait for each other"),
        Command::Promote(copy) => {
            let place = copy.member.as_ref().map_or("for the whole program".into(), |at| format!("for each `{at}`"));
            format!("a copy {place}, in the order in which it is read")
        }
        Command::Prefetch { .. } => "what comes later is on its way while something else is computed".into(),
        Command::Layout(_) => "panels as wide as a box, read one after the other".into(),
        Command::Fold { by, .. } => format!("{by} of its slices live at once"),
        Command::Stream { .. } => "larger than the caches, and not read again: stored past them".into(),
        Command::Inline { .. } => "computed where it is read, and never stored".into(),
        Command::ComputeAt { .. } => "computed where a part of it is needed, the shared rim twice".into(),
        Command::Rescale { .. } => "a block of each row at a time: sums keep up with a maximum that still grows".into(),
        Command::StoreAt { .. } => "only what one iteration needs of it is stored".into(),
        Command::Privatise(_) => "partial results of its own for each, added up at the end".into(),
        // The policy takes none of these.
        Command::Exchange { .. }
        | Command::Tile { .. }
        | Command::TileBy { .. }
        | Command::Shift { .. }
        | Command::Reverse { .. }
        | Command::Cut { .. }
        | Command::Peel { .. }
        | Command::Collapse { .. }
        | Command::Launch { .. }
        | Command::Bind { .. }
        | Command::Part { .. }
        | Command::Auto { .. } => return None,
    })
}

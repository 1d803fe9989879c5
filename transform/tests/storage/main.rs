//! Commands on storage.

#[path = "../common/mod.rs"]
mod common;

use polyhedral::Scop;
use support::Stage;
use transform::{Command, Promotion, Reason};

/// The scop after a command, whatever its proof says; it must be well formed.
fn preview(session: &transform::Session, command: &Command) -> Result<Scop, Reason> {
    let scop = session.preview(command)?;
    scop.verify().unwrap_or_else(|fault| panic!("{command}: {fault}\n{scop}"));
    Ok(scop)
}

#[test]
fn every_promotion_is_well_formed() {
    let mut refused = Vec::new();
    for (name, _) in polyhedral::testing::PROGRAMS {
        let session = common::session(name);
        let scop = session.scop();
        for tensor in scop.tensors.values() {
            for member in scop.tree.root.members() {
                for (transposed, padded, double) in [(false, 0, false), (true, 3, false), (false, 0, true)] {
                    let rank = tensor.extent.len() as u32;
                    let transposed = if transposed { (0..rank).rev().collect() } else { Vec::new() };
                    let promotion = Promotion { transposed, padded, double, ..Promotion::of(&tensor.name, &member.name) };
                    if let Err(reason) = preview(&session, &Command::Promote(promotion.clone())) {
                        refused.push(format!("{name}: promote {promotion}: {reason}"));
                    }
                }
                let prefetch = Command::prefetch(&tensor.name, &member.name, 2);
                if let Err(reason) = preview(&session, &prefetch) {
                    refused.push(format!("{name}: {prefetch}: {reason}"));
                }
            }
        }
    }
    println!("{}", refused.join("\n"));
}

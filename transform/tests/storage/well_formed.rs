//! Whatever a command on storage makes is a program, legal or not.

use polyhedral::{DType, Scop, testing};
use support::Stage;
use transform::{Command, Promotion, Reason, Session};

use crate::common;

/// The program after a command, with nothing proved.
fn preview(session: &Session, command: &Command) -> Result<Scop, Reason> {
    let scop = session.preview(command)?;
    scop.verify().unwrap_or_else(|fault| panic!("{command}: {fault}\n{scop}"));
    let text = scop.to_string();
    let again = Scop::parse(&scop.ctx, &text).unwrap_or_else(|error| panic!("{command}: {error}\n{scop}"));
    assert_eq!(again.to_string(), text, "{command}: what is printed is read back");
    Ok(scop)
}

/// Every tensor of every ready-made program at every loop; some do not fit, and say so.
#[test]
fn every_promotion_and_prefetch() {
    let (mut made, mut refused) = (0, 0);
    for (name, _) in testing::PROGRAMS {
        let session = common::session(name);
        for (tensor, member) in pairs(session.scop()) {
            for command in commands(session.scop(), &tensor, &member) {
                match preview(&session, &command) {
                    Ok(_) => made += 1,
                    Err(Reason::Precondition(_)) => refused += 1,
                    Err(reason) => panic!("{name}: {command}: {reason}"),
                }
            }
        }
    }
    assert!(made > 150 && refused > 50, "{made} made, {refused} refused");
}

fn pairs(scop: &Scop) -> Vec<(String, String)> {
    let members = scop.tree.root.members();
    let tensors = scop.tensors.values();
    tensors.flat_map(|tensor| members.iter().map(|member| (tensor.name.clone(), member.name.clone()))).collect()
}

fn commands(scop: &Scop, tensor: &str, member: &str) -> Vec<Command> {
    let rank = scop.tensors[scop.tensor_named(tensor).expect("a tensor")].extent.len() as u32;
    let plain = Promotion::of(tensor, member);
    let turned = Promotion { transposed: (0..rank).rev().collect(), padded: 3, ..plain.clone() };
    let double = Promotion { double: true, ..plain.clone() };
    let widened = Promotion { widened: Some(DType::F64), ..plain.clone() };
    let mut all: Vec<Command> = [plain, turned, double, widened].into_iter().map(Command::Promote).collect();
    all.push(Command::prefetch(tensor, member, 2));
    all
}

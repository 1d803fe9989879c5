//! Commands on storage.

#[path = "../common/mod.rs"]
mod common;

use support::Stage;
use transform::Script;

#[test]
fn look() {
    for (program, script) in [
        (
            "matmul",
            "tile C.update.m C.update.n C.update.k by 8 16 32 as mo no ko / mi ni ki\npromote B at C.update.ko as Bp\npromote A at C.update.ko transposed 1 0 padded 3 double\npromote C at C.update.no",
        ),
        ("conv3x3", ""),
    ] {
        let mut session = common::session(program);
        let script: Script = script.parse().unwrap();
        for (_, command) in script.lines() {
            match command.name() {
                "promote" => {
                    println!("{command}");
                    let scop = session.preview(command).unwrap();
                    println!("{scop}");
                    scop.verify().unwrap();
                }
                _ => session.apply(command.clone()).unwrap(),
            }
        }
        println!("{}", session.scop());
    }
}

//! Whole boxes in loops of their own have constant bounds, no guards and no masks.

use polyhedral::{isl, testing};
use transform::{Script, Session};

/// The loops of a matrix product of these sizes under a script.
fn loops(script: &str, sizes: &[i64]) -> String {
    let scop = testing::matmul(&isl::Ctx::new()).specialise(sizes).expect("sizes that fit");
    let mut session = Session::new(scop, &tilewright::host_target()).expect("its dependences are found");
    let script: Script = script.parse().expect("a script");
    session.replay(&script).unwrap_or_else(|refused| panic!("{refused}"));
    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}"));
    let options = codegen::Options::default();
    codegen::lower(&scheduled.scop, &options, &mut Vec::new()).expect("loops").to_string()
}

/// The lines of the loops in whole boxes; those in cut boxes follow.
fn whole(text: &str) -> Vec<&str> {
    let from = text.lines().position(|line| line.contains("for mi in")).expect("the loop in whole boxes");
    let lines = text.lines().skip(from);
    lines.take_while(|line| !line.contains("for mip")).collect()
}

#[test]
fn loops_in_whole_boxes_are_plain() {
    let text = loops(
        "tile C.update.m C.update.n by 32 16\nvectorise C.update.ni by 8\nseparate C.update.mo C.update.no",
        &[100, 70, 50],
    );
    let plain = whole(&text);
    assert!(plain.len() > 5, "{text}");
    for word in ["min(", "max(", "if ", "where"] {
        assert!(!plain.iter().any(|line| line.contains(word)), "`{word}` in\n{}", plain.join("\n"));
    }
    assert!(plain.iter().any(|line| line.contains("for mi in 32*mo..32*mo + 32")), "{text}");
    assert!(text.contains("for mip in"), "{text}");
}

#[test]
fn without_it_the_loops_are_not_plain() {
    let text = loops("tile C.update.m C.update.n by 32 16\nvectorise C.update.ni by 8", &[100, 70, 50]);
    assert!(text.contains("min(") && text.contains("where"), "{text}");
}

//! The text of commands on storage.

use expect_test::{Expect, expect};
use transform::{Command, Promotion, Script};

#[track_caller]
fn check(text: &str, expected: Expect) {
    let script: Script = text.parse().unwrap_or_else(|error| panic!("{error}"));
    expected.assert_eq(&script.to_string());
    assert_eq!(script.to_string().parse(), Ok(script), "what is printed is read back");
}

#[track_caller]
fn check_error(text: &str, expected: Expect) {
    expected.assert_eq(&text.parse::<Script>().expect_err("not a script").to_string());
}

#[test]
fn every_option_has_a_text() {
    check(
        "
        promote B
        promote B at C.update.ko
        promote B at ko as Bp of C.update C.init transposed 1 0 padded 8 widened float32 double in stack
        promote A in global
        prefetch B at C.update.ko
        prefetch B at C.update.ko ahead 3
        layout T [i,j]=[floor((i)/8),j,i mod 8] of [floor((M + 7)/8), N, 8]
        layout T [] = [] of []
        layout T [i] = [min(i, 3)] of [4]
        fold T dim 0 by 2
        ",
        expect![[r#"
            promote B
            promote B at C.update.ko
            promote B at ko as Bp of C.update C.init transposed 1 0 padded 8 widened float32 double in stack
            promote A in global
            prefetch B at C.update.ko
            prefetch B at C.update.ko ahead 3
            layout T [i, j] = [floor((i)/8), j, i mod 8] of [floor((M + 7)/8), N, 8]
            layout T [] = [] of []
            layout T [i] = [min(i, 3)] of [4]
            fold T dim 0 by 2
        "#]],
    );
}

#[test]
fn commands_from_rust_print_alike() {
    let promotion = Promotion { padded: 4, double: true, ..Promotion::of("B", "ko") };
    let script: Script = [
        Command::promote("A", "C.update.m"),
        Command::Promote(promotion),
        Command::prefetch("A", "m", 2),
        Command::layout("T", ["i"], ["i mod 4"], ["4"]),
        Command::fold("T", 1, 3),
    ]
    .into_iter()
    .collect();
    expect![[r#"
        promote A at C.update.m
        promote B at ko padded 4 double
        prefetch A at m ahead 2
        layout T [i] = [i mod 4] of [4]
        fold T dim 1 by 3
    "#]]
    .assert_eq(&script.to_string());
}

#[test]
fn what_is_no_command() {
    check_error("promote", expect!["line 1, column 8: expected a tensor, found the end of the line"]);
    check_error("promote B at", expect!["line 1, column 13: expected a loop, found the end of the line"]);
    check_error(
        "promote B in cache",
        expect!["line 1, column 14: expected `stack`, `global`, `shared` or `registers`, found `cache`"],
    );
    check_error(
        "promote B transposed",
        expect!["line 1, column 21: expected the number of a dimension, found the end of the line"],
    );
    check_error("promote B padded 0", expect!["line 1, column 18: expected a size from 1 to 4294967295, found `0`"]);
    check_error("promote B double stack", expect!["line 1, column 18: expected the end of the line, found `stack`"]);
    check_error("promote B of at ko", expect!["line 1, column 14: expected a statement, found `at`"]);
    check_error("prefetch B", expect!["line 1, column 11: expected `at`, found the end of the line"]);
    check_error(
        "prefetch B at ko ahead 0",
        expect!["line 1, column 24: expected a size from 1 to 4294967295, found `0`"],
    );
    check_error("layout T [i] of [4]", expect!["line 1, column 14: expected `=`, found `of`"]);
    check_error("layout T [i] = [i mod 4]", expect!["line 1, column 25: expected `of`, found the end of the line"]);
    check_error(
        "layout T [i = [i] of [4]",
        expect!["line 1, column 10: expected `[`, texts with commas between them, and `]`, found `[i`"],
    );
    check_error("fold T 0 by 2", expect!["line 1, column 8: expected `dim`, found `0`"]);
    check_error("fold T dim x by 2", expect!["line 1, column 12: expected the number of a dimension, found `x`"]);
    check_error("fold T dim 0 by 0", expect!["line 1, column 17: expected a size from 1 to 4294967295, found `0`"]);
}

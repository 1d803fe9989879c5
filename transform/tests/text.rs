//! Scripts as text: what is printed is read back, and what is not a script is refused with its place.

use expect_test::{Expect, expect};
use support::Stage;
use transform::{COMMANDS, Script};

/// A script, and what it prints as.
#[track_caller]
fn check(text: &str, expected: Expect) {
    let script: Script = text.parse().unwrap_or_else(|error| panic!("{error}"));
    expected.assert_eq(&script.to_string());
    assert_eq!(script.to_string().parse(), Ok(script.clone()), "what is printed is read back");
    script.verify().expect("well formed");
}

#[track_caller]
fn check_error(text: &str, expected: Expect) {
    expected.assert_eq(&text.parse::<Script>().expect_err("not a script").to_string());
}

#[test]
fn every_command_has_a_text() {
    check(
        "
        split C.update.k by 256 as ko ki   # strips
        split k by 1
        tile a.m a.n by 96 512 as mo no / mi ni
        tile m by 3 as x / y
        reorder a b c
        fuse C.init C.update
        fuse C.init C.update depth 2
        fuse C.init C.update depth 2 shift -1 0
        distribute C.init.m
        skew A.j by -2 of A.i
        skew A.j by 1 of A.i as t
        shift B.i by 3
        shift B.i by -3 for B C.init
        reverse C.update.k
        cut C.update.k at 64
        cut C.update.k at  min(8*C.update.mo, floor((K + 1)/2)) - 3 as near far
        peel C.update.k first 2
        peel C.update.k last 1 as body end
        separate C.update.mo C.update.no
        bind C.update.mo to block.x
        bind S.update.io to block.x atomically
        bind to atomically to block.y   atomically
        parallel C.update.mo
        vectorise n by 16
        unroll m by 12 as mo mu
        auto
        auto C.update C.init
        inline T
        compute T at B.io
        store T at B.io
        store T at B.io in global
        privatise S at S.update.io
        privatise S at S.update.i by 16 as P in stack
        order {
            band
              m = { S[m] -> [(m)] }
        }
        ",
        expect![[r#"
            split C.update.k by 256 as ko ki
            split k by 1
            tile a.m a.n by 96 512 as mo no / mi ni
            tile m by 3 as x / y
            reorder a b c
            fuse C.init C.update
            fuse C.init C.update depth 2
            fuse C.init C.update depth 2 shift -1 0
            distribute C.init.m
            skew A.j by -2 of A.i
            skew A.j by 1 of A.i as t
            shift B.i by 3
            shift B.i by -3 for B C.init
            reverse C.update.k
            cut C.update.k at 64
            cut C.update.k at min(8*C.update.mo, floor((K + 1)/2)) - 3 as near far
            peel C.update.k first 2
            peel C.update.k last 1 as body end
            separate C.update.mo C.update.no
            bind C.update.mo to block.x
            bind S.update.io to block.x atomically
            bind to atomically to block.y atomically
            parallel C.update.mo
            vectorise n by 16
            unroll m by 12 as mo mu
            auto
            auto C.update C.init
            inline T
            compute T at B.io
            store T at B.io
            store T at B.io in global
            privatise S at S.update.io
            privatise S at S.update.i by 16 as P in stack
            order {
                band
                  m = { S[m] -> [(m)] }
            }
        "#]],
    );
}

#[test]
fn an_order_keeps_its_lines_and_what_follows_keeps_its_line() {
    let text =
        "order {\n    band\n      m = { S[m] -> [(m)] }\n\n      # and\n      n = { S[m] -> [(m)] }\n}\nparallel m\n";
    let script: Script = text.parse().expect("a script");
    assert_eq!(script.lines().map(|(line, _)| line).collect::<Vec<_>>(), [1, 8]);
    let mut pushed = Script::new();
    script.commands().for_each(|command| pushed.push(command.clone()));
    assert_eq!(pushed.lines().map(|(line, _)| line).collect::<Vec<_>>(), [1, 8]);
}

#[test]
fn what_is_not_a_command() {
    check_error(
        "\n  splt C.update.k by 4",
        expect!["line 2, column 3: expected a command, perhaps `split`, found `splt`"],
    );
    check_error("split (((((", expect!["line 1, column 7: expected a loop, found `(((((`"]);
    let error = "(((((".parse::<Script>().expect_err("not a script");
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    assert_eq!((error.line, error.column, error.found.as_str()), (1, 1, "`(((((`"));
    assert_eq!(error.expected, format!("a command ({})", names.join(", ")), "all of them when none is close");
}

#[test]
fn what_a_split_wants() {
    check_error("split", expect!["line 1, column 6: expected a loop, found the end of the line"]);
    check_error("split k 4", expect!["line 1, column 9: expected `by`, found `4`"]);
    check_error(
        "split k by",
        expect!["line 1, column 11: expected a size from 1 to 4294967295, found the end of the line"],
    );
    check_error("split k by 0", expect!["line 1, column 12: expected a size from 1 to 4294967295, found `0`"]);
    check_error(
        "split k by 99999999999",
        expect!["line 1, column 12: expected a size from 1 to 4294967295, found `99999999999`"],
    );
    check_error("split k by 4 as ko", expect!["line 1, column 19: expected a new name, found the end of the line"]);
    check_error("split k by 4 into a b", expect!["line 1, column 14: expected the end of the line, found `into`"]);
    check_error("split k by 4 as a b c", expect!["line 1, column 21: expected the end of the line, found `c`"]);
    check_error("split 4k by 4", expect!["line 1, column 7: expected a loop, found `4k`"]);
    check_error("split a..b by 4", expect!["line 1, column 7: expected a loop, found `a..b`"]);
}

#[test]
fn what_a_tile_wants() {
    check_error("tile by 4", expect!["line 1, column 6: expected a loop, found `by`"]);
    check_error("tile m n", expect!["line 1, column 9: expected another loop, or `by`, found the end of the line"]);
    check_error(
        "tile m n by 4 5 as a b c d",
        expect!["line 1, column 27: expected another name, or `/`, found the end of the line"],
    );
    check_error(
        "tile m n by 4 5 as a b /",
        expect!["line 1, column 25: expected a new name, found the end of the line"],
    );
}

#[test]
fn what_an_order_wants() {
    check_error(
        "order",
        expect!["line 1, column 6: expected `{`, and the tree on the lines after it, found the end of the line"],
    );
    check_error(
        "order {",
        expect![
            "line 2, column 1: expected a line with `}`, which closes the `order {` of line 1, found the end of the script"
        ],
    );
    check_error(
        "order {\n  band\n",
        expect![
            "line 3, column 1: expected a line with `}`, which closes the `order {` of line 1, found the end of the script"
        ],
    );
    check_error(
        "order { band }",
        expect!["line 1, column 7: expected `{`, and the tree on the lines after it, found `{`"],
    );
}

#[test]
fn what_a_fuse_wants() {
    check_error("fuse C.init", expect!["line 1, column 12: expected a statement, found the end of the line"]);
    check_error(
        "fuse a b depth",
        expect!["line 1, column 15: expected a size from 1 to 4294967295, found the end of the line"],
    );
    check_error("fuse a b c", expect!["line 1, column 10: expected the end of the line, found `c`"]);
}

#[test]
fn what_the_commands_on_one_loop_want() {
    check_error(
        "fuse a b depth 1 shift",
        expect!["line 1, column 23: expected a number from -2147483648 to 2147483647, found the end of the line"],
    );
    check_error(
        "fuse a b shift x",
        expect!["line 1, column 16: expected a number from -2147483648 to 2147483647, found `x`"],
    );
    check_error("skew a", expect!["line 1, column 7: expected `by`, found the end of the line"]);
    check_error(
        "skew a by x of b",
        expect!["line 1, column 11: expected a number from -2147483648 to 2147483647, found `x`"],
    );
    check_error("skew a by 1", expect!["line 1, column 12: expected `of`, found the end of the line"]);
    check_error("skew a by 1 of b as", expect!["line 1, column 20: expected a new name, found the end of the line"]);
    check_error(
        "shift a by 99999999999",
        expect!["line 1, column 12: expected a number from -2147483648 to 2147483647, found `99999999999`"],
    );
    check_error("shift a by 1 for", expect!["line 1, column 17: expected a statement, found the end of the line"]);
    check_error("reverse a b", expect!["line 1, column 11: expected the end of the line, found `b`"]);
    check_error("cut a 64", expect!["line 1, column 7: expected `at`, found `64`"]);
    check_error("cut a at", expect!["line 1, column 9: expected an expression, found the end of the line"]);
    check_error("cut a at N ; M", expect!["line 1, column 10: expected an expression, found `N`"]);
    check_error("cut a at N as b", expect!["line 1, column 16: expected a new name, found the end of the line"]);
    check_error("peel a 3", expect!["line 1, column 8: expected `first` or `last`, found `3`"]);
    check_error("peel a first 0", expect!["line 1, column 14: expected a size from 1 to 4294967295, found `0`"]);
    check_error("peel a first 1 as b", expect!["line 1, column 20: expected a new name, found the end of the line"]);
    check_error("separate", expect!["line 1, column 9: expected a loop, found the end of the line"]);
    check_error(
        "bind a to block",
        expect!["line 1, column 11: expected an axis of a target (rank, cluster, block.x, …), found `block`"],
    );
    check_error(
        "bind a to",
        expect![
            "line 1, column 10: expected an axis of a target (rank, cluster, block.x, …), found the end of the line"
        ],
    );
    check_error("bind a", expect!["line 1, column 7: expected another loop, or `to`, found the end of the line"]);
}

#[test]
fn columns_count_characters() {
    check_error("split ä by 4", expect!["line 1, column 7: expected a loop, found `ä`"]);
}

#[test]
fn ten_megabytes_of_nothing_are_an_error() {
    let error = "(".repeat(10 << 20).parse::<Script>().expect_err("not a script");
    // It names the commands that there are.
    assert!(error.to_string().len() < 400, "a short message: {error}");
}

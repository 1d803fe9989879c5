//! Commands that a script defines: what they stand for, and what is said when they do not fit.

mod common;

use common::{replay, session, tree};
use expect_test::{Expect, expect};
use transform::{Command, Definitions, Refused, Script};

/// What a script stands for; it reads back, and once more to the same bytes.
#[track_caller]
fn check(text: &str, expected: Expect) {
    let script: Script = text.parse().unwrap_or_else(|error| panic!("{error}"));
    expected.assert_eq(&script.to_string());
    let again: Script = script.to_string().parse().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.to_string(), script.to_string());
    assert_eq!(again, script);
}

#[track_caller]
fn check_error(text: &str, expected: Expect) {
    expected.assert_eq(&text.parse::<Script>().expect_err("not a script").to_string());
}

/// What is said of a script that matmul refuses.
#[track_caller]
fn check_refused(text: &str, expected: Expect) {
    let refused = replay(&mut session("matmul"), text).expect_err("a refusal");
    expected.assert_eq(&refused.to_string());
}

#[test]
fn arguments_take_the_place_of_parameters() {
    check(
        "
        define matmul_tile(S, m, n, k) {       # boxes, their rows on threads
            tile S.m S.n S.k by m n k as mo no ko / mi ni ki
            # the body's own comments belong to the definition
            parallel mo
            vectorise ni by 16
        }

        # for the second cache
        matmul_tile(C.update, 96, 512, 256)
        unroll C.update.mi by 2
        ",
        expect![[r#"
            # for the second cache
            # matmul_tile(C.update, 96, 512, 256): 3 commands
            tile C.update.m C.update.n C.update.k by 96 512 256 as C.update.mo C.update.no C.update.ko / C.update.mi C.update.ni C.update.ki
            parallel C.update.mo
            vectorise C.update.ni by 16
            unroll C.update.mi by 2
        "#]],
    );
}

#[test]
fn new_names_belong_to_the_use() {
    check(
        "
        define strips(L, n) {
            split L by n as o i
            unroll i by 2 as x y
            reorder x o
        }
        strips(a.m, 4)
        strips(a.n, 8)
        ",
        expect![[r#"
            # strips(a.m, 4): 3 commands
            split a.m by 4 as a.o a.i
            unroll a.i by 2 as a.x a.y
            reorder a.x a.o
            # strips(a.n, 8): 3 commands
            split a.n by 8 as a.o2 a.i2
            unroll a.i2 by 2 as a.x2 a.y2
            reorder a.x2 a.o2
        "#]],
    );
}

#[test]
fn new_names_can_be_arguments() {
    check(
        "
        define strips(L, n, outer, inner) {
            split L by n as outer inner
            parallel outer
        }
        define both(L, a, b) {
            strips(L, a, far, near)
            strips(near, b, here, there)
            reorder here far
        }
        strips(C.m, 4, mo, D.mi)
        both(C.n, 4, 5)
        ",
        expect![[r#"
            # strips(C.m, 4, mo, D.mi): 2 commands
            split C.m by 4 as C.mo D.mi
            parallel C.mo
            # both(C.n, 4, 5): 5 commands
            # strips(C.n, 4, far, near): 2 commands
            split C.n by 4 as C.far C.near
            parallel C.far
            # strips(C.near, 5, here, there): 2 commands
            split C.near by 5 as C.here C.there
            parallel C.here
            reorder C.here C.far
        "#]],
    );
}

#[test]
fn definitions_without_parameters_and_without_commands() {
    check(
        "
        define nothing() {
        }
        define rows() {
            parallel C.update.m
        }
        # nothing to say it of
        nothing()
        rows()
        ",
        expect![[r#"
            # nothing to say it of
            # rows(): 1 command
            parallel C.update.m
        "#]],
    );
}

#[test]
fn what_is_recorded_replays_to_the_same_bytes() {
    let script = "
        define rows(S, n) {
            split S.m by n as mo mi
            parallel mo
        }
        # by hand
        rows(C.update, 8)
        rows(C.init, 8)
    ";
    let mut first = session("matmul");
    replay(&mut first, script).expect("legal");
    let recorded = first.script().to_string();
    expect![[r#"
        # by hand
        # rows(C.update, 8): 2 commands
        split C.update.m by 8 as mo mi
        parallel C.update.mo
        # rows(C.init, 8): 2 commands
        split C.init.m by 8 as mo mi
        parallel C.init.mo
    "#]]
    .assert_eq(&recorded);
    let mut second = session("matmul");
    replay(&mut second, &recorded).expect("legal");
    assert_eq!((second.script().to_string(), tree(&second)), (recorded.clone(), tree(&first)));
    let lines: Vec<usize> = first.script().lines().map(|(line, _)| line).collect();
    assert_eq!(lines, recorded.parse::<Script>().expect("a script").lines().map(|(line, _)| line).collect::<Vec<_>>());
}

#[test]
fn a_composite_is_one_step() {
    let mut session = session("matmul");
    let rows = |session: &mut transform::Session, member: &str| {
        let name = format!("rows of {member}");
        session.composite(&name, |session| -> Result<(), Refused> {
            session.apply(Command::split(member, 8))?;
            session.apply(Command::parallel(format!("{member}o")))
        })
    };
    rows(&mut session, "C.update.m").expect("legal");
    let (recorded, was) = (session.script().to_string(), tree(&session));
    assert_eq!(recorded, "# rows of C.update.m: 2 commands\nsplit C.update.m by 8 as mo mi\nparallel C.update.mo\n");
    let refused = rows(&mut session, "C.update.k").expect_err("a reduction");
    assert_eq!(refused.command, "parallel C.update.ko");
    assert_eq!((session.script().to_string(), tree(&session)), (recorded, was), "none of its steps is left");
}

#[test]
fn errors_name_the_use_and_the_line_of_the_definition() {
    let text = "define strips(L, n) {\n  split L by n as lo li\n  parallel lo\n}\ndefine two(S) {\n  strips(S.m, 4)\n  \
                strips(S.k, 4)\n}\n\n";
    check_refused(
        &format!("{text}two(C.update)\n"),
        expect![
            "line 10: in `two(C.update)`, line 7: in `strips(C.update.k, 4)`, line 3: `parallel C.update.lo2` refused: `C.update[0, 0, 0]` and `C.update[0, 0, 4]` update one element (reduction through `C[0, 0]`), but the parallel loop `C.update.lo2` would run them at once, for example for M = 1, N = 1, K = 5"
        ],
    );
    check_refused(
        &format!("{text}strips(C.update.kk, 4)\n"),
        expect![
            "line 10: in `strips(C.update.kk, 4)`, line 2: `split C.update.kk by 4 as C.update.lo C.update.li` refused: there is no loop `C.update.kk`; did you mean `C.update.k`? (loops: C.init.m, C.init.n, C.update.m, C.update.n, C.update.k)"
        ],
    );
    check_error(
        &format!("{text}strips(C.update.k, 0)\n"),
        expect![
            "line 10: in `strips(C.update.k, 0)`, line 2 of the definition: expected a size from 1 to 4294967295, found `0`"
        ],
    );
    check_error(
        &format!("{text}strips(C.update.k)\n"),
        expect!["line 10, column 1: expected 2 arguments (L, n), found 1"],
    );
    check_error(
        "define f(L, n) {\n  split L by n as lo n\n}\nf(a.m, 4)",
        expect!["line 4: in `f(a.m, 4)`, line 2 of the definition: expected a new name, found `4`"],
    );
    check_error(
        &format!("{text}  stripes(C.update.k, 2)\n"),
        expect!["line 10, column 1: expected a command or a definition above, perhaps `strips`, found `stripes`"],
    );
}

#[test]
fn what_a_definition_wants() {
    check_error(
        "define",
        expect!["line 1, column 7: expected a name without dots that is no command, found the end of the line"],
    );
    check_error(
        "define a.b() {",
        expect!["line 1, column 8: expected a name without dots that is no command, found `a.b()`"],
    );
    check_error(
        "define split() {",
        expect!["line 1, column 8: expected a name without dots that is no command, found `split()`"],
    );
    check_error("define f {", expect!["line 1, column 10: expected `(`, found `{`"]);
    check_error("define f(a.b) {", expect!["line 1, column 10: expected `,` or `)`, found `a.b)`"]);
    check_error("define f(a, a) {", expect!["line 1, column 1: expected a name for each parameter, found `define`"]);
    check_error(
        "define f(a)",
        expect!["line 1, column 12: expected `{`, and the commands on the lines after it, found the end of the line"],
    );
    check_error(
        "define f(a) { split a by 2 }",
        expect!["line 1, column 15: expected the end of the line, found `split`"],
    );
    check_error(
        "define f(a) {\n split a by 2\n",
        expect![
            "line 3, column 1: expected a line with `}`, which closes the `define` of line 1, found the end of the script"
        ],
    );
    check_error(
        "define f() {\n}\ndefine f() {\n}",
        expect!["line 3, column 1: expected a name that is not defined yet, found `f`"],
    );
    check_error(
        "define f() {\n define g() {\n }\n}",
        expect!["line 2, column 1: expected a command: definitions stand by themselves, found `define`"],
    );
    check_error(
        "define f() {\n order {\n }\n}",
        expect!["line 2, column 1: expected a command with parameters: a tree is of one program, found `order`"],
    );
    check_error(
        "define f() {\n splitt a by 2\n}",
        expect!["line 2, column 1: expected a command or a definition above, perhaps `split`, found `splitt`"],
    );
    check_error("f(a", expect!["line 1, column 4: expected `,` or `)`, found the end of the line"]);
    check_error("f(a) b", expect!["line 1, column 6: expected the end of the line, found `b`"]);
}

#[test]
fn definitions_do_not_use_themselves() {
    check_error(
        "define f(a) {\n f(a)\n}",
        expect!["line 2, column 1: expected a definition above this one: none can use itself, found `f`"],
    );
    check_error(
        "define f(a) {\n g(a)\n}\ndefine g(a) {\n f(a)\n}",
        expect!["line 2, column 1: expected a command (nothing is defined above), found `g`"],
    );
}

#[test]
fn definitions_that_grow_without_end_are_refused() {
    let mut doubling = String::from("define d0(a) {\n split a by 2\n}\n");
    for at in 1..=30 {
        doubling += &format!("define d{at}(a) {{\n d{0}(a)\n d{0}(a)\n}}\n", at - 1);
    }
    let error = format!("{doubling}d30(x)").parse::<Script>().expect_err("a billion commands").to_string();
    assert!(error.ends_with("expected at most 10000 commands in all, found another one"), "{error}");
    let mut deep = String::from("define d0() {\n parallel a\n}\n");
    for at in 1..=100 {
        deep += &format!("define d{at}() {{\n d{}()\n}}\n", at - 1);
    }
    let error = format!("{deep}d100()").parse::<Script>().expect_err("too deep").to_string();
    assert!(error.contains("at most 32 deep"), "{error}");
}

#[test]
fn a_library_is_used_from_a_program() {
    let library: Definitions = "define rows(S, n) {\n split S.m by n as mo mi\n}".parse().expect("definitions");
    let script = library.expand("rows", ["C.update", "8"]).expect("it fits");
    expect![[r#"
        # rows(C.update, 8): 1 command
        split C.update.m by 8 as C.update.mo C.update.mi
    "#]]
    .assert_eq(&script.to_string());
    let error = library.expand("rows", ["C.update"]).expect_err("one is missing");
    expect!["line 1, column 1: expected 2 arguments (S, n), found 1"].assert_eq(&error.to_string());
    assert_eq!(library.iter().map(|one| (one.name(), one.params().len())).collect::<Vec<_>>(), [("rows", 2)]);
}

#[test]
fn auto_needs_a_policy() {
    check_refused(
        "auto",
        expect![
            "line 1: `auto` refused: `auto` is for a policy, and here is none: the compiler has one, as has `Session::replay_with`"
        ],
    );
}

//! Loops over time: which are tiled, how, and that every script is legal and replays.

use expect_test::{Expect, expect};
use polyhedral::{isl, testing};
use scheduler::{Cpu, InTime, Time};
use support::Target;
use transform::{Policy, Script, Session};

fn target(threads: u32) -> Target {
    let target = Target::from_toml(include_str!("../../tilewright/targets/znver5.toml")).expect("a target");
    Target { threads, ..target }
}

fn scripted(name: &str, sizes: &[i64], threads: u32, policy: &dyn Policy) -> (String, String) {
    let scop = testing::polybench(name).scop(&isl::Ctx::new()).specialise(sizes).expect("sizes that fit");
    let mut session = Session::new(scop.clone(), &target(threads)).expect("a session");
    policy.schedule(&mut session).expect("a policy that takes what it gets");
    let scheduled = session.finish().expect("legal");
    let script = scheduled.script.to_string();
    // What is recorded replays by itself, with every proof.
    let mut again = Session::new(scop, &target(threads)).expect("a session");
    again.replay(&script.parse::<Script>().expect("a script")).expect("legal");
    assert_eq!(again.finish().expect("legal").script.to_string(), script);
    (script, scheduled.remarks.iter().map(|remark| format!("# {remark}\n")).collect())
}

#[track_caller]
fn check(name: &str, sizes: &[i64], threads: u32, expected: Expect) {
    let (script, remarks) = scripted(name, sizes, threads, &Cpu);
    expected.assert_eq(&format!("{script}{remarks}"));
}

#[test]
fn points_on_a_line() {
    check("jacobi_1d", &[500, 4_000_000], 1, expect![[]]);
    check("jacobi_1d", &[500, 4_000_000], 2, expect![[]]);
}

#[test]
fn points_in_the_plane() {
    check("jacobi_2d", &[500, 2000], 1, expect![[]]);
    check("jacobi_2d", &[500, 2000], 2, expect![[]]);
}

#[test]
fn points_in_space() {
    check("heat_3d", &[100, 200], 1, expect![[]]);
    check("heat_3d", &[100, 200], 2, expect![[]]);
}

/// Four statements, one of them on the first row only, that need each other to one side.
#[test]
fn fields_on_a_staggered_grid() {
    check("fdtd_2d", &[200, 2000, 2000], 1, expect![[]]);
    check("fdtd_2d", &[200, 2000, 2000], 2, expect![[]]);
}

#[test]
fn what_a_cache_holds_and_few_steps_stay_as_they_are() {
    for (name, sizes) in [("jacobi_1d", [500, 4000]), ("jacobi_2d", [500, 200]), ("jacobi_2d", [3, 2000])] {
        let with = scripted(name, &sizes, 1, &Cpu);
        assert_eq!(with, scripted(name, &sizes, 1, &InTime { when: Time::Never }), "{name} {sizes:?}");
        assert!(!with.0.contains("order"), "{}", with.0);
    }
}

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
    check(
        "jacobi_1d",
        &[500, 4_000_000],
        1,
        expect![[r#"
        order {
            band
              B.to = { A[t, i] -> [(floor((t)/128))]; B[t, i] -> [(floor((t)/128))] }
              B.io = { A[t, i] -> [(floor((1 + 2t + i)/1024))]; B[t, i] -> [(floor((2t + i)/1024))] }
              B.t = { A[t, i] -> [(t)]; B[t, i] -> [(t)] }
              sequence
                filter { B[t, i] }
                  band
                    B.i = { B[t, i] -> [(2t + i)] }
                filter { A[t, i] }
                  band
                    A.i = { A[t, i] -> [(1 + 2t + i)] }
        }
        vectorise B.i by 32 as io2 iv
        vectorise A.i by 32 as io iv
    "#]],
    );
    check(
        "jacobi_1d",
        &[500, 4_000_000],
        2,
        expect![[r#"
        order {
            band
              B.w = { A[t, i] -> [(floor((1 + 2t - i)/2048) + floor((1 + 2t + i)/2048))]; B[t, i] -> [(floor((2t - i)/2048) + floor((2t + i)/2048))] }
              B.io = { A[t, i] -> [(floor((1 + 2t + i)/2048))]; B[t, i] -> [(floor((2t + i)/2048))] }
              B.t = { A[t, i] -> [(t)]; B[t, i] -> [(t)] }
              sequence
                filter { B[t, i] }
                  band
                    B.i = { B[t, i] -> [(i)] }
                filter { A[t, i] }
                  band
                    A.i = { A[t, i] -> [(i)] }
        }
        parallel B.io
        vectorise B.i by 32 as io2 iv
        vectorise A.i by 32 as io iv
    "#]],
    );
}

#[test]
fn points_in_the_plane() {
    check(
        "jacobi_2d",
        &[500, 2000],
        1,
        expect![[r#"
        order {
            band
              B.to = { A[t, i, j] -> [(floor((t)/16))]; B[t, i, j] -> [(floor((t)/16))] }
              B.io = { A[t, i, j] -> [(floor((1 + 2t + i)/32))]; B[t, i, j] -> [(floor((2t + i)/32))] }
              B.jo = { A[t, i, j] -> [(floor((1 + 2t + j)/512))]; B[t, i, j] -> [(floor((2t + j)/512))] }
              B.t = { A[t, i, j] -> [(t)]; B[t, i, j] -> [(t)] }
              sequence
                filter { B[t, i, j] }
                  band
                    B.i = { B[t, i, j] -> [(2t + i)] }
                    B.j = { B[t, i, j] -> [(2t + j)] }
                filter { A[t, i, j] }
                  band
                    A.i = { A[t, i, j] -> [(1 + 2t + i)] }
                    A.j = { A[t, i, j] -> [(1 + 2t + j)] }
        }
        vectorise B.j by 8 as jo2 jv
        unroll B.i by 4 as io2 iu
        vectorise A.j by 8 as jo jv
        unroll A.i by 4 as io iu
    "#]],
    );
    check(
        "jacobi_2d",
        &[500, 2000],
        2,
        expect![[r#"
        order {
            band
              B.w = { A[t, i, j] -> [(floor((1 + 2t - i)/64) + floor((1 + 2t + i)/64))]; B[t, i, j] -> [(floor((2t - i)/64) + floor((2t + i)/64))] }
              B.io = { A[t, i, j] -> [(floor((1 + 2t + i)/64))]; B[t, i, j] -> [(floor((2t + i)/64))] }
              B.jo = { A[t, i, j] -> [(floor((1 + 2t + j)/512))]; B[t, i, j] -> [(floor((2t + j)/512))] }
              B.t = { A[t, i, j] -> [(t)]; B[t, i, j] -> [(t)] }
              sequence
                filter { B[t, i, j] }
                  band
                    B.i = { B[t, i, j] -> [(i)] }
                    B.j = { B[t, i, j] -> [(2t + j)] }
                filter { A[t, i, j] }
                  band
                    A.i = { A[t, i, j] -> [(i)] }
                    A.j = { A[t, i, j] -> [(1 + 2t + j)] }
        }
        parallel B.io
        vectorise B.j by 8 as jo2 jv
        vectorise A.j by 8 as jo jv
    "#]],
    );
}

#[test]
fn points_in_space() {
    check(
        "heat_3d",
        &[100, 200],
        1,
        expect![[r#"
        order {
            band
              B.to = { A[t, i, j, k] -> [(floor((t)/8))]; B[t, i, j, k] -> [(floor((t)/8))] }
              B.io = { A[t, i, j, k] -> [(floor((1 + 2t + i)/16))]; B[t, i, j, k] -> [(floor((2t + i)/16))] }
              B.jo = { A[t, i, j, k] -> [(floor((1 + 2t + j)/16))]; B[t, i, j, k] -> [(floor((2t + j)/16))] }
              B.t = { A[t, i, j, k] -> [(t)]; B[t, i, j, k] -> [(t)] }
              sequence
                filter { B[t, i, j, k] }
                  band
                    B.i = { B[t, i, j, k] -> [(i)] }
                    B.j = { B[t, i, j, k] -> [(2t + j)] }
                    B.k = { B[t, i, j, k] -> [(k)] }
                filter { A[t, i, j, k] }
                  band
                    A.i = { A[t, i, j, k] -> [(i)] }
                    A.j = { A[t, i, j, k] -> [(1 + 2t + j)] }
                    A.k = { A[t, i, j, k] -> [(k)] }
        }
        vectorise B.k by 8 as ko kv
        vectorise A.k by 8 as ko kv
    "#]],
    );
    check(
        "heat_3d",
        &[100, 200],
        2,
        expect![[r#"
        order {
            band
              B.w = { A[t, i, j, k] -> [(floor((1 + 2t - i)/32) + floor((1 + 2t + i)/32))]; B[t, i, j, k] -> [(floor((2t - i)/32) + floor((2t + i)/32))] }
              B.io = { A[t, i, j, k] -> [(floor((1 + 2t + i)/32))]; B[t, i, j, k] -> [(floor((2t + i)/32))] }
              B.jo = { A[t, i, j, k] -> [(floor((1 + 2t + j)/16))]; B[t, i, j, k] -> [(floor((2t + j)/16))] }
              B.t = { A[t, i, j, k] -> [(t)]; B[t, i, j, k] -> [(t)] }
              sequence
                filter { B[t, i, j, k] }
                  band
                    B.i = { B[t, i, j, k] -> [(i)] }
                    B.j = { B[t, i, j, k] -> [(2t + j)] }
                    B.k = { B[t, i, j, k] -> [(k)] }
                filter { A[t, i, j, k] }
                  band
                    A.i = { A[t, i, j, k] -> [(i)] }
                    A.j = { A[t, i, j, k] -> [(1 + 2t + j)] }
                    A.k = { A[t, i, j, k] -> [(k)] }
        }
        parallel B.io
        vectorise B.k by 8 as ko kv
        vectorise A.k by 8 as ko kv
    "#]],
    );
}

/// Four statements, one of them on the first row only, that need each other to one side.
#[test]
fn fields_on_a_staggered_grid() {
    check(
        "fdtd_2d",
        &[200, 2000, 2000],
        1,
        expect![[r#"
        order {
            band
              ey.source.to = { ex[t, i, j] -> [(floor((t)/16))]; ey.source[t, j] -> [(floor((t)/16))]; ey[t, i, j] -> [(floor((t)/16))]; hz[t, i, j] -> [(floor((t)/16))] }
              ey.source.io = { ex[t, i, j] -> [(floor((t + i)/16))]; ey.source[t, j] -> [(floor((t)/16))]; ey[t, i, j] -> [(floor((t + i)/16))]; hz[t, i, j] -> [(floor((1 + t + i)/16))] }
              ey.source.jo = { ex[t, i, j] -> [(floor((t + j)/512))]; ey.source[t, j] -> [(floor((t + j)/512))]; ey[t, i, j] -> [(floor((t + j)/512))]; hz[t, i, j] -> [(floor((1 + t + j)/512))] }
              ey.source.t = { ex[t, i, j] -> [(t)]; ey.source[t, j] -> [(t)]; ey[t, i, j] -> [(t)]; hz[t, i, j] -> [(t)] }
              sequence
                filter { ey.source[t, j] }
                  band
                    ey.source.j = { ey.source[t, j] -> [(t + j)] }
                filter { ey[t, i, j] }
                  band
                    ey.i = { ey[t, i, j] -> [(t + i)] }
                    ey.j = { ey[t, i, j] -> [(t + j)] }
                filter { ex[t, i, j] }
                  band
                    ex.i = { ex[t, i, j] -> [(t + i)] }
                    ex.j = { ex[t, i, j] -> [(t + j)] }
                filter { hz[t, i, j] }
                  band
                    hz.i = { hz[t, i, j] -> [(1 + t + i)] }
                    hz.j = { hz[t, i, j] -> [(1 + t + j)] }
        }
        vectorise ey.source.j by 8 as jo2 jv
        vectorise ey.j by 8 as jo jv
        unroll ey.i by 4 as io iu
        vectorise ex.j by 8 as jo jv
        unroll ex.i by 4 as io iu
        vectorise hz.j by 8 as jo jv
        unroll hz.i by 4 as io iu
    "#]],
    );
    check(
        "fdtd_2d",
        &[200, 2000, 2000],
        2,
        expect![[r#"
        order {
            band
              ey.source.w = { ex[t, i, j] -> [(floor((t - i)/32) + floor((t + i)/32))]; ey.source[t, j] -> [(2*floor((t)/32))]; ey[t, i, j] -> [(floor((t - i)/32) + floor((t + i)/32))]; hz[t, i, j] -> [(floor((t - i)/32) + floor((1 + t + i)/32))] }
              ey.source.io = { ex[t, i, j] -> [(floor((t + i)/32))]; ey.source[t, j] -> [(floor((t)/32))]; ey[t, i, j] -> [(floor((t + i)/32))]; hz[t, i, j] -> [(floor((1 + t + i)/32))] }
              ey.source.jo = { ex[t, i, j] -> [(floor((t + j)/512))]; ey.source[t, j] -> [(floor((t + j)/512))]; ey[t, i, j] -> [(floor((t + j)/512))]; hz[t, i, j] -> [(floor((1 + t + j)/512))] }
              ey.source.t = { ex[t, i, j] -> [(t)]; ey.source[t, j] -> [(t)]; ey[t, i, j] -> [(t)]; hz[t, i, j] -> [(t)] }
              sequence
                filter { ey.source[t, j] }
                  band
                    ey.source.j = { ey.source[t, j] -> [(t + j)] }
                filter { ey[t, i, j] }
                  band
                    ey.i = { ey[t, i, j] -> [(i)] }
                    ey.j = { ey[t, i, j] -> [(t + j)] }
                filter { ex[t, i, j] }
                  band
                    ex.i = { ex[t, i, j] -> [(i)] }
                    ex.j = { ex[t, i, j] -> [(t + j)] }
                filter { hz[t, i, j] }
                  band
                    hz.i = { hz[t, i, j] -> [(i)] }
                    hz.j = { hz[t, i, j] -> [(1 + t + j)] }
        }
        parallel ey.source.io
        vectorise ey.source.j by 8 as jo2 jv
        vectorise ey.j by 8 as jo jv
        vectorise ex.j by 8 as jo jv
        vectorise hz.j by 8 as jo jv
    "#]],
    );
}

#[test]
fn what_a_cache_holds_and_few_steps_stay_as_they_are() {
    for (name, sizes) in [("jacobi_1d", [500, 4000]), ("jacobi_2d", [500, 200]), ("jacobi_2d", [3, 2000])] {
        let with = scripted(name, &sizes, 1, &Cpu);
        assert_eq!(with, scripted(name, &sizes, 1, &InTime { when: Time::Never }), "{name} {sizes:?}");
        assert!(!with.0.contains("order"), "{}", with.0);
    }
}

use expect_test::expect;
use support::{Cache, Target};

use super::*;
use crate::testing;

fn target(capacities: &[u64]) -> Target {
    let cache = |&bytes: &u64| Cache { bytes, ways: 8, line: 64, shared: false };
    Target {
        name: "test".into(),
        triple: String::new(),
        cpu: String::new(),
        threads: 1,
        launch_cycles: 3000,
        vector_bytes: 64,
        vector_registers: 32,
        fma_per_cycle: 2,
        fma_latency: 4,
        caches: capacities.iter().map(cache).collect(),
        features: String::new(),
    }
}

#[test]
fn the_table_of_a_large_matrix_product() {
    let scop = testing::matmul(&isl::Ctx::new());
    let moved = traffic(&scop, &[1024, 1024, 1024], &target(&[32 << 10, 1 << 20, 32 << 20])).unwrap();
    // B is streamed once for every row of A; its columns stay in L2 for sixteen of them.
    expect![[r#"
        matmul: bytes moved
                    L1, 32 KiB       L2, 1 MiB       L3, 32 MiB
                     in    out       in    out        in    out
          A       4 GiB      0    4 MiB      0     4 MiB      0
          B      64 GiB      0    4 GiB      0     4 MiB      0
          C       8 MiB  8 MiB    8 MiB  8 MiB     4 MiB  4 MiB
          all    68 GiB  8 MiB    4 GiB  8 MiB    12 MiB  4 MiB
    "#]]
    .assert_eq(&moved.to_string());
}

#[test]
fn computed_subscripts_give_bounds() {
    let scop = testing::gather(&isl::Ctx::new());
    let moved = traffic(&scop, &[4, 8, 1000, 32], &target(&[8 << 10])).unwrap();
    // 32 look-ups of rows of two lines.
    expect![[r#"
        gather: bytes moved
                          L1, 8 KiB
                            in  out
          T        bound 4 KiB    0
          I                128    0
          O                512  512
          all    bound 4.6 KiB  512
    "#]]
    .assert_eq(&moved.to_string());
}

/// One tensor, read by a look-up and by an affine subscript.
#[test]
fn a_tensor_may_be_read_both_ways() {
    let text = "
scop both(N)
context { : N > 0 }
input T: float32[N, 16]
input I: int32[N]
output O: float32[N, 16]
stmt O[i, j]
  domain { O[i, j] : 0 <= i < N and 0 <= j < 16 }
  O[i, j] = T[i, j] + T[value(I[i]), j]
";
    let scop = testing::scop(&isl::Ctx::new(), text);
    let moved = traffic(&scop, &[64], &target(&[1 << 10])).unwrap();
    let table = &moved.levels[0].tensors[0];
    assert_eq!((table.bytes_in, table.bytes_out), (Count::Bound(2 * 64 * 64), Count::Exact(0)));
}

#[test]
fn a_machine_without_caches_and_a_wrong_number_of_sizes() {
    let scop = testing::matmul(&isl::Ctx::new());
    assert!(traffic(&scop, &[8, 8, 8], &target(&[])).unwrap().levels.is_empty());
    assert!(traffic(&scop, &[8, 8], &target(&[1024])).is_err());
}

/// No cache fetches less than one that holds everything.
#[test]
fn larger_caches_fetch_less() {
    for scop in testing::programs(&isl::Ctx::new()) {
        let sizes: Vec<i64> = (0..scop.params.len()).map(|at| 20 + 3 * at as i64).collect();
        let moved = traffic(&scop, &sizes, &target(&[1 << 10, 1 << 20])).unwrap();
        let fetched: Vec<u64> = moved.levels.iter().map(|level| level.bytes_in().value()).collect();
        assert!(fetched.is_sorted_by(|near, far| near >= far), "{moved}");
        assert!(fetched[1] > 0, "{moved}");
    }
}

/// In the last of these programs there are sets that isl cannot coalesce.
#[test]
fn random_programs_are_predicted_too() {
    for seed in [0, 1, 2, 3, 33] {
        let scop = testing::random(&isl::Ctx::new(), seed);
        let moved = traffic(&scop, &[], &target(&[256, 1 << 20])).unwrap_or_else(|error| panic!("{error}\n{scop}"));
        let fetched: Vec<u64> = moved.levels.iter().map(|level| level.bytes_in().value()).collect();
        assert!(fetched[0] >= fetched[1], "seed {seed}: {moved}\n{scop}");
    }
}

/// What is stored past the caches is not fetched for that, and leaves the caches to the rest.
#[test]
fn streamed_stores_fetch_nothing() {
    let text = |streamed: &str| {
        format!(
            "
scop scale(N)
context {{ : N > 0 }}
input A: float32[N]
output B: float32[N]{streamed}
output S: float32[1]{streamed}
stmt B[i]
  domain {{ B[i] : 0 <= i < N }}
  B[i] = 2.0f32 * A[i]
stmt S.init[i]
  domain {{ S.init[0] }}
  S[i] = 0.0f32
stmt S.update[i, j]
  domain {{ S.update[0, j] : 0 <= j < N }}
  S[i] sum= A[j]
"
        )
    };
    let of = |streamed| {
        let scop = testing::scop(&isl::Ctx::new(), &text(streamed));
        let moved = traffic(&scop, &[4096], &target(&[1 << 10, 1 << 20])).unwrap();
        moved.levels.iter().map(|level| level.tensors.iter().map(|t| (t.bytes_in, t.bytes_out)).collect()).collect()
    };
    let exact = |bytes| Count::Exact(bytes);
    let (plain, streamed): (Vec<Vec<_>>, Vec<Vec<_>>) = (of(""), of(" streamed"));
    assert_eq!(plain[0], [(exact(32768), exact(0)), (exact(16384), exact(16384)), (exact(64), exact(64))]);
    assert_eq!(streamed[0], [(exact(32768), exact(0)), (exact(0), exact(16384)), (exact(64), exact(64))]);
    assert_eq!(streamed[1], [(exact(16384), exact(0)), (exact(0), exact(16384)), (exact(64), exact(64))]);
}

//! Temporaries that each iteration of a loop has elements of its own of need memory for one iteration.

use polyhedral::{Memory, isl, testing};
use scheduler::Cpu;
use support::Target;
use transform::{Policy, Scheduled, Session};

/// `Y(i, j) = T(i, j) + T(i - back, j)`, in one nest with what computes `T`.
fn scheduled(rows: i64, row: i64, back: i64) -> Scheduled {
    let text = format!(
        "scop two()
input X: float32[{rows}, {row}]
output Y: float32[{rows}, {row}]
temporary T: float32[{rows}, {row}]
temporary S: float32[{rows}]
stmt T[i, j]
  domain {{ T[i, j] : 0 <= i < {rows} and 0 <= j < {row} }}
  T[i, j] = exp(X[i, j])
stmt S.init[i]
  domain {{ S.init[i] : 0 <= i < {rows} }}
  S[i] = 0.0f32
stmt S.update[i, j]
  domain {{ S.update[i, j] : 0 <= i < {rows} and 0 <= j < {row} }}
  S[i] sum= T[i, j]
stmt Y[i, j]
  domain {{ Y[i, j] : {back} <= i < {rows} and 0 <= j < {row} }}
  Y[i, j] = T[i, j] / S[i] + T[i - {back}, j]
source
  for i
    for j
      T
    S.init
    for j
      S.update
    for j
      Y
"
    );
    let target = Target {
        threads: 2,
        ..Target::from_toml(include_str!("../../tilewright/targets/znver5.toml")).expect("a target")
    };
    let mut session = Session::new(testing::scop(&isl::Ctx::new(), &text), &target).expect("a session");
    Cpu.schedule(&mut session).expect("a policy that takes what it gets");
    session.finish().expect("legal")
}

/// Where a temporary is, and its extents.
fn memory(scheduled: &Scheduled, name: &str) -> (Memory, Vec<i64>) {
    let tensor = scheduled.scop.tensors.values().find(|tensor| tensor.name == name).expect("a temporary");
    let extent = tensor.layout.as_ref().map_or(&tensor.extent, |layout| &layout.extent);
    (tensor.memory, extent.iter().map(|n| n.as_const().expect("a number")).collect())
}

#[test]
fn what_an_iteration_writes_and_reads_is_kept_for_it() {
    // 256 KiB: more than the first cache, less than the second.
    let found = scheduled(1024, 64, 0);
    assert_eq!(memory(&found, "T"), (Memory::Stack, vec![1, 64]), "{}", found.script);
    // What the first cache holds stays where it is.
    assert_eq!(memory(&found, "S"), (Memory::Global, vec![1024]), "{}", found.script);
    let found = scheduled(16_384, 64, 0);
    assert_eq!(memory(&found, "S"), (Memory::Stack, vec![1]), "{}", found.script);
}

#[test]
fn what_another_iteration_reads_is_not() {
    let found = scheduled(16_384, 64, 1);
    assert_eq!(memory(&found, "T"), (Memory::Global, vec![16_384, 64]), "{}", found.script);
}

#[test]
fn a_row_that_no_near_cache_holds_stays_in_memory() {
    let found = scheduled(64, 32_768, 0);
    assert_eq!(memory(&found, "T"), (Memory::Global, vec![64, 32_768]), "{}", found.script);
}

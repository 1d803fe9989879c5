//! What a session accepts command by command, it accepts as a whole: commands that are not proved by themselves, because
//! the order stays or what is known of a band says enough, give no program that the proof at the end refuses.

mod common;

use common::{replay, session_of};
use polyhedral::testing::{self, Rng};
use polyhedral::{Scop, isl};
use transform::{Options, Reason, testing as commands};

/// Updates by two operators on one tensor, after an assignment to it.
const OPERATORS: &str = "
scop operators()
input A: int32[4, 4]
output S: int32[4]
temporary T: int32[4]
stmt T[i]
  domain { T[i] : 0 <= i < 4 }
  T[i] = A[i, i]
stmt first[i]
  domain { first[i] : 0 <= i < 4 }
  S[i] = T[i]
stmt add[i, j]
  domain { add[i, j] : 0 <= i < 4 and 0 <= j < i }
  S[i] sum= A[i, j]
stmt most[i, j]
  domain { most[i, j] : 0 <= i < 4 and 0 <= j <= i }
  S[i] max= A[j, i]
source
  for i
    T
    first
    for j
      add
    for j
      most
";

/// A producer and a consumer of rows.
const ROWS: &str = "
scop rows()
input A: int32[3, 5]
output B: int32[3, 4 from 1]
temporary T: int32[3, 5]
stmt T[i, j]
  domain { T[i, j] : 0 <= i < 3 and 0 <= j < 5 }
  T[i, j] = A[i, j] * 2i32
stmt B[i, j]
  domain { B[i, j] : 0 <= i < 3 and 1 <= j < 5 }
  B[i, j] = T[i, j] - T[i, j - 1]
source
  for i
    for j
      T
    for j
      B
";

/// How many scripts of how many commands that are tried.
const SCRIPTS: u64 = 60;
const COMMANDS: usize = 10;

#[test]
fn what_is_accepted_is_proved_at_the_end() {
    let ctx = isl::Ctx::new();
    let matmul = testing::program(&ctx, "matmul").specialise(&[3, 4, 5]).expect("sizes of the program");
    let programs: Vec<Scop> = vec![testing::scop(&ctx, OPERATORS), testing::scop(&ctx, ROWS), matmul];
    let mut accepted = 0;
    for seed in 0..SCRIPTS {
        let mut random = Rng::new(seed);
        let mut session = session_of(programs[seed as usize % programs.len()].clone(), Options::default());
        for _ in 0..COMMANDS {
            let command = commands::command(&mut random, session.scop());
            accepted += usize::from(session.apply(command).is_ok());
        }
        let script = session.script().to_string();
        match session.finish() {
            Err(refused) if !matches!(refused.reason, Reason::Quota(_)) => panic!("seed {seed}: {refused}\n{script}"),
            _ => {}
        }
    }
    assert!(accepted > 150, "{accepted}");
}

/// A loop in two pieces is at two places of a sequence, and finds what other operators left before it.
#[test]
fn pieces_of_a_loop_beside_others() {
    for cut in ["cut most.i at 2", "peel most.i last 1", "peel add.i first 2", "cut first.i at 1"] {
        let mut session = session_of(testing::scop(&isl::Ctx::new(), OPERATORS), Options::default());
        let script = format!("distribute T.i\nprefetch A at most.j\n{cut}");
        replay(&mut session, &script).unwrap_or_else(|refused| panic!("{refused}"));
        session.finish().unwrap_or_else(|refused| panic!("{cut}: {refused}"));
    }
}

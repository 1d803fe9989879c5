//! The programs of these tests.

use polyhedral::{Scop, isl, testing};
use support::Stage;
use transform::{Options, Script, Session};

use crate::common;

/// Two stages of a stencil along one dimension.
pub const BLUR: &str = "
scop blur(N)
context { : N > 4 }
input A: float32[N]
output B: float32[N - 4 from 2]
temporary T: float32[N - 2 from 1]
stmt T[i]
  domain { T[i] : 0 < i < N - 1 }
  T[i] = A[i - 1] + A[i] + A[i + 1]
stmt B[i]
  domain { B[i] : 1 < i < N - 2 }
  B[i] = T[i - 1] + T[i] + T[i + 1]
";

/// The same in two dimensions: across, then down.
pub const BLUR2: &str = "
scop blur2(H, W)
context { : H > 2 and W > 2 }
input A: float32[H, W]
output B: float32[H - 2 from 1, W - 2 from 1]
temporary T: float32[H, W - 2 from 1]
stmt T[y, x]
  domain { T[y, x] : 0 <= y < H and 0 < x < W - 1 }
  T[y, x] = A[y, x - 1] + A[y, x] + A[y, x + 1]
stmt B[y, x]
  domain { B[y, x] : 0 < y < H - 1 and 0 < x < W - 1 }
  B[y, x] = T[y - 1, x] + T[y, x] + T[y + 1, x]
";

/// Rows divided by their sums.
pub const ROWS: &str = "
scop rows(M, N)
context { : M > 0 and N > 0 }
input A: float32[M, N]
output R: float32[M, N]
temporary E: float32[M, N]
temporary S: float32[M]
stmt E[m, n]
  domain { E[m, n] : 0 <= m < M and 0 <= n < N }
  E[m, n] = exp(A[m, n])
stmt S.init[m]
  domain { S.init[m] : 0 <= m < M }
  S[m] = 0.0f32
stmt S.update[m, n]
  domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
  S[m] sum= E[m, n]
stmt R[m, n]
  domain { R[m, n] : 0 <= m < M and 0 <= n < N }
  R[m, n] = E[m, n] / S[m]
";

/// How much a point is a corner: sums of products over 3 × 3, each read twice.
pub const WINDOWS: &str = "
scop windows(H, W)
context { : H > 2 and W > 2 }
input A: float32[H, W]
output R: float32[H - 2, W - 2]
temporary S: float32[H - 2, W - 2]
temporary M: float32[H - 2, W - 2]
stmt S.init[y, x]
  domain { S.init[y, x] : 0 <= y < H - 2 and 0 <= x < W - 2 }
  S[y, x] = 0.0f32
stmt S.update[y, x, i, j]
  domain { S.update[y, x, i, j] : 0 <= y < H - 2 and 0 <= x < W - 2 and 0 <= i < 3 and 0 <= j < 3 }
  S[y, x] sum= A[y + i, x + j] * A[y + i, x + j]
stmt M.init[y, x]
  domain { M.init[y, x] : 0 <= y < H - 2 and 0 <= x < W - 2 }
  M[y, x] = A[y, x]
stmt M.update[y, x, j]
  domain { M.update[y, x, j] : 0 <= y < H - 2 and 0 <= x < W - 2 and 1 <= j < 3 }
  M[y, x] max= A[y, x + j]
stmt R[y, x]
  domain { R[y, x] : 0 <= y < H - 2 and 0 <= x < W - 2 }
  R[y, x] = S[y, x] - M[y, x] * S[y, x]
";

/// A session for a program's text.
pub fn session(text: &str) -> Session {
    common::session_of(testing::scop(&isl::Ctx::new(), text), Options::default())
}

/// A dot product.
pub const DOT: &str = "
scop dot(N)
context { : N > 0 }
input A: float32[N]
input B: float32[N]
output S: float32[]
stmt S.init[]
  domain { S.init[] }
  S[] = 0.0f32
stmt S.update[i]
  domain { S.update[i] : 0 <= i < N }
  S[] sum= A[i] * B[i]
";

/// The sum of each column.
pub const COLUMNS: &str = "
scop columns(M, N)
context { : M > 0 and N > 0 }
input A: float32[M, N]
output S: float32[N]
stmt S.init[n]
  domain { S.init[n] : 0 <= n < N }
  S[n] = 0.0f32
stmt S.update[m, n]
  domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
  S[n] sum= A[m, n]
";

/// Largest element and where it is.
pub const ARGMAX: &str = "
scop argmax(N)
context { : N > 0 }
input A: float32[N]
output V: float32[]
output I: int32[]
stmt V.init[]
  domain { V.init[] }
  monoid argmax(float32, int32) identity (-inf_f32, 0i32) combine (select(term(0) > state(0), term(0), state(0)), select(term(0) > state(0), term(1), state(1)))
  V[], I[] argmax= -inf_f32, 0i32
stmt V.update[i]
  domain { V.update[i] : 0 <= i < N }
  monoid argmax(float32, int32) identity (-inf_f32, 0i32) combine (select(term(0) > state(0), term(0), state(0)), select(term(0) > state(0), term(1), state(1)))
  V[], I[] argmax= A[i], int32(index(i))
";

/// The program after a script whose commands are not proved; it is well formed.
#[track_caller]
pub fn preview(text: &str, script: &str) -> Scop {
    let mut scop = testing::scop(&isl::Ctx::new(), text);
    let script: Script = script.parse().expect("a script");
    for (_, command) in script.lines() {
        let session = common::session_of(scop, Options::default());
        scop = session.preview(command).unwrap_or_else(|reason| panic!("{reason}"));
        scop.verify().unwrap_or_else(|fault| panic!("{fault}\n{scop}"));
    }
    scop
}

/// The script is accepted, command by command and as a whole, and so is what was recorded of it, to the same bytes.
#[track_caller]
pub fn accepted(text: &str, script: &str) -> Scop {
    let mut first = session(text);
    common::replay(&mut first, script).unwrap_or_else(|refused| panic!("{refused}\n{}", first.scop()));
    let recorded = first.script().to_string();
    let mut second = session(text);
    common::replay(&mut second, &recorded).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(second.script().to_string(), recorded, "the record replays to the same bytes");
    let (first, second) = (first.finish(), second.finish());
    let scheduled = first.unwrap_or_else(|refused| panic!("{refused}"));
    scheduled.verify().unwrap_or_else(|fault| panic!("{fault}\n{scheduled}"));
    assert_eq!(
        second.expect("it was accepted").to_string(),
        scheduled.to_string(),
        "the record gives the same program"
    );
    scheduled.scop
}

//! Programs, and scripts with small boxes that change where their values are kept and which instances there are.

pub use crate::texts::{BLUR, BLUR2, COLUMNS, DOT, ROWS};

/// A program and a script for it that is accepted.
pub struct Case {
    pub name: &'static str,
    pub source: &'static str,
    pub script: &'static str,
}

/// A temporary whose dimension can be folded by `smallest` and more, but not by less.
pub struct Fold {
    pub source: &'static str,
    pub script: &'static str,
    pub tensor: &'static str,
    pub dim: u32,
    pub smallest: u32,
}

const MATMUL: &str = "
scop matmul(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
output C: float32[M, N]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  C[m, n] sum= A[m, k] * B[k, n]
";

/// A matrix product into a temporary, then a threshold.
const RELU: &str = "
scop relu(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
output R: float32[M, N]
temporary T: float32[M, N]
stmt T.init[m, n]
  domain { T.init[m, n] : 0 <= m < M and 0 <= n < N }
  T[m, n] = 0.0f32
stmt T.update[m, n, k]
  domain { T.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  T[m, n] sum= A[m, k] * B[k, n]
stmt R[m, n]
  domain { R[m, n] : 0 <= m < M and 0 <= n < N }
  R[m, n] = max(T[m, n], 0.0f32)
";

/// A sum and then a maximum on one element for each row: two operators that do not commute.
const MIXED: &str = "
scop mixed(M, N)
context { : M > 0 and N > 0 }
input A: float32[M, N]
input B: float32[M, N]
inout S: float32[M]
stmt S.sum[m, n]
  domain { S.sum[m, n] : 0 <= m < M and 0 <= n < N }
  S[m] sum= A[m, n]
stmt S.max[m, n]
  domain { S.max[m, n] : 0 <= m < M and 0 <= n < N }
  S[m] max= B[m, n]
source
  for m
    for n
      S.sum
    for n
      S.max
";

/// A running sum whose value is taken in between.
const RUNNING: &str = "
scop running(M, N)
context { : M > 0 and N > 0 }
input A: float32[M, N]
output P: float32[M, N]
temporary S: float32[M]
stmt S.init[m]
  domain { S.init[m] : 0 <= m < M }
  S[m] = 0.0f32
stmt S.update[m, n]
  domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
  S[m] sum= A[m, n]
stmt P[m, n]
  domain { P[m, n] : 0 <= m < M and 0 <= n < N }
  P[m, n] = S[m]
source
  for m
    S.init
    for n
      S.update
      P
";

/// Rows that are made one after the other, each used together with an earlier one.
macro_rules! rolling {
    ($back:literal) => {
        concat!(
            "
scop rolling(N, M)
context { : N > ",
            $back,
            " and M > 0 }
input A: float32[N, M]
output B: float32[N, M]
temporary T: float32[N, M]
stmt T[t, i]
  domain { T[t, i] : 0 <= t < N and 0 <= i < M }
  T[t, i] = A[t, i] * 2.0f32
stmt B[t, i]
  domain { B[t, i] : ",
            $back,
            " <= t < N and 0 <= i < M }
  B[t, i] = T[t, i] + T[t - ",
            $back,
            ", i]
source
  for t
    for i
      T
    for i
      B
"
        )
    };
}

const ROLLING: &str = rolling!(2);

pub const PROGRAMS: &[Case] = &[
    Case {
        name: "a packed panel",
        source: MATMUL,
        script: "tile C.update.n C.update.k by 3 2 as no ko / ni ki\npromote B at C.update.ko as Bp",
    },
    Case {
        name: "a transposed panel",
        source: MATMUL,
        script: "tile C.update.m C.update.k by 2 3 as mo ko / mi ki\n\
                 promote A at C.update.ko as Ap transposed 1 0 padded 1",
    },
    Case {
        name: "a tile of the result",
        source: MATMUL,
        script: "tile C.update.m C.update.n by 2 3 as mo no / mi ni\npromote C at C.update.no as Ct",
    },
    Case {
        name: "a tile of the result on threads",
        source: MATMUL,
        script: "tile C.update.m C.update.n by 2 3 as mo no / mi ni\npromote C at C.update.no as Ct\n\
                 parallel C.update.mo",
    },
    Case {
        name: "two panels in turn",
        source: MATMUL,
        script: "split C.update.k by 2\npromote A at C.update.ko double",
    },
    Case {
        name: "partial products",
        source: MATMUL,
        script: "split C.update.k by 3 as ko ki\nreorder C.update.ko C.update.m C.update.n\n\
                 privatise C at C.update.ko as P",
    },
    Case { name: "a threshold on the fly", source: RELU, script: "compute T at R.m\nstore T at R.m" },
    Case {
        name: "a threshold on the fly on threads",
        source: RELU,
        script: "compute T at R.m\nprivatise T at R.m\nparallel R.m",
    },
    Case {
        name: "a blur in a tile",
        source: BLUR,
        script: "split B.i by 3 as io ii\ncompute T at B.io\nstore T at B.io\nparallel B.io",
    },
    Case {
        name: "a blur in a box",
        source: BLUR2,
        script: "tile B.y B.x by 2 3 as yo xo / yi xi\ncompute T at B.xo\nstore T at B.xo",
    },
    Case { name: "an inlined blur", source: BLUR, script: "inline T" },
    Case {
        name: "rows by their sums",
        source: ROWS,
        script: "compute S at R.m\ncompute E at R.m\nstore E at R.m\nstore S at R.m",
    },
    Case {
        name: "private rows",
        source: ROWS,
        script: "compute S at R.m\ncompute E at R.m\nprivatise E at R.m\nprivatise S at R.m\nparallel R.m",
    },
    Case {
        name: "a dot product in parts",
        source: DOT,
        script: "split S.update.i by 2 as io ii\nprivatise S at S.update.io as P\nparallel S.update.io",
    },
    Case { name: "a dot product in lanes", source: DOT, script: "privatise S at S.update.i by 4" },
    Case {
        name: "columns in parts",
        source: COLUMNS,
        script: "split S.update.m by 3 as mo mi\nprivatise S at S.update.mo",
    },
    Case { name: "two operators through a copy", source: MIXED, script: "promote S at S.sum.m as P" },
    Case { name: "a running sum through a copy", source: RUNNING, script: "promote S at S.init.m as Q" },
    Case { name: "rolling rows", source: ROLLING, script: "fold T dim 0 by 3" },
    Case { name: "rolling rows, transposed", source: ROLLING, script: "layout T [t, i] = [i, t mod 3] of [M, 3]" },
];

pub const FOLDS: &[Fold] = &[
    Fold { source: rolling!(1), script: "", tensor: "T", dim: 0, smallest: 2 },
    Fold { source: ROLLING, script: "", tensor: "T", dim: 0, smallest: 3 },
    Fold { source: rolling!(3), script: "", tensor: "T", dim: 0, smallest: 4 },
    // The consumer is ahead of the producer of the next row: one row more is in flight.
    Fold { source: ROLLING, script: "shift T.t by -1 for T", tensor: "T", dim: 0, smallest: 4 },
    // What is promoted is used whole.
    Fold {
        source: MATMUL,
        script: "split C.update.k by 4\npromote B at C.update.ko as Bp",
        tensor: "Bp",
        dim: 0,
        smallest: 4,
    },
    Fold {
        source: MATMUL,
        script: "tile C.update.m C.update.n by 2 3 as mo no / mi ni\npromote C at C.update.no as Ct",
        tensor: "Ct",
        dim: 1,
        smallest: 3,
    },
    // The window of a tile: three results and the halo.
    Fold { source: BLUR, script: "split B.i by 3 as io ii\ncompute T at B.io", tensor: "T", dim: 0, smallest: 5 },
];

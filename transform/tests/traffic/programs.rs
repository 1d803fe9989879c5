//! The programs, scripts and sizes whose traffic is predicted.

/// A program, a schedule and sizes.
pub struct Case {
    pub name: &'static str,
    /// The name of a ready-made program, or a text.
    pub program: &'static str,
    pub script: &'static str,
    pub sizes: &'static [i64],
    /// Whether every row of every tensor begins at a line, so that no number is an average over alignments.
    pub has_aligned_rows: bool,
}

pub const CASES: &[Case] = &[
    Case { name: "matmul m n k", program: "matmul", script: "", sizes: &[48, 48, 48], has_aligned_rows: true },
    Case {
        name: "matmul m k n",
        program: "matmul",
        script: "reorder C.update.m C.update.k C.update.n",
        sizes: &[48, 48, 48],
        has_aligned_rows: true,
    },
    Case {
        name: "matmul tiled 8 16 8",
        program: "matmul",
        script: "tile C.update.m C.update.n C.update.k by 8 16 8\n",
        sizes: &[48, 48, 48],
        has_aligned_rows: true,
    },
    Case {
        name: "matmul tiled twice, vectors",
        program: "matmul",
        script: "tile C.update.m C.update.n C.update.k by 24 32 24 as mo no ko / m n k\n\
                 tile C.update.m C.update.n by 4 16 as m1 n1 / m2 n2\n\
                 reorder C.update.m1 C.update.n1 C.update.k C.update.m2 C.update.n2\n\
                 vectorise C.update.n2 by 16\n",
        sizes: &[48, 64, 48],
        has_aligned_rows: true,
    },
    Case { name: "matmul of odd sizes", program: "matmul", script: "", sizes: &[37, 45, 51], has_aligned_rows: false },
    Case { name: "conv3x3", program: "conv3x3", script: "", sizes: &[24, 64], has_aligned_rows: false },
    Case {
        name: "conv3x3 tiled",
        program: "conv3x3",
        script: "tile O.update.h O.update.w by 8 16",
        sizes: &[34, 66],
        has_aligned_rows: false,
    },
    Case { name: "transpose", program: TRANSPOSE, script: "", sizes: &[64, 80], has_aligned_rows: true },
    Case {
        name: "transpose tiled",
        program: TRANSPOSE,
        script: "tile B.i B.j by 8 16",
        sizes: &[64, 80],
        has_aligned_rows: true,
    },
    Case { name: "stencil in place", program: "stencil", script: "", sizes: &[48], has_aligned_rows: true },
    Case { name: "jacobi in time", program: JACOBI, script: "", sizes: &[48, 4], has_aligned_rows: true },
    Case { name: "row sums", program: ROW_SUMS, script: "", sizes: &[50, 100], has_aligned_rows: false },
    Case { name: "column sums", program: COLUMN_SUMS, script: "", sizes: &[64, 64], has_aligned_rows: true },
    Case {
        name: "column sums, rows first",
        program: COLUMN_SUMS,
        script: "reorder s.update.i s.update.j",
        sizes: &[64, 512],
        has_aligned_rows: true,
    },
    Case { name: "triangular solve", program: "triangular_solve", script: "", sizes: &[80], has_aligned_rows: true },
    Case { name: "symmetric update", program: SYRK, script: "", sizes: &[40, 32], has_aligned_rows: false },
    Case { name: "batched matmul", program: BATCHED, script: "", sizes: &[6, 16, 32, 24], has_aligned_rows: false },
    Case { name: "pointwise chain", program: CHAIN, script: "", sizes: &[32, 80], has_aligned_rows: true },
    Case {
        name: "pointwise chain, fused",
        program: CHAIN,
        script: "fuse B C depth 1\nfuse B D depth 1",
        sizes: &[32, 80],
        has_aligned_rows: true,
    },
    Case { name: "strided", program: STRIDED, script: "", sizes: &[1000], has_aligned_rows: true },
    Case { name: "softmax by rows", program: SOFTMAX, script: "", sizes: &[16, 400], has_aligned_rows: true },
];

const TRANSPOSE: &str = "
scop transpose(N, M)
context { : N > 0 and M > 0 }
input A: float32[N, M]
output B: float32[M, N]
stmt B[i, j]
  domain { B[i, j] : 0 <= i < N and 0 <= j < M }
  B[j, i] = A[i, j]
";

const JACOBI: &str = "
scop jacobi(N, T)
context { : N > 2 and T > 0 }
inout A: float32[N, N]
temporary B: float32[N, N]
stmt B[t, i, j]
  domain { B[t, i, j] : 0 <= t < T and 0 < i < N - 1 and 0 < j < N - 1 }
  B[i, j] = A[i, j] + A[i - 1, j] + A[i, j - 1] + A[i + 1, j] + A[i, j + 1]
stmt A[t, i, j]
  domain { A[t, i, j] : 0 <= t < T and 0 < i < N - 1 and 0 < j < N - 1 }
  A[i, j] = 0.2f32 * B[i, j]
source
  for t
    for i
      for j
        B
    for i
      for j
        A
";

const ROW_SUMS: &str = "
scop row_sums(N, M)
context { : N > 0 and M > 0 }
input A: float32[N, M]
output s: float32[N]
stmt s.init[i]
  domain { s.init[i] : 0 <= i < N }
  s[i] = 0.0f32
stmt s.update[i, j]
  domain { s.update[i, j] : 0 <= i < N and 0 <= j < M }
  s[i] sum= A[i, j]
";

const COLUMN_SUMS: &str = "
scop column_sums(N, M)
context { : N > 0 and M > 0 }
input A: float32[N, M]
output s: float32[M]
stmt s.init[j]
  domain { s.init[j] : 0 <= j < M }
  s[j] = 0.0f32
stmt s.update[j, i]
  domain { s.update[j, i] : 0 <= j < M and 0 <= i < N }
  s[j] sum= A[i, j]
";

const SYRK: &str = "
scop symmetric_update(N, K)
context { : N > 0 and K > 0 }
input A: float32[N, K]
inout C: float32[N, N]
stmt C[i, j, k]
  domain { C[i, j, k] : 0 <= j <= i < N and 0 <= k < K }
  C[i, j] sum= A[i, k] * A[j, k]
";

const BATCHED: &str = "
scop batched(B, M, N, K)
context { : B > 0 and M > 0 and N > 0 and K > 0 }
input X: float32[B, M, K]
input Y: float32[B, K, N]
output Z: float32[B, M, N]
stmt Z.init[b, m, n]
  domain { Z.init[b, m, n] : 0 <= b < B and 0 <= m < M and 0 <= n < N }
  Z[b, m, n] = 0.0f32
stmt Z.update[b, m, n, k]
  domain { Z.update[b, m, n, k] : 0 <= b < B and 0 <= m < M and 0 <= n < N and 0 <= k < K }
  Z[b, m, n] sum= X[b, m, k] * Y[b, k, n]
";

const CHAIN: &str = "
scop chain(N, M)
context { : N > 0 and M > 0 }
input A: float32[N, M]
temporary B: float32[N, M]
temporary C: float32[N, M]
output D: float32[N, M]
stmt B[i, j]
  domain { B[i, j] : 0 <= i < N and 0 <= j < M }
  B[i, j] = A[i, j] + 1.0f32
stmt C[i, j]
  domain { C[i, j] : 0 <= i < N and 0 <= j < M }
  C[i, j] = 2.0f32 * B[i, j]
stmt D[i, j]
  domain { D[i, j] : 0 <= i < N and 0 <= j < M }
  D[i, j] = C[i, j] * A[i, j]
";

const STRIDED: &str = "
scop every_third(N)
context { : N > 0 }
input A: float32[3 * N]
output B: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[3*i]
";

const SOFTMAX: &str = "
scop softmax(N, M)
context { : N > 0 and M > 0 }
input X: float32[N, M]
temporary m: float32[N]
temporary s: float32[N]
output Y: float32[N, M]
stmt m.init[i]
  domain { m.init[i] : 0 <= i < N }
  m[i] = X[i, 0]
stmt m.update[i, j]
  domain { m.update[i, j] : 0 <= i < N and 0 <= j < M }
  m[i] max= X[i, j]
stmt s.init[i]
  domain { s.init[i] : 0 <= i < N }
  s[i] = 0.0f32
stmt s.update[i, j]
  domain { s.update[i, j] : 0 <= i < N and 0 <= j < M }
  s[i] sum= exp(X[i, j] - m[i])
stmt Y[i, j]
  domain { Y[i, j] : 0 <= i < N and 0 <= j < M }
  Y[i, j] = exp(X[i, j] - m[i]) / s[i]
source
  for i
    m.init
    for j
      m.update
    s.init
    for j
      s.update
    for j
      Y
";

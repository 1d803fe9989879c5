use super::scop;
use crate::{Scop, isl};

/// The ready-made programs: name and text.
pub const PROGRAMS: &[(&str, &str)] = &[
    ("matmul", MATMUL),
    ("matmul_bias_relu", MATMUL_BIAS_RELU),
    ("conv3x3", CONV3X3),
    ("stencil", STENCIL),
    ("triangular_solve", TRIANGULAR_SOLVE),
    ("transpose_nest", TRANSPOSE_NEST),
    ("prefix_sum", PREFIX_SUM),
    ("strided", STRIDED),
    ("gather", GATHER),
];

/// The ready-made program with that name.
///
/// # Panics
/// When there is none.
pub fn program(ctx: &isl::Ctx, name: &str) -> Scop {
    let text = PROGRAMS.iter().find(|(known, _)| *known == name).map(|(_, text)| text);
    scop(ctx, text.unwrap_or_else(|| panic!("no program is called {name}")))
}

/// All of them.
pub fn programs(ctx: &isl::Ctx) -> Vec<Scop> {
    PROGRAMS.iter().map(|(_, text)| scop(ctx, text)).collect()
}

macro_rules! programs {
    ($($(#[$doc:meta])* $name:ident = $text:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(ctx: &isl::Ctx) -> Scop { scop(ctx, $text) }
    )*};
}

programs! {
    /// `C(m, n) +=! A(m, k) * B(k, n)` for sizes `M, N, K`: an initialisation and an update, each in its own nest.
    matmul = MATMUL;
    /// A matrix product into a temporary, then `max(T + bias, 0)`.
    matmul_bias_relu = MATMUL_BIAS_RELU;
    /// A 3×3 convolution of an `H × W` picture over its interior; the output starts at 1.
    conv3x3 = CONV3X3;
    /// Five points in place: each reads what its neighbours above and to the left have just written.
    stencil = STENCIL;
    /// Forward substitution with a lower triangular matrix; three statements in one loop, a triangular domain.
    triangular_solve = TRIANGULAR_SOLVE;
    /// Two statements under two common loops, the second reads the first transposed.
    transpose_nest = TRANSPOSE_NEST;
    /// A running sum in place: every iteration needs the one before.
    prefix_sum = PREFIX_SUM;
    /// Every second element, negated; the others copied.
    strided = STRIDED;
    /// A table look-up through an index tensor, summed.
    gather = GATHER;
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

const MATMUL_BIAS_RELU: &str = "
scop matmul_bias_relu(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
input bias: float32[N]
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
  R[m, n] = max(T[m, n] + bias[n], 0.0f32)
";

const CONV3X3: &str = "
scop conv3x3(H, W)
context { : H > 2 and W > 2 }
input I: float32[H, W]
input F: float32[3, 3]
output O: float32[H - 2 from 1, W - 2 from 1]
stmt O.init[h, w]
  domain { O.init[h, w] : 0 < h < H - 1 and 0 < w < W - 1 }
  O[h, w] = 0.0f32
stmt O.update[h, w, r, s]
  domain { O.update[h, w, r, s] : 0 < h < H - 1 and 0 < w < W - 1 and 0 <= r <= 2 and 0 <= s <= 2 }
  O[h, w] sum= I[h + r - 1, w + s - 1] * F[r, s]
";

const STENCIL: &str = "
scop stencil(N)
context { : N > 2 }
inout A: float64[N, N]
stmt A[i, j]
  domain { A[i, j] : 0 < i < N - 1 and 0 < j < N - 1 }
  A[i, j] = 0.2f64 * (A[i, j] + A[i - 1, j] + A[i, j - 1] + A[i + 1, j] + A[i, j + 1])
";

const TRIANGULAR_SOLVE: &str = "
scop triangular_solve(N)
context { : N > 0 }
input L: float64[N, N]
input b: float64[N]
output x: float64[N]
stmt x.init[i]
  domain { x.init[i] : 0 <= i < N }
  x[i] = b[i]
stmt x.update[i, j]
  domain { x.update[i, j] : 0 <= j < i < N }
  x[i] sum= -(L[i, j] * x[j])
stmt x.scale[i]
  domain { x.scale[i] : 0 <= i < N }
  x[i] = x[i] / L[i, i]
source
  for i
    x.init
    for j
      x.update
    x.scale
";

const TRANSPOSE_NEST: &str = "
scop transpose_nest(N)
context { : N > 0 }
input A: int32[N, N]
output B: int32[N, N]
output C: int32[N, N]
stmt B[i, j]
  domain { B[i, j] : 0 <= i < N and 0 <= j < N }
  B[i, j] = A[i, j] + 1i32
stmt C[i, j]
  domain { C[i, j] : 0 <= i < N and 0 <= j <= i }
  C[i, j] = B[j, i] * 2i32
stmt C.rest[i, j]
  domain { C.rest[i, j] : 0 <= i < N and i < j < N }
  C[i, j] = 0i32
source
  for i
    for j
      B
      C
      C.rest
";

const PREFIX_SUM: &str = "
scop prefix_sum(N)
context { : N > 0 }
input A: int64[N]
output S: int64[N]
stmt S.first[]
  domain { S.first[] }
  S[0] = A[0]
stmt S[i]
  domain { S[i] : 0 < i < N }
  S[i] = S[i - 1] + A[i]
";

const STRIDED: &str = "
scop strided(N)
context { : N > 0 }
input A: int32[N]
output B: int32[N]
stmt B.even[i]
  domain { B.even[i] : 0 <= i < N and i mod 2 = 0 }
  B[i] = -A[i]
stmt B.odd[i]
  domain { B.odd[i] : 0 <= i and 2i + 1 < N }
  B[2*i + 1] = A[2*i + 1]
";

const GATHER: &str = "
scop gather(B, L, E, D)
context { : B > 0 and L > 0 and E > 0 and D > 0 }
input T: float32[E, D]
input I: int32[B, L]
output O: float32[B, D]
stmt O.init[b, d]
  domain { O.init[b, d] : 0 <= b < B and 0 <= d < D }
  O[b, d] = 0.0f32
stmt O.update[b, d, l]
  domain { O.update[b, d, l] : 0 <= b < B and 0 <= d < D and 0 <= l < L }
  O[b, d] sum= T[value(I[b, l]), d]
";

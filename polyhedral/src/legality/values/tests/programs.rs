//! A source, a right program made of it, and edits that make it wrong.

/// Texts: the source, what was made of it, and replacements in that which are wrong, each with a part of the sentence
/// that refuses it.
pub struct Case {
    pub name: &'static str,
    pub source: &'static str,
    pub changed: &'static str,
    pub wrong: &'static [Edit],
    /// Edits that leave the results as they are and are refused all the same.
    pub refused: &'static [Edit],
}

pub type Edit = (&'static str, &'static str, &'static str);

pub const CASES: &[Case] = &[
    PACKED,
    WIDENED,
    ACCUMULATED,
    PRIVATISED,
    IN_TWO_PLACES,
    COMPUTED_AT,
    ROLLING,
    INLINED,
    WRITTEN_OUT,
    PEELED,
    DOUBLED,
    GATHERED,
    MIXED,
    SKEWED_JACOBI,
];

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

/// A panel of `B` for four values of `k`, copied before they are used.
const PACKED: Case = Case {
    name: "packed",
    source: MATMUL,
    changed: "
scop matmul(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
output C: float32[M, N]
temporary Bp: float32[4, N]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  C[m, n] sum= A[m, k] * Bp[k mod 4, n]
stmt Bp.load[ko, x, n]
  domain { Bp.load[ko, x, n] : 0 <= x < 4 and 0 <= 4ko and 4ko + x < K and 0 <= n < N }
  Bp[x, n] = B[4*ko + x, n]
source none
tree
  sequence
    filter { C.init[m, n] }
      band
        C.init.m = { C.init[m, n] -> [(m)] }
        C.init.n = { C.init[m, n] -> [(n)] }
    filter { C.update[m, n, k]; Bp.load[ko, x, n] }
      band
        ko = { C.update[m, n, k] -> [(floor(k/4))]; Bp.load[ko, x, n] -> [(ko)] }
        sequence
          filter { Bp.load[ko, x, n] }
            band
              x = { Bp.load[ko, x, n] -> [(x)] }
              n = { Bp.load[ko, x, n] -> [(n)] }
          filter { C.update[m, n, k] }
            band
              C.update.m = { C.update[m, n, k] -> [(m)] }
              C.update.n = { C.update[m, n, k] -> [(n)] }
              C.update.k = { C.update[m, n, k] -> [(k)] }
origin { C.init[m, n] -> C.init[m, n]; C.update[m, n, k] -> C.update[m, n, k] }
",
    wrong: &[
        ("0 <= x < 4 and", "0 <= x < 3 and", "finds in `Bp[3, 0]`"),
        ("4ko + x < K and", "4ko + x < K - 1 and", "finds in `Bp[0, 0]`"),
        ("0 <= n < N }\n  Bp[x", "0 <= n < N - 1 }\n  Bp[x", "finds in `Bp["),
        ("Bp[x, n] = B[4*ko + x, n]", "Bp[x, n] = B[4*ko, n]", "but must find what the caller gave as `B[1, 0]`"),
        ("Bp[k mod 4, n]", "Bp[0, n]", "must find what the caller gave as `B["),
        ("0 <= 4ko and", "0 < 4ko and", "`Bp["),
        ("C[m, n] sum= A[m, k]", "C[m, n] sum= A[m, 0]", "`A[0, 0]`"),
        ("sum= A[m, k] * Bp[k mod 4, n]", "max= A[m, k] * Bp[k mod 4, n]", "does not compute"),
        ("C[m, n] = 0.0f32", "C[m, n] = 1.0f32", "does not compute"),
        ("A[m, k] * Bp[k mod 4, n]", "A[m, k] + Bp[k mod 4, n]", "does not compute"),
        ("Bp.load[ko, x, n] -> [(ko)] }", "Bp.load[ko, x, n] -> [(ko)] } parallel", "at once"),
    ],
    refused: &[
        ("k] -> C.update[m, n, k] }", "k] -> C.update[m, n, 0] }", "must find what the caller gave as `A[0, 0]`"),
        ("A[m, k] * Bp[k mod 4, n]", "Bp[k mod 4, n] * A[m, k]", "`Bp[0, 0]`"),
    ],
};

/// What is read of `A` is converted by a copy, and by another one once more, which is exact.
const WIDENED: Case = Case {
    name: "widened",
    source: "
scop widened(N)
context { : N > 0 }
input A: int8[N]
input Z: float64[N]
output C: float64[N]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = float64(A[i]) + Z[i]
",
    changed: "
scop widened(N)
context { : N > 0 }
input A: int8[N]
input Z: float64[N]
output C: float64[N]
temporary S: int16[N]
temporary W: float64[N]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = W[i] + Z[i]
stmt S[i]
  domain { S[i] : 0 <= i < N }
  S[i] = int16(A[i])
stmt W[i]
  domain { W[i] : 0 <= i < N }
  W[i] = float64(S[i])
source none
tree
  sequence
    filter { S[i] }
      band
        S.i = { S[i] -> [(i)] }
    filter { W[i] }
      band
        W.i = { W[i] -> [(i)] }
    filter { C[i] }
      band
        C.i = { C[i] -> [(i)] }
origin { C[i] -> C[i] }
",
    wrong: &[
        ("float64(S[i])", "float64(S[0])", "must find what the caller gave as `A["),
        ("W[i] + Z[i]", "Z[i] + Z[i]", "must find what the caller gave as `A[0]`"),
    ],
    refused: &[],
};

/// A tile of `C` summed up in four values of `k` at a time in a private memory.
const ACCUMULATED: Case = Case {
    name: "accumulated",
    source: MATMUL,
    changed: "
scop matmul(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
output C: float32[M, N]
temporary Cp: float32[M, N]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  Cp[m, n] sum= A[m, k] * B[k, n]
stmt Cp.load[ko, m, n]
  domain { Cp.load[ko, m, n] : 0 <= 4ko < K and 0 <= m < M and 0 <= n < N }
  Cp[m, n] = C[m, n]
stmt Cp.store[ko, m, n]
  domain { Cp.store[ko, m, n] : 0 <= 4ko < K and 0 <= m < M and 0 <= n < N }
  C[m, n] = Cp[m, n]
source none
tree
  sequence
    filter { C.init[m, n] }
      band
        C.init.m = { C.init[m, n] -> [(m)] }
        C.init.n = { C.init[m, n] -> [(n)] }
    filter { C.update[m, n, k]; Cp.load[ko, m, n]; Cp.store[ko, m, n] }
      band
        ko = { C.update[m, n, k] -> [(floor(k/4))]; Cp.load[ko, m, n] -> [(ko)]; Cp.store[ko, m, n] -> [(ko)] }
        sequence
          filter { Cp.load[ko, m, n] }
            band
              lm = { Cp.load[ko, m, n] -> [(m)] }
              ln = { Cp.load[ko, m, n] -> [(n)] }
          filter { C.update[m, n, k] }
            band
              C.update.m = { C.update[m, n, k] -> [(m)] }
              C.update.n = { C.update[m, n, k] -> [(n)] }
              C.update.k = { C.update[m, n, k] -> [(k)] }
          filter { Cp.store[ko, m, n] }
            band
              sm = { Cp.store[ko, m, n] -> [(m)] }
              sn = { Cp.store[ko, m, n] -> [(n)] }
origin { C.init[m, n] -> C.init[m, n]; C.update[m, n, k] -> C.update[m, n, k] }
",
    wrong: &[
        (
            "0 <= 4ko < K and 0 <= m < M and 0 <= n < N }\n  Cp[",
            "0 < 4ko < K and 0 <= m < M and 0 <= n < N }\n  Cp[",
            "",
        ),
        ("0 <= 4ko < K and 0 <= m < M and 0 <= n < N }\n  C[", "0 < 4ko < K and 0 <= m < M and 0 <= n < N }\n  C[", ""),
        ("C[m, n] = Cp[m, n]", "C[m, n] = Cp[m, 0]", ""),
    ],
    refused: &[],
};

const COLUMN_SUM: &str = "
scop column_sum(N, M)
context { : M > 0 and N > 0 }
input A: float32[N, M]
output S: float32[M]
stmt S.init[j]
  domain { S.init[j] : 0 <= j < M }
  S[j] = 0.0f32
stmt S.update[i, j]
  domain { S.update[i, j] : 0 <= i < N and 0 <= j < M }
  S[j] sum= A[i, j]
";

/// Partial sums of four rows, each block in a thread with a memory of its own, combined afterwards.
const PRIVATISED: Case = Case {
    name: "privatised",
    source: COLUMN_SUM,
    changed: "
scop column_sum(N, M)
context { : M > 0 and N > 0 }
input A: float32[N, M]
output S: float32[M]
temporary P: float32[floor((N + 3)/4), M]
temporary Q: float32[M] stack
stmt S.init[j]
  domain { S.init[j] : 0 <= j < M }
  S[j] = 0.0f32
stmt S.update[i, j]
  domain { S.update[i, j] : 0 <= i < N and 0 <= j < M }
  Q[j] sum= A[i, j]
stmt Q.begin[io, j]
  domain { Q.begin[io, j] : 0 <= io and 4io < N and 0 <= j < M }
  Q[j] = 0.0f32
stmt P.store[io, j]
  domain { P.store[io, j] : 0 <= io and 4io < N and 0 <= j < M }
  P[io, j] = Q[j]
stmt S.combine[io, j]
  domain { S.combine[io, j] : 0 <= io and 4io < N and 0 <= j < M }
  S[j] sum= P[io, j]
source none
tree
  sequence
    filter { S.init[j] }
      band
        S.init.j = { S.init[j] -> [(j)] }
    filter { S.update[i, j]; Q.begin[io, j]; P.store[io, j] }
      band
        io = { S.update[i, j] -> [(floor(i/4))]; Q.begin[io, j] -> [(io)]; P.store[io, j] -> [(io)] } parallel
        sequence
          filter { Q.begin[io, j] }
            band
              bj = { Q.begin[io, j] -> [(j)] }
          filter { S.update[i, j] }
            band
              S.update.i = { S.update[i, j] -> [(i)] }
              S.update.j = { S.update[i, j] -> [(j)] }
          filter { P.store[io, j] }
            band
              pj = { P.store[io, j] -> [(j)] }
    filter { S.combine[io, j] }
      band
        cio = { S.combine[io, j] -> [(io)] }
        cj = { S.combine[io, j] -> [(j)] }
origin { S.init[j] -> S.init[j]; S.update[i, j] -> S.update[i, j] }
",
    wrong: &[
        // The beginning.
        ("Q[j] = 0.0f32", "Q[j] = 1.0f32", "the constant that a reduction begins with should not be there"),
        ("0 <= io and 4io < N and 0 <= j < M }\n  Q[", "0 < io and 4io < N and 0 <= j < M }\n  Q[", ""),
        ("0 <= io and 4io < N and 0 <= j < M }\n  Q[", "0 <= io and 4io < N and 0 < j < M }\n  Q[", ""),
        // The combination.
        ("S[j] sum= P[io, j]", "S[j] max= P[io, j]", "the constant that a reduction begins with should not be there"),
        ("S[j] sum= P[io, j]", "S[j] = P[io, j]", "S[0]"),
        ("S[j] sum= P[io, j]", "S[j] sum= P[0, j]", "what `S.update[4, 0]` computes is missing"),
        ("S[j] sum= P[io, j]", "S[j] sum= P[io, 0]", ""),
        ("0 <= io and 4io < N and 0 <= j < M }\n  S[", "0 <= io and 4io < N - 1 and 0 <= j < M }\n  S[", "missing"),
        ("P[io, j] = Q[j]", "P[io, j] = Q[0]", ""),
        ("4io < N and 0 <= j < M }\n  P[", "4io < N - 4 and 0 <= j < M }\n  P[", ""),
        // The memories.
        ("Q: float32[M] stack", "Q: float32[M]", "at once"),
        ("P[io, j] = Q[j]", "P[0, j] = Q[j]", ""),
        ("P: float32[floor((N + 3)/4), M]", "P: float32[floor((N + 3)/4), M] layout [i0 mod 2, i1] of [2, M]", ""),
    ],
    refused: &[],
};

/// Partial results of a column in cells that the next column uses again, combined in two places of a sequence.
const IN_TWO_PLACES: Case = Case {
    name: "combined in two places",
    source: COLUMN_SUM,
    changed: "
scop column_sum(N, M)
context { : M > 0 and N > 0 }
input A: float32[N, M]
output S: float32[M]
temporary P: float32[N]
stmt S.init[j]
  domain { S.init[j] : 0 <= j < M }
  S[j] = 0.0f32
stmt S.update[i, j]
  domain { S.update[i, j] : 0 <= i < N and 0 <= j < M }
  P[i] sum= A[i, j]
stmt P.begin[j, i]
  domain { P.begin[j, i] : 0 <= i < N and 0 <= j < M }
  P[i] = 0.0f32
stmt S.combine[j, i]
  domain { S.combine[j, i] : 0 <= i < N and 0 <= j < M }
  S[j] sum= P[i]
source none
tree
  sequence
    filter { S.init[j] }
      band
        S.init.j = { S.init[j] -> [(j)] }
    filter { S.update[i, j]; P.begin[j, i]; S.combine[j, i] }
      band
        j = { S.update[i, j] -> [(j)]; P.begin[j, i] -> [(j)]; S.combine[j, i] -> [(j)] }
        sequence
          filter { P.begin[j, i] }
            band
              bi = { P.begin[j, i] -> [(i)] }
          filter { S.update[i, j] }
            band
              S.update.i = { S.update[i, j] -> [(i)] }
          filter { S.combine[j, i] : i < 2 }
            band
              first = { S.combine[j, i] -> [(i)] }
          filter { S.combine[j, i] : i >= 2 }
            band
              second = { S.combine[j, i] -> [(i)] }
origin { S.init[j] -> S.init[j]; S.update[i, j] -> S.update[i, j] }
",
    wrong: &[
        ("S[j] sum= P[i]", "S[j] sum= P[0]", ""),
        ("P[i] = 0.0f32", "P[i] = 1.0f32", "the constant that a reduction begins with should not be there"),
        ("0 <= i < N and 0 <= j < M }\n  S[", "0 <= i < N - 1 and 0 <= j < M }\n  S[", "missing"),
        ("0 <= i < N and 0 <= j < M }\n  P[i] = 0", "0 < i < N and 0 <= j < M }\n  P[i] = 0", ""),
        ("P: float32[N]", "P: float32[N] layout [floor(i0/2)] of [N]", ""),
    ],
    refused: &[],
};

const BLUR: &str = "
scop blur(N)
context { : N > 0 }
input A: float32[N + 2]
output B: float32[N]
temporary T: float32[N + 1]
stmt T[i]
  domain { T[i] : 0 <= i <= N }
  T[i] = A[i] + A[i + 1]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = T[i] * T[i + 1]
";

/// The sums of a tile, computed anew for each tile of four in a memory of its own.
const COMPUTED_AT: Case = Case {
    name: "computed at",
    source: BLUR,
    changed: "
scop blur(N)
context { : N > 0 }
input A: float32[N + 2]
output B: float32[N]
temporary T: float32[5] stack
stmt T[io, x]
  domain { T[io, x] : 0 <= io and 4io < N and 0 <= x <= 4 and 4io + x <= N }
  T[x] = A[4*io + x] + A[4*io + x + 1]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = T[i mod 4] * T[i mod 4 + 1]
source none
tree
  band
    io = { B[i] -> [(floor(i/4))]; T[io, x] -> [(io)] } parallel
    sequence
      filter { T[io, x] }
        band
          x = { T[io, x] -> [(x)] }
      filter { B[i] }
        band
          i = { B[i] -> [(i)] }
origin { B[i] -> B[i]; T[io, x] -> T[4io + x] }
",
    wrong: &[
        ("0 <= x <= 4 and", "0 <= x < 4 and", "`B[3]` finds in `T[4]` what nobody wrote"),
        ("4io + x <= N }", "4io + x < N }", "what nobody wrote"),
        ("T[x] = A[4*io + x] + A[4*io + x + 1]", "T[x] = A[4*io + x] + A[4*io + x]", "`A[1]`"),
        ("T[i mod 4 + 1]", "T[i mod 4]", "but must find what `T[1]` computes"),
        ("B[i] = T[i mod 4] * T[i mod 4 + 1]", "B[i] = T[i mod 3] * T[i mod 4 + 1]", "`B[3]` finds in `T[0]`"),
        ("temporary T: float32[5] stack", "temporary T: float32[5]", "at once"),
        (
            "io = { B[i] -> [(floor(i/4))]; T[io, x] -> [(io)] }",
            "io = { B[i] -> [(floor(i/4) + 1)]; T[io, x] -> [(io)] }",
            "",
        ),
        ("0 <= io and 4io < N", "0 < io and 4io < N", "what nobody wrote"),
    ],
    refused: &[("T[io, x] -> T[4io + x] }", "T[io, x] -> T[4io] }", "`T[0, 1]` finds in `A[1]`")],
};

/// The same in one loop, with the sums in a buffer of two.
const ROLLING: Case = Case {
    name: "rolling",
    source: BLUR,
    changed: "
scop blur(N)
context { : N > 0 }
input A: float32[N + 2]
output B: float32[N]
temporary T: float32[N + 1] layout [i0 mod 2] of [2]
stmt T[i]
  domain { T[i] : 0 <= i <= N }
  T[i] = A[i] + A[i + 1]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = T[i] * T[i + 1]
source none
tree
  band
    i = { T[i] -> [(i)]; B[i] -> [(i + 1)] }
    sequence
      filter { T[i] }
      filter { B[i] }
origin { T[i] -> T[i]; B[i] -> B[i] }
",
    wrong: &[
        ("layout [i0 mod 2] of [2]", "layout [0*i0] of [1]", "finds in `T[0]` what `T[1]` computes"),
        ("B[i] -> [(i + 1)] }", "B[i] -> [(i + 2)] }", "finds in `T["),
        ("B[i] -> [(i + 1)] }", "B[i] -> [(i)] }", "`T[1]`"),
        ("T[i] = A[i] + A[i + 1]", "T[i] = A[i + 1] + A[i + 1]", "`A[0]`"),
        ("filter { T[i] }\n      filter { B[i] }", "filter { B[i] }\n      filter { T[i] }", "`T[1]`"),
        ("layout [i0 mod 2] of [2]", "layout [i0 mod 3] of [2]", "elements outside its cells"),
        ("B[i] -> [(i + 1)] }", "B[i] -> [(i + 1)] } parallel", "at once"),
    ],
    refused: &[],
};

/// The same with the sums in place of where they were read.
const INLINED: Case = Case {
    name: "inlined",
    source: BLUR,
    changed: "
scop blur(N)
context { : N > 0 }
input A: float32[N + 2]
output B: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = (A[i] + A[i + 1]) * (A[i + 1] + A[i + 2])
source none
tree
  band
    i = { B[i] -> [(i)] } parallel
origin { B[i] -> B[i] }
",
    wrong: &[
        ("(A[i + 1] + A[i + 2])", "(A[i + 1] + A[i + 1])", "`A[2]`"),
        ("(A[i] + A[i + 1]) *", "(A[i] - A[i + 1]) *", "does not compute"),
        ("(A[i] + A[i + 1]) * (A[i + 1] + A[i + 2])", "(A[i + 1] + A[i + 2]) * (A[i] + A[i + 2])", ""),
        ("0 <= i < N }", "0 <= i < N - 1 }", "holds at the end what nobody wrote"),
        ("B[i] = (A", "B[N - 1] = (A", ""),
    ],
    refused: &[("(A[i] + A[i + 1]) * (A[i + 1] + A[i + 2])", "(A[i + 1] + A[i + 2]) * (A[i] + A[i + 1])", "")],
};

/// Sums of three, each read twice.
pub const WINDOW: &str = "
scop window(N)
context { : N > 0 }
input A: float32[N + 3]
input W: float32[3]
output B: float32[N]
temporary S: float32[N + 1]
stmt S.init[i]
  domain { S.init[i] : 0 <= i <= N }
  S[i] = 0.0f32
stmt S.update[i, k]
  domain { S.update[i, k] : 0 <= i <= N and 0 <= k < 3 }
  S[i] sum= A[i + k] * W[k]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = S[i] * S[i + 1]
";

/// The same with the sums written out where they were read.
pub const WRITTEN_OUT: Case = Case {
    name: "written out",
    source: WINDOW,
    changed: "
scop window(N)
context { : N > 0 }
input A: float32[N + 3]
input W: float32[3]
output B: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = (0.0f32 + A[i] * W[0] + A[i + 1] * W[1] + A[i + 2] * W[2]) * (0.0f32 + A[i + 1] * W[0] + A[i + 2] * W[1] + A[i + 3] * W[2])
source none
tree
  band
    i = { B[i] -> [(i)] } parallel
origin { B[i] -> B[i] }
",
    wrong: &[
        ("A[i + 2] * W[2])", "A[i + 2] * W[1])", "`W[2]`"),
        ("A[i + 2] * W[2])", "A[i + 1] * W[2])", "`A["),
        (" + A[i + 2] * W[2]) *", ") *", "must find what the caller gave as `A[2]`"),
        (" + A[i + 2] * W[2]) *", " + A[i + 2] * W[2] + A[i + 2] * W[2]) *", "must find what the caller gave as `A[1]`"),
        ("0.0f32 + A[i] ", "1.0f32 + A[i] ", "does not compute"),
        ("+ A[i + 1] * W[1] +", "- A[i + 1] * W[1] +", "does not compute"),
        ("(0.0f32 + A[i] * W[0]", "(0.0f32 * A[i] * W[0]", "does not compute"),
        ("A[i] * W[0]", "fmax(A[i], W[0])", "does not compute"),
    ],
    refused: &[
        ("A[i + 1] * W[1] + A[i + 2] * W[2])", "A[i + 2] * W[2] + A[i + 1] * W[1])", ""),
        ("0.0f32 + A[i] * W[0]", "A[i] * W[0]", "does not compute"),
    ],
};

/// The first and the other values of `k` as statements of their own.
const PEELED: Case = Case {
    name: "peeled",
    source: MATMUL,
    changed: "
scop matmul(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
output C: float32[M, N]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 1 <= k < K }
  C[m, n] sum= A[m, k] * B[k, n]
stmt C.first[m, n]
  domain { C.first[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] sum= A[m, 0] * B[0, n]
source none
tree
  band
    m = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)]; C.first[m, n] -> [(m)] }
    n = { C.init[m, n] -> [(n)]; C.update[m, n, k] -> [(n)]; C.first[m, n] -> [(n)] }
    sequence
      filter { C.init[m, n] }
      filter { C.update[m, n, k] }
        band
          k = { C.update[m, n, k] -> [(k)] }
      filter { C.first[m, n] }
origin { C.init[m, n] -> C.init[m, n]; C.update[m, n, k] -> C.update[m, n, k]; C.first[m, n] -> C.update[m, n, 0] }
",
    wrong: &[
        ("1 <= k < K }", "0 <= k < K }", "twice"),
        ("1 <= k < K }", "2 <= k < K }", "is missing"),
        ("1 <= k < K }", "1 <= k < K - 1 }", "is missing"),
        ("C[m, n] sum= A[m, 0] * B[0, n]", "C[m, n] = A[m, 0] * B[0, n]", "does not compute"),
        (
            "filter { C.init[m, n] }\n      filter { C.update[m, n, k] }\n        band\n          k = { C.update[m, n, k] -> [(k)] }",
            "filter { C.update[m, n, k] }\n        band\n          k = { C.update[m, n, k] -> [(k)] }\n      filter { C.init[m, n] }",
            "what `C.update[0, 0, 1]` computes is missing",
        ),
    ],
    refused: &[],
};

/// Two panels by turns: the next is loaded while the one before is used.
const DOUBLED: Case = Case {
    name: "doubled",
    source: MATMUL,
    changed: "
scop matmul(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
output C: float32[M, N]
temporary Bp: float32[floor((K + 3)/4), 4, N] layout [i0 mod 2, i2, i1] of [2, N + 1, 4]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  C[m, n] sum= A[m, k] * Bp[floor(k/4), k mod 4, n]
stmt Bp.load[ko, x, n]
  domain { Bp.load[ko, x, n] : 0 <= x < 4 and 0 <= 4ko and 4ko + x < K and 0 <= n < N }
  Bp[ko, x, n] = B[4*ko + x, n]
source none
tree
  sequence
    filter { C.init[m, n] }
      band
        C.init.m = { C.init[m, n] -> [(m)] }
        C.init.n = { C.init[m, n] -> [(n)] }
    filter { C.update[m, n, k]; Bp.load[ko, x, n] }
      band
        ko = { C.update[m, n, k] -> [(floor(k/4) + 1)]; Bp.load[ko, x, n] -> [(ko)] }
        sequence
          filter { Bp.load[ko, x, n] }
            band
              x = { Bp.load[ko, x, n] -> [(x)] }
              n = { Bp.load[ko, x, n] -> [(n)] }
          filter { C.update[m, n, k] }
            band
              C.update.m = { C.update[m, n, k] -> [(m)] }
              C.update.n = { C.update[m, n, k] -> [(n)] }
              C.update.k = { C.update[m, n, k] -> [(k)] }
origin { C.init[m, n] -> C.init[m, n]; C.update[m, n, k] -> C.update[m, n, k] }
",
    wrong: &[
        (
            "[i0 mod 2, i2, i1] of [2,",
            "[0*i0, i2, i1] of [1,",
            "finds in `Bp[0, 0, 0]` what the caller gave as `B[4, 0]`",
        ),
        ("[i0 mod 2, i2, i1]", "[i0 mod 2, i2, 0*i1]", "finds in `Bp["),
        ("(floor(k/4) + 1)", "(floor(k/4) + 2)", "finds in `Bp["),
        ("(floor(k/4) + 1)", "(floor(k/4) - 1)", "finds in `Bp["),
        ("Bp[floor(k/4), k mod 4, n]", "Bp[0, k mod 4, n]", ""),
        ("of [2, N + 1, 4]", "of [2, N - 1, 4]", "elements outside its cells"),
        ("of [2, N + 1, 4]", "of [2, N + 1, 3]", "elements outside its cells"),
    ],
    refused: &[],
};

const GATHER: &str = "
scop gather(N, V)
context { : N > 0 and V > 0 }
input I: int32[N]
input W: float32[V]
output S: float32[N]
temporary T: float32[V]
stmt T[v]
  domain { T[v] : 0 <= v < V }
  T[v] = W[v] * 2.0f32
stmt S[i]
  domain { S[i] : 0 <= i < N }
  S[i] = T[value(I[i])]
";

/// A table that is looked up, computed in another order; the indices copied before.
const GATHERED: Case = Case {
    name: "gathered",
    source: GATHER,
    changed: "
scop gather(N, V)
context { : N > 0 and V > 0 }
input I: int32[N]
input W: float32[V]
output S: float32[N]
temporary T: float32[V] layout [V - 1 - i0] of [V]
temporary J: int32[N]
stmt T[v]
  domain { T[v] : 0 <= v < V }
  T[v] = W[v] * 2.0f32
stmt J.load[i]
  domain { J.load[i] : 0 <= i < N }
  J[i] = I[i]
stmt S[i]
  domain { S[i] : 0 <= i < N }
  S[i] = T[value(J[i])]
source none
tree
  sequence
    filter { T[v] }
      band
        v = { T[v] -> [(-v)] }
    filter { J.load[i] }
      band
        ji = { J.load[i] -> [(i)] }
    filter { S[i] }
      band
        i = { S[i] -> [(i)] }
origin { T[v] -> T[v]; S[i] -> S[i] }
",
    wrong: &[
        ("T[v] = W[v] *", "T[v] = W[V - 1 - v] *", "`W["),
        ("0 <= v < V }", "0 <= v < V - 1 }", "`S[0]` finds in `T`"),
        ("J[i] = I[i]", "J[i] = I[0]", "`I[1]`"),
        ("J[i] = I[i]", "J[N - 1 - i] = I[i]", "`I["),
        ("layout [V - 1 - i0] of [V]", "layout [0*i0] of [1]", "finds in `T`"),
    ],
    refused: &[],
};

const MIX: &str = "
scop mix(N)
context { : N > 0 }
input A: float32[N]
input B: float32[N]
inout S: float32[1]
stmt S.sum[i]
  domain { S.sum[i] : 0 <= i < N }
  S[0] sum= A[i]
stmt S.max[i]
  domain { S.max[i] : 0 <= i < N }
  S[0] max= B[i]
";

/// A sum and then a maximum on one element, each backwards and through a copy.
const MIXED: Case = Case {
    name: "mixed",
    source: MIX,
    changed: "
scop mix(N)
context { : N > 0 }
input A: float32[N]
input B: float32[N]
inout S: float32[1]
temporary P: float32[1]
stmt S.sum[i]
  domain { S.sum[i] : 0 <= i < N }
  P[0] sum= A[i]
stmt S.max[i]
  domain { S.max[i] : 0 <= i < N }
  P[0] max= B[i]
stmt P.load[]
  domain { P.load[] }
  P[0] = S[0]
stmt P.store[]
  domain { P.store[] }
  S[0] = P[0]
source none
tree
  sequence
    filter { P.load[] }
    filter { S.sum[i] }
      band
        si = { S.sum[i] -> [(-i)] }
    filter { S.max[i] }
      band
        mi = { S.max[i] -> [(-i)] }
    filter { P.store[] }
origin { S.sum[i] -> S.sum[i]; S.max[i] -> S.max[i] }
",
    wrong: &[
        (
            "filter { P.load[] }\n    filter { S.sum[i] }\n      band\n        si = { S.sum[i] -> [(-i)] }",
            "filter { S.sum[i] }\n      band\n        si = { S.sum[i] -> [(-i)] }\n    filter { P.load[] }",
            "what `S.sum[0]` computes is missing",
        ),
        (
            "filter { S.max[i] }\n      band\n        mi = { S.max[i] -> [(-i)] }\n    filter { P.store[] }",
            "filter { P.store[] }\n    filter { S.max[i] }\n      band\n        mi = { S.max[i] -> [(-i)] }",
            "is missing",
        ),
        (
            "filter { S.sum[i] }\n      band\n        si = { S.sum[i] -> [(-i)] }\n    filter { S.max[i] }\n      band\n        mi = { S.max[i] -> [(-i)] }",
            "filter { S.sum[i]; S.max[i] }\n      band\n        si = { S.sum[i] -> [(-i)]; S.max[i] -> [(-i)] }\n        sequence\n          filter { S.sum[i] }\n          filter { S.max[i] }",
            "`P[0]`",
        ),
        ("S[0] = P[0]\nsource", "S[0] = S[0]\nsource", "holds at the end"),
    ],
    refused: &[],
};

const JACOBI: &str = "
scop jacobi(T, N)
context { : T > 0 and N > 2 }
inout A: float32[N]
temporary B: float32[N]
stmt B[t, i]
  domain { B[t, i] : 0 <= t < T and 1 <= i < N - 1 }
  B[i] = A[i - 1] + A[i] + A[i + 1]
stmt A[t, i]
  domain { A[t, i] : 0 <= t < T and 1 <= i < N - 1 }
  A[i] = B[i]
source
  for t
    for i
      B
    for i
      A
";

/// Both sweeps in one skewed loop, with two elements of the buffer in flight.
const SKEWED_JACOBI: Case = Case {
    name: "skewed jacobi",
    source: JACOBI,
    changed: "
scop jacobi(T, N)
context { : T > 0 and N > 2 }
inout A: float32[N]
temporary B: float32[N] layout [i0 mod 2] of [2]
stmt B[t, i]
  domain { B[t, i] : 0 <= t < T and 1 <= i < N - 1 }
  B[i] = A[i - 1] + A[i] + A[i + 1]
stmt A[t, i]
  domain { A[t, i] : 0 <= t < T and 1 <= i < N - 1 }
  A[i] = B[i]
source none
tree
  band
    t = { B[t, i] -> [(t)]; A[t, i] -> [(t)] }
    w = { B[t, i] -> [(2t + i)]; A[t, i] -> [(2t + i + 1)] }
    sequence
      filter { B[t, i] }
      filter { A[t, i] }
origin { A[t, i] -> A[t, i]; B[t, i] -> B[t, i] }
",
    wrong: &[
        ("layout [i0 mod 2] of [2]", "layout [0*i0] of [1]", "`B["),
        ("A[t, i] -> [(2t + i + 1)]", "A[t, i] -> [(2t + i)]", "`A["),
        ("A[t, i] -> [(2t + i + 1)]", "A[t, i] -> [(2t + i + 2)]", "`B["),
        ("filter { B[t, i] }\n      filter { A[t, i] }", "filter { A[t, i] }\n      filter { B[t, i] }", "`A["),
    ],
    refused: &[
        // The same computation, but each instance is another one.
        ("t = { B[t, i] -> [(t)]; A[t, i] -> [(t)] }", "t = { B[t, i] -> [(-t)]; A[t, i] -> [(-t)] }", "`A["),
    ],
};

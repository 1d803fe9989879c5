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

pub const CASES: &[Case] = &[PACKED, ACCUMULATED];

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

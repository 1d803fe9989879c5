//! Programs that sum relative to a maximum that still grows: a right one is accepted, and none of its neighbours that
//! would compute something else.

use super::*;
use crate::testing;

const SOURCE: &str = "
scop rows(I, J, D)
context { : I > 0 and J > 4 and D > 0 }
input x: float32[I, J]
input v: float32[J, D]
output O: float32[I, D]
output Z: float32[I]
temporary M: float32[I]
temporary P: float32[I, J]
stmt M.init[i]
  domain { M.init[i] : 0 <= i < I }
  M[i] = -inf_f32
stmt M.update[i, j]
  domain { M.update[i, j] : 0 <= i < I and 0 <= j < J }
  M[i] max= x[i, j]
stmt P[i, j]
  domain { P[i, j] : 0 <= i < I and 0 <= j < J }
  P[i, j] = exp((x[i, j] - M[i]) * 0.5f32)
stmt Z.init[i]
  domain { Z.init[i] : 0 <= i < I }
  Z[i] = 0.0f32
stmt Z.update[i, j]
  domain { Z.update[i, j] : 0 <= i < I and 0 <= j < J }
  Z[i] sum= P[i, j]
stmt O.init[i, d]
  domain { O.init[i, d] : 0 <= i < I and 0 <= d < D }
  O[i, d] = 0.0f32
stmt O.update[i, d, j]
  domain { O.update[i, d, j] : 0 <= i < I and 0 <= d < D and 0 <= j < J }
  O[i, d] sum= P[i, j] * v[j, d]
stmt O.2[i, d]
  domain { O.2[i, d] : 0 <= i < I and 0 <= d < D }
  O[i, d] = O[i, d] / Z[i]
";

/// In blocks of four columns.
const CHANGED: &str = "
scop rows(I, J, D)
context { : I > 0 and J > 4 and D > 0 }
input x: float32[I, J]
input v: float32[J, D]
output O: float32[I, D]
output Z: float32[I]
temporary M: float32[I]
temporary P: float32[I, J]
temporary seen: float32[I]
temporary factor: float32[I]
stmt M.init[i]
  domain { M.init[i] : 0 <= i < I }
  M[i] = -inf_f32
stmt M.update[i, j]
  domain { M.update[i, j] : 0 <= i < I and 0 <= j < J }
  M[i] max= x[i, j]
stmt P[i, j]
  domain { P[i, j] : 0 <= i < I and 0 <= j < J }
  P[i, j] = exp((x[i, j] - seen[i]) * 0.5f32)
stmt Z.init[i]
  domain { Z.init[i] : 0 <= i < I }
  Z[i] = 0.0f32
stmt Z.update[i, j]
  domain { Z.update[i, j] : 0 <= i < I and 0 <= j < J }
  Z[i] sum= P[i, j]
stmt O.init[i, d]
  domain { O.init[i, d] : 0 <= i < I and 0 <= d < D }
  O[i, d] = 0.0f32
stmt O.update[i, d, j]
  domain { O.update[i, d, j] : 0 <= i < I and 0 <= d < D and 0 <= j < J }
  O[i, d] sum= P[i, j] * v[j, d]
stmt O.2[i, d]
  domain { O.2[i, d] : 0 <= i < I and 0 <= d < D }
  O[i, d] = O[i, d] / Z[i]
stmt factor[i, t]
  domain { factor[i, t] : 0 <= i < I and 0 < t and 4t + 4 < J }
  reads seen[i], M[i]
  factor[i] = select(max(read(1), -3.4028234663852886e38f32) == read(0), 1.0f32, exp((read(0) - max(read(1), -3.4028234663852886e38f32)) * 0.5f32))
stmt factor.last[i, t]
  domain { factor.last[i, t] : 0 <= i < I and 0 < t and 4t < J <= 4t + 4 }
  reads seen[i], M[i]
  factor[i] = select(read(1) == read(0), 1.0f32, exp((read(0) - read(1)) * 0.5f32))
stmt seen[i, t]
  domain { seen[i, t] : 0 <= i < I and 0 <= t and 4t + 4 < J }
  seen[i] = max(M[i], -3.4028234663852886e38f32)
stmt seen.last[i, t]
  domain { seen.last[i, t] : 0 <= i < I and 0 <= t and 4t < J <= 4t + 4 }
  seen[i] = M[i]
stmt Z.rescale[i, t]
  domain { Z.rescale[i, t] : 0 <= i < I and 0 < t and 4t < J }
  Z[i] = Z[i] * factor[i]
stmt O.rescale[i, t, d]
  domain { O.rescale[i, t, d] : 0 <= i < I and 0 < t and 4t < J and 0 <= d < D }
  O[i, d] = O[i, d] * factor[i]
source none
tree
  sequence
    filter { M.init[i]; Z.init[i]; O.init[i, d] }
      set
        filter { M.init[i] }
        filter { Z.init[i] }
        filter { O.init[i, d] }
    filter { M.update[i, j]; P[i, j]; Z.update[i, j]; O.update[i, d, j]; factor[i, t]; factor.last[i, t]; seen[i, t]; seen.last[i, t]; Z.rescale[i, t]; O.rescale[i, t, d] }
      band
        i = { M.update[i, j] -> [(i)]; P[i, j] -> [(i)]; Z.update[i, j] -> [(i)]; O.update[i, d, j] -> [(i)]; factor[i, t] -> [(i)]; factor.last[i, t] -> [(i)]; seen[i, t] -> [(i)]; seen.last[i, t] -> [(i)]; Z.rescale[i, t] -> [(i)]; O.rescale[i, t, d] -> [(i)] }
        t = { M.update[i, j] -> [(floor(j/4))]; P[i, j] -> [(floor(j/4))]; Z.update[i, j] -> [(floor(j/4))]; O.update[i, d, j] -> [(floor(j/4))]; factor[i, t] -> [(t)]; factor.last[i, t] -> [(t)]; seen[i, t] -> [(t)]; seen.last[i, t] -> [(t)]; Z.rescale[i, t] -> [(t)]; O.rescale[i, t, d] -> [(t)] }
        sequence
          filter { M.update[i, j] }
            band
              a = { M.update[i, j] -> [(j)] }
          filter { factor[i, t] }
          filter { factor.last[i, t] }
          filter { seen[i, t] }
          filter { seen.last[i, t] }
          filter { P[i, j] }
            band
              b = { P[i, j] -> [(j)] }
          filter { Z.rescale[i, t] }
          filter { Z.update[i, j] }
            band
              c = { Z.update[i, j] -> [(j)] }
          filter { O.rescale[i, t, d] }
            band
              d = { O.rescale[i, t, d] -> [(d)] }
          filter { O.update[i, d, j] }
            band
              e = { O.update[i, d, j] -> [(d)] }
              f = { O.update[i, d, j] -> [(j)] }
    filter { O.2[i, d] }
      band
        g = { O.2[i, d] -> [(i)] }
        h = { O.2[i, d] -> [(d)] }
origin identity
";

fn verdict(source: &str, changed: &str) -> Result<(), Illegal> {
    let ctx = isl::Ctx::new();
    let (source, changed) = (testing::scop(&ctx, source), testing::scop(&ctx, changed));
    let tensor = |name: &str| changed.tensor_named(name).expect("a tensor");
    let claim = Rescaling {
        max: tensor("M"),
        sums: vec![tensor("Z"), tensor("O")],
        member: "t".into(),
        reference: tensor("seen"),
        factor: tensor("factor"),
    };
    rescaled(&source, &changed, &claim)
}

#[test]
fn a_right_program_is_accepted() {
    if let Err(illegal) = verdict(SOURCE, CHANGED) {
        panic!("{illegal}");
    }
}

/// Replacements in the changed program, each of which makes it wrong.
const WRONG: &[(&str, &str)] = &[
    // Sums are not multiplied, or not for every block, or by something else.
    ("Z[i] = Z[i] * factor[i]", "Z[i] = Z[i]"),
    ("Z[i] = Z[i] * factor[i]", "Z[i] = Z[i] / factor[i]"),
    ("Z[i] = Z[i] * factor[i]", "Z[i] = Z[i] * seen[i]"),
    ("O[i, d] = O[i, d] * factor[i]", "O[i, d] = O[i, d] * factor[0]"),
    ("Z.rescale[i, t] : 0 <= i < I and 0 < t and", "Z.rescale[i, t] : 0 <= i < I and 1 < t and"),
    (
        "O.rescale[i, t, d] : 0 <= i < I and 0 < t and 4t < J and 0 <= d",
        "O.rescale[i, t, d] : 0 <= i < I and 0 < t and 4t < J and 1 <= d",
    ),
    // The factor is another one.
    ("exp((read(0) - read(1)) * 0.5f32)", "exp((read(1) - read(0)) * 0.5f32)"),
    ("exp((read(0) - read(1)) * 0.5f32)", "exp(read(0) - read(1))"),
    ("exp((read(0) - read(1)) * 0.5f32)", "exp2((read(0) - read(1)) * 0.5f32)"),
    ("exp((read(0) - read(1)) * 0.5f32)", "exp((read(0) - read(1)) * 0.5f32 + 1.0f32)"),
    ("read(1) == read(0), 1.0f32", "read(1) == read(0), 2.0f32"),
    // The reference is not the maximum so far.
    ("seen[i] = max(M[i], -3.4028234663852886e38f32)", "seen[i] = max(M[i], 0.0f32)"),
    ("seen[i] = max(M[i], -3.4028234663852886e38f32)", "seen[i] = M[i]"),
    (
        "seen.last[i, t] : 0 <= i < I and 0 <= t and 4t < J <= 4t + 4",
        "seen.last[i, t] : 1 <= i < I and 0 <= t and 4t < J <= 4t + 4",
    ),
    // Steps of a block in another order.
    (
        "          filter { factor[i, t] }\n          filter { factor.last[i, t] }\n          filter { seen[i, t] }\n          filter { seen.last[i, t] }\n",
        "          filter { seen[i, t] }\n          filter { seen.last[i, t] }\n          filter { factor[i, t] }\n          filter { factor.last[i, t] }\n",
    ),
    (
        "          filter { Z.rescale[i, t] }\n          filter { Z.update[i, j] }\n            band\n              c = { Z.update[i, j] -> [(j)] }\n",
        "          filter { Z.update[i, j] }\n            band\n              c = { Z.update[i, j] -> [(j)] }\n          filter { Z.rescale[i, t] }\n",
    ),
    (
        "          filter { M.update[i, j] }\n            band\n              a = { M.update[i, j] -> [(j)] }\n          filter { factor[i, t] }\n",
        "          filter { factor[i, t] }\n          filter { M.update[i, j] }\n            band\n              a = { M.update[i, j] -> [(j)] }\n",
    ),
    // Blocks of their own, or backwards.
    ("P[i, j] -> [(floor(j/4))]", "P[i, j] -> [(floor(j/2))]"),
    ("Z.update[i, j] -> [(floor(j/4))]", "Z.update[i, j] -> [(floor((j + 1)/4))]"),
    // The maximum is found later than its terms.
    ("M.update[i, j] -> [(floor(j/4))]", "M.update[i, j] -> [(floor((j + 1)/4))]"),
    ("M.update[i, j] -> [(floor(j/4))]", "M.update[i, j] -> [(floor((J - 1)/4) - floor(j/4))]"),
    // Terms still read the maximum, or are other ones than in the source.
    ("P[i, j] = exp((x[i, j] - seen[i]) * 0.5f32)", "P[i, j] = exp((x[i, j] - M[i]) * 0.5f32)"),
    ("P[i, j] = exp((x[i, j] - seen[i]) * 0.5f32)", "P[i, j] = exp((x[i, j] - seen[i]) * 0.25f32)"),
];

#[test]
fn wrong_programs_are_refused() {
    let accepted: Vec<String> = WRONG
        .iter()
        .filter(|(from, to)| {
            assert!(CHANGED.contains(from), "no `{from}`");
            match verdict(SOURCE, &CHANGED.replacen(from, to, 1)) {
                Ok(()) => true,
                Err(illegal) => {
                    println!("`{to}`:\n    {illegal}");
                    false
                }
            }
        })
        .map(|(from, to)| format!("`{from}` as `{to}`"))
        .collect();
    assert!(accepted.is_empty(), "accepted:\n{}", accepted.join("\n"));
}

/// Replacements in both programs, after which the law is not one.
const NO_LAW: &[(&str, &str, &str)] = &[
    ("exp((", "tanh((", "is no sum of terms"),
    ("* 0.5f32)\n", "* -0.5f32)\n", "is no sum of terms"),
    ("* 0.5f32)\n", "* 2.0f32)\n", "is no sum of terms"),
    ("* 0.5f32)\n", "* 0.5f32) + 1.0f32\n", "is no sum of terms"),
    ("P[i, j] * v[j, d]", "P[i, j] * P[i, j]", "is no sum of terms"),
    ("P[i, j] * v[j, d]", "max(P[i, j], v[j, d])", "is no sum of terms"),
    ("max= x[i, j]", "max= x[i, j] * 0.5f32", "not over what the terms"),
    (
        "{ M.update[i, j] : 0 <= i < I and 0 <= j < J }",
        "{ M.update[i, j] : 0 <= i < I and 1 <= j < J }",
        "not over what the terms",
    ),
    ("max= x[i, j]", "min= x[i, j]", "no maximum"),
    ("Z[i] = 0.0f32", "Z[i] = 1.0f32", "begin with zero"),
    ("temporary P", "output P", "caller's"),
    ("Z.init[i] : 0 <= i", "Z.init[i] : 1 <= i", "begin with zero"),
    ("O[i, d] = O[i, d] / Z[i]", "O[i, d] = O[i, d] / P[i, 0]", "uses `P` too"),
];

#[test]
fn what_is_no_law_is_refused() {
    for (from, to, sentence) in NO_LAW {
        assert!(SOURCE.contains(from) && CHANGED.contains(from), "no `{from}`");
        let said = verdict(&SOURCE.replacen(from, to, 1), &CHANGED.replacen(from, to, 1));
        let said = said.expect_err(&format!("`{to}` is accepted")).to_string();
        assert!(said.contains(sentence), "`{to}`: {said}");
    }
}

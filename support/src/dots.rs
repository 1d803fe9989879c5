//! Sums of a few products in one instruction.

use crate::Target;

/// An instruction that adds the products of `group` pairs of neighbouring elements to each lane of a sum:
/// `sum[l] += left[l·g]·right[l·g] + … + left[l·g + g - 1]·right[l·g + g - 1]`.
///
/// Products of integers are exact, and sums wrap around. Sums of floats may be rounded in any order, and numbers too small
/// for their type's normal range may count as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DotProduct {
    /// Type of the left factors, by the name that the language gives it.
    pub left: &'static str,
    /// Type of the right factors.
    pub right: &'static str,
    /// Type of the sum.
    pub sum: &'static str,
    /// Products in one lane of the sum.
    pub group: u32,
    /// Bytes of the register that it works on.
    pub bytes: u32,
}

/// An instruction, and what a processor needs for it.
struct Row {
    /// How the names of the triples begin.
    triple: &'static str,
    /// The features that have it, all of them.
    has: &'static [&'static str],
    /// Features that those build on: without one of them LLVM switches them off.
    on: &'static [&'static str],
    /// Features of processors on which it takes longer than multiplying and adding one after the other.
    slow: &'static [&'static str],
    product: DotProduct,
}

const SSE: &[&str] = &["sse3", "ssse3", "sse4.1", "sse4.2", "avx", "avx2"];
const AVX512: &[&str] = &["sse3", "ssse3", "sse4.1", "sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw"];

const fn row(
    triple: &'static str,
    has: &'static [&'static str],
    on: &'static [&'static str],
    bytes: u32,
    (left, right, sum, group): (&'static str, &'static str, &'static str, u32),
) -> Row {
    Row { triple, has, on, slow: &[], product: DotProduct { left, right, sum, group, bytes } }
}

/// Processors with tiles for the same products start a `VDPBF16PS` of a whole register every second cycle only: half the rate
/// of their multiply-adds, as measured (docs/decisions/0015-dot-products.md).
const SLOW_BFLOATS: &[&str] = &["amx-bf16"];

const BYTES: (&str, &str, &str, u32) = ("uint8", "int8", "int32", 4);
const SIGNED_BYTES: (&str, &str, &str, u32) = ("int8", "int8", "int32", 4);
const UNSIGNED_BYTES: (&str, &str, &str, u32) = ("uint8", "uint8", "int32", 4);
const SHORTS: (&str, &str, &str, u32) = ("int16", "int16", "int32", 2);
const BFLOATS: (&str, &str, &str, u32) = ("bfloat16", "bfloat16", "float32", 2);

/// Intel's Architectures Software Developer's Manual (`VPDPBUSD`, `VPDPWSSD`, `VPDPBSSD`, `VDPBF16PS`) and Arm's
/// Architecture Reference Manual (`SDOT`, `UDOT`, `USDOT`, `BFDOT`).
const ROWS: &[Row] = &[
    row("x86_64", &["avx512vnni"], AVX512, 64, BYTES),
    row("x86_64", &["avx512vnni"], AVX512, 64, SHORTS),
    Row { slow: SLOW_BFLOATS, ..row("x86_64", &["avx512bf16"], AVX512, 64, BFLOATS) },
    row("x86_64", &["avxvnniint8"], SSE, 32, SIGNED_BYTES),
    row("x86_64", &["avxvnniint8"], SSE, 32, UNSIGNED_BYTES),
    row("x86_64", &["avxvnni"], SSE, 32, BYTES),
    row("x86_64", &["avxvnni"], SSE, 32, SHORTS),
    row("aarch64", &["dotprod"], &[], 16, SIGNED_BYTES),
    row("aarch64", &["dotprod"], &[], 16, UNSIGNED_BYTES),
    row("aarch64", &["i8mm"], &[], 16, BYTES),
    row("aarch64", &["bf16"], &[], 16, BFLOATS),
];

impl Target {
    /// The instructions for sums of products that the target's features name, for registers as wide as its vectors.
    /// What only the processor's name implies is not among them, nor what it is slow at.
    pub fn dot_products(&self) -> Vec<DotProduct> {
        let last = |sign: char, feature: &str| {
            let named = |one: &str| one.strip_prefix(sign).is_some_and(|name| name == feature);
            self.features.split(',').enumerate().filter(|(_, one)| named(one)).map(|(at, _)| at).last()
        };
        let is_on = |feature: &&str| last('+', feature) > last('-', feature);
        let is_off = |feature: &&str| last('-', feature) > last('+', feature);
        let serves = |row: &&Row| {
            self.triple.starts_with(row.triple)
                && self.vector_bytes == row.product.bytes
                && !row.slow.iter().any(is_on)
                && row.has.iter().all(is_on)
                && !row.on.iter().any(is_off)
        };
        ROWS.iter().filter(serves).map(|row| row.product).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(features: &str) -> Target {
        let text = include_str!("../../tilewright/targets/x86-64-v4.toml");
        Target { features: features.into(), ..Target::from_toml(text).expect("a target") }
    }

    #[test]
    fn features_decide() {
        let count = |features: &str| target(features).dot_products().len();
        assert_eq!(count(""), 0);
        assert_eq!(count("+avx512vnni"), 2);
        assert_eq!(count("+avx512vnni,+avx512bf16"), 3);
        assert_eq!(count("+avx512vnni,-avx512vnni"), 0);
        assert_eq!(count("+avx512vnni,-avx512f"), 0);
        assert_eq!(count("+avx512vnni,+avx512bf16,+amx-bf16"), 2);
        assert_eq!(Target { vector_bytes: 32, ..target("+avx512vnni") }.dot_products(), []);
        assert_eq!(Target { triple: "aarch64-linux".into(), ..target("+avx512vnni") }.dot_products(), []);
    }
}

//! How a library finds out what a processor has: for each feature, by LLVM's name, the bits that say so.
//!
//! x86-64: Intel's and AMD's manuals on `cpuid`. Registers of 256 and 512 bits and those of AMX also count only where the
//! system saves them (XCR0). 64-bit ARM under Linux: `asm/hwcap.h`.

use super::super::isa::Architecture;
use super::super::{Error, Result};

/// How many words [`bits`] count.
pub(super) const WORDS: usize = 10;

/// The word of the bytes of a vector, where those have the length of the machine's.
pub(super) const SCALABLE_BYTES: usize = 2;

/// Bits of a word that must be set: the word, the bits.
pub(super) type Bits = (usize, u64);

/// Leaf 1, register c; leaf 7, registers b, c and d; its second part, a and d; leaf 8000_0001, c; leaf 8000_0008, b;
/// leaf 13, second part, a. Each is a list of names and the bits that stand for them.
const X86: [&str; 9] = [
    "sse3 0 pclmul 1 ssse3 9 fma 12 cx16 13 sse4.1 19 sse4.2 20 movbe 22 popcnt 23 aes 25 xsave 26 avx 28 f16c 29 rdrnd 30 \
     crc32 20",
    "fsgsbase 0 sgx 2 bmi 3 avx2 5 bmi2 8 invpcid 10 rtm 11 avx512f 16 evex512 16 avx512dq 17 rdseed 18 adx 19 avx512ifma 21 \
     clflushopt 23 clwb 24 avx512cd 28 sha 29 avx512bw 30 avx512vl 31",
    "avx512vbmi 1 pku 4 waitpkg 5 avx512vbmi2 6 shstk 7 gfni 8 vaes 9 vpclmulqdq 10 avx512vnni 11 avx512bitalg 12 \
     avx512vpopcntdq 14 rdpid 22 kl 23 cldemote 25 movdiri 27 movdir64b 28 enqcmd 29",
    "uintr 5 avx512vp2intersect 8 serialize 14 tsxldtrk 16 pconfig 18 amx-bf16 22 avx512fp16 23 amx-tile 24 amx-int8 25",
    "sha512 0 sm3 1 sm4 2 raoint 3 avxvnni 4 avx512bf16 5 cmpccxadd 7 amx-fp16 21 hreset 22 avxifma 23",
    "avxvnniint8 4 avxneconvert 5 amx-complex 8 avxvnniint16 10 prefetchi 14",
    "sahf 0 lzcnt 5 sse4a 6 prfchw 8 xop 11 lwp 15 fma4 16 tbm 21 mwaitx 29",
    "clzero 0 rdpru 4 wbnoinvd 9",
    "xsaveopt 0 xsavec 1 xsaves 3",
];

/// The word of XCR0, and what of it must be set for AVX, AVX-512 and AMX.
const SAVED: usize = 9;
const SAVED_AVX: u64 = 0x6;
const SAVED_AVX512: u64 = 0xe6;
const SAVED_AMX: u64 = 0x6_0000;

/// What every 64-bit processor has.
const X86_ALWAYS: &str = "sse sse2 mmx fxsr cx8 cmov x87 64bit nopl";

/// `AT_HWCAP` and `AT_HWCAP2`; [`SCALABLE_BYTES`] follows them.
const AARCH64: [&str; 2] = [
    "aes 3 sha2 6 crc 7 lse 8 fullfp16 9 fullfp16 10 rdm 12 jsconv 13 complxnum 14 rcpc 15 sha3 17 sm4 18 sm4 19 dotprod 20 \
     sve 22 fp16fml 23 dit 24 lse2 25 rcpc-immo 26 flagm 27 sb 29",
    "sve2 1 sve2-aes 2 sve2-bitperm 4 sve2-sha3 5 sve2-sm4 6 fptoint 8 f32mm 11 f64mm 12 i8mm 13 bf16 14 rand 16 cssc 34 \
     sve2p1 36 mops 43 sve-b16b16 45 rcpc3 46 lse128 47",
];

const AARCH64_ALWAYS: &str = "neon fp-armv8 v8a";

/// The bits that say that the processor has a feature.
///
/// # Errors
/// [`Error::Unsupported`] where nothing that a program can ask says it.
pub(super) fn bits(architecture: Architecture, feature: &str) -> Result<Vec<Bits>> {
    let (words, always): (&[&str], &str) = match architecture {
        Architecture::X86 => (&X86, X86_ALWAYS),
        Architecture::AArch64 => (&AARCH64, AARCH64_ALWAYS),
        Architecture::Nvptx => (&[], ""),
    };
    if always.split_whitespace().any(|known| known == feature) {
        return Ok(Vec::new());
    }
    let mut found: Vec<Bits> = Vec::new();
    for (at, names) in words.iter().enumerate() {
        let parts: Vec<&str> = names.split_whitespace().collect();
        for pair in parts.chunks_exact(2) {
            if let ([name, bit], true) = (pair, pair[0] == feature) {
                let bit: u32 = bit.parse().map_err(|_| Error::Malformed(format!("`{name}` has no bit")))?;
                found.push((at, 1 << bit));
            }
        }
    }
    if found.is_empty() {
        let why = format!("a library cannot ask a processor whether it has `{feature}`");
        return Err(Error::Unsupported(why));
    }
    if architecture == Architecture::X86 {
        found.extend(saved_for(feature).map(|bits| (SAVED, bits)));
    }
    Ok(found)
}

/// What the system must save for a feature's registers.
fn saved_for(feature: &str) -> Option<u64> {
    match feature {
        _ if feature.starts_with("avx512") || feature == "evex512" => Some(SAVED_AVX512),
        _ if feature.starts_with("amx") => Some(SAVED_AMX),
        "f16c" | "fma" | "fma4" | "xop" | "vaes" | "vpclmulqdq" => Some(SAVED_AVX),
        _ if feature.starts_with("avx") => Some(SAVED_AVX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_need_the_system_too() {
        assert_eq!(bits(Architecture::X86, "popcnt").unwrap(), [(0, 1 << 23)]);
        assert_eq!(bits(Architecture::X86, "avx2").unwrap(), [(1, 1 << 5), (SAVED, SAVED_AVX)]);
        assert_eq!(bits(Architecture::X86, "avx512bf16").unwrap(), [(4, 1 << 5), (SAVED, SAVED_AVX512)]);
        assert_eq!(bits(Architecture::X86, "sse2").unwrap(), []);
        assert_eq!(bits(Architecture::AArch64, "fullfp16").unwrap(), [(0, 1 << 9), (0, 1 << 10)]);
        assert!(bits(Architecture::X86, "telepathy").is_err());
    }

    /// What the names say is what the standard library finds on this machine.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_bits_are_those_of_the_standard_library() {
        use std::arch::x86_64::{__cpuid_count, _xgetbv};
        let leaf = |leaf: u32, part: u32| __cpuid_count(leaf, part);
        if leaf(0, 0).eax < 13 || leaf(1, 0).ecx & 1 << 27 == 0 {
            return;
        }
        let second = if leaf(7, 0).eax >= 1 { leaf(7, 1) } else { leaf(u32::MAX >> 1, 0) };
        let (second_a, second_d) = if leaf(7, 0).eax >= 1 { (second.eax, second.edx) } else { (0, 0) };
        let seven = leaf(7, 0);
        // SAFETY: the processor has the instruction, as OSXSAVE says.
        let saved = unsafe { _xgetbv(0) };
        let words: [u64; WORDS] = [
            leaf(1, 0).ecx.into(),
            seven.ebx.into(),
            seven.ecx.into(),
            seven.edx.into(),
            second_a.into(),
            second_d.into(),
            leaf(0x8000_0001, 0).ecx.into(),
            leaf(0x8000_0008, 0).ebx.into(),
            leaf(13, 1).eax.into(),
            saved,
        ];
        let has =
            |name: &str| bits(Architecture::X86, name).unwrap().iter().all(|(at, bits)| words[*at] & bits == *bits);
        macro_rules! same {
            ($($ours:literal $theirs:tt),* $(,)?) => {
                $(assert_eq!(has($ours), is_x86_feature_detected!($theirs), $ours);)*
            };
        }
        same!(
            "sse3" "sse3", "ssse3" "ssse3", "sse4.1" "sse4.1", "sse4.2" "sse4.2", "popcnt" "popcnt", "avx" "avx",
            "avx2" "avx2", "fma" "fma", "f16c" "f16c", "bmi" "bmi1", "bmi2" "bmi2", "lzcnt" "lzcnt", "movbe" "movbe",
            "aes" "aes", "pclmul" "pclmulqdq", "rdrnd" "rdrand", "rdseed" "rdseed", "adx" "adx", "sha" "sha",
            "sse4a" "sse4a", "tbm" "tbm", "cx16" "cmpxchg16b", "avx512f" "avx512f", "avx512bw" "avx512bw",
            "avx512cd" "avx512cd", "avx512dq" "avx512dq", "avx512vl" "avx512vl", "avx512ifma" "avx512ifma",
            "avx512vbmi" "avx512vbmi", "avx512vbmi2" "avx512vbmi2", "avx512vnni" "avx512vnni",
            "avx512bitalg" "avx512bitalg", "avx512vpopcntdq" "avx512vpopcntdq", "avx512bf16" "avx512bf16",
            "gfni" "gfni", "vaes" "vaes", "vpclmulqdq" "vpclmulqdq", "xsave" "xsave", "xsavec" "xsavec",
            "xsaveopt" "xsaveopt", "xsaves" "xsaves", "avx512vp2intersect" "avx512vp2intersect",
        );
    }
}

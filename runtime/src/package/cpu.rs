//! Which machine code this machine runs.

use super::Machine;

/// Why this machine does not run code for that one; `None` when it does.
pub(super) fn obstacle(machine: &Machine) -> Option<String> {
    let (own, other) = (std::env::consts::ARCH, machine.triple.split('-').next().unwrap_or_default());
    if own != other {
        return Some(format!("it is for {other}, and this process runs on {own}"));
    }
    let missing: Vec<&str> =
        machine.features.iter().map(String::as_str).filter(|feature| has(feature) != Some(true)).collect();
    if !missing.is_empty() {
        let (unknown, absent): (Vec<&str>, Vec<&str>) = missing.into_iter().partition(|feature| has(feature).is_none());
        return Some(match absent.is_empty() {
            false => format!("it needs {}, which this machine does not have", absent.join(", ")),
            true => format!("it needs {}, and whether this machine has that cannot be told", unknown.join(", ")),
        });
    }
    let (needed, found) = (machine.scalable_bits?, scalable_bits());
    (found < needed).then(|| format!("it needs vectors of {needed} bits, and this machine's have {found}"))
}

/// Whether this machine has an instruction set extension, by LLVM's name; `None` where that cannot be told.
#[cfg(target_arch = "x86_64")]
fn has(feature: &str) -> Option<bool> {
    macro_rules! detected {
        ($($llvm:literal $rust:tt)*) => {
            match feature {
                $($llvm => Some(std::arch::is_x86_feature_detected!($rust)),)*
                _ => None,
            }
        };
    }
    detected! {
        "sse3" "sse3" "ssse3" "ssse3" "sse4.1" "sse4.1" "sse4.2" "sse4.2" "sse4a" "sse4a" "avx" "avx" "avx2" "avx2"
        "fma" "fma" "f16c" "f16c" "bmi" "bmi1" "bmi2" "bmi2" "lzcnt" "lzcnt" "popcnt" "popcnt" "movbe" "movbe"
        "adx" "adx" "tbm" "tbm" "gfni" "gfni" "vpclmulqdq" "vpclmulqdq" "pclmul" "pclmulqdq" "crc32" "sse4.2"
        "avx512f" "avx512f" "avx512bw" "avx512bw" "avx512cd" "avx512cd" "avx512dq" "avx512dq" "avx512vl" "avx512vl"
        "avx512ifma" "avx512ifma" "avx512vbmi" "avx512vbmi" "avx512vbmi2" "avx512vbmi2" "avx512bitalg" "avx512bitalg"
        "avx512vpopcntdq" "avx512vpopcntdq" "avx512vnni" "avx512vnni" "avx512bf16" "avx512bf16"
        "avx512vp2intersect" "avx512vp2intersect" "evex512" "avx512f"
    }
    .or_else(|| later(feature))
}

/// Extensions that the standard library's detection names in later versions of Rust: leaf 7 of `cpuid`, "Intel 64 and IA-32
/// Architectures Software Developer's Manual", volume 2A.
#[cfg(target_arch = "x86_64")]
fn later(feature: &str) -> Option<bool> {
    use std::arch::x86_64::__cpuid_count;
    let first = || __cpuid_count(7, 0);
    let leaf = || (first().eax > 0).then(|| __cpuid_count(7, 1));
    let bit = |word: u32, at: u32| word >> at & 1 == 1;
    let named = match feature {
        // The system keeps its registers where it does so for AVX-512F.
        "avx512fp16" => std::arch::is_x86_feature_detected!("avx512f") && bit(first().edx, 23),
        "avxvnni" => leaf().is_some_and(|leaf| bit(leaf.eax, 4)),
        "avxifma" => leaf().is_some_and(|leaf| bit(leaf.eax, 23)),
        "avxvnniint8" => leaf().is_some_and(|leaf| bit(leaf.edx, 4)),
        "avxneconvert" => leaf().is_some_and(|leaf| bit(leaf.edx, 5)),
        "avxvnniint16" => leaf().is_some_and(|leaf| bit(leaf.edx, 10)),
        _ => return None,
    };
    // The system keeps the registers where it does so for AVX2.
    Some(named && std::arch::is_x86_feature_detected!("avx2"))
}

/// As for x86-64.
#[cfg(target_arch = "aarch64")]
fn has(feature: &str) -> Option<bool> {
    macro_rules! detected {
        ($($llvm:literal $rust:tt)*) => {
            match feature {
                $($llvm => Some(std::arch::is_aarch64_feature_detected!($rust)),)*
                _ => None,
            }
        };
    }
    detected! {
        "neon" "neon" "fp-armv8" "fp" "crc" "crc" "lse" "lse" "rdm" "rdm" "dotprod" "dotprod" "fullfp16" "fp16"
        "fp16fml" "fhm" "bf16" "bf16" "i8mm" "i8mm" "f32mm" "f32mm" "f64mm" "f64mm" "complxnum" "fcma" "jsconv" "jsconv"
        "fptoint" "frintts" "flagm" "flagm" "rcpc" "rcpc" "rcpc-immo" "rcpc2" "lse2" "lse2" "sve" "sve" "sve2" "sve2"
    }
}

/// Bits of a vector of SVE; 0 where there are none.
#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
fn scalable_bits() -> u32 {
    const PR_SVE_GET_VL: libc::c_int = 51;
    const BYTES: libc::c_int = 0xffff;
    // SAFETY: this asks for a number and changes nothing.
    let answer = unsafe { libc::prctl(PR_SVE_GET_VL) };
    if answer < 0 { 0 } else { 8 * (answer & BYTES) as u32 }
}

/// As on Linux, where it could be asked.
#[cfg(not(all(target_arch = "aarch64", target_os = "linux")))]
fn scalable_bits() -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(triple: &str, features: &[&str]) -> Machine {
        let features = features.iter().map(|feature| feature.to_string()).collect();
        Machine { triple: triple.into(), cpu: "generic".into(), features, scalable_bits: None }
    }

    #[test]
    fn what_a_machine_lacks_is_named() {
        let own = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        assert_eq!(obstacle(&machine(&own, &[])), None);
        let unknown = obstacle(&machine(&own, &["quantum"])).expect("an obstacle");
        assert!(unknown.contains("quantum") && unknown.contains("cannot be told"), "{unknown}");
        let other = obstacle(&machine("riscv64-unknown-linux-gnu", &[])).expect("an obstacle");
        assert!(other.contains("it is for riscv64"), "{other}");
        let wide = Machine { scalable_bits: Some(1 << 20), ..machine(&own, &[]) };
        assert!(obstacle(&wide).expect("an obstacle").contains("vectors of 1048576 bits"));
    }

    /// What the kernel's list of flags says, whose names are the system's.
    #[test]
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn extensions_are_those_that_the_system_lists() {
        let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") else { return };
        let flags: Vec<&str> = text
            .lines()
            .find(|line| line.starts_with("flags"))
            .and_then(|line| line.split_once(':'))
            .map_or(Vec::new(), |(_, flags)| flags.split_whitespace().collect());
        for (llvm, flag) in [
            ("sse3", "pni"),
            ("sse4.2", "sse4_2"),
            ("avx", "avx"),
            ("avx2", "avx2"),
            ("fma", "fma"),
            ("bmi", "bmi1"),
            ("bmi2", "bmi2"),
            ("lzcnt", "abm"),
            ("avx512f", "avx512f"),
            ("avx512vl", "avx512vl"),
            ("avx512vnni", "avx512_vnni"),
            ("avx512bf16", "avx512_bf16"),
            ("avxvnni", "avx_vnni"),
            ("gfni", "gfni"),
            ("f16c", "f16c"),
            ("avx512fp16", "avx512_fp16"),
            ("avxifma", "avx_ifma"),
        ] {
            assert_eq!(has(llvm), Some(flags.contains(&flag)), "{llvm}");
        }
        assert_eq!(has("amx-tile"), None);
    }
}

//! What LLVM 19 calls processors and their features, and which of them have the instructions that we ask about.
//!
//! LLVM prints a warning on a name that it does not know and goes on with a default, and its C interface cannot be asked. So the names are
//! here, as `llc -mcpu=help` lists them for 64-bit code; the tests compare them with LLVM.

/// Instructions without which LLVM would call a function of the C library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Instructions {
    /// `floor`, `ceil`, `trunc` of floats.
    pub round: bool,
    /// Fused multiply-add.
    pub fma: bool,
    /// `float16` to `float32` and back.
    pub half: bool,
    /// Vectors of a length that only the machine knows (SVE); of 128 bits at least.
    pub scalable: bool,
    /// Registers of 512 bits with the instructions of AVX-512F.
    pub avx512: bool,
}

impl Instructions {
    const ALL: Instructions = Instructions { round: true, fma: true, half: true, ..Instructions::NONE };
    const NONE: Instructions = Instructions { round: false, fma: false, half: false, scalable: false, avx512: false };
}

/// An architecture that we compile for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    /// 64-bit x86.
    X86,
    /// 64-bit ARM.
    AArch64,
    /// NVIDIA's devices, which no [`Target`](support::Target) describes.
    Nvptx,
}

impl Architecture {
    /// The architecture of a triple, when it is one of ours and its objects are ELF.
    pub fn of_triple(triple: &str) -> Option<Architecture> {
        let (architecture, system) = triple.split_once('-')?;
        let elf = system.split('-').any(|part| part.starts_with("linux") || part == "elf");
        match architecture {
            "x86_64" if elf => Some(Architecture::X86),
            "aarch64" if elf => Some(Architecture::AArch64),
            _ => None,
        }
    }

    /// What the processor has without further features; `None` when LLVM does not know it.
    pub fn cpu(self, name: &str) -> Option<Instructions> {
        let is_in = |names: &str| names.split_whitespace().any(|known| known == name);
        match self {
            Architecture::X86 => {
                let (instructions, _) = X86_CPUS.iter().find(|(_, names)| is_in(names))?;
                Some(Instructions { avx512: is_in(X86_AVX512), ..*instructions })
            }
            Architecture::AArch64 => {
                is_in(AARCH64_CPUS).then_some(Instructions { scalable: is_in(AARCH64_SCALABLE), ..Instructions::ALL })
            }
            Architecture::Nvptx => is_in(NVPTX_CPUS).then_some(Instructions::ALL),
        }
    }

    /// Whether a feature may be named in a target's description.
    pub fn knows_feature(self, name: &str) -> bool {
        let names = match self {
            Architecture::X86 => X86_FEATURES,
            Architecture::AArch64 => AARCH64_FEATURES,
            Architecture::Nvptx => NVPTX_FEATURES,
        };
        names.split_whitespace().any(|known| known == name)
    }

    /// The processor whose tuning, the model of its pipeline above all, LLVM is asked to follow: mostly the processor itself.
    ///
    /// LLVM 19's model of AMD's Zen makes its scheduler move loads of 512 bits so far ahead that sums which fit the registers
    /// leave them and come back in each step of a product (`docs/decisions/0043-tuning.md`).
    pub fn tuned_as(self, cpu: &str) -> &str {
        let is_wide = || self.cpu(cpu).is_some_and(|instructions| instructions.avx512);
        if self == Architecture::X86 && cpu.starts_with("znver") && is_wide() { "x86-64-v4" } else { cpu }
    }

    /// The version of PTX that a processor of NVIDIA's is programmed in: the first that has all that is used of it.
    pub fn ptx_of(self, cpu: &str) -> &'static str {
        match cpu {
            "sm_90a" => "ptx80",
            "sm_80" => "ptx71",
            _ => "ptx63",
        }
    }

    /// What is there after `feature` was switched on or off.
    pub fn with_feature(self, before: Instructions, feature: &str, on: bool) -> Instructions {
        match self {
            Architecture::X86 if on => before.and_x86(feature),
            Architecture::X86 => before.without_x86(feature),
            Architecture::AArch64 if feature.starts_with("sve") && (on || feature == "sve") => {
                Instructions { scalable: on, ..before }
            }
            Architecture::AArch64 | Architecture::Nvptx => before,
        }
    }
}

impl Instructions {
    fn and_x86(self, feature: &str) -> Instructions {
        match feature {
            "sse4.1" | "sse4.2" | "avx" | "avx2" | "xop" | "avxvnni" | "vaes" | "vpclmulqdq" => {
                Instructions { round: true, ..self }
            }
            "fma" | "fma4" => Instructions { round: true, fma: true, ..self },
            "f16c" => Instructions { round: true, half: true, ..self },
            // What AVX10 has of 256 bits has no registers of 512.
            "avx10.1-256" => Instructions { avx512: self.avx512, ..Instructions::ALL },
            _ if feature.starts_with("avx512") || feature.starts_with("avx10") => {
                Instructions { avx512: true, ..Instructions::ALL }
            }
            _ => self,
        }
    }

    fn without_x86(self, feature: &str) -> Instructions {
        match feature {
            "sse3" | "ssse3" | "sse4.1" => Instructions::NONE,
            "sse4.2" | "avx" => Instructions { round: self.round, ..Instructions::NONE },
            "fma" => Instructions { fma: false, avx512: false, ..self },
            "f16c" => Instructions { half: false, avx512: false, ..self },
            "avx2" | "avx512f" | "evex512" => Instructions { avx512: false, ..self },
            _ => self,
        }
    }
}

const X86_CPUS: [(Instructions, &str); 5] = [
    (
        Instructions::NONE,
        "amdfam10 athlon-fx athlon64 athlon64-sse3 atom barcelona bonnell btver1 core2 core_2_duo_ssse3 generic k8 \
         k8-sse3 nocona opteron opteron-sse3 x86-64",
    ),
    (
        Instructions { round: true, ..Instructions::NONE },
        "atom_sse4_2 atom_sse4_2_movbe core_2_duo_sse4_1 core_2nd_gen_avx core_aes_pclmulqdq core_i7_sse4_2 corei7 \
         corei7-avx goldmont goldmont-plus goldmont_plus nehalem penryn sandybridge silvermont slm tremont westmere \
         x86-64-v2",
    ),
    (Instructions { round: true, half: true, ..Instructions::NONE }, "btver2 core-avx-i core_3rd_gen_avx ivybridge"),
    (Instructions { round: true, fma: true, ..Instructions::NONE }, "bdver1"),
    (
        Instructions::ALL,
        "alderlake arrowlake arrowlake-s arrowlake_s bdver2 bdver3 bdver4 broadwell cannonlake cascadelake \
         clearwaterforest cooperlake core-avx2 core_4th_gen_avx core_4th_gen_avx_tsx core_5th_gen_avx \
         core_5th_gen_avx_tsx emeraldrapids gracemont grandridge graniterapids graniterapids-d graniterapids_d haswell \
         icelake-client icelake-server icelake_client icelake_server knl knm lunarlake meteorlake mic_avx512 \
         pantherlake raptorlake rocketlake sapphirerapids sierraforest skx skylake skylake-avx512 skylake_avx512 \
         tigerlake x86-64-v3 x86-64-v4 znver1 znver2 znver3 znver4 znver5",
    ),
];

/// Those of them with AVX-512F.
const X86_AVX512: &str = "cannonlake cascadelake cooperlake emeraldrapids graniterapids graniterapids-d graniterapids_d \
     icelake-client icelake-server icelake_client icelake_server knl knm mic_avx512 rocketlake sapphirerapids skx \
     skylake-avx512 skylake_avx512 tigerlake x86-64-v4 znver4 znver5";

/// Instruction set extensions. Left out: what LLVM's `help` lists for tuning, for mitigations, for other modes of the
/// processor and what 64-bit code cannot do without.
const X86_FEATURES: &str = "adx aes amx-bf16 amx-complex amx-fp16 amx-int8 amx-tile avx avx10.1-256 avx10.1-512 avx2 avx512bf16 \
     avx512bitalg avx512bw avx512cd avx512dq avx512f avx512fp16 avx512ifma avx512vbmi avx512vbmi2 avx512vl avx512vnni \
     avx512vp2intersect avx512vpopcntdq avxifma avxneconvert avxvnni avxvnniint16 avxvnniint8 bmi bmi2 ccmp cf cldemote \
     clflushopt clwb clzero cmpccxadd crc32 cx16 egpr enqcmd evex512 f16c fma fma4 fsgsbase gfni hreset invpcid \
     kl lwp lzcnt movbe movdir64b movdiri mwaitx ndd nf pclmul pconfig pku popcnt ppx prefetchi prfchw \
     ptwrite push2pop2 raoint rdpid rdpru rdrnd rdseed rtm sahf serialize sgx sha sha512 shstk sm3 sm4 sse3 sse4.1 \
     sse4.2 sse4a ssse3 tbm tsxldtrk uintr usermsr vaes vpclmulqdq waitpkg wbnoinvd widekl xop xsave xsavec xsaveopt \
     xsaves zu prefer-128-bit prefer-256-bit";

const AARCH64_CPUS: &str = "a64fx ampere1 ampere1a ampere1b apple-a10 apple-a11 apple-a12 apple-a13 apple-a14 apple-a15 apple-a16 \
     apple-a17 apple-a7 apple-m4 carmel cortex-a34 cortex-a35 cortex-a510 cortex-a520 cortex-a520ae cortex-a53 \
     cortex-a55 cortex-a57 cortex-a65 cortex-a65ae cortex-a710 cortex-a715 cortex-a72 cortex-a720 cortex-a720ae \
     cortex-a725 cortex-a73 cortex-a75 cortex-a76 cortex-a76ae cortex-a77 cortex-a78 cortex-a78ae cortex-a78c \
     cortex-r82 cortex-r82ae cortex-x1 cortex-x1c cortex-x2 cortex-x3 cortex-x4 cortex-x925 exynos-m3 exynos-m4 \
     exynos-m5 falkor generic kryo neoverse-512tvb neoverse-e1 neoverse-n1 neoverse-n2 neoverse-n3 neoverse-v1 \
     neoverse-v2 neoverse-v3 neoverse-v3ae oryon-1 saphira thunderx thunderx2t99 thunderx3t110 thunderxt81 \
     thunderxt83 thunderxt88 tsv110";

/// Those of them with SVE.
const AARCH64_SCALABLE: &str = "a64fx cortex-a510 cortex-a520 cortex-a520ae cortex-a710 cortex-a715 cortex-a720 cortex-a720ae cortex-a725 \
     cortex-x2 cortex-x3 cortex-x4 cortex-x925 neoverse-512tvb neoverse-n2 neoverse-n3 neoverse-v1 neoverse-v2 \
     neoverse-v3 neoverse-v3ae";

const AARCH64_FEATURES: &str = "aes b16b16 bf16 complxnum crc crypto cssc dit dotprod f32mm f64mm faminmax flagm fp16fml fp8 fp8dot2 \
     fp8dot4 fp8fma fptoint fullfp16 i8mm jsconv lse lse128 lse2 lut mops rand rcpc rcpc3 rcpc-immo rdm sb sha2 sha3 \
     sm4 sve sve-b16b16 sve2 sve2-aes sve2-bitperm sve2-sha3 sve2-sm4 sve2p1";

const NVPTX_CPUS: &str = "sm_70 sm_80 sm_90a";

/// Versions of PTX.
const NVPTX_FEATURES: &str = "ptx63 ptx71 ptx80";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use inkwell::OptimizationLevel;
    use inkwell::targets::{CodeModel, InitializationConfig, RelocMode, Target, TargetTriple};

    use super::*;

    fn names(architecture: Architecture) -> (Vec<&'static str>, Vec<&'static str>) {
        let (cpus, features) = match architecture {
            Architecture::X86 => (X86_CPUS.map(|(_, names)| names).to_vec(), X86_FEATURES),
            Architecture::AArch64 => (vec![AARCH64_CPUS], AARCH64_FEATURES),
            Architecture::Nvptx => (vec![NVPTX_CPUS], NVPTX_FEATURES),
        };
        (cpus.iter().flat_map(|names| names.split_whitespace()).collect(), features.split_whitespace().collect())
    }

    /// Run by the test below in a process of its own, whose standard error is LLVM's.
    #[test]
    #[ignore = "only prints what LLVM says"]
    fn name_everything_to_llvm() {
        Target::initialize_x86(&InitializationConfig::default());
        Target::initialize_aarch64(&InitializationConfig::default());
        Target::initialize_nvptx(&InitializationConfig::default());
        let ask = |triple: &str, cpu: &str, features: &str| {
            let triple = TargetTriple::create(triple);
            let target = Target::from_triple(&triple).unwrap();
            let level = OptimizationLevel::None;
            let machine = target.create_target_machine(&triple, cpu, features, level, RelocMode::PIC, CodeModel::Small);
            assert!(machine.is_some(), "{cpu} {features}");
        };
        for (architecture, triple, usual) in [
            (Architecture::X86, "x86_64-unknown-linux-gnu", "generic"),
            (Architecture::AArch64, "aarch64-unknown-linux-gnu", "generic"),
            (Architecture::Nvptx, "nvptx64-nvidia-cuda", "sm_80"),
        ] {
            let (cpus, features) = names(architecture);
            cpus.iter().for_each(|cpu| ask(triple, cpu, ""));
            features.iter().for_each(|feature| ask(triple, usual, &format!("+{feature}")));
            ask(triple, "no-such-processor", "");
        }
    }

    #[test]
    fn llvm_knows_every_name() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "llvm::isa::tests::name_everything_to_llvm", "--ignored", "--nocapture"])
            .output()
            .unwrap();
        assert!(child.status.success());
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(
            said.contains("'no-such-processor' is not a recognized processor"),
            "LLVM says when it does not know: {said}"
        );
        let other: Vec<&str> =
            said.lines().filter(|line| line.contains("not a recognized") && !line.contains("no-such")).collect();
        assert!(other.is_empty(), "{other:#?}");
    }

    #[test]
    fn features_change_what_is_there() {
        let with = |cpu: &str, features: &[(&str, bool)]| {
            let before = Architecture::X86.cpu(cpu).unwrap();
            features.iter().fold(before, |now, (name, on)| Architecture::X86.with_feature(now, name, *on))
        };
        assert_eq!(with("x86-64", &[]), Instructions::NONE);
        assert_eq!(with("x86-64", &[("avx512vl", true)]), Instructions { avx512: true, ..Instructions::ALL });
        assert_eq!(with("x86-64", &[("avx10.1-256", true)]), Instructions::ALL);
        assert_eq!(with("haswell", &[]), Instructions::ALL);
        assert!(with("znver5", &[("avx512vp2intersect", false)]).avx512);
        assert!(!with("znver5", &[("evex512", false)]).avx512);
        assert_eq!(with("znver5", &[("fma", false)]), Instructions { fma: false, ..Instructions::ALL });
        assert_eq!(with("znver5", &[("avx", false)]), Instructions { round: true, ..Instructions::NONE });
        assert_eq!(
            with("x86-64", &[("sse4.1", true), ("adx", true)]),
            Instructions { round: true, ..Instructions::NONE }
        );
    }
}

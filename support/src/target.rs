use std::fmt;

use serde::{Deserialize, Serialize};

/// What a machine has, as plain data. Read from TOML, or found out by `tilewright` for the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The name users type: `znver5`, `x86-64-v3`.
    pub name: String,
    /// LLVM's target triple.
    pub triple: String,
    /// LLVM's CPU name.
    pub cpu: String,
    /// Worker threads that share the last cache.
    pub threads: u32,
    /// Cycles that a parallel loop costs beyond its work, when the threads are awake.
    #[serde(default = "launch_cycles")]
    pub launch_cycles: u32,
    /// Width of a vector register in bytes.
    pub vector_bytes: u32,
    /// How many vector registers there are.
    pub vector_registers: u32,
    /// Fused multiply-adds that start in one cycle.
    pub fma_per_cycle: u32,
    /// Cycles until the result of one can be used.
    pub fma_latency: u32,
    /// Caches from the one next to the core outwards.
    pub caches: Vec<Cache>,
    /// LLVM's feature string beyond what `cpu` implies, `+avx512f,-avx512fp16`; may be empty.
    #[serde(default)]
    pub features: Features,
}

fn launch_cycles() -> u32 {
    Target::LAUNCH_CYCLES
}

/// One level of cache, as one core sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Bytes.
    pub bytes: u64,
    /// Ways of associativity.
    pub ways: u32,
    /// Bytes of a line.
    pub line: u32,
    /// Whether other cores share it.
    pub shared: bool,
}

/// LLVM's feature list, as text.
pub type Features = String;

/// Why a target's text was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError {
    /// What the TOML reader or the checks said.
    pub message: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a target description: {}", self.message)
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// [`Target::launch_cycles`] where they are not known: a microsecond, as measured (docs/decisions/0011-threads.md).
    pub const LAUNCH_CYCLES: u32 = 3000;

    /// Reads a target's TOML text.
    pub fn from_toml(text: &str) -> Result<Target, TargetError> {
        let target: Target = toml::from_str(text).map_err(|e| TargetError { message: e.to_string() })?;
        if target.vector_bytes == 0 || !target.vector_bytes.is_power_of_two() {
            return Err(TargetError {
                message: format!("vector_bytes = {} is not a power of two", target.vector_bytes),
            });
        }
        if target.threads == 0 || target.vector_registers == 0 || target.fma_per_cycle == 0 || target.fma_latency == 0 {
            return Err(TargetError {
                message: "threads, vector_registers, fma_per_cycle, fma_latency: at least 1".into(),
            });
        }
        Ok(target)
    }

    /// The text that [`Target::from_toml`] reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a target has only plain values")
    }

    /// How many values of `bytes` bytes a vector register holds; at least 1.
    pub fn lanes(&self, bytes: u32) -> u32 {
        (self.vector_bytes / bytes.max(1)).max(1)
    }
}

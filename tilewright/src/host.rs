//! What this machine is, and which other machines are known by name.

use std::fs;
use std::path::Path;

use support::{Cache, Target};

/// The targets that ship with Tilewright: a name and a description each.
const KNOWN: [(&str, &str); 6] = [
    ("x86-64", include_str!("../targets/x86-64.toml")),
    ("x86-64-v3", include_str!("../targets/x86-64-v3.toml")),
    ("x86-64-v4", include_str!("../targets/x86-64-v4.toml")),
    ("znver5", include_str!("../targets/znver5.toml")),
    ("aarch64-neon", include_str!("../targets/aarch64-neon.toml")),
    ("aarch64-sve", include_str!("../targets/aarch64-sve.toml")),
];

/// The known targets, the host not among them.
pub fn known_targets() -> Vec<Target> {
    KNOWN.iter().map(|(name, text)| Target::from_toml(text).unwrap_or_else(|e| panic!("{name}: {e}"))).collect()
}

/// The target with that name: a known one, or `host`.
pub fn target_named(name: &str) -> Option<Target> {
    if name == "host" {
        return Some(host_target());
    }
    known_targets().into_iter().find(|target| target.name == name)
}

/// What this machine is: LLVM's name and features for its CPU, its caches as the system tells them.
pub fn host_target() -> Target {
    let codegen::llvm::Host { triple, cpu, features } = codegen::llvm::host();
    let has = |feature: &str| features.split(',').any(|f| f.strip_prefix('+') == Some(feature));
    let (vector_bytes, vector_registers) = match () {
        () if has("avx512f") => (64, 32),
        () if has("avx2") => (32, 16),
        () if triple.starts_with("aarch64") => (16, 32),
        () => (16, 16),
    };
    Target {
        name: "host".into(),
        triple,
        cpu,
        threads: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        launch_cycles: Target::LAUNCH_CYCLES,
        vector_bytes,
        vector_registers,
        fma_per_cycle: 2,
        fma_latency: 4,
        caches: caches(Path::new("/sys/devices/system/cpu/cpu0/cache")),
        features,
    }
}

/// The data caches that Linux lists for one core, inner ones first; a plain guess where it lists none.
fn caches(folder: &Path) -> Vec<Cache> {
    let read = |index: usize, file: &str| fs::read_to_string(folder.join(format!("index{index}/{file}"))).ok();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let bytes = |text: &str| match text.trim().strip_suffix('K') {
        Some(kib) => number(kib).map(|n| n << 10),
        None => text.trim().strip_suffix('M').and_then(number).map(|n| n << 20).or_else(|| number(text)),
    };
    let one = |index: usize| -> Option<Cache> {
        if read(index, "type")?.trim() == "Instruction" {
            return None;
        }
        Some(Cache {
            bytes: bytes(&read(index, "size")?)?,
            ways: number(&read(index, "ways_of_associativity")?)? as u32,
            line: number(&read(index, "coherency_line_size")?)? as u32,
            shared: read(index, "shared_cpu_list")?.contains([',', '-']),
        })
    };
    let found: Vec<Cache> = (0..8).filter_map(one).collect();
    if found.is_empty() { default_caches() } else { found }
}

fn default_caches() -> Vec<Cache> {
    let level = |bytes, ways, shared| Cache { bytes, ways, line: 64, shared };
    vec![level(32 << 10, 8, false), level(512 << 10, 8, false), level(8 << 20, 16, true)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_targets_are_read() {
        let names: Vec<String> = known_targets().into_iter().map(|target| target.name).collect();
        assert_eq!(names, KNOWN.map(|(name, _)| name));
    }

    #[test]
    fn a_machine_without_a_cache_list_gets_a_guess() {
        assert_eq!(caches(Path::new("/nowhere")), default_caches());
    }

    #[test]
    fn the_host_has_a_cpu_and_caches() {
        let host = host_target();
        assert!(!host.cpu.is_empty() && !host.caches.is_empty() && host.threads >= 1);
        assert_eq!(Target::from_toml(&host.to_toml()), Ok(host));
    }
}

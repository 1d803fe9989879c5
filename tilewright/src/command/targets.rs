//! `tilewright targets`

use std::fmt::Write;

use clap::Args;
use runtime::device::Api;
use support::{Diagnostic, Gpu, Target};
use tilewright::{Compiler, Device, Error, Result, host_target, known_targets, open_device};

use super::terminal;

/// List the known targets, and what this machine is
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tilewright targets")]
pub struct Targets {}

impl Targets {
    /// A row for each known target, then this machine's description.
    pub fn run(self) -> Result<()> {
        let host = host_target();
        let mut out = row(["name", "cpu", "threads", "vectors", "caches"]);
        for target in std::iter::once(&host).chain(&known_targets()) {
            out += &described(target);
        }
        let runs: Vec<String> = known_targets().into_iter().filter(|it| can_run(it, &host)).map(|it| it.name).collect();
        write!(out, "\nthis machine, `host`, also runs code for: {}\n\n{}", list(&runs), host.to_toml())
            .expect("a string takes text");
        out += &devices();
        terminal::print(out)
    }
}

/// A line for each device that is found, and for each interface without one.
fn devices() -> String {
    let mut out = String::from("\ndevices, for `run` and `bench`:\n");
    for device in Device::list() {
        let line = match device {
            Ok(about) => {
                let memory = size(about.memory_bytes);
                let code = about.capability.map(|(major, minor)| format!(", sm_{major}{minor}")).unwrap_or_default();
                format!("  {:<12}{}{code}, {memory}", about.name, about.description)
            }
            Err(why) => format!("  ({why})"),
        };
        out += &line;
        out.push('\n');
    }
    out
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none of them".into() } else { names.join(", ") }
}

fn described(target: &Target) -> String {
    let arch = target.triple.split('-').next().unwrap_or_default();
    let cpu = format!("{} ({arch})", target.cpu);
    let vectors = format!("{} of {} bits", target.vector_registers, 8 * target.vector_bytes);
    let caches: Vec<String> = target.caches.iter().map(|cache| size(cache.bytes)).collect();
    row([&target.name, &cpu, &target.threads.to_string(), &vectors, &caches.join(", ")])
}

fn row([name, cpu, threads, vectors, caches]: [&str; 5]) -> String {
    format!("{name:<14}{cpu:<24}{threads:<9}{vectors:<18}{caches}\n")
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MB", bytes >> 20) } else { format!("{} KB", bytes >> 10) }
}

/// Whether a name is that of a device: `opencl`, `cuda:1`, `cuda:sm_80`.
pub fn is_device(name: &str) -> bool {
    let api = name.split(':').next().unwrap_or_default();
    Api::ALL.iter().any(|known| known.name() == api)
}

/// A compiler for the device with that name.
pub fn device(name: &str) -> Result<Compiler> {
    let is_number = |which: &str| which.parse::<u32>().is_ok();
    if name.strip_prefix("cuda:").is_some_and(|which| !is_number(which)) && Gpu::named(name).is_none() {
        let error = Diagnostic::call("TC0937", format!("no target is called `{name}`"));
        return Err(Error::user(error.help(format!("devices are called {}, or cuda:1", Gpu::NAMES.join(", ")))));
    }
    let device = open_device(name)?;
    match Gpu::named(name) {
        // A kind by name, on whichever device runs its code.
        Some(kind) if name.contains(':') => Compiler::for_device_as(&device, kind),
        _ => Compiler::for_device(&device),
    }
}

/// The target with that name.
pub fn named(name: &str) -> Result<Target> {
    tilewright::target_named(name).ok_or_else(|| {
        let known: Vec<String> = known_targets().into_iter().map(|target| target.name).collect();
        let error = Diagnostic::call("TC0937", format!("no target is called `{name}`"));
        Error::user(error.help(format!("the targets are host, {}; devices are opencl and cuda", known.join(", "))))
    })
}

/// Refuses to run code that this machine has no instructions for: it would end the process.
pub fn runs_here(target: &Target) -> Result<()> {
    if can_run(target, &host_target()) {
        return Ok(());
    }
    let error = Diagnostic::call("TC0938", format!("this machine cannot run code for `{}`", target.name));
    Err(Error::user(error.help("run without -t, or look at the code with `tilewright emit asm -t`")))
}

/// Features of the x86-64 levels beyond what every x86-64 machine has, as LLVM calls them.
const LEVELS: [(&str, &[&str]); 3] = [
    ("x86-64", &[]),
    ("x86-64-v3", &["avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"]),
    ("x86-64-v4", &["avx2", "bmi2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
];

fn can_run(target: &Target, host: &Target) -> bool {
    let arch = |target: &Target| target.triple.split('-').next().map(String::from);
    if arch(target) != arch(host) {
        return false;
    }
    let has = |feature: &&str| host.features.split(',').any(|it| it.strip_prefix('+') == Some(*feature));
    let level = LEVELS.iter().find(|(name, _)| *name == target.cpu);
    target.cpu == host.cpu || target.cpu == "generic" || level.is_some_and(|(_, needed)| needed.iter().all(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_runs_its_own_code() {
        assert!(runs_here(&host_target()).is_ok());
    }

    #[test]
    fn another_machine_is_refused() {
        let host = host_target();
        let other = Target { cpu: "somethingelse".into(), ..host.clone() };
        assert!(!can_run(&other, &host));
        let arch = Target { triple: "riscv64-unknown-linux-gnu".into(), ..host.clone() };
        assert!(!can_run(&arch, &host));
        let bare = Target { features: String::new(), cpu: "x86-64".into(), ..host };
        for target in known_targets() {
            assert!(["generic", "x86-64"].contains(&&*target.cpu) || !can_run(&target, &bare), "{}", target.name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = named("pentium").unwrap_err();
        assert!(error.to_string().contains("x86-64-v3"), "{error}");
    }
}

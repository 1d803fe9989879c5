//! For which processors: the levels of an architecture, of which the program takes the best one that it finds itself on.

use support::{Diagnostic, Target};
use tilewright::{Error, Result, target_named};

use crate::Environment;

/// A level of an architecture: the name of the target, and features by Rust's names that a program has which may use all of it.
type Level = (&'static str, &'static [&'static str]);

/// x86-64's levels, from the one that every processor has.
const X86_64: &[Level] = &[
    ("x86-64", &["sse2"]),
    ("x86-64-v3", &["avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"]),
    ("x86-64-v4", &["avx2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
];

const AARCH64: &[Level] = &[("aarch64-neon", &["neon"]), ("aarch64-sve", &["sve"])];

/// The targets that are compiled for: those of the given names, or the levels of the architecture that the program's own
/// instructions do not make pointless.
pub fn targets(environment: &Environment, names: &[String]) -> Result<Vec<Target>> {
    let architecture = environment.triple.split('-').next().unwrap_or_default();
    // Objects are ELF files, and functions are called as everywhere but on Windows.
    if ["windows", "apple"].iter().any(|system| environment.triple.contains(system)) {
        let message = format!("there are no objects for {}", environment.triple);
        return Err(Error::user(Diagnostic::call("TC0951", message).help("kernels are compiled to ELF files")));
    }
    let names: Vec<&str> = match architecture {
        _ if !names.is_empty() => names.iter().map(String::as_str).collect(),
        "x86_64" => useful(X86_64, &environment.features),
        "aarch64" => useful(AARCH64, &environment.features),
        _ => {
            let message = format!("there are no targets for {}", environment.triple);
            let error = Diagnostic::call("TC0951", message);
            return Err(Error::user(error.help("kernels are compiled for x86_64 and aarch64")));
        }
    };
    names.into_iter().map(|name| target(name, architecture)).collect()
}

fn target(name: &str, architecture: &str) -> Result<Target> {
    let target = target_named(name).ok_or_else(|| {
        let error = Diagnostic::call("TC0951", format!("no target is called `{name}`"));
        Error::user(error.help("`tilewright targets` lists them"))
    })?;
    if target.triple.split('-').next() != Some(architecture) {
        let message = format!("the target `{name}` is for {}, and the program for {architecture}", target.triple);
        let error = Diagnostic::call("TC0951", message);
        return Err(Error::user(error.help("leave the target out to compile for what cargo builds for")));
    }
    Ok(target)
}

/// The levels from the highest one on that a program with these features runs on in any case.
fn useful(levels: &[Level], features: &[String]) -> Vec<&'static str> {
    let has = |level: &Level| level.1.iter().all(|needed| features.iter().any(|feature| feature == needed));
    let first = levels.iter().rposition(has).unwrap_or(0);
    levels[first..].iter().map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(triple: &str, features: &str) -> Vec<String> {
        let features = features.split(',').map(String::from).collect();
        let environment = Environment { root: "".into(), out: "".into(), triple: triple.into(), features };
        targets(&environment, &[]).unwrap().into_iter().map(|target| target.name).collect()
    }

    #[test]
    fn what_the_whole_program_needs_is_not_compiled_for_less() {
        let linux = "x86_64-unknown-linux-gnu";
        assert_eq!(names(linux, "fxsr,sse,sse2"), ["x86-64", "x86-64-v3", "x86-64-v4"]);
        let v3 = "avx,avx2,bmi1,bmi2,f16c,fma,fxsr,lzcnt,movbe,popcnt,sse,sse2,sse3,sse4.1,sse4.2,ssse3";
        assert_eq!(names(linux, v3), ["x86-64-v3", "x86-64-v4"]);
        assert_eq!(names(linux, &format!("{v3},avx512f,avx512bw,avx512cd,avx512dq,avx512vl")), ["x86-64-v4"]);
        assert_eq!(names("aarch64-unknown-linux-musl", "neon"), ["aarch64-neon", "aarch64-sve"]);
    }

    #[test]
    fn a_target_of_another_architecture_is_refused() {
        let (root, out, triple) = ("".into(), "".into(), "aarch64-unknown-linux-gnu".into());
        let environment = Environment { root, out, triple, features: Vec::new() };
        let error = targets(&environment, &["x86-64-v3".into()]).unwrap_err().to_string();
        assert!(error.contains("TC0951") && error.contains("the program for aarch64"), "{error}");
        assert!(targets(&environment, &["pentium".into()]).unwrap_err().to_string().contains("`pentium`"));
        for triple in ["x86_64-pc-windows-msvc", "aarch64-apple-darwin"] {
            let other = Environment { triple: triple.into(), ..environment.clone() };
            assert!(targets(&other, &[]).unwrap_err().to_string().contains("ELF"));
        }
        let other = Environment { triple: "riscv64gc-unknown-linux-gnu".into(), ..environment };
        assert!(targets(&other, &[]).unwrap_err().to_string().contains("riscv64gc"));
    }
}

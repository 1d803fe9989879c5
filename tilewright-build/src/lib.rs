//! Compiles TC programs in a build script. The program gets a safe Rust function for each definition, whose arguments have the
//! definition's types and ranks, and no compiler.
//!
//! `Cargo.toml`:
//!
//! ```toml
//! [dependencies]
//! runtime = { … }              # tensors, threads: what calls the machine code
//!
//! [build-dependencies]
//! tilewright-build = { … }
//! ```
//!
//! `build.rs`:
//!
//! ```no_run
//! tilewright_build::kernels(["kernels/*.tc"]);
//! ```
//!
//! `src/main.rs`:
//!
//! ```ignore
//! mod kernels {
//!     include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
//! }
//!
//! kernels::mm(&a, &b, &mut c, &runtime::Pool::global())?;
//! ```
//!
//! Each definition is compiled for any sizes, or for [those given](Kernels::sizes) and any others, and for each level of the
//! processor's architecture that the program may find itself on: at its first call a function asks what the machine has.
//! `OUT_DIR` gets a package for each definition (a folder of its name), one static library with the machine code of all, and
//! `kernels.rs`. What is wrong with a kernel fails the build and is shown with its place in the source.
//!
//! `examples/build-script` is a whole program.

mod environment;
mod module;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::exit;

use support::Diagnostic;
use tilewright::files::read_text;
use tilewright::{Choice, Definition, Error, Linked, Options, Result, Script, Source, render};

pub use environment::Environment;

/// Compiles all definitions of the files that these patterns match, relative to the package's folder: `kernels/*.tc`. For
/// choices see [`Kernels`].
///
/// Ends the build script where something is wrong, after saying what.
pub fn kernels<P: Into<String>>(patterns: impl IntoIterator<Item = P>) {
    Kernels::new(patterns).build();
}

/// What is compiled, and how.
///
/// ```no_run
/// tilewright_build::Kernels::new(["kernels/*.tc"])
///     .sizes("mm", &[("M", 512), ("N", 512), ("K", 512)])
///     .script("mm", "kernels/mm.sched")
///     .build();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Kernels {
    patterns: Vec<String>,
    targets: Vec<String>,
    /// By definition: the choices of sizes that get code of their own.
    sizes: BTreeMap<String, Vec<Vec<(String, i64)>>>,
    /// By definition: the file of the script.
    scripts: BTreeMap<String, PathBuf>,
    strict: bool,
    trust_indices: bool,
}

/// What was compiled, and what cargo is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The names of the definitions, in the order of the files.
    pub definitions: Vec<String>,
    /// Lines for cargo: what to link, which files count, warnings.
    pub lines: Vec<String>,
}

/// No larger file is a program.
const LARGEST_TEXT: u64 = 64 << 20;

/// What the static library is called: `libtilewright_kernels_NAME.a`, with the name of the package, so that two packages of one
/// program have two.
const LIBRARY: &str = "tilewright_kernels";

impl Kernels {
    /// All definitions of the files that these patterns match.
    pub fn new<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Kernels {
        Kernels { patterns: patterns.into_iter().map(Into::into).collect(), ..Kernels::default() }
    }

    /// Code for these sizes alone, all of the definition's, beside that for any sizes; repeatable. It is faster.
    pub fn sizes(mut self, definition: &str, sizes: &[(&str, i64)]) -> Kernels {
        let sizes = sizes.iter().map(|(name, size)| (name.to_string(), *size)).collect();
        self.sizes.entry(definition.into()).or_default().push(sizes);
        self
    }

    /// Compiles for this target, in place of the levels of the architecture; repeatable. `tilewright targets` lists them.
    pub fn target(mut self, name: &str) -> Kernels {
        self.targets.push(name.into());
        self
    }

    /// Replays the script of a file in place of the automatic schedule of a definition.
    pub fn script(mut self, definition: &str, file: impl AsRef<Path>) -> Kernels {
        self.scripts.insert(definition.into(), file.as_ref().into());
        self
    }

    /// Keeps the written order of reductions.
    pub fn strict(mut self, strict: bool) -> Kernels {
        self.strict = strict;
        self
    }

    /// Leaves out the check of indirect subscripts when a kernel runs: an index out of range is then undefined behaviour.
    pub fn trust_indices(mut self, trust: bool) -> Kernels {
        self.trust_indices = trust;
        self
    }

    /// Compiles, writes, and tells cargo. Ends the build script where something is wrong, after saying what.
    pub fn build(&self) {
        match Environment::of_cargo().and_then(|environment| self.compile(&environment)) {
            Ok(built) => built.lines.iter().for_each(|line| println!("{line}")),
            Err(error) => {
                eprintln!("{}", error.render(false));
                exit(1);
            }
        }
    }

    /// Compiles and writes; cargo is yet to be told.
    ///
    /// # Errors
    /// What is wrong with a program, a script, a size or a file.
    pub fn compile(&self, environment: &Environment) -> Result<Built> {
        let targets = targets::targets(environment, &self.targets)?;
        let mut lines = vec!["cargo:rerun-if-changed=build.rs".to_string()];
        let (mut modules, mut objects) = (Vec::new(), Vec::new());
        for file in self.files(environment, &mut lines)? {
            let source = source(&file, environment, &mut lines)?;
            let (definitions, warnings) = tilewright::check(&source)?;
            lines.extend(warning_lines(&warnings, &source));
            for definition in &definitions {
                let package = self.package(definition, &source, &targets, environment, &mut lines)?;
                modules.push(module::write(&package, environment, &mut objects)?);
            }
        }
        module::distinct(&modules)?;
        self.check_names(&modules)?;
        let library = format!("{LIBRARY}_{}", module::suffix(&environment.root));
        module::write_all(&modules, &objects, &library, environment)?;
        lines.push(format!("cargo:rustc-link-search=native={}", environment.out.display()));
        lines.push(format!("cargo:rustc-link-lib=static={library}"));
        Ok(Built { definitions: modules.into_iter().map(|module| module.definition).collect(), lines })
    }

    /// The files of all patterns, in the order of the patterns and of their names.
    fn files(&self, environment: &Environment, lines: &mut Vec<String>) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for pattern in &self.patterns {
            let wrong = |what: String| Error::user(Diagnostic::call("TC0951", format!("`{pattern}`: {what}")));
            // A file that is added counts as well.
            let fixed = Path::new(pattern).ancestors().skip(1);
            let folder = fixed.into_iter().find(|path| !path.to_string_lossy().contains(['*', '?', '[']));
            let folder = environment.path(folder.unwrap_or(Path::new("")));
            lines.push(format!("cargo:rerun-if-changed={}", folder.display()));
            let root = glob::Pattern::escape(&environment.root.to_string_lossy());
            let whole = Path::new(&root).join(pattern);
            let found = glob::glob(&whole.to_string_lossy()).map_err(|error| wrong(error.to_string()))?;
            let found: Vec<PathBuf> = found.flatten().filter(|path| path.is_file()).collect();
            if found.is_empty() {
                let error = wrong("no file has such a name".into());
                let help = format!("patterns begin in {}", environment.root.display());
                return Err(Error::user(error.diagnostics()[0].clone().help(help)));
            }
            files.extend(found.into_iter().filter(|file| !files.contains(file)).collect::<Vec<_>>());
        }
        Ok(files)
    }

    /// Sizes and scripts are given for definitions that there are.
    fn check_names(&self, modules: &[module::Module]) -> Result<()> {
        let is_there = |name: &&String| modules.iter().any(|module| module.definition == **name);
        match self.sizes.keys().chain(self.scripts.keys()).find(|name| !is_there(name)) {
            None => Ok(()),
            Some(name) => {
                let names: Vec<String> = modules.iter().map(|module| format!("`{}`", module.definition)).collect();
                let error = Diagnostic::call("TC0903", format!("no definition is called `{name}`"));
                Err(Error::user(error.help(format!("the definitions are {}", names.join(", ")))))
            }
        }
    }

    /// The definition for all targets, sizes that have code of their own and any.
    fn package(
        &self,
        definition: &Definition,
        source: &Source,
        targets: &[support::Target],
        environment: &Environment,
        lines: &mut Vec<String>,
    ) -> Result<runtime::Package> {
        let script = match self.scripts.get(&definition.name) {
            None => None,
            Some(file) => {
                let file = environment.path(file);
                lines.push(format!("cargo:rerun-if-changed={}", file.display()));
                Some(script(&file)?)
            }
        };
        let options = |target: &support::Target| Options {
            script: script.clone(),
            strict: self.strict,
            trust_indices: self.trust_indices,
            ..Options::new(target.clone())
        };
        let targets: Vec<Options> = targets.iter().map(options).collect();
        let mut choices = vec![Choice::any()];
        for given in self.sizes.get(&definition.name).into_iter().flatten() {
            choices.push(Choice::of(&in_order(definition, given)?));
        }
        tilewright::package_for(&[Linked::Rust], definition, source, &targets, &choices)
    }
}

/// The values of all sizes of a definition in its order.
fn in_order(definition: &Definition, given: &[(String, i64)]) -> Result<Vec<i64>> {
    let name = &definition.name;
    let help = format!("the sizes of `{name}` are {}", definition.sizes.join(", "));
    if let Some((unknown, _)) = given.iter().find(|(size, _)| !definition.sizes.contains(size)) {
        let error = Diagnostic::call("TC0930", format!("`{name}` has no size `{unknown}`"));
        return Err(Error::user(error.help(help)));
    }
    let value = |size: &String| {
        let found = given.iter().find(|(name, _)| name == size).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let error = Diagnostic::call("TC0933", format!("`{name}`: the size {size} is not given"));
            Error::user(error.help(help.clone()))
        })
    };
    definition.sizes.iter().map(value).collect()
}

/// A program with what it imports; every file that is read counts.
fn source(file: &Path, environment: &Environment, lines: &mut Vec<String>) -> Result<Source> {
    let text = read_text(file, LARGEST_TEXT)?;
    lines.push(format!("cargo:rerun-if-changed={}", file.display()));
    // Relative to the package, whose text does not depend on where it is built.
    let name = file.strip_prefix(&environment.root).unwrap_or(file).display().to_string();
    let mut read = |from: &str, path: &str| {
        let path = Path::new(from).parent().unwrap_or(Path::new("")).join(path).components().collect::<PathBuf>();
        let imported = environment.path(&path);
        lines.push(format!("cargo:rerun-if-changed={}", imported.display()));
        Some((path.display().to_string(), read_text(&imported, LARGEST_TEXT).ok()?))
    };
    Ok(Source::load(name, text.into(), &mut read))
}

fn script(file: &Path) -> Result<Script> {
    let malformed = |error: tilewright::ScriptError| {
        Error::user(Diagnostic::call("TC0936", format!("{} is not a script: {error}", file.display())))
    };
    read_text(file, LARGEST_TEXT)?.parse().map_err(malformed)
}

/// Warnings as cargo takes them, a line each.
fn warning_lines(warnings: &[Diagnostic], source: &Source) -> Vec<String> {
    let text = if warnings.is_empty() { String::new() } else { render(warnings, Some(source), false) };
    text.lines().map(|line| format!("cargo:warning={line}")).collect()
}

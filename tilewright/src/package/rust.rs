//! The Rust module of a package: a safe function whose arguments have the types and ranks of the definition's.
//!
//! ```text
//! pub fn mm<'a>(a: impl Into<View<'a, f32, 2>>, b: …, c: impl Into<ViewMut<'a, f32, 2>>, pool: &Pool) -> Result<(), RunError>
//! ```
//!
//! The machine code is linked into the program that uses the module, from the package's static library; which variant runs is
//! decided at the call ([`runtime::Linked`]). The module names nothing but the crate `runtime` and `package.json` beside it.

use std::collections::BTreeSet;
use std::fmt::Write;

use runtime::package::{Manifest, Package, Parameter, VariantCode};
use runtime::{DType, Role};

use crate::error::Source;
use crate::{Definition, Result};

/// What a user's own names must not be: keywords of all editions, and what the function calls its own.
const TAKEN: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen \
                     if impl in let loop macro match mod move mut override priv pub ref return self static struct super trait \
                     true try type typeof union unsafe unsized use virtual where while yield pool package sizes";

/// The module of a package with code for processors.
pub fn files(def: &Definition, source: &Source, package: &Package) -> Result<Vec<(String, Vec<u8>)>> {
    let manifest = package.manifest();
    if !manifest.variants.iter().any(|variant| matches!(variant.code, VariantCode::Host(_))) {
        return Ok(Vec::new());
    }
    let (_, text, start) = source.at(def.span);
    let place = def.span.range();
    let own = text.get(place.start - start..place.end - start).map_or_else(|| def.to_string(), String::from);
    Ok(vec![(format!("{}.rs", manifest.definition), module(manifest, &own).into_bytes())])
}

/// The text of the module; `program` is the text of the definition, for the documentation.
pub fn module(manifest: &Manifest, program: &str) -> String {
    let function = Function::of(manifest);
    let mut out = function.documentation(program);
    out += &function.head();
    out += &function.body();
    out
}

/// What the function takes.
struct Function<'a> {
    manifest: &'a Manifest,
    name: String,
    /// For each argument what it is called.
    arguments: Vec<String>,
    /// The sizes that no shape and no scalar gives: what each is called, and its name.
    sizes: Vec<(String, &'a str)>,
}

impl<'a> Function<'a> {
    fn of(manifest: &'a Manifest) -> Function<'a> {
        let mut taken: BTreeSet<String> = TAKEN.split_whitespace().map(String::from).collect();
        let name = identifier(&manifest.definition, &mut taken.clone());
        let arguments = manifest.arguments.iter().map(|argument| identifier(&argument.name, &mut taken)).collect();
        let given = |size: &&String| manifest.arguments.iter().any(|argument| where_given(argument, size).is_some());
        let free = manifest.sizes.iter().filter(|size| !given(size));
        let sizes = free.map(|size| (identifier(size, &mut taken), size.as_str())).collect();
        Function { manifest, name, arguments, sizes }
    }

    fn documentation(&self, program: &str) -> String {
        let Manifest { definition, version, arguments, conditions, variants, .. } = self.manifest;
        let mut out = format!("/// `{definition}`, compiled by Tilewright {version}.\n///\n/// ```text\n");
        for line in program.trim_end().lines() {
            out += format!("/// {line}").trim_end();
            out.push('\n');
        }
        out += "/// ```\n///\n/// | argument | elements | shape | |\n/// |---|---|---|---|\n";
        for (name, argument) in self.arguments.iter().zip(arguments) {
            let shape: Vec<String> = argument.shape.iter().map(ToString::to_string).collect();
            let role = match argument.role {
                Role::Input => "read",
                Role::Output => "written",
                Role::InOut => "read and written",
            };
            let shape = if shape.is_empty() { "one".into() } else { format!("`{}`", shape.join(" × ")) };
            line(&mut out, format_args!("/// | `{name}` | `{}` | {shape} | {role} |", rust_type(argument.dtype)));
        }
        for (name, size) in &self.sizes {
            line(&mut out, format_args!("/// | `{name}` | `i64` | the size {size} | read |"));
        }
        out += "///\n/// `pool` has the threads that run it. ";
        out += "The code is chosen by the machine's instructions and by the sizes, among:\n///\n";
        for variant in variants.iter().filter(|variant| matches!(variant.code, VariantCode::Host(_))) {
            let sizes = variant.sizes.as_ref().map_or("any sizes".into(), |sizes| {
                let in_order = self.manifest.sizes.iter().filter_map(|name| Some((name, sizes.get(name)?)));
                let all: Vec<String> = in_order.map(|(name, size)| format!("{name} = {size}")).collect();
                if all.is_empty() { "its only size".into() } else { all.join(", ") }
            });
            line(&mut out, format_args!("/// - `{}`: {sizes}", variant.target));
        }
        out += "///\n/// # Errors\n/// When a shape does not fit, an output overlaps another tensor, no code is for the sizes or for this ";
        out += "machine, or a subscript\n/// that is read from a tensor is out of range.";
        if !conditions.is_empty() {
            let all: Vec<String> = conditions.iter().map(|condition| format!("`{}`", condition.text)).collect();
            write!(out, " Of the sizes must hold: {}.", all.join(", ")).expect("a string takes text");
        }
        out.push('\n');
        out
    }

    fn head(&self) -> String {
        let Function { manifest, name, arguments, sizes } = self;
        let has_views = manifest.arguments.iter().any(|argument| !is_value(argument));
        let mut out = String::from("#[allow(clippy::too_many_arguments, clippy::unnecessary_cast)]\n");
        line(&mut out, format_args!("pub fn {name}{}(", if has_views { "<'a>" } else { "" }));
        for (name, argument) in arguments.iter().zip(&manifest.arguments) {
            let (element, rank) = (rust_type(argument.dtype), argument.shape.len());
            match argument.role {
                _ if is_value(argument) => line(&mut out, format_args!("    {name}: {element},")),
                Role::Input => {
                    let view = format!("::runtime::tensor::View<'a, {element}, {rank}>");
                    line(&mut out, format_args!("    {name}: impl ::core::convert::Into<{view}>,"));
                }
                Role::Output | Role::InOut => {
                    let view = format!("::runtime::tensor::ViewMut<'a, {element}, {rank}>");
                    line(&mut out, format_args!("    {name}: impl ::core::convert::Into<{view}>,"));
                }
            }
        }
        for (name, _) in sizes {
            line(&mut out, format_args!("    {name}: i64,"));
        }
        out + "    pool: &::runtime::Pool,\n) -> ::core::result::Result<(), ::runtime::RunError> {\n"
    }

    fn body(&self) -> String {
        let mut out = self.package();
        let all = || self.arguments.iter().zip(&self.manifest.arguments);
        for (name, argument) in all().filter(|(_, argument)| !is_value(argument)) {
            let view = if argument.role == Role::Input { "View" } else { "ViewMut" };
            let (element, rank) = (rust_type(argument.dtype), argument.shape.len());
            let view = format!("::runtime::tensor::{view}<'_, {element}, {rank}>");
            line(&mut out, format_args!("    let {name}: {view} = {name}.into();"));
        }
        let sizes: Vec<String> = self.manifest.sizes.iter().map(|size| self.value_of(size)).collect();
        line(&mut out, format_args!("    let sizes = [{}];", sizes.join(", ")));
        let views = |is_input: bool| {
            let chosen = all().filter(|(_, argument)| (argument.role == Role::Input) == is_input);
            let untyped = chosen.map(|(name, argument)| match is_value(argument) {
                true => {
                    let element = rust_type(argument.dtype);
                    format!("::runtime::tensor::View::<'_, {element}, 0>::from(&{name}).untyped()")
                }
                false => format!("{name}.untyped()"),
            });
            untyped.collect::<Vec<_>>().join(", ")
        };
        line(&mut out, format_args!("    package.run(&sizes, &[{}], &mut [{}], pool)", views(true), views(false)));
        out + "}\n"
    }

    /// What is linked in: found at the first call.
    fn package(&self) -> String {
        let mut out = String::from(
            "    static PACKAGE: ::std::sync::OnceLock<::runtime::Linked> = ::std::sync::OnceLock::new();\n",
        );
        out += "    let package = PACKAGE.get_or_init(|| {\n";
        for (entry, architecture) in self.entries() {
            line(&mut out, format_args!("        #[cfg(target_arch = \"{architecture}\")]"));
            out += "        unsafe extern \"C\" {\n            #[allow(non_snake_case)]\n";
            line(&mut out, format_args!("            fn {entry}("));
            out += "                context: *const ::runtime::abi::Context,\n";
            out += "                args: *const ::runtime::abi::Arg,\n                sizes: *const i64,\n";
            out += "            ) -> i32;\n        }\n";
        }
        out += "        let entries: &[(&str, ::runtime::abi::Entry)] = &[\n";
        for (entry, architecture) in self.entries() {
            line(&mut out, format_args!("            #[cfg(target_arch = \"{architecture}\")]"));
            line(&mut out, format_args!("            (\"{entry}\", {entry}),"));
        }
        out += "        ];\n        // SAFETY: the functions are those of the package that this module is of, linked from its library.\n        ";
        out + "unsafe { ::runtime::Linked::new(include_str!(\"package.json\"), entries) }\n    });\n"
    }

    /// The function of each variant of a processor, and the architecture that it is for.
    fn entries(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.manifest.variants.iter().filter_map(|variant| match &variant.code {
            VariantCode::Host(code) => {
                Some((code.entry.as_str(), code.machine.triple.split('-').next().unwrap_or_default()))
            }
            VariantCode::Device(_) => None,
        })
    }

    /// Rust for the value of a size.
    fn value_of(&self, size: &str) -> String {
        if let Some((name, _)) = self.sizes.iter().find(|(_, own)| *own == size) {
            return name.clone();
        }
        let mut all = self.arguments.iter().zip(&self.manifest.arguments);
        let found = all.find_map(|(name, argument)| Some((name, where_given(argument, size)?)));
        match found {
            Some((name, Given::Extent(dim))) => format!("{name}.shape()[{dim}]"),
            Some((name, Given::Value)) => format!("{name} as i64"),
            None => unreachable!("a size that nothing gives is an argument of its own"),
        }
    }
}

/// Where an argument tells a size.
enum Given {
    /// It is the extent of this dimension.
    Extent(usize),
    /// It is the value of this scalar.
    Value,
}

fn where_given(argument: &Parameter, size: &str) -> Option<Given> {
    if argument.size.as_deref() == Some(size) {
        return Some(Given::Value);
    }
    let is_size = |formula: &runtime::Formula| matches!(formula, runtime::Formula::Size(name) if name == size);
    argument.shape.iter().position(is_size).map(Given::Extent)
}

/// Whether it is passed by value.
fn is_value(argument: &Parameter) -> bool {
    argument.shape.is_empty() && argument.role == Role::Input
}

fn rust_type(dtype: DType) -> &'static str {
    match dtype.name() {
        "bool" => "bool",
        "int8" => "i8",
        "int16" => "i16",
        "int32" => "i32",
        "int64" => "i64",
        "uint8" => "u8",
        "uint16" => "u16",
        "uint32" => "u32",
        "uint64" => "u64",
        "float16" => "::runtime::tensor::F16",
        "bfloat16" => "::runtime::tensor::Bf16",
        "float32" => "f32",
        _ => "f64",
    }
}

/// A name as Rust writes it, other than those that are taken: `inputScale` is `input_scale`.
fn identifier(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut out = String::new();
    let mut was_small = false;
    for c in name.chars() {
        if c.is_uppercase() && was_small {
            out.push('_');
        }
        was_small = c.is_lowercase() || c.is_numeric();
        match c {
            c if c.is_alphanumeric() || c == '_' => out.extend(c.to_lowercase()),
            _ => out.push('_'),
        }
    }
    if !out.starts_with(|c: char| c.is_alphabetic()) {
        out.insert(0, 'x');
    }
    while !taken.insert(out.clone()) {
        out.push('_');
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes text");
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::error::Source;
    use crate::{Choice, Options, check, known_targets, package_for};

    /// The module of the only definition of a text, for two targets, sizes of its own where they are given, and any.
    fn module_of(text: &str, sizes: &[i64]) -> String {
        let source = Source::load("kernels.tc".into(), text.into(), &mut |_, _| None);
        let (defs, _) = check(&source).expect("it is right");
        let targets = known_targets().into_iter().filter(|target| ["x86-64", "aarch64-neon"].contains(&&*target.name));
        let targets: Vec<Options> = targets.map(Options::new).collect();
        let choices = if sizes.is_empty() { vec![Choice::any()] } else { vec![Choice::any(), Choice::of(sizes)] };
        let package = package_for(&[], &defs[0], &source, &targets, &choices).expect("it compiles");
        let (_, bytes) = files(&defs[0], &source, &package).expect("it is written").remove(0);
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_function_has_the_types_and_ranks_of_the_definition() {
        let text = "# Scales.\ndef scaled(float alpha, int8(M,N) inputScale, uint16(K) Type) -> (B) {\n  B(i,j) = alpha * inputScale(i,j) + Type(0)\n}";
        expect_file!["rust/scaled.txt"].assert_eq(&module_of(text, &[2, 3, 4]));
    }

    /// A scalar that is a size, and a size that nothing else tells.
    #[test]
    fn sizes_come_from_wherever_they_are_known() {
        let text = "def taps(float(2 * R + 1) W) -> (S) { S +=! W(i + R) where i in -R:R + 1 }";
        let module = module_of(text, &[]);
        assert!(module.contains("r: i64,") && module.contains("let sizes = [r];"), "{module}");
        assert!(module.contains("ViewMut<'a, f32, 0>"), "{module}");
    }

    #[test]
    fn names_are_those_of_rust() {
        let mut taken = BTreeSet::from(["type".to_string(), "pool".to_string()]);
        let names = ["A", "a", "inputScale", "KH", "Type", "pool", "_x", "B2", "überTon"];
        let names = names.map(|name| identifier(name, &mut taken));
        assert_eq!(names, ["a", "a_", "input_scale", "kh", "type_", "pool_", "x_x", "b2", "über_ton"]);
    }
}

//! `package.json`, read: of a value of JSON what a manifest needs of it.
//!
//! Written by hand, since what is derived for as many types is larger than all the rest of this crate
//! (`docs/decisions/0038-packages.md`); nothing is inlined for the same reason.

use super::value::{Value, parse};
use super::{Condition, FORMAT, HostCode, KernelFile, Language, Machine, Manifest, Parameter, Variant, VariantCode};
use crate::formula::Formula;
use crate::kernel::{Check, OpenArgument, OpenSignature, Role};
use crate::named::Named;
use crate::tensor::DType;

/// How it is said that a manifest is of another format.
pub(super) const OTHER_FORMAT: &str = "it has the format ";

pub(super) type Read<T> = Result<T, String>;

/// A value and where it is, `variants[0].code`.
pub(super) struct At<'a> {
    pub value: &'a Value,
    place: String,
}

/// The format, and the version of the compiler where it is told.
fn format(at: &At<'_>) -> Read<(u32, String)> {
    let version = at.optional("version").and_then(|version| version.text().ok()).unwrap_or_default();
    Ok((at.field("format")?.number()?, version))
}

/// The manifest that is written so.
pub(super) fn manifest(text: &[u8]) -> Read<Manifest> {
    let at = At { value: &parse(text)?, place: String::new() };
    let (format, version) = format(&at)?;
    if format != FORMAT {
        return Err(format!("{OTHER_FORMAT}{format} (compiler {version}), and this version reads {FORMAT}"));
    }
    Ok(Manifest {
        format,
        version: at.text_of("version")?,
        definition: at.text_of("definition")?,
        sizes: at.texts_of("sizes")?,
        arguments: at.field("arguments")?.list(&parameter)?,
        conditions: at.field("conditions")?.list(&condition)?,
        program: at.text_of("program")?,
        variants: at.field("variants")?.list(&variant)?,
        sha256: at.field("sha256")?.map(&|hash| hash.text())?,
    })
}

#[inline(never)]
fn parameter(at: &At<'_>) -> Read<Parameter> {
    Ok(Parameter {
        name: at.text_of("name")?,
        dtype: at.field("dtype")?.dtype()?,
        role: at.field("role")?.role()?,
        shape: at.formulas_of("shape")?,
        size: at.optional("size").map(|size| size.text()).transpose()?,
    })
}

#[inline(never)]
fn condition(at: &At<'_>) -> Read<Condition> {
    let (any, extents) = (at.formulas_of("any")?, at.formulas_of("extents")?);
    Ok(Condition { any, extents, text: at.text_of("text")?, reason: at.text_of("reason")? })
}

#[inline(never)]
fn variant(at: &At<'_>) -> Read<Variant> {
    let code = at.field("code")?;
    Ok(Variant {
        name: at.text_of("name")?,
        target: at.text_of("target")?,
        sizes: at.optional("sizes").map(|sizes| sizes.map(&|size| size.number())).transpose()?,
        script: at.text_of("script")?,
        code: match (code.optional("host"), code.optional("device")) {
            (Some(host), None) => VariantCode::Host(host_code(&host)?),
            (None, Some(device)) => VariantCode::Device(kernels(&device)?),
            _ => return Err(code.wrong("`host` or `device`")),
        },
    })
}

#[inline(never)]
fn host_code(at: &At<'_>) -> Read<HostCode> {
    let (machine, signature) = (at.field("machine")?, at.field("signature")?);
    Ok(HostCode {
        object: at.text_of("object")?,
        entry: at.text_of("entry")?,
        machine: Machine {
            triple: machine.text_of("triple")?,
            cpu: machine.text_of("cpu")?,
            features: machine.texts_of("features")?,
            scalable_bits: machine.optional("scalable_bits").map(|bits| bits.number()).transpose()?,
        },
        alignment: at.field("alignment")?.number()?,
        signature: open_signature(&signature)?,
    })
}

#[inline(never)]
pub(super) fn open_signature(at: &At<'_>) -> Read<OpenSignature> {
    Ok(OpenSignature {
        name: at.text_of("name")?,
        arguments: at.field("arguments")?.list(&argument)?,
        parameters: at.formulas_of("parameters")?,
        workspace_bytes: at.field("workspace_bytes")?.formula()?,
        checks: at.field("checks")?.list(&check)?,
        functions: match at.optional("functions") {
            Some(functions) => functions.map(&|slot| slot.number())?,
            None => Named::default(),
        },
    })
}

#[inline(never)]
fn argument(at: &At<'_>) -> Read<OpenArgument> {
    let stride = |at: &At<'_>| if *at.value == Value::Null { Ok(None) } else { at.formula().map(Some) };
    Ok(OpenArgument {
        name: at.text_of("name")?,
        dtype: at.field("dtype")?.dtype()?,
        role: at.field("role")?.role()?,
        shape: at.formulas_of("shape")?,
        strides: at.field("strides")?.list(&stride)?,
    })
}

#[inline(never)]
fn check(at: &At<'_>) -> Read<Check> {
    let found_by = |at: &At<'_>| match at.list(&|at| Ok(At { value: at.value, place: at.place.clone() }))?.as_slice() {
        [tensor, rank] => Ok((tensor.text()?, rank.number()?)),
        _ => Err(at.wrong("a tensor and its rank")),
    };
    Ok(Check {
        tensor: at.text_of("tensor")?,
        dim: at.field("dim")?.number()?,
        unsigned: at.field("unsigned")?.value == &Value::Bool(true),
        found_by: at.field("found_by")?.list(&found_by)?,
    })
}

#[inline(never)]
fn kernels(at: &At<'_>) -> Read<KernelFile> {
    let language = at.field("language")?;
    let is_opencl = matches!(language.value, Value::Text(name) if name == "opencl");
    Ok(KernelFile {
        language: if is_opencl { Language::Opencl } else { Language::Ptx(language.text_of("ptx")?) },
        text: at.text_of("text")?,
        cubin: at.optional("cubin").map(|file| file.text()).transpose()?,
        // Who runs nothing on devices does not look at what they are asked to run.
        #[cfg(feature = "device")]
        plan: super::json_plan::plan(&at.field("plan")?)?,
    })
}

impl<'a> At<'a> {
    #[inline(never)]
    pub fn wrong(&self, expected: &str) -> String {
        let place = if self.place.is_empty() { "it" } else { self.place.trim_start_matches('.') };
        format!("{place} is not {expected}")
    }

    /// The value of a field that may be missing, or `null`.
    #[inline(never)]
    pub fn optional(&self, name: &str) -> Option<At<'a>> {
        let Value::Object(fields) = self.value else { return None };
        let (_, value) = fields.iter().rev().find(|(own, _)| own == name).filter(|(_, value)| *value != Value::Null)?;
        Some(At { value, place: format!("{}.{name}", self.place) })
    }

    #[inline(never)]
    pub fn field(&self, name: &str) -> Read<At<'a>> {
        self.optional(name).ok_or_else(|| match self.place.trim_start_matches('.') {
            "" => format!("missing field `{name}`"),
            place => format!("{place}: missing field `{name}`"),
        })
    }

    #[inline(never)]
    pub fn text(&self) -> Read<String> {
        match self.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(self.wrong("a text")),
        }
    }

    #[inline(never)]
    pub fn text_of(&self, name: &str) -> Read<String> {
        self.field(name)?.text()
    }

    #[inline(never)]
    pub fn number<T: TryFrom<i64>>(&self) -> Read<T> {
        let number = if let Value::Int(number) = self.value { T::try_from(*number).ok() } else { None };
        number.ok_or_else(|| self.wrong("a number of its range"))
    }

    #[inline(never)]
    pub fn formula(&self) -> Read<Formula> {
        match self.value {
            Value::Int(value) => Ok(Formula::Const(*value)),
            Value::Text(text) => text.parse().map_err(|error| format!("{}: {error}", self.place)),
            _ => Err(self.wrong("a formula")),
        }
    }

    #[inline(never)]
    pub fn dtype(&self) -> Read<DType> {
        self.text()?.parse().map_err(|error| format!("{}: {error}", self.place))
    }

    #[inline(never)]
    pub fn role(&self) -> Read<Role> {
        match self.value {
            Value::Text(role) if role == "input" => Ok(Role::Input),
            Value::Text(role) if role == "output" => Ok(Role::Output),
            Value::Text(role) if role == "inout" => Ok(Role::InOut),
            _ => Err(self.wrong("`input`, `output` or `inout`")),
        }
    }

    #[inline(never)]
    pub fn list<T>(&self, each: &dyn Fn(&At<'a>) -> Read<T>) -> Read<Vec<T>> {
        let Value::List(list) = self.value else { return Err(self.wrong("a list")) };
        let mut all = Vec::new();
        for (at, value) in list.iter().enumerate() {
            all.push(each(&At { value, place: format!("{}[{at}]", self.place) })?);
        }
        Ok(all)
    }

    #[inline(never)]
    pub fn texts_of(&self, name: &str) -> Read<Vec<String>> {
        self.field(name)?.list(&|text| text.text())
    }

    #[inline(never)]
    pub fn formulas_of(&self, name: &str) -> Read<Vec<Formula>> {
        self.field(name)?.list(&|formula| formula.formula())
    }

    #[inline(never)]
    pub fn map<T>(&self, each: &dyn Fn(&At<'a>) -> Read<T>) -> Read<Named<T>> {
        let Value::Object(map) = self.value else { return Err(self.wrong("an object")) };
        let mut all = Named::default();
        for (name, value) in map {
            all.insert(name.clone(), each(&At { value, place: format!("{}.{name}", self.place) })?);
        }
        Ok(all)
    }
}

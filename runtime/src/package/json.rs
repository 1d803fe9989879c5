//! `package.json`, read: of a value of JSON what a manifest needs of it.
//!
//! Written by hand, since what is derived for as many types is larger than all the rest of this crate.

use super::{Condition, FORMAT, HostCode, KernelFile, Language, Machine, Manifest, Parameter, Variant, VariantCode};
use crate::formula::Formula;
use crate::kernel::{Check, OpenArgument, OpenSignature, Role};
use crate::tensor::DType;
use serde_json::Value;
use std::collections::BTreeMap;

type Read<T> = Result<T, String>;

/// A value and where it is, `variants[0].code`.
struct At<'a> {
    value: &'a Value,
    place: String,
}

/// Reads the text of a manifest of this format.
pub(super) fn of_format(text: &[u8]) -> Read<Value> {
    let value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match format(&value)? {
        (found, _) if found == u64::from(FORMAT) => Ok(value),
        (found, version) => {
            Err(format!("it has the format {found} (compiler {version}), and this version reads {FORMAT}"))
        }
    }
}

/// The format, and the version of the compiler where it is told.
fn format(value: &Value) -> Read<(u64, String)> {
    let at = At { value, place: String::new() };
    let version = at.optional("version").and_then(|version| version.text().ok()).unwrap_or_default();
    Ok((at.field("format")?.number()?, version))
}

/// The manifest of this format.
pub(super) fn manifest(value: &Value) -> Read<Manifest> {
    let at = At { value, place: String::new() };
    Ok(Manifest {
        format: at.field("format")?.number()?,
        version: at.text_of("version")?,
        definition: at.text_of("definition")?,
        sizes: at.texts_of("sizes")?,
        arguments: at.field("arguments")?.list(parameter)?,
        conditions: at.field("conditions")?.list(condition)?,
        program: at.text_of("program")?,
        variants: at.field("variants")?.list(variant)?,
        sha256: at.field("sha256")?.map(|hash| hash.text())?,
    })
}

fn parameter(at: &At<'_>) -> Read<Parameter> {
    Ok(Parameter {
        name: at.text_of("name")?,
        dtype: at.field("dtype")?.dtype()?,
        role: at.field("role")?.role()?,
        shape: at.formulas_of("shape")?,
        size: at.optional("size").map(|size| size.text()).transpose()?,
    })
}

fn condition(at: &At<'_>) -> Read<Condition> {
    let (any, extents) = (at.formulas_of("any")?, at.formulas_of("extents")?);
    Ok(Condition { any, extents, text: at.text_of("text")?, reason: at.text_of("reason")? })
}

fn variant(at: &At<'_>) -> Read<Variant> {
    let code = at.field("code")?;
    Ok(Variant {
        name: at.text_of("name")?,
        target: at.text_of("target")?,
        sizes: at.optional("sizes").map(|sizes| sizes.map(|size| size.number())).transpose()?,
        script: at.text_of("script")?,
        code: match (code.optional("host"), code.optional("device")) {
            (Some(host), None) => VariantCode::Host(host_code(&host)?),
            (None, Some(device)) => VariantCode::Device(kernels(&device)?),
            _ => return Err(code.wrong("`host` or `device`")),
        },
    })
}

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
        signature: OpenSignature {
            name: signature.text_of("name")?,
            arguments: signature.field("arguments")?.list(argument)?,
            parameters: signature.formulas_of("parameters")?,
            workspace_bytes: signature.field("workspace_bytes")?.formula()?,
            checks: signature.field("checks")?.list(check)?,
            functions: match signature.optional("functions") {
                Some(functions) => functions.map(|slot| slot.number())?,
                None => BTreeMap::new(),
            },
        },
    })
}

fn argument(at: &At<'_>) -> Read<OpenArgument> {
    let stride = |at: &At<'_>| if at.value.is_null() { Ok(None) } else { at.formula().map(Some) };
    Ok(OpenArgument {
        name: at.text_of("name")?,
        dtype: at.field("dtype")?.dtype()?,
        role: at.field("role")?.role()?,
        shape: at.formulas_of("shape")?,
        strides: at.field("strides")?.list(stride)?,
    })
}

fn check(at: &At<'_>) -> Read<Check> {
    let found_by = |at: &At<'_>| match at.list(|at| Ok(At { value: at.value, place: at.place.clone() }))?.as_slice() {
        [tensor, rank] => Ok((tensor.text()?, rank.number()?)),
        _ => Err(at.wrong("a tensor and its rank")),
    };
    Ok(Check {
        tensor: at.text_of("tensor")?,
        dim: at.field("dim")?.number()?,
        unsigned: at.field("unsigned")?.value == &Value::Bool(true),
        found_by: at.field("found_by")?.list(found_by)?,
    })
}

fn kernels(at: &At<'_>) -> Read<KernelFile> {
    let language = at.field("language")?;
    let is_opencl = language.value.as_str() == Some("opencl");
    Ok(KernelFile {
        language: if is_opencl { Language::Opencl } else { Language::Ptx(language.text_of("ptx")?) },
        text: at.text_of("text")?,
        cubin: at.optional("cubin").map(|file| file.text()).transpose()?,
        plan: plan(&at.field("plan")?)?,
    })
}

#[cfg(feature = "device")]
fn plan(at: &At<'_>) -> Read<crate::plan::Plan> {
    serde_json::from_value(at.value.clone()).map_err(|error| format!("{}: {error}", at.place))
}

/// Who runs nothing on devices does not look at what they are asked to run.
#[cfg(not(feature = "device"))]
fn plan(at: &At<'_>) -> Read<Value> {
    Ok(at.value.clone())
}

impl<'a> At<'a> {
    fn wrong(&self, expected: &str) -> String {
        let place = if self.place.is_empty() { "it" } else { self.place.trim_start_matches('.') };
        format!("{place} is not {expected}")
    }

    /// The value of a field that may be missing, or `null`.
    fn optional(&self, name: &str) -> Option<At<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(At { value, place: format!("{}.{name}", self.place) })
    }

    fn field(&self, name: &str) -> Read<At<'a>> {
        self.optional(name).ok_or_else(|| match self.place.trim_start_matches('.') {
            "" => format!("missing field `{name}`"),
            place => format!("{place}: missing field `{name}`"),
        })
    }

    fn text(&self) -> Read<String> {
        self.value.as_str().map(String::from).ok_or_else(|| self.wrong("a text"))
    }

    fn text_of(&self, name: &str) -> Read<String> {
        self.field(name)?.text()
    }

    fn number<T: TryFrom<i64>>(&self) -> Read<T> {
        let number = self.value.as_i64().and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.wrong("a number of its range"))
    }

    fn formula(&self) -> Read<Formula> {
        match (self.value.as_i64(), self.value.as_str()) {
            (Some(value), _) => Ok(Formula::Const(value)),
            (None, Some(text)) => text.parse().map_err(|error| format!("{}: {error}", self.place)),
            (None, None) => Err(self.wrong("a formula")),
        }
    }

    fn dtype(&self) -> Read<DType> {
        self.text()?.parse().map_err(|error| format!("{}: {error}", self.place))
    }

    fn role(&self) -> Read<Role> {
        match self.value.as_str() {
            Some("input") => Ok(Role::Input),
            Some("output") => Ok(Role::Output),
            Some("inout") => Ok(Role::InOut),
            _ => Err(self.wrong("`input`, `output` or `inout`")),
        }
    }

    fn list<T>(&self, each: impl Fn(&At<'a>) -> Read<T>) -> Read<Vec<T>> {
        let Value::Array(list) = self.value else { return Err(self.wrong("a list")) };
        let mut all = Vec::new();
        for (at, value) in list.iter().enumerate() {
            all.push(each(&At { value, place: format!("{}[{at}]", self.place) })?);
        }
        Ok(all)
    }

    fn texts_of(&self, name: &str) -> Read<Vec<String>> {
        self.field(name)?.list(|text| text.text())
    }

    fn formulas_of(&self, name: &str) -> Read<Vec<Formula>> {
        self.field(name)?.list(|formula| formula.formula())
    }

    fn map<T>(&self, each: impl Fn(&At<'a>) -> Read<T>) -> Read<BTreeMap<String, T>> {
        let Value::Object(map) = self.value else { return Err(self.wrong("an object")) };
        let mut all = BTreeMap::new();
        for (name, value) in map {
            all.insert(name.clone(), each(&At { value, place: format!("{}.{name}", self.place) })?);
        }
        Ok(all)
    }
}

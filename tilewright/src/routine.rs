//! What can be compiled and called: a definition of TC, or a program built in Rust.

use polyhedral::{DType, Index, Role, Scop, isl};
use support::{Diagnostic, Span};

use crate::error::Source;
use crate::{Definition, Error, Result};

/// Something with a name, sizes and arguments. Holds nothing of isl, so that threads can share it.
pub(crate) struct Routine {
    /// What it is called.
    pub name: String,
    /// The size parameters, in order: [`Index::Param`] counts them.
    pub sizes: Vec<String>,
    /// Every tensor, arguments first.
    pub tensors: Vec<Tensor>,
    /// The text that its spans point into, when it is at hand.
    pub source: Option<Source>,
    form: Form,
}

/// A tensor of a routine.
pub(crate) struct Tensor {
    /// Its name.
    pub name: String,
    /// The type of an element.
    pub dtype: DType,
    /// The extent of each dimension, over the sizes.
    pub extent: Vec<Index>,
    /// Input, output or temporary.
    pub role: Role,
    /// The size parameter that is the value of this scalar.
    pub size: Option<usize>,
}

/// Where the Scop comes from.
enum Form {
    Definition(Box<Definition>),
    /// The text of the Scop.
    Program(String),
}

impl Routine {
    /// A checked definition.
    pub fn of_definition(def: Definition, source: Option<Source>) -> Routine {
        let tensors = def.tensors.iter().map(|tensor| Tensor {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            extent: tensor.extent.clone(),
            role: tensor.role,
            size: tensor.size,
        });
        let (name, sizes, tensors) = (def.name.clone(), def.sizes.clone(), tensors.collect());
        Routine { name, sizes, tensors, source, form: Form::Definition(Box::new(def)) }
    }

    /// A program that was built.
    pub fn of_program(program: &polyhedral::builder::Program) -> Routine {
        let scop = &program.scop;
        let tensors = scop.tensors.values().map(|tensor| Tensor {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            extent: tensor.extent.clone(),
            role: tensor.role,
            size: None,
        });
        let source = Source::new(format!("<{}>", scop.name), program.source.as_str().into());
        Routine {
            name: scop.name.clone(),
            sizes: scop.params.clone(),
            tensors: tensors.collect(),
            source: Some(source),
            form: Form::Program(scop.to_string()),
        }
    }

    /// The definition, when it is one.
    pub fn definition(&self) -> Option<&Definition> {
        match &self.form {
            Form::Definition(def) => Some(def),
            Form::Program(_) => None,
        }
    }

    /// What it computes, in one spelling: TC with every range explicit, or the text of the Scop.
    pub fn text(&self) -> String {
        match &self.form {
            Form::Definition(def) => def.to_string(),
            Form::Program(text) => text.clone(),
        }
    }

    /// The inputs, in the order of a call.
    pub fn inputs(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| tensor.role == Role::Input)
    }

    /// The outputs, in the order of a call.
    pub fn outputs(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| matches!(tensor.role, Role::Output | Role::InOut))
    }

    /// The program for these sizes, or for all.
    ///
    /// # Errors
    /// When the sizes break what the program assumes.
    pub fn scop(&self, ctx: &isl::Ctx, sizes: Option<&[i64]>) -> Result<Scop> {
        match (&self.form, sizes) {
            (Form::Definition(def), Some(sizes)) => Ok(frontend_tc::lower_at(def, ctx, sizes)?),
            (Form::Definition(def), None) => Ok(frontend_tc::lower(def, ctx)?),
            (Form::Program(text), sizes) => {
                let scop = Scop::parse(ctx, text).map_err(Error::bug)?;
                let Some(sizes) = sizes else { return Ok(scop) };
                self.check_assumptions(&scop, sizes)?;
                Ok(scop.specialise(sizes)?)
            }
        }
    }

    /// Checks what a program beyond TC assumes of its sizes; what a definition does is checked at every call.
    ///
    /// # Errors
    /// When the sizes break it.
    pub fn check_sizes(&self, sizes: &[i64]) -> Result<()> {
        match &self.form {
            Form::Definition(_) => Ok(()),
            Form::Program(text) => {
                let scop = Scop::parse(&isl::Ctx::new(), text).map_err(Error::bug)?;
                self.check_assumptions(&scop, sizes)
            }
        }
    }

    fn check_assumptions(&self, scop: &Scop, sizes: &[i64]) -> Result<()> {
        let all = scop.context.align_params(&scop.param_space()?)?;
        let mut each = sizes.iter().enumerate();
        let fixed = each.try_fold(all, |set, (at, &size)| set.fix(isl::Dim::Param, at as u32, size))?;
        if !fixed.is_empty()? {
            return Ok(());
        }
        let values: Vec<String> = self.sizes.iter().zip(sizes).map(|(name, size)| format!("{name} = {size}")).collect();
        let message = format!("these sizes break what `{}` assumes: {}", self.name, values.join(", "));
        let error = Diagnostic::call("TC0915", message).help("call it with sizes for which all of these hold");
        let assumptions = self.source.iter().flat_map(|source| assumptions(&source.text));
        Err(Error::user(assumptions.fold(error, |error, span| error.also(span, ""))))
    }
}

/// The lines of a program's text that hold what it assumes.
fn assumptions(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("assume ") {
            found.push(Span::new(start, start + line.trim_end().len()));
        }
        start += line.len();
    }
    found
}

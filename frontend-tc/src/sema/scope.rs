//! What names mean inside a definition.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Builtin, DType};
use support::{Diagnostic, Span};

use super::close::close;
use super::{Declared, Origin};
use crate::ast::{Def, Dim, Name, Param, ScalarType, Statement, Type};
use crate::quasi::Quasi;
use crate::types::dtype_of;

/// After this many errors and warnings a definition is not checked further.
pub(super) const MAX_DIAGNOSTICS: usize = 1000;

/// The names of a definition; those of indices and of `where` belong to a statement.
pub struct Scope<'a> {
    pub sizes: Vec<String>,
    pub tensors: Vec<Declared>,
    names: BTreeMap<String, (Entity, Span)>,
    defs: &'a BTreeSet<String>,
    poisoned: BTreeSet<String>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

/// What a name of a definition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// A size parameter, by position.
    Size(usize),
    /// A tensor, by position.
    Tensor(usize),
}

impl<'a> Scope<'a> {
    /// The names of `def`'s header; `defs` are the definitions of the file.
    pub fn new(def: &Def, defs: &'a BTreeSet<String>, diagnostics: &'a mut Vec<Diagnostic>) -> Scope<'a> {
        let mut scope = Scope {
            sizes: Vec::new(),
            tensors: Vec::new(),
            names: BTreeMap::new(),
            defs,
            poisoned: def.broken.clone(),
            diagnostics,
        };
        for input in &def.inputs {
            scope.declare_input(input);
        }
        for output in &def.outputs {
            scope.declare_output(output);
        }
        scope
    }

    pub fn emit(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether so much was said that the rest of the definition is not checked; says that, too.
    pub fn has_said_enough(&mut self, at: Span) -> bool {
        let enough = self.diagnostics.len() >= MAX_DIAGNOSTICS;
        if enough && !self.diagnostics.iter().any(|diagnostic| diagnostic.code == "TC0007") {
            let message =
                format!("more than {MAX_DIAGNOSTICS} errors and warnings: the rest of the file was not checked");
            self.emit(Diagnostic::error("TC0007", message, at).help("correct the first ones and check again"));
        }
        enough
    }

    pub fn entity(&self, name: &str) -> Option<Entity> {
        self.names.get(name).map(|(entity, _)| *entity)
    }

    pub fn tensor(&self, name: &str) -> Option<usize> {
        match self.entity(name) {
            Some(Entity::Tensor(at)) => Some(at),
            _ => None,
        }
    }

    /// Whether `name` occurs in something that was already reported.
    pub fn is_poisoned(&self, name: &str) -> bool {
        self.poisoned.contains(name)
    }

    /// What `statement` writes is not known: nothing is said of it any more.
    pub fn poison(&mut self, statement: &Statement) {
        self.poisoned.insert(statement.target.text.clone());
    }

    pub fn is_def(&self, name: &str) -> bool {
        self.defs.contains(name)
    }

    /// A name of the header or a built-in function that `word` may stand for.
    pub fn close_name(&self, word: &str) -> Option<String> {
        let own = self.names.keys().map(String::as_str);
        if let Some(other_case) = own.clone().find(|name| name.eq_ignore_ascii_case(word)) {
            return Some(other_case.to_owned());
        }
        close(word, own.chain(Builtin::ALL.iter().map(|builtin| builtin.name()))).map(str::to_owned)
    }

    /// A size or tensor that `word` may stand for.
    pub fn close_entity(&self, word: &str) -> Option<String> {
        close(word, self.names.keys().map(String::as_str)).map(str::to_owned)
    }

    /// The type of the middle form; a half type is reported, and `float` stands for it from there on.
    pub fn dtype(&mut self, scalar: ScalarType, span: Span) -> DType {
        dtype_of(scalar).unwrap_or_else(|| {
            let error = Diagnostic::error("TC0020", format!("`{scalar}` is not supported yet"), span);
            self.emit(error.help("use `float`; the half types come with a later version"));
            DType::F32
        })
    }

    /// Refuses a name that already means something. `what` is what it was to be.
    pub fn is_free(&mut self, name: &Name, what: &str) -> bool {
        let taken = match self.names.get(&name.text) {
            Some((Entity::Size(_), span)) => Some(("a size", *span)),
            Some((Entity::Tensor(_), span)) => Some(("a tensor", *span)),
            None => None,
        };
        if let Some((as_what, first)) = taken {
            let message = format!("`{}` is {as_what} already and cannot be {what}", name.text);
            self.emit(
                Diagnostic::error("TC0103", message, name.span).also(first, "declared here").help("use another name"),
            );
            return false;
        }
        if Builtin::parse(&name.text).is_some() {
            let message = format!("`{}` is a built-in function and cannot be {what}", name.text);
            self.emit(Diagnostic::error("TC0111", message, name.span).help("use another name"));
            return false;
        }
        true
    }

    fn declare_input(&mut self, input: &Param) {
        let Some(ty) = &input.ty else {
            let message = format!("the input `{}` has no type", input.name.text);
            let help = format!("write `float(N) {}`, with as many sizes as it has dimensions", input.name.text);
            self.emit(Diagnostic::error("TC0117", message, input.name.span).help(help));
            self.poisoned.insert(input.name.text.clone());
            return;
        };
        let dtype = self.dtype(ty.scalar, ty.span);
        let shape = ty.dims.iter().map(|dim| self.size(dim)).collect::<Vec<_>>();
        if !self.is_free(&input.name, "an input") {
            return;
        }
        let shape: Vec<Quasi> = shape.into_iter().map(|size| size.unwrap_or(Quasi::constant(0))).collect();
        let rank = Some(shape.len());
        self.declare(&input.name, Declared { dtype: Some(dtype), rank, shape, ..unknown(&input.name, Origin::Input) });
    }

    /// The size that `dim` names; a new one if it is the first time.
    fn size(&mut self, dim: &Dim) -> Option<Quasi> {
        let name = match dim {
            Dim::Constant(value, _) => return Some(Quasi::constant(*value)),
            Dim::Size(name) => name,
        };
        if let Some(Entity::Size(at)) = self.entity(&name.text) {
            return Some(Quasi::size(at));
        }
        if !self.is_free(name, "a size") {
            return None;
        }
        let at = self.sizes.len();
        self.sizes.push(name.text.clone());
        self.names.insert(name.text.clone(), (Entity::Size(at), name.span));
        Some(Quasi::size(at))
    }

    fn declare_output(&mut self, output: &Param) {
        let annotation = output.ty.as_ref().map(|ty| self.annotation(ty));
        if self.is_free(&output.name, "returned") {
            self.declare(&output.name, Declared { annotation, ..unknown(&output.name, Origin::Output) });
        }
    }

    /// A declared return: sizes that no input has are not bound by it and say nothing.
    fn annotation(&mut self, ty: &Type) -> (DType, Vec<Option<Quasi>>, Span) {
        let known = |dim: &Dim| match dim {
            Dim::Constant(value, _) => Some(Quasi::constant(*value)),
            Dim::Size(name) => match self.entity(&name.text) {
                Some(Entity::Size(at)) => Some(Quasi::size(at)),
                _ => None,
            },
        };
        let shape = ty.dims.iter().map(known).collect();
        (self.dtype(ty.scalar, ty.span), shape, ty.span)
    }

    fn declare(&mut self, name: &Name, tensor: Declared) -> usize {
        let at = self.tensors.len();
        self.tensors.push(tensor);
        self.names.insert(name.text.clone(), (Entity::Tensor(at), name.span));
        at
    }

    /// The tensor that a statement writes, a temporary if nothing declared it.
    pub fn target(&mut self, name: &Name) -> Option<usize> {
        match self.entity(&name.text) {
            Some(Entity::Tensor(at)) if self.tensors[at].origin == Origin::Input => {
                let message = format!("`{}` is an input and cannot be written", name.text);
                let place = self.tensors[at].span;
                let error = Diagnostic::error("TC0105", message, name.span).also(place, "an input");
                self.emit(error.help("write another tensor, and return that one"));
                None
            }
            Some(Entity::Tensor(at)) => Some(at),
            Some(Entity::Size(_)) | None if !self.is_free(name, "a tensor") => None,
            _ => Some(self.declare(name, unknown(name, Origin::Temporary))),
        }
    }

    /// Reports the returns that no statement writes.
    pub fn outputs_are_written(&mut self, def: &Def) {
        for output in &def.outputs {
            let name = &output.name.text;
            let unwritten = self
                .tensor(name)
                .is_some_and(|at| self.tensors[at].origin == Origin::Output && self.tensors[at].writes == 0);
            if unwritten && !self.is_poisoned(name) {
                let message = format!("`{name}` is returned, and no statement writes it");
                let close = close(name, def.statements.iter().map(|statement| statement.target.text.as_str()));
                let help = match close {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("add a statement `{name}(…) = …`, or do not return it"),
                };
                self.emit(Diagnostic::error("TC0106", message, output.name.span).help(help));
            }
        }
    }
}

fn unknown(name: &Name, origin: Origin) -> Declared {
    Declared {
        name: name.text.clone(),
        span: name.span,
        origin,
        dtype: None,
        rank: None,
        shape: Vec::new(),
        annotation: None,
        writes: 0,
        continues: false,
    }
}

//! What names mean inside a definition.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Builtin, DType};
use support::{Diagnostic, Span};

use super::close::close;
use super::value::affine_binary;
use super::{Declared, IndexName, Origin};
use crate::ast::{BinaryOp, Bound, Clause, Def, Dim, Expr, ExprKind, Item, Name, Param, Statement, UnaryOp};
use crate::quasi::Quasi;
use crate::types::{dtype_of, spelling};

/// After this many errors and warnings a definition is not checked further.
pub const MAX_DIAGNOSTICS: usize = 1000;

/// The names of a definition; those of indices and of `where` belong to a statement.
pub struct Scope<'a> {
    pub sizes: Vec<String>,
    pub tensors: Vec<Declared>,
    /// The loops around, outermost first: index, first and last value, and where these stand.
    pub loops: Vec<(IndexName, Quasi, Quasi, Span)>,
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
            loops: Vec::new(),
            names: BTreeMap::new(),
            defs,
            poisoned: def.broken.clone(),
            diagnostics,
        };
        for input in &def.inputs {
            scope.declare_input(input);
        }
        scope.scalars_in_bounds(def);
        for output in &def.outputs {
            scope.declare_output(output, is_scattered(def, &output.name.text));
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

    /// Nothing more is said of a name that was reported.
    pub fn poison_name(&mut self, name: &str) {
        self.poisoned.insert(name.to_owned());
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
        if let Some((index, ..)) = self.loops.iter().find(|(index, ..)| index.name == name.text) {
            let message = format!("`{}` is the index of a loop already and cannot be {what}", name.text);
            let error = Diagnostic::error("TC0103", message, name.span).also(index.span, "declared here");
            self.emit(error.help("use another name"));
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
        let dtype = dtype_of(ty.scalar);
        let shape = ty.dims.iter().map(|dim| self.size(dim)).collect::<Vec<_>>();
        if !self.is_free(&input.name, "an input") {
            return;
        }
        let shape: Vec<Quasi> = shape.into_iter().map(|size| size.unwrap_or(Quasi::constant(0))).collect();
        let rank = Some(shape.len());
        self.declare(&input.name, Declared { dtype: Some(dtype), rank, shape, ..unknown(&input.name, Origin::Input) });
    }

    /// Whole scalars that bounds mention are constants of a call: each is a size, too, which has the scalar's name.
    fn scalars_in_bounds(&mut self, def: &Def) {
        let mut mentioned = BTreeSet::new();
        bounds_of(&def.body, &mut mentioned);
        for at in 0..self.tensors.len() {
            let tensor = &self.tensors[at];
            let whole = tensor.rank == Some(0) && tensor.dtype.is_some_and(DType::is_int);
            if whole && mentioned.contains(&tensor.name) {
                self.tensors[at].size = Some(self.sizes.len());
                self.sizes.push(self.tensors[at].name.clone());
            }
        }
    }

    /// The size that `dim` is; its names are new sizes where they mean nothing yet.
    fn size(&mut self, dim: &Dim) -> Option<Quasi> {
        match dim {
            Dim::Constant(value, _) => Some(Quasi::constant(*value)),
            Dim::Size(name) => self.named_size(name),
            Dim::Computed(value) => {
                let mut sound = true;
                for name in names_in(value) {
                    sound &= self.named_size(&name).is_some();
                }
                if !sound {
                    return None;
                }
                let size = self.computed(value);
                if size.is_none() {
                    let message = "a size in a type must be affine in the sizes";
                    let error = Diagnostic::error("TC0028", message, value.span);
                    self.emit(error.help("sums, products with a number, division by a number, `min` and `max` are"));
                }
                size
            }
        }
    }

    fn named_size(&mut self, name: &Name) -> Option<Quasi> {
        if let Some(Entity::Size(at)) = self.entity(&name.text) {
            return Some(Quasi::size(at));
        }
        self.is_free(name, "a size").then(|| Quasi::size(self.declare_size(name)))
    }

    /// A new size.
    pub fn declare_size(&mut self, name: &Name) -> usize {
        let at = self.sizes.len();
        self.sizes.push(name.text.clone());
        self.names.insert(name.text.clone(), (Entity::Size(at), name.span));
        at
    }

    /// The size that `dim` is, if all its names are sizes already.
    pub fn extent_of(&self, dim: &Dim) -> Option<Quasi> {
        match dim {
            Dim::Constant(value, _) => Some(Quasi::constant(*value)),
            Dim::Size(name) => match self.entity(&name.text) {
                Some(Entity::Size(at)) => Some(Quasi::size(at)),
                _ => None,
            },
            Dim::Computed(value) => self.computed(value),
        }
    }

    fn computed(&self, expr: &Expr) -> Option<Quasi> {
        match &expr.kind {
            ExprKind::Number(number) => Some(Quasi::constant(number.whole?.try_into().ok()?)),
            ExprKind::Name(name) => match self.entity(name) {
                Some(Entity::Size(at)) => Some(Quasi::size(at)),
                _ => None,
            },
            ExprKind::Unary(UnaryOp::Neg, value) => self.computed(value)?.times(-1),
            ExprKind::Binary(op, operands) => self.computed_binary(*op, &operands.0, &operands.1),
            _ => None,
        }
    }

    fn computed_binary(&self, op: BinaryOp, a: &Expr, b: &Expr) -> Option<Quasi> {
        affine_binary(op, &self.computed(a)?, &self.computed(b)?).flatten()
    }

    /// Whether `bound`, which a call says of `tensor`, fits to its type and rank; reports it if not.
    pub fn fits(&mut self, tensor: usize, bound: &Bound) -> bool {
        let (known, name) = (&self.tensors[tensor], &bound.tensor);
        let (Some(rank), Some(dtype)) = (known.rank, known.dtype) else {
            if !self.is_poisoned(&name.text) {
                let message = format!("`{}` is read before a statement writes it", name.text);
                let error = Diagnostic::error("TC0118", message, name.span).also(known.span, "declared here");
                self.emit(error.help("write it first"));
            }
            return false;
        };
        let (wanted, found) = (dtype_of(bound.ty.scalar), bound.ty.dims.len());
        if rank == found && dtype == wanted {
            return true;
        }
        let (has, wants) = (described(dtype, rank), described(wanted, found));
        let message = format!("`{}` is {has}, and the definition that is called has {wants} here", name.text);
        let error = Diagnostic::error("TC0124", message, name.span).also(bound.ty.span, "declared here");
        self.emit(error.help("give a tensor of that type and rank"));
        false
    }

    /// Whether `index` can be the index of a loop.
    pub fn is_free_index(&mut self, index: &Name) -> bool {
        self.is_free(index, "the index of a loop")
    }

    fn declare_output(&mut self, output: &Param, is_scattered: bool) {
        let mut annotation = None;
        if let Some(ty) = &output.ty {
            // Where the subscripts are data, only the type says how large the tensor is.
            let shape = ty.dims.iter().map(|dim| if is_scattered { self.size(dim) } else { self.extent_of(dim) });
            annotation = Some((dtype_of(ty.scalar), shape.collect(), ty.span));
        }
        if self.is_free(&output.name, "returned") {
            self.declare(&output.name, Declared { annotation, ..unknown(&output.name, Origin::Output) });
        }
    }

    /// A temporary that no statement names; its name is `wanted`, or that with a number.
    pub fn temporary(&mut self, wanted: &str, span: Span, dtype: DType, rank: usize) -> usize {
        let numbered = (2..).map(|number| format!("{wanted}{number}"));
        let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
        let text = names.find(|name| !self.names.contains_key(name)).unwrap_or_else(|| wanted.to_owned());
        let name = Name { text, span };
        let declared =
            Declared { dtype: Some(dtype), rank: Some(rank), writes: 1, ..unknown(&name, Origin::Temporary) };
        self.declare(&name, declared)
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
                let close = close(name, def.statements().into_iter().map(|statement| statement.target.text.as_str()));
                let help = match close {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("add a statement `{name}(…) = …`, or do not return it"),
                };
                self.emit(Diagnostic::error("TC0106", message, output.name.span).help(help));
            }
        }
    }
}

/// `float of rank 2`
fn described(dtype: DType, rank: usize) -> String {
    format!("`{}` of rank {rank}", spelling(dtype))
}

/// The names in bounds of ranges and loops, and in what `where` names, which may stand in bounds.
fn bounds_of(items: &[Item], names: &mut BTreeSet<String>) {
    for item in items {
        let mut exprs: Vec<&Expr> = Vec::new();
        match item {
            Item::Statement(statement) => {
                for clause in &statement.clauses {
                    match clause {
                        Clause::Range { lower, upper, .. } => exprs.extend([lower, upper]),
                        Clause::Let { value, .. } => exprs.push(value),
                        Clause::Exists(_) => (),
                    }
                }
            }
            Item::For(nest) => {
                exprs.extend([&nest.lower, &nest.upper]);
                bounds_of(&nest.body, names);
            }
            Item::Call(_) | Item::Bound(_) => (),
        }
        names.extend(exprs.into_iter().flat_map(names_in).map(|name| name.text));
    }
}

/// Every name in an expression, in order.
fn names_in(expr: &Expr) -> Vec<Name> {
    if let ExprKind::Name(text) = &expr.kind {
        return vec![Name { text: text.clone(), span: expr.span }];
    }
    expr.children().into_iter().flat_map(names_in).collect()
}

/// Whether a statement writes `name` at subscripts that are read from other tensors.
fn is_scattered(def: &Def, name: &str) -> bool {
    fn reads(expr: &Expr) -> bool {
        matches!(expr.kind, ExprKind::Call(..)) || expr.children().into_iter().any(reads)
    }
    def.statements().into_iter().any(|s| s.target.text == name && s.subscripts.iter().any(reads))
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
        size: None,
    }
}

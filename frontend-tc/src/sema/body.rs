//! One statement: its indices, what its `where` names, and how its value goes into its target.

use polyhedral::{DType, Expr};
use support::Diagnostic;

use super::scope::Scope;
use super::value::{Operand, Place, are, cast, no_arithmetic_on_bool};
use super::{Guard, IndexName, Origin, Read};
use crate::ast::{self, Clause, Name, Statement};
use crate::parser::MAX_DEPTH;
use crate::types::{promote, spelling};

/// Nodes of the value of one statement, with the names of `where` put in.
const MAX_NODES: u32 = 20_000;

/// The state of the check of one statement.
pub struct Body<'s, 'a> {
    pub(super) scope: &'s mut Scope<'a>,
    pub(super) statement: &'s Statement,
    pub indices: Vec<IndexName>,
    pub reads: Vec<Read>,
    pub(super) lets: Vec<(&'s Name, &'s ast::Expr)>,
    pub(super) guards: Vec<Guard>,
    nodes: u32,
}

impl<'s, 'a> Body<'s, 'a> {
    pub fn new(scope: &'s mut Scope<'a>, statement: &'s Statement) -> Body<'s, 'a> {
        Body {
            scope,
            statement,
            indices: Vec::new(),
            reads: Vec::new(),
            lets: Vec::new(),
            guards: Vec::new(),
            nodes: 0,
        }
    }

    /// Registers the indices of the left-hand side; how many there are.
    pub fn left_indices(&mut self) -> usize {
        for index in &self.statement.indices {
            if let Some(first) = self.indices.iter().find(|known| known.name == index.text) {
                let message = format!("the index `{}` stands twice on the left-hand side", index.text);
                let error = Diagnostic::error("TC0104", message, index.span).also(first.span, "first here");
                self.scope.emit(error.help("use two indices, and choose the elements on the right: `i == j ? … : 0`"));
                continue;
            }
            if self.scope.is_free(index, "an index") {
                self.indices.push(IndexName { name: index.text.clone(), span: index.span });
            }
        }
        self.indices.len()
    }

    /// Registers `name = value` of the `where`.
    pub fn lets(&mut self) -> Option<()> {
        let mut sound = Some(());
        for clause in &self.statement.clauses {
            let Clause::Let { name, value } = clause else { continue };
            if self.find_index(&name.text).is_some() || self.find_let(&name.text, self.lets.len()).is_some() {
                let message = format!("`{}` has a meaning in this statement already", name.text);
                self.scope.emit(Diagnostic::error("TC0103", message, name.span).help("use another name"));
                sound = None;
            } else if self.scope.is_free(name, "a name of `where`") {
                self.lets.push((name, value));
            } else {
                sound = None;
            }
        }
        sound
    }

    /// The typed value of the right-hand side.
    pub fn value_of(&mut self, expr: &ast::Expr) -> Option<Operand> {
        self.value(expr, Place { subscript: false, depth: 0, lets: self.lets.len() })
    }

    /// The reads of the `exists` clauses.
    pub fn exists(&mut self) -> Option<Vec<Read>> {
        let of_value = std::mem::take(&mut self.reads);
        let mut sound = true;
        for clause in &self.statement.clauses {
            if let Clause::Exists(expr) = clause {
                sound &= self.value_of(expr).is_some();
            }
        }
        let exists = std::mem::replace(&mut self.reads, of_value);
        sound.then_some(exists)
    }

    /// Checks the indices beyond the left-hand side's: only a reduction has them.
    pub fn indices_are_allowed(&mut self, left: usize) -> Option<()> {
        if self.statement.assign.reduction.is_some() {
            for at in left..self.indices.len() {
                let index = self.indices[at].clone();
                if let Some(close) = self.scope.close_entity(&index.name) {
                    let message = format!("`{}` is not declared, so it is a new reduction index", index.name);
                    let warning = Diagnostic::warning("TC0102", message, index.span);
                    self.scope.emit(warning.help(format!("did you mean `{close}`?")));
                }
            }
            return Some(());
        }
        let mut sound = Some(());
        for at in left..self.indices.len() {
            let index = self.indices[at].clone();
            let message = format!("`=` does not reduce, and `{}` is not on the left-hand side", index.name);
            let help = match self.scope.close_entity(&index.name) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("write `+=!` for a sum over `{}`, or put it on the left", index.name),
            };
            self.scope.emit(Diagnostic::error("TC0301", message, index.span).help(help));
            sound = None;
        }
        sound
    }

    /// The value in the type of the target, which the statement now has written.
    pub fn assigned(&mut self, value: Operand, left: usize) -> Option<Expr> {
        let target = &self.statement.target;
        let at = self.scope.target(target)?;
        let tensor = self.scope.tensors[at].clone();
        if let Some(rank) = tensor.rank.filter(|rank| *rank != left) {
            let message = format!("`{}` has rank {rank}, and {} given", target.text, are(left, "index", "indices"));
            let error = Diagnostic::error("TC0108", message, target.span).also(tensor.span, "the rank comes from here");
            self.scope.emit(error.help("write every statement of a tensor with the same number of indices"));
            return None;
        }
        self.annotated_rank(&tensor, left)?;
        self.reduces_numbers(&value)?;
        self.continues(at)?;
        let annotated = tensor.annotation.as_ref().map(|(dtype, ..)| *dtype);
        let dtype = match tensor.dtype.or(annotated) {
            Some(dtype) => dtype,
            None => value.dtype,
        };
        let converted = self.converted(value, dtype, annotated.is_some())?;
        let tensor = &mut self.scope.tensors[at];
        tensor.dtype = Some(dtype);
        tensor.rank = Some(left);
        if tensor.writes == 0 && tensor.origin == Origin::Temporary {
            tensor.span = target.span;
        }
        tensor.writes += 1;
        Some(converted)
    }

    fn annotated_rank(&mut self, tensor: &super::Declared, left: usize) -> Option<()> {
        let Some((_, shape, span)) = &tensor.annotation else { return Some(()) };
        if shape.len() == left {
            return Some(());
        }
        let target = &self.statement.target;
        let message = format!(
            "`{}` is declared with rank {}, and {} given",
            target.text,
            shape.len(),
            are(left, "index", "indices")
        );
        let error = Diagnostic::error("TC0205", message, target.span).also(*span, "declared here");
        self.scope.emit(error.help("make the two agree"));
        None
    }

    fn reduces_numbers(&mut self, value: &Operand) -> Option<()> {
        if self.statement.assign.reduction.is_none() || value.dtype != DType::Bool {
            return Some(());
        }
        self.scope.emit(no_arithmetic_on_bool(&format!("`{}`", self.statement.assign), self.statement.value.span));
        None
    }

    /// `+=` without an earlier statement takes what the caller left in the output.
    fn continues(&mut self, at: usize) -> Option<()> {
        let tensor = &self.scope.tensors[at];
        let assign = self.statement.assign;
        if assign.reduction.is_none() || assign.init || tensor.writes > 0 {
            return Some(());
        }
        let name = &self.statement.target;
        let help = format!("write `{assign}!` to start from nothing");
        if tensor.origin == Origin::Temporary {
            let message =
                format!("`{assign}` goes on from `{}`, which has no contents yet and is not returned", name.text);
            self.scope.emit(Diagnostic::error("TC0303", message, name.span).help(help));
            return None;
        }
        let message = format!("`{assign}` goes on from what the caller's `{}` holds", name.text);
        self.scope.emit(Diagnostic::warning("TC0302", message, name.span).help(help));
        self.scope.tensors[at].continues = true;
        Some(())
    }

    /// `value` in the type of the target.
    fn converted(&mut self, value: Operand, dtype: DType, declared: bool) -> Option<Expr> {
        if let Some(constant) = value.literal.as_ref().and_then(|literal| literal.value_as(dtype)) {
            return Some(Expr::Const(constant, dtype));
        }
        if promote(value.dtype, dtype) == dtype {
            return Some(cast(value.expr, value.dtype, dtype));
        }
        let (name, span) = (&self.statement.target.text, self.statement.value.span);
        let (from, to) = (spelling(value.dtype), spelling(dtype));
        let help = format!("write `{to}(…)` around the value to narrow it");
        if declared {
            let message = format!("a value of type `{from}` does not fit into `{name}`, which is declared `{to}`");
            self.scope.emit(Diagnostic::error("TC0204", message, span).help(help));
            return None;
        }
        let message = format!("a value of type `{from}` is narrowed to `{to}`, the type that `{name}` got first");
        self.scope.emit(Diagnostic::warning("TC0207", message, span).help(help));
        Some(cast(value.expr, value.dtype, dtype))
    }

    pub(super) fn find_index(&self, name: &str) -> Option<usize> {
        self.indices.iter().position(|index| index.name == name)
    }

    /// The expression that `name` stands for, and how many names are visible in it.
    pub(super) fn find_let(&self, name: &str, visible: usize) -> Option<(&'s Name, &'s ast::Expr, usize)> {
        let at = self.lets[..visible].iter().position(|(known, _)| known.text == name)?;
        Some((self.lets[at].0, self.lets[at].1, at))
    }

    /// Counts a node; says so when there are too many or they are too deep.
    pub(super) fn count(&mut self, expr: &ast::Expr, place: Place) -> Option<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            if self.nodes == MAX_NODES + 1 {
                let message = "the statement is too large once the names of `where` stand for their values";
                let error = Diagnostic::error("TC0009", message, self.statement.span);
                self.scope.emit(error.help("write a part of it as a statement of its own"));
            }
            return None;
        }
        if place.depth > MAX_DEPTH {
            let message = format!("the expression nests deeper than {MAX_DEPTH} levels");
            let error = Diagnostic::error("TC0003", message, expr.span);
            self.scope.emit(error.help("write a part of it as a statement of its own"));
            return None;
        }
        Some(())
    }
}

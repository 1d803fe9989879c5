//! One statement: its indices, what its `where` names, and how its value goes into its target.

use polyhedral::{DType, Expr};
use support::Diagnostic;

use super::scope::Scope;
use super::value::{Operand, Place, are, cast, no_arithmetic_on_bool, not_bits, not_logical};
use super::{Guard, IndexName, Origin, Read, Subscript};
use crate::ast::{self, Clause, ExprKind, Name, Reduction, Statement};
use crate::parser::MAX_DEPTH;
use crate::quasi::Quasi;
use crate::types::{is_half, promote, repr, spelling};

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
    /// How many indices are those of the loops around.
    pub(super) outer: usize,
    /// How many reads stand in `pad`.
    pub(super) pads: usize,
    nodes: u32,
}

impl<'s, 'a> Body<'s, 'a> {
    pub fn new(scope: &'s mut Scope<'a>, statement: &'s Statement) -> Body<'s, 'a> {
        let indices: Vec<IndexName> = scope.loops.iter().map(|(index, ..)| index.clone()).collect();
        let outer = indices.len();
        Body {
            scope,
            statement,
            indices,
            outer,
            pads: 0,
            reads: Vec::new(),
            lets: Vec::new(),
            guards: Vec::new(),
            nodes: 0,
        }
    }

    /// Registers the indices of the left-hand side; the element that it names.
    pub fn left_hand_side(&mut self) -> Option<Vec<Subscript>> {
        let statement = self.statement;
        let mut plain: Vec<Name> = Vec::new();
        let subscripts: Vec<Option<Subscript>> = statement
            .subscripts
            .iter()
            .map(|subscript| match &subscript.kind {
                ExprKind::Name(text) => self.left_index(&Name { text: text.clone(), span: subscript.span }, &mut plain),
                _ => self.subscript(subscript, &statement.target.text, Place::subscript(0)),
            })
            .collect();
        subscripts.into_iter().collect()
    }

    /// An index of the left-hand side that stands alone.
    fn left_index(&mut self, index: &Name, plain: &mut Vec<Name>) -> Option<Subscript> {
        if let Some(first) = plain.iter().find(|known| known.text == index.text) {
            let message = format!("the index `{}` stands twice on the left-hand side", index.text);
            let error = Diagnostic::error("TC0104", message, index.span).also(first.span, "first here");
            self.scope.emit(error.help("use two indices, and choose the elements on the right: `i == j ? … : 0`"));
            return None;
        }
        if let Some(at) = self.find_index(&index.text) {
            if at >= self.outer {
                plain.push(index.clone());
            }
            return Some(Subscript::Affine(Quasi::index(at)));
        }
        if !self.scope.is_free(index, "an index") {
            return None;
        }
        plain.push(index.clone());
        self.indices.push(IndexName { name: index.text.clone(), span: index.span });
        Some(Subscript::Affine(Quasi::index(self.indices.len() - 1)))
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
        self.value(expr, Place { subscript: false, ..Place::subscript(self.lets.len()) })
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

    /// The value in the type of the target, which the statement now has written, and the temporaries that it needs: one
    /// for the extreme of `argmin` and `argmax`, one of a wider type for a reduction of a half type.
    pub fn assigned(&mut self, value: Operand, left: usize) -> Option<(Expr, Option<usize>, Option<usize>)> {
        let target = &self.statement.target;
        let rank = self.statement.subscripts.len();
        let at = self.scope.target(target)?;
        let tensor = self.scope.tensors[at].clone();
        if let Some(known) = tensor.rank.filter(|known| *known != rank) {
            let message = format!("`{}` has rank {known}, and {} given", target.text, are(rank, "index", "indices"));
            let error = Diagnostic::error("TC0108", message, target.span).also(tensor.span, "the rank comes from here");
            self.scope.emit(error.help("write every statement of a tensor with the same number of indices"));
            return None;
        }
        self.annotated_rank(&tensor, rank)?;
        self.reduces(&value)?;
        let annotated = tensor.annotation.as_ref().map(|(dtype, ..)| *dtype);
        let finds_index = matches!(self.statement.assign.reduction, Some(Reduction::ArgMin | Reduction::ArgMax));
        let own = if finds_index { DType::I32 } else { value.dtype };
        let dtype = match tensor.dtype.or(annotated) {
            Some(dtype) => dtype,
            None => own,
        };
        let (converted, extreme, wider) = if finds_index {
            self.finds_one_index(dtype, left)?;
            self.continues(at)?;
            let extreme = self.temporary("extreme", repr(value.dtype), rank);
            (value.expr, Some(extreme), None)
        } else {
            self.continues(at)?;
            let reduces = self.statement.assign.reduction.is_some();
            let wider = (reduces && is_half(dtype)).then(|| self.temporary("wide", DType::F32, rank));
            (self.converted(value, dtype, annotated.is_some(), wider.is_some())?, None, wider)
        };
        let tensor = &mut self.scope.tensors[at];
        tensor.dtype = Some(dtype);
        tensor.rank = Some(rank);
        if tensor.writes == 0 && tensor.origin == Origin::Temporary {
            tensor.span = target.span;
        }
        tensor.writes += 1;
        Some((converted, extreme, wider))
    }

    /// A tensor of the definition beside the target, whose name is the target's with a word behind it.
    fn temporary(&mut self, word: &str, dtype: DType, rank: usize) -> usize {
        let target = &self.statement.target;
        self.scope.temporary(&format!("{}_{word}", target.text), target.span, dtype, rank)
    }

    /// `argmin` and `argmax` give the one index of their reduction, from the start.
    fn finds_one_index(&mut self, dtype: DType, left: usize) -> Option<()> {
        let assign = self.statement.assign;
        let span = self.statement.target.span;
        let error = if !assign.init {
            let message = format!("`{assign}` cannot go on from an index alone: the value there is not known");
            Diagnostic::error("TC0304", message, span).help(format!("write `{assign}!`"))
        } else if self.indices.len() != left + 1 {
            let found = are(self.indices.len() - left, "reduction index", "reduction indices");
            let message = format!("`{assign}` finds the value of one index, and {found} given");
            Diagnostic::error("TC0305", message, span).help("join them into one: `i = x / W`, `j = x % W`")
        } else if dtype != DType::I32 && dtype != DType::I64 {
            let message =
                format!("`{assign}` gives an index, and `{}` is `{}`", self.statement.target.text, spelling(dtype));
            Diagnostic::error("TC0306", message, span).help("declare it `int32` or `int64`")
        } else {
            return Some(());
        };
        self.scope.emit(error);
        None
    }

    fn annotated_rank(&mut self, tensor: &super::Declared, rank: usize) -> Option<()> {
        let Some((_, shape, span)) = &tensor.annotation else { return Some(()) };
        if shape.len() == rank {
            return Some(());
        }
        let target = &self.statement.target;
        let message = format!(
            "`{}` is declared with rank {}, and {} given",
            target.text,
            shape.len(),
            are(rank, "index", "indices")
        );
        let error = Diagnostic::error("TC0205", message, target.span).also(*span, "declared here");
        self.scope.emit(error.help("make the two agree"));
        None
    }

    /// The operator of a reduction works on values of this type.
    fn reduces(&mut self, value: &Operand) -> Option<()> {
        let (operator, span) = (format!("`{}`", self.statement.assign), self.statement.value.span);
        let error = match self.statement.assign.reduction {
            None => return Some(()),
            Some(Reduction::All | Reduction::Any) if value.dtype != DType::Bool => {
                not_logical(&self.statement.assign.to_string(), value.dtype, span)
            }
            Some(Reduction::BitAnd | Reduction::BitOr | Reduction::BitXor) if !value.dtype.is_int() => {
                not_bits(&operator, value.dtype, span)
            }
            Some(Reduction::All | Reduction::Any) => return Some(()),
            Some(_) if value.dtype == DType::Bool => no_arithmetic_on_bool(&operator, span),
            Some(_) => return Some(()),
        };
        self.scope.emit(error);
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

    /// `value` in the type of the target, or, where it goes into a wider temporary, in that one's.
    fn converted(&mut self, value: Operand, dtype: DType, declared: bool, wider: bool) -> Option<Expr> {
        let stored = |expr: Expr| if is_half(dtype) && !wider { Expr::Cast(dtype, Box::new(expr)) } else { expr };
        if let Some(constant) = value.literal.as_ref().and_then(|literal| literal.value_as(dtype)) {
            return Some(stored(Expr::Const(constant, repr(dtype))));
        }
        if promote(value.dtype, dtype) == dtype {
            return Some(stored(cast(value.expr, value.dtype, dtype)));
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
        if is_half(dtype) && !wider {
            return Some(Expr::Cast(dtype, Box::new(value.expr)));
        }
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

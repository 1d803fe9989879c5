//! Names, types and reductions: the syntax tree of a definition to a [`Program`] whose ranges are still open.

mod body;
mod bounds;
mod close;
mod scope;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use polyhedral::{DType, Expr};
use support::{Diagnostic, Span};

use self::body::Body;
use self::scope::Scope;
use crate::ast::{Assign, Def, File, Statement};
use crate::quasi::Quasi;

/// A definition with every name resolved and every value typed.
#[derive(Clone, Debug)]
pub struct Program {
    /// The size parameters, in order of appearance.
    pub sizes: Vec<String>,
    /// Inputs, then outputs, then temporaries.
    pub tensors: Vec<Declared>,
    /// The statements, in order.
    pub steps: Vec<Step>,
}

/// A tensor, as far as it is known before ranges are.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Where it is declared, or first written.
    pub span: Span,
    /// Whose it is.
    pub origin: Origin,
    /// The element type; none until the first statement that writes the tensor.
    pub dtype: Option<DType>,
    /// The number of dimensions; none until then, too.
    pub rank: Option<usize>,
    /// The declared shape of an input.
    pub shape: Vec<Quasi>,
    /// The type that a return was declared with, and the sizes that mean something.
    pub annotation: Option<(DType, Vec<Option<Quasi>>, Span)>,
    /// How many statements wrote it.
    pub writes: u32,
    /// Whether the first of them adds to what the caller left there.
    pub continues: bool,
}

/// Whose tensor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller's, to be read.
    Input,
    /// Returned.
    Output,
    /// Of the definition alone.
    Temporary,
}

/// A statement with its names resolved.
#[derive(Clone, Debug)]
pub struct Step {
    /// Position of its syntax tree.
    pub position: usize,
    /// The tensor that it writes.
    pub target: usize,
    /// Which of the statements that write the target it is, from 1.
    pub occurrence: u32,
    /// How.
    pub assign: Assign,
    /// The indices: those of the left-hand side, then the reduction's in order of appearance.
    pub indices: Vec<IndexName>,
    /// How many indices are the left-hand side's.
    pub left: usize,
    /// The elements that the value reads; those of an indirect subscript come before the read that it is in.
    pub reads: Vec<Read>,
    /// Reads that only bound the indices.
    pub exists: Vec<Read>,
    /// The value, of the target's type.
    pub value: Expr,
    /// The ranges that are written, bounds included at both ends, by index.
    pub given: Vec<Option<(Quasi, Quasi, Span)>>,
    /// The whole statement.
    pub span: Span,
}

/// An index and where it first stands.
#[derive(Clone, Debug)]
pub struct IndexName {
    /// Its name.
    pub name: String,
    /// Its first place.
    pub span: Span,
}

/// A read of one element.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The tensor, by position.
    pub tensor: usize,
    /// One for each dimension.
    pub index: Vec<Subscript>,
    /// The conditions of the `?:` in whose arms it stands, outermost first.
    pub guards: Vec<Guard>,
    /// Its place.
    pub span: Span,
}

/// A condition that holds, or does not, wherever a value counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// The condition.
    pub condition: Arc<Expr>,
    /// Whether it holds there.
    pub holds: bool,
    /// What is not negative there because of it.
    pub known: Arc<[Quasi]>,
}

/// One subscript.
#[derive(Clone, Debug, PartialEq)]
pub enum Subscript {
    /// Of indices and sizes.
    Affine(Quasi),
    /// Known only while running.
    Indirect(Expr),
}

/// Resolves the definitions of `file`; `None` for one in which something is wrong.
pub fn resolve(file: &File, diagnostics: &mut Vec<Diagnostic>) -> Vec<Option<Program>> {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for def in &file.defs {
        let first = *seen.entry(&def.name.text).or_insert(def.name.span);
        if first != def.name.span && diagnostics.len() < scope::MAX_DIAGNOSTICS {
            let message = format!("`{}` is defined twice", def.name.text);
            let error = Diagnostic::error("TC0113", message, def.name.span).also(first, "first here");
            diagnostics.push(error.help("give one of the two another name"));
        }
    }
    let names: BTreeSet<String> = file.defs.iter().map(|def| def.name.text.clone()).collect();
    file.defs.iter().map(|def| program(def, &names, diagnostics)).collect()
}

fn program(def: &Def, defs: &BTreeSet<String>, diagnostics: &mut Vec<Diagnostic>) -> Option<Program> {
    let before = errors(diagnostics);
    let mut scope = Scope::new(def, defs, diagnostics);
    let mut steps = Vec::new();
    for (position, statement) in def.statements.iter().enumerate() {
        if scope.has_said_enough(statement.span) {
            return None;
        }
        match step(&mut scope, position, statement) {
            Some(step) => steps.push(step),
            None => scope.poison(statement),
        }
    }
    scope.outputs_are_written(def);
    let Scope { sizes, tensors, .. } = scope;
    let sound = errors(diagnostics) == before && def.broken.is_empty();
    sound.then_some(Program { sizes, tensors, steps })
}

fn errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == support::Severity::Error).count()
}

fn step(scope: &mut Scope<'_>, position: usize, statement: &Statement) -> Option<Step> {
    let mut body = Body::new(scope, statement);
    let left = body.left_indices();
    let lets = body.lets();
    let value = body.value_of(&statement.value);
    let exists = body.exists();
    let given = body.ranges();
    let all = body.indices_are_allowed(left);
    let (left, (), value, exists, given, ()) = (left, lets?, value?, exists?, given?, all?);
    let value = body.assigned(value, left)?;
    let Body { indices, reads, .. } = body;
    let target = scope.tensor(&statement.target.text)?;
    let occurrence = scope.tensors[target].writes;
    let span = statement.span;
    Some(Step {
        position,
        target,
        occurrence,
        assign: statement.assign,
        indices,
        left,
        reads,
        exists,
        value,
        given,
        span,
    })
}

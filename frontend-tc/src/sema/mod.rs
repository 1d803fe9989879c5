//! Names, types and reductions: the syntax tree of a definition to a [`Program`] whose ranges are still open.

mod body;
mod bounds;
pub(crate) mod close;
mod scope;
mod value;

use std::collections::BTreeSet;
use std::sync::Arc;

use polyhedral::{DType, Expr};
use support::{Diagnostic, Span};

use self::body::Body;
pub use self::scope::MAX_DIAGNOSTICS;
use self::scope::Scope;
use crate::ast::{Assign, Bound, Clause, Def, Dim, Expr as Syntax, ExprKind, File, For, Item, Name, Number, Statement};
use crate::quasi::Quasi;

/// A definition with every name resolved and every value typed.
#[derive(Clone, Debug)]
pub struct Program {
    /// The size parameters, in order of appearance.
    pub sizes: Vec<String>,
    /// Inputs, then outputs, then temporaries.
    pub tensors: Vec<Declared>,
    /// The statements, in order, those in loops too.
    pub steps: Vec<Step>,
    /// What calls say of tensors, each with the number of the statement before which it is said.
    pub claims: Vec<(usize, Claim)>,
    /// How many of the sizes are the caller's; the values of the others are claimed.
    pub free_sizes: usize,
}

/// What a definition that is called says of a dimension of an argument.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The tensor of the caller.
    pub tensor: usize,
    /// Which dimension.
    pub dim: usize,
    /// Its extent.
    pub extent: Claimed,
    /// The call.
    pub span: Span,
}

/// What an extent is claimed to be.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// It gives a size its value.
    Defines(usize),
    /// It must be this.
    Equals(Quasi),
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
    /// The size that is the value of this scalar.
    pub size: Option<usize>,
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
    /// The loops around it, outermost first: each has a number of its own.
    pub loops: Vec<usize>,
    /// The tensor that it writes.
    pub target: usize,
    /// The element that it writes.
    pub element: Vec<Subscript>,
    /// For `argmin` and `argmax`, the temporary that holds the extreme itself.
    pub extreme: Option<usize>,
    /// For a sum or product of half types, the temporary of a wider type that it is accumulated in.
    pub wider: Option<usize>,
    /// Which of the statements that write the target it is, from 1.
    pub occurrence: u32,
    /// How.
    pub assign: Assign,
    /// The indices: those of the loops around, the others of the left-hand side, then the reduction's in order of
    /// appearance.
    pub indices: Vec<IndexName>,
    /// How many indices are the loops' or the left-hand side's.
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
    /// For a read in `pad`, its number: [`Expr::Term`] of that number stands for the condition that it is inside.
    pub pad: Option<usize>,
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
    /// Brought back into the tensor, once that is known.
    Border(Border, Box<Subscript>),
    /// Counted round: `first + (value - first) mod extent`.
    Wrapped(Box<Wrapped>),
}

/// How a subscript that leaves its tensor comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// `clamp`: to the nearest element.
    Clamp,
    /// `wrap`: at the other side.
    Wrap,
    /// `mirror`: as far inside as it was outside, the element at the border not twice.
    Mirror,
}

impl Border {
    /// The border function with that name.
    pub fn parse(name: &str) -> Option<Border> {
        match name {
            "clamp" => Some(Border::Clamp),
            "wrap" => Some(Border::Wrap),
            "mirror" => Some(Border::Mirror),
            _ => None,
        }
    }
}

/// A subscript that is counted round in a tensor whose extent is not a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrapped {
    /// The subscript.
    pub value: Quasi,
    /// The first element.
    pub first: Quasi,
    /// How many there are.
    pub extent: Quasi,
    /// How far outside of the tensor the subscript may be.
    pub reach: Reach,
}

/// How far a subscript that is counted round may be outside of its tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Not further than the tensor is long, on the sides that are true.
    Period {
        /// Before the first element.
        before: bool,
        /// Behind the last.
        behind: bool,
    },
    /// Any number of times.
    Any,
}

/// Resolves the definitions of `file`; `None` for one in which something is wrong.
pub fn resolve(file: &File, diagnostics: &mut Vec<Diagnostic>) -> Vec<Option<Program>> {
    let names: BTreeSet<String> = file.defs.iter().map(|def| def.name.text.clone()).collect();
    file.defs.iter().map(|def| program(def, &names, diagnostics)).collect()
}

fn program(def: &Def, defs: &BTreeSet<String>, diagnostics: &mut Vec<Diagnostic>) -> Option<Program> {
    let before = errors(diagnostics);
    let mut scope = Scope::new(def, defs, diagnostics);
    let free_sizes = scope.sizes.len();
    let mut resolver =
        Resolver { scope: &mut scope, steps: Vec::new(), claims: Vec::new(), loops: Vec::new(), next_loop: 0 };
    resolver.items(&def.body)?;
    let Resolver { steps, claims, .. } = resolver;
    scope.outputs_are_written(def);
    let Scope { sizes, tensors, .. } = scope;
    let sound = errors(diagnostics) == before && def.broken.is_empty();
    sound.then_some(Program { sizes, tensors, steps, claims, free_sizes })
}

fn errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == support::Severity::Error).count()
}

/// Goes through the items of a definition.
struct Resolver<'s, 'a> {
    scope: &'s mut Scope<'a>,
    steps: Vec<Step>,
    claims: Vec<(usize, Claim)>,
    loops: Vec<usize>,
    next_loop: usize,
}

impl Resolver<'_, '_> {
    /// `None` when so much was said that the rest is not checked.
    fn items(&mut self, items: &[Item]) -> Option<()> {
        for item in items {
            match item {
                Item::Statement(statement) => self.statement(statement)?,
                Item::For(nest) => self.for_loop(nest)?,
                Item::Bound(bound) => self.bound(bound),
                // Calls were replaced by the statements of what they call.
                Item::Call(_) => (),
            }
        }
        Some(())
    }

    fn statement(&mut self, statement: &Statement) -> Option<()> {
        if self.scope.has_said_enough(statement.span) {
            return None;
        }
        match step(self.scope, &self.loops, statement) {
            Some(step) => self.steps.push(step),
            None => self.scope.poison(statement),
        }
        Some(())
    }

    fn for_loop(&mut self, nest: &For) -> Option<()> {
        let outer = self.scope.loops.len();
        let number = self.next_loop;
        self.next_loop += 1;
        let known = self.scope.is_free_index(&nest.index).then(|| loop_range(self.scope, nest)).flatten();
        match known {
            Some((first, last)) => {
                let index = IndexName { name: nest.index.text.clone(), span: nest.index.span };
                self.scope.loops.push((index, first, last, nest.lower.span.to(nest.upper.span)));
                self.loops.push(number);
                let all = self.items(&nest.body);
                self.loops.pop();
                self.scope.loops.truncate(outer);
                all
            }
            None => {
                let inside = Def { body: nest.body.clone(), ..empty_def(&nest.index) };
                inside.statements().into_iter().for_each(|statement| self.scope.poison(statement));
                Some(())
            }
        }
    }

    /// What a call says of one of its tensors.
    fn bound(&mut self, bound: &Bound) {
        let Some(tensor) = self.scope.tensor(&bound.tensor.text) else {
            if !self.scope.is_poisoned(&bound.tensor.text) {
                let message = format!("no tensor is called `{}`", bound.tensor.text);
                let error = Diagnostic::error("TC0101", message, bound.tensor.span);
                self.scope.emit(error.help("an argument is an input, or written by an earlier statement"));
                self.scope.poison_name(&bound.tensor.text);
            }
            return;
        };
        if !self.scope.fits(tensor, bound) {
            return;
        }
        for (dim, size) in bound.ty.dims.iter().enumerate() {
            let extent = match size {
                Dim::Size(name) if self.scope.entity(&name.text).is_none() => {
                    Claimed::Defines(self.scope.declare_size(name))
                }
                // A size that only the return names binds nothing.
                _ => match self.scope.extent_of(size) {
                    Some(extent) => Claimed::Equals(extent),
                    None => continue,
                },
            };
            self.claims.push((self.steps.len(), Claim { tensor, dim, extent, span: bound.tensor.span }));
        }
    }
}

fn empty_def(name: &Name) -> Def {
    let (inputs, outputs, body) = (Vec::new(), Vec::new(), Vec::new());
    Def { name: name.clone(), inputs, outputs, body, broken: BTreeSet::new(), span: name.span }
}

/// The first and the last value of the index of a loop: checked as a `where` is.
fn loop_range(scope: &mut Scope<'_>, nest: &For) -> Option<(Quasi, Quasi)> {
    let clause = Clause::Range { index: nest.index.clone(), lower: nest.lower.clone(), upper: nest.upper.clone() };
    let nothing = Syntax::new(ExprKind::Number(Number { text: "0".into(), whole: Some(0) }), nest.span);
    let statement = Statement {
        target: nest.index.clone(),
        subscripts: Vec::new(),
        assign: Assign { reduction: None, init: false },
        value: nothing,
        equivalent: None,
        clauses: vec![clause],
        span: nest.span,
    };
    let mut body = Body::new(scope, &statement);
    body.indices.push(IndexName { name: nest.index.text.clone(), span: nest.index.span });
    let (first, last, _) = body.ranges()?.pop()??;
    Some((first, last))
}

fn step(scope: &mut Scope<'_>, loops: &[usize], statement: &Statement) -> Option<Step> {
    let mut body = Body::new(scope, statement);
    let element = body.left_hand_side();
    let left = body.indices.len();
    let lets = body.lets();
    let value = body.value_of(&statement.value);
    let exists = body.exists();
    let given = body.ranges();
    let all = body.indices_are_allowed(left);
    let (element, (), value, exists, given, ()) = (element?, lets?, value?, exists?, given?, all?);
    let (value, extreme, wider) = body.assigned(value, left)?;
    let Body { indices, reads, .. } = body;
    let target = scope.tensor(&statement.target.text)?;
    let occurrence = scope.tensors[target].writes;
    let span = statement.span;
    Some(Step {
        loops: loops.to_vec(),
        target,
        element,
        extreme,
        wider,
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

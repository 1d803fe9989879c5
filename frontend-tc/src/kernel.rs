//! A checked definition: what the language's front end promises the rest of the compiler.

use std::fmt;

use polyhedral::{DType, Expr, Index, Role};
use support::{Diagnostic, Malformed, Span, Stage};

use crate::ast::{Assign, Clause, Def, Expr as Syntax, Item, Name};
use crate::expand::rewritten;
use crate::quasi::{Names, Quasi};
use crate::ranges::{Condition, Ranges};
use crate::sema::{Declared, IndexName, Origin, Program, Read, Subscript};

/// A definition in which every name, type and range is known. Displays as TC text with every range explicit.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What the definition is called.
    pub name: String,
    /// The size parameters, in order of appearance: [`Index::Param`] counts them.
    pub sizes: Vec<String>,
    /// Inputs and outputs in the order of the call, then temporaries.
    pub tensors: Vec<Tensor>,
    /// The statements, in order.
    pub statements: Vec<Statement>,
    /// What must hold of the sizes of a call beyond what the types say.
    pub preconditions: Vec<Precondition>,
    /// The whole definition in the source.
    pub span: Span,
    /// Preconditions unless all elements of a tensor are written: by tensor.
    pub(crate) gaps: Vec<(usize, Precondition)>,
    def: Def,
}

/// A tensor of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// The type of an element.
    pub dtype: DType,
    /// The smallest subscript of each dimension, over the sizes; 0 for inputs. The tensor is stored densely from here.
    pub lower: Vec<Index>,
    /// The extent of each dimension, over the sizes. For an input: a size or a constant.
    pub extent: Vec<Index>,
    /// Input, output (whose old contents may count) or temporary.
    pub role: Role,
    /// The size parameter that is the value of this scalar: one that bounds a range.
    pub size: Option<usize>,
    /// Where it is declared, or first written.
    pub span: Span,
}

/// A statement of a kernel.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The tensor that it writes.
    pub target: usize,
    /// Which of the statements that write the target it is, from 1.
    pub occurrence: u32,
    /// How.
    pub assign: Assign,
    /// The loops around it, outermost first: each of the definition has a number of its own.
    pub loops: Vec<usize>,
    /// Names of the indices: those of the loops around, the others of the left-hand side, then the reduction's in order
    /// of appearance.
    pub indices: Vec<String>,
    /// How many indices are the loops' or the left-hand side's.
    pub left: usize,
    /// The range of each index: the smallest value and the extent, over the sizes. They may depend on other indices
    /// ([`Index::Dim`]), and then the extent of an empty range is 0 or less.
    pub ranges: Vec<(Index, Index)>,
    /// The value, of the target's type.
    pub value: Expr,
    /// The whole statement in the source.
    pub span: Span,
    pub(crate) reads: Vec<Read>,
    pub(crate) element: Vec<Subscript>,
    pub(crate) extreme: Option<usize>,
    pub(crate) wider: Option<usize>,
}

/// A condition on the sizes: one of `any` is at least 0, unless one of `extents` is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Precondition {
    /// Over the sizes: one of these must not be negative.
    pub any: Vec<Index>,
    /// The extents of the statement's indices: when one is 0, the statement does not run.
    pub extents: Vec<Index>,
    /// The condition as people write it: `KH <= H + 1`, with `or` between alternatives.
    pub text: String,
    /// What it is for.
    pub reason: String,
    /// What it is about, in the source.
    pub span: Span,
}

impl Kernel {
    /// The inputs, in the order of the call.
    pub fn inputs(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| tensor.role == Role::Input)
    }

    /// The outputs, in the order of the call; [`Role::InOut`] where the caller's contents count.
    pub fn outputs(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| matches!(tensor.role, Role::Output | Role::InOut))
    }

    /// What is written and not returned.
    pub fn temporaries(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| tensor.role == Role::Temporary)
    }

    /// The syntax tree, with every range in `where`.
    pub fn def(&self) -> &Def {
        &self.def
    }

    /// What `sizes`, one value for each size parameter, break: an error for each precondition that does not hold.
    pub fn check_sizes(&self, sizes: &[i64]) -> Vec<Diagnostic> {
        self.preconditions.iter().filter_map(|condition| condition.check(self, sizes)).collect()
    }

    pub(crate) fn new(def: &Def, program: Program, ranges: Ranges) -> Option<Kernel> {
        let Program { mut sizes, tensors, steps, free_sizes, .. } = program;
        let explicit = explicit(def, &steps, &ranges, &sizes)?;
        sizes.truncate(free_sizes);
        let tensors = tensors
            .iter()
            .zip(&ranges.boxes)
            .map(|(tensor, elements)| described(tensor, elements))
            .collect::<Option<Vec<_>>>()?;
        let preconditions =
            ranges.conditions.iter().map(|condition| condition.described(&sizes)).collect::<Option<Vec<_>>>()?;
        let gaps = ranges.gaps.iter().map(|(tensor, condition)| Some((*tensor, condition.described(&sizes)?)));
        let gaps = gaps.collect::<Option<Vec<_>>>()?;
        let statements = steps.into_iter().zip(ranges.steps).map(|(step, solved)| {
            let bounds = solved.ranges.iter().map(|range| Some((range.first.to_index(), range.extent()?.to_index())));
            Some(Statement {
                target: step.target,
                occurrence: step.occurrence,
                assign: step.assign,
                loops: step.loops,
                indices: step.indices.into_iter().map(|index| index.name).collect(),
                left: step.left,
                ranges: bounds.collect::<Option<_>>()?,
                value: solved.value,
                span: step.span,
                reads: solved.reads,
                element: solved.element,
                extreme: step.extreme,
                wider: step.wider,
            })
        });
        let statements = statements.collect::<Option<Vec<_>>>()?;
        let (name, span) = (def.name.text.clone(), def.span);
        Some(Kernel { name, sizes, tensors, statements, preconditions, span, gaps, def: explicit })
    }
}

fn described(tensor: &Declared, elements: &[crate::ranges::Range]) -> Option<Tensor> {
    let role = match tensor.origin {
        Origin::Input => Role::Input,
        Origin::Output if tensor.continues => Role::InOut,
        Origin::Output => Role::Output,
        Origin::Temporary => Role::Temporary,
    };
    Some(Tensor {
        name: tensor.name.clone(),
        dtype: tensor.dtype?,
        lower: elements.iter().map(|range| range.first.to_index()).collect(),
        extent: elements.iter().map(|range| Some(range.extent()?.to_index())).collect::<Option<_>>()?,
        role,
        size: tensor.size,
        span: tensor.span,
    })
}

/// `def` with the range of every index in `where`, and with the values of the sizes that calls bound.
fn explicit(def: &Def, steps: &[crate::sema::Step], ranges: &Ranges, sizes: &[String]) -> Option<Def> {
    let mut def = def.clone();
    let mut next = 0;
    let mut complete = Some(());
    each_item(&mut def.body, &mut |item| match item {
        Item::Statement(statement) => {
            let (Some(step), Some(solved)) = (steps.get(next), ranges.steps.get(next)) else {
                complete = None;
                return;
            };
            next += 1;
            let value = |expr: &Syntax| with_values(expr, ranges, sizes);
            statement.value = value(&statement.value);
            statement.subscripts.iter_mut().for_each(|subscript| *subscript = value(subscript));
            statement.clauses.retain(|clause| !matches!(clause, Clause::Range { .. }));
            for clause in &mut statement.clauses {
                match clause {
                    Clause::Let { value: stands_for, .. } => *stands_for = value(stands_for),
                    Clause::Exists(expr) => *expr = value(expr),
                    Clause::Range { .. } => (),
                }
            }
            let indices: Vec<String> = step.indices.iter().map(|index| index.name.clone()).collect();
            let names = Names { sizes, indices: &indices };
            let own = step.indices.iter().zip(&solved.ranges).skip(step.loops.len());
            let given = own.map(|(IndexName { name, span }, range)| {
                let index = Name { text: name.clone(), span: *span };
                let upper = range.last.plus_constant(1)?;
                Some(Clause::Range { index, lower: range.first.to_expr(names), upper: upper.to_expr(names) })
            });
            match given.collect::<Option<Vec<_>>>() {
                Some(given) => drop(statement.clauses.splice(0..0, given)),
                None => complete = None,
            }
        }
        Item::For(nest) => {
            nest.lower = with_values(&nest.lower, ranges, sizes);
            nest.upper = with_values(&nest.upper, ranges, sizes);
        }
        Item::Call(_) | Item::Bound(_) => (),
    });
    complete.map(|()| def)
}

/// Calls `see` with every item, a loop before what is in it.
fn each_item(items: &mut [Item], see: &mut dyn FnMut(&mut Item)) {
    for item in items {
        see(item);
        if let Item::For(nest) = item {
            each_item(&mut nest.body, see);
        }
    }
}

/// `expr` with the values of the sizes that calls bound.
fn with_values(expr: &Syntax, ranges: &Ranges, sizes: &[String]) -> Syntax {
    if ranges.sizes.is_empty() {
        return expr.clone();
    }
    rewritten(expr, &mut |name, _| {
        let at = sizes.iter().position(|size| size == name)?;
        Some(ranges.sizes.get(&at)?.to_expr(Names::of_sizes(sizes)))
    })
}

impl Condition {
    fn described(&self, sizes: &[String]) -> Option<Precondition> {
        let texts = self.any.iter().map(|value| value.condition(sizes)).collect::<Option<Vec<_>>>()?;
        Some(Precondition {
            any: self.any.iter().map(Quasi::to_index).collect(),
            extents: self.extents.iter().map(Quasi::to_index).collect(),
            text: texts.join(" or "),
            reason: self.reason.clone(),
            span: self.span,
        })
    }
}

impl Precondition {
    /// Whether the condition holds for `sizes`, in numbers of 128 bits; sizes of which even those overflow do not satisfy it.
    pub fn holds(&self, sizes: &[i64]) -> bool {
        let never_runs = self.extents.iter().any(|extent| wide(extent, sizes) == Some(0));
        never_runs || self.any.iter().any(|value| wide(value, sizes).is_some_and(|value| value >= 0))
    }

    /// Whether the other one asks for nothing besides.
    pub(crate) fn is_as_strong_as(&self, other: &Precondition) -> bool {
        self.any == other.any && (self.extents.is_empty() || self.extents == other.extents)
    }

    fn check(&self, kernel: &Kernel, sizes: &[i64]) -> Option<Diagnostic> {
        if self.holds(sizes) {
            return None;
        }
        let mut used = Vec::new();
        for value in &self.any {
            value.visit(&mut |e| {
                if let Index::Param(at) = e
                    && !used.contains(at)
                {
                    used.push(*at);
                }
            });
        }
        used.sort_unstable();
        let values: Vec<String> =
            used.iter().filter_map(|at| Some(format!("{} = {}", kernel.sizes.get(*at)?, sizes.get(*at)?))).collect();
        let message = format!("these sizes break the condition {}: {}", self.text, values.join(", "));
        let error = Diagnostic::error("TC0501", message, self.span).saying(self.reason.clone());
        Some(error.help("call with sizes that satisfy the condition, or restrict the range in `where`"))
    }
}

/// The value of an expression over the sizes.
fn wide(index: &Index, sizes: &[i64]) -> Option<i128> {
    let go = |e: &Index| wide(e, sizes);
    match index {
        Index::Const(value) => Some((*value).into()),
        Index::Dim(_) => None,
        Index::Param(at) => sizes.get(*at).map(|&size| size.into()),
        Index::Add(a, b) => go(a)?.checked_add(go(b)?),
        Index::Mul(factor, e) => i128::from(*factor).checked_mul(go(e)?),
        Index::FloorDiv(e, divisor) => go(e)?.checked_div_euclid((*divisor).into()),
        Index::Mod(e, divisor) => go(e)?.checked_rem_euclid((*divisor).into()),
        Index::Min(a, b) => Some(go(a)?.min(go(b)?)),
        Index::Max(a, b) => Some(go(a)?.max(go(b)?)),
        Index::Select(test, then, otherwise) => go(if go(test)? >= 0 { then } else { otherwise }),
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        support::with_deep_stack(|| self.def.fmt(f))
    }
}

impl Stage for Kernel {
    const NAME: &'static str = "tc";

    /// The text checks again to itself.
    fn verify(&self) -> Result<(), Malformed> {
        let text = self.to_string();
        let again = crate::check(&text);
        let same = matches!(&again.defs[..], [kernel] if kernel.to_string() == text);
        if same {
            Ok(())
        } else {
            Err(Malformed::new("tc", &self.name, format!("does not check again to itself: {:?}", again.diagnostics)))
        }
    }
}

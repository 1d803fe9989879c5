//! Range inference: the largest rectangular ranges without a read outside a tensor, statement by statement.
//!
//! Every affine subscript gives two inequalities. In rounds, each index without a range takes those in which no other
//! such index occurs, and is bounded by all of them exactly; the indices of one round are settled together, and then
//! replaced in the other inequalities by the ends of their ranges, which over a box is exact. An inequality that has no
//! index left and cannot be proved for all sizes is a precondition of the call.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{BinOp, CmpOp, DType, Expr, Index, UnOp, Value};
use support::{Diagnostic, Span};

use crate::quasi::{Atom, Names, Quasi};
use crate::sema::{Border, Claim, Claimed, Declared, Guard, Origin, Program, Read, Step, Subscript, Wrapped};

/// Nodes of the conditions that go into the subscripts of one statement.
const MAX_GUARD_NODES: usize = 20_000;

/// The ranges of a program.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// By statement.
    pub steps: Vec<Solved>,
    /// By tensor and dimension: the elements that it has.
    pub boxes: Vec<Vec<Range>>,
    /// What must hold of the sizes.
    pub conditions: Vec<Condition>,
    /// The values of the sizes that calls bind, by position.
    pub sizes: BTreeMap<usize, Quasi>,
}

/// What is known of a statement.
#[derive(Clone, Debug)]
pub struct Solved {
    /// By index.
    pub ranges: Vec<Range>,
    /// The reads, with what a `?:` or a border keeps inside of the tensor.
    pub reads: Vec<Read>,
    /// The element that is written.
    pub element: Vec<Subscript>,
    /// The value.
    pub value: Expr,
}

/// Consecutive integers, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: Quasi,
    /// The last; one less than the first when there is none.
    pub last: Quasi,
}

/// `value >= 0`, unless one of `extents` is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What must not be negative.
    pub value: Quasi,
    /// The statement runs only if none of these is 0.
    pub extents: Vec<Quasi>,
    /// Why.
    pub reason: String,
    /// What it is about.
    pub span: Span,
}

impl Range {
    /// Whether the ends depend on other indices.
    fn is_dependent(&self) -> bool {
        self.first.has_index() || self.last.has_index()
    }

    /// How many there are.
    pub fn extent(&self) -> Option<Quasi> {
        self.last.minus(&self.first)?.plus_constant(1)
    }

    /// `0..extent`
    fn of_extent(extent: &Quasi) -> Option<Range> {
        Some(Range { first: Quasi::constant(0), last: extent.plus_constant(-1)? })
    }
}

/// The ranges of `program`; `None` when something was reported.
pub fn infer(program: &Program, diagnostics: &mut Vec<Diagnostic>) -> Option<Ranges> {
    let boxes = program.tensors.iter().map(known_box).collect();
    let (conditions, required, sizes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut inference = Inference { program, boxes, conditions, required, sizes, diagnostics, sound: true };
    inference.inputs_have_sizes();
    let mut steps = Vec::new();
    for (number, step) in program.steps.iter().enumerate() {
        program.claims.iter().filter(|(before, _)| *before == number).for_each(|(_, claim)| inference.claim(claim));
        if !step.loops.is_empty()
            && number.checked_sub(1).is_none_or(|at| program.steps[at].loops.first() != step.loops.first())
        {
            inference.enter_loop(number);
        }
        let ranges = inference.with_claimed_sizes(step).and_then(|step| inference.step(&step));
        if ranges.is_none() {
            inference.sound = false;
            // The tensor's box is not known, and statements that read it are passed over.
            inference.boxes[step.target] = None;
        }
        steps.push(ranges);
    }
    let rest = program.claims.iter().filter(|(before, _)| *before >= program.steps.len());
    rest.for_each(|(_, claim)| inference.claim(claim));
    inference.annotated_sizes();
    let Inference { boxes, conditions, sizes, sound, .. } = inference;
    if !sound {
        return None;
    }
    Some(Ranges {
        steps: steps.into_iter().collect::<Option<_>>()?,
        boxes: boxes.into_iter().collect::<Option<_>>()?,
        conditions,
        sizes,
    })
}

/// The error for arithmetic that overflows, or expressions past the limit.
pub fn too_large(span: Span) -> Diagnostic {
    Diagnostic::error("TC0410", "the numbers or the expressions here are too large to reason about", span)
        .help("use smaller numbers, or give the ranges in `where`")
}

/// The box of an input. A tensor that is only written where data says has the one of its declared type.
fn known_box(tensor: &Declared) -> Option<Vec<Range>> {
    match tensor.origin {
        Origin::Input => tensor.shape.iter().map(Range::of_extent).collect(),
        Origin::Output | Origin::Temporary => None,
    }
}

/// The box that the declared type of a return gives, where it gives all sizes.
fn annotated_box(tensor: &Declared) -> Option<Vec<Range>> {
    let (_, shape, _) = tensor.annotation.as_ref()?;
    shape.iter().map(|size| Range::of_extent(size.as_ref()?)).collect()
}

struct Inference<'a> {
    program: &'a Program,
    boxes: Vec<Option<Vec<Range>>>,
    conditions: Vec<Condition>,
    /// The extents with which each value is a condition already.
    required: BTreeMap<Quasi, Vec<Vec<Quasi>>>,
    /// The values of the sizes that calls bind.
    sizes: BTreeMap<usize, Quasi>,
    diagnostics: &'a mut Vec<Diagnostic>,
    sound: bool,
}

/// `value >= 0`, because of a subscript.
#[derive(Clone, Debug)]
struct Inequality {
    value: Quasi,
    span: Span,
    tensor: usize,
    dim: usize,
    /// Whether it is of the first element, or else of the last.
    first: bool,
    /// Which read of the value it is of.
    read: Option<usize>,
}

impl Inference<'_> {
    /// The ranges of the indices of `step`.
    fn step(&mut self, step: &Step) -> Option<Solved> {
        let inequalities = match self.inequalities(step) {
            Some(Some(inequalities)) => inequalities,
            // A tensor without a box was reported where it was written.
            Some(None) => return None,
            None => return self.too_large(step.span),
        };
        let mut ranges: Vec<Option<Range>> =
            step.given.iter().map(|given| given.clone().map(|(first, last, _)| Range { first, last })).collect();
        let Some(rest) = solve(inequalities, &mut ranges) else { return self.too_large(step.span) };
        let ranges = match ranges.iter().cloned().collect::<Option<Vec<Range>>>() {
            Some(ranges) => ranges,
            None => {
                self.unsolved(step, &ranges, &rest);
                return None;
            }
        };
        let extents = self.extents(step, &ranges)?;
        let (mut sound, mut masked) = (true, BTreeSet::new());
        for inequality in rest {
            match inequality.read.filter(|read| !step.reads[*read].guards.is_empty()) {
                Some(read) if !inequality.value.is_never_negative() => {
                    masked.insert((read, inequality.dim));
                }
                _ => sound &= self.require_inside(inequality, &extents),
            }
        }
        if !sound {
            return None;
        }
        let known = Known { ranges: &ranges, extents: &extents };
        let mut reads = step.reads.clone();
        let mut pads = BTreeMap::new();
        for read in &mut reads {
            let condition = self.bordered(read, known)?;
            if let Some(number) = read.pad {
                pads.insert(number, condition);
            }
        }
        self.masked(&mut reads, &masked, known)?;
        let value = padded(&step.value, &pads);
        let mut element = step.element.clone();
        // The initial value is written where the reduction has nothing to do, too.
        let left = ranges[..step.left].iter().filter(|range| !range.is_dependent()).count();
        let writes_first = step.assign.init || step.wider.is_some();
        let extents = if writes_first { &extents[..left] } else { &extents };
        self.write(step, &mut element, Known { extents, ..known })?;
        Some(Solved { ranges, reads, element, value })
    }

    /// Brings the subscripts of a read that has borders into its tensor; for one in `pad`, the condition that it is
    /// inside without that.
    fn bordered(&mut self, read: &mut Read, known: Known<'_>) -> Option<Expr> {
        let mut condition = Expr::Const(Value::Int(1), DType::Bool);
        if read.pad.is_none() && !read.index.iter().any(|subscript| matches!(subscript, Subscript::Border(..))) {
            return Some(condition);
        }
        let elements = self.boxes[read.tensor].clone()?;
        for (subscript, range) in read.index.iter_mut().zip(&elements) {
            let (border, inner) = match (&*subscript, read.pad) {
                (Subscript::Border(border, inner), _) => (*border, (**inner).clone()),
                (_, Some(_)) => (Border::Clamp, subscript.clone()),
                (_, None) => continue,
            };
            let inner = self.nested(inner, range, read.span, known)?;
            if read.pad.is_some() && !matches!(subscript, Subscript::Border(..)) {
                condition = and(condition, self.is_inside(&inner, range, known)?);
            }
            self.has_elements(read.tensor, range, read.span, known)?;
            *subscript = self.brought_back(border, &inner, range, read.span, known)?;
        }
        Some(condition)
    }

    /// The subscript inside of a border function, itself brought back where it has one too.
    fn nested(&mut self, inner: Subscript, range: &Range, span: Span, known: Known<'_>) -> Option<Subscript> {
        match inner {
            Subscript::Border(border, inner) => {
                let inner = self.nested(*inner, range, span, known)?;
                self.brought_back(border, &inner, range, span, known)
            }
            other => Some(other),
        }
    }

    /// The condition that a subscript is inside; true where that is proved.
    fn is_inside(&mut self, subscript: &Subscript, range: &Range, known: Known<'_>) -> Option<Expr> {
        let yes = Expr::Const(Value::Int(1), DType::Bool);
        let sides = [(CmpOp::Ge, &range.first), (CmpOp::Le, &range.last)];
        let mut all = yes;
        for (op, end) in sides {
            if let Subscript::Affine(value) = subscript {
                let inside = if op == CmpOp::Ge { value.minus(end) } else { end.minus(value) };
                if settled(&inside?, known.ranges)?.is_never_negative() {
                    continue;
                }
            }
            let end = Expr::Index(end.to_index());
            all = and(all, Expr::Compare(op, Box::new(expr_of(subscript)), Box::new(end)));
        }
        Some(all)
    }

    /// Asks for an element to come back to.
    fn has_elements(&mut self, tensor: usize, range: &Range, span: Span, known: Known<'_>) -> Option<()> {
        let Some(filled) = range.extent().and_then(|extent| extent.plus_constant(-1)) else {
            return self.too_large(span);
        };
        if !filled.is_never_negative() {
            let reason = format!("`{}` has an element to read", self.program.tensors[tensor].name);
            self.require(Condition { value: filled, extents: known.extents.to_vec(), reason, span });
        }
        Some(())
    }

    fn brought_back(
        &mut self,
        border: Border,
        subscript: &Subscript,
        range: &Range,
        span: Span,
        known: Known<'_>,
    ) -> Option<Subscript> {
        let Subscript::Affine(value) = subscript else {
            return Some(Subscript::Indirect(border_of_data(border, expr_of(subscript), range)));
        };
        let brought = match border {
            Border::Clamp => clamped(value, range, known).map(Subscript::Affine),
            Border::Wrap => wrapped(value, range, known),
            Border::Mirror => self.mirrored(value, range, span, known).map(Subscript::Affine),
        };
        match brought {
            Some(subscript) => Some(subscript),
            None => self.too_large(span),
        }
    }

    /// `|x|`, and from the other end `2·last - |x|`, with `x` counted from the first element; in a tensor whose extent is
    /// not a number it may be one period outside, which is asked for.
    fn mirrored(&mut self, value: &Quasi, range: &Range, span: Span, known: Known<'_>) -> Option<Quasi> {
        let (x, last) = (value.minus(&range.first)?, range.last.minus(&range.first)?);
        let period = last.times(2)?;
        let inside = |x: &Quasi| Some((x.clone(), last.minus(x)?));
        let (below, above) = inside(&x)?;
        let proved = |side: &Quasi| Some(settled(side, known.ranges)?.is_never_negative());
        if proved(&below)? && proved(&above)? {
            return Some(value.clone());
        }
        let magnitude = match period.as_constant() {
            Some(..=0) => return Some(range.first.clone()),
            Some(period) => x.modulo(period)?,
            None => {
                for (side, what) in [(x.plus(&last)?, "before"), (period.minus(&x)?, "behind")] {
                    let value = settled(&side, known.ranges)?;
                    let reason = format!("`mirror` reaches no further {what} the tensor than the tensor is long");
                    if !value.is_never_negative() {
                        self.require(Condition { value, extents: known.extents.to_vec(), reason, span });
                    }
                }
                Quasi::max(&[x.clone(), x.times(-1)?])?
            }
        };
        Quasi::min(&[magnitude.clone(), period.minus(&magnitude)?])?.plus(&range.first)
    }

    /// The reads of a step. A subscript that is inside of its tensor only where a `?:` chooses the read becomes one that
    /// always is: clamped, where the condition proves that this changes nothing, and else chosen by the condition while
    /// running, so that it is checked where the value counts and nowhere else.
    fn masked(&mut self, reads: &mut [Read], masked: &BTreeSet<(usize, usize)>, known: Known<'_>) -> Option<()> {
        let mut nodes = 0;
        for (at, read) in reads.iter_mut().enumerate().filter(|(_, read)| !read.guards.is_empty()) {
            let elements = self.boxes[read.tensor].clone()?;
            for (dim, (subscript, range)) in read.index.iter_mut().zip(&elements).enumerate() {
                if !masked.contains(&(at, dim)) && !matches!(subscript, Subscript::Indirect(_)) {
                    continue;
                }
                self.has_elements(read.tensor, range, read.span, known)?;
                let Some(kept) = inside(subscript, &read.guards, range, known.ranges, &mut nodes) else {
                    return self.too_large(read.span);
                };
                *subscript = kept;
            }
        }
        Some(())
    }

    /// The sizes in the types of inputs are sizes.
    fn inputs_have_sizes(&mut self) {
        for tensor in self.program.tensors.iter().filter(|tensor| tensor.origin == Origin::Input) {
            for (dim, value) in tensor.shape.iter().enumerate().filter(|(_, value)| !value.is_never_negative()) {
                let reason = format!("size {} of `{}` is a size", dim + 1, tensor.name);
                self.require(Condition { value: value.clone(), extents: Vec::new(), reason, span: tensor.span });
            }
        }
    }

    /// What a call says of an extent: it gives a size its value, or must be what another one is.
    fn claim(&mut self, claim: &Claim) {
        let Some(range) = self.boxes[claim.tensor].as_ref().and_then(|elements| elements.get(claim.dim)).cloned()
        else {
            // The tensor was reported.
            self.sound = false;
            return;
        };
        let name = &self.program.tensors[claim.tensor].name;
        if range.first.as_constant() != Some(0) {
            let first = range.first.to_expr(Names::of_sizes(&self.program.sizes));
            let message = format!("`{name}` begins at {first}, and the definition that is called counts from 0");
            let error = Diagnostic::error("TC0413", message, claim.span);
            self.diagnostics.push(error.help("write a tensor that begins at 0, and give that one"));
            self.sound = false;
            return;
        }
        match &claim.extent {
            Claimed::Defines(size) => match range.extent() {
                Some(extent) => drop(self.sizes.insert(*size, extent)),
                None => self.sound = self.too_large(claim.span).unwrap_or(false),
            },
            Claimed::Equals(extent) => match self.with_values(extent) {
                Some(extent) => self.same_size(claim.tensor, claim.dim, &extent, &range, claim.span),
                None => self.sound = self.too_large(claim.span).unwrap_or(false),
            },
        }
    }

    /// `value` with the sizes that calls bound.
    fn with_values(&self, value: &Quasi) -> Option<Quasi> {
        value.with_sizes(&|at| self.sizes.get(&at).cloned())
    }

    /// `step` with the sizes that calls bound.
    fn with_claimed_sizes(&mut self, step: &Step) -> Option<Step> {
        let mut step = step.clone();
        if self.sizes.is_empty() {
            return Some(step);
        }
        match self.claimed_in(&mut step) {
            Some(()) => Some(step),
            None => self.too_large(step.span),
        }
    }

    fn claimed_in(&self, step: &mut Step) -> Option<()> {
        let expr = |e: &Expr| with_index(e, &|index| self.index_with_values(index));
        step.value = expr(&step.value);
        for (first, last, _) in step.given.iter_mut().flatten() {
            (*first, *last) = (self.with_values(first)?, self.with_values(last)?);
        }
        let reads = step.reads.iter_mut().chain(&mut step.exists);
        for read in reads {
            for guard in &mut read.guards {
                guard.condition = std::sync::Arc::new(expr(&guard.condition));
                guard.known = guard.known.iter().map(|known| self.with_values(known)).collect::<Option<_>>()?;
            }
            for subscript in &mut read.index {
                *subscript = self.subscript_with_values(subscript)?;
            }
        }
        for subscript in &mut step.element {
            *subscript = self.subscript_with_values(subscript)?;
        }
        Some(())
    }

    fn subscript_with_values(&self, subscript: &Subscript) -> Option<Subscript> {
        Some(match subscript {
            Subscript::Affine(value) => Subscript::Affine(self.with_values(value)?),
            Subscript::Indirect(e) => Subscript::Indirect(with_index(e, &|index| self.index_with_values(index))),
            Subscript::Border(border, inner) => {
                Subscript::Border(*border, Box::new(self.subscript_with_values(inner)?))
            }
            Subscript::Wrapped(_) => subscript.clone(),
        })
    }

    fn index_with_values(&self, index: &Index) -> Index {
        let size = |at: usize| self.sizes.get(&at).map_or(Index::Param(at), Quasi::to_index);
        index.substitute(&Index::Dim, &size)
    }

    /// A tensor that exists before a loop has, from the first iteration on, room for all that the loop writes, as far as
    /// that is known from the loops alone.
    fn enter_loop(&mut self, first: usize) {
        let outermost = self.program.steps[first].loops.first().copied();
        let inside = self.program.steps[first..].iter().take_while(|step| step.loops.first().copied() == outermost);
        for step in inside {
            let Some(mut elements) = self.boxes[step.target].clone() else { continue };
            let Some(step) = self.with_claimed_sizes(step) else { continue };
            let loops: Vec<Option<Range>> = step.given[..step.loops.len()]
                .iter()
                .map(|given| given.clone().map(|(first, last, _)| Range { first, last }))
                .collect();
            let known = |at: usize| loops.get(at).and_then(Option::as_ref);
            for (subscript, range) in step.element.iter().zip(&mut elements) {
                let Subscript::Affine(value) = subscript else { continue };
                let ends =
                    value.times(-1).and_then(|back| Some((least(value, &known)?, least(&back, &known)?.times(-1)?)));
                let Some((low, high)) = ends.filter(|(low, high)| !low.has_index() && !high.has_index()) else {
                    continue;
                };
                let hull = Quasi::min(&[range.first.clone(), low])
                    .and_then(|first| Some(Range { first, last: Quasi::max(&[range.last.clone(), high])? }));
                if let Some(hull) = hull {
                    *range = hull;
                }
            }
            self.boxes[step.target] = Some(elements);
        }
    }

    fn too_large<T>(&mut self, span: Span) -> Option<T> {
        self.diagnostics.push(too_large(span));
        None
    }

    /// What the reads of a statement say about its indices; `Some(None)` when a tensor has no box.
    fn inequalities(&mut self, step: &Step) -> Option<Option<Vec<Inequality>>> {
        let mut all = Vec::new();
        let own = own_element(step);
        let written = self.element_inside(step);
        for (position, read) in step.reads.iter().chain(&step.exists).chain(&own).chain(&written).enumerate() {
            let number = (position < step.reads.len()).then_some(position);
            let Some(elements) = &self.boxes[read.tensor] else { return Some(None) };
            if read.pad.is_some() {
                continue;
            }
            for (dim, (subscript, range)) in read.index.iter().zip(elements).enumerate() {
                let Subscript::Affine(subscript) = subscript else { continue };
                let (span, tensor) = (read.span, read.tensor);
                let inequality = |value, first| Inequality { value, span, tensor, dim, first, read: number };
                all.push(inequality(subscript.minus(&range.first)?, true));
                all.push(inequality(range.last.minus(subscript)?, false));
            }
        }
        Some(Some(all))
    }

    /// The extents of the indices: an index that never runs is an error, one that might not is a condition.
    fn extents(&mut self, step: &Step, ranges: &[Range]) -> Option<Vec<Quasi>> {
        let mut extents = Vec::new();
        for (at, (index, range)) in step.indices.iter().zip(ranges).enumerate() {
            let most = range.extent().and_then(|extent| settled(&extent.times(-1)?, ranges)?.times(-1));
            let (Some(extent), Some(lacking)) = (&most, most.as_ref().and_then(|most| most.times(-1))) else {
                return self.too_large(step.span);
            };
            if lacking.is_never_negative() {
                let span = step.given[at].as_ref().map_or(index.span, |(_, _, span)| *span);
                let indices: Vec<String> = step.indices.iter().map(|index| index.name.clone()).collect();
                let names = Names { sizes: &self.program.sizes, indices: &indices };
                let (first, last) = (range.first.to_expr(names), range.last.to_expr(names));
                let message = format!("the range of `{}` is empty: from {first} to {last}", index.name);
                let error = Diagnostic::error("TC0403", message, span);
                self.diagnostics.push(error.help("a range `a:b` runs from a to b - 1; make b larger than a"));
                return None;
            }
            if range.is_dependent() {
                continue;
            }
            if !extent.is_never_negative() {
                let shown = extent.to_expr(Names::of_sizes(&self.program.sizes));
                let reason = format!("the range of `{}` has {shown} elements", index.name);
                self.require(Condition { value: extent.clone(), extents: Vec::new(), reason, span: index.span });
            }
            extents.push(extent.clone());
        }
        Some(extents)
    }

    /// Asks the call for `condition`, part by part where it is a minimum.
    fn require(&mut self, condition: Condition) {
        if let Some(parts) = condition.value.conjunction() {
            for value in parts.into_iter().filter(|value| !value.is_never_negative()) {
                self.require(Condition { value, ..condition.clone() });
            }
            return;
        }
        let known = self.required.entry(condition.value.clone()).or_default();
        if !known.iter().any(|extents| extents.is_empty() || *extents == condition.extents) {
            known.push(condition.extents.clone());
            self.conditions.push(condition);
        }
    }

    /// A subscript must be inside: proved, asked of the call, or refused when it never is.
    fn require_inside(&mut self, inequality: Inequality, extents: &[Quasi]) -> bool {
        let Inequality { value, span, tensor, dim, first, .. } = inequality;
        if value.is_never_negative() {
            return true;
        }
        let name = &self.program.tensors[tensor].name;
        let never =
            value.times(-1).and_then(|value| value.plus_constant(-1)).is_some_and(|value| value.is_never_negative());
        let side = if first { "before the first" } else { "past the last" };
        if never {
            let message = format!("subscript {} of `{name}` runs {side} element for all sizes", dim + 1);
            let error =
                Diagnostic::error("TC0407", message, span).also(self.program.tensors[tensor].span, "declared here");
            self.diagnostics.push(error.help("restrict the range in `where`, or change the subscript"));
            return false;
        }
        let reason = format!("else subscript {} of `{name}` runs {side} element", dim + 1);
        self.require(Condition { value, extents: extents.to_vec(), reason, span });
        true
    }

    /// Says which indices have no range, and why.
    fn unsolved(&mut self, step: &Step, ranges: &[Option<Range>], rest: &[Inequality]) {
        let open: BTreeSet<usize> = (0..ranges.len()).filter(|at| ranges[*at].is_none()).collect();
        let mut told = BTreeSet::new();
        for &at in &open {
            if told.contains(&at) {
                continue;
            }
            let name = &step.indices[at].name;
            let group = entangled(at, &open, rest);
            let error = if group.len() > 1 {
                let names: Vec<&str> = group.iter().map(|at| step.indices[*at].name.as_str()).collect();
                let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
                let message = format!("{listed} bound each other, and more than one largest range is possible");
                let choices = names.iter().map(|name| format!("`where {name} in …`")).collect::<Vec<_>>().join(" or ");
                let error = Diagnostic::error("TC0402", message, step.indices[at].span);
                let error = group
                    .iter()
                    .skip(1)
                    .fold(error, |error, other| error.also(step.indices[*other].span, "with this one"));
                let largest: Vec<String> =
                    group.iter().take(2).filter_map(|&first| self.largest(step, first, &group, ranges, rest)).collect();
                error.help(match &largest[..] {
                    [a, b] if a != b => format!("choose one: {a}; {b}"),
                    _ => format!("choose one: add {choices}"),
                })
            } else if at < step.left {
                let message = format!("nothing on the right-hand side says how far `{name}` runs");
                Diagnostic::error("TC0404", message, step.indices[at].span).help(format!("add `where {name} in 0:…`"))
            } else {
                let message = format!("`{name}` is a new reduction index, and no subscript says how far it runs");
                Diagnostic::error("TC0401", message, step.indices[at].span)
                    .help(format!("add `where {name} in 0:…`, or correct the name if it was not meant as an index"))
            };
            told.extend(group);
            self.diagnostics.push(error);
        }
    }

    /// A target whose box does not follow from the subscripts has it already, or from its declared type: what is written
    /// is inside.
    fn element_inside(&mut self, step: &Step) -> Option<Read> {
        if step.element.iter().all(|subscript| matches!(subscript, Subscript::Affine(_))) {
            return None;
        }
        if self.boxes[step.target].is_none() {
            self.boxes[step.target] = annotated_box(&self.program.tensors[step.target]);
        }
        // What has no box yet is reported where it is written.
        self.boxes[step.target].as_ref()?;
        let (guards, pad) = (Vec::new(), None);
        Some(Read { tensor: step.target, index: step.element.clone(), guards, pad, span: step.span })
    }

    /// One of the largest ranges of indices that bound each other: index `first` runs as far as it can, while the others
    /// still have a value. As the `where` that chooses it, and what that leaves for the next one.
    fn largest(
        &self,
        step: &Step,
        first: usize,
        group: &[usize],
        ranges: &[Option<Range>],
        rest: &[Inequality],
    ) -> Option<String> {
        let point = Range { first: Quasi::constant(0), last: Quasi::constant(0) };
        let mut tried = ranges.to_vec();
        for &other in group.iter().filter(|other| **other != first) {
            tried[other] = Some(point.clone());
        }
        solve(rest.to_vec(), &mut tried)?;
        let mut chosen = ranges.to_vec();
        chosen[first] = tried[first].clone();
        chosen[first].as_ref()?;
        solve(rest.to_vec(), &mut chosen)?;
        let next = *group.iter().find(|other| **other != first)?;
        let shown = |at: usize| {
            let Range { first, last } = chosen[at].as_ref()?;
            let names = Names::of_sizes(&self.program.sizes);
            let range = format!("{}:{}", first.to_expr(names), last.plus_constant(1)?.to_expr(names));
            Some((step.indices[at].name.clone(), range))
        };
        let ((own, own_range), (other, other_range)) = (shown(first)?, shown(next)?);
        Some(format!("`where {own} in {own_range}`, which leaves `{other}` in {other_range}"))
    }

    /// Makes the target's box hold what `step` writes.
    fn write(&mut self, step: &Step, element: &mut [Subscript], known: Known<'_>) -> Option<()> {
        if element.iter().any(|subscript| !matches!(subscript, Subscript::Affine(_))) {
            return self.scattered(step, element, known);
        }
        let mut written = Vec::new();
        for subscript in element.iter() {
            let Subscript::Affine(value) = subscript else { continue };
            let ends = value
                .times(-1)
                .and_then(|back| Some((settled(value, known.ranges)?, settled(&back, known.ranges)?.times(-1)?)));
            let Some((first, last)) = ends else { return self.too_large(step.span) };
            written.push(Range { first, last });
        }
        let temporaries = [step.extreme, step.wider];
        let Some(old) = self.boxes[step.target].clone() else {
            if step.occurrence == 1 {
                temporaries.into_iter().flatten().for_each(|at| self.boxes[at] = Some(written.clone()));
                self.boxes[step.target] = Some(written);
                return Some(());
            }
            // An earlier statement of the tensor was reported.
            return None;
        };
        let Some(joined) = join(&old, &written) else { return self.too_large(step.span) };
        let (elements, conditions) = joined;
        let name = self.program.tensors[step.target].name.clone();
        for value in conditions {
            let reason = format!("this statement writes inside of what `{name}` has, or next to it");
            self.require(Condition { value, extents: known.extents.to_vec(), reason, span: step.span });
        }
        temporaries.into_iter().flatten().for_each(|at| self.boxes[at] = Some(elements.clone()));
        self.boxes[step.target] = Some(elements);
        Some(())
    }

    /// A statement that writes where data says: the tensor must have its elements.
    fn scattered(&mut self, step: &Step, element: &mut [Subscript], known: Known<'_>) -> Option<()> {
        let Some(elements) = self.boxes[step.target].clone() else {
            let name = &self.program.tensors[step.target].name;
            let message = format!("how large `{name}` is does not follow from subscripts that are data");
            let error = Diagnostic::error("TC0414", message, step.span);
            let help = format!(
                "declare it, `-> (float(M) {name})`, or write all of it before: `{name}(j) = 0 where j in 0:M`"
            );
            self.diagnostics.push(error.help(help));
            return None;
        };
        let mut read =
            Read { tensor: step.target, index: element.to_vec(), guards: Vec::new(), pad: None, span: step.span };
        self.bordered(&mut read, known)?;
        element.clone_from_slice(&read.index);
        [step.extreme, step.wider].into_iter().flatten().for_each(|at| self.boxes[at] = Some(elements.clone()));
        Some(())
    }

    /// A return that was declared with sizes has them.
    fn annotated_sizes(&mut self) {
        for at in 0..self.boxes.len() {
            let tensor = &self.program.tensors[at];
            let (Some((_, shape, span)), Some(elements)) = (&tensor.annotation, self.boxes[at].clone()) else {
                continue;
            };
            for (dim, (declared, range)) in shape.clone().iter().zip(&elements).enumerate() {
                let Some(declared) = declared else { continue };
                self.same_size(at, dim, declared, range, *span);
            }
        }
    }

    fn same_size(&mut self, tensor: usize, dim: usize, declared: &Quasi, range: &Range, span: Span) {
        let names = Names::of_sizes(&self.program.sizes);
        let gap = range.extent().and_then(|extent| extent.minus(declared));
        let (Some(gap), Some(extent)) = (gap, range.extent()) else {
            self.sound = false;
            return self.too_large(span).unwrap_or(());
        };
        let Some(back) = gap.times(-1) else { return };
        let (name, extent) = (&self.program.tensors[tensor].name, extent.to_expr(names));
        let reason = format!("size {} of `{name}` is {extent} and is declared {}", dim + 1, declared.to_expr(names));
        let differs = |value: &Quasi| value.plus_constant(-1).is_some_and(|value| value.is_never_negative());
        if differs(&gap) || differs(&back) {
            let error = Diagnostic::error("TC0412", reason, span);
            self.diagnostics.push(error.help("correct the declared size, or leave the type away"));
            self.sound = false;
            return;
        }
        for value in [gap, back] {
            if !value.is_never_negative() {
                self.require(Condition { value, extents: Vec::new(), reason: reason.clone(), span });
            }
        }
    }
}

/// What is known of the indices of a statement.
#[derive(Clone, Copy)]
struct Known<'a> {
    ranges: &'a [Range],
    extents: &'a [Quasi],
}

/// `value` with the conditions of `pad` put in.
fn padded(value: &Expr, pads: &BTreeMap<usize, Expr>) -> Expr {
    if pads.is_empty() {
        return value.clone();
    }
    value.map(&mut |e| match e {
        Expr::Term(number) => pads.get(&number).cloned().unwrap_or(Expr::Term(number)),
        Expr::Select(condition, inside, outside) => match *condition {
            Expr::Const(Value::Int(1), DType::Bool) => *inside,
            condition => Expr::Select(Box::new(condition), inside, outside),
        },
        other => other,
    })
}

fn and(a: Expr, b: Expr) -> Expr {
    let yes = |e: &Expr| *e == Expr::Const(Value::Int(1), DType::Bool);
    match (yes(&a), yes(&b)) {
        (true, _) => b,
        (_, true) => a,
        _ => Expr::Binary(BinOp::And, Box::new(a), Box::new(b)),
    }
}

/// `expr` with its indices changed.
fn with_index(expr: &Expr, change: &dyn Fn(&Index) -> Index) -> Expr {
    expr.map(&mut |e| match e {
        Expr::Index(index) => Expr::Index(change(&index)),
        other => other,
    })
}

/// A subscript as a value.
fn expr_of(subscript: &Subscript) -> Expr {
    match subscript {
        Subscript::Affine(value) => Expr::Index(value.to_index()),
        Subscript::Indirect(expr) => expr.clone(),
        Subscript::Border(_, inner) => expr_of(inner),
        Subscript::Wrapped(wrapped) => wrapped.to_expr(),
    }
}

/// The nearest element of `range`; ends that the subscript is known not to pass are left out.
fn clamped(value: &Quasi, range: &Range, known: Known<'_>) -> Option<Quasi> {
    let proved = |side: Quasi| Some(settled(&side, known.ranges)?.is_never_negative());
    let mut kept = value.clone();
    if !proved(range.last.minus(value)?)? {
        kept = Quasi::min(&[kept, range.last.clone()])?;
    }
    if !proved(value.minus(&range.first)?)? {
        kept = Quasi::max(&[kept, range.first.clone()])?;
    }
    Some(kept)
}

/// Counted round: by a remainder where the extent is a number.
fn wrapped(value: &Quasi, range: &Range, known: Known<'_>) -> Option<Subscript> {
    let proved = |side: Quasi| Some(settled(&side, known.ranges)?.is_never_negative());
    if proved(range.last.minus(value)?)? && proved(value.minus(&range.first)?)? {
        return Some(Subscript::Affine(value.clone()));
    }
    let extent = range.extent()?;
    match extent.as_constant() {
        Some(extent @ 1..) => {
            let round = value.minus(&range.first)?.modulo(extent)?;
            Some(Subscript::Affine(round.plus(&range.first)?))
        }
        _ => {
            let wrapped = Wrapped { value: value.clone(), first: range.first.clone(), extent };
            Some(Subscript::Wrapped(Box::new(wrapped)))
        }
    }
}

/// A border of a subscript that is known only while running.
fn border_of_data(border: Border, value: Expr, range: &Range) -> Expr {
    let index = |e: &Quasi| Expr::Index(e.to_index());
    let binary = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
    let (first, last) = (index(&range.first), index(&range.last));
    let from_first = binary(BinOp::Sub, value.clone(), first.clone());
    let length = binary(BinOp::Sub, last.clone(), first.clone());
    let one = Expr::Const(Value::Int(1), DType::I64);
    match border {
        Border::Clamp => binary(BinOp::Max, binary(BinOp::Min, value, last), first),
        Border::Wrap => {
            let extent = binary(BinOp::Add, length, one);
            binary(BinOp::Add, binary(BinOp::Mod, from_first, extent), first)
        }
        Border::Mirror => {
            let period = binary(BinOp::Add, length.clone(), length);
            // A remainder by 0 is 0: one element mirrors to itself.
            let round = binary(BinOp::Mod, from_first, period.clone());
            let back = binary(BinOp::Sub, period, round.clone());
            binary(BinOp::Add, binary(BinOp::Min, round, back), first)
        }
    }
}

impl Wrapped {
    /// As a value.
    pub fn to_expr(&self) -> Expr {
        let index = |e: &Quasi| Expr::Index(e.to_index());
        let binary = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
        let from_first = binary(BinOp::Sub, index(&self.value), index(&self.first));
        binary(BinOp::Add, binary(BinOp::Mod, from_first, index(&self.extent)), index(&self.first))
    }
}

/// `subscript` as one that is inside of `range` whether the guards hold or not; `None` when it gets too large.
fn inside(
    subscript: &Subscript,
    guards: &[Guard],
    range: &Range,
    ranges: &[Range],
    nodes: &mut usize,
) -> Option<Subscript> {
    let (chosen, affine) = match subscript {
        Subscript::Affine(affine) => (Expr::Index(affine.to_index()), Some(affine)),
        other => (expr_of(other), None),
    };
    if let Some(affine) = affine {
        let sides = [affine.minus(&range.first)?, range.last.minus(affine)?];
        if sides.iter().all(|side| follows(side, guards, ranges).unwrap_or(false)) {
            let below = Quasi::min(&[affine.clone(), range.last.clone()])?;
            return Some(Subscript::Affine(Quasi::max(&[below, range.first.clone()])?));
        }
    }
    for guard in guards {
        guard.condition.visit(&mut |_| *nodes += 1);
    }
    let met = guards.iter().map(|guard| match guard.holds {
        true => (*guard.condition).clone(),
        false => Expr::Unary(UnOp::Not, Box::new((*guard.condition).clone())),
    });
    let met = met.reduce(|a, b| Expr::Binary(BinOp::And, Box::new(a), Box::new(b)))?;
    let first = Expr::Index(range.first.to_index());
    let choice = Expr::Select(Box::new(met), Box::new(chosen), Box::new(first));
    (*nodes <= MAX_GUARD_NODES).then_some(Subscript::Indirect(choice))
}

/// Whether `value >= 0` wherever the guards hold: alone, or because it is at least something that the guards say is.
fn follows(value: &Quasi, guards: &[Guard], ranges: &[Range]) -> Option<bool> {
    if settled(value, ranges)?.is_never_negative() {
        return Some(true);
    }
    for fact in guards.iter().flat_map(|guard| guard.known.iter()) {
        if settled(&value.minus(fact)?, ranges)?.is_never_negative() {
            return Some(true);
        }
    }
    Some(false)
}

/// The least value while all indices run through `ranges`.
fn settled(value: &Quasi, ranges: &[Range]) -> Option<Quasi> {
    least(value, &|at| ranges.get(at))
}

/// The least value while the indices that `range` knows run through theirs. Indices go in the order in which no range
/// that is left mentions them, so that one whose range depends on others leaves the others behind.
fn least<'a>(value: &Quasi, range: &dyn Fn(usize) -> Option<&'a Range>) -> Option<Quasi> {
    /// More ranges are never inside of each other.
    const DEEPEST: usize = 64;
    let mut value = value.clone();
    for _ in 0..DEEPEST {
        let mut known = BTreeSet::new();
        value.indices(&mut |at| {
            if range(at).is_some() {
                known.insert(at);
            }
        });
        if known.is_empty() {
            break;
        }
        let mut mentioned = BTreeSet::new();
        let mut open: Vec<usize> = known.iter().copied().collect();
        while let Some(at) = open.pop() {
            let Some(Range { first, last }) = range(at) else { continue };
            for end in [first, last] {
                end.indices(&mut |inner| {
                    if mentioned.insert(inner) {
                        open.push(inner);
                    }
                });
            }
        }
        let ends = |at: usize| {
            let Range { first, last } = range(at).filter(|_| !mentioned.contains(&at))?;
            Some((first.clone(), last.clone()))
        };
        value = value.least(&ends)?;
    }
    Some(value)
}

/// A reduction without `!` on a tensor that has contents reads the element that it writes.
fn own_element(step: &Step) -> Option<Read> {
    let reads = step.assign.reduction.is_some() && !step.assign.init && step.occurrence > 1;
    let affine = step.element.iter().all(|subscript| matches!(subscript, Subscript::Affine(_)));
    let (index, guards, pad) = (step.element.clone(), Vec::new(), None);
    (reads && affine).then_some(Read { tensor: step.target, index, guards, pad, span: step.span })
}

/// Gives ranges to as many indices as it can. What is left are the inequalities that no index was solved from, with the
/// indices of known range replaced by the ends of their ranges; `None` when the numbers get too large.
fn solve(mut inequalities: Vec<Inequality>, ranges: &mut [Option<Range>]) -> Option<Vec<Inequality>> {
    loop {
        for inequality in &mut inequalities {
            inequality.value = least(&inequality.value, &|at| ranges[at].as_ref())?;
        }
        let mut found = Vec::new();
        let mut used = BTreeSet::new();
        for at in (0..ranges.len()).filter(|at| ranges[*at].is_none()) {
            if let Some((range, from)) = bounded(at, &inequalities)? {
                found.push((at, range));
                used.extend(from);
            }
        }
        if found.is_empty() {
            return Some(inequalities);
        }
        for (at, range) in found {
            ranges[at] = Some(range);
        }
        let mut position = 0;
        inequalities.retain(|_| {
            position += 1;
            !used.contains(&(position - 1))
        });
    }
}

/// The range of index `at` from the inequalities in which no other index occurs, and which these are.
#[allow(clippy::type_complexity, reason = "the outer option is failure, the inner one is the answer")]
fn bounded(at: usize, inequalities: &[Inequality]) -> Option<Option<(Range, Vec<usize>)>> {
    let (mut firsts, mut lasts, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for (position, inequality) in inequalities.iter().enumerate() {
        let mut alone = true;
        let mut occurs = false;
        inequality.value.indices(&mut |index| {
            occurs |= index == at;
            alone &= index == at;
        });
        if occurs && alone {
            let (before, after) = (firsts.len(), lasts.len());
            if solve_for(&inequality.value, &mut firsts, &mut lasts)? {
                used.push(position);
            } else {
                firsts.truncate(before);
                lasts.truncate(after);
            }
        }
    }
    if firsts.is_empty() || lasts.is_empty() {
        return Some(None);
    }
    Some(Some((Range { first: Quasi::max(&firsts)?, last: Quasi::min(&lasts)? }, used)))
}

/// Turns `value >= 0`, in which one index occurs, into bounds of that index. `Some(false)` when there is no such
/// form.
fn solve_for(value: &Quasi, firsts: &mut Vec<Quasi>, lasts: &mut Vec<Quasi>) -> Option<bool> {
    let mut holders = value.terms().filter(|(atom, _)| atom.has_index());
    let (Some((atom, coefficient)), None) = (holders.next(), holders.next()) else { return Some(false) };
    let rest = value.without(atom);
    match atom {
        Atom::Index(_) if coefficient > 0 => firsts.push(rest.floor_div(coefficient)?.times(-1)?),
        Atom::Index(_) => lasts.push(rest.floor_div(coefficient.checked_neg()?)?),
        Atom::Floor(inner, divisor) => {
            let inequality = if coefficient > 0 {
                // floor(e/d) >= -r  is  e + d·r >= 0
                inner.plus_times(&rest.floor_div(coefficient)?, *divisor)?
            } else {
                // floor(e/d) <= r  is  d·r + d - 1 - e >= 0
                let most = rest.floor_div(coefficient.checked_neg()?)?;
                most.times(*divisor)?.plus_constant(divisor - 1)?.minus(inner)?
            };
            return solve_for(&inequality, firsts, lasts);
        }
        Atom::Min(options) if coefficient > 0 => {
            for option in options {
                let inequality = rest.plus_times(option, coefficient)?;
                if inequality.has_index() && !solve_for(&inequality, firsts, lasts)? {
                    return Some(false);
                }
                if !inequality.has_index() && !inequality.is_never_negative() {
                    return Some(false);
                }
            }
        }
        Atom::Min(_) | Atom::Mod(..) | Atom::Size(_) => return Some(false),
    }
    Some(true)
}

/// The open indices that share an inequality with `at`, directly or not, `at` first.
fn entangled(at: usize, open: &BTreeSet<usize>, rest: &[Inequality]) -> Vec<usize> {
    let mut group = vec![at];
    let mut next = 0;
    while let Some(&current) = group.get(next) {
        next += 1;
        for inequality in rest {
            let mut here = BTreeSet::new();
            inequality.value.indices(&mut |index| {
                here.insert(index);
            });
            if here.contains(&current) {
                let more: Vec<usize> =
                    here.into_iter().filter(|index| open.contains(index) && !group.contains(index)).collect();
                group.extend(more);
            }
        }
    }
    group
}

/// The box of a tensor that had `old` and gets `new` written, and what must hold for it to be one.
fn join(old: &[Range], new: &[Range]) -> Option<(Vec<Range>, Vec<Quasi>)> {
    let inside = |a: &[Range], b: &[Range]| -> Option<Vec<Quasi>> {
        let gaps = a.iter().zip(b).map(|(a, b)| Some([a.first.minus(&b.first)?, b.last.minus(&a.last)?]));
        Some(gaps.collect::<Option<Vec<_>>>()?.concat())
    };
    let proved = |conditions: &[Quasi]| conditions.iter().all(Quasi::is_never_negative);
    let (new_in_old, old_in_new) = (inside(new, old)?, inside(old, new)?);
    if proved(&new_in_old) {
        return Some((old.to_vec(), Vec::new()));
    }
    if proved(&old_in_new) {
        return Some((new.to_vec(), Vec::new()));
    }
    let different: Vec<usize> = (0..old.len()).filter(|dim| old[*dim] != new[*dim]).collect();
    if let [dim] = different[..] {
        let (a, b) = (&old[dim], &new[dim]);
        let touching = [b.last.minus(&a.first)?.plus_constant(1)?, a.last.minus(&b.first)?.plus_constant(1)?];
        let apart = |gap: &Quasi| {
            gap.times(-1).and_then(|gap| gap.plus_constant(-1)).is_some_and(|gap| gap.is_never_negative())
        };
        if !touching.iter().any(apart) {
            let mut hull = old.to_vec();
            hull[dim] = Range {
                first: Quasi::min(&[a.first.clone(), b.first.clone()])?,
                last: Quasi::max(&[a.last.clone(), b.last.clone()])?,
            };
            return Some((hull, touching.into_iter().filter(|gap| !gap.is_never_negative()).collect()));
        }
    }
    Some((old.to_vec(), new_in_old.into_iter().filter(|gap| !gap.is_never_negative()).collect()))
}

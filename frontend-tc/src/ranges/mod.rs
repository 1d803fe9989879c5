//! Range inference: the largest rectangular ranges without a read outside a tensor, statement by statement.
//!
//! Every affine subscript gives two inequalities. In rounds, each index without a range takes those in which no other
//! such index occurs, and is bounded by all of them exactly; the indices of one round are settled together, and then
//! replaced in the other inequalities by the ends of their ranges, which over a box is exact. An inequality that has no
//! index left and cannot be proved for all sizes is a precondition of the call.
//!
//! [`solve`] has the inequalities, [`exact`] the conditions that the ends of ranges do not give, [`borders`] the subscripts that a border or a condition keeps inside, [`claims`] the sizes
//! that calls bind.

mod borders;
mod claims;
mod exact;
mod solve;

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::Expr;
use support::{Diagnostic, Span};

use self::borders::padded;
use self::exact::{is_exact, never_negative};
use self::solve::{entangled, join, least, settled, solve};
use crate::quasi::{Names, Quasi};
use crate::sema::{Declared, Origin, Program, Read, Step, Subscript};

/// The ranges of a program.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// By statement.
    pub steps: Vec<Solved>,
    /// By tensor and dimension: the elements that it has.
    pub boxes: Vec<Vec<Range>>,
    /// What must hold of the sizes.
    pub conditions: Vec<Condition>,
    /// What must hold of them besides, unless all elements of a tensor are written: by tensor.
    pub gaps: Vec<(usize, Condition)>,
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

/// One of `any` is at least 0, unless one of `extents` is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// One of these must not be negative.
    pub any: Vec<Quasi>,
    /// The statement runs only if none of these is 0.
    pub extents: Vec<Quasi>,
    /// Why.
    pub reason: String,
    /// What it is about.
    pub span: Span,
}

impl Condition {
    /// One without alternatives yet.
    fn new(extents: &[Quasi], reason: String, span: Span) -> Condition {
        Condition { any: Vec::new(), extents: extents.to_vec(), reason, span }
    }
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

/// Conditions of one definition that are found by projection.
const MAX_PROJECTIONS: u32 = 32;

/// The ranges of `program`; `None` when something was reported.
pub fn infer(program: &Program, diagnostics: &mut Vec<Diagnostic>) -> Option<Ranges> {
    let boxes = program.tensors.iter().map(known_box).collect();
    let (conditions, gaps, required, sizes) = (Vec::new(), Vec::new(), BTreeMap::new(), BTreeMap::new());
    let projections = MAX_PROJECTIONS;
    let mut inference =
        Inference { program, boxes, conditions, gaps, required, projections, sizes, diagnostics, sound: true };
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
    for at in 0..inference.boxes.len() {
        inference.boxes[at] = inference.boxes[at].take().map(|elements| inference.tidied(elements));
    }
    inference.written_have_sizes();
    inference.annotated_sizes();
    let Inference { boxes, conditions, gaps, sizes, sound, .. } = inference;
    if !sound {
        return None;
    }
    Some(Ranges {
        steps: steps.into_iter().collect::<Option<_>>()?,
        boxes: boxes.into_iter().collect::<Option<_>>()?,
        conditions,
        gaps,
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
    gaps: Vec<(usize, Condition)>,
    /// The extents with which each list of alternatives is a condition already.
    required: BTreeMap<Vec<Quasi>, Vec<Vec<Quasi>>>,
    /// How many conditions may still be found by projection: no text makes the compiler work for long.
    projections: u32,
    /// The values of the sizes that calls bind.
    sizes: BTreeMap<usize, Quasi>,
    diagnostics: &'a mut Vec<Diagnostic>,
    sound: bool,
}

/// `value >= 0`, because of a subscript.
#[derive(Clone, Debug)]
struct Inequality {
    /// With the ends of the ranges that are known in place of the indices.
    value: Quasi,
    /// As it was written.
    written: Quasi,
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
                _ => sound &= self.require_inside(inequality, Known { ranges: &ranges, extents: &extents }),
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

    /// The sizes in the types of inputs are sizes.
    fn inputs_have_sizes(&mut self) {
        for tensor in self.program.tensors.iter().filter(|tensor| tensor.origin == Origin::Input) {
            for (dim, value) in tensor.shape.iter().enumerate().filter(|(_, value)| !value.is_never_negative()) {
                let reason = format!("size {} of `{}` is a size", dim + 1, tensor.name);
                self.require(value, Condition::new(&[], reason, tensor.span));
            }
        }
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
            self.boxes[step.target] = Some(self.tidied(elements));
        }
    }

    /// The box with simpler ends, where conditions say which of several counts. A condition that is asked only where some extents
    /// are not 0 counts where those are extents of other dimensions of the box: it has no elements else.
    fn tidied(&self, mut elements: Vec<Range>) -> Vec<Range> {
        for dim in 0..elements.len() {
            let others = elements.iter().enumerate().filter(|(at, _)| *at != dim);
            let others: Vec<Quasi> = others.filter_map(|(_, range)| range.extent()).collect();
            let holds = |condition: &&Condition| condition.extents.iter().all(|extent| others.contains(extent));
            let facts = self.conditions.iter().filter(holds).filter_map(|condition| match &condition.any[..] {
                [fact] => Some(fact.clone()),
                _ => None,
            });
            let facts: Vec<Quasi> = facts.collect();
            let Range { first, last } = &elements[dim];
            if let (Some(first), Some(last)) = (first.assuming(&facts), last.assuming(&facts)) {
                elements[dim] = Range { first, last };
            }
        }
        elements
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
                let inequality = |value: Quasi, first| {
                    let written = value.clone();
                    Inequality { value, written, span, tensor, dim, first, read: number }
                };
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
                self.require(extent, Condition::new(&[], reason, index.span));
            }
            extents.push(extent.clone());
        }
        Some(extents)
    }

    /// Asks the call for `value >= 0`, part by part where it is a minimum. `condition` has no alternatives yet.
    fn require(&mut self, value: &Quasi, condition: Condition) {
        for value in value.conjunctions() {
            self.require_one_of(Condition { any: vec![value], ..condition.clone() });
        }
    }

    fn require_one_of(&mut self, condition: Condition) {
        let known = self.required.entry(condition.any.clone()).or_default();
        if !known.iter().any(|extents| extents.is_empty() || *extents == condition.extents) {
            known.push(condition.extents.clone());
            self.conditions.push(condition);
        }
    }

    /// Asks that `value` is not negative at any instance. `Some(false)` when there are no sizes with an instance at which
    /// that holds.
    fn require_everywhere(&mut self, value: &Quasi, ranges: &[Range], condition: Condition) -> Option<bool> {
        let least = settled(value, ranges)?;
        if least.is_never_negative() {
            return Some(true);
        }
        if !is_exact(value, ranges)
            && let Some(left) = self.projections.checked_sub(1)
        {
            self.projections = left;
            if let Ok(all) = never_negative(value, ranges, self.program.sizes.len()) {
                let possible = all.iter().all(|any| !any.is_empty());
                all.into_iter().for_each(|any| self.require_one_of(Condition { any, ..condition.clone() }));
                return Some(possible);
            }
        }
        let never = least.times(-1)?.plus_constant(-1)?.is_never_negative();
        self.require(&least, condition);
        Some(!never)
    }

    /// A subscript must be inside: proved, asked of the call, or refused when it never is.
    fn require_inside(&mut self, inequality: Inequality, known: Known<'_>) -> bool {
        let Inequality { written, span, tensor, dim, first, .. } = inequality;
        let name = &self.program.tensors[tensor].name;
        let side = if first { "before the first" } else { "past the last" };
        let reason = format!("else subscript {} of `{name}` runs {side} element", dim + 1);
        match self.require_everywhere(&written, known.ranges, Condition::new(known.extents, reason, span)) {
            Some(true) => true,
            Some(false) => {
                let Declared { name, span: declared, .. } = &self.program.tensors[tensor];
                let message = format!("subscript {} of `{name}` runs {side} element for all sizes", dim + 1);
                let error = Diagnostic::error("TC0407", message, span).also(*declared, "declared here");
                self.diagnostics.push(error.help("restrict the range in `where`, or change the subscript"));
                false
            }
            None => self.too_large(span).unwrap_or(false),
        }
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
        let Some((elements, gaps)) = join(&old, &written) else { return self.too_large(step.span) };
        let name = &self.program.tensors[step.target].name;
        let reason = format!("this statement writes inside of what `{name}` has, or next to it");
        let condition = Condition::new(known.extents, reason, step.span);
        let parts = gaps.iter().flat_map(|value| value.conjunctions());
        self.gaps.extend(parts.map(|value| (step.target, Condition { any: vec![value], ..condition.clone() })));
        let elements = self.tidied(elements);
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

    /// No tensor that is written has fewer than no elements, however ranges depend on each other.
    fn written_have_sizes(&mut self) {
        for (tensor, elements) in self.program.tensors.iter().zip(self.boxes.clone()) {
            for (dim, range) in elements.into_iter().flatten().enumerate() {
                match range.extent() {
                    Some(extent) if !extent.is_never_negative() => {
                        let shown = extent.to_expr(Names::of_sizes(&self.program.sizes));
                        let reason = format!("size {} of `{}` is {shown}", dim + 1, tensor.name);
                        self.require(&extent, Condition::new(&[], reason, tensor.span));
                    }
                    Some(_) => (),
                    None => self.sound = self.too_large(tensor.span).unwrap_or(false),
                }
            }
        }
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
                self.require(&value, Condition::new(&[], reason.clone(), span));
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

/// A reduction without `!` on a tensor that has contents reads the element that it writes.
fn own_element(step: &Step) -> Option<Read> {
    let reads = step.assign.reduction.is_some() && !step.assign.init && step.occurrence > 1;
    let affine = step.element.iter().all(|subscript| matches!(subscript, Subscript::Affine(_)));
    let (index, guards, pad) = (step.element.clone(), Vec::new(), None);
    (reads && affine).then_some(Read { tensor: step.target, index, guards, pad, span: step.span })
}

//! Range inference: the largest rectangular ranges without a read outside a tensor, statement by statement.
//!
//! Every affine subscript gives two inequalities. In rounds, each index without a range takes those in which no other
//! such index occurs, and is bounded by all of them exactly; the indices of one round are settled together, and then
//! replaced in the other inequalities by the ends of their ranges, which over a box is exact. An inequality that has no
//! index left and cannot be proved for all sizes is a precondition of the call.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{BinOp, Expr, UnOp};
use support::{Diagnostic, Span};

use crate::quasi::{Atom, Names, Quasi};
use crate::sema::{Declared, Guard, Origin, Program, Read, Step, Subscript};

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
}

/// What is known of a statement.
#[derive(Clone, Debug)]
pub struct Solved {
    /// By index.
    pub ranges: Vec<Range>,
    /// The reads, with what a `?:` keeps inside of the tensor.
    pub reads: Vec<Read>,
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
    let boxes = program.tensors.iter().map(input_box).collect();
    let mut inference =
        Inference { program, boxes, conditions: Vec::new(), required: BTreeMap::new(), diagnostics, sound: true };
    let mut steps = Vec::new();
    for step in &program.steps {
        let ranges = inference.step(step);
        if ranges.is_none() {
            inference.sound = false;
            // The tensor's box is not known, and statements that read it are passed over.
            inference.boxes[step.target] = None;
        }
        steps.push(ranges);
    }
    inference.annotated_sizes();
    let Inference { boxes, conditions, sound, .. } = inference;
    if !sound {
        return None;
    }
    Some(Ranges {
        steps: steps.into_iter().collect::<Option<_>>()?,
        boxes: boxes.into_iter().collect::<Option<_>>()?,
        conditions,
    })
}

/// The error for arithmetic that overflows, or expressions past the limit.
pub fn too_large(span: Span) -> Diagnostic {
    Diagnostic::error("TC0410", "the numbers or the expressions here are too large to reason about", span)
        .help("use smaller numbers, or give the ranges in `where`")
}

fn input_box(tensor: &Declared) -> Option<Vec<Range>> {
    match tensor.origin {
        Origin::Input => tensor.shape.iter().map(Range::of_extent).collect(),
        Origin::Output | Origin::Temporary => None,
    }
}

struct Inference<'a> {
    program: &'a Program,
    boxes: Vec<Option<Vec<Range>>>,
    conditions: Vec<Condition>,
    /// The extents with which each value is a condition already.
    required: BTreeMap<Quasi, Vec<Vec<Quasi>>>,
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
        let reads = self.masked(step, &masked, &ranges, &extents)?;
        self.write(step, &ranges)?;
        Some(Solved { ranges, reads })
    }

    /// The reads of a step. A subscript that is inside of its tensor only where a `?:` chooses the read becomes one that
    /// always is: clamped, where the condition proves that this changes nothing, and else chosen by the condition while
    /// running, so that it is checked where the value counts and nowhere else.
    fn masked(
        &mut self,
        step: &Step,
        masked: &BTreeSet<(usize, usize)>,
        ranges: &[Range],
        extents: &[Quasi],
    ) -> Option<Vec<Read>> {
        let mut reads = step.reads.clone();
        let mut nodes = 0;
        for (at, read) in reads.iter_mut().enumerate().filter(|(_, read)| !read.guards.is_empty()) {
            let elements = self.boxes[read.tensor].clone()?;
            for (dim, (subscript, range)) in read.index.iter_mut().zip(&elements).enumerate() {
                if !masked.contains(&(at, dim)) && matches!(subscript, Subscript::Affine(_)) {
                    continue;
                }
                let Some(filled) = range.extent().and_then(|extent| extent.plus_constant(-1)) else {
                    return self.too_large(read.span);
                };
                if !filled.is_never_negative() {
                    let reason = format!("`{}` has an element to read", self.program.tensors[read.tensor].name);
                    self.require(Condition { value: filled, extents: extents.to_vec(), reason, span: read.span });
                }
                let Some(kept) = inside(subscript, &read.guards, range, ranges, &mut nodes) else {
                    return self.too_large(read.span);
                };
                *subscript = kept;
            }
        }
        Some(reads)
    }

    fn too_large<T>(&mut self, span: Span) -> Option<T> {
        self.diagnostics.push(too_large(span));
        None
    }

    /// What the reads of a statement say about its indices; `Some(None)` when a tensor has no box.
    fn inequalities(&self, step: &Step) -> Option<Option<Vec<Inequality>>> {
        let mut all = Vec::new();
        let own = own_element(step);
        for (position, read) in step.reads.iter().chain(&step.exists).chain(&own).enumerate() {
            let number = (position < step.reads.len()).then_some(position);
            let Some(elements) = &self.boxes[read.tensor] else { return Some(None) };
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
                error.help(format!("choose one: add {choices}"))
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

    /// Makes the target's box hold what `step` writes.
    fn write(&mut self, step: &Step, ranges: &[Range]) -> Option<()> {
        let written = ranges[..step.left].to_vec();
        let Some(old) = self.boxes[step.target].clone() else {
            if step.occurrence == 1 {
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
            self.require(Condition { value, extents: Vec::new(), reason, span: step.span });
        }
        self.boxes[step.target] = Some(elements);
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
        Subscript::Indirect(expr) => (expr.clone(), None),
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

/// The least value while the indices that `range` knows run through theirs. Those whose ranges depend on others go
/// first, and leave the others behind.
fn least<'a>(value: &Quasi, range: &dyn Fn(usize) -> Option<&'a Range>) -> Option<Quasi> {
    let ends = |dependent: bool| {
        move |at: usize| {
            let known = range(at).filter(|range| range.is_dependent() == dependent)?;
            Some((known.first.clone(), known.last.clone()))
        }
    };
    value.least(&ends(true))?.least(&ends(false))
}

/// A reduction without `!` on a tensor that has contents reads the element that it writes.
fn own_element(step: &Step) -> Option<Read> {
    let reads = step.assign.reduction.is_some() && !step.assign.init && step.occurrence > 1;
    let index = (0..step.left).map(|at| Subscript::Affine(Quasi::index(at))).collect();
    reads.then_some(Read { tensor: step.target, index, guards: Vec::new(), span: step.span })
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

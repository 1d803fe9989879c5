//! Subscripts that a border, `pad` or a condition keeps inside of the tensor.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{BinOp, CmpOp, DType, Expr, Index, UnOp, Value};
use support::Span;

use super::solve::{follows, settled};
use super::{Condition, Inference, Known, Range};
use crate::quasi::Quasi;
use crate::sema::{Border, Guard, Reach, Read, Subscript, Wrapped};

/// Nodes of the conditions that go into the subscripts of one statement.
const MAX_GUARD_NODES: usize = 20_000;

impl Inference<'_> {
    /// Brings the subscripts of a read that has borders into its tensor; for one in `pad`, the condition that it is
    /// inside without that.
    pub(super) fn bordered(&mut self, read: &mut Read, known: Known<'_>) -> Option<Expr> {
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
    pub(super) fn nested(
        &mut self,
        inner: Subscript,
        range: &Range,
        span: Span,
        known: Known<'_>,
    ) -> Option<Subscript> {
        match inner {
            Subscript::Border(border, inner) => {
                let inner = self.nested(*inner, range, span, known)?;
                self.brought_back(border, &inner, range, span, known)
            }
            other => Some(other),
        }
    }

    /// The condition that a subscript is inside; true where that is proved.
    pub(super) fn is_inside(&mut self, subscript: &Subscript, range: &Range, known: Known<'_>) -> Option<Expr> {
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
    pub(super) fn has_elements(&mut self, tensor: usize, range: &Range, span: Span, known: Known<'_>) -> Option<()> {
        let Some(filled) = range.extent().and_then(|extent| extent.plus_constant(-1)) else {
            return self.too_large(span);
        };
        let reason = format!("`{}` has an element to read", self.program.tensors[tensor].name);
        self.require_everywhere(&filled, known.ranges, Condition::new(known.extents, reason, span))?;
        Some(())
    }

    pub(super) fn brought_back(
        &mut self,
        border: Border,
        subscript: &Subscript,
        range: &Range,
        span: Span,
        known: Known<'_>,
    ) -> Option<Subscript> {
        let value = match subscript {
            Subscript::Affine(value) => value,
            // It is inside already.
            Subscript::Wrapped(_) => return Some(subscript.clone()),
            data => return Some(Subscript::Indirect(border_of_data(border, expr_of(data), range))),
        };
        let brought = match border {
            Border::Clamp => clamped(value, range, known).map(Subscript::Affine),
            Border::Wrap => self.wrapped(value, range, span, known),
            Border::Mirror => self.mirrored(value, range, span, known).map(Subscript::Affine),
        };
        match brought {
            Some(subscript) => Some(subscript),
            None => self.too_large(span),
        }
    }

    /// `|x|`, and from the other end `2·last - |x|`, with `x` counted from the first element; in a tensor whose extent is
    /// not a number it may be one period outside, which is asked for.
    pub(super) fn mirrored(&mut self, value: &Quasi, range: &Range, span: Span, known: Known<'_>) -> Option<Quasi> {
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
                    let reason = format!("`mirror` reaches no further {what} the tensor than the tensor is long");
                    self.require_everywhere(&side, known.ranges, Condition::new(known.extents, reason, span))?;
                }
                Quasi::max(&[x.clone(), x.times(-1)?])?
            }
        };
        Quasi::min(&[magnitude.clone(), period.minus(&magnitude)?])?.plus(&range.first)
    }

    /// Counted round: by a remainder where the extent is a number. Else, where it does not depend on the extent how far outside
    /// the subscript is, that may be one period, which is asked for, and there are three cases; and where it does, as in
    /// `wrap(3 * i)` or in a table that is repeated, a remainder is computed while running.
    fn wrapped(&mut self, value: &Quasi, range: &Range, span: Span, known: Known<'_>) -> Option<Subscript> {
        let (x, extent) = (value.minus(&range.first)?, range.extent()?);
        let sides = [x.clone(), range.last.minus(value)?];
        let proved = |side: &Quasi| Some(settled(side, known.ranges)?.is_never_negative());
        let [inside_before, inside_behind] = [proved(&sides[0])?, proved(&sides[1])?];
        if inside_before && inside_behind {
            return Some(Subscript::Affine(value.clone()));
        }
        if let Some(extent @ 1..) = extent.as_constant() {
            return Some(Subscript::Affine(x.modulo(extent)?.plus(&range.first)?));
        }
        let mut reach = Reach::Period { before: !inside_before, behind: !inside_behind };
        for side in &sides {
            let is_near = proved(&side.plus(&extent)?)? || !settled(side, known.ranges)?.shares_sizes(&extent);
            if !is_near {
                reach = Reach::Any;
            }
        }
        if reach != Reach::Any {
            for (side, what) in sides.iter().zip(["before", "behind"]) {
                let reason = format!("`wrap` reaches no further {what} the tensor than the tensor is long");
                let within = side.plus(&extent)?;
                self.require_everywhere(&within, known.ranges, Condition::new(known.extents, reason, span))?;
            }
        }
        let (value, first) = (value.clone(), range.first.clone());
        Some(Subscript::Wrapped(Box::new(Wrapped { value, first, extent, reach })))
    }

    /// The reads of a step. A subscript that is inside of its tensor only where a `?:` chooses the read becomes one that
    /// always is: clamped, where the condition proves that this changes nothing, and else chosen by the condition while
    /// running, so that it is checked where the value counts and nowhere else.
    pub(super) fn masked(
        &mut self,
        reads: &mut [Read],
        masked: &BTreeSet<(usize, usize)>,
        known: Known<'_>,
    ) -> Option<()> {
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
}

/// `value` with the conditions of `pad` put in.
pub(super) fn padded(value: &Expr, pads: &BTreeMap<usize, Expr>) -> Expr {
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

pub(super) fn and(a: Expr, b: Expr) -> Expr {
    let yes = |e: &Expr| *e == Expr::Const(Value::Int(1), DType::Bool);
    match (yes(&a), yes(&b)) {
        (true, _) => b,
        (_, true) => a,
        _ => Expr::Binary(BinOp::And, Box::new(a), Box::new(b)),
    }
}

/// `expr` with its indices changed.
pub(super) fn with_index(expr: &Expr, change: &dyn Fn(&Index) -> Index) -> Expr {
    expr.map(&mut |e| match e {
        Expr::Index(index) => Expr::Index(change(&index)),
        other => other,
    })
}

/// A subscript as a value.
pub(super) fn expr_of(subscript: &Subscript) -> Expr {
    match subscript {
        Subscript::Affine(value) => Expr::Index(value.to_index()),
        Subscript::Indirect(expr) => expr.clone(),
        Subscript::Border(_, inner) => expr_of(inner),
        Subscript::Wrapped(wrapped) => wrapped.to_expr(),
    }
}

/// The nearest element of `range`; ends that the subscript is known not to pass are left out.
pub(super) fn clamped(value: &Quasi, range: &Range, known: Known<'_>) -> Option<Quasi> {
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

/// A border of a subscript that is known only while running.
pub(super) fn border_of_data(border: Border, value: Expr, range: &Range) -> Expr {
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
    /// How many cases there are, where it is not computed while running.
    pub fn cases(&self) -> usize {
        match self.reach {
            Reach::Period { before, behind } => 1 + usize::from(before) + usize::from(behind),
            Reach::Any => 1,
        }
    }

    /// As an index, where the subscript is at most one period outside: itself, or with the extent added or subtracted.
    pub fn to_index(&self) -> Option<Index> {
        let Reach::Period { before, behind } = self.reach else { return None };
        let (first, extent) = (self.first.to_index(), self.extent.to_index());
        let (value, last) = (self.value.to_index(), first.clone() + extent.clone() - 1);
        let mut index = value.clone();
        if behind {
            index = Index::select(last - value.clone(), index, value.clone() - extent.clone());
        }
        if before {
            index = Index::select(value.clone() - first, index, value + extent);
        }
        Some(index)
    }

    /// As a value.
    pub fn to_expr(&self) -> Expr {
        if let Some(index) = self.to_index() {
            return Expr::Index(index);
        }
        let index = |e: &Quasi| Expr::Index(e.to_index());
        let binary = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
        let from_first = binary(BinOp::Sub, index(&self.value), index(&self.first));
        binary(BinOp::Add, binary(BinOp::Mod, from_first, index(&self.extent)), index(&self.first))
    }
}

/// `subscript` as one that is inside of `range` whether the guards hold or not; `None` when it gets too large.
pub(super) fn inside(
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

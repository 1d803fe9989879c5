//! The ranges that `where` gives.

use polyhedral::Builtin;
use support::{Diagnostic, Span};

use super::body::Body;
use super::scope::Entity;
use super::value::Place;
use crate::ast::{self, Clause, ExprKind, Name};
use crate::quasi::Quasi;
use crate::ranges::too_large;

impl Body<'_, '_> {
    /// The ranges that the `where` gives, by index and with both bounds included.
    #[allow(clippy::type_complexity, reason = "one line, used once")]
    pub fn ranges(&mut self) -> Option<Vec<Option<(Quasi, Quasi, Span)>>> {
        let mut ranges: Vec<Option<(Quasi, Quasi, Span)>> =
            self.scope.loops.iter().map(|(_, first, last, span)| Some((first.clone(), last.clone(), *span))).collect();
        ranges.resize(self.indices.len(), None);
        let mut sound = true;
        for clause in &self.statement.clauses {
            let Clause::Range { index, lower, upper } = clause else { continue };
            let at = self.ranged_index(index);
            let (lower, upper, span) = (self.bound(lower, at), self.bound(upper, at), index.span.to(upper.span));
            let (Some(at), Some(lower), Some(upper)) = (at, lower, upper) else {
                sound = false;
                continue;
            };
            let Some(last) = upper.plus_constant(-1) else {
                sound = false;
                self.scope.emit(too_large(span));
                continue;
            };
            if let Some((_, _, first)) = &ranges[at] {
                let message = format!("`{}` gets a second range, and the last one holds", index.text);
                let warning = Diagnostic::warning("TC0409", message, span).also(*first, "this one has no effect");
                self.scope.emit(warning.help("remove one of the two"));
            }
            ranges[at] = Some((lower, last, span));
        }
        sound &= self.dependences_end(&ranges);
        sound.then_some(ranges)
    }

    /// Ranges may mention other indices, and not go round in a circle.
    fn dependences_end(&mut self, ranges: &[Option<(Quasi, Quasi, Span)>]) -> bool {
        let mut settled: Vec<bool> = ranges.iter().map(Option::is_none).collect();
        loop {
            let mut next = settled.clone();
            for (at, range) in ranges.iter().enumerate() {
                let Some((first, last, _)) = range else { continue };
                let mut known = true;
                for bound in [first, last] {
                    bound.indices(&mut |other| known &= settled[other]);
                }
                next[at] |= known;
            }
            if next == settled {
                break;
            }
            settled = next;
        }
        let Some(at) = settled.iter().position(|known| !known) else { return true };
        let span = ranges[at].as_ref().map_or(self.statement.span, |(.., span)| *span);
        let message = format!("the range of `{}` depends on itself through other ranges", self.indices[at].name);
        self.scope
            .emit(Diagnostic::error("TC0408", message, span).help("bound one of the indices by sizes and numbers"));
        false
    }

    fn ranged_index(&mut self, index: &Name) -> Option<usize> {
        match self.find_index(&index.text) {
            Some(at) if at < self.outer => {
                let message = format!("`{}` is the index of a loop, which gives it its range", index.text);
                let error = Diagnostic::error("TC0127", message, index.span);
                self.scope.emit(error.also(self.scope.loops[at].0.span, "this loop").help("remove the range"));
                return None;
            }
            Some(at) => return Some(at),
            None => (),
        }
        let message = format!("`{}` is no index of this statement and cannot have a range", index.text);
        let error = Diagnostic::error("TC0115", message, index.span);
        let close = super::close::close(&index.text, self.indices.iter().map(|known| known.name.as_str()));
        let help = match close {
            Some(close) => format!("did you mean `{close}`?"),
            None => "remove the range, or use the index in the statement".into(),
        };
        self.scope.emit(error.help(help));
        None
    }

    /// A bound of a range: an affine expression of sizes.
    fn bound(&mut self, expr: &ast::Expr, own: Option<usize>) -> Option<Quasi> {
        let place = Place { bound: true, ..Place::subscript(self.lets.len()) };
        self.bound_names(expr, own, place)?;
        match self.quasi(expr, place) {
            Some(Some(bound)) => Some(bound),
            Some(None) => {
                let error = Diagnostic::error("TC0406", "a bound must be affine in the sizes", expr.span);
                self.scope.emit(
                    error.help(
                        "sums, products with a number, division and remainder by a number, min and max are affine",
                    ),
                );
                None
            }
            None => {
                self.scope.emit(too_large(expr.span));
                None
            }
        }
    }

    /// A bound may mention other indices.
    fn refused_index(&self, at: usize, own: Option<usize>, span: Span) -> Option<Diagnostic> {
        let name = &self.indices[at].name;
        let message = format!("the range of `{name}` mentions `{name}` itself");
        (own == Some(at)).then(|| Diagnostic::error("TC0408", message, span).help("bound it by sizes and numbers"))
    }

    /// Refuses what cannot stand in a bound.
    fn bound_names(&mut self, expr: &ast::Expr, own: Option<usize>, place: Place) -> Option<()> {
        self.count(expr, place)?;
        let refused = match &expr.kind {
            ExprKind::Call(name, _) if Builtin::parse(&name.text).is_some() => Some(not_whole(&name.text, expr.span)),
            ExprKind::Call(name, _) => Some(refused_read(&name.text, expr.span)),
            ExprKind::Name(name) => {
                match (self.find_let(name, place.lets), self.find_index(name), self.scope.entity(name)) {
                    (Some((_, value, lets)), ..) => {
                        return self.bound_names(value, own, Place { lets, ..place.deeper() });
                    }
                    (_, Some(at), _) => self.refused_index(at, own, expr.span),
                    (_, _, Some(Entity::Tensor(at))) if self.scope.tensors[at].size.is_some() => None,
                    (_, _, Some(Entity::Tensor(_))) => Some(refused_read(name, expr.span)),
                    (_, _, Some(Entity::Size(_))) => None,
                    _ if self.scope.is_poisoned(name) => return None,
                    _ => {
                        let error = Diagnostic::error("TC0116", format!("`{name}` is no size"), expr.span);
                        let help = self.scope.close_entity(name).map_or_else(
                            || "sizes are the names in the types of the inputs".to_owned(),
                            |close| format!("did you mean `{close}`?"),
                        );
                        Some(error.help(help))
                    }
                }
            }
            ExprKind::Number(number) if number.whole.is_none() => Some(not_whole(&number.text, expr.span)),
            _ => None,
        };
        if let Some(refused) = refused {
            self.scope.emit(refused);
            return None;
        }
        let checked: Vec<_> =
            expr.children().into_iter().map(|child| self.bound_names(child, own, place.deeper())).collect();
        checked.into_iter().collect()
    }
}

fn refused_read(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        "TC0405",
        format!("a bound cannot depend on `{name}`, whose values are known only while running"),
        span,
    )
    .help("use sizes and numbers, and choose the elements in the value: `i < n ? A(i) : 0`")
}

fn not_whole(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("TC0411", format!("`{what}` in a bound does not give a whole number"), span)
        .help("bounds are whole: sums and multiples of sizes and numbers, with `/`, `%`, `min` and `max`")
}

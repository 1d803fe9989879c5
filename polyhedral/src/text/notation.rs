//! Sets and relations in isl's notation, in an order that does not depend on isl's hashing, without the parameters
//! that the program declares.

use std::fmt;

use super::TextError;
use super::lex::Line;
use crate::isl;

/// How sets are written where the parameters are known.
pub(super) struct Notation<'s> {
    pub ctx: &'s isl::Ctx,
    pub params: &'s [String],
}

impl Notation<'_> {
    /// Prints a set.
    pub fn set(&self, set: &isl::Set) -> String {
        self.without_params(&set.to_string()).map_or_else(|| set.to_string(), str::to_owned)
    }

    /// Prints a union of sets.
    pub fn union_set(&self, union: &isl::UnionSet) -> isl::Result<String> {
        Ok(self.union(union, &union.sets()?))
    }

    /// Prints a union of maps.
    pub fn union_map(&self, union: &isl::UnionMap) -> isl::Result<String> {
        Ok(self.union(union, &union.maps()?))
    }

    /// Prints a function on `reach`. A piece that covers all of its space's instances prints without its domain.
    pub fn function(&self, function: &isl::UnionPwAff, reach: &isl::UnionSet) -> isl::Result<String> {
        let function = function.intersect_domain(reach)?;
        let mut pieces = Vec::new();
        for pw in function.pw_affs()? {
            match pw.pieces()?.as_slice() {
                [(domain, only)] if covers(domain, reach)? => pieces.push(only.to_string()),
                _ => pieces.push(pw.to_string()),
            }
        }
        Ok(self.union(&function, &pieces))
    }

    /// One text for pieces that each print with their own parameters.
    fn union(&self, whole: &dyn fmt::Display, pieces: &[impl fmt::Display]) -> String {
        let inner = |piece: &dyn fmt::Display| -> Option<String> {
            let text = piece.to_string();
            let braced = self.without_params(&text)?;
            Some(braced.strip_prefix('{')?.strip_suffix('}')?.trim().to_owned())
        };
        match pieces.iter().map(|piece| inner(piece)).collect::<Option<Vec<_>>>() {
            Some(pieces) if pieces.is_empty() => "{ }".into(),
            Some(pieces) => format!("{{ {} }}", pieces.join("; ")),
            None => whole.to_string(),
        }
    }

    /// The text from its brace on, unless it names a parameter that the program does not declare.
    fn without_params<'t>(&self, text: &'t str) -> Option<&'t str> {
        if text.starts_with('{') {
            return Some(text);
        }
        let (names, braced) = text.strip_prefix('[')?.split_once("] -> ")?;
        let known = names.split(',').all(|name| self.params.iter().any(|param| param == name.trim()));
        (known && braced.starts_with('{')).then_some(braced)
    }

    /// Reads what was printed, by one of isl's readers.
    pub fn read<T>(
        &self,
        line: Line<'_>,
        text: &str,
        read: fn(&isl::Ctx, &str) -> isl::Result<T>,
    ) -> Result<T, TextError> {
        if text.is_empty() {
            return Err(line.error("expected isl's notation: `{ … }`"));
        }
        let braced = text.starts_with('{') && !self.params.is_empty();
        let full = if braced { format!("[{}] -> {text}", self.params.join(", ")) } else { text.to_owned() };
        read(self.ctx, &full).map_err(|error| line.error(format!("{error}: `{text}`")))
    }
}

/// Whether `domain` holds every instance of its space in `reach`.
fn covers(domain: &isl::Set, reach: &isl::UnionSet) -> isl::Result<bool> {
    let domain = domain.to_union_set()?;
    reach.intersect(&domain.universe()?)?.is_subset(&domain)
}

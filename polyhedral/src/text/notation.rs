//! Sets and relations in isl's notation, in an order that does not depend on isl's hashing, without the parameters
//! that the program declares.

use std::borrow::Cow;
use std::fmt;

use super::TextError;
use super::lex::Line;
use crate::isl;

/// What reading one set may cost, in isl's operations: about a second. A program's sets take a thousandth of it.
const READ_OPERATIONS: u64 = 2_000_000;

/// How sets are written where the parameters are known.
pub(super) struct Notation<'s> {
    pub ctx: &'s isl::Ctx,
    pub params: &'s [String],
}

impl Notation<'_> {
    /// Prints a set.
    pub fn set(&self, set: &isl::Set) -> isl::Result<String> {
        let print = |set: &isl::Set| Ok(self.union(set, &set.basic_sets()?));
        self.settled(print(set)?, isl::Set::read, print)
    }

    /// Prints a union of sets.
    pub fn union_set(&self, union: &isl::UnionSet) -> isl::Result<String> {
        let print = |union: &isl::UnionSet| self.union_of(union);
        self.settled(print(union)?, isl::UnionSet::read, print)
    }

    /// Prints the instances of a filter among those that reach it.
    pub fn filter(&self, filter: &isl::UnionSet, reach: &isl::UnionSet) -> isl::Result<String> {
        let print = |filter: &isl::UnionSet| self.union_of(&filter.intersect(reach)?.gist(reach)?);
        self.settled(print(filter)?, isl::UnionSet::read, print)
    }

    fn union_of(&self, union: &isl::UnionSet) -> isl::Result<String> {
        let mut pieces = Vec::new();
        for set in union.sets()? {
            pieces.extend(set.basic_sets()?);
        }
        Ok(self.union(union, &pieces))
    }

    /// Prints a union of maps.
    pub fn union_map(&self, union: &isl::UnionMap) -> isl::Result<String> {
        let print = |union: &isl::UnionMap| {
            let mut pieces = Vec::new();
            for map in union.maps()? {
                for pairs in map.wrap()?.basic_sets()? {
                    pieces.push(pairs.to_set()?.unwrap()?);
                }
            }
            Ok(self.union(union, &pieces))
        };
        self.settled(print(union)?, isl::UnionMap::read, print)
    }

    /// Prints a function on `reach`. A piece that covers all of its space's instances prints without its domain.
    pub fn function(&self, function: &isl::UnionPwAff, reach: &isl::UnionSet) -> isl::Result<String> {
        let print = |function: &isl::UnionPwAff| {
            let function = function.intersect_domain(reach)?;
            let mut pieces = Vec::new();
            for pw in function.pw_affs()? {
                pieces.extend(function_pieces(&pw, reach)?);
            }
            Ok(self.union(&function, &pieces))
        };
        self.settled(print(function)?, isl::UnionPwAff::read, print)
    }

    /// isl drops a redundant constraint here and finds a shorter one there when it reads a text: prints what was read
    /// until that changes nothing, so that the text of a text is itself.
    fn settled<T>(
        &self,
        mut text: String,
        read: fn(&isl::Ctx, &str) -> isl::Result<T>,
        print: impl Fn(&T) -> isl::Result<String>,
    ) -> isl::Result<String> {
        const ROUNDS: usize = 8;
        for _ in 0..ROUNDS {
            // A name that isl takes for a word of its own cannot be read; what was printed is still good to look at.
            let Ok(again) = read(self.ctx, &self.with_params(&text)) else { break };
            let printed = print(&again)?;
            if printed == text {
                break;
            }
            text = printed;
        }
        Ok(text)
    }

    /// One text for pieces that each print with their own parameters, in an order of their texts alone.
    fn union(&self, whole: &dyn fmt::Display, pieces: &[impl fmt::Display]) -> String {
        let inner = |piece: &dyn fmt::Display| -> Option<String> {
            let text = piece.to_string();
            let braced = self.without_params(&text)?;
            // Where there are no constraints, isl still writes the colon.
            Some(braced.strip_prefix('{')?.strip_suffix('}')?.trim().trim_end_matches(':').trim().to_owned())
        };
        let Some(mut texts) = pieces.iter().map(|piece| inner(piece)).collect::<Option<Vec<_>>>() else {
            return whole.to_string();
        };
        texts.sort();
        texts.dedup();
        if texts.is_empty() { "{ }".into() } else { format!("{{ {} }}", texts.join("; ")) }
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
        let bounded = self.ctx.with_budget(READ_OPERATIONS, || read(self.ctx, &self.with_params(text)));
        bounded.map_err(|error| line.error(error.to_string()))
    }

    /// What isl reads: the parameters of the program stand before the brace.
    fn with_params<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.starts_with('{') && !self.params.is_empty() {
            format!("[{}] -> {text}", self.params.join(", ")).into()
        } else {
            text.into()
        }
    }
}

/// One function for each conjunction that it is defined on, or a single one without its domain.
fn function_pieces(pw: &isl::PwAff, reach: &isl::UnionSet) -> isl::Result<Vec<isl::PwAff>> {
    let parts = pw.pieces()?;
    if let [(domain, only)] = parts.as_slice()
        && covers(domain, reach)?
    {
        return Ok(vec![only.to_pw_aff()?]);
    }
    let mut pieces = Vec::new();
    for (domain, aff) in parts {
        let here = reach.intersect(&domain.to_union_set()?.universe()?)?;
        let domain = if here.n_set()? == 1 { domain.gist(&here.as_set()?)? } else { domain };
        for part in domain.basic_sets()? {
            pieces.push(aff.to_pw_aff()?.intersect_domain(&part.to_set()?)?);
        }
    }
    Ok(pieces)
}

/// Whether `domain` holds every instance of its space in `reach`.
fn covers(domain: &isl::Set, reach: &isl::UnionSet) -> isl::Result<bool> {
    let domain = domain.to_union_set()?;
    reach.intersect(&domain.universe()?)?.is_subset(&domain)
}

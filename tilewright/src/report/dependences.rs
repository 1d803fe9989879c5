//! Which statements depend on each other, by how many iterations, with an example each.

use polyhedral::legality::{self, Violation};
use polyhedral::{DependenceKind, Dependences, Nest, Scop, StmtId, isl};
use serde::Serialize;

use super::loops::within;
use super::program::Place;

/// isl operations that looking at one pair of statements may take.
const OPERATIONS: u64 = 500_000;

/// The dependences of one kind between two statements of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependence {
    /// `flow`, `anti`, `output` or `reduction`.
    pub kind: String,
    /// The statement that runs first in the source.
    pub from: String,
    /// The one that runs later.
    pub to: String,
    /// The pairs of instances, in isl's notation.
    pub relation: String,
    /// The loops of the source around both, from the outside in.
    pub loops: Vec<String>,
    /// By how many iterations of each of these the later instance comes after the earlier one: a vector for each way in which
    /// they do, or one around all where there are very many. None where no loop is around both.
    pub distances: Vec<Vec<Distance>>,
    /// The smallest pair; absent past the budget.
    pub example: Option<Pair>,
}

/// By how many iterations two instances are apart: from the least to the greatest, each absent where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Distance {
    /// The least.
    pub least: Option<i64>,
    /// The greatest.
    pub most: Option<i64>,
}

/// `1`, `-2..3`, `≥ 1`, `≤ 0`, `*`.
impl std::fmt::Display for Distance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.least, self.most) {
            (Some(least), Some(most)) if least == most => write!(f, "{least}"),
            (Some(least), Some(most)) => write!(f, "{least}..{most}"),
            (Some(least), None) => write!(f, "≥ {least}"),
            (None, Some(most)) => write!(f, "≤ {most}"),
            (None, None) => f.write_str("*"),
        }
    }
}

impl Dependence {
    /// `[0, 1] [1, -1]`; empty where no loop is around both.
    pub fn vectors(&self) -> String {
        let one =
            |way: &Vec<Distance>| format!("[{}]", way.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        self.distances.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// Two instances that depend on each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Runs first in the source.
    pub source: Instance,
    /// Runs later in the source.
    pub sink: Instance,
    /// The element that both touch, `C[0, 0]`; the tensor alone where a subscript is computed while running.
    pub through: Option<String>,
}

/// One instance of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// The statement.
    pub statement: String,
    /// The values of its dimensions.
    pub point: Vec<i64>,
    /// The statement's place in the source.
    pub place: Option<Place>,
}

/// Why two iterations of a loop cannot run at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// How the two depend on each other: `flow`, `anti`, `output` or `reduction`.
    pub kind: String,
    /// The two instances.
    pub pair: Pair,
    /// The same as a sentence.
    pub sentence: String,
}

impl Instance {
    fn of(instance: &legality::Instance) -> Instance {
        let legality::Instance { stmt, point, span } = instance.clone();
        Instance { statement: stmt, point, place: Place::of(span) }
    }
}

impl Pair {
    fn of(
        source: &legality::Instance,
        sink: &legality::Instance,
        through: Option<&(String, Option<Vec<i64>>)>,
    ) -> Pair {
        let element = |(tensor, at): &(String, Option<Vec<i64>>)| match at {
            Some(at) => format!("{tensor}[{}]", at.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
            None => tensor.clone(),
        };
        Pair { source: Instance::of(source), sink: Instance::of(sink), through: through.map(element) }
    }
}

impl Conflict {
    pub(super) fn of(violation: &Violation) -> Conflict {
        Conflict {
            kind: violation.dependence.to_string(),
            pair: Pair::of(&violation.source, &violation.sink, violation.through.as_ref()),
            sentence: violation.to_string(),
        }
    }
}

/// The dependences of the source, by kind and pair of statements.
pub(super) fn dependences(scop: &Scop, deps: &Dependences) -> isl::Result<Vec<Dependence>> {
    let mut found = Vec::new();
    for kind in DependenceKind::ALL {
        for pairs in deps.of(kind).maps()? {
            if !pairs.is_empty()? {
                found.push(dependence(scop, kind, &pairs)?);
            }
        }
    }
    // isl keeps no order among statements: that of the program is one.
    let place = |name: &str| scop.stmt_named(name);
    found.sort_by_key(|one: &Dependence| (place(&one.from), place(&one.to)));
    Ok(found)
}

fn dependence(scop: &Scop, kind: DependenceKind, pairs: &isl::Map) -> isl::Result<Dependence> {
    let (from, to) = (pairs.tuple_name(isl::Dim::In)?, pairs.tuple_name(isl::Dim::Out)?);
    let loops = match (scop.stmt_named(&from), scop.stmt_named(&to)) {
        (Some(from), Some(to)) => common(&scop.source, from, to),
        _ => Vec::new(),
    };
    let unknown = || vec![vec![Distance { least: None, most: None }; loops.len()]];
    let distances = match loops.len() {
        0 => Vec::new(),
        dims => within(scop, OPERATIONS, || distances(pairs, dims))?.unwrap_or_else(unknown),
    };
    let example = within(scop, OPERATIONS, || legality::example(scop, kind, pairs))?.flatten();
    Ok(Dependence {
        kind: kind.to_string(),
        from,
        to,
        relation: pairs.to_string(),
        loops,
        distances,
        example: example.map(|pair| Pair::of(&pair.source, &pair.sink, pair.through.as_ref())),
    })
}

/// The loops around both statements.
fn common(nests: &[Nest], first: StmtId, second: StmtId) -> Vec<String> {
    for nest in nests {
        if let Nest::Loop { name, body } = nest {
            let inside = nest.stmts();
            if inside.contains(&first) && inside.contains(&second) {
                return std::iter::once(name.clone()).chain(common(body, first, second)).collect();
            }
        }
    }
    Vec::new()
}

/// Ways in which the instances of a dependence may be apart, past which one hull is around all.
const WAYS: usize = 6;

/// The least and the greatest difference in each of the first dimensions, for each way in which pairs are apart.
fn distances(pairs: &isl::Map, dims: usize) -> isl::Result<Vec<Vec<Distance>>> {
    let mut map = pairs.reset_tuple_id(isl::Dim::In)?.reset_tuple_id(isl::Dim::Out)?;
    for kind in [isl::Dim::In, isl::Dim::Out] {
        let all = map.dim(kind)?;
        map = map.project_out(kind, dims as u32, all - dims as u32)?;
    }
    let deltas = map.deltas()?.coalesce()?;
    let mut ways = Vec::new();
    for part in deltas.basic_sets()? {
        ways.push(hull(&part.to_set()?, dims)?);
    }
    ways.sort_unstable();
    ways.dedup();
    Ok(if ways.len() > WAYS { vec![hull(&deltas, dims)?] } else { ways })
}

fn hull(deltas: &isl::Set, dims: usize) -> isl::Result<Vec<Distance>> {
    let end = |value: isl::Val| value.to_i64().ok();
    let one = |dim: i32| Ok(Distance { least: end(deltas.dim_min_val(dim)?), most: end(deltas.dim_max_val(dim)?) });
    (0..dims as i32).map(one).collect()
}

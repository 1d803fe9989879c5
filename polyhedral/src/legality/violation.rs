use std::fmt;

use support::Span;

use crate::{Access, DependenceKind, Dependences, Kind, Scop, Stmt, Subscript, isl};

/// The counter-example of a proof: two instances that a schedule really runs the wrong way, or at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// What the schedule does to them.
    pub conflict: Conflict,
    /// How they depend on each other.
    pub dependence: DependenceKind,
    /// Runs first in the source. Of a violation of values: what the sink must see, or must not; the sink itself when
    /// that is no instance.
    pub source: Instance,
    /// Runs later in the source. Of a violation of values: the instance of the changed program, or the element of a
    /// result.
    pub sink: Instance,
    /// The tensor that both touch, with the element unless a subscript is indirect; none for a result.
    pub through: Option<(String, Option<Vec<i64>>)>,
    /// Values of the size parameters for which this happens.
    pub sizes: Vec<(String, i64)>,
}

/// What a schedule does to two dependent instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A loop runs the sink first.
    Backward {
        /// The loop.
        member: String,
    },
    /// A sequence runs the sink first.
    BackwardSequence,
    /// A set runs its children in any order.
    AnyOrder,
    /// Nothing orders them.
    Unordered,
    /// A parallel or vector loop runs them at once.
    AtOnce {
        /// The loop.
        member: String,
        /// Parallel or vector.
        kind: Kind,
    },
    /// The loop runs the sink first when it is taken outwards, so its band cannot be permuted.
    NotPermutable {
        /// The loop.
        member: String,
    },
    /// They are different iterations of the loop, so it cannot run its iterations at once.
    NotCoincident {
        /// The loop.
        member: String,
    },
    /// Two blocks of a kernel run them, and nothing orders these.
    OnBlocks,
    /// Two threads of a block run them, and no barrier is in between.
    NoBarrier,
    /// Two ranks run them, and no message is in between.
    NoMessage,
    /// The sink finds something else than what it must.
    Sees {
        /// What it must find.
        due: Content,
        /// What it finds.
        instead: Content,
    },
    /// The sink does not find something of what it must.
    Misses {
        /// What it must find.
        due: Content,
    },
    /// The sink also finds what it must not.
    Adds {
        /// What it must not find.
        extra: Content,
    },
    /// The sink finds the contribution of the source more than once.
    Twice,
}

/// What is in an element, as the source program has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What an instance of the source program computes.
    Computed(Instance),
    /// What was there before the program ran.
    Initial {
        /// The tensor.
        tensor: String,
        /// The element, or the cell where the tensor has a layout.
        at: Vec<i64>,
        /// Whether it is the caller's; otherwise nobody wrote it.
        given: bool,
    },
    /// A constant that a reduction may begin with.
    Constant,
}

/// One instance of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The statement's name.
    pub stmt: String,
    /// The values of its dimensions.
    pub point: Vec<i64>,
    /// The statement's place in the source.
    pub span: Span,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", element(&self.stmt, &self.point))
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Computed(instance) => write!(f, "what {instance} computes"),
            Content::Initial { tensor, at, given: true } => {
                write!(f, "what the caller gave as `{}`", element(tensor, at))
            }
            Content::Initial { given: false, .. } => f.write_str("what nobody wrote"),
            Content::Constant => f.write_str("the constant that a reduction begins with"),
        }
    }
}

/// One sentence, without a full stop.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { source, sink, dependence, .. } = self;
        if self.conflict.is_of_values() {
            write!(f, "{sink}")?;
            match &self.through {
                Some((tensor, Some(at))) => write!(f, " finds in `{}`", element(tensor, at))?,
                Some((tensor, None)) => write!(f, " finds in `{tensor}`")?,
                None => f.write_str(" holds at the end")?,
            }
            match &self.conflict {
                Conflict::Twice => write!(f, " what {source} contributes twice")?,
                conflict => write!(f, " {conflict}")?,
            }
        } else {
            match dependence {
                DependenceKind::Reduction => write!(f, "{source} and {sink} update one element")?,
                _ => write!(f, "{sink} must run after {source}")?,
            }
            write!(f, " ({dependence}")?;
            match &self.through {
                Some((tensor, Some(at))) => write!(f, " through `{}`", element(tensor, at))?,
                Some((tensor, None)) => write!(f, " through `{tensor}`, whose subscript is known only while running")?,
                None => {}
            }
            write!(f, "), but {}", self.conflict)?;
        }
        for (at, (name, value)) in self.sizes.iter().enumerate() {
            write!(f, "{}{name} = {value}", if at == 0 { ", for example for " } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::Backward { member } => write!(f, "the loop `{member}` would run it before"),
            Conflict::BackwardSequence => write!(f, "the sequence would run it before"),
            Conflict::AnyOrder => write!(f, "nothing orders the children of the set"),
            Conflict::Unordered => write!(f, "nothing would order them"),
            Conflict::AtOnce { member, kind: Kind::Vector(_) } => {
                write!(f, "the vector loop `{member}` would run them at once")
            }
            Conflict::AtOnce { member, .. } => write!(f, "the parallel loop `{member}` would run them at once"),
            Conflict::NotPermutable { member } => {
                write!(f, "the loop `{member}` taken by itself would run it before, so its band cannot be permuted")
            }
            Conflict::NotCoincident { member } => {
                write!(f, "they are different iterations of the loop `{member}`, which must not run at once")
            }
            Conflict::OnBlocks => write!(f, "two blocks run them, which nothing orders"),
            Conflict::NoMessage => write!(f, "two ranks run them, and no message is in between: `exchange` the tensor"),
            Conflict::NoBarrier => write!(f, "two threads run them, and no barrier is in between"),
            Conflict::Sees { due, instead } => write!(f, "{instead}, but must find {due}"),
            Conflict::Misses { due } => write!(f, "not all that it must: {due} is missing"),
            Conflict::Adds { extra } => write!(f, "more than it must: {extra} should not be there"),
            Conflict::Twice => write!(f, "one contribution twice"),
        }
    }
}

impl Conflict {
    /// Whether it is about what is in an element, and not about the order of two instances.
    pub fn is_of_values(&self) -> bool {
        matches!(self, Conflict::Sees { .. } | Conflict::Misses { .. } | Conflict::Adds { .. } | Conflict::Twice)
    }
}

fn element(name: &str, at: &[i64]) -> String {
    let at: Vec<String> = at.iter().map(i64::to_string).collect();
    format!("{name}[{}]", at.join(", "))
}

/// Two instances that depend on each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Runs first in the source.
    pub source: Instance,
    /// Runs later in the source.
    pub sink: Instance,
    /// The tensor that both touch, with the element unless a subscript is indirect.
    pub through: Option<(String, Option<Vec<i64>>)>,
    /// Values of the size parameters for which this is so.
    pub sizes: Vec<(String, i64)>,
}

/// The smallest pair of a relation between two statements that depend on each other in one way; `None` when it is empty.
///
/// # Errors
/// When isl fails.
pub fn example(scop: &Scop, dependence: DependenceKind, pairs: &isl::Map) -> isl::Result<Option<Example>> {
    let Some((sizes, source, sink)) = pair_of(scop, pairs)? else { return Ok(None) };
    let through = through(scop, dependence, &source, &sink, &sizes);
    let sizes = scop.params.iter().cloned().zip(sizes).collect();
    Ok(Some(Example { source, sink, through, sizes }))
}

/// Work for finding the smallest pair; past it, any pair will do.
const SMALLEST: u64 = 50_000;

/// One concrete pair of `pairs`, which is not empty and holds dependences of `deps`.
pub(super) fn witness(
    scop: &Scop,
    deps: &Dependences,
    pairs: &isl::UnionMap,
    conflict: Conflict,
) -> isl::Result<Violation> {
    for dependence in DependenceKind::ALL {
        for map in pairs.intersect(deps.of(dependence))?.maps()? {
            if let Some((sizes, source, sink)) = pair_of(scop, &map)? {
                let through = through(scop, dependence, &source, &sink, &sizes);
                let sizes = scop.params.iter().cloned().zip(sizes).collect();
                return Ok(Violation { conflict, dependence, source, sink, through, sizes });
            }
        }
    }
    Err(isl::Error::Refused("no concrete pair in a relation that is not empty".into()))
}

/// The smallest pair with the smallest sizes, or some pair; `None` when the relation is empty.
fn pair_of(scop: &Scop, map: &isl::Map) -> isl::Result<Option<(Vec<i64>, Instance, Instance)>> {
    let Some((sizes, source, sink)) = smallest(scop, map)? else { return Ok(None) };
    let instance = |kind, point: Vec<i64>| -> isl::Result<Instance> {
        let stmt = map.tuple_name(kind)?;
        let span = scop.stmt_named(&stmt).map(|id| scop.stmts[id].span).unwrap_or_default();
        Ok(Instance { stmt, point, span })
    };
    Ok(Some((sizes, instance(isl::Dim::In, source)?, instance(isl::Dim::Out, sink)?)))
}

/// The coordinates of a pair and its sizes.
pub(super) type Pair = (Vec<i64>, Vec<i64>, Vec<i64>);

/// The same in coordinates.
pub(super) fn smallest(scop: &Scop, map: &isl::Map) -> isl::Result<Option<Pair>> {
    let map = map.intersect_params(&scop.context)?.align_params(&scop.param_space()?)?;
    let (params, inputs) = (scop.params.len(), map.dim(isl::Dim::In)? as usize);
    let all = map.wrap()?.move_dims(isl::Dim::Set, 0, isl::Dim::Param, 0, params as u32)?;
    let smallest = scop.ctx.with_budget(SMALLEST, || all.lexmin()?.sample_point());
    let point = match smallest {
        Ok(point) => point,
        Err(_) => all.sample_point()?,
    };
    let Some(point) = point else { return Ok(None) };
    let (sizes, ends) = point.split_at(params);
    let (source, sink) = ends.split_at(inputs);
    Ok(Some((sizes.to_vec(), source.to_vec(), sink.to_vec())))
}

/// The tensor, and the element where it is known, by which the two instances depend on each other.
fn through(
    scop: &Scop,
    dependence: DependenceKind,
    source: &Instance,
    sink: &Instance,
    sizes: &[i64],
) -> Option<(String, Option<Vec<i64>>)> {
    let (first, second) = (&scop.stmts[scop.stmt_named(&source.stmt)?], &scop.stmts[scop.stmt_named(&sink.stmt)?]);
    let sources = if dependence == DependenceKind::Anti { &first.reads } else { &first.writes };
    let sinks =
        if dependence == DependenceKind::Flow { reads_and_state(second) } else { second.writes.iter().collect() };
    let mut unknown = None;
    for from in sources {
        for to in sinks.iter().filter(|to| to.tensor == from.tensor) {
            let name = || scop.tensors[from.tensor].name.clone();
            match (subscripts(from, &source.point, sizes), subscripts(to, &sink.point, sizes)) {
                (Some(a), Some(b)) if a == b => return Some((name(), Some(a))),
                (Some(_), Some(_)) => {}
                _ => unknown = unknown.or_else(|| Some((name(), None))),
            }
        }
    }
    unknown
}

fn reads_and_state(stmt: &Stmt) -> Vec<&Access> {
    let state = if stmt.body.is_reduce() { stmt.writes.as_slice() } else { &[] };
    stmt.reads.iter().chain(state).collect()
}

/// The element at a point; `None` when a subscript is indirect.
pub(super) fn subscripts(access: &Access, point: &[i64], sizes: &[i64]) -> Option<Vec<i64>> {
    let one = |subscript: &Subscript| match subscript {
        Subscript::Affine(index) => index.eval(point, sizes),
        Subscript::Indirect(_) => None,
    };
    access.index.iter().map(one).collect()
}

//! A checked definition to the middle form.

use std::collections::BTreeSet;
use std::fmt::Display;

use polyhedral::{Access, Body, DType, Expr, Index, Memory, Monoid, Nest, Scop, Stmt, TensorId, isl};
use support::{Entity, Malformed, Table};

use crate::ast::Reduction;
use crate::kernel::{Kernel, Precondition, Statement};
use crate::sema::{Read, Subscript};

/// The Scop of `kernel`, over its sizes. Its context holds what the call has checked.
///
/// # Errors
/// When isl fails, which for a checked kernel means that a quota of its context was exhausted.
pub fn lower(kernel: &Kernel, ctx: &isl::Ctx) -> Result<Scop, Malformed> {
    support::with_deep_stack(|| lowered(kernel, ctx, None))
}

/// The Scop of `kernel` for fixed sizes, without parameters. Subscripts that are counted round are a remainder by
/// a number here; with open sizes they have three cases, or are computed while running.
///
/// # Errors
/// As [`lower`].
pub fn lower_at(kernel: &Kernel, ctx: &isl::Ctx, sizes: &[i64]) -> Result<Scop, Malformed> {
    support::with_deep_stack(|| {
        let scop = lowered(kernel, ctx, Some(sizes))?;
        scop.specialise(sizes).map_err(|error| fault(&kernel.name, error))
    })
}

fn lowered(kernel: &Kernel, ctx: &isl::Ctx, sizes: Option<&[i64]>) -> Result<Scop, Malformed> {
    let tensors = kernel.tensors.iter().map(|tensor| polyhedral::Tensor {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        lower: tensor.lower.clone(),
        extent: tensor.extent.clone(),
        role: tensor.role,
        memory: Memory::Global,
        layout: None,
        streamed: false,
        span: tensor.span,
    });
    let mut scop = empty(kernel, ctx, tensors.collect()).map_err(|error| fault(&kernel.name, error))?;
    let (mut open, cases) = (Vec::new(), with_cases(kernel));
    for statement in &kernel.statements {
        let builder = Builder { kernel, statement, sizes, cases: &cases };
        for stmt in builder.stmts(&scop)? {
            let (dims, around) = (stmt.dims.clone(), statement.loops.len());
            let id = scop.stmts.push(stmt);
            let own = Nest::of_stmt(id, &dims[around..]);
            nested(&mut scop.source, &statement.loops, &dims[..around], &open, own);
            open.clone_from(&statement.loops);
        }
    }
    finish(scop).map_err(|error| fault(&kernel.name, error))
}

/// Cases of all accesses to tensors that are only read, times dimensions: each is a piece of a relation. A stencil in three
/// dimensions with all neighbours of an element has 372.
const MOST_CASES: usize = 729;
/// The same of tensors that are written: finding what depends on what takes work for every pair of them. All eight neighbours
/// of an element in two dimensions have 48, which takes a second.
const MOST_WRITTEN: usize = 48;

/// The tensors in which what is counted round is a subscript of several cases, and not one that only running tells: the first
/// ones, as many as there is room for.
fn with_cases(kernel: &Kernel) -> BTreeSet<usize> {
    let (mut read, mut written) = (MOST_CASES, MOST_WRITTEN);
    let mut fits = |tensor: &usize| {
        let is_written = kernel.statements.iter().any(|statement| statement.target == *tensor);
        let left = if is_written { &mut written } else { &mut read };
        let rest = left.checked_sub(cases_of(kernel, *tensor));
        *left = rest.unwrap_or(*left);
        rest.is_some()
    };
    (0..kernel.tensors.len()).filter(|tensor| fits(tensor)).collect()
}

/// How many cases the accesses have that count round in the tensor, times its dimensions.
fn cases_of(kernel: &Kernel, tensor: usize) -> usize {
    let cases = |index: &[Subscript]| {
        let of = |subscript: &Subscript| if let Subscript::Wrapped(wrapped) = subscript { wrapped.cases() } else { 1 };
        index.iter().map(of).fold(1, usize::saturating_mul)
    };
    let read = kernel.statements.iter().flat_map(|statement| &statement.reads);
    let read = read.filter(|read| read.tensor == tensor).map(|read| cases(&read.index));
    let written = kernel.statements.iter().filter(|statement| statement.target == tensor);
    let all = read.chain(written.map(|statement| cases(&statement.element)));
    let all = all.filter(|&cases| cases > 1).fold(0, usize::saturating_add);
    all.saturating_mul(kernel.tensors[tensor].extent.len())
}

/// Puts `own` into `loops`, of which the first that are also in `open` are the last in `nests` already.
fn nested(nests: &mut Vec<Nest>, loops: &[usize], names: &[String], open: &[usize], own: Nest) {
    let (Some((number, inner)), Some((name, names))) = (loops.split_first(), names.split_first()) else {
        nests.push(own);
        return;
    };
    if open.first() == Some(number)
        && let Some(Nest::Loop { body, .. }) = nests.last_mut()
    {
        return nested(body, inner, names, &open[1..], own);
    }
    let mut body = Vec::new();
    nested(&mut body, inner, names, &[], own);
    nests.push(Nest::Loop { name: name.clone(), body });
}

fn fault(entity: &str, error: impl Display) -> Malformed {
    Malformed::new("scop", entity, error.to_string())
}

/// The Scop without its statements.
fn empty(kernel: &Kernel, ctx: &isl::Ctx, tensors: Table<TensorId, polyhedral::Tensor>) -> isl::Result<Scop> {
    let context = context(kernel, ctx)?;
    let domain = isl::UnionSet::empty(ctx)?;
    Ok(Scop {
        name: kernel.name.clone(),
        ctx: ctx.clone(),
        params: kernel.sizes.iter().map(|size| dim_name(size, kernel)).collect(),
        context,
        tensors,
        stmts: Table::new(),
        source: Vec::new(),
        tree: polyhedral::ScheduleTree { domain: domain.clone(), root: polyhedral::Node::Leaf },
        origin: domain.identity()?,
    })
}

fn finish(mut scop: Scop) -> isl::Result<Scop> {
    scop.tree = polyhedral::ScheduleTree::from_source(&scop)?;
    scop.origin = scop.domain()?.identity()?;
    Ok(scop)
}

/// isl operations for the question whether there are sizes at all; past it there may be.
const OPERATIONS: u64 = 100_000;

/// Whether no sizes satisfy all preconditions.
pub(crate) fn admits_no_sizes(kernel: &Kernel) -> bool {
    let ctx = isl::Ctx::new();
    !kernel.preconditions.is_empty()
        && ctx.with_budget(OPERATIONS, || context(kernel, &ctx)?.is_empty()).unwrap_or(false)
}

/// Sizes are not negative, and the preconditions hold.
fn context(kernel: &Kernel, ctx: &isl::Ctx) -> isl::Result<isl::Set> {
    let names: Vec<String> = kernel.sizes.iter().map(|size| dim_name(size, kernel)).collect();
    let space = isl::Space::parameters(ctx, &names)?.set_from_params()?;
    let mut set = space.universe_set()?;
    for at in 0..kernel.sizes.len() {
        set = set.intersect(&Index::Param(at).to_pw_aff(&space)?.nonneg_set()?)?;
    }
    for Precondition { any, extents, .. } in &kernel.preconditions {
        let mut holds = isl::Set::complement(&space.universe_set()?)?;
        for value in any {
            holds = holds.union(&value.to_pw_aff(&space)?.nonneg_set()?)?;
        }
        for extent in extents {
            holds = holds.union(&(-extent.clone()).to_pw_aff(&space)?.nonneg_set()?)?;
        }
        set = set.intersect(&holds)?;
    }
    set.coalesce()?.params()
}

/// The statements of the middle form for one of the language.
struct Builder<'a> {
    kernel: &'a Kernel,
    statement: &'a Statement,
    /// The values of the sizes, when they are fixed.
    sizes: Option<&'a [i64]>,
    /// The tensors in which what is counted round is a subscript of several cases.
    cases: &'a BTreeSet<usize>,
}

/// Which instances a statement has, and the element of each: all those of the statement, or the elements of the tensor
/// where data says which one is written.
struct Place {
    dims: Vec<String>,
    domain: isl::Set,
    element: Vec<polyhedral::Subscript>,
}

impl Builder<'_> {
    /// `C` for `=`, `C.init` and `C.update` for a reduction with `!`, `C.update` for one without; `.2` and so on where a
    /// tensor is written again. A reduction of a half type is accumulated in a wider temporary, from `C.init` on, and
    /// rounded by `C.round`.
    fn stmts(&self, scop: &Scop) -> Result<Vec<Stmt>, Malformed> {
        let statement = self.statement;
        let Some(reduction) = statement.assign.reduction else {
            let reads = self.reads();
            let body = Body::Assign(vec![statement.value.clone()]);
            return Ok(vec![self.stmt("", self.all("", scop)?, reads, &[statement.target], body)]);
        };
        let dtypes = match (statement.extreme, statement.wider) {
            (Some(extreme), _) => vec![self.dtype(statement.target), self.dtype(extreme)],
            (_, Some(wider)) => vec![self.dtype(wider)],
            _ => vec![self.dtype(statement.target)],
        };
        let monoid = monoid(reduction, &dtypes);
        if self.reads_itself() {
            return self.in_order(&monoid, scop);
        }
        let updated = match (statement.extreme, statement.wider) {
            (Some(extreme), _) => vec![statement.target, extreme],
            (_, Some(wider)) => vec![wider],
            _ => vec![statement.target],
        };
        let mut stmts = Vec::new();
        if statement.assign.init {
            stmts.push(self.init(&monoid, &updated, scop)?);
        } else if statement.wider.is_some() {
            let own = vec![Expr::Cast(dtypes[0], Box::new(Expr::Load(0)))];
            stmts.push(self.copy(".init", statement.target, &updated, own, scop)?);
        }
        let body = Body::Reduce { terms: self.terms(&monoid), monoid };
        stmts.push(self.stmt(".update", self.all(".update", scop)?, self.reads(), &updated, body));
        if let Some(wider) = statement.wider {
            let rounded = vec![Expr::Cast(self.dtype(statement.target), Box::new(Expr::Load(0)))];
            stmts.push(self.copy(".round", wider, &[statement.target], rounded, scop)?);
        }
        Ok(stmts)
    }

    fn dtype(&self, tensor: usize) -> DType {
        self.kernel.tensors[tensor].dtype
    }

    /// What an instance contributes to each component of the monoid.
    fn terms(&self, monoid: &Monoid) -> Vec<Expr> {
        if self.statement.extreme.is_none() {
            return vec![self.statement.value.clone()];
        }
        let index = Expr::Index(Index::Dim(self.statement.left));
        let index = if monoid.dtypes[0] == DType::I64 { index } else { Expr::Cast(monoid.dtypes[0], Box::new(index)) };
        vec![index, self.statement.value.clone()]
    }

    /// Whether a term may read what the statement accumulates into: not where a subscript always differs.
    fn reads_itself(&self) -> bool {
        let differs = |read: &Read| {
            read.index.iter().zip(&self.statement.element).any(|(a, b)| match (a, b) {
                (Subscript::Affine(a), Subscript::Affine(b)) => {
                    a.minus(b).and_then(|gap| gap.as_constant()).is_some_and(|gap| gap != 0)
                }
                _ => false,
            })
        };
        self.statement.reads.iter().any(|read| read.tensor == self.statement.target && !differs(read))
    }

    /// A reduction whose terms depend on what it accumulates into is none: it is an assignment, in the order that is
    /// written.
    fn in_order(&self, monoid: &Monoid, scop: &Scop) -> Result<Vec<Stmt>, Malformed> {
        let statement = self.statement;
        let mut stmts = Vec::new();
        let updated: Vec<usize> = [Some(statement.target), statement.extreme].into_iter().flatten().collect();
        if statement.assign.init {
            let half = statement.wider.map(|_| self.dtype(statement.target));
            let mut init = self.init(monoid, &updated, scop)?;
            if let Some(half) = half {
                init.body = Body::Assign(vec![Expr::Const(monoid.identity[0], half)]);
            }
            stmts.push(init);
        }
        let place = self.all(".update", scop)?;
        let mut reads = self.reads();
        let first = reads.len();
        for &tensor in &updated {
            reads.push(Access { tensor: TensorId::new(tensor), index: place.element.clone(), span: statement.span });
        }
        let terms = self.terms(monoid);
        let half = statement.wider.map(|_| self.dtype(statement.target));
        let combined = monoid.combine.iter().map(|combine| {
            let value = combine.map(&mut |e| match e {
                Expr::State(at) if half.is_some() => Expr::Cast(DType::F32, Box::new(Expr::Load(first + at))),
                Expr::State(at) => Expr::Load(first + at),
                Expr::Term(at) => terms[at].clone(),
                other => other,
            });
            half.map_or(value.clone(), |half| Expr::Cast(half, Box::new(value)))
        });
        let body = Body::Assign(combined.collect());
        stmts.push(self.stmt(".update", place, reads, &updated, body));
        Ok(stmts)
    }

    /// The neutral element in every element that the statement writes, or, where data says which, in every one there is.
    fn init(&self, monoid: &Monoid, updated: &[usize], scop: &Scop) -> Result<Stmt, Malformed> {
        let identity = monoid.identity.iter().zip(&monoid.dtypes);
        let body = Body::Assign(identity.map(|(value, dtype)| Expr::Const(*value, *dtype)).collect());
        Ok(self.stmt(".init", self.elements(".init", scop)?, Vec::new(), updated, body))
    }

    /// The elements that the statement writes, from one tensor to another.
    fn copy(&self, kind: &str, from: usize, to: &[usize], value: Vec<Expr>, scop: &Scop) -> Result<Stmt, Malformed> {
        let place = self.elements(kind, scop)?;
        let index = place.element.clone();
        let reads = vec![Access { tensor: TensorId::new(from), index, span: self.statement.span }];
        Ok(self.stmt(kind, place, reads, to, Body::Assign(value)))
    }

    fn stmt(&self, kind: &str, place: Place, reads: Vec<Access>, written: &[usize], body: Body) -> Stmt {
        let span = self.statement.span;
        let Place { dims, domain, element } = place;
        let write = |&tensor: &usize| Access { tensor: TensorId::new(tensor), index: element.clone(), span };
        let writes = written.iter().map(write).collect();
        Stmt { name: self.name(kind), dims, domain, reads, writes, body, span }
    }

    fn name(&self, kind: &str) -> String {
        let Statement { target, occurrence, .. } = self.statement;
        let again = if *occurrence > 1 { format!(".{occurrence}") } else { String::new() };
        format!("{}{kind}{again}", self.kernel.tensors[*target].name)
    }

    fn reads(&self) -> Vec<Access> {
        let access = |read: &Read| Access {
            tensor: TensorId::new(read.tensor),
            index: read.index.iter().map(|subscript| self.subscript(read.tensor, subscript)).collect(),
            span: read.span,
        };
        self.statement.reads.iter().map(access).collect()
    }

    /// A subscript of a tensor.
    fn subscript(&self, tensor: usize, subscript: &Subscript) -> polyhedral::Subscript {
        match subscript {
            Subscript::Affine(affine) => polyhedral::Subscript::Affine(affine.to_index()),
            Subscript::Indirect(expr) => polyhedral::Subscript::Indirect(expr.clone()),
            Subscript::Border(_, inner) => self.subscript(tensor, inner),
            Subscript::Wrapped(wrapped) => {
                let extent = self.sizes.and_then(|sizes| wrapped.extent.to_index().eval(&[], sizes));
                match extent {
                    Some(extent @ 1..) => {
                        let (value, first) = (wrapped.value.to_index(), wrapped.first.to_index());
                        polyhedral::Subscript::Affine((value - first.clone()).modulo(extent) + first)
                    }
                    _ => match wrapped.to_index().filter(|_| self.cases.contains(&tensor)) {
                        Some(index) => polyhedral::Subscript::Affine(index),
                        None => polyhedral::Subscript::Indirect(wrapped.to_expr()),
                    },
                }
            }
        }
    }

    /// The element that the statement writes.
    fn element(&self) -> Vec<polyhedral::Subscript> {
        let Statement { target, element, .. } = self.statement;
        element.iter().map(|subscript| self.subscript(*target, subscript)).collect()
    }

    /// Every instance.
    fn all(&self, kind: &str, scop: &Scop) -> Result<Place, Malformed> {
        let element = self.element();
        self.place(kind, self.statement.indices.len(), element, scop)
    }

    fn place(
        &self,
        kind: &str,
        dims: usize,
        element: Vec<polyhedral::Subscript>,
        scop: &Scop,
    ) -> Result<Place, Malformed> {
        let name = self.name(kind);
        let names: Vec<String> = self.statement.indices.iter().map(|index| dim_name(index, self.kernel)).collect();
        let domain = self.domain(&name, &names, dims, scop).map_err(|error| fault(&name, error))?;
        Ok(Place { dims: names[..dims].to_vec(), domain, element })
    }

    /// The instances, of which only the first `dims` dimensions stay.
    fn domain(&self, name: &str, names: &[String], dims: usize, scop: &Scop) -> isl::Result<isl::Set> {
        let ranges = &self.statement.ranges;
        let deepest = |index: &Index| index.dims_used().last().map_or(0, |at| at + 1);
        let needed = ranges[..dims].iter().map(|(first, extent)| deepest(first).max(deepest(extent))).max();
        let all = if needed.is_some_and(|needed| needed > dims) { names.len() } else { dims };
        let space = scop.param_space()?.named_set(name, &names[..all])?;
        let mut set = space.universe_set()?;
        for (at, (first, extent)) in ranges.iter().take(all).enumerate() {
            let here = Index::Dim(at);
            let from = (here.clone() - first.clone()).to_pw_aff(&space)?.nonneg_set()?;
            let to = (first.clone() + extent.clone() - here - 1).to_pw_aff(&space)?.nonneg_set()?;
            set = set.intersect(&from)?.intersect(&to)?;
        }
        if all > dims {
            set = set.project_out(isl::Dim::Set, dims as u32, (all - dims) as u32)?.with_tuple_name(name)?;
        }
        set.intersect_params(&scop.context)?.coalesce()
    }

    /// The elements that the statement writes, once each iteration of the loops around; in dimensions where data says
    /// which, all that the tensor has.
    fn elements(&self, kind: &str, scop: &Scop) -> Result<Place, Malformed> {
        let statement = self.statement;
        let element = self.element();
        if element.iter().all(|subscript| matches!(subscript, polyhedral::Subscript::Affine(_))) {
            return self.place(kind, statement.left, element, scop);
        }
        self.everywhere(kind, scop).map_err(|error| fault(&self.name(kind), error))
    }

    /// The elements in dimensions of their own behind the loops around, with affine subscripts kept as conditions.
    fn everywhere(&self, kind: &str, scop: &Scop) -> isl::Result<Place> {
        let statement = self.statement;
        let (around, name) = (statement.loops.len(), self.name(kind));
        let tensor = &self.kernel.tensors[statement.target];
        let mut dims: Vec<String> =
            statement.indices[..around].iter().map(|index| dim_name(index, self.kernel)).collect();
        for at in 0..tensor.extent.len() {
            dims.push(format!("{}_{at}", tensor.name));
        }
        let space = scop.param_space()?.named_set(&name, &dims)?;
        let own = tensor.lower.iter().zip(&tensor.extent);
        let bounds = statement.ranges[..around].iter().map(|(first, extent)| (first, extent)).chain(own);
        let mut set = space.universe_set()?;
        for (at, (first, extent)) in bounds.enumerate() {
            let here = Index::Dim(at);
            let from = (here.clone() - first.clone()).to_pw_aff(&space)?.nonneg_set()?;
            let to = (first.clone() + extent.clone() - here - 1).to_pw_aff(&space)?.nonneg_set()?;
            set = set.intersect(&from)?.intersect(&to)?;
        }
        let element =
            (0..tensor.extent.len()).map(|at| polyhedral::Subscript::Affine(Index::Dim(around + at))).collect();
        let domain = set.intersect_params(&scop.context)?.coalesce()?;
        Ok(Place { dims, domain, element })
    }
}

fn monoid(reduction: Reduction, dtypes: &[DType]) -> Monoid {
    let dtype = dtypes[0];
    match reduction {
        Reduction::Sum => Monoid::sum(dtype),
        Reduction::Product => Monoid::prod(dtype),
        Reduction::Min => Monoid::min(dtype),
        Reduction::Max => Monoid::max(dtype),
        Reduction::All => Monoid::all(),
        Reduction::Any => Monoid::any(),
        Reduction::BitAnd => Monoid::bit_and(dtype),
        Reduction::BitOr => Monoid::bit_or(dtype),
        Reduction::BitXor => Monoid::bit_xor(dtype),
        Reduction::ArgMin => Monoid::arg_min(dtype, dtypes[dtypes.len() - 1]),
        Reduction::ArgMax => Monoid::arg_max(dtype, dtypes[dtypes.len() - 1]),
    }
}

/// Words of isl's notation, in any case: no index or size of a set may be called so.
const ISL_WORDS: [&str; 18] = [
    "exists", "and", "or", "implies", "not", "infty", "infinity", "nan", "min", "max", "rat", "true", "false", "ceild",
    "floord", "mod", "ceil", "floor",
];

/// The name of an index or size inside sets: its own, with underscores behind it where isl would misread it.
fn dim_name(name: &str, kernel: &Kernel) -> String {
    let taken = |name: &str| {
        kernel.sizes.iter().any(|size| size == name)
            || kernel.statements.iter().any(|statement| statement.indices.iter().any(|index| index == name))
    };
    let mut safe = name.to_string();
    if ISL_WORDS.iter().any(|word| word.eq_ignore_ascii_case(name)) {
        safe.push('_');
        while taken(&safe) {
            safe.push('_');
        }
    }
    safe
}

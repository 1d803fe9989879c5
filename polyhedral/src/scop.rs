use support::{Span, Table, entity};

use std::collections::BTreeSet;

use crate::{DType, Expr, Index, Monoid, ScheduleTree, isl};

entity!(/** A statement of a [`Scop`]; prints as `S0`. */ StmtId, "S");
entity!(/** A tensor of a [`Scop`]; prints as `T0`. */ TensorId, "T");

/// A static-control program: what flows between the stages.
#[derive(Clone, Debug)]
pub struct Scop {
    /// The definition's name.
    pub name: String,
    /// isl's context of every set in here.
    pub ctx: isl::Ctx,
    /// The size parameters, by position in every [`Index`] and in every set.
    pub params: Vec<String>,
    /// What is known of the parameters: a parameter set.
    pub context: isl::Set,
    /// The tensors. Arguments come first, in the order of the call: inputs, then outputs; then temporaries.
    pub tensors: Table<TensorId, Tensor>,
    /// The statements, in source order.
    pub stmts: Table<StmtId, Stmt>,
    /// The order of the source program, by nesting. Empty once a command changed the statements: then `tree` alone says
    /// in which order they run.
    pub source: Vec<Nest>,
    /// The order in which the instances run; the source's at first, changed by commands only.
    pub tree: ScheduleTree,
    /// From each instance to the instance of the source program whose value it computes; identity at first. Copies and
    /// prefetches have none: what a copy carries is the origin of what it reads.
    pub origin: isl::UnionMap,
}

/// What the caller and the program do with a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Live-in, never written.
    Input,
    /// Live-out; what the caller had in it is not read.
    Output,
    /// Live-in and live-out: `+=` on the caller's contents.
    InOut,
    /// Neither: lives during the call.
    Temporary,
}

/// Where a tensor lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Memory {
    /// The caller's, or the workspace: one memory for all threads.
    #[default]
    Global,
    /// The frame of a thread: each iteration of the parallel loops around all accesses has a memory of its own, with
    /// nothing in it at first. Temporaries only.
    Stack,
    /// What the threads of a block of a [`Kernel`](crate::Kernel) share: each iteration of the loops on blocks around all
    /// accesses has a memory of its own, with nothing in it at first. Temporaries only.
    Shared,
    /// What a thread of a block keeps for itself as long as the block runs, across barriers, in its registers where
    /// subscripts are constants in the end. It has nothing in it at first. Temporaries of one kernel only.
    Registers,
    /// Memory of each rank's own: the first subscript says whose ([`legality::isolated`](crate::legality::isolated)). Temporaries
    /// only.
    Rank,
    /// On the way between ranks: an element is written once, by the rank that sends it, and read once, by the one that
    /// receives it. Temporaries only.
    Message,
}

impl Memory {
    /// The most bytes that the tensors on the stack may have together: an eighth of what a thread of a pool usually gets.
    pub const STACK_BYTES: i64 = 256 << 10;

    /// The word for it, in scripts and in programs.
    pub fn word(self) -> &'static str {
        match self {
            Memory::Global => "global",
            Memory::Stack => "stack",
            Memory::Shared => "shared",
            Memory::Registers => "registers",
            Memory::Rank => "rank",
            Memory::Message => "message",
        }
    }

    /// The memory that a word of a script is for; what ranks have is the command `exchange`'s to give out.
    pub fn parse(word: &str) -> Option<Memory> {
        [Memory::Global, Memory::Stack, Memory::Shared, Memory::Registers].into_iter().find(|one| one.word() == word)
    }

    /// Whether iterations that run in threads of execution of their own may have memories of their own.
    pub fn is_own(self) -> bool {
        matches!(self, Memory::Stack | Memory::Shared | Memory::Registers)
    }
}

/// How the elements of a temporary lie in its memory: a map to storage cells, which are dense and row-major.
///
/// ```text
/// [i, j] = [j, i] of [N, M]              transposed
/// [t, i] = [t mod 2, i] of [2, N]        folded: two elements share a cell, whose lifetimes must not overlap
/// [i, j] = [floor(i / 8), j, i mod 8] of [M / 8, N, 8]
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The cell: one coordinate for each storage dimension, over the subscripts ([`Index::Dim`], in the coordinates of
    /// the source) and the parameters.
    pub cell: Vec<Index>,
    /// Cells in each storage dimension, over the parameters; more than are used is padding.
    pub extent: Vec<Index>,
}

/// A tensor: a box of elements, dense and row-major unless the caller's strides or a layout say otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in the source.
    pub name: String,
    /// The type of an element.
    pub dtype: DType,
    /// The smallest subscript of each dimension, over the parameters; 0 for inputs. Stored densely from here.
    pub lower: Vec<Index>,
    /// The extent of each dimension, over the parameters.
    pub extent: Vec<Index>,
    /// What happens to it.
    pub role: Role,
    /// Where it lives.
    pub memory: Memory,
    /// How its elements lie there, when not densely from `lower` on, row-major. Temporaries only.
    pub layout: Option<Layout>,
    /// Whether stores to it go past the caches: a wish about speed, which changes no value. Not inputs, and nothing on
    /// the stack.
    pub streamed: bool,
    /// Where it is declared or first written.
    pub span: Span,
}

/// A statement: one computation for every point of its domain.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// Named after what it writes: `C.init`, `C.update`. Also the name of its tuple in every set.
    pub name: String,
    /// Names of the dimensions.
    pub dims: Vec<String>,
    /// The instances: a set `name[dims]`, bounded for fixed parameters.
    pub domain: isl::Set,
    /// What it reads; [`Expr::Load`] counts these. Reads of an update's own state are not listed.
    pub reads: Vec<Access>,
    /// What it writes: one element per component. A statement that writes nothing is a prefetch of what it reads,
    /// or, reading nothing either, a barrier of a [`Kernel`](crate::Kernel).
    pub writes: Vec<Access>,
    /// What it computes.
    pub body: Body,
    /// Its place in the source.
    pub span: Span,
}

/// What a statement computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `writes[i] = values[i]`, all values computed before any is stored.
    Assign(Vec<Expr>),
    /// `writes = monoid(writes, terms)`: a reduction, whose instances may run in any order unless the caller is strict.
    Reduce {
        /// How the terms combine with what is there.
        monoid: Monoid,
        /// What this instance contributes, one for each component.
        terms: Vec<Expr>,
    },
}

impl Body {
    /// The values or terms.
    pub fn exprs(&self) -> &[Expr] {
        match self {
            Body::Assign(values) => values,
            Body::Reduce { terms, .. } => terms,
        }
    }

    /// The same, to be changed.
    pub fn exprs_mut(&mut self) -> &mut [Expr] {
        match self {
            Body::Assign(values) => values,
            Body::Reduce { terms, .. } => terms,
        }
    }

    /// Whether it is a reduction.
    pub fn is_reduce(&self) -> bool {
        matches!(self, Body::Reduce { .. })
    }
}

/// The element of a tensor that an instance touches.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The tensor.
    pub tensor: TensorId,
    /// One for each dimension, in the coordinates of the source (from `lower` on).
    pub index: Vec<Subscript>,
    /// Its place in the source.
    pub span: Span,
}

/// One subscript.
#[derive(Clone, Debug, PartialEq)]
pub enum Subscript {
    /// Quasi-affine in the dimensions and parameters; proved to be inside the tensor.
    Affine(Index),
    /// An integer value computed from other reads of the statement, which come earlier in its list; checked while running.
    Indirect(Expr),
}

impl Access {
    /// The subscripts when all are affine.
    pub fn affine(&self) -> Option<Vec<&Index>> {
        self.index
            .iter()
            .map(|subscript| match subscript {
                Subscript::Affine(index) => Some(index),
                Subscript::Indirect(_) => None,
            })
            .collect()
    }

    /// The reads of the statement, by position, whose values its indirect subscripts are computed from.
    pub fn found_by(&self) -> BTreeSet<usize> {
        let mut reads = BTreeSet::new();
        for subscript in &self.index {
            if let Subscript::Indirect(expr) = subscript {
                expr.visit(&mut |part| reads.extend(if let Expr::Load(at) = part { Some(*at) } else { None }));
            }
        }
        reads
    }
}

/// The source order: loops and statements as they are nested. A loop at depth `d` runs over dimension `d` of every
/// statement in it, upwards, one iteration of all of them after the other; its children run in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nest {
    /// A loop over the next dimension of the statements in it.
    Loop {
        /// The index's name.
        name: String,
        /// What runs in each iteration, in order.
        body: Vec<Nest>,
    },
    /// One instance of a statement, whose dimensions are the loops around it.
    Stmt(StmtId),
}

impl Nest {
    /// A statement under loops of its own, one for each of `dims`.
    pub fn of_stmt(stmt: StmtId, dims: &[String]) -> Nest {
        dims.iter().rev().fold(Nest::Stmt(stmt), |body, name| Nest::Loop { name: name.clone(), body: vec![body] })
    }

    /// The statements inside, in order.
    pub fn stmts(&self) -> Vec<StmtId> {
        match self {
            Nest::Stmt(stmt) => vec![*stmt],
            Nest::Loop { body, .. } => body.iter().flat_map(Nest::stmts).collect(),
        }
    }
}

impl Scop {
    /// The statement with that name.
    pub fn stmt_named(&self, name: &str) -> Option<StmtId> {
        self.stmts.find(|stmt| stmt.name == name)
    }

    /// The tensor with that name.
    pub fn tensor_named(&self, name: &str) -> Option<TensorId> {
        self.tensors.find(|tensor| tensor.name == name)
    }

    /// The union of all domains.
    pub fn domain(&self) -> isl::Result<isl::UnionSet> {
        let domains = self.stmts.values().map(|stmt| stmt.domain.to_union_set()).collect::<isl::Result<_>>()?;
        isl::UnionSet::union_of(&self.ctx, domains)
    }

    /// The space of the parameters.
    pub fn param_space(&self) -> isl::Result<isl::Space> {
        isl::Space::parameters(&self.ctx, &self.params)
    }

    /// The types of a statement's reads, as [`Expr::dtype`] wants them.
    pub fn load_types(&self, stmt: &Stmt) -> Vec<DType> {
        stmt.reads.iter().map(|access| self.tensors[access.tensor].dtype).collect()
    }

    /// The elements of a tensor, as a set `T[…]` in the coordinates of the source.
    pub fn elements(&self, tensor: TensorId) -> isl::Result<isl::Set> {
        let Tensor { name, lower, extent, .. } = &self.tensors[tensor];
        let dims: Vec<String> = (0..extent.len()).map(|at| format!("{name}_{at}")).collect();
        let space = self.param_space()?.named_set(name, &dims)?;
        let mut set = space.universe_set()?;
        for (at, (lower, extent)) in lower.iter().zip(extent).enumerate() {
            let here = Index::Dim(at);
            let from = (here.clone() - lower.clone()).to_pw_aff(&space)?.nonneg_set()?;
            let to = (lower.clone() + extent.clone() - here - 1).to_pw_aff(&space)?.nonneg_set()?;
            set = set.intersect(&from)?.intersect(&to)?;
        }
        set.intersect_params(&self.context)
    }

    /// The access relation `stmt[dims] -> tensor[subscripts]` on the statement's domain; an indirect subscript may be
    /// any of the tensor's.
    pub fn relation(&self, stmt: &Stmt, access: &Access) -> isl::Result<isl::Map> {
        let elements = self.elements(access.tensor)?;
        let space = stmt.domain.space()?;
        let mut map = stmt.domain.identity()?.project_out(isl::Dim::Out, 0, stmt.dims.len() as u32)?;
        for subscript in &access.index {
            let one = match subscript {
                Subscript::Affine(index) => index.to_pw_aff(&space)?.to_map()?,
                Subscript::Indirect(_) => space.map_to_one()?,
            };
            map = map.flat_range_product(&one)?;
        }
        map.with_tuple_name(isl::Dim::Out, &self.tensors[access.tensor].name)?
            .intersect_domain(&stmt.domain)?
            .intersect_range(&elements)
    }

    /// From the elements of a tensor to the cells that hold them: `T[…] -> T[…]`, the first in the coordinates of the
    /// source, the second in those of its [`Layout`]; the identity when it has none.
    pub fn storage(&self, tensor: TensorId) -> isl::Result<isl::Map> {
        let elements = self.elements(tensor)?;
        let Tensor { name, layout, extent, .. } = &self.tensors[tensor];
        let Some(layout) = layout else { return elements.identity() };
        let space = elements.space()?;
        let mut map = elements.identity()?.project_out(isl::Dim::Out, 0, extent.len() as u32)?;
        for index in &layout.cell {
            map = map.flat_range_product(&index.to_pw_aff(&space)?.to_map()?)?;
        }
        map.with_tuple_name(isl::Dim::Out, name)?.intersect_domain(&elements)
    }

    /// The relation from the instances to the storage cells that an access touches.
    pub fn cells(&self, stmt: &Stmt, access: &Access) -> isl::Result<isl::Map> {
        let elements = self.relation(stmt, access)?;
        match self.tensors[access.tensor].layout {
            Some(_) => elements.apply_range(&self.storage(access.tensor)?),
            None => Ok(elements),
        }
    }

    /// Whether the statements are still those of the source, in its order by [`Scop::source`].
    pub fn is_source(&self) -> bool {
        !self.source.is_empty() || self.stmts.is_empty()
    }

    /// The program for fixed sizes, without parameters.
    ///
    /// # Errors
    /// When isl fails; `sizes` must have one value for each parameter and satisfy the context, and the program must be
    /// [that of the source](Scop::is_source) (asserted).
    pub fn specialise(&self, sizes: &[i64]) -> isl::Result<Scop> {
        assert_eq!(sizes.len(), self.params.len(), "one size for each parameter");
        assert!(self.is_source(), "sizes are fixed before commands change the statements");
        let n = sizes.len() as u32;
        let fix = |set: &isl::Set| -> isl::Result<isl::Set> {
            let model = set.align_params(&self.param_space()?)?;
            let fixed = sizes
                .iter()
                .enumerate()
                .try_fold(model, |set, (at, &size)| set.fix(isl::Dim::Param, at as u32, size))?;
            let fixed = fixed.project_out(isl::Dim::Param, 0, n)?.coalesce()?;
            // isl does not see of every set that it is empty, and the tree has no loops for one that it does.
            if fixed.is_empty()? { fixed.subtract(&fixed) } else { Ok(fixed) }
        };
        let mut scop = self.clone();
        scop.params.clear();
        scop.context = fix(&self.context)?;
        for (_, tensor) in scop.tensors.iter_mut() {
            let Tensor { lower, extent, layout, .. } = tensor;
            let layout = layout.iter_mut().flat_map(|layout| layout.cell.iter_mut().chain(&mut layout.extent));
            for index in lower.iter_mut().chain(extent).chain(layout) {
                *index = index.with_params(sizes);
            }
        }
        for (_, stmt) in scop.stmts.iter_mut() {
            stmt.domain = fix(&stmt.domain)?;
            stmt.fix_params(sizes);
        }
        scop.tree = ScheduleTree::from_source(&scop)?;
        scop.origin = scop.domain()?.identity()?;
        Ok(scop)
    }
}

impl Stmt {
    /// Every access, reads first.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        self.reads.iter().chain(&self.writes)
    }

    /// Whether everything that it writes is of another tensor.
    pub fn has_results_apart(&self) -> bool {
        let mut others = self.writes.iter().enumerate();
        others.all(|(at, write)| self.writes[..at].iter().all(|other| other.tensor != write.tensor))
    }

    fn fix_params(&mut self, sizes: &[i64]) {
        let fix = |expr: &Expr| {
            expr.map(&mut |e| match e {
                Expr::Index(index) => Expr::Index(index.with_params(sizes)),
                other => other,
            })
        };
        for access in self.reads.iter_mut().chain(&mut self.writes) {
            for subscript in &mut access.index {
                *subscript = match subscript {
                    Subscript::Affine(index) => Subscript::Affine(index.with_params(sizes)),
                    Subscript::Indirect(expr) => Subscript::Indirect(fix(expr)),
                };
            }
        }
        for expr in self.body.exprs_mut() {
            *expr = fix(expr);
        }
    }
}

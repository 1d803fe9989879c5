//! What the statements inside one iteration touch of a tensor.

use polyhedral::{Access, Index, Role, Scop, Stmt, StmtId, TensorId, isl};

use crate::place;
use crate::refused::Reason;
use crate::storage::site::Site;

/// The accesses of the instances inside a site to one tensor; at least one.
pub(crate) struct Uses {
    /// The tensor.
    pub(crate) tensor: TensorId,
    /// In the order of the statements.
    pub(crate) accesses: Vec<Use>,
    /// Whether no other access to the tensor is in the program.
    all: bool,
}

/// One access.
pub(crate) struct Use {
    /// The statement that has it.
    pub(crate) stmt: StmtId,
    /// Which of its accesses.
    pub(crate) which: Which,
    /// The values of the site's members, over the statement's dimensions.
    pub(crate) values: Vec<Index>,
    /// From the instances to `[values -> element]`.
    cells: isl::Map,
}

/// Which access of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Read(usize),
    Write(usize),
}

impl Which {
    /// The access itself.
    pub(crate) fn of(self, stmt: &Stmt) -> &Access {
        match self {
            Which::Read(at) => &stmt.reads[at],
            Which::Write(at) => &stmt.writes[at],
        }
    }

    /// The same, to be changed.
    pub(crate) fn of_mut(self, stmt: &mut Stmt) -> &mut Access {
        match self {
            Which::Read(at) => &mut stmt.reads[at],
            Which::Write(at) => &mut stmt.writes[at],
        }
    }

    fn reads(self, stmt: &Stmt) -> bool {
        matches!(self, Which::Read(_)) || stmt.body.is_reduce()
    }

    fn overwrites(self, stmt: &Stmt) -> bool {
        matches!(self, Which::Write(_)) && !stmt.body.is_reduce()
    }
}

impl Uses {
    /// By the statements called `of`; by all inside when there are none.
    pub(crate) fn of(scop: &Scop, site: &Site, tensor: TensorId, of: &[String]) -> Result<Uses, Reason> {
        let chosen = statements(scop, of)?;
        let mut uses = Uses { tensor, accesses: Vec::new(), all: true };
        for (id, stmt) in scop.stmts.iter() {
            if !touches(stmt, tensor) {
                continue;
            }
            if !chosen.contains(&id) || site.inside(stmt)?.is_empty()? {
                uses.all = false;
                if !of.is_empty() && chosen.contains(&id) {
                    return Reason::precondition(format!("`{}` is not inside {}", stmt.name, site.described()));
                }
                continue;
            }
            uses.add(scop, site, id)?;
        }
        if uses.accesses.is_empty() {
            let (tensor, site) = (&scop.tensors[tensor].name, site.described());
            return Reason::precondition(format!("no statement inside {site} uses `{tensor}`"));
        }
        Ok(uses)
    }

    fn add(&mut self, scop: &Scop, site: &Site, id: StmtId) -> Result<(), Reason> {
        let stmt = &scop.stmts[id];
        let values = site.indices(stmt)?;
        for which in accesses_to(stmt, self.tensor) {
            let access = which.of(stmt);
            if access.affine().is_none() {
                let tensor = &scop.tensors[self.tensor].name;
                return Reason::precondition(format!("`{}` finds its element of `{tensor}` by data", stmt.name));
            }
            let cells = site.values(stmt)?.range_product(&scop.relation(stmt, access)?)?;
            self.accesses.push(Use { stmt: id, which, values: values.clone(), cells });
        }
        Ok(())
    }

    /// All that is touched: from the values of the site's members to the elements.
    pub(crate) fn touched(&self, scop: &Scop) -> isl::Result<isl::Map> {
        self.elements(scop, |_, _| true)
    }

    /// What is read, updates included, but for what an iteration itself overwrites before: from the values of the site's
    /// members to the elements.
    pub(crate) fn read_from_outside(&self, scop: &Scop) -> isl::Result<isl::Map> {
        let overwrites = self.union(scop, Which::overwrites)?;
        if overwrites.is_empty()? {
            return self.elements(scop, Which::reads);
        }
        let reads = self.union(scop, Which::reads)?;
        let none = isl::UnionMap::empty(&scop.ctx)?;
        let flow = isl::AccessInfo {
            sink: reads.clone(),
            must_source: overwrites,
            may_source: none.clone(),
            kill: none,
            schedule: isl::Times::Map(scop.tree.to_map()?),
        };
        let inside = flow.flow()?.range()?.unwrap()?;
        let outside = reads.subtract(&inside)?.range()?;
        match outside.is_empty()? {
            true => self.elements(scop, |_, _| false),
            false => outside.as_set()?.coalesce()?.unwrap(),
        }
    }

    /// What is written: from the values of the site's members to the elements.
    pub(crate) fn written(&self, scop: &Scop) -> isl::Result<isl::Map> {
        self.elements(scop, |which, _| matches!(which, Which::Write(_)))
    }

    /// Whether nothing else in the program, nor its caller, sees the tensor.
    pub(crate) fn are_all(&self, scop: &Scop) -> bool {
        self.all && scop.tensors[self.tensor].role == Role::Temporary
    }

    fn elements(&self, scop: &Scop, choose: fn(Which, &Stmt) -> bool) -> isl::Result<isl::Map> {
        let any = self.accesses[0].cells.range()?;
        let chosen = self.accesses.iter().filter(|used| choose(used.which, &scop.stmts[used.stmt]));
        chosen
            .map(|used| used.cells.range())
            .try_fold(any.subtract(&any)?, |all, one| all.union(&one?))?
            .coalesce()?
            .unwrap()
    }

    fn union(&self, scop: &Scop, choose: fn(Which, &Stmt) -> bool) -> isl::Result<isl::UnionMap> {
        let chosen = self.accesses.iter().filter(|used| choose(used.which, &scop.stmts[used.stmt]));
        chosen
            .map(|used| used.cells.to_union_map())
            .try_fold(isl::UnionMap::empty(&scop.ctx)?, |all, one| all.union(&one?))
    }
}

/// Whether a statement uses a tensor; a prefetch is of the memory behind.
pub(crate) fn touches(stmt: &Stmt, tensor: TensorId) -> bool {
    !stmt.writes.is_empty() && accesses_to(stmt, tensor).next().is_some()
}

/// The accesses of a statement to a tensor.
fn accesses_to(stmt: &Stmt, tensor: TensorId) -> impl Iterator<Item = Which> {
    let reads = (0..stmt.reads.len()).map(Which::Read);
    let all = reads.chain((0..stmt.writes.len()).map(Which::Write));
    all.filter(move |which| which.of(stmt).tensor == tensor)
}

/// The statements with these names; all of them for none.
pub(crate) fn statements(scop: &Scop, names: &[String]) -> Result<Vec<StmtId>, Reason> {
    if names.is_empty() {
        return Ok(scop.stmts.keys().collect());
    }
    let known = || scop.stmts.values().map(|stmt| stmt.name.clone()).collect::<Vec<_>>();
    names
        .iter()
        .map(|name| match scop.stmt_named(name) {
            Some(id) => Ok(id),
            None => Reason::precondition(place::no_such("statement", name, &known())),
        })
        .collect()
}

/// The tensor with that name, or a sentence with the names that there are.
pub(crate) fn tensor_named(scop: &Scop, name: &str) -> Result<TensorId, Reason> {
    let known = || scop.tensors.values().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
    match scop.tensor_named(name) {
        Some(tensor) => Ok(tensor),
        None => Reason::precondition(place::no_such("tensor", name, &known())),
    }
}

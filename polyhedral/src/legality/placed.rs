//! The instances of a program at the places of its tree where they run, with a coordinate for everything that orders them
//! and that they touch memory by.
//!
//! Rows of a tree and subscripts are full of `floor(n/32)`. As integer divisions inside of a relation these are
//! variables that exist, which every operation on relations compares, orders and eliminates anew. Here each is a
//! coordinate of its own, next to the statement's: the points of a [`Piece`] are the instances with the values of all
//! quotients, and what is asked of pairs of them are plain constraints between coordinates.

use std::collections::BTreeSet;

use support::Table;

use crate::places::Places;
use crate::{Access, Index, Kind, Node, ScheduleTree, Scop, Stmt, StmtId, isl};

/// A program's instances at the places of a tree.
pub(super) struct Placement {
    /// By statement, in the order of the tree.
    pub pieces: Table<StmtId, Vec<Piece>>,
    /// The members of the tree's bands, from the root down.
    pub members: Vec<PlacedMember>,
}

/// A member of a band.
pub(super) struct PlacedMember {
    /// The band's number.
    pub band: usize,
    /// The first member of the band.
    pub first: usize,
    /// How it runs.
    pub kind: Kind,
    /// Whether it is the last of its band.
    pub is_last: bool,
}

/// The instances of a statement at one place.
pub(super) struct Piece {
    /// The points, in coordinates of their own, of which the first are the statement's.
    pub points: isl::Set,
    /// From the points to the instances.
    pub instances: isl::Map,
    /// What orders them, outermost first.
    pub rows: Vec<Row>,
    /// From the points to the cells that each access of the statement touches, reads first.
    pub cells: Vec<isl::Map>,
    /// From the points to the elements that these accesses name, whether there are such elements or not; none where that
    /// is known only while running.
    pub elements: Vec<Option<isl::Map>>,
    /// The leaf, by number.
    pub leaf: usize,
}

/// What orders instances in one respect; the nodes of the tree have numbers.
#[derive(Clone, Copy)]
pub(super) enum Row {
    /// The position among the children of a sequence, or of a set, which orders nothing.
    Position { node: usize, at: usize, is_set: bool },
    /// The value of a member: the coordinate that it is.
    Member { member: usize, coordinate: u32 },
}

/// How a row tells points of two pieces apart that agree on all rows above.
#[derive(Clone, Copy)]
pub(super) enum Apart {
    /// The first of the two runs before the second, or after it; or in any order, in a set.
    Always { before: bool, is_set: bool },
    /// By the values of a member.
    By(Values),
    /// Not at all.
    Never,
}

impl Piece {
    /// Whether every coordinate of the instances is a loop around them, or one number, so that no two run at one time.
    fn is_plainly_ordered(&self) -> isl::Result<bool> {
        for dim in 0..self.instances.dim(isl::Dim::Out)? {
            let is_loop = self.rows.iter().any(|row| row.coordinate() == Some(dim));
            if !is_loop && !self.is_fixed(dim)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_fixed(&self, dim: u32) -> isl::Result<bool> {
        self.instances.constant_at(isl::Dim::Out, dim)?.is_int()
    }

    /// Whether the instances run in the order of their coordinates.
    pub fn is_in_order(&self) -> isl::Result<bool> {
        let dims = self.instances.dim(isl::Dim::Out)?;
        let mut next = 0;
        for coordinate in self.rows.iter().filter_map(|row| row.coordinate()) {
            if self.instances.constant_at(isl::Dim::In, coordinate)?.is_int()? {
                continue;
            }
            while next < coordinate.min(dims) && self.is_fixed(next)? {
                next += 1;
            }
            if coordinate != next {
                return Ok(false);
            }
            next += 1;
        }
        self.is_plainly_ordered()
    }
}

impl Row {
    /// The coordinate that a member's value is.
    pub fn coordinate(&self) -> Option<u32> {
        match self {
            Row::Member { coordinate, .. } => Some(*coordinate),
            Row::Position { .. } => None,
        }
    }
}

/// Where two pieces have the value of a member.
#[derive(Clone, Copy)]
pub(super) struct Values {
    pub member: usize,
    first: u32,
    second: u32,
}

impl Row {
    /// How this row of one piece and that of another, at the same depth below equal ones, tell their points apart.
    pub fn apart(self, other: Row) -> Apart {
        match (self, other) {
            (Row::Member { member, coordinate: first }, Row::Member { member: other, coordinate: second })
                if member == other =>
            {
                Apart::By(Values { member, first, second })
            }
            (Row::Position { node, at, is_set }, Row::Position { node: other, at: there, .. })
                if node == other && at != there =>
            {
                Apart::Always { before: at < there, is_set }
            }
            _ => Apart::Never,
        }
    }
}

impl Values {
    /// The pairs at which they are equal.
    pub fn eq(self, pairs: &isl::Map) -> isl::Result<isl::Map> {
        pairs.equate(isl::Dim::In, self.first, isl::Dim::Out, self.second)
    }

    /// The pairs whose first end has the smaller value.
    pub fn lt(self, pairs: &isl::Map) -> isl::Result<isl::Map> {
        pairs.order_lt(isl::Dim::In, self.first, isl::Dim::Out, self.second)
    }

    /// The pairs whose first end has the greater value.
    pub fn gt(self, pairs: &isl::Map) -> isl::Result<isl::Map> {
        pairs.order_gt(isl::Dim::In, self.first, isl::Dim::Out, self.second)
    }
}

/// A place of a tree: what reaches it, and what orders it and others.
struct Leaf<'t> {
    instances: isl::UnionSet,
    rows: Vec<LeafRow<'t>>,
}

#[derive(Clone)]
enum LeafRow<'t> {
    Position { node: usize, at: usize, is_set: bool },
    Member { member: usize, value: &'t isl::UnionPwAff },
}

/// The places of a tree, gathered from the root down.
#[derive(Default)]
struct Leaves<'t> {
    leaves: Vec<Leaf<'t>>,
    members: Vec<PlacedMember>,
    nodes: usize,
    rows: Vec<LeafRow<'t>>,
}

impl<'t> Leaves<'t> {
    fn gather(&mut self, node: &'t Node, instances: &isl::UnionSet) -> isl::Result<()> {
        let outside = self.rows.len();
        self.nodes += 1;
        let number = self.nodes;
        match node {
            Node::Leaf => self.leaves.push(Leaf { instances: instances.clone(), rows: self.rows.clone() }),
            Node::Mark { child, .. } => self.gather(child, instances)?,
            Node::Band(band) => {
                let first = self.members.len();
                for (at, member) in band.members.iter().enumerate() {
                    self.rows.push(LeafRow::Member { member: self.members.len(), value: &member.schedule });
                    let is_last = at + 1 == band.members.len();
                    self.members.push(PlacedMember { band: number, first, kind: member.kind, is_last });
                }
                self.gather(&band.child, instances)?;
            }
            Node::Sequence(children) | Node::Set(children) => {
                let is_set = matches!(node, Node::Set(_));
                for (at, child) in children.iter().enumerate() {
                    self.rows.push(LeafRow::Position { node: number, at, is_set });
                    self.gather(&child.node, &instances.intersect(&child.filter)?)?;
                    self.rows.pop();
                }
            }
        }
        self.rows.truncate(outside);
        Ok(())
    }
}

impl Placement {
    /// Of `scop` in the order of `tree`; `None` when a number is too large for it.
    pub fn within_numbers(scop: &Scop, tree: &ScheduleTree) -> isl::Result<Option<Placement>> {
        match Placement::of(scop, tree) {
            Err(isl::Error::Overflow) => Ok(None),
            placement => placement.map(Some),
        }
    }

    /// Whether loops and sequences plainly give each instance a time of its own.
    pub fn is_plainly_ordered(&self) -> isl::Result<bool> {
        let mut leaves = BTreeSet::new();
        for piece in self.pieces.values().flatten() {
            if !leaves.insert(piece.leaf) || !piece.is_plainly_ordered()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Of `scop` in the order of `tree`.
    ///
    /// # Errors
    /// When isl fails, its budget is spent, or a number is too large for isl.
    pub fn of(scop: &Scop, tree: &ScheduleTree) -> isl::Result<Placement> {
        Placement::among(scop, tree, &tree.domain)
    }

    /// The same, of some of the instances.
    ///
    /// # Errors
    /// As for [`Placement::of`].
    pub fn among(scop: &Scop, tree: &ScheduleTree, instances: &isl::UnionSet) -> isl::Result<Placement> {
        let places = Places::new(scop, tree)?;
        let mut leaves = Leaves::default();
        leaves.gather(&tree.root, instances)?;
        let mut pieces: Table<StmtId, Vec<Piece>> = Table::new();
        for _ in scop.stmts.values() {
            pieces.push(Vec::new());
        }
        for (at, leaf) in leaves.leaves.iter().enumerate() {
            for here in leaf.instances.sets()? {
                if let Some(id) = scop.stmt_named(&here.tuple_name()?) {
                    pieces[id]
                        .push(Draft { scop, places: &places, stmt: &scop.stmts[id] }.piece(&here, at, &leaf.rows)?);
                }
            }
        }
        Ok(Placement { pieces, members: leaves.members })
    }
}

/// What the pieces of a statement are made of.
struct Draft<'a> {
    scop: &'a Scop,
    places: &'a Places<'a>,
    stmt: &'a Stmt,
}

/// A function on the instances, taken apart where it is one formula.
struct Formula {
    function: isl::PwAff,
    terms: Option<isl::Terms>,
}

impl Draft<'_> {
    fn piece(&self, here: &isl::Set, leaf: usize, rows: &[LeafRow<'_>]) -> isl::Result<Piece> {
        let values = rows.iter().map(|row| match row {
            LeafRow::Position { .. } => Ok(None),
            LeafRow::Member { value, .. } => self.value(value).map(Some),
        });
        let values = values.collect::<isl::Result<Vec<_>>>()?;
        let elements = self.stmt.accesses().map(|access| self.element(access)).collect::<isl::Result<Vec<_>>>()?;
        let cells = self.stmt.accesses().map(|access| self.cell(access)).collect::<isl::Result<Vec<_>>>()?;
        let touched = || elements.iter().chain(&cells).flatten().flatten();
        let mut quotients = Vec::new();
        for formula in values.iter().flatten().chain(touched()) {
            formula.terms.iter().for_each(|terms| gather_floors(terms, &mut quotients));
        }
        let mut coordinates = Coordinates { dims: self.stmt.dims.len(), quotients, others: Vec::new() };
        let mut placed = Vec::new();
        for (row, value) in rows.iter().zip(&values) {
            match (row, value) {
                (LeafRow::Member { member, .. }, Some(value)) => {
                    placed.push(Row::Member { member: *member, coordinate: coordinates.of(value) });
                }
                (LeafRow::Position { node, at, is_set }, _) => {
                    placed.push(Row::Position { node: *node, at: *at, is_set: *is_set });
                }
                (LeafRow::Member { .. }, None) => {}
            }
        }
        let (points, instances) = coordinates.points(self.scop, self.stmt, here)?;
        let tuple = |access: &Access, key: usize, formulas: &[Formula]| {
            let key = placed.iter().filter_map(|row: &Row| row.coordinate()).take(key);
            let tuple = coordinates.tuple(self.scop, &instances, key, formulas)?;
            let tuple = tuple.with_tuple_name(isl::Dim::Out, &self.scop.tensors[access.tensor].name)?;
            tuple.intersect_domain(&points)
        };
        let (mut named, mut touched) = (Vec::new(), Vec::new());
        for (access, (element, cell)) in self.stmt.accesses().zip(elements.iter().zip(&cells)) {
            let element = element.as_ref().map(|element| tuple(access, 0, element)).transpose()?;
            let key = self.places.key_rows(access.tensor);
            touched.push(match (&element, cell) {
                (_, Some(cell)) => tuple(access, key, cell)?,
                (Some(element), None) => element.clone(),
                _ => {
                    let cells = self.places.cells(self.stmt, access)?.as_map()?;
                    instances.apply_range(&cells)?
                }
            });
            named.push(element);
        }
        Ok(Piece { points, instances, rows: placed, cells: touched, elements: named, leaf })
    }

    fn value(&self, schedule: &isl::UnionPwAff) -> isl::Result<Formula> {
        let name = &self.stmt.name;
        let is_own = |value: &isl::PwAff| value.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == *name);
        let own = schedule.pw_affs()?.into_iter().find(is_own);
        let own = own.ok_or_else(|| isl::Error::Refused(format!("a loop without a value on `{name}`")))?;
        let short = own.gist(&own.domain()?)?;
        Ok(Formula { terms: self.terms(&short)?, function: own })
    }

    /// The coordinates of the element that an access names; `None` when that is known only while running.
    fn element(&self, access: &Access) -> isl::Result<Option<Vec<Formula>>> {
        access.affine().map(|element| self.formulas(element.into_iter())).transpose()
    }

    /// The coordinates of its cell after the members that tell memories apart, where these are others than the element's
    /// or there is more to tell cells apart.
    fn cell(&self, access: &Access) -> isl::Result<Option<Vec<Formula>>> {
        let Some(element) = access.affine() else { return Ok(None) };
        let others = self.places.other_keys(access.tensor);
        let mut formulas = others.iter().map(|key| self.value(key)).collect::<isl::Result<Vec<_>>>()?;
        match &self.scop.tensors[access.tensor].layout {
            None if self.places.key_rows(access.tensor) == 0 && others.is_empty() => return Ok(None),
            None => formulas.extend(self.formulas(element.into_iter())?),
            Some(layout) => {
                let at = |dim: usize| element.get(dim).map_or(Index::Const(0), |index| (*index).clone());
                let cell: Vec<Index> = layout.cell.iter().map(|cell| cell.substitute(&at, &Index::Param)).collect();
                formulas.extend(self.formulas(cell.iter())?);
            }
        }
        Ok(Some(formulas))
    }

    fn formulas<'i>(&self, indices: impl Iterator<Item = &'i Index>) -> isl::Result<Vec<Formula>> {
        let space = self.stmt.domain.space()?;
        let formula = |index: &Index| {
            let function = index.to_pw_aff(&space)?;
            Ok(Formula { terms: self.terms(&function)?, function })
        };
        indices.map(formula).collect()
    }

    /// The function taken apart, when it has one piece, whole coefficients, and the parameters in the program's order.
    fn terms(&self, function: &isl::PwAff) -> isl::Result<Option<isl::Terms>> {
        let params = function.space()?.param_names()?;
        match function.pieces()?.as_slice() {
            [(_, only)] if self.scop.params.starts_with(&params) => {
                Ok(only.terms().ok().filter(|terms| terms.denominator == 1))
            }
            _ => Ok(None),
        }
    }
}

/// The floors in a formula, inner ones first.
fn gather_floors(terms: &isl::Terms, all: &mut Vec<isl::Terms>) {
    for (_, floor) in &terms.floors {
        gather_floors(floor, all);
        if !all.contains(floor) {
            all.push(floor.clone());
        }
    }
}

/// The coordinates of a piece.
struct Coordinates<'f> {
    /// First those of the statement.
    dims: usize,
    /// Then one for each of these floors.
    quotients: Vec<isl::Terms>,
    /// Then the values of rows that are neither.
    others: Vec<&'f Formula>,
}

impl<'f> Coordinates<'f> {
    /// The coordinate that a row's value is.
    fn of(&mut self, value: &'f Formula) -> u32 {
        if let Some(terms) = &value.terms
            && terms.constant == 0
            && terms.params.iter().all(|&c| c == 0)
        {
            let mut used = terms.dims.iter().enumerate().filter(|(_, c)| **c != 0);
            match (used.next(), used.next(), terms.floors.as_slice()) {
                (Some((dim, 1)), None, []) => return dim as u32,
                (None, None, [(1, floor)]) => return self.quotient(floor),
                _ => {}
            }
        }
        self.others.push(value);
        (self.dims + self.quotients.len() + self.others.len() - 1) as u32
    }

    fn quotient(&self, floor: &isl::Terms) -> u32 {
        let at = self.quotients.iter().position(|own| own == floor).expect("the floors of all formulas were gathered");
        (self.dims + at) as u32
    }

    /// The points of the instances `here`, and the relation from the points to the instances.
    fn points(&self, scop: &Scop, stmt: &Stmt, here: &isl::Set) -> isl::Result<(isl::Set, isl::Map)> {
        let more = self.quotients.len() + self.others.len();
        let names: Vec<String> = (0..self.dims + more).map(|at| format!("c{at}")).collect();
        let space = scop.param_space()?.named_set(&stmt.name, &names)?;
        let instances = space.universe_set()?.identity()?.project_out(isl::Dim::Out, self.dims as u32, more as u32)?;
        let instances = instances.with_tuple_name(isl::Dim::Out, &stmt.name)?;
        let mut points = here.apply(&instances.reverse()?)?.intersect_params(&scop.context)?;
        for (at, floor) in self.quotients.iter().enumerate() {
            // 0 <= numerator - denominator * quotient < denominator
            let quotient = self.coordinate(&space, self.dims + at)?.scale(&number(scop, floor.denominator)?)?;
            let rest = self.numerator(scop, &space, floor)?.sub(&quotient)?;
            let most = space.zero_aff()?.add_constant(&number(scop, floor.denominator - 1)?)?;
            points = points.intersect(&rest.ge_set(&space.zero_aff()?)?)?.intersect(&most.ge_set(&rest)?)?;
        }
        for (at, value) in self.others.iter().enumerate() {
            let at = self.dims + self.quotients.len() + at;
            points = match &value.terms {
                Some(terms) => {
                    let value = self.numerator(scop, &space, terms)?;
                    points.intersect(&self.coordinate(&space, at)?.eq_set(&value)?)?
                }
                None => {
                    let values = instances.intersect_domain(&points)?.apply_range(&value.function.to_map()?)?;
                    values.equate(isl::Dim::In, at as u32, isl::Dim::Out, 0)?.domain()?
                }
            };
        }
        let instances = instances.intersect_domain(&points)?;
        Ok((points, instances))
    }

    fn coordinate(&self, space: &isl::Space, at: usize) -> isl::Result<isl::Aff> {
        space.zero_aff()?.add_coefficient_si(isl::Dim::In, at as i32, 1)
    }

    /// A formula times its denominator, over the coordinates.
    fn numerator(&self, scop: &Scop, space: &isl::Space, terms: &isl::Terms) -> isl::Result<isl::Aff> {
        let small = |c: i64| i32::try_from(c).map_err(|_| isl::Error::Overflow);
        let mut sum = space.zero_aff()?.add_constant(&number(scop, terms.constant)?)?;
        for (kind, coefficients) in [(isl::Dim::Param, &terms.params), (isl::Dim::In, &terms.dims)] {
            for (at, &c) in coefficients.iter().enumerate().filter(|(_, c)| **c != 0) {
                sum = sum.add_coefficient_si(kind, at as i32, small(c)?)?;
            }
        }
        for (c, floor) in &terms.floors {
            sum = sum.add_coefficient_si(isl::Dim::In, self.quotient(floor) as i32, small(*c)?)?;
        }
        Ok(sum)
    }

    /// From the points to the coordinates `key` and then the values of `functions`.
    fn tuple(
        &self,
        scop: &Scop,
        instances: &isl::Map,
        key: impl Iterator<Item = u32>,
        functions: &[Formula],
    ) -> isl::Result<isl::Map> {
        let space = instances.space()?.domain()?;
        let all = space.universe_set()?;
        let mut tuple = all.identity()?.project_out(isl::Dim::Out, 0, all.dim(isl::Dim::Set)?)?;
        for coordinate in key {
            tuple = tuple.flat_range_product(&self.coordinate(&space, coordinate as usize)?.to_pw_aff()?.to_map()?)?;
        }
        for formula in functions {
            let one = match &formula.terms {
                Some(terms) => self.numerator(scop, &space, terms)?.to_pw_aff()?.to_map()?,
                None => instances.apply_range(&formula.function.to_map()?)?,
            };
            tuple = tuple.flat_range_product(&one)?;
        }
        Ok(tuple)
    }
}

fn number(scop: &Scop, value: i64) -> isl::Result<isl::Val> {
    isl::Val::int(&scop.ctx, value)
}

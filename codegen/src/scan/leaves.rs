//! From the schedule tree to what isl scans: each leaf's statements, replaced by the origins of their boxes.

use std::collections::BTreeMap;

use polyhedral::{Axis, Band, Filtered, Index, Kernel, Kind, Member, Node, Scop, StmtId, isl};
use support::{Entity, Remark};

use super::boxes::{Boxing, Cover, Tests, Whole};
use super::subtrees::{Cut, Subtree};
use super::tiles::{self, Origin};
use super::{Error, malformed};

/// What isl scans, and what its user nodes stand for.
pub(super) struct Leaves {
    /// The order of the origins; nothing when no instance is left.
    pub(super) schedule: Option<isl::AstSchedule>,
    /// By the tuple's name.
    pub(super) parts: BTreeMap<String, Part>,
    /// The same, for loops whose iterations run apart.
    pub(super) subtrees: BTreeMap<String, Subtree>,
    /// How many loops the deepest part is in.
    pub(super) depth: usize,
}

impl Leaves {
    /// The loops around the instances of a tuple, outermost first.
    pub(super) fn members(&self, name: &str) -> Option<&[Scanned]> {
        let of_part = self.parts.get(name).map(|part| part.members.as_slice());
        of_part.or_else(|| Some(self.subtrees.get(name)?.members.as_slice()))
    }
}

/// The instances of one statement that reach one leaf.
pub(super) struct Part {
    pub(super) stmt: StmtId,
    /// The members that are scanned, outermost first.
    pub(super) members: Vec<Scanned>,
    /// How many leading coordinates are values of members that differ within boxes; the statement's follow.
    pub(super) extras: usize,
    pub(super) boxing: Boxing,
    /// Which boxes are whole.
    pub(super) whole: Whole,
    /// What a point of a cut box is tested for, over extras and dimensions.
    pub(super) tests: Tests,
    /// The first point of a box: extras and dimensions over the coordinates of an origin.
    pub(super) first: Vec<Index>,
}

/// A member that isl scans.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Of a loop over the origins of tiles: the parameter that is their size.
    pub(super) tile: Option<usize>,
}

/// The blocks that a kernel needs along each axis: the first and the last value of its loops there, over the values of
/// the host's loops around; none along an axis without loops.
pub(super) type Blocks = [Option<(isl::PwAff, isl::PwAff)>; 3];

/// Walks the tree of `scop`.
pub(super) fn collect(scop: &Scop, remarks: &mut Vec<Remark>) -> Result<Leaves, Error> {
    let mut reaching = Vec::new();
    let params = scop.param_space()?;
    for set in scop.tree.domain.intersect_params(&scop.context)?.sets()? {
        let name = set.tuple_name()?;
        let stmt = scop.stmt_named(&name).ok_or_else(|| malformed(name, "scheduled, but not a statement"))?;
        reaching.push((stmt, set.align_params(&params)?));
    }
    reaching.sort_by_key(|(stmt, _)| stmt.index());
    let (root, origins) = tiles::with_origins(scop)?;
    let (parts, subtrees, functions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut walk = Walk { scop, params, remarks, parts, subtrees, depth: 0, functions, origins };
    let below = walk.node(&root, reaching, &Path::default())?;
    let schedule = below.map(|below| below.schedule);
    Ok(Leaves { schedule, parts: walk.parts, subtrees: walk.subtrees, depth: walk.depth })
}

type Reaching = Vec<(StmtId, isl::Set)>;

/// The members above a node.
#[derive(Clone, Default)]
struct Path<'t> {
    members: Vec<&'t Member>,
    /// How many of them are above the last sequence or set.
    fixed: usize,
}

/// What is known of a subtree.
struct Below {
    schedule: isl::AstSchedule,
    /// Of each part below, the functions of the members above that are scanned, on origins.
    functions: Vec<Vec<isl::PwAff>>,
    /// How many members of the path are scanned; the others are inside the boxes.
    scanned: usize,
}

struct Walk<'a> {
    scop: &'a Scop,
    params: isl::Space,
    remarks: &'a mut Vec<Remark>,
    parts: BTreeMap<String, Part>,
    subtrees: BTreeMap<String, Subtree>,
    depth: usize,
    /// By member, then by statement.
    functions: BTreeMap<String, BTreeMap<String, isl::PwAff>>,
    /// The members that are loops over origins of tiles.
    origins: BTreeMap<String, Origin>,
}

impl Walk<'_> {
    fn node<'t>(&mut self, node: &'t Node, reaching: Reaching, path: &Path<'t>) -> Result<Option<Below>, Error> {
        if reaching.is_empty() {
            return Ok(None);
        }
        match node {
            Node::Band(band) => self.band(band, reaching, path),
            Node::Sequence(children) => self.children(children, reaching, path, isl::AstSchedule::then),
            Node::Set(children) => self.children(children, reaching, path, isl::AstSchedule::beside),
            Node::Mark { name, child } => match Kernel::of_mark(name) {
                Some(kernel) => self.kernel(kernel, child, reaching, path),
                None => self.node(child, reaching, path),
            },
            Node::Leaf => self.leaf(&reaching, path).map(Some),
        }
    }

    fn band<'t>(&mut self, band: &'t Band, reaching: Reaching, path: &Path<'t>) -> Result<Option<Below>, Error> {
        let start = path.members.len();
        let mut inner = path.clone();
        inner.members.extend(&band.members);
        let Some(mut below) = self.node(&band.child, reaching, &inner)? else { return Ok(None) };
        let members = &inner.members[..below.scanned.min(inner.members.len()).max(start)];
        // Down to the last loop whose iterations run apart the tree is scanned without what is inside.
        let mut inside = start;
        if let Some(last) = (start..members.len()).rev().find(|&at| members[at].kind.apart()) {
            inside = last + 1;
            below = self.under(below, members, inside)?;
            below = self.cut(below, &members[..inside], None)?;
        }
        let outside = if inside > start { &members[..inside] } else { members };
        Ok(Some(self.under(below, outside, start)?))
    }

    /// The loops of the path from position `start` on around what is below.
    fn under(&self, mut below: Below, path: &[&Member], start: usize) -> Result<Below, Error> {
        // Iterations that run apart are those of one loop, and so are steps that are counted from the first iteration.
        let is_whole = |member: &Member| member.kind.apart() || self.origins.contains_key(&member.name);
        let mut end = path.len();
        for run in path[start..].chunk_by(|a, b| is_whole(a) == is_whole(b)).rev() {
            let rows = end - run.len()..end;
            end = rows.start;
            let rows = rows.map(|at| row(&self.scop.ctx, &below.functions, at)?.to_multi().map_err(Error::from));
            let partial = rows.reduce(|all, row| Ok(all?.flat_range_product(&row?)?));
            let Some(partial) = partial.transpose()? else { continue };
            below.schedule = match is_whole(run[0]) {
                true => below.schedule.under_whole_band(&partial)?,
                false => below.schedule.under_band(&partial)?,
            };
        }
        Ok(below)
    }

    /// Puts one instance for each iteration of a loop, the last of the path, in the place of what is below it.
    fn cut(&mut self, below: Below, path: &[&Member], kernel: Option<(Kernel, Blocks)>) -> Result<Below, Error> {
        let name = format!("S{}", self.subtrees.len());
        let loops = (0..path.len()).map(|at| row(&self.scop.ctx, &below.functions, at));
        let cut = Cut::below(self.scop, &below.schedule, &loops.collect::<Result<Vec<_>, _>>()?)?;
        let iterations = cut.iterations.with_tuple_name(&name)?;
        let space = iterations.space()?;
        let functions = (0..path.len()).map(|at| Index::Dim(at).to_pw_aff(&space)).collect::<isl::Result<_>>()?;
        self.subtrees.insert(name, Subtree { schedule: cut.inside, members: self.scanned(path), kernel });
        let schedule = isl::AstSchedule::from_domain(&iterations.to_union_set()?)?;
        Ok(Below { schedule, functions: vec![functions], scanned: path.len() })
    }

    /// A kernel: what is in it is scanned by itself, once for each launch.
    fn kernel<'t>(
        &mut self,
        kernel: Kernel,
        child: &'t Node,
        reaching: Reaching,
        path: &Path<'t>,
    ) -> Result<Option<Below>, Error> {
        let mut blocks = Blocks::default();
        for (axis, blocks) in (0u8..).zip(&mut blocks) {
            *blocks = self.extent(Axis::Block(axis), child, &reaching, path)?;
        }
        let Some(below) = self.node(child, reaching, path)? else { return Ok(None) };
        self.cut(below, &path.members, Some((kernel, blocks))).map(Some)
    }

    /// The first and the last value of the loops on an axis, over the values of the loops of the path.
    fn extent<'t>(
        &mut self,
        axis: Axis,
        node: &'t Node,
        reaching: &Reaching,
        path: &Path<'t>,
    ) -> Result<Option<(isl::PwAff, isl::PwAff)>, Error> {
        let mut values: Option<isl::Map> = None;
        for (member, filters) in loops_on(axis, node) {
            for (stmt, set) in reaching {
                let set = filters.iter().try_fold(set.to_union_set()?, |all, filter| all.intersect(filter))?;
                if set.is_empty()? {
                    continue;
                }
                let set = set.as_set()?;
                let name = &self.scop.stmts[*stmt].name;
                let Some(value) = self.by_stmt(member)?.get(name).cloned() else { continue };
                let mut around = set.identity()?.project_out(isl::Dim::Out, 0, set.dim(isl::Dim::Set)?)?;
                for row in self.functions(*stmt, &set, path)? {
                    around = around.flat_range_product(&row.to_map()?)?;
                }
                let own = value.to_map()?.align_params(&self.params)?;
                let own = around.intersect_domain(&set)?.reverse()?.apply_range(&own)?;
                values = Some(match values {
                    None => own,
                    Some(all) => all.union(&own)?,
                });
            }
        }
        let Some(values) = values else { return Ok(None) };
        let (first, last) = (values.lexmin()?.to_pw_multi_aff()?.at(0)?, values.lexmax()?.to_pw_multi_aff()?.at(0)?);
        Ok(Some((first.coalesce()?, last.coalesce()?)))
    }

    fn scanned(&self, path: &[&Member]) -> Vec<Scanned> {
        let tile = |name: &str| self.origins.get(name).map(|origin| origin.size);
        path.iter().map(|m| Scanned { name: m.name.clone(), kind: m.kind, tile: tile(&m.name) }).collect()
    }

    fn children<'t>(
        &mut self,
        children: &'t [Filtered],
        reaching: Reaching,
        path: &Path<'t>,
        join: fn(&isl::AstSchedule, &isl::AstSchedule) -> isl::Result<isl::AstSchedule>,
    ) -> Result<Option<Below>, Error> {
        let inner = Path { fixed: path.members.len(), ..path.clone() };
        let mut all: Option<Below> = None;
        for child in children {
            let kept = filtered(&reaching, &child.filter)?;
            let Some(below) = self.node(&child.node, kept, &inner)? else { continue };
            all = Some(match all {
                None => Below { scanned: path.members.len(), ..below },
                Some(mut before) => {
                    before.functions.extend(below.functions);
                    Below { schedule: join(&before.schedule, &below.schedule)?, ..before }
                }
            });
        }
        Ok(all)
    }

    fn leaf(&mut self, reaching: &Reaching, path: &Path<'_>) -> Result<Below, Error> {
        let rows =
            reaching.iter().map(|(stmt, set)| self.functions(*stmt, set, path)).collect::<Result<Vec<_>, _>>()?;
        let (scanned, boxings) = self.boxings(reaching, &rows, path)?;
        self.depth = self.depth.max(scanned);
        let members = self.scanned(&path.members[..scanned]);
        let mut domain = isl::UnionSet::empty(&self.scop.ctx)?;
        let mut functions = Vec::new();
        for (((stmt, set), rows), boxing) in reaching.iter().zip(&rows).zip(boxings) {
            let name = format!("L{}", self.parts.len());
            let scanned = self.coordinates(set, &rows[..scanned], path)?;
            let space = Spaces::of(&self.params, &name, *stmt, set, &scanned, &boxing)?;
            let (part, origins) = space.part(*stmt, set, members.clone(), boxing)?;
            domain = domain.union(&origins.to_union_set()?)?;
            functions.push(space.on_origins);
            self.parts.insert(name, part);
        }
        Ok(Below { schedule: isl::AstSchedule::from_domain(&domain)?, functions, scanned })
    }

    /// What the scanned members are on a statement.
    fn coordinates(
        &self,
        set: &isl::Set,
        rows: &[isl::PwAff],
        path: &Path<'_>,
    ) -> Result<Vec<(isl::PwAff, Option<isl::Map>)>, Error> {
        let one = |(function, member): (&isl::PwAff, &&Member)| {
            let origin = self.origins.get(&member.name).map(|origin| origin.of(self.scop, set, function));
            Ok((function.clone(), origin.transpose()?))
        };
        rows.iter().zip(&path.members).map(one).collect()
    }

    /// The functions of the path's members on a statement, as simple as its instances allow.
    fn functions(&mut self, stmt: StmtId, set: &isl::Set, path: &Path<'_>) -> Result<Vec<isl::PwAff>, Error> {
        let name = &self.scop.stmts[stmt].name;
        let mut all = Vec::with_capacity(path.members.len());
        for member in &path.members {
            let function = self.by_stmt(member)?.get(name).cloned();
            let function = function.ok_or_else(|| malformed(&member.name, format!("has no value on {name}")))?;
            all.push(function.align_params(&self.params)?.gist(set)?.coalesce()?);
        }
        Ok(all)
    }

    /// A member's function on every statement.
    fn by_stmt(&mut self, member: &Member) -> Result<&BTreeMap<String, isl::PwAff>, Error> {
        if !self.functions.contains_key(&member.name) {
            let mut by_stmt = BTreeMap::new();
            for function in member.schedule.pw_affs()? {
                by_stmt.insert(function.space()?.tuple_name(isl::Dim::In), function);
            }
            self.functions.insert(member.name.clone(), by_stmt);
        }
        self.functions.get(&member.name).ok_or_else(|| malformed(&member.name, "has no functions"))
    }

    /// How many members are scanned, and the boxes that the others make of each statement: as many of the innermost
    /// vector and unrolled members as can be expanded.
    fn boxings(
        &mut self,
        reaching: &Reaching,
        rows: &[Vec<isl::PwAff>],
        path: &Path<'_>,
    ) -> Result<(usize, Vec<Boxing>), Error> {
        let end = path.members.len();
        let is_box = |member: &&Member| matches!(member.kind, Kind::Vector(_) | Kind::Unroll(_));
        let suffix = path.members[path.fixed..].iter().rev().take_while(|member| is_box(member)).count();
        for from in end - suffix..=end {
            if let Some(boxings) = self.boxings_from(from, reaching, rows, path)? {
                self.note_scanned(&path.members[..from]);
                return Ok((from, boxings));
            }
        }
        Err(malformed("box", "without members is always possible"))
    }

    fn boxings_from(
        &self,
        from: usize,
        reaching: &Reaching,
        rows: &[Vec<isl::PwAff>],
        path: &Path<'_>,
    ) -> Result<Option<Vec<Boxing>>, Error> {
        let members = &path.members[from..];
        // Copies of several statements would have to be interleaved; lanes need not.
        if reaching.len() > 1 && members.iter().any(|member| matches!(member.kind, Kind::Unroll(_))) {
            return Ok(None);
        }
        let mut boxings = Vec::new();
        for ((stmt, set), rows) in reaching.iter().zip(rows) {
            let kinds = members.iter().map(|member| member.kind);
            let functions: Vec<(Kind, &isl::PwAff)> = kinds.zip(&rows[from..]).collect();
            let outside = self.told_apart(&rows[..from], path);
            let mut found = None;
            for boxing in Boxing::all(&functions, self.scop.stmts[*stmt].dims.len())? {
                if found.is_none() && one_box_at_a_time(&boxing, set, &outside)? {
                    found = Some(boxing);
                }
            }
            match found {
                Some(boxing) => boxings.push(boxing),
                None => return Ok(None),
            }
        }
        Ok(Some(boxings))
    }

    /// The functions whose values are those of loops: not of loops over origins.
    fn told_apart(&self, rows: &[isl::PwAff], path: &Path<'_>) -> Vec<isl::PwAff> {
        let with_members = rows.iter().zip(&path.members);
        with_members
            .filter(|(_, member)| !self.origins.contains_key(&member.name))
            .map(|(row, _)| row.clone())
            .collect()
    }

    /// A vector or unrolled member that is scanned is an ordinary loop.
    fn note_scanned(&mut self, members: &[&Member]) {
        for member in members {
            let what = match member.kind {
                Kind::Vector(_) => "not vectorised",
                Kind::Unroll(_) => "not unrolled",
                Kind::Sequential | Kind::Parallel | Kind::Bound(_) | Kind::Atomic(_) => continue,
            };
            let why = "its function on a statement below is not a dimension plus what is constant in the box, \
                       other loops are inside, or several statements share its iterations";
            let remark = Remark::new("codegen", &member.name, what, why);
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }
}

/// The loops on an axis, with the filters above each.
fn loops_on(axis: Axis, node: &Node) -> Vec<(&Member, Vec<&isl::UnionSet>)> {
    let mut found = Vec::new();
    if let Node::Band(band) = node {
        let own = band.members.iter().filter(|member| member.kind.axis() == Some(axis));
        found.extend(own.map(|member| (member, Vec::new())));
    }
    match node {
        Node::Sequence(children) | Node::Set(children) => {
            for child in children {
                found.extend(loops_on(axis, &child.node).into_iter().map(|(member, mut filters)| {
                    filters.push(&child.filter);
                    (member, filters)
                }));
            }
        }
        _ => node.children().into_iter().for_each(|child| found.extend(loops_on(axis, child))),
    }
    found
}

/// One row of a band over all parts below.
fn row(ctx: &isl::Ctx, functions: &[Vec<isl::PwAff>], at: usize) -> Result<isl::UnionPwAff, Error> {
    functions.iter().try_fold(isl::UnionPwAff::empty(ctx)?, |all, functions| {
        let function =
            functions.get(at).ok_or_else(|| malformed("band", "a member is inside the box of one leaf only"))?;
        Ok(all.union_add(&function.to_union_pw_aff()?)?)
    })
}

/// The instances that a filter keeps.
fn filtered(reaching: &Reaching, filter: &isl::UnionSet) -> Result<Reaching, Error> {
    let mut kept = Vec::new();
    for (stmt, set) in reaching {
        let inside = set.to_union_set()?.intersect(filter)?;
        if !inside.is_empty()? {
            kept.push((*stmt, inside.as_set()?));
        }
    }
    Ok(kept)
}

/// The spaces around one part: points (extras and dimensions), and the origins of their boxes.
struct Spaces {
    /// The functions of the scanned members on origins.
    on_origins: Vec<isl::PwAff>,
    /// Those that differ within a box, and origins, which an instance may have several of; on the statement.
    extras: Vec<isl::Map>,
    /// From points to the origins of their boxes.
    to_origin: isl::MultiAff,
    /// The first point of a box over the coordinates of its origin.
    first: Vec<Index>,
    /// By coordinate of a point.
    widths: Vec<i64>,
}

impl Spaces {
    fn of(
        params: &isl::Space,
        name: &str,
        stmt: StmtId,
        set: &isl::Set,
        scanned: &[(isl::PwAff, Option<isl::Map>)],
        boxing: &Boxing,
    ) -> Result<Spaces, Error> {
        let dims = set.dim(isl::Dim::Set)? as usize;
        debug_assert!(boxing.dims.iter().all(|one| one.dim < dims), "{stmt}");
        let differs = scanned
            .iter()
            .map(|(function, origin)| Ok(origin.is_some() || differs_in_box(function, set, boxing)?))
            .collect::<Result<Vec<_>, Error>>()?;
        let extras = differs.iter().filter(|&&differs| differs).count();
        let points = params.set_from_params()?.add_dims(isl::Dim::Set, (extras + dims) as u32)?;
        let origins = points.with_tuple_name(isl::Dim::Set, name)?;
        let first = first_point(extras, dims, boxing);
        let to_dims = functions(&origins, &set.space()?, &first[extras..])?;
        let mut extra = 0;
        let mut on_origins = Vec::new();
        for ((function, _), &differs) in scanned.iter().zip(&differs) {
            on_origins.push(if differs {
                extra += 1;
                Index::Dim(extra - 1).to_pw_aff(&origins)?
            } else {
                function.pullback(&to_dims)?
            });
        }
        let to_origin = functions(&points, &origins, &origin_of(extras, dims, boxing))?;
        let mut widths = vec![1; extras + dims];
        for one in &boxing.dims {
            widths[extras + one.dim] = one.width;
        }
        let extra = |(function, origin): &(isl::PwAff, Option<isl::Map>)| match origin {
            Some(origin) => Ok(origin.clone()),
            None => function.to_map(),
        };
        let extras = scanned.iter().zip(&differs).filter(|(_, differs)| **differs);
        let extras = extras.map(|(one, _)| extra(one)).collect::<isl::Result<_>>()?;
        Ok(Spaces { on_origins, extras, to_origin, first, widths })
    }

    /// The part, and the origins of its boxes.
    fn part(
        &self,
        stmt: StmtId,
        set: &isl::Set,
        members: Vec<Scanned>,
        boxing: Boxing,
    ) -> Result<(Part, isl::Set), Error> {
        let points = self.points(set)?;
        let origins = points.apply(&self.to_origin.to_map()?)?.coalesce()?;
        let (whole, tests) = if boxing.dims.is_empty() {
            (Whole::Always, Vec::new())
        } else {
            let (first, widths) = (&self.first, &self.widths);
            Cover { domain: &points, origins: &origins, to_origin: &self.to_origin, first, widths }.whole()?
        };
        let (extras, first) = (self.extras.len(), self.first.clone());
        Ok((Part { stmt, members, extras, boxing, whole, tests, first }, origins))
    }

    /// The instances as points: with the extras in front.
    fn points(&self, set: &isl::Set) -> Result<isl::Set, Error> {
        let dims = set.dim(isl::Dim::Set)?;
        let space = set.space()?;
        let empty = set.identity()?.project_out(isl::Dim::Out, 0, dims)?.reset_tuple_id(isl::Dim::Out)?;
        let with_extras = self.extras.iter().try_fold(empty, |all, extra| all.flat_range_product(extra))?;
        let all = (0..dims as usize)
            .try_fold(with_extras, |all, at| all.flat_range_product(&Index::Dim(at).to_pw_aff(&space)?.to_map()?))?;
        Ok(set.apply(&all)?)
    }
}

/// Whether the values of the scanned members say in which box an instance is: all its coordinates, since what nothing
/// outside of the box tells apart must be in one box, where lanes and copies have their order.
fn one_box_at_a_time(boxing: &Boxing, set: &isl::Set, scanned: &[isl::PwAff]) -> Result<bool, Error> {
    if boxing.dims.is_empty() {
        return Ok(true);
    }
    let space = set.space()?;
    let mut open = Vec::new();
    for coordinate in origin_of(0, set.dim(isl::Dim::Set)? as usize, boxing) {
        let number = coordinate.to_pw_aff(&space)?.intersect_domain(set)?;
        // Mostly a member is the number of the box, or there is only one box.
        let differs = |member: &isl::PwAff| Ok::<_, Error>(!set.is_subset(&number.eq_set(member)?)?);
        let mut known = number.gist(set)?.is_cst()?;
        for member in scanned.iter().rev() {
            known = known || !differs(member)?;
        }
        if !known {
            open.push(number.to_map()?);
        }
    }
    let Some((first, others)) = open.split_first() else { return Ok(true) };
    let numbers = others.iter().try_fold(first.clone(), |all, map| all.flat_range_product(map))?;
    let dims = set.dim(isl::Dim::Set)?;
    let empty = set.identity()?.project_out(isl::Dim::Out, 0, dims)?.reset_tuple_id(isl::Dim::Out)?;
    let values = scanned.iter().try_fold(empty, |all, member| all.flat_range_product(&member.to_map()?))?;
    Ok(numbers.apply_domain(&values)?.is_single_valued()?)
}

/// Whether two points of one box may have different values.
fn differs_in_box(function: &isl::PwAff, set: &isl::Set, boxing: &Boxing) -> Result<bool, Error> {
    if boxing.dims.is_empty() {
        return Ok(false);
    }
    let space = set.space()?;
    let dims = set.dim(isl::Dim::Set)? as usize;
    let origin = origin_of(0, dims, boxing);
    let first: Vec<Index> = first_point(0, dims, boxing)
        .iter()
        .map(|index| index.substitute(&|at| origin[at].clone(), &Index::Param))
        .collect();
    let at_first = function.pullback(&functions(&space, &space, &first)?)?;
    Ok(!set.is_subset(&at_first.eq_set(function)?)?)
}

/// The coordinates of the first point of a box, over those of its origin.
fn first_point(extras: usize, dims: usize, boxing: &Boxing) -> Vec<Index> {
    let coordinate = |at: usize| Index::Dim(extras + at);
    let dim = |at: usize| match boxing.dims.iter().find(|one| one.dim == at) {
        Some(one) => one.width * coordinate(at) - one.shift.substitute(&coordinate, &Index::Param),
        None => coordinate(at),
    };
    (0..extras).map(Index::Dim).chain((0..dims).map(dim)).collect()
}

/// The origin of the box that a point is in, over the point's coordinates.
fn origin_of(extras: usize, dims: usize, boxing: &Boxing) -> Vec<Index> {
    let coordinate = |at: usize| Index::Dim(extras + at);
    let dim = |at: usize| match boxing.dims.iter().find(|one| one.dim == at) {
        Some(one) => (coordinate(at) + one.shift.substitute(&coordinate, &Index::Param)).floor_div(one.width),
        None => coordinate(at),
    };
    (0..extras).map(Index::Dim).chain((0..dims).map(dim)).collect()
}

/// The tuple of functions from one set space to another.
fn functions(from: &isl::Space, to: &isl::Space, values: &[Index]) -> Result<isl::MultiAff, Error> {
    let mut all = from.map_to(to)?.zero_multi_aff()?;
    for (at, value) in values.iter().enumerate() {
        let pieces = value.to_pw_aff(from)?.pieces()?;
        let [(_, only)] = pieces.as_slice() else { return Err(malformed("box", "an origin in pieces")) };
        all = all.with_at(at as i32, only)?;
    }
    Ok(all)
}

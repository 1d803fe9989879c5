//! Contractions: sums of products of which each factor lacks some of the dimensions of the result, so that what is loaded
//! once is used many times. Products of matrices, convolutions, Kronecker products.
//!
//! ```text
//! for m, n                        block.y mo, block.x no
//!   C.init                          thread.y mt, thread.x nt     acc = 0
//!   for k                  ->       for ko
//!     C.update                        A, B -> shared memory      all threads, vectors
//!   O = f(C)                          for ki
//!                                       thread.y mt, thread.x nt
//!                                         mr, nr                 acc += As Bs
//!                                   thread.y mt, thread.x nt     O = f(acc)
//! ```
//!
//! After Volkov and Demmel, Benchmarking GPUs to Tune Dense Linear Algebra (SC 2008), for tiles of threads in registers, and
//! Nath, Tomov and Dongarra, An Improved MAGMA GEMM for Fermi GPUs (2010), for both levels. A thread's elements are in groups
//! of four, as far apart as all threads of its row have such groups, so that the threads of a warp read neighbouring vectors
//! of shared memory.

use std::cell::RefCell;

use polyhedral::{Access, Axis, Body, Member, Memory, Node, Scop, Stmt, StmtId, Subscript, isl};
use support::Gpu;
use transform::{Command, LayoutMap, Promotion, Session};

use super::{Beside, Declined, band_over, free_loops, nest_of, to_u32};

/// Maps a nest with a contraction: with the tile that promises the shortest time, or with the next one where that does not
/// fit.
pub(super) fn map(device: &Gpu, session: &mut Session, head: &str) -> Result<(), Declined> {
    let contraction = Contraction::find(session, head).ok_or(Declined::NotMeant)?;
    let mut declined = Declined::Because("no tile of it fits the device".into());
    for tile in contraction.tiles(device).into_iter().take(MOST_TRIALS) {
        let mut trial = session.clone();
        let outcome = RefCell::new(Ok(()));
        // One proof of all: in between, threads have what others of them need.
        trial.together(|session| {
            let threads = Default::default();
            let steps = Steps { device, session, contraction: &contraction, tile, threads };
            *outcome.borrow_mut() = steps.run();
        });
        match outcome.into_inner() {
            Ok(()) => {
                *session = trial;
                return Ok(());
            }
            Err(why) => declined = Declined::Because(why),
        }
    }
    Err(declined)
}

/// How many tiles are tried.
const MOST_TRIALS: usize = 4;

/// Elements that one access moves at most.
const VECTOR: i64 = 4;

/// A free loop of the nest.
#[derive(Clone)]
struct Loop {
    name: String,
    /// The dimension of the contraction that it is.
    dim: usize,
    /// Iterations, where that is a constant.
    extent: Option<i64>,
}

/// A nest around a contraction.
struct Contraction {
    stmt: StmtId,
    /// The loop along which threads are neighbours, and the one that only other factors use.
    column: Loop,
    row: Loop,
    others: Vec<Loop>,
    /// The loops of the sum, outermost first.
    summed: Vec<Loop>,
    /// The statements of the nest, in their order, each with its dimensions that are the row and the column loop.
    stmts: Vec<(StmtId, [usize; 2])>,
}

impl Contraction {
    fn find(session: &Session, head: &str) -> Option<Contraction> {
        let scop = session.scop();
        let nest = nest_of(scop, head)?;
        let stmts: Vec<StmtId> = scop.stmts.iter().map(|(id, _)| id).filter(|id| is_in(nest, scop, *id)).collect();
        let mut sums = stmts.iter().copied().filter(|id| matches!(scop.stmts[*id].body, Body::Reduce { .. }));
        let (stmt, None) = (sums.next()?, sums.next()) else { return None };
        let free = free_loops(session, band_over(nest, head));
        let around = loops_over(nest, &scop.stmts[stmt].name);
        let of = |name: &String| Loop::of(scop, name, stmt);
        let free = free.iter().map(of).collect::<Option<Vec<Loop>>>()?;
        let summed = around.iter().filter(|name| !free.iter().any(|one| one.name == **name));
        let summed = summed.map(of).collect::<Option<Vec<Loop>>>()?;
        let (row, column) = row_and_column(&scop.stmts[stmt], &free, &summed)?;
        let others = free.into_iter().filter(|one| one.dim != row.dim && one.dim != column.dim).collect();
        let simple = stmts.iter().filter(|id| **id != stmt);
        for other in simple {
            if loops_over(nest, &scop.stmts[*other].name).iter().any(|name| summed.iter().any(|one| one.name == *name))
            {
                return None;
            }
        }
        let dims = |id: StmtId| -> Option<(StmtId, [usize; 2])> {
            let dim = |one: &Loop| dim_of(scop.tree.member(&one.name)?, &scop.stmts[id].name);
            Some((id, [dim(&row)?, dim(&column)?]))
        };
        let stmts = stmts.into_iter().map(dims).collect::<Option<Vec<_>>>()?;
        Some(Contraction { stmt, column, row, others, summed, stmts })
    }
}

/// Of the loops, one along which the result is contiguous and one that other factors use.
fn row_and_column(stmt: &Stmt, free: &[Loop], summed: &[Loop]) -> Option<(Loop, Loop)> {
    let [write] = stmt.writes.as_slice() else { return None };
    let factors = factors(stmt, summed);
    let users = |one: &Loop| -> Vec<usize> { (0..factors.len()).filter(|at| uses(factors[*at], one.dim)).collect() };
    let is_apart = |a: &Loop, b: &Loop| {
        let (a, b) = (users(a), users(b));
        !a.is_empty() && !b.is_empty() && a.iter().all(|at| !b.contains(at))
    };
    // Of the result's last subscripts first; of equals the longer loop.
    let position = |one: &Loop| write.index.iter().rposition(|subscript| in_subscript(subscript, one.dim));
    let mut order: Vec<&Loop> = free.iter().filter(|one| position(one).is_some()).collect();
    order.sort_by_key(|one| std::cmp::Reverse(position(one)));
    for column in &order {
        let rows = order.iter().filter(|row| is_apart(row, column));
        if let Some(row) = rows.max_by_key(|row| (row.extent.unwrap_or(i64::MAX), position(row))) {
            return Some(((*row).clone(), (*column).clone()));
        }
    }
    None
}

/// What is read anew along the loops of the sum.
fn factors<'s>(stmt: &'s Stmt, summed: &[Loop]) -> Vec<&'s Access> {
    stmt.reads.iter().filter(|read| summed.iter().any(|one| uses(read, one.dim))).collect()
}

fn uses(access: &Access, dim: usize) -> bool {
    access.index.iter().any(|subscript| in_subscript(subscript, dim))
}

fn in_subscript(subscript: &Subscript, dim: usize) -> bool {
    match subscript {
        Subscript::Affine(index) => index.dims_used().contains(&dim),
        Subscript::Indirect(_) => false,
    }
}

impl Loop {
    /// Of a loop whose value is a dimension of the statement.
    fn of(scop: &Scop, name: &str, stmt: StmtId) -> Option<Loop> {
        let member = scop.tree.member(name)?;
        let dim = dim_of(member, &scop.stmts[stmt].name)?;
        Some(Loop { name: name.to_string(), dim, extent: extent(member) })
    }
}

/// The dimension of a statement that a loop runs over.
fn dim_of(member: &Member, stmt: &str) -> Option<usize> {
    let functions = member.schedule.pw_affs().ok()?;
    let is_own = |function: &&isl::PwAff| function.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == stmt);
    let pieces = functions.iter().find(is_own)?.pieces().ok()?;
    let [(_, function)] = pieces.as_slice() else { return None };
    let terms = function.terms().ok()?;
    let used: Vec<usize> = (0..terms.dims.len()).filter(|at| terms.dims[*at] != 0).collect();
    match used.as_slice() {
        [dim] if terms.dims[*dim] == 1 && terms.floors.is_empty() => Some(*dim),
        _ => None,
    }
}

/// How many values a loop has, if that is a constant.
fn extent(member: &Member) -> Option<i64> {
    let values = member.schedule.to_union_map().ok()?.range().ok()?.as_set().ok()?;
    let bound =
        |value: isl::Result<isl::Val>| value.ok().filter(|value| value.is_int().unwrap_or(false))?.to_i64().ok();
    bound(values.dim_max_val(0))?.checked_sub(bound(values.dim_min_val(0))?)?.checked_add(1)
}

/// The loops around a statement, outermost first.
fn loops_over(node: &Node, stmt: &str) -> Vec<String> {
    let mut loops = Vec::new();
    let mut node = Some(node);
    while let Some(here) = node {
        node = match here {
            Node::Leaf => None,
            Node::Mark { child, .. } => Some(child),
            Node::Band(band) => {
                loops.extend(band.members.iter().map(|member| member.name.clone()));
                Some(&band.child)
            }
            Node::Sequence(children) | Node::Set(children) => {
                children.iter().find(|child| super::has_instances(&child.filter, stmt)).map(|child| &child.node)
            }
        };
    }
    loops
}

fn is_in(nest: &Node, scop: &Scop, stmt: StmtId) -> bool {
    let name = &scop.stmts[stmt].name;
    super::nest_of(scop, name).is_some_and(|own| std::ptr::eq(own, nest))
        && super::has_instances(&scop.tree.domain, name)
}

/// What a block and a thread compute between two barriers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    /// Threads along the row and along the column loop.
    threads: [i64; 2],
    /// Elements of a thread along them.
    elements: [i64; 2],
    /// Iterations of the sum.
    depth: i64,
}

impl Tile {
    /// Elements of a block along the row and the column loop.
    fn block(&self) -> [i64; 2] {
        [self.threads[0] * self.elements[0], self.threads[1] * self.elements[1]]
    }
}

impl Contraction {
    /// The tiles that the device has registers for, by the time that they promise.
    fn tiles(&self, device: &Gpu) -> Vec<Tile> {
        let mut tiles = Vec::new();
        for threads in [[16, 16], [8, 16], [8, 8], [4, 8]] {
            for rows in [8, 4, 2, 1] {
                for columns in [8, 4, 2, 1] {
                    let tile = Tile { threads, elements: [rows, columns], depth: self.depth(rows * columns) };
                    let fits =
                        threads[0] * threads[1] <= device.threads && 4 * 4 * rows * columns <= device.private_bytes * 2;
                    if fits {
                        tiles.push(tile);
                    }
                }
            }
        }
        // A stable sort: of equals the first.
        tiles.sort_by(|a, b| self.time(device, a).total_cmp(&self.time(device, b)));
        tiles
    }

    /// Iterations of the outermost loop of the sum between barriers: more where a thread has little to do in each.
    fn depth(&self, elements: i64) -> i64 {
        let inner: i64 = self.summed.iter().skip(1).map(|one| one.extent.unwrap_or(1)).product();
        let wanted = if elements >= 32 { 8 } else { 16 };
        let outer = self.summed.first().and_then(|one| one.extent).unwrap_or(i64::MAX);
        let depth = (wanted / inner.max(1)).clamp(1, outer);
        // Whole vectors where there are some.
        if depth >= VECTOR { depth - depth % VECTOR } else { depth }
    }

    /// What a multiprocessor takes, in products that it could have done: its share of the blocks, each with as many elements
    /// as it has whether they are needed or not. Each iteration of the sum loads a row of the tile and a column of it into
    /// shared memory, and a row and a column of a thread's elements from there; too few threads leave the units waiting.
    fn time(&self, device: &Gpu, tile: &Tile) -> f64 {
        let along = |one: &Loop, block: i64| ceil_div(one.extent.unwrap_or(OPEN), block);
        let [rows, columns] = tile.block();
        let others: i64 = self.others.iter().map(|one| one.extent.unwrap_or(1)).fold(1, i64::saturating_mul);
        let blocks = along(&self.row, rows).saturating_mul(along(&self.column, columns)).saturating_mul(others);
        let per_processor = ceil_div(blocks, device.multiprocessors.max(1));
        let threads = tile.threads[0] * tile.threads[1];
        let [r, c] = tile.elements.map(|one| one as f64);
        let products = (rows * columns) as f64 * (1.0 + SHARED_LOAD * (r + c) / (r * c));
        let loaded = GLOBAL_LOAD * (rows + columns) as f64;
        let resident = (per_processor * threads).min(device.resident_threads) as f64;
        let busy = (resident * (r * c).min(4.0) / BUSY).min(1.0);
        per_processor as f64 * (products + loaded) / busy
    }
}

fn ceil_div(a: i64, b: i64) -> i64 {
    a.saturating_add(b - 1) / b
}

/// What a loop of unknown length counts as.
const OPEN: i64 = 4096;

/// Products in the time of a load of one element by one thread from shared memory, of vectors.
const SHARED_LOAD: f64 = 1.0;

/// Products in the time that an element takes from global memory, for the most part from the cache of all multiprocessors:
/// 128 products against 4 to 8 numbers in a cycle, half of which other warps hide.
const GLOBAL_LOAD: f64 = 10.0;

/// Threads of a multiprocessor, each with four independent sums, that keep its units busy.
const BUSY: f64 = 1024.0;

/// The commands for one tile.
struct Steps<'a> {
    device: &'a Gpu,
    session: &'a mut Session,
    contraction: &'a Contraction,
    tile: Tile,
    /// The loops that threads share out along the row and the column.
    threads: [Vec<String>; 2],
}

/// A step that is refused, in a sentence.
type Step<T = ()> = Result<T, String>;

impl Steps<'_> {
    fn run(mut self) -> Step {
        let blocks = self.blocks()?;
        let last = blocks.last().cloned().unwrap_or_default();
        self.distribute(blocks.len())?;
        let mut outer = None;
        for &(stmt, _) in &self.contraction.stmts {
            let name = self.name(stmt);
            if stmt == self.contraction.stmt {
                outer = Some(self.summed(&name, blocks.len())?);
            } else {
                self.rows_and_columns(&name, blocks.len())?;
            }
        }
        let layouts = self.registers(&last, blocks.len())?;
        // All at once: what a thread keeps is no other one's in between either.
        let threads = std::mem::take(&mut self.threads);
        for (loops, axis) in threads.into_iter().zip([Axis::Thread(1), Axis::Thread(0)]) {
            self.apply(Command::bind_all(loops, axis))?;
        }
        for layout in layouts {
            self.apply(Command::Layout(layout))?;
        }
        self.shared(&outer.ok_or("the contraction is gone")?, blocks.len())?;
        self.within_limits()
    }

    fn name(&self, stmt: StmtId) -> String {
        self.session.scop().stmts[stmt].name.clone()
    }

    fn apply(&mut self, command: Command) -> Step {
        self.session.apply(command).map_err(|refused| refused.to_string())
    }

    /// Splits a loop; the loops that it becomes, called so, or by its own name and a letter.
    fn split(&mut self, name: &str, by: i64, letters: [&str; 2]) -> Step<[String; 2]> {
        let [outer, inner] =
            letters.map(|ending| [if ending.len() > 1 { ending.into() } else { lettered(name, ending) }]);
        self.apply(Command::split(name, to_u32(by)).named(outer, inner))?;
        self.made()
    }

    /// The two loops that the last command made.
    fn made(&self) -> Step<[String; 2]> {
        let made = match self.session.script().commands().next_back() {
            Some(
                Command::Split { member, names: Some(names), .. }
                | Command::Vectorise { member, names: Some(names), .. },
            ) => Beside::beside(names, std::slice::from_ref(member)),
            _ => return Err("no loop was made".into()),
        };
        match (made.outer.as_slice(), made.inner.as_slice()) {
            ([outer], [inner]) => Ok([outer.clone(), inner.clone()]),
            _ => Err("other loops were made".into()),
        }
    }

    /// The loops on blocks, outermost first.
    fn blocks(&mut self) -> Step<Vec<String>> {
        let Contraction { row, column, others, .. } = self.contraction;
        let wanted = others.iter().chain([row, column]).map(|one| one.name.clone());
        self.apply(Command::reorder(wanted))?;
        let [rows, columns] = self.tile.block();
        let names = |letter: &str| [row, column].map(|one| lettered(&one.name, letter));
        let tile = Command::tile([row.name.clone(), column.name.clone()], [to_u32(rows), to_u32(columns)]);
        self.apply(tile.named(names("o"), names("i")))?;
        let tiled = match self.session.script().commands().next_back() {
            Some(Command::Tile { members, names: Some(names), .. }) => Beside::beside(names, members).outer,
            _ => return Err("no loop was made".into()),
        };
        let mut blocks = Vec::new();
        if let Some((first, rest)) = others.split_first() {
            let mut one = first.name.clone();
            for other in rest {
                one = self.collapse(&one, &other.name, None)?;
            }
            blocks.push(one);
        }
        let axes = [Axis::Block(2), Axis::Block(1), Axis::Block(0)];
        blocks.extend(tiled);
        for (name, axis) in blocks.iter().zip(&axes[3 - blocks.len().min(3)..]) {
            self.apply(Command::bind(name.clone(), *axis))?;
        }
        let [rows, columns] = self.tile.threads.map(to_u32);
        let first = blocks.first().cloned().unwrap_or_default();
        self.apply(Command::launch(first, [columns, rows]))?;
        Ok(blocks)
    }

    fn collapse(&mut self, outer: &str, inner: &str, name: Option<&str>) -> Step<String> {
        let members = [outer.to_string(), inner.to_string()];
        self.apply(Command::Collapse { members, name: name.map(str::to_string) })?;
        match self.session.script().commands().next_back() {
            Some(Command::Collapse { members: [outer, _], name: Some(name) }) => {
                Ok(if name.contains('.') { name.clone() } else { beside(name, outer) })
            }
            _ => Err("no loop was made".into()),
        }
    }

    /// One nest in a block for each statement.
    fn distribute(&mut self, blocks: usize) -> Step {
        if self.contraction.stmts.len() < 2 {
            return Ok(());
        }
        let first = self.inside(&self.name(self.contraction.stmts[0].0), blocks)?;
        self.apply(Command::distribute(first[0].clone()))
    }

    /// The loops around a statement in a block.
    fn inside(&self, stmt: &str, blocks: usize) -> Step<Vec<String>> {
        let scop = self.session.scop();
        let nest = nest_of(scop, stmt).ok_or("a statement is gone")?;
        let loops = loops_over(nest, stmt).split_off(blocks);
        if loops.len() < 2 { Err(format!("`{stmt}` is in too few loops")) } else { Ok(loops) }
    }

    /// The loops of a statement with only the row and the column loop.
    fn rows_and_columns(&mut self, stmt: &str, blocks: usize) -> Step {
        let loops = self.inside(stmt, blocks)?;
        let [row, column] = loops.as_slice() else { return Err(format!("`{stmt}` is in more loops than the result")) };
        self.cut(stmt, [row.clone(), column.clone()], Vec::new())
    }

    /// The contraction: the loop between whose iterations barriers are.
    fn summed(&mut self, stmt: &str, blocks: usize) -> Step<String> {
        let mut loops = self.inside(stmt, blocks)?;
        let mut summed = loops.split_off(2);
        let Some(first) = summed.first_mut() else { return Err("there is no loop of the sum".into()) };
        let [outer, inner] = self.split(first, self.tile.depth, ["o", "i"])?;
        *first = inner;
        summed.insert(0, outer.clone());
        let [row, column] = [loops[0].clone(), loops[1].clone()];
        self.cut(stmt, [row, column], summed)?;
        Ok(outer)
    }

    /// Cuts the row and the column loop of a statement into those of threads, inside of other loops, and groups of
    /// elements inside.
    fn cut(&mut self, stmt: &str, loops: [String; 2], outside: Vec<String>) -> Step {
        let (mut threads, mut groups) = (Vec::new(), Vec::new());
        for (name, elements) in loops.iter().zip(self.tile.elements) {
            let group = elements.min(VECTOR);
            if group == 1 {
                threads.push(name.clone());
                continue;
            }
            let [outer, inner] = self.split(name, group, ["t", "r"])?;
            threads.push(outer);
            groups.push(inner);
        }
        let order = outside.iter().chain(&threads).chain(&groups).cloned();
        self.apply(Command::reorder(order))?;
        for (name, own) in threads.into_iter().zip(&mut self.threads) {
            own.push(name);
        }
        let group = self.tile.elements[1].min(VECTOR);
        match groups.last().filter(|_| group > 1 && self.has_vectors(stmt, group)) {
            Some(column) => {
                let [outer, lanes] = ["v", "l"].map(|letter| [lettered(column, letter)]);
                self.apply(Command::vectorise(column.clone(), to_u32(group)).named(outer, lanes))
            }
            None => Ok(()),
        }
    }

    /// Whether the column loop has whole vectors.
    fn has_vectors(&self, stmt: &str, group: i64) -> bool {
        let is_whole = self.contraction.column.extent.is_some_and(|extent| extent % group == 0);
        let scop = self.session.scop();
        let bytes = |stmt: &Stmt| stmt.accesses().map(|access| scop.tensors[access.tensor].dtype.bytes()).max();
        let bytes = scop.stmt_named(stmt).and_then(|id| bytes(&scop.stmts[id])).unwrap_or(8);
        is_whole && group * i64::from(bytes) <= self.device.access_bytes
    }

    /// What the statements of a block hand on to each other, in the registers of their threads; how it is to lie there.
    fn registers(&mut self, site: &str, blocks: usize) -> Step<Vec<LayoutMap>> {
        let mut layouts = Vec::new();
        for tensor in self.handed_on() {
            let scop = self.session.scop();
            let id = scop.tensor_named(&tensor).ok_or("a tensor is gone")?;
            let Some([row, column]) = self.row_and_column_of(id) else { continue };
            let rank = scop.tensors[id].extent.len();
            let memory = Some(Memory::Registers);
            let name = self.fresh(format!("{tensor}_kept"));
            self.apply(Command::Promote(Promotion { name, memory, ..Promotion::of(tensor, site) }))?;
            let name = self.promoted()?;
            for copy in ["load", "store"] {
                let stmt = format!("{name}.{copy}");
                if self.session.scop().stmt_named(&stmt).is_some() {
                    let loops = self.inside(&stmt, blocks)?;
                    let others =
                        (0..rank).filter(|at| *at != row && *at != column).map(|at| loops[at].clone()).collect();
                    self.cut(&stmt, [loops[row].clone(), loops[column].clone()], others)?;
                }
            }
            layouts.push(self.registers_of_thread(name, rank, [row, column]));
        }
        Ok(layouts)
    }

    /// Tensors that one statement of the nest writes and another one touches, or that the contraction writes.
    fn handed_on(&self) -> Vec<String> {
        let scop = self.session.scop();
        let mut found = Vec::new();
        for (id, tensor) in scop.tensors.iter() {
            let touching =
                |stmt: &&(StmtId, [usize; 2])| scop.stmts[stmt.0].accesses().any(|access| access.tensor == id);
            let writing =
                |stmt: &&(StmtId, [usize; 2])| scop.stmts[stmt.0].writes.iter().any(|write| write.tensor == id);
            let stmts = &self.contraction.stmts;
            let is_sum = scop.stmts[self.contraction.stmt].writes.iter().any(|write| write.tensor == id);
            if is_sum || (stmts.iter().filter(writing).count() > 0 && stmts.iter().filter(touching).count() > 1) {
                found.push(tensor.name.clone());
            }
        }
        found
    }

    /// The dimensions of a tensor along the row and the column loop, where each is one of its own.
    fn row_and_column_of(&self, tensor: polyhedral::TensorId) -> Option<[usize; 2]> {
        let scop = self.session.scop();
        let mut found: Option<[usize; 2]> = None;
        for (stmt, dims) in self.contraction.stmts.iter().map(|(id, dims)| (&scop.stmts[*id], dims)) {
            for access in stmt.accesses().filter(|access| access.tensor == tensor) {
                let dims = dims.iter().map(|dim| {
                    let mut at = (0..access.index.len()).filter(|at| in_subscript(&access.index[*at], *dim));
                    match (at.next(), at.next()) {
                        (Some(at), None) => Some(at),
                        _ => None,
                    }
                });
                let dims = dims.collect::<Option<Vec<usize>>>()?;
                let here = [dims[0], dims[1]];
                if found.is_some_and(|found| found != here) || here[0] == here[1] {
                    return None;
                }
                found = Some(here);
            }
        }
        found
    }

    /// A name for a tensor, if it is free.
    fn fresh(&self, name: String) -> Option<String> {
        self.session.scop().tensor_named(&name).is_none().then_some(name)
    }

    /// The name of the tensor that the last command made.
    fn promoted(&self) -> Step<String> {
        match self.session.script().commands().next_back() {
            Some(Command::Promote(Promotion { name: Some(name), .. })) => Ok(name.clone()),
            _ => Err("no tensor was made".into()),
        }
    }

    /// The elements of a thread, one next to the other.
    fn registers_of_thread(&self, tensor: String, rank: usize, of: [usize; 2]) -> LayoutMap {
        let dims: Vec<String> = (0..rank).map(|at| format!("i{at}")).collect();
        let cell = |at: usize, axis: usize| {
            let (elements, threads) = (self.tile.elements[axis], self.tile.threads[axis]);
            let (group, dim) = (elements.min(VECTOR), &dims[at]);
            match (group, elements == group) {
                (1, _) => "0".to_string(),
                (_, true) => format!("{dim} mod {group}"),
                _ => format!("{group}*floor({dim}/{}) + {dim} mod {group}", group * threads),
            }
        };
        let cell = vec![cell(of[0], 0), cell(of[1], 1)];
        let extent = self.tile.elements.iter().map(i64::to_string).collect();
        LayoutMap { tensor, dims, cell, extent }
    }

    /// The factors, in the memory that the threads of a block share while one iteration of a loop runs.
    fn shared(&mut self, site: &str, blocks: usize) -> Step {
        let scop = self.session.scop();
        let stmt = &scop.stmts[self.contraction.stmt];
        let mut factors: Vec<Access> = Vec::new();
        for factor in self::factors(stmt, &self.contraction.summed) {
            if !factors.iter().any(|other| other.tensor == factor.tensor) {
                factors.push(factor.clone());
            }
        }
        for factor in factors {
            let tensor = self.session.scop().tensors[factor.tensor].clone();
            let dims = &self.contraction;
            let own = [dims.column.dim, dims.row.dim].into_iter();
            let own = own.filter_map(|dim| factor.index.iter().rposition(|one| in_subscript(one, dim))).next();
            let Some(own) = own else { continue };
            let last = factor.index.len() - 1;
            let order: Vec<usize> = (0..=last).filter(|at| *at != own).chain([own]).collect();
            let transposed = if own == last { Vec::new() } else { order.iter().map(|at| *at as u32).collect() };
            let padded = if own == last { 0 } else { VECTOR as u32 };
            let memory = Some(Memory::Shared);
            let name = self.fresh(format!("{}_tile", tensor.name));
            let promotion = Promotion { name, transposed, padded, memory, ..Promotion::of(tensor.name.clone(), site) };
            self.apply(Command::Promote(promotion))?;
            let name = self.promoted()?;
            // Loops in the order in which the elements lie where they come from.
            let place = |dim: usize| order.iter().position(|at| *at == dim).unwrap_or(dim);
            self.copy(&name, blocks + 1, &(0..=last).map(place).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// All threads share out a copy: vector by vector, as the elements lie where they come from.
    fn copy(&mut self, tensor: &str, outside: usize, order: &[usize]) -> Step {
        let scop = self.session.scop();
        let stmt = format!("{tensor}.load");
        let id = scop.stmt_named(&stmt).ok_or("nothing is loaded")?;
        let old = scop.stmts[id].reads.first().map(|read| &scop.tensors[read.tensor]).ok_or("nothing is read")?;
        let new = scop.tensor_named(tensor).map(|id| &scop.tensors[id]).ok_or("the copy is gone")?;
        let loops = {
            let nest = nest_of(scop, &stmt).ok_or("a statement is gone")?;
            loops_over(nest, &stmt).split_off(outside)
        };
        let loops: Vec<String> = order.iter().filter_map(|at| loops.get(*at).cloned()).collect();
        let whole = |extent: Option<i64>| extent.is_some_and(|extent| extent % VECTOR == 0);
        let innermost = order.last().and_then(|at| new.extent[*at].as_const());
        let lanes = VECTOR.min(self.device.access_bytes / i64::from(old.dtype.bytes()).max(1));
        let is_whole = whole(innermost) && whole(old.extent.last().and_then(|extent| extent.as_const())) && lanes > 1;
        let Some((last, rest)) = loops.split_last() else { return Err("a copy of one element".into()) };
        if !rest.is_empty() {
            self.apply(Command::reorder(loops.clone()))?;
        }
        let mut one = last.clone();
        for outer in rest.iter().rev() {
            one = self.collapse(outer, &one, Some("x"))?;
        }
        if is_whole {
            self.apply(Command::vectorise(one, to_u32(lanes)).named(["xv"], ["xl"]))?;
            [one, _] = self.made()?;
        }
        let [rows, columns] = self.split(&one, self.tile.threads[1], ["ty", "tx"])?;
        self.apply(Command::bind(rows, Axis::Thread(1)))?;
        self.apply(Command::bind(columns, Axis::Thread(0)))
    }

    /// Whether a block has the memory that its threads share.
    fn within_limits(&self) -> Step {
        let bytes = |tensor: &polyhedral::Tensor| {
            let extent = tensor.layout.as_ref().map_or(&tensor.extent, |layout| &layout.extent);
            let element = i64::from(tensor.dtype.bytes());
            extent.iter().try_fold(element, |all, extent| all.checked_mul(extent.as_const()?)).unwrap_or(i64::MAX)
        };
        let shared = self.session.scop().tensors.values().filter(|tensor| tensor.memory == Memory::Shared);
        let shared = shared.map(bytes).fold(0, i64::saturating_add);
        match shared <= self.device.shared_bytes {
            true => Ok(()),
            false => Err(format!("its tiles would share {shared} bytes, and a block has {}", self.device.shared_bytes)),
        }
    }
}

/// What a loop is called with another letter at the end: `mt` for `C.mi`.
fn lettered(name: &str, letter: &str) -> String {
    let short = name.rsplit('.').next().unwrap_or(name);
    let stem = match short.strip_suffix('i') {
        Some(stem) if !stem.is_empty() => stem,
        _ => short,
    };
    format!("{stem}{letter}")
}

fn beside(name: &str, of: &str) -> String {
    of.rsplit_once('.').map_or_else(|| name.to_string(), |(stmt, _)| format!("{stmt}.{name}"))
}

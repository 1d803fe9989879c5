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
//! of shared memory. Where it pays, the tiles of the next step are on their way meanwhile ([`Staged`]).
//!
//! A nest may have several sums of the same shape, one after the other, and what is made of them behind: a gate and what passes
//! it, a network's two products of one input. A block computes its tile of each.

use std::cell::RefCell;

use polyhedral::{Access, Axis, Memory, Stmt, StmtId, TensorId};
use support::{Gpu, Remark};
use transform::{Command, LayoutMap, Promotion, Session};

use super::buffers::Staged;
use super::nests::{
    Loop, band_over, beside_all, ceil_div, dim_of, free_loops, in_subscript, is_in, lettered, loops_over, nest_of, uses,
};
use super::steps::{Step, Steps, VECTOR};
use super::tiles::Tile;
use super::{Declined, to_u32};

/// Maps a nest with a contraction: with the tile that promises the shortest time, or with the next one where that does not
/// fit.
pub(super) fn map(device: &Gpu, session: &mut Session, head: &str) -> Result<(), Declined> {
    let contraction = Contraction::find(session, head).ok_or(Declined::NotMeant)?;
    let mut declined = Declined::Because("no tile of it fits the device".into());
    for tile in contraction.tiles(device, session.scop()).into_iter().take(MOST_TRIALS) {
        let mut trial = session.clone();
        let outcome = RefCell::new(Ok(()));
        // One proof of all: in between, threads have what others of them need.
        trial.together(|session| {
            let threads = Default::default();
            let steps = Steps::new(device, session, tile.layers);
            *outcome.borrow_mut() = Mapping { steps, contraction: &contraction, tile, threads }.run();
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

/// How many products a nest sums, if it is a contraction and that is known.
pub(super) fn work(session: &Session, head: &str) -> Option<i64> {
    let Contraction { row, column, others, sums, .. } = Contraction::find(session, head)?;
    let product = |loops: &[Loop]| loops.iter().try_fold(1i64, |all, one| all.checked_mul(one.extent?));
    let terms = sums.iter().try_fold(0i64, |all, sum| all.checked_add(product(&sum.summed)?))?;
    product(&[[row, column].as_slice(), &others].concat())?.checked_mul(terms)
}

/// How many tiles are tried.
const MOST_TRIALS: usize = 4;

/// A nest around a contraction.
pub(super) struct Contraction {
    /// What is summed, in its order: at least one sum, all of them of the same rows and columns.
    pub(super) sums: Vec<Sum>,
    /// The loop along which threads are neighbours, and the one that only other factors use.
    pub(super) column: Loop,
    pub(super) row: Loop,
    pub(super) others: Vec<Loop>,
    /// Of these, one whose iterations share what some factor has.
    pub(super) layer: Option<Layer>,
    /// The statements of the nest, in their order, each with its dimensions that are the row and the column loop.
    stmts: Vec<(StmtId, [usize; 2])>,
}

/// A sum of products.
pub(super) struct Sum {
    pub(super) stmt: StmtId,
    /// The dimensions of the statement that the row and the column loop are.
    pub(super) row: usize,
    pub(super) column: usize,
    /// The loops of the sum, outermost first.
    pub(super) summed: Vec<Loop>,
}

/// A loop that some factor does not use: its iterations in one block share what they load of that factor.
pub(super) struct Layer {
    pub(super) of: Loop,
    /// The dimension that it is of each statement of the nest, in their order.
    dims: Vec<usize>,
}

impl Contraction {
    fn find(session: &Session, head: &str) -> Option<Contraction> {
        let scop = session.scop();
        let nest = nest_of(scop, head)?;
        let stmts: Vec<StmtId> = scop.stmts.iter().map(|(id, _)| id).filter(|id| is_in(nest, scop, *id)).collect();
        let names = free_loops(session, band_over(nest, head));
        let mut sums: Vec<Sum> = Vec::new();
        let mut found: Option<(Vec<Loop>, Loop, Loop)> = None;
        for id in stmts.iter().copied().filter(|id| scop.stmts[*id].body.is_reduce()) {
            let stmt = &scop.stmts[id];
            let of = |name: &String| Loop::of(scop, name, id);
            let free = names.iter().map(of).collect::<Option<Vec<Loop>>>()?;
            let around = loops_over(nest, &stmt.name);
            let summed = around.iter().filter(|name| !names.contains(name)).map(of).collect::<Option<Vec<Loop>>>()?;
            let (row, column) = row_and_column(stmt, &free, &summed)?;
            summed.first().filter(|first| first.extent.is_none_or(|extent| extent > 1))?;
            sums.push(Sum { stmt: id, row: row.dim, column: column.dim, summed });
            let (_, first_row, first_column) = found.get_or_insert_with(|| (free, row.clone(), column.clone()));
            if row.name != first_row.name || column.name != first_column.name {
                return None;
            }
        }
        let (free, row, column) = found?;
        let others: Vec<Loop> = free.into_iter().filter(|one| one.dim != row.dim && one.dim != column.dim).collect();
        for id in &stmts {
            let around = loops_over(nest, &scop.stmts[*id].name);
            let is_around = |one: &Loop| around.contains(&one.name);
            if sums.iter().any(|sum| sum.stmt != *id && sum.summed.iter().any(is_around)) {
                return None;
            }
        }
        let dim = |one: &Loop, id: StmtId| dim_of(scop.tree.member(&one.name)?, &scop.stmts[id].name);
        let layer = match sums.as_slice() {
            [Sum { stmt, summed, .. }] => layer(&scop.stmts[*stmt], &others, summed),
            _ => None,
        };
        let layer = layer.and_then(|of| {
            let dims = stmts.iter().map(|id| dim(of, *id)).collect::<Option<Vec<_>>>()?;
            Some(Layer { of: of.clone(), dims })
        });
        let dims = |id: StmtId| Some((id, [dim(&row, id)?, dim(&column, id)?]));
        let stmts = stmts.iter().map(|id| dims(*id)).collect::<Option<Vec<_>>>()?;
        Some(Contraction { sums, column, row, others, layer, stmts })
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

/// Of the loops, one that some factor does not use, and others do: of several the one in the result's last subscripts, whose
/// iterations lie close to each other.
fn layer<'l>(stmt: &Stmt, others: &'l [Loop], summed: &[Loop]) -> Option<&'l Loop> {
    let [write] = stmt.writes.as_slice() else { return None };
    let factors = factors(stmt, summed);
    let is_shared = |one: &&Loop| {
        let users = factors.iter().filter(|factor| uses(factor, one.dim)).count();
        (1..factors.len()).contains(&users)
    };
    let position = |one: &&Loop| write.index.iter().rposition(|subscript| in_subscript(subscript, one.dim));
    others.iter().filter(is_shared).filter(|one| position(one).is_some()).max_by_key(position)
}

/// What is read anew along the loops of the sum.
pub(super) fn factors<'s>(stmt: &'s Stmt, summed: &[Loop]) -> Vec<&'s Access> {
    stmt.reads.iter().filter(|read| summed.iter().any(|one| uses(read, one.dim))).collect()
}

/// The commands for one tile.
struct Mapping<'a> {
    steps: Steps<'a>,
    contraction: &'a Contraction,
    tile: Tile,
    /// The loops that threads share out along layers, the row and the column.
    threads: [Vec<String>; 3],
}

impl Mapping<'_> {
    fn run(mut self) -> Step {
        let blocks = self.blocks()?;
        let last = blocks.last().cloned().unwrap_or_default();
        self.distribute(blocks.len())?;
        let mut steps = Vec::new();
        for &(stmt, _) in &self.contraction.stmts {
            let name = self.name(stmt);
            if self.contraction.sums.iter().any(|sum| sum.stmt == stmt) {
                steps.push(self.summed(&name, blocks.len())?);
            } else {
                self.rows_and_columns(&name, blocks.len())?;
            }
        }
        let layouts = self.registers(&last, blocks.len())?;
        // All at once: what a thread keeps is no other one's in between either.
        let threads = std::mem::take(&mut self.threads);
        for (loops, axis) in threads.into_iter().zip([Axis::Thread(2), Axis::Thread(1), Axis::Thread(0)]) {
            if !loops.is_empty() {
                self.steps.apply(Command::bind_all(loops, axis))?;
            }
        }
        for layout in layouts {
            self.steps.apply(Command::Layout(layout))?;
        }
        self.shared_in_turn(&steps, blocks.len())?;
        self.steps.within_limits()
    }

    /// The factors in shared memory, in two buffers that are used in turn where that promises more than one.
    fn shared_in_turn(&mut self, sites: &[String], blocks: usize) -> Step {
        let before = self.steps.session.clone();
        self.all_shared(sites, blocks, false)?;
        let outermost = self.contraction.outermost();
        let staged = Staged {
            threads: self.tile.threads.iter().product::<i64>() * self.tile.layers,
            sums: self.tile.elements.iter().product::<i64>() * sites.len() as i64,
            steps: outermost.map(|extent| ceil_div(extent, self.tile.depth)),
            bytes: self.steps.shared_bytes(),
        };
        let why = match staged.is_single(self.steps.device) {
            Some(why) => why,
            None => {
                let single = std::mem::replace(self.steps.session, before);
                match self.all_shared(sites, blocks, true) {
                    Ok(()) => return Ok(()),
                    Err(why) => {
                        *self.steps.session = single;
                        why
                    }
                }
            }
        };
        for site in sites {
            self.steps.session.remark(Remark::new("gpu", site, "one buffer for each tile", why.clone()));
        }
        Ok(())
    }

    /// The factors of each sum, in the steps of its own.
    fn all_shared(&mut self, sites: &[String], blocks: usize, double: bool) -> Step {
        let mut sums = self.contraction.sums.iter().zip(sites);
        sums.try_for_each(|(sum, site)| self.shared(sum, site, blocks, double))
    }

    fn name(&self, stmt: StmtId) -> String {
        self.steps.session.scop().stmts[stmt].name.clone()
    }

    /// The loops on blocks, outermost first.
    fn blocks(&mut self) -> Step<Vec<String>> {
        let Contraction { row, column, others, .. } = self.contraction;
        let layer = self.contraction.layer.as_ref().map(|layer| &layer.of).filter(|_| self.tile.layers > 1);
        let others: Vec<&Loop> = others.iter().filter(|one| layer.is_none_or(|layer| layer.dim != one.dim)).collect();
        let cut: Vec<&Loop> = layer.into_iter().chain([row, column]).collect();
        let wanted = others.iter().chain(&cut).map(|one| one.name.clone());
        self.steps.apply(Command::reorder(wanted))?;
        let [rows, columns] = self.tile.block();
        let sizes = [self.tile.layers, rows, columns].into_iter().skip(3 - cut.len());
        let names = |letter: &str| cut.iter().map(|one| lettered(&one.name, letter)).collect::<Vec<_>>();
        let tile = Command::tile(cut.iter().map(|one| one.name.clone()), sizes.map(to_u32));
        self.steps.apply(tile.named(names("o"), names("i")))?;
        let tiled = match self.steps.session.script().commands().next_back() {
            Some(Command::Tile { members, names: Some(names), .. }) => beside_all(&names.outer, members),
            _ => return Err("no loop was made".into()),
        };
        let blocks: Vec<String> = others.iter().map(|one| one.name.clone()).chain(tiled).collect();
        self.steps.on_blocks(&blocks, self.tile.threads)
    }

    /// One nest in a block for each statement.
    fn distribute(&mut self, blocks: usize) -> Step {
        if self.contraction.stmts.len() < 2 {
            return Ok(());
        }
        let first = self.inside(&self.name(self.contraction.stmts[0].0), blocks)?;
        self.steps.apply(Command::distribute(first[0].clone()))
    }

    /// The loops around a statement in a block.
    fn inside(&self, stmt: &str, blocks: usize) -> Step<Vec<String>> {
        let scop = self.steps.session.scop();
        let nest = nest_of(scop, stmt).ok_or("a statement is gone")?;
        let loops = loops_over(nest, stmt).split_off(blocks);
        if loops.len() < 2 { Err(format!("`{stmt}` is in too few loops")) } else { Ok(loops) }
    }

    /// The loops of a statement with only the row and the column loop, and layers.
    fn rows_and_columns(&mut self, stmt: &str, blocks: usize) -> Step {
        let mut loops = self.inside(stmt, blocks)?;
        let layers = self.layers_of(&mut loops);
        let [row, column] = loops.as_slice() else { return Err(format!("`{stmt}` is in more loops than the result")) };
        self.cut(stmt, [row.clone(), column.clone()], layers)
    }

    /// The contraction: the loop between whose iterations barriers are.
    fn summed(&mut self, stmt: &str, blocks: usize) -> Step<String> {
        let mut loops = self.inside(stmt, blocks)?;
        let layers = self.layers_of(&mut loops);
        let mut summed = loops.split_off(2);
        let Some(first) = summed.first_mut() else { return Err("there is no loop of the sum".into()) };
        let [outer, inner] = self.steps.split(first, self.tile.depth, ["o", "i"])?;
        *first = inner;
        summed.insert(0, outer.clone());
        summed.extend(layers);
        let [row, column] = [loops[0].clone(), loops[1].clone()];
        self.cut(stmt, [row, column], summed)?;
        Ok(outer)
    }

    /// Takes the loop of layers off the loops in a block, whose first one it is, for threads to share it out.
    fn layers_of(&mut self, loops: &mut Vec<String>) -> Vec<String> {
        let layers: Vec<String> = loops.drain(..usize::from(self.tile.layers > 1)).collect();
        self.threads[0].extend(layers.iter().cloned());
        layers
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
            let [outer, inner] = self.steps.split(name, group, ["t", "r"])?;
            threads.push(outer);
            groups.push(inner);
        }
        let order = outside.iter().chain(&threads).chain(&groups).cloned();
        self.steps.apply(Command::reorder(order))?;
        for (name, own) in threads.into_iter().zip(&mut self.threads[1..]) {
            own.push(name);
        }
        let group = self.tile.elements[1].min(VECTOR);
        match groups.last().filter(|_| group > 1 && self.has_vectors(stmt, group)) {
            Some(column) => {
                let [outer, lanes] = ["v", "l"].map(|letter| [lettered(column, letter)]);
                self.steps.apply(Command::vectorise(column.clone(), to_u32(group)).named(outer, lanes))
            }
            None => Ok(()),
        }
    }

    /// Whether the column loop has whole vectors.
    fn has_vectors(&self, stmt: &str, group: i64) -> bool {
        let is_whole = self.contraction.column.extent.is_some_and(|extent| extent % group == 0);
        let scop = self.steps.session.scop();
        let bytes = |stmt: &Stmt| stmt.accesses().map(|access| scop.tensors[access.tensor].dtype.bytes()).max();
        let bytes = scop.stmt_named(stmt).and_then(|id| bytes(&scop.stmts[id])).unwrap_or(8);
        is_whole && group * i64::from(bytes) <= self.steps.device.access_bytes
    }

    /// What the statements of a block hand on to each other, in the registers of their threads; how it is to lie there.
    fn registers(&mut self, site: &str, blocks: usize) -> Step<Vec<LayoutMap>> {
        let mut layouts = Vec::new();
        for tensor in self.handed_on() {
            let scop = self.steps.session.scop();
            let id = scop.tensor_named(&tensor).ok_or("a tensor is gone")?;
            let Some([row, column]) = self.row_and_column_of(id) else { continue };
            let rank = scop.tensors[id].extent.len();
            let layer = if self.tile.layers > 1 {
                Some(self.layer_of(id).ok_or_else(|| format!("`{tensor}` is of all layers"))?)
            } else {
                None
            };
            let memory = Some(Memory::Registers);
            let name = self.steps.fresh(format!("{tensor}_kept"));
            self.steps.apply(Command::Promote(Promotion { name, memory, ..Promotion::of(tensor.clone(), site) }))?;
            let name = self.steps.promoted()?;
            for copy in ["load", "store"] {
                let stmt = format!("{name}.{copy}");
                if self.steps.session.scop().stmt_named(&stmt).is_some() {
                    let loops = self.inside(&stmt, blocks)?;
                    self.threads[0].extend(layer.map(|at| loops[at].clone()));
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
        let scop = self.steps.session.scop();
        let mut found = Vec::new();
        for (id, tensor) in scop.tensors.iter() {
            let touching =
                |stmt: &&(StmtId, [usize; 2])| scop.stmts[stmt.0].accesses().any(|access| access.tensor == id);
            let writing =
                |stmt: &&(StmtId, [usize; 2])| scop.stmts[stmt.0].writes.iter().any(|write| write.tensor == id);
            let stmts = &self.contraction.stmts;
            let writes = |sum: &Sum| scop.stmts[sum.stmt].writes.iter().any(|write| write.tensor == id);
            let is_sum = self.contraction.sums.iter().any(writes);
            if is_sum || (stmts.iter().filter(writing).count() > 0 && stmts.iter().filter(touching).count() > 1) {
                found.push(tensor.name.clone());
            }
        }
        found
    }

    /// The dimensions of a tensor along the row and the column loop, where each is one of its own.
    fn row_and_column_of(&self, tensor: TensorId) -> Option<[usize; 2]> {
        let scop = self.steps.session.scop();
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

    /// The dimension of a tensor along the layers, where all statements that touch it have it there.
    fn layer_of(&self, tensor: TensorId) -> Option<usize> {
        let scop = self.steps.session.scop();
        let dims = &self.contraction.layer.as_ref()?.dims;
        let mut found = None;
        for ((id, _), dim) in self.contraction.stmts.iter().zip(dims) {
            for access in scop.stmts[*id].accesses().filter(|access| access.tensor == tensor) {
                let at = access.index.iter().position(|subscript| in_subscript(subscript, *dim))?;
                if found.is_some_and(|found| found != at) {
                    return None;
                }
                found = Some(at);
            }
        }
        found
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

    /// The factors, in the memory that the threads of a block share while one iteration of a loop runs; `double` buffers are
    /// filled one iteration earlier.
    fn shared(&mut self, sum: &Sum, site: &str, blocks: usize, double: bool) -> Step {
        let scop = self.steps.session.scop();
        let stmt = &scop.stmts[sum.stmt];
        let mut factors: Vec<Access> = Vec::new();
        for factor in self::factors(stmt, &sum.summed) {
            if !factors.iter().any(|other| other.tensor == factor.tensor) {
                factors.push(factor.clone());
            }
        }
        for factor in factors {
            let tensor = self.steps.session.scop().tensors[factor.tensor].clone();
            let own = [sum.column, sum.row].into_iter();
            let own = own.filter_map(|dim| factor.index.iter().rposition(|one| in_subscript(one, dim))).next();
            let Some(own) = own else { continue };
            let last = factor.index.len() - 1;
            let order: Vec<usize> = (0..=last).filter(|at| *at != own).chain([own]).collect();
            let transposed = if own == last { Vec::new() } else { order.iter().map(|at| *at as u32).collect() };
            let padded = if own == last { 0 } else { VECTOR as u32 };
            let memory = Some(Memory::Shared);
            let name = self.steps.fresh(format!("{}_tile", tensor.name));
            let promotion =
                Promotion { name, transposed, padded, double, memory, ..Promotion::of(tensor.name.clone(), site) };
            self.steps.apply(Command::Promote(promotion))?;
            let name = self.steps.promoted()?;
            // What a device copies by itself gets a place of its own for each element only if it is copied apart.
            let in_vectors = !(double && self.steps.device.has_async_copies && own != last);
            // Loops in the order in which the elements lie where they come from.
            let place = |dim: usize| order.iter().position(|at| *at == dim).unwrap_or(dim);
            let order: Vec<usize> = (0..=last).map(place).collect();
            self.steps.copy(&name, blocks + 1, &order, self.tile.threads, in_vectors)?;
        }
        Ok(())
    }
}

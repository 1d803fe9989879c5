//! What is copied before it is used many times, and how the loops are cut so that each copy stays in its cache.

use polyhedral::{Access, DType, Expr, Subscript};

use super::steps::even_steps;
use super::{Group, Piece, Planner, RegisterTile, extent_of};
use crate::nest::{self, Loop, Stride};
use crate::plan::{Form, Pack};

/// The least rows that share what is packed: each copied element is then used so many times.
const LEAST_ROWS: u64 = 48;
/// The least rows when the lanes are apart in memory, and would be loaded one by one for each box of rows.
const LEAST_ROWS_OF_GATHERS: u64 = 8;
/// The most iterations of a strip of a reduction, fewer when a panel would take more than a [`PANEL`]th of the second cache:
/// it streams from there without a loss, and the result is loaded and stored less often.
pub(super) const DEEPEST: u64 = 1024;
/// What part of the second cache a panel may take: a larger one, which would let the result begin and end in registers, is
/// used by too few rows before the next one comes from behind that cache.
const PANEL: u64 = 8;
/// Lines of a set of the first cache that are left to what streams by the rows that share it.
const STREAMING_LINES: u32 = 2;
/// Distance of rows in bytes from which on a panel touches a page with every other row or more.
const FAR_APART: u64 = 2048;
/// Bytes of a page of memory, and how many a core finds at once.
const PAGE: u64 = 4096;
const PAGES: u64 = 64;
/// The most rows that are packed at once.
const TALLEST_PACKED: u64 = 256;
/// The least boxes of columns that use what is packed of the rows, when each would convert it again.
const LEAST_PANELS_OF_CONVERTED: u64 = 2;
/// The least boxes of columns that use what is packed of the rows.
const LEAST_PANELS: u64 = 8;

impl Planner<'_> {
    /// The reads that are to be packed, by position: all rows share them, and as they are their lanes lie apart, or
    /// their rows do and they do not fit the second cache. For the others, why they are not.
    pub(super) fn worth_packing(
        &self,
        rows: usize,
        columns: usize,
        reduced: &[usize],
    ) -> (Vec<usize>, Vec<(&'static str, String)>) {
        let shared = |read: &Access| {
            self.stride(read, columns) != Stride::Constant && self.stride(read, rows) == Stride::Constant
        };
        let (mut packed, mut against) = (Vec::new(), Vec::new());
        for (at, read) in self.stmt.reads.iter().enumerate().filter(|(_, read)| shared(read)) {
            if self.group.is_some_and(|group| group.read == at) {
                packed.push(at);
                continue;
            }
            match self.reason_against(read, self.converted_to(at).is_some(), (rows, columns), reduced) {
                None => packed.push(at),
                Some(why) => {
                    against.push(("not packed", format!("`{}` {why}", self.scop.tensors[read.tensor].name)));
                }
            }
        }
        (packed, against)
    }

    /// Why a read is better used as it is.
    fn reason_against(
        &self,
        read: &Access,
        is_converted: bool,
        (rows, columns): (usize, usize),
        reduced: &[usize],
    ) -> Option<String> {
        if let Some(why) = self.reason_never(read, columns) {
            return Some(why.into());
        }
        let sizes = [rows, columns].into_iter().chain(reduced.iter().copied());
        if sizes.into_iter().any(|at| self.one(at).extent.is_none()) {
            return Some("has a size that is not known".into());
        }
        let users = self.users(read, rows, reduced);
        let strided = self.stride(read, columns) != Stride::Unit;
        let least = match (strided, is_converted) {
            (true, _) => LEAST_ROWS_OF_GATHERS,
            (_, true) => LEAST_ROWS / 2,
            _ => LEAST_ROWS,
        };
        if users < least {
            return Some(format!("is used by {users} rows only, which do not pay for a copy"));
        }
        if is_converted {
            return None;
        }
        let distance = reduced.iter().filter_map(|&at| self.bytes_apart(read, at)).max().unwrap_or(0);
        if !strided && distance < FAR_APART {
            return Some(format!("is near enough as it is: its rows are {distance} bytes apart"));
        }
        let footprint = self.footprint(read, columns, reduced);
        let room = self.second_cache() / 4;
        (!strided && footprint <= room).then(|| format!("fits the cache as it is: {footprint} bytes"))
    }

    /// The type that a narrower read is converted to each time it is used, when a copy may hold that: nothing that groups of
    /// steps, which take it as it is, are made of.
    pub(super) fn converted_to(&self, read: usize) -> Option<DType> {
        let narrow = self.scop.tensors[self.stmt.reads[read].tensor].dtype;
        let (mut wide, mut used, mut converted) = (None, 0, 0);
        let mut look = |expr: &Expr| match expr {
            Expr::Load(at) => used += usize::from(*at == read),
            Expr::Cast(to, inner) if **inner == Expr::Load(read) && wide.is_none_or(|wide| wide == *to) => {
                wide = Some(*to);
                converted += 1;
            }
            _ => {}
        };
        self.stmt.body.exprs().iter().for_each(|expr| expr.visit(&mut look));
        let is_direct = !self.stmt.accesses().any(|access| access.affine().is_none());
        wide.filter(|&wide| self.group.is_none() && is_direct && used == converted && narrow.widens_to(wide))
    }

    /// Why a read cannot be packed.
    pub(super) fn reason_never(&self, read: &Access, columns: usize) -> Option<&'static str> {
        if self.lane_subscript(read, columns).is_none() {
            return Some("does not move by one along one dimension for each lane");
        }
        if self.one(columns).rows.is_some() {
            return Some("lies along rows that lanes run across the ends of");
        }
        let is_written = self.stmt.writes.iter().any(|write| write.tensor == read.tensor);
        is_written.then_some("is written by the same statement")
    }

    /// How many rows use a copy of a read.
    pub(super) fn users(&self, read: &Access, rows: usize, reduced: &[usize]) -> u64 {
        let again = self.all().filter(|at| *at != rows && self.one(*at).coincident);
        let again = again.filter(|&at| self.stride(read, at) == Stride::Constant).map(|at| extent_of(self.one(at)));
        if reduced.iter().all(|&at| at >= self.shared) {
            again.fold(extent_of(self.one(rows)), u64::saturating_mul)
        } else {
            extent_of(self.one(rows))
        }
    }

    /// Bytes between what neighbouring iterations of a loop touch.
    fn bytes_apart(&self, access: &Access, at: usize) -> Option<u64> {
        let dim = self.one(at).dim(self.id)?;
        let elements = nest::distance(self.scop, access, dim)?;
        Some(elements.unsigned_abs().saturating_mul(self.scop.tensors[access.tensor].dtype.bytes().into()))
    }

    /// Bytes that the loops over columns and the reduction touch of it, at most.
    pub(super) fn footprint(&self, access: &Access, columns: usize, reduced: &[usize]) -> u64 {
        let loops = reduced.iter().copied().chain([columns]);
        let moved = loops.filter(|&at| self.stride(access, at) != Stride::Constant);
        let elements = moved.map(|at| extent_of(self.one(at))).fold(1, u64::saturating_mul);
        elements.saturating_mul(self.scop.tensors[access.tensor].dtype.bytes().into())
    }

    /// Whether what is read along the columns comes from behind the second cache, or is in another page at each of so many
    /// steps that neither the line nor the page is near, and nothing asks for them early.
    pub(super) fn comes_from_afar(&self, read: &Access, columns: usize, reduced: &[usize]) -> bool {
        let first = self.target.caches.first().map_or(32 << 10, |cache| cache.bytes);
        let footprint = self.footprint(read, columns, reduced);
        let is_paged = |&at: &usize| {
            extent_of(self.one(at)) > PAGES && self.bytes_apart(read, at).is_some_and(|bytes| bytes >= PAGE)
        };
        footprint > self.second_cache() || (footprint > first && reduced.iter().any(is_paged))
    }

    /// The only subscript that moves along the columns, by one.
    fn lane_subscript(&self, access: &Access, columns: usize) -> Option<usize> {
        let dim = self.one(columns).dim(self.id)?;
        let mut found = None;
        for (at, subscript) in access.index.iter().enumerate() {
            let Subscript::Affine(index) = subscript else { return None };
            if index.dims_used().contains(&dim) {
                let by = index.affine()?.dims.get(&dim).copied();
                if found.is_some() || by != Some(1) {
                    return None;
                }
                found = Some(at);
            }
        }
        found
    }

    /// Cuts, order and threads of a reduction with packed reads.
    pub(super) fn packed_reduction(
        &mut self,
        rows: usize,
        columns: usize,
        reduced: &[usize],
        tile: &RegisterTile,
        packed: &[usize],
    ) {
        let Some((&strip, inner)) = reduced.split_first() else { return };
        let inner_steps: u64 = inner.iter().map(|&at| extent_of(self.one(at))).product();
        let at_once = self.is_done_at_once(columns, reduced, tile, packed);
        let whole = extent_of(self.one(strip));
        let depth = if at_once { whole } else { self.depth(whole, inner_steps, tile) };
        if !at_once {
            self.plan.cuts[strip].push(saturating(depth));
        }
        if let Some(Group { by, .. }) = self.group {
            self.plan.boxes[strip] = Some(super::Box::Unroll(by));
            if !whole.is_multiple_of(by.into()) {
                self.plan.separate.push(self.plan.rest(strip));
            }
        }
        let steps = depth.saturating_mul(inner_steps).max(1);
        let element = u64::from(self.read_bytes());
        // What is read of the rows stays in the second cache.
        let tall = balanced(
            extent_of(self.one(rows)),
            self.second_cache() / 2 / (steps * element).max(1),
            u64::from(tile.rows),
        );
        let of_rows = self.row_packs(rows, columns, (strip, reduced), tile);
        let tall = if of_rows.is_empty() {
            tall
        } else {
            tall.min(balanced(extent_of(self.one(rows)), TALLEST_PACKED, tile.rows.into()))
        };
        let outside: Vec<usize> =
            self.all().filter(|at| *at != rows && *at != columns && !reduced.contains(at)).collect();
        // Where all rows are copied at once, the loop around them is as good a place as a strip of them.
        let around = outside.last().filter(|_| at_once && tall >= extent_of(self.one(rows)));
        let is_tall = tall < extent_of(self.one(rows)) || (!of_rows.is_empty() && around.is_none());
        if is_tall {
            self.plan.cuts[rows].push(saturating(tall));
        }
        let outer = outside.iter().map(|&at| self.plan.rest(at));
        let strips = (!at_once).then_some(strip).into_iter().chain(is_tall.then_some(rows));
        let order = outer.chain(strips.map(|of| Piece { of, level: 0 }));
        let order = order.chain([columns, rows].map(|at| self.plan.rest(at)));
        // Rows of a panel follow each other in a strip, and what is added in groups is innermost.
        let is_outer = at_once && self.group.is_none();
        let alone: &[usize] = &[strip];
        let (first, last) = if is_outer { (alone, inner) } else { (inner, alone) };
        self.plan.order = order.chain(first.iter().chain(last).map(|&at| self.plan.rest(at))).collect();
        let are_rows_cut = at_once && self.is_packed_for_rows(columns, packed);
        self.packed_threads(rows, columns, &outside, (steps, are_rows_cut, tile));
        // A whole reduction only writes its result, and asking for it early took longer than it helped.
        if !at_once {
            self.prefetch_result(rows, columns);
        }
        let row_piece = match around {
            Some(&around) => self.plan.rest(around),
            None => Piece { of: rows, level: self.plan.cuts[rows].len().saturating_sub(1) },
        };
        for &read in packed {
            let access = &self.stmt.reads[read];
            let at = match at_once {
                false => Some(Piece { of: strip, level: 0 }),
                true => self.place_of_pack(access, &outside).or_else(|| self.part_of_columns(columns)),
            };
            self.pack_panels(read, columns, tile, at);
        }
        for (read, run) in of_rows {
            self.pack_rows(read, row_piece, if run == rows { tall } else { depth });
        }
    }

    /// Packs a read in panels as wide as the tile.
    fn pack_panels(&mut self, read: usize, columns: usize, tile: &RegisterTile, at: Option<Piece>) {
        let access = &self.stmt.reads[read];
        let Some(along) = self.lane_subscript(access, columns) else { return };
        let contiguous = access.index.len().saturating_sub(1);
        let group = self.group.filter(|group| group.read == read).map(|group| (group.along, group.by));
        let form = Form::Panels { along, tile: *tile, group };
        let around = self.moved_around(access);
        let widened = self.converted_to(read);
        self.plan.packs.push(Pack { tensor: access.tensor, at, around, stmt: self.id, contiguous, widened, form });
    }

    /// Copies a read as it lies, in rows of so many elements.
    fn pack_rows(&mut self, read: usize, at: Piece, row: u64) {
        let access = &self.stmt.reads[read];
        let contiguous = access.index.len().saturating_sub(1);
        let widened = self.converted_to(read);
        let bytes = widened.unwrap_or(self.scop.tensors[access.tensor].dtype).bytes();
        let padding = if (row * u64::from(bytes)).is_multiple_of(FAR_APART) { self.line() / bytes.max(1) } else { 0 };
        let form = Form::Rows { padding, lanes: self.target.lanes(bytes) };
        self.plan.packs.push(Pack {
            tensor: access.tensor,
            at: Some(at),
            around: None,
            stmt: self.id,
            contiguous,
            widened,
            form,
        });
    }

    /// Whether the reduction is not cut into strips: it is inside of what other statements share; or the panel of all of it
    /// stays in the second cache, so that the result is written once and not read; or one strip is as long as all of it, and
    /// its copies are made inside of another loop or are too small to be made by each thread.
    pub(super) fn is_done_at_once(
        &self,
        columns: usize,
        reduced: &[usize],
        tile: &RegisterTile,
        packed: &[usize],
    ) -> bool {
        let Some((&first, inner)) = reduced.split_first() else { return true };
        let extents = |loops: &[usize]| loops.iter().map(|&at| extent_of(self.one(at))).product::<u64>();
        let panel = extents(reduced).saturating_mul(u64::from(tile.width()) * u64::from(self.bytes()));
        let is_contiguous = self.stmt.writes.iter().all(|write| self.stride(write, columns) == Stride::Unit);
        let whole = extent_of(self.one(first));
        let is_one_strip = self.depth(whole, extents(inner), tile) >= whole;
        let room = self.target.caches.first().map_or(32 << 10, |cache| cache.bytes) / 2;
        let is_outside = |at: &usize| *at != columns && !reduced.contains(at);
        let is_small = |&at: &usize| {
            let read = &self.stmt.reads[at];
            let has_own = |at: usize| self.stride(read, at) != Stride::Constant;
            self.bytes_touched(read) <= room || self.all().filter(is_outside).any(has_own)
        };
        let are_small = packed.iter().all(is_small);
        let stays_near = panel <= self.second_cache() / PANEL && self.group.is_none();
        // The shorter the factors, the more the result weighs, which is then written once and not read.
        let are_short = self.group.is_some();
        first >= self.shared
            || (stays_near && is_contiguous)
            || (is_one_strip && (are_small || are_short))
            || (!is_contiguous && panel <= self.second_cache() / 2)
    }

    /// The innermost of the loops around this nest that moves it: each of its iterations needs a copy of its own.
    fn moved_around(&self, access: &Access) -> Option<usize> {
        let moves =
            |one: &Loop| one.dim(self.id).is_none_or(|dim| nest::stride(self.stmt, access, dim) != Stride::Constant);
        self.around.iter().rposition(moves)
    }

    /// Bytes that all loops together touch of it, at most.
    fn bytes_touched(&self, access: &Access) -> u64 {
        let moved = self.all().filter(|&at| self.stride(access, at) != Stride::Constant);
        let elements = moved.map(|at| extent_of(self.one(at))).fold(1, u64::saturating_mul);
        elements.saturating_mul(self.scop.tensors[access.tensor].dtype.bytes().into())
    }

    /// The loop in which what the whole reduction reads is packed: the innermost that moves it, or none when another loop
    /// would copy the same again, and all of it stays in a cache.
    fn place_of_pack(&self, access: &Access, outside: &[usize]) -> Option<Piece> {
        let moves = |at: &usize| self.stride(access, *at) != Stride::Constant;
        let innermost = outside.iter().rposition(moves)?;
        let is_repeated = outside[..innermost].iter().any(|at| !moves(at));
        let is_near = self.bytes_touched(access) <= self.second_cache() * 2;
        (!is_repeated || !is_near).then(|| self.plan.rest(outside[innermost]))
    }

    /// The parts that threads take of the columns, or that fit the last cache: they are put together by whoever uses them.
    fn part_of_columns(&self, columns: usize) -> Option<Piece> {
        (!self.plan.cuts[columns].is_empty()).then_some(Piece { of: columns, level: 0 })
    }

    /// Asks for the next box of accumulators while one is computed, where the result is too large for the second cache.
    fn prefetch_result(&mut self, rows: usize, columns: usize) {
        for write in &self.stmt.writes {
            if self.footprint(write, rows, &[columns]) > 2 * self.second_cache() {
                self.plan.prefetches.push((write.tensor, self.plan.rest(rows), 1));
            }
        }
    }

    /// The reads that move along the rows and not along the columns, and whose rows would push each other out of the
    /// first cache or lie in a page each: by position, with the loop that each is contiguous along.
    pub(super) fn row_packs(
        &self,
        rows: usize,
        columns: usize,
        (strip, reduced): (usize, &[usize]),
        tile: &RegisterTile,
    ) -> Vec<(usize, usize)> {
        let panels = extent_of(self.one(columns)).div_ceil(tile.width().into());
        let mut packs = Vec::new();
        for (at, read) in self.stmt.reads.iter().enumerate() {
            let moves = |of: usize| self.stride(read, of) != Stride::Constant;
            if panels < 2 || moves(columns) || !moves(rows) || !moves(strip) {
                continue;
            }
            let Some(run) = [rows, strip].into_iter().find(|&of| self.stride(read, of) == Stride::Unit) else {
                continue;
            };
            let across = if run == rows { strip } else { rows };
            let one_set = self.first_cache_set_bytes();
            let crowded = self.bytes_apart(read, across).is_some_and(|bytes| match run == rows {
                true => bytes >= FAR_APART,
                false => bytes % one_set == 0 && !self.fits_one_set(tile.rows),
            });
            let is_alone = reduced.iter().all(|&of| of == strip || !moves(of));
            let footprint = self.footprint(read, rows, reduced);
            let is_far = panels >= LEAST_PANELS && footprint > self.second_cache() / 4;
            let converts_often = self.converted_to(at).is_some() && panels >= LEAST_PANELS_OF_CONVERTED;
            let is_spread = crowded && (is_far || self.is_scattered(read, run, across, footprint));
            if is_alone && (converts_often || is_spread) {
                packs.push((at, run));
            }
        }
        packs
    }

    /// Whether short runs of it lie in a page each, so many of them that a step of the reduction finds neither the page nor
    /// the line near, and nothing asks for them early.
    fn is_scattered(&self, read: &Access, run: usize, across: usize, footprint: u64) -> bool {
        let first = self.target.caches.first().map_or(32 << 10, |cache| cache.bytes);
        let run_bytes = extent_of(self.one(run)) * u64::from(self.scop.tensors[read.tensor].dtype.bytes());
        let is_paged = self.bytes_apart(read, across).is_some_and(|bytes| bytes >= PAGE);
        is_paged && run_bytes < FAR_APART && extent_of(self.one(across)) > PAGES && footprint > first
    }

    /// Whether so many lines stay in one set of the first cache while others stream by.
    fn fits_one_set(&self, lines: u32) -> bool {
        self.target.caches.first().is_some_and(|cache| lines + STREAMING_LINES <= cache.ways)
    }

    /// Addresses so many bytes apart lie in the same set of the first cache.
    fn first_cache_set_bytes(&self) -> u64 {
        self.target.caches.first().map_or(4096, |cache| cache.bytes / u64::from(cache.ways.max(1))).max(1)
    }

    fn line(&self) -> u32 {
        self.target.caches.first().map_or(64, |cache| cache.line)
    }

    /// Iterations of the outermost reduction in a strip; all strips are about as long.
    fn depth(&self, extent: u64, inner: u64, tile: &RegisterTile) -> u64 {
        let panel_row = u64::from(tile.width()) * u64::from(self.read_bytes());
        let group = self.group.map(|group| u64::from(group.by));
        let most = (self.second_cache() / PANEL / panel_row.max(1)).min(DEEPEST * group.unwrap_or(1)) / inner.max(1);
        balanced(extent, most.max(1), group.unwrap_or_else(|| even_steps(extent)))
    }

    /// Bytes of the widest element that the statement reads.
    fn read_bytes(&self) -> u32 {
        let bytes = |read: &Access| self.scop.tensors[read.tensor].dtype.bytes();
        self.stmt.reads.iter().map(bytes).max().unwrap_or(4)
    }

    pub(in crate::plan) fn second_cache(&self) -> u64 {
        self.target.caches.get(1).or(self.target.caches.first()).map_or(256 << 10, |cache| cache.bytes)
    }

    /// Threads take iterations of an outer loop, or parts of the columns, so that each packs what it alone uses; else
    /// parts of the rows. Columns are cut too when what is packed of all of them would crowd the last cache.
    fn packed_threads(
        &mut self,
        rows: usize,
        columns: usize,
        outside: &[usize],
        (steps, are_rows_cut, tile): (u64, bool, &RegisterTile),
    ) {
        let threads = u64::from(self.target.threads);
        let worth = self.is_worth_threads();
        let outer = outside.iter().copied().find(|&at| self.one(at).coincident && extent_of(self.one(at)) >= threads);
        if let Some(outer) = outer.filter(|_| worth) {
            self.move_out(outer);
            self.plan.parallel = self.plan.order.first().copied();
            return;
        }
        let (width, height) = (u64::from(tile.width()), u64::from(tile.rows));
        let last = self.target.caches.last().map_or(8 << 20, |cache| cache.bytes);
        let room = (last / 4).min(16 << 20) / (steps * u64::from(self.read_bytes())).max(1);
        let wide = extent_of(self.one(columns));
        // What is packed once for all is no matter of the threads; what is copied of the rows each then has of its own.
        let high = extent_of(self.one(rows));
        let of_rows = are_rows_cut && high >= 2 * threads * height;
        let of_columns = worth && !of_rows && wide >= 2 * threads * width;
        let share = if of_columns { wide.div_ceil(threads) } else { wide };
        let widest = share.next_multiple_of(width).min((room / width).max(1) * width);
        if widest < wide {
            self.plan.cuts[columns].insert(0, saturating(widest));
            self.outermost(columns);
        }
        if of_columns {
            self.plan.parallel = self.plan.order.first().copied();
        } else if worth {
            let share = high.div_ceil(threads).next_multiple_of(height);
            if share >= high {
                self.plan.remarks.push(("not parallel", "neither rows nor columns are enough for the threads".into()));
                return;
            }
            self.plan.cuts[rows].insert(0, saturating(share));
            self.outermost(rows);
            self.plan.parallel = self.plan.order.first().copied();
        }
    }

    /// Whether threads take parts of the rows, where the reduction is not cut: what is packed of the columns is little, and the
    /// same for all; or the result lies along other loops than the columns.
    fn is_packed_for_rows(&self, columns: usize, packed: &[usize]) -> bool {
        let room = self.second_cache() / 4;
        let are_small = packed.iter().all(|&at| self.bytes_touched(&self.stmt.reads[at]) <= room);
        let is_contiguous = self.stmt.writes.iter().all(|write| self.stride(write, columns) == Stride::Unit);
        self.group.is_none() && (are_small || !is_contiguous)
    }

    /// Puts the first cut of a loop, which is new, outside of all others.
    fn outermost(&mut self, of: usize) {
        self.plan.order.iter_mut().filter(|piece| piece.of == of).for_each(|piece| piece.level += 1);
        self.plan.order.insert(0, Piece { of, level: 0 });
    }
}

/// The size of equal parts of `extent` of at most `most` each, a multiple of `unit`.
fn balanced(extent: u64, most: u64, unit: u64) -> u64 {
    let most = (most / unit.max(1)).max(1) * unit.max(1);
    let parts = extent.div_ceil(most).max(1);
    extent.div_ceil(parts).next_multiple_of(unit.max(1)).max(1)
}

fn saturating(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(1 << 30)
}

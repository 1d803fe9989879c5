//! Stencils: reads of one tensor at several places that other iterations read too.
//!
//! Copies of a row loop share loads: the nine of a 3×3 window on one row are eighteen, and not thirty-six, on four rows
//! (unroll-and-jam for reuse in registers: Callahan, Carr, Kennedy, PLDI 1990; Carr, Kennedy, TOPLAS 1994). What the
//! copies have in common the code generator loads and converts once.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Access, Expr, Index, Memory, Subscript, TensorId};

use super::{Box, Planner, extent_of};
use crate::nest::{self, Stride};

/// Lanes of the widest vectors that code generation takes.
const MOST_LANES: u32 = 128;
/// Copies of a row loop that are tried.
const COPIES: [u32; 3] = [4, 3, 2];
/// The share of the time that copies have to save.
const WORTH: f64 = 0.9;
/// Bytes that stream from memory in a cycle, and operations on vectors that start in one.
const STREAMED: f64 = 8.0;
const STARTED: f64 = 2.0;

/// A quotient by this much, or more, is where a strip of rows begins.
const STRIP: i64 = 16;

/// Reads that differ only by how far they are along the row loop.
type Windows = BTreeMap<(TensorId, Vec<Place>), BTreeSet<i64>>;

/// A subscript: coefficients of dimensions, of parameters, and the constant.
type Place = (Vec<(usize, i64)>, Vec<(usize, i64)>, i64);

impl Planner<'_> {
    /// As many lanes as fill the registers for what is computed, which may be wider than what is stored. More, for whole
    /// vectors of what is stored, where rows share nothing and all that one instance loads fits with its results.
    pub(super) fn lanes_that_fit(&self, columns: usize, lanes: u32) -> u32 {
        let loads = self.stmt.reads.len() as u32;
        let shares = self.all().any(|at| at != columns && self.windows(at).values().any(|offsets| offsets.len() > 1));
        let fits =
            |lanes: u32| !shares && self.registers_of_a_value(lanes) * (loads + 2) <= self.target.vector_registers;
        let full = (self.target.vector_bytes / self.computed_bytes()).max(1);
        let mut lanes = lanes;
        while lanes > MOST_LANES || (lanes > full && !fits(lanes)) {
            lanes /= 2;
        }
        lanes
    }

    /// Copies out the row loop whose copies share the most, when that pays.
    pub(super) fn share_rows(&mut self, columns: usize, lanes: u32) {
        let candidates = self.all().filter(|&at| at != columns && self.one(at).coincident);
        let candidates: Vec<(usize, Windows)> = candidates
            .map(|at| (at, self.windows(at)))
            .filter(|(_, windows)| windows.values().any(|offsets| offsets.len() > 1))
            .collect();
        let shared = |windows: &Windows| windows.values().map(|offsets| offsets.len() - 1).sum::<usize>();
        let Some((rows, windows)) = candidates.into_iter().max_by_key(|(at, windows)| (shared(windows), *at)) else {
            return;
        };
        let one = self.time(&windows, 1, lanes);
        if self.waits_for_memory(one, lanes) {
            let why = "loads that rows share would cost less, but memory takes longer than they do";
            return self.plan.remarks.push(("rows not copied out", why.into()));
        }
        let registers = self.registers_of_a_value(lanes);
        let fits = |copies: &u32| {
            let live = distinct(&windows, *copies) as u32 + copies + 2;
            // Whole blocks, or so many rows that what is left over does not count.
            let extent = extent_of(self.one(rows));
            let divides = u64::from(*copies) == extent || u64::from(*copies) * 4 <= extent;
            live * registers <= self.target.vector_registers && divides
        };
        let best = COPIES
            .into_iter()
            .filter(fits)
            .min_by(|&a, &b| self.time(&windows, a, lanes).total_cmp(&self.time(&windows, b, lanes)));
        match best {
            Some(copies) if self.time(&windows, copies, lanes) <= one * WORTH => {
                self.plan.boxes[rows] = Some(Box::Unroll(copies));
            }
            Some(_) => {
                let why = "rows share too few of their loads for copies to pay";
                self.plan.remarks.push(("rows not copied out", why.into()));
            }
            None => {
                let why = "what two rows load together does not fit the registers";
                self.plan.remarks.push(("rows not copied out", why.into()));
            }
        }
    }

    /// The reads that move along the columns, by what they have in common.
    fn windows(&self, rows: usize) -> Windows {
        let mut windows = Windows::new();
        for read in self.stmt.reads.iter() {
            if let Some((places, offset)) = self.window(read, rows) {
                windows.entry((read.tensor, places)).or_default().insert(offset);
            }
        }
        windows
    }

    /// A read's subscripts without what is added along the row loop, and that.
    fn window(&self, read: &Access, rows: usize) -> Option<(Vec<Place>, i64)> {
        let dim = self.one(rows).dim(self.id)?;
        let (mut places, mut offset) = (Vec::new(), None);
        for subscript in &read.index {
            let Subscript::Affine(index) = subscript else { return None };
            let affine = in_a_strip(&nest::unclamped(index)).affine()?;
            let moves = affine.dims.get(&dim).copied();
            let constant = match moves {
                None => affine.constant,
                Some(1) if affine.dims.len() == 1 && offset.is_none() => {
                    offset = Some(affine.constant);
                    0
                }
                Some(_) => return None,
            };
            places.push((affine.dims.into_iter().collect(), affine.params.into_iter().collect(), constant));
        }
        Some((places, offset?))
    }

    /// Operations on vectors for one row, when so many rows are computed together.
    fn time(&self, windows: &Windows, copies: u32, lanes: u32) -> f64 {
        let (mut converted, mut others) = (0usize, 0usize);
        let mut sees = |e: &Expr| match e {
            // Widening is two: to the width, and to the type.
            Expr::Cast(_, inner) if matches!(**inner, Expr::Load(_)) => converted += 2,
            Expr::Const(..) | Expr::Load(_) | Expr::Index(_) => {}
            _ => others += 1,
        };
        self.stmt.body.exprs().iter().for_each(|expr| expr.visit(&mut sees));
        let loads: usize = windows.values().map(BTreeSet::len).sum();
        let load = 1.0 + converted as f64 / (self.stmt.reads.len().max(1) as f64);
        let own = self.stmt.reads.len() - loads.min(self.stmt.reads.len());
        let shared = distinct(windows, copies) as f64 / f64::from(copies) * load;
        (shared + own as f64 * load + others as f64) * f64::from(self.registers_of_a_value(lanes))
    }

    /// Whether what the statement moves takes longer than `operations`, and does not stay in a cache.
    fn waits_for_memory(&self, operations: f64, lanes: u32) -> bool {
        let tensors: BTreeSet<TensorId> = self
            .stmt
            .accesses()
            .filter(|access| (0..self.nest.loops.len()).any(|at| self.stride(access, at) != Stride::Constant))
            // What a thread keeps on its stack comes from a cache.
            .filter(|access| self.scop.tensors[access.tensor].memory != Memory::Stack)
            .map(|access| access.tensor)
            .collect();
        let bytes = |id: &TensorId| u64::from(self.scop.tensors[*id].dtype.bytes());
        let elements = self.nest.loops.iter().map(extent_of).fold(1, u64::saturating_mul);
        let each: u64 = tensors.iter().map(bytes).sum();
        let cache = self.target.caches.get(1).map_or(1 << 20, |cache| cache.bytes);
        let streamed = each as f64 * f64::from(lanes) / STREAMED;
        elements.saturating_mul(each) > cache && streamed >= operations / STARTED
    }

    /// Bytes of the widest type that is computed with.
    fn computed_bytes(&self) -> u32 {
        let mut widest =
            self.stmt.accesses().map(|access| self.scop.tensors[access.tensor].dtype.bytes()).max().unwrap_or(1);
        for expr in self.stmt.body.exprs() {
            expr.visit(&mut |e| {
                if let Expr::Cast(dtype, inner) = e
                    && !matches!(**inner, Expr::Index(_))
                {
                    widest = widest.max(dtype.bytes());
                }
            });
        }
        widest
    }

    /// Vector registers that one computed value takes.
    fn registers_of_a_value(&self, lanes: u32) -> u32 {
        (lanes * self.computed_bytes()).div_ceil(self.target.vector_bytes.max(1)).max(1)
    }
}

/// A subscript without where the strip that it is in begins, which copies of a row loop have in common.
fn in_a_strip(index: &Index) -> Index {
    match index {
        Index::FloorDiv(_, STRIP..) => Index::Const(0),
        Index::Add(a, b) => in_a_strip(a) + in_a_strip(b),
        Index::Mul(c, e) => *c * in_a_strip(e),
        other => other.clone(),
    }
}

/// Loads of so many neighbouring rows together.
fn distinct(windows: &Windows, copies: u32) -> usize {
    let of = |offsets: &BTreeSet<i64>| {
        let all = (0..i64::from(copies)).flat_map(|copy| offsets.iter().map(move |offset| offset + copy));
        all.collect::<BTreeSet<i64>>().len()
    };
    windows.values().map(of).sum()
}

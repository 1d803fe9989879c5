//! The shapes that plans make of nests.

use polyhedral::{Scop, StmtId};

use super::shape::{Loop, Move, Part, Ranges, Shape, Store};
use crate::fusing;
use crate::nest::{self, Nest};
use crate::plan::{Box, Pack, Piece, Plan};

/// The loops of a nest as it is, from loop `from` on, with everything inside.
pub(super) fn as_it_is(nest: &Nest, from: usize) -> Vec<Part> {
    let inside: Vec<Part> = match nest.parts.as_slice() {
        [] => nest.stmts.iter().map(|&id| Part::Stmt(id)).collect(),
        parts => parts.iter().flat_map(|part| as_it_is(part, 0)).collect(),
    };
    (from..nest.loops.len()).rev().fold(inside, |body, at| vec![whole(nest, at, body)])
}

/// A loop of a nest, one value at a time.
pub(super) fn whole(nest: &Nest, at: usize, body: Vec<Part>) -> Part {
    let trips = nest.loops[at].estimate().max(1).unsigned_abs();
    Part::Loop(Loop { trips, moves: moves(nest, &nest.stmts, at, 1), derived: Vec::new(), body })
}

/// What an iteration of so many values of a loop leaves.
pub(super) fn moves(nest: &Nest, stmts: &[StmtId], at: usize, size: i64) -> Vec<Move> {
    let of = |&stmt: &StmtId| Some(Move { stmt, dim: nest.loops[at].dim(stmt)?, size, behind: 0 });
    stmts.iter().filter_map(of).collect()
}

/// A statement in its nest as a plan cuts and orders the loops, between what runs before and after it in its tiles; copies
/// that are made outside of all of its loops come back apart.
pub(super) fn planned(
    scop: &Scop,
    nest: &Nest,
    plan: &Plan,
    id: StmtId,
    (before, after): (&[StmtId], &[StmtId]),
) -> (Vec<Part>, Vec<Part>) {
    let stmt = &scop.stmts[id];
    let is_reduced = |at: usize| nest.loops[at].dim(id).is_some_and(|dim| nest::is_reduced(stmt, dim));
    let order = pieces(nest, plan);
    let tile = order.iter().rposition(|piece| !is_reduced(piece.of));
    let copies = |at: Option<Piece>| {
        let here = move |pack: &&Pack| pack.at == at;
        plan.packs.iter().filter(here).map(move |pack| Part::Copy(id, pack.tensor)).collect::<Vec<_>>()
    };
    let stmts: Vec<StmtId> = nest.stmts.clone();
    let leaves = |ids: &[StmtId]| ids.iter().map(|&id| Part::Stmt(id)).collect::<Vec<_>>();
    let mut body = vec![Part::Stmt(id)];
    for (at, piece) in order.iter().enumerate().rev() {
        if tile == Some(at) {
            body = [leaves(before), body, leaves(after)].concat();
        }
        let body_here = [copies(Some(*piece)), body].concat();
        let (size, range) = (size_of(plan, *piece), range_of(nest, plan, *piece));
        let trips = (range.max(1) as u64).div_ceil(size.max(1) as u64);
        let moves = moves(nest, &stmts, piece.of, size);
        body = vec![Part::Loop(Loop { trips, moves, derived: Vec::new(), body: body_here })];
    }
    if tile.is_none() {
        body = [leaves(before), body, leaves(after)].concat();
    }
    (copies(None), body)
}

/// All pieces of all loops: those that the plan orders, then the others as they come.
fn pieces(nest: &Nest, plan: &Plan) -> Vec<Piece> {
    let mut order = plan.order.clone();
    for of in 0..nest.loops.len() {
        for level in 0..=plan.cuts[of].len() {
            let piece = Piece { of, level };
            if !order.contains(&piece) {
                order.push(piece);
            }
        }
    }
    order
}

/// Values of a loop in one iteration of a piece.
fn size_of(plan: &Plan, piece: Piece) -> i64 {
    let in_box = match plan.boxes[piece.of] {
        Some(Box::Vector(by) | Box::Unroll(by)) => by.into(),
        None => 1,
    };
    plan.cuts[piece.of].get(piece.level).map_or(in_box, |&by| by.into())
}

/// Values of a loop in all iterations of a piece.
fn range_of(nest: &Nest, plan: &Plan, piece: Piece) -> i64 {
    match piece.level.checked_sub(1) {
        Some(outer) => plan.cuts[piece.of][outer].into(),
        None => nest.loops[piece.of].estimate(),
    }
}

impl Shape {
    /// Notes what a nest with surroundings and copies keeps where: a result that only a tile needs, and each copy.
    pub(super) fn keep(&mut self, scop: &Scop, nest: &Nest, reduction: &Nest, plan: &Plan) {
        let Some(id) = reduction.only_stmt() else { return };
        for pack in &plan.packs {
            self.copied.insert((id, pack.tensor));
        }
        if let Some((tensor, _)) = fusing::kept_in_tile(scop, nest, reduction, plan) {
            let sizes = (0..reduction.loops.len())
                .filter(|&at| reduction.loops[at].dim(id).is_some_and(|dim| !nest::is_reduced(&scop.stmts[id], dim)));
            let elements: i64 = sizes.map(|at| size_of(plan, plan.rest(at))).product();
            let bytes = elements.max(1).unsigned_abs() * u64::from(scop.tensors[tensor].dtype.bytes());
            self.kept.insert(Store { tensor, is_copy: false }, bytes);
        }
    }

    /// Notes how large copies are: what is copied at a time.
    pub(super) fn measure_copies(&mut self, scop: &Scop, ranges: &Ranges, line: u64) {
        let mut found = Vec::new();
        self.copies(scop, &self.parts, ranges, line, &mut found);
        self.kept.extend(found);
    }

    fn copies(&self, scop: &Scop, parts: &[Part], ranges: &Ranges, line: u64, found: &mut Vec<(Store, u64)>) {
        for part in parts {
            match part {
                Part::Stmt(_) => {}
                Part::Loop(inner) => self.copies(scop, &inner.body, &inner.enter(self, scop, ranges), line, found),
                Part::Copy(..) => {
                    let touched = self.touched(scop, std::slice::from_ref(part), ranges);
                    let copies = touched.iter().filter(|(store, _)| store.is_copy);
                    found.extend(copies.map(|(store, one)| (*store, self.bytes(scop, *store, one, line) as u64)));
                }
            }
        }
    }
}

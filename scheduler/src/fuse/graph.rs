//! Which nests must run before which others.

use std::collections::BTreeSet;

use polyhedral::{Scop, TensorId};

use crate::nest::Nest;

/// The dependences between nests, taken from the tensors that they touch: a nest must follow each earlier one that writes
/// what it touches, or touches what it writes.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// Directly, from the earlier one to the later one.
    pub(super) before: Vec<(usize, usize)>,
    /// Directly or through others.
    reaches: Vec<Vec<bool>>,
    /// Which nests touch a tensor that another one touches.
    pub(super) shares: Vec<BTreeSet<usize>>,
}

impl Graph {
    pub(super) fn of(scop: &Scop, nests: &[Nest]) -> Graph {
        let touched: Vec<(BTreeSet<TensorId>, BTreeSet<TensorId>)> =
            nests.iter().map(|nest| touched(scop, nest)).collect();
        let (mut before, mut shares) = (Vec::new(), vec![BTreeSet::new(); nests.len()]);
        let mut reaches = vec![vec![false; nests.len()]; nests.len()];
        for (b, (later, later_writes)) in touched.iter().enumerate() {
            for (a, (earlier, earlier_writes)) in touched[..b].iter().enumerate() {
                if !later.is_disjoint(earlier) {
                    shares[a].insert(b);
                    shares[b].insert(a);
                }
                if !later.is_disjoint(earlier_writes) || !later_writes.is_disjoint(earlier) {
                    before.push((a, b));
                    for row in &mut reaches[..=a] {
                        row[b] |= row[a];
                    }
                    reaches[a][b] = true;
                }
            }
        }
        Graph { before, reaches, shares }
    }

    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        self.reaches[from][to]
    }

    /// Whether nothing else has to run between some nests.
    pub(super) fn is_convex(&self, nests: &[usize]) -> bool {
        let is_between = |x: usize| {
            !nests.contains(&x)
                && nests.iter().any(|&a| self.reaches[a][x])
                && nests.iter().any(|&b| self.reaches[x][b])
        };
        let (first, last) = (nests.iter().min().copied().unwrap_or(0), nests.iter().max().copied().unwrap_or(0));
        !(first..=last).any(is_between)
    }
}

/// The tensors that a nest touches, and those of them that it writes.
pub(super) fn touched(scop: &Scop, nest: &Nest) -> (BTreeSet<TensorId>, BTreeSet<TensorId>) {
    let stmts = || nest.stmts.iter().map(|&id| &scop.stmts[id]);
    let all = stmts().flat_map(|stmt| stmt.accesses()).map(|access| access.tensor).collect();
    (all, stmts().flat_map(|stmt| &stmt.writes).map(|access| access.tensor).collect())
}

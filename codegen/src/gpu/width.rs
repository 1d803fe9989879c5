//! How wide the integers of kernels are.

use std::collections::BTreeMap;

use crate::gpu::entry::Seen;
use crate::{Int, Launch, Program, VarId};

/// What all values of an expression lie between.
type Interval = (i64, i64);

/// The intervals of variables, as far as the expressions that they are from fit into 32 bits with everything that they are
/// computed from.
#[derive(Default)]
pub(super) struct Narrow {
    vars: BTreeMap<VarId, Interval>,
    /// Whether an expression does not fit.
    exceeded: bool,
}

/// Whether the integers of a program's kernels fit into 32 bits: no byte of any buffer is further away, and neither a bound of a
/// loop, nor a subscript, nor the position of an element, nor what they are computed from is larger.
pub(super) fn is_narrow(program: &Program) -> bool {
    let is_near = |bytes: i64| bytes < i64::from(i32::MAX);
    let is_small = program.buffers.values().all(|buffer| buffer.constant_bytes().is_some_and(is_near));
    is_small && program.params.is_empty() && !Seen::narrow(program).exceeded
}

impl Narrow {
    /// Looks at an expression of variables that were bound before.
    pub(super) fn see(&mut self, int: &Int) {
        self.exceeded |= self.interval(int).is_none();
    }

    /// Binds the variable of a loop.
    pub(super) fn bind(&mut self, var: VarId, lower: &Int, upper: &Int, step: &Int) {
        // What follows the last iteration is computed too.
        match (self.interval(lower), self.interval(&(upper.clone() + step.clone()))) {
            (Some((first, _)), Some((_, end))) => _ = self.vars.insert(var, (first, end.max(first))),
            _ => self.exceeded = true,
        }
    }

    /// Binds the numbers of blocks and threads.
    pub(super) fn bind_launch(&mut self, launch: &Launch) {
        launch.grid.iter().for_each(|(var, count)| self.bind(*var, &Int::Const(0), count, &Int::Const(0)));
        launch
            .block
            .iter()
            .for_each(|(var, count)| self.bind(*var, &Int::Const(0), &Int::Const(*count), &Int::Const(0)));
    }

    fn interval(&self, int: &Int) -> Option<Interval> {
        let both = |a: &Int, b: &Int| Some((self.interval(a)?, self.interval(b)?));
        let (low, high) = match int {
            Int::Const(value) => (*value, *value),
            Int::Var(var) => *self.vars.get(var)?,
            Int::Param(_) => return None,
            Int::Add(a, b) => both(a, b).map(|(a, b)| (a.0 + b.0, a.1 + b.1))?,
            Int::Mul(a, b) => {
                let ((a, b), (c, d)) = both(a, b)?;
                let all = [a * c, a * d, b * c, b * d];
                (all.into_iter().min()?, all.into_iter().max()?)
            }
            Int::Min(a, b) => both(a, b).map(|(a, b)| (a.0.min(b.0), a.1.min(b.1)))?,
            Int::Max(a, b) => both(a, b).map(|(a, b)| (a.0.max(b.0), a.1.max(b.1)))?,
            Int::FloorDiv(e, by) => self.interval(e).map(|e| (e.0.div_euclid(*by), e.1.div_euclid(*by)))?,
            Int::Mod(e, by) => self.interval(e).map(|_| (0, by - 1))?,
            Int::Select(_, a, b) => both(a, b).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)))?,
        };
        let fits = |value: i64| i32::try_from(value).is_ok();
        (fits(low) && fits(high)).then_some((low, high))
    }
}

//! Full tiles apart from partial ones.

use std::collections::BTreeSet;

use polyhedral::CmpOp;
use support::Remark;

use crate::passes::{Ranges, fresh_copy};
use crate::verify::has_meeting;
use crate::{Cond, FullTiles, Int, Launch, Op, Program, VarId};

use super::private::weight;

/// Blocks whose tiles are full run code without the tests that keep others inside of a tensor, and so do the steps of such a
/// block, but for the last ones of a sum that its steps do not divide.
///
/// ```text
///                                               if bx <= 6 {
///                                                 for ko in 0..3 {
/// for ko in 0..4 {                                  for x in tx..64 step 16 { As[x] = A[64*bx + x, 8*ko] }
///   for x in tx..min(64, 500 - 64*bx) step 16 {     barrier
///     if ko <= 2 || … { … }                 ->      …
///   }                                             }
///   barrier                                       …                       the last step
///   …                                           } else {
/// }                                               …                       as before
///                                               }
/// ```
///
/// All threads of a block decide alike, so that barriers may be inside. After Renganarayanan, Kim, Rajopadhye and Strout,
/// Parameterized Tiled Loops for Free (PLDI 2007), and Verdoolaege and others, Polyhedral Parallel Code Generation for CUDA
/// (TACO 2013), who tell full tiles apart while loops are generated; here from the tests that are there, so that it is valid
/// whatever they are for: the two ways differ in what is known only.
///
/// `apart`: as far as that is wanted.
pub(super) fn full_tiles_apart(mut program: Program, apart: FullTiles, remarks: &mut Vec<Remark>) -> Program {
    if apart != FullTiles::Together {
        let body = std::mem::take(&mut program.body);
        program.body = Pass { program: &mut program, apart, remarks }.host(body, &Ranges::default());
    }
    program
}

/// Ops of a kernel that are copied at most, before loops are copied out.
const MOST_OPS: i64 = 256;

struct Pass<'p> {
    program: &'p mut Program,
    apart: FullTiles,
    remarks: &'p mut Vec<Remark>,
}

impl Pass<'_> {
    fn host(&mut self, ops: Vec<Op>, ranges: &Ranges) -> Vec<Op> {
        let one = |op: Op| match op {
            Op::Launch(launch) => Op::Launch(self.launch(launch, ranges)),
            Op::For { var, lower, upper, step, parallel, body } => {
                let body = self.host(body, &ranges.inside(var, &lower, &upper));
                Op::For { var, lower, upper, step, parallel, body }
            }
            Op::If { cond, then, otherwise } => {
                let then = self.host(then, &ranges.where_holds(&cond));
                let otherwise = self.host(otherwise, &ranges.where_holds(&cond.clone().negate()));
                Op::If { cond, then, otherwise }
            }
            other => other,
        };
        ops.into_iter().map(one).collect()
    }

    fn launch(&mut self, launch: Launch, around: &Ranges) -> Launch {
        let ranges = around.inside_of(&launch);
        let mut loops = Loops { varying: launch.block.iter().map(|(var, _)| *var).collect(), ..Loops::default() };
        loops.find(&launch.body);
        if weight(&launch.body) > MOST_OPS {
            self.remark(&launch, "a kernel of so many steps would become too large");
            return launch;
        }
        let mut rests = BTreeSet::new();
        let stepped = Launch { body: self.steps(launch.body.clone(), &ranges, &loops, &mut rests), ..launch.clone() };
        match full(&stepped, &ranges, &loops, &rests) {
            Full::Always => stepped,
            Full::Rare => {
                self.remark(&launch, "most of its blocks are at a border");
                stepped
            }
            Full::Where(_) if self.apart == FullTiles::Steps && has_meeting(&launch.body) => {
                self.remark(&launch, "its barriers would be inside of conditions, which the device's language has not");
                stepped
            }
            // At a border all steps share their code: apart, its tests would take more registers than the full tiles do.
            Full::Where(cond) => {
                let otherwise = fresh_copy(&launch.body, &mut self.program.vars);
                let then = met(stepped.body, &Place::new(&ranges.where_holds(&cond)), &loops);
                Launch { body: vec![Op::If { cond, then, otherwise }], ..launch }
            }
        }
    }

    fn remark(&mut self, launch: &Launch, why: &str) {
        self.remarks.push(Remark::new("codegen", &launch.name, "full tiles not apart from partial ones", why));
    }

    /// Steps that are full apart from those behind them, whose loops are added to `rests`.
    fn steps(&mut self, ops: Vec<Op>, ranges: &Ranges, loops: &Loops, rests: &mut BTreeSet<VarId>) -> Vec<Op> {
        let mut all = Vec::new();
        for op in ops {
            match op {
                Op::For { var, lower, upper, step, parallel, body } if loops.steps.contains(&var) => {
                    let inside = ranges.inside(var, &lower, &upper);
                    let body = self.steps(body, &inside, loops, rests);
                    let cut =
                        (step == Int::Const(1)).then(|| first_partial(var, [&lower, &upper], &body, ranges, loops));
                    let Some(at) = cut.flatten() else {
                        all.push(Op::For { var, lower, upper, step, parallel, body });
                        continue;
                    };
                    let last = lower.clone().max(at.clone());
                    let rest = Op::For { var, lower: last, upper: upper.clone(), step, parallel, body: body.clone() };
                    let rest = fresh_copy(&[rest], &mut self.program.vars);
                    rests.extend(
                        rest.iter().filter_map(|op| if let Op::For { var, .. } = op { Some(*var) } else { None }),
                    );
                    let upper = ranges.int(&upper.min(at));
                    all.push(Op::For { var, lower, upper, step: Int::Const(1), parallel, body });
                    all.extend(rest);
                }
                Op::If { cond, then, otherwise } => {
                    let then = self.steps(then, &ranges.where_holds(&cond), loops, rests);
                    let there = ranges.where_holds(&cond.clone().negate());
                    all.push(Op::If { cond, then, otherwise: self.steps(otherwise, &there, loops, rests) });
                }
                Op::Local { buffer, body } => {
                    all.push(Op::Local { buffer, body: self.steps(body, ranges, loops, rests) });
                }
                other => all.push(other),
            }
        }
        all
    }
}

/// The variables of a kernel.
#[derive(Default)]
struct Loops {
    /// Of loops that all threads of a block run together, as they wait for each other inside.
    steps: BTreeSet<VarId>,
    /// Numbers of threads, and loops that each thread runs for itself.
    varying: BTreeSet<VarId>,
}

impl Loops {
    fn find(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::For { var, body, .. } => {
                    if has_meeting(body) {
                        self.steps.insert(*var)
                    } else {
                        self.varying.insert(*var)
                    };
                    self.find(body);
                }
                Op::If { then, otherwise, .. } => {
                    self.find(then);
                    self.find(otherwise);
                }
                Op::Local { body, .. } => self.find(body),
                _ => {}
            }
        }
    }

    fn is_inner(&self, var: VarId) -> bool {
        self.steps.contains(&var) || self.varying.contains(&var)
    }
}

/// A sum that is at least 0 where no test is in the way.
struct Demand {
    sum: Int,
    at: Place,
    /// Whether it is tested more than once, or a loop's length depends on it.
    is_hot: bool,
}

/// A place in a kernel.
#[derive(Clone)]
struct Place {
    ranges: Ranges,
    /// The loops of steps around, outermost first, with their first and last values.
    steps: Vec<(VarId, [Int; 2])>,
    is_in_loop: bool,
}

impl Place {
    fn new(ranges: &Ranges) -> Place {
        Place { ranges: ranges.clone(), steps: Vec::new(), is_in_loop: false }
    }

    fn inside(&self, var: VarId, lower: &Int, upper: &Int, loops: &Loops) -> Place {
        let mut steps = self.steps.clone();
        if loops.steps.contains(&var) {
            steps.push((var, [lower.clone(), upper.clone() + -1]));
        }
        Place { ranges: self.ranges.inside(var, lower, upper), steps, is_in_loop: true }
    }

    fn where_holds(&self, cond: &Cond) -> Place {
        Place { ranges: self.ranges.where_holds(cond), ..self.clone() }
    }
}

/// What has to hold for tests to hold, and for loops to be as long as they ever are; loops in `without` are left out.
fn demands(ops: &[Op], at: &Place, loops: &Loops, without: &BTreeSet<VarId>, found: &mut Vec<Demand>) {
    for op in ops {
        match op {
            Op::For { var, .. } if without.contains(var) => {}
            Op::For { var, lower, upper, body, .. } => {
                let cuts = Bounds::of(lower, upper, loops).map_or(Vec::new(), |bounds| bounds.demands());
                found.extend(cuts.into_iter().map(|sum| Demand { sum, at: at.clone(), is_hot: true }));
                demands(body, &at.inside(*var, lower, upper, loops), loops, without, found);
            }
            Op::If { cond, then, otherwise } => {
                let is_hot = at.is_in_loop;
                found.extend(parts(cond).into_iter().map(|sum| Demand { sum, at: at.clone(), is_hot }));
                demands(then, &at.where_holds(cond), loops, without, found);
                demands(otherwise, &at.where_holds(&cond.clone().negate()), loops, without, found);
            }
            Op::Local { body, .. } => demands(body, at, loops, without, found),
            _ => {}
        }
    }
}

/// The bounds of a loop: one pair that is as far apart for all blocks and in all steps, and those that cut it.
struct Bounds {
    whole: [Int; 2],
    lowers: Vec<Int>,
    uppers: Vec<Int>,
}

impl Bounds {
    fn of(lower: &Int, upper: &Int, loops: &Loops) -> Option<Bounds> {
        let (mut lowers, mut uppers) = (Vec::new(), Vec::new());
        alternatives(lower, false, &mut lowers);
        alternatives(upper, true, &mut uppers);
        let pairs = lowers.iter().flat_map(|lower| uppers.iter().map(|upper| [lower.clone(), upper.clone()]));
        let is_own = |[lower, upper]: &[Int; 2]| {
            let others = |var| if loops.varying.contains(&var) { Int::Const(0) } else { Int::Var(var) };
            (upper.clone() - lower.clone()).replace(&others).as_const().is_some()
        };
        let whole = pairs.clone().find(is_own)?;
        Some(Bounds { whole, lowers, uppers })
    }

    /// What is at least 0 where the other bounds do not count.
    fn demands(&self) -> Vec<Int> {
        let [low, high] = &self.whole;
        let above = self.uppers.iter().map(|upper| upper.clone() - high.clone());
        above.chain(self.lowers.iter().map(|lower| low.clone() - lower.clone())).collect()
    }
}

/// The operands of minima, or of maxima.
fn alternatives(int: &Int, of_min: bool, found: &mut Vec<Int>) {
    match (int, of_min) {
        (Int::Min(a, b), true) | (Int::Max(a, b), false) => {
            alternatives(a, of_min, found);
            alternatives(b, of_min, found);
        }
        _ => found.push(int.clone()),
    }
}

/// What is at least 0 where a condition holds.
fn parts(cond: &Cond) -> Vec<Int> {
    match cond {
        Cond::All(all) => all.iter().flat_map(parts).collect(),
        Cond::Compare(CmpOp::Ge, a, b) => vec![a.clone() - b.clone()],
        Cond::Compare(CmpOp::Gt, a, b) => vec![a.clone() - b.clone() + -1],
        Cond::Compare(CmpOp::Le, a, b) => vec![b.clone() - a.clone()],
        Cond::Compare(CmpOp::Lt, a, b) => vec![b.clone() - a.clone() + -1],
        Cond::Compare(CmpOp::Eq | CmpOp::Ne, ..) | Cond::Any(_) | Cond::Not(_) => Vec::new(),
    }
}

impl Demand {
    /// The smallest value in all steps but those of one loop, for all threads and in all iterations of their own loops, where
    /// that is known.
    fn least(&self, loops: &Loops, kept: Option<VarId>) -> Option<Int> {
        let mut sum = self.sum.clone();
        for (var, [first, last]) in self.at.steps.iter().rev().filter(|(var, _)| Some(*var) != kept) {
            if let Some(weight) = sum.weight(*var) {
                let end = if weight < 0 { last } else { first };
                sum = sum - weight * Int::Var(*var) + weight * end.clone();
            }
        }
        let linear = sum.linear();
        let is_within = |atom: &Int| {
            let mut found = false;
            atom.each_var(&mut |var| found |= Some(var) != kept && loops.is_inner(var));
            found
        };
        let (inner, outer): (Vec<_>, Vec<_>) = linear.terms.into_iter().partition(|(atom, _)| is_within(atom));
        let inner = inner.into_iter().fold(Int::Const(0), |all, (atom, c)| all + c * atom);
        let outer = outer.into_iter().fold(Int::Const(linear.constant), |all, (atom, c)| all + c * atom);
        Some(outer + self.at.ranges.least(&inner)?)
    }
}

/// The first iteration of a loop of steps that may be a partial one, if most are full.
fn first_partial(var: VarId, [lower, upper]: [&Int; 2], body: &[Op], ranges: &Ranges, loops: &Loops) -> Option<Int> {
    let mut found = Vec::new();
    let there = Place::new(ranges).inside(var, lower, upper, loops);
    demands(body, &there, loops, &BTreeSet::new(), &mut found);
    let cut = |demand: Demand| -> Option<Int> {
        let least = demand.least(loops, Some(var))?;
        let weight = least.weight(var).filter(|weight| *weight < 0)?;
        let rest = least - weight * Int::Var(var);
        let mut is_same_for_all = true;
        rest.each_var(&mut |_| is_same_for_all = false);
        let at = rest.floor_div(weight.checked_neg()?) + 1;
        let partial = ranges.interval(&(upper.clone() - at.clone()));
        let full = ranges.interval(&(at.clone() - lower.clone()));
        let is_worth_it = partial.0 != partial.1 || partial.1? > 0;
        // Two where a step copies for the next one.
        let are_few = partial.1? <= 2 || full.0? >= partial.1?;
        (is_same_for_all && is_worth_it && are_few && full.1.is_none_or(|full| full > 0)).then_some(at)
    };
    found.into_iter().filter_map(cut).reduce(Int::min)
}

/// Where the tiles of a kernel are full.
enum Full {
    /// As far as blocks decide, everywhere.
    Always,
    /// In few blocks.
    Rare,
    /// Where that holds.
    Where(Cond),
}

fn full(launch: &Launch, ranges: &Ranges, loops: &Loops, rests: &BTreeSet<VarId>) -> Full {
    let mut found = Vec::new();
    demands(&launch.body, &Place::new(ranges), loops, rests, &mut found);
    let is_of_blocks = |sum: &Int| {
        let mut is = false;
        sum.each_var(&mut |var| is |= launch.grid.iter().any(|(block, _)| *block == var));
        is
    };
    let mut is_hot = false;
    let mut sums = Vec::new();
    for demand in found {
        let least = demand.least(loops, None).filter(is_of_blocks);
        if let Some(least) = least.filter(|least| !ranges.at_least_zero(least)) {
            is_hot |= demand.is_hot;
            sums.push(without_quotient(least));
        }
    }
    if !is_hot {
        return Full::Always;
    }
    // Of fewer terms first: others may follow from them.
    sums.sort_by_cached_key(|sum| (sum.linear().terms.len(), sum.clone()));
    let (mut there, mut conds) = (ranges.clone(), Vec::new());
    for sum in sums {
        if !there.at_least_zero(&sum) {
            let cond = at_least_zero(&sum);
            there = there.where_holds(&cond);
            conds.push(cond);
        }
    }
    let blocks = |ranges: &Ranges| {
        launch.grid.iter().try_fold(1i64, |all, (var, _)| {
            let (low, high) = ranges.interval(&Int::Var(*var));
            all.checked_mul((high? - low? + 1).max(0))
        })
    };
    match (blocks(&there), blocks(ranges)) {
        _ if conds.is_empty() => Full::Always,
        (Some(full), Some(all)) if 2 * full < all => Full::Rare,
        _ => Full::Where(Cond::all(conds)),
    }
}

/// The condition, as a person would write it.
fn at_least_zero(sum: &Int) -> Cond {
    let mut linear = sum.linear();
    if let Some(factor @ 2..) = linear.common_factor() {
        linear.constant = linear.constant.div_euclid(factor);
        linear.terms.iter_mut().for_each(|(_, c)| *c /= factor);
    }
    let (more, less) = linear.by_sign();
    Cond::compare(CmpOp::Le, less, more)
}

/// What is at least 0 exactly when the sum is: `e + d·r` for `floor(e / d) + r`.
fn without_quotient(sum: Int) -> Int {
    let quotient = sum.linear().terms.into_iter().find_map(|(atom, c)| match atom {
        Int::FloorDiv(e, by) if c == 1 => Some((*e, by)),
        _ => None,
    });
    match quotient {
        Some((e, by)) => {
            let rest = sum - Int::FloorDiv(Box::new(e.clone()), by);
            without_quotient(e + by * rest)
        }
        None => sum,
    }
}

/// Ops without the tests that always hold there, and without the bounds that never count.
fn met(ops: Vec<Op>, at: &Place, loops: &Loops) -> Vec<Op> {
    let one = |op: Op| match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            let body = met(body, &at.inside(var, &lower, &upper, loops), loops);
            let [lower, upper] = uncut(lower, upper, at, loops);
            Op::For { var, lower, upper, step, parallel, body }
        }
        Op::If { cond, then, otherwise } => {
            let then = met(then, &at.where_holds(&cond), loops);
            let otherwise = met(otherwise, &at.where_holds(&cond.clone().negate()), loops);
            Op::If { cond: untested(&cond, at, loops), then, otherwise }
        }
        Op::Local { buffer, body } => Op::Local { buffer, body: met(body, at, loops) },
        other => other,
    };
    ops.into_iter().map(one).collect()
}

fn uncut(lower: Int, upper: Int, at: &Place, loops: &Loops) -> [Int; 2] {
    let Some(Bounds { whole: [low, high], lowers, uppers }) = Bounds::of(&lower, &upper, loops) else {
        return [lower, upper];
    };
    let lowers = lowers.into_iter().filter(|lower| !is_met(low.clone() - lower.clone(), at, loops));
    let uppers = uppers.into_iter().filter(|upper| !is_met(upper.clone() - high.clone(), at, loops));
    [lowers.fold(low.clone(), Int::max), uppers.fold(high.clone(), Int::min)]
}

fn untested(cond: &Cond, at: &Place, loops: &Loops) -> Cond {
    match cond {
        Cond::All(parts) => Cond::all(parts.iter().map(|part| untested(part, at, loops))),
        cond => match parts(cond).as_slice() {
            [sum] if is_met(sum.clone(), at, loops) => Cond::always(),
            _ => cond.clone(),
        },
    }
}

fn is_met(sum: Int, at: &Place, loops: &Loops) -> bool {
    let least = Demand { sum, at: at.clone(), is_hot: false }.least(loops, None);
    least.is_some_and(|least| at.ranges.at_least_zero(&without_quotient(least)))
}

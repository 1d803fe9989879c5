//! Loops whose iterations threads share out, counted from 0 where all threads run as many.

use crate::passes::{Ranges, fresh_copy, substituted};
use crate::{Cond, Int, Launch, Op, Program, VarId};

use super::private::is_below;

/// Iterations that are known to be the same number for all threads, from two on, are counted; what only some threads run
/// comes behind, under a test. A compiler behind this one then copies the loop out, and its loads are under way together.
///
/// ```text
/// for k in tx..1000 step 256 { … }      ->      for k in 0..3 { … tx + 256*k … }
///                                               if tx + 768 < 1000 { … tx + 768 … }
/// ```
pub(super) fn counted(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = ops(body, &Ranges::default(), false, &mut program);
    program
}

fn ops(body: Vec<Op>, ranges: &Ranges, in_kernel: bool, program: &mut Program) -> Vec<Op> {
    body.into_iter().flat_map(|one| op(one, ranges, in_kernel, program)).collect()
}

fn op(op: Op, ranges: &Ranges, in_kernel: bool, program: &mut Program) -> Vec<Op> {
    match op {
        Op::Launch(launch) => {
            let body = ops(launch.body.clone(), &ranges.inside_of(&launch), true, program);
            vec![Op::Launch(Launch { body, ..launch })]
        }
        Op::For { var, lower, upper, step, parallel, body } => {
            let body = ops(body, &ranges.inside(var, &lower, &upper), in_kernel, program);
            let shares = in_kernel && !parallel && lower.as_const().is_none();
            match step
                .as_const()
                .filter(|step| shares && *step > 1)
                .and_then(|step| rounds(&lower, &upper, step, ranges))
            {
                Some(rounds) => Strided { var, lower, upper, rounds, body }.counted(ranges, program),
                None => vec![Op::For { var, lower, upper, step, parallel, body }],
            }
        }
        Op::If { cond, then, otherwise } => {
            let then = ops(then, &ranges.where_holds(&cond), in_kernel, program);
            let otherwise = ops(otherwise, &ranges.where_holds(&cond.clone().negate()), in_kernel, program);
            vec![Op::If { cond, then, otherwise }]
        }
        Op::Local { buffer, body } => vec![Op::Local { buffer, body: ops(body, ranges, in_kernel, program) }],
        other => vec![other],
    }
}

/// How often all threads run a loop, and whether some run it once more.
struct Rounds {
    step: i64,
    all: i64,
    one_more: bool,
}

fn rounds(lower: &Int, upper: &Int, step: i64, ranges: &Ranges) -> Option<Rounds> {
    let (least, most) = ranges.interval(&(upper.clone() - lower.clone()));
    let times = |distance: i64| Some(distance.max(0).checked_add(step - 1)? / step);
    let (all, most) = (times(least?)?, times(most?)?);
    (all >= 2 && most - all <= 1).then_some(Rounds { step, all, one_more: most > all })
}

struct Strided {
    var: VarId,
    lower: Int,
    upper: Int,
    rounds: Rounds,
    body: Vec<Op>,
}

impl Strided {
    fn counted(self, ranges: &Ranges, program: &mut Program) -> Vec<Op> {
        let Strided { var, lower, upper, rounds: Rounds { step, all, one_more }, body } = self;
        let at = |value: Int, body: &[Op]| -> Vec<Op> {
            let with_value = |other| if other == var { value.clone() } else { Int::Var(other) };
            body.iter().map(|op| substituted(op, &with_value)).collect()
        };
        let last = lower.clone() + all * step;
        let behind = one_more.then(|| at(last.clone(), &fresh_copy(&body, &mut program.vars)));
        let body = at(lower + step * Int::Var(var), &body);
        let (lower, step) = (Int::Const(0), Int::Const(1));
        let mut both = vec![Op::For { var, lower, upper: Int::Const(all), step, parallel: false, body }];
        if let Some(then) = behind {
            let cond = Cond::all(is_below(&last, &upper, ranges));
            both.push(Op::If { cond, then, otherwise: Vec::new() });
        }
        both
    }
}

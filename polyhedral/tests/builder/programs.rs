//! One thing that the builder says at a time, run by the evaluator.

use std::collections::BTreeMap;

use polyhedral::DType::{Bool, F32, F64, I32, I64};
use polyhedral::builder::{Builder, Index, Program};
use polyhedral::eval::{Data, Limits, Tensors, run};
use polyhedral::{BinOp, Body, Builtin, CmpOp, DType, Expr, Monoid, Scop, Value, dependences, isl};

fn build(define: impl FnOnce(&Builder)) -> Program {
    let program = Program::build(&isl::Ctx::new(), "f", define).unwrap_or_else(|error| panic!("{error}"));
    let text = program.scop.to_string();
    let again = Scop::parse(&program.scop.ctx, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.to_string(), text);
    dependences(&program.scop).expect("dependences");
    program
}

fn tensors<const N: usize>(given: [(&str, DType, &[i64]); N]) -> Tensors {
    let data = |(name, dtype, values): (&str, DType, &[i64])| {
        (name.to_owned(), Data::from_i64s(dtype, &[values.len() as i64], values))
    };
    given.into_iter().map(data).collect()
}

/// Runs a program on vectors; gives the elements of `result`.
#[track_caller]
fn result<const N: usize>(
    result: &str,
    sizes: &[i64],
    given: [(&str, DType, &[i64]); N],
    define: impl FnOnce(&Builder),
) -> Vec<i64> {
    let program = build(define);
    let found = run(&program.scop, sizes, &tensors(given), Limits::default());
    found.unwrap_or_else(|error| panic!("{error}\n{}", program.source))[result].to_i64s()
}

#[test]
fn periodic_domains_and_subscripts() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let (a, sums, phases) = (p.input("A", I64, [n]), p.output("S", I64, [4]), p.output("P", I64, [n]));
        p.each("i", 0, 4, |i| p.set(sums.at([i]), 0));
        p.each("i", 0, n, |i| {
            p.set(phases.at([i]), i.floor_div(4));
            p.when(i.modulo(3).ne(1), || p.add_to(sums.at([(i + 1).modulo(4)]), *a.at([i])));
        });
    };
    let a = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
    let mut expected = [0; 4];
    for i in (0..7).filter(|i| i % 3 != 1) {
        expected[(i + 1) % 4] += a[i];
    }
    assert_eq!(result("S", &[7], [("A", I64, &a)], define), expected);
    assert_eq!(result("P", &[7], [("A", I64, &a)], define), [0, 0, 0, 0, 1, 1, 1]);
}

#[test]
fn loops_with_steps_meet_the_right_points() {
    for n in 0..9 {
        for step in [2, 3, -1, -2, -3] {
            let count = |p: &Builder| {
                let n = p.size("N");
                let (order, time) = (p.inout("A", I64, [n + 1]), p.temporary("time", I64, ()));
                p.set(time.at(()), 0);
                p.each_step("i", 1, n, step, |i| {
                    p.set(time.at(()), time.at(()) + 1);
                    p.set(order.at([i]), *time.at(()));
                });
            };
            let mut expected = vec![0; n as usize + 1];
            let points: Vec<i64> = match step {
                1.. => (1..n).step_by(step as usize).collect(),
                _ => (1..n).rev().step_by(-step as usize).collect(),
            };
            points.iter().enumerate().for_each(|(time, &i)| expected[i as usize] = time as i64 + 1);
            let zeros = vec![0; n as usize + 1];
            assert_eq!(result("A", &[n], [("A", I64, &zeros)], count), expected, "N = {n}, step {step}");
        }
    }
}

#[test]
fn a_strided_loop_starts_at_a_moving_place() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let a = p.inout("A", I64, [n * 3]);
        p.each("j", 0, n, |j| p.each_step("i", j, 3 * n, 4, |i| p.set(a.at([i]), a.at([i]) * 10 + j + 1)));
    };
    let mut expected = vec![0; 15];
    for j in 0..5 {
        for i in (j..15).step_by(4) {
            expected[i] = expected[i] * 10 + j as i64 + 1;
        }
    }
    assert_eq!(result("A", &[5], [("A", I64, &[0; 15])], define), expected);
}

#[test]
fn a_loop_downwards_carries_its_recurrence_downwards() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let a = p.inout("A", I64, [n]);
        p.each_down("i", 0, n - 1, |i| p.set(a.at([i]), a.at([i]) + 2 * a.at([i + 1])));
    };
    assert_eq!(result("A", &[4], [("A", I64, &[1, 1, 1, 1])], define), [15, 7, 3, 1]);
}

#[test]
fn conditions_are_exact_with_or_and_not() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let a = p.inout("A", I64, [n]);
        p.each("i", 0, n, |i| {
            let ends = i.lt(2) | i.ge(n - 2);
            p.when(ends & !i.eq(0), || p.set(a.at([i]), 1));
            p.when(!(ends | i.eq(4)), || p.set(a.at([i]), 2));
            p.when(i.gt(3) & i.le(4), || p.set(a.at([i]), 3));
        });
    };
    assert_eq!(result("A", &[8], [("A", I64, &[0; 8])], define), [0, 1, 2, 2, 3, 2, 1, 1]);
}

#[test]
fn conditions_around_loops_restrict_what_is_inside() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let a = p.inout("A", I64, [n]);
        p.when(n.ge(3), || {
            p.each("i", 0, n, |i| p.when(i.ge(1), || p.each("j", i, i + 1, |j| p.set(a.at([j]), i))));
        });
    };
    assert_eq!(result("A", &[4], [("A", I64, &[9; 4])], define), [9, 1, 2, 3]);
    assert_eq!(result("A", &[2], [("A", I64, &[9; 2])], define), [9, 9]);
}

#[test]
fn points_are_visited_in_order() {
    fn define<'p>(p: &'p Builder) {
        let n = p.size("N");
        let (a, time) = (p.inout("A", I64, [n * 3]), p.temporary("time", I64, ()));
        p.set(time.at(()), 0);
        let wedge =
            |[i, j]: [Index<'p>; 2]| i.ge(0) & i.lt(n) & j.ge(0) & j.le(2) & (i + j).le(3) & (i.eq(1) | j.ne(1));
        p.points(["i", "j"], wedge, |[i, j]| {
            p.set(time.at(()), time.at(()) + 1);
            p.set(a.at([3 * i + j]), *time.at(()));
        });
    }
    assert_eq!(result("A", &[3], [("A", I64, &[0; 9])], define), [1, 0, 2, 3, 4, 5, 6, 0, 0]);
}

#[test]
fn bounds_with_minima_and_maxima() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let a = p.inout("A", I64, [n]);
        p.each("i", 0, n, |i| {
            p.each("j", (i - 1).max(0), (i + 2).min(n), |j| p.add_to(a.at([j]), i + 1));
        });
    };
    assert_eq!(result("A", &[4], [("A", I64, &[0; 4])], define), [3, 6, 9, 7]);
}

#[test]
fn a_guard_keeps_what_it_does_not_write() {
    let relu = |p: &Builder| {
        let n = p.size("N");
        let (a, b) = (p.input("A", I64, [n]), p.inout("B", I64, [n]));
        p.each("i", 0, n, |i| p.guard(a.at([i]).gt(0), || p.set(b.at([i]), *a.at([i]))));
    };
    let given = [("A", I64, &[5i64, -5, 0, 7] as &[i64]), ("B", I64, &[1, 2, 3, 4])];
    assert_eq!(result("B", &[4], given, relu), [5, 2, 3, 7]);
}

#[test]
fn a_guard_is_evaluated_before_what_is_inside() {
    let swap = |p: &Builder| {
        let n = p.size("N");
        let (a, b, moved) = (p.inout("A", I64, [n]), p.inout("B", I64, [n]), p.output("moved", I64, [n]));
        p.each("i", 0, n, |i| {
            p.set(moved.at([i]), 0);
            p.guard(a.at([i]).gt(b.at([i])), || {
                p.set_all([(a.at([i]), *b.at([i])), (b.at([i]), *a.at([i]))]).named("swap");
                p.set(moved.at([i]), b.at([i]) - a.at([i]));
            });
        });
    };
    let given = [("A", I64, &[5i64, 1, 3] as &[i64]), ("B", I64, &[2, 4, 3])];
    assert_eq!(result("A", &[3], given, swap), [2, 1, 3]);
    assert_eq!(result("B", &[3], given, swap), [5, 4, 3]);
    assert_eq!(result("moved", &[3], given, swap), [3, 0, 0]);
    let program = build(swap);
    let kept = program.scop.tensor_named("guard").expect("a temporary");
    assert_eq!(program.scop.tensors[kept].dtype, Bool);
    assert_eq!(&program.source[program.scop.tensors[kept].span.range()], "A[i] > B[i]");
}

#[test]
fn a_guard_is_kept_under_a_name_of_its_own() {
    let define = |p: &Builder| {
        let guard = p.inout("guard", I64, ());
        p.guard(guard.at(()).gt(0), || {
            p.set(guard.at(()), guard.at(()) - 5);
            p.set(guard.at(()), guard.at(()) * 10);
        });
    };
    let program = build(define);
    let names: Vec<&str> = program.scop.stmts.values().map(|stmt| stmt.name.as_str()).collect();
    assert_eq!(names, ["guard.3", "guard", "guard.2"]);
    let given = BTreeMap::from([("guard".to_owned(), Data::from_i64s(I64, &[], &[2]))]);
    let found = run(&program.scop, &[], &given, Limits::default()).expect("runs");
    assert_eq!(found["guard"].to_i64s(), [-30]);
}

#[test]
fn guards_nest_around_loops_and_reductions() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let (a, positive) = (p.inout("A", I64, [n]), p.output("sums", I64, [2]));
        p.each("i", 0, 2, |i| p.set(positive.at([i]), 0));
        p.each("i", 0, n, |i| {
            p.guard(a.at([i]).gt(0), || {
                p.each("j", 0, 2, |j| p.add_to(positive.at([j]), a.at([i]) * (j + 1)));
                p.guard(a.at([i]).modulo_two().eq(0), || {
                    p.set(a.at([i]), -a.at([i]));
                    p.add_to(positive.at([1]), 1000);
                });
                p.set(a.at([i]), a.at([i]) - 1);
            });
        });
    };
    let given = [("A", I64, &[4i64, -4, 3, -3, 8] as &[i64])];
    assert_eq!(result("A", &[5], given, define), [-5, -4, 2, -3, -9]);
    assert_eq!(result("sums", &[5], given, define), [15, 2030]);
}

trait ModuloTwo<'p> {
    fn modulo_two(self) -> polyhedral::builder::Value<'p>;
}

impl<'p> ModuloTwo<'p> for polyhedral::builder::Element<'p> {
    fn modulo_two(self) -> polyhedral::builder::Value<'p> {
        self % 2
    }
}

#[test]
fn a_guarded_look_up_stays_inside_of_its_table() {
    let define = |p: &Builder| {
        let [n, e] = ["N", "E"].map(|name| p.size(name));
        let (index, table) = (p.input("X", I32, [n]), p.input("T", I64, [e]).starting_at([3]));
        let out = p.output("O", I64, [n]);
        p.each("i", 0, n, |i| {
            p.set(out.at([i]), -1);
            let x = index.at([i]);
            p.guard(x.ge(3) & x.lt((e + 3).cast(I32)), || p.set(out.at([i]), *table.at([x])));
        });
    };
    let given = [("X", I32, &[3i64, -7, 4, 99] as &[i64]), ("T", I64, &[10, 20])];
    assert_eq!(result("O", &[4, 2], given, define), [10, -1, 20, -1]);
}

#[test]
fn look_ups_and_histograms() {
    let define = |p: &Builder| {
        let [n, bins] = ["N", "BINS"].map(|name| p.size(name));
        let x = p.input("X", I32, [n]);
        let (count, seen) = (p.output("count", I64, [bins]), p.output("seen", I64, [n]));
        p.each("b", 0, bins, |b| p.set(count.at([b]), 0));
        p.each("i", 0, n, |i| p.add_to(count.at([x.at([i])]), 1));
        p.each("i", 0, n, |i| p.set(seen.at([i]), *count.at([x.at([i])])));
    };
    let given = [("X", I32, &[1i64, 0, 1, 1] as &[i64])];
    assert_eq!(result("count", &[4, 3], given, define), [1, 3, 0]);
    assert_eq!(result("seen", &[4, 3], given, define), [3, 1, 3, 3]);
}

/// The larger value with its place; of equals the first.
fn argmax() -> Monoid {
    let (better, tie) = (
        Expr::Compare(CmpOp::Gt, Expr::Term(0).into(), Expr::State(0).into()),
        Expr::Compare(CmpOp::Eq, Expr::Term(0).into(), Expr::State(0).into()),
    );
    let earlier = Expr::Compare(CmpOp::Lt, Expr::Term(1).into(), Expr::State(1).into());
    let first = Expr::Binary(BinOp::And, tie.into(), earlier.into());
    let take = Expr::Binary(BinOp::Or, better.into(), first.into());
    let pick = |at| Expr::Select(take.clone().into(), Expr::Term(at).into(), Expr::State(at).into());
    Monoid {
        name: "argmax".into(),
        dtypes: vec![I64, I64],
        identity: vec![Value::Int(i64::MIN.into()), Value::Int(i64::MAX.into())],
        combine: vec![pick(0), pick(1)],
    }
}

#[test]
fn a_reduction_of_pairs() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let (a, best, place) = (p.input("A", I64, [n]), p.output("best", I64, ()), p.output("place", I64, ()));
        p.set(best.at(()), i64::MIN);
        p.set(place.at(()), i64::MAX);
        p.each("i", 0, n, |i| p.reduce_all(argmax(), [(best.at(()), *a.at([i])), (place.at(()), i.cast(I64))]));
    };
    assert_eq!(result("place", &[5], [("A", I64, &[3, 9, -2, 9, 1])], define), [1]);
    assert_eq!(result("best", &[5], [("A", I64, &[3, 9, -2, 9, 1])], define), [9]);
}

#[test]
fn indices_and_conditions_are_values() {
    let define = |p: &Builder| {
        let n = p.size("N");
        let out = p.output("O", I64, [n]);
        p.each_down("i", 0, n, |i| {
            let odd = (i.modulo(2).eq(1) & i.ne(3)).select(100, 0);
            p.set(out.at([i]), odd + i * 2 + n);
        });
    };
    assert_eq!(result("O", &[5], [], define), [5, 107, 9, 11, 13]);
}

#[test]
fn literals_take_the_type_of_what_they_meet() {
    let program = build(|p| {
        let n = p.size("N");
        let [a, b] = ["A", "B"].map(|name| p.inout(name, F32, [n]));
        let (c, d) = (p.inout("C", I32, [n]), p.inout("D", Bool, [n]));
        p.each("i", 0, n, |i| {
            p.set(a.at([i]), 2 * a.at([i]) + 0.5);
            p.set(b.at([i]), 1).named("one");
            p.set(c.at([i]), (c.at([i]) - 7).max(c.at([i]).cast(F64).sqrt().cast(I32)));
            p.set(d.at([i]), !d.at([i]) & c.at([i]).lt(3) | true);
            let power = p.call(Builtin::Pow, [p.constant(F32, 2.0), *b.at([i])]);
            p.set(b.at([i]), a.at([i]).le(1.0).select(power, 3));
        });
    });
    let constants = |stmt: &str| {
        let stmt = &program.scop.stmts[program.scop.stmt_named(stmt).expect("named")];
        let mut found = Vec::new();
        stmt.body.exprs()[0].visit(&mut |expr| {
            if let Expr::Const(value, dtype) = expr {
                found.push((*value, *dtype));
            }
        });
        found
    };
    assert_eq!(constants("A"), [(Value::Float(2.0), F32), (Value::Float(0.5), F32)]);
    assert_eq!(constants("one"), [(Value::Float(1.0), F32)]);
    assert_eq!(constants("C"), [(Value::Int(7), I32)]);
    assert_eq!(constants("B"), [(Value::Float(1.0), F32), (Value::Float(2.0), F32), (Value::Float(3.0), F32)]);
}

#[test]
fn statements_are_named_after_what_they_write() {
    let program = build(|p| {
        let n = p.size("N");
        let (a, c) = (p.input("A", F64, [n, n]), p.output("C", F64, [n]));
        p.each("i", 0, n, |i| {
            p.set(c.at([i]), 0.0);
            p.each("j", 0, n, |j| p.add_to(c.at([i]), *a.at([i, j])));
            p.set(c.at([i]), 2 * c.at([i]));
            p.each("j", 0, i, |j| p.add_to(c.at([i]), *a.at([j, i])));
            p.set(c.at([i]), c.at([i]) + 1).named("C.last");
            p.set(c.at([i]), c.at([i]) + 2);
        });
    });
    let names: Vec<&str> = program.scop.stmts.values().map(|stmt| stmt.name.as_str()).collect();
    assert_eq!(names, ["C.init", "C.update", "C", "C.update.2", "C.last", "C.2"]);
    assert!(program.scop.tree.member("C.update.j").is_some());
    assert!(matches!(program.scop.stmts.values().nth(1).map(|stmt| &stmt.body), Some(Body::Reduce { .. })));
}

#[test]
fn tensors_come_in_the_order_of_the_call() {
    let program = build(|p| {
        let n = p.size("N");
        let t = p.temporary("T", F64, [n]);
        let c = p.output("C", F64, [n]);
        let a = p.input("A", F64, [n]);
        p.each("i", 0, n, |i| {
            p.set(t.at([i]), a.at([i]) + 1);
            p.set(c.at([i]), *t.at([i]));
        });
    });
    let names: Vec<&str> = program.scop.tensors.values().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["A", "C", "T"]);
    assert!(program.scop.to_string().contains("T[i] = A[i] + 1.0f64"));
}

#[test]
fn the_program_is_written_out() {
    let program = build(|p| {
        let n = p.size("N");
        let s = p.param("shift");
        p.assume(s.ge(0) & s.lt(n) & (n.lt(100) | s.eq(0)));
        let a = p.inout("A", F64, [n]);
        let b = p.output("B", F64, [n]).starting_at([s]);
        p.each_step("i", 0, n, -2, |i| p.set(a.at([i]), (a.at([i]) - (a.at([i]) - 1)) / (2.0 * a.at([i]))));
        p.points(["x"], |[x]| x.ge(s) & x.lt(n + s), |[x]| p.set(b.at([x]), 0));
        p.each("i", 0, n, |i| {
            p.when(!(i.lt(s) | i.eq(5)), || p.set(a.at([i]), i.lt(5).select(1, 2)));
            p.guard(a.at([i]).gt(0) | a.at([i]).lt(-1), || p.reduce(Monoid::max, a.at([i]), i.cast(F64).sqrt()));
        });
    });
    let expected = "\
program f(N, shift)
assume N >= 0
assume shift >= 0 and shift < N and (N < 100 or shift = 0)
inout A: float64[N]
output B: float64[N from shift]
for i in 0..N down step 2
  A[i] = (A[i] - (A[i] - 1)) / (2.0 * A[i])
for x
  when x >= shift and x < N + shift
    B[x] = 0
for i in 0..N
  when not (i < shift or i = 5)
    A[i] = select([i < 5], 1, 2)
  if A[i] > 0 | A[i] < -1
    A[i] max= sqrt(float64(int64(i)))
";
    assert_eq!(program.source, expected);
}

#[test]
fn programs_may_be_empty_and_loops_too() {
    let program = build(|p| {
        let n = p.size("N");
        p.each("i", 0, n, |_| ());
    });
    assert!(program.scop.stmts.is_empty() && program.scop.source.is_empty());
}

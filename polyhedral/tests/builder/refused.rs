//! Wrong programs, and what is said of them.

use polyhedral::DType::{Bool, F32, F64, I32, I64};
use polyhedral::Monoid;
use polyhedral::builder::{Builder, Program, ProgramError};
use polyhedral::isl;

fn refused(define: impl FnOnce(&Builder)) -> ProgramError {
    match Program::build(&isl::Ctx::new(), "f", define) {
        Ok(program) => panic!("accepted:\n{}", program.source),
        Err(error) => error,
    }
}

/// The first fault is `entity: message`, at `place` of the program's text.
#[track_caller]
fn check(entity: &str, message: &str, place: &str, define: impl FnOnce(&Builder)) {
    let error = refused(define);
    let fault = error.faults.first().expect("a fault");
    let found = (fault.entity.as_str(), fault.message.as_str(), &error.source[fault.span.range()]);
    assert_eq!(found, (entity, message, place), "{error}");
}

#[test]
fn accesses_outside_of_their_tensors() {
    let message = "subscript 0 of `A` is 1, outside of 0..1, at i = 0 for N = 1";
    check("B", message, "A[i + 1]", |p| {
        let n = p.size("N");
        let (a, b) = (p.input("A", F64, [n]), p.output("B", F64, [n]));
        p.each("i", 0, n, |i| p.set(b.at([i]), *a.at([i + 1])));
    });
    let message = "subscript 0 of `A` is -1, outside of 0..2, at i = 0 for N = 2";
    check("A", message, "A[i - 1]", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each_down("i", 0, n - 1, |i| p.set(a.at([i]), *a.at([i - 1])));
    });
    let message = "subscript 1 of `A` is 0, outside of 1..1, at i = 0 for N = 1";
    check("A", message, "A[i, i]", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, (n, 0)).starting_at((0, 1));
        p.each("i", 0, n, |i| p.set(a.at([i, i]), 1));
    });
    let message = "subscript 0 of `A` is 3, outside of 0..3, at i = 6 for N = 7";
    check("A", message, "A[floor((i)/2)]", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [3]);
        p.each("i", 0, n, |i| p.set(a.at([i.floor_div(2)]), 1));
    });
}

#[test]
fn an_assumption_may_make_the_difference() {
    let define = |assumes: bool| {
        move |p: &Builder| {
            let n = p.size("N");
            if assumes {
                p.assume(n.gt(4));
            }
            let a = p.inout("A", F64, [n]);
            p.set(a.at([4]), 1);
        }
    };
    Program::build(&isl::Ctx::new(), "f", define(true)).expect("accepted");
    check("A", "subscript 0 of `A` is 4, outside of 0..0, for N = 0", "A[4]", define(false));
}

#[test]
fn ranks_and_roles() {
    check("A", "1 subscripts for `A`, which has 2 dimensions", "A[i] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n, n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), 1));
    });
    check("A", "an input is written", "A[i] = 1", |p| {
        let n = p.size("N");
        let a = p.input("A", F64, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), 1));
    });
    check("B", "no statement writes this output", "output B: float64[N]", |p| {
        let n = p.size("N");
        p.output("B", F64, [n]);
    });
    check("B", "no statement writes `B[0]` for N = 1", "output B: float64[N]", |p| {
        let n = p.size("N");
        let b = p.output("B", F64, [n]);
        p.each("i", 1, n, |i| p.set(b.at([i]), 1));
    });
    check("A", "the extent N - 2 is negative for N = 0", "inout A: float64[N - 2]", |p| {
        let n = p.size("N");
        p.inout("A", F64, [n - 2]);
    });
    check("A", "the extent S is negative for S = -8", "inout A: float64[S]", |p| {
        let s = p.param("S");
        p.inout("A", F64, [s]);
    });
    check("A", "as many lower bounds as extents", "inout A: float64[N from 1]", |p| {
        let n = p.size("N");
        p.inout("A", F64, [n]).starting_at([1, 2]);
    });
}

#[test]
fn values_that_are_not_there_yet() {
    check("B", "reads `B[0]` before it is written, at i = 1 for N = 2", "B[i - 1]", |p| {
        let n = p.size("N");
        let b = p.output("B", F64, [n]);
        p.each("i", 1, n, |i| p.set(b.at([i]), b.at([i - 1]) + 1));
        p.set(b.at([n.min(1) - 1]), 0);
        p.assume(n.ge(1));
    });
    check("B", "reads `T[1]` before it is written, at i = 0 for N = 1", "T[i + 1]", |p| {
        let n = p.size("N");
        let (t, b) = (p.temporary("T", F64, [n + 1]), p.inout("B", F64, [n]));
        p.each("i", 0, n, |i| {
            p.set(t.at([i]), *b.at([i]));
            p.set(b.at([i]), *t.at([i + 1]));
        });
    });
    check("s.update", "reads `s[]` before it is written, at i = 0 for N = 1", "s[]", |p| {
        let n = p.size("N");
        let (a, s) = (p.input("A", F64, [n]), p.output("s", F64, ()));
        p.each("i", 0, n, |i| p.add_to(s.at(()), *a.at([i])));
    });
    check("B", "reads `B[0]` before it is written, at i = 0 for N = 1", "B[i]", |p| {
        let n = p.size("N");
        let (a, b) = (p.input("A", F64, [n]), p.output("B", F64, [n]));
        p.each("i", 0, n, |i| p.guard(a.at([i]).gt(0), || p.set(b.at([i]), 1)));
    });
    // The order counts, downwards too: here the element above was not written yet.
    check("B", "reads `B[1]` before it is written, at i = 0 for N = 2", "B[i + 1]", |p| {
        let n = p.size("N");
        let b = p.output("B", F64, [n]);
        p.each("i", 0, n, |i| {
            p.when(i.eq(n - 1), || p.set(b.at([i]), 0));
            p.when(i.lt(n - 1), || p.set(b.at([i]), *b.at([i + 1])).named("B"));
        });
    });
}

#[test]
fn a_loop_downwards_writes_before_it_reads() {
    let program = Program::build(&isl::Ctx::new(), "f", |p| {
        let n = p.size("N");
        let b = p.output("B", F64, [n]);
        p.each_down("i", 0, n, |i| {
            p.when(i.eq(n - 1), || p.set(b.at([i]), 0));
            p.when(i.lt(n - 1), || p.set(b.at([i]), *b.at([i + 1])));
        });
    });
    program.expect("accepted");
}

#[test]
fn types_that_do_not_fit() {
    check("A", "`+` of float64 and float32: one of them must be cast", "A[i] = ?", |p| {
        let n = p.size("N");
        let (a, b) = (p.inout("A", F64, [n]), p.input("B", F32, [n]));
        p.each("i", 0, n, |i| p.set(a.at([i]), a.at([i]) + b.at([i])));
    });
    check("A", "a value of float32 for an element of float64", "A[i] = B[i]", |p| {
        let n = p.size("N");
        let (a, b) = (p.inout("A", F64, [n]), p.input("B", F32, [n]));
        p.each("i", 0, n, |i| p.set(a.at([i]), *b.at([i])));
    });
    check("A", "`*` of float64 and int64: one of them must be cast", "A[i] = ?", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), a.at([i]) * i));
    });
    check("A", "1.5 is no value of int32", "A[i] = A[i] + 1.5", |p| {
        let n = p.size("N");
        let a = p.inout("A", I32, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), a.at([i]) + 1.5));
    });
    check("A", "Int(4294967296) is no value of int32", "A[i] = 4294967296", |p| {
        let n = p.size("N");
        let a = p.inout("A", I32, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), 1 << 32));
    });
    check("A", "`sqrt` of int32: it is on floating-point types", "A[i] = ?", |p| {
        let n = p.size("N");
        let a = p.inout("A", I32, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), a.at([i]).sqrt()));
    });
    check("A", "`pow` of 1 arguments takes 2", "A[i] = ?", |p| {
        let n = p.size("N");
        let a = p.inout("A", F32, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), a.at([i]).call(polyhedral::Builtin::Pow)));
    });
    check("A", "`!` of int32: it is on bool", "A[i] = ?", |p| {
        let n = p.size("N");
        let a = p.inout("A", I32, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), !a.at([i])));
    });
    check("A", "`+` of two bools", "A[i] = ?", |p| {
        let n = p.size("N");
        let a = p.inout("A", Bool, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), a.at([i]) + true));
    });
    check("A.update", "the monoid `sum` does not combine to bool", "A[i] sum= true", |p| {
        let n = p.size("N");
        let a = p.inout("A", Bool, [n]);
        p.each("i", 0, n, |i| p.add_to(a.at([i]), true));
    });
    check("A.update", "the monoid `max` is on [F32], the elements are [F64]", "A[i] max= 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("i", 0, n, |i| p.reduce(|_| Monoid::max(F32), a.at([i]), 1));
    });
    check("A", "a subscript that is no integer", "A[i] = A[A[i]]", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i]), *a.at([a.at([i])])));
    });
    check("A", "a guard of float64: it must be a bool", "A[i] = 1.0", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("i", 0, n, |i| p.guard(*a.at([i]), || p.set(a.at([i]), 1.0)));
    });
}

#[test]
fn indices_that_mean_nothing_here() {
    check("A", "the index `i` is used outside of its loop", "A[i] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        let mut escaped = None;
        p.each("i", 0, n, |i| escaped = Some(i));
        p.each("j", 0, n, |_| p.set(a.at([escaped.expect("the body ran")]), 1));
    });
    check("A", "the bounds of the loop `j`: the index `i` is used outside of its loop", "A[j] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        let mut escaped = None;
        p.each("i", 0, n, |i| escaped = Some(i));
        p.each("j", 0, escaped.expect("the body ran"), |j| p.set(a.at([j]), 1));
    });
    check("f", "the index `i` is used outside of its loop", "", |p| {
        let n = p.size("N");
        p.each("i", 0, n, |i| p.assume(i.ge(0)));
    });
    check("A", "the index `i` is used outside of its loop", "inout A: float64[i]", |p| {
        let n = p.size("N");
        p.each("i", 0, n, |i| p.inout("A", F64, [i]));
    });
    check("A", "a divisor of 0: it must be at least 1", "A[?] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("i", 0, n, |i| p.set(a.at([i.floor_div(0)]), 1));
    });
    check("A", "a divisor of -3: it must be at least 1", "A[i] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("i", 0, n, |i| p.when(i.modulo(-3).eq(0), || p.set(a.at([i]), 1)));
    });
    check("A", "the loop `i` has a step of 0", "A[i] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each_step("i", 0, n, 0, |i| p.set(a.at([i]), 1));
    });
    check("A", "the domain is unbounded", "A[i] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.points(["i"], |[i]| i.lt(n), |[i]| p.set(a.at([i]), 1));
    });
    check("f", "the context admits no sizes", "", |p| {
        let n = p.size("N");
        p.assume(n.lt(0));
    });
}

#[test]
fn handles_of_another_program() {
    let with_other = |define: fn(&Builder, &Builder)| {
        move |p: &Builder| {
            let mut define = Some(define);
            let _ = Program::build(&isl::Ctx::new(), "other", |other| {
                if let Some(define) = define.take() {
                    define(p, other);
                }
            });
        }
    };
    check(
        "S",
        "an element or value of another program",
        "? = 1",
        with_other(|p, other| {
            p.set(other.inout("A", F64, ()).at(()), 1);
        }),
    );
    check(
        "A",
        "an element or value of another program",
        "A[] = ?",
        with_other(|p, other| {
            p.set(p.inout("A", F64, ()).at(()), *other.inout("B", F64, ()).at(()));
        }),
    );
    check(
        "A",
        "an index of another program",
        "inout A: float64[?]",
        with_other(|p, other| {
            p.inout("A", F64, [other.size("N")]);
        }),
    );
    check("f", "a condition of another program", "", with_other(|p, other| p.assume(other.size("N").ge(1))));
    check(
        "A",
        "a condition of another program",
        "A[] = 1",
        with_other(|p, other| {
            let a = p.inout("A", F64, ());
            p.when(other.size("N").ge(1), || p.set(a.at(()), 1));
        }),
    );
}

#[test]
fn names_that_do_not_do() {
    check("f", "two sizes are called `N`", "", |p| {
        p.size("N");
        p.size("N");
    });
    check("f", "two tensors are called `A`", "", |p| {
        p.inout("A", F64, ());
        p.inout("A", F64, ());
    });
    check("f", "two statements are called `S`", "", |p| {
        let a = p.inout("A", F64, ());
        p.set(a.at(()), 1).named("S");
        p.set(a.at(()), 2).named("S");
    });
    check("A", "two dimensions are called `i`", "A[i] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("i", 0, n, |_| p.each("i", 0, n, |i| p.set(a.at([i]), 1)));
    });
    check("A", "`mod` cannot be the name of one of the dimensions", "A[mod] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        p.each("mod", 0, n, |i| p.set(a.at([i]), 1));
    });
    check("f", "`a b` cannot be the name of one of the statements", "", |p| {
        let a = p.inout("A", F64, ());
        p.set(a.at(()), 1).named("a b");
    });
    check("f", "`größe` cannot be the name of one of the sizes", "", |p| {
        p.size("größe");
    });
    check("f", "text refused before isl read it: a name holds a NUL", "", |p| {
        p.size("N\0");
    });
}

#[test]
fn expressions_without_end() {
    check("A", "an expression of more than 2000 operators, or nested deeper than 200", "A[] = ?", |p| {
        let a = p.inout("A", F64, ());
        let mut value = *a.at(());
        for _ in 0..100_000 {
            value = value + 1;
        }
        p.set(a.at(()), value);
    });
    check("A", "an expression of more than 2000 operators, or nested deeper than 200", "A[] = ?", |p| {
        let a = p.inout("A", F64, ());
        let mut value = *a.at(());
        for _ in 0..60 {
            value = value * value;
        }
        p.set(a.at(()), value);
    });
    check("A", "an index or condition of more than 200 operators", "A[?] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n]);
        let mut index = n;
        for _ in 0..10_000 {
            index = index + n;
        }
        p.set(a.at([index]), 1);
    });
    check("A", "an index or condition of more than 200 operators", "A[] = 1", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, ());
        let mut condition = n.ge(0);
        for at in 0..5000 {
            condition = !condition & n.ne(at);
        }
        p.when(condition, || p.set(a.at(()), 1));
    });
}

#[test]
fn numbers_at_the_edge_are_no_panic() {
    let all = |p: &Builder| {
        let n = p.size("N");
        let a = p.inout("A", I64, [n]);
        let far = n * i64::MAX + i64::MIN - n * i64::MIN;
        p.each("i", n * i64::MIN, far, |i| p.set(a.at([(i - i64::MIN).floor_div(i64::MAX)]), i - i64::MIN));
        p.each_step("i", 0, n, i64::MIN, |i| p.set(a.at([i * i64::MIN]), -(-i * i64::MIN)));
    };
    refused(all);
}

#[test]
fn every_fault_is_told_with_its_statement() {
    let error = refused(|p| {
        let n = p.size("N");
        let (a, b) = (p.inout("A", F64, [n]), p.input("B", F32, [n]));
        p.each("i", 0, n, |i| {
            p.set(a.at([i]), a.at([i]) + b.at([i]));
            p.set(a.at([i]), a.at([i]) * i);
        });
    });
    assert_eq!(error.faults.len(), 2);
    let expected = "program `f` is refused\n\
        `A`: `+` of float64 and float32: one of them must be cast\n    in `A[i] = ?`\n\
        `A.2`: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

//! Random programs against a plain walk over the same nest: one result depends on every instance and on the order of
//! all of them; and what is refused for an access outside or too early is refused rightly, what is accepted too.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::DType::I64;
use polyhedral::builder::{Builder, Condition, Index, Program, Tensor};
use polyhedral::eval::{Data, Limits, run};
use polyhedral::testing::Rng;
use polyhedral::{Scop, isl};

/// `floor((Σ c·index + n·size + constant) / divisor)`, or the remainder.
#[derive(Clone, Debug)]
struct Linear {
    indices: Vec<i64>,
    size: i64,
    constant: i64,
    divisor: i64,
    remainder: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Below(Linear, Linear),
    Equal(Linear, Linear),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
}

#[derive(Clone, Debug)]
enum Part {
    Loop {
        from: Linear,
        to: Linear,
        step: i64,
        body: Vec<Part>,
    },
    When(Test, Vec<Part>),
    /// Where the hash leaves this rest by 3.
    Guard(i64, Vec<Part>),
    /// Mixes a number into the hash.
    Mix(Linear),
    /// Reads an element, when there is one to read, and then writes one.
    Touch {
        write: Linear,
        read: Option<Linear>,
    },
}

struct Draw {
    rng: Rng,
    /// Whether the leaves touch elements; there are no guards then, which would read what they keep.
    touches: bool,
}

impl Draw {
    fn linear(&mut self, depth: usize) -> Linear {
        let indices = (0..depth).map(|_| self.rng.pick(&[0, 0, 0, 1, 1, -1, 2])).collect();
        let divided = self.rng.percent(25);
        Linear {
            indices,
            size: self.rng.pick(&[0, 0, 1]),
            constant: self.rng.between(-2, 3),
            divisor: if divided { self.rng.between(2, 4) } else { 1 },
            remainder: divided && self.rng.percent(50),
        }
    }

    fn test(&mut self, depth: usize, left: u32) -> Test {
        let kind = self.rng.below(if left == 0 { 2 } else { 5 });
        match kind {
            0 => Test::Below(self.linear(depth), self.linear(depth)),
            1 => Test::Equal(self.linear(depth), self.linear(depth)),
            2 => Test::Not(self.test(depth, left - 1).into()),
            3 => Test::And(self.test(depth, left - 1).into(), self.test(depth, left - 1).into()),
            _ => Test::Or(self.test(depth, left - 1).into(), self.test(depth, left - 1).into()),
        }
    }

    fn parts(&mut self, depth: usize, left: u32) -> Vec<Part> {
        (0..self.rng.between(1, 2)).map(|_| self.part(depth, left)).collect()
    }

    fn leaf(&mut self, depth: usize) -> Part {
        if !self.touches {
            return Part::Mix(self.linear(depth));
        }
        let read = self.rng.percent(60).then(|| self.linear(depth));
        Part::Touch { write: self.linear(depth), read }
    }

    fn part(&mut self, depth: usize, left: u32) -> Part {
        match self.rng.below(if left == 0 { 1 } else { 8 }) {
            0 | 1 => self.leaf(depth),
            2 => Part::When(self.test(depth, 2), self.parts(depth, left - 1)),
            3 if !self.touches => Part::Guard(self.rng.between(0, 2), self.parts(depth, left - 1)),
            _ if depth == 3 => self.leaf(depth),
            _ => {
                let (from, mut to) = (self.linear(depth), self.linear(depth));
                to.constant += 2;
                let step = self.rng.pick(&[1, 1, 1, -1, -1, 2, -2, 3]);
                Part::Loop { from, to, step, body: self.parts(depth + 1, left - 1) }
            }
        }
    }
}

impl Linear {
    fn value(&self, indices: &[i64], n: i64) -> i64 {
        let sum = self.indices.iter().zip(indices).map(|(c, i)| c * i).sum::<i64>() + self.size * n + self.constant;
        if self.remainder { sum.rem_euclid(self.divisor) } else { sum.div_euclid(self.divisor) }
    }

    fn index<'p>(&self, indices: &[Index<'p>], n: Index<'p>) -> Index<'p> {
        let sum = self.indices.iter().zip(indices).fold(n * self.size + self.constant, |sum, (&c, &i)| sum + c * i);
        if self.remainder { sum.modulo(self.divisor) } else { sum.floor_div(self.divisor) }
    }
}

impl Test {
    fn holds(&self, indices: &[i64], n: i64) -> bool {
        match self {
            Test::Below(a, b) => a.value(indices, n) < b.value(indices, n),
            Test::Equal(a, b) => a.value(indices, n) == b.value(indices, n),
            Test::Not(a) => !a.holds(indices, n),
            Test::And(a, b) => a.holds(indices, n) && b.holds(indices, n),
            Test::Or(a, b) => a.holds(indices, n) || b.holds(indices, n),
        }
    }

    fn condition<'p>(&self, indices: &[Index<'p>], n: Index<'p>) -> Condition<'p> {
        match self {
            Test::Below(a, b) => a.index(indices, n).lt(b.index(indices, n)),
            Test::Equal(a, b) => a.index(indices, n).eq(b.index(indices, n)),
            Test::Not(a) => !a.condition(indices, n),
            Test::And(a, b) => a.condition(indices, n) & b.condition(indices, n),
            Test::Or(a, b) => a.condition(indices, n) | b.condition(indices, n),
        }
    }
}

/// What a walk sees.
#[derive(Debug, Default)]
struct Seen {
    hash: i64,
    written: BTreeSet<i64>,
    outside: bool,
    unwritten: bool,
}

/// The elements that there are.
fn elements(n: i64) -> std::ops::Range<i64> {
    -2..n + 3
}

fn walk(parts: &[Part], indices: &mut Vec<i64>, n: i64, seen: &mut Seen) {
    for part in parts {
        match part {
            Part::Mix(number) => seen.hash = seen.hash.wrapping_mul(31).wrapping_add(number.value(indices, n)),
            Part::Touch { write, read } => {
                if let Some(read) = read.as_ref().map(|read| read.value(indices, n)) {
                    seen.outside |= !elements(n).contains(&read);
                    seen.unwritten |= !seen.written.contains(&read);
                }
                let write = write.value(indices, n);
                seen.outside |= !elements(n).contains(&write);
                seen.written.insert(write);
            }
            Part::When(test, body) if test.holds(indices, n) => walk(body, indices, n, seen),
            Part::Guard(rest, body) if seen.hash.rem_euclid(3) == *rest => walk(body, indices, n, seen),
            Part::When(..) | Part::Guard(..) => {}
            Part::Loop { from, to, step, body } => {
                let (from, to) = (from.value(indices, n), to.value(indices, n));
                let by = step.unsigned_abs() as usize;
                let upwards: Vec<i64> = (from..to).step_by(by).collect();
                let points = if *step > 0 { upwards } else { (from..to).rev().step_by(by).collect() };
                for point in points {
                    indices.push(point);
                    walk(body, indices, n, seen);
                    indices.pop();
                }
            }
        }
    }
}

/// Records the parts; leaves are about `tensor`: the hash, or the elements that they touch.
fn record<'p>(p: &'p Builder, parts: &[Part], indices: &[Index<'p>], n: Index<'p>, tensor: Tensor<'p>) {
    for part in parts {
        match part {
            Part::Mix(number) => drop(p.set(tensor.at(()), tensor.at(()) * 31 + number.index(indices, n))),
            Part::Touch { write, read } => {
                let write = tensor.at([write.index(indices, n)]);
                match read {
                    Some(read) => p.set(write, *tensor.at([read.index(indices, n)])),
                    None => p.set(write, 1),
                };
            }
            Part::When(test, body) => p.when(test.condition(indices, n), || record(p, body, indices, n, tensor)),
            Part::Guard(rest, body) => p.guard((tensor.at(()) % 3).eq(*rest), || record(p, body, indices, n, tensor)),
            Part::Loop { from, to, step, body } => {
                let name = ["i", "j", "k"][indices.len()];
                let (from, to) = (from.index(indices, n), to.index(indices, n));
                p.each_step(name, from, to, *step, |own| record(p, body, &[indices, &[own]].concat(), n, tensor));
            }
        }
    }
}

#[test]
fn random_nests_run_as_they_are_written() {
    let ctx = isl::Ctx::new();
    let mut instances = 0;
    for seed in 0..120 {
        let parts = Draw { rng: Rng::new(seed), touches: false }.parts(0, 5);
        let program = Program::build(&ctx, "random", |p| {
            let n = p.size("N");
            record(p, &parts, &[], n, p.inout("hash", I64, ()));
        });
        let program = program.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", error.source));
        let text = program.scop.to_string();
        let again = Scop::parse(&ctx, &text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        assert_eq!(again.to_string(), text, "seed {seed}");
        for n in [0, 1, 2, 5] {
            let mut seen = Seen { hash: 1, ..Seen::default() };
            walk(&parts, &mut Vec::new(), n, &mut seen);
            let expected = seen.hash;
            let inputs = BTreeMap::from([("hash".to_owned(), Data::from_i64s(I64, &[], &[1]))]);
            let found = run(&program.scop, &[n], &inputs, Limits::default());
            let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", program.source));
            assert_eq!(found["hash"].to_i64s(), [expected], "seed {seed}, N = {n}\n{}{text}", program.source);
            instances += i32::from(expected != 1);
        }
    }
    assert!(instances > 100, "only {instances} runs did anything");
}

/// A temporary that may be filled first.
fn touching(seed: u64) -> Vec<Part> {
    let mut draw = Draw { rng: Rng::new(seed), touches: true };
    let number = |indices: &[i64], size, constant| Linear {
        indices: indices.to_vec(),
        size,
        constant,
        divisor: 1,
        remainder: false,
    };
    let (first, last) = (draw.rng.pick(&[-2, -2, -2, 0]), draw.rng.pick(&[3, 3, 3, 1]));
    let body = vec![Part::Touch { write: number(&[1], 0, 0), read: None }];
    let fill = Part::Loop { from: number(&[], 0, first), to: number(&[], 1, last), step: 1, body };
    let mut parts = vec![fill];
    parts.extend(draw.parts(0, 3));
    parts
}

#[test]
fn random_accesses_are_judged_as_they_turn_out() {
    let ctx = isl::Ctx::new();
    let (mut accepted, mut outside, mut unwritten) = (0, 0, 0);
    for seed in 0..300 {
        let parts = touching(seed);
        let at = |n: i64| {
            let mut seen = Seen::default();
            walk(&parts, &mut Vec::new(), n, &mut seen);
            seen
        };
        let program = Program::build(&ctx, "random", |p| {
            let n = p.size("N");
            record(p, &parts, &[], n, p.temporary("T", I64, [n + 5]).starting_at([-2]));
        });
        match program {
            Ok(program) => {
                let wrong = (0..8).find(|&n| at(n).outside || at(n).unwritten);
                assert_eq!(wrong, None, "seed {seed}\n{}", program.source);
                accepted += 1;
            }
            Err(error) => {
                let message = &error.faults[0].message;
                let n = message.rsplit("N = ").next().and_then(|n| n.parse().ok());
                let seen = at(n.unwrap_or_else(|| panic!("seed {seed}: no size in {error}")));
                let is_outside = message.starts_with("subscript");
                assert!(
                    if is_outside { seen.outside } else { seen.unwritten },
                    "seed {seed}: {error}\n{}",
                    error.source
                );
                outside += i32::from(is_outside);
                unwritten += i32::from(!is_outside);
            }
        }
    }
    assert!(accepted > 50 && outside > 50 && unwritten > 10, "{accepted} {outside} {unwritten}");
}

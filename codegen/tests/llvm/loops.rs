//! Control: integers, conditions, loops, registers, parallel loops, checks that fail.

use crate::build::*;
use codegen::{At, Cond, Int, Op, Report, Value, VarId};
use polyhedral::{BinOp, CmpOp, DType, Role};
use runtime::kernel::{CallError, Position};
use runtime::pool::Pool;
use runtime::tensor::Tensor;

/// A generator of pseudo-random numbers (Knuth's MMIX constants), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }

    fn int(&mut self, depth: u32, vars: &[VarId]) -> Int {
        if depth == 0 || self.below(6) == 0 {
            return match self.below(3) {
                0 => c(self.below(41) as i64 - 20),
                1 => Int::Param(self.below(2) as usize),
                _ => v(vars[self.below(vars.len() as u64) as usize]),
            };
        }
        let kind = self.below(7);
        let a = Box::new(self.int(depth - 1, vars));
        let divisor = [1, 2, 3, 7, 8, 12, 64][self.below(7) as usize];
        match kind {
            0 => Int::FloorDiv(a, divisor),
            1 => Int::Mod(a, divisor),
            kind => {
                let b = Box::new(self.int(depth - 1, vars));
                match kind {
                    2 => Int::Add(a, b),
                    3 => Int::Mul(a, Box::new(c(self.below(9) as i64 - 4))),
                    4 => Int::Min(a, b),
                    5 => Int::Max(a, b),
                    _ => Int::Select(Box::new(self.cond(depth - 1, vars)), a, b),
                }
            }
        }
    }

    fn cond(&mut self, depth: u32, vars: &[VarId]) -> Cond {
        match self.below(5) {
            0 if depth > 0 => Cond::Not(Box::new(self.cond(depth - 1, vars))),
            1 if depth > 0 => Cond::All((0..self.below(3)).map(|_| self.cond(depth - 1, vars)).collect()),
            2 if depth > 0 => Cond::Any((0..self.below(3)).map(|_| self.cond(depth - 1, vars)).collect()),
            _ => {
                let op = [CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge, CmpOp::Eq, CmpOp::Ne][self.below(6) as usize];
                Cond::Compare(op, self.int(depth.saturating_sub(1), vars), self.int(depth.saturating_sub(1), vars))
            }
        }
    }
}

/// What the documentation of [`Int`] says, for the values of the variables and parameters.
fn value(int: &Int, vars: &dyn Fn(VarId) -> i64, params: &[i64]) -> i64 {
    let of = |int: &Int| value(int, vars, params);
    match int {
        Int::Const(value) => *value,
        Int::Var(var) => vars(*var),
        Int::Param(position) => params[*position],
        Int::Add(a, b) => of(a) + of(b),
        Int::Mul(a, b) => of(a) * of(b),
        Int::FloorDiv(e, c) => of(e).div_euclid(*c),
        Int::Mod(e, c) => of(e).rem_euclid(*c),
        Int::Min(a, b) => of(a).min(of(b)),
        Int::Max(a, b) => of(a).max(of(b)),
        Int::Select(cond, a, b) => {
            if holds(cond, vars, params) {
                of(a)
            } else {
                of(b)
            }
        }
    }
}

fn holds(cond: &Cond, vars: &dyn Fn(VarId) -> i64, params: &[i64]) -> bool {
    match cond {
        Cond::Compare(op, a, b) => {
            let (a, b) = (value(a, vars, params), value(b, vars, params));
            match op {
                CmpOp::Lt => a < b,
                CmpOp::Le => a <= b,
                CmpOp::Gt => a > b,
                CmpOp::Ge => a >= b,
                CmpOp::Eq => a == b,
                CmpOp::Ne => a != b,
            }
        }
        Cond::All(conds) => conds.iter().all(|cond| holds(cond, vars, params)),
        Cond::Any(conds) => conds.iter().any(|cond| holds(cond, vars, params)),
        Cond::Not(cond) => !holds(cond, vars, params),
    }
}

#[test]
fn random_integers_and_conditions() {
    let mut random = Random(1);
    let (low, high, count) = (-9i64, 9i64, 40);
    let side = high - low;
    let mut b = Builder::new("integers");
    b.param("M", 13);
    b.param("N", -5);
    let y = b.output("y", DType::I64, &[count, side, side]);
    let z = b.output("z", DType::Bool, &[count, side, side]);
    let (i, j) = (b.var("i"), b.var("j"));
    let ints: Vec<Int> = (0..count).map(|_| random.int(4, &[i, j])).collect();
    let conds: Vec<Cond> = (0..count).map(|_| random.cond(3, &[i, j])).collect();
    let place = |n: usize| vec![at(c(n as i64)), at(add(v(i), c(-low))), at(add(v(j), c(-low)))];
    let stores =
        ints.iter().enumerate().map(|(n, int)| store(y, place(n), 1, Value::Int { base: int.clone(), step: 0 }));
    let tests = conds.iter().enumerate().map(|(n, cond)| Op::If {
        cond: cond.clone(),
        then: vec![store(z, place(n), 1, int(1, DType::Bool))],
        otherwise: vec![store(z, place(n), 1, int(0, DType::Bool))],
    });
    let over = |var, body| Op::For { var, lower: c(low), upper: c(high), step: c(1), parallel: false, body };
    b.program.body = vec![over(i, vec![over(j, stores.chain(tests).collect())])];
    let mut results = [zeros(DType::I64, &[count, side, side]), zeros(DType::Bool, &[count, side, side])];
    let [first, second] = &mut results;
    b.run(&[], &mut [first, second]).unwrap();
    let (found, held) = (results[0].as_slice::<i64>().unwrap(), results[1].as_slice::<bool>().unwrap());
    for (n, i_value, j_value) in
        (0..count).flat_map(|n| (low..high).flat_map(move |i| (low..high).map(move |j| (n, i, j))))
    {
        let vars = |var| if var == i { i_value } else { j_value };
        let place = ((n * side + i_value - low) * side + j_value - low) as usize;
        let (int, cond) = (&ints[n as usize], &conds[n as usize]);
        assert_eq!(found[place], value(int, &vars, &[13, -5]), "{int:?} at {i_value}, {j_value}");
        assert_eq!(held[place], holds(cond, &vars, &[13, -5]), "{cond:?} at {i_value}, {j_value}");
    }
}

/// Bounds known and unknown, steps, empty ranges: which iterations run, serial and parallel, in order where serial.
#[test]
fn loops_run_their_iterations() {
    let pool = Pool::with_threads(4).unwrap();
    for (lower, upper, step) in
        [(0, 10, 1), (3, 4, 1), (0, 10, 3), (-7, 8, 4), (5, 5, 1), (6, 2, 2), (0, 9, 9), (0, 9, 10)]
    {
        for (parallel, known) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut b = Builder::new("iterations");
            let (low, high) = (b.param("L", lower), b.param("U", upper));
            let (low, high) = if known { (c(lower), c(upper)) } else { (low, high) };
            let y = b.argument("y", DType::I64, Role::InOut, &[32]);
            let i = b.var("i");
            let place = || vec![at(add(v(i), c(16)))];
            let increment = binary(BinOp::Add, load(y, place()), Value::Int { base: add(v(i), c(100)), step: 0 });
            let body = vec![store(y, place(), 1, increment)];
            b.program.body = vec![Op::For { var: i, lower: low, upper: high, step: c(step), parallel, body }];
            let mut result = zeros(DType::I64, &[32]);
            run(&b.kernel(), &[], &mut [&mut result], &pool).unwrap();
            let mut expected = [0i64; 32];
            for i in (lower..upper).step_by(step as usize) {
                expected[(i + 16) as usize] += i + 100;
            }
            assert_eq!(
                result.as_slice::<i64>().unwrap(),
                expected,
                "{lower}..{upper} step {step}, parallel {parallel}"
            );
        }
    }
}

/// A reduction in a register of vector type, set before a loop, in it, in both branches of a condition, read after.
#[test]
fn registers_keep_their_values() {
    let mut b = Builder::new("registers");
    let n = b.param("N", 37);
    let x = b.input("x", DType::F32, &[37, 8]);
    let y = b.output("y", DType::F32, &[8]);
    let (sum, sign) = (b.reg("sum", DType::F32, 8), b.reg("sign", DType::F32, 1));
    let accumulate = b.repeat("i", n, 1, |_, i| {
        let even = Cond::Compare(CmpOp::Eq, Int::Mod(v(i).into(), 2), c(0));
        let set = |value| vec![Op::Set { reg: sign, value: float(value, DType::F32) }];
        let term = binary(BinOp::Mul, Value::Reg(sign), load(x, vec![at(v(i)), lanes_at(c(0), 1)]));
        vec![
            Op::If { cond: even, then: set(1.0), otherwise: set(-2.0) },
            Op::Set { reg: sum, value: binary(BinOp::Add, Value::Reg(sum), term) },
        ]
    });
    b.program.body = vec![
        Op::Set { reg: sum, value: float(0.5, DType::F32) },
        accumulate,
        store(y, vec![lanes_at(c(0), 1)], 8, Value::Reg(sum)),
    ];
    let values: Vec<f32> = (0..37 * 8).map(|n| (n % 11) as f32).collect();
    let mut result = zeros(DType::F32, &[8]);
    b.run(&[&Tensor::from_slice(&values, &[37, 8]).unwrap()], &mut [&mut result]).unwrap();
    let column = |lane: usize| (0..37).map(|i| values[i * 8 + lane] * if i % 2 == 0 { 1.0 } else { -2.0 }).sum::<f32>();
    assert_eq!(result.as_slice::<f32>().unwrap(), (0..8).map(|lane| column(lane) + 0.5).collect::<Vec<_>>());
}

/// Bodies see the variables of the loops around them, the sizes, the arguments, temporaries and the table of functions;
/// parallel loops nest.
#[test]
fn parallel_bodies_see_what_is_around_them() {
    for threads in [1, 4] {
        let (rows, columns, depth) = (13, 6, 10);
        let mut b = Builder::new("captures");
        let (m, n, k) = (b.param("M", rows), b.param("N", columns), b.param("K", depth));
        let x = b.input("x", DType::F64, &[depth]);
        let half = b.temporary("half", DType::F64, &[rows, columns, depth]);
        let y = b.output("y", DType::F64, &[rows, columns, depth]);
        let body = b.spread("i", m, 1, |b, i| {
            vec![b.repeat("j", n, 1, |b, j| {
                let here = |k| vec![at(v(i)), at(v(j)), at(v(k))];
                vec![
                    b.spread("k", k.clone(), 1, |_, k| {
                        let number = Value::Int { base: add(mul(v(i), c(100)), mul(v(j), c(10))), step: 0 };
                        let number = Value::Cast(DType::F64, Box::new(number));
                        let root = Value::Call(polyhedral::Builtin::Cbrt, vec![load(x, vec![at(v(k))])]);
                        vec![store(half, here(k), 1, binary(BinOp::Add, number, root))]
                    }),
                    b.repeat("k", k, 1, |_, k| {
                        vec![store(y, here(k), 1, binary(BinOp::Mul, load(half, here(k)), float(2.0, DType::F64)))]
                    }),
                ]
            })]
        });
        b.program.body = vec![body];
        let values: Vec<f64> = (0..depth).map(|k| (k * k * k) as f64).collect();
        let mut result = zeros(DType::F64, &[rows, columns, depth]);
        let input = Tensor::from_slice(&values, &[depth]).unwrap();
        run(&b.kernel(), &[&input], &mut [&mut result], &Pool::with_threads(threads).unwrap()).unwrap();
        let result = result.as_slice::<f64>().unwrap();
        for (i, j, k) in (0..rows).flat_map(|i| (0..columns).flat_map(move |j| (0..depth).map(move |k| (i, j, k)))) {
            let expected = 2.0 * ((i * 100 + j * 10) as f64 + ((k * k * k) as f64).cbrt());
            assert_eq!(result[((i * columns + j) * depth + k) as usize], expected, "{i}, {j}, {k}");
        }
    }
}

/// `y(i) = x(index(i))` with a check, in vectors and in a parallel loop when asked.
fn checked(indices: &[i64], lanes: u32, parallel: bool, mask: Option<Value>) -> (Result<(), CallError>, Vec<f32>) {
    let count = indices.len() as i64;
    let mut b = Builder::new("checked");
    let x = b.input("x", DType::F32, &[2, 10]);
    let index = b.input("index", DType::I64, &[count]);
    let y = b.output("y", DType::F32, &[count]);
    let mut body = b.repeat("i", c(count), lanes.into(), |_, i| {
        let subscript = || load(index, vec![lanes_at(v(i), 1)]);
        let element = vec![at(c(1)), At::Indirect(subscript().into())];
        vec![
            Op::Check {
                buffer: x,
                dim: 1,
                extent: c(10),
                value: subscript(),
                lanes,
                mask: mask.clone(),
                report: Report { lower: c(0), unsigned: false, found_by: vec![(index, vec![lanes_at(v(i), 1)])] },
            },
            Op::Store {
                buffer: y,
                at: vec![lanes_at(v(i), 1)],
                lanes,
                value: Value::Load { buffer: x, at: element, mask: mask.clone().map(Box::new) },
                mask: None,
            },
        ]
    });
    if let Op::For { parallel: runs, .. } = &mut body {
        *runs = parallel;
    }
    b.program.body = vec![body];
    let values: Vec<f32> = (0..20).map(|n| n as f32).collect();
    let mut result = zeros(DType::F32, &[count]);
    let inputs = [Tensor::from_slice(&values, &[2, 10]).unwrap(), Tensor::from_slice(indices, &[count]).unwrap()];
    let pool = Pool::with_threads(3).unwrap();
    let outcome = run(&b.kernel(), &[&inputs[0], &inputs[1]], &mut [&mut result], &pool);
    (outcome, result.as_slice::<f32>().unwrap().to_vec())
}

#[test]
fn a_check_that_holds_changes_nothing() {
    let indices = [0, 9, 3, 3, 8, 1, 2, 7];
    for (lanes, parallel) in [(1, false), (8, false), (1, true), (4, true)] {
        let (outcome, found) = checked(&indices, lanes, parallel, None);
        assert_eq!(outcome, Ok(()));
        assert_eq!(found, indices.map(|index| (10 + index) as f32));
    }
}

#[test]
fn a_check_that_fails_reports_the_first_lane() {
    for (bad, lanes, parallel) in
        [(10, 1, false), (-1, 1, false), (i64::MIN, 8, false), (i64::MAX, 8, false), (10, 4, true), (-1, 1, true)]
    {
        let (outcome, found) = checked(&[0, 9, 3, 5, 8, bad, 2, 77], lanes, parallel, None);
        let (tensor, found_by) = ("x".into(), vec![Position { tensor: "index".into(), at: vec![5] }]);
        let fault = CallError::IndexOutOfRange { tensor, dim: 1, value: bad.into(), lower: 0, upper: 10, found_by };
        assert_eq!(outcome, Err(fault));
        if !parallel {
            assert_eq!(found[5..], [0.0; 3], "nothing is stored after the check");
        }
    }
}

#[test]
fn lanes_that_the_mask_drops_are_not_checked() {
    let mask = compare(CmpOp::Lt, lane(c(0)), int(3, DType::I64));
    let (outcome, found) = checked(&[0, 9, 3, -5, 10, i64::MAX, i64::MIN, 11], 8, false, Some(mask));
    assert_eq!(outcome, Ok(()));
    assert_eq!(found, [10.0, 19.0, 13.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

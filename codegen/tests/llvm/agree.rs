//! Random expressions of all types: machine code and the loop interpreter give the same values.

use crate::build::*;
use codegen::interp::{Data, Tensors, interpret};
use codegen::{At, Value};
use polyhedral::{BinOp, Builtin, CmpOp, DType, TensorId, UnOp};
use runtime::pool::Pool;
use runtime::tensor::{Bf16, Element, F16, Tensor};

const COUNT: usize = 16;
const INT_OPS: [BinOp; 7] =
    [BinOp::Min, BinOp::Max, BinOp::BitAnd, BinOp::BitOr, BinOp::BitXor, BinOp::Shl, BinOp::Shr];
const OPS: [BinOp; 5] = [BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::Div, BinOp::Mod];
const COMPARISONS: [CmpOp; 6] = [CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge, CmpOp::Eq, CmpOp::Ne];
/// Functions that have one right answer. Minimum and maximum are free in the sign of zero, and no operation says which
/// sign its NaN has, so `copysign` is left out too.
const CALLS: [Builtin; 7] =
    [Builtin::Sqrt, Builtin::Fabs, Builtin::Floor, Builtin::Ceil, Builtin::Trunc, Builtin::Round, Builtin::RoundEven];

/// A generator of pseudo-random expressions over one tensor of each type.
struct Random {
    state: u64,
    lanes: u32,
    inputs: Vec<TensorId>,
    subscripts: TensorId,
}

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 33) as usize % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn value(&mut self, dtype: DType, depth: u32) -> Value {
        if depth == 0 {
            return self.leaf(dtype);
        }
        match self.below(6) {
            0 => self.leaf(dtype),
            1 => {
                let from = self.pick(&DType::ALL);
                Value::Cast(dtype, Box::new(self.value(from, depth - 1)))
            }
            2 => {
                let condition = self.value(DType::Bool, depth - 1);
                let (a, b) = (self.value(dtype, depth - 1), self.value(dtype, depth - 1));
                Value::Select(condition.into(), a.into(), b.into())
            }
            3 => {
                let op = if dtype == DType::Bool { UnOp::Not } else { UnOp::Neg };
                Value::Unary(op, Box::new(self.value(dtype, depth - 1)))
            }
            4 if dtype.is_float() => {
                let builtin = self.pick(&CALLS);
                Value::Call(builtin, (0..builtin.arity()).map(|_| self.value(dtype, depth - 1)).collect())
            }
            4 if dtype == DType::Bool => {
                let (op, of) = (self.pick(&COMPARISONS), self.pick(&DType::ALL));
                compare(op, self.value(of, depth - 1), self.value(of, depth - 1))
            }
            _ => {
                let op = match dtype {
                    DType::Bool => self.pick(&[BinOp::And, BinOp::Or]),
                    _ if dtype.is_float() => self.pick(&OPS),
                    _ => self.pick(&[OPS.as_slice(), &INT_OPS].concat()),
                };
                binary(op, self.value(dtype, depth - 1), self.value(dtype, depth - 1))
            }
        }
    }

    /// A constant or a load, in one of the ways in which lanes can lie.
    fn leaf(&mut self, dtype: DType) -> Value {
        let input = self.inputs[DType::ALL.iter().position(|other| *other == dtype).expect("all are there")];
        let last = i64::from(self.lanes) - 1;
        match self.below(7) {
            0 if dtype == DType::I64 => {
                Value::Int { base: c(self.below(9) as i64 - 4), step: self.below(3) as i64 - 1 }
            }
            0 if dtype.is_float() => {
                let constant = self.pick(&[0.0, 1.0, -2.5, 1e-3, 3e4]);
                self.rounded(constant, dtype)
            }
            0 => int(self.pick(&[0, 1]), dtype),
            1 => load(input, vec![at(c(self.below(COUNT) as i64))]),
            2 => load(input, vec![lanes_at(c(last), -1)]),
            3 => load_if(input, vec![lanes_at(c(0), 1)], compare(CmpOp::Gt, lane(c(-5)), int(0, DType::I64))),
            4 => load(input, vec![At::Indirect(load(self.subscripts, vec![lanes_at(c(0), 1)]).into())]),
            _ => load(input, vec![lanes_at(c(0), 1)]),
        }
    }

    /// A constant that the type holds exactly.
    fn rounded(&self, value: f64, dtype: DType) -> Value {
        float(
            match dtype {
                DType::F16 => half::f16::from_f64(value).to_f64(),
                DType::BF16 => half::bf16::from_f64(value).to_f64(),
                DType::F32 => f64::from(value as f32),
                _ => value,
            },
            dtype,
        )
    }
}

/// Sixteen values of a type, ordinary and not.
fn edges(dtype: DType) -> Tensor {
    let floats = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        2.5,
        1e-7,
        -6e-5,
        0.1,
        255.5,
        65504.0,
        -3e9,
        1e20,
        f64::INFINITY,
        -1e300,
        5e-324,
        f64::NAN,
    ];
    let ints = [0, 1, -1, 2, 3, 7, -8, 100, 127, 255, 256, -32768, i64::MAX, i64::MIN, 1 << 53, -(1 << 40)];
    match dtype {
        DType::Bool => column(&ints.map(|n| n % 2 != 0)),
        DType::I8 => column(&ints.map(|n| n as i8)),
        DType::I16 => column(&ints.map(|n| n as i16)),
        DType::I32 => column(&ints.map(|n| n as i32)),
        DType::I64 => column(&ints),
        DType::U8 => column(&ints.map(|n| n as u8)),
        DType::U16 => column(&ints.map(|n| n as u16)),
        DType::U32 => column(&ints.map(|n| n as u32)),
        DType::U64 => column(&ints.map(|n| n as u64)),
        DType::F16 => column(&floats.map(|x| F16(half::f16::from_f64(x).to_bits()))),
        DType::BF16 => column(&floats.map(|x| Bf16(half::bf16::from_f64(x).to_bits()))),
        DType::F32 => column(&floats.map(|x| x as f32)),
        DType::F64 => column(&floats),
    }
}

fn column<T: Element>(values: &[T]) -> Tensor {
    Tensor::from_slice(values, &[values.len() as i64]).unwrap()
}

/// Elements as bits, with one pattern for all NaNs.
fn bits(dtype: DType, bytes: &[u8]) -> Vec<u64> {
    let nan = |exponent: u64, fraction: u64| {
        move |bits: u64| if bits & exponent == exponent && bits & fraction != 0 { exponent | fraction } else { bits }
    };
    bytes
        .chunks(dtype.bytes() as usize)
        .map(|chunk| chunk.iter().rev().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)))
        .map(|bits| match dtype {
            DType::F16 => nan(0x7c00, 0x3ff)(bits),
            DType::BF16 => nan(0x7f80, 0x7f)(bits),
            DType::F32 => nan(0x7f80_0000, 0x7f_ffff)(bits),
            DType::F64 => nan(0x7ff0_0000_0000_0000, 0xf_ffff_ffff_ffff)(bits),
            _ => bits,
        })
        .collect()
}

fn agree(seed: u64, lanes: u32) {
    let mut b = Builder::new("agree");
    let shape = [COUNT as i64];
    let inputs: Vec<TensorId> = DType::ALL.iter().map(|dtype| b.input(&format!("x_{dtype}"), *dtype, &shape)).collect();
    let subscripts = b.input("subscripts", DType::I64, &shape);
    let mut random = Random { state: seed, lanes, inputs, subscripts };
    let outputs: Vec<DType> = (0..40).map(|_| random.pick(&DType::ALL)).collect();
    let mut values = Vec::new();
    for (n, dtype) in outputs.iter().enumerate() {
        let y = b.output(&format!("y{n}"), *dtype, &[i64::from(lanes)]);
        let value = random.value(*dtype, 4);
        values.push(value.clone());
        b.program.body.push(store(y, vec![lanes_at(c(0), 1)], lanes, value));
    }

    let mut columns: Vec<Tensor> = DType::ALL.iter().map(|dtype| edges(*dtype)).collect();
    columns.push(column(&[3i64, 3, 0, 15, 7, 1, 2, 14, 4, 8, 9, 10, 5, 6, 11, 12]));
    let mut results: Vec<Tensor> = outputs.iter().map(|dtype| zeros(*dtype, &[i64::from(lanes)])).collect();
    run(&b.kernel(), &columns.iter().collect::<Vec<_>>(), &mut results.iter_mut().collect::<Vec<_>>(), &Pool::single())
        .unwrap();

    let names = b.program.buffers.values().zip(&columns);
    let given: Tensors = names
        .map(|(buffer, tensor)| {
            let bytes = tensor.as_bytes().to_vec();
            (buffer.name.clone(), Data { dtype: buffer.dtype, shape: shape.to_vec(), bytes })
        })
        .collect();
    let expected = interpret(&b.program, &[], &given, 1).unwrap();
    for (n, dtype) in outputs.iter().enumerate() {
        let (found, expected) = (bits(*dtype, results[n].as_bytes()), bits(*dtype, &expected[&format!("y{n}")].bytes));
        assert_eq!(found, expected, "seed {seed}, {lanes} lanes, y{n} of {dtype}: {:?}", values[n]);
    }
}

#[test]
fn random_expressions_agree_with_the_interpreter() {
    for seed in 0..6 {
        for lanes in [1, 16, 5] {
            agree(seed, lanes);
        }
    }
}

//! Whole numbers of every width against a model in numbers that cannot overflow, and half types, bit by bit, against one that
//! rounds where the language says: in the evaluator, in loops that are interpreted, and in machine code, in vectors and one by
//! one.

use codegen::interp::interpret;
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::isl;
use tilewright::{AsTensor, Compiler, DType, Definition, Script, Tensor, runtime_dtype};

/// Types of whole numbers: the name, the smallest value, the largest.
const TYPES: [(DType, i128, i128); 8] = [
    (DType::I8, i8::MIN as i128, i8::MAX as i128),
    (DType::I16, i16::MIN as i128, i16::MAX as i128),
    (DType::I32, i32::MIN as i128, i32::MAX as i128),
    (DType::I64, i64::MIN as i128, i64::MAX as i128),
    (DType::U8, 0, u8::MAX as i128),
    (DType::U16, 0, u16::MAX as i128),
    (DType::U32, 0, u32::MAX as i128),
    (DType::U64, 0, u64::MAX as i128),
];

/// The operators: as TC writes them, and what they mean before the result wraps around.
type Meaning = fn(bits: u32, a: i128, b: i128) -> i128;
const OPERATORS: [(&str, Meaning); 14] = [
    ("A(i) + B(i)", |_, a, b| a + b),
    ("A(i) - B(i)", |_, a, b| a - b),
    ("A(i) * B(i)", |_, a, b| a.wrapping_mul(b)),
    ("A(i) / B(i)", |_, a, b| if b == 0 { 0 } else { floor(a, b) }),
    ("A(i) % B(i)", |_, a, b| if b == 0 { 0 } else { a - b * floor(a, b) }),
    ("-A(i)", |_, a, _| -a),
    ("~A(i)", |_, a, _| !a),
    ("A(i) & B(i)", |_, a, b| a & b),
    ("A(i) | B(i)", |_, a, b| a | b),
    ("A(i) ^ B(i)", |_, a, b| a ^ b),
    ("A(i) << B(i)", |bits, a, b| if (0..i128::from(bits)).contains(&b) { a << b } else { 0 }),
    ("A(i) >> B(i)", |bits, a, b| if (0..i128::from(bits)).contains(&b) { a >> b } else { -i128::from(a < 0) }),
    ("min(A(i), B(i))", |_, a, b| a.min(b)),
    ("max(A(i), B(i))", |_, a, b| a.max(b)),
];

/// The quotient rounded to minus infinity.
fn floor(a: i128, b: i128) -> i128 {
    a / b - i128::from(a % b != 0 && (a < 0) != (b < 0))
}

fn wrapped(value: i128, (_, least, most): (DType, i128, i128)) -> i128 {
    (value - least).rem_euclid(most - least + 1) + least
}

/// The limits and their neighbours, small numbers, powers of two, and some others.
fn edges((dtype, least, most): (DType, i128, i128)) -> Vec<i128> {
    let powers = (0..dtype.bits()).flat_map(|bit| [(1 << bit) - 1, 1 << bit, -(1i128 << bit)]);
    let limits = [least, least + 1, least + 2, most - 2, most - 1, most, -3, -2, -1, 0, 1, 2, 3, 5, 7, 10, 100];
    let mut rng = fastrand::Rng::with_seed(11);
    let drawn: Vec<i128> = (0..20).map(|_| wrapped(rng.i128(..) >> rng.u32(60..128), (dtype, least, most))).collect();
    let mut all: Vec<i128> = limits.into_iter().chain(powers).chain(drawn).collect();
    all.retain(|value| (least..=most).contains(value));
    all.sort_unstable();
    all.dedup();
    all
}

fn tensor(dtype: DType, values: &[i128]) -> Tensor {
    let width = dtype.bytes() as usize;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes().into_iter().take(width)).collect();
    Tensor::from_bytes(runtime_dtype(dtype), &[values.len() as i64], &bytes).expect("a column")
}

fn values(dtype: DType, bytes: &[u8]) -> Vec<i128> {
    let one = |bytes: &[u8]| {
        let sign = dtype.is_signed() && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut all = if sign { [0xff; 16] } else { [0; 16] };
        all[..bytes.len()].copy_from_slice(bytes);
        i128::from_le_bytes(all)
    };
    bytes.chunks(dtype.bytes() as usize).map(one).collect()
}

/// A definition with an output for each of `values`, what it should be beside it.
struct Case {
    inputs: Vec<(&'static str, Tensor)>,
    values: Vec<(String, Vec<i128>)>,
}

impl Case {
    /// The definition: with an index `i` over the elements, or summing up over it.
    fn definition(&self, statement: impl Fn(usize, &str) -> String) -> Definition {
        let dtype = |tensor: &Tensor| tilewright::dtype_of(tensor.dtype()).expect("a type").name();
        let inputs: Vec<String> =
            self.inputs.iter().map(|(name, tensor)| format!("{}(N) {name}", dtype(tensor))).collect();
        let outputs: Vec<String> = (0..self.values.len()).map(|at| format!("C{at}")).collect();
        let statements: Vec<String> =
            self.values.iter().enumerate().map(|(at, (value, _))| statement(at, value)).collect();
        let text = format!("def f({}) -> ({}) {{ {} }}", inputs.join(", "), outputs.join(", "), statements.join("\n"));
        let checked = frontend_tc::check(&text);
        assert!(checked.defs.len() == 1, "{text}: {:?}", checked.diagnostics);
        checked.defs.into_iter().next().expect("one definition")
    }

    /// Runs it element by element in every way there is.
    fn check(&self) {
        self.run(&self.definition(|at, value| format!("C{at}(i) = {value} where i in 0:N")));
    }

    fn run(&self, def: &Definition) {
        let shape = self.inputs[0].1.shape().to_vec();
        let scop = frontend_tc::lower_at(def, &isl::Ctx::new(), &shape).expect("a program");
        let data = |tensor: &Tensor| Data {
            dtype: tilewright::dtype_of(tensor.dtype()).expect("a type"),
            shape: tensor.shape().to_vec(),
            bytes: tensor.as_bytes().to_vec(),
        };
        let given: Tensors = self.inputs.iter().map(|(name, tensor)| (name.to_string(), data(tensor))).collect();
        let evaluated = eval::run(&scop, &[], &given, Limits::default()).expect("it can be evaluated");
        self.compare(def, "evaluated", |at| evaluated[&format!("C{at}")].bytes.clone());
        let program = codegen::lower(&scop, &codegen::Options::default(), &mut Vec::new()).expect("loops");
        let interpreted = interpret(&program, &[], &given, 1).expect("it runs");
        self.compare(def, "interpreted", |at| interpreted[&format!("C{at}")].bytes.clone());
        let source: Script = "".parse().expect("a script");
        for (way, compiler) in
            [("in vectors", Compiler::host().threads(1)), ("one by one", Compiler::host().threads(1).script(source))]
        {
            let views: Vec<&dyn AsTensor> = self.inputs.iter().map(|(_, tensor)| tensor as _).collect();
            let results = compiler.definition(def.clone()).call_all(&views).expect("it runs");
            self.compare(def, way, |at| results[at].as_bytes().to_vec());
        }
    }

    fn compare(&self, def: &Definition, way: &str, result: impl Fn(usize) -> Vec<u8>) {
        for (at, (output, (value, expected))) in def.outputs().zip(&self.values).enumerate() {
            let found = values(output.dtype, &result(at));
            assert_eq!(found.len(), expected.len());
            if let Some(wrong) = (0..found.len()).find(|&at| found[at] != expected[at]) {
                let operands = self.inputs.iter().map(|(name, tensor)| {
                    let width = tensor.dtype().bytes();
                    format!("{name} {:02x?}", &tensor.as_bytes()[wrong * width..][..width])
                });
                let operands: Vec<String> = operands.collect();
                let (found, expected) = (found[wrong], expected[wrong]);
                panic!("{} {value}, {way}: of {operands:?} comes {found}, not {expected}", output.dtype.name());
            }
        }
    }
}

#[test]
fn operators() {
    for ty in TYPES {
        let edges = edges(ty);
        let (a, b): (Vec<i128>, Vec<i128>) = edges.iter().flat_map(|a| edges.iter().map(move |b| (*a, *b))).unzip();
        let values = OPERATORS.iter().map(|(operator, meaning)| {
            let results = a.iter().zip(&b).map(|(a, b)| wrapped(meaning(ty.0.bits(), *a, *b), ty));
            (operator.to_string(), results.collect())
        });
        let inputs = vec![("A", tensor(ty.0, &a)), ("B", tensor(ty.0, &b))];
        Case { inputs, values: values.collect() }.check();
    }
}

/// What is known beforehand is computed by the compiler.
#[test]
fn constants() {
    for ty in TYPES {
        let (dtype, least, most) = ty;
        let a = edges(ty);
        let signed = [-1, -7, least + 1].into_iter().filter(|_| dtype.is_signed());
        let mut values = Vec::new();
        for b in [0, 1, 3, 8, most].into_iter().chain(signed) {
            for (operator, meaning) in OPERATORS.iter().filter(|(operator, _)| operator.contains("B(i)")) {
                let results = a.iter().map(|a| wrapped(meaning(dtype.bits(), *a, b), ty)).collect();
                values.push((operator.replace("B(i)", &format!("{}({b})", dtype.name())), results));
            }
        }
        for values in values.chunks(11) {
            Case { inputs: vec![("A", tensor(dtype, &a))], values: values.to_vec() }.check();
        }
    }
}

#[test]
fn sums_and_products_wrap_around() {
    for ty in TYPES {
        let (dtype, ..) = ty;
        let a = edges(ty);
        let odd = a.iter().map(|value| wrapped(value | 1, ty));
        let product = odd.fold(1, |all: i128, value| wrapped(all.wrapping_mul(value), ty));
        let values = vec![
            ("+=! A(i)".to_string(), vec![wrapped(a.iter().sum(), ty)]),
            (format!("*=! A(i) | {}(1)", dtype.name()), vec![product]),
        ];
        let case = Case { inputs: vec![("A", tensor(dtype, &a))], values };
        case.run(&case.definition(|at, value| format!("C{at} {value}")));
    }
}

/// To another width the low bits are kept; `sat_…` gives the nearest.
#[test]
fn between_the_widths() {
    for from in TYPES {
        let a = edges(from);
        let values = TYPES.iter().flat_map(|to| {
            let name = to.0.name();
            let kept = (format!("{name}(A(i))"), a.iter().map(|value| wrapped(*value, *to)).collect());
            [kept, (format!("sat_{name}(A(i))"), a.iter().map(|value| (*value).clamp(to.1, to.2)).collect())]
        });
        Case { values: values.collect(), inputs: vec![("A", tensor(from.0, &a))] }.check();
    }
}

/// From a float: towards zero, to the nearest where the type has no such value, 0 of what is no number.
#[test]
fn from_floats() {
    let mut a = vec![0.0, -0.0, 0.5, -0.5, 0.99, -0.99, 1.5, -1.5, 2.5, f64::NAN, f64::INFINITY, -f64::INFINITY];
    for bits in [7, 8, 15, 16, 31, 32, 62, 63, 64, 65, 100] {
        let limit = 2f64.powi(bits);
        a.extend([limit, -limit, limit - 1.0, 1.0 - limit, limit + 1.0, -limit - 1.0, limit - 0.5, 0.5 - limit]);
        a.extend([f64::from_bits(limit.to_bits() - 1), -f64::from_bits(limit.to_bits() + 1), limit * 3.0]);
    }
    let single: Vec<f32> = a.iter().map(|value| *value as f32).collect();
    let count = [a.len() as i64];
    let doubles = Tensor::from_slice(&a, &count).expect("doubles");
    let singles = Tensor::from_slice(&single, &count).expect("floats");
    let single = single.into_iter().map(f64::from).collect();
    for (input, column) in [(doubles, a), (singles, single)] {
        let values = TYPES.iter().flat_map(|&(dtype, least, most)| {
            let model = |value: &f64| if value.is_nan() { 0 } else { (*value as i128).clamp(least, most) };
            let expected: Vec<i128> = column.iter().map(model).collect();
            let name = dtype.name();
            [(format!("{name}(A(i))"), expected.clone()), (format!("sat_{name}(A(i))"), expected)]
        });
        Case { values: values.collect(), inputs: vec![("A", input)] }.check();
    }
}

/// A half type: its name, how many digits it has behind the first, the least exponent.
#[derive(Clone, Copy)]
struct Half {
    name: &'static str,
    dtype: DType,
    digits: i32,
    least: i32,
}

const HALVES: [Half; 2] = [
    Half { name: "float16", dtype: DType::F16, digits: 10, least: -14 },
    Half { name: "bfloat16", dtype: DType::BF16, digits: 7, least: -126 },
];

impl Half {
    /// The number that the bits stand for.
    fn number(self, bits: u16) -> f64 {
        let (digits, sign) = (i32::from(bits & 0x7fff) >> self.digits, if bits >> 15 == 1 { -1.0 } else { 1.0 });
        let rest = f64::from(i32::from(bits & 0x7fff) & ((1 << self.digits) - 1));
        let unit = |exponent: i32| 2f64.powi(exponent - self.digits);
        match digits {
            0 => sign * rest * unit(self.least),
            _ if digits == (1 << (15 - self.digits)) - 1 => sign * if rest == 0.0 { f64::INFINITY } else { f64::NAN },
            _ => sign * (rest + f64::from(1 << self.digits)) * unit(digits - 1 + self.least),
        }
    }

    /// The bits of the nearest number, the even one of two.
    fn bits(self, value: f64) -> i128 {
        let infinity = ((1 << (15 - self.digits)) - 1) << self.digits;
        let magnitude = if value.is_infinite() {
            infinity
        } else if value == 0.0 {
            0
        } else {
            // The exponent of the double itself, which no logarithm rounds.
            let exponent = ((value.abs().to_bits() >> 52) as i32 - 1023).max(self.least);
            let rounded = (value.abs() / 2f64.powi(exponent - self.digits)).round_ties_even() as i128;
            // A carry out of the digits counts the exponent up.
            (i128::from(exponent - self.least) * (1 << self.digits) + rounded).min(infinity)
        };
        magnitude | i128::from(value.is_sign_negative()) << 15
    }

    /// All numbers, infinities too.
    fn all(self) -> Vec<u16> {
        (0..=u16::MAX).filter(|bits| !self.number(*bits).is_nan()).collect()
    }

    fn tensor(self, bits: &[u16]) -> Tensor {
        tensor(self.dtype, &bits.iter().map(|bits| i128::from(*bits)).collect::<Vec<_>>())
    }
}

/// What is computed in `float` is rounded once where it is stored, and where a cast says so.
#[test]
fn halves_round_where_they_are_stored() {
    type Meaning = fn(Half, f32, f32) -> f64;
    let operators: [(&str, Meaning); 8] = [
        ("A(i) + B(i)", |_, a, b| (a + b).into()),
        ("A(i) - B(i)", |_, a, b| (a - b).into()),
        ("A(i) * B(i)", |_, a, b| (a * b).into()),
        ("A(i) / B(i)", |_, a, b| (a / b).into()),
        ("-A(i)", |_, a, _| (-a).into()),
        ("A(i) < B(i) ? A(i) : B(i)", |_, a, b| (if a < b { a } else { b }).into()),
        // The product is exact in `float`: it does not matter whether it is added at once.
        ("A(i) * B(i) + A(i)", |_, a, b| (a * b + a).into()),
        ("HALF(A(i) * B(i)) + A(i)", |half, a, b| (half.number(half.bits((a * b).into()) as u16) as f32 + a).into()),
    ];
    for half in HALVES {
        let (mut a, mut rng) = (half.all(), fastrand::Rng::with_seed(5));
        let mut b = a.clone();
        rng.shuffle(&mut b);
        for (operator, meaning) in operators {
            let results = |a: &[u16], b: &[u16]| -> Vec<f64> {
                let number = |bits: &u16| half.number(*bits) as f32;
                a.iter().zip(b).map(|(a, b)| meaning(half, number(a), number(b))).collect()
            };
            // What is no number has many forms.
            let keep: Vec<bool> = results(&a, &b).iter().map(|value| !value.is_nan()).collect();
            let (mut one, mut other) = (keep.iter(), keep.iter());
            a.retain(|_| *one.next().expect("as many"));
            b.retain(|_| *other.next().expect("as many"));
            let expected = results(&a, &b).into_iter().map(|value| half.bits(value)).collect();
            // Without a literal, a mixture has the type of its operands.
            let value = format!("{0}({1})", half.name, operator.replace("HALF", half.name));
            let inputs = vec![("A", half.tensor(&a)), ("B", half.tensor(&b))];
            let case = Case { inputs, values: vec![(value, expected)] };
            case.check();
        }
    }
}

/// From other types there is one rounding too: doubles that lie beside the middle of two halves by less than a `float` tells.
#[test]
fn to_halves_and_back() {
    for half in HALVES {
        let mut doubles = Vec::new();
        for bits in half.all().into_iter().step_by(7) {
            let number = half.number(bits);
            let next = half.number(bits.saturating_add(1));
            let middle = (number + next) / 2.0;
            if middle.is_finite() && number.is_finite() {
                let beside = |by: i64| f64::from_bits((middle.to_bits() as i64 + by) as u64);
                doubles.extend([number, middle, beside(1), beside(-1), beside(1 << 20)]);
            }
        }
        let expected = doubles.iter().map(|value| half.bits(*value)).collect();
        let input = Tensor::from_slice(&doubles, &[doubles.len() as i64]).expect("doubles");
        Case { inputs: vec![("A", input)], values: vec![(format!("{}(A(i))", half.name), expected)] }.check();
        let all = half.all();
        let finite: Vec<u16> = all.iter().copied().filter(|bits| half.number(*bits).is_finite()).collect();
        let values = TYPES.iter().map(|&(dtype, least, most)| {
            let expected = finite.iter().map(|bits| (half.number(*bits) as i128).clamp(least, most)).collect();
            (format!("{}(A(i))", dtype.name()), expected)
        });
        Case { inputs: vec![("A", half.tensor(&finite))], values: values.collect() }.check();
    }
}

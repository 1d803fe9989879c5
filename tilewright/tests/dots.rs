//! Products of short types, added in groups where the machine does so: exact for integers, whatever their values, and
//! within the tolerance of a sum for floats.

use codegen::interp;
use polyhedral::builder::{Builder, Program as Built};
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::{DType, isl};
use support::{Stage, Target};
use tilewright::builder::Program;
use tilewright::{Compiler, Tensor, host_target, target_named};
use transform::{Policy, Session};

/// A contraction of two inputs `A` and `B` into `C`.
type Define = fn(&Builder, [DType; 3]);

fn product(p: &Builder, [left, right, sum]: [DType; 3]) {
    let [m, n, k] = ["M", "N", "K"].map(|name| p.size(name));
    let (a, b, c) = (p.input("A", left, [m, k]), p.input("B", right, [k, n]), p.output("C", sum, [m, n]));
    p.each("m", 0, m, |i| {
        p.each("n", 0, n, |j| {
            p.set(c.at([i, j]), p.constant(sum, 0.0));
            p.each("k", 0, k, |l| p.add_to(c.at([i, j]), a.at([i, l]).cast(sum) * b.at([l, j]).cast(sum)));
        });
    });
}

/// The second input is the other way round: its groups lie next to each other, its lanes apart.
fn product_of_rows(p: &Builder, [left, right, sum]: [DType; 3]) {
    let [m, n, k] = ["M", "N", "K"].map(|name| p.size(name));
    let (a, b, c) = (p.input("A", left, [m, k]), p.input("B", right, [n, k]), p.output("C", sum, [m, n]));
    p.each("m", 0, m, |i| {
        p.each("n", 0, n, |j| {
            p.set(c.at([i, j]), p.constant(sum, 0.0));
            p.each("k", 0, k, |l| p.add_to(c.at([i, j]), a.at([i, l]).cast(sum) * b.at([j, l]).cast(sum)));
        });
    });
}

/// A convolution of a picture, channels last: `M` rows of `M` points of `K` channels to `N` channels.
fn convolution(p: &Builder, [left, right, sum]: [DType; 3]) {
    let [m, n, k, window] = ["M", "N", "K", "R"].map(|name| p.size(name));
    let a = p.input("A", left, [m + window, m + window, k]);
    let b = p.input("B", right, [window, window, k, n]);
    let c = p.output("C", sum, [m, m, n]);
    p.each("y", 0, m, |y| {
        p.each("x", 0, m, |x| {
            p.each("n", 0, n, |o| {
                p.set(c.at([y, x, o]), p.constant(sum, 0.0));
                p.each("r", 0, window, |r| {
                    p.each("s", 0, window, |s| {
                        p.each("k", 0, k, |l| {
                            let factors = (a.at([y + r, x + s, l]), b.at([r, s, l, o]));
                            p.add_to(c.at([y, x, o]), factors.0.cast(sum) * factors.1.cast(sum));
                        });
                    });
                });
            });
        });
    });
}

/// Any bits of integers, many of them the least or the largest; floats around 0.
fn data(dtype: DType, shape: &[i64], seed: u64) -> Data {
    let count = shape.iter().product::<i64>() as usize;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    if dtype.is_float() {
        let values: Vec<f64> = (0..count).map(|_| (next() % 2001) as f64 / 1000.0 - 1.0).collect();
        return Data::from_f64s(dtype, shape, &values);
    }
    let (least, most) = dtype.int_range().expect("an integer type");
    let values: Vec<f64> = (0..count)
        .map(|_| match next() % 4 {
            0 => least as f64,
            1 => most as f64,
            _ => (least + i128::from(next() % 251) * (most - least) / 250) as f64,
        })
        .collect();
    Data::from_f64s(dtype, shape, &values)
}

fn check(define: Define, types: [DType; 3], target: &Target, sizes: &[(&str, i64)]) {
    let built = Built::build(&isl::Ctx::new(), "product", |p| define(p, types)).expect("a program");
    let params: Vec<i64> = (built.scop.params.iter())
        .map(|name| sizes.iter().find(|(known, _)| known == name).expect("a size").1)
        .collect();
    for threads in [1, 2] {
        let kernel = Compiler::new(target.clone()).threads(threads).compile_program(&Program::from(&built));
        let kernel = kernel.with_sizes(sizes).expect("sizes");
        let variant = kernel.prepare_sizes(&params).expect("code");
        let arguments = &variant.signature().arguments;
        let input = |at: usize, dtype| data(dtype, &arguments[at].shape, 17 + at as u64);
        let given = Tensors::from([("A".into(), input(0, types[0])), ("B".into(), input(1, types[1]))]);
        let tensor = |at: usize, bytes: &[u8]| {
            Tensor::from_bytes(arguments[at].dtype, &arguments[at].shape, bytes).expect("it fits")
        };
        let inputs = [tensor(0, &given["A"].bytes), tensor(1, &given["B"].bytes)];
        let bytes = arguments[2].shape.iter().product::<i64>() as usize * arguments[2].dtype.bytes();
        let mut output = tensor(2, &vec![0xa5; bytes]);
        kernel.run(&[&inputs[0], &inputs[1]], &mut [&mut output]).expect("it runs");
        let found = Data { dtype: types[2], shape: output.shape().to_vec(), bytes: output.as_bytes().to_vec() };
        let reference = eval::run_wide(&built.scop, &params, &given, Limits::default()).expect("a result");
        if let Err(wrong) = reference.compare("C", &found) {
            panic!("{types:?} {sizes:?} on {threads} threads: {wrong}");
        }
    }
}

const BYTES: [[DType; 3]; 4] = [
    [DType::I8, DType::I8, DType::I32],
    [DType::U8, DType::I8, DType::I32],
    [DType::I8, DType::U8, DType::I32],
    [DType::U8, DType::U8, DType::I32],
];
const OTHERS: [[DType; 3]; 5] = [
    [DType::I16, DType::I16, DType::I32],
    [DType::BF16, DType::BF16, DType::F32],
    [DType::F16, DType::F16, DType::F32],
    [DType::I8, DType::I8, DType::U32],
    [DType::I8, DType::I8, DType::I16],
];

/// Whole boxes, and boxes, vectors and groups that are cut.
const SIZES: [[(&str, i64); 3]; 5] = [
    [("M", 24), ("N", 64), ("K", 64)],
    [("M", 37), ("N", 65), ("K", 71)],
    [("M", 5), ("N", 7), ("K", 130)],
    [("M", 13), ("N", 40), ("K", 3)],
    [("M", 1), ("N", 33), ("K", 9)],
];

#[test]
fn products_of_every_type() {
    for (types, sizes) in BYTES.into_iter().zip(SIZES.iter().cycle()) {
        check(product, types, &host_target(), sizes);
    }
    for types in BYTES.into_iter().chain(OTHERS) {
        check(product, types, &host_target(), &SIZES[1]);
    }
    for sizes in SIZES {
        check(product, BYTES[0], &host_target(), &sizes);
    }
}

#[test]
fn products_of_rows() {
    for types in [BYTES[0], BYTES[1], OTHERS[1]] {
        for sizes in &SIZES[..3] {
            check(product_of_rows, types, &host_target(), sizes);
        }
    }
}

#[test]
fn convolutions() {
    for types in [BYTES[0], BYTES[1], OTHERS[1]] {
        for sizes in [[("M", 12), ("N", 32), ("K", 16), ("R", 3)], [("M", 7), ("N", 19), ("K", 6), ("R", 3)]] {
            check(convolution, types, &host_target(), &sizes);
        }
    }
}

/// Every instruction that the machine has, whether or not it is fast there.
#[test]
fn other_instructions() {
    let host = host_target();
    let rows =
        [("avxvnni", "x86-64-v3", 32, 16), ("avxvnniint8", "x86-64-v3", 32, 16), ("avx512bf16", "x86-64-v4", 64, 32)];
    for (feature, cpu, vector_bytes, vector_registers) in rows {
        let features = format!("+{feature}");
        if !host.triple.starts_with("x86_64") || !host.features.split(',').any(|own| own == features) {
            continue;
        }
        let target = Target { cpu: cpu.into(), features, vector_bytes, vector_registers, ..host.clone() };
        for types in BYTES.into_iter().chain(OTHERS[..2].iter().copied()) {
            check(product, types, &target, &SIZES[1]);
        }
        check(product_of_rows, OTHERS[1], &target, &SIZES[0]);
        check(convolution, OTHERS[1], &target, &[("M", 7), ("N", 19), ("K", 6), ("R", 3)]);
    }
}

/// The loops for targets that this machine is not, in the interpreter: they add in groups, and compute the same.
#[test]
fn loops_of_every_instruction() {
    let known = |name: &str| target_named(name).expect("it is known");
    let with = |name: &str, features: &str| Target { features: features.into(), ..known(name) };
    let [signed, mixed, swapped, unsigned] = BYTES;
    let [shorts, bfloats, ..] = OTHERS;
    let cases: [(Target, &[[DType; 3]]); 4] = [
        (known("znver5"), &[signed, mixed, swapped, unsigned, shorts, bfloats]),
        (with("x86-64-v3", "+avxvnni,+avxvnniint8"), &[signed, unsigned, mixed]),
        (with("aarch64-neon", "+dotprod,+bf16"), &[signed, unsigned, bfloats]),
        (with("aarch64-neon", "+i8mm"), &[signed, mixed]),
    ];
    for (target, all) in cases {
        for &types in all {
            let sizes = [("M", 21), ("N", 35), ("K", 70)];
            let loops = interpreted(product, types, &target, &sizes);
            assert!(loops.contains("dot("), "{} {types:?}:\n{loops}", target.name);
        }
    }
    let convolved = interpreted(convolution, signed, &known("znver5"), &[("M", 6), ("N", 17), ("K", 70), ("R", 3)]);
    assert!(convolved.contains("dot("), "{convolved}");
}

/// The loops, after the interpreter has run them.
fn interpreted(define: Define, types: [DType; 3], target: &Target, sizes: &[(&str, i64)]) -> String {
    let built = Built::build(&isl::Ctx::new(), "product", |p| define(p, types)).expect("a program");
    let params: Vec<i64> = (built.scop.params.iter())
        .map(|name| sizes.iter().find(|(known, _)| known == name).expect("a size").1)
        .collect();
    let scop = built.scop.specialise(&params).expect("sizes");
    let mut session = Session::with_options(scop.clone(), target, Default::default()).expect("a session");
    scheduler::Cpu.schedule(&mut session).expect("a schedule");
    let mut scheduled = session.finish().expect("a proof");
    let options = codegen::Options { fma: true, dots: target.dot_products(), ..codegen::Options::default() };
    let program = codegen::lower(&scheduled.scop, &options, &mut scheduled.remarks).expect("loops");
    program.verify().expect("they are well formed");
    let input = |name: &str, seed| {
        let tensor = scop.tensors.values().find(|tensor| tensor.name == name).expect("a tensor");
        let shape: Vec<i64> = tensor.extent.iter().map(|extent| extent.as_const().expect("a size")).collect();
        (name.to_owned(), data(tensor.dtype, &shape, seed))
    };
    let given = Tensors::from([input("A", 3), input("B", 5)]);
    let found = interp::interpret(&program, &[], &given, 1).expect("it runs");
    let reference = eval::run_wide(&scop, &[], &given, Limits::default()).expect("a result");
    if let Err(wrong) = reference.compare("C", &found["C"]) {
        panic!("{} {types:?}: {wrong}\n{program}", target.name);
    }
    program.to_string()
}

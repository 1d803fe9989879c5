//! Subscripts that are data, right and wrong: what is wrong is an error that names where it stands, and nothing outside of a
//! tensor is touched.

use tilewright::random::Random;
use tilewright::verify::{Judge, Reference};
use tilewright::{Compiler, Kernel, Pool, Tensor};

use crate::memory::run_guarded;
use crate::{apart, next};

/// A program and what it is run with.
struct Lookup {
    compiler: Compiler,
    kernel: Kernel,
    sizes: Vec<i64>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl Lookup {
    /// The same for all sizes at once.
    fn symbolic(mut self) -> Lookup {
        next("for all sizes");
        self.compiler = self.compiler.symbolic(true);
        self.kernel = self.compiler.definition(self.kernel.definition().expect("from a text").clone());
        self
    }

    fn new(text: &str, script: Option<&str>, sizes: &[i64], threads: usize) -> Lookup {
        next(format!("{text} at {sizes:?} on {threads} threads, {script:?}"));
        let compiler = Compiler::host().threads(threads);
        let compiler = match script {
            Some(script) => compiler.script(script.parse().expect("a script")),
            None => compiler,
        };
        let kernel = compiler.compile(text).unwrap_or_else(|error| panic!("{error}"));
        let def = kernel.definition().expect("from a text");
        let random = Random::new(3, def, sizes).expect("random data");
        let inputs = def.inputs().map(|input| random.argument(input).expect("memory")).collect();
        let outputs = def.outputs().map(|output| random.argument(output).expect("memory")).collect();
        Lookup { sizes: sizes.to_vec(), inputs, outputs, compiler, kernel }
    }

    /// With `value` as element number `at` of an input.
    fn with(&self, input: &str, at: usize, value: i128) -> Vec<Tensor> {
        let def = self.kernel.definition().expect("from a text");
        let number = def.inputs().position(|one| one.name == input).expect("an input");
        let mut inputs = self.inputs.clone();
        let tensor = &inputs[number];
        let width = tensor.dtype().bytes();
        let mut bytes = tensor.as_bytes().to_vec();
        bytes[at * width..(at + 1) * width].copy_from_slice(&value.to_le_bytes()[..width]);
        inputs[number] = Tensor::from_bytes(tensor.dtype(), tensor.shape(), &bytes).expect("the same shape");
        inputs
    }

    /// The error of the machine code, which is the same on any number of threads, and the evaluator's.
    fn run(&self, inputs: &[Tensor]) -> Option<String> {
        let variant = self.kernel.prepare_sizes(&self.sizes).unwrap_or_else(|error| panic!("{error}"));
        let found = run_guarded(&variant, inputs, &self.outputs, self.compiler.pool());
        for threads in [1, 3] {
            let pool = Pool::with_threads(threads).expect("threads");
            assert_eq!(run_guarded(&variant, inputs, &self.outputs, &pool), found);
        }
        found
    }

    fn evaluated(&self, inputs: &[Tensor]) -> Option<String> {
        let def = self.kernel.definition().expect("from a text");
        let names = def.inputs().chain(def.outputs()).map(|tensor| tensor.name.as_str());
        let given = names.zip(inputs.iter().chain(&self.outputs));
        let error = Reference::evaluate(def, &self.sizes, given, Judge::Exact).err()?;
        Some(error.to_string())
    }

    /// What is right runs; a wrong value is named, wherever it stands and whatever it is.
    fn check(&self, index: &str, positions: &[(usize, &str)], values: &[i128], subscript: impl Fn(i128) -> String) {
        assert_eq!(self.run(&self.inputs), None);
        for &(at, position) in positions {
            for &value in values {
                next(format!("{index}({position}) = {value}"));
                let inputs = self.with(index, at, value);
                let expected = format!("{}; it comes from `{index}({position})`", subscript(value));
                assert_eq!(self.run(&inputs).as_ref(), Some(&expected));
                let evaluated = self.evaluated(&inputs).expect("the evaluator finds it too");
                assert!(evaluated.contains(&expected), "{evaluated}");
            }
        }
    }
}

fn outside(dim: usize, tensor: &str, extent: i64) -> impl Fn(i128) -> String {
    move |value| format!("subscript {dim} of `{tensor}` is {value}, outside of 0..{extent}")
}

/// Values outside of `0..extent` of an integer type: the nearest, the most, and those that narrow to small ones.
fn wrong(dtype: &str, extent: i128) -> Vec<i128> {
    let bits: u32 = dtype.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().expect("a width");
    let (least, most) = match dtype.starts_with('u') {
        true => (0, (1 << bits) - 1),
        false => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
    };
    let candidates = [least, -1, extent, most, 1 << 16, 1 << 31, 1 << 32, 1 << 63, (1 << 32) + 1, -(1 << 32)];
    let mut kept: Vec<i128> = candidates.into_iter().filter(|value| (least..=most).contains(value)).collect();
    kept.retain(|value| !(0..extent).contains(value));
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[test]
fn rows() {
    apart("lookups::rows", || {
        for (dtype, width) in [("float", 64), ("double", 63), ("float16", 5), ("uint8", 131)] {
            let text = format!("def f({dtype}(E,D) T, int32(N) I) -> (O) {{ O(n,d) = T(I(n),d) }}");
            for threads in [1, 2] {
                let lookup = Lookup::new(&text, None, &[40, width, 37], threads);
                let at = [(0, "0"), (20, "20"), (36, "36")];
                lookup.check("I", &at, &wrong("int32", 40), outside(0, "T", 40));
                lookup.symbolic().check("I", &at, &wrong("int32", 40), outside(0, "T", 40));
            }
        }
    });
}

#[test]
fn sums_of_rows() {
    apart("lookups::sums_of_rows", || {
        let text = "def f(float(E,D) T, int32(B,L) I) -> (O) { O(b,d) +=! T(I(b,l),d) }";
        let at = [(0, "0, 0"), (22, "3, 1"), (62, "8, 6")];
        let ahead = "reorder O.update.l O.update.d\nprefetch T at O.update.l ahead 4";
        for (script, threads) in [(None, 1), (None, 2), (Some(ahead), 1)] {
            let lookup = Lookup::new(text, script, &[200, 20, 9, 7], threads);
            lookup.check("I", &at, &wrong("int32", 200), outside(0, "T", 200));
            if script.is_none() {
                lookup.symbolic().check("I", &at, &wrong("int32", 200), outside(0, "T", 200));
            }
        }
        // As the benchmark does: rows are asked for ahead.
        let lookup = Lookup::new(text, None, &[20_000, 64, 16, 50], 2);
        lookup.check("I", &[(799, "15, 49")], &[-1, 20_000], outside(0, "T", 20_000));
    });
}

#[test]
fn elements() {
    apart("lookups::elements", || {
        for index in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"] {
            for table in ["float", "double", "int8", "uint16", "bfloat16"] {
                let text = format!("def f({table}(E) T, {index}(N) I) -> (O) {{ O(i) = T(I(i)) }}");
                let lookup = Lookup::new(&text, None, &[100, 37], 1);
                let at = [(0, "0"), (7, "7"), (33, "33"), (36, "36")];
                lookup.check("I", &at, &wrong(index, 100), outside(0, "T", 100));
            }
        }
    });
}

#[test]
fn both_dimensions() {
    apart("lookups::both_dimensions", || {
        let text = "def f(float(E,F) T, int32(N,M) I, int64(M) J) -> (O) { O(i,j) = T(I(i,j),J(j)) }";
        let lookup = Lookup::new(text, None, &[30, 9, 5, 19], 2);
        lookup.check("I", &[(0, "0, 0"), (94, "4, 18")], &wrong("int32", 30), outside(0, "T", 30));
        lookup.check("J", &[(18, "18")], &wrong("int64", 9), outside(1, "T", 9));
        lookup.symbolic().check("J", &[(18, "18")], &wrong("int64", 9), outside(1, "T", 9));
    });
}

#[test]
fn found_by_what_is_found() {
    apart("lookups::found_by_what_is_found", || {
        let text = "def f(float(E) T, int32(F) I, int64(N) J) -> (O) { O(i) = T(I(J(i))) }";
        let lookup = Lookup::new(text, None, &[30, 20, 37], 1);
        lookup.check("J", &[(0, "0"), (36, "36")], &wrong("int64", 20), outside(0, "I", 20));
        let used = lookup.inputs[2].as_slice::<i64>().expect("64-bit")[36];
        let position = used.to_string();
        lookup.check("I", &[(used as usize, &position)], &wrong("int32", 30), outside(0, "T", 30));
    });
}

#[test]
fn computed_ones() {
    apart("lookups::computed_ones", || {
        let text = "def f(float(E) T, int32(N) I) -> (O) { O(i) = T(I(i) + 1) where i in 0:N }";
        let lookup = Lookup::new(text, None, &[30, 37], 1);
        let plus_one = |value: i128| {
            let value = (value as i32).wrapping_add(1);
            format!("subscript 0 of `T` is {value}, outside of 0..30")
        };
        let fitting: Vec<i32> = lookup.inputs[1].as_slice::<i32>().expect("32-bit").iter().map(|at| at % 29).collect();
        let inputs = [lookup.inputs[0].clone(), Tensor::from_slice(&fitting, &[37]).expect("indices")];
        let lookup = Lookup { inputs: inputs.to_vec(), ..lookup };
        lookup.check("I", &[(0, "0"), (36, "36")], &[29, i32::MAX.into(), i32::MIN.into(), -2], plus_one);

        let text = "def f(float(E) T, int64(N) I, int64(N) J) -> (O) { O(i) = T(I(i) - J(N - 1 - i)) }";
        let lookup = Lookup::new(text, None, &[30, 19], 1);
        let zeros = Tensor::zeros(lookup.inputs[2].dtype(), &[19]).expect("zeros");
        let lookup = Lookup { inputs: [&lookup.inputs[..2], &[zeros]].concat(), ..lookup };
        let error = lookup.run(&lookup.with("J", 16, i64::MAX.into())).expect("wrong");
        assert!(error.ends_with("it comes from `I(2)` and `J(16)`"), "{error}");
        assert!(lookup.evaluated(&lookup.with("J", 16, i64::MAX.into())).expect("wrong").contains(&error));
    });
}

#[test]
fn scatters() {
    apart("lookups::scatters", || {
        for (statement, rest) in [
            ("O(I(i)) = A(i)", "O(j) = Z(j) "),
            ("O(I(i)) += A(i)", "O(j) = Z(j) "),
            ("O(I(i)) max= A(i)", "O(j) = Z(j) "),
            ("O(I(i)) +=! A(i) + Z(0)", ""),
        ] {
            for index in ["int32", "uint64"] {
                let text =
                    format!("def f(float(N) A, {index}(N) I, float(M) Z) -> (float(M) O) {{ {rest}{statement} }}");
                for threads in [1, 2] {
                    let lookup = Lookup::new(&text, None, &[37, 50], threads);
                    lookup.check("I", &[(0, "0"), (36, "36")], &wrong(index, 50), outside(0, "O", 50));
                }
            }
        }
        let text = "def f(int32(N) I, float(N,D) A, float(M) Z) -> (float(M,D) O) { O(I(n),d) += A(n,d) + 0 * Z(0) }";
        let lookup = Lookup::new(text, None, &[17, 33, 21], 2);
        lookup.check("I", &[(0, "0"), (16, "16")], &wrong("int32", 21), outside(0, "O", 21));
    });
}

/// Subscripts are those of the source, in messages too; a tensor is stored from its first element on.
#[test]
fn tensors_that_do_not_begin_at_zero() {
    apart("lookups::tensors_that_do_not_begin_at_zero", || {
        let text = "def f(float(N) A, int32(M) I) -> (O) { T(i) = A(i) * 2 where i in 3:N O(k) = T(I(k)) }";
        for threads in [1, 2] {
            let lookup = Lookup::new(text, None, &[50, 37], threads);
            let fitting: Vec<i32> = (0..37).map(|at| 3 + at * 7 % 47).collect();
            let inputs = vec![lookup.inputs[0].clone(), Tensor::from_slice(&fitting, &[37]).expect("indices")];
            let lookup = Lookup { inputs, ..lookup };
            let expected = |value: i128| format!("subscript 0 of `T` is {value}, outside of 3..50");
            let (at, values) = ([(0, "0"), (36, "36")], [2, -1, 50, i32::MAX.into(), i32::MIN.into()]);
            lookup.check("I", &at, &values, expected);
            lookup.symbolic().check("I", &at, &values, expected);
        }
    });
}

/// Where several are wrong, it is the same one whoever sees it first.
#[test]
fn of_several_wrong_ones_the_first() {
    apart("lookups::of_several_wrong_ones_the_first", || {
        let text = "def f(float(E,D) T, int32(N) I) -> (O) { O(n,d) = T(I(n),d) }";
        let lookup = Lookup::new(text, None, &[40, 64, 2000], 2);
        let mut indices = lookup.inputs[1].as_slice::<i32>().expect("32-bit").to_vec();
        (801..2000).step_by(3).for_each(|at| indices[at] = 40 + at as i32);
        let inputs = [lookup.inputs[0].clone(), Tensor::from_slice(&indices, &[2000]).expect("indices")];
        for _ in 0..20 {
            let error = lookup.run(&inputs);
            let expected = "subscript 0 of `T` is 841, outside of 0..40; it comes from `I(801)`";
            assert_eq!(error.as_deref(), Some(expected));
        }
    });
}

#[test]
fn a_table_that_was_copied() {
    apart("lookups::a_table_that_was_copied", || {
        let text = "def f(float(E) T, int32(N) I) -> (O) { O(i) = T(I(i)) }";
        for script in ["promote T at root as Tp", "vectorise O.i by 16", "unroll O.i by 4", "tile O.i by 5"] {
            let lookup = Lookup::new(text, Some(script), &[100, 37], 1);
            let Ok(variant) = lookup.kernel.prepare_sizes(&lookup.sizes) else {
                next(format!("{script}: refused"));
                continue;
            };
            drop(variant);
            lookup.check("I", &[(0, "0"), (36, "36")], &wrong("int32", 100), outside(0, "T", 100));
        }
    });
}

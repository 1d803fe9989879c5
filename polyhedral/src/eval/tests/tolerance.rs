//! What the comparison lets pass, and what not.

use super::*;
use crate::Value;

const SUM: &str = "
scop total(N)
input A: float32[N]
input B: float32[N]
output C: float32[]
stmt C.init[]
  domain { C.init[] }
  C[] = 0.0f32
stmt C.update[i]
  domain { C.update[i] : 0 <= i < N }
  C[] sum= A[i] * B[i]
";

fn draw(rng: &mut Rng, n: i64, low: f64, high: f64) -> Vec<f32> {
    (0..n).map(|_| (low + (high - low) * rng.between(0, 1 << 30) as f64 / f64::from(1 << 30)) as f32).collect()
}

fn data(values: &[f32]) -> Data {
    let wide: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
    floats(&[values.len() as i64], &wide)
}

fn scalar(value: f32) -> Data {
    floats(&[], &[f64::from(value)])
}

/// A product underflows, early or late: what is left may be 0, and what is far from underflow may not.
#[test]
fn a_product_may_underflow() {
    let scop = parse(&SUM.replace("0.0f32", "1.0f32").replace("sum= A[i] * B[i]", "prod= A[i] * B[i]"));
    let compare = |factors: &[f32], got: f32| {
        let n = factors.len() as i64;
        let inputs = tensors(&[("A", data(factors)), ("B", data(&vec![1.0; factors.len()]))]);
        run_wide(&scop, &[n], &inputs, Limits::default()).unwrap().compare("C", &scalar(got))
    };
    assert!(compare(&[1e-20; 4], 0.0).is_ok());
    assert!(compare(&[1e-20; 4], 1e-37).is_err());
    assert_eq!(compare(&[1e-30, 1e-30, 1e30, 1e30], 0.0).map(|report| report.ambiguous), Ok(1));
    assert!(compare(&[0.5; 8], 0.0).is_err());
    assert!(compare(&[0.5; 8], 0.5f32.powi(8)).is_ok());
}

/// Sums in many orders, with and without fused multiplication, split over accumulators, all pass.
#[test]
fn every_order_of_a_sum_passes() {
    let scop = parse(SUM);
    let mut rng = Rng::new(3);
    for round in 0..60 {
        let n = [1, 2, 7, 64, 1000, 3000][round % 6];
        let low = if round % 2 == 0 { -1.0 } else { 0.0 };
        let (a, b) = (draw(&mut rng, n, low, 1.0), draw(&mut rng, n, low, 1e3));
        let wide = run_wide(&scop, &[n], &tensors(&[("A", data(&a)), ("B", data(&b))]), Limits::default()).unwrap();
        for _ in 0..10 {
            let mut order: Vec<usize> = (0..n as usize).collect();
            rng.shuffle(&mut order);
            let fused = rng.percent(50);
            let mut sums = [0.0f32; 8];
            let used = [1, 4, 8][rng.below(3)];
            for (at, &k) in order.iter().enumerate() {
                let sum = &mut sums[at % used];
                *sum = if fused { a[k].mul_add(b[k], *sum) } else { *sum + a[k] * b[k] };
            }
            wide.compare("C", &scalar(sums.iter().sum())).unwrap_or_else(|e| panic!("n = {n}, round {round}: {e}"));
        }
    }
}

#[test]
fn a_small_error_fails() {
    let scop = parse(SUM);
    let mut rng = Rng::new(4);
    for n in [1, 10, 1000] {
        let (a, b) = (draw(&mut rng, n, 0.1, 1.0), draw(&mut rng, n, 0.1, 1.0));
        let inputs = tensors(&[("A", data(&a)), ("B", data(&b))]);
        let (typed, wide) = both(&scop, &[n], &inputs);
        let right = typed["C"].to_f64s()[0];
        let report = wide.compare("C", &typed["C"]).unwrap();
        assert!(report.checked == 1 && report.ambiguous == 0 && report.max_rel_error < 1e-4, "{report:?}");
        for factor in [1.001, 0.999, f64::NAN, f64::INFINITY, -1.0] {
            let wrong = wide.compare("C", &floats(&[], &[right * factor])).unwrap_err();
            assert!(
                matches!(&wrong, Mismatch::Element(element) if (element.wrong, element.elements) == (1, 1)),
                "{wrong}"
            );
        }
        // A term forgotten.
        let short: f32 = a.iter().zip(&b).skip(1).map(|(x, y)| x * y).sum();
        assert!(wide.compare("C", &scalar(short)).is_err(), "n = {n}");
    }
}

#[test]
fn a_mismatch_names_the_first_wrong_element_in_the_coordinates_of_the_source() {
    let scop = testing::conv3x3(&isl::Ctx::new());
    let sizes = [6, 7];
    let (mut typed, wide) = both(&scop, &sizes, &inputs_of(&scop, &sizes, 1));
    let mut values = typed["O"].to_f64s();
    values[5 + 2] += 1.0;
    values[15] += 1.0;
    typed.insert("O".into(), floats(&[4, 5], &values));
    let wrong = wide.compare("O", &typed["O"]).unwrap_err();
    let Mismatch::Element(element) = wrong else { panic!("{wrong}") };
    let WrongElement { tensor, subscripts, wrong, elements, expected, got, .. } = *element;
    assert_eq!((tensor.as_str(), subscripts.as_slice(), wrong, elements), ("O", &[2, 3][..], 2, 20));
    assert_ne!(expected, got);
    assert!(matches!(wide.compare("O", &floats(&[5, 4], &values)), Err(Mismatch::Shape { .. })));
    assert!(matches!(wide.compare("X", &floats(&[5, 4], &values)), Err(Mismatch::NoSuchOutput { .. })));
}

#[test]
fn integers_are_exact() {
    let scop = testing::transpose_nest(&isl::Ctx::new());
    let (typed, wide) = both(&scop, &[4], &inputs_of(&scop, &[4], 1));
    let mut values = typed["B"].to_i64s();
    values[6] += 1;
    let wrong = wide.compare("B", &ints(&[4, 4], &values)).unwrap_err();
    let Mismatch::Element(element) = wrong else { panic!("{wrong}") };
    let WrongElement { subscripts, expected: Value::Int(expected), got: Value::Int(got), tolerance, .. } = *element
    else {
        panic!("{element}")
    };
    assert_eq!((subscripts, got - expected, tolerance), (vec![1, 2], 1, 0.0));
}

/// With a sum of tenths that is 1 but for rounding, every decision is open.
const DECISIONS: &str = "
scop decisions(N)
input A: float32[N]
input T: float32[10]
output C: float32[]
output S: float32[]
output K: int32[]
output L: float32[]
stmt C.init[]
  domain { C.init[] }
  C[] = 0.0f32
stmt C.update[i]
  domain { C.update[i] : 0 <= i < N }
  C[] sum= A[i]
stmt decide[]
  domain { decide[] }
  S[], K[] = select(C[] < 1.0f32, 2.0f32, 5.0f32), int32(C[])
stmt L[]
  domain { L[] }
  L[] = T[value(K[])]
";

fn decisions(a: &[f64]) -> Wide {
    let n = a.len() as i64;
    let table: Vec<f64> = (0..10).map(f64::from).collect();
    let inputs = tensors(&[("A", floats(&[n], a)), ("T", floats(&[10], &table))]);
    run_wide(&parse(DECISIONS), &[n], &inputs, Limits::default()).unwrap()
}

#[test]
fn decisions_on_a_border_are_left_open() {
    let open = decisions(&[0.1; 10]);
    assert!((3.0..3.00001).contains(&open.tolerances("S").unwrap()[0]), "either arm");
    for either in [2.0, 5.0] {
        open.compare("S", &floats(&[], &[either])).unwrap();
    }
    assert!(open.compare("S", &floats(&[], &[9.0])).is_err());
    for either in [0, 1] {
        open.compare("K", &ints(&[], &[either])).unwrap();
    }
    assert!(open.compare("K", &ints(&[], &[3])).is_err());
    let report = open.compare("L", &floats(&[], &[123.0])).unwrap();
    assert_eq!((report.checked, report.ambiguous), (0, 1));

    let clear = decisions(&[0.25; 9]);
    assert_eq!(clear.tolerances("K").unwrap(), [0.0]);
    assert!(clear.compare("S", &floats(&[], &[2.0])).is_err());
    clear.compare("L", &floats(&[], &[2.0])).unwrap();
    assert!(clear.compare("L", &floats(&[], &[1.0])).is_err());
}

/// A masked softmax: infinities that are certain stay exact, and what follows from them is checked.
#[test]
fn infinities_that_are_certain() {
    let text = "
scop softmax(N)
input A: float32[N]
input mask: bool[N]
output P: float32[N]
temporary X: float32[N]
temporary M: float32[]
temporary Z: float32[]
stmt X[i]
  domain { X[i] : 0 <= i < N }
  X[i] = select(mask[i], A[i] * 1.7f32, -inf_f32)
stmt M.init[]
  domain { M.init[] }
  M[] = -inf_f32
stmt M.update[i]
  domain { M.update[i] : 0 <= i < N }
  M[] max= X[i]
stmt Z.init[]
  domain { Z.init[] }
  Z[] = 0.0f32
stmt Z.update[i]
  domain { Z.update[i] : 0 <= i < N }
  Z[] sum= exp(X[i] - M[])
stmt P[i]
  domain { P[i] : 0 <= i < N }
  P[i] = exp(X[i] - M[]) / Z[]
";
    let n = 6;
    let a = floats(&[n], &[1.0, 2.0, 3.0, -1.0, 0.5, 9.0]);
    let mask = Data::from_i64s(DType::Bool, &[n], &[1, 1, 1, 1, 1, 0]);
    let (typed, wide) = both(&parse(text), &[n], &tensors(&[("A", a), ("mask", mask)]));
    let report = wide.compare("P", &typed["P"]).unwrap();
    assert_eq!((report.checked, report.ambiguous), (6, 0));
    assert!(wide.tolerances("P").unwrap().iter().all(|&t| t < 1e-5), "{:?}", wide.tolerances("P"));
    let mut wrong = typed["P"].to_f64s();
    assert_eq!(wrong[5], 0.0);
    wrong[2] *= 1.001;
    assert!(wide.compare("P", &floats(&[n], &wrong)).is_err());
}

/// What nothing writes is left open.
#[test]
fn unwritten_elements_are_left_open() {
    let text = "
scop half(N)
output C: float32[N]
output D: int32[N]
stmt C[i]
  domain { C[i] : 0 <= 2i < N }
  C[2*i], D[2*i] = 1.0f32, 1i32
";
    let wide = run_wide(&parse(text), &[4], &Tensors::new(), Limits::default()).unwrap();
    let floats = wide.compare("C", &floats(&[4], &[1.0, 9.0, 1.0, f64::NAN])).unwrap();
    let ints = wide.compare("D", &ints(&[4], &[1, 9, 1, 9])).unwrap();
    assert_eq!((floats.checked, floats.ambiguous), (2, 2));
    assert_eq!((ints.checked, ints.ambiguous), (2, 2));
}

/// Every built-in, computed with float32's own functions or in the double's neighbourhood, stays inside its bound.
#[test]
fn bounds_of_expressions_hold_for_float32() {
    use crate::Builtin;
    let mut rng = Rng::new(9);
    for &function in Builtin::ALL {
        let arguments: Vec<String> = (0..function.arity()).map(|k| format!("A[{k}] * B[{k}]")).collect();
        let text = format!(
            "
scop call()
input A: float32[4]
input B: float32[4]
output C: float32[]
stmt C[]
  domain {{ C[] }}
  C[] = {}({}) / 3.0f32
",
            function.name(),
            arguments.join(", ")
        );
        let scop = parse(&text);
        for _ in 0..20 {
            let (a, b) = (draw(&mut rng, 4, 0.2, 1.6), draw(&mut rng, 4, 0.2, 1.6));
            both(&scop, &[], &tensors(&[("A", data(&a)), ("B", data(&b))]));
        }
    }
}

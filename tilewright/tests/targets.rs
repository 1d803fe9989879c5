//! Targets are data: code for each that is known can be made on any machine, and it uses that machine's vectors.

use support::Watch;
use tilewright::emit::{StageName, emit};
use tilewright::{Compiler, Options, Source, Target, Tensor, check, compile, known_targets, target_named};

/// A text, its sizes in the order of their first mention, and whether its work is in fused multiply-adds of `float`.
const PROGRAMS: [(&str, &[i64], bool); 8] = [
    ("def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }", &[256, 192, 320], true),
    ("def tmm(float(M,K) A, float(N,K) B) -> (C) { C(m,n) +=! A(m,k) * B(n,k) }", &[64, 96, 128], true),
    ("def dmm(double(M,K) A, double(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }", &[65, 33, 127], false),
    ("def imm(int8(M,K) A, int8(K,N) B) -> (C) { C(m,n) +=! int32(A(m,k)) * int32(B(k,n)) }", &[64, 64, 64], false),
    ("def maxima(float(N,D) I) -> (M) { M(n) max=! I(n,d) }", &[100, 1000], false),
    ("def lut(float(E,D) T, int32(B,L) I) -> (O) { O(b,d) +=! T(I(b,l),d) }", &[100, 64, 16, 20], false),
    ("def turn(float(N,M) I) -> (O) { O(j,i) = I(i,j) }", &[100, 200], false),
    ("def wave(float(N) X) -> (Y) { Y(i) = tanh(X(i)) + exp(0 - X(i) * X(i)) }", &[1000], false),
];

fn assembly(target: &Target, text: &str, sizes: &[i64]) -> String {
    let source = Source::new("a.tc".into(), text.into());
    let (defs, _) = check(&source).expect("a program");
    let options = Options::new(target.clone());
    let code = compile(&defs[0], sizes, &[], &options, &mut Watch::new(&mut |_, _| ()));
    assert!(code.is_ok(), "{}: {text}: {}", target.name, code.err().expect("an error"));
    emit(StageName::Asm, &defs[0], Some(sizes), &options).expect("assembly")
}

/// Whether a multiply-add works on whole vectors of the target.
fn is_full_vector(target: &Target, line: &str) -> bool {
    match target.name.as_str() {
        "x86-64" => line.contains("mulps") && line.contains("%xmm"),
        "x86-64-v3" => line.contains("vfmadd") && line.contains("ps") && line.contains("%ymm"),
        "x86-64-v4" | "znver5" => line.contains("vfmadd") && line.contains("ps") && line.contains("%zmm"),
        "aarch64-neon" => line.contains("fmla") && line.contains(".4s"),
        "aarch64-sve" => {
            (line.contains("fmla") || line.contains("fmad")) && line.contains("p0/m") && line.contains(".s")
        }
        other => panic!("what are the vectors of `{other}`?"),
    }
}

#[test]
fn every_known_target_gets_code_with_its_own_vectors() {
    for target in known_targets() {
        for (text, sizes, is_product) in PROGRAMS {
            let text_of_code = assembly(&target, text, sizes);
            let full = text_of_code.lines().filter(|line| is_full_vector(&target, line)).count();
            assert!(!is_product || full >= 8, "{}: {full} multiply-adds of whole vectors in {text}", target.name);
        }
    }
}

/// The innermost loops of a text of x86 with multiply-adds: how many of these, and how many times a vector is
/// stored, or comes from the stack.
fn loops_of_products(assembly: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = assembly.lines().collect();
    let label = |line: &str| line.strip_suffix(':').filter(|name| name.starts_with(".LBB")).map(String::from);
    let jump = |line: &str| line.trim().starts_with('j').then(|| line.split_whitespace().last().map(String::from))?;
    let start = |end: usize| {
        let to = jump(lines[end])?;
        lines[..end].iter().rposition(|line| label(line).as_ref() == Some(&to))
    };
    let loops: Vec<(usize, usize)> = (0..lines.len()).filter_map(|end| Some((start(end)?, end))).collect();
    let is_inside = |inner: &(usize, usize), outer: &(usize, usize)| inner.0 >= outer.0 && inner.1 < outer.1;
    let innermost = loops.iter().filter(|outer| !loops.iter().any(|inner| is_inside(inner, outer)));
    let counts = innermost.map(|&(start, end)| {
        let body = &lines[start..end];
        let is_store = |line: &str| line.trim().starts_with("vmov") && line.ends_with(')');
        let spills = body.iter().filter(|line| line.contains("mm") && (line.contains("(%rsp)") || is_store(line)));
        (body.iter().filter(|line| line.contains("vfmadd")).count(), spills.count())
    });
    counts.filter(|(sums, _)| *sums > 0).collect()
}

/// Sums that fit the registers stay there, whatever LLVM's model of the processor suggests: an odd extent, whose strips of the
/// reduction are not whole, and one that leaves part of a vector over.
#[test]
fn sums_of_products_stay_in_registers() {
    let product = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
    let znver5 = target_named("znver5").expect("it is known");
    let znver4 = Target { name: "znver4".into(), cpu: "znver4".into(), ..znver5.clone() };
    for target in [znver4, znver5, target_named("x86-64-v4").expect("it is known")] {
        for sizes in [[1060, 1060, 1060], [1000, 999, 1001], [600, 1001, 640]] {
            let loops = loops_of_products(&assembly(&target, product, &sizes));
            let is_wide = |(sums, _): &&(usize, usize)| *sums >= 24;
            assert!(loops.iter().any(|one| is_wide(&one)), "{} {sizes:?}: {loops:?}", target.name);
            let spills: usize = loops.iter().filter(is_wide).map(|(_, spills)| spills).sum();
            assert_eq!(spills, 0, "{} {sizes:?}: {loops:?}", target.name);
        }
    }
}

#[test]
fn narrower_vectors_than_the_machine_has_are_respected() {
    let target = target_named("x86-64-v3").expect("it is known");
    for (text, sizes, _) in PROGRAMS {
        assert!(!assembly(&target, text, sizes).contains("%zmm"), "{text}");
    }
}

/// Code for an older machine of the same kind runs on this one, and computes the same.
#[cfg(target_arch = "x86_64")]
#[test]
fn code_for_avx2_runs_where_there_is_avx2() {
    if !std::arch::is_x86_feature_detected!("avx2") || !std::arch::is_x86_feature_detected!("fma") {
        return;
    }
    let (text, _, _) = PROGRAMS[0];
    let (m, k, n) = (37, 29, 53);
    let values = |count: i64| (0..count).map(|at| ((at * 7919) % 101) as f32 / 50.0 - 1.0).collect::<Vec<f32>>();
    let (a, b) = (values(m * k), values(k * n));
    let compiler = Compiler::new(target_named("x86-64-v3").expect("it is known")).threads(2);
    let kernel = compiler.compile(text).expect("a program");
    let inputs = [Tensor::from_slice(&a, &[m, k]).expect("it fits"), Tensor::from_slice(&b, &[k, n]).expect("it fits")];
    let result = kernel.call(&[&inputs[0], &inputs[1]]).expect("it runs");
    let (a_at, b_at) =
        (|i: i64, l: i64| f64::from(a[(i * k + l) as usize]), |l: i64, j: i64| f64::from(b[(l * n + j) as usize]));
    for (at, &found) in result.as_slice::<f32>().expect("floats").iter().enumerate() {
        let (i, j) = (at as i64 / n, at as i64 % n);
        let expected: f64 = (0..k).map(|l| a_at(i, l) * b_at(l, j)).sum();
        assert!((expected - f64::from(found)).abs() < 1e-4, "C[{i}, {j}] = {found}, not {expected}");
    }
}

/// Products of short types are added in groups by the instructions that a target names, and by no others.
#[test]
fn short_products_are_added_in_groups_where_the_target_does_so() {
    let product = |left: &str, right: &str| {
        let sum = if left == "bfloat16" { "float" } else { "int32" };
        format!("def p({left}(M,K) A, {right}(K,N) B) -> (C) {{ C(m,n) +=! {sum}(A(m,k)) * {sum}(B(k,n)) }}")
    };
    let with = |name: &str, features: &str| {
        let target = target_named(name).expect("it is known");
        Target { features: features.into(), ..target }
    };
    let known = |name: &str| target_named(name).expect("it is known");
    let cases = [
        (known("znver5"), "int8", "int8", Some("vpdpbusd")),
        (known("znver5"), "uint8", "int8", Some("vpdpbusd")),
        (known("znver5"), "int16", "int16", Some("vpdpwssd")),
        (known("znver5"), "bfloat16", "bfloat16", Some("vdpbf16ps")),
        (with("aarch64-neon", "+bf16"), "bfloat16", "bfloat16", Some("bfdot")),
        (known("x86-64-v4"), "bfloat16", "bfloat16", None),
        (known("x86-64-v4"), "int8", "int8", None),
        (known("x86-64-v3"), "int8", "int8", None),
        (with("x86-64-v3", "+avxvnni"), "uint8", "int8", Some("vpdpbusd")),
        (with("x86-64-v3", "+avxvnniint8"), "int8", "int8", Some("vpdpbssd")),
        (with("x86-64-v3", "+avxvnniint8"), "uint8", "uint8", Some("vpdpbuud")),
        (with("x86-64-v4", "+avx512vnni,-avx512f"), "int8", "int8", None),
        (known("aarch64-neon"), "int8", "int8", None),
        (with("aarch64-neon", "+dotprod"), "int8", "int8", Some("sdot")),
        (with("aarch64-neon", "+dotprod"), "uint8", "uint8", Some("udot")),
        (with("aarch64-neon", "+i8mm"), "uint8", "int8", Some("usdot")),
    ];
    for (target, left, right, instruction) in cases {
        let code = assembly(&target, &product(left, right), &[64, 64, 64]);
        let is_dot = |line: &&str| line.contains("vpdp") || line.contains("vdpbf16") || line.contains("dot\t");
        let found: Vec<&str> = code.lines().filter(is_dot).collect();
        let which = format!("{} {}: {left}·{right}", target.name, target.features);
        match instruction {
            None => assert!(found.is_empty(), "{which}: {found:?}"),
            Some(name) => assert!(
                found.len() >= 8 && found.iter().all(|line| line.split_whitespace().any(|word| word == name)),
                "{which}: {found:?}"
            ),
        }
    }
}

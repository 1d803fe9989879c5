//! Contractions with what is computed element by element before and after them: no loops over whole tensors are left for
//! it, and the results are those of the source.

use polyhedral::isl;
use scheduler::Cpu;
use support::Target;
use tilewright::random::Random;
use tilewright::verify::{Judge, Reference};
use tilewright::{AsTensor, Compiler, Pool, Tensor};
use transform::{Policy, Session};

/// A layer in one definition, with its result in place.
const LAYER: &str = "def layer(float(M,K) A, float(K,N) B, float(N) b) -> (O) {
    O(m,n) +=! A(m,k) * B(k,n)
    O(m,n) = fmax(O(m,n) + b(n), 0)
}";

/// Two statements after the product, through temporaries.
const RESIDUAL: &str = "def residual(float(M,K) A, float(K,N) B, float(N) b, float(M,N) R) -> (O) {
    T(m,n) +=! A(m,k) * B(k,n)
    U(m,n) = fmax(T(m,n) + b(n), 0)
    O(m,n) = U(m,n) * 0.5 + R(m,n)
}";

/// A function of the second factor, which is copied in panels.
const PROLOGUE: &str = "def prologue(float(M,K) A, float(K,N) B) -> (O) {
    T(k,n) = fmax(B(k,n), 0) * 2
    O(m,n) +=! A(m,k) * T(k,n)
}";

/// A convolution 1×1 with what follows it, whose pictures have short rows.
const POINTWISE: &str = "def pointwise(float(N,C,H,W) I, float(F,C) V, float(F) b) -> (O) {
    O(n,f,h,w) +=! I(n,c,h,w) * V(f,c)
    O(n,f,h,w) = fmax(O(n,f,h,w) + b(f), 0)
}";

/// The loops that the policy makes of a definition at some sizes.
fn loops(text: &str, sizes: &[i64], threads: u32) -> String {
    let target = Target::from_toml(include_str!("../targets/znver5.toml")).expect("a target");
    let checked = frontend_tc::check(text);
    let [def] = checked.defs.as_slice() else { panic!("{:?}", checked.diagnostics) };
    let scop = frontend_tc::lower(def, &isl::Ctx::new()).expect("a program");
    let scop = scop.specialise(sizes).expect("sizes that fit");
    let mut session = Session::new(scop, &Target { threads, ..target }).expect("a session");
    Cpu.schedule(&mut session).expect("a policy that takes what it gets");
    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}"));
    codegen::lower(&scheduled.scop, &codegen::Options::default(), &mut Vec::new()).expect("loops").to_string()
}

/// How many nests there are at the top, but for those that copy what is used later.
fn nests(loops: &str) -> usize {
    // What is on the stack may be around all of them.
    let indent = if loops.lines().any(|line| line.starts_with("with stack")) { "  " } else { "" };
    let heads = [format!("{indent}for "), format!("{indent}parallel for ")];
    let is_head = |line: &&str| heads.iter().any(|head| line.starts_with(head));
    let lines: Vec<&str> = loops.lines().skip_while(|line| !is_head(line)).collect();
    let works =
        |nest: &&[&str]| nest.iter().any(|line| ["O[", "T[", "U["].iter().any(|word| line.trim().starts_with(word)));
    let mut heads: Vec<usize> = (0..lines.len()).filter(|&at| is_head(&lines[at])).collect();
    heads.push(lines.len());
    heads.windows(2).map(|pair| &lines[pair[0]..pair[1]]).filter(works).count()
}

#[test]
fn one_nest_is_left_of_a_product_with_its_surroundings() {
    let spelled_apart = RESIDUAL
        .replace("U(m,n) = ", "V(m,n) = T(m,n) + b(n)\n    U(m,n) = ")
        .replace("fmax(T(m,n) + b(n), 0)", "fmax(V(m,n), 0)");
    for sizes in [[1024, 1024, 1024], [210, 600, 530], [1024, 512, 1024], [54, 64, 64]] {
        for threads in [1, 2] {
            for text in [LAYER, RESIDUAL, &spelled_apart] {
                // In the order of the text: M, K, N.
                let [m, k, n] = sizes;
                let loops = loops(text, &[m, k, n], threads);
                assert_eq!(nests(&loops), 1, "{text}\n{sizes:?} on {threads}\n{loops}");
                assert!(!loops.contains("temporary U") && !loops.contains("temporary V"), "{loops}");
            }
        }
    }
}

#[test]
fn a_result_that_only_its_tile_needs_is_no_tensor_in_memory() {
    let whole = loops(RESIDUAL, &[1020, 512, 1024], 1);
    assert!(whole.contains("temporary T: float32[6, 64] stack"), "{whole}");
    // With two strips the sums of the first one have to be kept.
    let cut = loops(RESIDUAL, &[1024, 2048, 1024], 1);
    assert!(cut.contains("temporary T: float32[1024, 1024] workspace"), "{cut}");
}

#[test]
fn a_function_of_a_factor_is_computed_in_its_copy() {
    let loops = loops(PROLOGUE, &[210, 530, 600], 1);
    assert_eq!(nests(&loops), 1, "{loops}");
    assert!(!loops.contains("temporary T:") && loops.contains("T_local["), "{loops}");
}

#[test]
fn what_is_apart_in_memory_stays_apart() {
    let turned = RESIDUAL.replace("O(m,n) = U(m,n) * 0.5 + R(m,n)", "O(n,m) = U(m,n) * 0.5 + R(m,n)");
    assert_eq!(nests(&loops(&turned, &[1024, 1024, 1024], 1)), 2);
}

/// Compiles a definition for sizes in the order of its text, runs it on one thread and on two and checks every element.
#[track_caller]
fn verify(text: &str, sizes: &[i64]) {
    let mut reference = None;
    for threads in 1..=2 {
        let pool = Pool::with_threads(threads).expect("threads");
        let kernel = Compiler::host().with_pool(pool).compile(text).expect("a good definition");
        let def = kernel.definition().expect("it is from text");
        kernel.prepare_sizes(sizes).unwrap_or_else(|error| panic!("{} {sizes:?} on {threads}: {error}", def.name));
        let random = Random::new(5, def, sizes).expect("inputs");
        let inputs: Vec<(&str, Tensor)> =
            def.inputs().map(|input| (input.name.as_str(), random.argument(input).expect("memory"))).collect();
        let views: Vec<&dyn AsTensor> = inputs.iter().map(|(_, tensor)| tensor as &dyn AsTensor).collect();
        let outputs = kernel.call_all(&views).expect("it runs");
        let given = inputs.iter().map(|(name, tensor)| (*name, tensor));
        let evaluate = || Reference::evaluate(def, sizes, given, Judge::of(def, false)).expect("small enough");
        let results = def.outputs().map(|output| output.name.as_str()).zip(&outputs);
        let checked = reference.get_or_insert_with(evaluate).check(results);
        checked.unwrap_or_else(|error| panic!("{} {sizes:?} on {threads}: {error}", def.name));
    }
}

#[test]
fn results_are_those_of_the_source() {
    let turned = RESIDUAL.replace("O(m,n) = U(m,n) * 0.5 + R(m,n)", "O(n,m) = U(m,n) * 0.5 + R(m,n)");
    let double = LAYER.replace("float", "double");
    let of_rows = PROLOGUE.replace("T(k,n) = fmax(B(k,n), 0) * 2", "T(m,k) = fmax(A(m,k), 0) * 2");
    let of_rows = of_rows.replace("A(m,k) * T(k,n)", "T(m,k) * B(k,n)");
    let with_largest = LAYER.replace("-> (O)", "-> (O, L)").replace("\n}", "\n    L(m) max=! O(m,n)\n}");
    let chain = "def chain(float(M,K) A, float(K,N) B, float(N,L) C) -> (O) {
        T(m,n) +=! A(m,k) * B(k,n)
        U(m,n) = fmax(T(m,n), 0)
        O(m,l) +=! U(m,n) * C(n,l)
        O(m,l) = O(m,l) * 0.25
    }";
    for text in [LAYER, RESIDUAL, PROLOGUE, &turned, &double, &with_largest] {
        verify(text, &[49, 530, 517]);
        verify(text, &[29, 41, 37]);
    }
    verify(&of_rows, &[131, 1024, 261]);
    verify(chain, &[49, 521, 533, 35]);
}

#[test]
fn what_is_put_next_to_each_other_is_right() {
    let between =
        LAYER.replace("-> (O)", "-> (O, Z)").replace("    O(m,n) = fmax", "    Z(n) = b(n) * 2\n    O(m,n) = fmax");
    verify(&between, &[49, 53, 117]);
    let moments = "def moments(float(N,K) I, float(N) W) -> (mean, var, Z) {
        var(n) +=! I(n,k) * I(n,k)
        Z(n) = W(n) * 2
        mean(n) +=! I(n,k)
        mean(n) = mean(n) / K
        var(n) = var(n) / K - mean(n) * mean(n)
    }";
    verify(moments, &[300, 517]);
    let softmax = "def softmax(float(N,D) I, float(M) W) -> (O, E, Z) {
        Largest(n) max=! I(n,d)
        E(n,d) = exp(I(n,d) - Largest(n))
        Z(m) = W(m) * 2
        Sum(n) +=! E(n,d)
        O(n,d) = E(n,d) / Sum(n)
    }";
    verify(softmax, &[700, 517, 33]);
    let chain = "def chain(float(N) A, float(N) B) -> (D) {
        T(i) = A(i) * B(i)
        U(i) = T(i) + A(i)
        V(i) = U(i) * 0.5
        D(i) = fmax(V(i), 0) - B(i)
    }";
    verify(chain, &[10_007]);
}

#[test]
fn three_strips_and_short_rows_are_right() {
    verify(LAYER, &[50, 1200, 515]);
    verify(RESIDUAL, &[50, 1200, 515]);
    verify(RESIDUAL, &[49, 300, 1030]);
}

#[test]
fn lanes_of_a_pointwise_convolution_run_across_rows() {
    for threads in [1, 2] {
        let loops = loops(POINTWISE, &[4, 64, 56, 56, 64], threads);
        assert!(loops.contains("output O: float32[4, 64, 3136]") && !loops.contains("where lane"), "{loops}");
    }
    // Rows that boxes of lanes fill stay as they are.
    let whole = loops(POINTWISE, &[4, 64, 64, 64, 64], 1);
    assert!(whole.contains("output O: float32[4, 64, 64, 64]"), "{whole}");
}

#[test]
fn lanes_across_rows_are_right_at_any_size() {
    let double = POINTWISE.replace("float", "double");
    let twice =
        POINTWISE.replace("O(n,f,h,w) = fmax(O(n,f,h,w) + b(f), 0)", "O(n,f,h,w) = O(n,f,h,w) * O(n,f,h,w) + b(f)");
    for text in [POINTWISE, &double, &twice] {
        for sizes in
            [[1, 17, 9, 40, 64], [2, 30, 14, 14, 50], [3, 20, 7, 7, 13], [2, 8, 5, 100, 12], [1, 64, 8, 56, 64]]
        {
            verify(text, &sizes);
        }
    }
}

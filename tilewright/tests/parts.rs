//! Programs in several parts: cut anywhere they compute the same, and their scripts replay.

#[allow(dead_code, reason = "the programs run for sizes that are given")]
mod agreement;

use frontend_tc::Kernel;
use polyhedral::{Outline, isl};
use tilewright::{Compiler, Options, emit};
use transform::Script;

/// Two layers that differ in names alone, with a product, a normalisation and a window, and what is before and behind them.
const LAYERS: &str = "
def layers(float(N,M) A, float(M,M) W1, float(M,M) W2) -> (O) {
    X(n,m) = A(n,m) + 1
    P1(n,j) +=! X(n,m) * W1(j,m)
    S1(n) +=! P1(n,j) * P1(n,j)
    Q1(n,j) = P1(n,j) / (1 + sqrt(S1(n)))
    R1(n,j) = max(Q1(n,j), 0.0)
    P2(n,j) +=! R1(n,m) * W2(j,m)
    S2(n) +=! P2(n,j) * P2(n,j)
    Q2(n,j) = P2(n,j) / (1 + sqrt(S2(n)))
    R2(n,j) = max(Q2(n,j), 0.0)
    B(n) max=! R2(n,j)
    O(n,j) = R2(n,j) - B(n) + X(n,j)
    O(n,j) = O(n,j) * 2
}";

/// Values that data chooses, with checks that name tensors, in two equal steps.
const LOOKUPS: &str = "
def lookups(int32(N) I, int32(N) J, float(M) A, float(M) B) -> (O) {
    X(n) = A(I(n) - 1) where n in 0:N
    Y(n) = B(J(n) - 1) where n in 0:N
    O(n) = X(n) + Y(n)
}";

fn definition(text: &str) -> Kernel {
    let mut checked = frontend_tc::check(text);
    assert_eq!(checked.defs.len(), 1, "{:?}", checked.diagnostics);
    checked.defs.remove(0)
}

/// The first statement of each nest at the top.
fn firsts(def: &Kernel) -> Vec<String> {
    let scop = frontend_tc::lower(def, &isl::Ctx::new()).expect("a program");
    let outline = Outline::of(&scop).expect("an outline");
    (0..outline.len()).filter_map(|nest| outline.first_stmt(nest)).map(String::from).collect()
}

fn script(text: &str) -> Script {
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_program_that_is_cut_anywhere_computes_the_same() {
    let def = definition(LAYERS);
    let firsts = firsts(&def);
    let mut random = fastrand::Rng::with_seed(11);
    let every: String = firsts.iter().map(|stmt| format!("part {stmt}\nauto\n")).collect();
    let some = |random: &mut fastrand::Rng| -> String {
        let chosen = firsts.iter().enumerate().filter(|(at, _)| *at == 0 || random.u8(..3) == 0);
        chosen.map(|(_, stmt)| format!("part {stmt}\nauto\n")).collect()
    };
    let texts: Vec<String> = (0..4).map(|_| some(&mut random)).chain([every]).collect();
    for text in texts {
        for symbolic in [false, true] {
            let compilers =
                [1, 2].map(|threads| Compiler::host().threads(threads).symbolic(symbolic).script(script(&text)));
            for sizes in [[5, 9], [33, 70]] {
                agreement::runs_on(&compilers, &def, &sizes).unwrap_or_else(|error| panic!("{error}\n{text}"));
            }
        }
    }
}

#[test]
fn equal_parts_share_a_schedule_and_code() {
    let def = definition(LAYERS);
    let text = "part X\nauto\npart P1.init\nparallel P1.init.n\npart P2.init like P1.init\npart B.init\nauto\n";
    let compilers = [1, 2].map(|threads| Compiler::host().threads(threads).script(script(text)));
    for sizes in [[5, 9], [33, 70]] {
        agreement::runs_on(&compilers, &def, &sizes).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    let options = Options { script: Some(script(text)), ..Options::new(tilewright::host_target()) };
    let ir = emit::emit(emit::StageName::Llvm, &def, Some(&[33, 70]), &options).expect("it compiles");
    assert_eq!(ir.matches("define internal i32 @layers.part(").count(), 1, "{ir}");
    assert_eq!(ir.matches("call i32 @layers.part(").count(), 2, "{ir}");
}

#[test]
fn what_a_check_says_is_said_of_the_tensor_of_its_part() {
    let def = definition(LOOKUPS);
    let [first, second, third] = firsts(&def).try_into().expect("three nests");
    let text = format!("part {first}\npart {second} like {first}\npart {third}\n");
    let compiler = Compiler::host().threads(1).script(script(&text));
    let kernel = compiler.definition(def);
    let floats = |values: &[f32]| tilewright::Tensor::from_slice(values, &[values.len() as i64]).expect("a tensor");
    let indices = |values: &[i32]| tilewright::Tensor::from_slice(values, &[values.len() as i64]).expect("a tensor");
    let (a, b) = (floats(&[1.0, 2.0, 3.0]), floats(&[10.0, 20.0, 30.0]));
    let found = kernel.call(&[&indices(&[1, 3, 2]), &indices(&[1, 1, 2]), &a, &b]);
    assert_eq!(found.expect("it runs").as_slice::<f32>().expect("floats"), [11.0, 13.0, 22.0]);
    let refused = kernel.call(&[&indices(&[1, 3, 2]), &indices(&[1, 4, 2]), &a, &b]).expect_err("there is no B(3)");
    assert!(refused.to_string().contains("`B`"), "{refused}");
}

#[test]
fn the_script_of_a_program_in_parts_replays_to_the_same_code() {
    let def = definition(LAYERS);
    let first: String = firsts(&def).iter().map(|stmt| format!("part {stmt}\nauto\n")).collect();
    let emitted = |stage, text: &str| {
        let options = Options { script: Some(script(text)), ..Options::new(tilewright::host_target()) };
        emit::emit(stage, &def, Some(&[33, 70]), &options).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    let recorded = emitted(emit::StageName::Script, &first);
    assert_eq!(emitted(emit::StageName::Script, &recorded), recorded);
    assert_eq!(emitted(emit::StageName::Loops, &recorded), emitted(emit::StageName::Loops, &first));
    assert_eq!(emitted(emit::StageName::Asm, &recorded), emitted(emit::StageName::Asm, &first));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let def = definition(LAYERS);
    for (text, why) in [
        ("part P1.init\nauto\n", "`part P1.init` refused: nests before it are in no part"),
        ("part X\npart Nothing\n", "line 2: `part Nothing` refused: no statement has this name"),
        ("part X\npart P2.init\npart P1.init\n", "line 3: `part P1.init` refused: it is in a part above"),
        ("part X\npart P1.init\npart P1.init\n", "line 3: `part P1.init` refused: it is in a part above"),
        ("part X\npart P1.init like X\n", "it is not equal to the part of `X`"),
        ("part X\npart P1.init like R1\n", "no part with commands above begins with `R1`"),
        ("parallel X.n\npart X\n", "it is above the first `part`"),
        ("part X\npart P1.init\npart P2.init like P1.init\nauto\n", "it is below a `part"),
        ("part X\nparallel P1.update.n\npart P1.init\n", "P1.update"),
    ] {
        let options = Options { script: Some(script(text)), ..Options::new(tilewright::host_target()) };
        let error = emit::emit(emit::StageName::Script, &def, Some(&[33, 70]), &options).expect_err("it does not fit");
        assert!(error.to_string().contains(why), "{text}\n{error}");
        assert!(error.to_string().contains("TC0913"), "{text}\n{error}");
    }
}

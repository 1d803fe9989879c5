//! Whether the fusion plan that the policy for CPUs chooses is the fastest: for programs with few groups to choose from,
//! every legal plan is made, compiled and timed, in turn with the others, on one thread and on two. The chosen one is
//! shown beside the fastest.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use polyhedral::isl;
use scheduler::fuse::{self, Problem};
use scheduler::{Cpu, Given};
use tilewright::random::Random;
use tilewright::{AsTensor, AsTensorMut, Compiler, Kernel, Pool, Script, Tensor};
use transform::{Policy, Session};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Plans of one program, at most.
const PLANS: usize = 64;
const ROUNDS: usize = 9;
/// What a round of one plan takes.
const ROUND: Duration = Duration::from_millis(60);

/// A program and sizes in the order of its text.
const PROGRAMS: &[(&str, &[i64])] = &[
    (include_str!("../kernels/softmax.tc"), &[4096, 1024]),
    (include_str!("../kernels/softmax.tc"), &[64, 64]),
    (include_str!("../kernels/layernorm.tc"), &[4096, 1024]),
    (include_str!("../kernels/cross_entropy.tc"), &[4096, 1024]),
    (include_str!("../kernels/moments.tc"), &[4096, 1024]),
    (include_str!("../kernels/rmsnorm_gate.tc"), &[2048, 4096]),
    (include_str!("../kernels/mlp1.tc"), &[512, 1024, 1024]),
    (include_str!("../kernels/residual.tc"), &[512, 512, 512]),
    (include_str!("../kernels/boxblur.tc"), &[3, 2112, 3520]),
    (include_str!("../kernels/gaussian.tc"), &[3, 2112, 3520]),
    (include_str!("../kernels/edge.tc"), &[3, 2112, 3520]),
    (BLUR, &[3, 2002, 502]),
    (CHAIN, &[4_000_000]),
    (CHAIN, &[20_000]),
];

const BLUR: &str = "def blur(float(C,H,W) I) -> (O) {
    T(c,y,x) = I(c,y,x) + I(c,y,x+1) + I(c,y,x+2)
    O(c,y,x) = T(c,y,x) + T(c,y+1,x) + T(c,y+2,x)
}";

const CHAIN: &str = "def chain(float(N) A, float(N) B) -> (D) {
    T(i) = A(i) * B(i)
    U(i) = T(i) + A(i)
    D(i) = fmax(U(i), 0) - B(i)
}";

fn main() -> Result<()> {
    println!(
        "{:16}{:>9}{:>7}{:>12}{:>12}{:>9}  the fastest, where it is another one",
        "", "threads", "plans", "chosen us", "fastest us", "ratio"
    );
    let mut within = [0, 0];
    for (text, sizes) in PROGRAMS {
        for threads in [1, 2] {
            let ratio = compare(text, sizes, threads)?;
            within[0] += usize::from(ratio <= 1.1);
            within[1] += 1;
        }
    }
    println!("{} of {} within a tenth of the fastest", within[0], within[1]);
    Ok(())
}

/// A plan that runs.
struct Runner {
    name: String,
    kernel: Kernel,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    best: Duration,
}

impl Runner {
    fn new(text: &str, sizes: &[i64], threads: usize, script: Script, name: String) -> Result<Runner> {
        let compiler = Compiler::host().with_pool(Pool::with_threads(threads)?).script(script);
        let kernel = compiler.compile(text)?;
        kernel.prepare_sizes(sizes)?;
        let def = kernel.definition().ok_or("a program from text")?;
        let random = Random::new(0, def, sizes)?;
        let inputs: Vec<Tensor> =
            def.inputs().map(|one| random.argument(one)).collect::<std::result::Result<_, _>>()?;
        let views: Vec<&dyn AsTensor> = inputs.iter().map(|tensor| tensor as &dyn AsTensor).collect();
        let outputs = kernel.call_all(&views)?;
        Ok(Runner { name, kernel, inputs, outputs, best: Duration::MAX })
    }

    fn round(&mut self) -> Result<()> {
        let views: Vec<&dyn AsTensor> = self.inputs.iter().map(|tensor| tensor as &dyn AsTensor).collect();
        let mut outputs: Vec<&mut dyn AsTensorMut> =
            self.outputs.iter_mut().map(|tensor| tensor as &mut dyn AsTensorMut).collect();
        let begin = Instant::now();
        while begin.elapsed() < ROUND {
            let start = Instant::now();
            self.kernel.run(&views, &mut outputs)?;
            self.best = self.best.min(start.elapsed());
        }
        Ok(())
    }
}

/// Times every plan of a program, prints a row, and returns the time of the chosen one over the least.
fn compare(text: &str, sizes: &[i64], threads: usize) -> Result<f64> {
    let checked = frontend_tc::check(text);
    let [def] = checked.defs.as_slice() else { return Err("one definition".into()) };
    let scop = frontend_tc::lower_at(def, &isl::Ctx::new(), sizes)?;
    let target = tilewright::Target { threads: u32::try_from(threads)?, ..tilewright::host_target() };
    let begun = Session::new(scop, &target)?;
    let (problem, forms, _) = fuse::candidates(&begun)?;
    let script = |policy: &dyn Policy| -> Result<Script> {
        let mut session = begun.clone();
        policy.schedule(&mut session)?;
        Ok(session.finish()?.script)
    };
    let mut runners = vec![Runner::new(text, sizes, threads, script(&Cpu)?, "chosen".into())?];
    let mut seen = BTreeSet::from([script(&Cpu)?.to_string()]);
    let plans = plans(&problem);
    for chosen in &plans {
        let made = script(&Given { chosen: chosen.clone() })?;
        if seen.insert(made.to_string()) {
            let word = |&at: &usize| format!("{:?} {}", problem.candidates[at].nests, forms[at]);
            let name: Vec<String> =
                chosen.iter().filter(|&&at| problem.candidates[at].nests.len() > 1).map(word).collect();
            runners.push(Runner::new(text, sizes, threads, made, name.join(", "))?);
        }
    }
    for _ in 0..ROUNDS {
        runners.iter_mut().try_for_each(Runner::round)?;
    }
    let fastest = runners.iter().min_by_key(|one| one.best).ok_or("a plan")?;
    let micros = |one: &Runner| one.best.as_secs_f64() * 1e6;
    let ratio = micros(&runners[0]) / micros(fastest);
    println!(
        "{:16}{threads:>9}{:>7}{:>12.1}{:>12.1}{ratio:>9.2}  {}",
        def.name,
        runners.len(),
        micros(&runners[0]),
        micros(fastest),
        if fastest.name == "chosen" { "" } else { &fastest.name }
    );
    Ok(ratio)
}

/// All legal plans, the first of them at most.
fn plans(problem: &Problem) -> Vec<Vec<usize>> {
    let (mut found, mut begun) = (Vec::new(), vec![Vec::new()]);
    while let Some(plan) = begun.pop() {
        let covered: BTreeSet<usize> =
            plan.iter().flat_map(|&at: &usize| problem.candidates[at].nests.iter().copied()).collect();
        match (0..problem.nests).find(|nest| !covered.contains(nest)) {
            None => found.extend(in_order(problem, &plan)),
            Some(next) => begun.extend((0..problem.candidates.len()).filter_map(|at| {
                let nests = &problem.candidates[at].nests;
                let fits = nests.contains(&next) && nests.iter().all(|nest| !covered.contains(nest));
                fits.then(|| [plan.clone(), vec![at]].concat())
            })),
        }
        if found.len() >= PLANS {
            break;
        }
    }
    found
}

/// The groups of a plan in an order in which they may run, if there is one.
fn in_order(problem: &Problem, plan: &[usize]) -> Option<Vec<usize>> {
    let group_of = |nest: usize| plan.iter().copied().find(|&at| problem.candidates[at].nests.contains(&nest));
    let (mut left, mut order) = (plan.to_vec(), Vec::new());
    while !left.is_empty() {
        let waits = |at: usize| {
            problem.before.iter().any(|&(a, b)| {
                group_of(b) == Some(at) && group_of(a) != Some(at) && group_of(a).is_some_and(|a| left.contains(&a))
            })
        };
        let next = left.iter().position(|&at| !waits(at))?;
        order.push(left.remove(next));
    }
    Some(order)
}

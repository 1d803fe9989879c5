//! Random programs with random scripts that bind loops to blocks and threads and promote tensors: what is accepted computes what
//! the evaluator does, in the interpreter whatever the order of threads, and on a device.

use std::sync::Mutex;

use codegen::Program;
use codegen::gpu::Kernels;
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::testing::{self, Rng};
use polyhedral::{Axis, Memory, Role, Scop, isl};
use runtime::Tensor;
use support::Gpu;
use tilewright::{Compiler, host_target};
use transform::{Command, Options, Promotion, Reason, Refused, Session};

#[allow(dead_code, reason = "commands on loops and storage; those of kernels are drawn here")]
#[path = "../random_scops/draw.rs"]
mod draw;

use crate::{full, interpreter, opencl, work};

/// Programs, and how many of them run on a device too: each is built there, which takes a tenth of a second and more.
const PROGRAMS: u64 = 120;
const ON_DEVICE: u64 = 40;

/// Programs that went wrong once: a barrier inside of a condition, which PoCL 3.1 gets wrong.
const FOUND: [u64; 1] = [737];

/// isl's operations for the proofs of one program.
const BUDGET: u64 = 1_000_000;

/// Orders of threads that each program runs in.
const ORDERS: u64 = 3;

/// What became of the programs.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Ran and agreed.
    agreed: u64,
    /// Had a loop on an axis, a tensor in shared memory, in registers, a barrier.
    bound: u64,
    shared: u64,
    registers: u64,
    barriers: u64,
    /// Copied to shared memory while threads computed.
    copied: u64,
    /// Had an atomic update.
    atomic: u64,
    /// The loops on axes are none of kernels, or race.
    unmapped: u64,
    /// Ran on the device.
    on_device: u64,
}

#[test]
fn random_scripts_of_kernels_compute_what_the_evaluator_does() {
    let compiler = opencl();
    let times = if full() { 8 } else { 1 };
    let only = std::env::var("TILEWRIGHT_TEST_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let drawn = (0..PROGRAMS * times).chain(FOUND.into_iter().filter(|seed| *seed >= PROGRAMS * times));
    let seeds: Vec<u64> = only.map_or_else(|| drawn.collect(), |seed| vec![seed]);
    let tally = Mutex::new(Tally::default());
    let wrong = work::failures(&seeds, |&seed| {
        let device = compiler.as_ref().filter(|_| seed % PROGRAMS < ON_DEVICE);
        judge(seed, device, &tally).map_err(|failure| format!("TILEWRIGHT_TEST_SEED={seed}: {failure}"))
    });
    assert!(
        wrong.is_empty(),
        "{} fail:\n{}",
        wrong.len(),
        wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n")
    );
    let tally = tally.into_inner().expect("no thread panics");
    println!("{tally:?}");
    if only.is_none() {
        // So that what is tested cannot silently shrink.
        assert!(tally.agreed * 3 > PROGRAMS * times * 2, "{tally:?}");
        assert!(tally.bound * 3 > tally.agreed && tally.shared * 20 > tally.agreed, "{tally:?}");
        assert!(tally.atomic * 60 > tally.agreed, "{tally:?}");
        assert!(tally.barriers * 20 > tally.agreed && tally.registers * 40 > tally.agreed, "{tally:?}");
    }
}

fn judge(seed: u64, compiler: Option<&Compiler>, tally: &Mutex<Tally>) -> Result<(), String> {
    let scop = testing::random(&isl::Ctx::new(), seed);
    let in_program = |failure: String| format!("{failure}\n{scop}");
    let options = Options { operations: BUDGET, ..Options::default() };
    let session = Session::with_options(scop.clone(), &host_target(), options);
    let mut session = match session {
        Err(Refused { reason: Reason::Quota(_), .. }) => return Ok(()),
        session => session.map_err(|refused| in_program(refused.to_string()))?,
    };
    let mut rng = Rng::new(seed ^ 0x6b65_726e);
    let mut asked = Rng::new(seed ^ 0x6174_6f6d);
    // Programs that went wrong once stay as they were.
    let doubled = if FOUND.contains(&seed) { 0 } else { 40 };
    scripted((&mut rng, &mut asked, doubled), &mut session).map_err(|error| in_program(error.to_string()))?;
    let script = session.script().to_string();
    let in_program = |failure: String| in_program(format!("{failure}\nafter the script\n{script}"));
    // Whether a schedule as a whole is legal is another test's.
    let Ok(scheduled) = session.finish() else { return Ok(()) };
    let device = Gpu::opencl();
    let program = match interpreter::lowered(&scheduled.scop, &device) {
        Ok(program) => program,
        Err(_) => {
            tally.lock().expect("no thread panics").unmapped += 1;
            return Ok(());
        }
    };
    let copying = Gpu { has_async_copies: true, ..device };
    let by_itself = interpreter::lowered(&scheduled.scop, &copying).map_err(in_program)?;
    for order in 0..ORDERS {
        interpreter::agrees(&scop, &program, seed + order).map_err(in_program)?;
        interpreter::agrees(&scop, &by_itself, seed + order).map_err(in_program)?;
    }
    // Where barriers may be inside of conditions, full tiles are apart.
    if let Ok(program) = interpreter::lowered(&scheduled.scop, &Gpu::cuda()) {
        interpreter::agrees(&scop, &program, seed).map_err(in_program)?;
    }
    if let Some(compiler) = compiler {
        computed(&scop, &program, compiler, seed).map_err(in_program)?;
    }
    let text = program.to_string();
    let mut tally = tally.lock().expect("no thread panics");
    tally.agreed += 1;
    tally.on_device += u64::from(compiler.is_some());
    tally.bound += u64::from(
        text.lines().any(|line| line.contains("launch ") && (line.contains(" thread ") || line.contains(" block "))),
    );
    tally.shared += u64::from(script.contains("in shared"));
    tally.registers += u64::from(script.contains("in registers"));
    tally.barriers += u64::from(text.contains("barrier"));
    tally.copied += u64::from(by_itself.to_string().contains("  copy "));
    tally.atomic += u64::from(text.contains(" atomic "));
    Ok(())
}

/// Some commands on loops and storage, then loops on axes and tensors in memories of a device; what is refused is left out.
/// `asked` says of loops on blocks whether their updates are atomic, `doubled` how many of a hundred tensors in memories of a device
/// are to have two halves.
fn scripted((rng, asked, doubled): (&mut Rng, &mut Rng, u64), session: &mut Session) -> isl::Result<()> {
    for _ in 0..rng.below(4) {
        let drawn = if rng.percent(30) { draw::storage(rng, session)? } else { draw::command(rng, session)? };
        if let Some(command) = drawn {
            let _ = session.apply(command);
        }
    }
    // Memory of a block is that of the iterations of a loop on blocks: so one is bound first, more often than not.
    let threads = [Axis::Thread(0), Axis::Thread(0), Axis::Thread(1)];
    for number in 0..3 + rng.below(4) {
        let Some(member) = any_loop(rng, session, number == 0) else { break };
        let block = number == 0 && rng.percent(70) || rng.percent(20);
        let axis = if block { Axis::Block(rng.below(2) as u8) } else { rng.pick(&threads) };
        let atomically = block && asked.percent(40);
        let _ = session.apply(Command::Bind { members: vec![member], axis, atomically });
    }
    if rng.percent(60)
        && let Some(member) = any_loop(rng, session, true)
    {
        let _ = session.apply(Command::launch(member, [rng.pick(&[1u32, 2, 3, 4, 8]), rng.pick(&[1, 1, 2])]));
    }
    for _ in 0..1 + rng.below(4) {
        let first = rng.percent(60);
        let Some(member) = any_loop(rng, session, first) else { break };
        let tensors: Vec<String> = session.scop().tensors.values().map(|tensor| tensor.name.clone()).collect();
        let memory = Some(rng.pick(&[Memory::Shared, Memory::Shared, Memory::Registers, Memory::Stack]));
        let promotion = Promotion { memory, ..Promotion::of(rng.pick(&tensors), member) };
        let twice = Command::Promote(Promotion { double: true, ..promotion.clone() });
        let is_twice = rng.clone().percent(doubled) && session.apply(twice).is_ok();
        if (is_twice || session.apply(Command::Promote(promotion)).is_ok()) && rng.percent(70) {
            // The loops of the copies, which are the last ones to appear, on threads.
            for member in
                session.scop().tree.root.members().iter().map(|member| member.name.clone()).collect::<Vec<_>>()
            {
                if member.contains(".load.") || member.contains(".store.") {
                    let _ = session.apply(Command::bind(member, rng.pick(&threads)));
                }
            }
        }
    }
    Ok(())
}

/// A loop, the first one where that is asked for.
fn any_loop(rng: &mut Rng, session: &Session, first: bool) -> Option<String> {
    let members = session.scop().tree.root.members();
    let at = if first || members.is_empty() { 0 } else { rng.below(members.len()) };
    members.get(at).map(|member| member.name.clone())
}

/// Whether the kernels compute on the device what the evaluator does.
fn computed(scop: &Scop, program: &Program, compiler: &Compiler, seed: u64) -> Result<(), String> {
    let given = interpreter::inputs(scop, seed);
    let wide = eval::run_wide(scop, &[], &given, Limits::default()).map_err(|error| error.to_string())?;
    let (device, gpu) = compiler.device().zip(compiler.gpu()).ok_or("there is no device")?;
    let kernels = Kernels::of(program, gpu).map_err(|why| why.to_string())?;
    let code = kernels.code(&[]).map_err(|why| why.to_string())?;
    let kernel = device.load(&code).map_err(|error| format!("{error}\n{program}"))?;
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for argument in &kernel.signature().arguments {
        let bytes = argument.shape.iter().product::<i64>() as usize * argument.dtype.bytes();
        let bytes = given.get(&argument.name).map_or_else(|| vec![0xa5; bytes], |data| data.bytes.clone());
        let tensor = Tensor::from_bytes(argument.dtype, &argument.shape, &bytes).map_err(|error| error.to_string())?;
        if argument.role == runtime::Role::Input { inputs.push(tensor) } else { outputs.push(tensor) }
    }
    let stream = device.stream().map_err(|error| error.to_string())?;
    let inputs: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut views: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
    kernel.run(&stream, &inputs, &mut views).map_err(|error| format!("on the device: {error}\n{program}"))?;
    drop(views);
    let names = scop.tensors.values().filter(|tensor| matches!(tensor.role, Role::Output | Role::InOut));
    let found: Tensors = names
        .zip(&outputs)
        .map(|(tensor, output)| {
            let data = Data { dtype: tensor.dtype, shape: output.shape().to_vec(), bytes: output.as_bytes().to_vec() };
            (tensor.name.clone(), data)
        })
        .collect();
    for name in wide.names() {
        let data = found.get(name).ok_or_else(|| format!("there is no `{name}`"))?;
        wide.compare(name, data)
            .map_err(|mismatch| format!("on the device: {mismatch}\n{program}\n{:?}", code.text()))?;
    }
    Ok(())
}

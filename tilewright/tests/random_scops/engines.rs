//! What a scheduled Scop computes: by the reference evaluator, by the loop interpreter, by machine code.

use codegen::{Program, interp, llvm};
use polyhedral::eval::{self, Data, Limits, Report, Tensors, Wide};
use polyhedral::testing::random_inputs;
use polyhedral::{Role, Scop};
use runtime::{Kernel, Pool, Tensor};
use support::{Stage, Target};

/// Where machine code runs.
pub struct Machine {
    pub target: Target,
    pool: Pool,
    fma: bool,
}

impl Machine {
    /// This machine, with more threads than one so that parallel loops are cut.
    pub fn host() -> Machine {
        let target = tilewright::host_target();
        let fma = llvm::has_fma(&target).expect("the host's description");
        Machine { target, pool: Pool::with_threads(3).expect("threads"), fma }
    }
}

/// What the program computes from some inputs.
pub struct Oracle {
    inputs: Tensors,
    wide: Wide,
}

impl Oracle {
    pub fn of(scop: &Scop, seed: u64) -> Result<Oracle, String> {
        let inputs: Tensors = random_inputs(scop, &[], seed)
            .into_iter()
            .map(|input| (input.name, Data::from_f64s(input.dtype, &input.shape, &input.values)))
            .collect();
        let wide = eval::run_wide(scop, &[], &inputs, Limits::default()).map_err(|error| error.to_string())?;
        Ok(Oracle { inputs, wide })
    }

    /// Integers are equal, floats within the bound of the evaluator's error analysis.
    fn accepts(&self, outputs: &Tensors) -> Result<Report, String> {
        let mut all = Report::default();
        for name in self.wide.names() {
            let data = outputs.get(name).ok_or_else(|| format!("there is no `{name}`"))?;
            let report = self.wide.compare(name, data).map_err(|mismatch| mismatch.to_string())?;
            all.checked += report.checked;
            all.ambiguous += report.ambiguous;
        }
        Ok(all)
    }
}

/// Runs the Scop in the order of its tree: the loops as they are scanned and after every pass in the interpreter, these
/// in machine code too. `sizes` are those of tiles that the schedule leaves open.
pub fn compare(scop: &Scop, oracle: &Oracle, machine: &Machine, sizes: &[i64]) -> Result<Report, String> {
    let options =
        codegen::Options { fma: machine.fma, dots: machine.target.dot_products(), ..codegen::Options::default() };
    let scanned = codegen::scan(scop, &options, &mut Vec::new()).map_err(|error| error.to_string())?;
    interpret("loops as they are scanned", &scanned, oracle, sizes)?;
    let lowered = codegen::lower(scop, &options, &mut Vec::new()).map_err(|error| error.to_string())?;
    interpret("loops after every pass", &lowered, oracle, sizes)?;
    let computed = run(scop, &lowered, (oracle, sizes), machine).and_then(|outputs| oracle.accepts(&outputs));
    computed.map_err(|failure| format!("in machine code: {failure}\nof the loops\n{lowered}"))
}

fn interpret(what: &str, program: &Program, oracle: &Oracle, sizes: &[i64]) -> Result<(), String> {
    let verified = program.verify().map_err(|malformed| malformed.to_string());
    let run = || interp::interpret(program, sizes, &oracle.inputs, 1).map_err(|fault| fault.to_string());
    let accepted = verified.and_then(|()| run()).and_then(|outputs| oracle.accepts(&outputs));
    accepted.map(drop).map_err(|failure| format!("in the {what}: {failure}\n{program}"))
}

/// Compiles and calls the program. Outputs hold other bits than zeros before.
fn run(
    scop: &Scop,
    program: &Program,
    (oracle, sizes): (&Oracle, &[i64]),
    machine: &Machine,
) -> Result<Tensors, String> {
    let object = llvm::compile(program, &machine.target, &llvm::Options::default()).map_err(|e| e.to_string())?;
    let code = object.code(program, sizes).map_err(|error| error.to_string())?;
    let kernel = Kernel::load(&code).map_err(|error| error.to_string())?;
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for argument in &kernel.signature().arguments {
        let bytes = argument.shape.iter().product::<i64>() as usize * argument.dtype.bytes();
        let given = oracle.inputs.get(&argument.name).map(|data| data.bytes.clone());
        let bytes = given.unwrap_or_else(|| vec![0xa5; bytes]);
        let tensor = Tensor::from_bytes(argument.dtype, &argument.shape, &bytes).map_err(|error| error.to_string())?;
        let all = if argument.role == runtime::Role::Input { &mut inputs } else { &mut outputs };
        all.push(tensor);
    }
    let inputs: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut views: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
    kernel.run(&inputs, &mut views, &machine.pool).map_err(|error| format!("it stops: {error}"))?;
    drop(views);
    let names = scop.tensors.values().filter(|tensor| matches!(tensor.role, Role::Output | Role::InOut));
    let data = names.zip(&outputs).map(|(tensor, output)| {
        let data = Data { dtype: tensor.dtype, shape: output.shape().to_vec(), bytes: output.as_bytes().to_vec() };
        (tensor.name.clone(), data)
    });
    Ok(data.collect())
}

//! From files and options to a compiled kernel with its tensors: what `run` and `bench` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frontend_tc::Kernel as Definition;
use polyhedral::{Index, Role};
use runtime::Tensor;
use support::Diagnostic;
use tilewright::cost::{tensor_bytes, tensor_shape};
use tilewright::files::{self, Wanted};
use tilewright::random::Random;
use tilewright::verify::{self, Agreement, Judge, Reference};
use tilewright::{
    AsTensor, AsTensorMut, Compiler, DeviceTensor, Error, Kernel, KernelCache, Result, Source, Stream, Variant,
};
use transform::Script;

use super::options::{Assignment, Data, Machine, Program};
use super::terminal::{self, Progress};

/// A compiled kernel and its tensors.
pub struct Call {
    /// The definition.
    pub def: Definition,
    /// The kernel.
    pub kernel: Kernel,
    /// Its code for these sizes.
    pub variant: Arc<Variant>,
    /// The values of the size parameters.
    pub sizes: Vec<i64>,
    /// What it runs on.
    pub compiler: Compiler,
    /// The tensors that are read.
    pub inputs: Vec<(String, Tensor)>,
    /// The tensors that are written or updated, as they are before the call.
    pub initial: Vec<(String, Tensor)>,
    /// The tensors that are written or updated.
    pub outputs: Vec<(String, Tensor)>,
    /// When it was compiled.
    pub compiled: Instant,
    strict: bool,
}

impl Call {
    /// Reads the program and the inputs, compiles or finds it in the cache, and fills what was not given with random elements.
    pub fn prepare(program: &Program, machine: &Machine, data: &Data, cache: Option<KernelCache>) -> Result<Call> {
        let source = program.source()?;
        let def = program.definition(&source)?;
        output_files(&def, data)?;
        let mut given = read_inputs(&def, data)?;
        let script = machine.script()?;
        let Sizes { own: sizes, tiles } =
            sizes(&def, &source, (&program.sizes, &open_sizes(script.as_ref())), Some(&given))?;
        fits_in_memory(&def, &sizes)?;
        if data.verify {
            verify::check_size(&def, &sizes)?;
        }
        if machine.dump.is_some() {
            let options = machine.options(script.clone(), tiles.clone())?;
            let sizes = (!machine.symbolic).then_some(sizes.as_slice());
            machine.dump(&def, sizes, &options).map_err(|error| error.with_source(&source))?;
        }
        let mut compiler = machine.compiler(data.threads, script)?.tile_sizes(tiles);
        if let Some(cache) = cache {
            compiler = compiler.cache(cache);
        }
        if let Some(observer) = &data.observer {
            let pool = compiler.pool().clone().observed(observer.clone());
            compiler = compiler.with_pool(pool);
        }
        let kernel = compiler.definition_in(def.clone(), source);
        let progress = Progress::new(format!("compiling `{}`", def.name));
        let variant = kernel.prepare_sizes(&sizes)?;
        drop(progress);
        let compiled = Instant::now();
        if data.remarks {
            terminal::remarks(&variant.remarks);
        }
        let random = Random::new(data.seed, &def, &sizes)?;
        let (mut inputs, mut initial) = (Vec::new(), Vec::new());
        for argument in arguments(&def) {
            let shape = shape(argument, &sizes)?;
            let tensor = match given.remove(&argument.name) {
                Some(tensor) => fitting(argument, tensor, &shape)?,
                None if argument.role == Role::Output => zeros(argument, &shape)?,
                None => random.argument(argument)?,
            };
            let list = if argument.role == Role::Input { &mut inputs } else { &mut initial };
            list.push((argument.name.clone(), tensor));
        }
        let outputs = initial.clone();
        Ok(Call { def, kernel, variant, sizes, compiler, inputs, initial, outputs, compiled, strict: machine.strict })
    }

    /// Calls the kernel once; says how long it took.
    pub fn run(&mut self) -> Result<Duration> {
        let inputs: Vec<&dyn AsTensor> = self.inputs.iter().map(|(_, tensor)| tensor as &dyn AsTensor).collect();
        let mut outputs: Vec<&mut dyn AsTensorMut> =
            self.outputs.iter_mut().map(|(_, tensor)| tensor as &mut dyn AsTensorMut).collect();
        let start = Instant::now();
        self.kernel.run(&inputs, &mut outputs)?;
        Ok(start.elapsed())
    }

    /// Compares the outputs of the first call with the reference evaluator's.
    pub fn verify(&self) -> Result<Agreement> {
        let _progress = Progress::new("verifying with the reference evaluator");
        let def = &self.def;
        let updated = self.initial.iter().filter(|(name, _)| is_updated(def, name));
        let given = self.inputs.iter().chain(updated).map(|(name, tensor)| (name.as_str(), tensor));
        let reference = Reference::evaluate(def, &self.sizes, given, Judge::of(def, self.strict))?;
        reference.check(self.outputs.iter().map(|(name, tensor)| (name.as_str(), tensor)))
    }

    /// Puts back what updated tensors had before the first call.
    pub fn reset(&mut self) {
        for ((name, before), (_, now)) in self.initial.iter().zip(&mut self.outputs) {
            if is_updated(&self.def, name) {
                now.clone_from(before);
            }
        }
    }

    /// Writes the outputs to the files that were asked for; says which.
    pub fn write(&self, data: &Data) -> Result<Vec<(String, PathBuf)>> {
        let mut written = Vec::new();
        for (name, path) in output_files(&self.def, data)? {
            let (_, tensor) = self.outputs.iter().find(|(output, _)| *output == name).expect("checked to be an output");
            if let Some(dir) = data.output_dir.as_deref().filter(|dir| path.starts_with(dir)) {
                files::create_dir(dir)?;
            }
            files::write(&path, tensor)?;
            written.push((name, path));
        }
        Ok(written)
    }

    /// The tensors on the device that the kernel runs on.
    pub fn resident(&self) -> Result<Resident> {
        let device = self.compiler.device().ok_or_else(|| Error::bug("there is no device"))?;
        let stream = device.stream().map_err(tilewright::device_error)?;
        let upload =
            |(_, tensor): &(String, Tensor)| device.upload(&stream, &tensor.view()).map_err(tilewright::device_error);
        let inputs = self.inputs.iter().map(upload).collect::<Result<_>>()?;
        let initial = self.initial.iter().map(upload).collect::<Result<_>>()?;
        let outputs = self.initial.iter().map(upload).collect::<Result<_>>()?;
        let sizes: Vec<(&str, i64)> =
            self.def.sizes.iter().map(String::as_str).zip(self.sizes.iter().copied()).collect();
        let updated = self.initial.iter().map(|(name, _)| is_updated(&self.def, name)).collect();
        Ok(Resident { kernel: self.kernel.with_sizes(&sizes)?, stream, inputs, initial, outputs, updated })
    }

    /// `mm  M=4 K=8`
    pub fn title(&self) -> String {
        let def = &self.def;
        let sizes = def.sizes.iter().zip(&self.sizes).map(|(name, size)| format!(" {name}={size}"));
        if let Some(device) = self.compiler.device() {
            let about = device.about();
            return format!("{} {}   {}, {}", def.name, sizes.collect::<String>(), about.name, about.description);
        }
        let threads = self.compiler.pool().threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!(
            "{} {}   {}, {threads} thread{plural}",
            def.name,
            sizes.collect::<String>(),
            self.compiler.target().name
        )
    }
}

/// A call with tensors that stay on the device.
pub struct Resident {
    kernel: Kernel,
    stream: Stream,
    inputs: Vec<DeviceTensor>,
    /// What is written or updated, as it is before the call.
    initial: Vec<DeviceTensor>,
    outputs: Vec<DeviceTensor>,
    /// Of each output whether it is updated.
    updated: Vec<bool>,
}

impl Resident {
    /// Whether a call changes what the next one reads.
    pub fn updates(&self) -> bool {
        self.updated.contains(&true)
    }

    /// Calls the kernel so many times; how long one took, by the device's clock.
    pub fn time(&mut self, calls: u32) -> Result<Duration> {
        let failed = tilewright::device_error;
        let updated = self.updated.iter().zip(self.initial.iter().zip(&mut self.outputs));
        for (_, (before, now)) in updated.filter(|(updated, _)| **updated) {
            self.stream.copy(before, now).map_err(failed)?;
        }
        let inputs: Vec<&DeviceTensor> = self.inputs.iter().collect();
        let begin = self.stream.mark().map_err(failed)?;
        for _ in 0..calls {
            self.kernel.launch(&self.stream, &inputs, &mut self.outputs.iter_mut().collect::<Vec<_>>())?;
        }
        let end = self.stream.mark().map_err(failed)?;
        self.stream.synchronise().map_err(failed)?;
        Ok(end.since(&begin).map_err(failed)? / calls.max(1))
    }
}

fn arguments(def: &Definition) -> impl Iterator<Item = &frontend_tc::Tensor> {
    def.inputs().chain(def.outputs())
}

fn is_updated(def: &Definition, name: &str) -> bool {
    def.tensors.iter().any(|tensor| tensor.name == name && tensor.role == Role::InOut)
}

fn is_read(tensor: &frontend_tc::Tensor) -> bool {
    matches!(tensor.role, Role::Input | Role::InOut)
}

/// The values of sizes.
#[derive(Debug)]
pub struct Sizes {
    /// Of every size parameter of the definition, in order.
    pub own: Vec<i64>,
    /// Of tiles that a script leaves open, as far as they are known.
    pub tiles: BTreeMap<String, i64>,
}

/// The names of the sizes of tiles that the script leaves open.
pub fn open_sizes(script: Option<&Script>) -> Vec<String> {
    script.map(|script| script.tile_sizes().into_iter().map(String::from).collect()).unwrap_or_default()
}

/// The value of every size parameter, unless what is asked for `is_symbolic` and only tiles are given sizes.
///
/// # Errors
/// As for [`sizes`].
pub fn sizes_unless(
    is_symbolic: bool,
    def: &Definition,
    source: &Source,
    (given, open): (&[Assignment], &[String]),
) -> Result<Option<Sizes>> {
    let of_tile = |size: &Assignment| open.contains(&size.name) && !def.sizes.contains(&size.name);
    if is_symbolic && given.iter().all(of_tile) {
        return Ok(None);
    }
    sizes(def, source, (given, open), None).map(Some)
}

/// The sizes among `given` that are those of the tiles that are `open`.
///
/// # Errors
/// One that is not a number, or negative.
pub fn tile_sizes(given: &[Assignment], open: &[String]) -> Result<BTreeMap<String, i64>> {
    let of_tiles = given.iter().filter(|assignment| open.contains(&assignment.name));
    of_tiles.map(|assignment| Ok((assignment.name.clone(), size(assignment)?))).collect()
}

/// The value of every size parameter, from `-s` and from the shapes of the inputs, and those of the tiles that are `open`.
///
/// # Errors
/// A size that is unknown, given twice, not a number, negative, or other than the inputs'.
pub fn sizes(
    def: &Definition,
    source: &Source,
    (assignments, open): (&[Assignment], &[String]),
    given: Option<&BTreeMap<String, Tensor>>,
) -> Result<Sizes> {
    let mut known: Vec<Option<(i64, String)>> = vec![None; def.sizes.len()];
    let mut tiles: Vec<Option<(i64, String)>> = vec![None; open.len()];
    for assignment in assignments {
        let place = |names: &[String]| names.iter().position(|name| *name == assignment.name);
        let known = match (place(&def.sizes), place(open)) {
            (Some(at), _) => &mut known[at],
            (None, Some(at)) => &mut tiles[at],
            (None, None) => return Err(no_such_size(def, open, assignment)),
        };
        learn(known, &assignment.name, size(assignment)?, "given with -s".into())?;
    }
    for input in def.inputs() {
        let Some(tensor) = given.and_then(|given| given.get(&input.name)) else { continue };
        if let Some((at, value)) = input.size.zip(tilewright::scalar(&tensor.view())) {
            learn(&mut known[at], &def.sizes[at], value, format!("the value of `{}`", input.name))?;
        }
        for (dim, (extent, &found)) in input.extent.iter().zip(tensor.shape()).enumerate() {
            if let Index::Param(at) = extent {
                let place = format!("dimension {dim} of `{}`", input.name);
                learn(&mut known[*at], &def.sizes[*at], found, place)?;
            }
        }
    }
    let missing: Vec<&str> =
        def.sizes.iter().zip(&known).filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if !missing.is_empty() {
        return Err(sizes_missing(def, &missing, given.is_some()));
    }
    let own: Vec<i64> = known.into_iter().flatten().map(|(value, _)| value).collect();
    let broken = def.check_sizes(&own);
    if !broken.is_empty() {
        return Err(Error::in_source(broken, source.clone()));
    }
    // A tile may be as large as a dimension.
    let of_definition = def.sizes.iter().zip(&own).filter(|(name, _)| open.contains(name));
    let of_tiles = open.iter().zip(&tiles).filter_map(|(name, value)| Some((name, &value.as_ref()?.0)));
    let tiles = of_definition.chain(of_tiles).map(|(name, value)| (name.clone(), *value)).collect();
    Ok(Sizes { own, tiles })
}

fn size(assignment: &Assignment) -> Result<i64> {
    let Assignment { name, value } = assignment;
    let wrong =
        |what: &str| Err(Error::user(Diagnostic::call("TC0931", format!("the size `{name}` is `{value}`: {what}"))));
    match value.parse::<i128>() {
        Ok(size) if size < 0 => wrong("a size is not negative"),
        Ok(size) => i64::try_from(size).or_else(|_| wrong("no tensor is so large")),
        Err(_) if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
            wrong("no tensor is so large")
        }
        Err(_) => wrong("a size is a whole number"),
    }
}

fn learn(known: &mut Option<(i64, String)>, name: &str, value: i64, place: String) -> Result<()> {
    match known {
        None => *known = Some((value, place)),
        Some((before, first)) if *before != value || *first == place => {
            let message = if *first == place && place.starts_with("given") {
                format!("the size `{name}` is given twice: {before} and {value}")
            } else {
                format!("the size `{name}` is {before} ({first}) and {value} ({place})")
            };
            return Err(Error::user(Diagnostic::call("TC0932", message)));
        }
        Some(_) => {}
    }
    Ok(())
}

fn no_such_size(def: &Definition, open: &[String], assignment: &Assignment) -> Error {
    let error = Diagnostic::call("TC0930", format!("`{}` has no size `{}`", def.name, assignment.name));
    let own = match def.sizes.is_empty() {
        true => "all its sizes are fixed".to_string(),
        false => format!("its sizes are {}", def.sizes.join(", ")),
    };
    Error::user(match (open.is_empty(), def.sizes.is_empty()) {
        (true, true) => error.help(format!("{own}: leave out -s")),
        (true, false) => error.help(own),
        (false, _) => error.help(format!("{own}; the script tiles by {}", open.join(", "))),
    })
}

/// `takes_inputs`: whether the subcommand reads tensors, whose shapes would do.
fn sizes_missing(def: &Definition, missing: &[&str], takes_inputs: bool) -> Error {
    let which = if missing.len() == 1 { "this size is" } else { "these sizes are" };
    let example: Vec<String> = missing.iter().map(|name| format!("{name}=128")).collect();
    let message = format!("{which} not known: {}", missing.join(", "));
    let inputs: Vec<&str> = def.inputs().map(|input| input.name.as_str()).collect();
    let files = if inputs.is_empty() || !takes_inputs {
        String::new()
    } else {
        format!(", or inputs with -i {}=…", inputs.join("=…, -i "))
    };
    Error::user(Diagnostic::call("TC0933", message).help(format!("give them with -s {}{files}", example.join(","))))
}

/// The tensors that files hold, by name.
fn read_inputs(def: &Definition, data: &Data) -> Result<BTreeMap<String, Tensor>> {
    let mut given = BTreeMap::new();
    for Assignment { name, value } in &data.inputs {
        let tensor = arguments(def).find(|tensor| tensor.name == *name && is_read(tensor));
        let Some(tensor) = tensor else { return Err(no_such_tensor(def, name, "input", is_read)) };
        if given.insert(name.clone(), read(tensor, Path::new(value))?).is_some() {
            return Err(twice("input", name));
        }
    }
    if let Some(dir) = &data.input_dir {
        for tensor in arguments(def).filter(|tensor| is_read(tensor)) {
            let path = dir.join(format!("{}.npy", tensor.name));
            let optional = tensor.role == Role::InOut && !path.exists();
            if !given.contains_key(&tensor.name) && !optional {
                given.insert(tensor.name.clone(), read(tensor, &path)?);
            }
        }
    }
    Ok(given)
}

fn read(tensor: &frontend_tc::Tensor, path: &Path) -> Result<Tensor> {
    let wanted =
        Wanted { name: &tensor.name, dtype: tilewright::runtime_dtype(tensor.dtype), rank: tensor.extent.len() };
    files::read(path, &wanted)
}

/// Which output goes to which file.
fn output_files(def: &Definition, data: &Data) -> Result<Vec<(String, PathBuf)>> {
    let is_output = |tensor: &frontend_tc::Tensor| tensor.role != Role::Input;
    let mut all: Vec<(String, PathBuf)> = Vec::new();
    for Assignment { name, value } in &data.outputs {
        if !def.outputs().any(|tensor| tensor.name == *name) {
            return Err(no_such_tensor(def, name, "output", is_output));
        }
        if all.iter().any(|(other, _)| other == name) {
            return Err(twice("output", name));
        }
        let path = PathBuf::from(value);
        files::check_name(&path)?;
        all.push((name.clone(), path));
    }
    if let Some(dir) = &data.output_dir {
        all.extend(def.outputs().map(|tensor| (tensor.name.clone(), dir.join(format!("{}.npy", tensor.name)))));
    }
    Ok(all)
}

fn no_such_tensor(def: &Definition, name: &str, what: &str, is_one: impl Fn(&frontend_tc::Tensor) -> bool) -> Error {
    let names: Vec<String> =
        arguments(def).filter(|tensor| is_one(tensor)).map(|tensor| format!("`{}`", tensor.name)).collect();
    let error = Diagnostic::call("TC0934", format!("`{}` has no {what} `{name}`", def.name));
    Error::user(if names.is_empty() { error } else { error.help(format!("its {what}s are {}", names.join(", "))) })
}

fn twice(what: &str, name: &str) -> Error {
    Error::user(Diagnostic::call("TC0934", format!("the {what} `{name}` is given twice")))
}

/// Refuses what the machine has no memory for, before any of it is asked for: the system would promise it and then
/// end the process.
fn fits_in_memory(def: &Definition, sizes: &[i64]) -> Result<()> {
    // What is updated is kept twice: before and after the call.
    let needed = def.tensors.iter().try_fold(0_u64, |sum, tensor| {
        let copies = if tensor.role == Role::Input { 1 } else { 2 };
        sum.checked_add(tensor_bytes(tensor, sizes)?.checked_mul(copies)?)
    });
    let free = available_memory();
    match (needed, free) {
        (Some(needed), None) if needed <= isize::MAX as u64 => Ok(()),
        (Some(needed), Some(free)) if needed <= free => Ok(()),
        (needed, free) => {
            let needed = needed.map_or("more bytes than can be counted".into(), gigabytes);
            let free = free.map_or(String::new(), |free| format!(", and this machine has {} free", gigabytes(free)));
            let message = format!("the tensors of `{}` take {needed}{free}", def.name);
            Err(Error::user(Diagnostic::call("TC0909", message).help("choose smaller sizes with -s")))
        }
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// What Linux says can be had without swapping.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn shape(tensor: &frontend_tc::Tensor, sizes: &[i64]) -> Result<Vec<i64>> {
    tensor_shape(tensor, sizes).ok_or_else(|| Error::bug(format!("the extents of `{}` overflow", tensor.name)))
}

fn fitting(argument: &frontend_tc::Tensor, tensor: Tensor, shape: &[i64]) -> Result<Tensor> {
    if tensor.shape() == shape {
        return Ok(tensor);
    }
    let message = format!("`{}` has the shape {:?}, but {shape:?} is needed", argument.name, tensor.shape());
    Err(Error::user(Diagnostic::call("TC0908", message)))
}

fn zeros(argument: &frontend_tc::Tensor, shape: &[i64]) -> Result<Tensor> {
    let no_memory = |error: runtime::TensorError| Error::user(Diagnostic::call("TC0909", error.to_string()));
    Tensor::zeros(tilewright::runtime_dtype(argument.dtype), shape).map_err(no_memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";

    fn solve(assignments: &[&str], inputs: &[(&str, &[i64])]) -> Result<Vec<i64>> {
        solve_with("", assignments, inputs).map(|sizes| sizes.own)
    }

    fn solve_with(script: &str, assignments: &[&str], inputs: &[(&str, &[i64])]) -> Result<Sizes> {
        let source = Source::new("mm.tc".into(), MM.into());
        let def = frontend_tc::check(MM).defs.remove(0);
        let assignments: Vec<Assignment> = assignments.iter().map(|text| text.parse().unwrap()).collect();
        let zeros = |shape| Tensor::zeros(runtime::DType::FLOAT32, shape).unwrap();
        let given = inputs.iter().map(|(name, shape)| (name.to_string(), zeros(shape))).collect();
        let open = open_sizes(Some(&script.parse().unwrap()));
        sizes(&def, &source, (&assignments, &open), Some(&given))
    }

    #[test]
    fn tiles_that_a_script_leaves_open_have_sizes() {
        let script = "tile C.update.m C.update.n by T N";
        let tiles = |assignments: &[&str]| {
            let sizes = solve_with(script, assignments, &[]).unwrap();
            assert_eq!(sizes.own.len(), 3);
            sizes.tiles.into_iter().map(|(name, size)| format!("{name}={size}")).collect::<Vec<_>>()
        };
        assert_eq!(tiles(&["M=1", "N=2", "K=3", "T=32"]), ["N=2", "T=32"]);
        assert_eq!(tiles(&["M=1", "N=2", "K=3"]), ["N=2"]);
        for (assignment, words) in [("U=1", "the script tiles by N, T"), ("T=x", "whole number")] {
            let error = solve_with(script, &[assignment], &[]).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let twice = solve_with(script, &["T=1", "T=2"], &[]).unwrap_err();
        assert!(twice.to_string().contains("given twice"), "{twice}");
    }

    #[track_caller]
    fn refused(assignments: &[&str], inputs: &[(&str, &[i64])], code: &str, words: &str) {
        let error = solve(assignments, inputs).unwrap_err();
        assert_eq!(error.diagnostics()[0].code, code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn sizes_come_from_options_and_inputs() {
        let sorted = |assignments: &[&str], inputs: &[(&str, &[i64])]| {
            let mut values = solve(assignments, inputs).unwrap();
            values.sort_unstable();
            values
        };
        assert_eq!(sorted(&["M=1", "N=2", "K=3"], &[]), [1, 2, 3]);
        assert_eq!(sorted(&["N=2"], &[("A", &[1, 3])]), [1, 2, 3]);
        assert_eq!(sorted(&["M=1"], &[("A", &[1, 3]), ("B", &[3, 2])]), [1, 2, 3]);
    }

    #[test]
    fn contradictions_are_refused() {
        refused(&["M=1", "N=2"], &[], "TC0933", "not known: K");
        refused(&["M=1"], &[], "TC0933", "-i A=…");
        refused(&["Q=1"], &[], "TC0930", "its sizes are M, K, N");
        refused(&["M=1", "M=2"], &[], "TC0932", "given twice");
        refused(&["M=1", "M=1"], &[], "TC0932", "given twice");
        refused(&["M=-1"], &[], "TC0931", "not negative");
        refused(&["M=x"], &[], "TC0931", "whole number");
        refused(&["M=99999999999999999999"], &[], "TC0931", "so large");
        refused(&["M=999999999999999999999999999999999999999999"], &[], "TC0931", "so large");
        refused(&["K=4"], &[("A", &[1, 3])], "TC0932", "`K` is 4 (given with -s) and 3 (dimension 1 of `A`)");
        refused(&[], &[("A", &[1, 3]), ("B", &[4, 2])], "TC0932", "dimension 0 of `B`");
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        let def = frontend_tc::check(MM).defs.remove(0);
        for size in [1 << 30, i64::MAX] {
            let error = fits_in_memory(&def, &[size, size, size]).unwrap_err();
            assert_eq!(error.diagnostics()[0].code, "TC0909", "{error}");
        }
        assert!(fits_in_memory(&def, &[10, 10, 10]).is_ok());
    }
}

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use polyhedral::isl;
use runtime::{Device, DeviceKernel, DeviceTensor, Pool, Stream, Tensor, TensorView, TensorViewMut};
use scheduler::Fusion;
use smallvec::SmallVec;
use support::{Diagnostic, Gpu, Remark, Severity, Target, Watch};
use transform::Script;

use crate::bind::{self, Known, Shape, Sizes};
use crate::builder::Program;
use crate::cache::{self, Kept, KernelCache};
use crate::compile::{self, Code, Options, StageTimes, Translated};
use crate::device;
use crate::error::Source;
use crate::routine::Routine;
use crate::{Definition, Error, Result};

/// Compiles definitions for one machine. Configured once; cheap to clone, `Send + Sync`.
///
/// ```
/// use tilewright::{Compiler, Tensor};
///
/// let compiler = Compiler::host().threads(1);
/// let twice = compiler.compile("def twice(float(N) A) -> (B) { B(i) = A(i) + A(i) }")?;
/// let b = twice.call(&[&Tensor::from_slice(&[1.0f32, 2.5], &[2])?])?;
/// assert_eq!(b.as_slice::<f32>()?, [2.0, 5.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    options: Arc<Options>,
    pool: Pool,
    /// The device that kernels run on, when it is not the processor, and what calls with tensors of the host are given to.
    device: Option<(Device, Arc<Stream>)>,
    cache: Option<KernelCache>,
}

impl Compiler {
    /// For this machine, with all its cores.
    pub fn host() -> Compiler {
        Compiler::new(crate::host_target())
    }

    /// For the machine that `target` describes; its kernels run here only when this machine can run them.
    pub fn new(target: Target) -> Compiler {
        Compiler { options: Arc::new(Options::new(target)), pool: Pool::global(), device: None, cache: None }
    }

    /// For a device that is open: [`Kernel::run`] copies tensors to it and back, [`Kernel::launch`] takes tensors that are
    /// there.
    ///
    /// ```
    /// use tilewright::{Compiler, Tensor, open_device};
    ///
    /// let Ok(device) = open_device("opencl") else { return Ok(()) };
    /// let compiler = Compiler::for_device(&device)?;
    /// let twice = compiler.compile("def twice(float(N) A) -> (B) { B(i) = A(i) + A(i) }")?;
    /// let a = Tensor::from_slice(&[1.0f32, 2.5], &[2])?;
    /// assert_eq!(twice.call(&[&a])?.as_slice::<f32>()?, [2.0, 5.0]);
    ///
    /// // Without copies between the steps, and without waiting for them:
    /// let stream = device.stream()?;
    /// let mut a = device.upload(&stream, &a.view())?;
    /// let mut b = device.allocate(a.dtype(), a.shape())?;
    /// for _ in 0..3 {
    ///     twice.launch(&stream, &[&a], &mut [&mut b])?;
    ///     std::mem::swap(&mut a, &mut b);
    /// }
    /// stream.synchronise()?;
    /// assert_eq!(device.download(&stream, &a)?.as_slice::<f32>()?, [8.0, 20.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the device is of no kind that is known, or gives no stream.
    pub fn for_device(device: &Device) -> Result<Compiler> {
        Compiler::for_device_as(device, device::figures(device.about())?)
    }

    /// As [`Compiler::for_device`], with the figures of a kind of device, such as an older one's; within the device's limits.
    ///
    /// # Errors
    /// As [`Compiler::for_device`].
    pub fn for_device_as(device: &Device, kind: Gpu) -> Result<Compiler> {
        let mut compiler = Compiler::host();
        Arc::make_mut(&mut compiler.options).device = Some(device::within(kind, device.about()));
        let stream = device.stream().map_err(device::error)?;
        compiler.device = Some((device.clone(), Arc::new(stream)));
        Ok(compiler)
    }

    /// Runs kernels on `threads` threads, with 1 on the calling thread alone; where the system does not give as many, on
    /// one for each core.
    pub fn threads(self, threads: usize) -> Compiler {
        self.with_pool(Pool::with_threads(threads).unwrap_or_default())
    }

    /// Runs kernels on the threads of `pool`, which may be the caller's own: see [`ForkJoin`](crate::ForkJoin).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use tilewright::{Compiler, Pool};
    ///
    /// let rayon = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build()?);
    /// let compiler = Compiler::host().with_pool(Pool::from(rayon));
    /// assert_eq!(compiler.target().threads, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_pool(mut self, pool: Pool) -> Compiler {
        Arc::make_mut(&mut self.options).target.threads = pool.threads().max(1) as u32;
        self.pool = pool;
        self
    }

    /// Makes one kernel for all sizes, at the first call or by [`Kernel::prepare`], in place of one for each: a shape that
    /// has not been seen costs microseconds. Specialised kernels, the default, are faster.
    ///
    /// ```
    /// use tilewright::{Compiler, Tensor};
    ///
    /// let compiler = Compiler::host().threads(1).symbolic(true);
    /// let ends = compiler.compile("def ends(float(N) A) -> (B) { B(i) = A(i + 2) - A(i) }")?;
    /// let b = ends.call(&[&Tensor::from_slice(&[1.0f32, 2.0, 4.0], &[3])?])?;
    /// assert_eq!(b.as_slice::<f32>()?, [3.0]);
    /// let b = ends.call(&[&Tensor::from_slice(&[1.0f32, 2.0, 4.0, 8.0], &[4])?])?;
    /// assert_eq!(b.as_slice::<f32>()?, [3.0, 6.0]);
    /// // What must hold of the sizes is checked at every call.
    /// let error = ends.call(&[&Tensor::from_slice(&[1.0f32], &[1])?]).unwrap_err();
    /// assert!(error.to_string().contains("these sizes break the condition 2 <= N: N = 1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn symbolic(mut self, symbolic: bool) -> Compiler {
        Arc::make_mut(&mut self.options).symbolic = symbolic;
        self
    }

    /// Takes from a folder what was compiled before, by this process or another one, and keeps there what it compiles. Without
    /// one, kernels are kept for as long as the compiler lives.
    pub fn cache(mut self, cache: KernelCache) -> Compiler {
        self.cache = Some(cache);
        self
    }

    /// Lets statements share loops by a strategy of Pluto's or Tensor Comprehensions' in place of predicted cost. It is for comparing
    /// schedules on a processor, and for programs that the prediction is wrong about; devices have a policy of their own.
    pub fn fusion(mut self, fusion: Fusion) -> Compiler {
        Arc::make_mut(&mut self.options).fusion = Some(fusion);
        self
    }

    /// Keeps the written order of reductions.
    pub fn strict(mut self, strict: bool) -> Compiler {
        Arc::make_mut(&mut self.options).strict = strict;
        self
    }

    /// Leaves out the run-time check of indirect subscripts: an index out of range is then undefined behaviour.
    pub fn trust_indices(mut self, trust: bool) -> Compiler {
        Arc::make_mut(&mut self.options).trust_indices = trust;
        self
    }

    /// Replays `script` in place of the automatic schedule.
    pub fn script(mut self, script: Script) -> Compiler {
        Arc::make_mut(&mut self.options).script = Some(script);
        self
    }

    /// The value of a size that the script tiles by: `tile … by T`.
    pub fn tile_size(mut self, name: impl Into<String>, size: i64) -> Compiler {
        Arc::make_mut(&mut self.options).tile_sizes.insert(name.into(), size);
        self
    }

    /// The values of several such sizes.
    pub fn tile_sizes(mut self, sizes: impl IntoIterator<Item = (String, i64)>) -> Compiler {
        Arc::make_mut(&mut self.options).tile_sizes.extend(sizes);
        self
    }

    /// The device that its kernels run on, when it is not the processor.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref().map(|(device, _)| device)
    }

    /// The figures of the device that it compiles for, when it is not the processor.
    pub fn gpu(&self) -> Option<&Gpu> {
        self.options.device.as_ref()
    }

    /// What it compiles for; of a device, its host.
    pub fn target(&self) -> &Target {
        &self.options.target
    }

    /// The threads that its kernels run on.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The only definition of `text`. Machine code is made when the shapes are known: at the first call, or by
    /// [`Kernel::prepare`].
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn compile(&self, text: &str) -> Result<Kernel> {
        self.kernel(text, None)
    }

    /// The definition of `text` with that name.
    ///
    /// # Errors
    /// As [`Compiler::compile`], and when no definition has that name.
    pub fn compile_def(&self, text: &str, name: &str) -> Result<Kernel> {
        self.kernel(text, Some(name))
    }

    fn kernel(&self, text: &str, name: Option<&str>) -> Result<Kernel> {
        let source = Source::load("<tc>".into(), text.into(), &mut |_, _| None);
        let (defs, _warnings) = check(&source)?;
        Ok(self.definition_in(select(defs, name)?, source))
    }

    /// A kernel of a checked definition.
    pub fn definition(&self, def: Definition) -> Kernel {
        self.routine(Arc::new(Routine::of_definition(def, None)))
    }

    /// A kernel of a checked definition of `source`, which is shown where something is refused.
    pub fn definition_in(&self, def: Definition, source: Source) -> Kernel {
        self.routine(Arc::new(Routine::of_definition(def, Some(source))))
    }

    /// A kernel of a program that was [built in Rust](crate::builder). Tensors that it changes in place are passed to
    /// [`Kernel::run`] as outputs.
    ///
    /// ```
    /// use tilewright::builder::Program;
    /// use tilewright::{Compiler, DType, Tensor};
    ///
    /// // Every shortest path of a graph, in place.
    /// let floyd = Program::build("floyd", |p| {
    ///     let n = p.size("N");
    ///     let d = p.inout("D", DType::I64, [n, n]);
    ///     p.each("k", 0, n, |k| {
    ///         p.each("i", 0, n, |i| {
    ///             p.each("j", 0, n, |j| {
    ///                 p.set(d.at([i, j]), d.at([i, j]).min(d.at([i, k]) + d.at([k, j])));
    ///             });
    ///         });
    ///     });
    /// })?;
    /// let floyd = Compiler::host().threads(1).compile_program(&floyd);
    /// let mut d = Tensor::from_slice(&[0i64, 4, 9, 9, 0, 3, 2, 9, 0], &[3, 3])?;
    /// floyd.run(&[], &mut [&mut d])?;
    /// assert_eq!(d.as_slice::<i64>()?, [0, 4, 7, 5, 0, 3, 2, 6, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compile_program(&self, program: &Program) -> Kernel {
        self.routine(program.routine.clone())
    }

    fn routine(&self, routine: Arc<Routine>) -> Kernel {
        let given = SmallVec::from_elem(None, routine.sizes.len());
        let (compiler, translations, variants) = (self.clone(), RwLock::default(), RwLock::default());
        Kernel { shared: Arc::new(Shared { routine, compiler, translations, variants }), given }
    }
}

/// Checks a text: its definitions and the warnings.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn check(source: &Source) -> Result<(Vec<frontend_tc::Kernel>, Vec<Diagnostic>)> {
    let checked = match &source.sources {
        Some(sources) => frontend_tc::check_sources(sources),
        None => frontend_tc::check(&source.text),
    };
    if checked.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(Error::in_source(checked.diagnostics, source.clone()));
    }
    Ok((checked.defs, checked.diagnostics))
}

/// The definition that `name` asks for, or the only one.
///
/// # Errors
/// When there is none or several, with their names.
pub fn select(defs: Vec<frontend_tc::Kernel>, name: Option<&str>) -> Result<frontend_tc::Kernel> {
    let names: Vec<String> = defs.iter().map(|def| format!("`{}`", def.name)).collect();
    let wrong = |code, message: String| {
        let error = Diagnostic::call(code, message);
        Error::user(if names.is_empty() {
            error
        } else {
            error.help(format!("the definitions are {}", names.join(", ")))
        })
    };
    match (name, defs.len()) {
        (_, 0) => Err(wrong("TC0901", "the text has no definition".into())),
        (None, 1) => Ok(defs.into_iter().next().expect("there is one")),
        (None, _) => Err(wrong("TC0902", "the text has several definitions: one must be named".into())),
        (Some(name), _) => defs
            .into_iter()
            .find(|def| def.name == name)
            .ok_or_else(|| wrong("TC0903", format!("no definition is called `{name}`"))),
    }
}

/// A definition or program that can be called with tensors of any fitting shape; each shape is compiled at its first sight
/// and kept. Cheap to clone, `Send + Sync`: any number of threads may call it.
#[derive(Clone)]
pub struct Kernel {
    shared: Arc<Shared>,
    /// Sizes that the caller has given.
    given: Known,
}

struct Shared {
    routine: Arc<Routine>,
    compiler: Compiler,
    /// What was compiled for all sizes.
    translations: RwLock<BTreeMap<Strided, Arc<Open>>>,
    variants: RwLock<BTreeMap<Key, Arc<Variant>>>,
}

/// A definition compiled for all sizes.
struct Open {
    made: Made,
    /// Ready to be called with the first sizes that were asked for.
    loaded: Loaded,
    compile_time: Duration,
}

/// What comes of compiling, and how long each stage took.
struct Made {
    form: Form,
    stages: StageTimes,
    /// What was not done.
    remarks: Vec<Remark>,
}

/// Compiled now, or before.
enum Form {
    Translated(Box<Translated>),
    Kept(Box<Kept>),
}

impl Made {
    /// The code for these sizes.
    fn code(&self, names: &[String], sizes: &[i64], options: &Options) -> Result<Code> {
        match &self.form {
            Form::Translated(translated) => translated.code(names, sizes, options),
            Form::Kept(kept) => kept.code(sizes),
        }
    }

    /// `loaded` is its code for these sizes.
    fn variant(&self, loaded: Loaded, sizes: &[i64], compile_time: Duration) -> Variant {
        let (script, was_kept) = match &self.form {
            Form::Translated(translated) => (translated.script.clone(), false),
            Form::Kept(kept) => (kept.script.clone(), true),
        };
        let (remarks, stages) = (self.remarks.clone(), self.stages.clone());
        Variant { loaded, sizes: sizes.to_vec(), script, remarks, stages, compile_time, was_kept }
    }
}

/// Variants of one kernel for all sizes that are kept: programs may call it with new sizes without end.
const MAX_OPEN_VARIANTS: usize = 1024;

/// What a variant is compiled for: the sizes, then for each argument whether its strides are its own.
type Key = (Sizes, Strided);

/// For each argument, inputs first, whether its strides are its own; empty when none are.
type Strided = SmallVec<[bool; 12]>;

type Views<'a> = SmallVec<[TensorView<'a>; 12]>;
type ViewsMut<'a> = SmallVec<[TensorViewMut<'a>; 12]>;

/// A definition compiled for one set of sizes, or for all and called with one.
pub struct Variant {
    loaded: Loaded,
    /// The values of the size parameters.
    pub sizes: Vec<i64>,
    /// The schedule, as a script that replays.
    pub script: Script,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
    /// How long each stage took.
    pub stages: StageTimes,
    /// How long it took from the definition to callable code.
    pub compile_time: Duration,
    /// Whether it was found in the [cache](Compiler::cache).
    pub was_kept: bool,
}

/// Code that can be called.
enum Loaded {
    Host(runtime::Kernel),
    Device(DeviceKernel),
}

impl Loaded {
    fn of(code: &Code, compiler: &Compiler) -> Result<Loaded> {
        match (code, compiler.device()) {
            (Code::Host(code), _) => runtime::Kernel::load(code).map(Loaded::Host).map_err(Error::bug),
            (Code::Device(code), Some(device)) => device.load(code).map(Loaded::Device).map_err(device::error),
            (Code::Device(_), None) => Err(Error::bug("there is no device for kernels")),
        }
    }

    /// For other sizes, in the memory of this one where the code is the same.
    fn beside(&self, code: &Code, compiler: &Compiler) -> Result<Loaded> {
        match (self, code) {
            (Loaded::Host(kernel), Code::Host(code)) => kernel.load_beside(code).map(Loaded::Host).map_err(Error::bug),
            (Loaded::Device(kernel), Code::Device(code)) => {
                kernel.load_beside(code).map(Loaded::Device).map_err(device::error)
            }
            _ => Loaded::of(code, compiler),
        }
    }
}

impl Variant {
    /// What the code takes, shapes and all.
    pub fn signature(&self) -> &runtime::Signature {
        match &self.loaded {
            Loaded::Host(kernel) => kernel.signature(),
            Loaded::Device(kernel) => kernel.signature(),
        }
    }

    /// The mapped code, when it is for the processor.
    pub fn kernel(&self) -> Option<&runtime::Kernel> {
        match &self.loaded {
            Loaded::Host(kernel) => Some(kernel),
            Loaded::Device(_) => None,
        }
    }

    /// The kernels, when they are of a device.
    pub fn device_kernel(&self) -> Option<&DeviceKernel> {
        match &self.loaded {
            Loaded::Host(_) => None,
            Loaded::Device(kernel) => Some(kernel),
        }
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [TensorViewMut<'_>], compiler: &Compiler) -> Result<()> {
        match (&self.loaded, &compiler.device) {
            (Loaded::Host(kernel), _) => kernel.run(inputs, outputs, &compiler.pool).map_err(bind::call),
            (Loaded::Device(kernel), Some((_, stream))) => kernel.run(stream, inputs, outputs).map_err(device::error),
            (Loaded::Device(_), None) => Err(Error::bug("there is no device for kernels")),
        }
    }
}

/// Something that can be read as a tensor.
pub trait AsTensor {
    /// A view of it.
    fn view(&self) -> TensorView<'_>;
}

/// Something that can be written as a tensor.
pub trait AsTensorMut {
    /// A view of it.
    fn view_mut(&mut self) -> TensorViewMut<'_>;
}

impl AsTensor for Tensor {
    fn view(&self) -> TensorView<'_> {
        Tensor::view(self)
    }
}

impl AsTensor for TensorView<'_> {
    fn view(&self) -> TensorView<'_> {
        self.clone()
    }
}

impl AsTensorMut for Tensor {
    fn view_mut(&mut self) -> TensorViewMut<'_> {
        Tensor::view_mut(self)
    }
}

impl AsTensorMut for TensorViewMut<'_> {
    fn view_mut(&mut self) -> TensorViewMut<'_> {
        self.reborrow()
    }
}

impl Kernel {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.shared.routine.name
    }

    /// The names of its sizes, in the order of [`Kernel::prepare_sizes`].
    pub fn sizes(&self) -> &[String] {
        &self.shared.routine.sizes
    }

    /// The checked definition; none of a program that was built in Rust.
    pub fn definition(&self) -> Option<&Definition> {
        self.shared.routine.definition()
    }

    /// The same kernel with some sizes given, such as those that are in no tensor's shape: numbers of steps. What is
    /// compiled for one is there for the other.
    ///
    /// # Errors
    /// When no size has such a name.
    pub fn with_sizes(&self, sizes: &[(&str, i64)]) -> Result<Kernel> {
        let mut kernel = self.clone();
        for &(name, size) in sizes {
            let at = self.sizes().iter().position(|own| own == name).ok_or_else(|| self.no_size(name))?;
            kernel.given[at] = Some(size);
        }
        Ok(kernel)
    }

    fn no_size(&self, name: &str) -> Error {
        let error = Diagnostic::call("TC0930", format!("`{}` has no size `{name}`", self.name()));
        Error::user(match self.sizes() {
            [] => error,
            sizes => error.help(format!("its sizes are {}", sizes.join(", "))),
        })
    }

    /// Calls it and allocates its only output.
    ///
    /// # Errors
    /// When the arguments do not fit, when an indirect subscript is out of range, or when there are several outputs.
    pub fn call(&self, inputs: &[&dyn AsTensor]) -> Result<Tensor> {
        let mut outputs = self.call_all(inputs)?;
        match outputs.len() {
            1 => Ok(outputs.remove(0)),
            n => Err(Error::user(
                Diagnostic::call("TC0904", format!("`{}` has {n} outputs", self.name())).help("use `call_all`"),
            )),
        }
    }

    /// Calls it and allocates its outputs; what it updates (`+=` without a definition before) starts as zeros.
    ///
    /// # Errors
    /// As [`Kernel::call`].
    pub fn call_all(&self, inputs: &[&dyn AsTensor]) -> Result<Vec<Tensor>> {
        let views: Views<'_> = inputs.iter().map(|input| input.view()).collect();
        let variant = self.variant(&views, &[])?;
        let zeros = |argument: &runtime::Argument| Tensor::zeros(argument.dtype, &argument.shape);
        let mut outputs = variant
            .signature()
            .outputs()
            .map(zeros)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(bind::tensor)?;
        let mut targets: ViewsMut<'_> = outputs.iter_mut().map(|output| output.view_mut()).collect();
        variant.run(&views, &mut targets, &self.shared.compiler)?;
        drop(targets);
        Ok(outputs)
    }

    /// Calls it with memory of the caller for everything; allocates nothing once the shape has been seen.
    ///
    /// # Errors
    /// When an argument does not fit: then nothing has been written. When an indirect subscript is out of range: then
    /// some elements of the outputs may have been.
    pub fn run(&self, inputs: &[&dyn AsTensor], outputs: &mut [&mut dyn AsTensorMut]) -> Result<()> {
        let views: Views<'_> = inputs.iter().map(|input| input.view()).collect();
        let mut targets: ViewsMut<'_> = outputs.iter_mut().map(|output| output.view_mut()).collect();
        let variant = self.variant(&views, &targets)?;
        variant.run(&views, &mut targets, &self.shared.compiler)
    }

    /// Gives it to a stream of the device that the [compiler is for](Compiler::for_device), with tensors that are there, and
    /// returns. What a check of a subscript finds is said by [`Stream::synchronise`].
    ///
    /// The value of a scalar that is a size is not read from the device: [`Kernel::with_sizes`] gives it.
    ///
    /// # Errors
    /// When an argument does not fit: then nothing has been started. When the device refuses.
    pub fn launch(&self, stream: &Stream, inputs: &[&DeviceTensor], outputs: &mut [&mut DeviceTensor]) -> Result<()> {
        let is_strided = |tensor: &DeviceTensor| !is_dense(tensor.shape(), tensor.strides()) || !tensor.is_aligned();
        let inputs_strided = inputs.iter().map(|input| is_strided(input));
        let strided: Strided = inputs_strided.chain(outputs.iter().map(|output| is_strided(output))).collect();
        let sizes = {
            let of = |dtype, extent| Shape { extent, dtype: Some(dtype), value: None };
            let shapes = inputs.iter().map(|input| of(input.dtype(), input.shape()));
            self.bound(shapes, outputs.iter().map(|output| of(output.dtype(), output.shape())))?
        };
        let variant = self.compiled((sizes, if strided.contains(&true) { strided } else { Strided::new() }))?;
        let Some(kernel) = variant.device_kernel() else {
            let message = format!("`{}` is compiled for the processor, and was given tensors of a device", self.name());
            return Err(Error::user(Diagnostic::call("TC0910", message).help("use `Compiler::for_device`")));
        };
        kernel.launch(stream, inputs, outputs).map_err(device::error)
    }

    /// Compiles it for inputs of these shapes, row-major; what a first call would do.
    ///
    /// # Errors
    /// When the shapes do not fit, or a script is refused.
    pub fn prepare(&self, shapes: &[&[i64]]) -> Result<Arc<Variant>> {
        let shapes = shapes.iter().map(|&extent| Shape { extent, dtype: None, value: None });
        self.compiled((self.bound(shapes, [].into_iter())?, SmallVec::new()))
    }

    /// Compiles it for these values of its size parameters, all of them.
    ///
    /// # Errors
    /// As [`Kernel::prepare`].
    pub fn prepare_sizes(&self, sizes: &[i64]) -> Result<Arc<Variant>> {
        if sizes.len() != self.sizes().len() {
            let (name, expected) = (self.name(), self.sizes().len());
            let message = format!("`{name}` expected {expected} sizes, found {}", sizes.len());
            let help = format!("its sizes are {}", self.sizes().join(", "));
            return Err(Error::user(Diagnostic::call("TC0908", message).help(help)));
        }
        bind::preconditions(&self.shared.routine, sizes).map_err(|error| self.shown(error))?;
        self.compiled((SmallVec::from_slice(sizes), SmallVec::new()))
    }

    /// The sizes of a call.
    fn bound<'a>(
        &self,
        inputs: impl ExactSizeIterator<Item = Shape<'a>> + Clone,
        outputs: impl Iterator<Item = Shape<'a>>,
    ) -> Result<Sizes> {
        bind::sizes(&self.shared.routine, &self.given, inputs, outputs).map_err(|error| self.shown(error))
    }

    /// The error with the program's text.
    fn shown(&self, error: Error) -> Error {
        match &self.shared.routine.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn variant(&self, inputs: &[TensorView<'_>], outputs: &[TensorViewMut<'_>]) -> Result<Arc<Variant>> {
        let shapes = inputs.iter().map(Shape::of);
        let results = outputs.iter().map(|view| Shape { extent: view.shape(), dtype: Some(view.dtype()), value: None });
        let sizes = self.bound(shapes, results)?;
        if self.shared.compiler.device.is_some() {
            // Copies on the device are in row-major order.
            return self.compiled((sizes, Strided::new()));
        }
        let dense = inputs.iter().map(|view| is_dense(view.shape(), view.strides()));
        let strided: Strided = dense
            .chain(outputs.iter().map(|view| is_dense(view.shape(), view.strides())))
            .map(|dense| !dense)
            .collect();
        self.compiled((sizes, if strided.contains(&true) { strided } else { Strided::new() }))
    }

    fn compiled(&self, key: Key) -> Result<Arc<Variant>> {
        let known = self.shared.variants.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(variant) = known {
            return Ok(variant);
        }
        // Two threads may compile the same variant at once; the first to finish is kept.
        let variant = self.compile_variant(&key).map_err(|error| self.shown(error))?;
        let variant = Arc::new(variant);
        let mut variants = self.shared.variants.write().unwrap_or_else(PoisonError::into_inner);
        if self.shared.compiler.options.symbolic && variants.len() >= MAX_OPEN_VARIANTS {
            variants.clear();
        }
        Ok(variants.entry(key).or_insert(variant).clone())
    }

    fn compile_variant(&self, key: &Key) -> Result<Variant> {
        let (sizes, strided) = key;
        let (routine, options) = (&self.shared.routine, &self.shared.compiler.options);
        if options.symbolic {
            routine.check_sizes(sizes)?;
            let open = self.open(key)?;
            let code = open.made.code(&routine.sizes, sizes, options)?;
            let loaded = open.loaded.beside(&code, &self.shared.compiler)?;
            return Ok(open.made.variant(loaded, sizes, open.compile_time));
        }
        let start = Instant::now();
        let made = self.made(Some(sizes), strided)?;
        let code = made.code(&routine.sizes, sizes, options)?;
        let loaded = Loaded::of(&code, &self.shared.compiler)?;
        Ok(made.variant(loaded, sizes, start.elapsed()))
    }

    /// What is compiled for all sizes, now if it has not been.
    fn open(&self, (sizes, strided): &Key) -> Result<Arc<Open>> {
        let Shared { routine, compiler, translations, .. } = &*self.shared;
        let known = translations.read().unwrap_or_else(PoisonError::into_inner).get(strided).cloned();
        if let Some(open) = known {
            return Ok(open);
        }
        let start = Instant::now();
        let made = self.made(None, strided)?;
        let code = made.code(&routine.sizes, sizes, &compiler.options)?;
        let loaded = Loaded::of(&code, compiler)?;
        let open = Arc::new(Open { made, loaded, compile_time: start.elapsed() });
        let mut translations = translations.write().unwrap_or_else(PoisonError::into_inner);
        Ok(translations.entry(strided.clone()).or_insert(open).clone())
    }

    /// What was kept for these sizes, or for all, or else is compiled and kept.
    fn made(&self, sizes: Option<&[i64]>, strided: &[bool]) -> Result<Made> {
        let Shared { routine, compiler: Compiler { cache, options, .. }, .. } = &*self.shared;
        let Some(cache) = cache else { return self.translated(sizes, strided) };
        let start = Instant::now();
        let key = cache::key(routine, sizes, strided, options);
        if let Some(kept) = cache.get(&key) {
            let (remarks, stages) = (kept.remarks.clone(), vec![("cache", start.elapsed())]);
            return Ok(Made { form: Form::Kept(Box::new(kept)), stages, remarks });
        }
        let mut made = self.translated(sizes, strided)?;
        if let Form::Translated(translated) = &made.form
            && let Err(why) = Kept::of(translated, routine, sizes, options).and_then(|kept| cache.put(&key, &kept))
        {
            made.remarks.push(Remark::new("cache", &routine.name, "the kernel is not kept for the next process", why));
        }
        Ok(made)
    }

    /// The loops and the machine code for these sizes, or for all.
    fn translated(&self, sizes: Option<&[i64]>, strided: &[bool]) -> Result<Made> {
        let mut stages = StageTimes::new();
        let mut last = Instant::now();
        let mut sink = |stage: &'static str, _: &dyn fmt::Display| {
            stages.push((stage, last.elapsed()));
            last = Instant::now();
        };
        let scop = self.shared.routine.scop(&isl::Ctx::new(), sizes)?;
        let options = &self.shared.compiler.options;
        let translated = compile::translate(scop, strided, options, &mut Watch::new(&mut sink))?;
        let remarks = translated.remarks.clone();
        Ok(Made { form: Form::Translated(Box::new(translated)), stages, remarks })
    }
}

/// Whether strides are those of row-major order; of a dimension with fewer than two elements the stride does not count.
fn is_dense(shape: &[i64], strides: &[i64]) -> bool {
    let mut dense = 1;
    shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
        let fits = extent < 2 || stride == dense;
        dense *= extent.max(1);
        fits
    })
}

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use runtime::{Pool, Tensor, TensorView, TensorViewMut};
use smallvec::SmallVec;
use support::{Diagnostic, Remark, Severity, Target, Watch};
use transform::Script;

use crate::bind::{self, Shape, Sizes};
use crate::compile::{self, Compiled, Options, StageTimes};
use crate::error::Source;
use crate::{Error, Result};

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
}

impl Compiler {
    /// For this machine, with all its cores.
    pub fn host() -> Compiler {
        Compiler::new(crate::host_target())
    }

    /// For the machine that `target` describes; its kernels run here only when this machine can run them.
    pub fn new(target: Target) -> Compiler {
        Compiler { options: Arc::new(Options::new(target)), pool: Pool::global() }
    }

    /// Runs kernels on `threads` threads; with 1 on the calling thread alone.
    ///
    /// # Panics
    /// When the system gives no threads.
    pub fn threads(mut self, threads: usize) -> Compiler {
        self.pool = Pool::with_threads(threads).expect("the system gives threads");
        Arc::make_mut(&mut self.options).target.threads = threads.max(1) as u32;
        self
    }

    /// Runs kernels on the caller's threads.
    pub fn with_pool(mut self, pool: Pool) -> Compiler {
        Arc::make_mut(&mut self.options).target.threads = pool.threads() as u32;
        self.pool = pool;
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

    /// What it compiles for.
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
        let source = Source { name: "<tc>".into(), text: text.into() };
        let (defs, _warnings) = check(&source)?;
        Ok(self.definition(select(defs, name)?))
    }

    /// A kernel of a checked definition.
    pub fn definition(&self, def: frontend_tc::Kernel) -> Kernel {
        Kernel { shared: Arc::new(Shared { def, compiler: self.clone(), variants: RwLock::default() }) }
    }
}

/// Checks a text: its definitions and the warnings.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn check(source: &Source) -> Result<(Vec<frontend_tc::Kernel>, Vec<Diagnostic>)> {
    let checked = frontend_tc::check(&source.text);
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

/// A definition that can be called with tensors of any fitting shape; each shape is compiled at its first sight and kept.
/// Cheap to clone, `Send + Sync`: any number of threads may call it.
#[derive(Clone)]
pub struct Kernel {
    shared: Arc<Shared>,
}

struct Shared {
    def: frontend_tc::Kernel,
    compiler: Compiler,
    variants: RwLock<BTreeMap<Key, Arc<Variant>>>,
}

/// What a variant is compiled for: the sizes, then for each argument whether its strides are its own.
type Key = (Sizes, Strided);

/// For each argument, inputs first, whether its strides are its own; empty when none are.
type Strided = SmallVec<[bool; 12]>;

type Views<'a> = SmallVec<[TensorView<'a>; 12]>;
type ViewsMut<'a> = SmallVec<[TensorViewMut<'a>; 12]>;

/// A definition compiled for one set of sizes.
pub struct Variant {
    kernel: runtime::Kernel,
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
}

impl Variant {
    /// What the machine code takes, shapes and all.
    pub fn signature(&self) -> &runtime::Signature {
        self.kernel.signature()
    }

    /// The mapped code.
    pub fn kernel(&self) -> &runtime::Kernel {
        &self.kernel
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
    /// The checked definition.
    pub fn definition(&self) -> &frontend_tc::Kernel {
        &self.shared.def
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
                Diagnostic::call("TC0904", format!("`{}` has {n} outputs", self.shared.def.name))
                    .help("use `call_all`"),
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
        variant.kernel.run(&views, &mut targets, &self.shared.compiler.pool).map_err(bind::call)?;
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
        variant.kernel.run(&views, &mut targets, &self.shared.compiler.pool).map_err(bind::call)
    }

    /// Compiles it for inputs of these shapes, row-major; what a first call would do.
    ///
    /// # Errors
    /// When the shapes do not fit, or a script is refused.
    pub fn prepare(&self, shapes: &[&[i64]]) -> Result<Arc<Variant>> {
        let shapes = shapes.iter().map(|&extent| Shape { extent, dtype: None });
        let sizes = bind::sizes(&self.shared.def, shapes)?;
        self.compiled((sizes, SmallVec::new()))
    }

    /// Compiles it for these values of its size parameters.
    ///
    /// # Errors
    /// As [`Kernel::prepare`].
    pub fn prepare_sizes(&self, sizes: &[i64]) -> Result<Arc<Variant>> {
        bind::preconditions(&self.shared.def, sizes)?;
        self.compiled((SmallVec::from_slice(sizes), SmallVec::new()))
    }

    fn variant(&self, inputs: &[TensorView<'_>], outputs: &[TensorViewMut<'_>]) -> Result<Arc<Variant>> {
        let shapes = inputs.iter().map(|view| Shape { extent: view.shape(), dtype: Some(view.dtype()) });
        let sizes = bind::sizes(&self.shared.def, shapes)?;
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
        let variant = Arc::new(self.compile_variant(&key)?);
        let mut variants = self.shared.variants.write().unwrap_or_else(PoisonError::into_inner);
        Ok(variants.entry(key).or_insert(variant).clone())
    }

    fn compile_variant(&self, (sizes, strided): &Key) -> Result<Variant> {
        let mut stages = StageTimes::new();
        let start = Instant::now();
        let Compiled { code, script, remarks } = {
            let mut last = start;
            let mut sink = |stage: &'static str, _: &dyn fmt::Display| {
                stages.push((stage, last.elapsed()));
                last = Instant::now();
            };
            compile::compile(
                &self.shared.def,
                sizes,
                strided,
                &self.shared.compiler.options,
                &mut Watch::new(&mut sink),
            )?
        };
        let kernel = runtime::Kernel::load(&code).map_err(Error::bug)?;
        let compile_time = start.elapsed();
        Ok(Variant { kernel, sizes: sizes.to_vec(), script, remarks, stages, compile_time })
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

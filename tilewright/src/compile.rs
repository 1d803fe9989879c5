//! The pipeline: one line per stage.

use std::collections::BTreeMap;
use std::time::Duration;

use codegen::gpu::{self, Kernels, Language};
use codegen::{FullTiles, Program, llvm};
use polyhedral::{Scop, isl};
use runtime::{DeviceCode, Formula, OpenCode, OpenDeviceCode};
use scheduler::Fusion;
use support::{Diagnostic, Gpu, KernelCode, Remark, Stage, Target, Watch, with_deep_stack};
use transform::{Policy, Scheduled, Script, Session};

use crate::device;
use crate::parts::{self, Divided, Joined};
use crate::refusal::{explained, refused, unmapped};
use crate::{Error, Result};

/// What the compiler may do. Plain data, handed in.
#[derive(Clone, Debug)]
pub struct Options {
    /// The machine to compile for; of a device, its host.
    pub target: Target,
    /// The device to compile for, when it is not the processor.
    pub device: Option<Gpu>,
    /// Replayed in place of the automatic schedule, which stands where the script says `auto`.
    pub script: Option<Script>,
    /// One kernel for all sizes, in place of one for each.
    pub symbolic: bool,
    /// What shares loops on a processor; by cost unless given.
    pub fusion: Option<Fusion>,
    /// Keep the written order of reductions.
    pub strict: bool,
    /// No run-time check of indirect subscripts.
    pub trust_indices: bool,
    /// Sizes of tiles that the script leaves open: `tile … by T`.
    pub tile_sizes: BTreeMap<String, i64>,
}

impl Options {
    /// The defaults for a machine.
    pub fn new(target: Target) -> Options {
        let (device, script, fusion, tile_sizes) = (None, None, None, BTreeMap::new());
        Options { target, device, script, symbolic: false, fusion, strict: false, trust_indices: false, tile_sizes }
    }
}

/// A compiled definition for the sizes of a call: machine code, and what is to be said of it.
pub struct Compiled {
    /// Ready to be mapped, or to be kept in a file.
    pub code: runtime::Code,
    /// The schedule, as a script that replays.
    pub script: Script,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
}

/// Machine code, or kernels, and the loops that they were made of, for every size that they leave open.
pub(crate) struct Translated {
    program: Program,
    built: Built,
    /// The schedule, as a script that replays.
    pub script: Script,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
}

/// What a back end makes of loops.
enum Built {
    Object(llvm::Object),
    Kernels(Box<Kernels>),
}

/// The code of a definition for the sizes of a call.
pub(crate) enum Code {
    Host(runtime::Code),
    Device(DeviceCode),
}

/// How long each stage took, in order.
pub type StageTimes = Vec<(&'static str, Duration)>;

/// A definition and its sizes to machine code, which [`Options::symbolic`] makes for all sizes. Each line is a stage;
/// each stage is one function of one crate.
///
/// `strided` says of each argument, inputs first, whether only the call knows its strides; empty when none.
///
/// # Errors
/// A script that does not fit or is not legal; anything else is a bug of ours and says so.
pub fn compile(
    def: &frontend_tc::Kernel,
    sizes: &[i64],
    strided: &[bool],
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<Compiled> {
    let scop = match options.symbolic {
        true => frontend_tc::lower(def, &isl::Ctx::new())?,
        false => frontend_tc::lower_at(def, &isl::Ctx::new(), sizes)?,
    };
    let translated = translate(scop, strided, options, watch)?;
    let code = match translated.code(&def.sizes, sizes, options)? {
        Code::Host(code) => code,
        Code::Device(_) => return Err(Error::bug("kernels of a device are no machine code")),
    };
    Ok(Compiled { code, script: translated.script, remarks: translated.remarks })
}

/// The stages after the front end's, for a program whose sizes are fixed, or for all sizes of one whose are not.
pub(crate) fn translate(scop: Scop, strided: &[bool], options: &Options, watch: &mut Watch<'_>) -> Result<Translated> {
    translate_as(scop, None, strided, options, watch)
}

/// As [`translate`]; `entry` is the symbol of machine code that others see, unless it is named after the program.
pub(crate) fn translate_as(
    scop: Scop,
    entry: Option<&str>,
    strided: &[bool],
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<Translated> {
    with_deep_stack(|| translated(scop, entry, strided, options, watch))
}

fn translated(
    scop: Scop,
    entry: Option<&str>,
    strided: &[bool],
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<Translated> {
    let scop = watch.at(scop)?;
    if let Some(device) = &options.device {
        return translated_for(device, scop, strided, options, watch);
    }
    if let Some(divided) = parts::divided(&scop, strided, options)? {
        return translated_in_parts(&divided, strided, entry, options, watch);
    }
    let mut scheduled = watch.at(schedule(scop, options)?)?;
    let program = watch.at(program(&mut scheduled, strided, options)?)?;
    let (script, remarks) = (scheduled.script, scheduled.remarks);
    object(program, script, remarks, entry, options, watch)
}

/// The same for a large program, whose parts are scheduled and lowered by themselves.
fn translated_in_parts(
    divided: &Divided,
    strided: &[bool],
    entry: Option<&str>,
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<Translated> {
    let Joined { program, script, remarks, .. } = divided.joined(strided, options)?;
    watch.passed("parts");
    let program = watch.at(program)?;
    object(program, script, remarks, entry, options, watch)
}

/// The last stage of a processor.
fn object(
    program: Program,
    script: Script,
    remarks: Vec<Remark>,
    entry: Option<&str>,
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<Translated> {
    let named = llvm::Options { entry: entry.map(String::from), ..llvm::Options::default() };
    let object = llvm::compile(&program, &options.target, &named).map_err(target)?;
    watch.passed("object");
    Ok(Translated { program, built: Built::Object(object), script, remarks })
}

/// The stages of a device.
fn translated_for(
    device: &Gpu,
    scop: Scop,
    strided: &[bool],
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<Translated> {
    let (program, script, remarks) = launches(scop, device, strided, options)?;
    let program = watch.at(program)?;
    let built = Built::Kernels(Box::new(Kernels::of(&program, device).map_err(device::no_code)?));
    watch.passed("kernels");
    Ok(Translated { program, built, script, remarks })
}

impl Translated {
    /// The code for `sizes`, one for each of `names`; all codes of one program have the same object or text.
    ///
    /// # Errors
    /// When the size of a tile is not known or is none.
    pub fn code(&self, names: &[String], sizes: &[i64], options: &Options) -> Result<Code> {
        let values = self.values(names, sizes, options)?;
        match &self.built {
            Built::Object(object) => object.code(&self.program, &values).map(Code::Host).map_err(Error::bug),
            Built::Kernels(kernels) => kernels.code(&values).map(Code::Device).map_err(device::no_code),
        }
    }

    /// Machine code with formulas over the sizes of a call, one for each of `names`; they are `sizes` where these are given.
    ///
    /// # Errors
    /// As [`Translated::code`].
    pub fn open_code(&self, names: &[String], sizes: Option<&[i64]>, options: &Options) -> Result<OpenCode> {
        let parameters = self.formulas(names, sizes, options)?;
        match &self.built {
            Built::Object(object) => object.open_code(&self.program, &parameters).map_err(Error::bug),
            Built::Kernels(_) => Err(Error::bug("kernels of a device are no machine code")),
        }
    }

    /// The same of kernels of a device.
    ///
    /// # Errors
    /// As [`Translated::code`], and when there are too many launches or blocks for the sizes that are given.
    pub fn open_kernels(&self, names: &[String], sizes: Option<&[i64]>, options: &Options) -> Result<OpenDeviceCode> {
        let parameters = self.formulas(names, sizes, options)?;
        let Built::Kernels(kernels) = &self.built else { return Err(Error::bug("kernels are machine code")) };
        let code = kernels.open_code(&self.program, &parameters).map_err(device::no_code)?;
        if sizes.is_some() {
            code.plan().at(&|_| None).map_err(device::no_plan)?;
        }
        Ok(code)
    }

    /// The values of the program's parameters, over the sizes of a call.
    fn formulas(&self, names: &[String], sizes: Option<&[i64]>, options: &Options) -> Result<Vec<Formula>> {
        if let Some(sizes) = sizes {
            return Ok(self.values(names, sizes, options)?.into_iter().map(Formula::Const).collect());
        }
        let own = names.iter().cloned().map(Formula::Size);
        let tiles = self.tiles(names.len()).iter().map(|name| tile_size(name, options).map(Formula::Const));
        own.map(Ok).chain(tiles).collect()
    }

    /// The parameters of the program behind those that are sizes of the definition: these come first, under other names where the
    /// language's are no names of sets.
    fn tiles(&self, own: usize) -> &[String] {
        self.program.params.get(own..).unwrap_or_default()
    }

    /// The values of the program's parameters.
    fn values(&self, names: &[String], sizes: &[i64], options: &Options) -> Result<Vec<i64>> {
        // A program without parameters is told its sizes all the same: its signature shows them.
        if self.program.params.is_empty() {
            return Ok(sizes.to_vec());
        }
        let own = if options.symbolic { names.len() } else { 0 };
        let tiles = self.tiles(own).iter().map(|name| tile_size(name, options));
        sizes[..own].iter().map(|size| Ok(*size)).chain(tiles).collect()
    }
}

/// The schedule of the script that was given, or of what the policy writes.
pub(crate) fn schedule(scop: Scop, options: &Options) -> Result<Scheduled> {
    schedule_by(scop, &*policy(options), options, proof(options))
}

/// The schedule for the processor or for the device, with the program as it is after each command.
pub(crate) fn recorded(scop: Scop, options: &Options) -> Result<Scheduled> {
    session(scop, options)?.finish().map_err(refused)
}

/// The session in which a program was scheduled, for more commands to be tried.
pub(crate) fn session(scop: Scop, options: &Options) -> Result<Session> {
    let proof = transform::Options { history: true, ..proof(options) };
    match &options.device {
        Some(device) => session_by(scop, &gpu_mapper::Mapper { device: device.clone() }, options, proof),
        None => session_by(scop, &*policy(options), options, proof),
    }
}

/// The policy for processors.
fn policy(options: &Options) -> Box<dyn Policy> {
    match options.fusion {
        None => Box::new(scheduler::Cpu),
        Some(fusion) => Box::new(scheduler::Fused { fusion }),
    }
}

fn schedule_by(scop: Scop, policy: &dyn Policy, options: &Options, proof: transform::Options) -> Result<Scheduled> {
    session_by(scop, policy, options, proof)?.finish().map_err(refused)
}

fn session_by(scop: Scop, policy: &dyn Policy, options: &Options, proof: transform::Options) -> Result<Session> {
    let mut session = Session::with_options(scop, &options.target, proof).map_err(refused)?;
    match &options.script {
        Some(script) => session.replay_with(script, policy),
        None => policy.schedule(&mut session),
    }
    .map_err(|refusal| explained(&session, refusal))?;
    Ok(session)
}

/// The loops of a schedule; adds what was not done to its remarks.
pub(crate) fn program(scheduled: &mut Scheduled, strided: &[bool], options: &Options) -> Result<Program> {
    let options = codegen_options(strided, &[], options)?;
    codegen::lower(&scheduled.scop, &options, &mut scheduled.remarks).map_err(not_lowered)
}

pub(crate) fn not_lowered(error: codegen::Error) -> Error {
    match error {
        codegen::Error::Isl(error) => error.into(),
        codegen::Error::NoKernel(_) => Error::user(
            Diagnostic::call("TC0942", error.to_string())
                .help("compile it for a device (`-t cuda`, `-t opencl`), or take `in registers` out of the script"),
        ),
        codegen::Error::Malformed(_) => Error::bug(error),
    }
}

/// The kernels of a schedule for a device, and how a host launches them.
pub(crate) fn kernels(scop: Scop, device: &Gpu, options: &Options) -> Result<Program> {
    let (program, ..) = launches(scop, device, &[], options)?;
    program.verify()?;
    Ok(program)
}

/// The launches of a schedule, with the script that made it and what was not done.
fn launches(scop: Scop, device: &Gpu, strided: &[bool], options: &Options) -> Result<(Program, Script, Vec<Remark>)> {
    let (program, _, script, remarks) = launched(schedule_for(scop, device, options)?, device, strided, options)?;
    Ok((program, script, remarks))
}

/// The launches of a program that is scheduled; the program with its kernels and barriers that they were made from.
pub(crate) fn launched(
    scheduled: Scheduled,
    device: &Gpu,
    strided: &[bool],
    options: &Options,
) -> Result<(Program, Scop, Script, Vec<Remark>)> {
    let mut remarks = scheduled.remarks;
    let scop = gpu_mapper::kernels(&scheduled.scop, device, &mut remarks).map_err(unmapped)?;
    let program = gpu::lower(&scop, &kernel_options(strided, device, options), &mut remarks).map_err(not_lowered)?;
    gpu::within_limits(&program, device).map_err(|why| Error::user(Diagnostic::call("TC0942", why.to_string())))?;
    Ok((program, scop, scheduled.script, remarks))
}

/// The schedule for a device: of the script that was given, or of what the policy for devices writes.
pub(crate) fn schedule_for(scop: Scop, device: &Gpu, options: &Options) -> Result<Scheduled> {
    schedule_by(scop, &gpu_mapper::Mapper { device: device.clone() }, options, proof(options))
}

/// The kernels in a language that devices are programmed in.
pub(crate) fn kernel_source(scop: Scop, language: Language, device: &Gpu, options: &Options) -> Result<String> {
    gpu::source(&kernels(scop, device, options)?, language).map_err(device::unsupported)
}

/// OpenCL has no barriers inside of conditions: PoCL 3.1 gets them wrong.
fn full_tiles(device: &Gpu) -> FullTiles {
    match device.code {
        KernelCode::Ptx(_) => FullTiles::Blocks,
        KernelCode::OpenCl => FullTiles::Steps,
    }
}

/// Devices have fused multiply-adds, whatever the host has.
fn kernel_options(strided: &[bool], device: &Gpu, options: &Options) -> codegen::Options {
    let (fma, trust_indices, runtime_strides) = (!options.strict, options.trust_indices, strided.to_vec());
    let (full_tiles, async_copies) = (full_tiles(device), device.has_async_copies);
    codegen::Options { fma, trust_indices, async_copies, runtime_strides, full_tiles, ..codegen::Options::default() }
}

/// The size of a tile that the script leaves open.
fn tile_size(name: &str, options: &Options) -> Result<i64> {
    match options.tile_sizes.get(name) {
        Some(&size) if size >= 1 => Ok(size),
        Some(size) => {
            Err(Error::user(Diagnostic::call("TC0931", format!("the size `{name}` is {size}: a tile has at least 1"))))
        }
        None => Err(Error::user(
            Diagnostic::call("TC0933", format!("this size is not known: {name}"))
                .help(format!("the script tiles by it: give it with -s {name}=32, or `Compiler::tile_size`")),
        )),
    }
}

fn proof(options: &Options) -> transform::Options {
    transform::Options { strict: options.strict, ..transform::Options::default() }
}

/// What code generation may assume and do; of the tensors that are `kept`, other parts of the program know the dimensions.
pub(crate) fn codegen_options(strided: &[bool], kept: &[bool], options: &Options) -> Result<codegen::Options> {
    // A fused multiply-add rounds once where the program says twice: strict results are those of the program.
    let fma = !options.strict && llvm::has_fma(&options.target).map_err(target)?;
    let dots = options.target.dot_products();
    let (trust_indices, runtime_strides) = (options.trust_indices, strided.to_vec());
    Ok(codegen::Options {
        fma,
        dots,
        trust_indices,
        runtime_strides,
        kept: kept.to_vec(),
        ..codegen::Options::default()
    })
}

/// A program as something to call.
pub(crate) fn load_program(program: &Program, sizes: &[i64], machine: &Target) -> Result<runtime::Kernel> {
    let object = llvm::compile(program, machine, &llvm::Options::default()).map_err(target)?;
    let code = object.code(program, sizes).map_err(Error::bug)?;
    runtime::Kernel::load(&code).map_err(Error::bug)
}

/// What a target or a program asks for that there is not, is the user's to mend; the rest is ours.
pub(crate) fn target(error: llvm::Error) -> Error {
    match error {
        llvm::Error::Malformed(_) => Error::bug(error),
        llvm::Error::Unsupported(_) | llvm::Error::Target(_) => {
            Error::user(Diagnostic::call("TC0912", error.to_string()))
        }
    }
}

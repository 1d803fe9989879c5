//! The target machine: passes, assembly, ELF bytes.

use std::sync::Once;

use inkwell::OptimizationLevel;
use inkwell::llvm_sys::support::LLVMParseCommandLineOptions;
use inkwell::module::Module;
use inkwell::passes::PassBuilderOptions;
use inkwell::support::get_llvm_version;
use inkwell::targets::{
    CodeModel, FileType, InitializationConfig, RelocMode, Target as LlvmTarget, TargetMachine, TargetTriple,
};
use object::{Object as _, ObjectSymbol as _};
use support::{DotProduct, Gpu, KernelCode, Target};

use super::isa::{Architecture, Instructions};
use super::{Error, Result};

/// The passes, in LLVM's notation. Loops come out of [`super::cpu`] with the condition at the end, so nothing has to rotate
/// them; nothing here vectorises, unrolls or recognises idioms, since the schedule has decided all that.
///
/// Part of it is what keeps LLVM from ending the process: `licm` needs `loop-mssa`, and a plain `instcombine` in a text
/// aborts when one round leaves something to do.
const PASSES: &str = "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),\
                      early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg)";

/// The same for kernels, whose vectors are accesses only: these have to know how their addresses are aligned. What loops have
/// become is not given to `instcombine` again: it moves sums of one step behind the barriers of the next, to where they are used
/// at last, and not the loads that they add up, which shared memory keeps where they are: hundreds of registers.
const KERNEL_PASSES: &str = "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,\
                             loop-mssa(licm),early-cse<memssa>,instcombine<no-verify-fixpoint>,\
                             loop-unroll<O2;no-partial;no-runtime;no-peeling;no-upperbound>,\
                             simplifycfg,early-cse<memssa>,instsimplify,infer-alignment)";

/// Bits of the longest access of a thread.
const ACCESS_BITS: u32 = 128;

/// What LLVM says of the machine that it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The triple.
    pub triple: String,
    /// The processor's name.
    pub cpu: String,
    /// Features beyond the name, `+avx512f,-avx512fp16`, of those that a [`Target`] may name.
    pub features: String,
}

/// Asks LLVM about the machine that it runs on.
pub fn host() -> Host {
    initialise();
    let triple = TargetMachine::get_default_triple().as_str().to_string_lossy().into_owned();
    let cpu = TargetMachine::get_host_cpu_name().to_string();
    let all = TargetMachine::get_host_cpu_features().to_string();
    let known = |feature: &&str| match Architecture::of_triple(&triple) {
        Some(architecture) => feature.get(1..).is_some_and(|name| architecture.knows_feature(name)),
        None => true,
    };
    let features = all.split(',').filter(known).collect::<Vec<_>>().join(",");
    Host { triple, cpu, features }
}

/// The version of LLVM, `19.1.7`: of the library that this process has loaded.
pub fn version() -> String {
    let (major, minor, patch) = get_llvm_version();
    format!("{major}.{minor}.{patch}")
}

/// LLVM's machine for a target, and what we know of it.
pub(super) struct Machine {
    machine: TargetMachine,
    /// The processor's name, as LLVM knows it.
    pub cpu: String,
    /// The features beyond it.
    pub features: String,
    /// Bits of a vector register.
    pub vector_bits: u32,
    /// What needs no call.
    pub instructions: Instructions,
    /// The instructions for sums of a few products.
    pub dots: Vec<DotProduct>,
    /// Whose instructions these are.
    pub architecture: Architecture,
}

impl Machine {
    /// Checks the target's names and asks LLVM for the machine.
    pub fn new(target: &Target) -> Result<Machine> {
        let architecture = architecture_of(target)?;
        let instructions = instructions_of(target, architecture)?;
        Ok(Machine {
            machine: llvm_machine(&target.triple, &target.cpu, &target.features)?,
            cpu: target.cpu.clone(),
            features: target.features.clone(),
            vector_bits: target.vector_bytes.saturating_mul(8),
            instructions,
            dots: target.dot_products(),
            architecture,
        })
    }

    /// The machine of an NVIDIA device.
    pub fn of_device(device: &Gpu) -> Result<Machine> {
        let KernelCode::Ptx(cpu) = device.code else {
            return Err(Error::Target(format!("`{}`: its kernels are not written in PTX", device.name)));
        };
        let architecture = Architecture::Nvptx;
        let instructions = architecture.cpu(cpu).ok_or_else(|| Error::Target(format!("processor `{cpu}`")))?;
        let features = format!("+{}", architecture.ptx_of(cpu));
        let machine = llvm_machine("nvptx64-nvidia-cuda", cpu, &features)?;
        let vector_bits = u32::try_from(8 * device.access_bytes).unwrap_or(ACCESS_BITS);
        let (cpu, dots) = (cpu.to_owned(), Vec::new());
        Ok(Machine { machine, cpu, features, vector_bits, instructions, dots, architecture })
    }

    /// Any processor of the architecture of a triple.
    pub fn baseline(triple: &str) -> Result<Machine> {
        let (cpu, vector_bits, dots) = ("generic", ACCESS_BITS, Vec::new());
        let unknown = || Error::Target(format!("triple `{triple}`: expected x86_64 or aarch64 with ELF objects"));
        let architecture = Architecture::of_triple(triple).ok_or_else(unknown)?;
        let cpu = if architecture == Architecture::X86 { "x86-64" } else { cpu };
        let instructions = architecture.cpu(cpu).ok_or_else(|| Error::Target(format!("processor `{cpu}`")))?;
        let machine = llvm_machine(triple, cpu, "")?;
        Ok(Machine { machine, cpu: cpu.into(), features: String::new(), vector_bits, instructions, dots, architecture })
    }

    /// LLVM's `vscale_range` for a machine with scalable vectors: from the target's width, in units of 128 bits, to the
    /// widest that there can be. Vectors of fixed lengths up to that width then stay in one register; the code runs on
    /// machines with wider ones too. `None` where vectors have one width.
    pub fn scalable_range(&self) -> Option<u64> {
        const UNIT: u32 = 128;
        const WIDEST: u64 = 16;
        let least = self.vector_bits / UNIT;
        (self.instructions.scalable && least > 1).then(|| u64::from(least) << 32 | WIDEST.max(least.into()))
    }

    /// Tells the module what it is compiled for.
    pub fn describe(&self, module: &Module<'_>) {
        module.set_triple(&self.machine.get_triple());
        module.set_data_layout(&self.machine.get_target_data().get_data_layout());
    }

    /// Verifies the module and runs the passes.
    pub fn optimise(&self, module: &Module<'_>) -> Result<()> {
        module.verify().map_err(|message| Error::Malformed(format!("LLVM's verifier: {message}")))?;
        let passes = if self.architecture == Architecture::Nvptx { KERNEL_PASSES } else { PASSES };
        module
            .run_passes(passes, &self.machine, PassBuilderOptions::create())
            .map_err(|message| Error::Malformed(format!("LLVM's passes: {message}")))
    }

    /// As [`Machine::optimise`], without the functions that nobody calls.
    pub fn optimise_library(&self, module: &Module<'_>) -> Result<()> {
        self.optimise(module)?;
        let passes = "globaldce";
        let malformed = |message| Error::Malformed(format!("LLVM's passes: {message}"));
        module.run_passes(passes, &self.machine, PassBuilderOptions::create()).map_err(malformed)
    }

    /// Runs the inliner alone.
    pub fn inline(&self, module: &Module<'_>, options: PassBuilderOptions) -> Result<()> {
        module.run_passes("cgscc(inline)", &self.machine, options).map_err(|why| Error::Malformed(why.to_string()))
    }

    /// The text of the machine code.
    pub fn assembly(&self, module: &Module<'_>) -> Result<String> {
        let text = self.emit(module, FileType::Assembly)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The ELF bytes, which name no symbol that they do not define.
    pub fn object(&self, module: &Module<'_>) -> Result<Vec<u8>> {
        self.object_calling(module, |_| false)
    }

    /// As [`Machine::object`], with symbols that it may leave to others.
    pub fn object_calling(&self, module: &Module<'_>, may_call: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
        let bytes = self.emit(module, FileType::Object)?;
        match undefined_symbol(&bytes, may_call)? {
            Some(name) => Err(Error::Malformed(format!("the object calls `{name}`"))),
            None => Ok(bytes),
        }
    }

    fn emit(&self, module: &Module<'_>, kind: FileType) -> Result<Vec<u8>> {
        let buffer = self
            .machine
            .write_to_memory_buffer(module, kind)
            .map_err(|message| Error::Malformed(format!("LLVM's code generator: {message}")))?;
        Ok(buffer.as_slice().to_vec())
    }
}

/// Registers the back ends, once in the life of the process.
fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let config = InitializationConfig { asm_parser: true, disassembler: false, ..InitializationConfig::default() };
        LlvmTarget::initialize_x86(&config);
        LlvmTarget::initialize_aarch64(&config);
        LlvmTarget::initialize_nvptx(&config);
        set_options();
    });
}

/// What can only be asked for as on a command line.
///
/// A large frame is touched page by page in a loop that counts in a register of its own, `r11` on x86-64. Where LLVM 19
/// moves the frame behind an early return (shrink-wrapping) it does not look whether something lives there, and overwrites
/// it. So frames are made at the entry, where nothing does.
///
/// Shared memory of NVIDIA's devices has addresses of 32 bits, but pointers to it have 64 unless asked otherwise.
///
/// An instruction without a debug location says so, rather than seem to have that of the one before ([`super::lines`]).
fn set_options() {
    let arguments =
        [c"tilewright", c"-enable-shrink-wrap=false", c"-nvptx-short-ptr", c"-use-unknown-locations=Enable"]
            .map(|text| text.as_ptr());
    // SAFETY: as many strings as the count says; they end with zeros and live on. The caller runs this once.
    unsafe { LLVMParseCommandLineOptions(arguments.len() as i32, arguments.as_ptr(), c"".as_ptr()) };
}

fn llvm_machine(triple: &str, cpu: &str, features: &str) -> Result<TargetMachine> {
    initialise();
    let unknown = |message: String| Error::Target(format!("triple `{triple}`: {message}"));
    let triple = TargetTriple::create(triple);
    let (level, relocations) = (OptimizationLevel::Aggressive, RelocMode::PIC);
    LlvmTarget::from_triple(&triple)
        .map_err(|message| unknown(message.to_string()))?
        .create_target_machine(&triple, cpu, features, level, relocations, CodeModel::Small)
        .ok_or_else(|| unknown("LLVM has no machine for it".into()))
}

fn architecture_of(target: &Target) -> Result<Architecture> {
    Architecture::of_triple(&target.triple).ok_or_else(|| {
        Error::Target(format!("triple `{}`: expected x86_64 or aarch64 with ELF objects", target.triple))
    })
}

/// Checks processor and features, and says which instructions they stand for.
fn instructions_of(target: &Target, architecture: Architecture) -> Result<Instructions> {
    let mut instructions = architecture.cpu(&target.cpu).ok_or_else(|| {
        Error::Target(format!("processor `{}` is not one that LLVM 19 knows for {}", target.cpu, target.triple))
    })?;
    for feature in target.features.split(',').filter(|feature| !feature.is_empty()) {
        let (on, name) = match (feature.strip_prefix('+'), feature.strip_prefix('-')) {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            _ => return Err(Error::Target(format!("feature `{feature}` begins neither with + nor with -"))),
        };
        if !architecture.knows_feature(name) {
            return Err(Error::Target(format!("feature `{name}` is not one that can be chosen for {}", target.triple)));
        }
        instructions = architecture.with_feature(instructions, name, on);
    }
    Ok(instructions)
}

/// The first symbol that an object uses and does not define.
fn undefined_symbol(bytes: &[u8], may_call: impl Fn(&str) -> bool) -> Result<Option<String>> {
    let file = object::File::parse(bytes).map_err(|error| Error::Malformed(format!("LLVM's object: {error}")))?;
    let undefined = file
        .symbols()
        .find(|symbol| symbol.is_undefined() && symbol.name().is_ok_and(|name| !name.is_empty() && !may_call(name)));
    Ok(undefined.map(|symbol| symbol.name().unwrap_or("?").to_owned()))
}

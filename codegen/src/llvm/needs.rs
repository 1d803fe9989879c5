//! What a machine must have so that it runs code for a target.

use inkwell::attributes::AttributeLoc;
use inkwell::context::Context;
use inkwell::module::{Linkage, Module};
use inkwell::passes::PassBuilderOptions;
use inkwell::values::{FunctionValue, InstructionOpcode};
use support::Target;

use super::isa::Architecture;
use super::object::Machine;
use super::{Error, Result};

/// What a machine must have so that it runs code for a target, beyond what every machine of its architecture has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Instruction set extensions that LLVM may use, by its names.
    pub features: Vec<String>,
    /// Bits of a vector at least, where vectors have the length of the machine's.
    pub scalable_bits: Option<u32>,
}

/// What a machine must have so that it runs code for a target. Left out are extensions of which nothing is used unless it is
/// asked for by name, such as those for encryption.
///
/// # Errors
/// [`Error::Target`] when the description names what LLVM does not know.
pub fn needs(target: &Target) -> Result<Needs> {
    let machine = Machine::new(target)?;
    let usual = machine.architecture.used_features();
    let has = has(&machine, &usual)?;
    let features = usual.iter().zip(has).filter(|(_, has)| *has).map(|(name, _)| (*name).to_owned()).collect();
    Ok(Needs { features, scalable_bits: machine.scalable_range().map(|_| machine.vector_bits) })
}

/// Of each feature, whether the machine has it.
///
/// LLVM's C interface does not say what a processor's name stands for. Its inliner knows: it takes a function into another one only
/// when that is compiled for a machine with all features of the first.
fn has(machine: &Machine, features: &[&str]) -> Result<Vec<bool>> {
    let context = Context::create();
    let module = context.create_module("needs");
    machine.describe(&module);
    let pairs = features.iter().map(|feature| ask(&context, &module, machine, feature));
    let callers = pairs.collect::<Result<Vec<FunctionValue<'_>>>>()?;
    machine.inline(&module, PassBuilderOptions::create())?;
    let calls = |function: &FunctionValue<'_>| {
        let first = function.get_first_basic_block().and_then(|block| block.get_first_instruction());
        first.is_some_and(|first| first.get_opcode() == InstructionOpcode::Call)
    };
    Ok(callers.iter().map(|caller| !calls(caller)).collect())
}

/// `int ask() { return has(); }` for the machine, where `has` needs the feature and nothing else.
fn ask<'c>(context: &'c Context, module: &Module<'c>, machine: &Machine, feature: &str) -> Result<FunctionValue<'c>> {
    let (builder, ty) = (context.create_builder(), context.i32_type().fn_type(&[], false));
    let describe = |function: FunctionValue<'c>, cpu: &str, features: &str| {
        // How a processor is best scheduled for is a feature too, and none that is asked about.
        for (key, value) in [("target-cpu", cpu), ("tune-cpu", machine.cpu.as_str()), ("target-features", features)] {
            let attribute = context.create_string_attribute(key, value);
            function.add_attribute(AttributeLoc::Function, attribute);
        }
        builder.position_at_end(context.append_basic_block(function, ""));
    };
    let asked = module.add_function(&format!("has.{feature}"), ty, Some(Linkage::Internal));
    describe(asked, machine.architecture.least_cpu(), &format!("{}+{feature}", machine.architecture.least_without()));
    builder.build_return(Some(&context.i32_type().const_int(1, false)))?;
    let caller = module.add_function(&format!("ask.{feature}"), ty, Some(Linkage::External));
    describe(caller, &machine.cpu, &machine.features);
    let answer = builder.build_call(asked, &[], "")?.try_as_basic_value().basic();
    let answer = answer.ok_or_else(|| Error::Malformed("a call without a result".into()))?;
    builder.build_return(Some(&answer))?;
    Ok(caller)
}

impl Architecture {
    /// LLVM's name of the processor that has least.
    fn least_cpu(self) -> &'static str {
        match self {
            Architecture::X86 => "x86-64",
            Architecture::AArch64 => "generic",
            Architecture::Nvptx => "sm_70",
        }
    }

    /// What LLVM gives that processor and others lack: features to switch off, each with a comma.
    fn least_without(self) -> &'static str {
        // Buffers of traces, which no program uses, and with them all that implies them.
        if self == Architecture::AArch64 { "-trbe," } else { "" }
    }

    /// The features whose instructions LLVM takes wherever they fit.
    fn used_features(self) -> Vec<&'static str> {
        let names = match self {
            Architecture::X86 => X86_USED,
            Architecture::AArch64 => AARCH64_USED,
            Architecture::Nvptx => "",
        };
        names.split_whitespace().collect()
    }
}

const X86_USED: &str = "adx avx avx10.1-256 avx10.1-512 avx2 avx512bf16 avx512bitalg avx512bw avx512cd avx512dq avx512f avx512fp16 \
     avx512ifma avx512vbmi avx512vbmi2 avx512vl avx512vnni avx512vpopcntdq avxifma avxneconvert avxvnni avxvnniint16 \
     avxvnniint8 bmi bmi2 ccmp cf egpr evex512 f16c fma fma4 gfni lzcnt movbe ndd nf popcnt ppx push2pop2 sse3 sse4.1 sse4.2 \
     sse4a ssse3 tbm xop zu";

const AARCH64_USED: &str = "bf16 complxnum cssc dotprod f32mm f64mm faminmax flagm fp16fml fp8 fptoint fullfp16 i8mm jsconv lse lse128 \
     lse2 mops rcpc rcpc-immo rcpc3 rdm sve sve-b16b16 sve2 sve2p1";

#[cfg(test)]
mod tests {
    use super::*;

    fn features(triple: &str, cpu: &str, features: &str, vector_bytes: u32) -> Needs {
        let (name, triple, cpu, features) = (cpu.into(), triple.into(), cpu.into(), features.into());
        let target = Target {
            name,
            triple,
            cpu,
            threads: 1,
            launch_cycles: Target::LAUNCH_CYCLES,
            vector_bytes,
            vector_registers: 16,
            fma_per_cycle: 2,
            fma_latency: 4,
            caches: Vec::new(),
            features,
        };
        needs(&target).expect("a target")
    }

    #[test]
    fn what_a_processor_needs_is_what_its_name_stands_for() {
        let x86 = |cpu: &str, more: &str| features("x86_64-unknown-linux-gnu", cpu, more, 32).features.join(" ");
        assert_eq!(x86("x86-64", ""), "");
        assert_eq!(x86("x86-64-v2", ""), "popcnt sse3 sse4.1 sse4.2 ssse3");
        // The psABI's table of micro-architecture levels.
        let v3 = "avx avx2 bmi bmi2 f16c fma lzcnt movbe popcnt sse3 sse4.1 sse4.2 ssse3";
        assert_eq!(x86("x86-64-v3", ""), v3);
        assert_eq!(x86("x86-64-v3", "-bmi2"), v3.replace("bmi2 ", ""));
        let v4 = "avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl bmi bmi2 evex512 f16c fma lzcnt movbe popcnt sse3 sse4.1 \
                  sse4.2 ssse3";
        assert_eq!(x86("x86-64-v4", ""), v4);
        assert!(x86("x86-64-v4", "+avx512vnni").contains("avx512vl avx512vnni"));
        assert!(x86("bdver1", "").contains("fma4") && x86("bdver1", "").contains("xop"));
        let arm = |cpu: &str, more: &str, bytes| features("aarch64-unknown-linux-gnu", cpu, more, bytes);
        assert_eq!(arm("generic", "", 16), Needs { features: vec![], scalable_bits: None });
        let neoverse = arm("neoverse-v1", "", 32);
        assert!(neoverse.features.iter().any(|name| name == "sve") && neoverse.scalable_bits == Some(256));
        assert!(arm("neoverse-n1", "", 16).features.iter().any(|name| name == "dotprod"));
    }

    #[test]
    fn every_feature_that_is_asked_for_is_one_that_llvm_knows() {
        for architecture in [Architecture::X86, Architecture::AArch64] {
            let unknown = architecture.used_features().into_iter().filter(|name| !architecture.knows_feature(name));
            assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&str>::new());
        }
    }
}

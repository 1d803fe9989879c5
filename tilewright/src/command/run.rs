//! `tilewright run`

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use runtime::tensor::{Bf16, F16};
use runtime::{DType, Tensor};
use tilewright::{Result, files};

use super::call::Call;
use super::options::{Data, Machine, Program};
use super::{bench, cache, terminal};

/// Compile and run a program; random inputs unless given
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright run examples/mm.tc -s M=2,N=3,K=4 --verify
  tilewright run examples/edges.tc -i Picture=examples/lake.png -o Edges=edges.png
  tilewright run examples/mm.tc -s M=256,N=256,K=256 --trace mm.json --dump stages")]
pub struct Run {
    #[command(flatten)]
    program: Program,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    data: Data,
    /// Write a timeline of the stages of compiling and of the parallel loops of each thread, for Chrome or Perfetto
    #[arg(long, value_name = "F.json")]
    trace: Option<PathBuf>,
}

impl Run {
    /// Compiles, runs once, verifies if asked to, writes.
    pub fn run(mut self) -> Result<()> {
        self.data.observer = self.trace.is_some().then(Default::default);
        let mut call = Call::prepare(&self.program, &self.machine, &self.data, cache::open()?)?;
        let (prepared, begun) = (call.compiled, Instant::now());
        let time = call.run()?;
        if let (Some(file), Some(trace)) = (&self.trace, &self.data.observer) {
            trace.compiled(&call.variant.stages, prepared);
            trace.called(&call.def.name, begun, begun + time);
            files::write_text(file, &trace.to_json())?;
        }
        let agreement = self.data.verify.then(|| call.verify()).transpose()?;
        let written = call.write(&self.data)?;
        let compile = bench::duration(call.variant.compile_time);
        let found = if call.variant.was_kept { "found in the cache" } else { "compiled" };
        let mut out = format!("{}\n  {found} in {compile}, ran in {}\n", call.title(), bench::duration(time));
        for (name, tensor) in &call.outputs {
            let files =
                written.iter().filter(|(output, _)| output == name).map(|(_, path)| format!("  -> {}", path.display()));
            let shape: Vec<String> = tensor.shape().iter().map(i64::to_string).collect();
            let (dtype, shape, files) = (tensor.dtype(), shape.join(", "), files.collect::<String>());
            writeln!(out, "  {name}: {dtype}({shape}) {}{files}", summary(tensor)).expect("a string takes text");
        }
        if let Some(agreement) = agreement {
            writeln!(out, "  {}", bench::verified(&agreement)).expect("a string takes text");
        }
        terminal::print(out)
    }
}

/// As many elements as are shown one by one.
const FEW: usize = 12;

/// All elements when they are few, else the smallest, the largest and the mean.
fn summary(tensor: &Tensor) -> String {
    let values = values(tensor);
    if values.len() <= FEW {
        let texts: Vec<String> = values.iter().map(|value| shown(tensor, *value)).collect();
        return format!("= [{}]", texts.join(", "));
    }
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let odd = values.iter().filter(|value| !value.is_finite()).count();
    let odd = if odd == 0 { String::new() } else { format!(", {odd} not finite") };
    format!("from {} to {}, mean {mean:.4}{odd}", shown(tensor, low), shown(tensor, high))
}

/// With the digits that the element type has.
fn shown(tensor: &Tensor, value: f64) -> String {
    if tensor.dtype() == DType::FLOAT32 { (value as f32).to_string() } else { value.to_string() }
}

/// The elements as doubles; for people.
fn values(tensor: &Tensor) -> Vec<f64> {
    macro_rules! of {
        ($($T:ty),*) => {
            $(if let Ok(elements) = tensor.as_slice::<$T>() {
                return elements.iter().map(|&element| element as f64).collect();
            })*
        };
    }
    of!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);
    if let Ok(elements) = tensor.as_slice::<F16>() {
        return elements.iter().map(|element| half(element.0, 10)).collect();
    }
    if let Ok(elements) = tensor.as_slice::<Bf16>() {
        return elements.iter().map(|element| half(element.0, 7)).collect();
    }
    tensor
        .as_slice::<bool>()
        .map(|elements| elements.iter().map(|&b| f64::from(u8::from(b))).collect())
        .unwrap_or_default()
}

/// The value of a half with that many digits behind the leading one, from its bits.
fn half(bits: u16, digits: i32) -> f64 {
    let exponents = 1 << (15 - digits);
    let bias = exponents / 2 - 1;
    let (exponent, digit_bits) = (i32::from(bits & 0x7fff) >> digits, f64::from(bits & ((1 << digits) - 1)));
    let scaled =
        |leading: f64, exponent: i32| (leading * 2f64.powi(digits) + digit_bits) * 2f64.powi(exponent - digits);
    let magnitude = match exponent {
        0 => scaled(0.0, 1 - bias),
        _ if exponent == exponents - 1 && digit_bits == 0.0 => f64::INFINITY,
        _ if exponent == exponents - 1 => f64::NAN,
        _ => scaled(1.0, exponent - bias),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        assert_eq!(
            [0x3c00, 0xc000, 0x7c00, 0x0001, 0x3555].map(|bits| half(bits, 10)),
            [1.0, -2.0, f64::INFINITY, 2f64.powi(-24), 0.333_251_953_125]
        );
        assert_eq!([0x3f80, 0xc040].map(|bits| half(bits, 7)), [1.0, -3.0]);
        assert!(half(0x7fc0, 7).is_nan());
    }

    #[test]
    fn few_elements_are_shown_and_many_summed_up() {
        let tensor = Tensor::from_slice(&[1.5_f32, -2.0], &[2]).unwrap();
        assert_eq!(summary(&tensor), "= [1.5, -2]");
        let tensor = Tensor::from_slice(&(0..20).collect::<Vec<i32>>(), &[20]).unwrap();
        assert_eq!(summary(&tensor), "from 0 to 19, mean 9.5000");
        let mut many = vec![0.0; 20];
        many[3] = f64::NAN;
        assert!(summary(&Tensor::from_slice(&many, &[20]).unwrap()).contains("1 not finite"));
        assert_eq!(summary(&Tensor::from_slice(&[true, false], &[2]).unwrap()), "= [1, 0]");
    }
}

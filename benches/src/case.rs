//! A workload with its data: random inputs, files of them for the peers, and the reference result.

use std::fs;
use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use half::{bf16, f16};
use serde::Serialize;
use tempfile::TempDir;
use tilewright::{DType, Tensor, runtime_dtype};

use crate::worker::{Answer, Worker};
use crate::workload::{Argument, Kind, Signature, Values, Workload};
use crate::{Result, folder, polybench};

/// A workload ready to be raced.
pub struct Case {
    /// What it is.
    pub workload: Workload,
    /// What its program takes and returns.
    pub signature: Signature,
    /// Its inputs.
    pub inputs: Vec<Tensor>,
    /// What is in each output before a call, where it is read.
    pub before: Vec<Option<Tensor>>,
    /// The outputs in double precision, by the plain loops in C; none without a C compiler.
    pub reference: Option<Vec<Vec<f64>>>,
    folder: TempDir,
}

impl Case {
    /// Makes the inputs and the reference result.
    ///
    /// # Errors
    /// When there is no such program, or no room.
    pub fn new(workload: &Workload) -> Result<Case> {
        let signature = workload.signature()?;
        let rng = &mut Rng::with_seed(
            workload.name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31) ^ u64::from(byte)),
        );
        let tensor = |tensor: &Argument| random(rng, tensor.dtype, &tensor.shape, workload.data.get(&tensor.name));
        let (inputs, before) = match workload.built() {
            Some((kernel, sizes)) => polybench::contents(&kernel, sizes, &signature)?,
            None => {
                let inputs = signature.inputs.iter().map(tensor).collect::<Result<Vec<_>>>()?;
                (inputs, signature.outputs.iter().map(|_| None).collect())
            }
        };
        let (workload, folder) = (workload.clone(), tempfile::tempdir()?);
        let mut case = Case { workload, signature, inputs, before, reference: None, folder };
        case.write_files()?;
        case.reference = case.calculate_reference()?;
        Ok(case)
    }

    /// Where the peers find their inputs and leave their results.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn write_files(&self) -> Result<()> {
        let Case { workload, signature, .. } = self;
        let file = |tensors: &[Argument]| {
            let entry =
                |t: &Argument| TensorFile { name: t.name.clone(), dtype: t.dtype.to_string(), shape: t.shape.clone() };
            tensors.iter().map(entry).collect()
        };
        let (inputs, outputs) = (file(&signature.inputs), file(&signature.outputs));
        let described = WorkloadFile { op: workload.op(), steps: workload.steps, inputs, outputs };
        fs::write(self.folder().join("workload.json"), serde_json::to_vec(&described)?)?;
        for (tensor, data) in signature.inputs.iter().zip(&self.inputs) {
            fs::write(self.folder().join(format!("{}.bin", tensor.name)), data.as_bytes())?;
            if is_half(tensor.dtype) {
                // What the reference reads: plain C knows `float32` on every machine.
                let wide = numbers(tensor.dtype, data.as_bytes());
                let wide: Vec<u8> = wide.into_iter().flat_map(|x| (x as f32).to_ne_bytes()).collect();
                fs::write(self.folder().join(format!("{}.float32.bin", tensor.name)), wide)?;
            }
        }
        for (tensor, data) in signature.outputs.iter().zip(&self.before) {
            if let Some(data) = data {
                fs::write(self.folder().join(format!("{}.bin", tensor.name)), data.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Compiles the plain loops with the driver; `flags` for the C compiler.
    ///
    /// # Errors
    /// When the compiler refuses.
    pub fn compile_c(&self, compiler: &str, flags: &[&str], name: &str) -> Result<std::path::PathBuf> {
        let (driver, binary) = (folder().join("peers/driver.c"), self.folder().join(name));
        let mut command = Command::new(compiler);
        command.args(flags).args(["-std=gnu11", "-march=native", "-include"]).arg(folder().join("peers/kernel.h"));
        command.args(self.workload.sizes.iter().map(|(name, size)| format!("-D{name}={size}")));
        command.arg(format!("-DSTEPS={}", self.workload.steps));
        let halves = self.signature.inputs.iter().find(|input| is_half(input.dtype));
        command.args(halves.map(|input| format!("-DHALF_{}", input.dtype)));
        let kernel = self.folder().join(format!("{name}.o"));
        run(command.arg("-c").arg(self.workload.c_file()).arg("-o").arg(&kernel))?;
        // Apart: the driver's own names are none of the sizes'.
        let mut command = Command::new(compiler);
        command.args(flags).args(["-std=gnu11", "-w"]).arg(driver).arg(&kernel).arg("-o").arg(&binary);
        // Polly's threads are those of OpenMP, which is not asked for by that name.
        run(command.args(["-lm", "-Wl,--as-needed", "-lgomp"]))?;
        Ok(binary)
    }

    /// The arguments of the driver; results are left as `NAME.PEER.bin`, of `real_bytes` each where they are floats.
    pub fn driver_arguments(&self, peer: &str, real_bytes: Option<i64>) -> Vec<String> {
        let bytes = |t: &Argument, of: i64| t.shape.iter().product::<i64>() * of;
        let path = |name: String| self.folder().join(name).display().to_string();
        let input = |t: &Argument| {
            if is_half(t.dtype) && real_bytes.is_some() {
                return format!("real:{}:{}", path(format!("{}.float32.bin", t.name)), bytes(t, 4));
            }
            let kind = if t.dtype == DType::F32 { "real" } else { "in" };
            format!("{kind}:{}:{}", path(format!("{}.bin", t.name)), bytes(t, t.dtype.bytes().into()))
        };
        let output = |t: &Argument| {
            let of = real_bytes.filter(|_| t.dtype.is_float()).unwrap_or(t.dtype.bytes().into());
            let result = path(format!("{}.{peer}.bin", t.name));
            if t.updated {
                return format!("inout:{}:{result}:{}", path(format!("{}.bin", t.name)), bytes(t, of));
            }
            format!("out:{result}:{}", bytes(t, of))
        };
        self.signature.inputs.iter().map(input).chain(self.signature.outputs.iter().map(output)).collect()
    }

    /// The results that a peer has left.
    ///
    /// # Errors
    /// When there are none.
    pub fn results(&self, peer: &str) -> Result<Vec<Vec<f64>>> {
        let result = |tensor: &Argument| self.result(peer, &tensor.name, tensor.dtype);
        self.signature.outputs.iter().map(result).collect()
    }

    fn result(&self, peer: &str, name: &str, dtype: DType) -> Result<Vec<f64>> {
        Ok(numbers(dtype, &fs::read(self.folder().join(format!("{name}.{peer}.bin")))?))
    }

    /// The largest difference from the reference over its largest value, or why there is none.
    ///
    /// # Errors
    /// When a result has another size, or is further away than the workload allows.
    pub fn check(&self, results: &[Vec<f64>]) -> Result<Option<f64>> {
        let Some(reference) = &self.reference else { return Ok(None) };
        let mut worst = 0.0f64;
        for (result, expected) in results.iter().zip(reference) {
            if result.len() != expected.len() {
                return Err(format!("{} elements instead of {}", result.len(), expected.len()).into());
            }
            worst = worst.max(relative_error(result, expected));
        }
        if worst <= self.workload.tolerance { Ok(Some(worst)) } else { Err(format!("wrong by {worst:.1e}").into()) }
    }

    fn calculate_reference(&self) -> Result<Option<Vec<Vec<f64>>>> {
        let peer = "reference";
        let Ok(binary) = self.compile_c("cc", &["-O3", "-Dreal=double", "-DPROMOTE"], peer) else { return Ok(None) };
        let mut command = Command::new(binary);
        command.args(self.driver_arguments(peer, Some(8)));
        match Worker::start(command, peer, false)?.ask("results") {
            Answer::Done => {}
            other => return Err(format!("the reference failed: {other:?}").into()),
        }
        let dtype = |dtype: DType| if dtype.is_float() { DType::F64 } else { dtype };
        let result = |tensor: &Argument| self.result(peer, &tensor.name, dtype(tensor.dtype));
        Ok(Some(self.signature.outputs.iter().map(result).collect::<Result<_>>()?))
    }
}

#[derive(Serialize)]
struct WorkloadFile<'a> {
    op: &'a str,
    steps: u32,
    inputs: Vec<TensorFile>,
    outputs: Vec<TensorFile>,
}

#[derive(Serialize)]
struct TensorFile {
    name: String,
    dtype: String,
    shape: Vec<i64>,
}

/// Runs a compiler; what it says is the error.
///
/// # Errors
/// When there is no such command, or it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.lines().find(|line| line.contains("error")).unwrap_or("failed")).into())
}

/// A tensor of random values, never all the same.
fn random(rng: &mut Rng, dtype: DType, shape: &[i64], values: Option<&Values>) -> Result<Tensor> {
    let count = shape.iter().product::<i64>() as usize;
    let bytes: Vec<u8> = match (dtype, values) {
        (DType::F16, _) => floats(rng, count, values).iter().flat_map(|&x| f16::from_f64(x).to_ne_bytes()).collect(),
        (DType::BF16, _) => floats(rng, count, values).iter().flat_map(|&x| bf16::from_f64(x).to_ne_bytes()).collect(),
        (DType::F32, _) => floats(rng, count, values).iter().flat_map(|&x| (x as f32).to_ne_bytes()).collect(),
        (DType::F64, _) => floats(rng, count, values).iter().flat_map(|x| x.to_ne_bytes()).collect(),
        (DType::I32, Some(&Values::Below(limit))) => {
            (0..count).flat_map(|_| (rng.i64(0..limit) as i32).to_ne_bytes()).collect()
        }
        (DType::I8 | DType::U8, None) => (0..count).map(|_| rng.u8(..)).collect(),
        (DType::U16, None) => (0..count).flat_map(|_| rng.u16(..).to_ne_bytes()).collect(),
        _ => return Err(format!("no values of {dtype} are known").into()),
    };
    Ok(Tensor::from_bytes(runtime_dtype(dtype), shape, &bytes)?)
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

fn floats(rng: &mut Rng, count: usize, values: Option<&Values>) -> Vec<f64> {
    let mut numbers: Vec<f64> = (0..count).map(|_| rng.f64()).collect();
    match values {
        Some(Values::Kind(Kind::Positive)) => numbers.iter_mut().for_each(|x| *x += 0.5),
        Some(Values::Kind(Kind::Weights)) => {
            let sum: f64 = numbers.iter().map(|x| x + 0.2).sum();
            numbers.iter_mut().for_each(|x| *x = (*x + 0.2) / sum);
        }
        _ => numbers.iter_mut().for_each(|x| *x = 2.0 * *x - 1.0),
    }
    numbers
}

/// The elements of a tensor of the type as numbers.
pub fn numbers(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    macro_rules! of {
        ($t:ty) => {{ of!($t, |x| x as f64) }};
        ($t:ty, $wide:expr) => {{
            let element = |chunk: &[u8]| <$t>::from_ne_bytes(chunk.try_into().expect("chunks of that size"));
            bytes.chunks_exact(size_of::<$t>()).map(element).map($wide).collect()
        }};
    }
    match dtype {
        DType::F16 => of!(f16, f16::to_f64),
        DType::BF16 => of!(bf16, bf16::to_f64),
        DType::F32 => of!(f32),
        DType::F64 => of!(f64),
        DType::I8 => of!(i8),
        DType::I16 => of!(i16),
        DType::I32 => of!(i32),
        DType::I64 => of!(i64),
        DType::U16 => of!(u16),
        DType::U32 => of!(u32),
        DType::U64 => of!(u64),
        _ => of!(u8),
    }
}

fn relative_error(result: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let difference = result.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // A result that is no number is as wrong as can be.
    difference.fold(0.0, |worst: f64, d| if d.is_nan() { f64::INFINITY } else { worst.max(d) }) / largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_wrong() {
        assert_eq!(relative_error(&[1.0, f64::NAN], &[1.0, 2.0]), f64::INFINITY);
        assert_eq!(relative_error(&[1.0, 3.0], &[1.0, 2.0]), 0.5);
    }

    #[test]
    fn weights_sum_to_one() {
        let weights = floats(&mut Rng::with_seed(1), 5, Some(&Values::Kind(Kind::Weights)));
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12 && weights.iter().all(|&w| w > 0.0));
    }

    #[test]
    fn bytes_are_numbers() {
        assert_eq!(numbers(DType::I16, &(-3i16).to_ne_bytes()), [-3.0]);
        assert_eq!(numbers(DType::U8, &[200]), [200.0]);
        assert_eq!(numbers(DType::F16, &0x3e00u16.to_ne_bytes()), [1.5]);
        assert_eq!(numbers(DType::BF16, &0xc040u16.to_ne_bytes()), [-3.0]);
    }
}

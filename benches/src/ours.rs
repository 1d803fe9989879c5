//! Our own kernels as a contender: the default schedule, in this process.

use std::time::{Duration, Instant};

use tilewright::{AsTensor, AsTensorMut, Compiler, DType, Kernel, Tensor, runtime_dtype};

use crate::Result;
use crate::case::{Case, numbers};
use crate::worker::set_realtime;
use crate::workload::Argument;

/// A call that takes longer needs none before it to warm up; `peers/driver.c` has the same.
const LONG: Duration = Duration::from_millis(500);

/// A compiled kernel and its memory.
pub struct Ours {
    kernel: Kernel,
    /// How long it took from the definition to callable code.
    pub compile_time: Duration,
    /// The schedule.
    pub script: String,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// What is in the outputs before each call, where it is read.
    before: Vec<Option<Tensor>>,
    dtypes: Vec<DType>,
    /// For several calls: the other of the two buffers that they go between.
    other: Option<Tensor>,
    calls: u32,
    realtime: bool,
}

impl Ours {
    /// Compiles the program of the case.
    ///
    /// # Errors
    /// What the compiler refuses.
    pub fn new(compiler: &Compiler, case: &Case, realtime: bool) -> Result<Ours> {
        let kernel = case.workload.kernel(compiler)?;
        let kernel = case.workload.sized(&kernel)?;
        let variant = case.workload.prepare(&kernel)?;
        let zeros = |t: &Argument| Tensor::zeros(runtime_dtype(t.dtype), &t.shape);
        let outputs = case.signature.outputs.iter().map(zeros).collect::<std::result::Result<Vec<_>, _>>()?;
        let calls = case.workload.calls();
        let other = (calls > 1).then(|| zeros(&case.signature.outputs[0])).transpose()?;
        let (compile_time, script) = (variant.compile_time, variant.script.to_string());
        let (inputs, before) = (case.inputs.clone(), case.before.clone());
        let dtypes = case.signature.outputs.iter().map(|output| output.dtype).collect();
        Ok(Ours { kernel, compile_time, script, inputs, outputs, before, dtypes, other, calls, realtime })
    }

    /// Puts back what calls update.
    fn restore(&mut self) -> Result<()> {
        for (output, before) in self.outputs.iter_mut().zip(&self.before) {
            if let Some(before) = before {
                output.view_mut().copy_from(before)?;
            }
        }
        Ok(())
    }

    /// Runs the workload once.
    ///
    /// # Errors
    /// When the program refuses its arguments.
    pub fn call(&mut self) -> Result<()> {
        let Some(other) = &mut self.other else {
            let inputs: Vec<&dyn AsTensor> = self.inputs.iter().map(|input| input as _).collect();
            let mut outputs: Vec<&mut dyn AsTensorMut> = self.outputs.iter_mut().map(|output| output as _).collect();
            return Ok(self.kernel.run(&inputs, &mut outputs)?);
        };
        // The last call has to write the output.
        let (mut from, mut to) = (other, &mut self.outputs[0]);
        if self.calls.is_multiple_of(2) {
            std::mem::swap(&mut from, &mut to);
        }
        self.kernel.run(&[&self.inputs[0]], &mut [to])?;
        for _ in 1..self.calls {
            std::mem::swap(&mut from, &mut to);
            self.kernel.run(&[from], &mut [to])?;
        }
        Ok(())
    }

    /// What the last call left.
    ///
    /// # Errors
    /// When a call fails.
    pub fn results(&mut self) -> Result<Vec<Vec<f64>>> {
        self.restore()?;
        self.call()?;
        let typed = self.dtypes.iter().zip(&self.outputs);
        Ok(typed.map(|(&dtype, output)| numbers(dtype, output.as_bytes())).collect())
    }

    /// Times of up to `most` calls within `seconds`, in nanoseconds, after one that warms up.
    ///
    /// # Errors
    /// When a call fails.
    pub fn measure(&mut self, most: usize, seconds: f64) -> Result<Vec<u64>> {
        if self.realtime {
            set_realtime(std::process::id(), true);
        }
        let times = self.times(most, seconds);
        if self.realtime {
            set_realtime(std::process::id(), false);
        }
        times
    }

    fn times(&mut self, most: usize, seconds: f64) -> Result<Vec<u64>> {
        self.restore()?;
        let start = Instant::now();
        self.call()?;
        let (warm_up, mut times) = (start.elapsed(), Vec::new());
        // One that takes long is as fast the first time.
        if warm_up > LONG {
            return Ok(vec![warm_up.as_nanos() as u64]);
        }
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while times.len() < most && (times.is_empty() || Instant::now() < end) {
            self.restore()?;
            let start = Instant::now();
            self.call()?;
            times.push(start.elapsed().as_nanos() as u64);
        }
        Ok(times)
    }
}

//! What a device does in order.

use super::driver::{Kind, Object};
use super::kernel::Loaded;
use super::tensor::memory;
use super::{Device, DeviceError, DeviceTensor, Plan};
use crate::kernel::CallError;
use crate::tensor::{Tensor, TensorView, TensorViewMut};
use std::ffi::c_void;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue of a device: what it is given runs in order, apart from the host.
///
/// Work of different streams may run at once; that none touches what another writes is for the caller to see to.
pub struct Stream {
    device: Device,
    queue: Object,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Scratch memory of all kernels on this stream, one after the other, and how many bytes it has.
    workspace: Option<(Arc<Object>, usize)>,
    /// Where kernels report, those with a launch since the last time that was asked.
    reports: Vec<Reports>,
}

/// Where the checks of a kernel report.
struct Reports {
    kernel: Arc<Loaded>,
    words: Arc<Object>,
    /// Whether it has been launched since the words were read.
    pending: bool,
}

/// Kernels of which the words for reports are kept.
const MOST_REPORTS: usize = 64;

/// A moment of a stream: when all that it was given before is done.
#[derive(Debug)]
pub struct Mark {
    mark: Object,
}

impl Mark {
    /// How long after another moment of the stream this one is. Both have passed.
    ///
    /// # Errors
    /// When a moment has not passed, or the caller's stream takes no times.
    pub fn since(&self, earlier: &Mark) -> Result<Duration, DeviceError> {
        // SAFETY: both are marks.
        unsafe { self.mark.driver.between(earlier.mark.handle, self.mark.handle) }
    }
}

impl Stream {
    pub(super) fn new(device: &Device, queue: Object) -> Stream {
        Stream { device: device.clone(), queue, state: Mutex::default() }
    }

    /// What it is a stream of.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The `CUstream` or `cl_command_queue`.
    pub fn as_raw(&self) -> *mut c_void {
        std::ptr::with_exposed_provenance_mut(self.queue.handle.0 as usize)
    }

    /// Waits for all that it was given.
    ///
    /// # Errors
    /// [`CallError::IndexOutOfRange`] when a check of a kernel failed since the last time, of several any one of the first
    /// kernel's; when the device fails.
    pub fn synchronise(&self) -> Result<(), DeviceError> {
        self.turn().synchronise()
    }

    /// Scratch memory and reports for one thread, until it lets go.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn { stream: self, state: self.state.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// A moment: now, in the order of the stream.
    ///
    /// # Errors
    /// When the device fails.
    pub fn mark(&self) -> Result<Mark, DeviceError> {
        // SAFETY: it is a queue of the driver.
        let handle = unsafe { self.device.driver.mark(self.queue.handle) }?;
        Ok(Mark { mark: Object::own(&self.device.driver, Kind::Mark, handle) })
    }

    /// Copies a tensor of the host, of the same type and shape. The host's has been read when this returns.
    ///
    /// # Errors
    /// When the tensors do not fit each other, or the device fails.
    pub fn write(&self, to: &mut DeviceTensor, from: &TensorView<'_>) -> Result<(), DeviceError> {
        self.fits(to, from)?;
        let dense = from.to_dense()?;
        // SAFETY: the memory is of the device and holds as many bytes from the offset on: the tensor is dense.
        unsafe { self.device.driver.write(self.queue.handle, to.memory(), to.offset(), dense.as_bytes()) }
    }

    /// Copies a tensor to the host, to one of the same type and shape, when all that the stream was given is done.
    ///
    /// # Errors
    /// When the tensors do not fit each other, when the device fails, and as [`Stream::synchronise`].
    pub fn read(&self, from: &DeviceTensor, to: &mut TensorViewMut<'_>) -> Result<(), DeviceError> {
        self.fits(from, &to.as_view())?;
        self.synchronise()?;
        self.fetch(from, to)
    }

    /// As [`Stream::read`] of what fits, and is done without an error.
    pub(super) fn fetch(&self, from: &DeviceTensor, to: &mut TensorViewMut<'_>) -> Result<(), DeviceError> {
        let mut bytes = vec![0; from.layout().bytes()?];
        // SAFETY: as in `write`.
        unsafe { self.device.driver.read(self.queue.handle, from.memory(), from.offset(), &mut bytes) }?;
        to.copy_from(&Tensor::from_bytes(from.dtype(), from.shape(), &bytes)?)?;
        Ok(())
    }

    /// Copies a tensor of the device to another, of the same type and shape, both in row-major order.
    ///
    /// # Errors
    /// When the tensors do not fit each other, or the device fails.
    pub fn copy(&self, from: &DeviceTensor, to: &mut DeviceTensor) -> Result<(), DeviceError> {
        self.owns(from)?;
        self.owns(to)?;
        let (from_layout, to_layout) = (from.layout(), to.layout());
        from_layout.is_dense()?;
        to_layout.is_dense()?;
        to_layout.is_like(from_layout)?;
        let (source, target, bytes) =
            ((from.memory(), from.offset()), (to.memory(), to.offset()), from_layout.bytes()?);
        // SAFETY: both are dense and have as many bytes from their offsets on.
        unsafe { self.device.driver.copy(self.queue.handle, source, target, bytes) }
    }

    /// Checks that a dense tensor of the device and one of the host have one type and shape.
    fn fits(&self, tensor: &DeviceTensor, host: &TensorView<'_>) -> Result<(), DeviceError> {
        self.owns(tensor)?;
        tensor.layout().is_dense()?;
        tensor.layout().is_like(host.layout())?;
        Ok(())
    }

    fn owns(&self, tensor: &DeviceTensor) -> Result<(), DeviceError> {
        on(&self.device, tensor.device(), "tensor")
    }

    fn finish(&self) -> Result<(), DeviceError> {
        // SAFETY: it is a queue of the driver.
        unsafe { self.device.driver.synchronise(self.queue.handle) }
    }

    pub(super) fn queue(&self) -> super::driver::Handle {
        self.queue.handle
    }

    fn reported(&self, reports: &Reports) -> Result<Option<CallError>, DeviceError> {
        let plan = reports.kernel.plan();
        let mut bytes = vec![0; 8 * plan.fault_words];
        // SAFETY: the memory has as many bytes.
        unsafe { self.device.driver.read(self.queue.handle, reports.words.handle, 0, &mut bytes) }?;
        let words = bytes.chunks_exact(8).map(|word| i64::from_ne_bytes(word.try_into().expect("it has eight bytes")));
        let words: Vec<i64> = words.collect();
        Ok(reported(plan, &words))
    }
}

/// A thread's turn with what a stream keeps for kernels. The kernels of one launch share scratch memory, and a check's report is
/// for whoever launched: both stay with one thread from its first kernel to its last, and to the wait where it waits itself.
pub(super) struct Turn<'a> {
    stream: &'a Stream,
    state: MutexGuard<'a, State>,
}

impl<'a> Turn<'a> {
    pub fn stream(&self) -> &'a Stream {
        self.stream
    }

    /// As [`Stream::synchronise`].
    pub fn synchronise(&mut self) -> Result<(), DeviceError> {
        let Turn { stream, state } = self;
        stream.finish()?;
        let mut first = Ok(());
        for reports in state.reports.iter_mut().filter(|reports| reports.pending) {
            reports.pending = false;
            let found = stream.reported(reports)?;
            if let (Ok(()), Some(error)) = (&first, found) {
                first = Err(error.into());
            }
        }
        let extra = state.reports.len().saturating_sub(MOST_REPORTS);
        state.reports.drain(..extra);
        first
    }

    /// Scratch memory of so many bytes, for what is given to the stream next.
    pub fn workspace(&mut self, bytes: usize) -> Result<Option<Arc<Object>>, DeviceError> {
        if bytes == 0 {
            return Ok(None);
        }
        let Turn { stream, state } = self;
        if let Some((workspace, _)) = state.workspace.as_ref().filter(|(_, room)| *room >= bytes) {
            return Ok(Some(workspace.clone()));
        }
        // What runs now may use the smaller one.
        stream.finish()?;
        state.workspace = None;
        let workspace = Arc::new(memory(&stream.device, bytes)?);
        state.workspace = Some((workspace.clone(), bytes));
        Ok(Some(workspace))
    }

    /// Where the kernel reports. The first report since the last time that was asked stays.
    pub fn reports(&mut self, kernel: &Arc<Loaded>) -> Result<Option<Arc<Object>>, DeviceError> {
        let bytes = 8 * kernel.plan().fault_words;
        if bytes == 0 {
            return Ok(None);
        }
        let Turn { stream, state } = self;
        let at = state.reports.iter().position(|reports| Arc::ptr_eq(&reports.kernel, kernel));
        let reports = match at {
            Some(at) => &mut state.reports[at],
            None => {
                let words = Arc::new(memory(&stream.device, bytes)?);
                state.reports.push(Reports { kernel: kernel.clone(), words, pending: false });
                state.reports.last_mut().expect("one was added")
            }
        };
        if !reports.pending {
            // SAFETY: the memory has as many bytes.
            unsafe { stream.device.driver.clear(stream.queue.handle, reports.words.handle, 0, bytes) }?;
            reports.pending = true;
        }
        Ok(Some(reports.words.clone()))
    }
}

/// What the words of a report say; none when nothing was reported.
fn reported(plan: &Plan, words: &[i64]) -> Option<CallError> {
    let (&[claim, value, lower, extent], found_by) = words.split_first_chunk::<{ Plan::FAULT_HEAD }>()?;
    let number = (claim as u32).checked_sub(1)?;
    Some(plan.signature.index_out_of_range(number as usize, (value, lower, extent), found_by))
}

/// Refuses what is on another device.
pub(super) fn on(expected: &Device, found: &Device, what: &str) -> Result<(), DeviceError> {
    if expected.is(found) {
        return Ok(());
    }
    let [expected, found] = [expected, found].map(|device| device.about().name.clone());
    Err(DeviceError::AnotherDevice { what: what.into(), expected, found })
}

impl Drop for Stream {
    fn drop(&mut self) {
        // What runs uses the memory of the stream; an error has been or will be seen elsewhere.
        let _ = self.finish();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = if self.queue.is_owned() { "own" } else { "the caller's" };
        write!(f, "Stream({}, {own})", self.device.about().name)
    }
}

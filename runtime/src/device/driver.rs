//! What both interfaces can do, as far as plans need it.

use super::{About, DeviceError, KernelEntry};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something of an interface: a pointer of its, or an address of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Handle(pub u64);

/// What a handle is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    /// A part of memory, where that is something of its own.
    Part,
    Queue,
    Module,
    Kernel,
    Mark,
}

/// What a kernel is called with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Address(Handle),
    I32(i32),
    I64(i64),
}

/// A launch of one kernel.
pub(super) struct Job<'a> {
    pub name: &'a str,
    pub kernel: Handle,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Of memory that the text does not declare with a size.
    pub dynamic_shared: u32,
    pub values: &'a [Value],
}

/// A device through an interface. All functions may be called from any thread.
///
/// # Safety
/// Of all `unsafe` functions: handles are of this driver and of the kind that the name says, and have not been released;
/// ranges are inside of the memory.
pub(super) trait Driver: Send + Sync + fmt::Debug {
    fn about(&self) -> &About;

    /// What memory, queues and kernels are of.
    fn context(&self) -> Handle;

    /// As many bytes, at least one, with any contents.
    fn allocate(&self, bytes: usize) -> Result<Handle, DeviceError>;

    /// A queue that runs what it is given in order; `timed` when [`Driver::mark`] will be asked for.
    fn queue(&self, timed: bool) -> Result<Handle, DeviceError>;

    /// The part of memory from an offset on, as kernels take it, and whether it is to be released.
    unsafe fn part(&self, memory: Handle, offset: usize, bytes: usize) -> Result<(Handle, bool), DeviceError>;

    /// Copies to the device; the bytes have been read when it returns.
    unsafe fn write(&self, queue: Handle, memory: Handle, offset: usize, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Copies from the device, when all that the queue has been given before is done.
    unsafe fn read(&self, queue: Handle, memory: Handle, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Copies within the device.
    unsafe fn copy(
        &self,
        queue: Handle,
        from: (Handle, usize),
        to: (Handle, usize),
        bytes: usize,
    ) -> Result<(), DeviceError>;

    /// Sets bytes to zero: a multiple of 8, from such an offset on.
    unsafe fn clear(&self, queue: Handle, memory: Handle, offset: usize, bytes: usize) -> Result<(), DeviceError>;

    /// Builds a text, or loads what has been built.
    fn module(&self, text: &[u8]) -> Result<Handle, DeviceError>;

    /// A kernel of a module, which can be launched with as many threads and as much shared memory.
    unsafe fn kernel(&self, module: Handle, entry: &KernelEntry) -> Result<Handle, DeviceError>;

    /// Starts a kernel; not from two threads at once with one kernel.
    ///
    /// # Safety
    /// The values are what the kernel takes, and it stays inside of the memory behind them.
    unsafe fn launch(&self, queue: Handle, job: &Job<'_>) -> Result<(), DeviceError>;

    /// Sees to it that what the queue has been given begins.
    unsafe fn start(&self, queue: Handle) -> Result<(), DeviceError>;

    /// Waits for all that the queue has been given.
    unsafe fn synchronise(&self, queue: Handle) -> Result<(), DeviceError>;

    /// A moment of a queue: when all before it is done.
    unsafe fn mark(&self, queue: Handle) -> Result<Handle, DeviceError>;

    /// The time between two moments that have passed.
    unsafe fn between(&self, from: Handle, to: Handle) -> Result<Duration, DeviceError>;

    /// Gives back. Nothing can be done about an error.
    unsafe fn release(&self, kind: Kind, handle: Handle);
}

/// Something of a driver that is given back when it is dropped.
pub(super) struct Object {
    pub driver: Arc<dyn Driver>,
    pub handle: Handle,
    kind: Option<Kind>,
}

impl Object {
    /// Takes a handle that nobody else releases.
    pub fn own(driver: &Arc<dyn Driver>, kind: Kind, handle: Handle) -> Object {
        Object { driver: driver.clone(), handle, kind: Some(kind) }
    }

    /// Of somebody else, who releases it.
    pub fn borrow(driver: &Arc<dyn Driver>, handle: Handle) -> Object {
        Object { driver: driver.clone(), handle, kind: None }
    }

    pub fn is_owned(&self) -> bool {
        self.kind.is_some()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(kind) = self.kind {
            // SAFETY: the handle is of this kind, and nobody else releases it.
            unsafe { self.driver.release(kind, self.handle) };
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:#x})", self.kind, self.handle.0)
    }
}

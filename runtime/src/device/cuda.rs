//! The driver interface of CUDA, loaded while the program runs (CUDA Driver API, `cuda.h`).

use super::driver::{Driver, Handle, Job, Kind, Value};
use super::library::functions;
use super::{About, Api, DeviceError, KernelEntry};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A context, a stream, a module, a function or an event.
type Ptr = *mut c_void;
/// `CUresult`; 0 is success.
type Status = i32;
/// `CUdeviceptr`.
type Address = u64;

functions! {
    /// Functions that every driver since CUDA 11 has.
    Table of "CUDA" {
        cuInit: fn(u32) -> Status,
        cuGetErrorName: fn(Status, *mut *const c_char) -> Status,
        cuGetErrorString: fn(Status, *mut *const c_char) -> Status,
        cuDeviceGetCount: fn(*mut i32) -> Status,
        cuDeviceGet: fn(*mut i32, i32) -> Status,
        cuDeviceGetName: fn(*mut c_char, i32, i32) -> Status,
        cuDeviceTotalMem_v2: fn(*mut usize, i32) -> Status,
        cuDeviceGetAttribute: fn(*mut i32, i32, i32) -> Status,
        cuDevicePrimaryCtxRetain: fn(*mut Ptr, i32) -> Status,
        cuDevicePrimaryCtxRelease_v2: fn(i32) -> Status,
        cuCtxPushCurrent_v2: fn(Ptr) -> Status,
        cuCtxPopCurrent_v2: fn(*mut Ptr) -> Status,
        cuCtxSynchronize: fn() -> Status,
        cuMemAlloc_v2: fn(*mut Address, usize) -> Status,
        cuMemFree_v2: fn(Address) -> Status,
        cuMemcpyHtoDAsync_v2: fn(Address, *const c_void, usize, Ptr) -> Status,
        cuMemcpyDtoHAsync_v2: fn(Ptr, Address, usize, Ptr) -> Status,
        cuMemcpyDtoDAsync_v2: fn(Address, Address, usize, Ptr) -> Status,
        cuMemsetD32Async: fn(Address, u32, usize, Ptr) -> Status,
        cuModuleLoadDataEx: fn(*mut Ptr, *const c_void, u32, *const i32, *const Ptr) -> Status,
        cuModuleUnload: fn(Ptr) -> Status,
        cuModuleGetFunction: fn(*mut Ptr, Ptr, *const c_char) -> Status,
        cuFuncGetAttribute: fn(*mut i32, i32, Ptr) -> Status,
        cuFuncSetAttribute: fn(Ptr, i32, i32) -> Status,
        cuLaunchKernel: fn(Ptr, u32, u32, u32, u32, u32, u32, u32, Ptr, *const Ptr, *const Ptr) -> Status,
        cuStreamCreate: fn(*mut Ptr, u32) -> Status,
        cuStreamSynchronize: fn(Ptr) -> Status,
        cuStreamDestroy_v2: fn(Ptr) -> Status,
        cuEventCreate: fn(*mut Ptr, u32) -> Status,
        cuEventRecord: fn(Ptr, Ptr) -> Status,
        cuEventElapsedTime: fn(*mut f32, Ptr, Ptr) -> Status,
        cuEventDestroy_v2: fn(Ptr) -> Status,
    }
}

/// The library's names on Linux and Windows. It comes with the driver, not with the toolkit.
const LIBRARIES: [&str; 3] = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"];

// Numbers of `cuda.h`.
const THREADS_PER_BLOCK: i32 = 1;
const BLOCK_DIM: [i32; 3] = [2, 3, 4];
const GRID_DIM: [i32; 3] = [5, 6, 7];
const CAPABILITY: [i32; 2] = [75, 76];
const SHARED_PER_BLOCK_OPTIN: i32 = 97;
const FUNCTION_THREADS: i32 = 0;
const FUNCTION_SHARED_BYTES: i32 = 1;
const FUNCTION_MOST_DYNAMIC_SHARED: i32 = 8;
const STREAM_NON_BLOCKING: u32 = 1;
const JIT_ERROR_LOG: i32 = 5;
const JIT_ERROR_LOG_BYTES: i32 = 6;
const OUT_OF_MEMORY: Status = 2;
const NO_DEVICE: Status = 100;
/// Errors after which a context takes no more work: illegal addresses and instructions, time-outs, hardware.
const STICKY: [std::ops::RangeInclusive<Status>; 4] = [214..=214, 700..=700, 702..=702, 710..=719];

/// Bytes of shared memory that a kernel gets without asking for more.
const USUAL_SHARED: u32 = 48 << 10;
/// Offsets at which vectors of every width are aligned, as memory is when it is allocated.
const ALIGNMENT: usize = 256;
/// Bytes of the compiler's log that are kept.
const LOG: usize = 8 << 10;

/// A CUDA device in its primary context.
pub(super) struct Cuda {
    table: &'static Table,
    device: i32,
    context: Ptr,
    about: About,
    /// The error after which nothing more can be done; 0 when there was none.
    lost: AtomicI32,
}

// SAFETY: the driver may be called from every thread that has made the context its current one, which `Current` does.
unsafe impl Send for Cuda {}
// SAFETY: as above.
unsafe impl Sync for Cuda {}

/// The library, loaded and initialised once.
fn table() -> Result<&'static Table, DeviceError> {
    static TABLE: OnceLock<Result<Table, DeviceError>> = OnceLock::new();
    TABLE.get_or_init(|| initialised(&LIBRARIES)).as_ref().map_err(DeviceError::clone)
}

fn initialised(names: &[&str]) -> Result<Table, DeviceError> {
    let table = Table::load(names)?;
    // SAFETY: flags are 0.
    match unsafe { (table.cuInit)(0) } {
        0 => Ok(table),
        NO_DEVICE => Err(DeviceError::NoDevice { api: "CUDA", reason: None }),
        status => Err(DeviceError::NoDevice { api: "CUDA", reason: Some(reason(&table, status)) }),
    }
}

/// A device and what is known of it.
pub(super) struct Found {
    table: &'static Table,
    device: i32,
    pub about: About,
    /// Once it has been opened.
    opened: Mutex<Option<Arc<dyn Driver>>>,
}

/// All devices, found once.
pub(super) fn devices() -> Result<&'static [Found], DeviceError> {
    static FOUND: OnceLock<Result<Vec<Found>, DeviceError>> = OnceLock::new();
    FOUND.get_or_init(|| find(table()?)).as_deref().map_err(DeviceError::clone)
}

fn find(table: &'static Table) -> Result<Vec<Found>, DeviceError> {
    let mut count = 0;
    // SAFETY: one number is written.
    let status = unsafe { (table.cuDeviceGetCount)(&mut count) };
    if status != 0 || count < 1 {
        let reason = (status != 0).then(|| reason(table, status));
        return Err(DeviceError::NoDevice { api: "CUDA", reason });
    }
    let mut found = Vec::new();
    for number in 0..count {
        let mut device = 0;
        // SAFETY: as above.
        if unsafe { (table.cuDeviceGet)(&mut device, number) } == 0 {
            found.push(Found { table, device, about: about(table, device, number), opened: Mutex::default() });
        }
    }
    Ok(found)
}

fn about(table: &Table, device: i32, number: i32) -> About {
    let of = |attribute| {
        let mut value = 0;
        // SAFETY: one number is written.
        unsafe { (table.cuDeviceGetAttribute)(&mut value, attribute, device) };
        u32::try_from(value).unwrap_or(0)
    };
    let (mut name, mut memory_bytes) = ([0; 128], 0);
    // SAFETY: the function writes as many bytes as it is told, ending with a zero; the other one number.
    unsafe {
        (table.cuDeviceGetName)(name.as_mut_ptr(), name.len() as i32, device);
        (table.cuDeviceTotalMem_v2)(&mut memory_bytes, device);
    }
    let name: Vec<u8> = name.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
    About {
        name: format!("cuda:{number}"),
        description: String::from_utf8_lossy(&name).into_owned(),
        api: Api::Cuda,
        memory_bytes: memory_bytes as u64,
        largest_bytes: memory_bytes as u64,
        threads: of(THREADS_PER_BLOCK),
        block: BLOCK_DIM.map(of),
        grid: GRID_DIM.map(of),
        shared_bytes: of(SHARED_PER_BLOCK_OPTIN).into(),
        alignment: ALIGNMENT,
        capability: Some((of(CAPABILITY[0]), of(CAPABILITY[1]))),
        float64: true,
    }
}

impl Found {
    /// The device in its primary context, the same for all who ask.
    pub fn open(&self) -> Result<Arc<dyn Driver>, DeviceError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &*opened {
            return Ok(driver.clone());
        }
        let Found { table, device, about, .. } = self;
        let mut context = null_mut();
        // SAFETY: one pointer is written; it is released when the driver is dropped.
        let status = unsafe { (table.cuDevicePrimaryCtxRetain)(&mut context, *device) };
        if status != 0 {
            let (device, call) = (about.name.clone(), "cuDevicePrimaryCtxRetain");
            return Err(DeviceError::Failed { device, call, reason: reason(table, status) });
        }
        let (table, device, about, lost) = (*table, *device, about.clone(), AtomicI32::new(0));
        let driver: Arc<dyn Driver> = Arc::new(Cuda { table, device, context, about, lost });
        *opened = Some(driver.clone());
        Ok(driver)
    }
}

/// The context is the thread's current one as long as this lives.
struct Current<'a>(&'a Table);

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let mut context = null_mut();
        // SAFETY: one pointer is written; what was pushed is popped.
        unsafe { (self.0.cuCtxPopCurrent_v2)(&mut context) };
    }
}

impl Cuda {
    /// Makes the context the thread's current one, unless the device is lost.
    fn current(&self) -> Result<Current<'_>, DeviceError> {
        match self.lost.load(Ordering::Relaxed) {
            0 => {}
            status => return Err(self.lost_by(status)),
        }
        // SAFETY: the context is alive as long as `self`.
        self.done("cuCtxPushCurrent", unsafe { (self.table.cuCtxPushCurrent_v2)(self.context) })?;
        Ok(Current(self.table))
    }

    fn lost_by(&self, status: Status) -> DeviceError {
        DeviceError::Lost { device: self.about.name.clone(), reason: reason(self.table, status) }
    }

    fn done(&self, call: &'static str, status: Status) -> Result<(), DeviceError> {
        if status == 0 {
            return Ok(());
        }
        if STICKY.iter().any(|range| range.contains(&status)) {
            self.lost.store(status, Ordering::Relaxed);
            return Err(self.lost_by(status));
        }
        Err(DeviceError::Failed { device: self.about.name.clone(), call, reason: reason(self.table, status) })
    }

    /// Refuses a kernel that asks for more than there is.
    fn limited(&self, entry: &KernelEntry, what: &'static str, needed: u64, found: u64) -> Result<(), DeviceError> {
        if needed <= found {
            return Ok(());
        }
        let (device, kernel) = (self.about.name.clone(), entry.name.clone());
        Err(DeviceError::TooLarge { device, kernel, what, needed, found })
    }
}

impl Driver for Cuda {
    fn about(&self) -> &About {
        &self.about
    }

    fn context(&self) -> Handle {
        handle(self.context)
    }

    fn allocate(&self, bytes: usize) -> Result<Handle, DeviceError> {
        let _current = self.current()?;
        let mut address = 0;
        // SAFETY: one address is written.
        match unsafe { (self.table.cuMemAlloc_v2)(&mut address, bytes.max(1)) } {
            OUT_OF_MEMORY => Err(DeviceError::OutOfMemory { device: self.about.name.clone(), bytes }),
            status => self.done("cuMemAlloc", status).map(|()| Handle(address)),
        }
    }

    fn queue(&self, _timed: bool) -> Result<Handle, DeviceError> {
        let _current = self.current()?;
        let mut stream = null_mut();
        // SAFETY: one pointer is written.
        let status = unsafe { (self.table.cuStreamCreate)(&mut stream, STREAM_NON_BLOCKING) };
        self.done("cuStreamCreate", status).map(|()| handle(stream))
    }

    unsafe fn part(&self, memory: Handle, offset: usize, _bytes: usize) -> Result<(Handle, bool), DeviceError> {
        Ok((Handle(memory.0.wrapping_add(offset as u64)), false))
    }

    unsafe fn write(&self, queue: Handle, memory: Handle, offset: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        let _current = self.current()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let to = memory.0 + offset as u64;
        // SAFETY: the range is inside; the bytes are there until the copy is done, which is waited for.
        let status = unsafe { (self.table.cuMemcpyHtoDAsync_v2)(to, bytes.as_ptr().cast(), bytes.len(), ptr(queue)) };
        self.done("cuMemcpyHtoDAsync", status)?;
        // SAFETY: the caller says that it is a queue.
        self.done("cuStreamSynchronize", unsafe { (self.table.cuStreamSynchronize)(ptr(queue)) })
    }

    unsafe fn read(&self, queue: Handle, memory: Handle, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let _current = self.current()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let from = memory.0 + offset as u64;
        // SAFETY: as in `write`.
        let status =
            unsafe { (self.table.cuMemcpyDtoHAsync_v2)(bytes.as_mut_ptr().cast(), from, bytes.len(), ptr(queue)) };
        self.done("cuMemcpyDtoHAsync", status)?;
        // SAFETY: the caller says that it is a queue.
        self.done("cuStreamSynchronize", unsafe { (self.table.cuStreamSynchronize)(ptr(queue)) })
    }

    unsafe fn copy(
        &self,
        queue: Handle,
        from: (Handle, usize),
        to: (Handle, usize),
        bytes: usize,
    ) -> Result<(), DeviceError> {
        let _current = self.current()?;
        if bytes == 0 {
            return Ok(());
        }
        let [source, target] = [from, to].map(|(memory, offset)| memory.0 + offset as u64);
        // SAFETY: the ranges are inside.
        let status = unsafe { (self.table.cuMemcpyDtoDAsync_v2)(target, source, bytes, ptr(queue)) };
        self.done("cuMemcpyDtoDAsync", status)
    }

    unsafe fn clear(&self, queue: Handle, memory: Handle, offset: usize, bytes: usize) -> Result<(), DeviceError> {
        let _current = self.current()?;
        if bytes == 0 {
            return Ok(());
        }
        let to = memory.0 + offset as u64;
        // SAFETY: the range is inside, and whole words.
        let status = unsafe { (self.table.cuMemsetD32Async)(to, 0, bytes / 4, ptr(queue)) };
        self.done("cuMemsetD32Async", status)
    }

    fn module(&self, text: &[u8]) -> Result<Handle, DeviceError> {
        let _current = self.current()?;
        let refused =
            |reason: String, log: String| Err(DeviceError::Build { device: self.about.name.clone(), reason, log });
        let is_assembled = text.starts_with(b"\x7fELF");
        if !is_assembled && text.contains(&0) {
            return refused("there is a zero in the text".into(), String::new());
        }
        let image = [text, &[0]].concat();
        let (mut module, mut log) = (null_mut(), vec![0u8; LOG]);
        let options = [JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES];
        // The second value is a number in the place of a pointer.
        let values: [Ptr; 2] = [log.as_mut_ptr().cast(), std::ptr::without_provenance_mut(LOG)];
        // SAFETY: a text ends with a zero, an ELF file says how long it is; the log has as many bytes as the options say.
        let status = unsafe {
            let (count, options, values) = (options.len() as u32, options.as_ptr(), values.as_ptr());
            (self.table.cuModuleLoadDataEx)(&mut module, image.as_ptr().cast(), count, options, values)
        };
        match status {
            0 => Ok(handle(module)),
            OUT_OF_MEMORY => Err(DeviceError::OutOfMemory { device: self.about.name.clone(), bytes: text.len() }),
            status => {
                let log = String::from_utf8_lossy(&log);
                refused(reason(self.table, status), log.trim_matches(['\0', '\n', ' ']).to_string())
            }
        }
    }

    unsafe fn kernel(&self, module: Handle, entry: &KernelEntry) -> Result<Handle, DeviceError> {
        let _current = self.current()?;
        let (mut kernel, name) = (null_mut(), CString::new(entry.name.as_str()).unwrap_or_default());
        // SAFETY: one pointer is written; the name ends with a zero.
        let status = unsafe { (self.table.cuModuleGetFunction)(&mut kernel, ptr(module), name.as_ptr()) };
        if status != 0 {
            let (device, reason) =
                (self.about.name.clone(), format!("`{}`: {}", entry.name, reason(self.table, status)));
            return Err(DeviceError::Build { device, reason, log: String::new() });
        }
        let attribute = |which| {
            let mut value = 0;
            // SAFETY: one number is written.
            unsafe { (self.table.cuFuncGetAttribute)(&mut value, which, kernel) };
            u64::try_from(value).unwrap_or(0)
        };
        let threads = entry.block.iter().map(|&threads| u64::from(threads)).product();
        self.limited(entry, "threads in a block", threads, attribute(FUNCTION_THREADS))?;
        let shared = attribute(FUNCTION_SHARED_BYTES) + u64::from(entry.dynamic_shared_bytes);
        self.limited(entry, "bytes of shared memory", shared, self.about.shared_bytes)?;
        if entry.dynamic_shared_bytes > USUAL_SHARED {
            let bytes = entry.dynamic_shared_bytes as i32;
            // SAFETY: the kernel is one of the module.
            let status = unsafe { (self.table.cuFuncSetAttribute)(kernel, FUNCTION_MOST_DYNAMIC_SHARED, bytes) };
            self.done("cuFuncSetAttribute", status)?;
        }
        Ok(handle(kernel))
    }

    unsafe fn launch(&self, queue: Handle, job: &Job<'_>) -> Result<(), DeviceError> {
        let _current = self.current()?;
        // Each value where a pointer can point to it: all are little-endian, and none is wider than this.
        let values: Vec<u64> = job.values.iter().map(bits).collect();
        let pointers: Vec<Ptr> = values.iter().map(|value| (&raw const *value).cast_mut().cast()).collect();
        let ([x, y, z], [a, b, c]) = (job.grid, job.block);
        // SAFETY: the caller vouches for the kernel and what it is called with.
        let status = unsafe {
            let (kernel, queue, pointers) = (ptr(job.kernel), ptr(queue), pointers.as_ptr());
            (self.table.cuLaunchKernel)(kernel, x, y, z, a, b, c, job.dynamic_shared, queue, pointers, null())
        };
        match self.done("cuLaunchKernel", status) {
            Err(DeviceError::Failed { device, reason, .. }) => {
                Err(DeviceError::Launch { device, kernel: job.name.into(), reason })
            }
            done => done,
        }
    }

    unsafe fn start(&self, _queue: Handle) -> Result<(), DeviceError> {
        Ok(())
    }

    unsafe fn synchronise(&self, queue: Handle) -> Result<(), DeviceError> {
        let _current = self.current()?;
        // SAFETY: the caller says that it is a queue.
        self.done("cuStreamSynchronize", unsafe { (self.table.cuStreamSynchronize)(ptr(queue)) })
    }

    unsafe fn mark(&self, queue: Handle) -> Result<Handle, DeviceError> {
        let _current = self.current()?;
        let mut event = null_mut();
        // SAFETY: one pointer is written.
        self.done("cuEventCreate", unsafe { (self.table.cuEventCreate)(&mut event, 0) })?;
        // SAFETY: the event was made above.
        self.done("cuEventRecord", unsafe { (self.table.cuEventRecord)(event, ptr(queue)) })?;
        Ok(handle(event))
    }

    unsafe fn between(&self, from: Handle, to: Handle) -> Result<Duration, DeviceError> {
        let _current = self.current()?;
        let mut milliseconds = 0f32;
        // SAFETY: one number is written; both are events.
        let status = unsafe { (self.table.cuEventElapsedTime)(&mut milliseconds, ptr(from), ptr(to)) };
        self.done("cuEventElapsedTime", status)?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }

    unsafe fn release(&self, kind: Kind, handle: Handle) {
        let Ok(_current) = self.current() else { return };
        // SAFETY: the caller says that the handle is of this kind. What runs may use memory: it is waited for.
        unsafe {
            match kind {
                Kind::Memory => {
                    let status = (self.table.cuCtxSynchronize)();
                    if self.done("cuCtxSynchronize", status).is_ok() {
                        (self.table.cuMemFree_v2)(handle.0);
                    }
                }
                Kind::Queue => _ = (self.table.cuStreamDestroy_v2)(ptr(handle)),
                Kind::Module => _ = (self.table.cuModuleUnload)(ptr(handle)),
                Kind::Mark => _ = (self.table.cuEventDestroy_v2)(ptr(handle)),
                // Parts are addresses; kernels go with their module.
                Kind::Part | Kind::Kernel => {}
            }
        }
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // SAFETY: it was retained when the device was opened.
        unsafe { (self.table.cuDevicePrimaryCtxRelease_v2)(self.device) };
    }
}

impl std::fmt::Debug for Cuda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cuda").field(&self.about).finish()
    }
}

/// A value as the first bytes of a word.
fn bits(value: &Value) -> u64 {
    match *value {
        Value::Address(handle) => handle.0,
        Value::I32(value) => u64::from(value as u32),
        Value::I64(value) => value as u64,
    }
}

fn handle(pointer: Ptr) -> Handle {
    Handle(pointer.expose_provenance() as u64)
}

fn ptr(handle: Handle) -> Ptr {
    std::ptr::with_exposed_provenance_mut(handle.0 as usize)
}

/// The driver's name and sentence for a status.
fn reason(table: &Table, status: Status) -> String {
    let text = |ask: unsafe extern "system" fn(Status, *mut *const c_char) -> Status| {
        let mut text = null();
        // SAFETY: one pointer is written, to a text that ends with a zero and stays.
        let known = unsafe { ask(status, &mut text) } == 0 && !text.is_null();
        // SAFETY: as above.
        known.then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    match (text(table.cuGetErrorName), text(table.cuGetErrorString)) {
        (Some(name), Some(sentence)) => format!("{sentence}, {name}"),
        _ => format!("status {status}"),
    }
}

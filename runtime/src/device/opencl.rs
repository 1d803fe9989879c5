//! OpenCL 1.2, which every implementation has, loaded while the program runs.

use super::driver::{Driver, Handle, Job, Kind, Value};
use super::library::functions;
use super::{About, Api, DeviceError, KernelEntry};
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A pointer to something of OpenCL's.
type Ptr = *mut c_void;
/// `cl_int`; 0 is success.
type Status = i32;
/// `cl_event *`, null where no event is wanted.
type Event = *mut Ptr;

functions! {
    /// Functions of the OpenCL 1.2 specification.
    Table of "OpenCL" {
        clGetPlatformIDs: fn(u32, *mut Ptr, *mut u32) -> Status,
        clGetPlatformInfo: fn(Ptr, u32, usize, Ptr, *mut usize) -> Status,
        clGetDeviceIDs: fn(Ptr, u64, u32, *mut Ptr, *mut u32) -> Status,
        clGetDeviceInfo: fn(Ptr, u32, usize, Ptr, *mut usize) -> Status,
        clCreateContext: fn(*const isize, u32, *const Ptr, *const c_void, Ptr, *mut Status) -> Ptr,
        clRetainContext: fn(Ptr) -> Status,
        clReleaseContext: fn(Ptr) -> Status,
        clCreateCommandQueue: fn(Ptr, Ptr, u64, *mut Status) -> Ptr,
        clReleaseCommandQueue: fn(Ptr) -> Status,
        clCreateBuffer: fn(Ptr, u64, usize, Ptr, *mut Status) -> Ptr,
        clCreateSubBuffer: fn(Ptr, u64, u32, *const c_void, *mut Status) -> Ptr,
        clReleaseMemObject: fn(Ptr) -> Status,
        clEnqueueReadBuffer: fn(Ptr, Ptr, u32, usize, usize, Ptr, u32, *const Ptr, Event) -> Status,
        clEnqueueWriteBuffer: fn(Ptr, Ptr, u32, usize, usize, *const c_void, u32, *const Ptr, Event) -> Status,
        clEnqueueCopyBuffer: fn(Ptr, Ptr, Ptr, usize, usize, usize, u32, *const Ptr, Event) -> Status,
        clEnqueueFillBuffer: fn(Ptr, Ptr, *const c_void, usize, usize, usize, u32, *const Ptr, Event) -> Status,
        clCreateProgramWithSource: fn(Ptr, u32, *const *const c_char, *const usize, *mut Status) -> Ptr,
        clBuildProgram: fn(Ptr, u32, *const Ptr, *const c_char, *const c_void, Ptr) -> Status,
        clGetProgramBuildInfo: fn(Ptr, Ptr, u32, usize, Ptr, *mut usize) -> Status,
        clReleaseProgram: fn(Ptr) -> Status,
        clCreateKernel: fn(Ptr, *const c_char, *mut Status) -> Ptr,
        clGetKernelWorkGroupInfo: fn(Ptr, Ptr, u32, usize, Ptr, *mut usize) -> Status,
        clReleaseKernel: fn(Ptr) -> Status,
        clSetKernelArg: fn(Ptr, u32, usize, *const c_void) -> Status,
        clEnqueueNDRangeKernel: fn(Ptr, Ptr, u32, *const usize, *const usize, *const usize, u32, *const Ptr, Event) -> Status,
        clEnqueueMarkerWithWaitList: fn(Ptr, u32, *const Ptr, Event) -> Status,
        clGetEventProfilingInfo: fn(Ptr, u32, usize, Ptr, *mut usize) -> Status,
        clReleaseEvent: fn(Ptr) -> Status,
        clFlush: fn(Ptr) -> Status,
        clFinish: fn(Ptr) -> Status,
    }
}

/// The library's names on Linux, macOS and Windows.
const LIBRARIES: [&str; 4] =
    ["libOpenCL.so.1", "libOpenCL.so", "/System/Library/Frameworks/OpenCL.framework/OpenCL", "OpenCL.dll"];

// Numbers of `cl.h`.
const DEVICE_TYPE_ALL: u64 = 0xffff_ffff;
const DEVICE_MAX_WORK_ITEM_SIZES: u32 = 0x1005;
const DEVICE_MAX_WORK_GROUP_SIZE: u32 = 0x1004;
const DEVICE_MAX_MEM_ALLOC_SIZE: u32 = 0x1010;
const DEVICE_MEM_BASE_ADDR_ALIGN: u32 = 0x1019;
const DEVICE_GLOBAL_MEM_SIZE: u32 = 0x101f;
const DEVICE_LOCAL_MEM_SIZE: u32 = 0x1023;
const DEVICE_NAME: u32 = 0x102b;
const DEVICE_EXTENSIONS: u32 = 0x1030;
const PLATFORM_NAME: u32 = 0x0902;
const QUEUE_PROFILING_ENABLE: u64 = 1 << 1;
const MEM_READ_WRITE: u64 = 1;
const BUFFER_CREATE_TYPE_REGION: u32 = 0x1220;
const PROGRAM_BUILD_LOG: u32 = 0x1183;
const KERNEL_WORK_GROUP_SIZE: u32 = 0x11b0;
const KERNEL_LOCAL_MEM_SIZE: u32 = 0x11b2;
const PROFILING_COMMAND_END: u32 = 0x1283;
const MEM_OBJECT_ALLOCATION_FAILURE: Status = -4;
const OUT_OF_RESOURCES: Status = -5;
const OUT_OF_HOST_MEMORY: Status = -6;
const PROFILING_INFO_NOT_AVAILABLE: Status = -7;
const MISALIGNED_SUB_BUFFER_OFFSET: Status = -13;
const INVALID_BUFFER_SIZE: Status = -61;
const PLATFORM_NOT_FOUND: Status = -1001;

/// A device of an OpenCL platform.
pub(super) struct OpenCl {
    table: &'static Table,
    device: Ptr,
    context: Ptr,
    about: About,
}

// SAFETY: an OpenCL implementation may be called from every thread, but for `clSetKernelArg` on one kernel from several
// at once, which callers of `launch` see to.
unsafe impl Send for OpenCl {}
// SAFETY: as above.
unsafe impl Sync for OpenCl {}

/// The library, loaded once.
fn table() -> Result<&'static Table, DeviceError> {
    static TABLE: OnceLock<Result<Table, DeviceError>> = OnceLock::new();
    TABLE.get_or_init(|| Table::load(&LIBRARIES)).as_ref().map_err(DeviceError::clone)
}

/// A device and what is known of it.
pub(super) struct Found {
    table: &'static Table,
    device: Ptr,
    pub about: About,
    /// Once it has been opened. It stays open: implementations give up what all contexts share with the last one of them
    /// (PoCL 3.1 does), and not all can begin again while another thread asks for devices.
    opened: Mutex<Option<Arc<dyn Driver>>>,
}

// SAFETY: as for `OpenCl`.
unsafe impl Send for Found {}
// SAFETY: as for `OpenCl`.
unsafe impl Sync for Found {}

/// The devices of all platforms, in the order in which they are listed; found once.
pub(super) fn devices() -> Result<&'static [Found], DeviceError> {
    static FOUND: OnceLock<Result<Vec<Found>, DeviceError>> = OnceLock::new();
    FOUND.get_or_init(find).as_deref().map_err(DeviceError::clone)
}

fn find() -> Result<Vec<Found>, DeviceError> {
    let table = table()?;
    let no_device = |status| DeviceError::NoDevice { api: "OpenCL", reason: Some(reason(status)) };
    // SAFETY: the functions fill lists as long as they are told.
    let platforms = unsafe { listed(|room, list, count| (table.clGetPlatformIDs)(room, list, count)) };
    let platforms = match platforms {
        Err(PLATFORM_NOT_FOUND) => return Err(DeviceError::NoDevice { api: "OpenCL", reason: None }),
        listed => listed.map_err(no_device)?,
    };
    let mut found = Vec::new();
    for platform in platforms {
        // SAFETY: as above. A platform without devices is none to speak of.
        let devices =
            unsafe { listed(|room, list, count| (table.clGetDeviceIDs)(platform, DEVICE_TYPE_ALL, room, list, count)) };
        for device in devices.unwrap_or_default() {
            let about = about(table, platform, device, found.len());
            found.push(Found { table, device, about, opened: Mutex::default() });
        }
    }
    if found.is_empty() { Err(DeviceError::NoDevice { api: "OpenCL", reason: None }) } else { Ok(found) }
}

impl Found {
    /// The device with a context of its own, the same one for all who ask.
    pub fn open(&self) -> Result<Arc<dyn Driver>, DeviceError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &*opened {
            return Ok(driver.clone());
        }
        let mut status = 0;
        // SAFETY: the list has one device.
        let context = unsafe { (self.table.clCreateContext)(null(), 1, &self.device, null(), null_mut(), &mut status) };
        let driver = self.opened_in(context);
        driver.done("clCreateContext", status)?;
        let driver: Arc<dyn Driver> = Arc::new(driver);
        *opened = Some(driver.clone());
        Ok(driver)
    }

    /// The device in a context of the caller's.
    ///
    /// # Safety
    /// It is a context with this device.
    pub unsafe fn open_in(&self, context: Ptr) -> Result<Arc<dyn Driver>, DeviceError> {
        // SAFETY: the caller says so; it is released when the driver is dropped.
        let status = unsafe { (self.table.clRetainContext)(context) };
        let driver = self.opened_in(context);
        driver.done("clRetainContext", status)?;
        Ok(Arc::new(driver))
    }

    fn opened_in(&self, context: Ptr) -> OpenCl {
        OpenCl { table: self.table, device: self.device, context, about: self.about.clone() }
    }
}

/// A list that a function fills: asked for its length first.
unsafe fn listed(fill: impl Fn(u32, *mut Ptr, *mut u32) -> Status) -> Result<Vec<Ptr>, Status> {
    let mut count = 0;
    let done = |status| if status == 0 { Ok(()) } else { Err(status) };
    done(fill(0, null_mut(), &mut count))?;
    let mut list = vec![null_mut(); count as usize];
    done(fill(count, list.as_mut_ptr(), null_mut()))?;
    Ok(list)
}

fn about(table: &Table, platform: Ptr, device: Ptr, number: usize) -> About {
    // SAFETY: the functions write as many bytes as they are told, of the types that the specification gives.
    let info = |what| unsafe { bytes_of(|size, to, needed| (table.clGetDeviceInfo)(device, what, size, to, needed)) };
    // SAFETY: as above.
    let platform =
        unsafe { bytes_of(|size, to, needed| (table.clGetPlatformInfo)(platform, PLATFORM_NAME, size, to, needed)) };
    let sizes: Vec<u64> = info(DEVICE_MAX_WORK_ITEM_SIZES).chunks_exact(size_of::<usize>()).map(number_of).collect();
    let size = |at: usize| sizes.get(at).map_or(1, |size| (*size).min(u32::MAX.into()) as u32);
    let extensions = text_of(&info(DEVICE_EXTENSIONS));
    About {
        name: format!("opencl:{number}"),
        description: format!("{} ({})", text_of(&info(DEVICE_NAME)), text_of(&platform)),
        api: Api::OpenCl,
        memory_bytes: number_of(&info(DEVICE_GLOBAL_MEM_SIZE)),
        largest_bytes: number_of(&info(DEVICE_MAX_MEM_ALLOC_SIZE)),
        threads: number_of(&info(DEVICE_MAX_WORK_GROUP_SIZE)).min(u32::MAX.into()) as u32,
        block: [size(0), size(1), size(2)],
        grid: [i32::MAX as u32; 3],
        shared_bytes: number_of(&info(DEVICE_LOCAL_MEM_SIZE)),
        alignment: (number_of(&info(DEVICE_MEM_BASE_ADDR_ALIGN)) / 8).max(1) as usize,
        capability: None,
        float64: extensions.split_whitespace().any(|name| name == "cl_khr_fp64"),
    }
}

/// What a function says in as many bytes as it needs; nothing when it does not know.
unsafe fn bytes_of(ask: impl Fn(usize, Ptr, *mut usize) -> Status) -> Vec<u8> {
    let mut needed = 0;
    if ask(0, null_mut(), &mut needed) != 0 {
        return Vec::new();
    }
    let mut bytes = vec![0u8; needed];
    if ask(needed, bytes.as_mut_ptr().cast(), null_mut()) == 0 { bytes } else { Vec::new() }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_string()
}

/// A `cl_uint`, `cl_ulong` or `size_t`.
fn number_of(bytes: &[u8]) -> u64 {
    match bytes.len() {
        4 => u32::from_ne_bytes(bytes.try_into().expect("it has four bytes")).into(),
        8 => u64::from_ne_bytes(bytes.try_into().expect("it has eight bytes")),
        _ => 0,
    }
}

impl OpenCl {
    fn done(&self, call: &'static str, status: Status) -> Result<(), DeviceError> {
        match status {
            0 => Ok(()),
            status => Err(DeviceError::Failed { device: self.about.name.clone(), call, reason: reason(status) }),
        }
    }

    /// What a function that allocates has said.
    fn room(&self, call: &'static str, status: Status, bytes: usize) -> Result<(), DeviceError> {
        match status {
            MEM_OBJECT_ALLOCATION_FAILURE | OUT_OF_RESOURCES | OUT_OF_HOST_MEMORY | INVALID_BUFFER_SIZE => {
                Err(DeviceError::OutOfMemory { device: self.about.name.clone(), bytes })
            }
            status => self.done(call, status),
        }
    }

    fn log(&self, program: Ptr) -> String {
        // SAFETY: the function writes as many bytes as it is told.
        let log = unsafe {
            bytes_of(|size, to, needed| {
                (self.table.clGetProgramBuildInfo)(program, self.device, PROGRAM_BUILD_LOG, size, to, needed)
            })
        };
        text_of(&log)
    }
}

impl Driver for OpenCl {
    fn about(&self) -> &About {
        &self.about
    }

    fn context(&self) -> Handle {
        handle(self.context)
    }

    fn allocate(&self, bytes: usize) -> Result<Handle, DeviceError> {
        if bytes as u64 > self.about.largest_bytes {
            return Err(DeviceError::OutOfMemory { device: self.about.name.clone(), bytes });
        }
        let mut status = 0;
        // SAFETY: the context is alive as long as `self`.
        let memory =
            unsafe { (self.table.clCreateBuffer)(self.context, MEM_READ_WRITE, bytes.max(1), null_mut(), &mut status) };
        self.room("clCreateBuffer", status, bytes)?;
        Ok(handle(memory))
    }

    fn queue(&self, timed: bool) -> Result<Handle, DeviceError> {
        let mut status = 0;
        let properties = if timed { QUEUE_PROFILING_ENABLE } else { 0 };
        // SAFETY: the context is of the device.
        let queue = unsafe { (self.table.clCreateCommandQueue)(self.context, self.device, properties, &mut status) };
        self.done("clCreateCommandQueue", status)?;
        Ok(handle(queue))
    }

    unsafe fn part(&self, memory: Handle, offset: usize, bytes: usize) -> Result<(Handle, bool), DeviceError> {
        if offset == 0 {
            return Ok((memory, false));
        }
        let region = [offset, bytes.max(1)];
        let mut status = 0;
        // SAFETY: a `cl_buffer_region` is two `size_t`; flags of 0 are those of the whole.
        let part = unsafe {
            (self.table.clCreateSubBuffer)(
                ptr(memory),
                0,
                BUFFER_CREATE_TYPE_REGION,
                region.as_ptr().cast(),
                &mut status,
            )
        };
        if status == MISALIGNED_SUB_BUFFER_OFFSET || !offset.is_multiple_of(self.about.alignment) {
            let About { name: device, alignment, .. } = self.about.clone();
            return Err(DeviceError::Misaligned { device, offset, alignment });
        }
        self.done("clCreateSubBuffer", status)?;
        Ok((handle(part), true))
    }

    unsafe fn write(&self, queue: Handle, memory: Handle, offset: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the range is inside; it waits until the bytes have been read.
        let status = unsafe {
            let (from, count) = (bytes.as_ptr().cast(), bytes.len());
            (self.table.clEnqueueWriteBuffer)(ptr(queue), ptr(memory), 1, offset, count, from, 0, null(), null_mut())
        };
        self.room("clEnqueueWriteBuffer", status, bytes.len())
    }

    unsafe fn read(&self, queue: Handle, memory: Handle, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the range is inside; it waits until the bytes have been written.
        let status = unsafe {
            let (to, count) = (bytes.as_mut_ptr().cast(), bytes.len());
            (self.table.clEnqueueReadBuffer)(ptr(queue), ptr(memory), 1, offset, count, to, 0, null(), null_mut())
        };
        self.room("clEnqueueReadBuffer", status, bytes.len())
    }

    unsafe fn copy(
        &self,
        queue: Handle,
        from: (Handle, usize),
        to: (Handle, usize),
        bytes: usize,
    ) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        let (source, target) = (ptr(from.0), ptr(to.0));
        // SAFETY: the ranges are inside.
        let status = unsafe {
            (self.table.clEnqueueCopyBuffer)(ptr(queue), source, target, from.1, to.1, bytes, 0, null(), null_mut())
        };
        self.room("clEnqueueCopyBuffer", status, bytes)
    }

    unsafe fn clear(&self, queue: Handle, memory: Handle, offset: usize, bytes: usize) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        let zero = 0u64;
        // SAFETY: the range is inside, and a multiple of the pattern.
        let status = unsafe {
            let pattern = (&raw const zero).cast();
            (self.table.clEnqueueFillBuffer)(ptr(queue), ptr(memory), pattern, 8, offset, bytes, 0, null(), null_mut())
        };
        self.room("clEnqueueFillBuffer", status, bytes)
    }

    fn module(&self, text: &[u8]) -> Result<Handle, DeviceError> {
        let mut status = 0;
        let (start, length) = (text.as_ptr().cast::<c_char>(), text.len());
        // SAFETY: one text, with its length.
        let program = unsafe { (self.table.clCreateProgramWithSource)(self.context, 1, &start, &length, &mut status) };
        self.done("clCreateProgramWithSource", status)?;
        // What the text says of rounding is in the text.
        let options = c"-cl-std=CL1.2".as_ptr();
        // SAFETY: the program is of a context with the device.
        let status = unsafe { (self.table.clBuildProgram)(program, 1, &self.device, options, null(), null_mut()) };
        if status != 0 {
            let (device, log) = (self.about.name.clone(), self.log(program));
            // SAFETY: it was made above.
            unsafe { (self.table.clReleaseProgram)(program) };
            return Err(DeviceError::Build { device, reason: reason(status), log });
        }
        Ok(handle(program))
    }

    unsafe fn kernel(&self, module: Handle, entry: &KernelEntry) -> Result<Handle, DeviceError> {
        let mut status = 0;
        let name = CString::new(entry.name.as_str()).unwrap_or_default();
        // SAFETY: the name ends with a zero.
        let kernel = unsafe { (self.table.clCreateKernel)(ptr(module), name.as_ptr(), &mut status) };
        if status != 0 {
            let (device, reason) = (self.about.name.clone(), format!("`{}`: {}", entry.name, reason(status)));
            return Err(DeviceError::Build { device, reason, log: String::new() });
        }
        let info = |what| {
            // SAFETY: the function writes as many bytes as it is told.
            let bytes = unsafe {
                bytes_of(|size, to, needed| {
                    (self.table.clGetKernelWorkGroupInfo)(kernel, self.device, what, size, to, needed)
                })
            };
            number_of(&bytes)
        };
        let threads = entry.block.iter().map(|&threads| u64::from(threads)).product();
        let limits = [
            ("threads in a block", threads, info(KERNEL_WORK_GROUP_SIZE)),
            ("bytes of shared memory", info(KERNEL_LOCAL_MEM_SIZE), self.about.shared_bytes),
        ];
        for (what, needed, found) in limits {
            if needed > found {
                // SAFETY: it was made above.
                unsafe { (self.table.clReleaseKernel)(kernel) };
                let (device, kernel) = (self.about.name.clone(), entry.name.clone());
                return Err(DeviceError::TooLarge { device, kernel, what, needed, found });
            }
        }
        Ok(handle(kernel))
    }

    unsafe fn launch(&self, queue: Handle, job: &Job<'_>) -> Result<(), DeviceError> {
        let refused = |status| DeviceError::Launch {
            device: self.about.name.clone(),
            kernel: job.name.into(),
            reason: reason(status),
        };
        for (at, value) in job.values.iter().enumerate() {
            let address;
            let (size, from): (usize, *const c_void) = match value {
                Value::Address(memory) => {
                    address = ptr(*memory);
                    (size_of::<Ptr>(), (&raw const address).cast())
                }
                Value::I32(value) => (4, (&raw const *value).cast()),
                Value::I64(value) => (8, (&raw const *value).cast()),
            };
            // SAFETY: the caller says that the values are what the kernel takes.
            let status = unsafe { (self.table.clSetKernelArg)(ptr(job.kernel), at as u32, size, from) };
            if status != 0 {
                return Err(refused(status));
            }
        }
        let local = job.block.map(|threads| threads as usize);
        let mut global = local;
        global.iter_mut().zip(job.grid).for_each(|(threads, blocks)| *threads *= blocks as usize);
        // SAFETY: three dimensions each; the caller vouches for the kernel.
        let status = unsafe {
            let (global, local) = (global.as_ptr(), local.as_ptr());
            (self.table.clEnqueueNDRangeKernel)(
                ptr(queue),
                ptr(job.kernel),
                3,
                null(),
                global,
                local,
                0,
                null(),
                null_mut(),
            )
        };
        if status == 0 { Ok(()) } else { Err(refused(status)) }
    }

    unsafe fn start(&self, queue: Handle) -> Result<(), DeviceError> {
        // SAFETY: the caller says that the queue is one.
        let status = unsafe { (self.table.clFlush)(ptr(queue)) };
        self.done("clFlush", status)
    }

    unsafe fn synchronise(&self, queue: Handle) -> Result<(), DeviceError> {
        // SAFETY: the caller says that the queue is one.
        let status = unsafe { (self.table.clFinish)(ptr(queue)) };
        self.done("clFinish", status)
    }

    unsafe fn mark(&self, queue: Handle) -> Result<Handle, DeviceError> {
        let mut event = null_mut();
        // SAFETY: the caller says that the queue is one.
        let status = unsafe { (self.table.clEnqueueMarkerWithWaitList)(ptr(queue), 0, null(), &mut event) };
        self.done("clEnqueueMarkerWithWaitList", status)?;
        Ok(handle(event))
    }

    unsafe fn between(&self, from: Handle, to: Handle) -> Result<Duration, DeviceError> {
        let moment = |event: Handle| {
            let mut nanoseconds = 0u64;
            // SAFETY: a `cl_ulong` is asked for.
            let status = unsafe {
                let to = (&raw mut nanoseconds).cast();
                (self.table.clGetEventProfilingInfo)(ptr(event), PROFILING_COMMAND_END, 8, to, null_mut())
            };
            self.done("clGetEventProfilingInfo", status).map(|()| nanoseconds)
        };
        Ok(Duration::from_nanos(moment(to)?.saturating_sub(moment(from)?)))
    }

    unsafe fn release(&self, kind: Kind, handle: Handle) {
        let release = match kind {
            Kind::Memory | Kind::Part => self.table.clReleaseMemObject,
            Kind::Queue => self.table.clReleaseCommandQueue,
            Kind::Module => self.table.clReleaseProgram,
            Kind::Kernel => self.table.clReleaseKernel,
            Kind::Mark => self.table.clReleaseEvent,
        };
        // SAFETY: the caller says that it is of this kind. Commands that use it hold it until they are done.
        unsafe { release(ptr(handle)) };
    }
}

impl Drop for OpenCl {
    fn drop(&mut self) {
        if !self.context.is_null() {
            // SAFETY: it was made or retained when the device was opened.
            unsafe { (self.table.clReleaseContext)(self.context) };
        }
    }
}

impl std::fmt::Debug for OpenCl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenCl").field(&self.about).finish()
    }
}

fn handle(pointer: Ptr) -> Handle {
    Handle(pointer.expose_provenance() as u64)
}

fn ptr(handle: Handle) -> Ptr {
    std::ptr::with_exposed_provenance_mut(handle.0 as usize)
}

/// The name that `cl.h` gives a status, without the prefix.
fn reason(status: Status) -> String {
    let name = match status {
        -1 => "device not found",
        -2 => "device not available",
        -3 => "compiler not available",
        MEM_OBJECT_ALLOCATION_FAILURE => "no memory",
        OUT_OF_RESOURCES => "out of resources",
        OUT_OF_HOST_MEMORY => "out of the host's memory",
        PROFILING_INFO_NOT_AVAILABLE => "the queue takes no times",
        -11 => "build program failure",
        MISALIGNED_SUB_BUFFER_OFFSET => "misaligned offset",
        -30 => "invalid value",
        -34 => "invalid context",
        -36 => "invalid command queue",
        -38 => "invalid memory object",
        -43 => "invalid build options",
        -46 => "no kernel has this name",
        -48 => "invalid kernel",
        -49 => "no such parameter",
        -51 => "wrong size of an argument",
        -52 => "wrong arguments",
        -53 => "wrong number of dimensions",
        -54 => "wrong number of threads in a block",
        -55 => "too many threads along one axis",
        -63 => "wrong number of threads",
        INVALID_BUFFER_SIZE => "too large for one buffer",
        PLATFORM_NOT_FOUND => "no platform is installed",
        _ => return format!("status {status}"),
    };
    format!("{name}, status {status}")
}

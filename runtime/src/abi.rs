//! What machine code and this crate agree on: the layouts, the signatures, the status codes.
//!
//! A compiled object has no undefined symbols. Whatever it needs from outside it reaches through the [`Context`]
//! that its [`Entry`] receives. `codegen` takes the offsets of these structures from here with `offset_of!`, so
//! the two sides cannot differ.
//!
//! All counts and subscripts are 64-bit. The structures hold pointers only for the length of one call.

use std::ffi::c_void;

/// Everything went well.
pub const STATUS_OK: i32 = 0;
/// Machine code reported a [`Fault`] and stopped early.
pub const STATUS_FAULT: i32 = 1;
/// The runtime could not run a parallel loop: a panic was caught at the border to machine code.
pub const STATUS_PANICKED: i32 = -1;

/// [`Fault::code`]: an indirect subscript lies outside its tensor.
pub const FAULT_SUBSCRIPT: i32 = 1;

/// The alignment of [`Context::workspace`] and of tensors that this crate allocates, in bytes: a cache line, and
/// the widest vector of the machines that we compile for.
pub const ALIGNMENT: usize = 64;

/// The function of an object that runs one kernel.
///
/// `args` has one entry for each argument of the kernel, in the order of its signature; `sizes` has the value of
/// each size parameter, in the order of the signature. Returns [`STATUS_OK`], [`STATUS_FAULT`] after a report, or
/// what a parallel loop returned.
pub type Entry = unsafe extern "C" fn(context: *const Context, args: *const Arg, sizes: *const i64) -> i32;

/// The outlined body of a parallel loop: runs the iterations `begin .. end`.
///
/// `closure` is what the caller of [`Context::parallel`] passed. A non-zero return stops the loop early.
pub type Body = unsafe extern "C" fn(context: *const Context, closure: *mut c_void, begin: i64, end: i64) -> i32;

/// Runs the iterations `0 .. count` of `body` in contiguous chunks, perhaps on several threads, and waits for all
/// of them.
///
/// Returns [`STATUS_OK`] or the status of the first chunk, in the order of the iterations, that failed; chunks behind it
/// that have not begun by then are left out. May be called from inside a body.
pub type Parallel = unsafe extern "C" fn(context: *const Context, body: Body, closure: *mut c_void, count: i64) -> i32;

/// Records a fault, once; the caller then returns [`STATUS_FAULT`].
pub type Report = unsafe extern "C" fn(context: *const Context, fault: *const Fault);

/// What machine code needs from outside, for the length of one call. Machine code only reads it. A [`Body`] is called with
/// one of its own, so that it is known which iterations a report is from.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Runs a parallel loop.
    pub parallel: Parallel,
    /// Records a fault.
    pub report: Report,
    /// As many bytes as the signature asks for, aligned to [`ALIGNMENT`], with any contents. Null if it asks for
    /// none. One block for the whole call: threads that run its bodies share it.
    pub workspace: *mut u8,
    /// The table of scalar functions; [`crate::math::slot`] says which is where.
    pub math: *const MathFn,
    /// Belongs to the runtime; machine code passes it on unread.
    pub state: *const c_void,
}

/// One argument of a kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// The element with all subscripts zero (a byte offset is already added).
    pub data: *mut u8,
    /// One stride for each dimension, in elements.
    pub strides: *const i64,
}

/// Why machine code stopped.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What happened: [`FAULT_SUBSCRIPT`].
    pub code: i32,
    /// The position of the check among those of the [`Signature`](crate::Signature).
    pub check: i32,
    /// The subscript, less `lower`.
    pub value: i64,
    /// The smallest subscript of the dimension.
    pub lower: i64,
    /// The extent of the dimension: `0 <= value < extent` does not hold.
    pub extent: i64,
    /// The subscripts of the elements that it was computed from, those of one element after those of the one before, in the
    /// order of the check.
    pub found_by: *const i64,
}

/// An entry of the table of scalar functions: a C function whose `n` parameters and result are all `float` or all
/// `double`, as its [`slot`](crate::math::slot) says. Machine code loads it and calls it with that type.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct MathFn(*const c_void);

impl MathFn {
    pub(crate) const fn new(function: *const c_void) -> MathFn {
        MathFn(function)
    }

    /// The address of the function.
    pub fn address(self) -> *const c_void {
        self.0
    }
}

// SAFETY: the pointer is the address of a function, which never changes and may be called from every thread.
unsafe impl Send for MathFn {}
// SAFETY: as above.
unsafe impl Sync for MathFn {}

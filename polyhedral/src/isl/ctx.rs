use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use std::fmt;
use std::rc::Rc;

// The library itself comes from this crate's build script; nothing else of it is used.
use isl_rs as _;

/// Why a call into isl did not give a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The context's budget of operations is spent.
    Quota,
    /// isl refused the call; its own words.
    Refused(String),
    /// The text is too long, too deeply nested, or holds a number that does not fit.
    Text(&'static str),
    /// Two objects of different contexts met.
    Mixed,
    /// A value does not fit an `i64`.
    Overflow,
    /// A panic inside a callback; its message.
    Panicked(String),
}

/// The result of every call into isl.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Quota => write!(f, "isl's budget of operations is spent"),
            Error::Refused(words) => write!(f, "isl refused: {words}"),
            Error::Text(why) => write!(f, "text refused before isl read it: {why}"),
            Error::Mixed => write!(f, "objects of different isl contexts"),
            Error::Overflow => write!(f, "a number does not fit 64 bits"),
            Error::Panicked(words) => write!(f, "panic in a callback: {words}"),
        }
    }
}

impl std::error::Error for Error {}

unsafe extern "C" {
    fn isl_ctx_alloc() -> *mut c_void;
    fn isl_ctx_free(ctx: *mut c_void);
    fn isl_options_set_on_error(ctx: *mut c_void, value: c_int) -> c_int;
    fn isl_ctx_set_max_operations(ctx: *mut c_void, operations: c_ulong);
    fn isl_ctx_get_max_operations(ctx: *mut c_void) -> c_ulong;
    fn isl_ctx_reset_operations(ctx: *mut c_void);
    fn isl_ctx_last_error(ctx: *mut c_void) -> c_int;
    fn isl_ctx_last_error_msg(ctx: *mut c_void) -> *const c_char;
    fn isl_ctx_reset_error(ctx: *mut c_void);
}

const ISL_ON_ERROR_CONTINUE: c_int = 1;
/// `isl_error_quota` in isl's `ctx.h`.
const ISL_ERROR_QUOTA: c_int = 6;

/// An isl context: owns everything that isl allocates for the objects made in it. Cheap to clone, bound to its thread.
#[derive(Clone)]
pub struct Ctx(Rc<Owned>);

struct Owned(*mut c_void);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: every object holds a clone of the `Rc`, so none is left when the last clone goes.
        unsafe { isl_ctx_free(self.0) }
    }
}

impl Default for Ctx {
    fn default() -> Self {
        Ctx::new()
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctx")
    }
}

impl PartialEq for Ctx {
    fn eq(&self, other: &Ctx) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Ctx {
    /// A context without a budget, in which a wrong call is an error and never an abort.
    pub fn new() -> Ctx {
        // SAFETY: plain allocation; isl returns null only when memory is exhausted.
        let raw = unsafe { isl_ctx_alloc() };
        assert!(!raw.is_null(), "isl_ctx_alloc: out of memory");
        // SAFETY: `raw` is a live context.
        unsafe { isl_options_set_on_error(raw, ISL_ON_ERROR_CONTINUE) };
        Ctx(Rc::new(Owned(raw)))
    }

    /// Runs `work` with at most `operations` of isl's operations (about 2,000 a millisecond); past them every call
    /// answers [`Error::Quota`]. Budgets nest: the outer one is restored, its count begun anew.
    pub fn with_budget<T>(&self, operations: u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        struct Restore<'a>(&'a Ctx, c_ulong);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                // SAFETY: a live context.
                unsafe {
                    isl_ctx_reset_operations(self.0.raw());
                    isl_ctx_set_max_operations(self.0.raw(), self.1);
                }
            }
        }
        // SAFETY: a live context.
        let restore = Restore(self, unsafe { isl_ctx_get_max_operations(self.raw()) });
        // SAFETY: a live context.
        unsafe {
            isl_ctx_reset_operations(self.raw());
            isl_ctx_set_max_operations(self.raw(), operations as c_ulong);
        }
        let result = work();
        drop(restore);
        result
    }

    pub(super) fn raw(&self) -> *mut c_void {
        self.0.0
    }

    /// The error that isl recorded, taken from the context so that the next call starts clean.
    pub(super) fn take_error(&self) -> Error {
        // SAFETY: a live context; the message is a static or context-owned string, copied here.
        unsafe {
            let kind = isl_ctx_last_error(self.raw());
            let message = isl_ctx_last_error_msg(self.raw());
            let error = if kind == ISL_ERROR_QUOTA {
                Error::Quota
            } else if message.is_null() {
                Error::Refused(format!("error {kind}"))
            } else {
                Error::Refused(CStr::from_ptr(message).to_string_lossy().into_owned())
            };
            isl_ctx_reset_error(self.raw());
            error
        }
    }
}

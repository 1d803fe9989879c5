//! One call: the arguments as machine code sees them, and what it may call back.

use super::{Check, Role, Signature};
use crate::abi::{Arg, Body, Context, Fault};
use crate::pool::{Pace, Paces, Pool};
use crate::tensor::{TensorView, TensorViewMut};
use smallvec::SmallVec;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

/// What [`Context::state`] points to: a call, or the part of one that runs some iterations of a parallel loop.
pub(super) struct Call<'a> {
    pool: &'a Pool,
    paces: &'a Paces,
    signature: &'a Signature,
    fault: Mutex<Option<First>>,
}

/// The fault that the call would have ended with on one thread, as far as is known.
struct First {
    /// The first iteration of the part that reported it.
    begin: i64,
    reported: Reported,
}

/// A [`Fault`] that outlives the report of it.
pub(super) struct Reported {
    pub check: usize,
    pub value: i64,
    pub lower: i64,
    pub extent: i64,
    pub found_by: Vec<i64>,
}

impl<'a> Call<'a> {
    pub fn new(pool: &'a Pool, paces: &'a Paces, signature: &'a Signature) -> Call<'a> {
        Call { pool, paces, signature, fault: Mutex::new(None) }
    }

    /// What was reported first, in the order of one thread.
    pub fn into_fault(self) -> Option<Reported> {
        self.fault.into_inner().unwrap_or_else(PoisonError::into_inner).map(|first| first.reported)
    }

    /// Keeps what the iterations from `begin` on reported, unless earlier ones did so too.
    fn keep(&self, begin: i64, reported: Reported) {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if fault.as_ref().is_none_or(|first| begin < first.begin) {
            *fault = Some(First { begin, reported });
        }
    }
}

/// The arguments in the order of the signature. The strides point into the views, which must outlive the result.
pub(super) fn arguments(
    signature: &Signature,
    inputs: &[TensorView<'_>],
    outputs: &mut [TensorViewMut<'_>],
) -> SmallVec<[Arg; 16]> {
    let mut inputs = inputs.iter();
    let mut outputs = outputs.iter_mut();
    let next = |role| match role {
        Role::Input => {
            inputs.next().map(|view| Arg { data: view.as_ptr().cast_mut(), strides: view.strides().as_ptr() })
        }
        Role::Output | Role::InOut => {
            outputs.next().map(|view| Arg { data: view.as_mut_ptr(), strides: view.strides().as_ptr() })
        }
    };
    signature.arguments.iter().map(|argument| argument.role).filter_map(next).collect()
}

/// [`Context::parallel`].
///
/// # Safety
///
/// `context` is the one that the entry received, or was passed to a body; `body` may be called with it and `closure`
/// from several threads at once, for all parts of `0 .. count`.
pub(super) unsafe extern "C" fn parallel(context: *const Context, body: Body, closure: *mut c_void, count: i64) -> i32 {
    /// What machine code shares between its threads.
    struct Shared<'a>(&'a Context, &'a Call<'a>, *mut c_void);
    // SAFETY: the caller says that the body may be called with it from several threads at once; a call may be shared.
    unsafe impl Sync for Shared<'_> {}

    // SAFETY: the context is alive during the call that it was made for.
    let context = unsafe { &*context };
    // SAFETY: so is the state that it points to.
    let call = unsafe { &*context.state.cast::<Call<'_>>() };
    let shared = &Shared(context, call, closure);
    let unknown = Pace::new();
    let pace = call.paces.of(body as usize).unwrap_or(&unknown);
    call.pool.parallel_at(pace, count, move |part| {
        let Shared(context, call, closure) = *shared;
        let own = Call::new(call.pool, call.paces, call.signature);
        let context = Context { state: (&raw const own).cast(), ..*context };
        // SAFETY: the caller says so; the context lives as long as the body runs.
        let status = unsafe { body(&context, closure, part.start, part.end) };
        if let Some(reported) = own.into_fault() {
            call.keep(part.start, reported);
        }
        status
    })
}

/// [`Context::report`].
///
/// # Safety
///
/// `context` is the one that the entry received, or was passed to a body; `fault` points to a fault, and that to as many
/// subscripts as its check says.
pub(super) unsafe extern "C" fn report(context: *const Context, fault: *const Fault) {
    // SAFETY: as in `parallel`.
    let call = unsafe { &*(*context).state.cast::<Call<'_>>() };
    // SAFETY: the caller says so.
    let Fault { check, value, lower, extent, found_by, .. } = unsafe { *fault };
    let check = usize::try_from(check).unwrap_or(usize::MAX);
    let subscripts = call.signature.checks.get(check).map_or(0, Check::subscripts);
    let found_by = match subscripts {
        0 => Vec::new(),
        // SAFETY: the caller says so.
        _ => unsafe { std::slice::from_raw_parts(found_by, subscripts) }.to_vec(),
    };
    call.keep(0, Reported { check, value, lower, extent, found_by });
}

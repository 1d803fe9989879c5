//! One call: the arguments as machine code sees them, and what it may call back.

use super::{Role, Signature};
use crate::abi::{Arg, Body, Context, Fault};
use crate::pool::{Pace, Paces, Pool};
use crate::tensor::{TensorView, TensorViewMut};
use smallvec::SmallVec;
use std::ffi::c_void;
use std::sync::OnceLock;

/// What [`Context::state`] points to.
pub(super) struct Call<'a> {
    pool: &'a Pool,
    paces: &'a Paces,
    fault: OnceLock<Fault>,
}

impl<'a> Call<'a> {
    pub fn new(pool: &'a Pool, paces: &'a Paces) -> Call<'a> {
        Call { pool, paces, fault: OnceLock::new() }
    }

    /// The first fault that was reported.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
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
    /// Pointers that machine code shares between its threads.
    struct Shared(*const Context, *mut c_void);
    // SAFETY: the caller says that the body may be called with them from several threads at once.
    unsafe impl Sync for Shared {}

    // SAFETY: the context is alive during the call that it was made for, and so is the state that it points to.
    let call = unsafe { &*(*context).state.cast::<Call<'_>>() };
    let shared = &Shared(context, closure);
    let unknown = Pace::new();
    let pace = call.paces.of(body as usize).unwrap_or(&unknown);
    call.pool.parallel_at(pace, count, move |part| {
        let Shared(context, closure) = *shared;
        // SAFETY: the caller says so.
        unsafe { body(context, closure, part.start, part.end) }
    })
}

/// [`Context::report`].
///
/// # Safety
///
/// `context` is the one that the entry received, or was passed to a body; `fault` points to a fault.
pub(super) unsafe extern "C" fn report(context: *const Context, fault: *const Fault) {
    // SAFETY: as in `parallel`.
    let call = unsafe { &*(*context).state.cast::<Call<'_>>() };
    // SAFETY: the caller says so.
    let fault = unsafe { *fault };
    // A later report loses, and that is what was asked for.
    let _ = call.fault.set(fault);
}

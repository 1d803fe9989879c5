//! A compiled kernel, as something to call.

mod call;
mod error;
mod open;
mod signature;

pub use error::{CallError, LoadError, Position};
pub use open::{OpenArgument, OpenCode, OpenSignature, SizeOf};
pub use signature::{Argument, Check, Role, Signature};

use crate::abi::{Context, Entry, STATUS_FAULT, STATUS_OK};
use crate::image::Image;
use crate::math;
use crate::pool::{Paces, Pool};
use crate::tensor::{Buffer, TensorView, TensorViewMut};
use call::{Call, Reported};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An object and what is known of it: machine code that may be called.
#[derive(Clone, Debug)]
pub struct Code {
    object: Arc<[u8]>,
    entry: String,
    signature: Signature,
}

impl Code {
    /// Vouches for machine code.
    ///
    /// # Safety
    ///
    /// The function `entry` of `object` is an [`abi::Entry`](crate::abi::Entry). Called with arguments that fit
    /// `signature`, from any thread and from several at once, it reads only its arguments and its constants, writes
    /// only the outputs, with values of their types, and the workspace, needs no more stack than a thread has, reports
    /// faults as [`Fault`](crate::abi::Fault) says, and returns.
    pub unsafe fn new(object: impl Into<Arc<[u8]>>, entry: impl Into<String>, signature: Signature) -> Code {
        Code { object: object.into(), entry: entry.into(), signature }
    }

    /// The relocatable object.
    pub fn object(&self) -> &[u8] {
        &self.object
    }

    /// The name of the function that runs the kernel.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// What the kernel takes.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// A compiled kernel. Cheap to clone; may be called from many threads at once.
#[derive(Clone)]
pub struct Kernel {
    loaded: Arc<Loaded>,
}

/// What the clones of a kernel share.
struct Loaded {
    /// Where `entry` is.
    home: Home,
    entry: Entry,
    signature: Signature,
    /// Workspaces that no call uses now.
    workspaces: Mutex<Vec<Workspace>>,
    /// How fast its parallel loops have been.
    paces: Paces,
}

/// What keeps machine code where it is.
#[derive(Clone)]
enum Home {
    /// It was mapped: the memory, and the object that is in it.
    Mapped(Arc<Image>, Arc<[u8]>),
    /// It is part of the program, for as long as that runs.
    Linked,
}

/// Scratch memory for one call at a time. Its contents mean nothing between calls.
pub struct Workspace {
    buffer: Buffer,
    bytes: usize,
}

impl Kernel {
    /// Maps the code.
    pub fn load(code: &Code) -> Result<Kernel, LoadError> {
        Kernel::of_image(Arc::new(Image::map(&code.object)?), code)
    }

    /// Of machine code that is linked into this program.
    ///
    /// # Errors
    /// [`LoadError::Signature`].
    ///
    /// # Safety
    ///
    /// As [`Code::new`]: `entry` keeps what is said there of the function of an object.
    pub unsafe fn linked(entry: Entry, signature: Signature) -> Result<Kernel, LoadError> {
        Kernel::new(Home::Linked, entry, signature)
    }

    /// As [`Kernel::load`], in the memory of this kernel when the object is the same one: machine code for any sizes is
    /// mapped once, and gets a signature for each of the sizes that it is called with.
    pub fn load_beside(&self, code: &Code) -> Result<Kernel, LoadError> {
        match &self.loaded.home {
            Home::Mapped(image, object) if Arc::ptr_eq(object, &code.object) => Kernel::of_image(image.clone(), code),
            _ => Kernel::load(code),
        }
    }

    /// `image` holds the object of `code`.
    fn of_image(image: Arc<Image>, code: &Code) -> Result<Kernel, LoadError> {
        let address = image.entry(&code.entry).ok_or_else(|| LoadError::NoEntry { name: code.entry.clone() })?;
        // SAFETY: whoever made the `Code` vouched that the function of this name is an `Entry`.
        let entry = unsafe { std::mem::transmute::<*const (), Entry>(address) };
        Kernel::new(Home::Mapped(image, code.object.clone()), entry, code.signature.clone())
    }

    /// `entry` is at `home`, and what its maker vouched for.
    fn new(home: Home, entry: Entry, signature: Signature) -> Result<Kernel, LoadError> {
        signature.check()?;
        let (workspaces, paces) = (Mutex::default(), Paces::default());
        let kernel = Kernel { loaded: Arc::new(Loaded { home, entry, signature, workspaces, paces }) };
        // Without memory now there may be some at the call, or the caller brings it.
        if kernel.workspace_bytes() > 0
            && let Ok(first) = kernel.workspace()
        {
            kernel.free_workspaces().push(first);
        }
        Ok(kernel)
    }

    /// What the kernel takes.
    pub fn signature(&self) -> &Signature {
        &self.loaded.signature
    }

    /// How much scratch memory one call needs, in bytes: all temporaries of the program that are in memory, where those that
    /// are never needed at once lie in the same bytes. It is known before the call; of a kernel for any sizes it is that of the
    /// sizes of its signature.
    pub fn workspace_bytes(&self) -> usize {
        self.signature().workspace_bytes
    }

    fn free_workspaces(&self) -> MutexGuard<'_, Vec<Workspace>> {
        self.loaded.workspaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scratch memory for [`Kernel::run_with_workspace`]: [`Kernel::workspace_bytes`] of it.
    ///
    /// # Errors
    /// [`CallError::OutOfMemory`].
    pub fn workspace(&self) -> Result<Workspace, CallError> {
        let bytes = self.workspace_bytes();
        let buffer = Buffer::zeroed(bytes).ok_or(CallError::OutOfMemory { bytes })?;
        Ok(Workspace { buffer, bytes })
    }

    /// Runs the kernel: `inputs` are its inputs in the order of the signature, `outputs` its outputs and the tensors
    /// that it updates.
    ///
    /// On an error about the arguments nothing has been written. After [`CallError::IndexOutOfRange`], some elements
    /// of the outputs may have been.
    ///
    /// Does not allocate, except scratch memory for a kernel that needs some, while more calls run at once than ever
    /// before: that of one call is there from [`Kernel::load`] on.
    pub fn run(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        pool: &Pool,
    ) -> Result<(), CallError> {
        if self.workspace_bytes() == 0 {
            return self.call(inputs, outputs, std::ptr::null_mut(), pool);
        }
        let unused = self.free_workspaces().pop();
        let mut workspace = unused.map_or_else(|| self.workspace(), Ok)?;
        let result = self.call(inputs, outputs, workspace.buffer.as_mut_ptr(), pool);
        self.free_workspaces().push(workspace);
        result
    }

    /// As [`Kernel::run`], with the scratch memory of the caller; it may come from another kernel that needs as much. Does not
    /// allocate.
    ///
    /// # Errors
    /// As [`Kernel::run`]; [`CallError::WorkspaceTooSmall`] where the kernel needs more.
    pub fn run_with_workspace(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        workspace: &mut Workspace,
        pool: &Pool,
    ) -> Result<(), CallError> {
        let (expected, found) = (self.workspace_bytes(), workspace.bytes);
        if found < expected {
            return Err(CallError::WorkspaceTooSmall { expected, found });
        }
        self.call(inputs, outputs, workspace.buffer.as_mut_ptr(), pool)
    }

    /// Checks the arguments and calls the machine code. `workspace` is as large and aligned as the signature says.
    fn call(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        workspace: *mut u8,
        pool: &Pool,
    ) -> Result<(), CallError> {
        let Loaded { entry, signature, paces, .. } = &*self.loaded;
        signature.accepts(inputs, outputs)?;
        let args = call::arguments(signature, inputs, outputs);
        let call = Call::new(pool, paces, signature);
        let context = Context {
            parallel: call::parallel,
            report: call::report,
            workspace,
            math: math::table().as_ptr(),
            state: (&raw const call).cast(),
        };
        // SAFETY: whoever made the `Code` vouched for the function when the arguments fit the signature, and they do;
        // the image lives as long as `self`, the context, the arguments and the tensors as long as this call.
        let status = unsafe { entry(&context, args.as_ptr(), signature.sizes.as_ptr()) };
        match (status, call.into_fault()) {
            (STATUS_OK, _) => Ok(()),
            (STATUS_FAULT, Some(reported)) => {
                let Reported { check, value, lower, extent, found_by } = reported;
                Err(signature.index_out_of_range(check, (value, lower, extent), &found_by))
            }
            (status, _) => Err(CallError::Failed { status }),
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Kernel");
        shown.field("signature", self.signature());
        match &self.loaded.home {
            Home::Mapped(image, _) => shown.field("image", image).finish(),
            Home::Linked => shown.finish_non_exhaustive(),
        }
    }
}

impl Workspace {
    /// How much it is, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workspace({} bytes)", self.bytes)
    }
}

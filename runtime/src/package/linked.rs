//! A package whose machine code is part of the program.

use super::{Package, PackageError};
use crate::abi::Entry;
use crate::kernel::{CallError, Kernel};
use crate::pool::Pool;
use crate::tensor::{TensorView, TensorViewMut};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Kernels for so many sizes of calls are kept: programs may call with new ones without end.
const MOST_KERNELS: usize = 1024;

/// The values of the sizes of a call.
type Sizes = SmallVec<[i64; 8]>;

/// The machine code of a package, linked into this program from its static library. The Rust module of a package has one; any
/// number of threads may call it.
#[derive(Debug)]
pub struct Linked {
    /// The package, or why `package.json` is none.
    package: Result<Package, String>,
    kernels: RwLock<BTreeMap<Sizes, Kernel>>,
}

/// Why a function of a package failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no code for these sizes or this machine, or the sizes break a condition.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// An argument does not fit, or the call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Linked {
    /// The package that `manifest`, the text of its `package.json`, describes; `entries` are functions by their symbols.
    ///
    /// # Safety
    ///
    /// Each function is the entry of that name of the package's objects, and these are what the compiler has written: they keep
    /// what [`Code::new`](crate::Code::new) says with the signatures of the manifest.
    pub unsafe fn new(manifest: &str, entries: &[(&str, Entry)]) -> Linked {
        // SAFETY: the caller says so.
        let package = unsafe { Package::linked(manifest, entries) };
        Linked { package, kernels: RwLock::default() }
    }

    /// Runs it for these sizes, which are those of the manifest in order; `inputs` and `outputs` as [`Kernel::run`] takes them.
    /// Allocates nothing once sizes have been seen, but scratch memory as [`Kernel::run`] does.
    ///
    /// # Errors
    /// When there is no code for the sizes or for this machine, and what [`Kernel::run`] finds.
    pub fn run(
        &self,
        sizes: &[i64],
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        pool: &Pool,
    ) -> Result<(), RunError> {
        Ok(self.kernel(sizes)?.run(inputs, outputs, pool)?)
    }

    /// The kernel for these sizes on this machine, of all that could be the one that [`Package::kernel`] takes.
    ///
    /// # Errors
    /// As [`Package::kernel`].
    pub fn kernel(&self, sizes: &[i64]) -> Result<Kernel, PackageError> {
        let known = self.kernels.read().unwrap_or_else(PoisonError::into_inner).get(sizes).cloned();
        if let Some(kernel) = known {
            return Ok(kernel);
        }
        let malformed =
            |reason: &String| PackageError::Malformed { path: super::MANIFEST.into(), reason: reason.clone() };
        let kernel = self.package.as_ref().map_err(malformed)?.kernel_at(sizes)?;
        let mut kernels = self.kernels.write().unwrap_or_else(PoisonError::into_inner);
        if kernels.len() >= MOST_KERNELS {
            kernels.clear();
        }
        // Of threads that came at once the first one's is kept: they share its workspace.
        Ok(kernels.entry(SmallVec::from_slice(sizes)).or_insert(kernel).clone())
    }
}

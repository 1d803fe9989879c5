//! Pages of this process: first writable, then protected.

use std::io;
use std::ptr::NonNull;

/// Whole pages of anonymous memory, unmapped on drop.
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    is_protected: bool,
}

// SAFETY: a mapping owns its pages; they are written only through `&mut self`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `bytes` zero bytes that can be written; a multiple of the size of a page, and not zero.
    pub fn new(bytes: usize) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new private mapping at an address of the system's choice touches no memory that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Mapping { start, bytes, is_protected: false })
    }

    pub fn start(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    /// The bytes, before they are protected; none afterwards.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let writable = if self.is_protected { 0 } else { self.bytes };
        // SAFETY: the pages are mapped for reading and writing as long as `self` lives, were zeroed by the system, and
        // `&mut self` has them alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), writable) }
    }

    /// Makes the first `code_bytes`, whole pages, executable and the rest read-only. No page is ever writable and
    /// executable at once.
    pub fn protect(&mut self, code_bytes: usize) -> io::Result<()> {
        self.is_protected = true;
        self.set_protection(0, code_bytes, libc::PROT_READ | libc::PROT_EXEC)?;
        self.set_protection(code_bytes, self.bytes, libc::PROT_READ)?;
        synchronise_instructions(self.start.as_ptr(), code_bytes);
        Ok(())
    }

    fn set_protection(&self, begin: usize, end: usize, protection: libc::c_int) -> io::Result<()> {
        assert!(begin <= end && end <= self.bytes, "the part lies in the mapping");
        if begin == end {
            return Ok(());
        }
        let start = self.start.as_ptr().wrapping_add(begin).cast();
        // SAFETY: the range is part of our own mapping, and no reference into it exists.
        match unsafe { libc::mprotect(start, end - begin, protection) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is our own mapping, and it is not used after the owner is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// The size of a page.
pub(super) fn page_bytes() -> usize {
    // SAFETY: asks for a number.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two()).unwrap_or(4096)
}

/// Makes code that was written as data visible to instruction fetch. x86 does so by itself.
fn synchronise_instructions(start: *mut u8, bytes: usize) {
    #[cfg(target_arch = "aarch64")]
    {
        unsafe extern "C" {
            fn __clear_cache(start: *mut libc::c_char, end: *mut libc::c_char);
        }
        // SAFETY: the range is mapped and readable.
        unsafe { __clear_cache(start.cast(), start.wrapping_add(bytes).cast()) };
    }
    #[cfg(not(target_arch = "aarch64"))]
    let _ = (start, bytes);
}

//! Tensors whose memory begins or ends where a page does that may not be touched.

use std::ffi::c_void;
use std::ptr;

use runtime::tensor::{DLDataType, DLDevice, DLTensor};
use tilewright::{Pool, Tensor, TensorView, TensorViewMut, Variant};

/// Where the pages are that may not be touched.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Before the first byte, the rest of the last page being marked.
    Front,
    /// Behind the last byte, the rest of the first page being marked.
    Back,
}

/// What stands beside a tensor, and must stay there.
const MARK: u8 = 0xa5;
/// At least a page of every system.
const PAGE: usize = 1 << 16;

/// The bytes of a tensor between guard pages.
pub struct Guarded {
    start: *mut u8,
    /// Of the pages between.
    inside: usize,
    /// From `start` to the first byte.
    offset: usize,
    bytes: usize,
    code: u8,
    bits: u8,
    shape: Vec<i64>,
}

impl Guarded {
    /// A copy of `tensor`, row-major.
    pub fn copy(tensor: &Tensor, side: Side) -> Guarded {
        let bytes = tensor.as_bytes();
        let inside = bytes.len().next_multiple_of(PAGE).max(PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, of which the pages between the first and the last become accessible.
        let start = unsafe {
            let start = libc::mmap(ptr::null_mut(), inside + 2 * PAGE, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            assert_eq!(libc::mprotect(start.wrapping_byte_add(PAGE), inside, access), 0);
            start.cast::<u8>()
        };
        let offset = match side {
            Side::Front => PAGE,
            Side::Back => PAGE + inside - bytes.len(),
        };
        let dtype = tensor.dtype();
        let (code, bits, shape) = (dtype.code(), dtype.bits(), tensor.shape().to_vec());
        let mut guarded = Guarded { start, inside, offset, bytes: bytes.len(), code, bits, shape };
        let from = offset - PAGE;
        let all = guarded.all();
        all.fill(MARK);
        all[from..from + bytes.len()].copy_from_slice(bytes);
        guarded
    }

    /// What the tensor holds.
    pub fn bytes(&mut self) -> Vec<u8> {
        let from = self.offset - PAGE;
        let bytes = self.bytes;
        self.all()[from..from + bytes].to_vec()
    }

    /// Whether what stands beside the tensor is as it was.
    pub fn is_marked(&mut self) -> bool {
        let (from, bytes) = (self.offset - PAGE, self.bytes);
        let all = self.all();
        all[..from].iter().chain(&all[from + bytes..]).all(|byte| *byte == MARK)
    }

    pub fn view(&self) -> TensorView<'_> {
        // SAFETY: the memory is there as long as `self` is borrowed, and what is written to it is written through another
        // view of it only.
        unsafe { TensorView::from_dlpack(&self.described()) }.expect("a tensor in memory")
    }

    pub fn view_mut(&mut self) -> TensorViewMut<'_> {
        // SAFETY: as above.
        unsafe { TensorViewMut::from_dlpack(&self.described()) }.expect("a tensor in memory")
    }

    fn described(&self) -> DLTensor {
        DLTensor {
            data: self.start.wrapping_add(self.offset).cast::<c_void>(),
            device: DLDevice::CPU,
            ndim: self.shape.len() as i32,
            dtype: DLDataType { code: self.code, bits: self.bits, lanes: 1 },
            shape: self.shape.as_ptr(),
            strides: ptr::null(),
            byte_offset: 0,
        }
    }

    fn all(&mut self) -> &mut [u8] {
        // SAFETY: the pages between the guards are ours to read and write.
        unsafe { std::slice::from_raw_parts_mut(self.start.wrapping_add(PAGE), self.inside) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.start.cast(), self.inside + 2 * PAGE) };
    }
}

/// Runs machine code with all tensors between guard pages, and on ordinary memory: the same results or the same error, and
/// nothing written beside a tensor. Returns the error.
pub fn run_guarded(variant: &Variant, inputs: &[Tensor], outputs: &[Tensor], pool: &Pool) -> Option<String> {
    // Before ordinary memory, which hides faults.
    let guarded = [Side::Back, Side::Front].map(|side| run_between(variant, inputs, outputs, pool, side));
    let mut plain = outputs.to_vec();
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let mut targets: Vec<TensorViewMut<'_>> = plain.iter_mut().map(Tensor::view_mut).collect();
    let error = variant
        .kernel()
        .expect("of the processor")
        .run(&views, &mut targets, pool)
        .err()
        .map(|error| error.to_string());
    drop(targets);
    for (found, results) in guarded {
        assert_eq!(found, error);
        let same = plain.iter().zip(&results).all(|(tensor, bytes)| tensor.as_bytes() == bytes);
        assert!(same || error.is_some(), "other results between guard pages");
    }
    error
}

/// The error, and what the outputs hold.
fn run_between(
    variant: &Variant,
    inputs: &[Tensor],
    outputs: &[Tensor],
    pool: &Pool,
    side: Side,
) -> (Option<String>, Vec<Vec<u8>>) {
    let mut read: Vec<Guarded> = inputs.iter().map(|tensor| Guarded::copy(tensor, side)).collect();
    let mut written: Vec<Guarded> = outputs.iter().map(|tensor| Guarded::copy(tensor, side)).collect();
    let views: Vec<TensorView<'_>> = read.iter().map(Guarded::view).collect();
    let mut targets: Vec<TensorViewMut<'_>> = written.iter_mut().map(Guarded::view_mut).collect();
    let error = variant
        .kernel()
        .expect("of the processor")
        .run(&views, &mut targets, pool)
        .err()
        .map(|error| error.to_string());
    drop((views, targets));
    assert!(read.iter_mut().chain(&mut written).all(Guarded::is_marked), "{side:?}: written beside a tensor");
    let unchanged = inputs.iter().zip(&mut read).all(|(tensor, guarded)| tensor.as_bytes() == guarded.bytes());
    assert!(unchanged, "{side:?}: an input was written");
    (error, written.iter_mut().map(Guarded::bytes).collect())
}

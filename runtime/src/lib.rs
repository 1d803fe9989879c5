//! Caller-owned tensors, mapped objects, threads: runs compiled kernels without a compiler.

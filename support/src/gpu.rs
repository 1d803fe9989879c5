/// What a device that runs kernels has: blocks (work-groups) of threads (work-items), which share a small memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// The name users type: `sm_80`, `opencl`.
    pub name: String,
    /// Threads that a block has at most.
    pub threads: i64,
    /// Threads that a block has at most in dimension x, y and z.
    pub block: [i64; 3],
    /// Threads that a loop of unknown length gets.
    pub usual_threads: i64,
    /// Blocks that a launch has at most in dimension x, y and z.
    pub grid: [i64; 3],
    /// Bytes that the threads of a block share.
    pub shared_bytes: i64,
    /// Bytes that a thread may keep for itself: its registers.
    pub private_bytes: i64,
    /// Bytes that one access of a thread moves at most.
    pub vector_bytes: i64,
}

impl Gpu {
    /// NVIDIA's devices from Volta on: what every kernel has without asking for more (CUDA C++ Programming Guide, table
    /// of technical specifications per compute capability).
    pub fn cuda() -> Gpu {
        Gpu {
            name: "cuda".into(),
            threads: 1024,
            block: [1024, 1024, 64],
            usual_threads: 256,
            grid: [i32::MAX as i64, 65535, 65535],
            shared_bytes: 48 << 10,
            private_bytes: 255 * 4,
            vector_bytes: 16,
        }
    }

    /// What devices of OpenCL have in common in practice; the specification asks for less.
    pub fn opencl() -> Gpu {
        let shared_bytes = 32 << 10;
        Gpu { name: "opencl".into(), threads: 256, block: [256, 256, 64], shared_bytes, ..Gpu::cuda() }
    }
}

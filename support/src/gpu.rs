/// What a device that runs kernels has: blocks (work-groups) of threads (work-items), which share a small memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// The name users type: `cuda:sm_80`, `opencl`.
    pub name: String,
    /// What its kernels are written in.
    pub code: KernelCode,
    /// Multiprocessors (compute units), each of which runs whole blocks: what a grid has to fill.
    pub multiprocessors: i64,
    /// Threads that run in step: a warp, or sub-group. Their accesses to neighbouring elements are one access.
    pub warp: i64,
    /// Whether threads of a warp can read each other's registers.
    pub has_shuffles: bool,
    /// Threads that a block has at most.
    pub threads: i64,
    /// Threads that a block has at most in dimension x, y and z.
    pub block: [i64; 3],
    /// Threads that a multiprocessor holds at most, of all its blocks.
    pub resident_threads: i64,
    /// Threads that a loop of unknown length gets.
    pub usual_threads: i64,
    /// Blocks that a launch has at most in dimension x, y and z.
    pub grid: [i64; 3],
    /// Bytes that the threads of a block share, without the host asking for more.
    pub shared_bytes: i64,
    /// The same when the host asks: see [`Gpu::shared_bytes`].
    pub most_shared_bytes: i64,
    /// Bytes that all blocks on a multiprocessor share among themselves.
    pub resident_shared_bytes: i64,
    /// Memories that shared memory consists of, each giving a word of 4 bytes at once to one thread of a warp.
    pub banks: i64,
    /// Registers of 32 bits that a multiprocessor has for all its threads.
    pub registers: i64,
    /// Registers of 32 bits that a thread has at most.
    pub thread_registers: i64,
    /// Bytes that a thread may keep for itself: its registers.
    pub private_bytes: i64,
    /// Bytes that one instruction of a thread loads or stores at most.
    pub access_bytes: i64,
    /// Whether memory is copied to shared memory while the threads go on (`cp.async`).
    pub has_async_copies: bool,
}

/// What a device is programmed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelCode {
    /// PTX, for NVIDIA's architecture of that name.
    Ptx(&'static str),
    /// OpenCL C.
    OpenCl,
}

impl Gpu {
    /// The names of the devices that are known; `cuda` stands for [`Gpu::cuda`].
    pub const NAMES: [&'static str; 5] = ["cuda", "cuda:sm_70", "cuda:sm_80", "cuda:sm_90a", "opencl"];

    /// The device with a name, one of [`Gpu::NAMES`].
    pub fn named(name: &str) -> Option<Gpu> {
        match name {
            "cuda" => Some(Gpu::cuda()),
            "opencl" => Some(Gpu::opencl()),
            _ => match name.strip_prefix("cuda:")? {
                "sm_70" => Some(Gpu::volta()),
                "sm_80" => Some(Gpu::ampere()),
                "sm_90a" => Some(Gpu::hopper()),
                _ => None,
            },
        }
    }

    /// NVIDIA's devices when nobody says which: those from Ampere on.
    pub fn cuda() -> Gpu {
        Gpu::ampere()
    }

    /// The figures of a V100. These, and those of the next two, are of the CUDA C++ Programming Guide, tables of technical
    /// specifications per compute capability; multiprocessors are those of the data sheets.
    pub fn volta() -> Gpu {
        Gpu {
            name: "cuda:sm_70".into(),
            code: KernelCode::Ptx("sm_70"),
            multiprocessors: 80,
            warp: 32,
            has_shuffles: true,
            threads: 1024,
            block: [1024, 1024, 64],
            resident_threads: 2048,
            usual_threads: 256,
            grid: [i32::MAX as i64, 65535, 65535],
            shared_bytes: 48 << 10,
            most_shared_bytes: 96 << 10,
            resident_shared_bytes: 96 << 10,
            banks: 32,
            registers: 64 << 10,
            thread_registers: 255,
            private_bytes: 255 * 4,
            access_bytes: 16,
            has_async_copies: false,
        }
    }

    /// The figures of an A100.
    pub fn ampere() -> Gpu {
        Gpu {
            name: "cuda:sm_80".into(),
            code: KernelCode::Ptx("sm_80"),
            multiprocessors: 108,
            most_shared_bytes: 163 << 10,
            resident_shared_bytes: 164 << 10,
            has_async_copies: true,
            ..Gpu::volta()
        }
    }

    /// The figures of an H100 or H200.
    pub fn hopper() -> Gpu {
        Gpu {
            name: "cuda:sm_90a".into(),
            code: KernelCode::Ptx("sm_90a"),
            multiprocessors: 132,
            most_shared_bytes: 227 << 10,
            resident_shared_bytes: 228 << 10,
            ..Gpu::ampere()
        }
    }

    /// What devices of OpenCL have in common in practice; the specification asks for less.
    pub fn opencl() -> Gpu {
        let shared_bytes = 32 << 10;
        Gpu {
            name: "opencl".into(),
            code: KernelCode::OpenCl,
            multiprocessors: 32,
            has_shuffles: false,
            threads: 256,
            block: [256, 256, 64],
            shared_bytes,
            most_shared_bytes: shared_bytes,
            resident_shared_bytes: shared_bytes,
            has_async_copies: false,
            ..Gpu::volta()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_device_that_goes_by_it() {
        for name in Gpu::NAMES {
            let device = Gpu::named(name).unwrap_or_else(|| panic!("{name}"));
            assert!(device.name.starts_with(name), "{name}");
            assert_eq!(Gpu::named(&device.name), Some(device));
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in ["", "gpu", "cuda:", "cuda:sm_10", "sm_80", "opencl:0"] {
            assert_eq!(Gpu::named(name), None, "{name}");
        }
    }
}

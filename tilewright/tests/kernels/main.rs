//! Programs as kernels: on an OpenCL device, in the interpreter with its blocks and threads in random order, and as PTX. Where there
//! is no OpenCL the tests of it say so and pass; what they would check is not checked there.

#[allow(dead_code, reason = "of what tests share each uses a part")]
#[path = "../agreement/mod.rs"]
mod agreement;
mod calls;
mod corpus;
mod interpreter;
#[path = "../../../codegen/tests/ptx/machine.rs"]
mod machine;
#[path = "../../../codegen/tests/ptx/run.rs"]
mod ptx;
mod random;
mod sizes;
mod tiles;
mod work;

use tilewright::{Compiler, Device};

/// A compiler for the first OpenCL device.
fn opencl() -> Option<Compiler> {
    match Device::open("opencl") {
        Ok(device) => Some(Compiler::for_device(&device).expect("a stream")),
        Err(error) => {
            eprintln!("NOT TESTED: {error}");
            None
        }
    }
}

/// Whether the long form was asked for.
fn full() -> bool {
    std::env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1")
}

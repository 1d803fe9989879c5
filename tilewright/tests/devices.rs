//! Kernels of devices from TC: what `emit cuda` and `emit opencl` print.

use tilewright::emit::{StageName, emit};
use tilewright::{Compiler, Error, Options, Source, check, host_target};

const PRODUCT: &str = "
def mm(float(M, K) A, float(K, N) B) -> (C) {
    C(m, n) +=! A(m, k) * B(k, n)
}";

fn source(stage: StageName, tc: &str, sizes: &[i64], script: Option<&str>) -> Result<String, Error> {
    let (defs, _) = check(&Source::new("a.tc".into(), tc.into())).expect("a good program");
    let script = script.map(|script| script.parse().expect("a script"));
    let options = Options { script, ..Options::new(host_target()) };
    emit(stage, &defs[0], Some(sizes), &options)
}

#[test]
fn the_policy_maps_what_no_script_maps() {
    let cuda = source(StageName::Cuda, PRODUCT, &[100, 60, 40], None).expect("kernels");
    for part in ["__global__ __launch_bounds__(256)", "threadIdx.y", "<<<dim3(", "__shared__", "fmaf("] {
        assert!(cuda.contains(part), "no {part} in\n{cuda}");
    }
    let opencl = source(StageName::OpenCl, PRODUCT, &[100, 60, 40], None).expect("kernels");
    for part in ["__kernel __attribute__((reqd_work_group_size(16, 16, 1)))", "get_group_id(0)", "items"] {
        assert!(opencl.contains(part), "no {part} in\n{opencl}");
    }
}

#[test]
fn a_script_says_what_is_a_kernel() {
    let script = "bind C.init.m to thread.x\nbind C.update.m to thread.x";
    let cuda = source(StageName::Cuda, PRODUCT, &[10, 6, 4], Some(script)).expect("kernels");
    assert_eq!(cuda.matches("__global__").count(), 2, "{cuda}");
}

#[test]
fn what_has_no_words_is_said() {
    let bessel = "
def waves(float(N) A) -> (B) {
    B(n) = j0(A(n))
}";
    assert!(source(StageName::Cuda, bessel, &[7], None).is_ok());
    let refused = source(StageName::OpenCl, bessel, &[7], None).expect_err("OpenCL has no such function");
    assert_eq!(refused.diagnostics()[0].code, "TC0943", "{refused}");
}

#[test]
fn subscripts_that_are_data_are_checked() {
    let gather = "
def lookup(float16(E, D) T, int32(L) I) -> (O) {
    O(l, d) = T(I(l), d)
}";
    let opencl = source(StageName::OpenCl, gather, &[7, 8, 9], None).expect("kernels");
    for part in ["if ((unsigned long)O_0 >= 7) {", "if (first_fault(fault, 1)) {", "} else {", "long *fault"] {
        assert!(opencl.contains(part), "no {part} in\n{opencl}");
    }
}

#[test]
fn blocks_that_would_wait_are_refused() {
    let reversed = "
def twice(float(N) A) -> (B, C) {
    B(i) = A(N - 1 - i)
    C(i) = B(N - 1 - i)
}";
    let script = "fuse B C\nbind B.i to block.x";
    let refused = source(StageName::Cuda, reversed, &[64], Some(script)).expect_err("not legal");
    assert_eq!(refused.diagnostics()[0].code, "TC0913", "{refused}");
    let script = "promote A in global\nbind A_local.load.x0 to lane";
    let refused = source(StageName::Cuda, reversed, &[64], Some(script)).expect_err("no such axis");
    assert_eq!(refused.diagnostics()[0].code, "TC0942", "{refused}");
}

/// A script for a device, replayed for the processor.
#[test]
fn registers_of_threads_are_for_devices() {
    let script = "fuse C.init C.update depth 2\nbind C.init.m to block.x\nlaunch C.init.m with 4 threads\nbind C.init.n to thread.x\npromote C at C.init.n in registers";
    let product = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
    let refused = Compiler::host().script(script.parse().expect("a script")).compile(product).expect("a program");
    let refused = refused.prepare_sizes(&[4, 4, 4]).map(drop).expect_err("no kernel");
    let said = refused.to_string();
    assert!(refused.diagnostics()[0].code == "TC0942" && said.contains("`-t cuda`"), "{said}");
}

/// Loops of one iteration are not dealt out, and are in nobody's way.
#[test]
fn loops_of_one_iteration_are_inside_of_blocks() {
    let convolution = "
def grouped(float(N, G, C, H, W) I, float(G, F, C, 3, 3) K) -> (O) {
    O(n, g, f, h, w) +=! I(n, g, c, h + r, w + s) * K(g, f, c, r, s)
}";
    // N, G, C, H, W, F: one group, and one row of results.
    for sizes in [[2, 1, 4, 3, 9, 4], [2, 5, 4, 3, 9, 1], [1, 1, 1, 3, 3, 1]] {
        if let Err(refused) = source(StageName::OpenCl, convolution, &sizes, None) {
            panic!("{sizes:?}: {refused}");
        }
    }
}

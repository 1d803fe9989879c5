//! Compiles the kernels at build time.

fn main() {
    tilewright_build::Kernels::new(["kernels/*.tc"]).sizes("mm", &[("M", 64), ("N", 64), ("K", 64)]).build();
}

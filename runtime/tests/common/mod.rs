//! Small objects, compiled from C, to stand for what codegen emits.
#![allow(dead_code, reason = "each test file uses its own part")]

use runtime::kernel::{Argument, Check, Code, Kernel, Role, Signature};
use runtime::tensor::DType;
use std::process::Command;

/// The structures of `runtime::abi`, in C.
const ABI: &str = r#"
typedef signed char i8; typedef int i32; typedef long long i64;
struct Fault { i32 code, check; i64 value, lower, extent; const i64 *found_by; };
struct Arg { void *data; const i64 *strides; };
struct Context;
typedef i32 (*Body)(const struct Context *, void *, i64, i64);
struct Context {
    i32 (*parallel)(const struct Context *, Body, void *, i64);
    void (*report)(const struct Context *, const struct Fault *);
    void *workspace;
    void *const *math;
    const void *state;
};
"#;

/// The object of a C source.
pub fn object(source: &str) -> Vec<u8> {
    object_with(source, &["-fPIC"])
}

pub fn object_with(source: &str, flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (folder.path().join("kernel.c"), folder.path().join("kernel.o"));
    std::fs::write(&input, format!("{ABI}{source}")).expect("the folder is writable");
    let freestanding = ["-c", "-O2", "-fno-plt", "-fno-stack-protector", "-ffreestanding"];
    let status = Command::new("cc").args(freestanding).args(flags).arg("-o").arg(&output).arg(&input).status();
    assert!(status.expect("cc is installed").success());
    std::fs::read(output).expect("cc wrote it")
}

/// The kernel `entry` of a C source.
pub fn kernel(source: &str, arguments: Vec<Argument>, sizes: Vec<i64>, workspace_bytes: usize) -> Kernel {
    checked_kernel(source, arguments, sizes, workspace_bytes, vec![])
}

/// The same, which reports subscripts.
pub fn checked_kernel(
    source: &str,
    arguments: Vec<Argument>,
    sizes: Vec<i64>,
    workspace_bytes: usize,
    checks: Vec<Check>,
) -> Kernel {
    let signature = Signature { name: "test".to_owned(), arguments, sizes, workspace_bytes, checks };
    // SAFETY: the sources of the tests keep the ABI and stay inside the arguments that they ask for.
    let code = unsafe { Code::new(object(source), "entry", signature) };
    Kernel::load(&code).expect("the object can be mapped")
}

pub fn floats(name: &str, role: Role, shape: &[i64]) -> Argument {
    Argument::dense(name, DType::FLOAT32, role, shape)
}

/// `C(i) = A(i) + B(i)`.
pub const ADD: &str = r#"
i32 entry(const struct Context *context, const struct Arg *args, const i64 *sizes) {
    const float *a = args[0].data, *b = args[1].data;
    float *c = args[2].data;
    for (i64 i = 0; i < sizes[0]; i++) c[i * args[2].strides[0]] = a[i * args[0].strides[0]] + b[i];
    return 0;
}
"#;

pub fn add(n: i64) -> Kernel {
    let mut arguments =
        vec![floats("A", Role::Input, &[n]), floats("B", Role::Input, &[n]), floats("C", Role::Output, &[n])];
    arguments[0].strides = vec![None];
    arguments[2].strides = vec![None];
    kernel(ADD, arguments, vec![n], 0)
}

/// `B(i) = A(i) * A(i)` in parallel, with a workspace that every call must have to itself: it is filled first.
pub const SQUARES: &str = r#"
struct Closure { const float *a; float *b, *scratch; };
static i32 body(const struct Context *context, void *data, i64 begin, i64 end) {
    struct Closure *c = data;
    for (i64 i = begin; i < end; i++) c->scratch[i] = c->a[i];
    for (i64 i = begin; i < end; i++) c->b[i] = c->scratch[i] * c->a[i];
    return 0;
}
i32 entry(const struct Context *context, const struct Arg *args, const i64 *sizes) {
    struct Closure c = { args[0].data, args[1].data, context->workspace };
    return context->parallel(context, body, &c, sizes[0]);
}
"#;

pub fn squares(n: i64) -> Kernel {
    let arguments = vec![floats("A", Role::Input, &[n]), floats("B", Role::Output, &[n])];
    kernel(SQUARES, arguments, vec![n], n as usize * 4)
}

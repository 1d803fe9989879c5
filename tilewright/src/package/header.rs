//! The C header of a package.

use std::fmt::Write as _;

use codegen::llvm::library::{ABI, Argument, Library, Origin};
use runtime::{DType, Role};

use super::c_names::parameters;

/// What all headers include; the same in every package.
pub const COMMON: (&str, &str) = ("tilewright.h", include_str!("tilewright.h"));

/// Threads for programs that have none.
pub const POOL: (&str, &str) = ("tilewright_pool.h", include_str!("tilewright_pool.h"));

/// The header of a library, as C99 that C++ reads too: of those for several architectures, which differ in what they choose from
/// alone, with what was left out of each. `definition` is what the program calls it.
pub fn header(libraries: &[(Library, Vec<String>)], definition: &str) -> String {
    let Some((library, _)) = libraries.first() else { return String::new() };
    let Names { tensors, sizes } = Names::of(library);
    let name = &library.name;
    let guard = format!("TILEWRIGHT_KERNEL_{}_H", name.to_uppercase());
    let mut text = format!("/* `{definition}`, compiled by Tilewright {}. ", env!("CARGO_PKG_VERSION"));
    text += "tilewright.h explains tensors, calls and errors. */\n";
    let _ = write!(
        text,
        "#ifndef {guard}\n#define {guard}\n\n#include \"tilewright.h\"\n\n#if TILEWRIGHT_ABI != {ABI}\n\
         #error \"this header and tilewright.h are of different versions\"\n#endif\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n"
    );
    text += &about(libraries, definition, &tensors, &sizes);
    let mut whole: Vec<String> = tensors.iter().map(|tensor| format!("const tilewright_tensor *{tensor}")).collect();
    whole.extend(library.given().into_iter().map(|at| format!("int64_t {}", sizes[at])));
    text += &prototype("int", name, whole, "const tilewright_call *call");
    text += &format!(
        "\n/* The same for tensors in row-major order without gaps, whose shapes follow from the sizes.{} */\n",
        if library.origins().iter().any(|origin| matches!(origin, Origin::Value(_))) {
            " Sizes that are\n * the value of a scalar are read from that."
        } else {
            ""
        }
    );
    let mut dense: Vec<String> =
        library.arguments.iter().zip(&tensors).map(|(argument, name)| typed(argument, name)).collect();
    dense.extend(library.not_values().into_iter().map(|at| format!("int64_t {}", sizes[at])));
    text += &prototype("int", &format!("{name}_dense"), dense, "const tilewright_call *call");
    let _ = write!(
        text,
        "\n/* Writes how many bytes of workspace a call with these sizes needs on this processor; 0 or an error. */\n"
    );
    let all = sizes.iter().map(|size| format!("int64_t {size}")).collect();
    text += &prototype("int", &format!("{name}_workspace_bytes"), all, "size_t *bytes");
    let _ = write!(text, "\n/* What a returned value means: text that lives as long as the library. */\n");
    text += &prototype("const char *", &format!("{name}_error_text"), Vec::new(), "int status");
    let _ = write!(text, "\n/* The TILEWRIGHT_ABI that the library was made for. */\nint {name}_abi(void);\n");
    text += "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
    text
}

/// The names of a library's tensors and sizes in C.
struct Names {
    tensors: Vec<String>,
    sizes: Vec<String>,
}

impl Names {
    /// A scalar that is a size has the size's name; one of the two gets another.
    fn of(library: &Library) -> Names {
        let tensors = library.arguments.iter().map(|argument| argument.name.as_str());
        let sizes = library.sizes.iter().map(String::as_str);
        let mut tensors = parameters(tensors.chain(sizes), &["call", "bytes", "status", &library.name]);
        let sizes = tensors.split_off(library.arguments.len());
        Names { tensors, sizes }
    }
}

/// The comment of the function.
fn about(libraries: &[(Library, Vec<String>)], definition: &str, tensors: &[String], sizes: &[String]) -> String {
    let library = &libraries[0].0;
    let mut text =
        format!("/* `{definition}`: computes the outputs from the inputs. 0, or an error: tilewright.h.\n *\n");
    for (argument, name) in library.arguments.iter().zip(tensors) {
        let role = match argument.role {
            Role::Input => "in:",
            Role::Output => "out:",
            Role::InOut => "in and out:",
        };
        let bytes = argument.dtype.bytes();
        let _ = writeln!(text, " *   {name:12} {role} {}, aligned to {bytes} bytes", described(argument));
    }
    let origins = library.origins();
    for (size, (name, origin)) in sizes.iter().zip(&origins).enumerate() {
        let from = match *origin {
            Origin::Value(at) => format!("the value of {}", tensors[at]),
            Origin::Extent(at, dim) | Origin::Computed(at, dim) => format!("dimension {dim} of {}", tensors[at]),
            Origin::Given => "given".into(),
        };
        let comes = if library.sizes[size] == *name { String::new() } else { format!(" (`{}`)", library.sizes[size]) };
        let _ = writeln!(text, " *   {name:12} size{comes}: {from}");
    }
    let conditions = library.conditions.iter().map(|condition| comment(&condition.text)).collect::<Vec<_>>();
    if !conditions.is_empty() {
        let _ = writeln!(text, " *\n * The sizes must satisfy {}.", conditions.join(", "));
    }
    let _ = writeln!(text, " *\n * {}", strides(library));
    for (library, left_out) in libraries {
        text += &kernels(library, left_out);
    }
    text += &example(library, tensors);
    text + " */\n"
}

/// What strides the function takes.
fn strides(library: &Library) -> String {
    let strided: Vec<&str> = library
        .arguments
        .iter()
        .filter(|argument| argument.is_strided)
        .map(|argument| argument.name.as_str())
        .collect();
    match strided.is_empty() {
        true => "Every tensor lies in row-major order without gaps: strides are NULL, or say that.".into(),
        false => format!("Strides of {} may be any; the other tensors lie in row-major order.", strided.join(", ")),
    }
}

/// For which sizes and processors there are kernels.
fn kernels(library: &Library, left_out: &[String]) -> String {
    let triple = &library.triple;
    let mut text =
        format!(" *\n * For {triple} the first of these that the processor can run and that is for the sizes:\n");
    for choice in &library.choices {
        let sizes = match &choice.sizes {
            None => "any sizes".into(),
            Some(values) => {
                let pairs = library.sizes.iter().zip(values).map(|(name, value)| format!("{name} = {value}"));
                pairs.collect::<Vec<_>>().join(", ")
            }
        };
        let sizes = if sizes.is_empty() { "the only sizes" } else { &sizes };
        let _ = writeln!(text, " *   {}: {sizes}", choice.target);
    }
    for why in left_out {
        let _ = writeln!(text, " * Left out is {}", comment(why));
    }
    text
}

/// A call, as one writes it.
fn example(library: &Library, tensors: &[String]) -> String {
    let mut text = String::from(" *\n * For example:\n");
    for (argument, name) in library.arguments.iter().zip(tensors) {
        let shape: Vec<String> = argument.extent.iter().map(|extent| comment(&extent.to_string())).collect();
        let variable = name.to_lowercase();
        if shape.is_empty() {
            let _ = writeln!(text, " *   tilewright_tensor {variable} = {{ {variable}_data, NULL, NULL }};");
        } else {
            let _ = writeln!(text, " *   int64_t {variable}_shape[] = {{ {} }};", shape.join(", "));
            let _ =
                writeln!(text, " *   tilewright_tensor {variable} = {{ {variable}_data, {variable}_shape, NULL }};");
        }
    }
    let mut given: Vec<String> = tensors.iter().map(|name| format!("&{}", name.to_lowercase())).collect();
    given.extend(library.given().into_iter().map(|at| library.sizes[at].clone()));
    given.push("NULL".into());
    let name = &library.name;
    let _ = writeln!(text, " *   int status = {name}({});", given.join(", "));
    let _ = writeln!(text, " *   if (status != TILEWRIGHT_OK) puts({name}_error_text(status));");
    text
}

/// `float32 (M, K), const float *`.
fn described(argument: &Argument) -> String {
    let shape: Vec<String> = argument.extent.iter().map(|extent| comment(&extent.to_string())).collect();
    let is_scalar = shape.is_empty();
    let shape = if is_scalar { "one element".into() } else { format!("of shape ({})", shape.join(", ")) };
    format!("{} {shape}, {} in C", argument.dtype, c_type(argument.dtype))
}

/// The pointer of a tensor in row-major order.
fn typed(argument: &Argument, name: &str) -> String {
    let constant = if argument.is_written() { "" } else { "const " };
    format!("{constant}{} *{name}", c_type(argument.dtype))
}

/// The type in C of an element.
pub fn c_type(dtype: DType) -> &'static str {
    match dtype.name() {
        "bool" => "bool",
        "int8" => "int8_t",
        "int16" => "int16_t",
        "int32" => "int32_t",
        "int64" => "int64_t",
        "uint8" => "uint8_t",
        "uint16" | "float16" | "bfloat16" => "uint16_t",
        "uint32" => "uint32_t",
        "uint64" => "uint64_t",
        "float64" => "double",
        _ => "float",
    }
}

/// A prototype, one parameter on a line where they are too many for one.
fn prototype(returned: &str, name: &str, parameters: Vec<String>, last: &str) -> String {
    let space = if returned.ends_with('*') { "" } else { " " };
    let begin = format!("{returned}{space}{name}(");
    let all: Vec<String> = parameters.into_iter().chain([last.to_owned()]).collect();
    let line = format!("{begin}{});\n", all.join(", "));
    match line.len() <= 120 {
        true => line,
        false => format!("{begin}{});\n", all.join(&format!(",\n{}", " ".repeat(begin.len())))),
    }
}

/// Text that ends no comment.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace("/*", "/ *")
}

//! TC text to Scop: lexer, parser, names and types, range inference, lowering.
//!
//! ```text
//! text ─ lexer ─ parser ─► ast::File ─ sema ─► program ─ ranges ─► Kernel ─ lower ─► polyhedral::Scop
//! ```
//!
//! ```
//! let checked = frontend_tc::check("def f(float(N) A) -> (B) { B(i) = A(2 * i) }");
//! let text = checked.defs[0].to_string();
//! assert_eq!(text, "def f(float(N) A) -> (B) {\n  B(i) = A(2 * i) where i in 0:(N + 1) / 2\n}\n");
//! ```
//! Every stage reports all that it finds and goes on; [`check`] gives the definitions in which nothing is wrong.

pub mod ast;
pub mod codes;
pub mod lexer;
pub mod library;

mod kernel;
mod lower;
mod parser;
mod print;
mod quasi;
mod ranges;
mod sema;
mod types;

use support::{Diagnostic, Severity};

pub use codes::explain;
pub use kernel::{Kernel, Precondition, Statement, Tensor};
pub use lower::lower;
pub use parser::parse;

/// What [`check`] found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The definitions in which nothing is wrong, in order.
    pub defs: Vec<Kernel>,
    /// Errors and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Checks a file: names, types, reductions, ranges. Reports everything that is wrong, and never panics.
pub fn check(text: &str) -> Checked {
    let (file, mut diagnostics) = parse(text);
    let programs = sema::resolve(&file, &mut diagnostics);
    let mut defs = Vec::new();
    for (def, program) in file.defs.iter().zip(programs) {
        let Some(program) = program else { continue };
        let Some(ranges) = ranges::infer(&program, &mut diagnostics) else { continue };
        match Kernel::new(def, program, ranges) {
            Some(kernel) => defs.push(kernel),
            None => diagnostics.push(ranges::too_large(def.name.span)),
        }
    }
    if file.defs.is_empty() && diagnostics.is_empty() {
        let nothing = Diagnostic::error("TC0014", "the file has no definition", support::Span::new(0, 0));
        diagnostics.push(nothing.help("write `def f(float(N) A) -> (B) { B(i) = A(i) }`"));
    }
    diagnostics.sort_by_key(Diagnostic::span);
    Checked { defs, diagnostics }
}

//! TC text to Scop: lexer, parser, names and types, range inference, lowering.
//!
//! ```text
//! text ─ lexer ─ parser ─► ast::File ─ expand ─ sema ─► program ─ ranges ─► Kernel ─ lower ─► polyhedral::Scop
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

mod coverage;
mod expand;
mod kernel;
mod lower;
mod parser;
mod print;
mod quasi;
mod ranges;
mod sema;
mod sources;
mod types;

use support::{Diagnostic, Severity};

pub use codes::explain;
pub use kernel::{Kernel, Precondition, Statement, Tensor};
pub use lower::{lower, lower_at};
pub use parser::parse;
pub use sources::{Part, Reader, Sources};

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

/// Checks a file: names, types, reductions, ranges. Reports everything that is wrong, and never panics. The text can
/// import the library; for other files see [`check_sources`].
pub fn check(text: &str) -> Checked {
    check_sources(&Sources::new("<tc>", text))
}

/// Checks a file with what it imports. Places count bytes of [`Sources::text`]; the definitions are those of the first
/// file.
pub fn check_sources(sources: &Sources) -> Checked {
    support::with_deep_stack(|| checked(sources))
}

fn checked(sources: &Sources) -> Checked {
    let mut diagnostics = Vec::new();
    let (file, own) = gathered(sources, &mut diagnostics);
    let file = expand::expand(&file, own, &mut diagnostics);
    let programs = sema::resolve(&file, &mut diagnostics);
    let mut defs = Vec::new();
    for (def, program) in file.defs.iter().zip(programs) {
        let Some(program) = program else { continue };
        let Some(ranges) = ranges::infer(&program, &mut diagnostics) else { continue };
        match Kernel::new(def, program, ranges) {
            Some(mut kernel) => {
                let before = diagnostics.len();
                coverage::settle(&mut kernel, &mut diagnostics);
                diagnostics.extend(without_sizes(&kernel));
                if diagnostics.len() == before {
                    defs.push(kernel);
                }
            }
            None => diagnostics.push(ranges::too_large(def.name.span)),
        }
    }
    if file.defs.is_empty() && diagnostics.is_empty() && file.constants.is_empty() {
        let nothing = Diagnostic::error("TC0014", "the file has no definition", support::Span::new(0, 0));
        diagnostics.push(nothing.help("write `def f(float(N) A) -> (B) { B(i) = A(i) }`"));
    }
    diagnostics.sort_by_key(Diagnostic::span);
    Checked { defs, diagnostics }
}

/// The error for a definition that cannot be called.
fn without_sizes(kernel: &Kernel) -> Option<Diagnostic> {
    if !lower::admits_no_sizes(kernel) {
        return None;
    }
    let message = format!("no sizes satisfy all that `{}` asks of them", kernel.name);
    let mut conditions = kernel.preconditions.iter();
    let first = conditions.next()?;
    let said = |condition: &Precondition| format!("{}: {}", condition.text, condition.reason);
    let error = Diagnostic::error("TC0415", message, first.span).saying(said(first));
    // Two places are enough to see what is at odds in most programs.
    let error = conditions.take(1).fold(error, |error, condition| error.also(condition.span, said(condition)));
    Some(error.help("change a size in a type, a range in `where` or a subscript"))
}

/// The files as one, and how many of the definitions, the first ones, are those of the first file.
fn gathered(sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> (ast::File, usize) {
    let mut all = ast::File::default();
    let mut own = 0;
    // Constants of imported files come first: what stands above may be used below.
    for (number, part) in sources.parts().iter().enumerate() {
        let (file, errors) = parser::parse_in(sources.text(), part.span);
        diagnostics.extend(errors);
        for import in file.imports.iter().filter(|import| !sources.has(number, &import.path)) {
            let message = format!("there is no file `{}` to import", import.path);
            let names: Vec<&str> = library::FILES.iter().map(|(name, _)| *name).collect();
            let help = format!("a path is relative to this file; the library is {}", names.join(", "));
            diagnostics.push(Diagnostic::error("TC0023", message, import.span).help(help));
        }
        if number == 0 {
            own = file.defs.len();
        }
        all.constants.splice(0..0, file.constants);
        all.defs.extend(file.defs);
    }
    (all, own)
}

//! Programs beyond TC, written in Rust: any loops whose bounds and subscripts are affine, in the order that is written.
//!
//! ```
//! use tilewright::builder::Program;
//! use tilewright::{Compiler, DType, Tensor};
//!
//! // A triangular system, solved forwards.
//! let trisolv = Program::build("trisolv", |p| {
//!     let n = p.size("N");
//!     let (l, b) = (p.input("L", DType::F64, [n, n]), p.input("b", DType::F64, [n]));
//!     let x = p.output("x", DType::F64, [n]);
//!     p.each("i", 0, n, |i| {
//!         p.set(x.at([i]), *b.at([i]));
//!         p.each("j", 0, i, |j| p.add_to(x.at([i]), -(l.at([i, j]) * x.at([j]))));
//!         p.set(x.at([i]), x.at([i]) / l.at([i, i]));
//!     });
//! })?;
//! let trisolv = Compiler::host().threads(1).compile_program(&trisolv);
//! let l = Tensor::from_slice(&[2.0, 0.0, 3.0, 4.0], &[2, 2])?;
//! let x = trisolv.call(&[&l, &Tensor::from_slice(&[2.0, 11.0], &[2])?])?;
//! assert_eq!(x.as_slice::<f64>()?, [1.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The closure runs once and records. [`Builder::each`] is a loop, [`Builder::when`] a condition on indices,
//! [`Builder::guard`] a condition on data, [`Builder::set`] and [`Builder::reduce`] are statements. Statements are named
//! after what they write (`x`, `x.update`, `x.2`), and loops after statement and index (`x.update.j`), as everywhere.
//! [`Program`] displays as the text that diagnostics point into.

use std::fmt;
use std::sync::Arc;

pub use polyhedral::builder::{
    AnySubscript, Builder, Condition, Element, Index, IntoIndex, IntoIndices, IntoSubscript, IntoSubscripts, IntoValue,
    Statement, Tensor, Value,
};
pub use polyhedral::{Builtin, Monoid};

use polyhedral::builder::ProgramError;
use polyhedral::isl;
use support::Diagnostic;

use crate::error::Source;
use crate::routine::Routine;
use crate::{Error, Result};

/// A program that is well formed; [`Compiler::compile_program`](crate::Compiler::compile_program) compiles it. Cheap to
/// clone, `Send + Sync`.
#[derive(Clone)]
pub struct Program {
    pub(crate) routine: Arc<Routine>,
}

impl Program {
    /// The program that `define` records.
    ///
    /// # Errors
    /// Everything that is wrong with it, underlined in the program written out: `TC0914`.
    pub fn build<R>(name: &str, define: impl FnOnce(&Builder) -> R) -> Result<Program> {
        Ok(Program::from(&polyhedral::builder::Program::build(&isl::Ctx::new(), name, define)?))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.routine.name
    }
}

impl From<&polyhedral::builder::Program> for Program {
    fn from(program: &polyhedral::builder::Program) -> Program {
        Program { routine: Arc::new(Routine::of_program(program)) }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.routine.source.as_ref().map_or("", |source| &source.text))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.routine.name).finish()
    }
}

impl From<ProgramError> for Error {
    fn from(error: ProgramError) -> Error {
        let ProgramError { program, source, faults } = error;
        let faults = faults.into_iter();
        let diagnostics = faults
            .map(|fault| Diagnostic::error("TC0914", format!("`{}`: {}", fault.entity, fault.message), fault.span));
        Error::in_source(diagnostics.collect(), Source::new(format!("<{program}>"), source.into()))
    }
}

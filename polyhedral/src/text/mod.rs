//! The text of a [`Scop`] (`.scop`): what it prints, it reads back.
//!
//! ```text
//! scop     = "scop" NAME "(" params ")"
//!            [ "context" SET ]                                 all sizes when absent
//!            tensor* stmt* [ "source" nest* ] [ "tree" tree ] [ "origin" ("identity" | MAP) ]
//! tensor   = ("input" | "output" | "inout" | "temporary") NAME ":" type "[" (index ["from" index]),* "]" [span]
//! stmt     = "stmt" NAME "[" dims "]" [span]
//!              "domain" SET
//!              [ "reads" access,* ]                            when the body alone does not give the list
//!              [ "monoid" NAME "(" type,* ")" "identity" "(" literal,* ")" "combine" "(" expr,* ")" ]
//!              [ "spans" span,* ]                              of the reads, then of the writes
//!              access,* ("=" | NAME "=") expr,*                "C[m, n] sum= A[m, k] * B[k, n]"
//! access   = NAME "[" (index | "value" "(" expr ")"),* "]"
//! nest     = "for" NAME nest* | NAME                           by indentation
//! tree     = [ "domain" SET ] node
//! node     = "band" ["permutable"] member+ [node] | ("sequence" | "set") ("filter" SET [node])* | "mark" STRING [node]
//! member   = NAME "=" FUNCTION ["coincident"] ["parallel" | "vector" N | "unroll" N]
//! expr     = literal | access | "read" "(" N ")" | "index" "(" index ")" | "state" "(" N ")" | "term" "(" N ")"
//!          | type "(" expr ")" | "select" "(" expr "," expr "," expr ")" | ("min" | "max" | "bitand" | "bitor" | "bitxor" | "shl" | "shr") "(" expr "," expr ")"
//!          | function "(" expr,* ")" | "-" expr | "!" expr | expr op expr
//! literal  = NUMBER suffix | "inf_f32" | "nan_f64" | … | "true" | "false"          1.5f32, 3i64
//! index    = what [`crate::Index`] prints
//! span     = "at" START ".." END
//! ```
//!
//! Lines are nested by indentation; `#` starts a comment. `SET`, `MAP` and `FUNCTION` are isl's notation on one line;
//! the parameters of the Scop may be left out of them. In a tree, a filter means the instances of it that reach it, and
//! a member's function counts on the instances that reach its band; so neither repeats the domain. An absent `source`
//! is every statement in a nest of its own, an absent `tree` is the source's order, an absent `origin` the identity.
//!
//! A load prints as the element that it reads. The list of reads is then the elements in order of appearance (first
//! what is written, then what is computed, subscripts before the access that uses them), each once; a statement whose
//! list differs prints it, and its loads as `read(k)`.

mod expr;
mod lex;
mod notation;
mod parse;
mod print;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

pub use tree::{parse_tree, print_tree};

/// Reads what [`crate::Index`] prints, over dimensions and sizes with the given names.
///
/// # Errors
/// What stands where something else was expected.
pub fn parse_index(text: &str, dims: &[String], params: &[String]) -> Result<crate::Index, TextError> {
    let mut tokens = lex::Tokens::new(1, text)?;
    let index = expr::Scope { dims, params, tensors: &support::Table::new(), reads: Vec::new() }.index(&mut tokens)?;
    tokens.end()?;
    Ok(index)
}

/// What an instance of a statement does, for people: `C[m, n] += A[m, k] * B[k, n]`.
pub fn formula(scop: &Scop, stmt: &Stmt) -> String {
    print::formula(scop, stmt)
}

/// Whether a text can carry a name: letters, digits and underscores, with dots inside; where isl reads it, no word of
/// isl's notation.
pub fn is_carried(name: &str, isl_reads: bool) -> bool {
    lex::is_name(name) && !(isl_reads && parse::ISL_WORDS.contains(&name))
}

use crate::{Scop, Stmt, isl};

/// Why a text is not a Scop or a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for TextError {}

impl Scop {
    /// Reads the text of a Scop. Names are resolved; [`support::Stage::verify`] says whether it is well formed.
    pub fn parse(ctx: &isl::Ctx, text: &str) -> Result<Scop, TextError> {
        support::with_deep_stack(|| parse::scop(ctx, text))
    }
}

impl fmt::Display for Scop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match print::scop(self) {
            Ok(text) => f.write_str(&text),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

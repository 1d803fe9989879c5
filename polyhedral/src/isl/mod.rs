//! Our safe layer over isl, the only place where isl is seen.
//!
//! `isl-rs` builds and links the library; its types are not used, because they are unsound from safe code
//! (`docs/decisions/0001-own-isl-layer.md`). Here every object holds its [`Ctx`] and is neither `Send` nor able
//! to outlive it; every failure, an exhausted quota included, is an [`Error`]; every string and callback is owned.
//!
//! Methods carry isl's names and meaning; isl's manual is their documentation.

mod ast;
mod ctx;
mod objects;
mod schedule;
mod text;

pub use ast::*;
pub use ctx::{Ctx, Error, Result};
pub use objects::*;
pub use schedule::*;

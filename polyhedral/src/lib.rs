//! The one form in the middle: what flows between the stages of Tilewright.
//!
//! ```text
//! graph  = scop*                       in order, tensors between them by name
//! scop   = params context tensor* stmt* nest* tree origin
//! tensor = name dtype lower* extent* role memory layout?
//! stmt   = name[dims] domain read* write* body span
//! body   = assign expr* | reduce monoid expr*
//! access = tensor[subscript*]          subscript = affine(index) | indirect(expr)
//! nest   = loop(name) nest* | stmt     the order of the source program
//! tree   = domain(D) node              the order of execution: band, sequence, set, mark, leaf
//! ```
//!
//! [`Scop`] says what is computed, [`ScheduleTree`] when and where; [`isl`] holds the sets.

pub mod builder;
mod combine;
pub mod count;
pub mod eval;
pub mod footprint;
pub mod isl;

mod dependence;
mod expr;
mod graph;
mod index;
pub mod initialised;
mod kernel;
pub mod legality;
mod places;
mod ranks;
mod scop;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
mod tiling;
pub mod traffic;
mod tree;
mod tree_isl;
mod verify;

pub use combine::{Combination, Combined, is_updated_atomically};
pub use dependence::{DependenceKind, Dependences, dependences};
pub use expr::{BinOp, Builtin, CmpOp, DType, Expr, Monoid, UnOp, Value};
pub use graph::{Graph, Outline, Part};
pub use index::{Affine, Index};
pub use kernel::{Kernel, Launched};
pub use scop::{Access, Body, Layout, Memory, Nest, Role, Scop, Stmt, StmtId, Subscript, Tensor, TensorId};
pub use tiling::{Tiled, Tiling};
pub use tree::{Axis, Band, Filtered, Kind, Member, Node, ScheduleTree};

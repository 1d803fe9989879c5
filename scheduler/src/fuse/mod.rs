//! Which nests run together: groups that could, their price, and an exact choice.
//!
//! ```text
//! graph      nests at the top, what must run before what
//! groups     which of them could run together, in which form       shape, build: as loops over boxes
//! price      cycles and bytes of each                              moved: bytes for each cache
//! problem, solve, integer                                          the cheapest legal plan
//! ```
//!
//! [`Problem`] lists what may run together and at what price, [`choose`] takes the cheapest legal plan. Neither knows of
//! programs. What a group becomes is decided by the modules that know its form (`fusing`, `rows`, `sharing`), done by
//! `transform` and proved by `legality`: a price decides, and proves nothing.

mod apply;
mod build;
mod graph;
mod groups;
mod integer;
mod moved;
mod plan;
mod price;
mod problem;
mod shape;
mod solve;

pub(crate) use apply::{join, shared_loops};
pub(crate) use plan::Plan;
pub use plan::{candidates, report};
pub use problem::{Candidate, Choice, Problem};
pub use solve::choose;

//! Which nests run together: an exact choice by cost.
//!
//! [`Problem`] lists what may run together and at what price, [`choose`] takes the cheapest legal plan. Neither knows of
//! programs: who makes the candidates knows what a price means.

mod integer;
mod problem;
mod solve;

pub use problem::{Candidate, Choice, Problem};
pub use solve::choose;

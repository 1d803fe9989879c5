//! What each command of a script made of the program, for whoever wants to look at it.

use polyhedral::Scop;

use crate::proof::Proof;

/// The program after a command. Kept only when [`Options::history`](crate::Options::history) asks for it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The program, with the tree that the command left.
    pub scop: Scop,
    /// How the command was proved.
    pub proved: Proved,
}

/// How it was proved that a command changes nothing of what the program computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proved {
    /// The order is the same by construction.
    SameOrder,
    /// What was known of the loops says it: they can be permuted, or carry nothing.
    Attributes,
    /// The new order respects the dependences among the instances that it moved.
    Order,
    /// The new tree runs every instance once and respects all dependences.
    Tree,
    /// Every instance finds and computes what it does in the source.
    Values,
    /// A law of algebra.
    Law,
    /// As a part of several commands, which were proved as one.
    Together,
}

impl Proved {
    /// A few words for it.
    pub fn word(self) -> &'static str {
        match self {
            Proved::SameOrder => "the same order",
            Proved::Attributes => "known of the loops",
            Proved::Order => "order",
            Proved::Tree => "order of the whole tree",
            Proved::Values => "values",
            Proved::Law => "a law of algebra",
            Proved::Together => "with the others of its policy",
        }
    }

    pub(crate) fn of(proof: &Proof, values: bool) -> Proved {
        match proof {
            Proof::Law(_) => Proved::Law,
            _ if values => Proved::Values,
            Proof::SameOrder => Proved::SameOrder,
            Proof::Known => Proved::Attributes,
            Proof::Order(_) => Proved::Order,
            Proof::Anew => Proved::Tree,
            Proof::Values => Proved::Values,
        }
    }
}

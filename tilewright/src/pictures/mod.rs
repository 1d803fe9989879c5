//! Pictures of a program and its schedule: the instances of a statement, the graph of dependences, the schedule tree.
//!
//! | picture | what it shows | forms |
//! |---|---|---|
//! | `domain` | a statement's instances in two of its dimensions: order as colour and path, tiles whole and cut, vectors, dependences | `svg`, `json` |
//! | `deps` | which statement depends on which, by how many iterations | `svg`, `dot`, `json` |
//! | `tree` | the schedule tree: bands with how each loop runs, sequences, statements | `svg`, `dot`, `json` |
//!
//! What is drawn is what isl's sets hold at the given sizes: every point is an instance, every arrow a pair that depends.

mod deps;
mod domain;
mod domain_svg;
mod layers;
mod svg;
mod tree;

pub use domain::{Arrow, Domain, Point, Tile};

pub(crate) use domain::{Instance, Row, places};
pub(crate) use layers::{Layout, layout};

use polyhedral::isl;
use support::with_deep_stack;

use crate::compile::{self, Options};
use crate::report::{Asked, report};
use crate::{Definition, Result};

/// A picture in one of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Picture {
    /// Instances of a statement, drawn.
    DomainSvg,
    /// The same as data: a [`Domain`].
    DomainJson,
    /// The graph of dependences, drawn.
    DepsSvg,
    /// The same for Graphviz.
    DepsDot,
    /// The same as data: the [dependences](crate::report::Dependence) of a report.
    DepsJson,
    /// The schedule tree, drawn.
    TreeSvg,
    /// The same for Graphviz.
    TreeDot,
    /// The same as data: the [tree](crate::report::Node) and the [loops](crate::report::Loop) of a report.
    TreeJson,
}

impl Picture {
    /// All of them.
    pub const ALL: [Picture; 8] = [
        Picture::DomainSvg,
        Picture::DomainJson,
        Picture::DepsSvg,
        Picture::DepsDot,
        Picture::DepsJson,
        Picture::TreeSvg,
        Picture::TreeDot,
        Picture::TreeJson,
    ];

    /// The name that `tilewright emit` takes.
    pub fn name(self) -> &'static str {
        match self {
            Picture::DomainSvg => "domain.svg",
            Picture::DomainJson => "domain.json",
            Picture::DepsSvg => "deps.svg",
            Picture::DepsDot => "deps.dot",
            Picture::DepsJson => "deps.json",
            Picture::TreeSvg => "tree.svg",
            Picture::TreeDot => "tree.dot",
            Picture::TreeJson => "tree.json",
        }
    }
}

/// What a picture of instances is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The statement; the first one with most dimensions unless given.
    pub statement: Option<String>,
    /// Two of its dimensions, downwards and to the right, or one to the right; the first ones unless given.
    pub dims: Vec<String>,
}

/// The size of a parameter that no size is given for: small enough to see every point.
pub const USUAL_SIZE: i64 = 8;

/// The text of a picture of a definition at some sizes, scheduled as [`Options`] say.
///
/// # Errors
/// What compiling reports; no such statement or dimension; more instances than a picture can show.
pub fn draw(picture: Picture, def: &Definition, sizes: &[i64], options: &Options, wanted: &Wanted) -> Result<String> {
    with_deep_stack(|| drawn(picture, def, sizes, options, wanted))
}

/// The instances of a statement, as data.
///
/// # Errors
/// As for [`draw`].
pub fn domain(def: &Definition, sizes: &[i64], options: &Options, wanted: &Wanted) -> Result<Domain> {
    with_deep_stack(|| {
        let scop = frontend_tc::lower_at(def, &isl::Ctx::new(), sizes)?;
        let scheduled = match &options.device {
            Some(device) => compile::schedule_for(scop, device, options)?,
            None => compile::schedule(scop, options)?,
        };
        Domain::of(&scheduled.scop, wanted)
    })
}

fn drawn(picture: Picture, def: &Definition, sizes: &[i64], options: &Options, wanted: &Wanted) -> Result<String> {
    let of_report = || {
        let options = Options { symbolic: false, ..options.clone() };
        report(def, Some(sizes), &options, Asked::default())
    };
    let json = |text: serde_json::Result<String>| text.expect("only numbers, text and lists of them") + "\n";
    Ok(match picture {
        Picture::DomainSvg => domain_svg::svg(&domain(def, sizes, options, wanted)?),
        Picture::DomainJson => json(serde_json::to_string(&domain(def, sizes, options, wanted)?)),
        Picture::DepsSvg => deps::svg(&of_report()?),
        Picture::DepsDot => deps::dot(&of_report()?),
        Picture::DepsJson => json(serde_json::to_string(&of_report()?.dependences)),
        Picture::TreeSvg => tree::svg(&of_report()?),
        Picture::TreeDot => tree::dot(&of_report()?),
        Picture::TreeJson => {
            let report = of_report()?;
            json(serde_json::to_string(&serde_json::json!({ "tree": report.tree, "loops": report.loops })))
        }
    })
}

//! Where the graph of dependences is drawn.

use serde::Serialize;

use crate::pictures::{Layout, layout};
use crate::report::Report;

/// Statements of the source below those that they depend on, in pixels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Graph {
    /// The statements: their names, and the middle of each.
    pub nodes: Vec<(String, f64, f64)>,
    /// From each statement that others depend on.
    pub edges: Vec<Edge>,
    /// Of a node.
    pub node: (f64, f64),
    /// Of everything.
    pub size: (f64, f64),
}

/// All dependences of one statement on another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// The number of the statement that runs first.
    pub from: usize,
    /// That of the one that depends on it.
    pub to: usize,
    /// Points that it passes, when it goes down.
    pub bends: Vec<(f64, f64)>,
    /// The numbers of the dependences of the report.
    pub dependences: Vec<usize>,
}

/// Of a node, and between layers.
const HEIGHT: f64 = 34.0;
const BETWEEN: f64 = 46.0;
/// Of a letter.
const LETTER: f64 = 7.6;
/// Of a letter of what stands beside an edge, and how many there are at most.
const LABEL: f64 = 6.7;
const LONGEST: usize = 30;
/// Of an edge of a statement to itself.
const LOOP: f64 = 28.0;

impl Graph {
    /// The graph of a report.
    pub fn of(report: &Report) -> Graph {
        let names: Vec<&str> = report.source_statements.iter().map(|stmt| stmt.name.as_str()).collect();
        let place = |name: &str| names.iter().position(|known| *known == name);
        let mut edges: Vec<Edge> = Vec::new();
        for (at, one) in report.dependences.iter().enumerate() {
            let (Some(from), Some(to)) = (place(&one.from), place(&one.to)) else { continue };
            match edges.iter_mut().find(|edge| (edge.from, edge.to) == (from, to)) {
                Some(edge) => edge.dependences.push(at),
                None => edges.push(Edge { from, to, bends: Vec::new(), dependences: vec![at] }),
            }
        }
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let width = LETTER * widest as f64 + 28.0;
        let down: Vec<(usize, usize)> =
            edges.iter().map(|edge| (edge.from, edge.to)).filter(|(from, to)| from < to).collect();
        // What is said of a statement's dependences on itself stands beside it.
        let beside = |node: usize| {
            let own = report.dependences.iter().filter(|one| one.from == names[node] && one.to == names[node]);
            own.map(|one| one.kind.len() + 1 + one.vectors().chars().count()).sum::<usize>().min(LONGEST) as f64
        };
        let room = |node: usize| if beside(node) > 0.0 { 2.0 * (LOOP + LABEL * beside(node)) } else { 0.0 };
        let widths: Vec<f64> = (0..names.len()).map(|node| width + room(node)).collect();
        let Layout { places, bends, size } = layout(&widths, &down, HEIGHT, BETWEEN);
        let point = |(x, y): (f64, f64)| (x.round(), y.round());
        for (edge, way) in edges.iter_mut().filter(|edge| edge.from < edge.to).zip(bends) {
            edge.bends = way.into_iter().map(point).collect();
        }
        let node = |(name, at): (&&str, &(f64, f64))| (name.to_string(), point(*at).0, point(*at).1);
        Graph {
            nodes: names.iter().zip(&places).map(node).collect(),
            edges,
            node: (width.round(), HEIGHT),
            size: (size.0.round(), size.1.round()),
        }
    }
}

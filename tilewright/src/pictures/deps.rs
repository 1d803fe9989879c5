//! Which statement depends on which: a graph.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::layers::{Layout, layout};
use super::svg::{Anchor, Canvas, width_of};
use crate::report::{Dependence, Report, Statement};

/// The order in which kinds are shown.
const KINDS: [&str; 4] = ["flow", "reduction", "anti", "output"];
const HEIGHT: f64 = 46.0;
const BETWEEN: f64 = 54.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 64.0;

/// All dependences of one statement on another.
struct Edge<'a> {
    from: usize,
    to: usize,
    of: Vec<&'a Dependence>,
}

impl Edge<'_> {
    /// `flow [0, 1], output`
    fn label(&self) -> String {
        let mut labels = Vec::new();
        for kind in KINDS {
            for one in self.of.iter().filter(|one| one.kind == kind) {
                labels.push(label(one));
            }
        }
        labels.dedup();
        labels.join(", ")
    }

    fn kind(&self) -> &str {
        KINDS.into_iter().find(|kind| self.of.iter().any(|one| one.kind == *kind)).unwrap_or("flow")
    }
}

fn label(one: &Dependence) -> String {
    if one.distances.is_empty() { one.kind.clone() } else { format!("{} {}", one.kind, one.vectors()) }
}

/// The statements of the source, in its order, and the edges between them. Those that commands made are no part of it.
fn graph(report: &Report) -> (Vec<String>, Vec<Edge<'_>>) {
    let mut nodes: Vec<String> = Vec::new();
    for line in &report.source_order {
        let name = line.trim_start();
        if !name.starts_with("for ") && !nodes.iter().any(|known| known == name) {
            nodes.push(name.to_string());
        }
    }
    let place = |name: &str| nodes.iter().position(|node| node == name);
    let mut edges: BTreeMap<(usize, usize), Edge<'_>> = BTreeMap::new();
    for one in &report.dependences {
        let (Some(from), Some(to)) = (place(&one.from), place(&one.to)) else { continue };
        edges.entry((from, to)).or_insert(Edge { from, to, of: Vec::new() }).of.push(one);
    }
    (nodes, edges.into_values().collect())
}

/// What a statement does, cut where it is long.
fn formula(report: &Report, name: &str) -> String {
    const LONGEST: usize = 64;
    let of = |stmt: &Statement| stmt.formula.clone();
    let text = report.source_statements.iter().find(|stmt| stmt.name == name).map(of).unwrap_or_default();
    match text.chars().count() {
        0..=LONGEST => text,
        _ => text.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

/// For Graphviz.
pub(super) fn dot(report: &Report) -> String {
    let (nodes, edges) = graph(report);
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out =
        format!("digraph {} {{\n  node [shape=box, style=rounded, fontname=monospace]\n", quoted(&report.definition));
    out += "  edge [fontname=monospace, fontsize=10]\n";
    for node in &nodes {
        writeln!(out, "  {} [tooltip={}]", quoted(node), quoted(&formula(report, node))).expect("a string takes text");
    }
    for Edge { from, to, of } in &edges {
        for one in of {
            let (from, to, label) = (quoted(&nodes[*from]), quoted(&nodes[*to]), quoted(&label(one)));
            let style = match one.kind.as_str() {
                "flow" => "solid",
                "reduction" => "bold",
                _ => "dashed",
            };
            writeln!(out, "  {from} -> {to} [label={label}, style={style}]").expect("a string takes text");
        }
    }
    out + "}\n"
}

/// Drawn: statements from the top down, each below what it depends on.
pub(super) fn svg(report: &Report) -> String {
    let (nodes, edges) = graph(report);
    let formulas: Vec<String> = nodes.iter().map(|node| formula(report, node)).collect();
    let widths: Vec<f64> = nodes
        .iter()
        .zip(&formulas)
        .map(|(node, formula)| width_of(node).max(width_of(formula) * 11.0 / 12.0) + 28.0)
        .collect();
    let (down, others): (Vec<&Edge<'_>>, Vec<&Edge<'_>>) = edges.iter().partition(|edge| edge.from < edge.to);
    let pairs: Vec<(usize, usize)> = down.iter().map(|edge| (edge.from, edge.to)).collect();
    let Layout { places, bends, size } = layout(&widths, &pairs, HEIGHT, BETWEEN);
    // Labels may be to the right of everything else.
    let label_end = |edge: &&Edge<'_>| {
        let beside = |at: usize| places[at].0 + widths[at] / 2.0 + 32.0;
        let from =
            if edge.from < edge.to { places[edge.from].0 + 24.0 } else { beside(edge.from).max(beside(edge.to)) };
        from + width_of(&edge.label())
    };
    let right = edges.iter().map(|edge| label_end(&edge)).fold(size.0, f64::max);
    let (left, width) = (MARGIN, right.max(280.0) + 2.0 * MARGIN);
    let mut canvas = Canvas::new(width, TOP + size.1 + MARGIN + 8.0);
    canvas.text("title", (16.0, 24.0), Anchor::Start, &format!("{}: what depends on what", report.definition));
    legend(&edges, &mut canvas);
    let moved = |(x, y): (f64, f64)| (x + left, y + TOP);
    let places: Vec<(f64, f64)> = places.into_iter().map(moved).collect();
    let mut labels = Vec::new();
    for (edge, bends) in down.iter().zip(&bends) {
        let (from, to) = (places[edge.from], places[edge.to]);
        // Edges that leave a node are side by side.
        let start = (spread(&down, edge, true, from.0, widths[edge.from]), from.1 + HEIGHT / 2.0);
        let end = (spread(&down, edge, false, to.0, widths[edge.to]), to.1 - HEIGHT / 2.0);
        let middle = bends.iter().map(|&bend| moved(bend));
        let way: Vec<(f64, f64)> = [start].into_iter().chain(middle).chain([(end.0, end.1 - 4.0)]).collect();
        canvas.curve(&format!("edge {}", edge.kind()), &way);
        canvas.tip(edge.kind(), end, (end.0, end.1 - 10.0), 8.0);
        // Labels of the edges of a node are below each other.
        let number = down.iter().filter(|other| other.from == edge.from && other.to < edge.to).count();
        labels.push(((start.0 + 6.0, start.1 + 15.0 + 13.0 * number as f64), edge.label()));
    }
    for edge in &others {
        around(edge, &places, &widths, &mut canvas);
    }
    labels.iter().for_each(|(at, label)| canvas.text("label", *at, Anchor::Start, label));
    for ((node, formula), (&(x, y), &width)) in nodes.iter().zip(&formulas).zip(places.iter().zip(&widths)) {
        canvas.rect("box", (x - width / 2.0, y - HEIGHT / 2.0), (width, HEIGHT), 7.0);
        canvas.text("", (x, y - 4.0), Anchor::Middle, node);
        canvas.text("soft", (x, y + 13.0), Anchor::Middle, formula);
    }
    canvas.finish(&format!("The dependences of {}", report.definition))
}

/// Where an edge touches its node, among all that do so on that side, from the left to the right.
fn spread(edges: &[&Edge<'_>], edge: &Edge<'_>, leaves: bool, middle: f64, width: f64) -> f64 {
    let own = |one: &&&Edge<'_>| if leaves { one.from == edge.from } else { one.to == edge.to };
    let all: Vec<&&Edge<'_>> = edges.iter().filter(own).collect();
    let at = all.iter().position(|one| (one.from, one.to) == (edge.from, edge.to)).unwrap_or(0);
    let room = (width * 0.6).min(26.0 * (all.len() - 1) as f64);
    middle - room / 2.0 + if all.len() > 1 { room * at as f64 / (all.len() - 1) as f64 } else { 0.0 }
}

/// An edge of a node to itself, or back to an earlier one: at the right side.
fn around(edge: &Edge<'_>, places: &[(f64, f64)], widths: &[f64], canvas: &mut Canvas) {
    let side = |at: usize| (places[at].0 + widths[at] / 2.0, places[at].1);
    let ((x1, y1), (x2, y2)) = (side(edge.from), side(edge.to));
    let (kind, out) = (edge.kind(), x1.max(x2) + 26.0);
    let (start, end) = match edge.from == edge.to {
        true => ((x1, y1 + 11.0), (x2, y2 - 11.0)),
        false => ((x1, y1), (x2, y2)),
    };
    canvas.path(&format!("edge {kind}"), &[start, (out, start.1), (out, end.1), (end.0 + 5.0, end.1)]);
    canvas.tip(kind, end, (end.0 + 10.0, end.1), 8.0);
    canvas.text("label", (out + 6.0, (start.1 + end.1) / 2.0 + 4.0), Anchor::Start, &edge.label());
}

fn legend(edges: &[Edge<'_>], canvas: &mut Canvas) {
    let mut x = 16.0;
    for kind in KINDS.into_iter().filter(|kind| edges.iter().any(|edge| edge.of.iter().any(|one| one.kind == *kind))) {
        canvas.line(&format!("edge {kind}"), (x, 42.0), (x + 16.0, 42.0));
        canvas.tip(kind, (x + 20.0, 42.0), (x, 42.0), 6.0);
        canvas.text("soft", (x + 26.0, 45.0), Anchor::Start, kind);
        x += 44.0 + width_of(kind);
    }
}

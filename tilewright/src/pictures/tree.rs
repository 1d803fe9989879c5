//! The schedule tree: a box for each band with a line for each loop, and what is inside of it below.

use std::fmt::Write;

use super::svg::{Anchor, Canvas, width_of};
use crate::report::{Node, Report};

const LINE: f64 = 17.0;
const PAD: f64 = 9.0;
const GAP: f64 = 22.0;
const DOWN: f64 = 30.0;
const MARGIN: f64 = 20.0;
const TOP: f64 = 44.0;

/// A node with its lines, as wide as it and everything below it.
struct Drawn {
    lines: Vec<String>,
    is_band: bool,
    width: f64,
    own: f64,
    children: Vec<Drawn>,
}

/// The lines of a node: loops with how they run, statements with what they do.
fn lines(report: &Report, node: &Node) -> Vec<String> {
    match node {
        Node::Band { loops, permutable, .. } => {
            let one = |name: &String| {
                let found = report.loop_named(name);
                let trips = found.and_then(|one| one.trips).map_or_else(String::new, |trips| {
                    let each = format!("{:.1}", trips.each());
                    format!("  {}×", each.strip_suffix(".0").unwrap_or(&each))
                });
                let kind = found.map_or("", |one| one.kind.as_str());
                let kind = if kind == "in order" { String::new() } else { format!("  {kind}") };
                format!("{name}{trips}{kind}")
            };
            let mut lines: Vec<String> = loops.iter().map(one).collect();
            if *permutable && loops.len() > 1 {
                lines.push("(permutable)".into());
            }
            lines
        }
        Node::Sequence { .. } => vec!["sequence".into()],
        Node::Set { .. } => vec!["set, any order".into()],
        Node::Mark { name, .. } => vec![format!("mark {name}")],
        Node::Leaf { statements } => statements.clone(),
    }
}

impl Drawn {
    fn of(report: &Report, node: &Node) -> Drawn {
        let lines = lines(report, node);
        let own = lines.iter().map(|line| width_of(line)).fold(0.0, f64::max) + 2.0 * PAD;
        let children: Vec<Drawn> = node.children().into_iter().map(|child| Drawn::of(report, child)).collect();
        let below: f64 =
            children.iter().map(|child| child.width).sum::<f64>() + GAP * children.len().saturating_sub(1) as f64;
        Drawn { lines, is_band: matches!(node, Node::Band { .. }), width: own.max(below), own, children }
    }

    fn own_height(&self) -> f64 {
        LINE * self.lines.len() as f64 + PAD
    }

    fn height(&self) -> f64 {
        let below = self.children.iter().map(Drawn::height).fold(0.0, f64::max);
        self.own_height() + if self.children.is_empty() { 0.0 } else { DOWN + below }
    }

    /// Draws it with its left end and its top there.
    fn draw(&self, canvas: &mut Canvas, left: f64, top: f64) {
        let middle = left + self.width / 2.0;
        let below: f64 = self.children.iter().map(|child| child.width).sum::<f64>()
            + GAP * self.children.len().saturating_sub(1) as f64;
        let mut x = middle - below / 2.0;
        let bottom = top + self.own_height();
        for child in &self.children {
            let there = x + child.width / 2.0;
            canvas.curve("grid", &[(middle, bottom), (there, bottom + DOWN)]);
            child.draw(canvas, x, bottom + DOWN);
            x += child.width + GAP;
        }
        let round = if self.is_band { 4.0 } else { 9.0 };
        canvas.rect("box", (middle - self.own / 2.0, top), (self.own, self.own_height()), round);
        for (at, line) in self.lines.iter().enumerate() {
            let class = if line.starts_with('(') || !self.is_band && !self.children.is_empty() { "soft" } else { "" };
            canvas.text(class, (middle, top + LINE * (at as f64 + 1.0) - 1.0), Anchor::Middle, line);
        }
    }
}

/// Drawn.
pub(super) fn svg(report: &Report) -> String {
    let root = Drawn::of(report, &report.tree);
    let title = format!("{}: the schedule tree", report.title);
    let width = root.width.max(width_of(&title) * 14.0 / 12.0) + 2.0 * MARGIN;
    let mut canvas = Canvas::new(width, TOP + root.height() + MARGIN);
    canvas.text("title", (16.0, 24.0), Anchor::Start, &title);
    root.draw(&mut canvas, (width - root.width) / 2.0, TOP);
    canvas.finish(&title)
}

/// For Graphviz.
pub(super) fn dot(report: &Report) -> String {
    let mut out = String::from("digraph schedule {\n  node [shape=box, fontname=monospace]\n");
    let mut next = 0;
    node_dot(report, &report.tree, &mut next, &mut out);
    out + "}\n"
}

fn node_dot(report: &Report, node: &Node, next: &mut usize, out: &mut String) -> usize {
    let id = *next;
    *next += 1;
    let text = lines(report, node).join("\n").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let shape = if matches!(node, Node::Band { .. }) { "" } else { ", style=rounded" };
    writeln!(out, "  n{id} [label=\"{text}\"{shape}]").expect("a string takes text");
    for child in node.children() {
        let below = node_dot(report, child, next, out);
        writeln!(out, "  n{id} -> n{below}").expect("a string takes text");
    }
    id
}

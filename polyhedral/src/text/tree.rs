//! Schedule trees by indentation.

use super::TextError;
use super::lex::{self, Block, Line};
use super::notation::Notation;
use crate::{Axis, Band, Filtered, Kind, Member, Node, ScheduleTree, Scop, isl};

/// The text of a tree of `scop`, one node a line, members under their band; ends with a newline.
///
/// # Errors
/// When isl fails.
pub fn print_tree(scop: &Scop, tree: &ScheduleTree) -> isl::Result<String> {
    let notation = Notation { ctx: &scop.ctx, params: &scop.params };
    let mut printer = Printer { notation, out: String::new() };
    if !tree.domain.is_equal(&scop.domain()?)? {
        let domain = printer.notation.union_set(&tree.domain)?;
        printer.line(0, &format!("domain {domain}"));
    }
    match &tree.root {
        Node::Leaf => printer.line(0, "leaf"),
        root => printer.node(root, &tree.domain, 0)?,
    }
    Ok(printer.out)
}

/// Reads a tree of `scop`: what [`print_tree`] prints, at any indentation.
///
/// # Errors
/// When the text is not a tree; lines count from the start of `text`.
pub fn parse_tree(scop: &Scop, text: &str) -> Result<ScheduleTree, TextError> {
    tree(scop, &lex::lines(text)?)
}

/// The tree in `lines`.
pub(super) fn tree(scop: &Scop, lines: &[Line<'_>]) -> Result<ScheduleTree, TextError> {
    let Some(&first) = lines.first() else {
        return Err(TextError { line: 1, message: "expected a tree, found nothing".into() });
    };
    let reader = Reader { notation: Notation { ctx: &scop.ctx, params: &scop.params } };
    let blocks = lex::blocks(lines)?;
    let (domain, rest) = match first.keyword() {
        ("domain", text) => (reader.notation.read(first, text, isl::UnionSet::read)?, &blocks[1..]),
        _ => (scop.domain().map_err(|error| first.error(error.to_string()))?, &blocks[..]),
    };
    Ok(ScheduleTree { root: reader.only(rest, &domain)?, domain })
}

struct Printer<'s> {
    notation: Notation<'s>,
    out: String,
}

impl Printer<'_> {
    fn line(&mut self, level: usize, text: &str) {
        self.out.push_str(&"  ".repeat(level));
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A node that the instances in `reach` come to. A leaf is nothing.
    fn node(&mut self, node: &Node, reach: &isl::UnionSet, level: usize) -> isl::Result<()> {
        match node {
            Node::Band(band) => {
                self.line(level, if band.permutable { "band permutable" } else { "band" });
                for member in &band.members {
                    let text = self.member(member, reach)?;
                    self.line(level + 1, &text);
                }
                self.node(&band.child, reach, level + 1)
            }
            Node::Sequence(children) => self.children("sequence", children, reach, level),
            Node::Set(children) => self.children("set", children, reach, level),
            Node::Mark { name, child } => {
                self.line(level, &format!("mark {}", quoted(name)));
                self.node(child, reach, level + 1)
            }
            Node::Leaf => Ok(()),
        }
    }

    fn children(&mut self, kind: &str, all: &[Filtered], reach: &isl::UnionSet, level: usize) -> isl::Result<()> {
        self.line(level, kind);
        for child in all {
            let here = child.filter.intersect(reach)?;
            let filter = self.notation.filter(&here, reach)?;
            self.line(level + 1, &format!("filter {filter}"));
            self.node(&child.node, &here, level + 2)?;
        }
        Ok(())
    }

    fn member(&self, member: &Member, reach: &isl::UnionSet) -> isl::Result<String> {
        let coincident = if member.coincident { " coincident" } else { "" };
        let kind = match member.kind {
            Kind::Sequential => String::new(),
            Kind::Parallel => " parallel".into(),
            Kind::Vector(width) => format!(" vector {width}"),
            Kind::Unroll(factor) => format!(" unroll {factor}"),
            Kind::Bound(axis) => format!(" bound {axis}"),
            Kind::Atomic(axis) => format!(" bound {axis} atomically"),
        };
        Ok(format!("{} = {}{coincident}{kind}", member.name, self.notation.function(&member.schedule, reach)?))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r"))
}

/// What stands between the quotes of [`quoted`].
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut name = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        name.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                c @ ('\\' | '"') => c,
                _ => return None,
            },
            '"' => return None,
            c => c,
        });
    }
    Some(name)
}

struct Reader<'s> {
    notation: Notation<'s>,
}

impl Reader<'_> {
    /// No block is a leaf, one is a node.
    fn only(&self, blocks: &[Block<'_, '_>], reach: &isl::UnionSet) -> Result<Node, TextError> {
        match blocks {
            [] => Ok(Node::Leaf),
            [only] => self.node(only, reach),
            [_, second, ..] => Err(second.head.error("a second node here: nodes in a row belong under `sequence`")),
        }
    }

    fn node(&self, block: &Block<'_, '_>, reach: &isl::UnionSet) -> Result<Node, TextError> {
        let below = lex::blocks(block.body)?;
        match block.head.keyword() {
            ("band", attribute) => self.band(block.head, attribute, &below, reach),
            ("sequence", "") => Ok(Node::Sequence(self.children(block.head, &below, reach)?)),
            ("set", "") => Ok(Node::Set(self.children(block.head, &below, reach)?)),
            ("mark", name) => {
                let name = unquoted(name).ok_or_else(|| block.head.error("expected a name in quotes after `mark`"))?;
                Ok(Node::Mark { name, child: Box::new(self.only(&below, reach)?) })
            }
            ("leaf", "") if below.is_empty() => Ok(Node::Leaf),
            _ => Err(block.head.error(format!(
                "expected `band`, `sequence`, `set`, `mark` or `leaf`, found `{}`",
                block.head.text.escape_debug()
            ))),
        }
    }

    fn band(
        &self,
        head: Line<'_>,
        attribute: &str,
        below: &[Block<'_, '_>],
        reach: &isl::UnionSet,
    ) -> Result<Node, TextError> {
        let permutable = match attribute {
            "" => false,
            "permutable" => true,
            other => return Err(head.error(format!("expected `permutable` or nothing after `band`, found `{other}`"))),
        };
        let n = below.iter().position(|block| member_parts(block).is_none()).unwrap_or(below.len());
        let (members, child) = below.split_at(n);
        if members.is_empty() {
            return Err(head.error("a band without members: expected `NAME = { … }` below it"));
        }
        let members = members.iter().map(|block| self.member(block, reach)).collect::<Result<_, _>>()?;
        Ok(Node::Band(Band { members, permutable, child: Box::new(self.only(child, reach)?) }))
    }

    fn member(&self, block: &Block<'_, '_>, reach: &isl::UnionSet) -> Result<Member, TextError> {
        let line = block.head;
        if let Some(below) = block.body.first() {
            return Err(below.error("nothing belongs below a member"));
        }
        let (name, rest) = member_parts(block).ok_or_else(|| line.error("expected `NAME = { … }`"))?;
        let end = rest.rfind('}').map_or(rest.len(), |at| at + 1);
        let (function, attributes) = rest.split_at(end);
        let schedule = self.notation.read(line, function, isl::UnionPwAff::read)?;
        let schedule = schedule.intersect_domain(reach).map_err(|error| line.error(error.to_string()))?;
        let mut tokens = line.tokens_of(attributes)?;
        let coincident = tokens.eat_word("coincident");
        let kind = if tokens.eat_word("parallel") {
            Kind::Parallel
        } else if tokens.eat_word("vector") {
            Kind::Vector(tokens.integer("a width")?)
        } else if tokens.eat_word("unroll") {
            Kind::Unroll(tokens.integer("a factor")?)
        } else if tokens.eat_word("bound") {
            let expected = tokens.expected("an axis of a target");
            let axis = Axis::parse(tokens.name("an axis of a target")?).ok_or(expected)?;
            if tokens.eat_word("atomically") { Kind::Atomic(axis) } else { Kind::Bound(axis) }
        } else {
            Kind::Sequential
        };
        tokens.end()?;
        Ok(Member { name: name.to_owned(), schedule, coincident, kind })
    }

    fn children(
        &self,
        head: Line<'_>,
        below: &[Block<'_, '_>],
        reach: &isl::UnionSet,
    ) -> Result<Vec<Filtered>, TextError> {
        if below.is_empty() {
            return Err(head.error(format!("expected `filter {{ … }}` below `{}`", head.text)));
        }
        below.iter().map(|block| self.child(block, reach)).collect()
    }

    fn child(&self, block: &Block<'_, '_>, reach: &isl::UnionSet) -> Result<Filtered, TextError> {
        let line = block.head;
        let ("filter", text) = line.keyword() else {
            return Err(line.error(format!("expected `filter {{ … }}`, found `{}`", line.text.escape_debug())));
        };
        let filter = self.notation.read(line, text, isl::UnionSet::read)?;
        let filter = filter.intersect(reach).map_err(|error| line.error(error.to_string()))?;
        Ok(Filtered { node: self.only(&lex::blocks(block.body)?, &filter)?, filter })
    }
}

/// The name and what follows the `=`, when the line is a member's.
fn member_parts<'a>(block: &Block<'a, '_>) -> Option<(&'a str, &'a str)> {
    let (name, rest) = block.head.text.split_once('=')?;
    let name = name.trim_end();
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    plain.then_some((name, rest.trim_start()))
}

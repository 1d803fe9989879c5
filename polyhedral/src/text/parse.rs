//! Reading a Scop.

use support::{Span, Table};

use super::TextError;
use super::expr::{Scope, literal};
use super::lex::{self, Block, Line, Token, Tokens};
use super::notation::Notation;
use super::print::{layout_dims, named_monoid_of};
use super::tree;
use crate::{
    Access, Body, DType, Expr, Index, Layout, Memory, Monoid, Nest, Node, Role, ScheduleTree, Scop, Stmt, StmtId,
    Tensor, isl,
};

/// Reads the text of a Scop.
pub(super) fn scop(ctx: &isl::Ctx, text: &str) -> Result<Scop, TextError> {
    let lines = lex::lines(text)?;
    let blocks = lex::blocks(&lines)?;
    let Some((head, rest)) = blocks.split_first() else {
        return Err(TextError { line: 1, message: "expected `scop NAME(SIZES)`, found nothing".into() });
    };
    let mut scop = header(ctx, head)?;
    let mut seen: Vec<&str> = Vec::new();
    let (mut tree_block, mut origin) = (None, None);
    let mut source = None;
    for block in rest {
        let (word, rest) = block.head.keyword();
        let once = !matches!(word, "input" | "output" | "inout" | "temporary" | "stmt");
        if once && seen.contains(&word) {
            return Err(block.head.error(format!("a second `{word}`")));
        }
        seen.push(word);
        match word {
            "context" => {
                let notation = Notation { ctx, params: &scop.params };
                scop.context = notation.read(alone(block)?, rest, isl::Set::read)?;
            }
            "input" | "output" | "inout" | "temporary" => declare_tensor(&mut scop, alone(block)?)?,
            "stmt" => declare_stmt(&mut scop, block)?,
            "source" if rest.is_empty() || rest == "none" => source = Some(block),
            "tree" if rest.is_empty() => tree_block = Some(block),
            "origin" => origin = Some((alone(block)?, rest)),
            _ => return Err(block.head.tokens()?.expected(SECTIONS)),
        }
    }
    scop.source = match source {
        Some(block) if block.head.keyword().1 == "none" => {
            alone(block)?;
            Vec::new()
        }
        Some(block) => nests(&scop, block.body, 0)?,
        None => scop.stmts.iter().map(|(id, stmt)| Nest::of_stmt(id, &stmt.dims)).collect(),
    };
    let last = blocks.last().map_or(head.head, |block| block.head);
    scop.tree = match tree_block {
        Some(block) if block.body.is_empty() => return Err(block.head.error("expected a tree below `tree`")),
        Some(block) => tree::tree(&scop, block.body)?,
        None if !scop.is_source() => return Err(last.error("a program without a source order needs a tree")),
        None => ScheduleTree::from_source(&scop).map_err(|error| last.error(error.to_string()))?,
    };
    scop.origin = match origin {
        None | Some((_, "identity")) => {
            scop.domain().and_then(|domain| domain.identity()).map_err(|error| last.error(error.to_string()))?
        }
        Some((line, text)) => Notation { ctx, params: &scop.params }.read(line, text, isl::UnionMap::read)?,
    };
    Ok(scop)
}

const SECTIONS: &str =
    "`context`, `input`, `output`, `inout`, `temporary`, `stmt`, `source`, `tree` or `origin` at the start of a line";

/// The head of a block that has nothing below it.
fn alone<'a>(block: &Block<'a, '_>) -> Result<Line<'a>, TextError> {
    match block.body.first() {
        Some(below) => Err(below.error(format!("nothing belongs below `{}`", block.head.keyword().0))),
        None => Ok(block.head),
    }
}

/// `scop NAME(SIZES)`: a Scop with nothing in it.
fn header(ctx: &isl::Ctx, block: &Block<'_, '_>) -> Result<Scop, TextError> {
    let line = alone(block)?;
    let mut tokens = line.tokens()?;
    tokens.expect_word("scop")?;
    let name = tokens.name("the program's name")?.to_owned();
    tokens.expect("(")?;
    let params = tokens.list(")", |tokens| new_name(tokens, "a size"))?;
    tokens.end()?;
    distinct(&tokens, &params)?;
    let empty = || -> isl::Result<Scop> {
        Ok(Scop {
            name,
            ctx: ctx.clone(),
            context: isl::Space::parameters(ctx, &params)?.universe_set()?.params()?,
            params,
            tensors: Table::new(),
            stmts: Table::new(),
            source: Vec::new(),
            tree: ScheduleTree { domain: isl::UnionSet::empty(ctx)?, root: Node::Leaf },
            origin: isl::UnionMap::empty(ctx)?,
        })
    };
    empty().map_err(|error| line.error(error.to_string()))
}

/// A name that isl's notation can carry.
fn new_name(tokens: &mut Tokens<'_>, what: &str) -> Result<String, TextError> {
    let name = tokens.name(what)?;
    if ISL_WORDS.contains(&name) {
        return Err(tokens.error(format!("`{name}` is a word of isl's notation and cannot name {what}")));
    }
    Ok(name.to_owned())
}

/// What isl's reader takes for a keyword.
pub(super) const ISL_WORDS: [&str; 18] = [
    "exists", "and", "or", "implies", "not", "infty", "infinity", "NaN", "min", "max", "rat", "true", "false", "ceild",
    "floord", "mod", "ceil", "floor",
];

fn distinct(tokens: &Tokens<'_>, names: &[String]) -> Result<(), TextError> {
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(tokens.error(format!("`{name}` twice"))),
        None => Ok(()),
    }
}

/// `input A: float32[M, N + 2 from -1] at 3..9`
fn declare_tensor(scop: &mut Scop, line: Line<'_>) -> Result<(), TextError> {
    let mut tokens = line.tokens()?;
    let role = match tokens.name("a role")? {
        "input" => Role::Input,
        "output" => Role::Output,
        "inout" => Role::InOut,
        _ => Role::Temporary,
    };
    let name = tokens.name("a tensor's name")?.to_owned();
    if scop.tensor_named(&name).is_some() {
        return Err(tokens.error(format!("a second tensor called `{name}`")));
    }
    tokens.expect(":")?;
    let dtype = dtype(&mut tokens)?;
    tokens.expect("[")?;
    let scope = Scope { dims: &[], params: &scop.params, tensors: &scop.tensors, reads: Vec::new() };
    let dims = tokens.list("]", |tokens| {
        let extent = scope.index(tokens)?;
        let lower = if tokens.eat_word("from") { scope.index(tokens)? } else { Index::Const(0) };
        Ok((lower, extent))
    })?;
    let (lower, extent): (Vec<Index>, Vec<Index>) = dims.into_iter().unzip();
    let near = [Memory::Stack, Memory::Shared, Memory::Registers, Memory::Rank, Memory::Message];
    let memory = near.into_iter().find(|memory| tokens.eat_word(memory.word())).unwrap_or_default();
    let streamed = tokens.eat_word("streamed");
    let layout = tokens.eat_word("layout").then(|| layout(scop, extent.len(), &mut tokens)).transpose()?;
    let span = optional_span(&mut tokens)?;
    tokens.end()?;
    scop.tensors.push(Tensor { name, dtype, lower, extent, role, memory, layout, streamed, span });
    Ok(())
}

/// `[i0 mod 2, i1] of [2, N]`, after `layout`
fn layout(scop: &Scop, rank: usize, tokens: &mut Tokens<'_>) -> Result<Layout, TextError> {
    let dims = layout_dims(rank);
    let over = |dims| Scope { dims, params: &scop.params, tensors: &scop.tensors, reads: Vec::new() };
    tokens.expect("[")?;
    let cell = tokens.list("]", |tokens| over(&dims).index(tokens))?;
    tokens.expect_word("of")?;
    tokens.expect("[")?;
    let extent = tokens.list("]", |tokens| over(&[]).index(tokens))?;
    Ok(Layout { cell, extent })
}

fn dtype(tokens: &mut Tokens<'_>) -> Result<DType, TextError> {
    let expected = tokens.expected("a type");
    DType::parse(tokens.name("a type")?).ok_or(expected)
}

fn optional_span(tokens: &mut Tokens<'_>) -> Result<Span, TextError> {
    if tokens.eat_word("at") { span(tokens) } else { Ok(Span::default()) }
}

fn span(tokens: &mut Tokens<'_>) -> Result<Span, TextError> {
    let start = tokens.integer("the first byte of a span")?;
    tokens.expect("..")?;
    Ok(Span { start, end: tokens.integer("the end of a span")? })
}

/// `stmt C[m, n]` with its lines.
fn declare_stmt(scop: &mut Scop, block: &Block<'_, '_>) -> Result<(), TextError> {
    let mut tokens = block.head.tokens()?;
    tokens.expect_word("stmt")?;
    let name = tokens.name("a statement's name")?.to_owned();
    if scop.stmt_named(&name).is_some() {
        return Err(tokens.error(format!("a second statement called `{name}`")));
    }
    tokens.expect("[")?;
    let dims = tokens.list("]", |tokens| new_name(tokens, "a dimension"))?;
    distinct(&tokens, &dims)?;
    let span = optional_span(&mut tokens)?;
    tokens.end()?;
    let stmt = StmtReader::new(scop, &dims).lines(block, name.clone())?;
    scop.stmts.push(Stmt { name, dims: dims.clone(), span, ..stmt });
    Ok(())
}

/// Reads the lines below `stmt`.
struct StmtReader<'s> {
    scop: &'s Scop,
    scope: Scope<'s>,
    domain: Option<isl::Set>,
    monoid: Option<Monoid>,
    spans: Option<Vec<Span>>,
    listed: bool,
}

impl<'s> StmtReader<'s> {
    fn new(scop: &'s Scop, dims: &'s [String]) -> StmtReader<'s> {
        let scope = Scope { dims, params: &scop.params, tensors: &scop.tensors, reads: Vec::new() };
        StmtReader { scop, scope, domain: None, monoid: None, spans: None, listed: false }
    }

    /// The statement, but for its dimensions and its span.
    fn lines(mut self, block: &Block<'_, '_>, name: String) -> Result<Stmt, TextError> {
        let mut computed = None;
        for below in lex::blocks(block.body)? {
            let line = alone(&below)?;
            if computed.is_some() {
                return Err(line.error("what a statement computes is its last line"));
            }
            match line.keyword() {
                ("domain", text) if text.starts_with(['{', '[']) => self.read_domain(line, text, &name)?,
                ("reads", text) if !text.starts_with(['[', '=']) => self.read_reads(line, text)?,
                ("monoid", text) if !text.starts_with(['[', '=']) => self.monoid = Some(self.read_monoid(line, text)?),
                ("spans", text) if text.starts_with(|c: char| c.is_ascii_digit()) => self.read_spans(line, text)?,
                _ => computed = Some(self.read_body(line)?),
            }
        }
        let (writes, body) =
            computed.ok_or_else(|| block.head.error(format!("`{name}` computes nothing: expected `C[…] = …`")))?;
        let domain = self.domain.take().ok_or_else(|| block.head.error(format!("`{name}` has no `domain` line")))?;
        let mut stmt =
            Stmt { name, dims: Vec::new(), domain, reads: self.scope.reads, writes, body, span: Span::default() };
        if let Some(spans) = self.spans {
            set_spans(&mut stmt, &spans).map_err(|message| block.head.error(message))?;
        }
        Ok(stmt)
    }

    fn read_domain(&mut self, line: Line<'_>, text: &str, name: &str) -> Result<(), TextError> {
        if self.domain.is_some() {
            return Err(line.error("a second `domain`"));
        }
        let notation = Notation { ctx: &self.scop.ctx, params: self.scope.params };
        let domain = notation.read(line, text, isl::Set::read)?;
        let shape = || -> isl::Result<(String, u32)> { Ok((domain.tuple_name()?, domain.dim(isl::Dim::Set)?)) };
        let (tuple, n) = shape().map_err(|error| line.error(error.to_string()))?;
        if tuple != name || n as usize != self.scope.dims.len() {
            return Err(line.error(format!(
                "expected a set of `{name}[{}]`, found one of `{tuple}` with {n} dimensions",
                self.scope.dims.join(", ")
            )));
        }
        self.domain = Some(named_dims(&domain, self.scope.dims).map_err(|error| line.error(error.to_string()))?);
        Ok(())
    }

    fn read_reads(&mut self, line: Line<'_>, text: &str) -> Result<(), TextError> {
        if self.listed {
            return Err(line.error("a second `reads`"));
        }
        self.listed = true;
        let mut tokens = line.tokens_of(text)?;
        while tokens.peek().is_some() {
            let read = self.scope.access(&mut tokens)?;
            self.scope.reads.push(read);
            if tokens.peek().is_some() {
                tokens.expect(",")?;
            }
        }
        Ok(())
    }

    fn read_monoid(&mut self, line: Line<'_>, text: &str) -> Result<Monoid, TextError> {
        if self.monoid.is_some() {
            return Err(line.error("a second `monoid`"));
        }
        let mut tokens = line.tokens_of(text)?;
        let name = tokens.name("the monoid's name")?.to_owned();
        tokens.expect("(")?;
        let dtypes = tokens.list(")", dtype)?;
        tokens.expect_word("identity")?;
        tokens.expect("(")?;
        let identity = tokens.list(")", |tokens| {
            let minus = tokens.eat("-");
            match literal(tokens, minus)? {
                Expr::Const(value, _) => Ok(value),
                _ => Err(tokens.expected("a literal")),
            }
        })?;
        tokens.expect_word("combine")?;
        tokens.expect("(")?;
        let combine = tokens.list(")", |tokens| self.scope.expr(tokens))?;
        tokens.end()?;
        Ok(Monoid { name, dtypes, identity, combine })
    }

    fn read_spans(&mut self, line: Line<'_>, text: &str) -> Result<(), TextError> {
        let mut tokens = line.tokens_of(text)?;
        let mut spans = vec![span(&mut tokens)?];
        while tokens.eat(",") {
            spans.push(span(&mut tokens)?);
        }
        self.spans = Some(spans);
        tokens.end()
    }

    /// `C[m, n] = e` or `C[m, n] sum= e`, with as many of each as there are components.
    fn read_body(&mut self, line: Line<'_>) -> Result<(Vec<Access>, Body), TextError> {
        let mut tokens = line.tokens()?;
        let mut writes = Vec::new();
        while let (Some(Token::Name(_)), Some(Token::Symbol("["))) = (tokens.peek(), tokens.peek_second()) {
            writes.push(self.scope.access(&mut tokens)?);
            tokens.eat(",");
        }
        if tokens.eat("=") {
            return Ok((writes, Body::Assign(self.values(&mut tokens)?)));
        }
        let name = match (tokens.peek(), tokens.peek_second()) {
            (Some(Token::Name(name)), Some(Token::Symbol("="))) => name,
            _ => return Err(tokens.expected("an element `C[…]`, `=` or a reduction such as `sum=`")),
        };
        let monoid = self.monoid_named(name, &writes).map_err(|message| tokens.error(message))?;
        tokens.advance();
        tokens.advance();
        Ok((writes, Body::Reduce { monoid, terms: self.values(&mut tokens)? }))
    }

    fn values(&mut self, tokens: &mut Tokens<'_>) -> Result<Vec<Expr>, TextError> {
        let mut values = Vec::new();
        while tokens.peek().is_some() {
            values.push(self.scope.expr(tokens)?);
            if tokens.peek().is_some() {
                tokens.expect(",")?;
            }
        }
        Ok(values)
    }

    fn monoid_named(&mut self, name: &str, writes: &[Access]) -> Result<Monoid, String> {
        if let Some(monoid) = self.monoid.take() {
            return if monoid.name == name {
                Ok(monoid)
            } else {
                Err(format!("the monoid above is called `{}`, not `{name}`", monoid.name))
            };
        }
        let [write] = writes else {
            return Err(format!("`{name}=` on {} elements needs a `monoid` line", writes.len()));
        };
        let dtype = self.scop.tensors[write.tensor].dtype;
        named_monoid_of(dtype, name)
            .ok_or_else(|| format!("no reduction is called `{name}`: `sum`, `prod`, `min`, `max`, or a `monoid` line"))
    }
}

/// isl keeps the names of equal dimensions apart and drops those of constants: the header's names are the right ones.
fn named_dims(domain: &isl::Set, dims: &[String]) -> isl::Result<isl::Set> {
    dims.iter().enumerate().try_fold(domain.clone(), |set, (at, dim)| set.with_dim_name(isl::Dim::Set, at as u32, dim))
}

fn set_spans(stmt: &mut Stmt, spans: &[Span]) -> Result<(), String> {
    let n = stmt.reads.len() + stmt.writes.len();
    if spans.len() != n {
        return Err(format!("{} spans for {n} accesses", spans.len()));
    }
    for (access, span) in stmt.reads.iter_mut().chain(&mut stmt.writes).zip(spans) {
        access.span = *span;
    }
    Ok(())
}

/// The source order below `source`, or below a loop.
fn nests(scop: &Scop, lines: &[Line<'_>], depth: usize) -> Result<Vec<Nest>, TextError> {
    lex::blocks(lines)?.iter().map(|block| nest(scop, block, depth)).collect()
}

fn nest(scop: &Scop, block: &Block<'_, '_>, depth: usize) -> Result<Nest, TextError> {
    let mut tokens = block.head.tokens()?;
    let word = tokens.name("`for NAME` or a statement")?;
    if word == "for" && tokens.peek().is_some() {
        let name = tokens.name("a loop's name")?.to_owned();
        tokens.end()?;
        return Ok(Nest::Loop { name, body: nests(scop, block.body, depth + 1)? });
    }
    tokens.end()?;
    let stmt: StmtId = scop
        .stmt_named(word)
        .ok_or_else(|| block.head.error(format!("expected `for NAME` or a statement, found `{word}`")))?;
    let dims = scop.stmts[stmt].dims.len();
    if dims != depth {
        return Err(block.head.error(format!("`{word}` has {dims} dimensions and stands under {depth} loops")));
    }
    alone(block)?;
    Ok(Nest::Stmt(stmt))
}

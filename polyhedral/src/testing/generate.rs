//! Random small Scops: a draft of statements over domains that can be walked without isl, then the shapes and roles
//! that make every access valid and every value defined.

use std::collections::{BTreeMap, BTreeSet};

use support::{Entity, Span, Table};

use super::Rng;
use crate::{
    Access, BinOp, Body, Builtin, CmpOp, DType, Expr, Index, Memory, Monoid, Nest, Node, Role, ScheduleTree, Scop,
    Stmt, StmtId, Subscript, Tensor, TensorId, UnOp, Value, isl,
};

/// A random small Scop without parameters; the same seed gives the same one.
///
/// One to five statements of depth 0 to 3, alone or sharing loops; boxes, triangles, strides, sums of dimensions below a
/// bound, and unions of two boxes; subscripts with shifts, strides, sums, remainders, and look-ups through an index
/// tensor; assignments in place and re-definitions, two results at once, and the four reductions with and without an
/// initialisation. Every access is inside its tensor, every element that is read or live-out is defined.
///
/// Results of integer type do not depend on the order of a reduction, and no comparison or conversion to an integer
/// sees a float that does: so engines that reorder reductions agree on integers exactly and on floats closely.
pub fn random(ctx: &isl::Ctx, seed: u64) -> Scop {
    let mut draft = Draft::new(ctx, seed);
    draft.declare_inputs();
    let groups = draft.rng.between(1, 3);
    for _ in 0..groups {
        draft.group();
    }
    draft.fit_tensors();
    draft.choose_roles();
    draft.finish()
}

const TYPES: [DType; 4] = [DType::I32, DType::I64, DType::F32, DType::F64];
const DIMS: [&str; 3] = ["i", "j", "k"];

/// The tensors whose elements index others.
const INDEX_TENSOR: &str = "X";

/// What is known while drawing. Tensors get their shape and role at the end.
struct Draft {
    rng: Rng,
    scop: Scop,
    domains: Vec<Domain>,
    inputs: Vec<TensorId>,
    written: Vec<TensorId>,
}

/// A union of boxes with conditions.
#[derive(Clone, Debug)]
struct Domain {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    /// Both ends included.
    ranges: Vec<(i64, i64)>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    /// `x[a] <= x[b] + shift`
    Below { a: usize, b: usize, shift: i64 },
    /// `x[dim] mod by = rest`
    Stride { dim: usize, by: i64, rest: i64 },
    /// `x[a] + x[b] <= most`
    Sum { a: usize, b: usize, most: i64 },
}

impl Condition {
    fn holds(self, point: &[i64]) -> bool {
        match self {
            Condition::Below { a, b, shift } => point[a] <= point[b] + shift,
            Condition::Stride { dim, by, rest } => point[dim].rem_euclid(by) == rest,
            Condition::Sum { a, b, most } => point[a] + point[b] <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Condition::Below { a, b, shift } => format!("{} <= {} + {shift}", DIMS[a], DIMS[b]),
            Condition::Stride { dim, by, rest } => format!("{} mod {by} = {rest}", DIMS[dim]),
            Condition::Sum { a, b, most } => format!("{} + {} <= {most}", DIMS[a], DIMS[b]),
        }
    }
}

impl Domain {
    fn contains(&self, point: &[i64]) -> bool {
        self.pieces.iter().any(|piece| {
            piece.ranges.iter().zip(point).all(|((low, high), x)| low <= x && x <= high)
                && piece.conditions.iter().all(|condition| condition.holds(point))
        })
    }

    /// The smallest and the largest value of a dimension over all pieces, conditions left aside.
    fn range(&self, dim: usize) -> (i64, i64) {
        let ranges = self.pieces.iter().map(|piece| piece.ranges[dim]);
        ranges.fold((i64::MAX, i64::MIN), |(low, high), (l, h)| (low.min(l), high.max(h)))
    }

    fn depth(&self) -> usize {
        self.pieces[0].ranges.len()
    }

    fn points(&self) -> Vec<Vec<i64>> {
        let mut points = vec![Vec::new()];
        for dim in 0..self.depth() {
            let (low, high) = self.range(dim);
            points = points
                .into_iter()
                .flat_map(|point: Vec<i64>| (low..=high).map(move |x| [point.as_slice(), &[x]].concat()))
                .collect();
        }
        points.retain(|point| self.contains(point));
        points
    }

    fn text(&self, name: &str) -> String {
        let piece = |piece: &Piece| {
            let ranges = piece.ranges.iter().zip(DIMS).map(|((low, high), dim)| format!("{low} <= {dim} <= {high}"));
            let all: Vec<String> = ranges.chain(piece.conditions.iter().map(|c| c.text())).collect();
            format!("({})", all.join(" and "))
        };
        let tuple = format!("{name}[{}]", DIMS[..self.depth()].join(", "));
        if self.depth() == 0 {
            return format!("{{ {tuple} }}");
        }
        format!("{{ {tuple} : {} }}", self.pieces.iter().map(piece).collect::<Vec<_>>().join(" or "))
    }
}

impl Draft {
    fn new(ctx: &isl::Ctx, seed: u64) -> Draft {
        let empty = || -> isl::Result<Scop> {
            Ok(Scop {
                name: format!("random_{seed}"),
                ctx: ctx.clone(),
                params: Vec::new(),
                context: isl::Space::parameters(ctx, &[] as &[&str])?.universe_set()?.params()?,
                tensors: Table::new(),
                stmts: Table::new(),
                source: Vec::new(),
                tree: ScheduleTree { domain: isl::UnionSet::empty(ctx)?, root: Node::Leaf },
                origin: isl::UnionMap::empty(ctx)?,
            })
        };
        let scop = empty().expect("isl makes empty objects");
        Draft { rng: Rng::new(seed), scop, domains: Vec::new(), inputs: Vec::new(), written: Vec::new() }
    }

    fn declare(&mut self, name: &str, dtype: DType, rank: usize, role: Role) -> TensorId {
        self.scop.tensors.push(Tensor {
            name: name.into(),
            dtype,
            lower: vec![Index::Const(0); rank],
            extent: vec![Index::Const(0); rank],
            role,
            memory: Memory::Global,
            layout: None,
            streamed: false,
            span: Span::default(),
        })
    }

    fn declare_inputs(&mut self) {
        for name in ["A", "B", "D"].into_iter().take(self.rng.between(1, 3) as usize) {
            let (dtype, rank) = (self.rng.pick(&TYPES), self.rng.between(1, 3) as usize);
            let id = self.declare(name, dtype, rank, Role::Input);
            self.inputs.push(id);
        }
        if self.rng.percent(25) {
            let id = self.declare(INDEX_TENSOR, DType::I32, 1, Role::Input);
            self.inputs.push(id);
        }
    }

    /// A tensor to write: a new one, or one that is there already.
    fn target(&mut self, rank: usize) -> TensorId {
        let same: Vec<TensorId> =
            self.written.iter().copied().filter(|id| self.scop.tensors[*id].lower.len() == rank).collect();
        if !same.is_empty() && self.rng.percent(30) {
            return self.rng.pick(&same);
        }
        let at = self.written.len();
        let name =
            ["P", "Q", "R", "S", "T", "U", "V", "W"].get(at).map_or_else(|| format!("W{at}"), ToString::to_string);
        let dtype = self.rng.pick(&TYPES);
        let id = self.declare(&name, dtype, rank, Role::Output);
        self.written.push(id);
        id
    }

    /// Some statements at the top level.
    fn group(&mut self) {
        let nests = match self.rng.below(10) {
            0..4 => {
                let depth = self.rng.pick(&[0, 1, 1, 2, 2, 2, 3]);
                let domain = self.domain(depth);
                let stmt = self.statement(domain);
                vec![self.own_nest(stmt)]
            }
            4..7 => self.initialised_reduction(),
            _ => self.shared_nest(),
        };
        self.scop.source.extend(nests);
    }

    fn own_nest(&self, stmt: StmtId) -> Nest {
        Nest::of_stmt(stmt, &self.scop.stmts[stmt].dims)
    }

    /// An initialisation and an update, one after the other or under common loops.
    fn initialised_reduction(&mut self) -> Vec<Nest> {
        let (rank, depth) = self.rng.pick(&[(0, 1), (1, 2), (1, 2), (1, 3), (2, 3), (2, 3)]);
        let domain = self.domain(depth);
        let target = self.target(rank);
        let ranges = (0..rank).map(|dim| domain.range(dim)).collect();
        let around = Domain { pieces: vec![Piece { ranges, conditions: Vec::new() }] };
        let subscripts: Vec<Index> = (0..rank).map(Index::Dim).collect();
        let monoid = self.monoid(self.scop.tensors[target].dtype);
        let dtype = self.scop.tensors[target].dtype;
        let start = if self.rng.percent(50) { monoid.identity[0] } else { small_constant(dtype, 1) };
        let write = |subscripts: &[Index]| access(target, subscripts.to_vec());
        let init = Body::Assign(vec![Expr::Const(start, dtype)]);
        let init = self.push(around, "init", Vec::new(), vec![write(&subscripts)], init);
        let update = self.reduction(domain, monoid, write(&subscripts));
        if self.rng.percent(50) {
            return vec![self.own_nest(init), self.own_nest(update)];
        }
        let inner = self.inner_nest(update, rank);
        wrap(rank, vec![Nest::Stmt(init), inner])
    }

    /// Two or three statements under common loops.
    fn shared_nest(&mut self) -> Vec<Nest> {
        let shared = self.rng.between(1, 2) as usize;
        let mut body = Vec::new();
        for _ in 0..self.rng.between(2, 3) {
            let depth = (shared + self.rng.below(2)).min(3);
            let domain = self.domain(depth);
            let stmt = self.statement(domain);
            body.push(self.inner_nest(stmt, shared));
        }
        wrap(shared, body)
    }

    /// A statement under its loops from depth `from` on.
    fn inner_nest(&self, stmt: StmtId, from: usize) -> Nest {
        Nest::of_stmt(stmt, &self.scop.stmts[stmt].dims[from..])
    }

    fn domain(&mut self, depth: usize) -> Domain {
        let mut pieces = vec![self.piece(depth)];
        if depth > 0 && self.rng.percent(15) {
            pieces.push(self.piece(depth));
        }
        let mut domain = Domain { pieces };
        if domain.points().is_empty() {
            domain.pieces.iter_mut().for_each(|piece| piece.conditions.clear());
        }
        domain
    }

    fn piece(&mut self, depth: usize) -> Piece {
        let longest = if depth == 3 { 4 } else { 6 };
        let ranges: Vec<(i64, i64)> = (0..depth)
            .map(|_| {
                let low = self.rng.pick(&[0, 0, 0, 0, 1, 2, -1]);
                (low, low + self.rng.between(1, longest) - i64::from(self.rng.percent(10)))
            })
            .collect();
        let mut conditions = Vec::new();
        if depth > 1 && self.rng.percent(35) {
            let a = self.rng.below(depth);
            let b = (a + 1 + self.rng.below(depth - 1)) % depth;
            conditions.push(if self.rng.percent(70) {
                Condition::Below { a, b, shift: self.rng.between(-1, 1) }
            } else {
                Condition::Sum { a, b, most: self.rng.between(2, 5) }
            });
        }
        if depth > 0 && self.rng.percent(15) {
            let by = self.rng.between(2, 3);
            conditions.push(Condition::Stride { dim: self.rng.below(depth), by, rest: self.rng.between(0, by - 1) });
        }
        Piece { ranges, conditions }
    }

    /// A reduction or an assignment on `domain`.
    fn statement(&mut self, domain: Domain) -> StmtId {
        let depth = domain.depth();
        let rank = if self.rng.percent(70) { depth } else { self.rng.below(depth + 1) };
        let target = self.target(rank);
        let write = access(target, self.written_subscripts(depth, rank));
        if self.rng.percent(30) {
            let monoid = self.monoid(self.scop.tensors[target].dtype);
            return self.reduction(domain, monoid, write);
        }
        let mut writes = vec![write];
        if self.rng.percent(8) {
            let second = self.target(rank);
            if second != target {
                writes.push(access(second, self.written_subscripts(depth, rank)));
            }
        }
        let mut reads = Vec::new();
        let types: Vec<DType> = writes.iter().map(|write| self.scop.tensors[write.tensor].dtype).collect();
        let values = types.into_iter().map(|dtype| self.expr(dtype, depth, 2, &mut reads)).collect();
        self.push(domain, "", reads, writes, Body::Assign(values))
    }

    fn monoid(&mut self, dtype: DType) -> Monoid {
        match self.rng.below(6) {
            0..3 => Monoid::sum(dtype),
            3 => Monoid::prod(dtype),
            4 => Monoid::min(dtype),
            _ => Monoid::max(dtype),
        }
    }

    fn reduction(&mut self, domain: Domain, monoid: Monoid, write: Access) -> StmtId {
        let (depth, dtype) = (domain.depth(), self.scop.tensors[write.tensor].dtype);
        let mut reads = Vec::new();
        // A product of floats stays small when its terms do.
        let term = if monoid.name == "prod" && dtype.is_float() {
            self.pure(dtype, depth, &mut reads)
        } else {
            self.expr(dtype, depth, 2, &mut reads)
        };
        self.push(domain, "update", reads, vec![write], Body::Reduce { monoid, terms: vec![term] })
    }

    /// Adds the statement under a name of its own.
    fn push(&mut self, domain: Domain, kind: &str, reads: Vec<Access>, writes: Vec<Access>, body: Body) -> StmtId {
        let tensor = &self.scop.tensors[writes[0].tensor].name;
        let base = if kind.is_empty() { tensor.clone() } else { format!("{tensor}.{kind}") };
        let mut name = base.clone();
        let mut number = 1;
        while self.scop.stmt_named(&name).is_some() {
            number += 1;
            name = format!("{base}.{number}");
        }
        let dims: Vec<String> = DIMS[..domain.depth()].iter().map(|dim| dim.to_string()).collect();
        let set = isl::Set::read(&self.scop.ctx, &domain.text(&name)).expect("the text of a small domain");
        self.domains.push(domain);
        self.scop.stmts.push(Stmt { name, dims, domain: set, reads, writes, body, span: Span::default() })
    }

    /// Mostly the dimensions in order, so that elements are written once.
    fn written_subscripts(&mut self, depth: usize, rank: usize) -> Vec<Index> {
        let mut dims: Vec<usize> = (0..depth).collect();
        if self.rng.percent(25) {
            self.rng.shuffle(&mut dims);
        }
        dims.truncate(rank);
        dims.into_iter()
            .map(|dim| match self.rng.below(10) {
                0 => 2 * Index::Dim(dim) + self.rng.between(0, 1),
                1 => Index::Dim(dim) + self.rng.between(-1, 1),
                2 => self.subscript(depth),
                _ => Index::Dim(dim),
            })
            .collect()
    }

    fn subscript(&mut self, depth: usize) -> Index {
        if depth == 0 || self.rng.percent(5) {
            return Index::Const(self.rng.between(0, 2));
        }
        let dim = Index::Dim(self.rng.below(depth));
        let other = Index::Dim(self.rng.below(depth));
        match self.rng.below(16) {
            0 => 2 * dim,
            1 => -dim + 3,
            2 => dim + other,
            3 => dim.modulo(2),
            4 => dim.floor_div(2),
            5 => dim.min(other),
            6 => dim - other,
            7..10 => dim + self.rng.between(-1, 1),
            10 => Index::select(dim.clone() - 1, dim, other),
            _ => dim,
        }
    }

    /// A load of an element of `tensor`, noted among the reads.
    fn load(&mut self, tensor: TensorId, depth: usize, reads: &mut Vec<Access>) -> Expr {
        let rank = self.scop.tensors[tensor].lower.len();
        let mut index: Vec<Subscript> = (0..rank).map(|_| Subscript::Affine(self.subscript(depth))).collect();
        let table = self.scop.tensor_named(INDEX_TENSOR).filter(|table| *table != tensor && rank > 0);
        if let Some(table) = table.filter(|_| self.rng.percent(40)) {
            let looked_up = self.load(table, depth, reads);
            index[self.rng.below(rank)] = Subscript::Indirect(looked_up);
        }
        let same = reads.iter().position(|read| read.tensor == tensor && read.index == index);
        if let Some(same) = same.filter(|_| self.rng.percent(90)) {
            return Expr::Load(same);
        }
        reads.push(Access { tensor, index, span: Span::default() });
        Expr::Load(reads.len() - 1)
    }

    fn expr(&mut self, dtype: DType, depth: usize, levels: usize, reads: &mut Vec<Access>) -> Expr {
        if levels == 0 {
            return self.leaf(dtype, depth, reads);
        }
        match self.rng.below(16) {
            0..6 => {
                let op = self.rng.pick(&[BinOp::Add, BinOp::Add, BinOp::Sub, BinOp::Min, BinOp::Max]);
                let a = self.expr(dtype, depth, levels - 1, reads);
                binary(op, a, self.expr(dtype, depth, levels - 1, reads))
            }
            // A product with something of at most 1, for floats, does not grow.
            6..10 => {
                let a = self.pure(dtype, depth, reads);
                binary(BinOp::Mul, a, self.expr(dtype, depth, levels - 1, reads))
            }
            10 => Expr::Unary(UnOp::Neg, Box::new(self.expr(dtype, depth, levels - 1, reads))),
            11 => {
                let condition = self.condition(depth, reads);
                let then = self.expr(dtype, depth, levels - 1, reads);
                Expr::Select(Box::new(condition), Box::new(then), Box::new(self.expr(dtype, depth, levels - 1, reads)))
            }
            12 => {
                let op = if dtype.is_float() { BinOp::Div } else { self.rng.pick(&[BinOp::Div, BinOp::Mod]) };
                let a = self.expr(dtype, depth, levels - 1, reads);
                binary(op, a, Expr::Const(small_constant(dtype, self.rng.between(2, 4)), dtype))
            }
            13 if dtype.is_float() => {
                let a = self.expr(dtype, depth, levels - 1, reads);
                Expr::Call(self.rng.pick(&[Builtin::Fabs, Builtin::Sin, Builtin::Tanh]), vec![a])
            }
            _ => self.leaf(dtype, depth, reads),
        }
    }

    /// A load, a constant, an index, or one of another type converted.
    fn leaf(&mut self, dtype: DType, depth: usize, reads: &mut Vec<Access>) -> Expr {
        let tensor = match self.rng.below(10) {
            0..5 => self.rng.pick(&self.inputs.clone()),
            5..8 => self.rng.pick(&self.written.clone()),
            _ => return self.pure(dtype, depth, reads),
        };
        let from = self.scop.tensors[tensor].dtype;
        if from.is_float() && dtype.is_int() {
            return self.pure(dtype, depth, reads);
        }
        let load = converted(self.load(tensor, depth, reads), from, dtype);
        // What is written in place is made smaller, so that it does not grow without bound.
        let grows = dtype.is_float() && self.written.contains(&tensor);
        if grows { binary(BinOp::Mul, Expr::Const(Value::Float(0.0625), dtype), load) } else { load }
    }

    /// What no order of execution changes: a constant, an index or an input; a float is at most 1 in magnitude.
    fn pure(&mut self, dtype: DType, depth: usize, reads: &mut Vec<Access>) -> Expr {
        let same: Vec<TensorId> =
            self.inputs.iter().copied().filter(|id| self.scop.tensors[*id].dtype == dtype).collect();
        if !same.is_empty() && self.rng.percent(70) {
            let tensor = self.rng.pick(&same);
            return self.load(tensor, depth, reads);
        }
        if dtype.is_int() && self.rng.percent(50) {
            return converted(Expr::Index(self.subscript(depth)), DType::I64, dtype);
        }
        let value = if dtype.is_float() {
            Value::Float(self.rng.pick(&[1.0, -1.0, 0.5, 0.25, -0.75, 0.1]))
        } else {
            Value::Int(self.rng.between(-3, 3).into())
        };
        Expr::Const(value, dtype)
    }

    fn condition(&mut self, depth: usize, reads: &mut Vec<Access>) -> Expr {
        let dtype = self.rng.pick(&TYPES);
        let op = self.rng.pick(&[CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge, CmpOp::Eq, CmpOp::Ne]);
        let a = self.pure(dtype, depth, reads);
        let compare = Expr::Compare(op, Box::new(a), Box::new(self.pure(dtype, depth, reads)));
        match self.rng.below(8) {
            0 => Expr::Unary(UnOp::Not, Box::new(compare)),
            1 => binary(self.rng.pick(&[BinOp::And, BinOp::Or]), compare, self.condition(depth, reads)),
            _ => compare,
        }
    }

    /// Gives every tensor the box that its accesses touch; inputs start at 0, so their subscripts are shifted.
    fn fit_tensors(&mut self) {
        let mut boxes: BTreeMap<(TensorId, usize), (i64, i64)> = BTreeMap::new();
        for (stmt, domain) in self.scop.stmts.values().zip(&self.domains) {
            for point in domain.points() {
                for access in stmt.accesses() {
                    for (at, subscript) in access.index.iter().enumerate() {
                        // Whatever else an index tensor is used for, 0 is in range.
                        let x = match subscript {
                            Subscript::Affine(index) => index.eval(&point, &[]).expect("a small value"),
                            Subscript::Indirect(_) => 0,
                        };
                        let (low, high) = boxes.entry((access.tensor, at)).or_insert((x, x));
                        (*low, *high) = ((*low).min(x), (*high).max(x));
                    }
                }
            }
        }
        let mut shifts = BTreeMap::new();
        for (id, tensor) in self.scop.tensors.iter_mut() {
            for at in 0..tensor.lower.len() {
                let (low, high) = boxes.get(&(id, at)).copied().unwrap_or((0, 2));
                tensor.extent[at] = Index::Const(high - low + 1);
                if tensor.role == Role::Input {
                    shifts.insert((id, at), low);
                } else {
                    tensor.lower[at] = Index::Const(low);
                }
            }
        }
        for (_, stmt) in self.scop.stmts.iter_mut() {
            for access in stmt.reads.iter_mut().chain(&mut stmt.writes) {
                for (at, subscript) in access.index.iter_mut().enumerate() {
                    if let (Subscript::Affine(index), Some(low)) = (subscript, shifts.get(&(access.tensor, at))) {
                        *index = index.clone() - *low;
                    }
                }
            }
        }
    }

    /// A tensor of which an element is read before it is written, or never written, is the caller's as well. One that
    /// is only used between statements may be temporary.
    fn choose_roles(&mut self) {
        let mut walk = Walk { draft: self, point: Vec::new(), defined: BTreeSet::new(), undefined: BTreeSet::new() };
        walk.nests(&self.scop.source, 0);
        let Walk { defined, mut undefined, .. } = walk;
        for &id in &self.written {
            if self.elements(id).into_iter().any(|element| !defined.contains(&(id, element))) {
                undefined.insert(id);
            }
        }
        let last = self.scop.stmts.values().last().map(|stmt| stmt.writes[0].tensor);
        for id in self.written.clone() {
            let read = self.scop.stmts.values().any(|stmt| stmt.reads.iter().any(|read| read.tensor == id));
            self.scop.tensors[id].role = if undefined.contains(&id) {
                Role::InOut
            } else if read && last != Some(id) && self.rng.percent(50) {
                Role::Temporary
            } else {
                Role::Output
            };
        }
    }

    fn elements(&self, id: TensorId) -> Vec<Vec<i64>> {
        let tensor = &self.scop.tensors[id];
        let mut elements = vec![Vec::new()];
        for (lower, extent) in tensor.lower.iter().zip(&tensor.extent) {
            let low = lower.as_const().unwrap_or(0);
            let n = extent.as_const().unwrap_or(0);
            elements = elements
                .into_iter()
                .flat_map(|element: Vec<i64>| (low..low + n).map(move |x| [element.as_slice(), &[x]].concat()))
                .collect();
        }
        elements
    }

    /// Drops the tensors that nothing touches, and puts the others in the order of the call.
    fn finish(mut self) -> Scop {
        let used: BTreeSet<TensorId> =
            self.scop.stmts.values().flat_map(|stmt| stmt.accesses().map(|access| access.tensor)).collect();
        let rank = |role: Role| match role {
            Role::Input => 0,
            Role::Output | Role::InOut => 1,
            Role::Temporary => 2,
        };
        let mut order: Vec<TensorId> = used.into_iter().collect();
        order.sort_by_key(|id| (rank(self.scop.tensors[*id].role), *id));
        let new_id = |old: TensorId| order.iter().position(|id| *id == old).map_or(old, TensorId::new);
        for (_, stmt) in self.scop.stmts.iter_mut() {
            for access in stmt.reads.iter_mut().chain(&mut stmt.writes) {
                access.tensor = new_id(access.tensor);
            }
        }
        self.scop.tensors = order.iter().map(|id| self.scop.tensors[*id].clone()).collect();
        self.scop.tree = ScheduleTree::from_source(&self.scop).expect("the source order of a small Scop");
        self.scop.origin = self.scop.domain().and_then(|domain| domain.identity()).expect("the identity");
        self.scop
    }
}

/// Runs the statements in source order, noting which elements have a value.
struct Walk<'d> {
    draft: &'d Draft,
    point: Vec<i64>,
    defined: BTreeSet<(TensorId, Vec<i64>)>,
    undefined: BTreeSet<TensorId>,
}

impl Walk<'_> {
    fn nests(&mut self, nests: &[Nest], depth: usize) {
        for nest in nests {
            match nest {
                Nest::Stmt(stmt) => self.instance(*stmt),
                Nest::Loop { body, .. } => {
                    let ranges = nest.stmts().into_iter().map(|stmt| self.draft.domains[stmt.index()].range(depth));
                    let (low, high) = ranges.fold((i64::MAX, i64::MIN), |(a, b), (l, h)| (a.min(l), b.max(h)));
                    for x in low..=high {
                        self.point.push(x);
                        self.nests(body, depth + 1);
                        self.point.pop();
                    }
                }
            }
        }
    }

    fn instance(&mut self, id: StmtId) {
        if !self.draft.domains[id.index()].contains(&self.point) {
            return;
        }
        let stmt = &self.draft.scop.stmts[id];
        let state: &[Access] = if stmt.body.is_reduce() { &stmt.writes } else { &[] };
        for access in stmt.reads.iter().chain(state) {
            let input = self.draft.scop.tensors[access.tensor].role == Role::Input;
            let known = |element: &Vec<i64>| self.defined.contains(&(access.tensor, element.clone()));
            if !input && !self.touched(access).iter().all(known) {
                self.undefined.insert(access.tensor);
            }
        }
        for access in &stmt.writes {
            let elements = self.touched(access);
            self.defined.extend(elements.into_iter().map(|element| (access.tensor, element)));
        }
    }

    /// The element, or all that an indirect subscript may mean.
    fn touched(&self, access: &Access) -> Vec<Vec<i64>> {
        let fixed: Vec<Option<i64>> = access
            .index
            .iter()
            .map(|subscript| match subscript {
                Subscript::Affine(index) => index.eval(&self.point, &[]),
                Subscript::Indirect(_) => None,
            })
            .collect();
        if let Some(element) = fixed.iter().copied().collect::<Option<Vec<i64>>>() {
            return vec![element];
        }
        let mut all = self.draft.elements(access.tensor);
        all.retain(|element| element.iter().zip(&fixed).all(|(x, fixed)| fixed.is_none_or(|f| f == *x)));
        all
    }
}

fn access(tensor: TensorId, subscripts: Vec<Index>) -> Access {
    Access { tensor, index: subscripts.into_iter().map(Subscript::Affine).collect(), span: Span::default() }
}

/// `body` under the first `depth` loops.
fn wrap(depth: usize, body: Vec<Nest>) -> Vec<Nest> {
    DIMS[..depth].iter().rev().fold(body, |body, name| vec![Nest::Loop { name: name.to_string(), body }])
}

fn binary(op: BinOp, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

fn converted(expr: Expr, from: DType, to: DType) -> Expr {
    if from == to { expr } else { Expr::Cast(to, Box::new(expr)) }
}

fn small_constant(dtype: DType, value: i64) -> Value {
    if dtype.is_float() { Value::Float(value as f64) } else { Value::Int(value.into()) }
}

#[cfg(test)]
mod tests {
    use support::Stage;

    use super::*;

    /// Some of these seeds write nine tensors.
    #[test]
    fn every_seed_is_a_program() {
        let ctx = isl::Ctx::new();
        let most = (0..1000).map(|seed| {
            let scop = random(&ctx, seed);
            scop.verify().unwrap_or_else(|error| panic!("seed {seed}: {error}\n{scop}"));
            scop.tensors.values().filter(|tensor| tensor.role != Role::Input).count()
        });
        assert!(most.max() > Some(8), "more than there are short names");
    }
}

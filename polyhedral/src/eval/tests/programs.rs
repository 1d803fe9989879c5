//! Small programs, built by hand. Their schedule trees are empty: the evaluator must not look at them.

use support::{Span, Table};

use crate::eval::{Data, EvalError, Limits, Tensors, Wide};
use crate::isl;
use crate::{
    Access, BinOp, Body, DType, Expr, Index, Memory, Monoid, Nest, Node, Role, ScheduleTree, Scop, Stmt, StmtId,
    Subscript, Tensor, TensorId,
};

/// A program while it is being built.
pub struct Program {
    scop: Scop,
}

impl Program {
    pub fn new(params: &[&str]) -> Program {
        let ctx = isl::Ctx::new();
        let params: Vec<String> = params.iter().map(|name| name.to_string()).collect();
        let space = isl::Space::parameters(&ctx, &params).unwrap();
        let none = space.empty_union_set().unwrap();
        Program {
            scop: Scop {
                name: "f".into(),
                context: space.universe_set().unwrap(),
                params,
                tensors: Table::new(),
                stmts: Table::new(),
                source: Vec::new(),
                origin: none.identity().unwrap(),
                tree: ScheduleTree { domain: none, root: Node::Leaf },
                ctx,
            },
        }
    }

    pub fn tensor(&mut self, name: &str, dtype: DType, role: Role, extent: &[Index]) -> TensorId {
        self.tensor_from(name, dtype, role, &vec![Index::Const(0); extent.len()], extent)
    }

    pub fn tensor_from(&mut self, name: &str, dtype: DType, role: Role, lower: &[Index], extent: &[Index]) -> TensorId {
        self.scop.tensors.push(Tensor {
            name: name.into(),
            dtype,
            lower: lower.to_vec(),
            extent: extent.to_vec(),
            role,
            memory: Memory::Global,
            span: Span::default(),
        })
    }

    /// A statement under loops of its own. `domain` is in isl's notation.
    pub fn stmt(&mut self, domain: &str, writes: &[Access], reads: &[Access], body: Body) -> StmtId {
        let stmt = self.stmt_only(domain, writes, reads, body);
        self.scop.source.push(Nest::of_stmt(stmt, &self.scop.stmts[stmt].dims.clone()));
        stmt
    }

    /// A statement that [`Program::nest`] will place.
    pub fn stmt_only(&mut self, domain: &str, writes: &[Access], reads: &[Access], body: Body) -> StmtId {
        let domain = isl::Set::read(&self.scop.ctx, domain).unwrap();
        let space = domain.space().unwrap();
        let dims = (0..space.dim(isl::Dim::Set).unwrap()).map(|at| space.dim_name(isl::Dim::Set, at)).collect();
        self.scop.stmts.push(Stmt {
            name: domain.tuple_name().unwrap(),
            dims,
            domain,
            reads: reads.to_vec(),
            writes: writes.to_vec(),
            body,
            span: Span::default(),
        })
    }

    pub fn nest(&mut self, nest: Nest) {
        self.scop.source.push(nest);
    }

    pub fn scop(self) -> Scop {
        self.scop
    }
}

pub fn looped(name: &str, body: Vec<Nest>) -> Nest {
    Nest::Loop { name: name.into(), body }
}

/// Dimension `at`.
pub fn d(at: usize) -> Index {
    Index::Dim(at)
}

/// Parameter `at`.
pub fn p(at: usize) -> Index {
    Index::Param(at)
}

pub fn c(value: i64) -> Index {
    Index::Const(value)
}

pub fn access(tensor: TensorId, index: &[Index]) -> Access {
    Access { tensor, index: index.iter().cloned().map(Subscript::Affine).collect(), span: Span::default() }
}

pub fn indirect(tensor: TensorId, index: Vec<Subscript>) -> Access {
    Access { tensor, index, span: Span::default() }
}

pub fn load(k: usize) -> Expr {
    Expr::Load(k)
}

pub fn f32c(value: f64) -> Expr {
    Expr::Const(crate::Value::Float(value), DType::F32)
}

pub fn bin(op: BinOp, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

pub fn assign(value: Expr) -> Body {
    Body::Assign(vec![value])
}

pub fn reduce(monoid: Monoid, term: Expr) -> Body {
    Body::Reduce { monoid, terms: vec![term] }
}

/// `C(m,n) +=! A(m,k) * B(k,n)`, initialisation and update each under loops of their own.
pub fn matmul(dtype: DType) -> Scop {
    let mut f = Program::new(&["M", "N", "K"]);
    let a = f.tensor("A", dtype, Role::Input, &[p(0), p(2)]);
    let b = f.tensor("B", dtype, Role::Input, &[p(2), p(1)]);
    let out = f.tensor("C", dtype, Role::Output, &[p(0), p(1)]);
    let zero = Expr::Const(if dtype.is_float() { crate::Value::Float(0.0) } else { crate::Value::Int(0) }, dtype);
    f.stmt(
        "[M, N, K] -> { C.init[m, n] : 0 <= m < M and 0 <= n < N }",
        &[access(out, &[d(0), d(1)])],
        &[],
        assign(zero),
    );
    f.stmt(
        "[M, N, K] -> { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }",
        &[access(out, &[d(0), d(1)])],
        &[access(a, &[d(0), d(2)]), access(b, &[d(2), d(1)])],
        reduce(Monoid::sum(dtype), bin(BinOp::Mul, load(0), load(1))),
    );
    f.scop()
}

/// Deterministic numbers in `low..high` (SplitMix64, Steele and others 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn float(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A `float32` tensor.
    pub fn tensor(&mut self, shape: &[i64], low: f64, high: f64) -> Data {
        let n: i64 = shape.iter().product();
        let values: Vec<f64> = (0..n).map(|_| self.float(low, high)).collect();
        Data::from_f64s(DType::F32, shape, &values)
    }
}

pub fn tensors(all: &[(&str, Data)]) -> Tensors {
    all.iter().map(|(name, data)| (name.to_string(), data.clone())).collect()
}

pub fn floats(shape: &[i64], values: &[f64]) -> Data {
    Data::from_f64s(DType::F32, shape, values)
}

pub fn ints(dtype: DType, shape: &[i64], values: &[i64]) -> Data {
    Data::from_i64s(dtype, shape, values)
}

/// Both evaluations; what they agree on is that the typed result passes the wide comparison.
#[track_caller]
pub fn both(scop: &Scop, sizes: &[i64], inputs: &Tensors) -> (Tensors, Wide) {
    let typed = crate::eval::run(scop, sizes, inputs, Limits::default()).unwrap();
    let wide = crate::eval::run_wide(scop, sizes, inputs, Limits::default()).unwrap();
    for (name, data) in &typed {
        wide.compare(name, data).unwrap_or_else(|mismatch| panic!("{mismatch}"));
    }
    (typed, wide)
}

/// The only result, as doubles.
#[track_caller]
pub fn result(scop: &Scop, sizes: &[i64], inputs: &[(&str, Data)]) -> Vec<f64> {
    let (typed, _) = both(scop, sizes, &tensors(inputs));
    assert_eq!(typed.len(), 1);
    typed.values().next().unwrap().to_f64s()
}

#[track_caller]
pub fn failure(scop: &Scop, sizes: &[i64], inputs: &[(&str, Data)]) -> EvalError {
    let inputs = tensors(inputs);
    let typed = crate::eval::run(scop, sizes, &inputs, Limits::default()).unwrap_err();
    let wide = crate::eval::run_wide(scop, sizes, &inputs, Limits::default()).err().unwrap();
    assert_eq!(typed, wide);
    typed
}

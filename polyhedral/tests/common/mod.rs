//! Small programs for the tests of dependences and legality.
#![allow(dead_code)]

use polyhedral::{
    Access, Body, DType, Expr, Index, Memory, Monoid, Nest, Role, ScheduleTree, Scop, Stmt, StmtId, Subscript, Tensor,
    Value, isl,
};
use support::{Entity, Span, Table};

/// Dimension `at` of a statement.
pub fn d(at: usize) -> Index {
    Index::Dim(at)
}

/// Parameter `at`.
pub fn p(at: usize) -> Index {
    Index::Param(at)
}

/// A constant.
pub fn c(value: i64) -> Index {
    Index::Const(value)
}

/// What a statement computes; the values do not matter to dependences.
pub enum Does {
    Assigns,
    Sums,
    Maxes,
}

/// A program in the making.
pub struct Program {
    ctx: isl::Ctx,
    params: Vec<String>,
    tensors: Table<polyhedral::TensorId, Tensor>,
    stmts: Table<StmtId, Stmt>,
}

impl Program {
    pub fn new(params: &[&str]) -> Program {
        let params = params.iter().map(|name| name.to_string()).collect();
        Program { ctx: isl::Ctx::new(), params, tensors: Table::new(), stmts: Table::new() }
    }

    pub fn tensor(mut self, name: &str, role: Role, extent: Vec<Index>) -> Program {
        let lower = vec![c(0); extent.len()];
        let memory = Memory::Global;
        self.tensors.push(Tensor {
            name: name.into(),
            dtype: DType::F32,
            lower,
            extent,
            role,
            memory,
            layout: None,
            streamed: false,
            span: Span::default(),
        });
        self
    }

    fn access(&self, tensor: &str, index: Vec<Index>) -> Access {
        let tensor = self.tensors.find(|known| known.name == tensor).expect("a known tensor");
        Access { tensor, index: index.into_iter().map(Subscript::Affine).collect(), span: Span::default() }
    }

    /// `domain` is the condition over the dimensions, in isl's notation.
    pub fn stmt(
        mut self,
        name: &str,
        dims: &[&str],
        domain: &str,
        does: Does,
        write: (&str, Vec<Index>),
        reads: Vec<(&str, Vec<Index>)>,
    ) -> Program {
        let text = format!("[{}] -> {{ {name}[{}] : {domain} }}", self.params.join(", "), dims.join(", "));
        let one = Expr::Const(Value::Float(1.0), DType::F32);
        let value =
            (0..reads.len()).map(Expr::Load).reduce(|a, b| Expr::Binary(polyhedral::BinOp::Mul, a.into(), b.into()));
        let terms = vec![value.unwrap_or(one)];
        let stmt = Stmt {
            name: name.into(),
            dims: dims.iter().map(|dim| dim.to_string()).collect(),
            domain: isl::Set::read(&self.ctx, &text).expect("a set"),
            reads: reads.into_iter().map(|(tensor, index)| self.access(tensor, index)).collect(),
            writes: vec![self.access(write.0, write.1)],
            body: match does {
                Does::Assigns => Body::Assign(terms),
                Does::Sums => Body::Reduce { monoid: Monoid::sum(DType::F32), terms },
                Does::Maxes => Body::Reduce { monoid: Monoid::max(DType::F32), terms },
            },
            span: Span::default(),
        };
        self.stmts.push(stmt);
        self
    }

    /// Makes subscript `at` of read `read` of the last statement indirect.
    pub fn indirect(mut self, read: usize, at: usize) -> Program {
        let last = StmtId::new(self.stmts.len() - 1);
        self.stmts[last].reads[read].index[at] = Subscript::Indirect(Expr::Load(0));
        self
    }

    /// Each statement under loops of its own, in order.
    pub fn in_order(self) -> Scop {
        let nests = self.stmts.iter().map(|(id, stmt)| Nest::of_stmt(id, &stmt.dims)).collect();
        self.nested(nests)
    }

    pub fn nested(self, source: Vec<Nest>) -> Scop {
        let names = self.params.join(", ");
        let positive = self.params.iter().map(|name| format!("{name} >= 1")).collect::<Vec<_>>().join(" and ");
        let context = isl::Set::read(&self.ctx, &format!("[{names}] -> {{ : {positive} }}")).expect("a set");
        let nothing = isl::UnionSet::empty(&self.ctx).expect("empty");
        let mut scop = Scop {
            name: "f".into(),
            origin: isl::UnionMap::empty(&self.ctx).expect("empty"),
            ctx: self.ctx,
            params: self.params,
            context: context.params().expect("parameters"),
            tensors: self.tensors,
            stmts: self.stmts,
            source,
            tree: ScheduleTree { domain: nothing, root: polyhedral::Node::Leaf },
        };
        scop.tree = ScheduleTree::from_source(&scop).expect("a tree");
        scop.origin = scop.domain().and_then(|domain| domain.identity()).expect("identity");
        scop
    }
}

/// `C(m, n) +=! A(m, k) * B(k, n)`
pub fn matmul() -> Scop {
    Program::new(&["M", "N", "K"])
        .tensor("A", Role::Input, vec![p(0), p(2)])
        .tensor("B", Role::Input, vec![p(2), p(1)])
        .tensor("C", Role::Output, vec![p(0), p(1)])
        .stmt("C.init", &["m", "n"], "0 <= m < M and 0 <= n < N", Does::Assigns, ("C", vec![d(0), d(1)]), vec![])
        .stmt(
            "C.update",
            &["m", "n", "k"],
            "0 <= m < M and 0 <= n < N and 0 <= k < K",
            Does::Sums,
            ("C", vec![d(0), d(1)]),
            vec![("A", vec![d(0), d(2)]), ("B", vec![d(2), d(1)])],
        )
        .in_order()
}

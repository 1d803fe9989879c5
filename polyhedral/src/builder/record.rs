//! The program as its closures record it: no set is made and nothing is judged here.

use support::{Table, entity};

use crate::{BinOp, Builtin, CmpOp, DType, Index, Monoid, Role, TensorId, UnOp, Value};

entity!(IndexId, "x");
entity!(ConditionId, "c");
entity!(ValueId, "v");
entity!(LoopId, "loop");
entity!(GuardId, "if");
entity!(DraftId, "draft");

/// What an expression is, or why it is none; said of the statement that uses it.
pub(super) type Recorded<T> = Result<T, String>;

/// No expression has more operators, so that walks over it stay small.
pub(super) const LARGEST: u32 = 2000;
/// No expression is nested deeper, so that walks over it end on every stack.
pub(super) const DEEPEST: u32 = 200;

/// A program in the making.
#[derive(Default)]
pub(super) struct Record {
    pub name: String,
    pub params: Vec<String>,
    pub assumptions: Vec<ConditionId>,
    pub tensors: Table<TensorId, Declaration>,
    pub loops: Table<LoopId, Loop>,
    pub guards: Table<GuardId, ValueId>,
    pub drafts: Table<DraftId, Draft>,
    /// In the indices, [`Index::Dim`] counts the loops of the whole program.
    pub indices: Table<IndexId, Recorded<Index>>,
    pub conditions: Table<ConditionId, Recorded<Formula>>,
    pub values: Table<ValueId, Recorded<Typed>>,
    /// The bodies that are open, outermost first.
    pub open: Vec<Vec<Item>>,
}

/// A tensor as it is declared.
pub(super) struct Declaration {
    pub name: String,
    pub dtype: DType,
    pub role: Role,
    pub lower: Vec<IndexId>,
    pub extent: Vec<IndexId>,
}

/// A loop around a part of the program.
pub(super) struct Loop {
    pub name: String,
    /// `None` when only conditions bound it.
    pub bounds: Option<Bounds>,
    /// From the last point to the first.
    pub down: bool,
}

/// `from <= i < to`, every `step`-th: counted from the end where the loop starts.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub from: IndexId,
    pub to: IndexId,
    pub step: i64,
}

/// A part of the program.
pub(super) enum Item {
    Loop(LoopId, Vec<Item>),
    When(ConditionId, Vec<Item>),
    Guard(GuardId, Vec<Item>),
    Statement(DraftId),
}

/// A statement as it is written.
pub(super) struct Draft {
    pub name: Option<String>,
    pub targets: Vec<ValueId>,
    pub values: Vec<ValueId>,
    /// `None` for an assignment.
    pub monoid: Option<Monoid>,
}

/// A condition on loop indices and parameters.
#[derive(Clone, Debug)]
pub(super) enum Formula {
    Compare(CmpOp, Index, Index),
    And(Box<Formula>, Box<Formula>),
    Or(Box<Formula>, Box<Formula>),
    Not(Box<Formula>),
}

impl Formula {
    /// How many comparisons there are.
    pub fn size(&self) -> u32 {
        match self {
            Formula::Compare(..) => 1,
            Formula::And(a, b) | Formula::Or(a, b) => a.size().saturating_add(b.size()),
            Formula::Not(a) => a.size().saturating_add(1),
        }
    }

    pub fn depth(&self) -> u32 {
        match self {
            Formula::Compare(..) => 1,
            Formula::And(a, b) | Formula::Or(a, b) => a.depth().max(b.depth()) + 1,
            Formula::Not(a) => a.depth() + 1,
        }
    }
}

/// A value with its type; `None` when literals alone make it up, which take the type that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub node: Node,
    pub dtype: Option<DType>,
    pub size: u32,
    pub depth: u32,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    Constant(Value, DType),
    Index(IndexId),
    Truth(ConditionId),
    Load(TensorId, Vec<Subscript>),
    Unary(UnOp, ValueId),
    Binary(BinOp, ValueId, ValueId),
    Compare(CmpOp, ValueId, ValueId),
    Select(ValueId, ValueId, ValueId),
    Cast(DType, ValueId),
    Call(Builtin, Vec<ValueId>),
}

/// One subscript of an element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subscript {
    Affine(IndexId),
    Indirect(ValueId),
}

impl Node {
    /// The values below.
    pub fn children(&self) -> Vec<ValueId> {
        match self {
            Node::Literal(_) | Node::Constant(..) | Node::Index(_) | Node::Truth(_) => Vec::new(),
            Node::Load(_, subscripts) => subscripts
                .iter()
                .filter_map(|subscript| match subscript {
                    Subscript::Affine(_) => None,
                    Subscript::Indirect(value) => Some(*value),
                })
                .collect(),
            Node::Unary(_, a) | Node::Cast(_, a) => vec![*a],
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => vec![*a, *b],
            Node::Select(c, a, b) => vec![*c, *a, *b],
            Node::Call(_, arguments) => arguments.clone(),
        }
    }
}

impl Record {
    /// Adds a value, with the type that its operands give it.
    pub fn push_value(&mut self, node: Recorded<Node>) -> ValueId {
        let typed = node.and_then(|node| self.typed(node));
        self.values.push(typed)
    }

    /// Adds a guard, whose condition must be a bool.
    pub fn push_guard(&mut self, condition: ValueId) -> GuardId {
        let bool = match (&self.values[condition], self.dtype(condition)) {
            (Err(_), _) | (_, Some(DType::Bool)) => condition,
            (_, Some(dtype)) => self.push_value(Err(format!("a guard of {dtype}: it must be a bool"))),
            (_, None) => self.push_value(Err("a guard of a number: it must be a bool".into())),
        };
        self.guards.push(bool)
    }

    /// The type of a value; `None` for literals and for what is none.
    pub fn dtype(&self, value: ValueId) -> Option<DType> {
        self.values[value].as_ref().ok().and_then(|typed| typed.dtype)
    }

    fn typed(&self, node: Node) -> Recorded<Typed> {
        let (mut size, mut depth) = (1u32, 0u32);
        for child in node.children() {
            let child = self.values[child].as_ref().map_err(String::clone)?;
            (size, depth) = (size.saturating_add(child.size), depth.max(child.depth));
        }
        if size > LARGEST || depth >= DEEPEST {
            return Err(format!("an expression of more than {LARGEST} operators, or nested deeper than {DEEPEST}"));
        }
        let dtype = self.type_of(&node)?;
        Ok(Typed { node, dtype, size, depth: depth + 1 })
    }

    fn type_of(&self, node: &Node) -> Recorded<Option<DType>> {
        let of = |value: &ValueId| self.dtype(*value);
        match node {
            Node::Literal(_) => Ok(None),
            Node::Constant(_, dtype) | Node::Cast(dtype, _) => Ok(Some(*dtype)),
            Node::Index(_) => Ok(Some(DType::I64)),
            Node::Truth(_) => Ok(Some(DType::Bool)),
            Node::Load(tensor, _) => Ok(Some(self.tensors[*tensor].dtype)),
            Node::Unary(UnOp::Neg, a) => match of(a) {
                Some(DType::Bool) => Err("a negated bool".into()),
                dtype => Ok(dtype),
            },
            Node::Unary(UnOp::Not, a) => only_bool("!", [of(a)]),
            Node::Binary(BinOp::And, a, b) => only_bool("&", [of(a), of(b)]),
            Node::Binary(BinOp::Or, a, b) => only_bool("|", [of(a), of(b)]),
            Node::Binary(op, a, b) => match common(sign(*op), [of(a), of(b)])? {
                Some(DType::Bool) => Err(format!("`{}` of two bools", sign(*op))),
                dtype => Ok(dtype),
            },
            Node::Compare(op, a, b) => common(comparison(*op), [of(a), of(b)]).map(|_| Some(DType::Bool)),
            Node::Select(c, a, b) => {
                only_bool("select", [of(c)])?;
                common("select", [of(a), of(b)])
            }
            Node::Call(builtin, arguments) => call_type(*builtin, arguments.iter().map(of)),
        }
    }
}

fn call_type(builtin: Builtin, arguments: impl ExactSizeIterator<Item = Option<DType>>) -> Recorded<Option<DType>> {
    if arguments.len() != builtin.arity() {
        return Err(format!("`{}` of {} arguments takes {}", builtin.name(), arguments.len(), builtin.arity()));
    }
    match common(builtin.name(), arguments)? {
        Some(dtype) if !dtype.is_float() => {
            Err(format!("`{}` of {dtype}: it is on floating-point types", builtin.name()))
        }
        dtype => Ok(dtype),
    }
}

/// The one type of the operands, literals aside.
fn common(what: &str, operands: impl IntoIterator<Item = Option<DType>>) -> Recorded<Option<DType>> {
    let mut known = None;
    for dtype in operands.into_iter().flatten() {
        match known {
            Some(other) if other != dtype => {
                return Err(format!("`{what}` of {other} and {dtype}: one of them must be cast"));
            }
            _ => known = Some(dtype),
        }
    }
    Ok(known)
}

fn only_bool<const N: usize>(what: &str, operands: [Option<DType>; N]) -> Recorded<Option<DType>> {
    match operands.into_iter().flatten().find(|dtype| *dtype != DType::Bool) {
        Some(dtype) => Err(format!("`{what}` of {dtype}: it is on bool")),
        None => Ok(Some(DType::Bool)),
    }
}

/// How an operator is written.
pub(super) fn sign(op: BinOp) -> &'static str {
    match op {
        BinOp::Add => "+",
        BinOp::Sub => "-",
        BinOp::Mul => "*",
        BinOp::Div => "/",
        BinOp::Mod => "%",
        BinOp::Min => "min",
        BinOp::Max => "max",
        BinOp::BitAnd => "bitand",
        BinOp::BitOr => "bitor",
        BinOp::BitXor => "bitxor",
        BinOp::Shl => "shl",
        BinOp::Shr => "shr",
        BinOp::And => "&",
        BinOp::Or => "|",
    }
}

/// How a comparison is written.
pub(super) fn comparison(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Lt => "<",
        CmpOp::Le => "<=",
        CmpOp::Gt => ">",
        CmpOp::Ge => ">=",
        CmpOp::Eq => "==",
        CmpOp::Ne => "!=",
    }
}

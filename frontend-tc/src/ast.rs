//! The syntax tree of a file.
//!
//! ```text
//! file      = (import | constant | def)*
//! import    = "import" text
//! constant  = "let" name "=" expr
//! def       = "def" name "(" [param {"," param}] ")" "->" "(" [param {"," param}] ")" "{" item* "}"
//! param     = type name | name                               a bare name is a return
//! type      = scalar ["(" [expr {"," expr}] ")"]
//! item      = statement | loop | call
//! loop      = "for" name "in" expr ":" expr "{" item* "}"
//! call      = "(" name {"," name} ")" "=" name "(" [name {"," name}] ")" | name "=" name "(" [name {"," name}] ")"
//! statement = name ["(" [exprs] ")"] assign expr ["<=>" name "(" [exprs] ")"] ["where" clause {"," clause}]
//! assign    = "=" | ("+" | "*" | "min" | "max" | "argmin" | "argmax" | "&&" | "||" | "&" | "|" | "^") "=" ["!"]
//! clause    = name "in" expr ":" expr | name "=" expr | "exists" expr
//! expr      = number | "true" | "false" | name | name "(" [exprs] ")" | scalar "(" expr ")" | "(" expr ")"
//!           | "min" "(" expr "," expr ")" | "max" "(" expr "," expr ")"
//!           | ("-" | "!" | "~") expr | expr binary expr | expr "?" expr ":" expr
//! ```
//! Binary operators from loose to tight: `||`, `&&`, `< > <= >= == !=`, `|`, `^`, `&`, `<< >>`, `+ -`, `* / %`. Unlike in C
//! a comparison is looser than the bitwise operators, so that `a & 1 == 0` asks for the last bit.

use std::collections::BTreeSet;
use std::fmt;

use support::Span;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// What other files are read for, in order.
    pub imports: Vec<Import>,
    /// The constants of the file, in order.
    pub constants: Vec<Constant>,
    /// The definitions, in order.
    pub defs: Vec<Def>,
}

/// `import "other.tc"`: the definitions and constants of that file are known in this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// What stands between the quotes.
    pub path: String,
    /// The quoted text.
    pub span: Span,
}

/// `let name = value` between definitions: the name stands for the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The name.
    pub name: Name,
    /// What it stands for.
    pub value: Expr,
}

/// A word of the program and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A function from tensors to tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Def {
    /// What it is called.
    pub name: Name,
    /// The inputs, in the order of the call.
    pub inputs: Vec<Param>,
    /// The tensors that are returned.
    pub outputs: Vec<Param>,
    /// Statements, loops and calls, in order.
    pub body: Vec<Item>,
    /// The words inside whatever could not be parsed. Nothing is said about them later.
    pub broken: BTreeSet<String>,
    /// From `def` to the closing brace.
    pub span: Span,
}

/// An input or a return.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Element type and shape. Every input has one.
    pub ty: Option<Type>,
    /// What it is called.
    pub name: Name,
}

/// Element type and shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// The type of an element.
    pub scalar: ScalarType,
    /// The sizes; none for a scalar.
    pub dims: Vec<Dim>,
    /// Its place.
    pub span: Span,
}

/// The size of one dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum Dim {
    /// A size parameter.
    Size(Name),
    /// A fixed size.
    Constant(i64, Span),
    /// A size that is computed from others: `2 * K + 1`.
    Computed(Expr),
}

/// A part of the body of a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An assignment over all values of its indices.
    Statement(Box<Statement>),
    /// A sequential loop.
    For(Box<For>),
    /// A call of another definition.
    Call(Box<Call>),
    /// What is left of a call where the statements of the definition that was called follow.
    Bound(Box<Bound>),
}

/// `for t in lower:upper { … }`: the statements inside run for one value of the index after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct For {
    /// The index.
    pub index: Name,
    /// Its first value.
    pub lower: Expr,
    /// One past its last value.
    pub upper: Expr,
    /// What runs in each iteration, in order.
    pub body: Vec<Item>,
    /// From `for` to the closing brace.
    pub span: Span,
}

/// `(a, b) = f(x, y)`: the statements of another definition, with these tensors for its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What the returns are called here.
    pub targets: Vec<Name>,
    /// The definition.
    pub def: Name,
    /// The tensors that it gets.
    pub arguments: Vec<Expr>,
    /// The whole call.
    pub span: Span,
}

/// What a definition says of an argument, when it is called: its type, whose size names may be new ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The tensor of the caller.
    pub tensor: Name,
    /// What the definition that is called says of it.
    pub ty: Type,
    /// Whether it is a tensor that the definition writes.
    pub written: bool,
}

impl Def {
    /// The statements, in order, those in loops too.
    pub fn statements(&self) -> Vec<&Statement> {
        fn collect<'a>(items: &'a [Item], all: &mut Vec<&'a Statement>) {
            for item in items {
                match item {
                    Item::Statement(statement) => all.push(statement),
                    Item::For(nest) => collect(&nest.body, all),
                    Item::Call(_) | Item::Bound(_) => (),
                }
            }
        }
        let mut all = Vec::new();
        collect(&self.body, &mut all);
        all
    }
}

/// The type of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ScalarType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Float16,
    Bfloat16,
    Float,
    Double,
}

impl ScalarType {
    /// Every type with its spelling.
    pub const ALL: [(&'static str, ScalarType); 13] = [
        ("bool", ScalarType::Bool),
        ("int8", ScalarType::Int8),
        ("int16", ScalarType::Int16),
        ("int32", ScalarType::Int32),
        ("int64", ScalarType::Int64),
        ("uint8", ScalarType::Uint8),
        ("uint16", ScalarType::Uint16),
        ("uint32", ScalarType::Uint32),
        ("uint64", ScalarType::Uint64),
        ("float16", ScalarType::Float16),
        ("bfloat16", ScalarType::Bfloat16),
        ("float", ScalarType::Float),
        ("double", ScalarType::Double),
    ];

    /// The type that `word` spells, if it is one. `float32` and `float64` are other spellings of `float` and `double`.
    pub fn from_name(word: &str) -> Option<ScalarType> {
        match word {
            "float32" => Some(ScalarType::Float),
            "float64" => Some(ScalarType::Double),
            _ => ScalarType::ALL.iter().find(|(name, _)| *name == word).map(|(_, scalar)| *scalar),
        }
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = ScalarType::ALL.iter().find(|(_, scalar)| scalar == self).expect("every type is in the list");
        f.write_str(name)
    }
}

/// One assignment over all values of its indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The tensor that is written.
    pub target: Name,
    /// The subscripts of the left-hand side.
    pub subscripts: Vec<Expr>,
    /// How the value goes into the element.
    pub assign: Assign,
    /// The value.
    pub value: Expr,
    /// `<=> f(…)`: the library call that the statement equals. Parsed, and not used.
    pub equivalent: Option<(Name, Vec<Expr>)>,
    /// What follows `where`.
    pub clauses: Vec<Clause>,
    /// The whole statement.
    pub span: Span,
}

/// The assignment operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assign {
    /// The operator of a reduction; none for `=`.
    pub reduction: Option<Reduction>,
    /// Whether the element is first set to the operator's identity (`!`).
    pub init: bool,
}

impl fmt::Display for Assign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self.reduction {
            None => "",
            Some(Reduction::Sum) => "+",
            Some(Reduction::Product) => "*",
            Some(Reduction::Min) => "min",
            Some(Reduction::Max) => "max",
            Some(Reduction::ArgMin) => "argmin",
            Some(Reduction::ArgMax) => "argmax",
            Some(Reduction::All) => "&&",
            Some(Reduction::Any) => "||",
            Some(Reduction::BitAnd) => "&",
            Some(Reduction::BitOr) => "|",
            Some(Reduction::BitXor) => "^",
        };
        write!(f, "{operator}={}", if self.init { "!" } else { "" })
    }
}

/// The operator of a reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// `+=`
    Sum,
    /// `*=`
    Product,
    /// `min=`
    Min,
    /// `max=`
    Max,
    /// `argmin=`
    ArgMin,
    /// `argmax=`
    ArgMax,
    /// `&&=`
    All,
    /// `||=`
    Any,
    /// `&=`
    BitAnd,
    /// `|=`
    BitOr,
    /// `^=`
    BitXor,
}

/// A part of `where`.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    /// `index in lower:upper`, the upper bound not included.
    Range {
        /// The index.
        index: Name,
        /// First value.
        lower: Expr,
        /// One past the last value.
        upper: Expr,
    },
    /// `name = value`: the name stands for the expression.
    Let {
        /// The name.
        name: Name,
        /// What it stands for.
        value: Expr,
    },
    /// `exists expr`: the reads of the expression bound the indices, and its value is not used.
    Exists(Expr),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
    /// The longest way down to a leaf: bounded, so that recursion over an expression is.
    pub depth: u32,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
    /// An index, a size, a scalar tensor or a name of `where`.
    Name(String),
    /// A read of a tensor or a call of a built-in function.
    Call(Name, Vec<Expr>),
    /// `int32(e)`
    Cast(ScalarType, Box<Expr>),
    /// `-e`, `!e`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`, `min(a, b)`
    Binary(BinaryOp, Box<(Expr, Expr)>),
    /// `c ? a : b`
    Select(Box<(Expr, Expr, Expr)>),
}

impl Expr {
    /// An expression with the depth that its children give it.
    pub fn new(kind: ExprKind, span: Span) -> Expr {
        let mut expr = Expr { kind, span, depth: 1 };
        expr.depth = 1 + expr.children().iter().map(|child| child.depth).max().unwrap_or(0);
        expr
    }

    /// The operands, from left to right.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Name(_) => Vec::new(),
            ExprKind::Call(_, arguments) => arguments.iter().collect(),
            ExprKind::Cast(_, operand) | ExprKind::Unary(_, operand) => vec![operand],
            ExprKind::Binary(_, operands) => vec![&operands.0, &operands.1],
            ExprKind::Select(operands) => vec![&operands.0, &operands.1, &operands.2],
        }
    }
}

/// A number as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// The text: a floating number is rounded only when its type is known.
    pub text: String,
    /// The value of a whole number; `None` for a floating one.
    pub whole: Option<u64>,
}

/// A prefix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    Complement,
}

impl UnaryOp {
    /// The spelling.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
            UnaryOp::Complement => "~",
        }
    }
}

/// An operator of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Min,
    Max,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
    BitAnd,
    BitOr,
    BitXor,
    Shl,
    Shr,
}

impl BinaryOp {
    /// The spelling.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::Min => "min",
            BinaryOp::Max => "max",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::And => "&&",
            BinaryOp::Or => "||",
            BinaryOp::BitAnd => "&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
        }
    }

    /// How tightly it binds; `None` for what is written as a call.
    pub fn precedence(self) -> Option<u8> {
        match self {
            BinaryOp::Or => Some(1),
            BinaryOp::And => Some(2),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Eq | BinaryOp::Ne => Some(3),
            BinaryOp::BitOr => Some(4),
            BinaryOp::BitXor => Some(5),
            BinaryOp::BitAnd => Some(6),
            BinaryOp::Shl | BinaryOp::Shr => Some(7),
            BinaryOp::Add | BinaryOp::Sub => Some(8),
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => Some(9),
            BinaryOp::Min | BinaryOp::Max => None,
        }
    }

    /// Whether it works on the bits of whole numbers.
    pub fn is_bitwise(self) -> bool {
        matches!(self, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr)
    }

    /// Whether the result is `bool` whatever the operands are.
    pub fn is_comparison(self) -> bool {
        self.precedence() == Some(3)
    }
}

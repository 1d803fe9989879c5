//! Programs as text.
//!
//! ```text
//! program mm(N)
//!   input A: float32[64, 64] argument 0
//!   output C: float32[64, 64] argument 1
//! parallel for mo in 0..6 {
//!   C[12*mo, 0 .. +16] = A[12*mo, 0] * B[0, 0 .. +16]
//! }
//! ```
//!
//! `with stack T { … }` is where a buffer of the stack has its memory, `with new T { … }` where one of the workspace has nothing in
//! it at first and is not asked for what is left.
//!
//! `launch K block bx < 4 thread tx < 32 shared T { … }` runs its body for each thread `tx` of each block `bx`.
//!
//! `r0, r1 = block A[i, j] along dimension 1` is `r0 = A[i, j]` and `r1 = A[i, j + 1]`;
//! `block A[i, j] along dimension 1 = r0, r1` stores them there.
//!
//! `e .. +16` stands for the lanes from `e` on, `e .. +16 by 2` for every second one; `lane` counts from 0.
//! `reduce(+, A[0 .. +64])` is the sum of 64 lanes, `reduce x16(+, A[0 .. +64])` are the sums of 16 groups of 4.

use std::fmt::{self, Display, Formatter};

use polyhedral::{BinOp, CmpOp, DType, Role, UnOp};

use crate::{At, Buffer, Combining, Cond, Int, Launch, Op, Place, Program, Stride, Value, VarId};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "program {}(", self.name)?;
        separated(f, ", ", &self.params, |f, name| f.write_str(name))?;
        f.write_str(")\n")?;
        for buffer in self.buffers.values() {
            self.buffer(f, buffer)?;
        }
        self.ops(f, &self.body, 0)
    }
}

/// How tightly an expression holds together, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tightness {
    Choice,
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Atom,
}

/// Writes `inner`, in parentheses when it holds together less tightly than its place demands.
fn at_least(
    f: &mut Formatter<'_>,
    place: Tightness,
    own: Tightness,
    inner: impl FnOnce(&mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    if own >= place {
        return inner(f);
    }
    f.write_str("(")?;
    inner(f)?;
    f.write_str(")")
}

fn separated<T>(
    f: &mut Formatter<'_>,
    separator: &str,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (at, one) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        item(f, one)?;
    }
    Ok(())
}

fn comparison(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Lt => "<",
        CmpOp::Le => "<=",
        CmpOp::Gt => ">",
        CmpOp::Ge => ">=",
        CmpOp::Eq => "==",
        CmpOp::Ne => "!=",
    }
}

impl Program {
    fn buffer(&self, f: &mut Formatter<'_>, buffer: &Buffer) -> fmt::Result {
        let role = match buffer.role {
            Role::Input => "input",
            Role::Output => "output",
            Role::InOut => "inout",
            Role::Temporary => "temporary",
        };
        write!(f, "  {role} {}: {}[", buffer.name, buffer.dtype)?;
        separated(f, ", ", &buffer.extent, |f, n| self.int(f, n, Tightness::Sum))?;
        f.write_str("]")?;
        match &buffer.place {
            Place::Argument(at) => write!(f, " argument {at}")?,
            Place::Workspace(offset) => {
                f.write_str(" workspace ")?;
                self.int(f, offset, Tightness::Sum)?;
            }
            Place::Stack => f.write_str(" stack")?,
            Place::Shared => f.write_str(" shared")?,
        }
        if buffer.strides.contains(&Stride::Runtime) {
            f.write_str(" strided")?;
        }
        if buffer.streamed {
            f.write_str(" streamed")?;
        }
        f.write_str("\n")
    }

    /// An integer as the text has it.
    pub fn int_text(&self, int: &Int) -> String {
        struct Shown<'a>(&'a Program, &'a Int);
        impl Display for Shown<'_> {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                self.0.int(f, self.1, Tightness::Sum)
            }
        }
        Shown(self, int).to_string()
    }

    fn ops(&self, f: &mut Formatter<'_>, ops: &[Op], depth: usize) -> fmt::Result {
        ops.iter().try_for_each(|op| self.op(f, op, depth))
    }

    fn op(&self, f: &mut Formatter<'_>, op: &Op, depth: usize) -> fmt::Result {
        write!(f, "{:1$}", "", 2 * depth)?;
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                self.repeated(f, (*var, *parallel), [lower, upper, step], body, depth)
            }
            Op::If { cond, then, otherwise } => self.branch(f, cond, [then, otherwise], depth),
            Op::Store { buffer, at, lanes, value, mask } => {
                self.element(f, *buffer, at, *lanes)?;
                f.write_str(" = ")?;
                self.value(f, value, *lanes, Tightness::Choice)?;
                self.mask(f, mask.as_ref(), *lanes)?;
                f.write_str("\n")
            }
            Op::Set { reg, value } => {
                let lanes = self.regs[*reg].lanes;
                write!(f, "{reg}: {}{} = ", self.regs[*reg].dtype, Lanes(lanes))?;
                self.value(f, value, lanes, Tightness::Choice)?;
                f.write_str("\n")
            }
            Op::Check { buffer, dim, extent: _, value, lanes, mask, report: _ } => {
                write!(f, "check ")?;
                self.value(f, value, *lanes, Tightness::Choice)?;
                write!(f, " in {} dimension {dim}", self.buffers[*buffer].name)?;
                self.mask(f, mask.as_ref(), *lanes)?;
                f.write_str("\n")
            }
            Op::Local { buffer, body } => {
                let is_new = matches!(self.buffers[*buffer].place, Place::Workspace(_));
                let how = if is_new { "new" } else { "stack" };
                write!(f, "with {how} {}", self.buffers[*buffer].name)?;
                self.block(f, body, depth)
            }
            Op::Prefetch { buffer, at, lanes } => {
                f.write_str("prefetch ")?;
                self.element(f, *buffer, at, *lanes)?;
                f.write_str("\n")
            }
            Op::LoadBlock { regs, buffer, at, along } => {
                let row = regs.first().map(|first| &self.regs[*first]);
                let (dtype, lanes) = row.map_or((self.buffers[*buffer].dtype, 1), |row| (row.dtype, row.lanes));
                separated(f, ", ", regs, |f, reg| write!(f, "{reg}"))?;
                write!(f, ": {dtype}{} = block ", Lanes(lanes))?;
                self.element(f, *buffer, at, lanes)?;
                writeln!(f, " along dimension {along}")
            }
            Op::StoreBlock { regs, buffer, at, along } => {
                let lanes = regs.first().map_or(1, |first| self.regs[*first].lanes);
                f.write_str("block ")?;
                self.element(f, *buffer, at, lanes)?;
                write!(f, " along dimension {along} = ")?;
                separated(f, ", ", regs, |f, reg| write!(f, "{reg}"))?;
                f.write_str("\n")
            }
            Op::Launch(launch) => self.launch(f, launch, depth),
            Op::Barrier => f.write_str("barrier\n"),
            Op::Copy { to, to_at, from, from_at, lanes } => {
                f.write_str("copy ")?;
                self.element(f, *to, to_at, *lanes)?;
                f.write_str(" = ")?;
                self.element(f, *from, from_at, *lanes)?;
                f.write_str("\n")
            }
            Op::Wait => f.write_str("wait\n"),
            Op::Atomic { buffer, at, op, reg } => {
                f.write_str("atomic ")?;
                self.element(f, *buffer, at, 1)?;
                writeln!(f, " by {} {reg}", reduction(*op))
            }
            Op::Combine { regs, by, threads } => {
                f.write_str("combine ")?;
                separated(f, ", ", regs, |f, reg| write!(f, "{reg}"))?;
                match by {
                    Combining::Operator(op) => write!(f, " by {}", reduction(*op))?,
                    Combining::Values { others, values } => {
                        f.write_str(" with ")?;
                        separated(f, ", ", others, |f, reg| write!(f, "{reg}"))?;
                        f.write_str(" by ")?;
                        separated(f, ", ", values, |f, value| self.value(f, value, 1, Tightness::Choice))?;
                    }
                }
                f.write_str(" over ")?;
                separated(f, ", ", threads, |f, var| f.write_str(&self.vars[*var].name))?;
                f.write_str("\n")
            }
        }
    }

    fn repeated(
        &self,
        f: &mut Formatter<'_>,
        (var, parallel): (VarId, bool),
        [lower, upper, step]: [&Int; 3],
        body: &[Op],
        depth: usize,
    ) -> fmt::Result {
        write!(f, "{}for {} in ", if parallel { "parallel " } else { "" }, self.vars[var].name)?;
        self.int(f, lower, Tightness::Sum)?;
        f.write_str("..")?;
        self.int(f, upper, Tightness::Sum)?;
        if *step != Int::Const(1) {
            f.write_str(" step ")?;
            self.int(f, step, Tightness::Sum)?;
        }
        self.block(f, body, depth)
    }

    fn branch(&self, f: &mut Formatter<'_>, cond: &Cond, [then, otherwise]: [&[Op]; 2], depth: usize) -> fmt::Result {
        f.write_str("if ")?;
        self.cond(f, cond, Tightness::Choice)?;
        f.write_str(" {\n")?;
        self.ops(f, then, depth + 1)?;
        if !otherwise.is_empty() {
            writeln!(f, "{:1$}}} else {{", "", 2 * depth)?;
            self.ops(f, otherwise, depth + 1)?;
        }
        writeln!(f, "{:1$}}}", "", 2 * depth)
    }

    fn launch(&self, f: &mut Formatter<'_>, launch: &Launch, depth: usize) -> fmt::Result {
        write!(f, "launch {}", launch.name)?;
        for (var, blocks) in &launch.grid {
            write!(f, " block {} < ", self.vars[*var].name)?;
            self.int(f, blocks, Tightness::Sum)?;
        }
        for (var, threads) in &launch.block {
            write!(f, " thread {} < {threads}", self.vars[*var].name)?;
        }
        if !launch.shared.is_empty() {
            f.write_str(" shared ")?;
            separated(f, ", ", &launch.shared, |f, buffer| f.write_str(&self.buffers[*buffer].name))?;
        }
        self.block(f, &launch.body, depth)
    }

    fn block(&self, f: &mut Formatter<'_>, body: &[Op], depth: usize) -> fmt::Result {
        f.write_str(" {\n")?;
        self.ops(f, body, depth + 1)?;
        writeln!(f, "{:1$}}}", "", 2 * depth)
    }

    fn mask(&self, f: &mut Formatter<'_>, mask: Option<&Value>, lanes: u32) -> fmt::Result {
        match mask {
            Some(mask) => {
                f.write_str(" where ")?;
                self.value(f, mask, lanes, Tightness::Choice)
            }
            None => Ok(()),
        }
    }

    fn element(&self, f: &mut Formatter<'_>, buffer: polyhedral::TensorId, at: &[At], lanes: u32) -> fmt::Result {
        write!(f, "{}[", self.buffers[buffer].name)?;
        separated(f, ", ", at, |f, at| match at {
            At::Affine { base, step } => {
                self.int(f, base, Tightness::Sum)?;
                match step {
                    0 => Ok(()),
                    1 => write!(f, " .. +{lanes}"),
                    _ => write!(f, " .. +{lanes} by {step}"),
                }
            }
            At::Indirect(value) => {
                f.write_str("@")?;
                self.value(f, value, lanes, Tightness::Atom)
            }
        })?;
        f.write_str("]")
    }

    fn value(&self, f: &mut Formatter<'_>, value: &Value, lanes: u32, place: Tightness) -> fmt::Result {
        let binary = |f: &mut Formatter<'_>, op: &str, a: &Value, b: &Value, own: Tightness| {
            at_least(f, place, own, |f| {
                self.value(f, a, lanes, own)?;
                write!(f, " {op} ")?;
                // Operators of one tightness group to the left.
                self.value(f, b, lanes, next(own))
            })
        };
        match value {
            Value::Const(value, dtype) => constant(f, *value, *dtype),
            Value::Int { base, step: 0 } => self.int(f, base, place),
            Value::Int { base, step } => {
                let own = if *base == Int::Const(0) { Tightness::Product } else { Tightness::Sum };
                at_least(f, place, own, |f| {
                    if own == Tightness::Sum {
                        self.int(f, base, Tightness::Sum)?;
                        f.write_str(" + ")?;
                    }
                    if *step == 1 { f.write_str("lane") } else { write!(f, "{step}*lane") }
                })
            }
            Value::Load { buffer, at, mask: None } => self.element(f, *buffer, at, lanes),
            Value::Load { buffer, at, mask } => {
                f.write_str("(")?;
                self.element(f, *buffer, at, lanes)?;
                self.mask(f, mask.as_deref(), lanes)?;
                f.write_str(")")
            }
            Value::Reg(reg) => write!(f, "{reg}"),
            Value::Unary(op, e) => {
                f.write_str(match op {
                    UnOp::Neg => "-",
                    UnOp::Not => "!",
                })?;
                self.value(f, e, lanes, Tightness::Atom)
            }
            Value::Binary(op, a, b) => match op.function() {
                Some(name) => self.call(f, name, [&**a, &**b], lanes),
                None => {
                    let (symbol, own) = operator(*op);
                    binary(f, symbol, a, b, own)
                }
            },
            Value::Compare(op, a, b) => at_least(f, place, Tightness::Comparison, |f| {
                self.value(f, a, lanes, Tightness::Sum)?;
                write!(f, " {} ", comparison(*op))?;
                self.value(f, b, lanes, Tightness::Sum)
            }),
            Value::Select(c, a, b) => at_least(f, place, Tightness::Choice, |f| {
                self.value(f, c, lanes, Tightness::Or)?;
                f.write_str(" ? ")?;
                self.value(f, a, lanes, Tightness::Or)?;
                f.write_str(" : ")?;
                self.value(f, b, lanes, Tightness::Or)
            }),
            Value::Cast(dtype, e) => self.call(f, dtype.name(), [&**e], lanes),
            Value::Call(builtin, arguments) => self.call(f, builtin.name(), arguments, lanes),
            Value::MulAdd(a, b, c) => self.call(f, "muladd", [&**a, &**b, &**c], lanes),
            Value::Dot { sum, left, right } => {
                f.write_str("dot(")?;
                self.value(f, sum, lanes, Tightness::Choice)?;
                for (left, right) in left.iter().zip(right) {
                    f.write_str(", ")?;
                    self.value(f, left, lanes, Tightness::Product)?;
                    f.write_str(" * ")?;
                    self.value(f, right, lanes, Tightness::Atom)?;
                }
                f.write_str(")")
            }
            Value::Reduce { op, value, from, to } => {
                write!(f, "reduce{}({}, ", Lanes(*to), reduction(*op))?;
                self.value(f, value, *from, Tightness::Choice)?;
                f.write_str(")")
            }
        }
    }

    fn call<'v>(
        &self,
        f: &mut Formatter<'_>,
        name: &str,
        arguments: impl IntoIterator<Item = &'v Value>,
        lanes: u32,
    ) -> fmt::Result {
        write!(f, "{name}(")?;
        separated(f, ", ", arguments, |f, e| self.value(f, e, lanes, Tightness::Choice))?;
        f.write_str(")")
    }

    fn int(&self, f: &mut Formatter<'_>, int: &Int, place: Tightness) -> fmt::Result {
        let pair = |f: &mut Formatter<'_>, name: &str, a: &Int, b: &Int| {
            write!(f, "{name}(")?;
            self.int(f, a, Tightness::Sum)?;
            f.write_str(", ")?;
            self.int(f, b, Tightness::Sum)?;
            f.write_str(")")
        };
        match int {
            Int::Const(value) => write!(f, "{value}"),
            Int::Var(var) => f.write_str(&self.vars[*var].name),
            Int::Param(at) => match self.params.get(*at) {
                Some(name) => f.write_str(name),
                None => write!(f, "p{at}"),
            },
            Int::Add(a, b) => at_least(f, place, Tightness::Sum, |f| {
                self.int(f, a, Tightness::Sum)?;
                self.added(f, b)
            }),
            Int::Mul(a, b) => at_least(f, place, Tightness::Product, |f| {
                if **a == Int::Const(-1) {
                    f.write_str("-")?;
                } else {
                    self.int(f, a, Tightness::Product)?;
                    f.write_str("*")?;
                }
                self.int(f, b, Tightness::Atom)
            }),
            Int::FloorDiv(e, c) => {
                f.write_str("floor(")?;
                self.int(f, e, Tightness::Product)?;
                write!(f, "/{c})")
            }
            Int::Mod(e, c) => at_least(f, place, Tightness::Product, |f| {
                self.int(f, e, Tightness::Atom)?;
                write!(f, " mod {c}")
            }),
            Int::Min(a, b) => pair(f, "min", a, b),
            Int::Max(a, b) => pair(f, "max", a, b),
            Int::Select(cond, a, b) => at_least(f, place, Tightness::Choice, |f| {
                self.cond(f, cond, Tightness::Or)?;
                f.write_str(" ? ")?;
                self.int(f, a, Tightness::Sum)?;
                f.write_str(" : ")?;
                self.int(f, b, Tightness::Sum)
            }),
        }
    }

    /// `+ term`, or `- term` for a negative one.
    fn added(&self, f: &mut Formatter<'_>, term: &Int) -> fmt::Result {
        match term {
            Int::Const(c) if *c < 0 => write!(f, " - {}", c.unsigned_abs()),
            Int::Mul(c, e) if c.as_const().is_some_and(|c| c < 0) => {
                f.write_str(" - ")?;
                match c.as_const().map(i64::unsigned_abs) {
                    Some(1) | None => {}
                    Some(c) => write!(f, "{c}*")?,
                }
                self.int(f, e, Tightness::Atom)
            }
            _ => {
                f.write_str(" + ")?;
                self.int(f, term, Tightness::Product)
            }
        }
    }

    fn cond(&self, f: &mut Formatter<'_>, cond: &Cond, place: Tightness) -> fmt::Result {
        match cond {
            Cond::Compare(op, a, b) => at_least(f, place, Tightness::Comparison, |f| {
                self.int(f, a, Tightness::Sum)?;
                write!(f, " {} ", comparison(*op))?;
                self.int(f, b, Tightness::Sum)
            }),
            Cond::All(parts) if parts.is_empty() => f.write_str("true"),
            Cond::Any(parts) if parts.is_empty() => f.write_str("false"),
            Cond::All(parts) => at_least(f, place, Tightness::And, |f| {
                separated(f, " && ", parts, |f, part| self.cond(f, part, next(Tightness::And)))
            }),
            Cond::Any(parts) => at_least(f, place, Tightness::Or, |f| {
                separated(f, " || ", parts, |f, part| self.cond(f, part, next(Tightness::Or)))
            }),
            Cond::Not(inner) => {
                f.write_str("!")?;
                self.cond(f, inner, Tightness::Atom)
            }
        }
    }
}

/// ` x16`, or nothing for one lane.
struct Lanes(u32);

impl Display for Lanes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == 1 { Ok(()) } else { write!(f, " x{}", self.0) }
    }
}

fn constant(f: &mut Formatter<'_>, value: polyhedral::Value, dtype: DType) -> fmt::Result {
    match (value, dtype) {
        (polyhedral::Value::Int(value), DType::Bool) => write!(f, "{}", value != 0),
        (polyhedral::Value::Int(value), _) => write!(f, "{dtype}({value})"),
        (polyhedral::Value::Float(value), _) => write!(f, "{dtype}({value:?})"),
    }
}

fn operator(op: BinOp) -> (&'static str, Tightness) {
    match op {
        BinOp::Add => ("+", Tightness::Sum),
        BinOp::Sub => ("-", Tightness::Sum),
        BinOp::Mul => ("*", Tightness::Product),
        BinOp::Div => ("/", Tightness::Product),
        BinOp::Mod => ("%", Tightness::Product),
        BinOp::And => ("&&", Tightness::And),
        BinOp::Or => ("||", Tightness::Or),
        _ => ("", Tightness::Atom),
    }
}

/// The operator of a reduction.
fn reduction(op: BinOp) -> &'static str {
    op.function().unwrap_or_else(|| operator(op).0)
}

fn next(tightness: Tightness) -> Tightness {
    match tightness {
        Tightness::Choice => Tightness::Or,
        Tightness::Or => Tightness::And,
        Tightness::And => Tightness::Comparison,
        Tightness::Comparison => Tightness::Sum,
        Tightness::Sum => Tightness::Product,
        Tightness::Product | Tightness::Atom => Tightness::Atom,
    }
}

//! The syntax tree as text that parses to it again.

use std::fmt::{self, Display, Formatter};

use crate::ast::{Call, Clause, Constant, Def, Dim, Expr, ExprKind, File, For, Import, Item, Param, Statement, Type};

impl Display for File {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for import in &self.imports {
            writeln!(f, "{import}")?;
        }
        for constant in &self.constants {
            writeln!(f, "{constant}")?;
        }
        let mut gap = if self.imports.is_empty() && self.constants.is_empty() { "" } else { "\n" };
        for def in &self.defs {
            write!(f, "{gap}{def}")?;
            gap = "\n";
        }
        Ok(())
    }
}

impl Display for Import {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "import \"{}\"", self.path)
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "let {} = {}", self.name.text, self.value)
    }
}

impl Display for Def {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (inputs, outputs) = (joined(&self.inputs, ", "), joined(&self.outputs, ", "));
        writeln!(f, "def {}({inputs}) -> ({outputs}) {{", self.name.text)?;
        write_items(&self.body, 1, f)?;
        writeln!(f, "}}")
    }
}

fn write_items(items: &[Item], depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let indent = "  ".repeat(depth);
    for item in items {
        match item {
            Item::Statement(statement) => writeln!(f, "{indent}{statement}")?,
            Item::Call(call) => writeln!(f, "{indent}{call}")?,
            Item::Bound(_) => (),
            Item::For(nest) => {
                let For { index, lower, upper, body, .. } = &**nest;
                writeln!(f, "{indent}for {} in {lower}:{upper} {{", index.text)?;
                write_items(body, depth + 1, f)?;
                writeln!(f, "{indent}}}")?;
            }
        }
    }
    Ok(())
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let targets: Vec<&str> = self.targets.iter().map(|target| target.text.as_str()).collect();
        write!(f, "({}) = {}({})", targets.join(", "), self.def.text, joined(&self.arguments, ", "))
    }
}

impl Display for Param {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.ty {
            Some(ty) => write!(f, "{ty} {}", self.name.text),
            None => f.write_str(&self.name.text),
        }
    }
}

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.dims.is_empty() {
            true => write!(f, "{}", self.scalar),
            false => write!(f, "{}({})", self.scalar, joined(&self.dims, ", ")),
        }
    }
}

impl Display for Dim {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Size(name) => f.write_str(&name.text),
            Dim::Constant(value, _) => write!(f, "{value}"),
            Dim::Computed(value) => write!(f, "{value}"),
        }
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.target.text)?;
        if !self.subscripts.is_empty() {
            write!(f, "({})", joined(&self.subscripts, ", "))?;
        }
        write!(f, " {} {}", self.assign, self.value)?;
        if let Some((name, arguments)) = &self.equivalent {
            write!(f, " <=> {}({})", name.text, joined(arguments, ", "))?;
        }
        if !self.clauses.is_empty() {
            write!(f, " where {}", joined(&self.clauses, ", "))?;
        }
        Ok(())
    }
}

impl Display for Clause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Clause::Range { index, lower, upper } => write!(f, "{} in {lower}:{upper}", index.text),
            Clause::Let { name, value } => write!(f, "{} = {value}", name.text),
            Clause::Exists(value) => write!(f, "exists {value}"),
        }
    }
}

/// `?:` is looser than every binary operator.
const SELECT: u8 = 0;
/// The prefix operators are tighter than every binary operator.
const PREFIX: u8 = 10;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_at(self, SELECT, f)
    }
}

/// Writes `expr` where only operators at least as tight as `least` may stand without parentheses.
fn write_at(expr: &Expr, least: u8, f: &mut Formatter<'_>) -> fmt::Result {
    if precedence(expr) >= least {
        return write_bare(expr, f);
    }
    f.write_str("(")?;
    write_bare(expr, f)?;
    f.write_str(")")
}

fn precedence(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Select(_) => SELECT,
        ExprKind::Binary(op, _) => op.precedence().unwrap_or(PREFIX + 1),
        ExprKind::Unary(..) => PREFIX,
        _ => PREFIX + 1,
    }
}

fn write_bare(expr: &Expr, f: &mut Formatter<'_>) -> fmt::Result {
    match &expr.kind {
        ExprKind::Number(number) => f.write_str(&number.text),
        ExprKind::Bool(value) => write!(f, "{value}"),
        ExprKind::Name(name) => f.write_str(name),
        ExprKind::Call(name, arguments) => write!(f, "{}({})", name.text, joined(arguments, ", ")),
        ExprKind::Cast(to, value) => write!(f, "{to}({value})"),
        ExprKind::Unary(op, value) => {
            f.write_str(op.symbol())?;
            write_at(value, PREFIX, f)
        }
        ExprKind::Binary(op, operands) => match op.precedence() {
            Some(own) => {
                write_at(&operands.0, own, f)?;
                write!(f, " {} ", op.symbol())?;
                write_at(&operands.1, own + 1, f)
            }
            None => write!(f, "{}({}, {})", op.symbol(), operands.0, operands.1),
        },
        ExprKind::Select(operands) => {
            write_at(&operands.0, SELECT + 1, f)?;
            write!(f, " ? {} : {}", operands.1, operands.2)
        }
    }
}

fn joined<T: Display>(items: &[T], separator: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}

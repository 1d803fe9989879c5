//! The program written out, and where everything is in that text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use support::Span;

use super::record::{
    ConditionId, DraftId, Formula, GuardId, IndexId, Item, LoopId, Node, Record, Subscript, ValueId, comparison, sign,
};
use crate::{BinOp, CmpOp, DType, Role, TensorId, UnOp, Value};

/// Where a value is written: the same handle may be used in several places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Statement(DraftId),
    Guard(GuardId),
}

/// The text with its places.
pub(super) struct Rendering {
    pub text: String,
    tensors: BTreeMap<TensorId, Span>,
    places: BTreeMap<Place, Span>,
    elements: BTreeMap<(Place, ValueId), Span>,
}

impl Rendering {
    /// The declaration.
    pub fn tensor(&self, id: TensorId) -> Span {
        self.tensors.get(&id).copied().unwrap_or_default()
    }

    /// The statement or guard.
    pub fn place(&self, place: Place) -> Span {
        self.places.get(&place).copied().unwrap_or_default()
    }

    /// The element where it is first written there.
    pub fn element(&self, place: Place, value: ValueId) -> Span {
        self.elements.get(&(place, value)).copied().unwrap_or_default()
    }
}

/// Writes the program out.
pub(super) fn render(record: &Record, body: &[Item]) -> Rendering {
    let loops = record.loops.values().map(|own| own.name.clone()).collect();
    let out =
        Rendering { text: String::new(), tensors: BTreeMap::new(), places: BTreeMap::new(), elements: BTreeMap::new() };
    let mut printer = Printer { record, loops, out, place: None };
    printer.header();
    printer.items(body, 0);
    printer.out
}

struct Printer<'r> {
    record: &'r Record,
    /// The names of all loops, by [`LoopId`].
    loops: Vec<String>,
    out: Rendering,
    place: Option<Place>,
}

/// What binds how tightly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Unary,
}

impl Printer<'_> {
    fn push(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    /// Runs `write` and gives the span of what it wrote.
    fn spanned(&mut self, write: impl FnOnce(&mut Self)) -> Span {
        let start = self.out.text.len();
        write(self);
        Span::new(start, self.out.text.len())
    }

    fn header(&mut self) {
        let Record { name, params, assumptions, tensors, .. } = self.record;
        let _ = writeln!(self.out.text, "program {name}({})", params.join(", "));
        for &assumption in assumptions {
            self.push("assume ");
            self.condition(assumption);
            self.push("\n");
        }
        for (id, tensor) in tensors.iter() {
            let role = match tensor.role {
                Role::Input => "input",
                Role::Output => "output",
                Role::InOut => "inout",
                Role::Temporary => "temporary",
            };
            let span = self.spanned(|printer| {
                let _ = write!(printer.out.text, "{role} {}: {}[", tensor.name, tensor.dtype);
                printer.extents(&tensor.lower, &tensor.extent);
                printer.push("]");
            });
            self.out.tensors.insert(id, span);
            self.push("\n");
        }
    }

    fn extents(&mut self, lower: &[IndexId], extent: &[IndexId]) {
        for (at, &extent) in extent.iter().enumerate() {
            self.comma(at);
            self.index(extent);
            let zero = |id: &IndexId| matches!(self.record.indices[*id], Ok(crate::Index::Const(0)));
            if let Some(&lower) = lower.get(at).filter(|id| !zero(id)) {
                self.push(" from ");
                self.index(lower);
            }
        }
    }

    fn comma(&mut self, at: usize) {
        if at > 0 {
            self.push(", ");
        }
    }

    fn items(&mut self, items: &[Item], level: usize) {
        for item in items {
            let _ = write!(self.out.text, "{:1$}", "", 2 * level);
            match item {
                Item::Loop(id, body) => {
                    self.loop_line(*id);
                    self.push("\n");
                    self.items(body, level + 1);
                }
                Item::When(condition, body) => {
                    self.push("when ");
                    self.condition(*condition);
                    self.push("\n");
                    self.items(body, level + 1);
                }
                Item::Guard(guard, body) => {
                    self.push("if ");
                    let value = self.record.guards[*guard];
                    self.at_place(Place::Guard(*guard), |printer| printer.value(value, Binding::Or));
                    self.push("\n");
                    self.items(body, level + 1);
                }
                Item::Statement(draft) => {
                    self.at_place(Place::Statement(*draft), |printer| printer.statement(*draft));
                    self.push("\n");
                }
            }
        }
    }

    fn at_place(&mut self, place: Place, write: impl FnOnce(&mut Self)) {
        self.place = Some(place);
        let span = self.spanned(write);
        self.out.places.insert(place, span);
        self.place = None;
    }

    fn loop_line(&mut self, id: LoopId) {
        let own = &self.record.loops[id];
        let _ = write!(self.out.text, "for {}", own.name);
        let Some(bounds) = own.bounds else { return };
        self.push(" in ");
        self.index(bounds.from);
        self.push("..");
        self.index(bounds.to);
        if own.down {
            self.push(" down");
        }
        if bounds.step != 1 {
            let _ = write!(self.out.text, " step {}", bounds.step);
        }
    }

    fn statement(&mut self, id: DraftId) {
        let draft = &self.record.drafts[id];
        self.arguments(&draft.targets);
        let operator = draft.monoid.as_ref().map_or("", |monoid| &monoid.name);
        let _ = write!(self.out.text, " {operator}= ");
        self.arguments(&draft.values);
    }

    fn index(&mut self, id: IndexId) {
        match &self.record.indices[id] {
            Ok(index) => self.index_expr(index),
            Err(_) => self.push("?"),
        }
    }

    fn index_expr(&mut self, index: &crate::Index) {
        let _ = write!(self.out.text, "{}", index.display(&self.loops, &self.record.params));
    }

    fn condition(&mut self, id: ConditionId) {
        match &self.record.conditions[id] {
            Ok(formula) => self.formula(formula, Binding::Or),
            Err(_) => self.push("?"),
        }
    }

    fn formula(&mut self, formula: &Formula, around: Binding) {
        match formula {
            Formula::Compare(op, a, b) => self.within(Binding::Comparison, around, |printer| {
                printer.index_expr(a);
                let sign = if *op == CmpOp::Eq { "=" } else { comparison(*op) };
                let _ = write!(printer.out.text, " {sign} ");
                printer.index_expr(b);
            }),
            Formula::And(a, b) => self.within(Binding::And, around, |printer| {
                printer.formula(a, Binding::And);
                printer.push(" and ");
                printer.formula(b, Binding::And);
            }),
            Formula::Or(a, b) => self.within(Binding::Or, around, |printer| {
                printer.formula(a, Binding::Or);
                printer.push(" or ");
                printer.formula(b, Binding::Or);
            }),
            Formula::Not(a) => {
                self.push("not ");
                self.formula(a, Binding::Unary);
            }
        }
    }

    /// Parentheses where `own` binds less tightly than what is `around`.
    fn within(&mut self, own: Binding, around: Binding, write: impl FnOnce(&mut Self)) {
        if own < around {
            self.push("(");
        }
        write(self);
        if own < around {
            self.push(")");
        }
    }

    fn value(&mut self, id: ValueId, around: Binding) {
        let record = self.record;
        let Ok(typed) = &record.values[id] else { return self.push("?") };
        match &typed.node {
            Node::Literal(value) => self.literal(*value),
            Node::Constant(value, dtype) => self.constant(*value, *dtype),
            Node::Index(index) => self.function(DType::I64.name(), |printer| printer.index(*index)),
            Node::Truth(condition) => {
                self.push("[");
                self.condition(*condition);
                self.push("]");
            }
            Node::Load(tensor, subscripts) => self.element(id, *tensor, subscripts),
            Node::Unary(op, a) => {
                self.push(if *op == UnOp::Neg { "-" } else { "!" });
                self.value(*a, Binding::Unary);
            }
            Node::Binary(op, a, b) if op.function().is_some() => {
                self.function(sign(*op), |printer| printer.arguments(&[*a, *b]))
            }
            Node::Binary(op, a, b) => self.binary(sign(*op), binding(*op), (*a, *b), around),
            Node::Compare(op, a, b) => self.binary(comparison(*op), Binding::Comparison, (*a, *b), around),
            Node::Select(c, a, b) => self.function("select", |printer| printer.arguments(&[*c, *a, *b])),
            Node::Cast(dtype, a) => self.function(dtype.name(), |printer| printer.arguments(&[*a])),
            Node::Call(builtin, arguments) => self.function(builtin.name(), |printer| printer.arguments(arguments)),
        }
    }

    fn literal(&mut self, value: Value) {
        let _ = match value {
            Value::Int(value) => write!(self.out.text, "{value}"),
            Value::Float(value) => write!(self.out.text, "{value:?}"),
        };
    }

    fn constant(&mut self, value: Value, dtype: DType) {
        match (value, dtype) {
            (Value::Int(truth), DType::Bool) => self.push(if truth != 0 { "true" } else { "false" }),
            _ => self.literal(value),
        }
    }

    fn element(&mut self, id: ValueId, tensor: TensorId, subscripts: &[Subscript]) {
        let name = &self.record.tensors[tensor].name;
        let span = self.spanned(|printer| {
            let _ = write!(printer.out.text, "{name}[");
            for (at, subscript) in subscripts.iter().enumerate() {
                printer.comma(at);
                match subscript {
                    Subscript::Affine(index) => printer.index(*index),
                    Subscript::Indirect(value) => printer.value(*value, Binding::Or),
                }
            }
            printer.push("]");
        });
        if let Some(place) = self.place {
            self.out.elements.entry((place, id)).or_insert(span);
        }
    }

    fn function(&mut self, name: &str, arguments: impl FnOnce(&mut Self)) {
        let _ = write!(self.out.text, "{name}(");
        arguments(self);
        self.push(")");
    }

    fn arguments(&mut self, arguments: &[ValueId]) {
        for (at, &argument) in arguments.iter().enumerate() {
            self.comma(at);
            self.value(argument, Binding::Or);
        }
    }

    /// The right operand needs parentheses where it binds as tightly, for the operators group to the left.
    fn binary(&mut self, sign: &str, own: Binding, (a, b): (ValueId, ValueId), around: Binding) {
        self.within(own, around, |printer| {
            printer.value(a, own);
            let _ = write!(printer.out.text, " {sign} ");
            printer.value(b, tighter(own));
        });
    }
}

fn binding(op: BinOp) -> Binding {
    match op {
        BinOp::Or => Binding::Or,
        BinOp::And => Binding::And,
        BinOp::Add | BinOp::Sub => Binding::Sum,
        BinOp::Mul | BinOp::Div | BinOp::Mod => Binding::Product,
        // Written as functions.
        BinOp::Min | BinOp::Max | BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr => {
            Binding::Product
        }
    }
}

fn tighter(binding: Binding) -> Binding {
    match binding {
        Binding::Or => Binding::And,
        Binding::And => Binding::Comparison,
        Binding::Comparison => Binding::Sum,
        Binding::Sum => Binding::Product,
        Binding::Product | Binding::Unary => Binding::Unary,
    }
}

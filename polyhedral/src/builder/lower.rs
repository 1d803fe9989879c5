//! The recorded program to the middle form.

use std::collections::BTreeSet;

use support::{Entity, Span, Table};

use super::names::{Names, statement_names, tensor_of, tensors_read};
use super::print::{Place, Rendering, render};
use super::record::{ConditionId, DraftId, Formula, GuardId, IndexId, Item, LoopId, Node, Record, Recorded, ValueId};
use super::{Fault, Program, ProgramError, check, record};
use crate::{
    Access, BinOp, Body, CmpOp, DType, Expr, Index, Memory, Nest, Role, ScheduleTree, Scop, Stmt, Subscript, Tensor,
    TensorId, UnOp, Value, isl,
};

/// isl's operations for judging one program: a few seconds.
const BUDGET: u64 = 10_000_000;

/// The program, when it is well formed.
pub(super) fn lower(ctx: &isl::Ctx, record: &Record, body: &[Item]) -> Result<Program, ProgramError> {
    let rendering = render(record, body);
    let mut faults = Vec::new();
    let judged = ctx.with_budget(BUDGET, || {
        let mut lowering = Lowering::new(ctx, record, &rendering)?;
        lowering.scop.source = lowering.items(body)?;
        let Lowering { scop, faults: found, down, .. } = lowering;
        faults = found;
        if !faults.is_empty() {
            return Ok(None);
        }
        let scop = finished(scop)?;
        faults = check::faults(&scop, &down)?;
        Ok(Some(scop))
    });
    match judged {
        Ok(Some(scop)) if faults.is_empty() => return Ok(Program { scop, source: rendering.text }),
        Ok(_) => {}
        Err(error) => {
            faults.push(Fault { entity: record.name.clone(), message: error.to_string(), span: Span::default() })
        }
    }
    Err(ProgramError { program: record.name.clone(), source: rendering.text, faults })
}

fn finished(mut scop: Scop) -> isl::Result<Scop> {
    scop.tree = ScheduleTree::from_source(&scop)?;
    scop.origin = scop.domain()?.identity()?;
    Ok(scop)
}

struct Lowering<'r> {
    record: &'r Record,
    rendering: &'r Rendering,
    statements: Vec<String>,
    names: Names,
    /// The ids of the declared tensors in the Scop.
    tensors: Vec<TensorId>,
    scop: Scop,
    /// What is known of the parameters, as one piece: pieces of domains multiply in what is asked of them.
    known: isl::Set,
    faults: Vec<Fault>,
    /// For each statement, which dimensions hold the negative of their index.
    down: Vec<Vec<bool>>,
    /// What is around the place that is being lowered, outermost first.
    loops: Vec<LoopId>,
    conditions: Vec<ConditionId>,
    guards: Vec<Guard>,
}

/// A condition on data around a statement.
#[derive(Clone, Copy)]
enum Guard {
    /// Computed where it is needed: nothing inside changes it.
    Inline(GuardId),
    /// Kept in a temporary.
    Kept(GuardId, TensorId),
}

impl<'r> Lowering<'r> {
    fn new(ctx: &isl::Ctx, record: &'r Record, rendering: &'r Rendering) -> isl::Result<Lowering<'r>> {
        let (statements, names) = statement_names(record);
        let nothing = isl::UnionSet::empty(ctx)?;
        let scop = Scop {
            name: record.name.clone(),
            ctx: ctx.clone(),
            params: record.params.clone(),
            context: isl::Space::parameters(ctx, &record.params)?.universe_set()?.params()?,
            tensors: Table::new(),
            stmts: Table::new(),
            source: Vec::new(),
            tree: ScheduleTree { domain: nothing.clone(), root: crate::Node::Leaf },
            origin: nothing.identity()?,
        };
        let mut lowering = Lowering {
            record,
            rendering,
            statements,
            names,
            tensors: Vec::new(),
            known: scop.context.clone(),
            scop,
            faults: Vec::new(),
            down: Vec::new(),
            loops: Vec::new(),
            conditions: Vec::new(),
            guards: Vec::new(),
        };
        lowering.context()?;
        lowering.declarations();
        Ok(lowering)
    }

    fn fault(&mut self, entity: &str, message: String, span: Span) {
        self.faults.push(Fault { entity: entity.into(), message, span });
    }

    fn context(&mut self) -> isl::Result<()> {
        let space = self.scop.param_space()?.set_from_params()?;
        let mut set = space.universe_set()?;
        for &assumption in &self.record.assumptions {
            match self.condition(assumption) {
                Ok(formula) => set = set.intersect(&points_of(&formula, false, &space)?)?,
                Err(message) => self.fault(&self.record.name.clone(), message, Span::default()),
            }
        }
        let set = set.coalesce()?;
        self.known = set.simple_hull()?.to_set()?.params()?;
        self.scop.context = set.params()?;
        Ok(())
    }

    /// The tensors, in the order of the call.
    fn declarations(&mut self) {
        let record = self.record;
        let rank = |role: Role| match role {
            Role::Input => 0,
            Role::Output | Role::InOut => 1,
            Role::Temporary => 2,
        };
        let mut order: Vec<TensorId> = record.tensors.keys().collect();
        order.sort_by_key(|&id| rank(record.tensors[id].role));
        self.tensors = order.clone();
        for id in order {
            let declared = &record.tensors[id];
            let (name, span) = (declared.name.clone(), self.rendering.tensor(id));
            let all = |lowering: &mut Self, ids: &[IndexId]| -> Vec<Index> {
                let one = |id: &IndexId| match lowering.index(*id) {
                    Ok(index) => index,
                    Err(message) => {
                        lowering.fault(&name, message, span);
                        Index::Const(0)
                    }
                };
                ids.iter().map(one).collect()
            };
            let (lower, extent) = (all(self, &declared.lower), all(self, &declared.extent));
            let (name, dtype, role) = (declared.name.clone(), declared.dtype, declared.role);
            self.tensors[id.index()] = self.scop.tensors.push(Tensor {
                name,
                dtype,
                lower,
                extent,
                role,
                memory: Memory::Global,
                layout: None,
                streamed: false,
                span,
            });
        }
    }

    fn items(&mut self, items: &[Item]) -> isl::Result<Vec<Nest>> {
        let mut nests = Vec::new();
        for item in items {
            match item {
                Item::Loop(id, body) => {
                    self.loops.push(*id);
                    let body = self.items(body)?;
                    self.loops.pop();
                    if !body.is_empty() {
                        nests.push(Nest::Loop { name: self.record.loops[*id].name.clone(), body });
                    }
                }
                Item::When(condition, body) => {
                    self.conditions.push(*condition);
                    nests.extend(self.items(body)?);
                    self.conditions.pop();
                }
                Item::Guard(guard, body) => nests.extend(self.guarded(*guard, body)?),
                Item::Statement(draft) => nests.extend(self.statement(*draft)?),
            }
        }
        Ok(nests)
    }

    fn guarded(&mut self, id: GuardId, body: &[Item]) -> isl::Result<Vec<Nest>> {
        let mut written = BTreeSet::new();
        tensors_written(self.record, body, &mut written);
        let changes = !tensors_read(self.record, self.record.guards[id]).is_disjoint(&written);
        let mut nests = Vec::new();
        let guard = if changes {
            let (tensor, nest) = self.keep(id)?;
            nests.extend(nest);
            Guard::Kept(id, tensor)
        } else {
            Guard::Inline(id)
        };
        self.guards.push(guard);
        nests.extend(self.items(body)?);
        self.guards.pop();
        Ok(nests)
    }

    /// Stores a guard's condition in a temporary of its own.
    fn keep(&mut self, id: GuardId) -> isl::Result<(TensorId, Option<Nest>)> {
        let name = self.names.fresh("guard", |name| self.scop.tensor_named(name).is_some());
        let span = self.rendering.place(Place::Guard(id));
        let scalar = Tensor {
            name: name.clone(),
            dtype: DType::Bool,
            lower: Vec::new(),
            extent: Vec::new(),
            role: Role::Temporary,
            memory: Memory::Global,
            layout: None,
            streamed: false,
            span,
        };
        let tensor = self.scop.tensors.push(scalar);
        let computed = self.computation(Place::Guard(id)).and_then(|mut computation| {
            let value = computation.value(self.record.guards[id], Some(DType::Bool))?;
            let writes = vec![Access { tensor, index: Vec::new(), span }];
            Ok(Computed { reads: computation.reads, writes, body: Body::Assign(vec![value]) })
        });
        Ok((tensor, self.add(name, computed, span)?))
    }

    fn statement(&mut self, id: DraftId) -> isl::Result<Option<Nest>> {
        let name = self.statements[id.index()].clone();
        let computed = self.computation(Place::Statement(id)).and_then(|computation| computation.statement(id));
        self.add(name, computed, self.rendering.place(Place::Statement(id)))
    }

    /// Adds the statement inside of the loops that are open.
    fn add(&mut self, name: String, computed: Recorded<Computed>, span: Span) -> isl::Result<Option<Nest>> {
        let domain = self.domain(&name)?;
        match computed.and_then(|computed| Ok((computed, domain?))) {
            // What never runs has no place in the order.
            Ok((_, domain)) if domain.is_empty()? => Ok(None),
            Ok((Computed { reads, writes, body }, domain)) => {
                let dims = self.dims();
                self.down.push(self.loops.iter().map(|&id| self.record.loops[id].down).collect());
                let stmt = Stmt { name, dims, domain, reads, writes, body, span };
                Ok(Some(Nest::Stmt(self.scop.stmts.push(stmt))))
            }
            Err(message) => {
                self.fault(&name, message, span);
                Ok(None)
            }
        }
    }

    fn dims(&self) -> Vec<String> {
        self.loops.iter().map(|&id| self.record.loops[id].name.clone()).collect()
    }

    /// The points of the loops that are open at which the conditions around hold.
    fn domain(&self, name: &str) -> isl::Result<Recorded<isl::Set>> {
        let formulas = match self.restrictions() {
            Ok(formulas) => formulas,
            Err(message) => return Ok(Err(message)),
        };
        let space = self.scop.param_space()?.named_set(name, &self.dims())?;
        let mut set = space.universe_set()?;
        for formula in &formulas {
            set = set.intersect(&points_of(formula, false, &space)?)?;
        }
        Ok(Ok(set.intersect_params(&self.known)?.coalesce()?))
    }

    fn restrictions(&self) -> Recorded<Vec<Formula>> {
        let mut formulas = Vec::new();
        for (depth, &id) in self.loops.iter().enumerate() {
            let own = &self.record.loops[id];
            let Some(bounds) = own.bounds else { continue };
            if bounds.step == 0 {
                return Err(format!("the loop `{}` has a step of 0", own.name));
            }
            let of = |lowering: &Self, id| {
                lowering.index(id).map_err(|message| format!("the bounds of the loop `{}`: {message}", own.name))
            };
            let (from, to) = (of(self, bounds.from)?, of(self, bounds.to)?);
            let here = dimension(depth, own.down);
            let start = if own.down { to.clone() - 1 } else { from.clone() };
            formulas.push(Formula::Compare(CmpOp::Ge, here.clone(), from));
            formulas.push(Formula::Compare(CmpOp::Lt, here.clone(), to));
            if bounds.step > 1 {
                let rest = (here - start).modulo(bounds.step);
                formulas.push(Formula::Compare(CmpOp::Eq, rest, Index::Const(0)));
            }
        }
        for &condition in &self.conditions {
            formulas.push(self.condition(condition)?);
        }
        Ok(formulas)
    }

    /// Over the dimensions of the loops that are open.
    fn index(&self, id: IndexId) -> Recorded<Index> {
        self.here(self.record.indices[id].as_ref().map_err(String::clone)?)
    }

    fn condition(&self, id: ConditionId) -> Recorded<Formula> {
        self.formula(self.record.conditions[id].as_ref().map_err(String::clone)?)
    }

    fn formula(&self, formula: &Formula) -> Recorded<Formula> {
        let both = |a: &Formula, b: &Formula| Ok::<_, String>((self.formula(a)?.into(), self.formula(b)?.into()));
        Ok(match formula {
            Formula::Compare(op, a, b) => Formula::Compare(*op, self.here(a)?, self.here(b)?),
            Formula::And(a, b) => both(a, b).map(|(a, b)| Formula::And(a, b))?,
            Formula::Or(a, b) => both(a, b).map(|(a, b)| Formula::Or(a, b))?,
            Formula::Not(a) => Formula::Not(self.formula(a)?.into()),
        })
    }

    /// From the loops of the whole program to the dimensions of the statements here.
    fn here(&self, index: &Index) -> Recorded<Index> {
        let depth = |at: usize| self.loops.iter().position(|id| id.index() == at);
        let down = |at: usize| self.record.loops[LoopId::new(at)].down;
        match index.dims_used().into_iter().find(|&at| depth(at).is_none()) {
            Some(at) => {
                Err(format!("the index `{}` is used outside of its loop", self.record.loops[LoopId::new(at)].name))
            }
            None => {
                Ok(index
                    .substitute(&|at| depth(at).map_or(Index::Dim(at), |dim| dimension(dim, down(at))), &Index::Param))
            }
        }
    }

    /// Starts the computation of a statement: the guards around it come first.
    fn computation(&self, place: Place) -> Recorded<Computation<'_, 'r>> {
        let mut computation = Computation { lowering: self, place, reads: Vec::new(), guard: None };
        for guard in &self.guards {
            let holds = match *guard {
                Guard::Inline(id) => {
                    computation.place = Place::Guard(id);
                    let holds = computation.value(self.record.guards[id], Some(DType::Bool))?;
                    computation.place = place;
                    holds
                }
                Guard::Kept(id, tensor) => {
                    let span = self.rendering.place(Place::Guard(id));
                    computation.load(Access { tensor, index: Vec::new(), span })
                }
            };
            computation.guard = Some(match computation.guard.take() {
                Some(outer) => Expr::Binary(BinOp::And, outer.into(), holds.into()),
                None => holds,
            });
        }
        Ok(computation)
    }
}

/// The index of a loop as an expression over its dimension.
fn dimension(depth: usize, down: bool) -> Index {
    if down { -Index::Dim(depth) } else { Index::Dim(depth) }
}

fn tensors_written(record: &Record, items: &[Item], written: &mut BTreeSet<TensorId>) {
    for item in items {
        match item {
            Item::Loop(_, body) | Item::When(_, body) | Item::Guard(_, body) => tensors_written(record, body, written),
            Item::Statement(draft) => {
                let targets = &record.drafts[*draft].targets;
                written.extend(targets.iter().filter_map(|&target| tensor_of(record, target)));
            }
        }
    }
}

/// The points of `space` at which the formula holds, or does not when `negated`.
fn points_of(formula: &Formula, negated: bool, space: &isl::Space) -> isl::Result<isl::Set> {
    match formula {
        Formula::Compare(op, a, b) => {
            let not_negative = |index: Index| index.to_pw_aff(space)?.nonneg_set();
            let (above, below) = (|| a.clone() - b.clone(), || b.clone() - a.clone());
            match if negated { opposite(*op) } else { *op } {
                CmpOp::Ge => not_negative(above()),
                CmpOp::Gt => not_negative(above() - 1),
                CmpOp::Le => not_negative(below()),
                CmpOp::Lt => not_negative(below() - 1),
                CmpOp::Eq => a.to_pw_aff(space)?.eq_set(&b.to_pw_aff(space)?),
                CmpOp::Ne => not_negative(above() - 1)?.union(&not_negative(below() - 1)?),
            }
        }
        Formula::Not(a) => points_of(a, !negated, space),
        Formula::And(a, b) | Formula::Or(a, b) => {
            let (a, b) = (points_of(a, negated, space)?, points_of(b, negated, space)?);
            if matches!(formula, Formula::And(..)) != negated { a.intersect(&b) } else { a.union(&b) }
        }
    }
}

fn opposite(op: CmpOp) -> CmpOp {
    match op {
        CmpOp::Lt => CmpOp::Ge,
        CmpOp::Le => CmpOp::Gt,
        CmpOp::Gt => CmpOp::Le,
        CmpOp::Ge => CmpOp::Lt,
        CmpOp::Eq => CmpOp::Ne,
        CmpOp::Ne => CmpOp::Eq,
    }
}

/// What a statement does.
struct Computed {
    reads: Vec<Access>,
    writes: Vec<Access>,
    body: Body,
}

/// A statement in the making.
struct Computation<'l, 'r> {
    lowering: &'l Lowering<'r>,
    place: Place,
    reads: Vec<Access>,
    /// All guards around it, as one bool.
    guard: Option<Expr>,
}

impl Computation<'_, '_> {
    fn statement(mut self, id: DraftId) -> Recorded<Computed> {
        let draft = &self.lowering.record.drafts[id];
        let writes: Vec<Access> = draft.targets.iter().map(|&target| self.target(target)).collect::<Recorded<_>>()?;
        let mut values = Vec::new();
        for (&value, write) in draft.values.iter().zip(&writes) {
            values.push(self.value(value, Some(self.lowering.scop.tensors[write.tensor].dtype))?);
        }
        let body = match &draft.monoid {
            None => {
                Body::Assign(self.where_guarded(values, |computation, at| Some(computation.load(writes[at].clone()))))
            }
            Some(monoid) => {
                let neutral = |at: usize| Some(Expr::Const(*monoid.identity.get(at)?, *monoid.dtypes.get(at)?));
                let terms = self.where_guarded(values, |_, at| neutral(at));
                Body::Reduce { monoid: monoid.clone(), terms }
            }
        };
        Ok(Computed { reads: self.reads, writes, body })
    }

    /// The values where the guards hold, `otherwise` where not.
    fn where_guarded(
        &mut self,
        values: Vec<Expr>,
        mut otherwise: impl FnMut(&mut Self, usize) -> Option<Expr>,
    ) -> Vec<Expr> {
        let Some(guard) = self.guard.clone() else { return values };
        let guarded = values.into_iter().enumerate().map(|(at, value)| match otherwise(self, at) {
            Some(otherwise) => Expr::Select(guard.clone().into(), value.into(), otherwise.into()),
            None => value,
        });
        guarded.collect()
    }

    fn target(&mut self, id: ValueId) -> Recorded<Access> {
        match &self.lowering.record.values[id] {
            Ok(typed) => match &typed.node {
                Node::Load(tensor, subscripts) => self.access(id, *tensor, subscripts),
                _ => Err("what is written is no element".into()),
            },
            Err(message) => Err(message.clone()),
        }
    }

    fn access(&mut self, id: ValueId, tensor: TensorId, subscripts: &[record::Subscript]) -> Recorded<Access> {
        let tensor = self.lowering.tensors[tensor.index()];
        let mut index = Vec::new();
        for (at, subscript) in subscripts.iter().enumerate() {
            index.push(match subscript {
                record::Subscript::Affine(id) => Subscript::Affine(self.lowering.index(*id)?),
                record::Subscript::Indirect(value) => Subscript::Indirect(self.indirect(*value, tensor, at)?),
            });
        }
        Ok(Access { tensor, index, span: self.lowering.rendering.element(self.place, id) })
    }

    /// A computed subscript; under guards that do not hold, the first of its dimension.
    fn indirect(&mut self, value: ValueId, tensor: TensorId, at: usize) -> Recorded<Expr> {
        let expr = self.value(value, Some(DType::I64))?;
        let lower = self.lowering.scop.tensors[tensor].lower.get(at);
        let (Some(guard), Some(lower)) = (&self.guard, lower) else { return Ok(expr) };
        let wide = match self.lowering.record.dtype(value) {
            None | Some(DType::I64) => expr,
            Some(_) => Expr::Cast(DType::I64, expr.into()),
        };
        Ok(Expr::Select(guard.clone().into(), wide.into(), Expr::Index(lower.clone()).into()))
    }

    /// What reads the element; each is listed once.
    fn load(&mut self, access: Access) -> Expr {
        let same = |other: &Access| other.tensor == access.tensor && other.index == access.index;
        Expr::Load(self.reads.iter().position(same).unwrap_or_else(|| {
            self.reads.push(access);
            self.reads.len() - 1
        }))
    }

    /// The value; `wanted` is the type of literals that nothing inside says the type of.
    fn value(&mut self, id: ValueId, wanted: Option<DType>) -> Recorded<Expr> {
        let record = self.lowering.record;
        let typed = record.values[id].as_ref().map_err(String::clone)?;
        let wanted = typed.dtype.or(wanted);
        Ok(match &typed.node {
            Node::Literal(value) => literal(*value, wanted)?,
            Node::Constant(value, dtype) => Expr::Const(*value, *dtype),
            Node::Index(index) => Expr::Index(self.lowering.index(*index)?),
            Node::Truth(condition) => truth(&self.lowering.condition(*condition)?),
            Node::Load(tensor, subscripts) => {
                let access = self.access(id, *tensor, subscripts)?;
                self.load(access)
            }
            Node::Unary(op, a) => Expr::Unary(*op, self.value(*a, wanted)?.into()),
            Node::Binary(op, a, b) => Expr::Binary(*op, self.value(*a, wanted)?.into(), self.value(*b, wanted)?.into()),
            Node::Compare(op, a, b) => {
                let common = record.dtype(*a).or(record.dtype(*b));
                Expr::Compare(*op, self.value(*a, common)?.into(), self.value(*b, common)?.into())
            }
            Node::Select(c, a, b) => Expr::Select(
                self.value(*c, Some(DType::Bool))?.into(),
                self.value(*a, wanted)?.into(),
                self.value(*b, wanted)?.into(),
            ),
            Node::Cast(dtype, a) => Expr::Cast(*dtype, self.value(*a, None)?.into()),
            Node::Call(builtin, arguments) => {
                let arguments = arguments.iter().map(|&argument| self.value(argument, wanted));
                Expr::Call(*builtin, arguments.collect::<Recorded<_>>()?)
            }
        })
    }
}

/// A number as a constant of the type that is wanted.
fn literal(value: Value, wanted: Option<DType>) -> Recorded<Expr> {
    match (value, wanted) {
        (Value::Int(value), Some(dtype)) if dtype.is_float() => Ok(Expr::Const(Value::Float(value as f64), dtype)),
        (Value::Float(value), Some(dtype)) if !dtype.is_float() => Err(format!("{value:?} is no value of {dtype}")),
        (value, Some(dtype)) => Ok(Expr::Const(value, dtype)),
        (Value::Int(_), None) => Ok(Expr::Const(value, DType::I64)),
        (Value::Float(_), None) => Ok(Expr::Const(value, DType::F64)),
    }
}

/// A condition on indices as a value.
fn truth(formula: &Formula) -> Expr {
    match formula {
        Formula::Compare(op, a, b) => Expr::Compare(*op, Expr::Index(a.clone()).into(), Expr::Index(b.clone()).into()),
        Formula::And(a, b) => Expr::Binary(BinOp::And, truth(a).into(), truth(b).into()),
        Formula::Or(a, b) => Expr::Binary(BinOp::Or, truth(a).into(), truth(b).into()),
        Formula::Not(a) => Expr::Unary(UnOp::Not, truth(a).into()),
    }
}

//! Runs a program in the order of its *tree*, layouts and private memories included, on values that keep apart whatever
//! the types' own arithmetic could confuse: the oracle for proofs about changed programs. Shares nothing with them but
//! the types.

use std::collections::BTreeMap;

use super::random_inputs;
use crate::isl::{self, Constraint, Dim, Terms};
use crate::{
    Access, Axis, BinOp, Body, CmpOp, DType, Expr, Index, Kernel, Kind, Member, Memory, Node, Role, Scop, Stmt, StmtId,
    Subscript, TensorId, UnOp, Value,
};

/// In which order iterations run that may run at once, and children of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtOnce {
    /// Upwards.
    Forwards,
    /// Downwards: where two iterations touch each other, the results may be other ones.
    Backwards,
    /// All together, step by step.
    InStep,
}

impl AtOnce {
    /// All of them.
    pub const ALL: [AtOnce; 3] = [AtOnce::Forwards, AtOnce::Backwards, AtOnce::InStep];
}

/// What the caller gives, or finds at the end: the elements of each of its tensors, last dimension fastest.
pub type Contents = BTreeMap<String, Vec<i64>>;

/// Contents of everything that the caller gives: random large numbers as floats, integers as [`random_inputs`] gives
/// them, so that they may be subscripts, and something in the outputs too.
pub fn contents(scop: &Scop, sizes: &[i64], seed: u64) -> Contents {
    let element = |name: i64, at: usize| hash(&[seed as i64, name, at as i64]);
    let mut contents = Contents::new();
    for input in random_inputs(scop, sizes, seed) {
        let name = hash_text(&input.name);
        let number =
            |(at, value): (usize, &f64)| if input.dtype.is_float() { element(name, at) } else { *value as i64 };
        contents.insert(input.name.clone(), input.values.iter().enumerate().map(number).collect());
    }
    for (id, tensor) in scop.tensors.iter().filter(|(_, tensor)| tensor.role == Role::Output) {
        let name = hash_text(&tensor.name);
        let numbers = (0..elements(scop, id, sizes).len()).map(|at| element(name, at)).collect();
        contents.insert(tensor.name.clone(), numbers);
    }
    contents
}

/// Runs `scop` for `sizes` in the order of its tree, on what the caller gives.
///
/// Values are 64-bit integers. Sums, products, minima and maxima are exact, so that they may be reassociated;
/// comparisons and selections are what they are; divisions of large numbers, and functions, are hashes of their operands.
/// What nobody wrote is another value each time that it is read.
///
/// # Errors
/// A sentence: when an access leaves its tensor or its memory, or an instance is not in the tree.
///
/// # Panics
/// When isl fails; for tests only.
pub fn execute(scop: &Scop, sizes: &[i64], given: &Contents, at_once: AtOnce) -> Result<Contents, String> {
    let tree = Tree::new(scop, sizes);
    let mut instances = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        for point in points(&stmt.domain, &scop.param_space().expect("isl"), sizes) {
            let time = tree.time(id, &point).ok_or_else(|| format!("`{}{point:?}` is not in the tree", stmt.name))?;
            instances.push((ordered(&time, at_once), id, point, time));
        }
    }
    instances.sort();
    let mut machine = Machine::new(scop, sizes, given, tree.keys());
    for (_, id, point, time) in &instances {
        machine.instance(*id, point, time)?;
    }
    Ok(machine.results())
}

/// Whether two programs leave the same with the caller, whichever way what may run at once runs.
pub fn same_results(source: &Scop, changed: &Scop, sizes: &[i64], seed: u64) -> bool {
    let given = contents(source, sizes, seed);
    let Ok(expected) = execute(source, sizes, &given, AtOnce::Forwards) else { return false };
    AtOnce::ALL.into_iter().all(|at_once| execute(changed, sizes, &given, at_once).as_ref() == Ok(&expected))
}

/// One coordinate of a time, and whether those that differ in it run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Coordinate {
    value: i64,
    at_once: bool,
    /// The axis, and how many threads it has there; none of a loop that is on none.
    axis: Option<(Axis, i64)>,
    /// Whether it is of a loop of a kernel.
    in_kernel: bool,
}

fn ordered(time: &[Coordinate], at_once: AtOnce) -> Vec<i64> {
    let turned = |coordinate: &Coordinate| match at_once {
        AtOnce::Backwards if coordinate.at_once => -coordinate.value,
        _ => coordinate.value,
    };
    let together = |coordinate: &&Coordinate| at_once == AtOnce::InStep && coordinate.at_once;
    let one_by_one = time.iter().filter(|coordinate| !together(coordinate));
    one_by_one.chain(time.iter().filter(together)).map(turned).collect()
}

/// A tree with its functions as numbers.
struct Tree<'a> {
    scop: &'a Scop,
    sizes: &'a [i64],
    root: Step,
}

enum Step {
    Leaf,
    Rows(Vec<Row>, Box<Step>),
    /// The children, each with the conditions on the instances of each statement; whether in any order, and whether in a
    /// kernel.
    Branch(Vec<(BTreeMap<StmtId, Conditions>, Step)>, bool, bool),
}

struct Row {
    functions: BTreeMap<StmtId, Vec<(Conditions, Terms)>>,
    kind: Kind,
    /// The kernel that its loop is of.
    kernel: Option<Kernel>,
}

/// What tells the memories of a tensor apart.
enum Key {
    /// So many coordinates of the time.
    Coordinates(usize),
    /// The launch, the block and the thread.
    Thread,
}

impl Key {
    fn at(&self, time: &[Coordinate]) -> Vec<i64> {
        match self {
            Key::Coordinates(count) => time[..*count].iter().map(|coordinate| coordinate.value).collect(),
            Key::Thread => {
                let host = time.iter().filter(|one| !one.in_kernel).map(|one| one.value);
                let numbers = (0..3).flat_map(|at| [Axis::Block(at), Axis::Thread(at)]).map(|axis| {
                    let of_axis = |one: &&Coordinate| one.axis.is_some_and(|(own, _)| own == axis);
                    match (time.iter().find(of_axis), axis) {
                        (Some(Coordinate { value, axis: Some((Axis::Thread(_), threads)), .. }), _) => {
                            value.rem_euclid(*threads)
                        }
                        (Some(Coordinate { value, .. }), _) => *value,
                        (None, Axis::Thread(_)) => 0,
                        // The first block, whichever values it has.
                        (None, _) => i64::MIN,
                    }
                });
                host.chain(numbers).collect()
            }
        }
    }
}

impl<'a> Tree<'a> {
    fn new(scop: &'a Scop, sizes: &'a [i64]) -> Tree<'a> {
        Tree { scop, sizes, root: Step::new(scop, &scop.tree.root, None) }
    }

    fn time(&self, id: StmtId, point: &[i64]) -> Option<Vec<Coordinate>> {
        let mut time = Vec::new();
        self.root.time(id, point, self.sizes, &mut time)?;
        Some(time)
    }

    /// What tells the memories of each tensor apart.
    fn keys(&self) -> Vec<Key> {
        let tensors = self.scop.tensors.iter();
        tensors
            .map(|(id, tensor)| {
                let touches = |stmt: &Stmt| stmt.accesses().any(|access| access.tensor == id);
                let stmts = self.scop.stmts.iter().filter(|(_, stmt)| touches(stmt)).map(|(id, _)| id).collect();
                let is_block = Kind::is_on_blocks;
                match tensor.memory {
                    Memory::Global | Memory::Rank | Memory::Message => Key::Coordinates(0),
                    Memory::Stack => Key::Coordinates(self.root.key(&stmts, 0, &Kind::apart)),
                    Memory::Shared => Key::Coordinates(self.root.key(&stmts, 0, &is_block)),
                    Memory::Registers => Key::Thread,
                }
            })
            .collect()
    }
}

impl Step {
    fn new(scop: &Scop, node: &Node, kernel: Option<Kernel>) -> Step {
        match node {
            Node::Leaf => Step::Leaf,
            Node::Mark { name, child } => Step::new(scop, child, kernel.or(Kernel::of_mark(name))),
            Node::Band(band) => {
                let rows = band.members.iter().map(|member| Row::new(scop, member, kernel)).collect();
                Step::Rows(rows, Box::new(Step::new(scop, &band.child, kernel)))
            }
            Node::Sequence(children) | Node::Set(children) => {
                let one = |child: &crate::Filtered| {
                    let sets = child.filter.sets().expect("isl");
                    let by_stmt = sets.iter().filter_map(|set| {
                        let id = scop.stmt_named(&set.tuple_name().expect("isl"))?;
                        Some((id, Conditions::of(set, scop)))
                    });
                    (by_stmt.collect(), Step::new(scop, &child.node, kernel))
                };
                Step::Branch(children.iter().map(one).collect(), matches!(node, Node::Set(_)), kernel.is_some())
            }
        }
    }

    fn time(&self, id: StmtId, point: &[i64], sizes: &[i64], time: &mut Vec<Coordinate>) -> Option<()> {
        match self {
            Step::Leaf => Some(()),
            Step::Rows(rows, below) => {
                for row in rows {
                    let pieces = row.functions.get(&id)?;
                    let (_, terms) = pieces.iter().find(|(holds, _)| holds.at(point, sizes))?;
                    time.push(row.coordinate(value(terms, point, sizes)));
                }
                below.time(id, point, sizes, time)
            }
            Step::Branch(children, at_once, in_kernel) => {
                let takes = |(filters, _): &&(BTreeMap<StmtId, Conditions>, Step)| {
                    filters.get(&id).is_some_and(|conditions| conditions.at(point, sizes))
                };
                let at = children.iter().position(|child| takes(&child))?;
                time.push(Coordinate { value: at as i64, at_once: *at_once, axis: None, in_kernel: *in_kernel });
                children[at].1.time(id, point, sizes, time)
            }
        }
    }

    /// The coordinates down to the innermost row whose iterations have memories of their own, on the way to `stmts`.
    fn key(&self, stmts: &Vec<StmtId>, above: usize, is_own: &dyn Fn(Kind) -> bool) -> usize {
        match self {
            Step::Leaf => 0,
            Step::Rows(rows, below) => {
                let own = rows.iter().rposition(|row| is_own(row.kind)).map_or(0, |at| above + at + 1);
                own.max(below.key(stmts, above + rows.len(), is_own))
            }
            // A child is around all accesses when no other has instances of these statements.
            Step::Branch(children, ..) => {
                let has = |(filters, _): &&(BTreeMap<StmtId, Conditions>, Step)| {
                    stmts.iter().any(|stmt| filters.contains_key(stmt))
                };
                match children.iter().filter(has).collect::<Vec<_>>().as_slice() {
                    [(_, only)] => only.key(stmts, above + 1, is_own),
                    _ => 0,
                }
            }
        }
    }
}

impl Row {
    fn new(scop: &Scop, member: &Member, kernel: Option<Kernel>) -> Row {
        let mut functions = BTreeMap::new();
        for function in member.schedule.pw_affs().expect("isl") {
            let name = function.space().expect("isl").tuple_name(Dim::In);
            let Some(id) = scop.stmt_named(&name) else { continue };
            let model = scop.param_space().expect("isl");
            let pieces = function.pieces().expect("isl");
            let piece = |(set, _): (isl::Set, isl::Aff)| {
                let function = function.intersect_domain(&set).expect("isl");
                let map = function.to_map().and_then(|map| map.align_params(&model)).expect("isl");
                let aligned = map.to_pw_multi_aff().and_then(|function| function.at(0)).expect("isl");
                aligned.pieces().expect("isl")
            };
            let pieces = pieces.into_iter().flat_map(piece);
            let numbers = pieces.map(|(set, aff)| (Conditions::of(&set, scop), aff.terms().expect("isl"))).collect();
            functions.insert(id, numbers);
        }
        Row { functions, kind: member.kind, kernel }
    }

    fn coordinate(&self, value: i64) -> Coordinate {
        let axis = self.kind.axis().zip(self.kernel).map(|(axis, kernel)| (axis, kernel.threads_on(axis)));
        Coordinate { value, at_once: self.kind.at_once(), axis, in_kernel: self.kernel.is_some() }
    }
}

/// When a point is in a set: constraints with integer divisions, for each disjunct.
struct Conditions(Vec<(Vec<Terms>, Vec<Constraint>)>);

impl Conditions {
    fn of(set: &isl::Set, scop: &Scop) -> Conditions {
        let model = scop.param_space().expect("isl");
        let set = set.align_params(&model).and_then(|set| set.compute_divs()).expect("isl");
        let disjunct = |part: &isl::BasicSet| (part.divs().expect("isl"), part.constraints().expect("isl"));
        Conditions(set.basic_sets().expect("isl").iter().map(disjunct).collect())
    }

    fn at(&self, point: &[i64], sizes: &[i64]) -> bool {
        self.0.iter().any(|(divs, constraints)| {
            let divs: Vec<i64> = divs.iter().map(|div| value(div, point, sizes)).collect();
            constraints.iter().all(|constraint| {
                let sum = constraint.constant
                    + dot(&constraint.params, sizes)
                    + dot(&constraint.dims, point)
                    + dot(&constraint.divs, &divs);
                if constraint.equality { sum == 0 } else { sum >= 0 }
            })
        })
    }
}

fn dot(a: &[i64], b: &[i64]) -> i64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The floor of a function at a point.
fn value(terms: &Terms, point: &[i64], sizes: &[i64]) -> i64 {
    let floors: i64 = terms.floors.iter().map(|(c, floor)| c * value(floor, point, sizes)).sum();
    let sum = terms.constant + dot(&terms.params, sizes) + dot(&terms.dims, point) + floors;
    sum.div_euclid(terms.denominator)
}

/// The points of a set, in ascending order.
fn points(set: &isl::Set, model: &isl::Space, sizes: &[i64]) -> Vec<Vec<i64>> {
    let aligned = set.align_params(model).and_then(|set| set.compute_divs()).expect("isl");
    let fixed = sizes
        .iter()
        .enumerate()
        .try_fold(aligned, |set, (at, &size)| set.fix(Dim::Param, at as u32, size))
        .and_then(|set| set.compute_divs())
        .expect("isl");
    if fixed.is_empty().expect("isl") {
        return Vec::new();
    }
    let parts = fixed.basic_sets().expect("isl");
    let conditions =
        Conditions(parts.iter().map(|part| (part.divs().expect("isl"), part.constraints().expect("isl"))).collect());
    let bound = |value: isl::Result<isl::Val>| value.and_then(|value| value.to_i64()).expect("bounded");
    let mut all = vec![Vec::new()];
    for at in 0..fixed.dim(Dim::Set).expect("isl") {
        let range = bound(fixed.dim_min_val(at as i32))..=bound(fixed.dim_max_val(at as i32));
        let longer =
            |point: Vec<i64>| range.clone().map(move |x| [point.clone(), vec![x]].concat()).collect::<Vec<_>>();
        all = all.into_iter().flat_map(longer).collect();
    }
    all.retain(|point| conditions.at(point, sizes));
    all
}

/// The memories and what is in them: by tensor, key and cell.
struct Machine<'a> {
    scop: &'a Scop,
    sizes: &'a [i64],
    keys: Vec<Key>,
    cells: BTreeMap<(TensorId, Vec<i64>), i64>,
    unknown: i64,
}

impl<'a> Machine<'a> {
    fn new(scop: &'a Scop, sizes: &'a [i64], given: &Contents, keys: Vec<Key>) -> Machine<'a> {
        let mut cells = BTreeMap::new();
        for (id, tensor) in scop.tensors.iter().filter(|(_, tensor)| tensor.role != Role::Temporary) {
            for (cell, value) in elements(scop, id, sizes).into_iter().zip(&given[&tensor.name]) {
                cells.insert((id, cell), *value);
            }
        }
        Machine { scop, sizes, keys, cells, unknown: 0 }
    }

    fn results(&self) -> Contents {
        let callers = self.scop.tensors.iter().filter(|(_, t)| matches!(t.role, Role::Output | Role::InOut));
        callers
            .map(|(id, tensor)| {
                let cells = elements(self.scop, id, self.sizes).into_iter();
                (tensor.name.clone(), cells.map(|cell| self.cells[&(id, cell)]).collect())
            })
            .collect()
    }

    fn instance(&mut self, id: StmtId, point: &[i64], time: &[Coordinate]) -> Result<(), String> {
        let stmt = &self.scop.stmts[id];
        let mut loads = Vec::new();
        for read in &stmt.reads {
            let cell = self.cell(stmt, read, point, time, &loads)?;
            loads.push(self.load(read.tensor, cell));
        }
        let context = Context { point, sizes: self.sizes, loads: &loads, states: &[], terms: &[] };
        let values: Vec<i64> = stmt.body.exprs().iter().map(|expr| context.eval(expr)).collect();
        let mut places = Vec::new();
        for write in &stmt.writes {
            places.push((write.tensor, self.cell(stmt, write, point, time, &loads)?));
        }
        let results = match &stmt.body {
            Body::Assign(_) => values,
            Body::Reduce { monoid, .. } => {
                let states: Vec<i64> = places.iter().map(|(tensor, cell)| self.load(*tensor, cell.clone())).collect();
                let context = Context { point, sizes: self.sizes, loads: &[], states: &states, terms: &values };
                monoid.combine.iter().map(|expr| context.eval(expr)).collect()
            }
        };
        self.cells.extend(places.into_iter().zip(results));
        Ok(())
    }

    fn load(&mut self, tensor: TensorId, cell: Vec<i64>) -> i64 {
        match self.cells.get(&(tensor, cell)) {
            Some(value) => *value,
            None => {
                self.unknown += 1;
                hash(&[self.unknown, self.scop.stmts.len() as i64, -1])
            }
        }
    }

    fn cell(
        &self,
        stmt: &Stmt,
        access: &Access,
        point: &[i64],
        time: &[Coordinate],
        loads: &[i64],
    ) -> Result<Vec<i64>, String> {
        let tensor = &self.scop.tensors[access.tensor];
        let context = Context { point, sizes: self.sizes, loads, states: &[], terms: &[] };
        let one = |subscript: &Subscript| match subscript {
            Subscript::Affine(index) => context.index(index),
            Subscript::Indirect(expr) => context.eval(expr),
        };
        let element: Vec<i64> = access.index.iter().map(one).collect();
        let leaves = || format!("`{}{point:?}` leaves `{}` at {element:?}", stmt.name, tensor.name);
        let size = |index: &Index| index.eval(&[], self.sizes).expect("over the sizes");
        for ((x, lower), extent) in element.iter().zip(&tensor.lower).zip(&tensor.extent) {
            if !(0..size(extent)).contains(&(x - size(lower))) {
                return Err(leaves());
            }
        }
        let cell = match &tensor.layout {
            None => element.clone(),
            Some(layout) => {
                let cell =
                    layout.cell.iter().map(|index| index.eval(&element, self.sizes).expect("over the subscripts"));
                cell.collect()
            }
        };
        if let Some(layout) = &tensor.layout
            && !cell.iter().zip(&layout.extent).all(|(x, extent)| (0..size(extent)).contains(x))
        {
            return Err(leaves());
        }
        let key = self.keys[support::Entity::index(access.tensor)].at(time).into_iter();
        Ok(key.chain(cell).collect())
    }
}

/// The elements of a tensor without a layout, last dimension fastest.
fn elements(scop: &Scop, tensor: TensorId, sizes: &[i64]) -> Vec<Vec<i64>> {
    let tensor = &scop.tensors[tensor];
    let size = |index: &Index| index.eval(&[], sizes).expect("over the sizes");
    tensor.lower.iter().zip(&tensor.extent).fold(vec![Vec::new()], |all, (lower, extent)| {
        let range = size(lower)..size(lower) + size(extent);
        all.into_iter().flat_map(|point| range.clone().map(move |x| [point.clone(), vec![x]].concat())).collect()
    })
}

struct Context<'a> {
    point: &'a [i64],
    sizes: &'a [i64],
    loads: &'a [i64],
    states: &'a [i64],
    terms: &'a [i64],
}

impl Context<'_> {
    fn index(&self, index: &Index) -> i64 {
        index.eval(self.point, self.sizes).expect("small numbers")
    }

    fn eval(&self, expr: &Expr) -> i64 {
        match expr {
            Expr::Const(value, _) => constant(value),
            Expr::Index(index) => self.index(index),
            Expr::Load(read) => self.loads[*read],
            Expr::State(at) => self.states[*at],
            Expr::Term(at) => self.terms[*at],
            Expr::Unary(UnOp::Not, e) => i64::from(self.eval(e) == 0),
            Expr::Unary(UnOp::Neg, e) => self.eval(e).wrapping_neg(),
            Expr::Binary(op, a, b) => binary(*op, self.eval(a), self.eval(b)),
            Expr::Compare(op, a, b) => i64::from(compare(*op, self.eval(a), self.eval(b))),
            Expr::Select(c, a, b) => self.eval(if self.eval(c) != 0 { a } else { b }),
            Expr::Cast(DType::Bool, e) => i64::from(self.eval(e) != 0),
            Expr::Cast(_, e) => self.eval(e),
            Expr::Call(builtin, arguments) => {
                let mut words = vec![hash_text(builtin.name())];
                words.extend(arguments.iter().map(|e| self.eval(e)));
                hash(&words)
            }
        }
    }
}

fn constant(value: &Value) -> i64 {
    match value {
        Value::Int(value) => *value as i64,
        Value::Float(value) if value.is_infinite() => {
            if *value > 0.0 {
                i64::MAX
            } else {
                i64::MIN
            }
        }
        Value::Float(value) if value.fract() == 0.0 => *value as i64,
        Value::Float(value) => hash(&[value.to_bits() as i64]),
    }
}

fn binary(op: BinOp, a: i64, b: i64) -> i64 {
    let small = |x: i64| x.unsigned_abs() < 1 << 31;
    match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::Min | BinOp::And => a.min(b),
        BinOp::Max | BinOp::Or => a.max(b),
        BinOp::Div | BinOp::Mod if b == 0 => 0,
        BinOp::Div if small(a) && small(b) => a.div_euclid(b.abs()) * b.signum(),
        BinOp::Mod if small(a) && small(b) => a.rem_euclid(b.abs()),
        BinOp::Div => hash(&[1, a, b]),
        BinOp::Mod => hash(&[2, a, b]),
        _ => op.on_bits(64, i128::from(a), i128::from(b)).map_or(0, |value| value as i64),
    }
}

fn compare(op: CmpOp, a: i64, b: i64) -> bool {
    match op {
        CmpOp::Lt => a < b,
        CmpOp::Le => a <= b,
        CmpOp::Gt => a > b,
        CmpOp::Ge => a >= b,
        CmpOp::Eq => a == b,
        CmpOp::Ne => a != b,
    }
}

fn hash_text(text: &str) -> i64 {
    let words: Vec<i64> = text.bytes().map(i64::from).collect();
    hash(&words)
}

/// FNV-1a over words, then mixed.
fn hash(words: &[i64]) -> i64 {
    let step = |h: u64, word: &i64| (h ^ *word as u64).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    let h = words.iter().fold(0xcbf2_9ce4_8422_2325, step);
    let h = (h ^ (h >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (h ^ (h >> 27)) as i64
}

//! A statement as straight-line code over columns: register `r` holds one value for each instance of a batch.

use super::domain::Linear;
use super::memory::Memory;
use super::{EvalError, builtin};
use crate::{Access, BinOp, Body, Builtin, CmpOp, DType, Expr, Index, Monoid, Stmt, Subscript, UnOp, Value};

/// A register: a column of the batch.
pub(super) type Reg = usize;

/// What is known of a register before running.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub dtype: DType,
    /// In wide evaluation: no error ever reaches it.
    pub exact: bool,
}

/// One operation; its operands are registers before its own.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The element of a tensor at a linear address.
    Gather {
        tensor: usize,
        address: Reg,
    },
    /// `base + (value - lower)·stride`, after the check that `value` is a subscript.
    Subscript {
        base: Reg,
        value: Reg,
        place: Place,
    },
    Neg(Reg),
    Not(Reg),
    Binary(BinOp, Reg, Reg),
    Compare(CmpOp, Reg, Reg),
    Select(Reg, Reg, Reg),
    Cast(Reg),
    Call(Builtin, Vec<Reg>),
}

/// A dimension of a tensor, as a computed subscript meets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub tensor: usize,
    pub dim: usize,
    pub lower: i64,
    pub extent: i64,
    pub stride: i64,
    /// Whether the bits of a subscript are those of a number without sign.
    pub unsigned: bool,
    /// Which of the kernel's lists says what the subscript is computed from.
    pub found_by: usize,
}

/// An element that a computed subscript is computed from.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub tensor: usize,
    pub at: Vec<Coordinate>,
}

/// A subscript of an [`Element`].
#[derive(Clone, Debug)]
pub(super) enum Coordinate {
    /// A function of the instance.
    Affine(Index),
    /// What a register holds.
    Computed(Reg),
}

#[derive(Clone, Debug)]
pub(super) struct Instr {
    pub into: Reg,
    pub op: Op,
}

/// Where a component of the result goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub tensor: usize,
    pub address: Reg,
    pub value: Reg,
}

/// What happens to the values.
#[derive(Clone, Debug)]
pub(super) enum Update {
    /// They are stored.
    Assign,
    /// `state = state op value`.
    Fold(BinOp),
    /// The states become the results of a monoid's own code.
    General(Combine),
}

/// A monoid's code, run for one instance at a time.
#[derive(Clone, Debug)]
pub(super) struct Combine {
    pub code: Code,
    pub states: Vec<Reg>,
    pub terms: Vec<Reg>,
    pub results: Vec<Reg>,
}

/// Registers and the operations that fill them.
#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    pub columns: Vec<Column>,
    /// Registers that never change.
    pub constants: Vec<(Reg, Value)>,
    /// Affine registers, filled as the instances are listed.
    pub fills: Vec<(Reg, Linear)>,
    pub instrs: Vec<Instr>,
}

/// A compiled statement.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    pub name: String,
    pub code: Code,
    pub writes: Vec<Write>,
    pub update: Update,
    /// The registers of the dimensions, when an error message may need them.
    pub dims: Vec<Reg>,
    /// By computed subscript.
    pub found_by: Vec<Vec<Element>>,
    pub batching: Batching,
}

/// Which instances may be computed before the first of them is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batching {
    /// Any: the statement reads nothing that it writes.
    Free,
    /// Those at which this fill, an address, ascends: of what it writes, each reads just the element it writes.
    Ascending(Reg),
    /// None: one after the other.
    Single,
}

impl Code {
    fn add(&mut self, dtype: DType, exact: bool) -> Reg {
        self.columns.push(Column { dtype, exact });
        self.columns.len() - 1
    }

    fn emit(&mut self, dtype: DType, exact: bool, op: Op) -> Reg {
        let into = self.add(dtype, exact);
        self.instrs.push(Instr { into, op });
        into
    }

    fn constant(&mut self, value: Value, dtype: DType) -> Reg {
        if let Some(&(reg, _)) =
            self.constants.iter().find(|&&(reg, known)| known == value && self.columns[reg].dtype == dtype)
        {
            return reg;
        }
        let reg = self.add(dtype, true);
        self.constants.push((reg, value));
        reg
    }

    fn fill(&mut self, linear: Linear) -> Reg {
        if let Some((reg, _)) = self.fills.iter().find(|(_, known)| *known == linear) {
            return *reg;
        }
        let reg = self.add(DType::I64, true);
        self.fills.push((reg, linear));
        reg
    }

    fn exact(&self, regs: &[Reg]) -> bool {
        regs.iter().all(|&reg| self.columns[reg].exact)
    }
}

/// Compiles `stmt`, whose parameters are fixed.
pub(super) fn compile(stmt: &Stmt, memory: &Memory) -> Result<Kernel, EvalError> {
    let mut compiler = Compiler::new(&stmt.name, memory, Code::default(), None);
    let mut dims = Vec::new();
    if stmt.accesses().any(|access| access.affine().is_none()) {
        dims = (0..stmt.dims.len()).map(|dim| compiler.index(&Index::Dim(dim))).collect::<Result<_, _>>()?;
    }
    for access in &stmt.reads {
        let load = compiler.load(access)?;
        compiler.loads.push(load);
    }
    let values = stmt.body.exprs().iter().map(|e| compiler.expr(e)).collect::<Result<Vec<_>, _>>()?;
    if values.len() != stmt.writes.len() {
        return Err(compiler.malformed("not one write for each value"));
    }
    let mut writes = Vec::new();
    for (access, &value) in stmt.writes.iter().zip(&values) {
        writes.push(compiler.write(access, value)?);
    }
    let update = match &stmt.body {
        Body::Assign(_) => Update::Assign,
        Body::Reduce { monoid, .. } => update_of(monoid, &mut compiler, &writes)?,
    };
    let (code, found_by) = (compiler.code, compiler.found_by);
    let batching = batching(&code, &writes);
    Ok(Kernel { name: stmt.name.clone(), code, writes, update, dims, found_by, batching })
}

fn batching(code: &Code, writes: &[Write]) -> Batching {
    let is_written = |tensor: usize| writes.iter().any(|write| write.tensor == tensor);
    let mut own = code.instrs.iter().filter_map(|instr| match instr.op {
        Op::Gather { tensor, address } if is_written(tensor) => Some(address),
        _ => None,
    });
    let twice = (1..writes.len()).any(|at| writes[..at].iter().any(|write| write.tensor == writes[at].tensor));
    match (own.next(), writes) {
        _ if twice => Batching::Single,
        (None, _) => Batching::Free,
        (Some(first), [only]) => {
            let is_fill = code.fills.iter().any(|(reg, _)| *reg == only.address);
            let same = is_fill && first == only.address && own.all(|address| address == only.address);
            if same { Batching::Ascending(only.address) } else { Batching::Single }
        }
        (Some(_), _) => Batching::Single,
    }
}

fn update_of(monoid: &Monoid, compiler: &mut Compiler<'_>, writes: &[Write]) -> Result<Update, EvalError> {
    let fits = monoid.dtypes.len() == writes.len()
        && monoid.combine.len() == writes.len()
        && writes.iter().zip(&monoid.dtypes).all(|(write, &dtype)| compiler.code.columns[write.value].dtype == dtype);
    if !fits {
        return Err(compiler.malformed("the monoid's components are not the statement's"));
    }
    if let [Expr::Binary(op, a, b)] = monoid.combine.as_slice()
        && matches!((&**a, &**b), (Expr::State(0), Expr::Term(0)))
    {
        // Compiled once for its type checks.
        general(monoid, compiler)?;
        return Ok(Update::Fold(*op));
    }
    Ok(Update::General(general(monoid, compiler)?))
}

fn general(monoid: &Monoid, compiler: &Compiler<'_>) -> Result<Combine, EvalError> {
    let mut code = Code::default();
    let states: Vec<Reg> = monoid.dtypes.iter().map(|&dtype| code.add(dtype, false)).collect();
    let terms: Vec<Reg> = monoid.dtypes.iter().map(|&dtype| code.add(dtype, false)).collect();
    let inputs = Some((states.clone(), terms.clone()));
    let mut inner = Compiler::new(compiler.name, compiler.memory, code, inputs);
    let results = monoid.combine.iter().map(|e| inner.expr(e)).collect::<Result<Vec<_>, _>>()?;
    let typed = results.iter().zip(&monoid.dtypes).all(|(&reg, &dtype)| inner.code.columns[reg].dtype == dtype);
    if !typed {
        return Err(compiler.malformed("a monoid's result has another type than its state"));
    }
    Ok(Combine { code: inner.code, states, terms, results })
}

struct Compiler<'a> {
    name: &'a str,
    memory: &'a Memory,
    code: Code,
    loads: Vec<Reg>,
    /// By read: the element.
    elements: Vec<Element>,
    /// By computed subscript: what it is computed from.
    found_by: Vec<Vec<Element>>,
    /// Inside a monoid: the registers of the states and of the terms.
    inputs: Option<(Vec<Reg>, Vec<Reg>)>,
}

impl<'a> Compiler<'a> {
    fn new(name: &'a str, memory: &'a Memory, code: Code, inputs: Option<(Vec<Reg>, Vec<Reg>)>) -> Compiler<'a> {
        Compiler { name, memory, code, loads: Vec::new(), elements: Vec::new(), found_by: vec![Vec::new()], inputs }
    }

    fn malformed(&self, message: &'static str) -> EvalError {
        EvalError::Malformed { entity: self.name.to_string(), message }
    }

    fn dtype(&self, reg: Reg) -> DType {
        self.code.columns[reg].dtype
    }

    fn load(&mut self, access: &Access) -> Result<Reg, EvalError> {
        let tensor = self.memory.index(access.tensor);
        let (address, at) = self.address(access)?;
        self.elements.push(Element { tensor, at });
        let buffer = &self.memory.buffers[tensor];
        let exact = buffer.exact && self.code.columns[address].exact;
        Ok(self.code.emit(buffer.dtype, exact, Op::Gather { tensor, address }))
    }

    fn write(&mut self, access: &Access, value: Reg) -> Result<Write, EvalError> {
        let tensor = self.memory.index(access.tensor);
        if self.memory.buffers[tensor].dtype != self.dtype(value) {
            return Err(self.malformed("a value has another type than the tensor it is written to"));
        }
        Ok(Write { tensor, address: self.address(access)?.0, value })
    }

    /// The linear address: what is affine in one fill, the rest subscript by subscript. And the subscripts.
    fn address(&mut self, access: &Access) -> Result<(Reg, Vec<Coordinate>), EvalError> {
        let tensor = self.memory.index(access.tensor);
        let buffer = &self.memory.buffers[tensor];
        if access.index.len() != buffer.extent.len() {
            return Err(self.malformed("an access with another rank than its tensor's"));
        }
        let mut base = Linear::default();
        let (mut computed, mut at) = (Vec::new(), Vec::new());
        for (dim, subscript) in access.index.iter().enumerate() {
            let (lower, extent, stride) = (buffer.lower[dim], buffer.extent[dim], buffer.strides[dim]);
            let place = Place { tensor, dim, lower, extent, stride, unsigned: false, found_by: 0 };
            match subscript {
                Subscript::Affine(index) => {
                    at.push(Coordinate::Affine(index.clone()));
                    match Linear::of_index(index) {
                        Some(linear) => {
                            let origin = Linear { constant: lower, dims: Vec::new() };
                            base.add_scaled(stride, &linear)
                                .and_then(|()| base.add_scaled(-stride, &origin))
                                .ok_or_else(|| self.malformed("an address leaves 64 bits"))?;
                        }
                        None => computed.push((self.index(index)?, place)),
                    }
                }
                Subscript::Indirect(expr) => {
                    let value = self.expr(expr)?;
                    let value = self.widened(value)?;
                    at.push(Coordinate::Computed(value));
                    let types: Vec<DType> = self.loads.iter().map(|&reg| self.dtype(reg)).collect();
                    let unsigned = expr.is_unsigned_subscript(&types);
                    computed.push((value, Place { unsigned, found_by: self.found_by(expr), ..place }));
                }
            }
        }
        let base = self.code.fill(base);
        let address = computed.into_iter().fold(base, |base, (value, place)| {
            let exact = self.code.exact(&[base, value]);
            self.code.emit(DType::I64, exact, Op::Subscript { base, value, place })
        });
        Ok((address, at))
    }

    /// Notes the elements that a subscript is computed from, each once, in the order in which they stand in it.
    fn found_by(&mut self, expr: &Expr) -> usize {
        let mut reads = Vec::new();
        expr.visit(&mut |part| {
            if let Expr::Load(read) = part
                && !reads.contains(read)
            {
                reads.push(*read);
            }
        });
        self.found_by.push(reads.into_iter().filter_map(|read| self.elements.get(read).cloned()).collect());
        self.found_by.len() - 1
    }

    /// A subscript as `int64`.
    fn widened(&mut self, value: Reg) -> Result<Reg, EvalError> {
        match self.dtype(value) {
            DType::I64 => Ok(value),
            dtype if dtype.is_int() => {
                let exact = self.code.exact(&[value]);
                Ok(self.code.emit(DType::I64, exact, Op::Cast(value)))
            }
            _ => Err(self.malformed("a subscript that is no integer")),
        }
    }

    fn index(&mut self, index: &Index) -> Result<Reg, EvalError> {
        if let Some(linear) = Linear::of_index(index) {
            return Ok(self.code.fill(linear));
        }
        let constant = |value: i64| Index::Const(value);
        let mut binary = |op, a: &Index, b: &Index| {
            let (a, b) = (self.index(a)?, self.index(b)?);
            Ok(self.code.emit(DType::I64, true, Op::Binary(op, a, b)))
        };
        match index {
            Index::Add(a, b) => binary(BinOp::Add, a, b),
            Index::Mul(c, e) => binary(BinOp::Mul, &constant(*c), e),
            Index::FloorDiv(e, c) => binary(BinOp::Div, e, &constant(*c)),
            Index::Mod(e, c) => binary(BinOp::Mod, e, &constant(*c)),
            Index::Min(a, b) => binary(BinOp::Min, a, b),
            Index::Max(a, b) => binary(BinOp::Max, a, b),
            Index::Select(test, then, otherwise) => {
                let (test, zero) = (self.index(test)?, self.index(&constant(0))?);
                let (then, otherwise) = (self.index(then)?, self.index(otherwise)?);
                let chosen = self.code.emit(DType::Bool, true, Op::Compare(CmpOp::Ge, test, zero));
                Ok(self.code.emit(DType::I64, true, Op::Select(chosen, then, otherwise)))
            }
            Index::Const(_) | Index::Dim(_) | Index::Param(_) => Err(self.malformed("an unknown size parameter")),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Result<Reg, EvalError> {
        match expr {
            Expr::Const(value, dtype) => Ok(self.code.constant(*value, *dtype)),
            Expr::Index(index) => self.index(index),
            Expr::Load(k) => self.loads.get(*k).copied().ok_or_else(|| self.malformed("a load of no earlier read")),
            Expr::State(i) => self.input(|(states, _)| states.get(*i)),
            Expr::Term(i) => self.input(|(_, terms)| terms.get(*i)),
            Expr::Unary(op, e) => self.unary(*op, e),
            Expr::Binary(op, a, b) => self.binary(*op, a, b),
            Expr::Compare(op, a, b) => {
                let (a, b) = (self.expr(a)?, self.expr(b)?);
                self.check(self.dtype(a) == self.dtype(b))?;
                let exact = self.code.exact(&[a, b]);
                Ok(self.code.emit(DType::Bool, exact, Op::Compare(*op, a, b)))
            }
            Expr::Select(c, a, b) => {
                let (c, a, b) = (self.expr(c)?, self.expr(a)?, self.expr(b)?);
                self.check(self.dtype(c) == DType::Bool && self.dtype(a) == self.dtype(b))?;
                let exact = self.code.exact(&[c, a, b]);
                Ok(self.code.emit(self.dtype(a), exact, Op::Select(c, a, b)))
            }
            Expr::Cast(dtype, e) => self.cast(*dtype, e),
            Expr::Call(builtin, arguments) => self.call(*builtin, arguments),
        }
    }

    fn input(&self, find: impl Fn(&(Vec<Reg>, Vec<Reg>)) -> Option<&Reg>) -> Result<Reg, EvalError> {
        let found = self.inputs.as_ref().and_then(|inputs| find(inputs).copied());
        found.ok_or_else(|| self.malformed("a state or term outside its monoid"))
    }

    fn check(&self, fits: bool) -> Result<(), EvalError> {
        if fits { Ok(()) } else { Err(self.malformed("operands of types that do not fit")) }
    }

    fn unary(&mut self, op: UnOp, e: &Expr) -> Result<Reg, EvalError> {
        let a = self.expr(e)?;
        let dtype = self.dtype(a);
        self.check((op == UnOp::Not) == (dtype == DType::Bool))?;
        let exact = self.code.exact(&[a]);
        let op = match op {
            UnOp::Neg => Op::Neg(a),
            UnOp::Not => Op::Not(a),
        };
        Ok(self.code.emit(dtype, exact, op))
    }

    fn binary(&mut self, op: BinOp, a: &Expr, b: &Expr) -> Result<Reg, EvalError> {
        let (a, b) = (self.expr(a)?, self.expr(b)?);
        let dtype = self.dtype(a);
        let logical = matches!(op, BinOp::And | BinOp::Or);
        let ordered = matches!(op, BinOp::Min | BinOp::Max);
        self.check(!op.is_bitwise() || dtype.is_int())?;
        // A monoid may take the minimum of booleans: it is their conjunction.
        self.check(dtype == self.dtype(b) && (logical == (dtype == DType::Bool) || ordered))?;
        let rounds = dtype.is_float() && !ordered;
        let exact = self.code.exact(&[a, b]) && !rounds;
        Ok(self.code.emit(dtype, exact, Op::Binary(op, a, b)))
    }

    fn cast(&mut self, dtype: DType, e: &Expr) -> Result<Reg, EvalError> {
        let a = self.expr(e)?;
        let from = self.dtype(a);
        if from == dtype {
            return Ok(a);
        }
        let exact = self.code.exact(&[a]) && (!dtype.is_float() || holds(dtype, from));
        Ok(self.code.emit(dtype, exact, Op::Cast(a)))
    }

    fn call(&mut self, function: Builtin, arguments: &[Expr]) -> Result<Reg, EvalError> {
        let regs = arguments.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>, _>>()?;
        self.check(regs.len() == function.arity())?;
        let dtype = self.dtype(regs[0]);
        self.check(dtype.is_float() && regs.iter().all(|&reg| self.dtype(reg) == dtype))?;
        let exact = self.code.exact(&regs) && builtin::is_exact(function);
        Ok(self.code.emit(dtype, exact, Op::Call(function, regs)))
    }
}

/// Whether every value of `from` is one of the floating-point type `dtype`.
fn holds(dtype: DType, from: DType) -> bool {
    let digits = match dtype {
        DType::F16 => 11,
        DType::BF16 => 8,
        DType::F32 => 24,
        _ => 53,
    };
    match from {
        DType::F16 => matches!(dtype, DType::F32 | DType::F64),
        DType::BF16 => matches!(dtype, DType::F32 | DType::F64),
        DType::F32 => dtype == DType::F64,
        DType::F64 => false,
        _ => from.bits() <= digits,
    }
}

//! Short names for the parts of a program, and one way to run it.

use codegen::llvm::{Options, compile, host};
use codegen::{At, Buffer, Int, Op, Place, Program, Reg, RegId, Stride, Value, VarId};
use polyhedral::{BinOp, CmpOp, DType, Role, TensorId};
use runtime::kernel::{Argument, CallError, Code, Kernel, Signature};
use runtime::pool::Pool;
use runtime::tensor::{Tensor, TensorView, TensorViewMut};
use support::{Table, Target};

/// The machine that the tests run on.
pub fn this_machine() -> Target {
    let host = host();
    target(&host.triple, &host.cpu, &host.features, 64)
}

pub fn target(triple: &str, cpu: &str, features: &str, vector_bytes: u32) -> Target {
    Target {
        name: "test".into(),
        triple: triple.into(),
        cpu: cpu.into(),
        threads: 2,
        launch_cycles: 3000,
        vector_bytes,
        vector_registers: 32,
        fma_per_cycle: 2,
        fma_latency: 4,
        caches: Vec::new(),
        features: features.into(),
    }
}

pub fn c(value: i64) -> Int {
    Int::Const(value)
}

pub fn v(var: VarId) -> Int {
    Int::Var(var)
}

pub fn add(a: Int, b: Int) -> Int {
    Int::Add(Box::new(a), Box::new(b))
}

pub fn mul(a: Int, b: Int) -> Int {
    Int::Mul(Box::new(a), Box::new(b))
}

pub fn at(base: Int) -> At {
    At::Affine { base, step: 0 }
}

pub fn lanes_at(base: Int, step: i64) -> At {
    At::Affine { base, step }
}

pub fn load(buffer: TensorId, at: Vec<At>) -> Value {
    Value::Load { buffer, at, mask: None }
}

pub fn load_if(buffer: TensorId, at: Vec<At>, mask: Value) -> Value {
    Value::Load { buffer, at, mask: Some(Box::new(mask)) }
}

pub fn store(buffer: TensorId, at: Vec<At>, lanes: u32, value: Value) -> Op {
    Op::Store { buffer, at, lanes, value, mask: None }
}

pub fn store_if(buffer: TensorId, at: Vec<At>, lanes: u32, value: Value, mask: Value) -> Op {
    Op::Store { buffer, at, lanes, value, mask: Some(mask) }
}

pub fn binary(op: BinOp, a: Value, b: Value) -> Value {
    Value::Binary(op, Box::new(a), Box::new(b))
}

pub fn compare(op: CmpOp, a: Value, b: Value) -> Value {
    Value::Compare(op, Box::new(a), Box::new(b))
}

pub fn int(value: i64, dtype: DType) -> Value {
    Value::Const(polyhedral::Value::Int(value.into()), dtype)
}

pub fn float(value: f64, dtype: DType) -> Value {
    Value::Const(polyhedral::Value::Float(value), dtype)
}

/// `int64`: the lane's number after `base`.
pub fn lane(base: Int) -> Value {
    Value::Int { base, step: 1 }
}

/// A program in the making.
pub struct Builder {
    pub program: Program,
    /// The extents of the arguments.
    shapes: Vec<Vec<i64>>,
    sizes: Vec<i64>,
    workspace_bytes: usize,
}

impl Builder {
    pub fn new(name: &str) -> Builder {
        let program = Program {
            name: name.into(),
            params: Vec::new(),
            buffers: Table::new(),
            vars: Table::new(),
            regs: Table::new(),
            body: Vec::new(),
            parts: Vec::new(),
        };
        Builder { program, shapes: Vec::new(), sizes: Vec::new(), workspace_bytes: 0 }
    }

    /// A dense argument.
    pub fn argument(&mut self, name: &str, dtype: DType, role: Role, shape: &[i64]) -> TensorId {
        let strides = dense(shape).into_iter().map(|stride| Stride::Known(c(stride))).collect();
        self.strided(name, dtype, role, shape, strides)
    }

    pub fn input(&mut self, name: &str, dtype: DType, shape: &[i64]) -> TensorId {
        self.argument(name, dtype, Role::Input, shape)
    }

    pub fn output(&mut self, name: &str, dtype: DType, shape: &[i64]) -> TensorId {
        self.argument(name, dtype, Role::Output, shape)
    }

    /// An argument with strides of the program's choice.
    pub fn strided(&mut self, name: &str, dtype: DType, role: Role, shape: &[i64], strides: Vec<Stride>) -> TensorId {
        self.shapes.push(shape.to_vec());
        let extent = shape.iter().map(|extent| c(*extent)).collect();
        let place = Place::Argument(self.shapes.len() - 1);
        self.program.buffers.push(Buffer {
            name: name.into(),
            dtype,
            extent,
            strides,
            rows: None,
            place,
            role,
            streamed: false,
        })
    }

    /// A dense temporary.
    pub fn temporary(&mut self, name: &str, dtype: DType, shape: &[i64]) -> TensorId {
        let offset = self.workspace_bytes.next_multiple_of(64);
        self.workspace_bytes = offset + shape.iter().product::<i64>() as usize * dtype.bytes() as usize;
        self.program.buffers.push(Buffer {
            name: name.into(),
            dtype,
            extent: shape.iter().map(|extent| c(*extent)).collect(),
            strides: dense(shape).into_iter().map(|stride| Stride::Known(c(stride))).collect(),
            rows: None,
            place: Place::Workspace(c(offset as i64)),
            role: Role::Temporary,
            streamed: false,
        })
    }

    /// A size parameter and its value.
    pub fn param(&mut self, name: &str, value: i64) -> Int {
        self.program.params.push(name.into());
        self.sizes.push(value);
        Int::Param(self.sizes.len() - 1)
    }

    pub fn var(&mut self, name: &str) -> VarId {
        self.program.vars.push(name.into())
    }

    pub fn reg(&mut self, name: &str, dtype: DType, lanes: u32) -> RegId {
        self.program.regs.push(Reg { name: name.into(), dtype, lanes })
    }

    /// `for var in 0..upper step s`, with the body that `body` makes of the variable.
    pub fn repeat(
        &mut self,
        name: &str,
        upper: Int,
        step: i64,
        body: impl FnOnce(&mut Builder, VarId) -> Vec<Op>,
    ) -> Op {
        let var = self.var(name);
        let body = body(self, var);
        Op::For { var, lower: c(0), upper, step: c(step), parallel: false, body }
    }

    /// The same in parallel.
    pub fn spread(
        &mut self,
        name: &str,
        upper: Int,
        step: i64,
        body: impl FnOnce(&mut Builder, VarId) -> Vec<Op>,
    ) -> Op {
        match self.repeat(name, upper, step, body) {
            Op::For { var, lower, upper, step, body, .. } => Op::For { var, lower, upper, step, parallel: true, body },
            other => other,
        }
    }

    /// Compiles for this machine.
    pub fn kernel(&self) -> Kernel {
        self.kernel_for(&this_machine())
    }

    pub fn kernel_for(&self, target: &Target) -> Kernel {
        let object = compile(&self.program, target, &Options::default()).expect("compiles");
        let arguments = self.program.buffers.values().filter_map(|buffer| self.describe(buffer)).collect();
        let signature = Signature {
            name: self.program.name.clone(),
            arguments,
            sizes: self.sizes.clone(),
            workspace_bytes: self.workspace_bytes,
            checks: object.checks,
        };
        // SAFETY: the object was compiled from the program that the signature was made from, and the tests build
        // programs that stay inside their buffers.
        let code = unsafe { Code::new(object.bytes, object.entry, signature) };
        Kernel::load(&code).expect("loads")
    }

    fn describe(&self, buffer: &Buffer) -> Option<Argument> {
        let Place::Argument(position) = buffer.place else { return None };
        let role = match buffer.role {
            Role::Input => runtime::kernel::Role::Input,
            Role::InOut => runtime::kernel::Role::InOut,
            _ => runtime::kernel::Role::Output,
        };
        let dtype = buffer.dtype.name().parse().expect("both crates name the types alike");
        let mut argument = Argument::dense(&buffer.name, dtype, role, &self.shapes[position]);
        for (stride, described) in buffer.strides.iter().zip(&mut argument.strides) {
            match stride {
                Stride::Known(Int::Const(known)) => *described = Some(*known),
                _ => *described = None,
            }
        }
        Some(argument)
    }

    /// Compiles and runs on one thread.
    pub fn run(&self, inputs: &[&Tensor], outputs: &mut [&mut Tensor]) -> Result<(), CallError> {
        run(&self.kernel(), inputs, outputs, &Pool::single())
    }
}

pub fn run(kernel: &Kernel, inputs: &[&Tensor], outputs: &mut [&mut Tensor], pool: &Pool) -> Result<(), CallError> {
    let inputs: Vec<TensorView<'_>> = inputs.iter().map(|tensor| tensor.view()).collect();
    let mut outputs: Vec<TensorViewMut<'_>> = outputs.iter_mut().map(|tensor| tensor.view_mut()).collect();
    kernel.run(&inputs, &mut outputs, pool)
}

/// Row-major strides.
pub fn dense(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for dim in (1..shape.len()).rev() {
        strides[dim - 1] = strides[dim] * shape[dim];
    }
    strides
}

/// A tensor of zeros for a type of the compiler.
pub fn zeros(dtype: DType, shape: &[i64]) -> Tensor {
    Tensor::zeros(dtype.name().parse().expect("both crates name the types alike"), shape).expect("allocates")
}

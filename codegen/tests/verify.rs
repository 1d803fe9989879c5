//! Every rule of a well-formed program, broken once; and what the interpreter says of runs that go wrong.

mod common;

use codegen::interp::{Data, Fault, Tensors, interpret};
use codegen::{At, Int, Op, Options, Program, Reg, Value, VarId};
use common::{inputs, lower, scan, scheduled};
use polyhedral::{DType, Role, TensorId, Value as Scalar};
use support::{Entity, Stage};

/// `for m { for n { C = 0 } } for m2 { for n2 { for k { C = C + A·B } } }`.
fn matmul() -> Program {
    scan(&scheduled("matmul", Some(&[4, 3, 5]), ""), &Options::default()).0
}

#[track_caller]
fn refused(program: &Program, words: &str) {
    let error = program.verify().expect_err("not well formed").to_string();
    assert!(error.contains(words), "{error}");
}

fn output() -> TensorId {
    TensorId::new(2)
}

fn store(at: Vec<At>, value: Value) -> Op {
    Op::Store { buffer: output(), at, lanes: 1, value, mask: None }
}

fn at(base: i64) -> At {
    At::Affine { base: Int::Const(base), step: 0 }
}

fn zero() -> Value {
    Value::Const(Scalar::Float(0.0), DType::F32)
}

#[test]
fn a_variable_outside_of_its_loop() {
    let mut program = matmul();
    let base = Int::Var(VarId::new(0));
    program.body.push(store(vec![At::Affine { base, step: 0 }, at(0)], zero()));
    refused(&program, "i0: used outside of its loop");
}

#[test]
fn a_variable_of_two_loops() {
    let mut program = matmul();
    program.body.push(program.body[0].clone());
    refused(&program, "i0: bound by two loops");
}

#[test]
fn too_few_subscripts() {
    let mut program = matmul();
    program.body.push(store(vec![at(0)], zero()));
    refused(&program, "C: 1 subscripts for 2 dimensions");
}

#[test]
fn a_value_of_another_type() {
    let mut program = matmul();
    program.body.push(store(vec![at(0), at(0)], Value::Int { base: Int::Const(0), step: 0 }));
    refused(&program, "Some(I64) where Some(F32) is wanted");
}

#[test]
fn an_input_that_is_stored_to() {
    let mut program = matmul();
    program.buffers[output()].role = Role::Input;
    refused(&program, "an input is stored to");
}

#[test]
fn a_mask_that_is_no_bool() {
    let mut program = matmul();
    let (buffer, at) = (output(), vec![at(0), at(0)]);
    program.body.push(Op::Store { buffer, at, lanes: 1, value: zero(), mask: Some(zero()) });
    refused(&program, "Some(F32) where Some(Bool) is wanted");
}

#[test]
fn a_register_that_a_parallel_body_shares() {
    let mut program = matmul();
    let reg = program.regs.push(Reg { name: "r".into(), dtype: DType::F32, lanes: 1 });
    let var = program.vars.push("p".into());
    let body = vec![store(vec![at(0), At::Affine { base: Int::Var(var), step: 0 }], Value::Reg(reg))];
    let looped = |parallel: bool| Op::For {
        var,
        lower: Int::Const(0),
        upper: Int::Const(3),
        step: codegen::Int::Const(1),
        parallel,
        body: body.clone(),
    };
    program.body = vec![Op::Set { reg, value: zero() }, looped(false)];
    program.verify().unwrap();
    program.body = vec![Op::Set { reg, value: zero() }, looped(true)];
    refused(&program, "r0: read where it may not be set");
    program.body = vec![looped(false)];
    refused(&program, "r0: read where it may not be set");
}

#[test]
fn lanes_that_do_not_fit() {
    let mut program = matmul();
    let reg = program.regs.push(Reg { name: "r".into(), dtype: DType::F32, lanes: 8 });
    program.body = vec![Op::Set { reg, value: zero() }, store(vec![at(0), at(0)], Value::Reg(reg))];
    refused(&program, "r0: 8 lanes in an op of 1");
}

#[test]
fn a_step_of_zero() {
    let mut program = matmul();
    if let Op::For { step, .. } = &mut program.body[0] {
        *step = codegen::Int::Const(0);
    }
    refused(&program, "i0: a step below 1");
}

#[test]
fn an_access_outside_of_its_buffer_is_a_fault() {
    let scop = scheduled("matmul", Some(&[4, 3, 5]), "");
    let mut program = matmul();
    program.body.push(store(vec![at(0), at(3)], zero()));
    let fault = interpret(&program, &[], &inputs(&scop, &[]), 0);
    assert_eq!(fault, Err(Fault::Outside { buffer: "C".into(), at: vec![0, 3] }));
}

#[test]
fn an_index_out_of_range_is_a_fault_unless_it_is_trusted() {
    let scop =
        scheduled("gather", Some(&[2, 3, 4, 9]), "reorder O.update.b O.update.l O.update.d\nvectorise O.update.d by 4");
    let mut given = inputs(&scop, &[]);
    given.insert("I".into(), Data::from_i64s(DType::I32, &[2, 3], &[1, 2, 3, 1, -1, 2]));
    let checked = lower(&scop, &Options::default());
    let fault = interpret(&checked, &[], &given, 0);
    let found_by = vec![("I".into(), vec![1, 1])];
    let (buffer, value, upper) = ("T".into(), -1, 4);
    assert_eq!(fault, Err(Fault::Index { buffer, dim: 0, value, lower: 0, upper, found_by }));
    assert_eq!(fault.unwrap_err().to_string(), "subscript 0 of `T` is -1, outside of 0..4; it comes from `I(1, 1)`");
    let trusted = lower(&scop, &Options { trust_indices: true, ..Options::default() });
    assert!(!trusted.to_string().contains("check"));
    let fault = interpret(&trusted, &[], &given, 0);
    assert!(matches!(&fault, Err(Fault::Outside { buffer, .. }) if buffer == "T"), "{fault:?}");
}

#[test]
fn arguments_must_fit() {
    let program = matmul();
    let given = Tensors::from([("A".to_string(), Data::zeros(DType::F32, &[4, 4]))]);
    assert_eq!(interpret(&program, &[], &given, 0), Err(Fault::Argument("A has another type or shape".into())));
    assert!(matches!(interpret(&program, &[], &Tensors::new(), 0), Err(Fault::Argument(_))));
    assert!(matches!(interpret(&program, &[7], &given, 0), Err(Fault::Argument(_))));
}

#[test]
fn a_loop_that_may_not_be_parallel_gives_something_else() {
    let scop = scheduled("prefix_sum", Some(&[40]), "");
    let mut program = scan(&scop, &Options::default()).0;
    let given = inputs(&scop, &[]);
    let right = interpret(&program, &[], &given, 1).unwrap();
    for op in &mut program.body {
        if let Op::For { parallel, .. } = op {
            *parallel = true;
        }
    }
    assert_ne!(interpret(&program, &[], &given, 1).unwrap(), right);
}

#[test]
fn strides_of_the_call_and_places_in_the_workspace() {
    let scop = scheduled("matmul_bias_relu", Some(&[3, 5, 2]), "");
    let options = Options { runtime_strides: vec![false, true], ..Options::default() };
    let program = lower(&scop, &options);
    let text = program.to_string();
    assert!(text.contains("input B: float32[2, 5] argument 1 strided"), "{text}");
    assert!(text.contains("temporary T: float32[3, 5] workspace 0"), "{text}");
    assert_eq!(program.workspace(), Int::Const(64));
}

//! Borders: the interior of a stencil has no code of the border, for every kind of border, in every number of dimensions,
//! for fixed sizes and for all sizes at once.

mod agreement;

use std::collections::BTreeMap;

use codegen::interp::{Data, interpret};
use codegen::{At, Int, Op, Program, Value, VarId};
use polyhedral::{BinOp, Scop, eval, isl};
use transform::{Policy, Script, Session};

const KINDS: [&str; 4] = ["clamp", "wrap", "mirror", "pad"];
const AXES: [(&str, &str); 3] = [("i", "N"), ("j", "M"), ("k", "K")];

/// A star of some radius and two corners, with one border.
fn stencil(kind: &str, dims: usize, radius: i64) -> String {
    let axes = &AXES[..dims];
    let read = |offsets: &[i64]| {
        let one = |((var, _), by): (&(&str, &str), &i64)| match by {
            0 => (*var).to_string(),
            by if kind == "pad" => format!("{var} + {by}"),
            by => format!("{kind}({var} + {by})"),
        };
        let index = axes.iter().zip(offsets).map(one).collect::<Vec<_>>().join(", ");
        if kind == "pad" { format!("pad(A({index}), 0)") } else { format!("A({index})") }
    };
    let along = |axis: usize, by: i64| (0..dims).map(|at| if at == axis { by } else { 0 }).collect::<Vec<_>>();
    let star = (0..dims).flat_map(|axis| (1..=radius).flat_map(move |by| [(axis, -by), (axis, by)]));
    let mut reads: Vec<String> = star.map(|(axis, by)| read(&along(axis, by))).collect();
    reads.extend([read(&vec![0; dims]), read(&vec![-radius; dims]), read(&vec![radius; dims])]);
    let names =
        |pick: fn(&(&'static str, &'static str)) -> &'static str| axes.iter().map(pick).collect::<Vec<_>>().join(", ");
    let ranges = axes.iter().map(|(var, size)| format!("{var} in 0:{size}")).collect::<Vec<_>>().join(", ");
    let (sizes, vars) = (names(|(_, size)| size), names(|(var, _)| var));
    format!("def f(float({sizes}) A) -> (B) {{ B({vars}) = {} where {ranges} }}", reads.join(" + "))
}

fn definition(text: &str) -> frontend_tc::Kernel {
    let checked = frontend_tc::check(text);
    assert!(!checked.has_errors(), "{:?}\n{text}", checked.diagnostics);
    checked.defs.into_iter().next().expect("one definition")
}

/// The loops of a definition, of the automatic schedule for AVX-512 or of a script.
fn loops(text: &str, sizes: Option<&[i64]>, script: Option<&str>) -> (Scop, Program) {
    let (def, ctx) = (definition(text), isl::Ctx::new());
    let scop = match sizes {
        Some(sizes) => frontend_tc::lower_at(&def, &ctx, sizes),
        None => frontend_tc::lower(&def, &ctx),
    };
    let target = tilewright::target_named("x86-64-v4").expect("a target");
    let mut session = Session::new(scop.expect("a program"), &target).expect("its dependences are found");
    match script.map(|script| script.parse::<Script>().expect("a script")) {
        Some(script) => session.replay(&script),
        None => scheduler::Cpu.schedule(&mut session),
    }
    .unwrap_or_else(|refused| panic!("{refused}\n{text}"));
    let scop = session.finish().unwrap_or_else(|refused| panic!("{refused}\n{text}")).scop;
    let options = codegen::Options { fma: true, ..codegen::Options::default() };
    let program = codegen::lower(&scop, &options, &mut Vec::new()).expect("loops");
    (scop, program)
}

/// Walks what a program runs, and looks at each store whose elements are all inside.
struct Interior<'a> {
    program: &'a Program,
    sizes: &'a [i64],
    shape: &'a [i64],
    /// How far from the border an element is inside, in each dimension.
    margin: &'a [i64],
    vars: BTreeMap<VarId, i64>,
    /// Elements stored inside without code of the border.
    plain: i64,
}

impl Interior<'_> {
    fn int(&self, int: &Int) -> i64 {
        int.eval(&|var| self.vars.get(&var).copied(), self.sizes).expect("no overflow")
    }

    fn ops(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::For { var, lower, upper, step, body, .. } => {
                    let step = usize::try_from(self.int(step)).expect("a step");
                    for value in (self.int(lower)..self.int(upper)).step_by(step) {
                        self.vars.insert(*var, value);
                        self.ops(body);
                    }
                }
                Op::If { cond, then, otherwise } => {
                    let holds = cond.eval(&|var| self.vars.get(&var).copied(), self.sizes).expect("no overflow");
                    self.ops(if holds { then } else { otherwise });
                }
                Op::Local { body, .. } => self.ops(body),
                Op::Store { at, lanes, value, .. } => self.store(at, i64::from(*lanes), value),
                _ => {}
            }
        }
    }

    fn store(&mut self, at: &[At], lanes: i64, value: &Value) {
        let is_inside = at.iter().zip(self.shape).zip(self.margin).all(|((at, extent), margin)| {
            let At::Affine { base, step } = at else { return false };
            let (first, last) = (self.int(base), self.int(base) + step * (lanes - 1));
            *margin <= first && last < extent - margin
        });
        if is_inside {
            assert!(
                is_plain(value),
                "at {:?}\n{}",
                at.iter()
                    .map(|at| match at {
                        At::Affine { base, .. } => self.int(base),
                        At::Indirect(_) => -1,
                    })
                    .collect::<Vec<_>>(),
                self.program
            );
            self.plain += lanes;
        }
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Select(..) | Value::Binary(BinOp::Mod | BinOp::Min | BinOp::Max, ..) => false,
        Value::Load { at, .. } => at.iter().all(is_plain_at),
        Value::Binary(_, a, b) => is_plain(a) && is_plain(b),
        Value::MulAdd(a, b, c) => is_plain(a) && is_plain(b) && is_plain(c),
        _ => true,
    }
}

fn is_plain_at(at: &At) -> bool {
    matches!(at, At::Affine { base, .. } if is_plain_int(base))
}

fn is_plain_int(int: &Int) -> bool {
    match int {
        Int::Const(_) | Int::Var(_) | Int::Param(_) => true,
        Int::Add(a, b) | Int::Mul(a, b) => is_plain_int(a) && is_plain_int(b),
        Int::FloorDiv(..) | Int::Mod(..) | Int::Min(..) | Int::Max(..) | Int::Select(..) => false,
    }
}

/// Elements that are stored inside; each without code of the border.
#[track_caller]
fn plain(program: &Program, sizes: &[i64], shape: &[i64], margin: &[i64]) -> i64 {
    let mut interior = Interior { program, sizes, shape, margin, vars: BTreeMap::new(), plain: 0 };
    interior.ops(&program.body);
    interior.plain
}

/// The margin of copies of rows, of which some are at the border.
const COPIES: i64 = 4;

/// Runs the loops without LLVM, and compares with the evaluator.
#[track_caller]
fn agrees(scop: &Scop, program: &Program, sizes: &[i64], shape: &[i64]) {
    let count = shape.iter().product::<i64>();
    let values: Vec<f64> = (0..count).map(|at| f64::from(u8::try_from(at * 7 % 31).expect("small"))).collect();
    let inputs = BTreeMap::from([("A".to_string(), Data::from_f64s(polyhedral::DType::F32, shape, &values))]);
    let expected = eval::run(scop, sizes, &inputs, eval::Limits::default()).expect("it runs");
    let actual = interpret(program, sizes, &inputs, 1).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
    assert_eq!(actual["B"].to_f64s(), expected["B"].to_f64s(), "{program}");
}

#[test]
fn the_interior_has_no_border_in_any_number_of_dimensions() {
    for kind in KINDS {
        for (shape, radius) in
            [(&[200][..], 1), (&[203], 3), (&[22, 75], 1), (&[24, 64], 3), (&[13, 14, 64], 1), (&[18, 17, 83], 3)]
        {
            let text = stencil(kind, shape.len(), radius);
            let (scop, program) = loops(&text, Some(shape), None);
            let copied = |at: usize| if at + 1 == shape.len() { radius } else { radius + COPIES };
            let margin: Vec<i64> = (0..shape.len()).map(copied).collect();
            let inside = plain(&program, &[], shape, &margin);
            // All vectors but those at the ends of a row, in all rows but those at the border.
            let (columns, rows) = shape.split_last().expect("a dimension");
            let least = rows.iter().map(|rows| rows - 2 * (radius + COPIES)).product::<i64>()
                * (columns - 2 * 16 - columns % 16);
            assert!(inside >= least, "{kind} {shape:?}: {inside} of {least}\n{program}");
            agrees(&scop, &program, &[], shape);
        }
    }
}

#[test]
fn nor_for_all_sizes_at_once() {
    for kind in KINDS {
        for dims in 1..=3 {
            for script in
                ["", "vectorise B.i by 4", "vectorise B.j by 4\nparallel B.i", "vectorise B.k by 8\nunroll B.j by 2"]
            {
                let last = script
                    .split_whitespace()
                    .nth(1)
                    .and_then(|name| AXES.iter().position(|(var, _)| name.ends_with(var)));
                if last.is_some_and(|last| last + 1 != dims) {
                    continue;
                }
                let text = stencil(kind, dims, 1);
                let (scop, program) = loops(&text, None, Some(script));
                for shape in [[13, 37, 41], [2, 2, 2], [3, 4, 17], [5, 1, 16], [1, 1, 1]] {
                    // One element has no other to be mirrored from: that is refused at the call.
                    let shape = if kind == "mirror" { shape.map(|extent| extent.max(2)) } else { shape };
                    let shape = &shape[..dims];
                    plain(&program, shape, shape, &[3, 3, 8][3 - dims..]);
                    agrees(&scop, &program, shape, shape);
                }
            }
        }
    }
}

#[test]
fn borders_on_threads_of_this_machine() {
    for kind in KINDS {
        for dims in 1..=3 {
            agreement::runs(&definition(&stencil(kind, dims, 2)))
                .unwrap_or_else(|wrong| panic!("{kind} {dims}: {wrong}"));
        }
    }
}

#[test]
fn loops_of_a_window_are_cut_for_all_of_it() {
    let text = "def f(float(N, M) A) -> (B) {
        B(i, j) +=! A(clamp(i + r - 1), clamp(j + s - 1)) where i in 0:N, j in 0:M, r in 0:3, s in 0:3
    }";
    let shape = [20, 200];
    let (scop, program) = loops(text, Some(&shape), None);
    assert!(plain(&program, &[], &shape, &[1, 1]) > 18 * 128, "{program}");
    agrees(&scop, &program, &[], &shape);
}

/// Code of the border does not grow with its width.
#[test]
fn three_pieces_for_each_dimension() {
    for kind in KINDS {
        let lines =
            |radius: i64| loops(&stencil(kind, 3, radius), Some(&[40, 40, 160]), None).1.to_string().lines().count();
        let (one, three) = (lines(1), lines(3));
        assert!(one <= 80 && three <= 80, "{kind}: {one} and {three} lines");
    }
}

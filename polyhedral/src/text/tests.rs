use expect_test::{Expect, expect};
use support::{Entity, Span, Stage};

use super::{parse_tree, print_tree};
use crate::testing::{PROGRAMS, Rng, gather, matmul, program, random, scop};
use crate::{
    Access, BinOp, Body, Builtin, CmpOp, DType, Expr, Index, Kind, Monoid, Node, Scop, Stmt, StmtId, Subscript,
    TensorId, UnOp, Value, isl,
};

fn reread(scop: &Scop) -> Scop {
    let printed = scop.to_string();
    Scop::parse(&scop.ctx, &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"))
}

/// Everything but the spelling of sets.
#[track_caller]
fn assert_same(a: &Scop, b: &Scop) {
    assert_eq!((&a.name, &a.params, &a.source), (&b.name, &b.params, &b.source));
    assert!(a.context.is_equal(&b.context).expect("isl"));
    assert_eq!(format!("{:?}", a.tensors), format!("{:?}", b.tensors));
    for (mine, theirs) in a.stmts.values().zip(b.stmts.values()) {
        assert_eq!((&mine.name, &mine.dims, mine.span), (&theirs.name, &theirs.dims, theirs.span));
        assert!(mine.domain.is_equal(&theirs.domain).expect("isl"), "{} and {}", mine.domain, theirs.domain);
        assert_eq!(mine.reads.len(), theirs.reads.len());
        // Sums are nested to the left in the text.
        assert_eq!(format!("{:?}", mine.body), format!("{:?}", theirs.body));
    }
    assert_eq!(a.stmts.len(), b.stmts.len());
    assert!(a.origin.is_equal(&b.origin).expect("isl"));
    assert!(a.tree.domain.is_equal(&b.tree.domain).expect("isl"));
    assert_same_node(&a.tree.root, &b.tree.root);
}

#[track_caller]
fn assert_same_node(a: &Node, b: &Node) {
    assert_eq!(std::mem::discriminant(a), std::mem::discriminant(b));
    if let (Node::Band(a), Node::Band(b)) = (a, b) {
        assert_eq!((a.permutable, a.members.len()), (b.permutable, b.members.len()));
        for (a, b) in a.members.iter().zip(&b.members) {
            assert_eq!((&a.name, a.coincident, a.kind), (&b.name, b.coincident, b.kind));
            let (a, b) = (a.schedule.to_union_map().expect("isl"), b.schedule.to_union_map().expect("isl"));
            assert!(a.is_equal(&b).expect("isl"), "{a} and {b}");
        }
    }
    for (a, b) in a.children().into_iter().zip(b.children()) {
        assert_same_node(a, b);
    }
}

#[test]
fn a_statement_that_never_runs_reads_back() {
    let ctx = isl::Ctx::new();
    let never = program(&ctx, "transpose_nest").specialise(&[1]).expect("a size");
    assert!(never.stmts.values().any(|stmt| stmt.domain.is_empty().expect("isl")), "{never}");
    let again = reread(&never);
    assert_same(&never, &again);
    assert_eq!(again.to_string(), never.to_string());
}

#[test]
fn what_is_printed_reads_back_to_the_same_program_and_text() {
    let ctx = isl::Ctx::new();
    for (name, _) in PROGRAMS {
        let scop = program(&ctx, name);
        let again = reread(&scop);
        assert_same(&scop, &again);
        assert_eq!(again.to_string(), scop.to_string());
    }
}

#[test]
fn random_ones_too() {
    for seed in 0..100 {
        let scop = random(&isl::Ctx::new(), seed);
        let again = reread(&scop);
        assert_eq!(again.to_string(), scop.to_string(), "seed {seed}");
        for (mine, theirs) in scop.stmts.values().zip(again.stmts.values()) {
            assert!(mine.domain.is_equal(&theirs.domain).expect("isl"), "seed {seed}");
        }
        again.verify().expect("well formed");
    }
}

#[test]
fn the_text_of_a_matrix_product() {
    expect![[r#"
        scop matmul(M, N, K)
        context { : M > 0 and N > 0 and K > 0 }
        input A: float32[M, K]
        input B: float32[K, N]
        output C: float32[M, N]
        stmt C.init[m, n]
          domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
          C[m, n] = 0.0f32
        stmt C.update[m, n, k]
          domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
          C[m, n] sum= A[m, k] * B[k, n]
        source
          for m
            for n
              C.init
          for m
            for n
              for k
                C.update
        tree
          sequence
            filter { C.init[m, n] }
              band
                C.init.m = { C.init[m, n] -> [(m)] }
                C.init.n = { C.init[m, n] -> [(n)] }
            filter { C.update[m, n, k] }
              band
                C.update.m = { C.update[m, n, k] -> [(m)] }
                C.update.n = { C.update[m, n, k] -> [(n)] }
                C.update.k = { C.update[m, n, k] -> [(k)] }
        origin identity
    "#]]
    .assert_eq(&matmul(&isl::Ctx::new()).to_string());
}

/// A statement without loops that computes `body`, and its lines in the text.
fn with_body(change: impl FnOnce(&mut Scop)) -> String {
    let ctx = isl::Ctx::new();
    let mut scop = gather(&ctx);
    change(&mut scop);
    let again = reread(&scop);
    let (mine, theirs) = (update(&scop), update(&again));
    assert_eq!(format!("{:?} {:?}", mine.reads, mine.writes), format!("{:?} {:?}", theirs.reads, theirs.writes));
    assert_eq!(format!("{:?}", mine.body), format!("{:?}", theirs.body));
    let printed = scop.to_string();
    let lines = printed.lines().skip_while(|line| !line.starts_with("stmt O.update")).skip(2);
    lines.take_while(|line| *line != "source").map(str::trim).collect::<Vec<_>>().join("\n")
}

const UPDATE: usize = 1;

fn update(scop: &Scop) -> &Stmt {
    &scop.stmts[StmtId::new(UPDATE)]
}

#[track_caller]
fn check_expr(expr: Expr, expected: Expect) {
    let text = with_body(|scop| scop.stmts[StmtId::new(UPDATE)].body = Body::Assign(vec![expr]));
    expected.assert_eq(&text);
}

fn constant(value: f64) -> Expr {
    Expr::Const(Value::Float(value), DType::F64)
}

fn binary(op: BinOp, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

fn unary(op: UnOp, e: Expr) -> Expr {
    Expr::Unary(op, Box::new(e))
}

#[test]
fn constants_keep_their_value_and_type() {
    let numbers = [0.1, -0.0, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0 / 3.0, f64::MAX];
    let all = numbers.into_iter().map(constant).reduce(|a, b| binary(BinOp::Add, a, b)).expect("some");
    check_expr(
        all,
        expect![[r#"
        reads I[b, l], T[value(read(0)), d]
        O[b, d] = 0.1f64 + -0.0f64 + 1e300f64 + 5e-324f64 + inf_f64 + -inf_f64 + nan_f64 + 0.3333333333333333f64 + 1.7976931348623157e308f64"#]],
    );
    for dtype in DType::ALL {
        let value = if dtype.is_float() { Value::Float(1.5) } else { Value::Int(1) };
        with_body(|scop| scop.stmts[StmtId::new(UPDATE)].body = Body::Assign(vec![Expr::Const(value, dtype)]));
    }
    let extreme = |value| Expr::Const(Value::Int(value), DType::I64);
    check_expr(
        binary(BinOp::Min, extreme(i64::MIN.into()), extreme(i64::MAX.into())),
        expect![[r#"
            reads I[b, l], T[value(read(0)), d]
            O[b, d] = min(-9223372036854775808i64, 9223372036854775807i64)"#]],
    );
}

#[test]
fn operators_print_with_the_parentheses_they_need() {
    let load = || Expr::Load(1);
    let sum = |a, b| binary(BinOp::Add, a, b);
    check_expr(
        sum(load(), sum(load(), load())),
        expect!["O[b, d] = T[value(I[b, l]), d] + (T[value(I[b, l]), d] + T[value(I[b, l]), d])"],
    );
    check_expr(
        unary(UnOp::Neg, binary(BinOp::Mul, unary(UnOp::Neg, load()), unary(UnOp::Neg, constant(-2.0)))),
        expect!["O[b, d] = -(-T[value(I[b, l]), d] * -(-2.0f64))"],
    );
    let less = |a, b| Expr::Compare(CmpOp::Lt, Box::new(a), Box::new(b));
    check_expr(
        Expr::Select(
            Box::new(binary(
                BinOp::And,
                binary(BinOp::Or, less(load(), load()), unary(UnOp::Not, less(load(), load()))),
                less(less(load(), load()), less(load(), load())),
            )),
            Box::new(Expr::Call(Builtin::Fma, vec![load(), load(), load()])),
            Box::new(Expr::Cast(DType::BF16, Box::new(Expr::Index(Index::Dim(0) - Index::Dim(1) - 1)))),
        ),
        expect![
            "O[b, d] = select((T[value(I[b, l]), d] < T[value(I[b, l]), d] || !(T[value(I[b, l]), d] < T[value(I[b, l]), d])) && (T[value(I[b, l]), d] < T[value(I[b, l]), d]) < (T[value(I[b, l]), d] < T[value(I[b, l]), d]), fma(T[value(I[b, l]), d], T[value(I[b, l]), d], T[value(I[b, l]), d]), bfloat16(index(b - d - 1)))"
        ],
    );
}

#[test]
fn subscripts_of_every_form_read_back() {
    let (b, d) = (|| Index::Dim(0), || Index::Dim(1));
    let boxed = |e: Index| Box::new(e);
    for index in [
        Index::Add(boxed(b()), boxed(Index::Const(i64::MIN))),
        Index::Mul(i64::MIN, boxed(d())),
        Index::Mul(2, boxed(Index::Mul(-3, boxed(b() + d())))),
        Index::Mul(-1, boxed(Index::Const(-3))),
        -(b() - d()).modulo(4),
        (-b()).modulo(4),
        (b() - 1).floor_div(3) + Index::Const(5) - d().min(Index::Param(2)).max(b() + 1),
        Index::Mod(boxed(Index::Const(-1)), 3),
        Index::Mod(boxed(Index::Mod(boxed(b()), 6)), 3),
        Index::Const(-1) - b(),
        Index::select(b() - 1, Index::select(Index::Param(2) - d(), b(), d() - 4), 2 * d()) + b(),
        Index::Mul(3, boxed(Index::select(d(), b(), -d()))),
    ] {
        let text = with_body(|scop| {
            scop.stmts[StmtId::new(UPDATE)].reads[1].index[1] = Subscript::Affine(index.clone());
        });
        assert!(text.contains("T[value(I[b, l]), "), "{text}");
    }
}

#[test]
fn a_sum_nested_to_the_right_prints_in_one_row() {
    let right =
        Index::Add(Box::new(Index::Dim(0)), Box::new(Index::Add(Box::new(Index::Dim(1)), Box::new(Index::Const(-1)))));
    let ctx = isl::Ctx::new();
    let mut scop = gather(&ctx);
    scop.stmts[StmtId::new(UPDATE)].reads[1].index[1] = Subscript::Affine(right);
    assert!(scop.to_string().contains("T[value(I[b, l]), b + d - 1]"), "{scop}");
    assert_eq!(reread(&scop).to_string(), scop.to_string());
}

#[test]
fn reads_are_listed_when_the_body_does_not_say_them() {
    let twice = with_body(|scop| {
        let update = &mut scop.stmts[StmtId::new(UPDATE)];
        update.reads.push(update.reads[1].clone());
        *update.body.exprs_mut().first_mut().expect("one") = binary(BinOp::Mul, Expr::Load(1), Expr::Load(2));
    });
    expect![[r#"
          reads I[b, l], T[value(read(0)), d], T[value(read(0)), d]
          O[b, d] sum= read(1) * read(2)"#]]
    .assert_eq(&twice);
    let spans = with_body(|scop| {
        let update = &mut scop.stmts[StmtId::new(UPDATE)];
        update.reads[1].span = Span::new(3, 14);
    });
    expect![[r#"
          spans 0..0, 3..14, 0..0
          O[b, d] sum= T[value(I[b, l]), d]"#]]
    .assert_eq(&spans);
}

#[test]
fn reads_inside_reads_do_not_print_again_and_again() {
    let ctx = isl::Ctx::new();
    let mut scop = gather(&ctx);
    let update = &mut scop.stmts[StmtId::new(UPDATE)];
    for k in 0..60 {
        let both = binary(BinOp::Add, Expr::Load(k), Expr::Load(k));
        let index = vec![Subscript::Indirect(both), Subscript::Affine(Index::Const(0))];
        update.reads.insert(k + 1, Access { tensor: TensorId::new(0), index, span: Span::default() });
    }
    assert!(scop.to_string().len() < 10_000);
    assert_eq!(reread(&scop).to_string(), scop.to_string());
}

#[test]
fn monoids_of_several_components() {
    let text = with_body(|scop| {
        let update = &mut scop.stmts[StmtId::new(UPDATE)];
        update.writes.push(update.writes[0].clone());
        let (newer, older) = (|| Expr::Term(0), || Expr::State(0));
        let better = || Box::new(Expr::Compare(CmpOp::Gt, Box::new(newer()), Box::new(older())));
        let pick = |i| Expr::Select(better(), Box::new(Expr::Term(i)), Box::new(Expr::State(i)));
        let monoid = Monoid {
            name: "argmax".into(),
            dtypes: vec![DType::F32, DType::I64],
            identity: vec![Value::Float(f64::NEG_INFINITY), Value::Int(-1)],
            combine: vec![pick(0), pick(1)],
        };
        update.body = Body::Reduce { monoid, terms: vec![Expr::Load(1), Expr::Index(Index::Dim(2))] };
    });
    expect![[r#"
          monoid argmax(float32, int64) identity (-inf_f32, -1i64) combine (select(term(0) > state(0), term(0), state(0)), select(term(0) > state(0), term(1), state(1)))
          O[b, d], O[b, d] argmax= T[value(I[b, l]), d], index(l)"#]]
    .assert_eq(&text);
}

#[test]
fn trees_of_every_node() {
    let ctx = isl::Ctx::new();
    let scop = matmul(&ctx);
    let text = r#"
        # tiles of the update, a pair of unordered halves, a mark
        sequence
          filter { C.update[m, n, k] }
            band permutable
              mo = { C.update[m, n, k] -> [(floor((m)/32))] } coincident parallel
              C.update.k = { C.update[m, n, k] -> [(k)] }
              mark "a \"b\" # c\n"
                band
                  mi = { C.update[m, n, k] -> [(m)] } coincident unroll 4
                  ni = { C.update[m, n, k] -> [(n)] } coincident vector 8
          filter { C.init[m, n] }
            set
              filter { C.init[m, n] : n < 5 }
              filter { C.init[m, n] : n >= 5 }
                band
                  odd = { C.init[m, n] -> [(m)] : m >= n; C.init[m, n] -> [(n - m)] : m < n }
    "#;
    let tree = parse_tree(&scop, text).expect("a tree");
    let printed = print_tree(&scop, &tree).expect("isl");
    expect![[r#"
        sequence
          filter { C.update[m, n, k] }
            band permutable
              mo = { C.update[m, n, k] -> [(floor((m)/32))] } coincident parallel
              C.update.k = { C.update[m, n, k] -> [(k)] }
              mark "a \"b\" # c\n"
                band
                  mi = { C.update[m, n, k] -> [(m)] } coincident unroll 4
                  ni = { C.update[m, n, k] -> [(n)] } coincident vector 8
          filter { C.init[m, n] }
            set
              filter { C.init[m, n] : n <= 4 }
              filter { C.init[m, n] : n >= 5 }
                band
                  odd = { C.init[m, n] -> [(-m + n)] : n > m; C.init[m, n] -> [(m)] : n <= m }
    "#]]
    .assert_eq(&printed);
    let again = parse_tree(&scop, &printed).expect("a tree");
    assert_same_node(&tree.root, &again.root);
    assert_eq!(print_tree(&scop, &again).expect("isl"), printed);
    assert_eq!(again.member("ni").map(|member| member.kind), Some(Kind::Vector(8)));
    let scheduled = Scop { tree, ..scop };
    assert_same(&scheduled, &reread(&scheduled));
}

#[test]
fn a_tree_of_other_instances_says_its_domain() {
    let ctx = isl::Ctx::new();
    let scop = matmul(&ctx);
    let text = "domain { C.init[m, n] : 0 <= m <= 3 and 0 <= n < N }\nleaf\n";
    let tree = parse_tree(&scop, text).expect("a tree");
    assert_eq!(print_tree(&scop, &tree).expect("isl"), text);
}

#[test]
fn the_origin_of_copies_reads_back() {
    let ctx = isl::Ctx::new();
    let mut scop = matmul(&ctx);
    let text = "[M, N, K] -> { C.init[m, n] -> C.init[m, n] : n < 4; C.update[m, n, k] -> C.update[m, n, 0] }";
    scop.origin = isl::UnionMap::read(&ctx, text).expect("a map");
    assert_same(&scop, &reread(&scop));
    assert_eq!(reread(&scop).to_string(), scop.to_string());
}

#[track_caller]
fn check_error(text: &str, expected: Expect) {
    let ctx = isl::Ctx::new();
    expected.assert_eq(&Scop::parse(&ctx, text).expect_err("is refused").to_string());
}

/// A Scop whose last line is `line`, inside a statement.
fn in_stmt(line: &str) -> String {
    format!(
        "scop f(N)\ninput A: float32[N]\noutput B: float32[N]\nstmt B[i]\n  domain {{ B[i] : 0 <= i < N }}\n  {line}\n"
    )
}

#[test]
fn errors_name_the_line_and_what_was_expected() {
    check_error("", expect!["line 1: expected `scop NAME(SIZES)`, found nothing"]);
    check_error("# nothing\n\nscope f()", expect!["line 3: expected `scop`, found `scope`"]);
    check_error("scop f(N, N)", expect!["line 1: `N` twice"]);
    check_error("scop f(or)", expect!["line 1: `or` is a word of isl's notation and cannot name a size"]);
    check_error(
        "scop f()\nfloat A",
        expect![
            "line 2: expected `context`, `input`, `output`, `inout`, `temporary`, `stmt`, `source`, `tree` or `origin` at the start of a line, found `float`"
        ],
    );
    check_error("scop f()\ninput A: real[3]", expect!["line 2: expected a type, found `real`"]);
    check_error("scop f()\ninput A: float32[N]", expect!["line 2: no dimension and no size is called `N`"]);
    check_error("scop f()\n  input A: float32[1]", expect!["line 2: nothing belongs below `scop`"]);
    check_error("scop f()\n\tinput A: float32[1]", expect!["line 2: indentation is spaces; a tab was found"]);
    check_error(
        "scop f()\nstmt S[i]\n  domain { T[i] : i = 0 }",
        expect!["line 3: expected a set of `S[i]`, found one of `T` with 1 dimensions"],
    );
    check_error("scop f()\nstmt S[i]\n  domain { S[i] : i = }", expect![[r#"line 3: isl refused: syntax error"#]]);
    check_error(
        "scop f()\nstmt S[i]\n  domain { S[i] : i = 0 }",
        expect!["line 2: `S` computes nothing: expected `C[…] = …`"],
    );
    check_error(&in_stmt("B[i] = A[i] * 2.0"), expect!["line 6: `2.0` does not say its type: `1.0f32`, `3i64`"]);
    check_error(&in_stmt("B[i] = A[j]"), expect!["line 6: no dimension and no size is called `j`"]);
    check_error(&in_stmt("B[i] = C[i]"), expect!["line 6: no tensor is called `C`"]);
    check_error(&in_stmt("B[i] = (A[i] + A[i]"), expect!["line 6: expected `)`, found the end of the line"]);
    check_error(&in_stmt("B[i] = A[i] < A[i] < A[i]"), expect!["line 6: comparisons do not chain: use parentheses"]);
    check_error(&in_stmt("B[i] = pow(A[i])"), expect!["line 6: `pow` takes 2 arguments, 1 are given"]);
    check_error(&in_stmt("B[i] = foo(A[i])"), expect!["line 6: no function is called `foo`"]);
    check_error(
        &in_stmt("B[i] xor= A[i]"),
        expect!["line 6: no reduction is called `xor`: `sum`, `prod`, `min`, `max`, or a `monoid` line"],
    );
    check_error(&in_stmt("B[i] = A[i mod 0]"), expect!["line 6: a divisor of 0"]);
    check_error(&in_stmt("B[i] = é"), expect!["line 6: `é` has no meaning here"]);
    let full = in_stmt("B[i] = A[i]");
    check_error(
        &format!("{full}source\n  for i\n    C"),
        expect!["line 9: expected `for NAME` or a statement, found `C`"],
    );
    check_error(
        &format!("{full}source\n  for i\n    for j\n      B"),
        expect!["line 10: `B` has 1 dimensions and stands under 2 loops"],
    );
    check_error(
        &format!("{full}tree\n  loop"),
        expect!["line 8: expected `band`, `sequence`, `set`, `mark` or `leaf`, found `loop`"],
    );
    check_error(
        &format!("{full}tree\n  band"),
        expect!["line 8: a band without members: expected `NAME = { … }` below it"],
    );
    check_error(
        &format!("{full}tree\n  band\n    i = {{ B[i] -> [(i)] }} vector"),
        expect!["line 9: expected a width, found the end of the line"],
    );
    check_error(&format!("{full}tree\n  leaf\ntree\n  leaf"), expect!["line 9: a second `tree`"]);
}

#[test]
fn deep_and_long_texts_are_refused() {
    let deep = "(".repeat(100_000);
    check_error(&in_stmt(&format!("B[i] = {deep}")), expect!["line 6: parentheses nested deeper than 1000"]);
    check_error(
        &in_stmt(&format!("B[i] = {}A[i]", "-".repeat(100_000))),
        expect!["line 6: operators nested deeper than 1000"],
    );
    check_error(&in_stmt(&format!("B[i] = A[{deep}")), expect!["line 6: a subscript nested deeper than 1000"]);
    check_error(
        &in_stmt(&format!("B[i] = A[{}i]", "-".repeat(100_000))),
        expect!["line 6: a subscript nested deeper than 1000"],
    );
    check_error(
        &in_stmt(&format!("B[i] = {}", "A[value(".repeat(50_000))),
        expect!["line 6: parentheses nested deeper than 1000"],
    );
    check_error(
        &in_stmt(&format!("B[i] = A[i]{}", " + A[i]".repeat(100_000))),
        expect!["line 6: an expression nested deeper than 1000"],
    );
    check_error(
        &in_stmt(&format!("B[i] = A[i{}]", " + i".repeat(100_000))),
        expect!["line 6: an expression nested deeper than 1000"],
    );
    let nested: String = (0..1000).map(|level| format!("{:1$}for i\n", "", level + 1)).collect();
    check_error(&format!("scop f()\nsource\n{nested}"), expect!["line 130: nested deeper than 128 levels"]);
    let set = format!("scop f(N)\ncontext {{ : {}N > 0 }}", "(".repeat(100_000));
    check_error(&set, expect!["line 2: text refused before isl read it: nested deeper than 64"]);
}

/// Damages good texts: whatever is read then prints, and nothing panics.
#[test]
fn no_text_panics() {
    const PIECES: &[&str] = &[
        "(", ")", "[", "]", "{", "}", ",", ":", "=", "-1", "0", "i", "N", " ", "\n", "  ", "value(", "..", "#", "\"",
        "é",
    ];
    let mut rng = Rng::new(7);
    let texts: Vec<String> = PROGRAMS.iter().map(|(name, _)| program(&isl::Ctx::new(), name).to_string()).collect();
    let mut read = 0;
    for _ in 0..700 {
        let mut text: Vec<char> = rng.pick(&texts).chars().collect();
        for _ in 0..rng.between(1, 3) {
            let at = rng.below(text.len());
            match rng.below(4) {
                0 => drop(text.remove(at)),
                1 => drop(text.splice(at..at, rng.pick(PIECES).chars())),
                2 => drop(text.drain(at..(at + rng.below(30)).min(text.len()))),
                _ => {
                    let other = rng.below(text.len());
                    text.swap(at, other);
                }
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(scop) = Scop::parse(&isl::Ctx::new(), &text) {
            read += 1;
            let _ = scop.verify();
            let _ = scop.to_string();
        }
    }
    assert!(read > 10, "most damage is found, some is none: {read}");
}

#[test]
fn short_forms_mean_the_source_order() {
    let ctx = isl::Ctx::new();
    let short = scop(&ctx, &in_stmt("B[i] = A[i]"));
    assert_same(&short, &reread(&short));
}

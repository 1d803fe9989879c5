//! What the commands make, and that it is proved.

use expect_test::{Expect, expect};
use polyhedral::{Scop, Tensor, isl, testing};
use support::Stage;
use transform::{Options, Session};

use crate::common::{self, replay};
use crate::refusals::ROWS;

/// The new statements and the temporaries after a script, which is proved as a whole; its record replays to the same.
#[track_caller]
fn check_on(make: impl Fn() -> Session, script: &str, expected: Expect) {
    let mut first = make();
    replay(&mut first, script).unwrap_or_else(|refused| panic!("{refused}"));
    let recorded = first.script().to_string();
    let mut second = make();
    replay(&mut second, &recorded).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(second.script().to_string(), recorded, "the record replays to the same bytes");
    let text = first.scop().to_string();
    assert_eq!(second.scop().to_string(), text, "the record replays to the same program");
    first.scop().verify().unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let again = Scop::parse(&first.scop().ctx, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.to_string(), text, "what is printed is read back");

    let storage = storage(first.source(), first.scop());
    first.finish().unwrap_or_else(|refused| panic!("{refused}"));
    expected.assert_eq(&format!("{storage}---\n{recorded}"));
}

#[track_caller]
fn check(program: &str, script: &str, expected: Expect) {
    check_on(|| common::session(program), script, expected);
}

#[track_caller]
fn check_rows(script: &str, expected: Expect) {
    check_on(|| common::session_of(testing::scop(&isl::Ctx::new(), ROWS), Options::default()), script, expected);
}

/// The lines of the text that tell temporaries and what statements compute, where they are not the source's.
fn storage(source: &Scop, scop: &Scop) -> String {
    let is_computed = |line: &str| {
        let sets = line.contains('{');
        !sets && (line.starts_with("temporary") || line.contains(" = ") || line.contains("sum="))
    };
    let lines = |scop: &Scop| -> Vec<String> {
        let text = scop.to_string();
        let statements = text.lines().take_while(|line| !line.starts_with("source"));
        statements
            .map(|line| line.trim().to_string())
            .filter(|line| is_computed(line) || line.starts_with("reads"))
            .collect()
    };
    let old = lines(source);
    lines(scop).into_iter().filter(|line| !old.contains(line)).map(|line| line + "\n").collect()
}

#[test]
fn a_packed_panel() {
    check(
        "matmul",
        "tile C.update.n C.update.k by 16 32 as no ko / ni ki\npromote B at C.update.ko as Bp",
        expect![[r#"
            temporary Bp: float32[32, 16] stack
            C[m, n] sum= A[m, k] * Bp[k - 32*floor((k)/32), n - 16*floor((n)/16)]
            Bp[x0, x1] = B[32*ko + x0, 16*no + x1]
            ---
            tile C.update.n C.update.k by 16 32 as no ko / ni ki
            promote B at C.update.ko as Bp in stack
        "#]],
    );
}

#[test]
fn a_transposed_and_padded_panel_of_the_left_operand() {
    check(
        "matmul",
        "tile C.update.m C.update.k by 6 32 as mo ko / mi ki\npromote A at C.update.ko as Ap transposed 1 0 padded 2",
        expect![[r#"
            temporary Ap: float32[32, 6] stack layout [i0, i1] of [32, 8]
            C[m, n] sum= Ap[k - 32*floor((k)/32), m - 6*floor((m)/6)] * B[k, n]
            Ap[x0, x1] = A[6*mo + x1, 32*ko + x0]
            ---
            tile C.update.m C.update.k by 6 32 as mo ko / mi ki
            promote A at C.update.ko as Ap transposed 1 0 padded 2 in stack
        "#]],
    );
}

#[test]
fn a_register_tile_of_the_accumulator() {
    check(
        "matmul",
        "tile C.update.m C.update.n by 6 16 as mo no / mi ni\npromote C at C.update.no as Ct",
        expect![[r#"
            temporary Ct: float32[6, 16] stack
            Ct[m - 6*floor((m)/6), n - 16*floor((n)/16)] sum= A[m, k] * B[k, n]
            Ct[x0, x1] = C[6*mo + x0, 16*no + x1]
            C[6*mo + x0, 16*no + x1] = Ct[x0, x1]
            ---
            tile C.update.m C.update.n by 6 16 as mo no / mi ni
            promote C at C.update.no as Ct in stack
        "#]],
    );
}

#[test]
fn two_boxes_in_turn() {
    check(
        "matmul",
        "split C.update.k by 32\npromote A at C.update.ko double",
        expect![[r#"
            temporary A_local: float32[2, 1, 32] stack
            C[m, n] sum= A_local[floor((k)/32) - 2*floor((k)/64), 0, k - 32*floor((k)/32)] * B[k, n]
            A_local[ko - 2*floor((ko)/2), 0, x1] = A[m, 32*ko + x1]
            ---
            split C.update.k by 32 as ko ki
            promote A at C.update.ko as A_local double in stack
        "#]],
    );
}

#[test]
fn a_halo() {
    check(
        "conv3x3",
        "tile O.update.h O.update.w by 8 16 as ho wo / hi wi\npromote I at O.update.wo",
        expect![[r#"
        temporary I_local: float32[10, 18] stack
        O[h, w] sum= I_local[h + r - 8*floor((h)/8), w + s - 16*floor((w)/16)] * F[r, s]
        I_local[x0, x1] = I[8*ho + x0 - 1, 16*wo + x1 - 1]
        ---
        tile O.update.h O.update.w by 8 16 as ho wo / hi wi
        promote I at O.update.wo as I_local in stack
    "#]],
    );
}

#[test]
fn a_copy_of_the_whole_program() {
    check(
        "conv3x3",
        "promote F transposed 1 0",
        expect![[r#"
        temporary F_local: float32[3, 3] stack
        O[h, w] sum= I[h + r - 1, w + s - 1] * F_local[s, r]
        F_local[x0, x1] = F[x1, x0]
        ---
        promote F as F_local transposed 1 0 in stack
    "#]],
    );
    check(
        "matmul",
        "promote C",
        expect![[r#"
        temporary C_local: float32[M, N]
        C_local[m, n] = 0.0f32
        C_local[m, n] sum= A[m, k] * B[k, n]
        C[x0, x1] = C_local[x0, x1]
        ---
        promote C as C_local in global
    "#]],
    );
}

#[test]
fn a_box_for_each_thread() {
    check(
        "matmul",
        "tile C.update.m C.update.k by 8 32 as mo ko / mi ki\nparallel C.update.mo\npromote A at C.update.mo in global",
        expect![[r#"
            temporary A_local: float32[floor((M - 1)/8) + 1, 8, K]
            C[m, n] sum= A_local[floor((m)/8), m - 8*floor((m)/8), k] * B[k, n]
            A_local[mo, x0, x1] = A[8*mo + x0, x1]
            ---
            tile C.update.m C.update.k by 8 32 as mo ko / mi ki
            parallel C.update.mo
            promote A at C.update.mo as A_local in global
        "#]],
    );
}

#[test]
fn threads_inside_share_what_is_global() {
    check(
        "matmul",
        "split C.update.k by 4\nreorder C.update.ko C.update.m\nparallel C.update.m\npromote B at C.update.ko",
        expect![[r#"
        temporary B_local: float32[4, N]
        C[m, n] sum= A[m, k] * B_local[k - 4*floor((k)/4), n]
        B_local[x0, x1] = B[4*ko + x0, x1]
        ---
        split C.update.k by 4 as ko ki
        reorder C.update.ko C.update.m
        parallel C.update.m
        promote B at C.update.ko as B_local in global
    "#]],
    );
}

#[test]
fn a_temporary_that_shrinks_to_a_scalar() {
    check(
        "matmul_bias_relu",
        "fuse T.init T.update depth 2\nfuse T.update R depth 2\npromote T at T.init.n",
        expect![[r#"
            temporary T_local: float32[1, 1] stack
            T_local[0, 0] = 0.0f32
            T_local[0, 0] sum= A[m, k] * B[k, n]
            R[m, n] = max(T_local[0, 0] + bias[n], 0.0f32)
            ---
            fuse T.init T.update depth 2
            fuse T.update R depth 2
            promote T at T.init.n as T_local in stack
        "#]],
    );
}

#[test]
fn what_an_iteration_writes_first_is_not_loaded() {
    check(
        "triangular_solve",
        "promote x at x.init.i",
        expect![[r#"
            temporary x_local: float64[N]
            x_local[i] = b[i]
            x_local[i] sum= -(L[i, j] * x_local[j])
            x_local[i] = x_local[i] / L[i, i]
            x_local[x0] = x[x0]
            x[i] = x_local[i]
            ---
            promote x at x.init.i as x_local in global
        "#]],
    );
}

#[test]
fn one_statement_of_several() {
    check(
        "transpose_nest",
        "promote A at B.i as row of B",
        expect![[r#"
            temporary row: int32[1, N]
            B[i, j] = row[0, j] + 1i32
            row[0, x1] = A[i, x1]
            ---
            promote A at B.i as row of B in global
        "#]],
    );
}

#[test]
fn in_place() {
    check(
        "stencil",
        "promote A at A.i as rows",
        expect![[r#"
            temporary rows: float64[3, N]
            rows[1, j] = 0.2f64 * (rows[1, j] + rows[0, j] + rows[1, j - 1] + rows[2, j] + rows[1, j + 1])
            rows[x0, x1] = A[i + x0 - 1, x1]
            A[i, x1] = rows[1, x1]
            ---
            promote A at A.i as rows in global
        "#]],
    );
}

#[test]
fn elements_with_a_stride() {
    check(
        "strided",
        "split B.odd.i by 8\npromote A at B.odd.io",
        expect![[r#"
            temporary A_local: int32[15] stack
            B[2*i + 1] = A_local[2*i - 16*floor((i)/8)]
            A_local[x0] = A[16*io + x0 + 1]
            ---
            split B.odd.i by 8 as io ii
            promote A at B.odd.io as A_local in stack
        "#]],
    );
}

#[test]
fn a_box_inside_a_box() {
    check(
        "matmul",
        "tile C.update.n C.update.k by 32 32 as no ko / ni ki\npromote B at C.update.ko as Bp\n\
         split C.update.ni by 8 as nr nv\npromote Bp at C.update.nr as Br of C.update",
        expect![[r#"
            temporary Bp: float32[32, 32] stack
            temporary Br: float32[32, 8] stack
            C[m, n] sum= A[m, k] * Br[k - 32*floor((k)/32), n - 8*floor((n)/8)]
            Bp[x0, x1] = B[32*ko + x0, 32*no + x1]
            Br[x0, x1] = Bp[x0, -32*no + 8*nr + x1]
            ---
            tile C.update.n C.update.k by 32 32 as no ko / ni ki
            promote B at C.update.ko as Bp in stack
            split C.update.ni by 8 as nr nv
            promote Bp at C.update.nr as Br of C.update in stack
        "#]],
    );
}

#[test]
fn a_statement_partly_inside() {
    check(
        "matmul",
        "peel C.update.k first 1 as first rest\nprefetch A at C.update.rest",
        expect![[r#"
        reads A[x0, 16*x1]
        ---
        peel C.update.k first 1 as first rest
        prefetch A at C.update.rest ahead 1
    "#]],
    );
    check(
        "matmul",
        "peel C.update.k first 1 as first rest\npromote A at C.update.rest as row",
        expect![[r#"
        temporary row: float32[1, 1] stack
        C[m, n] sum= row[0, 0] * B[k, n]
        row[0, 0] = A[m, rest]
        ---
        peel C.update.k first 1 as first rest
        promote A at C.update.rest as row in stack
    "#]],
    );
    check(
        "conv3x3",
        "cut O.update.h at 4 as top rest\npromote O at O.update.top of O.update",
        expect![[r#"
        temporary O_local: float32[1, W - 2]
        O_local[0, w - 1] sum= I[h + r - 1, w + s - 1] * F[r, s]
        O_local[0, x1] = O[top, x1 + 1]
        O[top, x1 + 1] = O_local[0, x1]
        ---
        cut O.update.h at 4 as top rest
        promote O at O.update.top as O_local of O.update in global
    "#]],
    );
}

#[test]
fn a_box_inside_a_copy() {
    check(
        "matmul",
        "promote B at C.update.m as Bp\npromote B at Bp.load.x0 as row",
        expect![[r#"
        temporary Bp: float32[K, N]
        temporary row: float32[1, N]
        C[m, n] sum= A[m, k] * Bp[k, n]
        Bp[x0, x1] = row[0, x1]
        row[0, x1] = B[x0, x1]
        ---
        promote B at C.update.m as Bp in global
        promote B at Bp.load.x0 as row in global
    "#]],
    );
}

#[test]
fn loops_of_copies_are_loops() {
    check(
        "matmul",
        "tile C.update.n C.update.k by 16 32 as no ko / ni ki\npromote B at C.update.ko as Bp\n\
         vectorise Bp.load.x1 by 8\nunroll Bp.load.x0 by 4",
        expect![[r#"
            temporary Bp: float32[32, 16] stack
            C[m, n] sum= A[m, k] * Bp[k - 32*floor((k)/32), n - 16*floor((n)/16)]
            Bp[x0, x1] = B[32*ko + x0, 16*no + x1]
            ---
            tile C.update.n C.update.k by 16 32 as no ko / ni ki
            promote B at C.update.ko as Bp in stack
            vectorise Bp.load.x1 by 8 as x1o x1v
            unroll Bp.load.x0 by 4 as x0o x0u
        "#]],
    );
}

#[test]
fn lines_of_later_iterations() {
    check(
        "matmul",
        "split C.update.k by 8\nreorder C.update.ko C.update.m\nprefetch B at C.update.ko",
        expect![[r#"
        reads B[x0, 16*x1]
        ---
        split C.update.k by 8 as ko ki
        reorder C.update.ko C.update.m
        prefetch B at C.update.ko ahead 1
    "#]],
    );
    check(
        "transpose_nest",
        "prefetch A at B.i ahead 4",
        expect![[r#"
            reads A[x0, 16*x1]
            ---
            prefetch A at B.i ahead 4
        "#]],
    );
}

#[test]
fn rows_of_a_table_to_come() {
    check(
        "gather",
        "prefetch T at O.update.b ahead 2",
        expect![[r#"
        reads I[x0, x2], T[value(read(0)), x1]
        ---
        prefetch T at O.update.b ahead 2
    "#]],
    );
    check(
        "gather",
        "split O.update.l by 4\nprefetch T at O.update.lo",
        expect![[r#"
        reads I[x0, x2], T[value(read(0)), x1]
        ---
        split O.update.l by 4 as lo li
        prefetch T at O.update.lo ahead 1
    "#]],
    );
}

#[test]
fn a_rolling_buffer() {
    check_rows(
        "fold T dim 0 by 3",
        expect![[r#"
        temporary T: float32[N, M] layout [i0 mod 3, i1] of [3, M]
        ---
        fold T dim 0 by 3
    "#]],
    );
    check_rows(
        "fold T dim 0 by 4\nfold T dim 0 by 3",
        expect![[r#"
        temporary T: float32[N, M] layout [i0 mod 3, i1] of [3, M]
        ---
        fold T dim 0 by 4
        fold T dim 0 by 3
    "#]],
    );
}

#[test]
fn panels_of_vectors() {
    check(
        "matmul",
        "tile C.update.n C.update.k by 16 32 as no ko / ni ki\npromote B at C.update.ko as Bp\n\
         layout Bp [k, n] = [floor((n)/8), k, n mod 8] of [2, 32, 8]",
        expect![[r#"
            temporary Bp: float32[32, 16] stack layout [floor((i1)/8), i0, i1 mod 8] of [2, 32, 8]
            C[m, n] sum= A[m, k] * Bp[k - 32*floor((k)/32), n - 16*floor((n)/16)]
            Bp[x0, x1] = B[32*ko + x0, 16*no + x1]
            ---
            tile C.update.n C.update.k by 16 32 as no ko / ni ki
            promote B at C.update.ko as Bp in stack
            layout Bp [k, n] = [floor((n)/8), k, n mod 8] of [2, 32, 8]
        "#]],
    );
}

#[test]
fn layouts_of_temporaries() {
    check_rows(
        "layout T [i, j] = [j, i] of [M, N]",
        expect![[r#"
        temporary T: float32[N, M] layout [i1, i0] of [M, N]
        ---
        layout T [i, j] = [j, i] of [M, N]
    "#]],
    );
    check_rows(
        "layout T [t, i] = [floor((t)/4), i, t mod 4] of [floor((N + 3)/4), M, 4]",
        expect![[r#"
        temporary T: float32[N, M] layout [floor((i0)/4), i1, i0 mod 4] of [floor((N + 3)/4), M, 4]
        ---
        layout T [t, i] = [floor((t)/4), i, t mod 4] of [floor((N + 3)/4), M, 4]
    "#]],
    );
    check_rows(
        "layout U [x, y] = [4*x + y] of [40]",
        expect![[r#"
        temporary U: float32[8, 4] layout [4*i0 + i1] of [40]
        ---
        layout U [x, y] = [4*x + y] of [40]
    "#]],
    );
    check_rows(
        "layout T [t, i] = [t mod 3, i] of [3, M + 8]",
        expect![[r#"
        temporary T: float32[N, M] layout [i0 mod 3, i1] of [3, M + 8]
        ---
        layout T [t, i] = [t mod 3, i] of [3, M + 8]
    "#]],
    );
}

#[test]
fn memory_is_the_stack_for_small_boxes() {
    let memory = |script: &str| {
        let mut session = common::session("matmul");
        replay(&mut session, script).unwrap_or_else(|refused| panic!("{refused}"));
        let Tensor { memory, .. } = session.scop().tensors[session.scop().tensor_named("X").expect("it")].clone();
        format!("{memory:?}")
    };
    assert_eq!(memory("tile C.update.n C.update.k by 64 256\npromote B at C.update.ko as X"), "Stack");
    assert_eq!(memory("tile C.update.n C.update.k by 64 257\npromote B at C.update.ko as X"), "Global");
    assert_eq!(memory("promote A at C.update.m as X"), "Global");
    assert_eq!(memory("promote A at C.update.k as X"), "Stack");
}

/// It stays streamed through what comes after, and through its text.
#[test]
fn a_streamed_tensor() {
    let mut session = common::session("matmul");
    replay(&mut session, "stream C\nsplit C.update.m by 4\nparallel C.update.mo")
        .unwrap_or_else(|refused| panic!("{refused}"));
    let text = session.scop().to_string();
    assert!(text.contains("] streamed"), "{text}");
    let again = Scop::parse(&session.scop().ctx, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.to_string(), text);
    session.finish().unwrap_or_else(|refused| panic!("{refused}"));
}

#[test]
fn a_prefetch_is_in_nobodys_way() {
    let mut session = common::session("matmul");
    replay(&mut session, "split C.update.m by 4\nprefetch C at C.update.mo\nparallel C.update.mo")
        .unwrap_or_else(|refused| panic!("{refused}"));
    session.finish().unwrap_or_else(|refused| panic!("{refused}"));
}

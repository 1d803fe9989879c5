//! What is refused, and what is said.

use expect_test::{Expect, expect};
use polyhedral::{isl, testing};
use transform::Options;

use crate::common::{self, check_refused, refusal};

/// Two rows: each row of `T` from the one above of `A`, then a sum of two rows.
pub const ROWS: &str = "
scop rows(N, M)
context { : N > 3 and M > 3 }
input A: float32[N, M]
input s: float32[]
output B: float32[N, M]
temporary T: float32[N, M]
temporary U: float32[8, 4]
stmt T[t, i]
  domain { T[t, i] : 0 <= t < N and 0 <= i < M }
  T[t, i] = A[t, i] * s[]
stmt B[t, i]
  domain { B[t, i] : 2 <= t < N and 0 <= i < M }
  B[t, i] = T[t, i] + T[t - 2, i]
stmt U[x, y]
  domain { U[x, y] : 0 <= x < 8 and 0 <= y < 4 }
  U[x, y] = s[]
stmt B.last[x]
  domain { B.last[x] : 0 <= x < 4 }
  B[0, x] = U[2*x, x]
source
  for t
    for i
      T
    for i
      B
  for x
    for y
      U
  for x
    B.last
";

#[track_caller]
fn check_rows(script: &str, expected: Expect) {
    let scop = testing::scop(&isl::Ctx::new(), ROWS);
    expected.assert_eq(&refusal(common::session_of(scop, Options::default()), script).to_string());
}

#[test]
fn a_tensor_that_there_is_not() {
    check_refused(
        "matmul_bias_relu",
        "promote bia at R.m",
        expect![
            "`promote bia at R.m` refused: there is no tensor `bia`; did you mean `bias`? (tensors: A, B, bias, R, T)"
        ],
    );
    check_refused(
        "matmul",
        "prefetch D at C.update.m",
        expect!["`prefetch D at C.update.m` refused: there is no tensor `D`; did you mean `A`? (tensors: A, B, C)"],
    );
    check_rows(
        "layout V [i] = [i] of [4]",
        expect![
            "`layout V [i] = [i] of [4]` refused: there is no tensor `V`; did you mean `A`? (tensors: A, s, B, T, U)"
        ],
    );
    check_rows(
        "fold V dim 0 by 2",
        expect!["`fold V dim 0 by 2` refused: there is no tensor `V`; did you mean `A`? (tensors: A, s, B, T, U)"],
    );
}

#[test]
fn a_loop_that_there_is_not() {
    check_refused(
        "matmul",
        "promote B at C.update.x",
        expect![
            "`promote B at C.update.x` refused: there is no loop `C.update.x`; did you mean `C.update.m`? (loops: C.init.m, C.init.n, C.update.m, C.update.n, C.update.k)"
        ],
    );
    check_refused(
        "matmul",
        "prefetch B at ko",
        expect![
            "`prefetch B at ko` refused: there is no loop `ko` (loops: C.init.m, C.init.n, C.update.m, C.update.n, C.update.k)"
        ],
    );
}

#[test]
fn a_statement_that_there_is_not_or_not_there() {
    check_refused(
        "matmul",
        "promote C at C.update.m of C.updat",
        expect![
            "`promote C at C.update.m of C.updat` refused: there is no statement `C.updat`; did you mean `C.update`? (statements: C.init, C.update)"
        ],
    );
    check_refused(
        "matmul",
        "promote C at C.update.m of C.init",
        expect!["`promote C at C.update.m of C.init` refused: `C.init` is not inside the loop `C.update.m`"],
    );
}

#[test]
fn a_tensor_that_nothing_there_uses() {
    check_refused(
        "matmul",
        "promote B at C.init.m",
        expect!["`promote B at C.init.m` refused: no statement inside the loop `C.init.m` uses `B`"],
    );
    check_refused(
        "matmul",
        "prefetch B at C.init.m",
        expect!["`prefetch B at C.init.m` refused: no statement inside the loop `C.init.m` uses `B`"],
    );
}

#[test]
fn an_element_found_by_data() {
    check_refused(
        "gather",
        "promote T at O.update.b",
        expect!["`promote T at O.update.b` refused: `O.update` finds its element of `T` by data"],
    );
}

#[test]
fn inside_lanes_and_copies() {
    check_refused(
        "matmul",
        "vectorise C.update.n by 8\npromote A at C.update.nv",
        expect![
            "`promote A at C.update.nv` refused: the loop `C.update.nv` is vectorised: its iterations hold nothing else"
        ],
    );
    check_refused(
        "matmul",
        "unroll C.update.m by 4\nprefetch A at C.update.mu",
        expect![
            "`prefetch A at C.update.mu` refused: the loop `C.update.mu` is unrolled: its iterations hold nothing else"
        ],
    );
}

#[test]
fn a_name_that_is_taken_or_no_name() {
    check_refused(
        "matmul",
        "promote B at C.update.k as A",
        expect!["`promote B at C.update.k as A` refused: there is already a tensor `A`"],
    );
    check_refused(
        "matmul",
        "promote B at C.update.k as C.init",
        expect!["`promote B at C.update.k as C.init` refused: `C.init` cannot be the name of a tensor"],
    );
}

#[test]
fn an_order_of_dimensions_that_is_none() {
    check_refused(
        "matmul",
        "promote B at C.update.k transposed 1",
        expect![
            "`promote B at C.update.k transposed 1` refused: `B` has 2 dimensions: `transposed` lists each of 0, 1 once"
        ],
    );
    check_refused(
        "matmul",
        "promote B at C.update.k transposed 1 1",
        expect![
            "`promote B at C.update.k transposed 1 1` refused: `B` has 2 dimensions: `transposed` lists each of 0, 1 once"
        ],
    );
    check_refused(
        "matmul",
        "promote B at C.update.k transposed 0 2",
        expect![
            "`promote B at C.update.k transposed 0 2` refused: `B` has 2 dimensions: `transposed` lists each of 0, 1 once"
        ],
    );
}

#[test]
fn too_much_for_the_stack() {
    check_refused(
        "matmul",
        "promote B at C.update.m in stack",
        expect![
            "`promote B at C.update.m in stack` refused: the stack takes 262144 bytes at most, and this has a size that depends on the program's: put it `in global`"
        ],
    );
    check_refused(
        "matmul",
        "tile C.update.n C.update.k by 256 257\npromote B at C.update.ko in stack",
        expect![
            "`promote B at C.update.ko in stack` refused: the stack takes 262144 bytes at most, and this has 263168 bytes: put it `in global`"
        ],
    );
}

#[test]
fn two_boxes_without_turns() {
    check_refused(
        "matmul",
        "promote B double",
        expect![
            "`promote B double` refused: two boxes are used in turn by the iterations of a loop: say `at` which one"
        ],
    );
    check_refused(
        "matmul",
        "parallel C.update.m\npromote B at C.update.m double",
        expect![
            "`promote B at C.update.m double` refused: the iterations of `C.update.m` run at once: none is before another"
        ],
    );
    check_refused(
        "matmul",
        "promote C at C.init.m double",
        expect!["`promote C at C.init.m double` refused: nothing of `C` is loaded, and so nothing earlier"],
    );
}

#[test]
fn a_padded_scalar() {
    check_rows(
        "promote s at T.t padded 4",
        expect!["`promote s at T.t padded 4` refused: a single element has no dimension to be padded"],
    );
}

#[test]
fn a_loop_in_pieces() {
    check_refused(
        "matmul",
        "order {
  sequence
    filter { C.init[m, n] }
      band
        C.init.m = { C.init[m, n] -> [(m)] }
        C.init.n = { C.init[m, n] -> [(n)] }
    filter { C.update[m, n, k] }
      band
        m = { C.update[m, n, k] -> [(m)] : m < 4; C.update[m, n, k] -> [(m + 1)] : m >= 4 }
        n = { C.update[m, n, k] -> [(n)] }
        k = { C.update[m, n, k] -> [(k)] }
}
promote B at m",
        expect!["`promote B at m` refused: the loop `m` is not one formula on the instances of `C.update`"],
    );
}

#[test]
fn no_iteration_so_much_later() {
    check_refused(
        "conv3x3",
        "prefetch F at O.update.r ahead 3",
        expect!["`prefetch F at O.update.r ahead 3` refused: no iteration of the loop `O.update.r` has one 3 later"],
    );
}

#[test]
fn the_memory_of_arguments_is_the_callers() {
    check_rows(
        "layout A [i, j] = [j, i] of [M, N]",
        expect![
            "`layout A [i, j] = [j, i] of [M, N]` refused: the memory of `A` is the caller's: `promote A` makes a temporary of it first"
        ],
    );
    check_rows(
        "fold B dim 0 by 2",
        expect![
            "`fold B dim 0 by 2` refused: the memory of `B` is the caller's: `promote B` makes a temporary of it first"
        ],
    );
}

#[test]
fn a_layout_that_is_none() {
    check_rows(
        "layout T [i] = [i] of [N]",
        expect!["`layout T [i] = [i] of [N]` refused: `T` has 2 dimensions, and 1 are named"],
    );
    check_rows(
        "layout T [i, i] = [i] of [N]",
        expect!["`layout T [i, i] = [i] of [N]` refused: two subscripts are called `i`"],
    );
    check_rows(
        "layout T [2, j] = [j] of [M]",
        expect!["`layout T [2, j] = [j] of [M]` refused: `2` cannot be the name of a subscript"],
    );
    check_rows(
        "layout T [i, j] = [i, j] of [N]",
        expect!["`layout T [i, j] = [i, j] of [N]` refused: 2 storage coordinates, and extents for 1"],
    );
    check_rows(
        "layout T [i, j] = [i, k] of [N, M]",
        expect!["`layout T [i, j] = [i, k] of [N, M]` refused: `k`: no dimension and no size is called `k`"],
    );
    check_rows(
        "layout T [i, j] = [i, j*i] of [N, M]",
        expect!["`layout T [i, j] = [i, j*i] of [N, M]` refused: `j*i`: expected the end of the line, found `i`"],
    );
    check_rows(
        "layout T [i, j] = [i, j] of [N, i]",
        expect!["`layout T [i, j] = [i, j] of [N, i]` refused: `i`: no dimension and no size is called `i`"],
    );
    check_rows(
        "layout T [i, j] = [i mod 0, j] of [N, M]",
        expect!["`layout T [i, j] = [i mod 0, j] of [N, M]` refused: `i mod 0`: a divisor of 0"],
    );
}

#[test]
fn a_layout_with_elements_outside() {
    check_rows(
        "layout T [i, j] = [j, i] of [N, M]",
        expect![
            "`layout T [i, j] = [j, i] of [N, M]` refused: coordinate 0 of the layout of `T` goes beyond its extent N: it can be 4"
        ],
    );
    check_rows(
        "layout T [i, j] = [i - 1, j] of [N, M]",
        expect![
            "`layout T [i, j] = [i - 1, j] of [N, M]` refused: coordinate 0 of the layout of `T` goes beyond its extent N: it can be -1"
        ],
    );
    check_rows(
        "layout U [i, j] = [i, j + 2] of [8, 5]",
        expect![
            "`layout U [i, j] = [i, j + 2] of [8, 5]` refused: coordinate 1 of the layout of `U` goes beyond its extent 5: it can be 5"
        ],
    );
}

#[test]
fn a_fold_of_what_there_is_not() {
    check_rows(
        "fold T dim 2 by 2",
        expect!["`fold T dim 2 by 2` refused: `T` has 2 dimensions, counted from 0: there is none 2"],
    );
    check_rows("fold U dim 1 by 4", expect!["`fold U dim 1 by 4` refused: dimension 1 of `U` has only 4 cells"]);
    check_rows(
        "layout U [x, y] = [4*x + y] of [32]\nfold U dim 1 by 2",
        expect!["`fold U dim 1 by 2` refused: no coordinate of the layout of `U` is dimension 1 alone"],
    );
}

#[test]
fn too_few_slices() {
    check_rows(
        "fold T dim 0 by 2",
        expect![
            "`fold T dim 0 by 2` refused: `B[2, 0]` finds in `T[0, 0]` what `T[2, 0]` computes, but must find what `T[0, 0]` computes, for example for N = 4, M = 4; `fold T dim 0 by 3` is legal"
        ],
    );
    check_rows(
        "fold T dim 0 by 1",
        expect![
            "`fold T dim 0 by 1` refused: `B[2, 0]` finds in `T[0, 0]` what `T[2, 0]` computes, but must find what `T[0, 0]` computes, for example for N = 4, M = 4; `fold T dim 0 by 3` is legal"
        ],
    );
    check_rows(
        "fold T dim 1 by 4",
        expect![
            "`fold T dim 1 by 4` refused: `B[2, 0]` finds in `T[2, 0]` what `T[2, 4]` computes, but must find what `T[2, 0]` computes, for example for N = 4, M = 5"
        ],
    );
    check_rows(
        "fold U dim 0 by 7",
        expect![
            "`fold U dim 0 by 7` refused: `B.last[0]` finds in `U[0, 0]` what `U[7, 0]` computes, but must find what `U[0, 0]` computes, for example for N = 4, M = 4"
        ],
    );
}

#[test]
fn cells_that_two_elements_share() {
    check_rows(
        "layout T [i, j] = [i + j] of [N + M]",
        expect![
            "`layout T [i, j] = [i + j] of [N + M]` refused: `B[2, 1]` finds in `T[0, 1]` what `T[1, 0]` computes, but must find what `T[0, 1]` computes, for example for N = 4, M = 4"
        ],
    );
    check_rows(
        "layout T [i, j] = [j] of [M]",
        expect![
            "`layout T [i, j] = [j] of [M]` refused: `B[2, 0]` finds in `T[0, 0]` what `T[2, 0]` computes, but must find what `T[0, 0]` computes, for example for N = 4, M = 4"
        ],
    );
    check_rows(
        "layout U [i, j] = [3*i + j] of [32]",
        expect![
            "`layout U [i, j] = [3*i + j] of [32]` refused: `B.last[3]` finds in `U[6, 3]` what `U[7, 0]` computes, but must find what `U[6, 3]` computes, for example for N = 4, M = 4"
        ],
    );
}

#[test]
fn a_copy_of_what_changes_meanwhile() {
    check_refused(
        "triangular_solve",
        "promote x at x.init.i of x.update",
        expect![
            "`promote x at x.init.i of x.update` refused: what `x_local.load` and `x_local.store` carry round and round cannot be followed"
        ],
    );
    check_refused(
        "transpose_nest",
        "promote B at B.i of C",
        expect![
            "`promote B at B.i of C` refused: `C[0, 0]` finds in `B_local[0, 0]` what nobody wrote, but must find what `B[0, 0]` computes, for example for N = 1"
        ],
    );
    check_refused(
        "matmul",
        "promote C of C.init",
        expect![
            "`promote C of C.init` refused: `C[0, 0]` holds at the end not all that it must: what `C.update[0, 0, 0]` computes is missing, for example for M = 1, N = 1, K = 1"
        ],
    );
}

#[test]
fn boxes_that_are_loaded_too_early() {
    check_refused(
        "matmul",
        "promote C at C.update.k double",
        expect![
            "`promote C at C.update.k double` refused: `C[0, 0]` holds at the end not all that it must: what `C.update[0, 0, 0]` computes is missing, for example for M = 1, N = 1, K = 2"
        ],
    );
    check_refused(
        "stencil",
        "promote A at A.i double",
        expect![
            "`promote A at A.i double` refused: `A[2, 1]` finds in `A_local[0, 0, 1]` what the caller gave as `A[1, 1]`, but must find what `A[1, 1]` computes, for example for N = 4"
        ],
    );
    check_refused(
        "prefix_sum",
        "promote S at S.i double",
        expect![
            "`promote S at S.i double` refused: `S[2]` finds in `S_local[0, 0]` what nobody wrote, but must find what `S[1]` computes, for example for N = 3"
        ],
    );
}

#[test]
fn one_box_for_several_threads() {
    check_refused(
        "matmul",
        "promote A at C.update.m in global\nparallel C.update.m",
        expect![
            "`parallel C.update.m` refused: `A_local.load[1, 0, 0]` must run after `C.update[0, 0, 0]` (anti through `A_local[0, 0]`), but the parallel loop `C.update.m` would run them at once, for example for M = 2, N = 1, K = 1"
        ],
    );
    check_refused(
        "matmul",
        "promote B at C.update.m\nparallel C.update.m",
        expect![
            "`parallel C.update.m` refused: `B_local.load[1, 0, 0]` must run after `C.update[0, 0, 0]` (anti through `B_local[0, 0]`), but the parallel loop `C.update.m` would run them at once, for example for M = 2, N = 1, K = 1"
        ],
    );
    check_refused(
        "matmul",
        "promote C at C.update.n in global\nparallel C.update.n",
        expect![
            "`parallel C.update.n` refused: `C_local.load[0, 1, 0, 0]` must run after `C_local.store[0, 0, 0, 0]` (anti through `C_local[0, 0]`), but the parallel loop `C.update.n` would run them at once, for example for M = 1, N = 2, K = 1"
        ],
    );
}

#[test]
fn boxes_of_iterations_that_run_at_once() {
    check_refused(
        "matmul",
        "promote A at C.update.m\nvectorise C.update.m by 4",
        expect![
            "`vectorise C.update.m by 4` refused: `A_local.load[1, 0, 0]` must run after `C.update[0, 0, 0]` (anti through `A_local[0, 0]`), but the sequence would run it before, for example for M = 2, N = 1, K = 1"
        ],
    );
    check_refused(
        "matmul",
        "split C.update.k by 8\npromote A at C.update.ko double\nparallel C.update.ko",
        expect![
            "`parallel C.update.ko` refused: `C.update[0, 0, 0]` and `C.update[0, 0, 8]` update one element (reduction through `C[0, 0]`), but the parallel loop `C.update.ko` would run them at once, for example for M = 1, N = 1, K = 9"
        ],
    );
}

#[test]
fn a_copy_taken_away_from_its_use() {
    check_refused(
        "matmul",
        "promote A at C.update.m\ndistribute C.update.m",
        expect![
            "`distribute C.update.m` refused: `A_local.load[1, 0, 0]` must run after `C.update[0, 0, 0]` (anti through `A_local[0, 0]`), but the sequence would run it before, for example for M = 2, N = 1, K = 1"
        ],
    );
    check_refused(
        "matmul",
        "split C.update.k by 8\npromote A at C.update.ko\nreverse C.update.ko",
        expect![
            "`reverse C.update.ko` refused: `A_local.load[0, 0, 1, 0, 0]` must run after `C.update[0, 0, 0]` (anti through `A_local[0, 0]`), but the loop `C.update.ko` would run it before, for example for M = 1, N = 1, K = 9"
        ],
    );
}

#[test]
fn more_than_the_stack_takes() {
    let tiles = "tile C.update.m C.update.n C.update.k by 128 128 128\n";
    check_refused(
        "matmul",
        &format!(
            "{tiles}promote A at C.update.ko in stack\npromote B at C.update.ko in stack\npromote C at C.update.no in stack\nlayout B_local [i, j] = [i, j] of [128, 512]"
        ),
        expect![
            "`layout B_local [i, j] = [i, j] of [128, 512]` refused: with `B_local` there are 327680 bytes on the stack, which takes 262144"
        ],
    );
}

#[test]
fn more_padding_than_keeps_rows_apart() {
    check_refused(
        "matmul",
        "promote A at C.update.m as P padded 4294967295",
        expect![
            "`promote A at C.update.m as P padded 4294967295` refused: 4294967295 cells of padding: at most 4096 keep rows apart"
        ],
    );
}

/// A product of short factors, one of which is also used as it is.
const SHORT: &str = "
scop short(N)
context { : N > 3 }
input A: bfloat16[N, N]
input B: bfloat16[N, N]
output C: float32[N, N]
output D: bfloat16[N, N]
stmt D[i, k]
  domain { D[i, k] : 0 <= i < N and 0 <= k < N }
  D[i, k] = B[k, i]
stmt C[i, j, k]
  domain { C[i, j, k] : 0 <= i < N and 0 <= j < N and 0 <= k < N }
  C[i, j] sum= float32(A[i, k]) * float32(B[k, j])
source
  for i
    for k
      D
  for i
    for j
      for k
        C
";

#[track_caller]
fn check_short(script: &str, expected: Expect) {
    let scop = testing::scop(&isl::Ctx::new(), SHORT);
    expected.assert_eq(&refusal(common::session_of(scop, Options::default()), script).to_string());
}

#[test]
fn a_copy_that_is_not_wider_or_not_converted_to() {
    check_short(
        "promote A widened float16",
        expect!["`promote A widened float16` refused: `float16` does not hold every value of `A`, which is `bfloat16`"],
    );
    check_short(
        "promote A widened int64",
        expect!["`promote A widened int64` refused: `int64` does not hold every value of `A`, which is `bfloat16`"],
    );
    check_short(
        "promote A widened float64",
        expect!["`promote A widened float64` refused: `C` uses `A` without a conversion to `float64`"],
    );
    check_short(
        "promote B widened float32",
        expect!["`promote B widened float32` refused: `D` uses `B` without a conversion to `float32`"],
    );
    check_short(
        "promote D widened float32",
        expect!["`promote D widened float32` refused: `D` writes `D`: only what is read can be wider"],
    );
    check_short(
        "promote C at C.i widened float64",
        expect!["`promote C at C.i widened float64` refused: `C` writes `C`: only what is read can be wider"],
    );
}

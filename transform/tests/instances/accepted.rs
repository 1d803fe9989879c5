//! Scripts that the proof of values accepts.

use crate::programs::{BLUR, BLUR2, COLUMNS, DOT, ROWS, WINDOWS, accepted};

/// Two readers of one temporary, all three in one loop of the source.
const TWO_READERS: &str = "
scop two(N)
context { : N > 1 }
input A: float32[N]
output B: float32[N]
output C: float32[N]
temporary T: float32[N]
stmt T[i]
  domain { T[i] : 0 <= i < N }
  T[i] = A[i] * A[i]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = T[i] + 1.0f32
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = T[i] - 1.0f32
source
  for i
    T
    B
    C
";

macro_rules! accepted {
    ($($name:ident: $text:expr, $script:expr;)*) => {$(
        #[test]
        fn $name() {
            accepted($text, $script);
        }
    )*};
}

accepted! {
    inlined: BLUR, "inline T";
    inlined_twice: TWO_READERS, "inline T";
    a_sum_written_out: WINDOWS, "inline S";
    all_windows_written_out: WINDOWS, "inline S\ninline M\nparallel R.y";
    computed_where_it_was: TWO_READERS, "compute T at T.i";
    stored_where_it_was: TWO_READERS, "store T at T.i\nparallel T.i";
    privatised_where_it_was: TWO_READERS, "privatise T at T.i in global\nparallel T.i";
    inlined_into_a_sum: ROWS, "inline E";
    computed_in_a_tile: BLUR, "split B.i by 32 as io ii\ncompute T at B.io";
    computed_in_a_box: BLUR2, "tile B.y B.x by 32 64 as yo xo / yi xi\ncompute T at B.xo";
    computed_by_rows: ROWS, "compute S at R.m\ncompute E at R.m";
    stored_in_a_tile: BLUR, "split B.i by 32 as io ii\ncompute T at B.io\nstore T at B.io";
    stored_in_parallel: BLUR, "split B.i by 32 as io ii\ncompute T at B.io\nstore T at B.io\nparallel B.io";
    stored_in_a_box: BLUR2, "tile B.y B.x by 32 64 as yo xo / yi xi\ncompute T at B.xo\nstore T at B.xo\nparallel B.yo";
    folded_and_stored: BLUR2,
        "tile B.y B.x by 32 64 as yo xo / yi xi\ncompute T at B.xo\nfuse T B depth 1\nfold T dim 0 by 4\nstore T at B.xo\n\
         parallel B.yo";
    stored_by_rows: ROWS, "compute S at R.m\ncompute E at R.m\nstore E at R.m\nstore S at R.m";
    private_rows: ROWS, "compute S at R.m\ncompute E at R.m\nprivatise E at R.m\nprivatise S at R.m\nparallel R.m";
    parallel_dot: DOT, "split S.update.i by 1024 as io ii\nprivatise S at S.update.io as P\nparallel S.update.io";
    dot_in_lanes: DOT, "privatise S at S.update.i by 16\nvectorise S.update.i by 16";
    parallel_columns: COLUMNS, "split S.update.m by 64 as mo mi\nprivatise S at S.update.mo\nparallel S.update.mo";
    combined_in_two_places: COLUMNS, "privatise S at S.update.m in global\npeel S.combine.m last 1";
    combined_in_three_places: COLUMNS, "privatise S at S.update.m in global\npeel S.combine.m first 2\ncut S.combine.m at 5";
}

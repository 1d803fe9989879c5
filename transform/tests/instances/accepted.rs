//! Scripts that the proof of values accepts.

use crate::programs::{BLUR, BLUR2, COLUMNS, DOT, ROWS, accepted};

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
    inlined_into_a_sum: ROWS, "inline E";
    computed_in_a_tile: BLUR, "split B.i by 32 as io ii\ncompute T at B.io";
    computed_in_a_box: BLUR2, "tile B.y B.x by 32 64 as yo xo / yi xi\ncompute T at B.xo";
    computed_by_rows: ROWS, "compute S at R.m\ncompute E at R.m";
    stored_in_a_tile: BLUR, "split B.i by 32 as io ii\ncompute T at B.io\nstore T at B.io";
    stored_in_parallel: BLUR, "split B.i by 32 as io ii\ncompute T at B.io\nstore T at B.io\nparallel B.io";
    stored_in_a_box: BLUR2, "tile B.y B.x by 32 64 as yo xo / yi xi\ncompute T at B.xo\nstore T at B.xo\nparallel B.yo";
    stored_by_rows: ROWS, "compute S at R.m\ncompute E at R.m\nstore E at R.m\nstore S at R.m";
    private_rows: ROWS, "compute S at R.m\ncompute E at R.m\nprivatise E at R.m\nprivatise S at R.m\nparallel R.m";
    parallel_dot: DOT, "split S.update.i by 1024 as io ii\nprivatise S at S.update.io as P\nparallel S.update.io";
    dot_in_lanes: DOT, "privatise S at S.update.i by 16\nvectorise S.update.i by 16";
    parallel_columns: COLUMNS, "split S.update.m by 64 as mo mi\nprivatise S at S.update.mo\nparallel S.update.mo";
}

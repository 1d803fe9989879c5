//! Loops: order, split, tile, reorder, fuse, distribute, skew, shift, reverse, cut, peel, separate, bind, parallel,
//! vectorise, unroll.

use super::check;

/// In place, each point from the one above and to the right: distance (1, -1).
pub(super) const SKEWED: &str = "
scop skewed(N)
context { : N > 2 }
inout A: float32[N, N]
stmt A[i, j]
  domain { A[i, j] : 0 < i < N and 0 <= j < N - 1 }
  A[i, j] = A[i - 1, j + 1]
";

/// A producer and a consumer that reads the next two elements, inside a loop over rows.
pub(super) const ROWS: &str = "
scop rows(M, N)
context { : M > 0 and N > 2 }
input A: float32[M, N]
output B: float32[M, N]
output C: float32[M, N]
stmt B[i, j]
  domain { B[i, j] : 0 <= i < M and 0 <= j < N }
  B[i, j] = A[i, j] + 1.0f32
stmt C[i, j]
  domain { C[i, j] : 0 <= i < M and 0 <= j < N - 2 }
  C[i, j] = B[i, j] * B[i, j + 2]
source
  for i
    for j
      B
    for j
      C
";

/// The consumer reads from the other end.
pub(super) const BACKWARDS: &str = "
scop backwards(N)
context { : N > 1 }
input A: float32[N]
output B: float32[N]
output C: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[i]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = B[N - 1 - i]
";

/// Three statements; the last one overwrites what the first one reads.
const OVERWRITTEN: &str = "
scop overwritten(N)
context { : N > 2 }
inout A: float32[N]
output B: float32[N]
output C: float32[N]
stmt B[i]
  domain { B[i] : 0 < i < N }
  B[i] = A[i - 1]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = 1.0f32
stmt A[i]
  domain { A[i] : 0 <= i < N }
  A[i] = 2.0f32
";

/// Each statement needs what the other one has just made.
const RECURRENCE: &str = "
scop recurrence(N)
context { : N > 2 }
inout A: float32[N]
output B: float32[N]
stmt B[i]
  domain { B[i] : 0 < i < N }
  B[i] = A[i - 1]
stmt A[i]
  domain { A[i] : 0 < i < N }
  A[i] = B[i] + 1.0f32
source
  for i
    B
    A
";

#[test]
fn skews() {
    check(&[
        (SKEWED, "skew A.k by 1 of A.i", &["there is no loop `A.k`", "did you mean `A.i`?"]),
        (SKEWED, "skew A.j by 1 of A.l", &["there is no loop `A.l`"]),
        (SKEWED, "skew A.j by 1 of A.j", &["`A.j` cannot be skewed by itself"]),
        (SKEWED, "skew A.j by 1 of A.i as i", &["there is already a loop `A.i`"]),
        (
            SKEWED,
            "skew A.i by 2 of A.j",
            &["`A[2, 0]` must run after `A[1, 1]`", "flow through", "`A.i` would run it before"],
        ),
        (SKEWED, "skew A.i by -1 of A.j\nskew A.i by 3 of A.j", &["must run after", "`A.i` would run it before"]),
        ("matmul", "skew C.update.m by 1 of C.init.m", &["not perfectly nested"]),
        (
            "matmul",
            "vectorise C.update.n by 8\nskew C.update.nv by 1 of C.update.m",
            &["`C.update.nv` is already vectorised"],
        ),
        (
            "matmul",
            "unroll C.update.k by 4\nskew C.update.ku by 1 of C.update.m",
            &["`C.update.ku` is already unrolled"],
        ),
        ("prefix_sum", "skew S.i by 1 of S.first", &["there is no loop `S.first`", "loops: S.i"]),
    ]);
}

#[test]
fn shifts() {
    check(&[
        (ROWS, "shift B.k by 1", &["there is no loop `B.k`"]),
        (
            ROWS,
            "fuse B C\nshift B.j by 1 for D",
            &["there is no statement `D`", "statements: B, C", "in the loop `B.j`"],
        ),
        (ROWS, "shift B.j by 1 for C", &["there is no statement `C`", "statements: B", "in the loop `B.j`"]),
        (ROWS, "shift B.i by 1 for B B", &["`B` is named twice"]),
        (
            ROWS,
            "fuse B C\nshift B.j by -1 for C",
            &["`C[0, 0]` must run after `B[0, 2]`", "flow through `B[0, 2]`", "`B.j` would run it before"],
        ),
        (ROWS, "shift B.i by 1 for B", &["must run after", "`B.i` would run it before"]),
        (
            "matmul",
            "fuse C.init C.update depth 1\nparallel C.init.m\nshift C.init.m by 1 for C.update",
            &["the parallel loop `C.init.m` would run them at once"],
        ),
        ("matmul", "vectorise C.update.n by 8\nshift C.update.nv by 1", &["`C.update.nv` is already vectorised"]),
        ("triangular_solve", "shift x.init.i by 2 for x.update", &["must run after"]),
    ]);
}

#[test]
fn reversals() {
    check(&[
        ("prefix_sum", "reverse S.i", &["`S[2]` must run after `S[1]`", "flow through", "`S.i` would run it before"]),
        ("stencil", "reverse A.i", &["must run after", "`A.i` would run it before"]),
        (SKEWED, "reverse A.i", &["must run after", "`A.i` would run it before"]),
        ("triangular_solve", "reverse x.init.i", &["must run after", "`x.init.i` would run it before"]),
        (ROWS, "fuse B C\nreverse B.j", &["`B.j` would run it before"]),
        ("matmul", "reverse C.update.x", &["there is no loop `C.update.x`"]),
        ("matmul", "vectorise C.update.n by 8\nreverse C.update.nv", &["already vectorised"]),
        ("matmul", "unroll C.update.n by 8\nreverse C.update.nu", &["already unrolled"]),
    ]);
}

#[test]
fn cuts() {
    check(&[
        ("matmul", "cut C.update.x at 4", &["there is no loop `C.update.x`"]),
        (
            "matmul",
            "cut C.update.m at C.update.k",
            &[
                "in `C.update.k`",
                "no dimension and no size is called `C.update.k`",
                "loops outside of `C.update.m`: none",
            ],
        ),
        ("matmul", "cut C.update.k at Q", &["no dimension and no size is called `Q`", "C.update.m, C.update.n"]),
        ("matmul", "cut C.update.k at m * n", &["in `m * n`"]),
        ("matmul", "cut C.update.k at floor(m / 0)", &["in `floor(m / 0)`"]),
        ("matmul", "cut C.update.k at (m", &["expected `)`"]),
        ("matmul", "cut C.update.k at 0", &["no iteration of the loop `C.update.k` lies below 0"]),
        ("matmul", "cut C.update.k at K", &["no iteration of the loop `C.update.k` reaches K"]),
        ("matmul", "cut C.update.k at K + C.update.m", &["reaches K + C.update.m"]),
        ("matmul", "cut C.update.k at 4 as n b", &["there is already a loop `C.update.n`"]),
        ("matmul", "cut C.update.k at 4 as a a", &["there is already a loop `C.update.a`"]),
        ("matmul", "vectorise C.update.n by 8\ncut C.update.nv at 4", &["`C.update.nv` is already vectorised"]),
        ("matmul", "cut C.update.k at 4\nreorder C.update.k C.update.k2", &["not perfectly nested"]),
        ("matmul", "cut C.update.k at 4\ntile C.update.m C.update.k by 4 4", &["not perfectly nested"]),
        ("prefix_sum", "cut S.i at 4\nparallel S.i2", &["the parallel loop `S.i2` would run them at once"]),
    ]);
}

#[test]
fn peels() {
    check(&[
        ("matmul", "peel C.update.x first 1", &["there is no loop `C.update.x`"]),
        ("conv3x3", "peel Y.update.r first 3", &["there is no loop"]),
        ("matmul", "peel C.update.k first 1 as n k", &["there is already a loop `C.update.n`"]),
        ("matmul", "unroll C.update.k by 4\npeel C.update.ku last 1", &["`C.update.ku` is already unrolled"]),
        (
            "matmul",
            "split C.update.k by 4\npeel C.update.ki first 4",
            &["the loop `C.update.ki` never has more than 4 iterations"],
        ),
        ("matmul", "split C.update.k by 4\npeel C.update.ki last 9", &["never has more than 9 iterations"]),
        ("prefix_sum", "peel S.i last 1\nfuse S.first S.ip", &["have no loops that could become common"]),
    ]);
}

#[test]
fn separations() {
    check(&[
        ("matmul", "separate C.update.x", &["there is no loop `C.update.x`"]),
        ("matmul", "separate C.update.m", &["the loop `C.update.m` does not run over strips", "`split` or `tile`"]),
        (
            "matmul",
            "tile C.update.m C.update.n by 8 8\nseparate C.update.mo C.update.ni",
            &["the loop `C.update.ni` does not run over strips"],
        ),
        ("matmul", "split C.update.m by 8\nseparate C.update.mo C.update.mo", &["is named twice"]),
        (
            "matmul",
            "split C.update.m by 8\nsplit C.init.m by 8\nseparate C.update.mo C.init.mo",
            &["not perfectly nested"],
        ),
        ("matmul", "split C.update.m by 1\nseparate C.update.mo", &["C.update.mo"]),
    ]);
}

#[test]
fn bindings() {
    check(&[
        ("matmul", "bind C.update.k to lane", &["update one element", "reduction through `C[0, 0]`", "at once"]),
        ("prefix_sum", "bind S.i to block.x", &["must run after", "at once"]),
        (SKEWED, "bind A.i to rank", &["must run after", "at once"]),
        (
            "matmul",
            "bind C.update.m to block.x\nbind C.update.n to block.x",
            &["`C.update.n` is inside a loop that is bound to block.x already"],
        ),
        (
            "matmul",
            "bind C.update.m to block.x\nbind C.update.m to block.y",
            &["`C.update.m` is already bound to an axis"],
        ),
        ("matmul", "parallel C.update.m\nbind C.update.m to block.y", &["`C.update.m` is already parallel"]),
        ("matmul", "bind C.update.m to warp\nparallel C.update.m", &["already bound"]),
        ("matmul", "bind C.update.k to thread.x atomically", &["between blocks", "thread.x is no axis of these"]),
        ("prefix_sum", "bind S.i to block.x atomically", &["must run after", "at once"]),
        ("matmul", "bind C.update.q to warp", &["there is no loop `C.update.q`"]),
        ("matmul", "vectorise C.update.n by 8\nbind C.update.nv to lane", &["`C.update.nv` is already vectorised"]),
    ]);
}

/// A sum that has no terms for some sizes.
const PERHAPS_EMPTY: &str = "
scop sums(M, K)
context { : M > 0 and K >= 0 }
input A: float32[M, K]
output S: float32[M]
stmt S.init[i]
  domain { S.init[i] : 0 <= i < M }
  S[i] = 0.0f32
stmt S[i, k]
  domain { S[i, k] : 0 <= i < M and 0 <= k < K }
  S[i] sum= A[i, k]
";

#[test]
fn fusions() {
    check(&[
        (BACKWARDS, "fuse B C", &["`C[0]` must run after `B[1]`", "`B.i` would run it before"]),
        (BACKWARDS, "fuse B C depth 1 shift 5", &["must run after", "`B.i` would run it before"]),
        (ROWS, "fuse B C depth 1 shift 1", &["`C[0, 0]` must run after `B[0, 2]`", "flow through `B[0, 2]`"]),
        (ROWS, "fuse B C depth 1 shift 1 2", &["1 loops become common, and there are 2 shifts"]),
        (ROWS, "fuse C B", &["the nest of `B` does not follow that of `C`"]),
        (PERHAPS_EMPTY, "fuse S.init S depth 2", &["`S.init` cannot run in the loop `S.k`", "no iteration there"]),
        (ROWS, "fuse B.j C.j depth 2", &["the two nests have 1 perfectly nested loops in common, not 2"]),
        (ROWS, "fuse B C\nfuse B C", &["have no loops that could become common"]),
        (ROWS, "fuse B B", &["`B` and `B` are in one nest already"]),
        (ROWS, "fuse B.i C.j", &["are in one nest already"]),
        (ROWS, "fuse B D", &["there is no statement `D`"]),
        (OVERWRITTEN, "fuse A B", &["the nest of `B` does not follow that of `A`"]),
        (OVERWRITTEN, "fuse B C\nfuse C A depth 1 shift 0", &["must run after"]),
        (
            "matmul",
            "vectorise C.init.n by 8\nvectorise C.update.n by 8\nreorder C.update.k C.update.no\nfuse C.init C.update depth 3",
            &["`C.init.nv` is vectorised and `C.update.no` is sequential"],
        ),
        (
            "matmul",
            "bind C.init.m to block.x\nfuse C.init C.update",
            &["`C.init.m` is bound to an axis and `C.update.m` is sequential"],
        ),
        ("matmul", "parallel C.init.m\nparallel C.update.m\nfuse C.init C.update depth 1 shift 1", &["at once"]),
        ("matmul", "cut C.update.m at 4\nfuse C.update.m2 C.init", &["does not follow"]),
    ]);
}

#[test]
fn distributions() {
    check(&[
        (
            "triangular_solve",
            "distribute x.init.i",
            &["`x.update[1, 0]` must run after `x.scale[0]`", "the sequence would run it before"],
        ),
        ("triangular_solve", "distribute x.update.j", &["the nest of `x.update.j` holds one thing only"]),
        ("matmul", "distribute C.init.x", &["there is no loop `C.init.x`"]),
        ("prefix_sum", "cut S.i at 5\ndistribute S.i", &["holds one thing only"]),
        (SKEWED, "fuse A A", &["in one nest already"]),
        (RECURRENCE, "distribute B.i", &["must run after"]),
    ]);
}

#[test]
fn tiles_and_interchanges() {
    check(&[
        (SKEWED, "tile A.i A.j by 4 4", &["`A.jo` would run it before"]),
        (SKEWED, "skew A.j by -1 of A.i\ntile A.i A.j by 4 4", &["would run it before"]),
        (SKEWED, "skew A.j by 1 of A.i\nparallel A.i", &["at once"]),
        (SKEWED, "reverse A.j\nreorder A.j A.i\nreverse A.j", &["would run it before"]),
        (ROWS, "fuse B C\nreorder B.j B.i\nparallel B.j", &["at once"]),
        ("matmul", "cut C.update.k at 8\ntile C.update.m C.update.k2 by 8 8", &["not perfectly nested"]),
        ("stencil", "tile A.i A.j by 4", &["there are 2 loops, and sizes for 1"]),
        ("stencil", "parallel A.j", &["at once"]),
        ("stencil", "vectorise A.j by 4", &["the vector loop `A.jv` would run them at once"]),
        ("prefix_sum", "peel S.i first 1\nvectorise S.i by 4", &["the vector loop `S.iv` would run them at once"]),
    ]);
}

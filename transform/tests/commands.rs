//! Every command: the tree after it.

mod common;

use common::check;
use expect_test::expect;

#[test]
fn the_source_order_is_the_empty_script() {
    check(
        "matmul",
        "",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band permutable
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident
              C.update.n = { C.update[m, n, k] -> [(n)] } coincident
              C.update.k = { C.update[m, n, k] -> [(k)] }
        ---
    "#]],
    );
}

#[test]
fn split_cuts_into_strips() {
    check(
        "matmul",
        "split C.update.k by 256 as ko ki",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band permutable
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident
              C.update.n = { C.update[m, n, k] -> [(n)] } coincident
              C.update.ko = { C.update[m, n, k] -> [(floor((k)/256))] }
              C.update.ki = { C.update[m, n, k] -> [(k)] }
        ---
        split C.update.k by 256 as ko ki
    "#]],
    );
}

#[test]
fn split_finds_names_of_its_own() {
    check(
        "matmul",
        "split C.update.k by 256\nsplit C.update.k by 4\nsplit C.update.kio by 8 as ko2 other.ki",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band permutable
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident
              C.update.n = { C.update[m, n, k] -> [(n)] } coincident
              C.update.ko = { C.update[m, n, k] -> [(floor((k)/256))] }
              C.update.ko2 = { C.update[m, n, k] -> [(floor((k)/32))] }
              other.ki = { C.update[m, n, k] -> [(floor((k)/4))] }
              C.update.kii = { C.update[m, n, k] -> [(k)] }
        ---
        split C.update.k by 256 as ko ki
        split C.update.ki by 4 as kio kii
        split C.update.kio by 8 as ko2 other.ki
    "#]],
    );
}

#[test]
fn tile_cuts_into_boxes() {
    check(
        "matmul",
        "tile C.update.m C.update.n by 96 512 as mo no / mi ni",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band permutable
              C.update.mo = { C.update[m, n, k] -> [(floor((m)/96))] } coincident
              C.update.no = { C.update[m, n, k] -> [(floor((n)/512))] } coincident
              C.update.mi = { C.update[m, n, k] -> [(m)] } coincident
              C.update.ni = { C.update[m, n, k] -> [(n)] } coincident
              C.update.k = { C.update[m, n, k] -> [(k)] }
        ---
        tile C.update.m C.update.n by 96 512 as mo no / mi ni
    "#]],
    );
}

#[test]
fn tile_orders_boxes_as_written() {
    check(
        "matmul",
        "tile C.update.k C.update.m by 8 16",
        expect![[r#"
            sequence
              filter { C.init[m, n] }
                band permutable
                  C.init.m = { C.init[m, n] -> [(m)] } coincident
                  C.init.n = { C.init[m, n] -> [(n)] } coincident
              filter { C.update[m, n, k] }
                band permutable
                  C.update.ko = { C.update[m, n, k] -> [(floor((k)/8))] }
                  C.update.mo = { C.update[m, n, k] -> [(floor((m)/16))] } coincident
                  C.update.ki = { C.update[m, n, k] -> [(k)] }
                  C.update.n = { C.update[m, n, k] -> [(n)] } coincident
                  C.update.mi = { C.update[m, n, k] -> [(m)] } coincident
            ---
            tile C.update.k C.update.m by 8 16 as ko mo / ki mi
        "#]],
    );
}

#[test]
fn reorder_shares_out_the_places() {
    check(
        "matmul",
        "reorder C.update.k C.update.m",
        expect![[r#"
            sequence
              filter { C.init[m, n] }
                band permutable
                  C.init.m = { C.init[m, n] -> [(m)] } coincident
                  C.init.n = { C.init[m, n] -> [(n)] } coincident
              filter { C.update[m, n, k] }
                band permutable
                  C.update.k = { C.update[m, n, k] -> [(k)] }
                  C.update.n = { C.update[m, n, k] -> [(n)] } coincident
                  C.update.m = { C.update[m, n, k] -> [(m)] } coincident
            ---
            reorder C.update.k C.update.m
        "#]],
    );
}

#[test]
fn parallel_marks_a_loop() {
    check(
        "matmul",
        "parallel C.update.n",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band permutable
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident
              C.update.n = { C.update[m, n, k] -> [(n)] } coincident parallel
              C.update.k = { C.update[m, n, k] -> [(k)] }
        ---
        parallel C.update.n
    "#]],
    );
}

#[test]
fn vectorise_sinks_the_lanes() {
    check(
        "matmul",
        "vectorise C.update.n by 16",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band permutable
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident
              C.update.no = { C.update[m, n, k] -> [(floor((n)/16))] } coincident
              C.update.k = { C.update[m, n, k] -> [(k)] }
              C.update.nv = { C.update[m, n, k] -> [(n)] } coincident vector 16
        ---
        vectorise C.update.n by 16 as no nv
    "#]],
    );
}

#[test]
fn unroll_stays_outside_the_lanes() {
    check(
        "matmul",
        "vectorise C.update.n by 16 as no nv\nunroll C.update.m by 12\nunroll C.update.no by 2",
        expect![[r#"
            sequence
              filter { C.init[m, n] }
                band permutable
                  C.init.m = { C.init[m, n] -> [(m)] } coincident
                  C.init.n = { C.init[m, n] -> [(n)] } coincident
              filter { C.update[m, n, k] }
                band permutable
                  C.update.mo = { C.update[m, n, k] -> [(floor((m)/12))] } coincident
                  C.update.noo = { C.update[m, n, k] -> [(floor((n)/32))] } coincident
                  C.update.k = { C.update[m, n, k] -> [(k)] }
                  C.update.nou = { C.update[m, n, k] -> [(floor((n)/16))] } coincident unroll 2
                  C.update.mu = { C.update[m, n, k] -> [(m)] } coincident unroll 12
                  C.update.nv = { C.update[m, n, k] -> [(n)] } coincident vector 16
            ---
            vectorise C.update.n by 16 as no nv
            unroll C.update.m by 12 as mo mu
            unroll C.update.no by 2 as noo nou
        "#]],
    );
}

#[test]
fn vectorise_goes_into_every_leaf() {
    check(
        "matmul",
        "fuse C.init C.update depth 2\nvectorise C.init.n by 8",
        expect![[r#"
        band
          C.init.m = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)] }
          C.init.no = { C.init[m, n] -> [(floor((n)/8))]; C.update[m, n, k] -> [(floor((n)/8))] }
          sequence
            filter { C.init[m, n] }
              band
                C.init.nv = { C.init[m, n] -> [(n)] } vector 8
            filter { C.update[m, n, k] }
              band
                C.update.k = { C.update[m, n, k] -> [(k)] }
                C.update.nv = { C.update[m, n, k] -> [(n)] } vector 8
        ---
        fuse C.init C.update depth 2
        vectorise C.init.n by 8 as no nv
    "#]],
    );
}

#[test]
fn a_loop_is_found_through_any_of_its_statements() {
    check(
        "matmul",
        "fuse C.init C.update\nparallel C.update.m\nunroll C.update.k by 4",
        expect![[r#"
        band
          C.init.m = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)] } parallel
          C.init.n = { C.init[m, n] -> [(n)]; C.update[m, n, k] -> [(n)] }
          sequence
            filter { C.init[m, n] }
            filter { C.update[m, n, k] }
              band permutable
                C.update.ko = { C.update[m, n, k] -> [(floor((k)/4))] }
                C.update.ku = { C.update[m, n, k] -> [(k)] } unroll 4
        ---
        fuse C.init C.update depth 2
        parallel C.init.m
        unroll C.update.k by 4 as ko ku
    "#]],
    );
}

#[test]
fn fuse_joins_outer_loops() {
    check(
        "matmul",
        "fuse C.init C.update depth 1",
        expect![[r#"
        band
          C.init.m = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)] }
          sequence
            filter { C.init[m, n] }
              band permutable
                C.init.n = { C.init[m, n] -> [(n)] } coincident
            filter { C.update[m, n, k] }
              band permutable
                C.update.n = { C.update[m, n, k] -> [(n)] } coincident
                C.update.k = { C.update[m, n, k] -> [(k)] }
        ---
        fuse C.init C.update depth 1
    "#]],
    );
}

#[test]
fn fuse_of_a_fused_nest_extends_its_sequence() {
    check(
        "matmul_bias_relu",
        "fuse T.init T.update depth 2\nfuse T.update R depth 2",
        expect![[r#"
        band
          T.init.m = { R[m, n] -> [(m)]; T.init[m, n] -> [(m)]; T.update[m, n, k] -> [(m)] }
          T.init.n = { R[m, n] -> [(n)]; T.init[m, n] -> [(n)]; T.update[m, n, k] -> [(n)] }
          sequence
            filter { T.init[m, n] }
            filter { T.update[m, n, k] }
              band permutable
                T.update.k = { T.update[m, n, k] -> [(k)] }
            filter { R[m, n] }
        ---
        fuse T.init T.update depth 2
        fuse T.update R depth 2
    "#]],
    );
}

#[test]
fn distribute_takes_a_nest_apart() {
    check(
        "matmul",
        "fuse C.init C.update depth 2\nsplit C.init.m by 4\ndistribute C.init.mo",
        expect![[r#"
            sequence
              filter { C.init[m, n] }
                band
                  C.init.mo = { C.init[m, n] -> [(floor((m)/4))] }
                  C.init.mi = { C.init[m, n] -> [(m)] }
                  C.init.n = { C.init[m, n] -> [(n)] }
              filter { C.update[m, n, k] }
                band
                  C.update.mo = { C.update[m, n, k] -> [(floor((m)/4))] }
                  C.update.mi = { C.update[m, n, k] -> [(m)] }
                  C.update.n = { C.update[m, n, k] -> [(n)] }
                  C.update.k = { C.update[m, n, k] -> [(k)] }
            ---
            fuse C.init C.update depth 2
            split C.init.m by 4 as mo mi
            distribute C.init.mo
        "#]],
    );
}

#[test]
fn distribute_at_the_top_of_a_sequence() {
    check(
        "matmul_bias_relu",
        "fuse T.init T.update depth 2\ndistribute T.init.m\nfuse T.update R depth 1",
        expect![[r#"
            sequence
              filter { T.init[m, n] }
                band
                  T.init.m = { T.init[m, n] -> [(m)] }
                  T.init.n = { T.init[m, n] -> [(n)] }
              filter { R[m, n]; T.update[m, n, k] }
                band
                  T.update.m = { R[m, n] -> [(m)]; T.update[m, n, k] -> [(m)] }
                  sequence
                    filter { T.update[m, n, k] }
                      band
                        T.update.n = { T.update[m, n, k] -> [(n)] }
                        T.update.k = { T.update[m, n, k] -> [(k)] }
                    filter { R[m, n] }
                      band permutable
                        R.n = { R[m, n] -> [(n)] } coincident
            ---
            fuse T.init T.update depth 2
            distribute T.init.m
            fuse T.update R depth 1
        "#]],
    );
}

#[test]
fn order_takes_a_literal_tree() {
    check(
        "matmul",
        "order {
  # one nest of three loops
  band permutable
    n = { C.init[m, n] -> [(n)]; C.update[m, n, k] -> [(n)] } coincident
    m = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)] } coincident parallel
    sequence
      filter { C.init[m, n] }
      filter { C.update[m, n, k] }
        band
          ko = { C.update[m, n, k] -> [(floor(k/4))] }
          ki = { C.update[m, n, k] -> [(k)] } unroll 4
}
reorder m n",
        expect![[r#"
            band permutable
              m = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)] } coincident parallel
              n = { C.init[m, n] -> [(n)]; C.update[m, n, k] -> [(n)] } coincident
              sequence
                filter { C.init[m, n] }
                filter { C.update[m, n, k] }
                  band permutable
                    ko = { C.update[m, n, k] -> [(floor((k)/4))] }
                    ki = { C.update[m, n, k] -> [(k)] } unroll 4
            ---
            order {
                band
                  n = { C.init[m, n] -> [(n)]; C.update[m, n, k] -> [(n)] }
                  m = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)] } parallel
                  sequence
                    filter { C.init[m, n] }
                    filter { C.update[m, n, k] }
                      band
                        ko = { C.update[m, n, k] -> [(floor((k)/4))] }
                        ki = { C.update[m, n, k] -> [(k)] } unroll 4
            }
            reorder m n
        "#]],
    );
}

#[test]
fn a_matrix_product_as_it_is_run() {
    check(
        "matmul",
        "
        # blocks for the caches, then registers
        parallel C.init.m
        vectorise C.init.n by 16
        tile C.update.m C.update.n C.update.k by 96 512 256
        unroll C.update.m by 12
        vectorise C.update.n by 16
        unroll C.update.nio by 2
        reorder C.update.ko C.update.mo
        ",
        expect![[r#"
            sequence
              filter { C.init[m, n] }
                band permutable
                  C.init.m = { C.init[m, n] -> [(m)] } coincident parallel
                  C.init.no = { C.init[m, n] -> [(floor((n)/16))] } coincident
                  C.init.nv = { C.init[m, n] -> [(n)] } coincident vector 16
              filter { C.update[m, n, k] }
                band permutable
                  C.update.ko = { C.update[m, n, k] -> [(floor((k)/256))] }
                  C.update.no = { C.update[m, n, k] -> [(floor((n)/512))] } coincident
                  C.update.mo = { C.update[m, n, k] -> [(floor((m)/96))] } coincident
                  C.update.mio = { C.update[m, n, k] -> [(floor((m)/12))] } coincident
                  C.update.nioo = { C.update[m, n, k] -> [(floor((n)/32))] } coincident
                  C.update.ki = { C.update[m, n, k] -> [(k)] }
                  C.update.niou = { C.update[m, n, k] -> [(floor((n)/16))] } coincident unroll 2
                  C.update.miu = { C.update[m, n, k] -> [(m)] } coincident unroll 12
                  C.update.niv = { C.update[m, n, k] -> [(n)] } coincident vector 16
            ---
            # blocks for the caches, then registers
            parallel C.init.m
            vectorise C.init.n by 16 as no nv
            tile C.update.m C.update.n C.update.k by 96 512 256 as mo no ko / mi ni ki
            unroll C.update.mi by 12 as mio miu
            vectorise C.update.ni by 16 as nio niv
            unroll C.update.nio by 2 as nioo niou
            reorder C.update.ko C.update.mo
        "#]],
    );
}

#[test]
fn a_set_at_the_top_becomes_a_sequence() {
    check(
        "strided",
        "order {
  set
    filter { B.even[i] }
      band
        even = { B.even[i] -> [(i)] }
    filter { B.odd[i] }
      band
        odd = { B.odd[i] -> [(2i + 1)] }
}
fuse B.even B.odd
distribute even",
        expect![[r#"
            sequence
              filter { B.even[i] }
                band
                  even = { B.even[i] -> [(i)] }
              filter { B.odd[i] }
                band
                  even.B.odd = { B.odd[i] -> [(1 + 2i)] }
            ---
            order {
                set
                  filter { B.even[i] }
                    band
                      even = { B.even[i] -> [(i)] }
                  filter { B.odd[i] }
                    band
                      odd = { B.odd[i] -> [(1 + 2i)] }
            }
            fuse B.even B.odd depth 1
            distribute even
        "#]],
    );
}

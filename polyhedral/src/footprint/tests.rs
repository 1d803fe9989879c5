use super::*;
use crate::{isl, testing};

/// `C(m, n) += A(m, k) * B(k, n)`, in tiles of 96, 512 and 256.
const TILED: &str = "
scop matmul(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
inout C: float32[M, N]
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  C[m, n] sum= A[m, k] * B[k, n]
tree
  band permutable
    no = { C.update[m, n, k] -> [(floor((n)/512))] }
    ko = { C.update[m, n, k] -> [(floor((k)/256))] }
    mo = { C.update[m, n, k] -> [(floor((m)/96))] }
    n = { C.update[m, n, k] -> [(n)] }
    m = { C.update[m, n, k] -> [(m)] }
    k = { C.update[m, n, k] -> [(k)] }
";

/// The hull of one access at a member, as text: lower bounds, then extents.
fn hull_text(scop: &Scop, member: &str, stmt: &str, access: usize) -> String {
    let place = Place::iteration(scop, member).expect("isl").expect("a member");
    let stmt = scop.stmt_named(stmt).expect("a statement");
    let touched = touched(scop, &place, &[(stmt, access)]).expect("isl").as_map().expect("one tensor");
    let Some(hull) = hull(&touched).expect("isl") else { return "none".into() };
    let names: Vec<String> = place.members.iter().map(|name| name.rsplit('.').next().unwrap_or(name).into()).collect();
    let lower: Vec<String> = hull.lower.iter().map(|at| at.display(&names, &scop.params).to_string()).collect();
    format!("[{}] {:?}", lower.join(", "), hull.extent)
}

#[test]
fn a_tile_of_a_matrix_product_is_a_box_of_constant_extents() {
    let scop = testing::scop(&isl::Ctx::new(), TILED);
    assert_eq!(hull_text(&scop, "mo", "C.update", 0), "[96*mo, 256*ko] [96, 256]");
    assert_eq!(hull_text(&scop, "mo", "C.update", 1), "[256*ko, 512*no] [256, 512]");
    assert_eq!(hull_text(&scop, "mo", "C.update", 2), "[96*mo, 512*no] [96, 512]");
    assert_eq!(hull_text(&scop, "m", "C.update", 0), "[m, 256*ko] [1, 256]");
    // All of M is touched: no constant holds it.
    assert_eq!(hull_text(&scop, "ko", "C.update", 0), "none");
    assert_eq!(hull_text(&scop, "ko", "C.update", 1), "[256*ko, 512*no] [256, 512]");
}

#[test]
fn a_window_reaches_over_its_tile() {
    let text = "
scop blur(N)
context { : N > 2 }
input A: float32[N]
output B: float32[N - 2 from 1]
stmt B[i]
  domain { B[i] : 1 <= i < N - 1 }
  B[i] = A[i - 1] + A[i] + A[i + 1]
tree
  band permutable
    io = { B[i] -> [(floor((i)/32))] }
    i = { B[i] -> [(i)] }
";
    let scop = testing::scop(&isl::Ctx::new(), text);
    let place = Place::iteration(&scop, "io").unwrap().unwrap();
    let b = scop.stmt_named("B").unwrap();
    let all = touched(&scop, &place, &[(b, 0), (b, 1), (b, 2)]).unwrap().as_map().unwrap();
    let hull = hull(&all).unwrap().unwrap();
    // The first tile starts at 0, all others one element before themselves.
    assert_eq!(hull.extent, [34]);
    assert_eq!(hull.lower[0].eval(&[3], &[1000]), Some(95));
    assert_eq!(hull_text(&scop, "i", "B", 1), "[i] [1]");
}

#[test]
fn strides_are_inside_the_box() {
    let text = "
scop every_third(N)
context { : N > 0 }
input A: float32[3 * N]
output B: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[3*i]
tree
  band permutable
    io = { B[i] -> [(floor((i)/8))] }
    i = { B[i] -> [(i)] }
";
    let scop = testing::scop(&isl::Ctx::new(), text);
    assert_eq!(hull_text(&scop, "io", "B", 0), "[24*io] [22]");
}

#[test]
fn a_triangle_has_no_constant_extent_but_its_tiles_have() {
    let scop = testing::triangular_solve(&isl::Ctx::new());
    assert_eq!(hull_text(&scop, "x.init.i", "x.update", 0), "none");
    assert_eq!(hull_text(&scop, "x.update.j", "x.update", 0), "[i, j] [1, 1]");
}

/// For each ready-made program and member: the box holds every element, and no smaller extent would.
#[test]
fn hulls_hold_what_is_touched_and_no_more_than_needed() {
    let mut hulls = 0;
    for scop in testing::programs(&isl::Ctx::new()) {
        for member in scop.tree.root.members() {
            let place = Place::iteration(&scop, &member.name).unwrap().unwrap();
            for (id, stmt) in scop.stmts.iter() {
                for number in 0..stmt.accesses().count() {
                    let Ok(map) = touched(&scop, &place, &[(id, number)]).unwrap().as_map() else { continue };
                    let Some(hull) = hull(&map).unwrap() else { continue };
                    hulls += 1;
                    assert!(map.subtract(&box_map(&map, &hull)).unwrap().is_empty().unwrap(), "{map}\n{hull:?}");
                    for dim in 0..hull.extent.len() {
                        let mut less = hull.clone();
                        less.extent[dim] -= 1;
                        assert!(!map.subtract(&box_map(&map, &less)).unwrap().is_empty().unwrap(), "{map}\n{less:?}");
                    }
                }
            }
        }
    }
    assert!(hulls > 20, "{hulls} hulls");
}

/// The box as a relation of the same space as `map`.
fn box_map(map: &isl::Map, hull: &BoxHull) -> isl::Map {
    let domain = map.domain().unwrap();
    let space = domain.space().unwrap();
    let mut all = domain.identity().unwrap().project_out(isl::Dim::Out, 0, space.dim(isl::Dim::Set).unwrap()).unwrap();
    for (lower, extent) in hull.lower.iter().zip(&hull.extent) {
        let first = lower.to_pw_aff(&space).unwrap().to_map().unwrap();
        let steps = isl::Map::read(map.ctx(), &format!("{{ [x] -> [y] : x <= y < x + {extent} }}")).unwrap();
        all = all.flat_range_product(&first.apply_range(&steps).unwrap()).unwrap();
    }
    all.with_tuple_name(isl::Dim::Out, &map.tuple_name(isl::Dim::Out).unwrap()).unwrap()
}

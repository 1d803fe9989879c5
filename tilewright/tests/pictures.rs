//! Pictures hold what there is: a point for every instance, an arrow for every pair that depends, tiles that divide the points.

use std::collections::BTreeSet;

use expect_test::expect;
use tilewright::pictures::{Domain, Picture, Wanted, domain, draw};
use tilewright::{Definition, Options, Script, Source, check, target_named};

const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
const TRIANGLE: &str = "def triangle(float(N,N) L, float(N) X) -> (Y) { Y(i) +=! L(i,j) * X(j) where j in 0:i+1 }";
const SEIDEL: &str = "def seidel(float(N) start, float(T) steps) -> (A) {
  A(i) = start(i)
  for t in 0:T {
    for i in 1:N-1 {
      A(i) = 0.5 * (A(i-1) + A(i+1))
    }
  }
}";

fn definition(text: &str) -> Definition {
    check(&Source::new("test.tc".into(), text.into())).unwrap_or_else(|error| panic!("{error}")).0.remove(0)
}

fn options(script: &str) -> Options {
    let script: Script = script.parse().expect("a script");
    Options { script: Some(script), ..Options::new(target_named("x86-64-v3").expect("a known target")) }
}

fn wanted(statement: &str, dims: &[&str]) -> Wanted {
    Wanted { statement: Some(statement.into()), dims: dims.iter().map(ToString::to_string).collect() }
}

fn of(text: &str, sizes: &[i64], script: &str, wanted: &Wanted) -> Domain {
    let def = definition(text);
    domain(&def, sizes, &options(script), wanted).unwrap_or_else(|error| panic!("{error}"))
}

/// Sizes in the order M, K, N.
const SMALL: [i64; 3] = [10, 4, 20];

#[test]
fn every_instance_is_at_a_point() {
    let [m, k, n] = SMALL.map(|size| size as usize);
    let found = of(MM, &SMALL, "# as it is\n", &wanted("C.update", &["m", "k"]));
    assert_eq!((found.points.len(), found.instances, found.moments), (m * k, m * k * n, m * k * n));
    assert!(found.points.iter().all(|point| point.instances == n));
    let found = of(TRIANGLE, &[9], "# as it is\n", &wanted("Y.update", &[]));
    let places: BTreeSet<[i64; 2]> = found.points.iter().map(|point| point.at).collect();
    let expected: BTreeSet<[i64; 2]> = (0..9).flat_map(|i| (0..=i).map(move |j| [i, j])).collect();
    assert_eq!(places, expected);
    let one = of(TRIANGLE, &[9], "# as it is\n", &wanted("Y.init", &[]));
    assert_eq!((one.dims.as_slice(), one.points.len()), (&["i".to_string()][..], 9));
}

/// Updates of one element may be swapped, each with each other; in other dimensions nothing depends on anything.
#[test]
fn arrows_are_the_pairs_that_depend() {
    let [m, k, _] = SMALL.map(|size| size as usize);
    let found = of(MM, &SMALL, "# as it is\n", &wanted("C.update", &["m", "k"]));
    assert_eq!((found.arrows.len(), found.left_out), (m * k * (k - 1) / 2, 0));
    assert!(found.arrows.iter().all(|arrow| arrow.kind == "reduction" && arrow.from[0] == arrow.to[0]));
    assert!(of(MM, &SMALL, "# as it is\n", &wanted("C.update", &["m", "n"])).arrows.is_empty());
    let turned = of(MM, &SMALL, "# as it is\n", &wanted("C.update", &["k", "m"]));
    let swapped = |arrow: &tilewright::pictures::Arrow| ([arrow.from[1], arrow.from[0]], [arrow.to[1], arrow.to[0]]);
    let one: BTreeSet<_> = found.arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
    assert_eq!(turned.arrows.iter().map(swapped).collect::<BTreeSet<_>>(), one);
}

/// What a sweep in place reads: the left neighbour of this step, the right one of the step before, and itself then.
#[test]
fn arrows_of_a_sweep_in_place() {
    let (n, t) = (9, 4);
    let found = of(SEIDEL, &[n, t], "# as it is\n", &wanted("A.2", &["t", "i"]));
    assert_eq!(found.points.len() as i64, t * (n - 2));
    let flow: BTreeSet<([i64; 2], [i64; 2])> =
        found.arrows.iter().filter(|arrow| arrow.kind == "flow").map(|arrow| (arrow.from, arrow.to)).collect();
    let mut expected = BTreeSet::new();
    for step in 0..t {
        for i in 1..n - 1 {
            if i > 1 {
                expected.insert(([step, i - 1], [step, i]));
            }
            if step > 0 && i < n - 2 {
                expected.insert(([step - 1, i + 1], [step, i]));
            }
        }
    }
    assert_eq!(flow, expected);
    // Time goes on from each source to each sink.
    let moment = |at: [i64; 2]| found.points.iter().find(|point| point.at == at).expect("a point").first;
    assert!(found.arrows.iter().all(|arrow| moment(arrow.from) < moment(arrow.to)));
}

#[test]
fn tiles_are_whole_or_cut() {
    let script = "tile C.update.m C.update.n by 4 8\n";
    let found = of(MM, &SMALL, script, &wanted("C.update", &["m", "n"]));
    let [tiles] = found.tiles.as_slice() else { panic!("{:?}", found.tiles) };
    let whole = tiles.iter().filter(|tile| tile.whole).count();
    assert_eq!((tiles.len(), whole), (9, 4));
    assert_eq!(tiles.iter().map(|tile| tile.points).sum::<usize>(), found.points.len());
    for point in &found.points {
        let mates = found.points.iter().filter(|other| other.tiles == point.tiles);
        assert!(
            mates.clone().all(|mate| [0, 1].map(|d| mate.at[d] / [4, 8][d]) == [0, 1].map(|d| point.at[d] / [4, 8][d]))
        );
        assert_eq!(mates.count(), tiles[point.tiles[0]].points);
    }
    let nested = of(
        MM,
        &SMALL,
        "tile C.update.m C.update.n by 4 8\ntile C.update.mi C.update.ni by 2 2\n",
        &wanted("C.update", &["m", "n"]),
    );
    assert_eq!(nested.tiles.iter().map(Vec::len).collect::<Vec<_>>(), [9, 50]);
    // Tiles along a wavefront are cut in both dimensions at once.
    let script = "skew A.2.i by 1 of A.2.t as w\ntile A.2.t A.2.w by 3 6\n";
    let skewed = of(SEIDEL, &[16, 7], script, &wanted("A.2", &["t", "i"]));
    let tiles: BTreeSet<[i64; 2]> =
        skewed.points.iter().map(|point| [point.at[0] / 3, (point.at[0] + point.at[1]) / 6]).collect();
    assert_eq!(skewed.tiles.iter().map(Vec::len).collect::<Vec<_>>(), [tiles.len()]);
    assert_eq!(skewed.tiles[0].iter().filter(|tile| tile.whole).map(|tile| tile.points).max(), Some(18));
}

#[test]
fn what_runs_at_once_does_so_at_one_moment() {
    let [m, k, n] = SMALL.map(|size| size as usize);
    let found = of(MM, &SMALL, "parallel C.update.m\n", &wanted("C.update", &["m", "n"]));
    assert_eq!(found.moments, n * k);
    assert!(found.points.iter().all(|point| point.thread == Some(point.at[0])));
    let script = "reorder C.update.k C.update.n\nvectorise C.update.n by 8\n";
    let found = of(MM, &SMALL, script, &wanted("C.update", &["m", "n"]));
    assert_eq!(found.moments, m * k * n.div_ceil(8));
    // Rows of 20: two whole vectors and one of four lanes.
    let lengths: Vec<i64> = found.vectors.iter().take(3).map(|[from, to]| to[1] - from[1] + 1).collect();
    assert_eq!((found.vectors.len(), lengths), (3 * m, vec![8, 8, 4]));
}

fn drawn(picture: Picture, text: &str, sizes: &[i64], script: &str, wanted: &Wanted) -> String {
    draw(picture, &definition(text), sizes, &options(script), wanted).unwrap_or_else(|error| panic!("{error}"))
}

/// Every tag that is opened is closed, in order.
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let Some((tag, _)) = part.split_once('>') else { return false };
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        match tag {
            tag if tag.ends_with('/') => {}
            tag if tag.starts_with('/') => {
                if open.pop() != Some(name) {
                    return false;
                }
            }
            _ => open.push(name),
        }
    }
    open.is_empty()
}

#[test]
fn pictures_are_the_same_each_time_and_stand_alone() {
    let script = "tile C.update.m C.update.n by 4 8\nparallel C.update.mo\n";
    for picture in Picture::ALL {
        let one = || drawn(picture, MM, &SMALL, script, &wanted("C.update", &["m", "k"]));
        let text = one();
        assert_eq!(text, one(), "{}", picture.name());
        let kind = picture.name().rsplit('.').next();
        match kind {
            Some("svg") => {
                assert!(text.starts_with("<svg ") && is_well_formed(&text), "{text}");
                assert!(!text.contains("href") && text.matches("http").count() == 1, "nothing from elsewhere");
                assert!(text.contains("prefers-color-scheme:dark"));
            }
            Some("json") => _ = serde_json::from_str::<serde_json::Value>(&text).expect("JSON"),
            _ => assert!(text.starts_with("digraph ") && text.ends_with("}\n"), "{text}"),
        }
    }
    let svg = drawn(Picture::DomainSvg, MM, &SMALL, script, &wanted("C.update", &["m", "k"]));
    assert_eq!(svg.matches("<circle ").count(), 40);
    assert_eq!(svg.matches("class=\"arrow reduction\"").count(), 60);
}

#[test]
fn the_graph_of_a_sweep() {
    let dot = drawn(Picture::DepsDot, SEIDEL, &[9, 4], "# as it is\n", &Wanted::default());
    expect![[r#"
        digraph "seidel" {
          node [shape=box, style=rounded, fontname=monospace]
          edge [fontname=monospace, fontsize=10]
          "A" [tooltip="A[i] = start[i]"]
          "A.2" [tooltip="A[i] = 0.5f32 * (A[i - 1] + A[i + 1])"]
          "A" -> "A.2" [label="flow", style=solid]
          "A" -> "A.2" [label="output", style=dashed]
          "A.2" -> "A.2" [label="flow [0, 1] [1, -1]", style=solid]
          "A.2" -> "A.2" [label="anti [0, 1] [1, -1]", style=dashed]
          "A.2" -> "A.2" [label="output [1, 0]", style=dashed]
        }
    "#]]
    .assert_eq(&dot);
}

#[test]
fn the_tree_of_a_product() {
    let dot = drawn(
        Picture::TreeDot,
        MM,
        &SMALL,
        "tile C.update.m C.update.n by 4 8\nparallel C.update.mo\n",
        &Wanted::default(),
    );
    expect![[r#"
        digraph schedule {
          node [shape=box, fontname=monospace]
          n0 [label="sequence", style=rounded]
          n1 [label="C.init.m  10×\nC.init.n  20×\n(permutable)"]
          n2 [label="C.init", style=rounded]
          n1 -> n2
          n0 -> n1
          n3 [label="C.update.mo  3×  parallel\nC.update.no  3×\nC.update.mi  3.3×\nC.update.ni  6.7×\nC.update.k  4×\n(permutable)"]
          n4 [label="C.update", style=rounded]
          n3 -> n4
          n0 -> n3
        }
    "#]]
    .assert_eq(&dot);
}

#[test]
fn what_is_not_there_is_not_drawn() {
    let refused = |sizes: &[i64], wanted: &Wanted| {
        let error = domain(&definition(MM), sizes, &options("# as it is\n"), wanted).expect_err("nothing to draw");
        let diagnostic = &error.diagnostics()[0];
        (diagnostic.code, diagnostic.help.clone().unwrap_or_default())
    };
    assert_eq!(refused(&SMALL, &wanted("D", &[])), ("TC0948", "it is one of C.init, C.update".into()));
    assert_eq!(refused(&SMALL, &wanted("C.update", &["m", "x"])), ("TC0948", "it is one of m, n, k".into()));
    for dims in [&["m", "m"][..], &["m", "n", "k"]] {
        assert_eq!(refused(&SMALL, &wanted("C.update", dims)).0, "TC0948");
    }
    assert_eq!(refused(&[64, 64, 64], &wanted("C.update", &["m", "n"])).0, "TC0949");
}

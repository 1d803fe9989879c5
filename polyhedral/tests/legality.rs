//! Verdicts of legality against brute force: every pair of instances of small programs, in random trees.

mod common;

use std::collections::BTreeMap;

use common::{Does, Program, c, d, matmul, p};
use polyhedral::legality::{self, Conflict, Illegal, Violation};
use polyhedral::{
    Band, Body, DependenceKind, Dependences, Filtered, Kind, Member, Nest, Node, Role, ScheduleTree, Scop, StmtId,
    Subscript, dependences, isl,
};
use support::Entity;

// ---- By hand ------------------------------------------------------------------------------------------------------

/// A member with the same function text for each statement: `{ C.update[m, n, k] -> [(k)] }`.
fn member(scop: &Scop, name: &str, function: &str, kind: Kind) -> Member {
    let function = isl::UnionPwAff::read(&scop.ctx, function).expect("a function");
    Member { name: name.into(), schedule: function, coincident: false, kind }
}

fn band(members: Vec<Member>, child: Node) -> Node {
    Node::Band(Band { members, permutable: false, child: Box::new(child) })
}

fn filtered(scop: &Scop, stmts: &[&str], node: Node) -> Filtered {
    let named = |name: &&str| scop.stmts[scop.stmt_named(name).expect("a statement")].domain.to_union_set();
    let filter = stmts
        .iter()
        .map(named)
        .try_fold(isl::UnionSet::empty(&scop.ctx).expect("empty"), |all, set| all.union(&set?))
        .expect("a union");
    Filtered { filter, node }
}

fn tree(scop: &Scop, root: Node) -> ScheduleTree {
    ScheduleTree { domain: scop.domain().expect("a domain"), root }
}

/// Initialisation in its own loops, then the update under `members`.
fn matmul_tree(scop: &Scop, members: Vec<Member>) -> ScheduleTree {
    let Node::Sequence(mut children) = scop.tree.root.clone() else { panic!("a sequence") };
    children[1].node = band(members, Node::Leaf);
    tree(scop, Node::Sequence(children))
}

#[track_caller]
fn refused(verdict: Result<(), Illegal>) -> Violation {
    match verdict {
        Err(Illegal::Violation(violation)) => *violation,
        other => panic!("expected a violation, got {other:?}"),
    }
}

const M: &str = "[M, N, K] -> { C.update[m, n, k] -> [(m)] }";
const N: &str = "[M, N, K] -> { C.update[m, n, k] -> [(n)] }";
const K: &str = "[M, N, K] -> { C.update[m, n, k] -> [(k)] }";

#[test]
fn the_source_order_is_legal() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    legality::order_respected(&scop.tree, &deps, &scop).expect("legal");
}

#[test]
fn a_reduction_may_run_backwards_but_not_when_strict() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let backwards = "[M, N, K] -> { C.update[m, n, k] -> [(-k)] }";
    let tree = matmul_tree(
        &scop,
        vec![
            member(&scop, "k", backwards, Kind::Sequential),
            member(&scop, "m", M, Kind::Sequential),
            member(&scop, "n", N, Kind::Sequential),
        ],
    );
    legality::order_respected(&tree, &deps, &scop).expect("legal");
    let violation = refused(legality::order_respected(&tree, &deps.strict().expect("strict"), &scop));
    assert_eq!(
        violation.to_string(),
        "`C.update[0, 0, 1]` must run after `C.update[0, 0, 0]` (flow through `C[0, 0]`), but the loop `k` would run \
         it before, for example for M = 1, N = 1, K = 2"
    );
}

#[test]
fn a_reduction_loop_is_neither_parallel_nor_a_vector() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    for kind in [Kind::Parallel, Kind::Vector(4)] {
        let tree = matmul_tree(
            &scop,
            vec![
                member(&scop, "m", M, Kind::Parallel),
                member(&scop, "n", N, Kind::Sequential),
                member(&scop, "k", K, kind),
            ],
        );
        let violation = refused(legality::order_respected(&tree, &deps, &scop));
        assert_eq!(violation.conflict, Conflict::AtOnce { member: "k".into(), kind });
        assert_eq!(violation.dependence, DependenceKind::Reduction);
        assert_eq!(violation.through, Some(("C".into(), Some(vec![0, 0]))));
    }
}

#[test]
fn an_update_before_its_initialisation_is_refused() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let Node::Sequence(mut children) = scop.tree.root.clone() else { panic!("a sequence") };
    children.reverse();
    let violation = refused(legality::order_respected(&tree(&scop, Node::Sequence(children.clone())), &deps, &scop));
    assert_eq!(violation.conflict, Conflict::BackwardSequence);
    let violation = refused(legality::order_respected(&tree(&scop, Node::Set(children)), &deps, &scop));
    assert_eq!(violation.conflict, Conflict::AnyOrder);
    let violation = refused(legality::order_respected(&tree(&scop, Node::Leaf), &deps, &scop));
    assert_eq!(violation.conflict, Conflict::Unordered);
}

#[test]
fn a_tree_that_forgets_instances_is_refused() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let sequence = Node::Sequence(vec![filtered(&scop, &["C.init"], Node::Leaf)]);
    let cases = [
        tree(&scop, sequence),
        matmul_tree(
            &scop,
            vec![member(&scop, "m", "[M, N, K] -> { C.update[m, n, k] -> [(m)] : m > 0 }", Kind::Sequential)],
        ),
        ScheduleTree { domain: isl::UnionSet::empty(&scop.ctx).expect("empty"), root: Node::Leaf },
    ];
    for tree in cases {
        let verdict = legality::order_respected(&tree, &deps, &scop);
        assert!(matches!(verdict, Err(Illegal::Malformed(_))), "{verdict:?}");
    }
}

#[test]
fn out_of_budget_is_refused() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let verdict = scop.ctx.with_budget(10, || Ok(legality::order_respected(&scop.tree, &deps, &scop)));
    assert_eq!(verdict, Ok(Err(Illegal::Isl(isl::Error::Quota))));
}

fn stencil() -> Scop {
    // for t { for i { A(i) = A(i - 1) * A(i) * A(i + 1) } }
    Program::new(&["T", "N"])
        .tensor("A", Role::InOut, vec![p(1)])
        .stmt(
            "A",
            &["t", "i"],
            "0 <= t < T and 1 <= i < N - 1",
            Does::Assigns,
            ("A", vec![d(1)]),
            vec![("A", vec![d(1) - 1]), ("A", vec![d(1)]), ("A", vec![d(1) + 1])],
        )
        .in_order()
}

#[test]
fn permutability_of_a_stencil_needs_a_skew() {
    let scop = stencil();
    let deps = dependences(&scop).expect("dependences");
    let violation = refused(legality::permutable(&scop.tree, &deps, &scop, &["A.t", "A.i"]));
    assert_eq!(violation.conflict, Conflict::NotPermutable { member: "A.i".into() });
    assert!(violation.source.point[0] < violation.sink.point[0] && violation.source.point[1] > violation.sink.point[1]);
    let skewed = tree(
        &scop,
        band(
            vec![
                member(&scop, "t", "[T, N] -> { A[t, i] -> [(t)] }", Kind::Sequential),
                member(&scop, "w", "[T, N] -> { A[t, i] -> [(i + 2t)] }", Kind::Sequential),
            ],
            Node::Leaf,
        ),
    );
    legality::permutable(&skewed, &deps, &scop, &["w", "t"]).expect("permutable");
    legality::permutable(&scop.tree, &deps, &scop, &["A.i"]).expect("the innermost by itself");
    refused(legality::coincident(&scop.tree, &deps, &scop, "A.i"));
}

#[test]
fn attributes_are_found() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let tree = legality::with_attributes(&scop.tree, &deps).expect("attributes");
    let coincident: Vec<_> = tree.root.members().iter().map(|member| member.coincident).collect();
    assert_eq!(coincident, [true, true, true, true, false]);
    assert!(tree.root.band_of("C.update.k").expect("a member").0.permutable);
    let stencil = stencil();
    let deps = dependences(&stencil).expect("dependences");
    let tree = legality::with_attributes(&stencil.tree, &deps).expect("attributes");
    assert!(!tree.root.band_of("A.t").expect("a member").0.permutable);
}

#[test]
fn unknown_members_are_an_error() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    assert!(matches!(legality::coincident(&scop.tree, &deps, &scop, "x"), Err(Illegal::Malformed(_))));
    let apart = legality::permutable(&scop.tree, &deps, &scop, &["C.init.m", "C.update.m"]);
    assert!(matches!(apart, Err(Illegal::Malformed(_))));
}

#[test]
fn to_isl_and_back_keeps_the_order() {
    for scop in [matmul(), stencil(), triangle(), two_in_a_nest()] {
        let there = scop.tree.to_isl().expect("isl's tree");
        let back = ScheduleTree::from_isl(&there, &scop).expect("our tree");
        let names = |tree: &ScheduleTree| tree.root.members().iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&back), names(&scop.tree));
        let same = back.to_map().expect("a map").is_equal(&scop.tree.to_map().expect("a map"));
        assert!(same.expect("comparable"));
    }
}

#[test]
fn the_scheduler_of_isl_gives_legal_trees() {
    for scop in [matmul(), stencil(), triangle(), two_in_a_nest()] {
        let deps = dependences(&scop).expect("dependences");
        for serialize_sccs in [false, true] {
            let constraints = isl::Constraints {
                domain: scop.domain().expect("a domain"),
                context: scop.context.clone(),
                validity: deps.ordering(false).expect("a union"),
                coincidence: deps.ordering(true).expect("a union"),
                proximity: deps.ordering(true).expect("a union"),
            };
            let options = isl::SchedulerOptions { serialize_sccs, ..isl::SchedulerOptions::default() };
            let found = constraints.schedule(&options).expect("a schedule");
            let tree = ScheduleTree::from_isl(&found, &scop).expect("our tree");
            legality::order_respected(&tree, &deps, &scop).expect("legal");
        }
    }
}

// ---- By brute force -----------------------------------------------------------------------------------------------

fn triangle() -> Scop {
    Program::new(&["N"])
        .tensor("L", Role::Input, vec![p(0), p(0)])
        .tensor("x", Role::InOut, vec![p(0)])
        .stmt(
            "x",
            &["i", "j"],
            "0 <= j < i < N",
            Does::Sums,
            ("x", vec![d(0)]),
            vec![("L", vec![d(0), d(1)]), ("x", vec![d(1)])],
        )
        .in_order()
}

fn two_in_a_nest() -> Scop {
    let loop_of = |name: &str, body| Nest::Loop { name: name.into(), body };
    let stmt = |at| Nest::Stmt(StmtId::new(at));
    Program::new(&["N"])
        .tensor("A", Role::InOut, vec![p(0) + 1])
        .tensor("B", Role::InOut, vec![p(0) + 1])
        .stmt("A", &["i"], "0 <= i < N", Does::Assigns, ("A", vec![d(0)]), vec![("B", vec![d(0)])])
        .stmt("B", &["i"], "0 <= i < N", Does::Assigns, ("B", vec![d(0) + 1]), vec![("A", vec![d(0)])])
        .nested(vec![loop_of("i", vec![stmt(0), stmt(1)])])
}

fn chain_of_readers() -> Scop {
    Program::new(&["N"])
        .tensor("A", Role::InOut, vec![c(9)])
        .tensor("B", Role::Output, vec![c(9)])
        .stmt("A.sum", &["i", "k"], "0 <= i < N and 0 <= k < 2", Does::Sums, ("A", vec![d(0)]), vec![])
        .stmt("B", &["i"], "0 <= i < N", Does::Assigns, ("B", vec![d(0)]), vec![("A", vec![d(0)])])
        .stmt("A.sum2", &["i"], "0 <= i < N", Does::Sums, ("A", vec![d(0)]), vec![])
        .stmt("A.max", &["i"], "0 <= i < N", Does::Maxes, ("A", vec![d(0)]), vec![])
        .in_order()
}

type Point = (StmtId, Vec<i64>);

/// All instances of a program without parameters, in the order of the source.
fn instances(scop: &Scop) -> Vec<Point> {
    let mut all = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        points(&stmt.domain, 0, &mut Vec::new(), &mut |point| all.push((id, point.to_vec())));
    }
    let source = ScheduleTree::from_source(scop).expect("a tree");
    all.sort_by(|a, b| match separation(scop, &source.root, a, b) {
        Separation::Before => std::cmp::Ordering::Less,
        Separation::After => std::cmp::Ordering::Greater,
        _ => std::cmp::Ordering::Equal,
    });
    all
}

fn points(set: &isl::Set, at: usize, point: &mut Vec<i64>, see: &mut dyn FnMut(&[i64])) {
    if set.is_empty().expect("decided") {
        return;
    }
    if at == set.dim(isl::Dim::Set).expect("a size") as usize {
        return see(point);
    }
    for value in 0..5 {
        point.push(value);
        points(&set.fix(isl::Dim::Set, at as u32, value).expect("fixed"), at + 1, point, see);
        point.pop();
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Separation {
    Before,
    After,
    AtOnce,
    AnyOrder,
}

/// What a tree does to two instances.
fn separation(scop: &Scop, node: &Node, a: &Point, b: &Point) -> Separation {
    match node {
        Node::Leaf => Separation::AnyOrder,
        Node::Mark { child, .. } => separation(scop, child, a, b),
        Node::Band(band) => {
            for member in &band.members {
                let (x, y) = (value(scop, member, a), value(scop, member, b));
                match (x.cmp(&y), member.kind) {
                    (std::cmp::Ordering::Equal, _) => {}
                    (_, Kind::Parallel | Kind::Vector(_)) => return Separation::AtOnce,
                    (std::cmp::Ordering::Less, _) => return Separation::Before,
                    (std::cmp::Ordering::Greater, _) => return Separation::After,
                }
            }
            separation(scop, &band.child, a, b)
        }
        Node::Sequence(children) | Node::Set(children) => {
            let child_of = |point: &Point| {
                let name = &scop.stmts[point.0].name;
                let has = |set: &isl::Set| set.tuple_name().expect("a name") == *name;
                let found = children.iter().position(|child| child.filter.sets().expect("sets").iter().any(has));
                found.expect("a child")
            };
            let (x, y) = (child_of(a), child_of(b));
            match x.cmp(&y) {
                std::cmp::Ordering::Equal => separation(scop, &children[x].node, a, b),
                _ if matches!(node, Node::Set(_)) => Separation::AnyOrder,
                std::cmp::Ordering::Less => Separation::Before,
                std::cmp::Ordering::Greater => Separation::After,
            }
        }
    }
}

fn value(scop: &Scop, member: &Member, point: &Point) -> i64 {
    let name = &scop.stmts[point.0].name;
    let functions = member.schedule.pw_affs().expect("functions");
    let of_stmt = |pw: &&isl::PwAff| pw.space().expect("a space").tuple_name(isl::Dim::In) == *name;
    let pieces = functions.iter().find(of_stmt).expect("a function").pieces().expect("pieces");
    assert_eq!(pieces.len(), 1);
    eval(&pieces[0].1.terms().expect("terms"), &point.1)
}

fn eval(terms: &isl::Terms, point: &[i64]) -> i64 {
    let dims: i64 = terms.dims.iter().zip(point).map(|(c, x)| c * x).sum();
    let floors: i64 = terms.floors.iter().map(|(c, inner)| c * eval(inner, point)).sum();
    (terms.constant + dims + floors).div_euclid(terms.denominator)
}

/// An element of a tensor.
type Element = (String, Vec<i64>);

/// A touch of an element: the position of the instance, the operator when it is an update, whether it writes.
type Touch = (usize, Option<String>, bool);

/// Every pair that shares an element and does not only read it; `true` for updates that may be swapped.
fn conflicts(scop: &Scop, all: &[Point]) -> Vec<(usize, usize, bool)> {
    let mut touched: BTreeMap<Element, Vec<Touch>> = BTreeMap::new();
    for (at, (id, point)) in all.iter().enumerate() {
        let stmt = &scop.stmts[*id];
        let element = |access: &polyhedral::Access| {
            let one = |subscript: &Subscript| match subscript {
                Subscript::Affine(index) => index.eval(point, &[]).expect("a value"),
                Subscript::Indirect(_) => panic!("affine programs only"),
            };
            (scop.tensors[access.tensor].name.clone(), access.index.iter().map(one).collect::<Vec<_>>())
        };
        for read in &stmt.reads {
            touched.entry(element(read)).or_default().push((at, None, false));
        }
        let operator = match &stmt.body {
            Body::Assign(_) => None,
            Body::Reduce { monoid, .. } => Some(monoid.name.clone()),
        };
        for write in &stmt.writes {
            touched.entry(element(write)).or_default().push((at, operator.clone(), true));
        }
    }
    let mut pairs = Vec::new();
    for touches in touched.values() {
        for (from, first) in touches.iter().enumerate() {
            for (to, second) in touches.iter().enumerate().skip(from + 1) {
                if first.0 != second.0 && (first.2 || second.2) {
                    let between = &touches[from..=to];
                    let swappable = first.1.is_some() && between.iter().all(|touch| touch.1 == first.1);
                    pairs.push((first.0, second.0, swappable));
                }
            }
        }
    }
    pairs
}

fn is_broken(separation: Separation, swappable: bool) -> bool {
    if swappable { separation == Separation::AtOnce } else { separation != Separation::Before }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A tree that runs every instance, in any order.
fn random_tree(scop: &Scop, random: &mut Random) -> ScheduleTree {
    let stmts: Vec<StmtId> = scop.stmts.keys().collect();
    tree(scop, random_node(scop, &stmts, 3, random))
}

fn random_node(scop: &Scop, stmts: &[StmtId], budget: u32, random: &mut Random) -> Node {
    let split = stmts.len() > 1 && (budget == 0 || random.below(2) == 0);
    if split {
        let mut order: Vec<StmtId> = stmts.to_vec();
        if random.below(3) == 0 {
            order.reverse();
        }
        let children = order
            .into_iter()
            .map(|id| {
                let name = scop.stmts[id].name.clone();
                filtered(scop, &[&name], random_node(scop, &[id], budget, random))
            })
            .collect();
        return if random.below(8) == 0 { Node::Set(children) } else { Node::Sequence(children) };
    }
    if budget == 0 {
        return Node::Leaf;
    }
    let kind = match random.below(8) {
        0 => Kind::Parallel,
        1 => Kind::Vector(4),
        2 => Kind::Unroll(2),
        _ => Kind::Sequential,
    };
    let skew = random.below(12);
    let rotate = random.below(3) as usize;
    let schedule = stmts.iter().fold(isl::UnionPwAff::empty(&scop.ctx).expect("empty"), |all, &id| {
        let stmt = &scop.stmts[id];
        let dims = stmt.dims.len();
        let text = |at: usize| stmt.dims.get(at % dims.max(1)).cloned().unwrap_or("0".into());
        let (x, y) = (text(budget as usize + rotate), text(budget as usize + rotate + 1));
        let function = match skew {
            0 => format!("-{x}"),
            1 => format!("{x} + {y}"),
            2 => format!("{x} - {y}"),
            3 => format!("floor({x}/2)"),
            4 => "0".into(),
            _ => x,
        };
        let text = format!("{{ {}[{}] -> [({function})] }}", stmt.name, stmt.dims.join(", "));
        all.union_add(&isl::UnionPwAff::read(&scop.ctx, &text).expect("a function")).expect("a union")
    });
    let name = format!("t{}.{}", budget, stmts[0]);
    band(vec![Member { name, schedule, coincident: false, kind }], random_node(scop, stmts, budget - 1, random))
}

/// Compares the verdict on `tree` with brute force; whether it is legal.
fn agree(scop: &Scop, deps: &Dependences, all: &[Point], pairs: &[(usize, usize, bool)], tree: &ScheduleTree) -> bool {
    let broken: Vec<_> = pairs
        .iter()
        .filter(|(a, b, swappable)| is_broken(separation(scop, &tree.root, &all[*a], &all[*b]), *swappable))
        .collect();
    match legality::order_respected(tree, deps, scop) {
        Ok(()) => {
            assert!(broken.is_empty(), "accepted, but {broken:?} of {all:?} are broken by {tree:#?}");
            true
        }
        Err(Illegal::Violation(violation)) => {
            let id = |name: &str| scop.stmt_named(name).expect("a statement");
            let a = (id(&violation.source.stmt), violation.source.point.clone());
            let b = (id(&violation.sink.stmt), violation.sink.point.clone());
            let real = broken.iter().any(|(x, y, _)| all[*x] == a && all[*y] == b);
            assert!(real, "`{violation}` is not broken by {tree:#?}");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn verdicts_agree_with_brute_force() {
    let programs: [(Scop, &[i64]); 5] = [
        (matmul(), &[2, 2, 2]),
        (stencil(), &[2, 5]),
        (triangle(), &[4]),
        (two_in_a_nest(), &[4]),
        (chain_of_readers(), &[2]),
    ];
    let mut random = Random(7);
    let (mut legal, mut illegal) = (0, 0);
    for (scop, sizes) in programs {
        let scop = scop.specialise(sizes).expect("fixed sizes");
        let deps = dependences(&scop).expect("dependences");
        let all = instances(&scop);
        let pairs = conflicts(&scop, &all);
        assert!(agree(&scop, &deps, &all, &pairs, &scop.tree), "the source order is legal");
        for _ in 0..60 {
            let tree = random_tree(&scop, &mut random);
            if agree(&scop, &deps, &all, &pairs, &tree) { legal += 1 } else { illegal += 1 }
        }
    }
    assert!(legal >= 20 && illegal >= 20, "{legal} legal, {illegal} illegal: the trees are not mixed enough");
}

//! Verdicts against brute force: every pair of instances of small programs, in random trees.

use std::collections::BTreeMap;

use crate::legality::{self, Illegal};
use crate::testing::{self, Rng};
use crate::{
    Access, Band, Body, Dependences, Filtered, Kind, Member, Node, ScheduleTree, Scop, StmtId, Subscript, dependences,
    isl,
};

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
    let bound = |value: isl::Result<isl::Val>| value.and_then(|value| value.to_i64()).expect("bounded");
    for value in bound(set.dim_min_val(at as i32))..=bound(set.dim_max_val(at as i32)) {
        point.push(value);
        points(&set.fix(isl::Dim::Set, at as u32, value).expect("fixed"), at + 1, point, see);
        point.pop();
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Separation {
    Before,
    After,
    AtOnce,
    /// At once, in the lanes of the vector of this name.
    InLanes(String),
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
                    (_, Kind::Parallel) => return Separation::AtOnce,
                    (_, Kind::Vector(_)) => return Separation::InLanes(member.name.clone()),
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
    let holds = |set: &isl::Set| {
        let at_point =
            point.1.iter().enumerate().try_fold(set.clone(), |set, (at, &x)| set.fix(isl::Dim::Set, at as u32, x));
        !at_point.and_then(|set| set.is_empty()).expect("decided")
    };
    let (_, aff) = pieces.iter().find(|(set, _)| pieces.len() == 1 || holds(set)).expect("defined at the point");
    eval(&aff.terms().expect("terms"), &point.1)
}

fn eval(terms: &isl::Terms, point: &[i64]) -> i64 {
    let dims: i64 = terms.dims.iter().zip(point).map(|(c, x)| c * x).sum();
    let floors: i64 = terms.floors.iter().map(|(c, inner)| c * eval(inner, point)).sum();
    (terms.constant + dims + floors).div_euclid(terms.denominator)
}

/// A tensor and where in it.
type Element = (String, Vec<i64>);

/// An instance that touches an element: by which operator it updates it, if so, and whether it writes.
type Touch = (usize, Option<String>, bool);

/// Every pair that shares an element and does not only read it; `true` for updates that may be swapped.
fn conflicts(scop: &Scop, all: &[Point]) -> Vec<(usize, usize, bool)> {
    let mut touched: BTreeMap<Element, Vec<Touch>> = BTreeMap::new();
    for (at, (id, point)) in all.iter().enumerate() {
        let stmt = &scop.stmts[*id];
        let element = |access: &Access| {
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

/// Whether a tree breaks a pair, which may be swapped or not.
fn is_broken(scop: &Scop, tree: &ScheduleTree, all: &[Point], (a, b, swappable): (usize, usize, bool)) -> bool {
    match separation(scop, &tree.root, &all[a], &all[b]) {
        separation if !swappable => separation != Separation::Before,
        Separation::InLanes(_) => !is_combined(scop, tree, all, &all[a], &all[b]),
        separation => separation == Separation::AtOnce,
    }
}

/// Whether two updates in lanes of one vector are of one statement, which updates one element in all of its lanes.
fn is_combined(scop: &Scop, tree: &ScheduleTree, all: &[Point], a: &Point, b: &Point) -> bool {
    let element = |point: &Point| {
        let write = &scop.stmts[point.0].writes[0];
        let one = |index: &crate::Index| index.eval(&point.1, &[]).expect("a value");
        write.affine().expect("affine programs only").into_iter().map(one).collect::<Vec<_>>()
    };
    let stmt = &scop.stmts[a.0];
    let Body::Reduce { monoid, .. } = &stmt.body else { return false };
    let of_one = a.0 == b.0 && stmt.writes.len() == 1 && monoid.operator().is_some();
    let Separation::InLanes(vector) = separation(scop, &tree.root, a, b) else { return false };
    let cut = down_to(&tree.root, &vector);
    let is_lane = |c: &&Point| {
        c.0 == a.0
            && [Separation::InLanes(vector.clone()), Separation::AnyOrder].contains(&separation(scop, &cut, a, c))
    };
    of_one && all.iter().filter(is_lane).all(|c| element(c) == element(a))
}

/// The tree with leaves below the member.
fn down_to(node: &Node, name: &str) -> Node {
    match node {
        Node::Band(band) => {
            let last = band.members.iter().position(|member| member.name == name);
            let members = band.members[..last.map_or(band.members.len(), |at| at + 1)].to_vec();
            let child = if last.is_some() { Node::Leaf } else { down_to(&band.child, name) };
            Node::Band(Band { members, permutable: band.permutable, child: Box::new(child) })
        }
        Node::Sequence(children) | Node::Set(children) => {
            let below = |child: &Filtered| Filtered { filter: child.filter.clone(), node: down_to(&child.node, name) };
            Node::Sequence(children.iter().map(below).collect())
        }
        other => other.clone(),
    }
}

/// A tree that runs every instance, in any order.
fn random_tree(scop: &Scop, random: &mut Rng) -> ScheduleTree {
    let stmts: Vec<StmtId> = scop.stmts.keys().collect();
    tree(scop, random_node(scop, &stmts, 3, random))
}

fn random_node(scop: &Scop, stmts: &[StmtId], budget: u32, random: &mut Rng) -> Node {
    let split = stmts.len() > 1 && (budget == 0 || below(random, 2) == 0);
    if split {
        let mut order: Vec<StmtId> = stmts.to_vec();
        if below(random, 3) == 0 {
            order.reverse();
        }
        let children = order
            .into_iter()
            .map(|id| {
                let name = scop.stmts[id].name.clone();
                filtered(scop, &[&name], random_node(scop, &[id], budget, random))
            })
            .collect();
        return if below(random, 8) == 0 { Node::Set(children) } else { Node::Sequence(children) };
    }
    if budget == 0 {
        return Node::Leaf;
    }
    let kind = match below(random, 8) {
        0 => Kind::Parallel,
        1 => Kind::Vector(4),
        2 => Kind::Unroll(2),
        _ => Kind::Sequential,
    };
    let skew = below(random, 12);
    let rotate = below(random, 3) as usize;
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
    let broken: Vec<_> = pairs.iter().filter(|pair| is_broken(scop, tree, all, **pair)).collect();
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

/// A number from 0 up to `n`, without it.
fn below(random: &mut Rng, n: i64) -> i64 {
    random.between(0, n - 1)
}

/// Whether every subscript is affine, so that brute force knows what is touched.
fn is_affine(scop: &Scop) -> bool {
    scop.stmts.values().all(|stmt| stmt.accesses().all(|access| access.affine().is_some()))
}

/// Tries random trees; how many were legal and how many not.
fn try_trees(scop: &Scop, trees: usize, random: &mut Rng) -> (usize, usize) {
    let deps = dependences(scop).expect("dependences");
    let all = instances(scop);
    let pairs = conflicts(scop, &all);
    assert!(agree(scop, &deps, &all, &pairs, &scop.tree), "the source order of {scop} is legal");
    let legal = (0..trees).filter(|_| agree(scop, &deps, &all, &pairs, &random_tree(scop, random))).count();
    (legal, trees - legal)
}

#[test]
fn verdicts_agree_with_brute_force_on_known_programs() {
    let mut random = Rng::new(7);
    let ctx = isl::Ctx::new();
    let (mut legal, mut illegal) = (0, 0);
    for scop in testing::programs(&ctx).iter().filter(|scop| is_affine(scop)) {
        let scop = scop.specialise(&vec![3; scop.params.len()]).expect("sizes that fit");
        let (l, i) = try_trees(&scop, 20, &mut random);
        (legal, illegal) = (legal + l, illegal + i);
    }
    assert!(legal >= 20 && illegal >= 20, "{legal} legal, {illegal} illegal: the trees are not mixed enough");
}

#[test]
fn verdicts_agree_with_brute_force_on_random_programs() {
    let mut random = Rng::new(8);
    let ctx = isl::Ctx::new();
    let scops = (0..200).map(|seed| testing::random(&ctx, seed)).filter(is_affine);
    for scop in scops.filter(|scop| instances(scop).len() <= 60).take(25) {
        try_trees(&scop, 8, &mut random);
    }
}

/// The program in the order of a random tree; `None` when that leaves two instances unordered.
fn in_random_order(scop: &Scop, random: &mut Rng) -> Option<Scop> {
    let tree = random_tree(scop, random);
    let is_total = tree.to_map().and_then(|time| time.is_injective()).expect("decided");
    is_total.then(|| Scop { tree, source: Vec::new(), ..scop.clone() })
}

/// Programs in orders of their own.
fn reordered(random: &mut Rng) -> Vec<Scop> {
    let ctx = isl::Ctx::new();
    let some = (0..60).map(|seed| testing::random(&ctx, seed)).filter(|scop| scop.stmts.len() < 5);
    let all: Vec<Scop> = testing::programs(&ctx).into_iter().chain(some).collect();
    all.iter().flat_map(|scop| (0..3).map(|_| in_random_order(scop, random)).collect::<Vec<_>>()).flatten().collect()
}

#[test]
fn a_tree_is_judged_by_conflicts_as_by_its_own_dependences() {
    let (mut random, mut ordered, mut at_once) = (Rng::new(9), 0, 0);
    for scop in reordered(&mut random) {
        for strict in [false, true] {
            let exact = dependences(&scop).expect("isl");
            let exact = if strict { exact.strict().expect("isl") } else { exact };
            let verdict = legality::order_respected(&scop.tree, &exact, &scop);
            match legality::own_order(&scop, strict).expect("isl") {
                Some(tree) => {
                    assert!(verdict.is_ok(), "{verdict:?}, but accepted by its conflicts\n{scop}");
                    let attributed = legality::with_attributes(&scop.tree, &exact).expect("isl");
                    let text = |tree: &ScheduleTree| crate::text::print_tree(&scop, tree).expect("printable");
                    assert_eq!(text(&tree), text(&attributed), "strict: {strict}\n{scop}");
                    ordered += 1;
                }
                None => {
                    assert!(verdict.is_err(), "refused by its conflicts\n{scop}");
                    at_once += 1;
                }
            }
        }
    }
    assert!(ordered > 30 && at_once > 30, "{ordered} ordered, {at_once} not: the trees are not mixed enough");
}

#[test]
fn conflicts_ask_of_an_order_what_dependences_do() {
    let (mut random, mut kept, mut broken) = (Rng::new(10), 0, 0);
    for scop in reordered(&mut random) {
        let exact = dependences(&scop).expect("isl");
        let conflicts = legality::conflicts_within(&scop, &exact.domain, false).expect("isl");
        for kind in crate::DependenceKind::ALL {
            let (exact, all) = (exact.of(kind), conflicts.ordering(true).expect("isl"));
            assert!(exact.is_subset(&all).expect("isl"), "{kind} of\n{scop}");
        }
        for _ in 0..3 {
            let tree = random_tree(&scop, &mut random);
            let [by_exact, by_conflicts] =
                [&exact, &conflicts].map(|deps| legality::order_respected(&tree, deps, &scop).is_ok());
            assert_eq!(by_exact, by_conflicts, "{tree:#?} of\n{scop}");
            *(if by_exact { &mut kept } else { &mut broken }) += 1;
        }
    }
    assert!(kept > 20 && broken > 20, "{kept} kept, {broken} broken: the trees are not mixed enough");
}

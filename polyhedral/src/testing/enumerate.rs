//! Order by brute force: every instance of a small program, every pair of them that touches one element, and what a tree
//! does to each pair. Shares nothing with the analysis and the proofs that it judges but isl's account of sets.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::{Access, Axis, Body, Filtered, Kind, Member, Node, ScheduleTree, Scop, Stmt, StmtId, Subscript, isl};

/// An instance: its statement, and the values of its dimensions.
pub type Point = (StmtId, Vec<i64>);

/// All instances of a program without parameters, in the order of its source, and which of them depend on each other.
pub struct Enumeration {
    /// The instances.
    pub instances: Vec<Point>,
    /// Pairs of positions, the first one earlier, and whether the two are updates that may be swapped.
    pub pairs: Vec<(usize, usize, bool)>,
}

impl Enumeration {
    /// Of the program; `None` when a subscript is known only while running, or there are more than `most` instances.
    ///
    /// # Errors
    /// isl's.
    pub fn of(scop: &Scop, most: usize) -> isl::Result<Option<Enumeration>> {
        let is_affine = |stmt: &Stmt| stmt.accesses().all(|access| access.affine().is_some());
        if !scop.stmts.values().all(is_affine) {
            return Ok(None);
        }
        let mut instances = Vec::new();
        for (id, stmt) in scop.stmts.iter() {
            if !collect(&stmt.domain, &mut Vec::new(), &mut |point| {
                instances.push((id, point.to_vec()));
                instances.len() <= most
            })? {
                return Ok(None);
            }
        }
        let source = Order::of(&ScheduleTree::from_source(scop)?)?;
        let mut dated: Vec<(Vec<Step>, Point)> =
            instances.into_iter().map(|point| (source.time(scop, &point), point)).collect();
        dated.sort_by(|a, b| match fate(&a.0, &b.0) {
            Fate::Before => Ordering::Less,
            Fate::After => Ordering::Greater,
            Fate::AtOnce | Fate::AnyOrder => Ordering::Equal,
        });
        let instances: Vec<Point> = dated.into_iter().map(|(_, point)| point).collect();
        let pairs = conflicts(scop, &instances);
        Ok(Some(Enumeration { instances, pairs }))
    }

    /// The pairs that the tree runs the wrong way, or at once.
    ///
    /// # Errors
    /// isl's.
    pub fn broken(&self, scop: &Scop, tree: &ScheduleTree) -> isl::Result<Vec<(Point, Point)>> {
        let order = Order::of(tree)?;
        let times: Vec<Vec<Step>> = self.instances.iter().map(|point| order.time(scop, point)).collect();
        let is_broken = |&&(first, second, swappable): &&(usize, usize, bool)| match fate(&times[first], &times[second])
        {
            Fate::Before => false,
            Fate::AtOnce => !(swappable && self.are_combined(scop, &times, first, second)),
            // Two updates that nothing tells apart run one after the other, whichever comes first.
            Fate::After | Fate::AnyOrder => !swappable,
        };
        let broken = self.pairs.iter().filter(is_broken);
        Ok(broken.map(|&(first, second, _)| (self.instances[first].clone(), self.instances[second].clone())).collect())
    }
}

impl Enumeration {
    /// Whether two instances are updates in lanes of one vector whose lanes all update one element: instances of one
    /// statement, of which those with the same values of the loops outside of the vector all write the same elements. Or
    /// atomic updates of one statement.
    fn are_combined(&self, scop: &Scop, times: &[Vec<Step>], first: usize, second: usize) -> bool {
        let (id, point) = &self.instances[first];
        let together = times[first].iter().zip(&times[second]).take_while(|(a, b)| a.is_same(b)).count();
        let outside = &times[first][..together];
        let elements =
            |point: &[i64]| scop.stmts[*id].writes.iter().map(|write| element(write, point)).collect::<Vec<_>>();
        let written = elements(point);
        let mut beside = self.instances.iter().zip(times).filter(|((other, _), time)| {
            other == id && time.len() >= together && outside.iter().zip(time.iter()).all(|(a, b)| a.is_same(b))
        });
        self.instances[second].0 == *id
            && match times[first].get(together) {
                Some(Step::At(_, Kind::Vector(_) | Kind::Bound(Axis::Thread(_)))) => {
                    beside.all(|((_, point), _)| elements(point) == written)
                }
                Some(Step::At(_, Kind::Atomic(_))) => true,
                _ => false,
            }
    }
}

/// The points of a set in lexicographic order, until `see` wants no more.
fn collect(set: &isl::Set, point: &mut Vec<i64>, see: &mut dyn FnMut(&[i64]) -> bool) -> isl::Result<bool> {
    if set.is_empty()? {
        return Ok(true);
    }
    let at = point.len() as u32;
    if at == set.dim(isl::Dim::Set)? {
        return Ok(see(point));
    }
    for value in set.dim_min_val(at as i32)?.to_i64()?..=set.dim_max_val(at as i32)?.to_i64()? {
        point.push(value);
        let more = collect(&set.fix(isl::Dim::Set, at, value)?, point, see)?;
        point.pop();
        if !more {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One thing that orders an instance.
enum Step {
    /// The value of a loop.
    At(i64, Kind),
    /// The position among the children of a sequence.
    Child(usize),
    /// The same for a set.
    AnyChild(usize),
}

impl Step {
    fn is_same(&self, other: &Step) -> bool {
        match (self, other) {
            (Step::At(a, _), Step::At(b, _)) => a == b,
            (Step::Child(a), Step::Child(b)) | (Step::AnyChild(a), Step::AnyChild(b)) => a == b,
            _ => false,
        }
    }
}

/// What a tree does to two instances.
enum Fate {
    Before,
    After,
    AtOnce,
    AnyOrder,
}

fn fate(first: &[Step], second: &[Step]) -> Fate {
    for steps in first.iter().zip(second) {
        let (order, at_once, any) = match steps {
            (Step::At(a, kind), Step::At(b, _)) => (a.cmp(b), kind.at_once(), false),
            (Step::Child(a), Step::Child(b)) => (a.cmp(b), false, false),
            (Step::AnyChild(a), Step::AnyChild(b)) => (a.cmp(b), false, true),
            _ => unreachable!("instances with equal steps so far are at one node"),
        };
        match order {
            Ordering::Equal => {}
            _ if at_once => return Fate::AtOnce,
            _ if any => return Fate::AnyOrder,
            Ordering::Less => return Fate::Before,
            Ordering::Greater => return Fate::After,
        }
    }
    Fate::AnyOrder
}

/// A tree whose functions and filters are evaluated point by point.
enum Order {
    Leaf,
    Band(Vec<(Kind, BTreeMap<String, Function>)>, Box<Order>),
    Children { is_set: bool, children: Vec<(BTreeMap<String, Region>, Order)> },
}

type Function = Vec<(Region, isl::Terms)>;

impl Order {
    fn of(tree: &ScheduleTree) -> isl::Result<Order> {
        Order::of_node(&tree.root)
    }

    fn of_node(node: &Node) -> isl::Result<Order> {
        Ok(match node {
            Node::Leaf => Order::Leaf,
            Node::Mark { child, .. } => Order::of_node(child)?,
            Node::Band(band) => {
                let members = band.members.iter().map(|member| Ok((member.kind, functions(member)?)));
                Order::Band(members.collect::<isl::Result<_>>()?, Box::new(Order::of_node(&band.child)?))
            }
            Node::Sequence(children) => Order::Children { is_set: false, children: Order::of_children(children)? },
            Node::Set(children) => Order::Children { is_set: true, children: Order::of_children(children)? },
        })
    }

    fn of_children(children: &[Filtered]) -> isl::Result<Vec<(BTreeMap<String, Region>, Order)>> {
        let mut all = Vec::new();
        for child in children {
            let mut regions = BTreeMap::new();
            for set in child.filter.sets()? {
                regions.insert(set.tuple_name()?, Region::of(&set)?);
            }
            all.push((regions, Order::of_node(&child.node)?));
        }
        Ok(all)
    }

    /// When the instance runs.
    fn time(&self, scop: &Scop, (stmt, point): &Point) -> Vec<Step> {
        let name = &scop.stmts[*stmt].name;
        let mut steps = Vec::new();
        let mut order = self;
        loop {
            order = match order {
                Order::Leaf => return steps,
                Order::Band(members, child) => {
                    for (kind, functions) in members {
                        let pieces = functions.get(name).expect("a loop has a value for what reaches it");
                        let piece = pieces.iter().find(|(region, _)| region.holds(point));
                        steps.push(Step::At(eval(&piece.expect("as before").1, point), *kind));
                    }
                    child
                }
                Order::Children { is_set, children } => {
                    let takes = |child: &(BTreeMap<String, Region>, Order)| {
                        child.0.get(name).is_some_and(|region| region.holds(point))
                    };
                    let at = children.iter().position(takes).expect("a child takes what reaches a sequence");
                    steps.push(if *is_set { Step::AnyChild(at) } else { Step::Child(at) });
                    &children[at].1
                }
            };
        }
    }
}

fn functions(member: &Member) -> isl::Result<BTreeMap<String, Function>> {
    let mut functions = BTreeMap::new();
    for function in member.schedule.pw_affs()? {
        let piece = |(set, aff): (isl::Set, isl::Aff)| Ok((Region::of(&set)?, aff.terms()?));
        let pieces = function.pieces()?.into_iter().map(piece).collect::<isl::Result<_>>()?;
        functions.insert(function.space()?.tuple_name(isl::Dim::In), pieces);
    }
    Ok(functions)
}

/// A set as what its points satisfy: one of these conjunctions, each with its integer divisions.
struct Region(Vec<(Vec<isl::Terms>, Vec<isl::Constraint>)>);

impl Region {
    fn of(set: &isl::Set) -> isl::Result<Region> {
        let pieces = set.compute_divs()?.basic_sets()?;
        Ok(Region(pieces.iter().map(|piece| Ok((piece.divs()?, piece.constraints()?))).collect::<isl::Result<_>>()?))
    }

    fn holds(&self, point: &[i64]) -> bool {
        self.0.iter().any(|(divs, constraints)| {
            let divs: Vec<i64> = divs.iter().map(|div| eval(div, point)).collect();
            let product = |c: &[i64], x: &[i64]| c.iter().zip(x).map(|(c, x)| c * x).sum::<i64>();
            constraints.iter().all(|constraint| {
                let value = constraint.constant + product(&constraint.dims, point) + product(&constraint.divs, &divs);
                if constraint.equality { value == 0 } else { value >= 0 }
            })
        })
    }
}

/// The function at a point, rounded down.
fn eval(terms: &isl::Terms, point: &[i64]) -> i64 {
    let dims: i64 = terms.dims.iter().zip(point).map(|(c, x)| c * x).sum();
    let floors: i64 = terms.floors.iter().map(|(c, inner)| c * eval(inner, point)).sum();
    (terms.constant + dims + floors).div_euclid(terms.denominator)
}

/// An instance that touches an element: by which operator it updates it, if so, and whether it writes.
type Touch = (usize, Option<String>, bool);

/// Every pair that shares an element and does not only read it; `true` for updates that may be swapped.
fn conflicts(scop: &Scop, all: &[Point]) -> Vec<(usize, usize, bool)> {
    let mut touched: BTreeMap<(usize, Vec<i64>), Vec<Touch>> = BTreeMap::new();
    for (at, (id, point)) in all.iter().enumerate() {
        let stmt = &scop.stmts[*id];
        let operator = match &stmt.body {
            Body::Assign(_) => None,
            Body::Reduce { monoid, .. } => Some(monoid.name.clone()),
        };
        for read in &stmt.reads {
            touched.entry(element(read, point)).or_default().push((at, None, false));
        }
        for write in &stmt.writes {
            touched.entry(element(write, point)).or_default().push((at, operator.clone(), true));
        }
    }
    let mut pairs: BTreeMap<(usize, usize), bool> = BTreeMap::new();
    for touches in touched.values() {
        for (from, first) in touches.iter().enumerate() {
            for (to, second) in touches.iter().enumerate().skip(from + 1) {
                if first.0 != second.0 && (first.2 || second.2) {
                    let swappable = first.1.is_some() && touches[from..=to].iter().all(|touch| touch.1 == first.1);
                    // Through several elements: all of them must let the two be swapped.
                    *pairs.entry((first.0, second.0)).or_insert(true) &= swappable;
                }
            }
        }
    }
    pairs.into_iter().map(|((first, second), swappable)| (first, second, swappable)).collect()
}

/// The tensor and where in it.
fn element(access: &Access, point: &[i64]) -> (usize, Vec<i64>) {
    let one = |subscript: &Subscript| match subscript {
        Subscript::Affine(index) => index.eval(point, &[]).expect("a small program's subscripts are small"),
        Subscript::Indirect(_) => unreachable!("programs with indirect subscripts are not enumerated"),
    };
    (support::Entity::index(access.tensor), access.index.iter().map(one).collect())
}

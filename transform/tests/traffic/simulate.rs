//! A cache simulation: the accesses of a scheduled program, one by one in the order of its tree, through fully
//! associative caches that evict the least recently used line, allocate on a write and write back.
//!
//! A level sees the misses of the one before it and the lines that it writes back; neither holds what the other does on
//! purpose. What is dirty in the end is written back.

use std::collections::{BTreeMap, HashMap};

use polyhedral::{Node, Scop, StmtId, isl};
use support::{Entity, Target};

/// Bytes that one cache exchanged with the level beyond it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Moved {
    pub fn bytes(self) -> u64 {
        self.bytes_in + self.bytes_out
    }
}

/// Runs the accesses of `scop` through the caches of `target`.
pub fn simulate(scop: &Scop, sizes: &[i64], target: &Target) -> Vec<Moved> {
    let line = u64::from(target.caches[0].line);
    let memory = Memory::new(scop, sizes, line);
    let mut caches: Vec<Cache> = target.caches.iter().map(|cache| Cache::new(cache.bytes / line)).collect();
    for instance in in_order(scop, sizes) {
        let stmt = &scop.stmts[instance.stmt];
        let reads = stmt.reads.iter().map(|access| (access, false));
        for (access, write) in reads.chain(stmt.writes.iter().map(|access| (access, true))) {
            let subscripts = access.affine().expect("affine subscripts");
            let element: Vec<i64> =
                subscripts.iter().map(|index| index.eval(&instance.point, sizes).expect("a value")).collect();
            touch(&mut caches, memory.line_of(access.tensor.index(), &element), write);
        }
    }
    for level in 0..caches.len() {
        while let Some(evicted) = caches[level].evict() {
            write_back(&mut caches, level, evicted);
        }
    }
    caches.iter().map(|cache| Moved { bytes_in: cache.fetched * line, bytes_out: cache.written * line }).collect()
}

/// Where the elements of the tensors are.
struct Memory {
    line: u64,
    /// By tensor: first line, lower bounds, strides in bytes.
    tensors: Vec<(u64, Vec<i64>, Vec<i64>)>,
}

impl Memory {
    fn new(scop: &Scop, sizes: &[i64], line: u64) -> Memory {
        let mut first = 0;
        let mut tensors = Vec::new();
        for tensor in scop.tensors.values() {
            let at = |index: &polyhedral::Index| index.eval(&[], sizes).expect("a size");
            let mut stride = i64::from(tensor.dtype.bytes());
            let mut strides = Vec::new();
            for extent in tensor.extent.iter().rev() {
                strides.insert(0, stride);
                stride *= at(extent);
            }
            tensors.push((first, tensor.lower.iter().map(at).collect(), strides));
            first += (stride as u64).div_ceil(line);
        }
        Memory { line, tensors }
    }

    fn line_of(&self, tensor: usize, element: &[i64]) -> u64 {
        let (first, lower, strides) = &self.tensors[tensor];
        let offset: i64 = element.iter().zip(lower).zip(strides).map(|((x, low), stride)| (x - low) * stride).sum();
        first + offset as u64 / self.line
    }
}

/// One cache: lines by when they were last used.
struct Cache {
    lines: u64,
    held: HashMap<u64, (u64, bool)>,
    by_age: BTreeMap<u64, u64>,
    now: u64,
    fetched: u64,
    written: u64,
}

impl Cache {
    fn new(lines: u64) -> Cache {
        Cache { lines, held: HashMap::new(), by_age: BTreeMap::new(), now: 0, fetched: 0, written: 0 }
    }

    /// Whether the line is held; it is then the youngest.
    fn hit(&mut self, line: u64, write: bool) -> bool {
        let Some((age, dirty)) = self.held.get_mut(&line) else { return false };
        self.by_age.remove(age);
        self.now += 1;
        (*age, *dirty) = (self.now, *dirty | write);
        self.by_age.insert(self.now, line);
        true
    }

    /// Takes a line in; what it drives out, and whether that is dirty.
    fn insert(&mut self, line: u64, dirty: bool) -> Option<(u64, bool)> {
        let evicted = if self.held.len() as u64 == self.lines { self.evict() } else { None };
        self.now += 1;
        self.held.insert(line, (self.now, dirty));
        self.by_age.insert(self.now, line);
        evicted
    }

    fn evict(&mut self) -> Option<(u64, bool)> {
        let (_, line) = self.by_age.pop_first()?;
        let (_, dirty) = self.held.remove(&line)?;
        Some((line, dirty))
    }
}

fn touch(caches: &mut [Cache], line: u64, write: bool) {
    for level in 0..caches.len() {
        if caches[level].hit(line, write && level == 0) {
            return take_in(caches, level, line, write);
        }
        caches[level].fetched += 1;
    }
    take_in(caches, caches.len(), line, write);
}

/// Brings a line that was found at level `from` into all levels before it.
fn take_in(caches: &mut [Cache], from: usize, line: u64, write: bool) {
    for level in (0..from).rev() {
        if let Some(evicted) = caches[level].insert(line, write && level == 0) {
            write_back(caches, level, evicted);
        }
    }
}

/// What a level drives out goes to the next one when it is dirty.
fn write_back(caches: &mut [Cache], level: usize, (line, dirty): (u64, bool)) {
    if !dirty {
        return;
    }
    caches[level].written += 1;
    let Some(next) = caches.get_mut(level + 1) else { return };
    if !next.hit(line, true)
        && let Some(evicted) = next.insert(line, true)
    {
        write_back(caches, level + 1, evicted);
    }
}

/// An instance and when it runs.
struct Instance {
    stmt: StmtId,
    point: Vec<i64>,
    time: Vec<i64>,
}

/// All instances in the order of the tree; members of every kind one iteration after the other.
fn in_order(scop: &Scop, sizes: &[i64]) -> Vec<Instance> {
    let mut all = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        let points = points(&stmt.domain, scop, sizes);
        all.extend(points.into_iter().map(|point| Instance { stmt: id, point, time: Vec::new() }));
    }
    let mut done = Vec::new();
    timed(scop, sizes, &scop.tree.root, all, &mut done);
    done.sort_by(|a, b| a.time.cmp(&b.time));
    done
}

fn timed(scop: &Scop, sizes: &[i64], node: &Node, mut instances: Vec<Instance>, done: &mut Vec<Instance>) {
    match node {
        Node::Leaf => done.extend(instances),
        Node::Mark { child, .. } => timed(scop, sizes, child, instances, done),
        Node::Band(band) => {
            for member in &band.members {
                let functions = functions(&member.schedule, scop, sizes);
                for instance in &mut instances {
                    let value = value(&functions[&scop.stmts[instance.stmt].name], &instance.point);
                    instance.time.push(value);
                }
            }
            timed(scop, sizes, &band.child, instances, done);
        }
        Node::Sequence(children) | Node::Set(children) => {
            for (at, child) in children.iter().enumerate() {
                let filter: BTreeMap<String, Membership> = child
                    .filter
                    .sets()
                    .expect("isl")
                    .iter()
                    .map(|set| (set.tuple_name().expect("isl"), Membership::new(set, scop, sizes)))
                    .collect();
                let name = |instance: &Instance| &scop.stmts[instance.stmt].name;
                let (mut here, rest): (Vec<Instance>, Vec<Instance>) = instances.into_iter().partition(|instance| {
                    filter.get(name(instance)).is_some_and(|filter| filter.holds(&instance.point))
                });
                here.iter_mut().for_each(|instance| instance.time.push(at as i64));
                timed(scop, sizes, &child.node, here, done);
                instances = rest;
            }
            assert!(instances.is_empty(), "each instance is in a child");
        }
    }
}

/// The values of the parameters in the order of a space.
fn params_of(space: &isl::Space, scop: &Scop, sizes: &[i64]) -> Vec<i64> {
    let names = space.param_names().expect("isl");
    let position = |name: &String| scop.params.iter().position(|known| known == name).expect("a parameter");
    names.iter().map(|name| sizes[position(name)]).collect()
}

/// Whether a point is in a set.
struct Membership {
    disjuncts: Vec<(Vec<isl::Constraint>, Vec<isl::Terms>)>,
    params: Vec<i64>,
}

impl Membership {
    fn new(set: &isl::Set, scop: &Scop, sizes: &[i64]) -> Membership {
        let set = set.compute_divs().expect("isl");
        let one = |basic: &isl::BasicSet| (basic.constraints().expect("isl"), basic.divs().expect("isl"));
        let params = params_of(&set.space().expect("isl"), scop, sizes);
        Membership { disjuncts: set.basic_sets().expect("isl").iter().map(one).collect(), params }
    }

    fn holds(&self, point: &[i64]) -> bool {
        self.disjuncts.iter().any(|(constraints, divs)| {
            let divs: Vec<i64> = divs.iter().map(|div| eval(div, point, &self.params)).collect();
            constraints.iter().all(|c| {
                let sum = c.constant + dot(&c.params, &self.params) + dot(&c.dims, point) + dot(&c.divs, &divs);
                if c.equality { sum == 0 } else { sum >= 0 }
            })
        })
    }
}

fn dot(a: &[i64], b: &[i64]) -> i64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn eval(terms: &isl::Terms, point: &[i64], params: &[i64]) -> i64 {
    let floors: i64 = terms.floors.iter().map(|(c, inner)| c * eval(inner, point, params)).sum();
    (terms.constant + dot(&terms.params, params) + dot(&terms.dims, point) + floors).div_euclid(terms.denominator)
}

/// The pieces of a member's function for one statement.
type Function = Vec<(Membership, isl::Terms)>;

fn functions(schedule: &isl::UnionPwAff, scop: &Scop, sizes: &[i64]) -> BTreeMap<String, Function> {
    let one = |pw: isl::PwAff| {
        let name = pw.space().expect("isl").tuple_name(isl::Dim::In);
        let pieces = pw.pieces().expect("isl");
        let piece = |(set, aff): &(isl::Set, isl::Aff)| {
            let terms = aff.terms().expect("isl");
            (Membership::new(set, scop, sizes), terms)
        };
        (name, pieces.iter().map(piece).collect())
    };
    schedule.pw_affs().expect("isl").into_iter().map(one).collect()
}

fn value(function: &Function, point: &[i64]) -> i64 {
    let piece = match function.as_slice() {
        [only] => only,
        pieces => pieces.iter().find(|(domain, _)| domain.holds(point)).expect("a piece"),
    };
    eval(&piece.1, point, &piece.0.params)
}

/// The points of a domain.
fn points(domain: &isl::Set, scop: &Scop, sizes: &[i64]) -> Vec<Vec<i64>> {
    let params = params_of(&domain.space().expect("isl"), scop, sizes);
    let fixed = params
        .iter()
        .enumerate()
        .fold(domain.clone(), |set, (at, &size)| set.fix(isl::Dim::Param, at as u32, size).expect("isl"));
    let member = Membership::new(domain, scop, sizes);
    let mut points = vec![Vec::new()];
    for dim in 0..domain.dim(isl::Dim::Set).expect("isl") as i32 {
        let low = fixed.dim_min_val(dim).expect("isl").to_i64().expect("bounded");
        let high = fixed.dim_max_val(dim).expect("isl").to_i64().expect("bounded");
        let longer = |point: &Vec<i64>| (low..=high).map(|x| [point.as_slice(), &[x]].concat()).collect::<Vec<_>>();
        points = points.iter().flat_map(longer).collect();
    }
    points.retain(|point| member.holds(point));
    points
}

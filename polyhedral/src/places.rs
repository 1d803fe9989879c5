//! Which memory an access touches when the program runs in the order of a tree: the cells of a tensor, and where not all
//! have the same memory also whose.

use support::Entity;

use crate::{Access, Axis, Kind, Memory, Node, ScheduleTree, Scop, Stmt, TensorId, isl};

/// The memories of a program in the order of a tree.
pub(crate) struct Places<'a> {
    scop: &'a Scop,
    /// For each tensor, what tells its memories apart.
    keys: Vec<Key>,
}

/// What tells the memories of a tensor apart.
#[derive(Default)]
struct Key {
    /// So many members of bands, from the root down.
    rows: usize,
    /// Then these, functions of the instances that touch the tensor.
    others: Vec<isl::UnionPwAff>,
    /// From these instances to all of that, when there is any.
    values: Option<isl::UnionMap>,
}

impl<'a> Places<'a> {
    /// Of `scop` in the order of `tree`.
    pub(crate) fn new(scop: &'a Scop, tree: &ScheduleTree) -> isl::Result<Places<'a>> {
        let keys = scop.tensors.iter().map(|(id, tensor)| match tensor.memory {
            Memory::Global | Memory::Rank | Memory::Message => Ok(Key::default()),
            Memory::Stack => Key::of_iterations(scop, tree, id, Kind::apart),
            Memory::Shared => Key::of_iterations(scop, tree, id, Kind::is_on_blocks),
            Memory::Registers => Key::of_threads(scop, tree, id),
        });
        Ok(Places { scop, keys: keys.collect::<isl::Result<_>>()? })
    }

    /// From the instances to the cells `T[key, cell]` that an access touches; the key is empty in global memory.
    pub(crate) fn cells(&self, stmt: &Stmt, access: &Access) -> isl::Result<isl::UnionMap> {
        let cells = self.scop.cells(stmt, access)?;
        match &self.keys[access.tensor.index()].values {
            None => cells.to_union_map(),
            Some(key) => self.with_key(access.tensor, key, &cells.to_union_map()?),
        }
    }

    /// The same for each element by itself, where a subscript is known only while running: from `[instance -> element]`.
    pub(crate) fn cells_by_element(&self, stmt: &Stmt, access: &Access) -> isl::Result<isl::UnionMap> {
        let elements = self.scop.relation(stmt, access)?.to_union_map()?;
        let mut cells = elements.range_map()?;
        if self.scop.tensors[access.tensor].layout.is_some() {
            cells = cells.apply_range(&self.scop.storage(access.tensor)?.to_union_map()?)?;
        }
        match &self.keys[access.tensor.index()].values {
            None => Ok(cells),
            Some(key) => self.with_key(access.tensor, &elements.domain_map()?.apply_range(key)?, &cells),
        }
    }

    /// How many members of bands, from the root down, tell the memories of a tensor apart.
    pub(crate) fn key_rows(&self, tensor: TensorId) -> usize {
        self.keys[tensor.index()].rows
    }

    /// What else does, after these.
    pub(crate) fn other_keys(&self, tensor: TensorId) -> &[isl::UnionPwAff] {
        &self.keys[tensor.index()].others
    }

    fn with_key(&self, tensor: TensorId, key: &isl::UnionMap, cells: &isl::UnionMap) -> isl::Result<isl::UnionMap> {
        renamed(&key.flat_range_product(cells)?, isl::Dim::Out, &self.scop.tensors[tensor].name)
    }
}

/// The relation with another name on one of its tuples, whatever it was before.
pub(crate) fn renamed(map: &isl::UnionMap, kind: isl::Dim, name: &str) -> isl::Result<isl::UnionMap> {
    map.maps()?.iter().try_fold(isl::UnionMap::empty(map.ctx())?, |all, map| {
        all.union(&map.with_tuple_name(kind, name)?.to_union_map()?)
    })
}

/// The instances that touch a tensor.
fn touching(scop: &Scop, tensor: TensorId) -> isl::Result<isl::UnionSet> {
    let touches = |stmt: &&Stmt| stmt.accesses().any(|access| access.tensor == tensor);
    let stmts = scop.stmts.values().filter(touches);
    stmts
        .map(|stmt| &stmt.domain)
        .try_fold(isl::UnionSet::empty(&scop.ctx)?, |all, set| all.union(&set.to_union_set()?))
}

impl Key {
    /// Of a tensor of which the iterations of some loops have memories of their own: all that the tree orders by, down to
    /// the innermost such loop around all accesses.
    fn of_iterations(
        scop: &Scop,
        tree: &ScheduleTree,
        tensor: TensorId,
        is_own: impl Fn(Kind) -> bool,
    ) -> isl::Result<Key> {
        let instances = touching(scop, tensor)?;
        let (mut rows, mut own, mut node) = (Vec::new(), 0, Some(&tree.root));
        while let Some(here) = node {
            node = match here {
                Node::Leaf => None,
                Node::Mark { child, .. } => Some(child),
                Node::Band(band) => {
                    for member in &band.members {
                        rows.push(&member.schedule);
                        if is_own(member.kind) {
                            own = rows.len();
                        }
                    }
                    Some(&band.child)
                }
                Node::Sequence(children) | Node::Set(children) => {
                    let mut around = None;
                    for child in children {
                        if instances.is_subset(&child.filter)? {
                            around = Some(&child.node);
                        }
                    }
                    around
                }
            };
        }
        Key::of(&rows[..own], Vec::new(), &instances)
    }

    /// Of a tensor of which each thread of a kernel has its own: the launch, the block and the thread. One memory for all
    /// where it is of no one kernel.
    fn of_threads(scop: &Scop, tree: &ScheduleTree, tensor: TensorId) -> isl::Result<Key> {
        let instances = touching(scop, tensor)?;
        for launched in tree.kernels()? {
            if !instances.is_subset(&launched.instances)? {
                continue;
            }
            let mut others = Vec::new();
            for at in 0..3 {
                for axis in [Axis::Block(at), Axis::Thread(at)] {
                    others.extend(launched.on_axis(axis)?);
                }
            }
            let host: Vec<&isl::UnionPwAff> = launched.host.iter().map(|member| &member.schedule).collect();
            return Key::of(&host, others, &instances);
        }
        Ok(Key::default())
    }

    fn of(rows: &[&isl::UnionPwAff], others: Vec<isl::UnionPwAff>, instances: &isl::UnionSet) -> isl::Result<Key> {
        let mut values: Option<isl::UnionMap> = None;
        for row in rows.iter().copied().chain(&others) {
            let row = row.intersect_domain(instances)?.to_union_map()?;
            values = Some(match values {
                None => row,
                Some(values) => values.flat_range_product(&row)?,
            });
        }
        Ok(Key { rows: rows.len(), others, values })
    }
}

//! Which memory an access touches when the program runs in the order of a tree: the cells of a tensor, and on a stack
//! also whose.

use support::Entity;

use crate::{Access, Memory, Node, ScheduleTree, Scop, Stmt, TensorId, isl};

/// The memories of a program in the order of a tree.
pub(crate) struct Places<'a> {
    scop: &'a Scop,
    /// For each tensor, the rows of the tree that tell its memories apart, and how many there are.
    keys: Vec<Option<(isl::UnionMap, usize)>>,
}

impl<'a> Places<'a> {
    /// Of `scop` in the order of `tree`.
    pub(crate) fn new(scop: &'a Scop, tree: &ScheduleTree) -> isl::Result<Places<'a>> {
        let keys = scop.tensors.iter().map(|(id, tensor)| match tensor.memory {
            Memory::Global => Ok(None),
            Memory::Stack => key(scop, tree, id),
        });
        Ok(Places { scop, keys: keys.collect::<isl::Result<_>>()? })
    }

    /// From the instances to the cells `T[key, cell]` that an access touches; the key is empty but on stacks.
    pub(crate) fn cells(&self, stmt: &Stmt, access: &Access) -> isl::Result<isl::UnionMap> {
        let cells = self.scop.cells(stmt, access)?;
        match &self.keys[access.tensor.index()] {
            None => cells.to_union_map(),
            Some((key, _)) => self.with_key(access.tensor, key, &cells.to_union_map()?),
        }
    }

    /// The same for each element by itself, where a subscript is known only while running: from `[instance -> element]`.
    pub(crate) fn cells_by_element(&self, stmt: &Stmt, access: &Access) -> isl::Result<isl::UnionMap> {
        let elements = self.scop.relation(stmt, access)?.to_union_map()?;
        let mut cells = elements.range_map()?;
        if self.scop.tensors[access.tensor].layout.is_some() {
            cells = cells.apply_range(&self.scop.storage(access.tensor)?.to_union_map()?)?;
        }
        match &self.keys[access.tensor.index()] {
            None => Ok(cells),
            Some((key, _)) => self.with_key(access.tensor, &elements.domain_map()?.apply_range(key)?, &cells),
        }
    }

    /// How many members of bands, from the root down, tell the memories of a tensor apart.
    pub(crate) fn key_rows(&self, tensor: TensorId) -> usize {
        self.keys[tensor.index()].as_ref().map_or(0, |(_, rows)| *rows)
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

/// What tells the memories of a tensor on the stack apart: all that the tree orders by, down to the innermost loop
/// around all accesses whose iterations run in threads of their own. `None` when there is no such loop.
fn key(scop: &Scop, tree: &ScheduleTree, tensor: TensorId) -> isl::Result<Option<(isl::UnionMap, usize)>> {
    let touches = |stmt: &&Stmt| stmt.accesses().any(|access| access.tensor == tensor);
    let instances = scop
        .stmts
        .values()
        .filter(touches)
        .try_fold(isl::UnionSet::empty(&scop.ctx)?, |all, stmt| all.union(&stmt.domain.to_union_set()?))?;
    let (mut rows, mut apart, mut node) = (Vec::new(), 0, Some(&tree.root));
    while let Some(here) = node {
        node = match here {
            Node::Leaf => None,
            Node::Mark { child, .. } => Some(child),
            Node::Band(band) => {
                for member in &band.members {
                    rows.push(&member.schedule);
                    if member.kind.apart() {
                        apart = rows.len();
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
    let mut key: Option<isl::UnionMap> = None;
    for row in &rows[..apart] {
        let row = row.intersect_domain(&instances)?.to_union_map()?;
        key = Some(match key {
            None => row,
            Some(key) => key.flat_range_product(&row)?,
        });
    }
    Ok(key.map(|key| (key, apart)))
}

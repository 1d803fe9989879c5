//! How the elements of a temporary lie in its memory: layout, fold.

use polyhedral::{Index, Layout, Role, Scop, Tensor, TensorId, isl, text};

use crate::proof::Edit;
use crate::refused::Reason;
use crate::storage::uses::tensor_named;
use crate::{Command, grammar};

/// Lays a temporary out by a map from its subscripts to storage cells, which are dense and row-major.
///
/// ```text
/// layout T [i, j] = [floor(i/8), j, i mod 8] of [floor((M + 7)/8), N, 8]
///
/// T[i, j] in cell i·N + j   ->   in cell (floor(i/8)·N + j)·8 + i mod 8
/// ```
///
/// The cells are quasi-affine in the subscripts and the sizes: transposes, blocks, padding, folds by a modulus.
///
/// Needs a temporary, since the memory of an argument is the caller's, and a cell inside the extents for every element.
/// Proof: values, so that elements share a cell only when the one is dead before the other lives. After Baghdadi et al.,
/// Tiramisu (CGO 2019), and Clauss and Meister, Automatic Memory Layout Transformations (2000).
pub(crate) fn layout(scop: &Scop, map: &LayoutMap) -> Result<Edit, Reason> {
    let tensor = temporary(scop, &map.tensor)?;
    let rank = scop.tensors[tensor].extent.len();
    if map.dims.len() != rank {
        let given = map.dims.len();
        return Reason::precondition(format!("`{}` has {rank} dimensions, and {given} are named", map.tensor));
    }
    for (at, dim) in map.dims.iter().enumerate() {
        if !grammar::is_name(dim) || dim.contains('.') {
            return Reason::precondition(format!("`{dim}` cannot be the name of a subscript"));
        }
        if map.dims[..at].contains(dim) {
            return Reason::precondition(format!("two subscripts are called `{dim}`"));
        }
    }
    if map.cell.len() != map.extent.len() {
        let (cells, extents) = (map.cell.len(), map.extent.len());
        return Reason::precondition(format!("{cells} storage coordinates, and extents for {extents}"));
    }
    let read = |all: &[String], dims: &[String]| -> Result<Vec<Index>, Reason> {
        all.iter().map(|text| index(text, dims, &scop.params)).collect()
    };
    let layout = Layout { cell: read(&map.cell, &map.dims)?, extent: read(&map.extent, &[])? };
    let show = |all: &[Index], dims: &[String]| -> Vec<String> {
        all.iter().map(|index| index.display(dims, &scop.params).to_string()).collect()
    };
    let (cell, extent) = (show(&layout.cell, &map.dims), show(&layout.extent, &[]));
    let command = Command::Layout(LayoutMap { cell, extent, ..map.clone() });
    with_layout(scop, tensor, layout, command)
}

/// What `layout` does: `layout TENSOR [dims] = [cell] of [extent]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayoutMap {
    /// The temporary.
    pub tensor: String,
    /// Names for its subscripts.
    pub dims: Vec<String>,
    /// The coordinates of an element's cell: expressions over `dims` and the sizes, as `polyhedral` prints them.
    pub cell: Vec<String>,
    /// How many cells there are in each coordinate, over the sizes.
    pub extent: Vec<String>,
}

/// Keeps only as many slices of a temporary as live at once: a rolling buffer.
///
/// ```text
/// fold T dim 0 by 3
///
/// T[t, i] in cell [t, i] of [N, M]   ->   in cell [t mod 3, i] of [3, M]
/// ```
///
/// A dimension that is folded already is folded anew.
///
/// Needs a temporary, with a layout, if any, that has a coordinate for this dimension alone. Proof: values, so that no
/// element is overwritten by the one `by` further on while it is still read. After Lefebvre and Feautrier, Automatic
/// Storage Management for Parallel Programs (Parallel Computing 1998), and Halide's `fold_storage`.
pub(crate) fn fold(scop: &Scop, name: &str, dim: u32, by: u32) -> Result<Edit, Reason> {
    let tensor = temporary(scop, name)?;
    let (old, at, modulus) = (&scop.tensors[tensor], dim as usize, i64::from(by));
    if at >= old.extent.len() {
        return Reason::precondition(format!(
            "`{name}` has {} dimensions, counted from 0: there is none {dim}",
            old.extent.len()
        ));
    }
    let mut layout = old.layout.clone().unwrap_or_else(|| dense(old));
    let Some(coordinate) = layout.cell.iter().position(|cell| folds(cell, at).is_some()) else {
        return Reason::precondition(format!("no coordinate of the layout of `{name}` is dimension {dim} alone"));
    };
    if layout.extent[coordinate].as_const().is_some_and(|extent| extent <= modulus)
        && is_plain(&layout.cell[coordinate])
    {
        let extent = &layout.extent[coordinate];
        let extent = extent.display(&[], &scop.params);
        return Reason::precondition(format!("dimension {dim} of `{name}` has only {extent} cells"));
    }
    let element = folds(&layout.cell[coordinate], at).expect("it was found so").clone();
    layout.cell[coordinate] = element.modulo(modulus);
    layout.extent[coordinate] = Index::Const(modulus);
    with_layout(scop, tensor, layout, Command::Fold { tensor: name.to_string(), dim, by })
}

/// The layout that a tensor without one has.
fn dense(tensor: &Tensor) -> Layout {
    let cell = tensor.lower.iter().enumerate().map(|(at, lower)| Index::Dim(at) - lower.clone()).collect();
    Layout { cell, extent: tensor.extent.clone() }
}

/// What is folded where a coordinate is dimension `at` alone, up to a constant and a modulus.
fn folds(cell: &Index, at: usize) -> Option<&Index> {
    let inner = match cell {
        Index::Mod(inner, _) => inner,
        plain => plain,
    };
    let affine = inner.affine()?;
    (affine.dims.len() == 1 && affine.dims.get(&at) == Some(&1)).then_some(inner)
}

fn is_plain(cell: &Index) -> bool {
    !matches!(cell, Index::Mod(..))
}

/// The temporary with that name.
fn temporary(scop: &Scop, name: &str) -> Result<TensorId, Reason> {
    let tensor = tensor_named(scop, name)?;
    match scop.tensors[tensor].role {
        Role::Temporary => Ok(tensor),
        Role::Input | Role::Output | Role::InOut => Reason::precondition(format!(
            "the memory of `{name}` is the caller's: `promote {name}` makes a temporary of it first"
        )),
    }
}

fn index(text: &str, dims: &[String], params: &[String]) -> Result<Index, Reason> {
    text::parse_index(text, dims, params).map_err(|error| Reason::Precondition(format!("`{text}`: {}", error.message)))
}

/// The edit, where every element has a cell inside the extents.
fn with_layout(scop: &Scop, tensor: TensorId, layout: Layout, command: Command) -> Result<Edit, Reason> {
    let mut edited = Scop { source: Vec::new(), ..scop.clone() };
    edited.tensors[tensor].layout = Some(layout);
    cells_inside(&edited, tensor)?;
    Ok(Edit::of_values(edited, command))
}

fn cells_inside(scop: &Scop, tensor: TensorId) -> Result<(), Reason> {
    let Tensor { name, layout, .. } = &scop.tensors[tensor];
    let Some(layout) = layout else { return Ok(()) };
    let cells = scop.storage(tensor)?.range()?;
    let space = cells.space()?;
    for (at, extent) in layout.extent.iter().enumerate() {
        let inside = Index::Dim(at).to_pw_aff(&space)?.nonneg_set()?;
        let inside = inside.intersect(&(extent.clone() - Index::Dim(at) - 1).to_pw_aff(&space)?.nonneg_set()?)?;
        let outside = cells.subtract(&inside)?;
        if let Some(cell) = example(&outside)? {
            let extent = extent.display(&[], &scop.params);
            return Reason::precondition(format!(
                "coordinate {at} of the layout of `{name}` goes beyond its extent {extent}: it can be {}",
                cell[at]
            ));
        }
    }
    Ok(())
}

/// A point of the set for some sizes.
fn example(set: &isl::Set) -> isl::Result<Option<Vec<i64>>> {
    let params = set.dim(isl::Dim::Param)?;
    let dims = set.dim(isl::Dim::Set)?;
    let all = set.reset_tuple_id()?.move_dims(isl::Dim::Set, dims, isl::Dim::Param, 0, params)?;
    let point = all.sample_point()?;
    Ok(point.map(|point| point[..dims as usize].to_vec()))
}

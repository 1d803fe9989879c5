//! From instances to the lines of memory that they touch, at fixed sizes.

use std::collections::BTreeSet;

use super::at_sizes;
use crate::footprint::coalesced;
use crate::{Access, Expr, Index, Scop, Stmt, Subscript, Tensor, TensorId, isl};

/// The lines that a program touches.
pub(super) struct Lines {
    /// By tensor.
    pub tensors: Vec<TensorLines>,
    /// The sizes of the parameters.
    pub sizes: Vec<i64>,
}

/// The lines of one tensor.
///
/// Where rows begin at lines, a point of the relations is a line. Where they do not, it is a place at which a line could
/// begin and overlap what is touched: as many times more points as a line has elements, so the sum is what all
/// alignments give on average, and a point stands for the bytes of one element.
pub(super) struct TensorLines {
    /// From the instances to the lines touched.
    pub touched: isl::UnionMap,
    /// From the instances to the lines written.
    pub written: isl::UnionMap,
    /// Bytes that a point of these relations stands for.
    pub bytes: u64,
    /// Whether the relations are exact: no subscript is computed while running.
    pub exact: bool,
    /// Whether what is stored goes past the caches: `touched` then has what is read only.
    pub streamed: bool,
}

impl Lines {
    /// Of all tensors, in lines of that many bytes.
    pub fn new(scop: &Scop, sizes: &[i64], line: u32) -> isl::Result<Lines> {
        let tensors = scop.tensors.keys().map(|id| tensor_lines(scop, sizes, id, line)).collect::<isl::Result<_>>()?;
        Ok(Lines { tensors, sizes: sizes.to_vec() })
    }
}

fn tensor_lines(scop: &Scop, sizes: &[i64], id: TensorId, line: u32) -> isl::Result<TensorLines> {
    // What is only asked for is fetched once, whether then or when it is used.
    let accesses = || {
        scop.stmts.values().filter(|stmt| !stmt.writes.is_empty()).flat_map(|stmt| {
            let reads = stmt.reads.iter().map(move |access| (stmt, access, false));
            reads.chain(stmt.writes.iter().map(move |access| (stmt, access, true)))
        })
    };
    let mine = || accesses().filter(|(_, access, _)| access.tensor == id);
    let exact = mine().all(|(_, access, _)| access.affine().is_some());
    let tensor = &scop.tensors[id];
    let shape = if exact { Shape::new(tensor, sizes, line) } else { Shape::apart(tensor, line) };
    let mut lines = TensorLines {
        touched: isl::UnionMap::empty(&scop.ctx)?,
        written: isl::UnionMap::empty(&scop.ctx)?,
        bytes: shape.bytes,
        exact,
        streamed: tensor.streamed,
    };
    for (number, (stmt, access, writes)) in mine().enumerate() {
        let number = if access.affine().is_some() { 0 } else { number as i64 + 1 };
        let cells = if exact { scop.cells(stmt, access)? } else { spread(scop, stmt, access, number)? };
        let cells = at_sizes(&cells.to_union_map()?, scop, sizes)?;
        let to_lines = shape.to_lines(&cells)?;
        // An update loads its element before it stores it, wherever the store goes.
        if !writes || !tensor.streamed || stmt.body.is_reduce() {
            lines.touched = lines.touched.union(&to_lines)?;
        }
        if writes {
            lines.written = lines.written.union(&to_lines)?;
        }
    }
    Ok(lines)
}

/// How a tensor's cells lie in lines.
struct Shape {
    /// First cell in each dimension.
    lower: Vec<i64>,
    /// Cells in each dimension.
    extent: Vec<i64>,
    /// Elements in a line.
    per_line: i64,
    /// Dimensions before those that are contiguous in a line.
    outer: usize,
    /// Whether every row begins at a line.
    aligned: bool,
    /// See [`TensorLines::bytes`].
    bytes: u64,
}

impl Shape {
    fn new(tensor: &Tensor, sizes: &[i64], line: u32) -> Shape {
        let at = |index: &Index| index.eval(&[], sizes).unwrap_or(1);
        let (lower, extent): (Vec<i64>, Vec<i64>) = match &tensor.layout {
            Some(layout) => (vec![0; layout.extent.len()], layout.extent.iter().map(at).collect()),
            None => (tensor.lower.iter().map(at).collect(), tensor.extent.iter().map(at).collect()),
        };
        let per_line = i64::from((line / tensor.dtype.bytes().max(1)).max(1));
        // As few inner dimensions as make up a line.
        let mut outer = extent.len();
        let mut row: i64 = 1;
        while outer > 0 && row < per_line {
            outer -= 1;
            row = row.saturating_mul(extent[outer].max(1));
        }
        let aligned = outer == 0 || row % per_line == 0;
        let bytes = if aligned { u64::from(line) } else { u64::from(tensor.dtype.bytes()) };
        Shape { lower, extent, per_line, outer, aligned, bytes }
    }

    /// Of a tensor whose rows have unknown places: lines along the last dimension, rows apart.
    fn apart(tensor: &Tensor, line: u32) -> Shape {
        let per_line = i64::from((line / tensor.dtype.bytes().max(1)).max(1));
        Shape { lower: Vec::new(), extent: Vec::new(), per_line, outer: 0, aligned: true, bytes: u64::from(line) }
    }

    /// The composition of a relation to cells with the one from cells to lines.
    fn to_lines(&self, cells: &isl::UnionMap) -> isl::Result<isl::UnionMap> {
        let mut all = isl::UnionMap::empty(cells.ctx())?;
        for map in cells.maps()? {
            let lines = isl::Map::read(map.ctx(), &self.text(map.dim(isl::Dim::Out)? as usize))?;
            let lines = match map.tuple_name(isl::Dim::Out)? {
                name if name.is_empty() => lines,
                name => lines.with_tuple_name(isl::Dim::In, &name)?,
            };
            all = all.union(&coalesced(&map.apply_range(&lines)?, isl::Map::coalesce)?.to_union_map()?)?;
        }
        Ok(all)
    }

    /// The relation from cells to lines in isl's notation.
    fn text(&self, rank: usize) -> String {
        let known = self.extent.len() == rank;
        let outer = if known { self.outer } else { rank.saturating_sub(1) };
        let names = |prefix: &str, n: usize| (0..n).map(|at| format!("{prefix}{at}")).collect::<Vec<_>>();
        let cells = names("c", rank).join(", ");
        let lines = names("o", outer).into_iter().chain(["x".to_string()]).collect::<Vec<_>>().join(", ");
        let offset = self.offset(outer, rank);
        let per_line = self.per_line;
        let same: Vec<String> = (0..outer).map(|at| format!("o{at} = c{at}")).collect();
        if self.aligned {
            let inside = format!("{per_line}*x <= {offset} and {offset} < {per_line}*x + {per_line}");
            let all: Vec<String> = same.into_iter().chain([inside]).collect();
            return format!("{{ [{cells}] -> [{lines}] : {} }}", all.join(" and "));
        }
        let cases = self.carries().join(" or ");
        format!("{{ [{cells}] -> [{lines}] : {cases} }}")
    }

    /// The place of a cell in its row.
    fn offset(&self, outer: usize, rank: usize) -> String {
        let mut stride: i64 = 1;
        let mut terms = vec!["0".to_string()];
        for at in (outer..rank).rev() {
            terms.push(format!("{stride}*(c{at} - {})", self.lower.get(at).copied().unwrap_or(0)));
            stride = stride.saturating_mul(self.extent.get(at).copied().unwrap_or(1).max(1));
        }
        format!("({})", terms.join(" + "))
    }

    /// The places up to a line before a cell. What is before the row is at the end of the row before, and so on outwards;
    /// what is before the tensor stays where it is.
    fn carries(&self) -> Vec<String> {
        let offset = self.offset(self.outer, self.extent.len());
        let row: i64 = self.extent[self.outer..].iter().product();
        let reach = self.per_line - 1;
        let same = |upto: usize| (0..upto).map(|at| format!("o{at} = c{at}"));
        let join = |parts: Vec<String>| format!("({})", parts.join(" and "));
        let near = |back: i64| format!("{offset} - {reach} <= x - {back} and x - {back} <= {offset}");
        let mut cases = vec![join(same(self.outer).chain([near(0), "x >= 0".into()]).collect())];
        // The dimensions after `at` are at their first value, the one at `at` is not.
        for at in (0..self.outer).rev() {
            let first = (at + 1..self.outer)
                .map(|d| format!("c{d} = {} and o{d} = {}", self.lower[d], self.lower[d] + self.extent[d] - 1));
            let carried =
                [format!("c{at} > {low} and o{at} = c{at} - 1", low = self.lower[at]), near(row), format!("x < {row}")];
            cases.push(join(same(at).chain(first).chain(carried).collect()));
        }
        let all_first = (0..self.outer).map(|d| format!("c{d} = {low} and o{d} = {low}", low = self.lower[d]));
        cases.push(join(all_first.chain([near(0), "x < 0".into()]).collect()));
        cases
    }
}

/// The cells of an access to a tensor that has computed subscripts somewhere: each of these is replaced by the loops that
/// it depends on, as if every look-up had a row of its own. All accesses get as many coordinates; `number`, which is 0 for
/// all that are affine, keeps different look-ups apart.
fn spread(scop: &Scop, stmt: &Stmt, access: &Access, number: i64) -> isl::Result<isl::Map> {
    let space = stmt.domain.space()?;
    let mut dims = BTreeSet::new();
    for subscript in &access.index {
        if let Subscript::Indirect(expr) = subscript {
            dims_of(stmt, expr, &mut dims);
        }
    }
    let deepest = scop.stmts.values().map(|stmt| stmt.dims.len()).max().unwrap_or(0);
    let loops = dims.iter().map(|&dim| Index::Dim(dim)).chain(std::iter::repeat(Index::Const(0))).take(deepest);
    let subscripts = access.index.iter().map(|subscript| match subscript {
        Subscript::Affine(index) => index.clone(),
        Subscript::Indirect(_) => Index::Const(0),
    });
    let mut map = stmt.domain.identity()?.project_out(isl::Dim::Out, 0, stmt.dims.len() as u32)?;
    for index in std::iter::once(Index::Const(number)).chain(loops).chain(subscripts) {
        map = map.flat_range_product(&index.to_pw_aff(&space)?.to_map()?)?;
    }
    map.intersect_domain(&stmt.domain.intersect_params(&scop.context)?)
}

/// The loops that an expression depends on, through what it loads too.
fn dims_of(stmt: &Stmt, expr: &Expr, dims: &mut BTreeSet<usize>) {
    // `map` visits every part; its result, the same expression, is not needed.
    let mut loads = Vec::new();
    expr.map(&mut |part| {
        match &part {
            Expr::Index(index) => dims.extend(index.dims_used()),
            Expr::Load(read) => loads.push(*read),
            _ => {}
        }
        part
    });
    for subscript in loads.iter().filter_map(|&read| stmt.reads.get(read)).flat_map(|access| &access.index) {
        match subscript {
            Subscript::Affine(index) => dims.extend(index.dims_used()),
            Subscript::Indirect(inner) => dims_of(stmt, inner, dims),
        }
    }
}

//! Packing: a copy in the order of use, by the commands `promote` and `layout`.

use polyhedral::{Scop, Stmt, Tensor, TensorId};
use support::Remark;
use transform::{Command, LayoutMap, Promotion, Session};

use crate::STAGE;
use crate::cpu::attempt;
use crate::plan::{Form, Pack};
use crate::prologue;

const WHAT: &str = "not packed";

/// Keeps a copy for each iteration of the loop `at`, in its form, and copies by vectors.
pub(crate) fn pack(session: &mut Session, entity: &str, pack: &Pack, at: Option<String>) {
    let source = session.scop().tensors[pack.tensor].clone();
    // A copy for the whole program is made before everything else: what may be computed in it is computed of inputs.
    let is_written = |tensor: TensorId| {
        session.scop().stmts.values().filter(move |stmt| stmt.writes.iter().any(|write| write.tensor == tensor))
    };
    let is_of_inputs = |stmt: &Stmt| stmt.reads.iter().all(|read| is_written(read.tensor).next().is_none());
    let is_computed = is_written(pack.tensor).next().is_some();
    let can_be_first =
        || prologue::is_for_copies(session.scop(), pack.tensor) && is_written(pack.tensor).all(is_of_inputs);
    if at.is_none() && is_computed && !can_be_first() {
        let why = format!("`{}` is computed by the program, and no loop is around its reader for a copy", source.name);
        return session.remark(Remark::new(STAGE, entity, WHAT, why));
    }
    let padded = if let Form::Rows { padding, .. } = pack.form { padding } else { 0 };
    // What others read of it in the same loops is none of the copy's.
    let stmt = &session.scop().stmts[pack.stmt].name;
    let is_read_by_others = session
        .scop()
        .stmts
        .iter()
        .any(|(id, other)| id != pack.stmt && other.reads.iter().any(|read| read.tensor == pack.tensor));
    let of = if at.is_none() || is_read_by_others { vec![stmt.clone()] } else { Vec::new() };
    let promotion = Promotion {
        tensor: source.name.clone(),
        member: at,
        of,
        padded,
        widened: pack.widened,
        ..Promotion::default()
    };
    if !attempt(session, entity, WHAT, Command::Promote(promotion)) {
        return;
    }
    let Some(Command::Promote(promotion)) = session.script().commands().last() else { return };
    let Some(name) = promotion.name.clone() else { return };
    let load = |dim: usize| format!("{name}.load.x{dim}");
    let what = "copied one by one";
    match pack.form {
        Form::Rows { lanes, .. } => {
            attempt(session, entity, what, Command::vectorise(load(pack.contiguous), lanes));
        }
        Form::Panels { along, tile, group } => {
            let Some(map) = panels(session.scop(), &name, &source, (along, tile.width()), group) else {
                let why =
                    format!("how large `{name}` is depends on the sizes: it stays in the order of `{}`", source.name);
                return session.remark(Remark::new(STAGE, entity, "not in panels", why));
            };
            attempt(session, entity, "not in panels", Command::Layout(map));
            if along == pack.contiguous {
                attempt(session, entity, what, Command::vectorise(load(along), tile.width()));
                if let Some((dim, by)) = group {
                    attempt(session, entity, what, Command::unroll(load(dim), by));
                }
            } else if attempt(session, entity, what, Command::vectorise(load(along), tile.lanes)) {
                let run = extent_along(session.scop(), &name, &source, pack.contiguous);
                let copies = run.map_or(tile.lanes, |run| run.min(tile.lanes));
                attempt(session, entity, what, Command::unroll(load(pack.contiguous), copies));
            }
        }
    }
}

/// How far the copy reaches along a dimension of its source, when that is known.
fn extent_along(scop: &Scop, name: &str, source: &Tensor, dim: usize) -> Option<u32> {
    let (_, copy) = scop.tensors.iter().find(|(_, tensor)| tensor.name == name)?;
    let apart = copy.extent.len().checked_sub(source.extent.len())?;
    u32::try_from(copy.extent.get(apart + dim)?.as_const()?).ok().filter(|extent| *extent > 0)
}

/// The layout `[…, floor(j/w), …, j mod w]` of the copy, where `j` is the dimension along the lanes; none when its sizes
/// are not constants. With a group `[…, floor(j/w), …, floor(k/g), …, j mod w, k mod g]`, where `k` is its dimension.
fn panels(
    scop: &Scop,
    name: &str,
    source: &Tensor,
    (along, width): (usize, u32),
    group: Option<(usize, u32)>,
) -> Option<LayoutMap> {
    let (_, copy) = scop.tensors.iter().find(|(_, tensor)| tensor.name == name)?;
    let extent: Vec<i64> = copy.extent.iter().map(polyhedral::Index::as_const).collect::<Option<_>>()?;
    // Copies for threads lie beside each other, in dimensions before those of the source.
    let apart = extent.len().checked_sub(source.extent.len())?;
    let (lane, width) = (apart + along, i64::from(width));
    let dims: Vec<String> = (0..extent.len()).map(|at| format!("i{at}")).collect();
    let (mut cell, mut cells) = (dims[..apart].to_vec(), extent[..apart].to_vec());
    let panels = extent[lane].checked_add(width - 1)?.div_euclid(width);
    if panels > 1 {
        cell.push(format!("floor(({})/{width})", dims[lane]));
        cells.push(panels);
    }
    let group = group.map(|(dim, by)| (apart + dim, i64::from(by)));
    for at in (apart..extent.len()).filter(|&at| at != lane) {
        match group {
            Some((dim, by)) if dim == at => {
                cell.push(format!("floor(({})/{by})", dims[at]));
                cells.push(extent[at].checked_add(by - 1)?.div_euclid(by));
            }
            _ => {
                cell.push(dims[at].clone());
                cells.push(extent[at]);
            }
        }
    }
    cell.push(if panels > 1 { format!("({}) mod {width}", dims[lane]) } else { dims[lane].clone() });
    cells.push(width.min(if panels > 1 { width } else { extent[lane] }));
    if let Some((dim, by)) = group {
        cell.push(format!("({}) mod {by}", dims[dim]));
        cells.push(by);
    }
    let extent = cells.iter().map(i64::to_string).collect();
    Some(LayoutMap { tensor: name.into(), dims, cell, extent })
}

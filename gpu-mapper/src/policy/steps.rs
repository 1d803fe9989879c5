//! Commands of a strategy, as a person would write them.

use polyhedral::{Axis, Memory, Tensor};
use support::Gpu;
use transform::{Command, Promotion, Session};

use super::nests::{Loop, beside, beside_all, extent, lettered, loops_over, nest_of};
use super::to_u32;

/// Elements that one access moves at most.
pub(super) const VECTOR: i64 = 4;

/// What a strategy applies.
pub(super) struct Steps<'a> {
    pub(super) device: &'a Gpu,
    pub(super) session: &'a mut Session,
}

/// A step that is refused, in a sentence.
pub(super) type Step<T = ()> = Result<T, String>;

impl Steps<'_> {
    pub(super) fn apply(&mut self, command: Command) -> Step {
        self.session.apply(command).map_err(|refused| refused.to_string())
    }

    /// Splits a loop; the loops that it becomes, called so, or by its own name and a letter.
    pub(super) fn split(&mut self, name: &str, by: i64, letters: [&str; 2]) -> Step<[String; 2]> {
        let [outer, inner] =
            letters.map(|ending| [if ending.len() > 1 { ending.into() } else { lettered(name, ending) }]);
        self.apply(Command::split(name, to_u32(by)).named(outer, inner))?;
        self.made()
    }

    /// The two loops that the last command made.
    pub(super) fn made(&self) -> Step<[String; 2]> {
        let made = match self.session.script().commands().next_back() {
            Some(
                Command::Split { member, names: Some(names), .. }
                | Command::Vectorise { member, names: Some(names), .. },
            ) => [&names.outer, &names.inner].map(|names| beside_all(names, std::slice::from_ref(member))),
            _ => return Err("no loop was made".into()),
        };
        match (made[0].as_slice(), made[1].as_slice()) {
            ([outer], [inner]) => Ok([outer.clone(), inner.clone()]),
            _ => Err("other loops were made".into()),
        }
    }

    pub(super) fn collapse(&mut self, outer: &str, inner: &str, name: Option<&str>) -> Step<String> {
        let members = [outer.to_string(), inner.to_string()];
        self.apply(Command::Collapse { members, name: name.map(str::to_string) })?;
        match self.session.script().commands().next_back() {
            Some(Command::Collapse { members: [outer, _], name: Some(name) }) => {
                Ok(if name.contains('.') { name.clone() } else { beside(name, outer) })
            }
            _ => Err("no loop was made".into()),
        }
    }

    /// One loop of several, outermost first; none of none.
    pub(super) fn one_of(&mut self, loops: &[Loop]) -> Step<Vec<String>> {
        let Some((first, rest)) = loops.split_first() else { return Ok(Vec::new()) };
        let mut one = first.name.clone();
        for other in rest {
            one = self.collapse(&one, &other.name, None)?;
        }
        Ok(vec![one])
    }

    /// At most three loops on the axes of blocks, the last one along x, and so many threads in rows for each block.
    pub(super) fn on_blocks(&mut self, blocks: &[String], [rows, columns]: [i64; 2]) -> Step {
        let axes = [Axis::Block(2), Axis::Block(1), Axis::Block(0)];
        for (name, axis) in blocks.iter().zip(&axes[3 - blocks.len().min(3)..]) {
            let count = self.session.scop().tree.member(name).and_then(extent).unwrap_or(1);
            let most = if let Axis::Block(at) = axis { self.device.grid[usize::from(*at)] } else { i64::MAX };
            if count > most {
                return Err(format!("`{name}` is of {count} blocks along one axis, and a launch has {most}"));
            }
            self.apply(Command::bind(name.clone(), *axis))?;
        }
        let first = blocks.first().ok_or("there is no loop for blocks")?;
        self.apply(Command::launch(first.clone(), [to_u32(columns), to_u32(rows)]))
    }

    /// A name for a tensor, if it is free.
    pub(super) fn fresh(&self, name: String) -> Option<String> {
        self.session.scop().tensor_named(&name).is_none().then_some(name)
    }

    /// The name of the tensor that the last command made.
    pub(super) fn promoted(&self) -> Step<String> {
        match self.session.script().commands().next_back() {
            Some(Command::Promote(Promotion { name: Some(name), .. })) => Ok(name.clone()),
            _ => Err("no tensor was made".into()),
        }
    }

    /// All threads share out a copy: vector by vector, as the elements lie where they come from.
    pub(super) fn copy(&mut self, tensor: &str, outside: usize, order: &[usize], threads: [i64; 2]) -> Step {
        let scop = self.session.scop();
        let stmt = format!("{tensor}.load");
        let id = scop.stmt_named(&stmt).ok_or("nothing is loaded")?;
        let old = scop.stmts[id].reads.first().map(|read| &scop.tensors[read.tensor]).ok_or("nothing is read")?;
        let new = scop.tensor_named(tensor).map(|id| &scop.tensors[id]).ok_or("the copy is gone")?;
        let loops = {
            let nest = nest_of(scop, &stmt).ok_or("a statement is gone")?;
            loops_over(nest, &stmt).split_off(outside)
        };
        let loops: Vec<String> = order.iter().filter_map(|at| loops.get(*at).cloned()).collect();
        let whole = |extent: Option<i64>| extent.is_some_and(|extent| extent % VECTOR == 0);
        let innermost = order.last().and_then(|at| new.extent[*at].as_const());
        let lanes = VECTOR.min(self.device.access_bytes / i64::from(old.dtype.bytes()).max(1));
        let is_whole = whole(innermost) && whole(old.extent.last().and_then(|extent| extent.as_const())) && lanes > 1;
        let Some((last, rest)) = loops.split_last() else { return Err("a copy of one element".into()) };
        if !rest.is_empty() {
            self.apply(Command::reorder(loops.clone()))?;
        }
        let mut one = last.clone();
        for outer in rest.iter().rev() {
            one = self.collapse(outer, &one, Some("x"))?;
        }
        if is_whole {
            self.apply(Command::vectorise(one, to_u32(lanes)).named(["xv"], ["xl"]))?;
            [one, _] = self.made()?;
        }
        let [rows, columns] = self.split(&one, threads[1], ["ty", "tx"])?;
        self.apply(Command::bind(rows, Axis::Thread(1)))?;
        self.apply(Command::bind(columns, Axis::Thread(0)))
    }

    /// Whether a block has the memory that its threads share.
    pub(super) fn within_limits(&self) -> Step {
        let bytes = |tensor: &Tensor| {
            let extent = tensor.layout.as_ref().map_or(&tensor.extent, |layout| &layout.extent);
            let element = i64::from(tensor.dtype.bytes());
            extent.iter().try_fold(element, |all, extent| all.checked_mul(extent.as_const()?)).unwrap_or(i64::MAX)
        };
        let shared = self.session.scop().tensors.values().filter(|tensor| tensor.memory == Memory::Shared);
        let shared = shared.map(bytes).fold(0, i64::saturating_add);
        match shared <= self.device.shared_bytes {
            true => Ok(()),
            false => Err(format!("its tiles would share {shared} bytes, and a block has {}", self.device.shared_bytes)),
        }
    }
}

//! Commands of a strategy, as a person would write them.

use polyhedral::Axis;
use support::Gpu;
use transform::{Command, Promotion, Session};

use super::buffers::shared_bytes;
use super::nests::{beside, beside_all, dim_of, extent, lettered, loops_over, nest_of};
use super::to_u32;
use super::vectors::lanes_of_copy;

/// Elements that one access moves at most.
pub(super) const VECTOR: i64 = 4;

/// What a strategy applies.
pub(super) struct Steps<'a> {
    pub(super) device: &'a Gpu,
    pub(super) session: &'a mut Session,
    /// Bytes that blocks of the kernels before share.
    others_share: i64,
    /// Threads along z.
    pub(super) layers: i64,
}

/// A step that is refused, in a sentence.
pub(super) type Step<T = ()> = Result<T, String>;

impl<'a> Steps<'a> {
    pub(super) fn new(device: &'a Gpu, session: &'a mut Session, layers: i64) -> Steps<'a> {
        let others_share = shared_bytes(session.scop().tensors.values());
        Steps { device, session, layers, others_share }
    }

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

    /// Puts the longest of these loops, at most three, on the axes of blocks, with so many threads in rows for each block; the
    /// others run inside of a block, as do loops of one iteration. All of them, outermost first.
    pub(super) fn on_blocks(&mut self, loops: &[String], [rows, columns]: [i64; 2]) -> Step<Vec<String>> {
        let scop = self.session.scop();
        let count = |name: &String| scop.tree.member(name).map_or(Some(1), extent).unwrap_or(i64::MAX);
        let mut longest: Vec<(i64, &String)> = loops.iter().map(|name| (count(name), name)).collect();
        // A stable sort: of equals the innermost ones.
        longest.reverse();
        longest.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let bound = |name: &&String| longest.iter().take(3).any(|(count, one)| one == name && *count > 1);
        let mut on_axes: Vec<String> = loops.iter().filter(bound).cloned().collect();
        if on_axes.is_empty() {
            on_axes.extend(loops.last().cloned());
        }
        let inside = loops.iter().filter(|name| !on_axes.contains(name)).cloned();
        let all: Vec<String> = on_axes.iter().cloned().chain(inside).collect();
        let axes = [Axis::Block(2), Axis::Block(1), Axis::Block(0)];
        for (name, axis) in on_axes.iter().zip(&axes[3 - on_axes.len()..]) {
            let count = count(name);
            let most = if let Axis::Block(at) = axis { self.device.grid[usize::from(*at)] } else { i64::MAX };
            if count > most && count != i64::MAX {
                return Err(format!("`{name}` is of {count} blocks along one axis, and a launch has {most}"));
            }
        }
        if all.len() > 1 {
            self.apply(Command::reorder(all.clone()))?;
        }
        for (name, axis) in on_axes.iter().zip(&axes[3 - on_axes.len()..]) {
            self.apply(Command::bind(name.clone(), *axis))?;
        }
        let first = on_axes.first().ok_or("there is no loop for blocks")?;
        let threads = [columns, rows, self.layers].into_iter().take(if self.layers > 1 { 3 } else { 2 });
        self.apply(Command::launch(first.clone(), threads.map(to_u32)))?;
        Ok(all)
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

    /// All threads share out a copy: vector by vector, as the elements lie where they come from, or element by element.
    pub(super) fn copy(
        &mut self,
        tensor: &str,
        outside: usize,
        order: &[usize],
        threads: [i64; 2],
        in_vectors: bool,
    ) -> Step {
        let scop = self.session.scop();
        let stmt = format!("{tensor}.load");
        let id = scop.stmt_named(&stmt).ok_or("nothing is loaded")?;
        let read = scop.stmts[id].reads.first().ok_or("nothing is read")?;
        let new = scop.tensor_named(tensor).map(|id| &scop.tensors[id]).ok_or("the copy is gone")?;
        let loops = {
            let nest = nest_of(scop, &stmt).ok_or("a statement is gone")?;
            loops_over(nest, &stmt).split_off(outside)
        };
        let loops: Vec<String> = order.iter().filter_map(|at| loops.get(*at).cloned()).collect();
        let across = order.last().and_then(|at| new.extent[*at].as_const());
        let dim = loops.last().and_then(|name| dim_of(scop.tree.member(name)?, &stmt)).ok_or("a loop is gone")?;
        let lanes = lanes_of_copy(self.device, &scop.tensors[read.tensor], read, dim, across);
        let Some((last, rest)) = loops.split_last() else { return Err("a copy of one element".into()) };
        if !rest.is_empty() {
            self.apply(Command::reorder(loops.clone()))?;
        }
        let mut one = last.clone();
        for outer in rest.iter().rev() {
            one = self.collapse(outer, &one, Some("x"))?;
        }
        if lanes > 1 && in_vectors {
            self.apply(Command::vectorise(one, to_u32(lanes)).named(["xv"], ["xl"]))?;
            [one, _] = self.made()?;
        }
        let [mut rows, columns] = self.split(&one, threads[1], [if self.layers > 1 { "tw" } else { "ty" }, "tx"])?;
        if self.layers > 1 {
            let [layers, inner] = self.split(&rows, threads[0], ["tz", "ty"])?;
            self.apply(Command::bind(layers, Axis::Thread(2)))?;
            rows = inner;
        }
        self.apply(Command::bind(rows, Axis::Thread(1)))?;
        self.apply(Command::bind(columns, Axis::Thread(0)))
    }

    /// Bytes that a block shares so far.
    pub(super) fn shared_bytes(&self) -> i64 {
        shared_bytes(self.session.scop().tensors.values()).saturating_sub(self.others_share)
    }

    /// Whether a block has the memory that its threads share.
    pub(super) fn within_limits(&self) -> Step {
        let shared = self.shared_bytes();
        match shared <= self.device.shared_bytes {
            true => Ok(()),
            false => Err(format!("its tiles would share {shared} bytes, and a block has {}", self.device.shared_bytes)),
        }
    }
}

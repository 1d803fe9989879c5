use std::fmt;

use polyhedral::{Axis, DType, Memory, ScheduleTree, Scop, isl};

use crate::{LayoutMap, order};

/// One step of a schedule. Loops are named by the members of the tree's bands.
///
/// ```text
/// order { TREE }                                              the whole tree, literally
/// split LOOP by N [as OUTER INNER]
/// tile LOOP+ by N+ [as OUTER+ / INNER+]
/// tile LOOP+ by SIZE+ [as OUTER+]                             SIZE is a parameter, perhaps a new one
/// reorder LOOP+
/// fuse NEST NEST [depth N] [shift S+]
/// distribute LOOP
/// skew LOOP by S of LOOP [as NAME]
/// shift LOOP by S [for STATEMENT+]
/// reverse LOOP
/// cut LOOP at EXPR [as A B]
/// peel LOOP (first | last) N [as A B]
/// separate LOOP+
/// collapse LOOP LOOP [as NAME]
/// bind LOOP+ to AXIS [atomically]
/// launch LOOP with N+ threads
/// parallel LOOP
/// vectorise LOOP by N [as OUTER INNER] [tail masked | separate | shifted]
/// unroll LOOP by N [as OUTER INNER]
///
/// promote TENSOR [at LOOP] [as NAME] [of STATEMENT+] [transposed N+] [padded N] [widened TYPE] [double] [in MEMORY]
/// prefetch TENSOR at LOOP [ahead N]
/// layout TENSOR [NAME, …] = [CELL, …] of [EXTENT, …]
/// fold TENSOR dim D by N
/// stream TENSOR
/// inline TENSOR
/// compute TENSOR at LOOP
/// store TENSOR at LOOP [in MEMORY]
/// privatise TENSOR at LOOP [by N] [as NAME] [in MEMORY]
/// exchange TENSOR [as NAME]
/// rescale TENSOR+ by TENSOR at LOOP
/// auto [STATEMENT+]                                           the policy's steps, for what is still as in the source
/// part STATEMENT [like STATEMENT]                             a part of a large program begins here
/// ```
///
/// A `LOOP` is the name of a member, or `statement.index` for any statement: the outermost member that is that index of
/// that statement, and the first one where a cut, a peel or a separation left several. A `MEMORY` is `stack`, `global`,
/// `shared` or `registers`. A `NEST` is named by a statement
/// or a loop in it. `N` is at least 1, `S` is a number with a sign or without; an `EXPR` is what [`polyhedral::Index`]
/// prints, over sizes and loops. A new name without a dot is put beside the loop that it comes from: `as ko ki` on
/// `C.update.k` makes `C.update.ko` and `C.update.ki`. What a [`Session`](crate::Session) records has exact names and
/// leaves nothing out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// A literal band tree, in the text of `polyhedral`.
    Order {
        /// The tree's lines, without the indentation that they have in a script.
        tree: String,
    },
    /// Cuts a loop into strips.
    Split {
        /// The loop.
        member: String,
        /// Iterations of a strip.
        by: u32,
        /// The loops that it becomes.
        names: Option<Names>,
    },
    /// Cuts a nest into boxes.
    Tile {
        /// The loops of one nest.
        members: Vec<String>,
        /// The extent of a box in each.
        by: Vec<u32>,
        /// The loops that they become.
        names: Option<Names>,
    },
    /// Cuts a nest into boxes whose extents are known at the call.
    TileBy {
        /// The loops of one nest.
        members: Vec<String>,
        /// The parameter that is the extent of a box, for each.
        by: Vec<String>,
        /// The loops over boxes.
        names: Option<Vec<String>>,
    },
    /// Permutes loops of a nest.
    Reorder {
        /// The loops in their new order; they share out the places that they had.
        members: Vec<String>,
    },
    /// Joins two nests of a sequence.
    Fuse {
        /// A statement or a loop of the first nest.
        first: String,
        /// A statement or a loop of the second.
        second: String,
        /// How many loops become common; as many as there are when left out.
        depth: Option<u32>,
        /// What is added to each common loop of the second nest; the smallest that is legal when left out.
        shift: Option<Vec<i32>>,
    },
    /// Takes a loop apart, one nest for each thing in its body.
    Distribute {
        /// The outermost loop that is taken apart.
        member: String,
    },
    /// Adds a multiple of another loop to a loop.
    Skew {
        /// The loop.
        member: String,
        /// How many times the other one.
        by: i32,
        /// The other loop.
        of: String,
        /// The loop's new name; the old one when left out.
        name: Option<String>,
    },
    /// Moves the values of a loop.
    Shift {
        /// The loop.
        member: String,
        /// How far.
        by: i32,
        /// The statements that move; all when there is none.
        stmts: Vec<String>,
    },
    /// Runs a loop from its last value to its first.
    Reverse {
        /// The loop.
        member: String,
    },
    /// Cuts the iterations of a loop in two.
    Cut {
        /// The loop.
        member: String,
        /// The first value of the second piece: an expression over sizes and the loops outside.
        at: String,
        /// The names of the loop in the two pieces.
        names: Option<(String, String)>,
    },
    /// Takes the first or the last iterations out of a loop.
    Peel {
        /// The loop.
        member: String,
        /// Which ones.
        end: End,
        /// How many.
        count: u32,
        /// The names of the loop in the two pieces, in their order.
        names: Option<(String, String)>,
    },
    /// Runs whole boxes in loops of their own.
    Separate {
        /// The loops over strips.
        members: Vec<String>,
    },
    /// Makes one loop of two.
    Collapse {
        /// The outer loop and the inner one.
        members: [String; 2],
        /// The loop that they become.
        name: Option<String>,
    },
    /// Makes a kernel of a part of the tree.
    Launch {
        /// Its outermost loop.
        member: String,
        /// Threads of a block, in dimension x, y and z.
        threads: Vec<u32>,
    },
    /// Runs the iterations of a loop on an axis of the target.
    Bind {
        /// The loops, of nests beside each other.
        members: Vec<String>,
        /// The axis.
        axis: Axis,
        /// Whether several iterations, on blocks, may update one element, each in one step that nothing comes in between.
        atomically: bool,
    },
    /// Runs the iterations of a loop on several threads.
    Parallel {
        /// The loop.
        member: String,
    },
    /// Runs strips of a loop in the lanes of vectors.
    Vectorise {
        /// The loop.
        member: String,
        /// How many lanes.
        by: u32,
        /// The loops that it becomes.
        names: Option<Names>,
        /// What runs where a vector is not full.
        tail: Tail,
    },
    /// Copies strips of a loop out, innermost (unroll and jam).
    Unroll {
        /// The loop.
        member: String,
        /// How many copies.
        by: u32,
        /// The loops that it becomes.
        names: Option<Names>,
    },
    /// Keeps what an iteration touches of a tensor in a new one.
    Promote(Promotion),
    /// Asks for what a later iteration touches of a tensor.
    Prefetch {
        /// The tensor.
        tensor: String,
        /// The loop, at the beginning of each iteration of which is asked.
        member: String,
        /// How many iterations earlier; 1 when left out.
        ahead: Option<u32>,
    },
    /// Maps the elements of a temporary to storage cells.
    Layout(LayoutMap),
    /// Keeps only as many slices of a temporary as live at once.
    Fold {
        /// The temporary.
        tensor: String,
        /// The dimension, from 0.
        dim: u32,
        /// How many slices.
        by: u32,
    },
    /// Lets the stores to a tensor go past the caches.
    Stream {
        /// The tensor.
        tensor: String,
    },
    /// Computes a temporary where it is read, and stores it no more.
    Inline {
        /// The temporary.
        tensor: String,
    },
    /// Computes a temporary inside of each iteration of a loop: what is read there.
    ComputeAt {
        /// The temporary.
        tensor: String,
        /// The loop.
        member: String,
    },
    /// Keeps of a temporary what one iteration of a loop touches.
    StoreAt {
        /// The temporary.
        tensor: String,
        /// The loop.
        member: String,
        /// Where it lives; found out when left out.
        memory: Option<Memory>,
    },
    /// Gives each iteration of a loop a tensor of its own.
    Privatise(Privatisation),
    /// Gives each rank a tensor of its own, and sends what others read.
    Exchange {
        /// The tensor.
        tensor: String,
        /// The new tensor's name; found when left out.
        name: Option<String>,
    },
    /// Sums terms that are relative to a maximum in blocks in which the maximum still grows.
    Rescale {
        /// The sums.
        sums: Vec<String>,
        /// The maximum.
        max: String,
        /// The loop over blocks.
        member: String,
    },
    /// Leaves the rest to a policy: [`Session::replay_with`](crate::Session::replay_with) has one; its steps are recorded.
    Auto {
        /// Statements, for their nests only; all that the script left as in the source when empty.
        stmts: Vec<String>,
    },
    /// The nests at the top from one on, up to the next part, are a part of the program that is scheduled and proved by
    /// itself; the commands up to the next part are about it. [`Script::parts`](crate::Script::parts) tells them apart.
    Part {
        /// A statement of the first nest.
        stmt: String,
        /// The first statement of an earlier part that is equal but for the names: what is done there is done here.
        like: Option<String>,
    },
}

/// What `privatise` does: see its text form at [`Command`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Privatisation {
    /// The tensor.
    pub tensor: String,
    /// The loop.
    pub member: String,
    /// Iterations that are equal modulo this number share a partial result.
    pub by: Option<u32>,
    /// The private tensor's name.
    pub name: Option<String>,
    /// Where it lives; found out when left out.
    pub memory: Option<Memory>,
}

impl Privatisation {
    /// `privatise tensor at member`.
    pub fn of(tensor: impl Into<String>, member: impl Into<String>) -> Privatisation {
        Privatisation { tensor: tensor.into(), member: member.into(), ..Privatisation::default() }
    }
}

impl fmt::Display for Privatisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.tensor, self.member)?;
        if let Some(by) = self.by {
            write!(f, " by {by}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " as {name}")?;
        }
        f.write_str(&in_memory(self.memory))
    }
}

/// The end of a command's text that says where a tensor lives.
fn in_memory(memory: Option<Memory>) -> String {
    memory.map_or_else(String::new, |memory| format!(" in {}", memory.word()))
}

/// What `promote` does: see its text form at [`Command`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Promotion {
    /// The tensor.
    pub tensor: String,
    /// The loop, in each iteration of which there are copies of their own; without it the copies are of the whole program.
    pub member: Option<String>,
    /// The new tensor's name.
    pub name: Option<String>,
    /// The statements whose accesses are meant; all inside the loop when there are none.
    pub of: Vec<String>,
    /// The dimensions of the tensor in the order that they have in the new one; as they are when empty.
    pub transposed: Vec<u32>,
    /// Cells added to the innermost dimension.
    pub padded: u32,
    /// The type of the new tensor, which holds every value of the old one, where that is what all reads convert to.
    pub widened: Option<DType>,
    /// Whether the iterations of the loop use two copies in turn, each loaded one iteration earlier.
    pub double: bool,
    /// Where the new tensor lives; found out when left out.
    pub memory: Option<Memory>,
}

impl Promotion {
    /// `promote tensor at member`.
    pub fn of(tensor: impl Into<String>, member: impl Into<String>) -> Promotion {
        Promotion { tensor: tensor.into(), member: Some(member.into()), ..Promotion::default() }
    }
}

impl fmt::Display for Promotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tensor)?;
        if let Some(member) = &self.member {
            write!(f, " at {member}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " as {name}")?;
        }
        if !self.of.is_empty() {
            write!(f, " of {}", self.of.join(" "))?;
        }
        if !self.transposed.is_empty() {
            let order: Vec<String> = self.transposed.iter().map(u32::to_string).collect();
            write!(f, " transposed {}", order.join(" "))?;
        }
        if self.padded > 0 {
            write!(f, " padded {}", self.padded)?;
        }
        if let Some(wide) = self.widened {
            write!(f, " widened {wide}")?;
        }
        if self.double {
            f.write_str(" double")?;
        }
        f.write_str(&in_memory(self.memory))
    }
}

/// What runs where the iterations of a loop do not fill a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tail {
    /// Vectors whose lanes are masked.
    #[default]
    Masked,
    /// The loop as it was, after the full vectors.
    Separate,
    /// A full vector that begins earlier and computes some instances once more.
    Shifted,
}

/// An end of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Its first iterations.
    First,
    /// Its last ones.
    Last,
}

/// The names that a split gives: of the loops over strips, and of the loops inside one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names {
    /// Of the loops over strips.
    pub outer: Vec<String>,
    /// Of the loops inside a strip.
    pub inner: Vec<String>,
}

/// One row of the list of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The word that a script uses.
    pub name: &'static str,
    /// The text form.
    pub form: &'static str,
    /// What it does.
    pub summary: &'static str,
}

/// The commands, in the order of the manual.
pub const COMMANDS: &[Description] = &[
    Description { name: "order", form: "order { TREE }", summary: "Take a literal band tree." },
    Description { name: "split", form: "split LOOP by N [as OUTER INNER]", summary: "Cut a loop into strips." },
    Description {
        name: "tile",
        form: "tile LOOP+ by (N+ [as OUTER+ / INNER+] | SIZE+ [as OUTER+])",
        summary: "Cut a nest into boxes.",
    },
    Description { name: "reorder", form: "reorder LOOP+", summary: "Permute loops of a nest." },
    Description { name: "fuse", form: "fuse NEST NEST [depth N] [shift S+]", summary: "Join two nests of a sequence." },
    Description {
        name: "distribute",
        form: "distribute LOOP",
        summary: "Take a loop apart, one nest for each thing in it.",
    },
    Description {
        name: "skew",
        form: "skew LOOP by S of LOOP [as NAME]",
        summary: "Add a multiple of another loop to a loop.",
    },
    Description {
        name: "shift",
        form: "shift LOOP by S [for STATEMENT+]",
        summary: "Move the values of a loop, for all statements or for some.",
    },
    Description { name: "reverse", form: "reverse LOOP", summary: "Run a loop from its last value to its first." },
    Description {
        name: "cut",
        form: "cut LOOP at EXPR [as A B]",
        summary: "Cut the iterations of a loop in two, below a value and from it on.",
    },
    Description {
        name: "peel",
        form: "peel LOOP (first | last) N [as A B]",
        summary: "Take the first or the last iterations out of a loop.",
    },
    Description {
        name: "separate",
        form: "separate LOOP+",
        summary: "Run whole boxes in loops of their own, apart from cut ones.",
    },
    Description {
        name: "collapse",
        form: "collapse LOOP LOOP [as NAME]",
        summary: "Make one loop of two, of which the inner one runs over a constant range.",
    },
    Description {
        name: "bind",
        form: "bind LOOP+ to AXIS [atomically]",
        summary: "Run the iterations of loops on an axis of the target; blocks may update one element atomically.",
    },
    Description {
        name: "launch",
        form: "launch LOOP with N+ threads",
        summary: "Make a kernel of what is in a loop, with so many threads in a block.",
    },
    Description { name: "parallel", form: "parallel LOOP", summary: "Run a loop on several threads." },
    Description {
        name: "vectorise",
        form: "vectorise LOOP by N [as OUTER INNER] [tail masked | separate | shifted]",
        summary: "Run strips of a loop in the lanes of vectors; cut ones with masks, as before, or shifted back.",
    },
    Description {
        name: "unroll",
        form: "unroll LOOP by N [as OUTER INNER]",
        summary: "Copy strips of a loop out, innermost.",
    },
    Description {
        name: "promote",
        form: "promote TENSOR [at LOOP] [as NAME] [of STATEMENT+] [transposed N+] [padded N] [widened TYPE] [double] [in MEMORY]",
        summary: "Keep what an iteration touches of a tensor in a new one.",
    },
    Description {
        name: "prefetch",
        form: "prefetch TENSOR at LOOP [ahead N]",
        summary: "Ask for what a later iteration touches of a tensor.",
    },
    Description {
        name: "layout",
        form: "layout TENSOR [NAME, …] = [CELL, …] of [EXTENT, …]",
        summary: "Map the elements of a temporary to storage cells.",
    },
    Description {
        name: "fold",
        form: "fold TENSOR dim D by N",
        summary: "Keep only as many slices of a temporary as live at once.",
    },
    Description { name: "stream", form: "stream TENSOR", summary: "Let the stores to a tensor go past the caches." },
    Description {
        name: "inline",
        form: "inline TENSOR",
        summary: "Compute a temporary where it is read, and store it no more.",
    },
    Description {
        name: "compute",
        form: "compute TENSOR at LOOP",
        summary: "Compute a temporary inside of each iteration of a loop that reads it.",
    },
    Description {
        name: "store",
        form: "store TENSOR at LOOP [in MEMORY]",
        summary: "Keep of a temporary what one iteration of a loop touches.",
    },
    Description {
        name: "privatise",
        form: "privatise TENSOR at LOOP [by N] [as NAME] [in MEMORY]",
        summary: "Give each iteration of a loop a tensor of its own, or partial results.",
    },
    Description {
        name: "exchange",
        form: "exchange TENSOR [as NAME]",
        summary: "Give each rank a tensor of its own, and send what others read.",
    },
    Description {
        name: "rescale",
        form: "rescale TENSOR+ by TENSOR at LOOP",
        summary: "Sum terms relative to a maximum in blocks in which it still grows.",
    },
    Description { name: "auto", form: "auto [STATEMENT+]", summary: "Leave the rest to the policy." },
    Description {
        name: "part",
        form: "part STATEMENT [like STATEMENT]",
        summary: "Begin a part of a large program: what comes next is about it alone.",
    },
];

impl Names {
    /// For a split of one loop.
    pub fn of_split(outer: impl Into<String>, inner: impl Into<String>) -> Names {
        Names { outer: vec![outer.into()], inner: vec![inner.into()] }
    }
}

impl Command {
    /// `order { tree }`, for a tree of `scop`.
    ///
    /// # Errors
    /// When isl fails to print it.
    pub fn order(scop: &Scop, tree: &ScheduleTree) -> isl::Result<Command> {
        order::command(scop, tree)
    }

    /// `split member by size`.
    pub fn split(member: impl Into<String>, by: u32) -> Command {
        Command::Split { member: member.into(), by, names: None }
    }

    /// `tile members by sizes`.
    pub fn tile<S: Into<String>>(members: impl IntoIterator<Item = S>, by: impl IntoIterator<Item = u32>) -> Command {
        Command::Tile {
            members: members.into_iter().map(Into::into).collect(),
            by: by.into_iter().collect(),
            names: None,
        }
    }

    /// `tile members by sizes`, which are parameters.
    pub fn tile_by<S: Into<String>>(members: impl IntoIterator<Item = S>, by: impl IntoIterator<Item = S>) -> Command {
        Command::TileBy {
            members: members.into_iter().map(Into::into).collect(),
            by: by.into_iter().map(Into::into).collect(),
            names: None,
        }
    }

    /// `reorder members`.
    pub fn reorder<S: Into<String>>(members: impl IntoIterator<Item = S>) -> Command {
        Command::Reorder { members: members.into_iter().map(Into::into).collect() }
    }

    /// `fuse first second depth n`.
    pub fn fuse(first: impl Into<String>, second: impl Into<String>, depth: u32) -> Command {
        Command::Fuse { first: first.into(), second: second.into(), depth: Some(depth), shift: None }
    }

    /// `distribute member`.
    pub fn distribute(member: impl Into<String>) -> Command {
        Command::Distribute { member: member.into() }
    }

    /// `skew member by factor of other`.
    pub fn skew(member: impl Into<String>, by: i32, of: impl Into<String>) -> Command {
        Command::Skew { member: member.into(), by, of: of.into(), name: None }
    }

    /// `shift member by distance for stmts`; all statements when there is none.
    pub fn shift<S: Into<String>>(member: impl Into<String>, by: i32, stmts: impl IntoIterator<Item = S>) -> Command {
        Command::Shift { member: member.into(), by, stmts: stmts.into_iter().map(Into::into).collect() }
    }

    /// `reverse member`.
    pub fn reverse(member: impl Into<String>) -> Command {
        Command::Reverse { member: member.into() }
    }

    /// `cut member at value`.
    pub fn cut(member: impl Into<String>, at: impl Into<String>) -> Command {
        Command::Cut { member: member.into(), at: at.into(), names: None }
    }

    /// `peel member end count`.
    pub fn peel(member: impl Into<String>, end: End, count: u32) -> Command {
        Command::Peel { member: member.into(), end, count, names: None }
    }

    /// `separate members`.
    pub fn separate<S: Into<String>>(members: impl IntoIterator<Item = S>) -> Command {
        Command::Separate { members: members.into_iter().map(Into::into).collect() }
    }

    /// `bind member to axis`.
    pub fn bind(member: impl Into<String>, axis: Axis) -> Command {
        Command::Bind { members: vec![member.into()], axis, atomically: false }
    }

    /// `bind member to axis atomically`.
    pub fn bind_atomically(member: impl Into<String>, axis: Axis) -> Command {
        Command::Bind { members: vec![member.into()], axis, atomically: true }
    }

    /// `bind members to axis`.
    pub fn bind_all<S: Into<String>>(members: impl IntoIterator<Item = S>, axis: Axis) -> Command {
        Command::Bind { members: members.into_iter().map(Into::into).collect(), axis, atomically: false }
    }

    /// `collapse outer inner`.
    pub fn collapse(outer: impl Into<String>, inner: impl Into<String>) -> Command {
        Command::Collapse { members: [outer.into(), inner.into()], name: None }
    }

    /// `launch member with … threads`.
    pub fn launch(member: impl Into<String>, threads: impl IntoIterator<Item = u32>) -> Command {
        Command::Launch { member: member.into(), threads: threads.into_iter().collect() }
    }

    /// `parallel member`.
    pub fn parallel(member: impl Into<String>) -> Command {
        Command::Parallel { member: member.into() }
    }

    /// `vectorise member by width`.
    pub fn vectorise(member: impl Into<String>, by: u32) -> Command {
        Command::vectorise_with_tail(member, by, Tail::Masked)
    }

    /// `vectorise member by width tail tail`.
    pub fn vectorise_with_tail(member: impl Into<String>, by: u32, tail: Tail) -> Command {
        Command::Vectorise { member: member.into(), by, names: None, tail }
    }

    /// `unroll member by factor`.
    pub fn unroll(member: impl Into<String>, by: u32) -> Command {
        Command::Unroll { member: member.into(), by, names: None }
    }

    /// `promote tensor at member`; a [`Promotion`] has the options.
    pub fn promote(tensor: impl Into<String>, member: impl Into<String>) -> Command {
        Command::Promote(Promotion::of(tensor, member))
    }

    /// `prefetch tensor at member ahead iterations`.
    pub fn prefetch(tensor: impl Into<String>, member: impl Into<String>, ahead: u32) -> Command {
        Command::Prefetch { tensor: tensor.into(), member: member.into(), ahead: Some(ahead) }
    }

    /// `layout tensor [dims] = [cell] of [extent]`.
    pub fn layout<const R: usize, const S: usize>(
        tensor: impl Into<String>,
        dims: [&str; R],
        cell: [&str; S],
        extent: [&str; S],
    ) -> Command {
        let all = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        Command::Layout(LayoutMap { tensor: tensor.into(), dims: all(&dims), cell: all(&cell), extent: all(&extent) })
    }

    /// `fold tensor dim dim by slices`.
    pub fn fold(tensor: impl Into<String>, dim: u32, by: u32) -> Command {
        Command::Fold { tensor: tensor.into(), dim, by }
    }

    /// `stream tensor`.
    pub fn stream(tensor: impl Into<String>) -> Command {
        Command::Stream { tensor: tensor.into() }
    }

    /// `inline tensor`.
    pub fn inline(tensor: impl Into<String>) -> Command {
        Command::Inline { tensor: tensor.into() }
    }

    /// `compute tensor at member`.
    pub fn compute_at(tensor: impl Into<String>, member: impl Into<String>) -> Command {
        Command::ComputeAt { tensor: tensor.into(), member: member.into() }
    }

    /// `store tensor at member`.
    pub fn store_at(tensor: impl Into<String>, member: impl Into<String>) -> Command {
        Command::StoreAt { tensor: tensor.into(), member: member.into(), memory: None }
    }

    /// `exchange tensor`.
    pub fn exchange(tensor: impl Into<String>) -> Command {
        Command::Exchange { tensor: tensor.into(), name: None }
    }

    /// `privatise tensor at member`; a [`Privatisation`] has the options.
    pub fn privatise(tensor: impl Into<String>, member: impl Into<String>) -> Command {
        Command::Privatise(Privatisation::of(tensor, member))
    }

    /// `rescale sums by max at member`.
    pub fn rescale<S: Into<String>>(
        sums: impl IntoIterator<Item = S>,
        max: impl Into<String>,
        member: impl Into<String>,
    ) -> Command {
        Command::Rescale { sums: sums.into_iter().map(Into::into).collect(), max: max.into(), member: member.into() }
    }

    /// With names for the loops that a split, a tile, a vectorise or an unroll makes; other commands make none.
    pub fn named<S: Into<String>>(
        mut self,
        outer: impl IntoIterator<Item = S>,
        inner: impl IntoIterator<Item = S>,
    ) -> Command {
        if let Command::Split { names, .. }
        | Command::Tile { names, .. }
        | Command::Vectorise { names, .. }
        | Command::Unroll { names, .. } = &mut self
        {
            *names = Some(Names {
                outer: outer.into_iter().map(Into::into).collect(),
                inner: inner.into_iter().map(Into::into).collect(),
            });
        }
        self
    }

    /// The word that a script uses.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Order { .. } => "order",
            Command::Split { .. } => "split",
            Command::Tile { .. } | Command::TileBy { .. } => "tile",
            Command::Reorder { .. } => "reorder",
            Command::Fuse { .. } => "fuse",
            Command::Distribute { .. } => "distribute",
            Command::Skew { .. } => "skew",
            Command::Shift { .. } => "shift",
            Command::Reverse { .. } => "reverse",
            Command::Cut { .. } => "cut",
            Command::Peel { .. } => "peel",
            Command::Separate { .. } => "separate",
            Command::Collapse { .. } => "collapse",
            Command::Bind { .. } => "bind",
            Command::Launch { .. } => "launch",
            Command::Parallel { .. } => "parallel",
            Command::Vectorise { .. } => "vectorise",
            Command::Unroll { .. } => "unroll",
            Command::Promote(_) => "promote",
            Command::Prefetch { .. } => "prefetch",
            Command::Layout(_) => "layout",
            Command::Fold { .. } => "fold",
            Command::Stream { .. } => "stream",
            Command::Inline { .. } => "inline",
            Command::ComputeAt { .. } => "compute",
            Command::StoreAt { .. } => "store",
            Command::Privatise(_) => "privatise",
            Command::Exchange { .. } => "exchange",
            Command::Rescale { .. } => "rescale",
            Command::Auto { .. } => "auto",
            Command::Part { .. } => "part",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Command::Order { tree } => {
                f.write_str(" {")?;
                for line in tree.lines() {
                    write!(f, "\n    {line}")?;
                }
                f.write_str("\n}")
            }
            Command::Split { member, by, names }
            | Command::Vectorise { member, by, names, .. }
            | Command::Unroll { member, by, names } => {
                write!(f, " {member} by {by}")?;
                if let Some(Names { outer, inner }) = names {
                    write!(f, " as {} {}", outer.join(" "), inner.join(" "))?;
                }
                match self {
                    Command::Vectorise { tail, .. } if *tail != Tail::Masked => write!(f, " tail {tail}"),
                    _ => Ok(()),
                }
            }
            Command::Tile { members, by, names } => {
                let by: Vec<String> = by.iter().map(u32::to_string).collect();
                write!(f, " {} by {}", members.join(" "), by.join(" "))?;
                match names {
                    Some(Names { outer, inner }) => write!(f, " as {} / {}", outer.join(" "), inner.join(" ")),
                    None => Ok(()),
                }
            }
            Command::TileBy { members, by, names } => {
                write!(f, " {} by {}", members.join(" "), by.join(" "))?;
                names.as_ref().map_or(Ok(()), |names| write!(f, " as {}", names.join(" ")))
            }
            Command::Reorder { members } | Command::Separate { members } => write!(f, " {}", members.join(" ")),
            Command::Fuse { first, second, depth, shift } => {
                write!(f, " {first} {second}")?;
                depth.map_or(Ok(()), |depth| write!(f, " depth {depth}"))?;
                let Some(shift) = shift else { return Ok(()) };
                f.write_str(" shift")?;
                shift.iter().try_for_each(|by| write!(f, " {by}"))
            }
            Command::Distribute { member } | Command::Reverse { member } | Command::Parallel { member } => {
                write!(f, " {member}")
            }
            Command::Skew { member, by, of, name } => {
                write!(f, " {member} by {by} of {of}")?;
                name.as_ref().map_or(Ok(()), |name| write!(f, " as {name}"))
            }
            Command::Shift { member, by, stmts } => {
                write!(f, " {member} by {by}")?;
                if stmts.is_empty() { Ok(()) } else { write!(f, " for {}", stmts.join(" ")) }
            }
            Command::Cut { member, at, names } => {
                write!(f, " {member} at {at}")?;
                names.as_ref().map_or(Ok(()), |(first, second)| write!(f, " as {first} {second}"))
            }
            Command::Peel { member, end, count, names } => {
                write!(f, " {member} {end} {count}")?;
                names.as_ref().map_or(Ok(()), |(first, second)| write!(f, " as {first} {second}"))
            }
            Command::Collapse { members: [outer, inner], name } => {
                write!(f, " {outer} {inner}")?;
                name.as_ref().map_or(Ok(()), |name| write!(f, " as {name}"))
            }
            Command::Bind { members, axis, atomically } => {
                write!(f, " {} to {axis}{}", members.join(" "), if *atomically { " atomically" } else { "" })
            }
            Command::Launch { member, threads } => {
                write!(f, " {member} with")?;
                threads.iter().try_for_each(|threads| write!(f, " {threads}"))?;
                f.write_str(" threads")
            }
            Command::Promote(promotion) => write!(f, " {promotion}"),
            Command::Prefetch { tensor, member, ahead } => {
                write!(f, " {tensor} at {member}")?;
                ahead.map_or(Ok(()), |ahead| write!(f, " ahead {ahead}"))
            }
            Command::Layout(LayoutMap { tensor, dims, cell, extent }) => {
                write!(f, " {tensor} [{}] = [{}] of [{}]", dims.join(", "), cell.join(", "), extent.join(", "))
            }
            Command::Fold { tensor, dim, by } => write!(f, " {tensor} dim {dim} by {by}"),
            Command::Stream { tensor } | Command::Inline { tensor } => write!(f, " {tensor}"),
            Command::ComputeAt { tensor, member } => write!(f, " {tensor} at {member}"),
            Command::StoreAt { tensor, member, memory } => write!(f, " {tensor} at {member}{}", in_memory(*memory)),
            Command::Privatise(privatisation) => write!(f, " {privatisation}"),
            Command::Exchange { tensor, name } => match name {
                Some(name) => write!(f, " {tensor} as {name}"),
                None => write!(f, " {tensor}"),
            },
            Command::Rescale { sums, max, member } => write!(f, " {} by {max} at {member}", sums.join(" ")),
            Command::Auto { stmts } => stmts.iter().try_for_each(|stmt| write!(f, " {stmt}")),
            Command::Part { stmt, like } => {
                write!(f, " {stmt}")?;
                like.as_ref().map_or(Ok(()), |like| write!(f, " like {like}"))
            }
        }
    }
}

impl Tail {
    /// All of them.
    pub const ALL: [Tail; 3] = [Tail::Masked, Tail::Separate, Tail::Shifted];

    /// The one that prints as `text`.
    pub fn parse(text: &str) -> Option<Tail> {
        Tail::ALL.into_iter().find(|tail| tail.to_string() == text)
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tail::Masked => "masked",
            Tail::Separate => "separate",
            Tail::Shifted => "shifted",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::First => "first",
            End::Last => "last",
        })
    }
}

use std::fmt;

use polyhedral::{Memory, ScheduleTree, Scop, isl};

use crate::order;

/// One step of a schedule. Loops are named by the members of the tree's bands.
///
/// ```text
/// order { TREE }                                              the whole tree, literally
/// split LOOP by N [as OUTER INNER]
/// tile LOOP+ by N+ [as OUTER+ / INNER+]
/// reorder LOOP+
/// fuse STATEMENT STATEMENT [depth N]
/// distribute LOOP
/// parallel LOOP
/// vectorise LOOP by N [as OUTER INNER]
/// unroll LOOP by N [as OUTER INNER]
///
/// promote TENSOR [at LOOP] [as NAME] [of STATEMENT+] [transposed N+] [padded N] [double] [in stack|global]
/// inline TENSOR
/// compute TENSOR at LOOP
/// store TENSOR at LOOP [in stack|global]
/// privatise TENSOR at LOOP [by N] [as NAME] [in stack|global]
/// ```
///
/// A `LOOP` is the name of a member, or `statement.index` for any statement: the outermost member that is that index of
/// that statement. A new name without a dot is put beside the loop that it comes from: `as ko ki` on `C.update.k` makes
/// `C.update.ko` and `C.update.ki`. What a [`Session`](crate::Session) records has exact names and leaves nothing out.
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
    /// Permutes loops of a nest.
    Reorder {
        /// The loops in their new order; they share out the places that they had.
        members: Vec<String>,
    },
    /// Joins two nests that follow each other at the top.
    Fuse {
        /// A statement of the first nest.
        first: String,
        /// A statement of the second.
        second: String,
        /// How many loops become common; as many as there are when left out.
        depth: Option<u32>,
    },
    /// Takes a nest at the top apart, one nest for each thing in its body.
    Distribute {
        /// A loop around that body.
        member: String,
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
        f.write_str(in_memory(self.memory))
    }
}

/// The end of a command's text that says where a tensor lives.
fn in_memory(memory: Option<Memory>) -> &'static str {
    match memory {
        Some(Memory::Stack) => " in stack",
        Some(Memory::Global) => " in global",
        None => "",
    }
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
        if self.double {
            f.write_str(" double")?;
        }
        match self.memory {
            Some(Memory::Stack) => f.write_str(" in stack"),
            Some(Memory::Global) => f.write_str(" in global"),
            None => Ok(()),
        }
    }
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
    Description { name: "tile", form: "tile LOOP+ by N+ [as OUTER+ / INNER+]", summary: "Cut a nest into boxes." },
    Description { name: "reorder", form: "reorder LOOP+", summary: "Permute loops of a nest." },
    Description { name: "fuse", form: "fuse STATEMENT STATEMENT [depth N]", summary: "Join two nests at the top." },
    Description { name: "distribute", form: "distribute LOOP", summary: "Take a nest at the top apart." },
    Description { name: "parallel", form: "parallel LOOP", summary: "Run a loop on several threads." },
    Description {
        name: "vectorise",
        form: "vectorise LOOP by N [as OUTER INNER]",
        summary: "Run strips of a loop in the lanes of vectors.",
    },
    Description {
        name: "unroll",
        form: "unroll LOOP by N [as OUTER INNER]",
        summary: "Copy strips of a loop out, innermost.",
    },
    Description {
        name: "promote",
        form: "promote TENSOR [at LOOP] [as NAME] [of STATEMENT+] [transposed N+] [padded N] [double] [in stack|global]",
        summary: "Keep what an iteration touches of a tensor in a new one.",
    },
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
        form: "store TENSOR at LOOP [in stack|global]",
        summary: "Keep of a temporary what one iteration of a loop touches.",
    },
    Description {
        name: "privatise",
        form: "privatise TENSOR at LOOP [by N] [as NAME] [in stack|global]",
        summary: "Give each iteration of a loop a tensor of its own, or partial results.",
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

    /// `reorder members`.
    pub fn reorder<S: Into<String>>(members: impl IntoIterator<Item = S>) -> Command {
        Command::Reorder { members: members.into_iter().map(Into::into).collect() }
    }

    /// `fuse first second depth n`.
    pub fn fuse(first: impl Into<String>, second: impl Into<String>, depth: u32) -> Command {
        Command::Fuse { first: first.into(), second: second.into(), depth: Some(depth) }
    }

    /// `distribute member`.
    pub fn distribute(member: impl Into<String>) -> Command {
        Command::Distribute { member: member.into() }
    }

    /// `parallel member`.
    pub fn parallel(member: impl Into<String>) -> Command {
        Command::Parallel { member: member.into() }
    }

    /// `vectorise member by width`.
    pub fn vectorise(member: impl Into<String>, by: u32) -> Command {
        Command::Vectorise { member: member.into(), by, names: None }
    }

    /// `unroll member by factor`.
    pub fn unroll(member: impl Into<String>, by: u32) -> Command {
        Command::Unroll { member: member.into(), by, names: None }
    }

    /// `promote tensor at member`; a [`Promotion`] has the options.
    pub fn promote(tensor: impl Into<String>, member: impl Into<String>) -> Command {
        Command::Promote(Promotion::of(tensor, member))
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

    /// `privatise tensor at member`; a [`Privatisation`] has the options.
    pub fn privatise(tensor: impl Into<String>, member: impl Into<String>) -> Command {
        Command::Privatise(Privatisation::of(tensor, member))
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
            Command::Tile { .. } => "tile",
            Command::Reorder { .. } => "reorder",
            Command::Fuse { .. } => "fuse",
            Command::Distribute { .. } => "distribute",
            Command::Parallel { .. } => "parallel",
            Command::Vectorise { .. } => "vectorise",
            Command::Unroll { .. } => "unroll",
            Command::Promote(_) => "promote",
            Command::Inline { .. } => "inline",
            Command::ComputeAt { .. } => "compute",
            Command::StoreAt { .. } => "store",
            Command::Privatise(_) => "privatise",
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
            | Command::Vectorise { member, by, names }
            | Command::Unroll { member, by, names } => {
                write!(f, " {member} by {by}")?;
                match names {
                    Some(Names { outer, inner }) => write!(f, " as {} {}", outer.join(" "), inner.join(" ")),
                    None => Ok(()),
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
            Command::Reorder { members } => write!(f, " {}", members.join(" ")),
            Command::Fuse { first, second, depth } => {
                write!(f, " {first} {second}")?;
                depth.map_or(Ok(()), |depth| write!(f, " depth {depth}"))
            }
            Command::Distribute { member } | Command::Parallel { member } => write!(f, " {member}"),
            Command::Promote(promotion) => write!(f, " {promotion}"),
            Command::Inline { tensor } => write!(f, " {tensor}"),
            Command::ComputeAt { tensor, member } => write!(f, " {tensor} at {member}"),
            Command::StoreAt { tensor, member, memory } => write!(f, " {tensor} at {member}{}", in_memory(*memory)),
            Command::Privatise(privatisation) => write!(f, " {privatisation}"),
        }
    }
}

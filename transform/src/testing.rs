//! Random commands, for tests: of every kind, whether they fit or not.

use polyhedral::testing::Rng;
use polyhedral::{Axis, DType, Memory, Scop};

use crate::{COMMANDS, Command, End, LayoutMap, Names, Privatisation, Promotion, Tail};

/// A command that may or may not fit `scop`; no [`Command::Order`] and no [`Command::Auto`], which are always about a
/// whole program.
pub fn command(random: &mut Rng, scop: &Scop) -> Command {
    let kinds: Vec<Command> =
        each().into_iter().filter(|like| !matches!(like, Command::Order { .. } | Command::Auto { .. })).collect();
    redrawn(&random.pick(&kinds), random, scop)
}

/// One command of each kind of [`COMMANDS`].
pub fn each() -> Vec<Command> {
    let all: Vec<Command> = EACH.iter().map(|text| one(text)).collect();
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let listed = COMMANDS.iter().map(|command| command.name).collect();
    let drawn = all.iter().map(Command::name).collect();
    assert_eq!(sorted(drawn), sorted(listed), "`testing::EACH` has one command of each kind");
    all
}

/// One command of each kind, as text.
const EACH: &[&str] = &[
    "order {\n    leaf\n}",
    "split a by 2",
    "tile a by 2",
    "reorder a",
    "fuse S T",
    "distribute a",
    "skew a by 1 of b",
    "shift a by -1",
    "reverse a",
    "cut a at 2",
    "peel a first 1",
    "separate a",
    "collapse a b",
    "bind a to block.x",
    "launch a with 4 threads",
    "parallel a",
    "vectorise a by 2",
    "unroll a by 2",
    "promote T at a",
    "prefetch T at a",
    "layout T [i] = [i] of [4]",
    "fold T dim 0 by 2",
    "stream T",
    "inline T",
    "compute T at a",
    "store T at a",
    "privatise T at a",
    "exchange T",
    "rescale T by U at a",
    "part S",
    "auto",
];

fn one(text: &str) -> Command {
    let script: crate::Script = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    script.commands().next().unwrap_or_else(|| panic!("{text}: no command")).clone()
}

/// A command of the kind of `like` with everything drawn anew: loops and statements of `scop`, mostly, and small sizes.
/// A new kind does not compile until it is drawn here.
pub fn redrawn(like: &Command, random: &mut Rng, scop: &Scop) -> Command {
    let mut draw = Draw::new(random, scop);
    match like {
        Command::Order { .. } => Command::order(scop, &scop.tree).expect("the tree prints"),
        Command::Split { .. } => Command::Split { member: draw.a_loop(), by: draw.size(), names: draw.names(1) },
        Command::Tile { .. } => {
            let members = draw.loops();
            let by = members.iter().map(|_| draw.size()).collect();
            Command::Tile { by, names: draw.names(members.len()), members }
        }
        // Not in the list above: a program with a size more needs a caller that gives it.
        Command::TileBy { .. } => {
            let members = draw.loops();
            Command::TileBy { by: members.iter().map(|_| "T".into()).collect(), names: None, members }
        }
        Command::Reorder { .. } => {
            let mut members = draw.loops();
            members.reverse();
            Command::Reorder { members }
        }
        Command::Fuse { .. } => {
            let (first, second) = draw.neighbours();
            let depth = draw.sometimes(Draw::size);
            let shift = draw.sometimes(|draw| vec![draw.number()]);
            Command::Fuse { first, second, depth, shift }
        }
        Command::Distribute { .. } => Command::Distribute { member: draw.a_loop() },
        Command::Skew { .. } => {
            let (of, member) = draw.two_loops();
            Command::Skew { member, by: draw.number(), of, name: draw.sometimes(|draw| draw.name("s")) }
        }
        Command::Shift { .. } => {
            let stmts = draw.sometimes(|draw| vec![draw.statement()]).unwrap_or_default();
            Command::Shift { member: draw.a_loop(), by: draw.number(), stmts }
        }
        Command::Reverse { .. } => Command::Reverse { member: draw.a_loop() },
        Command::Cut { .. } => {
            let names = draw.sometimes(|draw| (draw.name("a"), draw.name("b")));
            let size = scop.params.first().map_or("2", String::as_str);
            let at = draw.random.pick(&["0", "1", "3", &format!("{size} - 2"), &format!("floor({size} / 2)")]).into();
            Command::Cut { member: draw.a_loop(), at, names }
        }
        Command::Peel { .. } => {
            let end = draw.random.pick(&[End::First, End::Last]);
            let names = draw.sometimes(|draw| (draw.name("a"), draw.name("b")));
            Command::Peel { member: draw.a_loop(), end, count: draw.size(), names }
        }
        Command::Separate { .. } => Command::Separate { members: draw.loops() },
        Command::Collapse { .. } => {
            let (outer, inner) = draw.two_loops();
            Command::Collapse { members: [outer, inner], name: draw.sometimes(|draw| draw.name("c")) }
        }
        Command::Launch { .. } => Command::Launch { member: draw.a_loop(), threads: vec![draw.size(), draw.size()] },
        Command::Bind { .. } => {
            let (members, axis) = (draw.loops(), draw.random.pick(&Axis::ALL));
            Command::Bind { members, axis, atomically: draw.random.below(3) == 0 }
        }
        Command::Parallel { .. } => Command::Parallel { member: draw.a_loop() },
        Command::Vectorise { .. } => {
            let by = draw.random.pick(&[2, 4, 8]);
            let tail = draw.random.pick(&[Tail::Masked, Tail::Separate, Tail::Shifted]);
            Command::Vectorise { member: draw.a_loop(), by, names: draw.names(1), tail }
        }
        Command::Unroll { .. } => Command::Unroll { member: draw.a_loop(), by: draw.size(), names: draw.names(1) },
        Command::Promote(_) => Command::Promote(Promotion {
            tensor: draw.tensor(),
            member: draw.sometimes(|_| ()).is_none().then(|| draw.a_loop()),
            name: draw.sometimes(|draw| draw.name("P")),
            of: draw.sometimes(|draw| vec![draw.statement()]).unwrap_or_default(),
            transposed: draw.sometimes(|_| vec![1, 0]).unwrap_or_default(),
            padded: draw.sometimes(Draw::size).unwrap_or(0),
            widened: draw.sometimes(|draw| draw.random.pick(&[DType::F64, DType::F32, DType::I64])),
            double: draw.random.below(4) == 0,
            memory: draw.memory(),
        }),
        Command::Prefetch { .. } => {
            let (tensor, member) = (draw.tensor(), draw.a_loop());
            Command::Prefetch { tensor, member, ahead: draw.sometimes(Draw::size) }
        }
        Command::Layout(_) => Command::Layout(LayoutMap {
            tensor: draw.tensor(),
            dims: vec!["i".into(), "j".into()],
            cell: vec!["j".into(), "i".into()],
            extent: vec![draw.size().to_string(), draw.size().to_string()],
        }),
        Command::Fold { .. } => {
            Command::Fold { tensor: draw.tensor(), dim: draw.random.below(2) as u32, by: draw.size() }
        }
        Command::Stream { .. } => Command::Stream { tensor: draw.tensor() },
        Command::Inline { .. } => Command::Inline { tensor: draw.tensor() },
        Command::ComputeAt { .. } => Command::ComputeAt { tensor: draw.tensor(), member: draw.a_loop() },
        Command::StoreAt { .. } => {
            Command::StoreAt { tensor: draw.tensor(), member: draw.a_loop(), memory: draw.memory() }
        }
        Command::Privatise(_) => Command::Privatise(Privatisation {
            tensor: draw.tensor(),
            member: draw.a_loop(),
            by: draw.sometimes(Draw::size),
            name: draw.sometimes(|draw| draw.name("P")),
            memory: draw.memory(),
        }),
        Command::Exchange { .. } => {
            Command::Exchange { tensor: draw.tensor(), name: draw.sometimes(|draw| draw.name("X")) }
        }
        Command::Rescale { .. } => {
            let sums = vec![draw.tensor()];
            Command::Rescale { sums, max: draw.tensor(), member: draw.a_loop() }
        }
        Command::Part { .. } => Command::Part { stmt: draw.statement(), like: draw.sometimes(Draw::statement) },
        Command::Auto { .. } => {
            Command::Auto { stmts: draw.sometimes(|draw| vec![draw.statement()]).unwrap_or_default() }
        }
    }
}

/// Where the parts of commands come from.
struct Draw<'a> {
    random: &'a mut Rng,
    loops: Vec<String>,
    stmts: Vec<String>,
    tensors: Vec<String>,
}

impl Draw<'_> {
    fn new<'a>(random: &'a mut Rng, scop: &Scop) -> Draw<'a> {
        let loops = scop.tree.root.members().iter().map(|member| member.name.clone()).collect();
        let stmts = scop.stmts.values().map(|stmt| stmt.name.clone()).collect();
        let tensors = scop.tensors.values().map(|tensor| tensor.name.clone()).collect();
        Draw { random, loops, stmts, tensors }
    }

    /// One or several loops that follow each other in the tree, which are more often of one nest.
    fn loops(&mut self) -> Vec<String> {
        if self.loops.is_empty() || self.random.below(30) == 0 {
            return vec!["nowhere".into()];
        }
        let from = self.random.below(self.loops.len());
        let count = 1 + self.random.below(3);
        self.loops[from..(from + count).min(self.loops.len())].to_vec()
    }

    fn a_loop(&mut self) -> String {
        self.loops().swap_remove(0)
    }

    fn statement(&mut self) -> String {
        if self.stmts.is_empty() || self.random.below(30) == 0 {
            return "Nothing".into();
        }
        let at = self.random.below(self.stmts.len());
        self.stmts[at].clone()
    }

    fn two_loops(&mut self) -> (String, String) {
        let loops = self.loops();
        (loops[0].clone(), loops.get(1).cloned().unwrap_or_else(|| self.a_loop()))
    }

    fn tensor(&mut self) -> String {
        if self.tensors.is_empty() || self.random.below(30) == 0 {
            return "Nothing".into();
        }
        let at = self.random.below(self.tensors.len());
        self.tensors[at].clone()
    }

    fn memory(&mut self) -> Option<Memory> {
        self.sometimes(|draw| draw.random.pick(&[Memory::Stack, Memory::Global, Memory::Shared, Memory::Registers]))
    }

    /// Two statements, the second mostly after the first.
    fn neighbours(&mut self) -> (String, String) {
        let first = self.statement();
        let at = self.stmts.iter().position(|stmt| *stmt == first).unwrap_or(0);
        let second = self.stmts.get(at + 1).or(self.stmts.first()).cloned().unwrap_or_else(|| "Nothing".into());
        (first, second)
    }

    fn size(&mut self) -> u32 {
        self.random.pick(&[1, 2, 3, 4])
    }

    fn number(&mut self) -> i32 {
        self.random.pick(&[-2, -1, 1, 2])
    }

    /// A new name, mostly.
    fn name(&mut self, kind: &str) -> String {
        format!("{kind}{}", self.random.below(50))
    }

    fn sometimes<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.random.below(3) == 0).then(|| part(self))
    }

    /// Names for what `loops` loops become; new ones, mostly.
    fn names(&mut self, loops: usize) -> Option<Names> {
        self.sometimes(|draw| {
            let mut new = |kind: &str| {
                let number = draw.random.below(50);
                (0..loops).map(|at| format!("{kind}{at}_{number}")).collect()
            };
            Names { outer: new("o"), inner: new("i") }
        })
    }
}

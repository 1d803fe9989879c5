//! Commands, scripts and sessions: the only way to change a schedule.
//!
//! | command | what it does | proof |
//! |---|---|---|
//! | `order { TREE }` | take a literal band tree | order |
//! | `split LOOP by N [as OUTER INNER]` | cut a loop into strips | the order is the same |
//! | `tile LOOP+ by N+ [as OUTER+ / INNER+]` | cut a nest into boxes | order |
//! | `reorder LOOP+` | permute loops of a nest | order |
//! | `fuse NEST NEST [depth N] [shift S+]` | join two nests of a sequence, shifted where need be | order |
//! | `distribute LOOP` | take a loop apart | order |
//! | `skew LOOP by S of LOOP [as NAME]` | add a multiple of another loop | the order is the same, or order |
//! | `shift LOOP by S [for STATEMENT+]` | move the values of a loop | the order is the same, or order |
//! | `reverse LOOP` | run a loop from its last value to its first | order |
//! | `cut LOOP at EXPR [as A B]` | cut the iterations of a loop in two | the order is the same |
//! | `peel LOOP (first \| last) N [as A B]` | take iterations out of a loop | the order is the same |
//! | `separate LOOP+` | run whole boxes apart from cut ones | the order is the same |
//! | `bind LOOP to AXIS` | run a loop on an axis of the target | order, none carried |
//! | `parallel LOOP` | run a loop on several threads | order, none carried |
//! | `vectorise LOOP by N [as OUTER INNER] [tail masked \| separate \| shifted]` | run strips of a loop in the lanes of vectors | order, none between lanes; values, when lanes are computed twice |
//! | `unroll LOOP by N [as OUTER INNER]` | copy strips of a loop out, innermost | order |
//! | `promote TENSOR [at LOOP] [as NAME] …` | keep what an iteration touches of a tensor in a new one | values |
//! | `prefetch TENSOR at LOOP [ahead N]` | ask for what a later iteration touches | values |
//! | `layout TENSOR [DIM+] = [CELL+] of [EXTENT+]` | map the elements of a temporary to storage cells | values |
//! | `fold TENSOR dim D by N` | keep only as many slices as live at once | values |
//! | `inline TENSOR` | compute a temporary where it is read | values |
//! | `compute TENSOR at LOOP` | compute a temporary inside of each iteration that reads it | values |
//! | `store TENSOR at LOOP [in stack\|global]` | keep of a temporary what one iteration touches | values |
//! | `privatise TENSOR at LOOP [by N] [as NAME]` | give each iteration a tensor of its own, or partial results | values |
//! | `exchange TENSOR [as NAME]` | give each rank a tensor of its own, and send what others read | values |
//! | `rescale TENSOR+ by TENSOR at LOOP` | sum terms relative to a maximum in blocks in which it still grows | a law |
//! | `auto [STATEMENT+]` | leave what is still as in the source to the policy | that of its steps |
//! | `part STATEMENT [like STATEMENT]` | begin a part of a large program | each part by itself |
//!
//! A [`Command`] is one step, a [`Script`] a list of them with a text form (`.sched`). A [`Session`] applies commands to a
//! program; a command that its proof refuses is a [`Refused`], with two instances as the counter-example. A [`Policy`]
//! decides which commands to apply.
//!
//! ```
//! use polyhedral::{isl, testing};
//! use transform::{Command, Session};
//!
//! # let target = support::Target::from_toml("name = 't'\ntriple = ''\ncpu = ''\nthreads = 1\nvector_bytes = 64\n\
//! #     vector_registers = 32\nfma_per_cycle = 2\nfma_latency = 4\ncaches = []").unwrap();
//! let matmul = testing::matmul(&isl::Ctx::new());
//! let mut session = Session::new(matmul, &target)?;
//! session.apply(Command::tile(["C.update.m", "C.update.n"], [96, 512]))?;
//! session.apply(Command::parallel("C.update.mo"))?;
//!
//! let refused = session.apply(Command::parallel("C.update.k")).unwrap_err();
//! assert!(refused.violation().is_some(), "two updates of one element cannot run at once");
//!
//! let scheduled = session.finish()?;
//! assert_eq!(
//!     scheduled.script.to_string(),
//!     "tile C.update.m C.update.n by 96 512 as mo no / mi ni\nparallel C.update.mo\n"
//! );
//! # Ok::<(), transform::Refused>(())
//! ```
//!
//! Each command is a function of its family's file: `loops`, `affine`, `index_set`, `order`, `fusion`,
//! `parallel`, `mapping`, `storage`. It edits a copy of the tree, or of the program,
//! and says what is to be proved; it never judges itself.

mod command;
mod define;
mod history;
mod policy;
mod refused;
mod remedy;
mod script;
mod session;

mod affine;
mod embedding;
mod fusion;
mod fusion_report;
mod index_set;
mod loops;
mod mapping;
mod order;
mod parallel;
mod storage;

mod grammar;
mod place;
mod proof;
mod shape;
mod tails;
#[cfg(feature = "testing")]
pub mod testing;
mod tiling;

pub use command::{COMMANDS, Command, Description, End, Names, Privatisation, Promotion, Tail};
pub use define::{Definition, Definitions};
pub use fusion_report::{FusionGroup, FusionReport};
pub use history::{Proved, Recorded};
pub use parallel::MAX_COPIES;
pub use policy::Policy;
pub use refused::{Reason, Refused};
pub use script::{Script, ScriptError, ScriptPart, Use};
pub use session::{OPERATIONS, Options, Scheduled, Session};
pub use shape::MAX_LOOPS;
pub use storage::layout::LayoutMap;
pub use storage::promote::UNASKED_STACK_BYTES;

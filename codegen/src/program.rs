use polyhedral::{BinOp, Builtin, CmpOp, DType, Role, TensorId, UnOp};
use support::{Table, entity};

entity!(/** An integer variable of a [`Program`]: a loop's; prints as `i0`. */ VarId, "i");
entity!(/** A register of a [`Program`]: a local value; prints as `r0`. */ RegId, "r");

/// Loops, guards, vector and scalar expressions: what code generation works on, free of sets and of LLVM.
///
/// ```text
/// program = name param* buffer* reg* op*
/// op      = for var in lower..upper step s [parallel] { op* }
///         | if cond { op* } else { op* }
///         | buffer[at*] = value            `lanes` elements, those that the mask keeps
///         | reg = value                    set before it is read, on every path
///         | check value in extent          every lane inside, or the kernel fails, naming a buffer's dimension
///         | with stack buffer { op* }      memory of its own for the buffer, with nothing in it at first
///         | with new buffer { op* }        the same of a buffer of the workspace, whose memory is there before
///         | prefetch buffer[at*]           a hint: these elements are read soon
///         | reg* = block buffer[at*]       each register is one further along a dimension than the one before
///         | block buffer[at*] = reg*       the same, stored
///         | launch name (block var below n)* (thread var below n)* shared buffer* { op* }
///         | barrier                        all threads of the block get here before one goes on
///         | copy shared buffer[at*] = buffer[at*] under way until the thread waits
///         | wait                           what this thread has begun to copy is there
///         | combine reg by operator over var*   the threads that differ in these numbers all get what theirs are together
///         | combine reg* with reg* by value* over var*   the same of several registers; the first of these threads gets it
///         | atomic buffer[at*] by operator reg    one element becomes what it and the register are together, in one step
/// value   = const | int(base, step) | buffer[at*] | reg | unary | binary | compare | select | cast | call | mul-add
///         | dot(sum, (value, value)+)      a sum and products of factors of a shorter type
///         | reduce(operator, value)        groups of lanes combined
/// at      = base + lane·step | indirect value
/// ```
///
/// Every value of an op has the op's number of lanes, or one lane that counts for all; what a `reduce` combines has as many
/// as it says. Subscripts are storage
/// coordinates: from 0 to the extent, in the order of the strides. All buffers are distinct memory, but those of the workspace
/// that are never alive at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The definition's name.
    pub name: String,
    /// Size parameters, given at the call; none in a specialised program. No farther from 0 than [`Program::MOST_SIZE`].
    pub params: Vec<String>,
    /// Same ids as the tensors of the Scop.
    pub buffers: Table<TensorId, Buffer>,
    /// The integer variables; each is bound by one loop.
    pub vars: Table<VarId, Var>,
    /// The registers.
    pub regs: Table<RegId, Reg>,
    /// What runs.
    pub body: Vec<Op>,
    /// The ops of the body at which the parts of a large program begin, which may be equal but for their buffers: there is
    /// machine code for equal ones once. None where it is not known of any.
    pub parts: Vec<usize>,
}

impl Program {
    /// How large a size parameter may be: no memory holds as many elements, and index arithmetic with it does not overflow.
    pub const MOST_SIZE: i64 = 1 << 48;
}

/// Memory of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// The tensor's name.
    pub name: String,
    /// The type of an element.
    pub dtype: DType,
    /// Elements in each dimension, over the parameters.
    pub extent: Vec<Int>,
    /// Elements between neighbours in each dimension.
    pub strides: Vec<Stride>,
    /// The dimension that is two of the tensor's, dense rows one after the other, and how long a row is.
    pub rows: Option<(usize, i64)>,
    /// Where it is.
    pub place: Place,
    /// What the caller and the program do with it.
    pub role: Role,
    /// Whether whole vectors stored to it go past the caches.
    pub streamed: bool,
}

/// A stride, in elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Stride {
    /// Known: an expression over the parameters (a constant in a specialised program).
    Known(Int),
    /// Read from the argument's descriptor at the call; 64-bit.
    Runtime,
}

/// Where a buffer is.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Argument number `n` of the call.
    Argument(usize),
    /// In the workspace, at a byte offset that is a multiple of 64. Others that are never alive at once may have the same
    /// bytes: from the first access in the order of the text to the last one, all of a loop that one of these is in, and
    /// inside of each [`Op::Local`] of it by itself.
    Workspace(Int),
    /// In the frame of the thread that runs the [`Op::Local`] around the accesses; its extents are constants.
    Stack,
    /// In the memory that the threads of a block share, of the [`Op::Launch`] that names it; its extents are constants.
    Shared,
}

/// An integer variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Var {
    /// For reading.
    pub name: String,
    /// The loops of the schedule whose iterations it counts, as scripts call them: one of a loop, several of a number of
    /// blocks or threads; none where a pass, or isl, made the loop.
    pub loops: Vec<String>,
}

impl From<&str> for Var {
    fn from(name: &str) -> Var {
        Var::from(name.to_string())
    }
}

impl From<String> for Var {
    fn from(name: String) -> Var {
        Var { name, loops: Vec::new() }
    }
}

/// A local value that never lives in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Reg {
    /// For reading: the tensor it stands for.
    pub name: String,
    /// The type of a lane.
    pub dtype: DType,
    /// At least 1.
    pub lanes: u32,
}

/// A step of a [`Program`].
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `for var in (lower..upper).step_by(step)`.
    For {
        /// The variable, visible in `body`.
        var: VarId,
        /// First value.
        lower: Int,
        /// One past the last.
        upper: Int,
        /// At least 1: a constant, or a parameter.
        step: Int,
        /// Whether the iterations may run at once, on several threads. Registers that are live across are not shared:
        /// a parallel body reads none that is set outside and sets none that is read outside.
        parallel: bool,
        /// The body.
        body: Vec<Op>,
    },
    /// Runs `then` where the condition holds, else `otherwise`.
    If {
        /// The condition.
        cond: Cond,
        /// Where it holds.
        then: Vec<Op>,
        /// Where it does not.
        otherwise: Vec<Op>,
    },
    /// Stores `lanes` elements.
    Store {
        /// To here.
        buffer: TensorId,
        /// One for each dimension.
        at: Vec<At>,
        /// At least 1.
        lanes: u32,
        /// What is stored.
        value: Value,
        /// A `bool` value: lanes where it is false are left alone.
        mask: Option<Value>,
    },
    /// Sets a register, all lanes.
    Set {
        /// The register.
        reg: RegId,
        /// Its new value.
        value: Value,
    },
    /// Fails the kernel with the first lane's value that is not in `0..extent`.
    Check {
        /// The tensor that would be accessed.
        buffer: TensorId,
        /// The dimension of the tensor, which is not always one of its storage.
        dim: usize,
        /// The extent of the dimension.
        extent: Int,
        /// An `int64` value.
        value: Value,
        /// At least 1.
        lanes: u32,
        /// A `bool` value: lanes where it is false are not checked.
        mask: Option<Value>,
        /// What a failure says beside the value.
        report: Report,
    },
    /// Gives a buffer on the stack memory for as long as the body runs, with nothing in it at first. A `Local` inside
    /// of another for the same buffer has memory of its own. Threads of parallel loops inside share it.
    ///
    /// Of a buffer of the workspace it says that the body reads nothing of it that the body has not written, and that
    /// nobody reads afterwards what it has: loops of one thread are around it, and no other `Local` of it.
    Local {
        /// The buffer.
        buffer: TensorId,
        /// The body.
        body: Vec<Op>,
    },
    /// Asks for `lanes` elements to be brought near; nothing depends on it, and it may name elements that there are not.
    Prefetch {
        /// From here.
        buffer: TensorId,
        /// One for each dimension.
        at: Vec<At>,
        /// At least 1.
        lanes: u32,
    },
    /// Sets registers to what loads give, each one further along a dimension than the one before: the rectangle of the
    /// lanes and the registers. Where the dimension is contiguous and the lanes are not, this is a transpose.
    LoadBlock {
        /// All with the same type and the same lanes.
        regs: Vec<RegId>,
        /// From here.
        buffer: TensorId,
        /// One for each dimension: what the first register gets.
        at: Vec<At>,
        /// The dimension; its subscript is [`At::Affine`].
        along: usize,
    },
    /// Stores registers, each one further along a dimension than the one before, as [`Op::LoadBlock`] loads them.
    /// No two lanes of the block are one element.
    StoreBlock {
        /// All with the same type and the same lanes.
        regs: Vec<RegId>,
        /// To here.
        buffer: TensorId,
        /// One for each dimension: where the first register goes.
        at: Vec<At>,
        /// The dimension; its subscript is [`At::Affine`].
        along: usize,
    },
    /// Runs the body on a device: once for each thread of each block of a grid. Blocks run in any order and at once, and so
    /// do the threads of a block between barriers. No registers are live across.
    Launch(Launch),
    /// Waits until all threads of the block are here, and sees what they have done. Not inside of anything that differs
    /// between the threads of a block.
    Barrier,
    /// Begins to copy `lanes` elements of the device's memory to memory that the threads of a block share, and goes on: an
    /// asynchronous copy. Each element gets there at some moment before the next [`Op::Wait`] of this thread; until then
    /// no thread touches the elements copied to, and none writes those copied from.
    Copy {
        /// To here: a buffer that threads share.
        to: TensorId,
        /// One for each dimension, none computed.
        to_at: Vec<At>,
        /// From here: another buffer of the same type.
        from: TensorId,
        /// One for each dimension, none computed.
        from_at: Vec<At>,
        /// At least 1.
        lanes: u32,
    },
    /// Waits for the copies that this thread has begun. The other threads see them behind the next barrier.
    Wait,
    /// Combines the values that threads of a block have in some registers: each thread then has there what those that differ
    /// from it in these of their numbers at most had, all together, in the order of
    /// [`threads_combined_in`](crate::threads_combined_in).
    ///
    /// All threads of the block get here, as to a barrier, and like there not inside of anything that differs between them.
    /// But it orders nothing in memory: no thread may count on what another one stored before it. Registers live on.
    Combine {
        /// The registers, with one lane: at least one.
        regs: Vec<RegId>,
        /// How what two threads have is combined.
        by: Combining,
        /// Of the variables of [`Launch::block`], in their order, those whose threads are combined: at least one.
        threads: Vec<VarId>,
    },
    /// Updates one element by a register's value, in one step: no thread of any block does anything to the element in
    /// between. Orders nothing else. Of several such updates of an element, by one operator, any may be the first.
    Atomic {
        /// To here: global memory.
        buffer: TensorId,
        /// One for each dimension, the same in all lanes.
        at: Vec<At>,
        /// As for [`Combining::Operator`].
        op: BinOp,
        /// The register, with one lane.
        reg: RegId,
    },
}

/// How an [`Op::Combine`] makes one of what two threads have.
#[derive(Clone, Debug, PartialEq)]
pub enum Combining {
    /// One register, by `+`, `*`, `min`, `max`, `&&`, `||`, `&`, `|` or `^`. All threads get the result.
    Operator(BinOp),
    /// By values, which may look at all of the registers. The first of the threads gets the result, and the others get
    /// something that differs from it only as far as the values do not commute.
    Values {
        /// What another thread has in each of the registers, of the same types. Nothing else sets or reads these.
        others: Vec<RegId>,
        /// What each register becomes, over the registers, of the thread with the lower number, and `others`. Nothing is
        /// loaded in them, and they have one lane.
        values: Vec<Value>,
    },
}

/// A grid of blocks of threads that run a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The kernel's name, unique in the program.
    pub name: String,
    /// For each dimension of the grid from x on, the variable that counts blocks, from 0 on, and how many there are: over
    /// the parameters and the variables around. A grid with a dimension below 1 runs nothing.
    pub grid: Vec<(VarId, Int)>,
    /// For each dimension of a block from x on, the variable that counts threads, from 0 on, and how many there are.
    pub block: Vec<(VarId, i64)>,
    /// Buffers of which each block has its own, with nothing in them at first.
    pub shared: Vec<TensorId>,
    /// What each thread runs.
    pub body: Vec<Op>,
}

/// What a failed [`Op::Check`] says of the first lane outside, in the coordinates of the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The smallest subscript of the dimension: what was taken off the value.
    pub lower: Int,
    /// Whether the 64 bits of the value are those of a number without sign.
    pub unsigned: bool,
    /// The elements that the value was computed from, of buffers of the table; no subscript loads anything.
    pub found_by: Vec<(TensorId, Vec<At>)>,
}

/// A 64-bit integer expression over variables and parameters. Division and remainder round to minus infinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Int {
    /// A constant.
    Const(i64),
    /// A loop variable.
    Var(VarId),
    /// A size parameter, by position.
    Param(usize),
    /// The sum.
    Add(Box<Int>, Box<Int>),
    /// The product.
    Mul(Box<Int>, Box<Int>),
    /// `floor(e / c)`, `c` at least 1.
    FloorDiv(Box<Int>, i64),
    /// `e mod c`, from 0 to `c - 1`.
    Mod(Box<Int>, i64),
    /// The smaller.
    Min(Box<Int>, Box<Int>),
    /// The larger.
    Max(Box<Int>, Box<Int>),
    /// `cond ? a : b`.
    Select(Box<Cond>, Box<Int>, Box<Int>),
}

/// A condition over integers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cond {
    /// A comparison.
    Compare(CmpOp, Int, Int),
    /// All hold; true when empty.
    All(Vec<Cond>),
    /// One holds; false when empty.
    Any(Vec<Cond>),
    /// Does not hold.
    Not(Box<Cond>),
}

/// A subscript.
#[derive(Clone, Debug, PartialEq)]
pub enum At {
    /// Lane `l` touches `base + l·step`.
    Affine {
        /// Lane 0.
        base: Int,
        /// From lane to lane.
        step: i64,
    },
    /// Lane `l` touches the value's lane `l`, an `int64` that a [`Op::Check`] has checked.
    Indirect(Box<Value>),
}

/// A value with one lane or with the op's lanes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A constant, one lane.
    Const(polyhedral::Value, DType),
    /// `int64`: lane `l` is `base + l·step`; one lane when the step is 0.
    Int {
        /// Lane 0.
        base: Int,
        /// From lane to lane.
        step: i64,
    },
    /// An element per lane; one lane when no subscript depends on the lane. Lanes that the mask drops touch no memory
    /// and are 0.
    Load {
        /// From here.
        buffer: TensorId,
        /// One for each dimension.
        at: Vec<At>,
        /// A `bool` value.
        mask: Option<Box<Value>>,
    },
    /// A register's value.
    Reg(RegId),
    /// As [`polyhedral::Expr::Unary`].
    Unary(UnOp, Box<Value>),
    /// As [`polyhedral::Expr::Binary`].
    Binary(BinOp, Box<Value>, Box<Value>),
    /// As [`polyhedral::Expr::Compare`].
    Compare(CmpOp, Box<Value>, Box<Value>),
    /// As [`polyhedral::Expr::Select`].
    Select(Box<Value>, Box<Value>, Box<Value>),
    /// As [`polyhedral::Expr::Cast`].
    Cast(DType, Box<Value>),
    /// As [`polyhedral::Expr::Call`].
    Call(Builtin, Vec<Value>),
    /// `a·b + c` of floats, rounded once: only inside declared reductions.
    MulAdd(Box<Value>, Box<Value>, Box<Value>),
    /// `sum + left[0]·right[0] + left[1]·right[1] + …`, each factor taken as a value of the sum's type: what the target may
    /// have one instruction for. Integers wrap around; floats only inside declared reductions, rounded in any order, and
    /// where the target does so too small numbers count as zero.
    Dot {
        /// A sum so far.
        sum: Box<Value>,
        /// Factors, all of one type.
        left: Vec<Value>,
        /// As many factors, all of one type.
        right: Vec<Value>,
    },
    /// Groups of adjacent lanes, each combined into one: lane `l` is `value[l·g] op … op value[l·g + g - 1]` where
    /// `g = from / to`, in the order of [`combined_in`](crate::combined_in). Only inside declared reductions.
    Reduce {
        /// `+`, `*`, `min`, `max`, `&&` or `||`.
        op: BinOp,
        /// With `from` lanes, or one that counts for all.
        value: Box<Value>,
        /// Lanes that are combined: a multiple of `to`.
        from: u32,
        /// Lanes of the result: one, or the op's.
        to: u32,
    },
}

/// The subscripts so many elements further along a dimension.
pub(crate) fn along_by(at: &[At], along: usize, distance: i64) -> Vec<At> {
    let mut moved = at.to_vec();
    if let Some(At::Affine { base, .. }) = moved.get_mut(along) {
        *base = base.clone() + Int::Const(distance);
    }
    moved
}

//! How lanes are combined.

use polyhedral::{BinOp, DType};

use crate::Value;

/// How the lanes of a [`Value::Reduce`] are combined: in rounds, each of which makes fewer lanes, until there are `to`.
/// Lane `l` of a round is part 0 op part 1 op …, where part `p` is lane `parts[p][l]` before it.
///
/// A round halves the lanes (the tree of instructions that adds the upper half of a register to the lower one, after Hennessy
/// and Patterson, Computer Architecture, recursive doubling); a group of an odd number is combined at once.
pub fn combined_in(from: u32, to: u32) -> Vec<Vec<Vec<u32>>> {
    let (mut rounds, mut lanes) = (Vec::new(), from);
    while lanes / to.max(1) > 1 {
        let group = lanes / to.max(1);
        let parts = if group.is_multiple_of(2) { 2 } else { group };
        let left = lanes / parts;
        // One group may be taken apart in any way: halves of registers are the cheapest. Others stay next to each other.
        let lane_of = |part: u32, lane: u32| if to <= 1 { part * left + lane } else { lane * parts + part };
        rounds.push((0..parts).map(|part| (0..left).map(|lane| lane_of(part, lane)).collect()).collect());
        lanes = left;
    }
    rounds
}

/// The threads of a group whose values are combined first: as many as a warp of most devices has.
pub const WARP: u32 = 32;

/// How the values of threads are combined by an [`Op::Combine`](crate::Op::Combine): in rounds, in each of which thread `t`
/// gets its own value op that of thread `t xor d`, where `d` is the number given. Threads are numbered along the axes that are
/// combined, x fastest. Where there is no such thread, as in a group that is no power of two, it keeps its own.
///
/// Halves of groups of [`WARP`] threads come first (16, 8, 4, 2, 1), which shuffles exchange, then halves of the groups.
/// All threads get one result where what combines two commutes to the bit, as operators do; the first thread gets it in any
/// case, with lower numbers on the left. After Harris, Optimizing Parallel Reduction in CUDA (2007), and the
/// butterflies of the shuffles of CUDA (Programming Guide, warp shuffle functions).
pub fn threads_combined_in(threads: u32) -> Vec<u32> {
    let all = threads.max(1).next_power_of_two();
    let halves =
        |from: u32, to: u32| std::iter::successors(Some(from / 2), |d| Some(d / 2)).take_while(move |d| *d >= to);
    halves(all.min(WARP), 1).chain(halves(all, WARP)).collect()
}

/// What changes nothing: for floats also the sign of a zero, and what is not a number, which `min` and `max` pass over.
pub fn neutral(op: BinOp, dtype: DType) -> Option<Value> {
    use polyhedral::Value::{Float, Int};
    let float = dtype.is_float();
    let value = match op {
        BinOp::Add if float => Float(-0.0),
        BinOp::Mul if float => Float(1.0),
        BinOp::Min | BinOp::Max if float => Float(f64::NAN),
        BinOp::And if dtype == DType::Bool => Int(1),
        BinOp::Or if dtype == DType::Bool => Int(0),
        BinOp::Add => Int(0),
        BinOp::Mul => Int(1),
        BinOp::Min => Int(dtype.int_range()?.1),
        BinOp::Max => Int(dtype.int_range()?.0),
        BinOp::BitOr | BinOp::BitXor => Int(0),
        BinOp::BitAnd if dtype.is_signed() => Int(-1),
        BinOp::BitAnd => Int(dtype.int_range()?.1),
        BinOp::Sub | BinOp::Div | BinOp::Mod | BinOp::And | BinOp::Or | BinOp::Shl | BinOp::Shr => return None,
    };
    Some(Value::Const(value, dtype))
}

//! What the measurements share: the set of kernels, timing, tables.
//!
//! Machines are shared and noisy: only ratios taken in one run hold, so every table has its ceilings measured beside it.

pub mod set;

use std::time::Instant;

use tilewright::{Kernel, Tensor};

/// A program of the set and the sizes it is measured at.
pub struct Case {
    /// How it prints.
    pub name: &'static str,
    /// The TC text.
    pub text: &'static str,
    /// Shapes of the inputs.
    pub shapes: &'static [&'static [i64]],
    /// Floating-point operations of a call.
    pub flops: f64,
}

/// The set.
pub const CASES: &[Case] = &[
    Case { name: "sgemm 256", text: SGEMM, shapes: &[&[256, 256], &[256, 256]], flops: 2.0 * 256.0 * 256.0 * 256.0 },
    Case {
        name: "sgemm 1024",
        text: SGEMM,
        shapes: &[&[1024, 1024], &[1024, 1024]],
        flops: 2.0 * 1024.0 * 1024.0 * 1024.0,
    },
    Case {
        name: "sgemm 1000x999x1001",
        text: SGEMM,
        shapes: &[&[1000, 1001], &[1001, 999]],
        flops: 2.0 * 1000.0 * 999.0 * 1001.0,
    },
    Case {
        name: "tmm 128x1024x1024",
        text: TMM,
        shapes: &[&[128, 1024], &[1024, 1024]],
        flops: 2.0 * 128.0 * 1024.0 * 1024.0,
    },
    Case {
        name: "conv 3x3 64x56x56",
        text: CONV,
        shapes: &[&[1, 64, 58, 58], &[64, 64, 3, 3]],
        flops: 2.0 * 64.0 * 64.0 * 9.0 * 56.0 * 56.0,
    },
    Case {
        name: "mlp1 128x2000x128",
        text: MLP1,
        shapes: &[&[128, 2000], &[128, 2000], &[128]],
        flops: 2.0 * 128.0 * 2000.0 * 128.0,
    },
    Case { name: "axpy 4M", text: AXPY, shapes: &[&[1 << 22], &[1 << 22]], flops: 2.0 * 4194304.0 },
    Case { name: "row sum 2048x2048", text: ROW_SUM, shapes: &[&[2048, 2048]], flops: 2048.0 * 2048.0 },
];

const SGEMM: &str = include_str!("../kernels/sgemm.tc");
const TMM: &str = include_str!("../kernels/tmm.tc");
const CONV: &str = include_str!("../kernels/conv.tc");
const MLP1: &str = include_str!("../kernels/mlp1.tc");
const AXPY: &str = include_str!("../kernels/axpy.tc");
const ROW_SUM: &str = include_str!("../kernels/row_sum.tc");

/// Inputs of the given shapes with values in [-1, 1), never zeros: from a fixed sequence (SplitMix64, Steele, Lea, Flood
/// 2014).
pub fn random_inputs(shapes: &[&[i64]]) -> Vec<Tensor> {
    let mut state = 42u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut tensor = |shape: &&[i64]| {
        let data: Vec<f32> = (0..shape.iter().product::<i64>()).map(|_| next()).collect();
        Tensor::from_slice(&data, shape).expect("the data fits the shape")
    };
    shapes.iter().map(&mut tensor).collect()
}

/// Minimum and median seconds of a call, after one that warms up; at least five calls and a fifth of a second.
pub fn time(kernel: &Kernel, inputs: &[Tensor]) -> (f64, f64) {
    let views: Vec<&dyn tilewright::AsTensor> = inputs.iter().map(|input| input as &dyn tilewright::AsTensor).collect();
    let mut outputs = kernel.call_all(&views).expect("the benchmark's inputs fit");
    let mut targets: Vec<&mut dyn tilewright::AsTensorMut> =
        outputs.iter_mut().map(|output| output as &mut dyn tilewright::AsTensorMut).collect();
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || start.elapsed().as_secs_f64() < 0.2 {
        let once = Instant::now();
        kernel.run(&views, &mut targets).expect("the benchmark's inputs fit");
        times.push(once.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

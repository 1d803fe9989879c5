//! Commands for smaller sizes: a model of a schedule that shows each of its levels.

use transform::Command;

/// By how much sizes shrink: each to a power of itself, so that what is inside of something stays inside of it. A size of
/// `large` becomes `small`; one of 2 or less stays.
///
/// ```text
/// 512 to 16:   128 -> 8    60 -> 6    16 -> 4    6 -> 2
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    exponent: f64,
}

impl Scale {
    pub(super) fn new(large: i64, small: i64) -> Scale {
        let shrinks = large > small && small >= 2;
        Scale { exponent: if shrinks { (small as f64).ln() / (large as f64).ln() } else { 1.0 } }
    }

    pub(super) fn is_one(self) -> bool {
        self.exponent == 1.0
    }

    /// A size of a tile, a strip or a vector. Powers of two become such, so that what divides others goes on to do so.
    pub(super) fn size(self, size: u32) -> u32 {
        if self.is_one() || size <= 2 {
            return size;
        }
        let small = f64::from(size).powf(self.exponent);
        let whole = if size.is_power_of_two() { small.log2().round().exp2() } else { small.round() };
        (whole as u32).clamp(2, size)
    }

    /// The same command for smaller sizes.
    pub(super) fn command(self, command: &Command) -> Command {
        let mut command = command.clone();
        match &mut command {
            Command::Split { by, .. } | Command::Vectorise { by, .. } | Command::Unroll { by, .. } => {
                *by = self.size(*by)
            }
            Command::Tile { by, .. } => by.iter_mut().for_each(|by| *by = self.size(*by)),
            Command::Launch { threads, .. } => threads.iter_mut().for_each(|count| *count = self.size(*count)),
            _ => {}
        }
        command
    }
}

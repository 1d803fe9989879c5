//! Runs of equal pieces in a sequence.

/// A piece of a sequence that stands there several times in a row: tandem repeats, as in Main and Lorentz, "An O(n log n)
/// algorithm for finding all repetitions in a string" (1984). Sequences here are short, and are compared with themselves, moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Where the first piece begins at the earliest.
    pub start: usize,
    /// Items of a piece.
    pub period: usize,
    /// How many pieces there are: at least two.
    pub count: usize,
    /// By how many items all pieces may begin later: what comes after the last one goes on like the first.
    pub slack: usize,
}

impl Repeat {
    /// The repeat that covers most items, with pieces of `least` items or more; of several the one with the shortest pieces,
    /// then the first. `None` when nothing is there twice in a row.
    pub fn longest<T: PartialEq>(items: &[T], least: usize) -> Option<Repeat> {
        let covered = |repeat: &Repeat| repeat.period * repeat.count;
        let mut best: Option<Repeat> = None;
        for period in least.max(1)..=items.len() / 2 {
            for repeat in repeats_of(items, period) {
                if best.as_ref().is_none_or(|best| covered(best) < covered(&repeat)) {
                    best = Some(repeat);
                }
            }
        }
        best
    }
}

/// The runs with pieces of so many items, from the first to the last.
fn repeats_of<T: PartialEq>(items: &[T], period: usize) -> Vec<Repeat> {
    let mut found = Vec::new();
    let mut start = 0;
    while start + period < items.len() {
        let (first, moved) = (&items[start..], &items[start + period..]);
        let equal = first.iter().zip(moved).take_while(|(one, other)| one == other).count();
        if equal >= period {
            found.push(Repeat { start, period, count: equal / period + 1, slack: equal % period });
        }
        start += equal + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(items: &str, least: usize) -> Option<(usize, usize, usize, usize)> {
        let found = Repeat::longest(items.as_bytes(), least)?;
        Some((found.start, found.period, found.count, found.slack))
    }

    #[test]
    fn the_longest_run_is_found() {
        assert_eq!(longest("xabcabcabcy", 1), Some((1, 3, 3, 0)));
        assert_eq!(longest("xabcabcaby", 1), Some((1, 3, 2, 2)));
        assert_eq!(longest("aaaaaaa", 1), Some((0, 1, 7, 0)));
        assert_eq!(longest("aaaaaaa", 2), Some((0, 2, 3, 1)));
        assert_eq!(longest("abcdef", 1), None);
        assert_eq!(longest("", 1), None);
    }

    #[test]
    fn it_covers_as_much_as_any_run_does() {
        let mut random = 1u64;
        for _ in 0..2000 {
            let mut next = |below: u64| {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (random >> 33) % below
            };
            let items: Vec<u64> = (0..next(24)).map(|_| next(3)).collect();
            let least = 1 + next(3) as usize;
            let mut most = 0;
            for period in least..=items.len() {
                for start in 0..items.len() {
                    let piece = |count: usize| items.get(start + count * period..start + (count + 1) * period);
                    let count = (0..).take_while(|&count| piece(count).is_some() && piece(count) == piece(0)).count();
                    most = most.max(if count > 1 { count * period } else { 0 });
                }
            }
            let found = Repeat::longest(&items, least);
            assert_eq!(found.map_or(0, |found| found.count * found.period), most, "{items:?}");
            let Some(Repeat { start, period, count, slack }) = found else { continue };
            for moved in 0..=slack {
                let piece = |at: usize| &items[start + moved + at * period..start + moved + (at + 1) * period];
                assert!((1..count).all(|at| piece(at) == piece(0)), "{items:?}, later by {moved}");
            }
        }
    }
}

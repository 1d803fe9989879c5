use std::fmt;

use crate::{Band, Node};

/// What a mark says that has the band below it run in tiles whose sizes are parameters: for each of the loops an origin
/// runs, outside of the band, from the loop's first value on in steps of the size, and the loop from the origin up to
/// the next.
///
/// ```text
/// mark "tiles mo of C.update.m by T, no of C.update.n by U"
///   band
///     C.update.m = …                for mo from first(m) step T
///     C.update.n = …          ->      for no from first(n) step U
///     C.update.k = …                    for m from mo to mo + T - 1 …
/// ```
///
/// A floor by a parameter is not affine, so that the order is not one that isl's sets can say. Without the mark the order
/// is another one; it is as good when no dependence that reaches the band goes backward in one of the loops, which
/// [`crate::legality`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Outermost origin first.
    pub loops: Vec<Tiled>,
}

/// One loop of a [`Tiling`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiled {
    /// The name of the loop over origins.
    pub origin: String,
    /// The member of the band below.
    pub member: String,
    /// The parameter that is the size, at least 1.
    pub size: String,
}

/// What marks of tilings begin with.
const WORD: &str = "tiles ";

impl Tiling {
    /// Whether a mark with this name says how its band is tiled; [`Tiling::of_mark`] then says it, if it is well formed.
    pub fn is_mark(name: &str) -> bool {
        name.starts_with(WORD)
    }

    /// What a mark with this name says.
    pub fn of_mark(name: &str) -> Option<Tiling> {
        let loops = name.strip_prefix(WORD)?.split(", ").map(|one| {
            let words: Vec<&str> = one.split(' ').collect();
            let [origin, "of", member, "by", size] = words.as_slice() else { return None };
            let [origin, member, size] = [origin, member, size].map(|word| word.to_string());
            Some(Tiled { origin, member, size })
        });
        Some(Tiling { loops: loops.collect::<Option<_>>()? })
    }

    /// The band below a mark, when it has the loops.
    pub fn band<'a>(&self, child: &'a Node) -> Option<&'a Band> {
        let Node::Band(band) = child else { return None };
        let has = |tiled: &Tiled| band.members.iter().any(|member| member.name == tiled.member);
        self.loops.iter().all(has).then_some(band)
    }
}

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORD)?;
        for (at, Tiled { origin, member, size }) in self.loops.iter().enumerate() {
            write!(f, "{}{origin} of {member} by {size}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back() {
        let text = "tiles mo of C.update.m by T, C.update.no of C.update.n by U";
        let tiling = Tiling::of_mark(text).expect("well formed");
        assert_eq!((tiling.loops.len(), tiling.to_string().as_str()), (2, text));
        for text in ["tiles", "tiles mo of m", "tiles mo of m by T,no of n by U", "tiling mo of m by T"] {
            assert_eq!(Tiling::of_mark(text), None);
        }
    }
}

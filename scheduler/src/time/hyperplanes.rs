//! Functions of time and place in which no dependence goes backward.

/// A dependence between instances of two statements: in the same distance wherever there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Distance {
    /// Which statement comes first.
    pub(super) from: usize,
    /// Which one follows.
    pub(super) to: usize,
    /// How much later in time, then how much further in each direction.
    pub(super) apart: Vec<i64>,
}

/// `time·t + Σ places[p]·x_p + shifts[s]` for the instance of statement `s` at place `x` in step `t`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hyperplane {
    /// The slope.
    pub(super) time: i64,
    /// A coefficient for each direction.
    pub(super) places: Vec<i64>,
    /// For each statement, from 0.
    pub(super) shifts: Vec<i64>,
}

/// Slopes that are tried: a stencil that reaches further in one step gains little by tiles.
const STEEPEST: i64 = 16;

impl Hyperplane {
    /// One along direction `at` that leans in time only, as little as it can; else one that leans along the directions
    /// before it too.
    pub(super) fn along(distances: &[Distance], stmts: usize, at: usize) -> Option<Hyperplane> {
        let rank = distances.first().map_or(at + 1, |edge| edge.apart.len() - 1);
        let upright: Vec<i64> = (0..rank).map(|p| i64::from(p == at)).collect();
        let leaning: Vec<i64> = (0..rank).map(|p| i64::from(p <= at)).collect();
        least(distances, stmts, &upright).or_else(|| least(distances, stmts, &leaning))
    }

    /// One against the first direction.
    pub(super) fn against_first(distances: &[Distance], stmts: usize) -> Option<Hyperplane> {
        let rank = distances.first()?.apart.len() - 1;
        let places: Vec<i64> = (0..rank).map(|p| if p == 0 { -1 } else { 0 }).collect();
        least(distances, stmts, &places)
    }
}

/// The one of the least slope with these coefficients.
fn least(distances: &[Distance], stmts: usize, places: &[i64]) -> Option<Hyperplane> {
    (0..=STEEPEST).find_map(|time| {
        let shifts = shifts(distances, stmts, (time, places))?;
        Some(Hyperplane { time, places: places.to_vec(), shifts })
    })
}

/// The least shifts from 0 with which no dependence goes backward: longest paths, by as many rounds over all edges as there
/// are statements (Bellman 1958, Ford 1956). None when they grow forever.
fn shifts(distances: &[Distance], stmts: usize, (time, places): (i64, &[i64])) -> Option<Vec<i64>> {
    let mut shifts = vec![0i64; stmts];
    for _ in 0..=stmts {
        let mut changed = false;
        for edge in distances {
            let further: i64 = edge.apart[1..].iter().zip(places).map(|(by, coefficient)| by * coefficient).sum();
            let least = shifts[edge.from] - time * edge.apart[0] - further;
            if shifts[edge.to] < least {
                shifts[edge.to] = least;
                changed = true;
            }
        }
        if !changed {
            return Some(shifts);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(all: &[(usize, usize, &[i64])]) -> Vec<Distance> {
        all.iter().map(|(from, to, apart)| Distance { from: *from, to: *to, apart: apart.to_vec() }).collect()
    }

    #[test]
    fn two_sweeps_in_one_step_lean_by_two() {
        let jacobi = edges(&[(0, 1, &[0, -1]), (0, 1, &[0, 1]), (1, 0, &[1, -1]), (1, 0, &[1, 1])]);
        let along = Hyperplane::along(&jacobi, 2, 0).unwrap();
        assert_eq!(along, Hyperplane { time: 2, places: vec![1], shifts: vec![0, 1] });
        let against = Hyperplane::against_first(&jacobi, 2).unwrap();
        assert_eq!(against, Hyperplane { time: 2, places: vec![-1], shifts: vec![0, 1] });
    }

    /// What reaches to one side only within a step leans by one.
    #[test]
    fn a_staggered_grid_leans_by_one() {
        let fields = edges(&[(0, 1, &[0, -1]), (0, 1, &[0, 0]), (1, 0, &[1, 0]), (1, 0, &[1, 1])]);
        assert_eq!(Hyperplane::along(&fields, 2, 0).unwrap().time, 1);
        assert_eq!(Hyperplane::against_first(&fields, 2).unwrap().time, 1);
    }

    #[test]
    fn what_is_computed_in_place_leans_along_rows_too() {
        let seidel = edges(&[(0, 0, &[0, 0, 1]), (0, 0, &[0, 1, -1]), (0, 0, &[1, -1, -1]), (0, 0, &[1, -1, 1])]);
        assert_eq!(Hyperplane::along(&seidel, 1, 0).unwrap().places, [1, 0]);
        let second = Hyperplane::along(&seidel, 1, 1).unwrap();
        assert_eq!((second.time, second.places), (2, vec![1, 1]));
        assert_eq!(Hyperplane::against_first(&seidel, 1), None);
    }

    #[test]
    fn what_goes_round_has_no_slope() {
        let round = edges(&[(0, 0, &[1, -99]), (0, 0, &[1, 99]), (0, 0, &[1, 1])]);
        assert_eq!(Hyperplane::along(&round, 1, 0), None);
    }
}

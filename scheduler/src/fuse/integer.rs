//! One integer program: a variable for each candidate, 1 when it is chosen.

use good_lp::{Expression, ProblemVariables, SolverModel, Variable, constraint, variable};

/// `Σ coefficient · x ≤ limit`, over candidates.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub terms: Vec<(usize, i32)>,
    pub limit: i32,
}

impl Row {
    /// Not all of `plan`.
    pub fn other_than(plan: &[usize]) -> Row {
        Row { terms: plan.iter().map(|&c| (c, 1)).collect(), limit: plan.len() as i32 - 1 }
    }

    /// `candidate` is chosen.
    pub fn with(candidate: usize) -> Row {
        Row { terms: vec![(candidate, -1)], limit: -1 }
    }

    /// `candidate` is not chosen.
    pub fn without(candidate: usize) -> Row {
        Row { terms: vec![(candidate, 1)], limit: 0 }
    }

    /// Whether a plan keeps to it.
    pub fn holds(&self, plan: &[usize]) -> bool {
        self.terms.iter().filter(|(c, _)| plan.contains(c)).map(|(_, k)| k).sum::<i32>() <= self.limit
    }
}

/// An integer program over candidates.
pub(super) struct Program {
    /// The candidates, ascending, each with its weight: what the sum over the chosen ones of should be least.
    pub weights: Vec<(usize, i128)>,
    /// Sets of candidates of which exactly one is chosen.
    pub covers: Vec<Vec<usize>>,
    pub rows: Vec<Row>,
}

/// What became of an integer program.
pub(super) struct Solved {
    /// The best plan found, ascending; none when there is none, or when none was found.
    pub plan: Option<Vec<usize>>,
    /// Whether that is the best there is, or there is none.
    pub proved: bool,
    /// Nodes of the search, at least one.
    pub nodes: usize,
}

/// The largest weight that the solver sees. Its tolerance is 1e-10 and a float has 52 bits: between 2^12 and the least
/// difference of 2^-28 both noise and tolerance are below what decides.
const LARGEST: i32 = 12;
const LEAST: i32 = -28;

impl Program {
    /// Solves the program in at most `nodes` nodes.
    ///
    /// The same program has the same answer: the solver counts nodes and never looks at a clock.
    pub fn solve(&self, nodes: usize) -> Solved {
        let mut variables = ProblemVariables::new();
        let x: Vec<Variable> = self.weights.iter().map(|_| variables.add(variable().binary())).collect();
        let (scale, fits) = self.scale();
        let objective: Expression = x.iter().zip(&self.weights).map(|(&x, (_, w))| *w as f64 * scale * x).sum();
        let mut model = variables.minimise(objective).using(good_lp::microlp);
        let at = |candidate: usize| self.weights.binary_search_by_key(&candidate, |(c, _)| *c).ok().map(|at| x[at]);
        for cover in &self.covers {
            let sum: Expression = cover.iter().filter_map(|&c| at(c)).sum();
            model.add_constraint(constraint!(sum == 1));
        }
        for row in &self.rows {
            let sum: Expression = row.terms.iter().filter_map(|&(c, k)| Some(k * at(c)?)).sum();
            model.add_constraint(constraint!(sum <= row.limit));
        }
        let mut solved = self.search(model.as_inner(), nodes, scale);
        solved.proved &= fits;
        solved
    }

    /// What weights are multiplied by for the solver, a power of two; and whether all differences remain visible.
    fn scale(&self) -> (f64, bool) {
        let largest = self.weights.iter().map(|(_, w)| w.unsigned_abs()).max().unwrap_or(0);
        let bits = 128 - largest.leading_zeros() as i32;
        let exponent = (LARGEST - bits).min(0);
        (f64::powi(2.0, exponent), exponent >= LEAST)
    }

    fn search(&self, model: &microlp::Problem, nodes: usize, scale: f64) -> Solved {
        let mut options = microlp::SolveOptions::default();
        options.node_limit = Some(nodes as u64);
        // Half of the least difference, of a sum that no plan exceeds: a plan better by one is never cut off.
        let largest: f64 = self.weights.iter().map(|(_, w)| w.unsigned_abs() as f64).sum();
        options.tolerances.prune_epsilon = 0.5 * scale / (largest * scale).max(1.0);
        match model.solve_with(options) {
            Ok(outcome) => {
                let nodes = usize::try_from(outcome.stats().nodes_solved).unwrap_or(usize::MAX).max(1);
                let proved = outcome.is_optimal();
                let plan = outcome.solution().and_then(|solution| self.plan(solution));
                Solved { proved: proved && plan.is_some(), plan, nodes }
            }
            Err(error) => Solved { plan: None, proved: matches!(error, microlp::Error::Infeasible), nodes: 1 },
        }
    }

    /// The candidates that are 1, when that keeps to every row exactly.
    fn plan(&self, solution: &microlp::Solution) -> Option<Vec<usize>> {
        let chosen = self.weights.iter().zip(solution.iter()).filter(|(_, (_, value))| *value > 0.5);
        let plan: Vec<usize> = chosen.map(|((c, _), _)| *c).collect();
        let covered = |cover: &Vec<usize>| cover.iter().filter(|c| plan.contains(c)).count() == 1;
        (self.covers.iter().all(covered) && self.rows.iter().all(|row| row.holds(&plan))).then_some(plan)
    }
}

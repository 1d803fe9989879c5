//! Random programs in stages, with temporaries between them: what commands on storage are for.

use std::fmt::Write as _;

use polyhedral::testing::{self, Rng};
use polyhedral::{Scop, isl};

/// One to three stages, each of which reads the one before at some distances back, then perhaps sums of rows, then a
/// result; in nests of their own or row by row. The same seed gives the same program.
pub fn random(ctx: &isl::Ctx, seed: u64) -> Scop {
    let mut rng = Rng::new(seed);
    let mut chain = Chain { rows: rng.between(4, 7), columns: rng.between(3, 6), ..Chain::default() };
    let stages = rng.between(1, 3);
    for at in 0..stages {
        chain.stage(&mut rng, ["T", "U", "V"][at as usize]);
    }
    if rng.percent(60) {
        chain.sums(&mut rng);
    }
    chain.result(&mut rng);
    testing::scop(ctx, &chain.text(rng.percent(50)))
}

/// What is written so far.
#[derive(Default)]
struct Chain {
    rows: i64,
    columns: i64,
    /// The last stage, the first row and the first column that it has.
    last: Option<(&'static str, i64, i64)>,
    has_sums: bool,
    temporaries: String,
    stmts: String,
    /// The loops below that over rows: each a statement, and whether it has columns.
    body: Vec<(&'static str, bool)>,
}

impl Chain {
    /// A stage made of two or three elements of the one before, in rows and columns that are not later.
    fn stage(&mut self, rng: &mut Rng, name: &'static str) {
        let (before, row, column) = self.last.unwrap_or(("A", 0, 0));
        let (up, left) = (rng.between(0, 2).min(self.rows - row - 2), rng.between(0, 1).min(self.columns - column - 2));
        let mut terms = vec![format!("{before}[i, j]")];
        if up > 0 {
            terms.push(format!("{before}[i - {up}, j]"));
        }
        if left > 0 {
            terms.push(format!("{before}[i, j - {left}]"));
        }
        let value = terms.join(rng.pick(&[" + ", " - "]));
        let (row, column) = (row + up, column + left);
        self.temporary(name, &format!("{} from {row}, {} from {column}", self.rows - row, self.columns - column));
        let domain = format!("{row} <= i < {} and {column} <= j < {}", self.rows, self.columns);
        self.stmt(name, "i, j", &domain, &format!("{name}[i, j] = {value} * 0.5f32"));
        self.body.push((name, true));
        self.last = Some((name, row, column));
    }

    /// The sum, or the largest element, of each row.
    fn sums(&mut self, rng: &mut Rng) {
        let (before, row, column) = self.last.unwrap_or(("A", 0, 0));
        let (operator, neutral) = rng.pick(&[("sum", "0.0f32"), ("max", "-inf_f32")]);
        self.temporary("S", &format!("{} from {row}", self.rows - row));
        let rows = format!("{row} <= i < {}", self.rows);
        self.stmt("S.init", "i", &rows, &format!("S[i] = {neutral}"));
        let all = format!("{rows} and {column} <= j < {}", self.columns);
        self.stmt("S.update", "i, j", &all, &format!("S[i] {operator}= {before}[i, j]"));
        self.body.extend([("S.init", false), ("S.update", true)]);
        self.has_sums = true;
    }

    fn result(&mut self, rng: &mut Rng) {
        let (before, row, column) = self.last.unwrap_or(("A", 0, 0));
        let up = rng.between(0, 1).min(self.rows - row - 1);
        let value = match (self.has_sums, up) {
            (true, _) => format!("{before}[i, j] - S[i]"),
            (false, 0) => format!("{before}[i, j] + 1.0f32"),
            (false, _) => format!("{before}[i, j] + {before}[i - {up}, j]"),
        };
        let domain = format!("{} <= i < {} and {column} <= j < {}", row + up, self.rows, self.columns);
        self.stmt("B", "i, j", &domain, &format!("B[i, j] = {value}"));
        self.body.push(("B", true));
        self.last = Some((before, row + up, column));
    }

    fn temporary(&mut self, name: &str, extents: &str) {
        let _ = writeln!(self.temporaries, "temporary {name}: float32[{extents}]");
    }

    fn stmt(&mut self, name: &str, dims: &str, domain: &str, body: &str) {
        let _ = writeln!(self.stmts, "stmt {name}[{dims}]\n  domain {{ {name}[{dims}] : {domain} }}\n  {body}");
    }

    fn text(&self, row_by_row: bool) -> String {
        let Chain { rows, columns, temporaries, stmts, .. } = self;
        let (_, row, column) = self.last.unwrap_or(("A", 0, 0));
        let output = format!("{} from {row}, {} from {column}", rows - row, columns - column);
        let source = if row_by_row { self.row_by_row() } else { String::new() };
        format!(
            "scop chain()\ninput A: float32[{rows}, {columns}]\noutput B: float32[{output}]\n{temporaries}{stmts}{source}"
        )
    }

    /// One loop over the rows around everything.
    fn row_by_row(&self) -> String {
        let one = |(name, columns): &(&str, bool)| match columns {
            true => format!("    for j\n      {name}\n"),
            false => format!("    {name}\n"),
        };
        format!("source\n  for i\n{}", self.body.iter().map(one).collect::<String>())
    }
}

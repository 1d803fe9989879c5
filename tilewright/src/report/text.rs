//! A report as `tilewright explain` prints it.

use std::fmt::{self, Formatter};

use super::amount::{Amount, bytes, decimal, seconds};
use super::{Dependence, Group, Loop, Node, Plan, Report, Step, Time, Traffic};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.plans.iter().try_for_each(|plan| plan.write(f))?;
        self.write_script(f)?;
        self.write_loops(f)?;
        self.write_conflicts(f)?;
        self.write_dependences(f)?;
        if let Some(traffic) = &self.traffic {
            self.write_traffic(f, traffic)?;
        }
        self.write_work(f)?;
        if let Some(time) = &self.time {
            time.write(f)?;
        }
        self.write_stages(f)?;
        if !self.remarks.is_empty() {
            writeln!(f, "\nnot done")?;
        }
        self.remarks.iter().try_for_each(|remark| {
            let super::Remark { stage, entity, what, why } = remark;
            writeln!(f, "  {stage}: {entity}: {what}: {why}")
        })
    }
}

impl Plan {
    /// The plan, what it saves, and by how much the next one loses.
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Plan { groups, cost, apart, runner_up, bytes: moved, exact, .. } = self;
        writeln!(f, "\nfusion: {}, {cost} cycles; {apart} with all apart", counted(groups))?;
        write_groups(f, groups)?;
        if let Some(moved) = moved.last() {
            let apart = groups.iter().filter_map(|group| group.apart.last()).sum::<u64>();
            writeln!(f, "  {} from and to memory; {} with all apart", bytes(*moved), bytes(apart))?;
        }
        match (runner_up, self.runner_up_cost) {
            (Some(groups), Some(other)) => {
                let percent = u128::from(other.saturating_sub(*cost)) * 1000 / u128::from((*cost).max(1));
                writeln!(
                    f,
                    "  next best: {}, {other} cycles, {}.{} % more",
                    counted(groups),
                    percent / 10,
                    percent % 10
                )?;
                write_groups(f, groups)?;
            }
            _ => writeln!(f, "  there is no other plan")?,
        }
        if *exact { Ok(()) } else { writeln!(f, "  not proved to be the best: the search was cut off") }
    }
}

fn counted(groups: &[Group]) -> String {
    let word = if groups.len() == 1 { "group" } else { "groups" };
    format!("{} {word}", groups.len())
}

fn write_groups(f: &mut Formatter<'_>, groups: &[Group]) -> fmt::Result {
    let widest = groups.iter().map(|group| group.form.chars().count()).max().unwrap_or(0);
    for (at, Group { statements, form, cost, bytes: moved, .. }) in groups.iter().enumerate() {
        let moved = moved.last().map_or_else(String::new, |&moved| bytes(moved));
        writeln!(f, "    {:>2}  {form:widest$}  {moved:>10}  {cost:>12} cycles  {}", at + 1, statements.join(", "))?;
    }
    Ok(())
}

/// Rows in columns that are as wide as their widest cell; those of a range have their cells at the right.
fn table(f: &mut Formatter<'_>, rows: &[Vec<String>], right: std::ops::Range<usize>) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let cell = if right.contains(&at) { format!("{cell:>width$}") } else { format!("{cell:width$}") };
            line = format!("{line}  {cell}");
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

impl Report {
    fn write_script(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.script.is_empty() {
            true => writeln!(f, "\nscript: none, the order of the source")?,
            false => writeln!(f, "\nscript")?,
        }
        for Step { command, reason, .. } in &self.script {
            let mut lines = command.lines();
            write!(f, "  {}", lines.next().unwrap_or_default())?;
            match lines.count() {
                0 => writeln!(f)?,
                more => writeln!(f, " … }}  ({more} lines more: `emit script`)")?,
            }
            if let Some(reason) = reason {
                writeln!(f, "      {reason}")?;
            }
        }
        Ok(())
    }

    fn write_loops(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nloops: iterations, how they run, what one of them touches")?;
        let mut rows = Vec::new();
        self.rows_of(&self.tree, 0, &mut rows);
        table(f, &rows, 1..2)
    }

    fn rows_of(&self, node: &Node, depth: usize, rows: &mut Vec<Vec<String>>) {
        let mut inside = depth;
        match node {
            Node::Band { loops, .. } => {
                for one in loops.iter().filter_map(|name| self.loop_named(name)) {
                    rows.push(one.row(inside));
                    inside += 1;
                }
            }
            Node::Leaf { statements } => {
                let named = self.statements.iter().filter(|stmt| statements.contains(&stmt.name));
                // What an instance does is not cut into columns.
                rows.extend(named.map(|stmt| vec![format!("{:1$}{2}", "", 2 * depth, stmt.formula)]));
            }
            Node::Sequence { .. } | Node::Set { .. } | Node::Mark { .. } => {}
        }
        node.children().into_iter().for_each(|child| self.rows_of(child, inside, rows));
    }

    /// Why what runs in order does: one line for each pair of statements, element and direction.
    fn write_conflicts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let in_order = |one: &&Loop| one.kind == "in order" || one.kind.starts_with("unrolled");
        let mut conflicts = self.loops.iter().filter(in_order).filter_map(|one| Some((one, one.conflict.as_ref()?)));
        let Some(first) = conflicts.next() else { return Ok(()) };
        writeln!(f, "\nwhy not at once")?;
        std::iter::once(first).chain(conflicts).try_for_each(|(one, conflict)| {
            let pair = &conflict.pair;
            let instance = |instance: &super::Instance| {
                let point: Vec<String> = instance.point.iter().map(i64::to_string).collect();
                format!("{}[{}]", instance.statement, point.join(", "))
            };
            let through = pair.through.as_ref().map_or_else(String::new, |element| format!(", through {element}"));
            let (from, to) = (instance(&pair.source), instance(&pair.sink));
            writeln!(f, "  {}: {from} and {to}: {}{through}", one.name, conflict.kind)
        })
    }

    fn write_dependences(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.dependences.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ndependences of the source")?;
        let rows: Vec<Vec<String>> = self.dependences.iter().map(Dependence::row).collect();
        table(f, &rows, 0..0)
    }

    fn write_traffic(&self, f: &mut Formatter<'_>, traffic: &Traffic) -> fmt::Result {
        if traffic.levels.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ntraffic: bytes that each cache fetches and writes back, how often one that is fetched is used")?;
        let mut head = vec![String::new(), "used".into()];
        for level in &traffic.levels {
            let title = format!("{} ({})", level.name, bytes(level.capacity));
            head.extend([title, "back".into(), "reuse".into()]);
        }
        let mut rows = vec![head];
        let nothing = Amount { value: 0, exact: true };
        for part in &traffic.parts {
            let times = if part.times == 1 { String::new() } else { format!(" ×{}", part.times) };
            let mut row = vec![format!("part {}{times}", part.part), String::new()];
            for moved in &part.levels {
                row.extend([moved.fetched.bytes(), moved.written.bytes(), String::new()]);
            }
            rows.push(row);
        }
        let tensors = self.tensors.iter().enumerate().filter(|_| traffic.parts.is_empty());
        for (at, tensor) in tensors {
            let used = traffic.used[at];
            let mut row = vec![tensor.name.clone(), used.bytes()];
            for moved in traffic.levels.iter().map(|level| &level.tensors[at]) {
                row.extend([moved.fetched.bytes(), moved.written.bytes(), reuse(used, moved.fetched)]);
            }
            rows.push(row);
        }
        let used = traffic.used.iter().copied().fold(nothing, Amount::plus);
        let mut row = vec!["all".into(), used.bytes()];
        for level in &traffic.levels {
            row.extend([level.all.fetched.bytes(), level.all.written.bytes(), reuse(used, level.all.fetched)]);
        }
        rows.push(row);
        let columns = rows[0].len();
        table(f, &rows, 1..columns)
    }

    fn write_work(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(work) = &self.work else { return Ok(()) };
        let at_least = decimal(work.flops / work.bytes);
        writeln!(f, "\nwork: {} operations, {at_least} for each byte that must be moved", work.flops)?;
        let levels = self.traffic.iter().flat_map(|traffic| &traffic.levels);
        levels.into_iter().try_for_each(|level| {
            let moved = level.all.bytes();
            let (most, per_byte) = (if moved.exact { "" } else { "at least " }, work.flops / moved.value as f64);
            writeln!(f, "  {most}{} for each byte that {} exchanges", decimal(per_byte), level.name)
        })
    }

    fn write_stages(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.stages.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ncompiling")?;
        let row = |stage: &super::Stage| vec![stage.name.clone(), seconds(stage.nanoseconds as f64 / 1e9)];
        table(f, &self.stages.iter().map(row).collect::<Vec<_>>(), 1..2)
    }
}

/// How often a byte that was fetched is used.
fn reuse(used: Amount, fetched: Amount) -> String {
    match fetched.value {
        0 => "-".into(),
        _ => {
            let most = if fetched.exact { "" } else { "≥ " };
            format!("{most}{}×", decimal(used.value as f64 / fetched.value as f64))
        }
    }
}

impl Loop {
    /// `for no`, iterations, how they run, bytes, marks.
    fn row(&self, depth: usize) -> Vec<String> {
        let trips = self.trips.map_or_else(String::new, |trips| match trips.all.exact && trips.entries.exact {
            true => decimal(trips.each()),
            false => format!("bound {}", decimal(trips.each())),
        });
        let touched = self.bytes.map_or_else(String::new, |amount| match &self.held_by {
            Some(cache) => format!("{} in {cache}", amount.bytes()),
            None => amount.bytes(),
        });
        let free = self.kind == "in order" && self.coincident == Some(true);
        let kind = if free { "in order, by choice".into() } else { self.kind.clone() };
        let name = format!("{:1$}for {2}", "", 2 * depth, self.name);
        vec![name, trips, kind, touched, self.marks.join("; ")]
    }
}

impl Dependence {
    fn row(&self) -> Vec<String> {
        vec![format!("{} -> {}", self.from, self.to), self.kind.clone(), self.vectors()]
    }
}

impl Time {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let measured = &self.measured;
        let threads = measured.rates.threads;
        let plural = if threads == 1 { "thread" } else { "threads" };
        writeln!(f, "\ntime on {threads} {plural}: what each limit takes at the rate measured here")?;
        let rows: Vec<Vec<String>> = self
            .limits
            .iter()
            .map(|limit| {
                let (amount, rate) = match limit.intensity {
                    None => (format!("{} operations", limit.amount), format!("{:.1} GFLOP/s", limit.rate / 1e9)),
                    Some(_) => {
                        let amount = Amount { value: limit.amount as u64, exact: limit.exact };
                        (format!("{} beyond", amount.bytes()), format!("{:.1} GB/s", limit.rate / 1e9))
                    }
                };
                let binds = if limit.name == self.bound_by { "binds" } else { "" };
                vec![limit.name.clone(), amount, rate, seconds(limit.seconds), binds.into()]
            })
            .collect();
        table(f, &rows, 1..4)?;
        let planned = self.planned.map_or_else(String::new, |planned| format!(", by the plan {}", seconds(planned)));
        writeln!(f, "  predicted {}{planned}", seconds(self.predicted))?;
        let of = 100.0 * self.fraction();
        writeln!(
            f,
            "  measured  {}, median {} ({} calls): the limits explain {of:.0} % of it",
            seconds(measured.seconds),
            seconds(measured.median),
            measured.calls
        )
    }
}

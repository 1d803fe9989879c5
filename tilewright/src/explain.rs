//! What was done to a definition, and why: the fusion plan, the script, what was not done.

use std::fmt;

use polyhedral::{Node, Scop, isl};
use support::{Remark, with_deep_stack};
use transform::{FusionGroup, FusionReport, Scheduled};

use crate::compile::{self, Options};
use crate::parts::{self, Joined};
use crate::{Definition, Error, Result};

/// What a policy did to a definition, and what it expected of that. Prints as `tilewright explain` does.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What it is about: the definition, its sizes and the target.
    pub title: String,
    /// What runs together in the final order, nest after nest at the top: the names of statements.
    pub nests: Vec<Vec<String>>,
    /// The choices among plans of what runs together, one for each time that a policy made one.
    pub fusion: Vec<FusionReport>,
    /// The commands, with the reason for each that a policy gave one for.
    pub script: Vec<(String, Option<String>)>,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
}

/// Explains a definition for some sizes, or for all when none are given and [`Options::symbolic`] is set.
///
/// # Errors
/// What compiling reports.
pub fn explain(def: &Definition, sizes: Option<&[i64]>, options: &Options) -> Result<Explanation> {
    with_deep_stack(|| explained(def, sizes, options))
}

fn explained(def: &Definition, sizes: Option<&[i64]>, options: &Options) -> Result<Explanation> {
    let ctx = isl::Ctx::new();
    let scop = match sizes {
        Some(sizes) if !options.symbolic => frontend_tc::lower_at(def, &ctx, sizes)?,
        _ if options.symbolic => frontend_tc::lower(def, &ctx)?,
        _ => return Err(Error::bug("an explanation needs sizes")),
    };
    if options.device.is_none()
        && let Some(divided) = parts::divided(&scop, &[], options)?
    {
        let Joined { script, reasons, remarks, fusion, nests, .. } = divided.joined(&[], options)?;
        let script = script.commands().map(ToString::to_string).zip(reasons).collect();
        return Ok(Explanation { title: title(def, sizes, options), nests, fusion, script, remarks });
    }
    let mut scheduled = match &options.device {
        Some(device) => compile::schedule_for(scop, device, options)?,
        None => compile::schedule(scop, options)?,
    };
    let nests = nests(&scheduled.scop)?;
    if options.device.is_none() {
        // What the loops do not do is a remark too.
        compile::program(&mut scheduled, &[], options)?;
    }
    let Scheduled { script, remarks, fusion, reasons, .. } = scheduled;
    let reasons = reasons.into_iter().map(|reason| reason.as_deref().map(str::to_string));
    let script = script.commands().map(ToString::to_string).zip(reasons).collect();
    Ok(Explanation { title: title(def, sizes, options), nests, fusion, script, remarks })
}

fn title(def: &Definition, sizes: Option<&[i64]>, options: &Options) -> String {
    let target = options.device.as_ref().map_or(&options.target.name, |device| &device.name);
    let sizes: Vec<String> = match sizes.filter(|_| !options.symbolic) {
        Some(sizes) => def.sizes.iter().zip(sizes).map(|(name, size)| format!("{name}={size}")).collect(),
        None => vec!["all sizes".into()],
    };
    let sizes = if sizes.is_empty() { String::new() } else { format!(" ({})", sizes.join(", ")) };
    format!("{}{sizes} for {target}", def.name)
}

/// The statements of each nest at the top, in order of execution.
pub(crate) fn nests(scop: &Scop) -> isl::Result<Vec<Vec<String>>> {
    let names = |instances: &isl::UnionSet| -> isl::Result<Vec<String>> {
        let inside: Vec<String> = instances.sets()?.iter().map(isl::Set::tuple_name).collect::<isl::Result<_>>()?;
        let names = scop.stmts.values().map(|stmt| &stmt.name);
        Ok(names.filter(|name| inside.contains(name)).cloned().collect())
    };
    match &scop.tree.root {
        Node::Sequence(children) | Node::Set(children) => children.iter().map(|child| names(&child.filter)).collect(),
        _ => Ok(vec![names(&scop.tree.domain)?]),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.fusion.iter().try_for_each(|report| write_fusion(f, report))?;
        writeln!(f, "\nnests, in order of execution")?;
        for (at, stmts) in self.nests.iter().enumerate() {
            writeln!(f, "  {:>2}  {}", at + 1, stmts.join(", "))?;
        }
        self.write_script(f)?;
        if !self.remarks.is_empty() {
            writeln!(f, "\nnot done")?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "  {remark}"))
    }
}

impl Explanation {
    fn write_script(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.script.is_empty() {
            true => writeln!(f, "\nscript: none, the order of the source")?,
            false => writeln!(f, "\nscript")?,
        }
        for (command, reason) in &self.script {
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
}

/// The plan, what it saves, and by how much the next one loses.
fn write_fusion(f: &mut fmt::Formatter<'_>, report: &FusionReport) -> fmt::Result {
    let FusionReport { groups, cost, apart, runner_up, bytes, exact } = report;
    writeln!(f, "\nfusion: {}, {cost} cycles; {apart} with all apart", counted(groups))?;
    write_groups(f, groups)?;
    if let Some(moved) = bytes.last() {
        let apart = groups.iter().filter_map(|group| group.apart.last()).sum::<u64>();
        writeln!(f, "  {} from and to memory; {} with all apart", amount(*moved), amount(apart))?;
    }
    match runner_up {
        Some((groups, other)) => {
            let percent = u128::from(other.saturating_sub(*cost)) * 1000 / u128::from((*cost).max(1));
            writeln!(f, "  next best: {}, {other} cycles, {}.{} % more", counted(groups), percent / 10, percent % 10)?;
            write_groups(f, groups)?;
        }
        None => writeln!(f, "  there is no other plan")?,
    }
    if *exact { Ok(()) } else { writeln!(f, "  not proved to be the best: the search was cut off") }
}

fn counted(groups: &[FusionGroup]) -> String {
    let word = if groups.len() == 1 { "group" } else { "groups" };
    format!("{} {word}", groups.len())
}

fn write_groups(f: &mut fmt::Formatter<'_>, groups: &[FusionGroup]) -> fmt::Result {
    let widest = groups.iter().map(|group| group.form.chars().count()).max().unwrap_or(0);
    for (at, FusionGroup { stmts, form, cost, bytes, .. }) in groups.iter().enumerate() {
        let moved = bytes.last().map_or_else(String::new, |&bytes| amount(bytes));
        writeln!(f, "    {:>2}  {form:widest$}  {moved:>10}  {cost:>12} cycles  {}", at + 1, stmts.join(", "))?;
    }
    Ok(())
}

/// Rounded down to a tenth of its unit, which is such that four digits are before the point at most.
fn amount(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len() - 1).find(|unit| count >> (10 * unit) < 10_000).unwrap_or(units.len() - 1);
    let whole = count >> (10 * unit);
    match unit {
        0 => format!("{whole} B"),
        _ => format!("{whole}.{} {}", (count >> (10 * (unit - 1))) % 1024 * 10 / 1024, units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn group(stmts: &[&str], form: &'static str, cost: u64, bytes: u64, apart: u64) -> FusionGroup {
        let stmts = stmts.iter().map(ToString::to_string).collect();
        FusionGroup { stmts, form, cost, bytes: vec![2 * bytes, bytes], apart: vec![2 * apart, apart] }
    }

    #[test]
    fn a_plan_is_shown_beside_the_next_best() {
        let chosen = vec![group(&["m", "s", "O"], "rows", 60_000, 400_000, 1_200_000)];
        let alone = group(&["m"], "apart", 20_000, 200_000, 200_000);
        let other = vec![alone, group(&["s", "O"], "shared loops", 52_000, 600_000, 1_000_000)];
        let (cost, apart, bytes) = (60_000, 150_000, vec![800_000, 400_000]);
        let report = FusionReport { groups: chosen, cost, apart, runner_up: Some((other, 72_000)), bytes, exact: true };
        let unproved = FusionReport { runner_up: None, exact: false, bytes: Vec::new(), ..report.clone() };
        let explanation = Explanation {
            title: "softmax (M=4) for test".into(),
            nests: vec![vec!["m".into(), "s".into(), "O".into()]],
            fusion: vec![report, unproved],
            script: vec![("order {\n    a\n}".into(), None), ("parallel m.r".into(), Some("on 2 threads".into()))],
            remarks: vec![Remark::new("scheduler", "m", "not streamed", "it is small")],
        };
        expect![[r#"
            softmax (M=4) for test

            fusion: 1 group, 60000 cycles; 150000 with all apart
                 1  rows   390.6 KiB         60000 cycles  m, s, O
              390.6 KiB from and to memory; 1171.8 KiB with all apart
              next best: 2 groups, 72000 cycles, 20.0 % more
                 1  apart          195.3 KiB         20000 cycles  m
                 2  shared loops   585.9 KiB         52000 cycles  s, O

            fusion: 1 group, 60000 cycles; 150000 with all apart
                 1  rows   390.6 KiB         60000 cycles  m, s, O
              there is no other plan
              not proved to be the best: the search was cut off

            nests, in order of execution
               1  m, s, O

            script
              order { … }  (2 lines more: `emit script`)
              parallel m.r
                  on 2 threads

            not done
              scheduler: m: not streamed: it is small
        "#]]
        .assert_eq(&explanation.to_string());
    }

    #[test]
    fn sizes_have_a_unit() {
        let all = [0, 9_999, 10_000, 10_239_999, 10_240_000, u64::MAX].map(amount);
        expect!["0 B, 9999 B, 9.7 KiB, 9999.9 KiB, 9.7 MiB, 16777215.9 TiB"].assert_eq(&all.join(", "));
    }
}

//! The program with its schedule at sizes at which every instance can be seen.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::count::count;
use polyhedral::{Scop, dependences, isl};
use serde::Serialize;
use transform::{Command, Script, Session};

use super::instances::{Instances, dated};
use super::scale::Scale;
use crate::compile::Options;
use crate::report::{Report, Size};
use crate::{Definition, Error, Result};

/// The sizes that are tried: none of the program's is larger.
const SIZES: [i64; 11] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/// Instances of the statements of the source that a model has at most.
const MOST: u64 = 4500;
/// The same with copies that commands make.
const MOST_OF_ALL: usize = 12_000;
/// How many models there are.
const MODELS: usize = 6;
/// A size that is not known is taken for so much.
const USUAL: i64 = 512;
/// isl operations that scheduling a model may take, beside what each proof may.
const OPERATIONS: u64 = 40_000_000;

/// A program at small sizes, scheduled by the commands of a report with smaller tiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Its sizes.
    pub sizes: Vec<Size>,
    /// Whether they are those of the report, and all commands are as they are.
    pub same: bool,
    /// Commands that are others: their numbers in the script, and what stands in their place.
    pub changed: Vec<(usize, String)>,
    /// Commands that do not fit at these sizes and are left out: their numbers in the script, and why.
    pub left_out: Vec<(usize, String)>,
    /// Moments of the whole program.
    pub moments: usize,
    /// Names, least subscripts and extents of the tensors.
    pub tensors: Vec<Extent>,
    /// The statements, in the order of the program.
    pub statements: Vec<Instances>,
}

/// How large a tensor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// The tensor.
    pub tensor: String,
    /// The least subscript of each dimension.
    pub lower: Vec<i64>,
    /// How many there are.
    pub extent: Vec<i64>,
}

/// Models of a definition and the script of its report, from the smallest to the largest.
///
/// # Errors
/// What isl says; a script that is none.
pub(super) fn models(def: &Definition, report: &Report, options: &Options) -> Result<Vec<Model>> {
    let commands: Vec<&str> = report.script.iter().map(|step| step.command.as_str()).collect();
    if commands.iter().any(|command| command.starts_with("part ")) {
        return Ok(Vec::new());
    }
    let script: Script = commands.join("\n").parse().map_err(Error::bug)?;
    let own: Vec<i64> = def.sizes.iter().map(|name| known(report, name)).collect();
    let mut sizes: Vec<Vec<i64>> = Vec::new();
    for most in SIZES {
        let small: Vec<i64> = own.iter().map(|&size| size.min(most)).collect();
        if sizes.last() != Some(&small) && instances(def, &small)?.is_some_and(|count| count > 0 && count <= MOST) {
            sizes.push(small);
        }
    }
    let mut found = Vec::new();
    for small in thinned(sizes) {
        found.extend(Modelled { def, options, script: &script, own: &own, small }.model()?);
    }
    Ok(found)
}

/// The size of the report with that name.
fn known(report: &Report, name: &str) -> i64 {
    report.sizes.iter().find(|size| size.name == *name).map_or(USUAL, |size| size.value)
}

/// As many as there are to be, the first and the last among them.
fn thinned(all: Vec<Vec<i64>>) -> Vec<Vec<i64>> {
    // Two of everything show little, unless that is all there is room for.
    let all: Vec<Vec<i64>> = all.split_at(all.len().saturating_sub(MODELS).min(2)).1.to_vec();
    let last = all.len().saturating_sub(1);
    let kept: BTreeSet<usize> =
        (0..MODELS.min(all.len())).map(|at| at * last / (MODELS - 1).min(last).max(1)).collect();
    all.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, sizes)| sizes).collect()
}

/// Instances of the source, or none where the definition has no such sizes.
fn instances(def: &Definition, sizes: &[i64]) -> Result<Option<u64>> {
    let Ok(scop) = frontend_tc::lower_at(def, &isl::Ctx::new(), sizes) else { return Ok(None) };
    let mut sum = 0u64;
    for stmt in scop.stmts.values() {
        sum = sum.saturating_add(count(&stmt.domain)?.value());
    }
    Ok(Some(sum))
}

struct Modelled<'a> {
    def: &'a Definition,
    options: &'a Options,
    script: &'a Script,
    own: &'a [i64],
    small: Vec<i64>,
}

impl Modelled<'_> {
    /// The model; none where isl has too much to do.
    fn model(&self) -> Result<Option<Model>> {
        let ctx = isl::Ctx::new();
        let scop = frontend_tc::lower_at(self.def, &ctx, &self.small)?;
        let made = ctx.with_budget(OPERATIONS, || self.made(scop));
        match made {
            Ok(model) => Ok(model),
            Err(isl::Error::Quota | isl::Error::Refused(_) | isl::Error::Overflow) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn made(&self, scop: Scop) -> isl::Result<Option<Model>> {
        let proof = transform::Options { strict: self.options.strict, ..transform::Options::default() };
        let Ok(mut session) = Session::with_options(scop, &self.options.target, proof) else { return Ok(None) };
        let scale = self.scale();
        let (mut changed, mut left_out) = (Vec::new(), Vec::new());
        for (at, command) in self.script.commands().enumerate() {
            let small = scale.command(&self.closed(command));
            match session.apply(small.clone()) {
                Ok(()) if small == *command => {}
                Ok(()) => changed.push((at, small.to_string())),
                Err(refused) => left_out.push((at, first_line(&refused.to_string()))),
            }
        }
        let is_same = scale.is_one() && changed.is_empty() && left_out.is_empty() && !self.options.symbolic;
        let Ok(scheduled) = session.finish() else { return Ok(None) };
        let scop = scheduled.scop;
        let deps = dependences(&scop)?;
        let mut found = Vec::new();
        let mut room = MOST_OF_ALL;
        for id in scop.stmts.keys() {
            let Some((instances, around)) = dated(&scop, id, room)? else { return Ok(None) };
            room -= instances.len();
            found.push((id, instances, around));
        }
        let dates: BTreeSet<&Vec<i64>> = found.iter().flat_map(|(_, all, _)| all.iter().map(|one| &one.date)).collect();
        let moments: BTreeMap<Vec<i64>, usize> =
            dates.into_iter().cloned().enumerate().map(|(at, date)| (date, at)).collect();
        let statements = found
            .into_iter()
            .map(|(id, instances, around)| Instances::of(&scop, id, (instances, around), &moments, &deps))
            .collect::<isl::Result<_>>()?;
        let sizes = self.def.sizes.iter().zip(&self.small);
        Ok(Some(Model {
            sizes: sizes.map(|(name, &value)| Size { name: name.clone(), value }).collect(),
            same: is_same,
            changed,
            left_out,
            moments: moments.len(),
            tensors: scop.tensors.values().filter_map(Extent::of).collect(),
            statements,
        }))
    }

    /// From the largest size that is smaller now.
    fn scale(&self) -> Scale {
        let shrunk = self.own.iter().zip(&self.small).filter(|(own, small)| own > small);
        shrunk.max_by_key(|(own, _)| **own).map_or(Scale::new(1, 1), |(&own, &small)| Scale::new(own, small))
    }

    /// With tiles of the sizes that the script leaves open and the call gives.
    fn closed(&self, command: &Command) -> Command {
        let Command::TileBy { members, by, .. } = command else { return command.clone() };
        let size = |name: &String| self.options.tile_sizes.get(name).and_then(|&size| u32::try_from(size).ok());
        match by.iter().map(size).collect::<Option<Vec<u32>>>() {
            Some(by) => Command::Tile { members: members.clone(), by, names: None },
            None => command.clone(),
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}

impl Extent {
    fn of(tensor: &polyhedral::Tensor) -> Option<Extent> {
        let constants =
            |list: &[polyhedral::Index]| list.iter().map(polyhedral::Index::as_const).collect::<Option<Vec<i64>>>();
        Some(Extent {
            tensor: tensor.name.clone(),
            lower: constants(&tensor.lower)?,
            extent: constants(&tensor.extent)?,
        })
    }
}

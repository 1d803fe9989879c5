//! What would make a refused command legal: other commands, tried one after another.

use polyhedral::legality::Conflict;
use polyhedral::{DependenceKind, Kind, Scop};

use crate::place::{self, Site};
use crate::refused::Reason;
use crate::{Command, Privatisation, Refused, Script, Session};

/// Skews by more than this are not tried.
const MOST: i32 = 2;

impl Session {
    /// Commands that can be applied where the refused one cannot, and do what it was to do: with a skew or a smaller shift
    /// first, on another loop, or with a copy of the tensor for each iteration. Each was proved; `None` when none of those
    /// that are tried helps. The session must be as it was when the command was refused.
    pub fn remedy(&self, refused: &Refused) -> Option<Script> {
        let Reason::Violation(violation) = &refused.reason else { return None };
        let script: Script = refused.command.parse().ok()?;
        let command = script.commands().next()?;
        let mut tried = Vec::new();
        match &violation.conflict {
            Conflict::AtOnce { member, .. } => {
                if violation.dependence == DependenceKind::Reduction {
                    tried.extend(self.private(command, violation.through.as_ref().map(|(tensor, _)| tensor)));
                }
                tried.extend(self.wavefronts(command));
                tried.extend(self.other_loops(command, member));
            }
            Conflict::Backward { .. } => {
                tried.extend(unshifted(command));
                tried.extend(self.skews(command));
            }
            _ => {}
        }
        tried.into_iter().find_map(|commands| self.accepted(commands))
    }

    /// What is recorded of the commands when all of them are accepted.
    fn accepted(&self, commands: Vec<Command>) -> Option<Script> {
        let (mut session, before) = (self.clone(), self.script().len());
        for command in commands {
            session.apply(command).ok()?;
        }
        session.clone().finish().ok()?;
        Some(session.script().commands().skip(before).cloned().collect())
    }

    /// The command on a nest in which one of its loops is skewed by another.
    fn skews(&self, command: &Command) -> Vec<Vec<Command>> {
        let members = match command {
            Command::Tile { members, .. } | Command::Reorder { members } => members.clone(),
            Command::Unroll { member, .. } => nest(self.scop(), member),
            _ => Vec::new(),
        };
        let Ok(members) = place::resolve_all(self.scop(), &members) else { return Vec::new() };
        let depth = |name: &String| Site::of(&self.scop().tree, name).map_or(0, |site| site.outer.len());
        let mut all = Vec::new();
        for by in 1..=MOST {
            for inner in &members {
                for outer in members.iter().filter(|outer| depth(outer) < depth(inner)) {
                    all.push(vec![Command::skew(inner, by, outer), command.clone()]);
                }
            }
        }
        all
    }

    /// The command in a nest whose outer loop became a wavefront.
    fn wavefronts(&self, command: &Command) -> Vec<Vec<Command>> {
        let Some(member) = at_once(command).and_then(|name| place::resolve(self.scop(), name).ok()) else {
            return Vec::new();
        };
        let Ok(site) = Site::of(&self.scop().tree, &member) else { return Vec::new() };
        let sequential = site.outer.iter().rev().filter(|outer| outer.kind == Kind::Sequential);
        let around = sequential.flat_map(|outer| (1..=MOST).map(move |by| (outer.name.clone(), by)));
        around.map(|(outer, by)| vec![Command::skew(outer, by, &member), command.clone()]).collect()
    }

    /// The command on another loop of the nest.
    fn other_loops(&self, command: &Command, member: &str) -> Vec<Vec<Command>> {
        let Some(own) = at_once(command).and_then(|name| place::resolve(self.scop(), name).ok()) else {
            return Vec::new();
        };
        let others = nest(self.scop(), &own).into_iter().filter(|other| other != member && *other != own);
        others.filter_map(|other| Some(vec![on(command, other)?])).collect()
    }

    /// The command with partial results for each iteration.
    fn private(&self, command: &Command, tensor: Option<&String>) -> Vec<Vec<Command>> {
        let (Some(member), Some(tensor)) = (at_once(command), tensor) else { return Vec::new() };
        vec![vec![Command::Privatise(Privatisation::of(tensor, member)), command.clone()]]
    }
}

/// A fusion with the shift left out.
fn unshifted(command: &Command) -> Option<Vec<Command>> {
    match command {
        Command::Fuse { first, second, depth, shift: Some(_) } => {
            let (first, second) = (first.clone(), second.clone());
            Some(vec![Command::Fuse { first, second, depth: *depth, shift: None }])
        }
        _ => None,
    }
}

/// The loop whose iterations are to run at once.
fn at_once(command: &Command) -> Option<&String> {
    match command {
        Command::Parallel { member } | Command::Vectorise { member, .. } => Some(member),
        Command::Bind { members, .. } => match members.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        _ => None,
    }
}

/// The same for another loop.
fn on(command: &Command, other: String) -> Option<Command> {
    match command.clone() {
        Command::Parallel { .. } => Some(Command::Parallel { member: other }),
        Command::Bind { axis, atomically, .. } => Some(Command::Bind { members: vec![other], axis, atomically }),
        Command::Vectorise { by, tail, .. } => Some(Command::Vectorise { member: other, by, names: None, tail }),
        _ => None,
    }
}

/// The loops around a loop, itself, and those in its band.
fn nest(scop: &Scop, member: &str) -> Vec<String> {
    let Ok(member) = place::resolve(scop, member) else { return Vec::new() };
    let Ok(site) = Site::of(&scop.tree, &member) else { return Vec::new() };
    let mut names: Vec<String> = site.outer.iter().map(|outer| outer.name.clone()).collect();
    let band = scop.tree.root.band_of(&member).map(|(band, _)| band.members.as_slice()).unwrap_or_default();
    for own in band {
        if !names.contains(&own.name) {
            names.push(own.name.clone());
        }
    }
    names
}

//! A refused command as a diagnostic: the two instances underlined in the program, and what would be legal in its place.

use polyhedral::legality::{Conflict, Illegal, Instance, Violation};
use polyhedral::{Access, DependenceKind, Scop};
use support::{Diagnostic, Label, Span};
use transform::{Reason, Refused, Session};

use crate::Error;

/// A command that a session refused, with what would be legal in its place where that is known.
pub(crate) fn explained(session: &Session, refusal: Refused) -> Error {
    let instead = match session.remedy(&refusal) {
        Some(remedy) => remedy.commands().map(|command| command.to_string()).collect(),
        None => legal(&refusal),
    };
    error(refusal, instead, Some(session.scop()))
}

/// A refused script is the user's; a refused automatic schedule, or isl failing, is ours.
pub(crate) fn refused(refused: Refused) -> Error {
    let instead = legal(&refused);
    error(refused, instead, None)
}

/// A schedule whose loops on blocks and threads are no kernels.
pub(crate) fn unmapped(illegal: Illegal) -> Error {
    match illegal {
        Illegal::Isl(error) => error.into(),
        Illegal::Malformed(why) => Error::user(Diagnostic::call("TC0942", why)),
        Illegal::Violation(violation) => {
            let message = format!("the kernels race: {violation}");
            let labels = labels(&violation, None);
            Error::user(Diagnostic { labels, ..Diagnostic::call("TC0942", message) })
        }
    }
}

/// What the refusal itself says would be legal.
fn legal(refused: &Refused) -> Vec<String> {
    refused.instead.iter().map(|command| command.to_string()).collect()
}

fn error(refused: Refused, instead: Vec<String>, scop: Option<&Scop>) -> Error {
    let general = match refused.reason {
        Reason::Isl(_) => return Error::bug(refused),
        Reason::Violation(_) => "a command is applied only when the program is proved to compute what it did",
        Reason::Quota(_) => {
            "split the definition, or schedule it with fewer commands: proofs have a budget, and past it nothing is assumed"
        }
        Reason::Precondition(_) => "print the script of this program with `tilewright emit script`, and change that",
    };
    let help = match instead.as_slice() {
        [] => general.to_string(),
        commands => format!("legal in its place: `{}`", commands.join("`, then `")),
    };
    let labels = refused.violation().map_or_else(Vec::new, |violation| labels(violation, scop));
    // What would be legal is said once: in the help.
    let message = Refused { instead: None, ..refused }.to_string();
    Error::user(Diagnostic { labels, ..Diagnostic::call("TC0913", message).help(help) })
}

/// What the two instances do, at the places of their accesses: the later one first.
fn labels(violation: &Violation, scop: Option<&Scop>) -> Vec<Label> {
    let (source, sink) = roles(violation);
    let [from, to] = places(violation, scop);
    let label = |span: Span, text: String| (span != Span::default()).then_some(Label { span, text });
    if from == to {
        let texts: Vec<String> = source.into_iter().chain([sink]).collect();
        return label(to, texts.join(", ")).into_iter().collect();
    }
    let source = source.and_then(|text| label(from, text));
    label(to, sink).into_iter().chain(source).collect()
}

/// Where the source and the sink touch the element; where that is not known, their statements.
fn places(violation: &Violation, scop: Option<&Scop>) -> [Span; 2] {
    let Violation { source, sink, conflict, dependence, .. } = violation;
    let source_reads = !conflict.is_of_values() && *dependence == DependenceKind::Anti;
    let sink_reads = conflict.is_of_values() || *dependence == DependenceKind::Flow;
    [(source, source_reads), (sink, sink_reads)].map(|(instance, reads)| {
        let access = scop.and_then(|scop| access(scop, violation, instance, reads));
        access.filter(|span| *span != Span::default()).unwrap_or(instance.span)
    })
}

/// The first access of the instance to the element.
fn access(scop: &Scop, violation: &Violation, instance: &Instance, reads: bool) -> Option<Span> {
    let (tensor, at) = violation.through.as_ref()?;
    let stmt = &scop.stmts[scop.stmt_named(&instance.stmt)?];
    let sizes: Vec<i64> = violation.sizes.iter().map(|(_, size)| *size).collect();
    let touches = |access: &&Access| {
        let element = access.affine().map(|index| index.iter().map(|i| i.eval(&instance.point, &sizes)).collect());
        let element: Option<Vec<i64>> = element.flatten();
        scop.tensors[access.tensor].name == *tensor && (element.is_none() || element == *at)
    };
    let accesses = if reads { &stmt.reads } else { &stmt.writes };
    accesses.iter().find(touches).map(|access| access.span)
}

/// What the source does, if there is one, and what the sink does.
fn roles(violation: &Violation) -> (Option<String>, String) {
    let Violation { source, sink, conflict, dependence, .. } = violation;
    let element = element(violation);
    if conflict.is_of_values() {
        let found = match violation.through {
            Some(_) => format!("{sink} finds something else in {element}"),
            None => format!("{sink} is something else at the end"),
        };
        let due = match conflict {
            Conflict::Adds { .. } => format!("{source} computes what it must not find"),
            Conflict::Twice => format!("{source} is counted twice"),
            _ => format!("{source} computes what it must find"),
        };
        return ((source != sink).then_some(due), found);
    }
    let (first, then) = match dependence {
        DependenceKind::Flow => ("writes", "reads it after that"),
        DependenceKind::Anti => ("reads", "overwrites it after that"),
        DependenceKind::Output => ("writes", "writes it again"),
        DependenceKind::Reduction => ("updates", "updates it too"),
    };
    (Some(format!("{source} {first} {element}")), format!("{sink} {then}"))
}

fn element(violation: &Violation) -> String {
    match &violation.through {
        Some((tensor, Some(at))) => {
            let at: Vec<String> = at.iter().map(i64::to_string).collect();
            format!("`{tensor}[{}]`", at.join(", "))
        }
        Some((tensor, None)) => format!("an element of `{tensor}`"),
        None => "an element".into(),
    }
}

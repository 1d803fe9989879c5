use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use frontend_tc::{Reader, Sources};
use support::{Diagnostic, Malformed, Severity, Span};

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose fault it is; decides the command's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The program, the script, the files or the call: exit status 1.
    User,
    /// Tilewright itself: exit status 3.
    Bug,
}

/// Why there is no kernel or no result: diagnostics with codes, and the source they point into.
///
/// `{}` prints them as the command does, without colours.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    fault: Fault,
    diagnostics: Vec<Diagnostic>,
    source: Option<Source>,
}

/// A text that diagnostics point into.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's name, or `<tc>` for a string.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
    /// The same with what it imports, when that was read.
    pub sources: Option<Arc<Sources>>,
}

impl Source {
    /// A text that imports nothing but the library.
    pub fn new(name: String, text: Arc<str>) -> Source {
        Source { name, text, sources: None }
    }

    /// A text of TC with what it imports: `read` finds files, from the name of the importing one and what it writes.
    pub fn load(name: String, text: Arc<str>, read: &mut Reader<'_>) -> Source {
        let sources = Some(Arc::new(Sources::load(&name, &text, read)));
        Source { name, text, sources }
    }

    /// The file that holds a place: its name, its text, and the number of the first byte of it.
    pub fn at(&self, span: Span) -> (&str, &str, usize) {
        let part = self.sources.as_ref().and_then(|sources| Some((sources, sources.part_at(span)?)));
        match part {
            Some((sources, part)) => (&part.name, &sources.text()[part.span.range()], part.span.range().start),
            None => (&self.name, &self.text, 0),
        }
    }
}

impl Error {
    /// Wrong in a program's text.
    pub fn in_source(diagnostics: Vec<Diagnostic>, source: Source) -> Error {
        Error(Box::new(Inner { fault: Fault::User, diagnostics, source: Some(source) }))
    }

    /// Wrong in a call, a file or an option.
    pub fn user(diagnostic: Diagnostic) -> Error {
        Error(Box::new(Inner { fault: Fault::User, diagnostics: vec![diagnostic], source: None }))
    }

    /// Wrong in a call; the places, if there are any, are in a text that is not at hand.
    pub fn in_no_source(diagnostics: Vec<Diagnostic>) -> Error {
        Error(Box::new(Inner { fault: Fault::User, diagnostics, source: None }))
    }

    /// The same error with the text that its places are in, unless it has one.
    pub fn with_source(mut self, source: &Source) -> Error {
        self.0.source.get_or_insert_with(|| source.clone());
        self
    }

    /// A bug of ours.
    pub fn bug(message: impl fmt::Display) -> Error {
        let diagnostic = Diagnostic::call("TC0999", message.to_string()).help(
            "this is a bug in Tilewright, not in your program: please report it with the program and the command",
        );
        Error(Box::new(Inner { fault: Fault::Bug, diagnostics: vec![diagnostic], source: None }))
    }

    /// Everything that is wrong, with codes.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.0.fault
    }

    /// The text for people, with or without colours.
    pub fn render(&self, colours: bool) -> String {
        render(&self.0.diagnostics, self.0.source.as_ref(), colours)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        Error::bug(malformed)
    }
}

impl From<polyhedral::isl::Error> for Error {
    /// A spent budget says that the program is too large; anything else is ours.
    fn from(error: polyhedral::isl::Error) -> Error {
        if error != polyhedral::isl::Error::Quota {
            return Error::bug(error);
        }
        let large = Diagnostic::call("TC0916", "the program is too large for one kernel");
        Error::user(large.help("divide it into definitions of some hundred statements, and call one after the other"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Error {}

/// Nobody reads more diagnostics than this at once.
const MAX_SHOWN: usize = 100;

/// Diagnostics as rustc prints them: code, message, the source underlined, help. Of very many the first ones,
/// errors before warnings.
pub fn render(diagnostics: &[Diagnostic], source: Option<&Source>, colours: bool) -> String {
    let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
    let one = |diagnostic: &Diagnostic| renderer.render(&report(diagnostic, source));
    let mut order: Vec<&Diagnostic> = diagnostics.iter().collect();
    if order.len() > MAX_SHOWN {
        order.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
    }
    let mut texts: Vec<String> = order.into_iter().take(MAX_SHOWN).map(one).collect();
    if diagnostics.len() > MAX_SHOWN {
        texts.push(format!("and {} more, not shown", diagnostics.len() - MAX_SHOWN));
    }
    texts.join("\n\n")
}

fn report<'a>(diagnostic: &'a Diagnostic, source: Option<&'a Source>) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = match source.filter(|_| !diagnostic.labels.is_empty()) {
        Some(source) => snippets(diagnostic, source).into_iter().fold(Group::with_title(title), Group::element),
        None => Group::with_title(title),
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

/// One snippet for each file that the diagnostic has places in, the one of the first place first.
fn snippets<'a>(diagnostic: &'a Diagnostic, source: &'a Source) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let mut files: Vec<(&str, &str, usize)> = Vec::new();
    for label in &diagnostic.labels {
        let file = source.at(label.span);
        if !files.contains(&file) {
            files.push(file);
        }
    }
    let snippet = |(name, text, start): (&'a str, &'a str, usize)| {
        let labels = diagnostic.labels.iter().enumerate().filter(move |(_, label)| source.at(label.span).2 == start);
        let annotations = labels.map(move |(at, label)| {
            let kind = if at == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let range = label.span.range();
            let inside = |at: usize| at.saturating_sub(start).min(text.len());
            kind.span(inside(range.start)..inside(range.end)).label(label.text.as_str())
        });
        Snippet::source(text).path(name).annotations(annotations)
    };
    files.into_iter().map(snippet).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use support::Span;

    use super::*;

    #[test]
    fn a_diagnostic_reads_like_rustc() {
        let text = "def f(float(N) A) -> (B) {\n  B(i) = A(i, j)\n}\n";
        let at = text.find("A(i, j)").expect("it is there");
        let diagnostic =
            Diagnostic::error("TC0001", "`A` has 1 dimension, but 2 subscripts are given", Span::new(at, at + 7))
                .saying("two subscripts")
                .also(Span::new(6, 16), "declared here")
                .help("write `A(i)`");
        let source = Source::new("f.tc".into(), text.into());
        expect![[r#"
            error[TC0001]: `A` has 1 dimension, but 2 subscripts are given
             --> f.tc:2:10
              |
            1 | def f(float(N) A) -> (B) {
              |       ---------- declared here
            2 |   B(i) = A(i, j)
              |          ^^^^^^^ two subscripts
              |
              = help: write `A(i)`"#]]
        .assert_eq(&render(&[diagnostic], Some(&source), false));
    }

    #[test]
    fn very_many_diagnostics_are_counted() {
        let source = Source::new("f.tc".into(), "x".into());
        let many = vec![Diagnostic::error("TC0001", "odd", Span::new(0, 1)); MAX_SHOWN + 7];
        let text = render(&many, Some(&source), false);
        assert!(text.ends_with("and 7 more, not shown"), "{text}");
        assert_eq!(text.matches("error[TC0001]").count(), MAX_SHOWN);
    }

    #[test]
    fn a_span_past_the_end_does_not_panic() {
        let source = Source::new("f.tc".into(), "x".into());
        render(&[Diagnostic::error("TC0001", "odd", Span::new(5, 9))], Some(&source), false);
    }
}

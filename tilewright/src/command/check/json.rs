//! What `check --json` prints: one object per line, which `docs/check-json.md` describes.

use frontend_tc::{Kernel, Tensor};
use serde::Serialize;
use support::{Diagnostic, Label, Severity, Span};
use tilewright::Source;

use super::{named, role};

/// The line of a definition that is right.
pub fn definition(def: &Kernel, source: &Source) -> String {
    let lines = Lines::of(&source.text);
    line(&Line::Definition {
        file: &source.name,
        def: &def.name,
        span: lines.range(def.span, 0),
        sizes: &def.sizes,
        tensors: def.tensors.iter().map(|tensor| DescribedTensor::new(def, tensor)).collect(),
        conditions: def.preconditions.iter().map(|condition| condition.text.as_str()).collect(),
        text: def.to_string(),
    })
}

/// The line of a diagnostic. What belongs to no place in a text has no labels.
pub fn diagnostic<'a>(diagnostic: &'a Diagnostic, file: &'a str, source: Option<&'a Source>) -> String {
    let described = |label: &'a Label, source: &'a Source| {
        let (file, text, start) = source.at(label.span);
        DescribedLabel { file, span: Lines::of(text).range(label.span, start), text: &label.text }
    };
    let labels =
        source.map_or(Vec::new(), |source| diagnostic.labels.iter().map(|label| described(label, source)).collect());
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    line(&Line::Diagnostic {
        file,
        code: diagnostic.code,
        severity,
        message: &diagnostic.message,
        labels,
        help: diagnostic.help.as_deref(),
    })
}

fn line(object: &Line<'_>) -> String {
    serde_json::to_string(object).expect("only text, numbers and lists of them") + "\n"
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Definition {
        file: &'a str,
        def: &'a str,
        span: Range,
        sizes: &'a [String],
        tensors: Vec<DescribedTensor<'a>>,
        conditions: Vec<&'a str>,
        text: String,
    },
    Diagnostic {
        file: &'a str,
        code: &'a str,
        severity: &'a str,
        message: &'a str,
        labels: Vec<DescribedLabel<'a>>,
        help: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct DescribedTensor<'a> {
    name: &'a str,
    dtype: &'a str,
    role: &'static str,
    lower: Vec<String>,
    extent: Vec<String>,
}

impl<'a> DescribedTensor<'a> {
    fn new(def: &Kernel, tensor: &'a Tensor) -> DescribedTensor<'a> {
        DescribedTensor {
            name: &tensor.name,
            dtype: tensor.dtype.name(),
            role: role(tensor),
            lower: tensor.lower.iter().map(|index| named(def, index)).collect(),
            extent: tensor.extent.iter().map(|index| named(def, index)).collect(),
        }
    }
}

#[derive(Serialize)]
struct DescribedLabel<'a> {
    file: &'a str,
    span: Range,
    text: &'a str,
}

/// A part of a text, the end not included.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Range {
    start: Place,
    end: Place,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Place {
    /// From 0.
    byte: usize,
    /// From 1.
    line: usize,
    /// Characters from 1.
    column: usize,
}

/// Where the lines of a text begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines { text, starts: [0].into_iter().chain(after_newlines).collect() }
    }

    /// The place of `span`, which counts from byte `start` of something larger.
    fn range(&self, span: Span, start: usize) -> Range {
        let range = span.range();
        Range { start: self.place(range.start.saturating_sub(start)), end: self.place(range.end.saturating_sub(start)) }
    }

    fn place(&self, byte: usize) -> Place {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte);
        let before = self.text.get(self.starts[line - 1]..byte).unwrap_or_default();
        Place { byte, line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let lines = Lines::of("a\nbé c\n");
        let place = |byte| {
            let place = lines.place(byte);
            (place.line, place.column)
        };
        assert_eq!(
            [0, 1, 2, 3, 5, 6, 7, 8, 99].map(place),
            [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 1), (3, 1)]
        );
        let range = lines.range(Span::new(13, 15), 10);
        assert_eq!((range.start.byte, range.end.byte), (3, 5));
    }
}

//! The library `std`: TC files that are part of the compiler, found by name.
//!
//! ```
//! let text = frontend_tc::library::text("std/linalg").expect("it is there");
//! let library = frontend_tc::check(text);
//! assert!(library.defs.iter().any(|def| def.name == "matmul"));
//! ```
//! The comment before a definition says what it computes, and the shape of each result after the last colon.

/// Every file: what it is called in an `import`, and its text.
pub const FILES: [(&str, &str); 7] = [
    ("std/conv", include_str!("../../std/conv.tc")),
    ("std/image", include_str!("../../std/image.tc")),
    ("std/linalg", include_str!("../../std/linalg.tc")),
    ("std/loss", include_str!("../../std/loss.tc")),
    ("std/nn", include_str!("../../std/nn.tc")),
    ("std/pool", include_str!("../../std/pool.tc")),
    ("std/reduce", include_str!("../../std/reduce.tc")),
];

/// The text of the file that is called `path`, with or without `.tc` at the end.
pub fn text(path: &str) -> Option<&'static str> {
    let wanted = path.strip_suffix(".tc").unwrap_or(path);
    FILES.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text)
}

/// The file that has a definition called `name`.
pub fn file_of(name: &str) -> Option<&'static str> {
    let head = format!("\ndef {name}(");
    FILES.iter().find(|(_, text)| text.contains(&head)).map(|(file, _)| *file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name() {
        assert!(text("std/nn").is_some_and(|nn| text("std/nn.tc") == Some(nn) && nn.contains("def softmax(")));
        assert_eq!(text("std/nnn"), None);
        assert_eq!(text("nn"), None);
        assert_eq!((file_of("softmax"), file_of("soft")), (Some("std/nn"), None));
    }

    #[test]
    fn every_file_is_right_and_without_a_warning() {
        for (name, text) in FILES {
            assert_eq!(crate::check(text).diagnostics, [], "{name}");
        }
    }
}

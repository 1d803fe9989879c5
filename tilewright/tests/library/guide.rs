//! `docs/library.md`: what the comments of the library say. `UPDATE_EXPECT=1` writes it.

use std::fmt::Write;
use std::path::Path;

use frontend_tc::library::FILES;

const BEGINNING: &str = "# The library

What `import \"std/…\"` finds: TC files that are part of the compiler, in the folder `std`. Each definition says what it computes
and, after the last colon, the shape of each result; each is compared with plain loops by the tests. They are programs like any
other: where one does not fit, copy and change it. This page is made from their comments.
";

#[test]
fn the_page_is_what_the_comments_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("docs/library.md");
    expect_test::expect_file![path].assert_eq(&page());
}

fn page() -> String {
    let mut page = BEGINNING.to_owned();
    for (_, text) in FILES {
        let mut parts = text.split("\n\n");
        let (title, about) = parts.next().and_then(|head| head.split_once(": ")).expect("a comment begins the file");
        write!(page, "\n## {}\n\n{}", title.trim_start_matches("# "), prose(&capital(about))).expect("a string");
        for part in parts {
            match part.split_once("def ") {
                None => write!(page, "\n{}", prose(part)).expect("a string"),
                Some((comment, def)) => {
                    let head =
                        def.split(" {").next().expect("a part of it").split_whitespace().collect::<Vec<_>>().join(" ");
                    write!(page, "\n`{head}`  \n{}", prose(comment)).expect("a string");
                }
            }
        }
    }
    page
}

/// The lines of a comment without their marks.
fn prose(comment: &str) -> String {
    let lines = comment.lines().filter(|line| !line.starts_with("let "));
    lines.map(|line| line.trim_start_matches('#').trim_start().to_owned() + "\n").collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

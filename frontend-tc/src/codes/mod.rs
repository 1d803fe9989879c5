//! Every code that a diagnostic of this crate can have, with a page for people.

mod pages;

use std::fmt;

pub use pages::PAGES;

/// The explanation of a code. Displays as the text of `tilewright explain-code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The code, `TC0101`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it is, and what to do.
    pub text: &'static str,
    /// A small program that gives the code.
    pub wrong: &'static str,
    /// The same, corrected.
    pub right: &'static str,
}

/// The page of `code`.
pub fn explain(code: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.code == code)
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\n\n{}\n", self.code, self.title, self.text)?;
        writeln!(f, "Wrong:\n\n{}\nCorrected:\n\n{}", Indented(self.wrong), Indented(self.right))
    }
}

struct Indented(&'static str);

impl fmt::Display for Indented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

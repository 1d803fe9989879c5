//! A text with the files that it imports: one text for spans, the imported files behind the importing one.

use std::collections::BTreeMap;

use support::Span;

use crate::lexer::MAX_FILE;
use crate::{library, parser};

/// As many files as one text may import, at once or through others.
const MAX_FILES: usize = 100;

/// A text and what it imports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// All texts, one behind the other: spans count bytes of this.
    text: String,
    parts: Vec<Part>,
    /// The part that each import means, by the importing part and what stands between the quotes.
    meanings: BTreeMap<(usize, String), usize>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name: a path, or that of a file of the library.
    pub name: String,
    /// Its place in the whole text.
    pub span: Span,
}

/// Finds a file: from the name of the importing file and what stands between the quotes to its name and its text.
pub type Reader<'a> = dyn FnMut(&str, &str) -> Option<(String, String)> + 'a;

impl Sources {
    /// A text that can import the library only.
    pub fn new(name: &str, text: &str) -> Sources {
        Sources::load(name, text, &mut |_, _| None)
    }

    /// A text with all that it imports, at once or through others; `read` finds what the library does not have. What is
    /// not found is left out here, and an error when the text is checked.
    pub fn load(name: &str, text: &str, read: &mut Reader<'_>) -> Sources {
        let mut sources = Sources::default();
        sources.add(name.to_owned(), text);
        let mut next = 0;
        while let Some(part) = sources.parts.get(next).cloned() {
            for path in parser::imports(&sources.text, part.span) {
                let found = library::text(&path).map(|text| (path.trim_end_matches(".tc").to_owned(), text.to_owned()));
                let Some((name, text)) = found.or_else(|| read(&part.name, &path)) else { continue };
                let known = sources.parts.iter().position(|part| part.name == name);
                let fits = sources.parts.len() < MAX_FILES && sources.text.len() + text.len() <= MAX_FILE;
                let Some(at) = known.or_else(|| fits.then(|| sources.add(name, &text))) else { continue };
                sources.meanings.insert((next, path), at);
            }
            next += 1;
        }
        sources
    }

    fn add(&mut self, name: String, text: &str) -> usize {
        let start = self.text.len();
        self.text.push_str(text);
        self.parts.push(Part { name, span: Span::new(start, self.text.len()) });
        self.parts.len() - 1
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The files, the importing one first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The file that holds a place.
    pub fn part_at(&self, span: Span) -> Option<&Part> {
        // A place at the end of a file is that file's, although the next one begins there.
        self.parts.iter().find(|part| span.start < part.span.end || span.start == part.span.start).or(self.parts.last())
    }

    /// The files that are not the library's, the importing one first under the name `first`, renamed so that they lie in one
    /// folder: their names, without those of folders, and their texts, in which imports say the new names.
    pub fn in_one_folder(&self, first: &str) -> Vec<(String, String)> {
        let mut names = vec![Some(first.to_owned())];
        for (at, part) in self.parts.iter().enumerate().skip(1) {
            let is_library = self.meanings.iter().any(|((_, path), to)| *to == at && library::text(path).is_some());
            let stem = part.name.rsplit(['/', '\\']).next().unwrap_or_default().trim_end_matches(".tc");
            let numbers =
                (1..).map(|number| if number == 1 { format!("{stem}.tc") } else { format!("{stem}-{number}.tc") });
            let is_free = |name: &String| !names.contains(&Some(name.clone()));
            let name = numbers.into_iter().find(is_free).filter(|_| !is_library);
            names.push(name);
        }
        let files = names.iter().enumerate();
        files.filter_map(|(at, name)| Some((name.clone()?, self.importing(at, &names)))).collect()
    }

    /// The text of a file with the new names in its imports.
    fn importing(&self, part: usize, names: &[Option<String>]) -> String {
        let place = self.parts[part].span.range();
        let mut text = self.text[place.clone()].to_owned();
        for import in parser::parse_in(&self.text, self.parts[part].span).0.imports.into_iter().rev() {
            let renamed = self.meanings.get(&(part, import.path)).and_then(|to| names[*to].as_ref());
            if let Some(name) = renamed {
                let quoted = import.span.range();
                text.replace_range(quoted.start - place.start..quoted.end - place.start, &format!("\"{name}\""));
            }
        }
        text
    }

    /// Whether the import `path` of file number `part` was found.
    pub(crate) fn has(&self, part: usize, path: &str) -> bool {
        self.meanings.contains_key(&(part, path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_and_may_import_each_other() {
        let files = BTreeMap::from([("a.tc", "import \"b.tc\" let X = 1\n"), ("b.tc", "import \"a.tc\"\nlet Y = 2")]);
        let mut read = |_: &str, path: &str| Some((path.to_owned(), (*files.get(path)?).to_owned()));
        let sources = Sources::load("main.tc", "import \"a.tc\"\nimport \"none.tc\"", &mut read);
        let names: Vec<&str> = sources.parts().iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["main.tc", "a.tc", "b.tc"]);
        assert!(sources.has(0, "a.tc") && sources.has(2, "a.tc") && !sources.has(0, "none.tc"));
        let at = sources.text().find("Y = 2").unwrap();
        assert_eq!(sources.part_at(Span::new(at, at + 1)).map(|part| part.name.as_str()), Some("b.tc"));
    }

    #[test]
    fn files_lie_in_one_folder_under_new_names() {
        let files = BTreeMap::from([
            ("x/a.tc", "import \"../a.tc\" let X = 1\n"),
            ("a.tc", "import \"std/image\"\nlet Y = 2"),
            ("mm.tc", "import \"x/a.tc\""),
        ]);
        let mut read = |_: &str, path: &str| {
            let path = path.trim_start_matches("../");
            Some((path.to_owned(), (*files.get(path)?).to_owned()))
        };
        let root = "import \"x/a.tc\"\nimport \"mm.tc\" # as \"x/a.tc\"\nimport \"none.tc\"\n";
        let sources = Sources::load("../mm.tc", root, &mut read);
        let flat = sources.in_one_folder("mm.tc");
        let flat: Vec<(&str, &str)> = flat.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let expected = [
            ("mm.tc", "import \"a.tc\"\nimport \"mm-2.tc\" # as \"x/a.tc\"\nimport \"none.tc\"\n"),
            ("a.tc", "import \"a-2.tc\" let X = 1\n"),
            ("mm-2.tc", "import \"a.tc\""),
            ("a-2.tc", "import \"std/image\"\nlet Y = 2"),
        ];
        assert_eq!(flat, expected);
        let mut read = |_: &str, path: &str| {
            flat.iter().find(|(name, _)| *name == path).map(|(name, text)| ((*name).into(), (*text).into()))
        };
        let again = Sources::load("mm.tc", flat[0].1, &mut read);
        assert_eq!(again.in_one_folder("mm.tc"), sources.in_one_folder("mm.tc"));
    }
}

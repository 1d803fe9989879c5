//! Every code has one page, and the page's examples do what it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use frontend_tc::codes::{PAGES, Page};
use frontend_tc::{check, explain};

/// The codes in the sources outside of the pages.
fn used(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("codes") {
            used(&path, codes);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("\"TC0") {
                codes.insert(text[at + 1..at + 7].to_owned());
            }
        }
    }
}

#[test]
fn pages_and_uses_agree() {
    let mut codes = BTreeSet::new();
    used(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut codes);
    let pages: Vec<&str> = PAGES.iter().map(|page| page.code).collect();
    assert!(pages.windows(2).all(|pair| pair[0] < pair[1]), "ascending, each once");
    assert_eq!(pages, codes.iter().map(String::as_str).collect::<Vec<_>>());
}

/// The wrong example, in full where the page can only hint at it.
fn wrong(page: &Page) -> String {
    match page.code {
        "TC0001" => " ".repeat((4 << 20) + 1),
        "TC0002" => format!("def f(float(N) {}) -> (B) {{ B(i) = 0 where i in 0:1 }}", "a".repeat(257)),
        "TC0003" => format!("def f(float(N) A) -> (B) {{ B(i) = {}A(i){} }}", "(".repeat(201), ")".repeat(201)),
        "TC0007" => "$ ".repeat(101) + page.right,
        "TC0009" => {
            let doubled: Vec<String> = (2..=20).map(|at| format!("x{at} = x{} + x{}", at - 1, at - 1)).collect();
            format!("def f(float(N) A) -> (B) {{ B(i) = x20 where x1 = A(i), {} }}", doubled.join(", "))
        }
        "TC0015" => format!("def f(float(N) A) -> (B) {{ B(i) = A({}i) }}", "i, ".repeat(1000)),
        _ => page.wrong.to_owned(),
    }
}

#[test]
fn wrong_examples_give_their_code_and_right_ones_nothing() {
    let mut faults = Vec::new();
    for page in PAGES {
        let checked = check(&wrong(page));
        let codes: BTreeSet<&str> = match page.code {
            "TC0501" => checked.defs[0].check_sizes(&[5]).iter().map(|diagnostic| diagnostic.code).collect(),
            _ => checked.diagnostics.iter().map(|diagnostic| diagnostic.code).collect(),
        };
        let expected: BTreeSet<&str> = match page.code {
            "TC0007" => BTreeSet::from(["TC0004", "TC0007"]),
            code => BTreeSet::from([code]),
        };
        if codes != expected {
            faults.push(format!("{}: {} gives {codes:?}", page.code, page.wrong));
        }
        faults
            .extend(checked.diagnostics.iter().filter(|one| one.help.is_none()).map(|one| format!("no help: {one:?}")));
        let corrected = check(page.right).diagnostics;
        faults.extend(corrected.iter().map(|diagnostic| format!("{}: {} gives {diagnostic:?}", page.code, page.right)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_page_reads_well() {
    let page = explain("TC0403").unwrap().to_string();
    assert!(page.starts_with("TC0403: a range is empty\n"));
    assert!(page.contains("\n    def f(float(N) A) -> (B) { B(i) = A(i) where i in 8:4 }\n"));
    assert_eq!(explain("TC9999"), None);
}

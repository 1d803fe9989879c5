//! The grammar for editors knows the words that the lexer knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use frontend_tc::ast::ScalarType;
use frontend_tc::lexer::KEYWORDS;
use polyhedral::Builtin;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("editors/vscode")
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The alternatives of a rule `\b(a|b|c)\b`.
fn words(grammar: &Value, rule: &str) -> BTreeSet<String> {
    let pattern = grammar["repository"][rule]["match"].as_str().unwrap_or_else(|| panic!("no rule `{rule}`"));
    let inside = pattern.strip_prefix("\\b(").and_then(|rest| rest.split_once(')')).expect("a list of words").0;
    inside.split('|').map(str::to_owned).collect()
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_words_are_those_of_the_lexer() {
    let grammar = json(&folder().join("syntaxes/tc.tmLanguage.json"));
    // Words that are keywords in their place and names elsewhere.
    let contextual = ["for", "let", "import"];
    let mut keywords = words(&grammar, "keyword");
    keywords.extend(words(&grammar, "constant"));
    assert_eq!(keywords, set(KEYWORDS.into_iter().chain(contextual)));
    let types = words(&grammar, "type");
    let spellings = ScalarType::ALL.iter().map(|(name, _)| *name);
    assert_eq!(types, set(spellings.chain(["float32", "float64"])));
    assert!(types.iter().all(|name| ScalarType::from_name(name).is_some()));
    assert_eq!(words(&grammar, "builtin"), set(Builtin::ALL.iter().map(|builtin| builtin.name())));
}

#[test]
fn every_rule_is_used_and_every_file_is_there() {
    let grammar = json(&folder().join("syntaxes/tc.tmLanguage.json"));
    let rules = grammar["repository"].as_object().expect("rules").keys().map(|name| format!("#{name}"));
    let used = grammar["patterns"].as_array().expect("patterns").iter().map(|include| include["include"].to_string());
    let used: BTreeSet<String> = used.map(|name| name.trim_matches('"').to_owned()).collect();
    assert_eq!(used, rules.collect());
    let package = json(&folder().join("package.json"));
    let contributes = &package["contributes"];
    assert_eq!(contributes["grammars"][0]["scopeName"], grammar["scopeName"]);
    for file in [&contributes["grammars"][0]["path"], &contributes["languages"][0]["configuration"]] {
        json(&folder().join(file.as_str().expect("a path").trim_start_matches("./")));
    }
}

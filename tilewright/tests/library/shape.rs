//! Shapes as the comments of the library write them: `O(N, C, (H-R)/2+1)`.

use std::collections::BTreeMap;

/// The results that the comment before `def name(` promises: after its last colon, each with its sizes.
pub fn documented(text: &str, name: &str, sizes: &BTreeMap<String, i64>) -> Vec<(String, Vec<usize>)> {
    let (before, _) = text.split_once(&format!("def {name}(")).expect("the definition is there");
    let lines: Vec<&str> = before.lines().rev().take_while(|line| line.starts_with("# ")).collect();
    let comment: String = lines.iter().rev().map(|line| line.trim_start_matches("# ").to_owned() + " ").collect();
    let (_, shapes) = comment.rsplit_once(": ").unwrap_or_else(|| panic!("{name}: no shape in the comment: {comment}"));
    let mut reader = Reader { rest: shapes.trim(), sizes };
    let mut results = Vec::new();
    while !matches!(reader.rest, "" | ".") {
        let result = reader.word();
        let extents = if reader.eat("(") { reader.list() } else { Vec::new() };
        // What follows in words is for people: `a scalar`, `whole numbers`.
        if result.starts_with(char::is_uppercase) {
            results.push((result, extents.into_iter().map(|extent| extent.max(0) as usize).collect()));
        }
        while !reader.rest.is_empty() && !reader.eat(", ") {
            reader.skip();
        }
    }
    results
}

struct Reader<'a> {
    rest: &'a str,
    sizes: &'a BTreeMap<String, i64>,
}

impl Reader<'_> {
    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn word(&mut self) -> String {
        let end = self.rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn list(&mut self) -> Vec<i64> {
        let mut all = vec![self.sum()];
        while self.eat(", ") {
            all.push(self.sum());
        }
        assert!(self.eat(")"), "a list ends at: {}", self.rest);
        all
    }

    fn sum(&mut self) -> i64 {
        let mut total = self.product();
        loop {
            if self.eat("+") {
                total += self.product();
            } else if self.eat("-") {
                total -= self.product();
            } else {
                return total;
            }
        }
    }

    fn product(&mut self) -> i64 {
        let mut total = self.atom();
        loop {
            if self.eat("*") {
                total *= self.atom();
            } else if self.eat("/") {
                total = total.div_euclid(self.atom());
            } else {
                return total;
            }
        }
    }

    fn atom(&mut self) -> i64 {
        if self.eat("(") {
            let inner = self.sum();
            assert!(self.eat(")"), "a bracket ends at: {}", self.rest);
            return inner;
        }
        let word = self.word();
        word.parse().unwrap_or_else(|_| *self.sizes.get(&word).unwrap_or_else(|| panic!("no size is called `{word}`")))
    }
}

//! The text of a formula, written and read.

use super::{Formula, FormulaError};
use std::fmt;
use std::str::FromStr;

/// Brackets and functions inside of each other, at most.
const MOST_NESTED: usize = 200;

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Formula::Add(a, b) => {
                a.fmt(f)?;
                let (sign, b) = match b.to_string() {
                    text if matches!(**b, Formula::Add(..)) => (" + ", format!("({text})")),
                    text => match text.strip_prefix('-') {
                        Some(rest) => (" - ", rest.to_owned()),
                        None => (" + ", text),
                    },
                };
                write!(f, "{sign}{b}")
            }
            Formula::Mul(a, b) => {
                factor(f, a, false)?;
                f.write_str("*")?;
                factor(f, b, true)
            }
            Formula::Const(value) => value.fmt(f),
            Formula::Size(name) => f.write_str(name),
            Formula::FloorDiv(a, c) => {
                f.write_str("floor(")?;
                match **a {
                    Formula::Add(..) => write!(f, "({a})/{c})"),
                    _ => write!(f, "{a}/{c})"),
                }
            }
            Formula::Mod(a, c) => write!(f, "mod({a}, {c})"),
            Formula::Min(a, b) => write!(f, "min({a}, {b})"),
            Formula::Max(a, b) => write!(f, "max({a}, {b})"),
            Formula::Select(a, b, c) => write!(f, "if({a} >= 0, {b}, {c})"),
        }
    }
}

/// A factor of a product, in brackets where it would be read as another one.
fn factor(f: &mut fmt::Formatter<'_>, part: &Formula, is_second: bool) -> fmt::Result {
    match part {
        Formula::Add(..) => write!(f, "({part})"),
        Formula::Mul(..) if is_second => write!(f, "({part})"),
        _ => write!(f, "{part}"),
    }
}

impl FromStr for Formula {
    type Err = FormulaError;

    fn from_str(text: &str) -> Result<Formula, FormulaError> {
        let wrong = |reason: String| {
            let shown: String = text.chars().take(80).collect();
            FormulaError { text: shown, reason }
        };
        if text.len() > Formula::MOST_BYTES {
            return Err(wrong(format!("it is longer than {} bytes", Formula::MOST_BYTES)));
        }
        let mut reader = Reader { rest: text, nested: 0 };
        let formula = reader.sum().map_err(wrong)?;
        reader.skip();
        if reader.rest.is_empty() { Ok(formula) } else { Err(wrong(format!("`{}` is left over", reader.rest))) }
    }
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
    nested: usize,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn takes(&mut self, token: &str) -> bool {
        self.skip();
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, token: &str) -> Read<()> {
        if self.takes(token) { Ok(()) } else { Err(format!("expected `{token}` before `{}`", self.rest)) }
    }

    fn sum(&mut self) -> Read<Formula> {
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return Err("it is nested too deeply".into());
        }
        let mut sum = self.product(false)?;
        loop {
            let negative = if self.takes("+") {
                false
            } else if self.takes("-") {
                true
            } else {
                break;
            };
            sum = Formula::Add(Box::new(sum), Box::new(self.product(negative)?));
        }
        self.nested -= 1;
        Ok(sum)
    }

    /// `negative`: behind a minus, which belongs to the number that has to follow.
    fn product(&mut self, negative: bool) -> Read<Formula> {
        let mut product = match (negative, self.factor(negative)?) {
            (true, first) if first.as_const().is_none() => Formula::Mul(Box::new(Formula::Const(-1)), Box::new(first)),
            (_, first) => first,
        };
        while self.takes("*") {
            product = Formula::Mul(Box::new(product), Box::new(self.factor(false)?));
        }
        Ok(product)
    }

    fn factor(&mut self, negative: bool) -> Read<Formula> {
        if self.takes("(") {
            let inner = self.sum()?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.skip();
        let is_digit = |at: usize| self.rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        if is_digit(0) || (!negative && self.rest.starts_with('-') && is_digit(1)) {
            return self.number(negative).map(Formula::Const);
        }
        if !negative && self.takes("-") {
            return self.product(true);
        }
        let name = self.word(|c| c.is_alphanumeric() || c == '_')?;
        if !self.takes("(") {
            return Ok(Formula::Size(name.into()));
        }
        let call = self.call(name)?;
        self.expect(")")?;
        Ok(call)
    }

    /// The arguments of a function.
    fn call(&mut self, name: &str) -> Read<Formula> {
        let first = Box::new(self.sum()?);
        match name {
            "floor" => {
                self.expect("/")?;
                Ok(Formula::FloorDiv(first, self.divisor()?))
            }
            "mod" => {
                self.expect(",")?;
                Ok(Formula::Mod(first, self.divisor()?))
            }
            "min" | "max" => {
                self.expect(",")?;
                let second = Box::new(self.sum()?);
                Ok(if name == "min" { Formula::Min(first, second) } else { Formula::Max(first, second) })
            }
            "if" => {
                self.expect(">=")?;
                self.expect("0")?;
                self.expect(",")?;
                let then = Box::new(self.sum()?);
                self.expect(",")?;
                Ok(Formula::Select(first, then, Box::new(self.sum()?)))
            }
            _ => Err(format!("there is no function `{name}`")),
        }
    }

    fn divisor(&mut self) -> Read<i64> {
        self.skip();
        match self.number(false)? {
            divisor if divisor >= 1 => Ok(divisor),
            divisor => Err(format!("the divisor {divisor} is less than 1")),
        }
    }

    fn number(&mut self, negative: bool) -> Read<i64> {
        let minus = self.rest.starts_with('-');
        self.rest = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let digits = self.word(|c| c.is_ascii_digit())?;
        let sign = if negative || minus { "-" } else { "" };
        format!("{sign}{digits}").parse().map_err(|_| format!("{digits} has more than 64 bits"))
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> Read<&'a str> {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(match rest.chars().next() {
                Some(c) => format!("`{c}` does not belong there"),
                None => "it ends too early".into(),
            });
        }
        self.rest = rest;
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_formula() -> impl Strategy<Value = Formula> {
        let leaf = prop_oneof![
            (-9i64..9).prop_map(Formula::Const),
            any::<i64>().prop_map(Formula::Const),
            prop_oneof![Just("M"), Just("N_1"), Just("floor")].prop_map(|name| Formula::Size(name.into())),
        ];
        leaf.prop_recursive(6, 40, 3, |part| {
            let boxed = || part.clone().prop_map(Box::new);
            let divisor = 1i64..100;
            prop_oneof![
                (boxed(), boxed()).prop_map(|(a, b)| Formula::Add(a, b)),
                (boxed(), boxed()).prop_map(|(a, b)| Formula::Mul(a, b)),
                (boxed(), divisor.clone()).prop_map(|(a, c)| Formula::FloorDiv(a, c)),
                (boxed(), divisor).prop_map(|(a, c)| Formula::Mod(a, c)),
                (boxed(), boxed()).prop_map(|(a, b)| Formula::Min(a, b)),
                (boxed(), boxed()).prop_map(|(a, b)| Formula::Max(a, b)),
                (boxed(), boxed(), boxed()).prop_map(|(a, b, c)| Formula::Select(a, b, c)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(formula in any_formula()) {
            prop_assert_eq!(formula.to_string().parse::<Formula>(), Ok(formula));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+*/(), 0-9MNfloorminax_>=]{0,60}") {
            let _ = text.parse::<Formula>();
        }
    }

    #[test]
    fn texts_are_what_people_write() {
        let of = |text: &str| text.parse::<Formula>().unwrap();
        for text in ["N - 2", "64*floor((4*M*K + 63)/64)", "min(N, 4) - 3*M", "if(N - 4 >= 0, mod(N, 4), -1)"] {
            assert_eq!(of(text).to_string(), text);
        }
        let sizes = |name: &str| (name == "N").then_some(-7);
        for (text, value) in [
            ("floor(N/4)", Some(-2)),
            ("mod(N, 4)", Some(1)),
            ("N - N*2", Some(7)),
            ("-(N + 1)", Some(6)),
            ("if(N >= 0, 1, 2)", Some(2)),
            ("max(N, 3) - min(N, 3)", Some(10)),
            ("9223372036854775807 - N", None),
            ("M", None),
        ] {
            assert_eq!(of(text).value(&sizes), value, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, reason) in [
            ("", "it ends too early"),
            ("M +", "it ends too early"),
            ("M N", "`N` is left over"),
            ("floor(M/0)", "less than 1"),
            ("floor(M, 3)", "expected `/`"),
            ("sin(M)", "no function `sin`"),
            ("9223372036854775808", "more than 64 bits"),
            (&"(".repeat(2000), "nested too deeply"),
            (&" + M".repeat(9000)[3..], "longer than"),
        ] {
            let error = text.parse::<Formula>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}

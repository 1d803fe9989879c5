//! What text may reach isl: its parser recurses, so nesting, length and numbers are bounded here. Statement names
//! hold dots (`C.update`), which isl's lexer does not know: they travel as `'.`-free identifiers and come back.

use super::{Error, Result};

const MAX_TEXT: usize = 1 << 20;
const MAX_DEPTH: usize = 64;
/// Those of the products of two 64-bit numbers, which what is made of a program may hold.
const MAX_DIGITS: usize = 38;

/// A text for isl: its dots inside identifiers replaced by a stand-in that it does not hold elsewhere.
pub(super) struct Admitted {
    pub text: String,
    /// `None` where there was nothing to replace.
    pub dot: Option<String>,
}

/// Checks the bounds and replaces the dots inside identifiers.
pub(super) fn admit(text: &str) -> Result<Admitted> {
    if text.len() > MAX_TEXT {
        return Err(Error::Text("longer than 1 MiB"));
    }
    if text.bytes().any(|byte| byte == 0 || !byte.is_ascii()) {
        return Err(Error::Text("not plain ASCII"));
    }
    bound_depth_and_digits(text)?;
    let dot = stand_in(text);
    let replaced = replace_dots(text, &dot);
    let dot = (replaced != text).then_some(dot);
    Ok(Admitted { text: replaced, dot })
}

/// A name may hold anything, so that what stands for a dot is one of several.
fn stand_in(text: &str) -> String {
    let names = std::iter::once("__dot__".into()).chain((1..).map(|number| format!("__dot{number}__")));
    names.into_iter().find(|name: &String| !text.contains(name)).expect("a text holds finitely many")
}

fn bound_depth_and_digits(text: &str) -> Result<()> {
    // Digits inside a name are part of the name.
    let (mut depth, mut digits, mut in_name) = (0usize, 0usize, false);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        in_name = byte.is_ascii_alphabetic() || byte == b'_' || (in_name && byte.is_ascii_digit());
        digits = if byte.is_ascii_digit() && !in_name { digits + 1 } else { 0 };
        if depth > MAX_DEPTH {
            return Err(Error::Text("nested deeper than 64"));
        }
        if digits > MAX_DIGITS {
            return Err(Error::Text("a number of more than 38 digits"));
        }
    }
    Ok(())
}

fn replace_dots(text: &str, dot: &str) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (at, &byte) in bytes.iter().enumerate() {
        let inside =
            byte == b'.' && at > 0 && is_name(bytes[at - 1]) && bytes.get(at + 1).copied().is_some_and(is_name);
        if inside { out.push_str(dot) } else { out.push(byte as char) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_dot_is_in_no_name() {
        let admitted = admit("{ C.update[__dot__] -> [__dot1__] }").expect("admitted");
        assert_eq!(admitted.text, "{ C__dot2__update[__dot__] -> [__dot1__] }");
        assert_eq!(admitted.dot.as_deref(), Some("__dot2__"));
        assert_eq!(admit("{ A.b[i] }").expect("admitted").dot.as_deref(), Some("__dot__"));
        assert_eq!(admit("{ A[i] }").expect("admitted").dot, None);
    }

    #[test]
    fn long_numbers_are_refused_and_long_names_are_not() {
        let long = "9".repeat(39);
        assert!(admit(&format!("[N{long}] -> {{ [i] : i < N{long} }}")).is_ok());
        assert!(admit("{ [i] : i < 9223372036854775808 }").is_ok());
        assert!(admit(&format!("{{ [i] : i < {long} }}")).is_err());
        assert!(admit(&format!("{{ [i] : i < {long}N }}")).is_err());
    }
}

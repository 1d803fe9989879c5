//! Values of JSON (RFC 8259), without fractions: what a manifest is written with.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Value>),
    /// Names with values.
    Object(Vec<(String, Value)>),
}

/// Lists and objects inside of each other, at most.
const MOST_NESTED: usize = 64;

type Read<T> = Result<T, String>;

/// Reads a text.
pub(super) fn parse(text: &[u8]) -> Read<Value> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let mut reader = Reader { text, at: 0, nested: 0 };
    let value = reader.value()?;
    reader.skip();
    if reader.at == text.len() { Ok(value) } else { Err(reader.wrong("the end")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    nested: usize,
}

impl Reader<'_> {
    #[inline(never)]
    fn wrong(&self, expected: &str) -> String {
        let line = 1 + self.text.as_bytes()[..self.at].iter().filter(|byte| **byte == b'\n').count();
        format!("expected {expected} in line {line}")
    }

    fn skip(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, token: &str) -> bool {
        self.skip();
        let found = self.text.as_bytes()[self.at..].starts_with(token.as_bytes());
        if found {
            self.at += token.len();
        }
        found
    }

    #[inline(never)]
    fn value(&mut self) -> Read<Value> {
        self.skip();
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.int(),
            Some(b'[') => {
                let mut list = Vec::new();
                self.sequence("[", "]", &mut |reader| {
                    list.push(reader.value()?);
                    Ok(())
                })?;
                Ok(Value::List(list))
            }
            Some(b'{') => {
                let mut fields = Vec::new();
                self.sequence("{", "}", &mut |reader| {
                    reader.skip();
                    let name = reader.string()?;
                    if !reader.takes(":") {
                        return Err(reader.wrong("`:`"));
                    }
                    fields.push((name, reader.value()?));
                    Ok(())
                })?;
                Ok(Value::Object(fields))
            }
            _ if self.takes("null") => Ok(Value::Null),
            _ if self.takes("true") => Ok(Value::Bool(true)),
            _ if self.takes("false") => Ok(Value::Bool(false)),
            _ => Err(self.wrong("a value")),
        }
    }

    /// What is between two brackets, with commas between.
    #[inline(never)]
    fn sequence(&mut self, open: &str, close: &str, each: &mut dyn FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return Err(self.wrong("less that is nested"));
        }
        self.takes(open);
        if !self.takes(close) {
            loop {
                each(self)?;
                if self.takes(close) {
                    break;
                }
                if !self.takes(",") {
                    return Err(self.wrong("`,`"));
                }
            }
        }
        self.nested -= 1;
        Ok(())
    }

    fn int(&mut self) -> Read<Value> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '-' | '+' | '.' | '0'..='9' | 'e' | 'E')).unwrap_or(rest.len());
        let number = rest[..end].parse().map_err(|_| self.wrong("a whole number of 64 bits"))?;
        self.at += end;
        Ok(Value::Int(number))
    }

    #[inline(never)]
    fn string(&mut self) -> Read<String> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a text"));
        }
        self.at += 1;
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or_else(|| self.wrong("`\"`"))?;
            string.push_str(&rest[..end]);
            self.at += end + 1;
            match rest.as_bytes()[end] {
                b'"' => return Ok(string),
                b'\\' => string.push(self.escaped()?),
                _ => return Err(self.wrong("a text without control characters")),
            }
        }
    }

    /// The character behind a `\`.
    fn escaped(&mut self) -> Read<char> {
        let code = self.peek().ok_or_else(|| self.wrong("a character"))?;
        self.at += 1;
        Ok(match code {
            b'"' | b'\\' | b'/' => code as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let is_pair = (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u");
                let code = if is_pair {
                    self.at += 2;
                    0x10000 + ((first - 0xd800) << 10) + self.unit()?.wrapping_sub(0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or_else(|| self.wrong("a character"))?
            }
            _ => {
                self.at -= 1;
                return Err(self.wrong("an escape"));
            }
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Read<u32> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|it| it.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.wrong("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(ours: &Value, other: &serde_json::Value) -> bool {
        match (ours, other) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Value::Int(a), serde_json::Value::Number(b)) => {
                Some(*a) == b.as_i64() || (*a == 0 && b.as_f64() == Some(0.0))
            }
            (Value::Text(a), serde_json::Value::String(b)) => a == b,
            (Value::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
            }
            _ => false,
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |part| {
            prop_oneof![
                prop::collection::vec(part.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), part, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_another_writer_writes_is_read(json in any_json()) {
            for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
                prop_assert!(same(&parse(text.as_bytes()).unwrap(), &json), "{}", text);
            }
        }

        /// Whatever is taken, another reader takes too and finds the same in it.
        #[test]
        fn damaged_texts_are_read_as_another_reader_does(
            json in any_json(), at in 0.0..1.0f64, byte in 0u8..128, cut: bool,
        ) {
            let mut text = json.to_string().into_bytes();
            let place = (at * text.len() as f64) as usize;
            if cut { text.truncate(place) } else { text[place] = byte }
            if let (Ok(ours), Ok(other)) = (parse(&text), serde_json::from_slice::<serde_json::Value>(&text)) {
                let names = |value: &Value| matches!(value, Value::Object(..));
                prop_assert!(same(&ours, &other) || names(&ours), "{:?}", String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for (text, said) in [
            ("", "expected a value in line 1"),
            ("{\n\"a\" 1}", "expected `:` in line 2"),
            ("[1 2]", "expected `,`"),
            ("[1,]", "expected a value"),
            ("1.5", "a whole number"),
            ("\"a", "expected `\"`"),
            ("\"\\x\"", "an escape"),
            ("\"\\ud800\"", "a character"),
            ("\"\\u12\"", "four hexadecimal digits"),
            ("nul", "a value"),
            ("1 1", "the end"),
            (&"[".repeat(100), "less that is nested"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!(parse(br#""\ud83d\ude00\u00e9\n""#), Ok(Value::Text("\u{1f600}\u{e9}\n".into())));
        assert!(parse(b"\xff").is_err());
    }
}

//! JSON as Python's `json` module reads it, with the place of every value.

use std::ops::Range;

use exp_core::{Table, Value};

use crate::format::{Format, ParseError};

pub(crate) mod edit;

/// Values may be nested so deep, as in Python's default recursion limit.
const MAX_DEPTH: usize = 500;

/// A value and the bytes that it is written with.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) kind: Kind,
}

/// What a [`Node`] is.
#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(Value),
    List(Vec<Node>),
    /// Members in the order of the file; of duplicates the last one counts.
    Map(Vec<Member>),
}

/// A member of a map.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Kind::Map(members) => {
                let mut table = Table::with_capacity(members.len());
                for member in members {
                    table.insert(member.key.clone(), member.node.to_value());
                }
                Value::Table(table)
            }
        }
    }
}

/// Reads one JSON document; a byte order mark in front is skipped.
pub(crate) fn parse(text: &str) -> Result<Node, ParseError> {
    let mut reader = Reader { text, at: 0 };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    reader.skip_blank();
    let node = reader.value(0)?;
    reader.skip_blank();
    if reader.at < text.len() {
        return Err(reader.error("more text behind the document"));
    }
    Ok(node)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, message: &str) -> ParseError {
        ParseError::at(Format::Json, self.text, self.at, message)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.error("values are nested too deep"));
        }
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Kind::Scalar(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Kind::Scalar(self.number()?),
            Some(_) => Kind::Scalar(self.word()?),
            None => return Err(self.error("a value is missing")),
        };
        Ok(Node { span: start..self.at, kind })
    }

    fn word(&mut self) -> Result<Value, ParseError> {
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
        ] {
            if self.eat(word) {
                return Ok(value);
            }
        }
        Err(self.error("a value is missing"))
    }

    fn map(&mut self, depth: usize) -> Result<Kind, ParseError> {
        self.at += 1;
        let mut members = Vec::new();
        self.skip_blank();
        if self.eat("}") {
            return Ok(Kind::Map(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("a name in double quotes is missing"));
            }
            let start = self.at;
            let key = self.string()?;
            let key_span = start..self.at;
            self.skip_blank();
            if !self.eat(":") {
                return Err(self.error("a colon is missing"));
            }
            self.skip_blank();
            let node = self.value(depth + 1)?;
            members.push(Member { key, key_span, node });
            self.skip_blank();
            if self.eat("}") {
                return Ok(Kind::Map(members));
            }
            if !self.eat(",") {
                return Err(self.error("a comma or a closing brace is missing"));
            }
            self.skip_blank();
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, ParseError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blank();
        if self.eat("]") {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blank();
            if self.eat("]") {
                return Ok(Kind::List(items));
            }
            if !self.eat(",") {
                return Err(self.error("a comma or a closing bracket is missing"));
            }
            self.skip_blank();
        }
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        self.eat("-");
        if self.eat("Infinity") {
            return Ok(Value::Float(f64::NEG_INFINITY));
        }
        if !self.eat("0") && self.digits() == 0 {
            return Err(self.error("a digit is missing"));
        }
        let mut is_float = false;
        let fraction = self.at;
        if self.eat(".") {
            if self.digits() == 0 {
                self.at = fraction;
            } else {
                is_float = true;
            }
        }
        let exponent = self.at;
        if self.eat("e") || self.eat("E") {
            let _ = self.eat("+") || self.eat("-");
            if self.digits() == 0 {
                self.at = exponent;
            } else {
                is_float = true;
            }
        }
        let written = &self.text[start..self.at];
        let value = if is_float {
            written.parse().ok().map(Value::Float)
        } else {
            written.parse().ok().map(Value::Int)
        };
        value.ok_or_else(|| {
            ParseError::at(Format::Json, self.text, start, "the whole number is too large")
        })
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error("a control character inside text")),
                None => return Err(self.error("a closing quote is missing")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let kind = self.text.as_bytes().get(self.at + 1).copied();
        let simple = match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an unknown escape")),
        };
        self.at += 2;
        Ok(simple)
    }

    fn unicode(&mut self) -> Result<char, ParseError> {
        let first = self.hex4(self.at)?;
        let mut code = u32::from(first);
        let mut len = 6;
        if (0xd800..0xdc00).contains(&first) {
            let second =
                self.text[self.at + 6..].starts_with("\\u").then(|| self.hex4(self.at + 6));
            if let Some(Ok(second @ 0xdc00..0xe000)) = second {
                code = 0x10000 + ((code - 0xd800) << 10) + (u32::from(second) - 0xdc00);
                len = 12;
            }
        }
        let c = char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))?;
        self.at += len;
        Ok(c)
    }

    /// Reads the four digits of the `\uXXXX` that starts at `at`.
    fn hex4(&self, at: usize) -> Result<u16, ParseError> {
        self.text
            .get(at + 2..at + 6)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.error("an escape without four hexadecimal digits"))
    }
}

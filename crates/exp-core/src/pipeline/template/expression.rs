//! Finding and parsing expressions, and writing their values.

use std::borrow::Cow;

use crate::float::python_float;
use crate::value::{KeyPath, Value};

/// Whether `text` has an expression to replace.
pub(in super::super) fn has_template(text: &str) -> bool {
    Matches::of(text).next().is_some()
}

/// Whether resolving may change anything.
pub(in super::super) fn is_template(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.contains("${"),
        Value::List(items) => items.iter().any(is_template),
        Value::Table(table) => {
            table.iter().any(|(key, value)| key.contains("${") || is_template(value))
        }
        _ => false,
    }
}

/// Writes a scalar as DVC does inside of a text: Python's `str`, but `true` and `false`. Empty for lists and maps.
pub(in super::super) fn to_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed("None"),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Float(number) => Cow::Owned(python_float(*number)),
        Value::Text(text) | Value::Date(text) => Cow::Borrowed(text),
        Value::List(_) | Value::Table(_) => Cow::Borrowed(""),
    }
}

/// The places of `${…}`: those not behind a backslash, closed on the same line.
pub(super) struct Matches<'t> {
    text: &'t str,
    from: usize,
}

impl<'t> Matches<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, from: 0 }
    }
}

impl Iterator for Matches<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        loop {
            let start = self.from + self.text[self.from..].find("${")?;
            self.from = start + 2;
            if self.text[..start].ends_with('\\') {
                continue;
            }
            let rest = &self.text[self.from..];
            if let Some(close) = rest.find(['}', '\n'])
                && rest.as_bytes()[close] == b'}'
            {
                self.from += close + 1;
                return Some((start, self.from));
            }
        }
    }
}

/// Parses `a.b[0].c`.
pub(super) fn parse_expression(text: &str) -> Option<KeyPath> {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text.trim();
    loop {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        if word.is_empty() {
            return None;
        }
        parts.push(word.trim().to_owned());
        rest = tail;
        while let Some(tail) = rest.strip_prefix('[') {
            let (word, tail) = tail.split_once(']')?;
            if word.is_empty() || word.contains(['.', '[']) {
                return None;
            }
            parts.push(word.trim().to_owned());
            rest = tail;
        }
        if rest.is_empty() {
            return Some(KeyPath::from_parts(parts));
        }
        rest = rest.strip_prefix('.')?;
    }
}

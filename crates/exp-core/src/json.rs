//! JSON as Python's `json.dumps` writes it: what DVC digests.

use std::fmt::Write as _;

use crate::float::python_float;
use crate::value::{Table, Value};

/// In which order the members of maps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// By code point, as with `sort_keys=True`: the form that is digested.
    Sorted,
    /// As they stand.
    AsIs,
}

/// Writes `value` as Python's `json.dumps` does by default: `", "` and `": "` between items, everything beyond ASCII
/// escaped, `NaN` and `Infinity` for numbers that JSON does not have, no final newline.
///
/// A date is written as text; Python would refuse it.
pub fn python_json(value: &Value, order: KeyOrder) -> String {
    let mut out = String::new();
    write_value(&mut out, value, order);
    out
}

/// Writes `value` as `json.dumps` does with `indent=4`: an item a line, members as they stand, no final newline.
pub fn indented_python_json(value: &Value) -> String {
    let mut out = String::new();
    write_indented(&mut out, value, 0);
    out
}

fn write_indented(out: &mut String, value: &Value, depth: usize) {
    let item = |out: &mut String, index: usize| {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        out.push_str(&"    ".repeat(depth + 1));
    };
    let (open, close) = match value {
        Value::List(items) if !items.is_empty() => ('[', ']'),
        Value::Table(table) if !table.is_empty() => ('{', '}'),
        value => return write_value(out, value, KeyOrder::AsIs),
    };
    out.push(open);
    match value {
        Value::List(items) => {
            for (index, value) in items.iter().enumerate() {
                item(out, index);
                write_indented(out, value, depth + 1);
            }
        }
        Value::Table(table) => {
            for (index, (key, value)) in table.iter().enumerate() {
                item(out, index);
                write_text(out, key);
                out.push_str(": ");
                write_indented(out, value, depth + 1);
            }
        }
        _ => {}
    }
    out.push('\n');
    out.push_str(&"    ".repeat(depth));
    out.push(close);
}

/// Appends to `out` what [`python_json`] returns, for documents that are put together of parts.
pub fn write_python_json(out: &mut String, value: &Value, order: KeyOrder) {
    write_value(out, value, order);
}

/// Appends a text to `out` as [`python_json`] writes it, quotes included.
pub fn write_python_text(out: &mut String, text: &str) {
    write_text(out, text);
}

fn write_value(out: &mut String, value: &Value, order: KeyOrder) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&match number {
            number if number.is_nan() => "NaN".to_owned(),
            number if number.is_infinite() && *number > 0.0 => "Infinity".to_owned(),
            number if number.is_infinite() => "-Infinity".to_owned(),
            number => python_float(*number),
        }),
        Value::Text(text) | Value::Date(text) => write_text(out, text),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_value(out, item, order);
            }
            out.push(']');
        }
        Value::Table(table) => write_table(out, table, order),
    }
}

fn write_table(out: &mut String, table: &Table, order: KeyOrder) {
    let mut members: Vec<(&String, &Value)> = table.iter().collect();
    if order == KeyOrder::Sorted {
        members.sort_by_key(|(key, _)| *key);
    }
    out.push('{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_text(out, key);
        out.push_str(": ");
        write_value(out, value, order);
    }
    out.push('}');
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    // Most texts are names and numbers, of which nothing is escaped.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a text cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = Value::Table(Table::from([
            ("b".to_owned(), Value::List(vec![Value::Int(1), Value::Float(1e-5), Value::Null])),
            ("a".to_owned(), Value::from("é\u{7f}\n\"\\/\u{1F600}")),
            ("n".to_owned(), Value::Float(f64::NAN)),
            ("t".to_owned(), Value::table()),
        ]));
        assert_eq!(
            python_json(&value, KeyOrder::Sorted),
            r#"{"a": "\u00e9\u007f\n\"\\/\ud83d\ude00", "b": [1, 1e-05, null], "n": NaN, "t": {}}"#
        );
        assert!(python_json(&value, KeyOrder::AsIs).starts_with(r#"{"b": [1"#));
        let train = Table::from([
            ("acc".to_owned(), Value::Float(0.5)),
            ("none".to_owned(), Value::table()),
            ("list".to_owned(), Value::List(vec![Value::Int(1), Value::Int(2)])),
        ]);
        let nested = Value::Table(Table::from([
            ("train".to_owned(), Value::Table(train)),
            ("step".to_owned(), Value::Int(3)),
        ]));
        assert_eq!(
            indented_python_json(&nested),
            "{\n    \"train\": {\n        \"acc\": 0.5,\n        \"none\": {},\n        \"list\": [\n            1,\n            \
             2\n        ]\n    },\n    \"step\": 3\n}"
        );
    }
}

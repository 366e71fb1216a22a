//! A map in a command: `--key value`.

use crate::value::{Table, Value};

use super::super::ArgumentStyle;
use super::super::error::Broken;
use super::{not_scalar, to_text};

/// Writes a map as arguments of a command: `--key value`, nested keys with dots.
pub(super) fn arguments(
    table: &Table,
    style: ArgumentStyle,
    expression: &str,
) -> Result<String, Broken> {
    let mut words = Vec::new();
    add_arguments(table, "", style, expression, &mut words)?;
    Ok(words.join(" "))
}

fn add_arguments(
    table: &Table,
    prefix: &str,
    style: ArgumentStyle,
    expression: &str,
    words: &mut Vec<String>,
) -> Result<(), Broken> {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Bool(true) => words.push(format!("--{key}")),
            Value::Bool(false) if style.negated => words.push(format!("--no-{key}")),
            Value::Bool(false) => {}
            Value::Table(inner) => {
                add_arguments(inner, &format!("{key}."), style, expression, words)?;
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if matches!(item, Value::List(_) | Value::Table(_)) {
                        return Err(not_scalar(&format!("{expression}.{key}"), item));
                    }
                    if index == 0 || style.repeated {
                        words.push(format!("--{key}"));
                    }
                    words.push(argument(item));
                }
            }
            value => {
                words.push(format!("--{key}"));
                words.push(argument(value));
            }
        }
    }
    Ok(())
}

fn argument(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        // Inside of lists DVC leaves Python's own spelling.
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        value => to_text(value).into_owned(),
    }
}

/// Quotes a word for a POSIX shell as Python's `shlex.quote` does.
fn quoted(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

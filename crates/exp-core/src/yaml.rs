//! YAML as DVC reads and writes it with ruamel.yaml: scalars by its rules, positions for errors and editors, and text
//! that is byte-identical (formats: sections 2 and 3).
//!
//! Reading goes over the events of a YAML parser and builds a [`YamlNode`] tree. Documents of the plain shape
//! that DVC itself writes take a shortcut that yields the same values several times faster; whatever it does not
//! know goes the long way.

mod emit;
mod fast;
mod node;
mod patch;
mod read;
mod scalar;

pub(crate) use emit::emit_block;
pub use emit::emit_yaml;
pub use node::{YamlEntry, YamlKind, YamlNode, YamlSpan, YamlStyle};
pub(crate) use patch::{Edits, apply, entry_lines, patch_map, patched};

use crate::value::Value;

/// A text that is not valid YAML, or not to DVC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there, lower case, without the position.
    pub message: String,
}

/// Reads a document. One that is empty, `null`, `[]`, `0`, `false` or `''` is an empty map, as for DVC.
///
/// # Errors
///
/// For broken YAML, several documents, duplicate keys, unknown tags, keys that are lists or maps, aliases that grow
/// beyond a million values, whole numbers beyond 128 bits, dates that do not exist.
pub fn parse_yaml(text: &str) -> Result<Value, SyntaxError> {
    let value = match fast::parse(text) {
        Some(value) => value,
        None => read::document(text)?.into_value()?,
    };
    Ok(if is_falsy(&value) { Value::table() } else { value })
}

/// Reads a document and keeps where everything stands. An empty document is a null scalar.
///
/// # Errors
///
/// As for [`parse_yaml`].
pub fn parse_yaml_spanned(text: &str) -> Result<YamlNode, SyntaxError> {
    let node = read::document(text)?;
    // What only shows when aliases and merge keys are resolved.
    node.to_value()?;
    Ok(node)
}

/// Returns where the member or item at `path` is: of a member, its key. When the text ends before the path does, the
/// last part that exists; the start of the document when it cannot be read.
pub(crate) fn locate(text: &str, path: &[String]) -> YamlSpan {
    let start = YamlSpan { start: 0, end: 0, line: 1, column: 1 };
    let Ok(root) = read::document(text) else { return start };
    let mut node = &root;
    let mut span = node.span;
    for part in path {
        if let Some(entry) = node.entry(part) {
            span = entry.key.span;
            node = &entry.value;
        } else if let Some(item) =
            part.parse().ok().and_then(|index: usize| node.items()?.get(index))
        {
            span = item.span;
            node = item;
        } else {
            break;
        }
    }
    span
}

/// Reads a document and keeps where everything stands, without a look at what aliases grow to.
pub(crate) fn read_document(text: &str) -> Result<YamlNode, SyntaxError> {
    read::document(text)
}

/// Returns whether `key`, written without quotes, is something else than text: `1`, `true`, `null`.
pub(crate) fn may_be_no_text(key: &str) -> bool {
    scalar::kind(key, scalar::Version::V1_2) != scalar::Kind::Text
}

/// Returns the type of the key at `path`, when it is no text. Looks through aliases, not into merge keys.
pub(crate) fn type_of_key(text: &str, path: &[String]) -> Option<&'static str> {
    let root = read::document(text).ok()?;
    let (last, way) = path.split_last()?;
    let node = way.iter().try_fold(&root, |node, part| match node.entry(part) {
        Some(entry) => Some(&entry.value),
        None => node.items()?.get(part.parse::<usize>().ok()?),
    })?;
    match &node.entry(last)?.key.resolved().kind {
        YamlKind::Scalar(value) if value.as_text().is_none() => Some(value.type_name()),
        _ => None,
    }
}

/// Returns the line with the number `line`, from 1, without its end; empty when there is none.
pub(crate) fn line_of(text: &str, line: usize) -> String {
    line.checked_sub(1).and_then(|at| text.lines().nth(at)).unwrap_or_default().to_owned()
}

pub(crate) fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) => true,
        Value::Float(number) => *number == 0.0,
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

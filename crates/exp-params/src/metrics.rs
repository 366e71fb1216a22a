//! What of a file counts as a metric, and files as rows of dotted names.

use exp_core::{Table, Value};

use crate::format::is_false_in_python;

/// Returns what DVC takes for metrics: numbers, truth values, text, and maps of those.
///
/// Lists, nulls, dates, and maps of which nothing is left are dropped. A document that is a single value stays one;
/// one that Python finds false (`0`, empty text) is the empty map.
pub fn metrics(value: &Value) -> Value {
    match extract(value) {
        Some(kept) if !is_false_in_python(&kept) => kept,
        _ => Value::table(),
    }
}

fn extract(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => Some(value.clone()),
        Value::Table(table) => {
            let kept: Table = table
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), extract(value)?)))
                .filter(|(_, value)| value.as_table().is_none_or(|table| !table.is_empty()))
                .collect();
            Some(Value::Table(kept))
        }
        _ => None,
    }
}

/// Returns the leaves of a document with their dotted names, in the order of the file.
///
/// Lists are leaves, empty maps vanish, and a document that is a single value has the empty name.
pub fn flatten(value: &Value) -> Vec<(String, &Value)> {
    let mut leaves = Vec::new();
    match value {
        Value::Table(table) => walk(table, "", &mut leaves),
        value => leaves.push((String::new(), value)),
    }
    leaves
}

fn walk<'v>(table: &'v Table, prefix: &str, leaves: &mut Vec<(String, &'v Value)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => walk(table, &name, leaves),
            value => leaves.push((name, value)),
        }
    }
}

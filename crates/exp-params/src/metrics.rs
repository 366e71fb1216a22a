//! What of a file counts as a metric, and files as rows of dotted names.

use exp_core::{Table, Value};

/// Returns what DVC takes for metrics: numbers, truth values, text, and maps of those.
///
/// Lists, nulls, dates, and maps of which nothing is left are dropped. A document that is a single value stays one;
/// one that Python finds false (`0`, empty text) is the empty map.
pub fn metrics(value: &Value) -> Value {
    match extract(value) {
        Some(kept) if !kept.is_false_in_python() => kept,
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
    each_leaf(value, &mut |name, value| leaves.push((name.to_owned(), value)));
    leaves
}

/// Hands out what [`flatten`] returns, one after the other, without making a text of each name.
pub fn each_leaf<'v>(value: &'v Value, visit: &mut dyn FnMut(&str, &'v Value)) {
    match value {
        Value::Table(table) => walk(table, &mut String::new(), visit),
        value => visit("", value),
    }
}

fn walk<'v>(table: &'v Table, name: &mut String, visit: &mut dyn FnMut(&str, &'v Value)) {
    let length = name.len();
    for (key, value) in table {
        if length > 0 {
            name.push('.');
        }
        name.push_str(key);
        match value {
            Value::Table(table) => walk(table, name, visit),
            value => visit(name, value),
        }
        name.truncate(length);
    }
}

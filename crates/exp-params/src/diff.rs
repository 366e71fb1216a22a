//! What differs between two states of a parameter or metric file.

use std::collections::{BTreeMap, BTreeSet};

use exp_core::Value;

use crate::metrics::flatten;
use crate::number::python_str;

/// Whether values that did not change are listed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum All {
    /// List every value.
    Yes,
    /// List only what differs.
    No,
}

/// One value of a file in two states.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Dotted name of the value; empty when the whole file is one value.
    pub key: String,
    /// The value before; `None` when it was not there. Lists are their Python text.
    pub old: Option<Value>,
    /// The value after; `None` when it is not there. Lists are their Python text.
    pub new: Option<Value>,
    /// New minus old, when both are numbers. Truth values count as 0 and 1, as in Python.
    pub delta: Option<Value>,
}

/// Compares two states of a file as DVC does, and returns the changes sorted by name.
///
/// `None` is a file that is not there. Values are equal as Python finds them equal (`1`, `1.0` and `True` are), NaN
/// differs from everything, a missing value equals null, and lists are compared by their text. Files that are nothing
/// but a list of one item are compared by that item.
pub fn diff(old: Option<&Value>, new: Option<&Value>, all: All) -> Vec<Change> {
    let empty = Value::table();
    let old = Side::of(old.unwrap_or(&empty));
    let new = Side::of(new.unwrap_or(&empty));
    if let (Side::Single(old), Side::Single(new)) = (&old, &new) {
        let (mut old, mut new) = (old, new);
        // Only here, where a file is nothing but a list, DVC looks into lists.
        while let (Value::List(a), Value::List(b)) = (old, new)
            && let ([a], [b]) = (a.as_slice(), b.as_slice())
        {
            (old, new) = (a, b);
        }
        return change("", Some(old), Some(new), all).into_iter().collect();
    }
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter_map(|key| change(key, old.get(key).as_ref(), new.get(key).as_ref(), all))
        .collect()
}

/// One state of a file: rows of leaves, or one value.
enum Side {
    Rows(BTreeMap<String, Value>),
    Single(Value),
}

impl Side {
    fn of(value: &Value) -> Self {
        match value {
            Value::Table(_) => Self::Rows(
                flatten(value).into_iter().map(|(key, value)| (key, leaf(value))).collect(),
            ),
            value => Self::Single(value.clone()),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Rows(rows) => Some(rows.keys().map(String::as_str)),
            Self::Single(_) => None,
        }
        .into_iter()
        .flatten()
    }

    /// Returns the value of a row. DVC shows a file that is no map beside one that is as "unable to parse".
    fn get(&self, key: &str) -> Option<Value> {
        match self {
            Self::Rows(rows) => rows.get(key).cloned(),
            Self::Single(value) if value.is_false_in_python() => None,
            Self::Single(_) => Some(Value::from("unable to parse")),
        }
    }
}

fn leaf(value: &Value) -> Value {
    match value {
        Value::List(_) => Value::Text(python_str(value)),
        value => value.clone(),
    }
}

fn change(key: &str, old: Option<&Value>, new: Option<&Value>, all: All) -> Option<Change> {
    let (a, b) = (old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null));
    if all == All::No && a.same_as_python(b) {
        return None;
    }
    Some(Change {
        key: key.to_owned(),
        old: old.cloned(),
        new: new.cloned(),
        delta: subtract(b, a),
    })
}

/// Returns `a - b` as Python computes it.
fn subtract(a: &Value, b: &Value) -> Option<Value> {
    let whole = |value: &Value| match value {
        Value::Bool(truth) => Some(i128::from(*truth)),
        Value::Int(number) => Some(*number),
        _ => None,
    };
    if let (Some(a), Some(b)) = (whole(a), whole(b)) {
        return a.checked_sub(b).map(Value::Int);
    }
    let number = |value: &Value| match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        value => value.as_f64(),
    };
    Some(Value::Float(number(a)? - number(b)?))
}

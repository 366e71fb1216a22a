//! From overrides to single steps: what of a file is replaced, inserted or removed, and what the file then says.

use exp_core::{KeyPath, Table, Value};

use crate::apply::ApplyError;
use crate::overrides::{Literal, Override};

/// One change of a file. Paths name values that are there, except for `Insert`, whose key is not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Replace { path: KeyPath, literal: Literal },
    Insert { parent: KeyPath, key: String, literal: Literal },
    Remove { path: KeyPath },
}

impl Step {
    /// Makes the change in the value of the file.
    pub(crate) fn perform(&self, root: &mut Value) {
        match self {
            Self::Replace { path, literal } => {
                if let Some(place) = find_mut(root, path.parts()) {
                    *place = literal.value.clone();
                }
            }
            Self::Insert { parent, key, literal } => {
                if let Some(Value::Table(table)) = find_mut(root, parent.parts()) {
                    table.insert(key.clone(), literal.value.clone());
                }
            }
            Self::Remove { path } => {
                if let Some((key, parent)) = path.parts().split_last()
                    && let Some(Value::Table(table)) = find_mut(root, parent)
                {
                    table.shift_remove(key);
                }
            }
        }
    }

    /// Returns the value that is changed.
    pub(crate) fn path(&self) -> KeyPath {
        match self {
            Self::Replace { path, .. } | Self::Remove { path } => path.clone(),
            Self::Insert { parent, key, .. } => parent.child(key),
        }
    }
}

fn find_mut<'v>(value: &'v mut Value, parts: &[String]) -> Option<&'v mut Value> {
    parts.iter().try_fold(value, |value, part| match value {
        Value::Table(table) => table.get_mut(part),
        Value::List(items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Compares exactly: `1`, `1.0` and `True` differ, NaN is itself, maps ignore order.
pub(crate) fn identical(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| identical(a, b))
        }
        (Value::Table(a), Value::Table(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| identical(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Returns the steps of one override on a file with the value `root`, in the order in which they are to be made.
/// What is already as asked needs none.
pub(crate) fn steps(root: &Value, change: &Override) -> Result<Vec<Step>, ApplyError> {
    let key = change.key();
    if key.is_root() {
        return Err(ApplyError::NotFound { key: key.clone(), near: Vec::new() });
    }
    match change {
        Override::Set(_, literal) => set(root, key, literal, false),
        Override::Upsert(_, literal) => set(root, key, literal, true),
        Override::Add(_, literal) => {
            let is_free = matches!(root.get(key), None | Some(Value::Null));
            if is_free || matches!(literal.value, Value::Table(_) | Value::List(_)) {
                set(root, key, literal, true)
            } else {
                Err(ApplyError::Exists { key: key.clone() })
            }
        }
        Override::Remove(_, expected) => {
            let Some(found) = root.get(key) else {
                return Err(ApplyError::NotFound { key: key.clone(), near: near(root, key) });
            };
            if let Some(expected) = expected
                && !expected.value.same_as_python(found)
                && expected.value != Value::Null
            {
                return Err(ApplyError::NotEqual { key: key.clone(), found: found.clone() });
            }
            let parent = KeyPath::from_parts(&key.parts()[..key.parts().len() - 1]);
            if matches!(root.get(&parent), Some(Value::List(_))) {
                return Err(ApplyError::ListItem { key: key.clone() });
            }
            Ok(vec![Step::Remove { path: key.clone() }])
        }
    }
}

/// `force` adds what is not there.
fn set(
    root: &Value,
    key: &KeyPath,
    literal: &Literal,
    force: bool,
) -> Result<Vec<Step>, ApplyError> {
    if let Some(found) = root.get(key) {
        return match (found, &literal.value) {
            (Value::Table(found), Value::Table(_)) => merge(found, key, literal, force),
            (found, value) if identical(found, value) => Ok(Vec::new()),
            (found, value) if is_other_container(found, value) => Err(mismatch(key, found, value)),
            _ => Ok(vec![Step::Replace { path: key.clone(), literal: literal.clone() }]),
        };
    }
    if !force {
        return Err(ApplyError::NotFound { key: key.clone(), near: near(root, key) });
    }
    // The deepest place that is there, and what is missing below it.
    let parts = key.parts();
    let n_there = (0..parts.len())
        .rev()
        .find(|n| root.get(&KeyPath::from_parts(&parts[..*n])).is_some())
        .unwrap_or(0);
    let place = KeyPath::from_parts(&parts[..n_there]);
    let mut literal = literal.clone();
    for part in parts[n_there + 1..].iter().rev() {
        literal = literal.inside(part);
    }
    let missing = parts[n_there].clone();
    match root.get(&place) {
        Some(Value::Table(_)) => Ok(vec![Step::Insert { parent: place, key: missing, literal }]),
        Some(Value::List(_)) => Err(ApplyError::ListItem { key: key.clone() }),
        // As `OmegaConf` does: what is no map becomes one.
        _ => Ok(vec![Step::Replace { path: place, literal: literal.inside(&missing) }]),
    }
}

/// A list is not taken for a map nor a map for a list, as in `OmegaConf`.
fn is_other_container(found: &Value, given: &Value) -> bool {
    matches!((found, given), (Value::Table(_), Value::List(_)) | (Value::List(_), Value::Table(_)))
}

fn mismatch(key: &KeyPath, found: &Value, given: &Value) -> ApplyError {
    let (found, given) = (found.type_name(), given.type_name());
    ApplyError::Mismatch { key: key.clone(), found, given }
}

fn merge(
    found: &Table,
    key: &KeyPath,
    literal: &Literal,
    force: bool,
) -> Result<Vec<Step>, ApplyError> {
    let Value::Table(given) = &literal.value else {
        return Ok(Vec::new());
    };
    let mut steps = Vec::new();
    for (name, value) in given {
        let path = key.child(name);
        let part = literal.part(name, value);
        match (found.get(name), value) {
            (None, _) if force => {
                steps.push(Step::Insert { parent: key.clone(), key: name.clone(), literal: part });
            }
            (None, _) => {
                let near = nearest(found, name, key);
                return Err(ApplyError::NotFound { key: path, near });
            }
            (Some(Value::Table(inner)), Value::Table(_)) => {
                steps.extend(merge(inner, &path, &part, force)?);
            }
            (Some(old), value) if identical(old, value) => {}
            (Some(old), value) if is_other_container(old, value) => {
                return Err(mismatch(&path, old, value));
            }
            (Some(_), _) => steps.push(Step::Replace { path, literal: part }),
        }
    }
    Ok(steps)
}

/// Returns the keys beside which `key` was probably meant, best first, at most three.
fn near(root: &Value, key: &KeyPath) -> Vec<KeyPath> {
    let parts = key.parts();
    for n in 0..parts.len() {
        let parent = KeyPath::from_parts(&parts[..n]);
        let Some(Value::Table(table)) = root.get(&parent) else {
            return Vec::new();
        };
        if !table.contains_key(&parts[n]) {
            let mut found = nearest(table, &parts[n], &parent);
            // The same name elsewhere: `lr` for `train.lr`.
            if let (Some(last), true) = (parts.last(), found.len() < 3) {
                let elsewhere = crate::metrics::flatten(root)
                    .into_iter()
                    .filter(|(name, _)| name.rsplit('.').next() == Some(last))
                    .map(|(name, _)| KeyPath::parse(&name));
                for path in elsewhere {
                    if found.len() < 3 && !found.contains(&path) {
                        found.push(path);
                    }
                }
            }
            return found;
        }
    }
    Vec::new()
}

fn nearest(table: &Table, name: &str, parent: &KeyPath) -> Vec<KeyPath> {
    let mut scored: Vec<(usize, &String)> = table
        .keys()
        .map(|key| (distance(&key.to_lowercase(), &name.to_lowercase()), key))
        .filter(|(distance, key)| *distance <= (key.chars().count().max(name.len()) / 3).max(1))
        .collect();
    scored.sort();
    scored.into_iter().take(3).map(|(_, key)| parent.child(key)).collect()
}

/// Returns the number of letters to insert, delete, replace or swap.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let a: Vec<char> = a.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let mut best =
                (row[j] + usize::from(a[i] != b[j])).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

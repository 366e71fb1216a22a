//! Why a stage is to run, in words.

use exp_engine::core::{Change, ParamRef, Reason, Value};
use exp_engine::params::{All, diff};

/// Of a map that changed in more places, so many are told in a line.
const N_TOLD: usize = 3;

/// Says why, the reasons separated by commas; empty for none.
pub(crate) fn list(reasons: &[Reason]) -> String {
    if reasons.contains(&Reason::NeverRan) {
        return "never ran".to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    for reason in reasons {
        let word = one(reason);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(", ")
}

/// Says one reason.
pub(crate) fn one(reason: &Reason) -> String {
    match reason {
        Reason::NeverRan => "never ran".to_owned(),
        Reason::Command { .. } => "its command changed".to_owned(),
        Reason::AlwaysChanged => "it always runs".to_owned(),
        Reason::Dep { location, change, .. } => match change {
            Change::New => format!("{location} is new"),
            Change::Modified => format!("{location} changed"),
            Change::Deleted => format!("{location} is missing"),
            Change::NotInCache => format!("{location} is not in the store"),
        },
        Reason::Param { param, change, was, now } => {
            let values = param_values(param, *change, was.as_ref(), now.as_ref());
            let told = values.iter().take(N_TOLD).map(|one| match one {
                (key, Change::Modified, Some(was), Some(now)) => {
                    format!("{key} {} → {}", value(was), value(now))
                }
                (key, Change::New, _, Some(now)) if !is_large(now) => {
                    format!("{key} is new ({})", value(now))
                }
                (key, Change::New, ..) => format!("{key} is new"),
                (key, Change::Deleted, ..) => format!("{key} is missing"),
                (key, ..) => format!("{key} changed"),
            });
            let told = told.collect::<Vec<_>>().join(", ");
            match values.len().saturating_sub(N_TOLD) {
                0 => told,
                more => format!("{told} and {more} more"),
            }
        }
        // Digests say nothing to a person, and what they are of may be a secret.
        Reason::Extra { key, change, now, .. } => match change {
            Change::New if now.is_some() => format!("{key} is new"),
            Change::New | Change::Deleted => format!("{key} is missing"),
            _ => format!("{key} changed"),
        },
        Reason::Out { location, change, .. } => match change {
            Change::New => format!("{location} was never recorded"),
            Change::Modified => format!("{location} was edited"),
            Change::Deleted => format!("{location} is missing"),
            Change::NotInCache => format!("{location} is not in the store"),
        },
        Reason::Checksum => "its file was edited".to_owned(),
        Reason::Forced => "forced".to_owned(),
        Reason::Upstream => "a stage before it ran".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A value that changed: its name with its file, how, and what it was and is.
pub(crate) type ParamValue = (String, Change, Option<Value>, Option<Value>);

/// Returns what changed of a parameter: the values inside when it is a map, else the parameter.
pub(crate) fn param_values(
    param: &ParamRef,
    change: Change,
    was: Option<&Value>,
    now: Option<&Value>,
) -> Vec<ParamValue> {
    let name = match &param.key {
        Some(key) => format!("{}:{key}", param.location),
        None => param.location.to_string(),
    };
    let between = if param.key.is_some() { '.' } else { ':' };
    if let (Some(was @ Value::Table(_)), Some(now @ Value::Table(_))) = (was, now) {
        let inside: Vec<ParamValue> = diff(Some(was), Some(now), All::No)
            .into_iter()
            .map(|inner| {
                let change = match (&inner.old, &inner.new) {
                    (None, _) => Change::New,
                    (_, None) => Change::Deleted,
                    _ => Change::Modified,
                };
                (format!("{name}{between}{}", inner.key), change, inner.old, inner.new)
            })
            .collect();
        if !inside.is_empty() {
            return inside;
        }
    }
    vec![(name, change, was.cloned(), now.cloned())]
}

/// Returns whether a value is not worth telling beside its name: a map.
fn is_large(value: &Value) -> bool {
    matches!(value, Value::Table(_))
}

/// Writes a value short enough for a line.
fn value(value: &Value) -> String {
    let text = match value {
        Value::Text(text) => text.clone(),
        other => super::json::line(other).trim_end().to_owned(),
    };
    if text.chars().count() <= 24 {
        return text;
    }
    text.chars().take(23).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use exp_engine::core::{Location, RelPath, Table};

    use super::*;

    fn table(values: &[(&str, Value)]) -> Value {
        let table: Table = values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Value::Table(table)
    }

    #[track_caller]
    fn check(key: Option<&str>, was: Option<Value>, now: Option<Value>, text: &str) {
        let path = RelPath::new("params.yaml").unwrap();
        let param = ParamRef {
            file: "params.yaml".into(),
            location: Location::Workspace(path),
            key: key.map(|key| key.parse().unwrap()),
        };
        let change = match (&was, &now) {
            (None, _) => Change::New,
            (_, None) => Change::Deleted,
            _ => Change::Modified,
        };
        assert_eq!(one(&Reason::Param { param, change, was, now }), text);
    }

    #[test]
    fn of_a_map_what_changed_in_it_is_told() {
        let int = |n: i64| Value::from(n);
        let was = table(&[("lr", int(1)), ("deep", table(&[("n", int(2)), ("m", int(3))]))]);
        let now = table(&[("lr", int(1)), ("deep", table(&[("n", int(4)), ("k", int(5))]))]);
        check(
            Some("train"),
            Some(was.clone()),
            Some(now.clone()),
            "params.yaml:train.deep.k is new (5), params.yaml:train.deep.m is missing, params.yaml:train.deep.n 2 → 4",
        );
        check(
            None,
            Some(table(&[("a", int(1)), ("b", int(1)), ("c", int(1)), ("d", int(1))])),
            Some(table(&[("a", int(2)), ("b", int(2)), ("c", int(2)), ("d", int(2))])),
            "params.yaml:a 1 → 2, params.yaml:b 1 → 2, params.yaml:c 1 → 2 and 1 more",
        );
        check(Some("lr"), Some(int(1)), Some(int(2)), "params.yaml:lr 1 → 2");
        check(Some("train"), None, Some(now), "params.yaml:train is new");
        check(Some("train"), Some(was), None, "params.yaml:train is missing");
    }
}

//! Why a stage is to run, in words.

use exp_engine::core::{Change, Reason, Value};

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
            let key = match &param.key {
                Some(key) => format!("{}:{key}", param.location),
                None => param.location.to_string(),
            };
            match (change, was, now) {
                (Change::Modified, Some(was), Some(now)) => {
                    format!("{key} {} → {}", value(was), value(now))
                }
                (Change::New, _, Some(now)) if param.key.is_some() => {
                    format!("{key} is new ({})", value(now))
                }
                (Change::New, ..) => format!("{key} is new"),
                (Change::Deleted, ..) => format!("{key} is missing"),
                _ => format!("{key} changed"),
            }
        }
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

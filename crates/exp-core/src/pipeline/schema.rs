//! The grammar of `dvc.yaml`, before templates are resolved.

use crate::value::{Table, Value};

use super::error::{Broken, PipelineFault};

type Checked = Result<(), Broken>;

const TOP: &[&str] = &["stages", "vars", "params", "metrics", "plots", "artifacts", "datasets"];
const STAGE: &[&str] = &[
    "cmd",
    "wdir",
    "deps",
    "params",
    "outs",
    "metrics",
    "plots",
    "vars",
    "frozen",
    "always_changed",
    "desc",
    "meta",
    "matrix",
];
const OUT: &[&str] =
    &["cache", "persist", "push", "remote", "desc", "type", "labels", "meta", "checkpoint"];
/// Words that others use for a key.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("command", "cmd"),
    ("run", "cmd"),
    ("workdir", "wdir"),
    ("working_dir", "wdir"),
    ("dependencies", "deps"),
    ("inputs", "deps"),
    ("outputs", "outs"),
    ("parameters", "params"),
    ("variables", "vars"),
    ("description", "desc"),
    ("cached", "cache"),
    ("pipeline", "stages"),
];
/// Keys below which the keys may be of any type.
const FREE: &[&str] = &["meta", "foreach", "vars", "params", "datasets"];
const PLOT: &[&str] = &["template", "x", "y", "x_label", "y_label", "title", "header"];

/// Checks a whole document.
pub(super) fn check(value: &Value) -> Checked {
    for (key, value) in table(value)? {
        let checked = match key.as_str() {
            "stages" => each(value, |name, stage| {
                if name.contains('@') {
                    return Err(PipelineFault::Name { name: name.to_owned() }.into());
                }
                check_stage(stage)
            }),
            "vars" => check_vars(value),
            "params" | "metrics" => items(value, text),
            "plots" => items(value, |plot| match plot {
                Value::Text(_) => Ok(()),
                Value::Table(_) => each(plot, |_, props| match props {
                    Value::Null => Ok(()),
                    props => check_plot_definition(props),
                }),
                other => Err(Broken::wrong_type(other, "text or a map")),
            }),
            "artifacts" => each(value, |_, artifact| check_artifact(artifact)),
            "datasets" => Ok(()),
            key => Err(unknown(key, TOP)),
        };
        checked.map_err(|broken| broken.below(key.as_str()))?;
    }
    Ok(())
}

/// Returns the ways to keys that have to be text and would be something else without quotes: `1`, `true`. Values do not
/// tell one from the other.
pub(super) fn odd_keys(value: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    add_odd_keys(value, &mut Vec::new(), &mut found);
    found
}

/// A part of the way to a value.
enum Part<'v> {
    Key(&'v str),
    Item(usize),
}

fn add_odd_keys<'v>(value: &'v Value, way: &mut Vec<Part<'v>>, found: &mut Vec<Vec<String>>) {
    let text = |part: &Part<'_>| match part {
        Part::Key(key) => (*key).to_owned(),
        Part::Item(index) => index.to_string(),
    };
    match value {
        Value::Table(table) => {
            for (key, value) in table.iter().filter(|(key, _)| !FREE.contains(&key.as_str())) {
                way.push(Part::Key(key));
                if crate::yaml::may_be_no_text(key) {
                    found.push(way.iter().map(text).collect());
                }
                add_odd_keys(value, way, found);
                way.pop();
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                way.push(Part::Item(index));
                add_odd_keys(item, way, found);
                way.pop();
            }
        }
        _ => {}
    }
}

fn check_stage(value: &Value) -> Checked {
    let stage = table(value)?;
    if stage.contains_key("foreach") || stage.contains_key("do") {
        return check_foreach(stage);
    }
    check_definition(stage)
}

fn check_foreach(stage: &Table) -> Checked {
    for (key, value) in stage {
        let checked = match (key.as_str(), value) {
            ("foreach", Value::Table(_) | Value::List(_) | Value::Text(_)) => Ok(()),
            ("foreach", other) => Err(Broken::wrong_type(other, "a map, a list or an expression")),
            ("do", value) => table(value).and_then(check_definition),
            (key, _) => Err(unknown(key, &["foreach", "do"])),
        };
        checked.map_err(|broken| broken.below(key.as_str()))?;
    }
    for key in ["foreach", "do"] {
        if !stage.contains_key(key) {
            return Err(PipelineFault::Missing { key }.into());
        }
    }
    Ok(())
}

fn check_definition(stage: &Table) -> Checked {
    for (key, value) in stage {
        let checked = match key.as_str() {
            "cmd" => match value {
                // DVC takes the stage for data, records it, and fails.
                value if is_nothing(value) => Err(PipelineFault::Empty { what: "command" }.into()),
                Value::Text(_) => Ok(()),
                Value::List(_) => items(value, text),
                other => Err(Broken::wrong_type(other, "text or a list of texts")),
            },
            "wdir" | "desc" => text(value),
            "deps" => items(value, path),
            "params" => items(value, check_params),
            "outs" | "metrics" => items(value, |out| check_out(out, false)),
            "plots" => items(value, |out| check_out(out, true)),
            "vars" => check_vars(value),
            "frozen" | "always_changed" => truth(value),
            "meta" => Ok(()),
            "matrix" => each(value, |_, values| match values {
                Value::Text(_) | Value::List(_) => Ok(()),
                other => Err(Broken::wrong_type(other, "a list or an expression")),
            }),
            key => Err(unknown(key, STAGE)),
        };
        checked.map_err(|broken| broken.below(key.as_str()))?;
    }
    if !stage.contains_key("cmd") {
        return Err(PipelineFault::Missing { key: "cmd" }.into());
    }
    Ok(())
}

fn is_nothing(value: &Value) -> bool {
    value.as_text().is_some_and(str::is_empty) || value.as_list().is_some_and(<[Value]>::is_empty)
}

fn check_params(value: &Value) -> Checked {
    match value {
        Value::Text(_) => Ok(()),
        Value::Table(_) => each(value, |_, keys| match keys {
            // The whole file; DVC takes whatever Python finds false.
            keys if crate::yaml::is_falsy(keys) => Ok(()),
            Value::Table(table) if table.is_empty() => Ok(()),
            keys => items(keys, text),
        }),
        other => Err(Broken::wrong_type(other, "text or a map")),
    }
}

fn check_out(value: &Value, is_plot: bool) -> Checked {
    match value {
        Value::Text(_) => path(value),
        Value::Table(_) => each(value, |_, flags| {
            each(flags, |flag, value| match flag {
                "cache" | "persist" | "push" | "checkpoint" => truth(value),
                "remote" | "desc" | "type" => text(value),
                "labels" => items(value, text),
                "meta" => Ok(()),
                "header" if is_plot => truth(value),
                flag if is_plot && PLOT.contains(&flag) => text(value),
                flag if is_plot => Err(unknown(flag, &[OUT, PLOT].concat())),
                flag => Err(unknown(flag, OUT)),
            })
        }),
        other => Err(Broken::wrong_type(other, "text or a map")),
    }
}

fn check_plot_definition(value: &Value) -> Checked {
    each(value, |key, value| match key {
        "x" => match value {
            Value::Text(_) => Ok(()),
            Value::Table(_) => each(value, |_, column| text(column)),
            other => Err(Broken::wrong_type(other, "text or a map")),
        },
        "y" => {
            let columns = |value: &Value| match value {
                Value::List(_) => items(value, text),
                other => text(other),
            };
            match value {
                Value::Table(_) => each(value, |_, column| columns(column)),
                Value::Text(_) | Value::List(_) => columns(value),
                other => Err(Broken::wrong_type(other, "text, a list or a map")),
            }
        }
        "x_label" | "y_label" | "title" | "template" => text(value),
        key => Err(unknown(key, &["x", "y", "x_label", "y_label", "title", "template"])),
    })
}

fn check_artifact(value: &Value) -> Checked {
    each(value, |key, value| match key {
        "path" | "desc" | "type" => text(value),
        "labels" => items(value, text),
        "meta" => Ok(()),
        key => Err(unknown(key, &["path", "desc", "type", "labels", "meta"])),
    })?;
    if table(value)?.contains_key("path") {
        return Ok(());
    }
    Err(PipelineFault::Missing { key: "path" }.into())
}

fn check_vars(value: &Value) -> Checked {
    items(value, |item| match item {
        Value::Text(_) | Value::Table(_) => no_templates(item),
        other => Err(Broken::wrong_type(other, "text or a map")),
    })
}

fn no_templates(value: &Value) -> Checked {
    match value {
        Value::Text(text) if super::template::has_template(text) => {
            Err(PipelineFault::Interpolation.into())
        }
        Value::List(_) => items(value, no_templates),
        Value::Table(_) => each(value, |_, value| no_templates(value)),
        _ => Ok(()),
    }
}

fn table(value: &Value) -> Result<&Table, Broken> {
    value.as_table().ok_or_else(|| Broken::wrong_type(value, "a map"))
}

fn each(value: &Value, check: impl Fn(&str, &Value) -> Checked) -> Checked {
    for (key, value) in table(value)? {
        check(key, value).map_err(|broken| broken.below(key.as_str()))?;
    }
    Ok(())
}

fn items(value: &Value, check: impl Fn(&Value) -> Checked) -> Checked {
    let list = value.as_list().ok_or_else(|| Broken::wrong_type(value, "a list"))?;
    for (index, item) in list.iter().enumerate() {
        check(item).map_err(|broken| broken.below(index.to_string()))?;
    }
    Ok(())
}

/// Text that is a path, and so not empty.
fn path(value: &Value) -> Checked {
    match value.as_text() {
        Some("") => Err(PipelineFault::Empty { what: "path" }.into()),
        _ => text(value),
    }
}

fn text(value: &Value) -> Checked {
    value.as_text().map(drop).ok_or_else(|| Broken::wrong_type(value, "text"))
}

/// True, false, or an expression that will be one.
fn truth(value: &Value) -> Checked {
    match value {
        Value::Bool(_) => Ok(()),
        other => Err(Broken::wrong_type(other, "true or false")),
    }
}

pub(super) fn unknown(key: &str, known: &[&str]) -> Broken {
    let (key, did_you_mean) = (key.to_owned(), meant(key, known).map(str::to_owned));
    PipelineFault::UnknownKey { key, did_you_mean }.into()
}

/// Returns the key that was probably meant by one that is not known.
pub(crate) fn meant<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let most = match key.len() {
        0..2 => 0,
        2..4 => 1,
        _ => 2,
    };
    let nearest = known
        .iter()
        .map(|name| (crate::distance::edit_distance(key, name), *name))
        .min()
        .filter(|(distance, _)| *distance <= most)
        .map(|(_, name)| name);
    let other = OTHER_WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(key));
    nearest.or(other.map(|(_, meant)| *meant).filter(|name| known.contains(name)))
}

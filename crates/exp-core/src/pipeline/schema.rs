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
                Value::Text(_) => Ok(()),
                Value::List(_) => items(value, text),
                other => Err(Broken::wrong_type(other, "text or a list of texts")),
            },
            "wdir" | "desc" => text(value),
            "deps" => items(value, text),
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

fn check_params(value: &Value) -> Checked {
    match value {
        Value::Text(_) => Ok(()),
        Value::Table(_) => each(value, |_, keys| match keys {
            Value::Null => Ok(()),
            keys => items(keys, text),
        }),
        other => Err(Broken::wrong_type(other, "text or a map")),
    }
}

fn check_out(value: &Value, is_plot: bool) -> Checked {
    match value {
        Value::Text(_) => Ok(()),
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
            other => each(other, |_, column| text(column)),
        },
        "y" => {
            let columns = |value: &Value| match value {
                Value::List(_) => items(value, text),
                other => text(other),
            };
            match value {
                Value::Table(_) => each(value, |_, column| columns(column)),
                other => columns(other),
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

fn unknown(key: &str, known: &[&str]) -> Broken {
    let nearest = known
        .iter()
        .map(|name| (crate::distance::edit_distance(key, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= 2.min(name.len().saturating_sub(1)));
    PipelineFault::UnknownKey {
        key: key.to_owned(),
        did_you_mean: nearest.map(|(_, name)| name.to_owned()),
    }
    .into()
}

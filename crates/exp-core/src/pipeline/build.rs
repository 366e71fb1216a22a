//! Resolved definitions -> [`Stage`].

use std::borrow::Cow;
use std::path::Path;

use crate::path::{Location, RelPath};
use crate::stage::{Command, Dep, Out, OutKind, ParamRef, Stage, StageId};
use crate::value::{KeyPath, Table, Value};
use crate::yaml::is_falsy;

use super::error::{Broken, PipelineFault};
use super::generate::Definition;
use super::settings::{Place, settings};
use super::template::{Context, Used, is_template, to_text};

/// The parameter file of keys without a file.
const DEFAULT_PARAMS: &str = "params.yaml";

/// A stage, and the files of its own `vars`.
pub(super) struct Made {
    pub(super) stage: Stage,
    pub(super) vars: Vec<RelPath>,
}

/// Makes the stage that `definition` describes, in the directory `dir` of `file`.
pub(super) fn stage(
    file: &RelPath,
    dir: &RelPath,
    root: &Path,
    definition: &Definition<'_>,
    context: &Context<'_>,
) -> Result<Made, Broken> {
    let made = resolved_stage(file, dir, root, definition, context);
    made.map_err(|broken| match definition.below {
        Some(part) => broken.below(part),
        None => broken,
    })
}

fn resolved_stage(
    file: &RelPath,
    dir: &RelPath,
    root: &Path,
    definition: &Definition<'_>,
    global: &Context<'_>,
) -> Result<Made, Broken> {
    let table = &*definition.table;
    let mut context = Cow::Borrowed(definition.context.as_ref().unwrap_or(global));
    let mut used = Used::new();
    let mut stage = Stage::new(StageId::named(file.clone(), definition.name.as_str()));
    stage.generated = definition.context.is_some();
    stage.wdir = match table.get("wdir") {
        None => dir.clone(),
        Some(wdir) => {
            let below = |broken: Broken| broken.below("wdir");
            let wdir = context.resolve(wdir, "wdir", &mut used).map_err(below)?;
            inner_path(dir, &wdir).map_err(below)?
        }
    };
    if let Some(vars) = table.get("vars").and_then(Value::as_list) {
        let loaded = context.to_mut().load_vars(vars, &stage.wdir);
        loaded.map_err(|broken| broken.below("vars"))?;
    }
    for (key, value) in table {
        if key == "vars" || key == "wdir" {
            stage.generated |= key == "wdir" && is_template(value);
            continue;
        }
        let value =
            context.resolve(value, key, &mut used).map_err(|broken| broken.below(key.as_str()))?;
        stage.generated |= matches!(value, Cow::Owned(_));
        set_field(&mut stage, key, &value, root).map_err(|broken| broken.below(key.as_str()))?;
    }
    let place = Place { wdir: &stage.wdir, root };
    stage.settings = settings(&stage.meta, place).map_err(|broken| broken.below("meta"))?;
    sort_outs(&mut stage.outs);
    for (file, key) in used {
        match stage.interpolated.iter_mut().find(|(other, _)| *other == file) {
            Some((_, keys)) => keys.push(key),
            None => stage.interpolated.push((file, vec![key])),
        }
    }
    Ok(Made { stage, vars: context.files() })
}

/// Puts `outs` before `metrics` before `plots`, whatever their order in the file is.
fn sort_outs(outs: &mut [Out]) {
    outs.sort_by_key(|out| out.kind);
}

fn set_field(stage: &mut Stage, key: &str, value: &Value, root: &Path) -> Result<(), Broken> {
    match key {
        "cmd" => stage.cmd = Some(command(value)?),
        "desc" => stage.desc = Some(scalar_text(value)?),
        "meta" => stage.meta = value.clone(),
        "frozen" => stage.frozen = truth(value)?,
        "always_changed" => stage.always_changed = truth(value)?,
        "deps" => {
            for (index, dep) in list(value)?.iter().enumerate() {
                let path = scalar_text(dep).map_err(|broken| broken.below(index.to_string()))?;
                let location = Location::resolve(&path, &stage.wdir, root);
                stage.deps.push(Dep { path, location });
            }
        }
        "params" => stage.params = params(list(value)?, &stage.wdir, root)?,
        "outs" => add_outs(stage, list(value)?, OutKind::Data, root)?,
        "metrics" => add_outs(stage, list(value)?, OutKind::Metric, root)?,
        "plots" => add_outs(stage, list(value)?, OutKind::Plot, root)?,
        _ => {}
    }
    Ok(())
}

fn command(value: &Value) -> Result<Command, Broken> {
    match value {
        Value::List(lines) => {
            let lines = lines.iter().enumerate().map(|(index, line)| {
                scalar_text(line).map_err(|broken| broken.below(index.to_string()))
            });
            Ok(Command::List(lines.collect::<Result<_, _>>()?))
        }
        value => Ok(Command::Text(scalar_text(value)?)),
    }
}

fn list(value: &Value) -> Result<&[Value], Broken> {
    value.as_list().ok_or_else(|| Broken::wrong_type(value, "a list"))
}

/// Returns the text of a scalar: a template may have made a number of it.
fn scalar_text(value: &Value) -> Result<String, Broken> {
    match value {
        Value::List(_) | Value::Table(_) | Value::Null => Err(Broken::wrong_type(value, "text")),
        value => Ok(to_text(value).into_owned()),
    }
}

fn truth(value: &Value) -> Result<bool, Broken> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(Broken::wrong_type(other, "true or false")),
    }
}

/// Resolves a path that has to be inside of the workspace.
pub(super) fn inner_path(dir: &RelPath, value: &Value) -> Result<RelPath, Broken> {
    let path = scalar_text(value)?;
    dir.join(&path).map_err(|_| PipelineFault::Outside { path }.into())
}

/// Collects parameters: of the default file first, then by file in the order of appearance. Of a file that is tracked
/// as a whole, single keys do not count.
fn params(items: &[Value], wdir: &RelPath, root: &Path) -> Result<Vec<ParamRef>, Broken> {
    // `None` stands for the whole file.
    let mut files: Vec<(String, Option<Vec<KeyPath>>)> = Vec::new();
    let mut add = |file: &str, keys: Option<Vec<KeyPath>>| match files
        .iter_mut()
        .find(|(other, _)| other == file)
    {
        None => files.push((file.to_owned(), keys)),
        Some((_, known)) => match (known.as_mut(), keys) {
            (Some(known), Some(keys)) => {
                for key in keys {
                    if !known.contains(&key) {
                        known.push(key);
                    }
                }
            }
            _ => *known = None,
        },
    };
    for (index, item) in items.iter().enumerate() {
        let below = |broken: Broken| broken.below(index.to_string());
        match item {
            Value::Table(table) => {
                for (file, keys) in table {
                    let below =
                        |broken: Broken| broken.below(file.as_str()).below(index.to_string());
                    match keys {
                        keys if is_falsy(keys) => add(file, None),
                        Value::Table(table) if table.is_empty() => add(file, None),
                        keys => {
                            let keys = list(keys).map_err(below)?;
                            let keys =
                                keys.iter().map(|key| Ok(KeyPath::parse(&scalar_text(key)?)));
                            add(file, Some(keys.collect::<Result<_, _>>().map_err(below)?));
                        }
                    }
                }
            }
            key => {
                let key = KeyPath::parse(&scalar_text(key).map_err(below)?);
                add(DEFAULT_PARAMS, Some(vec![key]));
            }
        }
    }
    files.sort_by_key(|(file, _)| file != DEFAULT_PARAMS);
    let mut refs = Vec::new();
    for (file, keys) in files {
        let location = Location::resolve(&file, wdir, root);
        let keys = match keys {
            None => vec![None],
            Some(keys) => keys.into_iter().map(Some).collect(),
        };
        for key in keys {
            refs.push(ParamRef { file: file.clone(), location: location.clone(), key });
        }
    }
    Ok(refs)
}

fn add_outs(stage: &mut Stage, items: &[Value], kind: OutKind, root: &Path) -> Result<(), Broken> {
    for (index, item) in items.iter().enumerate() {
        let below = |broken: Broken| broken.below(index.to_string());
        match item {
            Value::Table(table) => {
                for (path, flags) in table {
                    let below = |broken: Broken| below(broken.below(path.as_str()));
                    let flags = flags
                        .as_table()
                        .ok_or_else(|| below(Broken::wrong_type(flags, "a map")))?;
                    add_out(stage, path.clone(), flags, kind, root).map_err(below)?;
                }
            }
            path => {
                let path = scalar_text(path).map_err(below)?;
                add_out(stage, path, &Table::new(), kind, root).map_err(below)?;
            }
        }
    }
    Ok(())
}

/// Adds an output; one that the section already has gets further flags.
fn add_out(
    stage: &mut Stage,
    path: String,
    flags: &Table,
    kind: OutKind,
    root: &Path,
) -> Result<(), Broken> {
    let known = stage.outs.iter().position(|out| out.path == path && out.kind == kind);
    let at = known.unwrap_or_else(|| {
        stage.outs.push(Out {
            location: Location::resolve(&path, &stage.wdir, root),
            path,
            kind,
            cache: true,
            persist: false,
            push: true,
            remote: None,
            extra: Table::new(),
        });
        stage.outs.len() - 1
    });
    let out = &mut stage.outs[at];
    for (flag, value) in flags {
        let below = |broken: Broken| broken.below(flag.as_str());
        match flag.as_str() {
            "cache" => out.cache = truth(value).map_err(below)?,
            "persist" => out.persist = truth(value).map_err(below)?,
            "push" => out.push = truth(value).map_err(below)?,
            "remote" => out.remote = Some(scalar_text(value).map_err(below)?),
            "checkpoint" => {}
            _ => {
                out.extra.insert(flag.clone(), value.clone());
            }
        }
    }
    Ok(())
}

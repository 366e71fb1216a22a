//! The state of a pipeline as DVC words it.

use exp_engine::core::{Change, Reason, RelPath, Table, Value};
use exp_engine::{RepositoryImport, StageStatus, StatusReport};

/// Returns what `dvc status --json` prints, for someone in the directory `cwd`: only stages that differ, and imports
/// whose source is newer.
pub(crate) fn value(
    (report, imports): (&StatusReport, &[RepositoryImport]),
    cwd: &RelPath,
) -> Value {
    let mut stages = Table::new();
    for stage in &report.stages {
        let import = imports.iter().find(|import| import.file == stage.id.file);
        let newer = import.filter(|import| import.is_newer == Some(true));
        let entries = entries(stage, newer, cwd);
        if !entries.is_empty() {
            stages.insert(stage.id.address(cwd), Value::List(entries));
        }
    }
    Value::Table(stages)
}

/// Writes what `dvc status` prints of such a value; empty when nothing differs.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    for (stage, entries) in value.as_table().into_iter().flatten() {
        text.push_str(&format!("{stage}:\n"));
        for entry in entries.as_list().unwrap_or_default() {
            match entry {
                Value::Text(word) => text.push_str(&format!("\t{word}\n")),
                Value::Table(groups) => {
                    for (group, changes) in groups {
                        text.push_str(&format!("\t{group}:\n"));
                        lines(changes, 2, &mut text);
                    }
                }
                _ => {}
            }
        }
    }
    text
}

fn lines(changes: &Value, depth: usize, text: &mut String) {
    let tabs = "\t".repeat(depth);
    for (path, change) in changes.as_table().into_iter().flatten() {
        match change {
            Value::Text(word) => {
                text.push_str(&format!("{tabs}{:<20}{path}\n", format!("{word}:")));
            }
            nested => {
                text.push_str(&format!("{tabs}{path}:\n"));
                lines(nested, depth + 1, text);
            }
        }
    }
}

fn entries(stage: &StageStatus, newer: Option<&RepositoryImport>, cwd: &RelPath) -> Vec<Value> {
    let (mut deps, mut outs) = (Table::new(), Table::new());
    if let Some(import) = newer {
        deps.insert(import.source.clone(), Value::from("update available"));
    }
    let mut words: Vec<&str> = Vec::new();
    let place = |location: &exp_engine::core::Location| match location.workspace() {
        Some(path) => path.relative_to(cwd),
        None => location.to_string(),
    };
    for reason in &stage.reasons {
        match reason {
            Reason::Dep { location, change, .. } => {
                deps.insert(place(location), Value::from(word(*change)));
            }
            Reason::Out { location, change, .. } => {
                outs.insert(place(location), Value::from(word(*change)));
            }
            Reason::Param { param, change, .. } => {
                let file = place(&param.location);
                let word = Value::from(param_word(*change));
                match &param.key {
                    None => {
                        deps.insert(file, word);
                    }
                    Some(key) => {
                        let keys = deps.entry(file).or_insert_with(|| Value::Table(Table::new()));
                        if !matches!(keys, Value::Table(_)) {
                            // A parameter file that is a dependency too: the parameters hide that.
                            *keys = Value::Table(Table::new());
                        }
                        if let Value::Table(keys) = keys {
                            keys.insert(key.to_string(), word);
                        }
                    }
                }
            }
            Reason::Extra { key, change, .. } => {
                deps.insert(key.clone(), Value::from(word(*change)));
            }
            Reason::AlwaysChanged => words.push("always changed"),
            Reason::Command { was: Some(_), .. } => words.push("changed command"),
            Reason::Checksum => words.push("changed checksum"),
            _ => {}
        }
    }
    // DVC says what always changes before what changed.
    words.sort_by_key(|word| *word != "always changed");
    let mut entries = Vec::new();
    for (group, changes) in [("changed deps", deps), ("changed outs", outs)] {
        if !changes.is_empty() {
            entries.push(Value::Table(Table::from([(group.to_owned(), Value::Table(changes))])));
        }
    }
    entries.extend(words.into_iter().map(Value::from));
    entries
}

/// Returns DVC's word; what is new is modified to DVC, which compares with nothing then.
fn word(change: Change) -> &'static str {
    match change {
        Change::New | Change::Modified => "modified",
        Change::Deleted => "deleted",
        Change::NotInCache => "not in cache",
    }
}

fn param_word(change: Change) -> &'static str {
    match change {
        Change::New => "new",
        other => word(other),
    }
}

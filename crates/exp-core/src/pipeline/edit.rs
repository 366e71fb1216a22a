//! Changing the text of a `dvc.yaml`: one stage, and no other byte.

use crate::lock::has_conflict_markers;
use crate::stage::{Command, OutKind, verbatim};
use crate::value::{Table, Value};
use crate::yaml::{
    Edits, SyntaxError, YamlEntry, YamlKind, YamlNode, YamlStyle, apply, emit_block, emit_yaml,
    entry_lines, parse_yaml_spanned, patch_map,
};

use super::template::is_template;

mod plot;
mod tracked;

pub use plot::set_plot_props;
pub use tracked::{TrackedFile, TrackedSection, track_files};

/// A `dvc.yaml` that cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Broken YAML.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A merge left its conflict markers behind.
    #[error("line {line}: merge conflict")]
    Conflict {
        /// The line of the first marker, from 1.
        line: usize,
    },
    /// There is a stage of that name, and it was not to be replaced.
    #[error("stage `{name}` already exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is no stage of that name.
    #[error("there is no stage `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The stage comes from a template and has no text of its own.
    #[error("stage `{name}` is made by a template")]
    Generated {
        /// The name.
        name: String,
    },
    /// The text writes its stages in a way that cannot be changed in place: in brackets, by aliases or merge keys.
    #[error("line {line}: the stages are not written as an indented block")]
    Shape {
        /// The line, from 1.
        line: usize,
    },
}

impl EditError {
    fn syntax(text: &str, error: SyntaxError) -> Self {
        match has_conflict_markers(text) {
            Some(line) => Self::Conflict { line },
            None => Self::Syntax { line: error.line, column: error.column, message: error.message },
        }
    }
}

/// A stage as it is written into a `dvc.yaml`: paths and keys as the file is to have them.
#[derive(Debug, Clone, PartialEq)]
pub struct StageDefinition {
    /// The description, if any.
    pub desc: Option<String>,
    /// What is run.
    pub cmd: Command,
    /// The working directory relative to the file's; `None` for that one.
    pub wdir: Option<String>,
    /// Paths of dependencies, in any order.
    pub deps: Vec<String>,
    /// Parameters: file and keys. `params.yaml` is the default file; no keys stand for the whole file.
    pub params: Vec<(String, Vec<String>)>,
    /// Outputs, in any order.
    pub outs: Vec<OutDefinition>,
    /// Whether it is never run until it is unfrozen.
    pub frozen: bool,
    /// Whether it always counts as changed.
    pub always_changed: bool,
    /// What is kept with it; null for nothing.
    pub meta: Value,
}

/// An output as it is written into a `dvc.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct OutDefinition {
    /// The path.
    pub path: String,
    /// The section it stands in.
    pub kind: OutKind,
    /// Whether its content goes to the store.
    pub cache: bool,
    /// Whether it is kept in place when the stage runs.
    pub persist: bool,
    /// Whether it is sent to remotes.
    pub push: bool,
    /// The remote it belongs to, when it is not the default one.
    pub remote: Option<String>,
    /// `desc`, `type`, `labels`, `meta` and the properties of a plot.
    pub extra: Table,
}

impl OutDefinition {
    /// Returns an output with DVC's defaults.
    pub fn new(path: impl Into<String>, kind: OutKind) -> Self {
        Self {
            path: path.into(),
            kind,
            cache: true,
            persist: false,
            push: true,
            remote: None,
            extra: Table::new(),
        }
    }

    fn to_value(&self) -> Value {
        const NOTES: [&str; 4] = ["desc", "type", "labels", "meta"];
        let mut flags = Table::new();
        for key in NOTES {
            if let Some(value) = self.extra.get(key) {
                flags.insert(key.to_owned(), value.clone());
            }
        }
        let mut set = |key: &str, value: Value| flags.insert(key.to_owned(), value);
        if !self.cache {
            set("cache", Value::Bool(false));
        }
        if self.persist {
            set("persist", Value::Bool(true));
        }
        for (key, value) in self.extra.iter().filter(|(key, _)| !NOTES.contains(&key.as_str())) {
            set(key, value.clone());
        }
        if let Some(remote) = &self.remote {
            set("remote", Value::from(remote.as_str()));
        }
        if !self.push {
            set("push", Value::Bool(false));
        }
        if flags.is_empty() {
            return Value::from(self.path.as_str());
        }
        Value::Table(Table::from([(self.path.clone(), Value::Table(flags))]))
    }
}

impl StageDefinition {
    /// Returns a stage that only runs `cmd`.
    pub fn new(cmd: Command) -> Self {
        Self {
            desc: None,
            cmd,
            wdir: None,
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
            frozen: false,
            always_changed: false,
            meta: Value::Null,
        }
    }

    /// Returns the map that `dvc stage add` writes: keys in DVC's order, paths and parameters sorted.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        let mut set = |key: &str, value: Value| {
            let is_empty = match &value {
                Value::Null | Value::Bool(false) => true,
                Value::List(items) => items.is_empty(),
                _ => false,
            };
            if !is_empty {
                table.insert(key.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
        let mut deps = self.deps.clone();
        deps.sort();
        deps.dedup();
        let outs = |kind| {
            let mut outs: Vec<_> = self.outs.iter().filter(|out| out.kind == kind).collect();
            outs.sort_by(|a, b| a.path.cmp(&b.path));
            Value::List(outs.into_iter().map(OutDefinition::to_value).collect())
        };
        set("desc", text(&self.desc));
        set("cmd", self.cmd.to_value());
        set("wdir", text(&self.wdir));
        set("deps", Value::List(deps.into_iter().map(Value::from).collect()));
        set("params", self.params_value());
        set("outs", outs(OutKind::Data));
        set("metrics", outs(OutKind::Metric));
        set("plots", outs(OutKind::Plot));
        set("frozen", Value::Bool(self.frozen));
        set("always_changed", Value::Bool(self.always_changed));
        set("meta", self.meta.clone());
        table
    }

    fn params_value(&self) -> Value {
        const DEFAULT: &str = "params.yaml";
        let keys_of = |keys: &[String]| {
            let mut keys = keys.to_vec();
            keys.sort();
            keys.dedup();
            keys.into_iter().map(Value::from).collect::<Vec<_>>()
        };
        let mut files: Vec<_> = self.params.iter().collect();
        files.sort_by_key(|(file, _)| (file != DEFAULT, file));
        let mut items = Vec::new();
        for (file, keys) in files {
            let value = match keys_of(keys) {
                keys if keys.is_empty() => Value::Null,
                keys if file == DEFAULT => {
                    items.extend(keys);
                    continue;
                }
                keys => Value::List(keys),
            };
            items.push(Value::Table(Table::from([(file.clone(), value)])));
        }
        Value::List(items)
    }
}

/// Returns `text` with the stage `name`: a new one at the end, or, if `replace`, the existing one changed. Keys of an
/// existing stage keep their order, those that stay equal their bytes. Without a text, that of a new file.
///
/// # Errors
///
/// When the text cannot be read, the stage exists and is not to be replaced, or it comes from a template.
pub fn add_stage(
    text: Option<&str>,
    name: &str,
    definition: &StageDefinition,
    replace: bool,
) -> Result<String, EditError> {
    let text = text.unwrap_or_default();
    let table = definition.to_table();
    let member = Table::from([(name.to_owned(), Value::Table(table.clone()))]);
    let header = Table::from([("stages".to_owned(), Value::Table(member.clone()))]);
    if text.trim().is_empty() {
        return Ok(emit_yaml(&Value::Table(header)));
    }
    let root = parse_yaml_spanned(text).map_err(|error| EditError::syntax(text, error))?;
    if matches!(root.kind, YamlKind::Scalar(Value::Null)) {
        return Ok(apply(text, vec![(text.len()..text.len(), emit_yaml(&Value::Table(header)))]));
    }
    if root.style != YamlStyle::Block {
        return Err(EditError::Shape { line: root.span.line });
    }
    let Some(stages) = root.entry("stages") else {
        let indent = root.span.column - 1;
        let end = end_of(text, &root);
        return Ok(apply(text, vec![(end..end, emit_block(&header, indent))]));
    };
    let entries = match &stages.value.kind {
        YamlKind::Map(entries) if !entries.is_empty() => entries,
        YamlKind::Map(_) | YamlKind::Scalar(Value::Null) => {
            let lines = entry_lines(text, stages);
            let block = emit_block(&header, stages.key.span.column - 1);
            return Ok(apply(text, vec![(lines, block)]));
        }
        _ => return Err(EditError::Shape { line: stages.value.span.line }),
    };
    if stages.value.style != YamlStyle::Block {
        return Err(EditError::Shape { line: stages.value.span.line });
    }
    let Some(entry) = stages.value.entry(name) else {
        let indent = stages.value.span.column - 1;
        let end = entries.last().map_or(text.len(), |entry| entry_lines(text, entry).end);
        return Ok(apply(text, vec![(end..end, emit_block(&member, indent))]));
    };
    if !replace {
        return Err(EditError::Exists { name: name.to_owned() });
    }
    check_own(name, entry)?;
    change(text, entry, &table)
}

/// Returns `text` without the stage, or group of stages, `name`; without `stages` when it was the only one.
///
/// # Errors
///
/// When the text cannot be read or has no such stage.
pub fn remove_stage(text: &str, name: &str) -> Result<String, EditError> {
    let root = parse_yaml_spanned(text).map_err(|error| EditError::syntax(text, error))?;
    let (stages, entry) = find(&root, name)?;
    let is_only = stages.value.entries().is_some_and(|entries| entries.len() == 1);
    if stages.value.style != YamlStyle::Block {
        return Err(EditError::Shape { line: stages.value.span.line });
    }
    let place = entry_lines(text, if is_only { stages } else { entry });
    Ok(apply(text, vec![(place, String::new())]))
}

/// Returns `text` with the stage `name` frozen, or not frozen any more.
///
/// # Errors
///
/// When the text cannot be read, has no such stage, or the stage comes from a template.
pub fn set_frozen(text: &str, name: &str, frozen: bool) -> Result<String, EditError> {
    let root = parse_yaml_spanned(text).map_err(|error| EditError::syntax(text, error))?;
    let (_, entry) = find(&root, name)?;
    check_own(name, entry)?;
    let value = entry.value.to_value().map_err(|error| EditError::syntax(text, error))?;
    let Value::Table(mut table) = value else {
        return Err(EditError::Shape { line: entry.value.span.line });
    };
    if frozen {
        table.insert("frozen".to_owned(), Value::Bool(true));
    } else {
        table.shift_remove("frozen");
    }
    change(text, entry, &table)
}

/// What a stage is to have besides what it has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageAdditions {
    /// Paths of dependencies.
    pub deps: Vec<String>,
    /// Parameters: file and keys. `params.yaml` is the default file; no keys stand for the whole file.
    pub params: Vec<(String, Vec<String>)>,
    /// Outputs, metrics and plots.
    pub outs: Vec<OutDefinition>,
}

impl StageAdditions {
    /// Returns whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.deps.is_empty() && self.params.is_empty() && self.outs.is_empty()
    }

    /// Returns what a `dvc.yaml` has to say for these very paths and keys: `${` in them is no template there.
    #[must_use]
    pub fn verbatim(&self) -> Self {
        let all = |texts: &[String]| texts.iter().map(|text| verbatim(text)).collect();
        let params = self.params.iter().map(|(file, keys)| (verbatim(file), all(keys)));
        let outs = self.outs.iter();
        Self {
            deps: all(&self.deps),
            params: params.collect(),
            outs: outs
                .map(|out| OutDefinition { path: verbatim(&out.path), ..out.clone() })
                .collect(),
        }
    }

    /// Returns the items to add, by section.
    fn sections(&self) -> Table {
        let definition = StageDefinition {
            deps: self.deps.clone(),
            params: self.params.clone(),
            outs: self.outs.clone(),
            ..StageDefinition::new(Command::Text(String::new()))
        };
        let mut table = definition.to_table();
        table.shift_remove("cmd");
        table
    }
}

/// Returns `text` with what is to be added behind what the stage `name` has. Comments and every other byte stay where the
/// lists are written as blocks. Nothing is looked for twice: what the stage has already is added again.
///
/// # Errors
///
/// When the text cannot be read, has no such stage, or the stage comes from a template.
pub fn extend_stage(
    text: &str,
    name: &str,
    additions: &StageAdditions,
) -> Result<String, EditError> {
    let root = parse_yaml_spanned(text).map_err(|error| EditError::syntax(text, error))?;
    let (_, entry) = find(&root, name)?;
    check_own(name, entry)?;
    let value = entry.value.to_value().map_err(|error| EditError::syntax(text, error))?;
    let Value::Table(mut table) = value else {
        return Err(EditError::Shape { line: entry.value.span.line });
    };
    let sections = additions.sections();
    for (key, items) in &sections {
        let Value::List(items) = items else { continue };
        match table.get_mut(key) {
            Some(Value::List(old)) => old.extend(items.iter().cloned()),
            _ => {
                table.insert(key.clone(), Value::List(items.clone()));
            }
        }
    }
    if let Some(appended) = append(text, &entry.value, &sections)
        && reads_as(&appended, name, &table)
    {
        return Ok(appended);
    }
    change(text, entry, &table)
}

/// Adds items behind the last ones of lists that are blocks, and sections that are not there behind the last one.
fn append(text: &str, owner: &YamlNode, sections: &Table) -> Option<String> {
    let mut edits = Edits::new();
    let mut fresh = Table::new();
    for (key, items) in sections {
        let Some(member) = owner.entry(key) else {
            fresh.insert(key.clone(), items.clone());
            continue;
        };
        let YamlKind::List(old) = &member.value.kind else { return None };
        let last = old.last().filter(|_| member.value.style == YamlStyle::Block)?;
        let line = text[..last.span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let dash = text[line..].find('-')?;
        let section = Table::from([("k".to_owned(), items.clone())]);
        let block = emit_block(&section, dash);
        let (_, lines) = block.split_once('\n')?;
        let end = text[last.span.end..].find('\n').map_or(text.len(), |at| last.span.end + at + 1);
        edits.push((end..end, lines.to_owned()));
    }
    if !fresh.is_empty() {
        let last = owner.entries()?.last()?;
        let end = entry_lines(text, last).end;
        edits.push((end..end, emit_block(&fresh, owner.span.column - 1)));
    }
    Some(apply(text, edits))
}

fn reads_as(text: &str, name: &str, table: &Table) -> bool {
    let Ok(root) = parse_yaml_spanned(text) else { return false };
    let Ok((_, entry)) = find(&root, name) else { return false };
    entry.value.to_value().is_ok_and(|value| value.as_table() == Some(table))
}

fn find<'n>(root: &'n YamlNode, name: &str) -> Result<(&'n YamlEntry, &'n YamlEntry), EditError> {
    let unknown = || EditError::Unknown { name: name.to_owned() };
    let stages = root.entry("stages").ok_or_else(unknown)?;
    Ok((stages, stages.value.entry(name).ok_or_else(unknown)?))
}

/// Refuses stages with templates, which DVC does not write either.
fn check_own(name: &str, entry: &YamlEntry) -> Result<(), EditError> {
    let value = entry.value.to_value().unwrap_or(Value::Null);
    let is_group = ["foreach", "do", "matrix"].iter().any(|key| entry.value.entry(key).is_some());
    if is_group || is_template(&value) {
        return Err(EditError::Generated { name: name.to_owned() });
    }
    Ok(())
}

/// Changes the members of one stage.
fn change(text: &str, entry: &YamlEntry, table: &Table) -> Result<String, EditError> {
    let mut edits = Edits::new();
    let shape = || EditError::Shape { line: entry.value.span.line };
    match patch_map(text, &entry.value, table, &mut edits) {
        Ok(true) => Ok(apply(text, edits)),
        Ok(false) => Err(shape()),
        Err(error) => Err(EditError::syntax(text, error)),
    }
}

/// Returns the end of the last line of a map.
fn end_of(text: &str, node: &YamlNode) -> usize {
    node.entries()
        .and_then(|entries| entries.last())
        .map_or(text.len(), |entry| entry_lines(text, entry).end)
}

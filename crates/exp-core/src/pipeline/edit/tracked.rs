//! Naming files at the top level of a `dvc.yaml`: parameters, metrics and plots that no stage has to declare.

use crate::value::{Table, Value};
use crate::yaml::{Edits, YamlKind, YamlStyle, apply, emit_yaml, parse_yaml_spanned, patch_map};

use super::{EditError, append};

/// A list at the top level of a `dvc.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackedSection {
    /// Parameter files.
    Params,
    /// Metric files.
    Metrics,
    /// Plots.
    Plots,
}

impl TrackedSection {
    fn key(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Metrics => "metrics",
            Self::Plots => "plots",
        }
    }
}

/// A file or directory that is to be named.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackedFile {
    /// Where it is named.
    pub section: TrackedSection,
    /// The path, relative to the file.
    pub path: String,
    /// Properties of a plot; empty for none.
    pub props: Table,
}

/// Returns `text` with files named at its top level, behind what is named there. A file that is named there, or in the
/// same section of a stage, itself or by a directory above it, is not named again. Without a text, that of a new file.
///
/// # Errors
///
/// When the text cannot be read, or is written in brackets.
pub fn track_files(text: Option<&str>, files: &[TrackedFile]) -> Result<String, EditError> {
    let text = text.unwrap_or_default();
    let root = parse_yaml_spanned(text).map_err(|error| EditError::syntax(text, error))?;
    let value = root.to_value().map_err(|error| EditError::syntax(text, error))?;
    let mut sections = Table::new();
    for file in files.iter().filter(|file| !is_tracked(&value, file)) {
        let item = if file.props.is_empty() {
            Value::from(file.path.as_str())
        } else {
            Value::Table(Table::from([(file.path.clone(), Value::Table(file.props.clone()))]))
        };
        let items = sections
            .entry(file.section.key().to_owned())
            .or_insert_with(|| Value::List(Vec::new()));
        if let Value::List(items) = items {
            items.push(item);
        }
    }
    if sections.is_empty() {
        return Ok(text.to_owned());
    }
    if matches!(root.kind, YamlKind::Scalar(Value::Null)) {
        let block = emit_yaml(&Value::Table(sections));
        return Ok(apply(text, vec![(text.len()..text.len(), block)]));
    }
    let shape = EditError::Shape { line: root.span.line };
    let Value::Table(mut table) = value else { return Err(shape) };
    if root.style != YamlStyle::Block {
        return Err(shape);
    }
    for (key, items) in &sections {
        let Value::List(items) = items else { continue };
        match table.get_mut(key) {
            Some(Value::List(old)) => old.extend(items.iter().cloned()),
            _ => drop(table.insert(key.clone(), Value::List(items.clone()))),
        }
    }
    let reads_as = |text: &str| {
        let found = parse_yaml_spanned(text).and_then(|root| root.to_value());
        found.is_ok_and(|value| value.as_table() == Some(&table))
    };
    if let Some(appended) = append(text, &root, &sections).filter(|text| reads_as(text)) {
        return Ok(appended);
    }
    let mut edits = Edits::new();
    match patch_map(text, &root, &table, &mut edits) {
        Ok(true) => Ok(apply(text, edits)),
        Ok(false) => Err(shape),
        Err(error) => Err(EditError::syntax(text, error)),
    }
}

/// Returns whether a file is named at the top level, or by a stage.
fn is_tracked(root: &Value, file: &TrackedFile) -> bool {
    let is_listed = |owner: &Value| {
        let items = owner.child(file.section.key()).and_then(Value::as_list);
        items.is_some_and(|items| items.iter().any(|item| names(item, &file.path)))
    };
    let stages = root.child("stages").and_then(Value::as_table);
    let of_stages = || stages.into_iter().flat_map(Table::values);
    is_listed(root)
        || of_stages().any(|stage| is_listed(stage) || stage.child("do").is_some_and(is_listed))
}

/// Returns whether an item of a list names a path, or a directory above it.
fn names(item: &Value, path: &str) -> bool {
    let covers = |text: &str| {
        let text = text.trim_start_matches("./").trim_end_matches('/');
        path.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match item {
        Value::Text(text) => covers(text),
        Value::Table(table) => table.keys().any(|key| covers(key)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged() -> [TrackedFile; 3] {
        let file = |section, path: &str, props| TrackedFile { section, path: path.into(), props };
        let steps = Table::from([("x".to_owned(), Value::from("step"))]);
        [
            file(TrackedSection::Params, "live/params.yaml", Table::new()),
            file(TrackedSection::Metrics, "live/metrics.json", Table::new()),
            file(TrackedSection::Plots, "live/plots/metrics", steps),
        ]
    }

    const ALL: &str = "\
params:
- live/params.yaml
metrics:
- live/metrics.json
plots:
- live/plots/metrics:
    x: step
";

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let found = track_files(Some(text), &logged());
        assert_eq!(found.as_deref(), Ok(expect), "{text}");
        assert_eq!(track_files(Some(expect), &logged()).as_deref(), Ok(expect), "again");
    }

    #[test]
    fn files_are_named_once_and_every_other_byte_stays() {
        assert_eq!(track_files(None, &logged()).as_deref(), Ok(ALL));
        check("", ALL);
        let stages = "# Ours.\nstages:\n  a:\n    cmd: x  # runs\n";
        check(stages, &format!("{stages}{ALL}"));
        check(
            "metrics:\n  - m.json  # first\nstages: {}\n",
            "metrics:\n  - m.json  # first\n  - live/metrics.json\nstages: {}\nparams:\n- live/params.yaml\nplots:\n- \
             live/plots/metrics:\n    x: step\n",
        );
    }

    #[test]
    fn what_a_stage_or_a_directory_names_is_named() {
        let text = "\
stages:
  a:
    cmd: x
    params:
    - live/params.yaml:
    metrics:
    - live/metrics.json:
        cache: false
plots:
- live/plots/
";
        check(text, text);
    }

    #[test]
    fn brackets_are_refused_and_broken_text_is_told() {
        let refused = track_files(Some("{stages: {}}\n"), &logged());
        assert_eq!(refused, Err(EditError::Shape { line: 1 }));
        assert!(matches!(track_files(Some("a: [\n"), &logged()), Err(EditError::Syntax { .. })));
        let flow = track_files(Some("metrics: [m.json]\n"), &logged());
        let flow = flow.as_deref().map(|text| text.contains("- m.json\n- live/metrics.json"));
        assert_eq!(flow, Ok(true));
    }
}

//! A `dvc.yaml`: stages, templates and what else it declares (formats: sections 4 and 5).
//!
//! The text becomes a value, the value is checked against the grammar (`schema.rs`), groups are expanded
//! (`generate.rs`), `${…}` is replaced (`template.rs`) and stages are made (`build.rs`). Values carry no positions: on
//! an error the text is read once more to find the place. Changing the text is in `edit.rs`.

use std::borrow::Cow;
use std::path::Path;

use crate::path::RelPath;
use crate::port::PortError;
use crate::stage::Stage;
use crate::value::{Table, Value};
use crate::yaml::{line_of, locate, parse_yaml, type_of_key};

mod build;
mod edit;
mod error;
mod generate;
mod place;
mod schema;
mod settings;
mod template;
#[cfg(test)]
mod tests;

pub use edit::{
    EditError, OutDefinition, StageAdditions, StageDefinition, TrackedFile, TrackedSection,
    add_stage, extend_stage, remove_stage, set_frozen, set_plot_props, track_files,
};
pub use error::{PipelineError, PipelineFault};
pub use place::{Named, Place, declared_at, named_at};
pub(crate) use schema::meant;

use error::Broken;
use template::Context;

/// Reads files of values for templates: `params.yaml` beside a `dvc.yaml`, and those that `vars` names.
pub trait VarsSource {
    /// Returns the content of `file` as one value, by its extension; `None` when there is no such file.
    ///
    /// Called while a `dvc.yaml` is parsed, and only when something in it may depend on the file or
    /// [`VarsSource::loads_unused`] says so.
    fn load(&self, file: &RelPath) -> Result<Option<Value>, PortError>;

    /// Returns whether the `params.yaml` beside a `dvc.yaml` is loaded, and has to be a map, although no template is there that
    /// could take something from it. It is by default, as by DVC.
    fn loads_unused(&self) -> bool {
        true
    }

    /// Returns how a map becomes arguments of a command: the options `parsing.bool` and `parsing.list`.
    fn arguments(&self) -> ArgumentStyle {
        ArgumentStyle::default()
    }
}

/// How a map in `cmd` becomes arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArgumentStyle {
    /// Whether false becomes `--no-key` instead of nothing.
    pub negated: bool,
    /// Whether a list becomes `--key a --key b` instead of `--key a b`.
    pub repeated: bool,
}

/// What a `dvc.yaml` declares, templates resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineFile {
    /// The file, relative to the workspace's root.
    pub file: RelPath,
    /// The stages in the order of the file; those of a group in the order of their generation.
    pub stages: Vec<Stage>,
    /// Further parameter files.
    pub params: Vec<RelPath>,
    /// Further metrics files and directories.
    pub metrics: Vec<RelPath>,
    /// Plot definitions: a path, or a map from an id (often a path) to properties.
    pub plots: Vec<Value>,
    /// The files that these plots read; those outside of the workspace are left out.
    pub plot_paths: Vec<RelPath>,
    /// Artifacts by id.
    pub artifacts: Table,
    /// Datasets, as they are.
    pub datasets: Value,
    /// The files that templates took values from, sorted.
    pub vars: Vec<RelPath>,
}

impl PipelineFile {
    /// Parses `text`, the content of `file`, in a workspace at the absolute path `root`. An empty text has no stages.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its position.
    pub fn parse(
        file: &RelPath,
        text: &str,
        root: &Path,
        vars: &dyn VarsSource,
    ) -> Result<Self, PipelineError> {
        let fail = |broken: Broken| {
            let at = broken.path();
            if let Some(beside) = default_file(file, &at, &broken.fault) {
                let (text, at, fault) = (Box::default(), Box::default(), broken.fault);
                return PipelineError { file: beside, line: 1, column: 1, text, at, fault };
            }
            let (line, column) = position(text, &at, &broken.fault);
            let (file, text) = (file.clone(), line_of(text, line).into());
            let at = at.into();
            PipelineError { file, line, column, text, at, fault: broken.fault }
        };
        let value = parse_yaml(text).map_err(|error| {
            let conflict = crate::lock::has_conflict_markers(text);
            let line = conflict.unwrap_or(error.line);
            PipelineError {
                file: file.clone(),
                line,
                text: line_of(text, line).into(),
                column: if conflict.is_some() { 1 } else { error.column },
                at: Box::default(),
                fault: match conflict {
                    Some(_) => PipelineFault::Conflict,
                    None => PipelineFault::Syntax { message: error.message },
                },
            }
        })?;
        schema::check(&value).map_err(fail)?;
        for at in schema::odd_keys(&value) {
            if let Some(found) = type_of_key(text, &at) {
                let fault = PipelineFault::WrongType { expected: "text", found };
                return Err(fail(at.into_iter().rev().fold(fault.into(), Broken::below)));
            }
        }
        let Value::Table(top) = value else {
            return Err(fail(Broken::wrong_type(&value, "a map")));
        };
        Self::build(file, &top, text.contains("${"), root, vars).map_err(fail)
    }

    fn build(
        file: &RelPath,
        top: &Table,
        has_templates: bool,
        root: &Path,
        source: &dyn VarsSource,
    ) -> Result<Self, Broken> {
        let dir = file.parent().unwrap_or_else(RelPath::root);
        let mut context = Context::new(source);
        let global = top.get("vars").and_then(Value::as_list).unwrap_or_default();
        if has_templates || !global.is_empty() {
            context.load_default(&dir)?;
            context.load_vars(global, &dir).map_err(|broken| broken.below("vars"))?;
        } else if source.loads_unused() {
            Context::new(source).load_default(&dir)?;
        }
        let mut stages = Vec::new();
        let mut all_vars = context.files();
        for (name, definition) in top.get("stages").and_then(Value::as_table).into_iter().flatten()
        {
            let below = |broken: Broken| broken.below(name.as_str()).below("stages");
            for definition in generate::expand(name, definition, &context).map_err(below)? {
                let made = build::stage(file, &dir, root, &definition, &context).map_err(below)?;
                all_vars.extend(made.vars);
                stages.push(made.stage);
            }
        }
        let resolved = |key: &str| -> Result<Value, Broken> {
            let Some(value) = top.get(key) else { return Ok(Value::Null) };
            let value = context.resolve(value, key, &mut Vec::new());
            value.map(Cow::into_owned).map_err(|broken| broken.below(key))
        };
        let paths = |key: &str| -> Result<Vec<RelPath>, Broken> {
            let value = resolved(key)?;
            let items = value.as_list().unwrap_or_default().iter().enumerate();
            items
                .map(|(index, item)| {
                    build::inner_path(&dir, item)
                        .map_err(|broken| broken.below(index.to_string()).below(key))
                })
                .collect()
        };
        all_vars.sort();
        all_vars.dedup();
        let plots = match resolved("plots")? {
            Value::List(plots) => plots,
            _ => Vec::new(),
        };
        Ok(Self {
            file: file.clone(),
            stages,
            params: paths("params")?,
            metrics: paths("metrics")?,
            plot_paths: plot_paths(&dir, &plots),
            plots,
            artifacts: match resolved("artifacts")? {
                Value::Table(artifacts) => artifacts,
                _ => Table::new(),
            },
            datasets: resolved("datasets")?,
            vars: all_vars,
        })
    }
}

/// Returns the `params.yaml` beside `file` when the fault is of that and nothing of `file` names it.
fn default_file(file: &RelPath, at: &[String], fault: &PipelineFault) -> Option<RelPath> {
    let PipelineFault::NotAMap { file: written, .. } = fault else { return None };
    let dir = file.parent().unwrap_or_else(RelPath::root);
    dir.join(written).ok().filter(|_| at.is_empty())
}

/// Returns the line and the column of a fault at the key path `at`: those of its expression where it is about one, else
/// those of the key or the item.
fn position(text: &str, at: &[String], fault: &PipelineFault) -> (usize, usize) {
    let span = locate(text, at);
    let found = fault.expression().and_then(|expression| {
        let rest = &text[span.start..];
        let starts = rest.match_indices("${").map(|(start, _)| start);
        starts
            .filter(|start| {
                let inner = rest[start + 2..].split('}').next();
                inner.is_some_and(|inner| inner.trim() == expression.trim())
            })
            .map(|start| span.start + start)
            .next()
    });
    let Some(start) = found else { return (span.line, span.column) };
    let before = &text[..start];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Returns the files that plot definitions read: the keys of `x` and `y` when these are maps, else the id.
fn plot_paths(dir: &RelPath, plots: &[Value]) -> Vec<RelPath> {
    let mut paths: Vec<RelPath> = Vec::new();
    let mut add = |path: &str| {
        if let Ok(path) = dir.join(path)
            && !paths.contains(&path)
        {
            paths.push(path);
        }
    };
    for plot in plots {
        match plot {
            Value::Text(path) => add(path),
            Value::Table(table) => {
                for (id, props) in table {
                    let columns = |axis| props.child(axis).and_then(Value::as_table);
                    if columns("y").is_none() {
                        add(id);
                    }
                    for path in ["x", "y"].into_iter().filter_map(columns).flat_map(Table::keys) {
                        add(path);
                    }
                }
            }
            _ => {}
        }
    }
    paths
}

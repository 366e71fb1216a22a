//! Metrics of one revision or several, as DVC prints them.

use std::collections::{BTreeMap, BTreeSet};

use exp_engine::core::{RelPath, Table, Value};
use exp_engine::params::{Precision, flatten, python_cell};
use exp_engine::refs::CommitId;
use exp_engine::{Error, FileData, Project, RowData};

use super::difference::seen_from;
use super::json::object;
use super::show::{ErrorOrder, error};
use super::{markdown, table as plain};
use crate::args::show::AllArgs;

pub(crate) mod look;

/// What a table is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For a terminal.
    Plain,
    /// Markdown.
    Markdown,
}

/// Returns the commits that are selected, with the names that they are shown under: branches and tags of one commit
/// joined, or the commit itself. None when nothing is selected.
pub(crate) fn revisions(project: &Project, all: AllArgs) -> Result<Vec<(CommitId, String)>, Error> {
    let git = project.git();
    if all.all_commits {
        return Ok(git.history()?.into_iter().map(|id| (id, id.to_string())).collect());
    }
    let mut refs = Vec::new();
    if all.all_branches {
        refs.extend(git.branches()?);
    }
    if all.all_tags {
        refs.extend(git.tags()?);
    }
    let mut order = Vec::new();
    let mut names: BTreeMap<CommitId, BTreeSet<String>> = BTreeMap::new();
    for one in refs {
        if !names.contains_key(&one.commit) {
            order.push(one.commit);
        }
        names.entry(one.commit).or_default().insert(one.name);
    }
    let joined = |id: CommitId| {
        let names = names.get(&id).into_iter().flatten().map(String::as_str);
        (id, names.collect::<Vec<_>>().join(","))
    };
    Ok(order.into_iter().map(joined).collect())
}

/// Returns whether two revisions have the same metrics. NaN is the same as NaN.
pub(crate) fn is_same(a: &RowData, b: &RowData) -> bool {
    let text = |row: &RowData| match row {
        Ok(data) => Some(format!("{:?}", data.metrics)),
        Err(_) => None,
    };
    text(a).is_some() && text(a) == text(b)
}

/// Writes revisions as DVC's JSON.
pub(crate) fn json(revisions: &[(String, RowData)], here: &RelPath) -> Value {
    let members = revisions.iter().map(|(name, row)| {
        let shown = match row {
            Ok(data) => {
                let files = data.metrics.iter().map(|(path, found)| {
                    let found = match found {
                        FileData::Value(value) => object([("data", (**value).clone())]),
                        FileData::Error(problem) => {
                            object([("error", error(problem, ErrorOrder::TypeFirst))])
                        }
                    };
                    (seen_from(here, path), found)
                });
                object([("data", Value::Table(files.collect::<Table>()))])
            }
            Err(problem) => object([("error", error(problem, ErrorOrder::TypeFirst))]),
        };
        (name.clone(), shown)
    });
    Value::Table(members.collect())
}

/// Writes revisions as DVC's table: a row for each file, a column for each name, sorted.
pub(crate) fn table(
    revisions: &[(String, RowData)],
    here: &RelPath,
    precision: Precision,
    form: Form,
) -> String {
    let mut lines: Vec<(&str, String, BTreeMap<String, String>)> = Vec::new();
    for (name, row) in revisions {
        let Ok(data) = row else { continue };
        for (path, found) in &data.metrics {
            let cells = match found {
                FileData::Value(value) => flatten(value)
                    .into_iter()
                    .filter(|(_, value)| **value != Value::Null)
                    .map(|(key, value)| (key, python_cell(value, precision)))
                    .collect(),
                FileData::Error(_) => BTreeMap::new(),
            };
            lines.push((name, seen_from(here, path), cells));
        }
    }
    if lines.is_empty() && form == Form::Plain {
        return String::new();
    }
    let names: BTreeSet<&String> = lines.iter().flat_map(|(_, _, cells)| cells.keys()).collect();
    let has_revisions = revisions.iter().any(|(name, _)| !name.is_empty());
    let mut header: Vec<String> =
        if has_revisions { vec!["Revision".to_owned()] } else { Vec::new() };
    header.push("Path".to_owned());
    header.extend(names.iter().map(|name| (*name).clone()));
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|(revision, path, cells)| {
            let mut row: Vec<String> =
                if has_revisions { vec![(*revision).to_owned()] } else { Vec::new() };
            row.push(path.clone());
            row.extend(
                names.iter().map(|name| cells.get(*name).map_or("-", String::as_str).to_owned()),
            );
            row
        })
        .collect();
    match form {
        Form::Plain => plain::plain(&header, &rows),
        Form::Markdown => markdown::table(&header, &rows),
    }
}

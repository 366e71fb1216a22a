//! A table of revisions as columns and cells: names of columns, which to show, in which order.
//!
//! Nothing is formatted here. Columns are named as DVC names them: by the dotted key, with the file before it where two
//! files have the key; dependencies by their path.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use exp_core::{Artifact, Value};
use regex::Regex;

use crate::revision::{FileData, Files, Problem, RevisionData, RowData, ShowTable};

mod best;
mod condition;
mod group;
mod order;

pub use best::{MetricDirection, best, direction};
pub use condition::ConditionError;
pub use order::{Blank, Order, Sort};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColumnKind {
    /// Values of metrics.
    Metric,
    /// Values of parameters.
    Param,
    /// Digests of dependencies.
    Dep,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it holds.
    pub kind: ColumnKind,
    /// The parameter or metric file, or the dependency.
    pub file: Arc<str>,
    /// The dotted key in the file; empty for a dependency.
    pub key: String,
    /// Its name: unique among the metrics and parameters of the table.
    pub name: String,
}

/// What stands where a row and a column meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'t> {
    /// Nothing: the revision does not have it, or it is null.
    Missing,
    /// The file cannot be read, or it is missing although the pipeline names it.
    Error(&'t Problem),
    /// A value; never null, and never a map.
    Value(&'t Value),
    /// A dependency's content.
    Artifact(&'t Artifact),
    /// Numbers of several experiments that were grouped.
    Spread {
        /// Their mean; NaN when one of them is.
        mean: f64,
        /// The standard deviation of the sample; `None` of one number.
        deviation: Option<f64>,
        /// How many there are, at least one. Experiments without a value do not count.
        n: usize,
    },
    /// So many different values of experiments that were grouped, nothing being one of them.
    Various(usize),
}

impl Cell<'_> {
    /// Returns whether two cells show the same. NaN is the same as NaN.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Missing, Self::Missing) | (Self::Error(_), Self::Error(_)) => true,
            (Self::Value(Value::Float(a)), Self::Value(Value::Float(b))) => {
                a.total_cmp(b).is_eq() || (a.is_nan() && b.is_nan()) || (*a == 0.0 && *b == 0.0)
            }
            (Self::Value(a), Self::Value(b)) => a == b,
            (Self::Artifact(a), Self::Artifact(b)) => a.id == b.id,
            (Self::Spread { mean: a, .. }, Self::Spread { mean: b, .. }) => a.total_cmp(b).is_eq(),
            _ => false,
        }
    }
}

/// Which row of a [`ShowTable`] it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowPlace {
    /// The workspace.
    Workspace,
    /// A baseline, by its place in the table.
    Baseline(usize),
    /// An experiment, by the place of its baseline and its place there.
    Experiment(usize, usize),
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedRow<'t> {
    /// Which one.
    pub place: RowPlace,
    /// One cell for each column.
    pub cells: Vec<Cell<'t>>,
    /// Why the whole row is empty.
    pub problem: Option<&'t Problem>,
    /// The experiments of a group, in their order, the first being that of `place`; empty for a row of its own.
    pub members: Vec<RowPlace>,
}

/// A table of revisions as columns and cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison<'t> {
    /// Metrics, then parameters, then dependencies. In each, files and keys in the order of their first appearance;
    /// dependencies sorted.
    pub columns: Vec<Column>,
    /// The workspace, then each baseline followed by its experiments.
    pub rows: Vec<ComparedRow<'t>>,
}

/// What is asked of a table that it cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A pattern is no regular expression.
    #[error("`{pattern}` is not a regular expression")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// No column has the name.
    #[error("there is no metric or parameter `{name}`")]
    UnknownColumn {
        /// What was asked for.
        name: String,
        /// Names that look like it, the most similar first, at most three.
        near: Vec<String>,
    },
    /// What experiments are grouped by is no parameter.
    #[error("`{name}` is no parameter")]
    NoParam {
        /// What was asked for.
        name: String,
    },
    /// Several columns have the name behind that of their file.
    #[error("`{name}` is ambiguous, it may be {}", candidates.join(" or "))]
    AmbiguousColumn {
        /// What was asked for.
        name: String,
        /// The columns, sorted.
        candidates: Vec<String>,
    },
}

impl<'t> Comparison<'t> {
    /// Makes columns of everything that the table has.
    pub fn of(table: &'t ShowTable) -> Self {
        let mut found = Found::default();
        let rows = rows(table);
        for (_, data) in &rows {
            if let Ok(data) = data {
                found.add(data);
            }
        }
        let (columns, places) = found.columns();
        let n_columns = columns.len();
        let rows = rows
            .into_iter()
            .map(|(place, data)| match data {
                Ok(data) => (place, places.cells(data, n_columns), None),
                Err(problem) => (place, vec![Cell::Missing; n_columns], Some(problem)),
            })
            .map(|(place, cells, problem)| ComparedRow {
                place,
                cells,
                problem,
                members: Vec::new(),
            })
            .collect();
        Self { columns, rows }
    }

    /// Leaves out columns. `is_dropped` is asked for each of them, by its position and description.
    pub fn retain(&mut self, mut is_kept: impl FnMut(usize, &Column) -> bool) {
        let kept: Vec<bool> =
            self.columns.iter().enumerate().map(|(at, column)| is_kept(at, column)).collect();
        let mut flags = kept.iter();
        self.columns.retain(|_| *flags.next().unwrap_or(&true));
        for row in &mut self.rows {
            let mut flags = kept.iter();
            row.cells.retain(|_| *flags.next().unwrap_or(&true));
        }
    }

    /// Returns for each column whether all rows show the same there, those included that show nothing.
    ///
    /// A column of a table without rows is constant.
    pub fn constant(&self) -> Vec<bool> {
        self.constant_over(|_| true)
    }

    /// Returns for each column whether the rows that `counts` accepts show the same there.
    pub fn constant_over(&self, counts: impl Fn(&ComparedRow<'_>) -> bool) -> Vec<bool> {
        let mut rows = self.rows.iter().filter(|row| counts(row));
        let Some(first) = rows.next() else { return vec![true; self.columns.len()] };
        let mut constant = vec![true; self.columns.len()];
        for row in rows {
            for (at, cell) in row.cells.iter().enumerate() {
                constant[at] = constant[at] && cell.is_same(&first.cells[at]);
            }
        }
        constant
    }
}

/// Patterns for names of columns, matched from the beginning of the name.
#[derive(Debug, Default)]
pub struct Patterns(Vec<Regex>);

impl Patterns {
    /// Compiles patterns.
    pub fn new(patterns: &[String]) -> Result<Self, CompareError> {
        let compile = |pattern: &String| {
            Regex::new(&format!("^(?:{pattern})"))
                .map_err(|_| CompareError::Pattern { pattern: pattern.clone() })
        };
        Ok(Self(patterns.iter().map(compile).collect::<Result<_, _>>()?))
    }

    /// Returns whether one of them matches; never for no patterns.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(name))
    }
}

/// Returns the rows of a table in their order.
fn rows(table: &ShowTable) -> Vec<(RowPlace, Result<&RevisionData, &Problem>)> {
    fn data(row: &RowData) -> Result<&RevisionData, &Problem> {
        match row {
            Ok(data) => Ok(data),
            Err(problem) => Err(problem),
        }
    }
    let mut rows = Vec::with_capacity(1 + table.baselines.len() + table.n_experiments());
    if let Some(workspace) = &table.workspace {
        rows.push((RowPlace::Workspace, data(workspace)));
    }
    for (at, baseline) in table.baselines.iter().enumerate() {
        rows.push((RowPlace::Baseline(at), data(&baseline.data)));
        let experiments = baseline.experiments.iter().enumerate();
        rows.extend(
            experiments.map(|(which, row)| (RowPlace::Experiment(at, which), data(&row.data))),
        );
    }
    rows
}

/// Columns while they are found.
#[derive(Default)]
struct Found {
    metrics: Keys,
    params: Keys,
    deps: BTreeSet<Arc<str>>,
}

/// Files and their keys, both in the order of their first appearance.
#[derive(Default)]
struct Keys {
    files: Vec<(Arc<str>, Vec<String>)>,
    known: HashMap<Arc<str>, KnownFile>,
}

#[derive(Default)]
struct KnownFile {
    at: usize,
    keys: HashSet<String>,
    /// Values that were looked at already, by address: revisions share them.
    seen: HashSet<*const Value>,
}

impl Keys {
    fn add(&mut self, data: &Files) {
        for (file, data) in data {
            let Some(value) = data.value().filter(|value| value.as_table().is_some()) else {
                continue;
            };
            if !self.known.contains_key(file) {
                let known = KnownFile { at: self.files.len(), ..KnownFile::default() };
                self.files.push((Arc::clone(file), Vec::new()));
                self.known.insert(Arc::clone(file), known);
            }
            let Some(known) = self.known.get_mut(file) else { continue };
            if !known.seen.insert(std::ptr::from_ref(value)) {
                continue;
            }
            let keys = &mut self.files[known.at].1;
            exp_params::each_leaf(value, &mut |key, _| {
                if !known.keys.contains(key) {
                    known.keys.insert(key.to_owned());
                    keys.push(key.to_owned());
                }
            });
        }
    }
}

impl Found {
    fn add(&mut self, data: &RevisionData) {
        self.metrics.add(&data.metrics);
        self.params.add(&data.params);
        for (path, _) in &data.deps {
            if !self.deps.contains(path) {
                self.deps.insert(Arc::clone(path));
            }
        }
    }

    fn columns(self) -> (Vec<Column>, Places) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (_, keys) in self.metrics.files.iter().chain(&self.params.files) {
            for key in keys {
                *counts.entry(key.clone()).or_default() += 1;
            }
        }
        let (mut columns, mut places) = (Vec::new(), Places::default());
        let both =
            [(ColumnKind::Metric, self.metrics.files), (ColumnKind::Param, self.params.files)];
        for (kind, files) in both {
            for (file, keys) in files {
                let mut by_key = HashMap::with_capacity(keys.len());
                for key in keys {
                    let is_unique = counts.get(&key) == Some(&1);
                    let name = if is_unique { key.clone() } else { format!("{file}:{key}") };
                    by_key.insert(key.clone(), columns.len());
                    columns.push(Column { kind, file: Arc::clone(&file), key, name });
                }
                let files = if kind == ColumnKind::Metric {
                    &mut places.metrics
                } else {
                    &mut places.params
                };
                files.insert(file, by_key);
            }
        }
        for path in self.deps {
            places.deps.insert(Arc::clone(&path), columns.len());
            let (key, name) = (String::new(), path.to_string());
            columns.push(Column { kind: ColumnKind::Dep, file: path, key, name });
        }
        (columns, places)
    }
}

type ByKey = HashMap<String, usize>;

/// Where the column of a key is.
#[derive(Default)]
struct Places {
    metrics: HashMap<Arc<str>, ByKey>,
    params: HashMap<Arc<str>, ByKey>,
    deps: HashMap<Arc<str>, usize>,
}

impl Places {
    fn cells<'t>(&self, data: &'t RevisionData, n_columns: usize) -> Vec<Cell<'t>> {
        let mut cells = vec![Cell::Missing; n_columns];
        for (files, places) in [(&data.metrics, &self.metrics), (&data.params, &self.params)] {
            for (file, data) in files {
                let Some(by_key) = places.get(file) else { continue };
                match data {
                    FileData::Error(problem) => {
                        for at in by_key.values() {
                            cells[*at] = Cell::Error(problem);
                        }
                    }
                    FileData::Value(value) if value.as_table().is_some() => {
                        exp_params::each_leaf(value, &mut |key, value| {
                            if let (Some(at), false) = (by_key.get(key), *value == Value::Null) {
                                cells[*at] = Cell::Value(value);
                            }
                        });
                    }
                    FileData::Value(_) => {}
                }
            }
        }
        for (path, dep) in &data.deps {
            if let (Some(at), Some(artifact)) = (self.deps.get(path), &dep.artifact) {
                cells[*at] = Cell::Artifact(artifact);
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests;

//! What is shown of a revision, as its pipeline files declare it: which files, which keys, which outputs.
//!
//! Most experiments of a project have the same pipeline files, so this is made once for all of them.

use std::collections::HashSet;
use std::sync::Arc;

use exp_core::{Artifact, KeyPath, Location, OutKind, RelPath, Stage, StageId, Table, Value};
use exp_params::Format;

use crate::collect::problem::problem;
use crate::revision::Problem;
use crate::view::View;

/// The parameter file that is shown whether or not anything uses it.
const DEFAULT_PARAMS: &str = "params.yaml";

/// What the pipeline files of a revision declare.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Why nothing can be shown: the first file that is broken.
    pub(super) problem: Option<Arc<Problem>>,
    /// The `dvc.yaml` files, of which each may have a lock file.
    pub(super) pipelines: Vec<RelPath>,
    pub(super) params: Vec<Spec>,
    /// Files and directories.
    pub(super) metrics: Vec<RelPath>,
    pub(super) deps: Vec<Edge>,
    pub(super) outs: Vec<OutEdge>,
    /// Every output that the store keeps, for files that are not in Git.
    pub(super) stored: Vec<Stored>,
}

/// A parameter file that is shown.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) path: RelPath,
    pub(super) shown: Arc<str>,
    pub(super) usage: Usage,
    /// Whether it is left out, and not a problem, when it does not exist.
    pub(super) is_optional: bool,
}

/// What is taken from a file. The number is the same for two usages only if they take the same.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub(super) id: usize,
    pub(super) format: Format,
    pub(super) takes: Takes,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Takes {
    /// What counts as a metric.
    Metrics,
    /// Everything.
    All,
    /// These keys, nested as in the file, and those that templates use, by their dotted names.
    Keys { nested: Vec<KeyPath>, dotted: Vec<KeyPath> },
}

/// A dependency or an output and where it was recorded.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) shown: Arc<str>,
    pub(super) stage: StageId,
    /// The path as the stage writes it.
    pub(super) written: String,
    /// What a `.dvc` file records itself.
    pub(super) recorded: Option<Artifact>,
}

#[derive(Debug)]
pub(super) struct OutEdge {
    pub(super) edge: Edge,
    pub(super) use_cache: bool,
    pub(super) is_data_source: bool,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) path: RelPath,
    pub(super) edge: Edge,
}

/// Which parameters are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Params {
    /// Those of stages, those that templates use, top-level files, and all of `params.yaml`.
    #[default]
    All,
    /// Those that stages depend on.
    OfStages,
}

impl Shape {
    pub(super) fn of(view: &View, params: Params, usages: &mut Usages) -> Self {
        let mut shape = Self::default();
        if let Some((_, error)) = view.broken.first() {
            shape.problem = Some(problem(error));
        }
        shape.pipelines = view.files.iter().map(|file| file.file.clone()).collect();
        shape.add_params(view, params, usages);
        shape.add_metrics(view);
        for stage in view.stages.iter() {
            let edge = |written: &str, location: &Location, is_dep: bool| Edge {
                shown: Arc::from(location.to_string()),
                stage: stage.id.clone(),
                written: written.to_owned(),
                recorded: view.data.get(&stage.id).and_then(|data| {
                    let entry = if is_dep { data.dep(written) } else { data.out(written) };
                    entry.and_then(|entry| entry.artifact)
                }),
            };
            for dep in &stage.deps {
                shape.deps.push(edge(&dep.path, &dep.location, true));
            }
            for out in &stage.outs {
                if out.kind != OutKind::Metric {
                    let edge = edge(&out.path, &out.location, false);
                    let is_data_source = stage.is_data_source();
                    shape.outs.push(OutEdge { edge, use_cache: out.cache, is_data_source });
                }
                if let (true, Some(path)) = (out.cache, out.location.workspace()) {
                    shape.stored.push(Stored {
                        path: path.clone(),
                        edge: edge(&out.path, &out.location, false),
                    });
                }
            }
        }
        let mut seen = HashSet::new();
        shape.deps.retain(|dep| seen.insert(Arc::clone(&dep.shown)));
        shape
    }

    fn add_params(&mut self, view: &View, params: Params, usages: &mut Usages) {
        let mut wanted: Vec<Wanted> = Vec::new();
        if params == Params::All {
            let mut default =
                Wanted::new(RelPath::new(DEFAULT_PARAMS).unwrap_or_else(|_| RelPath::root()));
            default.is_whole = true;
            default.is_optional = true;
            wanted.push(default);
        }
        for stage in view.stages.iter() {
            for param in &stage.params {
                let Some(path) = param.location.workspace() else { continue };
                let file = want(&mut wanted, path);
                file.is_optional = false;
                match &param.key {
                    None => file.is_whole = true,
                    Some(key) => push_new(&mut file.nested, key),
                }
            }
        }
        if params == Params::All {
            for (path, keys) in view.stages.iter().flat_map(|stage| &stage.interpolated) {
                let file = want(&mut wanted, path);
                file.is_optional = false;
                for key in keys {
                    push_new(&mut file.dotted, key);
                }
            }
            for path in view.files.iter().flat_map(|file| &file.params) {
                let file = want(&mut wanted, path);
                file.is_whole = true;
                file.is_optional = false;
            }
        }
        self.params = wanted.into_iter().map(|file| file.into_spec(usages)).collect();
    }

    fn add_metrics(&mut self, view: &View) {
        let of_stages = (view.stages.iter())
            .flat_map(|stage: &Stage| &stage.outs)
            .filter(|out| out.kind == OutKind::Metric)
            .filter_map(|out| out.location.workspace());
        let top_level = view.files.iter().flat_map(|file| &file.metrics);
        for path in of_stages.chain(top_level) {
            if !self.metrics.contains(path) {
                self.metrics.push(path.clone());
            }
        }
    }

    /// Returns the output of the store that holds `path`, and what `path` is inside it.
    pub(super) fn stored<'s, 'p>(&'s self, path: &'p RelPath) -> Option<(&'s Edge, &'p str)> {
        self.stored.iter().find_map(|stored| Some((&stored.edge, path.strip_prefix(&stored.path)?)))
    }
}

impl Spec {
    /// Returns a parameter file of which everything is taken.
    pub(super) fn whole(path: &RelPath) -> Self {
        let format = Format::of(path.as_str());
        let usage = Usage { id: by_format(format) + N_FORMATS, format, takes: Takes::All };
        Self { path: path.clone(), shown: Arc::from(path.as_str()), usage, is_optional: false }
    }
}

/// All usages that were met, so that equal ones have one number.
#[derive(Debug, Default)]
pub(super) struct Usages(Vec<(Format, Takes)>);

impl Usages {
    fn usage(&mut self, path: &RelPath, takes: Takes) -> Usage {
        let format = Format::of(path.as_str());
        if takes == Takes::All {
            return Usage { id: by_format(format) + N_FORMATS, format, takes };
        }
        let known = self.0.iter().position(|known| known.0 == format && known.1 == takes);
        let known = known.unwrap_or_else(|| {
            self.0.push((format, takes.clone()));
            self.0.len() - 1
        });
        Usage { id: 2 * N_FORMATS + known, format, takes }
    }
}

/// The first numbers belong to metrics, one for each format, the next to whole parameter files.
const N_FORMATS: usize = 4;

fn by_format(format: Format) -> usize {
    match format {
        Format::Yaml => 0,
        Format::Json => 1,
        Format::Toml => 2,
        Format::Python => 3,
    }
}

impl Usage {
    /// Returns the usage of a metric file.
    pub(super) fn metric(path: &str) -> Self {
        let format = Format::of(path);
        Self { id: by_format(format), format, takes: Takes::Metrics }
    }

    /// Returns what is taken from a document.
    pub(super) fn take(&self, value: Value) -> Value {
        match &self.takes {
            Takes::Metrics => exp_params::metrics(&value),
            Takes::All => value,
            Takes::Keys { nested, dotted } => {
                let mut taken = Table::new();
                for key in nested {
                    if let Some(found) = value.get(key) {
                        insert_nested(&mut taken, key.parts(), found);
                    }
                }
                for key in dotted {
                    if let Some(found) = value.get(key) {
                        taken.insert(key.to_string(), found.clone());
                    }
                }
                Value::Table(taken)
            }
        }
    }
}

/// A parameter file while it is found out what is taken from it.
struct Wanted {
    path: RelPath,
    is_whole: bool,
    is_optional: bool,
    nested: Vec<KeyPath>,
    dotted: Vec<KeyPath>,
}

impl Wanted {
    fn new(path: RelPath) -> Self {
        Self { path, is_whole: false, is_optional: false, nested: Vec::new(), dotted: Vec::new() }
    }

    fn into_spec(self, usages: &mut Usages) -> Spec {
        let takes = if self.is_whole {
            Takes::All
        } else {
            Takes::Keys { nested: self.nested, dotted: self.dotted }
        };
        Spec {
            shown: Arc::from(self.path.as_str()),
            usage: usages.usage(&self.path, takes),
            path: self.path,
            is_optional: self.is_optional,
        }
    }
}

fn want<'w>(wanted: &'w mut Vec<Wanted>, path: &RelPath) -> &'w mut Wanted {
    let at = wanted.iter().position(|known| known.path == *path).unwrap_or_else(|| {
        wanted.push(Wanted::new(path.clone()));
        wanted.len() - 1
    });
    &mut wanted[at]
}

fn push_new(keys: &mut Vec<KeyPath>, key: &KeyPath) {
    if !keys.contains(key) {
        keys.push(key.clone());
    }
}

/// Puts `value` at `parts`. What is in the way is replaced.
fn insert_nested(table: &mut Table, parts: &[String], value: &Value) {
    let Some((first, rest)) = parts.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value.clone());
        return;
    }
    let entry = table.entry(first.clone()).or_insert_with(Value::table);
    if entry.as_table().is_none() {
        *entry = Value::table();
    }
    if let Value::Table(inner) = entry {
        insert_nested(inner, rest, value);
    }
}

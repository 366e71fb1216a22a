//! Where the metrics of a run are looked for.

use std::path::{Path, PathBuf};

use exp_core::{OutKind, PipelineFile, RelPath, Stage, Value};

/// A file or directory that may have metrics, now or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it is, absolute.
    pub(super) path: PathBuf,
    /// The column that counts the steps, if it was said.
    pub(super) step: Option<String>,
    /// What counts there.
    pub(super) takes: Takes,
}

/// What counts at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Everything that may have metrics.
    All,
    /// Records of TensorBoard only: a table may be data.
    Events,
}

/// Where loggers write by themselves.
const USUAL: [(&str, Takes); 5] = [
    ("dvclive/metrics.json", Takes::All),
    ("dvclive/plots/metrics", Takes::All),
    ("lightning_logs", Takes::All),
    ("runs", Takes::Events),
    ("logs", Takes::Events),
];

/// Returns the places of stages: what they declare, what is declared at the top of `dvc.yaml` files, and where loggers
/// write by themselves. Each place is there once, with the first that was said of it.
pub(super) fn places<'s>(
    root: &Path,
    files: &[PipelineFile],
    stages: impl IntoIterator<Item = &'s Stage>,
) -> Vec<Place> {
    let mut found = Found { root, places: Vec::new() };
    let mut dirs = vec![RelPath::root()];
    for stage in stages {
        for out in &stage.outs {
            let Some(path) = out.location.workspace() else { continue };
            let takes = if out.kind == OutKind::Data { Takes::Events } else { Takes::All };
            found.add(path, step_of(out.extra.get("x")), takes);
        }
        if !dirs.contains(&stage.wdir) {
            dirs.push(stage.wdir.clone());
        }
    }
    for file in files {
        let dir = file.file.parent().unwrap_or_default();
        for definition in file.plots.iter().filter_map(Value::as_table) {
            for (id, props) in definition {
                let step = step_of(props.as_table().and_then(|props| props.get("x")));
                if let (Some(step), Ok(path)) = (step, dir.join(id)) {
                    found.add(&path, Some(step), Takes::All);
                }
            }
        }
        for path in file.metrics.iter().chain(&file.plot_paths) {
            found.add(path, None, Takes::All);
        }
    }
    for dir in dirs {
        for (name, takes) in USUAL {
            if let Ok(path) = dir.join(name) {
                found.add(&path, None, takes);
            }
        }
    }
    found.places
}

struct Found<'f> {
    root: &'f Path,
    places: Vec<Place>,
}

impl Found<'_> {
    fn add(&mut self, path: &RelPath, step: Option<String>, takes: Takes) {
        let path = path.under(self.root);
        if !self.places.iter().any(|place| place.path == path) {
            self.places.push(Place { path, step, takes });
        }
    }
}

/// Returns the column that a plot has as its horizontal axis.
fn step_of(x: Option<&Value>) -> Option<String> {
    x.and_then(Value::as_text).map(str::to_owned)
}

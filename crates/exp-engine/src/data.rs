//! Data of a project: adding it, bringing it back, recording it, and telling what differs.
//!
//! Each use has a file below; this one has what they share: naming data, and what can be wrong with a name.

mod add;
mod checkout;
mod commit;
mod status;

pub use add::{AddReport, AddRequest, Added};
pub use checkout::{CheckoutReport, DataCheckoutPlan, OutChange, OutEffect, UnsavedData};
pub use commit::{CommitDataPlan, CommitDataReport, CommitStep};
pub use status::{DataChanges, DataStatus, DataStatusRequest, Granularity};

use std::path::{Component, Path, PathBuf};

use exp_core::{
    PathError, Pipeline, Reach, RelPath, SelectError, Selection, StageId, Target, select,
};

use crate::error::{Error, ErrorKind};
use crate::project::Project;
use crate::view::View;

/// What is wrong with data that somebody names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing is there.
    #[error("`{path}` does not exist")]
    Absent {
        /// The path.
        path: RelPath,
    },
    /// A file that says what data is cannot be data.
    #[error("`{path}` is a file that tracks data")]
    DvcFile {
        /// The `.dvc` file.
        path: RelPath,
    },
    /// The path of data is outside the project.
    #[error("`{}` is outside the project", path.display())]
    Outside {
        /// The path, absolute.
        path: PathBuf,
    },
    /// The path is ignored.
    #[error("`{path}` is ignored by {rule}")]
    Ignored {
        /// The path.
        path: RelPath,
        /// File, line and pattern, separated by `:`.
        rule: String,
    },
    /// The path is, contains or lies inside an output of a stage with a command.
    #[error("`{path}` overlaps with an output of stage `{stage}`")]
    PipelineOutput {
        /// The path.
        path: RelPath,
        /// The stage.
        stage: StageId,
    },
    /// No output and no stage has that name.
    #[error("`{text}` is neither an output nor a stage")]
    UnknownTarget {
        /// As it was given.
        text: String,
        /// What was found out when it was taken for a stage.
        source: Box<SelectError>,
    },
    /// Stages have changed, and nobody said that they are to be recorded without being run.
    #[error("changed without being run: {}", listed(stages))]
    NotAccepted {
        /// The stages.
        stages: Vec<StageId>,
    },
}

impl DataError {
    /// Returns what kind of failure this is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Absent { .. } | Self::UnknownTarget { .. } => ErrorKind::NotFound,
            Self::NotAccepted { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Usage,
        }
    }
}

/// What of the project's data is meant.
#[derive(Debug, Clone, Default)]
pub struct DataScope {
    /// Outputs, paths inside of them, stages, or `.dvc` files, as someone in `cwd` writes them; empty for everything.
    pub targets: Vec<String>,
    /// Where that is, below the project's root.
    pub cwd: RelPath,
    /// Whether what the named stages wait for is meant as well.
    pub with_deps: bool,
    /// Whether a directory means everything that is declared below it.
    pub recursive: bool,
}

/// An output that is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Picked {
    /// The place of the stage in the view.
    pub stage: usize,
    /// The place of the output in the stage.
    pub out: usize,
    /// What of it is meant, when that is not the whole.
    pub below: Option<RelPath>,
}

impl Project {
    /// Returns the path below the root of `path`, an absolute one. Links above its last part are followed.
    ///
    /// # Errors
    ///
    /// When it is outside the project, or not UTF-8.
    pub fn locate(&self, path: &Path) -> Result<RelPath, Error> {
        let path = normal(path);
        let outside = || DataError::Outside { path: path.clone() };
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let root = real(self.root());
        if path == self.root() || path == root {
            return Ok(RelPath::root());
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(outside().into());
        };
        let found = real(parent).join(name);
        let below = found.strip_prefix(&root).or_else(|_| path.strip_prefix(self.root()));
        match RelPath::from_path(below.map_err(|_| outside())?) {
            Err(PathError::Outside(_)) => Err(outside().into()),
            found => Ok(found?),
        }
    }
}

/// Finds the outputs that are meant, in the order of the view.
pub(crate) fn pick(view: &View, scope: &DataScope) -> Result<Vec<Picked>, Error> {
    let mut picked = Vec::new();
    let whole = |stage: usize| {
        let outs = 0..view.stages[stage].outs.len();
        outs.map(move |out| Picked { stage, out, below: None })
    };
    if scope.targets.is_empty() {
        return Ok((0..view.stages.len()).flat_map(whole).collect());
    }
    for text in &scope.targets {
        if let Ok(path) = scope.cwd.join(text)
            && !path.is_root()
            && let Some(found) = find_out(view, &path)
        {
            if scope.with_deps {
                let id = view.stages[found.stage].id.clone();
                let target = target_of(&id);
                picked.extend(
                    stages(view, &target, Reach::Upstream, text)?.into_iter().flat_map(whole),
                );
            } else {
                picked.push(found);
            }
            continue;
        }
        let target = match scope.cwd.join(text) {
            Ok(dir)
                if scope.recursive
                    && view.stages.iter().any(|one| one.id.file.starts_with(&dir)) =>
            {
                Target::Dir(dir)
            }
            _ => Target::parse(text, &scope.cwd)?,
        };
        let reach = if scope.with_deps { Reach::Upstream } else { Reach::Single };
        picked.extend(stages(view, &target, reach, text)?.into_iter().flat_map(whole));
    }
    picked.sort();
    picked.dedup();
    Ok(picked)
}

fn target_of(id: &StageId) -> Target {
    match &id.name {
        Some(name) => Target::Stage { file: id.file.clone(), name: name.clone() },
        None => Target::File(id.file.clone()),
    }
}

fn stages(view: &View, target: &Target, reach: Reach, text: &str) -> Result<Vec<usize>, Error> {
    let pipeline = Pipeline::unchecked(view.stages.clone());
    let selection = Selection::of([target.clone()]).reaching(reach);
    let ids = select(&pipeline, &selection).map_err(|source| DataError::UnknownTarget {
        text: text.to_owned(),
        source: Box::new(source),
    })?;
    Ok(ids.iter().filter_map(|id| pipeline.position(id)).collect())
}

fn find_out(view: &View, path: &RelPath) -> Option<Picked> {
    view.stages.iter().enumerate().find_map(|(stage, found)| {
        found.outs.iter().enumerate().find_map(|(out, declared)| {
            let at = declared.location.workspace()?;
            let below = path.strip_prefix(at)?;
            let below = if below.is_empty() { None } else { Some(RelPath::new(below).ok()?) };
            Some(Picked { stage, out, below })
        })
    })
}

/// Resolves `.` and `..` by text.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn listed(stages: &[StageId]) -> String {
    stages.iter().map(|stage| format!("`{stage}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the stage with a command whose output shares a path with `path`.
pub(crate) fn pipeline_stage_at<'v>(view: &'v View, path: &RelPath) -> Option<&'v StageId> {
    let shares = |out: &RelPath| path.starts_with(out) || out.starts_with(path);
    view.stages.iter().filter(|stage| !stage.is_data_source()).find_map(|stage| {
        let mut outs = stage.outs.iter().filter_map(|out| out.location.workspace());
        outs.any(shares).then_some(&stage.id)
    })
}

//! Data of a project: adding it, bringing it back, recording it, and telling what differs.
//!
//! Each use has a file below; this one has what they share: naming data, and what can be wrong with a name.

mod add;
mod checkout;
mod commit;
mod diff;
mod glob;
pub(crate) mod links;
mod relocate;
mod remove;
mod state;
mod status;
mod transfer;

pub(crate) use add::new_stage;
pub use add::{AddCopyRequest, AddReport, AddRequest, AddToRemoteRequest, Added};
pub use checkout::{CheckoutReport, DataCheckoutPlan, OutChange, OutEffect, UnsavedData};
pub use commit::{CommitDataPlan, CommitDataReport, CommitStep};
pub use diff::{DataDiff, DataDiffEntry, DataDiffRequest};
pub use glob::matching_paths;
pub use relocate::MoveReport;
pub use remove::{UntrackReport, UntrackRequest, UntrackedOuts};
pub use status::{DataChanges, DataStatus, DataStatusRequest, Granularity};
pub use transfer::{
    CloudState, CloudStatus, DataPiece, DataRevisions, DataTransferReport, DataTransferRequest,
};

use std::path::{Component, Path, PathBuf};

use exp_cache::{CacheError, TransferError};
use exp_core::{
    ObjectId, PathError, Pipeline, Reach, RelPath, SelectError, Selection, StageId, Target, select,
};

use crate::error::{Error, ErrorKind};
use crate::project::Project;
use crate::sync::SyncError;
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
    /// No output, no `.dvc` file and no stage matches any of the patterns.
    #[error("nothing that is tracked matches {}", quoted(patterns))]
    NoMatch {
        /// As they were given.
        patterns: Vec<String>,
    },
    /// Something in an output is named that is not recorded there.
    #[error("`{path}` is not part of what is recorded of `{out}`")]
    NotPart {
        /// The path.
        path: RelPath,
        /// The output.
        out: RelPath,
    },
    /// Data is named where the file that tracks it is meant.
    #[error("`{text}` is not a .dvc file; `{file}` tracks it")]
    NotDvcFile {
        /// As it was given.
        text: String,
        /// The file.
        file: RelPath,
    },
    /// No `.dvc` file and no stage has that path for an output.
    #[error("`{path}` is not tracked")]
    NotTracked {
        /// The path.
        path: RelPath,
    },
    /// Data is asked about that no output is, has or lies below.
    #[error("nothing that is tracked is at `{path}`")]
    NothingTracked {
        /// The path.
        path: RelPath,
    },
    /// Content would be lost that is stored nowhere.
    #[error("{} would be lost", if paths.len() == 1 { "1 file".to_owned() } else { format!("{} files", paths.len()) })]
    Unsaved {
        /// The files, ordered.
        paths: Vec<RelPath>,
    },
    /// Something is to be copied into itself.
    #[error("`{}` cannot be copied into itself", path.display())]
    IntoItself {
        /// What is to be copied, absolute.
        path: PathBuf,
    },
    /// A recorded path that a symbolic link leads out of the project.
    #[error("`{path}` leads out of the project: a directory above it is a symbolic link to `{}`", target.display())]
    LeadsOutside {
        /// The path.
        path: RelPath,
        /// Where it leads.
        target: PathBuf,
    },
    /// A recorded path in `.git` or `.dvc`, by its name or by a symbolic link above it.
    #[error("`{path}` lies in the directory of a repository, where no data is kept")]
    InRepository {
        /// The path.
        path: RelPath,
    },
    /// What the store has of an output is not to be brought into a workspace.
    #[error("`{path}` cannot be brought here")]
    Unusable {
        /// The output.
        path: RelPath,
        /// What is wrong with it.
        source: CacheError,
    },
    /// What the store has of an output is not what is recorded.
    #[error("what the cache has of `{path}` is damaged")]
    Damaged {
        /// The output.
        path: RelPath,
        /// What is wrong with it.
        source: CacheError,
    },
    /// Data that a command makes cannot be moved: the command would make it where it was.
    #[error("stage `{stage}` is not a data source")]
    NotDataSource {
        /// The stage.
        stage: StageId,
    },
    /// Stages have changed, and nobody said that they are to be recorded without being run.
    #[error("changed without being run: {}", listed(stages))]
    NotAccepted {
        /// The stages.
        stages: Vec<StageId>,
    },
}

impl DataError {
    /// Returns whether a file cannot be brought because its object has other bytes.
    pub(crate) fn is_corrupt_source(&self) -> bool {
        matches!(self, Self::Unusable { source: CacheError::CorruptSource { .. }, .. })
    }

    /// Returns what kind of failure this is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Absent { .. }
            | Self::UnknownTarget { .. }
            | Self::NoMatch { .. }
            | Self::NotPart { .. }
            | Self::NotDvcFile { .. }
            | Self::NothingTracked { .. }
            | Self::NotTracked { .. } => ErrorKind::NotFound,
            Self::NotAccepted { .. } | Self::Unsaved { .. } => ErrorKind::Conflict,
            Self::Unusable { .. }
            | Self::Damaged { .. }
            | Self::InRepository { .. }
            | Self::LeadsOutside { .. } => ErrorKind::Corrupt,
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

impl Project {
    /// Refuses a recorded path that leads into the directory of a repository, or that symbolic links above it lead there
    /// or out of the project: nothing is written or removed there.
    pub(crate) fn require_inside(&self, path: &RelPath) -> Result<(), Error> {
        if path.in_repository() {
            return Err(DataError::InRepository { path: path.clone() }.into());
        }
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return Ok(()) };
        let full = parent.under(self.root());
        let Some(real) = full.ancestors().find_map(|dir| dir.canonicalize().ok()) else {
            return Ok(());
        };
        let root = self.root().canonicalize().unwrap_or_else(|_| self.root().to_path_buf());
        match real.strip_prefix(&root).map(RelPath::from_path) {
            Ok(Ok(below)) if below.in_repository() => {
                Err(DataError::InRepository { path: path.clone() }.into())
            }
            Ok(_) => Ok(()),
            Err(_) => Err(DataError::LeadsOutside { path: path.clone(), target: real }.into()),
        }
    }
}

/// Finds the outputs that are meant, in the order of the view.
pub(crate) fn pick(view: &View, scope: &DataScope) -> Result<Vec<Picked>, Error> {
    let mut picked = Vec::new();
    for found in find(view, scope)? {
        match found {
            Found::Stage(stage) => {
                let outs = 0..view.stages[stage].outs.len();
                picked.extend(outs.map(|out| Picked { stage, out, below: None }));
            }
            Found::Out(out) => picked.push(out),
        }
    }
    if !scope.targets.is_empty() {
        picked.sort();
        picked.dedup();
    }
    Ok(picked)
}

/// Returns the positions of the stages that a scope names, those without outputs too, ascending; errors are those of
/// [`pick`].
pub(crate) fn pick_stages(view: &View, scope: &DataScope) -> Result<Vec<usize>, Error> {
    let mut stages: Vec<usize> = (find(view, scope)?.into_iter())
        .map(|found| match found {
            Found::Stage(stage) | Found::Out(Picked { stage, .. }) => stage,
        })
        .collect();
    stages.sort_unstable();
    stages.dedup();
    Ok(stages)
}

/// What a target names.
enum Found {
    /// A whole stage, by its position.
    Stage(usize),
    /// One output, or something below it.
    Out(Picked),
}

fn find(view: &View, scope: &DataScope) -> Result<Vec<Found>, Error> {
    if scope.targets.is_empty() {
        return Ok((0..view.stages.len()).map(Found::Stage).collect());
    }
    let mut all = Vec::new();
    for text in &scope.targets {
        if let Ok(path) = scope.cwd.join(text)
            && !path.is_root()
            && let Some(found) = find_out(view, &path)
        {
            if scope.with_deps {
                let target = target_of(&view.stages[found.stage].id);
                all.extend(
                    stages(view, &target, Reach::Upstream, text)?.into_iter().map(Found::Stage),
                );
            } else {
                all.push(Found::Out(found));
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
        all.extend(stages(view, &target, reach, text)?.into_iter().map(Found::Stage));
    }
    Ok(all)
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
pub(crate) fn normal(path: &Path) -> PathBuf {
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

/// Names the output whose objects in the store are damaged, or mean harm.
pub(crate) fn of_output(path: &RelPath, error: CacheError) -> Error {
    match error {
        CacheError::Manifest { .. }
        | CacheError::Corrupt { .. }
        | CacheError::CorruptSource { .. }
        | CacheError::InRepository { .. } => {
            DataError::Unusable { path: path.clone(), source: error }.into()
        }
        error => error.into(),
    }
}

/// Names the output whose manifest in the store is damaged, when `path` knows it, for a transfer that needs it.
pub(crate) fn of_transfer(
    error: TransferError,
    path: impl FnOnce(ObjectId) -> Option<RelPath>,
) -> Error {
    match error {
        TransferError::Cache(
            source @ (CacheError::Corrupt { id, .. } | CacheError::Manifest { id, .. }),
        ) => match path(id) {
            Some(path) => DataError::Damaged { path, source }.into(),
            None => source.into(),
        },
        error => SyncError::from(error).into(),
    }
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
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

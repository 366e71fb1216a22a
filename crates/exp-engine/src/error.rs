//! What can go wrong with a project, as facts. Frontends match on the variants to find words and hints.

use std::error::Error as StdError;
use std::path::PathBuf;

use exp_cache::CacheError;
use exp_core::{
    Cancelled, ExecuteError, GraphError, LockError, PathError, PipelineError, PortError, RelPath,
    SelectError, StageId,
};
use exp_params::{ApplyError, ComposeError, ParseError};
use exp_refs::{
    CommitError, EditError, FindError, GitError, InvalidName, OpenError, ReadRecordError,
    RevisionError, TransportError, UpdateError, WorktreeError,
};

use crate::config::{ConfigError, SettingsError};
use crate::data::DataError;
use crate::extras::ExtraError;
use crate::files::FileError;
use crate::gc::GcError;
use crate::import::ImportError;
use crate::plot::PlotModifyError;
use crate::selector::SelectorError;
use crate::source::SourceError;
use crate::stage::StageError;
use crate::step_log::StepLogError;
use crate::sync::SyncError;
use crate::trace::TraceError;

/// Why something with a project did not work.
///
/// The message says what and where; what to do about it is the frontend's to say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no `.dvc` directory here or above.
    #[error("`{}` is not inside a project", dir.display())]
    NotInProject {
        /// Where the search began.
        dir: PathBuf,
    },
    /// The Git repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The repository has no commit, so there is nothing that an experiment could start from.
    #[error("the Git repository has no commit yet")]
    NoCommit,
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings in `.dvc/exp.toml` are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A file of the workspace cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The changes of the work tree cannot be collected.
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    /// A file that Git keeps cannot be written as it is there.
    #[error(transparent)]
    WorkFile(#[from] exp_refs::FileError),
    /// A commit cannot be made, for instance because nobody said who makes it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A ref cannot be changed.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// A revision does not exist.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// A name that Git refuses.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A name for a job that is too long.
    #[error("`{name}` is longer than {most} bytes")]
    LongName {
        /// As it was given.
        name: String,
        /// How long it may be.
        most: usize,
    },
    /// A submodule is not at hand, or lacks the commit that a private work tree is to have.
    #[error("submodule `{path}` does not have what it was at, {commit}")]
    NoSubmodule {
        /// Where it is.
        path: String,
        /// The commit.
        commit: String,
    },
    /// Something is asked of a job that its state does not allow.
    #[error("job `{name}` {problem}")]
    Job {
        /// The job, as it was asked for.
        name: String,
        /// Why not.
        problem: JobProblem,
    },
    /// An experiment is not found.
    #[error(transparent)]
    Find(#[from] FindError),
    /// An experiment cannot be saved, renamed or removed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Refs cannot be listed, sent or received.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// `last` or `best` mean no experiment.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// A branch cannot be made.
    #[error(transparent)]
    Branch(#[from] exp_refs::BranchError),
    /// The record of a run cannot be read.
    #[error(transparent)]
    Record(#[from] ReadRecordError),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A path leads out of the project.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A `dvc.yaml` is wrong.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// Something that the settings of a stage name cannot be looked at.
    #[error(transparent)]
    Extra(#[from] ExtraError),
    /// A `dvc.lock`, an `exp.lock` or a `.dvc` file is wrong.
    #[error("`{file}` is not valid")]
    Recorded {
        /// The file.
        file: RelPath,
        /// What is wrong with it.
        source: LockError,
    },
    /// The stages do not fit together.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A target does not exist.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A parameter or metric file is wrong.
    #[error("`{file}` is not valid")]
    Values {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A parameter cannot be changed as asked.
    #[error("cannot change `{file}`")]
    Apply {
        /// The file.
        file: String,
        /// Why not.
        source: Box<ApplyError>,
    },
    /// Parameters cannot be composed.
    #[error("cannot compose the parameters")]
    Compose {
        /// Why not.
        source: Box<ComposeError>,
    },
    /// Parameters are to be composed in a way that needs Python.
    #[error("`{option}` is not supported: parameters are composed without Python")]
    NotComposed {
        /// The option that asks for it.
        option: &'static str,
    },
    /// Stages cannot be run at all.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Something outside the pipeline failed while stages were planned or run.
    #[error(transparent)]
    Port(PortError),
    /// An output is tracked by Git, so the store must not take it.
    #[error("output `{path}` is already tracked by Git")]
    TrackedByGit {
        /// The output, relative to the root.
        path: RelPath,
    },
    /// Another process is at work.
    #[error("{what} is in use by another process")]
    Busy {
        /// What it holds.
        what: String,
    },
    /// Something of ours that cannot be read.
    #[error("{what} is damaged")]
    Corrupt {
        /// What it is.
        what: String,
        /// Why it cannot be read.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Something of ours that a newer version wrote.
    #[error("{what} was written by a newer version")]
    Newer {
        /// What it is.
        what: String,
    },
    /// Unsaved work would be lost.
    #[error("{} would be lost", counted(paths.len()))]
    Unsaved {
        /// The files, relative to the root.
        paths: Vec<RelPath>,
    },
    /// Something that a command may not replace lies where it has to write.
    #[error("{} in the way", are(paths.len()))]
    InTheWay {
        /// The paths, relative to the root.
        paths: Vec<RelPath>,
    },
    /// Files or refs are not as the operation left them that is to be taken back.
    #[error("{} changed since", counted(paths.len() + refs.len()))]
    ChangedSince {
        /// The files, relative to the root.
        paths: Vec<RelPath>,
        /// The refs, by their full names.
        refs: Vec<String>,
    },
    /// Data is neither in the store nor in the workspace.
    #[error("{} not in the store", counted(paths.len()))]
    MissingData {
        /// The outputs, relative to the root.
        paths: Vec<RelPath>,
    },
    /// A dependency or output that is at a place which cannot be read.
    #[error("`{location}` is at a place that cannot be read")]
    UnsupportedLocation {
        /// The place.
        location: String,
    },
    /// A parameter file that is to be changed does not exist.
    #[error("parameter file `{file}` does not exist")]
    NoParamFile {
        /// The file.
        file: RelPath,
    },
    /// A directory stands where records of stages are to be written.
    #[error("`{file}` is a directory and no file")]
    NotAFile {
        /// Where it stands.
        file: RelPath,
    },
    /// A file of the project that is to be read as text is not UTF-8.
    #[error("`{file}` is not UTF-8")]
    NotText {
        /// The file.
        file: RelPath,
    },
    /// Data that is named cannot be used as asked.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Experiments or data were not sent or received.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// Data was not imported, updated, fetched or listed.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Nothing was collected.
    #[error(transparent)]
    Gc(#[from] GcError),
    /// `git` does not add files to the index.
    #[error("cannot add files to the index of Git: {message}")]
    Index {
        /// What it said.
        message: String,
    },
    /// A stage cannot be written.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The properties of a plot cannot be changed.
    #[error(transparent)]
    PlotModify(#[from] PlotModifyError),
    /// Values cannot be logged.
    #[error(transparent)]
    StepLog(#[from] StepLogError),
    /// A command whose doings nobody saw.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The first stage of a run that was due was declined, so there is nothing to keep.
    #[error("stage `{stage}` was declined, so nothing was run")]
    Declined {
        /// The stage.
        stage: StageId,
    },
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What kind of failure it is: enough to choose an exit code or to decide whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something was asked for that cannot be.
    Usage,
    /// Configuration or pipeline files are wrong.
    Config,
    /// Something named does not exist.
    NotFound,
    /// Something is in the way: unsaved work, a taken name, another process.
    Conflict,
    /// Something stored is damaged.
    Corrupt,
    /// The machine: files, permissions, Git, space.
    Environment,
    /// The work was asked to stop.
    Cancelled,
}

/// Writes an error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors say what their cause says.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

impl Error {
    /// Returns what kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Data(error) => error.kind(),
            Self::Sync(error) => error.kind(),
            Self::Import(error) => error.kind(),
            Self::Gc(error) => error.kind(),
            Self::Stage(
                StageError::Name { .. }
                | StageError::NoCommand { .. }
                | StageError::DepIsOut { .. },
            )
            | Self::StepLog(StepLogError::Name { .. } | StepLogError::Nested { .. })
            | Self::Name(_)
            | Self::LongName { .. }
            | Self::Apply { .. }
            | Self::Compose { .. }
            | Self::NotComposed { .. }
            | Self::Path(_)
            | Self::UnsupportedLocation { .. }
            | Self::Selector(
                SelectorError::NotANumber { .. } | SelectorError::NoDirection { .. },
            )
            | Self::Branch(exp_refs::BranchError::Invalid(_)) => ErrorKind::Usage,
            Self::Stage(
                StageError::Edit { source: exp_core::EditError::Exists { .. }, .. }
                | StageError::OutTaken { .. },
            )
            | Self::Branch(exp_refs::BranchError::Exists { .. })
            | Self::InTheWay { .. }
            | Self::Job {
                problem:
                    JobProblem::NotWaiting
                    | JobProblem::NotHeld
                    | JobProblem::Running
                    | JobProblem::NotRunning
                    | JobProblem::NotFailed
                    | JobProblem::NotStarted,
                ..
            }
            | Self::ChangedSince { .. }
            | Self::Find(FindError::Ambiguous { .. })
            | Self::Edit(EditError::Exists { .. } | EditError::Raced { .. })
            | Self::Update(UpdateError::Raced { .. })
            | Self::Busy { .. }
            | Self::Unsaved { .. } => ErrorKind::Conflict,
            Self::Config(_)
            | Self::Settings(_)
            | Self::Pipeline(_)
            | Self::Graph(_)
            | Self::Stage(_)
            | Self::StepLog(StepLogError::Broken { .. } | StepLogError::Edit { .. })
            | Self::Recorded { .. }
            | Self::Values { .. }
            | Self::NotAFile { .. }
            | Self::TrackedByGit { .. } => ErrorKind::Config,
            Self::Selector(_)
            | Self::NotInProject { .. }
            | Self::NoCommit
            | Self::Open(_)
            | Self::Find(FindError::NotFound { .. })
            | Self::Revision(_)
            | Self::Job { problem: JobProblem::Unknown, .. }
            | Self::Select(_)
            | Self::NoParamFile { .. }
            | Self::PlotModify(_)
            | Self::NoSubmodule { .. }
            | Self::MissingData { .. } => ErrorKind::NotFound,
            Self::Cache(
                CacheError::Corrupt { .. }
                | CacheError::CorruptSource { .. }
                | CacheError::Manifest { .. },
            )
            | Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::Record(_) => ErrorKind::Corrupt,
            Self::Cache(CacheError::Cancelled(_)) | Self::Cancelled(_) | Self::Declined { .. } => {
                ErrorKind::Cancelled
            }
            _ => ErrorKind::Environment,
        }
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::File(error) => error.into(),
            SourceError::Git(error) => error.into(),
        }
    }
}

/// What of a job's state is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobProblem {
    /// There is no such job.
    #[error("is not in the queue")]
    Unknown,
    /// It runs, or ended.
    #[error("does not wait")]
    NotWaiting,
    /// It is not held.
    #[error("is not held")]
    NotHeld,
    /// A worker has it.
    #[error("is running")]
    Running,
    /// No worker has it.
    #[error("is not running")]
    NotRunning,
    /// It did not fail.
    #[error("did not fail")]
    NotFailed,
    /// It was not started yet.
    #[error("has not been started")]
    NotStarted,
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Cancelled(cancelled) => cancelled.into(),
            // Our own ports fail with our own error, which is given back as it was.
            PortError::Failed(source) => match source.downcast::<Self>() {
                Ok(error) => *error,
                Err(source) => Self::Port(PortError::Failed(source)),
            },
            error => Self::Port(error),
        }
    }
}

impl From<Error> for PortError {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled(cancelled) => cancelled.into(),
            error => Self::new(error),
        }
    }
}

fn are(n: usize) -> String {
    if n == 1 { "1 path is".to_owned() } else { format!("{n} paths are") }
}

fn counted(n: usize) -> String {
    if n == 1 { "1 path".to_owned() } else { format!("{n} paths") }
}

//! The application layer of `exp`: a project behind one handle, for every frontend and for programs that embed it.
//!
//! A [`Project`] is a directory with `.dvc` in a Git repository. It runs its pipeline and records experiments
//! ([`Project::run`], [`Project::reproduce`]), shows and compares them ([`show`], [`Comparison`]), brings them back
//! ([`Project::plan_apply`], [`Project::apply`]), and takes back what it did ([`Project::plan_undo`]). Results, events
//! and errors are typed; every word that a person reads is the frontend's.
//!
//! ```
//! use exp_engine::core::{Algorithm, Ctx};
//! use exp_engine::refs::GitEnv;
//! use exp_engine::{InitOptions, Kept, Project, ProjectOptions, RunRequest, init};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let root = dir.path().canonicalize()?;
//! # let git = |args: &[&str]| {
//! #     std::process::Command::new("git").args(["-c", "user.name=Jo", "-c", "user.email=jo@example.com"])
//! #         .args(args).current_dir(&root).status()
//! # };
//! # git(&["init", "-q", "-b", "main"])?;
//! // In a Git repository: parameters, a pipeline of one stage, a project, a commit.
//! std::fs::write(root.join("params.yaml"), "lr: 2  # of the optimizer\n")?;
//! std::fs::write(
//!     root.join("dvc.yaml"),
//!     "stages:
//!   train:
//!     cmd: 'sed \"s/lr: \\([0-9]*\\).*/{\\\"score\\\": \\1}/\" params.yaml > metrics.json'
//!     params: [lr]
//!     metrics:
//!     - metrics.json:
//!         cache: false
//! ",
//! )?;
//! init(&root, &InitOptions { hash: Algorithm::Sha256, subdir: false, replace: false })?;
//! # git(&["add", "."])?;
//! # git(&["commit", "-q", "-m", "A pipeline"])?;
//!
//! // Nothing is looked up behind the caller's back: identity, configuration and shell come in here.
//! let env = ["AUTHOR", "COMMITTER"].iter().fold(GitEnv::default(), |env, who| {
//!     env.with(&format!("GIT_{who}_NAME"), "Jo").with(&format!("GIT_{who}_EMAIL"), "jo@example.com")
//! });
//! let project = Project::open(&root, ProjectOptions { env, ..ProjectOptions::default() })?;
//!
//! let request = RunRequest { overrides: vec!["lr=5".parse()?], ..RunRequest::default() };
//! let outcome = project.run(&Ctx::silent(), &request)?;
//!
//! // The experiment is a commit of its own; only the value changed, and no branch moved.
//! let Some(Kept::Experiment(experiment)) = &outcome.kept else { return Err("not kept".into()) };
//! let read = |path: &str| project.git().read(experiment.commit, path);
//! assert_eq!(read("metrics.json")?.as_deref(), Some(&b"{\"score\": 5}\n"[..]));
//! assert_eq!(read("params.yaml")?.as_deref(), Some(&b"lr: 5  # of the optimizer\n"[..]));
//! assert_eq!(project.git().resolve("main")?, outcome.baseline);
//!
//! // Asked for again, nothing runs and no second experiment is made.
//! let again = project.run(&Ctx::silent(), &request)?;
//! assert_eq!(again.kept, Some(Kept::SameAs(experiment.clone())));
//! # Ok(())
//! # }
//! ```
//!
//! Long operations take a [`Ctx`](core::Ctx) first: a sink for events and a token to cancel with. What overwrites files
//! is planned first, and the plan is used up by performing it. Before its first change each operation is written to a
//! journal below `.dvc/tmp/exp/`; if the process dies, whichever runs next in the project records what became of it.
//! Two projects can be open in one process, and one from several threads.
//!
//! This crate does not know the terminal, command lines, the environment or the home directory, and it prints nothing.

mod apply;
mod branch;
mod change;
mod collect;
mod compare;
mod config;
mod dag;
mod data;
mod difference;
mod edit;
mod error;
mod files;
mod gitignore;
mod hold;
mod init;
mod operation;
mod oplog;
mod ports;
mod process;
mod project;
mod recorded;
mod recover;
mod revision;
mod rows;
mod run;
mod save;
mod selector;
mod shell;
mod snapshot;
mod source;
mod stage;
mod status;
mod sync;
mod undo;
mod view;
mod worktree;

pub use apply::{ApplyPlan, DataStep, FileStep};
pub use collect::{CollectOptions, Edges, Params, collect_commits, collect_workspace};
pub use compare::{
    Blank, Cell, Column, ColumnKind, CompareError, ComparedRow, Comparison, MetricDirection, Order,
    Patterns, RowPlace, Sort, best, direction,
};
pub use config::{
    Config, ConfigEntry, ConfigError, ConfigFiles, ConfigKey, ConfigLevel, ConfigSection,
    ConfigSyntax, ConfigText, ConfigValue, HydraConfig, LinkType, ProjectSettings, RemoteAdd,
    RemoteConfig, Secret, SettingsError, SyntaxProblem, nearest_name, shown_url,
};
pub use dag::{Dag, DagNode, DagNodes, DagRequest};
pub use data::{
    AddReport, AddRequest, Added, CheckoutReport, CommitDataPlan, CommitDataReport, CommitStep,
    DataChanges, DataCheckoutPlan, DataError, DataScope, DataStatus, DataStatusRequest,
    Granularity, OutChange, OutEffect, UnsavedData,
};
pub use difference::{CodeDifference, DataDifference, FileDifference, Pair, Side, patch};
pub use edit::{Baselines, CleanReport, OnExisting};
pub use error::{Error, ErrorKind};
pub use exp_cache as cache;
pub use exp_core as core;
pub use exp_params as params;
pub use exp_refs as refs;
pub use files::FileError;
pub use init::{FirstStage, InitError, InitOptions, InitPlan, InitReport, init, plan_init};
pub use operation::{FileChange, FileState, Operation, OperationKind, RefMove};
pub use oplog::LoggedOperation;
pub use project::{Project, ProjectOptions};
pub use revision::{
    Baseline, DepData, ExperimentRow, ExperimentState, FileData, Files, OutData, Problem,
    RevisionData, RowData, ShowTable, Vanished,
};
pub use rows::{Lost, ShowRequest, Unfinished, baselines, show};
pub use run::{Kept, Place, ReproOutcome, ReproRequest, RunOutcome, RunRequest};
pub use save::SaveRequest;
pub use selector::{Found, SelectorError};
pub use shell::{GroupWatch, ShellExecutor, ShellOptions};
pub use source::{Source, SourceEntry, SourceError, TreeSource, WorkspaceSource};
pub use stage::{StageAddRequest, StageAdded, StageError};
pub use status::{Holds, StageStatus, StatusReport, StatusRequest};
pub use sync::{
    DataSync, DataSyncOptions, DataTransfer, MissingObject, PullReport, PullRequest, PushCheck,
    PushReport, PushRequest, RemoteSelection, SyncError,
};
pub use undo::{Direction, HistoryEntry, UndoPlan};
pub use view::{Broken, View};

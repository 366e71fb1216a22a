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
mod composition;
mod config;
mod dag;
mod data;
mod datasets;
mod difference;
mod du;
mod edit;
mod environment;
mod error;
mod explain;
mod extras;
mod files;
mod flight;
mod forecast;
mod gc;
mod gitignore;
mod history;
mod hold;
mod import;
mod init;
mod left_out;
mod live;
mod logs;
mod machine;
mod manifests;
mod migrate;
mod operation;
mod oplog;
mod plot;
mod ports;
mod process;
mod project;
mod queue;
mod ranks;
mod record;
mod recorded;
mod recover;
mod report;
mod revision;
mod roots;
mod rows;
mod run;
mod save;
mod selector;
mod shell;
mod signal;
mod snapshot;
mod source;
mod stage;
mod status;
mod step_log;
mod submodule;
mod sync;
mod trace;
mod undo;
mod verify;
mod versions;
mod view;
mod worktree;

pub use apply::{ApplyPlan, DataStep, FileStep};
pub use collect::{CollectOptions, Edges, Params, collect_commits, collect_workspace};
pub use compare::{
    Blank, Cell, Column, ColumnKind, CompareError, ComparedRow, Comparison, ConditionError,
    MetricDirection, Order, Patterns, RowPlace, Sort, best, direction,
};
pub use composition::Composition;
pub use config::{
    Config, ConfigEntry, ConfigError, ConfigFiles, ConfigKey, ConfigLevel, ConfigSection,
    ConfigSyntax, ConfigText, ConfigValue, HydraConfig, LinkType, ProjectSettings, RemoteAdd,
    RemoteConfig, Secret, SettingsError, SyntaxProblem, nearest_name, shown_url,
};
pub use dag::{Dag, DagNode, DagNodes, DagRequest};
pub use data::{
    AddCopyRequest, AddReport, AddRequest, AddToRemoteRequest, Added, CheckoutReport, CloudState,
    CloudStatus, CommitDataPlan, CommitDataReport, CommitStep, DataChanges, DataCheckoutPlan,
    DataDiff, DataDiffEntry, DataDiffRequest, DataError, DataPiece, DataRevisions, DataScope,
    DataStatus, DataStatusRequest, DataTransferReport, DataTransferRequest, Granularity,
    MoveReport, OutChange, OutEffect, UnsavedData, UntrackReport, UntrackRequest, UntrackedOuts,
    matching_paths,
};
pub use difference::{CodeDifference, DataDifference, FileDifference, Pair, Side, patch};
pub use du::{StoreUsage, UsageBy, UsageRow};
pub use edit::{Baselines, CleanReport, OnExisting};
pub use environment::{EnvironmentDifference, EnvironmentPart};
pub use error::{Error, ErrorKind, JobProblem};
pub use exp_cache as cache;
pub use exp_core as core;
pub use exp_params as params;
pub use exp_plots as plots;
pub use exp_refs as refs;
pub use explain::{Cause, ExplainRequest, Explanation, Since};
pub use extras::ExtraError;
pub use files::FileError;
pub use forecast::{Forecast, ForecastRequest, ForecastTime, StageForecast};
pub use gc::{
    CloudGc, CloudScope, Doubt, GcError, GcPlan, GcReport, GcRequest, OnDoubt, RemoteObject, RunsGc,
};
pub use history::PastRuns;
pub use import::{
    Destination, DiskUsage, Extent, FetchedImports, GetReport, GetRequest, GetUrlRequest,
    ImportError, ImportPlan, ImportRequest, ImportUrlRequest, Imported, ListRequest,
    ListUrlRequest, Odd, OddKind, OfImportsOnly, RepoEntry, RepoRequest, RepositoryImport,
    Summarize, ToRemote, TreeNode, UpdateEffect, UpdateRequest, UpdateStep, UrlEntry, UrlListing,
    directory_size, disk_usage, get, get_url, list, list_tree, list_url, storage_url, url_tree,
};
pub use init::{
    CommandStage, FirstStage, InitError, InitOptions, InitPlan, InitReport, init, plan_init,
};
pub use live::{LiveRun, LiveRuns};
pub use logs::StageLog;
pub use machine::Machine;
pub use migrate::MigratedFiles;
pub use operation::{FileChange, FileState, Operation, OperationKind, RefMove};
pub use oplog::LoggedOperation;
pub use plot::{
    PlotModifyError, PlotModifyRequest, PlotsRequest, collect_plots, find_template,
    image_file_name, plot_revisions, save_plot_file,
};
pub use project::{Project, ProjectOptions};
pub use queue::{
    DvcTask, EndCause, Job, JobEnd, JobRow, JobRows, JobSpec, JobState, LogCursor, Moved, NewJob,
    NotPushed, Outcome, Queue, QueueRequest, StopHow, WorkOptions, WorkReport, WorkerEvent,
    WorkerState, leave_session,
};
pub use record::{RecordOutcome, RecordRequest};
pub use report::{Report, ReportChange, ReportRequest, report};
pub use revision::{
    Baseline, DepData, ExperimentRow, ExperimentState, FileData, Files, OutData, Problem,
    RevisionData, RowData, ShowTable, Vanished,
};
pub use roots::{Holder, KeepScope, NeededBy, Reading, RevisionKind, Revisions, Unreadable};
pub use rows::{Lost, ShowRequest, Unfinished, baselines, show};
pub use run::{Kept, Place, ReproOutcome, ReproRequest, RunOutcome, RunRequest};
pub use save::SaveRequest;
pub use selector::{Found, SelectorError};
pub use shell::{GroupEvent, GroupWatch, ShellExecutor, ShellOptions};
pub use source::{Source, SourceEntry, SourceError, TreeSource, WorkspaceSource};
pub use stage::{StageAddRequest, StageAdded, StageError};
pub use status::{Holds, Overview, StageStatus, StatusReport, StatusRequest};
pub use step_log::{StepLog, StepLogError};
pub use sync::{
    AutoPush, DataSync, DataSyncOptions, DataTransfer, MissingObject, PullReport, PullRequest,
    PushCheck, PushReport, PushRequest, RemoteSelection, SyncError,
};
pub use trace::{StageTrace, TraceError, TraceMethod, Tracer};
pub use undo::{Direction, HistoryEntry, UndoPlan};
pub use verify::{Defect, MendedFrom, Repair, VerifyReport, VerifyRequest};
pub use view::{Broken, View};

//! exp-engine

mod apply;
mod branch;
mod change;
mod collect;
mod compare;
mod config;
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
mod undo;
mod view;
mod worktree;

pub use apply::{ApplyPlan, DataStep, FileStep};
pub use collect::{CollectOptions, Edges, Params, collect_commits, collect_workspace};
pub use compare::{
    Cell, Column, ColumnKind, CompareError, ComparedRow, Comparison, MetricDirection, Order, Patterns, RowPlace, Sort,
    best, direction,
};
pub use config::{
    Config, ConfigEntry, ConfigError, ConfigFiles, ConfigKey, ConfigLevel, ConfigSection,
    ConfigSyntax, ConfigText, ConfigValue, HydraConfig, LinkType, ProjectSettings, RemoteAdd,
    RemoteConfig, Secret, SettingsError, SyntaxProblem, nearest_name, shown_url,
};
pub use difference::{CodeDifference, DataDifference, FileDifference, Pair, Side, patch};
pub use edit::{Baselines, CleanReport, OnExisting};
pub use error::{Error, ErrorKind};
pub use exp_cache as cache;
pub use exp_core as core;
pub use exp_params as params;
pub use exp_refs as refs;
pub use files::FileError;
pub use init::{InitError, InitOptions, InitReport, init};
pub use operation::{FileChange, FileState, Operation, OperationKind, RefMove};
pub use oplog::LoggedOperation;
pub use project::{Project, ProjectOptions};
pub use revision::{
    Baseline, DepData, ExperimentRow, ExperimentState, FileData, Files, OutData, Problem,
    RevisionData, RowData, ShowTable, Vanished,
};
pub use rows::{Lost, ShowRequest, Unfinished, baselines, show};
pub use run::{Kept, Place, ReproRequest, RunOutcome, RunRequest};
pub use save::SaveRequest;
pub use selector::{Found, SelectorError};
pub use shell::{GroupWatch, ShellExecutor, ShellOptions};
pub use source::{Source, SourceEntry, SourceError, TreeSource, WorkspaceSource};
pub use undo::{Direction, HistoryEntry, UndoPlan};
pub use view::{Broken, View};

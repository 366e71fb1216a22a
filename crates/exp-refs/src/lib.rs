//! Experiments as Git refs and commits, in the layout that DVC reads and writes.
//!
//! An experiment is a commit whose only parent is the commit that it started from, kept by the ref
//! `refs/exps/<2>/<38>/<name>`. Saving one makes objects by plumbing and moves that one ref by compare-and-swap:
//! `HEAD`, the index, the stash and existing branches are never changed. Runs that did not finish are kept the
//! same way below `refs/exp/runs/`, where DVC does not look.
//!
//! ```
//! use exp_core::Timestamp;
//! use exp_refs::{Draft, Expected, ExperimentStore, GitEnv, OpenOptions, TreeChange};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let git = |args: &[&str]| std::process::Command::new("git").arg("-C").arg(dir.path())
//! #     .args(["-c", "user.name=T", "-c", "user.email=t@e.x"]).args(args).status();
//! # git(&["init", "-q", "-b", "main"])?;
//! # git(&["commit", "-q", "--allow-empty", "-m", "first"])?;
//! // The environment is handed in, usually `GitEnv::new(std::env::vars_os())`.
//! let env = ["AUTHOR", "COMMITTER"].iter().fold(GitEnv::default(), |env, who| {
//!     env.with(&format!("GIT_{who}_NAME"), "Jo").with(&format!("GIT_{who}_EMAIL"), "jo@example.com")
//! });
//! let store = ExperimentStore::new(OpenOptions { env, durable: true }.discover(dir.path())?);
//!
//! let baseline = store.git().resolve("main")?;
//! let draft = Draft {
//!     parent: baseline,
//!     base: None,
//!     changes: vec![TreeChange::file("params.yaml".parse()?, b"lr: 0.1\n")],
//!     message: "a higher rate".to_owned(),
//!     author: None,
//!     time: Timestamp::utc(1_795_410_005),
//!     record: None,
//! };
//! let name = store.free_name(baseline, 42)?;
//! let saved = store.save(&draft, &name, Expected::Missing)?;
//!
//! assert_eq!(store.find(name.as_str())?, saved);
//! assert_eq!(store.git().read(saved.commit, "params.yaml")?.as_deref(), Some(&b"lr: 0.1\n"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! This crate does not know stages, parameters or caches: what is in the files of an experiment is bytes to it.

mod diff;
mod env;
mod environment;
mod error;
mod find;
mod id;
mod layout;
mod mirror;
mod name;
mod patch;
mod record;
mod repo;
mod store;
mod transport;
mod words;

pub use diff::TreeDiff;
pub use env::GitEnv;
pub use environment::{LockFile, Packages, Python, RunEnvironment};
pub use error::{CommitError, GitError, OpenError, RevisionError, UpdateError};
pub use find::{FindError, find};
pub use id::{BlobId, CommitId, IdError, TreeId};
pub use layout::RefName;
pub use mirror::{Mirror, MirrorError};
pub use name::{ExpName, InvalidName, TreePath};
pub use patch::{FileStat, PatchOptions, Reverse};
pub use record::{
    LeftOut, LeftOutCause, RecordError, RunEnd, RunRecord, SubmoduleState, is_record,
};
pub use repo::{
    BranchError, CommitInfo, Content, Descend, Draft, EntryKind, Expected, Fate, FileChange,
    FileError, Git, Head, Identity, Ignores, LogEntry, NamedCommit, OpenOptions, Reader, Ref,
    RefChange, StatusEntry, Tip, Tracked, Tree, TreeChange, TreeEdit, TreeEntry, Untracked,
    WorkFiles, WorktreeError,
};
pub use store::{EditError, Experiment, ExperimentStore, ReadRecordError, read_record};
pub use transport::{GitCli, OnDiverged, TransferReport, TransportError};
pub use words::Names;

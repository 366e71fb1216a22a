//! The repository. This file and the folder beside it are the only ones that name `gix`.
//!
//! gix runs no hooks, so a `reference-transaction` hook does not see what is written here. It never syncs what
//! it writes to disk; [`durable`] does, where durability is promised.

mod branch;
mod config;
mod durable;
mod fate;
mod files;
mod history;
mod ignore;
mod index;
mod list;
mod open;
mod read;
mod refs;
mod revision;
mod status;
mod tips;
mod write;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use branch::BranchError;
pub use fate::Fate;
pub use files::{FileError, WorkFiles};
pub use ignore::{Ignores, Tracked};
pub use open::OpenOptions;
pub use read::{CommitInfo, Descend, EntryKind, Reader, Tree, TreeEntry};
pub use refs::{Expected, Ref, RefChange};
pub use revision::NamedCommit;
pub use status::{FileChange, StatusEntry, Untracked, WorktreeError};
pub use tips::{LogEntry, Tip};
pub use write::{Content, Draft, Identity, TreeChange, TreeEdit};

use crate::env::GitEnv;
use crate::error::GitError;
use crate::id::{BlobId, CommitId, RawId, TreeId};
use crate::layout::RefName;

/// A Git repository, shared by its clones and usable from any thread.
///
/// Nothing here changes `HEAD`, the index, the stash or an existing branch. Each call sees what other processes
/// have written before it began; readers take no locks.
#[derive(Clone)]
pub struct Git(Arc<Inner>);

struct Inner {
    repo: gix::ThreadSafeRepository,
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    bare: bool,
    env: GitEnv,
    durable: bool,
    /// The objects that are known to be on disk.
    synced: Mutex<BTreeSet<crate::id::RawId>>,
}

/// Where `HEAD` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit; `None` before the first one.
    pub commit: Option<CommitId>,
    /// The branch without `refs/heads/`; `None` when `HEAD` is detached.
    pub branch: Option<String>,
}

impl Git {
    /// Opens the repository that `dir` lies in, with an environment that is empty: no user configuration applies.
    pub fn discover(dir: &Path) -> Result<Self, crate::OpenError> {
        OpenOptions::default().discover(dir)
    }

    /// Returns the top directory of the work tree, absolute; the repository itself when it is bare.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Returns the directory of this work tree's `HEAD` and index, absolute.
    pub fn git_dir(&self) -> &Path {
        &self.0.git_dir
    }

    /// Returns the directory of refs and objects, shared by all work trees, absolute.
    pub fn common_dir(&self) -> &Path {
        &self.0.common_dir
    }

    /// Returns whether there is no work tree.
    pub fn is_bare(&self) -> bool {
        self.0.bare
    }

    /// Returns the environment that the repository was opened with.
    pub fn env(&self) -> &GitEnv {
        &self.0.env
    }

    /// Returns where `HEAD` is now.
    pub fn head(&self) -> Result<Head, GitError> {
        let repo = self.local();
        let head = repo.head().map_err(failed("read HEAD"))?;
        let branch = head
            .referent_name()
            .and_then(|name| name.as_bstr().strip_prefix(b"refs/heads/".as_slice()))
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let commit = if head.is_unborn() {
            None
        } else {
            let id = head.into_peeled_id().map_err(failed("read HEAD"))?;
            Some(CommitId(raw(&id)))
        };
        Ok(Head { commit, branch })
    }

    /// Returns a handle for many reads in one thread, which keeps decoded pack data between them.
    pub fn reader(&self) -> Reader {
        let mut repo = self.local();
        repo.object_cache_size_if_unset(1 << 20);
        Reader::new(repo)
    }

    /// Returns one value of Git's configuration, the last one when there are several.
    pub fn config(&self, key: &str) -> Option<String> {
        Some(self.local().config_snapshot().string(key)?.to_string())
    }

    pub(crate) fn local(&self) -> gix::Repository {
        self.0.repo.to_thread_local()
    }

    /// Returns whether writes are followed by a sync to disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.0.durable
    }

    fn ref_path(&self, name: &RefName) -> PathBuf {
        self.0.common_dir.join(name.as_str())
    }
}

impl fmt::Debug for Git {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Git")
            .field("root", &self.0.root)
            .field("git_dir", &self.0.git_dir)
            .finish_non_exhaustive()
    }
}

/// Makes an error of gix ours: `….map_err(failed("read HEAD"))`.
fn failed(action: &str) -> impl FnOnce(gix::Error) -> GitError {
    let action = action.to_owned();
    move |error| GitError::new(action, boxed(error))
}

fn boxed(error: gix::Error) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(error)
}

fn raw(id: &gix::oid) -> RawId {
    RawId::new(id.as_bytes()).expect("gix has names of 20 and of 32 bytes only")
}

fn oid(id: RawId) -> gix::ObjectId {
    gix::ObjectId::try_from(id.as_bytes()).expect("names are 20 or 32 bytes long")
}

impl From<CommitId> for gix::ObjectId {
    fn from(id: CommitId) -> Self {
        oid(id.0)
    }
}

impl From<TreeId> for gix::ObjectId {
    fn from(id: TreeId) -> Self {
        oid(id.0)
    }
}

impl From<BlobId> for gix::ObjectId {
    fn from(id: BlobId) -> Self {
        oid(id.0)
    }
}

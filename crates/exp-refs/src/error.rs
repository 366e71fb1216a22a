//! Failures of Git that no caller tells apart, and of opening a repository.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::id::CommitId;
use crate::layout::RefName;

/// Git, or the file system below it, did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct GitError {
    /// What was attempted, with its object where that matters: "read commit 15b7e4c…".
    pub action: String,
    /// Why it did not succeed.
    pub source: Box<dyn Error + Send + Sync>,
}

impl GitError {
    pub(crate) fn new(
        action: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { action: action.into(), source: source.into() }
    }

    pub(crate) fn io(action: &str, path: &Path, source: io::Error) -> Self {
        Self::new(format!("{action} `{}`", path.display()), source)
    }
}

/// Why a repository was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Neither `dir` nor a directory above it is a Git repository.
    #[error("`{}` is not inside a Git repository", dir.display())]
    NotARepository {
        /// Where the search began.
        dir: PathBuf,
    },
    /// The repository has no work tree.
    #[error("the Git repository `{}` is bare", git_dir.display())]
    Bare {
        /// The repository.
        git_dir: PathBuf,
    },
    /// The repository uses a format that is not understood here, such as the `reftable` ref storage.
    #[error("the Git repository `{}` uses `{name} = {value}`", git_dir.display())]
    UnsupportedExtension {
        /// The repository.
        git_dir: PathBuf,
        /// The configuration key.
        name: String,
        /// Its value.
        value: String,
    },
    /// Another user owns the repository and `safe.directory` does not name it.
    #[error("the Git repository `{}` is owned by someone else", git_dir.display())]
    NotTrusted {
        /// The repository.
        git_dir: PathBuf,
    },
    /// There is something like a repository, but it cannot be read.
    #[error("cannot open the Git repository at `{}`", dir.display())]
    Corrupt {
        /// Where the search began or the repository is.
        dir: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why a revision was not resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// Nothing of that name, an ambiguous one, or something that is no commit.
    #[error("`{revision}` does not name a commit")]
    Unknown {
        /// As it was given.
        revision: String,
        /// What Git's grammar makes of it.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why refs were not changed. None of them was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The ref had another value than expected: someone else was faster, or it exists already.
    #[error("ref `{name}` is not what was expected")]
    Raced {
        /// The ref.
        name: RefName,
        /// What it points to now; `None` when it does not exist.
        found: Option<CommitId>,
    },
    /// Another process holds the lock of the ref or of the packed ones, or died holding it, and did not let go within the
    /// time-out.
    #[error("ref `{name}` is locked by `{}`", lock.display())]
    Locked {
        /// The ref.
        name: RefName,
        /// The lock file.
        lock: PathBuf,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Git is not told who commits.
    #[error("no {missing} is configured")]
    NoIdentity {
        /// What is missing: `user.name` or `user.email`.
        missing: &'static str,
    },
    /// A date variable of the environment is no date.
    #[error("`{variable}` is not a date: `{value}`")]
    Date {
        /// Which variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

//! Why data did not come from elsewhere.

use std::fmt;
use std::path::PathBuf;

use exp_cache::{AddressError, StorageError, StorageErrorKind, TransferError};
use exp_core::RelPath;
use exp_refs::{MirrorError, RevisionError, TransportError};

use crate::error::ErrorKind;

/// Why data was not imported, updated, fetched or listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is no repository at a path, or none with a commit.
    #[error("there is no Git repository at `{url}`")]
    NoRepository {
        /// As it was given, without a password.
        url: String,
    },
    /// Somebody else's repository was not reached, or lacks a revision.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// Neither Git nor DVC tracks anything there.
    #[error("`{path}` is not in `{url}`{}", at(rev.as_deref()))]
    NotInRepository {
        /// The path.
        path: RelPath,
        /// The repository.
        url: String,
        /// The revision that was asked for.
        rev: Option<String>,
    },
    /// Only Git tracks it, so no storage has it.
    #[error("`{path}` of `{url}` is not tracked as data")]
    NotData {
        /// The path.
        path: RelPath,
        /// The repository.
        url: String,
    },
    /// Nothing is at a URL or a path.
    #[error("nothing is at `{url}`")]
    Absent {
        /// The URL without a password.
        url: String,
    },
    /// A place that cannot be listed was asked for what is in it.
    #[error("`{url}` cannot be listed")]
    Unlistable {
        /// The URL without a password.
        url: String,
    },
    /// Something is where the data would go.
    #[error("`{path}` exists already")]
    Exists {
        /// As a person would write it.
        path: String,
        /// Whether it is a directory.
        is_dir: bool,
    },
    /// The data would be put where files say what data is.
    #[error("`{path}` is a file that tracks data")]
    DvcFile {
        /// As a person would write it.
        path: String,
    },
    /// A name of the other side that must not be written here.
    #[error("`{path}` must not be written: it would lie in the directory of a repository")]
    Unsafe {
        /// The path in the other repository.
        path: RelPath,
    },
    /// A clone names a remote by a directory that means nothing here.
    #[error("remote `{name}` of `{repo}` is the directory `{dir}`, relative to somewhere else")]
    ForeignDirectory {
        /// The repository.
        repo: String,
        /// The remote.
        name: String,
        /// The directory as it is written there.
        dir: String,
    },
    /// What the other repository tracks is neither in its store nor on its remote.
    #[error("data of `{url}` is neither in its store nor on its remote: {}", listed(paths))]
    MissingObjects {
        /// The repository.
        url: String,
        /// The paths that lack it.
        paths: Vec<RelPath>,
    },
    /// A `.dvc` file that records no import.
    #[error("`{file}` is no import")]
    NotAnImport {
        /// The file.
        file: RelPath,
    },
    /// What only an import can be asked for was asked for of data of this project.
    #[error("`{file}` is no import: {asked}")]
    OfImportsOnly {
        /// The file.
        file: RelPath,
        /// What was asked for.
        asked: OfImportsOnly,
    },
    /// Data of another repository cannot go to a remote without coming here.
    #[error("`{file}` is imported from a repository and cannot go to a remote directly")]
    RepositoryToRemote {
        /// The file.
        file: RelPath,
    },
    /// The source of an import has other data than what is recorded.
    #[error("the source of `{source_of}` has other data than what is recorded")]
    Changed {
        /// The imported data.
        source_of: RelPath,
    },
    /// There is no data remote that data could go to.
    #[error("no data remote is set that the data could go to")]
    NoRemote,
    /// An address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A transfer failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

/// What only imports can be asked for when they are brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfImportsOnly {
    /// Another revision of their source.
    Revision,
    /// Their record without their data.
    Record,
    /// Their data on a remote instead of here.
    Remote,
}

impl fmt::Display for OfImportsOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Revision => "it follows no revision",
            Self::Record => "its record is not changed without its data",
            Self::Remote => "its data comes from a remote already",
        })
    }
}

impl ImportError {
    /// Returns what kind of failure this is.
    pub(crate) fn kind(&self) -> ErrorKind {
        let of_storage = |error: &StorageError| match error.kind {
            StorageErrorKind::NotFound => ErrorKind::NotFound,
            StorageErrorKind::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::Environment,
        };
        match self {
            Self::NoRepository { .. }
            | Self::NotInRepository { .. }
            | Self::NotData { .. }
            | Self::Absent { .. }
            | Self::MissingObjects { .. }
            | Self::Mirror(
                MirrorError::Revision(RevisionError::Unknown { .. })
                | MirrorError::Transport(TransportError::Missing { .. }),
            ) => ErrorKind::NotFound,
            Self::Exists { .. } | Self::Changed { .. } => ErrorKind::Conflict,
            Self::ForeignDirectory { .. } | Self::NoRemote | Self::Address(_) => ErrorKind::Config,
            Self::DvcFile { .. }
            | Self::Unsafe { .. }
            | Self::NotAnImport { .. }
            | Self::OfImportsOnly { .. }
            | Self::RepositoryToRemote { .. }
            | Self::Unlistable { .. } => ErrorKind::Usage,
            Self::Mirror(MirrorError::Transport(TransportError::Cancelled(_)))
            | Self::Transfer(TransferError::Cancelled(_)) => ErrorKind::Cancelled,
            Self::Storage(error) | Self::Transfer(TransferError::Remote { source: error, .. }) => {
                of_storage(error)
            }
            Self::Transfer(TransferError::Damaged { .. }) => ErrorKind::Corrupt,
            _ => ErrorKind::Environment,
        }
    }
}

/// Returns a path as a person in `cwd` would write it: relative where that is short.
pub(super) fn shown(path: &std::path::Path, cwd: &std::path::Path) -> String {
    let below: Option<PathBuf> = path.strip_prefix(cwd).ok().map(std::path::Path::to_path_buf);
    below.unwrap_or_else(|| path.to_path_buf()).display().to_string()
}

fn at(rev: Option<&str>) -> String {
    rev.map(|rev| format!(" at `{rev}`")).unwrap_or_default()
}

fn listed(paths: &[RelPath]) -> String {
    const MAX: usize = 5;
    let mut names: Vec<String> = paths.iter().take(MAX).map(|path| format!("`{path}`")).collect();
    if paths.len() > MAX {
        names.push(format!("{} more", paths.len() - MAX));
    }
    names.join(", ")
}

//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use exp_core::{Algorithm, Cancelled, Digest, ObjectId};

use crate::tree::TreeError;

/// A store that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// An object that the store does not have.
    #[error("object {id} is not in the cache")]
    Missing {
        /// Which one.
        id: ObjectId,
    },
    /// An object whose bytes do not have the digest that it is filed under.
    #[error("object {id} is corrupt: its bytes digest to {found}")]
    Corrupt {
        /// The name it is filed under.
        id: ObjectId,
        /// What its bytes digest to.
        found: Digest,
    },
    /// An object whose bytes are not those that a file of the workspace was to get. The file is as it was.
    #[error("`{}` cannot be written", path.display())]
    CorruptSource {
        /// The file.
        path: PathBuf,
        /// [`CacheError::Corrupt`].
        source: Box<CacheError>,
    },
    /// A directory manifest that cannot be used.
    #[error("the manifest {id} is not valid")]
    Manifest {
        /// Which one.
        id: ObjectId,
        /// What is wrong with it.
        source: TreeError,
    },
    /// A directory whose files cannot be written as a manifest.
    #[error("the files of `{}` cannot be listed in a manifest", path.display())]
    Unlistable {
        /// The directory.
        path: PathBuf,
        /// What is wrong with them.
        source: TreeError,
    },
    /// A path where nothing is.
    #[error("`{}` does not exist", path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// A file that must not be in a directory that is stored, such as a `.dvcignore`.
    #[error("`{}` must not be inside tracked data", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
    },
    /// A file name that DVC's formats cannot express.
    #[error("the name of `{}` is not UTF-8", path.display())]
    NotUtf8 {
        /// The path, shown with replacement characters.
        path: PathBuf,
    },
    /// A symbolic link that leads nowhere.
    #[error("`{}` is a broken symbolic link", path.display())]
    BrokenLink {
        /// The link.
        path: PathBuf,
    },
    /// Something that is neither file nor directory: a socket, a pipe, a device.
    #[error("`{}` is neither a file nor a directory", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// A directory that is reached through a symbolic link cannot be stored and linked back.
    #[error("`{}` is a symbolic link to a directory", path.display())]
    LinkedDirectory {
        /// The link.
        path: PathBuf,
    },
    /// A file or directory that changed while it was worked on, or after the plan was made.
    #[error("`{}` changed in the meantime", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// Ignored files are where a file must go.
    #[error("`{}` is in the way and holds ignored files", path.display())]
    Occupied {
        /// The directory that cannot be removed.
        path: PathBuf,
    },
    /// Two files whose names differ in case only, where the file system does not tell that. Nothing was written.
    #[error("`{}` and `{}` are one file here: the file system does not tell upper from lower case", one.display(), other.display())]
    SameName {
        /// One of them.
        one: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// None of the configured link kinds works between store and workspace.
    #[error("no configured link type works between the cache and `{}`", path.display())]
    NoLinkKind {
        /// The file that was to be made.
        path: PathBuf,
    },
    /// The store cannot be written: by us, or by anybody.
    #[error("the cache `{}` cannot be written", root.display())]
    ReadOnly {
        /// Where the store is.
        root: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A store that was on another file system before and has nothing in it now.
    #[error("the cache is not there: `{}` was on another file system before", root.display())]
    NotMounted {
        /// Where the store should be.
        root: PathBuf,
    },
    /// A link on the way to a path of the project leads out of the project.
    #[error("`{}` is a symbolic link that leads out of the project", link.display())]
    LeadsOutside {
        /// The link.
        link: PathBuf,
    },
    /// A directory with a file that would lie in a repository's own directory, where data could do harm.
    #[error("`{}` would lie in the directory of a repository, where no data is kept", path.display())]
    InRepository {
        /// The file.
        path: PathBuf,
    },
    /// New objects cannot be named by this algorithm.
    #[error("new objects cannot be named by {algorithm}")]
    ReadOnlyAlgorithm {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// A file-system operation that failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
}

/// Adds to an [`io::Error`] what was tried on what.
pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> CacheError + use<'a> {
    move |source| CacheError::Io { action, path: path.to_path_buf(), source }
}

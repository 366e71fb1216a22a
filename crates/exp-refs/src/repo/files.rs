//! Files of the work tree, through Git's filters.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use gix::bstr::ByteSlice;
use gix::filter::plumbing::pipeline::convert::{ToGitOutcome, to_worktree};

use super::{Git, failed, oid, raw};
use crate::error::GitError;
use crate::id::BlobId;
use crate::name::TreePath;
use crate::repo::read::EntryKind;
use crate::repo::write::{Content, TreeEdit};

/// Why a file of the work tree was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A directory on the way is a symbolic link, or no directory: writing would end up elsewhere.
    #[error("`{path}` is behind `{}`, which is no directory", at.display())]
    NotBelow {
        /// The file.
        path: TreePath,
        /// What is in the way.
        at: PathBuf,
    },
    /// There is a directory where the file should be, or a submodule or directory was to be written.
    #[error("`{path}` is a directory")]
    Directory {
        /// Where.
        path: TreePath,
    },
    /// A path that is not below the top of the work tree, or would enter the repository itself.
    #[error("`{path}` is not a path of the work tree")]
    Outside {
        /// As it was given.
        path: TreePath,
    },
    /// The file system failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Reads and writes files of the work tree as `git add` and `git checkout` do, with filters and modes.
///
/// Attributes are read when this is made, and kept.
pub struct WorkFiles {
    git: Git,
    repo: gix::Repository,
    pipeline: gix::filter::plumbing::Pipeline,
    stack: gix::worktree::Stack,
    index: gix::worktree::IndexPersistedOrInMemory,
}

/// What lies at a path, as Git would store it.
enum Stored {
    File { bytes: Vec<u8>, executable: bool },
    Link { target: Vec<u8> },
}

impl Git {
    /// Returns a handle on the files of the work tree. Making one reads the index; keep it for many files.
    pub fn files(&self) -> Result<WorkFiles, GitError> {
        let repo = self.local();
        if self.is_bare() {
            return Err(GitError::new("read files", "the repository has no work tree"));
        }
        let (pipeline, index) = repo.filter_pipeline(None).map_err(failed("read attributes"))?;
        let (pipeline, stack) = pipeline.into_parts();
        Ok(WorkFiles { git: self.clone(), repo, pipeline, stack, index })
    }
}

impl WorkFiles {
    /// Stores the file or link at `path` as a blob, as `git add` would, and returns the change that puts it into a
    /// tree. `None` when there is nothing, or a directory. The index is not touched.
    pub fn store(&mut self, path: &TreePath) -> Result<Option<TreeEdit>, FileError> {
        Ok(match self.clean(path)? {
            Some(Stored::File { bytes, executable }) => {
                let content = Content::Blob(self.git.write_blob(&bytes)?);
                Some(TreeEdit::Write { content, executable })
            }
            Some(Stored::Link { target }) => {
                Some(TreeEdit::Symlink { target: Content::Blob(self.git.write_blob(&target)?) })
            }
            None => None,
        })
    }

    /// Returns whether the file at `path` is what a tree says, contents and mode. Nothing is stored.
    pub fn matches(&mut self, path: &TreePath, kind: EntryKind) -> Result<bool, FileError> {
        let Some(blob) = kind.blob() else { return Ok(false) };
        let found = match (self.clean(path)?, kind) {
            (
                Some(Stored::File { bytes, executable: found }),
                EntryKind::File { executable, .. },
            ) if found == executable => bytes,
            (Some(Stored::Link { target }), EntryKind::Link { .. }) => target,
            _ => return Ok(false),
        };
        let id = gix::objs::compute_hash(self.repo.object_hash(), gix::objs::Kind::Blob, &found)
            .map_err(failed("digest a file"))?;
        Ok(BlobId(raw(&id)) == blob)
    }

    /// Writes the file or link that a tree has at `path`, replacing a file or link that is there.
    ///
    /// It appears under its name whole or not at all. Missing directories are made.
    pub fn write(&mut self, path: &TreePath, kind: EntryKind) -> Result<(), FileError> {
        let target = self.reach(path, true)?;
        if fs::symlink_metadata(&target).is_ok_and(|meta| meta.is_dir()) {
            return Err(FileError::Directory { path: path.clone() });
        }
        let (blob, executable) = match kind {
            EntryKind::File { blob, executable } => (blob, executable),
            EntryKind::Link { blob } => {
                let bytes = self.git.blob(blob)?;
                let text = Path::new(std::ffi::OsStr::from_bytes(&bytes));
                let temporary = beside(&target);
                std::os::unix::fs::symlink(text, &temporary)
                    .map_err(io_error("create", &temporary))?;
                return publish(&temporary, &target);
            }
            EntryKind::Tree(_) | EntryKind::Submodule(_) => {
                return Err(FileError::Directory { path: path.clone() });
            }
        };
        let bytes = self.smudge(path, blob)?;
        let temporary = beside(&target);
        let written = (|| {
            let mut file = File::create_new(&temporary)?;
            file.write_all(&bytes)?;
            if executable {
                let mode = file.metadata()?.permissions().mode();
                // Who may read may execute, as with Git.
                file.set_permissions(fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))?;
            }
            Ok(())
        })();
        match written {
            Ok(()) => publish(&temporary, &target),
            Err(error) => {
                fs::remove_file(&temporary).ok();
                Err(io_error("write", &target)(error))
            }
        }
    }

    /// Writes what a tree has at `path` where nothing is, and returns where: a file, a link, or an empty directory for a
    /// submodule. A file that is being written can be seen. `known` is the directory that the last one was written to.
    pub(super) fn write_new(
        &mut self,
        path: &TreePath,
        kind: EntryKind,
        known: &mut Option<(Vec<u8>, PathBuf)>,
    ) -> Result<PathBuf, FileError> {
        let parent = path.as_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (parent, name) = path.as_bytes().split_at(parent);
        let target = match known {
            // The way there was looked at, and nothing that is written here replaces a directory.
            Some((dir, at)) if *dir == parent && TreePath::new(path.as_bytes()).is_ok() => {
                let name = name.strip_prefix(b"/").unwrap_or(name);
                at.join(std::ffi::OsStr::from_bytes(name))
            }
            _ => self.reach(path, true)?,
        };
        if let Some(at) = target.parent() {
            *known = Some((parent.to_vec(), at.to_owned()));
        }
        match kind {
            EntryKind::File { blob, executable } => {
                let bytes = self.smudge(path, blob)?;
                let mode = if executable { 0o777 } else { 0o666 };
                File::options()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(&target)
                    .and_then(|mut file| file.write_all(&bytes))
                    .map_err(io_error("write", &target))?;
            }
            EntryKind::Link { blob } => {
                let bytes = self.git.blob(blob)?;
                std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&bytes), &target)
                    .map_err(io_error("create", &target))?;
            }
            EntryKind::Tree(_) | EntryKind::Submodule(_) => {
                fs::create_dir(&target).map_err(io_error("create", &target))?;
            }
        }
        Ok(target)
    }

    /// Removes the file or link at `path` and the directories that are empty then. Nothing there is fine.
    pub fn remove(&mut self, path: &TreePath) -> Result<(), FileError> {
        let target = match self.reach(path, false) {
            Ok(target) => target,
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("look at", &target)(error)),
            Ok(meta) if meta.is_dir() => return Err(FileError::Directory { path: path.clone() }),
            Ok(_) => fs::remove_file(&target).map_err(io_error("remove", &target))?,
        }
        for dir in target.ancestors().skip(1).take_while(|dir| *dir != self.git.root()) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Returns what lies at `path`, after the filters towards Git.
    fn clean(&mut self, path: &TreePath) -> Result<Option<Stored>, FileError> {
        let target = match self.reach(path, false) {
            Ok(target) => target,
            // Behind a link or below a file there is nothing that Git would see.
            Err(FileError::NotBelow { .. }) => return Ok(None),
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let meta = match fs::symlink_metadata(&target) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("look at", &target)(error)),
        };
        if meta.is_symlink() {
            let link = fs::read_link(&target).map_err(io_error("read", &target))?;
            return Ok(Some(Stored::Link { target: link.into_os_string().into_vec() }));
        }
        if !meta.is_file() {
            return Ok(None);
        }
        let file = File::open(&target).map_err(io_error("read", &target))?;
        let action = format!("filter `{path}`");
        let entry = self
            .stack
            .at_entry(path.as_bytes().as_bstr(), None, &self.repo.objects)
            .map_err(|error| GitError::new(action.as_str(), error))?;
        let (repo, index) = (&self.repo, &self.index);
        let outcome = self
            .pipeline
            .convert_to_git(
                file,
                Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())),
                &mut |_, attributes| {
                    entry.matching_attributes(attributes);
                },
                &mut |buffer: &mut Vec<u8>| -> gix::Result<Option<()>> {
                    // Asked for by `autocrlf` only: what is in the index decides whether to convert.
                    let Some(entry) = index.entry_by_path(path.as_bytes().as_bstr()) else {
                        return Ok(None);
                    };
                    let Ok(mut blob) = repo.find_blob(entry.id) else { return Ok(None) };
                    *buffer = blob.take_data();
                    Ok(Some(()))
                },
            )
            .map_err(failed(&action))?;
        let mut bytes = Vec::new();
        match outcome {
            ToGitOutcome::Unchanged(mut file) => file.read_to_end(&mut bytes).map(drop),
            ToGitOutcome::Process(mut stream) => stream.read_to_end(&mut bytes).map(drop),
            ToGitOutcome::Buffer(buffer) => {
                bytes.extend_from_slice(buffer);
                Ok(())
            }
        }
        .map_err(io_error("read", &target))?;
        Ok(Some(Stored::File { bytes, executable: meta.permissions().mode() & 0o100 != 0 }))
    }

    /// Returns the bytes of a blob after the filters towards the work tree.
    fn smudge(&mut self, path: &TreePath, blob: BlobId) -> Result<Vec<u8>, FileError> {
        let action = format!("filter `{path}`");
        let bytes = self.repo.find_blob(oid(blob.0)).map_err(failed(&action))?.take_data();
        let at = path.as_bytes().as_bstr();
        let entry = self
            .stack
            .at_entry(at, None, &self.repo.objects)
            .map_err(|error| GitError::new(action.as_str(), error))?;
        let mut outcome = self
            .pipeline
            .convert_to_worktree(
                &bytes,
                at,
                &mut |_, attributes| {
                    entry.matching_attributes(attributes);
                },
                to_worktree::Options::default(),
            )
            .map_err(failed(&action))?;
        let mut filtered = Vec::new();
        outcome
            .read_to_end(&mut filtered)
            .map_err(|error| GitError::new(action.as_str(), error))?;
        Ok(filtered)
    }

    /// Returns the place of `path`, having made sure that the way there is directories only.
    fn reach(&self, path: &TreePath, create: bool) -> Result<PathBuf, FileError> {
        // A path out of a tree that someone else made is checked like one that a person typed.
        if TreePath::new(path.as_bytes()).is_err() {
            return Err(FileError::Outside { path: path.clone() });
        }
        let mut at = self.git.root().to_owned();
        let mut parts = path.parts().peekable();
        while let Some(part) = parts.next() {
            at.push(std::ffi::OsStr::from_bytes(part));
            if parts.peek().is_none() {
                break;
            }
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(FileError::NotBelow { path: path.clone(), at }),
                Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&at)
                        .or_else(|error| {
                            let made = error.kind() == io::ErrorKind::AlreadyExists;
                            if made { Ok(()) } else { Err(error) }
                        })
                        .map_err(io_error("create", &at))?;
                }
                Err(error) => return Err(io_error("look at", &at)(error)),
            }
        }
        Ok(at)
    }
}

impl fmt::Debug for WorkFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkFiles").field("git", &self.git).finish_non_exhaustive()
    }
}

fn publish(temporary: &Path, target: &Path) -> Result<(), FileError> {
    fs::rename(temporary, target).map_err(|error| {
        fs::remove_file(temporary).ok();
        io_error("write", target)(error)
    })
}

/// Returns a name in the same directory that nobody uses.
fn beside(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".exp-{}-{count}.tmp", std::process::id()))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }
}

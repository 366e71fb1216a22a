//! The files of somebody else's repository: those of a commit, or those that lie in a directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exp_core::{IgnoreRules, RelPath};
use exp_refs::{BlobId, EntryKind, Git, Reader, TreeId};

use crate::error::Error;
use crate::files::FileError;
use crate::source::{Source, TreeSource, WorkspaceSource};

/// Bytes of an entry of a Git tree besides mode and name: a blank, a zero and a binary SHA-1.
const ENTRY: u64 = 22;

/// Where files are read.
#[derive(Debug)]
pub(super) enum Files {
    /// A directory of a commit.
    Commit { reader: Box<Reader>, tree: TreeId },
    /// A directory as it is, with links resolved, and the repository whose work tree it is the top of.
    Disk { root: PathBuf, git: Option<Git> },
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// In bytes; of a directory whatever its place says.
    pub(super) size: Option<u64>,
    pub(super) is_exec: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    File,
    /// A symbolic link that is not followed: its bytes are its target.
    Link,
}

impl Files {
    /// Returns what is at `path`; `None` for nothing, for what lies behind a link out of the repository, and for what is
    /// neither file nor directory.
    pub(super) fn look(&self, path: &RelPath) -> Result<Option<Seen>, Error> {
        match self {
            Self::Commit { reader, tree } => {
                let entry = reader.tree(*tree).entry(path.as_str().as_bytes())?;
                entry.map(|kind| seen(reader, kind)).transpose()
            }
            Self::Disk { root, .. } => {
                let full = path.under(root);
                let above = full.parent().unwrap_or(root);
                let is_inside = path.is_root()
                    || above.canonicalize().is_ok_and(|above| above.starts_with(root));
                Ok(if is_inside { look_at(root, &full) } else { None })
            }
        }
    }

    /// Returns what lies directly in a directory, by name. Names that no other system could have, such as `..`, are left
    /// out, and so are those that are not UTF-8.
    pub(super) fn list(&self, dir: &RelPath) -> Result<Vec<(String, Seen)>, Error> {
        let mut list = Vec::new();
        match self {
            Self::Commit { reader, tree } => {
                let entry = reader.tree(*tree).entry(dir.as_str().as_bytes())?;
                let Some(EntryKind::Tree(tree)) = entry else { return Ok(list) };
                for entry in reader.tree(tree).entries()?.iter() {
                    if let Some(name) = safe_name(&entry.name) {
                        list.push((name.to_owned(), seen(reader, entry.kind)?));
                    }
                }
            }
            Self::Disk { root, .. } => {
                let full = dir.under(root);
                let entries = match fs::read_dir(&full) {
                    Ok(entries) => entries,
                    Err(error) if is_absence(&error) => return Ok(list),
                    Err(error) => return Err(FileError::at("list", &full)(error).into()),
                };
                for entry in entries {
                    let entry = entry.map_err(FileError::at("list", &full))?;
                    let name = entry.file_name();
                    let Some(name) = safe_name(name.as_encoded_bytes()) else { continue };
                    if let Some(seen) = look_at(root, &entry.path()) {
                        list.push((name.to_owned(), seen));
                    }
                }
            }
        }
        list.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(list)
    }

    /// Writes the bytes of a file to `into` and returns how many.
    pub(super) fn copy(&self, path: &RelPath, into: &mut dyn Write) -> Result<u64, Error> {
        match self {
            Self::Commit { .. } => {
                let bytes = self.read(path)?;
                into.write_all(&bytes).map_err(FileError::at("write", Path::new(path.as_str())))?;
                Ok(bytes.len() as u64)
            }
            Self::Disk { root, .. } => {
                let full = path.under(root);
                let mut file = File::open(&full).map_err(FileError::at("open", &full))?;
                Ok(io::copy(&mut file, into).map_err(FileError::at("read", &full))?)
            }
        }
    }

    /// Returns the bytes of a file; empty for what is none.
    pub(super) fn read(&self, path: &RelPath) -> Result<Vec<u8>, Error> {
        match self {
            Self::Commit { reader, tree } => {
                let entry = reader.tree(*tree).entry(path.as_str().as_bytes())?;
                let blob: Option<BlobId> = entry.and_then(EntryKind::blob);
                Ok(blob.map(|blob| reader.blob(blob)).transpose()?.unwrap_or_default())
            }
            Self::Disk { root, .. } => {
                Ok(crate::files::read(&path.under(root))?.unwrap_or_default())
            }
        }
    }

    /// Returns the files below `prefix` as those of a project.
    pub(super) fn source(
        &self,
        prefix: &RelPath,
        ignore: Arc<IgnoreRules>,
    ) -> Box<dyn Source + '_> {
        match self {
            Self::Commit { reader, tree } => {
                Box::new(TreeSource::new(reader, *tree, prefix.clone()))
            }
            Self::Disk { root, git } => Box::new(WorkspaceSource::new(
                &prefix.under(root),
                prefix.clone(),
                git.clone(),
                ignore,
            )),
        }
    }
}

fn seen(reader: &Reader, kind: EntryKind) -> Result<Seen, Error> {
    let (is, size, is_exec) = match kind {
        EntryKind::Tree(tree) => {
            let entries = reader.tree(tree).entries()?;
            let size = entries.iter().map(|entry| {
                let mode = if matches!(entry.kind, EntryKind::Tree(_)) { 5 } else { 6 };
                mode + entry.name.len() as u64 + ENTRY
            });
            (Kind::Dir, Some(size.sum()), false)
        }
        EntryKind::File { blob, executable } => {
            (Kind::File, Some(reader.blob_size(blob)?), executable)
        }
        EntryKind::Link { blob } => (Kind::Link, Some(reader.blob_size(blob)?), false),
        _ => (Kind::Dir, None, false),
    };
    Ok(Seen { kind: is, size, is_exec })
}

fn look_at(root: &Path, full: &Path) -> Option<Seen> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::symlink_metadata(full).ok()?;
    let (metadata, is_link) = if metadata.is_symlink() {
        let target = full.canonicalize().ok()?;
        // A link out of the repository is not followed: who made it chose what it leads to.
        if !target.starts_with(root) {
            return None;
        }
        (fs::metadata(&target).ok()?, true)
    } else {
        (metadata, false)
    };
    let kind = match (metadata.is_dir(), metadata.is_file()) {
        (true, _) if is_link => Kind::Link,
        (true, _) => Kind::Dir,
        (_, true) => Kind::File,
        _ => return None,
    };
    let is_exec = kind == Kind::File && metadata.permissions().mode() & 0o111 != 0;
    Some(Seen { kind, size: Some(metadata.len()), is_exec })
}

fn safe_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let is_odd = matches!(name, "" | "." | "..") || name.contains(['/', '\0']);
    (!is_odd).then_some(name)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

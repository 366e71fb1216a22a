//! Where the files of a project are read from: the workspace or a commit.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exp_core::{ArgumentStyle, IgnoreDir, IgnoreFiles, IgnoreRules, RelPath};
use exp_refs::{EntryKind, Git, GitError, Reader, TreeId, TreePath};

use crate::config::{ConfigKey, ConfigText, ConfigValue};
use crate::files::{self, FileError};

/// Gives out the files of a project at one moment. Paths are relative to the project's root.
pub trait Source {
    /// Returns the bytes of a file; `None` when there is no file.
    fn read(&self, path: &RelPath) -> Result<Option<Vec<u8>>, SourceError>;

    /// Returns what lies directly in a directory, sorted by name, without what `.dvcignore` and Git's rules for
    /// directories leave out. Empty when there is no such directory. Names that are not UTF-8 are left out: no file that
    /// matters to a pipeline can have one.
    fn entries(&self, dir: &RelPath) -> Result<Vec<SourceEntry>, SourceError>;

    /// Returns whether these are files that someone works on, and not those of a commit: then a parameter file that is broken
    /// is told although nothing needs it yet.
    fn is_workspace(&self) -> bool {
        false
    }

    /// Returns how a map becomes arguments of a command, as the `.dvc/config` among the files says; DVC's defaults when it
    /// says nothing or cannot be read.
    fn arguments(&self) -> ArgumentStyle {
        let text =
            RelPath::new(".dvc/config").ok().and_then(|path| self.read(&path).ok().flatten());
        let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
        let Ok(config) = ConfigText::parse(&text) else { return ArgumentStyle::default() };
        let is = |option, wanted| {
            let value = config.get(&ConfigKey::plain("parsing", option));
            value.and_then(ConfigValue::as_text) == Some(wanted)
        };
        ArgumentStyle { negated: is("bool", "boolean_optional"), repeated: is("list", "append") }
    }

    /// Returns whether a file is at `path`, which is not read if there is another way to know.
    fn is_file(&self, path: &RelPath) -> Result<bool, SourceError> {
        Ok(self.read(path)?.is_some())
    }

    /// Returns all files below `path`, sorted by path: itself when it is a file, none when nothing is there.
    fn files_below(&self, path: &RelPath) -> Result<Vec<RelPath>, SourceError> {
        if self.is_file(path)? {
            return Ok(vec![path.clone()]);
        }
        let mut found = Vec::new();
        let mut todo = vec![path.clone()];
        while let Some(dir) = todo.pop() {
            for entry in self.entries(&dir)? {
                let Ok(below) = dir.join(&entry.name) else { continue };
                if entry.is_dir { todo.push(below) } else { found.push(below) }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// The name.
    pub name: String,
    /// Whether it is a directory. A symbolic link is none, whatever it points at.
    pub is_dir: bool,
}

/// A source that could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The workspace.
    #[error(transparent)]
    File(#[from] FileError),
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// The files of the workspace.
pub struct WorkspaceSource {
    root: PathBuf,
    prefix: RelPath,
    git: Option<Git>,
    ignore: Arc<IgnoreRules>,
    arguments: ArgumentStyle,
}

impl WorkspaceSource {
    /// Reads below the absolute path `root`, which lies at `prefix` in the work tree of `git`.
    pub fn new(root: &Path, prefix: RelPath, git: Option<Git>, ignore: Arc<IgnoreRules>) -> Self {
        let arguments = ArgumentStyle::default();
        Self { root: root.to_path_buf(), prefix, git, ignore, arguments }
    }

    /// Returns the same with another way to write maps in commands: that of the project's whole configuration.
    #[must_use]
    pub fn with_arguments(self, arguments: ArgumentStyle) -> Self {
        Self { arguments, ..self }
    }

    fn git_ignores(&self, path: &RelPath) -> bool {
        let (Some(git), Ok(path)) = (&self.git, self.prefix.join(path.as_str())) else {
            return false;
        };
        TreePath::new(path.as_str()).is_ok_and(|path| git.is_ignored(&path, true).unwrap_or(false))
    }
}

impl fmt::Debug for WorkspaceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkspaceSource").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Source for WorkspaceSource {
    fn is_workspace(&self) -> bool {
        true
    }

    fn arguments(&self) -> ArgumentStyle {
        self.arguments
    }

    fn read(&self, path: &RelPath) -> Result<Option<Vec<u8>>, SourceError> {
        let path = path.under(&self.root);
        if path.is_dir() {
            return Ok(None);
        }
        Ok(files::read(&path)?)
    }

    fn is_file(&self, path: &RelPath) -> Result<bool, SourceError> {
        let path = path.under(&self.root);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(!metadata.is_dir()),
            Err(error) if is_absence(&error) => Ok(false),
            Err(error) => Err(FileError::at("look at", &path)(error).into()),
        }
    }

    fn entries(&self, dir: &RelPath) -> Result<Vec<SourceEntry>, SourceError> {
        let path = dir.under(&self.root);
        let listing = match fs::read_dir(&path) {
            Ok(listing) => listing,
            Err(error) if is_absence(&error) => return Ok(Vec::new()),
            Err(error) => return Err(FileError::at("list", &path)(error).into()),
        };
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry.map_err(FileError::at("list", &path))?;
            let is_dir =
                entry.file_type().map_err(FileError::at("look at", &entry.path()))?.is_dir();
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(below) = dir.join(&name) else { continue };
            if self.ignore.is_ignored(&below, is_dir).is_some()
                || (is_dir && self.git_ignores(&below))
            {
                continue;
            }
            entries.push(SourceEntry { name, is_dir });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The `.dvcignore` files of the workspace. One that cannot be read says nothing.
pub(crate) struct WorkspaceIgnore {
    pub(crate) root: PathBuf,
}

impl IgnoreFiles for WorkspaceIgnore {
    fn look(&self, dir: &RelPath) -> IgnoreDir {
        let dir = dir.under(&self.root);
        let bytes = files::read(&dir.join(".dvcignore")).ok().flatten();
        IgnoreDir {
            text: bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            is_project: dir != self.root && dir.join(".dvc").symlink_metadata().is_ok(),
        }
    }
}

/// The files of a commit, for one thread.
#[derive(Debug)]
pub struct TreeSource<'r> {
    reader: &'r Reader,
    tree: TreeId,
    prefix: RelPath,
}

impl<'r> TreeSource<'r> {
    /// Reads below `prefix` of `tree`.
    pub fn new(reader: &'r Reader, tree: TreeId, prefix: RelPath) -> Self {
        Self { reader, tree, prefix }
    }

    fn entry(&self, path: &RelPath) -> Result<Option<EntryKind>, SourceError> {
        let Ok(path) = self.prefix.join(path.as_str()) else { return Ok(None) };
        Ok(self.reader.tree(self.tree).entry(path.as_str().as_bytes())?)
    }
}

impl Source for TreeSource<'_> {
    fn is_file(&self, path: &RelPath) -> Result<bool, SourceError> {
        Ok(matches!(self.entry(path)?, Some(EntryKind::File { .. })))
    }

    fn read(&self, path: &RelPath) -> Result<Option<Vec<u8>>, SourceError> {
        match self.entry(path)? {
            Some(EntryKind::File { blob, .. }) => Ok(Some(self.reader.blob(blob)?)),
            _ => Ok(None),
        }
    }

    fn entries(&self, dir: &RelPath) -> Result<Vec<SourceEntry>, SourceError> {
        let Some(EntryKind::Tree(tree)) = self.entry(dir)? else { return Ok(Vec::new()) };
        let mut entries: Vec<SourceEntry> = (self.reader.tree(tree).entries()?.iter())
            .filter_map(|entry| {
                let name = String::from_utf8(entry.name.clone()).ok()?;
                // Git does not write the others, but whoever made the tree need not have used Git.
                if name == ".dvc" || matches!(&*name, "" | "." | "..") || name.contains('/') {
                    return None;
                }
                Some(SourceEntry { name, is_dir: matches!(entry.kind, EntryKind::Tree(_)) })
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

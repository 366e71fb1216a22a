//! What differs between `HEAD`, the index and the files.

use std::collections::BTreeMap;

use gix::diff::index::ChangeRef;
use gix::index::entry::Mode;
use gix::status::index_worktree::Item as WorktreeItem;
use gix::status::plumbing::index_as_worktree::{Change, EntryStatus};
use gix::status::tree_index::TrackRenames;
use gix::status::{Item, UntrackedFiles};

use super::{Git, failed, raw};
use crate::error::GitError;
use crate::id::{BlobId, CommitId};
use crate::name::TreePath;
use crate::repo::files::FileError;
use crate::repo::write::{Content, TreeChange, TreeEdit};

/// What happened to a file between two of `HEAD`, the index and the work tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileChange {
    /// It is new.
    Added,
    /// Its bytes or its mode are others.
    Modified,
    /// It is gone.
    Deleted,
    /// It is in conflict after a merge.
    Unmerged,
}

/// A file that is not the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEntry {
    /// Where.
    pub path: TreePath,
    /// From `HEAD` to the index.
    pub staged: Option<FileChange>,
    /// From the index to the work tree.
    pub unstaged: Option<FileChange>,
    /// Git does not know it and does not ignore it.
    pub is_untracked: bool,
    /// Git ignores it. A directory that is ignored as a whole is one entry.
    pub is_ignored: bool,
    /// What is staged, when it differs from `HEAD` and is not gone.
    staged_edit: Option<TreeEdit>,
}

/// Whether untracked files are looked for, which walks all directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untracked {
    /// They are not.
    Leave,
    /// Each is listed by itself.
    List,
    /// So are those that Git ignores.
    ListIgnored,
}

/// Why the changes of the work tree were not collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorktreeError {
    /// A merge is not finished.
    #[error("`{path}` is unmerged")]
    Unmerged {
        /// The first such file.
        path: TreePath,
    },
    /// A file was not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Git {
    /// Returns what is not the same in `HEAD`, the index and the work tree, by path. Renames are a file that is
    /// gone and one that is new; submodules are compared as they are staged, not looked into.
    ///
    /// The index is not refreshed, so that files touched since are read anew on each call.
    pub fn status(&self, untracked: Untracked) -> Result<Vec<StatusEntry>, GitError> {
        let repo = self.local();
        let error = || failed("compare the work tree");
        let files = match untracked {
            Untracked::Leave => UntrackedFiles::None,
            Untracked::List | Untracked::ListIgnored => UntrackedFiles::Files,
        };
        let ignored = (untracked == Untracked::ListIgnored)
            .then_some(gix::dir::walk::EmissionMode::CollapseDirectory);
        let items = repo
            .status(gix::progress::Discard)
            .map_err(error())?
            .untracked_files(files)
            .dirwalk_options(|options| options.emit_ignored(ignored))
            .index_worktree_rewrites(None)
            .index_worktree_submodules(None)
            .tree_index_track_renames(TrackRenames::Disabled)
            .into_iter(None)
            .map_err(error())?;
        let mut found: BTreeMap<Vec<u8>, StatusEntry> = BTreeMap::new();
        for item in items {
            let item = item.map_err(error())?;
            let path = item.location().to_vec();
            let entry = found.entry(path).or_insert_with_key(|path| StatusEntry {
                path: TreePath::listed(path),
                staged: None,
                unstaged: None,
                is_untracked: false,
                is_ignored: false,
                staged_edit: None,
            });
            match item {
                Item::TreeIndex(change) => staged(entry, &change),
                Item::IndexWorktree(item) => unstaged(entry, &item),
            }
        }
        let is_noted = |e: &StatusEntry| {
            e.staged.is_some() || e.unstaged.is_some() || e.is_untracked || e.is_ignored
        };
        Ok(found.into_values().filter(is_noted).collect())
    }

    /// Returns the changes that make the tree of an experiment from that of `HEAD`, as DVC does: tracked files as
    /// they are in the work tree, whether staged or not, with deletions and modes, and files staged as new.
    ///
    /// Contents are stored as blobs on the way, after Git's filters (`autocrlf`, `eol`, clean filters).
    pub fn worktree_changes(&self) -> Result<Vec<TreeChange>, WorktreeError> {
        let mut changes = Vec::new();
        let mut files = None;
        for entry in self.status(Untracked::Leave)? {
            let path = entry.path;
            let edit = match (entry.unstaged, entry.staged) {
                (Some(FileChange::Unmerged), _) | (_, Some(FileChange::Unmerged)) => {
                    return Err(WorktreeError::Unmerged { path });
                }
                (Some(FileChange::Deleted), _) => TreeEdit::Delete,
                (Some(_), _) => {
                    let files = match &mut files {
                        Some(files) => files,
                        None => files.insert(self.files()?),
                    };
                    // Gone since it was compared is gone.
                    files.store(&path)?.unwrap_or(TreeEdit::Delete)
                }
                (None, _) => entry.staged_edit.unwrap_or(TreeEdit::Delete),
            };
            changes.push(TreeChange { path, edit });
        }
        Ok(changes)
    }
}

fn staged(entry: &mut StatusEntry, change: &ChangeRef<'_, '_>) {
    let (what, new) = match change {
        ChangeRef::Addition { entry_mode, id, .. } => (FileChange::Added, Some((*entry_mode, id))),
        ChangeRef::Deletion { .. } => (FileChange::Deleted, None),
        ChangeRef::Modification { entry_mode, id, .. }
        | ChangeRef::Rewrite { entry_mode, id, .. } => {
            (FileChange::Modified, Some((*entry_mode, id)))
        }
    };
    entry.staged = Some(what);
    entry.staged_edit = new.map(|(mode, id)| {
        let content = Content::Blob(BlobId(raw(id)));
        if mode == Mode::SYMLINK {
            TreeEdit::Symlink { target: content }
        } else if mode == Mode::COMMIT {
            TreeEdit::Submodule(CommitId(raw(id)))
        } else {
            TreeEdit::Write { content, executable: mode == Mode::FILE_EXECUTABLE }
        }
    });
}

fn unstaged(entry: &mut StatusEntry, item: &WorktreeItem) {
    match item {
        WorktreeItem::Modification { status, .. } => {
            entry.unstaged = match status {
                EntryStatus::Conflict { .. } => Some(FileChange::Unmerged),
                EntryStatus::Change(Change::Removed) => Some(FileChange::Deleted),
                EntryStatus::Change(Change::SubmoduleModification(_))
                | EntryStatus::NeedsUpdate(_) => None,
                EntryStatus::Change(_) => Some(FileChange::Modified),
                EntryStatus::IntentToAdd => Some(FileChange::Added),
            };
        }
        WorktreeItem::DirectoryContents { entry: found, .. } => match found.status {
            gix::dir::entry::Status::Ignored(_) => entry.is_ignored = true,
            _ => entry.is_untracked = true,
        },
        WorktreeItem::Rewrite { .. } => entry.unstaged = Some(FileChange::Modified),
    }
}

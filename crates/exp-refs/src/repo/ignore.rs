//! What Git ignores, and what it tracks.

use std::fmt;

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;

use super::{Git, failed};
use crate::error::GitError;
use crate::name::TreePath;

/// The ignore rules of a work tree as they are now: `.gitignore` files, `info/exclude`, `core.excludesFile`.
///
/// Files of rules are read once and kept, so make a new one after changing a `.gitignore`.
pub struct Ignores {
    repo: gix::Repository,
    stack: gix::worktree::Stack,
}

impl Ignores {
    /// Returns whether the rules ignore `path`, itself or through a directory above. Whether it is tracked
    /// nevertheless is not asked.
    pub fn is_ignored(&mut self, path: &TreePath, is_dir: bool) -> Result<bool, GitError> {
        let mode = if is_dir { Mode::DIR } else { Mode::FILE };
        let path: &BStr = path.as_bytes().as_bstr();
        let at = self
            .stack
            .at_entry(path, Some(mode), &self.repo.objects)
            .map_err(|error| GitError::new(format!("read ignore rules for `{path}`"), error))?;
        Ok(at.is_excluded())
    }
}

impl fmt::Debug for Ignores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ignores").field("git_dir", &self.repo.git_dir()).finish_non_exhaustive()
    }
}

/// What is in the index as it was at one moment.
pub struct Tracked {
    index: gix::worktree::Index,
}

impl Tracked {
    /// Returns whether `path` is a file in the index, or a directory with such files.
    pub fn contains(&self, path: &TreePath) -> bool {
        let path: &BStr = path.as_bytes().as_bstr();
        self.index.entry_by_path(path).is_some() || self.index.path_is_directory(path)
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").field("n_entries", &self.index.entries().len()).finish()
    }
}

impl Git {
    /// Returns the ignore rules, for many questions.
    pub fn ignores(&self) -> Result<Ignores, GitError> {
        let repo = self.local();
        let index = repo.index_or_empty().map_err(failed("read the index"))?;
        let stack = repo
            .excludes(&index, None, Source::WorktreeThenIdMappingIfNotSkipped)
            .map_err(failed("read ignore rules"))?
            .detach();
        Ok(Ignores { repo, stack })
    }

    /// Returns whether the ignore rules of now ignore `path`. For many paths, take [`Git::ignores`].
    pub fn is_ignored(&self, path: &TreePath, is_dir: bool) -> Result<bool, GitError> {
        self.ignores()?.is_ignored(path, is_dir)
    }

    /// Returns what the index has, for many questions.
    pub fn tracked(&self) -> Result<Tracked, GitError> {
        let index = self.local().index_or_empty().map_err(failed("read the index"))?;
        Ok(Tracked { index })
    }

    /// Returns whether the index of now has `path`, as a file or a directory. For many paths, take [`Git::tracked`].
    pub fn is_tracked(&self, path: &TreePath) -> Result<bool, GitError> {
        Ok(self.tracked()?.contains(path))
    }
}

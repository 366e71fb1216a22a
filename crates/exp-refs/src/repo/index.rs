//! The files and the index of a private work tree.

use std::num::NonZero;
use std::thread;

use gix::index::entry::{Mode, Stat};
use gix::index::fs::Metadata;
use gix::index::{Entry, PathStorageRef};

use super::files::FileError;
use super::read::EntryKind;
use super::{Git, failed, oid, raw};
use crate::error::GitError;
use crate::id::{BlobId, CommitId, TreeId};
use crate::name::TreePath;

/// A thread is worth its start for so many files.
const PER_THREAD: usize = 1_000;

/// More threads than this wait for each other in the file system more than they help.
const MAX_THREADS: usize = 8;

impl Git {
    /// Returns where the index has submodules, by path. No index has none.
    pub fn submodules(&self) -> Result<Vec<TreePath>, GitError> {
        let repo = self.local();
        let Some(index) = repo.try_index().map_err(failed("read the index"))? else {
            return Ok(Vec::new());
        };
        let modules = index.entries().iter().filter(|entry| entry.mode == Mode::COMMIT);
        Ok(modules.map(|entry| TreePath::listed(entry.path(&index))).collect())
    }

    /// Fills this work tree, which has to be empty, with the files of `tree` as `git checkout` does, and writes an index that
    /// knows them: who compares both afterwards reads no file again. Submodules are empty directories.
    ///
    /// For private work trees only: the index of a user's repository is never written. Nothing need survive a crash.
    ///
    /// # Errors
    ///
    /// Something is in the way, or cannot be read or written.
    pub fn fill_work_tree(&self, tree: TreeId) -> Result<(), FileError> {
        let repo = self.local();
        let action = || format!("write the index of tree {tree}");
        let mut index = repo.index_from_tree(&oid(tree.0)).map_err(failed(&action()))?;
        index.set_path(self.git_dir().join("index"));
        let write = |index: &mut gix::index::File| {
            index
                .write(gix::index::write::Options::default())
                .map_err(|error| GitError::new(action(), error))
        };
        // Once without, because attributes are read from it.
        write(&mut index)?;
        let (entries, paths) = index.entries_mut_and_pathbacking();
        let n_threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
        let n_threads = n_threads.min(entries.len() / PER_THREAD + 1);
        let size = entries.len().div_ceil(n_threads).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = (entries.chunks_mut(size))
                .map(|part| scope.spawn(move || self.fill_part(part, paths)))
                .collect();
            parts.into_iter().try_for_each(|part| match part.join() {
                Ok(filled) => filled,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        Ok(write(&mut index)?)
    }

    /// Writes the files of some entries and notes what they are on disk.
    fn fill_part(&self, entries: &mut [Entry], paths: &PathStorageRef) -> Result<(), FileError> {
        let mut files = self.files()?;
        let mut known = None;
        for entry in entries {
            let blob = BlobId(raw(&entry.id));
            let kind = match entry.mode {
                Mode::SYMLINK => EntryKind::Link { blob },
                Mode::COMMIT => EntryKind::Submodule(CommitId(raw(&entry.id))),
                mode => EntryKind::File { blob, executable: mode == Mode::FILE_EXECUTABLE },
            };
            let path = TreePath::listed(entry.path_in(paths));
            let written = files.write_new(&path, kind, &mut known)?;
            // Without it the file is read again, no more.
            let found = Metadata::from_path_no_follow(&written).ok();
            if let Some(stat) = found.and_then(|found| Stat::from_fs(&found).ok())
                && entry.mode != Mode::COMMIT
            {
                entry.stat = stat;
            }
        }
        Ok(())
    }
}

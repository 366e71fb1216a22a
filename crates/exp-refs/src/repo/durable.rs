//! Syncing what was written, because gix leaves that to the kernel.
//!
//! A ref may only become visible when the objects that it leads to are on disk; otherwise a power cut leaves a
//! ref to an empty file, which makes Git refuse the whole repository. So: objects, then the ref's lock file,
//! then the rename, then the directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::thread;

use super::Git;
use crate::error::GitError;
use crate::id::RawId;

impl Git {
    /// Syncs the loose objects among `ids` and their directories. Packed ones are on disk already, and what was synced
    /// once through this handle stays so: objects do not change.
    pub(super) fn sync_objects(&self, ids: &[RawId]) -> Result<(), GitError> {
        if !self.is_durable() {
            return Ok(());
        }
        let is_new = |id: &&RawId| !self.synced().contains(*id);
        let ids: BTreeSet<RawId> = ids.iter().filter(is_new).copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let objects = self.common_dir().join("objects");
        let mut dirs = BTreeSet::from([objects.clone()]);
        let mut files = Vec::new();
        for id in &ids {
            let hex = crate::id::BlobId(*id).to_string();
            let dir = objects.join(&hex[..2]);
            let file = dir.join(&hex[2..]);
            if file.exists() {
                dirs.insert(dir);
                files.push(file);
            }
        }
        sync_all(&files)?;
        sync_all(&dirs.into_iter().collect::<Vec<_>>())?;
        self.synced().extend(ids);
        Ok(())
    }

    fn synced(&self) -> MutexGuard<'_, BTreeSet<RawId>> {
        self.0.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs a file, if it is there.
    pub(super) fn sync_file(&self, path: &Path) -> Result<(), GitError> {
        if self.is_durable() { sync(path).map(drop) } else { Ok(()) }
    }

    /// Syncs files, those that are there.
    pub(super) fn sync_files(&self, paths: &[PathBuf]) -> Result<(), GitError> {
        if self.is_durable() { sync_all(paths) } else { Ok(()) }
    }

    /// Syncs the directories that lead from `refs` to each of these refs' files.
    pub(super) fn sync_ref_dirs(&self, paths: &[PathBuf]) -> Result<(), GitError> {
        if !self.is_durable() {
            return Ok(());
        }
        let top = self.common_dir().join("refs");
        let mut dirs = BTreeSet::new();
        for path in paths {
            dirs.extend(
                path.ancestors()
                    .skip(1)
                    .take_while(|dir| dir.starts_with(&top))
                    .map(Path::to_owned),
            );
        }
        dirs.iter().rev().try_for_each(|dir| sync(dir).map(drop))
    }
}

/// How many files are synced at a time; of many files more, up to the other number.
const AT_A_TIME: usize = 8;
const MOST_AT_A_TIME: usize = 64;

/// Syncs files or directories, several at a time: a file system that keeps a journal then writes it once for all of them
/// instead of once for each.
fn sync_all(paths: &[PathBuf]) -> Result<(), GitError> {
    let n_threads = (paths.len() / AT_A_TIME).clamp(AT_A_TIME, MOST_AT_A_TIME);
    let n_threads = n_threads.min(paths.len()).max(1);
    let share = paths.len().div_ceil(n_threads).max(1);
    thread::scope(|scope| {
        let work = |paths: &[PathBuf]| paths.iter().try_for_each(|path| sync(path).map(drop));
        let others: Vec<_> =
            paths.chunks(share).skip(1).map(|paths| scope.spawn(move || work(paths))).collect();
        let mut done = paths.chunks(share).next().map_or(Ok(()), work);
        for other in others {
            done = done.and(other.join().unwrap_or(Ok(())));
        }
        done
    })
}

/// Syncs a file or directory and returns whether there is one.
fn sync(path: &Path) -> Result<bool, GitError> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // Some file systems have no sync for directories; there is nothing better to do on those.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(true),
        Err(error) => Err(GitError::io("sync", path, error)),
    }
}

//! What the workspace holds now, by content: looking without storing.
//!
//! A file that the memo knows is not opened, and a directory's manifest is digested as it is written down, without
//! being kept: a million unchanged files cost their names and facts in memory, and a look at each.

use std::convert::Infallible;
use std::fs::File;
use std::path::{Path, PathBuf};

use exp_core::{Algorithm, Artifact, Ctx, Digest, Hasher, ObjectId, Task, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::content::digest_open;
use crate::error::{CacheError, io_error};
use crate::memo::{Note, is_settled, now};
use crate::tree::{ManifestRow, Tree, TreeEntry, write_rows};
use crate::walk::{Filter, Found, Seen, Stat, look, only_content};

/// Files read between two writes to the memo.
const CHUNK: usize = 4096;

/// Fewer files than this, each smaller than [`MEMO_SIZE`], are read faster than the memo is opened.
pub(crate) const MEMO_FILES: usize = 8;
pub(crate) const MEMO_SIZE: u64 = 64 * 1024;

impl Cache {
    /// Returns the content at `path` now, named by the store's algorithm; `None` when nothing is there.
    ///
    /// Stores nothing. Links are followed at `path` itself; below it, links to directories are left out with a
    /// warning, as are files that `filter` ignores. Unchanged files are not read again.
    ///
    /// # Errors
    ///
    /// When something cannot be read, is neither file nor directory, or has a name that is not UTF-8.
    pub fn digest(
        &self,
        ctx: &Ctx<'_>,
        path: &Path,
        filter: &dyn Filter,
    ) -> Result<Option<Artifact>, CacheError> {
        self.digest_as(ctx, self.algorithm(), path, filter)
    }

    /// Returns the content at `path` as [`Cache::digest`] does, named by another algorithm: to compare it with what
    /// DVC 2 recorded, or with a dependency from elsewhere.
    ///
    /// # Errors
    ///
    /// As [`Cache::digest`].
    pub fn digest_as(
        &self,
        ctx: &Ctx<'_>,
        algorithm: Algorithm,
        path: &Path,
        filter: &dyn Filter,
    ) -> Result<Option<Artifact>, CacheError> {
        Ok(self.look_at(ctx, algorithm, path, filter)?.map(|seen| seen.artifact(algorithm)))
    }

    /// Returns the content at `path` as [`Cache::digest_as`] does, and for a directory its files.
    ///
    /// # Errors
    ///
    /// As [`Cache::digest`].
    pub fn digest_tree_as(
        &self,
        ctx: &Ctx<'_>,
        algorithm: Algorithm,
        path: &Path,
        filter: &dyn Filter,
    ) -> Result<Option<(Artifact, Option<Tree>)>, CacheError> {
        let Some(seen) = self.look_at(ctx, algorithm, path, filter)? else { return Ok(None) };
        let artifact = seen.artifact(algorithm);
        let tree = if seen.is_dir { Some(seen.into_tree(algorithm, path)?) } else { None };
        Ok(Some((artifact, tree)))
    }

    fn look_at(
        &self,
        ctx: &Ctx<'_>,
        algorithm: Algorithm,
        path: &Path,
        filter: &dyn Filter,
    ) -> Result<Option<Digested>, CacheError> {
        let (found, is_dir) = match look(ctx, path, filter)? {
            Seen::Nothing => return Ok(None),
            Seen::One(found) => (vec![found], false),
            Seen::Dir(listing) => (listing.found, true),
        };
        let found = only_content(ctx, path, found)?;
        let digests = self.digest_found(ctx, algorithm, (path, &found))?;
        Ok(Some(Digested { found, digests, is_dir }))
    }

    /// Returns the digest of each file, in the order of `found`, all of which have content.
    pub(crate) fn digest_found(
        &self,
        ctx: &Ctx<'_>,
        algorithm: Algorithm,
        (base, found): (&Path, &[Found]),
    ) -> Result<Vec<Digest>, CacheError> {
        let total = found.iter().map(|found| found.stat.size).sum();
        let task = ctx.task(TaskLabel::Scan, Some(total), Unit::Bytes);
        let mut known = self.recall(algorithm, (base, found));
        let unknown: Vec<usize> = (0..known.len()).filter(|nth| known[*nth].is_none()).collect();
        let unread: u64 = unknown.iter().map(|nth| found[*nth].stat.size).sum();
        task.advance(total - unread);
        for chunk in unknown.chunks(CHUNK) {
            let read: Vec<(Digest, Option<Note>)> = chunk
                .par_iter()
                .map(|nth| digest_one(ctx, algorithm, (base, &found[*nth], &task)))
                .collect::<Result<_, CacheError>>()?;
            let mut notes = Vec::new();
            for (nth, (digest, note)) in chunk.iter().zip(read) {
                known[*nth] = Some(digest);
                notes.extend(note);
            }
            if self.wants_memo(found) {
                self.0.memo.remember(&notes);
            }
        }
        // All are known now.
        Ok(known.into_iter().flatten().collect())
    }

    /// Returns whether the memo is worth opening for these files.
    pub(crate) fn wants_memo(&self, found: &[Found]) -> bool {
        self.0.options.memo.is_some()
            && (found.len() >= MEMO_FILES || found.iter().any(|found| found.stat.size >= MEMO_SIZE))
    }

    /// Returns what the memo knows of each file.
    pub(crate) fn recall(
        &self,
        algorithm: Algorithm,
        (base, found): (&Path, &[Found]),
    ) -> Vec<Option<Digest>> {
        if self.wants_memo(found) {
            self.0.memo.recall(algorithm, (base, found))
        } else {
            vec![None; found.len()]
        }
    }
}

fn digest_one(
    ctx: &Ctx<'_>,
    algorithm: Algorithm,
    (base, found, task): (&Path, &Found, &Task<'_>),
) -> Result<(Digest, Option<Note>), CacheError> {
    ctx.check()?;
    let path = found.under(base);
    let began = now();
    let mut file = File::open(&path).map_err(io_error("open", &path))?;
    let source = (&mut file, path.as_path(), found.stat.size);
    let (digest, _) = digest_open(ctx, algorithm, source, |_| Ok(()))?;
    task.advance(found.stat.size);
    let after = file.metadata().map_err(io_error("look at", &path))?;
    Ok((digest, note_if_settled((path, &Stat::of(&after)), (found, digest), began)))
}

/// Returns what to remember of a file that was read from `began` on and then looked like `after`; nothing when it may
/// change unseen, or did.
pub(crate) fn note_if_settled(
    (path, after): (PathBuf, &Stat),
    (found, digest): (&Found, Digest),
    began: i64,
) -> Option<Note> {
    let is_known = is_settled(&found.stat, began) && *after == found.stat;
    is_known.then_some(Note { path, stat: found.stat, digest })
}

/// Files with their digests: all that is at a path.
pub(crate) struct Digested {
    pub(crate) found: Vec<Found>,
    /// In the order of `found`.
    pub(crate) digests: Vec<Digest>,
    pub(crate) is_dir: bool,
}

impl Digested {
    /// The rows of the directory's manifest, in its order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = ManifestRow<'_>> {
        let files = self.found.iter().zip(&self.digests);
        files.map(|(found, digest)| (&*found.path, digest, found.stat.is_exec()))
    }

    /// What a record says of it.
    pub(crate) fn artifact(&self, algorithm: Algorithm) -> Artifact {
        let size = self.found.iter().map(|found| found.stat.size).sum();
        let (id, n_files, is_exec) = match (self.found.first(), self.digests.first()) {
            (Some(found), Some(digest)) if !self.is_dir => {
                (ObjectId::file(*digest), None, found.stat.is_exec())
            }
            _ => {
                let mut hasher = Hasher::new(algorithm);
                write_rows(algorithm, self.rows(), |piece| {
                    hasher.update(piece);
                    Ok::<_, Infallible>(())
                })
                .unwrap_or_else(|never| match never {});
                (ObjectId::tree(hasher.finish()), Some(self.found.len() as u64), false)
            }
        };
        Artifact { id, size: Some(size), n_files, is_exec }
    }

    fn into_tree(self, algorithm: Algorithm, base: &Path) -> Result<Tree, CacheError> {
        let entries = (self.found.into_iter().zip(self.digests))
            .map(|(found, digest)| TreeEntry {
                is_exec: found.stat.is_exec(),
                path: found.path.into(),
                digest,
            })
            .collect();
        Tree::new(algorithm, entries)
            .map_err(|source| CacheError::Unlistable { path: base.to_path_buf(), source })
    }
}

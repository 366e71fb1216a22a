//! What the workspace holds now, by content: looking without storing.

use std::path::{Path, PathBuf};

use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId, Task, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::content::digest_file;
use crate::error::CacheError;
use crate::memo::{Note, is_settled, now};
use crate::tree::{Tree, TreeEntry};
use crate::walk::{Filter, Found, Kind, Seen, Stat, look, only_content};

/// Files worked on between two accesses to the memo.
pub(crate) const CHUNK: usize = 4096;

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
        Ok(self.digest_tree_as(ctx, algorithm, path, filter)?.map(|(artifact, _)| artifact))
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
        let found = match look(ctx, path, filter)? {
            Seen::Nothing => return Ok(None),
            Seen::One(found) => only_content(ctx, path, vec![found])?,
            Seen::Dir(listing) => {
                let found = only_content(ctx, path, listing.found)?;
                let digests = self.digest_found(ctx, algorithm, (path, &found))?;
                let tree = tree_of(algorithm, path, &found, &digests)?;
                return Ok(Some((tree_artifact(&tree, &found), Some(tree))));
            }
        };
        let digests = self.digest_found(ctx, algorithm, (path, &found))?;
        let file = found.first().zip(digests.first());
        Ok(file.map(|(found, digest)| (file_artifact(found, *digest), None)))
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
        let has_memo = self.wants_memo(found);
        let mut digests = Vec::with_capacity(found.len());
        for chunk in found.chunks(CHUNK) {
            let known = self.recall(algorithm, has_memo, (base, chunk));
            let read: Vec<(Digest, Option<Note>)> = chunk
                .par_iter()
                .zip(known)
                .map(|(found, known)| digest_one(ctx, algorithm, (base, found, known, &task)))
                .collect::<Result<_, CacheError>>()?;
            let mut notes = Vec::new();
            for (digest, note) in read {
                digests.push(digest);
                notes.extend(note);
            }
            if has_memo {
                self.0.memo.remember(&notes);
            }
        }
        Ok(digests)
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
        has_memo: bool,
        (base, found): (&Path, &[Found]),
    ) -> Vec<Option<Digest>> {
        if !has_memo {
            return vec![None; found.len()];
        }
        let files: Vec<(PathBuf, Stat)> =
            found.iter().map(|found| (found.under(base), found.stat)).collect();
        self.0.memo.lookup(algorithm, &files)
    }
}

fn digest_one(
    ctx: &Ctx<'_>,
    algorithm: Algorithm,
    (base, found, known, task): (&Path, &Found, Option<Digest>, &Task<'_>),
) -> Result<(Digest, Option<Note>), CacheError> {
    ctx.check()?;
    task.advance(found.stat.size);
    if let Some(digest) = known {
        return Ok((digest, None));
    }
    let path = found.under(base);
    let began = now();
    let digest = digest_file(ctx, algorithm, &path)?;
    Ok((digest, note_if_settled(path, (found, digest), began)))
}

/// Returns what to remember of a file that was read from `began` on; nothing when it may change unseen, or did.
pub(crate) fn note_if_settled(
    path: PathBuf,
    (found, digest): (&Found, Digest),
    began: i128,
) -> Option<Note> {
    if !is_settled(&found.stat, began) {
        return None;
    }
    let after = Stat::of(&std::fs::metadata(&path).ok()?);
    (after == found.stat).then_some(Note { path, stat: found.stat, digest })
}

pub(crate) fn tree_of(
    algorithm: Algorithm,
    base: &Path,
    found: &[Found],
    digests: &[Digest],
) -> Result<Tree, CacheError> {
    let entries = found
        .iter()
        .zip(digests)
        .map(|(found, digest)| TreeEntry { path: found.path.clone(), digest: *digest })
        .collect();
    Tree::new(algorithm, entries)
        .map_err(|source| CacheError::Unlistable { path: base.to_path_buf(), source })
}

pub(crate) fn tree_artifact(tree: &Tree, found: &[Found]) -> Artifact {
    Artifact {
        id: tree.id(),
        size: Some(found.iter().map(|found| found.stat.size).sum()),
        n_files: Some(found.len() as u64),
        is_exec: false,
    }
}

pub(crate) fn file_artifact(found: &Found, digest: Digest) -> Artifact {
    debug_assert!(matches!(found.kind, Kind::File | Kind::LinkedFile), "only content is digested");
    Artifact {
        id: ObjectId::file(digest),
        size: Some(found.stat.size),
        n_files: None,
        is_exec: found.stat.is_exec(),
    }
}

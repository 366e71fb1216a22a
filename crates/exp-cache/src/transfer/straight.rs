//! Sending files from where they are, past the store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use exp_core::{Artifact, Ctx, ObjectId, TaskLabel, Unit};

use super::persist::{Failure, persist};
use super::presence::presence;
use super::send::send;
use super::{TransferError, TransferStats, members, run};
use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::remote::Remote;
use crate::walk::Filter;

/// Sends the file or directory at `path` to the remote without storing it, and returns what it is.
///
/// It is read twice: only its digest is its name there. A file that changes in between is an error, and does not appear
/// on the remote under a wrong name. A manifest is sent when all files are there.
///
/// # Errors
///
/// When nothing is there, it cannot be read, or changes meanwhile; when the remote fails. What was sent by then stays.
pub fn push_path(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    (path, filter): (&Path, &dyn Filter),
    jobs: NonZeroUsize,
) -> Result<(Artifact, TransferStats), TransferError> {
    let found = cache.digest_tree_as(ctx, cache.algorithm(), path, filter)?;
    let absent = || CacheError::Absent { path: path.to_path_buf() };
    let (artifact, tree) = found.ok_or_else(absent)?;
    let mut places: BTreeMap<ObjectId, PathBuf> = BTreeMap::new();
    let mut trees = BTreeMap::new();
    match tree {
        None => drop(places.insert(artifact.id, path.to_path_buf())),
        Some(tree) => {
            for entry in tree.entries() {
                places.insert(ObjectId::file(entry.digest), path.join(&entry.path));
            }
            trees.insert(artifact.id, tree);
        }
    }
    let wanted = places.keys().copied().chain([artifact.id]).collect();
    let there = presence(ctx, (cache, remote), &wanted, &trees)?;
    let files: Vec<ObjectId> = places.keys().filter(|id| !there.contains(id)).copied().collect();
    let task = ctx.task(TaskLabel::Push, Some(files.len() as u64), Unit::Files);
    let sizes = files.iter().filter_map(|id| places.get(id)?.metadata().ok());
    task.size(sizes.map(|data| data.len()).sum());
    let one = |id: &ObjectId| {
        let path = places.get(id).cloned().unwrap_or_default();
        let open = || {
            let file = File::open(&path).map_err(io_error("open", &path))?;
            Ok((file, path.clone()))
        };
        let changed = |_| CacheError::Changed { path: path.clone() };
        send(ctx, remote, (id, &open, &changed), &task)
    };
    let mut stats = run(ctx, (&files, jobs, &task), &one)?;
    if !stats.failed.is_empty() {
        let (_, error) = stats.failed.swap_remove(0);
        return Err(error);
    }
    let flush = || remote.flush(ctx).map_err(|source| Failure::Remote(source).of(remote, None));
    flush()?;
    if let Some(tree) = trees.get(&artifact.id) {
        if !there.contains(&artifact.id) {
            let bytes = tree.to_bytes();
            let len = bytes.len() as u64;
            persist(ctx, &mut || {
                remote.store(ctx, &artifact.id, len, &mut Cursor::new(bytes.as_slice()))
            })
            .map_err(|err| err.of(remote, Some(&artifact.id)))?;
            flush()?;
            stats.moved += 1;
        }
        debug_assert!(members(tree).all(|id| places.contains_key(&id)), "listed above");
        remote.known().add(&[artifact.id]);
    }
    stats.already_there = there.len() as u64;
    Ok((artifact, stats))
}

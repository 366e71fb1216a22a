//! Bringing data of another repository into the store.
//!
//! What DVC tracks there is moved object by object, by digest. What Git keeps is written to a corner of the project's
//! scratch directory first and stored from there, in one go. A directory of both becomes one manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;

use exp_cache::{CacheError, DirStorage, Incoming, Modes, StorageStat, Tree, TreeEntry};
use exp_core::{Artifact, Ctx, Digest, ObjectId, RelPath};

use super::corner::Corner;
use super::entry::RepoEntry;
use super::error::ImportError;
use super::external::External;
use super::get::{Odd, fill};
use crate::error::Error;
use crate::files::FileError;
use crate::project::Project;

/// Objects by the remote that they are said to be on.
type ByRemote = BTreeMap<Option<String>, BTreeSet<ObjectId>>;

/// Data that is in the store now.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) artifact: Artifact,
    /// Objects that were moved.
    pub(super) moved: u64,
    pub(super) odd: Vec<Odd>,
}

/// Stores what is at `path` of another repository.
///
/// # Errors
///
/// When nothing is there, some of it is nowhere, or the store fails. What was moved stays.
pub(super) fn into_store(
    ctx: &Ctx<'_>,
    (project, external): (&Project, &External<'_>),
    (path, rev): (&RelPath, Option<&str>),
    jobs: NonZeroUsize,
) -> Result<Brought, Error> {
    let top = external.must_have(ctx, path, rev)?;
    let leaves = external.leaves(ctx, &top)?;
    let cache = project.cache();
    let is_direct = |leaf: &RepoEntry| {
        !leaf.is_present && leaf.id.is_some_and(|id| id.digest.algorithm() == cache.algorithm())
    };
    let (direct, rest): (Vec<RepoEntry>, Vec<RepoEntry>) = leaves.into_iter().partition(is_direct);
    let mut wanted = ByRemote::new();
    let mut names: BTreeMap<ObjectId, RelPath> = BTreeMap::new();
    for leaf in &direct {
        let (Some(id), remote) = (leaf.id, external.out_of(&leaf.path)) else { continue };
        let remote = remote.and_then(|out| out.remote.clone());
        wanted.entry(remote).or_default().insert(id);
        names.insert(id, leaf.path.clone());
    }
    let moved = receive(ctx, (project, external), (&wanted, &names), jobs)?;
    let mut odd = Vec::new();
    let staged = stage(ctx, (project, external), (&rest, &top.path), (jobs, &mut odd))?;
    let mut size = staged.iter().map(|(_, _, size)| size).sum();
    let below = |leaf: &RepoEntry| leaf.path.strip_prefix(&top.path).unwrap_or_default().to_owned();
    let executables: BTreeSet<String> =
        rest.iter().filter(|leaf| leaf.is_exec).map(below).collect();
    let staged = staged.into_iter().map(|(path, digest, _)| {
        let is_exec = executables.contains(&path);
        TreeEntry { path, digest, is_exec }
    });
    let mut entries: Vec<TreeEntry> = staged.collect();
    for leaf in &direct {
        let Some(id) = leaf.id else { continue };
        let object = cache.object_path(&id);
        size += fs::metadata(&object).map_err(FileError::at("look at", &object))?.len();
        let (path, is_exec) = (below(leaf), leaf.is_exec);
        entries.push(TreeEntry { path, digest: id.digest, is_exec });
    }
    if !top.is_dir {
        let [entry] = &entries[..] else {
            let (path, url) = (path.clone(), external.label.clone());
            return Err(ImportError::MissingObjects { url, paths: vec![path] }.into());
        };
        let id = ObjectId::file(entry.digest);
        let artifact = Artifact { id, size: Some(size), n_files: None, is_exec: false };
        return Ok(Brought { artifact, moved, odd });
    }
    let n_files = entries.len() as u64;
    let tree = Tree::new(cache.algorithm(), entries)
        .map_err(|source| CacheError::Unlistable { path: top.path.as_str().into(), source })?;
    let id = cache.add_tree(&tree)?;
    let artifact = Artifact { id, size: Some(size), n_files: Some(n_files), is_exec: false };
    Ok(Brought { artifact, moved, odd })
}

/// Moves objects into the store, each from the first place that has it, and returns how many.
fn receive(
    ctx: &Ctx<'_>,
    (project, external): (&Project, &External<'_>),
    (wanted, names): (&ByRemote, &BTreeMap<ObjectId, RelPath>),
    jobs: NonZeroUsize,
) -> Result<u64, Error> {
    let cache = project.cache();
    let mut moved = 0;
    for (remote, ids) in wanted {
        let mut open: BTreeSet<ObjectId> =
            ids.iter().filter(|id| !cache.contains(id)).copied().collect();
        let mut failed = None;
        for remote in external.remotes(remote.as_deref())? {
            if open.is_empty() {
                break;
            }
            let plan = exp_cache::plan_pull(ctx, cache, &remote, &open);
            let plan = plan.map_err(ImportError::from)?;
            let stats = exp_cache::pull(ctx, cache, &remote, plan, jobs);
            let stats = stats.map_err(ImportError::from)?;
            moved += stats.moved;
            open = stats.missing.into_iter().collect();
            open.extend(stats.failed.iter().map(|(id, _)| *id));
            failed = stats.failed.into_iter().next().map(|(_, error)| error);
        }
        match failed {
            Some(error) if !open.is_empty() => return Err(ImportError::from(error).into()),
            _ if open.is_empty() => {}
            _ => {
                let mut paths: Vec<RelPath> =
                    open.iter().filter_map(|id| names.get(id)).cloned().collect();
                paths.sort();
                return Err(
                    ImportError::MissingObjects { url: external.label.clone(), paths }.into()
                );
            }
        }
    }
    Ok(moved)
}

/// Stores files that are no objects here, those that Git keeps and those that are named by another algorithm, and returns
/// path, digest and size of each. The path of a single file is empty.
fn stage(
    ctx: &Ctx<'_>,
    (project, external): (&Project, &External<'_>),
    (leaves, top): (&[RepoEntry], &RelPath),
    (jobs, odd): (NonZeroUsize, &mut Vec<Odd>),
) -> Result<Vec<(String, Digest, u64)>, Error> {
    if leaves.is_empty() {
        return Ok(Vec::new());
    }
    let corner = Corner::inside(&project.scratch().join("import"))?;
    let at = corner.path().join("data");
    fill(ctx, external, (leaves, top), (&at, 0o600, jobs), odd)?;
    let mut incoming = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        let key = RelPath::new(leaf.path.strip_prefix(top).unwrap_or_default())?;
        incoming.push(Incoming { key, version: None, stat: StorageStat::default() });
    }
    let storage = DirStorage::new(&at, Modes::default());
    let taken = exp_cache::take_in(ctx, project.cache(), &storage, &incoming, jobs);
    let taken = taken.map_err(ImportError::from)?;
    let rows = incoming.into_iter().zip(taken);
    Ok(rows.map(|(file, (digest, size))| (file.key.as_str().to_owned(), digest, size)).collect())
}

//! Data of a `worktree` remote that others changed there: bringing it here, with the versions that it is now.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use exp_cache::{CacheError, Depth, Incoming, StorageStat, Tree, TreeEntry, take_in};
use exp_core::{Artifact, Ctx, DvcFile, FileVersion, LockEntry, ObjectId, RecordedFile, RelPath};

use super::JOBS;
use super::error::ImportError;
use super::external::check_safe;
use super::record::place;
use super::update::{UpdateEffect, UpdateRequest};
use crate::change::Changes;
use crate::error::Error;
use crate::files;
use crate::project::Project;
use crate::recorded;
use crate::sync::OpenRemote;

impl Project {
    /// Brings tracked data up to date with what is on its `worktree` remote, and says what happened. What the workspace has
    /// is kept for undo.
    ///
    /// # Errors
    ///
    /// When its remote is no `worktree` remote, or fails.
    pub(super) fn update_from_remote(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        (file, request): (&RelPath, &UpdateRequest),
    ) -> Result<UpdateEffect, Error> {
        let bytes = files::read(&file.under(self.root()))?.unwrap_or_default();
        let wrong = |source| Error::Recorded { file: file.clone(), source };
        let parsed = DvcFile::parse(files::text(file, &bytes)?).map_err(wrong)?;
        let stage = parsed.to_stage(file, self.root()).map_err(wrong)?;
        let mut lock = parsed.recorded();
        let (Some(out), Some(entry)) = (stage.outs.first(), lock.outs.first_mut()) else {
            return Ok(UpdateEffect::NoImport);
        };
        let recorded_for =
            |version: Option<FileVersion>| version.and_then(|version| version.remote);
        let name = out
            .remote
            .clone()
            .or_else(|| recorded_for(entry.version()))
            .or_else(|| entry.files().into_iter().find_map(|file| recorded_for(file.version)));
        let (Some(name), Some(path), Some(old)) = (name, out.location.workspace(), entry.artifact)
        else {
            return Ok(UpdateEffect::NoImport);
        };
        let Some(remote) = self.any_remote(Some(&name))? else {
            return Ok(UpdateEffect::NoImport);
        };
        if !remote.is_worktree() {
            return Err(ImportError::NotAnImport { file: file.clone() }.into());
        }
        let there = newest(ctx, &remote, (path, &old))?;
        if there.is_empty() {
            return Ok(UpdateEffect::Gone);
        }
        let before = before(entry);
        let is_same = |(below, stat): (&String, &StorageStat)| {
            let known = before.get(below).and_then(|file| file.version.as_ref());
            known.is_some_and(|known| match (&known.etag, &stat.etag) {
                (Some(known), Some(now)) => known == now,
                _ => Some(&known.id) == stat.version.as_ref(),
            })
        };
        if there.len() == before.len() && there.iter().all(is_same) {
            return Ok(UpdateEffect::Unchanged);
        }
        let mut rows: Vec<RecordedFile> = Vec::new();
        let mut incoming: Vec<(String, Incoming)> = Vec::new();
        for (below, stat) in &there {
            match before.get(below).filter(|_| is_same((below, stat))) {
                Some(known) if self.cache().contains(&ObjectId::file(known.digest)) => {
                    rows.push(known.clone());
                }
                _ => {
                    let key = if below.is_empty() { path.clone() } else { path.join(below)? };
                    let version = stat.version.clone();
                    incoming.push((below.clone(), Incoming { key, version, stat: stat.clone() }));
                }
            }
        }
        let wanted: Vec<Incoming> = incoming.iter().map(|(_, one)| one.clone()).collect();
        let jobs = request.jobs.unwrap_or(JOBS);
        let storage = remote.remote().shared_storage();
        let taken =
            take_in(ctx, self.cache(), &*storage, &wanted, jobs).map_err(ImportError::from)?;
        for ((below, one), (digest, size)) in incoming.into_iter().zip(taken) {
            let version = one.version.map(|id| FileVersion {
                remote: Some(remote.name().to_owned()),
                id,
                etag: one.stat.etag,
            });
            // A storage knows no bit: the file has the one it had.
            let is_exec = before.get(&below).is_some_and(|file| file.is_exec);
            rows.push(RecordedFile { path: below, digest, size: Some(size), version, is_exec });
        }
        let new = self.entry_of_rows((entry, &old), rows)?;
        if let Some(artifact) = new.artifact.filter(|new| !new.same_content(&old)) {
            place(self, ctx, changes, (path, &artifact))?;
        }
        *entry = new;
        recorded::write_dvc_file(self, ctx, changes, &stage, &lock)?;
        Ok(UpdateEffect::Fetched)
    }

    /// Returns the record of data that is made of these files.
    fn entry_of_rows(
        &self,
        (entry, old): (&LockEntry, &Artifact),
        rows: Vec<RecordedFile>,
    ) -> Result<LockEntry, Error> {
        if let ([file], false) = (&rows[..], old.id.is_tree()) {
            let artifact = Artifact { id: ObjectId::file(file.digest), size: file.size, ..*old };
            let entry = LockEntry::new(entry.path.clone(), Some(artifact));
            return Ok(entry.with_version(file.version.as_ref()));
        }
        let one = |file: &RecordedFile| TreeEntry {
            path: file.path.clone(),
            digest: file.digest,
            is_exec: file.is_exec,
        };
        let tree = Tree::new(old.id.digest.algorithm(), rows.iter().map(one).collect())
            .map_err(|source| CacheError::Unlistable { path: entry.path.clone().into(), source })?;
        let id = self.cache().add_tree(&tree)?;
        let size = rows.iter().map(|file| file.size).sum();
        let artifact = Artifact { id, size, n_files: Some(rows.len() as u64), is_exec: false };
        Ok(LockEntry::new(entry.path.clone(), Some(artifact)).with_files(rows))
    }
}

/// Returns what is recorded, by path below the output; that of a file is empty.
fn before(entry: &LockEntry) -> BTreeMap<String, RecordedFile> {
    let files = entry.files();
    if let (Some(artifact), true) = (entry.artifact, files.is_empty()) {
        if artifact.id.is_tree() {
            return BTreeMap::new();
        }
        let file = RecordedFile {
            path: String::new(),
            digest: artifact.id.digest,
            size: artifact.size,
            version: entry.version(),
            is_exec: artifact.is_exec,
        };
        return BTreeMap::from([(String::new(), file)]);
    }
    files.into_iter().map(|file| (file.path.clone(), file)).collect()
}

/// Returns the newest versions of what is there, by path below the output.
fn newest(
    ctx: &Ctx<'_>,
    remote: &OpenRemote,
    (path, old): (&RelPath, &Artifact),
) -> Result<BTreeMap<String, StorageStat>, Error> {
    let storage = remote.remote().storage();
    if !old.id.is_tree() {
        let found = storage.stat(ctx, std::slice::from_ref(path)).map_err(ImportError::from)?;
        let found = found.into_iter().flatten().map(|stat| (String::new(), stat));
        return Ok(found.collect());
    }
    let mut found = Vec::new();
    let mut note = |one: exp_cache::Listed| {
        found.push((one.key, one.stat));
        ControlFlow::Continue(())
    };
    storage.list(ctx, path, Depth::All, &mut note).map_err(ImportError::from)?;
    let mut newest = BTreeMap::new();
    for (key, stat) in found {
        let Some(below) = key.strip_prefix(path).filter(|below| !below.is_empty()) else {
            continue;
        };
        check_safe(&RelPath::new(below)?)?;
        newest.insert(below.to_owned(), stat);
    }
    Ok(newest)
}

//! Sending data to a remote that keeps versions, and writing down which versions it is there.
//!
//! Files are sent first, while the project is free for others. Then each record that is still of what was sent gets the
//! versions; a record that changed meanwhile stays, and the next push finds what is there already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use exp_cache::{TransferError, TreeEntry, Version, VersionedFile, VersionedStats, push_versions};
use exp_core::{
    Artifact, Cancelled, Ctx, FileVersion, LockEntry, ObjectId, Recorded, RecordedFile, RelPath,
    StageId,
};

use super::wanted::{expand, is_of};
use super::{DataPiece, DataRevisions, DataTransferReport, DataTransferRequest};
use crate::change::Changes;
use crate::data::pick;
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::sync::{OpenRemote, SyncError};
use crate::view::{Broken, View};
use crate::{recorded, recover};

/// An output, or a part of one, that is to be there.
#[derive(Debug)]
struct Sending {
    stage: StageId,
    /// The path as the stage writes it.
    out: String,
    path: RelPath,
    artifact: Artifact,
    /// Its files by their path below it, which is empty for a file, with their place among all files.
    files: Vec<(String, usize)>,
}

/// What is to be there, and what it takes to tell what became of it.
#[derive(Debug, Default)]
struct Sendings {
    outs: Vec<Sending>,
    files: Vec<VersionedFile>,
    dirs: Vec<RelPath>,
    /// Directories of which nobody knows what is in them.
    unknown: Vec<DataPiece>,
}

impl Project {
    /// Sends what the workspace records and belongs on `remote`, and records which versions it is there.
    pub(super) fn send_versions(
        &self,
        ctx: &Ctx<'_>,
        (remote, request): (&OpenRemote, &DataTransferRequest),
        report: &mut DataTransferReport,
    ) -> Result<(), Error> {
        if request.revisions != DataRevisions::default() {
            let name = remote.name().to_owned();
            return Err(SyncError::VersionedRevisions { name }.into());
        }
        let sendings = self.sendings(remote, request)?;
        let (mut moved, began) = (remote.transfer(), Instant::now());
        let jobs = remote.jobs(request.jobs);
        let asked = (&sendings.files[..], &sendings.dirs[..]);
        let stats = push_versions(ctx, (self.cache(), remote.remote()), asked, jobs)
            .map_err(SyncError::from)?;
        // Also of a transfer that was stopped: what is there now is not to be sent again.
        let silent = Ctx::silent();
        let written = if stats.is_cancelled { &silent } else { ctx };
        self.record_versions(written, remote.name(), &sendings, &stats, report)?;
        if stats.is_cancelled {
            return Err(Cancelled.into());
        }
        moved.took = began.elapsed();
        moved.moved = stats.moved;
        moved.bytes = stats.bytes;
        moved.already_there = stats.already_there;
        let named = sendings.names();
        report.missing.extend(sendings.unknown);
        report.missing.extend(stats.missing.iter().map(|at| named[at].clone()));
        report.missing.sort();
        let failed = stats.failed.into_iter().map(|(at, error)| (named[&at].clone(), error));
        report.failed.extend(failed.collect::<Vec<(DataPiece, TransferError)>>());
        report.transfers.push(moved);
        Ok(())
    }

    fn sendings(
        &self,
        remote: &OpenRemote,
        request: &DataTransferRequest,
    ) -> Result<Sendings, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let default = self.config().default_remote();
        let scope =
            if request.glob { expand(&view, &request.scope)? } else { request.scope.clone() };
        let mut sendings = Sendings::default();
        for picked in pick(&view, &scope)? {
            let stage = &view.stages[picked.stage];
            let out = &stage.outs[picked.out];
            let Some(lock) = view.recorded(&stage.id) else { continue };
            let (true, true, Some(path)) = (out.cache, out.push, out.location.workspace()) else {
                continue;
            };
            let belongs = request.remote.as_ref().or(out.remote.as_ref()).or(default.as_ref());
            let is_imported = lock.deps.iter().any(|dep| dep.extra.contains_key("repo"));
            let is_other_kind = !request.kinds.is_empty() && !is_of(&request.kinds, out.kind);
            if belongs.map(String::as_str) != Some(remote.name()) || is_imported || is_other_kind {
                continue;
            }
            let Some(entry) = lock.out(&out.path) else { continue };
            let Some(artifact) = entry.artifact else { continue };
            let below = picked.below.as_ref().map(RelPath::as_str);
            let sending = Sending {
                stage: stage.id.clone(),
                out: out.path.clone(),
                path: path.clone(),
                artifact,
                files: Vec::new(),
            };
            self.add_files(remote.name(), (sending, entry, below), &mut sendings)?;
        }
        Ok(sendings)
    }

    /// Adds the files of one output.
    fn add_files(
        &self,
        remote: &str,
        (mut sending, entry, below): (Sending, &LockEntry, Option<&str>),
        sendings: &mut Sendings,
    ) -> Result<(), Error> {
        let known = |version: Option<FileVersion>| {
            let version = version.filter(|one| one.remote.as_deref().is_none_or(|at| at == remote));
            version.map(|version| Version { id: version.id, etag: version.etag })
        };
        let id = sending.artifact.id;
        if !id.is_tree() {
            sending.files.push((String::new(), sendings.files.len()));
            sendings.files.push(VersionedFile {
                key: sending.path.clone(),
                id,
                size: sending.artifact.size,
                known: known(entry.version()),
            });
            sendings.outs.push(sending);
            return Ok(());
        }
        let Some(tree) = self.recorded_tree(entry)? else {
            sendings.unknown.push(DataPiece { revision: None, path: sending.path, id });
            return Ok(());
        };
        let recorded = entry.files();
        let recorded: BTreeMap<&str, &RecordedFile> =
            recorded.iter().map(|file| (file.path.as_str(), file)).collect();
        for TreeEntry { path, digest, .. } in tree.entries() {
            let is_meant = below.is_none_or(|below| {
                path.strip_prefix(below)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if !is_meant {
                continue;
            }
            let before = recorded.get(path.as_str()).filter(|file| file.digest == *digest);
            sending.files.push((path.clone(), sendings.files.len()));
            sendings.files.push(VersionedFile {
                key: sending.path.join(path)?,
                id: ObjectId::file(*digest),
                size: before.and_then(|file| file.size),
                known: known(before.and_then(|file| file.version.clone())),
            });
        }
        sendings.dirs.push(sending.path.clone());
        sendings.outs.push(sending);
        Ok(())
    }

    /// Writes versions into the records that are still of what was sent.
    fn record_versions(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        sendings: &Sendings,
        stats: &VersionedStats,
        report: &mut DataTransferReport,
    ) -> Result<(), Error> {
        if stats.versions.iter().all(Option::is_none) {
            return Ok(());
        }
        recover::recover(self, ctx)?;
        let _hold = Hold::brief(ctx, self)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let mut changes = Changes::begin(self, OperationKind::Data, &format!("push to {remote}"));
        let stages: BTreeSet<&StageId> = sendings.outs.iter().map(|out| &out.stage).collect();
        for id in stages {
            let written = self.record_stage(ctx, &mut changes, (&view, id), &|entry| {
                let sent =
                    sendings.outs.iter().find(|out| out.stage == *id && out.out == entry.path);
                let is_same = |sent: &&Sending| {
                    entry.artifact.is_some_and(|now| now.same_content(&sent.artifact))
                };
                match sent.filter(is_same) {
                    Some(sent) => self.with_versions(remote, (sent, entry), &stats.versions),
                    None => Ok(None),
                }
            });
            match written {
                Ok(Recorded::Unchanged) => {}
                Ok(_) => report.recorded.push(id.clone()),
                Err(error) => {
                    recover::roll_back(self, ctx, changes.journal_path())?;
                    return Err(error);
                }
            }
        }
        changes.finish(ctx)?;
        Ok(())
    }

    /// Writes the record of one stage with other entries for its outputs.
    fn record_stage(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        (view, id): (&View, &StageId),
        renew: &dyn Fn(&LockEntry) -> Result<Option<LockEntry>, Error>,
    ) -> Result<Recorded, Error> {
        let stage = view.stages.iter().find(|stage| stage.id == *id);
        let (Some(stage), Some(lock)) = (stage, view.recorded(id)) else {
            return Ok(Recorded::Unchanged);
        };
        let mut lock = lock.clone();
        for entry in &mut lock.outs {
            if let Some(new) = renew(entry)? {
                *entry = new;
            }
        }
        if stage.is_data_source() {
            recorded::write_dvc_file(self, ctx, changes, stage, &lock)
        } else {
            recorded::write_lock(self, ctx, changes, stage, &lock)
        }
    }

    /// Returns the record of an output with the versions that it is on `remote`. What was not sent keeps what it had there.
    fn with_versions(
        &self,
        remote: &str,
        (sent, entry): (&Sending, &LockEntry),
        versions: &[Option<Version>],
    ) -> Result<Option<LockEntry>, Error> {
        let of = |at: usize| {
            let version = versions[at].clone()?;
            let remote = Some(remote.to_owned());
            Some(FileVersion { remote, id: version.id, etag: version.etag })
        };
        if !sent.artifact.id.is_tree() {
            let version = sent.files.first().and_then(|(_, at)| of(*at));
            return Ok(version.map(|version| entry.clone().with_version(Some(&version))));
        }
        let Some(tree) = self.recorded_tree(entry)? else { return Ok(None) };
        let now: BTreeMap<&str, usize> =
            sent.files.iter().map(|(path, at)| (path.as_str(), *at)).collect();
        let before = entry.files();
        let before: BTreeMap<&str, &RecordedFile> =
            before.iter().map(|file| (file.path.as_str(), file)).collect();
        let files = tree.entries().iter().map(|one| {
            let old = before.get(one.path.as_str());
            let mut file = old.map_or_else(|| self.unsent(one), |old| (*old).clone());
            file.is_exec = one.is_exec;
            file.size = file.size.or_else(|| self.stored_size(one.digest));
            if let Some(version) = now.get(one.path.as_str()).and_then(|at| of(*at)) {
                file.version = Some(version);
            }
            file
        });
        Ok(Some(entry.clone().with_files(files.collect())))
    }
}

impl Sendings {
    /// Returns what each file is called.
    fn names(&self) -> BTreeMap<usize, DataPiece> {
        let files = self.outs.iter().flat_map(|out| &out.files);
        files
            .map(|(_, at)| {
                let VersionedFile { key, id, .. } = &self.files[*at];
                (*at, DataPiece { revision: None, path: key.clone(), id: *id })
            })
            .collect()
    }
}

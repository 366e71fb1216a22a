//! Tracking data: store it, record it in a `.dvc` file, make Git ignore it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use exp_cache::{CacheError, Relink, Tree, TreeEntry};
use exp_core::{
    Artifact, Ctx, Location, LockEntry, ObjectId, Out, OutKind, Pipeline, Recorded, RelPath, Stage,
    StageId, StageLock, Table,
};

use super::DataError;
use crate::change::{Changes, Keep};
use crate::error::Error;
use crate::files::{self, FileError};
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::{IgnoreBelow, ignore_output};
use crate::project::Project;
use crate::sync::DataTransfer;
use crate::view::{Broken, View};
use crate::{recorded, recover};

/// What is to be tracked.
#[derive(Debug, Clone)]
pub struct AddRequest {
    /// Files and directories, absolute.
    pub targets: Vec<PathBuf>,
    /// Whether the content goes into the store; without, it is only recorded.
    pub commit: bool,
    /// Whether the workspace's files become links to the store.
    pub relink: Relink,
}

/// What is to be copied into the project and tracked there.
#[derive(Debug, Clone)]
pub struct AddCopyRequest {
    /// A file or directory, absolute; anywhere.
    pub source: PathBuf,
    /// Where it goes, absolute; into it, when that is a directory.
    pub to: PathBuf,
    /// Whether what is there already is replaced; undoing brings it back.
    pub replace: bool,
    /// Whether the workspace's files become links to the store.
    pub relink: Relink,
}

/// What is to be tracked here and kept on a remote only.
#[derive(Debug, Clone)]
pub struct AddToRemoteRequest {
    /// A file or directory, absolute; anywhere.
    pub source: PathBuf,
    /// Where it belongs, absolute; into it, when that is a directory. The workspace is left as it is there.
    pub to: PathBuf,
    /// Whether another file that is there already does not matter.
    pub force: bool,
    /// The remote; without, the default one.
    pub remote: Option<String>,
    /// How many objects are sent at once; without, a number that suits the remote.
    pub jobs: Option<NonZeroUsize>,
}

/// What was tracked.
#[derive(Debug, Clone, Default)]
pub struct AddReport {
    /// What was asked for, in that order, each once.
    pub added: Vec<Added>,
    /// The `.gitignore` files that were changed.
    pub ignore_files: Vec<RelPath>,
}

/// Data that is tracked now.
#[derive(Debug, Clone)]
pub struct Added {
    /// Its path; of a path inside tracked data, that path.
    pub path: RelPath,
    /// The `.dvc` file that records it.
    pub file: RelPath,
    /// What is recorded.
    pub artifact: Artifact,
    /// What became of the file.
    pub recorded: Recorded,
}

/// A target that was looked at.
struct Candidate {
    path: RelPath,
    /// The stage that records it, as it is or as it will be.
    stage: Stage,
    /// Its output there.
    out: usize,
    /// The record that is there.
    before: Option<StageLock>,
}

impl Project {
    /// Tracks files and directories. All of them are checked before the first is touched; on failure the files of the
    /// project are as they were.
    ///
    /// A path inside tracked data updates the record of that data for this path only. Adding again updates the record;
    /// notes in the `.dvc` file stay. With `commit` off, a directory inside tracked data is recorded with all of it.
    ///
    /// # Errors
    ///
    /// When a target is missing, outside, ignored, tracked by Git, a `.dvc` file, or overlaps with another output.
    pub fn add(&self, ctx: &Ctx<'_>, request: &AddRequest) -> Result<AddReport, Error> {
        recover::recover(self, ctx)?;
        let _hold = Hold::brief(ctx, self)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let candidates = self.look_at(&view, &request.targets, None)?;
        let subject: Vec<&str> = candidates.iter().map(|one| one.path.as_str()).collect();
        let changes =
            Changes::begin(self, OperationKind::Data, &format!("add {}", subject.join(" ")));
        self.add_all(ctx, changes, (&candidates, request))
    }

    /// Copies a file or directory into the project and tracks it there, as [`Project::add`] does. On failure everything is
    /// as it was.
    ///
    /// # Errors
    ///
    /// As for [`Project::add`], and [`Error::InTheWay`] when something is there that is not to be replaced.
    pub fn add_copy(&self, ctx: &Ctx<'_>, request: &AddCopyRequest) -> Result<AddReport, Error> {
        recover::recover(self, ctx)?;
        let source = &request.source;
        let is_dir = fs::metadata(source).map_err(FileError::at("read", source))?.is_dir();
        let name = source.file_name().unwrap_or_default();
        let to = if request.to.is_dir() { request.to.join(name) } else { request.to.clone() };
        let path = self.locate(&to)?;
        let full = path.under(self.root());
        let is_there = full.symlink_metadata().is_ok();
        if is_there && !request.replace {
            return Err(Error::InTheWay { paths: vec![path] });
        }
        if full.starts_with(source.canonicalize().map_err(FileError::at("read", source))?) {
            return Err(DataError::IntoItself { path: source.clone() }.into());
        }
        let _hold = Hold::brief(ctx, self)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let candidates = self.look_at(&view, std::slice::from_ref(&to), Some(is_dir))?;
        let mut changes = Changes::begin(self, OperationKind::Data, &format!("add {path}"));
        changes.touch(ctx, [(&path, Keep::Data)])?;
        if let Err(error) = files::remove_all(&full).and_then(|()| files::copy(source, &full)) {
            recover::roll_back(self, ctx, changes.journal_path())?;
            return Err(error.into());
        }
        let targets = vec![to];
        let request = AddRequest { targets, commit: true, relink: request.relink };
        self.add_all(ctx, changes, (&candidates, &request))
    }

    /// Sends a file or directory to a remote, without storing it here, and tracks it as if it were in the workspace. A
    /// later pull brings it there.
    ///
    /// # Errors
    ///
    /// As for [`Project::add_copy`]; as for [`Project::add_to_remote`], with the project as it was.
    pub fn track_on_remote(
        &self,
        ctx: &Ctx<'_>,
        request: &AddToRemoteRequest,
    ) -> Result<(AddReport, DataTransfer), Error> {
        recover::recover(self, ctx)?;
        let source =
            request.source.canonicalize().map_err(FileError::at("read", &request.source))?;
        let name = request.source.file_name().unwrap_or_default();
        let is_source = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path == source);
        let into = request.to.is_dir() && !is_source(&request.to);
        let to = if into { request.to.join(name) } else { request.to.clone() };
        let path = self.locate(&to)?;
        let full = path.under(self.root());
        if full.symlink_metadata().is_ok() && !is_source(&full) && !request.force {
            return Err(Error::InTheWay { paths: vec![path] });
        }
        let _hold = Hold::brief(ctx, self)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let candidates = self.look_at(&view, std::slice::from_ref(&to), Some(source.is_dir()))?;
        let [Candidate { stage, out, before, .. }] = &candidates[..] else {
            return Err(DataError::Absent { path }.into());
        };
        let out = &stage.outs[*out];
        if out.location.workspace() != Some(&path) {
            return Err(DataError::PipelineOutput { stage: stage.id.clone(), path }.into());
        }
        let remote = request.remote.as_deref();
        let filter = IgnoreBelow::new(self, &path);
        let sent = self.add_to_remote(ctx, (&source, &filter), remote, request.jobs)?;
        let (artifact, transfer) = sent;
        let mut changes = Changes::begin(self, OperationKind::Data, &format!("add {path}"));
        ignore_output(self, ctx, &mut changes, &path, artifact.id.is_tree())?;
        let mut lock = before.clone().unwrap_or_else(no_record);
        lock.outs.retain(|known| known.path != out.path);
        lock.outs.push(LockEntry::new(out.path.clone(), Some(artifact)));
        let recorded = recorded::write_dvc_file(self, ctx, &mut changes, stage, &lock)?;
        let ignore_files = ignore_files(&changes);
        changes.finish(ctx)?;
        let file = stage.id.file.clone();
        let added = vec![Added { path, file, artifact, recorded }];
        Ok((AddReport { added, ignore_files }, transfer))
    }

    fn add_all(
        &self,
        ctx: &Ctx<'_>,
        mut changes: Changes,
        (candidates, request): (&[Candidate], &AddRequest),
    ) -> Result<AddReport, Error> {
        let mut added = Vec::with_capacity(candidates.len());
        // Several targets may be parts of one output: each goes on from what the one before it recorded.
        let mut locks: BTreeMap<StageId, StageLock> = BTreeMap::new();
        for candidate in candidates {
            let id = &candidate.stage.id;
            let before = locks.remove(id).or_else(|| candidate.before.clone());
            let mut lock = before.unwrap_or_else(no_record);
            let one = self.add_one(ctx, &mut changes, (candidate, request), &mut lock);
            locks.insert(id.clone(), lock);
            match one {
                Ok(one) => added.push(one),
                Err(error) => {
                    recover::roll_back(self, ctx, changes.journal_path())?;
                    return Err(error);
                }
            }
        }
        let ignore_files = ignore_files(&changes);
        changes.finish(ctx)?;
        Ok(AddReport { added, ignore_files })
    }

    /// Checks targets. `coming` says of one that need not be there yet whether it will be a directory.
    fn look_at(
        &self,
        view: &View,
        targets: &[PathBuf],
        coming: Option<bool>,
    ) -> Result<Vec<Candidate>, Error> {
        let mut seen = BTreeSet::new();
        let mut candidates = Vec::new();
        let mut new: Vec<Stage> = Vec::new();
        for target in targets {
            let path = self.locate(target)?;
            if !seen.insert(path.clone()) {
                continue;
            }
            let full = path.under(self.root());
            let name = path.file_name().unwrap_or_default();
            if name == "dvc.yaml" || name.strip_suffix(".dvc").is_some() {
                return Err(DataError::DvcFile { path }.into());
            }
            if path.is_root() {
                return Err(DataError::Outside { path: full }.into());
            }
            let is_dir = match (coming, fs::symlink_metadata(&full)) {
                (Some(is_dir), _) => is_dir,
                (None, Ok(own)) => fs::metadata(&full).map_or(own.is_dir(), |found| found.is_dir()),
                (None, Err(_)) => return Err(DataError::Absent { path }.into()),
            };
            if let Some(rule) = self.ignore().is_ignored(&path, is_dir) {
                return Err(DataError::Ignored { rule: rule.to_string(), path }.into());
            }
            if self.git().is_tracked(&self.git_path(&path)?)? {
                return Err(Error::TrackedByGit { path });
            }
            if let Some(stage) = super::pipeline_stage_at(view, &path) {
                return Err(DataError::PipelineOutput { stage: stage.clone(), path }.into());
            }
            let candidate = if let Some(found) = super::find_out(view, &path) {
                let stage = view.stages[found.stage].clone();
                let before = view.recorded(&stage.id).cloned();
                Candidate { path, stage, out: found.out, before }
            } else {
                let stage = new_stage(&path)?;
                new.push(stage.clone());
                Candidate { path, stage, out: 0, before: None }
            };
            candidates.push(candidate);
        }
        if !new.is_empty() {
            let known = view.stages.iter().filter(|one| new.iter().all(|new| new.id != one.id));
            Pipeline::new(known.cloned().chain(new.iter().cloned()).collect::<Vec<_>>())?;
        }
        Ok(candidates)
    }

    fn add_one(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        (candidate, request): (&Candidate, &AddRequest),
        lock: &mut StageLock,
    ) -> Result<Added, Error> {
        let Candidate { path, stage, out, .. } = candidate;
        let out = &stage.outs[*out];
        let whole = out.location.workspace().unwrap_or(path);
        let old = lock.out(&out.path).and_then(|entry| entry.artifact);
        let artifact = match (path.strip_prefix(whole), old) {
            (Some(below), Some(old)) if !below.is_empty() && old.id.is_tree() => {
                self.take_part(ctx, (&old, whole, path), request)?
            }
            _ => self.take(ctx, whole, out.cache && request.commit, request.relink)?,
        };
        if out.cache {
            ignore_output(self, ctx, changes, whole, artifact.id.is_tree())?;
        }
        let entry = LockEntry::new(out.path.clone(), Some(artifact));
        match lock.outs.iter_mut().find(|known| known.path == entry.path) {
            Some(known) if known.artifact == entry.artifact => {}
            Some(known) => *known = self.renewed(known, artifact)?,
            None => lock.outs.push(entry),
        }
        let recorded = recorded::write_dvc_file(self, ctx, changes, stage, lock)?;
        Ok(Added { path: path.clone(), file: stage.id.file.clone(), artifact, recorded })
    }

    /// Stores or only digests what is at a path of the workspace.
    pub(super) fn take(
        &self,
        ctx: &Ctx<'_>,
        path: &RelPath,
        store: bool,
        relink: Relink,
    ) -> Result<Artifact, Error> {
        let full = path.under(self.root());
        let filter = IgnoreBelow::new(self, path);
        if store {
            return Ok(self.cache().add(ctx, &full, &filter, relink)?);
        }
        let found = self.cache().digest(ctx, &full, &filter)?;
        found.ok_or_else(|| DataError::Absent { path: path.clone() }.into())
    }

    /// Stores a part of a tracked directory; returns the directory with that part exchanged.
    fn take_part(
        &self,
        ctx: &Ctx<'_>,
        (old, whole, path): (&Artifact, &RelPath, &RelPath),
        request: &AddRequest,
    ) -> Result<Artifact, Error> {
        let cache = self.cache();
        let tree = match cache.read_tree(&old.id) {
            Err(CacheError::Missing { .. }) => {
                return Err(Error::MissingData { paths: vec![whole.clone()] });
            }
            read => read?,
        };
        let full = path.under(self.root());
        if !request.commit && full.is_dir() {
            return self.take(ctx, whole, false, request.relink);
        }
        let part = self.take(ctx, path, request.commit, request.relink)?;
        let below = path.strip_prefix(whole).unwrap_or_default();
        let inside = format!("{below}/");
        let mut entries: Vec<TreeEntry> = (tree.entries().iter())
            .filter(|entry| entry.path != below && !entry.path.starts_with(&inside))
            .cloned()
            .collect();
        if part.id.is_tree() {
            let part = cache.read_tree(&part.id)?;
            entries.extend(part.entries().iter().map(|entry| TreeEntry {
                path: format!("{inside}{}", entry.path),
                ..entry.clone()
            }));
        } else {
            entries.push(TreeEntry {
                path: below.to_owned(),
                digest: part.id.digest,
                is_exec: part.is_exec,
            });
        }
        let tree = Tree::new(tree.algorithm(), entries)
            .map_err(|source| CacheError::Unlistable { path: full, source })?;
        if request.commit {
            cache.add_tree(&tree)?;
        }
        let size_of = |entry: &TreeEntry| {
            let object = cache.object_path(&ObjectId::file(entry.digest));
            let at = whole.join(&entry.path).ok().map(|path| path.under(self.root()));
            let found = fs::metadata(object).or_else(|error| match at {
                Some(at) => fs::metadata(at),
                None => Err(error),
            });
            found.ok().map(|found| found.len())
        };
        Ok(Artifact {
            id: tree.id(),
            size: tree.entries().iter().map(size_of).sum(),
            n_files: Some(tree.entries().len() as u64),
            is_exec: false,
        })
    }
}

/// Returns the `.gitignore` files among what was changed, ordered.
fn ignore_files(changes: &Changes) -> Vec<RelPath> {
    let is_one = |path: &&RelPath| path.file_name() == Some(".gitignore");
    let mut files: Vec<RelPath> = changes.touched().iter().filter(is_one).cloned().collect();
    files.sort();
    files
}

fn no_record() -> StageLock {
    StageLock::empty()
}

/// Returns the stage of a `.dvc` file beside `path`.
pub(crate) fn new_stage(path: &RelPath) -> Result<Stage, Error> {
    let name = path.file_name().unwrap_or_default().to_owned();
    let dir = path.parent().unwrap_or_else(RelPath::root);
    let mut stage = Stage::new(StageId::data(dir.join(&format!("{name}.dvc"))?));
    stage.outs.push(Out {
        path: name,
        location: Location::Workspace(path.clone()),
        kind: OutKind::Data,
        cache: true,
        persist: false,
        push: true,
        remote: None,
        extra: Table::new(),
    });
    Ok(stage)
}

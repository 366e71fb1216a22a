//! Tracking data: store it, record it in a `.dvc` file, make Git ignore it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use exp_cache::{CacheError, Relink, Tree, TreeEntry};
use exp_core::{
    Artifact, Ctx, Location, LockEntry, ObjectId, Out, OutKind, Pipeline, Recorded, RelPath, Stage,
    StageId, StageLock, Table,
};

use super::DataError;
use crate::change::Changes;
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::{IgnoreBelow, ignore_output};
use crate::project::Project;
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
        let candidates = self.look_at(&view, &request.targets)?;
        let subject: Vec<&str> = candidates.iter().map(|one| one.path.as_str()).collect();
        let mut changes =
            Changes::begin(self, OperationKind::Data, &format!("add {}", subject.join(" ")));
        let mut added = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            match self.add_one(ctx, &mut changes, (candidate, request)) {
                Ok(one) => added.push(one),
                Err(error) => {
                    recover::roll_back(self, ctx, changes.journal_path())?;
                    return Err(error);
                }
            }
        }
        let mut ignore_files: Vec<RelPath> = changes
            .touched()
            .iter()
            .filter(|path| path.file_name() == Some(".gitignore"))
            .cloned()
            .collect();
        ignore_files.sort();
        changes.finish(ctx)?;
        Ok(AddReport { added, ignore_files })
    }

    fn look_at(&self, view: &View, targets: &[PathBuf]) -> Result<Vec<Candidate>, Error> {
        let mut seen = BTreeSet::new();
        let mut candidates = Vec::new();
        let mut new: Vec<Stage> = Vec::new();
        for target in targets {
            let path = self.locate(target)?;
            if !seen.insert(path.clone()) {
                continue;
            }
            let full = path.under(self.root());
            let is_dvc_file = full.extension().is_some_and(|extension| extension == "dvc");
            if is_dvc_file || path.file_name() == Some("dvc.yaml") {
                return Err(DataError::DvcFile { path }.into());
            }
            if path.is_root() {
                return Err(DataError::Outside { path: full }.into());
            }
            let Ok(metadata) = fs::symlink_metadata(&full) else {
                return Err(DataError::Absent { path }.into());
            };
            let is_dir = fs::metadata(&full).map_or(metadata.is_dir(), |found| found.is_dir());
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
            Pipeline::new(known.cloned().chain(new.iter().cloned()).collect())?;
        }
        Ok(candidates)
    }

    fn add_one(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        (candidate, request): (&Candidate, &AddRequest),
    ) -> Result<Added, Error> {
        let Candidate { path, stage, out, before } = candidate;
        let out = &stage.outs[*out];
        let whole = out.location.workspace().unwrap_or(path);
        let old =
            before.as_ref().and_then(|lock| lock.out(&out.path)).and_then(|entry| entry.artifact);
        let artifact = match (path.strip_prefix(whole), old) {
            (Some(below), Some(old)) if !below.is_empty() && old.id.is_tree() => {
                self.take_part(ctx, (&old, whole, path), request)?
            }
            _ => self.take(ctx, whole, out.cache && request.commit, request.relink)?,
        };
        if out.cache {
            ignore_output(self, ctx, changes, whole, artifact.id.is_tree())?;
        }
        let mut lock = before.clone().unwrap_or_else(no_record);
        let entry = LockEntry::new(out.path.clone(), Some(artifact));
        match lock.outs.iter_mut().find(|known| known.path == entry.path) {
            Some(known) if known.artifact == entry.artifact => {}
            Some(known) => *known = entry,
            None => lock.outs.push(entry),
        }
        let recorded = recorded::write_dvc_file(self, ctx, changes, stage, &lock)?;
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
                digest: entry.digest,
            }));
        } else {
            entries.push(TreeEntry { path: below.to_owned(), digest: part.id.digest });
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

fn no_record() -> StageLock {
    StageLock { cmd: None, deps: Vec::new(), params: Vec::new(), outs: Vec::new() }
}

/// Returns the stage of a `.dvc` file beside `path`.
fn new_stage(path: &RelPath) -> Result<Stage, Error> {
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

//! How data differs: the last commit, the files that record it, and what is there.
//!
//! Three states of the outputs that the store keeps are compared in pairs: what `HEAD` records with what the
//! workspace's files record, and that with the data itself.

use std::collections::BTreeSet;

use exp_core::{Ctx, ObjectId, RelPath};
use exp_refs::Untracked;

use super::DataError;
use super::state::{Met, State, outs, recorded, renamed, side_by_side};
use crate::error::Error;
use crate::project::Project;
use crate::source::TreeSource;
use crate::view::{Broken, View};

/// Whether the files of directories are told one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Granularity {
    /// A directory is one thing.
    #[default]
    Outputs,
    /// A directory, and each file in it.
    Files,
}

/// What is asked of the state of the data.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent questions")]
pub struct DataStatusRequest {
    /// Only these paths and what lies below them; empty for everything.
    pub paths: Vec<RelPath>,
    /// How far directories are looked into.
    pub granularity: Granularity,
    /// Whether files are listed that neither Git nor a `.dvc` file tracks.
    pub untracked: bool,
    /// Whether what is the same in all states is listed.
    pub unchanged: bool,
    /// Whether Git is asked for changes of its own.
    pub look_at_git: bool,
    /// Whether a path that nothing tracks is an error; one that is there is none where untracked files are listed.
    pub refuse_untracked: bool,
}

/// How two states of the data differ. All lists are ordered by path; directories end in `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataChanges {
    /// In both, with other content.
    pub modified: Vec<String>,
    /// Only in the newer one.
    pub added: Vec<String>,
    /// Old and new path of what is in each once, with the same content.
    pub renamed: Vec<(String, String)>,
    /// Only in the older one.
    pub deleted: Vec<String>,
    /// Files of directories of which the older state is not known in detail, because the store lacks its manifest.
    pub unknown: Vec<String>,
}

/// The state of the data. Paths are relative to the project's root and ordered; directories end in `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataStatus {
    /// Recorded in the workspace and not in the store.
    pub not_in_cache: Vec<String>,
    /// From `HEAD` to what the workspace's files record.
    pub committed: DataChanges,
    /// From what the workspace's files record to the data.
    pub uncommitted: DataChanges,
    /// Files that nothing tracks; empty unless asked for.
    pub untracked: Vec<String>,
    /// The same in all three states; empty unless asked for.
    pub unchanged: Vec<String>,
    /// Whether there is no commit yet; all that is recorded counts as added then.
    pub is_unborn: bool,
    /// Whether Git has changes of its own; false unless asked for.
    pub git_has_changes: bool,
}

impl DataChanges {
    /// Returns whether both states are the same.
    pub fn is_empty(&self) -> bool {
        self.modified.is_empty()
            && self.added.is_empty()
            && self.renamed.is_empty()
            && self.deleted.is_empty()
            && self.unknown.is_empty()
    }
}

impl DataStatus {
    /// Returns whether the data is as the last commit records it, and all of it in the store.
    pub fn is_clean(&self) -> bool {
        self.not_in_cache.is_empty() && self.committed.is_empty() && self.uncommitted.is_empty()
    }
}

impl Project {
    /// Compares data with its records. Nothing is changed.
    ///
    /// # Errors
    ///
    /// When a pipeline file of the workspace cannot be read, or the data cannot. A file of `HEAD` that is broken
    /// counts as not there. [`DataError::NothingTracked`] as far as that is asked for.
    pub fn data_status(
        &self,
        ctx: &Ctx<'_>,
        request: &DataStatusRequest,
    ) -> Result<DataStatus, Error> {
        let is_wanted = |path: &RelPath| {
            request.paths.is_empty()
                || request.paths.iter().any(|one| path.starts_with(one) || one.starts_with(path))
        };
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let (head, is_unborn) = self.recorded_in_head()?;
        let is_known = |path: &&RelPath| {
            self.is_tracked_data(&[&view, &head], path)
                || (request.untracked && path.under(self.root()).symlink_metadata().is_ok())
        };
        if request.refuse_untracked
            && let Some(path) = request.paths.iter().find(|path| !is_known(path))
        {
            return Err(DataError::NothingTracked { path: path.clone() }.into());
        }
        let mut old = recorded(self.cache(), &head, request.granularity);
        let mut now = recorded(self.cache(), &view, request.granularity);
        old.retain(|path, _| is_wanted(path));
        now.retain(|path, _| is_wanted(path));
        let mut status = DataStatus { is_unborn, ..DataStatus::default() };
        let mut present = State::new();
        for path in outs(&view).into_keys().filter(is_wanted) {
            if let Some(seen) =
                self.look_at_data(ctx, &path, now.get(&path), request.granularity)?
            {
                present.insert(path, seen);
            }
        }
        let mut kept = BTreeSet::new();
        status.committed = compare(&old, &now, request, &mut |met, id| {
            kept.insert(met.name(id));
        });
        let mut unchanged = Vec::new();
        let mut missing = Vec::new();
        status.uncommitted = compare(&now, &present, request, &mut |met, id| {
            let name = met.name(id);
            if kept.contains(&name) {
                unchanged.push(name);
            }
        });
        side_by_side(&now, &State::new(), &mut |met| {
            if let Some(id) = met.old
                && met.is_below(&request.paths)
                && !self.cache().contains(&id)
            {
                missing.push(met.name(id));
            }
        });
        missing.sort();
        unchanged.sort();
        status.unchanged = unchanged;
        status.not_in_cache = missing;
        let is_shown = |name: &String| {
            let path = RelPath::new(name);
            request.paths.is_empty()
                || path.is_ok_and(|path| request.paths.iter().any(|one| path.starts_with(one)))
        };
        if request.look_at_git || request.untracked {
            let untracked = if request.untracked { Untracked::List } else { Untracked::Leave };
            let entries = self.git().status(untracked)?;
            status.git_has_changes = !entries.is_empty();
            let untracked = entries.iter().filter(|entry| request.untracked && entry.is_untracked);
            status.untracked = untracked
                .filter_map(|entry| self.from_git_path(&entry.path))
                .map(|path| path.as_str().to_owned())
                .filter(is_shown)
                .collect();
        }
        Ok(status)
    }

    /// Returns what the files of `HEAD` record, and whether there is no commit.
    fn recorded_in_head(&self) -> Result<(View, bool), Error> {
        let Some(commit) = self.git().head()?.commit else { return Ok((View::default(), true)) };
        let reader = self.git().reader();
        let tree = reader.tree_of(commit)?.id();
        let source = TreeSource::new(&reader, tree, self.prefix().clone());
        Ok((View::load(&source, self.root(), Broken::Note)?, false))
    }
}

/// Returns what differs, and tells what is the same if that is asked for.
fn compare(
    old: &State,
    new: &State,
    request: &DataStatusRequest,
    same: &mut dyn FnMut(Met<'_>, ObjectId),
) -> DataChanges {
    let mut changes = DataChanges::default();
    let (mut added, mut deleted) = (Vec::new(), Vec::new());
    side_by_side(old, new, &mut |met| {
        if !met.is_below(&request.paths) {
            return;
        }
        match (met.old, met.new) {
            (_, Some(id)) if met.is_unknown => changes.unknown.push(met.name(id)),
            _ if met.is_unknown => {}
            (None, Some(id)) => added.push((met.name(id), id)),
            (Some(id), None) => deleted.push((met.name(id), id)),
            (Some(_), Some(new)) if met.differs() => changes.modified.push(met.name(new)),
            (Some(_), Some(id)) if request.unchanged => same(met, id),
            _ => {}
        }
    });
    added.sort();
    deleted.sort();
    let pairs = renamed(&mut added, &mut deleted);
    changes.renamed = pairs.into_iter().map(|(old, new, _)| (old, new)).collect();
    changes.added = added.into_iter().map(|(path, _)| path).collect();
    changes.deleted = deleted.into_iter().map(|(path, _)| path).collect();
    changes.modified.sort();
    changes.unknown.sort();
    changes
}

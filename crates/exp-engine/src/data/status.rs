//! How data differs: the last commit, the files that record it, and what is there.
//!
//! Three states of the outputs that the store keeps are compared in pairs: what `HEAD` records with what the
//! workspace's files record, and that with the data itself.

use std::collections::{BTreeMap, BTreeSet};

use exp_cache::Tree;
use exp_core::{Artifact, Ctx, ObjectId, RelPath};
use exp_refs::Untracked;

use crate::error::Error;
use crate::ports::IgnoreBelow;
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
pub struct DataStatusRequest {
    /// Only these paths and what lies below them; empty for everything.
    pub paths: Vec<RelPath>,
    /// How far directories are looked into.
    pub granularity: Granularity,
    /// Whether files are listed that neither Git nor a `.dvc` file tracks.
    pub untracked: bool,
    /// Whether Git is asked for changes of its own.
    pub look_at_git: bool,
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
    /// The same in all three states.
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
    }
}

/// An output in one state.
#[derive(Debug, Clone)]
struct Seen {
    artifact: Artifact,
    /// The files of a directory, when they are asked for and known.
    tree: Option<Tree>,
}

type State = BTreeMap<RelPath, Seen>;

/// Digests by path, as they are shown.
type Flat = BTreeMap<String, ObjectId>;

impl Project {
    /// Compares data with its records. Nothing is changed.
    ///
    /// # Errors
    ///
    /// When a pipeline file of the workspace cannot be read, or the data cannot. A file of `HEAD` that is broken
    /// counts as not there.
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
        let mut old = self.state_of(&head, request.granularity);
        let mut recorded = self.state_of(&view, request.granularity);
        old.retain(|path, _| is_wanted(path));
        recorded.retain(|path, _| is_wanted(path));
        let mut status = DataStatus { is_unborn, ..DataStatus::default() };
        let mut present = State::new();
        for path in outs(&view).into_keys().filter(is_wanted) {
            if let Some(seen) =
                self.look_at_data(ctx, &path, recorded.get(&path), request.granularity)?
            {
                present.insert(path, seen);
            }
        }
        for (path, seen) in &recorded {
            if !self.cache().contains(&seen.artifact.id) {
                status.not_in_cache.push(shown(path, &seen.artifact));
            }
            for (name, id) in members(path, seen) {
                if !self.cache().contains(&id) {
                    status.not_in_cache.push(name);
                }
            }
        }
        let is_shown = |name: &String| {
            let path = RelPath::new(name);
            request.paths.is_empty()
                || path.is_ok_and(|path| request.paths.iter().any(|one| path.starts_with(one)))
        };
        let (committed, kept) = compare(&old, &recorded, &is_shown);
        let (uncommitted, same) = compare(&recorded, &present, &is_shown);
        status.committed = committed;
        status.uncommitted = uncommitted;
        status.unchanged = kept.intersection(&same).cloned().collect();
        status.not_in_cache.retain(is_shown);
        status.not_in_cache.sort();
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

    fn state_of(&self, view: &View, granularity: Granularity) -> State {
        let mut state = State::new();
        for (path, artifact) in outs(view) {
            let Some(artifact) = artifact else { continue };
            let wants_tree = granularity == Granularity::Files && artifact.id.is_tree();
            // A manifest that is not there or damaged leaves the files unknown.
            let tree = if wants_tree { self.cache().read_tree(&artifact.id).ok() } else { None };
            state.insert(path, Seen { artifact, tree });
        }
        state
    }

    fn look_at_data(
        &self,
        ctx: &Ctx<'_>,
        path: &RelPath,
        recorded: Option<&Seen>,
        granularity: Granularity,
    ) -> Result<Option<Seen>, Error> {
        let algorithm =
            recorded.map_or(self.algorithm(), |seen| seen.artifact.id.digest.algorithm());
        let filter = IgnoreBelow::new(self, path);
        let full = path.under(self.root());
        let found = self.cache().digest_tree_as(ctx, algorithm, &full, &filter)?;
        let tree_of = |tree| if granularity == Granularity::Files { tree } else { None };
        Ok(found.map(|(artifact, tree)| Seen { artifact, tree: tree_of(tree) }))
    }
}

/// Returns the outputs that the store keeps, with what is recorded of them.
fn outs(view: &View) -> BTreeMap<RelPath, Option<Artifact>> {
    let mut outs = BTreeMap::new();
    for stage in &view.stages {
        let lock = view.recorded(&stage.id);
        for out in stage.outs.iter().filter(|out| out.cache) {
            if let Some(path) = out.location.workspace() {
                let artifact =
                    lock.and_then(|lock| lock.out(&out.path)).and_then(|entry| entry.artifact);
                outs.insert(path.clone(), artifact);
            }
        }
    }
    outs
}

fn shown(path: &RelPath, artifact: &Artifact) -> String {
    let slash = if artifact.id.is_tree() { "/" } else { "" };
    format!("{}{slash}", path.as_str())
}

fn members(path: &RelPath, seen: &Seen) -> Vec<(String, ObjectId)> {
    let entries = seen.tree.iter().flat_map(Tree::entries);
    let named = entries
        .map(|entry| (format!("{}/{}", path.as_str(), entry.path), ObjectId::file(entry.digest)));
    named.collect()
}

/// Lists an output and its files, as far as they are known on the other side too.
fn flatten(path: &RelPath, seen: Option<&Seen>, other: Option<&Seen>) -> Flat {
    let Some(seen) = seen else { return Flat::new() };
    let mut flat = Flat::from([(shown(path, &seen.artifact), seen.artifact.id)]);
    let is_known = |one: &Seen| !one.artifact.id.is_tree() || one.tree.is_some();
    if other.is_none_or(is_known) {
        flat.extend(members(path, seen));
    }
    flat
}

/// Returns what differs, and the paths that are the same.
fn compare(
    old: &State,
    new: &State,
    is_shown: &dyn Fn(&String) -> bool,
) -> (DataChanges, BTreeSet<String>) {
    let mut changes = DataChanges::default();
    let mut same = BTreeSet::new();
    let (mut added, mut deleted) = (Flat::new(), Flat::new());
    let paths: BTreeSet<&RelPath> = old.keys().chain(new.keys()).collect();
    for path in paths {
        let (before, after) = (old.get(path), new.get(path));
        let (mut was, mut is) = (flatten(path, before, after), flatten(path, after, before));
        was.retain(|name, _| is_shown(name));
        is.retain(|name, _| is_shown(name));
        for (name, id) in &is {
            match was.remove(name) {
                None => drop(added.insert(name.clone(), *id)),
                Some(old) if old == *id => drop(same.insert(name.clone())),
                Some(_) => changes.modified.push(name.clone()),
            }
        }
        deleted.extend(was);
    }
    for (name, id) in added {
        let from = deleted.iter().find(|(_, old)| **old == id).map(|(old, _)| old.clone());
        match from {
            Some(from) => {
                deleted.remove(&from);
                changes.renamed.push((from, name));
            }
            None => changes.added.push(name),
        }
    }
    changes.deleted = deleted.into_keys().collect();
    changes.modified.sort();
    (changes, same)
}

//! Which objects a transfer is about, and what they are called.

use std::collections::{BTreeMap, BTreeSet};

use exp_cache::{CacheError, Wanted};
use exp_core::{LockEntry, ObjectId, OutKind, Stage, StageLock};
use exp_refs::CommitId;

use super::super::{DataError, DataScope, pick};
use super::{DataPiece, DataTransferRequest};
use crate::error::Error;
use crate::project::Project;
use crate::source::TreeSource;
use crate::versions::VersionMap;
use crate::view::{Broken, View};

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the remote.
    Send,
    /// From the remote.
    Receive,
}

/// One output, or a part of one, that is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct DataWant {
    /// The remote that the output names.
    remote: Option<String>,
    id: ObjectId,
    /// What of a directory is meant, when that is not the whole.
    below: Option<String>,
}

/// The data that is meant, each thing with the places that record it.
#[derive(Debug, Default)]
pub(super) struct DataWants {
    /// Of the places with one path, which several revisions may have, only the first.
    all: BTreeMap<DataWant, Vec<DataPiece>>,
    sizes: BTreeMap<ObjectId, u64>,
    /// Where remotes that keep versions have it.
    pub(super) versions: VersionMap,
    pub(super) unreadable: Vec<(String, Error)>,
}

impl DataWants {
    /// Reads what the workspace and the revisions record.
    pub(super) fn of(
        project: &Project,
        request: &DataTransferRequest,
        direction: Direction,
    ) -> Result<Self, Error> {
        let mut wants = Self::default();
        let revisions = revisions(project, request)?;
        let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
        let mut unknown = wants.read(&view, None, (request, direction)).err();
        match unknown {
            // Another revision may have it.
            None
            | Some(Error::Data(DataError::UnknownTarget { .. } | DataError::NoMatch { .. }))
                if !revisions.is_empty() => {}
            None => {}
            Some(error) => return Err(error),
        }
        let reader = project.git().reader();
        let mut seen = BTreeSet::new();
        for (commit, name) in revisions {
            let tree = reader.tree_of(commit)?.id();
            if !seen.insert(tree) {
                continue;
            }
            let source = TreeSource::new(&reader, tree, project.prefix().clone());
            let mut view = match View::load(&source, project.root(), Broken::Note) {
                Ok(view) => view,
                Err(error) => {
                    wants.unreadable.push((name, error));
                    continue;
                }
            };
            for (_, error) in view.broken.drain(..) {
                wants.unreadable.push((name.clone(), error));
            }
            match wants.read(&view, Some(&name), (request, direction)) {
                Ok(()) => unknown = None,
                Err(Error::Data(_)) => {}
                Err(error) => wants.unreadable.push((name, error)),
            }
        }
        match unknown {
            Some(error) => Err(error),
            None => Ok(wants),
        }
    }

    fn read(
        &mut self,
        view: &View,
        revision: Option<&String>,
        (request, direction): (&DataTransferRequest, Direction),
    ) -> Result<(), Error> {
        let scope =
            if request.glob { expand(view, &request.scope)? } else { request.scope.clone() };
        for picked in pick(view, &scope)? {
            let stage = &view.stages[picked.stage];
            let out = &stage.outs[picked.out];
            let Some(lock) = view.recorded(&stage.id) else { continue };
            let (true, Some(path)) = (out.cache, out.location.workspace()) else { continue };
            // What was imported from another repository is fetched from there.
            let is_imported = lock.deps.iter().any(|dep| dep.extra.contains_key("repo"));
            // So is what was imported by version, which is never sent.
            let is_imported = is_imported || (is_pinned(stage, lock) && !out.push);
            let is_kept_here = direction == Direction::Send && !out.push;
            let is_other_kind = !request.kinds.is_empty() && !is_of(&request.kinds, out.kind);
            if is_imported || is_kept_here || is_other_kind {
                continue;
            }
            let Some(entry) = lock.out(&out.path) else { continue };
            let Some(artifact) = entry.artifact else { continue };
            self.versions.note(path, entry)?;
            if let (Some(most), Some(size)) = (request.max_size, artifact.size)
                && size >= most
            {
                continue;
            }
            self.sizes.extend(artifact.size.map(|size| (artifact.id, size)));
            let below = picked.below.map(|below| below.as_str().to_owned());
            let want = DataWant { remote: out.remote.clone(), id: artifact.id, below };
            let piece =
                DataPiece { revision: revision.cloned(), path: path.clone(), id: artifact.id };
            let places = self.all.entry(want).or_default();
            if places.iter().all(|one| one.path != piece.path) {
                places.push(piece);
            }
        }
        Ok(())
    }

    /// Parts what is meant by the remote it belongs to; `None` for what has none.
    pub(super) fn by_remote(
        &self,
        project: &Project,
        asked: Option<&str>,
    ) -> BTreeMap<Option<String>, Wanted> {
        let default = project.config().default_remote();
        let mut parts: BTreeMap<Option<String>, Wanted> = BTreeMap::new();
        for want in self.all.keys() {
            let name = asked.map(str::to_owned).or_else(|| want.remote.clone());
            let wanted = parts.entry(name.or_else(|| default.clone())).or_default();
            if let Some(size) = self.sizes.get(&want.id) {
                wanted.expect(want.id, *size);
            }
            match &want.below {
                Some(below) => wanted.add_part(want.id, below),
                None => wanted.add(want.id),
            }
        }
        parts
    }

    /// Names objects by their first places: outputs, and files in directories whose manifest is in the store.
    pub(super) fn name(&self, project: &Project, ids: &[ObjectId]) -> Vec<DataPiece> {
        let mut wanted: BTreeSet<ObjectId> = ids.iter().copied().collect();
        let mut named = Vec::new();
        for piece in self.all.values().filter_map(|places| places.first()) {
            if wanted.is_empty() {
                break;
            }
            if wanted.remove(&piece.id) {
                named.push(piece.clone());
            }
            if !piece.id.is_tree() {
                continue;
            }
            let Ok(tree) = project.cache().read_tree(&piece.id) else { continue };
            for entry in tree.entries() {
                let id = ObjectId::file(entry.digest);
                if wanted.remove(&id)
                    && let Ok(path) = piece.path.join(&entry.path)
                {
                    named.push(DataPiece { path, id, revision: piece.revision.clone() });
                }
            }
        }
        named.sort();
        named
    }

    /// Returns every place that is meant: the output's path and object, and the part of it.
    pub(super) fn places(&self) -> impl Iterator<Item = (&DataPiece, Option<&str>)> {
        self.all
            .iter()
            .flat_map(|(want, places)| places.iter().map(|piece| (piece, want.below.as_deref())))
    }
}

/// Returns what of `wanted` the store lacks.
pub(super) fn absent(project: &Project, wanted: &Wanted) -> Result<Vec<ObjectId>, Error> {
    let cache = project.cache();
    let mut absent = BTreeSet::new();
    for id in wanted.roots() {
        if !id.is_tree() {
            absent.extend((!cache.contains(&id)).then_some(id));
            continue;
        }
        match cache.read_tree(&id) {
            Ok(tree) => {
                let members = wanted.members(&id, &tree);
                absent.extend(members.into_iter().filter(|id| !cache.contains(id)));
            }
            Err(CacheError::Missing { .. }) => drop(absent.insert(id)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(absent.into_iter().collect())
}

/// Returns the commits that are meant, each with a name for people, in the order in which they are looked at.
fn revisions(
    project: &Project,
    request: &DataTransferRequest,
) -> Result<Vec<(CommitId, String)>, Error> {
    let wanted = request.revisions;
    let mut found = Vec::new();
    if wanted.branches {
        let all = project.git().branches()?;
        found.extend(all.into_iter().map(|one| (one.commit, one.name)));
    }
    if wanted.tags {
        let all = project.git().tags()?;
        found.extend(all.into_iter().map(|one| (one.commit, one.name)));
    }
    if wanted.commits {
        let all = project.git().history()?;
        found.extend(all.into_iter().map(|one| (one, one.short(7))));
    }
    if wanted.experiments {
        let all = project.experiments().list()?;
        found.extend(all.into_iter().map(|one| (one.commit, one.name.to_string())));
    }
    let mut seen = BTreeSet::new();
    found.retain(|(commit, _)| seen.insert(*commit));
    Ok(found)
}

/// Returns what the targets mean in the workspace.
pub(super) fn scope(project: &Project, request: &DataTransferRequest) -> Result<DataScope, Error> {
    if !request.glob {
        return Ok(request.scope.clone());
    }
    let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
    expand(&view, &request.scope)
}

/// Returns whether a `.dvc` file says which versions of its source it has.
fn is_pinned(stage: &Stage, lock: &StageLock) -> bool {
    let has_versions =
        |dep: &LockEntry| dep.extra.contains_key("version_id") || dep.extra.contains_key("files");
    stage.is_data_source() && lock.deps.iter().any(has_versions)
}

pub(super) fn is_of(kinds: &[OutKind], kind: OutKind) -> bool {
    kinds.contains(&kind)
}

/// Replaces patterns by the outputs, `.dvc` files and stages that they match: some of them have to match something.
pub(super) fn expand(view: &View, scope: &DataScope) -> Result<DataScope, Error> {
    let mut targets = Vec::new();
    for text in &scope.targets {
        let Ok(pattern) = scope.cwd.join(text) else { continue };
        let pattern: Vec<&str> = pattern.parts().collect();
        for stage in view.stages.iter() {
            let outs = stage.outs.iter().filter_map(|out| out.location.workspace());
            let files = std::iter::once(&stage.id.file).filter(|_| stage.is_data_source());
            for path in outs.chain(files) {
                let parts: Vec<&str> = path.parts().collect();
                if matches_path(&pattern, &parts) {
                    targets.push(path.relative_to(&scope.cwd));
                }
            }
        }
    }
    if targets.is_empty() && !scope.targets.is_empty() {
        return Err(DataError::NoMatch { patterns: scope.targets.clone() }.into());
    }
    Ok(DataScope { targets, ..scope.clone() })
}

fn matches_path(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|n| matches_path(rest, &path[n..])),
        ([first, rest @ ..], [name, below @ ..]) => {
            exp_core::matches_pattern(first, name) && matches_path(rest, below)
        }
        _ => false,
    }
}

//! How the data of two revisions differs, or of a revision and the workspace.

use exp_core::{Artifact, Ctx, ObjectId, RelPath};

use super::state::{Seen, State, outs, recorded, renamed, side_by_side};
use super::{DataError, DataScope, Granularity, pick};
use crate::difference::Side;
use crate::error::Error;
use crate::manifests;
use crate::project::Project;
use crate::source::TreeSource;
use crate::view::{Broken, View};

/// Which data is compared.
#[derive(Debug, Clone)]
pub struct DataDiffRequest {
    /// The older side.
    pub old: Side,
    /// The newer side.
    pub new: Side,
    /// What of it, as someone writes it who stands where the scope says; everything without targets.
    pub scope: DataScope,
}

/// Something that differs. Paths are relative to the project's root; directories end in `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataDiffEntry {
    /// Where it is, or was.
    pub path: String,
    /// Where it is now, when that is another place.
    pub new_path: Option<String>,
    /// What it was; `None` when it was not there, or was never recorded.
    pub old: Option<ObjectId>,
    /// What it is; `None` when it is gone.
    pub new: Option<ObjectId>,
}

/// How data differs. All lists are ordered by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataDiff {
    /// Only on the newer side.
    pub added: Vec<DataDiffEntry>,
    /// Only on the older side.
    pub deleted: Vec<DataDiffEntry>,
    /// On both sides, with other content or, in a directory that keeps it, another executable bit.
    pub modified: Vec<DataDiffEntry>,
    /// The same content at another path.
    pub renamed: Vec<DataDiffEntry>,
    /// Recorded on the older side and not in the store; always empty unless the newer side is the workspace.
    pub not_in_cache: Vec<DataDiffEntry>,
}

impl DataDiff {
    /// Returns whether both sides are the same, and everything is in the store.
    pub fn is_empty(&self) -> bool {
        [&self.added, &self.deleted, &self.modified, &self.renamed, &self.not_in_cache]
            .iter()
            .all(|list| list.is_empty())
    }
}

/// One side: what it declares, and what is there.
struct Half {
    view: View,
    state: State,
}

impl Project {
    /// Compares data. Nothing is changed; of the workspace, the files themselves count, not what is recorded of them.
    ///
    /// # Errors
    ///
    /// When a target is on neither side, a pipeline file of the workspace cannot be read, or the data cannot. A file of
    /// a commit that is broken counts as not there.
    pub fn data_diff(&self, ctx: &Ctx<'_>, request: &DataDiffRequest) -> Result<DataDiff, Error> {
        let mut diff = DataDiff::default();
        if request.old == request.new {
            return Ok(diff);
        }
        let view = |side: &Side| -> Result<View, Error> {
            match side {
                Side::Workspace => View::load(&self.workspace(), self.root(), Broken::Fail),
                Side::Commit(commit) => {
                    let reader = self.git().reader();
                    let tree = reader.tree_of(*commit)?.id();
                    let source = TreeSource::new(&reader, tree, self.prefix().clone());
                    View::load(&source, self.root(), Broken::Note)
                }
            }
        };
        let (old, new) = (view(&request.old)?, view(&request.new)?);
        let wanted = wanted([&old, &new], &request.scope)?;
        let old = self.half(ctx, (old, &request.old), &wanted, None)?;
        let new = self.half(ctx, (new, &request.new), &wanted, Some(&old.state))?;
        let is_missing =
            |id: &ObjectId| request.new == Side::Workspace && !self.cache().contains(id);
        let unrecorded = |half: &Half, path: &RelPath| {
            !half.state.contains_key(path) && outs(&half.view).get(path) == Some(&None)
        };
        let (mut added, mut deleted) = (Vec::new(), Vec::new());
        let entry = |path: String, old, new| DataDiffEntry { path, new_path: None, old, new };
        side_by_side(&old.state, &new.state, &mut |met| {
            if !met.is_below(&wanted) {
                return;
            }
            if let Some(id) = met.old
                && is_missing(&id)
            {
                diff.not_in_cache.push(entry(met.name(id), met.old, None));
            }
            match (met.old, met.new) {
                _ if met.is_unknown => {}
                (Some(old), Some(_)) if met.differs() => {
                    diff.modified.push(entry(met.name(old), met.old, met.new));
                }
                (None, Some(id)) if met.below.is_none() && unrecorded(&old, met.out) => {
                    diff.modified.push(entry(met.name(id), None, met.new));
                }
                (None, Some(id)) => added.push((met.name(id), id)),
                (Some(id), None) => deleted.push((met.name(id), id)),
                _ => {}
            }
        });
        let renames = renamed(&mut added, &mut deleted);
        diff.renamed.extend(renames.into_iter().map(|(old, new, id)| DataDiffEntry {
            path: old,
            new_path: Some(new),
            old: Some(id),
            new: Some(id),
        }));
        diff.added.extend(added.into_iter().map(|(path, id)| entry(path, None, Some(id))));
        diff.deleted.extend(deleted.into_iter().map(|(path, id)| entry(path, Some(id), None)));
        for list in [
            &mut diff.added,
            &mut diff.deleted,
            &mut diff.modified,
            &mut diff.renamed,
            &mut diff.not_in_cache,
        ] {
            list.sort();
        }
        Ok(diff)
    }

    /// Returns which files of the directory at `path` differ from those of `was`, ordered by path and relative to the
    /// root; empty when the files of `was` are not known.
    pub(crate) fn directory_diff(
        &self,
        ctx: &Ctx<'_>,
        path: &RelPath,
        was: &Artifact,
    ) -> Result<Vec<DataDiffEntry>, Error> {
        let Some(tree) = manifests::read(self, &was.id) else { return Ok(Vec::new()) };
        let before = Seen { artifact: *was, tree: Some(tree) };
        let found = self.look_at_data(ctx, path, Some(&before), Granularity::Files)?;
        let state = |seen: Option<Seen>| -> State {
            seen.into_iter().map(|seen| (path.clone(), seen)).collect()
        };
        let mut entries = Vec::new();
        side_by_side(&state(Some(before)), &state(found), &mut |met| {
            if let (Some(below), true) = (met.below, met.differs()) {
                let path = format!("{path}/{below}");
                let (old, new) = (met.old, met.new);
                entries.push(DataDiffEntry { path, new_path: None, old, new });
            }
        });
        Ok(entries)
    }

    fn half(
        &self,
        ctx: &Ctx<'_>,
        (view, side): (View, &Side),
        wanted: &[RelPath],
        other: Option<&State>,
    ) -> Result<Half, Error> {
        let is_wanted = |path: &RelPath| {
            wanted.is_empty()
                || wanted.iter().any(|one| path.starts_with(one) || one.starts_with(path))
        };
        let mut state = recorded(self.cache(), &view, Granularity::Files);
        state.retain(|path, _| is_wanted(path));
        if *side == Side::Workspace {
            let known = std::mem::take(&mut state);
            for path in outs(&view).into_keys().filter(is_wanted) {
                let like = known.get(&path).or_else(|| other?.get(&path));
                if let Some(seen) = self.look_at_data(ctx, &path, like, Granularity::Files)? {
                    state.insert(path, seen);
                }
            }
        }
        Ok(Half { view, state })
    }
}

/// Finds the paths that are meant on either side.
fn wanted(views: [&View; 2], scope: &DataScope) -> Result<Vec<RelPath>, Error> {
    let mut wanted = Vec::new();
    for text in &scope.targets {
        let one = DataScope { targets: vec![text.clone()], ..scope.clone() };
        let found = views.map(|view| pick(view, &one).map(|picked| (view, picked)));
        if found.iter().all(Result::is_err) {
            let path = scope.cwd.join(text)?;
            return Err(DataError::Absent { path }.into());
        }
        for (view, picked) in found.into_iter().flatten() {
            for one in picked {
                let out = view.stages[one.stage].outs[one.out].location.workspace();
                let Some(out) = out else { continue };
                wanted.push(match one.below {
                    Some(below) => out.join(below.as_str())?,
                    None => out.clone(),
                });
            }
        }
    }
    Ok(wanted)
}

//! What the outputs of the store hold at one moment, and going through two such moments side by side.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};

use exp_cache::{Cache, Tree, TreeEntry};
use exp_core::{Artifact, Ctx, ObjectId, RelPath};

use super::Granularity;
use crate::error::Error;
use crate::ports::IgnoreBelow;
use crate::project::Project;
use crate::view::View;

/// An output in one state.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub artifact: Artifact,
    /// The files of a directory, when they are asked for and known.
    pub tree: Option<Tree>,
}

pub(super) type State = BTreeMap<RelPath, Seen>;

/// An output or a file of it, in two states.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met<'s> {
    /// The output.
    pub out: &'s RelPath,
    /// The file of it, if it is one.
    pub below: Option<&'s str>,
    /// What the first state has there.
    pub old: Option<ObjectId>,
    /// What the second state has there.
    pub new: Option<ObjectId>,
    /// Whether it is a file of a directory that is executable in one of the states only.
    pub is_exec_changed: bool,
    /// Whether one of the states does not know the files of the directory.
    pub is_unknown: bool,
}

impl Met<'_> {
    /// Returns the path as it is shown: a directory ends in `/`.
    pub(super) fn name(&self, id: ObjectId) -> String {
        match self.below {
            Some(below) => format!("{}/{below}", self.out.as_str()),
            None if id.is_tree() => format!("{}/", self.out.as_str()),
            None => self.out.as_str().to_owned(),
        }
    }

    /// Returns whether the states differ here.
    pub(super) fn differs(&self) -> bool {
        self.old != self.new || self.is_exec_changed
    }

    /// Returns whether it is one of `paths` or lies below one; always when there are none.
    pub(super) fn is_below(&self, paths: &[RelPath]) -> bool {
        if paths.is_empty() || paths.iter().any(|path| self.out.starts_with(path)) {
            return true;
        }
        let Some(below) = self.below else { return false };
        paths.iter().filter_map(|path| path.strip_prefix(self.out)).any(|inside| {
            below.strip_prefix(inside).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Goes through all outputs of two states and their files, ordered by path.
pub(super) fn side_by_side(old: &State, new: &State, met: &mut dyn FnMut(Met<'_>)) {
    let mut paths: Vec<&RelPath> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    for out in paths {
        let (before, after) = (old.get(out), new.get(out));
        let id = |seen: Option<&Seen>| seen.map(|seen| seen.artifact.id);
        let (old, new) = (id(before), id(after));
        met(Met { out, below: None, old, new, is_exec_changed: false, is_unknown: false });
        let is_unknown = [before, after]
            .iter()
            .flatten()
            .any(|one| one.artifact.id.is_tree() && one.tree.is_none());
        let (mut left, mut right) = (entries(before), entries(after));
        loop {
            let order = match (left.first(), right.first()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.path.cmp(&b.path),
            };
            let a = if order == Ordering::Greater { None } else { next(&mut left) };
            let b = if order == Ordering::Less { None } else { next(&mut right) };
            let below = a.or(b).map(|entry| entry.path.as_str());
            let id = |entry: Option<&TreeEntry>| entry.map(|entry| ObjectId::file(entry.digest));
            let is_exec_changed = a.zip(b).is_some_and(|(a, b)| a.is_exec != b.is_exec);
            met(Met { out, below, old: id(a), new: id(b), is_exec_changed, is_unknown });
        }
    }
}

fn entries(seen: Option<&Seen>) -> &[TreeEntry] {
    seen.and_then(|seen| seen.tree.as_ref()).map(Tree::entries).unwrap_or_default()
}

fn next<'e>(entries: &mut &'e [TreeEntry]) -> Option<&'e TreeEntry> {
    let (first, rest) = entries.split_first()?;
    *entries = rest;
    Some(first)
}

/// Finds what was renamed: each addition with the same content as a deletion takes the first such deletion. What is left
/// stays in the lists, in order.
pub(super) fn renamed(
    added: &mut Vec<(String, ObjectId)>,
    deleted: &mut Vec<(String, ObjectId)>,
) -> Vec<(String, String, ObjectId)> {
    let mut gone: HashMap<ObjectId, VecDeque<usize>> = HashMap::new();
    for (at, (_, id)) in deleted.iter().enumerate() {
        gone.entry(*id).or_default().push_back(at);
    }
    let (mut found, mut left) = (Vec::new(), Vec::new());
    let mut is_used = vec![false; deleted.len()];
    for (new, id) in added.drain(..) {
        match gone.get_mut(&id).and_then(VecDeque::pop_front) {
            Some(at) => {
                is_used[at] = true;
                found.push((deleted[at].0.clone(), new, id));
            }
            None => left.push((new, id)),
        }
    }
    *added = left;
    let mut used = is_used.into_iter();
    deleted.retain(|_| !used.next().unwrap_or_default());
    found
}

/// Returns the outputs that the store keeps, with what is recorded of them.
pub(super) fn outs(view: &View) -> BTreeMap<RelPath, Option<Artifact>> {
    let mut outs = BTreeMap::new();
    for stage in view.stages.iter() {
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

/// Returns what is recorded of the outputs.
pub(super) fn recorded(cache: &Cache, view: &View, granularity: Granularity) -> State {
    let mut state = State::new();
    for (path, artifact) in outs(view) {
        let Some(artifact) = artifact else { continue };
        let wants_tree = granularity == Granularity::Files && artifact.id.is_tree();
        // A manifest that is not there or damaged leaves the files unknown.
        let tree = if wants_tree { cache.read_tree(&artifact.id).ok() } else { None };
        state.insert(path, Seen { artifact, tree });
    }
    state
}

impl Project {
    /// Returns whether `path` is an output that the store keeps, a directory with such outputs, or a part of one: one that
    /// is there now or was recorded in one of `views`. Of a directory whose manifest cannot be read everything is a part.
    pub(crate) fn is_tracked_data(&self, views: &[&View], path: &RelPath) -> bool {
        let is_part_of = |(out, artifact): (RelPath, Option<Artifact>)| {
            let Some(below) = path.strip_prefix(&out) else { return out.starts_with(path) };
            if below.is_empty() || path.under(self.root()).symlink_metadata().is_ok() {
                return true;
            }
            let Some(artifact) = artifact.filter(|artifact| artifact.id.is_tree()) else {
                return false;
            };
            let inside = format!("{below}/");
            self.cache().read_tree(&artifact.id).map_or(true, |tree| {
                let is_there = |one: &TreeEntry| one.path == below || one.path.starts_with(&inside);
                tree.entries().iter().any(is_there)
            })
        };
        path.is_root() || views.iter().flat_map(|view| outs(view)).any(is_part_of)
    }

    /// Looks at what is there, with the algorithm of what is recorded of it.
    pub(super) fn look_at_data(
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

#[cfg(test)]
mod tests {
    use exp_core::{Algorithm, Digest};

    use super::*;

    #[test]
    fn renames_are_paired_in_order_and_each_once() {
        let id = |text: &str| ObjectId::file(Digest::of(Algorithm::Md5, text.as_bytes()));
        let list = |all: &[(&str, &str)]| {
            all.iter().map(|(path, text)| ((*path).to_owned(), id(text))).collect::<Vec<_>>()
        };
        let mut added = list(&[("c", "1"), ("d", "1"), ("e", "1"), ("f", "2")]);
        let mut deleted = list(&[("a", "1"), ("b", "1"), ("g", "3")]);
        let found = renamed(&mut added, &mut deleted);
        let pairs: Vec<(&str, &str)> = found.iter().map(|(a, b, _)| (&**a, &**b)).collect();
        assert_eq!(pairs, [("a", "c"), ("b", "d")]);
        assert_eq!(added, list(&[("e", "1"), ("f", "2")]));
        assert_eq!(deleted, list(&[("g", "3")]));
    }
}

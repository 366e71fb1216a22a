//! What differs between two directories.

use std::collections::BTreeMap;

use crate::error::GitError;
use crate::id::TreeId;
use crate::name::TreePath;
use crate::repo::{EntryKind, Reader};

/// One file, link or submodule that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeDiff {
    /// Where.
    pub path: TreePath,
    /// What is there in the first tree; never a directory.
    pub old: Option<EntryKind>,
    /// What is there in the second; never a directory, and different from `old`.
    pub new: Option<EntryKind>,
}

impl Reader {
    /// Returns what differs between two directories, by path. Directories that are equal are not read.
    ///
    /// Where a file became a directory, the file is gone and the files below are new.
    pub fn diff(&self, old: TreeId, new: TreeId) -> Result<Vec<TreeDiff>, GitError> {
        let mut found = Vec::new();
        let mut todo = vec![(Vec::new(), Some(old), Some(new))];
        while let Some((dir, old, new)) = todo.pop() {
            if old == new {
                continue;
            }
            let mut names: BTreeMap<Vec<u8>, (Option<EntryKind>, Option<EntryKind>)> =
                BTreeMap::new();
            for entry in
                old.map(|id| self.tree(id).entries()).transpose()?.iter().flat_map(|e| e.iter())
            {
                names.entry(entry.name.clone()).or_default().0 = Some(entry.kind);
            }
            for entry in
                new.map(|id| self.tree(id).entries()).transpose()?.iter().flat_map(|e| e.iter())
            {
                names.entry(entry.name.clone()).or_default().1 = Some(entry.kind);
            }
            for (name, (old, new)) in names {
                if old == new {
                    continue;
                }
                let mut path: Vec<u8> = dir.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend(name);
                let (old_tree, old) = split(old);
                let (new_tree, new) = split(new);
                if old.is_some() || new.is_some() {
                    found.push(TreeDiff { path: TreePath::listed(&path), old, new });
                }
                if old_tree.is_some() || new_tree.is_some() {
                    todo.push((path, old_tree, new_tree));
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

/// Tells a directory from everything else.
fn split(kind: Option<EntryKind>) -> (Option<TreeId>, Option<EntryKind>) {
    match kind {
        Some(EntryKind::Tree(id)) => (Some(id), None),
        other => (None, other),
    }
}

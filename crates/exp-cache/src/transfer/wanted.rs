//! What a transfer is about.

use std::collections::{BTreeMap, BTreeSet};

use exp_core::ObjectId;

use super::members;
use crate::tree::Tree;

/// Objects to be moved: files, directories with all their files, and parts of directories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    whole: BTreeSet<ObjectId>,
    /// Paths inside of directories.
    parts: BTreeMap<ObjectId, BTreeSet<String>>,
    /// Bytes of files, and of all files of directories, as far as somebody knows.
    sizes: BTreeMap<ObjectId, u64>,
}

impl Wanted {
    /// Wants files, and directories as wholes.
    pub fn whole(ids: &BTreeSet<ObjectId>) -> Self {
        Self { whole: ids.clone(), ..Self::default() }
    }

    /// Says how many bytes a file, or all files of a directory, are said to have: for the time that is left.
    pub fn expect(&mut self, id: ObjectId, size: u64) {
        self.sizes.insert(id, size);
    }

    /// Returns what was said of the size.
    pub(super) fn size(&self, id: &ObjectId) -> Option<u64> {
        self.sizes.get(id).copied()
    }

    /// Wants a file too, or a whole directory.
    pub fn add(&mut self, id: ObjectId) {
        self.whole.insert(id);
        self.parts.remove(&id);
    }

    /// Wants the file, or all files, at the path `below` the directory `id` too. A path where nothing is wants nothing.
    pub fn add_part(&mut self, id: ObjectId, below: &str) {
        if !self.whole.contains(&id) {
            self.parts.entry(id).or_default().insert(below.to_owned());
        }
    }

    /// Returns how many files, directories and directories in parts are wanted.
    pub fn len(&self) -> usize {
        self.whole.len() + self.parts.len()
    }

    /// Returns whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.parts.is_empty()
    }

    /// Returns the files and directories, those in parts too, ordered.
    pub fn roots(&self) -> BTreeSet<ObjectId> {
        self.whole.iter().chain(self.parts.keys()).copied().collect()
    }

    /// Returns whether only a part of the directory is wanted.
    pub fn is_part(&self, id: &ObjectId) -> bool {
        self.parts.contains_key(id)
    }

    /// Returns which files of the directory `id`, whose manifest is `tree`, are wanted.
    pub fn members(&self, id: &ObjectId, tree: &Tree) -> BTreeSet<ObjectId> {
        match self.parts.get(id) {
            None => members(tree).collect(),
            Some(parts) => (tree.entries().iter())
                .filter(|entry| is_in(parts, &entry.path))
                .map(|entry| ObjectId::file(entry.digest))
                .collect(),
        }
    }
}

fn is_in(parts: &BTreeSet<String>, path: &str) -> bool {
    let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
    parents.chain([path]).any(|path| parts.contains(path))
}

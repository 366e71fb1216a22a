//! Where remotes that keep versions have data: what records say of it, and how that stays true when data changes.
//!
//! A version belongs to bytes under a path, not to a commit, so any record that ever named it will do to fetch them.

use std::collections::BTreeMap;
use std::fs;

use exp_cache::{CacheError, Tree, TreeEntry, VersionedObjects};
use exp_core::{Artifact, Digest, FileVersion, LockEntry, ObjectId, RecordedFile, RelPath};

use crate::error::Error;
use crate::project::Project;
use crate::sync::OpenRemote;

/// What some records say of where data is.
#[derive(Debug, Clone, Default)]
pub(crate) struct VersionMap {
    places: Vec<(ObjectId, RelPath, FileVersion)>,
    trees: BTreeMap<ObjectId, Tree>,
}

impl VersionMap {
    /// Notes what is recorded of the output at `path`.
    ///
    /// # Errors
    ///
    /// When a list of files names one that would lie outside of its directory, or names one twice.
    pub(crate) fn note(&mut self, path: &RelPath, entry: &LockEntry) -> Result<(), Error> {
        let Some(artifact) = entry.artifact else { return Ok(()) };
        if let Some(version) = entry.version() {
            self.places.push((artifact.id, path.clone(), version));
        }
        let files = entry.files();
        if files.is_empty() {
            return Ok(());
        }
        let tree = tree_of(&artifact, &files)?;
        for file in files {
            if let Some(version) = file.version {
                self.places.push((ObjectId::file(file.digest), path.join(&file.path)?, version));
            }
        }
        self.trees.insert(tree.id(), tree);
        Ok(())
    }

    /// Returns what a remote has of it, seen as objects. As in DVC, a version that was recorded for a remote of another
    /// name is looked for too: remotes are renamed.
    pub(crate) fn on(&self, remote: &OpenRemote) -> VersionedObjects {
        let mut objects = VersionedObjects::new(remote.remote().shared_storage());
        let is_ours = |version: &FileVersion| {
            version.remote.as_deref().is_none_or(|name| name == remote.name())
        };
        for ours in [true, false] {
            for (id, path, version) in &self.places {
                if is_ours(version) == ours {
                    objects.add(id, path.clone(), version.id.clone());
                }
            }
        }
        for tree in self.trees.values() {
            objects.add_tree(tree);
        }
        objects
    }
}

/// Returns the directory that is recorded file by file.
fn tree_of(artifact: &Artifact, files: &[RecordedFile]) -> Result<Tree, Error> {
    let entry = |file: &RecordedFile| TreeEntry {
        path: file.path.clone(),
        digest: file.digest,
        is_exec: file.is_exec,
    };
    let tree = Tree::new(artifact.id.digest.algorithm(), files.iter().map(entry).collect());
    Ok(tree.map_err(|source| CacheError::Manifest { id: artifact.id, source })?)
}

impl Project {
    /// Returns the files of a recorded directory: by its manifest, or by the record itself. `None` when neither is there.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub(crate) fn recorded_tree(&self, entry: &LockEntry) -> Result<Option<Tree>, Error> {
        let Some(artifact) = entry.artifact.filter(|artifact| artifact.id.is_tree()) else {
            return Ok(None);
        };
        match self.cache().read_tree(&artifact.id) {
            Ok(tree) => Ok(Some(tree)),
            Err(CacheError::Missing { .. }) => {
                let files = entry.files();
                if files.is_empty() { Ok(None) } else { tree_of(&artifact, &files).map(Some) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the record of an output whose content is `artifact` now. What was recorded file by file stays so, and
    /// the files that did not change keep their versions.
    ///
    /// # Errors
    ///
    /// When the new manifest is damaged.
    pub(crate) fn renewed(&self, old: &LockEntry, artifact: Artifact) -> Result<LockEntry, Error> {
        if old.artifact.is_some_and(|old| old.same_content(&artifact)) {
            return Ok(LockEntry { artifact: Some(artifact), ..old.clone() });
        }
        let entry = LockEntry::new(old.path.clone(), Some(artifact));
        let before = old.files();
        if before.is_empty() || !artifact.id.is_tree() {
            return Ok(entry);
        }
        // What is not stored, as on request, has no manifest to be read.
        let tree = match self.cache().read_tree(&artifact.id) {
            Ok(tree) => tree,
            Err(CacheError::Missing { .. }) => return Ok(entry),
            Err(error) => return Err(error.into()),
        };
        let before: BTreeMap<&str, &RecordedFile> =
            before.iter().map(|file| (file.path.as_str(), file)).collect();
        let files = tree.entries().iter().map(|now| match before.get(now.path.as_str()) {
            Some(old) if old.digest == now.digest => {
                RecordedFile { is_exec: now.is_exec, ..(*old).clone() }
            }
            _ => self.unsent(now),
        });
        Ok(entry.with_files(files.collect()))
    }

    /// Returns the record of a file that no remote has yet.
    pub(crate) fn unsent(&self, file: &TreeEntry) -> RecordedFile {
        RecordedFile {
            path: file.path.clone(),
            digest: file.digest,
            size: self.stored_size(file.digest),
            version: None,
            is_exec: file.is_exec,
        }
    }

    /// Returns how many bytes a stored file has.
    pub(crate) fn stored_size(&self, digest: Digest) -> Option<u64> {
        let path = self.cache().object_path(&ObjectId::file(digest));
        fs::metadata(path).ok().map(|metadata| metadata.len())
    }
}

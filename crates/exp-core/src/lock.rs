//! What was recorded of a stage: the entries of `dvc.lock`, of the run cache and of `.dvc` files.

use std::collections::BTreeMap;

use crate::digest::Artifact;
use crate::stage::Command;
use crate::value::{Table, Value};

/// A dependency or an output as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct LockEntry {
    /// The path as the stage writes it.
    pub path: String,
    /// The content; `None` when only the path is known (an output that was never recorded, a URL's etag).
    pub artifact: Option<Artifact>,
    /// Fields that belong to others (`etag`, `version_id`, `cloud`, `files`, `repo`), kept as they are.
    pub extra: Table,
}

/// A stage as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct StageLock {
    /// The command; `None` in a `.dvc` file.
    pub cmd: Option<Command>,
    /// Dependencies, sorted by path.
    pub deps: Vec<LockEntry>,
    /// Parameters by file: the default `params.yaml` first, then sorted; inside a file by key. Keys are dotted as
    /// they are written; of a whole file, its top-level keys.
    pub params: Vec<(String, Table)>,
    /// Outputs, sorted by path.
    pub outs: Vec<LockEntry>,
}

impl StageLock {
    /// Returns the recorded dependency at `path`, as the stage writes it.
    pub fn dep(&self, path: &str) -> Option<&LockEntry> {
        self.deps.iter().find(|entry| entry.path == path)
    }

    /// Returns the recorded output at `path`, as the stage writes it.
    pub fn out(&self, path: &str) -> Option<&LockEntry> {
        self.outs.iter().find(|entry| entry.path == path)
    }

    /// Returns the recorded value of `key` in `file`, both as the stage writes them.
    pub fn param(&self, file: &str, key: &str) -> Option<&Value> {
        self.params.iter().find(|(name, _)| name == file).and_then(|(_, values)| values.get(key))
    }

    /// Returns all recorded keys of `file`; `None` when nothing of it was recorded.
    pub fn params_of(&self, file: &str) -> Option<&Table> {
        self.params.iter().find(|(name, _)| name == file).map(|(_, values)| values)
    }
}

/// A `dvc.lock`: what was recorded of the stages of the `dvc.yaml` beside it, by stage name.
///
/// An entry may belong to a stage that no longer exists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LockFile {
    /// The recorded stages by name.
    pub stages: BTreeMap<String, StageLock>,
}

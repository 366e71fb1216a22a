//! What was recorded of a stage: the entries of `dvc.lock`, of the run cache and of `.dvc` files.
//!
//! Reading is in `lock/parse.rs`, changing the text of a lock file in `lock/edit.rs` (formats: sections 6 and 10).

use std::collections::BTreeMap;

use crate::digest::{Algorithm, Artifact, Digest};
use crate::json::{KeyOrder, python_json};
use crate::stage::Command;
use crate::value::{Table, Value};
use crate::yaml::emit_yaml;

mod check;
mod edit;
mod extras;
mod parse;
#[cfg(test)]
mod tests;
mod versions;

pub(crate) use edit::{has_conflict_markers, line_end};
pub use extras::ExtrasFile;
pub use parse::LockError;
pub(crate) use parse::{Fault, document, entry_of, invalid, list_of, table_of, text_of};
pub use versions::{FileVersion, RecordedFile};

/// A dependency or an output as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct LockEntry {
    /// The path as the stage writes it.
    pub path: String,
    /// The content; `None` when only the path is known (an output that was never recorded, a URL's etag).
    pub artifact: Option<Artifact>,
    /// Fields that belong to others (`etag`, `version_id`, `repo`), kept as they are; and where remotes that keep versions
    /// have it (`cloud`, `files`), which [`LockEntry::version`] and [`LockEntry::files`] read.
    pub extra: Table,
}

impl LockEntry {
    /// Returns an entry of which the content is known, or only the path.
    pub fn new(path: impl Into<String>, artifact: Option<Artifact>) -> Self {
        Self { path: path.into(), artifact, extra: Table::new() }
    }

    /// Returns the map that stands in a lock file: `path`, `hash`, the digest, `size`, `nfiles`, `isexec`, the rest.
    ///
    /// Content with a legacy digest has no `hash`, as DVC 2 wrote it. A directory that is recorded file by file has its
    /// `files` in place of digest and sizes.
    pub fn to_value(&self) -> Value {
        let mut table = Table::with_capacity(5 + self.extra.len());
        table.insert("path".to_owned(), Value::from(self.path.as_str()));
        if let Some(artifact) = &self.artifact {
            let algorithm = artifact.id.digest.algorithm();
            if algorithm != Algorithm::Md5Dos2Unix {
                table.insert("hash".to_owned(), Value::from(algorithm.name()));
            }
            if !self.is_listed() {
                table.insert(algorithm.key().to_owned(), Value::from(artifact.id.to_string()));
                insert_sizes(&mut table, artifact);
            }
        }
        table.extend(self.extra.iter().map(|(key, value)| (key.clone(), value.clone())));
        Value::Table(table)
    }
}

/// Adds `size`, `nfiles` and `isexec`, as far as they are known and true.
pub(crate) fn insert_sizes(table: &mut Table, artifact: &Artifact) {
    if let Some(size) = artifact.size {
        table.insert("size".to_owned(), Value::from(size));
    }
    if let Some(n_files) = artifact.n_files {
        table.insert("nfiles".to_owned(), Value::from(n_files));
    }
    if artifact.is_exec {
        table.insert("isexec".to_owned(), Value::Bool(true));
    }
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
    /// What else the stage read, by key of [`Extra`](crate::Extra): a digest, or `-` for what was not there. It does not
    /// stand in `dvc.lock` but in an [`ExtrasFile`].
    pub extras: BTreeMap<String, String>,
}

impl StageLock {
    /// Returns a record of nothing.
    pub fn empty() -> Self {
        let (deps, params, outs) = (Vec::new(), Vec::new(), Vec::new());
        Self { cmd: None, deps, params, outs, extras: BTreeMap::new() }
    }

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

    /// Returns the map that stands in `dvc.lock`: `cmd`, `deps`, `params`, `outs`, each only when there is something.
    ///
    /// The order inside of them is that of the fields: sorting is up to who makes the record.
    pub fn to_value(&self) -> Value {
        let entries =
            |entries: &[LockEntry]| Value::List(entries.iter().map(LockEntry::to_value).collect());
        let mut table = Table::with_capacity(4);
        if let Some(cmd) = &self.cmd {
            table.insert("cmd".to_owned(), cmd.to_value());
        }
        if !self.deps.is_empty() {
            table.insert("deps".to_owned(), entries(&self.deps));
        }
        if !self.params.is_empty() {
            let files = self.params.iter();
            let files = files.map(|(file, keys)| (file.clone(), Value::Table(keys.clone())));
            table.insert("params".to_owned(), Value::Table(files.collect()));
        }
        if !self.outs.is_empty() {
            table.insert("outs".to_owned(), entries(&self.outs));
        }
        Value::Table(table)
    }

    /// Returns the record without what only remotes know: which version of a file they have.
    fn without_versions(&self) -> Self {
        let plain =
            |entries: &[LockEntry]| entries.iter().map(LockEntry::without_versions).collect();
        Self { deps: plain(&self.deps), outs: plain(&self.outs), ..self.clone() }
    }

    /// Returns the key under which the run cache keeps runs of this stage: SHA-256 over the command, the content of the
    /// dependencies, the parameters and the paths of the outputs.
    ///
    /// `None` without a command, without outputs, with neither dependencies nor parameters, or with a dependency whose
    /// content is not known. As in DVC,
    /// whose key it must be, everything called `size` or `nfiles` is left out, parameters too: who looks a run up
    /// compares its parameters before it trusts it.
    ///
    /// With extras the key is one that DVC never looks up: it could not tell whether they agree.
    pub fn run_key(&self) -> Option<Digest> {
        self.cmd.as_ref()?;
        if self.deps.iter().any(|dep| dep.artifact.is_none()) {
            return None;
        }
        if self.outs.is_empty() || (self.deps.is_empty() && self.params.is_empty()) {
            return None;
        }
        let mut value = self.without_versions().to_value();
        if let Value::Table(table) = &mut value {
            let paths = self.outs.iter().map(|out| Value::from(out.path.as_str()));
            table.insert("outs".to_owned(), Value::List(paths.collect()));
            if !self.extras.is_empty() {
                let extras = self.extras.iter().map(|(key, is)| (key.clone(), is.as_str().into()));
                table.insert("exp".to_owned(), Value::Table(extras.collect()));
            }
        }
        Some(digest_without_sizes(value))
    }

    /// Returns the name of this very record among the runs of its key: SHA-256 over all of it but sizes.
    pub fn run_value(&self) -> Digest {
        digest_without_sizes(self.without_versions().to_value())
    }

    /// Returns the text of this record's file in the run cache.
    pub fn run_text(&self) -> String {
        emit_yaml(&self.without_versions().to_value())
    }
}

fn digest_without_sizes(mut value: Value) -> Digest {
    drop_sizes(&mut value);
    Digest::of(Algorithm::Sha256, python_json(&value, KeyOrder::Sorted).as_bytes())
}

fn drop_sizes(value: &mut Value) {
    match value {
        Value::Table(table) => {
            table.retain(|key, _| key != "size" && key != "nfiles");
            table.values_mut().for_each(drop_sizes);
        }
        Value::List(items) => items.iter_mut().for_each(drop_sizes),
        _ => {}
    }
}

/// Returns the hash that DVC puts into the message of an experiment commit: SHA-256 over the records of the stages
/// that ran, by name, sizes included. Of several with one name, the last counts.
pub fn experiment_hash(stages: &[(String, StageLock)]) -> String {
    let table: Table = stages
        .iter()
        .map(|(name, lock)| (name.clone(), lock.without_versions().to_value()))
        .collect();
    let json = python_json(&Value::Table(table), KeyOrder::Sorted);
    Digest::of(Algorithm::Sha256, json.as_bytes()).to_hex()
}

/// A `dvc.lock`: what was recorded of the stages of the `dvc.yaml` beside it, by stage name.
///
/// An entry may belong to a stage that no longer exists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LockFile {
    /// The recorded stages by name.
    pub stages: BTreeMap<String, StageLock>,
    /// Everything else at the top (`datasets`), as it is; without `schema`.
    pub extra: Table,
}

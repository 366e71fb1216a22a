//! Files by version: what a remote that keeps old versions calls the bytes that were sent there.
//!
//! Such a remote has files under their own paths and no objects, so the record of an output says which version has its
//! bytes: `cloud` beside the digest of a file, and `files`, a list in place of the digest, for a directory.

use super::LockEntry;
use super::parse::{Fault, list_of, table_of, text_of, unquoted};
use crate::digest::{Algorithm, Artifact, Digest, ObjectId};
use crate::json::{KeyOrder, python_json};
use crate::value::{Table, Value};

/// What a storage that keeps versions calls the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileVersion {
    /// The name of the remote in the configuration; `None` in a record that leaves it out, as `dvc update` makes them.
    pub remote: Option<String>,
    /// The version, as the storage names it.
    pub id: String,
    /// The storage's mark of the bytes, if it has one. Says nothing about a digest.
    pub etag: Option<String>,
}

/// A file of a directory that is recorded file by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFile {
    /// The path below the directory, as it was written: nobody has looked yet whether it stays inside.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes, if that was recorded.
    pub size: Option<u64>,
    /// Where a remote has it; `None` when it was never sent.
    pub version: Option<FileVersion>,
    /// Whether it is executable; recorded by SHA-256 only.
    pub is_exec: bool,
}

impl LockEntry {
    /// Returns which version of a remote has the bytes of this file; `None` when it was never sent to a remote that
    /// keeps versions, and for a directory.
    pub fn version(&self) -> Option<FileVersion> {
        self.artifact.filter(|artifact| !artifact.id.is_tree())?;
        version_of(&self.extra)
    }

    /// Returns the files of a directory that is recorded file by file, in the order of the record; none for any other
    /// entry.
    pub fn files(&self) -> Vec<RecordedFile> {
        let algorithm = match self.artifact {
            Some(artifact) if artifact.id.is_tree() => artifact.id.digest.algorithm(),
            _ => return Vec::new(),
        };
        let rows = self.extra.get("files").cloned();
        rows.and_then(|rows| files_of(rows, algorithm).ok().flatten()).unwrap_or_default()
    }

    /// Returns the record of a file with the version that has its bytes now, or without one.
    #[must_use]
    pub fn with_version(mut self, version: Option<&FileVersion>) -> Self {
        for key in ["cloud", "version_id", "etag", "files"] {
            self.extra.shift_remove(key);
        }
        if let Some(version) = version {
            insert_version(&mut self.extra, version);
        }
        self
    }

    /// Returns the record of a directory, file by file, which takes the place of its digest and sizes in the text. No
    /// files leave the digest where it is: an empty list would say nothing.
    ///
    /// The files are those of `self.artifact`, in any order.
    #[must_use]
    pub fn with_files(self, mut files: Vec<RecordedFile>) -> Self {
        let mut entry = self.with_version(None);
        if !files.is_empty() {
            files.sort_by(|a, b| a.path.cmp(&b.path));
            let rows = files.iter().map(row_of);
            entry.extra.insert("files".to_owned(), Value::List(rows.collect()));
        }
        entry
    }

    /// Returns the record without anything that only a remote knows.
    pub(super) fn without_versions(&self) -> Self {
        let is_tree = self.artifact.is_some_and(|artifact| artifact.id.is_tree());
        let mut entry = self.clone();
        if self.artifact.is_some() {
            entry.extra.shift_remove("cloud");
        }
        if is_tree {
            entry.extra.shift_remove("files");
        }
        entry
    }

    /// Returns whether the text has a list of files in place of the digest.
    pub(crate) fn is_listed(&self) -> bool {
        self.artifact.is_some_and(|artifact| artifact.id.is_tree())
            && self.extra.contains_key("files")
    }
}

/// Returns what a directory is whose files are `rows`; `None` when not every one of them has a digest, as in the source
/// of an import.
pub(super) fn listed(rows: &Value, algorithm: Algorithm) -> Result<Option<Artifact>, Fault> {
    let Some(mut files) = files_of(rows.clone(), algorithm)? else { return Ok(None) };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = files.iter().map(|file| {
        let mut row = Table::from([
            (algorithm.key().to_owned(), Value::from(file.digest.to_hex())),
            ("relpath".to_owned(), Value::from(file.path.as_str())),
        ]);
        if file.is_exec {
            row.insert("isexec".to_owned(), Value::Bool(true));
        }
        Value::Table(row)
    });
    let text = python_json(&Value::List(manifest.collect()), KeyOrder::Sorted);
    let id = ObjectId::tree(Digest::of(algorithm, text.as_bytes()));
    let size = files.iter().map(|file| file.size).sum();
    Ok(Some(Artifact { id, size, n_files: Some(files.len() as u64), is_exec: false }))
}

fn files_of(rows: Value, algorithm: Algorithm) -> Result<Option<Vec<RecordedFile>>, Fault> {
    let rows = list_of(rows)?;
    let mut files = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let below = |fault: Fault| fault.below(index.to_string());
        let mut row = table_of(row).map_err(below)?;
        let Some(path) = row.shift_remove("relpath") else {
            return Err(below(Fault::new("`relpath` is missing")));
        };
        let path = text_of(path).map_err(|fault| below(fault.below("relpath")))?;
        let key = algorithm.key();
        let hex = match row.get(key) {
            Some(Value::Text(text)) => text.to_ascii_lowercase(),
            Some(Value::Int(number)) => unquoted(*number),
            None | Some(Value::Null) => return Ok(None),
            Some(_) => return Err(below(Fault::new("no digest").below(key))),
        };
        let digest = Digest::from_hex(algorithm, &hex)
            .map_err(|error| below(Fault::new(error.to_string()).below(key)))?;
        let size = match row.get("size") {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let is_exec = match row.get("isexec").filter(|_| algorithm == Algorithm::Sha256) {
            None => false,
            Some(Value::Bool(is_exec)) => *is_exec,
            Some(other) => {
                return Err(below(Fault::wrong_type(other, "true or false").below("isexec")));
            }
        };
        files.push(RecordedFile { path, digest, size, version: version_of(&row), is_exec });
    }
    Ok((!files.is_empty()).then_some(files))
}

/// As DVC does, the first remote is the one.
fn version_of(fields: &Table) -> Option<FileVersion> {
    let text = |fields: &Table, key: &str| match fields.get(key) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Int(number)) => Some(number.to_string()),
        _ => None,
    };
    let (remote, fields) = match fields.get("cloud") {
        Some(Value::Table(remotes)) => match remotes.first() {
            Some((name, Value::Table(fields))) => (Some(name.clone()), fields),
            _ => return None,
        },
        _ => (None, fields),
    };
    Some(FileVersion { remote, id: text(fields, "version_id")?, etag: text(fields, "etag") })
}

fn insert_version(fields: &mut Table, version: &FileVersion) {
    let set = |into: &mut Table, key: &str, value: &str| {
        into.insert(key.to_owned(), Value::from(value));
    };
    let mut marks = Table::new();
    if let Some(etag) = &version.etag {
        set(&mut marks, "etag", etag);
    }
    set(&mut marks, "version_id", &version.id);
    match &version.remote {
        Some(remote) => {
            let cloud = Table::from([(remote.clone(), Value::Table(marks))]);
            fields.insert("cloud".to_owned(), Value::Table(cloud));
        }
        None => fields.extend(marks),
    }
}

fn row_of(file: &RecordedFile) -> Value {
    let mut row = Table::from([
        ("relpath".to_owned(), Value::from(file.path.as_str())),
        (file.digest.algorithm().key().to_owned(), Value::from(file.digest.to_hex())),
    ]);
    if let Some(size) = file.size {
        row.insert("size".to_owned(), Value::from(size));
    }
    if file.is_exec && file.digest.algorithm() == Algorithm::Sha256 {
        row.insert("isexec".to_owned(), Value::Bool(true));
    }
    if let Some(version) = &file.version {
        insert_version(&mut row, version);
    }
    Value::Table(row)
}

#[cfg(test)]
mod tests;

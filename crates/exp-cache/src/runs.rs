//! The run cache: what stages wrote, by what they read.
//!
//! `runs/<k2>/<key>/<value>`: `key` digests command, dependencies, parameters and the paths of outputs; `value` digests
//! the whole record. What a record says is the business of the caller.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use exp_core::{Algorithm, Digest};

use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::layout::Layout;
use crate::session::Temp;
use crate::walk::is_absence;

/// The recorded runs of a store.
#[derive(Debug, Clone)]
pub struct RunCache {
    cache: Cache,
}

/// The name of a recorded run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// SHA-256 of what went in.
    pub key: Digest,
    /// SHA-256 of the record.
    pub value: Digest,
}

/// A recorded run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEntry {
    /// The digest of the record, by which it is filed.
    pub value: Digest,
    /// When it was written.
    pub time: SystemTime,
    /// The record: YAML in the format of a lock entry.
    pub text: String,
}

impl Cache {
    /// Returns the runs recorded in this store.
    pub fn runs(&self) -> RunCache {
        RunCache { cache: self.clone() }
    }
}

impl RunCache {
    /// Returns what was recorded under `key`, newest first; nothing when nothing was.
    ///
    /// Files whose name is no digest, and those that are not UTF-8, are none of ours and left out.
    ///
    /// # Errors
    ///
    /// When the directory or a record cannot be read.
    pub fn entries(&self, key: &Digest) -> Result<Vec<RunEntry>, CacheError> {
        let dir = self.cache.0.layout.runs(key);
        let mut entries = Vec::new();
        for value in digests_in(&dir)? {
            let path = dir.join(value.to_hex());
            let bytes = match fs::read(&path) {
                // Collected a moment ago.
                Err(err) if is_absence(&err) => continue,
                read => read.map_err(io_error("read", &path))?,
            };
            let time = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let time = time.map_err(io_error("look at", &path))?;
            if let Ok(text) = String::from_utf8(bytes) {
                entries.push(RunEntry { value, time, text });
            }
        }
        entries.sort_by(|a, b| b.time.cmp(&a.time).then(a.value.cmp(&b.value)));
        Ok(entries)
    }

    /// Records `text` under `id`, durably. A record that is there already stays, with its time, as DVC leaves it.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub fn save(&self, id: &RunId, text: &str) -> Result<(), CacheError> {
        let dir = self.cache.0.layout.runs(&id.key);
        let path = dir.join(id.value.to_hex());
        if path.is_file() {
            return Ok(());
        }
        let _writer = self.cache.enter()?;
        let disk = &self.cache.0.disk;
        let temp: Temp = self.cache.session()?.temp();
        let mut file = disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
        disk.write(&mut file, text.as_bytes()).map_err(io_error("write", temp.path()))?;
        let mode = disk.modes.plain();
        disk.set_mode(temp.path(), mode).map_err(io_error("set the mode of", temp.path()))?;
        disk.sync_files(&[temp.path()])?;
        disk.create_dir(&dir)?;
        temp.move_to(&path).map_err(io_error("create", &path))?;
        let dirs: Vec<&Path> = dir.ancestors().take(3).collect();
        disk.sync_dirs(&dirs)
    }

    /// Returns the names of all recorded runs, ordered.
    ///
    /// # Errors
    ///
    /// When a directory cannot be listed.
    pub fn list(&self) -> Result<Vec<RunId>, CacheError> {
        list_runs(&self.cache.0.layout)
    }
}

/// Names all runs below a root, ordered.
pub(crate) fn list_runs(layout: &Layout) -> Result<Vec<RunId>, CacheError> {
    let mut runs = Vec::new();
    let all = layout.all_runs();
    for shard in names_in(&all)? {
        for key in digests_in(&all.join(&shard))? {
            let values = digests_in(&layout.runs(&key))?;
            runs.extend(values.into_iter().map(|value| RunId { key, value }));
        }
    }
    runs.sort_unstable();
    Ok(runs)
}

fn digests_in(dir: &Path) -> Result<Vec<Digest>, CacheError> {
    let names = names_in(dir)?;
    Ok(names.iter().filter_map(|name| Digest::from_hex(Algorithm::Sha256, name).ok()).collect())
}

fn names_in(dir: &Path) -> Result<Vec<String>, CacheError> {
    let entries = match fs::read_dir(dir) {
        Err(err) if is_absence(&err) => return Ok(Vec::new()),
        entries => entries.map_err(io_error("list", dir))?,
    };
    let names: io::Result<Vec<_>> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let names = names.map_err(io_error("list", dir))?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

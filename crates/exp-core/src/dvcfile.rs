//! `.dvc` files: data that is tracked without a pipeline, and imports (formats: section 7).

use std::path::Path;

use crate::digest::{Algorithm, Digest};
use crate::json::{KeyOrder, python_json};
use crate::lock::{
    Fault, LockEntry, LockError, StageLock, document, entry_of, insert_sizes, invalid, list_of,
    table_of, text_of,
};
use crate::path::{Location, PathError, RelPath};
use crate::stage::{Dep, Out, OutKind, Stage, StageId};
use crate::value::{Table, Value};
use crate::yaml::{emit_yaml, patched};

/// Keys of a record that describe the content.
const CONTENT: [&str; 7] = ["md5", "sha256", "size", "nfiles", "isexec", "cloud", "files"];
/// Keys of the whole file.
const KEYS: [&str; 8] = ["md5", "wdir", "desc", "frozen", "always_changed", "meta", "deps", "outs"];
/// Keys of an output that are not part of its record.
const NOTES: [&str; 5] = ["fs_config", "desc", "type", "labels", "meta"];

/// What a `.dvc` file says.
#[derive(Debug, Clone, PartialEq)]
pub struct DvcFile {
    /// The digest over the definition that DVC keeps in imports; see [`DvcFile::stage_md5`].
    pub md5: Option<String>,
    /// The directory that paths are relative to, relative to the file's own; `None` for that one.
    pub wdir: Option<String>,
    /// Whether it is only updated when asked: imports are frozen.
    pub frozen: bool,
    /// Whether it always counts as changed.
    pub always_changed: bool,
    /// The description, if any.
    pub desc: Option<String>,
    /// What is kept with it.
    pub meta: Value,
    /// Where the data comes from. What says so (`repo`, `db`, `etag`) is among the `extra` of the record.
    pub deps: Vec<LockEntry>,
    /// The data.
    pub outs: Vec<DvcOut>,
}

/// Data that a `.dvc` file tracks.
#[derive(Debug, Clone, PartialEq)]
pub struct DvcOut {
    /// What is recorded of it.
    pub entry: LockEntry,
    /// Whether its content goes to the store.
    pub cache: bool,
    /// Whether it is kept in place when an import is updated.
    pub persist: bool,
    /// Whether it is sent to remotes.
    pub push: bool,
    /// The remote it belongs to, when it is not the default one.
    pub remote: Option<String>,
    /// `desc`, `type`, `labels`, `meta`, `fs_config`.
    pub extra: Table,
}

impl DvcOut {
    /// Returns data with DVC's defaults.
    pub fn new(entry: LockEntry) -> Self {
        Self { entry, cache: true, persist: false, push: true, remote: None, extra: Table::new() }
    }

    /// Returns the map in the order of a new file.
    fn to_value(&self) -> Value {
        let mut table = record(&self.entry);
        let files = table.shift_remove("files");
        for (key, value) in &self.extra {
            table.insert(key.clone(), value.clone());
        }
        let mut set = |key: &str, value: Value| table.insert(key.to_owned(), value);
        if !self.cache {
            set("cache", Value::Bool(false));
        }
        if self.persist {
            set("persist", Value::Bool(true));
        }
        if let Some(remote) = &self.remote {
            set("remote", Value::from(remote.as_str()));
        }
        if !self.push {
            set("push", Value::Bool(false));
        }
        if let Some(files) = files {
            set("files", files);
        }
        Value::Table(table)
    }
}

/// Writes a record as `.dvc` files have it: the digest first, the path behind everything that is known of the content.
fn record(entry: &LockEntry) -> Table {
    let mut table = Table::new();
    let mut hash = None;
    if let Some(artifact) = &entry.artifact {
        let algorithm = artifact.id.digest.algorithm();
        if !entry.is_listed() {
            table.insert(algorithm.key().to_owned(), Value::from(artifact.id.to_string()));
            insert_sizes(&mut table, artifact);
        }
        hash = (algorithm != Algorithm::Md5Dos2Unix).then(|| Value::from(algorithm.name()));
    }
    let is_late = |key: &str| matches!(key, "hash" | "repo" | "db" | "files" | "fs_config");
    let (late, early): (Vec<_>, Vec<_>) = entry.extra.iter().partition(|(key, _)| is_late(key));
    table.extend(early.into_iter().map(|(key, value)| (key.clone(), value.clone())));
    if let Some(hash) = hash {
        table.insert("hash".to_owned(), hash);
    } else if let Some(hash) = entry.extra.get("hash") {
        table.insert("hash".to_owned(), hash.clone());
    }
    table.insert("path".to_owned(), Value::from(entry.path.as_str()));
    for (key, value) in
        late.into_iter().filter(|(key, _)| !["hash", "files"].contains(&key.as_str()))
    {
        table.insert(key.clone(), value.clone());
    }
    if let Some(files) = entry.extra.get("files") {
        table.insert("files".to_owned(), files.clone());
    }
    table
}

impl Default for DvcFile {
    fn default() -> Self {
        Self {
            md5: None,
            wdir: None,
            frozen: false,
            always_changed: false,
            desc: None,
            meta: Value::Null,
            deps: Vec::new(),
            outs: Vec::new(),
        }
    }
}

impl DvcFile {
    /// Reads the text of a `.dvc` file.
    ///
    /// # Errors
    ///
    /// For broken YAML, unknown keys and digests that are none.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        Self::from_table(document(text)?).map_err(|fault| invalid(text, fault))
    }

    fn from_table(table: Table) -> Result<Self, Fault> {
        let mut file = Self::default();
        for (key, value) in table {
            let read = match key.as_str() {
                "md5" => optional(value).map(|md5| file.md5 = md5),
                "wdir" => optional(value).map(|wdir| file.wdir = wdir),
                "desc" => optional(value).map(|desc| file.desc = desc),
                "frozen" | "locked" => truth(&value).map(|truth| file.frozen |= truth),
                "always_changed" => truth(&value).map(|truth| file.always_changed = truth),
                "meta" => {
                    file.meta = value;
                    Ok(())
                }
                "deps" => items(value, entry_of).map(|deps| file.deps = deps),
                "outs" => items(value, out_of).map(|outs| file.outs = outs),
                _ => Err(Fault::unknown(&key, &KEYS)),
            };
            read.map_err(|fault| fault.below(key))?;
        }
        Ok(file)
    }

    /// Returns the text of a new file.
    pub fn to_text(&self) -> String {
        emit_yaml(&Value::Table(self.to_table()))
    }

    fn to_table(&self) -> Table {
        let mut table = Table::new();
        let mut set = |key: &str, value: Value| {
            let is_empty = match &value {
                Value::Null | Value::Bool(false) => true,
                Value::List(items) => items.is_empty(),
                Value::Table(table) => table.is_empty(),
                _ => false,
            };
            if !is_empty {
                table.insert(key.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
        set("desc", text(&self.desc));
        set("md5", text(&self.md5));
        set("wdir", text(&self.wdir));
        set("frozen", Value::Bool(self.frozen));
        set("deps", Value::List(self.deps.iter().map(|dep| Value::Table(record(dep))).collect()));
        set("outs", Value::List(self.outs.iter().map(DvcOut::to_value).collect()));
        set("always_changed", Value::Bool(self.always_changed));
        set("meta", self.meta.clone());
        table
    }

    /// Returns the digest over the definition that imports carry as `md5`: without descriptions, notes, sizes and
    /// the digest itself.
    pub fn stage_md5(&self) -> String {
        stage_md5(&self.to_table())
    }

    /// Reads the text of a `.dvc` file, and refuses data that the store would keep for a place outside of the workspace at
    /// the absolute path `root`.
    ///
    /// # Errors
    ///
    /// As for [`DvcFile::parse`], and for such data, or a `wdir` that leads out of the workspace.
    pub fn parse_at(text: &str, file: &RelPath, root: &Path) -> Result<Self, LockError> {
        let parsed = Self::parse(text)?;
        let mut dir = Stage::new(StageId::data(file.clone())).wdir;
        if let Some(wdir) = &parsed.wdir {
            let wrong =
                |error: PathError| invalid(text, Fault::new(error.to_string()).below("wdir"));
            dir = dir.join(wdir).map_err(wrong)?;
        }
        for (index, out) in parsed.outs.iter().enumerate().filter(|(_, out)| out.cache) {
            let path = &out.entry.path;
            let location = Location::resolve(path, &dir, root);
            let place = match location.workspace() {
                None => Some("is outside the project"),
                Some(at) if at.is_root() => Some("is outside the project"),
                Some(at) if at.in_repository() => {
                    Some("lies in the directory of a repository, where no data is kept")
                }
                Some(_) => None,
            };
            if let Some(place) = place {
                let fault = Fault::new(format!("`{path}` {place}"));
                let fault = fault.below("path").below(index.to_string()).below("outs");
                return Err(invalid(text, fault));
            }
        }
        Ok(parsed)
    }

    /// Returns the stage that the file `file` declares, in a workspace at the absolute path `root`.
    ///
    /// # Errors
    ///
    /// When `wdir` leads out of the workspace.
    pub fn to_stage(&self, file: &RelPath, root: &Path) -> Result<Stage, LockError> {
        let mut stage = Stage::new(StageId::data(file.clone()));
        if let Some(wdir) = &self.wdir {
            stage.wdir = stage.wdir.join(wdir).map_err(|error| LockError::Invalid {
                at: ["wdir".to_owned()].into(),
                line: 1,
                column: 1,
                text: String::new(),
                message: error.to_string(),
                did_you_mean: None,
            })?;
        }
        let wdir = stage.wdir.clone();
        stage.frozen = self.frozen;
        stage.always_changed = self.always_changed;
        stage.desc.clone_from(&self.desc);
        stage.meta = self.meta.clone();
        stage.deps = self.deps.iter().map(|dep| dep_of(dep, &wdir, root)).collect();
        stage.outs = self
            .outs
            .iter()
            .map(|out| Out {
                path: out.entry.path.clone(),
                location: Location::resolve(&out.entry.path, &wdir, root),
                kind: OutKind::Data,
                cache: out.cache,
                persist: out.persist,
                push: out.push,
                remote: out.remote.clone(),
                extra: out.extra.clone(),
            })
            .collect();
        Ok(stage)
    }

    /// Returns what the file records: no command, no parameters.
    pub fn recorded(&self) -> StageLock {
        StageLock {
            deps: self.deps.clone(),
            outs: self.outs.iter().map(|out| out.entry.clone()).collect(),
            ..StageLock::empty()
        }
    }

    /// Returns `text` with the content of dependencies and outputs as `lock` records it. Order, comments, notes and
    /// whatever else the file has stay; new keys come last, new outputs too. Without a text, that of a new file.
    ///
    /// # Errors
    ///
    /// When the text cannot be read.
    pub fn update(text: Option<&str>, lock: &StageLock) -> Result<String, LockError> {
        let text = text.unwrap_or_default();
        if text.trim().is_empty() {
            let outs = lock.outs.iter().cloned().map(DvcOut::new).collect();
            let mut file = Self { deps: lock.deps.clone(), outs, ..Self::default() };
            file.md5 = (!file.deps.is_empty()).then(|| file.stage_md5());
            return Ok(file.to_text());
        }
        changed(text, |new| {
            set_entries(new, "deps", &lock.deps);
            set_entries(new, "outs", &lock.outs);
        })
    }

    /// Returns `text`, frozen or not frozen any more; all else stays.
    ///
    /// # Errors
    ///
    /// When the text cannot be read.
    pub fn set_frozen(text: &str, frozen: bool) -> Result<String, LockError> {
        changed(text, |new| {
            new.shift_remove("locked");
            if frozen {
                new.insert("frozen".to_owned(), Value::Bool(true));
            } else {
                new.shift_remove("frozen");
            }
        })
    }

    /// Returns `text` with other paths of its outputs and dependencies, and without `wdir` if the file itself goes to
    /// another directory; all else stays. Sources of other repositories are not asked about.
    ///
    /// # Errors
    ///
    /// When the text cannot be read.
    pub fn relocate(
        text: &str,
        without_wdir: bool,
        out: &dyn Fn(&str) -> String,
        dep: &dyn Fn(&str) -> String,
    ) -> Result<String, LockError> {
        changed(text, |new| {
            if without_wdir {
                new.shift_remove("wdir");
            }
            for (key, path_of) in [("outs", out), ("deps", dep)] {
                let Some(Value::List(items)) = new.get_mut(key) else { continue };
                for item in items {
                    let Value::Table(item) = item else { continue };
                    let is_ours = !item.contains_key("repo") && !item.contains_key("db");
                    if let (true, Some(Value::Text(path))) = (is_ours, item.get_mut("path")) {
                        *path = path_of(path);
                    }
                }
            }
        })
    }
}

/// Changes a text that is not empty; the digest over the definition of an import follows.
fn changed(text: &str, change: impl FnOnce(&mut Table)) -> Result<String, LockError> {
    let old = document(text)?;
    DvcFile::from_table(old.clone()).map_err(|fault| invalid(text, fault))?;
    let mut new = old.clone();
    change(&mut new);
    if new == old {
        return Ok(text.to_owned());
    }
    if new.get("deps").and_then(Value::as_list).is_some_and(|deps| !deps.is_empty()) {
        let md5 = stage_md5(&new);
        new.insert("md5".to_owned(), Value::from(md5));
    }
    patched(text, &new).map_err(|error| LockError::syntax(text, error))
}

/// Puts the content of `entries` into the items of `key` with the same path; others are added.
fn set_entries(table: &mut Table, key: &str, entries: &[LockEntry]) {
    if entries.is_empty() {
        return;
    }
    let value = table.entry(key.to_owned()).or_insert_with(|| Value::List(Vec::new()));
    let Value::List(items) = value else { return };
    for entry in entries {
        let known = items.iter_mut().find_map(|item| match item {
            Value::Table(item)
                if item.get("path").and_then(Value::as_text) == Some(&entry.path) =>
            {
                Some(item)
            }
            _ => None,
        });
        match known {
            None => items.push(Value::Table(record(entry))),
            Some(item) => {
                let new = record(entry);
                item.retain(|key, _| !CONTENT.contains(&key.as_str()) || new.contains_key(key));
                if entry.artifact.is_some() && !new.contains_key("hash") {
                    item.shift_remove("hash");
                }
                item.extend(new);
            }
        }
    }
}

fn stage_md5(table: &Table) -> String {
    const IGNORED: [&str; 10] = [
        "desc", "type", "labels", "meta", "locked", "frozen", "metric", "persist", "isexec", "size",
    ];
    fn filtered(value: &Value) -> Value {
        match value {
            Value::Table(table) => Value::Table(
                table
                    .iter()
                    .filter(|(key, _)| !IGNORED.contains(&key.as_str()) && *key != "nfiles")
                    .map(|(key, value)| (key.clone(), filtered(value)))
                    .collect(),
            ),
            Value::List(items) => Value::List(items.iter().map(filtered).collect()),
            other => other.clone(),
        }
    }
    let mut table = table.clone();
    table.shift_remove("md5");
    if table.get("wdir").and_then(Value::as_text) == Some(".") {
        table.shift_remove("wdir");
    }
    let json = python_json(&filtered(&Value::Table(table)), KeyOrder::Sorted);
    Digest::of(Algorithm::Md5, json.as_bytes()).to_hex()
}

/// The source of an import: what lies in another repository or a database is no path of this workspace.
fn dep_of(dep: &LockEntry, wdir: &RelPath, root: &Path) -> Dep {
    let repo = dep.extra.get("repo").and_then(|repo| repo.child("url")).and_then(Value::as_text);
    let location = match repo {
        Some(url) => Location::Url(url.to_owned()),
        None if dep.extra.contains_key("db") => Location::Url("db".to_owned()),
        None => Location::resolve(&dep.path, wdir, root),
    };
    Dep { path: dep.path.clone(), location }
}

fn optional(value: Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::Int(number) => Ok(Some(number.to_string())),
        value => text_of(value).map(Some),
    }
}

fn truth(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(Fault::new(format!("expected true or false, found {}", other.type_name()))),
    }
}

fn items<T>(value: Value, read: impl Fn(Table) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    if value == Value::Null {
        return Ok(Vec::new());
    }
    let items = list_of(value)?.into_iter().enumerate();
    items
        .map(|(index, item)| {
            table_of(item).and_then(&read).map_err(|fault| fault.below(index.to_string()))
        })
        .collect()
}

fn out_of(mut table: Table) -> Result<DvcOut, Fault> {
    const KNOWN: [&str; 13] = [
        "path",
        "md5",
        "sha256",
        "etag",
        "checksum",
        "size",
        "nfiles",
        "isexec",
        "version_id",
        "cloud",
        "hash",
        "files",
        "fs_config",
    ];
    let mut out = DvcOut::new(LockEntry::new("", None));
    for key in NOTES {
        if let Some(value) = table.shift_remove(key) {
            out.extra.insert(key.to_owned(), value);
        }
    }
    for (key, flag) in
        [("cache", &mut out.cache), ("persist", &mut out.persist), ("push", &mut out.push)]
    {
        if let Some(value) = table.shift_remove(key) {
            *flag = truth(&value).map_err(|fault| fault.below(key))?;
        }
    }
    if let Some(value) = table.shift_remove("remote") {
        out.remote = optional(value).map_err(|fault| fault.below("remote"))?;
    }
    if let Some(key) = table.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        let flags = ["cache", "persist", "push", "remote"];
        let known: Vec<&'static str> = KNOWN.into_iter().chain(NOTES).chain(flags).collect();
        return Err(Fault::unknown(key, &known).below(key.as_str()));
    }
    out.entry = entry_of(table)?;
    Ok(out)
}

#[cfg(test)]
mod tests;

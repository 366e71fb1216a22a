//! What differs between a stage and what was recorded of it: the one traversal that decides and explains.
//!
//! The rules are those of DVC. Contents are compared by digest, parameters by value as Python compares them. Not
//! looked at: descriptions, the order of lists, flags of outputs, and dependencies that are recorded but no longer
//! declared.

use std::collections::BTreeMap;

use crate::ctx::Ctx;
use crate::digest::Artifact;
use crate::lock::{LockEntry, StageLock};
use crate::path::Location;
use crate::plan::{Change, Reason};
use crate::port::{Artifacts, Inputs, PortError};
use crate::settings::Extra;
use crate::stage::{ParamRef, Stage};
use crate::value::{KeyPath, Table, Value};

/// Returns what is recorded of a place by the stage that writes it; `None` when no stage does or nothing is.
pub type RecordedAt<'a> = dyn Fn(&Location) -> Option<Artifact> + 'a;

/// How [`changes`] looks at the world.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The workspace.
    pub inputs: &'a dyn Inputs,
    /// The store.
    pub artifacts: &'a dyn Artifacts,
    /// When given, data that is merely absent is no change: an output that is not there or not in the store, and a
    /// dependency that is not there unless this returns another content for its place. It is asked with the place of
    /// a dependency and returns what the stage that writes it has recorded.
    pub allow_missing: Option<&'a RecordedAt<'a>>,
}

impl std::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Look").field("allow_missing", &self.allow_missing.is_some()).finish()
    }
}

/// Compares `stage` with what was `recorded` of it and returns everything that differs; empty when it is up to date.
///
/// In this order: the command, that it always runs, dependencies, parameters by file, outputs; each in the order of
/// the stage. A stage without a record has [`Reason::NeverRan`] first, then what an empty record would give. Of
/// a frozen stage only command and outputs are compared, of a `.dvc` file only outputs. A parameter file that is
/// missing or of which nothing was recorded is one reason for the whole file.
///
/// # Errors
///
/// When a port fails or a stop was asked for.
pub fn changes(
    ctx: &Ctx<'_>,
    stage: &Stage,
    recorded: Option<&StageLock>,
    look: &Look<'_>,
) -> Result<Vec<Reason>, PortError> {
    let snapshot = if stage.frozen { None } else { Some(Snapshot::take(ctx, stage, look.inputs)?) };
    compare(ctx, stage, snapshot.as_ref(), recorded, look)
}

/// What a stage reads, as it was at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// As long as the stage's dependencies, in that order; empty for a data source.
    pub(crate) deps: Vec<Option<Artifact>>,
    /// The marks of dependencies that are told by those, by path.
    marks: BTreeMap<String, Table>,
    pub(crate) params: Vec<ParamFile>,
    /// What else it reads, by key: a digest, or nothing when it is not there.
    pub(crate) extras: Vec<(String, Option<String>)>,
}

/// What a stage reads of one parameter file.
#[derive(Debug)]
pub(crate) struct ParamFile {
    pub(crate) file: String,
    pub(crate) location: Location,
    pub(crate) exists: bool,
    /// The keys that the stage names with their values; of a whole file its top-level keys.
    pub(crate) values: Vec<(KeyPath, Option<Value>)>,
    whole: bool,
}

impl Snapshot {
    pub(crate) fn take(
        ctx: &Ctx<'_>,
        stage: &Stage,
        inputs: &dyn Inputs,
    ) -> Result<Self, PortError> {
        let mut snapshot = Self {
            deps: Vec::new(),
            marks: BTreeMap::new(),
            params: Vec::new(),
            extras: Vec::new(),
        };
        if stage.is_data_source() {
            return Ok(snapshot);
        }
        for dep in &stage.deps {
            ctx.check()?;
            let content = inputs.artifact(ctx, &dep.location)?;
            if content.is_none()
                && matches!(dep.location, Location::Url(_))
                && let Some(marks) = inputs.marks(ctx, &dep.location)?
            {
                snapshot.marks.insert(dep.path.clone(), marks);
            }
            snapshot.deps.push(content);
        }
        for param in &stage.params {
            if !snapshot.params.iter().any(|known| known.file == param.file) {
                ctx.check()?;
                let of_file: Vec<&ParamRef> =
                    stage.params.iter().filter(|other| other.file == param.file).collect();
                snapshot.params.push(ParamFile::read(&of_file, param, inputs)?);
            }
        }
        for extra in &stage.settings.extras {
            ctx.check()?;
            snapshot.extras.push((extra.key(), inputs.extra(ctx, stage, extra)?));
        }
        Ok(snapshot)
    }

    /// Returns what is recorded of the extras.
    pub(crate) fn extras(&self) -> BTreeMap<String, String> {
        let text = |is: &Option<String>| is.clone().unwrap_or_else(|| ABSENT.to_owned());
        self.extras.iter().map(|(key, is)| (key.clone(), text(is))).collect()
    }
}

/// What is recorded of an extra that is not there.
const ABSENT: &str = "-";

/// Returns how an extra differs from what was recorded of the stage, if it does.
fn extra_change(key: &str, now: Option<&str>, recorded: &StageLock) -> Option<Reason> {
    let was = recorded.extras.get(key).map(String::as_str);
    let change = match (was, now) {
        (None, _) => Change::New,
        (Some(was), now) if was == now.unwrap_or(ABSENT) => return None,
        (Some(_), None) => Change::Deleted,
        (Some(_), Some(_)) => Change::Modified,
    };
    let digest = |is: &str| (is != ABSENT).then(|| is.to_owned());
    Some(Reason::Extra {
        key: key.to_owned(),
        change,
        was: was.and_then(digest),
        now: now.map(str::to_owned),
    })
}

impl Snapshot {
    /// Returns the marks of the dependency at `path`, if that is what it is told by.
    pub(crate) fn marks_of(&self, path: &str) -> Option<&Table> {
        self.marks.get(path)
    }
}

impl ParamFile {
    fn read(
        of_file: &[&ParamRef],
        first: &ParamRef,
        inputs: &dyn Inputs,
    ) -> Result<Self, PortError> {
        let mut read = Self {
            file: first.file.clone(),
            location: first.location.clone(),
            exists: true,
            values: Vec::new(),
            whole: of_file.iter().any(|param| param.key.is_none()),
        };
        let whole_file = ParamRef { key: None, ..first.clone() };
        if read.whole {
            match inputs.param(&whole_file)? {
                Some(Value::Table(table)) => {
                    let keys = table.into_iter();
                    read.values = keys
                        .map(|(key, value)| (KeyPath::from_parts([key]), Some(value)))
                        .collect();
                }
                Some(Value::Null) => {}
                Some(_) => return Err(PortError::new(NotAMap { file: read.file })),
                None => read.exists = false,
            }
            return Ok(read);
        }
        for param in of_file {
            let Some(key) = &param.key else { continue };
            if !read.values.iter().any(|(known, _)| known == key) {
                read.values.push((key.clone(), inputs.param(param)?));
            }
        }
        if read.values.iter().any(|(_, value)| value.is_none()) {
            read.exists = inputs.param(&whole_file)?.is_some();
        }
        Ok(read)
    }

    fn reason(&self, key: Option<KeyPath>, change: Change, was: Option<Value>) -> Reason {
        let now = match &key {
            Some(key) => self.values.iter().find(|(known, _)| known == key),
            None => None,
        };
        let now = now.and_then(|(_, value)| value.clone());
        let param = ParamRef { file: self.file.clone(), location: self.location.clone(), key };
        Reason::Param { param, change, was, now }
    }

    /// Returns the values by the text of their keys, sorted, without those that are missing.
    pub(crate) fn table(&self) -> Table {
        let mut table: Table = self
            .values
            .iter()
            .filter_map(|(key, value)| Some((key.to_string(), value.clone()?)))
            .collect();
        table.sort_keys();
        table
    }

    fn compare(&self, recorded: Option<&Table>) -> Vec<Reason> {
        if !self.exists {
            let was = recorded.cloned().map(Value::Table);
            return vec![self.reason(None, Change::Deleted, was)];
        }
        let Some(recorded) = recorded else {
            if self.values.is_empty() {
                return Vec::new();
            }
            let now = Some(Value::Table(self.table()));
            let location = self.location.clone();
            let param = ParamRef { file: self.file.clone(), location, key: None };
            return vec![Reason::Param { param, change: Change::New, was: None, now }];
        };
        let mut reasons = Vec::new();
        for (key, now) in &self.values {
            let was = recorded.get(&key.to_string());
            let change = match (was, now) {
                (_, None) => Change::Deleted,
                (None, Some(_)) => Change::New,
                (Some(was), Some(now)) if !was.same_as_python(now) => Change::Modified,
                _ => continue,
            };
            reasons.push(self.reason(Some(key.clone()), change, was.cloned()));
        }
        if self.whole {
            let known = |key: &str| self.values.iter().any(|(known, _)| known.to_string() == key);
            for (key, was) in recorded.iter().filter(|(key, _)| !known(key)) {
                let key = Some(KeyPath::from_parts([key.as_str()]));
                reasons.push(self.reason(key, Change::Deleted, Some(was.clone())));
            }
        }
        reasons
    }
}

#[derive(Debug, thiserror::Error)]
#[error("parameter file `{file}` is not a map of keys to values")]
struct NotAMap {
    file: String,
}

/// Compares with what was already looked at; without a snapshot, dependencies and parameters are not compared.
pub(crate) fn compare(
    ctx: &Ctx<'_>,
    stage: &Stage,
    snapshot: Option<&Snapshot>,
    recorded: Option<&StageLock>,
    look: &Look<'_>,
) -> Result<Vec<Reason>, PortError> {
    let mut reasons = Vec::new();
    match (recorded, &stage.cmd) {
        (None, _) => reasons.push(Reason::NeverRan),
        (Some(entry), Some(now)) if entry.cmd.as_ref() != Some(now) => {
            reasons.push(Reason::Command { was: entry.cmd.clone(), now: now.clone() });
        }
        _ => {}
    }
    if let Some(snapshot) = snapshot {
        if stage.cmd.is_some() && (stage.always_changed || stage.is_callback()) {
            reasons.push(Reason::AlwaysChanged);
        }
        for (dep, now) in stage.deps.iter().zip(&snapshot.deps) {
            let entry = recorded.and_then(|lock| lock.dep(&dep.path));
            let change = match snapshot.marks_of(&dep.path) {
                Some(marks) => mark_change(entry, marks),
                None => dep_change(ctx, &dep.location, entry, *now, look)?,
            };
            if let Some(change) = change {
                reasons.push(Reason::Dep {
                    path: dep.path.clone(),
                    location: dep.location.clone(),
                    change,
                    was: entry.and_then(|entry| entry.artifact),
                    now: *now,
                });
            }
        }
        for file in &snapshot.params {
            reasons.extend(file.compare(recorded.and_then(|lock| lock.params_of(&file.file))));
        }
        if let Some(recorded) = recorded {
            let extras = snapshot.extras.iter();
            reasons.extend(
                extras.filter_map(|(key, now)| extra_change(key, now.as_deref(), recorded)),
            );
        } else {
            let extras = stage.settings.extras.iter().zip(&snapshot.extras);
            reasons.extend(extras.filter_map(|(extra, (key, now))| {
                let has_to_be = matches!(extra, Extra::Interpreter(_)) || extra.file().is_some();
                let (was, change) = (None, Change::Deleted);
                (has_to_be && now.is_none()).then(|| Reason::Extra {
                    key: key.clone(),
                    change,
                    was,
                    now: None,
                })
            }));
        }
    }
    for out in &stage.outs {
        ctx.check()?;
        let was = recorded.and_then(|lock| lock.out(&out.path)).and_then(|entry| entry.artifact);
        let stored = match &was {
            Some(was) if out.cache => look.artifacts.is_stored(was)?,
            _ => true,
        };
        let now = look.inputs.artifact(ctx, &out.location)?;
        let change = match (&was, &now) {
            _ if !stored => Change::NotInCache,
            (_, None) => Change::Deleted,
            (None, Some(_)) => Change::New,
            (Some(was), Some(now)) => {
                if same(ctx, &out.location, was, now, look)? {
                    continue;
                }
                Change::Modified
            }
        };
        let absent = matches!(change, Change::NotInCache | Change::Deleted);
        if absent && look.allow_missing.is_some() {
            continue;
        }
        let (path, location) = (out.path.clone(), out.location.clone());
        reasons.push(Reason::Out { path, location, change, was, now });
    }
    Ok(reasons)
}

fn dep_change(
    ctx: &Ctx<'_>,
    location: &Location,
    entry: Option<&LockEntry>,
    now: Option<Artifact>,
    look: &Look<'_>,
) -> Result<Option<Change>, PortError> {
    let was = entry.and_then(|entry| entry.artifact);
    let Some(now) = now else {
        let Some(allow) = look.allow_missing else { return Ok(Some(Change::Deleted)) };
        let differs = match (allow(location), was) {
            (Some(upstream), Some(was)) => !upstream.same_content(&was),
            (Some(_), None) => true,
            (None, _) => false,
        };
        return Ok(differs.then_some(Change::Modified));
    };
    Ok(match was {
        Some(was) if same(ctx, location, &was, &now, look)? => None,
        Some(_) => Some(Change::Modified),
        None => Some(Change::New),
    })
}

/// Compares what the other side says of a URL with what it said. Sizes do not count: what changed has other marks.
fn mark_change(entry: Option<&LockEntry>, marks: &Table) -> Option<Change> {
    let Some(entry) = entry else { return Some(Change::New) };
    let told = |key: &&str| marks.contains_key(*key) || entry.extra.contains_key(*key);
    let mut keys = ["etag", "checksum", "version_id", "dataset"].iter().filter(|key| told(key));
    keys.any(|key| marks.get(*key) != entry.extra.get(*key)).then_some(Change::Modified)
}

/// Returns whether `location` still has the content `was`. A record made with another algorithm is compared by that one.
fn same(
    ctx: &Ctx<'_>,
    location: &Location,
    was: &Artifact,
    now: &Artifact,
    look: &Look<'_>,
) -> Result<bool, PortError> {
    let algorithm = was.id.digest.algorithm();
    if algorithm == now.id.digest.algorithm() {
        return Ok(was.same_content(now));
    }
    let now = look.inputs.artifact_as(ctx, location, algorithm)?;
    Ok(now.is_some_and(|now| was.same_content(&now)))
}

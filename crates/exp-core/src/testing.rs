//! In-memory implementations of the ports, for tests of whoever embeds this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ctx::Ctx;
use crate::digest::{Algorithm, Artifact, Digest, ObjectId};
use crate::event::{Event, EventSink, StageEvent};
use crate::lock::StageLock;
use crate::path::Location;
use crate::port::{Artifacts, Exit, Inputs, PortError, Recorded, StageExecutor, StageOutcome};
use crate::stage::{Out, ParamRef, Stage, StageId};
use crate::value::Value;

/// A workspace, a store, a run cache and the recorded state, all in memory: [`Inputs`] and [`Artifacts`] in one.
///
/// Files are named by the text of their location; a directory is not known as such. Digests are MD5.
#[derive(Debug, Default)]
pub struct MemoryProject {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    params: BTreeMap<String, Value>,
    store: BTreeMap<ObjectId, Vec<u8>>,
    runs: BTreeMap<Digest, Vec<StageLock>>,
    locks: BTreeMap<StageId, StageLock>,
    history: Vec<StageId>,
}

impl MemoryProject {
    /// Returns an empty project.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a file into the workspace.
    pub fn write(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.lock().files.insert(path.to_owned(), bytes.into());
    }

    /// Removes a file from the workspace.
    pub fn remove(&self, path: &str) {
        self.lock().files.remove(path);
    }

    /// Returns the content of a file of the workspace.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.lock().files.get(path).cloned()
    }

    /// Sets the document of a parameter file.
    pub fn set_params(&self, file: &str, document: Value) {
        self.lock().params.insert(file.to_owned(), document);
    }

    /// Forgets all stored objects; records and run cache stay.
    pub fn empty_store(&self) {
        self.lock().store.clear();
    }

    /// Forgets what was recorded of the stages; store and run cache stay.
    pub fn forget_records(&self) {
        self.lock().locks.clear();
    }

    /// Records a stage, as if it had run.
    pub fn set_record(&self, id: &StageId, lock: StageLock) {
        self.lock().locks.insert(id.clone(), lock);
    }

    /// Returns what is recorded of a stage.
    pub fn recorded(&self, id: &StageId) -> Option<StageLock> {
        self.lock().locks.get(id).cloned()
    }

    /// Returns the stages in the order in which they were recorded, each as often as it was.
    pub fn history(&self) -> Vec<StageId> {
        self.lock().history.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn artifact_of(bytes: &[u8]) -> Artifact {
    Artifact {
        id: ObjectId::file(Digest::of(Algorithm::Md5, bytes)),
        size: u64::try_from(bytes.len()).ok(),
        n_files: None,
        is_exec: false,
    }
}

impl Inputs for MemoryProject {
    fn artifact(&self, _: &Ctx<'_>, location: &Location) -> Result<Option<Artifact>, PortError> {
        Ok(self.lock().files.get(&location.to_string()).map(|bytes| artifact_of(bytes)))
    }

    fn param(&self, param: &ParamRef) -> Result<Option<Value>, PortError> {
        let state = self.lock();
        let document = state.params.get(&param.location.to_string());
        Ok(match &param.key {
            Some(key) => document.and_then(|document| document.get(key)).cloned(),
            None => document.cloned(),
        })
    }
}

impl Artifacts for MemoryProject {
    fn is_stored(&self, artifact: &Artifact) -> Result<bool, PortError> {
        Ok(self.lock().store.contains_key(&artifact.id))
    }

    fn recall(&self, key: &Digest) -> Result<Vec<StageLock>, PortError> {
        let found = self.lock().runs.get(key).cloned().unwrap_or_default();
        Ok(found.into_iter().rev().collect())
    }

    fn restore(&self, _: &Ctx<'_>, stage: &Stage, lock: &StageLock) -> Result<(), PortError> {
        let mut inner = self.lock();
        for out in &stage.outs {
            let artifact = lock.out(&out.path).and_then(|entry| entry.artifact);
            let bytes = artifact.and_then(|artifact| inner.store.get(&artifact.id).cloned());
            if let Some(bytes) = bytes {
                inner.files.insert(out.location.to_string(), bytes);
            }
        }
        Ok(())
    }

    fn clear(&self, _: &Ctx<'_>, stage: &Stage) -> Result<(), PortError> {
        let mut inner = self.lock();
        for out in stage.outs.iter().filter(|out| !out.persist) {
            inner.files.remove(&out.location.to_string());
        }
        Ok(())
    }

    fn keep(&self, _: &Ctx<'_>, _: &Stage, out: &Out) -> Result<Option<Artifact>, PortError> {
        let mut inner = self.lock();
        let Some(bytes) = inner.files.get(&out.location.to_string()).cloned() else {
            return Ok(None);
        };
        let artifact = artifact_of(&bytes);
        inner.store.insert(artifact.id, bytes);
        Ok(Some(artifact))
    }

    fn record(
        &self,
        stage: &Stage,
        key: Option<&Digest>,
        lock: &StageLock,
    ) -> Result<Recorded, PortError> {
        let mut inner = self.lock();
        let is_first = inner.locks.is_empty();
        let before = inner.locks.insert(stage.id.clone(), lock.clone());
        inner.history.push(stage.id.clone());
        if let Some(key) = key {
            inner.runs.entry(*key).or_default().push(lock.clone());
        }
        Ok(match before {
            Some(before) if before == *lock => Recorded::Unchanged,
            _ if is_first => Recorded::Created,
            _ => Recorded::Updated,
        })
    }
}

/// Runs stages of a [`MemoryProject`] without commands: each output is a digest of the stage's command, the contents of
/// its dependencies and its parameters. Every run takes a second.
pub struct FakeExecutor<'p> {
    project: &'p MemoryProject,
    failing: BTreeSet<StageId>,
    forgotten: BTreeSet<String>,
    ran: Mutex<Vec<StageId>>,
}

impl<'p> FakeExecutor<'p> {
    /// Runs stages of `project`.
    pub fn new(project: &'p MemoryProject) -> Self {
        let (failing, forgotten) = (BTreeSet::new(), BTreeSet::new());
        Self { project, failing, forgotten, ran: Mutex::default() }
    }

    /// Makes a stage exit with status 1 before it writes anything.
    #[must_use]
    pub fn failing(mut self, id: &StageId) -> Self {
        self.failing.insert(id.clone());
        self
    }

    /// Makes the stage that should write `path` not do so, and succeed.
    #[must_use]
    pub fn forgetting(mut self, path: &str) -> Self {
        self.forgotten.insert(path.to_owned());
        self
    }

    /// Returns the stages that ran so far, in the order in which they started.
    pub fn ran(&self) -> Vec<StageId> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for FakeExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeExecutor").field("failing", &self.failing).finish_non_exhaustive()
    }
}

impl StageExecutor for FakeExecutor<'_> {
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(stage.id.clone());
        let took = Duration::from_secs(1);
        let lines = stage.cmd.as_ref().map(|cmd| cmd.lines().join("\n")).unwrap_or_default();
        ctx.emit(Event::Stage { stage: &stage.id, what: StageEvent::Command { line: &lines } });
        if ctx.check().is_err() {
            return StageOutcome { exit: Exit::Cancelled, took };
        }
        if self.failing.contains(&stage.id) {
            return StageOutcome { exit: Exit::Code { code: 1, line: lines }, took };
        }
        let mut text = lines;
        for dep in &stage.deps {
            let bytes = self.project.read(&dep.location.to_string()).unwrap_or_default();
            text.push('|');
            text.push_str(&Digest::of(Algorithm::Md5, &bytes).to_hex());
        }
        for param in &stage.params {
            let value = format!("|{:?}", self.project.param(param));
            text.push_str(&value);
        }
        for out in &stage.outs {
            if !self.forgotten.contains(&out.path) {
                let content = Digest::of(Algorithm::Md5, format!("{text}>{}", out.path).as_bytes());
                self.project.write(&out.location.to_string(), content.to_hex());
            }
        }
        StageOutcome { exit: Exit::Success, took }
    }
}

/// Keeps every event as a line of text, such as `train started` or `train locked`; outputs and tasks are left out.
#[derive(Debug, Default)]
pub struct Recorder {
    lines: Mutex<Vec<String>>,
}

impl Recorder {
    /// Returns a recorder that has heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for Recorder {
    fn emit(&self, event: Event<'_>) {
        let line = match event {
            Event::Stage { stage, what } => match what {
                StageEvent::Fresh => format!("{stage} fresh"),
                StageEvent::Restored { from } => format!("{stage} restored from {from:?}"),
                StageEvent::Verified => format!("{stage} verified"),
                StageEvent::Started { .. } => format!("{stage} started"),
                StageEvent::Command { line } => format!("{stage} > {line}"),
                StageEvent::Output { .. } | StageEvent::Metrics { .. } => return,
                StageEvent::Finished { success: true, .. } => format!("{stage} succeeded"),
                StageEvent::Finished { success: false, .. } => format!("{stage} ended badly"),
                StageEvent::Failed { failure } => format!("{stage} failed: {failure}"),
                StageEvent::Open { on } => {
                    let on: Vec<String> = on.iter().map(ToString::to_string).collect();
                    format!("{stage} open on {}", on.join(" "))
                }
                StageEvent::Locked { created: true } => format!("{stage} locked anew"),
                StageEvent::Locked { created: false } => format!("{stage} locked"),
                StageEvent::Waiting { until } => format!("{stage} waits: {until:?}"),
                StageEvent::Retrying { next, of, .. } => {
                    format!("{stage} tried again, {next} of {of}")
                }
                StageEvent::Skipped { because } => format!("{stage} skipped because of {because}"),
            },
            Event::Warning(warning) => format!("warning: {warning:?}"),
            _ => return,
        };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

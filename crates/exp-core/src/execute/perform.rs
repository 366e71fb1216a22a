//! One stage's turn: compare, restore or run, keep, record.

use std::time::Duration;

use crate::changes::{Look, Snapshot, compare};
use crate::ctx::Ctx;
use crate::digest::{Artifact, Digest};
use crate::event::{Event, StageEvent, Warning};
use crate::lock::{LockEntry, StageLock};
use crate::path::{Location, RelPath};
use crate::plan::{Expect, PlanOptions, Reason, Sources};
use crate::port::{Exit, Inputs, PortError, Recorded};
use crate::report::{Failure, Outcome, StageReport};
use crate::settings::Extra;
use crate::stage::{Out, OutKind, Stage};

use super::earlier::{find_run, receive_run, wanted};
use super::{ExecuteOptions, Job};

/// A stage whose turn it is.
pub(super) struct Turn<'t, 'a> {
    pub(super) job: &'t Job<'a>,
    pub(super) options: &'t ExecuteOptions,
    pub(super) stage: &'t Stage,
    /// Why it is done although nothing changed.
    pub(super) forced: Option<Reason>,
    /// What stages before it have recorded of a place.
    pub(super) upstream: &'t dyn Fn(&Location) -> Option<Artifact>,
}

/// Why a turn ended early.
enum Early {
    /// After its commands ran for this long.
    Failed(Failure, Duration),
    /// Before anything was changed.
    NotStarted,
    /// While its commands ran.
    Stopped(Duration),
}

/// What a turn that went well did.
struct Done {
    outcome: Outcome,
    lock: Option<StageLock>,
    took: Duration,
}

impl Turn<'_, '_> {
    pub(super) fn perform(&self, ctx: &Ctx<'_>) -> StageReport {
        let mut reasons = Vec::new();
        let ended = self.decide(ctx, &mut reasons);
        let done = ended.unwrap_or_else(|early| {
            let (outcome, took) = match early {
                Early::Failed(failure, took) => {
                    self.emit(ctx, StageEvent::Failed { failure: &failure });
                    (Outcome::Failed(failure), took)
                }
                Early::NotStarted => (Outcome::NotStarted, Duration::ZERO),
                Early::Stopped(took) => (Outcome::Cancelled, took),
            };
            Done { outcome, lock: None, took }
        });
        let Done { outcome, lock, took } = done;
        StageReport { id: self.stage.id.clone(), outcome, reasons, lock, took }
    }

    fn decide(&self, ctx: &Ctx<'_>, reasons: &mut Vec<Reason>) -> Result<Done, Early> {
        let (stage, sources) = (self.stage, &self.job.sources);
        if stage.frozen && !stage.is_data_source() {
            ctx.warn(&Warning::Frozen { stage: stage.id.clone() });
        }
        let recorded = (sources.recorded)(&stage.id);
        let look = Look {
            inputs: sources.inputs,
            artifacts: sources.artifacts,
            allow_missing: self.options.allow_missing.then_some(self.upstream),
        };
        let snapshot = if stage.frozen {
            None
        } else {
            Some(Snapshot::take(ctx, stage, sources.inputs).map_err(port("read inputs"))?)
        };
        *reasons = compare(ctx, stage, snapshot.as_ref(), recorded.as_ref(), &look)
            .map_err(port("compare with the record"))?;
        reasons.extend(self.forced.clone());
        if reasons.is_empty() {
            self.emit(ctx, StageEvent::Fresh);
            return Ok(Done { outcome: Outcome::Fresh, lock: recorded, took: Duration::ZERO });
        }
        if let Some(consent) = ctx.consent()
            && !consent.agrees(ctx, &stage.id, reasons)
        {
            // Who asks for the end while the question stands does not answer it.
            let is_over = ctx.cancel_token().requested().is_some();
            return Err(if is_over { Early::NotStarted } else { failed(Failure::Declined) });
        }
        match snapshot {
            Some(snapshot) if !stage.is_data_source() => {
                require(stage, &snapshot).map_err(failed)?;
                self.restore_or_run(ctx, reasons, &snapshot, recorded.as_ref())
            }
            _ => self.verify(ctx, recorded.as_ref()),
        }
    }

    fn restore_or_run(
        &self,
        ctx: &Ctx<'_>,
        reasons: &[Reason],
        snapshot: &Snapshot,
        recorded: Option<&StageLock>,
    ) -> Result<Done, Early> {
        let artifacts = self.job.sources.artifacts;
        // Held until the result is recorded, so that nobody else runs the same meanwhile.
        let mut flight = None;
        while self.forced.is_none() {
            let (sources, run_cache) = (&self.job.sources, self.options.run_cache);
            let found = find_run(ctx, sources, run_cache, self.stage, reasons, snapshot, recorded);
            let found = match found {
                Ok(None) if run_cache => receive_run(ctx, sources, self.stage, snapshot),
                found => found,
            };
            let found = found.map_err(port("look for an earlier run"))?;
            ctx.check().map_err(|_| Early::NotStarted)?;
            if let Some((from, found)) = found {
                artifacts.restore(ctx, self.stage, &found).map_err(port("restore outputs"))?;
                self.emit(ctx, StageEvent::Restored { from });
                let outs = found.outs.iter().map(|out| (out.path.as_str(), out.artifact)).collect();
                let lock = self.record(ctx, None, lock_of(self.stage, snapshot, recorded, outs))?;
                let outcome = Outcome::Restored(from);
                return Ok(Done { outcome, lock: Some(lock), took: Duration::ZERO });
            }
            let key = self.shared_key(snapshot).filter(|_| flight.is_none());
            let Some(key) = key else { break };
            let taken =
                artifacts.flight(ctx, self.stage, &key).map_err(port("wait for its turn"))?;
            let has_waited = taken.has_waited;
            flight = Some(taken);
            if !has_waited {
                break;
            }
        }
        ctx.check().map_err(|_| Early::NotStarted)?;
        self.require_wdir()?;
        artifacts.clear(ctx, self.stage).map_err(port("clear outputs"))?;
        let done = self.run(ctx, reasons, snapshot, recorded);
        drop(flight);
        done
    }

    /// Checks that there is a directory to run in, unless making room for the outputs makes it.
    fn require_wdir(&self) -> Result<(), Early> {
        let wdir = &self.stage.wdir;
        let outs = self.stage.outs.iter().filter_map(|out| out.location.workspace());
        if outs.filter_map(RelPath::parent).any(|dir| dir.starts_with(wdir)) {
            return Ok(());
        }
        let found = self.job.sources.inputs.has_dir(wdir);
        if found.map_err(port("look at the working directory"))? {
            return Ok(());
        }
        Err(failed(Failure::MissingWdir { dir: wdir.clone() }))
    }

    /// Returns the key under which a run of the stage will be there for others; `None` when it will not be.
    fn shared_key(&self, snapshot: &Snapshot) -> Option<Digest> {
        let is_shared = self.options.run_cache && self.options.commit && recordable(self.stage);
        if is_shared { wanted(self.stage, snapshot).run_key() } else { None }
    }

    fn run(
        &self,
        ctx: &Ctx<'_>,
        reasons: &[Reason],
        snapshot: &Snapshot,
        recorded: Option<&StageLock>,
    ) -> Result<Done, Early> {
        self.emit(ctx, StageEvent::Started { reasons });
        let (exit, took) = self.tries(ctx)?;
        let kept = match exit {
            Exit::Success => self.keep_and_record(ctx, snapshot, recorded),
            Exit::Cancelled => Err(Early::Stopped(took)),
            exit => Err(failed(Failure::Exit(exit))),
        };
        self.emit(ctx, StageEvent::Finished { success: kept.is_ok(), took });
        let (lock, locked) = kept.map_err(|early| match early {
            Early::Failed(failure, _) => Early::Failed(failure, took),
            _ => Early::Stopped(took),
        })?;
        self.emit_locked(ctx, locked);
        Ok(Done { outcome: Outcome::Ran, lock: Some(lock), took })
    }

    /// Runs the commands, as often as the stage allows and it takes; returns how the last try ended and how long all took.
    fn tries(&self, ctx: &Ctx<'_>) -> Result<(Exit, Duration), Early> {
        let retry = &self.stage.settings.retry;
        let mut took = Duration::ZERO;
        for n_tries in 1.. {
            let ran = self.job.executor.run(ctx, self.stage);
            took += ran.took;
            // Whoever asks for the end does not want another try either.
            let pause = retry.pause(n_tries, &ran.exit);
            let pause = pause.filter(|_| ctx.cancel_token().requested().is_none());
            let Some(pause) = pause else { return Ok((ran.exit, took)) };
            let (next, of) = (n_tries + 1, retry.max.saturating_add(1));
            self.emit(ctx, StageEvent::Retrying { exit: &ran.exit, next, of, pause });
            if self.job.executor.pause(ctx, pause).is_some() {
                return Ok((ran.exit, took));
            }
            let artifacts = self.job.sources.artifacts;
            artifacts.clear(ctx, self.stage).map_err(port("clear outputs"))?;
        }
        Ok((Exit::Cancelled, took))
    }

    fn keep_and_record(
        &self,
        ctx: &Ctx<'_>,
        snapshot: &Snapshot,
        recorded: Option<&StageLock>,
    ) -> Result<(StageLock, Recorded), Early> {
        let mut outs = Vec::with_capacity(self.stage.outs.len());
        for out in &self.stage.outs {
            // Before anything moves into the store, so that a run that lacks an output changes nothing there.
            let there = self.job.sources.inputs.artifact(ctx, &out.location);
            if there.map_err(port("look at an output"))?.is_none() {
                let (path, location) = (out.path.clone(), out.location.clone());
                return Err(failed(Failure::OutNotProduced { path, location }));
            }
        }
        for out in &self.stage.outs {
            outs.push((out.path.as_str(), self.keep(ctx, out)?));
        }
        let lock = lock_of(self.stage, snapshot, recorded, outs);
        let cached = self.options.commit && recordable(self.stage);
        let key = if cached { lock.run_key() } else { None };
        let recorded = self.write(key.as_ref(), &lock)?;
        Ok((lock, recorded))
    }

    fn keep(&self, ctx: &Ctx<'_>, out: &Out) -> Result<Option<Artifact>, Early> {
        let sources = &self.job.sources;
        let kept = if self.options.commit {
            sources.artifacts.keep(ctx, self.stage, out)
        } else {
            sources.inputs.artifact(ctx, &out.location)
        };
        let kept = kept.map_err(port("keep an output"))?;
        if let Some(artifact) = kept.filter(|_| !self.options.commit && out.cache) {
            sources.artifacts.leave(ctx, out, &artifact).map_err(port("leave an output"))?;
        }
        kept.map(Some).ok_or_else(|| {
            let (path, location) = (out.path.clone(), out.location.clone());
            failed(Failure::OutNotProduced { path, location })
        })
    }

    /// Records a data source or a frozen stage as it is in the workspace.
    fn verify(&self, ctx: &Ctx<'_>, recorded: Option<&StageLock>) -> Result<Done, Early> {
        let (stage, inputs) = (self.stage, self.job.sources.inputs);
        let mut paths = Vec::new();
        let mut outs = Vec::with_capacity(stage.outs.len());
        for out in &stage.outs {
            match inputs.artifact(ctx, &out.location).map_err(port("look at an output"))? {
                Some(_) => {}
                // The caller said that absent data is no change, so its record stands.
                None if self.options.allow_missing => {}
                None => paths.push(out.path.clone()),
            }
        }
        if !paths.is_empty() {
            return Err(failed(Failure::MissingData { paths }));
        }
        let snapshot = Snapshot::take(ctx, stage, inputs).map_err(port("read inputs"))?;
        require(stage, &snapshot).map_err(failed)?;
        for out in &stage.outs {
            let there = inputs.artifact(ctx, &out.location).map_err(port("look at an output"))?;
            let artifact = match there {
                Some(_) => self.keep(ctx, out)?,
                None => {
                    recorded.and_then(|lock| lock.out(&out.path)).and_then(|entry| entry.artifact)
                }
            };
            outs.push((out.path.as_str(), artifact));
        }
        let lock = lock_of(stage, &snapshot, recorded, outs);
        let written = self.write(None, &lock)?;
        self.emit(ctx, StageEvent::Verified);
        self.emit_locked(ctx, written);
        Ok(Done { outcome: Outcome::Verified, lock: Some(lock), took: Duration::ZERO })
    }

    fn record(
        &self,
        ctx: &Ctx<'_>,
        key: Option<&Digest>,
        lock: StageLock,
    ) -> Result<StageLock, Early> {
        let written = self.write(key, &lock)?;
        self.emit_locked(ctx, written);
        Ok(lock)
    }

    fn write(&self, key: Option<&Digest>, lock: &StageLock) -> Result<Recorded, Early> {
        let artifacts = self.job.sources.artifacts;
        artifacts.record(self.stage, key, lock).map_err(port("record the stage"))
    }

    fn emit_locked(&self, ctx: &Ctx<'_>, recorded: Recorded) {
        if recorded != Recorded::Unchanged && !self.stage.is_data_source() {
            self.emit(ctx, StageEvent::Locked { created: recorded == Recorded::Created });
        }
    }

    fn emit(&self, ctx: &Ctx<'_>, what: StageEvent<'_>) {
        ctx.emit(Event::Stage { stage: &self.stage.id, what });
    }
}

/// Returns what would be done with a stage that does not agree with its record, for these reasons: what is known of it
/// is what it reads (nothing when it is frozen) and what was recorded. `is_awaited` tells what stages before it will
/// write.
pub(crate) fn expect(
    ctx: &Ctx<'_>,
    sources: &Sources<'_>,
    options: PlanOptions,
    stage: &Stage,
    reasons: &[Reason],
    (snapshot, recorded): (Option<&Snapshot>, Option<&StageLock>),
    is_awaited: &dyn Fn(&Location) -> bool,
) -> Result<Expect, PortError> {
    let Some(snapshot) = snapshot.filter(|_| !stage.is_data_source()) else {
        for out in stage.outs.iter().filter(|_| !options.allow_missing) {
            if sources.inputs.artifact(ctx, &out.location)?.is_none() {
                return Ok(Expect::Fail);
            }
        }
        return Ok(Expect::Record);
    };
    let lacks_dep = stage.deps.iter().zip(&snapshot.deps).any(|(dep, now)| {
        let is_there = now.is_some() || snapshot.marks_of(&dep.path).is_some();
        !is_there && !is_awaited(&dep.location)
    });
    let lacks_param = snapshot.params.iter().any(|file| {
        let is_there = file.exists && file.values.iter().all(|(_, value)| value.is_some());
        !is_there && !is_awaited(&file.location)
    });
    let lacks_extra =
        stage.settings.extras.iter().zip(&snapshot.extras).any(|(extra, (_, now))| {
            // A command that fails and an address that does not answer: only who looks gets so far.
            let is_lost = now.is_none()
                && matches!(extra, Extra::Cmd(_) | Extra::Url(_) | Extra::Interpreter(_));
            is_lost || extra.file().is_some_and(|file| now.is_none() && !is_awaited(&file.location))
        });
    if lacks_dep || lacks_param || lacks_extra {
        return Ok(Expect::Fail);
    }
    let forced = reasons.iter().any(|why| matches!(why, Reason::Forced | Reason::Upstream));
    let is_open = stage.deps.iter().any(|dep| is_awaited(&dep.location))
        || snapshot.params.iter().any(|file| is_awaited(&file.location))
        || (stage.settings.extras.iter().filter_map(Extra::file))
            .any(|file| is_awaited(&file.location));
    if forced || is_open {
        return Ok(Expect::Run);
    }
    let found = find_run(ctx, sources, options.run_cache, stage, reasons, snapshot, recorded)?;
    Ok(found.map_or(Expect::Run, |(from, _)| Expect::Restore(from)))
}

/// Checks that everything a stage reads is there.
fn require(stage: &Stage, snapshot: &Snapshot) -> Result<(), Failure> {
    for (dep, now) in stage.deps.iter().zip(&snapshot.deps) {
        if now.is_none() && snapshot.marks_of(&dep.path).is_none() {
            let (path, location) = (dep.path.clone(), dep.location.clone());
            return Err(Failure::MissingDep { path, location });
        }
    }
    for (extra, (_, now)) in stage.settings.extras.iter().zip(&snapshot.extras) {
        if let (Some(file), None) = (extra.file(), now) {
            let (path, location) = (file.path.clone(), file.location.clone());
            return Err(Failure::MissingDep { path, location });
        }
        if let (Extra::Interpreter(program), None) = (extra, now) {
            return Err(Failure::MissingInterpreter { program: program.clone() });
        }
    }
    for read in &snapshot.params {
        let (file, location) = (read.file.clone(), read.location.clone());
        if !read.exists {
            return Err(Failure::MissingParamFile { file, location });
        }
        let missing = read.values.iter().filter(|(_, value)| value.is_none());
        let keys: Vec<_> = missing.map(|(key, _)| key.clone()).collect();
        if !keys.is_empty() {
            return Err(Failure::MissingParam { file, location, keys });
        }
    }
    Ok(())
}

/// Returns what is to be recorded of a stage that is taken as it is, without running it: what it reads now, and these
/// outputs, by path as the stage writes it.
///
/// Foreign fields of the old record stay with a content that did not change.
///
/// # Errors
///
/// When a port fails or a stop was asked for.
pub fn record_as_is(
    ctx: &Ctx<'_>,
    stage: &Stage,
    inputs: &dyn Inputs,
    recorded: Option<&StageLock>,
    outs: Vec<(&str, Option<Artifact>)>,
) -> Result<StageLock, PortError> {
    let snapshot = Snapshot::take(ctx, stage, inputs)?;
    Ok(lock_of(stage, &snapshot, recorded, outs))
}

/// Returns whether runs of the stage may be written to and taken from the run cache: its command alone decides what
/// its outputs are, and all of them are in the project and stored.
pub fn recordable(stage: &Stage) -> bool {
    let has_all = stage.cmd.is_some()
        && !(stage.deps.is_empty() && stage.params.is_empty())
        && !stage.outs.is_empty();
    // Of a place on a remote the record tells: it may be a directory.
    let is_local = |location: &Location| match location {
        Location::Url(url) => url.starts_with("remote://"),
        _ => true,
    };
    let deps_are_local = stage.deps.iter().all(|dep| is_local(&dep.location));
    let outs_are_plain = stage.outs.iter().all(|out| {
        let in_store = out.cache || out.kind != OutKind::Data;
        in_store && !out.persist && out.location.workspace().is_some()
    });
    has_all && !stage.always_changed && deps_are_local && outs_are_plain
}

/// Builds a record in DVC's order. Foreign fields of the old record stay with a content that did not change.
pub(super) fn lock_of(
    stage: &Stage,
    snapshot: &Snapshot,
    recorded: Option<&StageLock>,
    outs: Vec<(&str, Option<Artifact>)>,
) -> StageLock {
    let entry = |path: &str, artifact: Option<Artifact>, old: Option<&LockEntry>| {
        let unchanged = old.filter(|old| match (&old.artifact, &artifact) {
            (Some(old), Some(new)) => old.same_content(new),
            (None, None) => true,
            _ => false,
        });
        let extra = unchanged.map(|old| old.extra.clone()).unwrap_or_default();
        LockEntry { path: path.to_owned(), artifact, extra }
    };
    let mut deps: Vec<LockEntry> = if stage.is_data_source() {
        recorded.map(|lock| lock.deps.clone()).unwrap_or_default()
    } else {
        let deps = stage.deps.iter().zip(&snapshot.deps);
        let old = |path: &str| recorded.and_then(|lock| lock.dep(path));
        deps.map(|(dep, now)| match snapshot.marks_of(&dep.path) {
            Some(marks) => {
                LockEntry { path: dep.path.clone(), artifact: None, extra: marks.clone() }
            }
            None => entry(&dep.path, *now, old(&dep.path)),
        })
        .collect()
    };
    let mut outs: Vec<LockEntry> = outs
        .into_iter()
        .map(|(path, artifact)| entry(path, artifact, recorded.and_then(|lock| lock.out(path))))
        .collect();
    if !stage.is_data_source() {
        deps.sort_by(|a, b| a.path.cmp(&b.path));
        outs.sort_by(|a, b| a.path.cmp(&b.path));
    }
    let mut params: Vec<_> = snapshot
        .params
        .iter()
        .map(|file| (file.file.clone(), file.table()))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    params.sort_by(|(a, _), (b, _)| {
        (a != "params.yaml").cmp(&(b != "params.yaml")).then_with(|| a.cmp(b))
    });
    StageLock { cmd: stage.cmd.clone(), deps, params, outs, extras: snapshot.extras() }
}

fn failed(failure: Failure) -> Early {
    Early::Failed(failure, Duration::ZERO)
}

/// Says what was attempted when a port fails; a stop is not a failure.
fn port(action: &'static str) -> impl Fn(PortError) -> Early {
    move |source| match source {
        PortError::Cancelled(_) => Early::NotStarted,
        source => failed(Failure::Port { action, source }),
    }
}

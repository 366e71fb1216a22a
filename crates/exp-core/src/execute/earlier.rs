//! Earlier runs that can stand for one that is due: that of the record, and those of the run cache.

use crate::changes::Snapshot;
use crate::ctx::Ctx;
use crate::event::RestoredFrom;
use crate::lock::StageLock;
use crate::plan::{Reason, Sources};
use crate::port::PortError;
use crate::stage::Stage;

use super::perform::{lock_of, recordable};

/// Finds a run with this command, these dependencies and these parameters whose outputs are all at hand: the recorded
/// one when only outputs changed, else the newest of the run cache.
pub(super) fn find_run(
    ctx: &Ctx<'_>,
    sources: &Sources<'_>,
    run_cache: bool,
    stage: &Stage,
    reasons: &[Reason],
    snapshot: &Snapshot,
    recorded: Option<&StageLock>,
) -> Result<Option<(RestoredFrom, StageLock)>, PortError> {
    if !recordable(stage) {
        return Ok(None);
    }
    let only_outs = reasons.iter().all(|reason| matches!(reason, Reason::Out { .. }));
    if let (true, Some(recorded)) = (only_outs, recorded)
        && at_hand(ctx, sources, stage, recorded)?
    {
        return Ok(Some((RestoredFrom::LockFile, recorded.clone())));
    }
    if !run_cache {
        return Ok(None);
    }
    for found in known_runs(sources, stage, snapshot)? {
        if all_stored(sources, &found)? {
            return Ok(Some((RestoredFrom::RunCache, found)));
        }
    }
    Ok(None)
}

/// Finds a run as [`find_run`] does in the run cache, of which the store has the record only and its outputs can be received.
pub(super) fn receive_run(
    ctx: &Ctx<'_>,
    sources: &Sources<'_>,
    stage: &Stage,
    snapshot: &Snapshot,
) -> Result<Option<(RestoredFrom, StageLock)>, PortError> {
    if !recordable(stage) {
        return Ok(None);
    }
    for found in known_runs(sources, stage, snapshot)? {
        sources.artifacts.receive(ctx, stage, &found)?;
        if all_stored(sources, &found)? {
            return Ok(Some((RestoredFrom::RunCache, found)));
        }
    }
    Ok(None)
}

/// Returns the runs of the run cache that had what the stage would have now, newest first.
fn known_runs(
    sources: &Sources<'_>,
    stage: &Stage,
    snapshot: &Snapshot,
) -> Result<Vec<StageLock>, PortError> {
    let wanted = wanted(stage, snapshot);
    let Some(key) = wanted.run_key() else { return Ok(Vec::new()) };
    let mut known = sources.artifacts.recall(&key)?;
    known.retain(|found| agrees(&wanted, found));
    Ok(known)
}

/// Returns what a run would record now but for the content of outputs.
pub(super) fn wanted(stage: &Stage, snapshot: &Snapshot) -> StageLock {
    let outs = stage.outs.iter().map(|out| (out.path.as_str(), None)).collect();
    lock_of(stage, snapshot, None, outs)
}

/// Returns whether the outputs of a record are stored, or, of those that are not for the store, unchanged in place.
fn at_hand(
    ctx: &Ctx<'_>,
    sources: &Sources<'_>,
    stage: &Stage,
    lock: &StageLock,
) -> Result<bool, PortError> {
    for out in &stage.outs {
        let Some(was) = lock.out(&out.path).and_then(|entry| entry.artifact) else {
            return Ok(false);
        };
        let unchanged = !out.cache
            && sources
                .inputs
                .artifact(ctx, &out.location)?
                .is_some_and(|now| now.same_content(&was));
        if !unchanged && !sources.artifacts.is_stored(&was)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn all_stored(sources: &Sources<'_>, lock: &StageLock) -> Result<bool, PortError> {
    for out in &lock.outs {
        let Some(artifact) = &out.artifact else { return Ok(false) };
        if !sources.artifacts.is_stored(artifact)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether a run of the run cache really had what is wanted. Its key is not enough: it leaves out
/// parameters called `size` and `nfiles`.
fn agrees(wanted: &StageLock, found: &StageLock) -> bool {
    let same_deps = wanted.deps.len() == found.deps.len()
        && wanted.deps.iter().all(|dep| {
            let other = found.dep(&dep.path).and_then(|entry| entry.artifact);
            matches!((dep.artifact, other), (Some(a), Some(b)) if a.same_content(&b))
        });
    let same_params = wanted.params.len() == found.params.len()
        && wanted.params.iter().all(|(file, values)| {
            found.params_of(file).is_some_and(|others| {
                values.len() == others.len()
                    && values.iter().all(|(key, value)| {
                        others.get(key).is_some_and(|other| other.same_as_python(value))
                    })
            })
        });
    let same_outs = wanted.outs.len() == found.outs.len()
        && wanted.outs.iter().all(|out| found.out(&out.path).is_some());
    wanted.cmd == found.cmd && same_deps && same_params && same_outs
}

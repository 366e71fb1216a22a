//! Receiving objects.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use exp_core::{Ctx, ObjectId, Task, TaskLabel, Unit};

use super::landing::{Landing, partial_name};
use super::persist::{Failure, persist_gaining};
use super::{Moved, TransferError, TransferPlan, TransferStats, members, run, split};
use crate::cache::Cache;
use crate::error::CacheError;
use crate::ingest::Staged;
use crate::remote::Remote;

/// Received objects that become durable together, at the most: so many, of so many bytes, that came within this time.
/// Making them durable costs about the same for one and for a thousand; what waits is received again after a crash.
const PART: usize = 2048;
const PART_BYTES: u64 = 256 << 20;
const PART_TIME: Duration = Duration::from_secs(5);

/// Receives what `plan` lists, with `jobs` threads.
///
/// Bytes are digested on the way in; those that are not what their name says are dropped and reported. An object that
/// fails does not stop the others. What was received stays when the work is cancelled, and the next transfer goes on
/// with a large object where this one stopped.
///
/// # Errors
///
/// When it is cancelled, or the store cannot be written.
pub fn pull(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &Remote,
    plan: TransferPlan,
    jobs: NonZeroUsize,
) -> Result<TransferStats, TransferError> {
    if plan.objects().next().is_none() {
        let missing = plan.missing;
        return Ok(TransferStats {
            already_there: plan.already_there,
            missing,
            ..Default::default()
        });
    }
    let task = ctx.task(TaskLabel::Pull, Some(plan.objects().count() as u64), Unit::Files);
    if let Some(bytes) = plan.expected {
        task.size(bytes);
    }
    let _writer = cache.enter()?;
    let begun = begun(cache);
    let arrivals = Arrivals { cache, waiting: Mutex::default(), unsynced: Mutex::default() };
    let one = |id: &ObjectId| {
        let is_begun = begun.contains(&partial_name(id));
        let Some((staged, len)) = receive(ctx, (cache, remote), (id, is_begun), &task)? else {
            return Ok(Moved::Missing);
        };
        // A store that cannot be written is everyone's failure, but the object that noticed reports it.
        arrivals.add(staged, len)?;
        Ok(Moved::Bytes(len))
    };
    let done = run(ctx, (&plan.files, jobs, &task), &one);
    arrivals.finish()?;
    let mut stats = done?;
    let (ready, held_back) = split(&plan, &stats);
    let is_partial = |id: &ObjectId| plan.partial.contains(id);
    let (partial, mut held_back): (Vec<_>, Vec<_>) = held_back.into_iter().partition(is_partial);
    for id in ready.iter().chain(&partial) {
        ctx.check()?;
        let (Some(tree), Some(bytes)) = (plan.trees.get(id), plan.manifests.get(id)) else {
            continue;
        };
        // An interrupted batch may have taken other objects with it, so the store is asked, not the statistics.
        if is_partial(id) || members(tree).all(|id| cache.contains(&id)) {
            cache.store_bytes(*id, bytes)?;
            stats.moved += 1;
        } else {
            held_back.push(*id);
        }
        task.advance(1);
    }
    if !stats.missing.is_empty() {
        // What was remembered of the remote is wrong.
        remote.known().forget();
    }
    stats.missing.extend(plan.missing);
    stats.missing.sort_unstable();
    stats.already_there = plan.already_there;
    stats.held_back = held_back;
    Ok(stats)
}

/// Received objects on their way to their names, shared by the threads that receive.
struct Arrivals<'c> {
    cache: &'c Cache,
    waiting: Mutex<Waiting>,
    /// Directories whose new names are not durable yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

/// Whole and right objects that have no name yet.
#[derive(Default)]
struct Waiting {
    staged: Vec<Staged>,
    bytes: u64,
    /// When the first of them came.
    since: Option<Instant>,
}

impl Arrivals<'_> {
    fn add(&self, staged: Staged, len: u64) -> Result<(), CacheError> {
        let part = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.staged.push(staged);
            waiting.bytes += len;
            let since = *waiting.since.get_or_insert_with(Instant::now);
            let is_part = waiting.staged.len() >= PART
                || waiting.bytes >= PART_BYTES
                || since.elapsed() >= PART_TIME;
            if !is_part {
                return Ok(());
            }
            std::mem::take(&mut *waiting)
        };
        let dirs = self.cache.give_names(part.staged)?;
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).extend(dirs);
        Ok(())
    }

    /// Names the rest, and makes all names durable.
    fn finish(self) -> Result<(), CacheError> {
        let Self { cache, waiting, unsynced } = self;
        let waiting = waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut dirs = unsynced.into_inner().unwrap_or_else(PoisonError::into_inner);
        dirs.extend(cache.give_names(waiting.staged)?);
        cache.sync_names(&dirs)
    }
}

/// Receives an object; `None` when the remote does not have it.
fn receive(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    (id, is_begun): (&ObjectId, bool),
    task: &Task<'_>,
) -> Result<Option<(Staged, u64)>, TransferError> {
    let mut landing = Landing::begin(ctx, cache, (id, is_begun), task)?;
    // What another process left may be of something else; then all of it is read again, once.
    let mut may_restart = landing.offset() > 0;
    loop {
        let fetched = persist_gaining(ctx, &mut || {
            let before = landing.offset();
            let result = remote.fetch(ctx, id, before, &mut landing).map_err(Failure::Remote);
            let result = match landing.failure() {
                Some(failure) => Err(Failure::Cache(failure)),
                None => result,
            };
            (result, landing.offset() > before)
        });
        match fetched {
            Err(err) if err.is_absence() => return Ok(None),
            Err(Failure::Remote(_)) if may_restart && ctx.cancel_token().requested().is_none() => {
                may_restart = false;
                landing.restart()?;
                continue;
            }
            Err(err) => return Err(err.of(remote, Some(id))),
            Ok(_) => {}
        }
        match landing.finish()? {
            Ok(received) => return Ok(Some(received)),
            Err(_) if may_restart => {
                may_restart = false;
                landing = Landing::begin(ctx, cache, (id, false), task)?;
            }
            Err(found) => return Err(Failure::Damaged(found).of(remote, Some(id))),
        }
    }
}

/// Returns the names of objects of which an earlier process left the beginning.
fn begun(cache: &Cache) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(cache.0.layout.partial()) else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

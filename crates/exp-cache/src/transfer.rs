//! Moving objects between the store and a remote: look first, then send or receive what is missing.
//!
//! Files go first, by a bounded number of threads; a directory's manifest goes last and only when the other side has
//! every file it lists. So whoever finds a manifest finds the directory, at any moment, also after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use exp_core::{Cancelled, Ctx, Digest, ObjectId, Task, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::{Cache, parse_tree};
use crate::content::DigestWriter;
use crate::error::{CacheError, io_error};
use crate::ingest::Staged;
use crate::remote::{Remote, RemoteError, RemoteErrorKind};
use crate::runs::RunId;
use crate::session::enter;
use crate::tree::Tree;

/// Objects asked for at once.
const BATCH: usize = 4096;

/// Received objects that become durable together.
const PUBLISH: usize = 256;

/// Waits before the second, third and fourth try of something that failed for the moment.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_millis(2500)];

/// A transfer that failed as a whole. What fails for single objects is in [`TransferStats::failed`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The store failed.
    #[error(transparent)]
    Cache(CacheError),
    /// The remote failed.
    #[error("remote `{label}` failed")]
    Remote {
        /// Its name.
        label: String,
        /// How.
        source: RemoteError,
    },
    /// A manifest that the remote has is not what its name says.
    #[error("remote `{label}` has a damaged object")]
    Damaged {
        /// Its name.
        label: String,
        /// Which object, and how.
        source: CacheError,
    },
}

impl From<CacheError> for TransferError {
    fn from(err: CacheError) -> Self {
        match err {
            CacheError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            err => Self::Cache(err),
        }
    }
}

/// What a transfer would move. Made by [`plan_push`] and [`plan_pull`], used up by [`push`] and [`pull`].
#[derive(Debug, Default)]
pub struct TransferPlan {
    files: Vec<ObjectId>,
    /// What the plan read of manifests that are to be moved.
    trees: BTreeMap<ObjectId, Tree>,
    /// The bytes of received manifests, which need not be canonical.
    manifests: BTreeMap<ObjectId, Vec<u8>>,
    already_there: u64,
    missing: Vec<ObjectId>,
}

impl TransferPlan {
    /// Returns the files that would be moved, then the manifests.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectId> {
        self.files.iter().chain(self.trees.keys())
    }

    /// Returns how many objects the other side has already.
    pub fn already_there(&self) -> u64 {
        self.already_there
    }

    /// Returns the objects that neither side has, ordered. The manifests that list them are not moved.
    pub fn missing(&self) -> &[ObjectId] {
        &self.missing
    }
}

/// What a transfer did.
#[derive(Debug, Default)]
pub struct TransferStats {
    /// Objects moved, manifests included.
    pub moved: u64,
    /// Bytes of the moved files.
    pub bytes: u64,
    /// Objects that the other side had already.
    pub already_there: u64,
    /// Objects that neither side has, ordered.
    pub missing: Vec<ObjectId>,
    /// Objects that could not be moved, each with the reason; tried four times if that could help.
    pub failed: Vec<(ObjectId, TransferError)>,
    /// Manifests held back because a file of theirs is missing or failed.
    pub held_back: Vec<ObjectId>,
}

/// Plans sending the objects `ids`, and the files of the directories among them.
///
/// # Errors
///
/// When the remote cannot be asked, or a manifest in the store cannot be used.
pub fn plan_push(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &dyn Remote,
    ids: &BTreeSet<ObjectId>,
) -> Result<TransferPlan, TransferError> {
    let mut trees = BTreeMap::new();
    let mut wanted = ids.clone();
    for id in ids.iter().filter(|id| id.is_tree()) {
        ctx.check()?;
        match cache.read_tree(id) {
            Ok(tree) => {
                wanted.extend(members(&tree));
                trees.insert(*id, tree);
            }
            Err(CacheError::Missing { .. }) => {}
            Err(err) => return Err(err.into()),
        }
    }
    let wanted: Vec<ObjectId> = wanted.into_iter().collect();
    let on_remote = ask(ctx, remote, &wanted)?;
    let in_cache: Vec<bool> = wanted
        .par_iter()
        .zip(&on_remote)
        .map(|(id, there)| !*there && cache.contains(id))
        .collect();
    let mut plan = TransferPlan::default();
    for ((id, on_remote), in_cache) in wanted.into_iter().zip(on_remote).zip(in_cache) {
        if on_remote {
            plan.already_there += 1;
        } else if !in_cache {
            plan.missing.push(id);
        } else if let Some(tree) = trees.remove(&id) {
            plan.trees.insert(id, tree);
        } else {
            plan.files.push(id);
        }
    }
    Ok(plan)
}

/// Plans receiving the objects `ids`, and the files of the directories among them.
///
/// Manifests that the store lacks are received into memory: only they say which files are needed.
///
/// # Errors
///
/// When the remote cannot be asked, or a manifest of either side cannot be used.
pub fn plan_pull(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &dyn Remote,
    ids: &BTreeSet<ObjectId>,
) -> Result<TransferPlan, TransferError> {
    let mut plan = TransferPlan::default();
    let mut files: BTreeSet<ObjectId> = ids.iter().filter(|id| !id.is_tree()).copied().collect();
    for id in ids.iter().filter(|id| id.is_tree()) {
        ctx.check()?;
        match cache.read_tree(id) {
            Ok(tree) => {
                plan.already_there += 1;
                files.extend(members(&tree));
                continue;
            }
            Err(CacheError::Missing { .. } | CacheError::Corrupt { .. }) => {}
            Err(err) => return Err(err.into()),
        }
        let mut bytes = Vec::new();
        let fetched = persist(ctx, &mut || {
            bytes.clear();
            remote.fetch(id, &mut bytes)
        });
        match fetched {
            Ok(_) => {
                let tree = parse_tree(id, &bytes).map_err(|source| damaged(remote, source))?;
                files.extend(members(&tree));
                plan.trees.insert(*id, tree);
                plan.manifests.insert(*id, bytes);
            }
            Err(Failure::Remote(err)) if err.kind == RemoteErrorKind::NotFound => {
                plan.missing.push(*id);
            }
            Err(err) => return Err(err.of(remote)),
        }
    }
    let files: Vec<ObjectId> = files.into_iter().collect();
    let in_cache: Vec<bool> = files.par_iter().map(|id| cache.contains(id)).collect();
    let absent: Vec<ObjectId> =
        files.iter().zip(&in_cache).filter(|(_, here)| !**here).map(|(id, _)| *id).collect();
    plan.already_there += (files.len() - absent.len()) as u64;
    let on_remote = ask(ctx, remote, &absent)?;
    for (id, on_remote) in absent.into_iter().zip(on_remote) {
        if on_remote { plan.files.push(id) } else { plan.missing.push(id) }
    }
    plan.missing.sort_unstable();
    Ok(plan)
}

/// Sends what `plan` lists, with `jobs` threads.
///
/// An object that fails does not stop the others. What was sent stays when the work is cancelled.
///
/// # Errors
///
/// When it is cancelled, or the remote cannot make durable what it got.
pub fn push(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &dyn Remote,
    plan: TransferPlan,
    jobs: NonZeroUsize,
) -> Result<TransferStats, TransferError> {
    let task = ctx.task(TaskLabel::Push, Some(plan.objects().count() as u64), Unit::Files);
    let send = |id: &ObjectId| {
        let mut len = 0;
        persist(ctx, &mut || {
            let mut file = cache.read(id).map_err(Failure::Cache)?;
            len = file.metadata().map_err(io_error("look at", &cache.object_path(id)))?.len();
            remote.store(id, len, &mut file).map_err(Failure::Remote)
        })
        .map_err(|err| err.of(remote))?;
        Ok(len)
    };
    let flush = || remote.flush().map_err(|source| Failure::Remote(source).of(remote));
    let mut stats = run(ctx, (&plan.files, jobs, &task), &send)?;
    flush()?;
    let (ready, held_back) = split(&plan, &stats);
    let trees = run(ctx, (&ready, jobs, &task), &send)?;
    flush()?;
    stats.moved += trees.moved;
    stats.failed.extend(trees.failed);
    finish(&mut stats, plan, held_back);
    Ok(stats)
}

/// Receives what `plan` lists, with `jobs` threads.
///
/// Bytes are digested on the way in; those that are not what their name says are dropped and reported. An object that
/// fails does not stop the others. What was received stays when the work is cancelled.
///
/// # Errors
///
/// When it is cancelled, or the store cannot be written.
pub fn pull(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &dyn Remote,
    plan: TransferPlan,
    jobs: NonZeroUsize,
) -> Result<TransferStats, TransferError> {
    let task = ctx.task(TaskLabel::Pull, Some(plan.objects().count() as u64), Unit::Files);
    let _writer = enter(&cache.0.layout, &cache.0.disk)?;
    let received = Mutex::new(Vec::new());
    let receive = |id: &ObjectId| {
        let (staged, len) = receive(ctx, (cache, remote), id)?;
        let batch = {
            let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
            received.push(staged);
            if received.len() < PUBLISH { Vec::new() } else { std::mem::take(&mut *received) }
        };
        // A store that cannot be written is everyone's failure, but the object that noticed reports it.
        cache.publish(batch)?;
        Ok(len)
    };
    let done = run(ctx, (&plan.files, jobs, &task), &receive);
    cache.publish(received.into_inner().unwrap_or_else(PoisonError::into_inner))?;
    let mut stats = done?;
    let (ready, mut held_back) = split(&plan, &stats);
    for id in &ready {
        ctx.check()?;
        let (Some(tree), Some(bytes)) = (plan.trees.get(id), plan.manifests.get(id)) else {
            continue;
        };
        // An interrupted batch may have taken other objects with it, so the store is asked, not the statistics.
        if members(tree).all(|id| cache.contains(&id)) {
            cache.store_bytes(*id, bytes)?;
            stats.moved += 1;
        } else {
            held_back.push(*id);
        }
        task.advance(1);
    }
    finish(&mut stats, plan, held_back);
    Ok(stats)
}

fn receive(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &dyn Remote),
    id: &ObjectId,
) -> Result<(Staged, u64), TransferError> {
    let mut last = None;
    persist(ctx, &mut || {
        let temp = cache.session()?.temp();
        let disk = &cache.0.disk;
        let mut file = disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
        let mut writer = DigestWriter::new(id.digest.algorithm(), &mut file);
        remote.fetch(id, &mut writer).map_err(Failure::Remote)?;
        let (found, len) = writer.finish();
        if found != id.digest {
            return Err(Failure::Damaged(found));
        }
        cache.make_read_only(&temp)?;
        last = Some((Staged { id: *id, temp }, len));
        Ok(())
    })
    .map_err(|err| match err {
        Failure::Damaged(found) => damaged(remote, CacheError::Corrupt { id: *id, found }),
        err => err.of(remote),
    })?;
    last.ok_or(TransferError::Cache(CacheError::Missing { id: *id }))
}

/// Why one try failed.
enum Failure {
    Cancelled(Cancelled),
    Cache(CacheError),
    Remote(RemoteError),
    Damaged(Digest),
}

impl From<CacheError> for Failure {
    fn from(err: CacheError) -> Self {
        Self::Cache(err)
    }
}

impl From<RemoteError> for Failure {
    fn from(err: RemoteError) -> Self {
        Self::Remote(err)
    }
}

impl Failure {
    fn of(self, remote: &dyn Remote) -> TransferError {
        let label = remote.label().to_owned();
        match self {
            Self::Cancelled(cancelled) => TransferError::Cancelled(cancelled),
            Self::Cache(err) => err.into(),
            Self::Remote(source) => TransferError::Remote { label, source },
            Self::Damaged(found) => {
                let source = CacheError::Corrupt { id: ObjectId::file(found), found };
                TransferError::Damaged { label, source }
            }
        }
    }
}

fn damaged(remote: &dyn Remote, source: CacheError) -> TransferError {
    TransferError::Damaged { label: remote.label().to_owned(), source }
}

/// Tries again, after a pause, what failed for the moment.
fn persist<T, E: Into<Failure>>(
    ctx: &Ctx<'_>,
    attempt: &mut dyn FnMut() -> Result<T, E>,
) -> Result<T, Failure> {
    let mut pauses = PAUSES.iter();
    loop {
        ctx.check().map_err(Failure::Cancelled)?;
        match attempt().map_err(Into::into) {
            Err(Failure::Remote(err)) if err.kind == RemoteErrorKind::Temporary => {
                match pauses.next() {
                    Some(pause) => ctx.cancel_token().sleep(*pause),
                    None => return Err(Failure::Remote(err)),
                };
            }
            result => return result,
        }
    }
}

fn ask(ctx: &Ctx<'_>, remote: &dyn Remote, ids: &[ObjectId]) -> Result<Vec<bool>, TransferError> {
    let mut answers = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let known = persist(ctx, &mut || remote.contains(batch)).map_err(|err| err.of(remote))?;
        answers.extend(known);
    }
    // An answer that is too short is no promise that the rest is there.
    answers.resize(ids.len(), false);
    Ok(answers)
}

/// Moves each object, in any order, by up to `jobs` threads.
fn run(
    ctx: &Ctx<'_>,
    (ids, jobs, task): (&[ObjectId], NonZeroUsize, &Task<'_>),
    one: &(dyn Fn(&ObjectId) -> Result<u64, TransferError> + Sync),
) -> Result<TransferStats, TransferError> {
    let next = AtomicUsize::new(0);
    let stats = Mutex::new(TransferStats::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(ids.len()) {
            scope.spawn(|| {
                while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Neither wish starts a new object.
                    if ctx.cancel_token().requested().is_some() {
                        return;
                    }
                    let result = one(id);
                    task.advance(1);
                    let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(len) => {
                            stats.moved += 1;
                            stats.bytes += len;
                        }
                        Err(err) => stats.failed.push((*id, err)),
                    }
                }
            });
        }
    });
    if ctx.cancel_token().requested().is_some() {
        return Err(Cancelled.into());
    }
    let mut stats = stats.into_inner().unwrap_or_else(PoisonError::into_inner);
    stats.failed.sort_by_key(|(id, _)| *id);
    Ok(stats)
}

/// Parts the manifests into those whose files are all on the other side, and the rest.
fn split(plan: &TransferPlan, stats: &TransferStats) -> (Vec<ObjectId>, Vec<ObjectId>) {
    let absent: BTreeSet<ObjectId> =
        plan.missing.iter().copied().chain(stats.failed.iter().map(|(id, _)| *id)).collect();
    plan.trees
        .keys()
        .copied()
        .partition(|id| members(&plan.trees[id]).all(|member| !absent.contains(&member)))
}

fn finish(stats: &mut TransferStats, plan: TransferPlan, held_back: Vec<ObjectId>) {
    stats.already_there = plan.already_there;
    stats.missing = plan.missing;
    stats.held_back = held_back;
}

fn members(tree: &Tree) -> impl Iterator<Item = ObjectId> {
    tree.entries().iter().map(|entry| ObjectId::file(entry.digest))
}

/// Sends the recorded runs that the remote lacks, and returns how many those were.
///
/// # Errors
///
/// When either side fails or the work is cancelled; runs sent before stay.
pub fn push_runs(ctx: &Ctx<'_>, cache: &Cache, remote: &dyn Remote) -> Result<u64, TransferError> {
    let there: BTreeSet<RunId> =
        persist(ctx, &mut || remote.runs()).map_err(|err| err.of(remote))?.into_iter().collect();
    let mut n_sent = 0;
    for id in cache.runs().list()?.into_iter().filter(|id| !there.contains(id)) {
        let path = cache.0.layout.runs(&id.key).join(id.value.to_hex());
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        persist(ctx, &mut || remote.store_run(&id, &text)).map_err(|err| err.of(remote))?;
        n_sent += 1;
    }
    Ok(n_sent)
}

/// Receives the recorded runs that the store lacks, and returns how many those were.
///
/// # Errors
///
/// As [`push_runs`].
pub fn pull_runs(ctx: &Ctx<'_>, cache: &Cache, remote: &dyn Remote) -> Result<u64, TransferError> {
    let here: BTreeSet<RunId> = cache.runs().list()?.into_iter().collect();
    let there = persist(ctx, &mut || remote.runs()).map_err(|err| err.of(remote))?;
    let mut n_received = 0;
    for id in there.into_iter().filter(|id| !here.contains(id)) {
        let text = persist(ctx, &mut || remote.fetch_run(&id)).map_err(|err| err.of(remote))?;
        cache.runs().save(&id, &text)?;
        n_received += 1;
    }
    Ok(n_received)
}

//! What a remote has already, found with few requests.
//!
//! A near storage is asked for every object. A far one is asked in this order, until nothing is left to ask:
//!
//! 1. Each wanted manifest. One that is there, and whose files we have seen there before, vouches for them.
//! 2. A few manifests seen complete before: those still there vouch for the files that they share with wanted ones.
//! 3. A few random files that were vouched for. If one is gone, nothing that was remembered counts.
//! 4. Every other object, by a look at it, or by listings where they take fewer requests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use exp_core::{Cancelled, Ctx, ObjectId};

use super::persist::{persist, random};
use super::{TransferError, members};
use crate::cache::Cache;
use crate::remote::Remote;
use crate::storage::StorageError;
use crate::tree::Tree;

/// Objects asked for in one call.
const BATCH: usize = 256;

/// Calls at once.
const CALLS: usize = 8;

/// Earlier manifests that are looked at for files that they share with new ones.
const EARLIER: usize = 4;

/// Fewer files than this are asked for one by one rather than by reading earlier manifests.
const WORTH: usize = 16;

/// Vouched files that are looked at all the same.
const SPOT_CHECKS: usize = 6;

/// Shards of the layout: the first two digits of a digest.
const SHARDS: usize = 256;

/// Names in one answer to a listing, as most services have it.
const PAGE: usize = 1000;

/// Returns which of `wanted` the remote has. `trees` has the manifests among them, as far as they are known.
pub(super) fn presence(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    wanted: &BTreeSet<ObjectId>,
    trees: &BTreeMap<ObjectId, Tree>,
) -> Result<BTreeSet<ObjectId>, TransferError> {
    let mut there = BTreeSet::new();
    let mut vouched = BTreeSet::new();
    let complete = remote.known().complete();
    let asked_trees = !remote.storage().abilities().is_near && !complete.is_empty();
    if asked_trees {
        let manifests: Vec<ObjectId> = wanted.iter().filter(|id| id.is_tree()).copied().collect();
        there.extend(ask(ctx, remote, &manifests)?);
        let gone: Vec<ObjectId> = (manifests.iter())
            .filter(|id| complete.contains(id) && !there.contains(id))
            .copied()
            .collect();
        remote.known().drop_these(&gone);
        for id in manifests.iter().filter(|id| there.contains(id) && complete.contains(id)) {
            vouched.extend(trees.get(id).into_iter().flat_map(members));
        }
        let is_open = |id: &ObjectId| !id.is_tree() && wanted.contains(id);
        let n_open = wanted.iter().filter(|id| is_open(id) && !vouched.contains(id)).count();
        if n_open >= WORTH {
            earlier(ctx, (cache, remote), &complete, &manifests, &mut vouched)?;
        }
        vouched.retain(is_open);
        if is_void(ctx, remote, &vouched)? {
            remote.known().forget();
            vouched.clear();
        }
    }
    let is_known = |id: &ObjectId| vouched.contains(id) || (asked_trees && id.is_tree());
    let rest: Vec<ObjectId> = wanted.iter().filter(|id| !is_known(id)).copied().collect();
    there.extend(vouched);
    there.extend(ask_all(ctx, remote, &rest)?);
    Ok(there)
}

/// Lets manifests that were seen complete, and are still there, vouch for their files.
fn earlier(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    complete: &[ObjectId],
    manifests: &[ObjectId],
    vouched: &mut BTreeSet<ObjectId>,
) -> Result<(), TransferError> {
    // A manifest that is not in the store cannot tell what it vouches for.
    let candidates: Vec<ObjectId> = (complete.iter())
        .filter(|id| !manifests.contains(id) && cache.contains(id))
        .take(EARLIER)
        .copied()
        .collect();
    let there = ask(ctx, remote, &candidates)?;
    let gone: Vec<ObjectId> = candidates.iter().filter(|id| !there.contains(id)).copied().collect();
    remote.known().drop_these(&gone);
    for id in &there {
        ctx.check()?;
        if let Ok(tree) = cache.read_tree(id) {
            vouched.extend(members(&tree));
        }
    }
    Ok(())
}

/// Looks at a few of the files that were vouched for; returns whether one is gone.
fn is_void(
    ctx: &Ctx<'_>,
    remote: &Remote,
    vouched: &BTreeSet<ObjectId>,
) -> Result<bool, TransferError> {
    let all: Vec<&ObjectId> = vouched.iter().collect();
    let mut sample = BTreeSet::new();
    for _ in 0..SPOT_CHECKS.min(all.len()) {
        let at = usize::try_from(random()).unwrap_or_default() % all.len();
        sample.insert(*all[at]);
    }
    let sample: Vec<ObjectId> = sample.into_iter().collect();
    Ok(ask(ctx, remote, &sample)?.len() < sample.len())
}

/// Looks for objects, by looks at each or by listings.
fn ask_all(
    ctx: &Ctx<'_>,
    remote: &Remote,
    ids: &[ObjectId],
) -> Result<BTreeSet<ObjectId>, TransferError> {
    let abilities = remote.storage().abilities();
    if abilities.is_near || !abilities.list || ids.len() <= 2 * SHARDS {
        return ask(ctx, remote, ids);
    }
    let mut there = BTreeSet::new();
    let mut by_algorithm: BTreeMap<_, Vec<ObjectId>> = BTreeMap::new();
    for id in ids {
        by_algorithm.entry(id.digest.algorithm().name()).or_default().push(*id);
    }
    for ids in by_algorithm.into_values() {
        let Some(first) = ids.first().copied() else { continue };
        let algorithm = first.digest.algorithm();
        // One shard tells how many objects there are, and so how many requests the others take.
        let shard = shard_of(&first);
        let sample = list(ctx, remote, &shard, &first)?;
        let n_pages = 1 + sample.len() / PAGE;
        if ids.len() <= 2 * SHARDS || n_pages * SHARDS >= ids.len() {
            there.extend(ask(ctx, remote, &ids)?);
            continue;
        }
        let wanted: BTreeSet<ObjectId> = ids.iter().copied().collect();
        let shards: BTreeSet<String> =
            ids.iter().map(shard_of).filter(|one| *one != shard).collect();
        let shards: Vec<String> = shards.into_iter().collect();
        there.extend(sample.intersection(&wanted));
        debug_assert!(wanted.iter().all(|id| id.digest.algorithm() == algorithm), "parted above");
        let found = at_once(ctx, &shards, 1, &|shards| {
            let mut found = BTreeSet::new();
            for shard in shards {
                found.extend(list(ctx, remote, shard, &first)?);
            }
            Ok(found)
        })?;
        there.extend(found.intersection(&wanted));
    }
    Ok(there)
}

fn shard_of(id: &ObjectId) -> String {
    id.to_string().chars().take(2).collect()
}

/// Lists the objects of one shard that are named as `like` is.
fn list(
    ctx: &Ctx<'_>,
    remote: &Remote,
    shard: &str,
    like: &ObjectId,
) -> Result<BTreeSet<ObjectId>, TransferError> {
    persist(ctx, &mut || {
        let mut found = BTreeSet::new();
        remote.list(ctx, like.digest.algorithm(), shard, &mut |id, _| {
            found.insert(id);
            ControlFlow::Continue(())
        })?;
        Ok::<_, StorageError>(found)
    })
    .map_err(|err| err.of(remote, None))
}

/// Looks at each object.
fn ask(
    ctx: &Ctx<'_>,
    remote: &Remote,
    ids: &[ObjectId],
) -> Result<BTreeSet<ObjectId>, TransferError> {
    at_once(ctx, ids, BATCH, &|batch| {
        let there = persist(ctx, &mut || remote.contains(ctx, batch))
            .map_err(|err| err.of(remote, None))?;
        // An answer that is too short is no promise that the rest is there.
        Ok(batch.iter().zip(there).filter(|(_, there)| *there).map(|(id, _)| *id).collect())
    })
}

/// Finds objects by some of the items.
type Look<'l, T> = dyn Fn(&[T]) -> Result<BTreeSet<ObjectId>, TransferError> + Sync + 'l;

/// Does `one` for each batch of `items`, several at once, and joins what they find.
fn at_once<T: Sync>(
    ctx: &Ctx<'_>,
    items: &[T],
    batch: usize,
    one: &Look<'_, T>,
) -> Result<BTreeSet<ObjectId>, TransferError> {
    let batches = Mutex::new(items.chunks(batch));
    let found = Mutex::new(Ok(BTreeSet::new()));
    let work = || loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(batch) = next.filter(|_| ctx.cancel_token().requested().is_none()) else { return };
        let result = one(batch);
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *found, result) {
            (Ok(all), Ok(more)) => all.extend(more),
            (Ok(_), Err(err)) => *found = Err(err),
            (Err(_), _) => return,
        }
    };
    let n_threads = CALLS.min(items.len().div_ceil(batch));
    if n_threads <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..n_threads {
                scope.spawn(work);
            }
        });
    }
    if ctx.cancel_token().requested().is_some() {
        return Err(Cancelled.into());
    }
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

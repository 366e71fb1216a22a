//! Moving objects between the store and a remote: look first, then send or receive what is missing.
//!
//! Files go first, by a bounded number of threads; a directory's manifest goes last and only when the other side has
//! every file it lists. So whoever finds a manifest finds the directory, at any moment, also after a crash. (A manifest
//! that somebody else sent need not keep this promise, so it is believed only where we saw its files: see `known`.)

mod known;
mod landing;
mod persist;
mod plan;
mod presence;
mod receive;
mod runs;
mod send;
mod straight;
mod versions;
mod wanted;

pub(crate) use known::Known;
pub use plan::{
    Comparison, TransferPlan, compare, plan_pull, plan_pull_parts, plan_push, plan_push_parts,
};
pub use receive::pull;
pub use runs::{pull_runs, push_runs};
pub use send::push;
pub use straight::push_path;
pub use versions::{Version, VersionedFile, VersionedObjects, VersionedStats, push_versions};
pub use wanted::Wanted;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use exp_core::{Cancelled, Ctx, ObjectId, RelPath, Task};

use crate::error::CacheError;
use crate::storage::StorageError;
use crate::tree::Tree;

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
        source: StorageError,
    },
    /// An object that the remote has is not what its name says.
    #[error("remote `{label}` has a damaged object")]
    Damaged {
        /// Its name.
        label: String,
        /// Which object, and how.
        source: CacheError,
    },
    /// A remote that is to keep versions has a file without one: its bucket keeps none.
    #[error("`{key}` has no version on remote `{label}`")]
    NoVersions {
        /// Its name.
        label: String,
        /// The file.
        key: RelPath,
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
    /// Objects that could not be moved, each with the reason; tried several times if that could help. Ordered.
    pub failed: Vec<(ObjectId, TransferError)>,
    /// Manifests held back because a file of theirs is missing or failed.
    pub held_back: Vec<ObjectId>,
}

/// What became of one object.
enum Moved {
    /// It has so many bytes.
    Bytes(u64),
    /// The side that it comes from does not have it.
    Missing,
}

/// Moves each object, in any order, by up to `jobs` threads.
fn run(
    ctx: &Ctx<'_>,
    (ids, jobs, task): (&[ObjectId], NonZeroUsize, &Task<'_>),
    one: &(dyn Fn(&ObjectId) -> Result<Moved, TransferError> + Sync),
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
                        Ok(Moved::Bytes(len)) => {
                            stats.moved += 1;
                            stats.bytes += len;
                        }
                        Ok(Moved::Missing) => stats.missing.push(*id),
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
    stats.missing.sort_unstable();
    Ok(stats)
}

/// Parts the manifests into those whose files are all on the other side, and the rest.
fn split(plan: &TransferPlan, stats: &TransferStats) -> (Vec<ObjectId>, Vec<ObjectId>) {
    let failed = stats.failed.iter().map(|(id, _)| *id);
    let absent: BTreeSet<ObjectId> = plan
        .missing
        .iter()
        .chain(&plan.left)
        .chain(&stats.missing)
        .copied()
        .chain(failed)
        .collect();
    plan.trees
        .keys()
        .copied()
        .partition(|id| members(&plan.trees[id]).all(|member| !absent.contains(&member)))
}

/// Returns the files that a manifest lists, in its order; one that it lists twice, twice.
fn members(tree: &Tree) -> impl Iterator<Item = ObjectId> {
    tree.entries().iter().map(|entry| ObjectId::file(entry.digest))
}

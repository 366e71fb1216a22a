//! Trying again what failed for the moment.

use std::time::{Duration, Instant};

use exp_core::{Cancelled, Ctx, Digest, ObjectId};

use super::TransferError;
use crate::error::CacheError;
use crate::remote::Remote;
use crate::storage::{StorageError, StorageErrorKind};

/// The longest wait before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// No wait is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// So many tries in a row that gained nothing are enough.
const TRIES: u32 = 6;

/// Nothing is tried again so long after the last gain.
const DEADLINE: Duration = Duration::from_mins(1);

/// Why one try failed.
pub(super) enum Failure {
    Cancelled(Cancelled),
    Cache(CacheError),
    Remote(StorageError),
    Damaged(Digest),
}

impl From<CacheError> for Failure {
    fn from(err: CacheError) -> Self {
        Self::Cache(err)
    }
}

impl From<StorageError> for Failure {
    fn from(err: StorageError) -> Self {
        Self::Remote(err)
    }
}

impl Failure {
    /// Returns whether the remote says that it does not have it.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Remote(err) if err.kind == StorageErrorKind::NotFound)
    }

    pub(super) fn of(self, remote: &Remote, id: Option<&ObjectId>) -> TransferError {
        let label = remote.label().to_owned();
        match self {
            Self::Cancelled(cancelled) => TransferError::Cancelled(cancelled),
            Self::Remote(err) if err.kind == StorageErrorKind::Cancelled => Cancelled.into(),
            Self::Cache(err) => err.into(),
            Self::Remote(source) => TransferError::Remote { label, source },
            Self::Damaged(found) => {
                let id = id.copied().unwrap_or(ObjectId::file(found));
                TransferError::Damaged { label, source: CacheError::Corrupt { id, found } }
            }
        }
    }
}

/// Tries again, after a pause, what failed for the moment.
pub(super) fn persist<T, E: Into<Failure>>(
    ctx: &Ctx<'_>,
    attempt: &mut dyn FnMut() -> Result<T, E>,
) -> Result<T, Failure> {
    persist_gaining(ctx, &mut || (attempt(), false))
}

/// Tries again what failed for the moment; a try that says that it gained something does not count.
pub(super) fn persist_gaining<T, E: Into<Failure>>(
    ctx: &Ctx<'_>,
    attempt: &mut dyn FnMut() -> (Result<T, E>, bool),
) -> Result<T, Failure> {
    let (mut n_tries, mut began) = (0, Instant::now());
    loop {
        ctx.check().map_err(Failure::Cancelled)?;
        let (result, has_gained) = attempt();
        match result.map_err(Into::into) {
            Err(Failure::Remote(err)) if err.kind == StorageErrorKind::Temporary => {
                if has_gained {
                    (n_tries, began) = (0, Instant::now());
                }
                n_tries += 1;
                if n_tries >= TRIES || began.elapsed() >= DEADLINE {
                    return Err(Failure::Remote(err));
                }
                ctx.cancel_token().sleep(pause(n_tries));
            }
            result => return result,
        }
    }
}

/// Between half of the longest pause and all of it, so that many clients do not come back at once.
fn pause(n_tries: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << (n_tries - 1).min(16)).min(LONGEST_PAUSE);
    let half = longest / 2;
    let part = u32::try_from(random() % 1_000).unwrap_or_default();
    half + half * part / 1_000
}

/// Returns a number that nobody foresees.
pub(super) fn random() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8)
}

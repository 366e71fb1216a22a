//! The run cache travels: only the names of runs are listed, and only what is missing is moved.

use std::collections::BTreeSet;
use std::fs;

use exp_core::Ctx;

use super::TransferError;
use super::persist::persist;
use crate::cache::Cache;
use crate::error::io_error;
use crate::remote::Remote;
use crate::runs::RunId;

/// Sends the recorded runs that the remote lacks, and returns how many those were.
///
/// # Errors
///
/// When either side fails or the work is cancelled; runs sent before stay.
pub fn push_runs(ctx: &Ctx<'_>, cache: &Cache, remote: &Remote) -> Result<u64, TransferError> {
    let here = cache.runs().list()?;
    if here.is_empty() {
        return Ok(0);
    }
    let there: BTreeSet<RunId> = persist(ctx, &mut || remote.runs(ctx))
        .map_err(|err| err.of(remote, None))?
        .into_iter()
        .collect();
    let mut n_sent = 0;
    for id in here.into_iter().filter(|id| !there.contains(id)) {
        let path = cache.0.layout.runs(&id.key).join(id.value.to_hex());
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        persist(ctx, &mut || remote.store_run(ctx, &id, &text))
            .map_err(|err| err.of(remote, None))?;
        n_sent += 1;
    }
    Ok(n_sent)
}

/// Receives the recorded runs that the store lacks, and returns how many those were.
///
/// # Errors
///
/// As [`push_runs`].
pub fn pull_runs(ctx: &Ctx<'_>, cache: &Cache, remote: &Remote) -> Result<u64, TransferError> {
    let here: BTreeSet<RunId> = cache.runs().list()?.into_iter().collect();
    let there = persist(ctx, &mut || remote.runs(ctx)).map_err(|err| err.of(remote, None))?;
    let mut n_received = 0;
    for id in there.into_iter().filter(|id| !here.contains(id)) {
        let text =
            persist(ctx, &mut || remote.fetch_run(ctx, &id)).map_err(|err| err.of(remote, None))?;
        cache.runs().save(&id, &text)?;
        n_received += 1;
    }
    Ok(n_received)
}

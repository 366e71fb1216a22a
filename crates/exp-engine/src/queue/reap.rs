//! Finishing what workers left that are gone.
//!
//! Whoever looks at the queue does this first. Each step can be repeated, and of two that do it at a time one wins.

use std::collections::BTreeSet;
use std::time::Duration;

use exp_core::Ctx;
use exp_refs::{Expected, RefChange};

use super::add::Adding;
use super::worker::Claim;
use super::{JobEnd, Outcome, Queue};
use crate::change::JobRef;
use crate::error::Error;
use crate::process::Life;
use crate::recover;

pub(super) fn reap(queue: &Queue, ctx: &Ctx<'_>) -> Result<(), Error> {
    recover::recover_jobs(&queue.project, ctx)?;
    let listing = queue.listing()?;
    for first in &listing.adding {
        if let Some(adding) = queue.board.read(&format!("adding.{first}"))? {
            take_back(queue, *first, &adding)?;
        }
    }
    for (number, listed) in &listing.jobs {
        let attempt = listed.attempt;
        if attempt == 0 || listed.marks.is_ended || listed.marks.is_again {
            continue;
        }
        let Some(claim) = queue.board.read::<Claim>(&format!("{number}.{attempt}.claim"))? else {
            continue;
        };
        let is_alive = if claim.worker.is_empty() {
            claim.owner.life() != Life::Dead
        } else {
            queue.is_alive(&claim.worker, &claim.owner)?
        };
        if !is_alive {
            settle(queue, ctx, JobRef { number: *number, attempt })?;
        }
    }
    for (number, listed) in &listing.jobs {
        // One lock is in the way of all of them.
        if listed.is_undropped && queue.try_drop_ref(*number, Duration::ZERO).is_err() {
            break;
        } else if listed.is_undropped {
            queue.board.remove(&format!("{number}.undropped"))?;
        }
    }
    queue.board.sweep(&listing)?;
    queue.forget_workers(&listing)
}

/// Ends an attempt whose worker is gone.
fn settle(queue: &Queue, ctx: &Ctx<'_>, job: JobRef) -> Result<(), Error> {
    recover::recover_job(&queue.project, ctx, job)?;
    if queue.has_ended(job) {
        return Ok(());
    }
    let name = queue.ref_name(job.number);
    if queue.project.git().read_ref(&name)?.is_some() {
        // It had not begun.
        return queue.give_back(job.number, job.attempt, None);
    }
    // The ref goes when the result is published, and when the job is removed.
    let end = JobEnd::new(Outcome::Done, None, queue.project.now().seconds);
    queue.finish(job.number, job.attempt, &end)?;
    Ok(())
}

/// Finishes or takes back what somebody was adding who is gone.
pub(super) fn take_back(queue: &Queue, first: u64, adding: &Adding) -> Result<(), Error> {
    if adding.owner.life() != Life::Dead {
        return Ok(());
    }
    // What is listed now is all that was done. Before, it may have been done and over meanwhile.
    let listing = queue.listing()?;
    if !listing.adding.contains(&first) {
        return Ok(());
    }
    let block = first..first.saturating_add(adding.n);
    let refs: Vec<_> =
        queue.refs()?.into_iter().filter(|(number, _)| block.contains(number)).collect();
    if listing.jobs.range(block).next().is_some() {
        // With the first of these files all refs were there, and somebody may have begun.
        let numbers: BTreeSet<u64> = refs.iter().map(|(number, _)| *number).collect();
        queue.adopt(&numbers)?;
    } else {
        let gone: Vec<RefChange> = refs
            .into_iter()
            .map(|(_, found)| RefChange { name: found.name, new: None, expected: Expected::Any })
            .collect();
        queue.project.git().update_refs(&gone)?;
    }
    Ok(queue.board.remove(&format!("adding.{first}"))?)
}

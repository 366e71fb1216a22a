//! Workers: who they are, that they live, and when they are to end.
//!
//! A worker on this machine lives when its process does. Of one elsewhere its beat is watched: a number that it raises
//! every ten seconds. When two looks more than two minutes apart *on the clock of the observer* see the same number, it is
//! dead. What was seen is noted, so that commands which end at once can observe as well. No clocks of two machines are
//! compared.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Queue;
use super::board::Listing;
use crate::error::Error;
use crate::process::{Life, Owner};

/// How often a worker raises its beat.
pub(super) const BEAT: Duration = Duration::from_secs(10);

/// A worker elsewhere whose beat stands still for so long is dead.
const PATIENCE: Duration = Duration::from_mins(2);

/// A worker as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) owner: Owner,
}

/// Who has an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The worker, by its id; empty for a command that only keeps others away for a moment.
    pub(super) worker: String,
    pub(super) owner: Owner,
    /// When it was claimed, in seconds since the epoch, for people.
    pub(super) at: i64,
}

/// How somebody wants the end of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stop {
    /// After the job that it has.
    Drain,
    /// At once; its job is killed.
    Kill,
}

/// What was seen of a worker elsewhere.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    beat: u64,
    /// When it was first seen so, in seconds on the observer's clock that never jumps.
    since: u64,
    /// The boot that the clock belongs to.
    boot: String,
}

/// A worker as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerState {
    /// Its machine, by name.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// The job that it has, by number.
    pub job: Option<u64>,
    /// Whether it ends after that job.
    pub is_stopping: bool,
}

impl Queue {
    /// Returns the workers that live, by machine and process.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn workers(&self) -> Result<Vec<WorkerState>, Error> {
        let listing = self.listing()?;
        let mut busy = Vec::new();
        for (number, listed) in &listing.jobs {
            if listed.attempt > 0 && !listed.marks.is_ended {
                let claim: Option<Claim> =
                    self.board.read(&format!("{number}.{}.claim", listed.attempt))?;
                busy.extend(claim.map(|claim| (claim.worker, *number)));
            }
        }
        let mut workers = Vec::new();
        for id in &listing.workers {
            let Some(note) = self.board.read::<Note>(&format!("worker.{id}"))? else { continue };
            if self.is_alive(id, &note.owner)? {
                workers.push(WorkerState {
                    host: note.owner.host,
                    pid: note.owner.pid,
                    job: busy.iter().find(|(worker, _)| worker == id).map(|(_, number)| *number),
                    is_stopping: listing.stops.contains(id),
                });
            }
        }
        workers.sort_by(|a, b| (&a.host, a.pid).cmp(&(&b.host, b.pid)));
        Ok(workers)
    }

    /// Returns whether a worker lives. Of one elsewhere that is believed until its beat stood still for two minutes.
    pub(super) fn is_alive(&self, id: &str, owner: &Owner) -> Result<bool, Error> {
        match owner.life() {
            Life::Alive => return Ok(true),
            Life::Dead => return Ok(false),
            Life::Elsewhere => {}
        }
        let beat: u64 = self.board.read(&format!("beat.{id}"))?.unwrap_or(0);
        let boot = Owner::this_process().boot;
        let now = uptime();
        let tag: String = boot.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
        let name = format!("seen.{id}.{tag}");
        let seen: Option<Seen> = self.board.read(&name)?;
        match seen {
            Some(seen) if seen.beat == beat && seen.boot == boot => {
                Ok(now.saturating_sub(seen.since) < PATIENCE.as_secs())
            }
            _ => {
                self.board.replace(&name, &Seen { beat, since: now, boot })?;
                Ok(true)
            }
        }
    }

    /// Removes what is left of workers that are gone.
    pub(super) fn forget_workers(&self, listing: &Listing) -> Result<(), Error> {
        for id in &listing.workers {
            let note: Option<Note> = self.board.read(&format!("worker.{id}"))?;
            if let Some(note) = note
                && !self.is_alive(id, &note.owner)?
            {
                self.forget_worker(id)?;
            }
        }
        Ok(())
    }

    pub(super) fn forget_worker(&self, id: &str) -> Result<(), Error> {
        for kind in ["stop", "beat", "worker"] {
            self.board.remove(&format!("{kind}.{id}"))?;
        }
        Ok(())
    }
}

/// Gives this process a session of its own, so that it goes on when the terminal closes that it was started at.
///
/// # Errors
///
/// When it leads a process group.
pub fn leave_session() -> std::io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Returns the seconds since the machine was started, or 0 where nobody tells.
fn uptime() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split('.').next().and_then(|seconds| seconds.parse().ok());
    seconds.unwrap_or(0)
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Makes the observer believe that it saw this beat two minutes and more ago.
    pub(crate) fn long_ago(queue: &Queue, id: &str, beat: u64) {
        let boot = Owner::this_process().boot;
        let tag: String = boot.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
        let since = uptime().saturating_sub(PATIENCE.as_secs() + 1);
        queue.board.replace(&format!("seen.{id}.{tag}"), &Seen { beat, since, boot }).unwrap();
    }
}

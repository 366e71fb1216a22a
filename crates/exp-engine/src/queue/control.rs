//! Changing the queue: holding, moving, removing, killing, running again.

use std::collections::BTreeSet;

use exp_refs::{Expected, RefChange};

use super::worker::{Claim, Note, Stop};
use super::{EndCause, Job, JobEnd, JobState, Outcome, Queue};
use crate::error::{Error, JobProblem};
use crate::files;
use crate::process::Owner;

/// Where jobs are moved that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
}

/// How workers are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopHow {
    /// Each ends after the job that it has.
    AfterJob,
    /// At once; the jobs that run are killed.
    Kill,
}

impl Queue {
    /// Keeps jobs that wait from being started. Those that are held already stay so.
    ///
    /// # Errors
    ///
    /// When one of them does not wait; then none is held.
    pub fn hold(&self, jobs: &[Job]) -> Result<(), Error> {
        all(jobs, |job| job.state.is_waiting(), JobProblem::NotWaiting)?;
        jobs.iter().try_for_each(|job| Ok(self.board.mark(&format!("{}.held", job.number))?))
    }

    /// Lets jobs be started that are held.
    ///
    /// # Errors
    ///
    /// When one of them is not held; then none is released.
    pub fn release(&self, jobs: &[Job]) -> Result<(), Error> {
        all(jobs, |job| job.state == JobState::Held, JobProblem::NotHeld)?;
        jobs.iter().try_for_each(|job| Ok(self.board.remove(&format!("{}.held", job.number))?))
    }

    /// Moves jobs that wait before or behind all others; their order among themselves stays.
    ///
    /// # Errors
    ///
    /// When one of them does not wait; then none is moved.
    pub fn reorder(&self, jobs: &[Job], to: Moved) -> Result<(), Error> {
        all(jobs, |job| job.state.is_waiting(), JobProblem::NotWaiting)?;
        let moved: BTreeSet<u64> = jobs.iter().map(|job| job.number).collect();
        let listing = self.listing()?;
        let others = self.list()?.into_iter().filter(|job| job.state.is_waiting());
        let others = others.filter(|job| !moved.contains(&job.number)).map(|job| job.priority);
        let priority = match to {
            Moved::First => others.max().map_or(0, |highest| highest.saturating_add(1)),
            Moved::Last => others.min().map_or(0, |lowest| lowest.saturating_sub(1)),
        };
        for number in moved {
            let mut n = listing.jobs.get(&number).map_or(0, |listed| listed.order.0);
            // Somebody else may move it at the same time; the later one counts.
            loop {
                n += 1;
                if self.board.link(&format!("{number}.order.{n}.{priority}"), &())? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes jobs that do not run, with what they left in the directory of the queue. Results are experiments and stay.
    ///
    /// # Errors
    ///
    /// When one of them runs, or is taken by a worker just now; those before it in the list are removed then.
    pub fn remove(&self, jobs: &[Job]) -> Result<(), Error> {
        all(jobs, |job| job.state != JobState::Running, JobProblem::Running)?;
        let mut refs = Vec::new();
        let mut numbers = BTreeSet::new();
        for job in jobs {
            if job.state.is_waiting() {
                // No worker can start what is claimed.
                let claim = Claim {
                    worker: String::new(),
                    owner: Owner::this_process(),
                    at: self.project.now().seconds,
                };
                let name = format!("{}.{}.claim", job.number, job.attempt + 1);
                if !self.board.link(&name, &claim)? {
                    let problem = JobProblem::Running;
                    return Err(Error::Job { name: job.name.to_string(), problem });
                }
            }
            let name = self.ref_name(job.number);
            if self.project.git().read_ref(&name)?.is_some() {
                refs.push(RefChange { name, new: None, expected: Expected::Any });
            }
            numbers.insert(job.number);
        }
        self.project.git().update_refs(&refs)?;
        self.board.forget(&numbers)?;
        for number in numbers {
            files::remove_all(&self.board.dir().join("logs").join(number.to_string()))?;
            self.drop_carried(number)?;
        }
        Ok(())
    }

    /// Asks for the end of jobs that run, on whatever machine. Their workers end them within a second and go on with
    /// others. Returns at once.
    ///
    /// # Errors
    ///
    /// When one of them does not run; then none is ended.
    pub fn kill(&self, jobs: &[Job]) -> Result<(), Error> {
        all(jobs, |job| job.state == JobState::Running, JobProblem::NotRunning)?;
        jobs.iter().try_for_each(|job| {
            Ok(self.board.mark(&format!("{}.{}.kill", job.number, job.attempt))?)
        })
    }

    /// Queues jobs again that failed, were killed or lost.
    ///
    /// # Errors
    ///
    /// When one of them is in another state; then none is queued.
    pub fn retry(&self, jobs: &[Job]) -> Result<(), Error> {
        all(jobs, |job| job.state.is_failure(), JobProblem::NotFailed)?;
        jobs.iter().try_for_each(|job| {
            Ok(self.board.mark(&format!("{}.{}.again", job.number, job.attempt))?)
        })
    }

    /// Asks all workers to end. Returns how many were asked, at once.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or written.
    pub fn stop(&self, how: StopHow) -> Result<usize, Error> {
        let stop = match how {
            StopHow::AfterJob => Stop::Drain,
            StopHow::Kill => Stop::Kill,
        };
        let mut n = 0;
        for id in self.listing()?.workers {
            let note: Option<Note> = self.board.read(&format!("worker.{id}"))?;
            if let Some(note) = note
                && self.is_alive(&id, &note.owner)?
            {
                self.board.replace(&format!("stop.{id}"), &stop)?;
                n += 1;
            }
        }
        Ok(n)
    }

    /// Ends an attempt that nobody works at any more, before the job was begun.
    pub(super) fn give_back(
        &self,
        number: u64,
        attempt: u32,
        cause: Option<EndCause>,
    ) -> Result<(), Error> {
        let end = JobEnd::new(Outcome::Again, cause, self.project.now().seconds);
        self.finish(number, attempt, &end)?;
        Ok(())
    }
}

/// Refuses when one of the jobs is not as it has to be.
fn all(jobs: &[Job], is: impl Fn(&Job) -> bool, problem: JobProblem) -> Result<(), Error> {
    match jobs.iter().find(|job| !is(job)) {
        Some(job) => Err(Error::Job { name: job.name.to_string(), problem }),
        None => Ok(()),
    }
}

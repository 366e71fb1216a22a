//! Running a job of the queue: as a run in a private work tree, of the job's tree instead of the workspace's.

use std::time::Instant;

use exp_core::{Ctx, Ended, Exit, Failure, Outcome as StageOutcome, RunReport};
use exp_refs::Experiment;

use super::attempt::Attempt;
use super::{Kept, RunOutcome, host};
use crate::change::JobRef;
use crate::error::Error;
use crate::hold::Hold;
use crate::project::Project;
use crate::queue::{EndCause, JobEnd, JobSpec, Outcome, Queue};
use crate::recover;

/// One attempt at a job.
pub(crate) struct JobRun<'r> {
    pub(crate) queue: &'r Queue,
    pub(crate) job: JobRef,
    /// The commit of the job.
    pub(crate) commit: exp_refs::CommitId,
    pub(crate) spec: &'r JobSpec,
    /// How many processes the system had ended for want of memory before it began: [`oom_kills`].
    pub(crate) n_oom: u64,
    /// Why the run is stopped, once it is: [`EndCause::Killed`] or [`EndCause::Preempted`].
    pub(crate) why: &'r (dyn Fn() -> EndCause + Sync),
}

impl Project {
    /// Runs a job that this process has claimed, publishes its result, and ends the attempt.
    ///
    /// # Errors
    ///
    /// When it could not be run or its result could not be kept. Then the attempt has not ended yet.
    pub(crate) fn run_job(&self, ctx: &Ctx<'_>, run: &JobRun<'_>) -> Result<RunOutcome, Error> {
        let start = Instant::now();
        let commit = self.git().commit(run.commit)?;
        let baseline = commit.parents.first().copied().ok_or(Error::NoCommit)?;
        recover::recover(self, ctx)?;
        let attempt = Attempt {
            project: self,
            baseline,
            name: run.spec.name.clone(),
            message: run.spec.message.as_deref(),
            overrides: run.spec.overrides.clone(),
            may_be_same: false,
            started: self.now(),
            start,
            repro: &run.spec.repro,
            existing: Vec::new(),
            job: Some(run),
            left_out: (run.spec.left_out.clone(), run.spec.n_left_out),
            submodules: run.spec.submodules.clone(),
        };
        let hold = Hold::nothing();
        attempt.in_private(ctx, commit.tree, &run.spec.cwd, &run.spec.copy, &hold)
    }
}

impl JobRun<'_> {
    /// Returns how the attempt ends.
    pub(super) fn ending(&self, attempt: &Attempt<'_>, report: &RunReport) -> JobEnd {
        let now = attempt.project.now().seconds;
        let failed = report.stages.iter().find(|stage| {
            matches!(stage.outcome, StageOutcome::Failed(_) | StageOutcome::Cancelled)
        });
        let (outcome, cause) = match report.ended {
            Ended::Complete => (Outcome::Done, None),
            Ended::Cancelled => match (self.why)() {
                cause @ EndCause::Preempted => (Outcome::Again, Some(cause)),
                cause => (Outcome::Killed, Some(cause)),
            },
            Ended::Failed => {
                let cause = match failed.map(|stage| &stage.outcome) {
                    Some(StageOutcome::Failed(failure)) => match cause_of(failure) {
                        // Nobody says which process it was; killed at such a moment, it was this one.
                        EndCause::Signal(KILL) | EndCause::Exit(SHELL_KILL)
                            if oom_kills() > self.n_oom =>
                        {
                            EndCause::Oom
                        }
                        cause => cause,
                    },
                    _ => EndCause::Error("a stage failed".to_owned()),
                };
                (Outcome::Failed, Some(cause))
            }
        };
        let mut end = JobEnd::new(outcome, cause, now);
        end.stage = failed.map(|stage| stage.id.to_string());
        end.started = Some(attempt.started.seconds);
        end.took_ms = u64::try_from(attempt.start.elapsed().as_millis()).ok();
        end.host = host();
        end.pid = Some(std::process::id());
        end
    }

    /// Ends the attempt; what came of it is published. When somebody took this process for dead meanwhile and ended the
    /// attempt, what it did is dropped.
    pub(super) fn end(
        &self,
        project: &Project,
        end: &JobEnd,
        kept: Option<&Experiment>,
    ) -> Result<(), Error> {
        if self.queue.end_attempt(self.job, end)? {
            return Ok(());
        }
        if let Some(kept) = kept {
            project.experiments().remove(std::slice::from_ref(kept))?;
        }
        Ok(())
    }
}

/// The number of SIGKILL.
const KILL: i32 = 9;

/// What a shell exits with whose command was ended by SIGKILL.
const SHELL_KILL: i32 = 128 + KILL;

/// Returns how many processes this machine and this control group have ended because memory was short; 0 where nobody
/// tells.
pub(crate) fn oom_kills() -> u64 {
    let count = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    count("/proc/vmstat") + count("/sys/fs/cgroup/memory.events")
}

/// Says why a stage failed.
fn cause_of(failure: &Failure) -> EndCause {
    match failure {
        Failure::Exit(Exit::Code { code, .. }) => EndCause::Exit(*code),
        Failure::Exit(Exit::Signal { signal, .. }) => EndCause::Signal(*signal),
        Failure::Exit(Exit::TimedOut { .. }) => EndCause::Timeout,
        other => EndCause::Error(other.to_string()),
    }
}

/// Returns the experiment that holds what came of a run.
pub(super) fn kept_of(kept: &Kept) -> Option<&Experiment> {
    match kept {
        Kept::Experiment(experiment) | Kept::Unfinished(experiment) => Some(experiment),
        Kept::SameAs(_) | Kept::SameAsBaseline => None,
    }
}

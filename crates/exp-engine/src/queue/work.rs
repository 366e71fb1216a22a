//! Working: taking one job after the other and running it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use exp_core::{Cancel, CancelToken, Ctx, Event, RunReport};
use serde::{Deserialize, Serialize};

use super::worker::{BEAT, Claim, Note, Stop};
use super::{EndCause, Job, JobEnd, JobState, Outcome, Queue};
use crate::change::JobRef;
use crate::error::Error;
use crate::process::Owner;
use crate::run::{JobRun, Kept, RunOutcome, oom_kills};
use crate::sync::AutoPush;

/// How often a worker looks whether somebody wants its end, or that of its job.
const LOOK: Duration = Duration::from_millis(100);

/// How often a worker that stays looks for jobs.
const IDLE: Duration = Duration::from_millis(500);

/// How a worker works; by default until nothing is left.
#[derive(Debug, Clone, Default)]
pub struct WorkOptions {
    /// It leaves after so many jobs.
    pub max_jobs: Option<u64>,
    /// It leaves after so long. A job that runs then is stopped, what it left is kept, and it is queued again.
    pub time_limit: Option<Duration>,
    /// Whether it stays when nothing is left, until it is stopped.
    pub keep: bool,
}

/// What a worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkReport {
    /// The jobs that it ran and how each attempt ended, in that order.
    pub ran: Vec<(Job, Outcome)>,
}

/// What a worker tells of itself. What the stages of its job do is told with events.
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkerEvent<'a> {
    /// It has a job, and begins.
    Started {
        /// The job.
        job: &'a Job,
    },
    /// An attempt ended.
    Ended {
        /// The job.
        job: &'a Job,
        /// How.
        end: &'a JobEnd,
        /// What became of the stages; `None` when it could not be run.
        report: Option<&'a RunReport>,
    },
    /// The result of a job was sent, or not, because the configuration asks for it.
    Pushed {
        /// The job.
        job: &'a Job,
        /// What came of it.
        push: &'a AutoPush,
    },
    /// A job is in the queue that this version cannot run.
    Skipped {
        /// The job.
        job: &'a Job,
        /// Why not.
        error: &'a Error,
    },
}

/// That the result of an attempt was to be sent and was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPushed {
    /// The Git remote.
    pub git_remote: String,
    /// Why not.
    pub why: String,
}

/// What a worker shares with the thread that watches over it.
struct Watched {
    /// The job that runs, and what stops it.
    current: Mutex<Option<(JobRef, CancelToken)>>,
    /// Why the job is stopped.
    why: Mutex<Option<EndCause>>,
    /// Whether no further job is to be taken.
    leaves: AtomicBool,
}

impl Queue {
    /// Works as a worker: takes the first job that waits, runs it in a private work tree, publishes its result, and so on.
    /// Returns when nothing is left, when a limit is reached, or when somebody wants the end.
    ///
    /// [`Cancel::Drain`] lets the job that runs finish; [`Cancel::Stop`] stops it, keeps what it left, and queues it again.
    /// Many workers may work at a time, also on machines that share the directory: each attempt at a job has one worker.
    ///
    /// # Errors
    ///
    /// When the directory or Git cannot be read or written. A job that fails is no error.
    pub fn work(
        &self,
        ctx: &Ctx<'_>,
        options: &WorkOptions,
        tell: &(dyn Fn(WorkerEvent<'_>) + Sync),
    ) -> Result<WorkReport, Error> {
        self.open()?;
        let id = Owner::this_process().unique();
        let note = Note { owner: Owner::this_process() };
        self.board.replace(&format!("beat.{id}"), &0)?;
        self.board.link(&format!("worker.{id}"), &note)?;
        let watched = Watched {
            current: Mutex::default(),
            why: Mutex::default(),
            leaves: AtomicBool::new(false),
        };
        let deadline = options.time_limit.map(|limit| Instant::now() + limit);
        let done = thread::scope(|scope| {
            // Dropping the sender ends the thread, also when the work panics.
            let (_working, ended) = channel();
            let (id, watched) = (&id, &watched);
            scope.spawn(move || self.watch(ctx, id, watched, (deadline, ended)));
            self.take_jobs(ctx, id, options, watched, tell)
        });
        self.forget_worker(&id)?;
        done
    }

    fn take_jobs(
        &self,
        ctx: &Ctx<'_>,
        id: &str,
        options: &WorkOptions,
        watched: &Watched,
        tell: &(dyn Fn(WorkerEvent<'_>) + Sync),
    ) -> Result<WorkReport, Error> {
        let mut report = WorkReport::default();
        let mut skipped = std::collections::BTreeSet::new();
        let n_ran = |report: &WorkReport| u64::try_from(report.ran.len()).unwrap_or(u64::MAX);
        self.reap(ctx)?;
        loop {
            let is_full = options.max_jobs.is_some_and(|most| n_ran(&report) >= most);
            // The directory is asked here too: a job that ends between two looks of the watcher must be the last.
            let wants_end = ctx.cancel_token().requested().is_some()
                || watched.leaves.load(Ordering::SeqCst)
                || self.board.has(&format!("stop.{id}"));
            if is_full || wants_end {
                return Ok(report);
            }
            if let Some(job) = self.take(id, &skipped)? {
                if let Some(outcome) = self.run_one(ctx, &job, watched, tell)? {
                    report.ran.push((job, outcome));
                } else {
                    skipped.insert(job.number);
                }
                continue;
            }
            // What a dead worker had may be left to do.
            self.reap(ctx)?;
            let jobs = self.list()?;
            let is_left = jobs
                .iter()
                .any(|job| job.state == JobState::Queued && !skipped.contains(&job.number));
            if is_left {
                continue;
            }
            if !options.keep {
                return Ok(report);
            }
            ctx.cancel_token().sleep(IDLE);
        }
    }

    /// Claims the first job that waits; `None` when none does.
    fn take(
        &self,
        worker: &str,
        skipped: &std::collections::BTreeSet<u64>,
    ) -> Result<Option<Job>, Error> {
        for mut job in self.list()? {
            if job.state != JobState::Queued || skipped.contains(&job.number) {
                continue;
            }
            job.attempt += 1;
            let claim = Claim {
                worker: worker.to_owned(),
                owner: Owner::this_process(),
                at: self.project.now().seconds,
            };
            if !self.board.link(&format!("{}.{}.claim", job.number, job.attempt), &claim)? {
                continue;
            }
            match self.project.git().read_ref(&self.ref_name(job.number))? {
                Some(commit) if commit == job.commit => {}
                // It was removed, by whatever means.
                _ => {
                    self.board.forget(&[job.number].into())?;
                    continue;
                }
            }
            job.state = JobState::Running;
            return Ok(Some(job));
        }
        Ok(None)
    }

    /// Runs a job that is claimed; `None` when this version cannot, and gives it back.
    fn run_one(
        &self,
        ctx: &Ctx<'_>,
        job: &Job,
        watched: &Watched,
        tell: &(dyn Fn(WorkerEvent<'_>) + Sync),
    ) -> Result<Option<Outcome>, Error> {
        let spec = match self.spec(job) {
            Ok(spec) => spec,
            Err(error @ Error::Newer { .. }) => {
                self.give_back(job.number, job.attempt, None)?;
                tell(WorkerEvent::Skipped { job, error: &error });
                return Ok(None);
            }
            Err(error) => return self.failed(job, &error, tell).map(Some),
        };
        let at = JobRef { number: job.number, attempt: job.attempt };
        let token = CancelToken::new();
        *lock(&watched.why) = None;
        *lock(&watched.current) = Some((at, token.clone()));
        tell(WorkerEvent::Started { job });
        let why = || lock(&watched.why).clone().unwrap_or(EndCause::Preempted);
        let n_oom = oom_kills();
        let run =
            JobRun { queue: self, job: at, commit: job.commit, spec: &spec, n_oom, why: &why };
        let pass = |event: Event<'_>| ctx.emit(event);
        let inner = Ctx::new(&pass, token);
        let done = self.project.run_job(&inner, &run);
        // Who wants the end of the worker at once does not want to wait for this either.
        let push = self.push_result(&inner, job, done.as_ref().ok());
        *lock(&watched.current) = None;
        let report = match done {
            Ok(outcome) => outcome.report,
            Err(Error::Cancelled(_)) => {
                let (outcome, cause) = match why() {
                    cause @ EndCause::Preempted => (Outcome::Again, cause),
                    cause => (Outcome::Killed, cause),
                };
                let end = JobEnd::new(outcome, Some(cause), self.project.now().seconds);
                self.end_attempt(at, &end)?;
                tell(WorkerEvent::Ended { job, end: &end, report: None });
                return Ok(Some(outcome));
            }
            Err(error) => return self.failed(job, &error, tell).map(Some),
        };
        let Some(end) = self.end(job)? else { return Ok(Some(Outcome::Lost)) };
        tell(WorkerEvent::Ended { job, end: &end, report: Some(&report) });
        if let Some(push) = &push {
            tell(WorkerEvent::Pushed { job, push });
        }
        Ok(Some(end.outcome))
    }

    /// Sends what came of a job if that is asked for, and notes why not when it fails.
    fn push_result(&self, ctx: &Ctx<'_>, job: &Job, done: Option<&RunOutcome>) -> Option<AutoPush> {
        let Some(Kept::Experiment(experiment)) = &done?.kept else { return None };
        let push = self.project.auto_push(ctx, experiment)?;
        if let Err(error) = &push.result {
            let note =
                NotPushed { git_remote: push.git_remote.clone(), why: crate::error::chain(error) };
            // Who watches the worker is told anyway.
            self.board.link(&format!("{}.{}.unpushed", job.number, job.attempt), &note).ok();
        }
        Some(push)
    }

    /// Ends an attempt that could not be run.
    fn failed(
        &self,
        job: &Job,
        error: &Error,
        tell: &(dyn Fn(WorkerEvent<'_>) + Sync),
    ) -> Result<Outcome, Error> {
        let now = self.project.now().seconds;
        let cause = EndCause::Error(crate::error::chain(error));
        let end = JobEnd::new(Outcome::Failed, Some(cause), now);
        self.end_attempt(JobRef { number: job.number, attempt: job.attempt }, &end)?;
        tell(WorkerEvent::Ended { job, end: &end, report: None });
        Ok(Outcome::Failed)
    }

    /// Raises the beat, and stops the job when somebody wants that, until the worker has ended.
    fn watch(
        &self,
        ctx: &Ctx<'_>,
        id: &str,
        watched: &Watched,
        (deadline, ended): (Option<Instant>, Receiver<()>),
    ) {
        let (mut beat, mut raised) = (0_u64, Instant::now());
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if raised.elapsed() >= BEAT {
                beat += 1;
                raised = Instant::now();
                // A beat that cannot be written is tried again; nobody gives up before two minutes.
                self.board.replace(&format!("beat.{id}"), &beat).ok();
            }
            let mut end = None;
            if self.board.has(&format!("stop.{id}")) {
                watched.leaves.store(true, Ordering::SeqCst);
                let stop: Option<Stop> = self.board.read(&format!("stop.{id}")).ok().flatten();
                if stop == Some(Stop::Kill) {
                    end = Some(EndCause::Killed);
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline)
                || ctx.cancel_token().requested() == Some(Cancel::Stop)
            {
                watched.leaves.store(true, Ordering::SeqCst);
                end = end.or(Some(EndCause::Preempted));
            }
            let current = lock(&watched.current).clone();
            if let Some((job, token)) = current {
                if self.board.has(&format!("{}.{}.kill", job.number, job.attempt)) {
                    end = Some(EndCause::Killed);
                }
                if let Some(cause) = end {
                    lock(&watched.why).get_or_insert(cause);
                    token.cancel(Cancel::Stop);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

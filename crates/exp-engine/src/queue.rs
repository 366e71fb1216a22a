//! The queue: jobs that are run later, by any worker.
//!
//! What a job *is* is written once, in Git: `refs/exp/queue/<place>/<number>` points to a commit whose parent is the
//! baseline and whose tree is what runs; its message says how ([`JobSpec`]). What *became* of it is a set of small files
//! in `.dvc/tmp/exp/queue/`, of which one listing tells the states of all jobs; see [`board`]. There is no lock, no daemon
//! and no database. `docs/design/0008-queue.md` has the reasons.
//!
//! `<place>` is the project: several of one repository, and several work trees, have queues of their own. The ref of a
//! job goes when its result is published, so it is never run twice, whatever happens to the directory.

mod add;
mod board;
mod carry;
mod control;
mod dvc;
mod end;
mod log;
mod missing;
mod reap;
mod rows;
mod spec;
#[cfg(test)]
mod tests;
mod work;
mod worker;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use exp_core::{Algorithm, Ctx, Digest, Timestamp};
use exp_refs::{CommitId, ExpName, Ref, RefName};

use crate::change::JobRef;
use crate::error::Error;
use crate::files;
use crate::project::Project;
use board::{Board, Listed, Listing};

pub use add::{NewJob, QueueRequest};
pub use control::{Moved, StopHow};
pub use dvc::DvcTask;
pub use end::{EndCause, JobEnd, Outcome};
pub use log::LogCursor;
pub use rows::{JobRow, JobRows};
pub(crate) use rows::{note_jobs, rows};
pub use spec::JobSpec;
pub use work::{NotPushed, WorkOptions, WorkReport, WorkerEvent};
pub use worker::{WorkerState, leave_session};

/// Jobs are below it.
const PREFIX: &str = "refs/exp/queue";

/// So long it is waited for another process to let go of refs before they are left for later.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// The file with the name of the queue among those of the repository.
const ID: &str = "id";

/// The queue of a project. Clones are the same queue; usable from any thread and any process.
#[derive(Debug, Clone)]
pub struct Queue {
    project: Project,
    board: Board,
    place: String,
}

/// The state of a job. It is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// A worker has it.
    Running,
    /// It waits for a worker.
    Queued,
    /// It is not to be started.
    Held,
    /// It finished, and its result is an experiment.
    Done,
    /// A command failed, or it could not be started.
    Failed,
    /// Somebody wanted its end.
    Killed,
    /// Its worker vanished.
    Lost,
}

impl JobState {
    /// Returns the word for it: `running`, `queued`, `held`, `done`, `failed`, `killed` or `lost`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Held => "held",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Killed => "killed",
            Self::Lost => "lost",
        }
    }

    /// Returns whether it waits: it is queued or held.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Held)
    }

    /// Returns whether nothing more happens to it by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Killed | Self::Lost)
    }

    /// Returns whether it ended without a result.
    pub fn is_failure(self) -> bool {
        self.is_final() && self != Self::Done
    }
}

/// A job as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number; jobs are numbered in the order in which they were queued, from 1.
    pub number: u64,
    /// The name that its experiment gets.
    pub name: ExpName,
    /// What it is. The commit may be gone when the job is done.
    pub commit: CommitId,
    /// When it was queued.
    pub queued: Timestamp,
    /// Higher ones are started first; usually 0.
    pub priority: i64,
    /// Where it stands.
    pub state: JobState,
    /// The number of its last attempt; 0 before the first.
    pub attempt: u32,
}

impl Project {
    /// Returns the queue of the project. Nothing is written before something is queued.
    ///
    /// When the directory of the queue is gone, it is made again from the refs: jobs that did not finish are queued.
    ///
    /// # Errors
    ///
    /// When the directory or the refs cannot be read.
    pub fn queue(&self) -> Result<Queue, Error> {
        let board = Board::at(&self.scratch().join("queue"));
        let known = files::read(&board.path(ID))?;
        let known = known.and_then(|bytes| String::from_utf8(bytes).ok());
        let known = known.map(|text| text.trim().trim_matches('"').to_owned());
        if let Some(place) = known.filter(|text| is_place(text)) {
            return Ok(Queue { project: self.clone(), board, place });
        }
        let at = format!("{}\n{}", self.git().git_dir().display(), self.prefix());
        let place = Digest::of(Algorithm::Sha256, at.as_bytes()).to_hex()[..8].to_owned();
        let queue = Queue { project: self.clone(), board, place };
        let refs = queue.refs()?;
        if !refs.is_empty() {
            queue.board.create()?;
            let numbers = refs.iter().map(|(number, _)| *number).collect();
            queue.adopt(&numbers)?;
            queue.open()?;
        }
        Ok(queue)
    }
}

fn is_place(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Queue {
    /// Returns all jobs: those that run, then those that wait in the order in which they will be started, then those that
    /// ended, the newest first.
    ///
    /// Only the directory is read, once. Attempts of dead workers are shown as running until [`Queue::reap`] ends them.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Job>, Error> {
        let listing = self.listing()?;
        let mut jobs: Vec<Job> = (listing.jobs.iter())
            .filter_map(|(number, listed)| self.job(*number, listed).transpose())
            .collect::<Result<_, _>>()?;
        jobs.sort_by_key(|job| {
            let group = match job.state {
                JobState::Running => 0,
                JobState::Queued | JobState::Held => 1,
                _ => 2,
            };
            let priority = if group == 1 { -job.priority } else { 0 };
            let number = i64::try_from(job.number).unwrap_or(i64::MAX);
            (group, priority, if group == 2 { -number } else { number })
        });
        Ok(jobs)
    }

    /// Returns what a job is.
    ///
    /// # Errors
    ///
    /// When its commit is gone, is damaged, or was written by a newer version.
    pub fn spec(&self, job: &Job) -> Result<JobSpec, Error> {
        JobSpec::of_message(&self.project.git().commit(job.commit)?.message)
    }

    /// Returns how the last attempt at a job ended; `None` when it runs or there was none.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn end(&self, job: &Job) -> Result<Option<JobEnd>, Error> {
        if job.attempt == 0 {
            return Ok(None);
        }
        Ok(self.board.read(&format!("{}.{}.end", job.number, job.attempt))?)
    }

    /// Returns why the result of a job's last attempt was not sent although the configuration asks for it; `None` when it was, or
    /// nobody asked.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn not_pushed(&self, job: &Job) -> Result<Option<NotPushed>, Error> {
        Ok(self.board.read(&format!("{}.{}.unpushed", job.number, job.attempt))?)
    }

    /// Finds a job by what a person writes: its number, its name, or the first four digits or more of its commit. Of
    /// several of one name the last that was queued is meant.
    pub fn find<'j>(jobs: &'j [Job], text: &str) -> Option<&'j Job> {
        let newest = |mut found: Vec<&'j Job>| {
            found.sort_by_key(|job| job.number);
            found.pop()
        };
        let by = |is: &dyn Fn(&Job) -> bool| newest(jobs.iter().filter(|job| is(job)).collect());
        by(&|job| job.name.as_str() == text)
            .or_else(|| by(&|job| text.parse() == Ok(job.number)))
            .or_else(|| {
                let is_hex = text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let digits = text.to_ascii_lowercase();
                by(&|job| is_hex && job.commit.to_string().starts_with(&digits))
            })
    }

    /// Returns the directory that keeps what the commands of a job's last attempt write; a file for each stage, to be read
    /// while it runs. It need not exist.
    pub fn logs(&self, job: &Job) -> PathBuf {
        self.logs_of(job.number, job.attempt)
    }

    /// Returns the directories with the logs of all attempts at a job.
    pub(crate) fn all_logs(&self, job: &Job) -> Vec<PathBuf> {
        (1..=job.attempt).map(|attempt| self.logs_of(job.number, attempt)).collect()
    }

    /// Returns the directory with the logs of an attempt.
    pub(crate) fn attempt_logs(&self, job: JobRef) -> PathBuf {
        self.logs_of(job.number, job.attempt)
    }

    fn logs_of(&self, number: u64, attempt: u32) -> PathBuf {
        self.board.dir().join("logs").join(number.to_string()).join(attempt.to_string())
    }

    fn listing(&self) -> Result<Listing, Error> {
        Ok(self.board.list()?)
    }

    /// Returns the state of a job of a listing; `None` when it is not one.
    fn job(&self, number: u64, listed: &Listed) -> Result<Option<Job>, Error> {
        let Some((commit, seconds, name)) = &listed.what else { return Ok(None) };
        let waiting = if listed.is_held { JobState::Held } else { JobState::Queued };
        let marks = &listed.marks;
        let state = if listed.attempt == 0 || marks.is_again {
            waiting
        } else if !marks.is_ended {
            JobState::Running
        } else {
            let outcome = match marks.outcome {
                Some(outcome) => Some(outcome),
                None => self.outcome(number, listed.attempt)?,
            };
            match outcome {
                Some(Outcome::Done) => JobState::Done,
                Some(Outcome::Failed) | None => JobState::Failed,
                Some(Outcome::Killed) => JobState::Killed,
                Some(Outcome::Lost) => JobState::Lost,
                Some(Outcome::Again) => waiting,
            }
        };
        Ok(Some(Job {
            number,
            name: name.clone(),
            commit: *commit,
            queued: Timestamp { seconds: *seconds, offset: self.project.now().offset },
            priority: listed.order.1,
            state,
            attempt: listed.attempt,
        }))
    }

    /// Reads how an attempt ended whose name for listings is missing, and makes that name.
    fn outcome(&self, number: u64, attempt: u32) -> Result<Option<Outcome>, Error> {
        let end: Option<JobEnd> = self.board.read(&format!("{number}.{attempt}.end"))?;
        if let Some(end) = &end {
            self.board.mark(&format!("{number}.{attempt}.{}", end.outcome.word()))?;
        }
        Ok(end.map(|end| end.outcome))
    }

    /// Ends an attempt; returns whether this is its end. If not, somebody else ended it before.
    fn finish(&self, number: u64, attempt: u32, end: &JobEnd) -> Result<bool, Error> {
        let is_first = self.board.link(&format!("{number}.{attempt}.end"), end)?;
        if is_first {
            self.board.mark(&format!("{number}.{attempt}.{}", end.outcome.word()))?;
        }
        Ok(is_first)
    }

    /// Returns whether an attempt ended.
    pub(crate) fn has_ended(&self, job: JobRef) -> bool {
        self.board.has(&format!("{}.{}.end", job.number, job.attempt))
    }

    /// Ends an attempt; what came of it is published. Returns whether this is its end.
    pub(crate) fn end_attempt(&self, job: JobRef, end: &JobEnd) -> Result<bool, Error> {
        let is_first = self.finish(job.number, job.attempt, end)?;
        if is_first && end.outcome == Outcome::Done {
            self.drop_ref(job.number);
            self.drop_carried(job.number)?;
        }
        Ok(is_first)
    }

    /// Writes the name of the queue down, after which the directory is taken for complete.
    fn open(&self) -> Result<(), Error> {
        self.board.create()?;
        self.board.link(ID, &self.place)?;
        Ok(())
    }

    fn ref_name(&self, number: u64) -> RefName {
        let text = format!("{PREFIX}/{}/{number}", self.place);
        RefName::new(&text).expect("digits and letters are valid")
    }

    /// Returns the jobs that Git knows, by number.
    fn refs(&self) -> Result<Vec<(u64, Ref)>, Error> {
        let prefix = format!("{PREFIX}/{}/", self.place);
        let refs = self.project.git().list_refs(&prefix)?;
        let number =
            |found: &Ref| found.name.as_str().strip_prefix(&prefix).and_then(|n| n.parse().ok());
        Ok(refs.into_iter().filter_map(|found| Some((number(&found)?, found))).collect())
    }

    /// Makes the files of jobs that only Git knows.
    fn adopt(&self, numbers: &BTreeSet<u64>) -> Result<(), Error> {
        let reader = self.project.git().reader();
        for (number, found) in self.refs()? {
            if !numbers.contains(&number) {
                continue;
            }
            let commit = reader.commit(found.commit)?;
            // One that cannot be read is listed all the same, so that it can be removed.
            let first = commit.message.lines().next().unwrap_or_default();
            let name = JobSpec::of_message(&commit.message).map(|spec| spec.name);
            let given = first.strip_prefix("exp: job ").and_then(|name| ExpName::new(name).ok());
            let Some(name) = name.ok().or(given) else { continue };
            self.board.mark(&file_of(number, commit.time.seconds, found.commit, &name))?;
        }
        Ok(())
    }

    /// Removes the ref of a job, whose result is published or not wanted. That another process has the lock of a ref or of
    /// the packed ones is no reason to fail, nor to wait for long: the file that says how the job ended is what counts.
    /// It is noted, and whoever looks next does it.
    fn drop_ref(&self, number: u64) {
        if self.try_drop_ref(number, LOCK_WAIT).is_err() {
            // Without the note the ref stays until the job is removed.
            self.board.mark(&format!("{number}.undropped")).ok();
        }
    }

    fn try_drop_ref(&self, number: u64, wait: Duration) -> Result<(), exp_refs::UpdateError> {
        let name = self.ref_name(number);
        let change = exp_refs::RefChange { name, new: None, expected: exp_refs::Expected::Any };
        self.project.git().update_refs_within(&[change], wait)
    }

    /// Returns how many jobs are done whose refs are still there because a lock is in the way, and the lock; `None` when there
    /// is none.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn undropped(&self) -> Result<Option<(usize, PathBuf)>, Error> {
        let n = self.listing()?.jobs.values().filter(|listed| listed.is_undropped).count();
        let lock = self.project.git().packed_lock();
        Ok((n > 0 && lock.exists()).then_some((n, lock)))
    }

    /// Removes the ref of a job that is done, over a lock that its dead worker left.
    pub(crate) fn forget_ref(&self, job: JobRef) -> Result<(), Error> {
        let name = self.ref_name(job.number);
        if self.project.git().read_ref(&name)?.is_some() {
            self.project.git().break_lock(&name)?;
            self.drop_ref(job.number);
        }
        Ok(())
    }

    /// Does what is left to do of jobs whose worker is gone, and says so with events.
    ///
    /// # Errors
    ///
    /// When the directory or Git cannot be read or written; what was to be done stays for the next one.
    pub fn reap(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        reap::reap(self, ctx)
    }
}

/// Returns the file that says that there is a job.
fn file_of(number: u64, seconds: i64, commit: CommitId, name: &ExpName) -> String {
    format!("{number}.job.{seconds}.{commit}.{name}")
}

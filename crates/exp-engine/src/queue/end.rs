//! How an attempt at a job ended.

use exp_refs::{CommitId, Experiment, RefName};
use serde::{Deserialize, Serialize};

/// What became of an attempt at a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// It finished, and its result is an experiment.
    Done,
    /// A command failed, or the job could not be started.
    Failed,
    /// Somebody wanted its end.
    Killed,
    /// Its worker vanished.
    Lost,
    /// Its worker had to leave, or had not begun; the job is queued again.
    Again,
}

impl Outcome {
    /// Returns the word for it, in the names of files and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Killed => "killed",
            Self::Lost => "lost",
            Self::Again => "again",
        }
    }

    pub(super) fn of_mark(text: &str) -> Option<Self> {
        [Self::Done, Self::Failed, Self::Killed, Self::Lost]
            .into_iter()
            .find(|outcome| outcome.word() == text)
    }
}

/// Why an attempt ended that did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EndCause {
    /// A command exited with this status.
    Exit(i32),
    /// A signal that nobody here sent ended a command.
    Signal(i32),
    /// The system ended a command because memory was short.
    Oom,
    /// A stage took longer than it may.
    Timeout,
    /// Somebody asked for its end.
    Killed,
    /// Its worker had to leave.
    Preempted,
    /// Its worker vanished.
    Lost,
    /// Something else, in words.
    Error(String),
}

impl EndCause {
    /// Returns the word for its kind, as a person writes it to choose jobs: `exit`, `signal`, `oom`, `timeout`, `killed`,
    /// `preempted`, `lost`, `error`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Exit(_) => "exit",
            Self::Signal(_) => "signal",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::Killed => "killed",
            Self::Preempted => "preempted",
            Self::Lost => "lost",
            Self::Error(_) => "error",
        }
    }

    /// The words for all kinds, in the order of [`EndCause::word`].
    pub const WORDS: [&'static str; 8] =
        ["exit", "signal", "oom", "timeout", "killed", "preempted", "lost", "error"];
}

/// How an attempt ended, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnd {
    /// What became of it.
    pub outcome: Outcome,
    /// Why, when it did not finish.
    pub cause: Option<EndCause>,
    /// The stage that it ended in, by address, when it did not finish.
    pub stage: Option<String>,
    /// The full name of the ref that keeps what came of it: an experiment, or a run that did not finish. `None` when
    /// nothing is kept.
    pub kept: Option<String>,
    /// The commit that the ref points to.
    pub commit: Option<String>,
    /// When the attempt began, in seconds since the epoch; `None` when nobody knows.
    pub started: Option<i64>,
    /// When it ended, or when that was found out.
    pub ended: i64,
    /// How long it took, in milliseconds; `None` when nobody saw the end.
    #[serde(default)]
    pub took_ms: Option<u64>,
    /// The machine that it ran on, by name.
    pub host: Option<String>,
    /// The process that ran it.
    pub pid: Option<u32>,
}

impl JobEnd {
    /// Returns an end with nothing but its outcome, its cause and the moment.
    pub(crate) fn new(outcome: Outcome, cause: Option<EndCause>, ended: i64) -> Self {
        Self {
            outcome,
            cause,
            stage: None,
            kept: None,
            commit: None,
            started: None,
            ended,
            took_ms: None,
            host: None,
            pid: None,
        }
    }

    /// Notes what is kept of the attempt.
    pub(crate) fn keeps(&mut self, experiment: &Experiment) {
        self.kept = Some(experiment.ref_name.as_str().to_owned());
        self.commit = Some(experiment.commit.to_string());
    }

    /// Returns what came of it as an experiment, if something is kept. The ref may be gone or changed since.
    pub fn experiment(&self) -> Option<Experiment> {
        let name = RefName::new(self.kept.as_deref()?).ok()?;
        let commit: CommitId = self.commit.as_deref()?.parse().ok()?;
        Experiment::of_ref(&exp_refs::Ref { name, commit })
    }
}

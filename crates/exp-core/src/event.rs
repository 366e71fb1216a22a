//! What happens while something long runs, as data. Frontends choose the words.

use std::time::Duration;

use crate::metric::MetricPoint;
use crate::plan::Reason;
use crate::port::Exit;
use crate::report::Failure;
use crate::stage::StageId;

/// Something that happened.
///
/// Events of one stage or one task arrive in order; those of different ones interleave and may come from
/// different threads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something happened to a stage.
    Stage {
        /// The stage.
        stage: &'a StageId,
        /// What happened to it.
        what: StageEvent<'a>,
    },
    /// A piece of countable work moved on.
    Task {
        /// Which one, unique within its [`Ctx`](crate::Ctx).
        id: TaskId,
        /// What happened.
        what: TaskEvent,
    },
    /// A run begins. Everything that could be refused has been checked; events of stages follow.
    Run {
        /// The name that its experiment will have.
        name: &'a str,
        /// The commit that it starts from, in full.
        baseline: &'a str,
        /// The changes of parameters that it was asked for, as they were written.
        overrides: &'a [String],
    },
    /// Stages are about to be executed, at most so many of them at the same time.
    Executing {
        /// At least 1; 1 when each waits for the one before it, whatever was allowed.
        at_once: usize,
    },
    /// Something that the user should know and that stops nothing.
    Warning(&'a Warning),
}

/// What can happen to a stage, in this order: one of `Fresh`, `Restored`, `Started`, `Verified`, `Skipped`, `Open` or
/// `Failed`, before it perhaps `Waiting`; after `Started` any number of `Waiting`, `Command`, `Output`, `Metrics` and `Retrying`, then `Finished`, and `Failed` if it did not succeed
/// and was not stopped on request. `Locked` comes last.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StageEvent<'a> {
    /// Nothing changed, nothing is done.
    Fresh,
    /// Its outputs were taken from the store.
    Restored {
        /// Where the record of it was found.
        from: RestoredFrom,
    },
    /// A data source or a frozen stage: its outputs were recorded as they are, nothing was run.
    Verified,
    /// It runs, for these reasons. In a dry run its commands follow, which then are not run, and nothing else.
    Started {
        /// Why, never empty.
        reasons: &'a [Reason],
    },
    /// One of its commands starts.
    Command {
        /// The text given to the shell.
        line: &'a str,
    },
    /// The command wrote something.
    Output {
        /// Which stream.
        stream: Stream,
        /// The bytes as they came.
        bytes: &'a [u8],
    },
    /// It wrote values of metrics, if somebody wants to know while it runs.
    Metrics {
        /// The values, never none; those of one metric in the order in which they were written.
        points: &'a [MetricPoint],
    },
    /// It waits, before it is looked at again or before its commands start.
    Waiting {
        /// For what.
        until: Until,
    },
    /// A command failed, and after a pause all of them run once more.
    Retrying {
        /// How it ended.
        exit: &'a Exit,
        /// The number of the next try, from 2.
        next: u32,
        /// How many tries there are at most.
        of: u32,
        /// How long until then.
        pause: Duration,
    },
    /// The last command ended and, if it succeeded, its outputs are recorded.
    Finished {
        /// Whether the outputs are recorded.
        success: bool,
        /// From the start of the first command to the end of the last.
        took: Duration,
    },
    /// It failed, before it started or after it finished.
    Failed {
        /// Why.
        failure: &'a Failure,
    },
    /// In a dry run: whether it runs depends on what these stages would write.
    Open {
        /// The stages, never empty.
        on: &'a [StageId],
    },
    /// The lock file got or changed its entry.
    Locked {
        /// Whether the lock file is new.
        created: bool,
    },
    /// It is left out because `because` failed.
    Skipped {
        /// The stage that failed.
        because: &'a StageId,
    },
}

/// What a stage waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// Another process runs the same stage with the same inputs: until it has, so that the result can be taken.
    SameRun,
    /// Until what it claims of the machine is free.
    Claims,
}

/// Where a restored stage was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoredFrom {
    /// The lock file agrees with everything; only outputs were missing or different.
    LockFile,
    /// The run cache has the same command, dependencies and parameters.
    RunCache,
}

/// A stream of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Names a task within its [`Ctx`](crate::Ctx).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// What can happen to a task: `Started` once, `Sized`, `Advanced` and `Moved` any number of times, `Finished` once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskEvent {
    /// It begins.
    Started {
        /// What it is.
        label: TaskLabel,
        /// How much there is to do in `unit`, if known.
        total: Option<u64>,
        /// What `total` and `by` count.
        unit: Unit,
    },
    /// This much more is done.
    Advanced {
        /// In the task's unit.
        by: u64,
    },
    /// It has so many bytes to move in all, as far as is known.
    Sized {
        /// In all.
        bytes: u64,
    },
    /// So many bytes more went over the line; those of a try that failed are among them.
    Moved {
        /// More bytes.
        bytes: u64,
    },
    /// It ended, well or not.
    Finished,
}

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskLabel {
    /// Looking at files.
    Scan,
    /// Digesting and storing.
    Hash,
    /// Bringing files into the workspace.
    Checkout,
    /// Sending objects.
    Push,
    /// Receiving objects.
    Pull,
    /// Collecting what is not needed.
    Collect,
}

/// What a task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Files or objects.
    Files,
}

/// Something that the user should know and that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A frozen stage is not reproduced although something before it changed.
    Frozen {
        /// The stage.
        stage: StageId,
    },
    /// An output was never recorded, so it cannot be brought back.
    NeverRecorded {
        /// The path as a person would write it, relative to the root.
        path: String,
    },
    /// A file or revision could not be read and was left out.
    Unreadable {
        /// What was to be read.
        what: String,
        /// Why not.
        why: String,
    },
    /// Files of a directory are executable, which its manifest by MD5 does not record.
    ExecutableInDirectory {
        /// The first of them.
        path: String,
        /// How many there are.
        n: usize,
    },
    /// An earlier run was found dead and has been recorded as interrupted.
    Recovered {
        /// The name of the experiment it is recorded under.
        experiment: String,
    },
    /// The configured remote exists only on this machine, not in the commit.
    RemoteNotCommitted {
        /// Its name.
        remote: String,
    },
}

/// Receives events.
///
/// Called from any thread that works under the [`Ctx`](crate::Ctx), while the work goes on: it must not block for
/// long, and it cannot fail. A frontend that can no longer show anything cancels instead.
pub trait EventSink: Sync {
    /// Takes one event.
    fn emit(&self, event: Event<'_>);
}

impl<F: Fn(Event<'_>) + Sync> EventSink for F {
    fn emit(&self, event: Event<'_>) {
        self(event);
    }
}

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullSink;

impl EventSink for NullSink {
    fn emit(&self, _: Event<'_>) {}
}

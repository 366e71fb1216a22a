//! What the pipeline needs from the outside: three small traits, by role.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::cancel::{Cancel, Cancelled};
use crate::ctx::Ctx;
use crate::digest::{Algorithm, Artifact, Digest};
use crate::lock::StageLock;
use crate::path::{Location, RelPath};
use crate::plan::Reason;
use crate::settings::Extra;
use crate::stage::{Out, ParamRef, Stage, StageId};
use crate::value::{Table, Value};

/// A port that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Something outside went wrong; the text of the source says what and where.
    #[error("{0}")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl PortError {
    /// Wraps any error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(source.into())
    }
}

/// Looks at the workspace. Called while planning and again just before a stage runs, from several threads.
pub trait Inputs: Sync {
    /// Returns the content at `location` now; `None` when nothing is there.
    fn artifact(&self, ctx: &Ctx<'_>, location: &Location) -> Result<Option<Artifact>, PortError>;

    /// Returns the content at `location` digested with `algorithm`, to compare it with a record that another writer made.
    ///
    /// Asked only when the record's algorithm is not the one that [`Inputs::artifact`] answers with. The default
    /// answers with that one all the same, so such a record counts as changed.
    fn artifact_as(
        &self,
        ctx: &Ctx<'_>,
        location: &Location,
        algorithm: Algorithm,
    ) -> Result<Option<Artifact>, PortError> {
        let _ = algorithm;
        self.artifact(ctx, location)
    }

    /// Returns a digest of what a stage with this working directory reads of `extra` now; `None` when it is not there: no
    /// such variable or file, no such program or one that cannot be started.
    ///
    /// The default knows none of them.
    fn extra(
        &self,
        ctx: &Ctx<'_>,
        stage: &Stage,
        extra: &Extra,
    ) -> Result<Option<String>, PortError> {
        let _ = (ctx, stage, extra);
        Ok(None)
    }

    /// Returns the marks by which a change of what is at a URL is noticed, as they stand beside its path in a record: `hash`,
    /// `etag` or `checksum`, `size`; `None` when nothing is there.
    ///
    /// Asked only for a [`Location::Url`] of which [`Inputs::artifact`] knows no content. The default knows nothing.
    fn marks(&self, ctx: &Ctx<'_>, location: &Location) -> Result<Option<Table>, PortError> {
        let _ = (ctx, location);
        Ok(None)
    }

    /// Returns whether `dir` is a directory now. Asked before commands run in it.
    ///
    /// The default has every directory.
    fn has_dir(&self, dir: &RelPath) -> Result<bool, PortError> {
        let _ = dir;
        Ok(true)
    }

    /// Returns the value of `param` now, the whole document for a whole file; `None` when key or file are missing.
    fn param(&self, param: &ParamRef) -> Result<Option<Value>, PortError>;
}

/// Keeps and brings back what stages write.
///
/// For one stage the calls come from one thread, in the order of the methods below; different stages may
/// call at the same time.
pub trait Artifacts: Sync {
    /// Returns whether the store has `artifact` wholly: of a directory, every file.
    fn is_stored(&self, artifact: &Artifact) -> Result<bool, PortError>;

    /// Returns what was recorded under `key` (see `StageLock::run_key`), newest first.
    fn recall(&self, key: &Digest) -> Result<Vec<StageLock>, PortError>;

    /// Receives what the store lacks of the outputs of `stage` as `lock`, one of the answers of [`Artifacts::recall`], has
    /// them, if there is a place where they may be looked for. What that place lacks is no error: whether all is there now
    /// is asked again. Never called in a dry run.
    ///
    /// The default knows no such place.
    fn receive(&self, ctx: &Ctx<'_>, stage: &Stage, lock: &StageLock) -> Result<(), PortError> {
        let _ = (ctx, stage, lock);
        Ok(())
    }

    /// Waits until no other process runs the stage with what is recorded under `key`, and keeps others from it as long as
    /// the answer is held. What another one ran meanwhile is then there to [`Artifacts::recall`].
    ///
    /// The default knows of no others.
    fn flight(&self, ctx: &Ctx<'_>, stage: &Stage, key: &Digest) -> Result<Flight, PortError> {
        let _ = (ctx, stage, key);
        Ok(Flight::default())
    }

    /// Brings the outputs of `stage` into the workspace as `lock` records them: those that are stored, also metrics and
    /// plots with `cache: false`, whose bytes the run cache keeps. What is there and nowhere else is saved first.
    fn restore(&self, ctx: &Ctx<'_>, stage: &Stage, lock: &StageLock) -> Result<(), PortError>;

    /// Makes room for the outputs before the command runs: those without `persist` go away, those with it become
    /// writable. Called only after every dependency and parameter was found. Content that is nowhere else is
    /// saved first.
    fn clear(&self, ctx: &Ctx<'_>, stage: &Stage) -> Result<(), PortError>;

    /// Records the output `out` as it is in the workspace: a cached one moves into the store and is linked back; a
    /// metric or plot with `cache: false` stays, and its bytes are copied into the store for the run cache.
    /// Returns `None` when nothing is there. Once it returns, the bytes are durable.
    fn keep(&self, ctx: &Ctx<'_>, stage: &Stage, out: &Out) -> Result<Option<Artifact>, PortError>;

    /// Takes notice that the cached output `out` was recorded and stays where it is, out of the store.
    ///
    /// The default does nothing.
    fn leave(&self, ctx: &Ctx<'_>, out: &Out, artifact: &Artifact) -> Result<(), PortError> {
        let _ = (ctx, out, artifact);
        Ok(())
    }

    /// Writes down a success, before anything that depends on it starts: in the lock file, and under `key` in the run
    /// cache when there is one. Returns whether the lock file changed and whether it is new.
    fn record(
        &self,
        stage: &Stage,
        key: Option<&Digest>,
        lock: &StageLock,
    ) -> Result<Recorded, PortError>;
}

/// The right to be the only one that runs something; dropping it gives it up.
#[derive(Default)]
pub struct Flight {
    /// Whether somebody else had it at first, so that the result may be there now.
    pub has_waited: bool,
    /// What gives it up when it is dropped.
    pub guard: Option<Box<dyn Any + Send>>,
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("has_waited", &self.has_waited).finish_non_exhaustive()
    }
}

/// What [`Artifacts::record`] did to the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The file is new.
    Created,
    /// Its content changed.
    Updated,
    /// It already said so.
    Unchanged,
}

/// Runs commands.
pub trait StageExecutor: Sync {
    /// Runs the commands of `stage` one after the other until one fails, and reports
    /// [`Command`](crate::StageEvent::Command) and [`Output`](crate::StageEvent::Output) events.
    ///
    /// A command that fails is an outcome, not a panic: it still carries facts.
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome;

    /// Waits before a stage that failed is tried again; ends early when the end is asked for, and returns that wish.
    fn pause(&self, ctx: &Ctx<'_>, length: Duration) -> Option<Cancel> {
        ctx.cancel_token().sleep(length)
    }
}

/// Decides whether a stage that is not up to date is done.
///
/// Asked when it is the turn of the stage, after those before it were recorded and before anything of its own is
/// looked up, restored or changed. The calls come one after the other, from the thread that executes; a dry run asks as
/// well.
pub trait Consent: Sync {
    /// Returns whether `stage`, which is due for these reasons, may be done. May wait for as long as it takes; when the
    /// end is asked for meanwhile, it returns soon, and what it returns does not matter.
    fn agrees(&self, ctx: &Ctx<'_>, stage: &StageId, reasons: &[Reason]) -> bool;
}

/// How the commands of a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageOutcome {
    /// Why they ended.
    pub exit: Exit,
    /// From the start of the first to the end of the last.
    pub took: Duration,
}

/// Why a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// All commands succeeded.
    Success,
    /// One ended with this status other than 0.
    Code {
        /// The exit status.
        code: i32,
        /// The text given to the shell.
        line: String,
    },
    /// One was ended by this signal.
    Signal {
        /// The number of the signal.
        signal: i32,
        /// The text given to the shell.
        line: String,
    },
    /// One could not be started.
    NotStarted {
        /// The text given to the shell.
        line: String,
        /// Why not.
        why: String,
    },
    /// They took longer than the stage allows, and were ended.
    TimedOut {
        /// The text given to the shell that ran then.
        line: String,
        /// What the stage allows.
        limit: Duration,
    },
    /// It was stopped on request.
    Cancelled,
}

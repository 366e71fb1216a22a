//! What came of an execution.

use std::time::Duration;

use crate::event::RestoredFrom;
use crate::lock::StageLock;
use crate::path::{Location, RelPath};
use crate::plan::Reason;
use crate::port::{Exit, PortError};
use crate::stage::StageId;
use crate::value::KeyPath;

/// What became of every stage that was asked for.
#[derive(Debug)]
pub struct RunReport {
    /// The stages in the order in which they were asked for, each once.
    pub stages: Vec<StageReport>,
    /// How the whole ended.
    pub ended: Ended,
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Everything was done. When failures are ignored, some stages may have failed.
    Complete,
    /// A stage failed.
    Failed,
    /// It was asked to end before everything was done, or nothing but a stage that was declined is in the way.
    Cancelled,
}

/// What became of a stage.
#[derive(Debug)]
pub struct StageReport {
    /// The stage.
    pub id: StageId,
    /// What became of it.
    pub outcome: Outcome,
    /// Why something was to be done; empty when it is fresh, was skipped, or was not looked at.
    pub reasons: Vec<Reason>,
    /// What is recorded of it now, when it succeeded or was fresh.
    pub lock: Option<StageLock>,
    /// How long its commands ran; zero when none did.
    pub took: Duration,
}

/// What can become of a stage.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing had changed.
    Fresh,
    /// Its outputs were taken from the store, and it is recorded.
    Restored(RestoredFrom),
    /// It ran, succeeded, and is recorded.
    Ran,
    /// A data source or a frozen stage: its outputs were recorded as they are.
    Verified,
    /// It failed. What was recorded of it before stands.
    Failed(Failure),
    /// It was left out because this stage failed.
    Skipped {
        /// The stage that failed.
        because: StageId,
    },
    /// It was not begun: a dry run, the end was asked for, or another stage failed.
    NotStarted,
    /// It was stopped on request while it ran. What was recorded of it before stands.
    Cancelled,
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Whoever was asked did not agree to it, see [`Consent`](crate::Consent). Nothing was run or removed.
    #[error("declined")]
    Declined,
    /// A dependency is not there. Nothing was run or removed.
    #[error("dependency `{path}` does not exist")]
    MissingDep {
        /// The path as the stage writes it.
        path: String,
        /// Where that is.
        location: Location,
    },
    /// The directory that the commands run in is not there. Nothing was run or removed.
    #[error("working directory `{dir}` does not exist")]
    MissingWdir {
        /// The directory.
        dir: RelPath,
    },
    /// A program whose version counts cannot be started. Nothing was run or removed.
    #[error(
        "interpreter `{program}` cannot be started, and its version counts (meta.exp.env.interpreter)"
    )]
    MissingInterpreter {
        /// The program as the stage writes it.
        program: String,
    },
    /// A parameter file is not there. Nothing was run or removed.
    #[error("parameter file `{file}` does not exist")]
    MissingParamFile {
        /// The file as the stage writes it.
        file: String,
        /// Where that is.
        location: Location,
    },
    /// A parameter file does not have these keys. Nothing was run or removed.
    #[error("parameter file `{file}` does not have {}", listed(keys))]
    MissingParam {
        /// The file as the stage writes it.
        file: String,
        /// Where that is.
        location: Location,
        /// The keys, in the order of the stage.
        keys: Vec<KeyPath>,
    },
    /// A command failed or could not be started.
    #[error("{}", exit_text(.0))]
    Exit(Exit),
    /// All commands succeeded, and this output is not there.
    #[error("output `{path}` was not produced")]
    OutNotProduced {
        /// The path as the stage writes it.
        path: String,
        /// Where that is.
        location: Location,
    },
    /// Outputs of a data source or of a frozen stage are not there, and nothing may make them.
    #[error("data is missing: {}", quoted(paths))]
    MissingData {
        /// The paths as the stage writes them.
        paths: Vec<String>,
    },
    /// Something outside went wrong.
    #[error("cannot {action}")]
    Port {
        /// What was attempted.
        action: &'static str,
        /// What went wrong.
        source: PortError,
    },
}

/// Why nothing was executed at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// A stage that was asked for is not in the pipeline.
    #[error("the pipeline has no stage `{id}`")]
    UnknownStage {
        /// The stage.
        id: StageId,
    },
    /// The forecast of a dry run failed.
    #[error("cannot look at the pipeline")]
    Forecast {
        /// What went wrong.
        source: PortError,
    },
}

fn listed(keys: &[KeyPath]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn quoted(paths: &[String]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

/// Says how a command ended, as the message of a [`Failure`] does.
pub fn exit_text(exit: &Exit) -> String {
    match exit {
        Exit::Success => "all commands succeeded".to_owned(),
        Exit::Code { code, line } => format!("`{line}` exited with status {code}"),
        Exit::Signal { signal, line } => format!("`{line}` was ended by signal {signal}"),
        Exit::NotStarted { line, why } => format!("`{line}` could not be started: {why}"),
        Exit::TimedOut { line, limit } => {
            format!("`{line}` was ended: the stage may take {} s", limit.as_secs_f64())
        }
        Exit::Cancelled => "stopped on request".to_owned(),
    }
}

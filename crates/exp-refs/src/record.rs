//! What is kept of a run that did not finish.
//!
//! Its commit is made like an experiment's: parent is the baseline, the tree is what the run left. Two files are
//! added at the top of the repository:
//!
//! | path | content |
//! |---|---|
//! | `.dvc/exp/run.json` | the record, JSON, `"version": 1` |
//! | `.dvc/exp/run.log` | what the commands wrote, bytes as they came; absent when there is none |
//!
//! ```json
//! {"version":1,"state":"failed","stage":"train","exit_code":1,"signal":null,"message":null,
//!  "started":1795410005,"offset":0,"took_ms":1250,"host":"gpu1","overrides":["train.lr=0.1"]}
//! ```
//!
//! Written by this crate only. A reader refuses a version that it does not know; a field that matters gets a new
//! version; unknown fields are ignored. These files never belong to a workspace: see [`is_record`].

use std::time::Duration;

use exp_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::TreePath;

/// Where the record is.
pub(crate) const RECORD: &str = ".dvc/exp/run.json";
/// Where the log is.
pub(crate) const LOG: &str = ".dvc/exp/run.log";

const VERSION: u32 = 1;

/// Returns whether `path` holds the record or the log of a run, which is not to be applied to a workspace.
pub fn is_record(path: &TreePath) -> bool {
    [RECORD, LOG].iter().any(|own| path.as_bytes() == own.as_bytes())
}

/// How a run ended that did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RunEnd {
    /// A command failed.
    Failed,
    /// The user asked for the end.
    Interrupted,
    /// The process that ran it vanished; found by a later one.
    Died,
}

/// What is known of a run that did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// How it ended.
    pub end: RunEnd,
    /// The stage that it ended in.
    pub stage: Option<String>,
    /// What the command exited with.
    pub exit_code: Option<i32>,
    /// The signal that ended the command.
    pub signal: Option<i32>,
    /// Why, where no command is to blame: "cannot write `dvc.lock`".
    pub message: Option<String>,
    /// When it started.
    pub started: Timestamp,
    /// How long it took, to the millisecond; `None` when nobody saw the end.
    pub took: Option<Duration>,
    /// The machine.
    pub host: Option<String>,
    /// The changes of parameters that it was asked for, as they were given.
    pub overrides: Vec<String>,
}

/// Why a record was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It was written by a newer version.
    #[error("the run's record has version {found}, known is {VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// It is no record.
    #[error("the run's record is damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    state: RunEnd,
    stage: Option<String>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    message: Option<String>,
    started: i64,
    offset: i32,
    took_ms: Option<u64>,
    host: Option<String>,
    #[serde(default)]
    overrides: Vec<String>,
}

impl RunRecord {
    /// Returns the bytes of `run.json`.
    ///
    /// # Panics
    ///
    /// Never: a record has text and numbers only.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = Wire {
            version: VERSION,
            state: self.end,
            stage: self.stage.clone(),
            exit_code: self.exit_code,
            signal: self.signal,
            message: self.message.clone(),
            started: self.started.seconds,
            offset: self.started.offset,
            took_ms: self.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            host: self.host.clone(),
            overrides: self.overrides.clone(),
        };
        let mut bytes = serde_json::to_vec(&wire).expect("the record has text and numbers only");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the bytes of `run.json`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |error: serde_json::Error| RecordError::Damaged(error.into());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(damaged)?;
        Ok(Self {
            end: wire.state,
            stage: wire.stage,
            exit_code: wire.exit_code,
            signal: wire.signal,
            message: wire.message,
            started: Timestamp { seconds: wire.started, offset: wire.offset },
            took: wire.took_ms.map(Duration::from_millis),
            host: wire.host,
            overrides: wire.overrides,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = RunRecord {
            end: RunEnd::Died,
            stage: Some("train".to_owned()),
            exit_code: None,
            signal: Some(9),
            message: None,
            started: Timestamp { seconds: 1_795_410_005, offset: 3_600 },
            took: Some(Duration::from_millis(1_250)),
            host: None,
            overrides: vec!["lr=0.1".to_owned()],
        };
        assert_eq!(RunRecord::from_bytes(&record.to_bytes()).unwrap(), record);
    }

    #[test]
    fn a_record_of_the_future_is_told_from_a_damaged_one() {
        let future = RunRecord::from_bytes(br#"{"version":2,"state":"melted"}"#);
        assert!(matches!(future, Err(RecordError::Version { found: 2 })));
        assert!(matches!(RunRecord::from_bytes(b"{"), Err(RecordError::Damaged(_))));
        assert!(matches!(RunRecord::from_bytes(br#"{"version":1}"#), Err(RecordError::Damaged(_))));
    }
}

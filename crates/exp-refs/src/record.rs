//! What is kept of a run beside what it left: when and where it ran, in which environment, and how it ended.
//!
//! Of a run that finished the record is a line `exp-run` in the header of its commit, as Git's own `encoding` or `gpgsig`
//! are: it goes wherever the commit goes, the tree is what DVC makes, and programs that do not know the line pass over it.
//! Experiments of DVC and of older versions have none.
//!
//! The commit of a run that did not finish is made like an experiment's: parent is the baseline, the tree is what the run
//! left. Two files are added at the top of the repository:
//!
//! | path | content |
//! |---|---|
//! | `.dvc/exp/run.json` | the record, JSON, `"version": 1` |
//! | `.dvc/exp/run.log` | what the commands wrote, bytes as they came; absent when there is none |
//!
//! ```json
//! {"version":1,"state":"failed","stage":"train","exit_code":1,"signal":null,"message":null,
//!  "started":1795410005,"offset":0,"took_ms":1250,"host":"gpu1","overrides":["train.lr=0.1"],
//!  "environment":{"system":"Linux 6.8.0 x86_64","python":{"path":"/venv/bin/python","version":"3.12.3",
//!  "packages":{"n":57,"digest":"9f1c…"}},"lock_files":[{"path":"uv.lock","digest":"62a2…"}],"gpus":[],"driver":null},
//!  "left_out":[{"path":"big.bin","why":"large","size":20971520,"digest":"sha256:77b0…"}],"n_left_out":1,
//!  "submodules":[{"path":"lib","commit":"5a1c…","edits":"77b0…"}]}
//! ```
//!
//! Written by this crate only. A reader refuses a version that it does not know; a field that matters gets a new
//! version; unknown fields are ignored. These files never belong to a workspace: see [`is_record`].

use std::time::Duration;

use exp_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::environment::RunEnvironment;
use crate::name::TreePath;

/// The line of a commit's header that has the record of a run that finished.
pub(crate) const HEADER: &str = "exp-run";
/// Where the record is of one that did not.
pub(crate) const RECORD: &str = ".dvc/exp/run.json";
/// Where the log is.
pub(crate) const LOG: &str = ".dvc/exp/run.log";

const VERSION: u32 = 1;

/// Returns whether `path` holds the record or the log of a run, which is not to be applied to a workspace.
pub fn is_record(path: &TreePath) -> bool {
    [RECORD, LOG].iter().any(|own| path.as_bytes() == own.as_bytes())
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RunEnd {
    /// Every stage ended well.
    Finished,
    /// A command failed.
    Failed,
    /// The user asked for the end.
    Interrupted,
    /// The process that ran it vanished; found by a later one.
    Died,
}

/// A file that was there when a run began and that its commit does not have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where, from the top of the repository; a directory that is ignored as a whole ends with `/`.
    pub path: String,
    /// Why the commit does not have it.
    pub why: LeftOutCause,
    /// Its bytes; `None` of a directory.
    #[serde(default)]
    pub size: Option<u64>,
    /// What it held, `<algorithm>:<digest>`; `None` of a directory, of what likely holds a secret, and of more than is
    /// digested for this.
    #[serde(default)]
    pub digest: Option<String>,
}

/// Why a commit does not have a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LeftOutCause {
    /// Git ignores it.
    Ignored,
    /// Git does not know it, and it is too large to be kept.
    Large,
    /// Git does not know it, and its name says that it holds a secret.
    Secret,
    /// Git does not know it, and the run was in the workspace, where nobody asked for it to be kept.
    Untracked,
}

/// What a submodule was at when a run began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SubmoduleState {
    /// Where, from the top of the repository.
    pub path: String,
    /// The commit that was checked out there.
    pub commit: String,
    /// The tree of its files with what was edited, in the submodule's own repository; `None` when nothing was.
    #[serde(default)]
    pub edits: Option<String>,
}

/// What is known of a run.
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
    /// What it ran in; `None` when that was not looked at.
    pub environment: Option<RunEnvironment>,
    /// Files that were there and that its commit does not have, by path; of many some.
    pub left_out: Vec<LeftOut>,
    /// How many there were.
    pub n_left_out: u64,
    /// What the submodules were at, by path.
    pub submodules: Vec<SubmoduleState>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<RunEnvironment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    #[serde(default, skip_serializing_if = "is_zero")]
    n_left_out: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    submodules: Vec<SubmoduleState>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl RunRecord {
    /// Returns a record of a run of which nothing else is known.
    pub fn new(end: RunEnd, started: Timestamp) -> Self {
        Self {
            end,
            stage: None,
            exit_code: None,
            signal: None,
            message: None,
            started,
            took: None,
            host: None,
            overrides: Vec::new(),
            environment: None,
            left_out: Vec::new(),
            n_left_out: 0,
            submodules: Vec::new(),
        }
    }

    /// Returns the bytes of `run.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = self.to_line();
        text.push('\n');
        text.into_bytes()
    }

    /// Returns the record as one line of JSON.
    pub(crate) fn to_line(&self) -> String {
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
            environment: self.environment.clone(),
            left_out: self.left_out.clone(),
            n_left_out: self.n_left_out,
            submodules: self.submodules.clone(),
        };
        serde_json::to_string(&wire).expect("the record has text and numbers only")
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
            environment: wire.environment,
            left_out: wire.left_out,
            n_left_out: wire.n_left_out,
            submodules: wire.submodules,
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
            environment: Some(RunEnvironment {
                system: Some("Linux 6.8.0 x86_64".to_owned()),
                ..RunEnvironment::default()
            }),
            left_out: vec![LeftOut {
                path: "a\nb".to_owned(),
                why: LeftOutCause::Large,
                size: Some(7),
                digest: None,
            }],
            n_left_out: 2,
            submodules: vec![SubmoduleState {
                path: "lib".to_owned(),
                commit: "ab".repeat(20),
                edits: None,
            }],
        };
        assert!(!record.to_line().contains('\n'), "it fits into a line of a header");
        assert_eq!(RunRecord::from_bytes(&record.to_bytes()).unwrap(), record);
    }

    #[test]
    fn a_record_of_before_environments_were_kept_is_read() {
        let old = br#"{"version":1,"state":"failed","stage":null,"exit_code":1,"signal":null,"message":null,
            "started":7,"offset":0,"took_ms":null,"host":null,"overrides":[]}"#;
        let read = RunRecord::from_bytes(old).unwrap();
        assert_eq!((read.end, read.environment, read.n_left_out), (RunEnd::Failed, None, 0));
    }

    #[test]
    fn a_record_of_the_future_is_told_from_a_damaged_one() {
        let future = RunRecord::from_bytes(br#"{"version":2,"state":"melted"}"#);
        assert!(matches!(future, Err(RecordError::Version { found: 2 })));
        assert!(matches!(RunRecord::from_bytes(b"{"), Err(RecordError::Damaged(_))));
        assert!(matches!(RunRecord::from_bytes(br#"{"version":1}"#), Err(RecordError::Damaged(_))));
    }
}

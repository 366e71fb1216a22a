//! Sharing experiments: refs through a Git remote, data through a data remote.
//!
//! Sending goes data first, then refs, so that who sees an experiment on the Git remote can apply it. Receiving goes
//! refs first, because only they say which data is wanted. Each transfer looks at what the other side has, so one that
//! was interrupted is continued by doing it again.

mod check;
mod needs;
mod pull;
mod push;

pub use check::PushCheck;
pub use pull::{PullReport, PullRequest, RemoteSelection};
pub use push::{PushReport, PushRequest};

use std::num::NonZeroUsize;

use exp_cache::{DirRemote, Modes, TransferError, TransferStats};
use exp_core::{ObjectId, RelPath};
use exp_refs::{ExpName, TransportError};

use crate::config::RemoteConfig;
use crate::error::{Error, ErrorKind};
use crate::project::Project;

/// Threads that move objects when nothing else is configured.
const JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// Why experiments or data were not sent or received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// There are outputs to send, and no data remote is configured that they could go to.
    #[error(
        "{n_outputs} {} only in this store, and no data remote is set: {}",
        is_or_are(*n_outputs),
        listed(outputs)
    )]
    NoRemote {
        /// How many outputs.
        n_outputs: usize,
        /// Them, by experiment and path.
        outputs: Vec<MissingObject>,
        /// Their size together, as far as it is recorded.
        bytes: u64,
    },
    /// A data remote that is not a directory.
    #[error("data remote `{name}` is of another kind: `{scheme}`")]
    UnsupportedRemote {
        /// The remote.
        name: String,
        /// The scheme of its URL.
        scheme: String,
    },
    /// Data that an experiment needs is neither in the store nor on the data remote. Nothing was sent.
    #[error("{} neither in the store nor on the data remote: {}", count(missing.len()), listed(missing))]
    MissingData {
        /// What is missing.
        missing: Vec<MissingObject>,
    },
    /// Some data could not be moved. What was moved stays, and no ref was sent.
    #[error("{} of data not moved", failed.len())]
    NotMoved {
        /// What was not moved.
        failed: Vec<MissingObject>,
        /// The first reason.
        source: Box<TransferError>,
    },
    /// The Git remote has no such experiment.
    #[error("Git remote `{remote}` has no experiment `{name}`")]
    NotOnRemote {
        /// The Git remote.
        remote: String,
        /// The name that was asked for.
        name: String,
    },
    /// A transfer of data failed as a whole.
    #[error(transparent)]
    Transfer(Box<TransferError>),
    /// Refs were not sent or received.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl From<TransferError> for SyncError {
    fn from(error: TransferError) -> Self {
        Self::Transfer(Box::new(error))
    }
}

impl SyncError {
    /// Returns what kind of failure this is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRemote { .. } | Self::UnsupportedRemote { .. } => ErrorKind::Config,
            Self::MissingData { .. }
            | Self::NotOnRemote { .. }
            | Self::Transport(TransportError::Missing { .. }) => ErrorKind::NotFound,
            Self::Transport(TransportError::InvalidRemote { .. }) => ErrorKind::Usage,
            Self::Transport(TransportError::Cancelled(_)) => ErrorKind::Cancelled,
            Self::Transfer(error) => match &**error {
                TransferError::Cancelled(_) => ErrorKind::Cancelled,
                TransferError::Damaged { .. } => ErrorKind::Corrupt,
                _ => ErrorKind::Environment,
            },
            _ => ErrorKind::Environment,
        }
    }
}

/// An object that an experiment needs and that is not where it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingObject {
    /// An experiment that needs it.
    pub experiment: ExpName,
    /// Where it belongs.
    pub path: RelPath,
    /// The object.
    pub id: ObjectId,
}

/// What is done about the data of experiments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSync {
    /// Only refs are moved.
    Leave,
    /// Data is moved too.
    Move(DataSyncOptions),
}

/// How data of experiments is moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSyncOptions {
    /// The data remote; without, each output's own or the default one.
    pub remote: Option<String>,
    /// Whether the run cache is moved too.
    pub run_cache: bool,
    /// Whether refs are sent although data is missing or has no remote to go to.
    pub allow_missing: bool,
    /// How many objects are moved at once; without, what is configured for the remote, or 8.
    pub jobs: Option<NonZeroUsize>,
}

impl Default for DataSync {
    fn default() -> Self {
        Self::Move(DataSyncOptions::default())
    }
}

/// What was moved between the store and a data remote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataTransfer {
    /// The name of the remote.
    pub remote: String,
    /// Where it is, without secrets.
    pub url: String,
    /// Objects that were moved.
    pub moved: u64,
    /// Bytes of the files among them.
    pub bytes: u64,
    /// Objects that the other side had already.
    pub already_there: u64,
    /// Recorded runs that were moved.
    pub n_runs: u64,
}

impl DataTransfer {
    fn add(&mut self, stats: &TransferStats) {
        self.moved += stats.moved;
        self.bytes += stats.bytes;
        self.already_there += stats.already_there;
    }
}

/// A data remote that can be used.
pub(crate) struct OpenRemote {
    config: RemoteConfig,
    remote: DirRemote,
}

impl OpenRemote {
    fn transfer(&self) -> DataTransfer {
        DataTransfer {
            remote: self.config.name.clone(),
            url: self.config.shown_url(),
            ..DataTransfer::default()
        }
    }

    fn jobs(&self, asked: Option<NonZeroUsize>) -> NonZeroUsize {
        let configured = || self.config.option("jobs")?.trim().parse().ok();
        asked.or_else(configured).unwrap_or(JOBS)
    }
}

impl Project {
    /// Returns the Git remote that experiments are sent to when none is named: `exp.git_remote`, or `origin`.
    pub fn default_git_remote(&self) -> String {
        self.config().text("exp", "git_remote").unwrap_or("origin").to_owned()
    }

    /// Opens a data remote by name, or the default one; `None` when there is no default.
    pub(crate) fn data_remote(&self, name: Option<&str>) -> Result<Option<OpenRemote>, Error> {
        let default = self.config().default_remote();
        let Some(name) = name.map(str::to_owned).or(default) else { return Ok(None) };
        let config = self.config().remote(&name)?;
        let Some(dir) = config.directory() else {
            let scheme = config.scheme().to_owned();
            return Err(SyncError::UnsupportedRemote { name, scheme }.into());
        };
        let modes =
            Modes { umask: self.options().umask, group_shared: self.config().cache_shared() };
        let remote = DirRemote::new(dir, modes);
        Ok(Some(OpenRemote { config, remote }))
    }
}

fn count(n: usize) -> String {
    if n == 1 { "1 object is".to_owned() } else { format!("{n} objects are") }
}

fn is_or_are(n: usize) -> &'static str {
    if n == 1 { "output is" } else { "outputs are" }
}

/// Names the first few.
fn listed(missing: &[MissingObject]) -> String {
    const MAX: usize = 5;
    let mut names: Vec<String> = missing
        .iter()
        .take(MAX)
        .map(|one| format!("`{}` of {}", one.path, one.experiment))
        .collect();
    if missing.len() > MAX {
        names.push(format!("{} more", missing.len() - MAX));
    }
    names.join(", ")
}

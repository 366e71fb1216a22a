//! Sharing experiments: refs through a Git remote, data through a data remote.
//!
//! Sending goes data first, then refs, so that who sees an experiment on the Git remote can apply it. Receiving goes
//! refs first, because only they say which data is wanted. Each transfer looks at what the other side has, so one that
//! was interrupted is continued by doing it again.

mod auto;
mod check;
pub(crate) mod mount;
mod needs;
mod pull;
mod push;

pub use auto::AutoPush;
pub use check::PushCheck;
pub use pull::{PullReport, PullRequest, RemoteSelection};
pub use push::{PushReport, PushRequest};

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exp_cache::{
    AddressError, CacheError, Modes, Remote, StorageAddress, TransferError, TransferStats,
};
use exp_core::{Algorithm, Digest, ObjectId, RelPath};
use exp_refs::{ExpName, TransportError};

use crate::config::RemoteConfig;
use crate::error::{Error, ErrorKind};
use crate::project::Project;
use crate::versions::VersionMap;

/// Objects moved at once to and from a directory, when nothing else is configured.
const NEAR_JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// Objects moved at once over a network, when nothing else is configured.
const FAR_JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

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
    /// Data has no remote: neither a remote of its own nor a default one.
    #[error("no data remote is set{}", for_outputs(*n_outputs))]
    NoDefaultRemote {
        /// How many outputs have none; none at all when recorded runs have no remote.
        n_outputs: usize,
    },
    /// A remote that is to keep versions of files on a storage that cannot.
    #[error(
        "data remote `{name}` sets `{option}`, which needs a bucket of S3, Google Cloud Storage or Azure"
    )]
    VersionedRemote {
        /// The remote.
        name: String,
        /// The option: `version_aware` or `worktree`.
        option: &'static str,
    },
    /// What needs objects is to be done with a remote that keeps versions of files instead.
    #[error("data remote `{name}` keeps versions of files and has no objects")]
    OnlyVersions {
        /// The remote.
        name: String,
    },
    /// Data of other revisions is to be sent to a remote that keeps versions, which only the workspace can record.
    #[error("data remote `{name}` keeps versions of files, which no commit can record afterwards")]
    VersionedRevisions {
        /// The remote.
        name: String,
    },
    /// A data remote in a directory that was on another file system before and is empty or gone now.
    #[error("data remote `{name}` is not there: `{}` was on another file system before", path.display())]
    NotMounted {
        /// The remote.
        name: String,
        /// The directory.
        path: std::path::PathBuf,
    },
    /// A data remote whose address or options cannot be used.
    #[error("data remote `{name}` cannot be used")]
    UnusableRemote {
        /// The remote.
        name: String,
        /// What is wrong.
        source: AddressError,
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
            Self::NoRemote { .. }
            | Self::NoDefaultRemote { .. }
            | Self::VersionedRemote { .. }
            | Self::OnlyVersions { .. }
            | Self::UnusableRemote { .. } => ErrorKind::Config,
            Self::MissingData { .. }
            | Self::NotOnRemote { .. }
            | Self::Transport(TransportError::Missing { .. }) => ErrorKind::NotFound,
            Self::VersionedRevisions { .. }
            | Self::Transport(TransportError::InvalidRemote { .. }) => ErrorKind::Usage,
            Self::Transport(TransportError::Cancelled(_)) => ErrorKind::Cancelled,
            Self::Transfer(error) => match &**error {
                TransferError::Cancelled(_) => ErrorKind::Cancelled,
                TransferError::Damaged { .. }
                | TransferError::Cache(CacheError::Corrupt { .. } | CacheError::Manifest { .. }) => {
                    ErrorKind::Corrupt
                }
                TransferError::NoVersions { .. } => ErrorKind::Config,
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
    /// How many objects are moved at once; without, what is configured for the remote, or a number that suits it.
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
    /// How long it took, without looking at what is there.
    pub took: Duration,
}

impl DataTransfer {
    pub(crate) fn add(&mut self, stats: &TransferStats, began: Instant) {
        self.took += began.elapsed();
        self.moved += stats.moved;
        self.bytes += stats.bytes;
        self.already_there += stats.already_there;
    }
}

/// A data remote that can be used.
pub(crate) struct OpenRemote {
    pub(crate) config: RemoteConfig,
    pub(crate) remote: Remote,
}

impl OpenRemote {
    /// Forgets what is remembered of it, so that it is asked for everything.
    pub(crate) fn refreshed(self) -> Self {
        self.remote.forget();
        self
    }

    /// Returns whether it keeps versions of files under their own paths, and no objects.
    pub(crate) fn keeps_versions(&self) -> bool {
        versions_option(&self.config).is_some()
    }

    /// Returns whether others change files there, too, which `update` brings here.
    pub(crate) fn is_worktree(&self) -> bool {
        self.config.flag("worktree")
    }

    /// Returns it with the objects that records say are there, if it keeps versions; any other as it is.
    pub(crate) fn with_versions(self, versions: &VersionMap) -> Self {
        if !self.keeps_versions() {
            return self;
        }
        let remote = Remote::new(Arc::new(versions.on(&self)));
        Self { remote, ..self }
    }

    /// Returns its name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns the remote itself.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    pub(crate) fn transfer(&self) -> DataTransfer {
        DataTransfer {
            remote: self.config.name.clone(),
            url: self.config.shown_url(),
            ..DataTransfer::default()
        }
    }

    pub(crate) fn jobs(&self, asked: Option<NonZeroUsize>) -> NonZeroUsize {
        let configured = || self.config.option("jobs")?.trim().parse().ok();
        let is_near = self.remote.storage().abilities().is_near;
        asked.or_else(configured).unwrap_or(if is_near { NEAR_JOBS } else { FAR_JOBS })
    }
}

impl Project {
    /// Returns the Git remote that experiments are sent to when none is named: `exp.git_remote`, or `origin`.
    pub fn default_git_remote(&self) -> String {
        self.config().text("exp", "git_remote").unwrap_or("origin").to_owned()
    }

    /// Opens a data remote that has objects, by name, or the default one; `None` when there is no default.
    pub(crate) fn data_remote(&self, name: Option<&str>) -> Result<Option<OpenRemote>, Error> {
        match self.any_remote(name)? {
            Some(open) if open.keeps_versions() => {
                Err(SyncError::OnlyVersions { name: open.config.name }.into())
            }
            open => Ok(open),
        }
    }

    /// Opens a data remote, also one that keeps versions, by name, or the default one; `None` when there is no default.
    pub(crate) fn any_remote(&self, name: Option<&str>) -> Result<Option<OpenRemote>, Error> {
        let default = self.config().default_remote();
        let Some(name) = name.map(str::to_owned).or(default) else { return Ok(None) };
        let config = self.config().remote(&name)?;
        let versions = versions_option(&config);
        let modes =
            Modes { umask: self.options().umask, group_shared: self.config().cache_shared() };
        let mut options = config.exposed();
        if versions == Some("worktree") {
            // It is one that keeps versions, unless somebody says the opposite.
            if config.option("version_aware").is_some() {
                let reason = "needs `version_aware`".to_owned();
                let source = AddressError::Option { name: "worktree".to_owned(), reason };
                return Err(SyncError::UnusableRemote { name, source }.into());
            }
            options.insert("version_aware".to_owned(), "true".to_owned());
        }
        let address = StorageAddress { url: config.url.clone(), options, modes };
        let storage = (self.options().storages.open(&address))
            .map_err(|source| SyncError::UnusableRemote { name: name.clone(), source })?;
        if let Some(option) = versions.filter(|_| !storage.abilities().versions) {
            return Err(SyncError::VersionedRemote { name, option }.into());
        }
        if let Some(dir) = config.directory() {
            mount::check(self, &config, dir)?;
        }
        let mut remote = Remote::new(storage);
        if !remote.storage().abilities().is_near && versions.is_none() {
            let name = Digest::of(Algorithm::Md5, config.url.as_bytes()).to_hex();
            remote = remote.remembered_in(&self.scratch().join("remotes").join(name));
        }
        Ok(Some(OpenRemote { config, remote }))
    }
}

/// Returns the option that makes a remote keep versions of files.
fn versions_option(config: &RemoteConfig) -> Option<&'static str> {
    ["version_aware", "worktree"].into_iter().find(|option| config.flag(option))
}

fn count(n: usize) -> String {
    if n == 1 { "1 object is".to_owned() } else { format!("{n} objects are") }
}

fn for_outputs(n: usize) -> String {
    match n {
        0 => String::new(),
        1 => " for 1 output".to_owned(),
        n => format!(" for {n} outputs"),
    }
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

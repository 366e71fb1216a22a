//! exp-refs
mod diff;
mod env;
mod error;
mod find;
mod id;
mod layout;
mod name;
mod record;
mod repo;
mod store;
mod transport;
mod words;

pub use diff::TreeDiff;
pub use env::GitEnv;
pub use error::{CommitError, GitError, OpenError, RevisionError, UpdateError};
pub use find::{FindError, find};
pub use id::{BlobId, CommitId, IdError, TreeId};
pub use layout::RefName;
pub use name::{ExpName, InvalidName, TreePath};
pub use record::{RecordError, RunEnd, RunRecord, is_record};
pub use repo::*;
pub use store::{EditError, Experiment, ExperimentStore, ReadRecordError};
pub use transport::{GitCli, OnDiverged, TransferReport, TransportError};
pub use words::Names;

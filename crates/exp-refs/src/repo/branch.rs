//! Making a branch, the only thing below `refs/heads` that is ever written here.

use exp_core::Timestamp;

use super::{Expected, Git, RefChange};
use crate::error::UpdateError;
use crate::id::CommitId;
use crate::layout::RefName;
use crate::name::{InvalidName, is_valid_branch};

/// Why a branch was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// The name is none for a branch.
    #[error(transparent)]
    Invalid(#[from] InvalidName),
    /// There is one of that name.
    #[error("branch `{name}` exists")]
    Exists {
        /// Its name.
        name: String,
    },
    /// The ref was not written.
    #[error(transparent)]
    Update(UpdateError),
}

impl Git {
    /// Makes a branch that leads to `commit`, with `message` in its reflog. `HEAD` stays where it is.
    pub fn create_branch(
        &self,
        name: &str,
        commit: CommitId,
        message: &str,
        time: Timestamp,
    ) -> Result<RefName, BranchError> {
        if !is_valid_branch(name) {
            return Err(InvalidName::new(name).into());
        }
        let ref_name = RefName::new(&format!("refs/heads/{name}"))?;
        let change =
            RefChange { name: ref_name.clone(), new: Some(commit), expected: Expected::Missing };
        match self.update_refs_logged(&[change], message, Some(time)) {
            Ok(()) => Ok(ref_name),
            Err(UpdateError::Raced { .. }) => Err(BranchError::Exists { name: name.to_owned() }),
            Err(error) => Err(BranchError::Update(error)),
        }
    }
}

//! The index of a private work tree.

use super::{Git, failed, oid};
use crate::error::GitError;
use crate::id::TreeId;

impl Git {
    /// Writes the index of this work tree as `git read-tree` does: the files of `tree`, nothing known of those in the work
    /// tree. For private work trees only; the index of a user's repository is never written.
    pub fn write_index(&self, tree: TreeId) -> Result<(), GitError> {
        let repo = self.local();
        let action = || format!("write the index of tree {tree}");
        let mut index = repo.index_from_tree(&oid(tree.0)).map_err(failed(&action()))?;
        index.set_path(self.git_dir().join("index"));
        index
            .write(gix::index::write::Options::default())
            .map_err(|error| GitError::new(action(), error))?;
        Ok(())
    }
}

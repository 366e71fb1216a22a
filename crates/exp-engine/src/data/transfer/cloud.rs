//! Comparing the store with remotes.

use std::collections::BTreeMap;

use exp_cache::compare;
use exp_core::{Ctx, ObjectId, RelPath};

use super::DataTransferRequest;
use super::wanted::{DataWants, Direction};
use crate::error::Error;
use crate::project::Project;
use crate::sync::SyncError;

/// Where an object is, when it is not both in the store and on the remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloudState {
    /// Only in the store.
    New,
    /// Only on the remote.
    Deleted,
    /// Nowhere.
    Missing,
}

/// How store and remotes differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudStatus {
    /// What is not on both sides, by path: outputs, and the files of directories.
    pub differing: BTreeMap<RelPath, CloudState>,
    /// The names of the remotes that were asked, ordered.
    pub remotes: Vec<String>,
    /// How many objects were compared.
    pub n_objects: usize,
}

impl Project {
    /// Compares the store with the remotes, for everything that could be sent. Nothing is moved.
    ///
    /// # Errors
    ///
    /// When a target is unknown, an output has no remote, or a remote fails.
    pub fn compare_data(
        &self,
        ctx: &Ctx<'_>,
        request: &DataTransferRequest,
    ) -> Result<CloudStatus, Error> {
        let asked = request.remote.as_deref();
        if asked.is_some() {
            self.data_remote(asked)?;
        }
        let wants = DataWants::of(self, request, Direction::Send)?;
        let mut status = CloudStatus::default();
        let mut found_at: BTreeMap<ObjectId, CloudState> = BTreeMap::new();
        let mut trees = BTreeMap::new();
        let parts = wants.by_remote(self, asked);
        if let Some(homeless) = parts.get(&None) {
            return Err(SyncError::NoDefaultRemote { n_outputs: homeless.len() }.into());
        }
        for (name, wanted) in parts {
            let Some(remote) = self.data_remote(name.as_deref())? else { continue };
            let remote = if request.refresh { remote.refreshed() } else { remote };
            let found =
                compare(ctx, self.cache(), &remote.remote, &wanted).map_err(SyncError::from)?;
            status.n_objects += found.objects.len();
            for (id, here, there) in found.objects {
                let state = match (here, there) {
                    (true, true) => continue,
                    (true, false) => CloudState::New,
                    (false, true) => CloudState::Deleted,
                    (false, false) => CloudState::Missing,
                };
                found_at.insert(id, state);
            }
            trees.extend(found.trees);
            status.remotes.extend(name);
        }
        for (piece, below) in wants.places() {
            if let Some(state) = found_at.get(&piece.id) {
                status.differing.insert(piece.path.clone(), *state);
            }
            let Some(tree) = trees.get(&piece.id) else { continue };
            for entry in tree.entries() {
                let is_meant = below.is_none_or(|below| is_at(&entry.path, below));
                let state = found_at.get(&ObjectId::file(entry.digest)).filter(|_| is_meant);
                if let Some(state) = state
                    && let Ok(path) = piece.path.join(&entry.path)
                {
                    status.differing.insert(path, *state);
                }
            }
        }
        Ok(status)
    }
}

fn is_at(path: &str, below: &str) -> bool {
    path.strip_prefix(below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

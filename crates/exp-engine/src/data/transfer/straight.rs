//! Data that goes straight to a remote and is not kept here.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use exp_cache::{Filter, push_path};
use exp_core::{Artifact, Ctx};

use crate::error::Error;
use crate::project::Project;
use crate::sync::{DataTransfer, SyncError};

impl Project {
    /// Sends the file or directory at the absolute path `source` to a remote, the default one if none is named, without
    /// storing it here; returns what it is, to be recorded, and what was moved.
    ///
    /// # Errors
    ///
    /// When there is no remote, nothing is at `source`, it changes meanwhile, or the remote fails; what was sent by then
    /// stays.
    pub fn add_to_remote(
        &self,
        ctx: &Ctx<'_>,
        (source, filter): (&Path, &dyn Filter),
        remote: Option<&str>,
        jobs: Option<NonZeroUsize>,
    ) -> Result<(Artifact, DataTransfer), Error> {
        let Some(open) = self.data_remote(remote)? else {
            return Err(SyncError::NoDefaultRemote { n_outputs: 1 }.into());
        };
        let (jobs, began) = (open.jobs(jobs), Instant::now());
        let (artifact, stats) =
            push_path(ctx, (self.cache(), &open.remote), (source, filter), jobs)
                .map_err(SyncError::from)?;
        let mut moved = open.transfer();
        moved.add(&stats, began);
        Ok((artifact, moved))
    }
}

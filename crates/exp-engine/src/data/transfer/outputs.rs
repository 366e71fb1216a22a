//! Receiving the outputs of one run, of which the store has only the record.

use std::collections::{BTreeMap, BTreeSet};

use exp_cache::{plan_pull, pull};
use exp_core::{Ctx, ObjectId, Stage, StageLock};

use crate::error::Error;
use crate::project::Project;
use crate::sync::SyncError;

impl Project {
    /// Receives what the store lacks of the outputs of `stage` as `lock` has them, each from its own remote or the default
    /// one. What a remote lacks stays missing, and so does what would come from one that keeps versions: those know
    /// only what records of the workspace name.
    ///
    /// # Errors
    ///
    /// When a remote fails as a whole. What was received until then stays in the store.
    pub(crate) fn fetch_outputs(
        &self,
        ctx: &Ctx<'_>,
        stage: &Stage,
        lock: &StageLock,
    ) -> Result<(), Error> {
        let default = self.config().default_remote();
        let mut parts: BTreeMap<String, BTreeSet<ObjectId>> = BTreeMap::new();
        for out in &stage.outs {
            let Some(name) = out.remote.clone().or_else(|| default.clone()) else { continue };
            let recorded = lock.out(&out.path).and_then(|entry| entry.artifact);
            if let Some(artifact) = recorded
                && !self.cache().has_all(&artifact)?
            {
                parts.entry(name).or_default().insert(artifact.id);
            }
        }
        for (name, wanted) in parts {
            let Some(remote) = self.any_remote(Some(&name))? else { continue };
            if remote.keeps_versions() {
                continue;
            }
            let store = &remote.remote;
            let plan = plan_pull(ctx, self.cache(), store, &wanted).map_err(SyncError::from)?;
            pull(ctx, self.cache(), store, plan, remote.jobs(None)).map_err(SyncError::from)?;
        }
        Ok(())
    }
}

//! Sending an experiment right after its run, when the configuration asks for it, as DVC does: `exp.auto_push`,
//! `exp.git_remote`, and the variables `DVC_EXP_AUTO_PUSH` and `DVC_EXP_GIT_REMOTE`, which win.

use exp_core::Ctx;
use exp_refs::{Experiment, OnDiverged, TransportError};

use super::{DataSync, DataSyncOptions, PushReport, PushRequest, SyncError};
use crate::error::Error;
use crate::project::Project;

/// What came of sending an experiment after its run. That it failed is no reason for the run to fail.
#[derive(Debug)]
pub struct AutoPush {
    /// The Git remote.
    pub git_remote: String,
    /// What was sent, or why nothing was.
    pub result: Result<PushReport, Error>,
}

impl Project {
    /// Returns the Git remote that experiments are sent to right after their runs; `None` when that is not asked for.
    pub fn auto_push_remote(&self) -> Option<String> {
        let env = &self.options().env;
        let is_on = match env.text("DVC_EXP_AUTO_PUSH") {
            Some(text) => is_yes(text),
            None => self.config().exp_auto_push(),
        };
        let remote = || match env.text("DVC_EXP_GIT_REMOTE") {
            Some(remote) => remote.to_owned(),
            None => self.default_git_remote(),
        };
        is_on.then(remote)
    }

    /// Sends an experiment right after its run: its data, the run cache and its ref. An experiment of that name that the
    /// remote has stays.
    ///
    /// # Errors
    ///
    /// As [`Project::push`]; also when the Git remote is neither configured nor an address.
    pub fn push_finished(
        &self,
        ctx: &Ctx<'_>,
        experiment: &Experiment,
        git_remote: &str,
    ) -> Result<PushReport, Error> {
        let is_configured = self.git().config(&format!("remote.{git_remote}.url")).is_some();
        if !is_configured && !git_remote.contains(['/', ':']) {
            let (remote, stderr) = (git_remote.to_owned(), String::new());
            return Err(SyncError::from(TransportError::Missing { remote, stderr }).into());
        }
        let options = DataSyncOptions { run_cache: true, ..DataSyncOptions::default() };
        let request = PushRequest {
            git_remote: git_remote.to_owned(),
            experiments: vec![experiment.clone()],
            on_diverged: OnDiverged::Keep,
            data: DataSync::Move(options),
        };
        self.push(ctx, &request)
    }

    /// Does [`Project::push_finished`] if it is asked for.
    pub(crate) fn auto_push(&self, ctx: &Ctx<'_>, experiment: &Experiment) -> Option<AutoPush> {
        let git_remote = self.auto_push_remote()?;
        let result = self.push_finished(ctx, experiment, &git_remote);
        Some(AutoPush { git_remote, result })
    }
}

/// Returns whether a variable says yes, as DVC reads it: it contains `1`, `y` or `true`.
fn is_yes(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["1", "y", "true"].iter().any(|yes| text.contains(yes))
}

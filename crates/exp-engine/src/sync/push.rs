//! Sending experiments: data first, then refs.

use std::collections::BTreeSet;
use std::time::Instant;

use exp_cache::{plan_push, push, push_runs};
use exp_core::{Ctx, Warning};
use exp_refs::{Experiment, GitCli, OnDiverged, RefName};

use super::needs::Needs;
use super::{DataSync, DataSyncOptions, DataTransfer, MissingObject, OpenRemote, SyncError};
use crate::data::of_transfer;
use crate::error::Error;
use crate::project::Project;

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// The Git remote: a name, a path or a URL. A relative path starts at the top of the repository.
    pub git_remote: String,
    /// The experiments.
    pub experiments: Vec<Experiment>,
    /// What happens to one that has another commit there.
    pub on_diverged: OnDiverged,
    /// What happens to their data.
    pub data: DataSync,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Experiments that are new or changed on the Git remote.
    pub pushed: Vec<Experiment>,
    /// Experiments that it had already.
    pub up_to_date: Vec<Experiment>,
    /// Experiments that it has with another commit, left so; their data was not sent.
    pub diverged: Vec<Experiment>,
    /// What was sent to each data remote.
    pub data: Vec<DataTransfer>,
    /// Data that was not sent because it is nowhere, or because it has no remote to go to.
    pub missing: Vec<MissingObject>,
    /// Outputs of the sent experiments that were not sent on purpose: how many.
    pub n_left: usize,
    /// Data remotes that were sent to and that an experiment's own `.dvc/config` does not lead to, sorted.
    pub uncommitted_remotes: Vec<String>,
}

impl PushReport {
    /// Returns whether all data of the sent experiments is on the data remotes.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.n_left == 0
    }

    /// Returns whether a fresh clone can apply the sent experiments: it has all data and knows where that is.
    pub fn can_apply(&self) -> bool {
        self.is_complete() && self.uncommitted_remotes.is_empty()
    }
}

impl Project {
    /// Sends experiments: first all their data, then their refs, so that an experiment that is seen there can be
    /// applied. An interrupted transfer is continued by the next one.
    ///
    /// # Errors
    ///
    /// Before anything is sent, when data is neither here nor on its remote, or has no remote to go to, unless that is
    /// allowed. When an object could not be sent, no ref is.
    pub fn push(&self, ctx: &Ctx<'_>, request: &PushRequest) -> Result<PushReport, Error> {
        let cli = GitCli::new(self.git().clone());
        let mut report = PushReport::default();
        let there = list_all(ctx, &cli, &request.git_remote)?;
        let mut send = Vec::new();
        for experiment in &request.experiments {
            let found = there.iter().find(|other| other.ref_name == experiment.ref_name);
            match found {
                Some(found)
                    if found.commit != experiment.commit
                        && request.on_diverged == OnDiverged::Keep =>
                {
                    report.diverged.push(experiment.clone());
                }
                _ => send.push(experiment.clone()),
            }
        }
        let needs = Needs::of(self, &send)?;
        match &request.data {
            DataSync::Move(options) => self.push_data(ctx, &needs, options, &mut report)?,
            DataSync::Leave => report.n_left = needs.extent().0,
        }
        let names: Vec<RefName> = send.iter().map(|one| one.ref_name.clone()).collect();
        if names.is_empty() {
            return Ok(report);
        }
        let refs = cli
            .push(ctx, &request.git_remote, &names, request.on_diverged)
            .map_err(SyncError::from)?;
        let in_list = |list: &[RefName], one: &Experiment| list.contains(&one.ref_name);
        for experiment in send {
            if in_list(&refs.up_to_date, &experiment) {
                report.up_to_date.push(experiment);
            } else if in_list(&refs.diverged, &experiment) {
                report.diverged.push(experiment);
            } else {
                report.pushed.push(experiment);
            }
        }
        Ok(report)
    }

    fn push_data(
        &self,
        ctx: &Ctx<'_>,
        needs: &Needs,
        options: &DataSyncOptions,
        report: &mut PushReport,
    ) -> Result<(), Error> {
        let mut plans: Vec<(OpenRemote, exp_cache::TransferPlan)> = Vec::new();
        // A remote that is named must exist, also when there is nothing to send.
        let asked = options.remote.as_deref();
        if let Some(name) = asked {
            self.data_remote(Some(name))?;
        }
        let mut missing = BTreeSet::new();
        for (name, ids) in needs.by_remote(self, asked) {
            let remote = match &name {
                Some(name) => self.data_remote(Some(name))?,
                None => None,
            };
            let Some(remote) = remote else {
                if options.allow_missing {
                    missing.extend(ids);
                    continue;
                }
                let (n_outputs, bytes) = needs.extent();
                let outputs = needs.outputs();
                return Err(SyncError::NoRemote { n_outputs, outputs, bytes }.into());
            };
            if !needs.is_carried(self, asked, &remote) {
                let name = remote.config.name.clone();
                ctx.warn(&Warning::RemoteNotCommitted { remote: name.clone() });
                report.uncommitted_remotes.push(name);
            }
            let plan = plan_push(ctx, self.cache(), &remote.remote, &ids).map_err(|error| {
                let path = |id| Some(needs.name(self, &[id]).into_iter().next()?.path);
                of_transfer(error, path)
            })?;
            missing.extend(plan.missing().iter().copied());
            plans.push((remote, plan));
        }
        let missing: Vec<_> = missing.into_iter().collect();
        report.missing = needs.name(self, &missing);
        if !report.missing.is_empty() && !options.allow_missing {
            return Err(
                SyncError::MissingData { missing: std::mem::take(&mut report.missing) }.into()
            );
        }
        for (remote, plan) in plans {
            let (mut moved, began) = (remote.transfer(), Instant::now());
            let jobs = remote.jobs(options.jobs);
            let mut stats =
                push(ctx, self.cache(), &remote.remote, plan, jobs).map_err(SyncError::from)?;
            moved.add(&stats, began);
            if !stats.failed.is_empty() {
                let ids: Vec<_> = stats.failed.iter().map(|(id, _)| *id).collect();
                let (_, source) = stats.failed.swap_remove(0);
                let failed = needs.name(self, &ids);
                return Err(SyncError::NotMoved { failed, source: Box::new(source) }.into());
            }
            if options.run_cache {
                moved.n_runs =
                    push_runs(ctx, self.cache(), &remote.remote).map_err(SyncError::from)?;
            }
            report.data.push(moved);
        }
        Ok(())
    }
}

/// Returns all experiments of a Git remote, those that did not finish included.
pub(super) fn list_all(
    ctx: &Ctx<'_>,
    cli: &GitCli,
    git_remote: &str,
) -> Result<Vec<Experiment>, SyncError> {
    let mut found = cli.list(ctx, git_remote, "refs/exps/")?;
    found.extend(cli.list(ctx, git_remote, "refs/exp/runs/")?);
    Ok(found.iter().filter_map(Experiment::of_ref).collect())
}

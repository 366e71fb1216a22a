//! Receiving experiments: refs first, then the data they name, into the store only.

use std::time::Instant;

use exp_cache::{plan_pull, pull, pull_runs};
use exp_core::Ctx;
use exp_refs::{CommitId, Experiment, GitCli, OnDiverged, Ref};

use super::needs::Needs;
use super::push::list_all;
use super::{DataSync, DataSyncOptions, DataTransfer, MissingObject, SyncError};
use crate::change::Changes;
use crate::error::Error;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;

/// What is to be received.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The Git remote: a name, a path or a URL. A relative path starts at the top of the repository.
    pub git_remote: String,
    /// Which experiments.
    pub which: RemoteSelection,
    /// What happens to one that exists here with another commit.
    pub on_diverged: OnDiverged,
    /// What happens to their data.
    pub data: DataSync,
}

/// Which experiments of a Git remote are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteSelection {
    /// Those with these names, or these full ref names; all baselines.
    Names(Vec<String>),
    /// Those that finished and started from one of these commits.
    Baselines(Vec<CommitId>),
    /// All that finished.
    All,
}

/// What was received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullReport {
    /// Experiments that are new or changed here.
    pub pulled: Vec<Experiment>,
    /// Experiments that were here already.
    pub up_to_date: Vec<Experiment>,
    /// Experiments that are here with another commit, left so; as they are there.
    pub diverged: Vec<Experiment>,
    /// What was received from each data remote.
    pub data: Vec<DataTransfer>,
    /// Data that is neither here nor on its remote, or that has no remote.
    pub missing: Vec<MissingObject>,
    /// Those of `missing` that have no remote: none is configured here that they could come from.
    pub without_remote: Vec<MissingObject>,
    /// Outputs whose data was left on purpose: how many.
    pub n_left: usize,
}

impl Project {
    /// Returns the experiments of a Git remote, those that did not finish included.
    ///
    /// # Errors
    ///
    /// When the remote cannot be asked.
    pub fn remote_experiments(
        &self,
        ctx: &Ctx<'_>,
        git_remote: &str,
    ) -> Result<Vec<Experiment>, Error> {
        Ok(list_all(ctx, &GitCli::new(self.git().clone()), git_remote)?)
    }

    /// Receives experiments: first their refs, then their data into the store. The workspace stays as it is.
    ///
    /// An experiment that exists here with another commit is left or replaced, as the request says; a replaced one can
    /// be brought back with undo. An interrupted transfer is continued by the next one.
    ///
    /// # Errors
    ///
    /// When a name is unknown there, nothing is received. When data could not be moved, the refs stay.
    pub fn pull(&self, ctx: &Ctx<'_>, request: &PullRequest) -> Result<PullReport, Error> {
        recover::recover(self, ctx)?;
        let cli = GitCli::new(self.git().clone());
        let there = list_all(ctx, &cli, &request.git_remote)?;
        let chosen = choose(&there, request)?;
        let refs: Vec<Ref> = (chosen.iter())
            .map(|one| Ref { name: one.ref_name.clone(), commit: one.commit })
            .collect();
        let mut changes = Changes::begin(self, OperationKind::Pull, &request.git_remote);
        for experiment in &chosen {
            let before = self.git().read_ref(&experiment.ref_name)?;
            let stays = before.is_some() && request.on_diverged == OnDiverged::Keep;
            if before != Some(experiment.commit) && !stays {
                changes.moved_ref(&experiment.ref_name, before, Some(experiment.commit));
            }
        }
        changes.announce()?;
        let fetched = cli.fetch(ctx, &request.git_remote, &refs, request.on_diverged);
        let done = match fetched {
            Ok(done) => done,
            Err(error) => {
                changes.discard()?;
                return Err(SyncError::from(error).into());
            }
        };
        changes.finish(ctx)?;
        let mut report = PullReport::default();
        for experiment in chosen {
            if done.updated.contains(&experiment.ref_name) {
                report.pulled.push(experiment);
            } else if done.diverged.contains(&experiment.ref_name) {
                report.diverged.push(experiment);
            } else {
                report.up_to_date.push(experiment);
            }
        }
        let with_data: Vec<Experiment> =
            report.pulled.iter().chain(&report.up_to_date).cloned().collect();
        let needs = Needs::of(self, &with_data)?;
        match &request.data {
            DataSync::Move(options) => self.pull_data(ctx, &needs, options, &mut report)?,
            DataSync::Leave => report.n_left = needs.extent().0,
        }
        Ok(report)
    }

    fn pull_data(
        &self,
        ctx: &Ctx<'_>,
        needs: &Needs,
        options: &DataSyncOptions,
        report: &mut PullReport,
    ) -> Result<(), Error> {
        let asked = options.remote.as_deref();
        if let Some(name) = asked {
            self.any_remote(Some(name))?;
        }
        for (name, ids) in needs.by_remote(self, asked) {
            let remote = match &name {
                Some(name) => self.any_remote(Some(name))?,
                None => None,
            };
            let Some(remote) = remote else {
                let mut absent = Vec::new();
                for need in needs.all.iter().filter(|need| ids.contains(&need.id)) {
                    let artifact = exp_core::Artifact {
                        id: need.id,
                        size: None,
                        n_files: None,
                        is_exec: false,
                    };
                    if !self.cache().has_all(&artifact)? {
                        absent.push(need.id);
                    }
                }
                report.without_remote = needs.name(self, &absent);
                report.missing.extend(report.without_remote.iter().cloned());
                continue;
            };
            let remote = remote.with_versions(&needs.versions);
            let plan =
                plan_pull(ctx, self.cache(), &remote.remote, &ids).map_err(SyncError::from)?;
            let (mut moved, began) = (remote.transfer(), Instant::now());
            let jobs = remote.jobs(options.jobs);
            let mut stats =
                pull(ctx, self.cache(), &remote.remote, plan, jobs).map_err(SyncError::from)?;
            moved.add(&stats, began);
            report.missing.extend(needs.name(self, &stats.missing));
            if !stats.failed.is_empty() {
                let ids: Vec<_> = stats.failed.iter().map(|(id, _)| *id).collect();
                let (_, source) = stats.failed.swap_remove(0);
                let failed = needs.name(self, &ids);
                return Err(SyncError::NotMoved { failed, source: Box::new(source) }.into());
            }
            if options.run_cache {
                moved.n_runs =
                    pull_runs(ctx, self.cache(), &remote.remote).map_err(SyncError::from)?;
            }
            report.data.push(moved);
        }
        Ok(())
    }
}

fn choose(there: &[Experiment], request: &PullRequest) -> Result<Vec<Experiment>, SyncError> {
    let mut chosen: Vec<Experiment> = match &request.which {
        RemoteSelection::All => there.iter().filter(|one| one.is_finished).cloned().collect(),
        RemoteSelection::Baselines(commits) => (there.iter())
            .filter(|one| one.is_finished && commits.contains(&one.baseline))
            .cloned()
            .collect(),
        RemoteSelection::Names(names) => {
            let mut chosen = Vec::new();
            for name in names {
                let matches =
                    |one: &&Experiment| one.name.as_str() == name || one.ref_name.as_str() == name;
                let before = chosen.len();
                chosen.extend(there.iter().filter(matches).cloned());
                if chosen.len() == before {
                    let remote = request.git_remote.clone();
                    return Err(SyncError::NotOnRemote { remote, name: name.clone() });
                }
            }
            chosen
        }
    };
    chosen.sort_by(|a, b| a.ref_name.cmp(&b.ref_name));
    chosen.dedup();
    Ok(chosen)
}

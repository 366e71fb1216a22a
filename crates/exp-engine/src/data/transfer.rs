//! Moving data between the store and remotes: everything that the workspace and, on request, commits record.
//!
//! Each output goes to, or comes from, the remote that is asked for, its own one, or the default one. What was imported
//! belongs to its source and is never sent. What cannot be moved is named by path and revision.

mod cloud;
mod imports;
mod outputs;
mod straight;
mod unsent;
mod versioned;
mod wanted;

pub use cloud::{CloudState, CloudStatus};

use std::num::NonZeroUsize;
use std::time::Instant;

use exp_cache::{
    TransferError, TransferStats, plan_pull_parts, plan_push_parts, pull, pull_runs, push,
    push_runs,
};
use exp_core::{Ctx, ObjectId, OutKind, RelPath, StageId};

use self::wanted::{DataWants, Direction};
use super::{DataScope, of_transfer};
use crate::error::Error;
use crate::import::FetchedImports;
use crate::project::Project;
use crate::sync::{DataTransfer, OpenRemote, SyncError};

/// Which commits are meant beside the workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct DataRevisions {
    /// The tips of all branches.
    pub branches: bool,
    /// All tags.
    pub tags: bool,
    /// Every commit that `HEAD`, a branch or a tag leads to.
    pub commits: bool,
    /// All experiments.
    pub experiments: bool,
}

/// Which data is moved or compared, and how.
#[derive(Debug, Clone, Default)]
pub struct DataTransferRequest {
    /// Outputs, paths inside of them, stages or `.dvc` files; empty for everything.
    pub scope: DataScope,
    /// Whether the targets are patterns of shells: `*`, `?`, `[…]`, and `**` for any number of directories.
    pub glob: bool,
    /// Commits that are meant too.
    pub revisions: DataRevisions,
    /// Only outputs of these kinds; empty for all.
    pub kinds: Vec<OutKind>,
    /// Only outputs that are not known to have so many bytes, or more.
    pub max_size: Option<u64>,
    /// The remote; without, each output's own or the default one.
    pub remote: Option<String>,
    /// How many objects are moved at once; without, what is configured for the remote, or a number that suits it.
    pub jobs: Option<NonZeroUsize>,
    /// Whether recorded runs are moved too.
    pub run_cache: bool,
    /// Whether the remote is asked for every object, whatever is remembered of it.
    pub refresh: bool,
}

/// An object by the place where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataPiece {
    /// The branch, tag, experiment or abbreviated commit that records it; `None` for the workspace.
    pub revision: Option<String>,
    /// Its path.
    pub path: RelPath,
    /// The object.
    pub id: ObjectId,
}

/// What was moved and what was not.
#[derive(Debug, Default)]
pub struct DataTransferReport {
    /// What was moved, remote by remote.
    pub transfers: Vec<DataTransfer>,
    /// What is neither in the store nor on the remote, ordered.
    pub missing: Vec<DataPiece>,
    /// What could not be moved, and why, ordered.
    pub failed: Vec<(DataPiece, TransferError)>,
    /// What is not in the store and has no remote that it could come from, ordered.
    pub without_remote: Vec<DataPiece>,
    /// Whether something has no remote, in the store or not.
    pub lacks_remote: bool,
    /// What was fetched from the sources of imports, and what could not be.
    pub imports: FetchedImports,
    /// Stages and `.dvc` files that say now where a remote that keeps versions has their data, ordered.
    pub recorded: Vec<StageId>,
    /// Revisions whose records cannot be read, and why.
    pub unreadable: Vec<(String, Error)>,
}

impl DataTransferReport {
    /// Returns how many objects and runs were moved.
    pub fn n_moved(&self) -> u64 {
        let from_remotes: u64 = self.transfers.iter().map(|one| one.moved + one.n_runs).sum();
        from_remotes + self.imports.moved
    }

    /// Returns whether everything that is meant is on both sides now.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self.failed.is_empty()
            && self.without_remote.is_empty()
            && self.imports.failed.is_empty()
    }

    fn add(
        &mut self,
        moved: DataTransfer,
        stats: TransferStats,
        wants: &DataWants,
        project: &Project,
    ) {
        self.missing.extend(wants.name(project, &stats.missing));
        let mut failed: Vec<(DataPiece, TransferError)> = Vec::new();
        for (id, error) in stats.failed {
            if let Some(piece) = wants.name(project, &[id]).into_iter().next() {
                failed.push((piece, error));
            }
        }
        failed.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.failed.extend(failed);
        self.transfers.push(moved);
    }
}

impl Project {
    /// Sends data to its remotes. An interrupted transfer is continued by the next one.
    ///
    /// To a remote that keeps versions, files go under their own paths, and the records of the workspace say then which
    /// versions they are: they are changed, and that can be taken back.
    ///
    /// An output with `push: false` stays here. What the store lacks is reported when its remote lacks it too; the
    /// manifest of such a directory is not sent.
    ///
    /// # Errors
    ///
    /// When a target is unknown, an output has no remote to go to, or a remote fails as a whole. Failures of single
    /// objects are in the report.
    pub fn send_data(
        &self,
        ctx: &Ctx<'_>,
        request: &DataTransferRequest,
    ) -> Result<DataTransferReport, Error> {
        let asked = request.remote.as_deref();
        if asked.is_some() {
            self.any_remote(asked)?;
        }
        let mut wants = DataWants::of(self, request, Direction::Send)?;
        let mut report = DataTransferReport {
            unreadable: std::mem::take(&mut wants.unreadable),
            ..DataTransferReport::default()
        };
        let mut parts = wants.by_remote(self, asked);
        let usual = asked.map(str::to_owned).or_else(|| self.config().default_remote());
        if let Some(homeless) = parts.get(&None) {
            let outputs = homeless.len();
            return Err(SyncError::NoDefaultRemote { n_outputs: outputs }.into());
        }
        if request.run_cache {
            // Runs go to the usual remote, though nothing that is recorded here does.
            let Some(usual) = &usual else {
                return Err(SyncError::NoDefaultRemote { n_outputs: 0 }.into());
            };
            parts.entry(Some(usual.clone())).or_default();
        }
        for (name, wanted) in parts {
            let Some(remote) = self.opened(name.as_deref(), request)? else { continue };
            if remote.keeps_versions() {
                self.send_versions(ctx, (&remote, request), &mut report)?;
                continue;
            }
            let plan = plan_push_parts(ctx, self.cache(), &remote.remote, &wanted);
            let plan = plan.map_err(|error| {
                let path = |id| Some(wants.name(self, &[id]).into_iter().next()?.path);
                of_transfer(error, path)
            })?;
            let jobs = remote.jobs(request.jobs);
            let (mut moved, began) = (remote.transfer(), Instant::now());
            let stats =
                push(ctx, self.cache(), &remote.remote, plan, jobs).map_err(SyncError::from)?;
            moved.add(&stats, began);
            if request.run_cache && usual == name {
                moved.n_runs =
                    push_runs(ctx, self.cache(), &remote.remote).map_err(SyncError::from)?;
            }
            report.add(moved, stats, &wants, self);
        }
        Ok(report)
    }

    /// Receives data into the store; the workspace stays as it is. An interrupted transfer is continued by the next one.
    ///
    /// # Errors
    ///
    /// When a target is unknown, or a remote fails as a whole. Failures of single objects are in the report.
    pub fn fetch_data(
        &self,
        ctx: &Ctx<'_>,
        request: &DataTransferRequest,
    ) -> Result<DataTransferReport, Error> {
        let asked = request.remote.as_deref();
        if asked.is_some() {
            self.any_remote(asked)?;
        }
        let mut wants = DataWants::of(self, request, Direction::Receive)?;
        let mut report = DataTransferReport {
            unreadable: std::mem::take(&mut wants.unreadable),
            ..DataTransferReport::default()
        };
        let mut parts = wants.by_remote(self, asked);
        let usual = asked.map(str::to_owned).or_else(|| self.config().default_remote());
        if let (true, Some(usual)) = (request.run_cache, usual) {
            // Runs may be known there though nothing that is recorded here is.
            parts.entry(Some(usual)).or_default();
        }
        for (name, wanted) in parts {
            let Some(remote) = self.opened(name.as_deref(), request)? else {
                report.lacks_remote = true;
                let absent = wanted::absent(self, &wanted)?;
                report.without_remote.extend(wants.name(self, &absent));
                continue;
            };
            let remote = remote.with_versions(&wants.versions);
            let plan = plan_pull_parts(ctx, self.cache(), &remote.remote, &wanted)
                .map_err(SyncError::from)?;
            let jobs = remote.jobs(request.jobs);
            let (mut moved, began) = (remote.transfer(), Instant::now());
            let stats =
                pull(ctx, self.cache(), &remote.remote, plan, jobs).map_err(SyncError::from)?;
            moved.add(&stats, began);
            if request.run_cache {
                moved.n_runs =
                    pull_runs(ctx, self.cache(), &remote.remote).map_err(SyncError::from)?;
            }
            report.add(moved, stats, &wants, self);
        }
        self.fetch_imported(ctx, request, &mut report)?;
        Ok(report)
    }

    /// Returns what the targets of a request mean in the workspace: patterns are replaced by what they match.
    ///
    /// # Errors
    ///
    /// When a pipeline file cannot be read.
    pub fn matching(&self, request: &DataTransferRequest) -> Result<DataScope, Error> {
        wanted::scope(self, request)
    }

    pub(super) fn opened(
        &self,
        name: Option<&str>,
        request: &DataTransferRequest,
    ) -> Result<Option<OpenRemote>, Error> {
        let Some(name) = name else { return Ok(None) };
        let remote = self.any_remote(Some(name))?;
        Ok(remote.map(|one| if request.refresh { one.refreshed() } else { one }))
    }
}

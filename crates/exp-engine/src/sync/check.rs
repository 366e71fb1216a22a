//! Proving that somebody else can have an experiment.

use std::collections::BTreeSet;

use exp_cache::{CacheError, StorageErrorKind, TransferError, Tree};
use exp_core::{Ctx, Digest, ObjectId, RelPath};
use exp_refs::{CommitId, Experiment, GitCli};

use super::needs::Needs;
use super::push::list_all;
use super::{MissingObject, OpenRemote, SyncError};
use crate::error::Error;
use crate::project::Project;

/// What a fresh clone would find of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushCheck {
    /// The experiment as it is here.
    pub experiment: Experiment,
    /// Its commit on the Git remote; its ancestors, and so its baseline, are there with it.
    pub remote_commit: Option<CommitId>,
    /// Whether a branch or tag of the Git remote leads to its baseline, as far as is known here.
    pub baseline_is_published: bool,
    /// How many objects were found on the data remotes.
    pub n_found: u64,
    /// Data that is on no data remote.
    pub missing: Vec<MissingObject>,
    /// Outputs that are kept from remotes by their stage: `push: false`.
    pub kept_here: Vec<RelPath>,
    /// Data remotes that its data belongs on and that its own `.dvc/config` does not lead to, sorted.
    pub uncommitted_remotes: Vec<String>,
}

impl PushCheck {
    /// Returns whether a fresh clone can apply the experiment as it is here.
    pub fn can_apply(&self) -> bool {
        self.remote_commit == Some(self.experiment.commit)
            && self.missing.is_empty()
            && self.kept_here.is_empty()
            && self.uncommitted_remotes.is_empty()
    }
}

impl Project {
    /// Looks at what a fresh clone would find of an experiment. Nothing is sent, and the store is not asked for
    /// anything that the remotes must have.
    ///
    /// # Errors
    ///
    /// When a remote cannot be asked, or a manifest there is damaged.
    pub fn check_push(
        &self,
        ctx: &Ctx<'_>,
        git_remote: &str,
        experiment: &Experiment,
        remote: Option<&str>,
    ) -> Result<PushCheck, Error> {
        let cli = GitCli::new(self.git().clone());
        let there = list_all(ctx, &cli, git_remote)?;
        let found = there.iter().find(|other| other.ref_name == experiment.ref_name);
        let needs = Needs::of(self, std::slice::from_ref(experiment))?;
        let mut check = PushCheck {
            experiment: experiment.clone(),
            remote_commit: found.map(|found| found.commit),
            baseline_is_published: self.leads_to(ctx, &cli, git_remote, experiment.baseline)?,
            n_found: 0,
            missing: Vec::new(),
            kept_here: needs.kept_here.iter().cloned().collect(),
            uncommitted_remotes: Vec::new(),
        };
        for (name, ids) in needs.by_remote(self, remote) {
            let open = match &name {
                Some(name) => self.data_remote(Some(name))?,
                None => None,
            };
            let Some(open) = open else {
                let ids: Vec<_> = ids.into_iter().collect();
                check.missing.extend(needs.name(self, &ids));
                continue;
            };
            if !needs.is_carried(self, remote, &open) {
                check.uncommitted_remotes.push(open.config.name.clone());
            }
            let (wanted, absent) = look(ctx, &open, &ids)?;
            check.n_found += (wanted - absent.len()) as u64;
            check.missing.extend(needs.name(self, &absent));
        }
        Ok(check)
    }

    /// Returns whether the tip of a branch or tag of the remote, known here, has `baseline` in its history.
    fn leads_to(
        &self,
        ctx: &Ctx<'_>,
        cli: &GitCli,
        git_remote: &str,
        baseline: CommitId,
    ) -> Result<bool, Error> {
        let mut tips = cli.list(ctx, git_remote, "refs/heads/").map_err(SyncError::from)?;
        tips.extend(cli.list(ctx, git_remote, "refs/tags/").map_err(SyncError::from)?);
        let reader = self.git().reader();
        let mut seen: BTreeSet<CommitId> = BTreeSet::new();
        let mut todo: Vec<CommitId> = tips.into_iter().map(|tip| tip.commit).collect();
        while let Some(commit) = todo.pop() {
            if commit == baseline {
                return Ok(true);
            }
            ctx.check()?;
            if seen.insert(commit) {
                // What is not here, or is a tag object, cannot be followed.
                todo.extend(reader.commit(commit).map(|info| info.parents).unwrap_or_default());
            }
        }
        Ok(false)
    }
}

/// Returns how many objects there are, manifests and their files, and which of them a remote does not have. Manifests
/// are read from the remote itself.
fn look(
    ctx: &Ctx<'_>,
    open: &OpenRemote,
    ids: &BTreeSet<ObjectId>,
) -> Result<(usize, Vec<ObjectId>), Error> {
    let remote = &open.remote;
    let failed = |source| {
        SyncError::from(TransferError::Remote { label: remote.label().to_owned(), source })
    };
    let mut wanted: BTreeSet<ObjectId> = ids.clone();
    for id in ids.iter().filter(|id| id.is_tree()) {
        ctx.check()?;
        let mut bytes = Vec::new();
        match remote.fetch(ctx, id, 0, &mut bytes) {
            Ok(_) => {
                let tree = manifest(id, &bytes).map_err(|source| {
                    let label = remote.label().to_owned();
                    SyncError::from(TransferError::Damaged { label, source })
                })?;
                wanted.extend(tree.entries().iter().map(|entry| ObjectId::file(entry.digest)));
            }
            // Its files are unknown to a clone as well; that it is missing is told below.
            Err(error) if error.kind == StorageErrorKind::NotFound => {}
            Err(error) => return Err(failed(error).into()),
        }
    }
    let wanted: Vec<ObjectId> = wanted.into_iter().collect();
    let there = remote.contains(ctx, &wanted).map_err(failed)?;
    let absent = wanted.iter().zip(there).filter(|(_, there)| !there).map(|(id, _)| *id).collect();
    Ok((wanted.len(), absent))
}

fn manifest(id: &ObjectId, bytes: &[u8]) -> Result<Tree, CacheError> {
    let algorithm = id.digest.algorithm();
    let found = Digest::of(algorithm, bytes);
    if found != id.digest {
        return Err(CacheError::Corrupt { id: *id, found });
    }
    Tree::parse(algorithm, bytes).map_err(|source| CacheError::Manifest { id: *id, source })
}

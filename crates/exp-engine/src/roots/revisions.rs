//! Which commits count.

use std::collections::BTreeSet;

use exp_core::Ctx;
use exp_refs::{CommitId, Experiment, Tip};

use super::{Holder, Roots};
use crate::error::Error;
use crate::oplog;
use crate::project::Project;

/// Refs whose log holds more than the ref: the stash, and what DVC has queued.
const STASHES: [&str; 4] =
    ["refs/stash", "refs/exps/stash", "refs/exps/celery/stash", "refs/exps/celery/failed"];

/// Where the operation log is.
const OPLOG: &str = "refs/exp/oplog";

/// Where the jobs of the queue are.
const JOBS: &str = "refs/exp/queue/";

/// So many commits an experiment may have.
const LONGEST: usize = 10_000;

/// What counts as needed, besides the work trees of the repository and what is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepScope {
    /// Every commit that any ref known here leads to: branches, tags, remote branches, experiments whether they finished
    /// or not, what is queued and stashed.
    Everything {
        /// Whether what `undo` would put back counts too.
        undo: bool,
    },
    /// Chosen commits.
    Revisions(Revisions),
}

/// Commits that count, beside those of jobs that are queued. All are unions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Revisions or experiments by name.
    pub named: Vec<String>,
    /// Whole kinds of revisions.
    pub kinds: BTreeSet<RevisionKind>,
    /// So many commits of each named revision and branch, along first parents; 0 is 1.
    pub depth: usize,
    /// All commits of this moment or later, in seconds since the epoch.
    pub since: Option<i64>,
}

/// A kind of revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RevisionKind {
    /// The tips of all branches.
    Branches,
    /// All tags.
    Tags,
    /// Every commit that `HEAD`, a branch, a remote branch or a tag leads to.
    Commits,
    /// All experiments, those that did not finish included.
    Experiments,
}

impl KeepScope {
    /// Returns the commits that are chosen; for everything, those from which all others are reached.
    pub(super) fn commits(
        &self,
        ctx: &Ctx<'_>,
        project: &Project,
    ) -> Result<BTreeSet<CommitId>, Error> {
        match self {
            Self::Everything { undo } => everything(project, *undo),
            Self::Revisions(revisions) => revisions.commits(ctx, project),
        }
    }
}

fn everything(project: &Project, undo: bool) -> Result<BTreeSet<CommitId>, Error> {
    let git = project.git();
    let tips = git.tips()?;
    let tips = tips.into_iter().filter(|tip| undo || tip.name != OPLOG);
    let mut commits: BTreeSet<CommitId> = tips.map(|tip| tip.commit).collect();
    for stash in STASHES {
        commits.extend(git.logged_commits(stash)?);
    }
    for root in git.work_trees()? {
        let env = project.options().env.clone();
        let opened = exp_refs::OpenOptions { env, durable: false }.open(&root)?;
        commits.extend(opened.head()?.commit);
    }
    Ok(commits)
}

impl Revisions {
    fn commits(&self, ctx: &Ctx<'_>, project: &Project) -> Result<BTreeSet<CommitId>, Error> {
        let git = project.git();
        let depth = self.depth.max(1);
        // What is queued has yet to run, whatever else is chosen.
        let jobs = git.list_refs(JOBS)?;
        let mut commits: BTreeSet<CommitId> = jobs.into_iter().map(|job| job.commit).collect();
        for name in &self.named {
            let commit = project.find(ctx, name)?.commit();
            commits.extend(git.first_parents(commit, depth)?);
        }
        for kind in &self.kinds {
            match kind {
                RevisionKind::Branches => {
                    for branch in git.branches()? {
                        commits.extend(git.first_parents(branch.commit, depth)?);
                    }
                }
                RevisionKind::Tags => {
                    commits.extend(git.tags()?.into_iter().map(|tag| tag.commit));
                }
                RevisionKind::Commits => commits.extend(history(project)?),
                RevisionKind::Experiments => {
                    for experiment in project.experiments().list()? {
                        commits.extend(commits_of(project, &experiment)?);
                    }
                }
            }
        }
        if let Some(since) = self.since {
            let reader = git.reader();
            for commit in history(project)? {
                if reader.commit(commit)?.time.seconds >= since {
                    commits.insert(commit);
                }
            }
        }
        Ok(commits)
    }
}

/// Returns every commit that `HEAD`, a branch, a remote branch or a tag leads to.
fn history(project: &Project) -> Result<Vec<CommitId>, Error> {
    let git = project.git();
    let is_public = |tip: &Tip| {
        ["refs/heads/", "refs/tags/", "refs/remotes/"].iter().any(|at| tip.name.starts_with(at))
    };
    let mut tips: BTreeSet<CommitId> =
        git.tips()?.into_iter().filter(is_public).map(|tip| tip.commit).collect();
    tips.extend(git.head()?.commit);
    Ok(git.reachable(&tips)?)
}

/// Returns the commits of an experiment: usually one.
fn commits_of(project: &Project, experiment: &Experiment) -> Result<Vec<CommitId>, Error> {
    let mut commits = project.git().first_parents(experiment.commit, LONGEST)?;
    let end = commits.iter().position(|commit| *commit == experiment.baseline);
    commits.truncate(end.unwrap_or(1).max(1));
    Ok(commits)
}

impl Roots {
    /// Looks at what can be taken back. Returns commits that the operations name.
    pub(super) fn look_at_operations(
        &mut self,
        scope: &KeepScope,
    ) -> Result<BTreeSet<CommitId>, Error> {
        let mut commits = std::mem::take(&mut self.running);
        if *scope != (KeepScope::Everything { undo: true }) {
            return Ok(commits);
        }
        for logged in oplog::read(self.project.git(), usize::MAX)? {
            commits.extend(self.look_at_operation(&logged.operation, &Holder::Undo));
        }
        Ok(commits)
    }
}

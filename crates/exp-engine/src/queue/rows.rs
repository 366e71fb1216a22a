//! Jobs as rows of a table: what waits, what runs with what it has written so far, and what failed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exp_core::Ctx;
use exp_refs::CommitId;

use super::worker::Claim;
use super::{EndCause, Job, JobEnd, JobState, Queue};
use crate::collect::{CollectOptions, collect_commits, collect_workspace};
use crate::error::Error;
use crate::project::Project;
use crate::revision::{ExperimentRow, ExperimentState, RowData};

/// Which jobs are rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobRows {
    /// Those that wait.
    pub waiting: bool,
    /// Those that run.
    pub running: bool,
    /// Those that ended without a result. What they left is a run that did not finish, which has a row of its own where
    /// those are shown.
    pub failed: bool,
}

/// A job in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Where it stands.
    pub state: JobState,
    /// Whether it is no job, but a run under way in the workspace.
    pub in_workspace: bool,
    /// Its work tree, while it runs where this is asked.
    pub root: Option<PathBuf>,
    /// The file that its commands wrote to last, when there is one.
    pub log: Option<PathBuf>,
    /// The process that runs it, or ran it.
    pub pid: Option<u32>,
    /// Why it ended.
    pub cause: Option<EndCause>,
}

/// Returns rows by baseline: those that run, those that wait in their order, those that failed, newest first.
pub(crate) fn rows(
    ctx: &Ctx<'_>,
    project: &Project,
    wanted: JobRows,
    options: CollectOptions<'_>,
) -> Result<BTreeMap<CommitId, Vec<ExperimentRow>>, Error> {
    let queue = project.queue()?;
    let is_wanted = |job: &Job| match job.state {
        JobState::Running => wanted.running,
        JobState::Queued | JobState::Held => wanted.waiting,
        state => wanted.failed && state.is_failure(),
    };
    let jobs: Vec<Job> = queue.list()?.into_iter().filter(is_wanted).collect();
    if jobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let reader = project.git().reader();
    let mut found = Vec::new();
    for job in jobs {
        // One that was removed meanwhile, and collected, has no row.
        let Ok(commit) = reader.commit(job.commit) else { continue };
        let Some(baseline) = commit.parents.first().copied() else { continue };
        let end = if job.state.is_failure() { queue.end(&job)? } else { None };
        let left = end.as_ref().and_then(JobEnd::experiment).map(|one| one.commit);
        let shown = left.filter(|left| project.git().has_commit(*left)).unwrap_or(job.commit);
        found.push((job, baseline, end, shown));
    }
    let commits: Vec<CommitId> = found.iter().map(|(.., shown)| *shown).collect();
    let data = collect_commits(ctx, project, &commits, options)?;
    let mut rows: BTreeMap<CommitId, Vec<ExperimentRow>> = BTreeMap::new();
    for ((job, baseline, end, shown), mut data) in found.into_iter().zip(data) {
        let mut row = JobRow {
            state: job.state,
            in_workspace: false,
            root: None,
            log: queue.last_log(&job),
            pid: end.as_ref().and_then(|end| end.pid),
            cause: end.and_then(|end| end.cause),
        };
        if job.state == JobState::Running {
            let claim: Option<Claim> =
                queue.board.read(&format!("{}.{}.claim", job.number, job.attempt))?;
            row.pid = claim.map(|claim| claim.owner.pid);
            row.root = queue.root_of(&job);
            if let Some(now) = row.root.as_deref().and_then(|root| at(project, root, options)) {
                data = now;
            }
        }
        if shown == job.commit && row.root.is_none() {
            // What the tree has of metrics is the baseline's.
            data = data.map(|mut data| {
                Arc::make_mut(&mut data).metrics.clear();
                data
            });
        }
        let state = ExperimentState::Job(Box::new(row));
        let row = ExperimentRow { name: job.name, rev: job.commit, data, state };
        rows.entry(baseline).or_default().push(row);
    }
    Ok(rows)
}

/// Returns what a work tree holds now; `None` when it is gone or not whole.
fn at(project: &Project, root: &Path, options: CollectOptions<'_>) -> Option<RowData> {
    let inside = project.at_work_tree(root).ok()?;
    Some(collect_workspace(&inside, options)).filter(Result::is_ok)
}

impl Queue {
    /// Returns the log that was written to last.
    fn last_log(&self, job: &Job) -> Option<PathBuf> {
        let files = std::fs::read_dir(self.logs(job)).ok()?.flatten();
        let is_log = |path: &Path| path.extension().is_some_and(|ending| ending == "log");
        let logs = files.filter(|file| is_log(&file.path()));
        let dated =
            logs.filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())));
        dated.max().map(|(_, path)| path)
    }

    /// Returns the work tree that a job runs in; `None` when there is none yet, or not any more.
    fn root_of(&self, job: &Job) -> Option<PathBuf> {
        let at = crate::change::JobRef { number: job.number, attempt: job.attempt };
        let root = crate::recover::work_tree_of(&self.project, at)?;
        root.is_dir().then_some(root)
    }
}

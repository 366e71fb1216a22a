//! Jobs as rows of a table: what waits, what runs with what it has written so far, and what failed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exp_core::Ctx;
use exp_refs::CommitId;

use super::worker::Claim;
use super::{DvcTask, EndCause, Job, JobEnd, JobState, Queue};
use crate::collect::{CollectOptions, collect_commits, collect_workspace};
use crate::error::Error;
use crate::project::Project;
use crate::revision::{ExperimentRow, ExperimentState, RevisionData, RowData};

/// Which jobs are rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct JobRows {
    /// Those that wait.
    pub waiting: bool,
    /// Those that run.
    pub running: bool,
    /// Whether it is said of experiments that came of a job how it ran, as long as its log is there.
    pub finished: bool,
    /// Those that ended without a result. What they left is a run that did not finish, which has a row of its own where
    /// those are shown.
    pub failed: bool,
    /// Those that DVC itself ran and that failed.
    pub failed_of_dvc: bool,
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
    /// What it is called in the queue: for DVC its own name for the task.
    pub task: CommitId,
    /// Whether DVC itself has queued it.
    pub is_dvcs: bool,
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
            task: job.commit,
            is_dvcs: false,
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
            data = data.map(without_metrics);
        }
        let state = ExperimentState::Job(Box::new(row));
        let row = ExperimentRow { name: job.name, rev: job.commit, data, state, ran: None };
        rows.entry(baseline).or_default().push(row);
    }
    add_dvcs(ctx, &queue, wanted, options, &mut rows)?;
    Ok(rows)
}

/// Adds what DVC itself has queued.
fn add_dvcs(
    ctx: &Ctx<'_>,
    queue: &Queue,
    wanted: JobRows,
    options: CollectOptions<'_>,
    rows: &mut BTreeMap<CommitId, Vec<ExperimentRow>>,
) -> Result<(), Error> {
    let is_wanted = |task: &DvcTask| match task.state {
        JobState::Running => wanted.running,
        JobState::Queued => wanted.waiting,
        _ => wanted.failed_of_dvc,
    };
    let tasks: Vec<DvcTask> = queue.of_dvc()?.into_iter().filter(is_wanted).collect();
    let commits: Vec<CommitId> = tasks.iter().map(|task| task.commit).collect();
    let data = collect_commits(ctx, &queue.project, &commits, options)?;
    for (task, data) in tasks.into_iter().zip(data) {
        let now = task.root.as_deref().and_then(|root| at(&queue.project, root, options));
        let data = now.unwrap_or_else(|| match task.state {
            JobState::Failed => data,
            // What the tree has of metrics is the baseline's.
            _ => data.map(without_metrics),
        });
        let row = JobRow {
            state: task.state,
            in_workspace: false,
            root: task.root,
            log: task.log,
            pid: task.pid,
            cause: None,
            task: task.commit,
            is_dvcs: true,
        };
        let state = ExperimentState::Job(Box::new(row));
        let row = ExperimentRow { name: task.name, rev: task.commit, data, state, ran: None };
        rows.entry(task.baseline).or_default().push(row);
    }
    Ok(())
}

fn without_metrics(mut data: Arc<RevisionData>) -> Arc<RevisionData> {
    Arc::make_mut(&mut data).metrics.clear();
    data
}

/// Says of finished experiments that came of a job how it ran.
pub(crate) fn note_jobs<'r>(
    project: &Project,
    rows: impl Iterator<Item = &'r mut ExperimentRow>,
) -> Result<(), Error> {
    let queue = project.queue()?;
    let done: BTreeMap<String, Job> = (queue.list()?.into_iter().rev())
        .filter(|job| job.state == JobState::Done)
        .map(|job| (job.name.to_string(), job))
        .collect();
    if done.is_empty() {
        return Ok(());
    }
    for row in rows.filter(|row| row.state.is_finished()) {
        let Some(job) = done.get(row.name.as_str()) else { continue };
        let Some(log) = queue.last_log(job) else { continue };
        let Some(end) = queue.end(job)? else { continue };
        if end.experiment().is_some_and(|one| one.commit == row.rev) {
            row.ran = Some(Box::new(JobRow {
                state: job.state,
                in_workspace: false,
                root: None,
                log: Some(log),
                pid: end.pid,
                cause: None,
                task: job.commit,
                is_dvcs: false,
            }));
        }
    }
    Ok(())
}

/// Returns what the work tree of a run holds now; `None` when it is gone or not whole. Metrics that are not there are still
/// to be written.
fn at(project: &Project, root: &Path, options: CollectOptions<'_>) -> Option<RowData> {
    let inside = project.at_work_tree(root).ok()?;
    let mut data = collect_workspace(&inside, options).ok()?;
    Arc::make_mut(&mut data).metrics.retain(|(path, found)| {
        found.value().is_some() || inside.root().join(&**path).symlink_metadata().is_ok()
    });
    Some(Ok(data))
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

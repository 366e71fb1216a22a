//! Which revisions stand in a table: baselines by revision, branch, tag or history, and their experiments.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use exp_core::{Ctx, Timestamp};
use exp_refs::{CommitId, ExpName, Experiment, Fate};

use crate::collect::{
    CollectOptions, Collected, Edges, Params, Wanted, collect_rows, collect_workspace,
};
use crate::error::Error;
use crate::project::Project;
use crate::queue::{self, JobRow, JobRows, JobState};
use crate::recover;
use crate::revision::{Baseline, ExperimentRow, ExperimentState, ShowTable, Vanished};

/// So far back is looked for what became of baselines that nothing leads to any more.
const FATE_LIMIT: usize = 10_000;

/// Which rows a table has and what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each selects rows by itself")]
pub struct ShowRequest {
    /// Revisions whose experiments are shown. `HEAD` when there are none and nothing else is selected.
    pub revs: Vec<String>,
    /// How many commits are taken from each of them back along first parents; all for `None`.
    pub n: Option<usize>,
    /// Whether every branch is a baseline.
    pub all_branches: bool,
    /// Whether every tag is.
    pub all_tags: bool,
    /// Whether every commit is that a branch or tag leads to.
    pub all_commits: bool,
    /// Whether the workspace has a row.
    pub workspace: bool,
    /// What is done with baselines that have experiments and that nothing leads to any more.
    pub vanished: Lost,
    /// What is done with experiments that did not finish.
    pub unfinished: Unfinished,
    /// Which jobs of the queue have rows.
    pub jobs: JobRows,
    /// Whether dependencies and outputs are read.
    pub edges: Edges,
    /// Which parameters are read.
    pub params: Params,
}

/// What is done with baselines that no branch and no tag leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lost {
    /// They are not looked for.
    #[default]
    Ignore,
    /// They are counted in [`ShowTable::vanished`].
    Count,
    /// They stand behind the other baselines.
    Show,
}

/// What is done with experiments that failed, were interrupted or died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unfinished {
    /// They stand behind those that finished.
    #[default]
    Show,
    /// They are left out.
    Hide,
}

impl Default for ShowRequest {
    fn default() -> Self {
        Self {
            revs: Vec::new(),
            n: Some(1),
            all_branches: false,
            all_tags: false,
            all_commits: false,
            workspace: true,
            vanished: Lost::default(),
            unfinished: Unfinished::default(),
            jobs: JobRows::default(),
            edges: Edges::default(),
            params: Params::default(),
        }
    }
}

/// Makes the table. Before the first commit it is empty.
///
/// # Errors
///
/// When a revision does not exist, when refs cannot be listed, or when a stop was asked for. What cannot be read in a
/// revision is in its row.
pub fn show(ctx: &Ctx<'_>, project: &Project, request: &ShowRequest) -> Result<ShowTable, Error> {
    if project.git().head()?.commit.is_none() && request.revs.iter().all(String::is_empty) {
        return Ok(ShowTable::default());
    }
    let mut experiments: BTreeMap<CommitId, Vec<Experiment>> = BTreeMap::new();
    for experiment in project.experiments().list()? {
        if experiment.is_finished || request.unfinished == Unfinished::Show {
            experiments.entry(experiment.baseline).or_default().push(experiment);
        }
    }
    let asked = asked_for(project, request)?;
    let lost = lost(project, request, &asked, &experiments)?;

    let mut table = ShowTable::default();
    let mut groups: Vec<(CommitId, Option<Fate>)> = asked.iter().map(|id| (*id, None)).collect();
    for (id, fate) in lost {
        if request.vanished == Lost::Show {
            groups.push((id, Some(fate)));
        } else {
            let n_experiments = experiments.get(&id).map_or(0, Vec::len);
            table.vanished.push(Vanished { rev: id, n_experiments, rewritten_to: rewritten(fate) });
        }
    }

    let mut wanted = Vec::new();
    for (baseline, _) in &groups {
        wanted.push(Wanted { commit: *baseline, is_run: false });
        let of_baseline = experiments.get(baseline).into_iter().flatten();
        wanted
            .extend(of_baseline.map(|one| Wanted { commit: one.commit, is_run: !one.is_finished }));
    }
    let options = CollectOptions { edges: request.edges, params: request.params, targets: None };
    let mut rows = collect_rows(ctx, project, &wanted, options)?.into_iter();
    let names = project.git().names_of(&asked)?;
    let mut jobs = queue::rows(ctx, project, request.jobs, options)?;
    if let Some((baseline, row)) = running(project, options).filter(|_| request.jobs.running) {
        jobs.entry(baseline).or_default().insert(0, row);
    }
    if request.workspace {
        table.workspace = Some(collect_workspace(project, options));
    }
    for (rev, fate) in groups {
        let data = next(&mut rows).data;
        let of_baseline = experiments.remove(&rev).unwrap_or_default();
        let made = experiment_rows(of_baseline, &mut rows);
        let experiments = with_jobs(made, jobs.remove(&rev).unwrap_or_default());
        table.baselines.push(Baseline {
            rev,
            name: names.get(&rev).cloned(),
            data,
            experiments,
            is_reachable: fate.map(|fate| fate == Fate::Reachable),
            rewritten_to: fate.and_then(rewritten),
        });
    }
    if request.jobs.finished {
        let all = table.baselines.iter_mut().flat_map(|baseline| &mut baseline.experiments);
        queue::note_jobs(project, all)?;
    }
    Ok(table)
}

/// Returns the row of the run that is under way in the workspace, and its baseline.
fn running(project: &Project, options: CollectOptions<'_>) -> Option<(CommitId, ExperimentRow)> {
    let (run, pid) = recover::workspace_run(project)?;
    let baseline: CommitId = run.baseline.parse().ok()?;
    let job = JobRow {
        state: JobState::Running,
        in_workspace: true,
        root: Some(project.root().to_path_buf()),
        log: None,
        pid: Some(pid),
        cause: None,
        task: baseline,
        is_dvcs: false,
    };
    let row = ExperimentRow {
        name: ExpName::new(&run.name).ok()?,
        rev: baseline,
        data: collect_workspace(project, options),
        state: ExperimentState::Job(Box::new(job)),
        ran: None,
    };
    Some((baseline, row))
}

/// Takes the next of as many rows as were asked for.
fn next(rows: &mut impl Iterator<Item = Collected>) -> Collected {
    rows.next().expect("there is a row for each commit")
}

fn rewritten(fate: Fate) -> Option<CommitId> {
    match fate {
        Fate::Rewritten(commit) => Some(commit),
        _ => None,
    }
}

/// Makes the rows of a baseline's experiments: finished ones first, each newest first.
fn experiment_rows(
    experiments: Vec<Experiment>,
    rows: &mut impl Iterator<Item = Collected>,
) -> Vec<ExperimentRow> {
    let mut made: Vec<ExperimentRow> = experiments
        .into_iter()
        .map(|experiment| {
            let Collected { data, record } = next(rows);
            let state = match record {
                None => ExperimentState::Finished,
                Some(Ok(record)) => ExperimentState::Unfinished(record),
                Some(Err(problem)) => ExperimentState::Unreadable(problem),
            };
            ExperimentRow { name: experiment.name, rev: experiment.commit, data, state, ran: None }
        })
        .collect();
    let time = |row: &ExperimentRow| -> Option<Timestamp> { row.data.as_ref().ok()?.timestamp };
    made.sort_by(|a, b| {
        let newest = |row: &ExperimentRow| time(row).map(|time| time.seconds);
        (!a.state.is_finished(), newest(b), b.rev).cmp(&(!b.state.is_finished(), newest(a), a.rev))
    });
    made
}

/// Puts jobs between the experiments of their baseline.
fn with_jobs(experiments: Vec<ExperimentRow>, jobs: Vec<ExperimentRow>) -> Vec<ExperimentRow> {
    if jobs.is_empty() {
        return experiments;
    }
    let rank = |row: &ExperimentRow| match &row.state {
        ExperimentState::Job(job) if job.state == JobState::Running => 0,
        ExperimentState::Finished => 1,
        ExperimentState::Job(job) if job.state.is_waiting() => 2,
        _ => 3,
    };
    let mut all: Vec<ExperimentRow> = experiments.into_iter().chain(jobs).collect();
    all.sort_by_key(rank);
    all
}

/// Returns revisions and `n` commits back from each along first parents, all for `None`; without
/// revisions, from `HEAD`. Each commit stands there once.
///
/// # Errors
///
/// When a revision does not exist, or there is neither one nor a commit.
pub fn baselines(
    project: &Project,
    revs: &[String],
    n: Option<usize>,
) -> Result<Vec<CommitId>, Error> {
    let mut starts = Vec::new();
    for rev in revs {
        starts.push(resolve(project, rev)?);
    }
    if revs.is_empty() {
        starts.push(project.git().head()?.commit.ok_or(Error::NoCommit)?);
    }
    let mut commits = Vec::new();
    for start in starts {
        match n {
            Some(1) => commits.push(start),
            n => commits.extend(project.git().first_parents(start, n.unwrap_or(usize::MAX))?),
        }
    }
    let mut seen = BTreeSet::new();
    commits.retain(|commit| seen.insert(*commit));
    Ok(commits)
}

/// Returns the baselines that were asked for, each once, in their order.
fn asked_for(project: &Project, request: &ShowRequest) -> Result<Vec<CommitId>, Error> {
    let git = project.git();
    let selects_all = request.all_branches || request.all_tags || request.all_commits;
    let mut commits = Vec::new();
    if !request.revs.is_empty() || !selects_all {
        commits = baselines(project, &request.revs, request.n)?;
    }
    if request.all_branches {
        commits.extend(git.branches()?.into_iter().map(|named| named.commit));
    }
    if request.all_tags {
        commits.extend(git.tags()?.into_iter().map(|named| named.commit));
    }
    if request.all_commits {
        commits.extend(git.history()?);
    }
    let mut seen = BTreeSet::new();
    commits.retain(|commit| seen.insert(*commit));
    Ok(commits)
}

/// Resolves a revision, or an experiment by its name.
fn resolve(project: &Project, rev: &str) -> Result<CommitId, Error> {
    match project.git().resolve(rev) {
        Ok(commit) => Ok(commit),
        Err(error) => match project.experiments().find(rev) {
            Ok(experiment) => Ok(experiment.commit),
            Err(exp_refs::FindError::NotFound { .. }) => Err(error.into()),
            Err(other) => Err(other.into()),
        },
    }
}

/// Returns the baselines with experiments that nothing leads to, with what became of them.
fn lost(
    project: &Project,
    request: &ShowRequest,
    asked: &[CommitId],
    experiments: &BTreeMap<CommitId, Vec<Experiment>>,
) -> Result<Vec<(CommitId, Fate)>, Error> {
    if request.vanished == Lost::Ignore {
        return Ok(Vec::new());
    }
    let known: BTreeSet<_> = asked.iter().collect();
    let open: Vec<CommitId> =
        experiments.keys().filter(|id| !known.contains(id)).copied().collect();
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let fates = project.git().fates(&open, FATE_LIMIT)?;
    let mut lost: Vec<_> = fates.into_iter().filter(|(_, fate)| *fate != Fate::Reachable).collect();
    // The newest first, like the commits before them.
    let reader = project.git().reader();
    let times: HashMap<CommitId, i64> = (lost.iter())
        .filter_map(|(id, _)| Some((*id, reader.commit(*id).ok()?.time.seconds)))
        .collect();
    lost.sort_by_key(|(id, _)| (std::cmp::Reverse(times.get(id).copied()), *id));
    Ok(lost)
}

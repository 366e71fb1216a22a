//! What a report holds: a table of experiments, what some of them changed, and their plots.

use exp_core::{Ctx, RelPath};
use exp_plots::{PlotProps, RevisionPlots};

use crate::collect::{CollectOptions, Edges, Params};
use crate::compare::{Comparison, RowPlace, best};
use crate::difference::{CodeDifference, Pair, Side};
use crate::error::Error;
use crate::plot::{PlotsRequest, collect_plots};
use crate::project::Project;
use crate::revision::ShowTable;
use crate::rows::{ShowRequest, Unfinished, show};
use crate::selector::Found;

/// What is reported.
#[derive(Debug, Clone, Default)]
pub struct ReportRequest {
    /// Experiments, commits or `workspace`, as [`Side::find`] understands them. With none, the table has all finished
    /// experiments of `HEAD`, and the best of them is looked at closely; `workspace` when there is none.
    pub revisions: Vec<String>,
    /// What they are compared with; without, an experiment with the commit that it started from and anything else with
    /// `HEAD`.
    pub base: Option<String>,
}

/// A report.
#[derive(Debug)]
pub struct Report {
    /// The experiments.
    pub table: ShowTable,
    /// The revisions that are looked at closely, each beside what it is compared with.
    pub changes: Vec<ReportChange>,
    /// The plots of these revisions and of what they are compared with, each revision once.
    pub plots: Vec<RevisionPlots>,
}

/// What a revision changed.
#[derive(Debug)]
pub struct ReportChange {
    /// What the two are called: what it is compared with, and the revision.
    pub labels: [String; 2],
    /// The two, read; dependencies and outputs included.
    pub pair: Pair,
    /// Source files that differ.
    pub code: Vec<CodeDifference>,
}

/// A revision that is looked at closely.
struct Chosen {
    label: String,
    side: Side,
    /// The experiment that it is, and its baseline.
    experiment: Option<exp_refs::Experiment>,
}

/// Makes a report of experiments. Nothing is written.
///
/// # Errors
///
/// A revision that does not exist, no commit at all, or when a stop was asked for. What cannot be read in a revision is in
/// its place.
pub fn report(ctx: &Ctx<'_>, project: &Project, request: &ReportRequest) -> Result<Report, Error> {
    let head = project.git().head()?.commit.ok_or(Error::NoCommit)?;
    let mut chosen = Vec::new();
    for name in &request.revisions {
        chosen.push(find(ctx, project, name)?);
    }
    let base = request.base.as_ref().map(|name| find(ctx, project, name)).transpose()?;

    let mut revs: Vec<String> = Vec::new();
    let mut add = |rev: String| {
        if !revs.contains(&rev) {
            revs.push(rev);
        }
    };
    if let Some(Side::Commit(id)) = base.as_ref().map(|base| base.side) {
        add(id.to_string());
    }
    for one in &chosen {
        match (&one.experiment, one.side) {
            (Some(experiment), _) => add(experiment.baseline.to_string()),
            (None, Side::Commit(id)) => add(id.to_string()),
            (None, Side::Workspace) => add(head.to_string()),
        }
    }
    let wants_workspace = chosen.iter().any(|one| one.side == Side::Workspace);
    let rows = ShowRequest {
        revs,
        workspace: wants_workspace,
        unfinished: if chosen.is_empty() { Unfinished::Hide } else { Unfinished::Show },
        edges: Edges::No,
        ..ShowRequest::default()
    };
    let mut table = show(ctx, project, &rows)?;
    if chosen.is_empty() {
        chosen.push(leader(&table).map_or_else(|| find(ctx, project, "workspace"), Ok)?);
    } else {
        for baseline in &mut table.baselines {
            baseline
                .experiments
                .retain(|row| chosen.iter().any(|one| one.side == Side::Commit(row.rev)));
        }
    }

    let options = CollectOptions { edges: Edges::Yes, params: Params::All, targets: None };
    let mut changes = Vec::new();
    let mut sides: Vec<(String, Side)> = Vec::new();
    for one in chosen {
        let (label, side) = match (&base, &one.experiment) {
            (Some(base), _) => (base.label.clone(), base.side),
            (None, Some(experiment)) => {
                let commit = experiment.baseline;
                let name = project.git().names_of(&[commit])?.remove(&commit);
                (name.unwrap_or_else(|| commit.short(7)), Side::Commit(commit))
            }
            (None, None) => ("HEAD".to_owned(), Side::Commit(head)),
        };
        for (name, side) in [(&label, side), (&one.label, one.side)] {
            if !sides.iter().any(|(known, _)| known == name) {
                sides.push((name.clone(), side));
            }
        }
        let pair = Pair::read(ctx, project, [side, one.side], options)?;
        let code = pair.code(project, [side, one.side])?;
        changes.push(ReportChange { labels: [label, one.label], pair, code });
    }
    let plots = PlotsRequest {
        revisions: &sides,
        targets: &[],
        props: &PlotProps::default(),
        here: &RelPath::root(),
    };
    let plots = collect_plots(ctx, project, &plots)?;
    Ok(Report { table, changes, plots })
}

fn find(ctx: &Ctx<'_>, project: &Project, name: &str) -> Result<Chosen, Error> {
    if name == "workspace" {
        return Ok(Chosen { label: name.to_owned(), side: Side::Workspace, experiment: None });
    }
    let found = project.find(ctx, name)?;
    let side = Side::Commit(found.commit());
    Ok(match found {
        Found::Experiment(one) => {
            Chosen { label: one.name.to_string(), side, experiment: Some(one) }
        }
        Found::Commit(_) => Chosen { label: name.to_owned(), side, experiment: None },
    })
}

/// Returns the best experiment of a table, by its leading metric; the newest where no metric tells which way is better.
fn leader(table: &ShowTable) -> Option<Chosen> {
    let comparison = Comparison::of(table);
    let by_metric = comparison.leading_metric().and_then(|(column, direction)| {
        let rows = best(&comparison, column, direction);
        rows.into_iter().find(|place| matches!(place, RowPlace::Experiment(..)))
    });
    let newest = || comparison.rows.iter().map(|row| row.place);
    let newest = || newest().find(|place| matches!(place, RowPlace::Experiment(..)));
    let RowPlace::Experiment(at, which) = by_metric.or_else(newest)? else { return None };
    let baseline = table.baselines.get(at)?;
    let row = baseline.experiments.get(which)?;
    let experiment = exp_refs::Experiment::new(baseline.rev, row.name.clone(), row.rev, true);
    let label = row.name.to_string();
    Some(Chosen { label, side: Side::Commit(row.rev), experiment: Some(experiment) })
}

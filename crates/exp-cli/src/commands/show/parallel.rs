//! `show --pcp`: parallel coordinates of parameters and metrics, as a page.

use exp_engine::plots::{Page, PageItem, PageKind, ParallelAxis, parallel};
use exp_engine::{
    Cell, ColumnKind, Comparison, Error, Project, RowPlace, ShowTable, save_plot_file,
};

use super::{View, refused};
use crate::commands::{Outcome, plot};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::plot::page;

/// Writes the page and says where it is.
pub(super) fn draw(session: &mut Session<'_, '_>, project: &Project, view: &View<'_>) -> Outcome {
    let table = session.look(|ctx| view.table(ctx, project))?;
    let mut comparison = Comparison::of(&table);
    if !view.args.group.is_empty() {
        comparison
            .group(&table, &view.args.group)
            .map_err(|error| refused(session.is_dvc(), &error))?;
    }
    let (names, axes) = lines(view, &table, &comparison);
    let Some(spec) = parallel(&names, &axes) else {
        session.note("nothing to draw: no parameter and no metric differs between experiments")?;
        return Ok(ExitStatus::DONE);
    };
    let name = "Parameters and metrics".to_owned();
    let items = vec![PageItem { name, kind: PageKind::Spec(Box::new(spec)) }];
    let page = Page { title: "Experiments".to_owned(), problems: Vec::new(), items };
    let configured = project.config().text("plots", "out_dir");
    let dir = view.args.out.as_deref().or(configured).unwrap_or("dvc_plots");
    let dir = session.cwd().join(dir);
    let path =
        save_plot_file(&dir, "parallel.html", page.to_html().as_bytes()).map_err(Error::from)?;
    let address = page::address(&path.canonicalize().unwrap_or(path));
    session.say(&address)?;
    if view.args.open && !plot::browser(session, &address) {
        let text = "no browser could be started: open the page yourself".to_owned();
        return Err(Failure::Refused(text));
    }
    Ok(ExitStatus::DONE)
}

/// Returns the experiments that have a value somewhere, and an axis for each column that differs or is to be kept:
/// parameters, then metrics.
fn lines(
    view: &View<'_>,
    table: &ShowTable,
    comparison: &Comparison<'_>,
) -> (Vec<String>, Vec<ParallelAxis>) {
    let constant = comparison.constant_over(|row| row.problem.is_none());
    let is_shown = |at: usize| {
        let name = &comparison.columns[at].name;
        view.keep.matches(name) || (!constant[at] && !view.drop.matches(name))
    };
    let of_kind = |kind: ColumnKind| {
        let all = 0..comparison.columns.len();
        all.filter(move |at| comparison.columns[*at].kind == kind).filter(|at| is_shown(*at))
    };
    let columns: Vec<usize> =
        of_kind(ColumnKind::Param).chain(of_kind(ColumnKind::Metric)).collect();
    let value = |cell: &Cell<'_>| match cell {
        Cell::Value(value) => Some((*value).clone()),
        Cell::Spread { mean, .. } => Some(exp_engine::core::Value::Float(*mean)),
        _ => None,
    };
    let rows = comparison.rows.iter();
    let rows: Vec<_> =
        rows.filter(|row| columns.iter().any(|at| value(&row.cells[*at]).is_some())).collect();
    let names = rows.iter().map(|row| name(table, row.place)).collect();
    let axes = columns.into_iter().map(|at| ParallelAxis {
        name: comparison.columns[at].name.clone(),
        values: rows.iter().map(|row| value(&row.cells[at])).collect(),
    });
    (names, axes.collect())
}

/// Returns what a row is called.
fn name(table: &ShowTable, place: RowPlace) -> String {
    let baseline = |at: usize| table.baselines.get(at);
    match place {
        RowPlace::Workspace => "workspace".to_owned(),
        RowPlace::Baseline(at) => baseline(at).map_or_else(String::new, |baseline| {
            baseline.name.clone().unwrap_or_else(|| baseline.rev.short(7))
        }),
        RowPlace::Experiment(at, which) => {
            let row = baseline(at).and_then(|baseline| baseline.experiments.get(which));
            row.map(|row| row.name.to_string()).unwrap_or_default()
        }
    }
}

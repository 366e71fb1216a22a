//! A grid of experiments from code: every combination is run in a work tree of its own, the workspace stays as it is,
//! and the table at the end is read back from Git.
//!
//! ```console
//! $ cargo run -p exp-examples --example sweep                                  # in a project made for the occasion
//! $ cargo run -p exp-examples --example sweep -- PATH train.lr=0.1,0.2 seed=range(3)
//! ```

use exp_engine::core::Ctx;
use exp_engine::params::{Overrides, ParamChange, Precision, python_cell};
use exp_engine::{
    Cell, Comparison, Edges, Kept, Place as Where, Project, RowPlace, RunRequest, ShowRequest,
    best, show,
};
use exp_examples::{Failure, Place, print};

fn main() -> Result<(), Failure> {
    let (place, grid): (Place, Vec<String>) = match Place::named()? {
        Some(place) => (place, std::env::args().skip(2).collect()),
        None => (Place::with_project()?, vec!["lr=1,2,3".to_owned(), "depth=2,4".to_owned()]),
    };
    let project = place.open()?;
    let ctx = Ctx::silent();

    let grid = Overrides::parse(&grid)?;
    for overrides in grid.expand(0) {
        let shown: Vec<String> = overrides.iter().map(ParamChange::to_text).collect();
        let request = RunRequest {
            overrides,
            place: Where::Private { copy: Vec::new() },
            ..RunRequest::default()
        };
        let outcome = project.run(&ctx, &request)?;
        let result = match &outcome.kept {
            Some(Kept::Experiment(experiment)) => experiment.name.to_string(),
            Some(Kept::SameAs(experiment)) => format!("the same as {}", experiment.name),
            Some(Kept::Unfinished(experiment)) => format!("{} did not finish", experiment.name),
            Some(Kept::SameAsBaseline) | None => "the same as the baseline".to_owned(),
        };
        print(&format!("{}: {result}", shown.join(" ")))?;
    }
    print("")?;
    table(&ctx, &project)
}

/// Prints what differs between the experiments of `HEAD`: metrics and parameters, the best run marked.
fn table(ctx: &Ctx<'_>, project: &Project) -> Result<(), Failure> {
    let request = ShowRequest { workspace: false, edges: Edges::No, ..ShowRequest::default() };
    let shown = show(ctx, project, &request)?;
    let mut comparison = Comparison::of(&shown);
    let constant = comparison.constant_over(|row| matches!(row.place, RowPlace::Experiment(..)));
    comparison.retain(|at, _| !constant[at]);

    // By which metric runs are judged, and which way, is guessed from the names: `accuracy` up, `loss` down.
    let is_experiment = |place: &RowPlace| matches!(place, RowPlace::Experiment(..));
    let winner = comparison.leading_metric().and_then(|(column, direction)| {
        best(&comparison, column, direction).into_iter().find(is_experiment)
    });

    let mut lines = vec![vec![String::new(), "experiment".to_owned()]];
    lines[0].extend(comparison.columns.iter().map(|column| column.name.clone()));
    for row in &comparison.rows {
        let RowPlace::Experiment(baseline, at) = row.place else { continue };
        let mark = if winner == Some(row.place) { "*" } else { "" };
        let name = shown.baselines[baseline].experiments[at].name.to_string();
        let mut line = vec![mark.to_owned(), name];
        line.extend(row.cells.iter().map(|cell| match cell {
            Cell::Value(value) => python_cell(value, Precision::Significant(5)),
            Cell::Error(_) => "!".to_owned(),
            _ => "-".to_owned(),
        }));
        lines.push(line);
    }
    let width = |at: usize| lines.iter().map(|line| line[at].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
        print(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

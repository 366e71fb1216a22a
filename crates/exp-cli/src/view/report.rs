//! A report: the same parts as Markdown and as a page.

use exp_engine::core::{Artifact, Timestamp, Value};
use exp_engine::params::{Precision, python_cell};
use exp_engine::plots::{Page, PageItem, PageKind, Plot};
use exp_engine::{
    Cell, ColumnKind, Comparison, DataDifference, ExperimentState, FileDifference, MetricDirection,
    Report, ReportChange, RowPlace, ShowTable, best, direction,
};

use super::metrics::look::judgement;
use super::plot::charts;
use super::show::text;
use super::time::created;
use super::{markdown, size};

/// Columns of the charts in Markdown: what fits a pull request.
const WIDTH: usize = 80;
/// Digits of numbers.
const PRECISION: Precision = Precision::Significant(5);

/// A part of a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its heading.
    pub(crate) name: String,
    /// What is below it.
    pub(crate) kind: PartKind,
}

/// What is below a heading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// Columns and rows.
    Table(Vec<String>, Vec<Vec<String>>),
    /// A sentence.
    Note(String),
}

/// Returns the parts of a report in front of its curves: the table, then what each revision changed.
pub(crate) fn parts(report: &Report, now: Timestamp) -> Vec<Part> {
    let mut parts = vec![experiments(&report.table, now)];
    for change in &report.changes {
        let [old, new] = &change.labels;
        let found = changed(change);
        if found.is_empty() {
            let name = format!("{new} beside {old}");
            parts.push(Part { name, kind: PartKind::Note("Nothing differs.".to_owned()) });
        }
        parts.extend(found);
    }
    parts
}

/// Returns what could not be read, a line each: revisions, then `of_plots`.
pub(crate) fn problems(report: &Report, of_plots: Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &report.changes {
        for (label, row) in change.labels.iter().zip([&change.pair.old, &change.pair.new]) {
            lines.extend(row.as_ref().err().map(|problem| format!("{label}: {}", problem.message)));
        }
    }
    lines.extend(of_plots);
    lines
}

/// Writes Markdown.
pub(crate) fn markdown(title: &str, parts: &[Part], problems: &[String], plots: &[Plot]) -> String {
    let mut text = format!("# {}\n\n", escaped(title));
    for part in parts {
        text.push_str(&format!("## {}\n\n", escaped(&part.name)));
        match &part.kind {
            PartKind::Table(header, rows) => {
                let header: Vec<String> = header.iter().map(|cell| escaped(cell)).collect();
                let rows: Vec<Vec<String>> = (rows.iter())
                    .map(|row| row.iter().map(|cell| escaped(cell)).collect())
                    .collect();
                text.push_str(&markdown::table(&header, &rows));
            }
            PartKind::Note(note) => text.push_str(&format!("{note}\n\n")),
        }
    }
    if !plots.is_empty() {
        text.push_str("## Curves\n\n");
    }
    let look = charts::Look { width: WIDTH, unicode: true, colour: false };
    for plot in plots {
        // A name with backticks in it ends no block.
        let drawn = charts::all(std::slice::from_ref(plot), look).replace("```", "'''");
        text.push_str(&format!("```text\n{}\n```\n\n", drawn.trim_end()));
    }
    if !problems.is_empty() {
        text.push_str("## What could not be read\n\n");
        for problem in problems {
            text.push_str(&format!("- {}\n", escaped(problem)));
        }
    }
    format!("{}\n", text.trim_end())
}

/// Makes a page of the parts, with the items of `plots` behind them.
pub(crate) fn page(title: String, parts: Vec<Part>, problems: Vec<String>, plots: Page) -> Page {
    let item = |part: Part| PageItem {
        name: part.name,
        kind: match part.kind {
            PartKind::Table(header, rows) => PageKind::Table(header, rows),
            PartKind::Note(note) => PageKind::Note(note),
        },
    };
    let items = parts.into_iter().map(item).chain(plots.items).collect();
    Page { title, problems, items }
}

/// Makes the table of experiments: all metrics, and the parameters that differ.
fn experiments(table: &ShowTable, now: Timestamp) -> Part {
    let mut comparison = Comparison::of(table);
    let constant = comparison.constant_over(|row| row.problem.is_none());
    comparison.retain(|at, column| column.kind == ColumnKind::Metric || !constant[at]);
    let leader = comparison.leading_metric().and_then(|(column, direction)| {
        let order = best(&comparison, column, direction);
        let others = order.iter().filter(|place| **place != RowPlace::Workspace);
        // Of one row nothing is the best.
        others.clone().nth(1).and_then(|_| others.clone().next().copied())
    });
    let titles = comparison.columns.iter().map(|column| {
        let towards = direction(&column.name).filter(|_| column.kind == ColumnKind::Metric);
        match towards {
            Some(MetricDirection::Up) => format!("{} ↑", column.name),
            Some(MetricDirection::Down) => format!("{} ↓", column.name),
            None => column.name.clone(),
        }
    });
    let first = ["Experiment", "Created"].map(str::to_owned);
    let header: Vec<String> = first.into_iter().chain(titles).collect();
    let rows = comparison.rows.iter().map(|row| {
        let (mut name, at) = named(table, row.place);
        if leader == Some(row.place) {
            name.push_str(" ★");
        }
        let at = at.map_or_else(|| "now".to_owned(), |at| created(at, now));
        let cell = |cell: &Cell<'_>| text(cell, PRECISION).unwrap_or_else(|| "–".to_owned());
        [name, at].into_iter().chain(row.cells.iter().map(cell)).collect()
    });
    Part { name: "Experiments".to_owned(), kind: PartKind::Table(header, rows.collect()) }
}

/// Returns what a row is called, and when it was committed.
fn named(table: &ShowTable, place: RowPlace) -> (String, Option<Timestamp>) {
    let baseline = |at: usize| table.baselines.get(at);
    let (name, data) = match place {
        RowPlace::Workspace => ("workspace".to_owned(), None),
        RowPlace::Baseline(at) => {
            let Some(baseline) = baseline(at) else { return Default::default() };
            let short = baseline.rev.short(7);
            let name = baseline.name.as_ref().map(|name| format!("{name} ({short})"));
            (name.unwrap_or(short), Some(&baseline.data))
        }
        RowPlace::Experiment(at, which) => {
            let row = baseline(at).and_then(|baseline| baseline.experiments.get(which));
            let Some(row) = row else { return Default::default() };
            let state = match &row.state {
                ExperimentState::Finished => String::new(),
                ExperimentState::Job(job) => format!(" ({})", job.state.word()),
                _ => " (failed)".to_owned(),
            };
            (format!("{}{state}", row.name), Some(&row.data))
        }
    };
    (name, data.and_then(|data| data.as_ref().ok()?.timestamp))
}

/// Returns a part for each kind of thing that a revision changed.
fn changed(change: &ReportChange) -> Vec<Part> {
    let [old, new] = &change.labels;
    let columns = |first: &str| vec![first.to_owned(), old.clone(), new.clone()];
    let code: Vec<Vec<String>> = (change.code.iter())
        .map(|file| {
            let lines = match file.lines {
                Some((added, removed)) => format!("+{added} −{removed}"),
                None => "binary".to_owned(),
            };
            vec![file.path.clone(), lines]
        })
        .collect();
    let data: Vec<Vec<String>> =
        change.pair.data().iter().chain(&change.pair.outputs()).map(stored).collect();
    let mut metrics = columns("Metric");
    metrics.push("Change".to_owned());
    let all = exp_engine::params::All::No;
    let tables = [
        ("metrics", metrics, values(&change.pair.metrics(all), Judged::Yes)),
        ("parameters", columns("Parameter"), values(&change.pair.params(all), Judged::No)),
        ("code", ["File", "Lines"].map(str::to_owned).to_vec(), code),
        ("data and outputs", columns("Path"), data),
    ];
    (tables.into_iter())
        .filter(|(_, _, rows)| !rows.is_empty())
        .map(|(what, header, rows)| Part {
            name: format!("{new} beside {old}: {what}"),
            kind: PartKind::Table(header, rows),
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    Yes,
    No,
}

/// Returns a row for each value that differs.
fn values(files: &[FileDifference], judged: Judged) -> Vec<Vec<String>> {
    let precision = if judged == Judged::Yes { PRECISION } else { Precision::Full };
    let cell = |value: &Option<Value>| match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(value) => python_cell(value, precision),
    };
    let mut rows = Vec::new();
    for file in files {
        for change in &file.changes {
            let name = if files.len() > 1 {
                format!("{}:{}", file.file, change.key)
            } else {
                change.key.clone()
            };
            let mut row = vec![name, cell(&change.old), cell(&change.new)];
            if judged == Judged::Yes {
                row.push(change.delta.as_ref().map_or_else(String::new, |delta| {
                    judgement(&change.key, delta, &python_cell(delta, precision), true)
                }));
            }
            rows.push(row);
        }
    }
    rows
}

fn stored(found: &DataDifference) -> Vec<String> {
    let side = |artifact: Option<Artifact>| match artifact {
        None => "–".to_owned(),
        Some(artifact) => {
            let id: String = artifact.id.to_string().chars().take(7).collect();
            artifact.size.map_or(id.clone(), |bytes| format!("{} ({id})", size(bytes)))
        }
    };
    vec![found.path.to_string(), side(found.old), side(found.new)]
}

/// Writes text so that Markdown shows it: no markup of its own, no HTML, one line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '!' | '~' | '$' | '@' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_data_is_markup() {
        let hostile = "<img src=x>|[a](javascript:1)\n```\n# x";
        let part = Part {
            name: hostile.to_owned(),
            kind: PartKind::Table(vec![hostile.to_owned()], vec![vec![hostile.to_owned()]]),
        };
        let text = markdown(hostile, &[part], &[hostile.to_owned()], &[]);
        assert!(
            !text.contains("<img") && !text.contains("\n```") && !text.contains("[a]("),
            "{text}"
        );
        assert_eq!(text.matches("\n# ").count(), 0, "{text}");
        let rows = text.lines().filter(|line| line.starts_with('|'));
        assert!(rows.clone().count() == 3 && rows.clone().all(|row| row.ends_with('|')), "{text}");
    }
}

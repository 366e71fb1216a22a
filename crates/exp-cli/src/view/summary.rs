//! What is said at the end of a run.

use std::time::Duration;

use exp_engine::core::{Ctx, Ended, Failure as StageFailure, Outcome, RelPath, RunReport, Value};
use exp_engine::refs::CommitId;
use exp_engine::{
    CollectOptions, Edges, MetricDirection, Project, RevisionData, RowData, collect_commits,
    direction,
};

use super::table::columns;
use super::time::duration;

/// A run that ended well.
pub(crate) struct Finished<'r> {
    /// The experiment.
    pub(crate) name: &'r str,
    /// What the commit is called that it started from.
    pub(crate) baseline: &'r str,
    /// What baseline and experiment hold, in this order.
    pub(crate) rows: &'r [RowData],
    /// What became of the stages.
    pub(crate) report: &'r RunReport,
    /// How long it took.
    pub(crate) took: Duration,
    /// Whether the workspace was left alone.
    pub(crate) is_private: bool,
    /// Columns that a line may have.
    pub(crate) width: usize,
}

/// Says what an experiment brought: its metrics and changed parameters beside the baseline's, and what to do next.
pub(crate) fn finished(run: &Finished<'_>) -> String {
    let name = run.name;
    let mut text = format!(" ✓ {name:<11} {} · {}\n", duration(run.took), counted(run.report));
    if let [Ok(before), Ok(after)] = run.rows {
        text.push_str(&values(run.baseline, before, name, after, run.width));
    }
    if run.is_private {
        text.push_str(&format!(" The workspace was not touched; {name} is kept.\n"));
        text.push_str(&format!("   apply: exp apply {name}   "));
    } else {
        text.push_str(&format!(" The workspace now holds {name}.\n   "));
    }
    text.push_str(&format!("compare: exp diff   keep: exp branch {name}   undo: exp undo\n"));
    text
}

/// Says that a run gave what there is already.
pub(crate) fn same(other: &str, is_idle: bool, took: Duration) -> String {
    let ms = took.as_millis();
    if is_idle {
        format!(" = identical to {other} (code, parameters, data): nothing to run ({ms} ms)\n")
    } else {
        format!(" = the result is identical to {other}; no new experiment ({})\n", duration(took))
    }
}

/// Says how a run that did not end well is kept.
pub(crate) fn unfinished(name: &str, report: &RunReport, took: Duration) -> String {
    let stage = report
        .stages
        .iter()
        .find(|stage| matches!(stage.outcome, Outcome::Failed(_) | Outcome::Cancelled));
    let what = match stage {
        Some(stage) if matches!(stage.outcome, Outcome::Cancelled) => {
            format!("{} was stopped", stage.id)
        }
        Some(stage) if is_declined(&stage.outcome) => format!("{} was declined", stage.id),
        Some(stage) => format!("{} failed", stage.id),
        None => "stopped".to_owned(),
    };
    format!(
        " ✗ {what} after {}; the run is kept as {name}\n   log: exp log {name}   undo: exp undo\n",
        duration(took)
    )
}

/// Says what a plain reproduction did; `logs` is where the output of a stage that failed is.
pub(crate) fn reproduced(report: &RunReport, written: &[RelPath], logs: &str) -> String {
    if report.stages.iter().all(|stage| matches!(stage.outcome, Outcome::Fresh)) {
        return " = nothing to run: everything is up to date\n".to_owned();
    }
    let mut text = format!(" {}\n", counted(report));
    if !written.is_empty() {
        let files: Vec<&str> = written.iter().map(RelPath::as_str).collect();
        text.push_str(&format!("   wrote: {}   undo: exp undo\n", files.join(" ")));
    }
    if report.ended != Ended::Complete {
        text.push_str(&format!("   logs: {logs}\n"));
    }
    text
}

/// Replaces symbols outside ASCII.
pub(crate) fn ascii(text: &str) -> String {
    let pairs = [
        ("✓", "+"),
        ("✗", "x"),
        ("●", "*"),
        ("○", "o"),
        ("↻", "r"),
        ("◇", "#"),
        ("↓", "v"),
        ("▲", "^"),
        ("▼", "v"),
        ("→", "->"),
        ("·", "-"),
        ("–", "-"),
        ("−", "-"),
        ("…", ".."),
        ("└─", "`-"),
        ("├─", "|-"),
        ("│", "|"),
    ];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn is_declined(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(StageFailure::Declined))
}

fn counted(report: &RunReport) -> String {
    let count = |wanted: fn(&Outcome) -> bool| {
        report.stages.iter().filter(|stage| wanted(&stage.outcome)).count()
    };
    let parts = [
        (count(|outcome| matches!(outcome, Outcome::Ran)), "run"),
        (count(|outcome| matches!(outcome, Outcome::Restored(_))), "restored"),
        (count(|outcome| matches!(outcome, Outcome::Verified)), "recorded"),
        (count(|outcome| matches!(outcome, Outcome::Fresh)), "unchanged"),
        (count(|outcome| matches!(outcome, Outcome::Failed(_)) && !is_declined(outcome)), "failed"),
        (count(is_declined), "declined"),
        (count(|outcome| matches!(outcome, Outcome::Skipped { .. })), "left out"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let noun = if report.stages.len() == 1 { "stage" } else { "stages" };
    format!("{noun}: {}", parts.join(", "))
}

/// Returns the metrics of a commit that are numbers, by their full names; none when it cannot be read.
pub(crate) fn metrics_of(project: &Project, commit: CommitId) -> Vec<(String, f64)> {
    let options = CollectOptions { edges: Edges::No, ..CollectOptions::default() };
    let rows = collect_commits(&Ctx::silent(), project, &[commit], options).unwrap_or_default();
    let files =
        rows.iter().filter_map(|row| row.as_ref().ok()).flat_map(|data| flat(&data.metrics));
    files.filter_map(|(name, value)| Some((name, value.as_f64()?))).collect()
}

/// A value of a parameter or metric file by its full name.
fn flat(files: &[(std::sync::Arc<str>, exp_engine::FileData)]) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (_, data) in files {
        if let Some(value) = data.value() {
            flatten("", value, &mut all);
        }
    }
    all
}

fn flatten(prefix: &str, value: &Value, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, into);
            }
        }
        value => into.push((prefix.to_owned(), value.clone())),
    }
}

/// Lays metrics and changed parameters out beside each other.
fn values(
    baseline: &str,
    before: &RevisionData,
    name: &str,
    after: &RevisionData,
    width: usize,
) -> String {
    let mut rows: Vec<[String; 4]> =
        vec![[String::new(), baseline.to_owned(), name.to_owned(), String::new()]];
    let old = flat(&before.metrics);
    for (key, now) in flat(&after.metrics) {
        let was = old.iter().find(|(other, _)| *other == key).map(|(_, value)| value);
        let note = was.map_or_else(String::new, |was| delta(&key, was, &now));
        rows.push([key, was.map_or_else(|| "–".to_owned(), shown), shown(&now), note]);
    }
    let old = flat(&before.params);
    for (key, now) in flat(&after.params) {
        let was = old.iter().find(|(other, _)| *other == key).map(|(_, value)| value);
        if was != Some(&now) {
            rows.push([key, was.map_or_else(|| "–".to_owned(), shown), shown(&now), String::new()]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    let widest = |at: usize| rows.iter().map(|row| columns(&row[at])).max().unwrap_or(0);
    let widths = [widest(0), widest(1), widest(2)];
    let mut text = String::new();
    for row in &rows {
        let mut line = String::from("  ");
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!(" {cell}{}  ", " ".repeat(width.saturating_sub(columns(cell)))));
        }
        if columns(&line) + columns(&row[3]) <= width.max(60) {
            line.push_str(&row[3]);
        } else {
            line.extend(row[3].chars().take(1));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Says how a metric moved: an arrow for the number, and whether that is better where the name tells.
fn delta(key: &str, was: &Value, now: &Value) -> String {
    let (Some(was), Some(now)) = (was.as_f64(), now.as_f64()) else { return String::new() };
    let difference = now - was;
    if difference == 0.0 || difference.is_nan() {
        return String::new();
    }
    let (arrow, sign) = if difference > 0.0 { ("▲", "+") } else { ("▼", "−") };
    let verdict = match (direction(key), difference > 0.0) {
        (Some(MetricDirection::Up), true) | (Some(MetricDirection::Down), false) => " better",
        (Some(_), _) => " worse",
        (None, _) => "",
    };
    format!("{arrow} {sign}{}{verdict}", number(difference.abs()))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Float(number_) => number(*number_),
        Value::Text(text) => text.clone(),
        other => super::json::line(other).trim_end().to_owned(),
    }
}

/// Writes a number with five significant digits.
pub(crate) fn number(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return format!("{number}");
    }
    let magnitude = number.abs().log10().floor();
    if !(-5.0..15.0).contains(&magnitude) {
        return format!("{number:.4e}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 9")]
    let decimals = (4.0 - magnitude).max(0.0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

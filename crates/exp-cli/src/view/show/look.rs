//! Our own table: constants folded into the first line, the best values marked, nothing left out silently.

use exp_engine::core::{Timestamp, Value};
use exp_engine::params::{Precision, python_cell};
use exp_engine::refs::{RunEnd, RunRecord};
use exp_engine::{
    Baseline, Cell, ColumnKind, ComparedRow, Comparison, ExperimentState, JobState,
    MetricDirection, Patterns, RowPlace, ShowTable, best, direction,
};

use super::{is_last, text, timestamp};
use crate::view::table::{Column, columns, fitted, hidden_note};
use crate::view::time::age;

/// Values longer than this are cut in the line of constants.
const MAX_CONSTANT: usize = 24;

/// What our table needs to know.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent wishes")]
pub(crate) struct Look<'l> {
    /// The revisions.
    pub(crate) table: &'l ShowTable,
    /// Their columns and cells, sorted.
    pub(crate) comparison: &'l Comparison<'l>,
    /// Whether commits stand in place of names.
    pub(crate) sha: bool,
    /// Whether columns in which all rows are the same are not even named.
    pub(crate) only_changed: bool,
    /// Whether all columns are shown, the constant ones too.
    pub(crate) all_columns: bool,
    /// Columns that are neither folded nor left out.
    pub(crate) keep: &'l Patterns,
    /// Columns that are left out.
    pub(crate) drop: &'l Patterns,
    /// How numbers are shortened.
    pub(crate) precision: Precision,
    /// The moment.
    pub(crate) now: Timestamp,
    /// The columns of the terminal; `None` where everything is shown.
    pub(crate) width: Option<usize>,
    /// Whether symbols outside ASCII may be used.
    pub(crate) unicode: bool,
}

/// The symbols of the table.
struct Glyphs {
    workspace: &'static str,
    baseline: &'static str,
    branch: &'static str,
    last: &'static str,
    failed: &'static str,
    star: &'static str,
    best: &'static str,
    times: &'static str,
    plus_minus: &'static str,
    up: &'static str,
    down: &'static str,
    none: &'static str,
    arrow: &'static str,
    dot: &'static str,
    ellipsis: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    workspace: "◆",
    baseline: "─",
    branch: "├",
    last: "└",
    failed: "✗",
    star: "★",
    best: "▲",
    times: "×",
    plus_minus: "±",
    up: "↑",
    down: "↓",
    none: "–",
    arrow: "→",
    dot: "·",
    ellipsis: "…",
};

const ASCII: Glyphs = Glyphs {
    workspace: "@",
    baseline: "-",
    branch: "|",
    last: "`",
    failed: "x",
    star: "*",
    best: "^",
    times: "x",
    plus_minus: "+-",
    up: "(max)",
    down: "(min)",
    none: "-",
    arrow: "->",
    dot: "|",
    ellipsis: "...",
};

/// Writes the table.
pub(crate) fn look(look: &Look<'_>) -> String {
    let glyphs = if look.unicode { &UNICODE } else { &ASCII };
    let (shown, folded) = look.fold(glyphs);
    let mut text = look.first_line(glyphs, &folded);
    if look.comparison.rows.is_empty() {
        return text + &look.left_out();
    }
    let leader = look.comparison.leading_metric().and_then(|(column, direction)| {
        // Of one row nothing is the best.
        let order: Vec<_> = (best(look.comparison, column, direction).into_iter())
            .filter(|place| *place != RowPlace::Workspace)
            .collect();
        if order.len() > 1 { order.first().copied() } else { None }
    });
    let rows = &look.comparison.rows;
    let names =
        (rows.iter().enumerate()).map(|(at, row)| look.name(glyphs, at, row, leader)).collect();
    let ages = rows.iter().map(|row| look.age(row)).collect();
    let mut all =
        vec![column("  experiment", names, false, true), column("when", ages, false, false)];
    for at in shown {
        all.push(look.column(glyphs, at));
    }
    let notes: Vec<String> = rows.iter().map(|row| look.note(glyphs, row)).collect();
    let has_notes = notes.iter().any(|note| !note.is_empty());
    let width = look.width.unwrap_or(usize::MAX / 2);
    // The notes come behind the numbers if there is room for both, else below the table.
    let table = fitted(&all, width.saturating_sub(1));
    let used = table.text.lines().map(columns).max().unwrap_or(0);
    let needs = notes.iter().map(|note| columns(note)).max().unwrap_or(0).max("notes".len());
    let notes_fit = has_notes && table.hidden.is_empty() && used + 3 + needs <= width;
    let table = if notes_fit {
        all.push(column("notes", notes.clone(), false, false));
        fitted(&all, width.saturating_sub(1))
    } else {
        table
    };
    for line in table.text.lines() {
        text.push(' ');
        text.push_str(line);
        text.push('\n');
    }
    if !notes_fit {
        for (row, note) in rows.iter().zip(&notes).filter(|(_, note)| !note.is_empty()) {
            text.push_str(&format!(" {}: {note}\n", look.plain_name(row.place)));
        }
    }
    let hidden = hidden_note(&table.hidden);
    if !hidden.is_empty() {
        text.push_str(&hidden);
        text.push('\n');
    }
    text.push_str(&look.left_out());
    text.push_str(&look.vanished(glyphs));
    text
}

fn column(title: &str, cells: Vec<String>, right: bool, pinned: bool) -> Column {
    Column { title: title.to_owned(), cells, right, pinned }
}

/// Says how a run ended that did not finish.
pub(crate) fn cause(record: &RunRecord) -> String {
    let mut text = match (record.end, record.signal, record.exit_code) {
        (RunEnd::Interrupted, ..) => "interrupted".to_owned(),
        (RunEnd::Died, ..) => "died".to_owned(),
        (_, Some(signal), _) => format!("signal {signal}"),
        (_, None, Some(code)) => format!("exit {code}"),
        _ => "failed".to_owned(),
    };
    if let Some(stage) = &record.stage {
        text.push_str(&format!(" in {stage}"));
    }
    if let Some(message) = &record.message {
        text.push_str(&format!(": {message}"));
    }
    text
}

impl Look<'_> {
    /// Tells columns that are shown from those that are folded, the latter with their text.
    fn fold(&self, glyphs: &Glyphs) -> (Vec<usize>, Vec<String>) {
        let counted = self.comparison.rows.iter().filter(|row| row.problem.is_none());
        let may_fold = !self.all_columns && counted.clone().count() > 1;
        let constant = self.comparison.constant_over(|row| row.problem.is_none());
        let columns = || self.comparison.columns.iter().enumerate();
        let is_dropped = |name: &str| self.drop.matches(name) && !self.keep.matches(name);
        // A table without any metric says nothing, so they are folded only when another one is left.
        let metric_changes = columns().any(|(at, column)| {
            column.kind == ColumnKind::Metric && !constant[at] && !is_dropped(&column.name)
        });
        let first = counted.clone().next();
        let (mut shown, mut folded) = (Vec::new(), Vec::new());
        for (at, column) in columns() {
            if is_dropped(&column.name) {
                continue;
            }
            let keeps = column.kind == ColumnKind::Metric && !metric_changes && !self.only_changed;
            if !may_fold || !constant[at] || self.keep.matches(&column.name) || keeps {
                // What every row lacks is not worth a column.
                let is_empty =
                    self.comparison.rows.iter().all(|row| row.cells[at] == Cell::Missing);
                if !is_empty || self.keep.matches(&column.name) {
                    shown.push(at);
                }
                continue;
            }
            if let Some(value) = first.and_then(|row| text(&row.cells[at], self.precision)) {
                let value = match row_artifact(first, at) {
                    Some(short) => short,
                    None => cut(&value, MAX_CONSTANT, glyphs.ellipsis),
                };
                folded.push(format!("{}={value}", column.name));
            }
        }
        // Parameters first: they are what was tried. Dependencies stand at the end.
        shown.sort_by_key(|at| match self.comparison.columns[*at].kind {
            ColumnKind::Param => 0,
            ColumnKind::Metric => 1,
            ColumnKind::Dep => 2,
        });
        (shown, folded)
    }

    /// Writes what the table is about and what all rows have in common.
    fn first_line(&self, glyphs: &Glyphs, folded: &[String]) -> String {
        let baselines = &self.table.baselines;
        let n = self.table.n_experiments();
        let subject = match baselines.as_slice() {
            [] if self.table.left_out > 0 => "nothing".to_owned(),
            [] => "no commit yet".to_owned(),
            [one] => self.baseline_name(one),
            many => format!("{} commits", many.len()),
        };
        let count = match n {
            0 => "no experiments".to_owned(),
            1 => "1 experiment".to_owned(),
            n => format!("{n} experiments"),
        };
        let mut words = vec![format!(" {subject}"), format!(" {count}")];
        if !folded.is_empty() && !self.only_changed {
            words.push(format!("{} constant:", glyphs.dot));
            words.extend(folded.iter().cloned());
        }
        let width = self.width.unwrap_or(usize::MAX / 2);
        let (mut text, mut line) = (String::new(), String::new());
        for word in words {
            if !line.is_empty() && columns(&line) + 1 + columns(&word) > width {
                text.push_str(&line);
                text.push('\n');
                line = format!("   {word}");
            } else {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&word);
            }
        }
        text.push_str(&line);
        text.push('\n');
        text
    }

    fn baseline_name(&self, baseline: &Baseline) -> String {
        let name = baseline.name.clone().filter(|_| !self.sha);
        name.unwrap_or_else(|| baseline.rev.short(7))
    }

    /// Writes the first cell of a row.
    fn name(
        &self,
        glyphs: &Glyphs,
        at: usize,
        row: &ComparedRow<'_>,
        leader: Option<RowPlace>,
    ) -> String {
        let star =
            if leader == Some(row.place) { format!(" {}", glyphs.star) } else { String::new() };
        match row.place {
            RowPlace::Workspace => format!("{} workspace", glyphs.workspace),
            RowPlace::Baseline(which) => {
                let Some(baseline) = self.table.baselines.get(which) else { return String::new() };
                let name = self.baseline_name(baseline);
                let short = baseline.rev.short(7);
                let id = if name == short { String::new() } else { format!(" {short}") };
                format!("{} {name}{id}{star}", glyphs.baseline)
            }
            RowPlace::Experiment(..) => {
                let branch = if is_last(self.comparison, at) { glyphs.last } else { glyphs.branch };
                let failed = if self.is_failed(row.place) {
                    format!(" {}", glyphs.failed)
                } else {
                    String::new()
                };
                let times = match row.members.len() {
                    0 => String::new(),
                    n => format!(" {}{n}", glyphs.times),
                };
                format!("{branch} {}{times}{star}{failed}", self.plain_name(row.place))
            }
        }
    }

    fn plain_name(&self, place: RowPlace) -> String {
        match place {
            RowPlace::Workspace => "workspace".to_owned(),
            RowPlace::Baseline(at) => self
                .table
                .baselines
                .get(at)
                .map(|baseline| self.baseline_name(baseline))
                .unwrap_or_default(),
            RowPlace::Experiment(..) => {
                let row = self.experiment(place);
                let name = |row: &exp_engine::ExperimentRow| {
                    if self.sha { row.rev.short(7) } else { row.name.to_string() }
                };
                row.map(name).unwrap_or_default()
            }
        }
    }

    fn experiment(&self, place: RowPlace) -> Option<&exp_engine::ExperimentRow> {
        let RowPlace::Experiment(at, which) = place else { return None };
        self.table.baselines.get(at)?.experiments.get(which)
    }

    fn is_failed(&self, place: RowPlace) -> bool {
        self.experiment(place).is_some_and(|row| match &row.state {
            ExperimentState::Finished => false,
            ExperimentState::Job(job) => job.state.is_failure(),
            _ => true,
        })
    }

    fn age(&self, row: &ComparedRow<'_>) -> String {
        match timestamp(self.table, row.place) {
            Some(at) => age(at, self.now),
            None if row.place == RowPlace::Workspace => "now".to_owned(),
            None => String::new(),
        }
    }

    /// Makes the column of a metric, a parameter or a dependency.
    fn column(&self, glyphs: &Glyphs, at: usize) -> Column {
        let described = &self.comparison.columns[at];
        let rows = &self.comparison.rows;
        let towards = direction(&described.name).filter(|_| described.kind == ColumnKind::Metric);
        let title = match towards {
            None => described.name.clone(),
            Some(MetricDirection::Up) => format!("{} {}", described.name, glyphs.up),
            Some(MetricDirection::Down) => format!("{} {}", described.name, glyphs.down),
        };
        let winner = towards.and_then(|towards| self.winning_value(at, towards));
        let is_number = |row: &ComparedRow<'_>| match row.cells[at] {
            Cell::Value(value) => value.as_f64().is_some(),
            Cell::Various(_) => false,
            _ => true,
        };
        let right = described.kind != ColumnKind::Dep && rows.iter().all(is_number);
        let cells = rows
            .iter()
            .map(|row| {
                let cell = &row.cells[at];
                let mut shown = match cell {
                    Cell::Artifact(artifact) => short(&artifact.id.to_string()),
                    cell => text(cell, self.precision).unwrap_or_else(|| glyphs.none.to_owned()),
                };
                if let (Cell::Spread { .. }, false) = (cell, glyphs.plus_minus == "±") {
                    shown = shown.replace('±', glyphs.plus_minus);
                }
                if shown.contains('\n') {
                    shown = shown.replace('\n', " ");
                }
                // Every cell has the mark's place, so that the digits stand below each other.
                if let Some(winner) = winner {
                    let wins = row.place != RowPlace::Workspace && number(cell) == Some(winner);
                    shown.push_str(if wins { glyphs.best } else { " " });
                }
                shown
            })
            .collect();
        Column { title, cells, right, pinned: false }
    }

    /// Returns the best number of a metric when there is a worse one.
    fn winning_value(&self, at: usize, towards: MetricDirection) -> Option<f64> {
        let mut numbers: Vec<f64> = (self.comparison.rows.iter())
            .filter(|row| row.place != RowPlace::Workspace)
            .filter_map(|row| number(&row.cells[at]))
            .collect();
        numbers.sort_by(|a, b| towards.compare(*a, *b));
        let (first, last) = (numbers.first()?, numbers.last()?);
        (towards.compare(*first, *last) != std::cmp::Ordering::Equal).then_some(*first)
    }

    /// Says what is particular to a row.
    fn note(&self, glyphs: &Glyphs, row: &ComparedRow<'_>) -> String {
        let mut notes = Vec::new();
        match self.experiment(row.place).map(|row| &row.state) {
            Some(ExperimentState::Unfinished(record)) => notes.push(cause(record)),
            Some(ExperimentState::Unreadable(problem)) => notes.push(problem.message.clone()),
            Some(ExperimentState::Job(job)) if job.is_dvcs => {
                notes.push(match job.state {
                    JobState::Failed => "failed in DVC's queue".to_owned(),
                    state => format!("{} by DVC", state.word()),
                });
            }
            Some(ExperimentState::Job(job)) => notes.push(job.state.word().to_owned()),
            _ => {}
        }
        if let RowPlace::Baseline(at) = row.place
            && let Some(baseline) = self.table.baselines.get(at)
        {
            match baseline.rewritten_to {
                Some(new) => notes.push(format!("rewritten {} {}", glyphs.arrow, new.short(7))),
                None if baseline.is_reachable == Some(false) => {
                    notes.push("no branch has it".to_owned());
                }
                None => {}
            }
        }
        notes.extend(row.problem.map(|problem| problem.message.clone()));
        let mut broken: Vec<&str> = (row.cells.iter())
            .filter_map(|cell| {
                if let Cell::Error(problem) = cell { Some(problem.message.as_str()) } else { None }
            })
            .collect();
        broken.dedup();
        notes.extend(broken.into_iter().map(|message| message.replace("[Errno 2] ", "")));
        notes.join("; ").replace('\n', " ")
    }

    /// Counts the rows that a condition left out.
    fn left_out(&self) -> String {
        match self.table.left_out {
            0 => String::new(),
            1 => " 1 row left out by --where\n".to_owned(),
            n => format!(" {n} rows left out by --where\n"),
        }
    }

    /// Counts the experiments that are not in the table because nothing leads to their baselines.
    fn vanished(&self, glyphs: &Glyphs) -> String {
        let lost = &self.table.vanished;
        let n: usize = lost.iter().map(|one| one.n_experiments).sum();
        if n == 0 {
            return String::new();
        }
        let experiments =
            if n == 1 { "1 experiment".to_owned() } else { format!("{n} experiments") };
        let of = match lost.as_slice() {
            [one] => match one.rewritten_to {
                Some(new) => {
                    format!("{} (rewritten {} {})", one.rev.short(7), glyphs.arrow, new.short(7))
                }
                None => format!("{}, which no branch has", one.rev.short(7)),
            },
            many => format!("{} commits that were rewritten or deleted", many.len()),
        };
        format!(" {experiments} of {of}: exp show -A\n")
    }
}

fn number(cell: &Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Value(Value::Bool(_)) => None,
        Cell::Value(value) => value.as_f64().filter(|number| !number.is_nan()),
        Cell::Spread { mean, .. } => Some(*mean).filter(|number| !number.is_nan()),
        _ => None,
    }
}

fn row_artifact(row: Option<&ComparedRow<'_>>, at: usize) -> Option<String> {
    match row?.cells.get(at)? {
        Cell::Artifact(artifact) => Some(short(&artifact.id.to_string())),
        Cell::Value(Value::Text(text)) if text.contains(char::is_whitespace) => {
            Some(python_cell(&Value::List(vec![Value::from(text.as_str())]), Precision::Full))
                .map(|quoted| quoted[1..quoted.len() - 1].to_owned())
        }
        _ => None,
    }
}

/// Shortens a digest.
fn short(digest: &str) -> String {
    digest.chars().take(7).collect()
}

/// Cuts a text to so many columns.
fn cut(text: &str, most: usize, ellipsis: &str) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if columns(&kept) + 1 + columns(ellipsis) > most {
            break;
        }
        kept.push(c);
    }
    kept + ellipsis
}

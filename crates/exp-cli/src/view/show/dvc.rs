//! The table of `exp show` as DVC prints it: CSV, Markdown, and plain for a terminal.

use exp_engine::core::Timestamp;
use exp_engine::params::Precision;
use exp_engine::{Cell, Comparison, ExperimentState, JobState, Patterns, RowPlace, ShowTable};

use super::{is_last, text, timestamp};
use crate::view::time::{created, iso};
use crate::view::{csv, markdown, table};

/// What the tables of DVC need to know.
#[derive(Debug)]
pub(crate) struct Plain<'p> {
    /// The revisions.
    pub(crate) table: &'p ShowTable,
    /// Their columns and cells, sorted.
    pub(crate) comparison: &'p Comparison<'p>,
    /// Whether branches and tags are not named.
    pub(crate) sha: bool,
    /// Whether columns in which all rows are the same are left out.
    pub(crate) only_changed: bool,
    /// Columns that are kept.
    pub(crate) keep: &'p Patterns,
    /// Columns that are left out.
    pub(crate) drop: &'p Patterns,
    /// How numbers are shortened.
    pub(crate) precision: Precision,
    /// The moment, on the clock of the times.
    pub(crate) now: Timestamp,
}

/// A table of texts; an empty text is nothing.
struct Texts {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Writes CSV.
pub(crate) fn csv(plain: &Plain<'_>) -> String {
    let mut texts =
        Texts::new(&["Experiment", "rev", "typ", "Created", "parent", "State", "Executor"], plain);
    for (at, row) in plain.comparison.rows.iter().enumerate() {
        let (name, rev) = plain.names(row.place);
        let typ = match row.place {
            RowPlace::Workspace | RowPlace::Baseline(_) => "baseline",
            RowPlace::Experiment(..) if is_last(plain.comparison, at) => "branch_base",
            RowPlace::Experiment(..) => "branch_commit",
        };
        let time = timestamp(plain.table, row.place).map(|time| iso(time, plain.now.offset));
        let state = plain.state(row.place);
        let first = [
            name,
            rev,
            typ.to_owned(),
            time.unwrap_or_default(),
            String::new(),
            state,
            plain.executor(row.place),
        ];
        texts.push(first.into(), &row.cells, plain.precision);
    }
    texts.spread(plain);
    texts.drop_empty(&["State", "Executor"]);
    texts.select(plain);
    let mut out = csv::row(&texts.header);
    for row in &texts.rows {
        out.push_str(&csv::row(row));
    }
    out
}

/// Writes a Markdown table.
pub(crate) fn markdown(plain: &Plain<'_>) -> String {
    let texts = Texts::for_people(plain);
    markdown::table(&texts.header, &texts.rows)
}

/// Writes a table for a terminal, digests shortened.
pub(crate) fn plain_table(plain: &Plain<'_>) -> String {
    let texts = Texts::for_people(plain);
    table::plain(&texts.header, &texts.rows)
}

impl Plain<'_> {
    /// Returns what stands in the columns `Experiment` and `rev`.
    fn names(&self, place: RowPlace) -> (String, String) {
        match place {
            RowPlace::Workspace => (String::new(), "workspace".to_owned()),
            RowPlace::Baseline(at) => {
                let Some(baseline) = self.table.baselines.get(at) else {
                    return Default::default();
                };
                let name = baseline.name.clone().filter(|_| !self.sha);
                (String::new(), name.unwrap_or_else(|| baseline.rev.short(7)))
            }
            RowPlace::Experiment(at, which) => {
                let row = self
                    .table
                    .baselines
                    .get(at)
                    .and_then(|baseline| baseline.experiments.get(which));
                row.map(|row| (row.name.to_string(), row.rev.short(7))).unwrap_or_default()
            }
        }
    }

    fn state(&self, place: RowPlace) -> String {
        let RowPlace::Experiment(at, which) = place else { return String::new() };
        let row = self.table.baselines.get(at).and_then(|baseline| baseline.experiments.get(which));
        match row.map(|row| &row.state) {
            Some(ExperimentState::Finished) if row.is_some_and(|row| row.ran.is_some()) => {
                "Success".to_owned()
            }
            None | Some(ExperimentState::Finished) => String::new(),
            Some(ExperimentState::Job(job)) if job.state.is_waiting() => "Queued".to_owned(),
            Some(ExperimentState::Job(job)) if job.state == JobState::Running => {
                "Running".to_owned()
            }
            Some(_) => "Failed".to_owned(),
        }
    }

    /// Returns who runs or ran it, which DVC does not say of what failed.
    fn executor(&self, place: RowPlace) -> String {
        match self.state(place).as_str() {
            "" | "Failed" => String::new(),
            _ => "Dvc-task".to_owned(),
        }
    }
}

impl Texts {
    fn new(first: &[&str], plain: &Plain<'_>) -> Self {
        let names = plain.comparison.columns.iter().map(|column| column.name.clone());
        Self {
            header: first.iter().map(|&name| name.to_owned()).chain(names).collect(),
            rows: Vec::new(),
        }
    }

    /// Gives how many experiments a row is a column of its own, and each deviation and each number of values.
    fn spread(&mut self, plain: &Plain<'_>) {
        let comparison = plain.comparison;
        if comparison.rows.iter().all(|row| row.members.is_empty()) {
            return;
        }
        let n_first = self.header.len() - comparison.columns.len();
        let spread: Vec<usize> = (0..comparison.columns.len())
            .filter(|at| {
                comparison.rows.iter().any(|row| matches!(row.cells[*at], Cell::Spread { .. }))
            })
            .collect();
        for at in spread.iter().rev() {
            let name = format!("{}.std", comparison.columns[*at].name);
            self.header.insert(n_first + at + 1, name);
            for (texts, row) in self.rows.iter_mut().zip(&comparison.rows) {
                let mut deviation = String::new();
                if let Cell::Spread { mean, deviation: found, n } = row.cells[*at] {
                    let alone = Cell::Spread { mean, deviation: None, n };
                    texts[n_first + at] = text(&alone, plain.precision).unwrap_or_default();
                    if let Some(found) = found {
                        let found = Cell::Spread { mean: found, deviation: None, n };
                        deviation = text(&found, plain.precision).unwrap_or_default();
                    }
                }
                texts.insert(n_first + at + 1, deviation);
            }
        }
        self.header.insert(n_first, "n".to_owned());
        for (texts, row) in self.rows.iter_mut().zip(&comparison.rows) {
            let n = match row.place {
                RowPlace::Experiment(..) => row.members.len().max(1).to_string(),
                _ => String::new(),
            };
            texts.insert(n_first, n);
        }
    }

    /// Makes the table that people read: a tree in the first column, `-` for nothing.
    fn for_people(plain: &Plain<'_>) -> Self {
        let mut texts = Self::new(&["Experiment", "Created", "State", "Executor"], plain);
        for (at, row) in plain.comparison.rows.iter().enumerate() {
            let (name, rev) = plain.names(row.place);
            let shown = match row.place {
                RowPlace::Experiment(..) => {
                    let branch =
                        if is_last(plain.comparison, at) { "└──" } else { "├──" };
                    let times = match row.members.len() {
                        0 => String::new(),
                        n => format!(" ×{n}"),
                    };
                    format!("{branch} {rev} [{name}]{times}")
                }
                _ => rev,
            };
            let time = timestamp(plain.table, row.place).map(|time| created(time, plain.now));
            let (state, executor) = (plain.state(row.place), plain.executor(row.place));
            let first = vec![shown, time.unwrap_or_default(), state, executor];
            texts.push(first, &row.cells, plain.precision);
        }
        texts.drop_empty(&["State", "Executor"]);
        texts.select(plain);
        for cell in texts.rows.iter_mut().flatten().filter(|cell| cell.is_empty()) {
            "-".clone_into(cell);
        }
        texts
    }

    fn push(&mut self, mut row: Vec<String>, cells: &[Cell<'_>], precision: Precision) {
        row.extend(cells.iter().map(|cell| text(cell, precision).unwrap_or_default()));
        self.rows.push(row);
    }

    /// Leaves out columns of these names in which nothing stands.
    fn drop_empty(&mut self, names: &[&str]) {
        let empty =
            |at: usize| self.rows.iter().all(|row| row.get(at).is_none_or(String::is_empty));
        let kept: Vec<bool> = (self.header.iter().enumerate())
            .map(|(at, name)| !(names.contains(&name.as_str()) && empty(at)))
            .collect();
        self.retain(&kept);
    }

    /// Applies the patterns, and leaves out what does not change.
    fn select(&mut self, plain: &Plain<'_>) {
        let changes = |at: usize| self.rows.iter().any(|row| row.get(at) != self.rows[0].get(at));
        let kept: Vec<bool> = (self.header.iter().enumerate())
            .map(|(at, name)| {
                let is_dropped = plain.drop.matches(name) || (plain.only_changed && !changes(at));
                plain.keep.matches(name) || !is_dropped
            })
            .collect();
        self.retain(&kept);
    }

    fn retain(&mut self, kept: &[bool]) {
        for row in self.rows.iter_mut().chain([&mut self.header]) {
            let mut flags = kept.iter();
            row.retain(|_| *flags.next().unwrap_or(&true));
        }
    }
}

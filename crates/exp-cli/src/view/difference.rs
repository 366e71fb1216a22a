//! What differs between two revisions: DVC's tables and JSON, and everything at a glance.

use exp_engine::core::{Artifact, RelPath, Table, Value};
use exp_engine::params::{Precision, python_cell};
use exp_engine::{
    CodeDifference, DataDifference, EnvironmentDifference, EnvironmentPart, FileData,
    FileDifference, Files, Pair,
};

use super::json::object;
use super::metrics::look::judgement;
use super::{environment, markdown, size, table};

/// How a table of changes is laid out.
#[derive(Debug)]
pub(crate) struct Layout<'l> {
    /// What the two revisions are called.
    pub(crate) labels: &'l [String; 2],
    /// The heading of names: `Metric` or `Param`.
    pub(crate) value: &'static str,
    /// How numbers are shortened.
    pub(crate) precision: Precision,
    /// Whether files are left out.
    pub(crate) no_path: bool,
    /// Whether it is Markdown.
    pub(crate) md: bool,
    /// What stands for a difference that is none of numbers; without, differences have no column.
    pub(crate) change: Option<&'static str>,
}

/// Writes changes as DVC's JSON: file, name, then `old`, `new` and `diff`.
pub(crate) fn json(files: &[FileDifference]) -> Value {
    let files = files.iter().map(|file| {
        let changes = file.changes.iter().map(|change| {
            let side = |value: &Option<Value>| value.clone().unwrap_or(Value::Null);
            let mut members = Table::new();
            members.insert("old".to_owned(), side(&change.old));
            members.insert("new".to_owned(), side(&change.new));
            if let Some(delta) = &change.delta {
                members.insert("diff".to_owned(), delta.clone());
            }
            (change.key.clone(), Value::Table(members))
        });
        (file.file.to_string(), Value::Table(changes.collect()))
    });
    Value::Table(files.collect())
}

/// Writes changes as DVC's table. Nothing for no changes, except in Markdown, where the heading stays.
pub(crate) fn table(files: &[FileDifference], layout: &Layout<'_>) -> String {
    let mut header = vec![layout.value.to_owned()];
    if !layout.no_path {
        header.insert(0, "Path".to_owned());
    }
    header.extend(layout.labels.iter().cloned());
    header.extend(layout.change.map(|_| "Change".to_owned()));
    let mut rows = Vec::new();
    for file in files {
        for change in &file.changes {
            let cell = |value: Option<&Value>, none: &str| match value {
                None | Some(Value::Null) => none.to_owned(),
                Some(value) => python_cell(value, layout.precision),
            };
            let mut row = vec![change.key.clone()];
            if !layout.no_path {
                row.insert(0, file.file.to_string());
            }
            row.push(cell(change.old.as_ref(), "-"));
            row.push(cell(change.new.as_ref(), "-"));
            if let Some(none) = layout.change {
                row.push(cell(change.delta.as_ref(), none));
            }
            rows.push(row);
        }
    }
    match (layout.md, rows.is_empty()) {
        (true, _) => markdown::table(&header, &rows),
        (false, true) => String::new(),
        (false, false) => table::plain(&header, &rows),
    }
}

/// Returns the path to a file from a directory, both below the project's root.
pub(crate) fn seen_from(here: &RelPath, file: &str) -> String {
    RelPath::new(file).map_or_else(|_| file.to_owned(), |path| path.relative_to(here))
}

/// Returns why files cannot be read.
pub(crate) fn problems(files: &Files) -> Vec<String> {
    let problem = |(path, data): &(std::sync::Arc<str>, FileData)| match data {
        FileData::Value(_) => None,
        // The messages of Python name the file in their own way.
        FileData::Error(problem) if problem.message.contains(&**path) => {
            Some(problem.message.clone())
        }
        FileData::Error(problem) => Some(format!("{path}: {}", problem.message)),
    };
    files.iter().filter_map(problem).collect()
}

/// Of more parts of an environment that differ some are shown.
const MOST_PARTS: usize = 30;

/// Everything that differs.
#[derive(Debug)]
pub(crate) struct Everything<'e> {
    /// Metrics.
    pub(crate) metrics: &'e [FileDifference],
    /// Parameters.
    pub(crate) params: &'e [FileDifference],
    /// Source files.
    pub(crate) code: &'e [CodeDifference],
    /// The revisions, for data and outputs.
    pub(crate) pair: &'e Pair,
    /// What they ran in; `None` when that is not recorded of both.
    pub(crate) environment: Option<&'e [EnvironmentDifference]>,
    /// What the two revisions are called.
    pub(crate) labels: &'e [String; 2],
    /// How numbers are shortened.
    pub(crate) precision: Precision,
    /// Whether symbols outside ASCII may be used.
    pub(crate) unicode: bool,
}

impl Everything<'_> {
    fn arrow(&self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    fn none(&self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }
}

/// Writes everything that differs, a line each, in groups.
pub(crate) fn everything(all: &Everything<'_>) -> String {
    let mut text = String::new();
    for (label, row) in all.labels.iter().zip([&all.pair.old, &all.pair.new]) {
        if let Err(problem) = row {
            text.push_str(&format!(" ! {label} cannot be read: {}\n", problem.message));
        }
    }
    text.push_str(&group("metrics", &values(all, all.metrics, Judged::Yes)));
    text.push_str(&group("params", &values(all, all.params, Judged::No)));
    let code = all.code.iter().map(|file| match file.lines {
        Some((added, removed)) => {
            let minus = if all.unicode { "−" } else { "-" };
            vec![file.path.clone(), format!("+{added} {minus}{removed}")]
        }
        None => vec![file.path.clone(), "binary".to_owned()],
    });
    text.push_str(&group("code", &code.collect::<Vec<_>>()));
    let line = |found: &DataDifference| data_line(all, found);
    text.push_str(&group("data", &all.pair.data().iter().map(line).collect::<Vec<_>>()));
    text.push_str(&group("outputs", &all.pair.outputs().iter().map(line).collect::<Vec<_>>()));
    if let Some(environment) = all.environment {
        let shown = environment.iter().take(MOST_PARTS).map(|found| {
            let side = |side: Option<&String>| {
                environment::side(found, side).unwrap_or_else(|| all.none().to_owned())
            };
            let (old, new) = (side(found.old.as_ref()), side(found.new.as_ref()));
            vec![environment::part(&found.part), format!("{old} {} {new}", all.arrow())]
        });
        let mut lines: Vec<Vec<String>> = shown.collect();
        let more = environment.len().saturating_sub(MOST_PARTS);
        if more > 0 {
            lines.push(vec![format!("and {more} more: --json")]);
        }
        text.push_str(&group("env", &lines));
    }
    text
}

/// Writes a group: its name, then its lines, cells below each other; `same` when there are none.
fn group(name: &str, lines: &[Vec<String>]) -> String {
    if lines.is_empty() {
        return format!(" {name:<9} same\n");
    }
    let n_cells = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_cells)
        .map(|at| {
            lines
                .iter()
                .filter_map(|line| line.get(at))
                .map(|cell| table::columns(cell))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let mut row = format!(" {:<9}", if index == 0 { name } else { "" });
        for (cell, width) in line.iter().zip(&widths) {
            row.push_str(&format!(" {cell}{} ", " ".repeat(width - table::columns(cell))));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    Yes,
    No,
}

fn values(all: &Everything<'_>, files: &[FileDifference], judged: Judged) -> Vec<Vec<String>> {
    let n_files = files.len();
    let mut lines = Vec::new();
    for file in files {
        for change in &file.changes {
            let precision = if judged == Judged::Yes { all.precision } else { Precision::Full };
            let cell = |value: &Option<Value>| match value {
                None | Some(Value::Null) => all.none().to_owned(),
                Some(value) => python_cell(value, precision).replace('\n', " "),
            };
            let name = if n_files > 1 {
                format!("{}:{}", file.file, change.key)
            } else {
                change.key.clone()
            };
            let mut line =
                vec![name, format!("{} {} {}", cell(&change.old), all.arrow(), cell(&change.new))];
            if let (Judged::Yes, Some(delta)) = (judged, &change.delta) {
                let shown = python_cell(delta, all.precision);
                line.push(judgement(&change.key, delta, &shown, all.unicode));
            }
            lines.push(line);
        }
    }
    lines
}

fn data_line(all: &Everything<'_>, found: &DataDifference) -> Vec<String> {
    let side = |artifact: Option<Artifact>| match artifact {
        None => all.none().to_owned(),
        Some(artifact) => {
            let id: String = artifact.id.to_string().chars().take(7).collect();
            match (artifact.size, artifact.n_files) {
                (Some(bytes), Some(files)) => format!("{} in {files} files ({id})", size(bytes)),
                (Some(bytes), None) => format!("{} ({id})", size(bytes)),
                (None, _) => id,
            }
        }
    };
    vec![found.path.to_string(), format!("{} {} {}", side(found.old), all.arrow(), side(found.new))]
}

/// Writes everything that differs as JSON.
pub(crate) fn everything_json(all: &Everything<'_>) -> Value {
    let number = |number: Option<u64>| number.map_or(Value::Null, Value::from);
    let artifact = |artifact: Option<Artifact>| match artifact {
        None => Value::Null,
        Some(found) => object([
            ("hash", Value::from(found.id.to_string())),
            ("size", number(found.size)),
            ("nfiles", number(found.n_files)),
        ]),
    };
    let data = |list: Vec<DataDifference>| {
        let members = list.into_iter().map(|found| {
            (
                found.path.to_string(),
                object([("old", artifact(found.old)), ("new", artifact(found.new))]),
            )
        });
        Value::Table(members.collect())
    };
    let code = all.code.iter().map(|file| {
        let (added, removed) = file.lines.unzip();
        (file.path.clone(), object([("added", number(added)), ("removed", number(removed))]))
    });
    object([
        ("metrics", json(all.metrics)),
        ("params", json(all.params)),
        ("code", Value::Table(code.collect())),
        ("data", data(all.pair.data())),
        ("outs", data(all.pair.outputs())),
        ("environment", all.environment.map_or(Value::Null, environment_json)),
    ])
}

/// Returns what differs by its name; packages and lock files, whose names are anybody's, by kind first.
fn environment_json(found: &[EnvironmentDifference]) -> Value {
    let (mut all, mut packages, mut files) = (Table::new(), Table::new(), Table::new());
    for found in found {
        let side = |side: &Option<String>| side.as_deref().map_or(Value::Null, Value::from);
        let sides = object([("old", side(&found.old)), ("new", side(&found.new))]);
        match &found.part {
            EnvironmentPart::Package(name) => packages.insert(name.clone(), sides),
            EnvironmentPart::LockFile(path) => files.insert(path.clone(), sides),
            EnvironmentPart::Packages => all.insert("installed".to_owned(), sides),
            part => all.insert(environment::part(part), sides),
        };
    }
    all.insert("packages".to_owned(), Value::Table(packages));
    all.insert("lock_files".to_owned(), Value::Table(files));
    Value::Table(all)
}

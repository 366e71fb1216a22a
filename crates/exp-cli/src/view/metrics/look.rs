//! Metrics and changes as `exp` shows them: which way is better, by how much, and the best of several revisions.

use std::collections::BTreeMap;

use exp_engine::core::{RelPath, Value};
use exp_engine::params::{Precision, flatten, python_cell};
use exp_engine::{FileDifference, MetricDirection, RowData, direction};

use super::seen_from;
use crate::view::table::{self, Column};

/// How things may look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Columns of the terminal; none for no limit.
    pub(crate) width: usize,
    /// Whether symbols outside ASCII may be used.
    pub(crate) unicode: bool,
    /// How numbers are shortened.
    pub(crate) precision: Precision,
}

impl Look {
    fn none(self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }

    fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    /// Returns a name with the way in which it gets better, where the name tells.
    fn title(self, name: &str) -> String {
        match (direction(name), self.unicode) {
            (Some(MetricDirection::Up), true) => format!("{name} ↑"),
            (Some(MetricDirection::Down), true) => format!("{name} ↓"),
            (Some(MetricDirection::Up), false) => format!("{name} (max)"),
            (Some(MetricDirection::Down), false) => format!("{name} (min)"),
            (None, _) => name.to_owned(),
        }
    }

    fn cell(self, value: &Value) -> String {
        python_cell(value, self.precision).replace('\n', " ")
    }
}

/// Whether changes are of something that gets better or worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// They are: metrics.
    Yes,
    /// They are not: parameters.
    No,
}

/// Writes changes, a line each, below the names of the two sides. Files are named where there are several, unless they are
/// not to be.
pub(crate) fn changes(
    files: &[FileDifference],
    labels: &[String; 2],
    (judged, no_path): (Judged, bool),
    look: Look,
) -> String {
    let names_files = files.len() > 1 && !no_path;
    let mut lines: Vec<[String; 4]> = Vec::new();
    for file in files {
        for change in &file.changes {
            let name = if names_files {
                format!("{}:{}", file.file, change.key)
            } else {
                change.key.clone()
            };
            let name = if judged == Judged::Yes { look.title(&name) } else { name };
            let side = |value: &Option<Value>| match value {
                None | Some(Value::Null) => look.none().to_owned(),
                Some(value) => look.cell(value),
            };
            let delta = change.delta.as_ref().filter(|_| judged == Judged::Yes);
            let delta =
                delta.map(|delta| judgement(&change.key, delta, &look.cell(delta), look.unicode));
            lines.push([name, side(&change.old), side(&change.new), delta.unwrap_or_default()]);
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let width = |at: usize| lines.iter().map(|line| table::columns(&line[at])).max().unwrap_or(0);
    let (name_width, old_width, new_width) = (
        width(0),
        width(1).max(table::columns(&labels[0])),
        width(2).max(table::columns(&labels[1])),
    );
    let pad = |text: &str, width: usize| {
        format!("{text}{}", " ".repeat(width.saturating_sub(table::columns(text))))
    };
    let arrow = look.arrow();
    let row = |cells: [&str; 4]| {
        let [name, old, new, delta] = cells;
        let (name, old, new) = (pad(name, name_width), pad(old, old_width), pad(new, new_width));
        let line = format!(" {name}  {old} {arrow} {new}  {delta}");
        format!("{}\n", line.trim_end())
    };
    let mut text = row(["", &labels[0], &labels[1], ""]);
    for [name, old, new, delta] in &lines {
        text.push_str(&row([name, old, new, delta]));
    }
    text
}

/// Writes by how much a metric got better or worse; `shown` is the number as it is to be shown.
pub(crate) fn judgement(name: &str, delta: &Value, shown: &str, unicode: bool) -> String {
    let number = delta.as_f64().unwrap_or(0.0);
    let sign = if number > 0.0 { "+" } else { "" };
    let mark = match direction(name) {
        Some(MetricDirection::Up) if number > 0.0 => "better",
        Some(MetricDirection::Down) if number < 0.0 => "better",
        Some(_) if number != 0.0 && !number.is_nan() => "worse",
        _ => "",
    };
    let symbol = match (unicode, number) {
        (true, number) if number > 0.0 => "▲ ",
        (true, number) if number < 0.0 => "▼ ",
        _ => "",
    };
    format!("{symbol}{sign}{shown} {mark}").trim_end().to_owned()
}

/// Writes the metrics of revisions: of one a line each, of several a table, in which the best of a metric is marked.
///
/// Returns the text, and the names of columns that did not fit.
pub(crate) fn show(
    revisions: &[(String, RowData)],
    here: &RelPath,
    look: Look,
) -> (String, Vec<String>) {
    let found: Vec<(&str, Metrics<'_>)> =
        (revisions.iter()).map(|(name, row)| (name.as_str(), metrics(row, here))).collect();
    let n_files = {
        let mut files: Vec<&String> =
            found.iter().flat_map(|(_, found)| found.keys()).map(|(file, _)| file).collect();
        files.sort();
        files.dedup();
        files.len()
    };
    let name = |(file, key): &(String, String)| match (n_files > 1, key.is_empty()) {
        (_, true) => file.clone(),
        (true, false) => format!("{file}:{key}"),
        (false, false) => key.clone(),
    };
    if let [(_, only)] = found.as_slice() {
        let names: Vec<String> = only.keys().map(|key| look.title(&name(key))).collect();
        let width = names.iter().map(|name| table::columns(name)).max().unwrap_or(0);
        let lines = names.iter().zip(only.values()).map(|(name, value)| {
            let pad = " ".repeat(width - table::columns(name));
            format!(" {name}{pad}  {}\n", look.cell(value))
        });
        return (lines.collect(), Vec::new());
    }
    let mut keys: Vec<&(String, String)> = Vec::new();
    for key in found.iter().flat_map(|(_, found)| found.keys()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.sort();
    let mut columns = vec![Column {
        title: "revision".to_owned(),
        cells: found.iter().map(|(name, _)| (*name).to_owned()).collect(),
        right: false,
        pinned: true,
    }];
    for key in keys {
        let title = name(key);
        let best = best(&found, key, &title);
        let cells = found.iter().enumerate().map(|(at, (_, found))| match found.get(key) {
            None => look.none().to_owned(),
            Some(value) if best == Some(at) => {
                format!("{} {}", look.cell(value), if look.unicode { "★" } else { "*" })
            }
            Some(value) => look.cell(value),
        });
        let cells = cells.collect();
        columns.push(Column { title: look.title(&title), cells, right: false, pinned: false });
    }
    let fitted = table::fitted(&columns, look.width);
    (fitted.text, fitted.hidden)
}

/// Values by file and name.
type Metrics<'v> = BTreeMap<(String, String), &'v Value>;

fn metrics<'v>(row: &'v RowData, here: &RelPath) -> Metrics<'v> {
    let Ok(data) = row else { return Metrics::new() };
    let files = data.metrics.iter().filter_map(|(path, found)| Some((path, found.value()?)));
    files
        .flat_map(|(path, value)| {
            let path = seen_from(here, path);
            flatten(value).into_iter().map(move |(key, value)| ((path.clone(), key), value))
        })
        .collect()
}

/// Returns which revision has the best value: none where that cannot be told or all have the same.
fn best(found: &[(&str, Metrics<'_>)], key: &(String, String), title: &str) -> Option<usize> {
    let direction = direction(title)?;
    let numbers: Vec<(usize, f64)> = (found.iter().enumerate())
        .filter_map(|(at, (_, found))| Some((at, found.get(key)?.as_f64()?)))
        .filter(|(_, number)| !number.is_nan())
        .collect();
    let (at, best) = *numbers.iter().min_by(|a, b| direction.compare(a.1, b.1))?;
    let is_alone = numbers.len() > 1
        && numbers.iter().any(|(_, number)| direction.compare(*number, best).is_ne());
    is_alone.then_some(at)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exp_engine::core::Table;
    use exp_engine::params::{All, diff};
    use exp_engine::{FileData, RevisionData};

    use super::*;

    const LOOK: Look = Look { width: 60, unicode: true, precision: Precision::Decimals(5) };

    fn table(pairs: &[(&str, f64)]) -> Value {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::Float(*value)));
        Value::Table(pairs.collect::<Table>())
    }

    #[test]
    fn changes_say_what_is_better() {
        let old = table(&[("acc", 0.5), ("loss", 0.25), ("step", 3.0)]);
        let new = table(&[("acc", 0.75), ("loss", 0.5), ("step", 4.0)]);
        let changed = diff(Some(&old), Some(&new), All::No);
        let files = [FileDifference { file: "m.json".into(), changes: changed }];
        let labels = ["HEAD".to_owned(), "workspace".to_owned()];
        assert_eq!(
            changes(&files, &labels, (Judged::Yes, false), LOOK),
            "         HEAD → workspace
 acc ↑   0.5  → 0.75       ▲ +0.25 better
 loss ↓  0.25 → 0.5        ▲ +0.25 worse
 step    3.0  → 4.0        ▲ +1.0
"
        );
        let ascii = Look { unicode: false, ..LOOK };
        assert_eq!(
            changes(&files[..1], &labels, (Judged::No, false), ascii),
            "       HEAD -> workspace
 acc   0.5  -> 0.75
 loss  0.25 -> 0.5
 step  3.0  -> 4.0
"
        );
        assert_eq!(changes(&[], &labels, (Judged::Yes, false), LOOK), "");
    }

    #[test]
    fn the_best_of_several_revisions_is_marked() {
        let row = |pairs: &[(&str, f64)]| -> RowData {
            let value = FileData::Value(Arc::new(table(pairs)));
            let metrics = vec![("m.json".into(), value)];
            Ok(Arc::new(RevisionData { metrics, ..RevisionData::default() }))
        };
        let rows = [
            ("workspace".to_owned(), row(&[("acc", 0.5), ("loss", 0.25), ("same_loss", 1.0)])),
            ("main".to_owned(), row(&[("acc", f64::NAN), ("loss", 0.5), ("same_loss", 1.0)])),
            ("other".to_owned(), row(&[("acc", 0.75)])),
        ];
        let (text, hidden) = show(&rows, &RelPath::root(), LOOK);
        assert_eq!(
            text,
            "revision   acc ↑   loss ↓  same_loss ↓
workspace  0.5     0.25 ★  1.0
main       nan     0.5     1.0
other      0.75 ★  –       –
"
        );
        assert!(hidden.is_empty());
        let (text, _) = show(&rows[..1], &RelPath::root(), LOOK);
        assert_eq!(text, " acc ↑        0.5\n loss ↓       0.25\n same_loss ↓  1.0\n");
    }
}

//! Rows of a table: a header, then lines of fields.

use exp_core::MetricPoint;

use super::{dotted, is_step, is_time, step_column, whole};

/// More columns than these are not read.
const MOST_COLUMNS: usize = 1_000;

/// What is known of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The column that counts the steps, if somebody said so.
    pub(super) step: Option<String>,
    /// What the single metric of the table is called.
    pub(super) stem: Option<String>,
    header: Option<Header>,
    n_rows: i64,
}

#[derive(Debug, Clone)]
struct Header {
    /// The name of the metric of each column; `None` for those that are none.
    names: Vec<Option<String>>,
    step: Option<usize>,
}

impl Table {
    /// Takes a line: the header, or a row. A line in which nothing is a number is another header, as is written by a
    /// program that begins anew at the end of the file.
    pub(super) fn line(&mut self, text: &str, separator: char, points: &mut Vec<MetricPoint>) {
        if text.trim().is_empty() {
            return;
        }
        let cells = fields(text, separator);
        let has_number = cells.iter().any(|cell| number(cell).is_some());
        let header = match self.header.take() {
            Some(header) if has_number || cells.iter().all(String::is_empty) => header,
            None if has_number => {
                let names: Vec<String> = (0..cells.len()).map(|at| at.to_string()).collect();
                self.header_of(&names)
            }
            _ => {
                self.header = Some(self.header_of(&cells));
                self.n_rows = 0;
                return;
            }
        };
        let step = header.step.and_then(|at| number(cells.get(at)?)).and_then(whole);
        let step = step.unwrap_or(self.n_rows);
        self.n_rows += 1;
        for (name, cell) in header.names.iter().zip(&cells) {
            if let (Some(name), Some(value)) = (name, number(cell)) {
                points.push(MetricPoint { name: name.clone(), step: Some(step), value });
            }
        }
        // One that has fewer columns than the row stays: the row is what changed.
        if self.header.is_none() {
            self.header = Some(header);
        }
    }

    fn header_of(&self, columns: &[String]) -> Header {
        let step = step_column(&columns.iter().map(String::as_str), self.step.as_deref());
        let counts = |at: usize, name: &str| {
            Some(at) != step && !name.is_empty() && !is_step(name) && !is_time(name)
        };
        let n_found = columns.iter().enumerate().filter(|(at, name)| counts(*at, name)).count();
        let title = |name: &str| match &self.stem {
            Some(path) if n_found == 1 && path.rsplit('/').next() == Some(name) => dotted(path),
            _ => dotted(name),
        };
        let kept = columns.iter().enumerate().take(MOST_COLUMNS);
        let kept = kept.map(|(at, name)| counts(at, name).then(|| title(name)));
        Header { names: kept.collect(), step }
    }
}

/// Takes a line apart; between double quotes the separator is text.
fn fields(line: &str, separator: char) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        let Some(last) = fields.last_mut() else { break };
        match character {
            '"' if is_quoted && rest.peek() == Some(&'"') => {
                rest.next();
                last.push('"');
            }
            '"' => is_quoted = !is_quoted,
            character if character == separator && !is_quoted => fields.push(String::new()),
            character => last.push(character),
        }
    }
    for field in &mut fields {
        let trimmed = field.trim();
        if trimmed.len() < field.len() {
            *field = trimmed.to_owned();
        }
    }
    fields
}

/// Returns the number in a cell; NaN and the infinities in any spelling are numbers.
fn number(cell: &str) -> Option<f64> {
    cell.parse().ok()
}

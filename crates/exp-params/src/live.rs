//! Metrics while they are written: bytes in as they come, points out.
//!
//! A [`LiveReader`] is fed with what was appended to one file or stream and keeps what is not whole yet. It never fails for
//! a line: one that is no line of its kind has no points. Only what is not of its kind at all is an error.

mod board;
mod event;
mod table;
mod word;

use exp_core::{MetricPoint, Value};

pub use board::{LiveBoard, LiveSeries};

use crate::format::{Format, parse};
use crate::{json, metrics::each_leaf};

/// A longer line is no line of a table or of standard output.
const LONGEST_LINE: usize = 1 << 16;

/// Names of columns that count steps, the finest first.
const STEPS: [&str; 6] = ["step", "global_step", "iteration", "iter", "batch", "epoch"];

/// Names of columns that tell a time and not a value.
const TIMES: [&str; 5] = ["timestamp", "time", "wall_time", "datetime", "date"];

/// How a file or stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LiveFormat {
    /// A table with a header, whose fields this character separates.
    Table(char),
    /// A JSON map in each line.
    JsonLines,
    /// Words `key=value` in lines of standard output.
    Words,
    /// The log of a stage: as [`LiveFormat::Words`], without the lines `> command`.
    Log,
    /// Records of TensorBoard.
    Events,
}

impl LiveFormat {
    /// Returns how a file is written that is appended to, by its name; `None` for any other.
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        if name.contains(".tfevents.") {
            return Some(Self::Events);
        }
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "tsv" => Some(Self::Table('\t')),
            "csv" => Some(Self::Table(',')),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// Why nothing more is read of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// A text with a NUL byte, or not in UTF-8.
    #[error("is not text")]
    NotText,
    /// A record of TensorBoard whose checksum is wrong.
    #[error("a record of it is damaged")]
    Damaged,
    /// A record of TensorBoard that is too large to be one.
    #[error("a record of it is too large")]
    Large,
}

/// Reads what is appended to one file or stream.
#[derive(Debug, Clone)]
pub struct LiveReader {
    format: LiveFormat,
    /// What came and is not whole.
    rest: Vec<u8>,
    /// Whether the line that is being read is longer than any.
    skips: bool,
    table: table::Table,
    /// How many maps without a step there were.
    n_rows: i64,
    error: Option<LiveError>,
}

impl LiveReader {
    /// Reads something written so.
    pub fn new(format: LiveFormat) -> Self {
        let (rest, table) = (Vec::new(), table::Table::default());
        Self { format, rest, skips: false, table, n_rows: 0, error: None }
    }

    /// Says which column counts the steps, and what the single metric of a table is called whose column is named like the
    /// last part of it: `train/acc` for `train/acc.tsv`.
    #[must_use]
    pub fn named(mut self, counter: Option<&str>, stem: Option<&str>) -> Self {
        self.table.step = counter.map(str::to_owned);
        self.table.stem = stem.map(str::to_owned);
        self
    }

    /// Takes what was appended.
    ///
    /// # Errors
    ///
    /// When it is not of its kind at all; from then on always.
    pub fn feed(&mut self, bytes: &[u8], points: &mut Vec<MetricPoint>) -> Result<(), LiveError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let done = if self.format == LiveFormat::Events {
            self.rest.extend_from_slice(bytes);
            event::take(&mut self.rest, points)
        } else {
            self.lines(bytes, points)
        };
        self.error = done.err();
        done
    }

    /// Takes the last line, whose end nobody wrote.
    pub fn finish(&mut self, points: &mut Vec<MetricPoint>) {
        let last = std::mem::take(&mut self.rest);
        if self.error.is_none() && self.format != LiveFormat::Events && !self.skips {
            self.error = self.line(&last, points).err();
        }
    }

    /// Forgets the line that is not whole: it began before what is fed next.
    pub fn interrupt(&mut self) {
        self.rest.clear();
        self.skips = self.format != LiveFormat::Events;
    }

    fn lines(&mut self, bytes: &[u8], points: &mut Vec<MetricPoint>) -> Result<(), LiveError> {
        // Programs go back to the beginning of a line to write it once more.
        let is_output = matches!(self.format, LiveFormat::Words | LiveFormat::Log);
        let ends = |byte: &u8| *byte == b'\n' || (is_output && *byte == b'\r');
        for piece in bytes.split_inclusive(ends) {
            let is_whole = piece.last().is_some_and(ends);
            if !self.skips {
                self.rest.extend_from_slice(piece);
                self.skips = self.rest.len() > LONGEST_LINE;
            }
            if self.skips {
                self.rest.clear();
                self.skips = !is_whole;
            } else if is_whole {
                let line = std::mem::take(&mut self.rest);
                self.line(&line, points)?;
                self.rest = line;
                self.rest.clear();
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], points: &mut Vec<MetricPoint>) -> Result<(), LiveError> {
        if matches!(self.format, LiveFormat::Words | LiveFormat::Log) {
            // What a program writes may be anything; whatever is no word is passed over.
            let is_command = self.format == LiveFormat::Log && line.starts_with(b"> ");
            if !is_command && line.contains(&b'=') {
                word::words(&String::from_utf8_lossy(line), points);
            }
            return Ok(());
        }
        if line.contains(&0) {
            return Err(LiveError::NotText);
        }
        let text = std::str::from_utf8(line).map_err(|_| LiveError::NotText)?;
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
        match self.format {
            LiveFormat::Table(separator) => self.table.line(text, separator, points),
            _ => self.json(text, points),
        }
        Ok(())
    }

    /// Takes a map; a line that is none has no points.
    fn json(&mut self, text: &str, points: &mut Vec<MetricPoint>) {
        let Ok(node) = json::parse(text) else { return };
        let value = node.to_value();
        if value.as_table().is_none() {
            return;
        }
        let rows = self.n_rows;
        self.n_rows += 1;
        let before = points.len();
        values(&value, self.table.step.as_deref(), points);
        for point in &mut points[before..] {
            point.step.get_or_insert(rows);
        }
    }
}

/// Returns what a document that is always written as a whole says, such as the `metrics.json` of `DVCLive`: its numbers, with the
/// step beside them if there is one.
///
/// A text that is not of its format, because it is being written, says nothing: `None`.
pub fn live_document(path: &str, text: &str) -> Option<Vec<MetricPoint>> {
    let value = parse(Format::of(path), text).ok()?;
    let mut points = Vec::new();
    values(&value, None, &mut points);
    Some(points)
}

/// Hands out the numbers of a map by their dotted names, with its step.
fn values(value: &Value, step: Option<&str>, points: &mut Vec<MetricPoint>) {
    let mut leaves: Vec<(String, f64)> = Vec::new();
    each_leaf(value, &mut |name, value| {
        let number = match value {
            // Python's writers have no number for them.
            Value::Text(text) => match text.as_str() {
                "nan" | "NaN" => Some(f64::NAN),
                "inf" | "Infinity" => Some(f64::INFINITY),
                "-inf" | "-Infinity" => Some(f64::NEG_INFINITY),
                _ => None,
            },
            value => value.as_f64(),
        };
        leaves.extend(number.map(|number| (dotted(name), number)));
    });
    let names = leaves.iter().map(|(name, _)| name.as_str());
    let at = step_column(&names, step).map(|at| leaves[at].1).and_then(whole);
    for (name, value) in leaves {
        if !is_step(&name) && Some(name.as_str()) != step && !is_time(&name) {
            points.push(MetricPoint { name, step: at, value });
        }
    }
}

/// Finds the column that counts the steps: the one that was named, or the finest by its name.
fn step_column<'n>(
    columns: &(impl Iterator<Item = &'n str> + Clone),
    wanted: Option<&str>,
) -> Option<usize> {
    let find = |wanted: &str| columns.clone().position(|name| name.eq_ignore_ascii_case(wanted));
    wanted.and_then(find).or_else(|| STEPS.iter().copied().find_map(find))
}

fn is_step(name: &str) -> bool {
    STEPS.iter().any(|step| name.eq_ignore_ascii_case(step))
}

fn is_time(name: &str) -> bool {
    TIMES.iter().any(|time| name.eq_ignore_ascii_case(time))
}

/// Returns the name of the column that tables have for a metric.
fn dotted(name: &str) -> String {
    name.trim_matches('/').replace('/', ".")
}

/// Returns a number of steps.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9e15).then_some(number as i64)
}

#[cfg(test)]
mod tests;

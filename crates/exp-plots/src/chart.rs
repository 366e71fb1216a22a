//! Charts of characters: lines, points, bars and counts for a terminal, an editor or a mail.
//!
//! Rows are made of pieces that say which line of the chart they belong to, so that whoever prints them can use colours.
//! Without colours several lines are told apart by their marks, which the legend repeats.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::frame::Frame;
use crate::plot::PointsPlot;

mod canvas;
pub(crate) mod grid;

/// How a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChartOptions {
    /// Columns that a row may take.
    pub width: usize,
    /// Rows of the drawing itself.
    pub height: usize,
    /// Whether characters beyond ASCII may be used.
    pub unicode: bool,
}

/// A piece of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What is printed.
    pub text: String,
    /// The number of the line that it belongs to; `None` for axes and words.
    pub line: Option<usize>,
}

/// A chart, drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chart {
    /// The rows from the top.
    pub rows: Vec<Vec<Piece>>,
    /// Values that are no numbers and could not be drawn.
    pub n_skipped: usize,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Marks of the first lines; the others begin again.
const MARKS: [&str; 7] = ["●", "▲", "■", "◆", "○", "△", "□"];
const ASCII_MARKS: [&str; 7] = ["*", "o", "+", "x", "#", "@", "%"];

impl ChartOptions {
    /// Returns the mark of a line.
    fn mark(self, line: usize) -> &'static str {
        let marks = if self.unicode { &MARKS } else { &ASCII_MARKS };
        marks[line % marks.len()]
    }
}

impl Piece {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), line: None }
    }
}

/// Draws a plot as its template would: lines, points for `scatter`, bars for `bar_horizontal`, counts for `confusion`.
///
/// A plot without anything to draw has no rows.
pub fn chart(plot: &PointsPlot, options: ChartOptions) -> Chart {
    let template = plot.filled.template.as_deref().unwrap_or_default();
    if template.starts_with("confusion") {
        return grid::counts(plot, options);
    }
    if template.starts_with("bar_horizontal") {
        return grid::bars(plot, template.ends_with("sorted"), options);
    }
    let style =
        if template.starts_with("scatter") { canvas::Style::Points } else { canvas::Style::Lines };
    let (lines, n_skipped) = lines(plot);
    Chart { rows: canvas::draw(&lines, plot, style, options), n_skipped }
}

/// Returns the lines of a plot, one for each series of each revision, and how many values are no numbers.
///
/// Where the horizontal axis has no number at all, rows are counted.
pub(crate) fn lines(plot: &PointsPlot) -> (Vec<Line>, usize) {
    let mut n_skipped = 0;
    let lines = plot.points.iter().map(|frame| {
        let x = plot.filled.x.as_deref().and_then(|name| frame.column(name));
        let y = plot.filled.y.as_deref().and_then(|name| frame.column(name));
        let x = x.filter(|x| (0..frame.n_rows()).any(|row| x.number(row).is_some()));
        let mut points = Vec::with_capacity(frame.n_rows());
        for row in 0..frame.n_rows() {
            #[expect(clippy::cast_precision_loss, reason = "rows are counted, not measured")]
            let at = x.map_or(Some(row as f64), |x| x.number(row));
            match (at, y.and_then(|y| y.number(row))) {
                (Some(x), Some(y)) if x.is_finite() && y.is_finite() => points.push((x, y)),
                _ => {
                    n_skipped += 1;
                    points.push((f64::NAN, f64::NAN));
                }
            }
        }
        Line { label: label(plot, frame), points }
    });
    (lines.collect(), n_skipped)
}

/// Names a line by its revision, and by its series where there are several.
pub(crate) fn label(plot: &PointsPlot, frame: &Frame) -> String {
    let text = |name: &str| frame.column(name).map(|column| column.text(0)).unwrap_or_default();
    let (rev, file, field) = (text("rev"), text("filename"), text("field"));
    let differs = |of: fn(&(String, String)) -> &String| {
        plot.filled.series.iter().any(|one| of(one) != of(&plot.filled.series[0]))
    };
    let mut parts = vec![rev];
    if differs(|(file, _)| file) {
        parts.push(file);
    }
    if differs(|(_, field)| field) {
        parts.push(field);
    }
    parts.join(" ")
}

/// Returns how many columns of a terminal a text takes.
fn columns(text: &str) -> usize {
    text.width()
}

/// Cuts a text to so many columns and leaves out characters that a terminal would obey.
fn cut(text: &str, width: usize) -> String {
    let mut left = width;
    let mut fits = |c: &char| {
        let needs = c.width().unwrap_or(0);
        let fits = needs <= left;
        left = left.saturating_sub(needs);
        fits
    };
    text.chars().filter(|c| !c.is_control()).take_while(|c| fits(c)).collect()
}

/// Returns the blanks that fill a text up to so many columns.
fn blanks(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(columns(text)))
}

/// Writes a number in a few characters: `0.1234`, `12`, `1.5e6`.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{number:.3e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        return format!("{digits}e{exponent}");
    }
    // Four digits that count.
    let decimals = if size >= 1000.0 {
        0
    } else if size >= 100.0 {
        1
    } else if size >= 10.0 {
        2
    } else if size >= 1.0 {
        3
    } else {
        4
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests;

//! Bars, and tables of counts.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::{Chart, ChartOptions, Piece, blanks, columns, cut, label, short};
use crate::frame::Frame;
use crate::plot::PointsPlot;

/// More rows than this are left out, and told.
const MAX_BARS: usize = 40;

/// A bar: what it is of, the number of its line, how long it is.
pub(crate) type Bar = (String, usize, f64);

/// How often each pair of values stands in a row of a frame: across and down.
pub(crate) type Counts = IndexMap<(String, String), usize>;

/// Returns a bar for each row, and how many rows have no number: the horizontal axis is how long, the vertical one what it
/// is of.
pub(crate) fn bars_of(plot: &PointsPlot, sorted: bool) -> (Vec<Bar>, usize) {
    let mut bars: Vec<Bar> = Vec::new();
    let mut n_skipped = 0;
    for (number, frame) in plot.points.iter().enumerate() {
        let column = |name: &Option<String>| name.as_deref().and_then(|name| frame.column(name));
        let (Some(x), Some(y)) = (column(&plot.filled.x), column(&plot.filled.y)) else { continue };
        for row in 0..frame.n_rows() {
            match x.number(row).filter(|number| number.is_finite()) {
                Some(length) => bars.push((plain(&y.text(row)), number, length)),
                None => n_skipped += 1,
            }
        }
    }
    if sorted {
        bars.sort_by(|a, b| b.2.total_cmp(&a.2));
    }
    (bars, n_skipped)
}

/// Draws a bar for each row.
pub(super) fn bars(plot: &PointsPlot, sorted: bool, options: ChartOptions) -> Chart {
    let (mut bars, n_skipped) = bars_of(plot, sorted);
    let n_more = bars.len().saturating_sub(MAX_BARS);
    bars.truncate(MAX_BARS);
    let longest = bars.iter().map(|(_, _, length)| length.abs()).fold(0.0, f64::max);
    let names: Vec<String> = bars.iter().map(|(name, ..)| cut(name, options.width / 3)).collect();
    let margin = names.iter().map(|name| columns(name)).max().unwrap_or(0);
    let numbers: Vec<String> = bars.iter().map(|(_, _, length)| short(*length)).collect();
    let widest = numbers.iter().map(String::len).max().unwrap_or(0);
    let room = options.width.saturating_sub(margin + widest + 5).max(4);
    let (edge, block) = if options.unicode { ("│", "█") } else { ("|", "=") };
    let mut rows: Vec<Vec<Piece>> = Vec::new();
    for ((name, number), (_, line, length)) in names.iter().zip(&numbers).zip(&bars) {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "columns of a screen; the share is between 0 and 1"
        )]
        let n =
            if longest > 0.0 { (length.abs() / longest * room as f64).round() as usize } else { 0 };
        let pad = blanks(name, margin);
        rows.push(vec![
            Piece::plain(format!("{name}{pad} {edge}")),
            Piece { text: options.mark(*line).to_owned(), line: Some(*line) },
            Piece { text: block.repeat(n), line: Some(*line) },
            Piece::plain(format!(" {number}")),
        ]);
    }
    if n_more > 0 {
        rows.push(vec![Piece::plain(format!("{:margin$} … {n_more} more", ""))]);
    }
    if plot.points.len() > 1 && !rows.is_empty() {
        for (number, frame) in plot.points.iter().enumerate() {
            let name = plain(&label(plot, frame));
            rows.push(vec![
                Piece { text: options.mark(number).to_owned(), line: Some(number) },
                Piece::plain(format!(" {name}")),
            ]);
        }
    }
    Chart { rows, n_skipped }
}

/// Counts how often each pair of values stands in a row; `None` without both columns.
pub(crate) fn counts_of(plot: &PointsPlot, frame: &Frame) -> Option<Counts> {
    let column = |name: &Option<String>| name.as_deref().and_then(|name| frame.column(name));
    let (x, y) = (column(&plot.filled.x)?, column(&plot.filled.y)?);
    let mut counts = Counts::new();
    for row in 0..frame.n_rows() {
        *counts.entry((plain(&x.text(row)), plain(&y.text(row)))).or_default() += 1;
    }
    Some(counts)
}

/// Returns the different values of one side of pairs, sorted.
pub(crate) fn side(counts: &Counts, of: fn(&(String, String)) -> &String) -> Vec<&String> {
    let mut names: Vec<&String> = counts.keys().map(of).collect();
    names.sort();
    names.dedup();
    names
}

/// Counts how often each pair of values stands in a row: a table for each revision, the vertical axis down.
pub(super) fn counts(plot: &PointsPlot, options: ChartOptions) -> Chart {
    let mut rows = Vec::new();
    for frame in &plot.points {
        let Some(counts) = counts_of(plot, frame) else { continue };
        let (across, down) = (side(&counts, |(x, _)| x), side(&counts, |(_, y)| y));
        rows.push(vec![Piece::plain(label(plot, frame))]);
        let margin =
            down.iter().map(|name| columns(name)).max().unwrap_or(0).min(options.width / 3);
        let widths: Vec<usize> = across
            .iter()
            .map(|name| {
                columns(name).min(12).max(counts.values().max().map_or(1, |n| n.to_string().len()))
            })
            .collect();
        // Columns that fit.
        let mut taken = margin + 2;
        let shown = widths
            .iter()
            .take_while(|width| {
                taken += *width + 2;
                taken <= options.width
            })
            .count();
        let mut head = format!("{:margin$}", "");
        for (name, width) in across.iter().zip(&widths).take(shown) {
            let name = cut(name, *width);
            let _infallible = write!(head, "  {}{name}", blanks(&name, *width));
        }
        rows.push(vec![Piece::plain(head)]);
        for y in &down {
            let name = cut(y, margin);
            let mut line = format!("{name}{}", blanks(&name, margin));
            for (x, width) in across.iter().zip(&widths).take(shown) {
                let n = counts.get(&((*x).clone(), (*y).clone())).copied().unwrap_or(0);
                let _infallible = write!(line, "  {n:>width$}");
            }
            rows.push(vec![Piece::plain(line)]);
        }
        if shown < across.len() {
            let more = across.len() - shown;
            rows.push(vec![Piece::plain(format!("… {more} more columns"))]);
        }
    }
    Chart { rows, n_skipped: 0 }
}

/// Leaves out characters that a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

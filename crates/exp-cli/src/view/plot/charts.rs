//! Plots in the terminal.

use exp_engine::plots::{ChartOptions, ImageType, Plot, PlotImage, PlotKind, PointsPlot, chart};

use crate::view::change::counted;
use crate::view::{size, table};

/// How charts may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Whether characters beyond ASCII may be used.
    pub(crate) unicode: bool,
    /// Whether colours may be used.
    pub(crate) colour: bool,
}

/// Rows of a chart.
const HEIGHT: usize = 12;
/// The colours of lines, as terminals number them.
const COLOURS: [u8; 6] = [35, 36, 33, 32, 34, 31];

/// Draws all plots, one below the other.
pub(crate) fn all(plots: &[Plot], look: Look) -> String {
    let drawn: Vec<String> = plots.iter().map(|plot| one(plot, look)).collect();
    drawn.join("\n")
}

fn one(plot: &Plot, look: Look) -> String {
    match &plot.kind {
        PlotKind::Points(points) => drawn(plot, points, look),
        PlotKind::Images(images) => {
            let lines = images.iter().map(|image| image_line(image, images.len() > 1));
            let lines: Vec<String> = lines.collect();
            match lines.as_slice() {
                [] => format!("{}  no image\n", shown(&plot.name, look)),
                lines => {
                    let lines = lines.iter().map(|line| format!("  {line}\n"));
                    format!("{}\n{}", shown(&plot.name, look), lines.collect::<String>())
                }
            }
        }
    }
}

fn image_line(image: &PlotImage, is_named: bool) -> String {
    let bytes = size(image.bytes.len() as u64);
    let what = match ImageType::of(&image.path, &image.bytes) {
        Some(kind) => format!("{} image, {bytes}", format!("{kind:?}").to_uppercase()),
        None => format!("not an image, {bytes}"),
    };
    if is_named { format!("{}: {what}", plain(&image.rev)) } else { what }
}

fn drawn(plot: &Plot, points: &PointsPlot, look: Look) -> String {
    let title = points.filled.title.as_deref().unwrap_or(&plot.name);
    let mut head = plain(title);
    if title != plot.name {
        head.push_str(&format!("  ({})", plain(&plot.name)));
    }
    if let Some(label) = points.filled.y_label.as_deref() {
        head.push_str(&format!("  {}", plain(label)));
    }
    let mut text = format!("{}\n", shown(&head, look));
    let options = ChartOptions { width: look.width, height: HEIGHT, unicode: look.unicode };
    let chart = chart(points, options);
    if chart.rows.is_empty() {
        text.push_str("  nothing to draw\n");
    }
    for row in &chart.rows {
        let mut line = String::new();
        for piece in row {
            match piece.line.filter(|_| look.colour) {
                Some(number) => {
                    let colour = COLOURS[number % COLOURS.len()];
                    line.push_str(&format!("\u{1b}[{colour}m{}\u{1b}[0m", piece.text));
                }
                None => line.push_str(&piece.text),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if chart.n_skipped > 0 {
        text.push_str(&format!("  {} not drawn: no numbers\n", counted(chart.n_skipped, "point")));
    }
    text
}

/// Cuts a heading to the width.
fn shown(text: &str, look: Look) -> String {
    if table::columns(text) <= look.width { text.to_owned() } else { table::cut(text, look.width) }
}

/// Leaves out characters that a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

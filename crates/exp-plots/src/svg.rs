//! Plots as SVG, for papers: what the template would draw, without a browser.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::chart::grid::{bars_of, counts_of, side};
use crate::chart::{Line, label, lines, short};
use crate::fill::COLORS;
use crate::plot::PointsPlot;

/// How a plot is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SvgOptions {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Default for SvgOptions {
    fn default() -> Self {
        Self { width: 640, height: 420 }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const FONT: &str = "sans-serif";
/// More bars than these are not drawn.
const MOST_BARS: usize = 60;

/// Draws a plot as its template would: lines, points for `scatter`, bars for `bar_horizontal`, counts for `confusion`. Texts
/// of the data are escaped. `None` for a plot without anything to draw.
///
/// What a template of one's own looks like is not known here; such a plot is drawn as lines.
pub fn svg(plot: &PointsPlot, name: &str, options: SvgOptions) -> Option<String> {
    let template = plot.filled.template.as_deref().unwrap_or_default();
    let title = plot.filled.title.as_deref().unwrap_or(name);
    let mut text = String::new();
    let drawn = {
        let size = (options.width.max(160), options.height.max(120));
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let drawing = Drawing { plot, title: plain(title), root };
        if template.starts_with("confusion") {
            drawing.counts()
        } else if template.starts_with("bar_horizontal") {
            drawing.bars(template.ends_with("sorted"))
        } else {
            drawing.lines(template.starts_with("scatter"))
        }
    };
    // Drawing into a text fails for nothing but a plot without points.
    drawn.is_ok_and(|has_points| has_points).then_some(text)
}

struct Drawing<'d> {
    plot: &'d PointsPlot,
    title: String,
    root: Area<'d>,
}

type HasPoints = Result<bool, Box<dyn std::error::Error>>;

impl Drawing<'_> {
    fn lines(&self, is_scatter: bool) -> HasPoints {
        let (lines, _) = lines(self.plot);
        let all = || lines.iter().flat_map(|line| &line.points).filter(|(x, _)| !x.is_nan());
        if all().next().is_none() {
            return Ok(false);
        }
        let xs = range(all().map(|(x, _)| *x), if is_scatter { 0.04 } else { 0.0 });
        let ys = range(all().map(|(_, y)| *y), 0.04);
        self.root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&self.root)
            .caption(&self.title, (FONT, 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(xs.0..xs.1, ys.0..ys.1)?;
        let name = |label: &Option<String>| plain(label.as_deref().unwrap_or_default());
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.1))
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .x_desc(name(&self.plot.filled.x_label))
            .y_desc(name(&self.plot.filled.y_label))
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .draw()?;
        for (at, line) in lines.iter().enumerate() {
            let color = color(at);
            let series = if is_scatter {
                let points = line.points.iter().filter(|(x, _)| !x.is_nan());
                chart.draw_series(
                    points.map(|point| Circle::new(*point, 3, color.mix(0.8).filled())),
                )?
            } else {
                for part in parts(line) {
                    chart.draw_series(LineSeries::new(
                        part.iter().copied(),
                        color.stroke_width(2),
                    ))?;
                }
                // The legend is that of an empty line behind them.
                chart.draw_series(LineSeries::new(
                    std::iter::empty::<(f64, f64)>(),
                    color.stroke_width(2),
                ))?
            };
            series.label(plain(&line.label)).legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(3))
            });
        }
        if lines.len() > 1 {
            chart
                .configure_series_labels()
                .label_font((FONT, 13))
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.2))
                .draw()?;
        }
        self.root.present()?;
        Ok(true)
    }

    fn bars(&self, sorted: bool) -> HasPoints {
        let (mut bars, _) = bars_of(self.plot, sorted);
        bars.truncate(MOST_BARS);
        if bars.is_empty() {
            return Ok(false);
        }
        self.root.fill(&WHITE)?;
        let area = self.root.titled(&self.title, (FONT, 18))?;
        let (width, height) = size(&area);
        let (left, top) = (width / 3, 8);
        let room = f64::from(width - left - 70);
        let longest = bars.iter().map(|(_, _, length)| length.abs()).fold(0.0, f64::max);
        let count = i32::try_from(bars.len()).unwrap_or(1);
        let step = ((height - top - 8) / count).clamp(4, 34);
        for ((name, line, length), at) in bars.iter().zip(0..) {
            let y = top + at * step;
            let part = if longest > 0.0 { length.abs() / longest } else { 0.0 };
            let end = left + pixels(part * room).max(1);
            let bar = [(left, y), (end, y + step - step / 5 - 1)];
            area.draw(&Rectangle::new(bar, color(*line).filled()))?;
            let middle = y + step / 2 - step / 10;
            write(&area, &cut(name, 28), (left - 8, middle), HPos::Right)?;
            write(&area, &short(*length), (end + 6, middle), HPos::Left)?;
        }
        self.root.present()?;
        Ok(true)
    }

    fn counts(&self) -> HasPoints {
        let frames = self.plot.points.iter();
        let tables: Vec<_> = frames
            .filter_map(|frame| Some((label(self.plot, frame), counts_of(self.plot, frame)?)))
            .filter(|(_, counts)| !counts.is_empty())
            .collect();
        if tables.is_empty() {
            return Ok(false);
        }
        self.root.fill(&WHITE)?;
        let root = self.root.titled(&self.title, (FONT, 18))?;
        for (area, (name, counts)) in root.split_evenly((1, tables.len())).iter().zip(&tables) {
            let (across, down) = (side(counts, |(x, _)| x), side(counts, |(_, y)| y));
            let (width, height) = size(area);
            let (left, top) = (width / 4, 44);
            let cells = |room: i32, n: usize| (room / i32::try_from(n).unwrap_or(1)).max(2);
            let cell =
                (cells(width - left - 12, across.len()), cells(height - top - 34, down.len()));
            let most = counts.values().max().copied().unwrap_or(1);
            write(area, name, (left, 14), HPos::Left)?;
            for (y, row) in down.iter().zip(0..) {
                let middle = top + row * cell.1 + cell.1 / 2;
                write(area, &cut(y, 14), (left - 6, middle), HPos::Right)?;
                for (x, column) in across.iter().zip(0..) {
                    let n = counts.get(&((*x).clone(), (*y).clone())).copied().unwrap_or(0);
                    let corner = (left + column * cell.0, top + row * cell.1);
                    let end = (corner.0 + cell.0 - 1, corner.1 + cell.1 - 1);
                    #[expect(clippy::cast_precision_loss, reason = "a shade of a color")]
                    let weight = n as f64 / most as f64;
                    let fill = color(0).mix(0.08 + 0.8 * weight).filled();
                    area.draw(&Rectangle::new([corner, end], fill))?;
                    write(area, &n.to_string(), (corner.0 + cell.0 / 2, middle), HPos::Center)?;
                }
            }
            for (x, column) in across.iter().zip(0..) {
                let at = (left + column * cell.0 + cell.0 / 2, top - 12);
                write(area, &cut(x, 10), at, HPos::Center)?;
            }
        }
        root.present()?;
        Ok(true)
    }
}

/// Writes a text at a place, in the middle of its height.
fn write(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos) -> Drawn {
    let style = TextStyle::from((FONT, 13)).pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(plain(text), at, style))?)
}

fn size(area: &Area<'_>) -> (i32, i32) {
    let (width, height) = area.dim_in_pixel();
    (i32::try_from(width).unwrap_or(640), i32::try_from(height).unwrap_or(420))
}

#[expect(clippy::cast_possible_truncation, reason = "pixels of a drawing")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}

/// Returns the parts of a line between its gaps.
fn parts(line: &Line) -> impl Iterator<Item = &[(f64, f64)]> {
    line.points.split(|(x, _)| x.is_nan()).filter(|part| !part.is_empty())
}

/// Returns the range of values with this share of room around it; one without extent gets some.
fn range(values: impl Iterator<Item = f64>, room: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if high > low {
        let room = (high / 2.0 - low / 2.0) * 2.0 * room;
        let (low, high) = (low - room, high + room);
        // Scales are made of differences, which have to be numbers.
        let most = f64::MAX / 4.0;
        return (low.max(-most), high.min(most));
    }
    let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - room, high + room)
}

/// Returns the color of a line.
fn color(at: usize) -> RGBColor {
    let hex = COLORS[at % COLORS.len()].trim_start_matches('#');
    let part = |from: usize| u8::from_str_radix(&hex[from..from + 2], 16).unwrap_or(0);
    RGBColor(part(0), part(2), part(4))
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Leaves out characters that XML does not have.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definitions, PlotKind, PlotProps, RevisionPlots, parse_table, plots};

    fn plot(template: &str, x: &str, y: &str, title: &str, table: &str) -> PointsPlot {
        let data = parse_table(table, ',', true).expect("a table");
        let text = |text: &str| Some(text.to_owned());
        let props = exp_core::Table::from_iter(
            [("template", template), ("x", x), ("y", y), ("title", title)]
                .map(|(key, value)| (key.to_owned(), exp_core::Value::from(value))),
        );
        let revision = |rev: &str| RevisionPlots {
            rev: text(rev).unwrap_or_default(),
            definitions: Ok(Definitions::from([(
                String::new(),
                [("t.csv".to_owned(), PlotProps::of(&props))].into(),
            )])),
            sources: [("t.csv".to_owned(), Ok(data.clone()))].into(),
        };
        let mut found = plots(&[revision("main"), revision("<b>&\"new\"")]);
        match found.remove(0).kind {
            PlotKind::Points(points) => points,
            PlotKind::Images(_) => panic!("no points"),
        }
    }

    const TABLE: &str = "step,loss,kind,guess\n0,1,<a>,<a>\n1,0.5,b,<a>\n2,,b,b\n3,0.25,b,b\n";

    #[test]
    fn every_kind_of_plot_is_drawn_and_its_texts_are_escaped() {
        for (template, x, y) in [
            ("linear", "step", "loss"),
            ("scatter", "step", "loss"),
            ("bar_horizontal", "step", "kind"),
            ("bar_horizontal_sorted", "step", "kind"),
            ("confusion", "kind", "guess"),
        ] {
            let plot = plot(template, x, y, "</text><script>alert(1)</script>", TABLE);
            let drawn = svg(&plot, "t.csv", SvgOptions::default()).expect("something to draw");
            assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
            assert!(!drawn.contains("<script") && !drawn.contains("<a>") && !drawn.contains("<b>"));
            assert!(drawn.contains("&lt;script&gt;"), "{template}: {drawn}");
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{template}: {drawn}");
        }
    }

    #[test]
    fn a_gap_divides_a_line_and_nothing_draws_nothing() {
        let plot = plot("linear", "step", "loss", "t", TABLE);
        let drawn = svg(&plot, "t.csv", SvgOptions::default()).expect("something to draw");
        // The first part of each revision is a line; the last has one point.
        assert_eq!(drawn.matches("stroke=\"#945DD6\"").count(), 3, "{drawn}");
        assert_eq!(svg(&PointsPlot::default(), "t", SvgOptions::default()), None);
        let wide = self::plot("linear", "step", "loss", "t", "step,loss\n0,-1e308\n1,1e308\n");
        assert!(svg(&wide, "t.csv", SvgOptions { width: 1, height: 1 }).is_some());
    }
}

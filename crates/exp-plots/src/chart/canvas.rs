//! Lines and points on a canvas of braille dots, or of letters where only ASCII may be used.

use super::{ChartOptions, Line, Piece, columns, cut, short};
use crate::plot::PointsPlot;

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// By lines.
    Lines,
    /// Not at all.
    Points,
}

/// Every so many columns a line of several gets its mark.
const MARK_EVERY: usize = 12;

/// Draws lines with axes, ticks and a legend; no rows when there is no point.
pub(super) fn draw(
    lines: &[Line],
    plot: &PointsPlot,
    style: Style,
    options: ChartOptions,
) -> Vec<Vec<Piece>> {
    let all = || lines.iter().flat_map(|line| &line.points).filter(|(x, _)| !x.is_nan());
    if all().next().is_none() {
        return Vec::new();
    }
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    };
    let xs = widened(range(&mut all().map(|(x, _)| *x)));
    let ys = widened(range(&mut all().map(|(_, y)| *y)));
    let height = options.height.max(2);
    let ticks: Vec<Option<String>> = (0..height).map(|row| tick(row, height, ys)).collect();
    let margin = ticks.iter().flatten().map(String::len).max().unwrap_or(0);
    let width = options.width.saturating_sub(margin + 2).max(8);
    let mut canvas = Canvas::new(width, height, options, style);
    for (number, line) in lines.iter().enumerate() {
        canvas.line(number, &line.points, xs, ys);
    }
    if lines.len() > 1 || style == Style::Points {
        canvas.marks(lines.len());
    }
    let (bar, tee, corner, rule) =
        if options.unicode { ("│", "┤", "└", "─") } else { ("|", "+", "+", "-") };
    let mut rows = Vec::new();
    for (tick, cells) in ticks.into_iter().zip(canvas.rows()) {
        let edge = if tick.is_some() { tee } else { bar };
        let tick = tick.unwrap_or_default();
        let mut row = vec![Piece::plain(format!("{tick:>margin$} {edge}"))];
        row.extend(cells);
        rows.push(row);
    }
    rows.push(vec![Piece::plain(format!("{:margin$} {corner}{}", "", rule.repeat(width)))]);
    rows.push(vec![Piece::plain(scale(xs, margin, width, plot.filled.x_label.as_deref()))]);
    if lines.len() > 1 || lines[0].label != "workspace" {
        rows.extend(legend(lines, margin, options));
    }
    rows
}

/// Makes room around a range without extent.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if high > low {
        return (low, high);
    }
    let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - room, high + room)
}

/// Returns the number beside a row, if it has one: the first and the last have, and some between.
fn tick(row: usize, height: usize, (low, high): (f64, f64)) -> Option<String> {
    let last = height - 1;
    let every = if height > 6 { last.div_ceil(3).max(1) } else { last };
    if row != last && !row.is_multiple_of(every) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "rows of a screen")]
    let share = row as f64 / last as f64;
    Some(short(high - share * (high - low)))
}

/// Writes the ends of the horizontal axis and its name between them.
fn scale((low, high): (f64, f64), margin: usize, width: usize, label: Option<&str>) -> String {
    let (low, high) = (short(low), short(high));
    let room = width.saturating_sub(low.len() + high.len());
    let label = cut(label.unwrap_or_default(), room.saturating_sub(2));
    let length = columns(&label);
    let before = (room - length) / 2;
    let after = room - length - before;
    format!("{:margin$}  {low}{:before$}{label}{:after$}{high}", "", "", "")
}

fn legend(lines: &[Line], margin: usize, options: ChartOptions) -> Vec<Vec<Piece>> {
    let indent = " ".repeat(margin + 2);
    let room = options.width.saturating_sub(margin + 2);
    let mut rows: Vec<Vec<Piece>> = Vec::new();
    let mut taken = usize::MAX;
    for (number, line) in lines.iter().enumerate() {
        let name = cut(&line.label, room.max(6) - 2);
        let needs = columns(&name) + 4;
        if taken.saturating_add(needs) > room + 2 {
            rows.push(vec![Piece::plain(indent.clone())]);
            taken = 0;
        }
        taken += needs;
        if let Some(row) = rows.last_mut() {
            row.push(Piece { text: options.mark(number).to_owned(), line: Some(number) });
            row.push(Piece::plain(format!(" {name}  ")));
        }
    }
    for row in &mut rows {
        if let Some(last) = row.last_mut() {
            last.text.truncate(last.text.trim_end().len());
        }
    }
    rows
}

/// Cells of dots. Each belongs to the line that was drawn last there.
struct Canvas {
    width: usize,
    height: usize,
    options: ChartOptions,
    style: Style,
    dots: Vec<u8>,
    owner: Vec<Option<usize>>,
    marks: Vec<bool>,
    /// Where each line is in each column.
    tracks: Vec<Vec<Option<usize>>>,
    /// Where each line ends.
    ends: Vec<Option<(usize, usize)>>,
}

impl Canvas {
    fn new(width: usize, height: usize, options: ChartOptions, style: Style) -> Self {
        let n = width * height;
        Self {
            width,
            height,
            options,
            style,
            dots: vec![0; n],
            owner: vec![None; n],
            marks: vec![false; n],
            tracks: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Dots in a cell: across and down.
    fn dots_of_cell(&self) -> (usize, usize) {
        if self.options.unicode && self.style == Style::Lines { (2, 4) } else { (1, 1) }
    }

    fn line(&mut self, number: usize, points: &[(f64, f64)], xs: (f64, f64), ys: (f64, f64)) {
        self.tracks.push(vec![None; self.width]);
        self.ends.push(None);
        let (across, down) = self.dots_of_cell();
        let (n_x, n_y) = (self.width * across, self.height * down);
        let mut before: Option<(usize, usize)> = None;
        for (x, y) in points {
            if x.is_nan() {
                before = None;
                continue;
            }
            let at = (place(*x, xs, n_x), n_y - 1 - place(*y, ys, n_y));
            match before {
                Some(from) if self.style == Style::Lines => self.join(number, from, at),
                _ => self.dot(number, at),
            }
            before = Some(at);
            self.ends[number] = Some((at.0 / across, at.1 / down));
        }
    }

    /// Draws from one dot to another.
    fn join(&mut self, number: usize, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1));
        for step in 0..=steps {
            let between = |a: usize, b: usize| {
                if steps == 0 {
                    return a;
                }
                let part = a.abs_diff(b) * step + steps / 2;
                if b >= a { a + part / steps } else { a - part / steps }
            };
            self.dot(number, (between(from.0, to.0), between(from.1, to.1)));
        }
    }

    fn dot(&mut self, number: usize, (x, y): (usize, usize)) {
        const BRAILLE: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let (across, down) = self.dots_of_cell();
        let (column, row) = (x / across, y / down);
        let Some(cell) = self.dots.get_mut(row * self.width + column) else { return };
        *cell |= if across == 2 { BRAILLE[x % 2][y % 4] } else { 1 };
        self.owner[row * self.width + column] = Some(number);
        self.tracks[number][column] = Some(row);
    }

    /// Puts marks on the lines: at their ends and, of several, here and there, no two in one column.
    fn marks(&mut self, n_lines: usize) {
        if self.style == Style::Points || !self.options.unicode {
            // Each dot is a mark.
            self.marks.fill(true);
            return;
        }
        for number in 0..n_lines {
            let first = number * MARK_EVERY / n_lines;
            let here = (first..self.width).step_by(MARK_EVERY);
            let places: Vec<(usize, usize)> = here
                .filter_map(|column| Some((column, self.tracks[number][column]?)))
                .chain(self.ends[number])
                .collect();
            for (column, row) in places {
                let at = row * self.width + column;
                self.owner[at] = Some(number);
                self.marks[at] = true;
            }
        }
    }

    fn rows(&self) -> impl Iterator<Item = Vec<Piece>> {
        (0..self.height).map(move |row| {
            let mut pieces: Vec<Piece> = Vec::new();
            for column in 0..self.width {
                let at = row * self.width + column;
                let line = self.owner[at];
                let text = match line {
                    None => " ".to_owned(),
                    Some(number) if self.marks[at] || !self.options.unicode => {
                        self.options.mark(number).to_owned()
                    }
                    Some(_) => {
                        char::from_u32(0x2800 + u32::from(self.dots[at])).unwrap_or(' ').to_string()
                    }
                };
                match pieces.last_mut().filter(|last| last.line == line) {
                    Some(last) => last.text.push_str(&text),
                    None => pieces.push(Piece { text, line }),
                }
            }
            pieces.pop_if(|last| last.line.is_none());
            pieces
        })
    }
}

/// Returns the place of a value among `n`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places of a screen; the share is between 0 and 1"
)]
fn place(value: f64, (low, high): (f64, f64), n: usize) -> usize {
    // Halves first, for ranges that are wider than the largest number.
    let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    ((share.clamp(0.0, 1.0) * (n - 1) as f64).round() as usize).min(n - 1)
}

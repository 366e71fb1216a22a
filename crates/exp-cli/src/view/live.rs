//! Runs while they go on, as lines: how far a stage is, and its metrics with their curves, the best value and what the
//! baseline has.

use std::collections::HashMap;
use std::time::Duration;

use exp_engine::params::{LiveBoard, LiveSeries};
use exp_engine::{MetricDirection, direction};

use super::summary;
use super::table::{columns, cut};
use super::time;

/// What running stages are compared with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    /// What the baseline is called.
    pub(crate) name: String,
    /// Its metrics.
    pub(crate) metrics: Vec<(String, f64)>,
    /// How long stages usually take, by address.
    pub(crate) typical: HashMap<String, Duration>,
}

/// A stage that runs.
#[derive(Debug)]
pub(crate) struct Running<'r> {
    /// What stands in front.
    pub(crate) symbol: &'r str,
    /// Its name, or that of its run.
    pub(crate) name: &'r str,
    /// How long it has run.
    pub(crate) took: Duration,
    /// How long it usually takes.
    pub(crate) typical: Option<Duration>,
    /// What it has written.
    pub(crate) board: &'r LiveBoard,
}

/// How lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns that a line may take.
    pub(crate) width: usize,
    /// Whether characters beyond ASCII may be used.
    pub(crate) unicode: bool,
}

/// Metrics that have a line of their own.
const N_LINES: usize = 5;
/// Names of metrics are not wider than this.
const WIDEST: usize = 20;

impl Reference {
    fn of(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// Draws a stage in one line: its name, a bar if it is known how long it takes, how long it has run, the last step.
pub(crate) fn head(running: &Running<'_>, look: Look) -> String {
    let Running { symbol, name, took, typical, board } = running;
    let mut line = format!(" {symbol} {name:<11}");
    let took_text = whole_seconds(*took);
    if let Some(typical) = typical.filter(|typical| *typical >= Duration::from_secs(1)) {
        let cells = (look.width / 4).clamp(6, 30);
        let share = took.as_secs_f64() / typical.as_secs_f64();
        line.push_str(&format!(" {}", bar(share, cells, look.unicode)));
        let left = typical.saturating_sub(*took);
        let left = if left.is_zero() {
            format!("usually {}", whole_seconds(typical))
        } else {
            format!("ETA {}", whole_seconds(left))
        };
        line.push_str(&format!(" {took_text:>6}  {left}"));
    } else {
        line.push_str(&format!(" {took_text:>6}"));
    }
    if let Some(step) = board.step() {
        let text = format!("  step {step}");
        if columns(&line) + columns(&text) <= look.width {
            line.push_str(&text);
        }
    }
    cut(&line, look.width)
}

/// Draws a line for each of the first metrics, those of the baseline before the others, and says how many there are beside.
pub(crate) fn metrics(board: &LiveBoard, reference: &Reference, look: Look) -> Vec<String> {
    let chosen = chosen(board, reference);
    let widest = chosen.iter().take(N_LINES).map(|(name, _)| columns(name)).max().unwrap_or(0);
    let widest = widest.min(WIDEST).min(look.width / 3);
    let mut lines: Vec<String> = (chosen.iter().take(N_LINES))
        .map(|(name, series)| metric(name, series, widest, reference, look))
        .collect();
    if chosen.len() > N_LINES {
        lines.push(format!("   and {} more metrics", chosen.len() - N_LINES));
    }
    lines
}

/// Draws metrics one behind the other, as many as fit behind `line`.
pub(crate) fn inline(board: &LiveBoard, reference: &Reference, line: &mut String, look: Look) {
    for (name, series) in chosen(board, reference) {
        let curve = spark(&series.means(8), look.unicode);
        let text = format!("  {} {} {curve}", plain(name), number(series.last()));
        if columns(line) + columns(&text) > look.width {
            break;
        }
        line.push_str(&text);
    }
}

/// Returns the metrics in the order in which they are shown.
fn chosen<'b>(board: &'b LiveBoard, reference: &Reference) -> Vec<(&'b str, &'b LiveSeries)> {
    let mut all: Vec<_> = board.series().collect();
    all.sort_by_key(|(name, series)| (reference.of(name).is_none(), series.step().is_none()));
    all
}

fn metric(
    name: &str,
    series: &LiveSeries,
    widest: usize,
    reference: &Reference,
    look: Look,
) -> String {
    let name_text = cut(&plain(name), widest);
    let pad = " ".repeat(widest.saturating_sub(columns(&name_text)));
    let mut line = format!("   {name_text}{pad} {:>10}", number(series.last()));
    let mut add = |text: String| {
        let fits = columns(&line) + columns(&text) <= look.width;
        if fits {
            line.push_str(&text);
        }
        fits
    };
    let cells = if look.width >= 80 { 20 } else { 10 };
    add(format!(" {:<cells$}", spark(&series.means(cells), look.unicode)));
    let direction = direction(name);
    let best = match direction {
        Some(MetricDirection::Up) => series.high().map(|high| format!("  best {}", number(high))),
        Some(MetricDirection::Down) => series.low().map(|low| format!("  best {}", number(low))),
        None => match (series.low(), series.high()) {
            (Some(low), Some(high)) if low < high => {
                Some(format!("  {} to {}", number(low), number(high)))
            }
            _ => None,
        },
    };
    if let Some(best) = best {
        add(best);
    }
    if let Some(was) = reference.of(name) {
        let change = change(series.last() - was, direction);
        let long = format!("  vs {} {change}", reference.name);
        if !change.is_empty() && !add(long) {
            add(format!(
                "  {}",
                change.split_inclusive(' ').take(2).collect::<String>().trim_end()
            ));
        }
    }
    let line = line.trim_end().to_owned();
    if look.unicode { line } else { summary::ascii(&line) }
}

/// Says how far a value is from another one: the direction, how much, and whether that is better.
fn change(difference: f64, direction: Option<MetricDirection>) -> String {
    if difference.is_nan() {
        return String::new();
    }
    if difference == 0.0 {
        return "= the same".to_owned();
    }
    let (arrow, sign) = if difference > 0.0 { ("▲", "+") } else { ("▼", "−") };
    let verdict = match (direction, difference > 0.0) {
        (Some(MetricDirection::Up), true) | (Some(MetricDirection::Down), false) => " better",
        (Some(_), _) => " worse",
        (None, _) => "",
    };
    format!("{arrow} {sign}{}{verdict}", number(difference.abs()))
}

/// Draws how much of something is done; more than all is all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "columns of a screen; the share is between 0 and 1"
)]
fn bar(share: f64, cells: usize, unicode: bool) -> String {
    let n_full = (share.clamp(0.0, 1.0) * cells as f64) as usize;
    let (full, empty) = if unicode { ("█", "░") } else { ("#", ".") };
    format!("{}{}", full.repeat(n_full), empty.repeat(cells - n_full))
}

/// Draws a curve in one line; a blank stands where there is no value.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "one of eight heights; the share is between 0 and 1"
)]
pub(crate) fn spark(means: &[Option<f64>], unicode: bool) -> String {
    const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];
    let heights = if unicode { &UNICODE } else { &ASCII };
    let finite = || means.iter().flatten();
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean| {
        (low.min(*mean), high.max(*mean))
    });
    let height = |mean: f64| {
        if high > low {
            // Halves first, for ranges that are wider than the largest number.
            let share = (mean / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
            heights[((share * 8.0) as usize).min(7)]
        } else {
            heights[3]
        }
    };
    means.iter().map(|mean| mean.map_or(' ', height)).collect()
}

/// Writes a value in a few characters.
fn number(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { summary::number(number) }
}

/// Writes a duration without tenths.
fn whole_seconds(took: Duration) -> String {
    time::duration(took)
        .rsplit_once('.')
        .map_or(time::duration(took), |(whole, _)| format!("{whole}s"))
}

/// Leaves out characters that a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use exp_engine::core::MetricPoint;

    use super::*;

    fn board(points: &[(&str, i64, f64)]) -> LiveBoard {
        let mut board = LiveBoard::default();
        for (name, step, value) in points {
            board.add(&MetricPoint { name: (*name).to_owned(), step: Some(*step), value: *value });
        }
        board
    }

    fn reference() -> Reference {
        let metrics = vec![("acc".to_owned(), 0.5), ("loss".to_owned(), 0.25)];
        Reference { name: "main".to_owned(), metrics, ..Reference::default() }
    }

    #[test]
    fn a_metric_has_its_curve_its_best_and_the_baseline() {
        let points = [
            ("lr", 1, 0.1),
            ("acc", 1, 0.25),
            ("acc", 2, 0.75),
            ("acc", 3, 0.5625),
            ("loss", 3, 0.5),
        ];
        let board = board(&points);
        let wide = Look { width: 100, unicode: true };
        assert_eq!(
            metrics(&board, &reference(), wide),
            [
                "   acc      0.5625 ▁█▆                   best 0.75  vs main ▲ +0.0625 better",
                "   loss        0.5 ▄                     best 0.5  vs main ▲ +0.25 worse",
                "   lr          0.1 ▄",
            ]
        );
        let narrow = Look { width: 52, unicode: false };
        let lines = metrics(&board, &reference(), narrow);
        assert_eq!(lines[0], "   acc      0.5625 _#+         best 0.75  ^ +0.0625");
        assert!(lines.iter().all(|line| columns(line) <= 52 && line.is_ascii()), "{lines:?}");
        let mut line = " * a  3s".to_owned();
        inline(&board, &reference(), &mut line, Look { width: 40, unicode: false });
        assert_eq!(line, " * a  3s  acc 0.5625 _#+  loss 0.5 -");
    }

    #[test]
    fn many_metrics_are_counted() {
        let names: Vec<String> = (0..9).map(|n| format!("m{n}")).collect();
        let points: Vec<(&str, i64, f64)> =
            names.iter().map(|name| (name.as_str(), 1, 1.0)).collect();
        let lines =
            metrics(&board(&points), &Reference::default(), Look { width: 60, unicode: true });
        assert_eq!((lines.len(), lines[5].as_str()), (6, "   and 4 more metrics"));
    }

    #[test]
    fn a_stage_has_a_bar_when_it_ran_before() {
        let board = board(&[("acc", 13, 0.5)]);
        let mut running = Running {
            symbol: "*",
            name: "train",
            took: Duration::from_millis(64_900),
            typical: None,
            board: &board,
        };
        let look = Look { width: 60, unicode: false };
        assert_eq!(head(&running, look), " * train       1m 04s  step 13");
        running.typical = Some(Duration::from_secs(100));
        assert_eq!(head(&running, look), " * train       #########...... 1m 04s  ETA 35s  step 13");
        running.took = Duration::from_secs(200);
        assert_eq!(head(&running, look), " * train       ############### 3m 20s  usually 1m 40s");
        running.typical = Some(Duration::from_millis(10));
        assert_eq!(head(&running, look), " * train       3m 20s  step 13", "no bar for an instant");
        assert!(columns(&head(&running, Look { width: 20, unicode: true })) <= 20);
    }

    #[test]
    fn a_curve_of_any_values_is_drawn() {
        assert_eq!(spark(&[], true), "");
        assert_eq!(spark(&[None, Some(2.0), Some(2.0)], true), " ▄▄");
        assert_eq!(spark(&[Some(f64::MIN), Some(0.0), Some(f64::MAX)], true), "▁▅█");
        assert_eq!(bar(f64::NAN, 4, true), "░░░░");
    }
}

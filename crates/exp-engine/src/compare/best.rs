//! Which value of a metric is the better one.

use std::cmp::Ordering;

use crate::compare::{Cell, ColumnKind, ComparedRow, Comparison, RowPlace};

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricDirection {
    /// Larger is better.
    Up,
    /// Smaller is better.
    Down,
}

/// Words in names of metrics that get better downwards.
const DOWN: &[&str] = &[
    "loss",
    "error",
    "err",
    "rmse",
    "mse",
    "mae",
    "mape",
    "smape",
    "rmsle",
    "msle",
    "perplexity",
    "ppl",
    "wer",
    "cer",
    "fid",
    "kl",
    "nll",
    "brier",
    "logloss",
    "crossentropy",
    "regret",
    "latency",
    "misclassified",
    "eer",
    "ece",
    "fpr",
    "fnr",
    "bpb",
    "bpc",
    "deviance",
    "aic",
    "bic",
];

/// Words in names of metrics that get better upwards.
const UP: &[&str] = &[
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "roc",
    "ap",
    "map",
    "f1",
    "f",
    "fscore",
    "precision",
    "recall",
    "iou",
    "miou",
    "dice",
    "bleu",
    "rouge",
    "meteor",
    "psnr",
    "ssim",
    "r2",
    "score",
    "reward",
    "hits",
    "ndcg",
    "mrr",
    "likelihood",
    "tpr",
    "tnr",
    "sensitivity",
    "specificity",
    "kappa",
    "mcc",
    "jaccard",
    "correct",
    "top1",
    "top5",
    "throughput",
    "gain",
    "lift",
    "prauc",
    "rocauc",
];

/// Guesses from its name which way a metric gets better; `None` when the name does not tell.
///
/// The last part of a dotted name counts most: `train.loss` is a loss. Of words within a part the last known one
/// decides, so that `accuracy_error` is an error.
pub fn direction(name: &str) -> Option<MetricDirection> {
    let key = name.rsplit_once(':').map_or(name, |(_, key)| key);
    key.rsplit('.').find_map(|part| {
        let words = words(part);
        let joined: String = words.concat();
        words.iter().rev().chain([&joined]).find_map(|word| {
            if DOWN.contains(&word.as_str()) {
                Some(MetricDirection::Down)
            } else if UP.contains(&word.as_str()) {
                Some(MetricDirection::Up)
            } else {
                None
            }
        })
    })
}

/// Splits `valLoss_top-1` into `val`, `loss`, `top`, `1`.
fn words(part: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in part.chars() {
        if !c.is_alphanumeric() {
            words.push(String::new());
            was_lower = false;
            continue;
        }
        if c.is_uppercase() && was_lower {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

impl MetricDirection {
    /// Compares two numbers, the better one being less. NaN is worse than everything.
    pub fn compare(self, a: f64, b: f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => match self {
                Self::Up => b.total_cmp(&a),
                Self::Down => a.total_cmp(&b),
            },
        }
    }
}

impl Comparison<'_> {
    /// Returns the metric that experiments are judged by when none is named: the first whose direction its name tells
    /// and of which there is a number; the direction is the second.
    pub fn leading_metric(&self) -> Option<(usize, MetricDirection)> {
        self.columns.iter().enumerate().find_map(|(at, column)| {
            let direction =
                direction(&column.name).filter(|_| column.kind == ColumnKind::Metric)?;
            let has_number = self.rows.iter().any(|row| number(row, at).is_some());
            has_number.then_some((at, direction))
        })
    }
}

/// Returns the rows with a number in a column, the best first; equal ones stay in their order.
///
/// NaN is no number. Which way is better is up to the caller, see [`direction`].
pub fn best(
    comparison: &Comparison<'_>,
    column: usize,
    direction: MetricDirection,
) -> Vec<RowPlace> {
    let mut rows: Vec<(f64, RowPlace)> =
        comparison.rows.iter().filter_map(|row| Some((number(row, column)?, row.place))).collect();
    rows.sort_by(|a, b| direction.compare(a.0, b.0));
    rows.into_iter().map(|(_, place)| place).collect()
}

fn number(row: &ComparedRow<'_>, column: usize) -> Option<f64> {
    match row.cells.get(column)? {
        Cell::Value(value) => value.as_f64().filter(|number| !number.is_nan()),
        Cell::Spread { mean, .. } => Some(*mean).filter(|number| !number.is_nan()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_metric_tells_what_is_better() {
        for (name, expect) in [
            ("acc", Some(MetricDirection::Up)),
            ("loss", Some(MetricDirection::Down)),
            ("train.loss", Some(MetricDirection::Down)),
            ("loss.train", Some(MetricDirection::Down)),
            ("val_accuracy", Some(MetricDirection::Up)),
            ("valLoss", Some(MetricDirection::Down)),
            ("metrics.json:acc", Some(MetricDirection::Up)),
            ("accuracy_error", Some(MetricDirection::Down)),
            ("log_loss", Some(MetricDirection::Down)),
            ("roc_auc", Some(MetricDirection::Up)),
            ("F1", Some(MetricDirection::Up)),
            ("top-1.acc", Some(MetricDirection::Up)),
            ("cross_entropy", Some(MetricDirection::Down)),
            ("epoch", None),
            ("accident", None),
            ("", None),
        ] {
            assert_eq!(direction(name), expect, "{name}");
        }
    }

    #[test]
    fn nan_is_never_the_best() {
        let mut numbers = [f64::NAN, 1.0, f64::INFINITY, -1.0];
        numbers.sort_by(|a, b| MetricDirection::Up.compare(*a, *b));
        assert_eq!(format!("{numbers:?}"), "[inf, 1.0, -1.0, NaN]");
        numbers.sort_by(|a, b| MetricDirection::Down.compare(*a, *b));
        assert_eq!(format!("{numbers:?}"), "[-1.0, 1.0, inf, NaN]");
    }
}

//! Values that a run writes while it goes on.

/// A value of a metric, written by a stage that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    /// The metric, by the name of its column in tables: levels are joined with `.`.
    pub name: String,
    /// The step that it belongs to; `None` when none was told. Steps may go back, when work is done again.
    pub step: Option<i64>,
    /// The value; NaN and the infinities are possible.
    pub value: f64,
}

//! Curves of metrics while they are written, of a size that does not grow.

use exp_core::MetricPoint;
use indexmap::IndexMap;

/// More metrics than these are not kept.
const MOST_SERIES: usize = 1_000;
/// So many spans are kept of a curve; an even number.
const N_SPANS: usize = 64;

/// The curves of one run, in the order in which they began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveBoard {
    series: IndexMap<String, LiveSeries>,
}

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSeries {
    spans: Vec<Span>,
    /// How many points a whole span has.
    stride: u32,
    last: f64,
    step: Option<i64>,
}

/// Some points after each other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    /// The step of the first one.
    from: i64,
    n: u32,
    /// How many of them are finite, and their sum.
    n_finite: u32,
    sum: f64,
    low: f64,
    high: f64,
}

impl LiveBoard {
    /// Adds a point. One whose step is not behind that of the last one before it cuts the curve there.
    pub fn add(&mut self, point: &MetricPoint) {
        if let Some(series) = self.series.get_mut(&point.name) {
            series.add(point);
        } else if self.series.len() < MOST_SERIES {
            let mut series = LiveSeries::new();
            series.add(point);
            self.series.insert(point.name.clone(), series);
        }
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Returns the curves with their names.
    pub fn series(&self) -> impl Iterator<Item = (&str, &LiveSeries)> {
        self.series.iter().map(|(name, series)| (name.as_str(), series))
    }

    /// Returns the largest step of all; `None` when no point had one.
    pub fn step(&self) -> Option<i64> {
        self.series.values().filter_map(|series| series.step).max()
    }
}

impl LiveSeries {
    fn new() -> Self {
        Self { spans: Vec::with_capacity(N_SPANS), stride: 1, last: f64::NAN, step: None }
    }

    fn add(&mut self, point: &MetricPoint) {
        if let (Some(now), Some(last)) = (point.step, self.step)
            && now < last
        {
            self.spans.retain(|span| span.from < now);
        }
        (self.last, self.step) = (point.value, point.step.or(self.step));
        let new = Span::of(point);
        match self.spans.last_mut() {
            Some(span) if span.n < self.stride => span.join(&new),
            _ => self.spans.push(new),
        }
        if self.spans.len() > N_SPANS {
            let pairs = self.spans.chunks(2);
            self.spans = pairs.map(|pair| pair[1..].iter().fold(pair[0], Span::joined)).collect();
            self.stride = self.stride.saturating_mul(2);
        }
    }

    /// Returns the last value.
    pub fn last(&self) -> f64 {
        self.last
    }

    /// Returns the step of the last value; `None` when no step was told.
    pub fn step(&self) -> Option<i64> {
        self.step
    }

    /// Returns the smallest finite value; `None` without one.
    pub fn low(&self) -> Option<f64> {
        let lows = self.spans.iter().map(|span| span.low);
        Some(lows.fold(f64::INFINITY, f64::min)).filter(|low| low.is_finite())
    }

    /// Returns the largest finite value; `None` without one.
    pub fn high(&self) -> Option<f64> {
        let highs = self.spans.iter().map(|span| span.high);
        Some(highs.fold(f64::NEG_INFINITY, f64::max)).filter(|high| high.is_finite())
    }

    /// Returns the curve in at most so many means from the first to the last; `None` stands where nothing was finite.
    pub fn means(&self, most: usize) -> Vec<Option<f64>> {
        let per_mean = self.spans.len().div_ceil(most.max(1)).max(1);
        let chunks = self.spans.chunks(per_mean);
        chunks
            .map(|chunk| {
                let all = chunk[1..].iter().fold(chunk[0], Span::joined);
                (all.n_finite > 0).then(|| all.sum / f64::from(all.n_finite))
            })
            .collect()
    }
}

impl Span {
    fn of(point: &MetricPoint) -> Self {
        let is_finite = point.value.is_finite();
        let (low, high) =
            if is_finite { (point.value, point.value) } else { (f64::INFINITY, f64::NEG_INFINITY) };
        Self {
            from: point.step.unwrap_or(i64::MIN),
            n: 1,
            n_finite: u32::from(is_finite),
            sum: if is_finite { point.value } else { 0.0 },
            low,
            high,
        }
    }

    fn join(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
        self.n_finite = self.n_finite.saturating_add(other.n_finite);
        self.sum += other.sum;
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }

    fn joined(mut self, other: &Self) -> Self {
        self.join(other);
        self
    }
}

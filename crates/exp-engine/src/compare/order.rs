//! The order of experiments: sorted by a column, within their baseline.

use std::cmp::Ordering;

use exp_core::Value;

use crate::compare::{Cell, ColumnKind, CompareError, Comparison, RowPlace};

/// So many similar names are told at most.
const MAX_NEAR: usize = 3;

/// Which way is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The smallest first.
    #[default]
    Ascending,
    /// The largest first.
    Descending,
}

/// By which column experiments are sorted, and which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The name of a metric or parameter, or its key alone if only one column has it.
    pub column: String,
    /// Which way.
    pub order: Order,
    /// Where experiments without a value stand.
    pub blank: Blank,
}

/// Where experiments without a value stand in a sorted table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blank {
    /// Last, whichever way.
    #[default]
    Last,
    /// As if their value were the largest, as in DVC.
    Largest,
}

impl Comparison<'_> {
    /// Sorts the experiments of each baseline; equal ones keep their order. NaN is no value.
    ///
    /// Numbers come before text, and text before lists.
    ///
    /// # Errors
    ///
    /// When there is no such column, or more than one.
    pub fn sort(&mut self, sort: &Sort) -> Result<(), CompareError> {
        let at = self.find(&sort.column)?;
        let mut start = 0;
        while start < self.rows.len() {
            let RowPlace::Experiment(baseline, _) = self.rows[start].place else {
                start += 1;
                continue;
            };
            let of_baseline =
                |place| matches!(place, RowPlace::Experiment(of, _) if of == baseline);
            let n = self.rows[start..].iter().take_while(|row| of_baseline(row.place)).count();
            self.rows[start..start + n].sort_by(|a, b| {
                let (a, b) = (&a.cells[at], &b.cells[at]);
                match (Rank::of(a), Rank::of(b)) {
                    (Rank::None, Rank::None) => Ordering::Equal,
                    (Rank::None, _) if sort.blank == Blank::Last => Ordering::Greater,
                    (_, Rank::None) if sort.blank == Blank::Last => Ordering::Less,
                    (a, b) if sort.order == Order::Ascending => a.compare(&b),
                    (a, b) => b.compare(&a),
                }
            });
            start += n;
        }
        Ok(())
    }

    /// Returns the metric or parameter that a person names: by its whole name, or by its key alone.
    ///
    /// # Errors
    ///
    /// When there is none, or more than one.
    pub fn find(&self, name: &str) -> Result<usize, CompareError> {
        let sortable =
            || self.columns.iter().enumerate().filter(|(_, column)| column.kind != ColumnKind::Dep);
        let by_name = sortable().find(|(_, column)| column.name == name);
        if let Some((at, _)) = by_name {
            return Ok(at);
        }
        let full = |column: &super::Column| format!("{}:{}", column.file, column.key);
        let by_key: Vec<_> =
            sortable().filter(|(_, column)| column.key == name || full(column) == name).collect();
        match by_key.as_slice() {
            [(at, _)] => Ok(*at),
            [] => {
                let names: Vec<&str> = sortable().map(|(_, column)| column.name.as_str()).collect();
                Err(CompareError::UnknownColumn { name: name.to_owned(), near: near(&names, name) })
            }
            many => {
                let mut candidates: Vec<String> =
                    many.iter().map(|(_, column)| column.name.clone()).collect();
                candidates.sort();
                Err(CompareError::AmbiguousColumn { name: name.to_owned(), candidates })
            }
        }
    }
}

/// A cell as it is sorted.
enum Rank<'c> {
    None,
    Number(f64),
    Text(&'c str),
    Other(String),
}

impl<'c> Rank<'c> {
    fn of(cell: &Cell<'c>) -> Self {
        match cell {
            Cell::Value(Value::Float(number)) if number.is_nan() => Self::None,
            Cell::Value(Value::Bool(truth)) => Self::Number(f64::from(u8::from(*truth))),
            Cell::Value(Value::Text(text)) => Self::Text(text),
            Cell::Value(value) => value
                .as_f64()
                .map_or_else(|| Self::Other(exp_params::python_str(value)), Self::Number),
            Cell::Spread { mean, .. } if !mean.is_nan() => Self::Number(*mean),
            Cell::Missing
            | Cell::Error(_)
            | Cell::Artifact(_)
            | Cell::Spread { .. }
            | Cell::Various(_) => Self::None,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Other(a), Self::Other(b)) => a.cmp(b),
            (a, b) => a.kind().cmp(&b.kind()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Other(_) => 2,
            Self::None => 3,
        }
    }
}

/// Returns the names that look most like `name`: equal but for case, containing it, or a few edits away.
fn near(names: &[&str], name: &str) -> Vec<String> {
    let wanted = name.to_lowercase();
    let most = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .iter()
        .filter_map(|known| {
            let lower = known.to_lowercase();
            if lower == wanted {
                return Some((0, *known));
            }
            let last = lower.rsplit(['.', ':']).next().unwrap_or(&lower);
            let edits = exp_core::edit_distance(&lower, &wanted)
                .min(exp_core::edit_distance(last, &wanted));
            let is_part = !wanted.is_empty() && lower.contains(&wanted);
            (edits <= most || is_part).then_some((edits.min(most) + 1, *known))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(MAX_NEAR).map(|(_, name)| name.to_owned()).collect()
}

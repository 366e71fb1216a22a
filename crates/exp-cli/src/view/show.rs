//! A table of revisions: as JSON, CSV and Markdown of DVC, and as our own table.

mod dvc;
mod groups;
mod look;
mod wire;

pub(crate) use dvc::{Plain, csv, markdown, plain_table};
pub(crate) use groups::json as groups_json;
pub(crate) use look::{Look, look};
pub(crate) use wire::{Order as ErrorOrder, WireOptions, error, json};

use exp_engine::core::{Timestamp, Value};
use exp_engine::params::{Precision, python_cell};
use exp_engine::{Cell, Comparison, RowPlace, ShowTable};

/// Writes a cell; `None` for nothing.
pub(crate) fn text(cell: &Cell<'_>, precision: Precision) -> Option<String> {
    match cell {
        Cell::Missing => None,
        Cell::Error(_) => Some("!".to_owned()),
        Cell::Value(value) => Some(python_cell(value, precision)),
        Cell::Artifact(artifact) => Some(artifact.id.to_string()),
        Cell::Spread { mean, deviation, .. } => {
            let number = |number: f64| python_cell(&Value::Float(number), precision);
            Some(match deviation {
                None => number(*mean),
                Some(deviation) => format!("{} ± {}", number(*mean), number(*deviation)),
            })
        }
        Cell::Various(n) => Some(format!("{n} values")),
    }
}

/// Returns when the revision of a row was committed.
fn timestamp(table: &ShowTable, place: RowPlace) -> Option<Timestamp> {
    let row = match place {
        RowPlace::Workspace => return None,
        RowPlace::Baseline(at) => &table.baselines.get(at)?.data,
        RowPlace::Experiment(at, which) => &table.baselines.get(at)?.experiments.get(which)?.data,
    };
    row.as_ref().ok()?.timestamp
}

/// Returns whether the row is the last experiment of its baseline.
fn is_last(comparison: &Comparison<'_>, at: usize) -> bool {
    !matches!(comparison.rows.get(at + 1).map(|row| row.place), Some(RowPlace::Experiment(..)))
}

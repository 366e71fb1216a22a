//! The JSON of `exp show --group`: baselines with their experiments, those of a group as one.

use exp_engine::core::{Table, Value};
use exp_engine::{Cell, Column, ColumnKind, ComparedRow, Comparison, RowPlace, ShowTable};

use crate::view::json::object;

/// Makes the list of baselines.
pub(crate) fn json(table: &ShowTable, comparison: &Comparison<'_>) -> Value {
    let baselines = table.baselines.iter().enumerate().map(|(at, baseline)| {
        let of_baseline = |row: &&ComparedRow<'_>| {
            matches!(row.place, RowPlace::Experiment(baseline, _) if baseline == at)
        };
        let groups = comparison.rows.iter().filter(of_baseline);
        let groups = groups.map(|row| group(table, &comparison.columns, row)).collect();
        object([
            ("rev", Value::from(baseline.rev.to_string())),
            ("name", baseline.name.as_deref().map_or(Value::Null, Value::from)),
            ("groups", Value::List(groups)),
        ])
    });
    Value::List(baselines.collect())
}

fn group(table: &ShowTable, columns: &[Column], row: &ComparedRow<'_>) -> Value {
    let alone = [row.place];
    let members = if row.members.is_empty() { &alone[..] } else { &row.members };
    let experiments = members.iter().filter_map(|place| {
        let RowPlace::Experiment(at, which) = *place else { return None };
        let experiment = table.baselines.get(at)?.experiments.get(which)?;
        Some(object([
            ("name", Value::from(experiment.name.as_str())),
            ("rev", Value::from(experiment.rev.to_string())),
        ]))
    });
    let of_kind = |kind: ColumnKind| {
        let cells = columns.iter().zip(&row.cells).filter(|(column, _)| column.kind == kind);
        Value::Table(cells.map(|(column, cell)| (column.name.clone(), written(cell))).collect())
    };
    object([
        ("n", Value::from(members.len() as u64)),
        ("experiments", Value::List(experiments.collect())),
        ("params", of_kind(ColumnKind::Param)),
        ("metrics", of_kind(ColumnKind::Metric)),
        ("deps", of_kind(ColumnKind::Dep)),
        ("error", row.problem.map_or(Value::Null, |problem| Value::from(problem.message.as_str()))),
    ])
}

/// Writes a cell: a number of several experiments with its deviation and how many have one, different values by their
/// number.
fn written(cell: &Cell<'_>) -> Value {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Error(problem) => object([("error", Value::from(problem.message.as_str()))]),
        Cell::Value(value) => (*value).clone(),
        Cell::Artifact(artifact) => Value::from(artifact.id.to_string()),
        Cell::Spread { mean, deviation, n } => object([
            ("mean", Value::Float(*mean)),
            ("std", deviation.map_or(Value::Null, Value::Float)),
            ("n", Value::from(*n as u64)),
        ]),
        Cell::Various(n) => {
            let members: Table =
                [("various".to_owned(), Value::from(*n as u64))].into_iter().collect();
            Value::Table(members)
        }
    }
}

//! Experiments that are the same but for a parameter, as one row: usually those that differ in their seed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use exp_core::Value;

use crate::compare::{Cell, ColumnKind, CompareError, ComparedRow, Comparison, RowPlace};
use crate::revision::ShowTable;

impl<'t> Comparison<'t> {
    /// Makes one row of all finished experiments of a baseline that differ in these parameters at most.
    ///
    /// They have the same other parameters and the same dependencies; what a stage wrote does not count, since it
    /// follows from the parameters. Their metrics become [`Cell::Spread`]. The row stands where its first experiment
    /// stood; one that is alone stays as it is. `table` is what the comparison was made of.
    ///
    /// # Errors
    ///
    /// When a name is that of no parameter, or of several.
    pub fn group(&mut self, table: &'t ShowTable, by: &[String]) -> Result<(), CompareError> {
        let mut varied = HashSet::new();
        for name in by {
            let at = self.find(name)?;
            if self.columns[at].kind != ColumnKind::Param {
                return Err(CompareError::NoParam { name: name.clone() });
            }
            varied.insert(at);
        }
        let written = written(table);
        let counts: Vec<usize> = (self.columns.iter().enumerate())
            .filter(|(at, column)| match column.kind {
                ColumnKind::Param => !varied.contains(at),
                ColumnKind::Dep => !is_below(&written, &column.file),
                ColumnKind::Metric => false,
            })
            .map(|(at, _)| at)
            .collect();
        let is_finished = |place| match place {
            RowPlace::Experiment(at, which) => (table.baselines.get(at))
                .and_then(|baseline| baseline.experiments.get(which))
                .is_some_and(|row| row.state.is_finished()),
            _ => false,
        };
        let mut places: BTreeMap<(usize, String), usize> = BTreeMap::new();
        let mut groups: Vec<Vec<ComparedRow<'t>>> = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            let key = match row.place {
                RowPlace::Experiment(at, _) if row.problem.is_none() && is_finished(row.place) => {
                    Some((at, key(&row, &counts)))
                }
                _ => None,
            };
            if let Some(group) = key.as_ref().and_then(|key| places.get(key)) {
                groups[*group].push(row);
                continue;
            }
            if let Some(key) = key {
                places.insert(key, groups.len());
            }
            groups.push(vec![row]);
        }
        let kinds: Vec<ColumnKind> = self.columns.iter().map(|column| column.kind).collect();
        self.rows = groups.into_iter().filter_map(|rows| merged(&rows, &kinds)).collect();
        Ok(())
    }
}

/// Returns the paths that stages write.
fn written(table: &ShowTable) -> HashSet<Arc<str>> {
    let mut written = HashSet::new();
    let rows = table.baselines.iter().flat_map(|baseline| {
        std::iter::once(&baseline.data).chain(baseline.experiments.iter().map(|row| &row.data))
    });
    for data in rows.filter_map(|row| row.as_ref().ok()) {
        let outs = data.outs.iter().filter(|(_, out)| !out.is_data_source);
        let paths = outs.map(|(path, _)| path).chain(data.metrics.iter().map(|(path, _)| path));
        for path in paths {
            if !written.contains(path) {
                written.insert(Arc::clone(path));
            }
        }
    }
    written
}

fn is_below(written: &HashSet<Arc<str>>, path: &str) -> bool {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    above.chain([path]).any(|path| written.contains(path))
}

/// Writes what the rows of a group have in common.
fn key(row: &ComparedRow<'_>, counts: &[usize]) -> String {
    let mut key = String::new();
    for at in counts {
        match row.cells[*at] {
            Cell::Value(value) => key.extend([format!("{value:?}")]),
            Cell::Artifact(artifact) => key.push_str(&artifact.id.to_string()),
            Cell::Error(problem) => key.push_str(&problem.message),
            Cell::Missing | Cell::Spread { .. } | Cell::Various(_) => {}
        }
        key.push('\0');
    }
    key
}

fn merged<'t>(rows: &[ComparedRow<'t>], kinds: &[ColumnKind]) -> Option<ComparedRow<'t>> {
    let mut row = rows.first()?.clone();
    if rows.len() > 1 {
        row.members = rows.iter().map(|row| row.place).collect();
        for (at, kind) in kinds.iter().enumerate() {
            let cells: Vec<Cell<'t>> = rows.iter().map(|row| row.cells[at]).collect();
            row.cells[at] = together(&cells, *kind);
        }
    }
    Some(row)
}

/// Makes one cell of those of a group.
fn together<'t>(cells: &[Cell<'t>], kind: ColumnKind) -> Cell<'t> {
    let there: Vec<Cell<'t>> =
        cells.iter().filter(|cell| !matches!(cell, Cell::Missing)).copied().collect();
    let Some(first) = there.first() else { return Cell::Missing };
    let number = |cell: &Cell<'_>| match cell {
        Cell::Value(Value::Bool(_)) => None,
        Cell::Value(value) => value.as_f64(),
        _ => None,
    };
    if kind == ColumnKind::Metric
        && let Some(numbers) = there.iter().map(number).collect::<Option<Vec<f64>>>()
    {
        return spread(&numbers);
    }
    if there.len() == cells.len() && there.iter().all(|cell| cell.is_same(first)) {
        return *first;
    }
    let mut different: Vec<Cell<'t>> = Vec::new();
    for cell in cells {
        if !different.iter().any(|known| known.is_same(cell)) {
            different.push(*cell);
        }
    }
    Cell::Various(different.len())
}

/// Returns the mean of numbers, and how far they lie from it.
fn spread<'t>(numbers: &[f64]) -> Cell<'t> {
    #[expect(clippy::cast_precision_loss, reason = "nobody groups more than 2^53 rows")]
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    let deviation = (numbers.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
    Cell::Spread { mean, deviation, n: numbers.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let told = |numbers: &[f64]| format!("{:?}", spread(numbers));
        assert_eq!(
            told(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]),
            "Spread { mean: 5.0, deviation: Some(2.138089935299395), n: 8 }"
        );
        assert_eq!(told(&[1.0, 1.0]), "Spread { mean: 1.0, deviation: Some(0.0), n: 2 }");
        assert_eq!(told(&[0.5]), "Spread { mean: 0.5, deviation: None, n: 1 }");
        assert_eq!(told(&[0.5, f64::NAN]), "Spread { mean: NaN, deviation: Some(NaN), n: 2 }");
    }
}

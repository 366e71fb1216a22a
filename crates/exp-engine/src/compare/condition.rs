//! Leaving out the rows of a table that do not fulfil a condition.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use exp_core::{Filter, FilterColumn, FilterValue, Value};
use exp_refs::RunEnd;

use crate::compare::{Cell, CompareError, ComparedRow, Comparison, RowPlace};
use crate::revision::{ExperimentState, ShowTable};

/// A column of a condition that the table does not have, or has several of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source}")]
pub struct ConditionError {
    /// Which bytes of the condition name it.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub source: CompareError,
}

/// What a word of a condition means in this table.
enum Asked {
    Column(usize),
    Name,
    State,
    Text,
}

impl ShowTable {
    /// Leaves out what does not fulfil the condition, and counts it in [`ShowTable::left_out`].
    ///
    /// A commit stays as long as one of its experiments does. Beside metrics and parameters there is `name`, which of
    /// the workspace is `workspace`, and `state`: `done`, `failed`, `interrupted` or `died`, of jobs `queued`, `held` or
    /// `running`, which only experiments have. A metric or parameter of that name hides these.
    ///
    /// # Errors
    ///
    /// When a column does not exist, or is not the only one of its name. The table is as it was then.
    pub fn filter(&mut self, filter: &Filter) -> Result<(), ConditionError> {
        let comparison = Comparison::of(self);
        if comparison.rows.is_empty() {
            return Ok(());
        }
        let asked = (filter.columns().iter())
            .map(|column| meaning(&comparison, column))
            .collect::<Result<Vec<Asked>, _>>()?;
        let accepts = |row: &ComparedRow<'_>| {
            filter.accepts(&|at| match asked.get(at) {
                Some(Asked::Column(column)) => match row.cells.get(*column) {
                    Some(Cell::Value(value)) => FilterValue::Value(Cow::Borrowed(*value)),
                    _ => FilterValue::Missing,
                },
                Some(Asked::Name) => {
                    FilterValue::Value(Cow::Owned(Value::Text(self.name_of(row.place))))
                }
                Some(Asked::State) => match self.state_of(row.place) {
                    Some(state) => FilterValue::Value(Cow::Owned(Value::from(state))),
                    None => FilterValue::Missing,
                },
                Some(Asked::Text) | None => FilterValue::NoColumn,
            })
        };
        let kept: HashSet<RowPlace> =
            comparison.rows.iter().filter(|row| accepts(row)).map(|row| row.place).collect();
        drop(comparison);
        self.retain(&kept);
        Ok(())
    }

    fn retain(&mut self, kept: &HashSet<RowPlace>) {
        let mut left_out = 0;
        if self.workspace.is_some() && !kept.contains(&RowPlace::Workspace) {
            self.workspace = None;
            left_out += 1;
        }
        for (at, baseline) in self.baselines.iter_mut().enumerate() {
            let n_before = baseline.experiments.len();
            let mut which = 0..n_before;
            baseline.experiments.retain(|_| {
                which.next().is_some_and(|which| kept.contains(&RowPlace::Experiment(at, which)))
            });
            left_out += n_before - baseline.experiments.len();
        }
        let n_before = self.baselines.len();
        let mut at = 0..n_before;
        self.baselines.retain(|baseline| {
            let is_kept = at.next().is_some_and(|at| kept.contains(&RowPlace::Baseline(at)));
            is_kept || !baseline.experiments.is_empty()
        });
        self.left_out += left_out + n_before - self.baselines.len();
    }

    /// Returns what a row is called: a commit that nothing names by the first seven digits.
    fn name_of(&self, place: RowPlace) -> String {
        match place {
            RowPlace::Workspace => "workspace".to_owned(),
            RowPlace::Baseline(at) => (self.baselines.get(at))
                .map(|one| one.name.clone().unwrap_or_else(|| one.rev.short(7)))
                .unwrap_or_default(),
            RowPlace::Experiment(at, which) => (self.baselines.get(at))
                .and_then(|baseline| baseline.experiments.get(which))
                .map(|row| row.name.to_string())
                .unwrap_or_default(),
        }
    }

    fn state_of(&self, place: RowPlace) -> Option<&'static str> {
        let RowPlace::Experiment(at, which) = place else { return None };
        Some(match &self.baselines.get(at)?.experiments.get(which)?.state {
            ExperimentState::Finished => "done",
            ExperimentState::Unfinished(record) => match record.end {
                RunEnd::Interrupted => "interrupted",
                RunEnd::Died => "died",
                _ => "failed",
            },
            ExperimentState::Unreadable(_) => "failed",
            ExperimentState::Job(job) => job.state.word(),
        })
    }
}

fn meaning(comparison: &Comparison<'_>, column: &FilterColumn) -> Result<Asked, ConditionError> {
    match comparison.find(&column.name) {
        Ok(at) => Ok(Asked::Column(at)),
        Err(CompareError::UnknownColumn { .. }) if column.name == "name" => Ok(Asked::Name),
        Err(CompareError::UnknownColumn { .. }) if column.name == "state" => Ok(Asked::State),
        Err(CompareError::UnknownColumn { .. }) if column.may_be_text => Ok(Asked::Text),
        Err(source) => Err(ConditionError { span: column.span.clone(), source }),
    }
}

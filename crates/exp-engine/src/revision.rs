//! What is shown of revisions: parameters, metrics, dependencies and outputs, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use exp_core::{Artifact, Timestamp, Value};
use exp_refs::{CommitId, ExpName, RunRecord};

use crate::project::Project;
use crate::queue::JobRow;

/// Files by their paths below the project's root, in the order in which the pipeline names them.
pub type Files = Vec<(Arc<str>, FileData)>;

/// One parameter or metric file in one revision.
#[derive(Debug, Clone, PartialEq)]
pub enum FileData {
    /// What the file holds: of parameters what the pipeline uses, of metrics what counts as one. Revisions in which
    /// the file is the same share the value.
    Value(Arc<Value>),
    /// Why it cannot be shown.
    Error(Arc<Problem>),
}

impl FileData {
    /// Returns the value of a file that can be shown.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Error(_) => None,
        }
    }
}

/// Why a file or a revision cannot be shown. It costs its cell or its row, never the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The class of the exception that DVC would meet, such as `YAMLFileCorruptedError`: programs that read DVC's JSON
    /// look at it.
    pub class: &'static str,
    /// What is wrong, with the place.
    pub message: String,
}

/// A dependency of a stage as it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DepData {
    /// What was recorded; `None` when the stage never ran.
    pub artifact: Option<Artifact>,
}

/// An output of a stage as it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutData {
    /// What was recorded; `None` when the stage never ran.
    pub artifact: Option<Artifact>,
    /// Whether the store keeps it, and not Git.
    pub use_cache: bool,
    /// Whether a `.dvc` file declares it.
    pub is_data_source: bool,
}

/// Everything that is shown of one revision.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RevisionData {
    /// When it was committed; `None` for the workspace.
    pub timestamp: Option<Timestamp>,
    /// Parameter files.
    pub params: Files,
    /// Metric files.
    pub metrics: Files,
    /// Dependencies by path; empty unless asked for.
    pub deps: Vec<(Arc<str>, DepData)>,
    /// Outputs that are no metrics, by path; empty unless asked for.
    pub outs: Vec<(Arc<str>, OutData)>,
}

/// One revision: its data, or why there is none.
pub type RowData = Result<Arc<RevisionData>, Arc<Problem>>;

/// A table of revisions: the workspace, and baselines with their experiments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShowTable {
    /// The workspace; `None` when it was not asked for or there is no commit yet.
    pub workspace: Option<RowData>,
    /// In the order in which they were asked for; baselines that no branch or tag reaches come last.
    pub baselines: Vec<Baseline>,
    /// Baselines with experiments that no branch or tag reaches and that are not in the table.
    pub vanished: Vec<Vanished>,
    /// How many rows were left out because they did not fulfil a condition, see [`ShowTable::filter`].
    pub left_out: usize,
}

/// A commit that experiments started from, or one that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The commit.
    pub rev: CommitId,
    /// A branch or tag that points to it, or the experiment that it is.
    pub name: Option<String>,
    /// What the commit holds.
    pub data: RowData,
    /// Jobs that run, experiments that finished, jobs that wait, and what did not finish; each newest first, jobs that wait in
    /// the order in which they will be started.
    pub experiments: Vec<ExperimentRow>,
    /// Whether a branch, a tag or `HEAD` reaches it. `None` when that was not looked at.
    pub is_reachable: Option<bool>,
    /// The commit that took its place when it was amended, rebased or squashed, if one is found.
    pub rewritten_to: Option<CommitId>,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentRow {
    /// Its name.
    pub name: ExpName,
    /// Its commit.
    pub rev: CommitId,
    /// What it left. Of a run that did not finish, the metrics are those that it really wrote.
    pub data: RowData,
    /// How it ended.
    pub state: ExperimentState,
    /// The job that it came of, if that was asked for.
    pub ran: Option<Box<JobRow>>,
}

/// How an experiment ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExperimentState {
    /// It finished.
    Finished,
    /// It failed, was interrupted or died; the record says which.
    Unfinished(Box<RunRecord>),
    /// It did not finish, and its record cannot be read.
    Unreadable(Arc<Problem>),
    /// It is a job of the queue: it waits, runs, or failed. The row's commit is that of the job.
    Job(Box<JobRow>),
}

impl ExperimentState {
    /// Returns whether the experiment finished.
    pub fn is_finished(&self) -> bool {
        *self == Self::Finished
    }
}

/// A baseline that is kept by its experiments alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vanished {
    /// The commit.
    pub rev: CommitId,
    /// How many experiments started from it.
    pub n_experiments: usize,
    /// The commit that took its place, if one is found.
    pub rewritten_to: Option<CommitId>,
}

impl ShowTable {
    /// Returns what is recorded of the finished experiments in the table, by commit; those without a record, and those whose
    /// record cannot be read, are not in it.
    pub fn run_records(&self, project: &Project) -> BTreeMap<CommitId, RunRecord> {
        let reader = project.git().reader();
        let rows = self.baselines.iter().flat_map(|baseline| &baseline.experiments);
        let record = |row: &ExperimentRow| {
            Some((row.rev, exp_refs::read_record(&reader, row.rev).ok().flatten()?))
        };
        rows.filter(|row| row.state.is_finished()).filter_map(record).collect()
    }

    /// Returns the number of experiments in the table.
    pub fn n_experiments(&self) -> usize {
        self.baselines.iter().map(|baseline| baseline.experiments.len()).sum()
    }
}

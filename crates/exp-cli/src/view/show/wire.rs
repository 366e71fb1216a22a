//! The JSON of `exp show`, as DVC writes it and as its editor extension reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use exp_engine::core::{Artifact, Table, Value};
use exp_engine::refs::{CommitId, RunRecord};
use exp_engine::{
    Baseline, ExperimentRow, ExperimentState, FileData, Files, JobRow, JobState, Problem,
    RevisionData, RowData, ShowTable,
};

use crate::view::environment;
use crate::view::json::object;
use crate::view::time::iso;

/// How the JSON is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WireOptions<'r> {
    /// Whether branches and tags are not named.
    pub(crate) sha: bool,
    /// The clock of the times, in seconds east of UTC.
    pub(crate) offset: i32,
    /// What is recorded of finished experiments; without it nothing is said of any run.
    pub(crate) records: Option<&'r BTreeMap<CommitId, RunRecord>>,
}

/// Makes the list of revisions.
pub(crate) fn json(table: &ShowTable, options: WireOptions<'_>) -> Value {
    let workspace =
        table.workspace.iter().map(|data| state("workspace", None, data, None, options));
    let baselines = table.baselines.iter().map(|one| baseline(one, options));
    Value::List(workspace.chain(baselines).collect())
}

fn baseline(baseline: &Baseline, options: WireOptions<'_>) -> Value {
    let name = baseline.name.as_deref().filter(|_| !options.sha);
    let experiments =
        baseline.experiments.iter().map(|row| experiment(row, options)).collect::<Vec<_>>();
    state(&baseline.rev.to_string(), name, &baseline.data, Some(experiments), options)
}

fn experiment(row: &ExperimentRow, options: WireOptions<'_>) -> Value {
    let mut revision =
        state(&row.rev.to_string(), Some(row.name.as_str()), &row.data, None, options);
    let (cause, exit_code) = match &row.state {
        ExperimentState::Unfinished(record) => (Some(super::look::cause(record)), record.exit_code),
        ExperimentState::Unreadable(problem) => (Some(problem.message.clone()), None),
        _ => (None, None),
    };
    let mut executor = row.ran.as_ref().map_or(Value::Null, |job| job_executor(job));
    if let ExperimentState::Job(job) = &row.state {
        executor = job_executor(job);
        if job.state == JobState::Running && job.root.is_some() {
            member(&mut revision, "data", "rev", Value::from("workspace"));
        }
        if let (true, Value::Table(members)) = (job.in_workspace, &mut revision) {
            members.insert("rev".to_owned(), Value::from("workspace"));
        }
        if job.state.is_failure() {
            let message = Value::from("Experiment run failed");
            let error = object([("msg", message), ("type", Value::from(""))]);
            if let Value::Table(members) = &mut revision {
                members.insert("error".to_owned(), error);
            }
        }
    }
    let record = options.records.and_then(|records| match &row.state {
        ExperimentState::Unfinished(record) => Some(&**record),
        _ => records.get(&row.rev),
    });
    if let Some(record) = record {
        let run = object([("run", environment::json(record))]);
        member(&mut revision, "data", "meta", run);
    }
    if let Some(cause) = cause {
        if let Value::Table(members) = &mut revision {
            let error = object([("msg", Value::from(cause)), ("type", Value::from(""))]);
            members.insert("error".to_owned(), error);
        }
        let local = object([
            ("root", Value::Null),
            ("log", Value::Null),
            ("pid", Value::Null),
            ("returncode", exit_code.map_or(Value::Null, |code| Value::from(i64::from(code)))),
            ("task_id", Value::Null),
        ]);
        executor =
            object([("state", Value::from("failed")), ("name", Value::Null), ("local", local)]);
    }
    object([
        ("revs", Value::List(vec![revision])),
        ("executor", executor),
        ("name", Value::from(row.name.as_str())),
    ])
}

/// Says who runs a job, as DVC says it of its tasks.
fn job_executor(job: &JobRow) -> Value {
    let path = |path: Option<&PathBuf>| {
        path.map_or(Value::Null, |path| Value::from(path.display().to_string()))
    };
    let (state, name, code) = match job.state {
        JobState::Running if job.in_workspace => ("running", Value::from("workspace"), Value::Null),
        JobState::Running => ("running", Value::from("dvc-task"), Value::Null),
        JobState::Done => ("success", Value::from("dvc-task"), Value::from(0_i64)),
        state if state.is_waiting() => ("queued", Value::from("dvc-task"), Value::Null),
        _ => ("failed", Value::Null, Value::from(255_i64)),
    };
    let is_waiting = job.state.is_waiting();
    let local = object([
        ("root", path(job.root.as_ref())),
        ("log", path(job.log.as_ref().filter(|_| !is_waiting))),
        (
            "pid",
            job.pid.filter(|_| !is_waiting).map_or(Value::Null, |pid| Value::from(i64::from(pid))),
        ),
        ("returncode", code),
        ("task_id", if job.in_workspace { Value::Null } else { Value::from(job.task.to_string()) }),
    ]);
    object([("state", Value::from(state)), ("name", name), ("local", local)])
}

/// Replaces a member of a member.
fn member(of: &mut Value, outer: &str, inner: &str, value: Value) {
    if let Value::Table(members) = of
        && let Some(Value::Table(members)) = members.get_mut(outer)
    {
        members.insert(inner.to_owned(), value);
    }
}

fn state(
    rev: &str,
    name: Option<&str>,
    row: &RowData,
    experiments: Option<Vec<Value>>,
    options: WireOptions<'_>,
) -> Value {
    let (shown, error) = match row {
        Ok(found) => (data(rev, found, options), Value::Null),
        Err(problem) => (Value::Null, error(problem, Order::MessageFirst)),
    };
    let experiments = experiments.filter(|list| !list.is_empty()).map_or(Value::Null, Value::List);
    object([
        ("rev", Value::from(rev)),
        ("name", name.map_or(Value::Null, Value::from)),
        ("data", shown),
        ("error", error),
        ("experiments", experiments),
    ])
}

fn data(rev: &str, data: &RevisionData, options: WireOptions<'_>) -> Value {
    let time = data.timestamp.map_or(Value::Null, |at| Value::from(iso(at, options.offset)));
    let deps = data
        .deps
        .iter()
        .map(|(path, dep)| (path.to_string(), Value::Table(artifact(dep.artifact))));
    let outs = data.outs.iter().map(|(path, out)| {
        let mut members = artifact(out.artifact);
        members.insert("use_cache".to_owned(), Value::Bool(out.use_cache));
        members.insert("is_data_source".to_owned(), Value::Bool(out.is_data_source));
        (path.to_string(), Value::Table(members))
    });
    object([
        ("rev", Value::from(rev)),
        ("timestamp", time),
        ("params", files(&data.params)),
        ("metrics", files(&data.metrics)),
        ("deps", Value::Table(deps.collect())),
        ("outs", Value::Table(outs.collect())),
        ("meta", Value::table()),
    ])
}

/// Writes files by name, each with its data or what is wrong with it.
pub(crate) fn files(files: &Files) -> Value {
    let members = files.iter().map(|(path, found)| {
        let found = match found {
            FileData::Value(value) => object([("data", (**value).clone())]),
            FileData::Error(problem) => object([("error", error(problem, Order::TypeFirst))]),
        };
        (path.to_string(), found)
    });
    Value::Table(members.collect())
}

/// In which order the members of an error stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As of files.
    TypeFirst,
    /// As of revisions.
    MessageFirst,
}

/// Writes what is wrong with a file or a revision.
pub(crate) fn error(problem: &Problem, order: Order) -> Value {
    let class = ("type", Value::from(problem.class));
    let message = ("msg", Value::from(problem.message.as_str()));
    match order {
        Order::TypeFirst => object([class, message]),
        Order::MessageFirst => object([message, class]),
    }
}

fn artifact(artifact: Option<Artifact>) -> Table {
    let number = |number: Option<u64>| number.map_or(Value::Null, Value::from);
    let mut members = Table::new();
    members.insert(
        "hash".to_owned(),
        artifact.map_or(Value::Null, |found| Value::from(found.id.to_string())),
    );
    members.insert("size".to_owned(), number(artifact.and_then(|found| found.size)));
    members.insert("nfiles".to_owned(), number(artifact.and_then(|found| found.n_files)));
    members
}

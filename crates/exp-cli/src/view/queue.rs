//! The queue as people and programs see it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use exp_engine::core::Timestamp;
use exp_engine::refs::RunRecord;
use exp_engine::{
    DvcTask, EndCause, Job, JobEnd, JobSpec, JobState, NotPushed, Outcome, WorkerState,
};
use serde_json::{Value as Json, json};

use super::change::counted;
use super::environment;
use super::table::{Column, fitted};
use super::time::{age, duration, iso};

/// So many jobs of a kind are listed unless all are asked for.
const LISTED: usize = 15;

/// What `queue status` shows.
pub(crate) struct Status<'a> {
    /// All jobs.
    pub(crate) jobs: &'a [Job],
    /// Those that are listed.
    pub(crate) shown: &'a [Job],
    /// How each of those ended.
    pub(crate) ends: &'a [Option<JobEnd>],
    /// The workers that live.
    pub(crate) workers: &'a [WorkerState],
    /// What DVC itself has queued.
    pub(crate) dvcs: &'a [DvcTask],
    /// The moment.
    pub(crate) now: Timestamp,
    /// Columns that a line may have.
    pub(crate) width: usize,
}

/// Returns the jobs that are listed: all that run, and some of those that wait and that ended.
pub(crate) fn shown(jobs: &[Job], all: bool) -> Vec<Job> {
    let mut n_of: BTreeMap<bool, usize> = BTreeMap::new();
    jobs.iter()
        .filter(|job| {
            if all || job.state == JobState::Running {
                return true;
            }
            let n = n_of.entry(job.state.is_final()).or_default();
            *n += 1;
            *n <= LISTED
        })
        .cloned()
        .collect()
}

fn symbol(state: JobState) -> &'static str {
    match state {
        JobState::Running => "●",
        JobState::Queued | JobState::Held => "○",
        JobState::Done => "✓",
        _ => "✗",
    }
}

/// Writes the table of jobs, what is not listed of them, and the totals.
pub(crate) fn table(status: &Status<'_>) -> String {
    let dvcs = &status.dvcs[..status.dvcs.len().min(LISTED)];
    let cells = |of_job: &dyn Fn(&Job) -> String, of_task: &dyn Fn(&DvcTask) -> String| {
        status.shown.iter().map(of_job).chain(dvcs.iter().map(of_task)).collect::<Vec<_>>()
    };
    let why = (status.shown.iter().zip(status.ends)).map(|(job, end)| match end {
        Some(end) if job.state.is_final() => end_text(end),
        _ => String::new(),
    });
    let why = why.chain(dvcs.iter().map(|_| "DVC's own".to_owned())).collect();
    let column = |title: &str, cells: Vec<String>, pinned| Column {
        title: title.to_owned(),
        cells,
        right: false,
        pinned,
    };
    let number = cells(&|job| job.number.to_string(), &|_| "-".to_owned());
    let number = Column { right: true, ..column("job", number, true) };
    let mark = |state| format!(" {}", symbol(state));
    let word = |state: JobState| state.word().to_owned();
    let since = |at| age(at, status.now);
    let all = [
        column(" ", cells(&|job| mark(job.state), &|task| mark(task.state)), true),
        number,
        column("name", cells(&|job| job.name.to_string(), &|task| task.name.to_string()), true),
        column("state", cells(&|job| word(job.state), &|task| word(task.state)), true),
        column("queued", cells(&|job| since(job.queued), &|task| since(task.queued)), false),
        column("why", why, false),
    ];
    let is_empty = status.shown.is_empty() && dvcs.is_empty();
    let mut text = if is_empty { String::new() } else { fitted(&all, status.width).text };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let n_left = status.jobs.len() - status.shown.len();
    if n_left > 0 {
        text.push_str(&format!(" and {n_left} more: exp queue status --all\n"));
    }
    let mut counts: BTreeMap<JobState, usize> = BTreeMap::new();
    for job in status.jobs {
        *counts.entry(job.state).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(state, n)| format!("{n} {}", state.word())).collect();
    let n_busy = status.workers.iter().filter(|worker| worker.job.is_some()).count();
    let workers = match status.workers.len() {
        0 => "no worker".to_owned(),
        n if n_busy == n => counted(n, "worker"),
        n => format!("{}, {} idle", counted(n, "worker"), n - n_busy),
    };
    let counts = if counts.is_empty() { "nothing queued".to_owned() } else { counts.join(" · ") };
    text.push_str(&format!(" {counts} · {workers}\n"));
    let waits = status.jobs.iter().any(|job| job.state == JobState::Queued);
    if waits && status.workers.is_empty() {
        text.push_str("   run: exp queue start -j N\n");
    } else if status.jobs.iter().any(|job| job.state.is_failure()) {
        text.push_str("   log: exp queue logs JOB   again: exp queue retry --failed\n");
    }
    text
}

/// Says why an attempt ended, and how long it took.
fn end_text(end: &JobEnd) -> String {
    let took = took(end).map(duration);
    match (&end.cause, took) {
        (Some(cause), _) => cause_text(cause, end.stage.as_deref()),
        (None, Some(took)) => took,
        (None, None) => String::new(),
    }
}

fn took(end: &JobEnd) -> Option<Duration> {
    end.took_ms.map(Duration::from_millis)
}

fn cause_text(cause: &EndCause, stage: Option<&str>) -> String {
    let at = stage.map(|stage| format!(" in {stage}")).unwrap_or_default();
    match cause {
        EndCause::Exit(code) => format!("exit status {code}{at}"),
        EndCause::Signal(signal) => format!("signal {signal}{at}"),
        EndCause::Oom => format!("out of memory{at}"),
        EndCause::Timeout => format!("took too long{at}"),
        EndCause::Killed => format!("killed{at}"),
        EndCause::Preempted => format!("its worker left{at}"),
        EndCause::Lost => format!("its worker vanished{at}"),
        EndCause::Error(text) => text.clone(),
        other => other.word().to_owned(),
    }
}

/// Says in a line how a job ended.
pub(crate) fn ended_line(job: &Job, end: &JobEnd) -> String {
    let name = &job.name;
    let took = took(end).map(|took| format!(" after {}", duration(took))).unwrap_or_default();
    let cause = end.cause.as_ref().map(|cause| cause_text(cause, end.stage.as_deref()));
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    match end.outcome {
        Outcome::Done => {
            let other = end.experiment().filter(|one| one.name != *name);
            let other = other.map(|one| format!(" as {}, since the name was taken", one.name));
            format!(" ✓ {name} done{took}{}", other.unwrap_or_default())
        }
        Outcome::Again => format!(" ○ {name} is queued again{took}{cause}"),
        outcome => {
            format!(" ✗ {name} {}{took}{cause}   log: exp queue logs {name}", outcome.word())
        }
    }
}

/// What `queue show` shows.
pub(crate) struct One<'a> {
    /// The job.
    pub(crate) job: &'a Job,
    /// What it is; `None` when that cannot be read, as of one that is done and was collected.
    pub(crate) spec: Option<&'a JobSpec>,
    /// How its last attempt ended.
    pub(crate) end: Option<&'a JobEnd>,
    /// What is recorded of that attempt.
    pub(crate) record: Option<&'a RunRecord>,
    /// Why its result was not sent, if it was to be.
    pub(crate) not_pushed: Option<&'a NotPushed>,
    /// Where its logs are, if there are any.
    pub(crate) logs: Option<&'a Path>,
    /// The moment.
    pub(crate) now: Timestamp,
}

/// Writes everything that is known of a job.
pub(crate) fn one(one: &One<'_>) -> String {
    let job = one.job;
    let mut lines: Vec<(&str, String)> = vec![
        ("job", format!("{} {}", job.number, job.name)),
        ("state", job.state.word().to_owned()),
    ];
    if let Some(end) = one.end {
        let text = end_text(end);
        if !text.is_empty() {
            lines.push(("why", text));
        }
    }
    lines.push((
        "queued",
        format!("{} ({})", iso(job.queued, one.now.offset), age(job.queued, one.now)),
    ));
    if let Some(end) = one.end {
        let clock = |seconds| iso(Timestamp { seconds, offset: one.now.offset }, one.now.offset);
        lines.extend(end.started.map(|started| ("started", clock(started))));
        lines.push(("ended", clock(end.ended)));
        lines.extend(end.host.clone().map(|host| ("host", host)));
        lines.extend(end.experiment().map(|kept| ("kept as", kept.name.to_string())));
    }
    if let Some(not) = one.not_pushed {
        lines.push(("unpushed", format!("to {}: {}", not.git_remote, not.why)));
    }
    if job.attempt > 1 {
        lines.push(("attempts", job.attempt.to_string()));
    }
    if job.priority != 0 {
        lines.push(("priority", job.priority.to_string()));
    }
    lines.push(("commit", job.commit.to_string()));
    if let Some(spec) = one.spec {
        if !spec.overrides.is_empty() {
            lines.push(("set", spec.overrides.join(" ")));
        }
        lines.extend(spec.sweep.clone().map(|sweep| ("sweep", sweep)));
        lines.extend(spec.message.clone().map(|message| ("message", message)));
    }
    match (one.record, one.spec) {
        (Some(record), _) => lines.extend(environment::lines(record)),
        (None, Some(spec)) if !spec.left_out.is_empty() => {
            lines.push(("left out", environment::left_out(&spec.left_out, spec.n_left_out)));
        }
        _ => {}
    }
    lines.extend(one.logs.map(|logs| ("logs", logs.display().to_string())));
    let mut all = String::new();
    for (title, text) in lines {
        all.push_str(&format!(" {title:<9} {text}\n"));
    }
    all
}

/// Returns the queue for programs.
pub(crate) fn json(
    jobs: &[Job],
    ends: &[Option<JobEnd>],
    workers: &[WorkerState],
    dvcs: &[DvcTask],
) -> Json {
    let jobs: Vec<Json> = (jobs.iter().zip(ends))
        .map(|(job, end)| {
            let cause = end.as_ref().and_then(|end| end.cause.as_ref());
            json!({
                "number": job.number,
                "name": job.name.as_str(),
                "state": job.state.word(),
                "commit": job.commit.to_string(),
                "queued": job.queued.seconds,
                "priority": job.priority,
                "attempt": job.attempt,
                "cause": cause.map(EndCause::word),
                "why": cause.map(|cause| cause_text(cause, None)),
            })
        })
        .collect();
    let workers: Vec<Json> = (workers.iter())
        .map(|worker| {
            json!({
                "host": worker.host,
                "pid": worker.pid,
                "job": worker.job,
                "stopping": worker.is_stopping,
            })
        })
        .collect();
    let dvcs: Vec<Json> = (dvcs.iter())
        .map(|task| {
            json!({
                "name": task.name.as_str(),
                "state": task.state.word(),
                "commit": task.commit.to_string(),
                "queued": task.queued.seconds,
            })
        })
        .collect();
    json!({ "jobs": jobs, "workers": workers, "dvc": dvcs })
}

#[cfg(test)]
mod tests {
    use exp_engine::refs::{CommitId, ExpName};

    use super::*;

    fn job(number: u64, state: JobState) -> Job {
        Job {
            number,
            name: ExpName::new(&format!("grid-{number}")).unwrap(),
            commit: CommitId::from_bytes(&[1; 20]).unwrap(),
            queued: Timestamp::utc(1_000),
            priority: 0,
            state,
            attempt: 1,
        }
    }

    #[test]
    fn a_long_queue_is_cut_and_says_so() {
        let mut jobs = vec![job(1, JobState::Running)];
        jobs.extend((2..102).map(|number| job(number, JobState::Queued)));
        jobs.push(job(200, JobState::Failed));
        let shown = shown(&jobs, false);
        let mut end = JobEnd {
            outcome: Outcome::Failed,
            cause: Some(EndCause::Exit(3)),
            stage: Some("train".to_owned()),
            kept: None,
            commit: None,
            started: Some(1_010),
            ended: 1_100,
            took_ms: Some(90_400),
            host: None,
            pid: None,
        };
        let ends: Vec<Option<JobEnd>> =
            shown.iter().map(|job| job.state.is_final().then(|| end.clone())).collect();
        let now = Timestamp::utc(4_700);
        let text = table(&Status {
            jobs: &jobs,
            shown: &shown,
            ends: &ends,
            workers: &[],
            dvcs: &[],
            now,
            width: 60,
        });
        assert_eq!(text.lines().count(), 1 + 17 + 3, "{text}");
        assert!(text.contains("●    1  grid-1    running  1h"), "{text}");
        assert!(text.contains("failed   1h      exit status 3 in train"), "{text}");
        assert!(text.contains(" and 85 more: exp queue status --all\n"), "{text}");
        assert!(text.contains(" 1 running · 100 queued · 1 failed · no worker\n"), "{text}");
        assert!(text.lines().all(|line| super::super::table::columns(line) <= 60), "{text}");
        assert_eq!(
            ended_line(&jobs[0], &end),
            " ✗ grid-1 failed after 1m 30s: exit status 3 in train   log: exp queue logs grid-1"
        );
        end.outcome = Outcome::Done;
        end.cause = None;
        assert_eq!(ended_line(&jobs[0], &end), " ✓ grid-1 done after 1m 30s");
    }
}

//! The queue in DVC's words.

use exp_engine::{Error, Job, JobProblem, JobState, Queue, StopHow};

use super::{Outcome, brief, follow, opened, seen, to_remove};
use crate::args::queue::{DvcStatusArgs, KillArgs, LogsArgs, RemoveArgs, StopArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::{table, time};

fn failure(message: String) -> Failure {
    Failure::Dvc { message, code: 255 }
}

/// Says that names are not valid, as DVC does for one and for several.
fn invalid(names: &[String], what: &str) -> Failure {
    let quoted = names.join("; ");
    failure(match names {
        [_] => format!("'{quoted}' is not a valid {what} name"),
        _ => format!("'{quoted}' are not valid {what} names"),
    })
}

/// Finds jobs of which `is_meant` holds; names that mean none are an error.
fn found(
    jobs: &[Job],
    texts: &[String],
    what: &str,
    is_meant: impl Fn(&Job) -> bool,
) -> Result<Vec<Job>, Failure> {
    let meant: Vec<Job> = jobs.iter().filter(|job| is_meant(job)).cloned().collect();
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for text in texts {
        match Queue::find(&meant, text) {
            Some(job) => found.push(job.clone()),
            None => unknown.push(text.clone()),
        }
    }
    if unknown.is_empty() { Ok(found) } else { Err(invalid(&unknown, what)) }
}

pub(super) fn stop(session: &mut Session<'_, '_>, args: &StopArgs) -> Outcome {
    let (queue, _) = opened(session)?;
    queue.stop(if args.kill { StopHow::Kill } else { StopHow::AfterJob })?;
    session.note(if args.kill {
        "All running tasks in the queue have been killed.Queue workers are stopping."
    } else {
        "Queue workers will stop after running tasks finish."
    })?;
    Ok(ExitStatus::DONE)
}

pub(super) fn status(session: &mut Session<'_, '_>, _: &DvcStatusArgs) -> Outcome {
    let (queue, jobs) = seen(session)?;
    let own = queue.of_dvc()?;
    if jobs.is_empty() && own.is_empty() {
        session.note("No experiment tasks in the queue.")?;
    } else {
        let now = session.project()?.now();
        let rank = |job: &Job| match job.state {
            JobState::Running => 0,
            JobState::Queued | JobState::Held => 1,
            JobState::Done => 3,
            _ => 2,
        };
        let mut jobs = jobs;
        jobs.sort_by_key(rank);
        let header = ["Task", "Name", "Created", "Status"].map(str::to_owned);
        let row = |job: &Job| {
            let status = match rank(job) {
                0 => "Running",
                1 => "Queued",
                2 => "Failed",
                _ => "Success",
            };
            let created = time::created(job.queued, now);
            vec![job.commit.short(7), job.name.to_string(), created, status.to_owned()]
        };
        let mut rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
        // What the real one has queued before is not ours to run, and shown as it shows it.
        rows.extend(own.iter().map(|task| {
            let status = match task.state {
                JobState::Running => "Running",
                JobState::Queued => "Queued",
                _ => "Failed",
            };
            let created = time::created(task.queued, now);
            vec![task.commit.short(7), task.name.to_string(), created, status.to_owned()]
        }));
        session.print(&table::plain(&header, &rows))?;
    }
    let workers = queue.workers()?;
    let n_busy = workers.iter().filter(|worker| worker.job.is_some()).count();
    let n_idle = workers.len() - n_busy;
    session.note(&format!("\nWorker status: {n_busy} active, {n_idle} idle"))?;
    Ok(ExitStatus::DONE)
}

pub(super) fn logs(session: &mut Session<'_, '_>, args: &LogsArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let name = &args.task;
    let Some(job) = Queue::find(&jobs, name).cloned() else {
        return Err(failure(format!("'{name}' is not a valid queued experiment name")));
    };
    if job.state.is_waiting() && job.attempt == 0 {
        return Err(failure(format!("Experiment '{name}' is in queue but has not been started")));
    }
    if args.follow && !job.state.is_final() {
        follow::follow(session, &queue, &job)?;
        return Ok(ExitStatus::DONE);
    }
    let Some(parts) = queue.log(&job)? else {
        return Err(failure(format!("No output logs found for experiment '{name}'")));
    };
    for part in parts {
        session.io.out.write_all(&part.text).map_err(Failure::Output)?;
    }
    Ok(ExitStatus::DONE)
}

pub(super) fn kill(session: &mut Session<'_, '_>, args: &KillArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let jobs =
        found(&jobs, &args.task, "running experiment", |job| job.state == JobState::Running)?;
    let killed = brief(session, |_| queue.kill(&jobs));
    killed.map_err(|error| match error {
        Error::Job { name, problem: JobProblem::NotRunning } => {
            invalid(&[name], "running experiment")
        }
        error => error.into(),
    })?;
    for job in &jobs {
        session.note(&format!("{} has been killed.", job.name))?;
    }
    Ok(ExitStatus::DONE)
}

pub(super) fn remove(session: &mut Session<'_, '_>, args: &RemoveArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let jobs = match to_remove(jobs, args) {
        None => {
            return Err(failure(
                "Either provide an `tasks` argument, or use the `--all`, `--queued`, `--failed`, `--success` flag."
                    .to_owned(),
            ));
        }
        Some(Ok(jobs)) => jobs,
        Some(Err(jobs)) => {
            found(&jobs, &args.task, "experiment", |job| job.state != JobState::Running)?
        }
    };
    if jobs.is_empty() {
        session.note("No tasks to remove in queue.")?;
        return Ok(ExitStatus::DONE);
    }
    queue.remove(&jobs)?;
    session.note(&format!("Removed tasks in queue: {}", super::names(&jobs).join(", ")))?;
    Ok(ExitStatus::DONE)
}

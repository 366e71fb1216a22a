//! Logs of jobs, and waiting for their ends.

use std::thread;
use std::time::Duration;

use exp_engine::core::{CancelToken, Ctx, NullSink};
use exp_engine::{Error, Job, JobProblem, JobState, LogCursor, Queue};

use super::{Outcome, chosen, opened, seen};
use crate::args::queue::{AttachArgs, LogsArgs, WaitArgs};
use crate::commands::undo::print_logs;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::signals::{self, Patience};
use crate::view::change::counted;
use crate::view::queue as view;

/// How often a job is looked at that is watched.
const LOOK: Duration = Duration::from_millis(100);

/// How many looks there are from one search for dead workers to the next.
const REAP: u32 = 20;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    /// What was waited for has happened.
    Ended,
    /// Ctrl-C.
    Interrupted,
}

pub(super) fn logs(session: &mut Session<'_, '_>, args: &LogsArgs) -> Outcome {
    let (queue, jobs) = seen(session)?;
    let job = chosen(&jobs, std::slice::from_ref(&args.task))?.remove(0);
    if args.follow && !job.state.is_final() {
        if job.state.is_waiting() && queue.workers()?.is_empty() {
            session.note("no worker is running yet; start some with: exp queue start")?;
        }
        return Ok(exit_of(follow(session, &queue, &job)?));
    }
    print_log(session, &queue, &job)
}

/// Writes what is kept of a job's log.
fn print_log(session: &mut Session<'_, '_>, queue: &Queue, job: &Job) -> Outcome {
    let Some(parts) = queue.log(job)? else {
        if job.attempt == 0 {
            let problem = JobProblem::NotStarted;
            return Err(Error::Job { name: job.name.to_string(), problem }.into());
        }
        session.note("No command of it ran, so nothing was written.")?;
        return Ok(ExitStatus::DONE);
    };
    print_logs(session, &parts)
}

pub(super) fn attach(session: &mut Session<'_, '_>, args: &AttachArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let running = || jobs.iter().rfind(|job| job.state == JobState::Running).cloned();
    let job = match &args.job {
        Some(text) => Some(chosen(&jobs, std::slice::from_ref(text))?.remove(0)),
        None => running(),
    };
    let Some(job) = job else {
        session.note("No job is running.")?;
        return Ok(ExitStatus::DONE);
    };
    session.note(&format!(
        "{} (job {}); ctrl-c ends the watching, not the job",
        job.name, job.number
    ))?;
    let watched = follow(session, &queue, &job)?;
    if watched == Watched::Ended {
        let jobs = queue.list()?;
        if let Some(job) = jobs.into_iter().find(|other| other.number == job.number)
            && let Some(end) = queue.end(&job)?
        {
            let line = view::ended_line(&job, &end);
            let unicode = session.io.unicode;
            session.note(&if unicode { line } else { crate::view::summary::ascii(&line) })?;
        }
    }
    Ok(exit_of(watched))
}

fn exit_of(watched: Watched) -> ExitStatus {
    match watched {
        Watched::Ended => ExitStatus::DONE,
        Watched::Interrupted => ExitStatus::CANCELLED,
    }
}

/// Writes what a job writes, from the beginning of its attempt until it has ended. Ctrl-C ends it before.
pub(super) fn follow(
    session: &mut Session<'_, '_>,
    queue: &Queue,
    job: &Job,
) -> Result<Watched, Failure> {
    let mut cursor = LogCursor::default();
    let number = job.number;
    watch(session, queue, |session, jobs| {
        let Some(job) = jobs.iter().find(|job| job.number == number) else { return Ok(true) };
        if job.attempt > 0 {
            let text = queue.follow(job, &mut cursor)?;
            if !text.is_empty() {
                let out = &mut session.io.out;
                out.write_all(&text).and_then(|()| out.flush()).map_err(Failure::Output)?;
            }
        }
        Ok(job.state.is_final())
    })
}

/// Looks at the jobs until `look` says that it is enough, or until Ctrl-C.
pub(super) fn watch(
    session: &mut Session<'_, '_>,
    queue: &Queue,
    mut look: impl FnMut(&mut Session<'_, '_>, &[Job]) -> Result<bool, Failure>,
) -> Result<Watched, Failure> {
    let token = CancelToken::new();
    let handles = session.io.handles_signals;
    signals::guarded(handles, &token, Patience::Stop, &|_| (), || {
        let ctx = Ctx::new(&NullSink, token.clone());
        let mut n = 0_u32;
        loop {
            if n.is_multiple_of(REAP) {
                queue.reap(&ctx)?;
            }
            n += 1;
            if look(session, &queue.list()?)? {
                return Ok(Watched::Ended);
            }
            if token.requested().is_some() {
                return Ok(Watched::Interrupted);
            }
            if session.io.handles_signals {
                token.sleep(LOOK);
            } else {
                thread::sleep(LOOK);
            }
        }
    })
}

pub(super) fn wait(session: &mut Session<'_, '_>, args: &WaitArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let meant: Vec<u64> = if args.jobs.is_empty() {
        let open = jobs.iter().filter(|job| !job.state.is_final());
        open.filter(|job| job.state != JobState::Held).map(|job| job.number).collect()
    } else {
        chosen(&jobs, &args.jobs)?.iter().map(|job| job.number).collect()
    };
    if meant.is_empty() {
        session.note("No job waits or runs.")?;
        return Ok(ExitStatus::DONE);
    }
    if queue.workers()?.is_empty()
        && jobs.iter().any(|job| job.state == JobState::Queued && meant.contains(&job.number))
    {
        session.note("no worker is running yet; start some with: exp queue start")?;
    }
    let mut bad = Vec::new();
    let watched = watch(session, &queue, |_, jobs| {
        let of = |number: &u64| jobs.iter().find(|job| job.number == *number);
        let is_open =
            meant.iter().any(|number| of(number).is_some_and(|job| !job.state.is_final()));
        if !is_open {
            bad =
                meant.iter().filter_map(of).filter(|job| job.state.is_failure()).cloned().collect();
        }
        Ok(!is_open)
    })?;
    if watched == Watched::Interrupted {
        return Ok(ExitStatus::CANCELLED);
    }
    if bad.is_empty() {
        session.note(&format!("{} done", counted(meant.len(), "job")))?;
        return Ok(ExitStatus::DONE);
    }
    for job in bad.iter().take(10) {
        if let Some(end) = queue.end(job)? {
            let line = view::ended_line(job, &end);
            let unicode = session.io.unicode;
            session.note(&if unicode { line } else { crate::view::summary::ascii(&line) })?;
        }
    }
    if bad.len() > 10 {
        session.note(&format!("   and {} more", bad.len() - 10))?;
    }
    let n_bad = counted(bad.len(), "job");
    session.note(&format!(
        "{n_bad} of {} did not finish; again: exp queue retry --failed",
        meant.len()
    ))?;
    Ok(ExitStatus::FAILED)
}

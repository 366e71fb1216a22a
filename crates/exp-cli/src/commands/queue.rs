//! `queue …`, `worker`, `attach`, `stop`: jobs that run later, and who runs them.

pub(super) mod add;
mod dvc;
mod follow;
mod start;

use exp_engine::core::Ctx;
use exp_engine::{EndCause, Error, Job, JobProblem, JobState, Moved, Queue, StopHow};

use super::apply::BRIEF;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::queue::{
    AddArgs, AttachArgs, DvcStartArgs, DvcStatusArgs, JobArgs, JobsArgs, KillArgs, LogsArgs,
    MoveArgs, RemoveArgs, RetryArgs, StartArgs, StatusArgs, StopArgs, StopJobsArgs, WaitArgs,
    WorkerArgs,
};
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::change::{counted, listed};
use crate::view::queue as view;

/// A command of the queue in our grammar alone.
macro_rules! ours {
    ($args:ty, $run:path, $words:literal, $about:literal, $long:expr $(,)?) => {
        command! {
            args: $args,
            run: $run,
            exp: Some($words),
            dvc: None,
            topic: Topic::Queue,
            about: $about,
            long: $long,
            dvc_failure: DvcFailure::PLAIN,
        }
    };
}

/// A command of the queue in DVC's grammar alone.
macro_rules! dvcs {
    ($args:ty, $run:path, $words:literal, $about:literal $(,)?) => {
        command! {
            args: $args,
            run: $run,
            exp: None,
            dvc: Some($words),
            topic: Topic::Queue,
            about: $about,
            long: "",
            dvc_failure: DvcFailure::PLAIN,
        }
    };
}

pub(super) const COMMANDS: &[CommandSpec] = &[
    ours!(
        AddArgs,
        add::add,
        "queue add",
        "Queue experiments to be run later",
        "Queue experiments to be run later: `exp run --queue` is the same.\n\nWhat the workspace holds now, edits and \
         untracked files included, is what will run; edit on. Several values make one job each, of all combinations: \
         1,2,3 or choice(a,b) or range(1,10). With --missing only those are queued that are neither done nor waiting \
         nor running; those that failed are.\n\nExamples:\n  exp queue add -S lr=0.1\n  exp queue add -n grid -S lr=0.1,0.2 \
         -S depth=range(3,6)\n  exp queue add --missing -n grid -S lr=0.1,0.2,0.3\n  exp queue start -j 4",
    ),
    ours!(
        StartArgs,
        start::start,
        "queue start",
        "Start workers that run what is queued",
        "Start workers that run what is queued. They go on when the terminal closes, and end when nothing is \
         left.\n\nEach job runs in a private work tree; the workspace stays as it is.\n\nExamples:\n  exp queue start -j 4\n  \
         exp queue status",
    ),
    ours!(
        StopArgs,
        stop,
        "queue stop",
        "Stop the workers after the jobs that they have",
        "Stop the workers after the jobs that they have, on every machine. With --kill at once: jobs that run are ended and \
         kept as killed. Jobs that wait stay in the queue.",
    ),
    ours!(
        StatusArgs,
        status,
        "queue status",
        "Show jobs and workers",
        "Show jobs and workers: what runs, what waits in its order, what ended, newest first.\n\nExamples:\n  exp queue \
         status\n  exp queue status --json",
    ),
    ours!(
        LogsArgs,
        follow::logs,
        "queue logs",
        "Show what the commands of a job wrote",
        "Show what the commands of a job wrote, while it runs and afterwards.\n\nExamples:\n  exp queue logs grid-1\n  exp \
         queue logs -f grid-1",
    ),
    ours!(
        KillArgs,
        kill,
        "queue kill",
        "End jobs that run",
        "End jobs that run, on whatever machine; their workers go on with the next ones. What they left is kept: see `exp \
         log`.",
    ),
    ours!(
        RemoveArgs,
        remove,
        "queue remove",
        "Take jobs out of the queue",
        "Take jobs out of the queue, whether they wait or ended. Experiments that came of them stay.\n\nExamples:\n  exp queue \
         remove grid-3\n  exp queue remove --success",
    ),
    ours!(JobsArgs, hold, "queue hold", "Keep jobs from being started", ""),
    ours!(JobsArgs, release, "queue release", "Let held jobs be started", ""),
    ours!(
        MoveArgs,
        move_jobs,
        "queue move",
        "Change the order of jobs that wait",
        "Change the order of jobs that wait: before all others, or behind them with --last.",
    ),
    ours!(
        WaitArgs,
        follow::wait,
        "queue wait",
        "Wait until jobs have ended",
        "Wait until jobs have ended, all that there are or those that are named. Exits with 1 when one of them did not \
         finish.",
    ),
    ours!(
        RetryArgs,
        retry,
        "queue retry",
        "Queue jobs again that failed",
        "Queue jobs again that failed, with the files and parameters that they had. A stage that ended well is not run \
         again.\n\nExamples:\n  exp queue retry grid-2\n  exp queue retry --failed --cause oom,lost",
    ),
    ours!(JobArgs, show, "queue show", "Show what a job is and what became of it", ""),
    ours!(
        AttachArgs,
        follow::attach,
        "attach",
        "Watch a job that runs",
        "Watch a job that runs: what it writes, until it ends. Ctrl-c ends the watching, not the job.",
    ),
    ours!(
        StopJobsArgs,
        stop_jobs,
        "stop",
        "End jobs that run, all or those that are named",
        "End jobs that run, all or those that are named; what they left is kept. Workers go on with what waits: `exp queue \
         stop` ends them too.",
    ),
    ours!(
        WorkerArgs,
        start::worker,
        "worker",
        "Run queued jobs here, one after the other",
        "Run queued jobs here, one after the other, until nothing is left. Any number of workers may run, on any machine \
         that shares the project's directory; a cluster may start them.\n\nThe first ctrl-c lets the job finish, the \
         second stops it: what it left is kept, and it is queued again. So it is when the time limit is \
         reached.\n\nExamples:\n  exp worker\n  exp worker --max-jobs 1 --time-limit 50m",
    ),
    dvcs!(DvcStartArgs, start::dvc_start, "queue start", "Start the experiments task queue worker"),
    dvcs!(StopArgs, dvc::stop, "queue stop", "Stop all experiments task queue workers"),
    dvcs!(DvcStatusArgs, dvc::status, "queue status", "Show the status of experiments task queue"),
    dvcs!(LogsArgs, dvc::logs, "queue logs", "Show output logs for a queued experiment"),
    dvcs!(KillArgs, dvc::kill, "queue kill", "Kill actively running experiment queue tasks"),
    dvcs!(RemoveArgs, dvc::remove, "queue remove", "Remove queued and completed tasks"),
];

/// Opens the queue and finishes what dead workers left.
fn opened(session: &mut Session<'_, '_>) -> Result<(Queue, Vec<Job>), Failure> {
    let queue = session.project()?.queue()?;
    session.look(|ctx| queue.reap(ctx))?;
    let jobs = queue.list()?;
    Ok((queue, jobs))
}

/// Opens the queue to look at it: what dead workers left is finished if that can be, as on a full disk it cannot.
fn seen(session: &mut Session<'_, '_>) -> Result<(Queue, Vec<Job>), Failure> {
    let queue = session.project()?.queue()?;
    if let Err(error) = session.look(|ctx| queue.reap(ctx)) {
        let why = chain(&error).join(": ");
        session.warn(&format!("warning: what dead workers left is not finished: {why}"))?;
    }
    let jobs = queue.list()?;
    Ok((queue, jobs))
}

/// Finds jobs by what a person wrote, each once, in the order of the command line.
fn chosen(jobs: &[Job], texts: &[String]) -> Result<Vec<Job>, Failure> {
    let mut found: Vec<Job> = Vec::new();
    for text in texts {
        let unknown = || Error::Job { name: text.clone(), problem: JobProblem::Unknown };
        let job = Queue::find(jobs, text).ok_or_else(unknown)?;
        if found.iter().all(|other| other.number != job.number) {
            found.push(job.clone());
        }
    }
    Ok(found)
}

fn names(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|job| job.name.to_string()).collect()
}

/// Says what was done with jobs.
fn told(session: &mut Session<'_, '_>, done: &str, jobs: &[Job]) -> Outcome {
    let (n, names) = (counted(jobs.len(), "job"), listed(&names(jobs), 10));
    session.note(&format!("{done} {n}: {names}"))?;
    Ok(ExitStatus::DONE)
}

fn status(session: &mut Session<'_, '_>, args: &StatusArgs) -> Outcome {
    let (queue, jobs) = seen(session)?;
    let workers = queue.workers()?;
    let dvcs = queue.of_dvc()?;
    if args.json {
        let mut ends = Vec::new();
        for job in &jobs {
            ends.push(if job.state.is_failure() { queue.end(job)? } else { None });
        }
        session.say(&view::json(&jobs, &ends, &workers, &dvcs).to_string())?;
        return Ok(ExitStatus::DONE);
    }
    if jobs.is_empty() && workers.is_empty() && dvcs.is_empty() {
        session
            .note("Nothing is queued. Queue experiments with: exp run --queue -S KEY=VALUE,…")?;
        return Ok(ExitStatus::DONE);
    }
    let shown = view::shown(&jobs, args.all);
    let mut ends = Vec::new();
    for job in &shown {
        ends.push(if job.state.is_final() { queue.end(job)? } else { None });
    }
    let now = session.project()?.now();
    let (width, unicode) = (session.line_width(), session.io.unicode);
    let text = view::table(&view::Status {
        jobs: &jobs,
        shown: &shown,
        ends: &ends,
        workers: &workers,
        dvcs: &dvcs,
        now,
        width,
    });
    session.print(&if unicode { text } else { crate::view::summary::ascii(&text) })?;
    if let Some((n, lock)) = queue.undropped()? {
        let lock = lock.strip_prefix(session.cwd()).unwrap_or(&lock).display();
        session.note(&format!(
            "{} of done jobs cannot be removed for {lock}; if no Git command is running, it is of one that died: rm {lock}",
            counted(n, "ref")
        ))?;
    }
    if !dvcs.is_empty() {
        let n = counted(dvcs.len(), "experiment");
        session.note(&format!("{n} in DVC's own queue, which only it runs: dvc queue start"))?;
    }
    Ok(ExitStatus::DONE)
}

fn stop(session: &mut Session<'_, '_>, args: &StopArgs) -> Outcome {
    let (queue, _) = opened(session)?;
    let n = queue.stop(if args.kill { StopHow::Kill } else { StopHow::AfterJob })?;
    session.note(&match (n, args.kill) {
        (0, _) => "No worker is running.".to_owned(),
        (1, true) => "1 worker kills its job and ends".to_owned(),
        (n, true) => format!("{n} workers kill their jobs and end"),
        (1, false) => "1 worker ends after the job that it has".to_owned(),
        (n, false) => format!("{n} workers end after the jobs that they have"),
    })?;
    Ok(ExitStatus::DONE)
}

fn kill(session: &mut Session<'_, '_>, args: &KillArgs) -> Outcome {
    if args.task.is_empty() {
        return Err(Failure::text_usage("name jobs that run; `exp stop` ends all of them"));
    }
    let (queue, jobs) = opened(session)?;
    let jobs = chosen(&jobs, &args.task)?;
    queue.kill(&jobs)?;
    told(session, "ending", &jobs)
}

fn stop_jobs(session: &mut Session<'_, '_>, args: &StopJobsArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let jobs = if args.jobs.is_empty() {
        jobs.into_iter().filter(|job| job.state == JobState::Running).collect()
    } else {
        chosen(&jobs, &args.jobs)?
    };
    if jobs.is_empty() {
        session.note("No job is running.")?;
        return Ok(ExitStatus::DONE);
    }
    queue.kill(&jobs)?;
    told(session, "ending", &jobs)
}

/// Returns the jobs that flags and names of `queue remove` mean; `None` when they do not fit together.
fn to_remove(jobs: Vec<Job>, args: &RemoveArgs) -> Option<Result<Vec<Job>, Vec<Job>>> {
    let by_state = args.all || args.queued || args.success || args.failed;
    if by_state != args.task.is_empty() {
        return None;
    }
    if !by_state {
        return Some(Err(jobs));
    }
    let is_meant = |job: &Job| {
        let state = job.state;
        (args.all && state != JobState::Running)
            || (args.queued && state.is_waiting())
            || (args.success && state == JobState::Done)
            || (args.failed && state.is_failure())
    };
    Some(Ok(jobs.into_iter().filter(is_meant).collect()))
}

fn remove(session: &mut Session<'_, '_>, args: &RemoveArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let jobs = match to_remove(jobs, args) {
        None => {
            return Err(Failure::text_usage(
                "name jobs, or give `--all`, `--queued`, `--success` or `--failed`",
            ));
        }
        Some(Ok(jobs)) => jobs,
        Some(Err(jobs)) => chosen(&jobs, &args.task)?,
    };
    if jobs.is_empty() {
        session.note("Nothing to remove.")?;
        return Ok(ExitStatus::DONE);
    }
    queue.remove(&jobs)?;
    told(session, "removed", &jobs)
}

fn hold(session: &mut Session<'_, '_>, args: &JobsArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let jobs = chosen(&jobs, &args.jobs)?;
    queue.hold(&jobs)?;
    told(session, "held", &jobs)
}

fn release(session: &mut Session<'_, '_>, args: &JobsArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let jobs = chosen(&jobs, &args.jobs)?;
    queue.release(&jobs)?;
    told(session, "released", &jobs)
}

fn move_jobs(session: &mut Session<'_, '_>, args: &MoveArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let jobs = chosen(&jobs, &args.jobs.jobs)?;
    queue.reorder(&jobs, if args.last { Moved::Last } else { Moved::First })?;
    told(session, if args.last { "moved to the end" } else { "moved to the front" }, &jobs)
}

fn retry(session: &mut Session<'_, '_>, args: &RetryArgs) -> Outcome {
    if let Some(unknown) =
        args.cause.iter().find(|cause| !EndCause::WORDS.contains(&cause.as_str()))
    {
        let words = EndCause::WORDS.join(", ");
        return Err(Failure::TextUsage(format!("`{unknown}` is no cause; there are: {words}")));
    }
    let (queue, jobs) = opened(session)?;
    let mut meant = Vec::new();
    if args.failed {
        for job in jobs.into_iter().filter(|job| job.state.is_failure()) {
            let cause = queue.end(&job)?.and_then(|end| end.cause);
            let word = cause.as_ref().map_or("error", EndCause::word);
            let is_meant = if args.cause.is_empty() {
                job.state != JobState::Killed
            } else {
                args.cause.iter().any(|wanted| wanted == word)
            };
            if is_meant {
                meant.push(job);
            }
        }
        meant.sort_by_key(|job| job.number);
    } else {
        meant = chosen(&jobs, &args.jobs)?;
    }
    if meant.is_empty() {
        session.note("No job failed like that.")?;
        return Ok(ExitStatus::DONE);
    }
    queue.retry(&meant)?;
    told(session, "queued again", &meant)?;
    if queue.workers()?.is_empty() {
        session.note("run: exp queue start")?;
    }
    Ok(ExitStatus::DONE)
}

fn show(session: &mut Session<'_, '_>, args: &JobArgs) -> Outcome {
    let (queue, jobs) = seen(session)?;
    let job = chosen(&jobs, std::slice::from_ref(&args.job))?.remove(0);
    let spec = queue.spec(&job);
    let end = queue.end(&job)?;
    let project = session.project()?;
    let now = project.now();
    let kept = end.as_ref().and_then(exp_engine::JobEnd::experiment);
    // What was removed since has no record.
    let record = kept.and_then(|kept| project.experiments().record(&kept).ok().flatten());
    let logs = queue.logs(&job);
    let logs = logs.strip_prefix(session.cwd()).unwrap_or(&logs).to_path_buf();
    let text = view::one(&view::One {
        job: &job,
        spec: spec.as_ref().ok(),
        end: end.as_ref(),
        record: record.as_ref(),
        not_pushed: queue.not_pushed(&job)?.as_ref(),
        logs: logs.is_dir().then_some(logs.as_path()),
        now,
    });
    session.print(&text)?;
    if let Err(error) = spec
        && !job.state.is_final()
    {
        return Err(error.into());
    }
    Ok(ExitStatus::DONE)
}

/// Does something short with the queue.
fn brief<T>(session: &mut Session<'_, '_>, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
    session.perform(BRIEF, work)
}

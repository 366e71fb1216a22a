//! Workers: here in the foreground, or started in sessions of their own.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use exp_engine::core::{CancelToken, Ctx, NullSink};
use exp_engine::{Outcome as JobOutcome, Queue, WorkOptions, WorkerEvent, leave_session};

use super::Outcome;
use crate::args::queue::{DvcStartArgs, StartArgs, WorkerArgs};
use crate::commands::sync::pushed;
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::signals::{self, Patience};
use crate::view::change::counted;
use crate::view::queue as view;

/// How long a worker may take until it can be seen.
const START: Duration = Duration::from_secs(5);

/// What workers in the background say is begun anew when it has become so long.
const LONG_LOG: u64 = 1 << 20;

pub(super) fn start(session: &mut Session<'_, '_>, args: &StartArgs) -> Outcome {
    let (queue, jobs) = super::opened(session)?;
    let n_waiting = jobs.iter().filter(|job| job.state == exp_engine::JobState::Queued).count();
    if n_waiting == 0 && !args.keep {
        session
            .note("Nothing is queued. Queue experiments with: exp run --queue -S KEY=VALUE,…")?;
        return Ok(ExitStatus::DONE);
    }
    let n = spawn(session, &queue, args.jobs.get(), args.keep)?;
    let n_all = queue.workers()?.len();
    session.note(&match n {
        0 => format!("{} already running", are(n_all)),
        n => {
            format!("started {}; {} in the queue", counted(n, "worker"), counted(n_waiting, "job"))
        }
    })?;
    session.note("watch: exp queue status   wait: exp queue wait   stop: exp queue stop")?;
    Ok(ExitStatus::DONE)
}

fn are(n: usize) -> String {
    if n == 1 { "1 worker is".to_owned() } else { format!("{n} workers are") }
}

pub(super) fn dvc_start(session: &mut Session<'_, '_>, args: &DvcStartArgs) -> Outcome {
    let (queue, _) = super::opened(session)?;
    let n = spawn(session, &queue, args.jobs.get(), false)?;
    let plural = if n > 1 { "s" } else { "" };
    session.note(&format!("Started '{n}' new experiments task queue worker{plural}."))?;
    Ok(ExitStatus::DONE)
}

/// Starts workers until there are `wanted`, each in a session of its own, and returns how many were started.
pub(super) fn spawn(
    session: &mut Session<'_, '_>,
    queue: &Queue,
    wanted: usize,
    keep: bool,
) -> Result<usize, Failure> {
    let n_before = queue.workers()?.iter().filter(|worker| !worker.is_stopping).count();
    let missing = wanted.saturating_sub(n_before);
    if missing == 0 {
        return Ok(0);
    }
    let project = session.project()?;
    let Some(program) = session.io.env.program.clone() else {
        return Err(Failure::Refused("workers cannot be started from here".to_owned()));
    };
    let dir = project.scratch().join("queue");
    fs::create_dir_all(&dir).map_err(Failure::Output)?;
    let path = dir.join("workers.log");
    if fs::metadata(&path).is_ok_and(|found| found.len() > LONG_LOG) {
        fs::remove_file(&path).ok();
    }
    let log = File::options().create(true).append(true).open(&path).map_err(Failure::Output)?;
    let mut children = Vec::new();
    for _ in 0..missing {
        let (out, err) = (log.try_clone(), log.try_clone());
        let mut command = Command::new(&program);
        command.arg("worker").arg("--detached");
        if keep {
            command.arg("--keep");
        }
        let child = command
            .current_dir(project.root())
            .stdin(Stdio::null())
            .stdout(out.map_err(Failure::Output)?)
            .stderr(err.map_err(Failure::Output)?)
            .spawn()
            .map_err(Failure::Output)?;
        children.push(child);
    }
    // Who looks right after this sees them. One that found nothing to do may be gone by then.
    let start = Instant::now();
    let pids: Vec<u32> = children.iter().map(std::process::Child::id).collect();
    while start.elapsed() < START {
        let workers = queue.workers()?;
        let is_seen = |pid: &u32| workers.iter().any(|worker| worker.pid == *pid);
        let mut all = true;
        for (child, pid) in children.iter_mut().zip(&pids) {
            all &= is_seen(pid) || child.try_wait().map_err(Failure::Output)?.is_some();
        }
        if all {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(missing)
}

pub(super) fn worker(session: &mut Session<'_, '_>, args: &WorkerArgs) -> Outcome {
    let time_limit = args.time_limit.as_deref().map(duration).transpose()?;
    if args.detached {
        // A leader of a process group cannot; it has what it needs then.
        leave_session().ok();
    }
    let project = session.project()?;
    let queue = project.queue()?;
    let options = WorkOptions { max_jobs: args.max_jobs, time_limit, keep: args.keep };
    let token = CancelToken::new();
    let quiet = session.common.quiet;
    let unicode = session.io.unicode;
    let err = Mutex::new(&mut *session.io.err);
    let say = |text: &str| {
        if !quiet {
            let text = if unicode { text.to_owned() } else { crate::view::summary::ascii(text) };
            let mut err = err.lock().unwrap_or_else(PoisonError::into_inner);
            // Who no longer reads this does not end the work.
            writeln!(err, "{text}").and_then(|()| err.flush()).ok();
        }
    };
    let tell = |event: WorkerEvent<'_>| match event {
        WorkerEvent::Started { job } => {
            say(&format!(" ● {} (job {}) started", job.name, job.number));
        }
        WorkerEvent::Ended { job, end, .. } => say(&view::ended_line(job, end)),
        WorkerEvent::Pushed { job, push } => say(&pushed(job.name.as_str(), push)),
        WorkerEvent::Skipped { job, error } => {
            say(&format!(
                " ! {} (job {}) is left: {}",
                job.name,
                job.number,
                chain(error).join(": ")
            ));
        }
        _ => {}
    };
    let notice = |wish| {
        say(match wish {
            exp_engine::core::Cancel::Drain => {
                " leaving after this job; ctrl-c again stops it and queues it again"
            }
            exp_engine::core::Cancel::Stop => " stopping; the job is queued again",
        });
    };
    let ctx = Ctx::new(&NullSink, token.clone());
    let handles = session.io.handles_signals;
    let report = signals::guarded(handles, &token, Patience::Drain, &notice, || {
        queue.work(&ctx, &options, &tell)
    })?;
    let n_done = report.ran.iter().filter(|(_, end)| *end == JobOutcome::Done).count();
    match report.ran.len() {
        0 => say(" no job is waiting"),
        n if n == n_done => say(&format!(" {} done", counted(n, "job"))),
        n => say(&format!(" {} run, {} of them not finished", counted(n, "job"), n - n_done)),
    }
    // A job that fails is its own business: the worker did what it was started for.
    Ok(ExitStatus::DONE)
}

/// Reads a length of time: `90s`, `50m`, `1h30m`, `2d`.
fn duration(text: &str) -> Result<Duration, Failure> {
    let wrong = || {
        Failure::TextUsage(format!("`{text}` is no length of time: write 90s, 50m, 1h30m or 2d"))
    };
    let (mut seconds, mut number) = (0_u64, String::new());
    for character in text.chars() {
        let unit = match character {
            '0'..='9' => {
                number.push(character);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let n: u64 = number.parse().map_err(|_| wrong())?;
        seconds =
            n.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        number.clear();
    }
    if seconds == 0 || !number.is_empty() {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_numbers_with_units() {
        for (text, expect) in [("90s", 90), ("50m", 3_000), ("1h30m", 5_400), ("2d", 172_800)] {
            assert_eq!(duration(text).ok(), Some(Duration::from_secs(expect)), "{text}");
        }
        for bad in ["", "5", "m", "1x", "0s", "-1m", "1h30", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}

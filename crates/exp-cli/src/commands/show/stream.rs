//! `show --watch --json`: what happens to runs, one event a line, for programs that watch.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use exp_engine::core::Ctx;
use exp_engine::{LiveRun, LiveRuns, Project};
use serde_json::{Value as Json, json};

use crate::commands::Outcome;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::progress::point;
use crate::session::Session;

/// How often runs are looked at.
const STEP: Duration = Duration::from_millis(75);

/// Writes events until Ctrl-C, or until nobody reads them any more.
pub(super) fn stream(session: &mut Session<'_, '_>, project: &Project) -> Outcome {
    let mut runs = LiveRuns::of(project);
    let mut known: Vec<Known> = Vec::new();
    // One look, so that signals are heard all the time; what it writes to is taken out of the session meanwhile.
    let mut out: Box<dyn Write + Send> = Box::new(io::sink());
    std::mem::swap(&mut out, &mut session.io.out);
    let ended = session.look(|ctx| -> Result<(), Failure> {
        while let Some(events) = next(ctx, &mut runs, &mut known)? {
            for event in events {
                writeln!(out, "{event}").map_err(Failure::Output)?;
            }
            out.flush().map_err(Failure::Output)?;
        }
        Ok(())
    });
    session.io.out = out;
    ended.map(|()| ExitStatus::DONE)
}

/// A run that was told of.
struct Known {
    key: (String, Option<u64>),
    stage: Option<String>,
}

fn key(run: &LiveRun) -> (String, Option<u64>) {
    (run.name.clone(), run.job)
}

/// Waits until something has happened, and returns it; `None` when the end is asked for.
fn next(
    ctx: &Ctx<'_>,
    runs: &mut LiveRuns,
    known: &mut Vec<Known>,
) -> Result<Option<Vec<Json>>, Failure> {
    loop {
        if ctx.check().is_err() {
            return Ok(None);
        }
        let mut events = Vec::new();
        runs.look()?;
        known.retain(|old| {
            let goes_on = runs.runs().any(|run| key(run) == old.key);
            if !goes_on {
                let (name, job) = &old.key;
                events.push(json!({"event": "run-ended", "name": name, "job": job}));
            }
            goes_on
        });
        for run in runs.runs() {
            events.extend(events_of(run, known));
        }
        if !events.is_empty() {
            return Ok(Some(events));
        }
        thread::sleep(STEP);
    }
}

fn events_of(run: &LiveRun, known: &mut Vec<Known>) -> Vec<Json> {
    let mut events = Vec::new();
    let LiveRun { name, job, stage, .. } = run;
    let at = known.iter().position(|old| old.key == key(run)).unwrap_or_else(|| {
        let baseline = run.baseline.map(|commit| commit.to_string());
        events.push(json!({
            "event": "run", "name": name, "job": job, "baseline": baseline,
            "started": run.started.seconds, "private": run.is_private,
        }));
        known.push(Known { key: key(run), stage: None });
        known.len() - 1
    });
    if known[at].stage != *stage {
        known[at].stage.clone_from(stage);
        events.push(json!({"event": "stage", "name": name, "job": job, "stage": stage}));
    }
    if !run.news.is_empty() {
        let points: Vec<Json> = run.news.iter().map(point).collect();
        let event =
            json!({"event": "metrics", "name": name, "job": job, "stage": stage, "points": points});
        events.push(event);
    }
    events
}

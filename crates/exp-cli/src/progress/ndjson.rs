//! Events as newline-delimited JSON, for programs that watch.
//!
//! Each line is an object with `event`; fields are only ever added. Output of commands is text with replacement
//! characters where it is not UTF-8.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use exp_engine::core::{
    Cancel, Ended, Event, EventSink, MetricPoint, RestoredFrom, StageEvent, StageId, Stream,
    TaskEvent, TaskLabel, Unit, Until, exit_text,
};
use exp_engine::{Kept, RunOutcome};
use serde_json::{Value as Json, json};

use super::Progress;
use super::plain::warning_text;

/// Writes one JSON object a line.
pub(crate) struct NdjsonSink<'w> {
    out: Mutex<&'w mut (dyn Write + Send)>,
}

impl<'w> NdjsonSink<'w> {
    /// Writes to `out`.
    pub(crate) fn new(out: &'w mut (dyn Write + Send)) -> Self {
        Self { out: Mutex::new(out) }
    }

    fn line(&self, object: &Json) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed stream is noticed when the answer is written.
        let _ = writeln!(out, "{object}").and_then(|()| out.flush());
    }
}

impl Progress for NdjsonSink<'_> {
    fn sink(&self) -> &dyn EventSink {
        self
    }

    fn cancelling(&self, wish: Cancel) {
        let wish = match wish {
            Cancel::Drain => "drain",
            Cancel::Stop => "stop",
        };
        self.line(&json!({"event": "cancelling", "wish": wish}));
    }
}

impl EventSink for NdjsonSink<'_> {
    fn emit(&self, event: Event<'_>) {
        let object = match event {
            Event::Stage { stage, what } => stage_event(stage, &what),
            Event::Task { id, what } => task_event(id.0, what),
            Event::Run { name, baseline, overrides } => Some(
                json!({"event": "run", "name": name, "baseline": baseline, "overrides": overrides}),
            ),
            Event::Executing { at_once } => Some(json!({"event": "executing", "at_once": at_once})),
            Event::Warning(warning) => {
                Some(json!({"event": "warning", "text": warning_text(warning)}))
            }
            _ => None,
        };
        if let Some(object) = object {
            self.line(&object);
        }
    }
}

/// Returns the last line of a run: what came of it.
pub(crate) fn ended(outcome: &RunOutcome) -> Json {
    let how = match outcome.report.ended {
        Ended::Complete => "complete",
        Ended::Cancelled => "cancelled",
        Ended::Failed => "failed",
    };
    let kept = outcome.kept.as_ref().map(|kept| match kept {
        Kept::Experiment(_) => "experiment",
        Kept::SameAs(_) => "same",
        Kept::SameAsBaseline => "baseline",
        Kept::Unfinished(_) => "unfinished",
    });
    let experiment = outcome.kept.as_ref().and_then(Kept::experiment);
    let (name, commit) =
        (experiment.map(|one| one.name.to_string()), experiment.map(|one| one.commit.to_string()));
    let seconds = outcome.took.as_secs_f64();
    json!({"event": "ended", "how": how, "kept": kept, "name": name, "commit": commit, "seconds": seconds})
}

fn stage_event(stage: &StageId, what: &StageEvent<'_>) -> Option<Json> {
    let stage = stage.to_string();
    Some(match what {
        StageEvent::Fresh => json!({"event": "fresh", "stage": stage}),
        StageEvent::Restored { from } => {
            let from = match from {
                RestoredFrom::RunCache => "run-cache",
                _ => "lock-file",
            };
            json!({"event": "restored", "stage": stage, "from": from})
        }
        StageEvent::Verified => json!({"event": "verified", "stage": stage}),
        StageEvent::Started { reasons } => {
            let reasons: Vec<String> = reasons.iter().map(crate::view::reason::one).collect();
            json!({"event": "started", "stage": stage, "reasons": reasons})
        }
        StageEvent::Command { line } => {
            json!({"event": "command", "stage": stage, "line": line})
        }
        StageEvent::Output { stream, bytes } => {
            let stream = if *stream == Stream::Out { "stdout" } else { "stderr" };
            let text = String::from_utf8_lossy(bytes);
            json!({"event": "output", "stage": stage, "stream": stream, "text": text})
        }
        StageEvent::Metrics { points } => {
            let points: Vec<Json> = points.iter().map(point).collect();
            json!({"event": "metrics", "stage": stage, "points": points})
        }
        StageEvent::Finished { success, took } => {
            let seconds = took.as_secs_f64();
            json!({"event": "finished", "stage": stage, "success": success, "seconds": seconds})
        }
        StageEvent::Failed { failure } => {
            let why = crate::diagnostic::chain(*failure).join(": ");
            json!({"event": "failed", "stage": stage, "why": why})
        }
        StageEvent::Open { on } => {
            let on: Vec<String> = on.iter().map(ToString::to_string).collect();
            json!({"event": "open", "stage": stage, "on": on})
        }
        StageEvent::Locked { created } => {
            json!({"event": "locked", "stage": stage, "created": created})
        }
        StageEvent::Waiting { until } => {
            let until = match until {
                Until::SameRun => "same-run",
                _ => "claims",
            };
            json!({"event": "waiting", "stage": stage, "until": until})
        }
        StageEvent::Retrying { exit, next, of, pause } => {
            let (why, seconds) = (exit_text(exit), pause.as_secs_f64());
            json!({"event": "retrying", "stage": stage, "why": why, "try": next, "of": of, "seconds": seconds})
        }
        StageEvent::Skipped { because } => {
            json!({"event": "skipped", "stage": stage, "because": because.to_string()})
        }
        _ => return None,
    })
}

/// Writes a value of a metric. JSON has no number for what is not finite, so that is text, as `DVCLive` writes it.
pub(crate) fn point(point: &MetricPoint) -> Json {
    let MetricPoint { name, step, value } = point;
    let value = match *value {
        value if value.is_nan() => json!("nan"),
        f64::INFINITY => json!("inf"),
        f64::NEG_INFINITY => json!("-inf"),
        value => json!(value),
    };
    json!({"name": name, "step": step, "value": value})
}

fn task_event(id: u64, what: TaskEvent) -> Option<Json> {
    Some(match what {
        TaskEvent::Started { label, total, unit } => {
            let label = match label {
                TaskLabel::Scan => "scan",
                TaskLabel::Hash => "hash",
                TaskLabel::Checkout => "checkout",
                TaskLabel::Push => "push",
                TaskLabel::Pull => "pull",
                TaskLabel::Collect => "collect",
                _ => return None,
            };
            let unit = if unit == Unit::Bytes { "bytes" } else { "files" };
            json!({"event": "task-started", "task": id, "label": label, "total": total, "unit": unit})
        }
        TaskEvent::Advanced { by } => json!({"event": "task-advanced", "task": id, "by": by}),
        TaskEvent::Sized { bytes } => json!({"event": "task-sized", "task": id, "bytes": bytes}),
        TaskEvent::Moved { bytes } => json!({"event": "task-moved", "task": id, "bytes": bytes}),
        TaskEvent::Finished => json!({"event": "task-finished", "task": id}),
        _ => return None,
    })
}

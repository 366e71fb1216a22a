//! A frontend of one's own: everything that happens while a pipeline runs, as one JSON object a line on standard
//! output, for a program that watches.
//!
//! An [`EventSink`] gets typed events, from any thread, while the work goes on. It finds the words; the engine has none.
//!
//! ```console
//! $ cargo run -p exp-examples --example custom_frontend -- PATH | jq -r 'select(.event == "output").text'
//! ```

use std::io::{self, Write};
use std::sync::Mutex;

use exp_engine::RunRequest;
use exp_engine::core::{Cancel, CancelToken, Ctx, Event, EventSink, StageEvent, Stream, TaskEvent};
use exp_examples::{Failure, Place, print};
use serde_json::{Value, json};

/// Writes each event as a line of JSON, and asks the work to end when nobody reads them any more.
struct Lines {
    out: Mutex<io::Stdout>,
    cancel: CancelToken,
}

impl EventSink for Lines {
    fn emit(&self, event: Event<'_>) {
        let Some(line) = describe(&event) else { return };
        // The lock is held for one line, so that lines of two threads never mix.
        let written = self.out.lock().is_ok_and(|mut out| writeln!(out, "{line}").is_ok());
        if !written {
            // A sink cannot fail. It can cancel: the run is then recorded as interrupted.
            self.cancel.cancel(Cancel::Stop);
        }
    }
}

/// Says what an event is; `None` for those that this frontend does not show.
fn describe(event: &Event<'_>) -> Option<Value> {
    match event {
        Event::Stage { stage, what } => {
            let mut line = of_stage(what)?;
            line["stage"] = json!(stage.to_string());
            Some(line)
        }
        Event::Task { id, what: TaskEvent::Started { label, total, unit } } => Some(json!({
            "event": "task", "id": id.0, "label": format!("{label:?}").to_lowercase(),
            "total": total, "unit": format!("{unit:?}").to_lowercase(),
        })),
        Event::Task { id, what: TaskEvent::Finished } => {
            Some(json!({ "event": "task_finished", "id": id.0 }))
        }
        Event::Warning(warning) => {
            Some(json!({ "event": "warning", "text": format!("{warning:?}") }))
        }
        // Progress by the byte is left out here, and so is what later versions may add.
        _ => None,
    }
}

fn of_stage(what: &StageEvent<'_>) -> Option<Value> {
    Some(match what {
        StageEvent::Fresh => json!({ "event": "fresh" }),
        StageEvent::Restored { from } => {
            json!({ "event": "restored", "from": format!("{from:?}") })
        }
        StageEvent::Started { reasons } => json!({ "event": "started", "reasons": reasons.len() }),
        StageEvent::Command { line } => json!({ "event": "command", "line": line }),
        StageEvent::Output { stream, bytes } => json!({
            "event": "output",
            "stream": if *stream == Stream::Out { "stdout" } else { "stderr" },
            "text": String::from_utf8_lossy(bytes),
        }),
        StageEvent::Finished { success, took } => {
            json!({ "event": "finished", "success": success, "ms": took.as_millis() })
        }
        StageEvent::Failed { failure } => {
            json!({ "event": "failed", "why": failure.to_string() })
        }
        StageEvent::Skipped { because } => {
            json!({ "event": "skipped", "because": because.to_string() })
        }
        _ => return None,
    })
}

fn main() -> Result<(), Failure> {
    let place = match Place::named()? {
        Some(place) => place,
        None => Place::with_project()?,
    };
    let project = place.open()?;
    let cancel = CancelToken::new();
    let lines = Lines { out: Mutex::new(io::stdout()), cancel: cancel.clone() };
    let outcome = project.run(&Ctx::new(&lines, cancel), &RunRequest::default())?;

    // The answer comes last, as data like the rest.
    let experiment = outcome.kept.as_ref().and_then(|kept| kept.experiment());
    let ended = json!({
        "event": "ended",
        "how": format!("{:?}", outcome.report.ended).to_lowercase(),
        "experiment": experiment.map(|experiment| experiment.name.as_str()),
        "commit": experiment.map(|experiment| experiment.commit.to_string()),
        "ms": outcome.took.as_millis(),
    });
    Ok(print(&ended.to_string())?)
}

//! `exp show --watch --json`: a program that watches what other processes run.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::project::{Outcome, Project};

/// An event comes within this, or not at all: the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Takes events until one fulfils a condition.
fn wait_for(
    events: &Receiver<Json>,
    what: &str,
    is: impl Fn(&Json) -> bool,
) -> Result<Json, Box<dyn std::error::Error>> {
    let mut others = Vec::new();
    loop {
        match events.recv_timeout(PATIENCE) {
            Ok(event) if is(&event) => return Ok(event),
            Ok(event) => others.push(event.to_string()),
            Err(error) => return Err(format!("{what}: {error}, after {others:?}").into()),
        }
    }
}

#[test]
fn a_program_that_watches_is_told_of_runs_stages_and_metrics_as_they_come() -> Outcome {
    let project = Project::new()?;
    let stop = project.dir("stop");
    let script = format!(
        "echo step=1 acc=0.25\nn=0\nwhile [ ! -e '{0}' ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n + 1)); done\n\
         echo step=2 acc=0.75\necho model > model.txt\necho '{{\"accuracy\": 1}}' > metrics.json\n",
        stop.display()
    );
    project.write("train.sh", &script)?;
    let exp = project.program();
    let mut watcher = project
        .command(&exp.to_string_lossy(), "repo")
        .args(["show", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = watcher.stdout.take().ok_or("no output")?;
    let (sender, events) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let event = serde_json::from_str(&line).unwrap_or_else(|_| json!({"no JSON": line}));
            if sender.send(event).is_err() {
                break;
            }
        }
    });
    let mut run = project.start(&["run", "--temp", "-n", "watched"])?;
    let begun = wait_for(&events, "the run", |event| event["event"] == "run")?;
    assert_eq!((&begun["name"], &begun["private"]), (&json!("watched"), &json!(true)), "{begun}");
    assert_eq!(begun["baseline"], project.git(&["rev-parse", "HEAD"])?.trim());
    wait_for(&events, "the stage", |event| event["stage"] == "train")?;
    let measured = wait_for(&events, "the metric", |event| event["event"] == "metrics")?;
    assert_eq!(
        measured["points"],
        json!([{"name": "acc", "step": 1, "value": 0.25}]),
        "{measured}"
    );
    std::fs::write(&stop, "")?;
    assert!(run.wait()?.success());
    let ended = wait_for(&events, "the end", |event| event["event"] == "run-ended")?;
    assert_eq!(ended["name"], "watched");
    let told = Command::new("kill").args(["-INT", &watcher.id().to_string()]).status()?;
    assert!(told.success());
    let status = watcher.wait()?;
    assert!(status.code().is_some(), "it ends by itself: {status}");
    assert!(events.recv_timeout(PATIENCE).is_err(), "and says nothing more");
    Ok(())
}

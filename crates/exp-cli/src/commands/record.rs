//! `record`: run a command once and write the stage that it was.

use exp_engine::core::{Command, Exit, FailurePolicy, RelPath};
use exp_engine::{CommandStage, RecordRequest};

use super::run::command::shell_line;
use super::run::trace::sections;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::run::RecordArgs;
use crate::exit::ExitStatus;
use crate::session::{Perform, Session};
use crate::signals::Patience;
use crate::view::time;

pub(super) const COMMANDS: &[CommandSpec] = &[command! {
    args: RecordArgs,
    run: record,
    exp: Some("record"),
    dvc: None,
    topic: Topic::Pipeline,
    about: "Run a command once and write the stage that it was",
    long: "Run a command once and write the stage that it was: what it read becomes dependencies and parameters, what it \
           wrote outputs and metrics, and the result is recorded, so that the stage is up to date. Where strace is \
           there and may trace, every process is watched, else only what Python opens. Nothing is written when the \
           command fails.\n\nExamples:\n  exp record -- python train.py\n  exp record -n clean -- sh clean.sh data",
    dvc_failure: DvcFailure::PLAIN,
}];

fn record(session: &mut Session<'_, '_>, args: &RecordArgs) -> Outcome {
    let project = session.project()?;
    let cwd: RelPath = project.relative(session.cwd());
    let line = shell_line(&args.command);
    let name = if let Some(name) = &args.name {
        name.clone()
    } else {
        let dir = cwd.under(project.root());
        CommandStage::named(&dir, &args.command)
    };
    let request =
        RecordRequest { name, command: Command::Text(line), cwd: cwd.clone(), replace: args.force };
    let how = Perform {
        patience: Patience::Stop,
        on_failure: FailurePolicy::default(),
        json_events: false,
        asks: false,
    };
    let outcome = session.perform(how, |ctx| project.record(ctx, &request))?;
    let (Some(trace), Some(added)) = (&outcome.trace, &outcome.added) else {
        let stopped = outcome.ran.exit == Exit::Cancelled;
        let words = if stopped { "was stopped" } else { "failed" };
        session.note(&format!(" the command {words}; nothing was written to dvc.yaml"))?;
        return Ok(if stopped { ExitStatus::CANCELLED } else { ExitStatus::FAILED });
    };
    let file = added.id.file.relative_to(&cwd);
    let took = time::duration(outcome.ran.took);
    let mut text = format!(" ✓ recorded stage `{}` in {file}   {took}\n", request.name);
    for (section, names) in sections(&trace.additions) {
        if !names.is_empty() {
            text.push_str(&format!("   {section:<8} {}\n", names.join(", ")));
        }
    }
    text.push_str("   change it any time   undo: exp undo, twice\n");
    if trace.method == exp_engine::TraceMethod::Python {
        text.push_str(
            "   only what Python opened was seen: strace is not there or may not trace\n",
        );
    }
    let text = if session.io.unicode { text } else { crate::view::summary::ascii(&text) };
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

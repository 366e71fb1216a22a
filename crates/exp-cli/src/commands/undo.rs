//! `undo` and `log`: what happened, and taking it back.

mod values;

use exp_engine::refs::{Experiment, RunEnd, RunRecord};
use exp_engine::{Direction, Error, StageLog};

use super::apply::BRIEF;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::experiment::{LogArgs, UndoArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::change::{extent, operation, operation_lines};
use crate::view::{environment, time};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: UndoArgs,
        run: undo,
        exp: Some("undo"),
        dvc: None,
        topic: Topic::Keep,
        about: "Take back what the last command changed",
        long: "Take back what the last command changed: run, repro, apply, save, remove, rename, branch.\n\nFiles come \
               back byte for byte, experiments and branches as they were. Again goes one step further back; --redo goes \
               forward. Where something changed since, nothing is done and it is named.\n\nExamples:\n  exp undo\n  exp \
               undo --list\n  exp undo --redo",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: LogArgs,
        run: log,
        exp: Some("log"),
        dvc: None,
        topic: Topic::Compare,
        about: "Show how a run ended and what it printed, or log values of a step",
        long: "Show how a run ended and what it printed, or log values of a step.\n\nStage by stage. Logs are kept of the last 20 runs on this \
               machine, finished or not; of a run that did not finish they are part of its record, and stay with \
               it.\n\nWith KEY=VALUE, log values from a script, in the files of DVCLive: the latest of each metric in \
               dvclive/metrics.json, with --step a line in dvclive/plots/metrics/KEY.tsv too, with --params parameters in \
               dvclive/params.yaml. In a project the dvc.yaml of this directory names them, so that tables and plots show \
               them. Any number of processes may log at a time. Outside of a project the files are written all the \
               same.\n\nExamples:\n  exp log\n  exp log calm-otter --stage train\n  exp log --clear\n  exp log --params \
               lr=0.1 seed=1\n  exp log loss=0.31 train/acc=0.9 --step 3\n  exp log --python > exp_log.py",
        dvc_failure: DvcFailure::PLAIN,
    },
];

/// So many operations are listed.
const LISTED: usize = 20;

fn undo(session: &mut Session<'_, '_>, args: &UndoArgs) -> Outcome {
    let project = session.project()?;
    if args.list {
        let now = project.now();
        let history = project.history(LISTED)?;
        for entry in &history {
            let at = exp_engine::core::Timestamp { seconds: entry.logged.operation.at, offset: 0 };
            let state = if entry.is_undone { "  (undone)" } else { "" };
            let done = &entry.logged.operation;
            let (age, what, extent) = (time::age(at, now), operation(done), extent(done));
            session.say(&format!("{age:>4}  {what}  {extent}{state}"))?;
        }
        if history.is_empty() {
            session.note("Nothing to undo.")?;
        }
        return Ok(ExitStatus::DONE);
    }
    let direction = if args.redo { Direction::Redo } else { Direction::Undo };
    let Some(mut plan) = session.perform(BRIEF, |ctx| project.plan_undo(ctx, direction))? else {
        session.note(if args.redo { "Nothing to redo." } else { "Nothing to undo." })?;
        return Ok(ExitStatus::FAILED);
    };
    if args.dry {
        for line in operation_lines(&plan.operation) {
            session.say(&line)?;
        }
        let verb = if args.redo { "redo" } else { "undo" };
        session.note(&format!("Would {verb} '{}'.", operation(&plan.target.operation)))?;
        let changed = plan.changed_since.iter().map(ToString::to_string);
        for name in changed.chain(plan.moved_since) {
            session.note(&format!("changed since: {name}"))?;
        }
        return Ok(ExitStatus::DONE);
    }
    if args.force {
        plan = plan.over_changes();
    }
    let (what, lines) = (operation(&plan.target.operation), operation_lines(&plan.operation));
    let extent = extent(&plan.operation);
    session.perform(BRIEF, |ctx| project.undo(ctx, plan))?;
    let (done, back) = match direction {
        Direction::Undo => ("undid", "redo: exp undo --redo"),
        Direction::Redo => ("did", "undo: exp undo"),
    };
    let again = if args.redo { " again" } else { "" };
    session.note(&format!("{done} '{what}'{again}: {extent}"))?;
    for line in lines.iter().take(10) {
        session.note(&format!("  {line}"))?;
    }
    if lines.len() > 10 {
        session.note(&format!("  and {} more", lines.len() - 10))?;
    }
    session.note(back)?;
    Ok(ExitStatus::DONE)
}

fn log(session: &mut Session<'_, '_>, args: &LogArgs) -> Outcome {
    if args.values.python {
        session.print(values::MODULE)?;
        return Ok(ExitStatus::DONE);
    }
    if args.logs_values() {
        return values::log(session, args);
    }
    let named = match args.words.as_slice() {
        [] => None,
        [one] => Some(one.as_str()),
        _ => return Err(Failure::text_usage("name one experiment, or give KEY=VALUE")),
    };
    let project = session.project()?;
    let named = named.map(|spec| session.perform(BRIEF, |ctx| project.find_experiment(ctx, spec)));
    let found =
        named.transpose()?.map_or_else(|| project.latest_unfinished(), |one| Ok(Some(one)))?;
    let Some(experiment) = found else {
        session.note("No run failed: there is no log.")?;
        return Ok(ExitStatus::FAILED);
    };
    let record = project.experiments().record(&experiment).map_err(Error::from)?;
    let log = project.run_log(&experiment)?;
    tell(session, &experiment, record.as_ref())?;
    let Some(mut parts) = log else {
        session.note(
            "Its logs are not kept, or no longer: those of the last 20 runs are, on the machine where they ran.",
        )?;
        return Ok(ExitStatus::FAILED);
    };
    if let Some(wanted) = &args.stage {
        parts = of_stage(parts, wanted)?;
    }
    if parts.is_empty() {
        session.note("No command ran, so nothing was written.")?;
    }
    print_logs(session, &parts)
}

/// Writes what stages wrote, each with its name above it when there are several.
pub(super) fn print_logs(session: &mut Session<'_, '_>, parts: &[StageLog]) -> Outcome {
    let is_split = parts.len() > 1;
    for part in parts {
        if let (true, Some(stage)) = (is_split, &part.stage) {
            session.say(&format!("== {stage} =="))?;
        }
        session.io.out.write_all(&part.text).map_err(Failure::Output)?;
        if !part.text.is_empty() && !part.text.ends_with(b"\n") {
            session.say("")?;
        }
    }
    Ok(ExitStatus::DONE)
}

/// Returns the log of the stage that has this address, or this name when one alone has it.
fn of_stage(mut parts: Vec<StageLog>, wanted: &str) -> Result<Vec<StageLog>, Failure> {
    let is_named = |stage: &str| stage.rsplit_once(':').is_some_and(|(_, name)| name == wanted);
    let stages: Vec<String> = parts.iter().filter_map(|part| part.stage.clone()).collect();
    let exact = stages.iter().position(|stage| stage == wanted);
    let matching: Vec<usize> = (0..stages.len()).filter(|at| is_named(&stages[*at])).collect();
    let one = exact.or(if let [at] = matching[..] { Some(at) } else { None });
    match (one, &matching[..]) {
        (Some(at), _) => Ok(vec![parts.swap_remove(at)]),
        (None, _) if stages.len() < parts.len() => Err(Failure::Refused(
            "the logs of its stages are no longer kept one by one; leave out `--stage`".to_owned(),
        )),
        (None, []) => {
            let have = if stages.is_empty() { "none".to_owned() } else { stages.join(", ") };
            Err(Failure::Refused(format!("no log of stage `{wanted}`; there is: {have}")))
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|at| stages[*at].as_str()).collect();
            Err(Failure::TextUsage(format!("`{wanted}` may be: {}", names.join(", "))))
        }
    }
}

fn tell(
    session: &mut Session<'_, '_>,
    experiment: &Experiment,
    record: Option<&RunRecord>,
) -> Result<(), Failure> {
    let name = &experiment.name;
    let Some(record) = record else { return session.note(&format!("{name} finished.")) };
    let stage = record.stage.as_ref().map(|stage| format!(" in stage {stage}")).unwrap_or_default();
    let cause = match (record.end, record.exit_code, record.signal) {
        _ if experiment.is_finished => "finished".to_owned(),
        (_, Some(code), _) => format!("failed{stage} with exit status {code}"),
        (RunEnd::Interrupted, ..) => format!("was interrupted{stage}"),
        (RunEnd::Died, ..) => format!("died{stage}: its process vanished"),
        (_, _, Some(signal)) => format!("failed{stage}, ended by signal {signal}"),
        _ => format!("failed{stage}"),
    };
    let message = record.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let took =
        record.took.map(|took| format!(" after {}", time::duration(took))).unwrap_or_default();
    session.note(&environment::plain(&format!("{name} {cause}{message}{took}")))?;
    let mut lines = Vec::new();
    if !record.overrides.is_empty() {
        lines.push(("with", environment::plain(&record.overrides.join(" "))));
    }
    lines.extend(record.host.iter().map(|host| ("host", environment::plain(host))));
    lines.extend(environment::lines(record));
    if lines.is_empty() { Ok(()) } else { session.note(environment::titled(&lines).trim_end()) }
}

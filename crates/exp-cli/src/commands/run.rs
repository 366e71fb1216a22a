//! `run` and `repro`: bring stages up to date, as an experiment or plainly.

use std::io::{BufRead as _, Write as _};

use exp_engine::core::{
    Ctx, Ended, ExecuteOptions, FailurePolicy, Force, Outcome as StageOutcome, PlanOptions, Reach,
    RelPath, RunReport, Selection, StageId, Target, Verdict,
};
use exp_engine::params::Overrides;
use exp_engine::{Error, Kept, Place, Project, ReproRequest, RunOutcome, RunRequest};

use super::stage::{git_hint, select_failure};
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::run::{ReproArgs, RunArgs, StageFlags};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::progress::failure_text;
use crate::session::{Perform, Session};
use crate::signals::Patience;
use crate::view::summary;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: RunArgs,
        run: run,
        exp: Some("run"),
        dvc: Some("exp run"),
        topic: Topic::First,
        about: "Run what changed and record it as an experiment",
        long: "Run what changed and record it as an experiment.\n\nStages that did not change are left alone, those that \
               ran before with the same inputs are restored. A run that fails or is stopped is recorded too, with its \
               log. HEAD, the index and branches never move. The first ctrl-c lets the running stage finish, the \
               second stops it.\n\nExamples:\n  exp run -S lr=0.5\n  exp run -S model.depth=4 -m \"deeper\" train\n  \
               exp run --temp -S seed=2",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: ReproArgs,
        run: repro,
        exp: Some("repro"),
        dvc: Some("repro"),
        topic: Topic::Pipeline,
        about: "Run what changed without recording an experiment",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn run(session: &mut Session<'_, '_>, args: &RunArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let repro = request(session, &project, &cwd, &args.stages, Selecting::Names)?;
    let parsed =
        Overrides::parse(&args.set_param).map_err(|error| override_failure(session, &error))?;
    let Some(overrides) = parsed.single() else {
        return Err(if session.is_dvc() {
            Failure::Dvc {
                message: "Sweep overrides can't be used without `--queue`".to_owned(),
                code: 255,
            }
        } else {
            Failure::text_usage("a run has one value for each parameter; give one")
        });
    };
    ask(session, &project, &args.stages, &repro)?;
    let is_private = args.temp;
    let request = RunRequest {
        repro,
        overrides,
        cwd,
        name: args.name.clone().filter(|name| !name.is_empty()),
        message: args.message.clone().filter(|message| !message.is_empty()),
        replace: args.stages.force,
        place: if is_private {
            Place::Private { copy: args.copy_paths.clone() }
        } else {
            Place::Workspace
        },
    };
    let how = perform(&args.stages, args.json);
    let done = session.perform(how, |ctx| project.run(ctx, &request));
    let outcome = done.map_err(|error| select_failure(session, &project, error))?;
    if session.is_dvc() {
        return told_as_dvc(session, &outcome, &args.stages, is_private);
    }
    told(session, &project, &outcome, is_private)
}

/// Says what came of an experiment.
fn told(
    session: &mut Session<'_, '_>,
    project: &Project,
    outcome: &RunOutcome,
    is_private: bool,
) -> Outcome {
    let status = match outcome.report.ended {
        Ended::Complete => ExitStatus::DONE,
        Ended::Cancelled => ExitStatus::CANCELLED,
        Ended::Failed => ExitStatus::FAILED,
    };
    let Some(kept) = &outcome.kept else { return Ok(status) };
    if session.common.quiet {
        if let Some(experiment) = kept.experiment() {
            session.say(experiment.name.as_str())?;
        }
        return Ok(status);
    }
    let is_idle =
        outcome.report.stages.iter().all(|stage| matches!(stage.outcome, StageOutcome::Fresh));
    let (width, unicode) = (session.io.width, session.io.unicode);
    let text = match kept {
        Kept::SameAs(experiment) => summary::same(experiment.name.as_str(), is_idle, outcome.took),
        Kept::SameAsBaseline => {
            summary::same(&baseline_name(project, outcome), is_idle, outcome.took)
        }
        Kept::Unfinished(experiment) => {
            summary::unfinished(experiment.name.as_str(), &outcome.report, outcome.took)
        }
        Kept::Experiment(experiment) => {
            let commits = [outcome.baseline, experiment.commit];
            let options = exp_engine::CollectOptions {
                edges: exp_engine::Edges::No,
                ..exp_engine::CollectOptions::default()
            };
            let rows = exp_engine::collect_commits(&Ctx::silent(), project, &commits, options)?;
            summary::finished(&summary::Finished {
                name: experiment.name.as_str(),
                baseline: &baseline_name(project, outcome),
                rows: &rows,
                report: &outcome.report,
                took: outcome.took,
                is_private,
                width,
            })
        }
    };
    session.print(&if unicode { text } else { summary::ascii(&text) })?;
    Ok(status)
}

/// Returns what a person calls the commit that a run started from.
fn baseline_name(project: &Project, outcome: &RunOutcome) -> String {
    let branch = project.git().head().ok().and_then(|head| head.branch);
    branch.unwrap_or_else(|| outcome.baseline.short(7))
}

fn told_as_dvc(
    session: &mut Session<'_, '_>,
    outcome: &RunOutcome,
    flags: &StageFlags,
    is_private: bool,
) -> Outcome {
    failed_as_dvc(&outcome.report, flags)?;
    let Some(kept) = &outcome.kept else { return Ok(ExitStatus::DONE) };
    let name = kept.experiment().map_or("", |experiment| experiment.name.as_str());
    session.note(&format!("\nRan experiment(s): {name}"))?;
    session.note(if is_private {
        "To apply the results of an experiment to your workspace run:\n\n\tdvc exp apply <exp>"
    } else {
        "Experiment results have been applied to your workspace."
    })?;
    Ok(ExitStatus::DONE)
}

fn repro(session: &mut Session<'_, '_>, args: &ReproArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let selecting = if args.glob { Selecting::Globs } else { Selecting::Names };
    let mut request = request(session, &project, &cwd, &args.stages, selecting)?;
    request.execute.commit = !args.no_commit;
    request.execute.run_cache = !args.no_run_cache;
    ask(session, &project, &args.stages, &request)?;
    let how = perform(&args.stages, false);
    let done = session.perform(how, |ctx| project.reproduce(ctx, &request));
    let outcome = done.map_err(|error| select_failure(session, &project, error))?;
    let is_idle = !(outcome.report.stages.iter()).any(|stage| {
        matches!(
            stage.outcome,
            StageOutcome::Ran | StageOutcome::Restored(_) | StageOutcome::Verified
        ) || (args.stages.dry && !matches!(stage.outcome, StageOutcome::Fresh))
    });
    if session.is_dvc() {
        failed_as_dvc(&outcome.report, &args.stages)?;
        git_hint(session, &project, &outcome.written)?;
        session.note(if is_idle {
            "Data and pipelines are up to date."
        } else {
            "Use `dvc push` to send your updates to remote storage."
        })?;
        return Ok(ExitStatus::DONE);
    }
    if !session.common.quiet && !args.stages.dry {
        let text = summary::reproduced(&outcome.report, &outcome.written);
        let text = if session.io.unicode { text } else { summary::ascii(&text) };
        session.print(&text)?;
    }
    Ok(match outcome.report.ended {
        Ended::Complete => ExitStatus::DONE,
        Ended::Cancelled => ExitStatus::CANCELLED,
        Ended::Failed => ExitStatus::FAILED,
    })
}

/// Turns a run that did not end well into DVC's message.
fn failed_as_dvc(report: &RunReport, flags: &StageFlags) -> Result<(), Failure> {
    let failed: Vec<_> = (report.stages.iter())
        .filter(|stage| matches!(stage.outcome, StageOutcome::Failed(_) | StageOutcome::Cancelled))
        .collect();
    let message = match (report.ended, &failed[..]) {
        (Ended::Complete, _) => return Ok(()),
        (_, []) => {
            let message = "interrupted by the user".to_owned();
            return Err(Failure::Dvc { message, code: ExitStatus::DVC_INTERRUPTED.code() });
        }
        (_, [one]) if !flags.keep_going => {
            let why = match &one.outcome {
                StageOutcome::Failed(failure) => failure_text(failure),
                _ => "interrupted by the user".to_owned(),
            };
            format!("failed to reproduce '{}': {why}", one.id)
        }
        (_, [one]) => format!("failed to reproduce '{}'", one.id),
        (_, [others @ .., last]) => {
            let names: Vec<String> = others.iter().map(|stage| format!("'{}'", stage.id)).collect();
            format!("failed to reproduce stages: {} and '{}'", names.join(", "), last.id)
        }
    };
    Err(Failure::Dvc { message, code: 255 })
}

fn override_failure(
    session: &Session<'_, '_>,
    error: &exp_engine::params::OverrideError,
) -> Failure {
    let text = crate::diagnostic::chain(error).join(": ");
    if session.is_dvc() {
        Failure::Dvc { message: format!("Invalid `--set-param` value: {text}"), code: 255 }
    } else {
        Failure::TextUsage(text)
    }
}

/// How targets are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Selecting {
    Names,
    Globs,
}

/// Makes the request of the flags that `run` and `repro` share.
fn request(
    session: &Session<'_, '_>,
    project: &Project,
    cwd: &RelPath,
    flags: &StageFlags,
    selecting: Selecting,
) -> Result<ReproRequest, Failure> {
    let selection = selection(session, project, cwd, flags, selecting)
        .map_err(|error| select_failure(session, project, error))?;
    let force = match (flags.force, flags.force_downstream) {
        (true, _) => Force::All,
        (false, true) => Force::Downstream,
        (false, false) => Force::No,
    };
    let execute = ExecuteOptions {
        force,
        on_failure: policy(flags),
        dry: flags.dry,
        allow_missing: flags.allow_missing,
        ..ExecuteOptions::default()
    };
    Ok(ReproRequest { selection, execute })
}

fn selection(
    session: &Session<'_, '_>,
    project: &Project,
    cwd: &RelPath,
    flags: &StageFlags,
    selecting: Selecting,
) -> Result<Selection, Error> {
    if flags.all_pipelines {
        return Ok(Selection::All);
    }
    let reach = match flags {
        StageFlags { pipeline: true, .. } => Reach::Component,
        StageFlags { single_item: true, .. } => Reach::Single,
        StageFlags { downstream: true, .. } => Reach::Downstream,
        _ => Reach::Upstream,
    };
    if flags.targets.is_empty() {
        let has_own = cwd.under(project.root()).join("dvc.yaml").exists();
        if !session.is_dvc() && !has_own {
            return Ok(Selection::All);
        }
        return Ok(Selection::of_dir(cwd)?.reaching(reach));
    }
    let mut targets = Vec::new();
    for text in &flags.targets {
        let dir =
            cwd.join(text).ok().filter(|dir| flags.recursive && dir.under(project.root()).is_dir());
        targets.push(match (dir, selecting) {
            (Some(dir), _) => Target::Dir(dir),
            (None, Selecting::Globs) => Target::parse_glob(text, cwd)?,
            (None, Selecting::Names) => Target::parse(text, cwd)?,
        });
    }
    Ok(Selection::of(targets).reaching(reach))
}

fn policy(flags: &StageFlags) -> FailurePolicy {
    match (flags.keep_going, flags.ignore_errors) {
        (true, _) => FailurePolicy::KeepGoing,
        (_, true) => FailurePolicy::Ignore,
        _ => FailurePolicy::Stop,
    }
}

fn perform(flags: &StageFlags, json_events: bool) -> Perform {
    Perform { patience: Patience::Drain, on_failure: policy(flags), json_events }
}

/// With `--interactive`, asks about each stage that is to run, before the first one does.
fn ask(
    session: &mut Session<'_, '_>,
    project: &Project,
    flags: &StageFlags,
    request: &ReproRequest,
) -> Result<(), Failure> {
    if !flags.interactive {
        return Ok(());
    }
    let options =
        PlanOptions { force: request.execute.force, allow_missing: request.execute.allow_missing };
    let plan = project
        .forecast(&Ctx::silent(), &request.selection, options)
        .map_err(|error| select_failure(session, project, error))?;
    for step in plan.steps.iter().filter(|step| step.verdict != Verdict::Fresh) {
        if !session.io.can_ask || !agreed(session, &step.stage)? {
            return Err(if session.is_dvc() {
                Failure::Dvc {
                    message: format!(
                        "failed to reproduce '{}': reproduction aborted by the user",
                        step.stage
                    ),
                    code: 255,
                }
            } else if session.io.can_ask {
                Failure::Refused("nothing was run".to_owned())
            } else {
                Failure::text_usage("`--interactive` needs a terminal to ask at")
            });
        }
    }
    Ok(())
}

fn agreed(session: &mut Session<'_, '_>, stage: &StageId) -> Result<bool, Failure> {
    write!(
        session.io.err,
        "Going to reproduce stage: '{stage}'. Are you sure you want to continue? [y/n] "
    )
    .and_then(|()| session.io.err.flush())
    .map_err(Failure::Output)?;
    let mut answer = String::new();
    session.io.input.read_line(&mut answer).map_err(Failure::Output)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

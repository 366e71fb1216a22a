//! `run` and `repro`: bring stages up to date, as an experiment or plainly.

pub(super) mod command;
mod live;
pub(super) mod trace;

use std::num::NonZeroUsize;
use std::thread;

use exp_engine::core::{
    Ctx, Ended, ExecuteOptions, FailurePolicy, Force, Outcome as StageOutcome, PlanOptions, Reach,
    RelPath, RunReport, SelectError, Selection, StageId, Target,
};
use exp_engine::params::{Overrides, ParamChange};
use exp_engine::{
    Composition, DataError, DataScope, DataTransferRequest, Error, ForecastRequest, Kept, Place,
    Project, ReproRequest, RunOutcome, RunRequest, Tracer,
};

use super::stage::{git_hint, select_failure};
use super::sync::{push_after, push_after_as_dvc};
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::run::{OurReproArgs, OurRunArgs, ReproArgs, RunArgs, StageFlags, TraceFlags};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::progress::failure_text;
use crate::session::{Perform, Session};
use crate::signals::Patience;
use crate::view::{forecast, json, summary};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: OurRunArgs,
        run: our_run,
        exp: Some("run"),
        dvc: None,
        topic: Topic::First,
        about: "Run what changed and record it as an experiment",
        long: "Run what changed and record it as an experiment.\n\nStages that did not change are left alone, those that \
               ran before with the same inputs are restored. A run that fails or is stopped is recorded too, with its \
               log. HEAD, the index and branches never move. Stages that do not wait for each other run at the \
               same time, as many as the machine has cores; -j sets how many. The first ctrl-c lets what runs finish, \
               the second stops it.\n\nExamples:\n  exp run -S lr=0.5\n  exp run -S model.depth=4 -m \"deeper\" train\n  \
               exp run --temp -S seed=2\n  exp run -- python train.py\n\nWith a command behind -- its stage is written \
               to dvc.yaml first, with what names in the command and its script say that it reads and writes; where \
               there is no project, one is made.",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: RunArgs,
        run: dvcs_run,
        exp: None,
        dvc: Some("exp run"),
        topic: Topic::First,
        about: "Run what changed and record it as an experiment",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: OurReproArgs,
        run: our_repro,
        exp: Some("repro"),
        dvc: None,
        topic: Topic::Pipeline,
        about: "Run what changed without recording an experiment",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: ReproArgs,
        run: dvcs_repro,
        exp: None,
        dvc: Some("repro"),
        topic: Topic::Pipeline,
        about: "Run what changed without recording an experiment",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn our_run(session: &mut Session<'_, '_>, args: &OurRunArgs) -> Outcome {
    if args.command.is_empty() {
        return run(session, &args.run, args.trace);
    }
    let stages = &args.run.stages;
    if !stages.targets.is_empty() || stages.dry || args.run.temp || args.run.run_all {
        return Err(Failure::text_usage(
            "a command behind `--` goes with neither targets, --dry, --temp nor --run-all",
        ));
    }
    let name = command::prepare(session, &args.command)?;
    let mut run_args = args.run.clone();
    run_args.stages.targets = vec![name];
    run(session, &run_args, args.trace)
}

fn our_repro(session: &mut Session<'_, '_>, args: &OurReproArgs) -> Outcome {
    repro(session, &args.repro, args.trace)
}

fn dvcs_run(session: &mut Session<'_, '_>, args: &RunArgs) -> Outcome {
    run(session, args, TraceFlags::default())
}

fn dvcs_repro(session: &mut Session<'_, '_>, args: &ReproArgs) -> Outcome {
    repro(session, args, TraceFlags::default())
}

/// Makes what watches the stages, if they are to be watched. What is restored opens nothing, so nothing is.
fn tracer(
    project: &Project,
    flags: TraceFlags,
    request: &mut ReproRequest,
) -> Result<Option<Tracer>, Failure> {
    if flags.trace {
        request.execute.run_cache = false;
        request.trace = Some(Tracer::new(project).map_err(Error::from)?);
    }
    Ok(request.trace.clone())
}

/// Returns the changes of parameters that are asked for, and whether Hydra's rules compose them.
pub(super) fn parameters(
    session: &Session<'_, '_>,
    project: &Project,
    args: &RunArgs,
) -> Result<(Overrides, Composition), Failure> {
    let composition = if args.no_hydra { Composition::No } else { Composition::Configured };
    let parsed = if project.config().hydra().enabled && !args.no_hydra {
        Overrides::parse_composed(&args.set_param)
    } else {
        Overrides::parse(&args.set_param)
    };
    Ok((parsed.map_err(|error| override_failure(session, &error))?, composition))
}

fn run(session: &mut Session<'_, '_>, args: &RunArgs, flags: TraceFlags) -> Outcome {
    if flags.trace && (args.queue || args.run_all) {
        return Err(Failure::text_usage("`--trace` watches the workspace; leave out `--queue`"));
    }
    let has_place = args.temp || args.queue || session.is_dvc();
    if !has_place && !args.copy_paths.is_empty() {
        return Err(Failure::text_usage(
            "`-C` copies into a private copy of the code: give `--temp` or `--queue` with it",
        ));
    }
    if args.run_all {
        return super::queue::add::run_all(session, args);
    }
    if args.queue {
        return super::queue::add::queue(session, args, false);
    }
    if args.sweep.is_given() {
        return Err(Failure::text_usage(
            "`--sample`, `--repeat`, `--missing` and `--draw-seed` choose what is queued: give `--queue`",
        ));
    }
    if flags.trace && args.json {
        return Err(Failure::text_usage(
            "what `--trace` finds is told in words; leave out `--json`",
        ));
    }
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let mut repro = request(session, &project, &cwd, &args.stages)?;
    let tracer = tracer(&project, flags, &mut repro)?;
    let (parsed, composition) = parameters(session, &project, args)?;
    let Some(overrides) = parsed.single() else {
        return Err(if session.is_dvc() {
            Failure::Dvc {
                message: "Sweep overrides can't be used without `--queue`".to_owned(),
                code: 255,
            }
        } else {
            Failure::text_usage(
                "several values are several runs: give `--queue`, then `exp queue start -j N`",
            )
        });
    };
    let name = args.name.clone().filter(|name| !name.is_empty());
    if args.stages.dry && !session.is_dvc() {
        let allowed = project.check_run(name.as_deref(), args.stages.force);
        allowed.map_err(|error| select_failure(session, &project, error))?;
        let wanted = forecast_request(&repro, overrides, cwd, composition);
        return dry(session, &project, &wanted, repro.execute.jobs, args.json);
    }
    may_ask(session, &args.stages)?;
    if args.stages.pull && !args.stages.dry {
        pull_missing(session, &project, &args.stages)?;
    }
    let is_private = args.temp;
    let reference = live::watched(session, &project, args.json, &mut repro);
    let request = RunRequest {
        repro,
        overrides,
        cwd,
        name,
        message: args.message.clone().filter(|message| !message.is_empty()),
        replace: args.stages.force,
        place: if is_private {
            Place::Private { copy: args.copy_paths.clone() }
        } else {
            Place::Workspace
        },
        composition,
    };
    let how = perform(&args.stages, args.json);
    let done = session.perform_beside(how, reference, |ctx| project.run(ctx, &request));
    let outcome = done.map_err(|error| match error {
        Error::Declined { stage } if session.is_dvc() => declined_as_dvc(&stage),
        error => select_failure(session, &project, error),
    })?;
    if args.json {
        // Words have no place among the events.
        session.say(&crate::progress::ended(&outcome).to_string())?;
        if session.is_dvc() {
            failed_as_dvc(&outcome.report, &args.stages)?;
        }
        push_after(session, &project, outcome.kept.as_ref())?;
        return Ok(status_of(&outcome.report));
    }
    if session.is_dvc() {
        push_after_as_dvc(session, &project, outcome.kept.as_ref())?;
        return told_as_dvc(session, &outcome, &args.stages, is_private);
    }
    let status = told(session, &project, &outcome, is_private)?;
    push_after(session, &project, outcome.kept.as_ref())?;
    if let Some(tracer) = &tracer {
        trace::told(session, &project, tracer, flags.write)?;
    }
    Ok(status)
}

/// Returns the exit status that says how a run ended.
fn status_of(report: &RunReport) -> ExitStatus {
    match report.ended {
        Ended::Complete => ExitStatus::DONE,
        Ended::Cancelled => ExitStatus::CANCELLED,
        Ended::Failed => ExitStatus::FAILED,
    }
}

/// Says what came of an experiment.
fn told(
    session: &mut Session<'_, '_>,
    project: &Project,
    outcome: &RunOutcome,
    is_private: bool,
) -> Outcome {
    let status = status_of(&outcome.report);
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

fn repro(session: &mut Session<'_, '_>, args: &ReproArgs, flags: TraceFlags) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let mut request = request(session, &project, &cwd, &args.stages)?;
    request.execute.commit = !args.no_commit;
    let tracer = tracer(&project, flags, &mut request)?;
    if args.stages.dry && !session.is_dvc() {
        let wanted = forecast_request(&request, Vec::new(), cwd, Composition::No);
        return dry(session, &project, &wanted, request.execute.jobs, false);
    }
    may_ask(session, &args.stages)?;
    if args.stages.pull && !args.stages.dry {
        pull_missing(session, &project, &args.stages)?;
    }
    let how = perform(&args.stages, false);
    let reference = live::watched(session, &project, false, &mut request);
    let done = session.perform_beside(how, reference, |ctx| project.reproduce(ctx, &request));
    if session.is_dvc() && matches!(&done, Err(Error::Select(SelectError::NoMatch { .. }))) {
        // DVC then does what was not asked for, everything, and says nothing of it either.
        session.note("Data and pipelines are up to date.")?;
        return Ok(ExitStatus::DONE);
    }
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
        let logs = outcome.logs.strip_prefix(session.cwd()).unwrap_or(&outcome.logs).display();
        let text = summary::reproduced(&outcome.report, &outcome.written, &logs.to_string());
        let text = if session.io.unicode { text } else { summary::ascii(&text) };
        session.print(&text)?;
    }
    if let Some(tracer) = &tracer {
        trace::told(session, &project, tracer, flags.write)?;
    }
    Ok(status_of(&outcome.report))
}

/// Receives what the store lacks. What no remote has is no failure: a stage may make it.
fn pull_missing(
    session: &mut Session<'_, '_>,
    project: &Project,
    flags: &StageFlags,
) -> Result<(), Failure> {
    // A pattern or a group is no name of data; then everything is received.
    let is_plain = !flags.glob && !flags.all_pipelines && !flags.pipeline;
    let targets = if is_plain { session.targets(project, &flags.targets) } else { Vec::new() };
    let scope = DataScope {
        targets,
        cwd: project.relative(session.cwd()),
        with_deps: true,
        recursive: flags.recursive,
    };
    let request = DataTransferRequest {
        scope,
        run_cache: !flags.no_run_cache,
        ..DataTransferRequest::default()
    };
    let fetched = session.look(|ctx| {
        let fetched = project.fetch_data(ctx, &request);
        match fetched {
            Err(Error::Data(DataError::UnknownTarget { .. })) => {
                let scope = DataScope { targets: Vec::new(), ..request.scope.clone() };
                project.fetch_data(ctx, &DataTransferRequest { scope, ..request })
            }
            fetched => fetched,
        }
    });
    let n_moved = fetched?.n_moved();
    if n_moved > 0 && !session.is_dvc() {
        session.note(&format!(" data  {n_moved} objects received"))?;
    }
    Ok(())
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

/// Words a run of which the first stage was declined, as DVC does.
fn declined_as_dvc(stage: &StageId) -> Failure {
    let why = failure_text(&exp_engine::core::Failure::Declined);
    Failure::Dvc { message: format!("failed to reproduce '{stage}': {why}"), code: 255 }
}

pub(super) fn override_failure(
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

/// Makes the request of the flags that `run` and `repro` share.
pub(super) fn request(
    session: &Session<'_, '_>,
    project: &Project,
    cwd: &RelPath,
    flags: &StageFlags,
) -> Result<ReproRequest, Failure> {
    let selection = selection(session, project, cwd, flags)
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
        run_cache: !flags.no_run_cache,
        // Who is asked about one stage after the other sees one run after the other.
        jobs: if flags.interactive { 1 } else { jobs(session, flags).get() },
        ..ExecuteOptions::default()
    };
    let pulls = flags.pull && !flags.dry;
    Ok(ReproRequest { selection, execute, bring: pulls, fetch: pulls, trace: None, live: false })
}

/// Returns how many stages run at a time. The order of DVC's output is a promise, so there it is one unless more are
/// asked for.
fn jobs(session: &Session<'_, '_>, flags: &StageFlags) -> NonZeroUsize {
    let one = NonZeroUsize::MIN;
    let usual =
        || if session.is_dvc() { one } else { thread::available_parallelism().unwrap_or(one) };
    flags.jobs.unwrap_or_else(usual)
}

fn selection(
    session: &Session<'_, '_>,
    project: &Project,
    cwd: &RelPath,
    flags: &StageFlags,
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
    for text in &session.targets(project, &flags.targets) {
        let dir =
            cwd.join(text).ok().filter(|dir| flags.recursive && dir.under(project.root()).is_dir());
        targets.push(match dir {
            Some(dir) => Target::Dir(dir),
            None if flags.glob => Target::parse_glob(text, cwd)?,
            None => Target::parse(text, cwd)?,
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
    let (patience, on_failure, asks) = (Patience::Drain, policy(flags), flags.interactive);
    Perform { patience, on_failure, json_events, asks }
}

/// Makes the request for a forecast of a run.
fn forecast_request(
    request: &ReproRequest,
    overrides: Vec<ParamChange>,
    cwd: RelPath,
    composition: Composition,
) -> ForecastRequest {
    let options = PlanOptions {
        force: request.execute.force,
        allow_missing: request.execute.allow_missing,
        run_cache: request.execute.run_cache,
    };
    ForecastRequest { selection: request.selection.clone(), options, overrides, cwd, composition }
}

/// Says what a run would do, and does nothing.
fn dry(
    session: &mut Session<'_, '_>,
    project: &Project,
    wanted: &ForecastRequest,
    jobs: usize,
    as_json: bool,
) -> Outcome {
    let found = session.look(|ctx| project.forecast(ctx, wanted));
    let found = found.map_err(|error| select_failure(session, project, error))?;
    if as_json {
        session.print(&json::line(&forecast::event(&found, jobs)))?;
        return Ok(ExitStatus::DONE);
    }
    let text = forecast::dry(&found, jobs, session.line_width());
    session.print(&if session.io.unicode { text } else { summary::ascii(&text) })?;
    Ok(ExitStatus::DONE)
}

/// Refuses `--interactive` where nobody can be asked. DVC takes nobody's answer for a no, when there is something to ask.
fn may_ask(session: &Session<'_, '_>, flags: &StageFlags) -> Result<(), Failure> {
    if flags.interactive && !session.is_dvc() && !session.io.can_ask {
        return Err(Failure::text_usage("`--interactive` needs a terminal to ask at"));
    }
    Ok(())
}

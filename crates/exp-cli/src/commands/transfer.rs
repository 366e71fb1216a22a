//! `data push`, `data pull`, `data fetch`: data between the store and remotes.

mod cloud;
mod dvc;

pub(super) use cloud::{cloud_status, is_cloud, meaningless};
pub(super) use dvc::worded;

use exp_engine::core::{OutKind, RelPath, StageId};
use exp_engine::{
    DataPiece, DataRevisions, DataScope, DataTransfer, DataTransferReport, DataTransferRequest,
    Project, UnsavedData,
};

use super::data::words;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::transfer::{DataFetchArgs, DataPullArgs, DataPushArgs, TransferArgs};
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::size;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: DataPushArgs,
        run: push,
        exp: Some("data push"),
        dvc: Some("push"),
        topic: Topic::Pipeline,
        about: "Send data to its remote",
        long: "Send data to its remote.\n\nWhat the remote has already is not sent again. An interrupted push is \
               continued by the next one.\n\nExamples:\n  exp data push\n  exp data push images model.bin\n  exp data \
               push -r backup --all-commits",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to push data to the cloud" },
    },
    command! {
        args: DataPullArgs,
        run: pull,
        exp: Some("data pull"),
        dvc: Some("pull"),
        topic: Topic::Pipeline,
        about: "Receive data and bring it into the workspace",
        long: "Receive data and bring it into the workspace.\n\nFiles with content that is stored nowhere are not \
               replaced without --force, which keeps them for `exp undo`.\n\nExamples:\n  exp data pull\n  exp data \
               pull images/a.png",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to pull data from the cloud" },
    },
    command! {
        args: DataFetchArgs,
        run: fetch,
        exp: Some("data fetch"),
        dvc: Some("fetch"),
        topic: Topic::Pipeline,
        about: "Receive data into the store; the workspace stays as it is",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to fetch data from the cloud" },
    },
];

fn push(session: &mut Session<'_, '_>, args: &DataPushArgs) -> Outcome {
    let project = session.project()?;
    let request = DataTransferRequest {
        glob: args.glob,
        run_cache: args.runs.is_on(),
        ..request(session, &project, &args.transfer)
    };
    let result = session.look(|ctx| project.send_data(ctx, &request));
    if session.is_dvc() {
        return dvc::tell_push(session, &project, &request, result);
    }
    let report = result?;
    tell(session, &report, ("sent", "the remote has everything already"))?;
    tell_recorded(session, &report)?;
    for one in &report.transfers {
        if !project.is_remote_committed(&one.remote) {
            session.note(&format!(
                " ! remote `{}` is configured here only: commit .dvc/config, so that a clone finds the data",
                one.remote
            ))?;
        }
    }
    for one in &report.unreadable {
        session.warn(&format!("warning: {} of `{}` is left out", one.1, one.0))?;
    }
    let status = tell_failed(session, &report)?;
    if report.missing.is_empty() {
        return Ok(status);
    }
    let names = named(session, &project, &report.missing);
    session.warn(&format!(
        "error: neither in the store nor on the remote: {names}\nhint: push it from where it is, or make it again with \
         `exp repro`"
    ))?;
    Ok(ExitStatus::FAILED)
}

fn fetch(session: &mut Session<'_, '_>, args: &DataFetchArgs) -> Outcome {
    let project = session.project()?;
    let kind = |name: &String| if name == "metrics" { OutKind::Metric } else { OutKind::Plot };
    let request = DataTransferRequest {
        run_cache: args.runs.is_on(),
        max_size: args.max_size,
        kinds: args.kinds.iter().map(kind).collect(),
        ..request(session, &project, &args.transfer)
    };
    let result = session.look(|ctx| project.fetch_data(ctx, &request));
    if session.is_dvc() {
        return dvc::tell_fetch(session, &project, &request, result);
    }
    let report = result?;
    tell(session, &report, ("received", "the store has everything already"))?;
    tell_absent(session, &project, &report, false)
}

fn pull(session: &mut Session<'_, '_>, args: &DataPullArgs) -> Outcome {
    let project = session.project()?;
    let request = DataTransferRequest {
        glob: args.glob,
        run_cache: args.runs.is_on(),
        ..request(session, &project, &args.transfer)
    };
    let result = session.look(|ctx| project.fetch_data(ctx, &request));
    if session.is_dvc() {
        return dvc::tell_pull(session, &project, (&request, args), result);
    }
    let report = result?;
    tell(session, &report, ("received", "the store has everything already"))?;
    let status = tell_absent(session, &project, &report, args.allow_missing)?;
    let unsaved = if args.force { UnsavedData::Keep } else { UnsavedData::Refuse };
    let brought = session.look(|ctx| {
        let scope = project.matching(&request)?;
        let plan = project.plan_data_checkout(ctx, &scope)?;
        project.checkout_data(ctx, plan, unsaved)
    });
    let brought = brought.map_err(|error| words::worded(session, &project, error))?;
    let imports = session.look(|ctx| project.bring_imports(ctx, &report.imports.unrecorded))?;
    let cwd = project.relative(session.cwd());
    for path in &imports {
        super::data::say(session, &format!("A       {}", path.relative_to(&cwd)))?;
    }
    for change in &brought.changed {
        let line = super::data::line(change, &cwd);
        super::data::say(session, &line)?;
    }
    if !brought.changed.is_empty() {
        session.note(&format!("{}   undo: exp undo", super::data::summary(&brought)))?;
    }
    super::data::refuse_damaged(session, brought.damaged)?;
    // What was not received has been told.
    let told: Vec<&RelPath> = report
        .missing
        .iter()
        .chain(report.without_remote.iter())
        .chain(report.failed.iter().map(|(piece, _)| piece))
        .map(|piece| &piece.path)
        .collect();
    let untold: Vec<RelPath> = (brought.missing.into_iter())
        .filter(|path| !told.iter().any(|told| told.starts_with(path)))
        .collect();
    if untold.is_empty() || args.allow_missing {
        return Ok(status);
    }
    Err(exp_engine::Error::MissingData { paths: untold }.into())
}

fn request(
    session: &Session<'_, '_>,
    project: &Project,
    args: &TransferArgs,
) -> DataTransferRequest {
    DataTransferRequest {
        scope: DataScope {
            targets: session.targets(project, &args.targets),
            cwd: project.relative(session.cwd()),
            with_deps: args.with_deps,
            recursive: args.recursive,
        },
        revisions: DataRevisions {
            branches: args.all_branches,
            tags: args.all_tags,
            commits: args.all_commits,
            experiments: args.all_experiments,
        },
        remote: args.remote.clone(),
        jobs: args.jobs(),
        refresh: args.refresh,
        ..DataTransferRequest::default()
    }
}

/// Says what moved, remote by remote.
fn tell(
    session: &mut Session<'_, '_>,
    report: &DataTransferReport,
    (verb, nothing): (&str, &str),
) -> Result<(), Failure> {
    for one in &report.transfers {
        session.note(&line(one, verb))?;
    }
    if report.imports.moved > 0 {
        let n = report.imports.moved;
        let objects = if n == 1 { "1 object" } else { &format!("{n} objects") };
        session.note(&format!(" data  from where it was imported  {objects} {verb}"))?;
    }
    if report.transfers.is_empty() && report.imports.moved == 0 && report.is_complete() {
        session.note("No data is recorded here that has a remote.")?;
    } else if report.n_moved() == 0 && report.recorded.is_empty() && report.is_complete() {
        session.note(&format!("Nothing to do: {nothing}."))?;
    }
    Ok(())
}

/// Says what moved between the store and one remote.
pub(super) fn line(one: &DataTransfer, verb: &str) -> String {
    let objects =
        if one.moved == 1 { "1 object".to_owned() } else { format!("{} objects", one.moved) };
    let runs = match one.n_runs {
        0 => String::new(),
        1 => "; 1 recorded run".to_owned(),
        n => format!("; {n} recorded runs"),
    };
    let bytes = size(one.bytes);
    // Of what was quick or little the rate says nothing.
    let rate = match one.took.as_millis() {
        ..1_000 => String::new(),
        _ if one.bytes < 1 << 20 => String::new(),
        took => u64::try_from(u128::from(one.bytes) * 1_000 / took)
            .map(|rate| format!(" at {}/s", size(rate)))
            .unwrap_or_default(),
    };
    let (remote, url, n) = (&one.remote, &one.url, one.already_there);
    format!(" data  {remote} ({url})  {objects}, {bytes} {verb}{rate}; {n} already there{runs}")
}

/// Says which records name the versions of what was sent.
fn tell_recorded(
    session: &mut Session<'_, '_>,
    report: &DataTransferReport,
) -> Result<(), Failure> {
    let mut files: Vec<String> = report.recorded.iter().map(recorded_in).collect();
    files.dedup();
    if files.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = files.iter().map(|file| format!("`{file}`")).collect();
    session.note(&format!(
        "recorded in {}: commit {} so that others find the versions   undo: exp undo",
        words::listed(&names),
        if names.len() == 1 { "it" } else { "them" }
    ))
}

/// Returns the file that records what a stage made.
fn recorded_in(stage: &StageId) -> String {
    match &stage.name {
        Some(_) => {
            stage.file.as_str().strip_suffix("dvc.yaml").unwrap_or_default().to_owned() + "dvc.lock"
        }
        None => stage.file.to_string(),
    }
}

fn tell_failed(
    session: &mut Session<'_, '_>,
    report: &DataTransferReport,
) -> Result<ExitStatus, Failure> {
    const MOST: usize = 10;
    for (piece, error) in report.failed.iter().take(MOST) {
        let why = chain(error).join(": ");
        session.warn(&format!("error: `{}` was not moved: {why}", piece.path))?;
    }
    if report.failed.len() > MOST {
        session.warn(&format!("error: {} more were not moved", report.failed.len() - MOST))?;
    }
    if report.failed.is_empty() {
        return Ok(ExitStatus::DONE);
    }
    session.warn("hint: what was moved stays; the same command moves the rest")?;
    Ok(ExitStatus::FAILED)
}

/// Says what could not be received.
fn tell_absent(
    session: &mut Session<'_, '_>,
    project: &Project,
    report: &DataTransferReport,
    is_allowed: bool,
) -> Outcome {
    let mut status = tell_failed(session, report)?;
    for (path, error) in &report.imports.failed {
        let why = chain(error).join(": ");
        session
            .warn(&format!("error: `{path}` was not fetched from where it was imported: {why}"))?;
        status = ExitStatus::FAILED;
    }
    for (revision, error) in &report.unreadable {
        session.warn(&format!("warning: {error} of `{revision}` is left out"))?;
    }
    if !report.without_remote.is_empty() {
        let names = named(session, project, &report.without_remote);
        session.warn(&format!(
            "error: no data remote is set that this could come from: {names}\nhint: run `exp remote add -d store URL` \
             with the URL that it was pushed to"
        ))?;
        status = ExitStatus::FAILED;
    }
    if !report.missing.is_empty() && !is_allowed {
        let names = named(session, project, &report.missing);
        session.warn(&format!(
            "error: the remote does not have {names}\nhint: who has it runs `exp data push --refresh`; stages make \
             theirs again with `exp repro`"
        ))?;
        status = ExitStatus::FAILED;
    }
    Ok(status)
}

/// Names the first few pieces by path and revision.
fn named(session: &Session<'_, '_>, project: &Project, pieces: &[DataPiece]) -> String {
    const MOST: usize = 10;
    let cwd = project.relative(session.cwd());
    let mut names: Vec<String> = (pieces.iter().take(MOST))
        .map(|piece| {
            let path = piece.path.relative_to(&cwd);
            match &piece.revision {
                Some(revision) => format!("`{path}` of {revision}"),
                None => format!("`{path}`"),
            }
        })
        .collect();
    if pieces.len() > MOST {
        names.push(format!("{} more", pieces.len() - MOST));
    }
    words::listed(&names)
}

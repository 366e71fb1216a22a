//! DVC's `push`, `pull` and `fetch`: the same transfers in its words.
//!
//! Where DVC's behaviour is a bug, ours differs: a manifest is not counted, or sent, before its files, and a file that
//! was deleted on the remote is sent again.

use exp_engine::cache::TransferError;
use exp_engine::core::RelPath;
use exp_engine::{
    CheckoutReport, ConfigError, DataError, DataTransferReport, DataTransferRequest, Error,
    Project, SyncError, UnsavedData,
};

use crate::args::transfer::DataPullArgs;
use crate::commands::Outcome;
use crate::commands::data::{self, words};
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;

const UP_TO_DATE: &str = "Everything is up to date.";

type Reported = Result<DataTransferReport, Error>;

pub(super) fn tell_push(
    session: &mut Session<'_, '_>,
    project: &Project,
    request: &DataTransferRequest,
    result: Reported,
) -> Outcome {
    let prefix = "failed to push data to the cloud";
    let report = match result {
        Ok(report) if report.transfers.is_empty() && !has_remote(project, request) => {
            return Err(failed(prefix, &no_remote(project)));
        }
        Ok(report) => report,
        Err(error) => return Err(worded(session, project, (prefix, error))),
    };
    tell_missing(session, &report)?;
    let mut locks: Vec<String> = report
        .recorded
        .iter()
        .filter(|stage| stage.name.is_some())
        .map(super::recorded_in)
        .collect();
    locks.dedup();
    for lock in locks {
        session.note(&format!("Updating lock file '{lock}'"))?;
    }
    if !report.failed.is_empty() {
        return Err(not_moved(session, &report, (prefix, "upload"))?);
    }
    let n = report.n_moved();
    session.note(&if n == 0 { UP_TO_DATE.to_owned() } else { format!("{} pushed", files(n)) })?;
    Ok(ExitStatus::DONE)
}

pub(super) fn tell_fetch(
    session: &mut Session<'_, '_>,
    project: &Project,
    request: &DataTransferRequest,
    result: Reported,
) -> Outcome {
    let report = received(session, project, (request, "fetch"), result)?;
    let n = n_objects(&report);
    session.note(&if n == 0 { UP_TO_DATE.to_owned() } else { format!("{} fetched", files(n)) })?;
    Ok(ExitStatus::DONE)
}

pub(super) fn tell_pull(
    session: &mut Session<'_, '_>,
    project: &Project,
    (request, args): (&DataTransferRequest, &DataPullArgs),
    result: Reported,
) -> Outcome {
    let prefix = "failed to pull data from the cloud";
    let report = received(session, project, (request, "pull"), result)?;
    let unsaved = if args.force { UnsavedData::Drop } else { UnsavedData::Refuse };
    let brought = session.look(|ctx| {
        let scope = project.matching(request)?;
        let plan = project.plan_data_checkout(ctx, &scope)?;
        project.checkout_data(ctx, plan, unsaved)
    });
    let mut brought = brought.map_err(|error| worded(session, project, (prefix, error)))?;
    let imports = session.look(|ctx| project.bring_imports(ctx, &report.imports.unrecorded));
    let imports = imports.map_err(|error| worded(session, project, (prefix, error)))?;
    let cwd = project.relative(session.cwd());
    for change in &brought.changed {
        session.note(&data::line(change, &cwd))?;
    }
    for path in &imports {
        session.note(&format!("A       {}", path.relative_to(&cwd)))?;
    }
    let is_imported =
        |path: &RelPath| report.imports.unrecorded.iter().any(|(import, _)| import == path);
    brought.unrecorded.retain(|path| !is_imported(path));
    for path in &brought.unrecorded {
        let full = path.under(project.root());
        session.warn(&format!(
            "WARNING: No file hash info found for '{}'. It won't be created.",
            full.display()
        ))?;
    }
    session.note(&summary(n_objects(&report), &brought))?;
    let is_absent = |path: &&RelPath| path.under(project.root()).symlink_metadata().is_err();
    let mut missing = brought.missing.clone();
    missing.extend(brought.unrecorded.iter().filter(is_absent).cloned());
    if missing.is_empty() || args.allow_missing {
        return Ok(ExitStatus::DONE);
    }
    Err(worded(session, project, (prefix, Error::MissingData { paths: missing })))
}

fn received(
    session: &mut Session<'_, '_>,
    project: &Project,
    (request, verb): (&DataTransferRequest, &str),
    result: Reported,
) -> Result<DataTransferReport, Failure> {
    let prefix = format!("failed to {verb} data from the cloud");
    let report = match result {
        Ok(report) => report,
        Err(error) => return Err(worded(session, project, (&prefix, error))),
    };
    if report.lacks_remote || !has_remote(project, request) {
        session.warn("No remote provided and no default remote set.")?;
    }
    tell_missing(session, &report)?;
    for (path, error) in &report.imports.failed {
        session.warn(&format!("ERROR: failed to fetch '{path}' - {}", chain(error).join(": ")))?;
    }
    if report.failed.is_empty() && report.imports.failed.is_empty() {
        return Ok(report);
    }
    Err(not_moved(session, &report, (&prefix, "download"))?)
}

fn tell_missing(session: &mut Session<'_, '_>, report: &DataTransferReport) -> Result<(), Failure> {
    if report.missing.is_empty() {
        return Ok(());
    }
    let mut text = "WARNING: Some of the cache files do not exist neither locally nor on remote. Missing cache files:"
        .to_owned();
    for one in &report.missing {
        text.push_str(&format!("\n{}: {}", one.id.digest.algorithm().name(), one.id));
    }
    session.warn(&text)
}

fn not_moved(
    session: &mut Session<'_, '_>,
    report: &DataTransferReport,
    (prefix, verb): (&str, &str),
) -> Result<Failure, Failure> {
    for (piece, error) in &report.failed {
        session.warn(&format!("ERROR: failed to transfer '{}' - {}", piece.id, cause(error)))?;
    }
    let n = report.failed.len() + report.imports.failed.len();
    Ok(failed(prefix, &format!("{n} files failed to {verb}")))
}

fn cause(error: &TransferError) -> String {
    chain(error).join(": ")
}

/// Returns whether the transfer has a remote for outputs that name none.
fn has_remote(project: &Project, request: &DataTransferRequest) -> bool {
    request.remote.is_some() || project.config().default_remote().is_some()
}

/// Says that there is no remote, as DVC does: it depends on whether one could be the default.
pub(super) fn no_remote(project: &Project) -> String {
    let root = project.root().display();
    let advice = if project.config().remotes().is_empty() {
        "Create a default remote with\n    dvc remote add -d <remote name> <remote url>"
    } else {
        "Setup default remote with\n    dvc remote default <remote name>\nor use:\n    dvc <command> -r <remote name>"
    };
    format!("config file error: no remote specified in {root}. {advice}")
}

/// Words an error behind `prefix`, which may be empty.
pub(in crate::commands) fn worded(
    session: &mut Session<'_, '_>,
    project: &Project,
    (prefix, error): (&str, Error),
) -> Failure {
    match error {
        Error::Config(ConfigError::RemoteNotFound { name, .. }) => {
            failed(prefix, &format!("config file error: remote '{name}' doesn't exist"))
        }
        Error::Sync(SyncError::NoDefaultRemote { .. }) => failed(prefix, &no_remote(project)),
        Error::Sync(SyncError::VersionedRevisions { .. }) => {
            failed(prefix, "Multiple rev push is unsupported for cloud versioned remotes")
        }
        Error::Data(DataError::UnknownTarget { .. }) if !prefix.is_empty() => {
            match session.warn("WARNING: failed to collect 'workspace', skipping") {
                Err(failure) => failure,
                Ok(()) => match words::worded(session, project, error) {
                    Failure::Dvc { message, .. } => failed(prefix, &message),
                    failure => failure,
                },
            }
        }
        Error::Sync(error) if !matches!(error, SyncError::Transfer(_)) => {
            failed(prefix, &chain(&error).join(": "))
        }
        error => match words::worded(session, project, error) {
            Failure::Dvc { message, .. } => failed(prefix, &message),
            failure => failure,
        },
    }
}

fn failed(prefix: &str, message: &str) -> Failure {
    let dash = if prefix.is_empty() { "" } else { " - " };
    Failure::Dvc { message: format!("{prefix}{dash}{message}"), code: 1 }
}

/// Returns how many objects were moved; DVC counts recorded runs only where it sends them.
fn n_objects(report: &DataTransferReport) -> u64 {
    let from_remotes: u64 = report.transfers.iter().map(|one| one.moved).sum();
    from_remotes + report.imports.moved
}

fn files(n: u64) -> String {
    format!("{n} file{}", if n == 1 { "" } else { "s" })
}

fn summary(n_fetched: u64, brought: &CheckoutReport) -> String {
    let parts: Vec<String> = [
        (n_fetched, "fetched"),
        (brought.files_modified, "modified"),
        (brought.files_added, "added"),
        (brought.files_removed, "deleted"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {what}", files(n)))
    .collect();
    if parts.is_empty() { UP_TO_DATE.to_owned() } else { words::listed(&parts) }
}
